//! The server's limits, and the client's own.

use crate::lab::{Lab, Options, Side};
use serde_json::Value;
use sio_driver::{EmitError, Transport};

use super::common::{Watch, Way, ask, notes, shared, within};

async fn small(side: Side) -> Lab {
    Lab::start(side, Options { max_http_buffer_size: 1000, ..Options::default() }).await
}

/// Many events in one go do not make a request that is too large (B59).
pub(crate) async fn batches_fit(side: Side, way: Way) {
    let lab = small(side).await;
    let (builder, mut watch) = Watch::new(way.builder(lab.url()));
    let client = within("connect", builder.connect()).await.expect("the client connects");
    let text = "x".repeat(300);
    for number in 0..100_u32 {
        client.emit("note", &format!("{number} {text}")).expect("emit");
    }
    ask::<i64>(&client, "sum", &(20, 22)).await;
    let wanted: Vec<_> = (0..100).map(|number| Value::from(format!("{number} {text}"))).collect();
    assert_eq!(notes(&lab).await, wanted);
    watch.connected().await;
    assert_eq!(watch.rest(), [], "the same connection");
    client.close().await;
}

/// The server would end the connection over it.
pub(crate) async fn too_large_is_said(side: Side, way: Way) {
    let lab = small(side).await;
    let client = way.connect(way.builder(lab.url())).await;
    let large = client.emit("note", &"x".repeat(2000));
    assert!(matches!(large, Err(EmitError::TooLarge { limit: 1000, .. })), "{large:?}");
    ask::<()>(&client, "note", "small").await;
    assert_eq!(notes(&lab).await, ["small"]);
    client.close().await;
}

pub(crate) async fn buffers_are_bounded(side: Side, way: Way) {
    let lab = shared(side).await;
    let client =
        way.builder(lab.url()).auto_connect(false).max_send_buffer(10_000).build().expect("a client");
    let text = "y".repeat(1000);
    let full = (0..100).find_map(|_| client.emit("silent", &text).err());
    assert!(matches!(full, Some(EmitError::Full(_))), "{full:?}");
    // With room again, what was given back can be sent.
    client.connect();
    within("connected", client.connected()).await.expect("the client connects");
    within("room", client.emit_wait("silent", &text)).await.expect("emit");
    assert_eq!(ask::<i64>(&client, "sum", &(20, 22)).await, 42);
    client.close().await;
}

/// Transports that the server does not have.
pub(crate) async fn other_transports_are_tried() {
    for side in [Side::Node, Side::Ours] {
        let lab = Lab::start(side, Options { transports: vec!["websocket"], ..Options::default() }).await;
        let refused = within("connect", Way::Upgrade.builder(lab.url()).connect()).await;
        assert!(refused.is_err());
        let builder = Way::Upgrade.builder(lab.url()).try_all_transports(true);
        let client = within("connect", builder.connect()).await.expect("the other transport");
        assert_eq!(client.transport(), Some(Transport::WebSocket));
        client.close().await;

        let lab = Lab::start(side, Options { allow_upgrades: false, ..Options::default() }).await;
        let client = within("connect", Way::Upgrade.builder(lab.url()).connect()).await.expect("polling");
        assert_eq!(ask::<i64>(&client, "sum", &(20, 22)).await, 42);
        assert_eq!(client.transport(), Some(Transport::Polling));
        client.close().await;
    }
}
