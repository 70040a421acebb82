//! Losing the connection, and coming back.

use core::time::Duration;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use crate::lab::{Lab, Options, Side};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::common::{Happened, LIMIT, Watch, Way, ask, cut, id_of, is_lost, lab, notes, within};

/// Buffered events arrive once, in order.
pub(crate) async fn buffers_while_the_server_is_away(side: Side, way: Way) {
    let lab = lab(side).await;
    let (builder, mut watch) = Watch::new(way.builder(lab.url()));
    let client = way.connect(builder).await;
    let (id, _) = watch.connected().await;
    ask::<()>(&client, "note", "before").await;
    lab.kill().await;
    let reason = watch.disconnected().await;
    assert!(is_lost(&reason), "{reason}");
    assert!(!client.is_connected() && client.is_active() && client.id().is_none());
    for number in 0..20 {
        client.emit("note", &number).expect("emit");
    }
    watch.attempt_failed().await;
    lab.start_again().await;
    let (again, recovered) = watch.connected().await;
    assert!(again != id && !recovered);
    ask::<()>(&client, "note", "after").await;
    let mut wanted = vec![json!("before")];
    wanted.extend((0..20).map(Value::from));
    wanted.push(json!("after"));
    assert_eq!(notes(&lab).await, wanted);
    client.close().await;
}

/// What was on its way when the server died may be lost; nothing is doubled or out of order, and nothing that was emitted
/// while the client knew is lost.
pub(crate) async fn emits_while_the_server_restarts(side: Side, way: Way) {
    let lab = lab(side).await;
    let (builder, mut watch) = Watch::new(way.builder(lab.url()));
    let client = way.connect(builder).await;
    let next = Arc::new(AtomicU32::new(0));
    let emitting = tokio::spawn({
        let (client, next) = (client.clone(), Arc::clone(&next));
        async move {
            loop {
                client.emit("note", &next.fetch_add(1, Ordering::SeqCst)).expect("emit");
                sleep(Duration::from_millis(1)).await;
            }
        }
    });
    let mut known = Vec::new();
    for _ in 0..2 {
        let before = lab.log().list("note").len();
        lab.log().until("note", |notes| notes.len() > before + 10).await;
        lab.kill().await;
        watch.disconnected().await;
        // One may be between being counted and being emitted.
        let first = next.load(Ordering::SeqCst) + 1;
        sleep(Duration::from_millis(20)).await;
        lab.start_again().await;
        watch.connected().await;
        let last = next.load(Ordering::SeqCst);
        // The next end must not come before those that waited.
        lab.log()
            .until("note", |notes| {
                notes.last().is_some_and(|note| note["value"].as_u64() >= Some(last.into()))
            })
            .await;
        known.push(first..last);
    }
    emitting.abort();
    let _ = emitting.await;
    ask::<()>(&client, "note", &u32::MAX).await;
    let notes: Vec<u64> = notes(&lab).await.iter().filter_map(Value::as_u64).collect();
    assert!(notes.is_sorted_by(|a, b| a < b), "{notes:?}");
    for number in known.into_iter().flatten() {
        assert!(notes.binary_search(&number.into()).is_ok(), "{number} is lost: {notes:?}");
    }
    client.close().await;
}

pub(crate) async fn survives_a_graceful_stop(side: Side, way: Way) {
    let lab = lab(side).await;
    let (builder, mut watch) = Watch::new(way.builder(lab.url()));
    let client = way.connect(builder).await;
    lab.stop().await;
    let reason = watch.disconnected().await;
    // A polling client may have been between two polls; no server waits for it.
    assert!(reason == "transport close" || (way == Way::Polling && is_lost(&reason)), "{reason}");
    lab.start_again().await;
    watch.connected().await;
    assert_eq!(ask::<i64>(&client, "sum", &(20, 22)).await, 42);
    client.close().await;
}

/// A client that the server sent away does not come back by itself.
pub(crate) async fn is_sent_away(side: Side, way: Way) {
    let lab = lab(side).await;
    let (builder, mut watch) = Watch::new(way.builder(lab.url()));
    let client = way.connect(builder).await;
    for close in [false, true] {
        watch.connected().await;
        way.settled(&client).await;
        // The server has seen the upgrade's end when it answers.
        ask::<i64>(&client, "sum", &(1, 2)).await;
        lab.command(json!({ "cmd": "disconnect", "id": id_of(&client), "close": close })).await;
        assert_eq!(watch.disconnected().await, "io server disconnect");
        assert!(!client.is_active());
        sleep(Duration::from_millis(200)).await;
        assert_eq!(watch.rest(), [], "nothing is tried");
        client.emit("note", &close).expect("kept until somebody connects");
        client.connect();
    }
    watch.connected().await;
    ask::<()>(&client, "note", "after").await;
    assert_eq!(notes(&lab).await, [json!(false), json!(true), json!("after")]);
    client.close().await;
}

