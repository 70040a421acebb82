//! The client: one connection to a server, with any number of namespaces on it.

mod auth;
mod builder;
mod core;
mod dispatch;
mod emit;
mod hooks;
mod incoming;
mod net;
mod outgoing;
mod pump;
mod requests;
mod socket;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

pub use builder::{ClientBuilder, SocketBuilder};
pub use emit::Volatile;
pub use incoming::{Events, Incoming};
#[cfg(feature = "tls")]
pub use net::tls::{Tls, TlsError};
pub use socket::{Attempt, ClientSocket};

use sio_proto::socket::ConnectionError;

use crate::client::core::{Wait, Wish};
use crate::client::socket::SocketInner;

/// A Socket.IO client: a connection that is made, kept and made again, and the namespaces on it.
///
/// It derefs to the [`ClientSocket`] of its first namespace, the one in the URL: `client.emit(..)`, `client.on(..)`. Cloning gives
/// another handle. When the last handle of the client and its sockets is dropped, it closes: what was emitted while connected is still
/// sent, and no handler is called any more.
///
/// A handle that a handler has captured is one of them, and keeps the client alive until [`close`](Self::close); so does a handler that runs and has asked for its [`ClientSocket`]. After the end all handlers are
/// dropped.
#[derive(Clone)]
pub struct Client {
    socket: ClientSocket,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("socket", &self.socket).finish()
    }
}

impl Client {
    /// Another namespace over the same connection; it begins to connect. Asking for the same name again gives the same socket.
    ///
    /// Handlers that must not miss the first event are added with [`socket_with`](Self::socket_with).
    #[must_use]
    pub fn socket(&self, namespace: &str) -> ClientSocket {
        let socket =
            SocketBuilder::new().add(&self.socket.life, namespace).expect("no auth that could be wrong");
        socket.connect();
        socket
    }

    /// As [`socket`](Self::socket), with `auth`, handlers and other settings of its own; they count when the namespace is asked for the
    /// first time.
    ///
    /// ```
    /// # use std::collections::HashMap;
    /// # use sio_driver::{Client, ConnectionError};
    /// # fn join(client: &Client, token: &str) -> Result<(), ConnectionError> {
    /// let admin = client.socket_with("/admin", |socket| {
    ///     socket.auth(&HashMap::from([("token", token)])).on("alarm", async || println!("alarm"))
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ConnectionError::Auth`] if the `auth` is no object.
    pub fn socket_with(
        &self,
        namespace: &str,
        settings: impl FnOnce(SocketBuilder) -> SocketBuilder,
    ) -> Result<ClientSocket, ConnectionError> {
        let socket = settings(SocketBuilder::new()).add(&self.socket.life, namespace)?;
        socket.connect();
        Ok(socket)
    }

    /// Leaves all namespaces and closes the connection, after what was emitted before. That begins now; the future only waits until it is
    /// done. Final: the client does not connect again, unlike after [`ClientSocket::disconnect`]. Dropping the last handle closes it too.
    ///
    /// Events that wait for a namespace to let the client in, or with `retries` for their turn, are dropped. Handlers that run may
    /// end.
    pub fn close(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let core = self.core().clone();
        let now = core.clock.now();
        core.lock().machine.close(now);
        async move { Wait::new(&core).until(Wish::Closed).await }
    }

    /// The socket of the namespace in the URL, to which the client derefs.
    #[must_use]
    pub fn as_socket(&self) -> &ClientSocket {
        &self.socket
    }

    /// Switches reconnection on or off. Off also stops a wait for the next attempt.
    pub fn set_reconnection(&self, reconnection: bool) {
        self.lock().machine.set_reconnection(reconnection);
    }
}

impl Deref for Client {
    type Target = ClientSocket;

    fn deref(&self) -> &ClientSocket {
        &self.socket
    }
}

/// The inside of a socket, found or made.
fn add_socket(
    life: &Arc<core::Life>,
    namespace: &str,
    make: impl FnOnce(sio_proto::socket::Slot, sio_proto::Str) -> SocketInner,
    config: sio_proto::socket::SocketConfig,
) -> Arc<SocketInner> {
    let mut locked = life.0.lock();
    let state = &mut *locked;
    let slot = state.machine.socket(namespace, config);
    if let Some(inner) = state.sockets.get(slot.index()) {
        return inner.clone();
    }
    let name = state.machine.conn().name(slot).cloned().unwrap_or_default();
    let inner = Arc::new(make(slot, name));
    state.sockets.push(inner.clone());
    inner
}
