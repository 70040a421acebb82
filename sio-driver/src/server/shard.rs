//! Where the protocol machine and the tasks meet: one lock, and the wakers behind it.
//!
//! Nobody does I/O, runs user code or serialises under the lock. What was done under it may have made something possible for
//! other tasks; dropping the [`Locked`] guard finds that out, unlocks, and then wakes them.

use std::cell::RefCell;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

use rustc_hash::FxHashMap;
use sio_proto::engine::ChannelId;
use sio_proto::hub::{NamespaceId, SocketKey};
use sio_proto::server::{self as proto, ConnId, Ready};
use sio_proto::{Instant, Seed};
use slotmap::SecondaryMap;

use crate::server::acks::Slot;
use crate::server::dispatch::Dispatcher;
use crate::server::front::Permit;
use crate::server::host::Host;
use crate::server::room_events::{Aside, RoomEvents};
use crate::server::socket::SocketInner;
use crate::server::{Link, Shared};

pub(crate) struct Shard {
    state: Mutex<State>,
    host: Arc<dyn Host>,
    server: Weak<Shared>,
    me: Weak<Self>,
}

pub(crate) struct State {
    pub(crate) machine: proto::Server,
    pub(crate) conns: SecondaryMap<ConnId, ConnState>,
    /// A hash map: the key of a socket that has left may stand for another one here before its disconnect was handled.
    pub(crate) sockets: FxHashMap<SocketKey, Arc<SocketInner>>,
    /// Acknowledgements that are awaited, and from how many sockets of this shard.
    pub(crate) acks: FxHashMap<(NamespaceId, u64), (Arc<Slot>, usize)>,
    /// The namespaces whose rooms are watched.
    pub(crate) rooms: FxHashMap<NamespaceId, Arc<RoomEvents>>,
    /// Who waits for the shard to become quiet.
    pub(crate) quiet: Vec<Waker>,
    timer: Timer,
    /// The driver's side of connections that are over, until nothing is locked.
    retired: Vec<ConnState>,
}

/// The driver's side of a connection.
pub(crate) struct ConnState {
    pub(crate) handshake: Arc<Link>,
    /// Its place among those that are let in.
    _permit: Option<Permit>,
    /// The tasks of its channels. There are few: a WebSocket, a poll, a POST.
    wakers: Vec<(ChannelId, Waker)>,
    /// Who waits for room in the outbox.
    pub(crate) writers: Vec<Waker>,
    /// Whether a task runs the handlers of this connection; at most one does.
    pub(crate) dispatching: bool,
    /// That task.
    pub(crate) dispatcher: Option<Waker>,
    /// The channel of the pump, if there is one: it looks for events before it sleeps, and when it is woken.
    pub(crate) pump: Option<ChannelId>,
}

impl ConnState {
    pub(crate) fn new(conn: ConnId, handshake: Arc<Link>, permit: Option<Permit>) -> Self {
        handshake.begin(conn);
        Self {
            handshake,
            _permit: permit,
            wakers: Vec::new(),
            writers: Vec::new(),
            dispatching: false,
            dispatcher: None,
            pump: None,
        }
    }

    pub(crate) fn register(&mut self, channel: ChannelId, waker: &Waker) {
        match self.wakers.iter_mut().find(|(of, _)| *of == channel) {
            Some((_, old)) => old.clone_from(waker),
            None => {
                self.wakers.reserve_exact(1);
                self.wakers.push((channel, waker.clone()));
            }
        }
    }

    fn take(&mut self, channel: ChannelId) -> Option<Waker> {
        let at = self.wakers.iter().position(|(of, _)| *of == channel)?;
        Some(self.wakers.swap_remove(at).1)
    }
}

impl State {
    /// A channel is done with. The last channel of a closed connection takes the driver's side of it along; until then its tasks
    /// must be woken.
    pub(crate) fn release(&mut self, conn: ConnId, channel: ChannelId) {
        if let Some(state) = self.conns.get_mut(conn) {
            state.wakers.retain(|(of, _)| *of != channel);
            state.pump = state.pump.filter(|pump| *pump != channel);
        }
        self.retire(conn);
    }

    fn has_leftovers(&self) -> bool {
        !self.retired.is_empty() || self.machine.has_leftovers()
    }

    /// The task of a channel need not be woken until it registers again: it will look.
    pub(crate) fn unregister(&mut self, conn: ConnId, channel: ChannelId) {
        if let Some(conn) = self.conns.get_mut(conn) {
            conn.take(channel);
        }
    }

    /// What sessions kept that are over has destructors of users, and so has what hooks attached to requests; what happened to rooms is
    /// told to functions of users. They may do whatever they like, so all of it waits until nothing is locked.
    fn set_aside(&mut self, aside: &mut Aside) {
        if !self.has_leftovers() {
            return;
        }
        aside.dropped.append(&mut self.machine.take_dropped());
        aside.conns.append(&mut self.retired);
        for change in self.machine.take_room_changes() {
            let Some(rooms) = self.rooms.get(&change.namespace) else { continue };
            rooms.push(change);
            if !aside.rooms.iter().any(|listed| Arc::ptr_eq(listed, rooms)) {
                aside.rooms.push(rooms.clone());
            }
        }
    }

    /// Forgets a connection that the machine has forgotten.
    pub(crate) fn retire(&mut self, conn: ConnId) {
        if self.machine.transport(conn).is_none() {
            self.retired.extend(self.conns.remove(conn));
        }
    }
}

#[derive(Default)]
struct Timer {
    started: bool,
    waker: Option<Waker>,
    /// When the timer task wakes by itself.
    set_for: Option<Instant>,
}

