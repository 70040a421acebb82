//! [`ServerBuilder`]: settings of a server.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use sio_proto::Seed;
use sio_proto::engine::{self, Cors, Overflow, Transport};
use sio_proto::server::{Config, ConnectionStateRecovery};
use sio_proto::socket::{Codec, Parser};

use crate::handlers::States;
use crate::runtime::Runtime;
use crate::server::cluster::{Adapter, Share};
use crate::server::dynamic::Limits;
use crate::server::front::Front;
use crate::server::host::Host;
use crate::server::shard::Shard;
use crate::server::{Cluster, Server, Shared, random_seed};

/// Settings of a server. `S` is the type that `build` gives: the server of the runtime's crate.
pub struct ServerBuilder<S = Server> {
    host: Arc<dyn Host>,
    pub(super) engine: engine::Config,
    pub(super) front: Front,
    config: Config,
    shards: usize,
    seed: Option<[u8; 32]>,
    state: States,
    limits: Limits,
    cluster: Cluster,
    #[cfg(feature = "metrics")]
    metrics_interval: Option<Duration>,
    server: PhantomData<fn() -> S>,
}

impl<S> fmt::Debug for ServerBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl<S: From<Server>> ServerBuilder<S> {
    /// Settings with the reference's defaults, for a server on this runtime.
    #[must_use]
    pub fn new(runtime: impl Runtime) -> Self {
        Self {
            host: Arc::new(runtime),
            engine: engine::Config::default(),
            front: Front::default(),
            config: Config::default(),
            shards: std::thread::available_parallelism().map_or(1, usize::from).min(64),
            seed: None,
            state: States::default(),
            limits: Limits::default(),
            cluster: Cluster::default(),
            #[cfg(feature = "metrics")]
            metrics_interval: None,
            server: PhantomData,
        }
    }

