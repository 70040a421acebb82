use std::pin::pin;

use async_tungstenite::accept_hdr_async;
use futures_util::StreamExt as _;
use http::HeaderValue;
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::server::{Request, Response};
use tungstenite::{Error, Message};

use super::super::websocket::{ClientWebSocket, connect_websocket};
use super::*;
use crate::io::Io;

async fn connect(connector: &Connector<TestRuntime>) -> Result<(ClientWebSocket, HeaderMap), NetError> {
    connect_websocket(connector, "/socket.io/?EIO=4", None).await
}

/// The head that accepts a request.
fn switching(head: &str) -> String {
    let key = header(head, "sec-websocket-key").unwrap();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-accept: {}\r\n",
        derive_accept_key(key.as_bytes())
    )
}

#[tokio::test]
#[expect(clippy::result_large_err, reason = "tungstenite's")]
async fn messages_go_both_ways() {
    let server = Server::new().await;
    let connector = {
        let mut settings = server.settings();
        settings.headers.insert("x-a", HeaderValue::from_static("1"));
        connector(settings)
    };
    let protocols = HeaderValue::from_static("other, mine");
    let ((mut websocket, headers), mut accepted) = both(
        async { connect_websocket(&connector, "/socket.io/?EIO=4", Some(&protocols)).await.unwrap() },
        async {
            let stream = server.accept().await.0;
            let callback = |request: &Request, mut response: Response| {
                assert_eq!(request.uri(), "/socket.io/?EIO=4");
                assert_eq!(request.headers()["host"], server.authority());
                assert_eq!(request.headers()["x-a"], "1");
                assert_eq!(request.headers()["sec-websocket-protocol"], "other, mine");
                assert!(!request.headers().contains_key("sec-websocket-extensions"));
                let headers = response.headers_mut();
                headers.insert("sec-websocket-protocol", HeaderValue::from_static("mine"));
                headers.insert("x-b", HeaderValue::from_static("2"));
                Ok(response)
            };
            accept_hdr_async(Io(TokioIo::new(stream)), callback).await.unwrap()
        },
    )
    .await;
    assert_eq!(headers["x-b"], "2");
    for message in [Message::text("hä"), Message::binary(vec![7; 100_000])] {
        let (sent, received) = both(websocket.send(message.clone()), accepted.next()).await;
        sent.unwrap();
        assert_eq!(received.unwrap().unwrap(), message);
        let (received, sent) = both(websocket.next(), accepted.send(message.clone())).await;
        sent.unwrap();
        assert_eq!(received.unwrap().unwrap(), message);
    }
    drop(websocket);
    assert!(within(accepted.next()).await.unwrap().is_err());
}

#[tokio::test]
async fn a_message_right_behind_the_answer() {
    let server = Server::new().await;
    let connector = server.connector();
    let (websocket, mut peer) = both(connect(&connector), async {
        let mut peer = server.accept().await;
        let head = peer.head().await;
        peer.send(&(switching(&head) + "\r\n\x01\x01h")).await;
        peer
    })
    .await;
    let (mut websocket, _) = websocket.unwrap();
    // The second half of the message.
    peer.0.write_all(b"\x80\x01i").await.unwrap();
    assert_eq!(within(websocket.next()).await.unwrap().unwrap(), Message::text("hi"));
}

/// What a client makes of an answer and a hang-up.
async fn refused(pieces: &[&str]) -> NetError {
    let server = Server::new().await;
    let connector = server.connector();
    let (result, ()) = both(connect(&connector), async {
        let mut peer = server.accept().await;
        peer.head().await;
        for piece in pieces {
            peer.send(piece).await;
            // Each of them is read on its own.
            server.settle().await;
        }
    })
    .await;
    result.err().unwrap()
}

