//! Settings of an Engine.IO client.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use crate::engine::config::Transport;

/// Settings of an Engine.IO client; the defaults are the reference's unless the field says otherwise.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientConfig {
    /// Transports that may be used, the preferred one first. Default: polling, then WebSocket.
    pub transports: Vec<Transport>,
    /// Whether the next transport is tried when one fails while the session opens. Default: off.
    pub try_all_transports: bool,
    /// Whether a polling session moves to WebSocket if the server offers it. Default: on.
    pub upgrade: bool,
    /// Whether binary messages travel as base64 over WebSocket as well, in both directions; over polling they always do.
    /// Each part of a packet then counts as a packet of its own where undelivered ones are counted. Default: off.
    pub force_base64: bool,
    /// Whether each request carries 8 random characters, against caches. Default: `None`, that is, polling only.
    pub timestamp_requests: Option<bool>,
    /// Name of the query parameter that carries them. Default: `t`.
    pub timestamp_param: String,
    /// Added to the query of every request: percent-encoded, without `?` or `&` in front. Default: empty.
    pub query: String,
    /// How long a GET or POST may take from being asked for to its answer. A poll is answered at the next ping at the latest, so
    /// anything below the server's ping interval ends idle sessions. Default: none.
    pub request_timeout: Option<Duration>,
    /// How long a graceful close may take to send what waits; then that is dropped. Default: 5 s; the reference has no limit.
    pub close_timeout: Duration,
    /// Largest message or polling answer from the server, in bytes; a larger one ends the session. Whoever reads them from
    /// the network should stop there too. Default: 64 MiB; the reference has no limit.
    pub max_message_size: usize,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            transports: vec![Transport::Polling, Transport::WebSocket],
            try_all_transports: false,
            upgrade: true,
            force_base64: false,
            timestamp_requests: None,
            timestamp_param: "t".into(),
            query: String::new(),
            request_timeout: None,
            close_timeout: Duration::from_secs(5),
            max_message_size: 64 << 20,
        }
    }
}

impl ClientConfig {
    pub(super) fn has_timestamps(&self, transport: Transport) -> bool {
        self.timestamp_requests.unwrap_or(transport == Transport::Polling)
    }
}
