//! Connection state recovery.

use crate::lab::{Lab, Options, Side, pattern};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::common::{Watch, Way, ask, collect, id_of, until, within};

async fn recovering(side: Side) -> Lab {
    Lab::start(side, Options { recovery: true, ..Options::default() }).await
}

pub(crate) async fn misses_nothing(side: Side, way: Way) {
    let lab = recovering(side).await;
    let (tick, mut ticked) = collect::<Value>();
    let (bytes, mut binary) = collect::<Bytes>();
    let builder = way.builder(lab.url()).on("tick", tick).on("bytes", bytes);
    let (builder, mut watch) = Watch::new(builder);
    let client = way.connect(builder).await;
    let (id, recovered) = watch.connected().await;
    assert!(!recovered);
    assert_eq!(ask::<String>(&client, "join", "room").await, "joined");
    lab.command(json!({ "cmd": "emit", "event": "tick", "args": [0] })).await;
    assert_eq!(ticked.next().await, 0);
    for round in 1..=3 {
        way.settled(&client).await;
        let events = json!([
            { "event": "tick", "args": [round * 10] },
            { "event": "tick", "args": ["not for the client"], "rooms": ["another room"] },
            { "event": "tick", "args": ["volatile"], "volatile": true },
            { "event": "bytes", "args": [{ "$bytes": [round, 1] }], "rooms": ["room"] },
            { "event": "tick", "args": [round * 10 + 1], "rooms": ["room"] },
        ]);
        lab.command(json!({ "cmd": "away", "id": id, "events": events })).await;
        let reason = watch.disconnected().await;
        assert!(["transport close", "transport error"].contains(&reason.as_str()), "{reason}");
        assert_eq!(watch.connected().await, (id.clone(), true), "the same id");
        assert!(client.recovered());
        let mut heard = Vec::new();
        while heard.len() < 2 {
            let tick = ticked.next().await;
            // One that was between two polls is noticed to be away when it is back, and has a poll pending again.
            if tick != "volatile" || way != Way::Polling {
                heard.push(tick);
            }
        }
        assert_eq!(heard, [json!(round * 10), json!(round * 10 + 1)]);
        assert_eq!(binary.next().await, pattern(round, 1));
    }
    // The rooms are kept.
    lab.command(json!({ "cmd": "emit", "rooms": ["room"], "event": "tick", "args": ["end"] })).await;
    assert_eq!(ticked.next().await, "end");
    assert_eq!(ticked.rest(), [Value::Null; 0]);
    client.close().await;
}

/// A string at the end of a volatile event is no offset (B131).
pub(crate) async fn knows_offsets(side: Side, way: Way) {
    let lab = recovering(side).await;
    let (tick, mut ticked) = collect::<Value>();
    let (builder, mut watch) = Watch::new(way.builder(lab.url()).on("tick", tick));
    let client = way.connect(builder).await;
    let (id, _) = watch.connected().await;
    lab.command(json!({ "cmd": "emit", "event": "tick", "args": [0] })).await;
    assert_eq!(ticked.next().await, 0);
    // It is dropped while no poll waits.
    let heard = loop {
        lab.command(json!({ "cmd": "emit", "event": "tick", "args": ["a string"], "volatile": true })).await;
        sleep(core::time::Duration::from_millis(20)).await;
        let heard = ticked.rest();
        if !heard.is_empty() {
            break heard;
        }
    };
    assert_eq!(heard[0], "a string");
    let events = json!([{ "event": "tick", "args": [1] }]);
    lab.command(json!({ "cmd": "away", "id": id, "events": events })).await;
    watch.disconnected().await;
    assert_eq!(watch.connected().await, (id, true));
    assert_eq!(ticked.next().await, 1);
    client.close().await;
}

/// A server that has forgotten the session gives a new one.
pub(crate) async fn begins_anew(side: Side, way: Way) {
    let lab = recovering(side).await;
    let (tick, mut ticked) = collect::<Value>();
    let (builder, mut watch) = Watch::new(way.builder(lab.url()).on("tick", tick));
    let client = way.connect(builder).await;
    let (id, _) = watch.connected().await;
    lab.command(json!({ "cmd": "emit", "event": "tick", "args": [0] })).await;
    assert_eq!(ticked.next().await, 0);
    lab.restart().await;
    let (again, recovered) = watch.connected().await;
    assert!(again != id && !recovered && !client.recovered());
    // And that one is recovered in turn.
    lab.command(json!({ "cmd": "emit", "event": "tick", "args": [1] })).await;
    assert_eq!(ticked.next().await, 1);
    way.settled(&client).await;
    lab.command(json!({ "cmd": "away", "id": id_of(&client), "events": [] })).await;
    watch.disconnected().await;
    assert_eq!(watch.connected().await, (again, true));
    until("connected", || client.is_connected()).await;
    within("close", client.close()).await;
}
