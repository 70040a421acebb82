//! Why a transport failed.

use alloc::string::String;

use serde::Deserialize;

use crate::engine::event::CloseReason;
use crate::engine::open::HandshakeError;
use crate::engine::packet::PacketError;

/// Longest body of a refusal that is looked into, in bytes.
const MAX_REFUSAL: usize = 4096;

/// Why a transport failed, or an attempt to open one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The connection could not be made, or broke.
    #[error("{0}")]
    Io(String),
    /// TLS failed: a certificate that is not trusted, no common version.
    #[error("TLS: {0}")]
    Tls(String),
    /// The proxy refused, or could not be reached.
    #[error("proxy: {0}")]
    Proxy(String),
    /// The server answered with another status than 200, or than 101 to a WebSocket.
    #[error("server answered with status {status}{}", message.as_deref().map(Because).unwrap_or_default())]
    Status {
        /// The HTTP status.
        status: u16,
        /// Engine.IO's code for the refusal, if the body has one.
        code: Option<u8>,
        /// Engine.IO's message, if the body has one.
        message: Option<String>,
    },
    /// The server sends us elsewhere. Redirects are not followed.
    #[error("server redirects with status {status}{}", location.as_deref().map(Because).unwrap_or_default())]
    Redirect {
        /// The HTTP status.
        status: u16,
        /// The `Location` header.
        location: Option<String>,
    },
    /// A request took longer than [`request_timeout`](super::ClientConfig::request_timeout).
    #[error("request timed out")]
    RequestTimeout,
    /// The server ended the transport as one should: by a close packet or a close frame.
    #[error("server closed the transport")]
    Closed,
    /// The answer to a poll is not UTF-8.
    #[error("answer is not UTF-8")]
    NotUtf8,
    /// A message or an answer is larger than [`max_message_size`](super::ClientConfig::max_message_size).
    #[error("message exceeds {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// One answer to a poll holds more packets than any server should let pile up.
    #[error("more than {limit} packets in one answer")]
    TooManyPackets {
        /// The limit.
        limit: usize,
    },
    /// The handshake cannot be understood.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// What came is not a packet.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The WebSocket that should take the session over answered something else to the probe. The session stays where it is.
    #[error("unexpected packet on a probing transport")]
    UnexpectedProbe,
    /// The WebSocket that should take the session over did not do so in time. The session stays where it is.
    #[error("probe timed out")]
    ProbeTimeout,
}

/// `: why`, or nothing.
#[derive(Default)]
struct Because<'a>(&'a str);

impl core::fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

/// Engine.IO's refusals.
#[derive(Default, Deserialize)]
struct Refusal {
    code: Option<u8>,
    message: Option<String>,
}

impl TransportError {
    /// From an HTTP answer that is not the expected one; its body may say more. Also for the answer to a WebSocket handshake.
    #[must_use]
    pub fn from_answer(status: u16, location: Option<String>, body: &[u8]) -> Self {
        if (300..400).contains(&status) {
            return Self::Redirect { status, location };
        }
        let refusal: Refusal = match body.len() {
            0..=MAX_REFUSAL => serde_json::from_slice(body).unwrap_or_default(),
            _ => Refusal::default(),
        };
        Self::Status { status, code: refusal.code, message: refusal.message }
    }

    /// How a session ends by it.
    pub(super) fn reason(&self) -> CloseReason {
        match self {
            Self::Closed => CloseReason::TransportClose,
            Self::NotUtf8 | Self::Handshake(_) | Self::Packet(_) => CloseReason::ParseError,
            _ => CloseReason::TransportError,
        }
    }
}
