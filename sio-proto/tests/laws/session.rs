//! The laws for an Engine.IO session.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use sio_proto::Instant;
use sio_proto::engine::{
    ChannelId, CloseReason, Config, Dialect, Encoded, Event, Frame, Hangup, Message, Packet, PacketError,
    Response, Revision, SendError, ServerSession, Transmit, Transport, eio3, payload,
};

use crate::harness::{Machine, obey, story};

#[derive(Clone, Debug)]
enum Op {
    Poll,
    BeginPost { binary: bool },
    Body(Vec<String>),
    GiveUpPost { oversize: bool },
    Upgrade,
    Say(String),
    SayBinary(Vec<u8>),
    Fault,
    HangUp { which: usize, failed: bool },
    Send { binary: bool, size: usize },
    Read { fast: bool },
    Pause(bool),
    Close { discard: bool },
    Abort,
}

fn packet() -> impl Strategy<Value = String> {
    let usual = ["4hello", "42", "3", "6", "bAQI="].map(String::from);
    let rare = ["1", "0", "2", "5", "", "9", "b!", "4", "3probe"].map(String::from);
    prop_oneof![8 => prop::sample::select(usual.to_vec()), 1 => prop::sample::select(rare.to_vec()), 1 => any::<String>()]
}

fn op() -> impl Strategy<Value = Op> {
    let body = prop::collection::vec(packet(), 1..4).prop_map(Op::Body);
    let probe = prop::sample::select(vec!["2probe", "5"]).prop_map(|text| Op::Say(text.into()));
    prop_oneof![
        5 => Just(Op::Poll),
        3 => prop::bool::weighted(0.05).prop_map(|binary| Op::BeginPost { binary }),
        3 => body,
        1 => any::<bool>().prop_map(|oversize| Op::GiveUpPost { oversize }),
        3 => Just(Op::Upgrade),
        5 => probe,
        3 => packet().prop_map(Op::Say),
        1 => any::<Vec<u8>>().prop_map(Op::SayBinary),
        1 => Just(Op::Fault),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(which, failed)| Op::HangUp { which, failed }),
        8 => (any::<bool>(), 0..40usize).prop_map(|(binary, size)| Op::Send { binary, size }),
        4 => any::<bool>().prop_map(|fast| Op::Read { fast }),
        1 => any::<bool>().prop_map(Op::Pause),
        1 => any::<bool>().prop_map(|discard| Op::Close { discard }),
        1 => prop::bool::weighted(0.2).prop_map(|abort| if abort { Op::Abort } else { Op::Poll }),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Get,
    Post,
    WebSocket,
}

/// `DIALECT`: an index into the list of `dialect`.
struct World<const DIALECT: usize> {
    session: ServerSession,
    /// Channels that are open, oldest first.
    channels: BTreeMap<ChannelId, Kind>,
    next_channel: u64,
    next_message: u32,
    /// What was accepted and has not arrived.
    owed: VecDeque<String>,
    fast: bool,
    over: bool,
}

const LIMIT: usize = 1000;

impl<const DIALECT: usize> World<DIALECT> {
    fn dialect() -> Dialect {
        let mut dialect = Dialect::default();
        dialect.revision = if DIALECT < 2 { Revision::V4 } else { Revision::V3 };
        dialect.base64 = DIALECT % 2 == 1;
        dialect
    }

    fn is_v3() -> bool {
        Self::dialect().revision == Revision::V3
    }

    /// The same in this dialect: what is usual in revision 4 should be usual here.
    fn translated(text: &str) -> String {
        match text {
            "2" if Self::is_v3() => "3".into(),
            "3" if Self::is_v3() => "2".into(),
            "bAQI=" if Self::is_v3() => "b4AQI=".into(),
            text => text.into(),
        }
    }

    fn body(packets: &[String]) -> String {
        let packets = packets.iter().map(|packet| Self::translated(packet));
        if Self::is_v3() {
            packets.map(|packet| format!("{}:{packet}", packet.encode_utf16().count())).collect()
        } else {
            packets.collect::<Vec<_>>().join("\u{1e}")
        }
    }

    /// The packets in the answer to a poll.
    fn packets(response: Response) -> Vec<Result<Packet, PacketError>> {
        let binary = response.headers.iter().any(|(_, value)| value == "application/octet-stream");
        if binary {
            assert!(Self::is_v3() && !Self::dialect().base64);
            return eio3::decode_binary(response.body).collect();
        }
        let body = response.body.try_into().unwrap();
        if Self::is_v3() { eio3::decode(body).collect() } else { payload::decode(body).collect() }
    }

    fn open(&mut self, kind: Kind) -> ChannelId {
        self.next_channel += 1;
        let id = ChannelId(self.next_channel);
        self.channels.insert(id, kind);
        id
    }

