//! A small raw client: it sends the texts that it is told to, and shows what comes back. No rules of the protocol are in here, except
//! that pings are answered.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_tungstenite::tokio::{TokioAdapter, client_async};
use async_tungstenite::{WebSocketStream, tungstenite};
use futures_util::StreamExt as _;
use sio_tokio::{Server, ServerBuilder};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::time::timeout;
use tungstenite::Message;

/// Longer than anything that is waited for; on a paused clock it passes at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// A server with one shard, so that order is the same in each run.
pub(crate) fn server() -> Server {
    builder().build()
}

pub(crate) fn builder() -> ServerBuilder<Server> {
    Server::builder().shards(1)
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

/// Waits until `done`, while others run.
pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    let looking = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, looking).await.expect("it becomes so");
}

/// Lets everything run that can run now.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// A WebSocket client.
#[derive(Debug)]
pub(crate) struct Ws<S = DuplexStream> {
    pub(crate) socket: WebSocketStream<TokioAdapter<S>>,
    /// The session's id, from the open packet.
    pub(crate) sid: String,
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
}

pub(crate) async fn websocket<S>(stream: S, query: &str) -> WebSocketStream<TokioAdapter<S>>
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
