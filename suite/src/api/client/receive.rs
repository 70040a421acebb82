//! Events: handled, or asked for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use sio_driver::{
    Ack, Client, ClientSocket, Data, EmitError, Error, Event, FromContext, Payload, Rejection, Server,
    Socket, State,
};

use crate::api::common::{Log, PATIENCE, builder, server};
use crate::api::net::Net;
use crate::api::{Case, list};
use crate::world::{Notify, settle, sleep, spawn, timeout, until, yield_now};

pub(super) const CASES: &[Case] = list![
    nothing_is_lost_from_the_first_event_on,
    a_stream_has_the_last_events_before_it_and_all_after,
    a_recv_that_is_dropped_loses_nothing,
    handlers_and_recv_mixed,
    the_end,
    recv_goes_on_after_a_reconnection,
    acknowledgements_by_hand,
    a_slow_receiver_slows_the_server_down,
    a_client_that_never_listens_stays_alive,
    every_extractor_and_every_result,
    what_goes_wrong_in_handlers_is_reported,
    once_off_and_any,
    handlers_that_wait,
    handlers_that_use_the_client,
];

const SECOND: Duration = Duration::from_secs(1);

/// Emits the numbers `0..count` to who connects.
fn eager(count: u32) -> Server {
    let io = server();
    io.of("/").on_connect(move |socket: Socket| async move {
        for n in 0..count {
            socket.emit("n", &n)?;
        }
        Ok(())
    });
    io
}

async fn nothing_is_lost_from_the_first_event_on() {
    let net = Net::to(&eager(500));
    let client = net.ws().connect().await.unwrap();
    // They come before anybody asks.
    settle().await;
    for n in 0..500 {
        let event = client.recv().await.unwrap();
        assert_eq!((event.name().as_ref(), event.data::<u32>().unwrap()), ("n", n));
    }
    assert!(timeout(60 * SECOND, client.recv()).await.is_err());
}

/// Also beside handlers, events that nobody has asked for yet are kept: the last ones. From the first question on, all are.
async fn a_stream_has_the_last_events_before_it_and_all_after() {
    let io = server();
    let net = Net::to(&io);
    let client = net.ws().on("handled", async || ()).connect().await.unwrap();
    for n in 0..1100 {
        io.emit("before", &n).unwrap();
        io.emit("handled", &()).unwrap();
    }
    settle().await;
    assert_eq!(client.missed(), 1100 - 1024);
    let mut events = client.events();
    for n in 1100 - 1024..1100 {
        let event = events.next().await.unwrap();
        assert_eq!((event.name().as_ref(), event.data::<u32>().unwrap()), ("before", n));
    }
    for _ in 0..2000 {
        io.emit("n", &()).unwrap();
    }
    settle().await;
    for _ in 0..2000 {
        assert_eq!(events.next().await.unwrap().name(), "n");
    }
    assert_eq!(client.missed(), 1100 - 1024, "none since somebody asks");
    assert_eq!(client.as_socket(), &*client);
}

async fn a_recv_that_is_dropped_loses_nothing() {
    let io = server();
    let net = Net::to(&io);
    let client = net.ws().connect().await.unwrap();
    let sending = spawn(async move {
        for n in 0..100 {
            io.emit("n", &n).unwrap();
            sleep(Duration::from_millis(7)).await;
        }
    });
    let mut events = client.events();
    let mut next = 0;
    while next < 100 {
        let event = match next % 2 {
            0 => timeout(Duration::from_millis(3), client.recv()).await,
            _ => timeout(Duration::from_millis(3), events.next()).await,
        };
        if let Ok(event) = event {
            assert_eq!(event.unwrap().data::<u32>().unwrap(), next);
            next += 1;
        }
    }
    sending.await.unwrap();
}

async fn handlers_and_recv_mixed() {
    let io = server();
    let net = Net::to(&io);
    let log = Log::default();
    let seen = log.clone();
    let client = net
        .ws()
        .on("handled", move || {
            seen.push("handled");
            async {}
        })
        .connect()
        .await
        .unwrap();
    // What came before the first question is there too.
    io.emit("other", &0).unwrap();
    settle().await;
    for n in 1..4 {
        io.emit("other", &n).unwrap();
        io.emit("handled", &()).unwrap();
    }
    for n in 0..4 {
        assert_eq!(client.recv().await.unwrap().data::<u32>().unwrap(), n);
    }
    assert_eq!(log.take(), ["handled"; 3]);
}

