//! What a server is served over.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use futures_rustls::{TlsAcceptor, TlsConnector, rustls};
use futures_util::future::select;
use futures_util::io::{AsyncReadExt as _, AsyncWriteExt as _};
use sio_driver::{Accepted, Data, Io, RequestHead, Server, Socket, serve, serve_connection};
use tungstenite::Message;

use crate::api::common::{Log, Polling, Ws, builder, connection, server, websocket};
use crate::api::{Case, list};
use crate::world::{HERE, Instant, Listener, Pipe, World, pipe, settle, sleep, spawn, timeout, until};

pub(super) const CASES: &[Case] = list![
    the_address_of_the_client,
    whether_it_came_over_tls,
    connections_without_sessions_have_a_limit,
    idle_connections_end,
    answers_that_are_not_taken,
    bodies_that_trickle_in,
    over_a_stream_of_any_kind,
    over_tls,
];

fn echo(io: &Server) {
    io.of("/").on("ask", async || "answer");
}

async fn the_address_of_the_client() {
    let io = server();
    let log = Log::default();
    let seen = log.clone();
    io.of("/").on_connect(move |socket: Socket| {
        seen.push(format!("{:?}", socket.handshake().remote_addr));
        async {}
    });
    let listener = Listener::new();
    let port = listener.port();
    spawn(serve(World::current(), listener, io.clone()));
    let mut ws = Ws::over(port.connect().unwrap()).await;
    ws.join("/").await;
    until(|| log.len() == 1).await;
    assert_eq!(log.take(), [format!("Some({HERE})")]);
}

/// Whoever took the TLS off knows; a client can ask for whatever it likes.
async fn whether_it_came_over_tls() {
    let log = Log::default();
    let (asked, seen) = (log.clone(), log.clone());
    let io = builder()
        .allow_request(move |request: Arc<RequestHead>| {
            asked.push(format!("{} {:?}", request.secure, request.remote_addr));
            async { Ok(()) }
        })
        .build();
    io.of("/").on_connect(move |socket: Socket| {
        let handshake = socket.handshake();
        seen.push(format!("{} {:?}", handshake.secure, handshake.remote_addr));
        async {}
    });
    for (accepted, expected) in [
        (HERE.into(), format!("false Some({HERE})")),
        (None.into(), "false None".into()),
        (Accepted::from(HERE).secure(true), format!("true Some({HERE})")),
        (Accepted::default().secure(true), "true None".into()),
        (Accepted::from(HERE).secure(true).secure(false), format!("false Some({HERE})")),
    ] {
        let connect = || {
            let (ours, theirs) = pipe(4096);
            spawn(serve_connection(World::current(), io.clone(), theirs, accepted));
            ours
        };
        let mut ws = Ws::over(connect()).await;
        ws.join("/").await;
        until(|| log.len() == 2).await;
        assert_eq!(log.take(), [expected.clone(), expected.clone()]);
        let mut stream = connect();
        let head =
            "GET https://sio.test/socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: sio.test\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        until(|| log.len() == 1).await;
        assert_eq!(log.take(), [expected]);
    }
}

async fn connections_without_sessions_have_a_limit() {
    let io = builder().max_tcp_connections(2).build();
    let listener = Listener::new();
    let port = listener.port();
    spawn(serve(World::current(), listener, io.clone()));
    let is_closed = async |stream: &mut Pipe| {
        settle().await;
        stream.is_cut() && stream.read(&mut [0; 1]).await.unwrap() == 0
    };
    let mut idle = port.connect().unwrap();
    let mut ws = Ws::over(port.connect().unwrap()).await;
    // One more; whoever accepts it.
    for _ in 0..3 {
        assert!(is_closed(&mut port.connect().unwrap()).await);
        assert!(is_closed(&mut connection(&io, 4096)).await);
    }
    ws.join("/").await;
    assert!(!idle.is_cut());
    // A WebSocket has its place to its end, and others have it afterwards.
    drop(ws);
    until(|| io.connections() == 0).await;
    let mut other = Ws::over(port.connect().unwrap()).await;
    other.join("/").await;
    assert!(is_closed(&mut port.connect().unwrap()).await);
    // As has one that never was more than a connection.
    idle.close().await.unwrap();
    drop(idle);
    settle().await;
    let mut last = Ws::over(connection(&io, 4096)).await;
    last.join("/").await;
    assert!(is_closed(&mut port.connect().unwrap()).await);
}

/// Connections that say nothing cost something; they are not kept for ever.
async fn idle_connections_end() {
    let io = server();
    for request in ["", "GET /socket.io/?EI", "GET /elsewhere HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut stream = connection(&io, 4096);
        stream.write_all(request.as_bytes()).await.unwrap();
        let begun = Instant::now();
        let mut answer = Vec::new();
        timeout(Duration::from_secs(100), stream.read_to_end(&mut answer)).await.expect("it ends").unwrap();
        assert_eq!(begun.elapsed().as_secs(), 30, "{request}");
    }
}

