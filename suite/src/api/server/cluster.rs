//! Several servers that serve the same clients.

use std::time::Duration;

use serde_json::Value;
use sio_driver::cluster::{Bus, BusNode, Config, Liveness, Missing};
use sio_driver::{AckError, Data, Error, Partial, RequestError, Server, ServerBuilder, ServerSide, Socket};

use crate::api::common::{Log, Ws, builder};
use crate::api::{Case, list};
use crate::world::{Instant, settle, sleep, spawn};

pub(super) const CASES: &[Case] = list![
    broadcasts_reach_all_servers,
    local_broadcasts_stay,
    order_of_one_sender,
    a_socket_of_another_server,
    what_is_done_to_sockets,
    acknowledgements_of_all_servers,
    fetched_sockets,
    fetched_without_other_servers,
    a_frozen_server_is_missing,
    a_frozen_server_is_missing_where_servers_are_counted,
    a_killed_server_is_forgotten,
    a_server_that_closes_is_not_waited_for,
    late_answers,
    from_server_to_server,
    answers_of_servers,
    handlers_of_servers_that_fail,
    two_servers_that_wait_for_each_other,
    recovery_adds_one_offset,
    a_namespace_of_one_server_only,
];

pub(super) struct Cluster<const N: usize> {
    pub(super) servers: [Server; N],
    pub(super) nodes: [BusNode; N],
    pub(super) clients: [Ws; N],
}

/// Servers with one client each. Its id is in the room `ids`.
pub(super) async fn cluster_with<const N: usize>(
    config: Config,
    with: impl Fn(ServerBuilder<Server>) -> ServerBuilder<Server>,
) -> Cluster<N> {
    let bus = Bus::with_config(config);
    let nodes = [(); N].map(|()| bus.node());
    let servers = nodes.each_ref().map(|node| with(builder().shards(2)).adapter(node.clone()).build());
    for (at, io) in servers.iter().enumerate() {
        io.of("/")
            .on_connect(move |socket: Socket| {
                socket.join(format!("of {at}"));
                socket.set_data(at);
                std::future::ready(())
            })
            .on("join", async |socket: Socket, Data(room): Data<String>| socket.join(room));
    }
    let mut clients = Vec::new();
    for io in &servers {
        clients.push(Ws::connect(io).await);
    }
    settle().await;
    Cluster { servers, nodes, clients: clients.try_into().expect("as many") }
}

pub(super) async fn cluster<const N: usize>() -> Cluster<N> {
    cluster_with(Config::default(), |builder| builder).await
}

pub(super) fn counted() -> Config {
    let mut config = Config::default();
    config.liveness = Liveness::Counted;
    config
}

impl<const N: usize> Cluster<N> {
    /// Whose clients have got exactly this.
    pub(super) async fn got(&mut self, expected: &str) -> Vec<usize> {
        settle().await;
        let mut who = Vec::new();
        for (at, ws) in self.clients.iter_mut().enumerate() {
            ws.send("40/unknown,").await;
            let mut got = 0;
            loop {
                match ws.recv().await {
                    end if end.starts_with("44/unknown,") => break,
                    packet if packet == expected => got += 1,
                    other => panic!("{other}"),
                }
            }
            assert!(got <= 1, "{got} for {at}");
            who.extend((got == 1).then_some(at));
        }
        who
    }
}

