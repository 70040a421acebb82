//! What can be done to everyone, or to a selection, without a word about who: [`Operator`]'s methods on a server, on a namespace, and on a
//! parent of namespaces.

use std::time::Duration;

use sio_proto::server::Delivery;
use sio_proto::socket::Args;

use crate::error::EmitError;
use crate::handlers::{Asks, Emits};
use crate::server::cluster::{Partial, RemoteSocket};
use crate::server::rooms::IntoRooms;
use crate::server::{BroadcastWithAck, Namespace, Operator, ParentNamespace, Server};

macro_rules! selections {
    ($type:ty, $of:ty, $whole:literal) => {
        impl $type {
            #[doc = concat!("Sends an event to everyone in ", $whole, ". See [`Operator::emit`].")]
            ///
            /// # Errors
            /// [`EmitError::Encode`] only.
            pub fn emit<A: Args + ?Sized>(
                &self,
                event: impl Emits<A>,
                args: &A,
            ) -> Result<Delivery, EmitError> {
                self.everyone().emit(event, args)
            }

            #[doc = concat!("Everyone in a room of ", $whole, ", or in one of several.")]
            pub fn to(&self, room: impl IntoRooms) -> Operator<$of> {
                self.everyone().to(room)
            }

            /// As [`to`](Self::to).
            pub fn in_(&self, room: impl IntoRooms) -> Operator<$of> {
                self.to(room)
            }

            #[doc = concat!("Everyone in ", $whole, " who is not in a room, or in none of several.")]
            pub fn except(&self, room: impl IntoRooms) -> Operator<$of> {
                self.everyone().except(room)
            }

            #[doc = concat!("Everyone in ", $whole, " to whom an event can go out at once: see [`Operator::volatile`].")]
            pub fn volatile(&self) -> Operator<$of> {
                self.everyone().volatile()
            }

            #[doc = concat!("Everyone in ", $whole, "; `false`: polling answers in which the event is are not compressed. See")]
            /// [`Operator::compress`].
            pub fn compress(&self, compress: bool) -> Operator<$of> {
                self.everyone().compress(compress)
            }

            #[doc = concat!("Everyone in ", $whole, " who is a client of this server: see [`Operator::local`].")]
            pub fn local(&self) -> Operator<$of> {
                self.everyone().local()
            }

            #[doc = concat!("Puts everyone in ", $whole, " into a room, or into several.")]
            pub fn sockets_join(&self, room: impl IntoRooms) {
                self.everyone().sockets_join(room);
            }

            #[doc = concat!("Takes everyone in ", $whole, " out of a room, or out of several.")]
            pub fn sockets_leave(&self, room: impl IntoRooms) {
                self.everyone().sockets_leave(room);
            }

            #[doc = concat!("Sends everyone in ", $whole, " away; with `close`, closes their connections.")]
            pub fn disconnect_sockets(&self, close: bool) {
                self.everyone().disconnect_sockets(close);
            }
        }
    };
}

/// What is answered.
macro_rules! questions {
    ($type:ty, $whole:literal) => {
        impl $type {
            #[doc = concat!("Sends an event to everyone in ", $whole, ", and collects their acknowledgements when awaited. See")]
            /// [`Operator::emit_with_ack`].
            pub fn emit_with_ack<T, A: Args + ?Sized>(
                &self,
                event: impl Asks<A, T>,
                args: &A,
            ) -> BroadcastWithAck<T> {
                self.everyone().emit_with_ack(event, args)
            }

            #[doc = concat!("Everyone in ", $whole, ", with so much time for answers: see [`Operator::timeout`].")]
            pub fn timeout(&self, timeout: Duration) -> Operator {
                self.everyone().timeout(timeout)
            }

            #[doc = concat!("The clients of all servers that are connected to ", $whole, ": see [`Operator::fetch_sockets`].")]
            ///
            /// # Errors
            /// [`Partial`] if other servers did not answer in time.
            pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, Partial<RemoteSocket>> {
                self.everyone().fetch_sockets().await
            }
        }
    };
}

selections!(Server, Namespace, "`/`");
questions!(Server, "`/`");
selections!(Namespace, Namespace, "the namespace");
questions!(Namespace, "the namespace");
selections!(ParentNamespace, ParentNamespace, "all children");
