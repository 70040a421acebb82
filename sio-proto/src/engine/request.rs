//! From the head of an HTTP request to what it asks for, or to why it is refused.
//!
//! Nothing here looks at a session, so a server does it before it takes any lock. The order of the checks is the
//! reference's (B17): transport, origin, session id or method, revision.

use alloc::borrow::Cow;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::config::{Config, Transport};
use super::dialect::{Dialect, Revision};
use super::response::Response;
use crate::Sid;

/// The parts of an HTTP request's head that Engine.IO looks at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The query string, without `?`.
    pub query: &'a str,
    /// The name, and the port if there is one, under which the client asks for this server: of the URI, or else the `Host` header.
    pub host: Option<&'a str>,
    /// The `Origin` header, as sent. One that is not UTF-8 must not be left out, but be some origin that nobody has.
    pub origin: Option<&'a str>,
    /// Whether there is more than one `Origin` header, or one with characters that no header may hold.
    pub malformed_origin: bool,
    /// Whether the request asks for a switch to WebSocket.
    pub upgrade: bool,
    /// The `Content-Type` header.
    pub content_type: Option<&'a str>,
    /// The `Content-Length` header.
    pub content_length: Option<u64>,
    /// The `Access-Control-Request-Headers` header.
    pub requested_headers: Option<&'a str>,
}

/// What a request asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Request {
    /// A GET that opens a session; it is the first poll.
    Handshake,
    /// A GET that waits for packets.
    Poll(Sid),
    /// A POST that carries packets.
    Post(Sid),
    /// A WebSocket: a new session, or the upgrade of this one.
    WebSocket(Option<Sid>),
    /// A request that no session takes. If this session does not exist, that is the refusal; else it is the given one.
    Misdirected(Sid, Refusal),
}

/// Why a request is refused. The codes are the protocol's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Code 0: the query names no transport, or none that is offered.
    #[error("Transport unknown")]
    TransportUnknown,
    /// Code 1: no such session (any more).
    #[error("Session ID unknown")]
    SessionUnknown,
    /// Code 2: a session is opened by GET only.
    #[error("Bad handshake method")]
    BadHandshakeMethod,
    /// Code 3, with what is bad about it.
    #[error("Bad request")]
    BadRequest(BadRequest),
    /// Code 4, with the context `INVALID_ORIGIN`: a page of another origin, see
    /// [`Config::check_origin`]. Answered with 403, also to a WebSocket handshake.
    #[error("Origin not allowed")]
    ForeignOrigin,
    /// Code 4: the application refused the client, with this message; an empty one is `Forbidden`. Answered with 403, also to a
    /// WebSocket handshake.
    #[error("{}", if .0.is_empty() { "Forbidden" } else { .0 })]
    Forbidden(String),
    /// Code 5: the client speaks another revision of Engine.IO: the query's `EIO` is not 4, nor 3 if that is
    /// [allowed](Config::allow_eio3).
    #[error("Unsupported protocol version")]
    UnsupportedProtocolVersion,
    /// A method that sessions do not have. Answered with 500 and no body (B44).
    #[error("method not allowed in a session")]
    MethodNotAllowed,
    /// The session cannot take this request now; the request's fault closed it (B42, B43, B45). Answered with 400, no body.
    #[error("request out of turn")]
    OutOfTurn,
    /// A body larger than `max_http_buffer_size`. Answered with 413; the session stays (B46).
    #[error("body exceeds {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// A body that takes too long to come. Answered with 408; the session has lost the packets in it, and ends, unless it goes on over a
    /// WebSocket.
    #[error("body took too long")]
    TooSlow,
    /// The server is closing and opens no more sessions. Answered with 503.
    #[error("server is shutting down")]
    Closing,
    /// There are as many connections as are allowed, in all or from that address. Answered with 503.
    #[error("too many connections")]
    TooManyConnections,
}

/// What is bad about a request with code 3; the names are the reference's context names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadRequest {
    /// `INVALID_ORIGIN`: characters in the origin that no header may hold.
    InvalidOrigin,
    /// `TRANSPORT_MISMATCH`: the session uses another transport.
    TransportMismatch,
    /// `TRANSPORT_HANDSHAKE_ERROR`: WebSocket asked for by plain HTTP, polling by a WebSocket handshake, or a broken handshake.
    TransportHandshake,
    /// `PROTOCOL_MISMATCH`: the session speaks another revision.
    ProtocolMismatch,
    /// `MIDDLEWARE_FAILURE`: a function of the application's that sees all requests failed.
    MiddlewareFailure,
    /// `ID_GENERATION_ERROR`: the session's id could not be made.
    IdGeneration,
}

