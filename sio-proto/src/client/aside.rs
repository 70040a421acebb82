//! Events that are kept until somebody asks for them.

use alloc::collections::{BTreeMap, VecDeque};

use crate::inbox::Weigh as _;
use crate::socket::{ClientConnEvent, Slot};

/// Events that the application has put aside, for each namespace apart.
#[derive(Debug, Default)]
pub(super) struct Aside {
    queues: BTreeMap<Slot, Queue>,
    missed: u64,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    events: VecDeque<ClientConnEvent>,
    bytes: usize,
    /// Whether somebody asks.
    heard: bool,
}

impl Aside {
    /// How many events wait for somebody who asks. Where nobody does, nothing is waited for.
    pub(super) fn len(&self) -> usize {
        self.heard().map(|queue| queue.events.len()).sum()
    }

    /// Bytes of these events.
    pub(super) fn bytes(&self) -> usize {
        self.heard().map(|queue| queue.bytes).sum()
    }

    fn heard(&self) -> impl Iterator<Item = &Queue> {
        self.queues.values().filter(|queue| queue.heard)
    }

    pub(super) fn missed(&self) -> u64 {
        self.missed
    }

    pub(super) fn holds(&self, slot: Slot) -> bool {
        self.queues.get(&slot).is_some_and(|queue| !queue.events.is_empty())
    }

    /// Keeps an event. While nobody asks, only the last `most` are kept, and no more than `bytes`.
    pub(super) fn push(&mut self, event: ClientConnEvent, most: usize, bytes: usize) {
        let queue = self.queues.entry(event.slot()).or_default();
        queue.bytes += event.weight();
        queue.events.push_back(event);
        while !queue.heard && (queue.events.len() > most || queue.bytes > bytes) && queue.take().is_some() {
            self.missed += 1;
        }
    }

    /// Somebody asks for the events of a namespace, and will go on asking.
    pub(super) fn listen(&mut self, slot: Slot) -> &mut Queue {
        let queue = self.queues.entry(slot).or_default();
        queue.heard = true;
        queue
    }

    pub(super) fn pop(&mut self, slot: Slot) -> Option<ClientConnEvent> {
        self.listen(slot).take()
    }
}

impl Queue {
    fn take(&mut self) -> Option<ClientConnEvent> {
        let event = self.events.pop_front()?;
        self.bytes -= event.weight();
        Some(event)
    }
}
