//! Engine.IO: the transport layer. Packets, polling payloads, and the session that carries them.

mod base64;
mod client;
mod coding;
mod config;
mod cookie;
mod cors;
mod dialect;
pub mod eio3;
mod encoded;
mod event;
mod facts;
mod heartbeat;
mod jsonp;
mod open;
mod origin;
mod outbox;
mod packet;
pub mod payload;
mod request;
mod response;
mod session;

pub use client::{Answer, ClientConfig, ClientEvent, ClientRequest, ClientSession, TransportError};
pub use coding::Coding;
pub use config::{Config, Overflow, Transport};
pub use cookie::{Cookie, SameSite};
pub use cors::Cors;
pub use dialect::{Dialect, Revision};
pub use encoded::{Encoded, Frame};
pub use event::{ChannelId, CloseReason, Event, Hangup, PeerError, SendError, Transmit};
pub use facts::{Facts, Traffic};
pub use open::{HandshakeError, Open};
pub use packet::{Message, Packet, PacketError};
pub use request::{BadRequest, Head, Refusal, Request, cors_headers, with_cors};
pub use response::Response;
pub use session::ServerSession;
