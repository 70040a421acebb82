//! What the owner is to do, and what has happened.

use super::{Client, Linger, Phase, SOON};
use crate::Instant;
use crate::engine::{ChannelId, ClientRequest, ClientSession, Transmit};
use crate::socket::Slot;
use crate::time::earliest;

impl Client {
    /// What to dial, GET or POST next, or to give up. All of it is due at once.
    pub fn poll_request(&mut self, now: Instant) -> Option<ClientRequest> {
        self.feed(now);
        if let Some(request) = self.requests.pop_front() {
            return Some(request);
        }
        let request = self.session.as_mut()?.poll_request();
        if request.is_some() {
            let _ = self.process(now);
        }
        request
    }

    /// What to do next on a WebSocket. To be asked when it can be written to: what is not taken can still go over another connection.
    pub fn poll_transmit(&mut self, channel: ChannelId, now: Instant) -> Option<Transmit> {
        let transmit = match self.session(channel)?.poll_transmit(channel) {
            Some(transmit) => transmit,
            None => {
                self.feed(now);
                self.session(channel)?.poll_transmit(channel)?
            }
        };
        if transmit == Transmit::Close {
            let until = now + self.config.linger.max(SOON);
            self.lingering.push(Linger { channel, until });
        }
        if transmit == Transmit::Close || matches!(self.phase, Phase::Closing { .. }) {
            let _ = self.process(now);
        }
        Some(transmit)
    }

    /// Gives the session what it can send.
    fn feed(&mut self, now: Instant) {
        let Some(session) = &mut self.session else { return };
        // B40: what is given to a connection that is overdue would be lost.
        if session.is_open() && self.conn.has_messages() && !session.check_alive(now) {
            let _ = self.process(now);
            return;
        }
        while session.wants_packet() {
            let Some(packet) = self.conn.poll_message() else { break };
            let _ = session.send(packet);
        }
    }

    /// Whether a WebSocket only waits for its end.
    #[must_use]
    pub fn is_ending(&self, channel: ChannelId) -> bool {
        self.lingering.iter().any(|linger| linger.channel == channel)
            || self.session.is_none()
            || channel.0 >> 32 != self.sessions
    }

    /// The next event, oldest first, not counting those of the namespaces in `busy`, or of the client as a whole for `None`: that is
    /// how an owner runs one handler at a time. Acknowledgements and questions for `auth` are not held back.
    pub fn poll_event(&mut self, busy: &[Option<Slot>], now: Instant) -> Option<super::Event> {
        let event = self.inbox.pop(busy);
        self.pace(now);
        event
    }

    /// Whether any event waits.
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Whether an event waits that [`poll_event`](Self::poll_event) would give.
    #[must_use]
    pub fn has_events_besides(&self, busy: &[Option<Slot>]) -> bool {
        self.inbox.has_besides(busy)
    }

    /// Whether an event waits that was put aside.
    #[must_use]
    pub fn has_aside(&self, slot: Slot) -> bool {
        self.aside.holds(slot)
    }

    /// Whether more should be read from the server. `poll_event` may change that.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        // A handshake is no event, and without it nobody would know that the server is there.
        !self.inbox.full || matches!(self.phase, Phase::Opening { .. })
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Idle | Phase::Open => None,
            Phase::Opening { until } => until,
            Phase::Waiting { until } | Phase::Closing { until } => Some(until),
        };
        let session = self.session.as_ref().and_then(ClientSession::poll_timeout);
        let machines = earliest(session, self.conn.poll_timeout());
        self.lingering.iter().fold(earliest(phase, machines), |at, linger| earliest(at, Some(linger.until)))
    }
}
