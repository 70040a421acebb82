//! The application of the lab on our server. `js/lab-server.js` is the same one, written with the official server: keep
//! them alike.

use core::{net::Ipv4Addr, time::Duration};
use std::{
    io,
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Instant,
};

use bytes::Bytes;
use futures_rustls::TlsAcceptor;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sio_driver::{
    Ack, AckError, Auth, ConnectError, ConnectionStateRecovery, Data, DisconnectReason, Error, Msgpack,
    Namespace, Operator, Payload, Server, Socket, State, Transport,
};
use tokio::sync::watch;

use super::{
    Log, Options,
    log::Pen,
    serve::{Front, Lines, Stage, headers, serve},
    value::{All, Described, Revived, pattern},
};
use crate::adapter::Adapter;

const NAMESPACES: [&str; 6] = ["/", "/admin", "/text", "/plain", "/news", "/retries"];

/// What handlers and commands share.
#[derive(Clone)]
pub(super) struct App {
    io: Server,
    lab: Lab,
    stage: watch::Sender<Stage>,
}

#[derive(Clone)]
struct Lab {
    log: Pen,
    lines: Lines,
    retries: Arc<Mutex<Retries>>,
}

/// How many items came, and what happens to which of them.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Retries {
    #[serde(skip)]
    count: u64,
    swallow_every: u64,
    cut_every: u64,
    cut: Option<String>,
}

impl App {
    /// Starts on this port, and gives it; 0 takes a free one. Blocks.
    pub(super) fn start(options: &Options, log: &Log) -> io::Result<(Self, u16)> {
        let log = log.pen();
        let lab = Lab { log: log.clone(), lines: Lines::default(), retries: Arc::default() };
        let io = server(options, lab.clone());
        let listener = listen(options.port)?;
        let port = listener.local_addr()?.port();
        let stage = watch::Sender::new(Stage::Open);
        let front = Front {
            io: io.clone(),
            tls: options.tls.as_ref().map(|tls| TlsAcceptor::from(tls.config())),
            cookies: options.cookies,
            requests: options.requests.then_some(log),
            lines: lab.lines.clone(),
            stage: stage.subscribe(),
        };
        Adapter::here().spawn(serve(front, listener));
        Ok((Self { io, lab, stage }, port))
    }

    /// Closes all connections gracefully.
    pub(super) async fn close(&self) {
        self.io.close().await;
        self.stage.send_replace(Stage::Closing);
        self.stage.closed().await;
    }

    /// Ends all connections, and nothing is logged any more.
    pub(super) fn end(&self) {
        self.lab.log.dry();
        self.stage.send_replace(Stage::Dead);
        self.lab.lines.cut();
    }

    /// Waits until nobody is served any more, after [`end`](Self::end).
    pub(super) async fn ended(&self) {
        self.stage.closed().await;
        // Those that were accepted meanwhile.
        self.lab.lines.cut();
    }

    /// Obeys a command.
    pub(super) async fn obey(&self, command: Value) -> Result<Value, String> {
        let name = command["cmd"].as_str().unwrap_or_default().to_owned();
        let parse = || serde_json::from_value::<Command>(command.clone()).map_err(|error| error.to_string());
        Ok(match name.as_str() {
            "sockets" => {
                let sockets = self.io.of(&parse()?.nsp).sockets();
                sockets.iter().map(|socket| json!({ "id": socket.id().to_string() })).collect()
            }
            "emit" => {
                let command = parse()?;
                let sent = self.selection(&command).emit(&command.event, &Revived(&command.args));
                sent.map(|_| Value::Null).map_err(|error| error.to_string())?
            }
            "ask" => {
                let command = parse()?;
                let asked =
                    self.find(&command.id)?.emit_with_ack::<All, _>(&command.event, &Revived(&command.args));
                match asked.timeout(Duration::from_millis(command.timeout)).await {
                    Ok(All(answers)) => json!({ "answers": answers }),
                    Err(AckError::Timeout) => json!({ "error": "timeout" }),
                    Err(error) => json!({ "error": error.to_string() }),
                }
            }
            "join" => {
                let command = parse()?;
                self.find(&command.id)?.join(&command.room);
                Value::Null
            }
            "leave" => {
                let command = parse()?;
                self.find(&command.id)?.leave(&command.room);
                Value::Null
            }
            "disconnect" => {
                let command = parse()?;
                let socket = self.find(&command.id)?;
                if command.close {
                    socket.disconnect_connection();
                } else {
                    socket.disconnect();
                }
                Value::Null
            }
            "cut" => self.lab.lines.cut().into(),
            "away" => {
                let command = parse()?;
                let socket = self.find(&command.id)?;
                self.lab.lines.cut();
                while socket.is_connected() {
                    Adapter::here().sleep(Duration::from_millis(1)).await;
                }
                for event in &command.events {
                    let sent = self.selection(event).emit(&event.event, &Revived(&event.args));
                    sent.map_err(|error| error.to_string())?;
                }
                command.events.len().into()
            }
            "retries" => {
                let rules = serde_json::from_value(command).map_err(|error| error.to_string())?;
                *self.lab.retries.lock().unwrap_or_else(PoisonError::into_inner) = rules;
                Value::Null
            }
            other => return Err(format!("our server has no \"{other}\"")),
        })
    }

