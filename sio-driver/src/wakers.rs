//! Lists of tasks that wait.

use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Adds a waker to a list, unless its task is there already: one that is polled again and again must not fill the list.
pub(crate) fn enlist(list: &mut Vec<Waker>, waker: &Waker) {
    if !list.iter().any(|listed| listed.will_wake(waker)) {
        list.push(waker.clone());
    }
}

/// Lets other tasks have their turn.
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
