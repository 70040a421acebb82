//! What comes from the network and the clock.

use bytes::Bytes;

use super::{NOOP_INTERVAL, Phase, ServerSession, Upgrade};
use crate::engine::config::Transport;
use crate::engine::dialect::{Dialect, Revision};
use crate::engine::encoded::Encoded;
use crate::engine::event::{ChannelId, CloseReason, Event, Hangup, PeerError, Transmit};
use crate::engine::heartbeat::Beat;
use crate::engine::packet::{Message, Packet, PacketError};
use crate::engine::request::{BadRequest, Refusal};
use crate::engine::response::Response;
use crate::engine::{eio3, jsonp, payload};
use crate::{Instant, Str};

impl ServerSession {
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
    /// The refusal to answer it with. A second POST while one runs, and a binary body in revision 4, end the session (B43, B45).
    pub fn handle_post(&mut self, channel: ChannelId, content_type: Option<&str>) -> Result<(), Refusal> {
        self.expect_polling()?;
        let is_binary = content_type == Some("application/octet-stream");
        if self.post.is_some() || (is_binary && self.dialect.revision == Revision::V4) {
            self.abort(CloseReason::TransportError);
            return Err(Refusal::OutOfTurn);
        }
        self.post = Some(channel);
        self.post_is_binary = is_binary;
        self.post_is_form = self.dialect.jsonp.is_some();
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

    /// Cuts the body of a POST, or what is left of it, behind its first `packets` packets, at least one, so that it can be taken in parts.
    /// What comes out must be handled: the first part by [`handle_part`](Self::handle_part) if there is a second, else by
    /// [`handle_body`](Self::handle_body).
    pub fn cut_body(&mut self, channel: ChannelId, body: Bytes, packets: usize) -> (Bytes, Option<Bytes>) {
        if self.post != Some(channel) {
            return (body, None);
        }
        let body = self.open_form(body);
        match self.dialect.revision {
            Revision::V4 => payload::cut(body, packets),
            Revision::V3 => eio3::cut_at(body, self.post_is_binary, packets),
        }
    }

    /// The payload, which is in a form if the client polls by JSONP.
    fn open_form(&mut self, body: Bytes) -> Bytes {
        if core::mem::take(&mut self.post_is_form) && !self.post_is_binary {
            return jsonp::payload(&body).unwrap_or_default();
        }
        body
    }

    /// The first packets of a body, of which the rest is still to come, in further parts and at last by
    /// [`handle_body`](Self::handle_body); see [`cut_body`](Self::cut_body). Gives the answer if the rest is not wanted any more, and what was wrong,
    /// if anything.
    pub fn handle_part(
        &mut self,
        channel: ChannelId,
        part: Bytes,
        now: Instant,
    ) -> (Option<Response>, Result<(), PeerError>) {
        if self.post != Some(channel) || self.websocket.is_some() {
            return (None, Ok(()));
        }
        let fault = self.decode_body(part, now);
        // As for a whole body (B48, B50).
        ((self.post != Some(channel)).then(Response::ok), fault)
    }

    fn decode_body(&mut self, body: Bytes, now: Instant) -> Result<(), PeerError> {
        self.traffic.receive(0, body.len());
        if self.post_is_binary {
            return self.handle_payload(eio3::decode_binary_apart(body), now);
        }
        let body = self.open_form(body);
        let Ok(body) = Str::try_from(body) else {
            self.abort(CloseReason::ParseError);
            return Err(PeerError::NotUtf8);
        };
        match self.dialect.revision {
            Revision::V3 => self.handle_payload(eio3::decode_apart(body), now),
            Revision::V4 => self.handle_payload(payload::decode_apart(body), now),
        }
    }

    fn handle_payload(
        &mut self,
        packets: impl Iterator<Item = Result<Packet, PacketError>>,
        now: Instant,
    ) -> Result<(), PeerError> {
        for packet in packets {
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
        self.handle_upgrade_in(Dialect::default(), channel, now)
    }

    /// As [`handle_upgrade`](Self::handle_upgrade), for a client that wants to be spoken to in this way over the WebSocket.
    ///
    /// # Errors
    /// Also if the session's revision is another (B27).
    pub fn handle_upgrade_in(
        &mut self,
        dialect: Dialect,
        channel: ChannelId,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.expect_revision(dialect.revision)?;
        if self.phase != Phase::Open || !self.config.upgrades() {
            return Err(Refusal::SessionUnknown);
        }
        if self.websocket.is_some() || self.upgrade.is_some() {
            return Err(Refusal::OutOfTurn);
        }
        let until = now + self.config.upgrade_timeout;
        self.upgrade = Some(Upgrade { channel, base64: dialect.base64, until, noop_at: None });
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
            self.traffic.receive(0, message.len());
            let packet = match (message, self.dialect.revision) {
                (Message::Text(text), Revision::V4) => Packet::decode(text),
                (message @ Message::Binary(_), Revision::V4) => Ok(Packet::Message(message)),
                (Message::Text(text), Revision::V3) => eio3::decode_text(text),
                (Message::Binary(bytes), Revision::V3) => eio3::decode_bytes(&bytes),
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
        self.traffic.receive(1, 0);
        let is_v3 = self.dialect.revision == Revision::V3;
        match packet {
            // B35: each revision has its own side that pings.
            Packet::Ping(_) if !is_v3 => return self.refuse_heartbeat(),
            Packet::Pong(_) if is_v3 => return self.refuse_heartbeat(),
            Packet::Ping(_) => {
                // B37
                self.heartbeat.handle_ping(now, self.config.patience());
                self.outbox.push_pong();
                self.announce();
            }
            Packet::Pong(_) => {
                let rtt = self.heartbeat.handle_pong(now, self.config.ping_interval);
                self.rtt = rtt.or(self.rtt);
                self.confirmed = self.pinged.take().or(self.confirmed);
            }
            _ => self.heartbeat.handle_traffic(now, self.config.ping_timeout),
        }
        match packet {
            Packet::Message(message) => self.events.push_back(Event::Message(message)),
            Packet::Close => {
                // B50: the waiting poll is freed first.
                self.free_poll();
                self.abort(CloseReason::TransportClose);
            }
            // B10: ignored, as the reference does.
            Packet::Ping(_) | Packet::Pong(_) | Packet::Open(_) | Packet::Upgrade | Packet::Noop => {}
        }
        Ok(())
    }

    fn refuse_heartbeat(&mut self) -> Result<(), PeerError> {
        self.abort(CloseReason::TransportError);
        Err(PeerError::HeartbeatDirection)
    }

    fn handle_probe(&mut self, upgrade: Upgrade, message: Message, now: Instant) -> Result<(), PeerError> {
        let channel = upgrade.channel;
        self.traffic.receive(1, message.len());
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
                self.transport = Transport::WebSocket;
                self.dialect.base64 = upgrade.base64;
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
                        // Pings overtake what waits, so they say nothing of it.
                        self.pinged = (self.outbox.packets() == 0).then_some(now);
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
}
