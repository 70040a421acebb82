//! Binary both ways, nested.

use crate::lab::{Side, digest, pattern};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sio_driver::{ClientSocket, Data};

use super::common::{Way, ask, collect, id_of, shared};

/// Large enough for several reads, small enough for `maxPayload` in base64.
const SIZE: usize = 300_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Nested {
    name: String,
    list: (Bytes, (Bytes, Deep)),
    empty: Bytes,
    large: Bytes,
    none: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Deep {
    deep: Bytes,
}

fn nested(size: usize) -> Nested {
    Nested {
        name: "nested".to_owned(),
        list: (pattern(1, 1), (pattern(2, 2), Deep { deep: pattern(3, 3) })),
        empty: pattern(0, 0),
        large: pattern(size, 4),
        none: None,
    }
}

pub(crate) async fn goes_there_and_back(side: Side, way: Way) {
    let client = way.connect(way.builder(shared(side).await.url())).await;
    assert_eq!(ask::<Nested>(&client, "nested", &SIZE).await, nested(SIZE));
    assert_eq!(ask::<Nested>(&client, "echo-ack", &nested(SIZE)).await, nested(SIZE));
    let several = (Bytes::new(), "between", pattern(10, 1), vec![pattern(1, 1); 7]);
    assert_eq!(
        ask::<(Bytes, String, Bytes, Vec<Bytes>)>(&client, "echo-ack", &several).await,
        (Bytes::new(), "between".to_owned(), pattern(10, 1), vec![pattern(1, 1); 7])
    );
    client.close().await;
}

/// Events with and without binary stay in order.
pub(crate) async fn comes_by_event(side: Side, way: Way) {
    let (handler, mut heard) = collect::<(Nested, String, Bytes)>();
    let (echo, mut echoed) = collect::<(u32, Bytes)>();
    let builder = way.builder(shared(side).await.url()).on("nested", handler).on("echo", echo);
    // Not settled: attachments must not be torn apart by the upgrade.
    let client = builder.connect().await.expect("the client connects");
    for number in 0..40_u32 {
        client.emit("echo", &(number, pattern(number as usize * 100, 1))).expect("emit");
    }
    client.emit("nested-event", &SIZE).expect("emit");
    for (number, (echoed, bytes)) in (0_u32..).zip(echoed.take(40).await) {
        assert_eq!((echoed, bytes), (number, pattern(number as usize * 100, 1)));
    }
    assert_eq!(heard.next().await, (nested(SIZE), "and".to_owned(), pattern(5, 5)));
    way.settled(&client).await;
    client.close().await;
}

pub(crate) async fn is_what_the_server_sees(side: Side, way: Way) {
    let client = way.connect(way.builder(shared(side).await.url())).await;
    let args = (json!({ "plain": [1] }), vec![Deep { deep: pattern(SIZE, 9) }], Bytes::new());
    let described = ask::<Value>(&client, "describe", &args).await;
    let wanted = json!([{ "plain": [1] }, [{ "deep": digest(&pattern(SIZE, 9)) }], digest(b"")]);
    assert_eq!(described, wanted);
    client.close().await;
}

pub(crate) async fn answers_questions(side: Side, way: Way) {
    let lab = shared(side).await;
    let builder = way
        .builder(lab.url())
        .on("question", async |Data(bytes): Data<Bytes>| bytes)
        .on("two", async |_: ClientSocket, Data(Deep { deep }): Data<Deep>| (1, Data(Deep { deep }).0));
    let client = way.connect(builder).await;
    assert_eq!(
        ask::<Option<Bytes>>(&client, "ask-me-binary", &pattern(SIZE, 6)).await,
        Some(pattern(SIZE, 6))
    );
    let ask = json!({
        "cmd": "ask", "id": id_of(&client), "event": "two", "args": [{ "deep": { "$bytes": [SIZE, 7] } }],
    });
    let wanted = json!({ "answers": [1, { "deep": digest(&pattern(SIZE, 7)) }] });
    assert_eq!(lab.command(ask).await, wanted);
    client.close().await;
}
