//! Waiting for acknowledgements.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sio_proto::engine::Encoded;
use sio_proto::socket::payload::DecodeError;
use sio_proto::socket::{AckError as Silence, Payload};

use crate::Socket;
use crate::error::EmitError;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// Nothing came in time.
    #[error("no acknowledgement in time")]
    Timeout,
    /// The peer left, or the connection to it was lost, before it answered; whether it saw the event is not known.
    #[error("disconnected before the acknowledgement")]
    Disconnected,
    /// On the client: the event was dropped before it was sent, by [`BufferOverflow::DropOldest`](crate::BufferOverflow) or
    /// [`clear_send_buffer`](crate::ClientSocket::clear_send_buffer).
    #[error("dropped from the send buffer")]
    Dropped,
    /// In the answers to a broadcast: a server of the cluster did not say in time how many of its clients have the event.
    #[error("a server of the cluster is silent")]
    ServerSilent,
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
            Silence::Dropped => Self::Dropped,
            _ => Self::Disconnected,
        }
    }
}

/// What comes for an event that asked for an acknowledgement.
pub(crate) type Answer = Result<Payload, Silence>;

/// Where the answers to one emit arrive: an [`Answer`], or the `A`s of all that a broadcast reached.
pub(crate) struct AckSlot<A = Answer> {
    state: Mutex<SlotState<A>>,
}

struct SlotState<A> {
    /// How many answers are awaited; for a broadcast not known until it has gone to everybody.
    expected: Option<usize>,
    answers: Vec<A>,
    /// How many answers were taken one by one; then every answer wakes.
    taken: Option<usize>,
    waker: Option<Waker>,
}

impl<A> SlotState<A> {
    fn is_complete(&self) -> bool {
        self.expected == Some(self.taken.unwrap_or(0) + self.answers.len())
    }
}

impl<A> AckSlot<A> {
    /// `expected`: how many answers are awaited, if that is known.
    pub(crate) fn new(expected: Option<usize>) -> Self {
        Self { state: Mutex::new(SlotState { expected, answers: Vec::new(), taken: None, waker: None }) }
    }

    pub(crate) fn expect(&self, count: usize) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).expected = Some(count);
    }

    /// Gives the waker to wake, once all answers are there, or somebody takes them one by one.
    pub(crate) fn answer(&self, answer: A) -> Option<Waker> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.answers.push(answer);
        if state.taken.is_some() || state.is_complete() { state.waker.take() } else { None }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Vec<A>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_complete() {
            return Poll::Ready(std::mem::take(&mut state.answers));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The answers one by one, `None` after the last.
    fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<A>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = state.taken.unwrap_or(0);
        if let Some(answer) = state.answers.pop() {
            state.taken = Some(taken + 1);
            return Poll::Ready(Some(answer));
        }
        if state.is_complete() {
            return Poll::Ready(None);
        }
        state.taken = Some(taken);
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The answers that a slot collects. Dropping it forgets what was still awaited; late answers are ignored.
pub(crate) struct Answers<F: Fn(), A = Answer> {
    slot: Arc<AckSlot<A>>,
    forget: F,
}

impl<F: Fn(), A> Answers<F, A> {
    /// `forget` is called in the end, also if all answers are there.
    pub(crate) fn new(slot: Arc<AckSlot<A>>, forget: F) -> Self {
        Self { slot, forget }
    }

    /// The answers one by one, in place of all at once.
    pub(crate) async fn next(&mut self) -> Option<A> {
        std::future::poll_fn(|cx| self.slot.poll_next(cx)).await
    }
}

impl<F: Fn(), A> Future for Answers<F, A> {
    type Output = Vec<A>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Vec<A>> {
        self.slot.poll(cx)
    }
}

impl<F: Fn(), A> Drop for Answers<F, A> {
    fn drop(&mut self) {
        (self.forget)();
    }
}

/// An event that asks for an acknowledgement: [`Socket::emit_with_ack`]. It is sent when it is awaited.
#[must_use = "the event is sent when this is awaited"]
#[derive(Debug)]
pub struct EmitWithAck<T, S = Socket> {
    pub(crate) socket: S,
    pub(crate) packet: Result<(u64, Encoded), EmitError>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) answer: PhantomData<fn() -> T>,
}

impl<T, S> EmitWithAck<T, S> {
    /// How long to wait. Default: as long as the socket is connected.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}