async fn the_end() {
    for end in ["close", "drop", "server", "gone"] {
        let io = eager(2);
        let net = Net::to(&io);
        let client = net.ws().reconnection_attempts(1).connect().await.unwrap();
        settle().await;
        let mut events = client.events();
        assert!(events.next().await.is_some());
        match end {
            "close" => drop(client.close()),
            "drop" => client.close().await,
            "server" => io.of("/").sockets().remove(0).disconnect(),
            _ => {
                net.down();
                net.cut();
            }
        }
        assert!(timeout(PATIENCE, events.next()).await.expect(end).is_some(), "what came is there");
        assert!(timeout(PATIENCE, events.next()).await.expect(end).is_none(), "{end}");
        assert!(client.recv().await.is_none());
        if end == "server" {
            client.connect();
            assert!(client.recv().await.is_some(), "it goes on");
        }
    }
}

async fn recv_goes_on_after_a_reconnection() {
    let io = eager(1);
    let net = Net::to(&io);
    let client = net.ws().connect().await.unwrap();
    for _ in 0..5 {
        assert!(timeout(PATIENCE, client.recv()).await.unwrap().is_some());
        net.cut();
    }
}

async fn acknowledgements_by_hand() {
    let io = server();
    let net = Net::to(&io);
    let client = net.ws().connect().await.unwrap();
    let socket = io.of("/").sockets().remove(0);
    let asked = spawn(async move { socket.emit_with_ack::<(u32, String), _>("ask", &("x", 1)).await });
    let mut event = client.recv().await.unwrap();
    assert_eq!(event.data::<(String, u32)>().unwrap(), ("x".into(), 1));
    assert!(event.data::<u32>().is_err());
    assert!(event.wants_ack());
    event.ack(&(5, "five")).unwrap();
    assert!(!event.wants_ack());
    event.ack(&6).unwrap();
    assert_eq!(asked.await.unwrap(), Ok((5, "five".into())));

    // Its id means something else on another connection.
    let socket = io.of("/").sockets().remove(0);
    let asked = socket.emit_with_ack::<u32, _>("ask", &()).send();
    let mut event = client.recv().await.unwrap();
    net.cut();
    assert!(asked.await.is_err());
    settle().await;
    until(|| client.is_connected()).await;
    assert_eq!(event.ack(&1), Err(EmitError::Disconnected));
    io.emit("plain", &()).unwrap();
    let mut event = client.recv().await.unwrap();
    assert!(!event.wants_ack());
    event.ack(&1).unwrap();
}

