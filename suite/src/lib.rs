//! What the adapters of all runtimes must do, written once.
//!
//! An adapter says in its `tests/suite.rs` what it calls things, and gets a test for each of [`cases`]:
//!
//! ```text
//! struct Smol;
//! impl suite::Adapter for Smol { … }
//! suite::suite!(Smol);
//! ```
//!
//! The tests are few and go over loopback: rules are tested in `sio-proto` and `sio-driver`; here it is that sockets, clock and tasks of a
//! runtime do what they should.

pub mod cases;
mod net;

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

/// How long an answer may take before the test fails, and how long the whole test.
const PATIENCE: Duration = Duration::from_secs(10);
const END: Duration = Duration::from_secs(60);

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

/// One test for each case, and one that compares the table in the README with them.
#[macro_export]
macro_rules! suite {
    ($adapter:ty) => {
        $crate::suite! {
            $adapter: polling websocket upgrade namespaces rooms reconnection heartbeat ack_timeout tls proxy close
            listen_and_connect
        }
    };
    ($adapter:ty: $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::run::<$adapter>($crate::cases::$case::<$adapter>());
            }
        )*

        #[test]
        fn the_readme_says_so() {
            $crate::compare_with_readme::<$adapter>(&[$(stringify!($case)),*]);
        }
    };
}

/// Runs a case, which must end in time.
pub fn run<A: Adapter>(case: impl Future<Output = ()>) {
    A::block_on(within::<A, _>(case));
}

/// The rows of the table in the README, and the cases that they rest on.
const FEATURES: &[(&str, &[&str])] = &[
    ("`listen`, `serve`, `connect`", &["listen_and_connect"]),
    ("Long-polling", &["polling"]),
    ("WebSocket", &["websocket"]),
    ("Upgrade to WebSocket", &["upgrade"]),
    ("Namespaces, `auth`, middlewares", &["namespaces"]),
    ("Rooms", &["rooms"]),
    ("Reconnection", &["reconnection"]),
    ("Heartbeat", &["heartbeat"]),
    ("Timeouts of acknowledgements", &["ack_timeout"]),
    ("TLS", &["tls"]),
    ("Proxies", &["proxy"]),
    ("Graceful close", &["close"]),
];

/// Compares the table in the README with the cases that are tested.
///
/// # Panics
/// If they differ.
pub fn compare_with_readme<A: Adapter>(cases: &[&str]) {
    let tested: Vec<&str> = FEATURES.iter().flat_map(|(_, cases)| *cases).copied().collect();
    assert!(
        tested.iter().all(|case| cases.contains(case)) && tested.len() == cases.len(),
        "each case belongs to one row: {tested:?}, {cases:?}"
    );
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
