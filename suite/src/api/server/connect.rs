//! Who is let in.

use serde::Deserialize;
use sio_driver::{Auth, ConnectError, EmitError, Socket, State};

use crate::api::common::{Log, Polling, Ws, builder, server};
use crate::api::{Case, list};
use crate::world::{settle, sleep, until, yield_now};

pub(super) const CASES: &[Case] = list![
    middlewares_run_in_order_until_one_refuses,
    auth_that_does_not_parse,
    a_middleware_that_asks_for_what_is_not_there,
    nothing_reaches_a_client_before_it_is_let_in,
    a_client_that_leaves_while_it_is_being_let_in,
    a_namespace_that_is_not_there,
    the_handshake_is_kept,
    a_server_lives_as_long_as_its_sockets,
    a_disconnect_is_told_although_the_place_is_taken,
];

#[derive(Deserialize)]
struct Login {
    password: String,
}

async fn middlewares_run_in_order_until_one_refuses() {
    let io = server();
    let log = Log::default();
    let (one, two, three, connected) = (log.clone(), log.clone(), log.clone(), log.clone());
    io.of("/")
        .use_(move || {
            let one = one.clone();
            async move {
                yield_now().await;
                one.push("one");
                Ok(())
            }
        })
        .use_(move |Auth(login): Auth<Login>| {
            two.push("two");
            async move {
                match login.password.as_str() {
                    "secret" => Ok(()),
                    other => Err(ConnectError::new("wrong password").data(&[other])),
                }
            }
        })
        .use_(move || {
            three.push("three");
            async { Ok(()) }
        })
        .on_connect(move || {
            connected.push("connected");
            async {}
        });
    let mut ws = Ws::open(&io).await;
    ws.send(r#"40{"password":"guess"}"#).await;
    ws.expect(r#"44{"message":"wrong password","data":["guess"]}"#).await;
    assert_eq!(log.take(), ["one", "two"]);
    assert!(io.of("/").is_empty());
    // The same connection may try again.
    ws.send(r#"40{"password":"secret"}"#).await;
    assert!(ws.recv().await.starts_with("40{"));
    until(|| log.len() == 4).await;
    assert_eq!(log.take(), ["one", "two", "three", "connected"]);
    assert_eq!(io.of("/").len(), 1);
}

async fn auth_that_does_not_parse() {
    let io = server();
    io.of("/").use_(async |Auth(_): Auth<Login>| Ok(()));
    let errors = Log::default();
    let reported = errors.clone();
    io.of("/").on_error(move |_, error| reported.push(error.to_string()));
    let mut ws = Ws::open(&io).await;
    ws.send("40").await;
    ws.expect(r#"44{"message":"auth: missing field `password` at line 1 column 2"}"#).await;
    assert_eq!(errors.take(), ["auth: missing field `password` at line 1 column 2"]);
}

/// What is wrong with the server is not told to clients.
async fn a_middleware_that_asks_for_what_is_not_there() {
    let io = server();
    io.of("/").use_(async |State(_): State<u64>| Ok(()));
    let errors = Log::default();
    let reported = errors.clone();
    io.of("/").on_error(move |_, error| reported.push(error.to_string()));
    let mut ws = Ws::open(&io).await;
    ws.send("40").await;
    ws.expect(r#"44{"message":"Internal server error"}"#).await;
    assert_eq!(errors.take(), ["no state of type u64 was given to the builder"]);
}

async fn nothing_reaches_a_client_before_it_is_let_in() {
    let io = server();
    let log = Log::default();
    let tried = log.clone();
    io.of("/")
        .use_(async |socket: Socket| {
            socket.join("early");
            let error = socket.emit("early", &()).unwrap_err();
            assert_eq!(error, EmitError::NotConnected);
            assert!(!socket.is_connected());
            let _ = socket.namespace().to("early").emit("early", &());
            Ok(())
        })
        .on_connect(move |socket: Socket| {
            tried.push(socket.is_connected().to_string());
            async {}
        });
    let mut ws = Ws::connect(&io).await;
    io.to("early").emit("later", &()).unwrap();
    ws.expect(r#"42["later"]"#).await;
    assert_eq!(log.take(), ["true"]);
}

async fn a_client_that_leaves_while_it_is_being_let_in() {
    let io = server();
    let log = Log::default();
    let (connected, left) = (log.clone(), log.clone());
    io.of("/")
        .use_(async || {
            sleep(std::time::Duration::from_millis(10)).await;
            Ok(())
        })
        .on_connect(move || {
            connected.push("connected");
            async {}
        })
        .on_disconnect(move || {
            left.push("left");
            async {}
        });
    let mut ws = Ws::open(&io).await;
    ws.send("40").await;
    settle().await;
    drop(ws);
    until(|| io.connections() == 0).await;
    assert_eq!((log.take(), io.of("/").len()), (vec![], 0));
}

async fn a_namespace_that_is_not_there() {
    let io = server();
    let mut ws = Ws::open(&io).await;
    ws.send("40/chat,").await;
    ws.expect(r#"44/chat,{"message":"Invalid namespace"}"#).await;
    let one = io.of("chat");
    assert_eq!((one.name().as_str(), io.of("/chat").name().as_str()), ("/chat", "/chat"));
    assert_eq!(io.of("/chat/").name().as_str(), "/chat/", "another one");
    ws.join("/chat").await;
    assert_eq!((one.len(), io.of("/chat/").len()), (1, 0));
}

async fn the_handshake_is_kept() {
    let io = server();
    let log = Log::default();
    let seen = log.clone();
    io.of("/").on_connect(move |socket: Socket| {
        let handshake = socket.handshake();
        seen.push(format!(
            "{} {:?} {:?}",
            handshake.query(),
            handshake.headers.get("host"),
            handshake.remote_addr
        ));
        async {}
    });
    let _ws = Ws::connect(&io).await;
    until(|| log.len() == 1).await;
    assert_eq!(log.take(), [r#"EIO=4&transport=websocket Some("sio.test") None"#]);
    Polling::connect(&io).await;
    assert_eq!(log.take(), ["EIO=4&transport=polling None None"]);
}

async fn a_server_lives_as_long_as_its_sockets() {
    let io = builder().state(String::from("state")).build();
    io.of("/").on("ask", async |State(state): State<String>| state);
    let mut ws = Ws::connect(&io).await;
    settle().await;
    drop(io);
    settle().await;
    assert_eq!(ws.ask(r#"["ask"]"#).await, r#"["state"]"#);
}

/// The core gives a socket's place away as soon as its client is gone, also if its handlers are not done yet.
async fn a_disconnect_is_told_although_the_place_is_taken() {
    let io = builder().shards(1).build();
    let log = Log::default();
    let (connected, gone) = (log.clone(), log.clone());
    io.of("/")
        .on_connect(move |socket: Socket| {
            connected.push(format!("{} connects", socket.id()));
            async { sleep(std::time::Duration::from_secs(1)).await }
        })
        .on_disconnect(move |socket: Socket| {
            gone.push(format!("{} leaves", socket.id()));
            async {}
        });
    let mut first = Ws::open(&io).await;
    let one = first.join("/").await;
    until(|| log.len() == 1).await;
    first.send("41").await;
    settle().await;
    let mut second = Ws::open(&io).await;
    let two = second.join("/").await;
    until(|| log.len() == 2).await;
    sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(log.take(), [format!("{one} connects"), format!("{two} connects"), format!("{one} leaves")]);
}
