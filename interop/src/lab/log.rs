//! What a server saw, kept by the tests' side: it outlives the server.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;
use tokio::{sync::watch, time::timeout};

/// Lists of JSON values by name. Cloning gives another handle.
#[derive(Clone, Debug)]
pub struct Log(Arc<watch::Sender<HashMap<String, Vec<Value>>>>);

impl Default for Log {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(HashMap::new())))
    }
}

impl Log {
    pub(super) fn push(&self, name: &str, value: Value) {
        self.0.send_modify(|lists| match lists.get_mut(name) {
            Some(list) => list.push(value),
            None => {
                lists.insert(name.to_owned(), vec![value]);
            }
        });
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
