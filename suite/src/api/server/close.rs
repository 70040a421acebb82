//! The end of a server.

use std::time::Duration;

use futures_util::future::join;
use futures_util::io::{AsyncReadExt as _, AsyncWriteExt as _};
use sio_driver::{DisconnectReason, EmitError, Server, Socket, serve};

use crate::api::common::{Log, PATIENCE, Polling, Ws, builder, connection, server};
use crate::api::{Case, list};
use crate::world::{Listener, World, settle, spawn, timeout, until};

pub(super) const CASES: &[Case] = list![
    what_waits_is_sent_first,
    nobody_is_let_in_any_more,
    listen_returns_and_connections_end,
    from_inside_a_handler,
    from_inside_a_handler_of_a_polling_client,
    twice,
    a_close_that_is_given_up,
    sockets_are_disconnected_one_by_one,
];

async fn what_waits_is_sent_first() {
    let io = server();
    let log = Log::default();
    let left = log.clone();
    io.of("/").on_disconnect(move |reason: DisconnectReason| {
        left.push(reason.to_string());
        async {}
    });
    let mut ws = Ws::connect(&io).await;
    let polling = Polling::connect(&io).await;
    for number in 0..100 {
        io.emit("event", &number).unwrap();
    }
    let closing = spawn({
        let io = io.clone();
        async move { io.close().await }
    });
    for number in 0..100 {
        ws.expect(&format!(r#"42["event",{number}]"#)).await;
    }
    assert_eq!(ws.next().await, None);
    drop(ws);
    settle().await;
    assert!(!closing.is_finished(), "the polling client has not polled");
    let rest = polling.get().await;
    assert_eq!(rest.split(' ').count(), 100);
    assert_eq!(polling.get().await, "1");
    closing.await.unwrap();
    settle().await;
    assert_eq!(log.take(), ["server shutting down", "server shutting down"]);
    assert_eq!((io.connections(), io.of("/").len()), (0, 0));
}

async fn nobody_is_let_in_any_more() {
    let io = server();
    let polling = Polling::connect(&io).await;
    let socket = io.of("/").sockets().remove(0);
    socket.emit("last", &()).unwrap();
    let closing = spawn({
        let io = io.clone();
        async move { io.close().await }
    });
    settle().await;
    let (status, body) = Polling { io: io.clone(), sid: String::new() }.request("GET", "").await;
    assert_eq!(status, 503, "{body}");
    let mut stream = connection(&io, 1024);
    stream.write_all(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("and the connection ends");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!(socket.emit("later", &()), Err(EmitError::Disconnected));
    assert_eq!(polling.get().await, r#"42["last"]"#);
    assert_eq!(polling.get().await, "1");
    closing.await.unwrap();
}

async fn listen_returns_and_connections_end() {
    let io = server();
    let listener = Listener::new();
    let port = listener.port();
    let serving = spawn(serve(World::current(), listener, io.clone()));
    // One that has not said anything, one that idles after a request, one with a poll that waits, and a WebSocket.
    let mut silent = port.connect().unwrap();
    let mut idle = port.connect().unwrap();
    idle.write_all(b"GET /elsewhere HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    idle.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 404");
    let polling = Polling::connect(&io).await;
    let mut waiting = port.connect().unwrap();
    let poll =
        format!("GET /socket.io/?EIO=4&transport=polling&sid={} HTTP/1.1\r\nhost: x\r\n\r\n", polling.sid);
    waiting.write_all(poll.as_bytes()).await.unwrap();
    let mut ws = Ws::over(port.connect().unwrap()).await;
    ws.join("/").await;
    settle().await;
    assert!(!serving.is_finished());

    let closing = async {
        io.close().await;
        serving.await.unwrap().unwrap();
    };
    let watching = async {
        assert_eq!(ws.next().await, None);
        let mut rest = String::new();
        waiting.read_to_string(&mut rest).await.unwrap();
        assert!(rest.ends_with("\r\n\r\n1"), "{rest}");
        for stream in [&mut silent, &mut idle] {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
        }
    };
    timeout(Duration::from_secs(3), join(closing, watching)).await.expect("at once");
    assert!(port.connect().is_err(), "nobody listens there any more");
}

async fn from_inside_a_handler() {
    let io = server();
    let log = Log::default();
    let done = log.clone();
    io.of("/").on("shut down", move |server: Server| {
        let done = done.clone();
        async move {
            server.close().await;
            done.push("closed");
        }
    });
    let mut ws = Ws::connect(&io).await;
    ws.send(r#"42["shut down"]"#).await;
    assert_eq!(ws.next().await, None);
    until(|| log.len() == 1).await;
    assert_eq!(io.connections(), 0);
}

async fn from_inside_a_handler_of_a_polling_client() {
    let io = server();
    let log = Log::default();
    let done = log.clone();
    io.of("/").on("close", move |server: Server| {
        let done = done.clone();
        async move {
            server.close().await;
            done.push("closed");
        }
    });
    let polling = Polling::connect(&io).await;
    polling.post(r#"42["close"]"#).await;
    until(|| log.len() == 1).await;
    until(|| io.connections() == 0).await;
}

async fn twice() {
    let io = server();
    let mut ws = Ws::connect(&io).await;
    let closing: Vec<_> = (0..3)
        .map(|_| {
            let io = io.clone();
            spawn(async move { io.close().await })
        })
        .collect();
    assert_eq!(ws.next().await, None);
    drop(ws);
    for closing in closing {
        timeout(PATIENCE, closing).await.unwrap().unwrap();
    }
    timeout(PATIENCE, io.close()).await.expect("and again");
    serve(World::current(), Listener::new(), io).await.expect("it returns at once");
}

/// Somebody who gives up waiting must not leave anything behind, nor keep the others from waiting.
async fn a_close_that_is_given_up() {
    let io = builder().close_timeout(Duration::from_secs(20)).build();
    let polling = Polling::connect(&io).await;
    io.emit("last", &()).unwrap();
    for _ in 0..5 {
        assert!(timeout(Duration::from_secs(1), io.close()).await.is_err());
    }
    let second = spawn({
        let io = io.clone();
        async move { io.close().await }
    });
    settle().await;
    assert_eq!(polling.get().await, r#"42["last"]"#);
    assert_eq!(polling.get().await, "1");
    second.await.unwrap();
}

async fn sockets_are_disconnected_one_by_one() {
    let io = server();
    io.of("/").on("leave", async |socket: Socket| socket.disconnect()).on("end", async |socket: Socket| {
        socket.disconnect_connection();
        // It is gone already; none of this does anything, or any harm.
        socket.disconnect_connection();
        socket.disconnect();
        socket.join("room");
        assert_eq!(socket.emit("late", &()), Err(EmitError::Disconnected));
    });
    io.of("/other");
    let mut ws = Ws::connect(&io).await;
    ws.join("/other").await;
    ws.send(r#"42["leave"]"#).await;
    ws.expect("41").await;
    assert_eq!((io.of("/").len(), io.of("/other").len()), (0, 1));
    ws.join("/").await;
    ws.send(r#"42["end"]"#).await;
    let mut left = [ws.recv().await, ws.recv().await];
    left.sort();
    assert_eq!(left, ["41", "41/other,"]);
    assert_eq!(ws.next().await, None);
    settle().await;
    assert_eq!((io.of("/").len(), io.of("/other").len(), io.connections()), (0, 0, 0));
}
