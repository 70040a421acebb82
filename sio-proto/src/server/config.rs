//! Settings of a server.

use alloc::sync::Arc;
use core::time::Duration;

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
    /// How long each attachment of a packet may take to come; then the connection is closed, and what has come of the packet is dropped. Not
    /// while nothing is read from the client. Default: 60 s; the reference waits for ever.
    pub attachment_timeout: Duration,
    /// Most namespaces that one client may be in, or wait to be let into, at the same time; it is refused at others. Default: 256.
    pub max_namespaces: usize,
    /// Most bytes of the `auth` with which a client joins a namespace; with more it is refused there. It is kept as long as the client is in
    /// the namespace. Default: 64 KiB.
    pub max_auth: usize,
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
            attachment_timeout: Duration::from_secs(60),
            max_namespaces: 256,
            max_auth: 64 << 10,
            max_namespace_name: 256,
            recovery: None,
        }
    }
}
