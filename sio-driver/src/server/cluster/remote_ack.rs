//! [`RemoteEmitWithAck`]: the acknowledgement of one client of any server.

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;
use sio_proto::Str;
use sio_proto::cluster::Answers;
use sio_proto::socket::{AckError as Silence, Payload};

use crate::ack::AckError;
use crate::error::EmitError;
use crate::runtime::BoxFuture;
use crate::server::Operator;

/// An event for a client of any server that asks for an acknowledgement: [`RemoteSocket::emit_with_ack`](crate::RemoteSocket). It is
/// sent when it is awaited.
///
/// The error is [`Timeout`](AckError::Timeout) if the client did not answer in time, also if it has left meanwhile: its server does not
/// tell. It is [`Disconnected`](AckError::Disconnected) if no server has the client, or the server that had it is gone, and
/// [`ServerSilent`](AckError::ServerSilent) if it may be at a server that did not say.
#[must_use = "the event is sent when this is awaited"]
pub struct RemoteEmitWithAck<T> {
    /// The client alone.
    operator: Operator,
    id: Str,
    payload: Result<Payload, EmitError>,
    timeout: Duration,
    answer: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for RemoteEmitWithAck<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteEmitWithAck")
            .field("id", &self.id)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl<T> RemoteEmitWithAck<T> {
    pub(super) fn new(operator: Operator, id: &Str, payload: Result<Payload, EmitError>) -> Self {
        Self { operator, id: id.clone(), payload, timeout: Duration::from_secs(5), answer: PhantomData }
    }

    /// How long to wait. Default: 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl<T: DeserializeOwned + Send + 'static> RemoteEmitWithAck<T> {
    /// Sends the event now, and gives the future of its answer, to be awaited some time later.
    pub fn send(self) -> BoxFuture<Result<T, AckError>> {
        let Self { operator, id, payload, timeout, .. } = self;
        let payload = match payload {
            Ok(payload) => payload,
            Err(error) => return Box::pin(async move { Err(error.into()) }),
        };
        // Nobody else has it then.
        if let Some(socket) = operator.sockets().into_iter().find(|socket| socket.id().as_str() == &*id) {
            let name = payload.name_str().unwrap_or_default();
            return socket.emit_with_ack::<T, _>(&*name, &payload).timeout(timeout).send();
        }
        let Some(asked) = operator.ask_others(payload, true, timeout) else {
            return Box::pin(async { Err(AckError::Disconnected) });
        };
        Box::pin(async move {
            let (answers, missing) = asked.await;
            let Answers::Acks { acks, unanswered } = answers else { return Err(AckError::Disconnected) };
            match acks.first() {
                Some(answer) => Ok(answer.deserialize()?),
                None if unanswered > 0 => Err(Silence::Timeout.into()),
                None if missing.count > 0 => Err(AckError::ServerSilent),
                None => Err(AckError::Disconnected),
            }
        })
    }
}

impl<T: DeserializeOwned + Send + 'static> IntoFuture for RemoteEmitWithAck<T> {
    type Output = Result<T, AckError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.send()
    }
}
