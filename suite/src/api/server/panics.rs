//! A panic in a user's code concerns that code alone.

use std::sync::Arc;

use sio_driver::{ConnectError, Data, FromContext, Rejection, Socket};

use crate::api::common::{Log, Polling, Ws, server};
use crate::api::{Case, list};
use crate::world::{Notify, settle, until, yield_now};

pub(super) const CASES: &[Case] = list![
    in_handlers,
    other_handlers_of_the_event_still_run,
    in_connect_and_disconnect_handlers,
    in_middlewares,
    in_error_handlers,
    handlers_that_wait_are_not_disturbed,
];

struct Bomb;

impl FromContext for Bomb {
    fn from_context(_: &mut sio_driver::Context) -> Result<Self, Rejection> {
        panic!("extractor")
    }
}

impl serde::Serialize for Bomb {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("serializer")
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("drop");
        }
    }
}

async fn in_handlers() {
    let io = server();
    let errors = Log::default();
    let reported = errors.clone();
    io.of("/")
        .on_error(move |_, error| reported.push(error.to_string()))
        .on("at once", async || {
            if true {
                panic!("first poll");
            }
        })
        .on("later", async || {
            yield_now().await;
            if true {
                panic!("second poll {}", 2);
            }
        })
        .on("before", || -> std::future::Ready<()> { panic!("no future") })
        .on("extractor", async |_: Bomb| {})
        .on("serializer", async || Data(Bomb))
        .on("drop", async || {
            let _bomb = Bomb;
            yield_now().await;
        })
        .on("fine", async || "fine");
    let mut ws = Ws::connect(&io).await;
    let polling = Polling::connect(&io).await;
    for event in ["at once", "later", "before", "extractor", "serializer", "drop"] {
        ws.send(format!(r#"425["{event}"]"#)).await;
        assert_eq!(ws.ask(r#"["fine"]"#).await, r#"["fine"]"#, "after {event}");
        let expected = match event {
            "at once" => "handler panicked: first poll",
            "later" => "handler panicked: second poll 2",
            "before" => "handler panicked: no future",
            "extractor" => "handler panicked: extractor",
            "serializer" => "handler panicked: serializer",
            _ => "handler panicked: drop",
        };
        assert_eq!(errors.take(), [expected]);
        polling.post(&format!(r#"425["{}"] 421["fine"]"#, event.replace(' ', "\\u0020"))).await;
        assert_eq!(polling.get().await, r#"431["fine"]"#, "after {event}");
        assert_eq!(errors.take(), [expected]);
    }
}

async fn other_handlers_of_the_event_still_run() {
    let io = server();
    io.of("/")
        .on_any(async || {
            if true {
                panic!();
            }
        })
        .on("event", async || -> u8 { panic!() })
        .on("event", async || 2);
    let mut ws = Ws::connect(&io).await;
    assert_eq!(ws.ask(r#"["event"]"#).await, "[2]");
}

async fn in_connect_and_disconnect_handlers() {
    let io = server();
    let log = Log::default();
    let (first, last) = (log.clone(), log.clone());
    io.of("/")
        .on_connect(async || {
            if true {
                panic!("connect");
            }
        })
        .on_connect(move || {
            first.push("connected");
            async {}
        })
        .on("fine", async || 1)
        .on_disconnect(async || {
            if true {
                panic!("disconnect");
            }
        })
        .on_disconnect(move || {
            last.push("disconnected");
            async {}
        });
    let mut ws = Ws::connect(&io).await;
    assert_eq!(ws.ask(r#"["fine"]"#).await, "[1]");
    drop(ws);
    until(|| log.len() == 2).await;
    settle().await;
    assert_eq!((log.take(), io.connections()), (vec!["connected".into(), "disconnected".into()], 0));
}

async fn in_middlewares() {
    let io = server();
    let errors = Log::default();
    let reported = errors.clone();
    for (name, waits) in [("/now", false), ("/later", true)] {
        let reported = reported.clone();
        io.of(name).on_error(move |_, error| reported.push(error.to_string())).use_(move || async move {
            if waits {
                yield_now().await;
            }
            if true {
                panic!("the password is 1234");
            }
            Ok::<_, ConnectError>(())
        });
    }
    let mut ws = Ws::connect(&io).await;
    for name in ["/now", "/later"] {
        ws.send(format!("40{name},")).await;
        ws.expect(&format!(r#"44{name},{{"message":"Internal server error"}}"#)).await;
        assert_eq!(errors.take(), ["handler panicked: the password is 1234"]);
        assert!(io.of(name).sockets().is_empty());
    }
}

async fn in_error_handlers() {
    let io = server();
    let log = Log::default();
    let told = log.clone();
    io.of("/")
        .on_error(|_, _| panic!("in the error handler"))
        .on_error(move |_, error| told.push(error.to_string()))
        .on("fail", async || Err::<(), _>(sio_driver::Error::new("failed")))
        .on("fine", async || 1);
    let mut ws = Ws::connect(&io).await;
    ws.send(r#"42["fail"]"#).await;
    assert_eq!(ws.ask(r#"["fine"]"#).await, "[1]");
    assert_eq!(log.take(), ["failed"]);
}

async fn handlers_that_wait_are_not_disturbed() {
    let io = server();
    let gate = Arc::new(Notify::new());
    let open = gate.clone();
    io.of("/").on("wait", move || {
        let gate = open.clone();
        async move {
            gate.notified().await;
            "waited"
        }
    });
    io.of("/other").on("fail", async |_: Socket| -> u8 { panic!() });
    let mut ws = Ws::connect(&io).await;
    ws.join("/other").await;
    ws.send(r#"421["wait"]"#).await;
    ws.send(r#"42/other,1["fail"]"#).await;
    settle().await;
    gate.notify_one();
    ws.expect(r#"431["waited"]"#).await;
}
