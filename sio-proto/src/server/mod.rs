//! The composite server: sessions, namespaces and rooms put together. It routes; each mechanism has its own type.

mod command;
mod config;
mod conn;
mod event;
mod input;
mod op;
mod output;
mod recovery;
mod stats;
mod timers;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;

use slotmap::{Key as _, KeyData, SlotMap, new_key_type};

pub use config::Config;
use conn::Conn;
pub use event::{Admission, ConnId, Delivery, Event, Ready};
pub use op::{Broadcast, Op};
use recovery::Recovery;
pub use recovery::{ConnectionStateRecovery, Kept, RecoveryRequest, Session};
pub use stats::{Stats, TransportStats};
use timers::Timers;

use crate::engine::{
    self, BadRequest, ChannelId, CloseReason, Dialect, Encoded, Facts, Refusal, Revision, SendError,
    ServerSession, Transport,
};
use crate::hub::{Hub, NamespaceId, SocketKey};
use crate::id::Random;
use crate::socket::{self, ConnEvent, ConnectError, DisconnectReason, ServerConn, Slot};
use crate::{Instant, Seed, Sid, SidPrefix, SocketId, UsageError};

/// How often an id of a session is tried that is in use: with a [`SidPrefix`] of 16 characters there are 65,536.
const SID_ATTEMPTS: usize = 16;

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
    /// Costs nothing if it is off.
    recovery: Option<Box<Recovery>>,
    ready: VecDeque<Ready>,
    /// Whether the owner is asked about namespaces that do not exist.
    dynamic: bool,
    closing: bool,
    /// How the id of the next session begins.
    prefix: SidPrefix,
    stats: Stats,
    /// The connection that was forgotten last.
    forgotten: Option<(ConnId, Facts)>,
}

impl Server {
    /// A server with the namespace `/`.
    #[must_use]
    pub fn new(config: Config, seed: Seed) -> Self {
        let mut hub = Hub::new();
        hub.add_namespace("/");
        let recovery = config.recovery.map(|recovery| Box::new(Recovery::new(recovery, &config.engine)));
        Self {
            recovery,
            config: Arc::new(config),
            random: Random::new(seed),
            conns: SlotMap::with_key(),
            sids: BTreeMap::new(),
            channels: SlotMap::with_key(),
            hub,
            timers: Timers::new(),
            ready: VecDeque::new(),
            dynamic: false,
            closing: false,
            prefix: SidPrefix::default(),
            stats: Stats::default(),
            forgotten: None,
        }
    }

    /// The namespace of this name, made if there is none; `chat` is `/chat`. Clients of others are refused (B101).
    pub fn of(&mut self, name: &str) -> NamespaceId {
        self.hub.add_namespace(name)
    }

    /// Whether clients may ask for namespaces that do not exist: then [`Event::ConnectUnknown`] comes for them. Default: no, they are
    /// refused.
    pub fn set_dynamic(&mut self, dynamic: bool) {
        self.dynamic = dynamic;
    }

    /// Chooses how the id of the next session begins: of the one that the next [`Request::Handshake`](engine::Request::Handshake) or
    /// [`open_websocket`](Self::open_websocket) opens, or is refused.
    pub fn choose_sid(&mut self, prefix: SidPrefix) {
        self.prefix = prefix;
    }

    /// Removes a namespace in which nobody is, nor waits to be let in, nor may come back. Says whether it did. What is done to it
    /// later has no effect.
    pub fn remove_namespace(&mut self, namespace: NamespaceId) -> bool {
        if !self.is_vacant(namespace) || !self.hub.remove_namespace(namespace) {
            return false;
        }
        if let Some(recovery) = &mut self.recovery {
            recovery.remove_namespace(namespace);
        }
        true
    }

