//! The server: [`Server`], and what is behind it.

mod acks;
mod builder;
mod closing;
pub(crate) mod cluster;
mod conn;
mod data;
mod dispatch;
mod dynamic;
mod everyone;
mod extract;
mod flags;
mod front;
mod handshake;
mod host;
mod http;
#[cfg(feature = "metrics")]
mod metrics;
mod middleware;
mod namespace;
mod operator;
mod outgoing;
mod pump;
mod recovery;
mod room_events;
mod rooms;
mod serve;
mod shard;
mod socket;
mod stall;

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::Poll;

use ::http::{Request, Response};
use sio_proto::hub::NamespaceId;
use sio_proto::server::{Config, Stats};
use sio_proto::socket::Args;
use sio_proto::{Seed, Sid, Str};

use crate::error::EmitError;
use crate::handlers::{Asks, Emits, States, catch};
use crate::wakers::enlist;
use closing::{Closing, Stage};
use dynamic::{Child, Decision, Limits};
use front::Front;
use recovery::Recovering;
use shard::Shard;

pub use acks::{AckResponse, BroadcastWithAck};
pub use builder::ServerBuilder;
pub use cluster::{
    Partial, RemoteEmitWithAck, RemoteHandshake, RemoteSocket, RequestError, ServerSide,
    ServerSideEmitWithAck,
};
pub use conn::Conn;
pub(crate) use conn::Link;
pub use data::SocketData;
pub use dynamic::{NamespaceRequest, ParentNamespace};
pub use extract::Auth;
pub use flags::Flags;
pub use front::{RefusedRequest, RequestHead, Secure};
pub use handshake::Handshake;
pub use http::Body;
pub use middleware::Middleware;
pub use namespace::Namespace;
pub use operator::Operator;
pub use rooms::IntoRooms;
pub use serve::{Accepted, serve, serve_connection};
pub use socket::Socket;

/// What all handles of a server share.
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) state: Arc<States>,
    pub(crate) front: Front,
    shards: Arc<[Arc<Shard>]>,
    next_shard: AtomicUsize,
    /// Taken while a shard is locked, so not the other way round.
    registry: RwLock<Registry>,
    /// Held while a namespace is made or removed.
    making: Mutex<Making>,
    parents: RwLock<Vec<ParentNamespace>>,
    limits: Limits,
    /// Whether it was said that clients have made too many namespaces.
    warned: AtomicBool,
    on_new_namespace: RwLock<Vec<NewNamespace>>,
    cluster: Cluster,
    /// Milliseconds since 1970 at the runtime's zero.
    epoch: u64,
    pub(crate) closing: Closing,
    #[cfg(feature = "metrics")]
    pub(crate) metrics: metrics::Metrics,
}

type NewNamespace = Arc<dyn Fn(&Namespace) + Send + Sync>;

/// What makes the server one of several.
#[derive(Default)]
pub(crate) struct Cluster {
    adapter: Option<Arc<dyn cluster::Adapter>>,
    /// The adapter's, asked for once, and not under a lock.
    config: sio_proto::cluster::Config,
    share: Option<cluster::Share>,
    /// As of the builder.
    seed: Option<[u8; 32]>,
}

impl Cluster {
    fn member(&self, name: &Str, id: NamespaceId, shard: &Shard) -> Option<Arc<cluster::Member>> {
        self.adapter.as_ref()?;
        let mut seed = self.seed.unwrap_or_else(random_seed);
        // Neither the namespaces nor the shards, which may be given one seed, make the same ids.
        seed[1] ^= 0xff;
        for (byte, of) in seed[2..10].iter_mut().zip(id.index().to_le_bytes()) {
            *byte ^= of;
        }
        Some(cluster::Member::new(name.clone(), self.config.clone(), Seed(seed), shard.host().clone()))
    }
}

/// A seed from the operating system.
fn random_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the operating system gives randomness");
    seed
}

/// The namespaces, whose ids are the same in every shard.
#[derive(Default)]
struct Registry {
    by_id: HashMap<NamespaceId, Namespace>,
    by_name: HashMap<Str, NamespaceId>,
}

impl Registry {
    fn remove(&mut self, id: NamespaceId) {
        if let Some(namespace) = self.by_id.remove(&id) {
            self.by_name.remove(namespace.name());
        }
    }
}

#[derive(Default)]
struct Making {
    /// How many namespaces were made by clients.
    children: usize,
}

impl Shared {
    fn new(
        config: Arc<Config>,
        state: Arc<States>,
        front: Front,
        shards: Arc<[Arc<Shard>]>,
        epoch: u64,
        limits: Limits,
        cluster: Cluster,
    ) -> Self {
        Self {
            config,
            state,
            front,
            shards,
            next_shard: AtomicUsize::new(0),
            registry: RwLock::default(),
            making: Mutex::default(),
            parents: RwLock::default(),
            limits,
            warned: AtomicBool::new(false),
            on_new_namespace: RwLock::default(),
            cluster,
            epoch,
            closing: Closing::default(),
            #[cfg(feature = "metrics")]
            metrics: metrics::Metrics::default(),
        }
    }

