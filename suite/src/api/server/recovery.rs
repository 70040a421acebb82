//! Connection state recovery.

use std::time::Duration;

use serde_json::{Value, json};
use sio_driver::{AckError, ConnectError, ConnectionStateRecovery, Server, Socket};

use crate::api::common::{Log, Polling, Ws, builder};
use crate::api::{Case, list};
use crate::world::{Notify, World, settle, sleep, thread, until};

pub(super) const CASES: &[Case] = list![
    a_client_has_its_session_back_in_any_shard,
    a_client_takes_over_from_its_own_dead_connection,
    middlewares_are_skipped_or_not,
    time_is_up,
    an_event_that_did_not_fit_is_recovered_once_it_did,
    nothing_is_lost_or_comes_twice_while_others_emit,
    data_comes_back_with_the_session,
    what_a_session_kept_may_emit_when_it_is_dropped,
    who_asks_and_is_gone_at_once_may_ask_again,
    a_destructor_that_panics_harms_nobody,
];

fn server(shards: usize, change: impl FnOnce(ConnectionStateRecovery) -> ConnectionStateRecovery) -> Server {
    builder().shards(shards).connection_state_recovery(change(ConnectionStateRecovery::new())).build()
}

/// What a client remembers.
#[derive(Debug, Clone, Default)]
struct Memory {
    sid: String,
    pid: String,
    offset: Option<String>,
}

impl Memory {
    fn reply(&mut self, packet: &str) {
        let reply: Value = serde_json::from_str(packet.strip_prefix("40").expect("let in")).expect("JSON");
        self.sid = reply["sid"].as_str().expect("an id").into();
        self.pid = reply["pid"].as_str().expect("a secret").into();
    }

    /// The name and the first argument of an event.
    fn event(&mut self, packet: &str) -> (String, Value) {
        let event = packet.strip_prefix("42").unwrap_or_else(|| panic!("an event, not {packet}"));
        let event: Vec<Value> = serde_json::from_str(event).expect("JSON");
        self.offset = Some(event.last().and_then(Value::as_str).expect("an offset").into());
        (event[0].as_str().expect("a name").into(), event[1].clone())
    }
}

async fn connect(io: &Server) -> (Ws, Memory) {
    let mut memory = Memory::default();
    let mut ws = Ws::open(io).await;
    ws.send("40").await;
    memory.reply(&ws.recv().await);
    (ws, memory)
}

/// Comes back. Gives the events before the reply.
async fn back(io: &Server, memory: &mut Memory) -> (Ws, Vec<Value>) {
    let mut ws = Ws::open(io).await;
    ws.send(format!("40{}", json!({ "pid": memory.pid, "offset": memory.offset }))).await;
    let mut missed = Vec::new();
    loop {
        let packet = ws.recv().await;
        if packet.starts_with("40") {
            memory.reply(&packet);
            return (ws, missed);
        }
        missed.push(memory.event(&packet).1);
    }
}

/// Whatever shards the old and the new connection are in: they take turns.
async fn a_client_has_its_session_back_in_any_shard() {
    let io = server(3, |recovery| recovery);
    let log = Log::default();
    let (connected, gone) = (log.clone(), log.clone());
    io.of("/")
        .on_connect(move |socket: Socket| {
            connected.push(format!("connected {} {:?}", socket.recovered(), socket.rooms().len()));
            async move {
                socket.join("room");
            }
        })
        .on_disconnect(move || {
            gone.push("gone");
            async {}
        });
    let (mut ws, mut memory) = connect(&io).await;
    until(|| log.len() == 1).await;
    io.to("room").emit("n", &0).unwrap();
    assert_eq!(memory.event(&ws.recv().await), ("n".into(), json!(0)));
    let first = memory.clone();
    for round in 1..=5 {
        drop(ws);
        until(|| io.of("/").is_empty()).await;
        io.to("room").emit("n", &(10 * round)).unwrap();
        io.to("another").emit("n", &"no").unwrap();
        io.to("room").volatile().emit("n", &"no").unwrap();
        io.to(first.sid.as_str()).emit("n", &(10 * round + 1)).unwrap();
        let missed;
        (ws, missed) = back(&io, &mut memory).await;
        assert_eq!(missed, [json!(10 * round), json!(10 * round + 1)]);
        assert_eq!((&memory.sid, &memory.pid), (&first.sid, &first.pid));
        assert_eq!(io.of("/").len(), 1);
    }
    io.to("room").emit("n", &"live").unwrap();
    assert_eq!(memory.event(&ws.recv().await).1, "live");
    let [socket] = &io.of("/").sockets()[..] else { panic!("one socket") };
    assert_eq!((socket.id().as_str(), socket.recovered()), (first.sid.as_str(), true));
    socket.emit("n", &"own").unwrap();
    assert_eq!(memory.event(&ws.recv().await).1, "own");
    settle().await;
    let expected = [&["connected false 1"][..], &["gone", "connected true 2"].repeat(5)].concat();
    assert_eq!(log.take(), expected);
}

