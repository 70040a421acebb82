//! [`Incoming`]: events that the application asks for, instead of handling them.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sio_proto::socket::payload::DecodeError;
use sio_proto::socket::{AckId, Args, ClientConnEvent, Payload};

use crate::client::core::{Wait, Wish};
use crate::client::socket::ClientSocket;
use crate::error::EmitError;
use crate::handlers::{TypedEvent, acknowledge};

/// An event from the server: [`ClientSocket::recv`].
#[derive(Debug)]
pub struct Incoming {
    socket: ClientSocket,
    payload: Payload,
    ack: Option<AckId>,
}

impl Incoming {
    pub(crate) fn poll(socket: &ClientSocket, wait: &mut Wait, cx: &Context<'_>) -> Poll<Option<Self>> {
        let now = socket.core().clock.now();
        let slot = socket.inner.slot;
        socket.receive();
        let mut state = ready!(wait.poll(Wish::Event(slot), cx));
        let paused = !state.machine.wants_read();
        let event = state.machine.poll_aside(slot, now);
        let resumed = paused && state.machine.wants_read();
        drop(state);
        if resumed {
            // There is room again: the task reads on.
            drop(socket.lock());
        }
        let Some(ClientConnEvent::Event { payload, ack, .. }) = event else { return Poll::Ready(None) };
        Poll::Ready(Some(Self { socket: ClientSocket { answers: ack, ..socket.clone() }, payload, ack }))
    }

    /// The event's name.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        self.payload.name().unwrap_or_default()
    }

    /// The arguments, as `T`: the first, or with a tuple the arguments in turn. `Bytes` anywhere inside is a binary attachment.
    ///
    /// # Errors
    /// If they do not parse as `T`.
    pub fn data<'de, T: Deserialize<'de>>(&'de self) -> Result<T, DecodeError> {
        self.payload.deserialize()
    }

    /// What a typed event carries, if this is such an event.
    ///
    /// ```
    /// # use sio_driver::{ClientSocket, Error, events};
    /// events! { Said = "said"(String); Left = "left"(u32, String); }
    ///
    /// # async fn run(client: ClientSocket) -> Result<(), Error> {
    /// while let Some(event) = client.recv().await {
    ///     if let Some(text) = event.get(Said) {
    ///         println!("{}", text?);
    ///     } else if let Some(left) = event.get(Left) {
    ///         let (number, name) = left?;
    ///         println!("{name} ({number}) has left");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn get<E: TypedEvent<Data: DeserializeOwned>>(&self, _: E) -> Option<Result<E::Data, DecodeError>> {
        (self.name() == E::NAME).then(|| self.payload.deserialize())
    }

    /// The arguments as they came.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Whether the server asked for an acknowledgement, and none was sent.
    #[must_use]
    pub fn wants_ack(&self) -> bool {
        self.ack.is_some()
    }

    /// Acknowledges the event, once; arguments as for [`ClientSocket::emit`]. Does nothing if the server did not ask.
    ///
    /// # Errors
    /// [`EmitError::Disconnected`] if the connection on which the event came is lost, and the others of [`EmitError`].
    pub fn ack<A: Args + ?Sized>(&mut self, args: &A) -> Result<(), EmitError> {
        match self.ack.take() {
            Some(ack) => acknowledge(&self.socket, ack.id(), args),
            None => Ok(()),
        }
    }
}

/// The events for which there is no handler, as a stream: [`ClientSocket::events`].
#[derive(Debug)]
pub struct Events {
    socket: ClientSocket,
    wait: Wait,
}

impl Events {
    pub(crate) fn new(socket: ClientSocket) -> Self {
        Self { wait: Wait::new(socket.core()), socket }
    }
}

impl Clone for Events {
    fn clone(&self) -> Self {
        Self::new(self.socket.clone())
    }
}

impl futures_util::Stream for Events {
    type Item = Incoming;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        let Self { socket, wait } = self.get_mut();
        Incoming::poll(socket, wait, cx)
    }
}
