//! What a server saw, kept by the tests' side: it outlives the server.

use core::sync::atomic::{AtomicBool, Ordering};
use std::{collections::HashMap, sync::Arc};

use serde_json::Value;
use tokio::{sync::watch, time::timeout};

type Lists = HashMap<String, Vec<Value>>;

/// Lists of JSON values by name. Cloning gives another handle.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<watch::Sender<Lists>>);

/// What a server writes with, until somebody takes it away.
#[derive(Clone, Debug)]
pub(super) struct Pen {
    log: Log,
    is_dry: Arc<AtomicBool>,
}

impl Pen {
    /// Says whether it was written: a program that has ended does nothing more either.
    pub(super) fn push(&self, name: &str, value: Value) -> bool {
        self.log.0.send_if_modified(|lists| {
            let writes = !self.is_dry.load(Ordering::Relaxed);
            if writes {
                lists.entry(name.to_owned()).or_default().push(value);
            }
            writes
        })
    }

    /// Nothing is written after this.
    pub(super) fn dry(&self) {
        // Between two entries.
        self.log.0.send_if_modified(|_| {
            self.is_dry.store(true, Ordering::Relaxed);
            false
        });
    }
}

impl Log {
    pub(super) fn pen(&self) -> Pen {
        Pen { log: self.clone(), is_dry: Arc::default() }
    }

    pub(super) fn push(&self, name: &str, value: Value) {
        self.0.send_modify(|lists| lists.entry(name.to_owned()).or_default().push(value));
    }

    /// The list of this name, so far.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<Value> {
        self.0.borrow().get(name).cloned().unwrap_or_default()
    }

    /// Forgets the list of this name.
    pub fn clear(&self, name: &str) {
        self.0.send_modify(|lists| {
            lists.remove(name);
        });
    }

    /// Waits until the list of this name is as it should be, and gives it.
    ///
    /// # Panics
    /// After half a minute.
    pub async fn until(&self, name: &str, condition: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let mut receiver = self.0.subscribe();
        let changed = receiver.wait_for(|lists| condition(lists.get(name).map_or(&[], Vec::as_slice)));
        let found = timeout(super::LIMIT, changed).await.map(|found| found.is_ok());
        assert_eq!(found, Ok(true), "the log \"{name}\" is {:?}", self.list(name));
        self.list(name)
    }
}
