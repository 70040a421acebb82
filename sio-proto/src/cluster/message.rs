//! What nodes say to each other, whatever the dialect in which an adapter writes it.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::Str;
use crate::hub::{Room, Scope};
use crate::server::Op;
use crate::socket::Payload;

macro_rules! opaque {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Str);

        impl $name {
            /// An id that came from elsewhere. Any text is one.
            #[must_use]
            pub fn new(text: impl Into<Str>) -> Self {
                Self(text.into())
            }

            /// The id as it stands on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

opaque! {
    /// One namespace of one server in the cluster: the `uid` of the JavaScript adapters. Ours are 16 hexadecimal digits; others may
    /// have any form.
    NodeId
}

opaque! {
    /// A request that other nodes answer. Unique for the node that asks.
    RequestId
}

impl NodeId {
    /// The sender of messages that do not come from a server: programs that only emit.
    #[must_use]
    pub const fn emitter() -> Self {
        Self(Str::from_static("emitter"))
    }
}

/// A message of one node.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    /// Who sent it. `None` if the dialect does not say, as with the answers of the classic Redis adapter.
    pub from: Option<NodeId>,
    /// The namespace, with its slash.
    pub namespace: Str,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Body {
    /// A node has come; the others say that they are there too.
    Hello,
    /// A node is still there.
    Heartbeat,
    /// A node goes.
    Bye,
    /// An event for clients.
    Broadcast(Broadcast),
    /// Something to be done to clients.
    Change {
        /// Which clients.
        scope: Scope,
        /// What.
        change: Change,
    },
    /// Asks for the clients that are meant; answered by [`Sockets`](Self::Sockets).
    FetchSockets {
        /// To be named in the answer.
        request: RequestId,
        /// Which clients.
        scope: Scope,
    },
    /// An event for the servers themselves.
    ServerSideEmit {
        /// Name and arguments.
        payload: Payload,
        /// If the sender wants answers, by [`Answer`](Self::Answer).
        request: Option<RequestId>,
    },
    /// The clients that were asked for.
    Sockets {
        /// What is answered.
        request: RequestId,
        /// They.
        sockets: Vec<SocketInfo>,
    },
    /// How many clients of the node a broadcast reached that wants acknowledgements.
    ClientCount {
        /// What is answered.
        request: RequestId,
        /// So many.
        count: usize,
    },
    /// The acknowledgement of one client.
    ClientAck {
        /// What is answered.
        request: RequestId,
        /// The client's arguments; the known dialects carry the first only.
        payload: Payload,
    },
    /// A server's answer to an event for servers.
    Answer {
        /// What is answered.
        request: RequestId,
        /// The handler's values; the known dialects carry the first only.
        payload: Payload,
    },
    /// A server has no answer to an event for servers, and will have none.
    ///
    /// The JavaScript servers say nothing then, and wait. A dialect of theirs writes it as an answer without a value and with a key that
    /// they do not look at, such as `"noAnswer": true`: they take it as a handler's `undefined`.
    NoAnswer {
        /// What is answered.
        request: RequestId,
    },
}

/// An event for clients of all nodes.
#[derive(Clone, PartialEq, Debug)]
pub struct Broadcast {
    /// Name and arguments. Without an offset of recovery: each node adds its own.
    pub payload: Payload,
    /// Which clients.
    pub scope: Scope,
    /// Only for those to whom it can go out at once.
    pub volatile: bool,
    /// The sender's wish about compression, if it has one; for dialects that carry it.
    pub compress: Option<bool>,
    /// If acknowledgements are wanted.
    pub ask: Option<Ask>,
}

/// What is special about a broadcast.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags {
    /// Only for those to whom it can go out at once. Default: for all.
    pub volatile: bool,
    /// The sender's wish about compression, if it has one. Default: none.
    pub compress: Option<bool>,
}

/// That acknowledgements of a broadcast are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ask {
    /// To be named in the answers.
    pub request: RequestId,
    /// How long clients have.
    pub timeout: Duration,
    /// The broadcast is for one client: the first acknowledgement is all there is to wait for.
    pub single: bool,
}

/// Something done to all clients that are meant.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Change {
    /// They are put into these rooms.
    Join(Vec<Room>),
    /// They are taken out of these rooms.
    Leave(Vec<Room>),
    /// They are sent away; with `close`, their connections are closed.
    Disconnect {
        /// Whether the whole connection is closed.
        close: bool,
    },
}

impl From<Change> for Op {
    fn from(change: Change) -> Self {
        match change {
            Change::Join(rooms) => Self::Join(rooms),
            Change::Leave(rooms) => Self::Leave(rooms),
            Change::Disconnect { close } => Self::Disconnect { close },
        }
    }
}

/// A client, as other nodes see it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SocketInfo {
    /// The public id.
    pub id: Str,
    /// The rooms that it is in.
    pub rooms: Vec<Room>,
    /// JSON: the object `handshake` of the JavaScript server.
    pub handshake: Str,
    /// JSON: what the application shares of the socket's data.
    pub data: Str,
}

impl SocketInfo {
    pub(super) fn size(&self) -> usize {
        let rooms: usize = self.rooms.iter().map(|room| room.len()).sum();
        self.id.len() + self.handshake.len() + self.data.len() + rooms
    }
}

fn scope_size(scope: &Scope) -> usize {
    scope.rooms.iter().chain(&scope.except).map(|room| room.len()).sum()
}

impl Body {
    /// About how many bytes it holds.
    pub(super) fn size(&self) -> usize {
        const FIXED: usize = 64;
        FIXED
            + match self {
                Self::Hello
                | Self::Heartbeat
                | Self::Bye
                | Self::ClientCount { .. }
                | Self::NoAnswer { .. } => 0,
                Self::Broadcast(Broadcast { payload, scope, .. }) => payload.size() + scope_size(scope),
                Self::Change { scope, change } => {
                    let rooms = match change {
                        Change::Join(rooms) | Change::Leave(rooms) => rooms.as_slice(),
                        Change::Disconnect { .. } => &[],
                    };
                    scope_size(scope) + rooms.iter().map(|room| room.len()).sum::<usize>()
                }
                Self::FetchSockets { scope, .. } => scope_size(scope),
                Self::Sockets { sockets, .. } => sockets.iter().map(SocketInfo::size).sum(),
                Self::ServerSideEmit { payload, .. }
                | Self::ClientAck { payload, .. }
                | Self::Answer { payload, .. } => payload.size(),
            }
    }
}
