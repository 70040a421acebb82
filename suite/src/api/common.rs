//! A small raw client: it sends the texts that it is told to, and shows what comes back. No rules of the protocol are in here, except
//! that pings are answered.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_tungstenite::{WebSocketStream, client_async};
use bytes::Bytes;
use futures_util::{AsyncRead, AsyncWrite, SinkExt as _, StreamExt as _};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use sio_driver::{Server, ServerBuilder, serve_connection};
use tungstenite::Message;

use crate::world::{Pipe, World, pipe, spawn, timeout};

pub(crate) use crate::api::PATIENCE;

/// A server with one shard, so that order is the same in each run.
pub(crate) fn server() -> Server {
    builder().build()
}

pub(crate) fn builder() -> ServerBuilder<Server> {
    ServerBuilder::new(World::current()).shards(1)
}

/// What happened, in order.
#[derive(Clone, Default, Debug)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn push(&self, entry: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(entry.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// A WebSocket client.
#[derive(Debug)]
pub(crate) struct Ws<S = Pipe> {
    pub(crate) socket: WebSocketStream<S>,
    /// The session's id, from the open packet.
    pub(crate) sid: String,
}

/// A connection to the server, without a network.
pub(crate) fn connection(io: &Server, buffer: usize) -> Pipe {
    let (ours, theirs) = pipe(buffer);
    spawn(serve_connection(World::current(), io.clone(), theirs, None));
    ours
}

impl Ws {
    pub(crate) async fn open(io: &Server) -> Self {
        Self::open_with(io, 64 << 10).await
    }

    /// `buffer`: so many bytes can be on the way in each direction.
    pub(crate) async fn open_with(io: &Server, buffer: usize) -> Self {
        Self::over(connection(io, buffer)).await
    }

    /// Connected to `/`.
    pub(crate) async fn connect(io: &Server) -> Self {
        let mut ws = Self::open(io).await;
        ws.join("/").await;
        ws
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Debug> Ws<S> {
    pub(crate) async fn over(stream: S) -> Self {
        let mut ws = Self { socket: websocket(stream, "").await, sid: String::new() };
        let open = ws.recv().await;
        ws.sid = sid_of(&open);
        ws
    }

    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.expect("the server takes it");
    }

    /// Several messages with one write.
    pub(crate) async fn send_all(&mut self, texts: impl IntoIterator<Item = String>) {
        for text in texts {
            self.socket.feed(Message::text(text)).await.expect("the server takes it");
        }
        self.socket.flush().await.expect("the server takes it");
    }

    /// The next packet. Answers pings.
    pub(crate) async fn recv(&mut self) -> String {
        match self.next().await {
            Some(Message::Text(text)) => text.to_string(),
            other => panic!("expected text, got {other:?}"),
        }
    }

    /// The next message, `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.expect("the server sends something");
            match message {
                Some(Ok(Message::Text(text))) if text == "2" => self.send("3").await,
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => return Some(message),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        let text = text.to_owned();
        async move {
            let got = self.recv().await;
            assert_eq!(got, text, "at {place}");
        }
    }

    /// Nothing comes for a while.
    pub(crate) async fn expect_silence(&mut self) {
        let silence = timeout(Duration::from_millis(200), self.socket.next()).await;
        assert!(silence.is_err(), "got {silence:?}");
    }

    /// Joins a namespace. Gives the socket's id.
    pub(crate) async fn join(&mut self, namespace: &str) -> String {
        let prefix = if namespace == "/" { String::new() } else { format!("{namespace},") };
        self.send(format!("40{prefix}")).await;
        let answer = self.recv().await;
        let data =
            answer.strip_prefix(&format!("40{prefix}")).unwrap_or_else(|| panic!("let in, not {answer}"));
        sid_of(data)
    }

    /// Emits to `/`, and waits for the acknowledgement: the JSON array.
    pub(crate) async fn ask(&mut self, event: &str) -> String {
        self.send(format!("427{event}")).await;
        let answer = self.recv().await;
        answer.strip_prefix("437").unwrap_or_else(|| panic!("acknowledged, not {answer}")).to_owned()
    }

    /// The server closes the connection.
    pub(crate) async fn expect_end(&mut self) {
        while let Some(message) = self.next().await {
            assert!(message.is_text() || message.is_binary());
        }
    }
}

pub(crate) async fn websocket<S>(stream: S, query: &str) -> WebSocketStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let url = format!("ws://sio.test/socket.io/?EIO=4&transport=websocket{query}");
    let (socket, _) =
        timeout(PATIENCE, client_async(url, stream)).await.expect("in time").expect("a websocket");
    socket
}

/// The `sid` in a packet.
pub(crate) fn sid_of(packet: &str) -> String {
    let json = packet.find('{').map(|at| &packet[at..]).expect("JSON");
    let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
    json["sid"].as_str().expect("a sid").to_owned()
}

/// A polling client that hands its requests over without a connection.
#[derive(Debug, Clone)]
pub(crate) struct Polling {
    pub(crate) io: Server,
    pub(crate) sid: String,
}

impl Polling {
    pub(crate) async fn open(io: &Server) -> Self {
        let mut client = Self { io: io.clone(), sid: String::new() };
        let (status, open) = client.request("GET", "").await;
        assert_eq!(status, 200, "{open}");
        client.sid = sid_of(&open);
        client
    }

    /// Connected to `/`.
    pub(crate) async fn connect(io: &Server) -> Self {
        let client = Self::open(io).await;
        client.post("40").await;
        assert!(client.get().await.starts_with("40{"));
        client
    }

    pub(crate) async fn request(&self, method: &str, body: impl Into<Bytes>) -> (u16, String) {
        let sid = if self.sid.is_empty() { String::new() } else { format!("&sid={}", self.sid) };
        let request = Request::builder()
            .method(method)
            .uri(format!("/socket.io/?EIO=4&transport=polling{sid}"))
            .body(Full::new(body.into()))
            .expect("a request");
        let answer = timeout(PATIENCE, self.io.handle(request, None)).await.expect("an answer in time");
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    /// Packets of a poll, separated by spaces. Pings are answered.
    pub(crate) async fn get(&self) -> String {
        loop {
            let (status, body) = self.request("GET", "").await;
            assert_eq!(status, 200, "{body}");
            if body != "2" {
                return body.replace('\x1e', " ");
            }
            self.post("3").await;
        }
    }

    /// Packets are separated by spaces.
    pub(crate) async fn post(&self, packets: &str) {
        let (status, body) = self.request("POST", packets.replace(' ', "\x1e")).await;
        assert_eq!((status, body.as_str()), (200, "ok"));
    }
}
