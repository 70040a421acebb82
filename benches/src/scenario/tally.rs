//! What the connections of a load count together, and the clock that measures them.

use core::cell::Cell;
use core::future::Future;
use core::time::Duration;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use futures_util::stream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Server, Verdict};
use crate::measure::{Sample, Usage};

/// How many connections are opened at a time.
const OPENING: usize = 64;

/// How long a sample takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long the load runs before it is measured.
    pub warm_up: Duration,
    /// How long it is measured.
    pub measure: Duration,
    /// How many sessions a sample may open and close.
    pub sessions: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let half = Duration::from_millis(500);
        Self { warm_up: half, measure: Duration::from_secs(3), sessions: 10_000 }
    }
}

/// What one sample has to go by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) server: &'a Server,
    pub(crate) limits: Limits,
}

/// What the connections of a load share.
#[derive(Debug, Default)]
pub struct Tally {
    messages: Cell<u64>,
    reordered: Cell<u64>,
    stopped: Cell<bool>,
    /// How many requests may be sent, if that is bounded.
    allowed: Cell<Option<u64>>,
}

impl Tally {
    /// Ends the load by itself after so many requests.
    #[must_use]
    pub fn until(requests: u64) -> Self {
        Self { allowed: Cell::new(Some(requests)), ..Self::default() }
    }

    /// Whether one more request may be sent.
    #[must_use]
    pub fn may_send(&self) -> bool {
        match self.allowed.get() {
            Some(0) => false,
            Some(left) => {
                self.allowed.set(Some(left - 1));
                !self.stopped.get()
            }
            None => !self.stopped.get(),
        }
    }

    /// Counts a complete message.
    pub fn count(&self, verdict: Verdict) {
        match verdict {
            Verdict::Partial => return,
            Verdict::InOrder => {}
            Verdict::OutOfOrder => self.reordered.set(self.reordered.get() + 1),
        }
        self.messages.set(self.messages.get() + 1);
    }

    /// How many messages were counted.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages.get()
    }

    /// Whether no more requests should be sent.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.get()
    }

    /// Ends the load.
    pub fn stop(&self) {
        self.stopped.set(true);
    }
}

impl Plan<'_> {
    /// Lets the tasks run, measures them after the warm-up, stops them, and waits until each has ended well.
    pub(crate) async fn run(self, tally: Rc<Tally>, mut tasks: JoinSet<Result<()>>) -> Result<Sample> {
        let measured = async {
            sleep(self.limits.warm_up).await;
            let meter = Meter::start(self.server, &tally)?;
            sleep(self.limits.measure).await;
            let sample = meter.stop(&tally);
            tally.stop();
            sample
        };
        let sample = tokio::select! {
            sample = measured => sample?,
            failure = first_failure(&mut tasks) => return Err(failure),
        };
        timeout(Duration::from_secs(10), async {
            while let Some(ended) = tasks.join_next().await {
                ended.context("a connection's task died")??;
            }
            anyhow::Ok(())
        })
        .await
        .context("requests without replies")??;
        ensure!(sample.messages > 0, "no message in {:?}", sample.wall);
        Ok(sample)
    }
}

async fn first_failure(tasks: &mut JoinSet<Result<()>>) -> anyhow::Error {
    match tasks.join_next().await {
        Some(Ok(Err(error))) => error,
        Some(Ok(Ok(()))) => anyhow::anyhow!("a connection ended before its time"),
        Some(Err(error)) => anyhow::Error::new(error).context("a connection's task died"),
        None => core::future::pending().await,
    }
}

/// A measurement that has begun.
#[derive(Debug)]
pub(crate) struct Meter {
    pid: u32,
    server: Usage,
    generator: Usage,
    messages: u64,
    reordered: u64,
}

impl Meter {
    pub(crate) fn start(server: &Server, tally: &Tally) -> Result<Self> {
        Ok(Self {
            pid: server.pid,
            server: Usage::of(server.pid)?,
            generator: Usage::of(std::process::id())?,
            messages: tally.messages.get(),
            reordered: tally.reordered.get(),
        })
    }

    pub(crate) fn stop(self, tally: &Tally) -> Result<Sample> {
        let server = Usage::of(self.pid)?;
        let generator = Usage::of(std::process::id())?;
        Ok(Sample {
            messages: tally.messages.get() - self.messages,
            reordered: tally.reordered.get() - self.reordered,
            cpu: server.cpu.saturating_sub(self.server.cpu),
            wall: server.at - self.server.at,
            generator: generator.cpu.saturating_sub(self.generator.cpu),
            threads: server.threads,
            memory: None,
        })
    }
}

/// Opens `count` connections, some at a time.
pub(crate) async fn open_all<T, F: Future<Output = Result<T>>>(
    count: usize,
    open: impl Fn() -> F,
) -> Result<Vec<T>> {
    let mut opened = Vec::with_capacity(count);
    let mut attempts = stream::iter(0..count).map(|_| open()).buffer_unordered(OPENING);
    while let Some(connection) = attempts.next().await {
        opened.push(connection?);
    }
    Ok(opened)
}
