//! [`Flags`]: what is to be different about one event.

use std::marker::PhantomData;

use sio_proto::engine::Encoded;
use sio_proto::socket::Args;

use crate::ack::EmitWithAck;
use crate::error::EmitError;
use crate::handlers::{Asks, Emits};
use crate::server::{IntoRooms, Operator, Socket};

/// A client, and what is to be different about an event that it is sent: [`Socket::volatile`], [`Socket::compress`].
#[derive(Debug, Clone, Copy)]
#[must_use = "flags do nothing by themselves"]
pub struct Flags<'a> {
    pub(super) socket: &'a Socket,
    pub(super) volatile: bool,
    pub(super) compress: bool,
}

impl<'a> Flags<'a> {
    pub(super) const fn new(socket: &'a Socket) -> Self {
        Self { socket, volatile: false, compress: true }
    }

    pub(super) fn apply(self, packet: Encoded) -> Encoded {
        if self.compress { packet } else { packet.compress(false) }
    }

    /// As [`Socket::volatile`].
    pub const fn volatile(self) -> Self {
        Self { volatile: true, ..self }
    }

    /// As [`Socket::compress`].
    pub const fn compress(self, compress: bool) -> Self {
        Self { compress, ..self }
    }

    /// As [`Socket::emit`]. A [volatile](Socket::volatile) event that cannot go out at once is dropped, which is no error.
    ///
    /// # Errors
    /// As for [`Socket::emit`].
    pub fn emit<A: Args + ?Sized>(self, event: impl Emits<A>, args: &A) -> Result<(), EmitError> {
        self.socket.emit_as(event.as_name(), args, self)
    }

    /// As [`Socket::emit_wait`]. A [volatile](Socket::volatile) event is not waited with.
    ///
    /// # Errors
    /// As for [`Socket::emit_wait`].
    pub async fn emit_wait<A: Args + ?Sized>(self, event: impl Emits<A>, args: &A) -> Result<(), EmitError> {
        self.socket.wait_to_send(self.emit(event, args)).await
    }

    /// As [`Socket::emit_with_ack`]. The event is never dropped for being [volatile](Socket::volatile): somebody waits for its answer.
    pub fn emit_with_ack<T, A: Args + ?Sized>(self, event: impl Asks<A, T>, args: &A) -> EmitWithAck<T> {
        EmitWithAck {
            socket: self.socket.clone(),
            packet: self.socket.encode_with_ack(event.as_name(), args, self).map_err(EmitError::from),
            timeout: None,
            answer: PhantomData,
        }
    }

    /// As [`Socket::to`].
    pub fn to(self, room: impl IntoRooms) -> Operator {
        self.broadcast().to(room)
    }

    /// As [`Socket::in_`].
    pub fn in_(self, room: impl IntoRooms) -> Operator {
        self.to(room)
    }

    /// As [`Socket::except`].
    pub fn except(self, room: impl IntoRooms) -> Operator {
        self.broadcast().except(room)
    }

    /// As [`Socket::broadcast`].
    pub fn broadcast(self) -> Operator {
        let others = self.socket.broadcast().compress(self.compress);
        if self.volatile { others.volatile() } else { others }
    }
}
