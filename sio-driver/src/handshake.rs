//! What is known about a client from the request that opened its session.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue, Uri};

/// The request that opened a session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Handshake {
    /// Path and query.
    pub uri: Uri,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The address of the peer, if the server that accepted the connection told it.
    pub remote_addr: Option<SocketAddr>,
}

impl Handshake {
    pub(crate) fn new(uri: &Uri, headers: &HeaderMap, remote_addr: Option<SocketAddr>) -> Self {
        // Values of a request are slices of the buffer that it was read into: kept, each would keep 8 KiB alive for as long
        // as the session lasts.
        let mut copy = HeaderMap::with_capacity(headers.len());
        for (name, value) in headers {
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
