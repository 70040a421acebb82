//! A client, a server, and a network that delivers when it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sio_proto::engine::{
    Answer, ChannelId, ClientConfig, ClientEvent, ClientRequest, ClientSession, CloseReason, Config, Encoded,
    Event, Frame, Hangup, Message, Refusal, Response, ServerSession, Transmit, Transport, TransportError,
};
use sio_proto::{Instant, Seed};

use crate::harness::Machine;

#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// The first one counts.
    Start {
        websocket: bool,
        upgrade: bool,
        base64: bool,
    },
    /// One of the things that are on their way arrives.
    Deliver(usize),
    ClientSends {
        binary: bool,
        size: usize,
    },
    ServerSends {
        binary: bool,
        size: usize,
    },
    ClientPauses(bool),
    /// Whether the client's requests and messages are taken at once.
    ClientReadsRequests {
        fast: bool,
    },
    /// A connection breaks; each side may notice or not.
    Break {
        which: usize,
        how: u8,
    },
    ClientCloses,
    ServerCloses,
    ClientAborts(bool),
}

/// What the server can take in one body.
const MAX_PAYLOAD: usize = 200;

const SID: &str = "AAECAwQFBgcICQoLDA0O";

enum Wire {
    /// A GET on its way.
    Get,
    /// A POST on its way.
    Post(Bytes),
    /// A GET that waits at the server.
    Parked,
    /// The answer on its way back.
    Answered(Answer),
    /// A WebSocket that the server does not know yet.
    Dialled,
    WebSocket {
        /// Whether the client knows that it is open.
        open: bool,
        up: VecDeque<Option<Message>>,
        down: VecDeque<Option<Message>>,
    },
}

pub(crate) struct World {
    client: Option<ClientSession>,
    server: Option<ServerSession>,
    config: Arc<Config>,
    wires: BTreeMap<ChannelId, Wire>,
    fast: bool,
    over: bool,
    upgraded: bool,
    sent: u32,
    /// On their way, oldest first.
    to_server: VecDeque<String>,
    to_client: VecDeque<String>,
    /// How many packets of the client were accepted, and how many handed out.
    accepted: usize,
    handed: usize,
    now: Instant,
}

fn io() -> TransportError {
    TransportError::Io("broken".into())
}

fn show(message: &Message) -> String {
    match message {
        Message::Text(text) => text.as_str().into(),
        Message::Binary(bytes) => format!("bin:{}", String::from_utf8_lossy(bytes)),
    }
}

fn answer(result: Result<Response, Refusal>) -> Wire {
    match result {
        Ok(response) => {
            Wire::Answered(Answer { status: response.status, location: None, body: response.body })
        }
        Err(_) => Wire::Answered(Answer { status: 400, location: None, body: Bytes::new() }),
    }
}

fn messages(packet: &Encoded) -> impl Iterator<Item = Message> + '_ {
    packet.frames().map(|frame| match frame {
        Frame::Text(text) => Message::Text(text),
        Frame::Binary(bytes) => Message::Binary(bytes),
        other => panic!("{other:?}"),
    })
}

impl World {
    fn start(&mut self, websocket: bool, upgrade: bool, base64: bool, now: Instant) {
        if self.client.is_some() {
            return;
        }
        let mut config = ClientConfig::default();
        (config.upgrade, config.force_base64) = (upgrade, base64);
        let first = if websocket { Transport::WebSocket } else { Transport::Polling };
        let client = ClientSession::new(Arc::new(config), first, Seed([1; 32]), ChannelId(0), now);
        self.client = Some(client);
    }

    fn message(&mut self, binary: bool, size: usize) -> (Message, String) {
        self.sent += 1;
        let text = format!("{}{}", self.sent, "x".repeat(size));
        let message = if binary { Message::Binary(text.into()) } else { Message::Text(text.as_str().into()) };
        let shown = show(&message);
        (message, shown)
    }

    /// What can be delivered now.
    fn pending(&self) -> Vec<(ChannelId, bool)> {
        let mut pending = Vec::new();
        for (channel, wire) in &self.wires {
            match wire {
                Wire::Get | Wire::Post(_) | Wire::Answered(_) | Wire::Dialled => {
                    pending.push((*channel, true));
                }
                Wire::Parked => {}
                Wire::WebSocket { open, up, down } => {
                    if !up.is_empty() {
                        pending.push((*channel, true));
                    }
                    if !open || !down.is_empty() {
                        pending.push((*channel, false));
                    }
                }
            }
        }
        pending
    }

