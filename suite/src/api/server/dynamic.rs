//! Namespaces that clients make.

use std::sync::Arc;
use std::time::Duration;

use async_lock::Semaphore;
use serde::Deserialize;
use sio_driver::{ConnectError, ConnectionStateRecovery, NamespaceRequest, Socket};

use crate::api::common::{Log, Ws, builder, server};
use crate::api::{Case, list};
use crate::world::{World, settle, sleep, spawn, until};

pub(super) const CASES: &[Case] = list![
    names_that_match,
    a_parent_selects_in_all_children,
    an_async_function_decides_by_name_and_auth,
    parents_are_asked_in_order,
    clients_that_come_together_share_one_namespace,
    clients_cannot_make_any_number,
    empty_ones_are_removed_if_that_is_wished,
    a_namespace_waits_for_those_who_may_come_back,
    coming_and_going_at_once,
];

const INVALID: &str = r#"{"message":"Invalid namespace"}"#;

fn names(parent: &sio_driver::ParentNamespace) -> Vec<String> {
    parent.children().iter().map(|child| child.name().to_string()).collect()
}

async fn names_that_match() {
    let io = server();
    let made = Log::default();
    let new = made.clone();
    io.on_new_namespace(move |namespace| new.push(namespace.name().as_str()));
    let parent = io.of_matching(|name| name.starts_with("/dyn-"));
    parent.on("where", async |socket: Socket| socket.namespace().name().to_string());
    let mut a = Ws::open(&io).await;
    a.join("/dyn-1").await;
    a.join("/dyn-2").await;
    a.send("40/other,").await;
    a.expect(&format!("44/other,{INVALID}")).await;
    // What does not wait for the answer is handled after it.
    a.send_all(["40/dyn-3,".into(), r#"42/dyn-3,1["where"]"#.into()]).await;
    assert!(a.recv().await.starts_with("40/dyn-3,{"));
    a.expect(r#"43/dyn-3,1["/dyn-3"]"#).await;
    let mut b = Ws::open(&io).await;
    b.join("/dyn-2").await;
    assert_eq!(made.take(), ["/dyn-1", "/dyn-2", "/dyn-3"]);
    assert_eq!(names(&parent), ["/dyn-1", "/dyn-2", "/dyn-3"]);
    // A namespace hears what is for it, the parent reaches all.
    io.of("dyn-2").emit("two", &()).unwrap();
    a.expect(r#"42/dyn-2,["two"]"#).await;
    b.expect(r#"42/dyn-2,["two"]"#).await;
    assert_eq!(parent.emit("all", &1).unwrap().sockets, 4);
    for namespace in ["/dyn-1", "/dyn-2", "/dyn-3"] {
        a.expect(&format!(r#"42{namespace},["all",1]"#)).await;
    }
    b.expect(r#"42/dyn-2,["all",1]"#).await;
    assert_eq!(io.of("/dyn-1").len(), 1);
}

async fn a_parent_selects_in_all_children() {
    let io = server();
    let parent = io.of_matching(|name| name.starts_with("/dyn-"));
    parent.on_connect(async |socket: Socket| {
        socket.join(["all", &socket.namespace().name()[1..]]);
    });
    assert_eq!(parent.to("all").emit("nobody", &()).unwrap().sockets, 0);
    let mut clients = Vec::new();
    for name in ["/dyn-1", "/dyn-2", "/dyn-2"] {
        let mut ws = Ws::open(&io).await;
        ws.join(name).await;
        clients.push((ws, name));
    }
    let mut outside = Ws::connect(&io).await;
    io.sockets_join("all");
    settle().await;

    assert_eq!(parent.to("all").emit("to", &1).unwrap().sockets, 3);
    assert_eq!(parent.to(["dyn-1", "x"]).in_("y").emit("one", &()).unwrap().sockets, 1);
    settle().await;
    assert_eq!(
        parent.except("dyn-1").volatile().local().compress(false).emit("two", &()).unwrap().sockets,
        2
    );
    for (ws, name) in &mut clients {
        ws.expect(&format!(r#"42{name},["to",1]"#)).await;
        let then = if *name == "/dyn-1" { "one" } else { "two" };
        ws.expect(&format!(r#"42{name},["{then}"]"#)).await;
    }
    assert_eq!(parent.to("dyn-2").sockets().len(), 2);

    parent.to("dyn-1").sockets_join("new");
    parent.except("dyn-1").sockets_leave(["all", "z"]);
    settle().await;
    let rooms = |room: &str| parent.in_(room).sockets().len();
    assert_eq!(["new", "all", "dyn-2", "z"].map(rooms), [1, 1, 2, 0]);
    parent.to("dyn-2").disconnect_sockets(false);
    settle().await;
    let left: Vec<_> =
        parent.everyone().sockets().iter().map(|socket| socket.namespace().name().clone()).collect();
    assert_eq!(left, ["/dyn-1"]);
    for (ws, name) in &mut clients[1..] {
        ws.expect(&format!("41{name},")).await;
    }
    parent.disconnect_sockets(true);
    clients[0].0.expect("41/dyn-1,").await;
    clients[0].0.expect_end().await;
    outside.expect_silence().await;
    assert_eq!(io.of("/").to("all").sockets().len(), 1);
}

#[derive(Deserialize)]
struct Login {
    token: String,
}

async fn an_async_function_decides_by_name_and_auth() {
    let io = server();
    let log = Log::default();
    let asked = log.clone();
    let parent = io.of_dynamic(move |request: NamespaceRequest| {
        let asked = asked.clone();
        async move {
            sleep(Duration::from_secs(1)).await;
            assert!(request.handshake().query().contains("EIO=4"));
            asked.push(request.name().as_str());
            let login = request.auth::<Login>();
            assert!(request.name() != "/panic");
            login.is_ok_and(|login| login.token == "secret")
        }
    });
    parent.use_(async |_: Socket| Ok(()));
    let mut ws = Ws::open(&io).await;
    for (join, answer) in [
        ("40/a,".to_owned(), format!("44/a,{INVALID}")),
        (r#"40/a,{"token":"guess"}"#.into(), format!("44/a,{INVALID}")),
        (r#"40/panic,{"token":"secret"}"#.into(), format!("44/panic,{INVALID}")),
    ] {
        ws.send(join).await;
        ws.expect(&answer).await;
    }
    ws.send(r#"40/a,{"token":"secret"}"#).await;
    assert!(ws.recv().await.starts_with("40/a,{"));
    assert_eq!(log.take(), ["/a", "/a", "/panic", "/a"]);
    // It exists now: only its middlewares are asked.
    let mut other = Ws::open(&io).await;
    other.join("/a").await;
    assert_eq!(log.len(), 0);
    // A client that does not wait leaves nothing behind.
    other.send_all([r#"40/b,{"token":"secret"}"#.into(), "41/b,".into()]).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(log.take(), ["/b"]);
    other.send("2").await;
    assert!(io.of("/a").len() <= 2);
}

async fn parents_are_asked_in_order() {
    let io = server();
    let log = Log::default();
    for (index, prefix) in ["/a", "/ab", "/"].into_iter().enumerate() {
        let (log, entered) = (log.clone(), log.clone());
        let parent = if index == 1 {
            io.of_dynamic(move |request| {
                log.push(format!("asked {}", request.name()));
                async move { request.name().starts_with(prefix) }
            })
        } else {
            io.of_matching(move |name| name.len() > 2 && name.starts_with(prefix))
        };
        parent.on_connect(move |socket: Socket| {
            entered.push(format!("{index} {}", socket.namespace().name()));
            async {}
        });
    }
    let mut ws = Ws::open(&io).await;
    for name in ["/abc", "/xyz"] {
        ws.join(name).await;
        settle().await;
    }
    assert_eq!(log.take(), ["0 /abc", "asked /xyz", "2 /xyz"]);
    // One that the server makes is a child too.
    let child = io.of("a-static");
    ws.join("/a-static").await;
    settle().await;
    assert_eq!((log.take(), child.len()), (vec!["0 /a-static".to_owned()], 1));
}

/// socketio/socket.io#4136.
async fn clients_that_come_together_share_one_namespace() {
    World::current().in_parallel();
    let io = builder().shards(4).build();
    let gate = Arc::new(Semaphore::new(0));
    let wait = gate.clone();
    let made = Log::default();
    let new = made.clone();
    io.on_new_namespace(move |namespace| new.push(namespace.name().as_str()));
    let parent = io.of_dynamic(move |_| {
        let wait = wait.clone();
        async move {
            wait.acquire().await.forget();
            true
        }
    });
    let mut clients = Vec::new();
    for _ in 0..12 {
        let mut ws = Ws::open(&io).await;
        ws.send("40/same,").await;
        clients.push(ws);
    }
    settle().await;
    gate.add_permits(12);
    for ws in &mut clients {
        assert!(ws.recv().await.starts_with("40/same,{"));
    }
    assert_eq!((made.take(), names(&parent)), (vec!["/same".to_owned()], vec!["/same".to_owned()]));
    assert_eq!(io.of("/same").emit("all", &()).unwrap().sockets, 12);
}

/// B111.
async fn clients_cannot_make_any_number() {
    let io =
        builder().max_child_namespaces(2).max_namespace_name(8).cleanup_empty_child_namespaces(true).build();
    let parent = io.of_matching(|_| true);
    let mut ws = Ws::open(&io).await;
    ws.join("/1").await;
    ws.join("/2").await;
    for name in ["/3", "/too-long-a-name"] {
        ws.send(format!("40{name},")).await;
        ws.expect(&format!("44{name},{INVALID}")).await;
    }
    ws.join("/").await;
    // The server itself may.
    assert_eq!(io.of("/server-made").name(), "/server-made");
    ws.send("41/1,").await;
    until(|| parent.children().len() == 2).await;
    ws.join("/3").await;
    assert_eq!(names(&parent), ["/2", "/server-made", "/3"]);
}

async fn empty_ones_are_removed_if_that_is_wished() {
    for clean_up in [true, false] {
        let io = builder().shards(2).cleanup_empty_child_namespaces(clean_up).build();
        let parent = io.of_matching(|name| name.starts_with("/dyn"));
        parent.use_(async |socket: Socket| {
            if socket.namespace().name() == "/dyn-no" { Err(ConnectError::new("no")) } else { Ok(()) }
        });
        let kept = io.of("/dyn-kept");
        let (mut a, mut b) = (Ws::open(&io).await, Ws::open(&io).await);
        a.join("/dyn-1").await;
        b.join("/dyn-1").await;
        a.join("/dyn-kept").await;
        a.send("40/dyn-no,").await;
        a.expect(r#"44/dyn-no,{"message":"no"}"#).await;
        let old = io.of("/dyn-1");
        a.send_all(["41/dyn-1,".into(), "41/dyn-kept,".into()]).await;
        until(|| old.len() == 1 && kept.is_empty()).await;
        settle().await;
        let rest: &[&str] =
            if clean_up { &["/dyn-kept", "/dyn-1"] } else { &["/dyn-kept", "/dyn-1", "/dyn-no"] };
        assert_eq!(names(&parent), rest);
        drop(b);
        until(|| old.is_empty()).await;
        settle().await;
        let rest: &[&str] = if clean_up { &["/dyn-kept"] } else { rest };
        assert_eq!(names(&parent), rest);
        // It comes again.
        a.join("/dyn-1").await;
        io.of("/dyn-1").emit("new", &()).unwrap();
        a.expect(r#"42/dyn-1,["new"]"#).await;
        assert_eq!(old.emit("old", &()).unwrap().sockets, usize::from(!clean_up));
    }
}

async fn a_namespace_waits_for_those_who_may_come_back() {
    let recovery = ConnectionStateRecovery::new().max_disconnection_duration(Duration::from_secs(10));
    let io =
        builder().shards(2).cleanup_empty_child_namespaces(true).connection_state_recovery(recovery).build();
    let parent = io.of_matching(|_| true);
    let mut ws = Ws::open(&io).await;
    let id = ws.join("/dyn").await;
    drop(ws);
    let child = io.of("/dyn");
    until(|| child.is_empty()).await;
    child.to(id).emit("missed", &()).unwrap();
    sleep(Duration::from_secs(9)).await;
    assert_eq!(names(&parent), ["/dyn"]);
    sleep(Duration::from_secs(3)).await;
    settle().await;
    assert_eq!(names(&parent), [""; 0]);
}

/// Clients come and go in the same few namespaces, from several threads.
async fn coming_and_going_at_once() {
    World::current().in_parallel();
    let io = builder().shards(4).cleanup_empty_child_namespaces(true).build();
    let parent = io.of_matching(|_| true);
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let io = io.clone();
            spawn(async move {
                let mut ws = Ws::open(&io).await;
                for round in 0..50 {
                    let name = format!("/{}", (task + round) % 3);
                    ws.join(&name).await;
                    ws.send(format!("41{name},")).await;
                }
                ws.join("/").await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    until(|| parent.children().is_empty() && io.connections() == 0).await;
}
