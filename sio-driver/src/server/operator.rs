//! [`Operator`]: who is meant, and what to do with them.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use sio_proto::Str;
use sio_proto::cluster::{self, Change, Flags};
use sio_proto::engine::Encoded;
use sio_proto::hub::Scope;
use sio_proto::server::{Broadcast, Delivery, Op};
use sio_proto::socket::{Args, EncodeError, Payload};

use crate::ack::Answers;
use crate::encode::encode;
use crate::error::EmitError;
use crate::handlers::{Asks, Emits};
use crate::server::acks::{ClientAnswer, Slot};
use crate::server::cluster::{Member, Partial, RemoteSocket, Requested};
use crate::server::room_events::Aside;
use crate::server::rooms::{IntoRooms, rooms};
use crate::server::{BroadcastWithAck, Namespace, ParentNamespace, Socket};

/// A selection of clients of one namespace, and what can be done to all of them.
///
/// Reads as in JavaScript: `io.to("a").to("b").except("c").emit("news", &item)?`. Each client is meant once, also if it is in
/// several of the rooms; `except` wins over `to`. Without rooms everyone is meant.
///
/// `Operator<ParentNamespace>` is one of clients in all [children](ParentNamespace::children) that there are when something is done.
#[derive(Debug, Clone)]
#[must_use = "a selection does nothing by itself"]
pub struct Operator<N = Namespace> {
    namespace: N,
    scope: Scope,
    volatile: bool,
    compress: bool,
    timeout: Duration,
    local: bool,
}

/// The acknowledgements of this server's clients, on their way.
pub(crate) struct Asked {
    answers: Answers<Box<dyn Fn() + Send + Sync>, ClientAnswer>,
    expected: usize,
}

impl Asked {
    /// How many clients were asked.
    pub(super) fn expected(&self) -> usize {
        self.expected
    }

    /// The next answer, `None` after the last.
    pub(super) async fn next(&mut self) -> Option<ClientAnswer> {
        self.answers.next().await
    }

    /// All answers.
    pub(super) async fn all(self) -> Vec<ClientAnswer> {
        self.answers.await
    }
}

impl<N> Operator<N> {
    pub(crate) fn new(namespace: N, scope: Scope) -> Self {
        Self {
            namespace,
            scope,
            volatile: false,
            compress: true,
            timeout: Duration::from_secs(5),
            local: false,
        }
    }

    /// Only the clients of this server, if there are several: see [`ServerBuilder::adapter`](crate::ServerBuilder::adapter).
    pub fn local(mut self) -> Self {
        self.local = true;
        self
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

    /// Only those to whom the event can go out at once; the others miss it.
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Whether answers to polls in which the event is may be compressed. Default: yes, if they are large enough for
    /// [`http_compression`](crate::ServerBuilder::http_compression). WebSocket messages are never compressed.
    pub fn compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }
}

impl Operator {
    /// What another server wants of the clients of this one.
    pub(super) fn local_of(namespace: Namespace, scope: Scope, flags: Flags) -> Self {
        let Flags { volatile, compress } = flags;
        Self { volatile, compress: compress.unwrap_or(true), local: true, ..Self::new(namespace, scope) }
    }

    /// How long [`emit_with_ack`](Self::emit_with_ack) waits for each answer, and [`fetch_sockets`](Self::fetch_sockets) for other
    /// servers. Default: 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends an event to all of them; encoded once. Arguments are those of [`Socket::emit`](crate::Socket::emit).
    ///
    /// The result counts clients, of this server only. One that reads too slowly is disconnected or skipped, as
    /// [`overflow`](crate::ServerBuilder::overflow) says.
    ///
    /// # Errors
    /// [`EmitError::Encode`] only.
    pub fn emit<A: Args + ?Sized>(&self, event: impl Emits<A>, args: &A) -> Result<Delivery, EmitError> {
        let event = event.as_name();
        let (packet, offset) = self.namespace.encode_event(event, args, !self.volatile)?;
        let packet = packet.compress(self.compress);
        self.namespace.watch(&self.scope, event, args);
        let broadcast = Broadcast { packet, volatile: self.volatile, ack: None, offset };
        let payload = self.beyond().map(|member| (member, Payload::from_event(event, args)));
        let delivery = self.apply(&Op::Broadcast(broadcast));
        if let Some((member, payload)) = payload {
            let (payload, scope) = (payload.map_err(EncodeError::from)?, self.scope.clone());
            member.act(|node, _| node.broadcast(payload, scope, self.flags()));
        }
        Ok(delivery)
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
        let packet = packet.and_then(|packet| {
            let payload = self.beyond().map(|_| Payload::from_event(event.as_name(), args));
            Ok((id, packet.compress(self.compress), payload.transpose()?))
        });
        BroadcastWithAck {
            operator: self.clone(),
            packet: packet.map_err(EmitError::from),
            timeout: self.timeout,
            answer: PhantomData,
        }
    }

    /// Puts all of them into a room, or into several.
    pub fn sockets_join(&self, room: impl IntoRooms) {
        self.change(Change::Join(rooms(room)));
    }

    /// Takes all of them out of a room, or out of several.
    pub fn sockets_leave(&self, room: impl IntoRooms) {
        self.change(Change::Leave(rooms(room)));
    }

