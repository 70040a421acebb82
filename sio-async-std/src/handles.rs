//! The handles on async-std.

use std::io;

use async_std::net::{TcpListener, ToSocketAddrs};
use futures_io::{AsyncRead, AsyncWrite};
use sio_driver::{Accepted, Io};

use crate::AsyncStd;

sio_driver::handles! {
    AsyncStd;

    /// A Socket.IO server on async-std. Cloning gives another handle; everything that is not about async-std is in [`sio_driver::Server`],
    /// to which this derefs.
    pub struct Server;

    /// A Socket.IO client on async-std. Cloning gives another handle; everything that is not about async-std is in [`sio_driver::Client`],
    /// to which this derefs, and in [`ClientSocket`](crate::ClientSocket), to which that does.
    pub struct Client;
}

impl Server {
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
        sio_driver::serve(AsyncStd::default(), listener, self.0.clone()).await
    }

    /// Serves one connection that was accepted elsewhere, such as a TLS stream. WebSockets go on in tasks of their own.
    /// What is known about it is the client's address, an `Option` of one, or [`Accepted`], which also says that it came over TLS.
    /// async-std's own streams are wrapped as a [`Connection`](crate::Connection), or end later than they should.
    pub async fn serve_connection<S>(&self, stream: S, accepted: impl Into<Accepted>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        sio_driver::serve_connection(AsyncStd::default(), self.0.clone(), Io(stream), accepted).await;
    }
}
