//! Connecting, and not connecting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures_util::future::join;
use serde_json::json;
use sio_driver::{
    Auth, ConnectError, ConnectionError, DisconnectReason, EmitError, Error, Namespace, Socket, Transport,
};

use crate::api::common::{Log, PATIENCE, builder, server};
use crate::api::net::Net;
use crate::api::{Case, list};
use crate::world::{Instant, Notify, settle, sleep, spawn, timeout, until, yield_now};

pub(super) const CASES: &[Case] = list![
    over_each_transport,
    the_first_failure_ends_connect_but_not_build,
    a_failure_before_connect_is_awaited_counts,
    connect_that_is_dropped_connects_no_more,
    not_before_it_is_told_to,
    settings_that_cannot_be_used,
    a_namespace_that_refuses,
    a_namespace_that_does_not_exist,
    several_namespaces_over_one_connection,
    auth_is_shown_and_refreshed,
    auth_that_fails,
    auth_that_never_comes,
    a_server_that_does_not_answer,
    a_server_of_version_2,
    disconnected_and_connected_again,
    closed_for_good,
    waiting_ends,
    auth_that_comes_too_late,
    the_server_counts_one_socket_for_each,
];

const SECOND: Duration = Duration::from_secs(1);

async fn over_each_transport() {
    let io = server();
    io.of("/").on("hello", async || "hi");
    for transports in
        [&[Transport::Polling][..], &[Transport::WebSocket], &[Transport::Polling, Transport::WebSocket]]
    {
        let net = Net::to(&io);
        let client = net.builder().transports(transports.iter().copied()).connect().await.unwrap();
        assert!(client.is_connected() && client.is_active() && !client.recovered());
        assert!(client.id().is_some_and(|id| !id.is_empty()));
        assert_eq!(client.namespace(), "/");
        until(|| client.transport() == transports.last().copied()).await;
        let reply: String = client.emit_with_ack("hello", &()).await.unwrap();
        assert_eq!(reply, "hi");
        client.close().await;
        assert_eq!((client.id(), client.transport()), (None, None));
        assert!(!client.is_connected() && !client.is_active());
        settle().await;
        assert_eq!(io.connections(), 0);
    }
}

async fn the_first_failure_ends_connect_but_not_build() {
    let net = Net::default();
    let begun = Instant::now();
    let error = net.builder().connect().await.unwrap_err();
    assert!(matches!(error, ConnectionError::Transport(_)), "{error}");
    assert!(begun.elapsed() < SECOND);
    sleep(60 * SECOND).await;
    assert_eq!(net.dials(), 1, "it does not go on trying");

    let client = net.builder().build().unwrap();
    let error = client.connected().await.unwrap_err();
    assert!(matches!(error, ConnectionError::Transport(_)), "{error}");
    assert!(client.is_active() && !client.is_connected());
    let io = server();
    net.serve(&io);
    // The next failure would be news; there is none.
    client.connected().await.unwrap();
}

/// What counts is what happened since `connect` was called, not since it is awaited.
async fn a_failure_before_connect_is_awaited_counts() {
    let net = Net::default();
    let connecting = net.builder().reconnection_attempts(0).connect();
    settle().await;
    timeout(SECOND, connecting).await.expect("it has failed already").unwrap_err();
    let connecting = net.builder().connect();
    settle().await;
    let io = server();
    net.serve(&io);
    connecting.await.unwrap_err();
}

async fn connect_that_is_dropped_connects_no_more() {
    let net = Net::default();
    drop(net.builder().connect());
    assert!(timeout(Duration::ZERO, net.builder().connect()).await.is_err());
    sleep(60 * SECOND).await;
    assert_eq!(net.dials(), 0);
}

async fn not_before_it_is_told_to() {
    let io = server();
    let net = Net::to(&io);
    let client = net.builder().auto_connect(false).build().unwrap();
    sleep(60 * SECOND).await;
    assert_eq!(net.dials(), 0);
    assert!(!client.is_active());
    assert_eq!(client.connected().await, Err(ConnectionError::NotConnecting));
    assert!(client.recv().await.is_none());
    client.emit("early", &1).unwrap();
    client.connect();
    client.connected().await.unwrap();
}

