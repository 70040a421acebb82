//! [`Context`]: what a handler was called for.

use std::sync::Arc;

use sio_proto::socket::{ConnectionError, DisconnectReason, Payload};

use crate::Socket;

/// What a handler was called for; extractors take their parts from it.
#[derive(Debug)]
pub struct Context<S = Socket> {
    pub(crate) socket: S,
    pub(crate) what: What,
    /// What a report of its failure calls it: the name of the event, or that of what has happened to the connection.
    pub(crate) event: Arc<str>,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Connect,
    Event {
        payload: Payload,
        ack: Option<u64>,
    },
    Disconnect(DisconnectReason),
    /// A client could not connect.
    ConnectError(ConnectionError),
    /// A client tries to connect again, or is connected again, after so many attempts.
    Attempt(u32),
    /// A client gives up.
    ReconnectFailed,
    /// A client's connection has moved to WebSocket.
    Upgrade,
}

impl<S> Context<S> {
    /// Whose handler it is: on a server, the client.
    #[must_use]
    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// Takes the right to acknowledge out of the context.
    pub(crate) fn take_ack(&mut self) -> Option<u64> {
        match &mut self.what {
            What::Event { ack, .. } => ack.take(),
            _ => None,
        }
    }
}