impl Shard {
    pub(crate) fn new(
        config: proto::Config,
        seed: Seed,
        host: Arc<dyn Host>,
        server: Weak<Shared>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            state: Mutex::new(State {
                machine: proto::Server::new(config, seed),
                conns: SecondaryMap::new(),
                sockets: FxHashMap::default(),
                acks: FxHashMap::default(),
                rooms: FxHashMap::default(),
                quiet: Vec::new(),
                timer: Timer::default(),
                retired: Vec::new(),
            }),
            host,
            server,
            me: me.clone(),
        })
    }

    pub(crate) fn now(&self) -> Instant {
        self.host.now()
    }

    pub(crate) fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }

    pub(crate) fn server(&self) -> Option<Arc<Shared>> {
        self.server.upgrade()
    }

    pub(crate) fn lock(&self) -> Locked<'_> {
        // No code of users runs under the lock, so a panic under it is ours; the state is still the best there is.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Locked { shard: self, state: Some(state), mine: None }
    }

    /// Tells the machine the time if it is due. Gives the next deadline, after which `waker` must look again.
    pub(crate) fn handle_timeout(&self, now: Instant, waker: &Waker) -> Option<Instant> {
        let mut locked = self.lock();
        locked.timer.waker = None;
        if locked.machine.poll_timeout().is_some_and(|at| at <= now) {
            locked.machine.handle_timeout(now);
        }
        let next = locked.machine.poll_timeout();
        locked.timer.set_for = next;
        locked.timer.waker = Some(waker.clone());
        next
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = state.timer.waker.take() {
            waker.wake();
        }
    }
}

/// The state, locked. Dropping it tells other tasks what has become possible.
pub(crate) struct Locked<'a> {
    shard: &'a Shard,
    state: Option<MutexGuard<'a, State>>,
    /// The connection whose events the caller will handle itself.
    mine: Option<ConnId>,
}

impl Locked<'_> {
    /// Says that the caller runs the handlers of `conn` and will look for its events.
    pub(crate) fn attend(&mut self, conn: ConnId) {
        self.mine = Some(conn);
    }

    /// Sets aside what is to be done when nothing is locked, for a caller who holds other locks.
    pub(super) fn set_aside(&mut self, aside: &mut Aside) {
        State::set_aside(self, aside);
    }

    /// Makes the caller the one who runs the handlers of `conn`, if there is something to run and nobody else does it.
    pub(crate) fn claim(&mut self, conn: ConnId) -> Option<Dispatcher> {
        let shard = self.shard.me.upgrade()?;
        if !self.machine.has_events(conn) {
            return None;
        }
        let state = self.conns.get_mut(conn)?;
        if mem::replace(&mut state.dispatching, true) {
            return None;
        }
        self.mine = Some(conn);
        Some(Dispatcher::new(shard, conn))
    }
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.state.as_ref().expect("the guard is there until drop")
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.state.as_mut().expect("the guard is there until drop")
    }
}

thread_local! {
    /// Kept between calls, so that a broadcast does not allocate for its wake-ups.
    static WAKERS: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let Some(mut guard) = self.state.take() else { return };
        if !guard.machine.has_news() && guard.quiet.is_empty() && guard.retired.is_empty() {
            return;
        }
        let mut wakers = WAKERS.take();
        let mut unattended = Vec::new();
        let mut start_timer = false;
        let state = &mut *guard;
        while let Some(ready) = state.machine.poll_ready() {
            match ready {
                Ready::Transmit(channel) => {
                    let conn = state.machine.conn_of(channel).and_then(|conn| state.conns.get_mut(conn));
                    wakers.extend(conn.and_then(|conn| conn.take(channel)));
                }
                Ready::Read(conn) => {
                    if let Some(conn) = state.conns.get_mut(conn) {
                        wakers.extend(conn.wakers.drain(..).map(|(_, waker)| waker));
                    }
                }
                Ready::Write(conn) => {
                    if let Some(conn) = state.conns.get_mut(conn) {
                        wakers.append(&mut conn.writers);
                    }
                }
                Ready::Events(conn) if self.mine == Some(conn) => {}
                Ready::Events(id) => {
                    if let Some(conn) = state.conns.get_mut(id) {
                        if conn.dispatching {
                            wakers.extend(conn.dispatcher.take());
                        } else if let Some(pump) = conn.pump {
                            wakers.extend(conn.take(pump));
                        } else {
                            conn.dispatching = true;
                            unattended.push(id);
                        }
                    }
                }
                _ => {}
            }
        }
        if let Some(next) = state.machine.poll_timeout() {
            if !mem::replace(&mut state.timer.started, true) {
                start_timer = true;
            } else if state.timer.set_for.is_none_or(|at| next < at) {
                wakers.extend(state.timer.waker.take());
            }
        }
        if !state.quiet.is_empty() && state.machine.is_quiet() {
            wakers.append(&mut state.quiet);
        }
        let aside = state.has_leftovers().then(|| {
            let mut aside = Aside::default();
            state.set_aside(&mut aside);
            aside
        });
        drop(guard);
        wakers.drain(..).for_each(Waker::wake);
        WAKERS.set(wakers);
        #[cfg(feature = "metrics")]
        if start_timer && let Some(interval) = self.shard.server().and_then(|server| server.metrics.start()) {
            let server = self.shard.server.clone();
            let tick = Box::new(move || crate::server::metrics::tick(&server));
            self.shard.host.spawn(self.shard.host.repeat(interval, tick));
        }
        if start_timer {
            self.shard.host.spawn(self.shard.host.timer_task(self.shard.me.clone()));
        }
        for conn in unattended {
            if let Some(shard) = self.shard.me.upgrade() {
                self.shard.host.spawn(Box::pin(Dispatcher::new(shard, conn)));
            }
        }
        // Last: nobody else waits for code of users.
        drop(aside);
    }
}
