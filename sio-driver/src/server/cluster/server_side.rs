//! Events from server to server.

use std::any::type_name;
use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use serde::de::DeserializeOwned;
use sio_proto::Str;
use sio_proto::cluster::{Answers, Missing, NodeId, Ticket};
use sio_proto::socket::{Args, Codec, EncodeError, Payload};

use super::{Member, Partial, RequestError};
use crate::error::{EmitError, Error, Packet, Rejection};
use crate::handlers::{
    Asks, Context, Emits, EventHandler, EventName, FromContext, Handler, Peer, Side, States, Unsent, find,
};
use crate::runtime::BoxFuture;
use crate::server::namespace::Handlers;
use crate::server::{Namespace, Server, Shared};

/// Another server of the cluster, as the handlers of its events see it; an extractor for them.
#[derive(Clone)]
pub struct ServerSide(Arc<Inner>);

struct Inner {
    server: Arc<Shared>,
    namespace: Namespace,
    handlers: Arc<Handlers>,
    member: Arc<Member>,
    from: Option<NodeId>,
    ticket: Option<Ticket>,
}

impl fmt::Debug for ServerSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSide").field("from", &self.0.from).finish()
    }
}

impl ServerSide {
    /// Who sent the event, if the adapter tells. Programs that only emit are all called `emitter`.
    #[must_use]
    pub fn node(&self) -> Option<&NodeId> {
        self.0.from.as_ref()
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }

    /// This server.
    #[must_use]
    pub fn server(&self) -> Server {
        Server::from_shared(self.0.server.clone())
    }
}

impl From<ServerSide> for Side {
    fn from(peer: ServerSide) -> Self {
        Self::Cluster(peer)
    }
}

impl Peer for ServerSide {
    fn log_id(&self) -> impl fmt::Display {
        self.0.from.clone().unwrap_or_else(NodeId::emitter)
    }

    fn namespace_name(&self) -> &Str {
        self.0.namespace.name()
    }

    fn codec(&self) -> &Codec {
        &Codec::Json
    }

    fn acknowledge<A: Args + ?Sized>(&self, _: u64, args: &A) -> Result<(), EmitError> {
        let payload = Payload::from_args(args).map_err(EncodeError::from)?;
        if let Some(ticket) = &self.0.ticket {
            self.0.member.act(|node, _| node.answer(ticket, payload));
        }
        Ok(())
    }

    /// Answers are no packets.
    fn send_ack(&self, _: u64, _: Packet) -> Result<(), EmitError> {
        Err(EmitError::Disconnected)
    }

    fn states(&self) -> &States {
        &self.0.server.state
    }

    /// What is sent waits in the node's outbox, which drops what is too much.
    async fn room_for_ack(&self, _: u64, _: usize) {}

    fn report(&self, error: &Error, ack: Option<u64>) -> Result<Option<u64>, Unsent> {
        self.0.handlers.server_side.report(self, error, ack)
    }
}

impl FromContext<Self> for ServerSide {
    fn from_context(context: &mut Context<Self>) -> Result<Self, Rejection> {
        Ok(context.socket.clone())
    }
}

impl FromContext<ServerSide> for Namespace {
    fn from_context(context: &mut Context<ServerSide>) -> Result<Self, Rejection> {
        Ok(context.socket.namespace().clone())
    }
}

impl FromContext<ServerSide> for Server {
    fn from_context(context: &mut Context<ServerSide>) -> Result<Self, Rejection> {
        Ok(context.socket.server())
    }
}

/// Runs the handlers of an event of another server. They begin in the order of the events; those that have to wait do so side by
/// side, for two servers may wait for each other.
pub(super) fn handle(
    namespace: &Namespace,
    member: &Arc<Member>,
    from: Option<NodeId>,
    payload: Payload,
    ticket: Option<Ticket>,
) {
    let decline = || {
        if let Some(ticket) = &ticket {
            member.act(|node, _| node.decline(ticket));
        }
    };
    let Some(name) = payload.name_str() else { return decline() };
    let Some(server) = namespace.server() else { return };
    let handlers = namespace.handlers();
    let Some(found) = find(&name, Some(&handlers.server_side), None) else {
        tracing::debug!(namespace = %namespace.name(), event = &*name, "no handler for an event of another server");
        return decline();
    };
    let Some(running) = member.run_one() else {
        tracing::error!(namespace = %namespace.name(), event = &*name, "dropped: too many handlers of other servers' events run");
        return decline();
    };
    let ack = ticket.is_some().then_some(0);
    let (namespace, member) = (namespace.clone(), member.clone());
    let host = member.host().clone();
    let inner = Arc::new(Inner { server, namespace, handlers, member, from, ticket });
    let handlers = found.run(ServerSide(inner.clone()), payload, ack);
    let mut run = Box::pin(async move {
        // Nobody has taken the right to answer.
        if let (Some(_), Some(ticket)) = (handlers.await, &inner.ticket) {
            inner.member.act(|node, _| node.decline(ticket));
        }
    });
    if run.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())) == Poll::Pending {
        host.spawn(Box::pin(async move {
            let _running = running;
            run.await;
        }));
    }
}

