//! What is known about a connection, and what a server counts.

use std::time::Duration;

use sio_proto::engine::{CloseReason, Dialect, Facts, Overflow, Revision, Traffic, Transport};
use sio_proto::hub::Scope;
use sio_proto::server::{Broadcast, ConnId, Event, Op};

use crate::common::Rig;

fn facts(rig: &Rig, conn: ConnId) -> Facts {
    rig.server.facts(conn).expect("it is known")
}

/// Packets and bytes in, packets and bytes out.
fn counts(traffic: Traffic) -> [u64; 4] {
    [traffic.packets_received, traffic.bytes_received, traffic.packets_sent, traffic.bytes_sent]
}

#[test]
fn the_time_from_ping_to_pong() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    rig.join(ws, "/");
    rig.say(ws, "3").unwrap();
    assert_eq!(facts(&rig, ws.conn).rtt, None, "B36: nobody asked");
    rig.pass_ms(25_000);
    assert_eq!(rig.frames(ws), ["2"]);
    rig.pass_ms(70);
    rig.say(ws, r#"42["a"]"#).unwrap();
    assert_eq!(facts(&rig, ws.conn).rtt, None, "another packet is no answer");
    rig.pass_ms(30);
    rig.say(ws, "3").unwrap();
    assert_eq!(facts(&rig, ws.conn).rtt, Some(Duration::from_millis(100)));
    rig.say(ws, "3").unwrap();
    assert_eq!(facts(&rig, ws.conn).rtt, Some(Duration::from_millis(100)), "the last one counts");
    rig.pass_ms(25_000);
    rig.frames(ws);
    rig.pass_ms(7);
    rig.say(ws, "3").unwrap();
    assert_eq!(facts(&rig, ws.conn).rtt, Some(Duration::from_millis(7)));
}

#[test]
fn b37_clients_of_revision_3_ping_themselves() {
    let mut rig = Rig::with(|engine, _| engine.allow_eio3 = true);
    let mut dialect = Dialect::default();
    dialect.revision = Revision::V3;
    let channel = rig.server.open_websocket_in(dialect, None, rig.now).unwrap();
    let conn = rig.server.conn_of(channel).unwrap();
    let ws = crate::common::Ws { channel, conn };
    rig.frames(ws);
    rig.say(ws, "2").unwrap();
    assert_eq!(rig.frames(ws).last().unwrap(), "3");
    let facts = facts(&rig, conn);
    assert_eq!((facts.revision, facts.rtt), (Revision::V3, None));
}

#[test]
fn websockets_count_messages_and_their_content() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    let open = counts(facts(&rig, ws.conn).traffic);
    assert_eq!(open[..3], [0, 0, 1]);
    let socket = rig.join(ws, "/");
    let joined = counts(facts(&rig, ws.conn).traffic);
    assert_eq!(joined[..3], [1, 3, 2], "`40/`, and its answer");
    // 451-["b",{"_placeholder":true,"num":0}] and 3 bytes.
    let binary = rig.event("b", &bytes::Bytes::from_static(b"raw"));
    rig.server.emit(socket, binary, false).unwrap();
    assert_eq!(counts(facts(&rig, ws.conn).traffic), joined, "not before it is handed over");
    rig.frames(ws);
    let sent = counts(facts(&rig, ws.conn).traffic);
    assert_eq!([sent[2] - joined[2], sent[3] - joined[3]], [2, 39 + 3]);
    rig.say(ws, r#"451-["b",{"_placeholder":true,"num":0}]"#).unwrap();
    rig.say_binary(ws, b"raw!").unwrap();
    let received = counts(facts(&rig, ws.conn).traffic);
    assert_eq!(received[..2], [3, 3 + 39 + 4]);
    let stats = rig.server.stats();
    assert_eq!(counts(stats.websocket.traffic), received, "all there is");
    assert_eq!(counts(stats.polling.traffic), [0; 4]);
}

#[test]
fn polling_counts_payloads() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let open = counts(facts(&rig, peer.conn).traffic);
    assert_eq!(open[..3], [0, 0, 1]);
    let socket = rig.join_by_post(peer);
    let joined = counts(facts(&rig, peer.conn).traffic);
    rig.post(peer, "42[\"a\"]\u{1e}42[\"b\"]\u{1e}3");
    let posted = counts(facts(&rig, peer.conn).traffic);
    assert_eq!([posted[0] - joined[0], posted[1] - joined[1]], [3, 7 + 1 + 7 + 1 + 1]);
    rig.emit(socket, "c").unwrap();
    rig.emit(socket, "d").unwrap();
    let body = rig.poll(peer);
    let polled = counts(facts(&rig, peer.conn).traffic);
    assert!(body.contains('\u{1e}'), "{body:?}");
    let packets = body.split('\u{1e}').count() as u64;
    assert_eq!([polled[2] - posted[2], polled[3] - posted[3]], [packets, body.len() as u64]);
    assert_eq!(counts(rig.server.stats().polling.traffic), polled);
}

