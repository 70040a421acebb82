//! Time for the runtimes that have async-io as their reactor, such as smol and async-std.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant as StdInstant;

use async_io::Timer as Inner;

use crate::{Instant, Timer};

/// The clock of a [`Runtime`](crate::Runtime) on async-io. All copies count from the same point.
#[derive(Clone, Copy, Debug)]
pub struct AsyncIoClock {
    epoch: StdInstant,
}

impl Default for AsyncIoClock {
    fn default() -> Self {
        Self { epoch: StdInstant::now() }
    }
}

impl AsyncIoClock {
    /// For [`Runtime::now`](crate::Runtime::now).
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::ZERO + self.epoch.elapsed()
    }

    /// For [`Runtime::timer`](crate::Runtime::timer).
    #[must_use]
    pub fn timer(&self) -> AsyncIoTimer {
        AsyncIoTimer { epoch: self.epoch, inner: Inner::never(), is_over: false }
    }
}

/// A timer of async-io's.
#[derive(Debug)]
pub struct AsyncIoTimer {
    epoch: StdInstant,
    inner: Inner,
    /// The timer itself is ready once only.
    is_over: bool,
}

impl Timer for AsyncIoTimer {
    fn reset(&mut self, at: Instant) {
        self.inner.set_at(self.epoch + (at - Instant::ZERO));
        self.is_over = false;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_over {
            ready!(Pin::new(&mut self.inner).poll(cx));
            self.is_over = true;
        }
        Poll::Ready(())
    }
}
