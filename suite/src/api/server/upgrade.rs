//! From polling to WebSocket, while handlers are at work.

use std::sync::Arc;
use std::time::Duration;

use async_lock::Semaphore;
use async_tungstenite::WebSocketStream;
use futures_util::{SinkExt as _, StreamExt as _};
use sio_driver::{Data, Server};
use tungstenite::Message;

use crate::api::common::{Log, PATIENCE, Polling, connection, server, websocket};
use crate::api::{Case, list};
use crate::world::{Pipe, World, settle, spawn, timeout, until, yield_now};

pub(super) const CASES: &[Case] =
    list![handlers_of_the_polling_session_go_on, what_was_queued_follows, again_and_again,];

/// A WebSocket that has taken the session over.
async fn upgrade(io: &Server, polling: &Polling) -> WebSocketStream<Pipe> {
    let mut ws = websocket(connection(io, 4096), &format!("&sid={}", polling.sid)).await;
    ws.send(Message::text("2probe")).await.unwrap();
    let answer = timeout(PATIENCE, ws.next()).await.expect("in time").unwrap().unwrap();
    assert_eq!(answer, Message::text("3probe"));
    ws.send(Message::text("5")).await.unwrap();
    ws
}

/// Each handler waits for a permit of the gate.
fn gated(io: &Server) -> (Log, Arc<Semaphore>) {
    let (log, gate) = (Log::default(), Arc::new(Semaphore::new(0)));
    let (seen, open) = (log.clone(), gate.clone());
    io.of("/").on("event", move |Data(number): Data<usize>| {
        let (seen, gate) = (seen.clone(), open.clone());
        async move {
            gate.acquire().await.forget();
            seen.push(number.to_string());
            Ok(number)
        }
    });
    (log, gate)
}

async fn handlers_of_the_polling_session_go_on() {
    let io = server();
    let (log, gate) = gated(&io);
    let polling = Polling::connect(&io).await;
    polling.post(r#"421["event",1] 422["event",2]"#).await;
    let mut ws = upgrade(&io, &polling).await;
    ws.send(Message::text(r#"423["event",3]"#)).await.unwrap();
    settle().await;
    assert_eq!(log.len(), 0);
    for number in 1..=3 {
        gate.add_permits(1);
        let answer = timeout(PATIENCE, ws.next()).await.expect("in time").unwrap().unwrap();
        assert_eq!(answer, Message::text(format!("43{number}[{number}]")));
    }
    drop(ws);
    until(|| io.connections() == 0).await;
    assert_eq!(log.take(), ["1", "2", "3"]);
}

async fn what_was_queued_follows() {
    let io = server();
    let polling = Polling::connect(&io).await;
    io.emit("one", &()).unwrap();
    let mut ws = upgrade(&io, &polling).await;
    io.emit("two", &()).unwrap();
    for event in ["one", "two"] {
        let text = timeout(PATIENCE, ws.next()).await.expect("in time").unwrap().unwrap();
        assert_eq!(text, Message::text(format!(r#"42["{event}"]"#)));
    }
}

/// Everything at once, on as many threads as the runtime has: POSTs whose handlers wait or not, upgrades, and clients that leave in the middle.
async fn again_and_again() {
    const ROUNDS: usize = 300;
    const EVENTS: usize = 20;
    World::current().in_parallel();
    let io = server();
    io.of("/").on("event", async |Data(number): Data<usize>| {
        for _ in 0..number % 4 {
            yield_now().await;
        }
        number
    });
    let round = |io: Server, number: usize| async move {
        let polling = Polling::connect(&io).await;
        for event in 0..EVENTS / 2 {
            polling.post(&format!(r#"42{event}["event",{event}]"#)).await;
        }
        // Posts go on until the upgrade is done.
        let mut ws = websocket(connection(&io, 1024), &format!("&sid={}", polling.sid)).await;
        ws.send(Message::text("2probe")).await.unwrap();
        assert_eq!(ws.next().await.unwrap().unwrap(), Message::text("3probe"));
        for event in EVENTS / 2..EVENTS {
            polling.post(&format!(r#"42{event}["event",{event}]"#)).await;
        }
        ws.send(Message::text("5")).await.unwrap();
        for event in EVENTS..2 * EVENTS {
            ws.feed(Message::text(format!(r#"42{event}["event",{event}]"#))).await.unwrap();
        }
        ws.flush().await.unwrap();
        if number.is_multiple_of(7) {
            return;
        }
        for event in 0..2 * EVENTS {
            let answer = loop {
                match ws.next().await.expect("open").expect("no error") {
                    Message::Text(text) if text == "6" => {}
                    message => break message,
                }
            };
            assert_eq!(answer, Message::text(format!("43{event}[{event}]")));
        }
        ws.close(None).await.unwrap();
    };
    for batch in 0..ROUNDS / 20 {
        let rounds: Vec<_> = (0..20).map(|number| spawn(round(io.clone(), batch * 20 + number))).collect();
        for round in rounds {
            timeout(Duration::from_secs(20), round).await.expect("nothing is forgotten").unwrap();
        }
    }
    until(|| io.connections() == 0).await;
}
