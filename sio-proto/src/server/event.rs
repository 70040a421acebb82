//! What the composite server tells and asks its owner.

use alloc::vec::Vec;

use slotmap::new_key_type;

use super::RecoveryRequest;
use crate::engine::{ChannelId, CloseReason};
use crate::hub::{NamespaceId, Room, SocketKey};
use crate::inbox::Weigh;
use crate::socket::{AckError, DisconnectReason, Payload};
use crate::{SocketId, Str};

new_key_type! {
    /// A connection of a [`Server`](super::Server): one Engine.IO session with its namespaces. Not used again.
    pub struct ConnId;
}

/// What happened on a connection.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A client wants to join a namespace. The socket exists and may join rooms, but nothing can be sent to it and no broadcast
    /// reaches it until [`accept`](super::Server::accept); or [`refuse`](super::Server::refuse) ends it.
    Connect {
        /// The new socket, and the ticket for the answer.
        socket: SocketKey,
        /// Its public id.
        id: SocketId,
        /// The namespace.
        namespace: NamespaceId,
        /// The client's `auth`: a JSON object.
        auth: Option<Str>,
        /// The client wants to have an earlier session back: see [`recover`](super::Server::recover), which must come before
        /// `accept`. Only if [`Config::recovery`](super::Config::recovery) is set.
        recovery: Option<RecoveryRequest>,
    },
    /// A client wants to join a namespace that does not exist. Comes only if [`set_dynamic`](super::Server::set_dynamic) is on. As
    /// [`Connect`](Self::Connect), once [`assign`](super::Server::assign) has given the socket a namespace; or
    /// [`refuse`](super::Server::refuse) ends it.
    ConnectUnknown {
        /// The new socket, and the ticket for the answer.
        socket: SocketKey,
        /// Its public id.
        id: SocketId,
        /// The name of the namespace.
        name: Str,
        /// The client's `auth`: a JSON object.
        auth: Option<Str>,
        /// As in [`Connect`](Self::Connect).
        recovery: Option<RecoveryRequest>,
    },
    /// A client emitted an event.
    Event {
        /// Who.
        socket: SocketKey,
        /// Name and arguments.
        payload: Payload,
        /// The id to acknowledge, if an acknowledgement is asked for.
        ack: Option<u64>,
    },
    /// What became of an acknowledgement that was asked for.
    Ack {
        /// Who.
        socket: SocketKey,
        /// The id given with the event.
        id: u64,
        /// The answer.
        result: Result<Payload, AckError>,
    },
    /// A socket is gone; also one that was never accepted, unless it was refused. Its last event.
    Disconnect {
        /// Who.
        socket: SocketKey,
        /// Why.
        reason: DisconnectReason,
        /// The rooms that it was in.
        rooms: Vec<Room>,
    },
    /// The session travels over WebSocket from here on.
    Upgraded,
    /// The connection is over: its last event.
    Closed {
        /// Why.
        reason: CloseReason,
        /// How many packets that were accepted for sending were not handed to a transport.
        undelivered: usize,
    },
}

impl Weigh for Event {
    fn weight(&self) -> usize {
        match self {
            Self::Event { payload, .. } => payload.size(),
            Self::Connect { auth, .. } | Self::ConnectUnknown { auth, .. } => {
                auth.as_ref().map_or(0, |auth| auth.len())
            }
            _ => 0,
        }
    }
}

/// Something that has become possible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Ready {
    /// [`poll_transmit`](super::Server::poll_transmit) has something for this channel.
    Transmit(ChannelId),
    /// [`poll_event`](super::Server::poll_event) has something for this connection.
    Events(ConnId),
    /// This connection's inbox has room again; see [`wants_read`](super::Server::wants_read).
    Read(ConnId),
    /// This connection's outbox has room again, or a socket that may have waited for it is gone; see
    /// [`wait_for_room`](super::Server::wait_for_room).
    Write(ConnId),
}

/// What a request was let in for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Admission {
    /// The answer comes by [`poll_transmit`](super::Server::poll_transmit) for this channel.
    Poll(ChannelId),
    /// Read the body, at most `max_http_buffer_size` bytes, and give it to [`handle_body`](super::Server::handle_body).
    Post(ChannelId),
    /// Complete the WebSocket handshake, and then call [`open_websocket`](super::Server::open_websocket).
    WebSocket,
}

/// How a broadcast went on this server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Delivery {
    /// How many sockets it was queued for.
    pub sockets: usize,
    /// How many were meant, but did not get it: their outbox was full, or a volatile packet could not go out at once.
    pub skipped: usize,
}
