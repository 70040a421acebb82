//! Settings of a client.

use alloc::sync::Arc;
use core::time::Duration;

use super::backoff::BackoffConfig;
use crate::engine::ClientConfig;
use crate::socket::ConnConfig;

/// Settings of a [`Client`](super::Client): of the "manager", in the reference's words.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Engine.IO: transports, query, limits.
    pub engine: Arc<ClientConfig>,
    /// Socket.IO: limits of one connection. Packets with their attachments may have 64 MiB by default.
    pub socket: ConnConfig,
    /// Whether a connection that is lost, or that could not be made, is tried again. Default: yes.
    pub reconnection: bool,
    /// How often, until a namespace is joined; then the client gives up. Default: without end.
    pub reconnection_attempts: Option<u32>,
    /// How long to wait between attempts.
    pub backoff: BackoffConfig,
    /// How long a connection may take to open; `None` is without end. Default: 20 s.
    pub timeout: Option<Duration>,
    /// Whether a connection starts with a WebSocket if the last one could be upgraded to one; forgotten when a connection cannot be made.
    /// Default: no.
    pub remember_upgrade: bool,
    /// How long a server may take to close its end of a WebSocket that was closed here; then it is dropped. Default: 5 s.
    pub linger: Duration,
    /// Most bytes of events that may wait for a slow connection; above it `emit` gives the event back. One is always accepted while
    /// nothing waits. Default: 16 MiB; the reference has no limit.
    pub max_outbox: usize,
    /// How many events may wait for the application. Above it nothing more is read, and a server whose pings are not
    /// answered will close the connection in the end; so it is far above what a slow handler leaves. Default: 65,536.
    pub max_inbox: usize,
    /// How many bytes of events may wait, with the same consequence. Default: 64 MiB. One message always fits.
    pub max_inbox_bytes: usize,
    /// How many events of a namespace are kept that were put aside and that nobody has asked for, see
    /// [`put_aside`](super::Client::put_aside); the oldest make room. Default: 1024.
    pub max_unheard: usize,
    /// How many bytes of them. Default: 8 MiB.
    pub max_unheard_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: Arc::default(),
            socket: ConnConfig { max_packet_bytes: 64 << 20, ..ConnConfig::default() },
            reconnection: true,
            reconnection_attempts: None,
            backoff: BackoffConfig::default(),
            timeout: Some(Duration::from_millis(20_000)),
            remember_upgrade: false,
            linger: Duration::from_millis(5_000),
            max_outbox: 16 << 20,
            max_inbox: 1 << 16,
            max_inbox_bytes: 64 << 20,
            max_unheard: 1024,
            max_unheard_bytes: 8 << 20,
        }
    }
}
