//! Socket.IO for tokio, and for hyper, tower and axum.
//!
//! A [`Server`] has [`Namespace`]s, which have handlers. A handler is an async function whose parameters say what it needs, in any
//! order, and whose result is the acknowledgement.
//!
//! ```
//! use sio_tokio::{Data, Server, Socket};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::{TcpListener, TcpStream};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let io = Server::builder().build();
//! io.of("/")
//!     .on_connect(async |socket: Socket| socket.join("news"))
//!     .on("hello", async |socket: Socket, Data(name): Data<String>| {
//!         socket.to("news").emit("joined", &name)?;
//!         Ok("got it") // the returned value answers the client's acknowledgement
//!     });
//!
//! // A program without a listener of its own would call `io.listen("0.0.0.0:3000").await`.
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! let serving = tokio::spawn({
//!     let io = io.clone();
//!     async move { io.serve(listener).await }
//! });
//!
//! // Any Socket.IO client could connect now; this is how it begins.
//! let mut client = TcpStream::connect(address).await?;
//! client.write_all(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer).await?;
//! assert!(answer.contains(r#"0{"sid":""#));
//!
//! io.close().await; // sends what waits, and ends all connections
//! serving.await??;
//! # Ok(())
//! # }
//! ```
//!
//! # Handlers
//!
//! | Parameter | Gives |
//! |---|---|
//! | [`Socket`] | the client: `emit`, `emit_with_ack`, `join`, `to`, `disconnect`, … |
//! | [`Data<T>`] | the first argument, or with a tuple `T` the arguments in turn; `Bytes` anywhere inside is a binary attachment |
//! | [`Payload`] | the arguments as they came, unparsed; can be sent on |
//! | [`Ack`] | the right to acknowledge before the handler ends |
//! | [`Auth<T>`] | what the client sent as `auth` |
//! | [`State<T>`] | a clone of what the builder was given |
//! | [`Event`], [`DisconnectReason`], [`Namespace`], [`Server`] | what they are named after |
//!
//! The result is `()`, a value, or `Result<_, Error>`; own types are wrapped, `Data(value)`. Errors and arguments that do not parse
//! are logged and told to [`Namespace::on_error`].
//!
//! A client's events are handled one after another, in the order in which they were sent; different clients, and different
//! namespaces of one client, do not wait for each other. Set handlers up before the server listens: a client gets those that are
//! there when it connects.
//!
//! # In axum, hyper, or behind TLS
//!
//! ```no_run
//! # async fn run(io: sio_tokio::Server, listener: tokio::net::TcpListener) -> std::io::Result<()> {
//! use axum::{Router, routing::get};
//!
//! let app = Router::new().route("/", get(|| async { "hello" })).layer(io.layer());
//! axum::serve(listener, app).await
//! # }
//! ```
//!
//! [`Server::service`] is the same without anything behind it. [`Server::serve_connection`] takes any accepted stream, such as one
//! of tokio-rustls.

mod client;
mod runtime;
mod server;
mod tower;

pub use client::Client;
pub use runtime::{Tokio, TokioTimer};
pub use server::Server;
pub use sio_driver::{
    Ack, AckError, AckResponse, Args, Attempt, Auth, Body, BroadcastWithAck, BufferOverflow, ClientBuilder,
    ClientSocket, CloseReason, ConnectError, ConnectionError, Context, Cors, Data, DecodeError, Delivery,
    DisconnectReason, EmitError, EmitWithAck, EncodeError, Error, Event, Events, FromContext, Handler,
    Handshake, Incoming, IntoReply, Middleware, Namespace, Operator, Overflow, Packet, PacketError, Payload,
    Peer, Rejection, Room, ServerBuilder, Socket, SocketBuilder, SocketId, State, Str, Transport,
    TransportError, Volatile,
};
#[cfg(feature = "tls")]
pub use sio_driver::{Tls, TlsError};
pub use tower::{NotFound, SioFuture, SioLayer, SioService};
