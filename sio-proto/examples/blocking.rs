//! A Socket.IO server on plain threads: `std::net`, the `tungstenite` crate for WebSockets, and no async runtime.
//!
//! `PORT=3000 cargo run -p sio-proto --example blocking`, then `io("http://localhost:3000", { transports: ["websocket"] })`
//! in a browser. Events: `echo` gives its arguments back, `join(room)` enters a room, `say(room, text)` speaks to all in it.
//!
//! The machine does no I/O. Around it there are bytes in ([`read_all`], a thread per connection), bytes out ([`write_all`],
//! another one), time ([`keep_time`], one for all), and events for the application ([`Shared::settle`], after every input).
//! The machine is behind a lock, and nobody does I/O while holding it.
#![allow(clippy::result_large_err, reason = "the type is tungstenite's")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use sio_proto::engine::{self, ChannelId, Frame, Hangup, Message, Refusal, Request, Transmit, Transport};
use sio_proto::hub::Scope;
use sio_proto::server::{Broadcast, Config, Event, Op, Ready, Server};
use sio_proto::socket::Encoder;
use sio_proto::{Instant, Seed};
use tungstenite::handshake::server::{ErrorResponse, Request as HttpRequest};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, WebSocket, accept_hdr_with_config};

fn main() -> io::Result<()> {
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(3000);
    println!("listening on {}", start(SocketAddr::from(([127, 0, 0, 1], port)))?);
    loop {
        thread::park();
    }
}

/// Serves in the background; gives the address, in which the port may have been left to the system.
pub(crate) fn start(address: SocketAddr) -> io::Result<SocketAddr> {
    let mut engine = engine::Config::default();
    engine.transports = vec![Transport::WebSocket];
    let engine = Arc::new(engine);
    let mut config = Config::default();
    config.engine = Arc::clone(&engine);
    // The secret that session ids grow from: who can guess it can take sessions over.
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    let machine = Mutex::new(Machine(Server::new(config, Seed(seed)), Encoder::new()));
    let (changed, start) = (Condvar::new(), std::time::Instant::now());
    let shared = Arc::new(Shared { machine, changed, start, config: engine });
    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    let clock = Arc::clone(&shared);
    thread::spawn(move || keep_time(&clock));
    thread::spawn(move || {
        listener.incoming().flatten().for_each(|stream| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || serve(&shared, stream));
        });
    });
    Ok(address)
}

const SOUND: &str = "nobody panics with the lock";

struct Machine(Server, Encoder);

struct Shared {
    machine: Mutex<Machine>,
    /// Tells all threads to look again. A server for many clients would wake only those that `poll_ready` names.
    changed: Condvar,
    start: std::time::Instant,
    config: Arc<engine::Config>,
}

impl Shared {
    /// The machine has no clock: we count for it.
    fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    /// An input or a command, and what comes of it.
    fn with<T>(&self, act: impl FnOnce(&mut Machine, Instant) -> T) -> T {
        let mut machine = self.machine.lock().expect(SOUND);
        let result = act(&mut machine, self.now());
        self.settle(&mut machine);
        result
    }

    /// Hands the application what the machine has for it, and wakes the threads: there may be output, or a new deadline.
    fn settle(&self, machine: &mut Machine) {
        while let Some(ready) = machine.0.poll_ready() {
            // The handlers here end at once. Else their sockets would go into the list of busy ones.
            if let Ready::Events(conn) = ready {
                while let Some(event) = machine.0.poll_event(conn, &[]) {
                    machine.handle(event, self.now());
                }
            }
        }
        self.changed.notify_all();
    }
}

impl Machine {
    fn handle(&mut self, event: Event, now: Instant) {
        match event {
            // Everybody may come in. An error means that the client has left meanwhile, here and below.
            Event::Connect { socket, .. } => drop(self.0.accept(socket, now)),
            Event::Event { socket, payload, ack } => match payload.name().as_deref() {
                Some("echo") => {
                    let packet = match ack {
                        Some(id) => self.1.ack("/", id, &payload),
                        None => self.1.event("/", None, "echo", &payload),
                    };
                    // `Full`: the client does not read what it asked for. It misses this one.
                    let _ = packet.map(|packet| self.0.emit(socket, packet, false));
                }
                Some("join") => {
                    let _ = payload.deserialize().map(|room: String| self.0.join(socket, &room));
                }
                Some("say") => {
                    let Ok((room, text)) = payload.deserialize::<(String, String)>() else { return };
                    let Ok(packet) = self.1.event("/", None, "said", &(&room, text)) else { return };
                    let op = Op::Broadcast(Broadcast { packet, volatile: false, ack: None, offset: None });
                    let root = self.0.of("/");
                    self.0.apply(root, &Scope::all().to(room), &op, now);
                }
                _ => {}
            },
            _ => {}
        }
    }
}

