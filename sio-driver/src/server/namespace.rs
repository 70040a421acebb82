//! [`Namespace`]: handlers, and broadcasts to everyone who is there.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use sio_proto::engine::Encoded;
use sio_proto::hub::{NamespaceId, Offset, Scope};
use sio_proto::socket::{Args, Codec, EncodeError, Payload};
use sio_proto::{SocketId, Str};

use crate::encode::encode;
use crate::error::Error;
use crate::handlers::{Erased, EventHandler, EventName, Handler, Live, Table};
use crate::server::cluster::{Member, ServerSide, Share};
use crate::server::dynamic::Child;
use crate::server::middleware::ErasedMiddleware;
use crate::server::outgoing::Watcher;
use crate::server::recovery::Recovering;
use crate::server::room_events::RoomEvents;
use crate::server::shard::Shard;
use crate::server::{Middleware, Operator, Shared, Socket};

/// A namespace of a server. Cloning gives another handle.
///
/// Handlers are kept in one table that all clients of the namespace share. A client gets the table as it is when the client
/// connects; so set handlers up before the server listens, and no event can come before its handler is there. Children of one
/// [`ParentNamespace`](crate::ParentNamespace) share one table: what is added to one of them is added to all.
#[derive(Clone)]
pub struct Namespace(Arc<Inner>);

struct Inner {
    name: Str,
    id: NamespaceId,
    /// A child has those of its parent.
    handlers: Arc<Live<Handlers>>,
    child: Option<Child>,
    ack_ids: AtomicU64,
    /// Whether somebody watches what is sent; if not, nothing is done for it.
    watched: AtomicBool,
    shards: Arc<[Arc<Shard>]>,
    recovering: Option<Recovering>,
    rooms: Arc<RoomEvents>,
    codec: Codec,
    member: Option<Arc<Member>>,
    share: Option<Share>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(member) = &self.member {
            member.close();
        }
    }
}

/// A handle that does not keep the namespace.
pub(super) struct WeakNamespace(Weak<Inner>);

impl WeakNamespace {
    pub(super) fn upgrade(&self) -> Option<Namespace> {
        self.0.upgrade().map(Namespace)
    }
}

/// The place of a namespace in the cluster, if there is one, and what others see of its sockets.
pub(super) type InCluster = (Option<Arc<Member>>, Option<Share>);

/// What to call when something happens in a namespace.
#[derive(Clone, Default)]
pub(crate) struct Handlers {
    pub(crate) middlewares: Vec<ErasedMiddleware>,
    pub(crate) event_middlewares: Vec<ErasedMiddleware<Error>>,
    pub(crate) watchers: Vec<Watcher>,
    pub(crate) connect: Vec<Erased<Socket>>,
    pub(crate) table: Table<Socket>,
    pub(crate) disconnect: Vec<Erased<Socket>>,
    /// For events of other servers.
    pub(crate) server_side: Table<ServerSide>,
    concurrency: Option<usize>,
}

impl Handlers {
    /// How many events of one socket may be handled at the same time.
    pub(crate) fn set_concurrency(&mut self, limit: usize) {
        self.concurrency = Some(limit.max(1));
    }

    pub(crate) fn concurrency(&self) -> usize {
        self.concurrency.unwrap_or(1)
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Namespace").field(self.name()).finish()
    }
}

impl Namespace {
    pub(crate) fn new(
        name: Str,
        id: NamespaceId,
        shards: Arc<[Arc<Shard>]>,
        recovering: Option<Recovering>,
        child: Option<Child>,
        codec: Codec,
        (member, share): InCluster,
    ) -> Self {
        let handlers = child.as_ref().map(|child| child.parent.0.handlers.clone()).unwrap_or_default();
        let (ack_ids, watched) = (AtomicU64::new(0), AtomicBool::new(false));
        let rooms = Arc::new(RoomEvents::new(shards.first().map(|shard| shard.host().clone())));
        Self(Arc::new(Inner {
            name,
            id,
            handlers,
            child,
            ack_ids,
            watched,
            shards,
            recovering,
            rooms,
            codec,
            member,
            share,
        }))
    }

    /// The name, with its slash.
    #[must_use]
    pub fn name(&self) -> &Str {
        &self.0.name
    }

