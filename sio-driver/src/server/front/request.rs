//! [`RequestHead`]: a request as hooks see it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, Method, Uri, header};
use percent_encoding::percent_decode_str;
use sio_proto::engine::Head;

use crate::handlers::States;

/// The head of a request.
#[derive(Debug)]
#[non_exhaustive]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// Path and query, as sent.
    pub uri: Uri,
    /// All headers.
    pub headers: HeaderMap,
    /// The address of the peer, if the server that accepted the connection told it: of a proxy, if there is one.
    pub remote_addr: Option<SocketAddr>,
    /// Whether it came over TLS, as far as is known: see [`Secure`] and [`Accepted`](crate::Accepted).
    pub secure: bool,
    /// What the HTTP server in front, or a tower layer, has attached to the request. It ends with the request; a hook that wants some of
    /// it to stay gives it to [`attach`](Self::attach).
    pub extensions: Extensions,
    /// What hooks have attached. They share the head, and run one after another.
    attached: Mutex<Extensions>,
    states: Arc<States>,
}

/// An extension of a request, by which an HTTP server in front says whether it came over TLS. Without it, the URI's scheme counts. The
/// crates' own `listen`, `serve` and `serve_connection` know better, and look at neither: see [`Accepted`](crate::Accepted).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Secure(
    /// Whether it did.
    pub bool,
);

impl RequestHead {
    pub(crate) fn new(
        parts: Parts,
        remote_addr: Option<SocketAddr>,
        secure: Option<bool>,
        states: Arc<States>,
    ) -> Self {
        let Parts { method, uri, headers, extensions, .. } = parts;
        let secure = secure.or_else(|| extensions.get::<Secure>().map(|Secure(secure)| *secure));
        let secure = secure.unwrap_or_else(|| uri.scheme_str() == Some("https"));
        Self { method, uri, headers, remote_addr, secure, extensions, attached: Mutex::default(), states }
    }

    /// Hands a value to the sockets of the session that this request opens, who find it in
    /// [`Handshake::extensions`](crate::Handshake::extensions); one for each type, the last one counts. Of no effect, but for later hooks,
    /// if the request opens no session: [`on_request`](crate::ServerBuilder::on_request) sees those too.
    pub fn attach<T: Clone + Send + Sync + 'static>(&self, value: T) {
        let replaced = self.attached_values().insert(value);
        // Dropped without the lock: it may do anything.
        drop(replaced);
    }

    /// What was [attached](Self::attach) last of this type.
    #[must_use]
    pub fn attached<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.attached_values().get().cloned()
    }

    /// All that was attached.
    pub(crate) fn attached_values(&self) -> MutexGuard<'_, Extensions> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the server was given by [`state`](crate::ServerBuilder::state) of this type.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        self.states.get()
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
        last_param(self.query(), name)
    }

    /// The query's parameters, decoded, in their order.
    pub fn query_params(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        params(self.query())
    }

    /// Whether the client names an origin: see [`Handshake::is_cross_domain`](crate::Handshake::is_cross_domain).
    #[must_use]
    pub fn is_cross_domain(&self) -> bool {
        self.headers.contains_key(header::ORIGIN)
    }

    /// Under which name the client asks for the server.
    pub(crate) fn host(&self) -> Option<&str> {
        let named = self.uri.authority().map(http::uri::Authority::as_str);
        named.or_else(|| self.header("host"))
    }

    /// What the core looks at.
    pub(crate) fn engine_head(&self) -> Head<'_> {
        let text = |name| self.headers.get(name).and_then(|value| value.to_str().ok());
        let is_token = |name, token: &str| {
            let values =
                self.headers.get_all(name).into_iter().filter_map(|value: &HeaderValue| value.to_str().ok());
            values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
        };
        let is_malformed = |value: &HeaderValue| {
            value.as_bytes().iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f)
        };
        let mut origins = self.headers.get_all(header::ORIGIN).into_iter();
        let origin = origins.next();
        Head {
            method: self.method.as_str(),
            query: self.query(),
            host: self.host(),
            // Bytes above ASCII are legal in a header; such an origin is simply not one that is allowed by name.
            origin: origin.map(|value| std::str::from_utf8(value.as_bytes()).unwrap_or("\u{fffd}")),
            malformed_origin: origin.is_some_and(is_malformed) || origins.next().is_some(),
            upgrade: is_token(header::CONNECTION, "upgrade") && is_token(header::UPGRADE, "websocket"),
            content_type: text(header::CONTENT_TYPE),
            content_length: text(header::CONTENT_LENGTH).and_then(|value| value.parse().ok()),
            requested_headers: text(header::ACCESS_CONTROL_REQUEST_HEADERS),
        }
    }
}

/// The pairs of a query, decoded, in their order. What is not UTF-8 is replaced.
pub(crate) fn params(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

pub(crate) fn last_param<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    params(query).filter(|(key, _)| key == name).last().map(|(_, value)| value)
}

/// As in HTML forms: `+` is a space.
fn decode(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned());
    }
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(request: http::request::Builder) -> RequestHead {
        RequestHead::new(request.body(()).unwrap().into_parts().0, None, None, Arc::default())
    }

    #[test]
    fn queries_are_decoded() {
        let head = head(http::Request::get("/socket.io/?a=1&b=x+y%20z&c&a=%C3%BC&d=%ff&&=e"));
        let param = |name| head.query_param(name);
        assert_eq!((param("a"), param("b")), (Some("ü".into()), Some("x y z".into())));
        assert_eq!((param("c"), param("d")), (Some("".into()), Some("\u{fffd}".into())));
        assert_eq!((param(""), param("x")), (Some("e".into()), None));
    }

    #[test]
    fn origins_that_try_to_slip_through() {
        let origin = |values: &[&[u8]]| {
            let mut request = http::Request::get("/").header("host", "a.example");
            for value in values {
                request = request.header("origin", HeaderValue::from_bytes(value).unwrap());
            }
            let head = head(request);
            let head = head.engine_head();
            (head.origin.map(str::to_owned), head.malformed_origin)
        };
        assert_eq!(origin(&[]), (None, false));
        assert_eq!(origin(&[b"http://a.example"]), (Some("http://a.example".into()), false));
        assert!(origin(&[b"http://a.example", b"http://b.example"]).1, "which of them?");
        assert_eq!(origin(&[b"http://\xff.example"]), (Some("\u{fffd}".into()), false), "not none");
    }

    #[test]
    fn the_name_that_was_asked_for() {
        assert_eq!(head(http::Request::get("/").header("host", "a:1")).host(), Some("a:1"));
        let absolute = http::Request::get("http://b:2/").header("host", "a:1");
        assert_eq!(head(absolute).host(), Some("b:2"), "RFC 9112, 3.2.2");
        assert!(head(http::Request::get("https://a/")).secure);
        assert!(head(http::Request::get("/").extension(Secure(true))).secure);
        assert!(!head(http::Request::get("https://a/").extension(Secure(false))).secure);
    }
}
