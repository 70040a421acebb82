//! Events that wait: for a connection, or for the acknowledgement of the one before.

use alloc::collections::{BTreeSet, VecDeque};
use core::time::Duration;

use super::config::BufferOverflow;
use crate::engine::Encoded;

/// What an event takes beside its content.
const ENTRY: usize = size_of::<Waiting>();

/// An event that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) packet: Encoded,
    pub(super) ack: Option<u64>,
}

/// Events in order, bounded in bytes.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    events: VecDeque<Waiting>,
    bytes: usize,
}

impl Buffer {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether this event can be added.
    pub(super) fn has_room(&self, len: usize, limit: usize) -> bool {
        let alone = self.events.is_empty() && limit > 0;
        alone || self.bytes.saturating_add(len).saturating_add(ENTRY) <= limit
    }

    /// Makes room by the policy. Gives the acknowledgements of which nothing will come; `None` if there is no room.
    pub(super) fn make_room(
        &mut self,
        packet: &Encoded,
        limit: usize,
        overflow: BufferOverflow,
    ) -> Option<VecDeque<u64>> {
        let mut dropped = VecDeque::new();
        while !self.has_room(packet.len(), limit) {
            if overflow == BufferOverflow::Refuse {
                return None;
            }
            dropped.extend(self.pop()?.ack);
        }
        Some(dropped)
    }

    pub(super) fn push(&mut self, event: Waiting) {
        self.bytes += event.packet.len() + ENTRY;
        self.events.push_back(event);
    }

    /// Puts an event back that came out too early.
    pub(super) fn push_front(&mut self, event: Waiting) {
        self.bytes += event.packet.len() + ENTRY;
        self.events.push_front(event);
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let event = self.events.pop_front()?;
        self.bytes -= event.packet.len() + ENTRY;
        Some(event)
    }

    /// Takes the events out that wait for these acknowledgements.
    pub(super) fn remove(&mut self, acks: &BTreeSet<u64>) {
        let bytes = &mut self.bytes;
        remove(&mut self.events, acks.len(), |event| {
            let unwanted = event.ack.is_some_and(|ack| acks.contains(&ack));
            *bytes -= if unwanted { event.packet.len() + ENTRY } else { 0 };
            unwanted
        });
    }

    pub(super) fn acks(&self) -> impl Iterator<Item = u64> + '_ {
        self.events.iter().filter_map(|event| event.ack)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Removes what is unwanted, at most so many. A few are looked for from the front, where the oldest are; for many, each is looked at.
pub(super) fn remove<T>(queue: &mut VecDeque<T>, most: usize, mut unwanted: impl FnMut(&T) -> bool) {
    if most > 4 {
        return queue.retain(|of| !unwanted(of));
    }
    for _ in 0..most {
        let Some(at) = queue.iter().position(&mut unwanted) else { return };
        queue.remove(at);
    }
}

/// The queue of `retries`: the first event is sent again until it is acknowledged, the others wait.
#[derive(Debug, Default)]
pub(super) struct Retries {
    events: VecDeque<Retry>,
    /// Of those events.
    acks: BTreeSet<u64>,
    bytes: usize,
}

#[derive(Debug)]
struct Retry {
    packet: Encoded,
    ack: u64,
    timeout: Duration,
    tries: u32,
    in_flight: bool,
}

/// An event to be sent now.
pub(super) struct Try {
    pub(super) packet: Encoded,
    pub(super) ack: u64,
    pub(super) timeout: Duration,
}

impl Retries {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn has_room(&self, len: usize, limit: usize) -> bool {
        let alone = self.events.is_empty() && limit > 0;
        alone || self.bytes.saturating_add(len).saturating_add(size_of::<Retry>()) <= limit
    }

    pub(super) fn push(&mut self, packet: Encoded, ack: u64, timeout: Duration) {
        self.bytes += packet.len() + size_of::<Retry>();
        self.acks.insert(ack);
        self.events.push_back(Retry { packet, ack, timeout, tries: 0, in_flight: false });
    }

    /// The first event, unless it is on its way already. All tries have the same id: a late acknowledgement of an earlier try
    /// is as good as any.
    pub(super) fn start(&mut self) -> Option<Try> {
        let first = self.events.front_mut().filter(|first| !first.in_flight)?;
        first.in_flight = true;
        first.tries = first.tries.saturating_add(1);
        Some(Try { packet: first.packet.clone(), ack: first.ack, timeout: first.timeout })
    }

    /// The try was never sent: it does not count.
    pub(super) fn take_back(&mut self, ack: u64) {
        // An id can be used again once its event is given up.
        if let Some(first) = self.events.front_mut().filter(|first| first.ack == ack && first.tries > 0) {
            first.in_flight = false;
            first.tries -= 1;
        }
    }

    /// The acknowledgement came. Says whether it was that of the first event, which is done then.
    pub(super) fn succeed(&mut self, ack: u64) -> bool {
        let first = self.events.front().is_some_and(|first| first.ack == ack && first.tries > 0);
        if first {
            self.pop();
        }
        first
    }

    /// The try that is on its way has failed. Gives the event's id if that was the last one.
    pub(super) fn fail(&mut self, retries: u32) -> Option<u64> {
        let first = self.events.front_mut().filter(|first| first.in_flight)?;
        first.in_flight = false;
        if first.tries <= retries {
            return None;
        }
        self.pop().map(|given_up| given_up.ack)
    }

    pub(super) fn in_flight(&self) -> Option<u64> {
        self.events.front().filter(|first| first.in_flight).map(|first| first.ack)
    }

    pub(super) fn holds(&self, ack: u64) -> bool {
        self.acks.contains(&ack)
    }

    pub(super) fn acks(&self) -> impl Iterator<Item = u64> + '_ {
        self.events.iter().map(|event| event.ack)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn pop(&mut self) -> Option<Retry> {
        let event = self.events.pop_front()?;
        self.acks.remove(&event.ack);
        self.bytes -= event.packet.len() + size_of::<Retry>();
        Some(event)
    }
}
