//! The composite client, whose server says anything at any time, with an application that makes use of everything.
//!
//! After every step the world checks what the client promises: deadlines move on, requests are as the protocol wants them, each
//! event is sent once and in order or at least once with `retries`, each question is answered once, memory is bounded, and nothing is left at the end.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::Hasher as _;
use core::time::Duration;

use bytes::Bytes;

use super::texts;
use super::world::{Fnv, Op};
use crate::client::{Client, Config, Event};
use crate::engine::{
    Answer, ChannelId, ClientConfig, ClientRequest, Message, Transmit, Transport, TransportError,
};
use crate::socket::{
    AckId, AuthSource, BufferOverflow, ClientConnEvent, Emit, Emitted, Encoder, Slot, SocketConfig, Ticket,
};
use crate::{Instant, Seed};

/// Runs the steps in `bytes`, four bytes each, twice; both runs must be the same.
pub fn client_ops(bytes: &[u8]) {
    // More than this finds nothing more, only later.
    let ops: Vec<Op> = bytes.chunks_exact(4).take(500).map(|op| [op[0], op[1], op[2], op[3]]).collect();
    assert_eq!(run(&ops), run(&ops), "the same seed and inputs, but another trace");
}

fn run(ops: &[Op]) -> u64 {
    let mut world = World::new(ops.first().map_or(0, |op| op[3]));
    for op in ops {
        world.step(*op);
        world.check();
    }
    world.end()
}

/// What servers say: most of it right, at the right time.
const PACKETS: [&str; 40] = [
    r#"0{"sid":"a","upgrades":["websocket"],"pingInterval":2000,"pingTimeout":1000,"maxPayload":400}"#,
    r#"0{"sid":"a","upgrades":["websocket"],"pingInterval":2000,"pingTimeout":1000,"maxPayload":400}"#,
    r#"0{"sid":"a","upgrades":[],"pingInterval":2000,"pingTimeout":1000}"#,
    r#"40{"sid":"s"}"#,
    r#"40{"sid":"s","pid":"p"}"#,
    r#"40/one,{"sid":"t"}"#,
    r#"40/one,{"sid":"t"}"#,
    r#"40/two,{"sid":"u","pid":"q"}"#,
    r#"40/two,{"sid":"u"}"#,
    "430[]",
    "431[1]",
    "432[]",
    "43/one,0[]",
    "43/one,1[]",
    "43/one,2[]",
    "43/two,0[]",
    r#"42["m","QMvIfzn"]"#,
    r#"421["m"]"#,
    r#"42/one,["m"]"#,
    r#"42/one,7["m"]"#,
    r#"42/two,["m","QMvIfzo"]"#,
    r#"451-["b",{"_placeholder":true,"num":0}]"#,
    "bAQI=",
    "2",
    "2",
    "2",
    "6",
    "3probe",
    "3probe",
    "41",
    "41/one,",
    r#"44{"message":"no"}"#,
    "44/two,",
    "40",
    "1",
    "4",
    "42{}",
    "0{}",
    "9",
    "",
];

const NAMES: [&str; 3] = ["/", "/one", "/two"];
const MAX_BUFFER: usize = 600;
const MAX_INBOX: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Get,
    Post,
    Dial,
    WebSocket,
}

#[derive(Default)]
struct Namespace {
    /// Questions without an answer.
    asked: BTreeSet<u64>,
    /// The number of the last event that was sent.
    last: Option<u64>,
    connected: bool,
    tickets: Vec<Ticket>,
    owed: Vec<AckId>,
}

struct World {
    client: Client,
    encoder: Encoder,
    now: Instant,
    slots: [Slot; 3],
    namespaces: BTreeMap<Slot, Namespace>,
    channels: BTreeMap<ChannelId, Kind>,
    used: BTreeSet<ChannelId>,
    next_event: u64,
    trace: Fnv,
}

