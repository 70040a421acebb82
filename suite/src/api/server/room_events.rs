//! What is told of rooms.

use std::collections::BTreeSet;

use sio_driver::{ConnectError, ConnectionStateRecovery, Namespace, Server, Socket};

use crate::api::common::{Log, Ws, builder, server};
use crate::api::{Case, list};
use crate::world::{settle, until};

pub(super) const CASES: &[Case] = list![
    told_once_for_all_shards,
    functions_may_change_rooms_and_panic,
    a_task_goes_on_with_many,
    told_without_a_lock,
    what_a_refused_client_joined,
    from_when_one_asks,
    each_child_tells_its_own,
];

/// Writes down everything that is told.
fn watch(namespace: &Namespace, log: &Log) {
    let [create, join, leave, delete] = [(); 4].map(|()| log.clone());
    namespace
        .on_create_room(move |room| create.push(format!("create {room}")))
        .on_join_room(move |room, id| join.push(format!("join {room} {id}")))
        .on_leave_room(move |room, id| leave.push(format!("leave {room} {id}")))
        .on_delete_room(move |room| delete.push(format!("delete {room}")));
}

/// A client, and the server's side of it.
async fn client(io: &Server, namespace: &str) -> (Ws, Socket) {
    let known: BTreeSet<_> = io.of(namespace).sockets().iter().map(Socket::id).collect();
    let mut ws = Ws::open(io).await;
    ws.join(namespace).await;
    settle().await;
    let socket = io.of(namespace).sockets().into_iter().find(|socket| !known.contains(&socket.id()));
    (ws, socket.expect("a new client"))
}

async fn told_once_for_all_shards() {
    let io = builder().shards(2).build();
    let log = Log::default();
    watch(&io.of("/"), &log);
    let (a_ws, a) = client(&io, "/").await;
    let (a_id, entries) = (a.id(), log.take());
    assert_eq!(entries, [format!("create {a_id}"), format!("join {a_id} {a_id}")]);
    let (_b_ws, b) = client(&io, "/").await;
    let b_id = b.id();
    log.take();
    a.join(["x", "y"]);
    a.join("x");
    assert_eq!(
        log.take(),
        ["create x".into(), format!("join x {a_id}"), "create y".into(), format!("join y {a_id}")]
    );
    b.join("x");
    b.leave("y");
    assert_eq!(log.take(), [format!("join x {b_id}")], "the room is there in the other shard");
    a.leave("x");
    assert_eq!(log.take(), [format!("leave x {a_id}")], "the room is still there in the other shard");
    io.to("x").sockets_join("z");
    b.leave("x");
    assert_eq!(
        log.take(),
        ["create z".into(), format!("join z {b_id}"), format!("leave x {b_id}"), "delete x".into()]
    );
    drop(a_ws);
    until(|| io.of("/").len() == 1).await;
    let gone = [format!("leave {a_id} {a_id}"), format!("delete {a_id}"), format!("leave y {a_id}")];
    assert_eq!(log.take(), [&gone[..], &["delete y".into()]].concat());
}

