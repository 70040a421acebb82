//! A client whose server is played by hand: what arrives, and when, is what the test says.

use std::sync::Arc;
use std::time::Duration;

use sio_proto::client::{Client, Config, Event, PeerError};
use sio_proto::engine::{
    Answer, ChannelId, ClientConfig, ClientRequest, Encoded, Message, Transmit, Transport, TransportError,
};
use sio_proto::socket::{
    AckId, Args, ClientConnEvent, ClientEmitError, Emit, Emitted, Encoder, Slot, SocketConfig, Ticket,
};
use sio_proto::{Instant, Seed, Str};

use super::show;

/// A handshake with the usual times.
pub const OPEN: &str =
    r#"0{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

/// Settings of a namespace, changed.
pub fn settings(change: impl FnOnce(&mut SocketConfig)) -> SocketConfig {
    let mut config = SocketConfig::default();
    change(&mut config);
    config
}

pub struct Hand {
    pub client: Client,
    pub now: Instant,
    pub encoder: Encoder,
    /// Questions for `auth` that were asked.
    pub asked: Vec<(Slot, Ticket)>,
    /// Acknowledgements that the server asks for.
    pub owed: Vec<(Slot, AckId)>,
    websocket: Option<ChannelId>,
}

impl Hand {
    /// A client that uses WebSockets only.
    pub fn new() -> Self {
        Self::with(|_, _| {})
    }

    pub fn with(change: impl FnOnce(&mut ClientConfig, &mut Config)) -> Self {
        let (mut engine, mut config) = (ClientConfig::default(), Config::default());
        engine.transports = vec![Transport::WebSocket];
        change(&mut engine, &mut config);
        config.engine = Arc::new(engine);
        Self {
            client: Client::new(config, Seed([5; 32])),
            now: Instant::ZERO + Duration::from_secs(1000),
            encoder: Encoder::new(),
            asked: Vec::new(),
            owed: Vec::new(),
            websocket: None,
        }
    }

    /// A client whose `/` is joined.
    pub fn joined() -> (Self, Slot) {
        let mut hand = Self::new();
        let slot = hand.join(SocketConfig::default());
        (hand, slot)
    }

