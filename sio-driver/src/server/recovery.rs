//! Brings a client that is back together with its session, in whatever shard that is.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::task::{Poll, Waker};

use sio_proto::Instant;
use sio_proto::hub::{NamespaceId, Offset};
use sio_proto::server::{Kept, RecoveryRequest};

use crate::server::data::DataCell;
use crate::server::room_events::Aside;
use crate::server::shard::State;
use crate::server::socket::SocketInner;
use crate::server::{Shared, Socket};
use crate::wakers::enlist;

/// What a namespace needs for recovery.
pub(crate) struct Recovering {
    /// How many events had an offset.
    events: AtomicU64,
    /// Milliseconds since 1970 at the runtime's zero.
    epoch: u64,
    /// Read while something is done in all shards, one after another; written while a session moves from one to another. So none of
    /// them knows of a broadcast that another one does not know of yet, which would be lost on the way, or come twice.
    moving: RwLock<()>,
}

impl Recovering {
    pub(crate) fn new(epoch: u64) -> Self {
        Self { events: AtomicU64::new(0), epoch, moving: RwLock::new(()) }
    }

    pub(crate) fn next_offset(&self, now: Instant) -> Offset {
        let millis = self.epoch.wrapping_add(now.as_micros() / 1000);
        Offset::new(millis, self.events.fetch_add(1, Ordering::Relaxed))
    }

    /// Nothing moves as long as the guard is held.
    pub(crate) fn hold(&self) -> RwLockReadGuard<'_, ()> {
        self.moving.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a session keeps from one socket to the next.
struct Legacy {
    /// The end of the last socket that had the session.
    end: Arc<End>,
    /// What the application keeps with it.
    data: Arc<DataCell>,
    server: Weak<Shared>,
    namespace: NamespaceId,
}

impl Drop for Legacy {
    /// The session may be over: nobody comes back to its namespace any more. Whoever drops it may hold locks, so that is seen to later.
    fn drop(&mut self) {
        let Some(server) = self.server.upgrade().filter(|server| server.limits.clean_up) else { return };
        if let Some(shard) = server.shards.first() {
            let (namespace, server) = (self.namespace, self.server.clone());
            shard.host().spawn(Box::pin(async move {
                if let Some(server) = server.upgrade() {
                    server.clean_up(namespace);
                }
            }));
        }
    }
}

/// The end of a socket: when its disconnect handlers have ended.
#[derive(Default)]
struct End(Mutex<(bool, Vec<Waker>)>);

impl End {
    fn reach(&self) {
        let wakers = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.0 = true;
            std::mem::take(&mut state.1)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    async fn wait(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.0 {
                return Poll::Ready(());
            }
            enlist(&mut state.1, cx.waker());
            Poll::Pending
        })
        .await;
    }
}

/// A socket's own end, which it reaches when it is dropped at the latest.
#[derive(Default)]
pub(crate) struct OwnEnd(Option<Arc<End>>);

impl OwnEnd {
    pub(crate) fn reach(&self) {
        if let Some(end) = &self.0 {
            end.reach();
        }
    }
}

impl Drop for OwnEnd {
    fn drop(&mut self) {
        self.reach();
    }
}

/// The end of the socket that had the session before.
#[derive(Default)]
pub(crate) struct Predecessor(Option<Arc<End>>);

impl Predecessor {
    /// Waits until its handlers have ended, so that what they clean up is not what the handlers of the new socket have set up.
    pub(crate) async fn wait(self) {
        if let Some(end) = self.0 {
            end.wait().await;
        }
    }
}

/// Gives a socket that nobody knows yet the session that its client wants, if that can be had; and every socket an end of its own,
/// if there is recovery at all. No handler may have the socket yet: it is replaced.
pub(crate) fn begin(socket: Socket, wanted: Option<&RecoveryRequest>) -> Socket {
    let Some(recovering) = socket.namespace().recovering() else { return socket };
    let (shard, key) = (socket.0.shard.clone(), socket.0.key);
    let mut id = None;
    let mut data = OnceLock::new();
    if let Some(request) = wanted {
        let namespace = socket.namespace();
        // Before the lock, so that it goes after it.
        let mut aside = Aside::default();
        let moving = recovering.moving.write().unwrap_or_else(PoisonError::into_inner);
        let mut session = None;
        // A client that is gone already does not take its session along.
        let is_there = shard.lock().machine.hub().get(key).is_some();
        namespace.shards(|shard| {
            if session.is_none() && is_there {
                let now = shard.now();
                let mut locked = shard.lock();
                session = locked.machine.release(namespace.id(), request, now);
                locked.set_aside(&mut aside);
            }
        });
        if let Some(session) = session {
            let old = session.id();
            let mut locked = shard.lock();
            id = locked.machine.resume(key, session).is_ok().then_some(old);
            let kept = locked.machine.kept(key).and_then(|Kept(kept)| kept.downcast_ref::<Legacy>());
            data = kept.map(|legacy| legacy.data.clone().into()).unwrap_or_default();
            locked.set_aside(&mut aside);
        }
        drop(moving);
    }
    let inner = &socket.0;
    let inner = Arc::new(SocketInner {
        shard: shard.clone(),
        server: inner.server.clone(),
        key,
        id: id.unwrap_or(inner.id),
        namespace: inner.namespace.clone(),
        handlers: inner.handlers.clone(),
        own: Default::default(),
        handshake: inner.handshake.clone(),
        auth: inner.auth.clone(),
        data,
        description: OnceLock::new(),
        accepted: false.into(),
        left: Default::default(),
        recovered: id.is_some(),
        end: OwnEnd(Some(Arc::default())),
    });
    if let Some(known) = shard.lock().sockets.get_mut(&key) {
        known.clone_from(&inner);
    }
    Socket(inner)
}

/// A socket is about to be told to its handlers: whoever has its session after it waits for its end.
pub(crate) fn succeed(state: &mut State, socket: &Socket) -> Predecessor {
    let Some(end) = &socket.0.end.0 else { return Predecessor::default() };
    let kept = state.machine.kept(socket.0.key).and_then(|Kept(kept)| kept.downcast_ref::<Legacy>());
    let predecessor = kept.map(|legacy| legacy.end.clone());
    let (end, server) = (end.clone(), Arc::downgrade(&socket.0.server));
    let data = socket.0.data.get_or_init(Arc::default).clone();
    let legacy = Legacy { end, data, server, namespace: socket.namespace().id() };
    state.machine.keep(socket.0.key, Kept(Arc::new(legacy)));
    Predecessor(predecessor)
}
