//! The async half of sio: one connection pump, one HTTP front, and the handles that users hold.
//!
//! Applications use the crate of their runtime, such as `sio-tokio`, which re-exports everything here. This crate is for those
//! who bring another runtime: implement [`Runtime`], and wrap [`Server`] as the existing crates do.

mod ack;
mod dispatch;
mod error;
mod extract;
mod handler;
mod handshake;
mod http;
mod namespace;
mod operator;
mod pump;
mod reply;
mod runtime;
mod serve;
mod server;
mod shard;
mod socket;
mod websocket;

pub use ack::{AckError, AckResponse, EmitWithAck};
pub use error::{EmitError, Error, Packet, Rejection};
pub use extract::{Ack, Auth, Data, Event, FromContext, State};
pub use handler::{Context, Handler, Middleware};
pub use handshake::Handshake;
pub use http::Body;
pub use namespace::Namespace;
pub use operator::{BroadcastWithAck, Operator};
pub use reply::IntoReply;
pub use runtime::{BoxFuture, Runtime, Timer};
pub use serve::{serve, serve_connection};
pub use server::{Server, ServerBuilder};
pub use sio_proto::engine::{CloseReason, Cors, Overflow, Transport};
pub use sio_proto::hub::Room;
pub use sio_proto::server::Delivery;
pub use sio_proto::socket::payload::DecodeError;
pub use sio_proto::socket::{Args, ConnectError, DisconnectReason, EncodeError, Payload};
pub use sio_proto::{Instant, SocketId, Str};
pub use socket::Socket;