#[test]
fn an_upgrade_is_counted_and_its_traffic_divided() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    rig.join_by_post(peer);
    // One that fails before, and one that is given up.
    let ws = rig.probe(peer).unwrap();
    rig.say(ws, "what").unwrap_err();
    let ws = rig.probe(peer).unwrap();
    rig.hang_up(ws.channel);
    let stats = rig.server.stats();
    assert_eq!((stats.upgrades_begun, stats.upgrades, stats.upgrades_failed), (2, 0, 2));
    assert_eq!(facts(&rig, peer.conn).transport, Transport::Polling);
    let ws = rig.upgrade(peer);
    let stats = rig.server.stats();
    assert_eq!((stats.upgrades_begun, stats.upgrades, stats.upgrades_failed), (3, 1, 2));
    assert_eq!((stats.polling.connections, stats.websocket.connections), (0, 1));
    assert_eq!((stats.polling.opened, stats.websocket.opened), (1, 0));
    assert_eq!(facts(&rig, peer.conn).transport, Transport::WebSocket);
    rig.say(ws, r#"42["a"]"#).unwrap();
    let stats = rig.server.stats();
    assert_eq!(
        counts(stats.polling.traffic + stats.websocket.traffic),
        counts(facts(&rig, peer.conn).traffic)
    );
}

#[test]
fn ends_are_counted_by_reason_and_known_afterwards() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    rig.join(ws, "/");
    rig.events(ws.conn);
    assert_eq!(rig.server.stats().sockets, 1);
    rig.hang_up(ws.channel);
    assert_eq!(facts(&rig, ws.conn).close_reason, Some(CloseReason::TransportClose));
    rig.events(ws.conn);
    assert!(rig.server.is_empty());
    let known = facts(&rig, ws.conn);
    assert_eq!(
        (known.close_reason, known.transport),
        (Some(CloseReason::TransportClose), Transport::WebSocket)
    );
    let other = rig.websocket();
    rig.join(other, "/");
    rig.server.close_connection(other.conn, rig.now);
    rig.frames(other);
    rig.hang_up(other.channel);
    let told = rig.events(other.conn);
    assert!(matches!(told.last(), Some(Event::Closed { reason: CloseReason::ForcedClose, .. })), "{told:?}");
    let stats = rig.server.stats();
    assert_eq!(stats.closed(CloseReason::TransportClose), 1);
    assert_eq!(stats.closed(CloseReason::ForcedClose), 1);
    assert_eq!(stats.closed_by_reason.iter().sum::<u64>(), 2);
    assert_eq!((stats.websocket.connections, stats.websocket.opened), (0, 2));
    assert_eq!((stats.sockets, stats.sockets_accepted), (0, 2));
    assert_eq!(rig.server.facts(ws.conn), None, "only the last one is kept");
}

#[test]
fn slow_clients_and_bad_ones_are_counted() {
    let mut rig = Rig::with(|engine, server| {
        engine.max_outbox = 100;
        engine.overflow = Overflow::Disconnect;
        server.max_inbox = 1;
    });
    let ws = rig.websocket();
    let socket = rig.join(ws, "/");
    while rig.emit(socket, "filler").is_ok() {}
    let packet = rig.event("now or never", &());
    rig.server.emit(socket, packet.clone(), true).unwrap();
    let stats = rig.server.stats();
    assert_eq!((stats.outbox_full, stats.volatile_dropped), (1, 1));
    assert!(stats.outbox_bytes > 0);
    let namespace = rig.root();
    let broadcast = Broadcast { packet, volatile: true, ack: None, offset: None };
    rig.server.apply(namespace, &Scope::all(), &Op::Broadcast(broadcast), rig.now);
    assert_eq!(rig.server.stats().volatile_dropped, 2);
    rig.broadcast(&Scope::all(), "too much");
    let stats = rig.server.stats();
    assert_eq!((stats.outbox_full, stats.closed(CloseReason::Overflow), stats.outbox_bytes), (2, 1, 0));

    let ws = rig.websocket();
    rig.join(ws, "/");
    rig.events(ws.conn);
    let pauses = rig.server.stats().read_pauses;
    rig.say(ws, r#"42["a"]"#).unwrap();
    rig.say(ws, r#"42["b"]"#).unwrap();
    let stats = rig.server.stats();
    assert_eq!((stats.read_pauses - pauses, stats.peer_errors), (1, 0));
    assert_eq!(stats.inbox_events, 2 + 1, "and the end of the one that was too slow");
    rig.say(ws, "4what").unwrap_err();
    let ws = rig.websocket();
    rig.say(ws, "what").unwrap_err();
    let ws = rig.websocket();
    rig.say(ws, "40/nowhere,").unwrap();
    let stats = rig.server.stats();
    assert_eq!((stats.peer_errors, stats.sockets_refused), (2, 1));
}