impl BadRequest {
    /// The reference's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidOrigin => "INVALID_ORIGIN",
            Self::TransportMismatch => "TRANSPORT_MISMATCH",
            Self::TransportHandshake => "TRANSPORT_HANDSHAKE_ERROR",
            Self::ProtocolMismatch => "PROTOCOL_MISMATCH",
            Self::MiddlewareFailure => "MIDDLEWARE_FAILURE",
            Self::IdGeneration => "ID_GENERATION_ERROR",
        }
    }
}

impl Refusal {
    /// The code in the answer's JSON, if this refusal has one.
    #[must_use]
    pub const fn code(&self) -> Option<u8> {
        match self {
            Self::TransportUnknown => Some(0),
            Self::SessionUnknown => Some(1),
            Self::BadHandshakeMethod => Some(2),
            Self::BadRequest(_) => Some(3),
            Self::ForeignOrigin | Self::Forbidden(_) => Some(4),
            Self::UnsupportedProtocolVersion => Some(5),
            Self::MethodNotAllowed
            | Self::OutOfTurn
            | Self::TooLarge { .. }
            | Self::TooSlow
            | Self::Closing
            | Self::TooManyConnections => None,
        }
    }

    /// What exactly is wrong, by the reference's name, where a code stands for several things: `INVALID_ORIGIN`,
    /// `TRANSPORT_MISMATCH`, `TRANSPORT_HANDSHAKE_ERROR`, `PROTOCOL_MISMATCH`, `MIDDLEWARE_FAILURE`, `ID_GENERATION_ERROR`.
    #[must_use]
    pub const fn context(&self) -> Option<&'static str> {
        match self {
            Self::BadRequest(what) => Some(what.name()),
            Self::ForeignOrigin => Some(BadRequest::InvalidOrigin.name()),
            _ => None,
        }
    }

    /// The HTTP answer: to a WebSocket handshake, if `upgrade`.
    #[must_use]
    pub fn response(&self, config: &Config, head: &Head<'_>) -> Response {
        let status = if self.code() == Some(4) { 403 } else { 400 };
        let mut response = match (self, self.code()) {
            (Self::Closing | Self::TooManyConnections, _) => Response { close: true, ..Response::new(503) },
            _ if head.upgrade => Response::refused_upgrade(status, &self.to_string()),
            (_, Some(code)) => Response::refusal(status, code, &self.to_string()),
            (Self::MethodNotAllowed, _) => Response::new(500),
            (Self::TooLarge { .. }, _) => Response { close: true, ..Response::new(413) },
            (Self::TooSlow, _) => Response { close: true, ..Response::new(408) },
            // Its body, if any, is not read.
            _ => Response { close: true, ..Response::new(400) },
        };
        with_cors(config, head, &mut response);
        response
    }
}

/// The cross-origin headers of answers that come from elsewhere, such as files.
#[must_use]
pub fn cors_headers(config: &Config, head: &Head<'_>) -> Vec<(&'static str, Cow<'static, str>)> {
    let mut response = Response::new(200);
    with_cors(config, head, &mut response);
    response.headers
}

/// Adds the cross-origin headers to an answer.
pub fn with_cors(config: &Config, head: &Head<'_>, response: &mut Response) {
    if let (Some(cors), false) = (&config.cors, head.upgrade) {
        cors.apply(head, response);
    }
}

impl Request {
    /// The answer to an OPTIONS request, if there is one: cross-origin rules answer preflights (B16).
    #[must_use]
    pub fn preflight(config: &Config, head: &Head<'_>) -> Option<Response> {
        let cors = config.cors.as_ref()?;
        if head.method == "OPTIONS" { cors.preflight(head) } else { None }
    }

    /// Reads a request's head.
    ///
    /// # Errors
    /// [`Refusal`] if the request is not one that this configuration serves. Whether the session exists is not checked. One of
    /// an [unusual dialect](Self::parse_in) is not served, even if it is allowed.
    pub fn parse(config: &Config, head: &Head<'_>) -> Result<Self, Refusal> {
        match Self::parse_in(config, head)? {
            (request, Dialect { revision: Revision::V4, jsonp: None, .. }) => Ok(request),
            (Self::Poll(sid) | Self::Post(sid) | Self::WebSocket(Some(sid)), _) => {
                Ok(Self::Misdirected(sid, Refusal::BadRequest(BadRequest::ProtocolMismatch)))
            }
            (request @ Self::Misdirected(..), _) => Ok(request),
            _ => Err(Refusal::UnsupportedProtocolVersion),
        }
    }

