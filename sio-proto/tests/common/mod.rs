//! What the scenario tests share: a server with a clock that only they move, and peers that speak the protocol by hand.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

pub mod hand;
pub mod net;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sio_proto::engine::{
    self, BadRequest, ChannelId, Encoded, Frame, Hangup, Message, Refusal, Request, Response, Transmit,
};
use sio_proto::hub::{NamespaceId, Scope, SocketKey};
use sio_proto::server::{
    Admission, Broadcast, Config, ConnId, Delivery, EmitError, Event, Op, Ready, Server,
};
use sio_proto::socket::{Args, Encoder};
use sio_proto::{Instant, Seed, Sid};

pub const MISMATCH: Refusal = Refusal::BadRequest(BadRequest::TransportMismatch);

/// A client that polls.
#[derive(Clone, Copy, Debug)]
pub struct Poller {
    pub sid: Sid,
    pub conn: ConnId,
}

/// A client on a WebSocket.
#[derive(Clone, Copy, Debug)]
pub struct Ws {
    pub channel: ChannelId,
    pub conn: ConnId,
}

pub struct Rig {
    pub server: Server,
    pub now: Instant,
    pub encoder: Encoder,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(|_, _| {})
    }

    pub fn with(change: impl FnOnce(&mut engine::Config, &mut Config)) -> Self {
        let (mut engine, mut config) = (engine::Config::default(), Config::default());
        change(&mut engine, &mut config);
        config.engine = Arc::new(engine);
        Self { server: Server::new(config, Seed([1; 32])), now: Instant::ZERO, encoder: Encoder::new() }
    }

    // ---- Peers --------------------------------------------------------------------------------------------------

    pub fn poller(&mut self) -> Poller {
        let Ok(Admission::Poll(channel)) = self.server.handle_request(Request::Handshake, None, self.now)
        else {
            panic!("handshake is refused");
        };
        let conn = self.server.conn_of(channel).expect("a new connection");
        Poller { sid: sid_of(&self.answer(channel)), conn }
    }

    pub fn websocket(&mut self) -> Ws {
        let channel = self.server.open_websocket(None, self.now).expect("a new session");
        let conn = self.server.conn_of(channel).expect("a new connection");
        let ws = Ws { channel, conn };
        let [open] = &self.frames(ws)[..] else { panic!("one open packet") };
        assert!(open.starts_with("0{"), "{open}");
        ws
    }

    /// A WebSocket that asks for an upgrade; nothing is sent on it yet.
    pub fn probe(&mut self, peer: Poller) -> Result<Ws, Refusal> {
        let channel = self.server.open_websocket(Some(peer.sid), self.now)?;
        Ok(Ws { channel, conn: peer.conn })
    }

    /// All of an upgrade.
    pub fn upgrade(&mut self, peer: Poller) -> Ws {
        let ws = self.probe(peer).expect("an upgrade");
        self.say(ws, "2probe").expect("a probe");
        assert_eq!(self.frames(ws), ["3probe"]);
        self.say(ws, "5").expect("an upgrade packet");
        assert_eq!(self.events(peer.conn), [Event::Upgraded]);
        ws
    }

    /// A GET.
    pub fn get(&mut self, peer: Poller) -> Result<ChannelId, Refusal> {
        match self.server.handle_request(Request::Poll(peer.sid), None, self.now)? {
            Admission::Poll(channel) => Ok(channel),
            other => panic!("{other:?}"),
        }
    }

    /// The answer to a GET, if it is there.
    pub fn response(&mut self, channel: ChannelId) -> Option<Response> {
        match self.server.poll_transmit(channel, self.now)? {
            Transmit::Respond(response) => Some(response),
            other => panic!("{other:?}"),
        }
    }

    /// The body of the answer to a GET, which must be there.
    pub fn answer(&mut self, channel: ChannelId) -> String {
        let response = self.response(channel).expect("an answer");
        assert_eq!(response.status, 200);
        String::from_utf8(response.body.to_vec()).expect("text")
    }

    /// A GET that is answered at once.
    pub fn poll(&mut self, peer: Poller) -> String {
        let channel = self.get(peer).expect("a poll");
        self.answer(channel)
    }

    /// Opens a POST.
    pub fn begin_post(&mut self, peer: Poller) -> Result<ChannelId, Refusal> {
        match self.server.handle_request(Request::Post(peer.sid), Some("text/plain"), self.now)? {
            Admission::Post(channel) => Ok(channel),
            other => panic!("{other:?}"),
        }
    }

    /// A POST with its body; the answer's body.
    pub fn post(&mut self, peer: Poller, body: impl Into<Bytes>) -> String {
        let channel = self.begin_post(peer).expect("a post");
        let (response, _) = self.server.handle_body(channel, body.into(), self.now);
        String::from_utf8(response.expect("an answer").body.to_vec()).expect("text")
    }

    /// A text frame from a WebSocket.
    pub fn say(&mut self, ws: Ws, text: &str) -> Result<(), sio_proto::server::PeerError> {
        self.server.handle_message(ws.channel, Message::Text(text.into()), self.now)
    }

    /// A binary frame from a WebSocket.
    pub fn say_binary(&mut self, ws: Ws, bytes: &[u8]) -> Result<(), sio_proto::server::PeerError> {
        self.server.handle_message(ws.channel, Message::Binary(Bytes::copy_from_slice(bytes)), self.now)
    }

    /// What a WebSocket gets: text as it is, binary as `bin:…`, its end as `close`.
    pub fn frames(&mut self, ws: Ws) -> Vec<String> {
        let mut frames = Vec::new();
        while let Some(transmit) = self.server.poll_transmit(ws.channel, self.now) {
            match transmit {
                Transmit::Packet(packet) => frames.extend(packet.frames().map(|frame| show(&frame))),
                Transmit::Close => frames.push("close".into()),
                Transmit::Abort => frames.push("abort".into()),
                other => panic!("{other:?}"),
            }
        }
        frames
    }

    pub fn hang_up(&mut self, channel: ChannelId) {
        self.server.handle_hangup(channel, Hangup::Closed, self.now);
    }

    // ---- The application ----------------------------------------------------------------------------------------

    pub fn events(&mut self, conn: ConnId) -> Vec<Event> {
        std::iter::from_fn(|| self.server.poll_event(conn, &[])).collect()
    }

    /// The events in short: `connect`, `["name",…]`, `+id` if acknowledged, …
    pub fn told(&mut self, conn: ConnId) -> Vec<String> {
        self.events(conn).iter().map(brief).collect()
    }

    pub fn ready(&mut self) -> Vec<Ready> {
        std::iter::from_fn(|| self.server.poll_ready()).collect()
    }

    /// The socket of the one CONNECT that waits for an answer.
    pub fn asked(&mut self, conn: ConnId) -> SocketKey {
        match &self.events(conn)[..] {
            [Event::Connect { socket, .. }] => *socket,
            other => panic!("one connect event, not {other:?}"),
        }
    }

    /// CONNECT over a WebSocket, accepted; its reply is taken.
    pub fn join(&mut self, ws: Ws, namespace: &str) -> SocketKey {
        self.say(ws, &format!("40{namespace}")).expect("a connect packet");
        let socket = self.asked(ws.conn);
        self.server.accept(socket, self.now).expect("a client that waits");
        assert_eq!(self.frames(ws).len(), 1);
        socket
    }

    /// CONNECT by POST, accepted; its reply is taken.
    pub fn join_by_post(&mut self, peer: Poller) -> SocketKey {
        self.post(peer, "40");
        let socket = self.asked(peer.conn);
        self.server.accept(socket, self.now).expect("a client that waits");
        assert!(self.poll(peer).starts_with("40{"));
        socket
    }

    pub fn root(&mut self) -> NamespaceId {
        self.server.of("/")
    }

    /// An event for `/`.
    pub fn event<A: Args + ?Sized>(&mut self, name: &str, args: &A) -> Encoded {
        self.encoder.event("/", None, name, args).expect("an event")
    }

    pub fn emit(&mut self, socket: SocketKey, name: &str) -> Result<(), EmitError> {
        let packet = self.event(name, &());
        self.server.emit(socket, packet, false)
    }

    pub fn broadcast(&mut self, scope: &Scope, name: &str) -> Delivery {
        let (namespace, packet) = (self.root(), self.event(name, &()));
        let op = Op::Broadcast(Broadcast { packet, volatile: false, ack: None, offset: None });
        self.server.apply(namespace, scope, &op, self.now)
    }

    // ---- Time ---------------------------------------------------------------------------------------------------

    /// Lets time pass, with a stop at each deadline.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.server.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.server.handle_timeout(self.now);
            assert!(
                self.server.poll_timeout().is_none_or(|next| next > self.now),
                "a deadline does not move on"
            );
        }
        self.now = end;
    }

    pub fn pass_ms(&mut self, ms: u64) {
        self.pass(Duration::from_millis(ms));
    }
}

