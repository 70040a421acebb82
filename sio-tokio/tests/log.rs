//! What operators see: `tracing` events. A program of its own, because the subscriber is the whole program's.

mod common;

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use common::{Log, Polling, Ws, server, settle, until, websocket};

thread_local! {
    static LOG: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// Collects the events of the driver, without the names of sockets and connections, for the test of this thread.
struct Collector;

/// From here on.
fn collect() -> Log {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Collector).expect("the first"));
    let log = Log::default();
    LOG.set(Some(log.clone()));
    log
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("sio_")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        LOG.with_borrow(|log| log.iter().for_each(|log| log.push(line.0.as_str())));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = match field.name() {
            "conn" | "socket" => Ok(()),
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[tokio::test(start_paused = true)]
async fn a_session() {
    let log = collect();
    let io = server();
    io.of("/").on("fail", async || Err::<(), _>(sio_tokio::Error::new("on purpose"))).on(
        "panic",
        async || {
            if true {
                panic!("on purpose too");
            }
        },
    );
    let mut ws = Ws::connect(&io).await;
    ws.send_all(["42[\"fail\"]", "42[\"panic\"]", "42[\"what\"]"].map(String::from)).await;
    ws.send("41").await;
    settle().await;
    drop(ws);
    until(|| io.connections() == 0).await;
    assert_eq!(
        log.take(),
        [
            "DEBUG session opened transport=\"websocket\" remote_addr=None",
            "DEBUG connected namespace=/",
            "WARN handler failed namespace=/ error=on purpose",
            "ERROR handler failed namespace=/ error=handler panicked: on purpose too",
            "DEBUG no handler event=what",
            "DEBUG disconnected namespace=/ reason=client namespace disconnect",
            "DEBUG websocket failed error=WebSocket protocol error: Connection reset without closing handshake",
            "DEBUG connection closed reason=transport close undelivered=0",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_upgrade() {
    let log = collect();
    let io = server();
    let polling = Polling::connect(&io).await;
    let mut ws = websocket(common::connection(&io, 1024), &format!("&sid={}", polling.sid)).await;
    for text in ["2probe", "5"] {
        futures_util::SinkExt::send(&mut ws, tungstenite::Message::text(text)).await.unwrap();
    }
    settle().await;
    assert_eq!(
        log.take(),
        [
            "DEBUG session opened transport=\"polling\" remote_addr=None",
            "DEBUG connected namespace=/",
            "DEBUG upgrade to websocket begins",
            "DEBUG upgraded to websocket",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn bad_input() {
    let io = server();
    let mut ws = Ws::connect(&io).await;
    let polling = Polling::connect(&io).await;
    let log = collect();
    ws.send("what?").await;
    ws.expect_end().await;
    settle().await;
    let broke = "DEBUG client broke the protocol error=";
    let logged = log.take();
    assert!(logged[0].starts_with(broke), "{logged:?}");
    assert_eq!(
        logged[1..3],
        [
            "DEBUG disconnected namespace=/ reason=parse error",
            "DEBUG connection closed reason=parse error undelivered=0"
        ]
    );
    polling.post("45x").await;
    let logged = log.take();
    assert!(logged[0].starts_with(broke), "{logged:?}");
    let stranger = Polling { io: io.clone(), sid: "nonsense".into() };
    assert_eq!(stranger.request("GET", "").await.0, 400);
    let logged = log.take();
    assert!(
        logged[0].starts_with("DEBUG request refused refusal=") && logged[0].contains("code=1"),
        "{logged:?}"
    );
    let mut ws = Ws::open(&io).await;
    let stream = ws.socket.get_mut().get_mut();
    tokio::io::AsyncWriteExt::write_all(stream, &[0xff; 100]).await.unwrap();
    settle().await;
    let logged = log.take();
    assert!(logged.iter().any(|line| line.starts_with("DEBUG websocket failed error=")), "{logged:?}");
}
