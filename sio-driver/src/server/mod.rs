//! The server: [`Server`], and what is behind it.

mod acks;
mod builder;
mod closing;
mod dispatch;
mod extract;
mod handshake;
mod host;
mod http;
mod middleware;
mod namespace;
mod operator;
mod pump;
mod recovery;
mod serve;
mod shard;
mod socket;

use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::Poll;

use ::http::{Request, Response};
use sio_proto::Sid;
use sio_proto::hub::{NamespaceId, Room};
use sio_proto::server::{Config, Delivery};
use sio_proto::socket::Args;

use crate::error::EmitError;
use crate::handlers::States;
use crate::wakers::enlist;
use closing::{Closing, Stage};
use recovery::Recovering;
use shard::Shard;

pub use acks::{AckResponse, BroadcastWithAck};
pub use builder::ServerBuilder;
pub use extract::Auth;
pub use handshake::Handshake;
pub use http::Body;
pub use middleware::Middleware;
pub use namespace::Namespace;
pub use operator::Operator;
pub use serve::{serve, serve_connection};
pub use socket::Socket;

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
    /// Milliseconds since 1970 at the runtime's zero.
    epoch: u64,
    pub(crate) closing: Closing,
}

impl Shared {
    fn new(config: Arc<Config>, state: States, shards: Arc<[Arc<Shard>]>, epoch: u64) -> Self {
        Self {
            config,
            state,
            shards,
            next_shard: AtomicUsize::new(0),
            namespaces: RwLock::default(),
            making: Mutex::default(),
            epoch,
            closing: Closing::default(),
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
        let recovering = self.0.config.recovery.map(|_| Recovering::new(self.0.epoch));
        let namespace = Namespace::new(name, id, self.0.shards.clone(), recovering);
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
        http::handle(self.0.clone(), request, remote_addr).await
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
        self.0.closing.reach(Stage::Ended);
    }
}
