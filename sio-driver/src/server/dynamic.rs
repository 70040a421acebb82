//! Namespaces that are made when the first client asks for them: [`ParentNamespace`].

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;
use sio_proto::UsageError;
use sio_proto::hub::{NamespaceId, Scope, SocketKey};
use sio_proto::server::RecoveryRequest;
use sio_proto::socket::{Args, ConnectError, Payload};
use sio_proto::{SocketId, Str};

use crate::error::{Error, Rejection};
use crate::handlers::{Erased, EventHandler, EventName, Handler, Live, States, finish, start};
use crate::runtime::BoxFuture;
use crate::server::middleware::ErasedMiddleware;
use crate::server::namespace::Handlers;
use crate::server::room_events::Aside;
use crate::server::shard::Shard;
use crate::server::{Handshake, Link, Middleware, Namespace, Operator, Shared, Socket};

/// A wish to join a namespace that does not exist yet.
#[derive(Debug, Clone)]
pub struct NamespaceRequest {
    name: Str,
    auth: Option<Str>,
    handshake: Arc<Link>,
    states: Arc<States>,
}

impl NamespaceRequest {
    /// The name of the namespace, with its slash: any text that the client likes, at most
    /// [`max_namespace_name`](crate::ServerBuilder::max_namespace_name) bytes of it.
    #[must_use]
    pub fn name(&self) -> &Str {
        &self.name
    }

    /// The client's `auth`. A client that sent none has an empty object.
    ///
    /// # Errors
    /// It is no `T`.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, Rejection> {
        let auth = self.auth.as_deref().unwrap_or("{}");
        serde_json::from_str(auth).map_err(|error| Rejection::Auth(error.to_string()))
    }

    /// The request that opened the client's connection.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// What the server was given by [`state`](crate::ServerBuilder::state) of this type.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        self.states.get()
    }
}

type Matching = dyn Fn(&str) -> bool + Send + Sync;
type Deciding = dyn Fn(NamespaceRequest) -> Result<BoxFuture<bool>, Error> + Send + Sync;

/// How a parent decides which names are its children's.
pub(crate) enum Decision {
    Matching(Box<Matching>),
    Deciding(Box<Deciding>),
}

impl Decision {
    pub(crate) fn deciding<Fut>(decide: impl Fn(NamespaceRequest) -> Fut + Send + Sync + 'static) -> Self
    where
        Fut: Future<Output = bool> + Send + 'static,
    {
        Self::Deciding(Box::new(move |request| {
            start(|| Ok(decide(request))).map(|future| -> BoxFuture<bool> { Box::pin(future) })
        }))
    }

    /// Whether a name can be seen to be a child's without asking anybody. A panic is a no.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Matching(matching) => crate::handlers::catch(|| matching(name)).unwrap_or_else(failed),
            Self::Deciding(_) => false,
        }
    }

    async fn allows(&self, request: &NamespaceRequest) -> bool {
        match self {
            Self::Matching(_) => self.matches(&request.name),
            Self::Deciding(deciding) => match deciding(request.clone()) {
                Ok(future) => finish(future).await.unwrap_or_else(failed),
                Err(error) => failed(error),
            },
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `unwrap_or_else`")]
fn failed(error: Error) -> bool {
    tracing::error!(%error, "the decision about a namespace failed");
    false
}

/// The namespaces that one pattern or function lets clients make: their handlers, and what is sent to all of them. Cloning gives
/// another handle.
///
/// All of them share one table of handlers, also those that are made later. A handler asks the [`Socket`], or for the
/// [`Namespace`], to know where it is.
#[derive(Clone)]
pub struct ParentNamespace(pub(crate) Arc<Parent>);

pub(crate) struct Parent {
    pub(crate) decision: Decision,
    pub(crate) handlers: Arc<Live<Handlers>>,
    pub(crate) children: Mutex<BTreeMap<NamespaceId, Namespace>>,
}

impl fmt::Debug for ParentNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ParentNamespace").field(&self.children()).finish()
    }
}