/// B133.
async fn a_client_takes_over_from_its_own_dead_connection() {
    let io = server(2, |recovery| recovery);
    let log = Log::default();
    let (connected, gone) = (log.clone(), log.clone());
    let (cleaning, cleaned) = (Log::default(), std::sync::Arc::new(Notify::new()));
    let (begun, go_on) = (cleaning.clone(), cleaned.clone());
    io.of("/")
        .on_connect(move |socket: Socket| {
            connected.push(format!("connected {}", socket.recovered()));
            async {}
        })
        .on("event", async |socket: Socket| Ok(socket.emit("n", &"heard")?))
        .on_disconnect(move || {
            let (gone, begun, go_on) = (gone.clone(), begun.clone(), go_on.clone());
            async move {
                begun.push("begun");
                go_on.notified().await;
                gone.push("gone");
            }
        });
    let (mut old, mut memory) = connect(&io).await;
    io.emit("n", &1).unwrap();
    let (mut new, missed) = back(&io, &mut memory).await;
    assert_eq!(missed, [1]);
    assert_eq!(memory.event(&old.recv().await).1, 1);
    // It lives after all: it is told that its time is over.
    old.expect("41").await;
    old.expect_end().await;
    // Nothing of the new socket is handled before the old one is cleaned up after.
    new.send(r#"42["event"]"#).await;
    until(|| cleaning.len() == 1).await;
    settle().await;
    assert_eq!(log.take(), ["connected false"]);
    cleaned.notify_one();
    assert_eq!(memory.event(&new.recv().await).1, "heard");
    assert_eq!(log.take(), ["gone", "connected true"]);
}

async fn middlewares_are_skipped_or_not() {
    for skip in [true, false] {
        let io = server(1, |recovery| recovery.skip_middlewares(skip));
        let log = Log::default();
        let asked = log.clone();
        io.of("/").use_(move |socket: Socket| {
            asked.push(format!("{} {}", socket.recovered(), socket.rooms().len()));
            async move {
                // Not let in yet, but nothing is lost meanwhile.
                let _ = socket.namespace().to("room").emit("n", &"during");
                if socket.rooms().contains(&"banned".into()) { Err(ConnectError::new("no")) } else { Ok(()) }
            }
        });
        let (ws, mut memory) = connect(&io).await;
        io.of("/").everyone().sockets_join("room");
        drop(ws);
        until(|| io.of("/").is_empty()).await;
        let (ws, missed) = back(&io, &mut memory).await;
        let (expected, missed_meanwhile): (&[&str], &[&str]) =
            if skip { (&["false 0"], &[]) } else { (&["false 0", "true 2"], &["during"]) };
        assert_eq!(log.take(), expected);
        assert_eq!(missed, missed_meanwhile);
        io.of("/").everyone().sockets_join("banned");
        drop(ws);
        until(|| io.of("/").is_empty()).await;
        let mut ws = Ws::open(&io).await;
        ws.send(format!("40{}", json!({ "pid": memory.pid, "offset": memory.offset }))).await;
        let answer = ws.recv().await;
        assert_eq!(answer.starts_with("44"), !skip, "{answer}");
    }
}

async fn time_is_up() {
    let io = server(2, |recovery| recovery.max_disconnection_duration(Duration::from_secs(10)));
    let (ws, mut memory) = connect(&io).await;
    let first = memory.clone();
    drop(ws);
    until(|| io.of("/").is_empty()).await;
    sleep(Duration::from_secs(11)).await;
    let (_ws, missed) = back(&io, &mut memory).await;
    assert_eq!(missed, [Value::Null; 0]);
    assert!(memory.sid != first.sid && memory.pid != first.pid);
    assert!(!io.of("/").sockets()[0].recovered());
}

async fn an_event_that_did_not_fit_is_recovered_once_it_did() {
    let io = builder().shards(1).max_outbox(1000).connection_state_recovery(Default::default()).build();
    let (ws, mut memory) = connect(&io).await;
    let socket = io.of("/").sockets().remove(0);
    let text = "x".repeat(600);
    // The connection's buffers take the first ones.
    let full = loop {
        if let Err(sio_driver::EmitError::Full(packet)) = socket.emit("n", &text) {
            break packet;
        }
    };
    drop(ws);
    until(|| io.of("/").is_empty()).await;
    assert!(socket.send_packet(full).is_err());
    let (_ws, _) = back(&io, &mut memory).await;
}

/// Emits from several threads while clients come and go: whoever is recovered has every event, once.
async fn nothing_is_lost_or_comes_twice_while_others_emit() {
    World::current().in_parallel();
    let io = server(4, |recovery| recovery.max_takeovers(100));
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (mut ws, mut memory) = connect(&io).await;
    let emitters: Vec<_> = (0..2)
        .map(|emitter| {
            let (io, stop) = (io.clone(), stop.clone());
            thread(move || {
                let mut number = 0_u64;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) && number < 5_000 {
                    io.emit("n", &([emitter, number],)).unwrap();
                    number += 1;
                    std::thread::sleep(Duration::from_micros(200));
                }
                number
            })
        })
        .collect();
    let mut heard: [Vec<u64>; 2] = Default::default();
    let mut note = |event: Value| {
        let [emitter, number]: [u64; 2] = serde_json::from_value(event).unwrap();
        heard[usize::try_from(emitter).unwrap()].push(number);
    };
    for round in 0..40 {
        for _ in 0..round % 7 {
            note(memory.event(&ws.recv().await).1);
        }
        // Every other time the old connection is still there.
        if round % 2 == 0 {
            drop(ws);
            let missed;
            (ws, missed) = back(&io, &mut memory).await;
            missed.into_iter().for_each(&mut note);
        } else {
            let (new, missed) = back(&io, &mut memory).await;
            missed.into_iter().for_each(&mut note);
            drop(std::mem::replace(&mut ws, new));
        }
        assert_eq!(io.of("/").len(), 1);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut total = Vec::new();
    for emitter in emitters {
        total.push(emitter.await.unwrap());
    }
    io.emit("n", &json!("end")).unwrap();
    loop {
        match memory.event(&ws.recv().await).1 {
            end if end == "end" => break,
            event => note(event),
        }
    }
    for (heard, total) in heard.iter().zip(total) {
        assert!(heard.iter().copied().eq(0..total), "{} of {total}: {heard:?}", heard.len());
    }
}

async fn data_comes_back_with_the_session() {
    let io = server(2, |recovery| recovery);
    io.of("/").on_connect(async |socket: Socket| {
        if !socket.recovered() {
            socket.set_data(1_u32);
        }
    });
    let (ws, mut memory) = connect(&io).await;
    let first = io.of("/").sockets().pop().expect("it is there");
    first.update_data(|data: &mut u32| *data += 1);
    drop(ws);
    until(|| io.of("/").is_empty()).await;
    let (_ws, _) = back(&io, &mut memory).await;
    let second = io.of("/").sockets().pop().expect("it is there");
    assert!(second.recovered() && second != first);
    assert_eq!(second.data::<u32>().as_deref(), Some(&2));
}

/// Emits when it is dropped; on a thread, so that a deadlock is seen. Says whether it could.
struct Farewell(Server, Log);

impl Drop for Farewell {
    fn drop(&mut self) {
        let (done, ended) = std::sync::mpsc::channel();
        let io = self.0.clone();
        std::thread::spawn(move || {
            io.emit("farewell", &()).unwrap();
            let _ = done.send(());
        });
        let emitted = ended.recv_timeout(Duration::from_secs(10)).is_ok();
        self.1.push(if emitted { "emitted" } else { "deadlock" });
    }
}

/// It is code of users: no lock may be held.
async fn what_a_session_kept_may_emit_when_it_is_dropped() {
    World::current().in_parallel();
    for end in ["sent away", "begins anew", "pushed out"] {
        let recovery = ConnectionStateRecovery::new().max_events(1).max_sessions(1);
        let io = builder().shards(2).max_outbox(1000).connection_state_recovery(recovery).build();
        let log = Log::default();
        let (mut ws, mut memory) = connect(&io).await;
        io.emit("n", &0).unwrap();
        memory.event(&ws.recv().await);
        io.of("/").sockets()[0].set_data(Farewell(io.clone(), log.clone()));
        drop(ws);
        until(|| io.of("/").is_empty()).await;
        match end {
            "sent away" => io.of("/").everyone().disconnect_sockets(false),
            "begins anew" => {
                (1..=3).for_each(|number| drop(io.emit("n", &number)));
                assert_eq!(back(&io, &mut memory).await.1, [0; 0]);
            }
            _ => {
                // They read nothing, and so are lost by a broadcast; there is room for one who is away.
                let slow = [Ws::open_with(&io, 2000).await, Ws::open_with(&io, 2000).await];
                for mut ws in slow {
                    ws.send("40").await;
                    settle().await;
                    while !io.of("/").is_empty() {
                        io.emit("n", &"x".repeat(600)).unwrap();
                        settle().await;
                    }
                }
            }
        }
        until(|| log.len() == 1).await;
        assert_eq!(log.take(), ["emitted"], "{end}");
    }
}

/// The question and the end of the connection are read together.
async fn who_asks_and_is_gone_at_once_may_ask_again() {
    let io = server(2, |recovery| recovery);
    let (mut ws, mut memory) = connect(&io).await;
    io.emit("n", &0).unwrap();
    memory.event(&ws.recv().await);
    drop(ws);
    until(|| io.of("/").is_empty()).await;
    io.emit("n", &1).unwrap();
    let mut ws = Ws::open(&io).await;
    ws.send(format!("40{}", json!({ "pid": memory.pid, "offset": memory.offset }))).await;
    drop(ws);
    until(|| io.connections() == 0).await;
    settle().await;
    assert_eq!(back(&io, &mut memory).await.1, [1]);
}

async fn a_destructor_that_panics_harms_nobody() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    let io = server(1, |recovery| recovery.max_disconnection_duration(Duration::from_secs(10)));
    let (ws, _) = connect(&io).await;
    io.of("/").sockets()[0].set_data(Bomb);
    let (mut other, _) = connect(&io).await;
    drop(ws);
    // By the timer, which goes on: those who wait for time hear of it.
    sleep(Duration::from_secs(15)).await;
    for socket in io.of("/").sockets() {
        let asked = socket.emit_with_ack::<(), _>("q", &()).timeout(Duration::from_secs(1));
        assert_eq!(asked.await, Err(AckError::Timeout));
    }
    assert!(other.recv().await.starts_with("42"));
    // Without recovery the socket itself is the last to hold it; its connection ends all the same.
    let io = builder().max_connections(1).build();
    for _ in 0..2 {
        let session = Polling::connect(&io).await;
        io.of("/").sockets()[0].set_data(Bomb);
        session.post("1").await;
        settle().await;
    }
}
