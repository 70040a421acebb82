//! What is sent, what waits, and what is given back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures_util::future::join;
use sio_driver::{AckError, BufferOverflow, Client, Data, EmitError, Event, Server, Socket};

use crate::api::common::{Log, PATIENCE, builder, server};
use crate::api::net::Net;
use crate::api::{Case, list};
use crate::world::{Instant, Notify, settle, sleep, spawn, timeout, until};

pub(super) const CASES: &[Case] = list![
    in_order_before_and_between_connections,
    a_full_send_buffer_gives_events_back,
    a_full_send_buffer_drops_the_oldest_if_told_to,
    no_send_buffer_at_all,
    the_send_buffer_can_be_cleared,
    what_cannot_be_sent,
    volatile_events,
    watching_what_is_sent,
    acknowledgements,
    acknowledgements_that_nobody_waits_for_leave_nothing,
    the_default_time_for_acknowledgements,
    an_acknowledgement_is_awaited_from_before_the_connection_on,
    an_acknowledgement_in_a_handler,
    retries_until_it_is_acknowledged,
    retries_end,
    retries_survive_the_connection,
];

const SECOND: Duration = Duration::from_secs(1);

/// A server that writes numbers down.
fn counting() -> (Server, Log) {
    let (io, log) = (server(), Log::default());
    let seen = log.clone();
    io.of("/").on("n", move |Data(n): Data<u32>| {
        seen.push(n.to_string());
        async { "seen" }
    });
    (io, log)
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

async fn in_order_before_and_between_connections() {
    let (io, log) = counting();
    for polling in [true, false] {
        let net = Net::default();
        let client = if polling { net.builder() } else { net.ws() }.build().unwrap();
        for n in 0..100 {
            client.emit("n", &n).unwrap();
        }
        sleep(10 * SECOND).await;
        net.serve(&io);
        until(|| client.is_connected()).await;
        for n in 100..200 {
            client.emit("n", &n).unwrap();
        }
        until(|| log.len() == 200).await;
        net.down();
        net.cut();
        until(|| !client.is_connected()).await;
        for n in 200..300 {
            client.emit("n", &n).unwrap();
        }
        net.serve(&io);
        until(|| log.len() == 300).await;
        assert_eq!(log.take(), numbers(0..300));
    }
}

async fn a_full_send_buffer_gives_events_back() {
    let (io, log) = counting();
    let net = Net::default();
    let client = net.ws().max_send_buffer(1000).build().unwrap();
    let mut n = 0;
    let packet = loop {
        match client.emit("n", &n) {
            Ok(()) => n += 1,
            Err(EmitError::Full(packet)) => break packet,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(n > 3, "{n}");
    let Err(EmitError::Full(packet)) = client.send_packet(packet) else { panic!("there is no room") };
    assert!(matches!(client.emit_with_ack::<(), _>("n", &n).await, Err(AckError::Emit(EmitError::Full(_)))));
    let waiting = spawn({
        let client = client.clone();
        async move { client.emit_wait("n", &(n + 1)).await }
    });
    let room = spawn({
        let client = client.clone();
        async move { client.ready().await }
    });
    settle().await;
    assert!(!waiting.is_finished() && !room.is_finished());
    net.serve(&io);
    timeout(PATIENCE, room).await.unwrap().unwrap();
    timeout(PATIENCE, waiting).await.unwrap().unwrap().unwrap();
    client.send_packet(packet).unwrap();
    until(|| log.len() == n as usize + 2).await;
    let mut seen = numbers(0..n);
    seen.extend([(n + 1).to_string(), n.to_string()]);
    assert_eq!(log.take(), seen);
}

async fn a_full_send_buffer_drops_the_oldest_if_told_to() {
    let (io, log) = counting();
    let net = Net::default();
    let client =
        net.ws().max_send_buffer(1000).send_buffer_overflow(BufferOverflow::DropOldest).build().unwrap();
    let first = spawn({
        let client = client.clone();
        async move { client.emit_with_ack::<String, _>("n", &0).await }
    });
    settle().await;
    for n in 1..1000 {
        client.emit("n", &n).unwrap();
    }
    assert_eq!(first.await.unwrap(), Err(AckError::Dropped));
    net.serve(&io);
    until(|| log.len() > 0).await;
    settle().await;
    let seen = log.take();
    assert_eq!(seen.last().unwrap(), "999");
    assert!((4..100).contains(&seen.len()), "{}", seen.len());
}

async fn no_send_buffer_at_all() {
    let net = Net::default();
    let client = net.ws().max_send_buffer(0).build().unwrap();
    assert!(matches!(client.emit("n", &1), Err(EmitError::Full(_))));
    let io = server();
    net.serve(&io);
    until(|| client.is_connected()).await;
    client.emit("n", &1).unwrap();
}

async fn the_send_buffer_can_be_cleared() {
    let (io, log) = counting();
    let net = Net::default();
    let client = net.ws().max_send_buffer(1000).build().unwrap();
    while client.emit("n", &1).is_ok() {}
    client.clear_send_buffer();
    let asked = spawn({
        let client = client.clone();
        async move { client.emit_with_ack::<String, _>("n", &2).await }
    });
    settle().await;
    while client.emit("n", &3).is_ok() {}
    let room = spawn({
        let client = client.clone();
        async move { client.ready().await }
    });
    settle().await;
    client.clear_send_buffer();
    assert_eq!(timeout(SECOND, asked).await.unwrap().unwrap(), Err(AckError::Dropped));
    timeout(SECOND, room).await.unwrap().unwrap();
    client.emit("n", &4).unwrap();
    net.serve(&io);
    until(|| log.len() > 0).await;
    settle().await;
    assert_eq!(log.take(), ["4"]);
}

async fn what_cannot_be_sent() {
    let io = builder().max_http_buffer_size(1000).build();
    let net = Net::to(&io);
    let client = net.ws().connect().await.unwrap();
    for reserved in ["connect", "disconnect", "connect_error"] {
        assert!(matches!(client.emit(reserved, &()), Err(EmitError::Encode(_))), "{reserved}");
    }
    let error = client.emit("large", &"x".repeat(2000)).unwrap_err();
    assert!(matches!(error, EmitError::TooLarge { size: 2014, limit: 1000 }), "{error:?}");
    assert!(matches!(
        client.emit_with_ack::<(), _>("disconnect", &()).await,
        Err(AckError::Emit(EmitError::Encode(_)))
    ));
    assert!(client.is_connected());
}

async fn volatile_events() {
    let (io, log) = counting();
    let net = Net::default();
    let client = net.ws().build().unwrap();
    assert_eq!(client.volatile().emit("n", &0), Ok(false));
    net.serve(&io);
    until(|| client.is_connected()).await;
    settle().await;
    assert_eq!(client.volatile().emit("n", &1), Ok(true));
    until(|| log.len() == 1).await;
    // Something waits before it.
    client.emit("n", &2).unwrap();
    assert_eq!(client.volatile().emit("n", &3), Ok(false));
    net.cut();
    until(|| !client.is_connected()).await;
    assert_eq!(client.volatile().emit("n", &4), Ok(false));
    until(|| client.is_connected()).await;
    settle().await;
    assert!(!log.take().iter().any(|n| ["0", "3", "4"].contains(&n.as_str())));
}

/// A server that never answers `ask`, unless told to.
fn silent() -> (Server, Arc<Notify>) {
    let (io, gate) = (server(), Arc::new(Notify::new()));
    let open = gate.clone();
    io.of("/").on("ask", move || {
        let gate = open.clone();
        async move {
            gate.notified().await;
            "answer"
        }
    });
    io.of("/").on("now", async |Data(n): Data<u32>| n);
    io.of("/").on("bye", async |socket: Socket| socket.disconnect());
    (io, gate)
}

async fn acknowledgements() {
    let (io, gate) = silent();
    let net = Net::to(&io);
    let client = net.ws().connect().await.unwrap();
    assert_eq!(client.emit_with_ack::<u32, _>("now", &7).await, Ok(7));
    assert!(matches!(client.emit_with_ack::<String, _>("now", &7).await, Err(AckError::Data(_))));
    let begun = Instant::now();
    let late = client.emit_with_ack::<String, _>("ask", &()).timeout(3 * SECOND).await;
    assert_eq!((late, begun.elapsed()), (Err(AckError::Timeout), 3 * SECOND));
    gate.notify_one();
    settle().await;
    // The late answer is nobody's, and the next ones are right.
    gate.notify_one();
    assert_eq!(client.emit_with_ack::<String, _>("ask", &()).await.as_deref(), Ok("answer"));

    for end in ["cut", "leave", "server", "close"] {
        let asked = client.emit_with_ack::<String, _>("ask", &()).send();
        match end {
            "cut" => {
                settle().await;
                net.cut();
            }
            "leave" => client.socket("/").socket_leaves(),
            "server" => {
                settle().await;
                io.of("/").sockets().remove(0).disconnect();
            }
            _ => drop(client.close()),
        }
        let asked = timeout(SECOND, asked).await.expect(end);
        assert_eq!(asked, Err(AckError::Disconnected), "{end}");
        if end != "close" {
            client.connect();
            until(|| client.is_connected()).await;
        }
    }
}

trait Leave {
    fn socket_leaves(&self);
}

impl Leave for sio_driver::ClientSocket {
    fn socket_leaves(&self) {
        self.disconnect();
    }
}

async fn acknowledgements_that_nobody_waits_for_leave_nothing() {
    let (io, _gate) = silent();
    let net = Net::to(&io);
    let client = net.ws().connect().await.unwrap();
    let log = Log::default();
    for n in 0..100 {
        let asked = client.emit_with_ack::<u32, _>("now", &n);
        drop(timeout(Duration::ZERO, async { asked.await }).await);
        drop(client.emit_with_ack::<u32, _>("now", &n).send());
        drop(client.emit_with_ack::<u32, _>("now", &n));
    }
    assert_eq!(client.emit_with_ack::<u32, _>("now", &1).await, Ok(1));
    log.push("");
}

async fn the_default_time_for_acknowledgements() {
    let (io, _gate) = silent();
    let net = Net::to(&io);
    let client = net.ws().ack_timeout(2 * SECOND).connect().await.unwrap();
    let begun = Instant::now();
    let (first, second) =
        join(async { (client.emit_with_ack::<String, _>("ask", &()).await, begun.elapsed()) }, async {
            (client.emit_with_ack::<String, _>("ask", &()).timeout(5 * SECOND).await, begun.elapsed())
        })
        .await;
    assert_eq!(first, (Err(AckError::Timeout), 2 * SECOND));
    assert_eq!(second, (Err(AckError::Timeout), 5 * SECOND));
}

async fn an_acknowledgement_is_awaited_from_before_the_connection_on() {
    let (io, _gate) = silent();
    let net = Net::default();
    let client = net.ws().build().unwrap();
    let begun = Instant::now();
    let late = client.emit_with_ack::<u32, _>("now", &1).timeout(SECOND / 2).await;
    assert_eq!((late, begun.elapsed()), (Err(AckError::Timeout), SECOND / 2));
    let asked = client.emit_with_ack::<u32, _>("now", &2).send();
    net.serve(&io);
    assert_eq!(asked.await, Ok(2));
}

/// Acknowledgements and heartbeats do not queue behind handlers.
async fn an_acknowledgement_in_a_handler() {
    let (io, _gate) = silent();
    let net = Net::to(&io);
    let log = Log::default();
    let seen = log.clone();
    let client = net
        .ws()
        .on("go", move |socket: sio_driver::ClientSocket| {
            let log = seen.clone();
            async move {
                log.push(socket.emit_with_ack::<u32, _>("now", &3).await?.to_string());
                Ok(())
            }
        })
        .connect()
        .await
        .unwrap();
    io.emit("go", &()).unwrap();
    until(|| log.len() == 1).await;
    assert_eq!(log.take(), ["3"]);
    drop(client);
}

async fn retries_until_it_is_acknowledged() {
    let (io, log) = (server(), Log::default());
    let (seen, tries) = (log.clone(), AtomicUsize::new(0));
    io.of("/").on("n", move |ack: sio_driver::Ack, Data(n): Data<u32>| {
        seen.push(n.to_string());
        // Every third try is acknowledged.
        if tries.fetch_add(1, SeqCst) % 3 == 2 {
            ack.send(&n).unwrap();
        }
        async {}
    });
    let net = Net::to(&io);
    let client: Client = net.ws().retries(5).ack_timeout(SECOND).connect().await.unwrap();
    for n in 0..3 {
        client.emit("n", &n).unwrap();
    }
    assert_eq!(client.emit_with_ack::<u32, _>("n", &3).await, Ok(3));
    assert_eq!(log.take(), ["0", "0", "0", "1", "1", "1", "2", "2", "2", "3", "3", "3"]);
}

async fn retries_end() {
    let (io, log) = (server(), Log::default());
    let seen = log.clone();
    io.of("/").on_any(move |Event(name): Event| {
        seen.push(name.as_str());
        async {}
    });
    io.of("/").on("good", async || 1);
    let net = Net::to(&io);
    let client: Client = net.ws().retries(2).connect().await.unwrap();
    client.emit("bad", &()).unwrap();
    let begun = Instant::now();
    assert_eq!(client.emit_with_ack::<(), _>("worse", &()).timeout(SECOND).await, Err(AckError::Timeout));
    assert_eq!(begun.elapsed(), 33 * SECOND, "3 times 10 s, and 3 times 1 s");
    assert_eq!(client.emit_with_ack::<u32, _>("good", &()).await, Ok(1));
    assert_eq!(log.take(), ["bad", "bad", "bad", "worse", "worse", "worse", "good"]);
    assert_eq!(client.volatile().emit("volatile", &()), Ok(true));
}

async fn retries_survive_the_connection() {
    let (io, log) = counting();
    let net = Net::to(&io);
    let client = net.ws().retries(5).connect().await.unwrap();
    for n in 0..50 {
        client.emit_wait("n", &n).await.unwrap();
        if n % 10 == 0 {
            net.cut();
            settle().await;
        }
    }
    assert_eq!(client.emit_with_ack::<String, _>("n", &50).await.as_deref(), Ok("seen"));
    let mut seen = log.take();
    assert!(seen.len() < 70, "{}", seen.len());
    seen.dedup();
    assert_eq!(seen, numbers(0..51));
}

async fn watching_what_is_sent() {
    let (io, _) = counting();
    let (net, log) = (Net::default(), Log::default());
    let (first, second) = (log.clone(), log.clone());
    let client = net
        .ws()
        .on_any_outgoing(move |socket, payload| {
            let event = payload.name().unwrap_or_default();
            first.push(format!("{} {event} {}", socket.namespace(), payload.args_text()));
        })
        .on("question", async || "no event")
        .build()
        .unwrap();
    // Told at once, also of what must wait or is dropped.
    client.emit("n", &(1, "x")).unwrap();
    client.volatile().emit("dropped", &()).unwrap();
    assert_eq!(log.take(), [r#"/ n 1,"x""#, "/ dropped "]);
    client.on_any_outgoing(move |_, payload| {
        second.push(payload.name().unwrap_or_default().into_owned());
        panic!("of its own");
    });
    net.serve(&io);
    let answer: String = client.emit_with_ack("n", &2).await.unwrap();
    assert_eq!(answer, "seen");
    assert_eq!(log.take(), ["/ n 2", "n"]);
    // Neither acknowledgements, nor what cannot be sent, nor other namespaces.
    let _: String = io.of("/").sockets()[0].emit_with_ack("question", &()).await.unwrap();
    client.emit("connect", &()).unwrap_err();
    client.socket("/other").emit("n", &3).unwrap();
    assert_eq!(log.take(), [""; 0]);
    client.off_any_outgoing();
    client.emit("n", &4).unwrap();
    assert_eq!(log.take(), [""; 0]);
}
