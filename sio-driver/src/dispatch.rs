//! Runs the handlers of one connection: each socket's events one after another, in order.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context as TaskContext, Poll, Waker};

use sio_proto::hub::SocketKey;
use sio_proto::server::{ConnId, Event};
use sio_proto::socket::{AckError, ConnectError, DisconnectReason, Payload};

use crate::handler::{Context, What};
use crate::namespace::Table;
use crate::runtime::BoxFuture;
use crate::shard::{Shard, State};
use crate::socket::{Socket, SocketInner};

/// How many events are handled in one poll, before other tasks get theirs. One POST can hold a hundred thousand.
const BATCH: usize = 256;

/// The right to run the handlers of one connection; one holder at a time.
///
/// A handler is polled where its event was read, by whoever holds this: the WebSocket pump, or the task of a POST. Only if it
/// has to wait does it stay here, and the holder must poll on; a polling session's holder is then spawned.
pub(crate) struct Dispatcher {
    shard: Arc<Shard>,
    conn: ConnId,
    lanes: Vec<Lane>,
    new: bool,
}

/// A socket whose handlers wait.
struct Lane {
    key: SocketKey,
    running: Vec<BoxFuture<Option<u64>>>,
    /// How many events may be handled at once.
    limit: usize,
    /// Whether what runs must be alone: connect and disconnect handlers.
    alone: bool,
    queue: VecDeque<Job>,
}

struct Job {
    socket: Socket,
    what: Work,
}

enum Work {
    Connect,
    Event { payload: Payload, ack: Option<u64> },
    Disconnect,
}

impl Dispatcher {
    /// The caller must have set `dispatching` on the connection.
    pub(crate) fn new(shard: Arc<Shard>, conn: ConnId) -> Self {
        Self { shard, conn, lanes: Vec::new(), new: true }
    }

    /// Whether it has not been polled since it was claimed.
    pub(crate) fn is_new(&self) -> bool {
        self.new
    }

    /// Runs what can be run. Ready when nothing is left; the right is then given up.
    pub(crate) fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        self.new = false;
        self.poll_lanes(cx);
        let mut handled = 0;
        while let Some(job) = self.next(cx) {
            self.submit(job, cx);
            handled += 1;
            if handled == BATCH {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        if self.lanes.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_lanes(&mut self, cx: &mut TaskContext<'_>) {
        let mut at = 0;
        while let Some(lane) = self.lanes.get_mut(at) {
            lane.running.retain_mut(|future| future.as_mut().poll(cx).is_pending());
            while lane.takes_next() {
                let Some(job) = lane.queue.pop_front() else { break };
                lane.start(job, cx);
            }
            if lane.running.is_empty() {
                self.lanes.swap_remove(at);
            } else {
                at += 1;
            }
        }
    }

    fn submit(&mut self, job: Job, cx: &mut TaskContext<'_>) {
        let key = job.socket.0.key;
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.key == key) {
            lane.queue.push_back(job);
            while lane.takes_next() {
                let Some(job) = lane.queue.pop_front() else { break };
                lane.start(job, cx);
            }
            return;
        }
        let limit = job.socket.0.table.concurrency();
        let alone = job.is_alone();
        let Some(mut future) = job.run() else { return };
        if future.as_mut().poll(cx).is_pending() {
            let running = Vec::from([future]);
            self.lanes.push(Lane { key, running, limit, alone, queue: VecDeque::new() });
        }
    }

    /// The next work from the machine. If there is none, either waits for more, or gives the right up.
    fn next(&mut self, cx: &TaskContext<'_>) -> Option<Job> {
        let full = self.lanes.iter().filter(|lane| !lane.takes_more());
        let busy: Vec<SocketKey> = full.map(|lane| lane.key).collect();
        let mut wakers = Vec::new();
        let mut locked = self.shard.lock();
        locked.attend(self.conn);
        let mut job = None;
        while job.is_none() {
            let Some(event) = locked.machine.poll_event(self.conn, &busy) else { break };
            job = resolve(&self.shard, &mut locked, self.conn, event, &mut wakers);
        }
        if let (None, Some(conn)) = (&job, locked.conns.get_mut(self.conn)) {
            if self.lanes.is_empty() {
                conn.dispatching = false;
            } else {
                conn.dispatcher = Some(cx.waker().clone());
            }
        }
        drop(locked);
        wakers.into_iter().for_each(Waker::wake);
        job
    }
}

impl Future for Dispatcher {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        Self::poll(&mut self, cx)
    }
}

impl Lane {
    fn takes_more(&self) -> bool {
        self.queue.is_empty() && !self.alone && self.running.len() < self.limit
    }

    fn takes_next(&self) -> bool {
        match self.queue.front() {
            None => false,
            Some(job) if job.is_alone() => self.running.is_empty(),
            Some(_) => self.running.is_empty() || (!self.alone && self.running.len() < self.limit),
        }
    }

    fn start(&mut self, job: Job, cx: &mut TaskContext<'_>) {
        self.alone = job.is_alone();
        if let Some(mut future) = job.run()
            && future.as_mut().poll(cx).is_pending()
        {
            self.running.push(future);
        }
    }
}

