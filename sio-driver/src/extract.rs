//! Extractors: what a handler's parameters can be.

use std::any::type_name;
use std::fmt;

use serde::de::DeserializeOwned;
use sio_proto::Str;
use sio_proto::socket::{Args, DisconnectReason, Payload};

use crate::error::{EmitError, Packet, Rejection};
use crate::handler::{Context, What};
use crate::namespace::Namespace;
use crate::server::Server;
use crate::socket::{Socket, encode};

/// Something that a handler can ask for as a parameter.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an extractor",
    note = "extractors: `Socket`, `Data<T>`, `Payload`, `Ack`, `Auth<T>`, `State<T>`, `Event`, `DisconnectReason`, `Namespace`"
)]
pub trait FromContext: Sized {
    /// Takes the value out of what the handler was called for.
    ///
    /// # Errors
    /// The handler is then not called, and the rejection is reported.
    fn from_context(context: &mut Context) -> Result<Self, Rejection>;
}

impl FromContext for Socket {
    fn from_context(context: &mut Context) -> Result<Self, Rejection> {
        Ok(context.socket.clone())
    }
}

impl FromContext for Namespace {
    fn from_context(context: &mut Context) -> Result<Self, Rejection> {
        Ok(context.socket.namespace().clone())
    }
}

impl FromContext for Server {
    fn from_context(context: &mut Context) -> Result<Self, Rejection> {
        Ok(Self::from_shared(context.socket.0.server.clone()))
    }
}

/// The arguments of an event, as `T`. As a parameter: `Data(value): Data<T>`. As a result: the acknowledgement.
///
/// `T` is the first argument, or with a tuple the arguments in turn. `Bytes` anywhere inside is a binary attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data<T>(pub T);

impl<T: DeserializeOwned> FromContext for Data<T> {
    fn from_context(context: &mut Context) -> Result<Self, Rejection> {
        let What::Event { payload, .. } = &context.what else { return Err(Rejection::Missing("Data")) };
        payload.deserialize().map(Self).map_err(|source| Rejection::Data {
            event: payload.name().unwrap_or_default().into_owned(),
            source,
        })
    }
}

impl FromContext for Payload {
    fn from_context(context: &mut Context) -> Result<Self, Rejection> {
        match &context.what {
            What::Event { payload, .. } => Ok(payload.clone()),
            _ => Err(Rejection::Missing("Payload")),
        }
    }
}

/// The name of the event; for [`Namespace::on_any`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event(pub Str);

impl FromContext for Event {
    fn from_context(context: &mut Context) -> Result<Self, Rejection> {
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
    socket: Socket,
    id: Option<u64>,
}

impl Ack {
    /// Whether the client asked for an acknowledgement.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.id.is_some()
    }

    /// Acknowledges; arguments as for [`Socket::emit`]. Does nothing if the client did not ask.
    ///
    /// # Errors
    /// As for [`Socket::emit`].
    pub fn send<A: Args + ?Sized>(self, args: &A) -> Result<(), EmitError> {
        match self.id {
            Some(id) => acknowledge(&self.socket, id, args),
            None => Ok(()),
        }
    }
}

pub(crate) fn acknowledge<A: Args + ?Sized>(socket: &Socket, id: u64, args: &A) -> Result<(), EmitError> {
    let packet = encode(|encoder| encoder.ack(socket.namespace().name(), id, args))?;
    socket.send_packet(Packet(packet))
}

impl FromContext for Ack {
    fn from_context(context: &mut Context) -> Result<Self, Rejection> {
        match context.what {
            What::Event { .. } => Ok(Self { id: context.take_ack(), socket: context.socket.clone() }),
            _ => Err(Rejection::Missing("Ack")),
        }
    }
}

/// The `auth` that the client sent with its wish to connect, as `T`. A client that sent none has an empty object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth<T>(pub T);

impl<T: DeserializeOwned> FromContext for Auth<T> {
    fn from_context(context: &mut Context) -> Result<Self, Rejection> {
        let auth = context.socket.0.auth.as_deref().unwrap_or("{}");
        serde_json::from_str(auth).map(Self).map_err(|error| Rejection::Auth(error.to_string()))
    }
}

/// A clone of the state of this type that was given to [`ServerBuilder::state`](crate::ServerBuilder::state).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State<T>(pub T);

impl<T: Clone + Send + Sync + 'static> FromContext for State<T> {
    fn from_context(context: &mut Context) -> Result<Self, Rejection> {
        let state = context.socket.0.server.state.get::<T>();
        state.cloned().map(Self).ok_or_else(|| Rejection::State(type_name::<T>()))
    }
}

impl FromContext for DisconnectReason {
    fn from_context(context: &mut Context) -> Result<Self, Rejection> {
        match context.what {
            What::Disconnect(reason) => Ok(reason),
            _ => Err(Rejection::Missing("DisconnectReason")),
        }
    }
}
