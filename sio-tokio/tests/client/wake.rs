//! Nobody who waits is forgotten, and nobody spins.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use sio_tokio::{AckError, ClientSocket, EmitError, Socket};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::common::{Log, PATIENCE, builder, server, settle, until};
use crate::net::Net;

const MINUTE: Duration = Duration::from_secs(60);

/// Counts how often a future is polled.
async fn counted<F: Future>(polls: Arc<AtomicUsize>, future: F) -> F::Output {
    let mut future = Box::pin(future);
    std::future::poll_fn(move |cx| {
        polls.fetch_add(1, SeqCst);
        future.as_mut().poll(cx)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_sleeps() {
    let io = server();
    let net = Net::to(&io);
    let client = net.ws().connect().await.unwrap();
    settle().await;
    net.polls();
    settle().await;
    assert_eq!(net.polls(), 0);
    // 23 pings in 10 minutes.
    sleep(10 * MINUTE).await;
    let polls = net.polls();
    assert!((23..=50).contains(&polls), "{polls}");
    assert!(client.is_connected());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_for_events_sleeps() {
    let io = server();
    let net = Net::to(&io);
    let client = net.ws().connect().await.unwrap();
    let polls = Arc::new(AtomicUsize::new(0));
    let receiving = tokio::spawn({
        let (client, polls) = (client.clone(), polls.clone());
        counted(polls, async move { client.recv().await.map(|event| event.name().into_owned()) })
    });
    settle().await;
    net.polls();
    polls.store(0, SeqCst);
    settle().await;
    assert_eq!((net.polls(), polls.load(SeqCst)), (0, 0));
    timeout(15 * MINUTE, sleep(10 * MINUTE)).await.unwrap();
    assert!(net.polls() <= 60);
    assert_eq!(polls.load(SeqCst), 0, "heartbeats are not its business");
    client.emit("unanswered", &()).unwrap();
    settle().await;
    assert_eq!(polls.load(SeqCst), 0, "nor what is sent");
    io.emit("news", &()).unwrap();
    assert_eq!(receiving.await.unwrap().as_deref(), Some("news"));
    assert_eq!(polls.load(SeqCst), 1);
}

/// What waits in a handler is polled by the client's task, and waits for that same task.
#[tokio::test(start_paused = true)]
async fn handlers_that_wait_for_the_client_do_not_spin() {
    let io = builder().max_inbox(1).build();
    let gate = Arc::new(Notify::new());
    let open = gate.clone();
    io.of("/").on("filler", move || {
        let gate = open.clone();
        async move { gate.notified().await }
    });
    let net = Net::to(&io);
    let log = Log::default();
    let (room, other) = (log.clone(), log.clone());
    let client = net
        .ws()
        .max_outbox(1000)
        .on("fill", move |socket: ClientSocket| {
            let log = room.clone();
            async move {
                for _ in 0..400 {
                    socket.emit_wait("filler", &"x".repeat(1000)).await?;
                }
                log.push("room");
                Ok(())
            }
        })
        .on("receive", move |socket: ClientSocket| {
            let log = other.clone();
            async move {
                // Another namespace, whose events do not wait for this handler.
                let other = sio_client(&socket);
                let event = other.recv().await.expect("an event");
                log.push(event.name());
            }
        })
        .connect()
        .await
        .unwrap();
    OTHER.with(|other| *other.borrow_mut() = Some(client.socket("/other")));
    io.of("/other");
    client.socket("/other").connected().await.unwrap();
    io.emit("fill", &()).unwrap();
    settle().await;
    net.polls();
    settle().await;
    assert_eq!(net.polls(), 0, "waiting for room");
    assert_eq!(log.take(), [""; 0]);
    for _ in 0..400 {
        gate.notify_one();
        settle().await;
    }
    until(|| log.len() == 1).await;
    assert_eq!(log.take(), ["room"]);
    io.emit("receive", &()).unwrap();
    settle().await;
    net.polls();
    settle().await;
    assert_eq!(net.polls(), 0, "waiting for an event");
    io.of("/other").emit("news", &()).unwrap();
    until(|| log.len() == 1).await;
    assert_eq!(log.take(), ["news"]);
    OTHER.with(|other| other.borrow_mut().take());
}

thread_local! {
    static OTHER: std::cell::RefCell<Option<ClientSocket>> = const { std::cell::RefCell::new(None) };
}

fn sio_client(_: &ClientSocket) -> ClientSocket {
    OTHER.with(|other| other.borrow().clone()).expect("set before")
}