    fn find(&self, id: &str) -> Result<Socket, String> {
        let mut sockets = NAMESPACES.iter().flat_map(|name| self.io.of(name).sockets());
        sockets.find(|socket| socket.id().to_string() == id).ok_or_else(|| format!("no socket {id}"))
    }

    fn selection(&self, command: &Command) -> Operator {
        let all = self.io.of(&command.nsp).everyone();
        let all = command.rooms.iter().fold(all, |all, room| all.to(room.as_str()));
        let all = command.except.iter().fold(all, |all, room| all.except(room.as_str()));
        if command.volatile { all.volatile() } else { all }
    }
}

/// The fields of all commands.
#[derive(Deserialize)]
#[serde(default)]
struct Command {
    nsp: String,
    id: String,
    event: String,
    args: Vec<Value>,
    events: Vec<Self>,
    rooms: Vec<String>,
    except: Vec<String>,
    room: String,
    volatile: bool,
    close: bool,
    timeout: u64,
}

impl Default for Command {
    fn default() -> Self {
        Self {
            nsp: "/".to_owned(),
            id: String::new(),
            event: String::new(),
            args: Vec::new(),
            events: Vec::new(),
            rooms: Vec::new(),
            except: Vec::new(),
            room: String::new(),
            volatile: false,
            close: false,
            timeout: 5000,
        }
    }
}

/// The port may be that of a server that was ended a moment ago.
fn listen(port: u16) -> io::Result<TcpListener> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < end => {
                thread::sleep(Duration::from_millis(50));
            }
            result => return result,
        }
    }
}

fn server(options: &Options, lab: Lab) -> Server {
    let transports = options.transports.iter().map(|name| match *name {
        "polling" => Transport::Polling,
        "websocket" => Transport::WebSocket,
        other => panic!("our server has no transport \"{other}\""),
    });
    let builder = Adapter::here()
        .server()
        .path(options.path.clone())
        .transports(transports)
        .allow_upgrades(options.allow_upgrades)
        .ping_interval(options.ping_interval)
        .ping_timeout(options.ping_timeout)
        .upgrade_timeout(options.upgrade_timeout)
        .connect_timeout(options.connect_timeout)
        .max_http_buffer_size(options.max_http_buffer_size)
        .state(lab);
    let builder = if options.recovery {
        builder.connection_state_recovery(ConnectionStateRecovery::new())
    } else {
        builder
    };
    let builder = if options.msgpack { builder.parser(Msgpack) } else { builder };
    let io = builder.build();

    let root = io.of("/");
    watch(&root);
    root.on("sum", async |Data((a, b)): Data<(i64, i64)>| a + b)
        .on("pair", async |Data(value): Data<Value>| (value, "second".to_owned()))
        .on("three", async |_: Socket| (1, "two", json!({ "three": [3] })))
        .on("nothing", async |ack: Ack| -> Result<(), Error> {
            ack.send(&())?;
            Ok(())
        })
        .on("silent", async |_: Socket| {})
        .on("late", async |Data((value, ms)): Data<(Value, u64)>| {
            Adapter::here().sleep(Duration::from_millis(ms)).await;
            value
        })
        .on("describe", async |Data(All(args)): Data<All>| args)
        .on("nested", async |Data(size): Data<usize>| Data(Nested::new(size)))
        .on("nested-event", async |socket: Socket, Data(size): Data<usize>| -> Result<(), Error> {
            socket.emit("nested", &(Nested::new(size), "and", pattern(5, 5)))?;
            Ok(())
        })
        .on("ask-me", async |socket: Socket, Data((value, ms)): Data<(Value, u64)>| {
            let answer =
                socket.emit_with_ack::<Value, _>("question", &value).timeout(Duration::from_millis(ms));
            match answer.await {
                Ok(answer) => json!({ "answer": answer }),
                Err(AckError::Timeout) => json!({ "error": "timeout" }),
                Err(error) => json!({ "error": error.to_string() }),
            }
        })
        .on("ask-me-binary", async |socket: Socket, Data(bytes): Data<Bytes>| {
            let answer = socket.emit_with_ack::<Bytes, _>("question", &bytes).timeout(Duration::from_secs(5));
            Data(answer.await.ok())
        })
        .on("join", async |socket: Socket, Data(room): Data<String>| {
            socket.join(room);
            "joined"
        })
        .on("leave", async |socket: Socket, Data(room): Data<String>| {
            socket.leave(room);
            "left"
        })
        .on("to-room", to_room)
        .on("burst", async |socket: Socket, Data(count): Data<u32>| -> Result<u32, Error> {
            for number in 0..count {
                socket.emit_wait("tick", &number).await?;
            }
            Ok(count)
        })
        .on("bye", async |socket: Socket| socket.disconnect())
        .on("bye-all", async |socket: Socket| socket.disconnect_connection())
        .on("handshake", async |socket: Socket| {
            let handshake = socket.handshake();
            json!({ "headers": headers(&handshake.headers), "url": handshake.uri.to_string() })
        });

    refusing(&io, "/admin", |auth| {
        let token = &auth["token"];
        if token == "secret" {
            return Ok(());
        }
        Err(ConnectError::new("not authorized").data(&json!({ "code": 401, "token": token })))
    });
    refusing(&io, "/text", |_| Err(ConnectError::new("no").data(&"because")));
    refusing(&io, "/plain", |_| Err(ConnectError::new("never")));

    let news = io.of("/news");
    news.on_connect(async |socket: Socket| -> Result<(), Error> {
        socket.join("news");
        socket.emit("welcome", &socket.id().to_string())?;
        Ok(())
    });
    watch(&news);

    let retries = io.of("/retries");
    watch(&retries);
    retries.on("item", item);

    io
}

