//! Hand-driven peers: a polling session and a WebSocket session. They answer nothing by themselves, not even a ping.

use core::{cell::Cell, net::SocketAddr, time::Duration};
use std::{
    collections::VecDeque,
    io::{self, Write},
    net::TcpStream,
    sync::Mutex,
    time::Instant,
};

use serde_json::Value;
use tungstenite::{Error, Message, WebSocket, protocol::frame::coding::CloseCode};

use super::http::{Http, LIMIT, Response, fetch};

/// Where a new polling session begins.
pub const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

/// What separates the packets of a payload.
pub const SEPARATOR: char = '\u{1e}';

/// The open packet's JSON.
///
/// # Panics
/// If this is not an open packet.
#[must_use]
pub fn open_packet(packet: &str) -> Value {
    let json = packet.strip_prefix('0').unwrap_or_else(|| panic!("no open packet: {packet:?}"));
    serde_json::from_str(json).unwrap_or_else(|_| panic!("no open packet: {packet:?}"))
}

/// The socket id in a CONNECT reply for this namespace.
///
/// # Panics
/// If this is no such reply.
#[must_use]
pub fn connect_reply(packet: &str, namespace: &str) -> String {
    let prefix = if namespace == "/" { "40".to_owned() } else { format!("40{namespace},") };
    let json =
        packet.strip_prefix(&prefix).unwrap_or_else(|| panic!("no CONNECT for {namespace}: {packet:?}"));
    let json: Value = serde_json::from_str(json).unwrap_or_else(|_| panic!("no CONNECT: {packet:?}"));
    json["sid"].as_str().unwrap_or_else(|| panic!("no sid: {packet:?}")).to_owned()
}

/// The packet with which one joins a namespace.
fn connect_packet(namespace: &str) -> String {
    if namespace == "/" { "40".to_owned() } else { format!("40{namespace},") }
}

/// A session over HTTP. Each request has a connection of its own.
pub struct Polling {
    addr: SocketAddr,
    /// The secret session id.
    pub sid: String,
    asked: Cell<u32>,
    waiting: Mutex<VecDeque<String>>,
}

impl Polling {
    /// A session without a namespace.
    ///
    /// # Panics
    /// If the handshake fails.
    #[must_use]
    pub fn open(addr: SocketAddr) -> Self {
        let response = fetch(addr, "GET", HANDSHAKE, "", b"");
        assert_eq!(response.status, 200, "{response:?}");
        let sid = open_packet(response.text())["sid"].as_str().expect("a sid").to_owned();
        Self { addr, sid, asked: Cell::new(0), waiting: Mutex::default() }
    }

    /// A session in one namespace, and the socket's id.
    #[must_use]
    pub fn joined(addr: SocketAddr, namespace: &str) -> (Self, String) {
        let session = Self::open(addr);
        session.post_ok(&connect_packet(namespace));
        let id = connect_reply(&session.next(), namespace);
        (session, id)
    }

    /// The request target of this session.
    #[must_use]
    pub fn target(&self) -> String {
        format!("{HANDSHAKE}&sid={}", self.sid)
    }

    /// Any request of this session.
    #[must_use]
    pub fn fetch(&self, method: &str, headers: &str, body: &[u8]) -> Response {
        fetch(self.addr, method, &self.target(), headers, body)
    }

    /// A GET.
    #[must_use]
    pub fn get(&self) -> Response {
        self.fetch("GET", "", b"")
    }

    /// A GET whose answer is read later, from the connection. The server has seen it when this returns.
    #[must_use]
    pub fn park(&self) -> Http {
        let mut http = Http::connect(self.addr);
        http.request("GET", &self.target(), "", b"");
        assert!(http.is_silent(Duration::from_millis(100)), "the server has nothing to say yet");
        http
    }

    /// A POST.
    #[must_use]
    pub fn post(&self, body: &str) -> Response {
        self.fetch("POST", "Content-Type: text/plain;charset=UTF-8\r\n", body.as_bytes())
    }

    /// A POST that is taken.
    ///
    /// # Panics
    /// If it is not.
    pub fn post_ok(&self, body: &str) {
        let response = self.post(body);
        assert_eq!((response.status, response.text()), (200, "ok"), "POST {body:.100}");
    }

