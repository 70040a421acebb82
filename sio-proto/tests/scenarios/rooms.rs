//! Who a broadcast reaches.

use sio_proto::engine::Transmit;
use sio_proto::hub::{Scope, SocketKey};
use sio_proto::server::{Broadcast, Op, Ready};

use crate::common::{Rig, Ws, counts, scope};

/// Five sockets; `a` holds 0, 1, 2 and `b` holds 2, 3.
fn house() -> (Rig, Vec<Ws>, Vec<SocketKey>) {
    let mut rig = Rig::new();
    let peers: Vec<Ws> = (0..5).map(|_| rig.websocket()).collect();
    let sockets: Vec<SocketKey> = peers.iter().map(|ws| rig.join(*ws, "")).collect();
    for (room, members) in [("a", &[0, 1, 2][..]), ("b", &[2, 3])] {
        members.iter().for_each(|at: &usize| rig.server.join(sockets[*at], room));
    }
    (rig, peers, sockets)
}

/// How many copies each of the five gets.
fn copies(rig: &mut Rig, peers: &[Ws], scope: &Scope) -> Vec<usize> {
    let delivery = rig.broadcast(scope, "x");
    let copies: Vec<usize> = peers.iter().map(|ws| rig.frames(*ws).len()).collect();
    assert_eq!((delivery.sockets, delivery.skipped), (copies.iter().sum(), 0));
    copies
}

#[test]
fn b122_a_socket_in_several_rooms_gets_one_copy_and_except_wins() {
    let (mut rig, peers, sockets) = house();
    let ids: Vec<String> =
        sockets.iter().map(|socket| rig.server.hub().get(*socket).unwrap().id().to_string()).collect();
    for (to, except, expected) in [
        (&["a"][..], &[][..], [1, 1, 1, 0, 0]),
        (&["a", "b"], &[], [1, 1, 1, 1, 0]),
        (&["a", "a", "b"], &[], [1, 1, 1, 1, 0]),
        (&["a"], &["b"], [1, 1, 0, 0, 0]),
        (&["a"], &["a"], [0; 5]),
        (&[], &["a"], [0, 0, 0, 1, 1]),
        (&[], &[&ids[0]], [0, 1, 1, 1, 1]),
        (&["a"], &[&ids[0]], [0, 1, 1, 0, 0]),
        (&[&ids[4]], &[], [0, 0, 0, 0, 1]),
        (&[&ids[4]], &[&ids[4]], [0; 5]),
        (&["a", &ids[4]], &["nobody"], [1, 1, 1, 0, 1]),
    ] {
        assert_eq!(copies(&mut rig, &peers, &scope(to, except)), expected, "to {to:?} except {except:?}");
    }
}

#[test]
fn b123_no_rooms_are_everyone_and_an_empty_room_is_nobody() {
    let (mut rig, peers, _) = house();
    assert_eq!(copies(&mut rig, &peers, &Scope::all()), [1; 5]);
    assert_eq!(copies(&mut rig, &peers, &scope(&["nobody"], &[])), [0; 5]);
    assert_eq!(copies(&mut rig, &peers, &scope(&["nobody", "b"], &[])), [0, 0, 1, 1, 0]);
}

#[test]
fn rooms_of_the_same_name_in_two_namespaces_are_two() {
    let (mut rig, peers, _) = house();
    let chat = rig.server.of("/chat");
    let socket = rig.join(peers[4], "/chat,");
    rig.server.join(socket, "a");
    assert_eq!(copies(&mut rig, &peers, &scope(&["a"], &[])), [1, 1, 1, 0, 0]);
    assert_eq!(rig.server.sockets(chat, &scope(&["a"], &[])), [socket]);
}

#[test]
fn operations_reach_the_selected_sockets() {
    let (mut rig, peers, sockets) = house();
    let root = rig.root();
    let now = rig.now;
    let b = scope(&["b"], &[]);
    assert_eq!(rig.server.apply(root, &b, &Op::Join(vec!["c".into(), "d".into()]), now).sockets, 2);
    assert_eq!(copies(&mut rig, &peers, &scope(&["c"], &[])), [0, 0, 1, 1, 0]);
    rig.server.apply(root, &scope(&["a"], &[]), &Op::Leave(vec!["c".into(), "b".into()]), now);
    assert_eq!(rig.server.sockets(root, &scope(&["c"], &[])), [sockets[3]]);
    assert_eq!(rig.server.sockets(root, &b), [sockets[3]]);
    rig.server.apply(root, &scope(&["a"], &[]), &Op::Disconnect { close: false }, now);
    assert_eq!(rig.server.hub().len(root), 2);
    rig.server.apply(root, &Scope::all(), &Op::Disconnect { close: true }, now);
    let frames = counts(peers.iter().flat_map(|ws| rig.frames(*ws)));
    assert_eq!(frames, counts(["41"; 5].into_iter().chain(["close"; 2]).map(Into::into)));
    assert_eq!(rig.server.hub().all_rooms(root).count(), 0);
}

#[test]
fn a_broadcast_is_announced_to_each_channel() {
    let (mut rig, peers, _) = house();
    rig.ready();
    rig.broadcast(&scope(&["b"], &[]), "x");
    assert_eq!(rig.ready(), [Ready::Transmit(peers[2].channel), Ready::Transmit(peers[3].channel)]);
    rig.broadcast(&scope(&["b"], &[]), "y");
    assert_eq!(rig.ready(), [], "once, until it is drained");
    assert_eq!(rig.frames(peers[2]).len(), 2);
}

#[test]
fn a_binary_broadcast_is_shared_and_stays_together() {
    let (mut rig, peers, _) = house();
    let root = rig.root();
    let packet = rig.event("b", &bytes::Bytes::from(vec![7; 1000]));
    let op = Op::Broadcast(Broadcast { packet, volatile: false, ack: None, offset: None });
    rig.server.apply(root, &Scope::all(), &op, rig.now);
    let mut addresses = peers.iter().map(|ws| {
        let Some(Transmit::Packet(packet)) = rig.server.poll_transmit(ws.channel, rig.now) else {
            panic!("a packet")
        };
        let (_, attachments) = packet.into_parts();
        attachments.unwrap()[0].as_ptr()
    });
    let first = addresses.next();
    assert!(addresses.all(|address| Some(address) == first), "B124: encoded once");
}
