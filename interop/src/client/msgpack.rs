//! Packets as MessagePack: what is tested of JSON holds, and what only MessagePack has.

use core::future::Future;

use bytes::Bytes;
use serde_json::{Value, json};
use sio_driver::Msgpack;

use super::common::{Happened, Watch, Way, ask, bounded, shared, within};
use super::{acks, binary, events, namespaces, reconnection, recovery};
use crate::lab::{Lab, MSGPACK, Options, Side};

/// The same tests, with another parser.
macro_rules! spoken {
    ($($name:ident: $module:ident $test:ident;)*) => {$(
        pub(crate) async fn $name(side: Side, way: Way) {
            spoken($module::$test(side, way)).await;
        }
    )*};
}

async fn spoken(test: impl Future<Output = ()>) {
    MSGPACK.scope((), test).await;
}

spoken! {
    echoes: events echoes;
    keeps_order: events keeps_order;
    reaches_rooms: events reaches_rooms;
    answers: acks have_values;
    answers_the_server: acks answer_the_server;
    binary_there_and_back: binary goes_there_and_back;
    binary_comes_by_event: binary comes_by_event;
    binary_is_what_the_server_sees: binary is_what_the_server_sees;
    binary_answers_questions: binary answers_questions;
    namespaces_refuse: namespaces refuse;
    namespaces_share_a_connection: namespaces share_a_connection;
    namespaces_ask_again_for_auth: namespaces ask_again_for_auth;
    recovers: recovery misses_nothing;
    knows_offsets: recovery knows_offsets;
    is_sent_away: reconnection is_sent_away;
}

/// JavaScript counts exactly up to 2^53, our own server further.
pub(crate) async fn numbers_are_exact(side: Side, way: Way) {
    spoken(async {
        let client = way.connect(way.builder(shared(side).await.url())).await;
        let borders = (0..53).flat_map(|bit| [(1_i64 << bit) - 1, 1 << bit, -(1 << bit), -(1 << bit) - 1]);
        let borders: Vec<i64> = borders.collect();
        assert_eq!(ask::<Vec<i64>>(&client, "echo-ack", &(&borders,)).await, borders);
        let floats = vec![0.1, -1.5, 7.038_531e-26, f64::MIN_POSITIVE, 0.1 + 0.2];
        assert_eq!(ask::<Vec<f64>>(&client, "echo-ack", &(&floats,)).await, floats);
        if side == Side::Ours {
            assert_eq!(
                ask::<(u64, i64)>(&client, "echo-ack", &(u64::MAX, i64::MIN)).await,
                (u64::MAX, i64::MIN)
            );
        }
        client.close().await;
    })
    .await;
}

/// The JavaScript server sends dates, `undefined` and `ArrayBuffer`s in forms of its own.
pub(crate) async fn dates_are_text(side: Side, way: Way) {
    spoken(async {
        let client = way.connect(way.builder(shared(side).await.url())).await;
        let own: (Value, Value, Bytes, Value) = ask(&client, "javascript", &()).await;
        let iso = "2026-07-31T12:04:05.678Z";
        let object = json!({ "at": iso, "list": [null] });
        assert_eq!(own, (json!(iso), Value::Null, Bytes::from_static(&[1, 2, 3]), object));
        client.close().await;
    })
    .await;
}

pub(crate) async fn the_other_side_must_speak_it() {
    for side in [Side::Node, Side::Ours] {
        for (client, server) in [(true, false), (false, true)] {
            let lab = Lab::start(side, Options { msgpack: server, ..Options::default() }).await;
            let builder = Way::WebSocket.builder(lab.url());
            let builder = if client { builder.parser(Msgpack) } else { builder };
            let (builder, mut watch) = Watch::new(builder.reconnection(false));
            let client = builder.build().expect("a client");
            // The server ends the connection at the first packet, and no namespace is joined.
            bounded(async {
                while client.is_active() {
                    tokio::time::sleep(core::time::Duration::from_millis(2)).await;
                }
            })
            .await;
            let heard = watch.rest();
            assert!(
                heard.iter().all(|happened| !matches!(happened, Happened::Connected { .. })),
                "{heard:?}"
            );
            within("close", client.close()).await;
        }
    }
}
