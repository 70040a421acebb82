//! Namespaces over one connection, and those that refuse.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use crate::lab::Side;
use serde_json::{Value, json};
use sio_driver::{ConnectError, ConnectionError};

use super::common::{Happened, Watch, Way, ask, collect, cut, id_of, lab, shared, within};

fn refusal(error: Option<ConnectionError>) -> ConnectError {
    match error {
        Some(ConnectionError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

pub(crate) async fn refuse(side: Side, way: Way) {
    let lab = shared(side).await;
    let connect = async |namespace: &str, auth: Value| {
        let builder = way.builder(format!("{}{namespace}", lab.url())).auth(&auth);
        refusal(within("connect", builder.connect()).await.err())
    };
    let refused = connect("/admin", json!({ "token": "wrong" })).await;
    assert_eq!(refused.message(), "not authorized");
    assert_eq!(refused.parse_data(), Some(json!({ "code": 401, "token": "wrong" })));
    let refused = connect("/text", json!({})).await;
    assert_eq!((refused.message(), refused.parse_data()), ("no", Some(json!("because"))));
    let refused = connect("/plain", json!({})).await;
    assert_eq!((refused.message(), refused.data_json()), ("never", None));
    let refused = connect("/unknown", json!({})).await;
    assert_eq!(refused.message(), "Invalid namespace");
}

/// `auth_with` is asked each time.
pub(crate) async fn accept_later(side: Side, way: Way) {
    let lab = shared(side).await;
    let asked = Arc::new(AtomicU32::new(0));
    let (builder, mut watch) = Watch::new(way.builder(format!("{}/admin", lab.url())));
    let client = builder
        .auth_with({
            let asked = Arc::clone(&asked);
            move || {
                let asked = Arc::clone(&asked);
                async move {
                    tokio::task::yield_now().await;
                    let count = asked.fetch_add(1, Ordering::SeqCst) + 1;
                    let token = if count == 1 { "wrong" } else { "secret" };
                    Ok::<_, sio_driver::Error>(json!({ "token": token, "name": format!("try {count}") }))
                }
            }
        })
        .build()
        .expect("a client");
    let failed = watch
        .find(|happened| match happened {
            Happened::Failed(error) => Some(error.clone()),
            _ => None,
        })
        .await;
    assert_eq!(refusal(Some(failed)).message(), "not authorized");
    assert!(!client.is_active(), "a refusal is not tried again");
    client.connect();
    watch.connected().await;
    assert_eq!(ask::<String>(&client, "whoami", &()).await, "try 2");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    client.close().await;
}

pub(crate) async fn share_a_connection(side: Side, way: Way) {
    let lab = lab(side).await;
    let client = way.connect(way.builder(lab.url())).await;
    let (welcome, mut welcomed) = collect::<String>();
    let news = client.socket_with("/news", |socket| socket.on("welcome", welcome)).expect("settings");
    let auth = json!({ "token": "secret", "name": "me" });
    let admin = client.socket_with("/admin", |socket| socket.auth(&auth)).expect("settings");
    let text = client.socket("/text");
    assert_eq!(refusal(within("text", text.connected()).await.err()).message(), "no");
    within("admin", admin.connected()).await.expect("admin");
    within("news", news.connected()).await.expect("news");
    assert_eq!(welcomed.next().await, id_of(&news));
    assert_eq!(client.socket("/admin").id(), admin.id(), "the same socket");
    let ids = [id_of(&client), id_of(&news), id_of(&admin)];
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);

    // The same event, each in its own namespace; acknowledgements do not get mixed up.
    let (echo, mut echoed) = collect::<String>();
    admin.on("echo", echo);
    admin.emit("echo", "admin").expect("emit");
    assert_eq!(ask::<String>(&admin, "whoami", &()).await, "me");
    assert_eq!(echoed.next().await, "admin");
    let (one, two) = tokio::join!(ask::<u32>(&client, "echo-ack", &1), ask::<u32>(&news, "echo-ack", &2));
    assert_eq!((one, two), (1, 2));

    // One leaves, and comes back; the others stay.
    admin.disconnect();
    let id = &ids[2];
    lab.log().until("disconnect", |list| list.iter().any(|left| left["id"] == *id)).await;
    let left = lab.seen("disconnect").await;
    assert_eq!(left[0]["reason"], "client namespace disconnect");
    assert!(!admin.is_connected() && !admin.is_active() && admin.id().is_none());
    assert_eq!(ask::<u32>(&client, "echo-ack", &3).await, 3);
    assert_eq!(lab.sockets("/news").await, [ids[1].clone()]);
    admin.connect();
    within("admin", admin.connected()).await.expect("admin again");
    assert_ne!(id_of(&admin), ids[2]);
    assert_eq!(left.len(), 1);
    client.close().await;
}

pub(crate) async fn ask_again_for_auth(side: Side, way: Way) {
    let lab = lab(side).await;
    let asked = Arc::new(AtomicU32::new(0));
    let (builder, mut watch) = Watch::new(way.builder(format!("{}/admin", lab.url())));
    let builder =
        builder.auth_with(move || {
            let count = asked.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                Ok::<_, sio_driver::Error>(json!({ "token": "secret", "name": format!("time {count}") }))
            }
        });
    let client = way.connect(builder).await;
    let (id, _) = watch.connected().await;
    assert_eq!(ask::<String>(&client, "whoami", &()).await, "time 1");
    cut(&lab).await;
    watch.disconnected().await;
    assert_ne!(watch.connected().await.0, id);
    // Another time may have been needed, if the cut came into the middle of a connection.
    assert_ne!(ask::<String>(&client, "whoami", &()).await, "time 1");
    client.close().await;
}
