//! The composite client: sessions, namespaces and reconnection put together. It routes; each mechanism has its own type.

mod aside;
mod backoff;
mod command;
mod config;
mod event;
mod input;
mod output;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use aside::Aside;
use backoff::Backoff;
pub use backoff::BackoffConfig;
pub use config::Config;
pub use event::Event;

use crate::engine::{
    ChannelId, ClientEvent, ClientRequest, ClientSession, CloseReason, Traffic, Transport, TransportError,
};
use crate::id::Random;
use crate::inbox::Inbox;
use crate::socket::{self, ClientConn, ClientConnEvent, ConnectionError, Slot};
use crate::{Instant, Seed};

/// The server broke a protocol. The consequences are drawn already; this is for logs.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// Engine.IO.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Socket.IO.
    #[error(transparent)]
    Packet(#[from] socket::PacketError),
}

/// The shortest time that anything here takes: one of none would be over as soon as it began, again and again.
const SOON: Duration = Duration::from_millis(1);

/// A Socket.IO client without I/O: the owner dials, moves bytes, tells the time, and answers tickets. One client is one connection
/// at a time, with any number of namespaces on it; it is what the reference calls a manager, with its sockets.
///
/// - *Inputs*, from the network and the clock: [`handle_open`](Self::handle_open), [`handle_message`](Self::handle_message),
///   [`handle_answer`](Self::handle_answer), [`handle_failure`](Self::handle_failure), [`handle_timeout`](Self::handle_timeout).
/// - *Commands* of the application: [`socket`](Self::socket), [`connect`](Self::connect), [`emit`](Self::emit), [`ack`](Self::ack),
///   [`disconnect`](Self::disconnect), [`close`](Self::close), …
/// - *Outputs*: [`poll_request`](Self::poll_request) says what to dial, GET and POST, and what to give up;
///   [`poll_transmit`](Self::poll_transmit) what to write to a WebSocket, once it can be written to; [`poll_event`](Self::poll_event)
///   what happened; [`poll_timeout`](Self::poll_timeout) when to call `handle_timeout`. Any input or command may change all of them.
///
/// ```text
///             connect()               handshake              connection lost
///   Idle ────────────────► Opening ─────────────► Open ─────────────────────────┐
///    ▲                        ▲  └── failed ──────────────────────────────► Waiting
///    │                        └───────────────── backoff over ──────────────────┘
///    └──── Closing ◄──── no namespace is active any more, close()
/// ```
///
/// `sio-proto/examples/blocking_client.rs` is a complete owner.
#[derive(Debug)]
pub struct Client {
    config: Config,
    random: Random,
    conn: ClientConn,
    session: Option<ClientSession>,
    phase: Phase,
    backoff: Backoff,
    /// Which attempt at a reconnection is being made.
    attempt: Option<u32>,
    /// What the server said last about the size of messages.
    max_payload: Option<usize>,
    /// Whether the last connection travelled over WebSocket.
    websocket_works: bool,
    /// How many sessions there were: their channels have different numbers.
    sessions: u64,
    /// What the server did wrong, until the session has ended over it.
    fault: Option<socket::PacketError>,
    /// Requests of sessions that have ended.
    requests: VecDeque<ClientRequest>,
    lingering: Vec<Linger>,
    inbox: Inbox<Option<Slot>, Event>,
    aside: Aside,
    closed: bool,
    /// What went through sessions that have ended.
    past: Traffic,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Idle,
    Opening {
        until: Option<Instant>,
    },
    Open,
    /// Before the next attempt.
    Waiting {
        until: Instant,
    },
    /// What waits is sent, then the session is closed.
    Closing {
        until: Instant,
    },
}

/// A WebSocket that is closed here, and not yet there.
#[derive(Debug)]
struct Linger {
    channel: ChannelId,
    until: Instant,
}

impl Client {
    /// A client that is not connected.
    #[must_use]
    pub fn new(config: Config, seed: Seed) -> Self {
        Self {
            conn: ClientConn::new(config.socket.clone(), config.max_outbox),
            random: Random::new(seed),
            config,
            session: None,
            phase: Phase::Idle,
            backoff: Backoff::default(),
            attempt: None,
            max_payload: None,
            websocket_works: false,
            sessions: 0,
            fault: None,
            requests: VecDeque::new(),
            lingering: Vec::new(),
            inbox: Inbox::default(),
            aside: Aside::default(),
            closed: false,
            past: Traffic::default(),
        }
    }

