//! Results of handlers, as acknowledgements.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde::Serialize;
use sio_proto::Str;
use sio_proto::socket::Payload;

use super::extract::acknowledge;
use super::peer::Unsent;
use super::{Data, Peer};
use crate::error::{EmitError, Error};

/// What a handler may return.
///
/// `()` is no acknowledgement; a value is one, if the sender asked for it; a tuple is one with several values. For a type of
/// your own return [`Data`]`(value)`. `Result<_, Error>` is any of these, or an error that is reported.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    note = "return `()`, a string, number, bool, `Vec`, `Option`, map, tuple or `serde_json::Value`, or wrap your own type: `Data(value)`",
    note = "fallible handlers return `Result<_, Error>` with this crate's `Error`, into which `?` turns any error"
)]
pub trait IntoReply {
    /// Acknowledges with this value under `ack`, if there is one. Gives `ack` back if it was not used.
    ///
    /// # Errors
    /// What is to be reported.
    #[doc(hidden)]
    fn into_reply<S: Peer>(self, socket: &S, ack: Option<u64>) -> Result<Option<u64>, Error>;
}

impl IntoReply for () {
    fn into_reply<S: Peer>(self, _: &S, ack: Option<u64>) -> Result<Option<u64>, Error> {
        Ok(ack)
    }
}

impl<T: IntoReply> IntoReply for Result<T, Error> {
    fn into_reply<S: Peer>(self, socket: &S, ack: Option<u64>) -> Result<Option<u64>, Error> {
        self?.into_reply(socket, ack)
    }
}

impl IntoReply for Payload {
    fn into_reply<S: Peer>(self, socket: &S, ack: Option<u64>) -> Result<Option<u64>, Error> {
        reply(socket, ack, |id| acknowledge(socket, id, &self))
    }
}

impl<T: Serialize> IntoReply for Data<T> {
    fn into_reply<S: Peer>(self, socket: &S, ack: Option<u64>) -> Result<Option<u64>, Error> {
        reply(socket, ack, |id| acknowledge(socket, id, &self.0))
    }
}

fn reply<S: Peer>(
    socket: &S,
    ack: Option<u64>,
    send: impl FnOnce(u64) -> Result<(), EmitError>,
) -> Result<Option<u64>, Error> {
    match ack.map(|id| send(id).map_err(|error| (id, error))) {
        // A peer that has left does not miss its acknowledgement.
        None | Some(Ok(()) | Err((_, EmitError::Disconnected))) => Ok(None),
        Some(Err((id, EmitError::Full(packet)))) => Err(Unsent { id, packet }.into()),
        Some(Err((id, error))) => {
            tracing::debug!(socket = %socket.log_id(), id, "acknowledgement was not sent");
            Err(error.into())
        }
    }
}

macro_rules! values {
    ($([$($param:ident),*] $type:ty;)*) => {
        $(
            impl<$($param: Serialize),*> IntoReply for $type {
                fn into_reply<S: Peer>(self, socket: &S, ack: Option<u64>) -> Result<Option<u64>, Error> {
                    Data(self).into_reply(socket, ack)
                }
            }
        )*
    };
}

values! {
    [] bool; [] char; [] u8; [] u16; [] u32; [] u64; [] usize; [] i8; [] i16; [] i32; [] i64; [] isize; [] f32; [] f64;
    [] String; [] &'static str; [] Cow<'static, str>; [] Bytes; [] serde_json::Value;
    [T] Vec<T>; [T] Option<T>; [T] HashMap<String, T>; [T] BTreeMap<String, T>;
    [A] (A,); [A, B] (A, B); [A, B, C] (A, B, C); [A, B, C, D] (A, B, C, D);
}

impl IntoReply for Str {
    fn into_reply<S: Peer>(self, socket: &S, ack: Option<u64>) -> Result<Option<u64>, Error> {
        Data(self.as_str()).into_reply(socket, ack)
    }
}