    fn last(&self, kind: Kind) -> Option<ChannelId> {
        self.channels.iter().rev().find(|(_, of)| **of == kind).map(|(id, _)| *id)
    }

    fn refused<T, E>(&mut self, channel: ChannelId, result: Result<T, E>) {
        if result.is_err() {
            self.channels.remove(&channel);
        }
    }

    fn arrived(&mut self, message: String) {
        assert_eq!(self.owed.pop_front(), Some(message), "6: lost, twice, or out of order");
    }

    /// The packet in a frame.
    fn packet(frame: Frame) -> Result<Packet, PacketError> {
        match frame {
            Frame::Binary(_) if Self::dialect().base64 => panic!("bytes for a client that takes text"),
            Frame::Binary(bytes) if Self::is_v3() => eio3::decode_bytes(&bytes),
            Frame::Text(text) if Self::is_v3() => eio3::decode_text(text),
            Frame::Binary(bytes) => Ok(Packet::Message(Message::Binary(bytes))),
            Frame::Text(text) => Packet::decode(text),
            other => panic!("{other:?}"),
        }
    }

    /// What was sent, if it is one of our messages.
    fn content(packet: Result<Packet, PacketError>) -> Option<String> {
        match packet {
            Ok(Packet::Message(Message::Text(text))) => Some(text.as_str().into()),
            Ok(Packet::Message(Message::Binary(bytes))) => {
                Some(format!("bin:{}", String::from_utf8_lossy(&bytes)))
            }
            Ok(_) => None,
            Err(error) => panic!("3: not a packet: {error}"),
        }
    }
}

impl<const DIALECT: usize> Machine for World<DIALECT> {
    type Op = Op;

    fn new() -> Self {
        let mut config = Config::default();
        config.max_outbox = LIMIT;
        let sid = "AAECAwQFBgcICQoLDA0O".parse().unwrap();
        let get = ChannelId(0);
        let (config, polling) = (Arc::new(config), Transport::Polling);
        let session = ServerSession::with_dialect(config, sid, polling, Self::dialect(), get, Instant::ZERO);
        Self {
            session,
            channels: BTreeMap::from([(get, Kind::Get)]),
            next_channel: 0,
            next_message: 0,
            owed: VecDeque::new(),
            fast: true,
            over: false,
        }
    }

