//! A client whose server says anything.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use sio_proto::engine::{
    Answer, ChannelId, ClientConfig, ClientEvent, ClientRequest, ClientSession, CloseReason, Encoded,
    Message, Packet, Transmit, Transport, TransportError, payload,
};
use sio_proto::{Instant, Seed};

use crate::common::show;
use crate::harness::Machine;

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Answer { which: usize, status: u16, body: Vec<u8> },
    Say { which: usize, text: String },
    SayBinary { which: usize, bytes: Vec<u8> },
    Open(usize),
    Fail { which: usize, closed: bool },
    Send { binary: bool, size: usize },
    Read { fast: bool },
    Pause(bool),
    CheckAlive,
    Close,
    Abort,
}

const OPEN: &str =
    r#"0{"sid":"a","upgrades":["websocket"],"pingInterval":250,"pingTimeout":200,"maxPayload":60}"#;

const LIMIT: usize = 400;

fn packet() -> impl Strategy<Value = String> {
    let usual = ["4hello", "42", "2", "6", "bAQI=", OPEN].map(String::from);
    let rare = ["1", "0", "3", "5", "", "9", "b!", "4", "3probe", "2probe"].map(String::from);
    let fields = (any::<i64>(), any::<u32>(), any::<String>()).prop_map(|(a, b, sid)| {
        format!(
            r#"0{{"sid":{sid:?},"upgrades":["{sid}"],"pingInterval":{a},"pingTimeout":{b},"maxPayload":{b}}}"#
        )
    });
    prop_oneof![
        12 => prop::sample::select(usual.to_vec()),
        2 => prop::sample::select(rare.to_vec()),
        1 => any::<String>(),
        1 => fields,
        1 => Just("4".repeat(LIMIT)),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        9 => prop::collection::vec(packet(), 1..4).prop_map(|packets| packets.join("\u{1e}").into_bytes()),
        1 => any::<Vec<u8>>(),
    ]
}

