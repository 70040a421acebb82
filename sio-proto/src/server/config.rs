//! Settings of a server.

use alloc::sync::Arc;

use super::ConnectionStateRecovery;
use crate::engine;
use crate::socket::ConnConfig;

/// Settings of a [`Server`](super::Server).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Engine.IO: transports, heartbeat, limits.
    pub engine: Arc<engine::Config>,
    /// Socket.IO: limits of one connection.
    pub socket: ConnConfig,
    /// How many events of one connection may wait for the application. Above it nothing more is read from that client until
    /// there is room. Default: 128.
    pub max_inbox: usize,
    /// How many bytes of events may wait, with the same consequence. Default: 1 MiB. One message always fits.
    pub max_inbox_bytes: usize,
    /// The number of this shard; it is the last byte of each session id. Default: 0.
    pub shard: u8,
    /// Most namespaces that one client may be in, or wait to be let into, at the same time; it is refused at others. Default: 256.
    pub max_namespaces: usize,
    /// Longest name of a namespace that does not exist yet, in bytes; clients that ask for longer ones are refused. Default: 256. Counts
    /// only if [`set_dynamic`](super::Server::set_dynamic) is on.
    pub max_namespace_name: usize,
    /// Whether clients that lost their connection get their id, rooms and missed events when they come back. Default: `None`, no.
    pub recovery: Option<ConnectionStateRecovery>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: Arc::default(),
            socket: ConnConfig::default(),
            max_inbox: 128,
            max_inbox_bytes: 1 << 20,
            shard: 0,
            max_namespaces: 256,
            max_namespace_name: 256,
            recovery: None,
        }
    }
}
