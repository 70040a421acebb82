//! One Engine.IO session on the server's side, over one or more channels.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bytes::Bytes;

use super::config::{Config, Transport};
use super::encoded::Encoded;
use super::heartbeat::{Beat, Heartbeat};
use super::outbox::Outbox;
use super::packet::{Message, Packet, PacketError};
use super::payload;
use super::request::{BadRequest, Refusal};
use super::response::Response;
use crate::time::earliest;
use crate::{Instant, Sid, Str};

/// How often a poll is freed while the client moves to WebSocket (B61).
const NOOP_INTERVAL: Duration = Duration::from_millis(100);

/// How many bytes the protocol's own packets may exceed `max_outbox` by.
const OWN_ROOM: usize = 64 << 10;

/// A way for bytes to travel: one parked GET, one POST, or one WebSocket.
///
/// The caller picks the number; it must not be used again while any session knows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChannelId(pub u64);

/// What a session wants done on a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Transmit {
    /// Send these WebSocket messages, next to each other.
    Packet(Encoded),
    /// Answer this request. The channel is done with.
    Respond(Response),
    /// Close this WebSocket, once everything before is sent. What else arrives on it does not matter.
    Close,
    /// Drop this WebSocket at once: the peer did not close it in time. Only the composite server says so.
    Abort,
}

/// What happened in a session.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The client sent a message.
    Message(Message),
    /// The session now travels over WebSocket.
    Upgraded,
    /// The session is over: the last event.
    Closed {
        /// Why.
        reason: CloseReason,
        /// How many accepted packets were not handed to a transport.
        undelivered: usize,
    },
}

/// Why a session ended. Shown as the reference spells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// `ping timeout`: the client did not answer in time.
    PingTimeout,
    /// `parse error`: the client sent what is not an Engine.IO packet.
    ParseError,
    /// `transport error`: the connection broke, or the client broke the transport's rules.
    TransportError,
    /// `transport close`: the client closed the connection.
    TransportClose,
    /// `forced close`: this side closed.
    ForcedClose,
    /// `overflow`: the client read too slowly; see [`Config::max_outbox`]. The reference has no such limit.
    Overflow,
}

impl CloseReason {
    /// The reference's name for the reason.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
            Self::TransportError => "transport error",
            Self::TransportClose => "transport close",
            Self::ForcedClose => "forced close",
            Self::Overflow => "overflow",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a channel came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Hangup {
    /// The peer closed it as one should.
    Closed,
    /// It broke: an I/O error, a request that was given up, a message over the limit.
    Failed,
}

/// The peer broke the protocol. The session has drawn its consequences already; this says what it was.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// What came is not a packet. The session is closed.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The body of a POST is not UTF-8. The session is closed.
    #[error("body is not UTF-8")]
    NotUtf8,
    /// A ping came from the client; in revision 4 the server pings. The session is closed.
    #[error("invalid heartbeat direction")]
    HeartbeatDirection,
    /// A WebSocket that should upgrade the session sent something else than a probe. It is closed, the session stays.
    #[error("unexpected packet on a probing transport")]
    UnexpectedProbe,
}

/// A packet that was not accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The outbox is full: the packet is given back. See [`Config::max_outbox`].
    #[error("outbox is full")]
    Full(Encoded),
    /// The session is closed or closing.
    #[error("session is closed")]
    Closed,
}

