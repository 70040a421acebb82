//! The composite server: sessions, namespaces and rooms put together. It routes; each mechanism has its own type.

mod config;
mod conn;
mod event;
mod op;
mod timers;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;
use slotmap::{Key as _, KeyData, SlotMap, new_key_type};

pub use config::Config;
use conn::Conn;
pub use event::{Admission, ConnId, Delivery, Event, Ready};
pub use op::{Broadcast, Op};
use timers::Timers;

use crate::engine::{
    self, ChannelId, CloseReason, Encoded, Hangup, Message, Refusal, Request, Response, SendError,
    ServerSession, Transmit, Transport,
};
use crate::hub::{Hub, NamespaceId, Room, Scope, SocketKey};
use crate::id::Random;
use crate::socket::{self, ConnEvent, ConnectError, DisconnectReason, ServerConn, Slot};
use crate::{Instant, Seed, Sid, SocketId, UsageError};

new_key_type! {
    struct ChannelKey;
}

/// The peer broke a protocol. The consequences are drawn already; this is for logs.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// Engine.IO.
    #[error(transparent)]
    Engine(#[from] engine::PeerError),
    /// Socket.IO.
    #[error(transparent)]
    Socket(#[from] socket::PeerError),
}

/// A Socket.IO server without I/O: the owner moves bytes, tells the time, and answers tickets.
///
/// - *Inputs*, from the network and the clock: [`handle_request`](Self::handle_request), [`handle_body`](Self::handle_body),
///   [`open_websocket`](Self::open_websocket), [`handle_message`](Self::handle_message), [`handle_hangup`](Self::handle_hangup),
///   [`handle_timeout`](Self::handle_timeout).
/// - *Commands* of the application: [`accept`](Self::accept), [`refuse`](Self::refuse), [`emit`](Self::emit),
///   [`join`](Self::join), [`apply`](Self::apply), [`disconnect`](Self::disconnect), [`close`](Self::close), …
/// - *Outputs*: [`poll_ready`](Self::poll_ready) says where something has become possible; then
///   [`poll_transmit`](Self::poll_transmit) per channel and [`poll_event`](Self::poll_event) per connection.
///   [`poll_timeout`](Self::poll_timeout) says when to call `handle_timeout`. Any input or command may change all of them.
///
/// Any number of inputs and commands may come before outputs are drained. `sio-proto/examples/blocking.rs` is a complete owner.
#[derive(Debug)]
pub struct Server {
    config: Arc<Config>,
    random: Random,
    conns: SlotMap<ConnId, Conn>,
    sids: BTreeMap<Sid, ConnId>,
    channels: SlotMap<ChannelKey, ConnId>,
    hub: Hub<(ConnId, Slot)>,
    timers: Timers<ConnId>,
    ready: VecDeque<Ready>,
    closing: bool,
}

impl Server {
    /// A server with the namespace `/`.
    #[must_use]
    pub fn new(config: Config, seed: Seed) -> Self {
        let mut hub = Hub::new();
        hub.add_namespace("/");
        Self {
            config: Arc::new(config),
            random: Random::new(seed),
            conns: SlotMap::with_key(),
            sids: BTreeMap::new(),
            channels: SlotMap::with_key(),
            hub,
            timers: Timers::new(),
            ready: VecDeque::new(),
            closing: false,
        }
    }

    /// The namespace of this name, made if there is none; `chat` is `/chat`. Clients of others are refused (B101).
    pub fn of(&mut self, name: &str) -> NamespaceId {
        self.hub.add_namespace(name)
    }

    // ---- Inputs -------------------------------------------------------------------------------------------------

    /// A request, of which the head is there.
    ///
    /// # Errors
    /// What to answer it with.
    pub fn handle_request(
        &mut self,
        request: Request,
        content_type: Option<&str>,
        now: Instant,
    ) -> Result<Admission, Refusal> {
        match request {
            Request::Handshake => {
                self.admit_new()?;
                let (_, channel) = self.open(Transport::Polling, now);
                Ok(Admission::Poll(channel))
            }
            Request::Poll(sid) => {
                let conn = self.lookup(sid)?;
                self.with_channel(conn, now, |engine, channel| engine.handle_poll(channel, now))
                    .map(Admission::Poll)
            }
            Request::Post(sid) => {
                let conn = self.lookup(sid)?;
                self.with_channel(conn, now, |engine, channel| engine.handle_post(channel, content_type))
                    .map(Admission::Post)
            }
            Request::WebSocket(sid) => {
                match sid {
                    Some(sid) => self.lookup(sid).map(|_| ())?,
                    None => self.admit_new()?,
                }
                Ok(Admission::WebSocket)
            }
            Request::Misdirected(sid, refusal) => Err(self.lookup(sid).err().unwrap_or(refusal)),
        }
    }

    /// A WebSocket is open: that of a new session, or one that wants to take an existing session over. Timers start only
    /// here (B41).
    ///
    /// # Errors
    /// The WebSocket must be closed (B65).
    pub fn open_websocket(&mut self, sid: Option<Sid>, now: Instant) -> Result<ChannelId, Refusal> {
        match sid {
            None => {
                self.admit_new()?;
                Ok(self.open(Transport::WebSocket, now).1)
            }
            Some(sid) => {
                let conn = self.lookup(sid)?;
                self.with_channel(conn, now, |engine, channel| engine.handle_upgrade(channel, now))
            }
        }
    }

    /// The body of a POST. Gives the answer, and what was wrong with the body, if anything.
    pub fn handle_body(
        &mut self,
        channel: ChannelId,
        body: Bytes,
        now: Instant,
    ) -> (Result<Response, Refusal>, Result<(), PeerError>) {
        let Some(id) = self.close_channel(channel) else {
            return (Err(Refusal::SessionUnknown), Ok(()));
        };
        let Some(conn) = self.conns.get_mut(id) else { return (Err(Refusal::SessionUnknown), Ok(())) };
        let (response, fault) = conn.engine.handle_body(channel, body, now);
        let processed = self.process(id, now);
        (response, fault.map_err(PeerError::from).and(processed))
    }

    /// The body of a POST is larger than is allowed: it is not read, and the session stays (B46).
    pub fn handle_oversize(&mut self, channel: ChannelId, now: Instant) -> Refusal {
        if let Some(id) = self.close_channel(channel) {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.engine.handle_oversize(channel);
            }
            let _ = self.process(id, now);
        }
        Refusal::TooLarge { limit: self.config.engine.max_http_buffer_size }
    }

    /// A WebSocket message.
    ///
    /// # Errors
    /// What the peer did wrong. The consequences are drawn.
    pub fn handle_message(
        &mut self,
        channel: ChannelId,
        message: Message,
        now: Instant,
    ) -> Result<(), PeerError> {
        let Some(id) = self.conn_of(channel) else { return Ok(()) };
        let Some(conn) = self.conns.get_mut(id) else { return Ok(()) };
        let fault = conn.engine.handle_message(channel, message, now);
        let processed = self.process(id, now);
        fault.map_err(PeerError::from).and(processed)
    }

    /// A channel is gone: a WebSocket was closed or failed, or a request was given up before its answer.
    pub fn handle_hangup(&mut self, channel: ChannelId, how: Hangup, now: Instant) {
        if let Some(id) = self.close_channel(channel) {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.engine.handle_hangup(channel, how);
            }
            let _ = self.process(id, now);
        }
    }

    /// The peer of a WebSocket broke its rules, or sent a message that is too large. The WebSocket is closed by
    /// `poll_transmit`, and a hang-up is still due.
    pub fn handle_fault(&mut self, channel: ChannelId, now: Instant) {
        if let Some(id) = self.conn_of(channel) {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.engine.handle_fault(channel);
            }
            let _ = self.process(id, now);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(id) = self.timers.pop_due(now) {
            let Some(conn) = self.conns.get_mut(id) else { continue };
            conn.armed = None;
            conn.engine.handle_timeout(now);
            for (channel, until) in &mut conn.lingering {
                if until.is_some_and(|until| until <= now) {
                    *until = None;
                    self.ready.push_back(Ready::Transmit(*channel));
                }
            }
            if conn.socket.handle_timeout(now).is_err() {
                Self::expel(conn, now);
            }
            let _ = self.process(id, now);
        }
    }

    // ---- Outputs ------------------------------------------------------------------------------------------------

    /// Where something has become possible since it was last asked.
    pub fn poll_ready(&mut self) -> Option<Ready> {
        let ready = self.ready.pop_front();
        if ready.is_none() {
            self.timers.clear_earlier();
        }
        ready
    }

    /// Whether `poll_ready` would give something, or [`poll_timeout`](Self::poll_timeout) has become earlier since `poll_ready` last
    /// gave `None`. A cheap way to see that nobody needs to be told anything.
    #[must_use]
    pub fn has_news(&self) -> bool {
        !self.ready.is_empty() || self.timers.is_earlier()
    }

    /// What to do next on a channel. Call it until it gives `None`; what is left is not announced again.
    pub fn poll_transmit(&mut self, channel: ChannelId, now: Instant) -> Option<Transmit> {
        let id = self.conn_of(channel)?;
        let conn = self.conns.get_mut(id)?;
        let transmit = match conn.lingering.iter().position(|(lingering, _)| *lingering == channel) {
            None => conn.engine.poll_transmit(channel)?,
            Some(at) if conn.lingering[at].1.is_none() => {
                conn.lingering.swap_remove(at);
                Transmit::Abort
            }
            Some(_) => return None,
        };
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
        self.pace(id);
        self.retire(id);
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
        self.timers.next()
    }

    // ---- Commands -----------------------------------------------------------------------------------------------

    /// Lets a client into the namespace it asked for.
    ///
    /// # Errors
    /// [`UsageError::Gone`] if it has left meanwhile.
    pub fn accept(&mut self, key: SocketKey, now: Instant) -> Result<(), UsageError> {
        let (id, slot) = self.handle_of(key)?;
        let public = self.id(key)?;
        self.conn(id)?.socket.accept(slot, &public)?;
        self.hub.connect(key);
        let _ = self.process(id, now);
        self.conn(id)?.shrink();
        Ok(())
    }

    /// Does not let a client in. What it sent meanwhile is dropped, and the rooms it joined are left.
    ///
    /// # Errors
    /// [`UsageError::Gone`] if it has left meanwhile, or was accepted.
    pub fn refuse(&mut self, key: SocketKey, error: &ConnectError, now: Instant) -> Result<(), UsageError> {
        let (id, slot) = self.handle_of(key)?;
        let conn = self.conn(id)?;
        conn.socket.refuse(slot, error)?;
        conn.sockets.retain(|(_, socket)| *socket != key);
        conn.inbox.forget(key);
        self.hub.remove(key);
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
            return Ok(());
        }
        conn.engine.send(packet)?;
        self.announce_transmits(id);
        Ok(())
    }

    /// Sends an event that asks for an acknowledgement under `id`, which must be in the packet and not be in use for this
    /// socket. What becomes of it comes as [`Event::Ack`].
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
            return Err(error.into());
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
    /// connection for which [`Ready::Write`] will come when that is so.
    pub fn wait_for_room(&mut self, key: SocketKey) -> Option<ConnId> {
        let id = self.hub.get(key)?.handle.0;
        let half = self.config.engine.max_outbox / 2;
        let conn = self.conns.get_mut(id)?;
        if !conn.engine.is_open() || conn.engine.outbox_bytes() <= half {
            return None;
        }
        conn.wants_room = true;
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
        self.hub.join(key, room);
    }

    /// Takes a socket out of a room; harmless if it is not there.
    pub fn leave(&mut self, key: SocketKey, room: &str) {
        self.hub.leave(key, room);
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

    /// Ends every connection, once what waits for it is sent, and lets nobody in any more (B110). Done when
    /// [`is_empty`](Self::is_empty).
    pub fn close(&mut self, now: Instant) {
        self.closing = true;
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

    /// Whether there is no connection.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.conns.is_empty()
    }

    /// Whether every session is over and every channel is done with. Events may still wait for the application.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.sids.is_empty() && self.channels.is_empty()
    }

    /// How many connections there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.conns.len()
    }

    /// The connection that a channel belongs to.
    #[must_use]
    pub fn conn_of(&self, channel: ChannelId) -> Option<ConnId> {
        self.channels.get(channel_key(channel)).copied()
    }

    /// Whether a channel only waits for its end: nothing but [`Transmit::Close`] and [`Transmit::Abort`] will come for it.
    #[must_use]
    pub fn is_ending(&self, channel: ChannelId) -> bool {
        let conn = self.conn_of(channel).and_then(|id| self.conns.get(id));
        conn.is_none_or(|conn| {
            conn.engine.is_closed() || conn.lingering.iter().any(|(lingering, _)| *lingering == channel)
        })
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How a connection travels.
    #[must_use]
    pub fn transport(&self, id: ConnId) -> Option<Transport> {
        self.conns.get(id).map(|conn| conn.engine.transport())
    }

    // ---- Between the parts --------------------------------------------------------------------------------------

    fn admit_new(&self) -> Result<(), Refusal> {
        if self.closing { Err(Refusal::Closing) } else { Ok(()) }
    }

    fn lookup(&self, sid: Sid) -> Result<ConnId, Refusal> {
        self.sids.get(&sid).copied().ok_or(Refusal::SessionUnknown)
    }

    fn conn(&mut self, id: ConnId) -> Result<&mut Conn, UsageError> {
        self.conns.get_mut(id).ok_or(UsageError::Gone)
    }

    fn handle_of(&self, key: SocketKey) -> Result<(ConnId, Slot), UsageError> {
        self.hub.get(key).map(|socket| socket.handle).ok_or(UsageError::Gone)
    }

    fn connected(&self, key: SocketKey) -> Result<(ConnId, Slot), UsageError> {
        let socket = self.hub.get(key).ok_or(UsageError::Gone)?;
        if socket.is_connected() { Ok(socket.handle) } else { Err(UsageError::NotConnected) }
    }

    fn id(&self, key: SocketKey) -> Result<SocketId, UsageError> {
        self.hub.get(key).map(|socket| socket.id()).ok_or(UsageError::Gone)
    }

    fn open(&mut self, transport: Transport, now: Instant) -> (ConnId, ChannelId) {
        let channel = self.channels.insert(ConnId::default());
        let sid = Sid::random(&mut self.random, self.config.shard);
        let engine = ServerSession::new(self.config.engine.clone(), sid, transport, channel_id(channel), now);
        let id = self.conns.insert(Conn::new(engine, ServerConn::new(self.config.socket, now)));
        self.channels[channel] = id;
        self.sids.insert(sid, id);
        let _ = self.process(id, now);
        (id, channel_id(channel))
    }

    fn with_channel(
        &mut self,
        id: ConnId,
        now: Instant,
        open: impl FnOnce(&mut ServerSession, ChannelId) -> Result<(), Refusal>,
    ) -> Result<ChannelId, Refusal> {
        let conn = self.conns.get_mut(id).ok_or(Refusal::SessionUnknown)?;
        let key = self.channels.insert(id);
        conn.channels += 1;
        let opened = open(&mut conn.engine, channel_id(key));
        if opened.is_err() {
            self.close_channel(channel_id(key));
        }
        let _ = self.process(id, now);
        opened.map(|()| channel_id(key))
    }

    fn close_channel(&mut self, channel: ChannelId) -> Option<ConnId> {
        let id = self.channels.remove(channel_key(channel))?;
        if let Some(conn) = self.conns.get_mut(id) {
            conn.channels -= 1;
            conn.lingering.retain(|(lingering, _)| *lingering != channel);
        }
        Some(id)
    }

    /// Closes a connection whose peer broke the Socket.IO protocol (B102).
    fn expel(conn: &mut Conn, now: Instant) {
        conn.socket.close(DisconnectReason::Connection(CloseReason::ForcedClose));
        conn.engine.close(true, now);
    }

    /// Carries what one part of a connection says to the others, until all have said everything.
    fn process(&mut self, id: ConnId, now: Instant) -> Result<(), PeerError> {
        let mut fault = Ok(());
        let Some(conn) = self.conns.get_mut(id) else { return Ok(()) };
        // Each message has had its effect before the next one counts, also if they came in one body.
        loop {
            if let Some(event) = conn.socket.poll_event() {
                Self::route(&mut self.hub, &mut self.random, conn, id, event);
            } else if let Some(packet) = conn.socket.poll_message() {
                conn.engine.push(packet);
            } else if let Some(event) = conn.engine.poll_event() {
                match event {
                    engine::Event::Message(message) => {
                        if let Err(error) = conn.socket.handle_message(message) {
                            Self::expel(conn, now);
                            fault = Err(error.into());
                        }
                    }
                    engine::Event::Upgraded => conn.inbox.push(Event::Upgraded),
                    engine::Event::Closed { reason, undelivered } => {
                        conn.socket.close(DisconnectReason::Connection(reason));
                        self.sids.remove(&conn.engine.sid());
                        conn.inbox.push(Event::Closed { reason, undelivered });
                    }
                }
            } else {
                break;
            }
        }
        if !conn.inbox.is_empty() && !conn.inbox.announced {
            conn.inbox.announced = true;
            self.ready.push_back(Ready::Events(id));
        }
        self.pace(id);
        self.announce_transmits(id);
        self.announce_room(id);
        self.arm(id);
        self.retire(id);
        fault
    }

    /// Turns an event of a connection into one of the server, and keeps the hub in step.
    fn route(
        hub: &mut Hub<(ConnId, Slot)>,
        random: &mut Random,
        conn: &mut Conn,
        id: ConnId,
        event: ConnEvent,
    ) {
        let event = match event {
            ConnEvent::Connect { slot, namespace, auth } => {
                let Some(namespace) = hub.namespace(&namespace) else {
                    let _ = conn.socket.refuse(slot, &ConnectError::new("Invalid namespace"));
                    return;
                };
                let public = SocketId::random(random);
                let key = hub.insert(namespace, public, (id, slot));
                conn.sockets.push((slot, key));
                Event::Connect { socket: key, id: public, namespace, auth }
            }
            ConnEvent::Event { slot, payload, ack } => match conn.key(slot) {
                Some(socket) => Event::Event { socket, payload, ack },
                None => return,
            },
            ConnEvent::Ack { slot, id, result } => match conn.key(slot) {
                Some(socket) => Event::Ack { socket, id, result },
                None => return,
            },
            ConnEvent::Disconnect { slot, reason } => {
                let Some(socket) = conn.key(slot) else { return };
                conn.sockets.retain(|(of, _)| *of != slot);
                let rooms = hub.remove(socket).map(|(_, rooms)| rooms).unwrap_or_default();
                Event::Disconnect { socket, reason, rooms }
            }
        };
        conn.inbox.push(event);
    }

    /// Stops reading from a client whose inbox is full, and goes on when it is not any more.
    fn pace(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let full = conn.inbox.exceeds(self.config.max_inbox, self.config.max_inbox_bytes);
        if full != conn.inbox.full {
            conn.inbox.full = full;
            conn.engine.set_paused(full);
            if !full {
                self.ready.push_back(Ready::Read(id));
            }
        }
    }

    fn announce_room(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            let half = self.config.engine.max_outbox / 2;
            if conn.wants_room && (!conn.engine.is_open() || conn.engine.outbox_bytes() <= half) {
                conn.wants_room = false;
                self.ready.push_back(Ready::Write(id));
            }
        }
    }

    fn announce_transmits(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            while let Some(channel) = conn.engine.poll_ready() {
                self.ready.push_back(Ready::Transmit(channel));
            }
        }
    }

    fn arm(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            self.timers.arm(id, conn.deadline(), &mut conn.armed);
        }
    }

    /// Forgets a connection of which nothing is left.
    fn retire(&mut self, id: ConnId) {
        if self.conns.get(id).is_some_and(Conn::is_done) {
            if let Some(mut conn) = self.conns.remove(id) {
                self.timers.disarm(id, &mut conn.armed);
            }
        }
    }
}

fn channel_id(key: ChannelKey) -> ChannelId {
    ChannelId(key.data().as_ffi())
}

fn channel_key(id: ChannelId) -> ChannelKey {
    KeyData::from_ffi(id.0).into()
}

/// A packet that was not accepted for sending.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// Too much waits for this client already: the packet is given back. See [`engine::Config::max_outbox`].
    #[error("outbox is full")]
    Full(Encoded),
    /// The socket cannot be sent to.
    #[error(transparent)]
    Usage(#[from] UsageError),
}

impl From<SendError> for EmitError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Full(packet) => Self::Full(packet),
            SendError::Closed => Self::Usage(UsageError::Gone),
        }
    }
}
