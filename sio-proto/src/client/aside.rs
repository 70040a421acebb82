//! Events that are kept until somebody asks for them.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::inbox::Weigh as _;
use crate::socket::{ClientConnEvent, Slot};

/// Events that the application has put aside, for each namespace apart.
#[derive(Debug, Default)]
pub(super) struct Aside {
    queues: BTreeMap<Slot, VecDeque<ClientConnEvent>>,
    len: usize,
    bytes: usize,
    /// Namespaces where somebody asks.
    heard: Vec<Slot>,
    missed: u64,
}

impl Aside {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn missed(&self) -> u64 {
        self.missed
    }

    pub(super) fn holds(&self, slot: Slot) -> bool {
        self.queues.get(&slot).is_some_and(|queue| !queue.is_empty())
    }

    /// Keeps an event. While nobody asks, only the last `unheard` are kept.
    pub(super) fn push(&mut self, event: ClientConnEvent, unheard: usize) {
        let slot = event.slot();
        let waiting = self.queues.get(&slot).map_or(0, VecDeque::len);
        if !self.heard.contains(&slot) && waiting >= unheard {
            self.missed += 1;
            if self.take(slot).is_none() {
                return;
            }
        }
        self.len += 1;
        self.bytes += event.weight();
        self.queues.entry(slot).or_default().push_back(event);
    }

    /// Somebody asks for the next event of a namespace, and will go on asking.
    pub(super) fn pop(&mut self, slot: Slot) -> Option<ClientConnEvent> {
        if !self.heard.contains(&slot) {
            self.heard.push(slot);
        }
        self.take(slot)
    }

    fn take(&mut self, slot: Slot) -> Option<ClientConnEvent> {
        let event = self.queues.get_mut(&slot)?.pop_front()?;
        self.len -= 1;
        self.bytes -= event.weight();
        Some(event)
    }
}
