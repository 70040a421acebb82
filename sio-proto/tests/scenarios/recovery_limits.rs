//! Connection state recovery: what it keeps at most, and what it may say for certain.

use sio_proto::engine::{Encoded, Frame, Transmit};
use sio_proto::hub::{Scope, SocketKey};
use sio_proto::server::{Broadcast, ConnectionStateRecovery, Event, Op};

use crate::common::{Ws, scope};
use crate::recovery::{Memory, World, heard};

/// A client comes back, and waits to be let in.
fn wait(world: &mut World, memory: &Memory) -> (Ws, SocketKey) {
    let ws = world.rig.websocket();
    world.rig.say(ws, &memory.auth()).unwrap();
    let [Event::Connect { socket, recovery: Some(ref request), .. }] = world.rig.events(ws.conn)[..] else {
        panic!("a question")
    };
    assert!(world.rig.server.recover(socket, request, world.rig.now));
    (ws, socket)
}

#[test]
fn what_one_client_may_have_missed_is_bounded() {
    let name = "x".repeat(700);
    for (limit, recovered) in [(2000, true), (1400, false)] {
        let mut world = World::with(ConnectionStateRecovery::new().max_missed_bytes(limit));
        let (ws, _, mut memory) = world.new_client();
        world.lose(ws);
        world.all(&name);
        world.all(&name);
        let heard = world.returns(&mut memory);
        assert_eq!(heard.last().unwrap(), if recovered { "recovered" } else { "connect" });
    }
}

/// Two connections take a session from one another, and have what was missed sent each time.
#[test]
fn take_overs_are_bounded() {
    let mut world = World::with(ConnectionStateRecovery::new().max_takeovers(2));
    let (ws, _, memory) = world.new_client();
    world.lose(ws);
    world.all("missed");
    let returns = |world: &mut World| world.back(&mut memory.clone());
    assert_eq!(returns(&mut world).2, ["missed", "recovered"], "nobody had it");
    assert_eq!(returns(&mut world).2, ["missed", "recovered"]);
    let (ws, socket, heard) = returns(&mut world);
    assert_eq!(heard, ["missed", "recovered"]);
    let mut other = memory.clone();
    assert_eq!(world.returns(&mut other), ["connect"], "too often");
    assert_ne!((&other.sid, &other.pid), (&memory.sid, &memory.pid));
    assert_eq!(world.rooms(socket), [&*memory.sid], "and the one that has it keeps it");
    // What was sent has arrived: it need not be sent again, so it costs nothing.
    world.rig.pass_ms(25_000);
    drop(world.rig.frames(ws));
    world.rig.say(ws, "3").unwrap();
    world.rig.pass_ms(25_000);
    drop(world.rig.frames(ws));
    world.rig.say(ws, "3").unwrap();
    world.all("new");
    let mut memory = memory;
    assert_eq!(world.hear(ws, &mut memory), ["new"]);
    for _ in 0..2 {
        assert_eq!(world.returns(&mut memory.clone()), ["recovered"]);
    }
    assert_eq!(world.returns(&mut memory), ["connect"]);
    // Who is away is not taken from.
    let (mut ws, _, mut memory) = world.new_client();
    for _ in 0..4 {
        world.lose(ws);
        let (back, _, heard) = world.back(&mut memory);
        assert_eq!(heard, ["recovered"]);
        ws = back;
    }
}

/// Each client comes back, is sent a kilobyte again, and is lost again before it has seen it.
#[test]
fn what_all_sessions_carry_is_bounded() {
    let mut world = World::with(ConnectionStateRecovery::new().max_carried_bytes(4000));
    let name = "x".repeat(1000);
    let mut memories = Vec::new();
    for _ in 0..10 {
        let (ws, _, memory) = world.new_client();
        world.lose(ws);
        let id = memory.sid.clone();
        world.to(&scope(&[&id], &[]), &name);
        let mut deaf = memory.clone();
        let (ws, _, heard) = world.back(&mut deaf);
        assert_eq!(heard.last().unwrap(), "recovered");
        world.lose(ws);
        world.rig.pass_ms(1);
        memories.push((memory, deaf));
    }
    // Who has not seen it begins anew, or has it still; who has is recovered in any case.
    let (mut anew, mut again) = (0, 0);
    for (index, (mut deaf, mut knows)) in memories.into_iter().enumerate() {
        if index % 2 == 0 {
            assert_eq!(world.returns(&mut knows), ["recovered"]);
        } else if world.returns(&mut deaf).last().unwrap() == "recovered" {
            again += 1;
        } else {
            anew += 1;
        }
    }
    assert_eq!((anew, again), (3, 2), "there is room for three");
}