/// A server that sends as fast as it can finds that nobody reads.
async fn a_slow_receiver_slows_the_server_down() {
    let net = Net::default();
    let mut script = net.script();
    let client = net.ws().max_inbox(100).build().unwrap();
    let mut peer = script.join().await;
    client.connected().await.unwrap();
    assert!(timeout(SECOND, client.recv()).await.is_err(), "somebody asks");
    let sent = Log::default();
    let count = sent.clone();
    let sending = spawn(async move {
        for n in 0..10_000 {
            peer.send(&format!(r#"42["n",{n},"{}"]"#, "x".repeat(1000))).await;
            count.push("");
        }
        peer
    });
    settle().await;
    sleep(10 * 60 * SECOND).await;
    assert!(sent.len() < 500, "{}", sent.len());
    assert!(client.is_connected(), "a server that we do not read is not timed out");
    for n in 0..10_000 {
        let event = timeout(PATIENCE, client.recv()).await.unwrap().unwrap();
        assert_eq!(event.data::<(u32, String)>().unwrap().0, n);
    }
    drop(sending.await.unwrap());
}

async fn a_client_that_never_listens_stays_alive() {
    for large in [false, true] {
        let io = builder().max_outbox(1 << 30).ping_interval(SECOND).ping_timeout(SECOND).build();
        io.of("/").on("alive", async || "yes");
        let net = Net::to(&io);
        let client = net.ws().max_inbox(500).connect().await.unwrap();
        let (count, filler) = if large { (100, "x".repeat(1 << 20)) } else { (5000, String::new()) };
        for n in 0..count {
            io.emit("n", &(n, &filler)).unwrap();
        }
        sleep(60 * SECOND).await;
        let alive = timeout(PATIENCE, async { client.emit_with_ack::<String, _>("alive", &()).await });
        assert_eq!(alive.await.expect("it reads").as_deref(), Ok("yes"));
        // Who asks late gets the last ones, without a gap.
        let first = client.recv().await.unwrap().data::<(u32, String)>().unwrap().0;
        assert!(first > 0);
        for n in first + 1..count {
            let event = timeout(PATIENCE, client.recv()).await.unwrap().unwrap();
            assert_eq!(event.data::<(u32, String)>().unwrap().0, n);
        }
    }
}

struct Shout(String);

impl FromContext<ClientSocket> for Shout {
    fn from_context(context: &mut sio_driver::Context<ClientSocket>) -> Result<Self, Rejection> {
        let Data(text) = Data::<String>::from_context(context)?;
        Ok(Self(text.to_uppercase()))
    }
}

async fn connected(builder: sio_driver::ClientBuilder<Client>, io: &Server) -> (Client, Socket) {
    let client = builder.connect().await.unwrap();
    let socket = io.of("/").sockets().remove(0);
    (client, socket)
}

async fn every_extractor_and_every_result() {
    let io = server();
    let net = Net::to(&io);
    let builder = net
        .ws()
        .state("state")
        .on(
            "all",
            async |Data(data): Data<(u32, String)>,
                   socket: ClientSocket,
                   Event(name): Event,
                   State(state): State<&'static str>,
                   payload: Payload| {
                let arguments: (u32, String) = payload.deserialize().unwrap();
                format!("{}{name}{state}{}", socket.namespace(), arguments == data)
            },
        )
        .on("custom", async |Shout(text): Shout| text)
        .on("ack", async |ack: Ack| {
            assert!(ack.is_wanted());
            ack.send(&("from", "ack"))?;
            Ok("ignored")
        })
        .on("tuple", async || (1, "two"))
        .on("result", async |Data(ok): Data<bool>| if ok { Ok(1) } else { Err(Error::new("not ok")) })
        .on("bytes", async |Data(bytes): Data<bytes::Bytes>| bytes);
    let (_client, socket) = connected(builder, &io).await;
    assert_eq!(socket.emit_with_ack::<String, _>("all", &(1, "x")).await.as_deref(), Ok("/allstatetrue"));
    assert_eq!(socket.emit_with_ack::<String, _>("custom", &"x").await.as_deref(), Ok("X"));
    assert_eq!(
        socket.emit_with_ack::<(String, String), _>("ack", &()).await,
        Ok(("from".into(), "ack".into()))
    );
    assert_eq!(socket.emit_with_ack::<(u32, String), _>("tuple", &()).await, Ok((1, "two".into())));
    assert_eq!(socket.emit_with_ack::<u32, _>("result", &true).await, Ok(1));
    let bytes = bytes::Bytes::from_static(b"\0\x01");
    assert_eq!(socket.emit_with_ack::<bytes::Bytes, _>("bytes", &bytes).await, Ok(bytes));
}

async fn what_goes_wrong_in_handlers_is_reported() {
    let io = server();
    let net = Net::to(&io);
    let log = Log::default();
    let seen = log.clone();
    let builder = net
        .ws()
        .on_error(move |socket, error| {
            seen.push(format!("{} {} {error}", socket.namespace(), error.event().unwrap_or("?")));
        })
        .on_error(|_, _| panic!("here too"))
        .on("error", async || Err::<(), _>(Error::new("an error")))
        .on("data", async |Data(_): Data<u32>| {})
        .on("state", async |State(_): State<u8>| {})
        .on("panic", async || {
            if true {
                panic!("a panic");
            }
        })
        .on("late panic", async || {
            yield_now().await;
            if true {
                panic!("a late panic");
            }
        })
        .on("twice", async |_: Ack, second: Ack| second.is_wanted())
        .on("fine", async || "fine");
    let builder = builder.on_connect(async || Err::<(), _>(Error::new("at first")));
    let (client, socket) = connected(builder, &io).await;
    settle().await;
    assert_eq!(log.take(), ["/ connect at first"]);
    for (event, expected) in [
        ("error", "/ error an error"),
        ("data", "/ data arguments of \"data\": "),
        ("state", "/ state no state of type u8 was given to the builder"),
        ("panic", "/ panic handler panicked: a panic"),
        ("late panic", "/ late panic handler panicked: a late panic"),
    ] {
        socket.emit(event, &"x").unwrap();
        assert_eq!(socket.emit_with_ack::<String, _>("fine", &()).await.as_deref(), Ok("fine"));
        let log = log.take();
        assert!(log.len() == 1 && log[0].starts_with(expected), "{log:?}");
    }
    assert!(client.is_connected());
}

async fn once_off_and_any() {
    let io = server();
    let net = Net::to(&io);
    let (client, socket) = connected(net.ws(), &io).await;
    let log = Log::default();
    let note = |text: &'static str| {
        let log = log.clone();
        move || {
            log.push(text);
            async {}
        }
    };
    let any = log.clone();
    client.on_any(move |Event(name): Event| {
        any.push(format!("any {name}"));
        async {}
    });
    client.once("e", note("once")).on("e", note("on")).on("done", async || true);
    for _ in 0..2 {
        socket.emit("e", &()).unwrap();
    }
    socket.emit_with_ack::<bool, _>("done", &()).await.unwrap();
    assert_eq!(log.take(), ["any e", "once", "on", "any e", "on", "any done"]);
    client.off("e");
    socket.emit("e", &()).unwrap();
    socket.emit_with_ack::<bool, _>("done", &()).await.unwrap();
    assert_eq!(log.take(), ["any e", "any done"]);
}

/// One after another, in order; heartbeats, acknowledgements and other namespaces go on meanwhile.
async fn handlers_that_wait() {
    let io = builder().ping_interval(SECOND).ping_timeout(SECOND).build();
    io.of("/").on("ask", async || "answer");
    let _ = io.of("/other");
    for polling in [false, true] {
        let net = Net::to(&io);
        let log = Log::default();
        let seen = log.clone();
        let builder = if polling {
            net.builder().upgrade(false).transports([sio_driver::Transport::Polling])
        } else {
            net.ws()
        };
        let client = builder
            .on("slow", move |Data(n): Data<u64>| {
                let log = seen.clone();
                async move {
                    sleep(Duration::from_secs(300 / n)).await;
                    log.push(n.to_string());
                }
            })
            .connect()
            .await
            .unwrap();
        let seen = log.clone();
        let other = client
            .socket_with("/other", |socket| {
                socket.on("quick", move || {
                    seen.push("quick");
                    async {}
                })
            })
            .unwrap();
        other.connected().await.unwrap();
        for n in 1..5 {
            io.emit("slow", &n).unwrap();
        }
        io.of("/other").emit("quick", &()).unwrap();
        until(|| log.len() == 1).await;
        assert_eq!(client.emit_with_ack::<String, _>("ask", &()).await.as_deref(), Ok("answer"));
        assert_eq!(log.len(), 1);
        timeout(3600 * SECOND, async {
            while log.len() < 5 {
                sleep(SECOND).await;
            }
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["quick", "1", "2", "3", "4"]);
        assert!(client.is_connected());
        assert!(net.dials() <= 3, "no reconnection: {} dials", net.dials());
        client.close().await;
    }
}

async fn handlers_that_use_the_client() {
    let io = server();
    let gate = Arc::new(Notify::new());
    let open = gate.clone();
    let net = Net::to(&io);
    let builder = net.ws().on("go", move |socket: ClientSocket| {
        let gate = open.clone();
        async move {
            // All of this takes the lock.
            socket.on("new", async || "new").off("go");
            socket.emit("x", &())?;
            socket.clear_send_buffer();
            socket.ready().await;
            socket.connected().await?;
            gate.notify_one();
            Ok(socket.id().map(|id| id.to_string()))
        }
    });
    let (_client, socket) = connected(builder, &io).await;
    assert_eq!(socket.emit_with_ack::<String, _>("go", &()).await.unwrap(), socket.id().as_str());
    gate.notified().await;
    assert_eq!(socket.emit_with_ack::<String, _>("new", &()).await.as_deref(), Ok("new"));
}
