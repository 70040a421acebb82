//! [`ClientSocket`]: a client in one namespace.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Poll, ready};

use sio_proto::Str;
use sio_proto::engine::{Traffic, Transport};
use sio_proto::socket::{AckId, Args, Codec, ConnectionError, Emit, Emitted, Payload, Slot, Ticket};

use crate::ack::{AckSlot, EmitWithAck};
use crate::client::auth::Auth;
use crate::client::core::{Core, Life, Locked, Wait, Wish};
use crate::client::emit::Volatile;
use crate::client::hooks::{Hook, Hooks};
use crate::client::incoming::{Events, Incoming};
use crate::client::outgoing::Watchers;
use crate::encode::encode;
use crate::error::{EmitError, Error, Packet, Rejection};
use crate::handlers::{
    Asks, Context, Emits, EventHandler, EventName, FromContext, Handler, Live, Peer, Side, States, Table,
    Unsent, What,
};

/// A client in one namespace. Cloning gives another handle to the same.
///
/// It connects, and connects again, by itself; see [`Client`](crate::Client) for how that is watched. When the last handle of a client and
/// its sockets is dropped, the client closes.
#[derive(Clone)]
pub struct ClientSocket {
    pub(crate) life: Arc<Life>,
    pub(crate) inner: Arc<SocketInner>,
    /// For the handle that a handler gets: the event that it may acknowledge, on the connection on which it came.
    pub(crate) answers: Option<AckId>,
}

pub(crate) struct SocketInner {
    pub(crate) slot: Slot,
    pub(crate) name: Str,
    pub(crate) table: Live<Table<ClientSocket>>,
    pub(crate) hooks: Live<Hooks>,
    pub(crate) watchers: Watchers,
    pub(crate) auth: Live<Auth>,
    /// Whether events are sent until they are acknowledged, and so need ids.
    pub(crate) retries: bool,
    /// Whether somebody asks for events.
    pub(crate) receiving: AtomicBool,
    next_ack: AtomicU64,
}

impl SocketInner {
    pub(crate) fn new(
        slot: Slot,
        name: Str,
        auth: Auth,
        retries: bool,
        table: Live<Table<ClientSocket>>,
        hooks: Live<Hooks>,
        watchers: Watchers,
    ) -> Self {
        Self {
            slot,
            name,
            table,
            hooks,
            watchers,
            auth: Live::new(auth),
            retries,
            receiving: AtomicBool::new(false),
            next_ack: AtomicU64::new(0),
        }
    }

    /// Drops what the user has given, after the end.
    pub(crate) fn forget(&self) {
        // Each without its lock.
        let table = self.table.change(std::mem::take);
        let hooks = self.hooks.change(std::mem::take);
        let auth = self.auth.change(std::mem::take);
        drop((table, hooks, auth));
        self.watchers.clear();
    }
}

impl fmt::Debug for ClientSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSocket").field("namespace", &self.inner.name).finish_non_exhaustive()
    }
}

