//! Runs the handlers of one connection: each socket's events one after another, in order.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context as TaskContext, Poll, Waker};

use sio_proto::engine::CloseReason;
use sio_proto::hub::SocketKey;
use sio_proto::server::{ConnId, Event, RecoveryRequest};
use sio_proto::socket::{AckError, ConnectError, DisconnectReason, Payload};

use crate::handlers::{self, Context, Lanes, What, find, report};
use crate::runtime::BoxFuture;
use crate::server::dynamic::Unknown;
#[cfg(feature = "metrics")]
use crate::server::metrics;
use crate::server::recovery;
use crate::server::shard::{Shard, State};
use crate::server::{Link, Socket};

/// The right to run the handlers of one connection; one holder at a time.
///
/// A handler is polled where its event was read, by whoever holds this: the WebSocket pump, or the task of a POST. Only if it
/// has to wait does it stay here, and the holder must poll on; a polling session's holder is then spawned.
pub(crate) struct Dispatcher {
    shard: Arc<Shard>,
    conn: ConnId,
    lanes: Lanes<Job>,
    new: bool,
}

enum Job {
    Known { socket: Socket, what: Work },
    Unknown(Box<Unknown>),
}

impl Job {
    fn of(socket: Socket, what: Work) -> Self {
        Self::Known { socket, what }
    }
}

enum Work {
    Connect(Option<Box<RecoveryRequest>>),
    Event { payload: Payload, ack: Option<u64> },
    Disconnect,
}

impl Dispatcher {
    /// The caller must have set `dispatching` on the connection.
    pub(crate) fn new(shard: Arc<Shard>, conn: ConnId) -> Self {
        Self { shard, conn, lanes: Lanes::new(), new: true }
    }

    /// Whether it has not been polled since it was claimed.
    pub(crate) fn is_new(&self) -> bool {
        self.new
    }

    /// Runs what can be run. Ready when nothing is left; the right is then given up.
    pub(crate) fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        self.new = false;
        self.lanes.poll(cx, |lanes, cx| next(&self.shard, self.conn, lanes, cx))
    }
}

impl Future for Dispatcher {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        Self::poll(&mut self, cx)
    }
}

/// The next work from the machine. If there is none, either waits for more, or gives the right up.
fn next(shard: &Arc<Shard>, conn: ConnId, lanes: &Lanes<Job>, cx: &TaskContext<'_>) -> Option<Job> {
    let busy: Vec<SocketKey> = lanes.busy().collect();
    let mut after = After::default();
    let mut locked = shard.lock();
    locked.attend(conn);
    let mut job = None;
    while job.is_none() {
        let Some(event) = locked.machine.poll_event(conn, &busy) else { break };
        job = resolve(shard, &mut locked, conn, event, &mut after);
    }
    if let (None, Some(conn)) = (&job, locked.conns.get_mut(conn)) {
        if lanes.is_empty() {
            conn.dispatching = false;
        } else {
            conn.dispatcher = Some(cx.waker().clone());
        }
    }
    drop(locked);
    after.run(conn);
    job
}

/// What is done once the lock is given up.
#[derive(Default)]
struct After {
    wakers: Vec<Waker>,
    upgraded: Option<Arc<Link>>,
    closed: Option<(CloseReason, usize, Option<Arc<Link>>)>,
}

impl After {
    fn run(self, conn: ConnId) {
        self.wakers.into_iter().for_each(Waker::wake);
        if let Some(link) = self.upgraded {
            tracing::debug!(?conn, "upgraded to websocket");
            link.upgraded();
        }
        if let Some((reason, undelivered, link)) = self.closed {
            tracing::debug!(?conn, %reason, undelivered, "connection closed");
            if let Some(link) = link {
                link.forget();
            }
        }
    }
}

