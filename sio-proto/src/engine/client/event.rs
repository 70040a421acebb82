//! What a client's session asks for, is told, and tells.

use alloc::string::String;

use bytes::Bytes;

use super::error::TransportError;
use crate::engine::event::{ChannelId, CloseReason};
use crate::engine::open::Open;
use crate::engine::packet::Message;

/// What a client's session wants done. The host, the path and the headers are the caller's; a query holds the session's id,
/// which is a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ClientRequest {
    /// Open a WebSocket. Then [`handle_open`](super::ClientSession::handle_open), or
    /// [`handle_failure`](super::ClientSession::handle_failure).
    WebSocket {
        /// Its number from now on.
        channel: ChannelId,
        /// The query string, without `?`.
        query: String,
    },
    /// Send a GET. Then [`handle_answer`](super::ClientSession::handle_answer), or
    /// [`handle_failure`](super::ClientSession::handle_failure).
    Get {
        /// Its number from now on.
        channel: ChannelId,
        /// The query string, without `?`.
        query: String,
    },
    /// Send a POST with `content-type: text/plain;charset=UTF-8`. Then as for a GET.
    Post {
        /// Its number from now on.
        channel: ChannelId,
        /// The query string, without `?`.
        query: String,
        /// The body.
        body: Bytes,
    },
    /// Drop this request, or this WebSocket, open or not yet: it is not wanted any more. Nothing more needs to be said
    /// about it. It may have come to its own end just before.
    Abort {
        /// Which one.
        channel: ChannelId,
    },
}

/// The HTTP answer to a GET or a POST.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// What happened in a client's session.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The session is open: packets are taken.
    Open(Open),
    /// The server sent a message.
    Message(Message),
    /// The session now travels over WebSocket.
    Upgraded,
    /// The attempt to move to WebSocket failed, and is not repeated; the session goes on with polling (B69).
    UpgradeFailed(TransportError),
    /// The session is over, or could not be opened: the last event.
    Closed {
        /// Why.
        reason: CloseReason,
        /// What failed, if anything did.
        error: Option<TransportError>,
        /// How many accepted packets were not handed to a transport.
        undelivered: usize,
    },
}