fn keep_time(shared: &Shared) {
    let mut machine = shared.machine.lock().expect(SOUND);
    loop {
        let now = shared.now();
        machine = match machine.0.poll_timeout() {
            None => shared.changed.wait(machine).expect(SOUND),
            Some(at) if at > now => shared.changed.wait_timeout(machine, at - now).expect(SOUND).0,
            Some(_) => {
                machine.0.handle_timeout(now);
                shared.settle(&mut machine);
                machine
            }
        };
    }
}

/// A connection, from its first byte to its last.
fn serve(shared: &Arc<Shared>, stream: TcpStream) {
    // A peer that does not read what is written ends. (One that is slow with its handshake keeps a thread: not for the world.)
    let _ = stream.set_write_timeout(Some(shared.config.ping_timeout));
    let limits = WebSocketConfig::default().max_message_size(Some(shared.config.max_http_buffer_size));
    let half = Half(Arc::new((stream, Mutex::new(()))));
    let admit = |request: &HttpRequest, response| admit(shared, request).map(|()| response);
    let Ok(reader) = accept_hdr_with_config(half.clone(), admit, Some(limits)) else { return };
    let opened = shared.with(|machine, now| machine.0.open_websocket(None, now));
    let Ok(channel) = opened else { return };
    let (writing, writer) = (Arc::clone(shared), WebSocket::from_raw_socket(half, Role::Server, None));
    thread::spawn(move || write_all(&writing, channel, writer));
    read_all(shared, channel, reader);
}

/// Decides on a request by its head.
fn admit(shared: &Shared, request: &HttpRequest) -> Result<(), ErrorResponse> {
    let (method, query) = (request.method().as_str(), request.uri().query().unwrap_or_default());
    let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or("not text"));
    let (host, origin) = (header("host"), header("origin"));
    let head = engine::Head { method, query, host, origin, upgrade: true, ..engine::Head::default() };
    let refusal = match Request::parse(&shared.config, &head) {
        _ if !shared.config.matches_path(request.uri().path()) => Refusal::TransportUnknown,
        Ok(Request::WebSocket(None)) => return Ok(()),
        // It would take a polling session over, and there is none.
        Ok(_) => Refusal::SessionUnknown,
        Err(refusal) => refusal,
    };
    let mut answer = ErrorResponse::new(Some(refusal.to_string()));
    *answer.status_mut() = refusal.response(&shared.config, &head).status.try_into().unwrap_or_default();
    Err(answer)
}

fn read_all(shared: &Shared, channel: ChannelId, mut socket: WebSocket<Half>) {
    loop {
        let message = match socket.read() {
            Ok(tungstenite::Message::Text(text)) => Message::Text(text.as_str().into()),
            Ok(tungstenite::Message::Binary(bytes)) => Message::Binary(bytes),
            // Tungstenite answers the others itself.
            Ok(_) => continue,
            Err(error) => {
                let how = if let Error::ConnectionClosed = error { Hangup::Closed } else { Hangup::Failed };
                return shared.with(|machine, now| machine.0.handle_hangup(channel, how, now));
            }
        };
        // What the peer does wrong has its consequences already: the machine will say `Close`.
        let _ = shared.with(|machine, now| machine.0.handle_message(channel, message, now));
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
            // `Abort`: the peer was asked to close, and does not.
            _ => break,
        };
        if written.and_then(|()| socket.flush()).is_err() {
            break;
        }
    }
    // Wakes the reader, which says that the channel is gone.
    let _ = socket.get_ref().0.0.shutdown(Shutdown::Both);
}

/// Waits for the machine to have something for this channel; `None` if the channel is gone.
fn next_transmit(shared: &Shared, channel: ChannelId) -> Option<Transmit> {
    let mut machine = shared.machine.lock().expect(SOUND);
    loop {
        let transmit = machine.0.poll_transmit(channel, shared.now());
        if transmit.is_some() {
            // Taking the last of it may have ended the session.
            shared.settle(&mut machine);
            return transmit;
        }
        machine.0.conn_of(channel)?;
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