    /// The shard of a session, or for a new one the next in turn. `None` if no shard can have made the id.
    pub(crate) fn shard(&self, sid: Option<Sid>) -> Option<&Arc<Shard>> {
        let index = match sid {
            Some(sid) => http::shard_of(sid, self.shards.len())?,
            None => self.next_shard.fetch_add(1, Ordering::Relaxed) % self.shards.len(),
        };
        self.shards.get(index)
    }

    fn find(&self, name: &str) -> Option<Namespace> {
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        let id = if name.starts_with('/') {
            registry.by_name.get(name)
        } else {
            registry.by_name.get(format!("/{name}").as_str())
        };
        registry.by_id.get(id?).cloned()
    }

    pub(crate) fn namespace(&self, id: NamespaceId) -> Option<Namespace> {
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        registry.by_id.get(&id).cloned()
    }

    /// The namespace of this name, made if there is none. `None` if a client may not make one more.
    fn make(&self, name: &str, child: Option<Child>) -> Option<Namespace> {
        // One at a time, so that the ids are the same in every shard.
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(namespace) = self.find(name) {
            return Some(namespace);
        }
        if child.as_ref().is_some_and(|child| child.by_client) {
            if making.children >= self.limits.max_children {
                return None;
            }
            making.children += 1;
        }
        // All at once, in order, so that no shard lets clients into a namespace that the registry does not know yet.
        let mut all: Vec<_> = self.shards.iter().map(|shard| shard.lock()).collect();
        let mut found = None;
        for locked in &mut all {
            let id = locked.machine.of(name);
            found = Some((id, locked.machine.hub().name(id).clone()));
        }
        let (id, name) = found.expect("a server has a shard");
        let recovering = self.config.recovery.map(|_| Recovering::new(self.epoch));
        let codec = self.config.socket.codec.clone();
        let namespace = {
            let shard = self.shards.first().expect("a server has a shard");
            let in_cluster = (self.cluster.member(&name, id, shard), self.cluster.share.clone());
            Namespace::new(name.clone(), id, self.shards.clone(), recovering, child, codec, in_cluster)
        };
        if let Some(child) = namespace.child() {
            let mut children = child.parent.0.children.lock().unwrap_or_else(PoisonError::into_inner);
            children.insert(id, namespace.clone());
        }
        let mut registry = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        registry.by_name.insert(name, id);
        registry.by_id.insert(id, namespace.clone());
        drop(registry);
        drop(all);
        drop(making);
        if let (Some(member), Some(adapter)) = (namespace.member(), &self.cluster.adapter) {
            member.start(&namespace, &**adapter);
        }
        let listeners = self.on_new_namespace.read().unwrap_or_else(PoisonError::into_inner).clone();
        for listener in listeners {
            if let Err(error) = catch(|| listener(&namespace)) {
                tracing::error!(%error, "the function for new namespaces failed");
            }
        }
        Some(namespace)
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

    /// The namespace of this name, made if there is none; `chat` is `/chat`. Clients that ask for other namespaces are refused, unless
    /// [`of_matching`](Self::of_matching) or [`of_dynamic`](Self::of_dynamic) says otherwise.
    ///
    /// A new one whose name [`of_matching`](Self::of_matching) takes is a child of that parent. It is never removed.
    pub fn of(&self, name: &str) -> Namespace {
        if let Some(namespace) = self.0.find(name) {
            return namespace;
        }
        let slashed = if name.starts_with('/') { name.to_owned() } else { format!("/{name}") };
        let child = self.0.parent_of(&slashed).map(|parent| Child { parent, by_client: false });
        self.0.make(&slashed, child).expect("the server itself may make any number")
    }

    /// Lets clients make namespaces: those whose names, with their slash, `matches` takes. Named `of` with a regular expression in
    /// JavaScript.
    ///
    /// ```
    /// # use sio_driver::{Server, Socket};
    /// # fn with(io: &Server) {
    /// let rooms = io.of_matching(|name| name.strip_prefix("/room-").is_some_and(|id| id.parse::<u32>().is_ok()));
    /// rooms.on("hello", async |socket: Socket| format!("this is {}", socket.namespace().name()));
    /// # }
    /// ```
    ///
    /// Parents are asked in the order in which they were added. Who matches too many names lets clients make as many namespaces as
    /// [`max_child_namespaces`](ServerBuilder::max_child_namespaces) says; they are kept until the server ends, unless
    /// [`cleanup_empty_child_namespaces`](ServerBuilder::cleanup_empty_child_namespaces) is set.
    pub fn of_matching(&self, matches: impl Fn(&str) -> bool + Send + Sync + 'static) -> ParentNamespace {
        self.0.add_parent(Decision::Matching(Box::new(matches)))
    }

    /// As [`of_matching`](Self::of_matching), but an async function decides, by the name, the client's `auth` and its handshake. It is
    /// asked for each client that wants a namespace which does not exist; those that exist have their middlewares. What the client
    /// sends meanwhile waits. Named `of` with a function in JavaScript.
    ///
    /// ```
    /// # use sio_driver::{NamespaceRequest, Server};
    /// # #[derive(serde::Deserialize)]
    /// # struct Login { token: String }
    /// # #[derive(Clone)]
    /// # struct Database;
    /// # impl Database { async fn knows(&self, _: &str, _: &str) -> bool { true } }
    /// # fn with(io: &Server) {
    /// io.of_dynamic(async |request: NamespaceRequest| {
    ///     let Ok(Login { token }) = request.auth() else { return false };
    ///     let Some(database) = request.state::<Database>() else { return false };
    ///     database.knows(request.name(), &token).await
    /// });
    /// # }
    /// ```
    pub fn of_dynamic<Fut>(
        &self,
        decide: impl Fn(NamespaceRequest) -> Fut + Send + Sync + 'static,
    ) -> ParentNamespace
    where
        Fut: Future<Output = bool> + Send + 'static,
    {
        self.0.add_parent(Decision::deciding(decide))
    }

    /// Adds a function that is told of each new namespace, however it came to be. Those that there are already it is not told of.
    pub fn on_new_namespace(&self, listener: impl Fn(&Namespace) + Send + Sync + 'static) -> &Self {
        let mut listeners = self.0.on_new_namespace.write().unwrap_or_else(PoisonError::into_inner);
        listeners.push(Arc::new(listener));
        self
    }

    /// Everyone in `/`.
    pub fn everyone(&self) -> Operator {
        self.of("/").everyone()
    }

    /// Sends an event to the other servers of the cluster: see [`Namespace::server_side_emit`].
    ///
    /// # Errors
    /// [`EmitError::Encode`] only.
    pub fn server_side_emit<A: Args + ?Sized>(
        &self,
        event: impl Emits<A>,
        args: &A,
    ) -> Result<(), EmitError> {
        self.of("/").server_side_emit(event, args)
    }

    /// As [`server_side_emit`](Self::server_side_emit), and collects their answers: see [`Namespace::server_side_emit_with_ack`].
    pub fn server_side_emit_with_ack<T, A: Args + ?Sized>(
        &self,
        event: impl Asks<A, T>,
        args: &A,
    ) -> ServerSideEmitWithAck<T> {
        self.of("/").server_side_emit_with_ack(event, args)
    }

    /// How many connections there are, of whatever namespaces.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.lock().machine.len()).sum()
    }

