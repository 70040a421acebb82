//! Socket.IO for tokio, and for hyper, tower and axum.
//!
//! ```no_run
//! use sio_tokio::{Data, Server, Socket};
//!
//! # async fn run() -> std::io::Result<()> {
//! let io = Server::builder().build();
//! io.of("/")
//!     .on_connect(async |socket: Socket| socket.join("news"))
//!     .on("hello", async |socket: Socket, Data(name): Data<String>| {
//!         socket.to("news").emit("joined", &name)?;
//!         Ok("got it") // the returned value answers the client's acknowledgement
//!     });
//! io.listen("0.0.0.0:3000").await
//! # }
//! ```

mod runtime;
mod server;
mod tower;

pub use runtime::{Tokio, TokioTimer};
pub use server::Server;
pub use sio_driver::{
    Ack, AckError, AckResponse, Args, Auth, Body, BroadcastWithAck, CloseReason, ConnectError, Context, Cors,
    Data, DecodeError, Delivery, DisconnectReason, EmitError, EmitWithAck, EncodeError, Error, Event,
    FromContext, Handler, Handshake, IntoReply, Middleware, Namespace, Operator, Overflow, Packet, Payload,
    Rejection, Room, ServerBuilder, Socket, SocketId, State, Str, Transport,
};
pub use tower::{NotFound, SioFuture, SioLayer, SioService};
