//! How many network connections are open, whether or not there is a session on them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Counts connections from when they are accepted to when their stream is dropped.
#[derive(Default)]
pub(crate) struct Slots {
    pub(super) limit: Option<usize>,
    open: Arc<AtomicUsize>,
    /// Whether it was said that there are too many.
    warned: AtomicBool,
}

/// The place of one connection, until it is dropped. Empty where nothing is counted.
#[derive(Default)]
pub(crate) struct Slot(Option<Arc<AtomicUsize>>);

impl Slots {
    /// A place, if one is free.
    pub(crate) fn enter(&self, remote_addr: Option<SocketAddr>) -> Option<Slot> {
        let Some(limit) = self.limit else { return Some(Slot::default()) };
        let open = self.open.fetch_add(1, Ordering::Relaxed);
        // From here on it takes back what was counted, also if there is no place.
        let slot = Slot(Some(self.open.clone()));
        if open < limit {
            return Some(slot);
        }
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                limit,
                "there are as many connections as max_tcp_connections allows; more are closed (said once)"
            );
        }
        tracing::debug!(?remote_addr, "connection closed: there are too many");
        None
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(open) = &self.0 {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