impl ParentNamespace {
    pub(crate) fn new(decision: Decision) -> Self {
        Self(Arc::new(Parent { decision, handlers: Arc::default(), children: Mutex::default() }))
    }

    /// The namespaces that there are now, oldest first.
    #[must_use]
    pub fn children(&self) -> Vec<Namespace> {
        self.0.children.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn change(&self, change: impl FnOnce(&mut Handlers)) -> &Self {
        self.0.handlers.change(change);
        self
    }

    /// As [`Namespace::use_`], for all of them.
    pub fn use_<M>(&self, middleware: impl Middleware<M>) -> &Self {
        self.change(|handlers| handlers.middlewares.push(ErasedMiddleware::new(middleware)))
    }

    /// As [`Namespace::on_connect`], for all of them.
    pub fn on_connect<M>(&self, handler: impl Handler<M>) -> &Self {
        self.change(|handlers| handlers.connect.push(Erased::new(handler)))
    }

    /// As [`Namespace::on`], for all of them.
    pub fn on<E: EventName, M>(&self, event: E, handler: impl EventHandler<E, M>) -> &Self {
        self.change(|handlers| handlers.table.on(event, handler))
    }

    /// As [`Namespace::on_any`], for all of them.
    pub fn on_any<M>(&self, handler: impl Handler<M>) -> &Self {
        self.change(|handlers| handlers.table.on_any(handler))
    }

    /// As [`Namespace::on_disconnect`], for all of them.
    pub fn on_disconnect<M>(&self, handler: impl Handler<M>) -> &Self {
        self.change(|handlers| handlers.disconnect.push(Erased::new(handler)))
    }

    /// As [`Namespace::on_error`], for all of them.
    pub fn on_error(&self, handler: impl Fn(&Socket, &Error) + Send + Sync + 'static) -> &Self {
        self.change(|handlers| handlers.table.on_error(handler))
    }

    /// As [`Namespace::ack_errors`], for all of them.
    pub fn ack_errors<A: Args>(&self, answer: impl Fn(&Error) -> A + Send + Sync + 'static) -> &Self {
        self.change(|handlers| handlers.table.ack_errors(answer))
    }

    /// As [`Namespace::use_event`], for all of them.
    pub fn use_event<M>(&self, middleware: impl Middleware<M, Error>) -> &Self {
        self.change(|handlers| handlers.event_middlewares.push(ErasedMiddleware::new(middleware)))
    }

    /// As [`Namespace::on_any_outgoing`], for all of them.
    pub fn on_any_outgoing(&self, watcher: impl Fn(&Socket, &Payload) + Send + Sync + 'static) -> &Self {
        self.change(|handlers| handlers.watchers.push(Arc::new(watcher)))
    }

    /// As [`Namespace::concurrent`], for all of them.
    pub fn concurrent(&self, limit: usize) -> &Self {
        self.change(|handlers| handlers.set_concurrency(limit))
    }

    /// Everyone in all of them.
    pub fn everyone(&self) -> Operator<Self> {
        Operator::new(self.clone(), Scope::all())
    }
}

/// A client that waits for the decision about its namespace.
pub(crate) struct Unknown {
    pub(crate) shard: Arc<Shard>,
    pub(crate) handshake: Arc<Link>,
    pub(crate) key: SocketKey,
    pub(crate) id: SocketId,
    pub(crate) name: Str,
    pub(crate) auth: Option<Str>,
    pub(crate) recovery: Option<Box<RecoveryRequest>>,
}

impl Unknown {
    /// Asks the parents, in the order in which they were added. If one of them allows it, gives the client's socket in its new
    /// namespace; else the client is refused.
    pub(crate) async fn decide(self) -> Option<(Socket, Option<Box<RecoveryRequest>>)> {
        let server = self.shard.server()?;
        let request = NamespaceRequest {
            name: self.name.clone(),
            auth: self.auth.clone(),
            handshake: self.handshake.clone(),
            states: server.state.clone(),
        };
        let mut allowed = None;
        for parent in server.parents() {
            if parent.0.decision.allows(&request).await {
                allowed = Some(parent);
                break;
            }
        }
        let Some(parent) = allowed else {
            self.refuse();
            return None;
        };
        loop {
            let Some(namespace) = server.child(&self.name, &parent) else {
                // Anybody can have that said.
                if !server.warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!(namespace = %self.name, "refused: there are too many namespaces of clients (said once)");
                }
                self.refuse();
                return None;
            };
            let shard = self.shard.clone();
            let mut locked = shard.lock();
            match locked.machine.assign(self.key, namespace.id()) {
                Ok(()) => {
                    let Self { handshake, key, id, auth, recovery, .. } = self;
                    let socket = Socket::new(self.shard, server, (key, id), namespace, handshake, auth);
                    locked.sockets.insert(key, socket.0.clone());
                    drop(locked);
                    return Some((socket, recovery));
                }
                // Somebody else has left it, and it was removed before we were there.
                Err(UsageError::UnknownNamespace) => {}
                // B108: the client is gone.
                Err(_) => {
                    drop(locked);
                    server.clean_up(namespace.id());
                    return None;
                }
            }
        }
    }

