//! What the recorder of the `metrics` crate is told.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use sio_tokio::{Client, Server, Transport};
use tokio::net::TcpListener;

/// By name and labels: what was added since the last look.
fn look(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let mut seen = BTreeMap::new();
    for (key, unit, description, value) in snapshotter.snapshot().into_vec() {
        let key = key.key();
        assert!(unit.is_some() && description.is_some(), "{key} is described");
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(values) => values.len() as f64,
        };
        seen.insert(format!("{}{{{}}}", key.name(), labels.join(",")), value);
    }
    seen
}

async fn serve(io: &Server) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let io = io.clone();
    tokio::spawn(async move { io.serve(listener).await });
    url
}

#[tokio::test]
async fn what_happens_is_told() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let build = || Server::builder().metrics_interval(Duration::ZERO).build();
    let io = metrics::with_local_recorder(&recorder, build);
    io.of("/").on("now", async || 1).on("later", async || {
        tokio::task::yield_now().await;
        2
    });
    let url = serve(&io).await;
    let client = Client::builder(&*url)
        .transports([Transport::WebSocket])
        .reconnection(false)
        .connect()
        .await
        .unwrap();
    assert_eq!(client.emit_with_ack::<u32, _>("now", &()).await, Ok(1));
    assert_eq!(client.emit_with_ack::<u32, _>("later", &()).await, Ok(2));
    let seen = look(&snapshotter);
    assert_eq!(seen["sio_handler_duration_seconds{}"], 2.0);
    assert_eq!(seen["sio_sockets{}"], 0.0, "not by itself");
    io.record_metrics();
    let seen = look(&snapshotter);
    assert_eq!(seen["sio_connections{transport=websocket}"], 1.0);
    assert_eq!(seen["sio_connections_opened_total{transport=websocket}"], 1.0);
    assert_eq!(seen["sio_connections{transport=polling}"], 0.0);
    assert_eq!(seen["sio_sockets{}"], 1.0);
    assert_eq!(seen["sio_packets_received_total{transport=websocket}"], 3.0);
    assert_eq!(seen["sio_packets_sent_total{transport=websocket}"], 4.0, "with the handshake");
    assert!(seen["sio_bytes_received_total{transport=websocket}"] > 20.0);
    io.record_metrics();
    assert_eq!(look(&snapshotter)["sio_packets_received_total{transport=websocket}"], 0.0, "once");
    // A second server adds to what the first one told, and takes it along.
    let other = metrics::with_local_recorder(&recorder, build);
    let second = Client::builder(serve(&other).await).reconnection(false).connect().await.unwrap();
    other.record_metrics();
    assert_eq!(look(&snapshotter)["sio_sockets{}"], 1.0);
    drop(second);
    client.close().await;
    io.close().await;
    io.record_metrics();
    let seen = look(&snapshotter);
    assert_eq!(seen["sio_connections{transport=websocket}"], -1.0);
    assert_eq!(seen["sio_sockets{}"], -1.0);
    let closed = |reason: &str| seen[&format!("sio_connections_closed_total{{reason={reason}}}")];
    assert_eq!(closed("transport close") + closed("forced close"), 1.0);
    let refused = Client::builder(url).reconnection(false).connect().await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn the_recorder_is_told_by_itself() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let io = metrics::with_local_recorder(&recorder, || {
        Server::builder().metrics_interval(Duration::from_millis(5)).build()
    });
    let client = Client::connect(serve(&io).await).await.unwrap();
    let wait = async |count: f64| {
        while look(&snapshotter)["sio_sockets{}"] != count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait(1.0)).await.expect("told");
    client.close().await;
    tokio::time::timeout(Duration::from_secs(20), wait(-1.0)).await.expect("told, also when nobody is there");
}
