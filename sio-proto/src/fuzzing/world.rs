//! The composite server among clients that keep to the protocol or do not, with an application that makes use of everything.
//!
//! After every step the world checks what the server promises: deadlines move on, what can be done is announced, each packet
//! is sent once and in order or counted as lost, rooms are as a simple model says, and nothing is left at the end.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::Hasher as _;
use core::time::Duration;

use bytes::Bytes;

use super::texts;
use crate::engine::{self, ChannelId, Hangup, Message, Overflow, Request, Transmit};
use crate::hub::{NamespaceId, Scope, SocketKey};
use crate::server::{Admission, Broadcast, Config, ConnId, EmitError, Event, Op as HubOp, Ready, Server};
use crate::socket::{ConnectError, Encoder};
use crate::{Instant, Seed, Sid, Str, UsageError};

/// One step: what is done, and to whom and how.
pub type Op = [u8; 4];

/// Runs the steps in `bytes`, four bytes each, twice; both runs must be the same.
pub fn server_ops(bytes: &[u8]) {
    // More than this finds nothing more, only later.
    let ops: Vec<Op> = bytes.chunks_exact(4).take(500).map(|op| [op[0], op[1], op[2], op[3]]).collect();
    assert_eq!(run(&ops), run(&ops), "the same seed and inputs, but another trace");
}

fn run(ops: &[Op]) -> u64 {
    let mut world = World::new(ops.first().is_some_and(|op| op[3] & 1 == 1));
    for op in ops {
        world.step(*op);
        world.check();
    }
    world.end(ops.len() % 2 == 0)
}

/// Engine.IO packets that clients send: most of them right, at the right time.
const PACKETS: [&str; 40] = [
    "40",
    "40",
    "40{\"a\":1}",
    "40/chat,",
    "40/chat,",
    "40/nope,",
    "41",
    "41/chat,",
    "42[\"m\"]",
    "42[\"m\"]",
    "42[\"m\",1]",
    "42/chat,[\"m\"]",
    "42/chat,7[\"m\"]",
    "421[\"q\"]",
    "430[]",
    "430[1]",
    "431[]",
    "432[]",
    "43/chat,0[]",
    "43/chat,1[]",
    "451-[\"b\",{\"_placeholder\":true,\"num\":0}]",
    "451-/chat,[\"b\"]",
    "461-0[{\"_placeholder\":true,\"num\":0}]",
    "bAQI=",
    "bAQI=",
    "3",
    "3",
    "6",
    "2probe",
    "2probe",
    "5",
    "5",
    "1",
    "2",
    "4",
    "44{}",
    "42{}",
    "4511-[]",
    "9",
    "",
];

const NAMESPACES: [&str; 2] = ["/", "/chat"];
const ROOMS: [&str; 4] = ["a", "b", "c", ""];
const MAX_OUTBOX: usize = 600;

struct World {
    server: Server,
    encoder: Encoder,
    now: Instant,
    namespaces: [NamespaceId; 2],
    peers: Vec<Peer>,
    /// Channels that are open, by number, so that steps can name them.
    channels: BTreeMap<ChannelId, Channel>,
    conns: BTreeMap<ConnId, Conn>,
    sockets: BTreeMap<SocketKey, Socket>,
    /// What the server has announced and nobody has looked at yet.
    announced: BTreeSet<ChannelId>,
    /// The next deadline, as the owner knows it.
    deadline: Option<Instant>,
    next_event: u64,
    trace: Fnv,
}

struct Peer {
    sid: Option<Sid>,
    conn: ConnId,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Get,
    Post,
    WebSocket,
}

struct Channel {
    kind: Kind,
    conn: ConnId,
}

#[derive(Default)]
struct Conn {
    /// Events that were accepted for sending and not seen yet: number, and whether they may be missing.
    owed: VecDeque<(u64, bool)>,
    announced: bool,
    /// Events wait for a socket that is busy.
    held: bool,
    paused: bool,
    /// Somebody waits for room in the outbox.
    wants_room: bool,
    closed: bool,
}

struct Socket {
    conn: ConnId,
    id: String,
    namespace: NamespaceId,
    connected: bool,
    rooms: BTreeSet<String>,
    /// Questions that the application has not seen an answer to. The id of one that is answered can be used again at once.
    acks: BTreeMap<u64, usize>,
}

