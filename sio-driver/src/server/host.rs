//! A runtime, as the parts of a server see it that are not generic.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll};

use sio_proto::Instant;

use crate::runtime::{BoxFuture, Runtime, Timer};
use crate::server::shard::Shard;

/// A [`Runtime`] without its types: what handles without a type parameter need of it.
pub(crate) trait Host: Send + Sync {
    fn now(&self) -> Instant;
    fn spawn(&self, task: BoxFuture<()>);
    /// A timer that is not set.
    fn timer(&self) -> Box<dyn Timer>;
    /// The task that tells a shard the time, until the shard is gone.
    fn timer_task(&self, shard: Weak<Shard>) -> BoxFuture<()>;
    /// A task that does something again and again, as long as that says so.
    #[cfg(feature = "metrics")]
    fn repeat(&self, interval: std::time::Duration, act: Box<dyn FnMut() -> bool + Send>) -> BoxFuture<()>;
}

impl<R: Runtime> Host for R {
    fn now(&self) -> Instant {
        Runtime::now(self)
    }

    fn spawn(&self, task: BoxFuture<()>) {
        Runtime::spawn(self, task);
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(Runtime::timer(self))
    }

    fn timer_task(&self, shard: Weak<Shard>) -> BoxFuture<()> {
        let runtime = self.clone();
        let mut timer = Runtime::timer(&runtime);
        Box::pin(poll_fn(move |cx| {
            loop {
                let Some(shard) = shard.upgrade() else { return Poll::Ready(()) };
                // Expiry is decided by the clock; the timer only wakes.
                let Some(next) = shard.handle_timeout(Runtime::now(&runtime), cx.waker()) else {
                    return Poll::Pending;
                };
                drop(shard);
                timer.reset(next);
                if timer.poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        }))
    }

    #[cfg(feature = "metrics")]
    fn repeat(
        &self,
        interval: std::time::Duration,
        mut act: Box<dyn FnMut() -> bool + Send>,
    ) -> BoxFuture<()> {
        let runtime = self.clone();
        let mut timer = runtime.timer();
        Box::pin(async move {
            loop {
                timer.reset(Runtime::now(&runtime) + interval);
                poll_fn(|cx| timer.poll(cx)).await;
                if !act() {
                    return;
                }
            }
        })
    }
}

/// Lets hyper use the runtime's timers, for its limit on slow request heads.
#[derive(Clone)]
pub(crate) struct HyperTimer<R: Runtime> {
    runtime: R,
    epoch: std::time::Instant,
    zero: Instant,
}

impl<R: Runtime> HyperTimer<R> {
    pub(crate) fn new(runtime: R) -> Self {
        // hyper asks in `std::time::Instant`s. Only differences count, so any two simultaneous points will do.
        Self { zero: runtime.now(), runtime, epoch: std::time::Instant::now() }
    }
}

impl<R: Runtime> hyper::rt::Timer for HyperTimer<R> {
    fn sleep(&self, duration: std::time::Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        let mut timer = self.runtime.timer();
        timer.reset(self.runtime.now() + duration);
        Box::pin(HyperSleep(timer))
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, deadline: std::time::Instant) {
        let at = self.runtime.now() + deadline.saturating_duration_since(self.now());
        match sleep.as_mut().downcast_mut_pin::<HyperSleep<R::Timer>>() {
            Some(sleep) => sleep.get_mut().0.reset(at),
            None => *sleep = self.sleep_until(deadline),
        }
    }

    fn now(&self) -> std::time::Instant {
        self.epoch + (self.runtime.now() - self.zero)
    }
}

struct HyperSleep<T>(T);

impl<T: Timer> Future for HyperSleep<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll(cx)
    }
}

impl<T: Timer> hyper::rt::Sleep for HyperSleep<T> {}
