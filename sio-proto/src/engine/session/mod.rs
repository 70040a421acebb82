//! One Engine.IO session on the server's side, over one or more channels.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use crate::engine::config::{Config, Transport};
use crate::engine::dialect::{Dialect, Revision};
use crate::engine::encoded::Encoded;
use crate::engine::event::{ChannelId, CloseReason, Event, SendError, Transmit};
use crate::engine::facts::{Facts, Traffic};
use crate::engine::heartbeat::Heartbeat;
use crate::engine::open::Open;
use crate::engine::outbox::Outbox;
use crate::engine::request::{BadRequest, Refusal};
use crate::engine::response::Response;
use crate::time::earliest;
use crate::{Instant, Sid, Str};

mod input;

/// How often a poll is freed while the client moves to WebSocket (B61).
const NOOP_INTERVAL: Duration = Duration::from_millis(100);

/// How many bytes the protocol's own packets may exceed `max_outbox` by.
const OWN_ROOM: usize = 64 << 10;

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
    dialect: Dialect,
    phase: Phase,
    /// The WebSocket, once the session travels over one.
    websocket: Option<ChannelId>,
    /// The parked GET.
    poll: Option<ChannelId>,
    /// The POST whose body is on its way.
    post: Option<ChannelId>,
    /// Whether that body is of the binary form of revision 3.
    post_is_binary: bool,
    /// Whether that body is a form, out of which its payload is to be taken.
    post_is_form: bool,
    upgrade: Option<Upgrade>,
    heartbeat: Heartbeat,
    /// When the ping was sent that is not answered yet, if nothing waited before it.
    pinged: Option<Instant>,
    confirmed: Option<Instant>,
    paused: bool,
    /// Whether the answer to the handshake is still to come.
    first: bool,
    outbox: Outbox,
    /// Answers to channels that are done with, and to the probing one.
    replies: Vec<(ChannelId, Transmit)>,
    /// Channels to be named by `poll_ready`.
    ready: Vec<ChannelId>,
    /// Whether the main channel has been named since it was last found empty.
    announced: bool,
    events: VecDeque<Event>,
    /// How the session travels, or travelled last.
    transport: Transport,
    close_reason: Option<CloseReason>,
    rtt: Option<Duration>,
    traffic: Traffic,
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
    /// Whether the WebSocket takes text only.
    base64: bool,
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
        Self::with_dialect(config, sid, transport, Dialect::default(), channel, now)
    }

    /// As [`new`](Self::new), for a client that wants to be spoken to in this way.
    #[must_use]
    pub fn with_dialect(
        config: Arc<Config>,
        sid: Sid,
        transport: Transport,
        dialect: Dialect,
        channel: ChannelId,
        now: Instant,
    ) -> Self {
        let heartbeat = match dialect.revision {
            Revision::V3 => Heartbeat::of_client(now, config.patience()),
            Revision::V4 => Heartbeat::new(now, config.ping_interval),
        };
        let mut session = Self {
            sid,
            dialect,
            phase: Phase::Open,
            websocket: (transport == Transport::WebSocket).then_some(channel),
            poll: (transport == Transport::Polling).then_some(channel),
            post: None,
            post_is_binary: false,
            post_is_form: false,
            upgrade: None,
            heartbeat,
            pinged: None,
            confirmed: None,
            paused: false,
            first: transport == Transport::Polling,
            outbox: Outbox::default(),
            replies: Vec::new(),
            ready: Vec::new(),
            announced: false,
            events: VecDeque::new(),
            transport,
            close_reason: None,
            rtt: None,
            traffic: Traffic::default(),
            config,
        };
        session.outbox.push_control(session.open_packet(transport));
        session.announce();
        session
    }

    fn open_packet(&self, transport: Transport) -> Str {
        let upgrades = transport == Transport::Polling && self.config.upgrades();
        let open = Open {
            sid: self.sid.as_str().into(),
            upgrades: if upgrades { vec![Transport::WebSocket] } else { Vec::new() },
            ping_interval: self.config.ping_interval,
            ping_timeout: self.config.ping_timeout,
            max_payload: self.config.max_http_buffer_size,
        };
        open.packet()
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

    /// Whether at most half of `max_outbox` waits, and a packet of this length would be accepted; also if none is any more.
    #[must_use]
    pub fn has_room_for(&self, len: usize) -> bool {
        let limit = self.config.max_outbox;
        !self.is_open() || (self.outbox.bytes() <= limit / 2 && self.outbox.has_room(len, limit))
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
        let patience = self.config.close_timeout.min(self.config.patience());
        self.phase = Phase::Closing { until: now + patience, discarded };
        // A client that has its probe answered does not poll any more: what waits can only go over the new transport.
        if !self.upgrade.is_some_and(Upgrade::is_probed) {
            self.close_upgrade();
        }
        self.announce();
    }

    /// Closes the session at once, for a reason of the layers above.
    pub fn abort(&mut self, reason: CloseReason) {
        if self.phase == Phase::Closed {
            return;
        }
        // Its owner looks, sees the end, and does not wait for the body any longer.
        self.ready.extend(self.post.take());
        self.close_upgrade();
        if let Some(channel) = self.poll.take() {
            let response = self.lone("1");
            self.reply(channel, Transmit::Respond(response));
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
        self.close_reason = Some(reason);
        self.close_upgrade();
        self.ready.extend(self.post);
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
            let transmit = self.replies.remove(index).1;
            match &transmit {
                Transmit::Packet(packet) => self.traffic.send(1, packet.len()),
                Transmit::Respond(response) => self.traffic.send(1, response.body.len()),
                Transmit::Close | Transmit::Abort => {}
            }
            return Some(transmit);
        }
        let closing = matches!(self.phase, Phase::Closing { .. });
        if self.websocket == Some(channel) {
            if let Some(packet) = self.outbox.pop_in(self.dialect) {
                self.traffic.send(packet.messages(), packet.len());
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
            let packets = self.outbox.messages() + usize::from(last);
            let mut response = self.outbox.drain_payload(last.then_some("1"), self.dialect);
            self.traffic.send(packets, response.body.len());
            if let (true, Some(cookie)) = (core::mem::take(&mut self.first), &self.config.cookie) {
                response.header("set-cookie", cookie.set(self.sid));
            }
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

    /// How the client wants to be spoken to.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// How the session travels; when it is over, how it travelled last.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// What is known about the session; also when it is over.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts {
            transport: self.transport,
            revision: self.dialect.revision,
            rtt: self.rtt,
            traffic: self.traffic,
            close_reason: self.close_reason,
        }
    }

    /// What went through the session so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Whether a WebSocket is about to take the session over.
    #[must_use]
    pub fn is_upgrading(&self) -> bool {
        self.upgrade.is_some()
    }

    /// Gives memory back that only bursts need.
    pub(crate) fn shrink(&mut self) {
        self.events.shrink_to(0);
        self.replies.shrink_to(0);
    }

    /// Everything that was accepted for sending before this time has arrived: a ping that was sent after it was answered. `None` as long
    /// as that is not known of anything, and always in revision 3, where the client pings.
    #[must_use]
    pub fn confirmed(&self) -> Option<Instant> {
        self.confirmed
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

    /// B27: a client does not change its revision.
    pub(crate) fn expect_revision(&self, revision: Revision) -> Result<(), Refusal> {
        if self.dialect.revision == revision {
            Ok(())
        } else {
            Err(Refusal::BadRequest(BadRequest::ProtocolMismatch))
        }
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
            let response = self.lone("6");
            self.reply(channel, Transmit::Respond(response));
        }
    }

    /// The answer to a poll that has one packet of the protocol's own and nothing else.
    fn lone(&self, packet: &str) -> Response {
        Outbox::default().drain_payload(Some(packet), self.dialect)
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