    /// Which form packets have.
    pub(crate) fn codec(&self) -> &Codec {
        &self.0.codec
    }

    pub(crate) fn id(&self) -> NamespaceId {
        self.0.id
    }

    pub(crate) fn child(&self) -> Option<&Child> {
        self.0.child.as_ref()
    }

    pub(crate) fn handlers(&self) -> Arc<Handlers> {
        self.0.handlers.get()
    }

    /// Unique in the namespace: one broadcast asks all its receivers for the same id (B96).
    pub(crate) fn next_ack_id(&self) -> u64 {
        self.0.ack_ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn recovering(&self) -> Option<&Recovering> {
        self.0.recovering.as_ref()
    }

    /// An event as it goes out: with an offset, if clients that are away are to have it later.
    pub(crate) fn encode_event<A: Args + ?Sized>(
        &self,
        event: &str,
        args: &A,
        recoverable: bool,
    ) -> Result<(Encoded, Option<Offset>), EncodeError> {
        let offset = self.recovering().filter(|_| recoverable).and_then(|recovering| {
            let shard = self.0.shards.first()?;
            Some(recovering.next_offset(shard.now()))
        });
        let packet = encode(self.codec(), |encoder| match offset {
            Some(offset) => encoder.event_at(self.name(), offset, event, args),
            None => encoder.event(self.name(), None, event, args),
        })?;
        Ok((packet, offset))
    }

    pub(super) fn downgrade(&self) -> WeakNamespace {
        WeakNamespace(Arc::downgrade(&self.0))
    }

    pub(super) fn member(&self) -> Option<&Arc<Member>> {
        self.0.member.as_ref()
    }

    pub(super) fn share(&self) -> Option<&Share> {
        self.0.share.as_ref()
    }

    pub(super) fn server(&self) -> Option<Arc<Shared>> {
        self.0.shards.first()?.server()
    }

    /// Whether one of the server's clients is in this room.
    pub(super) fn is_occupied(&self, room: &str) -> bool {
        self.0.shards.iter().any(|shard| shard.lock().machine.hub().has_room(self.0.id, room))
    }

    pub(crate) fn shards<'a>(&'a self, each: impl FnMut(&'a Arc<Shard>)) {
        self.0.shards.iter().for_each(each);
    }

    pub(super) fn room_events(&self) -> &Arc<RoomEvents> {
        &self.0.rooms
    }

    pub(super) fn is_watched(&self) -> bool {
        // Those of a parent came by its own handle.
        self.0.watched.load(Ordering::Relaxed)
            || (self.0.child.is_some() && !self.handlers().watchers.is_empty())
    }

    pub(super) fn set_watched(&self) {
        self.0.watched.store(true, Ordering::Relaxed);
    }

    /// The connected clients that are meant.
    pub(super) fn select(&self, scope: &Scope) -> Vec<Socket> {
        let mut sockets = Vec::new();
        self.shards(|shard| {
            let mut locked = shard.lock();
            let keys = locked.machine.sockets(self.0.id, scope);
            sockets.extend(keys.into_iter().filter_map(|key| locked.sockets.get(&key)).cloned().map(Socket));
        });
        sockets
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Handlers)) -> &Self {
        self.0.handlers.change(change);
        self
    }

    /// Adds a middleware: it decides whether a client may join the namespace, before any other handler. Several run in the
    /// order in which they were added, until one refuses.
    ///
    /// It takes the same extractors as handlers, [`Socket`] and [`Auth`](crate::Auth) mostly, and returns
    /// `Result<(), ConnectError>`. What a client sends meanwhile waits. Named `use` in JavaScript.
    pub fn use_<M>(&self, middleware: impl Middleware<M>) -> &Self {
        self.change(|handlers| handlers.middlewares.push(ErasedMiddleware::new(middleware)))
    }

