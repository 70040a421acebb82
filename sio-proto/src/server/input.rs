//! What comes from the network and the clock.

use core::time::Duration;

use bytes::Bytes;

use super::{Admission, PeerError, Ready, Server};
use crate::engine::{ChannelId, Dialect, Hangup, Message, Refusal, Request, Response, Transport};
use crate::{Instant, Sid};

impl Server {
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
        self.handle_request_in(Dialect::default(), request, content_type, now)
    }

    /// As [`handle_request`](Self::handle_request), for a client that wants to be spoken to in the way that
    /// [`Request::parse_in`] gave.
    ///
    /// # Errors
    /// What to answer it with.
    pub fn handle_request_in(
        &mut self,
        dialect: Dialect,
        request: Request,
        content_type: Option<&str>,
        now: Instant,
    ) -> Result<Admission, Refusal> {
        match request {
            Request::Handshake => {
                let (_, channel) = self.open(Transport::Polling, dialect, now)?;
                Ok(Admission::Poll(channel))
            }
            Request::Poll(sid) => {
                let conn = self.lookup_in(sid, dialect.revision)?;
                self.with_channel(conn, now, |engine, channel| engine.handle_poll(channel, now))
                    .map(Admission::Poll)
            }
            Request::Post(sid) => {
                let conn = self.lookup_in(sid, dialect.revision)?;
                self.with_channel(conn, now, |engine, channel| engine.handle_post(channel, content_type))
                    .map(Admission::Post)
            }
            Request::WebSocket(sid) => {
                match sid {
                    Some(sid) => self.lookup_in(sid, dialect.revision).map(|_| ())?,
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
        self.open_websocket_in(Dialect::default(), sid, now)
    }

    /// As [`open_websocket`](Self::open_websocket), for a client that wants to be spoken to in the way that
    /// [`Request::parse_in`] gave.
    ///
    /// # Errors
    /// The WebSocket must be closed (B65).
    pub fn open_websocket_in(
        &mut self,
        dialect: Dialect,
        sid: Option<Sid>,
        now: Instant,
    ) -> Result<ChannelId, Refusal> {
        match sid {
            None => Ok(self.open(Transport::WebSocket, dialect, now)?.1),
            Some(sid) => {
                let conn = self.lookup(sid)?;
                self.with_channel(conn, now, |engine, channel| {
                    engine.handle_upgrade_in(dialect, channel, now)
                })
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
        let handled = self.metered(id, |engine| engine.handle_body(channel, body, now));
        let Some((response, fault)) = handled else { return (Err(Refusal::SessionUnknown), Ok(())) };
        self.stats.peer_errors += u64::from(fault.is_err());
        let processed = self.process(id, now);
        (response, fault.map_err(PeerError::from).and(processed))
    }

    /// Cuts the body of a POST, or what is left of it, behind its first `packets` packets, at least one: for
    /// [`handle_part`](Self::handle_part), or for [`handle_body`](Self::handle_body) if there is no second part.
    pub fn cut_body(&mut self, channel: ChannelId, body: Bytes, packets: usize) -> (Bytes, Option<Bytes>) {
        match self.conn_of(channel).and_then(|id| self.conns.get_mut(id)) {
            Some(conn) => conn.engine.cut_body(channel, body, packets),
            None => (body, None),
        }
    }

    /// The first packets of a body, of which the rest is still to come, by this and at last by [`handle_body`](Self::handle_body). An owner
    /// who cuts long bodies ([`cut_body`](Self::cut_body)), and waits for [`wants_read`](Self::wants_read) before each
    /// part, keeps to `max_inbox` also with bodies of very many packets. Gives the answer if the rest is not wanted any more.
    pub fn handle_part(
        &mut self,
        channel: ChannelId,
        part: Bytes,
        now: Instant,
    ) -> (Option<Response>, Result<(), PeerError>) {
        let Some(id) = self.conn_of(channel) else { return (None, Ok(())) };
        let handled = self.metered(id, |engine| engine.handle_part(channel, part, now));
        let Some((response, fault)) = handled else { return (None, Ok(())) };
        self.stats.peer_errors += u64::from(fault.is_err());
        if response.is_some() {
            self.close_channel(channel);
        }
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
        self.handle_messages(channel, core::iter::once(message), now)
    }

    /// WebSocket messages that came together: as [`handle_message`](Self::handle_message) for each of them, and less work.
    ///
    /// # Errors
    /// The first thing that the peer did wrong. The consequences are drawn.
    pub fn handle_messages(
        &mut self,
        channel: ChannelId,
        messages: impl IntoIterator<Item = Message>,
        now: Instant,
    ) -> Result<(), PeerError> {
        let Some(id) = self.conn_of(channel) else { return Ok(()) };
        let mut result = Ok(());
        for message in messages {
            let handled = self.metered(id, |engine| engine.handle_message(channel, message, now));
            let Some(fault) = handled else { break };
            self.stats.peer_errors += u64::from(fault.is_err());
            let carried = self.carry(id, now);
            result = result.and_then(|()| fault.map_err(PeerError::from)).and(carried);
        }
        self.announce(id);
        result
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
            let late = match &mut conn.partial {
                Some((_, until)) if *until <= now && conn.inbox.full => {
                    // It may have come, but is not read. Never at this very moment again: time must go on.
                    *until = now + self.config.attachment_timeout.max(Duration::from_millis(1));
                    false
                }
                Some((_, until)) => *until <= now,
                None => false,
            };
            if conn.socket.handle_timeout(now).is_err() || late {
                Self::expel(conn, now);
                self.stats.peer_errors += 1;
            }
            let _ = self.process(id, now);
        }
        if let Some(recovery) = &mut self.recovery {
            recovery.handle_timeout(now);
        }
    }
}
