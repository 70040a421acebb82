//! Watching what is sent: [`ClientSocket::on_any_outgoing`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sio_proto::socket::{Args, Payload};

use crate::ClientSocket;
use crate::handlers::{Live, Peer as _, catch};

type Watcher = Arc<dyn Fn(&ClientSocket, &Payload) + Send + Sync>;

/// Those who are told of every event that a socket sends.
#[derive(Default)]
pub(crate) struct Watchers {
    /// Whether there are any; if not, nothing is done for them.
    any: AtomicBool,
    list: Live<Vec<Watcher>>,
}

impl Watchers {
    pub(crate) fn add(&self, watcher: impl Fn(&ClientSocket, &Payload) + Send + Sync + 'static) {
        self.list.change(|list| list.push(Arc::new(watcher)));
        self.any.store(true, Ordering::Release);
    }

    /// Drops all of them, without the lock.
    pub(crate) fn clear(&self) {
        self.any.store(false, Ordering::Release);
        drop(self.list.change(std::mem::take));
    }
}

impl ClientSocket {
    /// Tells those who watch of an event that is sent.
    pub(super) fn watch<A: Args + ?Sized>(&self, event: &str, args: &A) {
        let watchers = &self.inner.watchers;
        if !watchers.any.load(Ordering::Acquire) {
            return;
        }
        let Ok(payload) = Payload::from_event(event, args) else { return };
        for watcher in watchers.list.get().iter() {
            if let Err(error) = catch(|| watcher(self, &payload)) {
                tracing::error!(socket = %self.log_id(), %error, "in on_any_outgoing");
            }
        }
    }
}
