//! What operators see: `tracing` events.

use std::fmt::{Debug, Write as _};

use sio_driver::{Error, serve_connection};
use tracing::field::{Field, Visit};

use crate::api::common::{Log, Polling, Ws, builder, connection, server, websocket};
use crate::api::{Case, list};
use crate::world::{HERE, World, pipe, settle, spawn, until};

pub(super) const CASES: &[Case] =
    list![a_session, an_upgrade, bad_input, limits_that_have_no_effect, a_limit_that_is_reached];

/// The events of the driver, without the names of sockets and connections, from here on.
fn collect() -> Log {
    let log = Log::default();
    let lines = log.clone();
    World::current().collect(move |event| {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        lines.push(line.0);
    });
    log
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

async fn a_session() {
    let log = collect();
    let io = server();
    io.of("/").on("fail", async || Err::<(), _>(Error::new("on purpose"))).on("panic", async || {
        if true {
            panic!("on purpose too");
        }
    });
    let mut ws = Ws::connect(&io).await;
    ws.send_all(["42[\"fail\"]", "42[\"panic\"]", "42[\"what\\nnow\"]"].map(String::from)).await;
    ws.send("41").await;
    settle().await;
    drop(ws);
    until(|| io.connections() == 0).await;
    assert_eq!(
        log.take(),
        [
            "DEBUG session opened transport=\"websocket\" remote_addr=None",
            "DEBUG connected namespace=/ recovered=false",
            "WARN handler failed namespace=/ event=\"fail\" error=on purpose",
            "ERROR handler failed namespace=/ event=\"panic\" error=handler panicked: on purpose too",
            "DEBUG no handler event=\"what\\nnow\"",
            "DEBUG disconnected namespace=/ reason=client namespace disconnect",
            "DEBUG websocket failed error=WebSocket protocol error: Connection reset without closing handshake",
            "DEBUG connection closed reason=transport close undelivered=0",
        ]
    );
}

async fn an_upgrade() {
    let log = collect();
    let io = server();
    let polling = Polling::connect(&io).await;
    let mut ws = websocket(connection(&io, 1024), &format!("&sid={}", polling.sid)).await;
    for text in ["2probe", "5"] {
        futures_util::SinkExt::send(&mut ws, tungstenite::Message::text(text)).await.unwrap();
    }
    settle().await;
    assert_eq!(
        log.take(),
        [
            "DEBUG session opened transport=\"polling\" remote_addr=None",
            "DEBUG connected namespace=/ recovered=false",
            "DEBUG upgrade to websocket begins",
            "DEBUG upgraded to websocket",
        ]
    );
}

async fn a_limit_that_is_reached() {
    let io = builder().max_tcp_connections(1).build();
    let _one = connection(&io, 64);
    settle().await;
    let log = collect();
    let _more = [connection(&io, 64), connection(&io, 64)];
    settle().await;
    let closed = "DEBUG connection closed: there are too many remote_addr=None";
    let warning = "WARN there are as many connections as max_tcp_connections allows; more are closed (said once) limit=1";
    assert_eq!(log.take(), [warning, closed, closed]);
}

/// A limit for each address needs addresses, which other HTTP servers give only if they are told to.
async fn limits_that_have_no_effect() {
    let log = collect();
    let warnings = || log.take().into_iter().filter(|line| line.starts_with("WARN")).collect::<Vec<_>>();
    let unlimited = server();
    let _session = Polling::open(&unlimited).await;
    assert_eq!(warnings(), [""; 0]);
    let io = builder().max_connections_per_address(1).build();
    let known = pipe(4096);
    spawn(serve_connection(World::current(), io.clone(), known.1, HERE));
    let _ws = Ws::over(known.0).await;
    assert_eq!(warnings(), [""; 0]);
    let _both = (Polling::open(&io).await, Ws::open(&io).await);
    let told = "WARN max_connections_per_address has no effect on connections that come without their address (said once)";
    assert_eq!(warnings(), [told]);
}

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
    let stream = ws.socket.get_mut();
    futures_util::AsyncWriteExt::write_all(stream, &[0xff; 100]).await.unwrap();
    settle().await;
    let logged = log.take();
    assert!(logged.iter().any(|line| line.starts_with("DEBUG websocket failed error=")), "{logged:?}");
}