    /// Whether [`remove_namespace`](Self::remove_namespace) would remove this namespace; also if it is not there.
    #[must_use]
    pub fn is_vacant(&self, namespace: NamespaceId) -> bool {
        let awaited = self.recovery.as_ref().is_some_and(|recovery| recovery.awaits(namespace));
        !awaited && !self.hub.is_occupied(namespace)
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

    /// Whether a channel only waits for its end: nothing but [`Transmit::Close`](engine::Transmit::Close) and [`Transmit::Abort`](engine::Transmit::Abort) will come for it.
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

    /// How a connection's client wants to be spoken to.
    #[must_use]
    pub fn dialect(&self, id: ConnId) -> Option<Dialect> {
        self.conns.get(id).map(|conn| conn.engine.dialect())
    }

    fn admit_new(&self) -> Result<(), Refusal> {
        if self.closing { Err(Refusal::Closing) } else { Ok(()) }
    }

    fn lookup(&self, sid: Sid) -> Result<ConnId, Refusal> {
        self.sids.get(&sid).copied().ok_or(Refusal::SessionUnknown)
    }

    /// The connection of a session, for a request of this revision.
    fn lookup_in(&self, sid: Sid, revision: Revision) -> Result<ConnId, Refusal> {
        let id = self.lookup(sid)?;
        let conn = self.conns.get(id).ok_or(Refusal::SessionUnknown)?;
        conn.engine.expect_revision(revision).map(|()| id)
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

    fn open(
        &mut self,
        transport: Transport,
        dialect: Dialect,
        now: Instant,
    ) -> Result<(ConnId, ChannelId), Refusal> {
        let prefix = core::mem::take(&mut self.prefix);
        if self.closing {
            return Err(Refusal::Closing);
        }
        // A prefix of 16 characters leaves few ids: they may be used up.
        let mut tries = (0..SID_ATTEMPTS).map(|_| Sid::random(&mut self.random, self.config.shard, prefix));
        let unused = tries.find(|sid| !self.sids.contains_key(sid));
        let sid = unused.ok_or(Refusal::BadRequest(BadRequest::IdGeneration))?;
        let channel = self.channels.insert(ConnId::default());
        let config = self.config.engine.clone();
        let engine = ServerSession::with_dialect(config, sid, transport, dialect, channel_id(channel), now);
        let socket = ServerConn::with_revision(&self.config.socket, dialect.revision, now);
        let id = self.conns.insert(Conn::new(engine, socket));
        self.channels[channel] = id;
        self.sids.insert(sid, id);
        self.stats.open(transport);
        let _ = self.process(id, now);
        Ok((id, channel_id(channel)))
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

    /// Carries what one part of a connection says to the others, and tells the owner what has come of it.
    fn process(&mut self, id: ConnId, now: Instant) -> Result<(), PeerError> {
        let carried = self.carry(id, now);
        self.announce(id);
        carried
    }

    /// Carries what one part of a connection says to the others, until all have said everything. [`announce`](Self::announce) is due.
    fn carry(&mut self, id: ConnId, now: Instant) -> Result<(), PeerError> {
        let mut fault = Ok(());
        let Some(conn) = self.conns.get_mut(id) else { return Ok(()) };
        // Each message has had its effect before the next one counts, also if they came in one body.
        loop {
            if let Some(event) = conn.socket.poll_event() {
                let left = matches!(event, ConnEvent::Disconnect { .. });
                if left && conn.wants_room.take().is_some() {
                    // It may be the one that room was waited for.
                    self.ready.push_back(Ready::Write(id));
                }
                let recovery = self.recovery.as_deref_mut();
                let (limits, own) = ((&*self.config, self.dynamic), (&mut self.random, &mut self.stats));
                Self::route(&mut self.hub, own, limits, recovery, conn, (id, event), now);
            } else if let Some(packet) = conn.socket.poll_message() {
                conn.engine.push(packet);
            } else if let Some(event) = conn.engine.poll_event() {
                match event {
                    engine::Event::Message(message) => {
                        if let Err(error) = conn.socket.handle_message(message) {
                            Self::expel(conn, now);
                            self.stats.peer_errors += 1;
                            fault = Err(error.into());
                        }
                    }
                    engine::Event::Upgraded => {
                        conn.upgrading = false;
                        self.stats.upgrade();
                        conn.tell(Event::Upgraded);
                    }
                    engine::Event::Closed { reason, undelivered } => {
                        self.stats.close(conn.engine.transport(), reason);
                        conn.socket.close(DisconnectReason::Connection(reason));
                        self.sids.remove(&conn.engine.sid());
                        conn.tell(Event::Closed { reason, undelivered });
                    }
                }
            } else {
                break;
            }
        }
        let parts = conn.socket.parts();
        if parts != conn.partial.map_or(0, |(parts, _)| parts) {
            conn.partial = (parts > 0).then(|| (parts, now + self.config.attachment_timeout));
        }
        if let Some(recovery) = &mut self.recovery {
            let confirmed = conn.engine.confirmed();
            if let (Some(at), true) = (confirmed, confirmed != conn.confirmed) {
                conn.confirmed = confirmed;
                conn.sockets.iter().for_each(|(_, key)| recovery.confirm(*key, at));
            }
        }
        match (core::mem::replace(&mut conn.upgrading, conn.engine.is_upgrading()), conn.upgrading) {
            (false, true) => self.stats.upgrades_begun += 1,
            (true, false) => self.stats.upgrades_failed += 1,
            _ => {}
        }
        fault
    }

    /// Tells the owner what has become possible with a connection.
    fn announce(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if !conn.inbox.is_empty() && !conn.inbox.announced {
            conn.inbox.announced = true;
            self.ready.push_back(Ready::Events(id));
        }
        self.pace(id);
        self.announce_transmits(id);
        self.announce_room(id);
        self.arm(id);
        self.retire(id);
    }

    /// Turns an event of a connection into one of the server, and keeps the hub in step.
    fn route(
        hub: &mut Hub<(ConnId, Slot)>,
        (random, stats): (&mut Random, &mut Stats),
        (config, dynamic): (&Config, bool),
        recovery: Option<&mut Recovery>,
        conn: &mut Conn,
        (id, event): (ConnId, ConnEvent),
        now: Instant,
    ) {
        let event = match event {
            ConnEvent::Connect { slot, namespace, auth } => {
                let known = hub.namespace(&namespace);
                let possible = dynamic && namespace.len() <= config.max_namespace_name;
                let refusal = if known.is_none() && !possible {
                    Some("Invalid namespace")
                } else if conn.sockets.len() >= config.max_namespaces {
                    Some("Too many namespaces")
                } else if auth.as_ref().is_some_and(|auth| auth.len() > config.max_auth) {
                    Some("Auth too large")
                } else {
                    None
                };
                if let Some(refusal) = refusal {
                    let _ = conn.socket.refuse(slot, &ConnectError::new(refusal));
                    stats.sockets_refused += 1;
                    return;
                }
                let public = SocketId::random(random);
                let key = hub.insert(known.unwrap_or(NamespaceId::NOWHERE), public, (id, slot));
                conn.sockets.push((slot, key));
                let wanted = recovery.and(auth.as_deref()).and_then(RecoveryRequest::find);
                match known {
                    Some(namespace) => {
                        Event::Connect { socket: key, id: public, namespace, auth, recovery: wanted }
                    }
                    None => {
                        let name = namespace;
                        Event::ConnectUnknown { socket: key, id: public, name, auth, recovery: wanted }
                    }
                }
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
                let Some((gone, rooms)) = hub.remove(socket) else { return };
                stats.sockets -= usize::from(gone.is_connected());
                if let Some(recovery) = recovery {
                    let place = (gone.namespace(), gone.id(), &rooms[..]);
                    recovery.lose(socket, reason.is_recoverable(), conn.engine.confirmed(), place, now);
                }
                Event::Disconnect { socket, reason, rooms }
            }
        };
        conn.tell(event);
    }

    /// Stops reading from a client whose inbox is full, and goes on when it is not any more.
    fn pace(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let full = conn.inbox.exceeds(self.config.max_inbox, self.config.max_inbox_bytes);
        if full != conn.inbox.full {
            conn.inbox.full = full;
            self.stats.read_pauses += u64::from(full);
            conn.engine.set_paused(full);
            if !full {
                self.ready.push_back(Ready::Read(id));
            }
        }
    }

    fn announce_room(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            if conn.wants_room.is_some_and(|len| conn.engine.has_room_for(len)) {
                conn.wants_room = None;
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
                self.forgotten = Some((id, conn.engine.facts()));
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