    /// What the server has counted: connections, packets, bytes, upgrades, slow clients. Looks at each connection under its lock, so
    /// ask every few seconds rather than for each request.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for shard in self.0.shards.iter() {
            let of_shard = shard.lock().machine.stats();
            stats += of_shard;
        }
        for (count, refused) in stats.refused_by_code.iter_mut().zip(&self.0.front.refused) {
            *count = refused.load(Ordering::Relaxed);
        }
        stats
    }

    /// Tells the recorder of the `metrics` crate what has changed since it was told last, which happens every
    /// [`metrics_interval`](ServerBuilder::metrics_interval) by itself. For an endpoint that is about to be read. With the feature
    /// `metrics`.
    #[cfg(feature = "metrics")]
    pub fn record_metrics(&self) {
        self.0.metrics.record(|| self.stats());
    }

    /// Whether a request with this path is for this server; others are somebody else's.
    #[must_use]
    pub fn matches_path(&self, path: &str) -> bool {
        http::is_ours(&self.0, path)
    }

    /// Answers a request: the one entry for all HTTP servers. A poll's future waits until there is something to answer; it must
    /// be dropped when the client goes away. An accepted WebSocket handshake goes on in a task of its own, for which the request
    /// must carry hyper's upgrade.
    pub async fn handle<B>(&self, request: Request<B>, remote_addr: Option<SocketAddr>) -> Response<Body>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        http::handle(self.0.clone(), request, remote_addr, None).await
    }

    /// Ends the server gracefully: nobody is let in any more, what waits for clients is sent, and connections are closed, with the
    /// reason `server shutting down`. Waits until all are; bounded by the `close_timeout` of polling clients and the `linger` of
    /// WebSockets. `listen` then returns.
    pub async fn close(&self) {
        self.0.closing.reach(Stage::Begun);
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
        // Other servers do not wait for this one any more.
        let registry = self.0.registry.read().unwrap_or_else(PoisonError::into_inner);
        let members: Vec<_> = registry.by_id.values().filter_map(Namespace::member).cloned().collect();
        drop(registry);
        members.iter().for_each(|member| member.close());
        self.0.closing.reach(Stage::Ended);
    }
}
