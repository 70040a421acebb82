//! Nothing that waits is forgotten.

use std::sync::Arc;
use std::time::Duration;

use futures_util::io::{AsyncReadExt as _, AsyncWriteExt as _};
use sio_driver::{AckError, DisconnectReason, Socket};

use crate::api::common::{Log, PATIENCE, Polling, Ws, builder, connection, server, websocket};
use crate::api::{Case, list};
use crate::world::{Instant, Notify, World, settle, spawn, thread, timeout, until, yield_now};

pub(super) const CASES: &[Case] = list![
    a_client_that_does_not_close_its_end_is_dropped,
    closing_does_not_wait_for_clients_that_do_not_close,
    closing_does_not_wait_for_clients_that_do_not_read,
    closing_does_not_wait_for_a_body_that_does_not_come,
    a_body_that_does_not_come_ends_with_its_session,
    an_ack_times_out_also_if_the_client_does_not_read,
    a_disconnect_handler_runs_also_if_the_client_does_not_read,
    a_client_that_does_not_read_is_read_from_all_the_same,
    reading_goes_on_after_a_pause,
    waiting_for_room_ends_when_the_client_leaves_the_namespace,
    waiting_for_room_ends_when_the_connection_ends,
    handles_work_outside_of_the_runtime,
    a_probe_that_is_not_closed_is_dropped,
    a_session_that_ends_drops_a_probe_that_is_not_closed,
    a_middleware_that_never_ends,
    namespaces_may_be_asked_for_while_clients_connect,
    an_event_costs_one_poll,
];

/// More than any buffer on the way to a client takes.
const LARGE: usize = 1 << 20;

async fn a_client_that_does_not_close_its_end_is_dropped() {
    let io = server();
    io.of("/").on("bye", async |socket: Socket| socket.disconnect_connection());
    let mut ws = Ws::connect(&io).await;
    ws.send(r#"42["bye"]"#).await;
    // The close frame comes, and is never answered: the client just looks at the bytes.
    let begun = Instant::now();
    let stream = ws.socket.get_mut();
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the server hangs up").expect("no error");
    assert!(begun.elapsed() < Duration::from_secs(6), "after the linger of 5 s, not {:?}", begun.elapsed());
    settle().await;
    assert_eq!(io.connections(), 0);
}

async fn closing_does_not_wait_for_clients_that_do_not_close() {
    let io = server();
    let _ws = Ws::connect(&io).await;
    timeout(Duration::from_secs(10), io.close()).await.expect("bounded by the linger");
}

async fn closing_does_not_wait_for_clients_that_do_not_read() {
    let io = builder().close_timeout(Duration::from_secs(10)).build();
    io.of("/").on_connect(async |socket: Socket| {
        let large = "x".repeat(LARGE);
        socket.emit("large", &large).expect("there is room");
    });
    let mut ws = Ws::open_with(&io, 1024).await;
    ws.send("40").await;
    until(|| !io.of("/").is_empty()).await;
    settle().await;
    timeout(Duration::from_secs(16), io.close()).await.expect("bounded by close_timeout and linger");
}

async fn closing_does_not_wait_for_a_body_that_does_not_come() {
    let io = builder().close_timeout(Duration::from_secs(10)).build();
    let client = Polling::connect(&io).await;
    let mut post = connection(&io, 1024);
    let head = format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n4",
        client.sid
    );
    post.write_all(head.as_bytes()).await.unwrap();
    settle().await;
    timeout(Duration::from_secs(11), io.close()).await.expect("bounded by close_timeout");
}

async fn a_body_that_does_not_come_ends_with_its_session() {
    let io = server();
    let client = Polling::connect(&io).await;
    let mut post = connection(&io, 1024);
    let head = format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n4",
        client.sid
    );
    post.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(50), post.read_to_end(&mut answer)).await.expect("not for ever").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(io.connections(), 0);
}

async fn an_ack_times_out_also_if_the_client_does_not_read() {
    let io = server();
    io.of("/").on_connect(async |socket: Socket| {
        socket.emit("large", &"x".repeat(LARGE))?;
        Ok(())
    });
    let mut ws = Ws::open_with(&io, 1024).await;
    ws.send("40").await;
    until(|| !io.of("/").is_empty()).await;
    settle().await;
    let socket = io.of("/").sockets().remove(0);
    let asked = socket.emit_with_ack::<(), _>("question", &()).timeout(Duration::from_secs(2));
    let answer = timeout(Duration::from_secs(3), async { asked.await }).await.expect("the timeout counts");
    assert_eq!(answer, Err(AckError::Timeout));
}