    fn refuse(&self) {
        let now = self.shard.now();
        let error = ConnectError::new("Invalid namespace");
        let _ = self.shard.lock().machine.refuse(self.key, &error, now);
    }
}

/// Settings of dynamic namespaces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) clean_up: bool,
    pub(crate) max_children: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { clean_up: false, max_children: 10_000 }
    }
}

/// Whose child a namespace is.
pub(crate) struct Child {
    pub(crate) parent: ParentNamespace,
    /// Whether a client made it: then it counts, and may be removed.
    pub(crate) by_client: bool,
}

impl Shared {
    /// The namespace of this name that a client may make; `None` if there are too many.
    fn child(&self, name: &str, parent: &ParentNamespace) -> Option<Namespace> {
        self.make(name, Some(Child { parent: parent.clone(), by_client: true }))
    }

    fn parents(&self) -> Vec<ParentNamespace> {
        self.parents.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The parent to which a name belongs for certain.
    pub(crate) fn parent_of(&self, name: &str) -> Option<ParentNamespace> {
        self.parents().into_iter().find(|parent| parent.0.decision.matches(name))
    }

    pub(crate) fn add_parent(&self, decision: Decision) -> ParentNamespace {
        let parent = ParentNamespace::new(decision);
        self.parents.write().unwrap_or_else(PoisonError::into_inner).push(parent.clone());
        for shard in self.shards.iter() {
            shard.lock().machine.set_dynamic(true);
        }
        parent
    }

    /// Removes a namespace that a client has made, if that is wished, and nobody is there any more.
    pub(crate) fn clean_up(&self, id: NamespaceId) {
        if !self.limits.clean_up {
            return;
        }
        let child = self.namespace(id);
        let Some(child) = child.as_ref().and_then(Namespace::child).filter(|child| child.by_client) else {
            return;
        };
        if !self.shards.iter().all(|shard| shard.lock().machine.is_vacant(id)) {
            return;
        }
        // Before the locks, so that it goes after all of them.
        let mut aside = Aside::default();
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        // All at once, in order, so that nobody comes in by one shard while it is removed from another.
        let mut all: Vec<_> = self.shards.iter().map(|shard| shard.lock()).collect();
        if !all.iter().all(|locked| locked.machine.is_vacant(id)) {
            return;
        }
        let mut removed = 0;
        for locked in &mut all {
            removed += usize::from(locked.machine.remove_namespace(id));
            locked.rooms.remove(&id);
            locked.set_aside(&mut aside);
        }
        drop(all);
        if removed > 0 {
            making.children -= 1;
            self.registry.write().unwrap_or_else(PoisonError::into_inner).remove(id);
            child.parent.0.children.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        }
    }
}
