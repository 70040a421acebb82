//! What is known about a client from the request that opened its session.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

/// The request that opened a session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Handshake {
    /// Path and query.
    pub uri: Uri,
    /// The request's headers, without those that only concerned that request: `connection`, `upgrade`, `sec-websocket-*`.
    pub headers: HeaderMap,
    /// The address of the peer, if the server that accepted the connection told it.
    pub remote_addr: Option<SocketAddr>,
}

impl Handshake {
    pub(crate) fn new(uri: &Uri, headers: &HeaderMap, remote_addr: Option<SocketAddr>) -> Self {
        // Values of a request are slices of the buffer that it was read into: kept, each would keep 8 KiB alive for as long
        // as the session lasts. What concerned that one connection only is left out: it is of no use to anybody later.
        let kept = || headers.iter().filter(|(name, _)| !is_hop_by_hop(name));
        let mut copy = HeaderMap::with_capacity(kept().count());
        for (name, value) in kept() {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                copy.append(name.clone(), value);
            }
        }
        let uri = uri.path_and_query().and_then(|path| path.as_str().parse().ok()).unwrap_or_default();
        Self { uri, headers: copy, remote_addr }
    }

    /// The query string.
    #[must_use]
    pub fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    name == header::CONNECTION || name == header::UPGRADE || name.as_str().starts_with("sec-websocket-")
}
