use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};

use super::super::connection::HttpConnection;
use super::*;

#[tokio::test]
async fn what_is_on_the_wire() {
    let server = Server::new().await;
    let client = server.client();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/plain;charset=UTF-8"));
    let (answer, ()) = both(
        async {
            let answer = get(&client, "/socket.io/?EIO=4&transport=polling").await.unwrap();
            assert_eq!((answer.status, &*answer.body), (200, &b"0{}"[..]));
            client.request(Method::POST, "/socket.io/?sid=x", headers, Bytes::from_static(b"4hi")).await
        },
        async {
            let mut peer = server.accept().await;
            let expected = format!(
                "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: {}\r\naccept: */*\r\n\r\n",
                server.authority()
            );
            assert_eq!(peer.head().await, expected);
            peer.send("HTTP/1.1 200 OK\r\nx-y: z\r\ncontent-length: 3\r\n\r\n0{}").await;
            // On the same connection.
            let expected = format!(
                "POST /socket.io/?sid=x HTTP/1.1\r\nhost: {}\r\naccept: */*\r\n\
                 content-type: text/plain;charset=UTF-8\r\ncontent-length: 3\r\n\r\n",
                server.authority()
            );
            assert_eq!(peer.head().await, expected);
            assert_eq!(peer.read(3).await, "4hi");
            peer.answer("ok").await;
        },
    )
    .await;
    assert_eq!(answer.unwrap().body, "ok");
}

#[tokio::test]
async fn names_are_resolved() {
    let server = Server::new().await;
    // Other addresses of the name, at which nobody listens, do not matter.
    let client = HttpClient::new(connector(settings(&format!("ws://localhost:{}", server.port))));
    let (answer, ()) = both(get(&client, "/"), async {
        let mut peer = server.accept().await;
        assert_eq!(header(&peer.head().await, "host"), Some(&*format!("localhost:{}", server.port)));
        peer.answer("x").await;
    })
    .await;
    assert_eq!(answer.unwrap().body, "x");
}

#[tokio::test]
async fn nobody_is_there() {
    let server = Server::new().await;
    let (client, authority) = (server.client(), server.authority());
    drop(server);
    let Err(NetError::Io(text)) = within(get(&client, "/")).await else { panic!() };
    assert!(text.starts_with(&format!("{authority}: cannot connect: ")), "{text}");
}

#[tokio::test]
async fn side_by_side() {
    let server = Server::new().await;
    let client = server.client();
    let (answers, peers) =
        both(async { tokio::join!(get(&client, "/a"), get(&client, "/b"), get(&client, "/c")) }, async {
            let mut peers = Vec::new();
            for _ in 0..3 {
                let mut peer = server.accept().await;
                let head = peer.head().await;
                peers.push((peer, head));
            }
            for (peer, head) in &mut peers {
                peer.answer(head.split(' ').nth(1).unwrap()).await;
            }
            peers.into_iter().map(|(peer, _)| peer).collect::<Vec<_>>()
        })
        .await;
    assert_eq!(answers.0.unwrap().body, "/a");
    assert_eq!(answers.1.unwrap().body, "/b");
    assert_eq!(answers.2.unwrap().body, "/c");
    // Two of the connections are kept.
    assert_eq!(client.idle_connections(), 2);
    drop(client);
    for peer in peers {
        within(peer.gone()).await;
    }
}

#[tokio::test]
async fn a_kept_connection_that_was_closed() {
    let server = Server::new().await;
    let client = server.client();
    let mut last = None;
    for path in ["/1", "/2"] {
        // The server closes the connection when nothing is going on.
        drop(last.take());
        server.settle().await;
        let (answer, peer) = both(get(&client, path), async {
            let mut peer = server.accept().await;
            assert!(peer.head().await.starts_with(&format!("GET {path} ")));
            peer.answer(path).await;
            peer
        })
        .await;
        assert_eq!(answer.unwrap().body, path);
        assert_eq!(client.idle_connections(), 1);
        last = Some(peer);
    }
}

