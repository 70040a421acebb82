//! Tasks and time: one thread, one clock that only moves when nothing is left to do, and an order that only the seed decides.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use sio_driver::{BoxFuture, Instant};

use crate::random::Random;

/// So many polls without time moving on are a loop that never ends.
const MOST_POLLS: u64 = 1_000_000;

/// Why a run did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stuck {
    /// Nothing can run, and nothing will ever happen: a wake-up is missing. With the tasks that wait.
    Hang(Vec<String>),
    /// The time that the run was given is over. With the tasks that wait.
    Late(Vec<String>),
    /// Tasks wake themselves or each other without end. With those that were about to run.
    Spin(Vec<String>),
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, tasks) = match self {
            Self::Hang(tasks) => ("nothing will ever happen again", tasks),
            Self::Late(tasks) => ("the time is over", tasks),
            Self::Spin(tasks) => ("tasks run without end", tasks),
        };
        write!(f, "{what}; tasks: {}", tasks.join(", "))
    }
}

/// The future that is being waited for has this number, and is not among the tasks.
const MAIN: u64 = 0;

/// Tasks that were woken. Apart from everything else, because a waker may be used while anything is locked.
#[derive(Default)]
struct Ready(Mutex<Vec<u64>>);

struct TaskWaker {
    id: u64,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl TaskWaker {
    fn new(id: u64, ready: &Arc<Ready>) -> Arc<Self> {
        Arc::new(Self { id, queued: AtomicBool::new(false), ready: ready.clone() })
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.0.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
        }
    }
}

struct Task {
    /// The type of its future.
    name: &'static str,
    /// Not there while it is polled.
    future: Option<BoxFuture<()>>,
    waker: Arc<TaskWaker>,
}

/// Something that happens at a time.
pub(crate) enum Event {
    /// A timer goes off.
    Timer(Waker),
    /// Something in the network, by its number.
    Net(u64),
}

struct State {
    now: Instant,
    random: Random,
    tasks: BTreeMap<u64, Task>,
    next_task: u64,
    /// In the order of time, then in that in which they were asked for.
    events: BTreeMap<(Instant, u64), Event>,
    next_event: u64,
    polls: u64,
    busiest: u64,
    /// Tasks that are polled without having been woken, of a hundred polls.
    spurious: u64,
}

pub(crate) struct Executor {
    ready: Arc<Ready>,
    state: Mutex<State>,
}