    /// The namespaces.
    #[must_use]
    pub fn conn(&self) -> &ClientConn {
        &self.conn
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How the connection travels, if there is one.
    #[must_use]
    pub fn transport(&self) -> Option<Transport> {
        self.session.as_ref().filter(|session| session.is_open()).and_then(ClientSession::transport)
    }

    /// What went through all connections of the client so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.session.as_ref().map_or(self.past, |session| self.past + session.traffic())
    }

    /// Whether nothing is going on: no connection, none being made or waited for, and every channel is done with. Events may still
    /// wait for the application.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.phase == Phase::Idle
            && self.session.is_none()
            && self.lingering.is_empty()
            && self.requests.is_empty()
    }

    /// Whether the client was closed for good.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether there is no connection, and none is being made or waited for.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// How many events were dropped because nobody listened for them.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.aside.missed()
    }

    fn open(&mut self, now: Instant) {
        let engine = &self.config.engine;
        let remembered = self.config.remember_upgrade && self.websocket_works;
        let remembered = remembered && engine.transports.contains(&Transport::WebSocket);
        let first = engine.transports.first().copied().unwrap_or(Transport::Polling);
        let first = if remembered { Transport::WebSocket } else { first };
        self.sessions += 1;
        let channels = ChannelId(self.sessions << 32);
        let seed = self.random.seed();
        self.session = Some(ClientSession::new(engine.clone(), first, seed, channels, now));
        self.phase = Phase::Opening { until: self.config.timeout.map(|timeout| now + timeout.max(SOON)) };
    }

    /// Carries what one part says to the others, until all have said everything.
    fn process(&mut self, now: Instant) -> Result<(), socket::PacketError> {
        let mut fault = Ok(());
        loop {
            if let Some(event) = self.conn.poll_event() {
                self.route(event);
            } else if let Some(event) = self.session.as_mut().and_then(ClientSession::poll_event) {
                let handled = self.handle_session(event, now);
                fault = fault.and(handled);
            } else {
                break;
            }
        }
        if !self.conn.any_active() {
            self.stop(now);
        }
        if let (Phase::Closing { .. }, Some(session)) = (self.phase, &mut self.session) {
            if session.is_open() && self.conn.any_active() {
                // Somebody needs it again, and the server has not been told anything yet.
                self.phase = Phase::Open;
            } else if session.is_open() && !self.conn.has_messages() {
                session.close(now);
                self.conn.handle_closing();
            }
        }
        // Closing may have ended the session at once, after which another one may be wanted.
        if self.session.as_ref().is_some_and(ClientSession::is_closed) {
            let rest = self.process(now);
            return fault.and(rest);
        }
        self.pace(now);
        fault
    }

    fn handle_session(&mut self, event: ClientEvent, now: Instant) -> Result<(), socket::PacketError> {
        match event {
            ClientEvent::Open(open) => {
                self.max_payload = Some(open.max_payload);
                self.websocket_works |= self.transport() == Some(Transport::WebSocket);
                self.phase = Phase::Open;
                if let (true, Some(session)) = (self.inbox.full, &mut self.session) {
                    session.set_paused(true, now);
                }
                if let Some(attempt) = self.attempt.take() {
                    self.tell(Event::Reconnect(attempt));
                }
                self.conn.handle_open(now);
            }
            // What came together with garbage.
            ClientEvent::Message(_) if self.fault.is_some() => {}
            ClientEvent::Message(message) => {
                if let Err(error) = self.conn.handle_message(message, now) {
                    self.fault = Some(error.clone());
                    if let Some(session) = &mut self.session {
                        session.abort(CloseReason::ParseError, None);
                    }
                    return Err(error);
                }
            }
            ClientEvent::Upgraded => {
                self.websocket_works = true;
                self.tell(Event::Upgraded);
            }
            ClientEvent::UpgradeFailed(error) => self.tell(Event::UpgradeFailed(error)),
            ClientEvent::Closed { reason, error, undelivered } => {
                let (reason, error) = match self.fault.take() {
                    Some(fault) => (CloseReason::ParseError, Some(ConnectionError::Packet(fault))),
                    None => (reason, error.map(ConnectionError::Transport)),
                };
                self.handle_end(reason, error, undelivered, now);
            }
        }
        Ok(())
    }

    /// The session is over.
    fn handle_end(
        &mut self,
        reason: CloseReason,
        error: Option<ConnectionError>,
        undelivered: usize,
        now: Instant,
    ) {
        if let Some(mut session) = self.session.take() {
            self.past += session.traffic();
            while let Some(request) = session.poll_request() {
                self.requests.push_back(request);
            }
        }
        match self.phase {
            Phase::Opening { .. } => {
                let error = error.unwrap_or(ConnectionError::Transport(TransportError::Closed));
                self.fail(error, now);
            }
            Phase::Open => {
                self.conn.handle_close(reason, error.as_ref());
                self.tell(Event::Close { reason, error, undelivered });
                self.schedule(now);
            }
            Phase::Closing { .. } => {
                self.conn.handle_close(reason, error.as_ref());
                self.tell(Event::Close { reason, error, undelivered });
                self.phase = Phase::Idle;
                if self.closed {
                    // What could not be sent any more will never be.
                    self.conn.slots().for_each(|slot| self.conn.clear_send_buffer(slot));
                } else if self.conn.any_active() {
                    self.open(now);
                }
            }
            Phase::Idle | Phase::Waiting { .. } => {}
        }
    }

    /// An attempt to connect has failed.
    fn fail(&mut self, error: ConnectionError, now: Instant) {
        self.websocket_works = false;
        self.conn.handle_failure(&error);
        // Told before what follows from it.
        while let Some(event) = self.conn.poll_event() {
            self.route(event);
        }
        if self.attempt.take().is_some() {
            self.tell(Event::ReconnectError(error));
        }
        self.schedule(now);
    }

    /// Waits for the next attempt, if there is to be one.
    fn schedule(&mut self, now: Instant) {
        self.phase = Phase::Idle;
        if self.closed || !self.config.reconnection || !self.conn.any_active() {
            return;
        }
        if self.config.reconnection_attempts.is_some_and(|most| self.backoff.attempts() >= most) {
            self.backoff.reset();
            return self.tell(Event::ReconnectFailed);
        }
        let wait = self.backoff.next(&self.config.backoff, &mut self.random);
        self.phase = Phase::Waiting { until: now + wait.max(SOON) };
    }

    /// Ends the connection, or the attempts at one: nobody needs it (B140, B141).
    fn stop(&mut self, now: Instant) {
        match self.phase {
            Phase::Waiting { .. } => {
                self.phase = Phase::Idle;
                self.attempt = None;
            }
            Phase::Opening { .. } => {
                self.attempt = None;
                self.phase = Phase::Closing { until: now };
                if let Some(session) = &mut self.session {
                    session.abort(CloseReason::ForcedClose, None);
                }
            }
            Phase::Open => self.phase = Phase::Closing { until: now + self.config.engine.close_timeout },
            Phase::Idle | Phase::Closing { .. } => {}
        }
    }

    fn route(&mut self, event: ClientConnEvent) {
        let slot = event.slot();
        match event {
            ClientConnEvent::Ack { .. } | ClientConnEvent::Authenticate { .. } => {
                return self.inbox.push_prompt(Event::Socket(event));
            }
            // Not at the handshake: a server that accepts and then drops must not be asked again at once (not B136).
            ClientConnEvent::Connect { .. } => self.backoff.reset(),
            _ => {}
        }
        self.inbox.push(Some(slot), Event::Socket(event));
    }

    /// Tells something about the client as a whole, after what the namespaces have to say about it.
    fn tell(&mut self, event: Event) {
        while let Some(event) = self.conn.poll_event() {
            self.route(event);
        }
        self.inbox.push(None, event);
    }

    /// Stops reading when too much waits for the application, and goes on when it does not any more.
    fn pace(&mut self, now: Instant) {
        // One event is let in also with limits of 0, or nothing would ever be read.
        let full = self.inbox.waiting() + self.aside.len() >= self.config.max_inbox.max(1)
            || self.inbox.bytes() + self.aside.bytes() >= self.config.max_inbox_bytes.max(1);
        if full != self.inbox.full {
            self.inbox.full = full;
            if let Some(session) = &mut self.session {
                session.set_paused(full, now);
            }
        }
    }

    fn session(&mut self, channel: ChannelId) -> Option<&mut ClientSession> {
        // Channels of sessions that have ended are nobody's.
        self.session.as_mut().filter(|_| channel.0 >> 32 == self.sessions)
    }
}
