//! What comes from the network and the clock.

use core::time::Duration;

use bytes::Bytes;

use super::error::TransportError;
use super::event::{Answer, ClientEvent};
use super::{ClientSession, Phase, Request, SOON};
use crate::engine::event::{ChannelId, CloseReason};
use crate::engine::open::{HandshakeError, Open};
use crate::engine::packet::{Message, Packet};
use crate::engine::payload;
use crate::{Instant, Str};

/// Most packets in one answer to a poll: each takes more room than its content, and a large answer has room for millions.
const MAX_PACKETS: usize = 1 << 19;

impl ClientSession {
    /// A WebSocket is open: the server has answered 101.
    pub fn handle_open(&mut self, channel: ChannelId, now: Instant) {
        self.tick(now);
        self.handle_probe_open(channel, now);
    }

    /// A WebSocket message arrived.
    ///
    /// # Errors
    /// What the server did wrong. The consequences are drawn.
    pub fn handle_message(
        &mut self,
        channel: ChannelId,
        message: Message,
        now: Instant,
    ) -> Result<(), TransportError> {
        self.tick(now);
        if self.websocket == Some(channel) {
            let result = self.handle_frame(message, now);
            self.failed(result)
        } else if self.upgrade.as_ref().is_some_and(|upgrade| upgrade.channel == channel) {
            self.handle_probe(message, now)
        } else {
            Ok(())
        }
    }

    fn handle_frame(&mut self, message: Message, now: Instant) -> Result<(), TransportError> {
        self.traffic.receive(0, message.len());
        self.check_size(message.len())?;
        let packet = match message {
            Message::Text(text) => Packet::decode(text)?,
            message @ Message::Binary(_) => Packet::Message(message),
        };
        self.handle_packet(packet, now)
    }

    /// The answer to a GET or a POST is there, with all of its body.
    ///
    /// # Errors
    /// What the server did wrong. The consequences are drawn.
    pub fn handle_answer(
        &mut self,
        channel: ChannelId,
        answer: Answer,
        now: Instant,
    ) -> Result<(), TransportError> {
        self.tick(now);
        let result = if take(&mut self.get, channel) {
            self.handle_polled(answer, now)
        } else if take(&mut self.post, channel) {
            self.handle_posted(answer)
        } else {
            return Ok(());
        };
        self.failed(result)?;
        self.try_switch();
        Ok(())
    }

    fn handle_polled(&mut self, answer: Answer, now: Instant) -> Result<(), TransportError> {
        if let Phase::Closing { .. } = self.phase {
            return Ok(());
        }
        let body = accept(answer)?;
        self.traffic.receive(0, body.len());
        self.check_size(body.len())?;
        let body = Str::try_from(body).map_err(|_| TransportError::NotUtf8)?;
        for (index, packet) in payload::decode_apart(body).enumerate() {
            if index == MAX_PACKETS {
                return Err(TransportError::TooManyPackets { limit: MAX_PACKETS });
            }
            self.handle_packet(packet?, now)?;
            // B11: what comes after a close packet does not count.
            if self.phase == Phase::Closed {
                break;
            }
        }
        Ok(())
    }

    fn handle_posted(&mut self, answer: Answer) -> Result<(), TransportError> {
        accept(answer)?;
        if let Phase::Closing { said: true, .. } = self.phase {
            self.finish(CloseReason::ForcedClose, None);
        }
        Ok(())
    }

    fn check_size(&self, len: usize) -> Result<(), TransportError> {
        let limit = self.config.max_message_size;
        if len > limit { Err(TransportError::TooLarge { limit }) } else { Ok(()) }
    }

    fn handle_packet(&mut self, packet: Packet, now: Instant) -> Result<(), TransportError> {
        self.traffic.receive(1, 0);
        if self.phase == Phase::Opening {
            return self.handle_handshake(&packet, now);
        }
        self.watch = now + self.patience();
        match packet {
            // B38: whatever it says. One answer that waits is enough, or a server could fill the outbox.
            Packet::Ping(_) if self.outbox.has_control() => {}
            Packet::Ping(_) => self.outbox.push_control(Str::from_static("3")),
            Packet::Message(message) if self.phase == Phase::Open => {
                self.events.push_back(ClientEvent::Message(message));
            }
            // B10: the reference ignores it on a WebSocket, which has an end of its own.
            Packet::Close if self.websocket.is_none() => {
                self.finish(CloseReason::TransportClose, Some(TransportError::Closed));
            }
            _ => {}
        }
        Ok(())
    }

