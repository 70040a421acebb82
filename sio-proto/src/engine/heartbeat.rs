//! The server's half of the heartbeat: it pings, and the answer must come in time. In revision 3 the client pings.

use core::time::Duration;

use crate::Instant;

/// ```text
///            interval over: ping               time over
///   Quiet ───────────────────────► Waiting ─────────────► Expired
///     ▲                               │
///     └───────── pong ────────────────┘
/// ```
#[derive(Debug, Clone, Copy)]
pub(super) struct Heartbeat {
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Quiet {
        until: Instant,
    },
    Waiting {
        until: Instant,
        renewed: bool,
        since: Instant,
    },
    /// Revision 3: until when the client must ping.
    Listening {
        until: Instant,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// Not due yet.
    None,
    /// A ping must be sent.
    Ping,
    /// The peer did not answer in time.
    Expired,
}

impl Heartbeat {
    pub(super) fn new(now: Instant, interval: Duration) -> Self {
        Self { state: State::Quiet { until: now + interval } }
    }

    /// For a client of revision 3, which pings (B37).
    pub(super) fn of_client(now: Instant, patience: Duration) -> Self {
        Self { state: State::Listening { until: now + patience } }
    }

    /// A client of revision 3 is there. Only pings count, as in the reference: they come whatever else does.
    pub(super) fn handle_ping(&mut self, now: Instant, patience: Duration) {
        *self = Self::of_client(now, patience);
    }

    pub(super) fn deadline(&self) -> Instant {
        match self.state {
            State::Quiet { until } | State::Waiting { until, .. } | State::Listening { until } => until,
        }
    }

    /// B36: a pong that nobody asked for is harmless. Gives how long the answer to a ping took.
    pub(super) fn handle_pong(&mut self, now: Instant, interval: Duration) -> Option<Duration> {
        let asked = if let State::Waiting { since, .. } = self.state { Some(since) } else { None };
        *self = Self::new(now, interval);
        asked.map(|since| now.saturating_duration_since(since))
    }

    /// Any other packet is a sign of life too: it renews the wait, but only once per ping (B34), so that a peer that
    /// never answers pings still ends.
    pub(super) fn handle_traffic(&mut self, now: Instant, timeout: Duration) {
        if let State::Waiting { until, renewed: renewed @ false, .. } = &mut self.state {
            *renewed = true;
            *until = now + timeout;
        }
    }

    /// `paused`: we have stopped reading, so the answer may be waiting unread; the peer is not to blame.
    pub(super) fn handle_timeout(&mut self, now: Instant, timeout: Duration, paused: bool) -> Beat {
        match &mut self.state {
            State::Quiet { until } | State::Waiting { until, .. } | State::Listening { until }
                if *until > now =>
            {
                Beat::None
            }
            State::Quiet { .. } => {
                self.state = State::Waiting { until: now + timeout, renewed: false, since: now };
                Beat::Ping
            }
            State::Waiting { until, .. } | State::Listening { until } if paused => {
                // Never at this very moment again, whatever the settings say: time must go on.
                *until = now + timeout.max(Duration::from_millis(1));
                Beat::None
            }
            State::Waiting { .. } | State::Listening { .. } => Beat::Expired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(25);
    const TIMEOUT: Duration = Duration::from_secs(20);

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn pings_then_expires() {
        let mut heartbeat = Heartbeat::new(at(0), INTERVAL);
        assert_eq!(heartbeat.handle_timeout(at(24), TIMEOUT, false), Beat::None);
        assert_eq!(heartbeat.handle_timeout(at(25), TIMEOUT, false), Beat::Ping);
        assert_eq!(heartbeat.deadline(), at(45));
        assert_eq!(heartbeat.handle_timeout(at(44), TIMEOUT, false), Beat::None);
        assert_eq!(heartbeat.handle_timeout(at(45), TIMEOUT, false), Beat::Expired);
    }

    #[test]
    fn traffic_renews_the_wait_once() {
        let mut heartbeat = Heartbeat::new(at(0), INTERVAL);
        heartbeat.handle_timeout(at(25), TIMEOUT, false);
        heartbeat.handle_traffic(at(40), TIMEOUT);
        assert_eq!(heartbeat.deadline(), at(60));
        heartbeat.handle_traffic(at(50), TIMEOUT);
        assert_eq!(heartbeat.deadline(), at(60), "B34: once per ping");
        heartbeat.handle_pong(at(55), INTERVAL);
        assert_eq!(heartbeat.deadline(), at(80));
    }

    #[test]
    fn a_paused_peer_is_not_blamed() {
        let mut heartbeat = Heartbeat::new(at(0), INTERVAL);
        heartbeat.handle_timeout(at(25), TIMEOUT, true);
        assert_eq!(heartbeat.handle_timeout(at(45), TIMEOUT, true), Beat::None);
        assert_eq!(heartbeat.handle_timeout(at(65), TIMEOUT, false), Beat::Expired);
    }

    #[test]
    fn b37_a_client_of_revision_3_must_ping() {
        let mut heartbeat = Heartbeat::of_client(at(0), INTERVAL + TIMEOUT);
        heartbeat.handle_traffic(at(10), TIMEOUT);
        assert_eq!(heartbeat.deadline(), at(45), "other packets do not count");
        heartbeat.handle_ping(at(25), INTERVAL + TIMEOUT);
        assert_eq!(heartbeat.handle_timeout(at(69), TIMEOUT, false), Beat::None);
        assert_eq!(heartbeat.handle_timeout(at(70), TIMEOUT, true), Beat::None, "not heard, so not to blame");
        assert_eq!(heartbeat.handle_timeout(at(90), TIMEOUT, false), Beat::Expired);
    }

    #[test]
    fn time_goes_on_without_any_patience() {
        let mut heartbeat = Heartbeat::new(at(0), INTERVAL);
        heartbeat.handle_timeout(at(25), Duration::ZERO, true);
        heartbeat.handle_timeout(at(25), Duration::ZERO, true);
        assert!(heartbeat.deadline() > at(25));
    }
}
