//! What the crates of all runtimes have in common.

/// Makes the `Server` and the `Client` of a runtime's crate: this crate's handles, and constructors that know the runtime. The runtime
/// must be [`Default`].
///
/// What is the runtime's own is left to the crate: `listen`, `serve` and `serve_connection` of the server take its listeners and streams.
///
/// ```ignore
/// sio_driver::handles! {
///     Smol;
///     /// A Socket.IO server on smol.
///     pub struct Server;
///     /// A Socket.IO client on smol.
///     pub struct Client;
/// }
/// ```
#[macro_export]
macro_rules! handles {
    (
        $runtime:ty;
        $(#[$server:meta])*
        pub struct Server;
        $(#[$client:meta])*
        pub struct Client;
    ) => {
        $(#[$server])*
        #[derive(Clone, Debug)]
        pub struct Server($crate::Server);

        impl Server {
            /// Settings of a server, with the reference's defaults.
            #[must_use]
            pub fn builder() -> $crate::ServerBuilder<Self> {
                $crate::ServerBuilder::new(<$runtime>::default())
            }
        }

        impl ::core::ops::Deref for Server {
            type Target = $crate::Server;

            fn deref(&self) -> &$crate::Server {
                &self.0
            }
        }

        impl From<$crate::Server> for Server {
            fn from(server: $crate::Server) -> Self {
                Self(server)
            }
        }

        impl $crate::FromContext for Server {
            fn from_context(context: &mut $crate::Context) -> Result<Self, $crate::Rejection> {
                $crate::Server::from_context(context).map(Self)
            }
        }

        $(#[$client])*
        #[derive(Clone, Debug)]
        pub struct Client($crate::Client);

        impl Client {
            /// Connects to a server, with the reference's settings: see [`ClientBuilder::new`](sio_driver::ClientBuilder::new) for the URL.
            ///
            /// # Errors
            /// The first failure. For a client that goes on trying, take [`builder`](Self::builder) and
            /// [`build`](sio_driver::ClientBuilder::build).
            pub async fn connect(url: impl Into<String>) -> Result<Self, $crate::ConnectionError> {
                Self::builder(url).connect().await
            }

            /// Settings of a client, with the reference's defaults.
            #[must_use]
            pub fn builder(url: impl Into<String>) -> $crate::ClientBuilder<Self> {
                $crate::ClientBuilder::new(<$runtime>::default(), url)
            }
        }

        impl ::core::ops::Deref for Client {
            type Target = $crate::Client;

            fn deref(&self) -> &$crate::Client {
                &self.0
            }
        }

        impl From<$crate::Client> for Client {
            fn from(client: $crate::Client) -> Self {
                Self(client)
            }
        }
    };
}

/// What applications use, which the crates of the runtimes re-export; their own `Server` and `Client` come beside it.
pub mod api {
    #[cfg(feature = "msgpack")]
    #[doc(no_inline)]
    pub use crate::Msgpack;
    #[doc(no_inline)]
    pub use crate::{
        Accepted, Ack, AckError, AckResponse, Args, Asks, Attempt, Auth, Body, BoxFuture, BroadcastWithAck,
        BufferOverflow, ClientBuilder, ClientSocket, CloseReason, Conn, ConnectError, ConnectionError,
        ConnectionStateRecovery, Context, Cookie, Cors, Data, DecodeError, Delivery, DisconnectReason,
        EmitError, EmitWithAck, Emits, EncodeError, Error, Event, EventHandler, EventName, Events, Flags,
        FromContext, Handler, Handshake, Incoming, IntoReply, IntoRooms, Middleware, Namespace,
        NamespaceRequest, NoAck, Operator, Overflow, Packet, PacketError, ParentNamespace, Parser, Partial,
        Payload, Peer, RefusedRequest, Rejection, RemoteEmitWithAck, RemoteHandshake, RemoteSocket,
        RequestError, RequestHead, Room, SameSite, Secure, ServerBuilder, ServerSide, ServerSideEmitWithAck,
        Socket, SocketBuilder, SocketData, SocketId, State, Stats, Str, Traffic, Transport, TransportError,
        TransportStats, TypedEvent, Volatile, cluster, events, parser,
    };
    #[cfg(feature = "tls")]
    #[doc(no_inline)]
    pub use crate::{Tls, TlsError};
    #[doc(no_inline)]
    pub use bytes::Bytes;
}
