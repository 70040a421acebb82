//! A Socket.IO client on plain threads: `std::net`, the `tungstenite` crate for WebSockets, and no async runtime.
//!
//! `cargo run -p sio-proto --example blocking_client http://localhost:3000/` joins `/` and emits what is typed: the first word of a
//! line is the event's name, the rest its argument. `PORT=3000 cargo run -p sio-proto --example blocking` is a server for it.
//!
//! The machine does no I/O. Around it there are a thread that does what it says ([`run`]), one for each request and WebSocket that it
//! asks for ([`poll`], [`dial`], [`read_all`], [`write_all`]), and events for the application ([`settle`]). The machine is behind a lock,
//! and nobody does I/O while holding it.
#![allow(clippy::result_large_err, reason = "the type is tungstenite's")]

use std::collections::HashMap;
use std::io::{self, BufRead as _, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, mpsc};
use std::thread;

use sio_proto::client::{Client, Config, Event};
use sio_proto::engine::{
    Answer, ChannelId, ClientConfig, ClientRequest, Frame, Message, Transmit, TransportError,
};
use sio_proto::socket::{ClientConnEvent, Emit, Encoder, Slot, SocketConfig};
use sio_proto::{Instant, Seed};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, WebSocket};

fn main() -> io::Result<()> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://localhost:3000/".into());
    let (events, heard) = mpsc::channel();
    let connection = Connection::start(&url, events)?;
    thread::spawn(move || heard.iter().for_each(|event| println!("{event}")));
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (name, text) = line.split_once(' ').unwrap_or((&line, ""));
        if let Err(error) = connection.emit(name, text) {
            eprintln!("{error}");
        }
    }
    connection.close();
    Ok(())
}

const SOUND: &str = "nobody panics with the lock";

/// Most bytes of an HTTP answer's head.
const MAX_HEAD: usize = 16 << 10;

struct Shared {
    machine: Mutex<Machine>,
    /// Tells all threads to look again.
    changed: Condvar,
    start: std::time::Instant,
    /// `host:port`.
    host: String,
}

struct Machine {
    client: Client,
    encoder: Encoder,
    slot: Slot,
    next_ack: u64,
    /// What is under way, so that it can be given up.
    streams: HashMap<ChannelId, Option<TcpStream>>,
    /// Where the application hears of events, in words.
    events: mpsc::Sender<String>,
}

/// A client that joins one namespace.
pub(crate) struct Connection(Arc<Shared>);

impl Connection {
    /// Connects in the background, and again whenever the connection is lost. B146: the URL's path is the namespace.
    pub(crate) fn start(url: &str, events: mpsc::Sender<String>) -> io::Result<Self> {
        let invalid = || {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a URL of the form http://host:port/namespace?query",
            )
        };
        let rest = url.strip_prefix("http://").ok_or_else(invalid)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, namespace) = rest.split_once('/').unwrap_or((rest, ""));
        let host = if host.contains(':') { host.into() } else { format!("{host}:80") };
        if !(host.clone() + query).bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid());
        }
        let mut engine = ClientConfig::default();
        engine.try_all_transports = true;
        engine.query = query.into();
        let mut config = Config::default();
        config.engine = Arc::new(engine);
        let mut seed = [0; 32];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
        let mut client = Client::new(config, Seed(seed));
        let slot = client.socket(namespace, SocketConfig::default());
        client.connect(slot, Instant::ZERO).map_err(io::Error::other)?;
        let machine =
            Machine { client, encoder: Encoder::new(), slot, next_ack: 0, streams: HashMap::new(), events };
        let (changed, start) = (Condvar::new(), std::time::Instant::now());
        let shared = Arc::new(Shared { machine: Mutex::new(machine), changed, start, host });
        let running = Arc::clone(&shared);
        thread::spawn(move || run(&running));
        Ok(Self(shared))
    }

    /// Emits an event with one text, and asks for an acknowledgement. While there is no connection, it is kept.
    pub(crate) fn emit(&self, name: &str, text: &str) -> io::Result<()> {
        self.0.with(|machine, now| {
            let namespace = machine.client.conn().name(machine.slot).cloned().unwrap_or_default();
            let ack = machine.next_ack;
            machine.next_ack += 1;
            let packet =
                machine.encoder.event(&namespace, Some(ack), name, text).map_err(io::Error::other)?;
            let emit = Emit { ack: Some(ack), ..Emit::new(packet) };
            machine.client.emit(machine.slot, emit, now).map(drop).map_err(io::Error::other)
        })
    }

    /// Sends what waits, leaves, and waits for the end.
    pub(crate) fn close(&self) {
        self.0.with(|machine, now| machine.client.close(now));
        let machine = self.0.machine.lock().expect(SOUND);
        drop(self.0.changed.wait_while(machine, |machine| !machine.client.is_quiet()).expect(SOUND));
    }
}

impl Shared {
    /// The machine has no clock: we count for it.
    fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    /// An input or a command, after which all threads look again.
    fn with<T>(&self, act: impl FnOnce(&mut Machine, Instant) -> T) -> T {
        let result = act(&mut self.machine.lock().expect(SOUND), self.now());
        self.changed.notify_all();
        result
    }
}

