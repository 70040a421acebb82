//! The API as users see it, on a virtual clock and a network in memory: the same tests for each adapter, compiled once.
//!
//! A test is a private async function without parameters, and is named in its file's `CASES`; one that is forgotten there is dead code.
//! It runs in a [`World`](crate::world::World) on the executor of the adapter's runtime.

mod client;
mod common;
mod net;
mod server;

use std::time::Duration;

use futures_util::future::LocalBoxFuture;

/// Longer than anything that is waited for; on a virtual clock it passes at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// A test.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// With its modules: `server::acks::silence`.
    path: &'static str,
    pub(crate) body: fn() -> LocalBoxFuture<'static, ()>,
}

impl Case {
    pub(crate) fn name(&self) -> &'static str {
        self.path.strip_prefix(concat!(module_path!(), "::")).unwrap_or(self.path)
    }

    /// Its modules alone.
    pub(crate) fn file(&self) -> &'static str {
        self.name().rsplit_once("::").map_or("", |(file, _)| file)
    }
}

/// All there are.
pub(crate) fn cases() -> impl Iterator<Item = Case> {
    [server::CASES, client::CASES].into_iter().flatten().copied().flatten().copied()
}

/// The tests of a file.
macro_rules! list {
    ($($name:ident),* $(,)?) => {
        &[$(Case { path: concat!(module_path!(), "::", stringify!($name)), body: || Box::pin($name()) }),*]
    };
}
pub(crate) use list;
