//! Tasks, and what is known of them.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Result as Caught;

use futures_util::future::{AbortHandle, abortable};
use futures_util::task::AtomicWaker;
use sio_driver::Runtime as _;

use super::{Entry, Phase, Status, World};

/// A future that is counted. Its panics are caught.
pub(super) struct Task<F> {
    future: Option<F>,
    signal: Arc<Signal>,
    /// Of `signal`.
    waker: Waker,
}

struct Signal {
    world: World,
    id: u64,
}

impl<F> Task<F> {
    pub(super) fn new(world: &World, future: F) -> Self {
        let id = {
            let mut state = world.lock();
            let id = state.id();
            state.busy += 1;
            state.tasks.insert(id, Entry { status: Status::Woken, waker: None });
            id
        };
        let signal = Arc::new(Signal { world: world.clone(), id });
        let waker = Waker::from(signal.clone());
        Self { future: Some(future), signal, waker }
    }

    /// It will not be polled again, and is dropped already.
    fn end(&self) {
        let mut state = self.signal.world.lock();
        let Some(entry) = state.tasks.remove(&self.signal.id) else { return };
        let ending = if state.tasks.is_empty() { state.ending.take() } else { None };
        if entry.status == Status::Idle {
            drop(state);
        } else {
            self.signal.world.rest(state);
        }
        ending.into_iter().for_each(Waker::wake);
    }
}

impl<F: Future + Unpin> Future for Task<F> {
    type Output = Caught<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let signal = self.signal.clone();
        let (world, id) = (&signal.world, signal.id);
        let _turn = world.turn();
        let _inside = world.enter();
        let is_over = {
            let mut guard = world.lock();
            let state = &mut *guard;
            let entry = state.tasks.get_mut(&id).expect("it has not ended");
            if entry.status == Status::Idle {
                // An executor may poll whenever it likes.
                state.busy += 1;
            }
            entry.status = Status::Polled;
            entry.waker = Some(cx.waker().clone());
            state.phase == Phase::Over
        };
        if is_over {
            self.future = None;
            self.end();
            return Poll::Ready(Err(Box::new(Over)));
        }
        let waker = self.waker.clone();
        let future = self.future.as_mut().expect("it has not ended");
        let polled =
            catch_unwind(AssertUnwindSafe(|| Pin::new(future).poll(&mut Context::from_waker(&waker))));
        let result = match polled {
            Ok(Poll::Pending) => {
                let mut state = world.lock();
                let entry = state.tasks.get_mut(&id).expect("it has not ended");
                if entry.status == Status::PolledAgain {
                    entry.status = Status::Woken;
                } else {
                    entry.status = Status::Idle;
                    world.rest(state);
                }
                return Poll::Pending;
            }
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => Err(panic),
        };
        self.future = None;
        self.end();
        Poll::Ready(result)
    }
}

impl<F> Drop for Task<F> {
    fn drop(&mut self) {
        let world = self.signal.world.clone();
        let _inside = world.enter();
        self.future = None;
        self.end();
    }
}

/// What comes of a task whose world has ended.
pub(super) struct Over;

pub(crate) fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waker = {
            let mut guard = self.world.lock();
            let state = &mut *guard;
            let Some(entry) = state.tasks.get_mut(&self.id) else { return };
            match entry.status {
                Status::Idle => {
                    state.busy += 1;
                    entry.status = Status::Woken;
                }
                Status::Polled => entry.status = Status::PolledAgain,
                // Whoever was first wakes it. A second time might come after its poll, and count as one more.
                Status::Woken | Status::PolledAgain => return,
            }
            entry.waker.clone()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

/// A task's result, once it is there. Dropping it changes nothing.
pub(crate) struct JoinHandle<T> {
    outcome: Arc<Outcome<T>>,
    abort: AbortHandle,
}

struct Outcome<T> {
    is_there: AtomicBool,
    result: Mutex<Option<Result<T, JoinError>>>,
    waker: AtomicWaker,
}

impl<T> Outcome<T> {
    fn set(&self, result: Result<T, JoinError>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.is_there.store(true, SeqCst);
        self.waker.wake();
    }
}

/// Why there is no result.
pub(crate) struct JoinError(Option<String>);

impl JoinError {
    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.is_none()
    }

    fn panicked(panic: &(dyn Any + Send)) -> Self {
        Self(Some(text_of(panic)))
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(panic) => write!(f, "the task panicked: {panic}"),
            None => f.write_str("the task was aborted"),
        }
    }
}

impl<T> JoinHandle<T> {
    fn new() -> (Self, Arc<Outcome<T>>) {
        let outcome = Arc::new(Outcome {
            is_there: AtomicBool::new(false),
            result: Mutex::new(None),
            waker: AtomicWaker::new(),
        });
        let (abort, _) = AbortHandle::new_pair();
        (Self { outcome: outcome.clone(), abort }, outcome)
    }

    pub(crate) fn abort(&self) {
        self.abort.abort();
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.outcome.is_there.load(SeqCst)
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.outcome.waker.register(cx.waker());
        match self.outcome.result.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(result) => Poll::Ready(result),
            None => Poll::Pending,
        }
    }
}

/// Runs a task of this world.
#[track_caller]
pub(crate) fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    let (mut handle, outcome) = JoinHandle::new();
    let (future, abort) = abortable(AssertUnwindSafe(future));
    handle.abort = abort;
    World::current().spawn(async move {
        let result = futures_util::FutureExt::catch_unwind(AssertUnwindSafe(future)).await;
        outcome.set(match result {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(_)) => Err(JoinError(None)),
            Err(panic) => Err(JoinError::panicked(&*panic)),
        });
    });
    handle
}

/// Runs something on a thread. The world's time stands still meanwhile.
pub(crate) fn thread<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let (handle, outcome) = JoinHandle::new();
    let hold = World::current().hold();
    std::thread::spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(run));
        outcome.set(result.map_err(|panic| JoinError::panicked(&*panic)));
        drop(hold);
    });
    handle
}
