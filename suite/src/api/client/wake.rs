//! Nobody who waits is forgotten, and nobody spins.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use sio_driver::{Client, ClientSocket};

use crate::api::common::{Log, builder, server};
use crate::api::net::Net;
use crate::api::{Case, list};
use crate::world::{Notify, World, settle, sleep, spawn, timeout, until};

pub(super) const CASES: &[Case] = list![
    an_idle_client_sleeps,
    a_client_that_waits_for_events_sleeps,
    handlers_that_wait_for_the_client_do_not_spin,
    an_event_costs_one_wake_and_one_write,
    those_who_went_away_are_not_woken,
    each_event_wakes_somebody,
    a_subscriber_that_uses_the_client,
    futures_and_handles_can_be_sent,
];

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

async fn a_client_that_waits_for_events_sleeps() {
    let io = server();
    let net = Net::to(&io);
    let client = net.ws().connect().await.unwrap();
    let polls = Arc::new(AtomicUsize::new(0));
    let receiving = spawn({
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
    let slot: Arc<Mutex<Option<ClientSocket>>> = Arc::default();
    let held = slot.clone();
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
        .on("receive", move || {
            // Another namespace, whose events do not wait for this handler.
            let (log, other) = (other.clone(), held.lock().unwrap().take().expect("set before"));
            async move {
                let event = other.recv().await.expect("an event");
                log.push(event.name());
            }
        })
        .connect()
        .await
        .unwrap();
    *slot.lock().unwrap() = Some(client.socket("/other"));
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
}

async fn an_event_costs_one_wake_and_one_write() {
    let io = server();
    io.of("/").on("ask", async || 1);
    let net = Net::to(&io);
    let client = net.ws().on("echo", async || 2).connect().await.unwrap();
    let socket = io.of("/").sockets().remove(0);
    settle().await;
    let cost = async |_: &str| {
        settle().await;
        (net.polls(), net.writes(), net.flushes())
    };
    cost("before").await;
    client.emit("x", &()).unwrap();
    assert_eq!(cost("one").await, (1, 1, 1));
    for _ in 0..100 {
        client.emit("x", &()).unwrap();
    }
    assert_eq!(cost("a hundred").await, (1, 1, 1));
    assert_eq!(client.emit_with_ack::<u32, _>("ask", &()).await, Ok(1));
    // Out, and back in.
    assert_eq!(cost("with an acknowledgement").await, (2, 1, 1));
    assert_eq!(socket.emit_with_ack::<u32, _>("echo", &()).await, Ok(2));
    assert_eq!(cost("acknowledged by a handler").await, (1, 1, 1));
    socket.emit("nobody", &()).unwrap();
    assert_eq!(cost("received").await, (1, 0, 0));
    for _ in 0..50 {
        socket.emit("nobody", &()).unwrap();
    }
    assert_eq!(cost("fifty").await, (1, 0, 0));
}

/// A place among those who wait is given up.
async fn those_who_went_away_are_not_woken() {
    let io = server();
    let net = Net::to(&io);
    let client = net.ws().connect().await.unwrap();
    let polls = Arc::new(AtomicUsize::new(0));
    let waiting = spawn({
        let (client, polls) = (client.clone(), polls.clone());
        counted(polls, async move {
            for _ in 0..100 {
                let _ = timeout(Duration::from_millis(10), client.recv()).await;
                let _ = timeout(Duration::from_millis(10), client.events().next()).await;
            }
            // Waits for something else from here on.
            std::future::pending::<()>().await;
        })
    });
    sleep(MINUTE).await;
    let before = polls.load(SeqCst);
    io.emit("news", &()).unwrap();
    settle().await;
    assert_eq!(polls.load(SeqCst), before);
    assert!(client.recv().await.is_some(), "nor is the event lost");
    waiting.abort();
}

/// Several who wait for the same.
async fn each_event_wakes_somebody() {
    let io = server();
    let net = Net::to(&io);
    let client = net.ws().connect().await.unwrap();
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let client = client.clone();
            spawn(async move { client.recv().await.is_some() })
        })
        .collect();
    settle().await;
    for n in 0..10 {
        io.emit("n", &n).unwrap();
        settle().await;
    }
    for waiting in waiting {
        assert!(timeout(MINUTE, waiting).await.unwrap().unwrap());
    }
}

/// A log that is sent by the client itself.
async fn a_subscriber_that_uses_the_client() {
    let slot: Arc<Mutex<Option<Client>>> = Arc::default();
    let logger = slot.clone();
    World::current().collect(move |event| {
        let client = logger.lock().unwrap().clone();
        if let Some(client) = client.filter(|_| event.metadata().target().starts_with("sio_driver::client")) {
            let _ = client.volatile().emit("log", event.metadata().name());
            let _ = client.emit("log", event.metadata().name());
        }
    });
    let net = Net::default();
    let mut script = net.script();
    let client = net.ws().retries(0).on("x", async || {}).build().unwrap();
    *slot.lock().unwrap() = Some(client.clone());
    for end in ["42[\"nobody\"]", "4nonsense", "?", "41"] {
        let mut peer = script.join().await;
        settle().await;
        peer.send(end).await;
        settle().await;
    }
    slot.lock().unwrap().take();
    client.close().await;
}

/// Everything can be awaited in tasks that move between threads.
async fn futures_and_handles_can_be_sent() {
    use sio_driver::{ClientBuilder, Events, Incoming, SocketBuilder};
    fn sent<T: Send>(_: T) {}
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Client>();
    shared::<ClientSocket>();
    shared::<Incoming>();
    shared::<Events>();
    fn movable<T: Send>() {}
    movable::<ClientBuilder<Client>>();
    movable::<SocketBuilder>();
    let _all = |client: &Client, mut event: Incoming| {
        sent(client.connected());
        sent(client.ready());
        sent(client.recv());
        sent(client.close());
        sent(client.emit_wait("event", &(1, "x")));
        sent(async { client.emit_with_ack::<String, _>("event", &()).await });
        sent(client.emit_with_ack::<String, _>("event", &()).send());
        sent(Net::default().builder().connect());
        sent(async move { event.ack(&1) });
    };
}
