//! The client's side of an Engine.IO session. The server is played by hand.

mod closing;
mod heartbeat;
mod opening;
mod polling;
mod upgrade;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sio_proto::engine::{
    Answer, ChannelId, ClientConfig, ClientEvent, ClientRequest, ClientSession, CloseReason, Encoded,
    Message, SendError, Transmit, Transport, TransportError,
};
use sio_proto::{Instant, Seed};

use crate::common::show;

/// A handshake of a server that offers WebSocket and takes 50 bytes at once.
const OPEN: &str =
    r#"0{"sid":"abc","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":50}"#;

/// One that offers nothing.
const OPEN_STAY: &str =
    r#"0{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":50}"#;

struct Rig {
    session: ClientSession,
    now: Instant,
}

impl Rig {
    fn new(first: Transport) -> Self {
        Self::with(first, |_| {})
    }

    /// Without timestamps, so that queries can be compared.
    fn with(first: Transport, change: impl FnOnce(&mut ClientConfig)) -> Self {
        let mut config = ClientConfig::default();
        config.timestamp_requests = Some(false);
        change(&mut config);
        let session = ClientSession::new(Arc::new(config), first, Seed([1; 32]), ChannelId(0), Instant::ZERO);
        Self { session, now: Instant::ZERO }
    }

    /// An open session that polls and does not upgrade; GET 1 waits.
    fn polling() -> Self {
        Self::polling_with(|_| {})
    }

    fn polling_with(change: impl FnOnce(&mut ClientConfig)) -> Self {
        let mut rig = Self::with(Transport::Polling, change);
        assert_eq!(rig.asked(), ["get 0"]);
        rig.answer(0, OPEN_STAY).unwrap();
        assert_eq!(rig.told(), ["open"]);
        assert_eq!(rig.asked(), ["get 1"]);
        rig
    }

    /// An open session on WebSocket 0.
    fn websocket() -> Self {
        Self::websocket_with(|_| {})
    }

    fn websocket_with(change: impl FnOnce(&mut ClientConfig)) -> Self {
        let mut rig = Self::with(Transport::WebSocket, change);
        assert_eq!(rig.asked(), ["ws 0"]);
        rig.open(0);
        rig.say(0, OPEN_STAY).unwrap();
        assert_eq!(rig.told(), ["open"]);
        rig
    }

    /// A session that polls by GET 2 and waits for the answer to the probe on WebSocket 1.
    fn probing() -> Self {
        Self::probing_with(|_| {})
    }

    fn probing_with(change: impl FnOnce(&mut ClientConfig)) -> Self {
        let mut rig = Self::with(Transport::Polling, change);
        assert_eq!(rig.asked(), ["get 0"]);
        rig.answer(0, OPEN).unwrap();
        assert_eq!(rig.told(), ["open"]);
        assert_eq!(rig.asked(), ["ws 1", "get 2"]);
        rig.open(1);
        assert_eq!(rig.frames(1), ["2probe"]);
        rig
    }

    // ---- The server ---------------------------------------------------------------------------------------------

    fn open(&mut self, channel: u64) {
        self.session.handle_open(ChannelId(channel), self.now);
    }

    fn say(&mut self, channel: u64, text: &str) -> Result<(), TransportError> {
        self.session.handle_message(ChannelId(channel), Message::Text(text.into()), self.now)
    }

    fn say_binary(&mut self, channel: u64, bytes: &'static [u8]) -> Result<(), TransportError> {
        self.session.handle_message(ChannelId(channel), Message::Binary(Bytes::from_static(bytes)), self.now)
    }

    fn answer(&mut self, channel: u64, body: impl Into<Bytes>) -> Result<(), TransportError> {
        self.status(channel, 200, body)
    }

    fn status(&mut self, channel: u64, status: u16, body: impl Into<Bytes>) -> Result<(), TransportError> {
        let answer = Answer { status, location: None, body: body.into() };
        self.session.handle_answer(ChannelId(channel), answer, self.now)
    }

    fn fail(&mut self, channel: u64, error: TransportError) {
        self.session.handle_failure(ChannelId(channel), error, self.now);
    }

    // ---- The owner ----------------------------------------------------------------------------------------------

    fn send(&mut self, text: &str) -> Result<(), SendError> {
        self.session.send(Encoded::message(&Message::Text(text.into())))
    }

    fn close(&mut self) {
        self.session.close(self.now);
    }

    fn pause(&mut self, paused: bool) {
        self.session.set_paused(paused, self.now);
    }

    /// What is to be done, in short.
    fn asked(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.session.poll_request()).map(|request| brief(&request)).collect()
    }

    fn frames(&mut self, channel: u64) -> Vec<String> {
        let mut frames = Vec::new();
        while let Some(transmit) = self.session.poll_transmit(ChannelId(channel)) {
            match transmit {
                Transmit::Packet(packet) => frames.extend(packet.frames().map(|frame| show(&frame))),
                Transmit::Close => frames.push("close".into()),
                other => panic!("{other:?}"),
            }
        }
        frames
    }

    fn told(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.session.poll_event())
            .map(|event| match event {
                ClientEvent::Open(_) => "open".into(),
                ClientEvent::Message(Message::Text(text)) => text.as_str().into(),
                ClientEvent::Message(Message::Binary(bytes)) => {
                    format!("bin:{}", String::from_utf8_lossy(&bytes))
                }
                ClientEvent::Upgraded => "upgraded".into(),
                ClientEvent::UpgradeFailed(error) => format!("not upgraded: {error}"),
                ClientEvent::Closed { reason, error, undelivered } => {
                    let error = error.map_or_else(String::new, |error| format!(" ({error})"));
                    format!("{reason}{error}, {undelivered} undelivered")
                }
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// Nothing is to be done, nothing will happen.
    fn assert_over(&mut self) {
        assert!(self.session.is_closed() && !self.session.is_open());
        assert_eq!(self.session.poll_timeout(), None);
        assert_eq!(self.session.transport(), None);
        assert!(!self.session.wants_packet() && !self.session.is_writable());
        assert_eq!(self.send("late"), Err(SendError::Closed));
        for channel in 0..5 {
            let _ = self.say(channel, "4late");
            let _ = self.answer(channel, OPEN);
            self.open(channel);
            self.fail(channel, TransportError::Closed);
            assert_eq!(self.frames(channel), [""; 0]);
        }
        self.close();
        self.session.abort(CloseReason::TransportError, None);
        assert!(!self.session.check_alive(self.now));
        assert_eq!(self.told(), [""; 0]);
        assert_eq!(self.asked(), [""; 0]);
    }

    /// Lets time pass, with a stop at each deadline.
    fn pass_ms(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(at) = self.session.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.session.handle_timeout(self.now);
            let next = self.session.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "a deadline does not move on");
        }
        self.now = end;
    }
}

fn brief(request: &ClientRequest) -> String {
    match request {
        ClientRequest::WebSocket { channel, .. } => format!("ws {}", channel.0),
        ClientRequest::Get { channel, .. } => format!("get {}", channel.0),
        ClientRequest::Post { channel, body, .. } => {
            format!("post {} {}", channel.0, String::from_utf8_lossy(body))
        }
        ClientRequest::Abort { channel } => format!("abort {}", channel.0),
        other => panic!("{other:?}"),
    }
}

fn io() -> TransportError {
    TransportError::Io("reset".into())
}