#[tokio::test]
async fn ordinary_answers() {
    let error = refused(&[
        "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\n",
        "content-length: 41\r\n\r\n",
        r#"{"code":1,"message""#,
        r#":"Session ID unknown"}"#,
    ]);
    let NetError::NoWebSocket(answer) = error.await else { panic!() };
    assert_eq!((answer.status, answer.location), (400, None));
    assert_eq!(answer.body, r#"{"code":1,"message":"Session ID unknown"}"#);

    let redirect = "HTTP/1.1 301 Moved Permanently\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n";
    let NetError::NoWebSocket(answer) = refused(&[redirect]).await else { panic!() };
    assert_eq!((answer.status, answer.location.as_deref()), (301, Some("/elsewhere")));

    let NetError::NoWebSocket(answer) = refused(&["HTTP/1.1 200 OK\r\n\r\n<html>"]).await else { panic!() };
    assert_eq!((answer.status, &*answer.body), (200, &b"<html>"[..]));
}

#[tokio::test]
async fn broken_handshakes() {
    for (pieces, reason) in [
        (&[][..], "connection closed"),
        (&["HTTP/1.1 101 Switching"], "connection closed"),
        (&["SSH-2.0-OpenSSH_9.9\r\n"], "invalid HTTP"),
        (&["HTTP/1.1 101 Switching Protocols\r\n\r\n"], "not a WebSocket handshake: no `upgrade"),
        (
            &["HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
               sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"],
            "not a WebSocket handshake: wrong `sec-websocket-accept`",
        ),
    ] {
        let NetError::Io(text) = refused(pieces).await else { panic!("{pieces:?}") };
        assert!(text.starts_with("127.0.0.1:") && text.contains(reason), "{text}");
    }
}

#[tokio::test]
async fn messages_have_a_limit() {
    let server = Server::new().await;
    let mut settings = server.settings();
    settings.max_message_size = 10;
    let connector = connector(settings);
    let (websocket, mut peer) = both(connect(&connector), async {
        let mut peer = server.accept().await;
        let head = peer.head().await;
        peer.send(&(switching(&head) + "\r\n")).await;
        peer
    })
    .await;
    let (mut websocket, _) = websocket.unwrap();
    peer.send("\u{1}").await;
    peer.send("\u{a}0123456789").await;
    // As a fragment it fits; the whole message does not.
    peer.0.write_all(b"\x80\x01x").await.unwrap();
    let result = within(websocket.next()).await.unwrap();
    assert!(matches!(result, Err(Error::Capacity(_))), "{result:?}");
}

#[tokio::test]
async fn dropped_is_closed() {
    let server = Server::new().await;
    let connector = server.connector();
    let mut connecting = pin!(Some(connect(&connector)));
    let peer = within(async {
        let connecting = connecting.as_mut().as_pin_mut().unwrap();
        tokio::select! {
            _ = connecting => panic!("there was no answer"),
            peer = async {
                let mut peer = server.accept().await;
                peer.head().await;
                peer
            } => peer,
        }
    })
    .await;
    connecting.set(None);
    within(peer.gone()).await;
}

#[tokio::test]
async fn cookies_are_the_same_as_for_requests() {
    let server = Server::new().await;
    let mut settings = server.settings();
    settings.cookies = true;
    let connector = connector(settings);
    let client = HttpClient::new(connector.clone());
    both(
        async {
            get(&client, "/").await.unwrap();
            let (_websocket, _) = connect(&connector).await.unwrap();
            get(&client, "/").await.unwrap();
        },
        async {
            let mut polling = server.accept().await;
            assert_eq!(header(&polling.head().await, "cookie"), None);
            polling.send("HTTP/1.1 200 OK\r\nset-cookie: a=1\r\ncontent-length: 0\r\n\r\n").await;
            let mut websocket = server.accept().await;
            let head = websocket.head().await;
            assert_eq!(header(&head, "cookie"), Some("a=1"));
            websocket.send(&(switching(&head) + "set-cookie: b=2\r\n\r\n")).await;
            assert_eq!(header(&polling.head().await, "cookie"), Some("a=1; b=2"));
            polling.answer("").await;
        },
    )
    .await;
}
