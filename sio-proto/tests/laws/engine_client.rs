//! The laws for the client's side of an Engine.IO session: against the server's side, over a network with moods, and against
//! a server that says anything.

mod hostile;
mod network;

use proptest::prelude::*;

use crate::harness::{Machine, obey, story};
use hostile::World as Hostile;
use network::{Op, World};

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0..40usize, 1 => 300..700usize]
}

/// What happens between two peers that behave, and a network that only delays.
fn honest() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => any::<usize>().prop_map(Op::Deliver),
        4 => (any::<bool>(), size()).prop_map(|(binary, size)| Op::ClientSends { binary, size }),
        4 => (any::<bool>(), size()).prop_map(|(binary, size)| Op::ServerSends { binary, size }),
        1 => any::<bool>().prop_map(Op::ClientPauses),
        1 => any::<bool>().prop_map(|fast| Op::ClientReadsRequests { fast }),
    ]
}

/// What happens else.
fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => honest(),
        1 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Op::Break { which, how }),
        1 => Just(Op::ClientCloses),
        1 => Just(Op::ServerCloses),
        1 => prop::bool::weighted(0.1).prop_map(Op::ClientAborts),
    ]
}

fn first() -> impl Strategy<Value = Op> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(websocket, upgrade, base64)| Op::Start {
        websocket,
        upgrade,
        base64,
    })
}

fn started(op: impl Strategy<Value = Op>) -> impl Strategy<Value = Vec<(Op, u64)>> {
    (first(), story(op)).prop_map(|(first, mut story)| {
        story.insert(0, (first, 0));
        story
    })
}

proptest! {
    #[test]
    fn two_peers_obey_the_laws(story in started(any_op())) {
        obey::<World>(&story);
    }

    #[test]
    fn all_messages_arrive_once_and_in_order(
        first in first(),
        ops in prop::collection::vec((honest(), 0..100u64), 0..120),
        close in any::<bool>(),
    ) {
        let mut world = World::new();
        world.play(&[(first, 0)]);
        world.play(&ops);
        world.settle();
        prop_assert!(close || world.is_open(), "6: nothing went wrong");
        if close {
            world.close_client();
            world.settle_close();
        }
    }

    #[test]
    fn any_server_is_survived(story in story(hostile::op())) {
        obey::<Hostile>(&story);
    }
}

#[test]
fn the_network_upgrades_sessions() {
    let mut world = World::new();
    world.play(&[(Op::Start { websocket: false, upgrade: true, base64: false }, 0)]);
    world.settle();
    assert!(world.has_upgraded());
}
