//! Other ways to emit: with an acknowledgement, or volatile.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;
use sio_proto::engine::Encoded;
use sio_proto::socket::{Args, Emit, Emitted};

use crate::ack::AckError;
use crate::client::socket::ClientSocket;
use crate::encode::encode;
use crate::error::EmitError;
use crate::runtime::BoxFuture;

/// An event that asks for an acknowledgement: [`ClientSocket::emit_with_ack`]. It is sent when it is awaited.
#[must_use = "the event is sent when this is awaited"]
#[derive(Debug)]
pub struct EmitWithAck<T> {
    pub(crate) socket: ClientSocket,
    pub(crate) packet: Result<(u64, Encoded), EmitError>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) answer: PhantomData<fn() -> T>,
}

impl<T> EmitWithAck<T> {
    /// How long to wait. Default: [`ack_timeout`](crate::ClientBuilder::ack_timeout). With `retries`: for each try.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<T: DeserializeOwned + 'static> IntoFuture for EmitWithAck<T> {
    type Output = Result<T, AckError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { socket, packet, timeout, .. } = self;
        Box::pin(async move {
            let (id, packet) = packet?;
            let emit = Emit { ack: Some(id), timeout, ..Emit::new(packet) };
            let answer = socket.submit_with_ack(id, emit)?;
            let _forget = Forget { socket: &socket, id };
            Ok(answer.wait().await?.deserialize()?)
        })
    }
}

/// Nobody waits for an answer any more.
struct Forget<'a> {
    socket: &'a ClientSocket,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.socket.forget_ack(self.id);
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

#[allow(dead_code)]
fn is_send<T: DeserializeOwned + 'static>(emit: EmitWithAck<T>) -> impl Send {
    (emit.into_future(), PhantomData::<T>).0
}
