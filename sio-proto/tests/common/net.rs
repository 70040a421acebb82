//! A client and a server with a network between them, all on one clock. Whatever travels is a step, and at each step something
//! can go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sio_proto::client::{self, Client};
use sio_proto::engine::{
    self, Answer, ChannelId, ClientConfig, ClientRequest, Hangup, Head, Message, Request, Transmit,
    Transport, TransportError,
};
use sio_proto::hub::{Scope, SocketKey};
use sio_proto::server::{self, Admission, Broadcast, ConnId, Op, Ready, Server};
use sio_proto::socket::{AckId, ClientConnEvent, ConnectError, Emit, Emitted, Encoder, Slot, SocketConfig};
use sio_proto::{Instant, Seed, Sid};

use super::hand::{brief, broken};

/// What goes wrong with one step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The connection breaks, and what travels is lost.
    Lose,
    /// The connection breaks just after what travels has arrived.
    Cut,
    /// All connections break.
    CutAll,
    /// It takes this long, and so does what follows on the same connection.
    Delay(Duration),
    /// From here on nothing travels any more on the connections that there are.
    Silence,
    /// The server dies, and another one takes its place.
    Restart,
    /// A request is answered with 502, by some proxy.
    BadGateway,
}

#[derive(Debug)]
enum Cargo {
    // To the server.
    Dial(String),
    Get(String),
    Post(String, Bytes),
    Up(Message),
    UpClose,
    UpReset,
    // To the client.
    Opened,
    Down(Message),
    DownClose,
    Answer(Answer),
    Failed(TransportError),
}

impl Cargo {
    fn is_for_client(&self) -> bool {
        matches!(self, Self::Opened | Self::Down(_) | Self::DownClose | Self::Answer(_) | Self::Failed(_))
    }
}

struct Flight {
    at: Instant,
    channel: ChannelId,
    cargo: Cargo,
}

/// A connection, known by the client's number for it.
#[derive(Debug, Default)]
struct Link {
    server: Option<ChannelId>,
    /// The client has an open WebSocket.
    writable: bool,
    /// The client knows nothing of it any more.
    gone: bool,
    /// Nothing travels.
    dead: bool,
    /// When the last thing that travels arrives: nothing overtakes.
    last: Instant,
}

/// How the server's application behaves.
#[derive(Debug, Default)]
pub struct App {
    /// Namespaces whose clients are refused.
    pub refuse: BTreeSet<String>,
    /// Clients are not let in before [`Net::accept`].
    pub hold: bool,
    /// So many events are not acknowledged.
    pub lose_acks: usize,
    pub sockets: Vec<(String, SocketKey)>,
    pub waiting: Vec<(String, SocketKey)>,
    /// All that there ever were.
    known: Vec<(String, SocketKey)>,
    /// What clients said: `/chat ["hello"]`, and how they came and went.
    pub heard: Vec<String>,
}

pub struct Net {
    pub client: Client,
    pub server: Server,
    pub now: Instant,
    pub encoder: Encoder,
    pub app: App,
    pub latency: Duration,
    /// How many steps there were.
    pub steps: usize,
    /// What goes wrong, and when.
    pub fault: Option<(usize, Fault)>,
    /// So many connections are refused.
    pub refuse_dials: usize,
    /// All that the client told, in short.
    pub told: Vec<String>,
    pub owed: Vec<(Slot, AckId)>,
    /// The application does not ask for events.
    pub idle_app: bool,
    /// What the client answers questions for `auth` with.
    pub auth: Option<String>,
    /// All texts that the client handed to a transport, one after another.
    pub sent: String,
    /// Requests that the client made, in short.
    pub requests: Vec<String>,
    flights: Vec<Flight>,
    links: BTreeMap<ChannelId, Link>,
    wires: BTreeMap<ChannelId, ChannelId>,
    restarts: u8,
    change_server: fn(&mut engine::Config, &mut server::Config),
}

impl Net {
    pub fn new(transports: &[Transport], upgrade: bool) -> Self {
        Self::with(
            |engine, _| {
                engine.transports = transports.to_vec();
                engine.upgrade = upgrade;
            },
            |_, _| {},
        )
    }

