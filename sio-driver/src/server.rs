//! [`Server`] and its builder.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use sio_proto::engine::{self, Cors, Overflow, Transport};
use sio_proto::hub::{NamespaceId, Room};
use sio_proto::server::{Config, Delivery};
use sio_proto::socket::Args;
use sio_proto::{Seed, Sid};
use slotmap::{DefaultKey, SlotMap};

use crate::error::EmitError;
use crate::http::{self as front, Body};
use crate::namespace::Namespace;
use crate::operator::Operator;
use crate::runtime::{Host, Runtime};
use crate::shard::{Shard, enlist};

/// What all handles of a server share.
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) state: States,
    shards: Arc<[Arc<Shard>]>,
    next_shard: AtomicUsize,
    /// In the order of their ids, which are the same in every shard. Taken while a shard is locked, so not the other way round.
    namespaces: RwLock<Vec<Namespace>>,
    /// Held while a namespace is made.
    making: Mutex<()>,
    pub(crate) closing: Closing,
}

impl Shared {
    /// The shard of a session, or for a new one the next in turn. `None` if no shard can have made the id.
    pub(crate) fn shard(&self, sid: Option<Sid>) -> Option<&Arc<Shard>> {
        let index = match sid {
            Some(sid) => front::shard_of(sid, self.shards.len())?,
            None => self.next_shard.fetch_add(1, Ordering::Relaxed) % self.shards.len(),
        };
        self.shards.get(index)
    }

    fn find(&self, name: &str) -> Option<Namespace> {
        fn bare(name: &str) -> &str {
            name.strip_prefix('/').unwrap_or(name)
        }
        let namespaces = self.namespaces.read().unwrap_or_else(PoisonError::into_inner);
        namespaces.iter().find(|namespace| bare(namespace.name()) == bare(name)).cloned()
    }

    pub(crate) fn namespace(&self, id: NamespaceId) -> Option<Namespace> {
        let namespaces = self.namespaces.read().unwrap_or_else(PoisonError::into_inner);
        namespaces.get(id.index()).cloned()
    }
}

/// Tells everyone who waits that the server closes.
#[derive(Default)]
pub(crate) struct Closing {
    begun: AtomicBool,
    waiting: Mutex<SlotMap<DefaultKey, Waker>>,
}

impl Closing {
    fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }

    pub(crate) fn wait(&self) -> Wait<'_> {
        Wait { closing: self, key: None }
    }
}

/// A task that wants to know when the server closes.
pub(crate) struct Wait<'a> {
    closing: &'a Closing,
    key: Option<DefaultKey>,
}

impl Wait<'_> {
    /// Whether the server closes. If not, the task is woken when it does.
    pub(crate) fn has_begun(&mut self, waker: &Waker) -> bool {
        let mut waiting = self.closing.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match self.key.and_then(|key| waiting.get_mut(key)) {
            Some(old) => old.clone_from(waker),
            None => self.key = Some(waiting.insert(waker.clone())),
        }
        drop(waiting);
        self.closing.begun.load(Ordering::Acquire)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.closing.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        }
    }
}

/// Values by type, for [`State`](crate::State).
#[derive(Default)]
pub(crate) struct States(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl States {
    pub(crate) fn get<T: 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }
}

/// A Socket.IO server. Cloning gives another handle.
///
/// The crates for the runtimes wrap it and add `listen`; this type answers requests that somebody else accepted.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("path", &self.0.config.engine.path).finish_non_exhaustive()
    }
}