    /// The next packet, polled for if none is waiting.
    ///
    /// # Panics
    /// If none comes.
    #[must_use]
    pub fn next(&self) -> String {
        let mut waiting = self.waiting.lock().expect("one thread");
        if waiting.is_empty() {
            let response = self.get();
            assert_eq!(response.status, 200, "{response:?}");
            waiting.extend(response.text().split(SEPARATOR).map(str::to_owned));
        }
        waiting.pop_front().expect("a packet")
    }

    /// Emits in `/` and waits for the answer's first value. `args` is a list of JSON values.
    ///
    /// # Panics
    /// If another packet comes.
    #[must_use]
    pub fn ask(&self, event: &str, args: &str) -> Value {
        let id = self.asked.replace(self.asked.get() + 1);
        let args = if args.is_empty() { String::new() } else { format!(",{args}") };
        self.post_ok(&format!("42{id}[{event:?}{args}]"));
        answer(&self.next(), id)
    }

    /// That the session is over: its id is unknown.
    ///
    /// # Panics
    /// If it still exists after three seconds.
    pub fn assert_closed(&self) {
        let end = Instant::now() + Duration::from_secs(3);
        loop {
            let response = self.fetch("POST", "", b"6");
            if response.status == 400 && response.text().starts_with(r#"{"code":1,"#) {
                return;
            }
            assert!(Instant::now() < end, "the session lives: {response:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn answer(packet: &str, id: u32) -> Value {
    let json =
        packet.strip_prefix(&format!("43{id}")).unwrap_or_else(|| panic!("no answer {id}: {packet:?}"));
    let mut list: Value = serde_json::from_str(json).unwrap_or_else(|_| panic!("no answer: {packet:?}"));
    list[0].take()
}

/// How a WebSocket ended.
#[derive(Debug, PartialEq, Eq)]
pub enum WsEnd {
    /// With a close frame that has this code.
    Code(u16),
    /// With a close frame without a code.
    NoCode,
    /// Without a close frame.
    Dropped,
}

/// A session over a WebSocket.
pub struct Ws {
    socket: WebSocket<TcpStream>,
    asked: u32,
}

impl Ws {
    /// A WebSocket to this request target; whatever the server says then is not read yet.
    ///
    /// # Errors
    /// The server refuses.
    ///
    /// # Panics
    /// If the server is not there.
    pub fn dial(addr: SocketAddr, target: &str) -> Result<Self, Error> {
        let stream = TcpStream::connect_timeout(&addr, LIMIT).expect("the server accepts");
        stream.set_read_timeout(Some(LIMIT)).expect("a read timeout");
        stream.set_write_timeout(Some(LIMIT)).expect("a write timeout");
        stream.set_nodelay(true).expect("nodelay");
        match tungstenite::client(format!("ws://{addr}{target}"), stream) {
            Ok((socket, _)) => Ok(Self { socket, asked: 0 }),
            Err(tungstenite::HandshakeError::Failure(error)) => Err(error),
            Err(tungstenite::HandshakeError::Interrupted(_)) => {
                panic!("no answer to the WebSocket handshake")
            }
        }
    }

    /// A session without a namespace, and the open packet's JSON.
    ///
    /// # Panics
    /// If the handshake fails.
    #[must_use]
    pub fn open(addr: SocketAddr) -> (Self, Value) {
        let mut ws = Self::dial(addr, "/socket.io/?EIO=4&transport=websocket").expect("a WebSocket");
        let open = open_packet(&ws.text());
        (ws, open)
    }

    /// A session in one namespace, and the socket's id.
    #[must_use]
    pub fn joined(addr: SocketAddr, namespace: &str) -> (Self, String) {
        let (mut ws, _) = Self::open(addr);
        let id = ws.join(namespace);
        (ws, id)
    }

    /// Joins a namespace.
    #[must_use]
    pub fn join(&mut self, namespace: &str) -> String {
        self.send(&connect_packet(namespace));
        connect_reply(&self.reply(), namespace)
    }

    /// A WebSocket that means to take over a polling session.
    ///
    /// # Panics
    /// If the handshake fails.
    #[must_use]
    pub fn probe(addr: SocketAddr, session: &Polling) -> Self {
        Self::dial(addr, &session.target().replace("polling", "websocket")).expect("a WebSocket")
    }

    /// Sends a text message. A server that has closed already is no failure.
    pub fn send(&mut self, text: &str) {
        let _ = self.socket.send(Message::text(text));
    }

    /// Sends a binary message.
    pub fn send_binary(&mut self, bytes: &[u8]) {
        let _ = self.socket.send(Message::binary(bytes.to_vec()));
    }

    /// Sends bytes beneath the WebSocket.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        let _ = self.socket.get_mut().write_all(bytes);
    }

    /// Starts the closing handshake.
    pub fn close(&mut self, code: u16) {
        let frame = tungstenite::protocol::CloseFrame { code: CloseCode::from(code), reason: "".into() };
        let _ = self.socket.close(Some(frame));
        let _ = self.socket.flush();
    }

    /// Ends the TCP connection without a word.
    ///
    /// # Panics
    /// If the connection is in a state that cannot be ended.
    pub fn abandon(self) {
        let stream = self.socket.into_inner();
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }

    /// The next message.
    ///
    /// # Panics
    /// If none comes.
    #[must_use]
    pub fn message(&mut self) -> Message {
        self.socket.read().unwrap_or_else(|error| panic!("no message: {error}"))
    }

    /// The next message, which is text.
    ///
    /// # Panics
    /// If it is not, or if none comes.
    #[must_use]
    pub fn text(&mut self) -> String {
        match self.message() {
            Message::Text(text) => text.to_string(),
            other => panic!("no text message: {other:?}"),
        }
    }

    /// The next message, which is binary.
    ///
    /// # Panics
    /// If it is not, or if none comes.
    #[must_use]
    pub fn binary(&mut self) -> Vec<u8> {
        match self.message() {
            Message::Binary(bytes) => bytes.to_vec(),
            other => panic!("no binary message: {other:?}"),
        }
    }

    /// Emits in `/` and waits for the answer's first value. `args` is a list of JSON values.
    ///
    /// # Panics
    /// If another packet comes.
    #[must_use]
    pub fn ask(&mut self, event: &str, args: &str) -> Value {
        let id = self.asked;
        self.asked += 1;
        let args = if args.is_empty() { String::new() } else { format!(",{args}") };
        self.send(&format!("42{id}[{event:?}{args}]"));
        answer(&self.reply(), id)
    }

    /// The next text, but for pings, which are answered: one may always come in between.
    fn reply(&mut self) -> String {
        loop {
            match self.text() {
                ping if ping == "2" => self.send("3"),
                text => return text,
            }
        }
    }

    /// Reads to the end, and tells how it came. Messages before it are dropped.
    ///
    /// # Panics
    /// If the server keeps the connection.
    #[must_use]
    pub fn end(&mut self) -> WsEnd {
        let begun = Instant::now();
        while let Some(rest) = LIMIT.checked_sub(begun.elapsed()).filter(|rest| !rest.is_zero()) {
            match self.hear(rest) {
                Heard::Message(_) => {}
                Heard::Nothing => break,
                Heard::End(end) => return end,
            }
        }
        panic!("the server keeps the connection")
    }

    /// Whether no message and no end comes for this long.
    #[must_use]
    pub fn is_silent(&mut self, time: Duration) -> bool {
        matches!(self.hear(time), Heard::Nothing)
    }

    /// What comes first in this time.
    ///
    /// # Panics
    /// If the socket takes no timeout.
    #[must_use]
    pub fn hear(&mut self, time: Duration) -> Heard {
        self.socket.get_ref().set_read_timeout(Some(time)).expect("a read timeout");
        let result = self.socket.read();
        self.socket.get_ref().set_read_timeout(Some(LIMIT)).expect("a read timeout");
        match result {
            Ok(Message::Close(Some(frame))) => Heard::End(WsEnd::Code(frame.code.into())),
            Ok(Message::Close(None)) => Heard::End(WsEnd::NoCode),
            Ok(message) => Heard::Message(message),
            Err(Error::Io(error))
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                Heard::Nothing
            }
            Err(_) => Heard::End(WsEnd::Dropped),
        }
    }
}

/// What came over a WebSocket.
#[derive(Debug)]
pub enum Heard {
    /// A message, or a control frame other than the close frame.
    Message(Message),
    /// Nothing, in the time given.
    Nothing,
    /// The end.
    End(WsEnd),
}

/// A client's frame, masked with zeros: the first byte as given (FIN, RSV, opcode), then the length and the payload.
///
/// # Panics
/// If the payload has more than 65,535 bytes.
#[must_use]
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&u16::try_from(length).expect("a short payload").to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}
