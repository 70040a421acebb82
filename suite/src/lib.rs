//! What the adapters of all runtimes must do, written once.
//!
//! An adapter says in its `tests/suite.rs` what it calls things, and gets all tests, under the same names as any other:
//!
//! ```text
//! struct Smol;
//! impl suite::Adapter for Smol { … }
//! fn main() {
//!     suite::main::<Smol>(&[]);
//! }
//! ```
//!
//! There are two kinds. Those of `api` show the server and the client as their users see them, on the executor of the adapter's runtime,
//! but with a clock and a network of their own (`world`); they are compiled once. Those of [`cases`] are few and go over loopback: here
//! it is that sockets, clock and tasks of a runtime do what they should.

mod api;
pub mod cases;
mod net;
mod run;
mod world;

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_rustls::rustls::ServerConfig;
use futures_util::future::{Either, select};
use sio_driver::{ClientBuilder, ConnectionError, FromContext, Runtime, ServerBuilder, Timer as _};

pub use run::{main, run};

/// How long an answer may take before the test fails, and how long the whole test.
const PATIENCE: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(120);

/// The adapter of a runtime, under names that are the same for all. Each function should do what a user would.
pub trait Adapter: 'static {
    /// The name of the crate.
    const NAME: &'static str;
    /// What is under its server and client.
    type Runtime: Runtime + Default;
    /// Its server.
    type Server: Clone
        + From<sio_driver::Server>
        + Deref<Target = sio_driver::Server>
        + FromContext
        + Send
        + Sync
        + 'static;
    /// Its client.
    type Client: Clone + From<sio_driver::Client> + Deref<Target = sio_driver::Client> + Send + Sync + 'static;

    /// Runs a future as `main` would.
    fn block_on(test: impl Future<Output = ()>);
    /// `Server::builder`.
    fn server() -> ServerBuilder<Self::Server>;
    /// `Client::builder`.
    fn client(url: &str) -> ClientBuilder<Self::Client>;
    /// `Client::connect`.
    fn connect(url: &str) -> impl Future<Output = Result<Self::Client, ConnectionError>>;
    /// A listener, and where it is.
    fn bind(address: &str) -> impl Future<Output = io::Result<(Listener<Self>, SocketAddr)>>;
    /// `Server::listen`.
    fn listen(io: Self::Server, address: SocketAddr) -> impl Future<Output = io::Result<()>> + Send;
    /// `Server::serve`.
    fn serve(io: Self::Server, listener: Listener<Self>) -> impl Future<Output = io::Result<()>> + Send;
    /// TLS on each connection, and `Server::serve_connection`. Never ends.
    fn serve_tls(
        io: Self::Server,
        listener: Listener<Self>,
        config: Arc<ServerConfig>,
    ) -> impl Future<Output = ()> + Send;
}

/// The listening socket of an adapter's runtime.
pub type Listener<A> = <<A as Adapter>::Runtime as Runtime>::Listener;

