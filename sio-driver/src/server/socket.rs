//! [`Socket`]: one client in one namespace.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use sio_proto::engine::Encoded;
use sio_proto::hub::{Room, Scope, SocketKey};
use sio_proto::socket::{Args, DisconnectReason};
use sio_proto::{SocketId, Str};

use crate::ack::{Answers, EmitWithAck};
use crate::encode::encode;
use crate::error::{EmitError, Error, Packet};
use crate::handlers::{Handler, Live, Peer, States, Table};
use crate::server::acks::{ClientAnswer, Slot};
use crate::server::namespace::Handlers;
use crate::server::recovery::OwnEnd;
use crate::server::shard::Shard;
use crate::server::{Handshake, Namespace, Operator, Shared};
use crate::wakers::enlist;

/// One client in one namespace. Cloning gives another handle to the same client.
///
/// A handle may outlive the client: sending then fails with [`EmitError::Disconnected`], and everything else does nothing.
#[derive(Clone)]
pub struct Socket(pub(crate) Arc<SocketInner>);

pub(crate) struct SocketInner {
    pub(crate) shard: Arc<Shard>,
    /// Handlers of a socket may ask for the state, whether or not anybody else still holds the server.
    pub(crate) server: Arc<Shared>,
    pub(crate) key: SocketKey,
    pub(crate) id: SocketId,
    pub(crate) namespace: Namespace,
    /// The namespace's handlers as they were when the client connected.
    pub(crate) handlers: Arc<Handlers>,
    /// Handlers of this socket alone.
    pub(crate) own: OnceLock<Live<Table<Socket>>>,
    pub(crate) handshake: Arc<Handshake>,
    pub(crate) auth: Option<Str>,
    pub(crate) accepted: AtomicBool,
    /// Set when the client has left, with the rooms that it was in.
    pub(crate) left: OnceLock<(DisconnectReason, Vec<Room>)>,
    pub(crate) recovered: bool,
    pub(crate) end: OwnEnd,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("id", &self.id()).field("namespace", &self.0.namespace.name()).finish()
    }
}

impl Socket {
    pub(crate) fn new(
        shard: Arc<Shard>,
        server: Arc<Shared>,
        (key, id): (SocketKey, SocketId),
        namespace: Namespace,
        handshake: Arc<Handshake>,
        auth: Option<Str>,
    ) -> Self {
        let handlers = namespace.handlers();
        Self(Arc::new(SocketInner {
            shard,
            server,
            key,
            id,
            namespace,
            handlers,
            own: OnceLock::new(),
            handshake,
            auth,
            accepted: false.into(),
            left: OnceLock::new(),
            recovered: false,
            end: OwnEnd::default(),
        }))
    }

    /// The public id: 20 characters, another one for each namespace and connection, unless the client was [recovered](Self::recovered).
    #[must_use]
    pub fn id(&self) -> SocketId {
        self.0.id
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }

    /// The request that opened the connection.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        &self.0.handshake
    }

    /// Whether the client is connected to the namespace.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.0.accepted.load(Ordering::Acquire) && self.0.shard.lock().machine.hub().get(self.0.key).is_some()
    }

    /// Whether the client was away, and has its session back: its id, its rooms and the events that it missed. See
    /// [`connection_state_recovery`](crate::ServerBuilder::connection_state_recovery).
    #[must_use]
    pub fn recovered(&self) -> bool {
        self.0.recovered
    }

    /// Sends an event. A tuple is several arguments, `&()` is none, anything else that is `Serialize` is one; `Bytes` inside
    /// becomes a binary attachment.
    ///
    /// Never waits, and never loses an event in silence: it is queued, or given back.
    ///
    /// # Errors
    /// [`EmitError::Full`] if the client reads too slowly, and the others of [`EmitError`].
    pub fn emit<A: Args + ?Sized>(&self, event: &str, args: &A) -> Result<(), EmitError> {
        let (encoded, offset) = self.0.namespace.encode_event(event, args, true)?;
        self.send_packet(Packet { encoded, ack: None, offset })
    }

    /// As [`emit`](Self::emit), but waits for room instead of giving the event back.
    ///
    /// # Errors
    /// Those of `emit`, without `Full`.
    pub async fn emit_wait<A: Args + ?Sized>(&self, event: &str, args: &A) -> Result<(), EmitError> {
        let mut result = self.emit(event, args);
        while let Err(EmitError::Full(packet)) = result {
            self.ready().await;
            result = self.send_packet(packet);
        }
        result
    }

    /// Sends an event, and waits for the client's acknowledgement when awaited.
    ///
    /// ```ignore
    /// let answer: String = socket.emit_with_ack("question", "?").timeout(Duration::from_secs(5)).await?;
    /// ```
    pub fn emit_with_ack<T>(&self, event: &str, args: &(impl Args + ?Sized)) -> EmitWithAck<T> {
        let id = self.0.namespace.next_ack_id();
        let packet = encode(|encoder| encoder.event(self.0.namespace.name(), Some(id), event, args));
        EmitWithAck {
            socket: self.clone(),
            packet: packet.map(|packet| (id, packet)).map_err(EmitError::from),
            timeout: None,
            answer: PhantomData,
        }
    }

    pub(crate) fn send_with_ack(
        &self,
        id: u64,
        packet: Encoded,
        timeout: Option<Duration>,
    ) -> Result<impl Future<Output = Vec<ClientAnswer>> + use<>, EmitError> {
        let slot = Arc::new(Slot::new(Some(1)));
        let deadline = timeout.map(|timeout| self.0.shard.now() + timeout);
        let mut locked = self.0.shard.lock();
        locked.machine.emit_with_ack(self.0.key, packet, id, deadline)?;
        let key = (self.0.namespace.id(), id);
        locked.acks.insert(key, (slot.clone(), 1));
        drop(locked);
        let socket = self.clone();
        Ok(Answers::new(slot, move || {
            let mut locked = socket.0.shard.lock();
            if locked.acks.remove(&key).is_some() {
                locked.machine.forget_ack(socket.0.key, id);
            }
        }))
    }

    /// Sends a packet that [`EmitError::Full`] gave back.
    ///
    /// # Errors
    /// As for [`emit`](Self::emit).
    pub fn send_packet(&self, packet: Packet) -> Result<(), EmitError> {
        let Packet { encoded, offset, .. } = packet;
        let Some(offset) = offset else {
            return Ok(self.0.shard.lock().machine.emit(self.0.key, encoded, false)?);
        };
        let now = self.0.shard.now();
        let sent = self.0.shard.lock().machine.emit_at(self.0.key, encoded, offset, now);
        sent.map_err(|error| match error.into() {
            EmitError::Full(packet) => EmitError::Full(Packet { offset: Some(offset), ..packet }),
            other => other,
        })
    }

    /// Waits until the outbox is at most half full, or the client is gone.
    pub async fn ready(&self) {
        poll_fn(|cx| {
            let mut locked = self.0.shard.lock();
            let Some(conn) = locked.machine.wait_for_room(self.0.key) else { return Poll::Ready(()) };
            if let Some(conn) = locked.conns.get_mut(conn) {
                enlist(&mut conn.writers, cx.waker());
            }
            Poll::Pending
        })
        .await;
    }

    /// Everyone in a room, except this client.
    pub fn to(&self, room: impl Into<Room>) -> Operator {
        self.broadcast().to(room)
    }

    /// As [`to`](Self::to).
    pub fn in_(&self, room: impl Into<Room>) -> Operator {
        self.to(room)
    }

    /// Everyone, except this client and those in a room.
    pub fn except(&self, room: impl Into<Room>) -> Operator {
        self.broadcast().except(room)
    }

    /// Everyone in the namespace, except this client.
    pub fn broadcast(&self) -> Operator {
        let scope = Scope::all().except(self.0.id.as_str());
        Operator::new(self.0.namespace.clone(), scope)
    }

    /// Joins a room. Ignored once the client has left.
    pub fn join(&self, room: impl AsRef<str>) {
        self.0.shard.lock().machine.join(self.0.key, room.as_ref());
    }

    /// Leaves a room; harmless if the client is not in it.
    pub fn leave(&self, room: impl AsRef<str>) {
        self.0.shard.lock().machine.leave(self.0.key, room.as_ref());
    }

    /// The rooms that the client is in; the first is the one named by its id. In a disconnect handler: those it was in.
    #[must_use]
    pub fn rooms(&self) -> Vec<Room> {
        match self.0.left.get() {
            Some((_, rooms)) => rooms.clone(),
            None => self.0.shard.lock().machine.rooms(self.0.key).cloned().collect(),
        }
    }

    /// Sends the client away from this namespace. Its connection, and its other namespaces, stay.
    pub fn disconnect(&self) {
        self.leave_server(false);
    }

    /// Closes the client's connection, after telling each of its namespaces.
    pub fn disconnect_connection(&self) {
        self.leave_server(true);
    }

    fn leave_server(&self, close: bool) {
        let now = self.0.shard.now();
        let _ = self.0.shard.lock().machine.disconnect(self.0.key, close, now);
    }

    /// Adds a handler for events of this client alone. It runs after the namespace's handlers for the same event. Ignored once
    /// the client has left.
    pub fn on<M>(&self, event: impl Into<String>, handler: impl Handler<M>) -> &Self {
        self.change_own(|table| table.on(event.into(), handler))
    }

    /// As [`on`](Self::on), but the handler is called for one event at most: the next one. Arguments that do not parse use it up.
    pub fn once<M>(&self, event: impl Into<String>, handler: impl Handler<M>) -> &Self {
        self.change_own(|table| table.once(event.into(), handler))
    }

    /// Removes the handlers that [`on`](Self::on) and [`once`](Self::once) added for this event; those of the namespace stay.
    pub fn off(&self, event: &str) -> &Self {
        if let Some(own) = self.0.own.get() {
            // Dropped without the lock: what handlers captured may use the socket.
            let removed = own.change(|table| table.off(event));
            drop(removed);
        }
        self
    }

    /// Adds a handler for every event of this client alone, before the event's own handlers; also for events that have none.
    /// Ignored once the client has left.
    pub fn on_any<M>(&self, handler: impl Handler<M>) -> &Self {
        self.change_own(|table| table.on_any(handler))
    }

    fn change_own(&self, change: impl FnOnce(&mut Table<Self>)) -> &Self {
        let own = self.0.own.get_or_init(Live::default);
        own.change(|table| {
            if self.0.left.get().is_none() {
                change(table);
            }
        });
        self
    }

    /// Drops the handlers of this client alone, for they may hold the socket that holds them.
    pub(crate) fn forget_handlers(&self) {
        if let Some(own) = self.0.own.get() {
            // Dropped without the lock, as above.
            let table = own.change(std::mem::take);
            drop(table);
        }
    }
}

impl Peer for Socket {
    fn log_id(&self) -> impl fmt::Display {
        self.0.id
    }

    fn namespace_name(&self) -> &Str {
        self.0.namespace.name()
    }

    fn send_ack(&self, _: u64, packet: Packet) -> Result<(), EmitError> {
        self.send_packet(packet)
    }

    fn states(&self) -> &States {
        &self.0.server.state
    }

    fn report(&self, error: &Error) {
        self.0.handlers.table.report(self, error);
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Socket {}