impl ClientSocket {
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.life.0
    }

    pub(crate) fn codec(&self) -> &Codec {
        &self.core().codec
    }

    pub(crate) fn lock(&self) -> Locked<'_> {
        self.core().lock()
    }

    // ---- What it is ---------------------------------------------------------------------------------------------

    /// The namespace, with its slash.
    #[must_use]
    pub fn namespace(&self) -> &Str {
        &self.inner.name
    }

    /// The id that the server gave, while connected. Another one after each reconnection, unless the session was recovered (B147).
    #[must_use]
    pub fn id(&self) -> Option<Str> {
        self.core().state().machine.conn().id(self.inner.slot).cloned()
    }

    /// Whether the client is connected to the namespace.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.core().state().machine.conn().is_connected(self.inner.slot)
    }

    /// Whether the client is connected, or will be by itself as soon as it can.
    #[must_use]
    pub fn is_active(&self) -> bool {
        let state = self.core().state();
        // Idle with namespaces to join: the client has given up, or does not reconnect.
        !state.machine.is_idle() && state.machine.conn().is_active(self.inner.slot)
    }

    /// Whether the last connection continued the session before it, with its id, rooms and missed events.
    #[must_use]
    pub fn recovered(&self) -> bool {
        self.core().state().machine.conn().recovered(self.inner.slot)
    }

    /// How the connection travels, if there is one.
    #[must_use]
    pub fn transport(&self) -> Option<Transport> {
        let state = self.core().state();
        if state.finished { None } else { state.machine.transport() }
    }

    /// What went through all connections of the client so far, those of its other namespaces included.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.core().state().machine.traffic()
    }

    /// Waits until the client is connected.
    ///
    /// # Errors
    /// The first failure from now on, even if the client goes on trying; or that it does not try.
    pub async fn connected(&self) -> Result<(), ConnectionError> {
        let failures = self.core().state().machine.conn().failures(self.inner.slot);
        self.connected_after(failures).await
    }

    /// Waits until the client is connected, or has failed more often than so.
    pub(crate) async fn connected_after(&self, failures: u64) -> Result<(), ConnectionError> {
        let slot = self.inner.slot;
        let mut wait = Wait::new(self.core());
        poll_fn(|cx| {
            let state = ready!(wait.poll(Wish::Connection(slot, failures), cx));
            let conn = state.machine.conn();
            if conn.is_connected(slot) {
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Err(conn.last_error(slot).cloned().unwrap_or(ConnectionError::NotConnecting)))
        })
        .await
    }

    // ---- Sending ------------------------------------------------------------------------------------------------

    /// Sends an event. A tuple is several arguments, `&()` is none, anything else that is `Serialize` is one; `Bytes` inside
    /// becomes a binary attachment.
    ///
    /// Never waits, and never loses an event in silence: it is queued, kept while there is no connection, or given back. With
    /// [`retries`](crate::ClientBuilder::retries) it is sent until the server acknowledges it.
    ///
    /// # Errors
    /// [`EmitError::Full`] if too much waits already, and the others of [`EmitError`].
    pub fn emit<A: Args + ?Sized>(&self, event: impl Emits<A>, args: &A) -> Result<(), EmitError> {
        let ack = self.inner.retries.then(|| self.next_ack_id());
        let packet =
            encode(self.codec(), |encoder| encoder.event(&self.inner.name, ack, event.as_name(), args))?;
        self.watch(event.as_name(), args);
        self.submit(Emit { ack, ..Emit::new(packet) }).map(|_| ())
    }

    /// As [`emit`](Self::emit), but waits for room instead of giving the event back.
    ///
    /// # Errors
    /// Those of `emit`, without `Full`.
    pub async fn emit_wait<A: Args + ?Sized>(&self, event: impl Emits<A>, args: &A) -> Result<(), EmitError> {
        let mut result = self.emit(event, args);
        while let Err(EmitError::Full(packet)) = result {
            Wait::new(self.core()).until(Wish::RoomFor(self.inner.slot, packet.encoded.len())).await;
            result = self.send_packet(packet);
        }
        result
    }

    /// Sends an event, and waits for the server's acknowledgement when awaited.
    ///
    /// ```
    /// # use sio_driver::ClientSocket;
    /// # async fn ask(socket: &ClientSocket) -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::time::Duration;
    /// let answer: String = socket.emit_with_ack("question", "?").timeout(Duration::from_secs(5)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn emit_with_ack<T, A: Args + ?Sized>(
        &self,
        event: impl Asks<A, T>,
        args: &A,
    ) -> EmitWithAck<T, Self> {
        let id = self.next_ack_id();
        let packet =
            encode(self.codec(), |encoder| encoder.event(&self.inner.name, Some(id), event.as_name(), args));
        if packet.is_ok() {
            self.watch(event.as_name(), args);
        }
        let packet = packet.map(|packet| (id, packet)).map_err(EmitError::from);
        EmitWithAck { socket: self.clone(), packet, timeout: None, answer: PhantomData }
    }

    /// For events that are dropped if they cannot go out at once.
    #[must_use]
    pub fn volatile(&self) -> Volatile<'_> {
        Volatile(self)
    }

    /// Nothing: what a client sends is never compressed, as polls of the JavaScript client are not. There for code that is brought over.
    #[must_use]
    pub const fn compress(&self, _compress: bool) -> &Self {
        self
    }

    /// Sends a packet that [`EmitError::Full`] gave back.
    ///
    /// # Errors
    /// As for [`emit`](Self::emit).
    pub fn send_packet(&self, packet: Packet) -> Result<(), EmitError> {
        self.submit(Emit { ack: packet.ack, ..Emit::new(packet.encoded) }).map(|_| ())
    }

    /// Waits until at most half of what may wait to be sent does, or the client is closed.
    pub async fn ready(&self) {
        Wait::new(self.core()).until(Wish::Room(self.inner.slot)).await;
    }

    /// Drops the events that wait to be sent. Who waits for their acknowledgements gets [`AckError::Dropped`](crate::AckError::Dropped).
    pub fn clear_send_buffer(&self) {
        let now = self.core().clock.now();
        self.lock().machine.clear_send_buffer(self.inner.slot, now);
    }

    pub(crate) fn next_ack_id(&self) -> u64 {
        self.inner.next_ack.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn submit(&self, emit: Emit) -> Result<Emitted, EmitError> {
        let (now, ack) = (self.core().clock.now(), emit.ack);
        let mut locked = self.lock();
        if locked.finished {
            return Err(EmitError::Disconnected);
        }
        locked.machine.emit(self.inner.slot, emit, now).map_err(|error| EmitError::from_client(error, ack))
    }

    /// Sends an event and says where its answer will arrive.
    pub(crate) fn submit_with_ack(&self, id: u64, emit: Emit) -> Result<Arc<AckSlot>, EmitError> {
        let answer = Arc::new(AckSlot::new(Some(1)));
        let now = self.core().clock.now();
        let mut locked = self.lock();
        if locked.finished {
            return Err(EmitError::Disconnected);
        }
        locked.acks.insert((self.inner.slot, id), answer.clone());
        if let Err(error) = locked.machine.emit(self.inner.slot, emit, now) {
            locked.acks.remove(&(self.inner.slot, id));
            return Err(EmitError::from_client(error, Some(id)));
        }
        Ok(answer)
    }

    pub(crate) fn forget_ack(&self, id: u64) {
        // Nothing follows from it that the task would have to do.
        let mut state = self.core().state();
        if state.acks.remove(&(self.inner.slot, id)).is_some() {
            state.machine.forget_ack(self.inner.slot, id);
        }
    }

    // ---- Coming and going ---------------------------------------------------------------------------------------

    /// Connects, after the server or this side has disconnected, or after the client gave up. Does nothing while
    /// [`is_active`](Self::is_active) and trying, or once the client is closed.
    pub fn connect(&self) {
        let now = self.core().clock.now();
        let _ = self.lock().machine.connect(self.inner.slot, now);
    }

    /// Leaves the namespace, after what was emitted before. It stays so until [`connect`](Self::connect). Other namespaces of the client
    /// are not touched; after the last one the connection is closed.
    pub fn disconnect(&self) {
        let now = self.core().clock.now();
        self.lock().machine.disconnect(self.inner.slot, now);
    }

    pub(crate) fn authenticate(&self, ticket: Ticket, auth: Result<Option<Str>, Str>) {
        let now = self.core().clock.now();
        // Void if the connection was lost meanwhile; then it is asked for again.
        let _ = self.lock().machine.authenticate(self.inner.slot, ticket, auth, now);
    }

    // ---- Handlers -----------------------------------------------------------------------------------------------

    /// Adds a handler for an event. It takes the same extractors as a server's, with [`ClientSocket`] in place of `Socket`; the value
    /// that it returns is the acknowledgement. Several for one event run one after another; events of a namespace are handled one after
    /// another, in order.
    pub fn on<E: EventName, M>(&self, event: E, handler: impl EventHandler<E, M, Self>) -> &Self {
        self.inner.table.change(|table| table.on(event, handler));
        self
    }

    /// Adds a handler that is called once.
    pub fn once<E: EventName, M>(&self, event: E, handler: impl EventHandler<E, M, Self>) -> &Self {
        self.inner.table.change(|table| table.once(event, handler));
        self
    }

    /// Removes the handlers for an event.
    pub fn off(&self, event: impl EventName) -> &Self {
        // Dropped without the lock: what handlers captured may use the socket.
        drop(self.inner.table.change(|table| table.off(event.as_name())));
        self
    }

    /// Adds a handler for every event, before the event's own handlers; also for events that have none. It may take the
    /// [`Ack`](crate::Ack) and answer in their place; what it returns is no answer.
    pub fn on_any<M>(&self, handler: impl Handler<M, Self>) -> &Self {
        self.inner.table.change(|table| table.on_any(handler));
        self
    }

    /// Adds a function that is told when a handler fails: arguments that did not parse, an error that it returned, or a panic.
    /// They are logged in any case.
    pub fn on_error(&self, handler: impl Fn(&Self, &Error) + Send + Sync + 'static) -> &Self {
        self.inner.table.change(|table| table.on_error(handler));
        self
    }

    /// Sets what the server is answered when the handler of an event fails that asks for an acknowledgement; arguments as for
    /// [`emit`](Self::emit). Default: nothing, so that the server waits until its timeout.
    pub fn ack_errors<A: Args>(&self, answer: impl Fn(&Error) -> A + Send + Sync + 'static) -> &Self {
        self.inner.table.change(|table| table.ack_errors(answer));
        self
    }

    /// Removes the handlers that [`on_any`](Self::on_any) added.
    pub fn off_any(&self) -> &Self {
        // Dropped without the lock, as above.
        drop(self.inner.table.change(Table::off_any));
        self
    }

    /// Adds a function that is told of every event that this socket is told to send, before it is sent or begins to wait; also of volatile
    /// ones that are then dropped. Acknowledgements are not events. It must not wait, and a panic in it is logged.
    pub fn on_any_outgoing(&self, watcher: impl Fn(&Self, &Payload) + Send + Sync + 'static) -> &Self {
        self.inner.watchers.add(watcher);
        self
    }

    /// Removes the functions that [`on_any_outgoing`](Self::on_any_outgoing) added.
    pub fn off_any_outgoing(&self) -> &Self {
        self.inner.watchers.clear();
        self
    }

    /// Adds a handler for when the client has connected, also again.
    pub fn on_connect<M>(&self, handler: impl Handler<M, Self>) -> &Self {
        self.hook(Hook::Connect, handler)
    }

    /// Adds a handler for when the client could not connect; it can ask for a [`ConnectionError`]. The client goes on trying, unless the
    /// server has refused it.
    pub fn on_connect_error<M>(&self, handler: impl Handler<M, Self>) -> &Self {
        self.hook(Hook::ConnectError, handler)
    }

    /// Adds a handler for when the client was disconnected; it can ask for a [`DisconnectReason`](crate::DisconnectReason).
    pub fn on_disconnect<M>(&self, handler: impl Handler<M, Self>) -> &Self {
        self.hook(Hook::Disconnect, handler)
    }

    /// Adds a handler for when the client begins an attempt to connect again; it can ask for an [`Attempt`].
    pub fn on_reconnect_attempt<M>(&self, handler: impl Handler<M, Self>) -> &Self {
        self.hook(Hook::ReconnectAttempt, handler)
    }

    /// Adds a handler for when there is a connection to the server again; it can ask for an [`Attempt`], the number of attempts.
    pub fn on_reconnect<M>(&self, handler: impl Handler<M, Self>) -> &Self {
        self.hook(Hook::Reconnect, handler)
    }

    /// Adds a handler for when such an attempt has failed; it can ask for a [`ConnectionError`].
    pub fn on_reconnect_error<M>(&self, handler: impl Handler<M, Self>) -> &Self {
        self.hook(Hook::ReconnectError, handler)
    }

    /// Adds a handler for when the client gives up, after [`reconnection_attempts`](crate::ClientBuilder::reconnection_attempts).
    pub fn on_reconnect_failed<M>(&self, handler: impl Handler<M, Self>) -> &Self {
        self.hook(Hook::ReconnectFailed, handler)
    }

    /// Adds a handler for when the connection has moved to another transport: [`transport`](Self::transport) says to which. The event
    /// `upgrade` of `socket.io.engine` in JavaScript.
    pub fn on_upgrade<M>(&self, handler: impl Handler<M, Self>) -> &Self {
        self.hook(Hook::Upgrade, handler)
    }

    fn hook<M>(&self, hook: Hook, handler: impl Handler<M, Self>) -> &Self {
        self.inner.hooks.change(|hooks| hooks.add(hook, handler));
        self
    }

    // ---- Receiving ----------------------------------------------------------------------------------------------

    /// The next event for which there is no handler; `None` once no more can come, because the client is closed, was sent away or has given
    /// up.
    ///
    /// Not for a handler of the same namespace: events wait until a handler has ended, so it would wait for itself. A task that it spawns
    /// may.
    ///
    /// Events wait for this call, also while the client reconnects; it can be dropped without losing one. Until the first call, the last
    /// 1,024 are kept, of 8 MiB at most ([`missed`](Self::missed) counts the others); from then on all, so go on asking: if too many wait,
    /// nothing more is read from the server.
    pub async fn recv(&self) -> Option<Incoming> {
        let mut wait = Wait::new(self.core());
        poll_fn(|cx| Incoming::poll(self, &mut wait, cx)).await
    }

    /// [`recv`](Self::recv) as a stream. From this call on no event is dropped.
    #[must_use]
    pub fn events(&self) -> Events {
        self.receive();
        Events::new(self.clone())
    }

    /// Somebody asks for events: from here on none is dropped.
    pub(crate) fn receive(&self) {
        if !self.inner.receiving.swap(true, Ordering::AcqRel) {
            let now = self.core().clock.now();
            self.core().state().machine.listen(self.inner.slot, now);
        }
    }

    /// How many events of all namespaces were dropped because nobody had asked for events: see [`recv`](Self::recv).
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.core().state().machine.missed()
    }
}