    /// The path of all requests. Default: `/socket.io`.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.engine.path = path.into();
        self
    }

    /// From the end of one heartbeat to the next ping. Default: 25 s.
    #[must_use]
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.engine.ping_interval = interval;
        self
    }

    /// How long the answer to a ping may take. Default: 20 s.
    #[must_use]
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.engine.ping_timeout = timeout;
        self
    }

    /// How long an upgrade to WebSocket may take. Default: 10 s.
    #[must_use]
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.engine.upgrade_timeout = timeout;
        self
    }

    /// How long a connection may stay without joining a namespace. Default: 45 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config.socket.connect_timeout = timeout;
        self
    }

    /// How long a closing polling session waits for the poll that takes its last packets. Default: 30 s.
    #[must_use]
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.engine.close_timeout = timeout;
        self
    }

    /// How long a client may take to close its end of a WebSocket that the server closed. Default: 5 s.
    #[must_use]
    pub fn linger(mut self, timeout: Duration) -> Self {
        self.engine.linger = timeout;
        self
    }

    /// Largest message or POST body from a client, in bytes. Default: 1,000,000.
    #[must_use]
    pub fn max_http_buffer_size(mut self, bytes: usize) -> Self {
        self.engine.max_http_buffer_size = bytes;
        self
    }

    /// Most attachments of one packet. Default: 10.
    #[must_use]
    pub fn max_attachments(mut self, count: usize) -> Self {
        self.config.socket.max_attachments = count;
        self
    }

    /// Most bytes of one packet together with its attachments. Default: 10,000,000.
    #[must_use]
    pub fn max_packet_bytes(mut self, bytes: usize) -> Self {
        self.config.socket.max_packet_bytes = bytes;
        self
    }

    /// How long each attachment of a packet may take to come. Default: 60 s. Then the connection is closed.
    #[must_use]
    pub fn attachment_timeout(mut self, timeout: Duration) -> Self {
        self.config.attachment_timeout = timeout;
        self
    }

    /// The form in which packets travel, in place of text with attachments: `Msgpack`, with the feature `msgpack`, or a
    /// [`Parser`] of your own. All clients must use the same: the connection of one that does not is closed, for a `parse error`, at its
    /// first packet.
    #[must_use]
    pub fn parser(mut self, parser: impl Parser + 'static) -> Self {
        self.config.socket.codec = Codec::custom(parser);
        self
    }

    /// Most bytes that may wait for one slow client. Default: 16 MiB.
    #[must_use]
    pub fn max_outbox(mut self, bytes: usize) -> Self {
        self.engine.max_outbox = bytes;
        self
    }

    /// What a broadcast does to a client whose outbox is full. Default: it is disconnected.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.engine.overflow = overflow;
        self
    }

    /// How many events of one client may wait for their handlers before nothing more is read from it. Default: 128.
    #[must_use]
    pub fn max_inbox(mut self, events: usize) -> Self {
        self.config.max_inbox = events;
        self
    }

    /// The transports that are offered. Default: polling and WebSocket.
    #[must_use]
    pub fn transports(mut self, transports: impl IntoIterator<Item = Transport>) -> Self {
        self.engine.transports = transports.into_iter().collect();
        self
    }

    /// Whether polling clients may move to WebSocket. Default: yes.
    #[must_use]
    pub fn allow_upgrades(mut self, allow: bool) -> Self {
        self.engine.allow_upgrades = allow;
        self
    }

    /// Whether clients of Socket.IO 2 are served, those that speak revision 3 of Engine.IO. Default: no.
    ///
    /// Such a client makes its own `socket.id`, from the id of its session. That is a secret, and so not
    /// [`Socket::id`](crate::Socket::id): let it be told, if it needs to know. It has no `auth` but the query of a namespace
    /// (`io("/chat?token=x")`), as an object of strings, and it is always in the namespace `/`, unless a middleware refuses it.
    #[must_use]
    pub fn allow_eio3(mut self, allow: bool) -> Self {
        self.engine.allow_eio3 = allow;
        self
    }

    /// Whether clients may poll by JSONP, as some do in old browsers. Pages of any origin can, whatever the [`cors`](Self::cors)
    /// rules say. Default: no.
    #[must_use]
    pub fn jsonp(mut self, allow: bool) -> Self {
        self.engine.jsonp = allow;
        self
    }

    /// Cross-origin rules. Default: none, so pages of the server's own origin only are served. See also
    /// [`check_origin`](Self::check_origin).
    #[must_use]
    pub fn cors(mut self, cors: Cors) -> Self {
        self.engine.cors = Some(cors);
        self
    }

    /// Lets clients whose connection was lost have their session back when they return in time: the id, the rooms, and the events that
    /// they missed; see [`Socket::recovered`](crate::Socket::recovered). Default: off, and then it costs nothing.
    ///
    /// Events that ask for an acknowledgement, and volatile ones, do not come later. The other events carry one more argument, a string
    /// by which the client says how far it got; JavaScript's clients show it to listeners that take so many arguments.
    ///
    /// A client can be recovered after it was lost; not after it has left, was sent away, or broke the rules of Engine.IO. It is
    /// recovered only if no event is lost thereby. The connect handlers of the new socket run when the disconnect handlers of the old
    /// one have ended.
    #[must_use]
    pub fn connection_state_recovery(mut self, recovery: ConnectionStateRecovery) -> Self {
        self.config.recovery = Some(recovery);
        self
    }

    /// Makes the server one of several that serve the same clients: broadcasts, and all else that is done to a selection of clients, reach
    /// those of the others too. `build` then starts tasks, so it must be called where the runtime can spawn. Default: none; there is this
    /// server only.
    #[must_use]
    pub fn adapter(mut self, adapter: impl Adapter) -> Self {
        self.cluster.config = adapter.config();
        self.cluster.adapter = Some(Arc::new(adapter));
        self
    }

    /// Lets other servers see the [data](crate::Socket::data) of this type that sockets have, as
    /// [`RemoteSocket::data`](crate::RemoteSocket::data). Default: they see none.
    #[must_use]
    pub fn share_socket_data<T: Serialize + Send + Sync + 'static>(mut self) -> Self {
        self.cluster.share = Some(Share::of::<T>());
        self
    }

    /// A value for handlers that ask for [`State<T>`](crate::State), and for hooks: [`RequestHead::state`](crate::RequestHead::state),
    /// [`NamespaceRequest::state`](crate::NamespaceRequest::state). One for each type.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, state: T) -> Self {
        self.state.insert(state);
        self
    }

    /// Whether a namespace that a client has made is removed when its last client has left: see
    /// [`of_matching`](crate::Server::of_matching). Default: no. One in which clients may be [recovered](Self::connection_state_recovery)
    /// is removed when their time is over.
    #[must_use]
    pub fn cleanup_empty_child_namespaces(mut self, clean_up: bool) -> Self {
        self.limits.clean_up = clean_up;
        self
    }

    /// Most namespaces that clients may make: see [`of_matching`](crate::Server::of_matching). Default: 10,000. Above it clients that
    /// ask for another one are refused.
    #[must_use]
    pub fn max_child_namespaces(mut self, count: usize) -> Self {
        self.limits.max_children = count;
        self
    }

    /// Most namespaces that one client may be in at the same time. Default: 256. It is refused at others.
    #[must_use]
    pub fn max_namespaces(mut self, count: usize) -> Self {
        self.config.max_namespaces = count;
        self
    }

    /// Most bytes of the `auth` with which a client joins a namespace: the whole JSON text. Default: 64 KiB. With more it is refused, with
    /// the message `Auth too large`. It is kept as long as the client is in the namespace.
    #[must_use]
    pub fn max_auth(mut self, bytes: usize) -> Self {
        self.config.max_auth = bytes;
        self
    }

    /// Longest name of a namespace that a client may make, in bytes. Default: 256.
    #[must_use]
    pub fn max_namespace_name(mut self, bytes: usize) -> Self {
        self.config.max_namespace_name = bytes;
        self
    }

    /// Into how many independent parts the server is divided; each has its own lock. Default: the number of processors, at most
    /// 64.
    ///
    /// # Panics
    /// `build` panics if this is 0 or more than 256.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards;
        self
    }

    /// Where all ids come from, for tests and simulations that must be repeatable. Never in production: session ids are secrets, and who
    /// knows the seed knows them all. Default: the randomness of the operating system.
    #[must_use]
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How often the recorder of the `metrics` crate is told what has changed, from the first connection on. Default: 5 s. `Duration::ZERO`:
    /// only by [`record_metrics`](crate::Server::record_metrics). The recorder must be installed before [`build`](Self::build). With the feature
    /// `metrics`.
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn metrics_interval(mut self, interval: Duration) -> Self {
        self.metrics_interval = Some(interval);
        self
    }

    /// The server.
    ///
    /// # Panics
    /// If the operating system has no randomness to give, or the number of shards is out of range.
    #[must_use]
    pub fn build(self) -> S {
        assert!((1..=256).contains(&self.shards), "a server has 1 to 256 shards");
        #[cfg(feature = "metrics")]
        let metrics_interval = self.metrics_interval;
        let Self { host, engine, front, config, shards, seed, state, limits, mut cluster, .. } = self;
        cluster.seed = seed;
        let mut config = config;
        config.engine = Arc::new(engine);
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let epoch = u64::try_from(since_1970.as_millis()).unwrap_or_default();
        // With a seed everything can be repeated.
        let epoch = if seed.is_some() { 0 } else { epoch.saturating_sub(host.now().as_micros() / 1000) };
        let shared = Arc::new_cyclic(|shared| {
            let shard = |index: usize| {
                let mut config = config.clone();
                config.shard = u8::try_from(index).unwrap_or_default();
                config.recovery = config.recovery.map(|recovery| recovery.divided(shards));
                let mut seed = seed.unwrap_or_else(random_seed);
                // Shards that were given one seed must not make the same ids.
                seed[0] ^= config.shard;
                Shard::new(config, Seed(seed), host.clone(), shared.clone())
            };
            let shards = (0..shards).map(shard).collect();
            #[cfg_attr(not(feature = "metrics"), expect(unused_mut))]
            let mut shared =
                Shared::new(Arc::new(config.clone()), Arc::new(state), front, shards, epoch, limits, cluster);
            #[cfg(feature = "metrics")]
            if let Some(interval) = metrics_interval {
                shared.metrics.set_interval(interval);
            }
            shared
        });
        let server = Server::from_shared(shared);
        let _ = server.of("/");
        server.into()
    }
}
