//! The server's half of the heartbeat: it pings, and the answer must come in time.

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
    Quiet { until: Instant },
    Waiting { until: Instant, renewed: bool },
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

    pub(super) fn deadline(&self) -> Instant {
        match self.state {
            State::Quiet { until } | State::Waiting { until, .. } => until,
        }
    }

    /// B36: a pong that nobody asked for is harmless.
    pub(super) fn handle_pong(&mut self, now: Instant, interval: Duration) {
        *self = Self::new(now, interval);
    }

    /// Any other packet is a sign of life too: it renews the wait, but only once per ping (B34), so that a peer that
    /// never answers pings still ends.
    pub(super) fn handle_traffic(&mut self, now: Instant, timeout: Duration) {
        if let State::Waiting { until, renewed: renewed @ false } = &mut self.state {
            *renewed = true;
            *until = now + timeout;
        }
    }

    /// `paused`: we have stopped reading, so the answer may be waiting unread; the peer is not to blame.
    pub(super) fn handle_timeout(&mut self, now: Instant, timeout: Duration, paused: bool) -> Beat {
        match &mut self.state {
            State::Quiet { until } | State::Waiting { until, .. } if *until > now => Beat::None,
            State::Quiet { .. } => {
                self.state = State::Waiting { until: now + timeout, renewed: false };
                Beat::Ping
            }
            State::Waiting { until, .. } if paused => {
                // Never at this very moment again, whatever the settings say: time must go on.
                *until = now + timeout.max(Duration::from_millis(1));
                Beat::None
            }
            State::Waiting { .. } => Beat::Expired,
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
    fn time_goes_on_without_any_patience() {
        let mut heartbeat = Heartbeat::new(at(0), INTERVAL);
        heartbeat.handle_timeout(at(25), Duration::ZERO, true);
        heartbeat.handle_timeout(at(25), Duration::ZERO, true);
        assert!(heartbeat.deadline() > at(25));
    }
}
