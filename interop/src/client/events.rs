//! Connecting, and events both ways.

use core::time::Duration;
use std::sync::Arc;

use crate::adapter::Adapter;
use crate::lab::{Lab, Options, Side};
use serde_json::{Value, json};
use sio_driver::{ClientSocket, Data, Event};

use super::common::{WAYS, Way, ask, bounded, collect, id_of, notes, shared, within};

pub(crate) async fn connects(side: Side, way: Way) {
    let lab = shared(side).await;
    let client = way.connect(way.builder(lab.url())).await;
    assert!(client.is_connected() && client.is_active() && !client.recovered());
    assert_eq!(client.namespace().as_str(), "/");
    let id = id_of(&client);
    // What travels over the new transport tells the server of the upgrade.
    ask::<i64>(&client, "sum", &(1, 2)).await;
    assert!(lab.sockets("/").await.contains(&id));
    if side == Side::Node {
        // What the server says of it.
        let sockets = lab.command(json!({ "cmd": "sockets" })).await;
        let own = sockets.as_array().and_then(|list| list.iter().find(|socket| socket["id"] == id)).cloned();
        let name = if way == Way::Polling { "polling" } else { "websocket" };
        assert_eq!(own.map(|own| own["transport"].clone()), Some(name.into()));
    }
    let other = way.connect(way.builder(lab.url())).await;
    assert_ne!(id_of(&other), id);
    client.close().await;
    other.close().await;
}

pub(crate) async fn echoes(side: Side, way: Way) {
    let lab = shared(side).await;
    let (handler, mut heard) = collect::<(Value, Value, String)>();
    let client = way.connect(way.builder(lab.url()).on("echo", handler)).await;
    let value = json!({ "deep": [{ "er": [[], {}, null, 1.5, -7, true] }], "": "empty key" });
    let text = "ä 中 😀 \u{1e} \u{2028} \" \\ \0";
    client.emit("echo", &(&value, Value::Null, text)).expect("emit");
    assert_eq!(heard.next().await, (value, Value::Null, text.to_owned()));
    client.close().await;
}

