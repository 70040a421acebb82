//! Joining and leaving namespaces, and what happens between question and answer.

use sio_proto::UsageError;
use sio_proto::engine::Refusal;
use sio_proto::server::{EmitError, Event, PeerError};
use sio_proto::socket::{ConnectError, PeerError as SocketError};

use crate::common::{Rig, scope};

#[test]
fn b100_without_a_namespace_a_connection_ends_in_time() {
    let mut rig = Rig::with(|engine, _| engine.ping_interval = std::time::Duration::from_secs(100));
    let ws = rig.websocket();
    rig.say(ws, "40/nope,").unwrap();
    rig.frames(ws);
    rig.pass_ms(44_999);
    assert_eq!(rig.frames(ws), [""; 0]);
    rig.pass_ms(1);
    assert_eq!(rig.frames(ws), ["close"]);
    assert_eq!(rig.told(ws.conn), ["closed: forced close, 0 undelivered"]);
}

#[test]
fn b100_a_connection_may_stay_after_it_has_left_all_namespaces() {
    let mut rig = Rig::with(|engine, _| engine.ping_interval = std::time::Duration::from_secs(100));
    let ws = rig.websocket();
    rig.join(ws, "");
    rig.say(ws, "41").unwrap();
    rig.pass_ms(90_000);
    assert_eq!(rig.told(ws.conn), ["disconnect: client namespace disconnect"]);
    assert_eq!(rig.frames(ws), [""; 0]);
    rig.join(ws, "");
}

#[test]
fn b100_an_answer_that_does_not_come_is_not_waited_for() {
    let mut rig = Rig::with(|engine, _| engine.ping_interval = std::time::Duration::from_secs(100));
    let ws = rig.websocket();
    rig.say(ws, "40").unwrap();
    let socket = rig.asked(ws.conn);
    rig.pass_ms(45_000);
    assert_eq!(rig.told(ws.conn), ["disconnect: forced close"]);
    assert_eq!(rig.server.accept(socket, rig.now), Err(UsageError::Gone));
    assert_eq!(rig.frames(ws), ["close"]);
}