impl World {
    fn new(skip: bool) -> Self {
        let engine = engine::Config {
            max_outbox: MAX_OUTBOX,
            overflow: if skip { Overflow::Skip } else { Overflow::Disconnect },
            ..engine::Config::default()
        };
        let config =
            Config { engine: Arc::new(engine), max_inbox: 6, max_inbox_bytes: 300, ..Config::default() };
        let mut server = Server::new(config, Seed([9; 32]));
        let namespaces = NAMESPACES.map(|name| server.of(name));
        Self {
            server,
            encoder: Encoder::new(),
            now: Instant::ZERO,
            namespaces,
            peers: Vec::new(),
            channels: BTreeMap::new(),
            conns: BTreeMap::new(),
            sockets: BTreeMap::new(),
            announced: BTreeSet::new(),
            deadline: None,
            next_event: 0,
            trace: Fnv::new(),
        }
    }

    // ---- Steps --------------------------------------------------------------------------------------------------

    fn step(&mut self, [what, who, how, more]: Op) {
        match what % 32 {
            // Few peers meet more often.
            0 | 1 if self.peers.len() > 3 => self.drain_channels(0),
            0 => self.handshake(),
            1 => self.open(None),
            2 => self.open(self.peer(who).and_then(|peer| peer.sid)),
            3 | 4 => self.get(who),
            5 | 6 => self.post(who, how, more),
            7 => drop(self.begin_post(who)),
            8 => self.end_post(who, how),
            9..=13 => self.say(who, how, more),
            14 => self.say_binary(who, how),
            15 => self.hang_up(who, how),
            16 | 17 => self.drain_channels(who),
            18 => self.advance(u64::from(how) * u64::from(more)),
            19 => self.advance(u64::from(how)),
            20 | 21 => self.drain_events(who),
            22 | 23 => self.accept(who),
            24 => self.refuse(who),
            25 => self.emit(who, how, more),
            26 => self.emit_with_ack(who, how, more),
            27 => self.change_room(who, how, more),
            28 => self.broadcast(who, how, more),
            29 => self.apply(who, how, more),
            30 => self.disconnect(who, how),
            _ if how == 255 => self.server.close(self.now),
            _ => self.advance(u64::from(how) * 200),
        }
    }

    fn peer(&self, who: u8) -> Option<&Peer> {
        self.peers.get(usize::from(who) % self.peers.len().max(1))
    }

    /// One of the open channels of this kind, of this peer.
    fn channel(&self, who: u8, kinds: &[Kind]) -> Option<(ChannelId, Kind, ConnId)> {
        let conn = self.peer(who)?.conn;
        let mut of =
            self.channels.iter().filter(|(_, channel)| channel.conn == conn && kinds.contains(&channel.kind));
        of.next_back().map(|(id, channel)| (*id, channel.kind, channel.conn))
    }

    fn opened(&mut self, channel: ChannelId, kind: Kind) -> ConnId {
        let conn = self.server.conn_of(channel).expect("an open channel has a connection");
        assert!(self.channels.insert(channel, Channel { kind, conn }).is_none(), "a channel is used twice");
        conn
    }

    fn handshake(&mut self) {
        let Ok(admission) = self.server.handle_request(Request::Handshake, None, self.now) else { return };
        let Admission::Poll(channel) = admission else { panic!("{admission:?}") };
        let conn = self.opened(channel, Kind::Get);
        self.conns.insert(conn, Conn::default());
        let Some(Transmit::Respond(response)) = self.server.poll_transmit(channel, self.now) else {
            panic!("an open packet comes at once")
        };
        self.channels.remove(&channel);
        let sid = response.body.get(9..29).and_then(|sid| core::str::from_utf8(sid).ok()?.parse().ok());
        assert!(sid.is_some(), "{response:?}");
        self.peers.push(Peer { sid, conn });
    }

    fn open(&mut self, sid: Option<Sid>) {
        if let Ok(channel) = self.server.open_websocket(sid, self.now) {
            let conn = self.opened(channel, Kind::WebSocket);
            if sid.is_none() {
                self.conns.insert(conn, Conn::default());
                self.peers.push(Peer { sid: None, conn });
            }
        }
    }

