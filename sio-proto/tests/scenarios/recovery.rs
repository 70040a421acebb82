//! Connection state recovery: what a client gets that comes back, and what it must not get.

use std::sync::Arc;

use sio_proto::engine::{Encoded, Hangup, Overflow};
use sio_proto::hub::{Offset, Scope, SocketKey};
use sio_proto::server::{Broadcast, ConnectionStateRecovery, Event, Kept, Op, RecoveryRequest};
use sio_proto::socket::ConnectError;
use sio_proto::{Instant, Str, UsageError};

use crate::common::{Rig, Ws, scope};

/// A client's memory: what it shows when it comes back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) sid: String,
    pub(crate) pid: String,
    pub(crate) offset: Option<String>,
}

impl Memory {
    pub(crate) fn auth(&self) -> String {
        match &self.offset {
            None => format!(r#"40{{"pid":"{}"}}"#, self.pid),
            Some(offset) => format!(r#"40{{"pid":"{}","offset":"{offset}"}}"#, self.pid),
        }
    }
}

pub(crate) struct World {
    pub(crate) rig: Rig,
    number: u64,
}

/// The names of events, and `connect` for the reply, among the frames of a client; its memory is kept as official clients keep it.
pub(crate) fn heard(frames: Vec<String>, memory: &mut Memory) -> Vec<String> {
    let mut heard = Vec::new();
    for frame in frames {
        if let Some(reply) = frame.strip_prefix("40") {
            let reply: serde_json::Value = serde_json::from_str(reply).unwrap();
            let text = |key: &str| reply[key].as_str().unwrap_or_default().to_owned();
            let same = !memory.pid.is_empty() && memory.pid == text("pid");
            *memory =
                Memory { sid: text("sid"), pid: text("pid"), offset: memory.offset.take().filter(|_| same) };
            heard.push(if same { "recovered".into() } else { String::from("connect") });
        } else if let Some(event) = frame.strip_prefix("42") {
            let event: Vec<serde_json::Value> = serde_json::from_str(event).unwrap();
            heard.push(event[0].as_str().unwrap().into());
            if let [_, .., serde_json::Value::String(offset)] = &event[..] {
                memory.offset = Some(offset.clone());
            }
        } else {
            heard.push(frame);
        }
    }
    heard
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(ConnectionStateRecovery::new())
    }

    pub(crate) fn with(recovery: ConnectionStateRecovery) -> Self {
        Self { rig: Rig::with(|_, config| config.recovery = Some(recovery)), number: 0 }
    }

    pub(crate) fn offset(&mut self) -> Offset {
        self.number += 1;
        Offset::new(1_795_377_600_000 + self.rig.now.as_micros() / 1000, self.number)
    }

    fn packet(&mut self, name: &str) -> (Encoded, Offset) {
        let offset = self.offset();
        (self.rig.encoder.event_at("/", offset, name, &()).unwrap(), offset)
    }

    pub(crate) fn emit(&mut self, socket: SocketKey, name: &str) {
        let (packet, offset) = self.packet(name);
        self.rig.server.emit_at(socket, packet, offset, self.rig.now).unwrap();
    }

    pub(crate) fn to(&mut self, scope: &Scope, name: &str) {
        let (packet, offset) = self.packet(name);
        let op = Op::Broadcast(Broadcast { packet, volatile: false, ack: None, offset: Some(offset) });
        self.apply(scope, &op);
    }

    pub(crate) fn all(&mut self, name: &str) {
        self.to(&Scope::all(), name);
    }

    pub(crate) fn apply(&mut self, scope: &Scope, op: &Op) {
        let root = self.rig.root();
        self.rig.server.apply(root, scope, op, self.rig.now);
    }

    /// A client that says `connect`; its socket is accepted, and recovered before that if it can be.
    pub(crate) fn connect(&mut self, memory: &mut Memory, connect: &str) -> (Ws, SocketKey, Vec<String>) {
        let ws = self.rig.websocket();
        self.rig.say(ws, connect).unwrap();
        let [Event::Connect { socket, recovery, .. }] = &self.rig.events(ws.conn)[..] else {
            panic!("a question")
        };
        if let Some(request) = recovery {
            self.rig.server.recover(*socket, request, self.rig.now);
        }
        self.rig.server.accept(*socket, self.rig.now).unwrap();
        let heard = heard(self.rig.frames(ws), memory);
        (ws, *socket, heard)
    }

    pub(crate) fn new_client(&mut self) -> (Ws, SocketKey, Memory) {
        let mut memory = Memory::default();
        let (ws, socket, heard) = self.connect(&mut memory, "40");
        assert_eq!(heard, ["connect"]);
        assert_eq!((memory.sid.len(), memory.pid.len()), (20, 20));
        (ws, socket, memory)
    }

    pub(crate) fn lose(&mut self, ws: Ws) {
        self.rig.hang_up(ws.channel);
    }

    pub(crate) fn back(&mut self, memory: &mut Memory) -> (Ws, SocketKey, Vec<String>) {
        let connect = memory.auth();
        self.connect(memory, &connect)
    }

    /// What a client hears that comes back; it stays.
    pub(crate) fn returns(&mut self, memory: &mut Memory) -> Vec<String> {
        self.back(memory).2
    }

    pub(crate) fn hear(&mut self, ws: Ws, memory: &mut Memory) -> Vec<String> {
        heard(self.rig.frames(ws), memory)
    }

    pub(crate) fn rooms(&self, socket: SocketKey) -> Vec<String> {
        self.rig.server.rooms(socket).map(|room| room.to_string()).collect()
    }
}

#[test]
fn without_recovery_there_is_no_pid() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    rig.say(ws, r#"40{"pid":"AAAAAAAAAAAAAAAAAAAA"}"#).unwrap();
    let [Event::Connect { socket, recovery: None, .. }] = rig.events(ws.conn)[..] else {
        panic!("a question")
    };
    rig.server.accept(socket, rig.now).unwrap();
    assert_eq!(rig.frames(ws)[0].len(), r#"40{"sid":"01234567890123456789"}"#.len());
}

#[test]
fn b129_what_was_missed_comes_before_the_reply_in_order() {
    let mut world = World::new();
    let (ws, socket, mut memory) = world.new_client();
    world.rig.server.join(socket, "room");
    world.emit(socket, "one");
    world.all("two");
    assert_eq!(world.hear(ws, &mut memory), ["one", "two"]);
    let known = memory.clone();
    world.lose(ws);
    let [Event::Disconnect { .. }, Event::Closed { .. }] = world.rig.events(ws.conn)[..] else {
        panic!("the end")
    };
    world.to(&scope(&["room"], &[]), "three");
    let id = Str::from(memory.sid.as_str());
    world.to(&scope(&[&id], &[]), "four");
    let (ws, back, heard) = world.back(&mut memory);
    assert_eq!(heard, ["three", "four", "recovered"]);
    assert_eq!((&memory.sid, &memory.pid), (&known.sid, &known.pid), "id and secret stay");
    assert_eq!(world.rooms(back), [known.sid.as_str(), "room"]);
    assert!(world.rig.server.is_recovered(back) && back != socket);
    world.all("five");
    world.emit(back, "six");
    assert_eq!(world.hear(ws, &mut memory), ["five", "six"]);
}

#[test]
fn b134_only_what_was_meant_for_it_comes() {
    let mut world = World::new();
    let (ws, socket, mut memory) = world.new_client();
    let (_, other, _) = world.new_client();
    world.rig.server.join(socket, "in");
    world.rig.server.join(socket, "left");
    world.rig.server.leave(socket, "left");
    world.lose(ws);
    for (rooms, except, name) in [
        (&["in"][..], &[][..], "yes 1"),
        (&["elsewhere"], &[], "no"),
        (&["left"], &[], "no"),
        (&["elsewhere", "in"], &[], "yes 2"),
        (&["in"], &["in"], "no"),
        (&[], &["in"], "no"),
        (&[], &["elsewhere"], "yes 3"),
    ] {
        world.to(&scope(rooms, except), name);
    }
    world.emit(other, "no");
    // Neither volatile ones nor those that ask for an acknowledgement are kept (B130).
    let packet = world.rig.event("no", &());
    let op = Op::Broadcast(Broadcast { packet, volatile: true, ack: None, offset: None });
    world.apply(&Scope::all(), &op);
    assert_eq!(world.returns(&mut memory), ["yes 1", "yes 2", "yes 3", "recovered"]);
}

/// The table of reasons; the reference cannot recover the last one, because it has no such limit.
#[test]
fn recoverable_reasons() {
    type End = fn(&mut World, Ws, SocketKey);
    let ends: [(&str, bool, End); 9] = [
        ("transport close", true, |world, ws, _| world.lose(ws)),
        ("transport error", true, |world, ws, _| {
            world.rig.server.handle_hangup(ws.channel, Hangup::Failed, world.rig.now);
        }),
        ("ping timeout", true, |world, _, _| world.rig.pass_ms(45_000)),
        ("forced close", true, |world, ws, _| assert!(world.rig.say(ws, "40").is_err())),
        ("parse error", false, |world, ws, _| assert!(world.rig.say(ws, "nonsense").is_err())),
        ("client namespace disconnect", false, |world, ws, _| world.rig.say(ws, "41").unwrap()),
        ("server namespace disconnect", false, |world, _, socket| {
            world.rig.server.disconnect(socket, false, world.rig.now).unwrap();
        }),
        ("server namespace disconnect", false, |world, _, socket| {
            world.rig.server.disconnect(socket, true, world.rig.now).unwrap();
        }),
        ("overflow", true, |world, _, _| {
            while !world.rig.server.is_empty() && world.number < 100 {
                world.all("noise");
            }
        }),
    ];
    for (reason, recoverable, end) in ends {
        let mut world = World::new();
        world.rig = Rig::with(|engine, config| {
            config.recovery = Some(ConnectionStateRecovery::new());
            if reason == "overflow" {
                engine.max_outbox = 2000;
                engine.overflow = Overflow::Disconnect;
            }
        });
        let (ws, socket, mut memory) = world.new_client();
        world.all("first");
        assert_eq!(world.hear(ws, &mut memory), ["first"]);
        end(&mut world, ws, socket);
        let told = world.rig.told(ws.conn);
        assert_eq!(told[0], format!("disconnect: {reason}"));
        world.lose(ws);
        if reason == "overflow" {
            // What it missed is more than fits, so it would only end again.
            assert_eq!(world.returns(&mut memory), ["connect"], "{reason}");
            continue;
        }
        world.all("missed");
        let expected: &[&str] = if recoverable { &["missed", "recovered"] } else { &["connect"] };
        assert_eq!(world.returns(&mut memory), expected, "{reason}");
    }
}

#[test]
fn a_client_that_has_heard_nothing_yet_is_recovered() {
    // The reference needs an offset for that.
    let mut world = World::new();
    let (ws, _, mut memory) = world.new_client();
    world.lose(ws);
    assert_eq!(world.returns(&mut memory), ["recovered"]);
    let (ws, _, mut memory) = world.new_client();
    // On its way when the connection broke: no frames are taken.
    world.all("one");
    world.lose(ws);
    world.all("two");
    assert_eq!(memory.offset, None);
    assert_eq!(world.returns(&mut memory), ["one", "two", "recovered"]);
}

#[test]
fn what_was_on_its_way_comes_again() {
    let mut world = World::new();
    let (ws, socket, mut memory) = world.new_client();
    world.emit(socket, "seen");
    assert_eq!(world.hear(ws, &mut memory), ["seen"]);
    world.emit(socket, "lost 1");
    world.all("lost 2");
    drop(world.rig.frames(ws));
    world.emit(socket, "never written");
    world.lose(ws);
    assert_eq!(world.returns(&mut memory), ["lost 1", "lost 2", "never written", "recovered"]);
}

#[test]
fn an_idle_client_is_recovered_though_its_last_event_is_forgotten() {
    // socketio/socket.io#5282.
    let mut world = World::new();
    let (ws, _, mut memory) = world.new_client();
    world.all("old");
    assert_eq!(world.hear(ws, &mut memory), ["old"]);
    for _ in 0..40 {
        world.rig.pass_ms(25_000);
        drop(world.rig.frames(ws));
        world.rig.say(ws, "3").unwrap();
    }
    world.lose(ws);
    world.all("new");
    assert_eq!(world.returns(&mut memory), ["new", "recovered"]);
}

/// The ping that nobody answered was sent long after the event that did not arrive: it takes a while until that is noticed, and the
/// client has its full time from then on.
#[test]
fn what_a_half_open_connection_swallowed_is_still_there_in_the_end() {
    let mut world = World::new();
    let (ws, _, mut memory) = world.new_client();
    world.all("old");
    assert_eq!(world.hear(ws, &mut memory), ["old"]);
    for _ in 0..10 {
        world.rig.pass_ms(25_000);
        drop(world.rig.frames(ws));
        world.rig.say(ws, "3").unwrap();
    }
    world.all("swallowed");
    drop(world.rig.frames(ws));
    world.rig.pass_ms(45_000);
    assert_eq!(world.rig.told(ws.conn)[0], "disconnect: ping timeout");
    world.lose(ws);
    world.rig.pass_ms(119_999);
    assert_eq!(world.returns(&mut memory), ["swallowed", "recovered"]);
}

#[test]
fn b131_a_string_that_is_no_offset_does_not_hurt_an_idle_client() {
    let mut world = World::new();
    let (ws, _, mut memory) = world.new_client();
    world.all("seen");
    assert_eq!(world.hear(ws, &mut memory), ["seen"]);
    memory.offset = Some("a volatile string".into());
    let mut early = memory.clone();
    world.rig.pass_ms(25_000);
    drop(world.rig.frames(ws));
    world.lose(ws);
    // Nobody knows whether "seen" has arrived: no ping after it was answered.
    assert_eq!(world.returns(&mut early), ["connect"]);

    let (ws, _, mut memory) = world.new_client();
    world.all("seen");
    memory.offset = None;
    drop(world.rig.frames(ws));
    for _ in 0..3 {
        world.rig.pass_ms(25_000);
        drop(world.rig.frames(ws));
        world.rig.say(ws, "3").unwrap();
    }
    world.lose(ws);
    memory.offset = Some("a volatile string".into());
    world.all("missed");
    assert_eq!(world.returns(&mut memory), ["missed", "recovered"]);
}

/// Twice the same string, of volatile events: what came between them is not sent again.
#[test]
fn b131_a_string_that_was_shown_before_is_no_offset_either() {
    let mut world = World::new();
    let (ws, _, mut memory) = world.new_client();
    world.lose(ws);
    memory.offset = Some("x".into());
    let (ws, _, heard) = world.back(&mut memory);
    assert_eq!(heard, ["recovered"]);
    world.all("seen");
    assert_eq!(world.hear(ws, &mut memory), ["seen"]);
    world.lose(ws);
    memory.offset = Some("x".into());
    assert_eq!(world.returns(&mut memory), ["connect"], "whether it has seen it cannot be said");
}

#[test]
fn b132_a_session_can_be_had_once() {
    let mut world = World::new();
    let (ws, _, memory) = world.new_client();
    world.lose(ws);
    let (mut one, mut two) = (memory.clone(), memory.clone());
    let (first, _, heard) = world.back(&mut one);
    assert_eq!(heard, ["recovered"]);
    // Whoever has the secret takes the session over; there are never two sockets with one id.
    assert_eq!(world.returns(&mut two), ["recovered"]);
    assert_eq!(world.rig.frames(first), ["41", "close"]);
    assert_eq!(world.rig.told(first.conn)[0], "disconnect: transport close");
    let root = world.rig.root();
    assert_eq!(world.rig.server.sockets(root, &scope(&[&memory.sid], &[])).len(), 1);
}

#[test]
fn b133_a_client_takes_over_from_a_connection_that_seems_to_live() {
    let mut world = World::new();
    let (ws, socket, mut memory) = world.new_client();
    world.rig.server.join(socket, "room");
    world.emit(socket, "seen");
    assert_eq!(world.hear(ws, &mut memory), ["seen"]);
    // The connection is dead, but nobody has noticed.
    world.emit(socket, "swallowed");
    drop(world.rig.frames(ws));
    world.to(&scope(&["room"], &[]), "queued");
    let sid = memory.sid.clone();
    let (new, back, heard) = world.back(&mut memory);
    assert_eq!(heard, ["swallowed", "queued", "recovered"]);
    assert_eq!(memory.sid, sid);
    assert_eq!(world.rooms(back), [&*sid, "room"]);
    let told = world.rig.told(ws.conn);
    assert_eq!(told, ["disconnect: transport close"]);
    // Should it live after all, it is told, and does not fight for the session.
    let old = world.rig.frames(ws);
    assert_eq!(&old[1..], ["41", "close"], "{old:?}");
    world.rig.hang_up(ws.channel);
    world.all("live");
    assert_eq!(world.hear(new, &mut memory), ["live"]);
    world.lose(new);
    assert_eq!(world.returns(&mut memory), ["recovered"]);
}

#[test]
fn a_take_over_leaves_the_other_namespaces_of_the_connection_alone() {
    let mut world = World::new();
    world.rig.server.of("/chat");
    let (ws, _, mut memory) = world.new_client();
    world.rig.join(ws, "/chat,");
    assert_eq!(world.returns(&mut memory), ["recovered"]);
    assert_eq!(world.rig.frames(ws), ["41"]);
    world.rig.say(ws, r#"42/chat,["still here"]"#).unwrap();
    assert_eq!(world.rig.told(ws.conn), ["disconnect: transport close", r#"["still here"]"#]);
}

#[test]
fn b135_the_secret_is_of_one_namespace_and_is_not_the_public_id() {
    let mut world = World::new();
    let chat = world.rig.server.of("/chat");
    let (ws, _, memory) = world.new_client();
    let request = |text: &str, rig: &mut Rig| {
        let peer = rig.websocket();
        rig.say(peer, text).unwrap();
        let [Event::Connect { socket, ref recovery, .. }] = rig.events(peer.conn)[..] else {
            panic!("a question")
        };
        let request: RecoveryRequest = recovery.clone().expect("a wish");
        (socket, request)
    };
    let (socket, by_id) = request(&format!(r#"40{{"pid":"{}"}}"#, memory.sid), &mut world.rig);
    assert!(!world.rig.server.recover(socket, &by_id, world.rig.now));
    let (socket, elsewhere) = request(&format!(r#"40/chat,{{"pid":"{}"}}"#, memory.pid), &mut world.rig);
    assert!(!world.rig.server.recover(socket, &elsewhere, world.rig.now));
    assert!(world.rig.server.release(chat, &elsewhere, world.rig.now).is_none());
    assert!(world.rig.frames(ws).is_empty(), "the socket in / is still there");
    world.lose(ws);
    assert!(!world.rig.server.recover(socket, &elsewhere, world.rig.now));
    let mut memory = memory;
    assert_eq!(world.returns(&mut memory), ["recovered"], "and so is its session");
    assert!(!format!("{elsewhere:?}").contains(&memory.pid));
}

#[test]
fn time_is_up() {
    let mut world = World::new();
    let (ws, _, mut memory) = world.new_client();
    world.lose(ws);
    world.rig.events(ws.conn);
    world.rig.pass_ms(119_999);
    let (ws, _, heard) = world.back(&mut memory);
    assert_eq!(heard, ["recovered"]);
    world.lose(ws);
    world.rig.events(ws.conn);
    world.rig.pass_ms(120_000);
    assert_eq!(world.returns(&mut memory), ["connect"]);
}

#[test]
fn nothing_is_kept_for_ever() {
    let mut world = World::new();
    let (ws, socket, _) = world.new_client();
    let kept = Arc::new(());
    world.rig.server.keep(socket, Kept(kept.clone()));
    world.all("one");
    drop(world.rig.frames(ws));
    world.lose(ws);
    world.rig.events(ws.conn);
    assert!(world.rig.server.is_empty());
    assert!(world.rig.server.poll_timeout().is_some());
    world.rig.pass_ms(200_000);
    assert_eq!(world.rig.server.poll_timeout(), None);
    assert_eq!(Arc::strong_count(&kept), 2);
    assert!(world.rig.server.has_news());
    assert_eq!(world.rig.server.take_dropped().len(), 1);
    assert_eq!(Arc::strong_count(&kept), 1);
    assert!(!world.rig.server.has_news() || !world.rig.ready().is_empty());
}

#[test]
fn a_full_log_recovers_nobody_who_may_have_missed_something() {
    let mut world = World::with(ConnectionStateRecovery::new().max_events(3));
    let (ws, _, mut memory) = world.new_client();
    world.all("0");
    assert_eq!(world.hear(ws, &mut memory), ["0"]);
    world.lose(ws);
    (1..=3).for_each(|number| world.all(&number.to_string()));
    let mut late = memory.clone();
    // 0 is not there any more, but it is known that it was the last one.
    let (ws, _, heard) = world.back(&mut memory);
    assert_eq!(heard, ["1", "2", "3", "recovered"]);
    world.lose(ws);
    world.all("4");
    // A client that has seen nothing of that: from what it was given, nothing is missing.
    let (ws, _, heard) = world.back(&mut late);
    assert_eq!(heard, ["1", "2", "3", "4", "recovered"]);
    world.lose(ws);
    (5..=8).for_each(|number| world.all(&number.to_string()));
    assert_eq!(world.returns(&mut late), ["connect"], "5 is gone");
}

#[test]
fn a_log_is_bounded_in_bytes_too() {
    let mut world = World::with(ConnectionStateRecovery::new().max_bytes(2000));
    let (ws, _, mut memory) = world.new_client();
    world.lose(ws);
    let name = "x".repeat(700);
    world.all(&name);
    let mut copy = memory.clone();
    let (ws, _, heard) = world.back(&mut copy);
    assert_eq!(heard.len(), 2);
    world.lose(ws);
    (0..3).for_each(|_| world.all(&name));
    assert_eq!(world.returns(&mut memory).len(), 1);
}

#[test]
fn sessions_are_bounded_in_number() {
    let mut world = World::with(ConnectionStateRecovery::new().max_sessions(2));
    let mut memories = Vec::new();
    for _ in 0..3 {
        let (ws, _, memory) = world.new_client();
        world.lose(ws);
        world.rig.pass_ms(1);
        memories.push(memory);
    }
    let heard: Vec<_> = memories.iter_mut().map(|memory| world.returns(memory)).collect();
    assert_eq!(heard, [["connect"], ["recovered"], ["recovered"]]);
}

#[test]
fn losing_the_connection_again_and_again() {
    let mut world = World::new();
    let (ws, socket, mut memory) = world.new_client();
    world.emit(socket, "0");
    assert_eq!(world.hear(ws, &mut memory), ["0"]);
    world.lose(ws);
    world.all("1");
    let id = memory.sid.clone();
    world.to(&scope(&[&id], &[]), "2");
    // It never hears what it is sent: the connection breaks at once, three times.
    for round in 0..3 {
        let mut deaf = memory.clone();
        let (ws, _, heard) = world.back(&mut deaf);
        let expected = ["1", "2", "3", "4", "5"];
        assert_eq!(heard, [&expected[..2 + round], &["recovered"]].concat());
        world.lose(ws);
        world.all(&(3 + round).to_string());
    }
    // Now it hears a part of it.
    let mut half = memory.clone();
    let (ws, _, _) = world.back(&mut half);
    world.lose(ws);
    let frames = half.offset.take();
    assert!(frames.is_some());
    // The offset of "2".
    half.offset = Some(Offset::new(1_795_377_600_000, 3).to_string());
    assert_eq!(world.returns(&mut half), ["3", "4", "5", "recovered"]);
}

#[test]
fn lost_again_before_the_decision() {
    let mut world = World::new();
    let (ws, socket, mut memory) = world.new_client();
    world.rig.server.join(socket, "room");
    world.emit(socket, "0");
    assert_eq!(world.hear(ws, &mut memory), ["0"]);
    world.lose(ws);
    world.all("1");
    let ws = world.rig.websocket();
    world.rig.say(ws, &memory.auth()).unwrap();
    let [Event::Connect { socket, recovery: Some(ref request), .. }] = world.rig.events(ws.conn)[..] else {
        panic!("a question")
    };
    assert!(world.rig.server.recover(socket, request, world.rig.now));
    // Middlewares run; the socket has its rooms, but hears nothing yet.
    world.to(&scope(&["room"], &[]), "2");
    assert_eq!(world.rig.frames(ws), [""; 0]);
    world.lose(ws);
    world.all("3");
    let (ws, _, heard) = world.back(&mut memory);
    assert_eq!(heard, ["1", "2", "3", "recovered"]);
    world.lose(ws);
    // A refusal is an end.
    let ws = world.rig.websocket();
    world.rig.say(ws, &memory.auth()).unwrap();
    let [Event::Connect { socket, recovery: Some(ref request), .. }] = world.rig.events(ws.conn)[..] else {
        panic!("a question")
    };
    assert!(world.rig.server.recover(socket, request, world.rig.now));
    world.rig.server.refuse(socket, &ConnectError::new("no"), world.rig.now).unwrap();
    assert_eq!(world.returns(&mut memory), ["connect"]);
}

#[test]
fn what_is_done_to_rooms_is_done_to_those_who_are_away() {
    let mut world = World::new();
    let (ws, socket, mut memory) = world.new_client();
    world.rig.server.join(socket, "a");
    world.lose(ws);
    world.apply(&scope(&["a"], &[]), &Op::Leave(vec!["a".into()]));
    world.apply(&Scope::all(), &Op::Join(vec!["b".into()]));
    world.apply(&scope(&["a"], &[]), &Op::Disconnect { close: false });
    world.to(&scope(&["a"], &[]), "no");
    world.to(&scope(&["b"], &[]), "yes");
    let (ws, back, heard) = world.back(&mut memory);
    assert_eq!(heard, ["yes", "recovered"]);
    assert_eq!(world.rooms(back), [&*memory.sid, "b"]);
    world.lose(ws);
    world.apply(&scope(&["b"], &[]), &Op::Disconnect { close: false });
    assert_eq!(world.returns(&mut memory), ["connect"]);
}

#[test]
fn a_session_moves_to_another_shard() {
    let mut old = World::new();
    let mut new = World::new();
    let both = |old: &mut World, new: &mut World, name: &str| {
        old.all(name);
        new.number = old.number - 1;
        new.all(name);
    };
    let (ws, socket, mut memory) = old.new_client();
    old.rig.server.keep(socket, Kept(Arc::new("data")));
    old.rig.server.join(socket, "room");
    both(&mut old, &mut new, "0");
    assert_eq!(old.hear(ws, &mut memory), ["0"]);
    old.lose(ws);
    both(&mut old, &mut new, "1");
    let id = memory.sid.clone();
    let comes_back = |from: &mut World, to: &mut World, memory: &mut Memory| {
        let ws = to.rig.websocket();
        to.rig.say(ws, &memory.auth()).unwrap();
        let [Event::Connect { socket, recovery: Some(ref request), namespace, .. }] =
            to.rig.events(ws.conn)[..]
        else {
            panic!("a question")
        };
        assert!(!to.rig.server.recover(socket, request, to.rig.now));
        let session = from.rig.server.release(namespace, request, from.rig.now).expect("a session");
        assert_eq!(session.id().as_str(), id);
        to.rig.server.resume(socket, session).unwrap();
        let kept = to.rig.server.kept(socket).expect("is kept").0.clone();
        assert_eq!(kept.downcast_ref::<&str>(), Some(&"data"));
        to.rig.server.accept(socket, to.rig.now).unwrap();
        let heard = heard(to.rig.frames(ws), memory);
        (ws, heard)
    };
    let before = memory.clone();
    let (ws, heard) = comes_back(&mut old, &mut new, &mut memory);
    assert_eq!(heard, ["1", "recovered"]);
    both(&mut old, &mut new, "2");
    assert_eq!(new.hear(ws, &mut memory), ["2"]);
    let root = new.rig.root();
    let [socket] = new.rig.server.sockets(root, &Scope::all())[..] else { panic!("one socket") };
    assert_eq!(new.rooms(socket), [&*id, "room"]);
    // And back again; what it got of the other shard's is not lost on the way.
    new.lose(ws);
    let mut forgetful = before;
    let (ws, heard) = comes_back(&mut new, &mut old, &mut forgetful);
    assert_eq!(heard, ["1", "2", "recovered"]);
    both(&mut old, &mut new, "3");
    assert_eq!(old.hear(ws, &mut forgetful), ["3"]);
}

#[test]
fn a_closing_server_keeps_nothing() {
    let mut world = World::new();
    let (ws, socket, _) = world.new_client();
    world.rig.server.keep(socket, Kept(Arc::new(())));
    world.all("one");
    world.rig.server.close(world.rig.now);
    assert_eq!(world.rig.told(ws.conn)[0], "disconnect: server shutting down");
    drop(world.rig.frames(ws));
    world.rig.hang_up(ws.channel);
    world.rig.events(ws.conn);
    assert!(world.rig.server.is_empty());
    assert_eq!(world.rig.server.poll_timeout(), None);
    assert_eq!(world.rig.server.take_dropped().len(), 1);
    assert_eq!(world.rig.now, Instant::ZERO);
}

#[test]
fn what_is_kept_for_a_client_that_is_gone_is_not_dropped_by_the_machine() {
    let mut world = World::new();
    let (ws, socket, mut memory) = world.new_client();
    world.emit(socket, "0");
    assert_eq!(world.hear(ws, &mut memory), ["0"]);
    world.rig.server.keep(socket, Kept(Arc::new(())));
    world.lose(ws);
    let ws = world.rig.websocket();
    world.rig.say(ws, &memory.auth()).unwrap();
    let [Event::Connect { socket, recovery: Some(ref request), namespace, .. }] =
        world.rig.events(ws.conn)[..]
    else {
        panic!("a question")
    };
    world.lose(ws);
    // Asked as one server the session stays where it is; asked in two steps it is over.
    assert!(!world.rig.server.recover(socket, request, world.rig.now));
    let session = world.rig.server.release(namespace, request, world.rig.now).unwrap();
    assert_eq!(world.rig.server.resume(socket, session), Err(UsageError::Gone));
    assert_eq!(world.rig.server.take_dropped().len(), 1);
}
