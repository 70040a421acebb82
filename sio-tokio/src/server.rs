//! The server on tokio.

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;

use hyper_util::rt::TokioIo;
use sio_driver::{Context, FromContext, Rejection, ServerBuilder};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, ToSocketAddrs};

use crate::Tokio;
use crate::tower::{NotFound, SioLayer, SioService};

/// A Socket.IO server on tokio. Cloning gives another handle; everything that is not about tokio is in
/// [`sio_driver::Server`], to which this derefs.
#[derive(Clone, Debug)]
pub struct Server(sio_driver::Server);

impl Server {
    /// Settings of a server, with the reference's defaults.
    #[must_use]
    pub fn builder() -> ServerBuilder<Self> {
        ServerBuilder::new(Tokio::default())
    }

    /// Binds `addr` and serves it, until [`close`](sio_driver::Server::close).
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn listen(&self, addr: impl ToSocketAddrs) -> io::Result<()> {
        self.serve(TcpListener::bind(addr).await?).await
    }

    /// Serves a listener, until [`close`](sio_driver::Server::close).
    ///
    /// # Errors
    /// If accepting fails for good.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        sio_driver::serve(Tokio::default(), listener, self.0.clone()).await
    }

    /// Serves one connection that was accepted elsewhere, such as a TLS stream. WebSockets go on in tasks of their own.
    pub async fn serve_connection<S>(&self, stream: S, remote_addr: Option<SocketAddr>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        sio_driver::serve_connection(Tokio::default(), self.0.clone(), TokioIo::new(stream), remote_addr)
            .await;
    }

    /// A tower layer: `axum::Router::new().layer(io.layer())`.
    ///
    /// The client's address, [`Handshake::remote_addr`](crate::Handshake::remote_addr), is taken from the request's extensions if a
    /// `SocketAddr` is there. axum puts its `ConnectInfo` there, if it is asked to; a layer around this one unwraps it:
    ///
    /// ```no_run
    /// # async fn run(io: sio_tokio::Server, listener: tokio::net::TcpListener) -> std::io::Result<()> {
    /// # use std::net::SocketAddr;
    /// # use axum::{Router, extract::{ConnectInfo, Request}, middleware::map_request};
    /// let app = Router::new().layer(io.layer()).layer(map_request(
    ///     async |ConnectInfo(address): ConnectInfo<SocketAddr>, mut request: Request| {
    ///         request.extensions_mut().insert(address);
    ///         request
    ///     },
    /// ));
    /// axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
    /// # }
    /// ```
    #[must_use]
    pub fn layer(&self) -> SioLayer {
        SioLayer(self.clone())
    }

    /// A tower service of this server alone; other paths get 404.
    #[must_use]
    pub fn service(&self) -> SioService {
        SioService { server: self.clone(), inner: NotFound }
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
