//! What can go wrong for users of the handles.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use sio_proto::UsageError;
use sio_proto::engine::Encoded;
use sio_proto::hub::Offset;
use sio_proto::server;
use sio_proto::socket::{ClientEmitError, EncodeError};

/// Something that was not sent.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The data cannot be serialised, or the event's name is reserved.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// More waits for this client than `max_outbox` allows, or on the client more than `max_send_buffer`. The packet is given back:
    /// [`Socket::send_packet`](crate::Socket::send_packet) tries again, [`Socket::ready`](crate::Socket::ready) waits for room;
    /// [`ClientSocket`](crate::ClientSocket) has the same.
    #[error("send buffer is full")]
    Full(Packet),
    /// On the client: the server would close the connection over a message of this size; the limit is its `maxPayload`.
    #[error("event of {size} bytes, the server takes {limit}")]
    TooLarge {
        /// Bytes of the event's largest message, as it would be sent.
        size: usize,
        /// The server's limit.
        limit: usize,
    },
    /// The client is gone, or closed for good.
    #[error("disconnected")]
    Disconnected,
    /// The client has not been let in yet: middlewares cannot send to it.
    #[error("client is not connected yet")]
    NotConnected,
}

impl From<server::EmitError> for EmitError {
    fn from(error: server::EmitError) -> Self {
        match error {
            server::EmitError::Full(packet) => Self::Full(packet.into()),
            server::EmitError::Usage(UsageError::NotConnected) => Self::NotConnected,
            _ => Self::Disconnected,
        }
    }
}

impl EmitError {
    /// `ack`: the id in the packet, with which it must be sent again.
    pub(crate) fn from_client(error: ClientEmitError, ack: Option<u64>) -> Self {
        match error {
            ClientEmitError::Full(encoded) => Self::Full(Packet { encoded, ack, offset: None }),
            ClientEmitError::TooLarge { size, limit } => Self::TooLarge { size, limit },
            _ => Self::Disconnected,
        }
    }
}

/// An encoded packet that could not be sent yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    pub(crate) encoded: Encoded,
    /// The id of the acknowledgement that it asks for, if it is one that a client sends at least once.
    pub(crate) ack: Option<u64>,
    /// The offset that is in it, if it is an event of a server that can be recovered.
    pub(crate) offset: Option<Offset>,
}

impl From<Encoded> for Packet {
    fn from(encoded: Encoded) -> Self {
        Self { encoded, ack: None, offset: None }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("handler panicked: {0}")]
struct Panic(String);

/// Why a handler did not do its work: an argument that did not parse, whatever error the handler returned, or a panic.
///
/// Every `std::error::Error` turns into it, so `?` works in handlers. It is given to
/// [`Namespace::on_error`](crate::Namespace::on_error) and logged.
pub struct Error {
    cause: Box<dyn std::error::Error + Send + Sync>,
    event: Option<Arc<str>>,
}

impl Error {
    /// An error with this message.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { cause: message.into().into(), event: None }
    }

    pub(crate) fn panicked(cause: &(dyn Any + Send)) -> Self {
        let message = cause.downcast_ref::<&str>().copied();
        let message = message.or_else(|| cause.downcast_ref().map(String::as_str));
        Panic(message.unwrap_or("no message").into()).into()
    }

    /// Whether the handler panicked. The message is that of the panic.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.cause.is::<Panic>()
    }

    /// The event whose handler failed: its name, or `connect`, `disconnect` and the like for the handlers of
    /// [`on_connect`](crate::Namespace::on_connect), [`on_disconnect`](crate::Namespace::on_disconnect) and the like, and for
    /// middlewares what they decided about. `None` until the error is reported.
    ///
    /// ```
    /// # use sio_driver::Server;
    /// # fn setup(io: Server) {
    /// io.of("/").on_error(|socket, error| {
    ///     eprintln!("{} of {}: {error}", error.event().unwrap_or_default(), socket.id());
    /// });
    /// # }
    /// ```
    #[must_use]
    pub fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    /// Says whose handler failed.
    pub(crate) fn during(self, event: Arc<str>) -> Self {
        Self { event: Some(event), ..self }
    }

    /// The error underneath, if it is of this type; else itself.
    pub(crate) fn downcast<E: std::error::Error + 'static>(self) -> Result<E, Self> {
        let Self { cause, event } = self;
        cause.downcast().map(|error| *error).map_err(|cause| Self { cause, event })
    }

    /// The error underneath, if it is of this type.
    #[must_use]
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.cause.downcast_ref()
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self { cause: Box::new(error), event: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

/// Data that did not have the form that a handler asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The arguments do not parse as the handler's type.
    #[error("arguments of {event:?}: {source}")]
    Data {
        /// The event's name.
        event: String,
        /// What is wrong.
        source: sio_proto::socket::payload::DecodeError,
    },
    /// The client's `auth` does not parse as the handler's type.
    #[error("auth: {0}")]
    Auth(String),
    /// The extractor has nothing to take: an `Ack` twice, or `Data` where there is no event.
    #[error("there is no {0} here")]
    Missing(&'static str),
    /// [`Socket::set_data`](crate::Socket::set_data) was not called with a value of this type.
    #[error("no data of type {0} was put with the socket")]
    SocketData(&'static str),
    /// No state of this type was given to the builder.
    #[error("no state of type {0} was given to the builder")]
    State(&'static str),
}