    fn handle_handshake(&mut self, packet: &Packet, now: Instant) -> Result<(), TransportError> {
        let open = match packet {
            Packet::Open(json) => Open::parse(json)?,
            Packet::Close => return Err(TransportError::Closed),
            _ => return Err(HandshakeError::Missing.into()),
        };
        self.phase = Phase::Open;
        self.open = Some(open.clone());
        self.watch = now + self.patience();
        self.events.push_back(ClientEvent::Open(open));
        self.begin_upgrade(now);
        Ok(())
    }

    /// How long the server may be silent.
    pub(super) fn patience(&self) -> Duration {
        self.open.as_ref().map_or(Duration::MAX, |open| open.ping_interval + open.ping_timeout)
    }

    /// A request or a WebSocket has come to its end without an answer: [`TransportError::Closed`] if the server closed the
    /// WebSocket as one should.
    pub fn handle_failure(&mut self, channel: ChannelId, error: TransportError, now: Instant) {
        self.tick(now);
        self.end(channel, error);
    }

    fn end(&mut self, channel: ChannelId, error: TransportError) {
        if take(&mut self.get, channel) {
            // A session that closes has no use for what a poll brings.
            if !matches!(self.phase, Phase::Closing { .. }) {
                self.fail(error);
            }
        } else if take(&mut self.post, channel) {
            self.fail(error);
        } else if self.websocket == Some(channel) {
            self.websocket = None;
            self.fail(error);
        } else if self.upgrade.as_ref().is_some_and(|upgrade| upgrade.channel == channel) {
            self.fail_upgrade(error);
        }
    }

    fn failed(&mut self, result: Result<(), TransportError>) -> Result<(), TransportError> {
        if let Err(error) = &result {
            self.fail(error.clone());
        }
        result
    }

    /// The transport has failed: while the session opens there may be another one, else this is the end.
    pub(super) fn fail(&mut self, error: TransportError) {
        match self.phase {
            Phase::Opening => {
                let Some(next) = self.untried.pop() else { return self.finish(error.reason(), Some(error)) };
                if let Some(channel) = self.websocket.take() {
                    self.drop_channel(channel);
                }
                self.begin(next);
            }
            Phase::Closing { .. } => self.finish(CloseReason::ForcedClose, Some(error)),
            Phase::Open | Phase::Closed => self.finish(error.reason(), Some(error)),
        }
    }

    /// Tells the session that its owner has stopped reading from the server, or reads again. Meanwhile nothing times out but a
    /// close, and no new poll is asked for; afterwards all waiting begins anew.
    pub fn set_paused(&mut self, paused: bool, now: Instant) {
        self.tick(now);
        if self.paused && !paused {
            self.watch = now + self.patience();
            self.renew(now);
        }
        self.paused = paused;
    }

    fn renew(&mut self, now: Instant) {
        for request in [&mut self.get, &mut self.post].into_iter().flatten() {
            request.until = None;
        }
        self.tick(now);
        self.renew_upgrade(now);
    }

    /// The time is told: requests that were made without knowing it count from now on.
    pub(super) fn tick(&mut self, now: Instant) {
        self.clock = now;
        let Some(timeout) = self.config.request_timeout else { return };
        for request in [&mut self.get, &mut self.post].into_iter().flatten() {
            request.until.get_or_insert_with(|| now + timeout.max(SOON));
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.tick(now);
        if let Phase::Closing { until, .. } = self.phase {
            if until <= now {
                self.finish(CloseReason::ForcedClose, None);
            }
        }
        if self.paused {
            return;
        }
        self.check_watch(now);
        while let Some(channel) = self.overdue(now) {
            self.drop_channel(channel);
            self.end(channel, TransportError::RequestTimeout);
        }
        if self.upgrade.as_ref().is_some_and(|upgrade| upgrade.until <= now) {
            self.drop_upgrade(TransportError::ProbeTimeout);
        }
    }

    fn overdue(&self, now: Instant) -> Option<ChannelId> {
        let requests = [self.get, self.post].into_iter().flatten();
        let mut overdue = requests.filter(|request| request.until.is_some_and(|until| until <= now));
        overdue.next().map(|request| request.channel)
    }
}

/// Whether `channel` is the request that is under way; then it is no more.
fn take(request: &mut Option<Request>, channel: ChannelId) -> bool {
    request.take_if(|request| request.channel == channel).is_some()
}

/// The body of an answer that is not a refusal.
fn accept(answer: Answer) -> Result<Bytes, TransportError> {
    match answer.status {
        200 => Ok(answer.body),
        status => Err(TransportError::from_answer(status, answer.location, &answer.body)),
    }
}
