//! Waiting for acknowledgements.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde::de::DeserializeOwned;
use sio_proto::SocketId;
use sio_proto::engine::Encoded;
use sio_proto::hub::SocketKey;
use sio_proto::socket::payload::DecodeError;
use sio_proto::socket::{AckError as Silence, Payload};

use crate::error::EmitError;
use crate::runtime::BoxFuture;
use crate::shard::Shard;
use crate::socket::Socket;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// Nothing came in time.
    #[error("no acknowledgement in time")]
    Timeout,
    /// The client left before it answered; whether it saw the event is not known.
    #[error("client disconnected before it acknowledged")]
    Disconnected,
    /// The answer does not parse as the type that was asked for.
    #[error("acknowledgement: {0}")]
    Data(#[from] DecodeError),
    /// The event was not sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
}

impl From<Silence> for AckError {
    fn from(silence: Silence) -> Self {
        match silence {
            Silence::Timeout => Self::Timeout,
            _ => Self::Disconnected,
        }
    }
}

/// Where the answers to one emit arrive: from one client, or from all that a broadcast reached.
#[derive(Default)]
pub(crate) struct AckSlot {
    state: Mutex<SlotState>,
}

#[derive(Default)]
struct SlotState {
    /// How many answers are awaited; not known until the broadcast has gone to every shard.
    expected: Option<usize>,
    answers: Vec<(SocketId, Result<Payload, Silence>)>,
    waker: Option<Waker>,
}

impl AckSlot {
    pub(crate) fn expect(&self, count: usize) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).expected = Some(count);
    }

    /// Gives the waker to wake, once all answers are there.
    pub(crate) fn answer(&self, from: SocketId, result: Result<Payload, Silence>) -> Option<Waker> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.answers.push((from, result));
        if state.expected == Some(state.answers.len()) { state.waker.take() } else { None }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Vec<(SocketId, Result<Payload, Silence>)>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.expected == Some(state.answers.len()) {
            return Poll::Ready(std::mem::take(&mut state.answers));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The answers that a slot collects. Dropping it forgets what was still awaited; late answers are ignored.
pub(crate) struct Answers {
    pub(crate) slot: Arc<AckSlot>,
    pub(crate) namespace: crate::Namespace,
    pub(crate) id: u64,
    /// For the answer of one socket: its shard and key.
    pub(crate) single: Option<(Arc<Shard>, SocketKey)>,
}

impl Future for Answers {
    type Output = Vec<(SocketId, Result<Payload, Silence>)>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.slot.poll(cx)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        let key = (self.namespace.id(), self.id);
        match &self.single {
            Some((shard, socket)) => {
                let mut locked = shard.lock();
                if locked.acks.remove(&key).is_some() {
                    locked.machine.forget_ack(*socket, self.id);
                }
            }
            // The machines keep a broadcast's ids until its deadline, which it always has.
            None => self.namespace.shards(|shard| {
                shard.lock().acks.remove(&key);
            }),
        }
    }
}

/// An event that asks for an acknowledgement: [`Socket::emit_with_ack`]. It is sent when it is awaited.
#[must_use = "the event is sent when this is awaited"]
#[derive(Debug)]
pub struct EmitWithAck<T> {
    pub(crate) socket: Socket,
    pub(crate) packet: Result<(u64, Encoded), EmitError>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) answer: PhantomData<fn() -> T>,
}

impl<T> EmitWithAck<T> {
    /// How long to wait. Default: as long as the client is connected.
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
            let answers = socket.send_with_ack(id, packet, timeout)?;
            let answer = answers.await.pop().map_or(Err(Silence::Disconnected), |(_, answer)| answer);
            Ok(answer?.deserialize()?)
        })
    }
}

/// What one client answered to a broadcast.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AckResponse<T> {
    /// Who.
    pub socket: SocketId,
    /// The answer, or why there is none.
    pub result: Result<T, AckError>,
}
