//! A minimal Socket.IO client that costs little and trusts nothing.
//!
//! It speaks Engine.IO 4 and Socket.IO 5 over WebSocket and over HTTP polling, written here from the protocol's text
//! rather than with our own crates, so that a mistake of ours cannot cancel itself out.

mod frame;
mod http;
mod polling;
mod target;
mod websocket;

pub use frame::{Frame, FrameReader, FrameWriter, Opcode};
pub use http::{HttpConnection, Response};
pub use polling::{Polling, SEPARATOR};
pub use target::Target;
pub use websocket::WebSocket;