/// The events of one kind, in short.
pub fn brief(event: &Event) -> String {
    match event {
        Event::Connect { auth, .. } => match auth {
            None => "connect".into(),
            Some(auth) => format!("connect {auth}"),
        },
        Event::Event { payload, ack, .. } => {
            let ack = ack.map_or_else(String::new, |id| format!("+{id}"));
            format!("{}{ack}{}", payload.text(), attached(payload.attachments().as_slice()))
        }
        Event::Ack { id, result: Ok(payload), .. } => {
            format!("ack {id} {}{}", payload.text(), attached(payload.attachments().as_slice()))
        }
        Event::Ack { id, result: Err(error), .. } => format!("ack {id} {error:?}"),
        Event::Disconnect { reason, .. } => format!("disconnect: {reason}"),
        Event::Upgraded => "upgraded".into(),
        Event::Closed { reason, undelivered } => format!("closed: {reason}, {undelivered} undelivered"),
        other => panic!("{other:?}"),
    }
}

fn attached(attachments: &[Bytes]) -> String {
    attachments.iter().map(|bytes| format!(" {bytes:?}")).collect()
}

pub fn show(frame: &Frame) -> String {
    match frame {
        Frame::Text(text) => text.as_str().into(),
        Frame::Binary(bytes) => format!("bin:{}", String::from_utf8_lossy(bytes)),
        other => panic!("{other:?}"),
    }
}

pub fn sid_of(open: &str) -> Sid {
    let rest = open.strip_prefix(r#"0{"sid":""#).expect("an open packet");
    rest[..20].parse().expect("a session id")
}

pub fn scope(rooms: &[&str], except: &[&str]) -> Scope {
    let scope = rooms.iter().fold(Scope::all(), |scope, room| scope.to(*room));
    except.iter().fold(scope, |scope, room| scope.except(*room))
}

/// How often each of a list of texts is there.
pub fn counts(texts: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    texts.into_iter().for_each(|text| *counts.entry(text).or_default() += 1);
    counts
}
