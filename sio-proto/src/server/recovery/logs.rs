//! The logs of all namespaces, with one limit for all.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use super::ConnectionStateRecovery;
use crate::Instant;
use crate::engine::Encoded;
use crate::hub::{NamespaceId, Offset, RecoveryLog, Target};

#[derive(Debug, Default)]
pub(super) struct Logs {
    logs: BTreeMap<NamespaceId, RecoveryLog>,
    /// The oldest event of each namespace that has one.
    oldest: BTreeSet<(Instant, NamespaceId)>,
    bytes: usize,
}

impl Logs {
    pub(super) fn get(&self, namespace: NamespaceId) -> Option<&RecoveryLog> {
        self.logs.get(&namespace)
    }

    pub(super) fn end(&self, namespace: NamespaceId) -> u64 {
        self.get(namespace).map_or(0, RecoveryLog::end)
    }

    /// Notes an event, and forgets old ones for which there is no room.
    pub(super) fn push(
        &mut self,
        namespace: NamespaceId,
        (offset, target, packet): (Offset, Target, Encoded),
        now: Instant,
        config: &ConnectionStateRecovery,
    ) {
        self.logs.entry(namespace).or_default();
        let limits = (config.max_events, config.max_bytes);
        self.change(namespace, |log| log.push(offset, target, packet, now, limits));
        while self.bytes > config.max_total_bytes {
            let Some(&(_, namespace)) = self.oldest.first() else { break };
            self.change(namespace, |log| _ = log.pop());
        }
    }

    /// Forgets events of this age. Gives the time at which the next one will have it.
    pub(super) fn expire(&mut self, age: Duration, now: Instant) -> Option<Instant> {
        while let Some(&(at, namespace)) = self.oldest.first() {
            if at + age > now {
                return Some(at + age);
            }
            self.change(namespace, |log| _ = log.expire(age, now));
        }
        None
    }

    pub(super) fn remove(&mut self, namespace: NamespaceId) {
        self.change(namespace, |log| *log = RecoveryLog::default());
        self.logs.remove(&namespace);
    }

    /// Changes a log, and keeps account.
    fn change(&mut self, namespace: NamespaceId, change: impl FnOnce(&mut RecoveryLog)) {
        let Some(log) = self.logs.get_mut(&namespace) else { return };
        let (oldest, bytes) = (log.oldest(), log.bytes());
        change(log);
        self.bytes = self.bytes - bytes + log.bytes();
        if log.oldest() != oldest {
            if let Some(at) = oldest {
                self.oldest.remove(&(at, namespace));
            }
            if let Some(at) = log.oldest() {
                self.oldest.insert((at, namespace));
            }
        }
    }
}
