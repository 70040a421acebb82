//! The cases. Each is a test of every adapter.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join;
use futures_util::io::{AsyncReadExt as _, AsyncWriteExt as _};
use serde::{Deserialize, Serialize};
use sio_driver::{
    Ack, AckError, Auth, ClientSocket, ConnectError, ConnectionError, Data, DisconnectReason, Io, Runtime,
    Socket, State, Tls, Transport, TransportError,
};

use crate::net::{certificates, proxy as start_proxy, serve, spawn};
use crate::{Adapter, PATIENCE, sleep, until};

const SOON: Duration = Duration::from_millis(50);

/// An event with everything in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Letter {
    text: String,
    image: Bytes,
}

/// A server that answers, asks back, and shows that order is kept.
fn server<A: Adapter>() -> A::Server {
    let seen = Arc::new(Mutex::new(Vec::<u32>::new()));
    let io = A::server().state(seen).build();
    io.of("/")
        .on("hello", async |socket: Socket, Data(name): Data<String>| {
            socket.emit("greet", &name)?;
            let back: u32 = socket.emit_with_ack("ask", &()).timeout(PATIENCE).await?;
            Ok(format!("hi {name} {back}"))
        })
        .on("letter", async |Data(letter): Data<Letter>| {
            let image = letter.image.iter().rev().copied().collect::<Vec<_>>().into();
            Data(Letter { text: letter.text.to_uppercase(), image })
        })
        .on("count", async |State(seen): State<Arc<Mutex<Vec<u32>>>>, Data(number): Data<u32>| {
            seen.lock().expect("no panic").push(number);
        })
        .on("counted", async |State(seen): State<Arc<Mutex<Vec<u32>>>>| {
            std::mem::take(&mut *seen.lock().expect("no panic"))
        })
        .on("connections", async |server: A::Server| server.connections());
    io
}

/// All that can be said over a connection.
async fn talk(client: &sio_driver::Client) {
    client.on("ask", async |_: ClientSocket| 42);
    let hello = async { client.emit_with_ack::<String, _>("hello", "world").timeout(PATIENCE).await };
    // A client with handlers keeps other events only from the first call on.
    let (greeting, reply) = join(client.recv(), hello).await;
    assert_eq!(reply.as_deref(), Ok("hi world 42"));
    let greeting = greeting.expect("a greeting");
    assert_eq!((&*greeting.name(), greeting.data::<String>().expect("text")), ("greet", "world".to_owned()));
    // More than any buffer on the way holds.
    let image: Bytes = (0..500_000u32).map(|at| at.to_le_bytes()[1]).collect();
    let letter = Letter { text: "straße".repeat(1000), image };
    let back: Letter = client.emit_with_ack("letter", &letter).timeout(PATIENCE).await.expect("an answer");
    assert!(back.text.starts_with("STRASSE") && back.image.iter().rev().eq(&letter.image));
    for number in 0..1000u32 {
        client.emit("count", &number).expect("it is connected");
    }
    let counted: Vec<u32> = client.emit_with_ack("counted", &()).timeout(PATIENCE).await.expect("an answer");
    assert!(counted.into_iter().eq(0..1000));
    let connections: usize =
        client.emit_with_ack("connections", &()).timeout(PATIENCE).await.expect("a number");
    assert_eq!(connections, 1);
}

async fn over<A: Adapter>(transports: &[Transport]) {
    let io = server::<A>();
    let url = serve::<A>(&io).await;
    let client =
        A::client(&url).transports(transports.iter().copied()).connect().await.expect("a connection");
    if transports.len() == 1 {
        assert_eq!(client.transport(), Some(transports[0]));
    }
    talk(&client).await;
    until::<A>(|| client.transport() == transports.last().copied()).await;
    talk(&client).await;
    client.close().await;
    io.close().await;
}

/// Over HTTP alone.
pub async fn polling<A: Adapter>() {
    over::<A>(&[Transport::Polling]).await;
}

/// Over a WebSocket from the start.
pub async fn websocket<A: Adapter>() {
    over::<A>(&[Transport::WebSocket]).await;
}

/// From one to the other, while there is something to say.
pub async fn upgrade<A: Adapter>() {
    over::<A>(&[Transport::Polling, Transport::WebSocket]).await;
}