#[test]
fn b101_an_unknown_namespace_is_refused_and_the_connection_kept() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    rig.say(ws, "40/nope,{\"token\":1}").unwrap();
    assert_eq!(rig.frames(ws), [r#"44/nope,{"message":"Invalid namespace"}"#]);
    assert_eq!(rig.told(ws.conn), [""; 0], "the application need not know");
    // One that did not wait for the answer is not to blame.
    rig.say(ws, r#"42/nope,["a"]"#).unwrap();
    rig.join(ws, "");
}

#[test]
fn b102_packets_for_a_namespace_that_is_not_joined_close_the_connection() {
    for (packet, namespace) in
        [(r#"42["a"]"#, "/"), ("431[]", "/"), ("41", "/"), (r#"42/x,["a"]"#, "/x"), ("41/x,", "/x")]
    {
        let mut rig = Rig::new();
        let ws = rig.websocket();
        let expected = PeerError::Socket(SocketError::NotConnected(namespace.into()));
        assert_eq!(rig.say(ws, packet), Err(expected), "{packet}");
        assert_eq!(rig.frames(ws), ["close"]);
        assert_eq!(rig.told(ws.conn), ["closed: forced close, 0 undelivered"]);
    }
}

#[test]
fn b102_a_second_connect_or_a_connect_error_closes_the_connection() {
    for packet in ["40", "44", r#"44{"message":"x"}"#] {
        let mut rig = Rig::new();
        rig.server.of("/chat");
        let ws = rig.websocket();
        rig.join(ws, "/chat,");
        rig.join(ws, "");
        assert!(rig.say(ws, packet).is_err());
        assert_eq!(rig.told(ws.conn), ["disconnect: forced close"; 2], "all its namespaces");
        assert_eq!(rig.frames(ws), ["close"]);
    }
}

#[test]
fn b103_events_before_the_answer_wait_for_it() {
    // The reference closes the connection.
    let mut rig = Rig::new();
    rig.server.of("/chat");
    let ws = rig.websocket();
    let other = rig.join(ws, "/chat,");
    rig.say(ws, "40").unwrap();
    rig.say(ws, r#"42["early"]"#).unwrap();
    rig.say(ws, r#"42/chat,["elsewhere"]"#).unwrap();
    let Some(Event::Connect { socket, .. }) = rig.server.poll_event(ws.conn, &[]) else {
        panic!("a question")
    };
    let Some(Event::Event { socket: from, .. }) = rig.server.poll_event(ws.conn, &[socket]) else {
        panic!("the other namespace does not wait")
    };
    assert_eq!(from, other);
    assert_eq!(rig.server.poll_event(ws.conn, &[socket]), None);
    assert!(rig.server.has_events(ws.conn));
    rig.server.accept(socket, rig.now).unwrap();
    assert_eq!(rig.told(ws.conn), [r#"["early"]"#]);
}

#[test]
fn b103_events_before_a_refusal_are_dropped() {
    let mut rig = Rig::new();
    rig.server.of("/chat");
    let ws = rig.websocket();
    let other = rig.join(ws, "/chat,");
    rig.say(ws, "40").unwrap();
    rig.say(ws, r#"42["early"]"#).unwrap();
    rig.say(ws, r#"42/chat,["elsewhere"]"#).unwrap();
    let Some(Event::Connect { socket, .. }) = rig.server.poll_event(ws.conn, &[]) else {
        panic!("a question")
    };
    rig.server.refuse(socket, &ConnectError::new("no"), rig.now).unwrap();
    let [Event::Event { socket: from, .. }] = rig.events(ws.conn)[..] else { panic!("the other's event") };
    assert_eq!(from, other);
    // Nor is it the client's fault if it sends more before it knows.
    rig.say(ws, r#"42["late"]"#).unwrap();
    rig.say(ws, "41").unwrap();
    assert_eq!(rig.told(ws.conn), [""; 0]);
}

#[test]
fn b104_a_second_connect_during_the_decision_closes_the_connection() {
    // The reference makes two sockets of it.
    let mut rig = Rig::new();
    let ws = rig.websocket();
    rig.say(ws, "40").unwrap();
    let expected = PeerError::Socket(SocketError::AlreadyConnected("/".into()));
    assert_eq!(rig.say(ws, "40"), Err(expected));
    assert_eq!(rig.told(ws.conn), ["connect", "disconnect: forced close"]);
}

#[test]
fn b106_a_refusal_says_why_and_keeps_the_connection() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    rig.say(ws, r#"40{"token":"abc"}"#).unwrap();
    let [Event::Connect { socket, namespace, ref auth, .. }] = rig.events(ws.conn)[..] else {
        panic!("a question")
    };
    assert_eq!(auth.as_deref(), Some(r#"{"token":"abc"}"#));
    rig.server.join(socket, "early");
    let error = ConnectError::new("not \"you\"").data(&[1, 2]);
    rig.server.refuse(socket, &error, rig.now).unwrap();
    assert_eq!(rig.frames(ws), [r#"44{"message":"not \"you\"","data":[1,2]}"#]);
    assert_eq!(rig.server.hub().all_rooms(namespace).count(), 0, "its rooms are left");
    assert_eq!(rig.server.refuse(socket, &error, rig.now), Err(UsageError::Gone));
    assert_eq!(rig.server.accept(socket, rig.now), Err(UsageError::Gone));
    rig.join(ws, "");
}

#[test]
fn b107_a_socket_may_join_rooms_before_it_is_let_in_but_hears_nothing() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    rig.say(ws, "40").unwrap();
    let socket = rig.asked(ws.conn);
    rig.server.join(socket, "room");
    assert_eq!(rig.broadcast(&scope(&["room"], &[]), "a").sockets, 0);
    assert_eq!(rig.broadcast(&scope(&[], &[]), "a").sockets, 0);
    assert_eq!(rig.emit(socket, "a"), Err(EmitError::Usage(UsageError::NotConnected)));
    rig.server.accept(socket, rig.now).unwrap();
    assert_eq!(rig.broadcast(&scope(&["room"], &[]), "b").sockets, 1);
    let frames = rig.frames(ws);
    assert!(frames[0].starts_with(r#"40{"sid":""#), "B118");
    assert_eq!(frames[1..], [r#"42["b"]"#], "and the confirmation comes first");
    assert_eq!(rig.server.accept(socket, rig.now), Err(UsageError::Gone), "once");
}

#[test]
fn b108_the_client_may_be_gone_when_the_answer_comes() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    rig.say(ws, "40").unwrap();
    let socket = rig.asked(ws.conn);
    rig.hang_up(ws.channel);
    assert_eq!(rig.server.accept(socket, rig.now), Err(UsageError::Gone));
    assert_eq!(rig.server.refuse(socket, &ConnectError::new("no"), rig.now), Err(UsageError::Gone));
    assert_eq!(rig.told(ws.conn), ["disconnect: transport close", "closed: transport close, 0 undelivered"]);
    assert!(rig.server.is_empty());
}

#[test]
fn b109_disconnect_leaves_the_connection() {
    let mut rig = Rig::new();
    rig.server.of("/chat");
    let ws = rig.websocket();
    let (root, chat) = (rig.join(ws, ""), rig.join(ws, "/chat,"));
    rig.server.disconnect(chat, false, rig.now).unwrap();
    assert_eq!(rig.frames(ws), ["41/chat,"]);
    assert_eq!(rig.told(ws.conn), ["disconnect: server namespace disconnect"]);
    assert_eq!(rig.server.disconnect(chat, false, rig.now), Err(UsageError::Gone));
    // The client did not know yet.
    rig.say(ws, r#"42/chat,["late"]"#).unwrap();
    rig.say(ws, "41/chat,").unwrap();
    assert_eq!(rig.told(ws.conn), [""; 0]);
    rig.emit(root, "still").unwrap();
    assert_eq!(rig.frames(ws), [r#"42["still"]"#], "B114");
    rig.join(ws, "/chat,");
}

#[test]
fn b109_disconnect_with_close_says_goodbye_to_each_namespace() {
    let mut rig = Rig::new();
    rig.server.of("/chat");
    let ws = rig.websocket();
    let (_, chat) = (rig.join(ws, ""), rig.join(ws, "/chat,"));
    rig.server.disconnect(chat, true, rig.now).unwrap();
    assert_eq!(rig.frames(ws), ["41", "41/chat,", "close"]);
    assert_eq!(
        rig.told(ws.conn),
        [
            "disconnect: server namespace disconnect",
            "disconnect: server namespace disconnect",
            "closed: forced close, 0 undelivered"
        ]
    );
    rig.hang_up(ws.channel);
    assert!(rig.server.is_empty());
}

#[test]
fn b112_events_after_a_disconnect_are_not_delivered() {
    // The reference's catch-all listeners still see them if they come in the same body. No official client sends them, and
    // by B102 they are a fault.
    for grouped in [true, false] {
        let mut rig = Rig::new();
        let peer = rig.poller();
        rig.join_by_post(peer);
        let packets = [r#"42["a"]"#, "41", r#"42["b"]"#];
        if grouped {
            rig.post(peer, packets.join("\u{1e}"));
        } else {
            packets.iter().for_each(|packet| drop(rig.post(peer, *packet)));
        }
        rig.pass_ms(60_000);
        assert_eq!(
            rig.told(peer.conn),
            [r#"["a"]"#, "disconnect: client namespace disconnect", "closed: forced close, 0 undelivered"]
        );
        assert_eq!(rig.get(peer), Err(Refusal::SessionUnknown));
    }
}

#[test]
fn b113_the_packets_of_one_body_count_in_order() {
    let mut rig = Rig::new();
    rig.server.of("/chat");
    let peer = rig.poller();
    rig.post(peer, "40\u{1e}42[\"a\"]\u{1e}40/chat,\u{1e}42/chat,[\"b\"]\u{1e}421[\"c\"]\u{1e}41/chat,");
    assert_eq!(
        rig.told(peer.conn),
        [
            "connect",
            r#"["a"]"#,
            "connect",
            r#"["b"]"#,
            r#"["c"]+1"#,
            "disconnect: client namespace disconnect"
        ]
    );
}

#[test]
fn b115_the_rooms_are_told_at_the_end() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    let socket = rig.join(ws, "");
    let id = rig.server.hub().get(socket).unwrap().id();
    rig.server.join(socket, "a");
    rig.server.join(socket, "b");
    rig.server.leave(socket, "a");
    rig.hang_up(ws.channel);
    let events = rig.events(ws.conn);
    let Event::Disconnect { rooms, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!(rooms[..], [id.as_str(), "b"]);
}

#[test]
fn b115_namespaces_end_in_the_order_in_which_they_were_joined() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    let names = ["/a,", "/b,", "/c,", "/d,"];
    let mut sockets: Vec<_> = names
        .iter()
        .map(|name| {
            rig.server.of(name.trim_end_matches(','));
            rig.join(ws, name)
        })
        .collect();
    rig.say(ws, "41/b,").unwrap();
    rig.events(ws.conn);
    sockets.remove(1);
    rig.hang_up(ws.channel);
    let ended = rig.events(ws.conn).into_iter().filter_map(|event| match event {
        Event::Disconnect { socket, .. } => Some(socket),
        _ => None,
    });
    assert_eq!(ended.collect::<Vec<_>>(), sockets);
}

#[test]
fn b109_what_is_overlooked_after_a_disconnect_is_not_after_the_next_connect() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    let socket = rig.join(ws, "");
    rig.server.disconnect(socket, false, rig.now).unwrap();
    rig.events(ws.conn);
    rig.frames(ws);
    rig.say(ws, r#"42["did not know"]"#).unwrap();
    rig.join(ws, "");
    rig.say(ws, "41").unwrap();
    assert!(rig.say(ws, r#"42["knows better"]"#).is_err());
}

#[test]
fn b116_rooms_of_a_socket_that_is_gone() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    let socket = rig.join(ws, "");
    rig.server.leave(socket, "never joined");
    rig.hang_up(ws.channel);
    rig.server.join(socket, "late");
    rig.server.leave(socket, "late");
    let root = rig.root();
    assert_eq!(rig.server.hub().all_rooms(root).count(), 0);
    assert_eq!(rig.server.rooms(socket).count(), 0);
}

#[test]
fn b117_the_slash_of_a_name_may_be_left_out() {
    let mut rig = Rig::new();
    assert_eq!(rig.server.of("chat"), rig.server.of("/chat"));
    assert_eq!(rig.server.of(""), rig.server.of("/"));
    let ws = rig.websocket();
    rig.join(ws, "/chat,");
    // On the wire it may not.
    assert!(rig.say(ws, "40chat").is_err());
}

#[test]
fn b118_ids_differ_from_namespace_to_namespace() {
    let mut rig = Rig::new();
    rig.server.of("/chat");
    let ws = rig.websocket();
    let (root, chat) = (rig.join(ws, ""), rig.join(ws, "/chat,"));
    let id = |socket| rig.server.hub().get(socket).unwrap().id();
    assert_ne!(id(root), id(chat));
}
