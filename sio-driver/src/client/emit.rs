//! Other ways to emit: with an acknowledgement, or volatile.

use std::future::IntoFuture;

use serde::de::DeserializeOwned;
use sio_proto::socket::{AckError as Silence, Args, Emit, Emitted};

use crate::ack::{AckError, Answers, EmitWithAck};
use crate::client::socket::ClientSocket;
use crate::encode::encode;
use crate::error::EmitError;
use crate::runtime::BoxFuture;

impl<T: DeserializeOwned + 'static> IntoFuture for EmitWithAck<T, ClientSocket> {
    type Output = Result<T, AckError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { socket, packet, timeout, .. } = self;
        Box::pin(async move {
            let (id, packet) = packet?;
            let emit = Emit { ack: Some(id), timeout, ..Emit::new(packet) };
            let answer = socket.submit_with_ack(id, emit)?;
            let forget = || socket.forget_ack(id);
            let answer = Answers::new(answer, forget).await.pop().unwrap_or(Err(Silence::Disconnected));
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
    pub fn emit<A: Args + ?Sized>(self, event: &str, args: &A) -> Result<bool, EmitError> {
        let packet = encode(|encoder| encoder.event(self.0.namespace(), None, event, args))?;
        let emitted = self.0.submit(Emit { volatile: true, ..Emit::new(packet) })?;
        Ok(emitted != Emitted::Dropped)
    }
}
