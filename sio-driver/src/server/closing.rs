//! Tells tasks that the server closes.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

use slotmap::{DefaultKey, SlotMap};

/// How far a server's end has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Nobody is let in any more.
    Begun = 1,
    /// All sessions are over. Until then a polling client may need one more connection, to fetch what waits for it.
    Ended = 2,
}

/// Tells everyone who waits how far the server's end has come.
#[derive(Default)]
pub(crate) struct Closing {
    stage: AtomicU8,
    waiting: Mutex<SlotMap<DefaultKey, Waker>>,
}

impl Closing {
    pub(super) fn reach(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::AcqRel);
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
    /// Whether the end has come so far. If not, the task is woken when it does.
    pub(crate) fn has_reached(&mut self, stage: Stage, waker: &Waker) -> bool {
        let mut waiting = self.closing.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match self.key.and_then(|key| waiting.get_mut(key)) {
            Some(old) => old.clone_from(waker),
            None => self.key = Some(waiting.insert(waker.clone())),
        }
        drop(waiting);
        self.closing.stage.load(Ordering::Acquire) >= stage as u8
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.closing.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        }
    }
}