#[test]
fn what_has_not_arrived_yet_counts_until_it_has() {
    let mut world = World::with(ConnectionStateRecovery::new().max_carried_bytes(1500));
    let name = "x".repeat(1000);
    let (ws, _, mut first) = world.new_client();
    world.lose(ws);
    world.all(&name);
    let (first_ws, _, heard) = world.back(&mut first);
    assert_eq!(heard.len(), 2);
    // It has arrived, but nobody knows that until a ping is answered.
    world.rig.pass_ms(25_000);
    drop(world.rig.frames(first_ws));
    world.rig.say(first_ws, "3").unwrap();
    // Nothing of the first one's need go any more.
    let (ws, _, mut second) = world.new_client();
    world.lose(ws);
    world.all(&name);
    let (_, _, heard) = world.back(&mut second);
    assert_eq!(heard.len(), 2);
    assert_eq!(world.hear(first_ws, &mut first), [&*name]);
    world.lose(first_ws);
    assert_eq!(world.returns(&mut first), ["recovered"]);
}

/// Those who wait to be let in have been promised what they missed: another one begins anew then.
#[test]
fn what_was_promised_is_kept() {
    let mut world = World::with(ConnectionStateRecovery::new().max_carried_bytes(1500));
    let name = "x".repeat(1000);
    let [mut one, mut two] = [(); 2].map(|()| {
        let (ws, _, memory) = world.new_client();
        world.lose(ws);
        memory
    });
    world.all(&name);
    let (ws, socket) = wait(&mut world, &one);
    assert_eq!(world.returns(&mut two), ["connect"]);
    world.rig.server.accept(socket, world.rig.now).unwrap();
    assert_eq!(heard(world.rig.frames(ws), &mut one), [&*name, "recovered"]);
}

#[test]
fn the_logs_of_all_namespaces_together_are_bounded() {
    let mut world = World::with(ConnectionStateRecovery::new().max_total_bytes(3000));
    let (ws, _, mut memory) = world.new_client();
    world.lose(ws);
    world.all(&"x".repeat(1000));
    let mut copy = memory.clone();
    let (ws, _, heard) = world.back(&mut copy);
    assert_eq!(heard.len(), 2);
    world.lose(ws);
    world.all(&"x".repeat(1000));
    // Others fill the room with theirs, each in a namespace of its own.
    for number in 0..3 {
        let namespace = world.rig.server.of(&format!("/{number}"));
        let offset = world.offset();
        let packet: Encoded =
            world.rig.encoder.event_at(&format!("/{number}"), offset, &"x".repeat(1000), &()).unwrap();
        let op = Op::Broadcast(Broadcast { packet, volatile: false, ack: None, offset: Some(offset) });
        world.rig.server.apply(namespace, &Scope::all(), &op, world.rig.now);
    }
    assert_eq!(world.returns(&mut memory), ["connect"]);
}

