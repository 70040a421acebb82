//! [`Socket`]: one client in one namespace.

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use serde::de::DeserializeOwned;
use sio_proto::engine::{Encoded, Revision, Transport};
use sio_proto::hub::{Room, Scope, SocketKey};
use sio_proto::socket::{Args, Codec, DisconnectReason, EncodeError, Payload};
use sio_proto::{SocketId, Str};

use crate::ack::{Answers, EmitWithAck};
use crate::encode::encode;
use crate::error::{EmitError, Error, Packet};
use crate::handlers::{
    Asks, Emits, EventHandler, EventName, Handler, Live, Peer, States, Table, Unsent, destroy,
};
use crate::server::acks::{ClientAnswer, Slot};
use crate::server::data::DataCell;
use crate::server::flags::Flags;
use crate::server::middleware::ErasedMiddleware;
use crate::server::namespace::Handlers;
use crate::server::outgoing::Watcher;
use crate::server::recovery::OwnEnd;
use crate::server::shard::Shard;
use crate::server::{Conn, Handshake, IntoRooms, Link, Middleware, Namespace, Operator, Server, Shared};
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
    pub(crate) own: OnceLock<Box<Own>>,
    pub(crate) handshake: Arc<Link>,
    pub(crate) auth: Option<Str>,
    /// Made when it is first needed; sockets that have one session after another share it.
    pub(crate) data: OnceLock<Arc<DataCell>>,
    /// Why this server sent the client away.
    pub(crate) description: OnceLock<Str>,
    pub(crate) accepted: AtomicBool,
    /// Set when the client has left, with the rooms that it was in.
    pub(crate) left: OnceLock<(DisconnectReason, Vec<Room>)>,
    pub(crate) recovered: bool,
    pub(crate) end: OwnEnd,
}

/// Handlers of one socket alone.
#[derive(Default)]
pub(crate) struct Own {
    pub(crate) table: Live<Table<Socket>>,
    pub(crate) extra: Live<Extra>,
}

#[derive(Clone, Default)]
pub(crate) struct Extra {
    pub(crate) middlewares: Vec<ErasedMiddleware<Error>>,
    pub(crate) watchers: Vec<Watcher>,
}

impl SocketInner {
    pub(crate) fn own_table(&self) -> Option<&Live<Table<Socket>>> {
        self.own.get().map(|own| &own.table)
    }
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
        handshake: Arc<Link>,
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
            data: OnceLock::new(),
            description: OnceLock::new(),
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

    /// The connection: how it travels, what went through it, how far away the client is.
    #[must_use]
    pub fn conn(&self) -> Conn {
        Conn::new(self.0.shard.clone(), self.0.handshake.clone())
    }

    /// What the client sent as `auth` with its wish to join the namespace, as `T`. A client that sent none has an empty object.
    ///
    /// # Errors
    /// If it does not parse as `T`.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.auth.as_deref().unwrap_or("{}"))
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> Server {
        Server::from_shared(self.0.server.clone())
    }

    /// How the client's connection travels now. `None` once it is gone.
    #[must_use]
    pub fn transport(&self) -> Option<Transport> {
        let locked = self.0.shard.lock();
        let (conn, _) = locked.machine.hub().get(self.0.key)?.handle;
        locked.machine.transport(conn)
    }

    /// The revision of Engine.IO that the client speaks: 4, or 3 for clients of Socket.IO 2. `conn.protocol` in JavaScript. `None` once
    /// the client is gone.
    #[must_use]
    pub fn protocol(&self) -> Option<u8> {
        let locked = self.0.shard.lock();
        let (conn, _) = locked.machine.hub().get(self.0.key)?.handle;
        Some(match locked.machine.dialect(conn)?.revision {
            Revision::V3 => 3,
            _ => 4,
        })
    }