    pub fn with(
        change: impl FnOnce(&mut ClientConfig, &mut client::Config),
        change_server: fn(&mut engine::Config, &mut server::Config),
    ) -> Self {
        let (mut engine, mut config) = (ClientConfig::default(), client::Config::default());
        change(&mut engine, &mut config);
        config.engine = Arc::new(engine);
        Self {
            client: Client::new(config, Seed([7; 32])),
            server: new_server(change_server, 0),
            now: Instant::ZERO + Duration::from_secs(1000),
            encoder: Encoder::new(),
            app: App::default(),
            latency: Duration::from_millis(10),
            steps: 0,
            fault: None,
            refuse_dials: 0,
            told: Vec::new(),
            owed: Vec::new(),
            idle_app: false,
            auth: None,
            sent: String::new(),
            requests: Vec::new(),
            flights: Vec::new(),
            links: BTreeMap::new(),
            wires: BTreeMap::new(),
            restarts: 0,
            change_server,
        }
    }

    // ---- The applications ---------------------------------------------------------------------------------------

    /// A namespace that is about to be joined.
    pub fn join(&mut self, name: &str, config: SocketConfig) -> Slot {
        let slot = self.client.socket(name, config);
        self.client.connect(slot, self.now).expect("a client that is not closed");
        slot
    }

    pub fn emit(&mut self, slot: Slot, name: &str, ack: Option<u64>) -> Emitted {
        let namespace = self.client.conn().name(slot).expect("known").clone();
        let packet = self.encoder.event(&namespace, ack, name, &()).expect("an event");
        self.client.emit(slot, Emit { ack, ..Emit::new(packet) }, self.now).expect("room")
    }

    /// The server emits to all in a namespace.
    pub fn broadcast(&mut self, namespace: &str, name: &str) {
        let id = self.server.of(namespace);
        let packet = self.encoder.event(namespace, None, name, &()).expect("an event");
        let op = Op::Broadcast(Broadcast { packet, volatile: false, ack: None, offset: None });
        self.server.apply(id, &Scope::all(), &op, self.now);
    }

    /// The server asks all in a namespace.
    pub fn ask(&mut self, namespace: &str, name: &str, ack: u64) {
        for socket in self.sockets(namespace) {
            let packet = self.encoder.event(namespace, Some(ack), name, &()).expect("an event");
            let _ = self.server.emit_with_ack(socket, packet, ack, None);
        }
    }

    pub fn sockets(&self, namespace: &str) -> Vec<SocketKey> {
        let of = self.app.sockets.iter().filter(|(of, _)| of == namespace);
        of.map(|(_, socket)| *socket).collect()
    }

    /// Lets in who waits.
    pub fn accept(&mut self) {
        for (namespace, socket) in std::mem::take(&mut self.app.waiting) {
            if self.server.accept(socket, self.now).is_ok() {
                self.app.sockets.push((namespace, socket));
            }
        }
    }

    /// The client acknowledges what it was asked.
    pub fn pay(&mut self) {
        for (slot, ack) in std::mem::take(&mut self.owed) {
            let namespace = self.client.conn().name(slot).expect("known").clone();
            let packet = self.encoder.ack(&namespace, ack.id(), "paid").expect("an acknowledgement");
            let _ = self.client.ack(slot, ack, packet);
        }
    }

    pub fn take_told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    pub fn take_heard(&mut self) -> Vec<String> {
        std::mem::take(&mut self.app.heard)
    }

    /// The client's events go to `told`.
    fn hear(&mut self) -> bool {
        let mut any = false;
        while let Some(event) = self.client.poll_event(&[], self.now) {
            any = true;
            self.told.push(brief(&event, &self.client));
            match event {
                client::Event::Socket(ClientConnEvent::Authenticate { slot, ticket }) => {
                    let auth = Ok(self.auth.as_deref().map(Into::into));
                    let _ = self.client.authenticate(slot, ticket, auth, self.now);
                }
                client::Event::Socket(ClientConnEvent::Event { slot, ack: Some(ack), .. }) => {
                    self.owed.push((slot, ack));
                }
                _ => {}
            }
        }
        any
    }

