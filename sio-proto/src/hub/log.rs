//! [`RecoveryLog`]: the last events of a namespace, for clients that come back.

use alloc::collections::VecDeque;
use core::time::Duration;

use super::{Offset, Room, Scope};
use crate::engine::Encoded;
use crate::{Instant, SocketId};

/// Whom an event was for.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Target {
    /// One socket.
    Socket(SocketId),
    /// A selection.
    Scope(Scope),
}

impl Target {
    /// Whether a socket with this id is meant, which is in the rooms that `is_in` says.
    #[must_use]
    pub fn means(&self, id: &SocketId, is_in: impl Fn(&Room) -> bool) -> bool {
        match self {
            Self::Socket(meant) => meant == id,
            Self::Scope(scope) => scope.means_by(is_in),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Socket(_) => 0,
            Self::Scope(Scope { rooms, except }) => {
                rooms.iter().chain(except).map(|room| size_of::<Room>() + room.len()).sum()
            }
        }
    }
}

#[derive(Debug)]
struct Entry {
    offset: Offset,
    at: Instant,
    target: Target,
    packet: Encoded,
}

impl Entry {
    fn size(&self) -> usize {
        size_of::<Self>() + self.packet.len() + self.target.size()
    }
}

/// The last events of one namespace in one shard, in the order in which they were sent there; bounded in age, number and bytes.
///
/// Each has a *position*, which counts on for ever. What is in the log is shared with the queues of the clients that it went to.
#[derive(Debug, Default)]
pub struct RecoveryLog {
    entries: VecDeque<Entry>,
    /// The position of the first entry.
    start: u64,
    bytes: usize,
    /// When the newest of the entries was sent that are gone.
    gone: Option<Instant>,
}

impl RecoveryLog {
    /// The position of the first event that is there.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The position of the next event.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start + self.entries.len() as u64
    }

    /// Whether no event is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes that the events take, with what is kept about them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Notes an event. The oldest go if there are more than `max_events`, or they take more than `max_bytes`.
    pub fn push(
        &mut self,
        offset: Offset,
        target: Target,
        packet: Encoded,
        now: Instant,
        (max_events, max_bytes): (usize, usize),
    ) {
        let entry = Entry { offset, at: now, target, packet };
        self.bytes += entry.size();
        self.entries.push_back(entry);
        while self.entries.len() > max_events || self.bytes > max_bytes {
            self.pop();
        }
    }

    /// Forgets the oldest event. Says whether there was one.
    pub fn pop(&mut self) -> bool {
        let Some(entry) = self.entries.pop_front() else { return false };
        self.start += 1;
        self.bytes -= entry.size();
        self.gone = Some(entry.at);
        true
    }

    /// When the oldest event was sent that is there.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        self.entries.front().map(|entry| entry.at)
    }

    /// Forgets events that are `age` old or older. Gives the time at which the next one will be.
    pub fn expire(&mut self, age: Duration, now: Instant) -> Option<Instant> {
        while self.entries.front().is_some_and(|entry| entry.at + age <= now) {
            self.pop();
        }
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
        self.entries.front().map(|entry| entry.at + age)
    }

    /// Whether all events from this time on are there.
    #[must_use]
    pub fn has_all_since(&self, at: Instant) -> bool {
        self.gone.is_none_or(|newest| newest < at)
    }

    /// The position of an event. Looks from the newest to the oldest.
    #[must_use]
    pub fn find(&self, offset: Offset) -> Option<u64> {
        self.entries.iter().rposition(|entry| entry.offset == offset).map(|at| self.start + at as u64)
    }

    /// Whether the event must be older than all that are there.
    #[must_use]
    pub fn is_before(&self, offset: Offset) -> bool {
        // Two events that are sent at the same time may have changed places on their way, so this errs on the safe side.
        self.entries.iter().all(|entry| offset.number() < entry.offset.number())
    }

    /// The events from a position on, with their positions, and whom they were for.
    pub fn since(&self, position: u64) -> impl Iterator<Item = (u64, Offset, &Target, &Encoded)> + '_ {
        let skipped = usize::try_from(position.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let entries = (self.start..).zip(&self.entries).skip(skipped);
        entries.map(|(at, entry)| (at, entry.offset, &entry.target, &entry.packet))
    }
}
