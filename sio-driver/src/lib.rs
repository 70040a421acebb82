//! The async half of sio: one connection pump, one HTTP front, and the handles that users hold.
//!
//! Applications use the crate of their runtime, such as `sio-tokio`, which re-exports all of [`api`]. This crate is for those who
//! bring another runtime: implement [`Runtime`], a handful of lines, and wrap [`Server`] and [`Client`] by [`handles!`] as the existing
//! crates do. The feature `async-io` has the clock and the timer of runtimes on that reactor.
//!
//! # How it works
//!
//! The rules of the protocols are in `sio-proto`; here are the tasks that move bytes.
//!
//! - A server is divided into shards, each a protocol machine behind a lock. No I/O, no code of users and no serialising happens
//!   under it. What was done under the lock may concern other tasks; they are woken after it is released.
//! - Every HTTP request goes through [`Server::handle`], whoever accepted it. [`serve`] is an HTTP server around it.
//! - A WebSocket is one task. Each turn reads all messages that have arrived, gives them to the machine, runs the handlers, and
//!   writes everything that waits with one flush.
//! - Handlers of one client run one after another, in the task that read their event; one that has to wait lets the task go on.
//! - A client is one task too, with its machine behind a lock: it dials and sends requests as the machine says, runs the WebSocket as
//!   a server's task does, tells the time, and runs the handlers. The network under it (`client/net`) knows no rule of the protocols.
//! - Handles ([`Server`], [`Namespace`], [`Socket`], [`Client`], [`ClientSocket`]) hold no socket and no timer, and have no type
//!   parameter.
//!
//! # Another runtime
//!
//! ```
//! use std::{future::Future, io, net::SocketAddr, pin::Pin, task::{Context, Poll}, time::Duration};
//! use hyper_util::rt::TokioIo;
//! use sio_driver::{Data, Instant, Runtime, Server, ServerBuilder, Timer};
//! use tokio::net::{TcpListener, TcpStream};
//!
//! #[derive(Clone)]
//! struct Mine(std::time::Instant);
//!
//! impl Runtime for Mine {
//!     type Stream = TokioIo<TcpStream>;
//!     type Listener = TcpListener;
//!     type Timer = MyTimer;
//!
//!     fn now(&self) -> Instant {
//!         Instant::ZERO + self.0.elapsed()
//!     }
//!     fn timer(&self) -> MyTimer {
//!         MyTimer(self.0, None)
//!     }
//!     fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
//!         tokio::spawn(task);
//!     }
//!     async fn accept(&self, listener: &TcpListener) -> io::Result<(Self::Stream, SocketAddr)> {
//!         let (stream, address) = listener.accept().await?;
//!         Ok((TokioIo::new(stream), address))
//!     }
//!     async fn connect(&self, host: &str, port: u16) -> io::Result<Self::Stream> {
//!         Ok(TokioIo::new(TcpStream::connect((host, port)).await?))
//!     }
//! }
//!
//! struct MyTimer(std::time::Instant, Option<Pin<Box<tokio::time::Sleep>>>);
//!
//! impl Timer for MyTimer {
//!     fn reset(&mut self, at: Instant) {
//!         let at = self.0 + (at - Instant::ZERO);
//!         self.1 = Some(Box::pin(tokio::time::sleep_until(at.into())));
//!     }
//!     fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
//!         self.1.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(cx))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> io::Result<()> {
//! let runtime = Mine(std::time::Instant::now());
//! let io: Server = ServerBuilder::new(runtime.clone()).ping_interval(Duration::from_secs(10)).build();
//! io.of("/").on("add", async |Data((a, b)): Data<(i64, i64)>| a + b);
//!
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let serving = tokio::spawn(sio_driver::serve(runtime, listener, io.clone()));
//! // … clients come and go …
//! io.close().await;
//! serving.await.expect("no panic")
//! # }
//! ```

mod ack;
mod adapter;
#[cfg(feature = "async-io")]
mod async_io;
mod client;
mod encode;
mod error;
mod handlers;
mod io;
mod runtime;
mod server;
mod wakers;
mod websocket;

/// What a [`Parser`] is made of, and those that there are.
pub mod parser {
    pub use sio_proto::engine::{Encoded, Message};
    #[cfg(feature = "msgpack")]
    pub use sio_proto::socket::Msgpack;
    pub use sio_proto::socket::payload::Attachments;
    pub use sio_proto::socket::{Decode, Limits, Packet, PacketError, Parser, ParserError};
}

/// Several servers that serve the same clients: [`Adapter`](cluster::Adapter), for those who write one, and
/// [`Bus`](cluster::Bus), for servers of one process.
pub mod cluster {
    #[doc(no_inline)]
    pub use sio_proto::cluster::{
        Ask, Body, Broadcast, Change, Config, Liveness, Message, Missing, NodeId, Rejected, RequestId,
        SocketInfo, Stats, Transmit,
    };

    pub use crate::server::cluster::{Adapter, Bus, BusNode, Link};
}

pub use ack::{AckError, EmitWithAck};
pub use adapter::api;
#[cfg(feature = "async-io")]
pub use async_io::{AsyncIoClock, AsyncIoTimer};
pub use client::{Attempt, Client, ClientBuilder, ClientSocket, Events, Incoming, SocketBuilder, Volatile};
#[cfg(feature = "tls")]
pub use client::{Tls, TlsError};
pub use error::{EmitError, Error, Packet, Rejection};
pub use handlers::{
    Ack, Asks, Context, Data, Emits, Event, EventHandler, EventName, FromContext, Handler, IntoReply, NoAck,
    Peer, State, TypedEvent,
};
pub use io::Io;
pub use runtime::{BoxFuture, Runtime, Timer};
pub use server::{
    Accepted, AckResponse, Auth, Body, BroadcastWithAck, Conn, Flags, Handshake, IntoRooms, Middleware,
    Namespace, NamespaceRequest, Operator, ParentNamespace, Partial, RemoteEmitWithAck, RemoteHandshake,
    RemoteSocket, RequestError, Server, ServerBuilder, ServerSide, ServerSideEmitWithAck, Socket, SocketData,
    serve, serve_connection,
};
pub use server::{RefusedRequest, RequestHead, Secure};
pub use sio_proto::engine::{CloseReason, Cors, Overflow, Traffic, Transport, TransportError};
pub use sio_proto::engine::{Cookie, SameSite};
pub use sio_proto::hub::Room;
pub use sio_proto::server::{ConnectionStateRecovery, Delivery, Stats, TransportStats};
#[cfg(feature = "msgpack")]
pub use sio_proto::socket::Msgpack;
pub use sio_proto::socket::payload::DecodeError;
pub use sio_proto::socket::{
    Args, BufferOverflow, ConnectError, ConnectionError, DisconnectReason, EncodeError, PacketError, Parser,
    Payload,
};
pub use sio_proto::{Instant, SocketId, Str};
