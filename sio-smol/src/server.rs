//! The server on smol.

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;

use futures_io::{AsyncRead, AsyncWrite};
use sio_driver::{Context, FromContext, Io, Rejection, ServerBuilder};
use smol::net::{AsyncToSocketAddrs, TcpListener};

use crate::Smol;

/// A Socket.IO server on smol. Cloning gives another handle; everything that is not about smol is in
/// [`sio_driver::Server`], to which this derefs.
#[derive(Clone, Debug)]
pub struct Server(sio_driver::Server);

impl Server {
    /// Settings of a server, with the reference's defaults.
    #[must_use]
    pub fn builder() -> ServerBuilder<Self> {
        ServerBuilder::new(Smol::default())
    }

    /// Binds `addr` and serves it, until [`close`](sio_driver::Server::close).
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn listen(&self, addr: impl AsyncToSocketAddrs) -> io::Result<()> {
        self.serve(TcpListener::bind(addr).await?).await
    }

    /// Serves a listener, until [`close`](sio_driver::Server::close).
    ///
    /// # Errors
    /// If accepting fails for good.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        sio_driver::serve(Smol::default(), listener, self.0.clone()).await
    }

    /// Serves one connection that was accepted elsewhere, such as a TLS stream. WebSockets go on in tasks of their own.
    pub async fn serve_connection<S>(&self, stream: S, remote_addr: Option<SocketAddr>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        sio_driver::serve_connection(Smol::default(), self.0.clone(), Io(stream), remote_addr).await;
    }
}

impl Deref for Server {
    type Target = sio_driver::Server;

    fn deref(&self) -> &sio_driver::Server {
        &self.0
    }
}

impl From<sio_driver::Server> for Server {
    fn from(server: sio_driver::Server) -> Self {
        Self(server)
    }
}

impl FromContext for Server {
    fn from_context(context: &mut Context) -> Result<Self, Rejection> {
        sio_driver::Server::from_context(context).map(Self)
    }
}
