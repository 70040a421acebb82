//! Lanes: what one socket is to do goes one after another, and no socket waits for another.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use crate::handlers::{catch, destroy};
use crate::runtime::BoxFuture;

/// How many jobs are begun in one poll, before other tasks get theirs. One POST can hold a hundred thousand.
const BATCH: usize = 256;

/// Something to run for a socket.
pub(crate) trait Job: Sized {
    /// What tells sockets apart.
    type Key: Copy + PartialEq;

    /// Whose job it is.
    fn key(&self) -> Self::Key;

    /// How many jobs of its socket may run at once.
    fn limit(&self) -> usize;

    /// Whether no other job of the socket may run beside it.
    fn is_alone(&self) -> bool;

    /// Begins it, unless there is nothing to run.
    fn run(self) -> Option<BoxFuture<Option<u64>>>;
}

/// The jobs of all sockets of a connection. A job is polled as soon as it is begun, and stays here only if it has to wait.
pub(crate) struct Lanes<J: Job> {
    lanes: Vec<Lane<J>>,
}

/// A socket whose jobs wait.
struct Lane<J: Job> {
    key: J::Key,
    running: Vec<BoxFuture<Option<u64>>>,
    limit: usize,
    /// Whether what runs must be alone.
    alone: bool,
    queue: VecDeque<J>,
}

impl<J: Job> Lanes<J> {
    pub(crate) fn new() -> Self {
        Self { lanes: Vec::new() }
    }

    /// Whether nothing runs or waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// The sockets that can begin nothing more for now; others may not be waited for.
    pub(crate) fn busy(&self) -> impl Iterator<Item = J::Key> {
        self.lanes.iter().filter(|lane| !lane.takes_more()).map(|lane| lane.key)
    }

    /// Polls what runs, and begins what can begin. `next` gives more, but for those who are [`busy`](Self::busy); if it has none, it
    /// must see to it that the task is woken for more. Ready when nothing is left.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut next: impl FnMut(&Self, &mut Context<'_>) -> Option<J>,
    ) -> Poll<()> {
        self.poll_running(cx);
        for _ in 0..BATCH {
            let Some(job) = next(self, cx) else {
                return if self.is_empty() { Poll::Ready(()) } else { Poll::Pending };
            };
            self.submit(job, cx);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_running(&mut self, cx: &mut Context<'_>) {
        let mut at = 0;
        while let Some(lane) = self.lanes.get_mut(at) {
            let mut index = 0;
            while let Some(future) = lane.running.get_mut(index) {
                if is_pending(future, cx) {
                    index += 1;
                } else {
                    destroy(lane.running.remove(index));
                }
            }
            lane.start_next(cx);
            if lane.running.is_empty() {
                self.lanes.swap_remove(at);
            } else {
                at += 1;
            }
        }
    }

    fn submit(&mut self, job: J, cx: &mut Context<'_>) {
        let key = job.key();
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.key == key) {
            lane.queue.push_back(job);
            lane.start_next(cx);
            return;
        }
        let (limit, alone) = (job.limit(), job.is_alone());
        if let Some(future) = begin(job, cx) {
            let running = Vec::from([future]);
            self.lanes.push(Lane { key, running, limit, alone, queue: VecDeque::new() });
        }
    }
}

/// Begins a job. Gives it back if it has to wait.
fn begin<J: Job>(job: J, cx: &mut Context<'_>) -> Option<BoxFuture<Option<u64>>> {
    let mut future = catch(|| job.run()).unwrap_or_else(|error| {
        tracing::error!(%error, "handlers ended by a panic");
        None
    })?;
    if is_pending(&mut future, cx) {
        return Some(future);
    }
    destroy(future);
    None
}

/// Polls a job. A panic that nobody has caught in it, such as one of a destructor, is its own end: the other jobs go on.
fn is_pending(future: &mut BoxFuture<Option<u64>>, cx: &mut Context<'_>) -> bool {
    catch(|| future.as_mut().poll(cx).is_pending()).unwrap_or_else(|error| {
        tracing::error!(%error, "handlers ended by a panic");
        false
    })
}

impl<J: Job> Lane<J> {
    fn takes_more(&self) -> bool {
        self.queue.is_empty() && !self.alone && self.running.len() < self.limit
    }

    fn takes_next(&self) -> bool {
        match self.queue.front() {
            None => false,
            Some(job) if job.is_alone() => self.running.is_empty(),
            Some(_) => self.running.is_empty() || (!self.alone && self.running.len() < self.limit),
        }
    }

    fn start_next(&mut self, cx: &mut Context<'_>) {
        while self.takes_next() {
            let Some(job) = self.queue.pop_front() else { break };
            self.alone = job.is_alone();
            self.running.extend(begin(job, cx));
        }
    }
}
