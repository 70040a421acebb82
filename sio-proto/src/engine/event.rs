//! What a session says: what to send, what happened, and how things end.

use core::fmt;

use super::encoded::Encoded;
use super::packet::{Message, PacketError};
use super::response::Response;

/// A way for bytes to travel: one parked GET, one POST, or one WebSocket.
///
/// The caller picks the number; it must not be used again while any session knows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChannelId(pub u64);

/// What a session wants done on a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Transmit {
    /// Send these WebSocket messages, next to each other.
    Packet(Encoded),
    /// Answer this request. The channel is done with.
    Respond(Response),
    /// Close this WebSocket, once everything before is sent. What else arrives on it does not matter.
    Close,
    /// Drop this WebSocket at once: the peer did not close it in time. Only the composite server says so.
    Abort,
}

/// What happened in a session.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The client sent a message.
    Message(Message),
    /// The session now travels over WebSocket.
    Upgraded,
    /// The session is over: the last event.
    Closed {
        /// Why.
        reason: CloseReason,
        /// How many accepted packets were not handed to a transport.
        undelivered: usize,
    },
}

/// Why a session ended. Shown as the reference spells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// `ping timeout`: the client did not answer in time.
    PingTimeout,
    /// `parse error`: the client sent what is not an Engine.IO packet.
    ParseError,
    /// `transport error`: the connection broke, or the client broke the transport's rules.
    TransportError,
    /// `transport close`: the client closed the connection.
    TransportClose,
    /// `forced close`: this side closed.
    ForcedClose,
    /// `overflow`: the client read too slowly; see [`Config::max_outbox`](super::Config::max_outbox). The reference has no such limit.
    Overflow,
}

impl CloseReason {
    /// All reasons.
    pub const ALL: [Self; 6] = [
        Self::PingTimeout,
        Self::ParseError,
        Self::TransportError,
        Self::TransportClose,
        Self::ForcedClose,
        Self::Overflow,
    ];

    /// The reference's name for the reason.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
            Self::TransportError => "transport error",
            Self::TransportClose => "transport close",
            Self::ForcedClose => "forced close",
            Self::Overflow => "overflow",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a channel came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Hangup {
    /// The peer closed it as one should.
    Closed,
    /// It broke: an I/O error, a request that was given up, a message over the limit.
    Failed,
}

/// The peer broke the protocol. The session has drawn its consequences already; this says what it was.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// What came is not a packet. The session is closed.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The body of a POST is not UTF-8. The session is closed.
    #[error("body is not UTF-8")]
    NotUtf8,
    /// A ping came from a client of revision 4, where the server pings, or a pong from one of revision 3, where the client does.
    /// The session is closed.
    #[error("invalid heartbeat direction")]
    HeartbeatDirection,
    /// A WebSocket that should upgrade the session sent something else than a probe. It is closed, the session stays.
    #[error("unexpected packet on a probing transport")]
    UnexpectedProbe,
}

/// A packet that was not accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The outbox is full: the packet is given back. See [`Config::max_outbox`](super::Config::max_outbox).
    #[error("outbox is full")]
    Full(Encoded),
    /// The session is closed or closing.
    #[error("session is closed")]
    Closed,
}
