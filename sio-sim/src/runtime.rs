//! [`Sim`]: what the driver asks of a runtime, simulated.

use std::any::type_name;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sio_driver::{Instant, Runtime, Timer};

use crate::executor::{Event, Executor, Stuck};
use crate::net::{Harm, Net, Sabotage, SimListener, SimStream, Weather};
use crate::random::Random;

/// A runtime on one thread, with a clock and a network of its own. Cloning gives another handle.
#[derive(Clone)]
pub struct Sim(Arc<Inner>);

struct Inner {
    executor: Executor,
    net: Net,
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("now", &self.now()).finish_non_exhaustive()
    }
}

impl Sim {
    /// A runtime whose every choice comes from this seed. Its network is at first without faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self(Arc::new(Inner { executor: Executor::new(random.fork()), net: Net::new(random.fork()) }))
    }

    pub(crate) fn executor(&self) -> &Executor {
        &self.0.executor
    }

    pub(crate) fn net(&self) -> &Net {
        &self.0.net
    }

    /// Runs tasks until this future is done. The other tasks stay, and go on with the next call.
    ///
    /// # Errors
    /// If it cannot end, or does not within so much virtual time.
    pub fn run<T>(&self, limit: Duration, main: impl Future<Output = T>) -> Result<T, Stuck> {
        self.0.executor.run(limit, main, |event| self.0.net.happen(self, event))
    }

    /// As [`Runtime::spawn`], with the name under which [`Stuck`] lists the task.
    pub fn spawn_named(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.0.executor.spawn(name, Box::pin(task));
    }

    /// Waits.
    pub async fn sleep(&self, time: Duration) {
        let mut timer = self.timer();
        timer.reset(self.now() + time);
        poll_fn(|cx| timer.poll(cx)).await;
    }

    /// Lets tasks be polled that were not woken, in so many of a hundred cases: they must bear that, too.
    pub fn poll_for_nothing(&self, percent: u64) {
        self.0.executor.set_spurious(percent);
    }

    /// How often tasks were polled.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.0.executor.polls()
    }

    /// How often tasks were polled, at most, without time moving on.
    #[must_use]
    pub fn busiest(&self) -> u64 {
        self.0.executor.busiest()
    }

    /// The tasks that are not done.
    #[must_use]
    pub fn tasks(&self) -> Vec<String> {
        self.0.executor.tasks()
    }

    /// How much is still to happen: timers that are set, and bytes on their way.
    #[must_use]
    pub fn pending_events(&self) -> usize {
        self.0.executor.events()
    }

    /// Drops all tasks, as a runtime does that is dropped.
    pub fn abandon(&self) {
        self.0.executor.abandon();
    }

    // ---- Network ------------------------------------------------------------------------------------------------

    /// Listens at a port of the one host that there is, whatever it is called.
    ///
    /// # Panics
    /// If somebody listens there already.
    #[must_use]
    pub fn listen(&self, port: u16) -> SimListener {
        self.0.net.listen(self, port)
    }

    /// How connections that are made from here on behave, and whether any can be made.
    pub fn weather(&self, weather: Weather) {
        self.0.net.lock().weather = weather;
    }

    /// Does harm to one connection, chosen by the seed; says whether there was one.
    pub fn break_link(&self, harm: Harm) -> bool {
        self.0.net.break_one(self, harm)
    }

    /// Does harm to all connections.
    pub fn break_links(&self, harm: Harm) {
        self.0.net.break_all(self, harm);
    }

    /// Lets the network do what none may. For tests of the checks.
    pub fn sabotage(&self, sabotage: Sabotage) {
        self.0.net.lock().sabotage = Some(sabotage);
    }

    /// How many connections have an end that somebody holds.
    #[must_use]
    pub fn links(&self) -> usize {
        self.0.net.lock().links.len()
    }

    /// How many bytes were written and not read yet.
    #[must_use]
    pub fn live_bytes(&self) -> usize {
        self.0.net.lock().links.values().map(crate::net::Link::live_bytes).sum()
    }

    /// Keeps from here on a record of everything that is written to connections, for [`trace`](Self::trace).
    pub fn record(&self) {
        self.0.net.lock().trace = Some(Vec::new());
    }

    /// What was recorded: time, connection, direction and bytes of each write. Dates, keys and masks, which neither the seed decides nor
    /// anything depends on, are blanked out.
    #[must_use]
    pub fn trace(&self) -> Vec<u8> {
        self.0.net.lock().trace.clone().unwrap_or_default()
    }
}

impl Runtime for Sim {
    type Stream = SimStream;
    type Listener = SimListener;
    type Timer = SimTimer;

    fn now(&self) -> Instant {
        self.0.executor.now()
    }

    fn timer(&self) -> SimTimer {
        SimTimer { sim: self.clone(), at: None, event: None }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.executor.spawn(type_of(&task), Box::pin(task));
    }

    async fn accept(&self, listener: &SimListener) -> io::Result<(SimStream, SocketAddr)> {
        poll_fn(|cx| listener.poll_accept(cx)).await
    }

    async fn connect(&self, _host: &str, port: u16) -> io::Result<SimStream> {
        self.0.net.dial(self, port).await
    }
}

fn type_of<T>(_: &T) -> &'static str {
    type_name::<T>()
}

/// A timer on the virtual clock.
#[derive(Debug)]
pub struct SimTimer {
    sim: Sim,
    at: Option<Instant>,
    /// What will wake the task that waits.
    event: Option<(Instant, u64)>,
}

impl SimTimer {
    fn cancel(&mut self) {
        if let Some(event) = self.event.take() {
            self.sim.executor().cancel(event);
        }
    }
}

impl Timer for SimTimer {
    fn reset(&mut self, at: Instant) {
        self.cancel();
        self.at = Some(at);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.cancel();
        match self.at {
            Some(at) if at <= self.sim.now() => Poll::Ready(()),
            Some(at) => {
                self.event = Some(self.sim.executor().at(at, Event::Timer(cx.waker().clone())));
                Poll::Pending
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for SimTimer {
    fn drop(&mut self) {
        self.cancel();
    }
}