    fn deliver(&mut self, channel: ChannelId, up: bool, now: Instant) {
        let client = self.client.as_mut().expect("started");
        let Some(wire) = self.wires.remove(&channel) else { return };
        let next = match wire {
            Wire::Get => match &mut self.server {
                None => {
                    let sid = SID.parse().expect("an id");
                    let config = self.config.clone();
                    self.server = Some(ServerSession::new(config, sid, Transport::Polling, channel, now));
                    Some(Wire::Parked)
                }
                Some(server) => Some(match server.handle_poll(channel, now) {
                    Ok(()) => Wire::Parked,
                    Err(refusal) => answer(Err(refusal)),
                }),
            },
            Wire::Post(body) => {
                let server = self.server.as_mut().expect("a session");
                Some(match server.handle_post(channel, Some("text/plain;charset=UTF-8")) {
                    Ok(()) => {
                        let (response, result) = server.handle_body(channel, body, now);
                        assert_eq!(result, Ok(()), "3: the server understands what we say");
                        answer(response)
                    }
                    Err(refusal) => answer(Err(refusal)),
                })
            }
            Wire::Parked => Some(Wire::Parked),
            Wire::Answered(answer) => {
                let _ = client.handle_answer(channel, answer, now);
                None
            }
            Wire::Dialled => match &mut self.server {
                None => {
                    let sid = SID.parse().expect("an id");
                    let config = self.config.clone();
                    self.server = Some(ServerSession::new(config, sid, Transport::WebSocket, channel, now));
                    Some(Wire::WebSocket { open: false, up: VecDeque::new(), down: VecDeque::new() })
                }
                Some(server) => match server.handle_upgrade(channel, now) {
                    Ok(()) => {
                        Some(Wire::WebSocket { open: false, up: VecDeque::new(), down: VecDeque::new() })
                    }
                    Err(_) => {
                        client.handle_failure(channel, io(), now);
                        None
                    }
                },
            },
            Wire::WebSocket { open, up: mut sent, mut down } => {
                let mut lives = true;
                if up {
                    let server = self.server.as_mut().expect("a session");
                    if let Some(message) = sent.pop_front().expect("pending") {
                        let result = server.handle_message(channel, message, now);
                        assert_eq!(result, Ok(()), "3: the server understands what we say");
                    } else {
                        server.handle_hangup(channel, Hangup::Closed);
                        lives = false;
                    }
                } else if !open {
                    client.handle_open(channel, now);
                } else if let Some(message) = down.pop_front().expect("pending") {
                    assert_eq!(client.handle_message(channel, message, now), Ok(()));
                } else {
                    client.handle_failure(channel, TransportError::Closed, now);
                    if let Some(server) = &mut self.server {
                        server.handle_hangup(channel, Hangup::Closed);
                    }
                    lives = false;
                }
                lives.then_some(Wire::WebSocket { open: true, up: sent, down })
            }
        };
        self.wires.extend(next.map(|wire| (channel, wire)));
    }

    fn break_wire(&mut self, which: usize, how: u8, now: Instant) {
        let Some(channel) = self.wires.keys().nth(which % self.wires.len().max(1)).copied() else { return };
        self.wires.remove(&channel);
        if how % 3 != 0 {
            self.client.as_mut().expect("started").handle_failure(channel, io(), now);
        }
        if let Some(server) = self.server.as_mut().filter(|_| how % 3 != 1) {
            server.handle_hangup(channel, Hangup::Failed);
        }
    }

    fn drain_server(&mut self) {
        let Some(server) = &mut self.server else { return };
        loop {
            while let Some(channel) = server.poll_ready() {
                while let Some(transmit) = server.poll_transmit(channel) {
                    let Some(wire) = self.wires.get_mut(&channel) else { continue };
                    match (transmit, wire) {
                        (Transmit::Respond(response), wire @ Wire::Parked) => *wire = answer(Ok(response)),
                        (Transmit::Packet(packet), Wire::WebSocket { down, .. }) => {
                            down.extend(messages(&packet).map(Some));
                        }
                        (Transmit::Close, Wire::WebSocket { down, .. }) => down.push_back(None),
                        (other, _) => panic!("{other:?}"),
                    }
                }
            }
            let Some(event) = server.poll_event() else { break };
            if let Event::Message(message) = event {
                assert_eq!(self.to_server.pop_front(), Some(show(&message)), "6: to the server");
            }
        }
    }