async fn a_disconnect_handler_runs_also_if_the_client_does_not_read() {
    let io = server();
    let log = Log::default();
    let left = log.clone();
    io.of("/")
        .on_connect(async |socket: Socket| {
            socket.emit("large", &"x".repeat(LARGE))?;
            Ok(())
        })
        .on_disconnect(move |reason: DisconnectReason| {
            left.push(reason.to_string());
            async {}
        });
    let mut ws = Ws::open_with(&io, 1024).await;
    ws.send("40").await;
    until(|| !io.of("/").is_empty()).await;
    settle().await;
    let socket = io.of("/").sockets().remove(0);
    socket.disconnect();
    settle().await;
    assert_eq!(log.take(), ["server namespace disconnect"]);
}

async fn a_client_that_does_not_read_is_read_from_all_the_same() {
    const EVENTS: usize = 1000;
    let io = builder().max_inbox(4).build();
    let log = Log::default();
    let seen = log.clone();
    io.of("/")
        .on_connect(async |socket: Socket| {
            socket.emit("large", &"x".repeat(LARGE))?;
            Ok(())
        })
        .on("event", move || {
            seen.push("");
            yield_now()
        });
    let mut ws = Ws::open_with(&io, 1024).await;
    ws.send("40").await;
    let sending = ws.send_all((0..EVENTS).map(|_| r#"42["event"]"#.to_owned()));
    timeout(Duration::from_secs(1), sending).await.expect("the server reads");
    until(|| log.len() == EVENTS).await;
}

/// The waker of the pump is used up by an emit when the handler that filled the inbox ends.
async fn reading_goes_on_after_a_pause() {
    let io = builder().max_inbox(1).build();
    let gate = Arc::new(Notify::new());
    let open = gate.clone();
    io.of("/").on("wait", move || {
        let gate = open.clone();
        async move { gate.notified().await }
    });
    io.of("/").on("ping", async || "pong");
    let mut ws = Ws::connect(&io).await;
    ws.send_all([r#"42["wait"]"#.to_owned(), r#"42["wait"]"#.to_owned(), r#"42["wait"]"#.to_owned()]).await;
    settle().await;
    ws.send_all([r#"421["ping"]"#.to_owned()]).await;
    settle().await;
    let socket = io.of("/").sockets().remove(0);
    for _ in 0..3 {
        socket.emit("noise", &()).unwrap();
        gate.notify_one();
        settle().await;
    }
    let begun = Instant::now();
    for _ in 0..3 {
        ws.expect(r#"42["noise"]"#).await;
    }
    ws.expect(r#"431["pong"]"#).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "without waiting for a ping to wake it up");
}

async fn waiting_for_room_ends_when_the_client_leaves_the_namespace() {
    let io = builder().max_outbox(1000).build();
    let mut ws = Ws::open_with(&io, 1024).await;
    ws.send("40").await;
    until(|| !io.of("/").is_empty()).await;
    let socket = io.of("/").sockets().remove(0);
    while socket.emit("filler", &"x".repeat(500)).is_ok() {
        settle().await;
    }
    let waiting = spawn({
        let socket = socket.clone();
        async move { socket.emit_wait("more", &"x".repeat(500)).await }
    });
    settle().await;
    assert!(!waiting.is_finished());
    socket.disconnect();
    let result = timeout(Duration::from_secs(1), waiting).await.expect("it ends").unwrap();
    assert_eq!(result, Err(sio_driver::EmitError::Disconnected));
}

async fn waiting_for_room_ends_when_the_connection_ends() {
    let io = builder().max_outbox(1000).build();
    let mut ws = Ws::open_with(&io, 1024).await;
    ws.send("40").await;
    until(|| !io.of("/").is_empty()).await;
    let socket = io.of("/").sockets().remove(0);
    while socket.emit("filler", &"x".repeat(500)).is_ok() {
        settle().await;
    }
    let waiting = spawn(async move { socket.emit_wait("more", &"x".repeat(500)).await });
    settle().await;
    drop(ws);
    let result = timeout(Duration::from_secs(1), waiting).await.expect("it ends").unwrap();
    assert_eq!(result, Err(sio_driver::EmitError::Disconnected));
}

/// The names of namespaces have a lock of their own.
async fn namespaces_may_be_asked_for_while_clients_connect() {
    World::current().in_parallel();
    let io = builder().build();
    let asking = thread({
        let io = io.clone();
        move || {
            for number in 0..20_000 {
                let _ = io.of(if number % 2 == 0 { "/" } else { "/other" });
                let _ = io.emit("news", &number);
            }
        }
    });
    for _ in 0..200 {
        drop(Ws::connect(&io).await);
    }
    asking.await.unwrap();
}

async fn handles_work_outside_of_the_runtime() {
    let io = server();
    let log = Log::default();
    let left = log.clone();
    io.of("/").on_disconnect(move |reason: DisconnectReason| {
        left.push(reason.to_string());
        async {}
    });
    let client = Polling::connect(&io).await;
    let socket = io.of("/").sockets().remove(0);
    // Its handlers have no task of their own, so one must be spawned from there.
    std::thread::spawn(move || socket.disconnect_connection()).join().expect("no panic");
    until(|| log.len() == 1).await;
    assert_eq!(log.take(), ["server namespace disconnect"]);
    drop(client);
}

async fn a_probe_that_is_not_closed_is_dropped() {
    let io = builder().upgrade_timeout(Duration::from_secs(1)).build();
    let client = Polling::connect(&io).await;
    let mut probe = websocket(connection(&io, 1024), &format!("&sid={}", client.sid)).await;
    let begun = Instant::now();
    let mut rest = Vec::new();
    let stream = probe.get_mut();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the server hangs up").unwrap();
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
    assert_eq!(io.connections(), 1, "the session stays");
}

async fn a_session_that_ends_drops_a_probe_that_is_not_closed() {
    let io = server();
    let client = Polling::connect(&io).await;
    let mut probe = websocket(connection(&io, 1024), &format!("&sid={}", client.sid)).await;
    client.post("1").await;
    let mut rest = Vec::new();
    let stream = probe.get_mut();
    timeout(Duration::from_secs(6), stream.read_to_end(&mut rest))
        .await
        .expect("the server hangs up")
        .unwrap();
    settle().await;
    assert_eq!(io.connections(), 0);
}

async fn a_middleware_that_never_ends() {
    let io = server();
    let log = Log::default();
    let left = log.clone();
    io.of("/")
        .use_(async || {
            std::future::pending::<()>().await;
            Ok(())
        })
        .on_disconnect(move |reason: DisconnectReason| {
            left.push(reason.to_string());
            async {}
        });
    let mut ws = Ws::open(&io).await;
    ws.send("40").await;
    settle().await;
    drop(ws);
    settle().await;
    assert_eq!(log.take(), [""; 0], "it was never let in");
    assert_eq!(io.of("/").len(), 0);
}

/// Of the connection's task, which reads it, runs its handler and writes what that has emitted.
async fn an_event_costs_one_poll() {
    let io = server();
    io.of("/").on("echo", async |socket: Socket| socket.emit("echo", &()).unwrap()).on("ask", async || 1).on(
        "later",
        async |socket: Socket| {
            yield_now().await;
            socket.emit("echo", &()).unwrap();
        },
    );
    let mut ws = Ws::connect(&io).await;
    settle().await;
    let world = World::current();
    // Those of other tasks than this one, which is polled once more when all has settled.
    let polls = async || {
        let before = world.turns();
        settle().await;
        world.turns() - before - 1
    };
    assert_eq!(polls().await, 0);
    for (events, answers, expected) in [
        (&[r#"42["nobody"]"#][..], &[][..], 1),
        (&[r#"42["echo"]"#], &[r#"42["echo"]"#], 1),
        (&[r#"421["ask"]"#], &[r#"431[1]"#], 1),
        (&[r#"42["echo"]"#; 3], &[r#"42["echo"]"#; 3], 1),
        (&[r#"42["later"]"#], &[r#"42["echo"]"#], 2),
    ] {
        ws.send_all(events.iter().map(ToString::to_string)).await;
        assert_eq!(polls().await, expected, "for {events:?}");
        for answer in answers {
            ws.expect(answer).await;
        }
    }
    let socket = io.of("/").sockets().remove(0);
    for _ in 0..3 {
        socket.emit("news", &()).unwrap();
    }
    assert_eq!(polls().await, 1, "for three events that are sent");
}