async fn broadcasts_reach_all_servers() {
    for config in [Config::default(), counted()] {
        let mut cluster = cluster_with::<3>(config, |builder| builder).await;
        let io = cluster.servers[0].clone();
        let delivery = io.emit("e", &(1, "two")).unwrap();
        assert_eq!(delivery.sockets, 1, "of this server");
        assert_eq!(cluster.got(r#"42["e",1,"two"]"#).await, [0, 1, 2]);
        io.to("of 1").emit("e", &()).unwrap();
        assert_eq!(cluster.got(r#"42["e"]"#).await, [1]);
        io.except("of 1").emit("e", &()).unwrap();
        assert_eq!(cluster.got(r#"42["e"]"#).await, [0, 2]);
        io.to(["of 0", "of 1", "of 2"]).except("of 0").emit("e", &()).unwrap();
        assert_eq!(cluster.got(r#"42["e"]"#).await, [1, 2]);
        let socket = io.of("/").sockets().pop().unwrap();
        socket.broadcast().emit("e", &()).unwrap();
        assert_eq!(cluster.got(r#"42["e"]"#).await, [1, 2]);
        // One client's own events do not travel.
        let sent = cluster.nodes[0].sent();
        socket.emit("e", &()).unwrap();
        assert_eq!(cluster.got(r#"42["e"]"#).await, [0]);
        assert_eq!(cluster.nodes[0].sent(), sent);
    }
}

async fn local_broadcasts_stay() {
    let mut cluster = cluster::<2>().await;
    let sent = cluster.nodes[1].sent();
    cluster.servers[1].local().emit("e", &()).unwrap();
    assert_eq!(cluster.got(r#"42["e"]"#).await, [1]);
    cluster.servers[1].everyone().local().sockets_join("a");
    assert_eq!(cluster.servers[1].to("a").sockets().len(), 1);
    assert_eq!(cluster.servers[1].local().fetch_sockets().await.unwrap().len(), 1);
    assert_eq!(cluster.nodes[1].sent(), sent);
}

async fn order_of_one_sender() {
    let mut cluster = cluster::<2>().await;
    for n in 0..50 {
        cluster.servers[0].emit("e", &n).unwrap();
        if n % 10 == 0 {
            cluster.servers[0].everyone().sockets_join(format!("room {n}"));
            cluster.servers[0].to(format!("room {n}")).emit("joined", &n).unwrap();
        }
    }
    for ws in &mut cluster.clients {
        for n in 0..50 {
            ws.expect(&format!(r#"42["e",{n}]"#)).await;
            if n % 10 == 0 {
                ws.expect(&format!(r#"42["joined",{n}]"#)).await;
            }
        }
    }
}

async fn a_socket_of_another_server() {
    let mut cluster = cluster::<2>().await;
    let id = cluster.servers[1].of("/").sockets()[0].id();
    assert!(cluster.servers[0].of("/").socket(&id).is_none());
    assert_eq!(cluster.servers[1].of("/").socket(&id).map(|socket| socket.id()), Some(id));
    cluster.servers[0].to(id).emit("e", &()).unwrap();
    assert_eq!(cluster.got(r#"42["e"]"#).await, [1]);
}

async fn what_is_done_to_sockets() {
    let mut cluster = cluster::<2>().await;
    let [a, b] = cluster.servers.clone();
    a.everyone().sockets_join(["x", "y"]);
    settle().await;
    assert_eq!((a.to("x").sockets().len(), b.to("x").sockets().len()), (1, 1));
    b.to("x").except("of 1").sockets_leave("x");
    settle().await;
    assert_eq!((a.to("x").sockets().len(), b.to("x").sockets().len()), (0, 1));
    a.to("of 1").disconnect_sockets(false);
    cluster.clients[1].expect("41").await;
    settle().await;
    assert_eq!((a.of("/").len(), b.of("/").len()), (1, 0));
    b.everyone().disconnect_sockets(true);
    cluster.clients[0].expect("41").await;
    cluster.clients[0].expect_end().await;
}

async fn acknowledgements_of_all_servers() {
    for config in [Config::default(), counted()] {
        let mut cluster = cluster_with::<3>(config, |builder| builder).await;
        let asked = cluster.servers[0].everyone().timeout(Duration::from_secs(2)).emit_with_ack("ask", &1);
        let answers = spawn(asked.send());
        for (at, ws) in cluster.clients.iter_mut().enumerate() {
            let packet = ws.recv().await;
            let id = packet.strip_prefix("42").and_then(|rest| rest.split('[').next()).unwrap().to_owned();
            assert!(packet.ends_with(r#"["ask",1]"#), "{packet}");
            if at < 2 {
                ws.send(format!("43{id}[{at}]")).await;
            }
        }
        let started = Instant::now();
        let answers: Vec<sio_driver::AckResponse<usize>> = answers.await.expect("no panic").expect("sent");
        assert_eq!(started.elapsed(), Duration::from_secs(2));
        let results: Vec<_> = answers.iter().map(|answer| answer.result.clone()).collect();
        assert_eq!(results, [Ok(0), Ok(1), Err(AckError::Timeout)]);
        assert_eq!(answers[0].socket, Some(cluster.servers[0].of("/").sockets()[0].id()));
        assert_eq!(answers[1].socket, None);
    }
}

async fn fetched_sockets() {
    for config in [Config::default(), counted()] {
        let mut cluster = cluster_with::<3>(config, |builder| builder.share_socket_data::<usize>()).await;
        let sockets = cluster.servers[2].fetch_sockets().await.unwrap();
        let mut seen: Vec<_> = sockets
            .iter()
            .map(|socket| (socket.data::<usize>().unwrap(), socket.rooms()[1].to_string()))
            .collect();
        seen.sort();
        assert_eq!(seen, [(0, "of 0".into()), (1, "of 1".into()), (2, "of 2".into())]);
        let other = cluster.servers[2].to("of 0").fetch_sockets().await.unwrap().pop().unwrap();
        assert_eq!(other.id().as_str(), cluster.servers[0].of("/").sockets()[0].id().as_str());
        let handshake = other.handshake().unwrap();
        assert_eq!(handshake.url, "/socket.io/?EIO=4&transport=websocket");
        assert_eq!(handshake.query["EIO"], "4");
        assert_eq!(handshake.auth, serde_json::json!({}));
        assert!(!handshake.secure && handshake.headers.contains_key("host"));
        other.emit("e", &()).unwrap();
        assert_eq!(cluster.got(r#"42["e"]"#).await, [0]);
        other.join("new");
        settle().await;
        assert_eq!(cluster.servers[0].to("new").sockets().len(), 1);
        other.leave("new");
        settle().await;
        assert_eq!(cluster.servers[0].to("new").sockets().len(), 0);
        other.disconnect(true);
        cluster.clients[0].expect("41").await;
        cluster.clients[0].expect_end().await;
    }
}

async fn fetched_without_other_servers() {
    let io = builder().shards(3).build();
    let _clients = (Ws::connect(&io).await, Ws::connect(&io).await);
    let sockets = io.fetch_sockets().await.unwrap();
    assert_eq!(sockets.len(), 2);
    assert_eq!(sockets[0].data::<Value>().unwrap(), serde_json::json!({}), "nothing is shared");
    assert_eq!(io.to("nowhere").fetch_sockets().await.unwrap().len(), 0);
    assert_eq!(io.server_side_emit_with_ack::<Value, _>("e", &()).await.unwrap().len(), 0);
}

async fn frozen(config: Config) {
    let cluster = cluster_with::<3>(config, |builder| builder).await;
    let [a, ..] = &cluster.servers;
    assert_eq!(a.fetch_sockets().await.unwrap().len(), 3);
    cluster.nodes[2].freeze();
    let started = Instant::now();
    let partial = a.everyone().timeout(Duration::from_secs(3)).fetch_sockets().await.unwrap_err();
    assert_eq!(started.elapsed(), Duration::from_secs(3));
    assert_eq!((partial.got.len(), partial.missing.count, partial.missing.nodes.len()), (2, 1, 1));
    let started = Instant::now();
    assert_eq!(a.fetch_sockets().await.unwrap_err().got.len(), 2);
    assert_eq!(started.elapsed(), Duration::from_millis(500), "it is not waited for as long again");
    cluster.nodes[2].thaw();
    settle().await;
    assert_eq!(a.fetch_sockets().await.unwrap().len(), 3);
}

async fn a_frozen_server_is_missing() {
    frozen(Config::default()).await;
}

async fn a_frozen_server_is_missing_where_servers_are_counted() {
    frozen(counted()).await;
}

async fn a_killed_server_is_forgotten() {
    let cluster = cluster::<3>().await;
    let a = &cluster.servers[0];
    cluster.nodes[1].cut();
    sleep(Duration::from_secs(11)).await;
    assert_eq!(a.fetch_sockets().await.unwrap().len(), 2);
    cluster.nodes[1].join_again();
    sleep(Duration::from_secs(6)).await;
    assert_eq!(a.fetch_sockets().await.unwrap().len(), 3, "its heartbeat is heard");
}

async fn a_server_that_closes_is_not_waited_for() {
    let Cluster { servers: [a, b], nodes, clients } = cluster::<2>().await;
    nodes[1].freeze();
    let fetching = {
        let a = a.clone();
        spawn(async move { a.fetch_sockets().await })
    };
    settle().await;
    drop(clients);
    b.close().await;
    nodes[1].thaw();
    assert_eq!(fetching.await.expect("no panic").expect("nobody is missing").len(), 1);
}

async fn late_answers() {
    let cluster = cluster::<2>().await;
    let a = &cluster.servers[0];
    cluster.nodes[1].freeze();
    let second = Duration::from_secs(1);
    assert_eq!(a.everyone().timeout(second).fetch_sockets().await.unwrap_err().got.len(), 1);
    cluster.nodes[1].thaw();
    settle().await;
    let sockets = a.fetch_sockets().await.unwrap();
    assert_eq!(sockets.len(), 2, "and the late answer is not among them");
}

async fn from_server_to_server() {
    let cluster = cluster::<3>().await;
    let log = Log::default();
    for (at, io) in cluster.servers.iter().enumerate() {
        let log = log.clone();
        io.of("/").on_server_side("hello", move |from: ServerSide, Data((a, b)): Data<(u8, String)>| {
            log.push(format!("{at}: {a} {b}"));
            assert!(from.node().is_some());
            async {}
        });
    }
    cluster.servers[1].server_side_emit("hello", &(1, "x")).unwrap();
    cluster.servers[1].server_side_emit("unknown", &()).unwrap();
    settle().await;
    let mut seen = log.take();
    seen.sort();
    assert_eq!(seen, ["0: 1 x", "2: 1 x"]);
}

async fn answers_of_servers() {
    let cluster = cluster::<3>().await;
    let [a, b, c] = &cluster.servers;
    b.of("/").on_server_side("clients", async |io: Server| io.of("/").len());
    let begun = Instant::now();
    let nobody = b.server_side_emit_with_ack::<usize, _>("nobody", &()).await;
    assert!(nobody.unwrap_err().into_partial().is_empty());
    let asked = a.server_side_emit_with_ack::<usize, _>("clients", &());
    let Err(RequestError::Partial(partial)) = asked.await else { panic!("one has no handler") };
    let Partial { got, missing, unanswered, malformed, .. } = partial;
    assert_eq!((got, missing.count, unanswered, malformed), (vec![1], 0, 1, 0));
    c.of("/").on_server_side("clients", async || {
        sleep(Duration::from_millis(100)).await;
        7
    });
    assert_eq!(begun.elapsed(), Duration::ZERO, "nobody waits for a server without a handler");
    let started = Instant::now();
    assert_eq!(a.server_side_emit_with_ack::<usize, _>("clients", &()).await.unwrap(), [1, 7]);
    assert_eq!(started.elapsed(), Duration::from_millis(100));
    let Err(RequestError::Partial(partial)) = a.server_side_emit_with_ack::<String, _>("clients", &()).await
    else {
        panic!("no strings")
    };
    assert_eq!((partial.malformed, partial.missing), (2, Missing::default()));
}

async fn handlers_of_servers_that_fail() {
    let cluster = cluster::<2>().await;
    let log = Log::default();
    let errors = log.clone();
    cluster.servers[1]
        .of("/")
        .on_server_side("number", async |Data(n): Data<u8>| n)
        .on_server_side("error", async || -> Result<(), Error> { Err(Error::new("no")) })
        .on_server_side("panic", async || -> () { panic!("expected: on purpose") })
        .on_server_side_error(move |_, error| errors.push(error.to_string()));
    let begun = Instant::now();
    for event in ["number", "error", "panic"] {
        let asked = cluster.servers[0].server_side_emit_with_ack::<Value, _>(event, &"text").await;
        let Err(RequestError::Partial(partial)) = asked else { panic!("{asked:?}") };
        assert_eq!((partial.unanswered, partial.missing.count), (1, 0), "{event}");
    }
    // One that is for any event answers none.
    cluster.servers[1].of("/").on_any_server_side(async || ());
    assert!(cluster.servers[0].server_side_emit_with_ack::<Value, _>("other", &()).await.is_err());
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let errors = log.take();
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors[0].contains("number") && errors[1] == "no" && errors[2].contains("on purpose"));
}

async fn two_servers_that_wait_for_each_other() {
    let cluster = cluster::<2>().await;
    for io in &cluster.servers {
        io.of("/").on_server_side("ask back", async |io: Server| -> Result<Vec<u8>, Error> {
            Ok(io.server_side_emit_with_ack::<u8, _>("number", &()).await?)
        });
        io.of("/").on_server_side("number", async || 7);
    }
    let answer = cluster.servers[0].server_side_emit_with_ack::<Vec<u8>, _>("ask back", &()).await;
    assert_eq!(answer.unwrap(), [vec![7]]);
}

async fn recovery_adds_one_offset() {
    let mut cluster =
        cluster_with::<2>(Config::default(), |builder| builder.connection_state_recovery(Default::default()))
            .await;
    cluster.servers[0].emit("e", &1).unwrap();
    settle().await;
    cluster.servers[0].everyone().volatile().emit("e", &2).unwrap();
    for ws in &mut cluster.clients {
        let packet = ws.recv().await;
        let event: Vec<Value> = serde_json::from_str(packet.strip_prefix("42").unwrap()).unwrap();
        assert_eq!((event.len(), &event[1]), (3, &Value::from(1)), "{packet}");
        assert!(event[2].as_str().is_some_and(|offset| !offset.is_empty()), "{packet}");
        ws.expect(r#"42["e",2]"#).await;
    }
}

async fn a_namespace_of_one_server_only() {
    let mut cluster = cluster::<2>().await;
    let only = cluster.servers[0].of("/only");
    cluster.clients[0].join("/only").await;
    only.emit("e", &()).unwrap();
    assert_eq!(only.fetch_sockets().await.unwrap().len(), 1);
    assert_eq!(cluster.got(r#"42/only,["e"]"#).await, [0]);
}
