//! Waiting for a time.

use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::Add;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{Either, select};
use sio_driver::{Instant as Time, Runtime as _, Timer};

use super::World;

/// A time of the current world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(Time);

impl Instant {
    pub(crate) fn now() -> Self {
        Self(World::current().now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        World::current().now().saturating_duration_since(self.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0 + time)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A timer of a world.
pub(crate) struct Alarm {
    world: World,
    at: Option<Time>,
    /// Where its waker is.
    key: Option<(Time, u64)>,
}

impl Alarm {
    pub(super) fn new(world: World) -> Self {
        Self { world, at: None, key: None }
    }

    fn forget(&mut self) {
        if let Some(key) = self.key.take() {
            let waker = self.world.lock().timers.remove(&key);
            // Its drop may come back here.
            drop(waker);
        }
    }
}

impl Timer for Alarm {
    fn reset(&mut self, at: Time) {
        self.forget();
        self.at = Some(at);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.forget();
        let Some(at) = self.at else { return Poll::Pending };
        let mut state = self.world.lock();
        if state.now >= at {
            return Poll::Ready(());
        }
        let key = (at, state.id());
        state.timers.insert(key, cx.waker().clone());
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Waits so long, by the clock of the current world.
pub(crate) async fn sleep(time: Duration) {
    let world = World::current();
    let mut alarm = world.timer();
    alarm.reset(world.now() + time);
    poll_fn(|cx| alarm.poll(cx)).await;
}

/// It was not done in time.
#[derive(Debug)]
pub(crate) struct Elapsed;

/// Waits for `future`, but not for ever.
pub(crate) async fn timeout<F: Future>(time: Duration, future: F) -> Result<F::Output, Elapsed> {
    match select(pin!(future), pin!(sleep(time))).await {
        Either::Left((output, _)) => Ok(output),
        Either::Right(_) => Err(Elapsed),
    }
}