    fn serve(&mut self, conn: ConnId) {
        while let Some(event) = self.server.poll_event(conn, &[]) {
            match event {
                server::Event::Connect { socket, namespace, auth, .. } => {
                    let name = self.server.hub().name(namespace).to_string();
                    let auth = auth.map_or_else(String::new, |auth| format!(" {auth}"));
                    self.app.heard.push(format!("{name} connect{auth}"));
                    if self.app.refuse.contains(&name) {
                        let _ = self.server.refuse(socket, &ConnectError::new("no"), self.now);
                        continue;
                    }
                    self.app.known.push((name.clone(), socket));
                    self.app.waiting.push((name, socket));
                    if !self.app.hold {
                        self.accept();
                    }
                }
                server::Event::Event { socket, payload, ack } => {
                    let name = self.name(socket);
                    self.app.heard.push(format!("{name} {}", payload.text()));
                    let Some(id) = ack else { continue };
                    if self.app.lose_acks > 0 {
                        self.app.lose_acks -= 1;
                        continue;
                    }
                    let packet = self.encoder.ack(&name, id, &payload).expect("an acknowledgement");
                    let _ = self.server.emit(socket, packet, false);
                }
                server::Event::Ack { socket, id, result } => {
                    let name = self.name(socket);
                    self.app.heard.push(match result {
                        Ok(payload) => format!("{name} ack {id} {}", payload.text()),
                        Err(error) => format!("{name} ack {id} {error:?}"),
                    });
                }
                server::Event::Disconnect { socket, reason, .. } => {
                    let name = self.name(socket);
                    self.app.heard.push(format!("{name} disconnect: {reason}"));
                    self.app.sockets.retain(|(_, of)| *of != socket);
                    self.app.waiting.retain(|(_, of)| *of != socket);
                }
                _ => {}
            }
        }
    }

    fn name(&self, socket: SocketKey) -> String {
        let mut known = self.app.known.iter().rev();
        known.find(|(_, of)| *of == socket).map(|(name, _)| name.clone()).unwrap_or_default()
    }

    // ---- The network --------------------------------------------------------------------------------------------

    fn send(&mut self, channel: ChannelId, cargo: Cargo) {
        let link = self.links.entry(channel).or_default();
        let at = link.last.max(self.now + self.latency);
        link.last = at;
        self.flights.push(Flight { at, channel, cargo });
    }

    /// What the client wants to send.
    fn take_from_client(&mut self) -> bool {
        let mut any = false;
        while let Some(request) = self.client.poll_request(self.now) {
            any = true;
            let (channel, cargo, brief) = match request {
                ClientRequest::WebSocket { channel, query } => {
                    (channel, Cargo::Dial(query), String::from("websocket"))
                }
                ClientRequest::Get { channel, query } => (channel, Cargo::Get(query), "get".into()),
                ClientRequest::Post { channel, query, body } => {
                    let brief = format!("post {}", body.len());
                    self.sent.push_str(std::str::from_utf8(&body).expect("text"));
                    (channel, Cargo::Post(query, body), brief)
                }
                ClientRequest::Abort { channel } => {
                    let link = self.links.get_mut(&channel).expect("a known channel is given up");
                    assert!(!link.gone, "a channel that is over is given up");
                    link.gone = true;
                    // What is held up somewhere does not arrive after what is sent on the next connection.
                    let soon = self.now + self.latency;
                    link.last = self.now;
                    self.flights.retain(|flight| {
                        flight.channel != channel || (!flight.cargo.is_for_client() && flight.at <= soon)
                    });
                    self.send(channel, Cargo::UpReset);
                    self.requests.push("abort".into());
                    continue;
                }
                other => panic!("{other:?}"),
            };
            assert!(!self.links.contains_key(&channel), "a channel is used twice");
            self.requests.push(brief);
            self.send(channel, cargo);
        }
        let open: Vec<_> =
            self.links.iter().filter(|(_, link)| link.writable && !link.gone).map(|(id, _)| *id).collect();
        for channel in open {
            while let Some(transmit) = self.client.poll_transmit(channel, self.now) {
                any = true;
                match transmit {
                    Transmit::Packet(packet) => packet.frames().for_each(|frame| {
                        let message = match frame {
                            engine::Frame::Text(text) => {
                                self.sent.push_str(&text);
                                Message::Text(text)
                            }
                            engine::Frame::Binary(bytes) => Message::Binary(bytes),
                            other => panic!("{other:?}"),
                        };
                        self.send(channel, Cargo::Up(message));
                    }),
                    Transmit::Close => self.send(channel, Cargo::UpClose),
                    other => panic!("{other:?}"),
                }
            }
        }
        any
    }