    fn drain_client(&mut self, trace: &mut Vec<String>) {
        let Some(client) = &mut self.client else { return };
        if self.fast || client.is_closed() {
            while let Some(request) = client.poll_request() {
                trace.push(format!("{request:?}"));
                let (channel, wire) = match request {
                    ClientRequest::WebSocket { channel, .. } => (channel, Wire::Dialled),
                    ClientRequest::Get { channel, .. } => (channel, Wire::Get),
                    ClientRequest::Post { channel, body, .. } => {
                        let parts = body.split(|byte| *byte == 0x1e);
                        let data = parts.filter(|part| matches!(part[0], b'4' | b'b')).count();
                        assert!(body.len() <= MAX_PAYLOAD || data == 1, "B59: {} bytes", body.len());
                        self.handed += data;
                        (channel, Wire::Post(body))
                    }
                    ClientRequest::Abort { channel } => {
                        self.wires.remove(&channel);
                        if let Some(server) = &mut self.server {
                            server.handle_hangup(channel, Hangup::Failed);
                        }
                        continue;
                    }
                    other => panic!("{other:?}"),
                };
                assert!(!self.over, "5: a request after the end");
                self.wires.insert(channel, wire);
            }
            let busy = |get: bool| {
                let same = |wire: &&Wire| match wire {
                    Wire::Get | Wire::Parked => get,
                    Wire::Post(_) => !get,
                    _ => false,
                };
                self.wires.values().filter(same).count()
            };
            assert!(busy(true) <= 1 && busy(false) <= 1, "B60: one GET and one POST");
            for (channel, wire) in &mut self.wires {
                if let Wire::WebSocket { open: true, up, .. } = wire {
                    while let Some(transmit) = client.poll_transmit(*channel) {
                        trace.push(format!("{channel:?} {transmit:?}"));
                        match transmit {
                            Transmit::Packet(packet) => {
                                let first = messages(&packet).next().expect("a message");
                                let data = |text: &str| text.starts_with(['4', 'b']);
                                self.handed +=
                                    usize::from(!matches!(&first, Message::Text(text) if !data(text)));
                                up.extend(messages(&packet).map(Some));
                            }
                            Transmit::Close => up.push_back(None),
                            other => panic!("{other:?}"),
                        }
                    }
                }
            }
        }
        while let Some(event) = client.poll_event() {
            trace.push(format!("{event:?}"));
            assert!(!self.over, "5: {event:?} after the end");
            match event {
                ClientEvent::Message(message) => {
                    assert_eq!(self.to_client.pop_front(), Some(show(&message)), "6: to the client");
                }
                ClientEvent::Upgraded => self.upgraded = true,
                ClientEvent::Closed { undelivered, .. } => {
                    self.over = true;
                    assert_eq!(undelivered, self.accepted - self.handed, "6: all are counted");
                }
                _ => {}
            }
        }
    }

    // ---- For stories in which nothing breaks ------------------------------------------------------------------------