impl PartialEq for ClientSocket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for ClientSocket {}

impl Peer for ClientSocket {
    fn log_id(&self) -> impl fmt::Display {
        self.id().unwrap_or_default()
    }

    fn namespace_name(&self) -> &Str {
        &self.inner.name
    }

    fn codec(&self) -> &Codec {
        self.codec()
    }

    fn send_ack(&self, id: u64, packet: Packet) -> Result<(), EmitError> {
        let Some(ack) = self.answers.filter(|ack| ack.id() == id) else {
            return Err(EmitError::Disconnected);
        };
        let sent = self.lock().machine.ack(self.inner.slot, ack, packet.encoded);
        sent.map_err(|error| EmitError::from_client(error, None))
    }

    async fn room_for_ack(&self, id: u64, len: usize) {
        if let Some(ack) = self.answers.filter(|ack| ack.id() == id) {
            Wait::new(self.core()).until(Wish::RoomForAck(self.inner.slot, ack, len)).await;
        }
    }

    fn states(&self) -> &States {
        &self.core().states
    }

    fn report(&self, error: &Error, ack: Option<u64>) -> Result<Option<u64>, Unsent> {
        self.inner.table.get().report(self, error, ack)
    }
}

impl From<ClientSocket> for Side {
    fn from(socket: ClientSocket) -> Self {
        Self::Client(socket)
    }
}

impl FromContext<Self> for ClientSocket {
    fn from_context(context: &mut Context<Self>) -> Result<Self, Rejection> {
        Ok(context.socket.clone())
    }
}

impl FromContext<ClientSocket> for ConnectionError {
    fn from_context(context: &mut Context<ClientSocket>) -> Result<Self, Rejection> {
        match &context.what {
            What::ConnectError(error) => Ok(error.clone()),
            _ => Err(Rejection::Missing("ConnectionError")),
        }
    }
}

/// How often the client has tried to connect again since it was last connected; for
/// [`on_reconnect_attempt`](ClientSocket::on_reconnect_attempt) and [`on_reconnect`](ClientSocket::on_reconnect).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt(pub u32);

impl FromContext<ClientSocket> for Attempt {
    fn from_context(context: &mut Context<ClientSocket>) -> Result<Self, Rejection> {
        match context.what {
            What::Attempt(attempt) => Ok(Self(attempt)),
            _ => Err(Rejection::Missing("Attempt")),
        }
    }
}
