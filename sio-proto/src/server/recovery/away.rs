//! Who is away: by the end of their time, by namespace and by room.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::session::Lost;
use crate::hub::{NamespaceId, Room, Scope};
use crate::{Instant, Pid};

/// What is done to a room costs as much as there are members, however many are away from other rooms.
#[derive(Debug, Default)]
pub(super) struct Away {
    expiry: BTreeSet<(Instant, Pid)>,
    namespaces: BTreeMap<NamespaceId, BTreeSet<Pid>>,
    rooms: BTreeSet<(NamespaceId, Room, Pid)>,
}

impl Away {
    pub(super) fn len(&self) -> usize {
        self.expiry.len()
    }

    /// Whose time is over first, and when.
    pub(super) fn first(&self) -> Option<(Instant, Pid)> {
        self.expiry.first().copied()
    }

    pub(super) fn insert(&mut self, lost: &Lost) {
        let pid = lost.stream.pid;
        self.expiry.insert((lost.until, pid));
        self.namespaces.entry(lost.namespace).or_default().insert(pid);
        lost.rooms.iter().for_each(|room| self.join(lost.namespace, room, pid));
    }

    pub(super) fn remove(&mut self, lost: &Lost) {
        let pid = lost.stream.pid;
        self.expiry.remove(&(lost.until, pid));
        if let Some(pids) = self.namespaces.get_mut(&lost.namespace) {
            pids.remove(&pid);
            if pids.is_empty() {
                self.namespaces.remove(&lost.namespace);
            }
        }
        lost.rooms.iter().for_each(|room| self.leave(lost.namespace, room, pid));
    }

    pub(super) fn join(&mut self, namespace: NamespaceId, room: &Room, pid: Pid) {
        self.rooms.insert((namespace, room.clone(), pid));
    }

    pub(super) fn leave(&mut self, namespace: NamespaceId, room: &Room, pid: Pid) {
        self.rooms.remove(&(namespace, room.clone(), pid));
    }

    /// Whether somebody may come back to this namespace.
    pub(super) fn awaits(&self, namespace: NamespaceId) -> bool {
        self.namespaces.contains_key(&namespace)
    }

    /// Who is meant, each once.
    pub(super) fn selected(&self, namespace: NamespaceId, scope: &Scope) -> Vec<Pid> {
        let left_out = |pid: &Pid| {
            let is_in = |room: &Room| self.rooms.contains(&(namespace, room.clone(), *pid));
            scope.except.iter().any(is_in)
        };
        if scope.rooms.is_empty() {
            let everyone = self.namespaces.get(&namespace).into_iter().flatten().copied();
            return everyone.filter(|pid| !left_out(pid)).collect();
        }
        let members = scope.rooms.iter().flat_map(|room| {
            let from = (namespace, room.clone(), Pid::FIRST);
            self.rooms.range(from..).take_while(move |(of, name, _)| *of == namespace && name == room)
        });
        let pids: BTreeSet<Pid> = members.map(|(.., pid)| *pid).filter(|pid| !left_out(pid)).collect();
        pids.into_iter().collect()
    }
}
