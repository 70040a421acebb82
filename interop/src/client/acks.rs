//! Acknowledgements both ways.

use core::time::Duration;

use crate::lab::Side;
use serde_json::{Value, json};
use sio_driver::{Ack, AckError, ClientSocket, Data, EmitError, Error};

use super::common::{LIMIT, Way, ask, id_of, shared, within};

pub(crate) async fn have_values(side: Side, way: Way) {
    let client = way.connect(way.builder(shared(side).await.url())).await;
    assert_eq!(ask::<i64>(&client, "sum", &(20, 22)).await, 42);
    assert_eq!(ask::<(Value, String)>(&client, "pair", "one").await, (json!("one"), "second".to_owned()));
    assert_eq!(ask::<Value>(&client, "pair", "one").await, "one", "the first of two");
    let three = ask::<(u32, String, Value)>(&client, "three", &()).await;
    assert_eq!(three, (1, "two".to_owned(), json!({ "three": [3] })));
    ask::<()>(&client, "nothing", &()).await;
    let wrong = client.emit_with_ack::<u32, _>("pair", "text").timeout(LIMIT).await;
    assert!(matches!(wrong, Err(AckError::Data(_))), "{wrong:?}");
    client.close().await;
}

pub(crate) async fn time_out(side: Side, way: Way) {
    let client = way.connect(way.builder(shared(side).await.url())).await;
    let silent = client.emit_with_ack::<Value, _>("silent", &1).timeout(Duration::from_millis(50)).await;
    assert_eq!(silent, Err(AckError::Timeout));
    let client =
        way.connect(way.builder(shared(side).await.url()).ack_timeout(Duration::from_millis(50))).await;
    assert_eq!(
        client.emit_with_ack::<Value, _>("silent", &1).await,
        Err(AckError::Timeout),
        "the client's own"
    );
    client.close().await;
}

pub(crate) async fn come_late(side: Side, way: Way) {
    let client = way.connect(way.builder(shared(side).await.url())).await;
    let late =
        client.emit_with_ack::<String, _>("late", &("late", 300)).timeout(Duration::from_millis(50)).await;
    assert_eq!(late, Err(AckError::Timeout));
    // The late one arrives meanwhile, and is nobody's.
    assert_eq!(ask::<String>(&client, "late", &("in time", 600)).await, "in time");
    assert!(client.is_connected());
    client.close().await;
}

pub(crate) async fn end_with_the_connection(side: Side, way: Way) {
    let lab = shared(side).await;
    let client = way.connect(way.builder(lab.url())).await;
    let asked = client.emit_with_ack::<Value, _>("silent", &1).timeout(LIMIT).send();
    // Behind the question, so that this one has been sent.
    assert_eq!(ask::<i64>(&client, "sum", &(1, 2)).await, 3);
    lab.command(json!({ "cmd": "disconnect", "id": id_of(&client) })).await;
    let answer = within("the end", asked).await;
    assert!(matches!(answer, Err(AckError::Disconnected)), "{answer:?}");
    client.close().await;
    let closed = client.emit_with_ack::<Value, _>("sum", &(1, 2)).timeout(LIMIT).await;
    assert!(matches!(closed, Err(AckError::Emit(EmitError::Disconnected))), "{closed:?}");
}

pub(crate) async fn answer_the_server(side: Side, way: Way) {
    let lab = shared(side).await;
    let builder = way
        .builder(lab.url())
        .on("question", async |Data(value): Data<Value>| value)
        .on("several", async |_: ClientSocket| (1, "two", json!({ "three": [3] })))
        .on("silence", async |_: ClientSocket| {})
        .on("early", async |ack: Ack| -> Result<(), Error> {
            assert!(ack.is_wanted());
            ack.send(&"early")?;
            Ok(())
        })
        .on("failing", async |_: ClientSocket| -> Result<u32, Error> { Err(Error::new("on purpose")) });
    let client = way.connect(builder).await;
    assert_eq!(ask::<Value>(&client, "ask-me", &("?", 5000)).await, json!({ "answer": "?" }));
    let id = id_of(&client);
    let question =
        |event: &str, timeout: u32| json!({ "cmd": "ask", "id": id, "event": event, "timeout": timeout });
    let several = json!({ "answers": [1, "two", { "three": [3] }] });
    assert_eq!(lab.command(question("several", 5000)).await, several);
    assert_eq!(lab.command(question("early", 5000)).await, json!({ "answers": ["early"] }));
    assert_eq!(lab.command(question("silence", 50)).await, json!({ "error": "timeout" }));
    assert_eq!(lab.command(question("failing", 50)).await, json!({ "error": "timeout" }));

    // Without a handler: asked for.
    let asked =
        lab.command(json!({ "cmd": "ask", "id": id, "event": "other", "args": [7], "timeout": 5000 }));
    let answer = async {
        let mut event = client.recv().await.expect("an event");
        assert!(event.wants_ack());
        assert_eq!(event.data::<u32>().ok(), Some(7));
        event.ack(&("seven", 7)).expect("ack");
        assert!(!event.wants_ack());
        event.ack(&"again").expect("a second one is not sent");
    };
    // First of all the client asks for events: as it has handlers, others would be dropped.
    let ((), asked) = within("the question", async { tokio::join!(answer, asked) }).await;
    assert_eq!(asked, json!({ "answers": ["seven", 7] }));
    assert_eq!(ask::<i64>(&client, "sum", &(20, 22)).await, 42);
    client.close().await;
}

pub(crate) async fn many_at_once(side: Side, way: Way) {
    let client = way.connect(way.builder(shared(side).await.url())).await;
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..100_i64 {
        let client = client.clone();
        asked.spawn(async move { (number, ask::<i64>(&client, "sum", &(number, 1000)).await) });
    }
    let answers = within("the answers", asked.join_all()).await;
    assert_eq!(answers.len(), 100);
    assert!(answers.iter().all(|(number, sum)| *sum == number + 1000));
    client.close().await;
}
