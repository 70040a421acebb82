//! Other ways to emit: with an acknowledgement, or volatile.

use std::future::IntoFuture;

use serde::de::DeserializeOwned;
use sio_proto::socket::{AckError as Silence, Args, Emit, Emitted};

use crate::ack::{AckError, Answers, EmitWithAck};
use crate::client::socket::ClientSocket;
use crate::encode::encode;
use crate::error::EmitError;
use crate::handlers::Emits;
use crate::runtime::BoxFuture;

impl<T: DeserializeOwned + 'static> IntoFuture for EmitWithAck<T, ClientSocket> {
    type Output = Result<T, AckError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.send()
    }
}

impl<T: DeserializeOwned + 'static> EmitWithAck<T, ClientSocket> {
    /// Sends the event now, and gives the future of its answer, to be awaited some time later: events that are sent in this way
    /// go out in the order of the calls.
    pub fn send(self) -> BoxFuture<Result<T, AckError>> {
        let Self { socket, packet, timeout, .. } = self;
        let answers = packet.and_then(|(id, packet)| {
            let answer = socket.submit_with_ack(id, Emit { ack: Some(id), timeout, ..Emit::new(packet) })?;
            Ok(Answers::new(answer, move || socket.forget_ack(id)))
        });
        Box::pin(async move {
            let answer = answers?.await.pop().unwrap_or(Err(Silence::Disconnected));
            Ok(answer?.deserialize()?)
        })
    }
}

/// Emits events that are dropped if they cannot go out at once: [`ClientSocket::volatile`].
#[derive(Debug, Clone, Copy)]
pub struct Volatile<'a>(pub(crate) &'a ClientSocket);

impl Volatile<'_> {
    /// Sends an event if the client is connected and nothing waits before it. Says whether it did.
    ///
    /// # Errors
    /// As for [`ClientSocket::emit`], without `Full`.
    pub fn emit<A: Args + ?Sized>(self, event: impl Emits<A>, args: &A) -> Result<bool, EmitError> {
        let packet =
            encode(self.0.codec(), |encoder| encoder.event(self.0.namespace(), None, event.as_name(), args))?;
        self.0.watch(event.as_name(), args);
        let emitted = self.0.submit(Emit { volatile: true, ..Emit::new(packet) })?;
        Ok(emitted != Emitted::Dropped)
    }
}
