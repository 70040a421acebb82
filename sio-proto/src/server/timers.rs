//! One deadline per connection, and the earliest of all.

use alloc::collections::BTreeSet;

use crate::Instant;

/// Deadlines by key. A key's deadline may move later without being told: it then comes up early once and is set anew.
/// So traffic that only postpones a heartbeat costs nothing.
#[derive(Debug)]
pub(super) struct Timers<K> {
    set: BTreeSet<(Instant, K)>,
    /// Whether the next deadline may be earlier than when it was last asked for.
    earlier: bool,
}

impl<K: Ord + Copy> Timers<K> {
    pub(super) fn new() -> Self {
        Self { set: BTreeSet::new(), earlier: false }
    }

    /// Makes sure that `key` comes up at `at` or before. `armed` is the key's own note of when it does.
    pub(super) fn arm(&mut self, key: K, at: Option<Instant>, armed: &mut Option<Instant>) {
        match (at, *armed) {
            (None, _) => self.disarm(key, armed),
            (Some(at), Some(earlier)) if earlier <= at => {}
            (Some(at), _) => {
                self.disarm(key, armed);
                self.earlier |= self.set.first().is_none_or(|(first, _)| at < *first);
                self.set.insert((at, key));
                *armed = Some(at);
            }
        }
    }

    pub(super) fn disarm(&mut self, key: K, armed: &mut Option<Instant>) {
        if let Some(at) = armed.take() {
            self.set.remove(&(at, key));
        }
    }

    /// The next key whose time has come; its `armed` must be cleared.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let &(at, key) = self.set.first()?;
        if at > now {
            return None;
        }
        self.set.pop_first();
        Some(key)
    }

    pub(super) fn is_earlier(&self) -> bool {
        self.earlier
    }

    pub(super) fn clear_earlier(&mut self) {
        self.earlier = false;
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.set.first().map(|(at, _)| *at)
    }
}
