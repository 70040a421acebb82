//! What comes from the network and the clock.

use super::{Client, PeerError, Phase};
use crate::Instant;
use crate::engine::{Answer, ChannelId, ClientRequest, CloseReason, Message, TransportError};
use crate::socket::ConnectionError;

impl Client {
    /// A WebSocket that was asked for is open.
    pub fn handle_open(&mut self, channel: ChannelId, now: Instant) {
        if let Some(session) = self.session(channel) {
            session.handle_open(channel, now);
        }
        let _ = self.process(now);
    }

    /// A WebSocket message arrived.
    ///
    /// # Errors
    /// What the server did wrong.
    pub fn handle_message(
        &mut self,
        channel: ChannelId,
        message: Message,
        now: Instant,
    ) -> Result<(), PeerError> {
        let result = match self.session(channel) {
            Some(session) => session.handle_message(channel, message, now),
            None => Ok(()),
        };
        self.finish(result, now)
    }

    /// A GET or POST was answered.
    ///
    /// # Errors
    /// What the server did wrong.
    pub fn handle_answer(
        &mut self,
        channel: ChannelId,
        answer: Answer,
        now: Instant,
    ) -> Result<(), PeerError> {
        let result = match self.session(channel) {
            Some(session) => session.handle_answer(channel, answer, now),
            None => Ok(()),
        };
        self.finish(result, now)
    }

    /// A WebSocket has ended, [`TransportError::Closed`] if it was closed as one should, or could not be opened; or a request has failed.
    pub fn handle_failure(&mut self, channel: ChannelId, error: TransportError, now: Instant) {
        self.lingering.retain(|linger| linger.channel != channel);
        if let Some(session) = self.session(channel) {
            session.handle_failure(channel, error, now);
        }
        let _ = self.process(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let requests = &mut self.requests;
        self.lingering.retain(|linger| {
            let due = linger.until <= now;
            if due {
                requests.push_back(ClientRequest::Abort { channel: linger.channel });
            }
            !due
        });
        self.conn.handle_timeout(now);
        if let Some(session) = &mut self.session {
            session.handle_timeout(now);
        }
        let _ = self.process(now);
        match self.phase {
            Phase::Opening { until: Some(until) } if until <= now => {
                // The end of the session comes later than the news of its failure, and does not count any more.
                self.phase = Phase::Idle;
                if let Some(session) = &mut self.session {
                    session.abort(CloseReason::TransportError, None);
                }
                let _ = self.process(now);
                self.fail(ConnectionError::Timeout, now);
            }
            Phase::Waiting { until } if until <= now => {
                let attempt = self.backoff.attempts();
                self.attempt = Some(attempt);
                self.tell(super::Event::ReconnectAttempt(attempt));
                self.open(now);
            }
            Phase::Closing { until } if until <= now => {
                if let Some(session) = &mut self.session {
                    session.abort(CloseReason::ForcedClose, None);
                }
            }
            _ => {}
        }
        let _ = self.process(now);
    }

    fn finish(&mut self, result: Result<(), TransportError>, now: Instant) -> Result<(), PeerError> {
        let fault = self.process(now);
        result?;
        Ok(fault?)
    }
}
