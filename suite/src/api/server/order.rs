//! What waits for what.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_lock::Semaphore;
use sio_driver::{Data, Error, Socket};

use crate::api::common::{Log, Polling, Ws, builder, server};
use crate::api::{Case, list};
use crate::world::{Notify, World, settle, until, yield_now};

pub(super) const CASES: &[Case] = list![
    a_burst_is_handled_in_order,
    concurrent_handlers,
    namespaces_do_not_wait_for_each_other,
    clients_do_not_wait_for_each_other,
    answers_reach_a_handler_that_waits_for_them,
    events_wait_for_the_connect_handler,
    the_disconnect_handler_waits_for_the_others,
    a_flood_of_events_does_not_hold_the_thread,
    a_flood_for_handlers_that_wait,
];

const EVENTS: usize = 1000;

fn numbers() -> Vec<String> {
    (0..EVENTS).map(|number| number.to_string()).collect()
}

async fn a_burst_is_handled_in_order() {
    let io = server();
    let log = Log::default();
    let seen = log.clone();
    io.of("/").on("number", move |Data(number): Data<usize>| {
        let seen = seen.clone();
        async move {
            // Some wait, some do not, some fail.
            for _ in 0..number % 3 {
                yield_now().await;
            }
            seen.push(number.to_string());
            if number % 5 == 0 { Err(Error::new("fifth")) } else { Ok(()) }
        }
    });
    let mut ws = Ws::connect(&io).await;
    ws.send_all((0..EVENTS).map(|number| format!(r#"42["number",{number}]"#))).await;
    until(|| log.len() == EVENTS).await;
    assert_eq!(log.take(), numbers());
    let polling = Polling::connect(&io).await;
    let body: Vec<_> = (0..EVENTS).map(|number| format!(r#"42["number",{number}]"#)).collect();
    polling.post(&body.join(" ")).await;
    until(|| log.len() == EVENTS).await;
    assert_eq!(log.take(), numbers());
}

/// With a limit, as many run at once and no more, and they start in order; what must be alone is.
async fn concurrent_handlers() {
    let io = server();
    let log = Log::default();
    let gate = Arc::new(Semaphore::new(0));
    let (started, left) = (log.clone(), log.clone());
    let open = gate.clone();
    io.of("/")
        .concurrent(3)
        .on("number", move |Data(number): Data<usize>| {
            let (started, gate) = (started.clone(), open.clone());
            async move {
                started.push(format!("start {number}"));
                gate.acquire().await.forget();
                started.push(format!("end {number}"));
                Ok(())
            }
        })
        .on_disconnect(move || {
            left.push("left");
            async {}
        });
    let mut ws = Ws::connect(&io).await;
    ws.send_all((0..5).map(|number| format!(r#"42["number",{number}]"#))).await;
    ws.send("41").await;
    settle().await;
    assert_eq!(log.take(), ["start 0", "start 1", "start 2"]);
    gate.add_permits(1);
    settle().await;
    assert_eq!(log.take(), ["end 0", "start 3"]);
    gate.add_permits(3);
    settle().await;
    assert_eq!(log.take(), ["end 1", "end 2", "end 3", "start 4"], "and the end waits for all of them");
    gate.add_permits(1);
    settle().await;
    assert_eq!(log.take(), ["end 4", "left"]);
}

async fn namespaces_do_not_wait_for_each_other() {
    let io = server();
    io.of("/").on("wait", async || std::future::pending::<()>().await);
    io.of("/other").on("ask", async || "answer");
    let mut ws = Ws::connect(&io).await;
    ws.join("/other").await;
    ws.send(r#"42["wait"]"#).await;
    ws.send(r#"42/other,1["ask"]"#).await;
    ws.expect(r#"43/other,1["answer"]"#).await;
    let polling = Polling::connect(&io).await;
    polling.post(r#"40/other, 42["wait"] 42/other,1["ask"]"#).await;
    let mut answers = polling.get().await;
    if !answers.contains("43/other") {
        answers = polling.get().await;
    }
    assert!(answers.ends_with(r#"43/other,1["answer"]"#), "{answers}");
}

async fn clients_do_not_wait_for_each_other() {
    let io = server();
    io.of("/").on("wait", async || std::future::pending::<()>().await).on("ask", async || 1);
    let mut one = Ws::connect(&io).await;
    let mut other = Ws::connect(&io).await;
    one.send(r#"42["wait"]"#).await;
    assert_eq!(other.ask(r#"["ask"]"#).await, "[1]");
}

async fn answers_reach_a_handler_that_waits_for_them() {
    let io = server();
    io.of("/").on("ask me", async |socket: Socket| {
        let one: u8 = socket.emit_with_ack("one", &()).await?;
        let two: u8 = socket.emit_with_ack("two", &()).await?;
        Ok(one + two)
    });
    let mut ws = Ws::connect(&io).await;
    ws.send(r#"42100["ask me"]"#).await;
    ws.expect(r#"420["one"]"#).await;
    // An event before the answer waits, and does not keep the answer from coming.
    ws.send_all([r#"42["ask me"]"#.to_owned(), "430[1]".to_owned()]).await;
    ws.expect(r#"421["two"]"#).await;
    ws.send("431[2]").await;
    ws.expect("43100[3]").await;
    ws.expect(r#"422["one"]"#).await;

    let polling = Polling::connect(&io).await;
    polling.post(r#"42100["ask_me"] 42100["ask_me"]"#.replace('_', "\\u0020").as_str()).await;
    assert_eq!(polling.get().await, r#"423["one"]"#);
    polling.post("433[1]").await;
    assert_eq!(polling.get().await, r#"424["two"]"#);
}

async fn events_wait_for_the_connect_handler() {
    let io = server();
    let log = Log::default();
    let gate = Arc::new(Notify::new());
    let (open, connected, event) = (gate.clone(), log.clone(), log.clone());
    io.of("/")
        .on_connect(move |socket: Socket| {
            let (gate, connected) = (open.clone(), connected.clone());
            async move {
                socket.emit("welcome", &())?;
                gate.notified().await;
                connected.push("connected");
                Ok(())
            }
        })
        .on("event", move || {
            event.push("event");
            async {}
        });
    let mut ws = Ws::connect(&io).await;
    ws.expect(r#"42["welcome"]"#).await;
    ws.send(r#"42["event"]"#).await;
    settle().await;
    assert_eq!(log.take(), [""; 0]);
    gate.notify_one();
    until(|| log.len() == 2).await;
    assert_eq!(log.take(), ["connected", "event"]);
}

async fn the_disconnect_handler_waits_for_the_others() {
    let io = server();
    let log = Log::default();
    let gate = Arc::new(Notify::new());
    let (open, event, left) = (gate.clone(), log.clone(), log.clone());
    io.of("/")
        .on("event", move || {
            let (gate, event) = (open.clone(), event.clone());
            async move {
                gate.notified().await;
                event.push("event");
            }
        })
        .on_disconnect(move || {
            left.push("left");
            async {}
        });
    let mut ws = Ws::connect(&io).await;
    ws.send(r#"42["event"]"#).await;
    ws.send(r#"42["event"]"#).await;
    settle().await;
    drop(ws);
    settle().await;
    assert_eq!(log.take(), [""; 0]);
    gate.notify_one();
    settle().await;
    gate.notify_one();
    until(|| log.len() == 3).await;
    assert_eq!(log.take(), ["event", "event", "left"]);
    settle().await;
    assert_eq!(io.connections(), 0);
}

/// One POST can hold very many events; other tasks must get their turns meanwhile.
async fn a_flood_of_events_does_not_hold_the_thread() {
    const FLOOD: usize = 50_000;
    let io = builder().build();
    // What happens in one poll, in which no other task has a turn? The turn, its events, and the most so far.
    let turns = Arc::new(Mutex::new((0, 0, 0)));
    let counted = turns.clone();
    let handled = Arc::new(AtomicUsize::new(0));
    let count = handled.clone();
    io.of("/").on("e", move || {
        let (mut turns, turn) = (counted.lock().unwrap(), World::current().turns());
        let events = if turns.0 == turn { turns.1 + 1 } else { 1 };
        *turns = (turn, events, turns.2.max(events));
        count.fetch_add(1, Ordering::Relaxed);
        async {}
    });
    let polling = Polling::connect(&io).await;
    polling.post(&vec![r#"42["e"]"#; FLOOD].join(" ")).await;
    until(|| handled.load(Ordering::Relaxed) == FLOOD).await;
    let most = turns.lock().unwrap().2;
    assert!(most <= 1000, "{most} events in one turn");
}

/// The work for each event must not grow with how many wait.
async fn a_flood_for_handlers_that_wait() {
    const FLOOD: usize = 10_000;
    let io = builder().build();
    let handled = Arc::new(AtomicUsize::new(0));
    let counted = handled.clone();
    io.of("/").on("e", move || {
        let counted = counted.clone();
        async move {
            yield_now().await;
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let polling = Polling::connect(&io).await;
    let time = async |flood| {
        handled.store(0, Ordering::Relaxed);
        let body = vec![r#"42["e"]"#; flood].join(" ");
        let begun = std::time::Instant::now();
        polling.post(&body).await;
        until(|| handled.load(Ordering::Relaxed) == flood).await;
        begun.elapsed()
    };
    // Eight times as many took 64 times as long when each event looked at all that waited. The machine may have been busy with something
    // else in between, but not each time.
    let mut ratios = Vec::new();
    for _ in 0..5 {
        let (few, many) = (time(FLOOD).await, time(8 * FLOOD).await);
        ratios.push(many.as_secs_f32() / few.as_secs_f32());
        if ratios.last().is_some_and(|ratio| *ratio < 24.0) {
            return;
        }
    }
    panic!("{ratios:?}");
}
