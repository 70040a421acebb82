//! Where a client's machine, its handles and its task meet: one lock, and the wakers behind it.
//!
//! Nobody does I/O, runs user code or serialises under the lock. The task ("pump") does everything that follows from what was done
//! under it; dropping the [`Locked`] guard wakes it.

use std::collections::HashMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use sio_proto::client::Client as Machine;
use sio_proto::socket::Slot;

use crate::ack::AckSlot;
use crate::client::socket::SocketInner;
use crate::handlers::States;
use crate::runtime::Clock;
use crate::wakers::enlist;

/// What all handles of a client share with its task.
pub(crate) struct Core {
    state: Mutex<State>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) states: States,
}

pub(crate) struct State {
    pub(crate) machine: Machine,
    /// By slot: they are numbered in the order in which they are made.
    pub(crate) sockets: Vec<Arc<SocketInner>>,
    pub(crate) acks: HashMap<(Slot, u64), Arc<AckSlot>>,
    /// Who waits for something to change: a connection, an event to ask for, room, the end.
    watchers: Vec<Waker>,
    pump: Option<Waker>,
    /// Whether the task is gone, which happens after the end or with its runtime.
    pub(crate) finished: bool,
}

impl State {
    /// Wakes this task whenever something may have changed.
    pub(crate) fn watch(&mut self, waker: &Waker) {
        enlist(&mut self.watchers, waker);
    }

    /// Those to wake after something has changed.
    pub(crate) fn take_watchers(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.watchers)
    }

    /// The pump is about to sleep.
    pub(crate) fn sleep(&mut self, waker: &Waker) {
        self.pump = Some(waker.clone());
    }
}

impl Core {
    pub(crate) fn new(machine: Machine, clock: Arc<dyn Clock>, states: States) -> Self {
        let state = State {
            machine,
            sockets: Vec::new(),
            acks: HashMap::new(),
            watchers: Vec::new(),
            pump: None,
            finished: false,
        };
        Self { state: Mutex::new(state), clock, states }
    }

    /// The lock, for handles: the pump is woken when it is released.
    pub(crate) fn lock(&self) -> Locked<'_> {
        Locked { state: Some(self.state()), changed: false }
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
    /// Whether those who wait for a change are to look.
    changed: bool,
}

impl Locked<'_> {
    /// Says that this is more than a packet to send.
    pub(crate) fn change(&mut self) {
        self.changed = true;
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

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let Some(mut state) = self.state.take() else { return };
        let pump = state.pump.take();
        let watchers = if self.changed { state.take_watchers() } else { Vec::new() };
        drop(state);
        pump.into_iter().chain(watchers).for_each(Waker::wake);
    }
}

/// Keeps a client alive: when the last handle is gone, the client closes.
#[derive(Debug)]
pub(crate) struct Life(pub(crate) Arc<Core>);

impl Drop for Life {
    fn drop(&mut self) {
        let now = self.0.clock.now();
        let mut locked = self.0.lock();
        locked.machine.close(now);
        locked.change();
    }
}