/// They run one after another, also what they cause themselves; and a panic concerns nobody else.
async fn functions_may_change_rooms_and_panic() {
    let io = server();
    let log = Log::default();
    let (server, first) = (io.clone(), log.clone());
    io.of("/").on_join_room(move |room, id| {
        if &**room == "one" {
            first.push("begin");
            server.to(id).sockets_join("two");
            server.to("two").emit("moved", &()).unwrap();
            first.push("end");
            panic!("on purpose");
        }
    });
    watch(&io.of("/"), &log);
    let (mut ws, socket) = client(&io, "/").await;
    let id = socket.id();
    log.take();
    socket.join("one");
    let expected =
        ["create one", "begin", "end", &format!("join one {id}"), "create two", &format!("join two {id}")];
    assert_eq!(log.take(), expected);
    ws.expect(r#"42["moved"]"#).await;
}

/// Functions that go on and on, or others who do, hold up nobody for long.
async fn a_task_goes_on_with_many() {
    const MANY: usize = 20_000;
    let io = server();
    let (_ws, socket) = client(&io, "/").await;
    let log = Log::default();
    let (server, told) = (io.clone(), log.clone());
    io.of("/").on_join_room(move |room, _| {
        let number: usize = room.parse().unwrap();
        told.push(format!("{number}"));
        if number < MANY {
            server.of("/").everyone().sockets_join(format!("{}", number + 1));
            server.of("/").everyone().sockets_leave(format!("{number}"));
        }
    });
    socket.join("1");
    let is_in_last = || socket.rooms().iter().any(|room| **room == *MANY.to_string());
    assert!(!is_in_last(), "join has waited for all");
    until(is_in_last).await;
    settle().await;
    let expected: Vec<String> = (1..=MANY).map(|number| number.to_string()).collect();
    assert_eq!(log.take(), expected);
}

/// Selections hold a lock of recovery while they go over the shards.
async fn told_without_a_lock() {
    let io = builder().shards(2).connection_state_recovery(ConnectionStateRecovery::default()).build();
    let log = Log::default();
    let (server, told) = (io.clone(), log.clone());
    io.of("/").on_delete_room(move |room| {
        if &**room == "x" {
            server.of("/").everyone().sockets_join("y");
            let rooms: usize = server.of("/").sockets().iter().map(|socket| socket.rooms().len()).sum();
            told.push(format!("{rooms}"));
        }
    });
    let _clients = [client(&io, "/").await, client(&io, "/").await];
    io.of("/").everyone().sockets_join("x");
    io.of("/").everyone().sockets_leave("x");
    assert_eq!(log.take(), ["4"]);
}

async fn what_a_refused_client_joined() {
    let io = server();
    let log = Log::default();
    watch(&io.of("/"), &log);
    let who = log.clone();
    io.of("/").use_(move |socket: Socket| {
        socket.join("x");
        who.push(socket.id().to_string());
        async { Err::<(), _>(ConnectError::new("no")) }
    });
    let mut ws = Ws::open(&io).await;
    ws.send("40").await;
    ws.expect(r#"44{"message":"no"}"#).await;
    settle().await;
    // It never was in the room of its id.
    let entries = log.take();
    let id = &entries[2];
    let [join, leave] = [format!("join x {id}"), format!("leave x {id}")];
    assert_eq!(entries, ["create x", &join, id, &leave, "delete x"]);
}

async fn from_when_one_asks() {
    let io = builder().shards(2).build();
    let (_a_ws, a) = client(&io, "/").await;
    let (_b_ws, b) = client(&io, "/").await;
    a.join("x");
    let (log, late) = (Log::default(), Log::default());
    watch(&io.of("/"), &log);
    b.join("x");
    watch(&io.of("/"), &late);
    a.leave("x");
    b.leave("x");
    let end = [format!("leave x {}", a.id()), format!("leave x {}", b.id()), "delete x".into()];
    assert_eq!(log.take(), [&[format!("join x {}", b.id())], &end[..]].concat(), "no create: it was there");
    assert_eq!(late.take(), end);
}

async fn each_child_tells_its_own() {
    let io = builder().shards(2).cleanup_empty_child_namespaces(true).build();
    let log = Log::default();
    let told = log.clone();
    io.of_matching(|name| name.starts_with("/room"));
    io.on_new_namespace(move |namespace| {
        let (name, told) = (namespace.name().clone(), told.clone());
        namespace.on_create_room(move |room| told.push(format!("{name} {room}")));
    });
    for _ in 0..2 {
        let mut ws = Ws::open(&io).await;
        let ids = [ws.join("/room1").await, ws.join("/room2").await];
        assert_eq!(log.take(), [format!("/room1 {}", ids[0]), format!("/room2 {}", ids[1])]);
        drop(ws);
        until(|| io.connections() == 0).await;
        settle().await;
    }
}
