//! One Engine.IO session on the client's side.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::engine::config::Transport;
use crate::engine::encoded::Encoded;
use crate::engine::event::{ChannelId, CloseReason, SendError};
use crate::engine::facts::Traffic;
use crate::engine::open::Open;
use crate::engine::outbox::Outbox;
use crate::id::Random;
use crate::{Instant, Seed};

mod config;
mod error;
mod event;
mod input;
mod output;
mod query;
mod upgrade;

pub use config::ClientConfig;
pub use error::TransportError;
pub use event::{Answer, ClientEvent, ClientRequest};

use upgrade::Upgrade;

/// How soon a POST's time begins to count, if nothing else tells the time.
const SOON: Duration = Duration::from_millis(1);

/// One Engine.IO session as its client: handshake, heartbeat, upgrade and close. It says what to dial, to GET and to POST,
/// and never does it.
///
/// - *Inputs*: [`handle_open`](Self::handle_open), [`handle_message`](Self::handle_message),
///   [`handle_answer`](Self::handle_answer), [`handle_failure`](Self::handle_failure),
///   [`handle_timeout`](Self::handle_timeout), [`set_paused`](Self::set_paused).
/// - *Commands*: [`send`](Self::send), [`close`](Self::close), [`abort`](Self::abort), [`check_alive`](Self::check_alive).
/// - *Outputs*: [`poll_request`](Self::poll_request) names requests and WebSockets to begin or to drop,
///   [`poll_transmit`](Self::poll_transmit) gives what to send on a WebSocket, [`poll_event`](Self::poll_event),
///   [`poll_timeout`](Self::poll_timeout). Every input and command may change the answer of each of them.
///
/// ```text
///             the next transport
///               ┌──────────┐
///               ▼          │
///   new() ──► Opening ─────┘
///               │  │
///     handshake │  └── failure, close() ──────────────────────────────────────┐
///               ▼                                                             ▼
///             Open ── close() ──► Closing ── all is sent, or close_timeout ─► Closed
///               │                                                             ▲
///               └── failure, close packet, silence for too long, abort() ─────┘
/// ```
///
/// An open session travels by polls and POSTs, or over a WebSocket; see `upgrade.rs` for the way from one to the other.
#[derive(Debug)]
pub struct ClientSession {
    config: Arc<ClientConfig>,
    random: Random,
    next_channel: u64,
    phase: Phase,
    /// Transports to try if the present one fails to open, the next one last.
    untried: Vec<Transport>,
    /// The handshake, once it is there.
    open: Option<Open>,
    /// The WebSocket that the session travels over, or tries to. None: polling.
    websocket: Option<ChannelId>,
    /// The GET that is under way.
    get: Option<Request>,
    /// The POST that is under way.
    post: Option<Request>,
    upgrade: Option<Upgrade>,
    upgraded: bool,
    /// Whether the packet that tells the server of the switch waits to be sent, before all others.
    announce_switch: bool,
    /// When the server has been silent for too long.
    watch: Instant,
    /// The last point in time that was told.
    clock: Instant,
    paused: bool,
    outbox: Outbox,
    /// What the packets of the outbox take in polling payloads.
    waiting: usize,
    /// Requests to be handed out; polls and POSTs are made when they are asked for.
    requests: VecDeque<ClientRequest>,
    events: VecDeque<ClientEvent>,
    traffic: Traffic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    Closing {
        until: Instant,
        /// Whether the POST with the close packet is under way.
        said: bool,
    },
    Closed,
}

/// A GET or POST that is under way.
#[derive(Debug, Clone, Copy)]
struct Request {
    channel: ChannelId,
    /// When it has taken too long. None: never, or not known before the time is told again.
    until: Option<Instant>,
}

impl ClientSession {
    /// A session that opens by `first`, which should be one of the configured transports. Its channels are numbered from
    /// `channels` upwards.
    #[must_use]
    pub fn new(
        config: Arc<ClientConfig>,
        first: Transport,
        seed: Seed,
        channels: ChannelId,
        now: Instant,
    ) -> Self {
        let mut untried = Vec::new();
        if config.try_all_transports {
            untried.extend(config.transports.iter().rev().filter(|transport| **transport != first));
        }
        let mut session = Self {
            config,
            random: Random::new(seed),
            next_channel: channels.0,
            phase: Phase::Opening,
            untried,
            open: None,
            websocket: None,
            get: None,
            post: None,
            upgrade: None,
            upgraded: false,
            announce_switch: false,
            watch: now,
            clock: now,
            paused: false,
            outbox: Outbox::default(),
            waiting: 0,
            requests: VecDeque::new(),
            events: VecDeque::new(),
            traffic: Traffic::default(),
        };
        session.begin(first);
        session
    }

    /// Tries a transport. A poll needs no more than that there is no WebSocket.
    fn begin(&mut self, transport: Transport) {
        if transport == Transport::WebSocket {
            self.websocket = Some(self.dial());
        }
    }

    /// Asks for a WebSocket.
    fn dial(&mut self) -> ChannelId {
        let channel = self.channel();
        let query = self.query(Transport::WebSocket);
        self.requests.push_back(ClientRequest::WebSocket { channel, query });
        channel
    }

