//! Several servers that serve the same clients.
//!
//! A [`Node`] is one namespace of one server. It knows of the others, says what is to be sent to them, collects their answers, and
//! gives up on those that do not answer; it delivers nothing to clients itself. [`Message`] is what nodes say, whatever the form that
//! an adapter gives it: it has a place for all that the JavaScript adapters say to each other.
//!
//! No request fails because one node is silent: it ends in time, with what came and who is [`Missing`].
//!
//! ```
//! use std::time::Duration;
//! use sio_proto::cluster::{Answers, Body, Config, Event, Message, Node, Transmit};
//! use sio_proto::hub::Scope;
//! use sio_proto::{Instant, Seed};
//!
//! let now = Instant::ZERO;
//! let mut a = Node::new("/".into(), Config::default(), Seed([1; 32]));
//! let mut b = Node::new("/".into(), Config::default(), Seed([2; 32]));
//! b.start(now);
//! while let Some(Transmit::Send { message, .. }) = b.poll_transmit() {
//!     a.handle_message(message, now)?; // a has heard of b
//! }
//! let request = a.fetch_sockets(Scope::all(), Duration::from_secs(5), now);
//! while let Some(Transmit::Send { message, .. }) = a.poll_transmit() {
//!     b.handle_message(message, now)?;
//! }
//! let Some(Event::FetchSockets { ticket, .. }) = b.poll_event() else { panic!() };
//! b.answer_sockets(&ticket, vec![]);
//! while let Some(Transmit::Send { message, .. }) = b.poll_transmit() {
//!     a.handle_message(message, now)?;
//! }
//! let Some(Event::Done { request: done, missing, .. }) = a.poll_event() else { panic!() };
//! assert_eq!((done, missing.count), (request, 0));
//! # Ok::<(), sio_proto::cluster::Rejected>(())
//! ```

mod config;
mod event;
mod message;
mod node;
mod peers;
mod pending;

pub use config::{Config, Liveness};
pub use event::{Answers, Event, Missing, Rejected, Stats, Ticket, Transmit};
pub use message::{Ask, Body, Broadcast, Change, Flags, Message, NodeId, RequestId, SocketInfo};
pub use node::Node;
