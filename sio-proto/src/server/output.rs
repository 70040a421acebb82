//! What the owner takes away: packets, events, and the next deadline.

use alloc::vec::Vec;

use super::{ConnId, Event, Ready, Server};
use crate::Instant;
use crate::engine::{ChannelId, Transmit};
use crate::hub::{RoomChange, SocketKey};
use crate::time::earliest;

impl Server {
    /// Where something has become possible since it was last asked.
    pub fn poll_ready(&mut self) -> Option<Ready> {
        let ready = self.ready.pop_front();
        if ready.is_none() {
            self.timers.clear_earlier();
            if let Some(recovery) = &mut self.recovery {
                recovery.clear_earlier();
            }
        }
        ready
    }

    /// Whether `poll_ready` would give something, or [`poll_timeout`](Self::poll_timeout) has become earlier since `poll_ready` last
    /// gave `None`, or [`take_dropped`](Self::take_dropped) or
    /// [`take_room_changes`](Self::take_room_changes) has something. A cheap way to see that nobody needs to be told anything.
    #[must_use]
    pub fn has_news(&self) -> bool {
        let recovery = self.recovery.as_ref().is_some_and(|recovery| recovery.is_earlier());
        !self.ready.is_empty() || self.timers.is_earlier() || recovery || self.hub.has_changes()
    }

    /// Whether [`take_dropped`](Self::take_dropped) or [`take_room_changes`](Self::take_room_changes) has something.
    #[must_use]
    pub fn has_leftovers(&self) -> bool {
        self.hub.has_changes() || self.recovery.as_ref().is_some_and(|recovery| recovery.has_dropped())
    }

    /// What happened to rooms of namespaces of which [`watch_rooms`](Self::watch_rooms) was told, in order. It is kept until it is taken.
    pub fn take_room_changes(&mut self) -> Vec<RoomChange> {
        self.hub.take_changes()
    }

    /// What to do next on a channel. Call it until it gives `None`; what is left is not announced again.
    pub fn poll_transmit(&mut self, channel: ChannelId, now: Instant) -> Option<Transmit> {
        let id = self.conn_of(channel)?;
        let conn = self.conns.get_mut(id)?;
        let transmit = match conn.lingering.iter().position(|(lingering, _)| *lingering == channel) {
            None => self.metered(id, |engine| engine.poll_transmit(channel))??,
            Some(at) if conn.lingering[at].1.is_none() => {
                conn.lingering.swap_remove(at);
                Transmit::Abort
            }
            Some(_) => return None,
        };
        let conn = self.conns.get_mut(id)?;
        match transmit {
            Transmit::Packet(_) => {
                self.announce_room(id);
                return Some(transmit);
            }
            Transmit::Close => conn.lingering.push((channel, Some(now + self.config.engine.linger))),
            Transmit::Respond(_) | Transmit::Abort => {
                self.close_channel(channel);
            }
        }
        let _ = self.process(id, now);
        Some(transmit)
    }

    /// The next event of a connection, not counting those whose socket is in `busy`: that is how an owner runs one handler
    /// at a time per socket. Acknowledgements are not held back.
    pub fn poll_event(&mut self, id: ConnId, busy: &[SocketKey]) -> Option<Event> {
        let conn = self.conns.get_mut(id)?;
        let event = conn.inbox.pop(busy);
        if event.is_none() {
            conn.inbox.announced = false;
        }
        let (full, over) = (conn.inbox.full, conn.channels == 0);
        if full {
            self.pace(id);
        }
        if over {
            self.retire(id);
        }
        event
    }

    /// Whether `poll_event` would give an event.
    #[must_use]
    pub fn has_events(&self, id: ConnId) -> bool {
        self.conns.get(id).is_some_and(|conn| !conn.inbox.is_empty())
    }

    /// Whether more should be read from this client; if not, [`Ready::Read`] comes when it should.
    #[must_use]
    pub fn wants_read(&self, id: ConnId) -> bool {
        self.conns.get(id).is_none_or(|conn| !conn.inbox.full)
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.timers.next(), self.recovery.as_ref().and_then(|recovery| recovery.poll_timeout()))
    }
}
