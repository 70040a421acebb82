//! Many clients at once, and what is left of them.

use std::sync::Arc;
use std::time::Duration;

use sio_driver::{Auth, ConnectError, Data, Server, Socket, State};

use crate::api::common::{Polling, Ws, builder};
use crate::api::{Case, list};
use crate::world::{Listener, Port, World, settle, sleep, spawn, timeout, until, yield_now};

pub(super) const CASES: &[Case] = list![a_server_that_is_dropped_without_being_closed, two_hundred_clients,];

fn serve(io: &Server) {
    io.of("/")
        .on_connect(async |socket: Socket| {
            let held = socket.clone();
            socket.on("own", move || {
                let held = held.clone();
                async move { held.id().to_string() }
            });
            socket.join("everyone");
        })
        .on("double", async |Data(number): Data<u64>, State(_): State<Arc<()>>| {
            if number.is_multiple_of(2) {
                yield_now().await;
            }
            number * 2
        })
        .on("shout", async |socket: Socket, Data(text): Data<String>| {
            socket.to("everyone").volatile().emit("shout", &text)?;
            Ok(())
        });
    io.of("/refused").use_(async |Auth(_): Auth<serde_json::Value>| Err(ConnectError::new("no")));
}

async fn two_hundred_clients() {
    const EACH: usize = 100;
    World::current().in_parallel();
    let state = Arc::new(());
    let io = builder().shards(3).state(state.clone()).build();
    serve(&io);
    let listener = Listener::new();
    let port = listener.port();
    let serving = spawn(sio_driver::serve(World::current(), listener, io.clone()));
    let websocket = |number: usize, port: Port| async move {
        let mut ws = Ws::over(port.connect().unwrap()).await;
        ws.join("/").await;
        ws.send("40/refused,").await;
        let mut answered = 0;
        for round in 0..10 {
            ws.send(format!(r#"427["double",{}]"#, number + round)).await;
        }
        ws.send(r#"42["shout","hello"]"#).await;
        while answered < 10 {
            let text = ws.recv().await;
            if let Some(answer) = text.strip_prefix("437") {
                assert_eq!(answer, format!("[{}]", (number + answered) * 2));
                answered += 1;
            } else {
                assert!(text.starts_with("42[\"shout\"") || text.starts_with("44/refused"), "{text}");
            }
        }
        if number.is_multiple_of(2) {
            ws.socket.close(None).await.unwrap();
        }
    };
    let polling = |number: usize, io: Server| async move {
        let client = Polling::connect(&io).await;
        let mut answered = 0;
        for round in 0..10 {
            client.post(&format!(r#"427["double",{}]"#, number + round)).await;
        }
        while answered < 10 {
            for packet in client.get().await.split(' ') {
                if let Some(answer) = packet.strip_prefix("437") {
                    assert_eq!(answer, format!("[{}]", (number + answered) * 2));
                    answered += 1;
                }
            }
        }
        client.post(if number.is_multiple_of(2) { "1" } else { "41 1" }).await;
    };
    let clients: Vec<_> = (0..EACH)
        .flat_map(|number| [spawn(websocket(number, port.clone())), spawn(polling(number, io.clone()))])
        .collect();
    for client in clients {
        timeout(Duration::from_secs(60), client).await.expect("in time").unwrap();
    }
    until(|| io.connections() == 0).await;
    assert_eq!((io.of("/").len(), io.of("/refused").len()), (0, 0));
    assert_eq!(io.to("everyone").emit("x", &()).unwrap().sockets, 0);
    assert!(io.of("/").sockets().is_empty());
    io.close().await;
    serving.await.unwrap().unwrap();
    // Nothing holds the server in a circle: neither sockets with handlers that hold them, nor tasks.
    drop(io);
    settle().await;
    assert_eq!(Arc::strong_count(&state), 1);
}

/// The same with a server that is dropped while clients are there.
async fn a_server_that_is_dropped_without_being_closed() {
    let state = Arc::new(());
    let io = builder().state(state.clone()).build();
    serve(&io);
    let ws = Ws::connect(&io).await;
    let polling = Polling::connect(&io).await;
    drop((io, polling));
    sleep(Duration::from_secs(1)).await;
    assert!(Arc::strong_count(&state) > 1, "clients are still there");
    drop(ws);
    // The polling client is missed when its heartbeat is.
    sleep(Duration::from_secs(60)).await;
    assert_eq!(Arc::strong_count(&state), 1);
}
