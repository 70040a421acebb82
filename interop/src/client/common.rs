//! What the tests share.

use core::{
    fmt::Debug,
    future::{Future, Ready, ready},
    time::Duration,
};

use crate::{
    adapter::Adapter,
    lab::{Lab, Options, Side, speaks_msgpack},
    proxy::Proxy,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sio_driver::{
    Attempt, Client, ClientBuilder, ClientSocket, ConnectionError, Data, DisconnectReason, Msgpack, Transport,
};
use tokio::{
    sync::{OnceCell, mpsc},
    time::{sleep, timeout},
};

/// Bound of one thing that is waited for.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// How a client travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By polling alone.
    Polling,
    /// By WebSocket alone.
    WebSocket,
    /// By polling at first.
    Upgrade,
}

pub(crate) const WAYS: [Way; 3] = [Way::Polling, Way::WebSocket, Way::Upgrade];

impl Way {
    /// A client that travels like this, and comes back quickly.
    pub(crate) fn builder(self, url: impl Into<String>) -> ClientBuilder<Client> {
        let builder = Adapter::here()
            .client(url)
            .reconnection_delay(Duration::from_millis(20))
            .reconnection_delay_max(Duration::from_millis(100));
        let builder = if speaks_msgpack() { builder.parser(Msgpack) } else { builder };
        match self {
            Self::Polling => builder.transports([Transport::Polling]),
            Self::WebSocket => builder.transports([Transport::WebSocket]),
            Self::Upgrade => builder,
        }
    }

    /// What it travels by in the end.
    pub(crate) fn last(self) -> Transport {
        if self == Self::Polling { Transport::Polling } else { Transport::WebSocket }
    }

    /// Connects, and waits for the upgrade if there is to be one.
    pub(crate) async fn connect(self, builder: ClientBuilder<Client>) -> Client {
        let client = within("connect", builder.connect()).await.expect("the client connects");
        self.settled(&client).await;
        client
    }

    /// Waits for the upgrade if there is to be one.
    pub(crate) async fn settled(self, client: &Client) {
        until("the upgrade", || client.transport() == Some(self.last())).await;
    }
}

/// Fails, instead of waiting for ever.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("{what}: nothing in {LIMIT:?}"))
}

/// Waits for what nobody tells.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    within(what, async {
        while !condition() {
            sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// A test, which ends: the longest take most of a minute, on a quiet machine.
pub(crate) async fn bounded(test: impl Future<Output = ()>) {
    timeout(Duration::from_secs(300), test).await.expect("the test ends");
}

/// An answer, bounded.
pub(crate) async fn ask<T: DeserializeOwned + 'static>(
    client: &ClientSocket,
    event: &str,
    args: &(impl sio_driver::Args + ?Sized),
) -> T {
    let answer = client.emit_with_ack::<T, _>(event, args).timeout(LIMIT).await;
    answer.unwrap_or_else(|error| panic!("{event}: {error}"))
}

/// One server for all tests that do it no harm.
pub(crate) async fn shared(side: Side) -> &'static Lab {
    static LABS: [OnceCell<Lab>; 4] = [const { OnceCell::const_new() }; 4];
    let cell = &LABS[usize::from(side == Side::Node) + 2 * usize::from(speaks_msgpack())];
    cell.get_or_init(|| Lab::start(side, Options::default())).await
}

/// A server of one's own.
pub(crate) async fn lab(side: Side) -> Lab {
    Lab::start(side, Options::default()).await
}

/// The id, of a client that is connected.
pub(crate) fn id_of(client: &ClientSocket) -> String {
    client.id().expect("an id").to_string()
}

/// The values of the notes that the server took.
pub(crate) async fn notes(lab: &Lab) -> Vec<Value> {
    lab.seen("note").await.into_iter().map(|note| note["value"].clone()).collect()
}

/// Cuts the connections of all clients of this server.
pub(crate) async fn cut(lab: &Lab) {
    lab.command(json!({ "cmd": "cut" })).await;
}

// --- What handlers are told ------------------------------------------------------------------------------------------

/// Values that a handler was given, in order.
pub(crate) struct Collected<T>(mpsc::UnboundedReceiver<T>);

