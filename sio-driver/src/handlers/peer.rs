//! [`Peer`]: what handlers need of the socket whose they are.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;

use sio_proto::Str;
use sio_proto::socket::{Args, Codec};

use crate::encode::encode;
use crate::error::{EmitError, Error, Packet};
use crate::{ClientSocket, ServerSide, Socket};

/// A socket that events come to, on either side of a connection. Extractors of your own that suit every side are
/// `impl<S: Peer> FromContext<S>`. Only this crate's sockets implement it.
pub trait Peer: Clone + fmt::Debug + Into<Side> + Send + Sync + 'static {
    /// What the log calls it.
    #[doc(hidden)]
    fn log_id(&self) -> impl fmt::Display;

    /// The namespace, with its slash.
    #[doc(hidden)]
    fn namespace_name(&self) -> &Str;

    /// Which form packets have.
    #[doc(hidden)]
    fn codec(&self) -> &Codec;

    /// Acknowledges the event with this id.
    ///
    /// # Errors
    /// If that cannot be encoded, or not be sent.
    #[doc(hidden)]
    fn acknowledge<A: Args + ?Sized>(&self, id: u64, args: &A) -> Result<(), EmitError> {
        let packet = encode(self.codec(), |encoder| encoder.ack(self.namespace_name(), id, args))?;
        self.send_ack(id, packet.into())
    }

    /// Sends an encoded acknowledgement of the event with this id.
    #[doc(hidden)]
    fn send_ack(&self, id: u64, packet: Packet) -> Result<(), EmitError>;

    /// Waits until an acknowledgement of this length can be sent, or nobody waits for it any more.
    #[doc(hidden)]
    fn room_for_ack(&self, id: u64, len: usize) -> impl Future<Output = ()> + Send;

    /// What [`State`](crate::State) takes from.
    #[doc(hidden)]
    fn states(&self) -> &States;

    /// Logs that a handler failed, and tells those who want to know; the peer too, if it waits under `ack` and is to be told. Gives
    /// `ack` back if it was not used.
    ///
    /// # Errors
    /// What the peer is to be told, if there was no room for it.
    #[doc(hidden)]
    fn report(&self, error: &Error, ack: Option<u64>) -> Result<Option<u64>, Unsent>;
}

/// An acknowledgement for which there was no room.
#[derive(Debug, thiserror::Error)]
#[error("no room for an acknowledgement")]
pub struct Unsent {
    pub(super) id: u64,
    pub(super) packet: Packet,
}

impl Unsent {
    /// Sends it when there is room: whoever waits for it must not wait for ever. The handler has not ended until then, so that a peer
    /// that does not read its answers is not read from either.
    pub(crate) async fn send<S: Peer>(self, socket: &S) {
        let Self { id, mut packet } = self;
        loop {
            socket.room_for_ack(id, packet.encoded.len()).await;
            match socket.send_ack(id, packet) {
                Err(EmitError::Full(back)) => packet = back,
                // A peer that has left does not miss it.
                Ok(()) | Err(EmitError::Disconnected) => return,
                Err(error) => {
                    return tracing::error!(socket = %socket.log_id(), id, %error, "acknowledgement was not sent");
                }
            }
        }
    }
}

/// As [`Peer::report`], but waits until the peer is told, if it is to be.
pub(crate) async fn report<S: Peer>(socket: &S, error: Error, ack: Option<u64>) -> Option<u64> {
    match socket.report(&error, ack) {
        Ok(ack) => ack,
        Err(unsent) => {
            unsent.send(socket).await;
            None
        }
    }
}

/// Any [`Peer`]; for [`Ack`](crate::Ack), which has no type parameter. It cannot be named elsewhere, which seals the trait.
#[derive(Debug, Clone)]
pub enum Side {
    /// A server's socket.
    Server(Socket),
    /// A client's socket.
    Client(ClientSocket),
    /// Another server of the cluster.
    Cluster(ServerSide),
    #[cfg(test)]
    Test(super::tests::Tester),
}

impl From<Socket> for Side {
    fn from(socket: Socket) -> Self {
        Self::Server(socket)
    }
}

/// Values by type, for [`State`](crate::State).
#[derive(Default)]
pub struct States(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl States {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, state: T) {
        self.0.insert(TypeId::of::<T>(), Box::new(state));
    }

    pub(crate) fn get<T: 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("States").finish_non_exhaustive()
    }
}
