//! From polling to WebSocket, while handlers are at work.

use std::sync::Arc;
use std::time::Duration;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::TokioAdapter;
use futures_util::{SinkExt as _, StreamExt as _};
use sio_tokio::{Data, Server};
use tokio::io::DuplexStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tungstenite::Message;

use crate::common::{Log, PATIENCE, Polling, connection, server, settle, until, websocket};

/// A WebSocket that has taken the session over.
async fn upgrade(io: &Server, polling: &Polling) -> WebSocketStream<TokioAdapter<DuplexStream>> {
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
            gate.acquire().await?.forget();
            seen.push(number.to_string());
            Ok(number)
        }
    });
    (log, gate)
}

#[tokio::test(start_paused = true)]
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

#[tokio::test(start_paused = true)]
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

/// Everything at once, on two threads: POSTs whose handlers wait or not, upgrades, and clients that leave in the middle.
#[test]
fn again_and_again() {
    const ROUNDS: usize = 300;
    const EVENTS: usize = 20;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let io = server();
    io.of("/").on("event", async |Data(number): Data<usize>| {
        for _ in 0..number % 4 {
            tokio::task::yield_now().await;
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
    runtime.block_on(async {
        for batch in 0..ROUNDS / 20 {
            let rounds: Vec<_> =
                (0..20).map(|number| tokio::spawn(round(io.clone(), batch * 20 + number))).collect();
            for round in rounds {
                timeout(Duration::from_secs(20), round).await.expect("nothing is forgotten").unwrap();
            }
        }
        until(|| io.connections() == 0).await;
    });
}