    /// Reads a request's head, and how its client wants to be spoken to: in revision 3 and by JSONP too, as far as
    /// [`allow_eio3`](Config::allow_eio3) and [`jsonp`](Config::jsonp) allow it.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse).
    pub fn parse_in(config: &Config, head: &Head<'_>) -> Result<(Self, Dialect), Refusal> {
        let dialect = Dialect::parse(config, head.query);
        Self::parse_with(config, head, dialect.is_some())
            .map(|request| (request, dialect.unwrap_or_default()))
    }

    fn parse_with(config: &Config, head: &Head<'_>, is_served: bool) -> Result<Self, Refusal> {
        let query = Query::parse(head.query);
        let transport = query.transport.and_then(Transport::from_name);
        let transport =
            transport.filter(|t| config.transports.contains(t)).ok_or(Refusal::TransportUnknown)?;
        if head.malformed_origin || head.origin.is_some_and(has_control_characters) {
            return Err(Refusal::BadRequest(BadRequest::InvalidOrigin));
        }
        // Whoever has a session's id needs no other proof; but a page can open a WebSocket for an id that it was given.
        if (query.sid.is_none() || head.upgrade) && !config.admits_origin(head) {
            return Err(Refusal::ForeignOrigin);
        }
        let mismatch = Refusal::BadRequest(BadRequest::TransportHandshake);
        if let Some(sid) = query.sid {
            // An id that we cannot have made is an unknown session, whatever else is odd about the request.
            let sid: Sid = sid.parse().map_err(|_| Refusal::SessionUnknown)?;
            let refused = |refusal| Self::Misdirected(sid, refusal);
            Ok(match (transport, head.upgrade, head.method) {
                _ if !is_served => refused(Refusal::BadRequest(BadRequest::ProtocolMismatch)),
                (Transport::WebSocket, true, "GET") => Self::WebSocket(Some(sid)),
                (Transport::Polling, true, _) => refused(mismatch),
                (Transport::WebSocket, ..) => refused(Refusal::BadRequest(BadRequest::TransportMismatch)),
                (Transport::Polling, false, "GET") => Self::Poll(sid),
                (Transport::Polling, false, "POST") => Self::Post(sid),
                (Transport::Polling, false, _) => refused(Refusal::MethodNotAllowed),
            })
        } else {
            if head.method != "GET" {
                return Err(Refusal::BadHandshakeMethod);
            }
            if (transport == Transport::WebSocket) != head.upgrade {
                return Err(mismatch);
            }
            if !is_served {
                return Err(Refusal::UnsupportedProtocolVersion);
            }
            Ok(match transport {
                Transport::Polling => Self::Handshake,
                Transport::WebSocket => Self::WebSocket(None),
            })
        }
    }
}

/// B15: what Node's `checkInvalidHeaderChar` refuses.
fn has_control_characters(value: &str) -> bool {
    value.bytes().any(|byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f)
}

#[derive(Default)]
struct Query<'a> {
    transport: Option<&'a str>,
    sid: Option<&'a str>,
}

