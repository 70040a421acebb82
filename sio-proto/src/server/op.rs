//! Operations on many sockets at once: the same value serves this hub, a sibling shard, or another node.

use alloc::vec::Vec;

use super::{Conn, Delivery, Server};
use crate::engine::{CloseReason, Encoded, Overflow, SendError};
use crate::hub::{NamespaceId, Offset, Room, Scope, Target};
use crate::{Instant, Str};

/// Something done to every selected socket of a namespace.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Op {
    /// Send them a packet.
    Broadcast(Broadcast),
    /// Put them into these rooms.
    Join(Vec<Room>),
    /// Take them out of these rooms.
    Leave(Vec<Room>),
    /// Send them away; with `close`, close their connections.
    Disconnect {
        /// Whether the whole connection is closed.
        close: bool,
    },
}

/// A packet for many sockets, encoded once.
#[derive(Clone, PartialEq, Debug)]
pub struct Broadcast {
    /// The packet.
    pub packet: Encoded,
    /// Only to those who can be written to at once.
    pub volatile: bool,
    /// The acknowledgement id that the packet asks for, and until when; each answer comes as [`Event::Ack`](super::Event::Ack).
    pub ack: Option<(u64, Instant)>,
    /// The offset that is in the packet, if clients that are away now can have it later: see
    /// [`Encoder::event_at`](crate::socket::Encoder::event_at). The same in all shards. Neither a volatile packet nor one that asks
    /// for acknowledgements has one (B130).
    pub offset: Option<Offset>,
}

impl Server {
    /// Applies an operation to the connected sockets that `scope` means. The result counts broadcasts; for other operations it
    /// counts the sockets. Clients that are away and may be recovered, or are on their way back, are not counted, but it applies to
    /// them too.
    pub fn apply(&mut self, namespace: NamespaceId, scope: &Scope, op: &Op, now: Instant) -> Delivery {
        if let Some(recovery) = &mut self.recovery {
            recovery.apply(namespace, scope, op);
        }
        match op {
            Op::Broadcast(broadcast) => self.broadcast(namespace, scope, broadcast, now),
            Op::Join(rooms) => self.each(namespace, scope, |server, key| {
                rooms.iter().for_each(|room: &Str| server.join(key, room));
            }),
            Op::Leave(rooms) => self.each(namespace, scope, |server, key| {
                rooms.iter().for_each(|room: &Str| server.leave(key, room));
            }),
            Op::Disconnect { close } => self.each(namespace, scope, |server, key| {
                let _ = server.disconnect(key, *close, now);
            }),
        }
    }

    fn each(
        &mut self,
        namespace: NamespaceId,
        scope: &Scope,
        mut act: impl FnMut(&mut Self, crate::hub::SocketKey),
    ) -> Delivery {
        let mut keys = self.hub.selected(namespace, scope);
        let sockets = keys.len();
        // Those on their way back to a session are not away any more, and not connected yet.
        if let Some(recovery) = &self.recovery {
            let is_in = |key, room: &Room| self.hub.rooms(key).any(|joined| joined == room);
            keys.extend(recovery.pending(namespace).filter(|key| scope.means_by(|room| is_in(*key, room))));
        }
        keys.into_iter().for_each(|key| act(self, key));
        Delivery { sockets, skipped: 0 }
    }

    fn broadcast(
        &mut self,
        namespace: NamespaceId,
        scope: &Scope,
        broadcast: &Broadcast,
        now: Instant,
    ) -> Delivery {
        let mut delivery = Delivery::default();
        let mut overflowed = Vec::new();
        let mut armed = Vec::new();
        let Self { hub, conns, ready, config, recovery, stats, .. } = self;
        let mut recovery = recovery.as_deref_mut().zip(broadcast.offset);
        if let Some((recovery, offset)) = recovery.as_mut().filter(|_| hub.contains(namespace)) {
            let target = Target::Scope(scope.clone());
            recovery.log(namespace, *offset, target, broadcast.packet.clone(), now);
        }
        hub.select(namespace, scope, |key, &(id, slot)| {
            let Some(conn) = conns.get_mut(id) else { return };
            let Conn { engine, socket, .. } = conn;
            if broadcast.volatile && !engine.is_writable() {
                stats.volatile_dropped += 1;
                delivery.skipped += 1;
                return;
            }
            match engine.send(broadcast.packet.clone()) {
                Ok(()) => {
                    delivery.sockets += 1;
                    if let Some((recovery, offset)) = &mut recovery {
                        recovery.sent(key, *offset, now);
                    }
                    if let Some((ack, deadline)) = broadcast.ack {
                        let _ = socket.expect_ack(slot, ack, Some(deadline));
                        armed.push(id);
                    }
                    while let Some(channel) = engine.poll_ready() {
                        ready.push_back(super::Ready::Transmit(channel));
                    }
                }
                Err(SendError::Full(_)) => {
                    stats.outbox_full += 1;
                    delivery.skipped += 1;
                    if config.engine.overflow == Overflow::Disconnect {
                        overflowed.push(id);
                    }
                }
                Err(SendError::Closed) => {}
            }
        });
        for id in armed {
            self.arm(id);
        }
        for id in overflowed {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.engine.abort(CloseReason::Overflow);
            }
            let _ = self.process(id, now);
        }
        delivery
    }
}