/// One Engine.IO session: handshake, heartbeat, upgrade and close, over channels that the caller owns.
///
/// - *Inputs*: [`handle_poll`](Self::handle_poll), [`handle_post`](Self::handle_post) and [`handle_body`](Self::handle_body),
///   [`handle_upgrade`](Self::handle_upgrade), [`handle_message`](Self::handle_message), [`handle_hangup`](Self::handle_hangup),
///   [`handle_timeout`](Self::handle_timeout).
/// - *Commands*: [`send`](Self::send), [`close`](Self::close).
/// - *Outputs*: [`poll_ready`](Self::poll_ready) names channels that have something to send,
///   [`poll_transmit`](Self::poll_transmit) gives it, [`poll_event`](Self::poll_event), [`poll_timeout`](Self::poll_timeout).
///   Every input and command may change the answer of each of them.
///
/// ```text
///   Open ── close() ──► Closing ── last packets taken, or close_timeout ──► Closed
///    └── error, hang-up, ping timeout, close packet ────────────────────────► Closed
/// ```
#[derive(Debug)]
pub struct ServerSession {
    config: Arc<Config>,
    sid: Sid,
    phase: Phase,
    /// The WebSocket, once the session travels over one.
    websocket: Option<ChannelId>,
    /// The parked GET.
    poll: Option<ChannelId>,
    /// The POST whose body is on its way.
    post: Option<ChannelId>,
    upgrade: Option<Upgrade>,
    heartbeat: Heartbeat,
    paused: bool,
    outbox: Outbox,
    /// Answers to channels that are done with, and to the probing one.
    replies: Vec<(ChannelId, Transmit)>,
    /// Channels to be named by `poll_ready`.
    ready: Vec<ChannelId>,
    /// Whether the main channel has been named since it was last found empty.
    announced: bool,
    events: VecDeque<Event>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Closing {
        until: Instant,
        /// How many packets were dropped instead of being sent first.
        discarded: usize,
    },
    Closed,
}

#[derive(Debug, Clone, Copy)]
struct Upgrade {
    channel: ChannelId,
    until: Instant,
    /// When a parked poll is freed next; set by the probe.
    noop_at: Option<Instant>,
}

impl Upgrade {
    fn is_probed(self) -> bool {
        self.noop_at.is_some()
    }
}

impl ServerSession {
    /// A new session, opened by the first poll or by a WebSocket; the handshake is its first output.
    #[must_use]
    pub fn new(
        config: Arc<Config>,
        sid: Sid,
        transport: Transport,
        channel: ChannelId,
        now: Instant,
    ) -> Self {
        let mut session = Self {
            sid,
            phase: Phase::Open,
            websocket: (transport == Transport::WebSocket).then_some(channel),
            poll: (transport == Transport::Polling).then_some(channel),
            post: None,
            upgrade: None,
            heartbeat: Heartbeat::new(now, config.ping_interval),
            paused: false,
            outbox: Outbox::default(),
            replies: Vec::new(),
            ready: Vec::new(),
            announced: false,
            events: VecDeque::new(),
            config,
        };
        session.outbox.push_control(session.open_packet(transport));
        session.announce();
        session
    }

