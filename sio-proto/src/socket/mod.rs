//! Socket.IO over Engine.IO: packets with attachments, and the namespaces on one connection.

mod conn;
mod encode;
mod packet;
pub mod payload;

pub use conn::{AckError, ConnConfig, ConnEvent, DisconnectReason, PeerError, ServerConn, Slot};
pub use encode::{ConnectError, EncodeError, Encoder};
pub use packet::{Decoder, Packet, PacketError, is_reserved};
pub use payload::{Args, Payload};
