//! Which rooms a session was in when an event was sent: those count, not the ones in which it is when its client comes back.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::session::weight;
use crate::SocketId;
use crate::engine::Encoded;
use crate::hub::{Offset, RecoveryLog, Room};

/// Most changes that are known of one session; what was before them is not, then.
const MOST: usize = 256;

/// The rooms that a session has joined and left, as long as there are events from before.
#[derive(Debug, Default)]
pub(super) struct Changes {
    list: VecDeque<Change>,
    /// Which rooms it was in at earlier positions of the log cannot be said.
    known_from: u64,
}

#[derive(Debug)]
struct Change {
    /// The end of the log at that time: the events before saw the session in the rooms before.
    position: u64,
    room: Room,
    joined: bool,
}

impl Changes {
    /// Notes a change that was made now. Events before `first` are of no interest any more.
    pub(super) fn note(&mut self, log: &RecoveryLog, first: u64, room: Room, joined: bool) {
        let (first, position) = (first.max(log.start()), log.end());
        while self.list.front().is_some_and(|change| change.position <= first) {
            self.list.pop_front();
        }
        if first >= position {
            return;
        }
        // There and back between two events is no change.
        let recent = self.list.iter().rev().take_while(|change| change.position == position);
        if let Some(at) = recent.map(|change| change.room == room).position(|same| same) {
            self.list.remove(self.list.len() - 1 - at);
            return;
        }
        self.list.push_back(Change { position, room, joined });
        if self.list.len() > MOST {
            if let Some(change) = self.list.pop_front() {
                self.known_from = change.position;
            }
        }
    }

    /// The events from a position on that were meant for the session, which is in `rooms` now; and whether these are certainly the
    /// right ones, and all. Looks for no more of them once it has more than `max` bytes.
    pub(super) fn replay(
        &self,
        log: &RecoveryLog,
        position: u64,
        id: &SocketId,
        rooms: &[Room],
        max: usize,
    ) -> (Vec<(Offset, Encoded)>, bool) {
        let from = position.max(log.start());
        let mut current: BTreeSet<&Room> = rooms.iter().collect();
        let mut coming = Vec::new();
        for change in self.list.iter().rev().take_while(|change| change.position > from) {
            if change.joined {
                current.remove(&change.room);
            } else {
                current.insert(&change.room);
            }
            coming.push(change);
        }
        let (mut events, mut bytes) = (Vec::new(), 0);
        for (at, offset, target, packet) in log.since(position) {
            while let Some(change) = coming.last().filter(|change| change.position <= at) {
                if change.joined {
                    current.insert(&change.room);
                } else {
                    current.remove(&change.room);
                }
                coming.pop();
            }
            if target.means(id, |room| current.contains(room)) {
                events.push((offset, packet.clone()));
                bytes += weight(&events[events.len() - 1..]);
                if bytes > max {
                    return (events, false);
                }
            }
        }
        (events, from >= self.known_from || from >= log.end())
    }
}