/// What a client does not read is not kept for it for ever; but however slowly it reads, it gets all.
async fn answers_that_are_not_taken() {
    const LIMIT: Duration = Duration::from_secs(3);
    let io = builder().write_timeout(LIMIT).http_compression(None).build();
    let client = Polling::connect(&io).await;
    let get =
        format!("GET /socket.io/?EIO=4&transport=polling&sid={} HTTP/1.1\r\nHost: a\r\n\r\n", client.sid);
    let large = "x".repeat(5000);
    let poll = async || {
        let mut stream = connection(&io, 1024);
        stream.write_all(get.as_bytes()).await.unwrap();
        settle().await;
        stream
    };
    let about = |time: Duration| time >= LIMIT && time < LIMIT + Duration::from_millis(3);
    io.emit("large", &large).unwrap();
    let mut slow = poll().await;
    let mut taken = 0;
    while taken < 5000 {
        sleep(LIMIT - Duration::from_millis(1)).await;
        taken += slow.read(&mut [0; 1024]).await.unwrap();
        settle().await;
    }
    drop(slow);
    io.emit("large", &large).unwrap();
    let mut silent = poll().await;
    sleep(LIMIT - Duration::from_millis(1)).await;
    let mut first = [0; 1];
    // A byte is taken, and then the same time passes once more.
    silent.read_exact(&mut first).await.unwrap();
    settle().await;
    let begun = Instant::now();
    until(|| silent.is_cut()).await;
    assert!(about(begun.elapsed()), "{:?}", begun.elapsed());
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).await.unwrap();
    assert!(rest.len() < 1100, "{}", rest.len());

    // Also of the last one, when the server has closed.
    client.post("1").await;
    let client = Polling::connect(&io).await;
    let get =
        format!("GET /socket.io/?EIO=4&transport=polling&sid={} HTTP/1.1\r\nHost: a\r\n\r\n", client.sid);
    io.emit("large", &large).unwrap();
    let log = Log::default();
    spawn({
        let (io, log) = (io.clone(), log.clone());
        async move {
            io.close().await;
            log.push("closed");
        }
    });
    let mut silent = connection(&io, 1024);
    silent.write_all(get.as_bytes()).await.unwrap();
    settle().await;
    // The end, if it was not behind the event already.
    client.request("GET", "").await;
    settle().await;
    assert_eq!(log.take(), ["closed"]);
    let begun = Instant::now();
    until(|| silent.is_cut()).await;
    assert!(about(begun.elapsed()), "{:?}", begun.elapsed());
}

/// A byte now and then is no reason to wait longer, also where the session itself has no need of the body.
async fn bodies_that_trickle_in() {
    const LIMIT: Duration = Duration::from_secs(3);
    let log = Log::default();
    let told = log.clone();
    let io = builder()
        .body_read_timeout(LIMIT)
        .on_connection_error(move |refused| told.push(format!("{:?} {}", refused.code(), refused.message())))
        .build();
    for upgraded in [false, true] {
        let session = Polling::connect(&io).await;
        let mut ws = None;
        let sid = &session.sid;
        let head = format!(
            "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n42"
        );
        let mut post = connection(&io, 4096);
        post.write_all(head.as_bytes()).await.unwrap();
        settle().await;
        let begun = Instant::now();
        if upgraded {
            let mut socket = websocket(connection(&io, 4096), &format!("&sid={sid}")).await;
            for text in ["2probe", "5"] {
                socket.send(Message::text(text)).await.unwrap();
            }
            ws = Some(socket);
        }
        let mut answer = [0; 12];
        let trickle = async {
            let (mut reads, mut writes) = post.split();
            let write = async {
                loop {
                    sleep(Duration::from_millis(700)).await;
                    let _ = writes.write_all(b" ").await;
                }
            };
            select(pin!(reads.read_exact(&mut answer)), pin!(write)).await;
        };
        timeout(Duration::from_secs(10), trickle).await.expect("it ends");
        assert_eq!((&answer, begun.elapsed()), (b"HTTP/1.1 408", LIMIT));
        settle().await;
        assert_eq!(log.take(), ["None body took too long"]);
        assert_eq!(io.connections(), usize::from(upgraded));
        drop(ws);
    }
}

async fn over_a_stream_of_any_kind() {
    let io = server();
    echo(&io);
    let mut stream = connection(&io, 4096);
    for _ in 0..2 {
        stream
            .write_all(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut head = [0; 15];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        let mut rest = [0; 1000];
        let length = stream.read(&mut rest).await.unwrap();
        assert!(std::str::from_utf8(&rest[..length]).unwrap().contains("0{\"sid\""));
    }
    let mut ws = Ws::connect(&io).await;
    assert_eq!(ws.ask(r#"["ask"]"#).await, r#"["answer"]"#);
}

async fn over_tls() {
    let io = server();
    echo(&io);
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["sio.test".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = signing_key.serialize_der().try_into().unwrap();
    let config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));

    let (ours, theirs) = pipe(4096);
    spawn({
        let io = io.clone();
        async move {
            let stream = acceptor.accept(theirs).await.unwrap();
            serve_connection(World::current(), io, Io(stream), None).await;
        }
    });
    let stream = connector.connect("sio.test".try_into().unwrap(), ours).await.unwrap();
    let mut ws = Ws::over(stream).await;
    ws.join("/").await;
    assert_eq!(ws.ask(r#"["ask"]"#).await, r#"["answer"]"#);
    // Large, in both directions.
    io.of("/").on("large", async |Data(text): Data<String>| text);
    let mut other = Ws::connect(&io).await;
    let large = "x".repeat(300_000);
    assert_eq!(other.ask(&format!(r#"["large","{large}"]"#)).await, format!(r#"["{large}"]"#));
    io.emit("large", &large).unwrap();
    ws.expect(&format!(r#"42["large","{large}"]"#)).await;
    io.of("/").everyone().disconnect_sockets(true);
    ws.expect("41").await;
    assert_eq!(ws.next().await, None);
}