impl Executor {
    pub(crate) fn new(random: Random) -> Self {
        Self {
            ready: Arc::default(),
            state: Mutex::new(State {
                now: Instant::ZERO,
                random,
                tasks: BTreeMap::new(),
                next_task: MAIN + 1,
                events: BTreeMap::new(),
                next_event: 0,
                polls: 0,
                busiest: 0,
                spurious: 0,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Instant {
        self.state().now
    }

    pub(crate) fn set_spurious(&self, percent: u64) {
        self.state().spurious = percent;
    }

    pub(crate) fn polls(&self) -> u64 {
        self.state().polls
    }

    pub(crate) fn busiest(&self) -> u64 {
        self.state().busiest
    }

    /// The tasks that are not done.
    pub(crate) fn tasks(&self) -> Vec<String> {
        self.state().tasks.values().map(|task| task.name.to_owned()).collect()
    }

    pub(crate) fn events(&self) -> usize {
        self.state().events.len()
    }

    pub(crate) fn spawn(&self, name: &'static str, future: BoxFuture<()>) {
        let mut state = self.state();
        let id = state.next_task;
        state.next_task += 1;
        let waker = TaskWaker::new(id, &self.ready);
        state.tasks.insert(id, Task { name, future: Some(future), waker: waker.clone() });
        drop(state);
        waker.wake();
    }

    /// Gives a key with which the event can be cancelled.
    pub(crate) fn at(&self, time: Instant, event: Event) -> (Instant, u64) {
        let mut state = self.state();
        let key = (time.max(state.now), state.next_event);
        state.next_event += 1;
        state.events.insert(key, event);
        key
    }

    pub(crate) fn cancel(&self, key: (Instant, u64)) {
        let _event = self.state().events.remove(&key);
    }

    /// Runs tasks until `main` is done, at most for so long. `network` is told of the network's events.
    pub(crate) fn run<T>(
        &self,
        limit: Duration,
        main: impl Future<Output = T>,
        mut network: impl FnMut(u64),
    ) -> Result<T, Stuck> {
        let deadline = self.now() + limit;
        let waker = TaskWaker::new(MAIN, &self.ready);
        waker.wake_by_ref();
        let mut main = pin!(main);
        let mut polls = 0;
        loop {
            while let Some(id) = self.next() {
                polls += 1;
                self.state().polls += 1;
                if polls > MOST_POLLS {
                    return Err(Stuck::Spin(self.runnable(id)));
                }
                if id != MAIN {
                    self.poll(id);
                    continue;
                }
                waker.queued.store(false, Ordering::Release);
                let waker = Waker::from(waker.clone());
                if let Poll::Ready(result) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                    self.forget_main();
                    return Ok(result);
                }
            }
            let mut state = self.state();
            state.busiest = state.busiest.max(std::mem::take(&mut polls));
            let Some((&(at, _), _)) = state.events.first_key_value() else {
                drop(state);
                return Err(Stuck::Hang(self.tasks()));
            };
            if at > deadline {
                drop(state);
                return Err(Stuck::Late(self.tasks()));
            }
            state.now = at;
            let (_, event) = state.events.pop_first().expect("it was there");
            drop(state);
            match event {
                Event::Timer(waker) => waker.wake(),
                Event::Net(number) => network(number),
            }
        }
    }

    /// One of the tasks that were woken.
    fn next(&self) -> Option<u64> {
        let mut state = self.state();
        let chance = state.spurious;
        if chance > 0 && !state.tasks.is_empty() && state.random.percent(chance) {
            let count = state.tasks.len();
            let at = state.random.index(count);
            return state.tasks.keys().nth(at).copied();
        }
        let mut ready = self.ready.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.is_empty() {
            return None;
        }
        let at = state.random.index(ready.len());
        Some(ready.swap_remove(at))
    }

    fn poll(&self, id: u64) {
        let Some((mut future, waker)) = self.state().tasks.get_mut(&id).and_then(|task| {
            // Polled although it was not woken, it stays in the queue.
            Some((task.future.take()?, task.waker.clone()))
        }) else {
            return;
        };
        let in_queue = self.ready.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&id);
        if !in_queue {
            waker.queued.store(false, Ordering::Release);
        }
        let done = future.as_mut().poll(&mut Context::from_waker(&Waker::from(waker))).is_ready();
        if done {
            self.state().tasks.remove(&id);
            // Without the lock: what it held may spawn, or wake others.
            drop(future);
        } else if let Some(task) = self.state().tasks.get_mut(&id) {
            task.future = Some(future);
        }
    }

    fn forget_main(&self) {
        self.ready.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|id| *id != MAIN);
    }

    /// The names of the tasks that were woken, and of the one that is about to be polled.
    fn runnable(&self, next: u64) -> Vec<String> {
        let ready = self.ready.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ready: BTreeSet<u64> = ready.iter().copied().chain([next]).collect();
        let state = self.state();
        let name = |id| state.tasks.get(id).map_or("main", |task| task.name).to_owned();
        ready.iter().map(name).collect()
    }

    /// Drops all tasks, as a runtime that is dropped does.
    pub(crate) fn abandon(&self) {
        loop {
            let tasks = std::mem::take(&mut self.state().tasks);
            let events = std::mem::take(&mut self.state().events);
            if tasks.is_empty() {
                break;
            }
            drop((tasks, events));
        }
    }
}
