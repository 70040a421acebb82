//! What happened to rooms, for owners who ask.

use crate::SocketId;
use crate::hub::{NamespaceId, Room};

/// Something happened to a room of a [`Hub`](super::Hub) whose namespace is watched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomChange {
    /// The namespace of the room.
    pub namespace: NamespaceId,
    /// The name of the room.
    pub room: Room,
    /// What happened.
    pub event: RoomEvent,
}

/// What happened to a room. The first socket that joins makes it, the last one that leaves takes it along; so for each room it is
/// always `Create`, `Join`, any number of `Join` and `Leave`, the last `Leave`, `Delete`.
///
/// The room named by a socket's id is one of them: joined when the socket connects, left when it is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoomEvent {
    /// It was not there before.
    Create,
    /// This socket is in it now. A socket may join while it is not let in yet (B107).
    Join(SocketId),
    /// This socket was in it.
    Leave(SocketId),
    /// Nobody is in it any more.
    Delete,
}