/// Does what the machine says, until it is closed and nothing is left.
fn run(shared: &Arc<Shared>) {
    let mut machine = shared.machine.lock().expect(SOUND);
    loop {
        let now = shared.now();
        if machine.client.poll_timeout().is_some_and(|at| at <= now) {
            machine.client.handle_timeout(now);
        }
        settle(&mut machine, now);
        while let Some(request) = machine.client.poll_request(now) {
            begin(shared, &mut machine, request);
        }
        // The waiters of `close`, and whoever can write again.
        shared.changed.notify_all();
        if machine.client.is_closed() && machine.client.is_quiet() {
            return;
        }
        machine = wait(shared, machine);
    }
}

/// Waits for something to change, or for the next deadline.
fn wait<'a>(shared: &'a Shared, machine: MutexGuard<'a, Machine>) -> MutexGuard<'a, Machine> {
    match machine.client.poll_timeout() {
        None => shared.changed.wait(machine).expect(SOUND),
        Some(at) => shared.changed.wait_timeout(machine, at - shared.now()).expect(SOUND).0,
    }
}

/// Tells the application what has happened.
fn settle(machine: &mut Machine, now: Instant) {
    while let Some(event) = machine.client.poll_event(&[], now) {
        let text = match event {
            Event::Socket(ClientConnEvent::Connect { id, .. }) => format!("connected as {id}"),
            Event::Socket(ClientConnEvent::ConnectError { error, .. }) => format!("not connected: {error}"),
            Event::Socket(ClientConnEvent::Disconnect { reason, .. }) => format!("disconnected: {reason}"),
            Event::Socket(ClientConnEvent::Ack { result: Ok(answer), .. }) => format!("= {}", answer.text()),
            Event::Socket(ClientConnEvent::Ack { result: Err(error), .. }) => format!("= {error}"),
            Event::Socket(ClientConnEvent::Event { payload, ack, slot }) => {
                if let Some(ack) = ack {
                    let namespace = machine.client.conn().name(slot).cloned().unwrap_or_default();
                    // An error means that the connection is gone, and nobody waits any more.
                    let packet = machine.encoder.ack(&namespace, ack.id(), &());
                    let _ = packet.map(|packet| machine.client.ack(slot, ack, packet));
                }
                format!("{} {}", payload.name().unwrap_or_default(), payload.args_text())
            }
            _ => continue,
        };
        // Nobody may be listening any more.
        let _ = machine.events.send(text);
    }
}

/// What a thread does for a channel.
type Work = Box<dyn FnOnce(&Arc<Shared>) + Send>;

fn begin(shared: &Arc<Shared>, machine: &mut Machine, request: ClientRequest) {
    let (channel, work): (_, Work) = match request {
        ClientRequest::Get { channel, query } => {
            (channel, Box::new(move |shared| poll(shared, channel, "GET", &query, &[])))
        }
        ClientRequest::Post { channel, query, body } => {
            (channel, Box::new(move |shared| poll(shared, channel, "POST", &query, &body)))
        }
        ClientRequest::WebSocket { channel, query } => {
            (channel, Box::new(move |shared| dial(shared, channel, &query)))
        }
        ClientRequest::Abort { channel } => {
            // Wakes its threads, which find out that nobody wants to know.
            if let Some(Some(stream)) = machine.streams.remove(&channel) {
                let _ = stream.shutdown(Shutdown::Both);
            }
            return;
        }
        _ => return,
    };
    machine.streams.insert(channel, None);
    let shared = Arc::clone(shared);
    thread::spawn(move || work(&shared));
}

/// A connection to the server, unless it is not wanted any more.
fn connect(shared: &Shared, channel: ChannelId) -> Result<TcpStream, TransportError> {
    let stream = TcpStream::connect(&shared.host).map_err(io_error)?;
    let copy = stream.try_clone().map_err(io_error)?;
    shared.with(|machine, _| match machine.streams.get_mut(&channel) {
        Some(place) => {
            *place = Some(copy);
            Ok(stream)
        }
        None => Err(TransportError::Closed),
    })
}

fn io_error(error: io::Error) -> TransportError {
    TransportError::Io(error.to_string())
}

/// A GET or POST.
fn poll(shared: &Shared, channel: ChannelId, method: &str, query: &str, body: &[u8]) {
    let answer = connect(shared, channel).and_then(|stream| request(shared, stream, method, query, body));
    shared.with(|machine, now| {
        machine.streams.remove(&channel);
        match answer {
            // What the server does wrong has its consequences already.
            Ok(answer) => drop(machine.client.handle_answer(channel, answer, now)),
            Err(error) => machine.client.handle_failure(channel, error, now),
        }
    });
}

