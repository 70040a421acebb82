//! The application under test. `js/reference-server.js` is the same one, written with the official server: keep them alike.
//!
//! | Namespace | Event | Arguments | Answer, and what else happens |
//! |---|---|---|---|
//! | `/` | `echo` | any | the event `echo` with the same arguments |
//! | | `echo-ack` | any | the same arguments |
//! | | `typed` | one [`Typed`] | it, with `count` + 1 and the inner blobs in reverse |
//! | | `sum` | two numbers | their sum |
//! | | `pair` | a value | the value, `"second"` |
//! | | `nothing` | none | no values |
//! | | `twice` | a value | the value; a second answer must not be sent |
//! | | `fail` | any | none: the handler fails |
//! | | `server-ask` | value, ms | asks `question` of the same client: `{answer}` or `{error: "timeout"}` |
//! | | `server-ask-binary` | bytes | asks `question` of the same client: its answer, or null |
//! | | `join`, `leave` | room | `"joined"`, `"left"` |
//! | | `rooms` | none | the client's rooms, sorted |
//! | | `to-room` | room, event, value | `"sent"`; the event to the room, except the sender |
//! | | `to-room-binary` | room, event, bytes | `"sent"`; the event with `{blob}` to the room, except the sender |
//! | | `in-room` | room, event, value | `"sent"`; the event to the room |
//! | | `in-rooms` | rooms, event, value | `"sent"`; the event to all of the rooms |
//! | | `except-room` | room, room, event, value | `"sent"`; the event to the first room, but not to the second |
//! | | `broadcast`, `all` | event, value | `"sent"`; the event to all others, to all |
//! | | `ask-room` | room, value, ms | asks `question` of the room: `{answers (sorted), complete}` |
//! | | `burst` | n | n; before it n events `tick` with 0, 1, … |
//! | | `big` | n | a string of n `x` |
//! | | `bye`, `bye-all` | none | none: leaves the namespace, the connection |
//! | | `observed` | socket id | `{connected, any, reason}`: what the server saw of that socket, in any namespace |
//! | | `conn` | none | `{transport, protocol, upgraded}` of the client's connection: names and a number; `upgraded` is what it moved to |
//! | | `counts` | none | `{seen, connected}` sockets |
//! | `/news` | (connect) | | joins the room `news`; the event `welcome` with the socket id |
//! | | `publish` | value | `"sent"`; the event `published` to the room `news` |
//! | | `bye`, `echo-ack` | | as in `/` |
//! | `/auth` | (connect) | auth `{token, name}` | refused unless the token is `secret`: message `not authorized`, data `{code: 401, token, name}` |
//! | | `whoami` | none | the name |
//! | `/slow` | (connect) | | accepted after 400 ms |
//! | | `echo-ack` | value | the value |
//! | `/dyn-` and a number | `echo-ack` | value | the value |
//! | | `where` | none | the name of the namespace |
//! | | `tell-all` | value | `"sent"`; the event `told` to everyone in all namespaces of that kind |
//! | | `join` | room | `"joined"` |
//! | | `tell-room`, `tell-others` | room, value | `"sent"`; as `tell-all`, but only to those in the room, or to those who are not |
//! | `/ask-…` | (connect) | auth `{token}` | unknown namespace unless the token is `secret` |
//! | | `where` | none | `"asked for "` and the name of the namespace |
//! | `/größe-中` | `echo-ack` | value | the value |
//! | `/extras`, … | | | see the module `extras` |

use core::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use std::{
    collections::HashMap,
    io,
    net::TcpListener,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sio_driver::{
    Ack, AckError, Auth, ConnectError, ConnectionStateRecovery, Cors, Data, DisconnectReason, Error, Event,
    Msgpack, Namespace, NamespaceRequest, Payload, Server, Socket, State,
};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    adapter::{Adapter, block_on},
    extras::extras,
    target::Config,
};

/// Starting and stopping have a bound too.
const LIMIT: Duration = Duration::from_secs(10);

/// Our server with the application, on the runtime that this program is about.
pub struct App {
    io: Server,
    /// Closed when nothing is served any more.
    serving: oneshot::Receiver<()>,
    addr: SocketAddr,
}