pub(crate) async fn is_cut(side: Side, way: Way) {
    let lab = lab(side).await;
    let (builder, mut watch) = Watch::new(way.builder(lab.url()));
    let client = way.connect(builder).await;
    let mut ids = vec![watch.connected().await.0];
    for _ in 0..3 {
        way.settled(&client).await;
        cut(&lab).await;
        let reason = watch.disconnected().await;
        assert!(is_lost(&reason), "{reason}");
        ids.push(watch.connected().await.0);
        assert_eq!(ask::<i64>(&client, "sum", &(20, 22)).await, 42);
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "a new id each time");
    client.close().await;
}

pub(crate) async fn leaves(side: Side, way: Way) {
    let lab = lab(side).await;
    let (builder, mut watch) = Watch::new(way.builder(lab.url()));
    let client = way.connect(builder).await;
    watch.connected().await;
    let socket = client.socket("/");
    socket.disconnect();
    assert_eq!(watch.disconnected().await, "io client disconnect");
    lab.log().until("disconnect", |list| list.len() == 1).await;
    socket.connect();
    watch.connected().await;
    drop(client.close());
    assert_eq!(watch.disconnected().await, "io client disconnect");
    lab.log().until("disconnect", |list| list.len() == 2).await;
    socket.connect();
    assert!(!socket.is_active(), "that was final");
}

pub(crate) async fn gives_up(side: Side, way: Way) {
    let lab = lab(side).await;
    let (builder, mut watch) = Watch::new(way.builder(lab.url()).reconnection_attempts(2));
    let client = way.connect(builder).await;
    watch.connected().await;
    lab.kill().await;
    let mut attempts = Vec::new();
    let gave_up = async {
        loop {
            let happened = watch.find(|happened| Some(happened.clone())).await;
            match happened {
                Happened::Attempt(count) => attempts.push(count),
                Happened::GaveUp => break,
                _ => {}
            }
        }
    };
    within("giving up", gave_up).await;
    assert_eq!(attempts, [1, 2]);
    assert!(!client.is_active());
    lab.start_again().await;
    client.connect();
    watch.connected().await;
    assert_eq!(ask::<i64>(&client, "sum", &(20, 22)).await, 42);
    client.close().await;
}

pub(crate) async fn stays_away(side: Side, way: Way) {
    let lab = lab(side).await;
    let (builder, mut watch) = Watch::new(way.builder(lab.url()).reconnection(false));
    let client = way.connect(builder).await;
    watch.connected().await;
    cut(&lab).await;
    let reason = watch.disconnected().await;
    assert!(is_lost(&reason), "{reason}");
    assert!(!client.is_active());
    sleep(Duration::from_millis(200)).await;
    assert_eq!(watch.rest(), []);
    client.connect();
    watch.connected().await;
    client.close().await;
}

/// Questions that had not been sent are answered over the next connection.
pub(crate) async fn answers_after_all(side: Side, way: Way) {
    let lab = lab(side).await;
    let (builder, mut watch) = Watch::new(way.builder(lab.url()));
    let client = way.connect(builder).await;
    lab.kill().await;
    watch.disconnected().await;
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.emit_with_ack::<i64, _>("sum", &(20, 22)).timeout(LIMIT).await }
    });
    watch.attempt_failed().await;
    lab.start_again().await;
    assert_eq!(within("the answer", asked).await.expect("no panic"), Ok(42));
    client.close().await;
}

/// The Engine.IO session, without a word of Socket.IO.
pub(crate) async fn session_is_closed(side: Side, way: Way) {
    let lab = lab(side).await;
    let (builder, mut watch) = Watch::new(way.builder(lab.url()));
    let client = way.connect(builder).await;
    watch.connected().await;
    lab.command(json!({ "cmd": "close", "id": id_of(&client) })).await;
    assert_eq!(watch.disconnected().await, "transport close");
    watch.connected().await;
    client.close().await;
}

pub(crate) async fn pings_stop(side: Side, way: Way) {
    let (ping_interval, ping_timeout) = (Duration::from_millis(300), Duration::from_millis(300));
    let lab = Lab::start(side, Options { ping_interval, ping_timeout, ..Options::default() }).await;
    let (builder, mut watch) = Watch::new(way.builder(lab.url()));
    let client = way.connect(builder).await;
    watch.connected().await;
    lab.command(json!({ "cmd": "silence", "id": id_of(&client) })).await;
    assert_eq!(watch.disconnected().await, "ping timeout");
    watch.connected().await;
    client.close().await;
}
