//! Servers that come and go, and such as do not read.

use std::time::Duration;

use futures_util::io::AsyncReadExt as _;
use sio_driver::{Client, Data, EmitError};

use crate::api::common::{Log, PATIENCE, server};
use crate::api::net::Net;
use crate::api::{Case, list};
use crate::world::{Instant, settle, sleep, spawn, timeout, until};

pub(super) const CASES: &[Case] = list![
    a_server_that_is_restarted_while_events_are_emitted,
    a_server_that_accepts_and_drops_is_not_hammered,
    a_server_that_does_not_read,
    a_server_that_does_not_read_and_falls_silent,
    a_server_that_talks_nonsense,
];

const SECOND: Duration = Duration::from_secs(1);

async fn a_server_that_is_restarted_while_events_are_emitted() {
    let log = Log::default();
    let start = || {
        let io = server();
        let seen = log.clone();
        io.of("/").on("n", move |Data(n): Data<u32>| {
            seen.push(n.to_string());
            async { "seen" }
        });
        io
    };
    let net = Net::default();
    let mut io = start();
    net.serve(&io);
    let client: Client = net.builder().connect().await.unwrap();
    for n in 0..300 {
        client.emit("n", &n).unwrap();
        sleep(Duration::from_millis(50)).await;
        if n % 100 == 99 {
            net.down();
            io.close().await;
            until(|| !client.is_connected()).await;
            client.emit("n", &(1000 + n)).unwrap();
            sleep(10 * SECOND).await;
            io = start();
            net.serve(&io);
        }
    }
    timeout(PATIENCE, client.connected()).await.unwrap().unwrap();
    assert_eq!(client.emit_with_ack::<String, _>("n", &300).await.as_deref(), Ok("seen"));
    let expected = (0..=300).flat_map(|n| {
        let between = (n % 100 == 99).then_some(1000 + n);
        std::iter::once(n).chain(between)
    });
    assert_eq!(log.take(), expected.map(|n| n.to_string()).collect::<Vec<_>>());
}

/// Whatever it accepts before it drops: the connection, the handshake, the namespace.
async fn a_server_that_accepts_and_drops_is_not_hammered() {
    for step in 0..4 {
        let net = Net::default();
        let mut script = net.script();
        let client = net.builder().transports(if step == 0 {
            vec![sio_driver::Transport::Polling, sio_driver::Transport::WebSocket]
        } else {
            vec![sio_driver::Transport::WebSocket]
        });
        let client = client.build().unwrap();
        let dropping = spawn(async move {
            loop {
                match step {
                    0 | 1 => drop(script.accept().await),
                    2 => drop(script.open().await),
                    _ => drop(script.join().await),
                }
            }
        });
        sleep(600 * SECOND).await;
        let dials = net.dials();
        // Every 5 s at most, or every second while it lets us in first.
        let most = if step == 3 { 1300 } else { 260 };
        assert!((100..most).contains(&dials), "{step}: {dials}");
        assert!(client.is_active());
        dropping.abort();
    }
}

async fn a_server_that_does_not_read() {
    let net = Net::default();
    let mut script = net.script();
    let client = net.ws().max_outbox(100_000).build().unwrap();
    let mut peer = script.join().await;
    client.connected().await.unwrap();
    let large = "x".repeat(10_000);
    let mut taken = 0;
    for _ in 0..1000 {
        match client.emit("large", &large) {
            Ok(()) => taken += 1,
            Err(EmitError::Full(_)) => {}
            Err(error) => panic!("{error}"),
        }
        settle().await;
    }
    // What is on the way, what is being written, and what waits.
    assert!((10..60).contains(&taken), "{taken}");
    let waiting = spawn({
        let client = client.clone();
        let large = large.clone();
        async move { client.emit_wait("last", &large).await }
    });
    net.polls();
    settle().await;
    assert!(!waiting.is_finished() && net.polls() < 3, "it sleeps");
    for _ in 0..taken {
        assert!(peer.recv().await.starts_with(r#"42["large""#));
    }
    assert!(peer.recv().await.starts_with(r#"42["last""#));
    waiting.await.unwrap().unwrap();
}

/// The connection is given up although nothing can be written, and what was not written goes over the next one.
async fn a_server_that_does_not_read_and_falls_silent() {
    let net = Net::default();
    let mut script = net.script();
    let client = net.ws().build().unwrap();
    let silent = script.join().await;
    client.connected().await.unwrap();
    for n in 0..100 {
        client.emit("n", &(n, "x".repeat(10_000))).unwrap();
    }
    let begun = Instant::now();
    until(|| !client.is_connected()).await;
    assert_eq!(begun.elapsed().as_secs(), 45);
    let mut peer = script.join().await;
    let first = peer.recv().await;
    let first: u32 = first.trim_start_matches(r#"42["n","#).split(',').next().unwrap().parse().unwrap();
    assert!((1..40).contains(&first), "{first}");
    for n in first + 1..100 {
        let event = peer.recv().await;
        assert!(event.starts_with(&format!(r#"42["n",{n},"#)), "{n}: {event:.40}");
    }
    drop(silent);
}

/// Garbage in place of HTTP.
async fn a_server_that_talks_nonsense() {
    for ws in [false, true] {
        let net = Net::default();
        let mut script = net.script();
        let client = if ws { net.ws() } else { net.builder() }.build().unwrap();
        let mut stream = script.accept().await;
        futures_util::AsyncWriteExt::write_all(&mut stream, b"\0\xff nonsense\r\n\r\n").await.unwrap();
        client.connected().await.unwrap_err();
        let mut rest = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("hangs up").unwrap();
        assert!(client.is_active(), "and tries again");
        drop(script.accept().await);
    }
}