impl<'a> Query<'a> {
    /// Picks out what Engine.IO knows. The values that it knows contain nothing to unescape, so an escaped one is simply
    /// an unknown one; the last of several counts, an empty `sid` is none.
    fn parse(query: &'a str) -> Self {
        let mut found = Self::default();
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "transport" => found.transport = Some(value),
                "sid" => found.sid = Some(value).filter(|sid| !sid.is_empty()),
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head<'a>(method: &'a str, query: &'a str) -> Head<'a> {
        Head { method, query, ..Head::default() }
    }

    fn parse(head: &Head<'_>) -> Result<Request, Refusal> {
        Request::parse(&Config::default(), head)
    }

    const SID: &str = "AAECAwQFBgcICQoLDA0O";

    #[test]
    fn requests_are_told_apart() {
        let sid: Sid = SID.parse().unwrap();
        assert_eq!(parse(&head("GET", "EIO=4&transport=polling&t=x")), Ok(Request::Handshake));
        let query = alloc::format!("EIO=4&transport=polling&sid={SID}");
        assert_eq!(parse(&head("GET", &query)), Ok(Request::Poll(sid)));
        assert_eq!(parse(&head("POST", &query)), Ok(Request::Post(sid)));
        let put = parse(&head("PUT", &query));
        assert_eq!(put, Ok(Request::Misdirected(sid, Refusal::MethodNotAllowed)), "B44");
        let mismatch = Refusal::BadRequest(BadRequest::ProtocolMismatch);
        let other = parse(&head("GET", &query.replace("EIO=4", "EIO=3")));
        assert_eq!(other, Ok(Request::Misdirected(sid, mismatch)), "B27");
        let ws = Head { upgrade: true, ..head("GET", "EIO=4&transport=websocket") };
        assert_eq!(parse(&ws), Ok(Request::WebSocket(None)));
    }

    #[test]
    fn foreign_pages_open_no_session_and_no_websocket() {
        let cors = super::super::Cors::new().origin("http://friend.example").origin("http://pal.example/");
        let default = Config::default();
        let with_cors = Config { cors: Some(cors), ..Config::default() };
        let open = Config { cors: Some(super::super::Cors::permissive()), ..Config::default() };
        let off = Config { check_origin: false, ..Config::default() };
        let polling = "EIO=4&transport=polling";
        let websocket = "EIO=4&transport=websocket";
        let sid = alloc::format!("{websocket}&sid={SID}");
        let verdict = |config: &Config, origin, query, upgrade| {
            let head = Head { host: Some("a.example"), origin, upgrade, ..head("GET", query) };
            Request::parse(config, &head).err()
        };
        for (query, upgrade) in [(polling, false), (websocket, true), (&sid, true)] {
            let refused = |config, origin| verdict(config, Some(origin), query, upgrade);
            for own in [None, Some("https://a.example"), Some("")] {
                assert_eq!(verdict(&default, own, query, upgrade), None, "{own:?}");
                assert_eq!(verdict(&with_cors, own, query, upgrade), None, "{own:?}");
            }
            for foreign in ["http://b.example", "null", "http://friend.example.evil", "b\u{fc}cher"] {
                assert_eq!(refused(&default, foreign), Some(Refusal::ForeignOrigin), "{foreign}");
                assert_eq!(refused(&with_cors, foreign), Some(Refusal::ForeignOrigin), "{foreign}");
                assert_eq!(refused(&open, foreign), None, "{foreign}");
                assert_eq!(refused(&off, foreign), None, "{foreign}");
            }
            assert_eq!(refused(&with_cors, "http://friend.example"), None);
            assert_eq!(refused(&with_cors, "http://pal.example"), None, "a slash too many is no origin");
        }
        // Its id is what a later request of a polling session shows.
        let poll = alloc::format!("{polling}&sid={SID}");
        assert_eq!(verdict(&default, Some("http://b.example"), &poll, false), None);
        // B17: after the transport, before everything else.
        assert_eq!(verdict(&default, Some("null"), "transport=x", true), Some(Refusal::TransportUnknown));
        assert_eq!(
            verdict(&default, Some("null"), "transport=websocket&EIO=3", true),
            Some(Refusal::ForeignOrigin)
        );
    }

    #[test]
    fn who_is_forbidden_gets_403_on_either_transport() {
        let config = Config::default();
        for (refusal, message) in [
            (Refusal::Forbidden(String::new()), "Forbidden"),
            (Refusal::Forbidden("no \"entry\"".into()), "no \"entry\""),
            (Refusal::ForeignOrigin, "Origin not allowed"),
        ] {
            let plain = refusal.response(&config, &head("GET", ""));
            let body: serde_json::Value = serde_json::from_slice(&plain.body).unwrap();
            assert_eq!(
                (plain.status, body["code"].as_u64(), body["message"].as_str()),
                (403, Some(4), Some(message))
            );
            let websocket = refusal.response(&config, &Head { upgrade: true, ..head("GET", "") });
            assert_eq!((websocket.status, &websocket.body[..]), (403, message.as_bytes()));
            assert!(websocket.close, "CVE-2026-59725");
        }
        assert_eq!(Refusal::ForeignOrigin.context(), Some("INVALID_ORIGIN"));
        let busy = Refusal::TooManyConnections.response(&config, &Head { upgrade: true, ..head("GET", "") });
        assert_eq!((busy.status, busy.close), (503, true));
    }

    #[test]
    fn refusals_have_the_reference_codes() {
        let code = |head: Head<'_>| parse(&head).unwrap_err().code();
        // B14
        for query in ["", "EIO=4", "EIO=4&transport=", "transport=constructor", "transport=__proto__"] {
            assert_eq!(code(head("GET", query)), Some(0), "{query}");
        }
        for sid in ["nope", "__proto__", "AAECAwQFBgcICQoLDA0OAA"] {
            let query = alloc::format!("EIO=4&transport=polling&sid={sid}");
            assert_eq!(code(head("GET", &query)), Some(1), "{sid}");
        }
        assert_eq!(code(head("POST", "EIO=4&transport=polling")), Some(2));
        assert_eq!(code(head("GET", "EIO=4&transport=websocket")), Some(3));
        let origin = Head { origin: Some("http://a\u{1}"), ..head("GET", "EIO=4&transport=polling") };
        assert_eq!(code(origin), Some(3), "B15");
        for eio in ["", "EIO=3", "EIO=5", "EIO=4x"] {
            assert_eq!(code(head("GET", &alloc::format!("{eio}&transport=polling"))), Some(5), "B13 {eio}");
        }
    }
}
