//! A world with a clock of its own, on the executor of any runtime.
//!
//! The tasks of a [`World`] run on the runtime's own executor and are woken through its wakers; time and network are the world's. Its
//! clock goes on only when nothing else can happen, and then at once to the next timer: an hour of heartbeats takes a moment, and a test
//! on three runtimes sees the same times to the microsecond.
//!
//! That nothing else can happen is known, not guessed: each task is wrapped, and the world counts those that were woken and have not
//! come back from their poll. Work outside of tasks is counted by [`Hold`]. If nothing can happen and no timer is set either, the test
//! fails, in place of waiting for ever.
//!
//! Polls of one world exclude each other, on whatever threads they run, so that what a task does between two `await`s is not
//! interrupted; [`World::in_parallel`] lifts that.
//!
//! Each task knows its world: [`spawn`], [`sleep`], [`settle`] and the others use that of the task they are called in.

mod pipe;
mod sync;
mod task;
mod time;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread::Result as Caught;
use std::time::Duration;

use sio_driver::{BoxFuture, Instant as Time, Runtime};

pub(crate) use pipe::{HERE, Listener, Pipe, Port, pipe};
pub(crate) use sync::{Notify, yield_now};
pub(crate) use task::{spawn, thread};
pub(crate) use time::{Alarm, Instant, sleep, timeout};

use task::{Over, Task, text_of};

/// Longer than any test means to wait. A clock that comes here belongs to a test that waits for ever.
const END_OF_TIME: Time = Time::from_micros(30 * 24 * 3600 * 1_000_000);

