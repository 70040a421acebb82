//! Limits and times of a [`Node`](super::Node).

use core::time::Duration;

/// How a node knows of the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Liveness {
    /// Nodes say now and then that they are there. A request waits for those that were heard of.
    Heartbeats {
        /// From one heartbeat to the next. Default: 5 s.
        interval: Duration,
        /// A node that was not heard of for so long is gone. Default: 10 s.
        timeout: Duration,
    },
    /// The adapter says how many nodes there are, for each request: see [`Transmit::Count`](super::Transmit::Count). Ids are learned
    /// from messages only.
    Counted,
}

impl Liveness {
    /// Heartbeats at the reference's times.
    #[must_use]
    pub const fn heartbeats() -> Self {
        Self::Heartbeats { interval: Duration::from_secs(5), timeout: Duration::from_secs(10) }
    }
}

/// Limits and times of a [`Node`](super::Node).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How a node knows of the others. Default: heartbeats.
    pub liveness: Liveness,
    /// How much longer a request waits for a node that did not answer the last one, once all others have answered. Default: 500 ms.
    pub grace: Duration,
    /// Most nodes that are known. Default: 1,000. With heartbeats, messages of further ones are refused. A request
    /// waits for no more than these.
    pub max_nodes: usize,
    /// Most requests that wait for answers at the same time. Default: 10,000. Further ones end at once, with no answers.
    pub max_requests: usize,
    /// Most answers to one request: sockets, acknowledgements or values; and most clients that others say they
    /// have asked for acknowledgements. Default: 1,000,000. Further ones are refused.
    pub max_answers: usize,
    /// Most bytes of the answers to one request. Default: 256 MiB. Further ones are refused.
    pub max_answer_bytes: usize,
    /// Most bytes of messages that wait to be sent, while the adapter cannot. Default: 64 MiB. Further ones are dropped, and counted.
    pub max_outbox: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            liveness: Liveness::heartbeats(),
            grace: Duration::from_millis(500),
            max_nodes: 1_000,
            max_requests: 10_000,
            max_answers: 1_000_000,
            max_answer_bytes: 256 << 20,
            max_outbox: 64 << 20,
        }
    }
}
