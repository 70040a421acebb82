//! Clients that do not read, and handlers that do not return.

use std::sync::Arc;
use std::time::Duration;

use async_lock::Semaphore;
use sio_driver::{Data, DisconnectReason, EmitError, Overflow, Server, Socket};

use crate::api::common::{Log, Polling, Ws, builder};
use crate::api::{Case, list};
use crate::world::{Notify, settle, sleep, spawn, timeout, until};

pub(super) const CASES: &[Case] = list![
    emit_gives_back_what_does_not_fit,
    emit_wait_waits,
    emit_wait_waits_until_a_large_event_fits,
    an_acknowledgement_waits_for_room,
    a_polling_client_that_does_not_poll,
    a_broadcast_disconnects_who_is_too_slow,
    a_broadcast_may_skip_who_is_too_slow,
    a_client_that_does_not_read_ends_with_the_heartbeat,
    a_handler_that_does_not_return_stops_the_reading,
    a_post_waits_for_the_application,
    a_pong_behind_a_pause_is_not_late,
    bytes_count_too,
];

const LIMIT: usize = 10_000;

fn filler() -> String {
    "x".repeat(1000)
}

/// A client that reads nothing until it is told to, and its socket.
async fn silent(io: &Server) -> (Ws, Socket) {
    let mut ws = Ws::open_with(io, 1024).await;
    ws.send("40").await;
    settle().await;
    let socket = io.of("/").sockets().into_iter().next_back().expect("it is connected");
    (ws, socket)
}

/// Emits until nothing more fits. Gives how many did, and what did not.
async fn fill(socket: &Socket) -> (usize, EmitError) {
    for count in 0.. {
        if let Err(error) = socket.emit("filler", &(count, filler())) {
            return (count, error);
        }
        settle().await;
    }
    unreachable!()
}

