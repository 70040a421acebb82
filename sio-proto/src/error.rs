//! Mistakes of the caller, as opposed to those of a peer.

/// A command that cannot be carried out. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// The socket, ticket or connection no longer exists; a client may leave at any time.
    #[error("client is gone")]
    Gone,
    /// An acknowledgement with this id is awaited already.
    #[error("acknowledgement id is in use")]
    AckIdInUse,
    /// The event needs an id for its acknowledgement, because it is to be sent at least once.
    #[error("an event that may be sent again needs an acknowledgement id")]
    AckIdMissing,
    /// The socket has not been accepted yet: nothing can be sent to it.
    #[error("socket is not connected yet")]
    NotConnected,
    /// No namespace of that name.
    #[error("unknown namespace")]
    UnknownNamespace,
}