#[tokio::test]
async fn a_server_that_wants_the_connection_closed() {
    let server = Server::new().await;
    let client = server.client();
    let (answer, ()) = both(get(&client, "/"), async {
        let mut peer = server.accept().await;
        peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx").await;
        peer.gone().await;
    })
    .await;
    assert_eq!(answer.unwrap().body, "x");
    assert_eq!(client.idle_connections(), 0);
}

#[tokio::test]
async fn what_was_not_sent_comes_back() {
    let server = Server::new().await;
    let connector = server.connector();
    let (mut connection, peer) = both(
        async {
            let mut connection = HttpConnection::new(connector.dial().await.unwrap()).await.unwrap();
            let request = connector.request(Method::GET, "/1", HeaderMap::new(), Bytes::new()).unwrap();
            let response = connection.send(request).await.unwrap();
            assert_eq!(connection.body(response.into_body(), 10).await.unwrap().bytes, "1");
            assert!(connection.is_usable().await);
            connection
        },
        async {
            let mut peer = server.accept().await;
            peer.head().await;
            peer.answer("1").await;
            peer
        },
    )
    .await;
    drop(peer);
    server.settle().await;
    let request = connector.request(Method::GET, "/2", HeaderMap::new(), Bytes::new()).unwrap();
    let mut error = within(connection.send(request)).await.err().unwrap();
    assert_eq!(error.take_message().unwrap().uri(), "/2");
    assert!(!connection.is_usable().await);
}

/// A request that may have been handled is not sent twice.
#[tokio::test]
async fn what_was_sent_is_not_sent_again() {
    let server = Server::new().await;
    let client = server.client();
    let (answer, ()) = both(
        async {
            get(&client, "/1").await.unwrap();
            get(&client, "/2").await
        },
        async {
            let mut peer = server.accept().await;
            peer.head().await;
            peer.answer("1").await;
            assert!(peer.head().await.starts_with("GET /2 "));
        },
    )
    .await;
    let Err(NetError::Io(text)) = answer else { panic!("{answer:?}") };
    assert!(text.starts_with(&format!("{}: connection closed", server.authority())), "{text}");
    // Nobody else has come: the next connection is ours.
    let (ours, next) = both(TcpStream::connect(("127.0.0.1", server.port)), server.accept()).await;
    assert_eq!(next.0.peer_addr().unwrap(), ours.unwrap().local_addr().unwrap());
}

/// An answer to no request is not the answer to the next one.
#[tokio::test]
async fn an_answer_too_many() {
    let server = Server::new().await;
    let client = server.client();
    let (answer, mut peer) = both(get(&client, "/1"), async {
        let mut peer = server.accept().await;
        peer.head().await;
        peer.answer("1").await;
        peer
    })
    .await;
    answer.unwrap();
    peer.answer("not asked for").await;
    server.settle().await;
    let (answer, ()) = both(get(&client, "/2"), async {
        let mut peer = server.accept().await;
        peer.head().await;
        peer.answer("2").await;
    })
    .await;
    assert_eq!(answer.unwrap().body, "2");
}

/// What a client with a limit of ten bytes makes of an answer.
async fn limited(answer: &[&str]) -> Result<Answer, NetError> {
    let server = Server::new().await;
    let mut settings = server.settings();
    settings.max_message_size = 10;
    let client = HttpClient::new(connector(settings));
    let (result, ()) = both(
        async {
            let result = get(&client, "/").await;
            assert_eq!(client.idle_connections(), usize::from(result.is_ok()));
            drop(client);
            result
        },
        async {
            let mut peer = server.accept().await;
            peer.head().await;
            for piece in answer {
                peer.send(piece).await;
            }
            peer.gone().await;
        },
    )
    .await;
    result
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let fits = limited(&["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", "0123456789"]).await;
    assert_eq!(fits.unwrap().body, "0123456789");
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let fits = limited(&[chunked, "5\r\n01234\r\n5\r\n56789\r\n", "0\r\n\r\n"]).await;
    assert_eq!(fits.unwrap().body, "0123456789");

    // Its body is not waited for.
    let declared = limited(&["HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n"]).await;
    assert!(matches!(declared, Err(NetError::TooLarge { limit: 10 })), "{declared:?}");
    // Nor is its end.
    let chunks = limited(&[chunked, "5\r\n01234\r\n", "6\r\n567890\r\n"]).await;
    assert!(matches!(chunks, Err(NetError::TooLarge { limit: 10 })), "{chunks:?}");
    let endless = limited(&["HTTP/1.0 200 OK\r\n\r\n01234567890"]).await;
    assert!(matches!(endless, Err(NetError::TooLarge { limit: 10 })), "{endless:?}");
}

