//! Several servers that act as one.

use std::time::Duration;

use futures_util::future::join;
use serde::{Deserialize, Serialize};
use sio_driver::cluster::NodeId;
use sio_driver::{
    AckError, ConnectionStateRecovery, Data, Error, InProcess, OtherServer, Partial, RemoteSocket, Server,
    ServerSideEmitError, Socket, events,
};

use crate::api::common::{Log, Polling, Ws, builder};
use crate::api::{Case, list};
use crate::world::{Instant, settle, sleep};

pub(super) const CASES: &[Case] = list![
    broadcasts_reach_the_clients_of_all_servers,
    broadcasts_of_one_server_stay_in_order,
    operations_on_many_sockets_reach_all_servers,
    sockets_of_all_servers_are_fetched,
    clients_of_all_servers_are_asked,
    a_frozen_server_is_missing_and_costs_one_timeout,
    a_frozen_server_does_not_lose_the_answers_of_clients,
    a_server_that_ends_is_not_missing,
    servers_send_events_to_each_other,
    servers_ask_each_other,
    servers_that_ask_each_other_at_once,
    a_server_alone,
    only_what_was_shared_is_seen,
    recovery_in_a_cluster,
];

/// Servers of one cluster.
fn servers<const N: usize>(cluster: &InProcess) -> [Server; N] {
    std::array::from_fn(|_| {
        let io = builder().shards(2).adapter(cluster.adapter()).share_socket_data::<User>().build();
        rooms(&io);
        io
    })
}