/// Turns an event into work; what needs no handler is done here.
fn resolve(
    shard: &Arc<Shard>,
    state: &mut State,
    conn: ConnId,
    event: Event,
    after: &mut After,
) -> Option<Job> {
    match event {
        Event::Connect { socket: key, id, namespace, auth, recovery } => {
            let server = shard.server();
            let namespace = server.as_ref().and_then(|server| server.namespace(namespace));
            let (Some(server), Some(namespace)) = (server, namespace) else {
                // The server is gone, or it is about to have this namespace: `Server::of` tells the shards first.
                let _ = state.machine.refuse(key, &ConnectError::new("Invalid namespace"), shard.now());
                return None;
            };
            let handshake = state.conns.get(conn)?.handshake.clone();
            let socket = Socket::new(shard.clone(), server, (key, id), namespace, handshake, auth);
            state.sockets.insert(key, socket.0.clone());
            Some(Job::of(socket, Work::Connect(recovery.map(Box::new))))
        }
        Event::ConnectUnknown { socket: key, id, name, auth, recovery } => {
            let (shard, handshake) = (shard.clone(), state.conns.get(conn)?.handshake.clone());
            let recovery = recovery.map(Box::new);
            Some(Job::Unknown(Box::new(Unknown { shard, handshake, key, id, name, auth, recovery })))
        }
        Event::Event { socket, payload, ack } => {
            let socket = Socket(state.sockets.get(&socket)?.clone());
            Some(Job::of(socket, Work::Event { payload, ack }))
        }
        Event::Ack { socket, id, result } => {
            answer(state, socket, id, result, &mut after.wakers);
            None
        }
        Event::Disconnect { socket, reason, rooms } => {
            let socket = Socket(state.sockets.remove(&socket)?);
            let _ = socket.0.left.set((reason, rooms));
            Some(Job::of(socket, Work::Disconnect))
        }
        Event::Upgraded => {
            after.upgraded = state.conns.get(conn).map(|conn| conn.handshake.clone());
            None
        }
        Event::Closed { reason, undelivered } => {
            let facts = state.machine.facts(conn);
            let mut link = None;
            if let Some(conn) = state.conns.get_mut(conn) {
                after.wakers.append(&mut conn.writers);
                if let Some(facts) = facts {
                    conn.handshake.finish(facts);
                }
                link = Some(conn.handshake.clone());
            }
            after.closed = Some((reason, undelivered, link));
            // Its channels may still be at work: a WebSocket waits for the client's close frame.
            state.retire(conn);
            None
        }
        _ => None,
    }
}

fn answer(
    state: &mut State,
    socket: SocketKey,
    id: u64,
    result: Result<Payload, AckError>,
    wakers: &mut Vec<Waker>,
) {
    let Some(from) = state.sockets.get(&socket) else { return };
    let key = (from.namespace.id(), id);
    if let Some((slot, remaining)) = state.acks.get_mut(&key) {
        wakers.extend(slot.answer((from.id, result)));
        *remaining -= 1;
        if *remaining == 0 {
            state.acks.remove(&key);
        }
    }
}

impl handlers::Job for Job {
    type Key = SocketKey;

    fn key(&self) -> SocketKey {
        match self {
            Self::Known { socket, .. } => socket.0.key,
            Self::Unknown(unknown) => unknown.key,
        }
    }

    fn limit(&self) -> usize {
        match self {
            Self::Known { socket, .. } => socket.0.handlers.concurrency(),
            Self::Unknown(_) => 1,
        }
    }

    /// Connect and disconnect handlers.
    fn is_alone(&self) -> bool {
        !matches!(self, Self::Known { what: Work::Event { .. }, .. })
    }

    fn run(self) -> Option<BoxFuture<Option<u64>>> {
        let (socket, what) = match self {
            Self::Known { socket, what } => (socket, what),
            Self::Unknown(unknown) => return Some(Box::pin(connect_unknown(*unknown))),
        };
        match what {
            Work::Connect(wanted) => Some(Box::pin(connect(recovery::begin(socket, wanted.as_deref())))),
            // What a client sent that was then refused.
            Work::Event { .. } if !socket.0.accepted.load(Ordering::Acquire) => None,
            #[cfg(feature = "metrics")]
            Work::Event { payload, ack } => {
                let (server, shard) = (socket.0.server.clone(), socket.0.shard.clone());
                metrics::measured(server, move || shard.now(), || run_event(socket, payload, ack))
            }
            #[cfg(not(feature = "metrics"))]
            Work::Event { payload, ack } => run_event(socket, payload, ack),
            Work::Disconnect => {
                socket.forget_handlers();
                // With it, if there is nothing to run.
                let end = ReachOnDrop(socket.clone());
                let (reason, accepted) = (socket.0.left.get()?.0, socket.0.accepted.load(Ordering::Acquire));
                if !accepted {
                    return None;
                }
                tracing::debug!(socket = %socket.id(), namespace = %socket.namespace().name(), %reason, "disconnected");
                if socket.0.handlers.disconnect.is_empty() {
                    return None;
                }
                Some(Box::pin(disconnect(socket, reason, end)))
            }
        }
    }
}