/// HTTP as small as can be: to a request of version 1.0 the answer ends with its connection, and has no chunks.
fn request(
    shared: &Shared,
    mut stream: TcpStream,
    method: &str,
    query: &str,
    body: &[u8],
) -> Result<Answer, TransportError> {
    let max_body = ClientConfig::default().max_message_size;
    let head = format!(
        "{method} /socket.io/?{query} HTTP/1.0\r\nhost: {}\r\ncontent-type: text/plain;charset=UTF-8\r\ncontent-length: {}\r\n\r\n",
        shared.host,
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).map_err(io_error)?;
    let mut answer = Vec::new();
    let limit = (MAX_HEAD + max_body) as u64;
    stream.take(limit).read_to_end(&mut answer).map_err(io_error)?;
    let bad = || TransportError::Io("not an HTTP answer".into());
    let end = answer.windows(4).take(MAX_HEAD).position(|bytes| bytes == b"\r\n\r\n").ok_or_else(bad)?;
    let head = std::str::from_utf8(&answer[..end]).map_err(|_| bad())?;
    let (line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let header = |name: &str| {
        let mut pairs = headers.split("\r\n").filter_map(|line| line.split_once(':'));
        pairs.find(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(bad)?;
    let (length, location) = (header("content-length"), header("location"));
    let body = answer.split_off(end + 4);
    match length.and_then(|length| length.parse::<usize>().ok()) {
        Some(length) if length > max_body => Err(TransportError::TooLarge { limit: max_body }),
        Some(length) if length > body.len() => Err(TransportError::Io("the answer is cut off".into())),
        length => {
            let mut body = bytes::Bytes::from(body);
            body.truncate(length.unwrap_or(usize::MAX));
            Ok(Answer { status, location, body })
        }
    }
}

/// A WebSocket, from its first byte to its last.
fn dial(shared: &Arc<Shared>, channel: ChannelId, query: &str) {
    let limits = WebSocketConfig::default().max_message_size(Some(ClientConfig::default().max_message_size));
    let url = format!("ws://{}/socket.io/?{query}", shared.host);
    let opened = connect(shared, channel).and_then(|stream| {
        let half = Half(Arc::new((stream, Mutex::new(()))));
        match tungstenite::client::client_with_config(url, half.clone(), Some(limits)) {
            Ok((reader, _)) => Ok((reader, half)),
            Err(tungstenite::HandshakeError::Failure(Error::Http(answer))) => {
                let body = answer.body().as_deref().unwrap_or_default();
                Err(TransportError::from_answer(answer.status().as_u16(), None, body))
            }
            Err(error) => Err(TransportError::Io(error.to_string())),
        }
    });
    let error = match opened {
        Err(error) => error,
        Ok((reader, half)) => {
            shared.with(|machine, now| machine.client.handle_open(channel, now));
            let (writing, writer) =
                (Arc::clone(shared), WebSocket::from_raw_socket(half, Role::Client, None));
            thread::spawn(move || write_all(&writing, channel, writer));
            read_all(shared, channel, reader)
        }
    };
    shared.with(|machine, now| {
        machine.streams.remove(&channel);
        machine.client.handle_failure(channel, error, now);
    });
}

/// Tells the machine what comes; gives the reason why nothing more does.
fn read_all(shared: &Shared, channel: ChannelId, mut socket: WebSocket<Half>) -> TransportError {
    loop {
        let message = match socket.read() {
            Ok(tungstenite::Message::Text(text)) => Message::Text(text.as_str().into()),
            Ok(tungstenite::Message::Binary(bytes)) => Message::Binary(bytes),
            // Tungstenite answers the others itself.
            Ok(_) => continue,
            Err(Error::ConnectionClosed) => return TransportError::Closed,
            Err(error) => return TransportError::Io(error.to_string()),
        };
        // What the server does wrong has its consequences already: the machine gives the WebSocket up.
        let _ = shared.with(|machine, now| machine.client.handle_message(channel, message, now));
    }
}

fn write_all(shared: &Shared, channel: ChannelId, mut socket: WebSocket<Half>) {
    while let Some(transmit) = next_transmit(shared, channel) {
        let written = match transmit {
            Transmit::Packet(packet) => packet.frames().try_for_each(|frame| match frame {
                Frame::Binary(bytes) => socket.write(bytes.into()),
                Frame::Text(text) => socket.write(text.as_str().into()),
                _ => Ok(()),
            }),
            Transmit::Close => socket.close(None),
            _ => return,
        };
        if written.and_then(|()| socket.flush()).is_err() {
            // Wakes the reader, which says that the channel is gone.
            let _ = socket.get_ref().0.0.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Waits for the machine to have something for this channel; `None` if the channel is gone.
fn next_transmit(shared: &Shared, channel: ChannelId) -> Option<Transmit> {
    let mut machine = shared.machine.lock().expect(SOUND);
    loop {
        if let Some(transmit) = machine.client.poll_transmit(channel, shared.now()) {
            shared.changed.notify_all();
            return Some(transmit);
        }
        machine.streams.get(&channel)?;
        machine = shared.changed.wait(machine).expect(SOUND);
    }
}

/// One of the two users of a connection. Tungstenite answers pings and the end while it reads, so both write; each piece as
/// a whole, or frames would be mixed up.
#[derive(Clone)]
struct Half(Arc<(TcpStream, Mutex<()>)>);

impl Read for Half {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.0.0).read(buffer)
    }
}

impl Write for Half {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _whole = self.0.1.lock().expect(SOUND);
        (&self.0.0).write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
