//! Settings of an Engine.IO server.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::cookie::Cookie;
use super::cors::Cors;
use super::origin;
use super::request::Head;

/// The ways in which an Engine.IO session can travel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// HTTP long-polling: a parked GET for one direction, POSTs for the other.
    Polling,
    /// WebSocket.
    WebSocket,
}

impl Transport {
    /// The name in the query string.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Polling, Self::WebSocket].into_iter().find(|transport| transport.name() == name)
    }
}

/// What happens to a connection whose outbox is full when a broadcast reaches it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// The connection is closed with [`CloseReason::Overflow`](super::CloseReason::Overflow). A client that reads too slowly reconnects and starts afresh,
    /// instead of missing one message without knowing it.
    #[default]
    Disconnect,
    /// The connection stays and misses the message; the broadcast's result counts it.
    Skip,
}

/// Settings of an Engine.IO server; the defaults are the reference's unless the field says otherwise.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Path prefix of all requests, `/engine.io` for bare Engine.IO. Default: `/socket.io`.
    pub path: String,
    /// From the end of one heartbeat to the next ping. Default: 25 s.
    pub ping_interval: Duration,
    /// How long the answer to a ping may take, else the session is closed with `ping timeout`. Default: 20 s.
    pub ping_timeout: Duration,
    /// How long an upgrade may take from the opening of its WebSocket; afterwards that WebSocket is closed and the session
    /// goes on with polling. Default: 10 s.
    pub upgrade_timeout: Duration,
    /// How long a closing session waits for a poll that takes its last packets. Default: 30 s.
    pub close_timeout: Duration,
    /// How long a client may take to close its end of a WebSocket that was closed here; then it is dropped. Default: 5 s.
    pub linger: Duration,
    /// Largest message or POST body from a client, in bytes; told to the client as `maxPayload`. A larger body is answered
    /// with 413, a larger WebSocket message closes the session. Default: 1,000,000.
    pub max_http_buffer_size: usize,
    /// Most bytes that may wait for one slow connection, with the few dozen that each packet takes beside its content. Above it `emit` gives the packet back, and broadcasts follow
    /// [`overflow`](Self::overflow). A single packet is always accepted while nothing waits. Default: 16 MiB; the reference has
    /// no limit.
    pub max_outbox: usize,
    /// What a broadcast does to a connection whose outbox is full. Default: [`Overflow::Disconnect`].
    pub overflow: Overflow,
    /// Transports that are offered. Default: polling and WebSocket.
    pub transports: Vec<Transport>,
    /// Whether a polling session may move to WebSocket. When off, an attempt is refused, where the reference only leaves
    /// it out of its offer. Default: on.
    pub allow_upgrades: bool,
    /// Whether clients of Socket.IO 2 are served: those that speak revision 3 of Engine.IO. Default: off, which refuses them
    /// with code 5. The owner of a [`Server`](crate::server::Server) reads requests with
    /// [`Request::parse_in`](super::Request::parse_in) then.
    pub allow_eio3: bool,
    /// Whether clients may poll by JSONP, as old browsers do that have no cross-origin requests. The cross-origin rules do not
    /// hold there: a page of any origin can load a script. The owner reads requests as for
    /// [`allow_eio3`](Self::allow_eio3). Default: off, where the reference always allows it.
    pub jsonp: bool,
    /// Cross-origin rules. Default: none, that is, no headers are added, and browsers allow the page's own origin only.
    pub cors: Option<Cors>,
    /// Whether pages of foreign origins are refused, on either transport: those that neither were served under the name by which
    /// they ask for this server (`Origin` and `Host` name the same host), nor are allowed by [`cors`](Self::cors). Programs that are
    /// no browsers send no `Origin`, and are not concerned. Default: on. The reference serves every page, and leaves it to browsers to
    /// keep the answers from it, which they do not do for WebSockets: whoever knows users by cookies must not turn this off.
    pub check_origin: bool,
    /// The cookie that a polling handshake sets. Default: none.
    pub cookie: Option<Cookie>,
    /// The size in bytes from which on bodies of polls are packed (gzip or deflate), if the client takes that and the owner can do it.
    /// `None`: never. Default: 1024.
    pub http_compression: Option<usize>,
    /// Whether [`path`](Self::path) must be followed by `/`. Default: on. When off, the bare path belongs to the server too.
    pub add_trailing_slash: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: "/socket.io".into(),
            ping_interval: Duration::from_millis(25_000),
            ping_timeout: Duration::from_millis(20_000),
            upgrade_timeout: Duration::from_millis(10_000),
            close_timeout: Duration::from_millis(30_000),
            linger: Duration::from_millis(5_000),
            max_http_buffer_size: 1_000_000,
            max_outbox: 16 << 20,
            overflow: Overflow::default(),
            transports: vec![Transport::Polling, Transport::WebSocket],
            allow_upgrades: true,
            allow_eio3: false,
            jsonp: false,
            cors: None,
            check_origin: true,
            cookie: None,
            http_compression: Some(1024),
            add_trailing_slash: true,
        }
    }
}

impl Config {
    /// Whether `path` belongs to this server.
    ///
    /// The path itself must be followed by `/`: `/socket.io/` and `/socket.io/anything` match, `/socket.iox` and the bare
    /// `/socket.io` do not (B21); unless [`add_trailing_slash`](Self::add_trailing_slash) is off, for the latter.
    #[must_use]
    pub fn matches_path(&self, path: &str) -> bool {
        let rest = path.strip_prefix(self.path.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.starts_with('/') || (rest.is_empty() && !self.add_trailing_slash))
    }

    /// Whether whoever sent this request may open a session, as far as the origin tells.
    pub(super) fn admits_origin(&self, head: &Head<'_>) -> bool {
        // No browser sends an empty one.
        let Some(origin) = head.origin.filter(|origin| !origin.is_empty()) else { return true };
        !self.check_origin
            || head.host.is_some_and(|host| origin::is_same(origin, host))
            || self.cors.as_ref().is_some_and(|cors| cors.allows(head, origin))
    }

    /// How long it takes to find a silent client gone.
    pub(super) fn patience(&self) -> Duration {
        self.ping_interval.saturating_add(self.ping_timeout)
    }

    /// The upgrades that are offered to a polling session.
    pub(super) fn upgrades(&self) -> bool {
        self.allow_upgrades && self.transports.contains(&Transport::WebSocket)
    }
}
