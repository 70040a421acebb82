//! The network half against real sockets. The other end is written out byte by byte, where that is what matters.

mod proxies;
mod requests;
#[cfg(feature = "ring")]
mod tls;
mod websockets;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Method};
use hyper_util::rt::TokioIo;
use sio_proto::Instant;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;

use super::dial::{Connector, Settings};
use super::error::NetError;
use super::http::{Answer, HttpClient};
use super::url::Target;
use crate::runtime::{Runtime, Timer};

#[derive(Clone)]
struct TestRuntime;

impl Runtime for TestRuntime {
    type Stream = TokioIo<TcpStream>;
    type Listener = TcpListener;
    type Timer = TestTimer;

    fn now(&self) -> Instant {
        Instant::ZERO
    }

    fn timer(&self) -> TestTimer {
        TestTimer(None)
    }

    fn spawn(&self, _: impl Future<Output = ()> + Send + 'static) {
        panic!("nothing here needs a task");
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, address) = listener.accept().await?;
        Ok((TokioIo::new(stream), address))
    }

    async fn connect(&self, host: &str, port: u16) -> io::Result<Self::Stream> {
        Ok(TokioIo::new(TcpStream::connect((host, port)).await?))
    }
}

struct TestTimer(Option<Pin<Box<Sleep>>>);

impl Timer for TestTimer {
    fn reset(&mut self, _: Instant) {
        panic!("nothing here needs a timer");
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(cx))
    }
}

/// A server that does what the test says.
struct Server {
    listener: TcpListener,
    port: u16,
}

impl Server {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { listener, port }
    }

    async fn accept(&self) -> Peer<TcpStream> {
        Peer(self.listener.accept().await.unwrap().0)
    }

    /// `127.0.0.1:port`
    fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn settings(&self) -> Settings {
        settings(&format!("http://{}", self.authority()))
    }

    fn connector(&self) -> Connector<TestRuntime> {
        connector(self.settings())
    }

    fn client(&self) -> HttpClient<TestRuntime> {
        HttpClient::new(self.connector())
    }

    /// Whatever has happened on sockets is seen by the runtime once something newer is.
    async fn settle(&self) {
        let (_client, _server) =
            both(TcpStream::connect(("127.0.0.1", self.port)), self.listener.accept()).await;
    }
}

/// The server's end of a connection.
struct Peer<S>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// The next request's head.
    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.expect("a request"));
        }
        String::from_utf8(head).unwrap()
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// An answer of status 200.
    async fn answer(&mut self, body: &str) {
        self.send(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    }

    async fn read(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// Waits until the client has gone. Nothing comes before that.
    async fn gone(mut self) {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest).await {
            Ok(_) => assert_eq!(String::from_utf8_lossy(&rest), ""),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
        }
    }
}

fn settings(url: &str) -> Settings {
    Settings::new(Target::parse(url).unwrap().origin)
}

fn connector(settings: Settings) -> Connector<TestRuntime> {
    Connector::new(TestRuntime, settings).unwrap()
}

async fn get(client: &HttpClient<TestRuntime>, path: &str) -> Result<Answer, NetError> {
    client.request(Method::GET, path, HeaderMap::new(), bytes::Bytes::new()).await
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it hangs")
}

/// Both ends at a time.
async fn both<A: Future, B: Future>(client: A, server: B) -> (A::Output, B::Output) {
    within(async { tokio::join!(client, server) }).await
}

/// A header of a request's head.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut values = head.lines().filter_map(|line| line.split_once(": ")).filter(|line| line.0 == name);
    let value = values.next();
    assert!(values.next().is_none(), "{name} twice:\n{head}");
    value.map(|(_, value)| value)
}
