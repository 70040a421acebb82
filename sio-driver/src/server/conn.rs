//! [`Conn`]: the connection under a socket, and what is known about it.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sio_proto::engine::{CloseReason, Facts, Revision, Traffic, Transport};
use sio_proto::server::ConnId;

use crate::handlers::catch;
use crate::server::Handshake;
use crate::server::shard::Shard;

/// The connection of a client, which all of its sockets share: `socket.conn` of JavaScript. Cloning gives another handle.
///
/// A handle may outlive the connection, and then tells how it was last.
#[derive(Clone)]
pub struct Conn {
    shard: Arc<Shard>,
    link: Arc<Link>,
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").field("id", &self.link.id.get()).finish_non_exhaustive()
    }
}

impl PartialEq for Conn {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.link, &other.link)
    }
}

impl Eq for Conn {}

impl Conn {
    pub(crate) fn new(shard: Arc<Shard>, link: Arc<Link>) -> Self {
        Self { shard, link }
    }

    /// How it travels now; after its end, how it travelled last.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.facts().map_or(Transport::Polling, |facts| facts.transport)
    }

    /// The revision of Engine.IO that the client speaks: 4, or 3 for clients of Socket.IO 2.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        match self.facts().map(|facts| facts.revision) {
            Some(Revision::V3) => 3,
            _ => 4,
        }
    }

    /// How long the client took to answer the last ping, which is sent every [`ping_interval`](crate::ServerBuilder::ping_interval). With
    /// long-polling that includes the time until the client asks again. `None` before the first answer, and for clients of Socket.IO 2,
    /// which ping themselves.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.facts()?.rtt
    }

    /// What went through it so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.facts().map(|facts| facts.traffic).unwrap_or_default()
    }

    /// Why it ended; `None` while it is open. Known as soon as it is closed, also before and in disconnect handlers.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.facts()?.close_reason
    }

    /// The request that opened it; [`issued`](Handshake::issued) is when that was.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        &self.link
    }

    /// Closes it, once what waits is sent. Unlike [`disconnect_connection`](crate::Socket::disconnect_connection) it does not tell the
    /// client's namespaces before: to the client the connection is lost (`transport close`), and it connects again by itself. The
    /// server's sockets end with `forced close`.
    pub fn close(&self) {
        if let Some(id) = self.link.id.get() {
            let now = self.shard.now();
            self.shard.lock().machine.close_connection(*id, now);
        }
    }

    /// Has a function called once the connection has moved to another transport, which it is given. Not called for a move that is over
    /// already, and dropped when the connection ends. It must not wait: the connection's events wait meanwhile. The event `upgrade` of
    /// JavaScript.
    pub fn on_upgrade(&self, listener: impl FnOnce(Transport) + Send + 'static) {
        let mut listeners = self.link.listeners();
        // Else dropped after the lock is given up: what it captured is the user's.
        let refused = match &mut *listeners {
            Some(listeners) => {
                listeners.push(Box::new(listener));
                None
            }
            None => Some(listener),
        };
        drop(listeners);
        drop(refused);
    }

    fn facts(&self) -> Option<Facts> {
        let facts = || self.shard.lock().machine.facts(*self.link.id.get()?);
        match self.link.end.get() {
            Some(end) => Some(**end),
            // It may end at this moment: who forgets the connection leaves its end behind first.
            None => facts().or_else(|| self.link.end.get().map(|end| **end)),
        }
    }
}

type UpgradeListener = Box<dyn FnOnce(Transport) + Send>;

/// What is kept of a connection as long as anybody may ask.
pub(crate) struct Link {
    handshake: Handshake,
    id: OnceLock<ConnId>,
    /// None when there is nothing to wait for any more.
    listeners: Mutex<Option<Vec<UpgradeListener>>>,
    /// How it was when it ended.
    end: OnceLock<Box<Facts>>,
}

impl Link {
    pub(crate) fn new(handshake: Handshake) -> Self {
        Self { handshake, id: OnceLock::new(), listeners: Mutex::new(Some(Vec::new())), end: OnceLock::new() }
    }

    /// The connection has been made.
    pub(crate) fn begin(&self, id: ConnId) {
        let _ = self.id.set(id);
    }

    /// The connection has ended.
    pub(crate) fn finish(&self, facts: Facts) {
        let _ = self.end.set(Box::new(facts));
    }

    /// Takes those who wait for an upgrade; there will be none after it.
    fn take(&self) -> Vec<UpgradeListener> {
        self.listeners().take().unwrap_or_default()
    }

    /// Calls those who wait for an upgrade. Not to be called under a lock.
    pub(crate) fn upgraded(&self) {
        for listener in self.take() {
            if let Err(error) = catch(|| listener(Transport::WebSocket)) {
                tracing::error!(%error, "on_upgrade failed");
            }
        }
    }

    /// Drops those who wait for an upgrade. Not to be called under a lock.
    pub(crate) fn forget(&self) {
        drop(self.take());
    }

    fn listeners(&self) -> std::sync::MutexGuard<'_, Option<Vec<UpgradeListener>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Link {
    type Target = Handshake;

    fn deref(&self) -> &Handshake {
        &self.handshake
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handshake.fmt(f)
    }
}