/// Also across the upgrade, for which nobody waits here.
pub(crate) async fn keeps_order(side: Side, way: Way) {
    let lab = shared(side).await;
    let (echo, mut echoed) = collect::<u32>();
    let (tick, mut ticked) = collect::<u32>();
    let builder = way.builder(lab.url()).on("echo", echo).on("tick", tick);
    let client = within("connect", builder.connect()).await.expect("the client connects");
    for number in 0..300_u32 {
        client.emit("echo", &number).expect("emit");
        if number % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert_eq!(ask::<u32>(&client, "burst", &500).await, 500);
    assert_eq!(echoed.take(300).await, (0..300).collect::<Vec<_>>());
    assert_eq!(ticked.take(500).await, (0..500).collect::<Vec<_>>());
    way.settled(&client).await;
    client.close().await;
}

pub(crate) async fn asks_for_events(side: Side, way: Way) {
    let lab = shared(side).await;
    let client = way.connect(way.builder(lab.url())).await;
    client.emit("echo", &("first", 1)).expect("emit");
    client.emit("echo", &()).expect("emit");
    let event = within("an event", client.recv()).await.expect("an event");
    assert_eq!(event.name(), "echo");
    assert_eq!(event.data::<(String, u32)>().ok(), Some(("first".to_owned(), 1)));
    assert!(event.data::<(u32, u32)>().is_err());
    let event = within("an event", client.recv()).await.expect("an event");
    assert!(event.data::<u32>().is_err(), "there are no arguments");
    drop(client.close());
    assert!(within("the end", client.recv()).await.is_none());
}

pub(crate) async fn knows_handlers(side: Side, way: Way) {
    let lab = shared(side).await;
    let client = way.connect(way.builder(lab.url())).await;
    let (any, mut names) = tokio::sync::mpsc::unbounded_channel();
    client.on_any(move |event: Event| {
        let _ = any.send(event.to_string());
        async {}
    });
    let (once, mut first) = collect::<u32>();
    let (on, mut all) = collect::<u32>();
    client.once("echo", once).on("echo", on);
    for number in 0..3_u32 {
        client.emit("echo", &number).expect("emit");
    }
    assert_eq!(all.take(3).await, [0, 1, 2]);
    assert_eq!(first.rest(), [0]);
    client.off("echo");
    client.emit("echo", &3).expect("emit");
    // The answer comes behind the echo.
    ask::<i64>(&client, "sum", &(1, 2)).await;
    for _ in 0..4 {
        assert_eq!(within("a name", names.recv()).await.as_deref(), Some("echo"));
    }
    assert_eq!(all.rest(), [0_u32; 0]);
    client.close().await;
}

pub(crate) async fn reaches_rooms(side: Side, way: Way) {
    let lab = shared(side).await;
    let room = format!("room of {side:?} {way:?}");
    let (handler, mut heard) = collect::<(u32, Value)>();
    let member = way.connect(way.builder(lab.url()).on("said", handler)).await;
    let (handler, mut heard_by_stranger) = collect::<Value>();
    let stranger = way.connect(way.builder(lab.url()).on("said", handler)).await;
    assert_eq!(ask::<String>(&member, "join", &room).await, "joined");
    assert_eq!(ask::<String>(&stranger, "to-room", &(&room, "said", 1)).await, "sent");
    let emit = json!({ "cmd": "emit", "rooms": [room], "event": "said", "args": [2, "more"] });
    lab.command(emit.clone()).await;
    assert_eq!(ask::<String>(&member, "leave", &room).await, "left");
    lab.command(emit).await;
    ask::<i64>(&member, "sum", &(1, 2)).await;
    ask::<i64>(&stranger, "sum", &(1, 2)).await;
    // The first has one argument only, which is not what the handler takes.
    assert_eq!(heard.next().await, (2, json!("more")));
    assert_eq!(heard.rest(), []);
    assert_eq!(heard_by_stranger.rest(), [Value::Null; 0]);
    member.close().await;
    stranger.close().await;
}

pub(crate) async fn is_volatile(side: Side, way: Way) {
    let lab = shared(side).await;
    let client = way.builder(lab.url()).auto_connect(false).build().expect("a client");
    let mark = format!("volatile {side:?} {way:?}");
    assert_eq!(client.volatile().emit("note", &format!("{mark} offline")).ok(), Some(false));
    client.emit("note", &format!("{mark} kept")).expect("emit");
    client.connect();
    within("connected", client.connected()).await.expect("the client connects");
    way.settled(&client).await;
    ask::<i64>(&client, "sum", &(1, 2)).await;
    // Nothing is under way now.
    assert_eq!(client.volatile().emit("note", &format!("{mark} online")).ok(), Some(true));
    ask::<i64>(&client, "sum", &(1, 2)).await;
    let notes: Vec<_> =
        notes(lab).await.into_iter().filter(|note| note.to_string().contains(&mark)).collect();
    assert_eq!(notes, [format!("{mark} kept"), format!("{mark} online")]);
    client.close().await;
}

pub(crate) async fn closes(side: Side, way: Way) {
    let lab = shared(side).await;
    let client = way.connect(way.builder(lab.url())).await;
    let id = id_of(&client);
    let mark = format!("last words {side:?} {way:?}");
    for number in 0..50 {
        client.emit("note", &(format!("{mark} {number}"))).expect("emit");
    }
    if side == Side::Node {
        // It ignores events that come together with the client's goodbye, whichever client that is.
        ask::<()>(&client, "note", &format!("{mark} 50")).await;
    } else {
        client.emit("note", &format!("{mark} 50")).expect("emit");
    }
    within("close", client.close()).await;
    assert!(!client.is_connected() && !client.is_active() && client.id().is_none());
    assert!(client.emit("note", &1).is_err());
    client.connect();
    assert!(!client.is_active(), "closing is final");
    gone(lab, &id).await;
    let notes: Vec<_> =
        notes(lab).await.into_iter().filter(|note| note.to_string().contains(&mark)).collect();
    assert_eq!(notes, (0..=50).map(|number| format!("{mark} {number}")).collect::<Vec<_>>());
}

/// Dropping the last handle closes the connection, also if handlers hold the socket that they are given.
pub(crate) async fn drops(side: Side, way: Way) {
    let lab = shared(side).await;
    let builder = way.builder(lab.url()).on("echo", async |_: ClientSocket, Data(_): Data<Value>| {});
    let client = way.connect(builder).await;
    let id = id_of(&client);
    let other = client.clone();
    let socket = client.socket("/");
    drop(client);
    drop(other);
    assert_eq!(ask::<i64>(&socket, "sum", &(20, 22)).await, 42);
    drop(socket);
    gone(lab, &id).await;
}

/// Waits until the server has seen this socket leave.
async fn gone(lab: &Lab, id: &str) {
    lab.log().until("disconnect", |list| list.iter().any(|left| left["id"] == id)).await;
}

/// A handler that takes its time holds up neither heartbeats nor acknowledgements.
pub(crate) async fn slow_handlers_do_no_harm() {
    let (ping_interval, ping_timeout) = (Duration::from_millis(500), Duration::from_millis(500));
    let mut running = tokio::task::JoinSet::new();
    for side in [Side::Node, Side::Ours] {
        let lab = Lab::start(side, Options { ping_interval, ping_timeout, ..Options::default() }).await;
        let lab = Arc::new(lab);
        for way in WAYS {
            running.spawn(handles_slowly(Arc::clone(&lab), way));
        }
    }
    bounded(async { drop(running.join_all().await) }).await;
}

async fn handles_slowly(lab: Arc<Lab>, way: Way) {
    let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
    let builder = way.builder(lab.url()).on("echo", move |Data(number): Data<u32>| {
        let _ = begun.send(number);
        Adapter::here().sleep(Duration::from_millis(2000))
    });
    let client = way.connect(builder).await;
    let id = id_of(&client);
    client.emit("echo", &1).expect("emit");
    client.emit("echo", &2).expect("emit");
    assert_eq!(within("the first", begins.recv()).await, Some(1));
    assert_eq!(ask::<i64>(&client, "sum", &(20, 22)).await, 42);
    assert!(begins.try_recv().is_err(), "one after another");
    assert_eq!(within("the second", begins.recv()).await, Some(2));
    assert_eq!(client.id().map(|id| id.to_string()), Some(id), "still the same connection");
    client.close().await;
}
