//! At least once: events that are sent until they are acknowledged.

use core::time::Duration;
use std::collections::HashMap;

use crate::lab::{Lab, Side};
use serde_json::{Value, json};

use super::common::{Watch, Way, lab, within};

/// What became of items, of which each was sent until it was acknowledged, one after another.
#[derive(Debug)]
pub(crate) struct Report {
    /// How often an item came again.
    pub(crate) duplicates: usize,
    /// Those of them that came over the same connection, although an acknowledgement was sent.
    pub(crate) unexplained: Vec<Value>,
}

/// Checks that all items came, in order, and looks at those that came more than once: what a lost connection still had on its
/// way can come after the new one's copy, and even after the items that follow.
pub(crate) fn report(items: &[Value], count: u64) -> Report {
    let mut copies: HashMap<u64, Vec<&Value>> = HashMap::new();
    let (mut order, mut unexplained) = (Vec::new(), Vec::new());
    for item in items {
        let seq = item["seq"].as_u64().expect("a number");
        let before = copies.entry(seq).or_default();
        if before.is_empty() {
            order.push(seq);
        }
        if before.iter().any(|copy| copy["id"] == item["id"] && copy["ack"] == "sent") {
            unexplained.push(item.clone());
        }
        before.push(item);
    }
    assert_eq!(order, (0..count).collect::<Vec<_>>(), "lost, or not in order");
    Report { duplicates: items.len() - order.len(), unexplained }
}

const COUNT: u64 = 30;

/// Sends items to a server with these rules.
async fn run(lab: &Lab, way: Way, rules: Value) -> Report {
    lab.command(rules).await;
    let builder =
        way.builder(format!("{}/retries", lab.url())).retries(1000).ack_timeout(Duration::from_secs(1));
    let client = way.connect(builder).await;
    for seq in 0..COUNT - 1 {
        client.emit("item", &seq).expect("emit");
    }
    let last = client.emit_with_ack::<u64>("item", &(COUNT - 1));
    let last = tokio::time::timeout(Duration::from_secs(60), last).await.expect("the last answer in time");
    assert_eq!(last, Ok(COUNT - 1));
    client.close().await;
    report(&lab.seen("item").await, COUNT)
}

pub(crate) async fn acks_get_lost(side: Side, way: Way) {
    let lab = lab(side).await;
    let report = run(&lab, way, json!({ "cmd": "retries", "swallowEvery": 20 })).await;
    // The answer to the item that came as the 20th was lost.
    assert_eq!(report.duplicates, 1, "{report:?}");
    assert_eq!(report.unexplained, [Value::Null; 0]);
}

pub(crate) async fn connections_are_cut(side: Side, way: Way) {
    for cut in ["before", "after"] {
        let lab = lab(side).await;
        let report = run(&lab, way, json!({ "cmd": "retries", "cutEvery": 7, "cut": cut })).await;
        assert_eq!(report.unexplained, [Value::Null; 0]);
        // With "after" the answer may have come through.
        let wanted = if cut == "before" { 4..=5 } else { 0..=5 };
        assert!(wanted.contains(&report.duplicates), "{cut}: {report:?}");
    }
}

/// The queue outlives the server.
pub(crate) async fn server_restarts(side: Side, way: Way) {
    let lab = lab(side).await;
    let builder =
        way.builder(format!("{}/retries", lab.url())).retries(1000).ack_timeout(Duration::from_secs(1));
    let (builder, mut watch) = Watch::new(builder);
    let client = way.connect(builder).await;
    watch.connected().await;
    for seq in 0..500_u64 {
        client.emit("item", &seq).expect("emit");
    }
    lab.log().until("item", |items| items.len() > 20).await;
    lab.restart().await;
    watch.connected().await;
    let last = client.emit_with_ack::<u64>("item", &500);
    let last = tokio::time::timeout(Duration::from_secs(60), last).await.expect("the last answer in time");
    assert_eq!(last, Ok(500));
    within("close", client.close()).await;
    let report = report(&lab.seen("item").await, 501);
    assert!(report.duplicates <= 1, "only what was on its way can come again: {report:?}");
}
