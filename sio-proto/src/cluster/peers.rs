//! The other nodes that were heard of.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use super::{NodeId, Rejected};
use crate::Instant;

#[derive(Debug)]
struct Peer {
    seen: Instant,
    /// It did not answer the last request that it must answer, and was not heard of since.
    silent: bool,
}

#[derive(Debug, Default)]
pub(super) struct Peers(BTreeMap<NodeId, Peer>);

impl Peers {
    /// A node was heard of. `evict`: whether it may take the place of the one that was not heard of for the longest time.
    pub(super) fn see(&mut self, id: &NodeId, max: usize, evict: bool, now: Instant) -> Result<(), Rejected> {
        if let Some(peer) = self.0.get_mut(id) {
            peer.seen = peer.seen.max(now);
            peer.silent = false;
            return Ok(());
        }
        if self.0.len() >= max {
            let oldest = self.0.iter().min_by_key(|(_, peer)| peer.seen).map(|(id, _)| id.clone());
            match oldest {
                Some(oldest) if evict => drop(self.0.remove(&oldest)),
                _ => return Err(Rejected::TooManyNodes),
            }
        }
        self.0.insert(id.clone(), Peer { seen: now, silent: false });
        Ok(())
    }

    pub(super) fn remove(&mut self, id: &NodeId) -> bool {
        self.0.remove(id).is_some()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &NodeId> {
        self.0.keys()
    }

    pub(super) fn is_silent(&self, id: &NodeId) -> bool {
        self.0.get(id).is_none_or(|peer| peer.silent)
    }

    /// Says whether that is new.
    pub(super) fn set_silent(&mut self, id: &NodeId) -> bool {
        self.0.get_mut(id).is_some_and(|peer| !core::mem::replace(&mut peer.silent, true))
    }

    /// Removes those that were not heard of for so long, and names them.
    pub(super) fn expire(&mut self, timeout: Duration, now: Instant) -> Vec<NodeId> {
        let gone = self.0.iter().filter(|(_, peer)| peer.seen + timeout <= now);
        let gone: Vec<NodeId> = gone.map(|(id, _)| id.clone()).collect();
        for id in &gone {
            self.0.remove(id);
        }
        gone
    }

    /// When the next one is gone, if it is not heard of.
    pub(super) fn next_expiry(&self, timeout: Duration) -> Option<Instant> {
        self.0.values().map(|peer| peer.seen + timeout).min()
    }
}
