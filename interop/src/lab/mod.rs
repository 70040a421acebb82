//! The server that our client is tested against, twice: [`Lab::node`] is `js/lab-server.js`, written with the official
//! server, and [`Lab::ours`] the same application on our server.
//!
//! Each lab is a server of its own on a free port, and keeps that port when it is started again.
//!
//! # Namespaces and events
//!
//! | Namespace | Event | Arguments | Answer, and what else happens |
//! |---|---|---|---|
//! | all but `/text`, `/plain` | `echo` | any | the event `echo` with the same arguments |
//! | | `echo-ack` | any | the same arguments |
//! | | `note` | a value | no values; logged as `note` |
//! | `/` | `sum` | two numbers | their sum |
//! | | `pair` | a value | the value, `"second"` |
//! | | `three` | none | `1`, `"two"`, `{three: [3]}` |
//! | | `nothing` | none | no values |
//! | | `javascript` (node) | none | a date, `undefined`, an `ArrayBuffer`, and an object of such |
//! | | `silent` | any | never |
//! | | `late` | value, ms | the value, after so long |
//! | | `describe` | up to four | a list of the arguments, bytes by [`digest`] |
//! | | `nested` | size | `{name: "nested", list: [bytes, [bytes, {deep: bytes}]], empty: no bytes, large: size bytes, none: null}` |
//! | | `nested-event` | size | the event `nested` with that, `"and"`, bytes |
//! | | `ask-me` | value, ms | asks `question` of the same client: `{answer}` or `{error: "timeout"}` |
//! | | `ask-me-binary` | bytes | asks `question` of the same client: its answer, or null |
//! | | `join`, `leave` | room | `"joined"`, `"left"` |
//! | | `to-room` | room, event, value | `"sent"`; the event to the room, except the sender |
//! | | `burst` | n | n; before it n events `tick` with 0, 1, … |
//! | | `bye`, `bye-all` | none | none: leaves the namespace, the connection |
//! | | `handshake` | none | `{headers, url}` of the request that opened the session |
//! | `/admin` | (connect) | auth `{token, name}` | refused unless the token is `secret`: message `not authorized`, data `{code: 401, token}` |
//! | | `whoami` | none | the name |
//! | `/text` | (connect) | | refused: message `no`, data `"because"` |
//! | `/plain` | (connect) | | refused: message `never`, no data |
//! | `/news` | (connect) | | joins the room `news`; the event `welcome` with the socket id |
//! | `/retries` | `item` | a number | the number, unless the rules of the command `retries` say otherwise; logged as `item` |
//!
//! Everything else is an unknown namespace.
//!
//! # Commands
//!
//! | Command | Fields | Answer, and what happens |
//! |---|---|---|
//! | `sockets` | `nsp` | a list of `{id}` (node: and `transport`) |
//! | `emit` | `nsp, rooms, except, volatile, event, args` | the event to all of them |
//! | `ask` | `id, event, args, timeout` | `{answers}`, bytes by [`digest`], or `{error: "timeout"}` |
//! | `join`, `leave` | `id, room` | |
//! | `disconnect` | `id, close` | sends the client away; with `close`, closes its connection |
//! | `cut` | | how many TCP connections were ended without a word: all that there were. Later requests of their sessions fare no better |
//! | `retries` | `swallowEvery, cutEvery, cut` | each so-many-th item is not answered; at each so-many-th all TCP connections are cut, `"before"` (and not) or `"after"` it was answered; counting begins anew |
//! | `close` (node) | `id` | closes the Engine.IO session |
//! | `silence` (node) | `id` | the server sends no pings any more |
//! | `away` | `id, events` (fields of `emit`) | closes the Engine.IO session (ours: cuts the TCP connections) and emits while the client is away for certain |
//!
//! In arguments `{"$bytes": [length, seed]}` stands for [`pattern`].
//!
//! # Logs
//!
//! | Log | Values |
//! |---|---|
//! | `connect` | `{nsp, id, recovered, auth}` |
//! | `disconnect` | `{nsp, id, reason}` |
//! | `auth` | `{nsp, auth}`: what the middlewares of `/admin`, `/text`, `/plain` were given |
//! | `note` | `{nsp, id, value}` |
//! | `item` | `{id, seq, ack}`; `ack` is `sent`, `swallowed`, `cut-before` or `cut-after` |
//! | `request` | `{method, url, headers}`, with the option `requests` |

mod app;
mod log;
mod node;
mod serve;
mod tls;
mod value;

use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tokio::{task::spawn_blocking, time::timeout};

use self::{app::App, node::Node};
pub use self::{
    log::Log,
    tls::{Authority, Identity, ServerTls},
    value::{Described, digest, pattern},
};

/// Bound of everything that is waited for.
const LIMIT: Duration = Duration::from_secs(30);