impl Namespace {
    /// Adds a handler for an event that another server of the cluster sends by [`server_side_emit`](Self::server_side_emit). The first
    /// value returned is the answer. In JavaScript: `io.on(event, ..)`.
    ///
    /// It takes the extractors [`Data`](crate::Data), [`Payload`], [`Ack`](crate::Ack), [`Event`](crate::Event),
    /// [`State`](crate::State), [`Namespace`], [`Server`] and [`ServerSide`]. A handler that fails is reported to the log, and gives no
    /// answer: whoever asked is told so at once.
    pub fn on_server_side<E: EventName, M>(
        &self,
        event: E,
        handler: impl EventHandler<E, M, ServerSide>,
    ) -> &Self {
        self.change(|handlers| handlers.server_side.on(event, handler))
    }

    /// Adds a handler for every event of another server, before the event's own.
    pub fn on_any_server_side<M>(&self, handler: impl Handler<M, ServerSide>) -> &Self {
        self.change(|handlers| handlers.server_side.on_any(handler))
    }

    /// Adds a function that is told when a handler of another server's event fails. That is logged in any case.
    pub fn on_server_side_error(
        &self,
        handler: impl Fn(&ServerSide, &Error) + Send + Sync + 'static,
    ) -> &Self {
        self.change(|handlers| handlers.server_side.on_error(handler))
    }

    /// Sends an event to the other servers of the cluster, to the handlers of [`on_server_side`](Self::on_server_side). This one does not
    /// get it. Without an adapter nothing happens.
    ///
    /// # Errors
    /// [`EmitError::Encode`] only.
    pub fn server_side_emit<A: Args + ?Sized>(
        &self,
        event: impl Emits<A>,
        args: &A,
    ) -> Result<(), EmitError> {
        let payload = Payload::from_event(event.as_name(), args).map_err(EncodeError::from)?;
        if let Some(member) = self.member() {
            member.act(|node, _| node.server_side_emit(payload));
        }
        Ok(())
    }

    /// As [`server_side_emit`](Self::server_side_emit), and collects the answers of the other servers when awaited. Nobody waits for
    /// one that has no handler for the event, or whose handler failed or gave nothing: it says so, and is counted in
    /// [`Partial::unanswered`]. A JavaScript server says nothing then, which cannot be told from one that is frozen.
    pub fn server_side_emit_with_ack<T, A: Args + ?Sized>(
        &self,
        event: impl Asks<A, T>,
        args: &A,
    ) -> ServerSideEmitWithAck<T> {
        let payload = Payload::from_event(event.as_name(), args).map_err(EncodeError::from);
        ServerSideEmitWithAck {
            namespace: self.clone(),
            payload: payload.map_err(EmitError::from),
            timeout: Duration::from_secs(5),
            answer: PhantomData,
        }
    }
}

/// An event for other servers that asks for answers: [`Namespace::server_side_emit_with_ack`]. It is sent when it is awaited.
#[must_use = "the event is sent when this is awaited"]
pub struct ServerSideEmitWithAck<T> {
    namespace: Namespace,
    payload: Result<Payload, EmitError>,
    timeout: Duration,
    answer: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for ServerSideEmitWithAck<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(type_name::<Self>()).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl<T> ServerSideEmitWithAck<T> {
    /// How long to wait for the answers. Default: 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl<T: DeserializeOwned + fmt::Debug + Send + 'static> IntoFuture for ServerSideEmitWithAck<T> {
    type Output = Result<Vec<T>, RequestError<T>>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let payload = self.payload?;
            let Some(member) = self.namespace.member() else { return Ok(Vec::new()) };
            let timeout = self.timeout;
            let requested = member.request(|node, now| node.server_side_emit_with_ack(payload, timeout, now));
            let (answers, missing) = requested.await;
            let Answers::Values { values, unanswered } = answers else { return Ok(Vec::new()) };
            let all = values.len();
            let got: Vec<T> = values.iter().filter_map(|value| value.deserialize().ok()).collect();
            let malformed = all - got.len();
            if missing == Missing::default() && unanswered == 0 && malformed == 0 {
                return Ok(got);
            }
            Err(RequestError::Partial(Partial { got, missing, unanswered, malformed }))
        })
    }
}
