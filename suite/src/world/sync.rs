//! Waiting for each other.

use std::future::poll_fn;
use std::task::Poll;

use async_lock::Semaphore;

/// A bell: each ring lets one through who waits, or the next one who comes.
pub(crate) struct Notify(Semaphore);

impl Notify {
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(0))
    }

    pub(crate) fn notify_one(&self) {
        self.0.add_permits(1);
    }

    pub(crate) async fn notified(&self) {
        self.0.acquire().await.forget();
    }
}

/// Lets others run once.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
