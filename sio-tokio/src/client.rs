//! The client on tokio.

use std::ops::Deref;

use sio_driver::{ClientBuilder, ConnectionError};

use crate::Tokio;

/// A Socket.IO client on tokio. Cloning gives another handle; everything that is not about tokio is in [`sio_driver::Client`], to
/// which this derefs, and in [`ClientSocket`](sio_driver::ClientSocket), to which that does.
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
/// A handler of a client has no server's [`Socket`](sio_driver::Socket) to ask for:
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
/// [`build`](ClientBuilder::build) and [`connect`](ClientBuilder::connect) start the client's task, on the tokio runtime in whose context they
/// are called; without one they panic. Handles work in any thread and under any runtime. If the client's own runtime is shut
/// down, the client is closed.
#[derive(Clone, Debug)]
pub struct Client(sio_driver::Client);

impl Client {
    /// Connects to a server, with the reference's settings: see [`ClientBuilder::new`] for the URL.
    ///
    /// # Errors
    /// The first failure. For a client that goes on trying, take [`builder`](Self::builder) and [`build`](ClientBuilder::build).
    pub async fn connect(url: impl Into<String>) -> Result<Self, ConnectionError> {
        Self::builder(url).connect().await
    }

    /// Settings of a client, with the reference's defaults.
    #[must_use]
    pub fn builder(url: impl Into<String>) -> ClientBuilder<Self> {
        ClientBuilder::new(Tokio::default(), url)
    }
}

impl Deref for Client {
    type Target = sio_driver::Client;

    fn deref(&self) -> &sio_driver::Client {
        &self.0
    }
}

impl From<sio_driver::Client> for Client {
    fn from(client: sio_driver::Client) -> Self {
        Self(client)
    }
}
