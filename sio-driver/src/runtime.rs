//! What a runtime has to offer.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use sio_proto::Instant;

/// A future in a box, as tasks and handlers are.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// An async runtime: sockets, a clock, and `spawn`. Everything else is the same for all of them.
///
/// The clock is the runtime's, so that a simulation can run the whole driver on a clock of its own.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// A TCP connection, or what stands for one.
    type Stream: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static;
    /// A listening socket.
    type Listener: Send + Sync + 'static;
    /// A timer.
    type Timer: Timer;

    /// The time, counted from any fixed point.
    fn now(&self) -> Instant;

    /// A timer that is not set.
    fn timer(&self) -> Self::Timer;

    /// Runs a task to its end, whether or not anybody waits for it.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);

    /// The next connection. Errors that concern only one connection may be returned too; the caller goes on.
    fn accept(
        &self,
        listener: &Self::Listener,
    ) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// A connection to `host`, which is a name or an IP address (IPv6 without brackets). A name is resolved, and all its addresses are
    /// tried. Dropping the future gives up.
    fn connect(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// The clock of a [`Runtime`], for handles without a type parameter.
pub(crate) trait Clock: Send + Sync {
    fn now(&self) -> Instant;
}

impl<R: Runtime> Clock for R {
    fn now(&self) -> Instant {
        Runtime::now(self)
    }
}

/// A timer that can be set again and again.
pub trait Timer: Send + Sync + Unpin + 'static {
    /// Sets the time at which the timer goes off.
    fn reset(&mut self, at: Instant);

    /// Ready once the time has come; until then the task is woken at that time. A timer that was never set is pending for ever.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}