/// Clients say which rooms they want to be in.
fn rooms(io: &Server) {
    io.of("/").on("join", async |socket: Socket, Data(rooms): Data<Vec<String>>| socket.join(rooms));
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct User {
    name: String,
}

async fn client(io: &Server, rooms: &[&str]) -> Ws {
    let mut ws = Ws::connect(io).await;
    ws.send(format!(r#"42["join",{}]"#, serde_json::to_string(rooms).unwrap())).await;
    settle().await;
    ws
}

/// Who got `42["e"]`, once each, and nothing else.
async fn got<const N: usize>(clients: [&mut Ws; N]) -> Vec<usize> {
    settle().await;
    let mut who = Vec::new();
    for (at, ws) in clients.into_iter().enumerate() {
        ws.send("40/unknown,").await;
        loop {
            match ws.recv().await.as_str() {
                r#"44/unknown,{"message":"Invalid namespace"}"# => break,
                r#"42["e"]"# => who.push(at),
                other => panic!("{other}"),
            }
        }
    }
    who
}

async fn broadcasts_reach_the_clients_of_all_servers() {
    let cluster = InProcess::new();
    let [a, b, c] = servers(&cluster);
    assert_eq!(cluster.nodes().len(), 3);
    let (mut one, mut two, mut three) =
        (client(&a, &["x"]).await, client(&b, &["x", "y"]).await, client(&c, &["y"]).await);
    let mut got = async || got([&mut one, &mut two, &mut three]).await;

    assert_eq!(a.emit("e", &()).unwrap().sockets, 1, "counts those of this server");
    assert_eq!(got().await, [0, 1, 2]);
    c.to("x").emit("e", &()).unwrap();
    assert_eq!(got().await, [0, 1]);
    c.to(["x", "y"]).except("y").emit("e", &()).unwrap();
    assert_eq!(got().await, [0]);
    b.everyone().local().emit("e", &()).unwrap();
    assert_eq!(got().await, [1]);
    b.everyone().volatile().compress(false).emit("e", &()).unwrap();
    assert_eq!(got().await, [0, 1, 2]);
    // From a socket: all others, wherever they are; and one of another server, by its id.
    let socket = a.of("/").sockets().remove(0);
    socket.broadcast().emit("e", &()).unwrap();
    assert_eq!(got().await, [1, 2]);
    let other = b.of("/").sockets().remove(0);
    socket.to(other.id()).emit("e", &()).unwrap();
    assert_eq!(got().await, [1]);
    // A namespace that is on one server only.
    let mut there = Ws::open(&b).await;
    b.of("/there");
    there.join("/there").await;
    a.of("/there").emit("e", &()).unwrap();
    there.expect(r#"42/there,["e"]"#).await;
    b.of("/there").emit("e", &()).unwrap();
    there.expect(r#"42/there,["e"]"#).await;
    c.of("/nowhere").emit("e", &()).unwrap();
    assert_eq!(got().await, [0; 0]);
}

async fn broadcasts_of_one_server_stay_in_order() {
    let cluster = InProcess::new();
    let [a, b] = servers(&cluster);
    let mut ws = Ws::connect(&b).await;
    // Also those that are sent by a handler of the other server, and while a message is being carried.
    b.of("/").on_server_event("n", async |io: OtherServer, Data(n): Data<u32>| {
        io.namespace().emit("n", &(n + 1)).map(drop).map_err(Error::from)
    });
    for n in (0..100_u32).step_by(2) {
        a.emit("n", &n).unwrap();
        a.server_side_emit("n", &n).unwrap();
        settle().await;
    }
    for n in 0..100 {
        ws.expect(&format!(r#"42["n",{n}]"#)).await;
    }
}

async fn operations_on_many_sockets_reach_all_servers() {
    let cluster = InProcess::new();
    let [a, b] = servers(&cluster);
    let (mut one, mut two) = (client(&a, &["x"]).await, client(&b, &["x"]).await);
    a.to("x").sockets_join(["y", "z"]);
    b.to("y").sockets_leave("x");
    for io in [&a, &b] {
        let mut rooms = io.of("/").sockets()[0].rooms();
        rooms.remove(0);
        rooms.sort();
        assert_eq!(rooms, ["y", "z"]);
    }
    a.to("y").local().sockets_leave("z");
    b.to("z").emit("e", &()).unwrap();
    assert_eq!(got([&mut one, &mut two]).await, [1]);
    a.to("z").disconnect_sockets(false);
    two.expect("41").await;
    b.everyone().disconnect_sockets(true);
    one.expect_end().await;
    assert!(a.of("/").is_empty() && b.of("/").is_empty());
}

async fn sockets_of_all_servers_are_fetched() {
    let cluster = InProcess::new();
    let [a, b] = servers(&cluster);
    for io in [&a, &b] {
        io.of("/")
            .on("name", async |socket: Socket, Data(name): Data<String>| socket.set_data(User { name }));
    }
    let mut one = client(&a, &["x"]).await;
    let mut two = client(&b, &["x", "y"]).await;
    two.send(r#"42["name","Bob"]"#).await;
    settle().await;

    assert_eq!(a.fetch_sockets().await.unwrap().len(), 2);
    assert_eq!(a.everyone().local().fetch_sockets().await.unwrap().len(), 1);
    assert_eq!(a.everyone().sockets().len(), 1);
    assert!(a.of("/other").fetch_sockets().await.unwrap().is_empty());
    let found = a.to("y").fetch_sockets().await.unwrap();
    let [there]: [RemoteSocket; 1] = found.try_into().unwrap();
    let socket = b.of("/").sockets().remove(0);
    assert_eq!(b.of("/").socket(there.id()), Some(socket.clone()));
    assert_eq!(a.of("/").socket(there.id()), None, "of this server only");
    assert_eq!((there.id(), there.rooms()), (socket.id(), &socket.rooms()[..]));
    assert_eq!(there.data::<User>().unwrap(), Some(User { name: "Bob".into() }));
    assert!(there.data::<u32>().is_err());
    let handshake = there.handshake().unwrap();
    assert_eq!(handshake.url, "/socket.io/?EIO=4&transport=websocket");
    assert_eq!(handshake.query["transport"], "websocket");
    assert_eq!(handshake.headers["host"], "sio.test");
    assert_eq!(handshake.auth, serde_json::json!({}));

    // What can be done to it.
    there.join("z");
    there.leave(["x", "y"]);
    assert_eq!(socket.rooms()[1..], ["z"]);
    there.emit("e", &()).unwrap();
    assert_eq!(got([&mut one, &mut two]).await, [1]);
    let (answer, ()) = join(async { there.emit_with_ack::<u32, _>("ask", &()).await }, async {
        two.expect(r#"420["ask"]"#).await;
        two.send("430[7]").await;
    })
    .await;
    let answer = answer.unwrap().remove(0);
    assert_eq!((answer.socket, answer.result), (Some(there.id()), Ok(7)));
    there.disconnect();
    two.expect("41").await;
    two.join("/").await;
    let [_, again]: [RemoteSocket; 2] = a.fetch_sockets().await.unwrap().try_into().unwrap();
    again.disconnect_connection();
    two.expect_end().await;
}

async fn clients_of_all_servers_are_asked() {
    let cluster = InProcess::new();
    let [a, b, _c] = servers(&cluster);
    let (mut one, mut two, mut three) =
        (client(&a, &[]).await, client(&b, &[]).await, client(&b, &["slow"]).await);
    let second = Duration::from_secs(1);
    let ask = async || a.everyone().timeout(second).emit_with_ack::<u32, _>("ask", &"x").await.unwrap();
    let (answers, ()) = join(ask(), async {
        for (n, ws) in [&mut one, &mut two, &mut three].into_iter().enumerate() {
            ws.expect(r#"420["ask","x"]"#).await;
            ws.send(format!("430[{n}]")).await;
        }
    })
    .await;
    let mut results: Vec<_> = answers.iter().map(|answer| answer.result.clone().unwrap()).collect();
    results.sort_unstable();
    assert_eq!(results, [0, 1, 2]);
    let ids = |io: &Server| io.of("/").sockets().iter().map(Socket::id).collect::<Vec<_>>();
    assert!(answers.iter().all(|answer| [ids(&a), ids(&b)].concat().contains(&answer.socket.unwrap())));

    // One does not answer: those of the others have come all the same, and at once.
    let start = Instant::now();
    let (answers, ()) = join(ask(), async {
        for ws in [&mut one, &mut two, &mut three] {
            let asked = ws.recv().await;
            assert!(asked.ends_with(r#"["ask","x"]"#), "{asked}");
        }
        two.send("431[1]").await;
        one.send("431[0]").await;
    })
    .await;
    assert_eq!(start.elapsed(), second);
    let results: Vec<_> = answers.into_iter().map(|answer| answer.result).collect();
    assert_eq!(results, [Ok(0), Ok(1), Err(AckError::Timeout)]);
    // Nobody is there.
    let nobody = a.to("nobody").emit_with_ack::<u32, _>("ask", &()).await.unwrap();
    assert_eq!(nobody, []);
    let slow = a.to("slow").local().emit_with_ack::<u32, _>("ask", &()).await.unwrap();
    assert_eq!(slow, []);
}

fn missing<T: std::fmt::Debug>(result: Result<Vec<T>, Partial<T>>) -> (usize, Vec<NodeId>) {
    let partial = result.expect_err("somebody is missing");
    (partial.received.len(), partial.missing.nodes)
}

async fn a_frozen_server_is_missing_and_costs_one_timeout() {
    let cluster = InProcess::new();
    let [a, b] = servers(&cluster);
    let before = cluster.nodes();
    let [c] = servers(&cluster);
    let frozen = cluster.nodes().into_iter().find(|node| !before.contains(node)).unwrap();
    let (_one, _two, _three) = (client(&a, &[]).await, client(&b, &[]).await, client(&c, &[]).await);
    cluster.freeze(&frozen);
    let start = Instant::now();
    let seconds = |n| Duration::from_secs(n);
    assert_eq!(missing(a.fetch_sockets().await), (2, vec![frozen.clone()]));
    assert_eq!(start.elapsed(), seconds(5), "the default");
    assert_eq!(missing(a.fetch_sockets().await), (2, vec![frozen.clone()]));
    assert_eq!(start.elapsed(), seconds(5), "not waited for again");
    assert_eq!(missing(b.everyone().timeout(seconds(1)).fetch_sockets().await).0, 2);
    assert_eq!(start.elapsed(), seconds(6), "by another server, which has not asked before");
    // It is back, and late answers harm nobody.
    cluster.thaw(&frozen);
    settle().await;
    assert_eq!(a.fetch_sockets().await.unwrap().len(), 3);
    assert_eq!(start.elapsed(), seconds(6));
    // Broadcasts that it has missed were late, but are not lost.
    let mut four = client(&c, &[]).await;
    cluster.freeze(&frozen);
    a.emit("e", &()).unwrap();
    assert_eq!(got([&mut four]).await, [0; 0]);
    cluster.thaw(&frozen);
    assert_eq!(got([&mut four]).await, [0]);
    // Who does not wait any more has not asked.
    cluster.freeze(&frozen);
    let asked = a.fetch_sockets();
    assert!(crate::world::timeout(seconds(1), asked).await.is_err());
    assert_eq!(a.everyone().local().fetch_sockets().await.unwrap().len(), 1);
}

async fn a_frozen_server_does_not_lose_the_answers_of_clients() {
    let cluster = InProcess::new();
    let [a] = servers(&cluster);
    let before = cluster.nodes();
    let [b] = servers(&cluster);
    let frozen = cluster.nodes().into_iter().find(|node| !before.contains(node)).unwrap();
    let (mut one, _two) = (client(&a, &[]).await, client(&b, &[]).await);
    cluster.freeze(&frozen);
    let (answers, ()) = join(
        async {
            a.everyone().timeout(Duration::from_secs(1)).emit_with_ack::<u32, _>("ask", &()).await.unwrap()
        },
        async {
            one.expect(r#"420["ask"]"#).await;
            one.send("430[5]").await;
        },
    )
    .await;
    let results: Vec<_> = answers.into_iter().map(|answer| answer.result).collect();
    assert_eq!(results, [Ok(5), Err(AckError::ServerMissing)]);
}

async fn a_server_that_ends_is_not_missing() {
    let cluster = InProcess::new();
    let [a, b, c] = servers(&cluster);
    let mut one = client(&a, &[]).await;
    let before = cluster.nodes();
    drop(c);
    let gone: Vec<_> = before.into_iter().filter(|node| !cluster.nodes().contains(node)).collect();
    assert_eq!(gone.len(), 1, "dropped");
    // One that ends while it is waited for.
    let nodes = cluster.nodes();
    nodes.iter().for_each(|node| cluster.freeze(node));
    let start = Instant::now();
    let (sockets, ()) = join(async { a.fetch_sockets().await }, async {
        sleep(Duration::from_secs(1)).await;
        b.close().await;
    })
    .await;
    assert_eq!(sockets.unwrap().len(), 1);
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert_eq!(cluster.nodes().len(), 1);
    b.emit("e", &()).unwrap();
    assert_eq!(got([&mut one]).await, [0; 0]);
}

events! {
    Reload = "reload"(String);
    Count = "count"(String, u32) -> usize;
}

async fn servers_send_events_to_each_other() {
    let cluster = InProcess::new();
    let [a, b, c] = servers(&cluster);
    let log = Log::default();
    for (name, io) in [("a", &a), ("b", &b), ("c", &c)] {
        let log = log.clone();
        io.of("/").on_server_event(Reload, move |from: OtherServer, what: String| {
            let log = log.clone();
            assert_eq!(from.namespace().name(), "/");
            async move { log.push(format!("{name} {what}")) }
        });
    }
    a.server_side_emit(Reload, &"prices".to_owned()).unwrap();
    a.server_side_emit("nobody hears this", &()).unwrap();
    a.of("/other").server_side_emit("reload", "elsewhere").unwrap();
    settle().await;
    let mut heard = log.take();
    heard.sort();
    assert_eq!(heard, ["b prices", "c prices"], "not the sender");
    // In order, also if one waits; one that fails is logged.
    let order = log.clone();
    b.of("/").on_server_event("step", move |Data(n): Data<u32>| {
        let log = order.clone();
        async move {
            log.push(format!("begin {n}"));
            sleep(Duration::from_millis(10)).await;
            assert_ne!(n, 1, "on purpose");
            log.push(format!("end {n}"));
        }
    });
    for n in 0..3 {
        a.server_side_emit("step", &n).unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(log.take(), ["begin 0", "begin 1", "begin 2", "end 0", "end 2"]);
}

async fn servers_ask_each_other() {
    let cluster = InProcess::new();
    let [a, b, c] = servers(&cluster);
    for (io, count) in [(&b, 3), (&c, 4)] {
        io.of("/").on_server_event(Count, move |(what, n): (String, u32)| async move {
            match &*what {
                "fail" => Err(Error::new("on purpose")),
                "panic" => panic!("on purpose"),
                _ => Ok(count + n as usize),
            }
        });
    }
    let ask = async |what: &str| {
        let data = (what.to_owned(), 10);
        a.server_side_emit_with_ack(Count, &data).timeout(Duration::from_secs(1)).await
    };
    let mut counts: Vec<_> =
        ask("x").await.unwrap().into_iter().map(|answer| answer.result.unwrap()).collect();
    counts.sort_unstable();
    assert_eq!(counts, [13, 14]);
    // Who has no handler, or one that fails, is missing, but not waited for.
    let start = Instant::now();
    for what in ["fail", "panic"] {
        let failed = ask(what).await.unwrap_err();
        assert!(failed.to_string().starts_with("2 of the cluster's servers"), "{failed}");
    }
    let nowhere = a.of("/nowhere").server_side_emit_with_ack::<u32, _>("x", &()).await.unwrap_err();
    let ServerSideEmitError::Partial(Partial { received, missing }) = nowhere else { panic!("{nowhere}") };
    assert_eq!((received.len(), missing.nodes.len()), (0, 2));
    assert_eq!(start.elapsed(), Duration::ZERO);
    // An answer that is something else.
    let answers = a.server_side_emit_with_ack::<String, _>("count", &("x", 1)).await.unwrap();
    assert!(answers.len() == 2 && answers.iter().all(|answer| answer.result.is_err()));
    // Any data, bytes too.
    b.of("/bytes").on_server_event("echo", async |data: Data<bytes::Bytes>| data);
    c.of("/bytes").on_server_event("echo", async |data: Data<bytes::Bytes>| data);
    let data = bytes::Bytes::from_static(&[0, 1, 2, 255]);
    let answers = a.of("/bytes").server_side_emit_with_ack::<bytes::Bytes, _>("echo", &data).await.unwrap();
    assert!(answers.len() == 2 && answers.iter().all(|answer| answer.result.as_ref() == Ok(&data)));
}

async fn servers_that_ask_each_other_at_once() {
    let cluster = InProcess::new();
    let [a, b] = servers(&cluster);
    // Each asks the other one in its handler, down to zero.
    for io in [&a, &b] {
        io.of("/").on_server_event(
            "down",
            async |io: OtherServer, Data(n): Data<u32>| -> Result<u32, Error> {
                if n == 0 {
                    return Ok(0);
                }
                let namespace = io.namespace().clone();
                let answers = namespace
                    .server_side_emit_with_ack::<u32, _>("down", &(n - 1))
                    .await
                    .map_err(|error| Error::new(error.to_string()))?;
                Ok(1 + answers[0].result.clone()?)
            },
        );
    }
    let (one, two) =
        join(async { a.server_side_emit_with_ack::<u32, _>("down", &20).await.unwrap() }, async {
            b.server_side_emit_with_ack::<u32, _>("down", &21).await.unwrap()
        })
        .await;
    assert_eq!((one[0].result.clone(), two[0].result.clone()), (Ok(20), Ok(21)));
}

async fn a_server_alone() {
    let io = builder().shards(3).build();
    rooms(&io);
    let (_one, _two) = (client(&io, &["x"]).await, client(&io, &["y"]).await);
    assert_eq!(io.fetch_sockets().await.unwrap().len(), 2);
    let found = io.to("x").fetch_sockets().await.unwrap();
    assert_eq!((found.len(), found[0].rooms().len()), (1, 2));
    assert_eq!(found[0].data::<User>().unwrap(), None);
    io.server_side_emit("x", &()).unwrap();
    assert_eq!(io.server_side_emit_with_ack::<u32, _>("x", &()).await.unwrap(), []);
}

async fn only_what_was_shared_is_seen() {
    let cluster = InProcess::new();
    let a = builder().adapter(cluster.adapter()).build();
    let b = builder().adapter(cluster.adapter()).build();
    b.of("/").on_connect(async |socket: Socket| socket.set_data(User { name: "Bob".into() }));
    let _one = Ws::connect(&b).await;
    settle().await;
    let found = a.fetch_sockets().await.unwrap();
    assert_eq!(found[0].data::<User>().unwrap(), None);
}

async fn recovery_in_a_cluster() {
    let cluster = InProcess::new();
    let [a, b] = std::array::from_fn(|_| {
        let recovery = ConnectionStateRecovery::default();
        let io = builder().adapter(cluster.adapter()).connection_state_recovery(recovery).build();
        rooms(&io);
        io
    });
    let session = Polling::open(&b).await;
    session.post("40").await;
    let connected = session.get().await;
    let pid = connected.split(r#""pid":""#).nth(1).unwrap().split('"').next().unwrap().to_owned();
    a.emit("e", &1).unwrap();
    let first = session.get().await;
    // One offset, that of the server whose client it is.
    let offset = first.strip_prefix(r#"42["e",1,""#).unwrap().strip_suffix(r#""]"#).unwrap().to_owned();
    assert!(!offset.contains(','), "{first}");
    // It is lost, and misses one that comes from the other server.
    let (mut sleeping, rest) = (Duration::ZERO, Duration::from_secs(1));
    while !b.of("/").is_empty() {
        sleep(rest).await;
        sleeping += rest;
        assert!(sleeping < Duration::from_secs(90));
    }
    a.emit("e", &2).unwrap();
    let back = async |io: &Server| {
        let session = Polling::open(io).await;
        session.post(&format!(r#"40{{"pid":"{pid}","offset":"{offset}"}}"#)).await;
        session.get().await
    };
    let elsewhere = back(&a).await;
    assert!(elsewhere.starts_with("40{") && !elsewhere.contains(&pid), "new on another server: {elsewhere}");
    let recovered = back(&b).await;
    assert!(recovered.starts_with(r#"42["e",2,""#) && recovered.contains(&pid), "{recovered}");
}