impl World {
    fn new(how: u8) -> Self {
        let transports = match how % 4 {
            0 => alloc::vec![Transport::Polling],
            1 => alloc::vec![Transport::WebSocket],
            2 => alloc::vec![Transport::WebSocket, Transport::Polling],
            _ => alloc::vec![Transport::Polling, Transport::WebSocket],
        };
        let engine = ClientConfig {
            transports,
            try_all_transports: how & 4 != 0,
            request_timeout: (how & 8 != 0).then(|| Duration::from_secs(5)),
            max_message_size: 2000,
            ..ClientConfig::default()
        };
        let config = Config {
            engine: Arc::new(engine),
            reconnection_attempts: (how & 16 != 0).then_some(3),
            remember_upgrade: how & 32 != 0,
            max_outbox: MAX_BUFFER,
            max_inbox: MAX_INBOX,
            max_inbox_bytes: 1000,
            max_unheard: 3,
            max_unheard_bytes: 1000,
            ..Config::default()
        };
        let mut client = Client::new(config, Seed([how; 32]));
        let settings = |retries, auth, overflow| SocketConfig {
            auth,
            retries,
            max_send_buffer: MAX_BUFFER,
            send_buffer_overflow: overflow,
            ..SocketConfig::default()
        };
        let slots = [
            client.socket(NAMES[0], settings(None, AuthSource::None, BufferOverflow::Refuse)),
            client.socket(NAMES[1], settings(Some(2), AuthSource::Ask, BufferOverflow::Refuse)),
            client.socket(NAMES[2], settings(None, AuthSource::Ask, BufferOverflow::DropOldest)),
        ];
        Self {
            client,
            encoder: Encoder::new(),
            now: Instant::ZERO,
            namespaces: slots.iter().map(|slot| (*slot, Namespace::default())).collect(),
            slots,
            channels: BTreeMap::new(),
            used: BTreeSet::new(),
            next_event: 0,
            trace: Fnv::new(),
        }
    }

    fn at(&mut self, slot: Slot) -> &mut Namespace {
        self.namespaces.get_mut(&slot).expect("a known namespace")
    }

    // ---- Steps --------------------------------------------------------------------------------------------------

    fn step(&mut self, [what, who, how, more]: Op) {
        let slot = self.slots[usize::from(who) % 3];
        match what % 32 {
            0..=3 => self.answer(who, how, more),
            4 | 5 => self.open(who),
            6..=10 => self.say(who, how, more),
            11 => self.say_binary(who, how),
            12 => self.fail(who, how),
            13 => self.advance(u64::from(how) * u64::from(more)),
            14 => self.advance(u64::from(how)),
            15 | 16 => drop(self.client.connect(slot, self.now)),
            17 => self.client.disconnect(slot, self.now),
            18..=20 => self.emit(slot, how, more),
            21 => self.authenticate(slot, how),
            22 => self.acknowledge(slot),
            23 => self.client.clear_send_buffer(slot, self.now),
            24 => {
                let heard = self.client.poll_aside(slot, self.now);
                self.trace.note(&heard);
            }
            25 => self.client.set_reconnection(how & 3 != 0),
            26 | 27 => self.events(more),
            // A connection that cannot be written to for a while.
            28 | 29 => self.transmit(who),
            30 if how == 255 => self.client.close(self.now),
            _ => {
                self.transmit(0);
                self.transmit(1);
            }
        }
    }

    /// One of the open channels of these kinds.
    fn channel(&self, who: u8, kinds: &[Kind]) -> Option<ChannelId> {
        let of: Vec<_> = self.channels.iter().filter(|(_, kind)| kinds.contains(kind)).collect();
        of.get(usize::from(who) % of.len().max(1)).map(|(channel, _)| **channel)
    }

    fn answer(&mut self, who: u8, how: u8, more: u8) {
        let Some(channel) = self.channel(who, &[Kind::Get, Kind::Post]) else { return };
        let kind = self.channels.remove(&channel);
        let mut body = String::from(PACKETS[usize::from(how) % PACKETS.len()]);
        for at in 0..more % 4 {
            body.push('\u{1e}');
            body.push_str(PACKETS[usize::from(how ^ more.rotate_left(at.into())) % PACKETS.len()]);
        }
        if kind == Some(Kind::Post) {
            body = "ok".into();
        }
        let status = if more > 250 { [400, 302, 500, 204, 101][usize::from(more - 251)] } else { 200 };
        let body = if more == 250 { Bytes::from_static(&[0xff]) } else { body.into() };
        let _ = self.client.handle_answer(channel, Answer { status, location: None, body }, self.now);
    }

