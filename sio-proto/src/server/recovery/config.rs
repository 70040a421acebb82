//! Settings of connection state recovery.

use core::time::Duration;

/// Settings of connection state recovery: a client whose connection was lost gets its id, its rooms and the events that it missed, if
/// it comes back in time.
///
/// It costs one entry in a log for each event that the server emits, in each shard for a broadcast; the event itself is shared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ConnectionStateRecovery {
    /// How long a session is kept after its connection was lost. Default: 2 minutes.
    ///
    /// Events are kept longer than that, by the time that it may take to notice that a connection is lost: `ping_interval` and twice
    /// `ping_timeout`.
    pub max_disconnection_duration: Duration,
    /// Whether a client that is recovered need not pass the middlewares again. Default: yes. The machine itself knows no middlewares:
    /// its owner does it.
    pub skip_middlewares: bool,
    /// Most events that are kept, for each namespace and shard. Default: 10,000. Above it the oldest go; clients that may have missed
    /// them are not recovered.
    pub max_events: usize,
    /// Most bytes of events that are kept, for each namespace and shard. Default: 16 MiB, with the same consequence. A broadcast is
    /// counted in each shard, but all shards share its content.
    pub max_bytes: usize,
    /// Most sessions that are kept for clients who are away, for each shard. Default: 100,000. Above it those go that have been away
    /// longest.
    pub max_sessions: usize,
}

impl Default for ConnectionStateRecovery {
    fn default() -> Self {
        Self {
            max_disconnection_duration: Duration::from_secs(120),
            skip_middlewares: true,
            max_events: 10_000,
            max_bytes: 16 << 20,
            max_sessions: 100_000,
        }
    }
}

impl ConnectionStateRecovery {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a session is kept after its connection was lost. Default: 2 minutes.
    #[must_use]
    pub const fn max_disconnection_duration(mut self, duration: Duration) -> Self {
        self.max_disconnection_duration = duration;
        self
    }

    /// Whether a client that is recovered need not pass the middlewares again. Default: yes.
    #[must_use]
    pub const fn skip_middlewares(mut self, skip: bool) -> Self {
        self.skip_middlewares = skip;
        self
    }

    /// Most events that are kept, for each namespace and shard. Default: 10,000.
    #[must_use]
    pub const fn max_events(mut self, events: usize) -> Self {
        self.max_events = events;
        self
    }

    /// Most bytes of events that are kept, for each namespace and shard. Default: 16 MiB.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Most sessions that are kept for clients who are away, for each shard. Default: 100,000.
    #[must_use]
    pub const fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }
}
