//! Rooms: who is where, and who is meant; and the last events, for those who come back.

mod changes;
mod log;
mod offset;
mod rooms;

pub use changes::{RoomChange, RoomEvent};
pub use log::{RecoveryLog, Target};
pub use offset::Offset;
pub use rooms::{Hub, HubSocket, NamespaceId, Room, Scope, SocketKey};