    pub(crate) fn play(&mut self, ops: &[(Op, u64)]) {
        for (op, wait) in ops {
            self.apply(op, self.now);
            self.drain();
            self.pass(*wait);
        }
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(at) = self.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    fn deliver_all(&mut self) {
        for _ in 0..10_000 {
            let Some((channel, up)) = self.pending().first().copied() else { return };
            self.deliver(channel, up, self.now);
            self.drain();
        }
        panic!("the network does not come to rest");
    }

    /// Everything arrives, in little time.
    pub(crate) fn settle(&mut self) {
        self.fast = true;
        self.client.as_mut().expect("started").set_paused(false, self.now);
        self.drain();
        for _ in 0..40 {
            self.deliver_all();
            self.pass(10);
        }
        assert_eq!(self.to_client, [""; 0], "6: lost on the way to the client");
        assert_eq!(self.to_server, [""; 0], "6: lost on the way to the server");
        assert_eq!(self.accepted, self.handed);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.client.as_ref().is_some_and(ClientSession::is_open)
            && self.server.as_ref().is_some_and(ServerSession::is_open)
    }

    pub(crate) fn has_upgraded(&self) -> bool {
        let client = self.client.as_ref().expect("started");
        assert_eq!(self.upgraded, client.upgraded());
        self.upgraded
    }

    /// Sends some more, and closes.
    pub(crate) fn close_client(&mut self) {
        for size in [10, 500, 20] {
            self.apply(&Op::ClientSends { binary: size == 20, size }, self.now);
        }
        self.apply(&Op::ClientCloses, self.now);
        self.drain();
    }

    pub(crate) fn settle_close(&mut self) {
        self.deliver_all();
        assert!(self.over && self.poll_client_timeout().is_none(), "5: closed without a wait");
        assert_eq!(self.to_server, [""; 0], "6: what waits goes first");
        assert_eq!(self.accepted, self.handed);
    }

    fn poll_client_timeout(&self) -> Option<Instant> {
        self.client.as_ref().and_then(ClientSession::poll_timeout)
    }
}

impl Machine for World {
    type Op = Op;

    fn new() -> Self {
        let mut config = Config::default();
        config.max_http_buffer_size = MAX_PAYLOAD;
        Self {
            client: None,
            server: None,
            config: Arc::new(config),
            wires: BTreeMap::new(),
            fast: true,
            over: false,
            upgraded: false,
            sent: 0,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            accepted: 0,
            handed: 0,
            now: Instant::ZERO,
        }
    }

    fn apply(&mut self, op: &Op, now: Instant) {
        if let Op::Start { websocket, upgrade, base64 } = op {
            self.start(*websocket, *upgrade, *base64, now);
        }
        match op {
            Op::Start { .. } => {}
            Op::Deliver(which) => {
                let pending = self.pending();
                if let Some((channel, up)) = pending.get(which % pending.len().max(1)) {
                    self.deliver(*channel, *up, now);
                }
            }
            Op::ClientSends { binary, size } => {
                let (message, shown) = self.message(*binary, *size);
                let client = self.client.as_mut().expect("started");
                let open = client.is_open();
                assert_eq!(client.send(Encoded::message(&message)).is_ok(), open);
                if open {
                    self.accepted += 1;
                    self.to_server.push_back(shown);
                }
            }
            Op::ServerSends { binary, size } => {
                let (message, shown) = self.message(*binary, *size);
                if let Some(server) = &mut self.server {
                    if server.send(Encoded::message(&message)).is_ok() {
                        self.to_client.push_back(shown);
                    }
                }
            }
            Op::ClientPauses(paused) => self.client.as_mut().expect("started").set_paused(*paused, now),
            Op::ClientReadsRequests { fast } => self.fast = *fast,
            Op::Break { which, how } => self.break_wire(*which, *how, now),
            Op::ClientCloses => self.client.as_mut().expect("started").close(now),
            Op::ServerCloses => {
                if let Some(server) = &mut self.server {
                    server.close(false, now);
                }
            }
            Op::ClientAborts(abort) => {
                if *abort {
                    self.client.as_mut().expect("started").abort(CloseReason::ParseError, None);
                }
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some(client) = &mut self.client {
            client.handle_timeout(now);
        }
        if let Some(server) = &mut self.server {
            server.handle_timeout(now);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let server = self.server.as_ref().and_then(ServerSession::poll_timeout).filter(|_| !self.over);
        [self.poll_client_timeout(), server].into_iter().flatten().min()
    }

    fn drain(&mut self) -> Vec<String> {
        let mut trace = Vec::new();
        for _ in 0..3 {
            self.drain_client(&mut trace);
            self.drain_server();
        }
        trace
    }

    fn is_over(&self) -> bool {
        self.over && self.wires.values().all(|wire| matches!(wire, Wire::WebSocket { .. }))
    }

    /// The network is gone: the heartbeat finds out, but for an attempt to open, which the layer above bounds.
    fn end(&mut self, now: Instant) {
        self.server = None;
        self.wires.clear();
        self.fast = true;
        let Some(client) = &mut self.client else { return };
        client.set_paused(false, now);
        if client.max_payload().is_none() {
            client.abort(CloseReason::ForcedClose, None);
        }
    }
}
