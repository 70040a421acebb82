//! [`Namespace`]: handlers, and broadcasts to everyone who is there.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sio_proto::Str;
use sio_proto::engine::Encoded;
use sio_proto::hub::{NamespaceId, Offset, Room, Scope};
use sio_proto::server::Delivery;
use sio_proto::socket::{Args, EncodeError};

use crate::encode::encode;
use crate::error::{EmitError, Error};
use crate::handlers::{Erased, Handler, Live, Table};
use crate::server::dynamic::Child;
use crate::server::middleware::ErasedMiddleware;
use crate::server::recovery::Recovering;
use crate::server::shard::Shard;
use crate::server::{Middleware, Operator, Socket};

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
    shards: Arc<[Arc<Shard>]>,
    recovering: Option<Recovering>,
}

/// What to call when something happens in a namespace.
#[derive(Clone, Default)]
pub(crate) struct Handlers {
    pub(crate) middlewares: Vec<ErasedMiddleware>,
    pub(crate) connect: Vec<Erased<Socket>>,
    pub(crate) table: Table<Socket>,
    pub(crate) disconnect: Vec<Erased<Socket>>,
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
    ) -> Self {
        let handlers = child.as_ref().map(|child| child.parent.0.handlers.clone()).unwrap_or_default();
        let ack_ids = AtomicU64::new(0);
        Self(Arc::new(Inner { name, id, handlers, child, ack_ids, shards, recovering }))
    }

    /// The name, with its slash.
    #[must_use]
    pub fn name(&self) -> &Str {
        &self.0.name
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
        let packet = encode(|encoder| match offset {
            Some(offset) => encoder.event_at(self.name(), offset, event, args),
            None => encoder.event(self.name(), None, event, args),
        })?;
        Ok((packet, offset))
    }

    pub(crate) fn shards(&self, each: impl FnMut(&Arc<Shard>)) {
        self.0.shards.iter().for_each(each);
    }

    fn change(&self, change: impl FnOnce(&mut Handlers)) -> &Self {
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

    /// Adds a handler for clients that have joined. The client's events wait until it has ended.
    pub fn on_connect<M>(&self, handler: impl Handler<M>) -> &Self {
        self.change(|handlers| handlers.connect.push(Erased::new(handler)))
    }

    /// Adds a handler for an event. Several for one event run one after another; the first value returned is the
    /// acknowledgement.
    pub fn on<M>(&self, event: impl Into<String>, handler: impl Handler<M>) -> &Self {
        self.change(|handlers| handlers.table.on(event.into(), handler))
    }

    /// Adds a handler for every event, before the event's own handlers; also for events that have none.
    pub fn on_any<M>(&self, handler: impl Handler<M>) -> &Self {
        self.change(|handlers| handlers.table.on_any(handler))
    }

    /// Adds a handler for clients that have left. Their rooms are still in [`Socket::rooms`].
    pub fn on_disconnect<M>(&self, handler: impl Handler<M>) -> &Self {
        self.change(|handlers| handlers.disconnect.push(Erased::new(handler)))
    }

    /// Adds a function that is told when a handler fails: arguments that did not parse, an error that it returned, or a panic, which
    /// concerns that handler only. They are logged in any case. The client gets no acknowledgement.
    pub fn on_error(&self, handler: impl Fn(&Socket, &Error) + Send + Sync + 'static) -> &Self {
        self.change(|handlers| handlers.table.on_error(handler))
    }

    /// Lets up to `limit` events of one client be handled at the same time. Default: 1, one after another, in order. Events are
    /// still started in order.
    pub fn concurrent(&self, limit: usize) -> &Self {
        self.change(|handlers| handlers.set_concurrency(limit))
    }

    /// Sends an event to everyone in the namespace. See [`Operator::emit`].
    ///
    /// # Errors
    /// [`EmitError::Encode`] only.
    pub fn emit<A: Args + ?Sized>(&self, event: &str, args: &A) -> Result<Delivery, EmitError> {
        self.everyone().emit(event, args)
    }

    /// Everyone in the namespace.
    pub fn everyone(&self) -> Operator {
        Operator::new(self.clone(), Scope::all())
    }

    /// Everyone in a room.
    pub fn to(&self, room: impl Into<Room>) -> Operator {
        self.everyone().to(room)
    }

    /// As [`to`](Self::to).
    pub fn in_(&self, room: impl Into<Room>) -> Operator {
        self.to(room)
    }

    /// Everyone who is not in a room.
    pub fn except(&self, room: impl Into<Room>) -> Operator {
        self.everyone().except(room)
    }

    /// How many clients are connected to the namespace.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.lock().machine.hub().len(self.0.id)).sum()
    }

    /// Whether no client is connected to the namespace.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The clients that are connected to the namespace.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket> {
        let mut sockets = Vec::new();
        self.shards(|shard| {
            let mut locked = shard.lock();
            let keys = locked.machine.sockets(self.0.id, &Scope::all());
            sockets.extend(keys.into_iter().filter_map(|key| locked.sockets.get(&key)).cloned().map(Socket));
        });
        sockets
    }
}