impl Server {
    pub(crate) fn from_shared(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// The namespace of this name, made if there is none; `chat` is `/chat`. Clients that ask for other namespaces are refused.
    pub fn of(&self, name: &str) -> Namespace {
        if let Some(namespace) = self.0.find(name) {
            return namespace;
        }
        // One at a time, so that the ids are the same in every shard.
        let _making = self.0.making.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        for shard in self.0.shards.iter() {
            let mut locked = shard.lock();
            let id = locked.machine.of(name);
            found = Some((id, locked.machine.hub().name(id).clone()));
        }
        let (id, name) = found.expect("a server has a shard");
        let mut namespaces = self.0.namespaces.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(namespace) = namespaces.get(id.index()) {
            return namespace.clone();
        }
        let namespace = Namespace::new(name, id, self.0.shards.clone());
        namespaces.push(namespace.clone());
        namespace
    }

    /// Sends an event to everyone in `/`. See [`Operator::emit`].
    ///
    /// # Errors
    /// [`EmitError::Encode`] only.
    pub fn emit<A: Args + ?Sized>(&self, event: &str, args: &A) -> Result<Delivery, EmitError> {
        self.of("/").emit(event, args)
    }

    /// Everyone in a room of `/`.
    pub fn to(&self, room: impl Into<Room>) -> Operator {
        self.of("/").to(room)
    }

    /// As [`to`](Self::to).
    pub fn in_(&self, room: impl Into<Room>) -> Operator {
        self.to(room)
    }

    /// Everyone in `/` who is not in a room.
    pub fn except(&self, room: impl Into<Room>) -> Operator {
        self.of("/").except(room)
    }

    /// How many connections there are, of whatever namespaces.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.lock().machine.len()).sum()
    }

    /// Whether a request with this path is for this server; others are somebody else's.
    #[must_use]
    pub fn matches_path(&self, path: &str) -> bool {
        front::is_ours(&self.0, path)
    }

    /// Answers a request: the one entry for all HTTP servers. A poll's future waits until there is something to answer; it must
    /// be dropped when the client goes away. An accepted WebSocket handshake goes on in a task of its own, for which the request
    /// must carry hyper's upgrade.
    pub async fn handle<B>(&self, request: Request<B>, remote_addr: Option<SocketAddr>) -> Response<Body>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        front::handle(self.0.clone(), request, remote_addr).await
    }

    /// Ends the server gracefully: nobody is let in any more, what waits for clients is sent, and connections are closed, with the
    /// reason `server shutting down`. Waits until all are; bounded by the `close_timeout` of polling clients and the `linger` of
    /// WebSockets. `listen` then returns.
    pub async fn close(&self) {
        self.0.closing.begin();
        for shard in self.0.shards.iter() {
            let now = shard.now();
            shard.lock().machine.close(now);
        }
        for shard in self.0.shards.iter() {
            poll_fn(|cx| {
                let mut locked = shard.lock();
                if locked.machine.is_quiet() {
                    return Poll::Ready(());
                }
                enlist(&mut locked.quiet, cx.waker());
                Poll::Pending
            })
            .await;
        }
    }
}

/// Settings of a server. `S` is the type that `build` gives: the server of the runtime's crate.
pub struct ServerBuilder<S = Server> {
    host: Arc<dyn Host>,
    engine: engine::Config,
    config: Config,
    shards: usize,
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
        self.state.0.insert(TypeId::of::<T>(), Box::new(state));
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

    /// The server.
    ///
    /// # Panics
    /// If the operating system has no randomness to give, or the number of shards is out of range.
    #[must_use]
    pub fn build(self) -> S {
        assert!((1..=256).contains(&self.shards), "a server has 1 to 256 shards");
        let Self { host, engine, config, shards, state, .. } = self;
        let mut config = config;
        config.engine = Arc::new(engine);
        let shared = Arc::new_cyclic(|shared| {
            let shard = |index: usize| {
                let mut config = config.clone();
                config.shard = u8::try_from(index).unwrap_or_default();
                let mut seed = [0; 32];
                getrandom::fill(&mut seed).expect("the operating system gives randomness");
                Shard::new(config, Seed(seed), host.clone(), shared.clone())
            };
            Shared {
                shards: (0..shards).map(shard).collect(),
                config: Arc::new(config.clone()),
                state,
                next_shard: AtomicUsize::new(0),
                namespaces: RwLock::default(),
                making: Mutex::default(),
                closing: Closing::default(),
            }
        });
        let server = Server(shared);
        let _ = server.of("/");
        server.into()
    }
}
