//! Where a client's machine, its handles and its task meet: one lock, and the wakers behind it.
//!
//! Nobody does I/O, runs user code or serialises under the lock. The task ("pump") does everything that follows from what was done
//! under it; dropping the [`Locked`] guard wakes it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use sio_proto::client::Client as Machine;
use sio_proto::socket::{Codec, Slot};

use crate::ack::AckSlot;
use crate::client::socket::SocketInner;
use crate::handlers::States;
use crate::runtime::Clock;

/// What all handles of a client share with its task.
pub(crate) struct Core {
    state: Mutex<State>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) states: States,
    /// Which form packets have.
    pub(crate) codec: Codec,
}

pub(crate) struct State {
    pub(crate) machine: Machine,
    /// By slot: they are numbered in the order in which they are made.
    pub(crate) sockets: Vec<Arc<SocketInner>>,
    /// In order, in which those who wait are told of the end.
    pub(crate) acks: BTreeMap<(Slot, u64), Arc<AckSlot>>,
    waiting: Vec<Waiting>,
    /// Counts those who have waited.
    waited: u64,
    /// Set while the task sleeps, or will look again before it does.
    pub(crate) pump: Option<Waker>,
    /// Whether the task is gone, which happens after the end or with its runtime.
    pub(crate) finished: bool,
}

/// What somebody waits for. All of it comes true at the end, too.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wish {
    /// A connection to the namespace, or more failures than these.
    Connection(Slot, u64),
    /// An event to ask for, or that there will be none.
    Event(Slot),
    /// Room for events to be sent.
    Room(Slot),
    /// That everything is sent and closed.
    Closed,
}

/// Somebody who waits.
pub(crate) struct Waiting {
    key: u64,
    wish: Wish,
    waker: Waker,
}

impl State {
    /// Whether a wish has come true.
    fn is_true(&self, wish: Wish) -> bool {
        let (machine, conn) = (&self.machine, self.machine.conn());
        self.finished
            || match wish {
                Wish::Connection(slot, failures) => {
                    conn.is_connected(slot) || conn.failures(slot) > failures || self.is_given_up(slot)
                }
                Wish::Event(slot) => {
                    machine.has_aside(slot) || (self.is_given_up(slot) && !machine.has_events())
                }
                Wish::Room(slot) => conn.has_room(slot) || machine.is_closed(),
                Wish::Closed => machine.is_quiet(),
            }
    }

    /// Whether a namespace is not connected, and will not be by itself.
    fn is_given_up(&self, slot: Slot) -> bool {
        self.machine.is_idle() || !self.machine.conn().is_active(slot)
    }

    /// Those to wake: what they wait for has come true.
    pub(crate) fn take_happy(&mut self) -> Vec<Waiting> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let happy = waiting.extract_if(.., |waiting| self.is_true(waiting.wish)).collect();
        self.waiting = waiting;
        happy
    }

    /// From here on, whatever a handle does wakes the task.
    pub(crate) fn sleep(&mut self, waker: &Waker) {
        self.pump = Some(waker.clone());
    }
}

impl Waiting {
    pub(crate) fn wake(self) {
        self.waker.wake();
    }
}

/// A place among those who wait, given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Wait {
    core: Arc<Core>,
    key: Option<u64>,
}

impl Wait {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self { core: core.clone(), key: None }
    }

    /// Waits until this comes true; gives the lock under which it is true. It is looked at by the task of the client after each thing that it
    /// does, so nobody is woken for nothing.
    pub(crate) fn poll(&mut self, wish: Wish, cx: &Context<'_>) -> Poll<MutexGuard<'_, State>> {
        let mut locked = self.core.state();
        if locked.is_true(wish) {
            return Poll::Ready(locked);
        }
        let state = &mut *locked;
        let key = *self.key.get_or_insert_with(|| {
            state.waited += 1;
            state.waited
        });
        let waiting = Waiting { key, wish, waker: cx.waker().clone() };
        // A waker is dropped without the lock: with it may go a task, and with that other handles.
        let _old = match state.waiting.iter_mut().find(|waiting| waiting.key == key) {
            Some(old) => Some(std::mem::replace(old, waiting)),
            None => {
                state.waiting.push(waiting);
                None
            }
        };
        drop(locked);
        Poll::Pending
    }

    pub(crate) async fn until(mut self, wish: Wish) {
        std::future::poll_fn(|cx| self.poll(wish, cx).map(drop)).await;
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let mut state = self.core.state();
        let at = state.waiting.iter().position(|waiting| waiting.key == key);
        let _old = at.map(|at| state.waiting.swap_remove(at));
        drop(state);
    }
}

impl Core {
    pub(crate) fn new(machine: Machine, clock: Arc<dyn Clock>, states: States) -> Self {
        let codec = machine.config().socket.codec.clone();
        let state = State {
            machine,
            sockets: Vec::new(),
            acks: BTreeMap::new(),
            waiting: Vec::new(),
            waited: 0,
            pump: None,
            finished: false,
        };
        Self { state: Mutex::new(state), clock, states, codec }
    }

    /// The lock, for handles: the pump is woken when it is released.
    pub(crate) fn lock(&self) -> Locked<'_> {
        Locked { state: Some(self.state()) }
    }

    /// The lock, for the pump itself.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // No code of users runs under the lock, so a panic under it is ours; the state is still the best there is.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").finish_non_exhaustive()
    }
}

/// The state, locked by a handle.
pub(crate) struct Locked<'a> {
    state: Option<MutexGuard<'a, State>>,
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

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let Some(mut state) = self.state.take() else { return };
        let pump = state.pump.take();
        drop(state);
        if let Some(pump) = pump {
            pump.wake();
        }
    }
}

/// Keeps a client alive: when the last handle is gone, the client closes.
#[derive(Debug)]
pub(crate) struct Life(pub(crate) Arc<Core>);

impl Drop for Life {
    fn drop(&mut self) {
        let now = self.0.clock.now();
        self.0.lock().machine.close(now);
    }
}
