//! Queues that fill up.

use sio_proto::engine::{Overflow, Refusal};
use sio_proto::hub::Scope;
use sio_proto::server::{Broadcast, EmitError, Op, Ready};

use crate::common::{Rig, scope};

/// Room for two events and their bookkeeping.
const SMALL: usize = 200;

#[test]
fn a_full_outbox_gives_the_packet_back() {
    let mut rig = Rig::with(|engine, _| engine.max_outbox = SMALL);
    let ws = rig.websocket();
    let socket = rig.join(ws, "");
    let packet = rig.event("x", &"y".repeat(SMALL / 2));
    rig.server.emit(socket, packet.clone(), false).unwrap();
    assert_eq!(rig.server.emit(socket, packet.clone(), false), Err(EmitError::Full(packet.clone())));
    assert_eq!(rig.server.outbox_bytes(socket), packet.len());
    assert_eq!(rig.frames(ws).len(), 1);
    rig.server.emit(socket, packet, false).unwrap();
}

#[test]
fn one_packet_always_fits() {
    let mut rig = Rig::with(|engine, _| engine.max_outbox = 0);
    let ws = rig.websocket();
    let socket = rig.join(ws, "");
    rig.emit(socket, "larger than nothing").unwrap();
    assert!(matches!(rig.emit(socket, "second"), Err(EmitError::Full(_))));
    assert_eq!(rig.frames(ws).len(), 1);
}