/// Tells, at whatever end of the disconnect handlers, that they have ended.
struct ReachOnDrop(Socket);

impl Drop for ReachOnDrop {
    fn drop(&mut self) {
        let Socket(inner) = &self.0;
        inner.end.reach();
        inner.server.clean_up(inner.namespace.id());
    }
}

async fn connect_unknown(unknown: Unknown) -> Option<u64> {
    let (socket, wanted) = unknown.decide().await?;
    connect(recovery::begin(socket, wanted.as_deref())).await
}

/// Asks the middlewares, lets the client in or not, and runs the connect handlers.
async fn connect(socket: Socket) -> Option<u64> {
    let handlers = socket.0.handlers.clone();
    let (shard, key) = (&socket.0.shard, socket.0.key);
    let context = || Context { socket: socket.clone(), what: What::Connect, event: "connect".into() };
    let recovery = socket.0.server.config.recovery;
    let skip = socket.recovered() && recovery.is_some_and(|recovery| recovery.skip_middlewares);
    for middleware in handlers.middlewares.iter().filter(|_| !skip) {
        if let Err(error) = middleware.call(context()).0.await {
            tracing::debug!(socket = %socket.id(), namespace = %socket.namespace().name(), %error, "refused");
            let now = shard.now();
            let mut locked = shard.lock();
            let _ = locked.machine.refuse(key, &error, now);
            locked.sockets.remove(&key);
            drop(locked);
            socket.forget_handlers();
            socket.0.server.clean_up(socket.namespace().id());
            return None;
        }
    }
    let now = shard.now();
    // B108: the client may be gone; its disconnect then finds a socket that was never accepted.
    let predecessor = {
        let mut locked = shard.lock();
        locked.machine.accept(key, now).ok()?;
        // At once: the connection may be lost, or taken over, the next moment.
        recovery::succeed(&mut locked, &socket)
    };
    socket.0.accepted.store(true, Ordering::Release);
    let recovered = socket.recovered();
    tracing::debug!(socket = %socket.id(), namespace = %socket.namespace().name(), recovered, "connected");
    predecessor.wait().await;
    for handler in &handlers.connect {
        handler.call(context()).await;
    }
    None
}

async fn disconnect(socket: Socket, reason: DisconnectReason, _end: ReachOnDrop) -> Option<u64> {
    for handler in &socket.0.handlers.disconnect {
        let (what, event) = (What::Disconnect(reason), "disconnect".into());
        handler.call(Context { socket: socket.clone(), what, event }).await;
    }
    None
}

/// Asks the middlewares of events, if there are any, and runs the handlers.
fn run_event(socket: Socket, payload: Payload, ack: Option<u64>) -> Option<BoxFuture<Option<u64>>> {
    let own = socket.0.own.get().map(|own| own.extra.get());
    let own = own.iter().flat_map(|own| &own.middlewares);
    let middlewares: Vec<_> = socket.0.handlers.event_middlewares.iter().chain(own).cloned().collect();
    if middlewares.is_empty() {
        return handle_event(socket, payload, ack);
    }
    Some(Box::pin(async move {
        let mut ack = ack;
        let event: Arc<str> = payload.name().unwrap_or_default().into();
        for middleware in middlewares {
            let what = What::Event { payload: payload.clone(), ack };
            let (decision, left) =
                middleware.call(Context { socket: socket.clone(), what, event: event.clone() });
            ack = left;
            if let Err(error) = decision.await {
                return report(&socket, error.during(event), ack).await;
            }
        }
        match handle_event(socket, payload, ack) {
            Some(handlers) => handlers.await,
            None => ack,
        }
    }))
}

fn handle_event(socket: Socket, payload: Payload, ack: Option<u64>) -> Option<BoxFuture<Option<u64>>> {
    let name = payload.name()?;
    let Some(found) = find(&name, Some(&socket.0.handlers.table), socket.0.own_table()) else {
        tracing::debug!(socket = %socket.id(), event = &*name, "no handler");
        return None;
    };
    drop(name);
    Some(found.run(socket, payload, ack))
}