/// What a client makes of bytes after which the server hangs up.
async fn broken(answer: &str) -> Result<Answer, NetError> {
    let server = Server::new().await;
    let client = server.client();
    let (result, ()) = both(get(&client, "/"), async {
        let mut peer = server.accept().await;
        peer.head().await;
        // The client may have gone before all is sent.
        let _ = peer.0.write_all(answer.as_bytes()).await;
    })
    .await;
    assert_eq!(client.idle_connections(), 0);
    result
}

#[tokio::test]
async fn broken_answers() {
    let headers = format!("HTTP/1.1 200 OK\r\n{}", "x: y\r\n".repeat(20_000));
    for answer in [
        "",
        "HTTP/1.1 20",
        "220 mail.example ESMTP\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nx",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n",
        &headers,
    ] {
        let result = broken(answer).await;
        assert!(matches!(result, Err(NetError::Io(_))), "{:.40}: {result:?}", answer);
    }
    // Nothing says how long it is, so its end is its end.
    assert_eq!(broken("HTTP/1.1 200 OK\r\n\r\nx").await.unwrap().body, "x");
    // A switch that was not asked for.
    assert_eq!(broken("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n").await.unwrap().status, 101);
}

#[tokio::test]
async fn refusals_and_redirects() {
    let refused = limited(&[
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 41\r\n\r\n",
        r#"{"code":1,"message":"Session ID unknown"}"#,
    ]);
    let answer = refused.await.unwrap();
    assert_eq!((answer.status, answer.location), (400, None));
    assert_eq!(answer.body, r#"{"code":1,"message":"Session ID unknown"}"#, "the limit is for messages");

    let redirect =
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: https://other.test/é?x\r\ncontent-length: 0\r\n\r\n";
    let answer = limited(&[redirect]).await.unwrap();
    assert_eq!((answer.status, answer.location.as_deref()), (307, Some("https://other.test/é?x")));

    let page = "x".repeat(20_000);
    let answer = broken(&format!("HTTP/1.1 502 Bad Gateway\r\n\r\n{page}")).await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (502, 16 << 10));
    let answer = broken("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 100\r\n\r\nx").await.unwrap();
    assert_eq!(answer.status, 502);
}

#[tokio::test]
async fn dropped_is_closed() {
    let server = Server::new().await;
    let client = server.client();
    let peer = within(async {
        let mut request = Box::pin(get(&client, "/"));
        let mut peer = tokio::select! {
            _ = &mut request => panic!("there was no answer"),
            peer = server.accept() => peer,
        };
        tokio::select! {
            _ = &mut request => panic!("there was no answer"),
            _ = peer.head() => {}
        }
        // In the middle of an answer.
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nx").await;
        tokio::select! {
            biased;
            _ = &mut request => panic!("there was no answer"),
            () = server.settle() => {}
        }
        drop(request);
        peer
    })
    .await;
    assert_eq!(client.idle_connections(), 0);
    within(peer.gone()).await;
}