    /// Sends all of them away; with `close`, closes their connections.
    pub fn disconnect_sockets(&self, close: bool) {
        self.change(Change::Disconnect { close });
    }

    /// The connected clients of this server that are meant.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket> {
        self.namespace.select(&self.scope)
    }

    /// The connected clients that are meant, of all servers, as they are now. Waits for other servers, if there are any, for as long as
    /// [`timeout`](Self::timeout) says.
    ///
    /// # Errors
    /// [`Partial`] if other servers did not answer in time. It has the clients of those that did.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, Partial<RemoteSocket>> {
        let remote = |info| RemoteSocket::new(self.namespace.clone(), info);
        let requested = self.beyond().map(|member| {
            member.request(|node, now| node.fetch_sockets(self.scope.clone(), self.timeout, now))
        });
        let mut got: Vec<_> = self.namespace.infos(&self.scope).into_iter().map(remote).collect();
        if let Some(requested) = requested {
            let (answers, missing) = requested.await;
            if let cluster::Answers::Sockets(others) = answers {
                got.extend(others.into_iter().map(remote));
            }
            if missing.count > 0 {
                return Err(Partial { got, missing, unanswered: 0, malformed: 0 });
            }
        }
        Ok(got)
    }

    /// As other servers are told of them. Silence is the default there: what is said by nobody need not be carried.
    fn flags(&self) -> Flags {
        Flags { volatile: self.volatile, compress: (!self.compress).then_some(false) }
    }

    /// The way to other servers, if they are meant too.
    fn beyond(&self) -> Option<&Arc<Member>> {
        self.namespace.member().filter(|_| !self.local)
    }

    fn change(&self, change: Change) {
        if let Some(member) = self.beyond() {
            // First what others do, so that they know of the rooms before a client has gone; the order for this server is the same.
            let (scope, change) = (self.scope.clone(), change.clone());
            member.act(|node, _| node.change(scope, change));
        }
        self.apply(&Op::from(change));
    }

    pub(super) fn apply(&self, op: &Op) -> Delivery {
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

    /// Sends an event to the clients of this server that are meant, and collects their acknowledgements.
    pub(super) fn ask(&self, event: &Str, args: &Payload, timeout: Duration) -> Result<Asked, EmitError> {
        let ack = self.namespace.next_ack_id();
        let packet = encode(self.namespace.codec(), |encoder| {
            encoder.event(self.namespace.name(), Some(ack), event, args)
        })?;
        self.namespace.watch(&self.scope, event, args);
        Ok(self.send_with_ack(ack, packet.compress(self.compress), timeout))
    }

    /// As [`send_with_ack`](Self::send_with_ack), to the clients of other servers.
    ///
    /// `single`: they are one client, so that the first is all.
    pub(super) fn ask_others(&self, payload: Payload, single: bool, timeout: Duration) -> Option<Requested> {
        let (scope, flags) = (self.scope.clone(), self.flags());
        Some(
            self.beyond()?
                .request(|node, now| node.broadcast_with_ack(payload, scope, flags, single, timeout, now)),
        )
    }

    pub(super) fn send_with_ack(&self, ack: u64, packet: Encoded, timeout: Duration) -> Asked {
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
        let forget = move || {
            namespace.shards(|shard| {
                shard.lock().acks.remove(&(id, ack));
            });
        };
        Asked { answers: Answers::new(slot, Box::new(forget)), expected }
    }
}

impl Operator<ParentNamespace> {
    /// The same selection, in each child.
    fn each(&self) -> impl Iterator<Item = Operator> {
        let Self { ref namespace, ref scope, volatile, compress, timeout, local } = *self;
        let children = namespace.children().into_iter();
        children.map(move |namespace| Operator {
            namespace,
            scope: scope.clone(),
            volatile,
            compress,
            timeout,
            local,
        })
    }

    /// Sends an event to all of them. The result counts clients, of this server only, and of all children.
    ///
    /// # Errors
    /// [`EmitError::Encode`] only.
    pub fn emit<A: Args + ?Sized>(&self, event: impl Emits<A>, args: &A) -> Result<Delivery, EmitError> {
        let mut total = Delivery::default();
        for child in self.each() {
            let part = child.emit(event.as_name(), args)?;
            total.sockets += part.sockets;
            total.skipped += part.skipped;
        }
        Ok(total)
    }

    /// Puts all of them into a room of their namespace, or into several.
    pub fn sockets_join(&self, room: impl IntoRooms) {
        let change = Change::Join(rooms(room));
        self.each().for_each(|child| child.change(change.clone()));
    }

    /// Takes all of them out of a room of their namespace, or out of several.
    pub fn sockets_leave(&self, room: impl IntoRooms) {
        let change = Change::Leave(rooms(room));
        self.each().for_each(|child| child.change(change.clone()));
    }

    /// Sends all of them away; with `close`, closes their connections.
    pub fn disconnect_sockets(&self, close: bool) {
        self.each().for_each(|child| child.disconnect_sockets(close));
    }

    /// The connected clients of this server that are meant.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket> {
        self.each().flat_map(|child| child.sockets()).collect()
    }
}
