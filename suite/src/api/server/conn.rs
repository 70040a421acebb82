//! What is known about a connection, and what a server counts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sio_driver::{CloseReason, Conn, DisconnectReason, Server, Socket, Transport};
use tungstenite::Message;

use crate::api::common::{Log, Polling, Ws, builder, connection, server, websocket};
use crate::api::net::Net;
use crate::api::{Case, list};
use crate::world::{World, settle, sleep, until};

pub(super) const CASES: &[Case] = list![
    an_upgrade_is_told,
    the_round_trip_is_measured,
    a_handle_outlives_the_connection,
    closing_looks_like_a_lost_connection,
    listeners_are_dropped_with_the_connection,
    the_server_counts,
];

fn only(io: &Server) -> Socket {
    io.of("/").sockets().pop().expect("somebody is connected")
}

async fn an_upgrade_is_told() {
    let io = server();
    let log = Log::default();
    let seen = log.clone();
    io.of("/").on_connect(move |socket: Socket| {
        let seen = seen.clone();
        let conn = socket.conn();
        assert_eq!((conn.transport(), conn.protocol(), conn.close_reason()), (Transport::Polling, 4, None));
        let inner = conn.clone();
        conn.on_upgrade(|_| panic!("the others are called all the same"));
        conn.on_upgrade(move |transport| {
            // Nothing is locked.
            seen.push(format!("{} {}", transport.name(), inner.transport().name()));
        });
        async {}
    });
    let polling = Polling::connect(&io).await;
    let mut ws = websocket(connection(&io, 4096), &format!("&sid={}", polling.sid)).await;
    ws.send(Message::text("2probe")).await.unwrap();
    settle().await;
    assert_eq!(log.len(), 0);
    ws.send(Message::text("5")).await.unwrap();
    until(|| log.len() > 0).await;
    assert_eq!(log.take(), ["websocket websocket"]);
    let panics = World::current().take_panics();
    assert!(panics.len() == 1 && panics[0].contains("the others are called"), "{panics:?}");
    let socket = only(&io);
    socket.conn().on_upgrade(|_| panic!("it is over"));
    assert_eq!(socket.conn().transport(), Transport::WebSocket);
    // The client's side.
    let net = Net::to(&io);
    let told = log.clone();
    let client = net
        .builder()
        .on_upgrade(move |socket: sio_driver::ClientSocket| {
            told.push(format!("client {}", socket.transport().expect("a connection").name()));
            async {}
        })
        .connect()
        .await
        .unwrap();
    until(|| log.len() == 2).await;
    let mut lines = log.take();
    lines.sort();
    assert_eq!(lines, ["client websocket", "websocket websocket"]);
    let traffic = client.traffic();
    assert!(traffic.packets_sent >= 3 && traffic.packets_received >= 3, "{traffic:?}");
    assert!(traffic.bytes_received > traffic.packets_received, "{traffic:?}");
}

async fn the_round_trip_is_measured() {
    let io = builder().ping_interval(Duration::from_secs(10)).build();
    let mut ws = Ws::connect(&io).await;
    let conn = only(&io).conn();
    assert_eq!(conn.rtt(), None);
    let ping = futures_util::StreamExt::next(&mut ws.socket).await.unwrap().unwrap();
    assert_eq!(ping, Message::text("2"));
    sleep(Duration::from_millis(123)).await;
    ws.send("3").await;
    settle().await;
    assert_eq!(conn.rtt(), Some(Duration::from_millis(123)));
    let before = conn.traffic();
    ws.send("42[\"hello\"]").await;
    settle().await;
    let after = conn.traffic();
    assert_eq!(after.packets_received - before.packets_received, 1);
    assert_eq!(after.bytes_received - before.bytes_received, 11);
    assert_eq!(after.bytes_sent, before.bytes_sent);
}

async fn a_handle_outlives_the_connection() {
    let io = server();
    let log = Log::default();
    let kept: Arc<Mutex<Vec<Conn>>> = Arc::default();
    let (left, conns) = (log.clone(), kept.clone());
    io.of("/").on_disconnect(move |socket: Socket, reason: DisconnectReason| {
        left.push(format!("{reason}, {}", socket.conn().close_reason().expect("it is over")));
        conns.lock().unwrap().push(socket.conn());
        async {}
    });
    let ws = Ws::connect(&io).await;
    let conn = only(&io).conn();
    let traffic = conn.traffic();
    drop(ws);
    until(|| io.connections() == 0).await;
    // Others come and go.
    for _ in 0..3 {
        drop(Ws::connect(&io).await);
        until(|| io.connections() == 0).await;
    }
    settle().await;
    assert_eq!(log.take(), ["transport close, transport close"; 4]);
    let kept = kept.lock().unwrap();
    assert_eq!(kept[0], conn);
    assert_ne!(kept[1], conn);
    for conn in kept.iter() {
        assert_eq!(conn.close_reason(), Some(CloseReason::TransportClose));
        assert_eq!((conn.transport(), conn.traffic()), (Transport::WebSocket, traffic));
        conn.close();
    }
}

async fn closing_looks_like_a_lost_connection() {
    let io = server();
    let log = Log::default();
    let left = log.clone();
    io.of("/").on_disconnect(move |reason: DisconnectReason| {
        left.push(format!("server: {reason}"));
        async {}
    });
    let net = Net::to(&io);
    let lost = log.clone();
    let builder = net.ws().on_disconnect(move |reason: DisconnectReason| {
        lost.push(format!("client: {reason}"));
        async {}
    });
    let client = builder.connect().await.unwrap();
    let conn = only(&io).conn();
    conn.close();
    until(|| log.len() == 2 && client.is_connected()).await;
    let mut lines = log.take();
    lines.sort();
    assert_eq!(lines, ["client: transport close", "server: forced close"]);
    assert_eq!(conn.close_reason(), Some(CloseReason::ForcedClose));
    assert_ne!(only(&io).conn(), conn, "the client is back");
}

async fn listeners_are_dropped_with_the_connection() {
    let io = server();
    let ws = Ws::connect(&io).await;
    let socket = only(&io);
    let guard = Arc::new(());
    // It holds what holds it.
    let held = (socket.clone(), guard.clone());
    socket.conn().on_upgrade(move |_| drop(held));
    assert_eq!(Arc::strong_count(&guard), 2);
    drop(ws);
    until(|| io.connections() == 0 && Arc::strong_count(&guard) == 1).await;
    let held = guard.clone();
    socket.conn().on_upgrade(move |_| drop(held));
    assert_eq!(Arc::strong_count(&guard), 1, "there will be none");
}

async fn the_server_counts() {
    let io = server();
    assert_eq!(io.stats(), sio_driver::Stats::default());
    let ws = Ws::connect(&io).await;
    let polling = Polling::connect(&io).await;
    settle().await;
    let stats = io.stats();
    assert_eq!((stats.polling.connections, stats.websocket.connections), (1, 1));
    assert_eq!((stats.polling.opened, stats.websocket.opened), (1, 1));
    assert_eq!((stats.sockets, stats.sockets_accepted), (2, 2));
    let sum = io
        .of("/")
        .sockets()
        .iter()
        .fold(sio_driver::Traffic::default(), |sum, socket| sum + socket.conn().traffic());
    assert_eq!(sum, stats.polling.traffic + stats.websocket.traffic);
    drop(ws);
    polling.post("1").await;
    until(|| io.connections() == 0).await;
    let stats = io.stats();
    assert_eq!((stats.polling.connections, stats.websocket.connections, stats.sockets), (0, 0, 0));
    assert_eq!(stats.closed(CloseReason::TransportClose), 2);
}