impl App {
    /// Starts it on this port of the loopback interface; 0 takes a free one.
    ///
    /// # Errors
    /// The port cannot be bound.
    pub fn start(config: &Config, port: u16) -> io::Result<Self> {
        let adapter = Adapter::here();
        let io = server(config);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let addr = listener.local_addr()?;
        let (served, serving) = oneshot::channel();
        adapter.spawn({
            let io = io.clone();
            async move {
                let _served: oneshot::Sender<()> = served;
                if let Err(error) = adapter.serve(io, listener).await {
                    eprintln!("serve: {error}");
                }
            }
        });
        Ok(Self { io, serving, addr })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Closes all connections and gives back the port.
    ///
    /// # Panics
    /// If that takes too long.
    pub fn stop(self) {
        let Self { io, serving, .. } = self;
        let stopped = block_on(async {
            timeout(LIMIT, async {
                io.close().await;
                let _ = serving.await;
            })
            .await
        });
        stopped.expect("the server closes, and stops serving then");
    }
}

fn server(config: &Config) -> Server {
    let mut builder = Adapter::here()
        .server()
        .ping_interval(config.ping_interval)
        .ping_timeout(config.ping_timeout)
        .upgrade_timeout(config.upgrade_timeout)
        .connect_timeout(config.connect_timeout)
        .max_http_buffer_size(config.max_http_buffer_size)
        .allow_eio3(config.allow_eio3)
        .jsonp(config.allow_eio3)
        .state(Recorder::default());
    if let Some(origin) = config.cors_origin {
        builder = builder.cors(Cors::new().origin(origin).credentials(true));
    }
    if config.recovery {
        builder = builder.connection_state_recovery(ConnectionStateRecovery::new());
    }
    if config.msgpack {
        builder = builder.parser(Msgpack);
    }
    let io = builder.build();

    let root = io.of("/");
    record(&root);
    echoes(&root);
    questions(&root);
    rooms(&root);
    volume(&root);
    root.on("bye", async |socket: Socket| socket.disconnect())
        .on("bye-all", async |socket: Socket| socket.disconnect_connection())
        .on("observed", async |State(recorder): State<Recorder>, Data(id): Data<String>| {
            recorder.observed(&id)
        })
        .on("conn", async |socket: Socket, State(recorder): State<Recorder>| {
            let conn = socket.conn();
            let upgraded = recorder.lock().get(socket.id().as_str()).and_then(|record| record.upgraded);
            json!({ "transport": conn.transport().name(), "protocol": conn.protocol(), "upgraded": upgraded })
        })
        .on("counts", async |State(recorder): State<Recorder>| recorder.counts());

    let news = io.of("/news");
    record(&news);
    news.on_connect(async |socket: Socket| -> Result<(), Error> {
        socket.join("news");
        socket.emit("welcome", &socket.id().to_string())?;
        Ok(())
    })
    .on("publish", async |socket: Socket, Data(value): Data<Value>| -> Result<&'static str, Error> {
        socket.namespace().to("news").emit("published", &value)?;
        Ok("sent")
    })
    .on("bye", async |socket: Socket| socket.disconnect())
    .on("echo-ack", echo_ack);

    let auth = io.of("/auth");
    record(&auth);
    auth.use_(async |Auth(auth): Auth<Option<Credentials>>| -> Result<(), ConnectError> {
        let Credentials { token, name } = auth.unwrap_or_default();
        if token.as_deref() == Some("secret") {
            return Ok(());
        }
        Err(ConnectError::new("not authorized").data(&json!({ "code": 401, "token": token, "name": name })))
    })
    .on("whoami", async |Auth(auth): Auth<Credentials>| json!(auth.name));

    let slow = io.of("/slow");
    record(&slow);
    slow.use_(async |_: Socket| -> Result<(), ConnectError> {
        Adapter::here().sleep(Duration::from_millis(400)).await;
        Ok(())
    })
    .on("echo-ack", echo_ack);

