//! Namespaces that are made when the first client asks for them, and removed when the last has left.

use std::time::Duration;

use sio_proto::UsageError;
use sio_proto::hub::{Scope, SocketKey};
use sio_proto::server::{Broadcast, ConnectionStateRecovery, Event, Op};
use sio_proto::socket::ConnectError;

use crate::common::{Rig, Ws};

fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.server.set_dynamic(true);
    rig
}

fn unknown(rig: &mut Rig, ws: Ws) -> (SocketKey, String) {
    match &rig.events(ws.conn)[..] {
        [Event::ConnectUnknown { socket, name, .. }] => (*socket, name.to_string()),
        other => panic!("a question about a namespace, not {other:?}"),
    }
}

#[test]
fn the_owner_decides_about_unknown_names() {
    let mut rig = rig();
    let ws = rig.websocket();
    rig.say(ws, r#"40/dyn-1,{"a":1}"#).unwrap();
    let events = rig.events(ws.conn);
    let [Event::ConnectUnknown { socket, name, auth: Some(auth), .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((name.as_str(), auth.as_str()), ("/dyn-1", r#"{"a":1}"#));
    // What the client sends meanwhile waits.
    rig.say(ws, r#"42/dyn-1,["early"]"#).unwrap();
    assert_eq!(rig.server.accept(*socket, rig.now), Err(UsageError::UnknownNamespace));
    let nothing = rig.server.poll_event(ws.conn, &[*socket]);
    assert_eq!(nothing, None);
    rig.server.join(*socket, "room");
    let namespace = rig.server.of("/dyn-1");
    assert!(rig.server.watch_rooms(namespace));
    rig.server.assign(*socket, namespace).unwrap();
    assert_eq!(rig.server.assign(*socket, namespace), Err(UsageError::Gone));
    let rooms: Vec<_> = rig.server.rooms(*socket).cloned().collect();
    assert_eq!(rooms, ["room"], "it brings its rooms along");
    rig.server.accept(*socket, rig.now).unwrap();
    assert_eq!(rig.server.rooms(*socket).count(), 2, "that of its own id is new");
    assert_eq!(rig.server.take_room_changes().len(), 4, "both rooms, made and joined");
    assert!(rig.frames(ws)[0].starts_with("40/dyn-1,{"));
    assert_eq!(rig.told(ws.conn), [r#"["early"]"#]);
    assert_eq!(rig.server.sockets(namespace, &Scope::all()), [*socket]);
    // The next one finds it there.
    let other = rig.websocket();
    rig.say(other, "40/dyn-1,").unwrap();
    assert_eq!(rig.told(other.conn), ["connect"]);
}

#[test]
fn b101_a_refused_name_leaves_nothing_behind() {
    let mut rig = rig();
    let ws = rig.websocket();
    rig.say(ws, "40/dyn-1,").unwrap();
    let (socket, _) = unknown(&mut rig, ws);
    rig.say(ws, r#"42/dyn-1,["early"]"#).unwrap();
    rig.server.refuse(socket, &ConnectError::new("Invalid namespace"), rig.now).unwrap();
    assert_eq!(rig.frames(ws), [r#"44/dyn-1,{"message":"Invalid namespace"}"#]);
    assert_eq!(rig.told(ws.conn), [""; 0]);
    assert_eq!(rig.server.assign(socket, rig.server.hub().namespace("/").unwrap()), Err(UsageError::Gone));
    rig.join(ws, "");
}

#[test]
fn b108_a_client_that_does_not_wait() {
    let mut rig = rig();
    let ws = rig.websocket();
    rig.say(ws, "40/dyn-1,").unwrap();
    let (socket, _) = unknown(&mut rig, ws);
    rig.say(ws, "41/dyn-1,").unwrap();
    assert_eq!(rig.told(ws.conn), ["disconnect: client namespace disconnect"]);
    let namespace = rig.server.of("/dyn-1");
    assert_eq!(rig.server.assign(socket, namespace), Err(UsageError::Gone));
    // And one that is gone without a word.
    rig.say(ws, "40/dyn-2,").unwrap();
    let (_, name) = unknown(&mut rig, ws);
    assert_eq!(name, "/dyn-2");
    rig.hang_up(ws.channel);
    rig.events(ws.conn);
    assert!(rig.server.is_empty());
}

#[test]
fn b111_names_and_numbers_are_bounded() {
    let mut rig = Rig::with(|_, config| {
        config.max_namespaces = 3;
        config.max_namespace_name = 10;
    });
    rig.server.set_dynamic(true);
    rig.server.of("/a-long-static-name");
    let ws = rig.websocket();
    rig.say(ws, "40/0123456789,").unwrap();
    assert_eq!(rig.frames(ws), [r#"44/0123456789,{"message":"Invalid namespace"}"#]);
    rig.join(ws, "/a-long-static-name,");
    rig.say(ws, "40/größe,").unwrap();
    assert_eq!(unknown(&mut rig, ws).1, "/größe");
    rig.join(ws, "");
    for name in ["/4", "/5"] {
        rig.say(ws, &format!("40{name},")).unwrap();
        assert_eq!(rig.frames(ws), [format!(r#"44{name},{{"message":"Too many namespaces"}}"#)]);
    }
    rig.say(ws, "41").unwrap();
    rig.events(ws.conn);
    rig.say(ws, "40/6,").unwrap();
    assert_eq!(unknown(&mut rig, ws).1, "/6");
}

#[test]
fn auth_is_bounded() {
    let mut rig = Rig::with(|_, config| config.max_auth = 20);
    let ws = rig.websocket();
    // 20 bytes, and 21.
    rig.say(ws, r#"40{"token":"12345678"}"#).unwrap();
    let socket = rig.asked(ws.conn);
    rig.server.accept(socket, rig.now).unwrap();
    drop(rig.frames(ws));
    rig.server.of("/other");
    rig.say(ws, r#"40/other,{"token":"123456789"}"#).unwrap();
    assert_eq!(rig.frames(ws), [r#"44/other,{"message":"Auth too large"}"#]);
    assert_eq!(rig.told(ws.conn), [""; 0]);
}

#[test]
fn a_namespace_can_be_removed_when_nobody_is_there() {
    let mut rig = rig();
    let old = rig.server.of("/dyn");
    let ws = rig.websocket();
    rig.say(ws, "40/dyn,").unwrap();
    assert!(!rig.server.remove_namespace(old), "somebody waits to be let in");
    let socket = rig.asked(ws.conn);
    rig.server.accept(socket, rig.now).unwrap();
    assert!(!rig.server.remove_namespace(old), "somebody is there");
    rig.say(ws, "41/dyn,").unwrap();
    rig.events(ws.conn);
    assert!(rig.server.is_vacant(old) && rig.server.remove_namespace(old));
    assert!(!rig.server.remove_namespace(old));
    // Those who still have it can do no harm.
    let packet = rig.event("late", &());
    let op = Op::Broadcast(Broadcast { packet, volatile: false, ack: None, offset: None });
    assert_eq!(rig.server.apply(old, &Scope::all(), &op, rig.now).sockets, 0);
    assert_eq!((rig.server.hub().name(old).as_str(), rig.server.hub().len(old)), ("", 0));
    assert_eq!(rig.server.hub().all_rooms(old).count(), 0);
    // It comes again as another one.
    rig.say(ws, "40/dyn,").unwrap();
    let (socket, _) = unknown(&mut rig, ws);
    assert_eq!(rig.server.assign(socket, old), Err(UsageError::UnknownNamespace));
    let new = rig.server.of("/dyn");
    assert_ne!(old, new);
    rig.server.assign(socket, new).unwrap();
    rig.server.accept(socket, rig.now).unwrap();
    assert_eq!(rig.server.hub().len(new), 1);
}

#[test]
fn a_namespace_stays_for_those_who_may_come_back() {
    let mut rig = Rig::with(|_, config| config.recovery = Some(ConnectionStateRecovery::new()));
    let namespace = rig.server.of("/dyn");
    let ws = rig.websocket();
    rig.join(ws, "/dyn,");
    rig.hang_up(ws.channel);
    rig.events(ws.conn);
    assert!(!rig.server.remove_namespace(namespace));
    rig.pass(Duration::from_secs(120));
    assert!(rig.server.remove_namespace(namespace));
}