    fn open(&mut self, who: u8) {
        let Some(channel) = self.channel(who, &[Kind::Dial]) else { return };
        self.channels.insert(channel, Kind::WebSocket);
        self.client.handle_open(channel, self.now);
    }

    fn say(&mut self, who: u8, how: u8, more: u8) {
        let Some(channel) = self.channel(who, &[Kind::WebSocket]) else { return };
        // One that we do not read from may have had one more message on its way.
        if !self.client.wants_read() && more & 3 != 0 {
            return;
        }
        let text = PACKETS[usize::from(how) % PACKETS.len()];
        let _ = self.client.handle_message(channel, Message::Text(text.into()), self.now);
    }

    fn say_binary(&mut self, who: u8, how: u8) {
        let Some(channel) = self.channel(who, &[Kind::WebSocket]) else { return };
        let bytes = alloc::vec![how; usize::from(how) * 10];
        let _ = self.client.handle_message(channel, Message::Binary(bytes.into()), self.now);
    }

    fn fail(&mut self, who: u8, how: u8) {
        let kinds = [Kind::Get, Kind::Post, Kind::Dial, Kind::WebSocket];
        let Some(channel) = self.channel(who, &kinds[usize::from(how % 4)..]) else { return };
        self.channels.remove(&channel);
        let error = if how & 4 == 0 { TransportError::Closed } else { TransportError::Io("broken".into()) };
        self.client.handle_failure(channel, error, self.now);
    }