    let numbered = io.of_matching(|name| {
        let number = name.strip_prefix("/dyn-").unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    let (children, of_room, others) = (numbered.clone(), numbered.clone(), numbered.clone());
    numbered
        .on("echo-ack", echo_ack)
        .on("where", async |socket: Socket| socket.namespace().name().to_string())
        .on("tell-all", move |Data(value): Data<Value>| {
            let children = children.clone();
            async move { children.emit("told", &value).map(|_| "sent").map_err(Error::from) }
        })
        .on("join", async |socket: Socket, Data(room): Data<String>| {
            socket.join(room);
            "joined"
        })
        .on("tell-room", move |Data((room, value)): Data<(String, Value)>| {
            let selection = of_room.to(room);
            async move { selection.emit("told", &value).map(|_| "sent").map_err(Error::from) }
        })
        .on("tell-others", move |Data((room, value)): Data<(String, Value)>| {
            let selection = others.except(room);
            async move { selection.emit("told", &value).map(|_| "sent").map_err(Error::from) }
        });
    io.of_dynamic(async |request: NamespaceRequest| {
        let auth = request.auth::<Credentials>().unwrap_or_default();
        Adapter::here().sleep(Duration::from_millis(50)).await;
        request.name().starts_with("/ask-") && auth.token.as_deref() == Some("secret")
    })
    .on("where", async |socket: Socket| format!("asked for {}", socket.namespace().name()));

    let beyond_ascii = io.of("/größe-中");
    record(&beyond_ascii);
    beyond_ascii.on("echo-ack", echo_ack);

    extras(&io);

    io
}

// --- What the server saw ---------------------------------------------------------------------------------------------

#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<HashMap<String, Record>>>);

#[derive(Clone, Default, Serialize)]
struct Record {
    connected: bool,
    any: Vec<String>,
    reason: Option<String>,
    /// What the connection has moved to.
    #[serde(skip)]
    upgraded: Option<&'static str>,
}

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, socket: &Socket, change: impl FnOnce(&mut Record)) {
        change(self.lock().entry(socket.id().to_string()).or_default());
    }

    fn observed(&self, id: &str) -> Value {
        json!(self.lock().get(id).cloned().unwrap_or_default())
    }

    fn counts(&self) -> Value {
        let records = self.lock();
        let connected = records.values().filter(|record| record.connected).count();
        json!({ "seen": records.len(), "connected": connected })
    }
}

fn record(namespace: &Namespace) {
    namespace
        .on_connect(async |socket: Socket, State(recorder): State<Recorder>| {
            recorder.change(&socket, |record| record.connected = true);
            let (conn, id) = (socket.conn(), socket.id().to_string());
            conn.on_upgrade(move |transport| {
                recorder.lock().entry(id).or_default().upgraded = Some(transport.name());
            });
        })
        .on_any(async |socket: Socket, State(recorder): State<Recorder>, event: Event| {
            recorder.change(&socket, |record| record.any.push(event.to_string()));
        })
        .on_disconnect(async |socket: Socket, State(recorder): State<Recorder>, reason: DisconnectReason| {
            recorder.change(&socket, |record| {
                record.connected = false;
                record.reason = Some(reason.to_string());
            });
        });
}

// --- Echoes ----------------------------------------------------------------------------------------------------------

/// A structure with bytes at two depths.
#[derive(Debug, Serialize, Deserialize)]
pub struct Typed {
    name: String,
    count: u32,
    tags: Vec<String>,
    note: Option<String>,
    blob: Bytes,
    inner: Inner,
}

#[derive(Debug, Serialize, Deserialize)]
struct Inner {
    blobs: Vec<Bytes>,
}

async fn echo_ack(payload: Payload) -> Payload {
    payload
}

fn echoes(namespace: &Namespace) {
    namespace
        .on("echo", async |socket: Socket, payload: Payload| -> Result<(), Error> {
            socket.emit("echo", &payload)?;
            Ok(())
        })
        .on("echo-ack", echo_ack)
        .on("typed", async |Data(mut typed): Data<Typed>| {
            typed.count += 1;
            typed.inner.blobs.reverse();
            Data(typed)
        });
}

// --- Acknowledgements ------------------------------------------------------------------------------------------------

