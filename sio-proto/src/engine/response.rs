//! HTTP answers, as data.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

/// An HTTP answer for the driver to send.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names (lower case) and values. `content-length` is left to the HTTP library.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The body.
    pub body: Bytes,
    /// Whether the HTTP connection must end with this answer.
    pub close: bool,
    /// Whether the body may be packed, if it is as large as [`Config::http_compression`](super::Config::http_compression) and the
    /// client takes that.
    pub compress: bool,
}

impl Response {
    /// An answer without headers and body.
    pub(super) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), close: false, compress: false }
    }

    pub(super) fn header(&mut self, name: &'static str, value: impl Into<Cow<'static, str>>) {
        self.headers.push((name, value.into()));
    }

    /// The answer to a poll. B55: it must not be stored.
    pub(super) fn payload(body: Bytes) -> Self {
        let mut response = Self::new(200);
        response.headers.reserve_exact(2);
        response.header("content-type", "text/plain; charset=UTF-8");
        response.header("cache-control", "no-store");
        response.body = body;
        response.compress = true;
        response
    }

    /// The answer to a poll of revision 3 with binary messages (B73).
    pub(super) fn binary_payload(body: Bytes) -> Self {
        let mut response = Self::payload(body);
        response.headers[0].1 = "application/octet-stream".into();
        response
    }

    /// The answer to a poll by JSONP (B57).
    pub(super) fn script(body: Bytes) -> Self {
        let mut response = Self::payload(body);
        response.headers[0].1 = "text/javascript; charset=UTF-8".into();
        response.header("x-content-type-options", "nosniff");
        response
    }

    /// The answer to an accepted POST. B49: exactly `ok`, as HTML.
    pub(super) fn ok() -> Self {
        let mut response = Self::new(200);
        response.headers.reserve_exact(2);
        response.header("content-type", "text/html");
        response.header("cache-control", "no-store");
        response.body = Bytes::from_static(b"ok");
        response
    }

    /// The answer to a refused request: JSON with a code and a message.
    pub(super) fn refusal(status: u16, code: u8, message: &str) -> Self {
        let mut response = Self::new(status);
        response.header("content-type", "application/json");
        let message = serde_json::to_string(message).unwrap_or_else(|_| String::from("\"\""));
        response.body = format!("{{\"code\":{code},\"message\":{message}}}").into();
        response
    }

    /// The answer to a refused WebSocket handshake: the message as text. What an application says is not taken for HTML.
    pub(super) fn refused_upgrade(status: u16, message: &str) -> Self {
        let mut response = Self::new(status);
        let content_type = if status == 400 { "text/html" } else { "text/plain; charset=UTF-8" };
        response.header("content-type", content_type);
        response.body = Bytes::copy_from_slice(message.as_bytes());
        response.close = true;
        response
    }
}
