//! The handles on tokio.

use std::io;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, ToSocketAddrs};

use crate::{Accepted, Tokio};

sio_driver::handles! {
    Tokio;

    /// A Socket.IO server on tokio. Cloning gives another handle; everything that is not about tokio is in [`sio_driver::Server`],
    /// to which this derefs.
    pub struct Server;

    /// A Socket.IO client on tokio. Cloning gives another handle; everything that is not about tokio is in [`sio_driver::Client`], to
    /// which this derefs, and in [`ClientSocket`](crate::ClientSocket), to which that does.
    ///
    /// ```
    /// use std::time::Duration;
    /// use futures_util::StreamExt as _;
    /// use sio_tokio::{Client, ClientSocket, Data, DisconnectReason, Server, Socket};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let io = Server::builder().build();
    /// # io.of("/").on("question", async |socket: Socket| {
    /// #     let sum: i64 = socket.emit_with_ack("add", &(40, 2)).await?;
    /// #     socket.emit("news", &sum)?;
    /// #     Ok("answer")
    /// # });
    /// # io.of("/admin");
    /// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let url = format!("http://{}", listener.local_addr()?);
    /// # let serving = io.clone();
    /// # tokio::spawn(async move { serving.serve(listener).await });
    /// let client = Client::builder(url)
    ///     .on("add", async |Data((a, b)): Data<(i64, i64)>| a + b) // the returned value is the acknowledgement
    ///     .on_disconnect(async |socket: ClientSocket, reason: DisconnectReason| {
    ///         println!("{reason}{}", if socket.is_active() { ", will be back" } else { "" });
    ///     })
    ///     .connect()
    ///     .await?;
    ///
    /// // Events without a handler can be asked for, by `client.recv()` or as a stream, which has all from here on.
    /// let mut events = client.events();
    ///
    /// client.emit("hello", &("world", 1))?;
    /// let answer: String = client.emit_with_ack("question", "?").timeout(Duration::from_secs(5)).await?;
    /// assert_eq!(answer, "answer");
    ///
    /// let event = events.next().await.ok_or("the client is closed")?;
    /// assert_eq!((event.name().as_ref(), event.data::<i64>()?), ("news", 42));
    ///
    /// let admin = client.socket("/admin"); // another namespace, over the same connection
    /// admin.connected().await?;
    ///
    /// client.close().await; // sends what waits
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A handler of a client has no server's [`Socket`](crate::Socket) to ask for:
    ///
    /// ```compile_fail
    /// # use sio_tokio::{Client, Socket};
    /// let builder = Client::builder("http://localhost:3000").on("event", async |socket: Socket| {});
    /// ```
    ///
    /// ```
    /// # use sio_tokio::{Client, ClientSocket};
    /// let builder = Client::builder("http://localhost:3000").on("event", async |socket: ClientSocket| {});
    /// ```
    ///
    /// # Threads
    ///
    /// [`build`](crate::ClientBuilder::build) and [`connect`](crate::ClientBuilder::connect) start the client's task, on the tokio runtime in whose context they
    /// are called; without one they panic. Handles work in any thread and under any runtime. If the client's own runtime is shut
    /// down, the client is closed.
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
        sio_driver::serve(Tokio::default(), listener, self.0.clone()).await
    }

    /// Serves one connection that was accepted elsewhere, such as a TLS stream. WebSockets go on in tasks of their own.
    /// What is known about it is the client's address, an `Option` of one, or [`Accepted`], which also says that it came over TLS.
    pub async fn serve_connection<S>(&self, stream: S, accepted: impl Into<Accepted>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        sio_driver::serve_connection(Tokio::default(), self.0.clone(), TokioIo::new(stream), accepted).await;
    }
}
