//! Engine.IO and Socket.IO as pure state machines: no I/O, no clock, no source of entropy, no async runtime, no `std`.
//!
//! You own the sockets and the clock. You tell a machine what arrived and what time it is, and it tells you what to send, what
//! happened, and when it wants to be called again. The same machines run under tokio, in a loop of threads
//! (`examples/blocking.rs`, `examples/blocking_client.rs`), in a simulation on virtual time, and in a fuzzer.
//!
//! # Layers, each usable alone
//!
//! | Module | What it knows |
//! |---|---|
//! | [`engine`] | packets, polling payloads, HTTP requests and answers as data, and [`engine::ServerSession`] and [`engine::ClientSession`]: one session over polls, POSTs and WebSockets |
//! | [`socket`] | Socket.IO packets with attachments, serde for their data, [`socket::ServerConn`]: the namespaces on one connection, and [`socket::ClientConn`]: those of a client from connection to connection |
//! | [`hub`] | rooms, and who is meant by a selection of them |
//! | [`server`] | [`server::Server`]: all of it put together |
//! | [`client`] | [`client::Client`]: the same from the other side, with reconnection |
//!
//! HTTP and the WebSocket protocol itself are not here: any library that gives messages and takes messages will do.
//!
//! # The loop
//!
//! All machines have the same verbs. `handle_*` are inputs from the network and the clock; plain verbs such as `emit`, `join` and
//! `close` are the application's commands; `poll_*` are outputs, each drained on its own until it gives `None`. Any number of inputs
//! and commands may come before a drain. Outputs are pulled: packets when a socket can be written to, events when the application
//! has time, so that a slow one slows its peer down instead of filling memory.
//!
//! ```
//! use core::time::Duration;
//! use sio_proto::engine::{Head, Message, Request, Transmit};
//! use sio_proto::server::{Config, Event, Ready, Server};
//! use sio_proto::socket::Encoder;
//! use sio_proto::{Instant, Seed};
//!
//! let now = Instant::ZERO;
//! let mut server = Server::new(Config::default(), Seed([7; 32])); // a real seed comes from the operating system
//! let mut encoder = Encoder::new();
//!
//! // A request for a WebSocket. Your HTTP library has parsed its head, and your WebSocket library answers it.
//! let mut head = Head::default();
//! (head.method, head.query, head.upgrade) = ("GET", "EIO=4&transport=websocket", true);
//! let request = Request::parse(&server.config().engine, &head)?;
//! server.handle_request(request, None, now)?;
//! let websocket = server.open_websocket(None, now)?;
//!
//! // The client joins the namespace `/`, and asks something.
//! server.handle_message(websocket, Message::Text("40".into()), now)?;
//! server.handle_message(websocket, Message::Text("420[\"add\",1,2]".into()), now)?;
//!
//! let mut sent = Vec::new();
//! while let Some(ready) = server.poll_ready() {
//!     match ready {
//!         Ready::Events(conn) => {
//!             while let Some(event) = server.poll_event(conn, &[]) {
//!                 match event {
//!                     Event::Connect { socket, .. } => server.accept(socket, now)?,
//!                     Event::Event { socket, payload, ack: Some(id) } => {
//!                         let (a, b): (i32, i32) = payload.deserialize()?;
//!                         server.emit(socket, encoder.ack("/", id, &(a + b))?, false)?;
//!                     }
//!                     _ => {}
//!                 }
//!             }
//!         }
//!         Ready::Transmit(channel) => {
//!             while let Some(transmit) = server.poll_transmit(channel, now) {
//!                 if let Transmit::Packet(packet) = transmit {
//!                     sent.extend(packet.frames());
//!                 }
//!             }
//!         }
//!         _ => {}
//!     }
//! }
//! // The handshake, the namespace's reply, and the answer.
//! assert_eq!(sent.len(), 3);
//! assert_eq!(format!("{:?}", sent[2]), r#"Text("430[3]")"#);
//!
//! // Nothing else is due before the first ping.
//! assert_eq!(server.poll_timeout(), Some(now + Duration::from_secs(25)));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # The client
//!
//! A [`client::Client`] has no connection of its own either: [`poll_request`](client::Client::poll_request) says what to dial, to GET and
//! to POST, and you say what came of it. It lives from connection to connection: when one is lost it waits, with
//! [growing delays](client::BackoffConfig), and asks for another. What is emitted meanwhile is kept, up to
//! [a limit](socket::SocketConfig::max_send_buffer), and with [`retries`](socket::SocketConfig::retries) sent until it is acknowledged.
//!
//! ```
//! use sio_proto::client::{Client, Config, Event};
//! use sio_proto::engine::{Answer, ClientRequest};
//! use sio_proto::socket::{ClientConnEvent, Emit, Encoder, SocketConfig};
//! use sio_proto::{Instant, Seed};
//!
//! let now = Instant::ZERO;
//! let mut client = Client::new(Config::default(), Seed([7; 32])); // as for a server
//! let chat = client.socket("/chat", SocketConfig::default());
//! client.connect(chat, now)?;
//! let packet = Encoder::new().event("/chat", Some(1), "add", &(1, 2))?;
//! client.emit(chat, Emit { ack: Some(1), ..Emit::new(packet) }, now)?;
//!
//! let ok = |body: &'static str| Answer { status: 200, location: None, body: body.into() };
//! let mut posted = Vec::new();
//! // What a server says to one GET after another; it takes every POST.
//! for said in [
//!     r#"0{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#,
//!     r#"40/chat,{"sid":"def"}"#,
//!     r#"43/chat,1[3]"#,
//! ] {
//!     let mut poll = None;
//!     while let Some(request) = client.poll_request(now) {
//!         match request {
//!             ClientRequest::Get { channel, .. } => poll = Some(channel),
//!             ClientRequest::Post { channel, body, .. } => {
//!                 posted.push(body);
//!                 client.handle_answer(channel, ok("ok"), now)?;
//!             }
//!             other => panic!("{other:?}"),
//!         }
//!     }
//!     client.handle_answer(poll.ok_or("there is always a poll")?, ok(said), now)?;
//! }
//! assert_eq!(posted, ["40/chat,", r#"42/chat,1["add",1,2]"#]);
//!
//! let mut answer = None;
//! while let Some(event) = client.poll_event(&[], now) {
//!     if let Event::Socket(ClientConnEvent::Ack { id: 1, result, .. }) = event {
//!         answer = Some(result?.deserialize::<i32>()?);
//!     }
//! }
//! assert_eq!(answer, Some(3));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # Time and entropy
//!
//! [`Instant`] is a number of microseconds that you count from where you like. `poll_timeout` says when `handle_timeout` must be
//! called at the latest; calling it earlier or twice is harmless, and after it the next deadline is always later. Late calls are
//! harmless too: what is due is decided by the time you give. A [`Seed`] is the only entropy, so equal seeds and inputs give equal
//! outputs; in production it must come from the operating system, because session ids are secrets.
//!
//! # Blame, limits, panics
//!
//! What a peer does wrong is a `PeerError` or a [`Refusal`](engine::Refusal); the machine has drawn the consequences already, and
//! the error is for your logs. What you do wrong is a [`UsageError`], and nothing has changed. No input of a peer panics, and none
//! makes a machine exceed the limits in [`server::Config`] and [`client::Config`], whose fields say default, unit and consequence. `unsafe` is forbidden.

#![no_std]
#![warn(clippy::std_instead_of_core, clippy::alloc_instead_of_core)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod client;
pub mod cluster;
pub mod engine;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod hub;
mod id;
mod inbox;
pub mod server;
pub mod socket;
mod text;
mod time;

pub use error::UsageError;
pub use id::{InvalidId, InvalidPrefix, Pid, Seed, Sid, SidPrefix, SocketId};
pub use text::Str;
pub use time::Instant;