async fn emit_gives_back_what_does_not_fit() {
    let io = builder().max_outbox(LIMIT).build();
    let (mut ws, socket) = silent(&io).await;
    let (count, error) = fill(&socket).await;
    let EmitError::Full(packet) = error else { panic!("{error:?}") };
    assert!((9..100).contains(&count), "{count}");
    assert!(matches!(socket.send_packet(packet.clone()), Err(EmitError::Full(_))), "still");
    let waiting = spawn({
        let socket = socket.clone();
        async move {
            socket.ready().await;
            socket.send_packet(packet)
        }
    });
    settle().await;
    assert!(!waiting.is_finished());
    let _ = ws.recv().await;
    for number in 0..=count {
        ws.expect(&format!(r#"42["filler",{number},"{}"]"#, filler())).await;
    }
    assert_eq!(waiting.await.unwrap(), Ok(()));
}

async fn emit_wait_waits() {
    let io = builder().max_outbox(LIMIT).build();
    let (mut ws, socket) = silent(&io).await;
    let emitting = spawn(async move {
        for number in 0..100 {
            socket.emit_wait("filler", &(number, filler())).await.unwrap();
        }
    });
    sleep(Duration::from_secs(10)).await;
    assert!(!emitting.is_finished());
    let _ = ws.recv().await;
    for number in 0..100 {
        ws.expect(&format!(r#"42["filler",{number},"{}"]"#, filler())).await;
    }
    emitting.await.unwrap();
}

async fn emit_wait_waits_until_a_large_event_fits() {
    let io = builder().max_outbox(LIMIT * 40).build();
    let (mut ws, socket) = silent(&io).await;
    let (count, _) = fill(&socket).await;
    // Some time less than half of what may wait does, and still it does not fit.
    let large = "y".repeat(LIMIT * 39);
    let emitting = spawn({
        let large = large.clone();
        async move { socket.emit_wait("large", &large).await }
    });
    sleep(Duration::from_secs(10)).await;
    assert!(!emitting.is_finished());
    let _ = ws.recv().await;
    for number in 0..count {
        ws.expect(&format!(r#"42["filler",{number},"{}"]"#, filler())).await;
    }
    ws.expect(&format!(r#"42["large","{large}"]"#)).await;
    emitting.await.unwrap().unwrap();
}

/// What handlers return, and what `ack_errors` says.
async fn an_acknowledgement_waits_for_room() {
    let io = builder().max_outbox(LIMIT).build();
    let log = Log::default();
    let (failed, left) = (log.clone(), log.clone());
    io.of("/")
        .on("ask", async |Data(number): Data<u32>| number)
        .on_error(move |_, error| failed.push(error.to_string()))
        .ack_errors(|_| "no number")
        .on_disconnect(move || {
            left.push("left");
            async {}
        });
    let (mut ws, socket) = silent(&io).await;
    let (count, _) = fill(&socket).await;
    let ticks = (0..).take_while(|_| socket.emit("tick", &()).is_ok()).count();
    ws.send(r#"421["ask",1]"#).await;
    ws.send(r#"422["ask","x"]"#).await;
    ws.send(r#"423["ask",3]"#).await;
    settle().await;
    let _ = ws.recv().await;
    for number in 0..count {
        ws.expect(&format!(r#"42["filler",{number},"{}"]"#, filler())).await;
    }
    for _ in 0..ticks {
        ws.expect(r#"42["tick"]"#).await;
    }
    ws.expect("431[1]").await;
    ws.expect(r#"432["no number"]"#).await;
    ws.expect("433[3]").await;
    let errors = log.take();
    assert!(errors.len() == 1 && errors[0].contains("arguments of"), "{errors:?}");
    // Who leaves instead is not waited for.
    let _ = fill(&socket).await;
    while socket.emit("tick", &()).is_ok() {}
    ws.send(r#"424["ask",4]"#).await;
    settle().await;
    drop(ws);
    until(|| log.len() > 0).await;
    assert_eq!(log.take(), ["left"]);
}

async fn a_polling_client_that_does_not_poll() {
    let io = builder().max_outbox(LIMIT).build();
    let polling = Polling::connect(&io).await;
    let socket = io.of("/").sockets().remove(0);
    let (count, _) = fill(&socket).await;
    assert_eq!(count, 9);
    let waiting = spawn(async move { socket.emit_wait("last", &()).await });
    settle().await;
    assert!(!waiting.is_finished() || count < 10);
    assert_eq!(polling.get().await.split(' ').count(), 9 + usize::from(waiting.is_finished()));
    assert_eq!(waiting.await.unwrap(), Ok(()));
}

async fn a_broadcast_disconnects_who_is_too_slow() {
    let io = builder().max_outbox(LIMIT).build();
    let log = Log::default();
    let left = log.clone();
    io.of("/").on_disconnect(move |reason: DisconnectReason| {
        left.push(reason.to_string());
        async {}
    });
    let (_slow, socket) = silent(&io).await;
    let mut quick = Ws::connect(&io).await;
    fill(&socket).await;
    let delivery = io.emit("news", &filler()).unwrap();
    assert_eq!((delivery.sockets, delivery.skipped), (1, 1));
    quick.expect(&format!(r#"42["news","{}"]"#, filler())).await;
    settle().await;
    assert_eq!(log.take(), ["overflow"]);
    assert_eq!(io.of("/").len(), 1);
    until(|| io.connections() == 1).await;
}

async fn a_broadcast_may_skip_who_is_too_slow() {
    let io = builder().max_outbox(LIMIT).overflow(Overflow::Skip).build();
    let (mut slow, socket) = silent(&io).await;
    let (count, _) = fill(&socket).await;
    let delivery = io.emit("news", &filler()).unwrap();
    assert_eq!((delivery.sockets, delivery.skipped), (0, 1));
    let _ = slow.recv().await;
    for _ in 0..count {
        assert!(slow.recv().await.starts_with(r#"42["filler""#));
    }
    assert_eq!(io.emit("late", &()).unwrap().sockets, 1);
    slow.expect(r#"42["late"]"#).await;
}

async fn a_client_that_does_not_read_ends_with_the_heartbeat() {
    let io = builder().max_outbox(LIMIT).build();
    let log = Log::default();
    let left = log.clone();
    io.of("/").on_disconnect(move |reason: DisconnectReason| {
        left.push(reason.to_string());
        async {}
    });
    let (_ws, socket) = silent(&io).await;
    fill(&socket).await;
    timeout(Duration::from_secs(60), until(|| log.len() == 1)).await.expect("45 s");
    assert_eq!(log.take(), ["ping timeout"]);
    timeout(Duration::from_secs(6), until(|| io.connections() == 0)).await.expect("the linger");
}

/// A handler that waits for `gate` once, then counts.
fn slow_handler(io: &Server, gate: &Arc<Notify>) -> Log {
    let log = Log::default();
    let (seen, gate) = (log.clone(), gate.clone());
    io.of("/").on("event", move |Data(number): Data<usize>| {
        let (seen, gate) = (seen.clone(), gate.clone());
        async move {
            if number == 0 {
                gate.notified().await;
            }
            seen.push(number.to_string());
        }
    });
    log
}

async fn a_handler_that_does_not_return_stops_the_reading() {
    for max_inbox in [0, 1, 16] {
        const EVENTS: usize = 5000;
        let io = builder().max_inbox(max_inbox).build();
        let gate = Arc::new(Notify::new());
        let log = slow_handler(&io, &gate);
        let mut ws = Ws::open_with(&io, 1024).await;
        ws.join("/").await;
        let events: Vec<_> = (0..EVENTS).map(|number| format!(r#"42["event",{number}]"#)).collect();
        // More than any buffer takes: the client is stuck. Nobody is blamed, however long it takes.
        let sending = spawn(async move {
            ws.send_all(events).await;
            ws
        });
        sleep(Duration::from_secs(300)).await;
        assert!(!sending.is_finished());
        assert_eq!((log.len(), io.of("/").len()), (0, 1));
        gate.notify_one();
        let mut ws = timeout(Duration::from_secs(1), sending).await.expect("it goes on").unwrap();
        until(|| log.len() == EVENTS).await;
        assert!(log.take().iter().enumerate().all(|(at, number)| *number == at.to_string()), "in order");
        // Its heartbeat goes on too: `recv` answers pings, of which there were several.
        let socket = io.of("/").sockets().remove(0);
        let idle = spawn(async move {
            ws.expect(r#"42["done"]"#).await;
            ws
        });
        sleep(Duration::from_secs(100)).await;
        socket.emit("done", &()).expect("it is still there");
        idle.await.unwrap();
    }
}

async fn a_post_waits_for_the_application() {
    let io = builder().max_inbox(2).build();
    let gate = Arc::new(Notify::new());
    let log = slow_handler(&io, &gate);
    let polling = Polling::connect(&io).await;
    polling.post(r#"42["event",0] 42["event",1] 42["event",2] 42["event",3]"#).await;
    let next = spawn({
        let polling = polling.clone();
        async move { polling.post(r#"42["event",4]"#).await }
    });
    sleep(Duration::from_secs(10)).await;
    assert!(!next.is_finished());
    gate.notify_one();
    next.await.unwrap();
    until(|| log.len() == 5).await;
    assert_eq!(log.take(), ["0", "1", "2", "3", "4"]);
}

/// The pong is behind what we did not read; it gets the usual time once we read again.
async fn a_pong_behind_a_pause_is_not_late() {
    let io = builder().max_inbox(2).build();
    let gate = Arc::new(Notify::new());
    let log = slow_handler(&io, &gate);
    let polling = Polling::connect(&io).await;
    polling.post(r#"42["event",0] 42["event",1] 42["event",2] 42["event",3]"#).await;
    // The ping comes at 25 s, and is due at 45 s.
    let (_, ping) = polling.request("GET", "").await;
    assert_eq!(ping, "2");
    let next = spawn({
        let polling = polling.clone();
        async move { polling.post(r#"42["event",4]"#).await }
    });
    sleep(Duration::from_millis(19_990)).await;
    gate.notify_one();
    next.await.unwrap();
    // Now the client sends its pong, and the network takes a moment.
    sleep(Duration::from_millis(100)).await;
    polling.post("3").await;
    assert_eq!(log.len(), 5);
    // From then on all is as ever: a pong that does not come ends the session.
    let (_, ping) = polling.request("GET", "").await;
    assert_eq!(ping, "2");
    sleep(Duration::from_millis(19_990)).await;
    assert_eq!(io.connections(), 1);
    sleep(Duration::from_millis(20)).await;
    assert_eq!(io.of("/").len(), 0);
}

/// Large messages fill the inbox by their bytes.
async fn bytes_count_too() {
    let io = builder().build();
    let gate = Arc::new(Semaphore::new(0));
    let open = gate.clone();
    let log = Log::default();
    let seen = log.clone();
    io.of("/").on("large", move || {
        let (gate, seen) = (open.clone(), seen.clone());
        async move {
            gate.acquire().await.forget();
            seen.push("");
        }
    });
    let mut ws = Ws::open_with(&io, 1024).await;
    ws.join("/").await;
    let large = format!(r#"42["large","{}"]"#, "x".repeat(500_000));
    let sending = spawn(async move {
        ws.send_all(vec![large; 20]).await;
        ws
    });
    sleep(Duration::from_secs(10)).await;
    assert!(!sending.is_finished(), "10 MB do not fit into an inbox of 1 MiB");
    gate.add_permits(20);
    let _ws = sending.await.unwrap();
    until(|| log.len() == 20).await;
}