#[tokio::test]
async fn extra_headers() {
    let server = Server::new().await;
    let mut settings = server.settings();
    for (name, value) in [
        ("x-a", "1"),
        ("authorization", "Bearer x"),
        ("host", "other.test"),
        ("accept", "text/plain"),
        // Not theirs to say.
        ("connection", "close"),
        ("content-length", "7"),
        ("accept-encoding", "gzip"),
        ("transfer-encoding", "chunked"),
    ] {
        settings.headers.insert(name, HeaderValue::from_static(value));
    }
    settings.headers.append("x-a", HeaderValue::from_static("2"));
    let client = HttpClient::new(connector(settings));
    let (answer, ()) = both(get(&client, "/"), async {
        let mut peer = server.accept().await;
        let head = peer.head().await;
        assert!(head.contains("\r\nx-a: 1\r\nx-a: 2\r\n"), "{head}");
        assert_eq!(header(&head, "authorization"), Some("Bearer x"));
        assert_eq!(header(&head, "host"), Some("other.test"));
        assert_eq!(header(&head, "accept"), Some("text/plain"));
        for name in ["connection", "content-length", "accept-encoding", "transfer-encoding"] {
            assert_eq!(header(&head, name), None);
        }
        peer.answer("").await;
    })
    .await;
    answer.unwrap();
}

/// The `cookie` headers of four requests, whose answers set cookies.
async fn cookie_headers(settings: Settings, server: &Server) -> Vec<Option<String>> {
    let client = HttpClient::new(connector(settings));
    let ((), heads) = both(
        async {
            for _ in 0..4 {
                get(&client, "/").await.unwrap();
            }
        },
        async {
            let mut peer = server.accept().await;
            let mut heads = Vec::new();
            for set in [
                "set-cookie: a=1; Path=/x; HttpOnly\r\nset-cookie: b=2; Secure\r\n",
                "set-cookie: c=3\r\n",
                "set-cookie: a=; Max-Age=0\r\n",
                "",
            ] {
                heads.push(header(&peer.head().await, "cookie").map(str::to_owned));
                peer.send(&format!("HTTP/1.1 200 OK\r\n{set}content-length: 0\r\n\r\n")).await;
            }
            heads
        },
    )
    .await;
    heads
}

#[tokio::test]
async fn cookies() {
    let server = Server::new().await;
    assert_eq!(cookie_headers(server.settings(), &server).await, [None, None, None, None]);

    let mut settings = server.settings();
    settings.cookies = true;
    let expected = [None, Some("a=1"), Some("a=1; c=3"), Some("c=3")];
    let headers = cookie_headers(settings, &server).await;
    assert_eq!(headers.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);

    let mut settings = server.settings();
    settings.cookies = true;
    settings.headers.insert("cookie", HeaderValue::from_static("mine=0"));
    let expected = [Some("mine=0"), Some("mine=0; a=1"), Some("mine=0; a=1; c=3"), Some("mine=0; c=3")];
    let headers = cookie_headers(settings, &server).await;
    assert_eq!(headers.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn paths_that_are_none() {
    let server = Server::new().await;
    for path in ["no slash", "/a b", "/\r\nx: y", ""] {
        let result = within(get(&server.client(), path)).await;
        assert!(matches!(result, Err(NetError::Io(_))), "{path:?}: {result:?}");
    }
}

/// Each piece takes far more room than what is in it, if it is kept as it came.
#[tokio::test]
async fn a_body_of_tiny_pieces() {
    const PIECES: usize = 10_000;
    let server = Server::new().await;
    for (limit, fits) in [(PIECES, true), (PIECES - 1, false)] {
        let client = HttpClient::new(connector(Settings { max_message_size: limit, ..server.settings() }));
        let (answer, ()) = both(get(&client, "/"), async {
            let mut peer = server.accept().await;
            peer.head().await;
            peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
            let pieces: String = (0..PIECES).map(|at| format!("1\r\n{}\r\n", at % 10)).collect();
            peer.send(&(pieces + "0\r\n\r\n")).await;
        })
        .await;
        let expected: String = (0..PIECES).map(|at| char::from(b'0' + (at % 10) as u8)).collect();
        match answer {
            Ok(answer) => assert!(fits && answer.body == expected),
            Err(NetError::TooLarge { limit: of }) => assert!(!fits && of == limit),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn no_secrets_in_errors() {
    let client = Server::new().await.client();
    let Err(error) = get(&client, "/?sid=secret\n").await else { panic!() };
    assert!(!error.to_string().contains("secret"), "{error}");
}
