//! Counts of what a server does. They cost an addition here and there, so they are always kept.

use core::ops::AddAssign;

use super::{ConnId, Server};
use crate::engine::{CloseReason, Facts, ServerSession, Traffic, Transport};

/// What was counted. Counters only grow, for as long as the server lives; what is said to be so "now" goes up and down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Of polling.
    pub polling: TransportStats,
    /// Of WebSockets.
    pub websocket: TransportStats,
    /// How many connections have ended, by reason, in the order of [`CloseReason::ALL`]; see [`closed`](Self::closed).
    pub closed_by_reason: [u64; CloseReason::ALL.len()],
    /// WebSockets that came to take a session over.
    pub upgrades_begun: u64,
    /// Sessions that have moved to WebSocket.
    pub upgrades: u64,
    /// WebSockets that did not take their session over: they failed, took too long, or the session ended before.
    pub upgrades_failed: u64,
    /// Clients that were let into a namespace.
    pub sockets_accepted: u64,
    /// Clients that were not let into a namespace: it does not exist, or a middleware or a limit refused them.
    pub sockets_refused: u64,
    /// Clients in namespaces, now; a client in two counts twice.
    pub sockets: usize,
    /// Connections whose client broke a protocol.
    pub peer_errors: u64,
    /// Volatile packets that were dropped, one for each receiver: they could not go out at once.
    pub volatile_dropped: u64,
    /// Packets that were given back, or skipped in a broadcast, one for each receiver: the outbox was full.
    pub outbox_full: u64,
    /// How often reading from a client was stopped, because too many of its events waited for handlers.
    pub read_pauses: u64,
    /// Requests that were refused, by their code (0 to 5), and those without one at last. Requests are the business of the owner, who
    /// counts them: [`server::Server`](super::Server) leaves this at 0.
    pub refused_by_code: [u64; 7],
    /// Bytes that wait to be sent, now.
    pub outbox_bytes: usize,
    /// Events that wait for handlers, now.
    pub inbox_events: usize,
}

/// Counts of one transport.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct TransportStats {
    /// Connections that travel by it, now.
    pub connections: usize,
    /// Connections that were opened by it; those that came to it by an upgrade are counted where they were opened.
    pub opened: u64,
    /// What went through it.
    pub traffic: Traffic,
}

impl Stats {
    /// How many connections have ended for this reason.
    #[must_use]
    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.closed_by_reason[reason as usize]
    }

    /// The counts of one transport.
    #[must_use]
    pub fn of(&self, transport: Transport) -> &TransportStats {
        match transport {
            Transport::Polling => &self.polling,
            Transport::WebSocket => &self.websocket,
        }
    }

    pub(super) fn of_mut(&mut self, transport: Transport) -> &mut TransportStats {
        match transport {
            Transport::Polling => &mut self.polling,
            Transport::WebSocket => &mut self.websocket,
        }
    }

    pub(super) fn open(&mut self, transport: Transport) {
        let of = self.of_mut(transport);
        of.opened += 1;
        of.connections += 1;
    }

    pub(super) fn upgrade(&mut self) {
        self.upgrades += 1;
        self.polling.connections -= 1;
        self.websocket.connections += 1;
    }

    pub(super) fn close(&mut self, transport: Transport, reason: CloseReason) {
        self.closed_by_reason[reason as usize] += 1;
        self.of_mut(transport).connections -= 1;
    }
}

impl AddAssign for Stats {
    /// The counts of several servers, or parts of one, together.
    fn add_assign(&mut self, other: Self) {
        for transport in [Transport::Polling, Transport::WebSocket] {
            let (of, more) = (self.of_mut(transport), other.of(transport));
            of.connections += more.connections;
            of.opened += more.opened;
            of.traffic += more.traffic;
        }
        for (count, more) in self.closed_by_reason.iter_mut().zip(other.closed_by_reason) {
            *count += more;
        }
        for (count, more) in self.refused_by_code.iter_mut().zip(other.refused_by_code) {
            *count += more;
        }
        self.upgrades_begun += other.upgrades_begun;
        self.upgrades += other.upgrades;
        self.upgrades_failed += other.upgrades_failed;
        self.sockets_accepted += other.sockets_accepted;
        self.sockets_refused += other.sockets_refused;
        self.sockets += other.sockets;
        self.peer_errors += other.peer_errors;
        self.volatile_dropped += other.volatile_dropped;
        self.outbox_full += other.outbox_full;
        self.read_pauses += other.read_pauses;
        self.outbox_bytes += other.outbox_bytes;
        self.inbox_events += other.inbox_events;
    }
}

impl Server {
    /// What was counted so far. Looks at each connection, for what waits in it.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats;
        for conn in self.conns.values() {
            stats.outbox_bytes += conn.engine.outbox_bytes();
            stats.inbox_events += conn.inbox.waiting();
        }
        stats
    }

    /// What is known about a connection; also about the one that was forgotten last, so that who is told of an end can still ask.
    #[must_use]
    pub fn facts(&self, id: ConnId) -> Option<Facts> {
        let known = self.conns.get(id).map(|conn| conn.engine.facts());
        known.or_else(|| self.forgotten.filter(|(of, _)| *of == id).map(|(_, facts)| facts))
    }

    /// Lets a session work, and counts what went through it.
    pub(super) fn metered<T>(&mut self, id: ConnId, work: impl FnOnce(&mut ServerSession) -> T) -> Option<T> {
        let engine = &mut self.conns.get_mut(id)?.engine;
        let before = engine.traffic();
        let done = work(engine);
        // By what it travelled when the work was done: a probe counts where the session was.
        self.stats.of_mut(engine.transport()).traffic += engine.traffic() - before;
        Some(done)
    }
}
