//! What is known about a client from the request that opened its session.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Uri, header};

use crate::server::front::{self, RequestHead};

/// The request that opened a session. What the client sent as `auth` is of each namespace: [`Auth`](crate::Auth).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Handshake {
    /// Path and query: the `url` of JavaScript.
    pub uri: Uri,
    /// The request's headers, without those that only concerned that request: `connection`, `upgrade`, `sec-websocket-key` and the
    /// like.
    pub headers: HeaderMap,
    /// The address of the peer, if the server that accepted the connection told it. It is not compared with that of later requests.
    pub remote_addr: Option<SocketAddr>,
    /// When it came, by the computer's clock: `time` and `issued` of JavaScript.
    pub issued: SystemTime,
    /// Whether it came over TLS, as far as is known: see [`Secure`](crate::Secure) and [`Accepted`](crate::Accepted).
    pub secure: bool,
    /// What hooks have handed over by [`RequestHead::attach`](crate::RequestHead::attach), by type. Empty otherwise, and then without
    /// memory of its own: what layers have attached to the request ends with that.
    pub extensions: Extensions,
}

impl Handshake {
    pub(crate) fn new(request: &RequestHead) -> Self {
        // Values of a request are slices of the buffer that it was read into: kept, each would keep 8 KiB alive for as long
        // as the session lasts. So they are copied, all into one buffer. What concerned that one connection only is left out: it is of
        // no use to anybody later.
        let kept = || request.headers.iter().filter(|(name, _)| !is_hop_by_hop(name));
        let mut values = BytesMut::with_capacity(kept().map(|(_, value)| value.len()).sum());
        kept().for_each(|(_, value)| values.extend_from_slice(value.as_bytes()));
        let mut values: Bytes = values.freeze();
        let mut headers = HeaderMap::with_capacity(kept().count());
        for (name, value) in kept() {
            if let Ok(value) = HeaderValue::from_maybe_shared(values.split_to(value.len())) {
                headers.append(name.clone(), value);
            }
        }
        let uri =
            request.uri.path_and_query().and_then(|path| path.as_str().parse().ok()).unwrap_or_default();
        let RequestHead { remote_addr, secure, .. } = *request;
        let extensions = request.attached_values().clone();
        Self { uri, headers, remote_addr, issued: SystemTime::now(), secure, extensions }
    }

    /// The value of a header, if there is one that is text; the first of several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The query string.
    #[must_use]
    pub fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }

    /// The value of a query parameter, decoded; the last of several.
    #[must_use]
    pub fn query_param(&self, name: &str) -> Option<Cow<'_, str>> {
        front::last_param(self.query(), name)
    }

    /// The query's parameters, decoded, in their order.
    pub fn query_params(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        front::params(self.query())
    }

    /// Whether the client named an origin, as pages do; all do that with WebSockets, and with polling those of other origins. `xdomain`
    /// in JavaScript.
    #[must_use]
    pub fn is_cross_domain(&self) -> bool {
        self.headers.contains_key(header::ORIGIN)
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    let of_websocket = name.as_str().strip_prefix("sec-websocket-");
    // Some clients carry a token in the subprotocol.
    name == header::CONNECTION
        || name == header::UPGRADE
        || of_websocket.is_some_and(|rest| rest != "protocol")
}
