//! The loads, by name.

mod load;
mod room;
mod session;
mod tally;
mod wire;

pub use load::echo_one;
pub use room::cast_some;
pub use tally::{Limits, Tally};
pub use wire::{Body, Pending, Verdict, Wire};

use core::time::Duration;

use anyhow::{Context, Result};

use crate::client::Target;
use crate::measure::Sample;

/// A load.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name on the command line and in the tables.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
}

/// What a load does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Connections that each keep `window` events under way, which come back as events.
    Echo {
        /// The event.
        event: &'static str,
        /// What it carries.
        body: Body,
        /// How many connections.
        connections: usize,
        /// How many requests each has under way.
        window: usize,
    },
    /// The same with acknowledgements instead of events for replies.
    Ack {
        /// What the event carries.
        body: Body,
        /// How many connections.
        connections: usize,
        /// How many requests each has under way.
        window: usize,
    },
    /// Broadcasts to a room; one message is one delivery.
    Cast {
        /// How many are in the room.
        receivers: usize,
        /// How many broadcasts are under way.
        window: usize,
    },
    /// Echoes over HTTP long polling, `window` to a body.
    Polling {
        /// How many sessions.
        connections: usize,
        /// How many events in a POST.
        window: usize,
    },
    /// Sessions over WebSocket that connect to the namespace and disconnect; one message is one such life.
    Connect {
        /// How many at a time.
        workers: usize,
    },
    /// Sessions that begin with polling, upgrade, connect to the namespace and disconnect.
    Upgrade {
        /// How many at a time.
        workers: usize,
    },
    /// Sessions that only stay; one message is one that was opened.
    Idle {
        /// How many.
        connections: usize,
    },
}

const fn echo(
    name: &'static str,
    event: &'static str,
    body: Body,
    connections: usize,
    window: usize,
) -> Scenario {
    Scenario { name, kind: Kind::Echo { event, body, connections, window } }
}

/// Every load, in the order of the tables.
pub const ALL: &[Scenario] = &[
    echo("echo-32", "echo", Body::Text(32), 50, 8),
    echo("echo-32-w1", "echo", Body::Text(32), 50, 1),
    echo("echo-1k-str", "echo", Body::Text(1024), 50, 8),
    echo("echo-1k-obj", "echo-value", Body::Object, 50, 8),
    echo("echo-1k-typed", "echo-typed", Body::Object, 50, 8),
    echo("echo-1k-raw", "echo-raw", Body::Object, 50, 8),
    echo("echo-64k-str", "echo", Body::Text(65_536), 16, 2),
    Scenario { name: "ack-32", kind: Kind::Ack { body: Body::Text(32), connections: 50, window: 8 } },
    echo("bin-1k", "bin", Body::Binary(1024), 50, 8),
    echo("bin-64k", "bin", Body::Binary(65_536), 16, 2),
    Scenario { name: "cast-100", kind: Kind::Cast { receivers: 100, window: 4 } },
    Scenario { name: "cast-1000", kind: Kind::Cast { receivers: 1000, window: 4 } },
    Scenario { name: "cast-5000", kind: Kind::Cast { receivers: 5000, window: 2 } },
    Scenario { name: "polling", kind: Kind::Polling { connections: 50, window: 8 } },
    Scenario { name: "polling-w1", kind: Kind::Polling { connections: 50, window: 1 } },
    Scenario { name: "connect", kind: Kind::Connect { workers: 32 } },
    Scenario { name: "upgrade", kind: Kind::Upgrade { workers: 32 } },
    Scenario { name: "idle-5k", kind: Kind::Idle { connections: 5000 } },
];

/// The server under load.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where it listens.
    pub target: Target,
    /// Its process.
    pub pid: u32,
    /// Whether it only sends back what it gets, without Socket.IO.
    pub bare: bool,
}

impl Scenario {
    /// The load of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn named(name: &str) -> Result<Self> {
        let found = ALL.iter().find(|scenario| scenario.name == name);
        found.copied().with_context(|| format!("no scenario {name:?}; there are: {}", names().join(", ")))
    }

    /// Whether a server without Socket.IO can be loaded with it.
    #[must_use]
    pub const fn suits_bare(&self) -> bool {
        !matches!(self.kind, Kind::Polling { .. } | Kind::Upgrade { .. })
    }

    /// Whether it needs a server that did nothing before: memory that was used once is used again, and would not
    /// show.
    #[must_use]
    pub const fn needs_fresh_server(&self) -> bool {
        matches!(self.kind, Kind::Idle { .. })
    }

    /// Takes one sample.
    ///
    /// # Errors
    /// At the first wrong reply, failed connection, or when nothing moves any more.
    pub async fn sample(&self, server: &Server, limits: Limits) -> Result<Sample> {
        let plan = tally::Plan { server, limits };
        let work = async {
            match self.kind {
                Kind::Echo { event, body, connections, window } => {
                    load::echo(plan, Wire::echo(event, body), connections, window).await
                }
                Kind::Ack { body, connections, window } => {
                    let wire = Wire::ack("ack", body);
                    load::echo(plan, if server.bare { wire.bare() } else { wire }, connections, window).await
                }
                Kind::Cast { receivers, window } => room::cast(plan, receivers, window).await,
                Kind::Polling { connections, window } => load::polling(plan, connections, window).await,
                Kind::Connect { workers } => session::lives(plan, session::Life::Direct, workers).await,
                Kind::Upgrade { workers } => session::lives(plan, session::Life::Upgraded, workers).await,
                Kind::Idle { connections } => session::idle(plan, connections).await,
            }
        };
        let bound = limits.warm_up + limits.measure + Duration::from_secs(60);
        let result = tokio::time::timeout(bound, work).await;
        result.map_err(|_| anyhow::anyhow!("{}: not done in {bound:?}", self.name))?.context(self.name)
    }
}

/// The names of all loads.
#[must_use]
pub fn names() -> Vec<&'static str> {
    ALL.iter().map(|scenario| scenario.name).collect()
}
