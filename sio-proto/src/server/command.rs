//! What the application wants.

use alloc::vec::Vec;

use super::{ConnId, EmitError, Server};
use crate::engine::{CloseReason, Encoded, Revision, SendError};
use crate::hub::{Hub, NamespaceId, Offset, Room, Scope, SocketKey, Target};
use crate::socket::{ConnectError, DisconnectReason, Slot};
use crate::{Instant, UsageError};

impl Server {
    /// Lets a client into the namespace it asked for. If its session was [recovered](Self::recover), it gets what it has missed.
    ///
    /// # Errors
    /// [`UsageError::Gone`] if it has left meanwhile; [`UsageError::UnknownNamespace`] before [`assign`](Self::assign).
    pub fn accept(&mut self, key: SocketKey, now: Instant) -> Result<(), UsageError> {
        let (id, slot) = self.handle_of(key)?;
        let socket = self.hub.get(key).filter(|socket| !socket.is_connected()).ok_or(UsageError::Gone)?;
        if socket.namespace() == NamespaceId::NOWHERE {
            return Err(UsageError::UnknownNamespace);
        }
        let (namespace, public) = (socket.namespace(), socket.id());
        // Clients of Socket.IO 2 know of no recovery.
        let knows = self.dialect(id).is_some_and(|dialect| dialect.revision == Revision::V4);
        let welcome = self.recovery.as_mut().filter(|_| knows).map(|recovery| {
            // It is about to be in the room of its id.
            let own = core::iter::once(Room::from(public.as_str()));
            let rooms: Vec<Room> = own.chain(self.hub.rooms(key).cloned()).collect();
            recovery.welcome(key, (namespace, public, &rooms), &mut self.random, now)
        });
        let conn = self.conns.get_mut(id).ok_or(UsageError::Gone)?;
        match welcome {
            None => conn.socket.accept(slot, &public)?,
            Some((pid, missed)) => conn.socket.accept_session(slot, &public, Some(&pid), missed)?,
        }
        self.hub.connect(key);
        self.stats.sockets_accepted += 1;
        self.stats.sockets += 1;
        let _ = self.process(id, now);
        self.conn(id)?.shrink();
        Ok(())
    }

    /// Gives the socket of [`Event::ConnectUnknown`](super::Event::ConnectUnknown) the namespace that its client asked for, which has
    /// been made meanwhile. Then it is to be accepted or refused.
    ///
    /// # Errors
    /// [`UsageError::Gone`] if the client has left meanwhile, or the socket has a namespace; [`UsageError::UnknownNamespace`].
    pub fn assign(&mut self, key: SocketKey, namespace: NamespaceId) -> Result<(), UsageError> {
        let socket = self.hub.get(key).ok_or(UsageError::Gone)?;
        if socket.namespace() != NamespaceId::NOWHERE {
            return Err(UsageError::Gone);
        }
        if self.hub.assign(key, namespace) { Ok(()) } else { Err(UsageError::UnknownNamespace) }
    }

    /// Does not let a client in. What it sent meanwhile is dropped, and the rooms it joined are left.
    ///
    /// # Errors
    /// [`UsageError::Gone`] if it has left meanwhile, or was accepted.
    pub fn refuse(&mut self, key: SocketKey, error: &ConnectError, now: Instant) -> Result<(), UsageError> {
        let (id, slot) = self.handle_of(key)?;
        let conn = self.conn(id)?;
        conn.socket.refuse(slot, error)?;
        self.stats.sockets_refused += 1;
        let conn = self.conn(id)?;
        conn.sockets.retain(|(_, socket)| *socket != key);
        conn.inbox.forget(key);
        if let (Some((gone, rooms)), Some(recovery)) = (self.hub.remove(key), &mut self.recovery) {
            recovery.lose(key, false, None, (gone.namespace(), gone.id(), &rooms), now);
        }
        let _ = self.process(id, now);
        Ok(())
    }

    /// Sends a packet to one socket. `volatile`: only if it can go out at once; else it is dropped.
    ///
    /// # Errors
    /// [`EmitError::Full`] gives the packet back.
    pub fn emit(&mut self, key: SocketKey, packet: Encoded, volatile: bool) -> Result<(), EmitError> {
        let (id, _) = self.connected(key)?;
        let conn = self.conn(id)?;
        if volatile && !conn.engine.is_writable() {
            self.stats.volatile_dropped += 1;
            return Ok(());
        }
        let sent = conn.engine.send(packet);
        self.count_full(sent)?;
        self.announce_transmits(id);
        Ok(())
    }

    fn count_full(&mut self, sent: Result<(), SendError>) -> Result<(), SendError> {
        self.stats.outbox_full += u64::from(matches!(sent, Err(SendError::Full(_))));
        sent
    }

    /// Sends an event that the socket's client gets later if it is lost now: `offset` is in the packet, see
    /// [`Encoder::event_at`](crate::socket::Encoder::event_at). Without recovery this is [`emit`](Self::emit).
    ///
    /// # Errors
    /// [`EmitError::Full`] gives the packet back; it is not kept then.
    pub fn emit_at(
        &mut self,
        key: SocketKey,
        packet: Encoded,
        offset: Offset,
        now: Instant,
    ) -> Result<(), EmitError> {
        let (id, _) = self.connected(key)?;
        let conn = self.conns.get_mut(id).ok_or(UsageError::Gone)?;
        let sent = conn.engine.send(packet.clone());
        self.count_full(sent)?;
        if let (Some(recovery), Some(socket)) = (&mut self.recovery, self.hub.get(key)) {
            recovery.log(socket.namespace(), offset, Target::Socket(socket.id()), packet, now);
            recovery.sent(key, offset, now);
        }
        self.announce_transmits(id);
        Ok(())
    }

