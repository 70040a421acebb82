//! How a client reaches its server.

use std::error::Error as StdError;
use std::future::Future;
use std::sync::Arc;

use async_tungstenite::WebSocketStream;
use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full};
use sio_proto::engine::{Answer, TransportError};

use crate::client::Tls;
use crate::runtime::{BoxFuture, Runtime};
use crate::websocket;

pub(crate) trait Stream: hyper::rt::Read + hyper::rt::Write + Unpin + Send {}
impl<S: hyper::rt::Read + hyper::rt::Write + Unpin + Send> Stream for S {}
pub(crate) type BoxStream = Box<dyn Stream>;
pub(crate) type Io = websocket::Io<BoxStream>;
pub(crate) type WebSocket = WebSocketStream<Io>;

/// What the builder was told about the network.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) url: String,
    pub(crate) path: String,
    pub(crate) trailing_slash: bool,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) cookies: bool,
    pub(crate) proxy: Option<String>,
    pub(crate) tls: Option<Tls>,
}

pub(crate) struct Target {
    pub(crate) namespace: String,
    pub(crate) query: String,
}

pub(crate) struct Connector {
    host: String,
    port: u16,
    path: String,
    pub(crate) max_message: usize,
}

impl Network {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            path: "/socket.io".into(),
            trailing_slash: true,
            query: Vec::new(),
            headers: Vec::new(),
            cookies: false,
            proxy: None,
            tls: None,
        }
    }

    pub(crate) fn connector(self, max_message: usize) -> Result<(Connector, Target), String> {
        let uri: Uri = self.url.parse().map_err(|error| format!("{error}"))?;
        let path = format!("{}/", self.path);
        let connector = Connector {
            host: uri.host().unwrap_or_default().into(),
            port: uri.port_u16().unwrap_or(80),
            path,
            max_message,
        };
        let target = Target { namespace: uri.path().into(), query: uri.query().unwrap_or_default().into() };
        Ok((connector, target))
    }
}

fn io(error: impl StdError) -> TransportError {
    TransportError::Io(error.to_string())
}

impl Connector {
    pub(crate) fn request<R: Runtime>(
        self: Arc<Self>,
        runtime: R,
        query: String,
        body: Option<Bytes>,
    ) -> BoxFuture<Result<Answer, TransportError>> {
        Box::pin(async move {
            let stream = runtime.connect(&self.host, self.port).await.map_err(io)?;
            let (mut send, connection) =
                hyper::client::conn::http1::handshake::<_, Full<Bytes>>(stream).await.map_err(io)?;
            let method = if body.is_some() { Method::POST } else { Method::GET };
            let request = Request::builder()
                .method(method)
                .uri(format!("{}?{query}", self.path))
                .header(header::HOST, format!("{}:{}", self.host, self.port))
                .header(header::CONTENT_TYPE, "text/plain;charset=UTF-8")
                .body(Full::new(body.unwrap_or_default()))
                .map_err(io)?;
            let work = async {
                let response = send.send_request(request).await.map_err(io)?;
                let status = response.status().as_u16();
                let body = response.into_body().collect().await.map_err(io)?.to_bytes();
                Ok(Answer { status, location: None, body })
            };
            let mut work = std::pin::pin!(work);
            let mut connection = std::pin::pin!(connection);
            let mut over = false;
            std::future::poll_fn(|cx| {
                if !over {
                    over = connection.as_mut().poll(cx).is_ready();
                }
                work.as_mut().poll(cx)
            })
            .await
        })
    }

    pub(crate) fn websocket<R: Runtime>(
        self: Arc<Self>,
        runtime: R,
        query: String,
    ) -> BoxFuture<Result<WebSocket, TransportError>> {
        Box::pin(async move {
            let stream = runtime.connect(&self.host, self.port).await.map_err(io)?;
            let stream: BoxStream = Box::new(stream);
            let uri = format!("ws://{}:{}{}?{query}", self.host, self.port, self.path);
            let config = websocket::config(self.max_message);
            let opened =
                async_tungstenite::client_async_with_config(uri, websocket::Io(stream), Some(config)).await;
            opened.map(|(websocket, _)| websocket).map_err(io)
        })
    }
}

/// Why a WebSocket ended.
pub(crate) fn transport_error(error: Option<tungstenite::Error>, limit: usize) -> TransportError {
    match error {
        None => TransportError::Closed,
        Some(tungstenite::Error::Capacity(_)) => TransportError::TooLarge { limit },
        Some(tungstenite::Error::Utf8(_)) => TransportError::NotUtf8,
        Some(error) => TransportError::Io(error.to_string()),
    }
}