async fn settings_that_cannot_be_used() {
    let net = Net::default();
    let error = net.builder().transports([]).build().unwrap_err();
    assert!(matches!(error, ConnectionError::Settings(_)), "{error}");
    for auth in [json!(1), json!([1]), json!(null), json!("x")] {
        let error = net.builder().auth(&auth).build().unwrap_err();
        assert!(matches!(error, ConnectionError::Auth(_)), "{error}");
        let error = net.builder().auth_with(move || {
            let auth = auth.clone();
            async move { Ok(auth) }
        });
        net.serve(&server());
        let error = error.connect().await.unwrap_err();
        assert!(matches!(error, ConnectionError::Auth(_)), "{error}");
    }
}

async fn a_namespace_that_refuses() {
    let io = server();
    let allowed = Arc::new(AtomicUsize::new(0));
    let asked = allowed.clone();
    io.of("/").use_(move || {
        let allowed = asked.load(SeqCst) > 0;
        async move { if allowed { Ok(()) } else { Err(ConnectError::new("no").data(&json!({"code": 7}))) } }
    });
    let net = Net::to(&io);
    let log = Log::default();
    let seen = log.clone();
    let client = net
        .builder()
        .on_connect_error(move |error: ConnectionError| {
            seen.push(error.to_string());
            async {}
        })
        .build()
        .unwrap();
    let Err(ConnectionError::Refused(error)) = client.connected().await else { panic!("let in") };
    assert_eq!(error.message(), "no");
    assert_eq!(error.parse_data::<serde_json::Value>().unwrap()["code"], 7);
    assert!(!client.is_active());
    // Nobody needs the connection, and it is not tried again.
    sleep(60 * SECOND).await;
    assert_eq!(log.take(), ["refused: no"]);
    assert_eq!(io.connections(), 0);
    assert!(client.recv().await.is_none());
    assert!(matches!(client.connected().await, Err(ConnectionError::Refused(_))), "still says why");
    // The application may.
    allowed.store(1, SeqCst);
    client.connect();
    client.connected().await.unwrap();
}

async fn a_namespace_that_does_not_exist() {
    let io = server();
    let _ = io.of("/");
    let net = Net::to(&io);
    let client = net.ws().connect().await.unwrap();
    let other = client.socket("/other");
    assert!(matches!(other.connected().await, Err(ConnectionError::Refused(_))));
    assert!(client.is_connected() && !other.is_active());
}

async fn several_namespaces_over_one_connection() {
    let io = server();
    for name in ["/", "/admin", "/news"] {
        io.of(name).on("where", async |namespace: Namespace| namespace.name().to_string());
    }
    let net = Net::to(&io);
    let client = net.ws().connect().await.unwrap();
    let admin = client.socket("/admin");
    assert_eq!(admin, client.socket("admin"), "the same");
    assert_ne!(admin, *client);
    let log = Log::default();
    let seen = log.clone();
    let news = client
        .socket_with("/news", |socket| {
            socket.on("first", move || {
                seen.push("first");
                async {}
            })
        })
        .unwrap();
    for (socket, name) in [(&admin, "/admin"), (&news, "/news"), (&*client, "/")] {
        socket.connected().await.unwrap();
        assert_eq!(socket.emit_with_ack::<String, _>("where", &()).await.unwrap(), name);
    }
    io.of("/news").emit("first", &()).unwrap();
    until(|| log.len() == 1).await;
    assert_eq!((io.connections(), net.dials()), (1, 1));

    // Left and joined again, each for itself.
    admin.disconnect();
    assert!(!admin.is_connected());
    settle().await;
    assert_eq!((io.of("/admin").len(), io.of("/").len()), (0, 1));
    admin.emit("later", &()).unwrap();
    assert_eq!(
        admin.connected().await,
        Err(ConnectionError::Disconnected(DisconnectReason::IoClientDisconnect))
    );
    admin.connect();
    admin.connected().await.unwrap();

    // The connection ends with the last one, and comes back with the first.
    for socket in [&admin, &news, &*client] {
        socket.disconnect();
    }
    sleep(10 * SECOND).await;
    assert_eq!(io.connections(), 0);
    news.connect();
    news.connected().await.unwrap();
    assert_eq!((io.connections(), io.of("/").len(), net.dials()), (1, 0, 1));
    assert_eq!(client.socket_with("/x", |socket| socket.auth(&1)).map(drop), {
        Err(ConnectionError::Auth("must be an object, not a number".into()))
    });
}

