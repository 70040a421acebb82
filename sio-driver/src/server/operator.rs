//! [`Operator`]: who is meant, and what to do with them.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use sio_proto::engine::Encoded;
use sio_proto::hub::Scope;
use sio_proto::server::{Broadcast, Delivery, Op};
use sio_proto::socket::Args;

use crate::ack::Answers;
use crate::encode::encode;
use crate::error::EmitError;
use crate::handlers::{Asks, Emits};
use crate::server::acks::{ClientAnswer, Slot};
use crate::server::room_events::Aside;
use crate::server::rooms::{IntoRooms, rooms};
use crate::server::{BroadcastWithAck, Namespace};

/// A selection of clients of one namespace, and what can be done to all of them.
///
/// Reads as in JavaScript: `io.to("a").to("b").except("c").emit("news", &item)?`. Each client is meant once, also if it is in
/// several of the rooms; `except` wins over `to`. Without rooms everyone is meant.
#[derive(Debug, Clone)]
#[must_use = "a selection does nothing by itself"]
pub struct Operator {
    namespace: Namespace,
    scope: Scope,
    volatile: bool,
    timeout: Duration,
}

impl Operator {
    pub(crate) fn new(namespace: Namespace, scope: Scope) -> Self {
        Self { namespace, scope, volatile: false, timeout: Duration::from_secs(5) }
    }

    /// Those in this room, or in one of these rooms, too.
    pub fn to(mut self, room: impl IntoRooms) -> Self {
        room.each_room(|room| self.scope.rooms.push(room));
        self
    }

    /// As [`to`](Self::to).
    pub fn in_(self, room: impl IntoRooms) -> Self {
        self.to(room)
    }

    /// Not those in this room, or in one of these rooms.
    pub fn except(mut self, room: impl IntoRooms) -> Self {
        room.each_room(|room| self.scope.except.push(room));
        self
    }

    /// How long [`emit_with_ack`](Self::emit_with_ack) waits for each answer. Default: 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Only those to whom the event can go out at once; the others miss it.
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Sends an event to all of them; encoded once. Arguments are those of [`Socket::emit`](crate::Socket::emit).
    ///
    /// The result counts clients. One that reads too slowly is disconnected or skipped, as
    /// [`overflow`](crate::ServerBuilder::overflow) says.
    ///
    /// # Errors
    /// [`EmitError::Encode`] only.
    pub fn emit<A: Args + ?Sized>(&self, event: impl Emits<A>, args: &A) -> Result<Delivery, EmitError> {
        let event = event.as_name();
        let (packet, offset) = self.namespace.encode_event(event, args, !self.volatile)?;
        self.namespace.watch(&self.scope, event, args);
        let broadcast = Broadcast { packet, volatile: self.volatile, ack: None, offset };
        Ok(self.apply(&Op::Broadcast(broadcast)))
    }

    /// Sends an event to all of them, and collects their acknowledgements when awaited: each client's answer, or why there is
    /// none. Clients that answer in time are in the list also if others do not.
    pub fn emit_with_ack<T, A: Args + ?Sized>(
        &self,
        event: impl Asks<A, T>,
        args: &A,
    ) -> BroadcastWithAck<T> {
        let id = self.namespace.next_ack_id();
        let packet = encode(self.namespace.codec(), |encoder| {
            encoder.event(self.namespace.name(), Some(id), event.as_name(), args)
        });
        self.namespace.watch(&self.scope, event.as_name(), args);
        BroadcastWithAck {
            operator: self.clone(),
            packet: packet.map(|packet| (id, packet)).map_err(EmitError::from),
            timeout: self.timeout,
            answer: PhantomData,
        }
    }

    /// Puts all of them into a room, or into several.
    pub fn sockets_join(&self, room: impl IntoRooms) {
        self.apply(&Op::Join(rooms(room)));
    }

    /// Takes all of them out of a room, or out of several.
    pub fn sockets_leave(&self, room: impl IntoRooms) {
        self.apply(&Op::Leave(rooms(room)));
    }

    /// Sends all of them away; with `close`, closes their connections.
    pub fn disconnect_sockets(&self, close: bool) {
        self.apply(&Op::Disconnect { close });
    }

    fn apply(&self, op: &Op) -> Delivery {
        let mut total = Delivery::default();
        let id = self.namespace.id();
        // Before the lock, so that it goes after it.
        let mut aside = Aside::default();
        let _held = self.namespace.recovering().map(|recovering| recovering.hold());
        self.namespace.shards(|shard| {
            let now = shard.now();
            let mut locked = shard.lock();
            let part = locked.machine.apply(id, &self.scope, op, now);
            locked.set_aside(&mut aside);
            total.sockets += part.sockets;
            total.skipped += part.skipped;
        });
        total
    }

    pub(super) fn send_with_ack(
        &self,
        ack: u64,
        packet: Encoded,
        timeout: Duration,
    ) -> impl Future<Output = Vec<ClientAnswer>> + use<> {
        let slot = Arc::new(Slot::new(None));
        let id = self.namespace.id();
        let mut expected = 0;
        let mut aside = Aside::default();
        let held = self.namespace.recovering().map(|recovering| recovering.hold());
        self.namespace.shards(|shard| {
            let deadline = shard.now() + timeout;
            let asked = Some((ack, deadline));
            let packet = packet.clone();
            let broadcast = Broadcast { packet, volatile: self.volatile, ack: asked, offset: None };
            let mut locked = shard.lock();
            let part = locked.machine.apply(id, &self.scope, &Op::Broadcast(broadcast), shard.now());
            if part.sockets > 0 {
                locked.acks.insert((id, ack), (slot.clone(), part.sockets));
                expected += part.sockets;
            }
            locked.set_aside(&mut aside);
        });
        drop(held);
        drop(aside);
        slot.expect(expected);
        let namespace = self.namespace.clone();
        // The machines keep a broadcast's ids until its deadline, which it always has.
        Answers::new(slot, move || {
            namespace.shards(|shard| {
                shard.lock().acks.remove(&(id, ack));
            });
        })
    }
}
