//! What a client is about to send, of all its namespaces, in order.

use alloc::collections::{BTreeSet, VecDeque};

use super::buffer::remove;
use crate::engine::Encoded;
use crate::socket::conn::Slot;
use crate::socket::parser::Codec;

/// Packets that no transport has taken yet. They stay here and not in the session, because what was not sent when a connection is
/// lost can be sent over the next one.
#[derive(Debug)]
pub(super) struct Outbox {
    codec: Codec,
    packets: VecDeque<(Slot, Encoded, Kind)>,
    bytes: usize,
}

/// What a packet is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// An event, with the id of the acknowledgement that is asked for.
    Event(Option<u64>),
    /// A try of an event of the queue of `retries`.
    Retry(u64),
    /// A packet of the protocol's own, or an acknowledgement: it makes no sense on another connection.
    Own,
}

const ENTRY: usize = size_of::<(Slot, Encoded, Kind)>();

impl Outbox {
    pub(super) fn new(codec: Codec) -> Self {
        Self { codec, packets: VecDeque::new(), bytes: 0 }
    }

    /// Which form packets have.
    pub(super) fn codec(&self) -> &Codec {
        &self.codec
    }

    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether an event fits; one always does.
    pub(super) fn has_room(&self, packet: &Encoded, limit: usize) -> bool {
        self.packets.is_empty() || self.bytes.saturating_add(packet.len() + ENTRY) <= limit
    }

    pub(super) fn push(&mut self, slot: Slot, packet: Encoded, kind: Kind) {
        self.bytes += packet.len() + ENTRY;
        self.packets.push_back((slot, packet, kind));
    }

    /// Adds a packet of the protocol's own, if there is one.
    pub(super) fn push_own(&mut self, slot: Slot, packet: Option<Encoded>) {
        if let Some(packet) = packet {
            self.push(slot, packet, Kind::Own);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Encoded> {
        let (_, packet, _) = self.packets.pop_front()?;
        self.bytes -= packet.len() + ENTRY;
        // A burst leaves a large buffer behind.
        if self.packets.is_empty() && self.packets.capacity() > 64 {
            self.packets = VecDeque::new();
        }
        Some(packet)
    }

    /// Events and tries that are no longer wanted, by their acknowledgements.
    pub(super) fn remove(&mut self, slot: Slot, acks: &BTreeSet<u64>) {
        let bytes = &mut self.bytes;
        remove(&mut self.packets, acks.len(), |(of, packet, kind)| {
            let unwanted = *of == slot
                && match kind {
                    Kind::Event(ack) => ack.is_some_and(|ack| acks.contains(&ack)),
                    Kind::Retry(ack) => acks.contains(ack),
                    Kind::Own => false,
                };
            *bytes -= if unwanted { packet.len() + ENTRY } else { 0 };
            unwanted
        });
    }

    /// Nobody waits for the acknowledgements of a namespace any more: their ids can be used again, while these packets still wait. What is
    /// in the queue of `retries` is sent from there next time.
    pub(super) fn forget_acks(&mut self, slot: Slot) {
        for (_, _, kind) in self.packets.iter_mut().filter(|(of, ..)| *of == slot) {
            *kind = match *kind {
                Kind::Event(_) => Kind::Event(None),
                Kind::Retry(_) | Kind::Own => Kind::Own,
            };
        }
    }

    /// Takes what belongs to one namespace.
    pub(super) fn take(&mut self, slot: Slot) -> VecDeque<(Encoded, Kind)> {
        let mut taken = VecDeque::new();
        let bytes = &mut self.bytes;
        self.packets.retain_mut(|(of, packet, kind)| {
            let keep = *of != slot;
            if !keep {
                *bytes -= packet.len() + ENTRY;
                taken.push_back((packet.clone(), *kind));
            }
            keep
        });
        taken
    }
}