async fn auth_is_shown_and_refreshed() {
    let io = server();
    let log = Log::default();
    let seen = log.clone();
    io.of("/").use_(move |Auth(auth): Auth<serde_json::Value>| {
        seen.push(auth.to_string());
        async { Ok(()) }
    });
    io.of("/other").use_(
        async |Auth(auth): Auth<serde_json::Value>| {
            if auth["token"] == "fixed" { Ok(()) } else { Err(ConnectError::new("who?")) }
        },
    );
    let net = Net::to(&io);
    let count = AtomicUsize::new(0);
    let client = net
        .ws()
        .auth_with(move || {
            let count = count.fetch_add(1, SeqCst);
            async move {
                sleep(5 * SECOND).await;
                Ok(json!({"token": count}))
            }
        })
        .connect()
        .await
        .unwrap();
    let other = client.socket_with("/other", |socket| socket.auth(&json!({"token": "fixed"}))).unwrap();
    other.connected().await.unwrap();
    net.cut();
    until(|| !client.is_connected()).await;
    until(|| client.is_connected()).await;
    assert_eq!(log.take(), [r#"{"token":0}"#, r#"{"token":1}"#]);
}

async fn auth_that_fails() {
    let io = server();
    let net = Net::to(&io);
    let failing = net.ws().auth_with(async || Err::<(), _>(Error::new("expired")));
    assert_eq!(failing.connect().await.map(drop), Err(ConnectionError::Auth("expired".into())));
    let log = Log::default();
    for waits in [false, true] {
        let panicking = net
            .ws()
            .auth_with(move || async move {
                if waits {
                    yield_now().await;
                }
                if true {
                    panic!("secret");
                }
                Ok(())
            })
            .build()
            .unwrap();
        let error = panicking.connected().await.unwrap_err();
        assert_eq!(error.to_string(), "auth: the function that gives it panicked");
        assert!(!panicking.is_active());
        log.push("");
    }
    let at_once = net.ws().auth_with(|| -> std::future::Ready<Result<(), Error>> { panic!("no future") });
    assert!(matches!(at_once.connect().await, Err(ConnectionError::Auth(_))));
    sleep(60 * SECOND).await;
    assert_eq!((io.connections(), log.len()), (0, 2));
}

/// The connection lives on while it waits, and other namespaces are let in.
async fn auth_that_never_comes() {
    let io = builder().ping_interval(SECOND).ping_timeout(SECOND).connect_timeout(3600 * SECOND).build();
    let _ = (io.of("/"), io.of("/other"));
    let net = Net::to(&io);
    let guard = Arc::new(());
    let held = guard.clone();
    let client = net
        .ws()
        .auth_with(move || {
            let held = held.clone();
            async move {
                let _held = held;
                std::future::pending::<()>().await;
                Ok(())
            }
        })
        .build()
        .unwrap();
    client.socket("/other").connected().await.unwrap();
    sleep(60 * SECOND).await;
    assert!(client.socket("/other").is_connected() && !client.is_connected());
    for _ in 0..10 {
        net.cut();
        until(|| !client.socket("/other").is_connected()).await;
        client.socket("/other").connected().await.unwrap();
    }
    assert!(Arc::strong_count(&guard) <= 3, "old questions are given up: {}", Arc::strong_count(&guard));
    timeout(PATIENCE, client.close()).await.unwrap();
    drop(client);
    settle().await;
    assert_eq!(Arc::strong_count(&guard), 1, "nothing is left of the client");
}

async fn a_server_that_does_not_answer() {
    let net = Net::default();
    let mut script = net.script();
    let begun = Instant::now();
    let client = net.ws().timeout(5 * SECOND).build().unwrap();
    let silent = script.accept().await;
    assert_eq!(client.connected().await, Err(ConnectionError::Timeout));
    assert_eq!(begun.elapsed(), 5 * SECOND);
    drop(silent);
    // The namespace's turn to be silent.
    let mut peer = script.open().await;
    peer.expect("40").await;
    client.set_reconnection(false);
    let begun = Instant::now();
    let waiting = client.connected();
    let (error, ()) = join(waiting, async {
        peer.send("2").await;
        sleep(40 * SECOND).await;
        peer.send("2").await;
    })
    .await;
    assert_eq!(error, Err(ConnectionError::Timeout));
    assert_eq!(begun.elapsed(), 45 * SECOND);
    // Late is better than never.
    peer.send(r#"40{"sid":"late"}"#).await;
    client.connected().await.unwrap();
    assert_eq!(client.id().as_deref(), Some("late"));
}

async fn a_server_of_version_2() {
    let net = Net::default();
    let mut script = net.script();
    let client = net.ws().build().unwrap();
    let mut peer = script.open().await;
    peer.send("40").await;
    assert_eq!(client.connected().await, Err(ConnectionError::UnsupportedServer));
    sleep(60 * SECOND).await;
    assert_eq!(net.dials(), 1);
}

/// Of the client as of any of its sockets: nothing is final but `close`.
async fn disconnected_and_connected_again() {
    let io = server();
    io.of("/other");
    let net = Net::to(&io);
    for builder in [net.builder(), net.ws()] {
        let client = builder.connect().await.unwrap();
        let other = client.socket("/other");
        other.connected().await.unwrap();
        client.disconnect();
        settle().await;
        assert!(!client.is_connected() && !client.is_active() && other.is_connected());
        client.emit("waits", &()).unwrap();
        other.disconnect();
        until(|| io.connections() == 0).await;
        client.connect();
        client.connected().await.unwrap();
        assert!(client.is_connected() && !other.is_active());
        client.close().await;
    }
}

async fn closed_for_good() {
    let io = server();
    let net = Net::to(&io);
    let client = net.ws().connect().await.unwrap();
    drop(client.close());
    client.connect();
    assert_eq!(client.emit("late", &()), Err(EmitError::Disconnected));
    assert_eq!(client.volatile().emit("late", &()), Err(EmitError::Disconnected));
    assert!(client.emit_with_ack::<(), _>("late", &()).await.is_err());
    assert!(client.connected().await.is_err());
    assert!(client.recv().await.is_none());
    let other = client.socket("/other");
    assert!(other.connected().await.is_err());
    client.close().await;
    client.close().await;
    client.ready().await;
    settle().await;
    assert_eq!((io.connections(), net.dials()), (0, 1));
}

/// Who waits to be connected hears of it, whatever it is.
async fn waiting_ends() {
    for end in ["disconnect", "close", "drop", "reconnection"] {
        let net = Net::default();
        let mut script = net.script();
        let client = net.ws().build().unwrap();
        let _silent = script.accept().await;
        let socket = client.socket("/");
        let waiting = spawn({
            let socket = client.socket("/other");
            async move { socket.connected().await }
        });
        settle().await;
        match end {
            "disconnect" => client.socket("/other").disconnect(),
            "close" => drop(client.close()),
            "drop" => net.cut(),
            _ => {
                client.set_reconnection(false);
                net.cut();
            }
        }
        let error = timeout(SECOND, waiting).await.expect(end).unwrap().unwrap_err();
        assert!(matches!(error, ConnectionError::NotConnecting | ConnectionError::Transport(_)), "{error}");
        // Without reconnection nothing brings it back.
        assert_eq!(socket.is_active(), matches!(end, "disconnect" | "drop"), "{end}");
    }
}

/// A slow answer on one connection is not shown on the next one.
async fn auth_that_comes_too_late() {
    let net = Net::default();
    let mut script = net.script();
    let (gate, count) = (Arc::new(Notify::new()), AtomicUsize::new(0));
    let open = gate.clone();
    let client = net
        .ws()
        .auth_with(move || {
            let (gate, count) = (open.clone(), count.fetch_add(1, SeqCst));
            async move {
                if count == 0 {
                    gate.notified().await;
                }
                Ok(json!({"n": count}))
            }
        })
        .build()
        .unwrap();
    drop(script.open().await);
    let mut peer = script.open().await;
    peer.expect(r#"40{"n":1}"#).await;
    gate.notify_one();
    settle().await;
    peer.send(r#"40{"sid":"id"}"#).await;
    client.connected().await.unwrap();
    client.emit("next", &()).unwrap();
    peer.expect(r#"42["next"]"#).await;
}

async fn the_server_counts_one_socket_for_each() {
    let io = server();
    io.of("/").on_connect(async |socket: Socket| socket.join("all"));
    let net = Net::to(&io);
    let client = net.ws().connect().await.unwrap();
    client.connect();
    client.connect();
    settle().await;
    assert_eq!(io.of("/").len(), 1);
}
