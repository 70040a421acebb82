//! Ten thousand events across fifty forced disconnects, none lost.

use core::time::Duration;

use crate::{
    lab::{Lab, Side},
    proxy::Proxy,
};
use serde_json::{Value, json};
use sio_driver::{Client, ClientBuilder};

use super::{
    common::{Happened, Watch, Way, bounded, cut_off, lab},
    retries::{Report, report},
};

/// A few more than the last cut comes with.
const COUNT: u64 = 10_050;
const CUTS: usize = 50;
const EVERY: usize = 200;

fn builder(lab: &Lab, way: Way) -> ClientBuilder<Client> {
    way.builder(format!("{}/retries", lab.url()))
        .reconnection_delay(Duration::from_millis(1))
        .retries(1000)
        // Only lost connections bring events back: a try does not time out.
        .ack_timeout(Duration::from_secs(280))
}

/// Sends everything, waits for the last answer, and looks at what came.
async fn send(client: &Client, lab: &Lab) -> Report {
    for seq in 0..COUNT - 1 {
        client.emit("item", &seq).expect("emit");
    }
    let last = client.emit_with_ack::<u64, _>("item", &(COUNT - 1));
    let last = tokio::time::timeout(Duration::from_secs(280), last).await.expect("the last answer in time");
    assert_eq!(last, Ok(COUNT - 1));
    let report = report(&lab.seen("item").await, COUNT);
    assert_eq!(report.unexplained, [Value::Null; 0], "nothing comes twice over one connection");
    report
}

/// The connection ends just when an event has come, and before it is answered.
pub(crate) async fn cut_by_the_server() {
    bounded(async {
        let lab = lab(Side::Node).await;
        lab.command(json!({ "cmd": "retries", "cutEvery": EVERY, "cut": "before" })).await;
        let (builder, mut watch) = Watch::new(builder(&lab, Way::Upgrade));
        let client = Way::Upgrade.connect(builder).await;
        let report = send(&client, &lab).await;
        let happened = watch.rest();
        let lost = happened.iter().filter(|happened| matches!(happened, Happened::Disconnected(_))).count();
        assert_eq!(lost, CUTS, "{happened:?}");
        assert_eq!(report.duplicates, CUTS, "{report:?}");
        println!("by node's server: {COUNT} events, {lost} disconnects, {} duplicates", report.duplicates);
        client.close().await;
    })
    .await;
}

/// The connection ends anywhere.
async fn cut_on_the_way(way: Way) {
    let lab = lab(Side::Ours).await;
    let proxy = Proxy::start().await;
    let (builder, mut watch) = Watch::new(builder(&lab, way).proxy(proxy.url()));
    let client = way.connect(builder).await;
    watch.connected().await;
    let cuts = async {
        for cut in 1..=CUTS {
            lab.log().until("item", |items| items.len() >= cut * EVERY).await;
            cut_off(&proxy, &mut watch).await;
            watch.connected().await;
        }
    };
    let (report, ()) = tokio::join!(send(&client, &lab), cuts);
    // One event is on its way at a time, so a lost connection loses one answer at most.
    let lost = lab.seen("connect").await.len() - 1;
    assert!(lost >= CUTS && report.duplicates <= lost, "{lost}, {report:?}");
    println!("on the way, {way:?}: {COUNT} events, {lost} disconnects, {} duplicates", report.duplicates);
    client.close().await;
}

pub(crate) async fn cut_while_polling() {
    bounded(cut_on_the_way(Way::Polling)).await;
}

pub(crate) async fn cut_on_websocket() {
    bounded(cut_on_the_way(Way::WebSocket)).await;
}

pub(crate) async fn cut_while_upgrading() {
    bounded(cut_on_the_way(Way::Upgrade)).await;
}