    fn apply(&mut self, op: &Op, now: Instant) {
        match op {
            Op::Poll => {
                let channel = self.open(Kind::Get);
                let result = self.session.handle_poll(channel, now);
                self.refused(channel, result);
            }
            Op::BeginPost { binary } => {
                let channel = self.open(Kind::Post);
                let result = self.session.handle_post(channel, binary.then_some("application/octet-stream"));
                self.refused(channel, result);
            }
            Op::Body(body) => {
                if let Some(channel) = self.last(Kind::Post) {
                    let (answer, _) = self.session.handle_body(channel, Self::body(body).into(), now);
                    assert!(
                        answer.is_ok_and(|answer| answer.body == "ok")
                            || !self.session.is_open()
                            || self.last(Kind::WebSocket).is_some()
                    );
                    self.channels.remove(&channel);
                }
            }
            Op::GiveUpPost { oversize } => {
                if let Some(channel) = self.last(Kind::Post) {
                    if *oversize {
                        self.session.handle_oversize(channel);
                    } else {
                        self.session.handle_hangup(channel, Hangup::Failed);
                    }
                    self.channels.remove(&channel);
                }
            }
            Op::Upgrade => {
                let channel = self.open(Kind::WebSocket);
                let result = self.session.handle_upgrade_in(Self::dialect(), channel, now);
                self.refused(channel, result);
            }
            Op::Say(text) => {
                if let Some(channel) = self.last(Kind::WebSocket) {
                    let text = Self::translated(text).as_str().into();
                    let _ = self.session.handle_message(channel, Message::Text(text), now);
                }
            }
            Op::SayBinary(bytes) => {
                if let Some(channel) = self.last(Kind::WebSocket) {
                    let _ = self.session.handle_message(channel, Message::Binary(bytes.clone().into()), now);
                }
            }
            Op::Fault => {
                if let Some(channel) = self.last(Kind::WebSocket) {
                    self.session.handle_fault(channel);
                }
            }
            Op::HangUp { which, failed } => {
                if let Some(channel) = self.channels.keys().nth(which % self.channels.len().max(1)).copied() {
                    self.session
                        .handle_hangup(channel, if *failed { Hangup::Failed } else { Hangup::Closed });
                    self.channels.remove(&channel);
                }
            }
            Op::Send { binary, size } => {
                self.next_message += 1;
                let text = format!("{}{}", self.next_message, "x".repeat(*size));
                let (message, shown) = if *binary {
                    (Message::Binary(text.clone().into()), format!("bin:{text}"))
                } else {
                    (Message::Text(text.as_str().into()), text)
                };
                let packet = Encoded::message(&message);
                let open = self.session.is_open();
                match self.session.send(packet.clone()) {
                    Ok(()) if !open => panic!("6: accepted by a session that closes"),
                    Ok(()) => self.owed.push_back(shown),
                    Err(SendError::Full(back)) => assert_eq!(back, packet),
                    Err(_) => assert!(!self.session.is_open()),
                }
                assert!(self.session.outbox_bytes() <= LIMIT, "4: more waits than is allowed");
            }
            Op::Read { fast } => self.fast = *fast,
            Op::Pause(paused) => self.session.set_paused(*paused),
            Op::Close { discard } => self.session.close(*discard, now),
            Op::Abort => self.session.abort(CloseReason::TransportError),
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
        while let Some(event) = self.session.poll_event() {
            assert!(!self.over, "5: {event:?} after the end");
            if let Event::Closed { undelivered, .. } = event {
                assert_eq!(undelivered, self.owed.len(), "6: {:?} are lost", self.owed);
                self.owed.clear();
                self.over = true;
            }
            trace.push(format!("{event:?}"));
        }
        if !self.fast && !self.over {
            return trace;
        }
        while let Some(channel) = self.session.poll_ready() {
            while let Some(transmit) = self.session.poll_transmit(channel) {
                trace.push(format!("{channel:?} {transmit:?}"));
                let kind = self.channels.get(&channel).copied();
                match transmit {
                    Transmit::Packet(packet) => {
                        assert_eq!(kind, Some(Kind::WebSocket));
                        for frame in packet.frames() {
                            Self::content(Self::packet(frame))
                                .into_iter()
                                .for_each(|message| self.arrived(message));
                        }
                    }
                    Transmit::Respond(response) => {
                        assert_eq!(kind, Some(Kind::Get), "{response:?}");
                        self.channels.remove(&channel);
                        for packet in Self::packets(response) {
                            Self::content(packet).into_iter().for_each(|message| self.arrived(message));
                        }
                    }
                    Transmit::Close => {
                        assert_eq!(kind, Some(Kind::WebSocket));
                        self.channels.remove(&channel);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        // Closing by a poll or a WebSocket happens in `poll_transmit`.
        if !self.over && self.session.is_closed() {
            trace.extend(self.drain());
        }
        for channel in self.channels.keys() {
            assert_eq!(self.session.poll_transmit(*channel), None, "output that nobody is told of");
        }
        trace
    }

    fn is_over(&self) -> bool {
        self.over && self.session.is_drained() && self.channels.values().all(|kind| *kind == Kind::Post)
    }

    fn end(&mut self, _now: Instant) {
        // The peer is silent: the heartbeat finds out.
        self.fast = true;
        self.session.set_paused(false);
    }
}

proptest! {
    #[test]
    fn a_session_obeys(story in story(op())) {
        obey::<World<0>>(&story);
    }

    #[test]
    fn a_session_in_base64_obeys(story in story(op())) {
        obey::<World<1>>(&story);
    }

    #[test]
    fn a_session_of_revision_3_obeys(story in story(op())) {
        obey::<World<2>>(&story);
    }

    #[test]
    fn a_session_of_revision_3_in_base64_obeys(story in story(op())) {
        obey::<World<3>>(&story);
    }

    #[test]
    fn what_a_poll_takes_decodes_to_what_was_sent(messages in prop::collection::vec(any::<Result<String, Vec<u8>>>(), 1..20)) {
        // A text message with a separator in it cannot travel by polling in revision 4, in any implementation.
        let plain: Vec<_> =
            messages.iter().cloned().map(|message| message.map(|text| text.replace('\u{1e}', ""))).collect();
        one_poll::<0>(plain);
        one_poll::<2>(messages.clone());
        one_poll::<3>(messages);
    }
}

fn one_poll<const DIALECT: usize>(messages: Vec<Result<String, Vec<u8>>>) {
    let mut world = World::<DIALECT>::new();
    world.drain();
    let accepted: Vec<Packet> = messages
        .into_iter()
        .map(|message| match message {
            Ok(text) => Message::Text(text.as_str().into()),
            Err(bytes) => Message::Binary(Bytes::from(bytes)),
        })
        .filter(|message| world.session.send(Encoded::message(message)).is_ok())
        .map(Packet::Message)
        .collect();
    world.session.handle_poll(ChannelId(1), Instant::ZERO).unwrap();
    let Some(Transmit::Respond(response)) = world.session.poll_transmit(ChannelId(1)) else {
        panic!("an answer")
    };
    let got: Result<Vec<_>, _> = World::<DIALECT>::packets(response).into_iter().collect();
    assert_eq!(got, Ok(accepted));
}
