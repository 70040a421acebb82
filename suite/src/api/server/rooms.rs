//! Rooms, and who a broadcast reaches.

use sio_driver::{Data, Server, Socket};

use crate::api::common::{Polling, Ws, builder, server};
use crate::api::{Case, list};
use crate::world::settle;

pub(super) const CASES: &[Case] = list![
    selections_of_the_server,
    selections_of_a_socket,
    private_rooms_and_leaving,
    operations_on_many,
    operations_on_everyone,
    volatile,
    volatile_to_one,
];

/// Each client is in the rooms that its letters name.
async fn clients<const N: usize>(io: &Server, names: [&str; N]) -> [Ws; N] {
    io.of("/")
        .on("join", async |socket: Socket, Data(rooms): Data<Vec<String>>| {
            rooms.iter().for_each(|room| socket.join(room));
        })
        .on("leave", async |socket: Socket, Data(room): Data<String>| socket.leave(room));
    let mut clients = Vec::new();
    for name in names {
        let mut ws = Ws::connect(io).await;
        let rooms: Vec<_> = name.chars().map(String::from).collect();
        ws.send(format!(r#"42["join",{}]"#, serde_json::to_string(&rooms).unwrap())).await;
        clients.push(ws);
    }
    settle().await;
    clients.try_into().expect("as many")
}

/// Who got an event, and that each got it once.
async fn got<const N: usize>(clients: &mut [Ws; N]) -> Vec<usize> {
    let mut who = Vec::new();
    for (at, ws) in clients.iter_mut().enumerate() {
        ws.send(r#"40/unknown,"#).await;
        let mut count = 0;
        loop {
            match ws.recv().await.as_str() {
                r#"44/unknown,{"message":"Invalid namespace"}"# => break,
                r#"42["e"]"# => count += 1,
                other => panic!("{other}"),
            }
        }
        assert!(count <= 1, "{count} for {at}");
        who.extend((count == 1).then_some(at));
    }
    who
}

async fn selections_of_the_server() {
    let io = builder().shards(3).build();
    let mut all = clients(&io, ["", "a", "b", "ab", "abc"]).await;
    let mut check = async |delivery: sio_driver::Delivery, expected: &[usize]| {
        assert_eq!((delivery.sockets, delivery.skipped), (expected.len(), 0));
        assert_eq!(got(&mut all).await, expected);
    };
    check(io.emit("e", &()).unwrap(), &[0, 1, 2, 3, 4]).await;
    check(io.of("/").emit("e", &()).unwrap(), &[0, 1, 2, 3, 4]).await;
    check(io.to("a").emit("e", &()).unwrap(), &[1, 3, 4]).await;
    check(io.in_("a").to("b").emit("e", &()).unwrap(), &[1, 2, 3, 4]).await;
    check(io.except("a").emit("e", &()).unwrap(), &[0, 2]).await;
    check(io.to("a").except("b").except("c").emit("e", &()).unwrap(), &[1]).await;
    check(io.to("nowhere").emit("e", &()).unwrap(), &[]).await;
    check(io.of("/other").emit("e", &()).unwrap(), &[]).await;
}

async fn selections_of_a_socket() {
    let io = server();
    io.of("/")
        .on("broadcast", async |socket: Socket| drop(socket.broadcast().emit("e", &())))
        .on("to", async |socket: Socket| drop(socket.to("a").emit("e", &())))
        .on("except", async |socket: Socket| drop(socket.except("a").emit("e", &())))
        .on("self", async |socket: Socket| drop(socket.emit("e", &())));
    let mut all = clients(&io, ["", "a", "a", "b"]).await;
    for (event, expected) in
        [("broadcast", vec![0, 2, 3]), ("to", vec![2]), ("except", vec![0, 3]), ("self", vec![1])]
    {
        all[1].send(format!(r#"42["{event}"]"#)).await;
        settle().await;
        assert_eq!(got(&mut all).await, expected, "{event}");
    }
}

async fn private_rooms_and_leaving() {
    let io = server();
    let mut all = clients(&io, ["a", "a"]).await;
    let sockets = io.of("/").sockets();
    io.to(sockets[1].id().as_str()).emit("e", &()).unwrap();
    let one = got(&mut all).await;
    assert_eq!(one.len(), 1, "the room named by the id");
    all[0].send(r#"42["leave","a"]"#).await;
    settle().await;
    io.to("a").emit("e", &()).unwrap();
    assert_eq!(got(&mut all).await, [1]);
}

/// What needs no selection: the same on a server and on a namespace.
async fn operations_on_everyone() {
    let io = builder().shards(2).build();
    let mut all = clients(&io, ["", ""]).await;
    for server in [true, false] {
        let namespace = io.of("/");
        if server {
            io.sockets_join(["a", "b"]);
            io.sockets_leave("b");
        } else {
            namespace.sockets_join(["a", "b"]);
            namespace.sockets_leave("b");
        }
        assert!(namespace.to("b").sockets().is_empty());
        io.to("a").emit("e", &()).unwrap();
        assert_eq!(got(&mut all).await, [0, 1]);
        let sent = if server { io.volatile().emit("e", &()) } else { namespace.volatile().emit("e", &()) };
        assert_eq!(sent.unwrap().sockets, 2);
        assert_eq!(got(&mut all).await, [0, 1]);
        let timeout = std::time::Duration::from_secs(1);
        let (asked, impatient) = if server {
            (io.emit_with_ack::<u32, _>("q", &()), io.timeout(timeout).emit_with_ack::<u32, _>("q", &()))
        } else {
            let impatient = namespace.timeout(timeout).emit_with_ack::<u32, _>("q", &());
            (namespace.emit_with_ack::<u32, _>("q", &()), impatient)
        };
        for (asked, patience) in [(asked, 5), (impatient, 1)] {
            let started = crate::world::Instant::now();
            assert_eq!(asked.await.unwrap().len(), 2);
            assert_eq!(started.elapsed().as_secs(), patience);
            for ws in &mut all {
                assert!(ws.recv().await.ends_with(r#"["q"]"#));
            }
        }
        if server {
            io.disconnect_sockets(false);
        } else {
            namespace.disconnect_sockets(false);
        }
        for ws in &mut all {
            ws.expect("41").await;
            ws.join("/").await;
        }
        assert_eq!(namespace.len(), 2);
    }
}

async fn operations_on_many() {
    let io = builder().shards(2).build();
    let mut all = clients(&io, ["a", "a", "b"]).await;
    io.to("a").sockets_join("c");
    io.to("c").emit("e", &()).unwrap();
    assert_eq!(got(&mut all).await, [0, 1]);
    io.to("a").sockets_leave("c");
    io.to("c").emit("e", &()).unwrap();
    assert_eq!(got(&mut all).await, [0; 0]);
    io.to("b").disconnect_sockets(false);
    all[2].expect("41").await;
    all[2].join("/").await;
    io.to("a").disconnect_sockets(true);
    for ws in &mut all[..2] {
        ws.expect("41").await;
        ws.expect_end().await;
    }
    settle().await;
    assert_eq!((io.of("/").len(), io.connections()), (1, 1));
}

async fn volatile() {
    let io = server();
    let mut all = clients(&io, ["a", "a"]).await;
    // Three in a row without a chance to send: only the first goes out.
    let deliveries: Vec<_> = (0..3)
        .map(|_| io.to("a").volatile().emit("e", &()).unwrap())
        .map(|d| (d.sockets, d.skipped))
        .collect();
    assert_eq!(deliveries, [(2, 0), (0, 2), (0, 2)]);
    assert_eq!(got(&mut all).await, [0, 1]);
}

async fn volatile_to_one() {
    let io = builder().connection_state_recovery(sio_driver::ConnectionStateRecovery::default()).build();
    let (one, two) = (Polling::open(&io).await, Polling::open(&io).await);
    for session in [&one, &two] {
        session.post("40").await;
        assert!(session.get().await.starts_with("40{"));
    }
    let [socket, other] = [0, 1].map(|at| io.of("/").sockets()[at].clone());
    let (mine, theirs) = (&one, &two);
    // No poll is pending: it cannot go out. What is not volatile waits.
    socket.volatile().emit("dropped", &bytes::Bytes::from_static(b"with its attachment")).unwrap();
    socket.volatile().emit_wait("dropped", &()).await.unwrap();
    socket.volatile().broadcast().emit("dropped", &()).unwrap();
    socket.emit("kept", &()).unwrap();
    other.emit("kept", &()).unwrap();
    for session in [mine, theirs] {
        let got = session.get().await;
        assert!(got.starts_with(r#"42["kept","#) && !got.contains("dropped"), "{got}");
    }
    // Somebody waits for this answer: it is sent all the same.
    let answer = socket.volatile().emit_with_ack::<u32, _>("asked", &()).send();
    let asked = mine.get().await;
    let id = asked.strip_prefix("42").unwrap().strip_suffix(r#"["asked"]"#).unwrap();
    mine.post(&format!("43{id}[7]")).await;
    assert_eq!(answer.await.unwrap(), 7);
    // One that waits for something gets it, without an offset: it is not recovered.
    let (got, ()) = futures_util::future::join(mine.get(), async {
        settle().await;
        socket.volatile().compress(false).emit("now", &1).unwrap();
    })
    .await;
    assert_eq!(got, r#"42["now",1]"#);
}
