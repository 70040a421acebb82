//! Socket.IO over Engine.IO: packets with attachments, and the namespaces on one connection.

mod client;
mod conn;
mod control;
mod encode;
mod legacy;
mod packet;
mod parser;
pub mod payload;

pub use client::{
    AckId, AuthSource, BufferOverflow, ClientConn, ClientConnEvent, ClientEmitError, ConnectionError, Emit,
    Emitted, SocketConfig, Ticket,
};
pub use conn::{AckError, ConnConfig, ConnEvent, DisconnectReason, PeerError, ServerConn, Slot};
pub use control::ConnectError;
pub use encode::{EncodeError, Encoder};
pub use packet::{Decoder, Packet, PacketError, is_reserved};
pub use parser::{Codec, Decode, Limits, Parser, ParserError};
pub use payload::{Args, Payload};
