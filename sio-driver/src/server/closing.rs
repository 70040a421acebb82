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
        let waiting: Vec<_> = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            // Not a new map: it would give keys out again that somebody still holds, who then takes another one's place.
            waiting.drain().map(|(_, waker)| waker).collect()
        };
        waiting.into_iter().for_each(Waker::wake);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whatever the order in which they come back after the first stage.
    #[test]
    fn everybody_is_told_of_each_stage() {
        let closing = Closing::default();
        let counts = [(); 3].map(|()| Arc::new(Count::default()));
        let mut waits = [(); 3].map(|()| closing.wait());
        for order in [[0, 1, 2], [2, 0, 1]] {
            for at in order {
                assert!(!waits[at].has_reached(Stage::Ended, &counts[at].clone().into()));
            }
            closing.reach(Stage::Begun);
        }
        assert_eq!(counts.map(|count| count.0.load(Ordering::Relaxed)), [2; 3]);
    }
}