#[test]
fn a_session_on_its_way_back_is_moved_and_sent_away_with_the_others() {
    for everyone in [true, false] {
        let mut world = World::new();
        let (ws, socket, mut memory) = world.new_client();
        let (_, bystander, _) = world.new_client();
        world.rig.server.join(socket, "banned");
        world.rig.server.join(bystander, "banned");
        world.lose(ws);
        let (ws, socket) = wait(&mut world, &memory);
        let everyone = if everyone { Scope::all() } else { scope(&["banned"], &[]) };
        world.apply(&everyone, &Op::Join(vec!["in".into()]));
        world.apply(&scope(&["in"], &[]), &Op::Leave(vec!["banned".into()]));
        world.apply(&scope(&["elsewhere"], &[]), &Op::Leave(vec!["in".into()]));
        world.to(&scope(&["banned"], &[]), "no");
        world.to(&scope(&["in"], &[]), "yes");
        world.rig.server.accept(socket, world.rig.now).unwrap();
        assert_eq!(world.rooms(socket), [&*memory.sid, "in"]);
        assert_eq!(heard(world.rig.frames(ws), &mut memory), ["yes", "recovered"]);
        assert_eq!(world.rooms(bystander)[1..], ["in"]);
        world.lose(ws);
        for close in [false, true] {
            let (ws, _, mut memory) = world.new_client();
            world.lose(ws);
            let (ws, socket) = wait(&mut world, &memory);
            world.apply(&Scope::all(), &Op::Disconnect { close });
            assert!(world.rig.server.accept(socket, world.rig.now).is_err());
            let expected: &[&str] = if close { &["41", "close"] } else { &["41"] };
            assert_eq!(world.rig.frames(ws), expected);
            assert_eq!(world.rig.told(ws.conn)[0], "disconnect: server namespace disconnect");
            assert_eq!(world.returns(&mut memory), ["connect"]);
        }
    }
}

/// B134, to the letter: what counts are the rooms in which the client was when an event was sent.
#[test]
fn each_event_finds_the_rooms_of_its_time() {
    let mut world = World::new();
    let (ws, socket, mut memory) = world.new_client();
    let to_a = scope(&["a"], &[]);
    world.rig.server.join(socket, "a");
    world.to(&to_a, "1 was in");
    world.rig.server.leave(socket, "a");
    world.to(&to_a, "no: had left");
    world.rig.server.join(socket, "a");
    world.to(&to_a, "2 was in again");
    world.rig.server.leave(socket, "a");
    // None of it was written.
    world.lose(ws);
    let all = Scope::all();
    world.to(&to_a, "no: not in yet");
    world.apply(&all, &Op::Join(vec!["a".into()]));
    world.to(&to_a, "3 was put in");
    world.to(&scope(&[], &["a"]), "no: left out");
    world.apply(&all, &Op::Leave(vec!["a".into()]));
    world.to(&to_a, "no: was put out");
    world.to(&scope(&[], &["a"]), "4 not left out");
    let (ws, waiting) = wait(&mut world, &memory);
    world.to(&to_a, "no: still out");
    world.rig.server.join(waiting, "a");
    world.to(&to_a, "5 joins");
    world.rig.server.leave(waiting, "a");
    world.rig.server.accept(waiting, world.rig.now).unwrap();
    let heard = heard(world.rig.frames(ws), &mut memory);
    let expected = ["1 was in", "2 was in again", "3 was put in", "4 not left out", "5 joins", "recovered"];
    assert_eq!(heard, expected);
}

/// What is known of one session is bounded too: beyond that it begins anew.
#[test]
fn changes_of_rooms_are_bounded() {
    for (changes, expected) in [(100, &["first", "recovered"][..]), (1000, &["connect"])] {
        let mut world = World::new();
        let (ws, socket, mut memory) = world.new_client();
        world.to(&scope(&[], &["a"]), "first");
        for number in 0..changes {
            if number % 2 == 0 {
                world.rig.server.join(socket, "a");
            } else {
                world.rig.server.leave(socket, "a");
            }
            world.to(&scope(&["elsewhere"], &[]), "noise");
        }
        world.lose(ws);
        assert_eq!(world.returns(&mut memory), expected, "{changes}");
    }
}

/// Pings overtake what waits: that they are answered does not say that it has arrived.
#[test]
fn a_slow_reader_is_not_taken_for_up_to_date() {
    let mut world = World::new();
    let (ws, _, mut memory) = world.new_client();
    world.all("waits long");
    for _ in 0..4 {
        world.rig.pass_ms(25_000);
        let now = world.rig.now;
        let Some(Transmit::Packet(ping)) = world.rig.server.poll_transmit(ws.channel, now) else {
            panic!("a ping")
        };
        assert!(matches!(ping.into_parts().0, Frame::Text(text) if text == "2"));
        world.rig.say(ws, "3").unwrap();
    }
    // Written at last, and lost on the way.
    drop(world.rig.frames(ws));
    world.lose(ws);
    memory.offset = Some("a volatile string".into());
    assert_eq!(world.returns(&mut memory), ["connect"]);
}