    /// Whether the client is connected to the namespace.
    #[must_use]
    pub fn is_connected(&self) -> bool {
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
    pub fn emit<A: Args + ?Sized>(&self, event: impl Emits<A>, args: &A) -> Result<(), EmitError> {
        self.emit_as(event.as_name(), args, Flags::new(self))
    }

    pub(super) fn emit_as<A: Args + ?Sized>(
        &self,
        event: &str,
        args: &A,
        flags: Flags<'_>,
    ) -> Result<(), EmitError> {
        // What may be dropped cannot be recovered either (B130).
        let (encoded, offset) = self.0.namespace.encode_event(event, args, !flags.volatile)?;
        self.watch(event, args);
        let encoded = flags.apply(encoded);
        if flags.volatile {
            return Ok(self.0.shard.lock().machine.emit(self.0.key, encoded, true)?);
        }
        self.send_packet(Packet { encoded, ack: None, offset })
    }

    /// As [`emit`](Self::emit), but waits for room instead of giving the event back.
    ///
    /// # Errors
    /// Those of `emit`, without `Full`.
    pub async fn emit_wait<A: Args + ?Sized>(&self, event: impl Emits<A>, args: &A) -> Result<(), EmitError> {
        self.wait_to_send(self.emit(event, args)).await
    }

    pub(super) async fn wait_to_send(&self, mut result: Result<(), EmitError>) -> Result<(), EmitError> {
        while let Err(EmitError::Full(packet)) = result {
            self.room(packet.encoded.len()).await;
            result = self.send_packet(packet);
        }
        result
    }

    /// Sends an event, and waits for the client's acknowledgement when awaited.
    ///
    /// ```
    /// # use sio_driver::Socket;
    /// # async fn ask(socket: &Socket) -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::time::Duration;
    /// let answer: String = socket.emit_with_ack("question", "?").timeout(Duration::from_secs(5)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn emit_with_ack<T, A: Args + ?Sized>(&self, event: impl Asks<A, T>, args: &A) -> EmitWithAck<T> {
        Flags::new(self).emit_with_ack(event, args)
    }

    pub(super) fn encode_with_ack<A: Args + ?Sized>(
        &self,
        event: &str,
        args: &A,
        flags: Flags<'_>,
    ) -> Result<(u64, Encoded), EncodeError> {
        let namespace = &self.0.namespace;
        let id = namespace.next_ack_id();
        let packet =
            encode(namespace.codec(), |encoder| encoder.event(namespace.name(), Some(id), event, args));
        self.watch(event, args);
        Ok((id, flags.apply(packet?)))
    }