    /// What the server wants to send, and what its application does.
    fn take_from_server(&mut self) -> bool {
        let mut any = false;
        while let Some(ready) = self.server.poll_ready() {
            any = true;
            match ready {
                Ready::Events(conn) => self.serve(conn),
                Ready::Transmit(from) => self.transmit(from),
                _ => {}
            }
        }
        any
    }

    fn transmit(&mut self, from: ChannelId) {
        while let Some(transmit) = self.server.poll_transmit(from, self.now) {
            let Some(channel) = self.wires.get(&from).copied() else { continue };
            match transmit {
                Transmit::Packet(packet) => packet.frames().for_each(|frame| {
                    let message = match frame {
                        engine::Frame::Text(text) => Message::Text(text),
                        engine::Frame::Binary(bytes) => Message::Binary(bytes),
                        other => panic!("{other:?}"),
                    };
                    self.send(channel, Cargo::Down(message));
                }),
                Transmit::Respond(response) => {
                    self.cut_server(channel);
                    let (status, body) = (response.status, response.body);
                    self.send(channel, Cargo::Answer(Answer { status, location: None, body }));
                }
                Transmit::Close => self.send(channel, Cargo::DownClose),
                Transmit::Abort => {
                    self.cut_server(channel);
                    self.send(channel, Cargo::Failed(broken()));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// The server knows nothing of this connection any more.
    fn cut_server(&mut self, channel: ChannelId) -> Option<ChannelId> {
        let server = self.links.get_mut(&channel)?.server.take()?;
        self.wires.remove(&server);
        Some(server)
    }

    /// The connection is gone, for both; each will see that.
    fn cut(&mut self, channel: ChannelId) {
        self.flights.retain(|flight| flight.channel != channel);
        if let Some(server) = self.cut_server(channel) {
            self.server.handle_hangup(server, Hangup::Failed, self.now);
        }
        if let Some(link) = self.links.get_mut(&channel).filter(|link| !link.gone) {
            link.last = self.now;
            self.send(channel, Cargo::Failed(broken()));
        }
    }

    fn alive(&self) -> Vec<ChannelId> {
        let alive = self.links.iter().filter(|(_, link)| !link.gone && !link.dead);
        alive.map(|(id, _)| *id).collect()
    }

    /// Another server takes the place of this one.
    pub fn restart(&mut self) {
        self.restarts += 1;
        self.wires.clear();
        self.links.values_mut().for_each(|link| link.server = None);
        self.cut_all();
        self.server = new_server(self.change_server, self.restarts);
        self.app.sockets.clear();
        self.app.waiting.clear();
    }

    /// Nothing travels any more on the connections that there are.
    pub fn silence(&mut self) {
        self.flights.clear();
        self.links.values_mut().for_each(|link| link.dead = true);
    }

    /// All connections break.
    pub fn cut_all(&mut self) {
        self.alive().into_iter().for_each(|channel| self.cut(channel));
    }

    /// One step, unless something goes wrong.
    fn deliver(&mut self, flight: Flight) {
        let Flight { channel, cargo, .. } = flight;
        if self.links.get(&channel).is_none_or(|link| link.dead) {
            return;
        }
        if let Cargo::Failed(_) = cargo {
            // The news of what has gone wrong already.
            return self.arrive(channel, cargo);
        }
        let step = self.steps;
        self.steps += 1;
        let fault = self.fault.filter(|(at, _)| *at == step).map(|(_, fault)| fault);
        match fault {
            None => self.arrive(channel, cargo),
            Some(Fault::Lose) => self.cut(channel),
            Some(Fault::Cut) => {
                self.arrive(channel, cargo);
                self.cut(channel);
            }
            Some(Fault::CutAll) => self.cut_all(),
            Some(Fault::Delay(time)) => {
                let until = self.now + time;
                self.flights.insert(0, Flight { at: until, channel, cargo });
                for later in self.flights.iter_mut().filter(|flight| flight.channel == channel) {
                    later.at = later.at.max(until);
                }
                self.links.get_mut(&channel).expect("known").last = until;
            }
            Some(Fault::Silence) => self.silence(),
            Some(Fault::Restart) => self.restart(),
            Some(Fault::BadGateway) => match cargo {
                Cargo::Get(_) | Cargo::Post(..) => {
                    let answer = Answer { status: 502, location: None, body: "oops".into() };
                    self.send(channel, Cargo::Answer(answer));
                }
                Cargo::Dial(_) => {
                    self.send(channel, Cargo::Failed(TransportError::from_answer(502, None, b"oops")));
                }
                _ => self.cut(channel),
            },
        }
    }

    fn arrive(&mut self, channel: ChannelId, cargo: Cargo) {
        if cargo.is_for_client() {
            self.arrive_at_client(channel, cargo);
        } else {
            self.arrive_at_server(channel, cargo);
        }
    }

    fn arrive_at_client(&mut self, channel: ChannelId, cargo: Cargo) {
        let link = self.links.get_mut(&channel).expect("known");
        if link.gone {
            return;
        }
        match cargo {
            Cargo::Opened => {
                link.writable = true;
                self.client.handle_open(channel, self.now);
            }
            Cargo::Down(message) => {
                self.client
                    .handle_message(channel, message, self.now)
                    .expect("our server keeps to the rules");
            }
            Cargo::DownClose => {
                link.gone = true;
                self.client.handle_failure(channel, TransportError::Closed, self.now);
                self.send(channel, Cargo::UpClose);
            }
            Cargo::Answer(answer) => {
                link.gone = true;
                let _ = self.client.handle_answer(channel, answer, self.now);
            }
            Cargo::Failed(error) => {
                link.gone = true;
                self.client.handle_failure(channel, error, self.now);
            }
            _ => {}
        }
    }

    fn arrive_at_server(&mut self, channel: ChannelId, cargo: Cargo) {
        let known = self.links[&channel].server;
        match (cargo, known) {
            (Cargo::Dial(query), _) => self.request(channel, "GET", &query, None),
            (Cargo::Get(query), _) => self.request(channel, "GET", &query, Some(Bytes::new())),
            (Cargo::Post(query, body), _) => self.request(channel, "POST", &query, Some(body)),
            (Cargo::Up(message), Some(server)) => {
                let result = self.server.handle_message(server, message, self.now);
                result.expect("our client keeps to the rules");
            }
            (Cargo::UpClose, Some(server)) => {
                self.cut_server(channel);
                self.server.handle_hangup(server, Hangup::Closed, self.now);
                if !self.links[&channel].gone {
                    self.send(channel, Cargo::DownClose);
                }
            }
            (Cargo::UpReset, Some(server)) => {
                self.cut_server(channel);
                self.server.handle_hangup(server, Hangup::Failed, self.now);
            }
            _ => {}
        }
    }

    /// A request of the client; one without a body asks for a WebSocket.
    fn request(&mut self, channel: ChannelId, method: &str, query: &str, body: Option<Bytes>) {
        if self.refuse_dials > 0 {
            self.refuse_dials -= 1;
            return self.send(channel, Cargo::Failed(TransportError::Io("refused".into())));
        }
        let mut head = Head::default();
        (head.method, head.query, head.upgrade) = (method, query, body.is_none());
        let config = self.server.config().engine.clone();
        let admitted = Request::parse(&config, &head).and_then(|request| {
            let sid: Option<Sid> = if let Request::WebSocket(sid) = request { sid } else { None };
            match self.server.handle_request(request, Some("text/plain;charset=UTF-8"), self.now)? {
                Admission::WebSocket => self.server.open_websocket(sid, self.now).map(Admission::Poll),
                other => Ok(other),
            }
        });
        match admitted {
            Ok(Admission::Poll(server)) => {
                self.links.get_mut(&channel).expect("known").server = Some(server);
                self.wires.insert(server, channel);
                if body.is_none() {
                    self.send(channel, Cargo::Opened);
                }
                self.transmit(server);
            }
            Ok(Admission::Post(server)) => {
                let (response, fault) = self.server.handle_body(server, body.unwrap_or_default(), self.now);
                fault.expect("our client keeps to the rules");
                let response = response.unwrap_or_else(|refusal| refusal.response(&config, &head));
                let (status, body) = (response.status, response.body);
                self.send(channel, Cargo::Answer(Answer { status, location: None, body }));
            }
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => {
                let response = refusal.response(&config, &head);
                let (status, body) = (response.status, response.body);
                self.send(
                    channel,
                    match head.upgrade {
                        true => Cargo::Failed(TransportError::from_answer(status, None, &body)),
                        false => Cargo::Answer(Answer { status, location: None, body }),
                    },
                );
            }
        }
    }

    // ---- Time ---------------------------------------------------------------------------------------------------

    /// Lets both say all that they have to say.
    pub fn drain(&mut self) {
        loop {
            let mut any = self.take_from_client() | self.take_from_server();
            if !self.idle_app {
                any |= self.hear();
            }
            if !any {
                return;
            }
        }
    }

    /// When something happens next.
    fn next(&self) -> Option<Instant> {
        let flight = self.flights.iter().map(|flight| flight.at).min();
        [flight, self.client.poll_timeout(), self.server.poll_timeout()].into_iter().flatten().min()
    }

    /// Lets time pass, with a stop wherever something happens.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.drain();
        while let Some(at) = self.next().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.turn();
        }
        self.now = end;
    }

    fn turn(&mut self) {
        let first = self.flights.iter().enumerate().min_by_key(|(index, flight)| (flight.at, *index));
        if let Some((index, _)) = first.filter(|(_, flight)| flight.at <= self.now) {
            let flight = self.flights.remove(index);
            self.deliver(flight);
            self.drain();
        } else {
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
            self.drain();
            let next = self.client.poll_timeout();
            assert!(next.is_none_or(|at| at > self.now), "1: a deadline does not move on: {next:?}");
        }
        self.check();
    }

    /// What must hold all the time.
    pub fn check(&self) {
        if self.client.is_closed() && self.client.is_quiet() && !self.client.has_events() {
            assert_eq!(self.client.poll_timeout(), None, "5: a deadline after the end");
        }
    }

    pub fn pass_ms(&mut self, ms: u64) {
        self.pass(Duration::from_millis(ms));
    }

    /// Closes the client, and waits for the end of everything.
    pub fn end(&mut self) {
        self.client.close(self.now);
        self.pass(Duration::from_secs(600));
        assert!(self.client.is_quiet(), "5: something is left at the client: {:?}", self.client);
        assert_eq!(self.client.poll_timeout(), None, "5: a deadline after the end");
        assert!(!self.client.has_events() && self.client.poll_event(&[], self.now).is_none());
        assert_eq!(self.client.poll_request(self.now), None);
        assert!(self.server.is_quiet(), "5: something is left at the server: {:?}", self.server);
        assert_eq!(self.app.sockets, [], "5: a socket is left");
    }
}

fn new_server(change: fn(&mut engine::Config, &mut server::Config), number: u8) -> Server {
    let (mut engine, mut config) = (engine::Config::default(), server::Config::default());
    change(&mut engine, &mut config);
    config.engine = Arc::new(engine);
    let mut server = Server::new(config, Seed([number; 32]));
    server.of("/chat");
    server
}
