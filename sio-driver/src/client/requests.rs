//! What the machine asks for, as the network does it: GETs, POSTs and WebSockets of one client.

use bytes::Bytes;
use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use sio_proto::engine::{Answer, TransportError};

use crate::client::net::dial::{Connector, Settings, is_reserved};
use crate::client::net::error::NetError;
use crate::client::net::http::HttpClient;
use crate::client::net::proxy::Proxy;
use crate::client::net::stream::BoxStream;
use crate::client::net::url::{Target, encode_pair};
use crate::client::net::websocket::{ClientWebSocket, connect_websocket};
use crate::runtime::{BoxFuture, Runtime};

pub(crate) type Io = crate::io::Io<BoxStream>;

/// What the builder was told about the network.
pub(crate) struct Network {
    pub(crate) url: String,
    pub(crate) path: String,
    pub(crate) trailing_slash: bool,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) protocols: Vec<String>,
    pub(crate) cookies: bool,
    pub(crate) proxy: Option<String>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::client::Tls>,
}

/// The same, found to be usable.
pub(crate) struct Plan {
    settings: Settings,
    path: String,
    protocols: Option<HeaderValue>,
    pub(crate) namespace: String,
    /// For every request.
    pub(crate) query: String,
}

impl Network {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            path: "/socket.io".into(),
            trailing_slash: true,
            query: Vec::new(),
            headers: Vec::new(),
            protocols: Vec::new(),
            cookies: false,
            proxy: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Says what is wrong, if something is.
    pub(crate) fn plan(self, max_message_size: usize) -> Result<Plan, String> {
        let Target { origin, namespace, mut query } =
            Target::parse(&self.url).map_err(|error| format!("url: {error}"))?;
        for (name, value) in &self.query {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(&encode_pair(name, value));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers {
            // Without the value, which may be a secret: a token that was read from a file, with the end of its line.
            let wrong = || format!("header {name:?} has a name or a value that cannot be sent");
            let header = HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
            if is_reserved(&header) {
                return Err(format!("header {name:?} is the client's own"));
            }
            headers.append(header, HeaderValue::try_from(value.as_str()).map_err(|_| wrong())?);
        }
        let mut path = String::new();
        if !self.path.starts_with('/') {
            path.push('/');
        }
        path.push_str(self.path.trim_end_matches('/'));
        if self.trailing_slash {
            path.push('/');
        }
        if http::uri::PathAndQuery::try_from(path.as_str()).is_err() || path.contains(['?', '#']) {
            return Err(format!("path {path:?}"));
        }
        let protocols = match self.protocols.join(", ") {
            none if none.is_empty() => None,
            some => Some(HeaderValue::try_from(&some).map_err(|_| format!("protocols {some:?}"))?),
        };
        let proxy = self.proxy.as_deref().map(Proxy::parse).transpose();
        let settings = Settings {
            proxy: proxy.map_err(|error| format!("proxy: {error}"))?,
            headers,
            cookies: self.cookies,
            max_message_size,
            #[cfg(feature = "tls")]
            tls: self.tls,
            ..Settings::new(origin)
        };
        Ok(Plan { settings, path, protocols, namespace, query })
    }
}

/// Sends requests and opens WebSockets, all to one server.
pub(crate) struct Requests<R> {
    connector: Connector<R>,
    http: HttpClient<R>,
    path: String,
    protocols: Option<HeaderValue>,
}

impl<R: Runtime> Requests<R> {
    pub(crate) fn new(runtime: R, plan: Plan) -> Result<Self, NetError> {
        let Plan { settings, path, protocols, .. } = plan;
        let connector = Connector::new(runtime, settings)?;
        Ok(Self { http: HttpClient::new(connector.clone()), connector, path, protocols })
    }

    /// Largest message or answer.
    pub(crate) fn max_message_size(&self) -> usize {
        self.connector.max_message_size()
    }

    /// A GET, or with a body a POST.
    pub(crate) fn request(
        &self,
        query: &str,
        body: Option<Bytes>,
    ) -> BoxFuture<Result<Answer, TransportError>> {
        let mut headers = HeaderMap::new();
        let method = if body.is_some() { Method::POST } else { Method::GET };
        if body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain;charset=UTF-8"));
        }
        let target = format!("{}?{query}", self.path);
        let answer = self.http.request(method, &target, headers, body.unwrap_or_default());
        Box::pin(async move {
            let answer = answer.await.map_err(transport_error)?;
            Ok(Answer { status: answer.status, location: answer.location, body: answer.body })
        })
    }

    pub(crate) fn websocket(&self, query: &str) -> BoxFuture<Result<ClientWebSocket, TransportError>> {
        let target = format!("{}?{query}", self.path);
        let opened = connect_websocket(&self.connector, &target, self.protocols.as_ref());
        Box::pin(async move { opened.await.map(|(websocket, _)| websocket).map_err(transport_error) })
    }

    /// Closes the connections that are kept for requests to come: there will be none.
    pub(crate) fn close_idle(&self) {
        self.http.close_idle();
    }
}

/// What the core calls it.
pub(crate) fn transport_error(error: NetError) -> TransportError {
    match error {
        NetError::Tls(what) => TransportError::Tls(what),
        NetError::Proxy(error) => TransportError::Proxy(error.to_string()),
        NetError::TooLarge { limit } => TransportError::TooLarge { limit },
        NetError::NoWebSocket(answer) => {
            TransportError::from_answer(answer.status, answer.location, &answer.body)
        }
        NetError::Io(what) => TransportError::Io(what),
    }
}

/// Why a WebSocket ended.
pub(crate) fn websocket_error(error: Option<tungstenite::Error>, limit: usize) -> TransportError {
    use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
    match error {
        // A connection that ends without a close frame is simply closed, as for Node.
        None | Some(tungstenite::Error::Protocol(ResetWithoutClosingHandshake)) => TransportError::Closed,
        Some(tungstenite::Error::Capacity(_)) => TransportError::TooLarge { limit },
        Some(tungstenite::Error::Utf8(_)) => TransportError::NotUtf8,
        Some(error) => TransportError::Io(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_cannot_be_sent_is_not_repeated() {
        let mut network = Network::new("http://localhost".into());
        network.headers.push(("authorization".into(), "Bearer secret\n".into()));
        let Err(error) = network.plan(1) else { panic!("sent") };
        assert!(error.contains("authorization") && !error.contains("secret"), "{error}");
    }
}
