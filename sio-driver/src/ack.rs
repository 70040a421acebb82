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
    /// The peer left before it answered; whether it saw the event is not known.
    #[error("disconnected before the acknowledgement")]
    Disconnected,
    /// The event was dropped before it was sent: by [`clear_send_buffer`](crate::ClientSocket::clear_send_buffer), or because the send
    /// buffer was full.
    #[error("dropped from the send buffer")]
    Dropped,
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
    waker: Option<Waker>,
}

impl<A> AckSlot<A> {
    /// `expected`: how many answers are awaited, if that is known.
    pub(crate) fn new(expected: Option<usize>) -> Self {
        Self { state: Mutex::new(SlotState { expected, answers: Vec::new(), waker: None }) }
    }

    pub(crate) fn expect(&self, count: usize) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).expected = Some(count);
    }

    /// Gives the waker to wake, once all answers are there.
    pub(crate) fn answer(&self, answer: A) -> Option<Waker> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.answers.push(answer);
        if state.expected == Some(state.answers.len()) { state.waker.take() } else { None }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Vec<A>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.expected == Some(state.answers.len()) {
            return Poll::Ready(std::mem::take(&mut state.answers));
        }
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
