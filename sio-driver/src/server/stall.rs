//! Connections whose peer takes nothing of what is written to it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};

use crate::runtime::{Runtime, Timer as _};
use crate::server::front::Slot;

/// How the writing goes. Written and read by one task: while there is a watch, the stream is polled by the same future.
#[derive(Default)]
struct Progress {
    /// The last write, or flush, has to wait.
    is_stalled: AtomicBool,
    /// How many writes took something.
    steps: AtomicUsize,
}

/// A stream that tells a [`Watch`] how the writing goes.
pub(crate) struct Watched<S> {
    stream: S,
    progress: Arc<Progress>,
    /// Here, because a WebSocket takes the stream with it.
    _slot: Slot,
}

/// Says when nothing was taken for too long.
pub(crate) struct Watch<R: Runtime> {
    runtime: R,
    limit: Duration,
    progress: Arc<Progress>,
    /// Only those who have to wait need one.
    timer: Option<R::Timer>,
    /// Where the writing was when the timer was set.
    since: Option<usize>,
}

/// `limit`: so long may a peer take nothing.
pub(crate) fn watch<R: Runtime, S>(
    runtime: R,
    stream: S,
    slot: Slot,
    limit: Duration,
) -> (Watched<S>, Watch<R>) {
    let progress = Arc::<Progress>::default();
    let watched = Watched { stream, progress: progress.clone(), _slot: slot };
    (watched, Watch { runtime, limit, progress, timer: None, since: None })
}

impl<R: Runtime> Watch<R> {
    /// Ready once it has been too long. To be asked after the stream was polled.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.progress.is_stalled.load(Ordering::Relaxed) {
            self.since = None;
            return Poll::Pending;
        }
        let steps = self.progress.steps.load(Ordering::Relaxed);
        let timer = self.timer.get_or_insert_with(|| self.runtime.timer());
        if self.since != Some(steps) {
            self.since = Some(steps);
            timer.reset(self.runtime.now() + self.limit);
        }
        timer.poll(cx)
    }
}

impl<S> Watched<S> {
    fn note<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.progress.is_stalled.store(result.is_pending(), Ordering::Relaxed);
        if result.is_ready() {
            self.progress.steps.fetch_add(1, Ordering::Relaxed);
        }
        result
    }
}

impl<S: Read + Unpin> Read for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: Write + Unpin> Write for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, from);
        self.note(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.note(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.note(shut)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, from);
        self.note(written)
    }
}
