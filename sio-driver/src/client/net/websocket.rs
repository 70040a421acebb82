//! Opening a WebSocket: the handshake is hyper's, because its answer may be one of HTTP with a body; the rest is tungstenite's.

use async_tungstenite::WebSocketStream;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::Role;

use super::connection::HttpConnection;
use super::dial::Connector;
use super::error::NetError;
use super::http::read;
use super::stream::BoxStream;
use crate::io::Io;
use crate::runtime::Runtime;
use crate::websocket::config;

/// A WebSocket of a client.
pub(crate) type ClientWebSocket = WebSocketStream<Io<BoxStream>>;

/// Opens a WebSocket on a connection of its own, and gives the headers of the answer too.
///
/// `protocols` is the value of `Sec-WebSocket-Protocol`, names with commas between them; the server must choose one of them then. An answer
/// other than 101 is [`NetError::NoWebSocket`].
pub(crate) fn connect_websocket<R: Runtime>(
    connector: &Connector<R>,
    path_and_query: &str,
    protocols: Option<&HeaderValue>,
) -> impl Future<Output = Result<(ClientWebSocket, HeaderMap), NetError>> + Send + use<R> {
    let connector = connector.clone();
    let key = generate_key();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::try_from(&key).expect("base64"));
    if let Some(protocols) = protocols {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocols.clone());
    }
    let protocols = protocols.cloned();
    let request = connector.request(Method::GET, path_and_query, headers, Bytes::new());
    async move {
        let request = request?;
        let stream = connector.dial().await?;
        let failure = |error: hyper::Error| connector.failure(&error);
        let mut connection = HttpConnection::new(stream).await.map_err(failure)?;
        let response = connection.send(request).await.map_err(|error| failure(error.into_error()))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let limit = connector.max_message_size();
            return Err(match read(&mut connection, response, &connector, limit).await {
                Ok(answer) => NetError::NoWebSocket(Box::new(answer)),
                Err(error) => error,
            });
        }
        let headers = response.into_parts().0.headers;
        connector.remember_cookies(&headers);
        if let Err(fault) = check(&headers, &key, protocols.as_ref()) {
            return Err(connector.misbehaved(&format!("not a WebSocket handshake: {fault}")));
        }
        let Some((stream, read)) = connection.into_upgraded().await.map_err(failure)? else {
            return Err(connector.misbehaved("hung up in the WebSocket handshake"));
        };
        let config = Some(config(connector.max_message_size()));
        let websocket =
            WebSocketStream::from_partially_read(Io(stream), read.into(), Role::Client, config).await;
        Ok((websocket, headers))
    }
}

/// What a client has to check (RFC 6455, 4.1).
fn check(headers: &HeaderMap, key: &str, protocols: Option<&HeaderValue>) -> Result<(), &'static str> {
    if !has_token(headers, header::UPGRADE, "websocket") {
        return Err("no `upgrade: websocket`");
    }
    if !has_token(headers, header::CONNECTION, "upgrade") {
        return Err("no `connection: upgrade`");
    }
    let accept = headers.get(header::SEC_WEBSOCKET_ACCEPT);
    if accept.is_none_or(|accept| accept.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes()) {
        return Err("wrong `sec-websocket-accept`");
    }
    // We have asked for none.
    if headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
        return Err("an extension that was not asked for");
    }
    let chosen =
        headers.get(header::SEC_WEBSOCKET_PROTOCOL).map(|chosen| chosen.to_str().unwrap_or_default());
    let asked = protocols.map(|protocols| protocols.to_str().unwrap_or_default());
    match (asked, chosen) {
        (None, None) => Ok(()),
        (Some(asked), Some(chosen)) if asked.split(',').any(|name| name.trim() == chosen) => Ok(()),
        (Some(_), None) => Err("none of the subprotocols was chosen"),
        _ => Err("a subprotocol that was not asked for"),
    }
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455, 1.3
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    fn answer(change: impl FnOnce(&mut HeaderMap)) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("upgrade", HeaderValue::from_static("WebSocket"));
        headers.insert("connection", HeaderValue::from_static("keep-alive, Upgrade"));
        headers.insert("sec-websocket-accept", HeaderValue::from_static(ACCEPT));
        change(&mut headers);
        headers
    }

    #[test]
    fn handshakes() {
        let protocol = |name| {
            move |headers: &mut HeaderMap| {
                headers.insert("sec-websocket-protocol", HeaderValue::from_static(name));
            }
        };
        let asked = HeaderValue::from_static("a, b");
        assert_eq!(check(&answer(|_| ()), KEY, None), Ok(()));
        assert_eq!(check(&answer(protocol("b")), KEY, Some(&asked)), Ok(()));
        assert!(check(&answer(protocol("b")), KEY, None).is_err());
        assert!(check(&answer(protocol("c")), KEY, Some(&asked)).is_err());
        assert!(check(&answer(protocol("")), KEY, Some(&asked)).is_err());
        assert!(check(&answer(|_| ()), KEY, Some(&asked)).is_err());
        assert!(check(&answer(|_| ()), "another", None).is_err());
        for name in ["upgrade", "connection", "sec-websocket-accept"] {
            assert!(check(&answer(|headers| drop(headers.remove(name))), KEY, None).is_err(), "{name}");
            let other = HeaderValue::from_static("keep-alive");
            assert!(
                check(&answer(|headers| drop(headers.insert(name, other))), KEY, None).is_err(),
                "{name}"
            );
        }
        let extension = HeaderValue::from_static("permessage-deflate");
        let headers = answer(|headers| drop(headers.insert("sec-websocket-extensions", extension)));
        assert!(check(&headers, KEY, None).is_err());
    }
}