    /// B12: exactly these five keys.
    fn open_packet(&self, transport: Transport) -> Str {
        let upgrades = transport == Transport::Polling && self.config.upgrades();
        Str::from(format!(
            r#"0{{"sid":"{}","upgrades":[{}],"pingInterval":{},"pingTimeout":{},"maxPayload":{}}}"#,
            self.sid.as_str(),
            if upgrades { r#""websocket""# } else { "" },
            self.config.ping_interval.as_millis(),
            self.config.ping_timeout.as_millis(),
            self.config.max_http_buffer_size,
        ))
    }

    /// A GET asks for packets; its answer comes by `poll_transmit`.
    ///
    /// # Errors
    /// The refusal to answer it with. A second GET while one waits ends the session (B42).
    pub fn handle_poll(&mut self, channel: ChannelId, now: Instant) -> Result<(), Refusal> {
        self.expect_polling()?;
        if self.poll.is_some() {
            self.abort(CloseReason::TransportError);
            return Err(Refusal::OutOfTurn);
        }
        self.poll = Some(channel);
        if let Some(Upgrade { noop_at: Some(at), .. }) = &mut self.upgrade {
            *at = now + NOOP_INTERVAL;
        }
        if !self.outbox.is_empty() || self.phase != Phase::Open {
            self.announce();
        }
        Ok(())
    }

    /// A POST begins; its body goes to [`handle_body`](Self::handle_body), or the channel is hung up.
    ///
    /// # Errors
    /// The refusal to answer it with. A second POST while one runs, and a binary body, end the session (B43, B45).
    pub fn handle_post(&mut self, channel: ChannelId, content_type: Option<&str>) -> Result<(), Refusal> {
        self.expect_polling()?;
        if self.post.is_some() || content_type == Some("application/octet-stream") {
            self.abort(CloseReason::TransportError);
            return Err(Refusal::OutOfTurn);
        }
        self.post = Some(channel);
        Ok(())
    }

    /// The body of a POST is there. Gives the answer, and what was wrong with the body, if anything.
    pub fn handle_body(
        &mut self,
        channel: ChannelId,
        body: Bytes,
        now: Instant,
    ) -> (Result<Response, Refusal>, Result<(), PeerError>) {
        if self.post != Some(channel) {
            return (Err(Refusal::SessionUnknown), Ok(()));
        }
        self.post = None;
        if self.websocket.is_some() {
            return (Err(Refusal::BadRequest(BadRequest::TransportMismatch)), Ok(()));
        }
        // B48: a body that is not a payload is taken with `ok`, and then the session ends.
        (Ok(Response::ok()), self.decode_body(body, now))
    }

    fn decode_body(&mut self, body: Bytes, now: Instant) -> Result<(), PeerError> {
        let Ok(body) = Str::try_from(body) else {
            self.abort(CloseReason::ParseError);
            return Err(PeerError::NotUtf8);
        };
        let half = body.len() / 2;
        for packet in payload::decode(body) {
            let packet = packet.map(|packet| match packet {
                // A small part of a body is copied, or it would keep the rest of it for as long as it waits itself.
                Packet::Message(Message::Text(text)) if text.len() < half => {
                    Packet::Message(Message::Text(text.as_str().into()))
                }
                packet => packet,
            });
            self.handle_decoded(packet, now)?;
        }
        Ok(())
    }

    /// A POST is given up because its body is too large; the session stays (B46).
    pub fn handle_oversize(&mut self, channel: ChannelId) {
        if self.post == Some(channel) {
            self.post = None;
        }
    }

    /// A WebSocket wants to upgrade the session.
    ///
    /// # Errors
    /// The WebSocket must be closed: the session has one already, or may not have one (B65). Nothing else changes.
    pub fn handle_upgrade(&mut self, channel: ChannelId, now: Instant) -> Result<(), Refusal> {
        if self.phase != Phase::Open || !self.config.upgrades() {
            return Err(Refusal::SessionUnknown);
        }
        if self.websocket.is_some() || self.upgrade.is_some() {
            return Err(Refusal::OutOfTurn);
        }
        let until = now + self.config.upgrade_timeout;
        self.upgrade = Some(Upgrade { channel, until, noop_at: None });
        Ok(())
    }

    /// A WebSocket message arrived.
    ///
    /// # Errors
    /// What the peer did wrong. The consequences are drawn.
    pub fn handle_message(
        &mut self,
        channel: ChannelId,
        message: Message,
        now: Instant,
    ) -> Result<(), PeerError> {
        if self.websocket == Some(channel) {
            let packet = match message {
                Message::Text(text) => Packet::decode(text),
                message @ Message::Binary(_) => Ok(Packet::Message(message)),
            };
            self.handle_decoded(packet, now)
        } else if let Some(upgrade) = self.upgrade.filter(|upgrade| upgrade.channel == channel) {
            self.handle_probe(upgrade, message, now)
        } else {
            Ok(())
        }
    }

    fn handle_decoded(&mut self, packet: Result<Packet, PacketError>, now: Instant) -> Result<(), PeerError> {
        match packet {
            Ok(packet) => self.handle_packet(packet, now),
            Err(error) => {
                self.abort(CloseReason::ParseError);
                Err(error.into())
            }
        }
    }

    fn handle_packet(&mut self, packet: Packet, now: Instant) -> Result<(), PeerError> {
        if self.phase != Phase::Open {
            return Ok(());
        }
        match packet {
            Packet::Pong(_) => self.heartbeat.handle_pong(now, self.config.ping_interval),
            _ => self.heartbeat.handle_traffic(now, self.config.ping_timeout),
        }
        match packet {
            Packet::Message(message) => self.events.push_back(Event::Message(message)),
            Packet::Ping(_) => {
                self.abort(CloseReason::TransportError);
                return Err(PeerError::HeartbeatDirection);
            }
            Packet::Close => {
                // B50: the waiting poll is freed first.
                self.free_poll();
                self.abort(CloseReason::TransportClose);
            }
            // B10: ignored, as the reference does.
            Packet::Pong(_) | Packet::Open(_) | Packet::Upgrade | Packet::Noop => {}
        }
        Ok(())
    }

    fn handle_probe(&mut self, upgrade: Upgrade, message: Message, now: Instant) -> Result<(), PeerError> {
        let channel = upgrade.channel;
        match message {
            // Once: a peer that asks without reading must not fill the replies.
            Message::Text(text) if text == "2probe" && !upgrade.is_probed() => {
                self.upgrade = Some(Upgrade { noop_at: Some(now + NOOP_INTERVAL), ..upgrade });
                let answer = Encoded::from_parts(Str::from_static("3probe"), None);
                self.reply(channel, Transmit::Packet(answer));
                self.free_poll();
                Ok(())
            }
            // B64: also without a probe.
            Message::Text(text) if text == "5" => {
                // B63: what waits goes out on the new transport, in order.
                self.upgrade = None;
                self.free_poll();
                self.websocket = Some(channel);
                self.events.push_back(Event::Upgraded);
                if !self.outbox.is_empty() || self.phase != Phase::Open {
                    self.announced = false;
                    self.announce();
                }
                Ok(())
            }
            _ => {
                self.upgrade = None;
                self.reply(channel, Transmit::Close);
                Err(PeerError::UnexpectedProbe)
            }
        }
    }

    /// A channel ended: a WebSocket was closed, or a request was given up before its answer (B53).
    pub fn handle_hangup(&mut self, channel: ChannelId, how: Hangup) {
        if self.websocket == Some(channel) {
            self.websocket = None;
            self.abort(match how {
                Hangup::Closed => CloseReason::TransportClose,
                Hangup::Failed => CloseReason::TransportError,
            });
        } else if self.poll == Some(channel) {
            self.poll = None;
            self.abort(CloseReason::TransportError);
        } else if self.post == Some(channel) {
            self.post = None;
            // After the upgrade it does not matter how the old transport ends.
            if self.websocket.is_none() {
                self.abort(CloseReason::TransportError);
            }
        } else if self.upgrade.is_some_and(|upgrade| upgrade.channel == channel) {
            self.upgrade = None;
        }
        self.replies.retain(|(to, _)| *to != channel);
    }

    /// The peer broke the rules of the WebSocket protocol, or its message is too large. The WebSocket is closed by
    /// `poll_transmit`, unlike after a hang-up.
    pub fn handle_fault(&mut self, channel: ChannelId) {
        if self.websocket == Some(channel) {
            self.abort(CloseReason::TransportError);
        } else if self.upgrade.is_some_and(|upgrade| upgrade.channel == channel) {
            self.close_upgrade();
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.phase {
            Phase::Open => {
                let timeout = self.config.ping_timeout;
                match self.heartbeat.handle_timeout(now, timeout, self.paused) {
                    Beat::None => {}
                    Beat::Ping => {
                        self.outbox.push_control(Str::from_static("2"));
                        self.announce();
                    }
                    Beat::Expired => return self.abort(CloseReason::PingTimeout),
                }
            }
            Phase::Closing { until, .. } if until <= now => return self.abort(CloseReason::ForcedClose),
            Phase::Closing { .. } | Phase::Closed => {}
        }
        if let Some(upgrade) = self.upgrade {
            if upgrade.until <= now {
                self.upgrade = None;
                self.reply(upgrade.channel, Transmit::Close);
            } else if upgrade.noop_at.is_some_and(|at| at <= now) {
                self.free_poll();
                self.upgrade = Some(Upgrade { noop_at: Some(now + NOOP_INTERVAL), ..upgrade });
            }
        }
    }

    /// Tells the session that its owner has stopped reading from the peer, or reads again: a peer that cannot be heard is
    /// not timed out.
    pub fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Sends a message, or a group of them.
    ///
    /// # Errors
    /// [`SendError::Full`] gives it back if too much waits already.
    pub fn send(&mut self, packet: Encoded) -> Result<(), SendError> {
        if self.phase != Phase::Open {
            return Err(SendError::Closed);
        }
        self.outbox.push(packet, self.config.max_outbox).map_err(SendError::Full)?;
        self.announce();
        Ok(())
    }

    /// Sends a packet of the protocol's own, for which there is some room beside the application's. A client that makes us
    /// reply and does not read the replies ends when that is used up. Dropped if the session is closed or closing.
    pub(crate) fn push(&mut self, packet: Encoded) {
        if self.phase != Phase::Open {
            return;
        }
        match self.outbox.push(packet, self.config.max_outbox.saturating_add(OWN_ROOM)) {
            Ok(()) => self.announce(),
            Err(_) => self.abort(CloseReason::Overflow),
        }
    }

    /// Whether a packet sent now would go out at once (B126).
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.phase == Phase::Open
            && self.outbox.is_empty()
            && (self.websocket.is_some() || self.poll.is_some())
    }

    /// Whether the client is owed nothing, and does not even wait: a polling session between two polls, with no packets.
    #[must_use]
    pub fn is_owed_nothing(&self) -> bool {
        self.websocket.is_none() && self.poll.is_none() && self.outbox.packets() == 0
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn outbox_bytes(&self) -> usize {
        self.outbox.bytes()
    }

    /// Closes the session, once what waits is sent (B51); `discard` drops that instead (B52).
    ///
    /// A polling session waits for the poll that takes its last packets and the close packet, but not longer than
    /// `close_timeout`, nor than a heartbeat would have taken to find the client gone.
    pub fn close(&mut self, discard: bool, now: Instant) {
        if self.phase != Phase::Open {
            return;
        }
        let discarded = if discard { self.outbox.packets() } else { 0 };
        if discard {
            self.outbox.clear();
        }
        let heartbeat = self.config.ping_interval + self.config.ping_timeout;
        self.phase = Phase::Closing { until: now + self.config.close_timeout.min(heartbeat), discarded };
        self.close_upgrade();
        self.announce();
    }

    /// Closes the session at once, for a reason of the layers above.
    pub fn abort(&mut self, reason: CloseReason) {
        if self.phase == Phase::Closed {
            return;
        }
        self.post = None;
        self.close_upgrade();
        if let Some(channel) = self.poll.take() {
            let mut nothing = Outbox::default();
            self.reply(channel, Transmit::Respond(nothing.drain_payload(Some("1"))));
        }
        if let Some(channel) = self.websocket.take() {
            self.reply(channel, Transmit::Close);
        }
        self.finish(reason);
    }

    fn finish(&mut self, reason: CloseReason) {
        let discarded = if let Phase::Closing { discarded, .. } = self.phase { discarded } else { 0 };
        let undelivered = discarded + self.outbox.packets();
        self.phase = Phase::Closed;
        self.outbox.clear();
        self.events.push_back(Event::Closed { reason, undelivered });
    }

    /// The next channel that has something to send, as far as it was not named before. `poll_transmit` must then be
    /// called for it until it gives `None`.
    pub fn poll_ready(&mut self) -> Option<ChannelId> {
        self.ready.pop()
    }

    /// What to do next on `channel`.
    pub fn poll_transmit(&mut self, channel: ChannelId) -> Option<Transmit> {
        if let Some(index) = self.replies.iter().position(|(to, _)| *to == channel) {
            return Some(self.replies.remove(index).1);
        }
        let closing = matches!(self.phase, Phase::Closing { .. });
        if self.websocket == Some(channel) {
            if let Some(packet) = self.outbox.pop() {
                return Some(Transmit::Packet(packet));
            }
            self.announced = false;
            if closing {
                self.websocket = None;
                self.finish(CloseReason::ForcedClose);
                return Some(Transmit::Close);
            }
        } else if self.poll == Some(channel) && (closing || !self.outbox.is_empty()) {
            self.poll = None;
            self.announced = false;
            // The close packet comes alone, with the next poll: the official client acts on it before it looks at what came
            // with it, and would take a DISCONNECT in the same payload for a lost connection.
            let last = self.outbox.is_empty();
            let response = self.outbox.drain_payload(last.then_some("1"));
            if last {
                self.finish(CloseReason::ForcedClose);
            }
            return Some(Transmit::Respond(response));
        }
        None
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        // One body can hold very many packets; an idle session should not keep the room for them.
        if self.events.is_empty() && self.events.capacity() > 16 {
            self.events = VecDeque::new();
        }
        event
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Open => self.heartbeat.deadline(),
            Phase::Closing { until, .. } => until,
            Phase::Closed => return None,
        };
        let upgrade = self.upgrade.map(|upgrade| match upgrade.noop_at {
            Some(at) if self.poll.is_some() => at.min(upgrade.until),
            _ => upgrade.until,
        });
        earliest(Some(phase), upgrade)
    }

    /// The session's id.
    #[must_use]
    pub fn sid(&self) -> Sid {
        self.sid
    }

    /// How the session travels.
    #[must_use]
    pub fn transport(&self) -> Transport {
        if self.websocket.is_some() { Transport::WebSocket } else { Transport::Polling }
    }

    /// Gives memory back that only bursts need.
    pub(crate) fn shrink(&mut self) {
        self.events.shrink_to(0);
        self.replies.shrink_to(0);
    }

    /// Whether the session is over. Replies to its last channels may still wait in `poll_transmit`.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether the session takes packets to send.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether everything is over and drained.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.is_closed() && self.replies.is_empty() && self.events.is_empty()
    }