impl<T: Debug> Collected<T> {
    pub(crate) async fn next(&mut self) -> T {
        within("the next value", self.0.recv()).await.expect("the handler lives")
    }

    pub(crate) async fn take(&mut self, count: usize) -> Vec<T> {
        let mut list = Vec::new();
        while list.len() < count {
            list.push(self.next().await);
        }
        list
    }

    /// Those that are there already.
    pub(crate) fn rest(&mut self) -> Vec<T> {
        core::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

/// A handler that collects its events' data.
pub(crate) fn collect<T: Send + 'static>()
-> (impl Fn(Data<T>) -> Ready<()> + Send + Sync + 'static, Collected<T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let handler = move |Data(value): Data<T>| {
        let _ = sender.send(value);
        ready(())
    };
    (handler, Collected(receiver))
}

/// What happened to a client's connection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Happened {
    Connected { id: String, recovered: bool },
    Failed(ConnectionError),
    Disconnected(String),
    Attempt(u32),
    Reconnected(u32),
    AttemptFailed(ConnectionError),
    GaveUp,
}

/// Everything that happens to the connection, in order.
pub(crate) struct Watch(Collected<Happened>);

impl Watch {
    pub(crate) fn new(builder: ClientBuilder<Client>) -> (ClientBuilder<Client>, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let tell = move || {
            let sender = sender.clone();
            move |happened| {
                let _ = sender.send(happened);
                ready(())
            }
        };
        let builder = builder
            .on_connect({
                let tell = tell();
                move |socket: ClientSocket| {
                    let id = socket.id().map(|id| id.to_string()).unwrap_or_default();
                    tell(Happened::Connected { id, recovered: socket.recovered() })
                }
            })
            .on_connect_error({
                let tell = tell();
                move |error: ConnectionError| tell(Happened::Failed(error))
            })
            .on_disconnect({
                let tell = tell();
                move |reason: DisconnectReason| tell(Happened::Disconnected(reason.to_string()))
            })
            .on_reconnect_attempt({
                let tell = tell();
                move |Attempt(count): Attempt| tell(Happened::Attempt(count))
            })
            .on_reconnect({
                let tell = tell();
                move |Attempt(count): Attempt| tell(Happened::Reconnected(count))
            })
            .on_reconnect_error({
                let tell = tell();
                move |error: ConnectionError| tell(Happened::AttemptFailed(error))
            })
            .on_reconnect_failed({
                let tell = tell();
                move |_: ClientSocket| tell(Happened::GaveUp)
            });
        (builder, Self(Collected(receiver)))
    }

    /// The next that is wanted; others before it are dropped.
    pub(crate) async fn find<T>(&mut self, want: impl Fn(&Happened) -> Option<T>) -> T {
        loop {
            if let Some(found) = want(&self.0.next().await) {
                return found;
            }
        }
    }

    /// Why the client was disconnected next.
    pub(crate) async fn disconnected(&mut self) -> String {
        self.find(|happened| match happened {
            Happened::Disconnected(reason) => Some(reason.clone()),
            _ => None,
        })
        .await
    }

    /// The next connection's id, and whether it was recovered.
    pub(crate) async fn connected(&mut self) -> (String, bool) {
        self.find(|happened| match happened {
            Happened::Connected { id, recovered } => Some((id.clone(), *recovered)),
            _ => None,
        })
        .await
    }

    /// The next attempt that fails.
    pub(crate) async fn attempt_failed(&mut self) -> ConnectionError {
        self.find(|happened| match happened {
            Happened::AttemptFailed(error) => Some(error.clone()),
            _ => None,
        })
        .await
    }

    /// What happened that nobody has asked for.
    pub(crate) fn rest(&mut self) -> Vec<Happened> {
        self.0.rest()
    }
}

/// Cuts until the client has noticed: a polling client may be between two requests, and none the wiser. Says what it was told.
pub(crate) async fn cut_off(proxy: &Proxy, watch: &mut Watch) -> String {
    let cutting = async {
        loop {
            proxy.cut();
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        reason = watch.disconnected() => reason,
        () = cutting => unreachable!("it goes on and on"),
    }
}

/// What a lost connection is called: which of the two depends on what was under way.
pub(crate) fn is_lost(reason: &str) -> bool {
    matches!(reason, "transport close" | "transport error")
}
