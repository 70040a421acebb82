//! Rooms: who is where, and who is meant.

mod rooms;

pub use rooms::{Hub, HubSocket, NamespaceId, Room, Scope, SocketKey};