fn questions(namespace: &Namespace) {
    namespace
        .on("sum", async |Data((a, b)): Data<(i64, i64)>| a + b)
        .on("pair", async |Data(value): Data<Value>| (value, "second".to_owned()))
        .on("nothing", async |ack: Ack| -> Result<(), Error> {
            ack.send(&())?;
            Ok(())
        })
        .on("twice", async |Data(value): Data<Value>| value)
        // The first value is the acknowledgement; that of a second handler is not.
        .on("twice", async |_: Socket| "again")
        .on("fail", async |_: Socket| -> Result<&'static str, Error> { Err(Error::new("fails on purpose")) })
        .on("server-ask", async |socket: Socket, Data((value, ms)): Data<(Value, u64)>| {
            let answer =
                socket.emit_with_ack::<Value, _>("question", &value).timeout(Duration::from_millis(ms));
            match answer.await {
                Ok(answer) => json!({ "answer": answer }),
                Err(AckError::Timeout) => json!({ "error": "timeout" }),
                Err(error) => json!({ "error": error.to_string() }),
            }
        })
        .on("server-ask-binary", async |socket: Socket, Data(blob): Data<Bytes>| {
            let answer = socket.emit_with_ack::<Bytes, _>("question", &blob).timeout(Duration::from_secs(2));
            Data(answer.await.ok())
        });
}

// --- Rooms -----------------------------------------------------------------------------------------------------------

#[derive(Serialize)]
struct Picture {
    blob: Bytes,
}

type Sent = Result<&'static str, Error>;

fn rooms(namespace: &Namespace) {
    namespace
        .on("join", async |socket: Socket, Data(room): Data<String>| {
            socket.join(room);
            "joined"
        })
        .on("leave", async |socket: Socket, Data(room): Data<String>| {
            socket.leave(room);
            "left"
        })
        .on("rooms", async |socket: Socket| {
            let mut rooms: Vec<String> = socket.rooms().iter().map(ToString::to_string).collect();
            rooms.sort();
            rooms
        })
        .on(
            "to-room",
            async |socket: Socket, Data((room, event, value)): Data<(String, String, Value)>| -> Sent {
                socket.to(room).emit(&event, &value)?;
                Ok("sent")
            },
        )
        .on(
            "to-room-binary",
            async |socket: Socket, Data((room, event, blob)): Data<(String, String, Bytes)>| -> Sent {
                socket.to(room).emit(&event, &Picture { blob })?;
                Ok("sent")
            },
        )
        .on(
            "in-room",
            async |socket: Socket, Data((room, event, value)): Data<(String, String, Value)>| -> Sent {
                socket.namespace().to(room).emit(&event, &value)?;
                Ok("sent")
            },
        )
        .on(
            "in-rooms",
            async |socket: Socket, Data((rooms, event, value)): Data<(Vec<String>, String, Value)>| -> Sent {
                let all = rooms.into_iter().fold(socket.namespace().everyone(), |some, room| some.to(room));
                all.emit(&event, &value)?;
                Ok("sent")
            },
        )
        .on("except-room", except_room)
        .on("broadcast", async |socket: Socket, Data((event, value)): Data<(String, Value)>| -> Sent {
            socket.broadcast().emit(&event, &value)?;
            Ok("sent")
        })
        .on("all", async |socket: Socket, Data((event, value)): Data<(String, Value)>| -> Sent {
            socket.namespace().emit(&event, &value)?;
            Ok("sent")
        })
        .on("ask-room", ask_room);
}

async fn except_room(
    socket: Socket,
    Data((room, without, event, value)): Data<(String, String, String, Value)>,
) -> Sent {
    socket.namespace().to(room).except(without).emit(&event, &value)?;
    Ok("sent")
}

async fn ask_room(
    socket: Socket,
    Data((room, value, ms)): Data<(String, Value, u64)>,
) -> Result<Value, Error> {
    let asked = socket.namespace().to(room).emit_with_ack::<String, _>("question", &value);
    let responses = asked.timeout(Duration::from_millis(ms)).await?;
    let complete = responses.iter().all(|response| response.result.is_ok());
    let mut answers: Vec<String> =
        responses.into_iter().filter_map(|response| response.result.ok()).collect();
    answers.sort();
    Ok(json!({ "answers": answers, "complete": complete }))
}

// --- Volume ----------------------------------------------------------------------------------------------------------

fn volume(namespace: &Namespace) {
    namespace
        .on("burst", async |socket: Socket, Data(count): Data<u32>| -> Result<u32, Error> {
            for number in 0..count {
                socket.emit_wait("tick", &number).await?;
            }
            Ok(count)
        })
        .on("big", async |Data(size): Data<usize>| "x".repeat(size));
}

// --- Auth ------------------------------------------------------------------------------------------------------------

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Credentials {
    token: Option<String>,
    name: Option<String>,
}