/// Two namespaces over one connection; one of them has a door.
pub async fn namespaces<A: Adapter>() {
    let io = server::<A>();
    io.of("/admin")
        .use_(async |socket: Socket, Auth(auth): Auth<serde_json::Value>| {
            assert!(socket.handshake().remote_addr.is_some_and(|address| address.ip().is_loopback()));
            if auth["token"] == "secret" { Ok(()) } else { Err(ConnectError::new("not you")) }
        })
        .on("who", async || "admin");
    let url = serve::<A>(&io).await;
    let client = A::connect(&url).await.expect("a connection");
    let refused = client.socket("/admin").connected().await;
    let Err(ConnectionError::Refused(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.message(), "not you");
    let other = A::client(&format!("{url}/admin"))
        .auth(&serde_json::json!({ "token": "secret" }))
        .connect()
        .await
        .expect("a connection");
    let who: String = other.emit_with_ack("who", &()).timeout(PATIENCE).await.expect("an answer");
    assert_eq!(who, "admin");
    talk_only_here(&other).await;
    client.close().await;
    other.close().await;
    io.close().await;
}

/// Events of `/` are not those of another namespace, but their connection is the same.
async fn talk_only_here(admin: &sio_driver::Client) {
    let root = admin.socket("/");
    root.connected().await.expect("it is open to all");
    let letter = Letter { text: "a".into(), image: Bytes::from_static(b"bc") };
    let back: Letter = root.emit_with_ack("letter", &letter).timeout(PATIENCE).await.expect("an answer");
    assert_eq!((&*back.text, &*back.image), ("A", &b"cb"[..]));
    let nobody = admin.emit_with_ack::<Letter, _>("letter", &letter).timeout(SOON).await;
    assert_eq!(nobody, Err(AckError::Timeout));
}

/// Broadcasts reach who they should, on both transports.
pub async fn rooms<A: Adapter>() {
    let io = server::<A>();
    io.of("/")
        .on("join", async |socket: Socket, Data(room): Data<String>| {
            socket.join(room);
            true
        })
        .on("say", async |socket: Socket, Data((room, text)): Data<(String, Bytes)>| {
            socket.to(room).emit("said", &text)?;
            Ok(())
        });
    let url = serve::<A>(&io).await;
    let mut clients = Vec::new();
    for transport in [Transport::Polling, Transport::WebSocket, Transport::WebSocket] {
        let client = A::client(&url).transports([transport]).connect().await.expect("a connection");
        let room = if clients.len() < 2 { "a" } else { "b" };
        client.emit_with_ack::<bool, _>("join", room).timeout(PATIENCE).await.expect("an answer");
        clients.push(client);
    }
    clients[2].emit("say", &("a", Bytes::from_static(b"one"))).expect("it is connected");
    for client in &clients[..2] {
        let event = client.recv().await.expect("an event");
        assert_eq!(event.data::<Bytes>().expect("bytes"), "one");
    }
    io.to("b").emit("said", &Bytes::from_static(b"two")).expect("there is room");
    let event = clients[2].recv().await.expect("an event");
    assert_eq!(event.data::<Bytes>().expect("bytes"), "two", "and not its own");
    io.close().await;
}

/// A server goes, and another one comes to its place.
pub async fn reconnection<A: Adapter>() {
    let first = server::<A>();
    let (listener, address) = A::bind("127.0.0.1:0").await.expect("a port");
    let (done, ended) = futures_util::future::abortable(std::future::pending::<()>());
    let serving = A::serve(first.clone(), listener);
    spawn::<A>(async move {
        serving.await.expect("it accepts connections");
        ended.abort();
    });
    let left = Arc::new(AtomicUsize::new(0));
    let count = left.clone();
    let client = A::client(&format!("http://{address}"))
        .reconnection_delay(SOON)
        .reconnection_delay_max(SOON)
        .on_disconnect(move |_: DisconnectReason| {
            count.fetch_add(1, SeqCst);
            async {}
        })
        .connect()
        .await
        .expect("a connection");
    talk(&client).await;
    first.close().await;
    let _ = done.await;
    until::<A>(|| !client.is_connected()).await;
    for number in 0..10u32 {
        client.emit("count", &number).expect("it waits");
    }
    // Some attempts fail meanwhile.
    sleep::<A>(SOON * 4).await;
    assert!(!client.is_connected());
    let second = server::<A>();
    let (listener, _) = A::bind(&address.to_string()).await.expect("the same port");
    let serving = A::serve(second.clone(), listener);
    spawn::<A>(async move { serving.await.expect("it accepts connections") });
    let counted: Vec<u32> = client.emit_with_ack("counted", &()).timeout(PATIENCE).await.expect("an answer");
    assert!(counted.into_iter().eq(0..10));
    assert_eq!(left.load(SeqCst), 1);
    talk(&client).await;
    client.close().await;
    second.close().await;
}

/// Who answers pings stays, who does not is put out.
pub async fn heartbeat<A: Adapter>() {
    // Long enough for a busy machine to answer in.
    let timeout = SOON * 30;
    let io = A::server().ping_interval(SOON).ping_timeout(timeout).build();
    let url = serve::<A>(&io).await;
    let mut clients = Vec::new();
    for transport in [Transport::Polling, Transport::WebSocket] {
        clients.push(A::client(&url).transports([transport]).connect().await.expect("a connection"));
    }
    let address = url.strip_prefix("http://").expect("a URL");
    let (host, port) = address.split_once(':').expect("an address");
    let port = port.parse().expect("a port");
    let mut silent = Io(A::Runtime::default().connect(host, port).await.expect("a connection"));
    let request = format!("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let began = Instant::now();
    silent.write_all(request.as_bytes()).await.expect("a stream");
    let mut answer = [0; 12];
    silent.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    until::<A>(|| io.connections() == 3).await;
    until::<A>(|| io.connections() == 2).await;
    assert!(began.elapsed() >= SOON + timeout, "{:?}", began.elapsed());
    // They were there before it.
    assert!(clients.iter().all(|client| client.is_connected()));
    assert_eq!(io.connections(), 2);
    io.close().await;
}

/// Nobody waits for ever, on either side.
pub async fn ack_timeout<A: Adapter>() {
    let io = A::server().build();
    io.of("/")
        .on("never", async |ack: Ack| {
            sleep::<A>(SOON * 4).await;
            drop(ack);
        })
        .on("ask", async |socket: Socket| {
            let began = Instant::now();
            let answer = socket.emit_with_ack::<u32, _>("nobody listens", &()).timeout(SOON).await;
            answer == Err(AckError::Timeout) && began.elapsed() >= SOON
        });
    let url = serve::<A>(&io).await;
    let client = A::connect(&url).await.expect("a connection");
    let began = Instant::now();
    let answer = client.emit_with_ack::<u32, _>("never", &()).timeout(SOON).await;
    assert_eq!(answer, Err(AckError::Timeout));
    assert!(began.elapsed() >= SOON, "{:?}", began.elapsed());
    let timed_out: bool = client.emit_with_ack("ask", &()).timeout(PATIENCE).await.expect("an answer");
    assert!(timed_out);
    client.close().await;
    io.close().await;
}

/// With a root that nobody else trusts; and that nobody else does.
pub async fn tls<A: Adapter>() {
    let (root, config) = certificates(&["localhost", "127.0.0.1"]);
    let io = server::<A>();
    io.of("/").use_(
        async |socket: Socket| {
            if socket.handshake().secure { Ok(()) } else { Err(ConnectError::new("not over TLS")) }
        },
    );
    let (listener, address) = A::bind("127.0.0.1:0").await.expect("a port");
    let serving = A::serve_tls(io.clone(), listener, config);
    spawn::<A>(serving);
    let trust = Tls::new().without_default_roots().root_certificates_pem(root.as_bytes()).expect("a root");
    for (host, transports) in [
        ("localhost", &[Transport::Polling, Transport::WebSocket][..]),
        ("127.0.0.1", &[Transport::WebSocket]),
        ("127.0.0.1", &[Transport::Polling]),
    ] {
        let builder = A::client(&format!("https://{host}:{}", address.port()));
        let client = builder.tls(trust.clone()).transports(transports.iter().copied()).connect().await;
        let client = client.expect("a connection");
        talk(&client).await;
        until::<A>(|| client.transport() == transports.last().copied()).await;
        talk(&client).await;
        client.close().await;
        until::<A>(|| io.connections() == 0).await;
    }
    let distrusted = A::connect(&format!("https://{address}")).await.err();
    let is_tls = matches!(distrusted, Some(ConnectionError::Transport(TransportError::Tls(_))));
    assert!(is_tls, "{distrusted:?}");
    io.close().await;
}

/// Through an HTTP proxy, which is asked for a tunnel.
pub async fn proxy<A: Adapter>() {
    let io = server::<A>();
    let url = serve::<A>(&io).await;
    let (proxy, tunnels) = start_proxy::<A>().await;
    let client = A::client(&url).proxy(proxy).connect().await.expect("a connection");
    until::<A>(|| client.transport() == Some(Transport::WebSocket)).await;
    talk(&client).await;
    client.close().await;
    io.close().await;
    assert!(tunnels.load(SeqCst) >= 2);
}

/// What was said before the end arrives, and then everything ends.
pub async fn close<A: Adapter>() {
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let io = server::<A>();
    let log = reasons.clone();
    io.of("/").on_disconnect(move |reason: DisconnectReason| {
        log.lock().expect("no panic").push(reason.to_string());
        async {}
    });
    let (listener, address) = A::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{address}");
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let serving = A::serve(io.clone(), listener);
    spawn::<A>(async move {
        serving.await.expect("it accepts connections");
        count.fetch_add(1, SeqCst);
    });
    let leaving = A::connect(&url).await.expect("a connection");
    leaving.close().await;
    until::<A>(|| reasons.lock().expect("no panic").len() == 1).await;
    assert_eq!(*reasons.lock().expect("no panic"), ["client namespace disconnect"]);
    let mut clients = Vec::new();
    for transport in [Transport::Polling, Transport::WebSocket] {
        let builder = A::client(&url).transports([transport]).reconnection(false);
        clients.push(builder.connect().await.expect("a connection"));
    }
    for number in 0..100u32 {
        io.emit("last", &number).expect("there is room");
    }
    io.close().await;
    for client in &clients {
        for number in 0..100u32 {
            let event = client.recv().await.expect("an event");
            assert_eq!(event.data::<u32>().expect("a number"), number);
        }
        until::<A>(|| !client.is_connected()).await;
    }
    until::<A>(|| ended.load(SeqCst) == 1).await;
    assert_eq!(io.connections(), 0);
    let refused = A::connect(&url).await.err();
    assert!(matches!(refused, Some(ConnectionError::Transport(_))), "{refused:?}");
}

/// The short ways.
pub async fn listen_and_connect<A: Adapter>() {
    let (listener, address) = A::bind("127.0.0.1:0").await.expect("a port");
    let io = server::<A>();
    A::listen(io.clone(), address).await.expect_err("somebody listens there");
    drop(listener);
    let listening = A::listen(io.clone(), address);
    spawn::<A>(async move { listening.await.expect("it listens") });
    let client = A::client(&format!("http://localhost:{}", address.port())).reconnection_delay(SOON).build();
    let client = client.expect("settings");
    client.connected().await.ok();
    until::<A>(|| client.is_connected()).await;
    client.close().await;
    until::<A>(|| io.connections() == 0).await;
    let client = A::connect(&address.to_string()).await.expect("a connection");
    talk(&client).await;
    client.close().await;
    io.close().await;
}

/// Calls `probe` in handlers of all kinds, on both sides.
///
/// Not one of the suite: what is to be found there differs.
pub async fn inside_handlers<A: Adapter>(probe: fn()) {
    let io = A::server().state(probe).build();
    io.of("/")
        .use_(async |State(probe): State<fn()>| {
            probe();
            Ok::<(), ConnectError>(())
        })
        .on_connect(async |State(probe): State<fn()>| probe())
        .on("ask", async |State(probe): State<fn()>, socket: Socket| {
            probe();
            let back: u32 = socket.emit_with_ack("ask", &()).timeout(PATIENCE).await?;
            probe();
            Ok(back)
        });
    let url = serve::<A>(&io).await;
    for transport in [Transport::Polling, Transport::WebSocket] {
        let client = A::client(&url)
            .transports([transport])
            .state(probe)
            .on_connect(async |State(probe): State<fn()>| probe())
            .on("ask", async |State(probe): State<fn()>| {
                probe();
                7
            })
            .connect()
            .await
            .expect("a connection");
        let seven: u32 =
            client.emit_with_ack("ask", &()).timeout(PATIENCE).await.expect("no probe has panicked");
        assert_eq!(seven, 7);
        client.close().await;
    }
    io.close().await;
}