fn watch(namespace: &Namespace) {
    namespace
        .on_connect(async |socket: Socket, State(lab): State<Lab>, Auth(auth): Auth<Value>| {
            let (nsp, id) = names(&socket);
            lab.log.push(
                "connect",
                json!({ "nsp": nsp, "id": id, "recovered": socket.recovered(), "auth": auth }),
            );
        })
        .on_disconnect(async |socket: Socket, State(lab): State<Lab>, reason: DisconnectReason| {
            let (nsp, id) = names(&socket);
            lab.log.push("disconnect", json!({ "nsp": nsp, "id": id, "reason": reason.to_string() }));
        })
        .on("echo", async |socket: Socket, payload: Payload| -> Result<(), Error> {
            socket.emit("echo", &payload)?;
            Ok(())
        })
        .on("echo-ack", async |payload: Payload| payload)
        .on(
            "note",
            async |socket: Socket,
                   State(lab): State<Lab>,
                   Data(value): Data<Value>,
                   ack: Ack|
                   -> Result<(), Error> {
                let (nsp, id) = names(&socket);
                lab.log.push("note", json!({ "nsp": nsp, "id": id, "value": value }));
                ack.send(&())?;
                Ok(())
            },
        );
}

fn names(socket: &Socket) -> (String, String) {
    (socket.namespace().name().to_string(), socket.id().to_string())
}

fn refusing(io: &Server, name: &'static str, decide: fn(&Value) -> Result<(), ConnectError>) {
    let namespace = io.of(name);
    namespace.use_(move |State(lab): State<Lab>, Auth(auth): Auth<Value>| async move {
        lab.log.push("auth", json!({ "nsp": name, "auth": auth }));
        decide(&auth)
    });
    watch(&namespace);
    namespace.on("whoami", async |Auth(auth): Auth<Value>| auth["name"].clone());
}

async fn to_room(
    socket: Socket,
    Data((room, event, Described(value))): Data<(String, String, Described)>,
) -> Result<&'static str, Error> {
    socket.to(room).emit(&event, &value)?;
    Ok("sent")
}

async fn item(socket: Socket, State(lab): State<Lab>, Data(seq): Data<Value>, ack: Ack) -> Result<(), Error> {
    let fate = {
        let mut retries = lab.retries.lock().unwrap_or_else(PoisonError::into_inner);
        retries.count += 1;
        let hit = |every: u64| every > 0 && retries.count % every == 0;
        match retries.cut.as_deref() {
            Some("after") if hit(retries.cut_every) => "cut-after",
            _ if hit(retries.cut_every) => "cut-before",
            _ if hit(retries.swallow_every) => "swallowed",
            _ => "sent",
        }
    };
    if !lab.log.push("item", json!({ "id": socket.id().to_string(), "seq": seq, "ack": fate })) {
        return Ok(());
    }
    if matches!(fate, "sent" | "cut-after") {
        ack.send(&seq)?;
    }
    if fate.starts_with("cut") {
        lab.lines.cut();
    }
    Ok(())
}

/// What `nested` answers.
#[derive(Serialize)]
struct Nested {
    name: &'static str,
    list: (Bytes, (Bytes, Deep)),
    empty: Bytes,
    large: Bytes,
    none: (),
}

#[derive(Serialize)]
struct Deep {
    deep: Bytes,
}

impl Nested {
    fn new(size: usize) -> Self {
        Self {
            name: "nested",
            list: (pattern(1, 1), (pattern(2, 2), Deep { deep: pattern(3, 3) })),
            empty: pattern(0, 0),
            large: pattern(size, 4),
            none: (),
        }
    }
}