/// The rows of the table in the README, and the tests that they rest on: cases over loopback, and files of `api`.
const FEATURES: &[(&str, &[&str])] = &[
    ("`listen`, `serve`, `connect`", &["loopback::listen_and_connect"]),
    ("Long-polling", &["loopback::polling"]),
    ("WebSocket", &["loopback::websocket"]),
    ("Upgrade to WebSocket", &["loopback::upgrade", "server::upgrade"]),
    ("Namespaces, `auth`, middlewares", &["loopback::namespaces"]),
    ("Rooms", &["loopback::rooms"]),
    ("Reconnection", &["loopback::reconnection"]),
    ("Heartbeat", &["loopback::heartbeat"]),
    ("Timeouts of acknowledgements", &["loopback::ack_timeout"]),
    ("TLS", &["loopback::tls"]),
    ("Proxies", &["loopback::proxy"]),
    ("Graceful close", &["loopback::close"]),
    ("Server: who is let in", &["server::connect"]),
    ("Server: handlers, what they are given and what they return", &["server::handlers"]),
    ("Server: the order of events, and handlers that run at once", &["server::order"]),
    ("Server: handlers that panic", &["server::panics"]),
    ("Server: acknowledgements, also of broadcasts", &["server::acks"]),
    ("Server: selections, and what is done to many sockets", &["server::rooms"]),
    ("Server: what is told of rooms", &["server::room_events"]),
    ("Server: requests, origins, `allow_request`, limits of connections", &["server::http_admission"]),
    ("Server: answers, cookie, cross-origin headers, compression, client files", &["server::http_answers"]),
    ("Server: connection state recovery", &["server::recovery"]),
    ("Parsers of one's own, and MessagePack, on both sides", &["server::parsers"]),
    ("Server: several servers", &["server::cluster", "server::cluster_sockets"]),
    ("Server: dynamic namespaces", &["server::dynamic"]),
    ("Server: data of sockets, middlewares of events, watching what is sent", &["server::sockets"]),
    ("Server: back-pressure", &["server::pressure"]),
    ("Server: streams, addresses and idle connections", &["server::http"]),
    ("Server: the end", &["server::close"]),
    ("Server: nothing that waits is forgotten", &["server::wake"]),
    ("Server: many clients, and what is left of them", &["server::crowd"]),
    ("Server: facts of a connection, counts", &["server::conn"]),
    ("Server: `tracing` events", &["server::log"]),
    ("Client: connecting, namespaces, `auth`", &["client::hello", "client::connect"]),
    ("Client: `emit`, acknowledgements, the buffer, `retries`", &["client::emit"]),
    ("Client: handlers, `recv`, back-pressure", &["client::receive"]),
    ("Client: what is told about the connection", &["client::hooks"]),
    ("Client: servers that come and go, or do not read", &["client::outage"]),
    ("Client: the end", &["client::close"]),
    ("Client: nobody who waits is forgotten, and nobody spins", &["client::wake"]),
];

/// Compares the table in the README with the tests that there are.
///
/// # Panics
/// If they differ.
fn compare_with_readme<A: Adapter>() {
    let over_loopback = run::loopback::<A>().into_iter().map(|(name, _)| format!("loopback::{name}"));
    let files = api::cases().map(|case| case.file().to_owned());
    let tested: BTreeSet<String> = over_loopback.chain(files).collect();
    let mut in_rows: Vec<&str> = FEATURES.iter().flat_map(|(_, tests)| *tests).copied().collect();
    in_rows.sort_unstable();
    assert!(tested.iter().eq(&in_rows), "each belongs to one row: {tested:?}, {in_rows:?}");
    let readme = include_str!("../../README.md");
    let cells = |line: &'static str| line.split('|').map(str::trim).collect::<Vec<_>>();
    let mut lines = readme.lines().skip_while(|line| !line.starts_with("| Feature |"));
    let head = cells(lines.next().expect("a table of features"));
    let name = format!("`{}`", A::NAME);
    let column = head.iter().position(|cell| *cell == name).expect("a column for this crate");
    let rows: Vec<_> = lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect();
    let rows: Vec<_> = rows.iter().map(|row| (row[1], row[column])).collect();
    let expected: Vec<_> = FEATURES.iter().map(|(title, _)| (*title, "✓")).collect();
    assert_eq!(rows, expected);
}

async fn sleep<A: Adapter>(time: Duration) {
    let runtime = A::Runtime::default();
    let mut timer = runtime.timer();
    timer.reset(runtime.now() + time);
    poll_fn(|cx| timer.poll(cx)).await;
}

async fn within<A: Adapter, T>(future: impl Future<Output = T>) -> T {
    match select(pin!(future), pin!(sleep::<A>(END))).await {
        Either::Left((done, _)) => done,
        Either::Right(_) => panic!("not done in time"),
    }
}

async fn until<A: Adapter>(what: impl Fn() -> bool) {
    while !what() {
        sleep::<A>(Duration::from_millis(5)).await;
    }
}