/// Mostly a request that is under way.
fn which() -> impl Strategy<Value = usize> {
    any::<usize>()
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let status = prop_oneof![30 => Just(200), 1 => any::<u16>(), 1 => Just(302)];
    let probe = Just("3probe".to_owned());
    prop_oneof![
        10 => (which(), status, body()).prop_map(|(which, status, body)| Op::Answer { which, status, body }),
        6 => (which(), prop_oneof![packet(), probe]).prop_map(|(which, text)| Op::Say { which, text }),
        1 => (which(), any::<Vec<u8>>()).prop_map(|(which, bytes)| Op::SayBinary { which, bytes }),
        4 => which().prop_map(Op::Open),
        1 => (which(), any::<bool>()).prop_map(|(which, closed)| Op::Fail { which, closed }),
        6 => (any::<bool>(), 0..80usize).prop_map(|(binary, size)| Op::Send { binary, size }),
        2 => any::<bool>().prop_map(|fast| Op::Read { fast }),
        1 => any::<bool>().prop_map(Op::Pause),
        1 => Just(Op::CheckAlive),
        1 => prop::bool::weighted(0.4).prop_map(|close| if close { Op::Close } else { Op::CheckAlive }),
        1 => prop::bool::weighted(0.1).prop_map(|abort| if abort { Op::Abort } else { Op::CheckAlive }),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Get,
    Post,
    WebSocket,
}

pub(crate) struct World {
    session: ClientSession,
    /// What is under way.
    channels: BTreeMap<ChannelId, Kind>,
    begun: Vec<ChannelId>,
    /// What was accepted and has not gone out.
    owed: VecDeque<String>,
    sent: u32,
    fast: bool,
    opened: bool,
    over: bool,
}

impl World {
    fn channel(&self, which: usize, kind: impl Fn(Kind) -> bool) -> ChannelId {
        let fitting: Vec<_> = self.channels.iter().filter(|(_, of)| kind(**of)).map(|(id, _)| *id).collect();
        // Now and then one that is none, or not any more.
        if which % 16 == 0 || fitting.is_empty() {
            self.begun.get(which / 16 % 20).copied().unwrap_or(ChannelId(1000))
        } else {
            fitting[which % fitting.len()]
        }
    }

    fn went_out(&mut self, text: &str) {
        let content = match Packet::decode(text.into()) {
            Ok(Packet::Message(Message::Text(text))) => text.as_str().into(),
            Ok(Packet::Message(Message::Binary(bytes))) => format!("bin:{}", String::from_utf8_lossy(&bytes)),
            Ok(_) => return,
            Err(error) => panic!("3: {text:?} is not a packet: {error}"),
        };
        self.went_out_message(content);
    }

    fn went_out_message(&mut self, content: String) {
        assert_eq!(self.owed.pop_front(), Some(content), "6: lost, twice, or out of order");
    }

    fn requested(&mut self, request: ClientRequest) {
        let (channel, kind) = match request {
            ClientRequest::Get { channel, .. } => (channel, Kind::Get),
            ClientRequest::WebSocket { channel, .. } => (channel, Kind::WebSocket),
            ClientRequest::Post { channel, body, .. } => {
                let body = String::from_utf8(body.to_vec()).expect("text");
                body.split(char::from(payload::SEPARATOR)).for_each(|packet| self.went_out(packet));
                (channel, Kind::Post)
            }
            ClientRequest::Abort { channel } => {
                // It may have ended before this was asked for.
                self.channels.remove(&channel);
                assert!(self.begun.contains(&channel), "only what was begun is dropped");
                return;
            }
            other => panic!("{other:?}"),
        };
        assert!(!self.session.is_closed(), "5: nothing is begun after the end");
        assert!(!self.channels.values().any(|of| *of == kind), "B60: one {kind:?} at a time");
        assert!(!self.begun.contains(&channel), "numbers are not used twice");
        self.begun.push(channel);
        self.channels.insert(channel, kind);
    }
}

impl Machine for World {
    type Op = Op;

    fn new() -> Self {
        let mut config = ClientConfig::default();
        config.max_message_size = LIMIT;
        config.try_all_transports = true;
        config.request_timeout = Some(Duration::from_secs(1));
        let session = ClientSession::new(
            Arc::new(config),
            Transport::Polling,
            Seed([1; 32]),
            ChannelId(0),
            Instant::ZERO,
        );
        Self {
            session,
            channels: BTreeMap::new(),
            begun: Vec::new(),
            owed: VecDeque::new(),
            sent: 0,
            fast: true,
            opened: false,
            over: false,
        }
    }

    fn apply(&mut self, op: &Op, now: Instant) {
        match op {
            Op::Answer { which, status, body } => {
                let channel = self.channel(*which, |kind| kind != Kind::WebSocket);
                let known = matches!(self.channels.get(&channel), Some(Kind::Get | Kind::Post));
                if known {
                    self.channels.remove(&channel);
                }
                let answer = Answer { status: *status, location: None, body: body.clone().into() };
                let result = self.session.handle_answer(channel, answer, now);
                assert!(known || result.is_ok());
            }
            Op::Say { which, text } => {
                let channel = self.channel(*which, |kind| kind == Kind::WebSocket);
                let _ = self.session.handle_message(channel, Message::Text(text.as_str().into()), now);
            }
            Op::SayBinary { which, bytes } => {
                let channel = self.channel(*which, |kind| kind == Kind::WebSocket);
                let _ = self.session.handle_message(channel, Message::Binary(bytes.clone().into()), now);
            }
            Op::Open(which) => {
                let channel = self.channel(*which, |kind| kind == Kind::WebSocket);
                self.session.handle_open(channel, now);
            }
            Op::Fail { which, closed } => {
                let channel = self.channel(*which, |_| true);
                self.channels.remove(&channel);
                let error =
                    if *closed { TransportError::Closed } else { TransportError::Io("broken".into()) };
                self.session.handle_failure(channel, error, now);
            }
            Op::Send { binary, size } => {
                self.sent += 1;
                let text = format!("{}{}", self.sent, "x".repeat(*size));
                let (message, shown) = if *binary {
                    (Message::Binary(text.clone().into()), format!("bin:{text}"))
                } else {
                    (Message::Text(text.as_str().into()), text)
                };
                let (open, wants) = (self.session.is_open(), self.session.wants_packet());
                let writable = self.session.is_writable();
                assert!(wants || !writable, "who can write wants packets");
                assert!(open || !wants);
                assert_eq!(self.session.send(Encoded::message(&message)).is_ok(), open);
                if open {
                    self.owed.push_back(shown);
                }
                if writable && self.fast {
                    let trace = self.drain();
                    assert!(self.owed.is_empty(), "it goes out at once: {trace:?}");
                }
            }
            Op::Read { fast } => self.fast = *fast,
            Op::Pause(paused) => self.session.set_paused(*paused, now),
            Op::CheckAlive => {
                let alive = self.session.check_alive(now);
                assert_eq!(alive, !self.session.is_closed());
            }
            Op::Close => self.session.close(now),
            Op::Abort => self.session.abort(CloseReason::ParseError, None),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.session.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.session.poll_timeout()
    }

    fn drain(&mut self) -> Vec<String> {
        let mut trace = Vec::new();
        if self.fast || self.session.is_closed() {
            while let Some(request) = self.session.poll_request() {
                trace.push(format!("{request:?}"));
                self.requested(request);
            }
            for channel in (0..40).map(ChannelId) {
                while let Some(transmit) = self.session.poll_transmit(channel) {
                    trace.push(format!("{channel:?} {transmit:?}"));
                    assert_eq!(self.channels.get(&channel), Some(&Kind::WebSocket));
                    match transmit {
                        Transmit::Packet(packet) => {
                            for frame in packet.frames() {
                                let shown = show(&frame);
                                if shown.starts_with("bin:") {
                                    self.went_out_message(shown);
                                } else {
                                    self.went_out(&shown);
                                }
                            }
                        }
                        Transmit::Close => {
                            self.channels.remove(&channel);
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
        while let Some(event) = self.session.poll_event() {
            assert!(!self.over, "5: {event:?} after the end");
            match &event {
                ClientEvent::Open(_) => {
                    assert!(!self.opened);
                    self.opened = true;
                }
                ClientEvent::Closed { undelivered, .. } => {
                    assert_eq!(*undelivered, self.owed.len(), "6: {:?} are lost", self.owed);
                    self.owed.clear();
                    self.over = true;
                }
                _ => assert!(self.opened, "{event:?} before it is open"),
            }
            trace.push(format!("{event:?}"));
        }
        trace
    }

    fn is_over(&self) -> bool {
        self.over && self.channels.is_empty() && self.session.is_closed()
    }

    /// The server is silent: the heartbeat or the requests' time finds out; the opening of a WebSocket is bounded above.
    fn end(&mut self, now: Instant) {
        self.fast = true;
        self.session.set_paused(false, now);
        self.drain();
        if !self.opened {
            self.session.abort(CloseReason::ForcedClose, None);
        }
    }
}
