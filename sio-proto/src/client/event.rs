//! What a client tells its owner.

use crate::engine::{CloseReason, TransportError};
use crate::inbox::Weigh;
use crate::socket::{ClientConnEvent, ConnectionError, Slot};

/// What happened.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// In a namespace.
    Socket(ClientConnEvent),
    /// The connection travels over WebSocket from here on.
    Upgraded,
    /// It could not be moved to WebSocket, and goes on with polling (B69).
    UpgradeFailed(TransportError),
    /// The connection is over.
    Close {
        /// Why.
        reason: CloseReason,
        /// What happened, if there is more to say.
        error: Option<ConnectionError>,
        /// How many packets a transport had taken, but not sent. What none had taken is kept for the next connection.
        undelivered: usize,
    },
    /// The client tries to connect again: how often it did since a namespace was last joined.
    ReconnectAttempt(u32),
    /// There is a connection again, after so many attempts.
    Reconnect(u32),
    /// An attempt has failed.
    ReconnectError(ConnectionError),
    /// There were as many attempts as the settings allow: the client gives up until somebody calls [`connect`](super::Client::connect).
    ReconnectFailed,
}

impl Event {
    /// The namespace that it is about; `None` for what is about the client as a whole.
    #[must_use]
    pub const fn slot(&self) -> Option<Slot> {
        match self {
            Self::Socket(event) => Some(event.slot()),
            _ => None,
        }
    }
}

impl Weigh for Event {
    fn weight(&self) -> usize {
        match self {
            Self::Socket(event) => event.weight(),
            _ => 0,
        }
    }
}
