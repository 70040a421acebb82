//! Acknowledgements that the server asks for.

use std::time::Duration;

use sio_driver::{AckError, EmitError, Socket, SocketId};

use crate::api::common::{Log, Polling, Ws, builder, server};
use crate::api::{Case, list};
use crate::world::{Instant, settle, spawn, until};

pub(super) const CASES: &[Case] = list![
    an_answer,
    nothing_is_sent_before_it_is_awaited,
    silence,
    a_client_that_leaves,
    a_client_that_leaves_while_its_own_handler_asks,
    an_answer_of_another_type,
    a_question_that_is_given_up,
    of_a_broadcast,
    of_a_broadcast_that_all_answer,
    of_a_broadcast_to_nobody,
];

const SECOND: Duration = Duration::from_secs(1);

async fn one(io: &sio_driver::Server) -> (Ws, Socket) {
    let ws = Ws::connect(io).await;
    let socket = io.of("/").sockets().into_iter().next_back().expect("it is connected");
    (ws, socket)
}

async fn an_answer() {
    let io = server();
    let (mut ws, socket) = one(&io).await;
    let asking = spawn(async move { socket.emit_with_ack::<(u8, String), _>("q", &("a", 1)).await });
    ws.expect(r#"420["q","a",1]"#).await;
    ws.send(r#"430[7,"x"]"#).await;
    assert_eq!(asking.await.unwrap(), Ok((7, "x".into())));
}

async fn nothing_is_sent_before_it_is_awaited() {
    let io = server();
    let (mut ws, socket) = one(&io).await;
    let asked = socket.emit_with_ack::<u8, _>("q", &());
    ws.expect_silence().await;
    drop(asked);
    ws.expect_silence().await;
}

async fn silence() {
    let io = server();
    let (mut ws, socket) = one(&io).await;
    let begun = Instant::now();
    let answer = socket.emit_with_ack::<u8, _>("q", &()).timeout(SECOND).await;
    assert_eq!(answer, Err(AckError::Timeout));
    assert_eq!(begun.elapsed().as_millis() / 10, 100);
    // A late answer does no harm, nor does one to a question that nobody asked.
    ws.expect(r#"420["q"]"#).await;
    ws.send_all(["430[1]".to_owned(), "4377[1]".to_owned()]).await;
    let again = spawn(async move { socket.emit_with_ack::<u8, _>("q", &()).timeout(Duration::MAX).await });
    ws.expect(r#"421["q"]"#).await;
    ws.send("431[2]").await;
    assert_eq!(again.await.unwrap(), Ok(2));
}

async fn a_client_that_leaves() {
    let io = server();
    for namespace_only in [false, true] {
        let (mut ws, socket) = one(&io).await;
        let asking = spawn(async move { socket.emit_with_ack::<u8, _>("q", &()).await });
        let _ = ws.recv().await;
        if namespace_only {
            ws.send("41").await;
        } else {
            drop(ws);
        }
        assert_eq!(asking.await.unwrap(), Err(AckError::Disconnected));
        settle().await;
    }
    let (ws, socket) = one(&io).await;
    drop(ws);
    until(|| !socket.is_connected()).await;
    let asked = socket.emit_with_ack::<u8, _>("q", &()).await;
    assert_eq!(asked, Err(AckError::Emit(EmitError::Disconnected)));
}

/// The handler that asks keeps the socket busy; it hears of the end all the same.
async fn a_client_that_leaves_while_its_own_handler_asks() {
    let io = server();
    let log = Log::default();
    let answered = log.clone();
    io.of("/").on("go", move |socket: Socket| {
        let answered = answered.clone();
        async move { answered.push(format!("{:?}", socket.emit_with_ack::<u8, _>("q", &()).await)) }
    });
    let mut ws = Ws::connect(&io).await;
    ws.send(r#"42["go"]"#).await;
    ws.expect(r#"420["q"]"#).await;
    drop(ws);
    until(|| log.len() == 1).await;
    assert_eq!(log.take(), ["Err(Disconnected)"]);
    until(|| io.connections() == 0).await;
}

async fn an_answer_of_another_type() {
    let io = server();
    let (mut ws, socket) = one(&io).await;
    let asking = spawn(async move { socket.emit_with_ack::<u8, _>("q", &()).await });
    ws.expect(r#"420["q"]"#).await;
    ws.send(r#"430["seven"]"#).await;
    let error = asking.await.unwrap().unwrap_err();
    assert!(matches!(error, AckError::Data(_)), "{error:?}");
}

async fn a_question_that_is_given_up() {
    let io = server();
    let (mut ws, socket) = one(&io).await;
    let asking = spawn({
        let socket = socket.clone();
        async move { socket.emit_with_ack::<u8, _>("q", &()).await }
    });
    ws.expect(r#"420["q"]"#).await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    ws.send("430[1]").await;
    // Many of them, so that one that is not forgotten would be seen in a heap profile; here it must simply work.
    for id in 1..100 {
        let asking = spawn({
            let socket = socket.clone();
            async move { socket.emit_with_ack::<u8, _>("q", &()).await }
        });
        ws.expect(&format!(r#"42{id}["q"]"#)).await;
        if id % 2 == 0 {
            asking.abort();
        } else {
            ws.send(format!("43{id}[{id}]")).await;
            assert_eq!(asking.await.unwrap(), Ok(id));
        }
    }
}

async fn of_a_broadcast() {
    let io = builder().shards(3).build();
    let mut clients = Vec::new();
    let mut ids = Vec::<SocketId>::new();
    for _ in 0..4 {
        let ws = Ws::connect(&io).await;
        clients.push(ws);
        let known: Vec<_> =
            io.of("/").sockets().iter().map(Socket::id).filter(|id| !ids.contains(id)).collect();
        ids.extend(known);
    }
    let asking = spawn({
        let io = io.clone();
        async move { io.of("/").everyone().emit_with_ack::<u8, _>("q", &1).timeout(SECOND).await }
    });
    let begun = Instant::now();
    for ws in &mut clients {
        ws.expect(r#"420["q",1]"#).await;
    }
    // One answers, one answers nonsense, one leaves, one stays silent.
    clients[0].send("430[1]").await;
    clients[1].send("430[true]").await;
    drop(clients.remove(2));
    let mut answers = asking.await.unwrap().unwrap();
    assert_eq!(begun.elapsed().as_millis() / 10, 100);
    answers.sort_by_key(|answer| ids.iter().position(|id| Some(*id) == answer.socket));
    let results: Vec<_> = answers.into_iter().map(|answer| answer.result).collect();
    assert_eq!(results[0], Ok(1));
    assert!(matches!(results[1], Err(AckError::Data(_))));
    assert_eq!(results[2..], [Err(AckError::Disconnected), Err(AckError::Timeout)]);
}

async fn of_a_broadcast_that_all_answer() {
    let io = builder().shards(2).build();
    let mut ws = Ws::connect(&io).await;
    let polling = Polling::connect(&io).await;
    let asking = spawn({
        let io = io.clone();
        async move { io.of("/").everyone().emit_with_ack::<u8, _>("q", &()).timeout(60 * SECOND).await }
    });
    let begun = Instant::now();
    ws.expect(r#"420["q"]"#).await;
    ws.send("430[1]").await;
    assert_eq!(polling.get().await, r#"420["q"]"#);
    polling.post("430[2]").await;
    let answers: Vec<_> = asking.await.unwrap().unwrap().into_iter().map(|answer| answer.result).collect();
    assert!(answers == [Ok(1), Ok(2)] || answers == [Ok(2), Ok(1)], "{answers:?}");
    assert!(begun.elapsed() < SECOND, "it does not wait for more");
}

async fn of_a_broadcast_to_nobody() {
    let io = server();
    let begun = Instant::now();
    let answers = io.to("nowhere").emit_with_ack::<u8, _>("q", &()).await.unwrap();
    assert!(answers.is_empty() && begun.elapsed() < SECOND);
}