    fn get(&mut self, who: u8) {
        let Some(sid) = self.peer(who).and_then(|peer| peer.sid) else { return };
        if let Ok(Admission::Poll(channel)) = self.server.handle_request(Request::Poll(sid), None, self.now) {
            self.opened(channel, Kind::Get);
        }
    }

    fn begin_post(&mut self, who: u8) -> Option<ChannelId> {
        let sid = self.peer(who)?.sid?;
        let admission = self.server.handle_request(Request::Post(sid), None, self.now).ok()?;
        let Admission::Post(channel) = admission else { panic!("{admission:?}") };
        self.opened(channel, Kind::Post);
        Some(channel)
    }

    fn post(&mut self, who: u8, how: u8, more: u8) {
        if self.peer(who).is_some_and(|peer| self.conns[&peer.conn].paused) {
            return;
        }
        let Some(channel) = self.begin_post(who) else { return };
        self.body(channel, how, more);
    }

    fn body(&mut self, channel: ChannelId, how: u8, more: u8) {
        let mut body = String::from(PACKETS[usize::from(how) % PACKETS.len()]);
        for at in 0..more % 4 {
            body.push('\u{1e}');
            body.push_str(PACKETS[usize::from(how ^ more.rotate_left(at.into())) % PACKETS.len()]);
        }
        let _ = self.server.handle_body(channel, body.into(), self.now);
        self.channels.remove(&channel);
        assert_eq!(self.server.conn_of(channel), None);
    }

    fn end_post(&mut self, who: u8, how: u8) {
        let Some((channel, _, _)) = self.channel(who, &[Kind::Post]) else { return };
        match how % 4 {
            0 => drop(self.server.handle_oversize(channel, self.now)),
            1 => self.server.handle_hangup(channel, Hangup::Failed, self.now),
            _ => return self.body(channel, how, 0),
        }
        self.channels.remove(&channel);
    }

    fn say(&mut self, who: u8, how: u8, more: u8) {
        let Some((channel, _, conn)) = self.channel(who, &[Kind::WebSocket]) else { return };
        // One that we do not read from may have had one more message on its way.
        if self.conns[&conn].paused && more & 3 != 0 {
            return;
        }
        if how == 255 && more == 255 {
            return self.server.handle_fault(channel, self.now);
        }
        let text = PACKETS[usize::from(how) % PACKETS.len()];
        let _ = self.server.handle_message(channel, Message::Text(text.into()), self.now);
    }

    fn say_binary(&mut self, who: u8, how: u8) {
        let Some((channel, _, _)) = self.channel(who, &[Kind::WebSocket]) else { return };
        let bytes = alloc::vec![how; usize::from(how)];
        let _ = self.server.handle_message(channel, Message::Binary(bytes.into()), self.now);
    }

    fn hang_up(&mut self, who: u8, how: u8) {
        let kinds = [Kind::Get, Kind::Post, Kind::WebSocket];
        let Some((channel, _, _)) = self.channel(who, &kinds[usize::from(how % 3)..]) else { return };
        self.server.handle_hangup(
            channel,
            if how & 4 == 0 { Hangup::Closed } else { Hangup::Failed },
            self.now,
        );
        self.channels.remove(&channel);
        assert_eq!(self.server.conn_of(channel), None);
    }

