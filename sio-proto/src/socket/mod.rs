//! Socket.IO over Engine.IO: packets with attachments, and the namespaces on one connection.

mod client;
mod conn;
mod encode;
mod legacy;
mod packet;
pub mod payload;

pub use client::{
    AckId, AuthSource, BufferOverflow, ClientConn, ClientConnEvent, ClientEmitError, ConnectionError, Emit,
    Emitted, SocketConfig, Ticket,
};
pub use conn::{AckError, ConnConfig, ConnEvent, DisconnectReason, PeerError, ServerConn, Slot};
pub use encode::{ConnectError, EncodeError, Encoder};
pub use packet::{Decoder, Packet, PacketError, is_reserved};
pub use payload::{Args, Payload};