/// What is varied of the servers. The default is the reference's default.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Options {
    /// The port; 0 takes a free one.
    pub port: u16,
    /// The path of all requests.
    pub path: String,
    /// The transports that are offered, by name.
    pub transports: Vec<&'static str>,
    /// Whether polling clients may move to WebSocket.
    pub allow_upgrades: bool,
    /// Time between two pings.
    #[serde(serialize_with = "millis")]
    pub ping_interval: Duration,
    /// How long a pong is waited for.
    #[serde(serialize_with = "millis")]
    pub ping_timeout: Duration,
    /// How long a probe of the WebSocket may take.
    #[serde(serialize_with = "millis")]
    pub upgrade_timeout: Duration,
    /// How long a connection may be without a namespace.
    #[serde(serialize_with = "millis")]
    pub connect_timeout: Duration,
    /// Limit of a request body and of a WebSocket message, in bytes.
    pub max_http_buffer_size: usize,
    /// Connection state recovery.
    pub recovery: bool,
    /// Sets cookies when a session opens: `lab=kept` is to be kept, `gone` is not, and `other` is for another path. Over
    /// WebSocket node sets the first only.
    pub cookies: bool,
    /// Logs each request.
    pub requests: bool,
    /// With TLS.
    pub tls: Option<ServerTls>,
    /// Packets are MessagePack. Default: in the tests about it.
    pub msgpack: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            path: "/socket.io".to_owned(),
            transports: vec!["polling", "websocket"],
            allow_upgrades: true,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(45),
            max_http_buffer_size: 1_000_000,
            recovery: false,
            cookies: false,
            requests: false,
            tls: None,
            msgpack: speaks_msgpack(),
        }
    }
}

tokio::task_local! {
    /// Set while a test is about MessagePack.
    pub(crate) static MSGPACK: ();
}

/// Whether clients and servers of this test speak MessagePack.
pub(crate) fn speaks_msgpack() -> bool {
    MSGPACK.try_with(|()| ()).is_ok()
}

fn millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.as_millis() as u64)
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `js/lab-server.js`, in a child process.
    Node,
    /// Our server, in this process, on the runtime that this program is about.
    Ours,
}

/// A server that runs until this is dropped.
pub struct Lab {
    side: Side,
    options: Options,
    log: Log,
    running: Mutex<Option<Arc<Running>>>,
}

enum Running {
    Node(Node),
    Ours(App),
}

impl Lab {
    /// The official server.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn node(options: Options) -> Self {
        Self::start(Side::Node, options).await
    }

    /// Our server.
    ///
    /// # Panics
    /// If it does not start, or has not what is asked for.
    pub async fn ours(options: Options) -> Self {
        Self::start(Side::Ours, options).await
    }

    /// One of them.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(side: Side, options: Options) -> Self {
        let mut lab = Self { side, options, log: Log::default(), running: Mutex::new(None) };
        lab.options.port = lab.launch().await;
        lab
    }

    async fn launch(&self) -> u16 {
        let (side, options, log) = (self.side, self.options.clone(), self.log.clone());
        let (running, port) = match side {
            Side::Node => {
                let (node, port) = Node::start(&options, log).await;
                (Running::Node(node), port)
            }
            Side::Ours => {
                let started = spawn_blocking(move || App::start(&options, &log)).await;
                let (app, port) = started.expect("no panic").expect("our server starts");
                (Running::Ours(app), port)
            }
        };
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(running));
        port
    }

    /// Which of the two.
    #[must_use]
    pub fn side(&self) -> Side {
        self.side
    }

    /// The port, which stays the same.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.options.port
    }

    /// `http://127.0.0.1:PORT`, or with TLS `https://…`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.options.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.options.port)
    }

    /// What the server saw. It is kept when the server is started again.
    ///
    /// The node server's arrives a moment later than its answers to clients: [`Log::until`] waits, [`seen`](Self::seen)
    /// makes sure.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// A list of the log, with everything in it that the server has seen by now.
    ///
    /// # Panics
    /// If the server runs and does not answer.
    pub async fn seen(&self, name: &str) -> Vec<Value> {
        // What the node server had logged before comes before its answer.
        let runs = self.running.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if runs && self.side == Side::Node {
            self.command(json!({ "cmd": "sync" })).await;
        }
        self.log.list(name)
    }

    /// Has the server do something.
    ///
    /// # Panics
    /// If it cannot, or does not answer.
    pub async fn command(&self, command: Value) -> Value {
        let answer = self.try_command(command.clone()).await;
        answer.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Has the server do something.
    ///
    /// # Errors
    /// What the server says, or that there is none.
    pub async fn try_command(&self, command: Value) -> Result<Value, String> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let running = running.ok_or("the server does not run")?;
        let answer = async {
            match &*running {
                Running::Node(node) => node.command(command).await,
                Running::Ours(app) => app.obey(command).await,
            }
        };
        timeout(LIMIT, answer).await.unwrap_or_else(|_| Err("no answer".to_owned()))
    }

    /// The ids of the sockets in a namespace.
    ///
    /// # Panics
    /// If the server does not answer.
    pub async fn sockets(&self, namespace: &str) -> Vec<String> {
        let list = self.command(json!({ "cmd": "sockets", "nsp": namespace })).await;
        list.as_array()
            .into_iter()
            .flatten()
            .filter_map(|socket| Some(socket["id"].as_str()?.to_owned()))
            .collect()
    }

    /// Ends the server without a word to its clients. What it had logged is in the log.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn kill(&self) {
        let Some(running) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        let ended = async {
            match &*running {
                Running::Node(node) => node.end().await,
                Running::Ours(app) => {
                    app.end();
                    app.ended().await;
                }
            }
        };
        timeout(LIMIT, ended).await.expect("the server ends");
    }

    /// Ends the server gracefully.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match running.as_deref() {
            None => return,
            Some(Running::Node(_)) => drop(self.command(json!({ "cmd": "shutdown" })).await),
            Some(Running::Ours(app)) => {
                timeout(LIMIT, app.close()).await.expect("our server closes");
            }
        }
        self.kill().await;
    }

    /// Starts the server again, after [`kill`](Self::kill) or [`stop`](Self::stop), on the same port.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_again(&self) {
        self.launch().await;
    }

    /// Kills the server, and starts it again on the same port.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn restart(&self) {
        self.kill().await;
        self.start_again().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Ours(app) = self {
            app.end();
        }
    }
}
