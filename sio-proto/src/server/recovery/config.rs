//! Settings of connection state recovery.

use core::time::Duration;

/// Settings of connection state recovery: a client whose connection was lost gets its id, its rooms and the events that it missed, if
/// it comes back in time.
///
/// It costs one entry in a log for each event that the server emits, in each shard for a broadcast; the event itself is shared.
///
/// At most it keeps, in bytes: `max_total_bytes` for the logs, `max_carried_bytes` for recovered sessions, and for each shard
/// `max_sessions` times what a session takes: about 1 KiB, 200 for each room, and what the application keeps with the socket.
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
    /// Most bytes of events that are kept in all namespaces together. Default: 128 MiB. Above it the oldest go, of whatever namespace,
    /// with the same consequence.
    ///
    /// A server of several shards gives each of them an equal part; see [`divided`](Self::divided).
    pub max_total_bytes: usize,
    /// Most bytes of events that one client may have missed, with the few dozen that each takes beside its content. Default: 4 MiB; never
    /// more than `max_outbox`. Who has missed more begins anew.
    pub max_missed_bytes: usize,
    /// Most bytes of events that are kept for sessions which were recovered, until it is certain that their clients have got them.
    /// Default: 32 MiB. Above it such events go, first those of the clients who have been away longest; who loses the connection again
    /// and has not seen them begins anew. Divided among shards as `max_total_bytes` is.
    pub max_carried_bytes: usize,
    /// Most sessions that are kept for clients who are away, for each shard. Default: 100,000. Above it those go that have been away
    /// longest.
    pub max_sessions: usize,
    /// How often a session is given to a new connection while the old one still seems to live, before its client has shown that what it
    /// was sent has arrived. Default: 16. After that its client begins anew, and the old connection keeps the session: or else two
    /// connections could have all that was missed sent again and again, for a few bytes each time.
    pub max_takeovers: u32,
}

impl Default for ConnectionStateRecovery {
    fn default() -> Self {
        Self {
            max_disconnection_duration: Duration::from_secs(120),
            skip_middlewares: true,
            max_events: 10_000,
            max_bytes: 16 << 20,
            max_total_bytes: 128 << 20,
            max_missed_bytes: 4 << 20,
            max_carried_bytes: 32 << 20,
            max_sessions: 100_000,
            max_takeovers: 16,
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

    /// Most bytes of events that are kept in all namespaces and shards together. Default: 128 MiB.
    #[must_use]
    pub const fn max_total_bytes(mut self, bytes: usize) -> Self {
        self.max_total_bytes = bytes;
        self
    }

    /// Most bytes of events that one client may have missed. Default: 4 MiB.
    #[must_use]
    pub const fn max_missed_bytes(mut self, bytes: usize) -> Self {
        self.max_missed_bytes = bytes;
        self
    }

    /// Most bytes of events that are kept for recovered sessions until they have certainly arrived. Default: 32 MiB.
    #[must_use]
    pub const fn max_carried_bytes(mut self, bytes: usize) -> Self {
        self.max_carried_bytes = bytes;
        self
    }

    /// Most sessions that are kept for clients who are away, for each shard. Default: 100,000.
    #[must_use]
    pub const fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// How often a session is given from a connection that still seems to live to a new one, before its client has shown that what it was
    /// sent has arrived. Default: 16.
    #[must_use]
    pub const fn max_takeovers(mut self, takeovers: u32) -> Self {
        self.max_takeovers = takeovers;
        self
    }

    /// What one of so many shards is allowed, so that together they keep to the limits that are meant for all. At least one.
    #[must_use]
    pub const fn divided(mut self, shards: usize) -> Self {
        let shards = if shards == 0 { 1 } else { shards };
        self.max_total_bytes /= shards;
        self.max_carried_bytes /= shards;
        self
    }
}