    /// Sends an event that asks for an acknowledgement under `id`, which must be in the packet and not be in use for this
    /// socket. What becomes of it comes as [`Event::Ack`](super::Event::Ack).
    ///
    /// # Errors
    /// As for [`emit`](Self::emit), and [`UsageError::AckIdInUse`].
    pub fn emit_with_ack(
        &mut self,
        key: SocketKey,
        packet: Encoded,
        ack: u64,
        deadline: Option<Instant>,
    ) -> Result<(), EmitError> {
        let (id, slot) = self.connected(key)?;
        let conn = self.conn(id)?;
        conn.socket.expect_ack(slot, ack, deadline)?;
        if let Err(error) = conn.engine.send(packet) {
            conn.socket.forget_ack(slot, ack);
            self.count_full(Err(error))?;
        }
        self.announce_transmits(id);
        self.arm(id);
        Ok(())
    }

    /// Stops waiting for an acknowledgement; a late one is ignored.
    pub fn forget_ack(&mut self, key: SocketKey, ack: u64) {
        if let Ok((id, slot)) = self.handle_of(key) {
            if let Ok(conn) = self.conn(id) {
                conn.socket.forget_ack(slot, ack);
            }
        }
    }

    /// Gives `None` if the outbox of this socket's client is at most half full, or the client is gone. Else gives the
    /// connection for which [`Ready::Write`](super::Ready::Write) will come when that is so.
    pub fn wait_for_room(&mut self, key: SocketKey) -> Option<ConnId> {
        self.wait_for_room_of(key, 0)
    }

    /// As [`wait_for_room`](Self::wait_for_room), but there must also be room for a packet of this length
    /// ([`Encoded::len`]). `Ready::Write` comes as soon as anybody who waits can go on: the others ask again.
    pub fn wait_for_room_of(&mut self, key: SocketKey, len: usize) -> Option<ConnId> {
        let id = self.hub.get(key)?.handle.0;
        let conn = self.conns.get_mut(id)?;
        if conn.engine.has_room_for(len) {
            return None;
        }
        conn.wants_room = Some(conn.wants_room.map_or(len, |least| least.min(len)));
        Some(id)
    }

    /// Bytes that wait to be sent to this socket's client.
    #[must_use]
    pub fn outbox_bytes(&self, key: SocketKey) -> usize {
        let conn = self.hub.get(key).and_then(|socket| self.conns.get(socket.handle.0));
        conn.map_or(0, |conn| conn.engine.outbox_bytes())
    }

    /// Puts a socket into a room. Ignored for one that is gone (B116).
    pub fn join(&mut self, key: SocketKey, room: &str) {
        if self.hub.join(key, room) {
            self.moved(key, room, true);
        }
    }

    /// Takes a socket out of a room; harmless if it is not there.
    pub fn leave(&mut self, key: SocketKey, room: &str) {
        if self.hub.leave(key, room) {
            self.moved(key, room, false);
        }
    }

    fn moved(&mut self, key: SocketKey, room: &str, joined: bool) {
        if let (Some(recovery), Some(socket)) = (&mut self.recovery, self.hub.get(key)) {
            recovery.moved(key, socket.namespace(), room, joined);
        }
    }

    /// From now on [`take_room_changes`](Self::take_room_changes) gives what happens to rooms of this namespace. Default: nobody asks.
    /// Says whether there is such a namespace.
    pub fn watch_rooms(&mut self, namespace: NamespaceId) -> bool {
        self.hub.watch(namespace)
    }

    /// The rooms that a socket is in.
    pub fn rooms(&self, key: SocketKey) -> impl Iterator<Item = &Room> + '_ {
        self.hub.rooms(key)
    }

    /// The connected sockets that are meant.
    pub fn sockets(&mut self, namespace: NamespaceId, scope: &Scope) -> Vec<SocketKey> {
        self.hub.selected(namespace, scope)
    }

    /// The tables of rooms and sockets.
    #[must_use]
    pub fn hub(&self) -> &Hub<(ConnId, Slot)> {
        &self.hub
    }

    /// Sends a client away from its namespace; with `close`, closes its whole connection (B109).
    ///
    /// # Errors
    /// [`UsageError::Gone`] if it has left already.
    pub fn disconnect(&mut self, key: SocketKey, close: bool, now: Instant) -> Result<(), UsageError> {
        let (id, slot) = self.handle_of(key)?;
        let conn = self.conn(id)?;
        if close {
            for slot in conn.socket.slots().collect::<Vec<_>>() {
                conn.socket.disconnect(slot)?;
            }
            let _ = self.process(id, now);
            if let Ok(conn) = self.conn(id) {
                conn.engine.close(false, now);
            }
        } else {
            conn.socket.disconnect(slot)?;
        }
        let _ = self.process(id, now);
        Ok(())
    }

    /// Closes a connection, once what waits for its client is sent. Its namespaces are not told before: to the client the connection
    /// is lost, and it connects again. Ignored for one that is gone.
    pub fn close_connection(&mut self, id: ConnId, now: Instant) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.engine.close(false, now);
            let _ = self.process(id, now);
        }
    }

    /// Ends every connection, once what waits for it is sent, and lets nobody in any more (B110). Done when
    /// [`is_empty`](Self::is_empty).
    pub fn close(&mut self, now: Instant) {
        self.closing = true;
        if let Some(recovery) = &mut self.recovery {
            recovery.close();
        }
        for id in self.conns.keys().collect::<Vec<_>>() {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.socket.close(DisconnectReason::ServerShuttingDown);
                if conn.engine.is_owed_nothing() {
                    conn.engine.abort(CloseReason::ForcedClose);
                } else {
                    conn.engine.close(false, now);
                }
            }
            let _ = self.process(id, now);
        }
    }
}
