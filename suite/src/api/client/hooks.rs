//! What is told about the connection, and in which order.

use std::time::Duration;

use sio_driver::{
    Attempt, Client, ClientBuilder, ClientSocket, ConnectError, ConnectionError, DisconnectReason,
};

use crate::api::common::{Log, server};
use crate::api::net::Net;
use crate::api::{Case, list};
use crate::world::{Instant, settle, sleep, until};

pub(super) const CASES: &[Case] =
    list![a_life, reasons, each_namespace_hears_its_own, hooks_that_wait_or_fail,];

const SECOND: Duration = Duration::from_secs(1);

/// Writes down everything.
fn observed(mut builder: ClientBuilder<Client>, log: &Log) -> ClientBuilder<Client> {
    let push = |log: &Log, entry: String| {
        log.push(entry);
        std::future::ready(())
    };
    let l = log.clone();
    builder = builder
        .on_connect(move |socket: ClientSocket| push(&l, format!("connect {}", socket.is_connected())));
    let l = log.clone();
    builder =
        builder.on_connect_error(move |error: ConnectionError| push(&l, format!("connect_error {error}")));
    let l = log.clone();
    builder = builder.on_disconnect(move |reason: DisconnectReason| {
        // What an end without a close frame is called is not the matter here.
        let reason = reason.to_string().replace("transport error", "transport close");
        push(&l, format!("disconnect {reason}"))
    });
    let l = log.clone();
    builder = builder.on_reconnect_attempt(move |Attempt(n): Attempt| push(&l, format!("attempt {n}")));
    let l = log.clone();
    builder = builder.on_reconnect(move |Attempt(n): Attempt| push(&l, format!("reconnect {n}")));
    let l = log.clone();
    builder = builder
        .on_reconnect_error(move |error: ConnectionError| push(&l, format!("reconnect_error {error}")));
    let l = log.clone();
    builder.on_reconnect_failed(move || push(&l, "reconnect_failed".into()))
}

async fn a_life() {
    let io = server();
    let net = Net::to(&io);
    let log = Log::default();
    let builder = observed(net.ws(), &log).reconnection_attempts(3).randomization_factor(0.0);
    let client = builder.connect().await.unwrap();
    settle().await;
    assert_eq!(log.take(), ["connect true"]);

    let begun = Instant::now();
    net.cut();
    until(|| client.is_connected() && log.len() >= 4).await;
    assert_eq!(log.take(), ["disconnect transport close", "attempt 1", "reconnect 1", "connect true"]);
    assert_eq!(begun.elapsed().as_secs(), 1);

    net.down();
    net.cut();
    let begun = Instant::now();
    assert!(client.recv().await.is_none(), "it gives up");
    assert_eq!(begun.elapsed().as_secs(), 7, "after 1, 2 and 4 s");
    let failure = "sio.test:80: cannot connect: connection refused";
    assert_eq!(
        log.take(),
        [
            "disconnect transport close",
            "attempt 1",
            &format!("connect_error {failure}"),
            &format!("reconnect_error {failure}"),
            "attempt 2",
            &format!("connect_error {failure}"),
            &format!("reconnect_error {failure}"),
            "attempt 3",
            &format!("connect_error {failure}"),
            &format!("reconnect_error {failure}"),
            "reconnect_failed",
        ]
    );
    // Until it is told to.
    net.serve(&io);
    sleep(60 * SECOND).await;
    client.connect();
    client.connected().await.unwrap();
    settle().await;
    assert_eq!(log.take(), ["connect true"]);

    io.of("/").sockets().remove(0).disconnect();
    until(|| log.len() == 1).await;
    sleep(60 * SECOND).await;
    assert_eq!(log.take(), ["disconnect io server disconnect"]);
    client.connect();
    client.connected().await.unwrap();
    client.disconnect();
    until(|| log.len() == 2).await;
    sleep(60 * SECOND).await;
    assert_eq!(log.take(), ["connect true", "disconnect io client disconnect"]);
}

async fn reasons() {
    let net = Net::default();
    let mut script = net.script();
    let log = Log::default();
    let _client = observed(net.ws(), &log).build().unwrap();
    let mut end = async |message: Option<&str>| {
        let mut peer = script.join().await;
        settle().await;
        let _ = log.take();
        match message {
            Some(message) => peer.send(message).await,
            None => sleep(45 * SECOND).await,
        }
        until(|| log.len() > 0).await;
        drop(peer);
        log.take().remove(0)
    };
    assert_eq!(end(Some("4nonsense")).await, "disconnect parse error");
    assert_eq!(end(Some("?")).await, "disconnect parse error");
    assert_eq!(end(None).await, "disconnect ping timeout");
    assert_eq!(end(Some("41")).await, "disconnect io server disconnect");
}

async fn each_namespace_hears_its_own() {
    let io = server();
    let _ = io.of("/");
    io.of("/closed").use_(async || Err(ConnectError::new("closed")));
    let net = Net::to(&io);
    let client = net.ws().connect().await.unwrap();
    let log = Log::default();
    let (connected, refused, attempt, sees) = (log.clone(), log.clone(), log.clone(), log.clone());
    let closed = client
        .socket_with("/closed", move |socket| {
            socket
                .on_connect(move || {
                    connected.push("connected");
                    async {}
                })
                .on_connect_error(move |error: ConnectionError, socket: ClientSocket| {
                    refused.push(format!("{} {error}", socket.namespace()));
                    async {}
                })
        })
        .unwrap();
    closed.on_reconnect_attempt(move |Attempt(n): Attempt| {
        attempt.push(format!("attempt {n}"));
        async {}
    });
    client.on_disconnect(move |socket: ClientSocket| {
        sees.push(format!("{} {}", socket.namespace(), socket.is_active()));
        async {}
    });
    until(|| log.len() == 1).await;
    assert_eq!(log.take(), ["/closed refused: closed"]);
    net.cut();
    until(|| client.is_connected() && log.len() >= 2).await;
    settle().await;
    // The attempts are those of the client as a whole.
    assert_eq!(log.take(), ["/ true", "attempt 1"]);
}

/// A hook that waits holds up its namespace, not the connection; one that panics holds up nothing.
async fn hooks_that_wait_or_fail() {
    let io = server();
    io.of("/").on_connect(async |socket: sio_driver::Socket| {
        socket.emit("first", &())?;
        Ok(())
    });
    let net = Net::to(&io);
    let log = Log::default();
    let (errors, last, first) = (log.clone(), log.clone(), log.clone());
    let client = net
        .ws()
        .on_error(move |_, error| errors.push(error.to_string()))
        .on_connect(async || {
            if true {
                panic!("hook");
            }
        })
        .on_connect(async |_: DisconnectReason| {})
        .on_connect(move || {
            let log = last.clone();
            async move {
                sleep(300 * SECOND).await;
                log.push("last");
            }
        })
        .on("first", move || {
            first.push("first");
            async {}
        })
        .connect()
        .await
        .unwrap();
    sleep(299 * SECOND).await;
    assert_eq!(log.take(), ["handler panicked: hook", "there is no DisconnectReason here"]);
    assert!(client.is_connected());
    until(|| log.len() == 2).await;
    assert_eq!(log.take(), ["last", "first"]);
    assert_eq!(net.dials(), 1);
}