#[test]
fn the_protocols_own_packets_pass_a_full_outbox() {
    let mut rig = Rig::with(|engine, _| engine.max_outbox = 0);
    let ws = rig.websocket();
    let socket = rig.join(ws, "");
    rig.emit(socket, "data").unwrap();
    rig.server.disconnect(socket, false, rig.now).unwrap();
    rig.pass_ms(25_000);
    assert_eq!(rig.frames(ws), ["2", r#"42["data"]"#, "41"], "and a ping does not wait behind data");
}

#[test]
fn a_broadcast_ends_a_connection_that_reads_too_slowly() {
    let mut rig = Rig::with(|engine, _| engine.max_outbox = 0);
    let (slow, quick) = (rig.websocket(), rig.websocket());
    rig.join(slow, "");
    rig.join(quick, "");
    assert_eq!(rig.broadcast(&Scope::all(), "1").sockets, 2);
    rig.frames(quick);
    let delivery = rig.broadcast(&Scope::all(), "2");
    assert_eq!((delivery.sockets, delivery.skipped), (1, 1));
    assert_eq!(rig.told(slow.conn), ["disconnect: overflow", "closed: overflow, 1 undelivered"]);
    assert_eq!(rig.frames(slow), ["close"]);
    assert_eq!(rig.frames(quick), [r#"42["2"]"#]);
    rig.hang_up(slow.channel);
    assert_eq!(rig.server.len(), 1);
}

#[test]
fn or_skips_it() {
    let mut rig = Rig::with(|engine, _| {
        engine.max_outbox = 0;
        engine.overflow = Overflow::Skip;
    });
    let ws = rig.websocket();
    rig.join(ws, "");
    rig.broadcast(&Scope::all(), "1");
    let delivery = rig.broadcast(&Scope::all(), "2");
    assert_eq!((delivery.sockets, delivery.skipped), (0, 1));
    assert_eq!(rig.told(ws.conn), [""; 0]);
    assert_eq!(rig.frames(ws), [r#"42["1"]"#]);
}

#[test]
fn b126_volatile_packets_are_dropped_unless_they_can_go_out_at_once() {
    let mut rig = Rig::new();
    let (ws, peer) = (rig.websocket(), rig.poller());
    let (on_ws, polling) = (rig.join(ws, ""), rig.join_by_post(peer));
    let packet = rig.event("v", &());
    let root = rig.root();
    let op = Op::Broadcast(Broadcast { packet: packet.clone(), volatile: true, ack: None, offset: None });

    rig.server.emit(on_ws, packet.clone(), true).unwrap();
    rig.server.emit(on_ws, packet.clone(), true).unwrap();
    assert_eq!(rig.frames(ws).len(), 1, "the second found the first waiting");
    rig.server.emit(polling, packet.clone(), true).unwrap();
    let get = rig.get(peer).unwrap();
    assert_eq!(rig.response(get), None, "no poll was there to take it");
    rig.server.emit(polling, packet, true).unwrap();
    assert_eq!(rig.answer(get), r#"42["v"]"#);

    let delivery = rig.server.apply(root, &Scope::all(), &op, rig.now);
    assert_eq!((delivery.sockets, delivery.skipped), (1, 1));
}

#[test]
fn a_full_inbox_stops_the_reading() {
    let mut rig = Rig::with(|_, config| config.max_inbox = 3);
    let ws = rig.websocket();
    rig.join(ws, "");
    for at in 0..3 {
        assert!(rig.server.wants_read(ws.conn), "{at}");
        rig.say(ws, r#"42["a"]"#).unwrap();
    }
    assert!(!rig.server.wants_read(ws.conn));
    assert!(!rig.ready().contains(&Ready::Read(ws.conn)));
    assert!(rig.server.poll_event(ws.conn, &[]).is_some());
    assert!(rig.server.wants_read(ws.conn));
    assert!(rig.ready().contains(&Ready::Read(ws.conn)));
}

#[test]
fn bytes_fill_the_inbox_too() {
    let mut rig = Rig::with(|_, config| config.max_inbox_bytes = 1_000);
    let ws = rig.websocket();
    rig.join(ws, "");
    rig.say(ws, &format!("42[\"{}\"]", "x".repeat(500))).unwrap();
    assert!(rig.server.wants_read(ws.conn));
    rig.say(ws, r#"451-["b",{"_placeholder":true,"num":0}]"#).unwrap();
    rig.say_binary(ws, &[0; 500]).unwrap();
    assert!(!rig.server.wants_read(ws.conn), "attachments count");
    rig.events(ws.conn);
    assert!(rig.server.wants_read(ws.conn));
}

#[test]
fn events_are_announced_until_none_is_left() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    let socket = rig.join(ws, "");
    rig.ready();
    rig.say(ws, r#"42["a"]"#).unwrap();
    rig.say(ws, r#"42["b"]"#).unwrap();
    assert_eq!(rig.ready(), [Ready::Events(ws.conn)], "once");
    assert!(rig.server.poll_event(ws.conn, &[]).is_some());
    assert_eq!(rig.server.poll_event(ws.conn, &[socket]), None, "busy");
    rig.say(ws, r#"42["c"]"#).unwrap();
    assert_eq!(rig.ready(), [Ready::Events(ws.conn)]);
    assert_eq!(rig.told(ws.conn), [r#"["b"]"#, r#"["c"]"#]);
}

#[test]
fn room_in_the_outbox_is_announced_to_those_who_wait() {
    let mut rig = Rig::with(|engine, _| engine.max_outbox = 100);
    let ws = rig.websocket();
    let socket = rig.join(ws, "");
    assert_eq!(rig.server.wait_for_room(socket), None, "there is room");
    let packet = rig.event("x", &"y".repeat(80));
    rig.server.emit(socket, packet, false).unwrap();
    assert_eq!(rig.server.wait_for_room(socket), Some(ws.conn));
    rig.ready();
    rig.frames(ws);
    assert_eq!(rig.ready(), [Ready::Write(ws.conn)]);
    assert_eq!(rig.server.wait_for_room(socket), None);

    let packet = rig.event("x", &"y".repeat(80));
    rig.server.emit(socket, packet, false).unwrap();
    assert_eq!(rig.server.wait_for_room(socket), Some(ws.conn));
    rig.ready();
    rig.hang_up(ws.channel);
    assert!(rig.ready().contains(&Ready::Write(ws.conn)), "also at the end, or it would wait for ever");
    assert_eq!(rig.server.wait_for_room(socket), None);
}

#[test]
fn nobody_else_notices() {
    let mut rig = Rig::with(|engine, config| {
        engine.max_outbox = 0;
        config.max_inbox = 1;
    });
    let (bad, good) = (rig.websocket(), rig.websocket());
    rig.join(bad, "");
    let socket = rig.join(good, "");
    rig.say(bad, r#"42["flood"]"#).unwrap();
    rig.broadcast(&Scope::all(), "1");
    rig.frames(good);
    rig.broadcast(&scope(&[], &[]), "2");
    assert!(rig.say(bad, "nonsense").is_ok(), "it is closed already");
    assert!(rig.server.wants_read(good.conn));
    assert_eq!(rig.frames(good), [r#"42["2"]"#]);
    rig.emit(socket, "3").unwrap();
    rig.say(good, r#"42["hello"]"#).unwrap();
    assert_eq!(rig.told(good.conn), [r#"["hello"]"#]);
}

#[test]
fn a_body_in_parts_keeps_to_the_inbox() {
    let mut rig = Rig::with(|_, server| server.max_inbox = 3);
    let peer = rig.poller();
    rig.post(peer, "40");
    let channel = rig.begin_post(peer).unwrap();
    let mut rest = Some(bytes::Bytes::from(["42[\"a\"]"; 10].join("\u{1e}")));
    let (mut parts, mut answered) = (0, None);
    while let Some(body) = rest.take() {
        let (part, more) = rig.server.cut_body(channel, body, 2);
        answered = match more {
            Some(_) => rig.server.handle_part(channel, part, rig.now).0.map(Ok),
            None => Some(rig.server.handle_body(channel, part, rig.now).0),
        };
        assert_eq!(answered.is_some(), more.is_none());
        parts += 1;
        while !rig.server.wants_read(peer.conn) {
            assert!(rig.server.poll_event(peer.conn, &[]).is_some());
        }
        rest = more;
    }
    assert_eq!((parts, answered.unwrap().unwrap().body), (5, "ok".into()));
    rig.post(peer, "1");
}

#[test]
fn b48_b50_a_part_may_be_the_last_that_counts() {
    for (part, reason) in [("42[\"a\"]\u{1e}1", "transport close"), ("42[\"a\"]\u{1e}x", "parse error")] {
        let mut rig = Rig::new();
        let peer = rig.poller();
        rig.post(peer, "40");
        let channel = rig.begin_post(peer).unwrap();
        let (response, _) = rig.server.handle_part(channel, part.into(), rig.now);
        assert_eq!(response.expect("an answer").body, "ok");
        let late = rig.server.handle_body(channel, "42[\"b\"]".into(), rig.now).0;
        assert_eq!(late, Err(Refusal::SessionUnknown));
        let told = rig.told(peer.conn).join(", ");
        assert!(told.contains(&format!("disconnect: {reason}")), "{told}");
    }
}
