//! Tells tasks that the server closes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

use slotmap::{DefaultKey, SlotMap};

/// Tells everyone who waits that the server closes.
#[derive(Default)]
pub(crate) struct Closing {
    begun: AtomicBool,
    waiting: Mutex<SlotMap<DefaultKey, Waker>>,
}

impl Closing {
    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }

    pub(crate) fn wait(&self) -> Wait<'_> {
        Wait { closing: self, key: None }
    }
}

/// A task that wants to know when the server closes.
pub(crate) struct Wait<'a> {
    closing: &'a Closing,
    key: Option<DefaultKey>,
}

impl Wait<'_> {
    /// Whether the server closes. If not, the task is woken when it does.
    pub(crate) fn has_begun(&mut self, waker: &Waker) -> bool {
        let mut waiting = self.closing.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match self.key.and_then(|key| waiting.get_mut(key)) {
            Some(old) => old.clone_from(waker),
            None => self.key = Some(waiting.insert(waker.clone())),
        }
        drop(waiting);
        self.closing.begun.load(Ordering::Acquire)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.closing.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        }
    }
}