    /// For an event that is out of date in a moment: it is dropped, with all its attachments, unless it can go out at once, because the
    /// client reads too slowly or has no poll pending. It is not kept for [recovery](Self::recovered) either.
    ///
    /// ```
    /// # use sio_driver::{EmitError, Socket};
    /// # fn position(socket: &Socket) -> Result<(), EmitError> {
    /// socket.volatile().emit("position", &(1.5, 2.0))?;
    /// socket.volatile().to("spectators").emit("position", &(1.5, 2.0))?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn volatile(&self) -> Flags<'_> {
        Flags::new(self).volatile()
    }

    /// For an event that is not to be compressed (`false`): no answer to a poll in which it is will be. WebSocket messages never are.
    ///
    /// ```
    /// # use sio_driver::{EmitError, Socket};
    /// # fn send(socket: &Socket, secret: &str) -> Result<(), EmitError> {
    /// socket.compress(false).emit("token", secret)?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn compress(&self, compress: bool) -> Flags<'_> {
        Flags::new(self).compress(compress)
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
        self.room(0).await;
    }

    /// Waits until that is so, and a packet of this length fits.
    async fn room(&self, len: usize) {
        poll_fn(|cx| {
            let mut locked = self.0.shard.lock();
            let Some(conn) = locked.machine.wait_for_room_of(self.0.key, len) else { return Poll::Ready(()) };
            if let Some(conn) = locked.conns.get_mut(conn) {
                enlist(&mut conn.writers, cx.waker());
            }
            Poll::Pending
        })
        .await;
    }

    /// Everyone in a room, except this client.
    pub fn to(&self, room: impl IntoRooms) -> Operator {
        self.broadcast().to(room)
    }

    /// As [`to`](Self::to).
    pub fn in_(&self, room: impl IntoRooms) -> Operator {
        self.to(room)
    }

    /// Everyone, except this client and those in a room.
    pub fn except(&self, room: impl IntoRooms) -> Operator {
        self.broadcast().except(room)
    }

    /// Everyone in the namespace, except this client.
    pub fn broadcast(&self) -> Operator {
        let scope = Scope::all().except(self.0.id.as_str());
        Operator::new(self.0.namespace.clone(), scope)
    }

    /// Joins a room, or several. Ignored once the client has left.
    pub fn join(&self, room: impl IntoRooms) {
        let mut locked = self.0.shard.lock();
        room.each_room(|room| locked.machine.join(self.0.key, &room));
    }

    /// Leaves a room, or several; harmless if the client is not in it.
    pub fn leave(&self, room: impl IntoRooms) {
        let mut locked = self.0.shard.lock();
        room.each_room(|room| locked.machine.leave(self.0.key, &room));
    }

    /// The rooms that the client is in; the first is the one named by its id, as soon as the client is connected: not yet in a middleware.
    /// In a disconnect handler: those it was in.
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

    /// As [`disconnect`](Self::disconnect), with words for [`disconnect_description`](Self::disconnect_description). They stay on this
    /// side: the protocol has no place for them. Tell the client by an event before.
    pub fn disconnect_with(&self, description: impl Into<Str>) {
        let _ = self.0.description.set(description.into());
        self.leave_server(false);
    }

    /// Why this server sent the client away: what [`disconnect_with`](Self::disconnect_with) was called with first. For disconnect
    /// handlers.
    #[must_use]
    pub fn disconnect_description(&self) -> Option<&str> {
        self.0.description.get().map(|description| &**description)
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
    pub fn on<E: EventName, M>(&self, event: E, handler: impl EventHandler<E, M>) -> &Self {
        self.change_own(|table| table.on(event, handler))
    }

    /// As [`on`](Self::on), but the handler is called for one event at most: the next one. Arguments that do not parse use it up.
    pub fn once<E: EventName, M>(&self, event: E, handler: impl EventHandler<E, M>) -> &Self {
        self.change_own(|table| table.once(event, handler))
    }

    /// Removes the handlers that [`on`](Self::on) and [`once`](Self::once) added for this event; those of the namespace stay.
    pub fn off(&self, event: impl EventName) -> &Self {
        if let Some(own) = self.0.own.get() {
            // Dropped without the lock: what handlers captured may use the socket.
            let removed = own.table.change(|table| table.off(event.as_name()));
            drop(removed);
        }
        self
    }

    /// Adds a handler for every event of this client alone, before the event's own handlers; also for events that have none.
    /// Ignored once the client has left. See [`Namespace::on_any`].
    pub fn on_any<M>(&self, handler: impl Handler<M>) -> &Self {
        self.change_own(|table| table.on_any(handler))
    }

    /// Removes the handlers that [`on_any`](Self::on_any) added; those of the namespace stay.
    pub fn off_any(&self) -> &Self {
        if let Some(own) = self.0.own.get() {
            // Dropped without the lock, as above.
            let removed = own.table.change(Table::off_any);
            drop(removed);
        }
        self
    }

    /// Adds a middleware for events of this client alone: it decides whether an event is handled. It runs after those of the namespace;
    /// see [`Namespace::use_event`]. Named `use` in JavaScript. Ignored once the client has left.
    pub fn use_<M>(&self, middleware: impl Middleware<M, Error>) -> &Self {
        self.change_extra(|extra| extra.middlewares.push(ErasedMiddleware::new(middleware)))
    }

    /// Adds a function that is told of every event that is sent to this client, also by a broadcast; see
    /// [`Namespace::on_any_outgoing`]. Ignored once the client has left.
    pub fn on_any_outgoing(&self, watcher: impl Fn(&Self, &Payload) + Send + Sync + 'static) -> &Self {
        self.namespace().set_watched();
        self.change_extra(|extra| extra.watchers.push(Arc::new(watcher)))
    }

    /// Removes what [`on_any_outgoing`](Self::on_any_outgoing) added; what the namespace added stays.
    pub fn off_any_outgoing(&self) -> &Self {
        if let Some(own) = self.0.own.get() {
            // Dropped without the lock, as above.
            let removed = own.extra.change(|extra| std::mem::take(&mut extra.watchers));
            drop(removed);
        }
        self
    }

    fn change_own(&self, change: impl FnOnce(&mut Table<Self>)) -> &Self {
        self.0.own.get_or_init(Box::default).table.change(|table| {
            if self.0.left.get().is_none() {
                change(table);
            }
        });
        self
    }

    fn change_extra(&self, change: impl FnOnce(&mut Extra)) -> &Self {
        self.0.own.get_or_init(Box::default).extra.change(|extra| {
            if self.0.left.get().is_none() {
                change(extra);
            }
        });
        self
    }

    /// Drops the handlers of this client alone, for they may hold the socket that holds them.
    pub(crate) fn forget_handlers(&self) {
        if let Some(own) = self.0.own.get() {
            // Dropped without the lock, as above.
            let table = own.table.change(std::mem::take);
            let extra = own.extra.change(std::mem::take);
            destroy((table, extra));
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

    fn codec(&self) -> &Codec {
        self.0.namespace.codec()
    }

    fn send_ack(&self, _: u64, packet: Packet) -> Result<(), EmitError> {
        self.send_packet(packet)
    }

    async fn room_for_ack(&self, _: u64, len: usize) {
        self.room(len).await;
    }

    fn states(&self) -> &States {
        &self.0.server.state
    }

    fn report(&self, error: &Error, ack: Option<u64>) -> Result<Option<u64>, Unsent> {
        self.0.handlers.table.report(self, error, ack)
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Socket {}
