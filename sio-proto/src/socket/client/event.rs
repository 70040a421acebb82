//! What a client's namespaces tell their owner.

use core::time::Duration;

use crate::engine::{Encoded, TransportError};
use crate::inbox::Weigh;
use crate::socket::conn::{AckError, DisconnectReason, Slot};
use crate::socket::control::ConnectError;
use crate::socket::packet::PacketError;
use crate::socket::payload::Payload;
use crate::{Str, UsageError};

/// What happened in a namespace.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum ClientConnEvent {
    /// The client is about to join, and its `auth` is asked for: [`ClientConn::authenticate`](super::ClientConn::authenticate).
    Authenticate {
        /// Where.
        slot: Slot,
        /// For the answer. One that comes after the connection was lost is ignored.
        ticket: Ticket,
    },
    /// The client has joined.
    Connect {
        /// Where.
        slot: Slot,
        /// The id that the server gave it.
        id: Str,
        /// Whether it is the same session as before: id, rooms and missed events are restored.
        recovered: bool,
    },
    /// The client could not join. After [`ConnectionError::Refused`], [`ConnectionError::UnsupportedServer`] and
    /// [`ConnectionError::Auth`] it is not tried again.
    ConnectError {
        /// Where.
        slot: Slot,
        /// Why.
        error: ConnectionError,
    },
    /// The server emitted an event.
    Event {
        /// Where.
        slot: Slot,
        /// Name and arguments.
        payload: Payload,
        /// What to acknowledge it with, if an acknowledgement is asked for.
        ack: Option<AckId>,
    },
    /// What became of an acknowledgement that was asked for.
    Ack {
        /// Where.
        slot: Slot,
        /// The id given with the event.
        id: u64,
        /// The answer.
        result: Result<Payload, AckError>,
    },
    /// The client is no longer in the namespace.
    Disconnect {
        /// Where.
        slot: Slot,
        /// Why. After [`DisconnectReason::Connection`] it joins again once there is a connection.
        reason: DisconnectReason,
    },
}

impl ClientConnEvent {
    /// The namespace that it is about.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        match self {
            Self::Authenticate { slot, .. }
            | Self::Connect { slot, .. }
            | Self::ConnectError { slot, .. }
            | Self::Event { slot, .. }
            | Self::Ack { slot, .. }
            | Self::Disconnect { slot, .. } => *slot,
        }
    }
}

impl Weigh for ClientConnEvent {
    fn weight(&self) -> usize {
        match self {
            Self::Event { payload, .. } => payload.size(),
            _ => 0,
        }
    }
}

/// Stands for one question for `auth`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Ticket(pub(super) u32);

/// The id of an event that the server wants acknowledged, good until the connection ends on which it came, or the namespace is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct AckId {
    pub(super) id: u64,
    pub(super) epoch: u32,
}

impl AckId {
    /// The id on the wire.
    #[must_use]
    pub const fn id(self) -> u64 {
        self.id
    }
}

/// Why a client is not connected.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// There is no connection to the server.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The server sent what is not a Socket.IO packet.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The server, or its namespace, did not answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The namespace refuses the client; its message and data are the server's.
    #[error("refused: {0}")]
    Refused(ConnectError),
    /// The server speaks Socket.IO 2, which has another protocol (B80).
    #[error("the server speaks Socket.IO 2, and this client 3 and later")]
    UnsupportedServer,
    /// The application could not say what to show as `auth`.
    #[error("auth: {0}")]
    Auth(Str),
    /// The client cannot be made as it was asked for: says what is wrong about the URL, the proxy, or another setting.
    #[error("settings: {0}")]
    Settings(Str),
    /// The client is not connected, and does not try to be: nothing asked it to, or it is closed.
    #[error("not connecting")]
    NotConnecting,
    /// The client was disconnected while it waited.
    #[error("disconnected: {0}")]
    Disconnected(DisconnectReason),
}

/// An event that a client emits.
#[derive(Clone, PartialEq, Debug)]
pub struct Emit {
    /// The event, with `ack` as its id.
    pub packet: Encoded,
    /// The id of the acknowledgement that is asked for. With [`retries`](super::SocketConfig::retries), every event that is not
    /// volatile needs one.
    pub ack: Option<u64>,
    /// How long the acknowledgement may take. Default: [`ack_timeout`](super::SocketConfig::ack_timeout).
    pub timeout: Option<Duration>,
    /// Whether the event is dropped if it cannot go out at once.
    pub volatile: bool,
}

impl Emit {
    /// An event that asks for nothing.
    #[must_use]
    pub const fn new(packet: Encoded) -> Self {
        Self { packet, ack: None, timeout: None, volatile: false }
    }
}

/// What became of an event at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Emitted {
    /// It is about to be sent.
    Queued,
    /// It waits for a connection, or for its turn among those that are sent one at a time.
    Buffered,
    /// It was volatile, and could not go out at once.
    Dropped,
}

/// An event that was not accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientEmitError {
    /// Too much waits already: the event is given back.
    #[error("send buffer is full")]
    Full(Encoded),
    /// The server would close the connection over it: it told the limit when the connection was made.
    #[error("event of {size} bytes, the server takes {limit}")]
    TooLarge {
        /// Bytes of the largest message of the event, as it would be sent.
        size: usize,
        /// The server's `maxPayload`.
        limit: usize,
    },
    /// It cannot be sent at all.
    #[error(transparent)]
    Usage(#[from] UsageError),
}