    fn advance(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(at) = self.server.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.server.handle_timeout(self.now);
            self.check();
            assert!(self.server.poll_timeout().is_none_or(|at| at > self.now), "a deadline does not move on");
        }
        self.now = end;
        // Too early is harmless.
        self.server.handle_timeout(self.now);
    }

    fn accept(&mut self, who: u8) {
        let Some(key) = self.asking(who) else { return };
        match self.server.accept(key, self.now) {
            Ok(()) => {
                let socket = self.socket(key);
                socket.connected = true;
                socket.rooms.insert(socket.id.clone());
            }
            Err(error) => assert_eq!(error, UsageError::Gone),
        }
        self.decided(key);
    }

    fn refuse(&mut self, who: u8) {
        let Some(key) = self.asking(who) else { return };
        let socket_is_there = self.server.hub().get(key).is_some();
        match self.server.refuse(key, &ConnectError::new("no"), self.now) {
            Ok(()) => {
                self.decided(key);
                self.sockets.remove(&key);
            }
            Err(error) => {
                assert_eq!((error, socket_is_there), (UsageError::Gone, false));
                self.decided(key);
            }
        }
    }

    /// A socket that waits for its answer.
    fn asking(&self, who: u8) -> Option<SocketKey> {
        let asking: Vec<_> = self.sockets.iter().filter(|(_, socket)| !socket.connected).collect();
        asking.get(usize::from(who) % asking.len().max(1)).map(|(key, _)| **key)
    }

    fn decided(&mut self, key: SocketKey) {
        let conn = self.sockets[&key].conn;
        let conn = self.conns.get_mut(&conn).expect("a known connection");
        if core::mem::take(&mut conn.held) {
            conn.announced = true;
        }
    }

    fn socket(&mut self, key: SocketKey) -> &mut Socket {
        self.sockets.get_mut(&key).expect("a known socket")
    }

    fn pick(&self, who: u8) -> Option<SocketKey> {
        self.sockets.keys().nth(usize::from(who) % self.sockets.len().max(1)).copied()
    }

    fn emit(&mut self, who: u8, how: u8, more: u8) {
        let Some(key) = self.pick(who) else { return };
        let number = self.next_event;
        self.next_event += 1;
        let (conn, name) = (self.sockets[&key].conn, self.name(key));
        let filler = "x".repeat(usize::from(how) * usize::from(more % 4));
        let packet = if more & 4 == 0 {
            self.encoder.event(&name, None, "e", &(number, filler))
        } else {
            self.encoder.event(&name, None, "e", &(number, Bytes::from(filler)))
        };
        let (packet, volatile) = (packet.expect("an event"), more & 8 != 0);
        let result = self.server.emit(key, packet.clone(), volatile);
        if let (Err(EmitError::Full(_)), Some(conn)) = (&result, self.server.wait_for_room(key)) {
            self.conns.get_mut(&conn).expect("known").wants_room = true;
        }
        self.sent(conn, number, volatile, result, &packet);
    }

    fn emit_with_ack(&mut self, who: u8, how: u8, more: u8) {
        let Some(key) = self.pick(who) else { return };
        let number = self.next_event;
        self.next_event += 1;
        let (conn, name, id) = (self.sockets[&key].conn, self.name(key), u64::from(how % 4));
        let packet = self.encoder.event(&name, Some(id), "e", &number).expect("an event");
        let deadline = (more != 0).then(|| self.now + Duration::from_millis(u64::from(more) * 10));
        let result = self.server.emit_with_ack(key, packet.clone(), id, deadline);
        let asked = self.socket(key).acks.entry(id).or_default();
        match &result {
            Ok(()) => *asked += 1,
            Err(error) => assert!(*asked > 0 || *error != EmitError::Usage(UsageError::AckIdInUse)),
        }
        self.sent(conn, number, false, result, &packet);
    }

    fn sent(
        &mut self,
        conn: ConnId,
        number: u64,
        may_be_missing: bool,
        result: Result<(), EmitError>,
        packet: &engine::Encoded,
    ) {
        match result {
            Ok(()) => self.conns.get_mut(&conn).expect("known").owed.push_back((number, may_be_missing)),
            Err(EmitError::Full(back)) => assert_eq!(back, *packet),
            Err(EmitError::Usage(_)) => {}
        }
    }

    fn name(&self, key: SocketKey) -> String {
        self.server.hub().name(self.sockets[&key].namespace).to_string()
    }

    fn change_room(&mut self, who: u8, how: u8, more: u8) {
        let Some(key) = self.pick(who) else { return };
        let room = ROOMS[usize::from(how) % ROOMS.len()];
        // It may be gone already, and its last event still on the way.
        let is_there = self.server.hub().get(key).is_some();
        if more % 3 != 0 {
            self.server.join(key, room);
            if is_there {
                self.socket(key).rooms.insert(room.into());
            }
        } else {
            self.server.leave(key, room);
            if is_there {
                self.socket(key).rooms.remove(room);
            }
        }
    }

    fn scope(&self, how: u8, more: u8) -> Scope {
        let mut scope = Scope::all();
        for (at, room) in ROOMS.iter().enumerate() {
            if how >> at & 1 == 1 {
                scope = scope.to(*room);
            }
            if more >> (2 * at) & 3 == 3 {
                scope = scope.except(*room);
            }
        }
        if let (Some(key), true) = (self.pick(more), how & 16 != 0) {
            scope = scope.except(self.sockets[&key].id.as_str());
        }
        scope
    }

    /// Whom the model would select.
    fn selected(&self, namespace: NamespaceId, scope: &Scope) -> BTreeSet<SocketKey> {
        let is_in =
            |socket: &Socket, rooms: &[Str]| rooms.iter().any(|room| socket.rooms.contains(room.as_str()));
        let meant = |socket: &Socket| {
            socket.connected
                && socket.namespace == namespace
                && (scope.rooms.is_empty() || is_in(socket, &scope.rooms))
                && !is_in(socket, &scope.except)
        };
        let there = |key: &SocketKey| self.server.hub().get(*key).is_some();
        self.sockets.iter().filter(|(key, socket)| there(key) && meant(socket)).map(|(key, _)| *key).collect()
    }

    fn broadcast(&mut self, who: u8, how: u8, more: u8) {
        let namespace = self.namespaces[usize::from(who % 2)];
        let scope = self.scope(how, more);
        let number = self.next_event;
        self.next_event += 1;
        let selected = self.selected(namespace, &scope);
        let name = self.server.hub().name(namespace).clone();
        let packet = self.encoder.event(&name, None, "e", &number).expect("an event");
        let op = HubOp::Broadcast(Broadcast { packet, volatile: who & 2 != 0, ack: None, offset: None });
        let delivery = self.server.apply(namespace, &scope, &op, self.now);
        assert!(delivery.sockets + delivery.skipped <= selected.len());
        for key in selected {
            let conn = self.sockets[&key].conn;
            self.conns.get_mut(&conn).expect("known").owed.push_back((number, true));
        }
    }

    fn apply(&mut self, who: u8, how: u8, more: u8) {
        let namespace = self.namespaces[usize::from(who % 2)];
        let scope = self.scope(how, more);
        let selected = self.selected(namespace, &scope);
        let room = ROOMS[usize::from(who / 2) % ROOMS.len()];
        let op = match who % 5 {
            0 | 1 => HubOp::Join(alloc::vec![room.into()]),
            2 | 3 => HubOp::Leave(alloc::vec![room.into()]),
            _ => HubOp::Disconnect { close: how & 32 != 0 },
        };
        let delivery = self.server.apply(namespace, &scope, &op, self.now);
        assert_eq!(delivery.sockets, selected.len());
        for key in selected {
            match op {
                HubOp::Join(_) => drop(self.socket(key).rooms.insert(room.into())),
                HubOp::Leave(_) => drop(self.socket(key).rooms.remove(room)),
                _ => assert!(self.server.hub().get(key).is_none()),
            }
        }
    }

    fn disconnect(&mut self, who: u8, how: u8) {
        let Some(key) = self.pick(who) else { return };
        let was_there = self.server.hub().get(key).is_some();
        assert_eq!(self.server.disconnect(key, how & 1 == 1, self.now).is_ok(), was_there);
    }

    // ---- Outputs ------------------------------------------------------------------------------------------------

    fn drain_channels(&mut self, who: u8) {
        let announced = core::mem::take(&mut self.announced);
        if who & 1 == 0 {
            announced.iter().for_each(|channel| self.drain(*channel));
        } else {
            // A slow one: a part of it has to wait.
            announced.iter().take(1).for_each(|channel| self.drain(*channel));
            self.announced.extend(announced.into_iter().skip(1));
        }
    }

    fn drain(&mut self, id: ChannelId) {
        while let Some(transmit) = self.server.poll_transmit(id, self.now) {
            self.trace.note(&transmit);
            let Channel { kind, conn } = self.channels[&id];
            match &transmit {
                Transmit::Packet(packet) => {
                    assert_eq!(kind, Kind::WebSocket);
                    texts(packet).for_each(|text| self.arrived(conn, &text));
                }
                Transmit::Respond(response) => {
                    assert_eq!((kind, response.status), (Kind::Get, 200));
                    let body = core::str::from_utf8(&response.body).expect("payloads are text");
                    assert!(!body.is_empty(), "an answer says something");
                    body.split('\u{1e}').for_each(|text| self.arrived(conn, text));
                    self.channels.remove(&id);
                }
                Transmit::Close => assert_eq!(kind, Kind::WebSocket),
                Transmit::Abort => {
                    assert_eq!(kind, Kind::WebSocket);
                    self.channels.remove(&id);
                }
            }
        }
        if !self.channels.contains_key(&id) {
            assert_eq!(self.server.conn_of(id), None);
        }
    }

    /// The client gets a packet: it must be the next one of those that are owed.
    fn arrived(&mut self, conn: ConnId, text: &str) {
        let Some((_, rest)) = text.split_once("[\"e\",") else { return };
        let number: u64 =
            rest.split([',', ']']).next().and_then(|number| number.parse().ok()).expect("a number");
        let owed = &mut self.conns.get_mut(&conn).expect("known").owed;
        while owed.front().is_some_and(|(next, may_be_missing)| *next != number && *may_be_missing) {
            owed.pop_front();
        }
        assert_eq!(
            owed.pop_front().map(|(next, _)| next),
            Some(number),
            "lost, twice, or out of order: {text}"
        );
    }

    fn drain_events(&mut self, who: u8) {
        let Some(conn) = self.peer(who).map(|peer| peer.conn) else { return };
        self.events_of(conn, true);
    }

    fn events_of(&mut self, conn: ConnId, wait: bool) {
        loop {
            let busy: Vec<SocketKey> = if wait {
                self.sockets.iter().filter(|(_, socket)| !socket.connected).map(|(key, _)| *key).collect()
            } else {
                Vec::new()
            };
            let Some(event) = self.server.poll_event(conn, &busy) else { break };
            self.trace.note(&event);
            self.happened(conn, event, &busy);
        }
        let held = self.server.has_events(conn);
        assert!(!held || wait, "events are there, but do not come");
        let conn = self.conns.get_mut(&conn).expect("known");
        conn.held = held;
        conn.announced = false;
    }

    fn happened(&mut self, conn: ConnId, event: Event, busy: &[SocketKey]) {
        assert!(!self.conns[&conn].closed, "an event after the last: {event:?}");
        match event {
            Event::Connect { socket, id, namespace, .. } => {
                let id = id.to_string();
                let rooms = BTreeSet::new();
                let new = Socket { conn, id, namespace, connected: false, rooms, acks: BTreeMap::new() };
                assert!(self.sockets.insert(socket, new).is_none(), "a key is used twice");
            }
            Event::Event { socket, .. } => {
                assert!(!busy.contains(&socket));
                assert_eq!(self.sockets[&socket].conn, conn);
            }
            Event::Ack { socket, id, .. } => {
                let asked = self.socket(socket).acks.get_mut(&id).and_then(|asked| asked.checked_sub(1));
                let asked = asked.expect("an answer that nobody waits for");
                self.socket(socket).acks.insert(id, asked);
            }
            Event::Disconnect { socket, rooms, .. } => {
                let gone = self.sockets.remove(&socket).expect("a known socket");
                assert!(gone.acks.values().all(|asked| *asked == 0), "a question without an answer");
                assert_eq!(rooms.iter().map(|room| room.to_string()).collect::<BTreeSet<_>>(), gone.rooms);
            }
            Event::ConnectUnknown { .. } => unreachable!("unknown namespaces are refused"),
            Event::Upgraded => {}
            Event::Closed { undelivered, .. } => {
                let known = self.conns.get_mut(&conn).expect("known");
                known.closed = true;
                let lost = known.owed.iter().filter(|(_, may_be_missing)| !may_be_missing).count();
                assert!(lost <= undelivered, "{lost} packets are lost, {undelivered} are told");
                known.owed.clear();
                assert!(
                    self.sockets.values().all(|socket| socket.conn != conn),
                    "a socket without connection"
                );
            }
        }
    }

    // ---- What must hold -----------------------------------------------------------------------------------------

    fn check(&mut self) {
        let (next, news) = (self.server.poll_timeout(), self.server.has_news());
        let is_earlier = next.is_some_and(|next| self.deadline.is_none_or(|known| next < known));
        assert!(news || !is_earlier, "a deadline that nobody is told of");
        self.deadline = next;
        while let Some(ready) = self.server.poll_ready() {
            assert!(news);
            self.trace.note(&ready);
            match ready {
                Ready::Transmit(channel) => drop(self.announced.insert(channel)),
                Ready::Events(conn) => self.conns.get_mut(&conn).expect("known").announced = true,
                Ready::Read(conn) => self.conns.get_mut(&conn).expect("known").paused = false,
                Ready::Write(conn) => self.conns.get_mut(&conn).expect("known").wants_room = false,
            }
        }
        assert!(!self.server.has_news());
        for (key, socket) in &self.sockets {
            if self.conns[&socket.conn].wants_room && self.server.hub().get(*key).is_some() {
                assert!(self.server.outbox_bytes(*key) > MAX_OUTBOX / 2, "room that nobody is told of");
            }
        }
        for (id, conn) in &mut self.conns {
            let has_events = self.server.has_events(*id);
            assert!(!has_events || conn.announced || conn.held, "events that nobody is told of");
            assert!(!has_events || !conn.closed, "something happens after the end");
            assert!(!conn.wants_room || !conn.closed, "there will be no more room");
            let wants_read = self.server.wants_read(*id);
            assert!(!conn.paused || !wants_read || conn.closed, "nobody is told to read on");
            conn.paused = !wants_read;
        }
        let quiet: Vec<_> = self.channels.keys().filter(|id| !self.announced.contains(id)).copied().collect();
        for id in quiet {
            assert_eq!(self.server.poll_transmit(id, self.now), None, "output that nobody is told of");
        }
        self.check_rooms();
    }

    fn check_rooms(&self) {
        let hub = self.server.hub();
        for (key, socket) in &self.sockets {
            if hub.get(*key).is_some() {
                let rooms: BTreeSet<_> = self.server.rooms(*key).map(|room| room.to_string()).collect();
                assert_eq!(rooms, socket.rooms);
                assert_eq!(hub.get(*key).is_some_and(|socket| socket.is_connected()), socket.connected);
                assert!(self.server.outbox_bytes(*key) <= MAX_OUTBOX.max(1000) + (64 << 10));
            }
        }
        for namespace in self.namespaces {
            assert!(hub.all_rooms(namespace).all(|(_, members)| members > 0), "an empty room");
        }
    }

    /// Everybody leaves, or the server closes: nothing may be left.
    fn end(mut self, close: bool) -> u64 {
        if close {
            self.server.close(self.now);
        } else {
            for id in self.channels.keys().copied().collect::<Vec<_>>() {
                self.server.handle_hangup(id, Hangup::Closed, self.now);
                self.channels.remove(&id);
            }
        }
        self.check();
        for _ in 0..4 {
            self.drain_channels(0);
            self.check();
            for conn in self.conns.keys().copied().collect::<Vec<_>>() {
                self.events_of(conn, false);
            }
            self.check();
            // Bodies that never come are given up by the owner.
            let posts: Vec<_> =
                self.channels.iter().filter(|(_, channel)| channel.kind == Kind::Post).collect();
            for id in posts.into_iter().map(|(id, _)| *id).collect::<Vec<_>>() {
                self.server.handle_hangup(id, Hangup::Failed, self.now);
                self.channels.remove(&id);
            }
            self.advance(60_000);
            self.check();
        }
        assert!(self.conns.values().all(|conn| conn.closed), "a connection without end");
        assert!(self.channels.is_empty() && self.sockets.is_empty());
        assert!(self.server.is_empty() && self.server.is_quiet(), "something is left");
        assert_eq!(self.server.poll_timeout(), None);
        for namespace in self.namespaces {
            assert_eq!(
                (self.server.hub().len(namespace), self.server.hub().all_rooms(namespace).count()),
                (0, 0)
            );
        }
        self.trace.finish()
    }
}

/// A hash that is the same everywhere.
pub(super) struct Fnv(u64);

impl Fnv {
    pub(super) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(super) fn note(&mut self, value: &impl core::fmt::Debug) {
        self.write(format!("{value:?}").as_bytes());
    }
}

impl core::hash::Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
