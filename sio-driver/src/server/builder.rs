//! [`ServerBuilder`]: settings of a server.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use sio_proto::Seed;
use sio_proto::engine::{self, Cors, Overflow, Transport};
use sio_proto::server::Config;

use crate::handlers::States;
use crate::runtime::Runtime;
use crate::server::host::Host;
use crate::server::shard::Shard;
use crate::server::{Server, Shared};

/// Settings of a server. `S` is the type that `build` gives: the server of the runtime's crate.
pub struct ServerBuilder<S = Server> {
    host: Arc<dyn Host>,
    engine: engine::Config,
    config: Config,
    shards: usize,
    seed: Option<[u8; 32]>,
    state: States,
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
            config: Config::default(),
            shards: std::thread::available_parallelism().map_or(1, usize::from).min(64),
            seed: None,
            state: States::default(),
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

    /// Cross-origin rules. Default: none, so browsers allow pages of the server's own origin only.
    #[must_use]
    pub fn cors(mut self, cors: Cors) -> Self {
        self.engine.cors = Some(cors);
        self
    }

    /// A value for handlers that ask for [`State<T>`](crate::State); one for each type.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, state: T) -> Self {
        self.state.insert(state);
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

    /// The server.
    ///
    /// # Panics
    /// If the operating system has no randomness to give, or the number of shards is out of range.
    #[must_use]
    pub fn build(self) -> S {
        assert!((1..=256).contains(&self.shards), "a server has 1 to 256 shards");
        let Self { host, engine, config, shards, seed, state, .. } = self;
        let mut config = config;
        config.engine = Arc::new(engine);
        let shared = Arc::new_cyclic(|shared| {
            let shard = |index: usize| {
                let mut config = config.clone();
                config.shard = u8::try_from(index).unwrap_or_default();
                let mut seed = seed.unwrap_or_else(|| {
                    let mut seed = [0; 32];
                    getrandom::fill(&mut seed).expect("the operating system gives randomness");
                    seed
                });
                // Shards that were given one seed must not make the same ids.
                seed[0] ^= config.shard;
                Shard::new(config, Seed(seed), host.clone(), shared.clone())
            };
            Shared::new(Arc::new(config.clone()), state, (0..shards).map(shard).collect())
        });
        let server = Server::from_shared(shared);
        let _ = server.of("/");
        server.into()
    }
}
