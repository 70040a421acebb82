//! Ten thousand events across fifty forced disconnects, none lost.

use core::time::Duration;

use interop::{
    lab::{Lab, Side},
    proxy::Proxy,
};
use serde_json::{Value, json};
use sio_tokio::Client;

use crate::{
    common::{Watch, Way, cut_off, lab},
    retries::{Report, report},
};

const COUNT: u64 = 10_000;
const CUTS: usize = 50;

everywhere! { cut_by_the_server }

/// Sends everything, waits for the last answer, and looks at what came.
async fn send(client: &Client, lab: &Lab) -> Report {
    for seq in 0..COUNT - 1 {
        client.emit("item", &seq).expect("emit");
    }
    let last = client.emit_with_ack::<u64>("item", &(COUNT - 1));
    let last = tokio::time::timeout(Duration::from_secs(100), last).await.expect("the last answer in time");
    assert_eq!(last, Ok(COUNT - 1));
    report(&lab.seen("item").await, COUNT)
}

/// The connection ends just when an event has come, after it was answered: that answer may be lost or not.
async fn cut_by_the_server(side: Side, way: Way) {
    let lab = lab(side).await;
    // Items that come again count too.
    let every = COUNT / CUTS as u64;
    lab.command(json!({ "cmd": "retries", "cutEvery": every, "cut": "after" })).await;
    let builder = way
        .builder(format!("{}/retries", lab.url()))
        .reconnection_delay(Duration::from_millis(1))
        .retries(1000)
        .ack_timeout(Duration::from_secs(20));
    let (builder, mut watch) = Watch::new(builder);
    let client = way.connect(builder).await;
    let report = send(&client, &lab).await;
    client.close().await;
    assert_eq!(report.unexplained, [Value::Null; 0]);
    assert!(report.duplicates <= CUTS + 1, "{report:?}");
    let lost =
        watch.rest().iter().filter(|happened| format!("{happened:?}").starts_with("Disconnected")).count();
    // The last cut may come with the last item, and a closing client does not wait for it.
    assert!(lost >= CUTS, "{lost} disconnects");
    println!("{side:?} {way:?}: {lost} disconnects, {} duplicates", report.duplicates);
}

/// The connection ends somewhere.
async fn cut_on_the_way(side: Side, way: Way) {
    let lab = lab(side).await;
    let proxy = Proxy::start().await;
    let builder = way
        .builder(format!("{}/retries", lab.url()))
        .proxy(proxy.url())
        .reconnection_delay(Duration::from_millis(1))
        .retries(1000)
        .ack_timeout(Duration::from_secs(20));
    let (builder, mut watch) = Watch::new(builder);
    let client = way.connect(builder).await;
    watch.connected().await;
    let cuts = async {
        for cut in 1..=CUTS {
            let wanted = cut * (COUNT as usize / (CUTS + 1));
            lab.log().until("item", |items| items.len() >= wanted).await;
            cut_off(&proxy, &mut watch).await;
            watch.connected().await;
        }
    };
    let (report, ()) = tokio::join!(send(&client, &lab), cuts);
    client.close().await;
    // One event is on its way at a time, so a lost connection loses one answer at most.
    assert!(report.duplicates <= CUTS, "{report:?}");
    println!("{side:?} {way:?}: {CUTS} cuts, {} duplicates", report.duplicates);
}

everywhere! { cut_on_the_way }