thread_local! {
    static CURRENT: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// What hands a task to the executor of a runtime.
pub(crate) type Spawner = Arc<dyn Fn(BoxFuture<()>) + Send + Sync>;

/// A clock, and the tasks that live by it. Cloning gives another handle.
#[derive(Clone)]
pub(crate) struct World(Arc<Inner>);

struct Inner {
    spawner: Spawner,
    state: Mutex<State>,
    /// Held by the task that is being polled.
    turn: Mutex<()>,
    in_parallel: AtomicBool,
    turns: AtomicUsize,
    /// What the panic hook has heard of.
    panics: Mutex<Vec<String>>,
    collector: Mutex<Option<Collector>>,
}

/// What is given the events of `tracing`.
type Collector = Arc<dyn Fn(&tracing::Event<'_>) + Send + Sync>;

struct State {
    now: Time,
    /// Tasks that are polled or about to be, and holds.
    busy: usize,
    tasks: BTreeMap<u64, Entry>,
    timers: BTreeMap<(Time, u64), Waker>,
    /// Who waits until nothing can happen at this time.
    settling: Vec<(Arc<AtomicBool>, Waker)>,
    last_id: u64,
    phase: Phase,
    /// Who waits for the last task to end.
    ending: Option<Waker>,
    /// Panics of tasks that nobody joins.
    failures: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Running,
    /// Nothing can happen any more, and the test has not ended.
    Stuck,
    /// Tasks are dropped instead of being polled.
    Over,
}

struct Entry {
    status: Status,
    /// Of the runtime's executor.
    waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq)]
enum Status {
    Idle,
    /// Or new.
    Woken,
    Polled,
    /// Woken since its poll has begun.
    PolledAgain,
}

impl World {
    pub(crate) fn new(spawner: Spawner) -> Self {
        let state = State {
            now: Time::ZERO,
            busy: 0,
            tasks: BTreeMap::new(),
            timers: BTreeMap::new(),
            settling: Vec::new(),
            last_id: 0,
            phase: Phase::Running,
            ending: None,
            failures: Vec::new(),
        };
        Self(Arc::new(Inner {
            spawner,
            state: Mutex::new(state),
            turn: Mutex::default(),
            in_parallel: AtomicBool::new(false),
            turns: AtomicUsize::new(0),
            panics: Mutex::default(),
            collector: Mutex::default(),
        }))
    }

    /// That of the task which is being polled.
    ///
    /// # Panics
    /// Outside of a world.
    #[track_caller]
    pub(crate) fn current() -> Self {
        Self::try_current().expect("this is called in a task of a world")
    }

    pub(crate) fn try_current() -> Option<Self> {
        CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
    }

    /// Another world on the same executor.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.0.spawner.clone())
    }

    /// Runs a test, and then [ends](Self::end) the world.
    pub(crate) async fn run<T>(&self, test: impl Future<Output = T>) -> T {
        let result = self.live(test).await;
        self.end().await;
        let failures = std::mem::take(&mut self.lock().failures);
        let result = result.unwrap_or_else(|panic| resume_unwind(panic));
        assert!(failures.is_empty(), "tasks panicked: {failures:?}");
        result
    }

    /// Runs a future as one of the world's tasks, but in the task of the caller.
    pub(crate) async fn live<T>(&self, future: impl Future<Output = T>) -> Caught<T> {
        let world = self.clone();
        let mut future = Box::pin(future);
        Task::new(
            self,
            Box::pin(poll_fn(move |cx| {
                let State { phase, now, .. } = *world.lock();
                assert!(
                    phase != Phase::Stuck,
                    "nothing can happen any more, at {now:?}: the test waits for ever"
                );
                future.as_mut().poll(cx)
            })),
        )
        .await
    }

    /// Drops all tasks, and waits until they are dropped. Those that are spawned later are dropped at once.
    pub(crate) async fn end(&self) {
        let wakers: Vec<_> = {
            let mut state = self.lock();
            state.phase = Phase::Over;
            state.tasks.values().filter_map(|task| task.waker.clone()).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
        poll_fn(|cx| {
            let mut state = self.lock();
            if state.tasks.is_empty() {
                return Poll::Ready(());
            }
            state.ending = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// From here on tasks are polled as the runtime likes, also several at once.
    pub(crate) fn in_parallel(&self) {
        self.0.in_parallel.store(true, SeqCst);
    }

    /// Time stands still as long as the result is there.
    pub(crate) fn hold(&self) -> Hold {
        self.lock().busy += 1;
        Hold(self.clone())
    }

    /// From here on `collect` sees what tasks of this world tell `tracing`.
    pub(crate) fn collect(&self, collect: impl Fn(&tracing::Event<'_>) + Send + Sync + 'static) {
        *self.0.collector.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(collect));
    }

    pub(crate) fn collector(&self) -> Option<Collector> {
        self.0.collector.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What panicked so far, with the places.
    pub(crate) fn take_panics(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.panics.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// For the panic hook. False outside of a world.
    pub(crate) fn note_panic(panic: &dyn std::fmt::Display) -> bool {
        let Some(world) = Self::try_current() else { return false };
        world.0.panics.lock().unwrap_or_else(PoisonError::into_inner).push(panic.to_string());
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many polls there were.
    pub(crate) fn turns(&self) -> usize {
        self.0.turns.load(SeqCst)
    }

    /// The turn to be polled.
    fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        let exclusive = !self.0.in_parallel.load(SeqCst);
        let turn = exclusive.then(|| self.0.turn.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.turns.fetch_add(1, SeqCst);
        turn
    }

    /// One thing less is going on. If it was the last one, whoever settles is told, or else the clock goes on.
    fn rest<'a>(&'a self, mut state: MutexGuard<'a, State>) {
        loop {
            state.busy -= 1;
            if state.busy > 0 || state.phase != Phase::Running {
                return;
            }
            let wakers = state.next();
            if wakers.is_empty() {
                return;
            }
            // Nobody else comes here before they are woken.
            state.busy += 1;
            drop(state);
            wakers.into_iter().for_each(Waker::wake);
            state = self.lock();
        }
    }

    fn enter(&self) -> Inside {
        Inside(CURRENT.replace(Some(self.clone())))
    }
}

impl State {
    fn id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Whom to wake when nothing can happen.
    fn next(&mut self) -> Vec<Waker> {
        if !self.settling.is_empty() {
            let settled = std::mem::take(&mut self.settling).into_iter();
            return settled
                .map(|(flag, waker)| {
                    flag.store(true, SeqCst);
                    waker
                })
                .collect();
        }
        match self.timers.keys().next() {
            Some(&(at, _)) if at <= END_OF_TIME => {
                self.now = self.now.max(at);
                let later = self.timers.split_off(&(at, u64::MAX));
                std::mem::replace(&mut self.timers, later).into_values().collect()
            }
            _ if self.tasks.is_empty() => Vec::new(),
            _ => {
                // The test's own task asks for it.
                self.phase = Phase::Stuck;
                self.tasks.values().filter_map(|task| task.waker.clone()).collect()
            }
        }
    }
}

/// Makes a world the current one.
struct Inside(Option<World>);

impl Drop for Inside {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Keeps the clock from going on.
pub(crate) struct Hold(World);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.rest(self.0.lock());
    }
}

/// Lets everything happen that can happen at this time.
pub(crate) async fn settle() {
    let world = World::current();
    let settled = Arc::new(AtomicBool::new(false));
    let mut waits = false;
    poll_fn(|cx| {
        if settled.load(SeqCst) {
            return Poll::Ready(());
        }
        if !std::mem::replace(&mut waits, true) {
            world.lock().settling.push((settled.clone(), cx.waker().clone()));
        }
        Poll::Pending
    })
    .await;
}

impl Runtime for World {
    type Stream = Pipe;
    type Listener = Listener;
    type Timer = Alarm;

    fn now(&self) -> Time {
        self.lock().now
    }

    fn timer(&self) -> Alarm {
        Alarm::new(self.clone())
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let (world, task) = (self.clone(), Task::new(self, Box::pin(task)));
        (self.0.spawner)(Box::pin(async move {
            if let Err(panic) = task.await
                && !panic.is::<Over>()
            {
                world.lock().failures.push(text_of(&*panic));
            }
        }));
    }

    async fn accept(&self, listener: &Listener) -> io::Result<(Pipe, SocketAddr)> {
        listener.accept().await
    }

    async fn connect(&self, _: &str, _: u16) -> io::Result<Pipe> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }
}

/// Waits until `done`, while others run.
pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    let looking = async {
        while !done() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(crate::api::PATIENCE, looking).await.expect("it becomes so");
}
