//! Lists of tasks that wait.

use std::task::Waker;

/// Adds a waker to a list, unless its task is there already: one that is polled again and again must not fill the list.
pub(crate) fn enlist(list: &mut Vec<Waker>, waker: &Waker) {
    if !list.iter().any(|listed| listed.will_wake(waker)) {
        list.push(waker.clone());
    }
}
