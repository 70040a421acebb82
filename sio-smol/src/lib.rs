//! Socket.IO for smol: server and client. No tokio is needed, and none runs.
//!
//! A [`Server`] has [`Namespace`]s, a [`Client`] connects to them, and both have handlers. A handler is an async function whose
//! parameters say what it needs, in any order, and whose result is the acknowledgement.
//!
//! ```
//! use std::time::Duration;
//! use sio_smol::{Client, Data, Server, Socket};
//! use smol::net::TcpListener;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # smol::block_on(async {
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
//! let url = format!("http://{}", listener.local_addr()?);
//! let serving = smol::spawn({
//!     let io = io.clone();
//!     async move { io.serve(listener).await }
//! });
//!
//! // Any Socket.IO client could connect now; this is ours, twice.
//! let ann = Client::connect(&url).await?;
//! let bob: Client = Client::connect(&url).await?;
//! let reply: String = bob.emit_with_ack("hello", "Bob").timeout(Duration::from_secs(5)).await?;
//! assert_eq!(reply, "got it");
//! let event = ann.recv().await.expect("the connection stands");
//! assert_eq!((&*event.name(), event.data::<String>()?), ("joined", "Bob".to_owned()));
//!
//! bob.close().await; // sends what waits, and ends the connection
//! io.close().await;
//! serving.await?;
//! # Ok(())
//! # })
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
//! # The client
//!
//! [`Client::connect`] gives a client once it is connected; [`Client::builder`] has all settings, and `build` gives one that connects
//! in the background. It connects again when the connection is lost, and events that are emitted meanwhile wait. Events are handled by
//! [`on`](ClientSocket::on), or asked for by [`recv`](ClientSocket::recv). When the last handle is dropped, the client closes.
//!
//! Its handlers take the same parameters, with [`ClientSocket`] in place of [`Socket`], and [`ConnectionError`], [`DisconnectReason`] or
//! [`Attempt`] where there is one. TLS is rustls, with the cryptography of `ring`: the crate's features choose another one, other
//! roots, or none.
//!
//! # Beside other pages
//!
//! hyper can ask the server for what is on its path, and something else for the rest; [`Io`] makes a stream one of hyper's:
//!
//! ```no_run
//! # async fn hello(_: hyper::Request<hyper::body::Incoming>) -> hyper::Response<sio_smol::Body> { hyper::Response::default() }
//! # async fn run(io: sio_smol::Server, listener: smol::net::TcpListener) -> std::io::Result<()> {
//! use std::convert::Infallible;
//! use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
//! use sio_smol::Io;
//!
//! loop {
//!     let (stream, address) = listener.accept().await?;
//!     let io = io.clone();
//!     let task = async move {
//!         let service = service_fn(async |request: Request<Incoming>| {
//!             Ok::<_, Infallible>(match io.matches_path(request.uri().path()) {
//!                 true => io.handle(request, Some(address)).await,
//!                 false => hello(request).await,
//!             })
//!         });
//!         let _ = http1::Builder::new().serve_connection(Io(stream), service).with_upgrades().await;
//!     };
//!     smol::spawn(task).detach();
//! }
//! # }
//! ```
//!
//! # Behind TLS
//!
//! [`Server::serve_connection`] takes any stream that was accepted elsewhere:
//!
//! ```no_run
//! use sio_smol::Accepted;
//! # async fn run(io: sio_smol::Server, listener: smol::net::TcpListener, config: futures_rustls::rustls::ServerConfig) -> std::io::Result<()> {
//! let acceptor = futures_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
//! loop {
//!     let (stream, address) = listener.accept().await?;
//!     let (io, acceptor) = (io.clone(), acceptor.clone());
//!     let task = async move {
//!         match acceptor.accept(stream).await {
//!             Ok(stream) => io.serve_connection(stream, Accepted::from(address).secure(true)).await,
//!             Err(error) => eprintln!("{address}: {error}"),
//!         }
//!     };
//!     smol::spawn(task).detach();
//! }
//! # }
//! ```

mod handles;
mod runtime;

pub use handles::{Client, Server};
pub use runtime::Smol;
#[doc(inline)]
pub use sio_driver::{Io, api::*};
