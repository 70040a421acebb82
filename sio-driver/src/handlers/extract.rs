//! Extractors: what a handler's parameters can be. Those of one side only are with that side.

use std::any::type_name;
use std::fmt;

use serde::de::DeserializeOwned;
use sio_proto::Str;
use sio_proto::socket::{Args, DisconnectReason, Payload};

use super::{Context, Peer, Side, What};
use crate::Socket;
use crate::error::{EmitError, Rejection};

/// Something that a handler can ask for as a parameter; `S` is whose events it handles.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an extractor for events of `{S}`",
    note = "extractors: `Data<T>`, `Payload`, `Ack`, `State<T>`, `Event`, `DisconnectReason`",
    note = "and in handlers of a server only: `Socket`, `SocketData<T>`, `Auth<T>`, `Namespace`, `Server`",
    note = "and in handlers of a client only: `ClientSocket`, `ConnectionError`, `Attempt`"
)]
pub trait FromContext<S = Socket>: Sized {
    /// Takes the value out of what the handler was called for.
    ///
    /// # Errors
    /// The handler is then not called, and the rejection is reported.
    fn from_context(context: &mut Context<S>) -> Result<Self, Rejection>;
}

/// The arguments of an event, as `T`. As a parameter: `Data(value): Data<T>`. As a result: the acknowledgement.
///
/// `T` is the first argument, or with a tuple the arguments in turn. `Bytes` anywhere inside is a binary attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data<T>(pub T);

impl<S: Peer, T: DeserializeOwned> FromContext<S> for Data<T> {
    fn from_context(context: &mut Context<S>) -> Result<Self, Rejection> {
        let What::Event { payload, .. } = &context.what else { return Err(Rejection::Missing("Data")) };
        payload.deserialize().map(Self).map_err(|source| Rejection::Data {
            event: payload.name().unwrap_or_default().into_owned(),
            source,
        })
    }
}

impl<S: Peer> FromContext<S> for Payload {
    fn from_context(context: &mut Context<S>) -> Result<Self, Rejection> {
        match &context.what {
            What::Event { payload, .. } => Ok(payload.clone()),
            _ => Err(Rejection::Missing("Payload")),
        }
    }
}

/// The name of the event; for [`Namespace::on_any`](crate::Namespace::on_any).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event(pub Str);

impl<S: Peer> FromContext<S> for Event {
    fn from_context(context: &mut Context<S>) -> Result<Self, Rejection> {
        match &context.what {
            What::Event { payload, .. } => Ok(Self(payload.name_str().unwrap_or_default())),
            _ => Err(Rejection::Missing("Event")),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::ops::Deref for Event {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// The right to acknowledge the event, for handlers that do so before they end. Others simply return a value.
#[derive(Debug)]
pub struct Ack {
    socket: Side,
    id: Option<u64>,
}

impl Ack {
    /// Whether the sender asked for an acknowledgement.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.id.is_some()
    }

    /// Acknowledges; arguments as for [`Socket::emit`]. Does nothing if the sender did not ask.
    ///
    /// # Errors
    /// As for [`Socket::emit`].
    pub fn send<A: Args + ?Sized>(self, args: &A) -> Result<(), EmitError> {
        let Some(id) = self.id else { return Ok(()) };
        match &self.socket {
            Side::Server(socket) => acknowledge(socket, id, args),
            Side::Client(socket) => acknowledge(socket, id, args),
            Side::Cluster(server) => acknowledge(server, id, args),
            #[cfg(test)]
            Side::Test(socket) => acknowledge(socket, id, args),
        }
    }
}

/// Encodes and sends the acknowledgement of an event.
pub(crate) fn acknowledge<S: Peer, A: Args + ?Sized>(socket: &S, id: u64, args: &A) -> Result<(), EmitError> {
    socket.acknowledge(id, args)
}

impl<S: Peer> FromContext<S> for Ack {
    fn from_context(context: &mut Context<S>) -> Result<Self, Rejection> {
        match context.what {
            What::Event { .. } => Ok(Self { id: context.take_ack(), socket: context.socket.clone().into() }),
            _ => Err(Rejection::Missing("Ack")),
        }
    }
}

/// A clone of the state of this type that was given to [`ServerBuilder::state`](crate::ServerBuilder::state).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State<T>(pub T);

impl<S: Peer, T: Clone + Send + Sync + 'static> FromContext<S> for State<T> {
    fn from_context(context: &mut Context<S>) -> Result<Self, Rejection> {
        let state = context.socket.states().get::<T>();
        state.cloned().map(Self).ok_or_else(|| Rejection::State(type_name::<T>()))
    }
}

impl<S: Peer> FromContext<S> for DisconnectReason {
    fn from_context(context: &mut Context<S>) -> Result<Self, Rejection> {
        match context.what {
            What::Disconnect(reason) => Ok(reason),
            _ => Err(Rejection::Missing("DisconnectReason")),
        }
    }
}