    fn advance(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(at) = self.client.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.client.handle_timeout(self.now);
            self.check();
            assert!(self.client.poll_timeout().is_none_or(|at| at > self.now), "a deadline does not move on");
        }
        self.now = end;
        // Too early is harmless.
        self.client.handle_timeout(self.now);
    }

    fn emit(&mut self, slot: Slot, how: u8, more: u8) {
        let name = self.client.conn().name(slot).expect("known").clone();
        let number = self.next_event;
        self.next_event += 1;
        let ack = (more & 3 != 0).then_some(u64::from(how % 4));
        let filler = "x".repeat(usize::from(how) * usize::from(more >> 6));
        let packet = self.encoder.event(&name, ack, "e", &(number, filler)).expect("an event");
        let timeout = (more & 4 != 0).then(|| Duration::from_millis(u64::from(how) * 10));
        let emit = Emit { packet, ack, timeout, volatile: more & 0x38 == 0x38 };
        let emitted = self.client.emit(slot, emit, self.now);
        self.trace.note(&emitted);
        // What made room for this one, or was answered before, may have had the same id.
        self.events(0);
        if let (Ok(Emitted::Queued | Emitted::Buffered), Some(ack)) = (emitted, ack) {
            assert!(self.at(slot).asked.insert(ack), "an id is used twice");
        }
    }

    fn authenticate(&mut self, slot: Slot, how: u8) {
        let Some(ticket) = self.at(slot).tickets.pop() else { return };
        let auth = match how % 4 {
            0 => Err("no".into()),
            1 => Ok(None),
            _ => Ok(Some(r#"{"a":1}"#.into())),
        };
        let done = self.client.authenticate(slot, ticket, auth, self.now);
        self.trace.note(&done);
    }

    fn acknowledge(&mut self, slot: Slot) {
        let Some(ack) = self.at(slot).owed.pop() else { return };
        let name = self.client.conn().name(slot).expect("known").clone();
        let packet = self.encoder.ack(&name, ack.id(), &()).expect("an acknowledgement");
        let done = self.client.ack(slot, ack, packet);
        assert!(done.is_err() || self.client.conn().is_connected(slot), "nobody is there");
    }

    // ---- Outputs ------------------------------------------------------------------------------------------------

    fn requests(&mut self) {
        while let Some(request) = self.client.poll_request(self.now) {
            self.trace.note(&request);
            let (channel, kind) = match request {
                ClientRequest::WebSocket { channel, .. } => (channel, Kind::Dial),
                ClientRequest::Get { channel, .. } => (channel, Kind::Get),
                ClientRequest::Post { channel, body, .. } => {
                    let body = core::str::from_utf8(&body).expect("payloads are text");
                    body.split('\u{1e}').for_each(|text| self.sent(text));
                    (channel, Kind::Post)
                }
                ClientRequest::Abort { channel } => {
                    assert!(self.channels.remove(&channel).is_some(), "a channel that is over is given up");
                    continue;
                }
            };
            assert!(self.used.insert(channel), "a channel is used twice");
            assert!(kind == Kind::Dial || !self.channels.values().any(|of| *of == kind), "B60: two {kind:?}");
            self.channels.insert(channel, kind);
        }
    }

    fn transmit(&mut self, who: u8) {
        let Some(channel) = self.channel(who, &[Kind::WebSocket]) else { return };
        while let Some(transmit) = self.client.poll_transmit(channel, self.now) {
            self.trace.note(&transmit);
            match transmit {
                Transmit::Packet(packet) => texts(&packet).for_each(|text| self.sent(&text)),
                Transmit::Close => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The server gets a packet: it must come after those before it, and not twice, or be tried again.
    fn sent(&mut self, text: &str) {
        let Some((head, rest)) = text.split_once("[\"e\",") else { return };
        let number: u64 =
            rest.split([',', ']']).next().and_then(|number| number.parse().ok()).expect("a number");
        let at = NAMES.iter().rposition(|name| *name != "/" && head.contains(name)).unwrap_or(0);
        let again = u64::from(at != 1);
        let last = self.at(self.slots[at]).last.replace(number);
        // Volatile events go by the queue of those that are sent again.
        assert!(at == 1 || last.is_none_or(|last| number >= last + again), "twice, or out of order: {text}");
    }

    fn events(&mut self, more: u8) {
        while let Some(event) = self.client.poll_event(&[], self.now) {
            self.trace.note(&event);
            let Event::Socket(event) = event else { continue };
            let namespace = self.at(event.slot());
            match &event {
                ClientConnEvent::Authenticate { ticket, .. } => namespace.tickets.push(*ticket),
                ClientConnEvent::Connect { .. } => {
                    assert!(!core::mem::replace(&mut namespace.connected, true), "connected twice");
                }
                ClientConnEvent::ConnectError { .. } => {
                    assert!(!namespace.connected, "an error while connected");
                }
                ClientConnEvent::Event { ack, .. } => namespace.owed.extend(*ack),
                ClientConnEvent::Ack { id, .. } => {
                    assert!(namespace.asked.remove(id), "an answer that nobody waits for");
                }
                // It may be sent away before it was ever let in (B138).
                ClientConnEvent::Disconnect { .. } => namespace.connected = false,
            }
            if more & 1 == 1 && matches!(event, ClientConnEvent::Event { .. }) {
                self.client.put_aside(event, self.now);
            }
        }
    }

    // ---- What must hold -----------------------------------------------------------------------------------------

    fn check(&mut self) {
        self.requests();
        for slot in self.slots {
            // What a connection has not taken is buffered again, and both bounds let one in that is too large.
            let buffered = self.client.conn().buffered(slot);
            assert!(buffered <= 4 * MAX_BUFFER + 4000, "{buffered} bytes wait");
            assert_eq!(self.client.conn().id(slot).is_some(), self.client.conn().is_connected(slot));
        }
        if self.client.is_closed() && self.client.is_quiet() {
            assert_eq!(self.client.poll_timeout(), None, "a deadline after the end");
            assert!(self.channels.is_empty(), "a channel after the end: {:?}", self.channels);
        }
    }

    /// The client closes: nothing may be left.
    fn end(mut self) -> u64 {
        self.client.close(self.now);
        self.check();
        for _ in 0..4 {
            self.transmit(0);
            self.transmit(1);
            self.events(0);
            self.check();
            self.advance(60_000);
            self.check();
        }
        assert!(self.client.is_quiet(), "it does not end: {:?}", self.client);
        assert_eq!(self.client.poll_timeout(), None);
        self.events(0);
        assert!(!self.client.has_events());
        for (slot, namespace) in &self.namespaces {
            assert!(!namespace.connected && namespace.asked.is_empty(), "{slot:?} has no end");
            assert_eq!(self.client.conn().buffered(*slot), 0, "{slot:?} keeps something");
        }
        let trace = format!("{:?}", self.now);
        self.trace.note(&trace);
        self.trace.finish()
    }
}