    fn channel(&mut self) -> ChannelId {
        let channel = ChannelId(self.next_channel);
        self.next_channel = self.next_channel.wrapping_add(1);
        channel
    }

    fn query(&mut self, transport: Transport) -> String {
        let sid = self.open.as_ref().map(|open| open.sid.as_str());
        query::build(&self.config, transport, sid, &mut self.random)
    }

    /// Sends a message, or a group of them. There is no limit: whoever has many asks [`wants_packet`](Self::wants_packet)
    /// before each.
    ///
    /// # Errors
    /// [`SendError::Closed`] if the session is not open (yet).
    pub fn send(&mut self, packet: Encoded) -> Result<(), SendError> {
        if self.phase != Phase::Open {
            return Err(SendError::Closed);
        }
        if self.config.force_base64 {
            packet.into_base64().for_each(|part| self.push(part));
        } else {
            self.push(packet);
        }
        Ok(())
    }

    fn push(&mut self, packet: Encoded) {
        self.waiting += packet.payload_len();
        // The limit is the business of the layer above.
        let pushed = self.outbox.push(packet, usize::MAX);
        debug_assert!(pushed.is_ok(), "there is no limit");
    }

    /// Whether the session has use for a packet now: it would go out with the next message or POST. More than that should
    /// wait where it can be taken back.
    #[must_use]
    pub fn wants_packet(&self) -> bool {
        self.is_flowing()
            && if self.websocket.is_some() {
                self.outbox.is_empty()
            } else {
                self.post.is_none() && self.waiting < self.max_payload().unwrap_or(usize::MAX)
            }
    }

    /// Whether a packet sent now would go out at once, with nothing before it.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.is_flowing() && self.outbox.is_empty() && (self.websocket.is_some() || self.post.is_none())
    }

    /// Whether packets are on their way to the server, and are not held back for the switch of transports.
    fn is_flowing(&self) -> bool {
        self.phase == Phase::Open && !self.is_switching()
    }

    /// Closes the session, once what waits is sent, which may take [`close_timeout`](ClientConfig::close_timeout). What still
    /// arrives is ignored. A session that is not open yet ends at once; an upgrade is given up.
    pub fn close(&mut self, now: Instant) {
        self.tick(now);
        match self.phase {
            Phase::Opening => self.finish(CloseReason::ForcedClose, None),
            Phase::Open => {
                self.phase = Phase::Closing { until: now + self.config.close_timeout, said: false };
                if let Some(upgrade) = self.upgrade.take() {
                    self.drop_channel(upgrade.channel);
                }
            }
            Phase::Closing { .. } | Phase::Closed => {}
        }
    }

    /// Closes the session at once, for a reason of the layers above. The server finds out by the end of the connection.
    pub fn abort(&mut self, reason: CloseReason, error: Option<TransportError>) {
        self.finish(reason, error);
    }

    fn finish(&mut self, reason: CloseReason, error: Option<TransportError>) {
        if self.phase == Phase::Closed {
            return;
        }
        self.phase = Phase::Closed;
        let requests =
            [self.get.take(), self.post.take()].into_iter().flatten().map(|request| request.channel);
        let upgrade = self.upgrade.take().map(|upgrade| upgrade.channel);
        for channel in requests.chain(upgrade).chain(self.websocket.take()).collect::<Vec<_>>() {
            self.drop_channel(channel);
        }
        let undelivered = self.outbox.packets();
        self.outbox.clear();
        self.events.push_back(ClientEvent::Closed { reason, error, undelivered });
    }

    /// Says that a channel is not wanted any more, if it was ever asked for.
    fn drop_channel(&mut self, channel: ChannelId) {
        let waiting = self.requests.len();
        self.requests.retain(
            |request| !matches!(request, ClientRequest::WebSocket { channel: of, .. } if *of == channel),
        );
        if self.requests.len() == waiting {
            self.requests.push_back(ClientRequest::Abort { channel });
        }
    }

    /// Whether the session lives, by the clock: timers may be late, after a suspend for instance, and then a packet would be
    /// given to a connection that is gone (B40). To be asked before sending; the session is closed if it is overdue.
    pub fn check_alive(&mut self, now: Instant) -> bool {
        self.tick(now);
        self.check_watch(now);
        self.phase != Phase::Closed
    }

    fn check_watch(&mut self, now: Instant) {
        if self.phase == Phase::Open && !self.paused && self.watch <= now {
            self.finish(CloseReason::PingTimeout, None);
        }
    }

    /// How the session travels, while it does.
    #[must_use]
    pub fn transport(&self) -> Option<Transport> {
        match self.phase {
            Phase::Opening | Phase::Closed => None,
            _ if self.websocket.is_some() => Some(Transport::WebSocket),
            _ => Some(Transport::Polling),
        }
    }

    /// What went through the session so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Whether the session takes packets to send.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether the session is over. Channels to drop may still wait in `poll_request`, and the last events in `poll_event`.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Largest POST body or message that the server takes, in bytes; known from the handshake on.
    #[must_use]
    pub fn max_payload(&self) -> Option<usize> {
        self.open.as_ref().map(|open| open.max_payload)
    }

    /// Whether the session has moved from polling to WebSocket.
    #[must_use]
    pub fn upgraded(&self) -> bool {
        self.upgraded
    }
}