    fn expect_polling(&self) -> Result<(), Refusal> {
        match self.phase {
            Phase::Closed => Err(Refusal::SessionUnknown),
            _ if self.websocket.is_some() => Err(Refusal::BadRequest(BadRequest::TransportMismatch)),
            _ => Ok(()),
        }
    }

    /// Answers a parked poll with a noop. What waits stays for the next poll or the WebSocket: the client may give this
    /// request up before it is answered, and that would not be noticed.
    fn free_poll(&mut self) {
        if let Some(channel) = self.poll.take() {
            self.announced = false;
            let mut nothing = Outbox::default();
            self.reply(channel, Transmit::Respond(nothing.drain_payload(Some("6"))));
        }
    }

    fn close_upgrade(&mut self) {
        if let Some(upgrade) = self.upgrade.take() {
            self.reply(upgrade.channel, Transmit::Close);
        }
    }

    fn reply(&mut self, channel: ChannelId, transmit: Transmit) {
        self.replies.push((channel, transmit));
        self.ready.push(channel);
    }

    /// Names the main channel to `poll_ready`, once until it is drained.
    fn announce(&mut self) {
        if let (Some(channel), false) = (self.websocket.or(self.poll), self.announced) {
            self.announced = true;
            self.ready.push(channel);
        }
    }
}