    /// Joins `/`.
    pub fn join(&mut self, config: SocketConfig) -> Slot {
        let slot = self.client.socket("/", config);
        self.connect(slot);
        self.open();
        assert_eq!(self.frames(), ["40"]);
        self.say(r#"40{"sid":"s1"}"#);
        assert_eq!(self.told(), ["connect"]);
        slot
    }

    pub fn connect(&mut self, slot: Slot) {
        self.client.connect(slot, self.now).expect("a client that is not closed");
    }

    // ---- The network --------------------------------------------------------------------------------------------

    pub fn requests(&mut self) -> Vec<ClientRequest> {
        std::iter::from_fn(|| self.client.poll_request(self.now)).collect()
    }

    /// The next request, in short, and its channel.
    pub fn request(&mut self) -> Option<(String, ChannelId)> {
        Some(match self.client.poll_request(self.now)? {
            ClientRequest::WebSocket { channel, .. } => ("websocket".into(), channel),
            ClientRequest::Get { channel, .. } => ("get".into(), channel),
            ClientRequest::Post { channel, body, .. } => {
                (format!("post {}", String::from_utf8_lossy(&body)), channel)
            }
            ClientRequest::Abort { channel } => ("abort".into(), channel),
            other => panic!("{other:?}"),
        })
    }

    /// The next request, which must be this one.
    pub fn expect(&mut self, what: &str) -> ChannelId {
        let (request, channel) = self.request().unwrap_or_else(|| panic!("{what} is not asked for"));
        assert_eq!(request, what);
        channel
    }

    /// The client asks for a WebSocket.
    pub fn dial(&mut self) -> ChannelId {
        let channel = self.expect("websocket");
        self.websocket = Some(channel);
        channel
    }

    /// The client asks for a WebSocket, and gets one, with the handshake.
    pub fn open(&mut self) -> ChannelId {
        let channel = self.dial();
        self.client.handle_open(channel, self.now);
        self.say(OPEN);
        channel
    }

    /// A text frame for the client.
    pub fn try_say(&mut self, text: &str) -> Result<(), PeerError> {
        let channel = self.websocket.expect("a WebSocket");
        self.client.handle_message(channel, Message::Text(text.into()), self.now)
    }

    pub fn say(&mut self, text: &str) {
        self.try_say(text).expect("a good message");
    }

    /// The WebSocket is gone.
    pub fn fail(&mut self, error: TransportError) {
        let channel = self.websocket.take().expect("a WebSocket");
        self.client.handle_failure(channel, error, self.now);
    }

    /// The connection breaks.
    pub fn break_off(&mut self) {
        self.fail(broken());
    }

    /// The answer to a request.
    pub fn answer(&mut self, channel: ChannelId, status: u16, body: &str) -> Result<(), PeerError> {
        let answer = Answer { status, location: None, body: body.to_owned().into() };
        self.client.handle_answer(channel, answer, self.now)
    }

    /// What the client writes: text as it is, binary as `bin:…`, its end as `close`.
    pub fn frames(&mut self) -> Vec<String> {
        let mut frames = Vec::new();
        let Some(channel) = self.websocket else { return frames };
        while let Some(transmit) = self.client.poll_transmit(channel, self.now) {
            match transmit {
                Transmit::Packet(packet) => frames.extend(packet.frames().map(|frame| show(&frame))),
                Transmit::Close => frames.push("close".into()),
                other => panic!("{other:?}"),
            }
        }
        frames
    }

    // ---- The application ----------------------------------------------------------------------------------------

    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.client.poll_event(&[], self.now)).collect()
    }

    /// The events in short; questions and acknowledgements that are owed are kept.
    pub fn told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        for event in self.events() {
            match &event {
                Event::Socket(ClientConnEvent::Authenticate { slot, ticket }) => {
                    self.asked.push((*slot, *ticket));
                }
                Event::Socket(ClientConnEvent::Event { slot, ack: Some(ack), .. }) => {
                    self.owed.push((*slot, *ack));
                }
                _ => {}
            }
            told.push(brief(&event, &self.client));
        }
        told
    }

    /// Answers the oldest question for `auth`.
    pub fn authenticate(&mut self, auth: Result<Option<&str>, &str>) -> bool {
        let (slot, ticket) = self.asked.remove(0);
        let auth = auth.map(|auth| auth.map(Str::from)).map_err(Str::from);
        self.client.authenticate(slot, ticket, auth, self.now).is_ok()
    }

    pub fn event<A: Args + ?Sized>(&mut self, slot: Slot, ack: Option<u64>, name: &str, args: &A) -> Encoded {
        let namespace = self.client.conn().name(slot).expect("a known namespace").clone();
        self.encoder.event(&namespace, ack, name, args).expect("an event")
    }

    pub fn emit(&mut self, slot: Slot, name: &str) -> Result<Emitted, ClientEmitError> {
        self.ask(slot, name, None, None)
    }

    /// Emits with an acknowledgement.
    pub fn ask(
        &mut self,
        slot: Slot,
        name: &str,
        ack: Option<u64>,
        timeout: Option<u64>,
    ) -> Result<Emitted, ClientEmitError> {
        let packet = self.event(slot, ack, name, &());
        let timeout = timeout.map(Duration::from_millis);
        self.client.emit(slot, Emit { packet, ack, timeout, volatile: false }, self.now)
    }

    pub fn volatile(&mut self, slot: Slot, name: &str) -> Emitted {
        let packet = self.event(slot, None, name, &());
        self.client.emit(slot, Emit { volatile: true, ..Emit::new(packet) }, self.now).expect("no error")
    }

    pub fn disconnect(&mut self, slot: Slot) {
        self.client.disconnect(slot, self.now);
    }

    pub fn close(&mut self) {
        self.client.close(self.now);
    }

    // ---- Time ---------------------------------------------------------------------------------------------------

    /// Lets time pass, with a stop at each deadline.
    pub fn pass_ms(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(at) = self.client.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.client.handle_timeout(self.now);
            let next = self.client.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "a deadline does not move on: {next:?}");
        }
        self.now = end;
    }

    /// Lets time pass until the next deadline, which must be that of the next attempt. Gives how long that took.
    pub fn wait_for_attempt(&mut self) -> Duration {
        let start = self.now;
        self.now = self.client.poll_timeout().expect("a deadline");
        self.client.handle_timeout(self.now);
        let told = self.told();
        assert!(matches!(&told[..], [attempt] if attempt.starts_with("attempt ")), "{told:?}");
        self.now - start
    }

    /// Lets time pass until the next deadline.
    pub fn wait_for(&mut self) {
        self.now = self.client.poll_timeout().expect("a deadline");
        self.client.handle_timeout(self.now);
    }

    /// Checks that the client is done with everything.
    #[track_caller]
    pub fn assert_quiet(&mut self) {
        assert_eq!(self.requests(), [], "requests");
        assert!(self.client.is_quiet(), "{:?}", self.client);
        assert_eq!(self.client.poll_timeout(), None);
        assert!(!self.client.has_events());
    }
}

/// What the driver says when a connection breaks.
pub fn broken() -> TransportError {
    TransportError::Io("broken".into())
}

/// An event in short; those of other namespaces than `/` begin with its name.
pub fn brief(event: &Event, client: &Client) -> String {
    let text = match event {
        Event::Socket(event) => match event {
            ClientConnEvent::Authenticate { .. } => "auth?".into(),
            ClientConnEvent::Connect { recovered, .. } => {
                String::from(if *recovered { "connect recovered" } else { "connect" })
            }
            ClientConnEvent::ConnectError { error, .. } => format!("connect_error: {error}"),
            ClientConnEvent::Event { payload, ack, .. } => {
                let ack = ack.map_or_else(String::new, |ack| format!("+{}", ack.id()));
                format!("{}{ack}", payload.text())
            }
            ClientConnEvent::Ack { id, result: Ok(payload), .. } => format!("ack {id} {}", payload.text()),
            ClientConnEvent::Ack { id, result: Err(error), .. } => format!("ack {id} {error:?}"),
            ClientConnEvent::Disconnect { reason, .. } => format!("disconnect: {reason}"),
            other => panic!("{other:?}"),
        },
        Event::Upgraded => "upgraded".into(),
        Event::UpgradeFailed(error) => format!("upgrade failed: {error}"),
        Event::Close { reason, undelivered: 0, .. } => format!("closed: {reason}"),
        Event::Close { reason, undelivered, .. } => format!("closed: {reason}, {undelivered} undelivered"),
        Event::ReconnectAttempt(number) => format!("attempt {number}"),
        Event::Reconnect(number) => format!("reconnect {number}"),
        Event::ReconnectError(error) => format!("reconnect_error: {error}"),
        Event::ReconnectFailed => "reconnect_failed".into(),
        other => panic!("{other:?}"),
    };
    match event.slot().and_then(|slot| client.conn().name(slot)) {
        Some(name) if *name != "/" => format!("{name} {text}"),
        _ => text,
    }
}