    /// Adds a middleware of events: it decides whether an event is handled, before any handler of it; also for events that have
    /// none. Several run in the order in which they were added, until one fails; then those of the socket ([`Socket::use_`]).
    ///
    /// It takes the same extractors as handlers, [`Event`](crate::Event) and [`Payload`] mostly, and returns `Result<(), Error>`. An
    /// error goes to [`on_error`](Self::on_error), and to the client if [`ack_errors`](Self::ack_errors) is set. One that takes the
    /// [`Ack`](crate::Ack) answers in the handlers' place.
    ///
    /// ```
    /// # use sio_driver::{Error, Event, Server};
    /// # fn setup(io: Server) {
    /// io.of("/").use_event(async |event: Event| match &*event {
    ///     "admin" => Err(Error::new("not allowed")),
    ///     _ => Ok(()),
    /// });
    /// # }
    /// ```
    pub fn use_event<M>(&self, middleware: impl Middleware<M, Error>) -> &Self {
        self.change(|handlers| handlers.event_middlewares.push(ErasedMiddleware::new(middleware)))
    }

    /// Adds a handler for clients that have joined. The client's events wait until it has ended.
    pub fn on_connect<M>(&self, handler: impl Handler<M>) -> &Self {
        self.change(|handlers| handlers.connect.push(Erased::new(handler)))
    }

    /// Adds a handler for an event. Several for one event run one after another; the first value returned is the
    /// acknowledgement.
    pub fn on<E: EventName, M>(&self, event: E, handler: impl EventHandler<E, M>) -> &Self {
        self.change(|handlers| handlers.table.on(event, handler))
    }

    /// Adds a handler for every event, before the event's own handlers; also for events that have none. It may take the
    /// [`Ack`](crate::Ack) and answer in their place; what it returns is no answer.
    pub fn on_any<M>(&self, handler: impl Handler<M>) -> &Self {
        self.change(|handlers| handlers.table.on_any(handler))
    }

    /// Adds a handler for clients that have left. Their rooms are still in [`Socket::rooms`].
    pub fn on_disconnect<M>(&self, handler: impl Handler<M>) -> &Self {
        self.change(|handlers| handlers.disconnect.push(Erased::new(handler)))
    }

    /// Adds a function that is told when a handler fails: arguments that did not parse, an error that it returned, or a panic, which
    /// concerns that handler only. They are logged in any case. The client gets no acknowledgement, unless
    /// [`ack_errors`](Self::ack_errors) is set.
    pub fn on_error(&self, handler: impl Fn(&Socket, &Error) + Send + Sync + 'static) -> &Self {
        self.change(|handlers| handlers.table.on_error(handler))
    }

    /// Sets what a client is answered when the handler of an event fails for which it awaits an acknowledgement; arguments as for
    /// [`emit`](Self::emit). Default: nothing, so that it waits until its timeout. Take care not to tell clients what they should
    /// not know.
    ///
    /// ```
    /// # use sio_driver::Server;
    /// # fn setup(io: Server) {
    /// io.of("/").ack_errors(|error| serde_json::json!({ "error": error.to_string() }));
    /// # }
    /// ```
    pub fn ack_errors<A: Args>(&self, answer: impl Fn(&Error) -> A + Send + Sync + 'static) -> &Self {
        self.change(|handlers| handlers.table.ack_errors(answer))
    }

    /// Adds a function that is told of every event that is about to be sent to a client of the namespace, also by a broadcast,
    /// and also if sending then fails; not of acknowledgements. It should be quick. While nobody asks, nothing is done for it; else each event is encoded once more.
    pub fn on_any_outgoing(&self, watcher: impl Fn(&Socket, &Payload) + Send + Sync + 'static) -> &Self {
        self.set_watched();
        self.change(|handlers| handlers.watchers.push(Arc::new(watcher)))
    }

    /// Lets up to `limit` events of one client be handled at the same time. Default: 1, one after another, in order. Events are
    /// still started in order.
    pub fn concurrent(&self, limit: usize) -> &Self {
        self.change(|handlers| handlers.set_concurrency(limit))
    }

    /// Everyone in the namespace.
    pub fn everyone(&self) -> Operator {
        Operator::new(self.clone(), Scope::all())
    }

    /// The client of this server with this id, if it is connected to the namespace.
    #[must_use]
    pub fn socket(&self, id: &SocketId) -> Option<Socket> {
        // Others may be in the room of this name.
        self.select(&Scope::all().to(id.as_str())).into_iter().find(|socket| socket.id() == *id)
    }

    /// How many clients are connected to the namespace, of this server.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.lock().machine.hub().len(self.0.id)).sum()
    }

    /// Whether no client is connected to the namespace.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The clients of this server that are connected to the namespace.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket> {
        self.select(&Scope::all())
    }
}
