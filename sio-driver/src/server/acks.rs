//! Waiting for acknowledgements of clients.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;
use sio_proto::SocketId;
use sio_proto::cluster;
use sio_proto::engine::Encoded;
use sio_proto::socket::{AckError as Silence, Payload};

use crate::ack::{AckError, AckSlot, Answer, EmitWithAck};
use crate::error::EmitError;
use crate::runtime::BoxFuture;
use crate::server::Operator;

/// Who answered, and what.
pub(crate) type ClientAnswer = (SocketId, Answer);

/// Where the answers of clients arrive.
pub(crate) type Slot = AckSlot<ClientAnswer>;

impl<T: DeserializeOwned + 'static> IntoFuture for EmitWithAck<T> {
    type Output = Result<T, AckError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.send()
    }
}

impl<T: DeserializeOwned + 'static> EmitWithAck<T> {
    /// Sends the event now, and gives the future of its answer, to be awaited some time later.
    pub fn send(self) -> BoxFuture<Result<T, AckError>> {
        let Self { socket, packet, timeout, .. } = self;
        let answers = packet.and_then(|(id, packet)| socket.send_with_ack(id, packet, timeout));
        Box::pin(async move {
            let answer = answers?.await.pop().map_or(Err(Silence::Disconnected), |(_, answer)| answer);
            Ok(answer?.deserialize()?)
        })
    }
}

/// A broadcast that asks for acknowledgements: [`Operator::emit_with_ack`]. It is sent when it is awaited.
#[must_use = "the event is sent when this is awaited"]
#[derive(Debug)]
pub struct BroadcastWithAck<T> {
    pub(super) operator: Operator,
    /// With the event as other servers are told of it, if there are any.
    pub(super) packet: Result<(u64, Encoded, Option<Payload>), EmitError>,
    pub(super) timeout: Duration,
    pub(super) answer: PhantomData<fn() -> T>,
}

impl<T> BroadcastWithAck<T> {
    /// How long to wait for each answer. Default: 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl<T: DeserializeOwned + Send + 'static> BroadcastWithAck<T> {
    /// Sends the event now, and gives the future of the answers, to be awaited some time later.
    pub fn send(self) -> BoxFuture<Result<Vec<AckResponse<T>>, EmitError>> {
        let Self { operator, packet, timeout, .. } = self;
        let asked = packet.map(|(ack, packet, payload)| {
            let others = payload.and_then(|payload| operator.ask_others(payload, false, timeout));
            (operator.send_with_ack(ack, packet, timeout), others)
        });
        Box::pin(async move {
            let (asked, others) = asked?;
            let parse = |(socket, answer): (_, Result<Payload, _>)| AckResponse {
                socket,
                result: answer.map_err(Into::into).and_then(|payload| Ok(payload.deserialize()?)),
            };
            let answers = asked.all().await;
            let mut answers: Vec<_> =
                answers.into_iter().map(|(socket, answer)| parse((Some(socket), answer))).collect();
            if let Some(others) = others {
                let (theirs, missing) = others.await;
                if let cluster::Answers::Acks { acks, unanswered } = theirs {
                    answers.extend(acks.into_iter().map(|payload| parse((None, Ok(payload)))));
                    // At most `max_answers`, and below at most `max_nodes`: the node refuses higher counts.
                    let silence = |_| parse((None, Err(Silence::Timeout)));
                    answers.extend((0..unanswered).map(silence));
                }
                let silent = |_| AckResponse { socket: None, result: Err(AckError::ServerSilent) };
                answers.extend((0..missing.count).map(silent));
            }
            Ok(answers)
        })
    }
}

impl<T: DeserializeOwned + Send + 'static> IntoFuture for BroadcastWithAck<T> {
    type Output = Result<Vec<AckResponse<T>>, EmitError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.send()
    }
}

/// What one client answered to a broadcast.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AckResponse<T> {
    /// Who; `None` for clients of other servers, whose answers do not say it.
    pub socket: Option<SocketId>,
    /// The answer, or why there is none.
    pub result: Result<T, AckError>,
}