/// Turns an event into work; what needs no handler is done here.
fn resolve(
    shard: &Arc<Shard>,
    state: &mut State,
    conn: ConnId,
    event: Event,
    wakers: &mut Vec<Waker>,
) -> Option<Job> {
    match event {
        Event::Connect { socket: key, id, namespace, auth } => {
            let server = shard.server();
            let namespace = server.as_ref().and_then(|server| server.namespace(namespace));
            let (Some(server), Some(namespace)) = (server, namespace) else {
                // The server is gone, or it is about to have this namespace: `Server::of` tells the shards first.
                let _ = state.machine.refuse(key, &ConnectError::new("Invalid namespace"), shard.now());
                return None;
            };
            let handshake = state.conns.get(conn)?.handshake.clone();
            let table = namespace.table();
            let socket = Arc::new(SocketInner {
                shard: shard.clone(),
                server,
                key,
                id,
                namespace,
                table,
                own: Default::default(),
                handshake,
                auth,
                accepted: false.into(),
                left: Default::default(),
            });
            state.sockets.insert(key, socket.clone());
            Some(Job { socket: Socket(socket), what: Work::Connect })
        }
        Event::Event { socket, payload, ack } => {
            let socket = Socket(state.sockets.get(&socket)?.clone());
            Some(Job { socket, what: Work::Event { payload, ack } })
        }
        Event::Ack { socket, id, result } => {
            answer(state, socket, id, result, wakers);
            None
        }
        Event::Disconnect { socket, reason, rooms } => {
            let socket = Socket(state.sockets.remove(&socket)?);
            let _ = socket.0.left.set((reason, rooms));
            Some(Job { socket, what: Work::Disconnect })
        }
        Event::Upgraded => {
            tracing::debug!(?conn, "upgraded to websocket");
            None
        }
        Event::Closed { reason, undelivered } => {
            tracing::debug!(?conn, %reason, undelivered, "connection closed");
            if let Some(conn) = state.conns.get_mut(conn) {
                wakers.append(&mut conn.writers);
            }
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
        wakers.extend(slot.answer(from.id, result));
        *remaining -= 1;
        if *remaining == 0 {
            state.acks.remove(&key);
        }
    }
}

impl Job {
    /// Whether no other handler of the socket may run beside it.
    fn is_alone(&self) -> bool {
        !matches!(self.what, Work::Event { .. })
    }

    /// The handlers' future, unless there is nothing to run.
    fn run(self) -> Option<BoxFuture<Option<u64>>> {
        let Self { socket, what } = self;
        match what {
            Work::Connect => Some(Box::pin(connect(socket))),
            // What a client sent that was then refused.
            Work::Event { .. } if !socket.0.accepted.load(Ordering::Acquire) => None,
            Work::Event { payload, ack } => run_event(socket, payload, ack),
            Work::Disconnect => {
                socket.forget_handlers();
                let (reason, accepted) = (socket.0.left.get()?.0, socket.0.accepted.load(Ordering::Acquire));
                if !accepted {
                    return None;
                }
                tracing::debug!(socket = %socket.id(), namespace = %socket.namespace().name(), %reason, "disconnected");
                if socket.0.table.disconnect.is_empty() {
                    return None;
                }
                Some(Box::pin(disconnect(socket, reason)))
            }
        }
    }
}

/// Asks the middlewares, lets the client in or not, and runs the connect handlers.
async fn connect(socket: Socket) -> Option<u64> {
    let table = socket.0.table.clone();
    let (shard, key) = (&socket.0.shard, socket.0.key);
    let context = || Context { socket: socket.clone(), what: What::Connect };
    for middleware in &table.middlewares {
        if let Err(error) = middleware.call(context()).await {
            tracing::debug!(socket = %socket.id(), namespace = %socket.namespace().name(), %error, "refused");
            let now = shard.now();
            let mut locked = shard.lock();
            let _ = locked.machine.refuse(key, &error, now);
            locked.sockets.remove(&key);
            drop(locked);
            socket.forget_handlers();
            return None;
        }
    }
    let now = shard.now();
    // B108: the client may be gone; its disconnect then finds a socket that was never accepted.
    shard.lock().machine.accept(key, now).ok()?;
    socket.0.accepted.store(true, Ordering::Release);
    tracing::debug!(socket = %socket.id(), namespace = %socket.namespace().name(), "connected");
    for handler in &table.connect {
        handler.call(context()).await;
    }
    None
}

async fn disconnect(socket: Socket, reason: DisconnectReason) -> Option<u64> {
    for handler in &socket.0.table.disconnect {
        handler.call(Context { socket: socket.clone(), what: What::Disconnect(reason) }).await;
    }
    None
}

fn run_event(socket: Socket, payload: Payload, ack: Option<u64>) -> Option<BoxFuture<Option<u64>>> {
    let name = payload.name()?;
    let table = &socket.0.table;
    let own =
        socket.0.own.get().map(|own| own.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone());
    let own = own.as_deref().and_then(|own: &Table| own.events.get(&*name));
    // The usual case, one handler, needs no chain around it.
    match (table.events.get(&*name).map(Vec::as_slice), own, table.any.as_slice()) {
        (None, None, []) => {
            tracing::debug!(socket = %socket.id(), event = %name, "no handler");
            None
        }
        (Some([handler]), None, []) => {
            let handler = handler.clone();
            drop(name);
            Some(handler.call(Context { socket, what: What::Event { payload, ack } }))
        }
        (named, own, any) => {
            let any = any.to_vec();
            let named = named.unwrap_or_default().iter().chain(own.into_iter().flatten()).cloned();
            let named: Vec<_> = named.collect();
            drop(name);
            Some(Box::pin(async move {
                let context = |ack| {
                    let what = What::Event { payload: payload.clone(), ack };
                    Context { socket: socket.clone(), what }
                };
                for handler in any {
                    handler.call(context(None)).await;
                }
                let mut ack = ack;
                for handler in named {
                    ack = handler.call(context(ack)).await;
                }
                ack
            }))
        }
    }
}
