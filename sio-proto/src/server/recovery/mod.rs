//! Connection state recovery: the sessions of clients that are there or away, and the last events.
//!
//! ```text
//!            connection lost            client is back
//!   Live ───────────────────► Lost ─────────────────────► Session ──► Live, on another connection
//!     │                         │ time over
//!     └── left, sent away ──► gone ◄┘
//! ```

mod config;
mod session;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use slotmap::SecondaryMap;

pub use config::ConnectionStateRecovery;
pub use session::{Kept, RecoveryRequest, Session};
use session::{Lost, Stream};

use super::{Op, Server};
use crate::engine::{self, Encoded};
use crate::hub::{NamespaceId, Offset, RecoveryLog, Room, Scope, SocketKey, Target};
use crate::id::Random;
use crate::time::earliest;
use crate::{Instant, Pid, SocketId, UsageError};

/// Looking for what is too old is not worth a wake-up more often than this.
const SWEEP: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Recovery {
    config: ConnectionStateRecovery,
    /// How long after it was sent an event may turn out not to have arrived.
    margin: Duration,
    max_missed: usize,
    logs: BTreeMap<NamespaceId, RecoveryLog>,
    live: SecondaryMap<SocketKey, Stream>,
    /// Live sockets that carry events of an earlier connection, with the time from which on they need not.
    carriers: VecDeque<(Instant, SocketKey)>,
    pids: BTreeMap<Pid, Holder>,
    /// The sessions that are lost, by the end of their time.
    expiry: BTreeSet<(Instant, Pid)>,
    /// How many of them each namespace has; none is 0.
    awaited: BTreeMap<NamespaceId, usize>,
    sweep_at: Option<Instant>,
    /// The server closes: nobody can come back.
    over: bool,
    /// Whether `sweep_at` was set since it was last asked for.
    earlier: bool,
    dropped: Vec<Kept>,
}

#[derive(Debug)]
enum Holder {
    Live(SocketKey),
    Lost(Box<Lost>),
}

impl Recovery {
    pub(super) fn new(config: ConnectionStateRecovery, engine: &engine::Config) -> Self {
        Self {
            config,
            margin: engine.ping_interval + engine.ping_timeout + engine.ping_timeout,
            max_missed: engine.max_outbox,
            logs: BTreeMap::new(),
            live: SecondaryMap::new(),
            carriers: VecDeque::new(),
            pids: BTreeMap::new(),
            expiry: BTreeSet::new(),
            awaited: BTreeMap::new(),
            sweep_at: None,
            over: false,
            earlier: false,
            dropped: Vec::new(),
        }
    }

    /// Notes an event.
    pub(super) fn log(
        &mut self,
        namespace: NamespaceId,
        offset: Offset,
        target: Target,
        packet: Encoded,
        now: Instant,
    ) {
        if self.over {
            return;
        }
        let limits = (self.config.max_events, self.config.max_bytes);
        self.logs.entry(namespace).or_default().push(offset, target, packet, now, limits);
        self.arm(now + self.age());
    }

    fn age(&self) -> Duration {
        self.config.max_disconnection_duration + self.margin
    }

    /// A socket was sent an event.
    pub(super) fn sent(&mut self, key: SocketKey, offset: Offset, now: Instant) {
        if let Some(stream) = self.live.get_mut(key) {
            stream.last = Some((offset, now));
        }
    }

    fn begin(&mut self, key: SocketKey, stream: Stream) {
        self.pids.insert(stream.pid, Holder::Live(key));
        self.live.insert(key, stream);
    }

    fn end_of_log(&self, namespace: NamespaceId) -> u64 {
        self.logs.get(&namespace).map_or(0, RecoveryLog::end)
    }

    /// A socket is let in. Gives its secret, and what it has missed.
    pub(super) fn welcome(
        &mut self,
        key: SocketKey,
        (namespace, id, rooms): (NamespaceId, SocketId, &[Room]),
        random: &mut Random,
        now: Instant,
    ) -> (Pid, Vec<Encoded>) {
        let since = self.end_of_log(namespace);
        if !self.live.contains_key(key) {
            let (pid, carried) = (Pid::random(random), Vec::new());
            self.begin(
                key,
                Stream {
                    pid,
                    anchor: None,
                    carried,
                    from_anchor: true,
                    since,
                    last: None,
                    kept: None,
                    recovered: false,
                },
            );
        }
        let log = self.logs.get(&namespace);
        let Some(stream) = self.live.get_mut(key) else { return (Pid::random(random), Vec::new()) };
        let logged = log.into_iter().flat_map(|log| log.since(stream.since, &id, rooms));
        let missed = stream.carried.iter().map(|(offset, packet)| (*offset, packet));
        let (mut last, mut packets) = (None, Vec::new());
        for (offset, packet) in missed.chain(logged) {
            last = Some((offset, now));
            packets.push(packet.clone());
        }
        stream.last = last;
        let pid = stream.pid;
        if !stream.carried.is_empty() {
            let until = now + self.margin;
            self.carriers.push_back((until, key));
            self.arm(until);
        }
        (pid, packets)
    }

    /// A socket is gone; `recoverable`, unless it has left or was sent away. `at_rest`: nothing waited to be sent to it.
    pub(super) fn lose(
        &mut self,
        key: SocketKey,
        recoverable: bool,
        at_rest: bool,
        (namespace, id, rooms): (NamespaceId, SocketId, &[Room]),
        now: Instant,
    ) {
        let Some(stream) = self.live.remove(key) else { return };
        let pid = stream.pid;
        if !recoverable || self.over || self.config.max_sessions == 0 {
            self.pids.remove(&pid);
            self.dropped.extend(stream.kept);
            return;
        }
        while self.expiry.len() >= self.config.max_sessions {
            let Some((_, oldest)) = self.expiry.first().copied() else { break };
            self.forget(oldest);
        }
        let until = now + self.config.max_disconnection_duration;
        let arrived =
            at_rest.then(|| Instant::from_micros(now.as_micros().saturating_sub(micros(self.margin))));
        let end = self.end_of_log(namespace);
        let lost = Lost { stream, id, namespace, rooms: rooms.to_vec(), end, arrived, until };
        self.pids.insert(pid, Holder::Lost(Box::new(lost)));
        self.expiry.insert((until, pid));
        *self.awaited.entry(namespace).or_default() += 1;
        self.arm(until);
    }

    fn forget(&mut self, pid: Pid) {
        if let Some(lost) = self.take(pid) {
            self.dropped.extend(lost.stream.kept);
        }
    }

    fn take(&mut self, pid: Pid) -> Option<Lost> {
        match self.pids.remove(&pid)? {
            Holder::Lost(lost) => {
                self.expiry.remove(&(lost.until, pid));
                if let Some(awaited) = self.awaited.get_mut(&lost.namespace) {
                    *awaited -= 1;
                    if *awaited == 0 {
                        self.awaited.remove(&lost.namespace);
                    }
                }
                Some(*lost)
            }
            live @ Holder::Live(_) => {
                self.pids.insert(pid, live);
                None
            }
        }
    }

    /// The socket that has a session now.
    fn holder(&self, pid: &Pid) -> Option<SocketKey> {
        match self.pids.get(pid)? {
            Holder::Live(key) => Some(*key),
            Holder::Lost(_) => None,
        }
    }

    /// Takes a session whose client is back. It is over if it cannot be recovered: nobody can ask for it twice (B132).
    fn release(
        &mut self,
        namespace: NamespaceId,
        request: &RecoveryRequest,
        now: Instant,
    ) -> Option<Session> {
        match self.pids.get(&request.pid)? {
            Holder::Lost(lost) if lost.namespace == namespace => {}
            _ => return None,
        }
        let lost = self.take(request.pid)?;
        let nothing = RecoveryLog::default();
        let log = self.logs.get(&namespace).unwrap_or(&nothing);
        let size = |packet: &Encoded| packet.len() + size_of::<Encoded>();
        let missed = lost.missed(request.offset.as_ref(), log).filter(|missed| {
            // More would end the new connection at once.
            let bytes: usize = missed.iter().map(|(_, packet)| size(packet)).sum();
            lost.until > now && bytes <= self.max_missed
        });
        let Lost { stream, id, rooms, .. } = lost;
        let Some(missed) = missed else {
            self.dropped.extend(stream.kept);
            return None;
        };
        let (pid, kept, anchor) = (stream.pid, stream.kept, request.offset.clone());
        Some(Session { pid, id, namespace, rooms, anchor, missed, kept })
    }

    /// A new socket has the session from here on.
    fn resume(&mut self, key: SocketKey, session: Session) {
        let Session { pid, namespace, anchor, missed, kept, .. } = session;
        let since = self.end_of_log(namespace);
        self.begin(
            key,
            Stream {
                pid,
                anchor,
                carried: missed,
                from_anchor: true,
                since,
                last: None,
                kept,
                recovered: true,
            },
        );
    }

    /// What is done to all sockets of a selection is done to those that are away, too: who is put out of a room meanwhile must not
    /// come back into it.
    pub(super) fn apply(&mut self, namespace: NamespaceId, scope: &Scope, op: &Op) {
        if matches!(op, Op::Broadcast(_)) || !self.awaits(namespace) {
            return;
        }
        let mut gone = Vec::new();
        for (_, pid) in &self.expiry {
            let Some(Holder::Lost(lost)) = self.pids.get_mut(pid) else { continue };
            if lost.namespace != namespace || !scope.means(&lost.rooms) {
                continue;
            }
            match op {
                Op::Broadcast(_) => {}
                Op::Join(rooms) => {
                    for room in rooms {
                        if !lost.rooms.contains(room) {
                            lost.rooms.push(room.clone());
                        }
                    }
                }
                Op::Leave(rooms) => lost.rooms.retain(|room| !rooms.contains(room)),
                Op::Disconnect { .. } => gone.push(*pid),
            }
        }
        gone.into_iter().for_each(|pid| self.forget(pid));
    }

    /// Whether somebody may come back to this namespace.
    pub(super) fn awaits(&self, namespace: NamespaceId) -> bool {
        self.awaited.contains_key(&namespace)
    }

    pub(super) fn remove_namespace(&mut self, namespace: NamespaceId) {
        self.logs.remove(&namespace);
    }

    /// Forgets everything, for good.
    pub(super) fn close(&mut self) {
        self.over = true;
        while let Some(&(_, pid)) = self.expiry.first() {
            self.forget(pid);
        }
        self.logs.clear();
        self.carriers.clear();
        self.sweep_at = None;
    }

    fn arm(&mut self, at: Instant) {
        if self.sweep_at.is_none_or(|sweep| at < sweep) {
            self.sweep_at = Some(at);
            self.earlier = true;
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.sweep_at.is_none_or(|at| at > now) {
            return;
        }
        let age = self.age();
        let mut next = None;
        for log in self.logs.values_mut() {
            next = earliest(next, log.expire(age, now));
        }
        while let Some(&(until, pid)) = self.expiry.first() {
            if until > now {
                next = earliest(next, Some(until));
                break;
            }
            self.forget(pid);
        }
        while let Some(&(until, key)) = self.carriers.front() {
            if until > now {
                next = earliest(next, Some(until));
                break;
            }
            self.carriers.pop_front();
            if let Some(stream) = self.live.get_mut(key) {
                stream.carried = Vec::new();
                stream.from_anchor = false;
            }
        }
        self.sweep_at = next.map(|at| at.max(now + SWEEP));
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.sweep_at
    }

    pub(super) fn is_earlier(&self) -> bool {
        self.earlier || !self.dropped.is_empty()
    }

    pub(super) fn clear_earlier(&mut self) {
        self.earlier = false;
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Server {
    /// Takes the session that a client wants back: from those whose clients are away, or from a connection that still seems to live.
    /// That happens often, because a broken connection is noticed late; the client knows better, and nobody else knows the `pid`.
    /// The old socket then ends with the reason `transport close`.
    ///
    /// `None` if this server has no such session, or if the client may have lost events that are not there any more. In the second
    /// case the session is over.
    ///
    /// Where several servers share the clients, as shards do, each must be asked, while none of them sends a broadcast of which
    /// others do not know yet.
    pub fn release(
        &mut self,
        namespace: NamespaceId,
        request: &RecoveryRequest,
        now: Instant,
    ) -> Option<Session> {
        if let Some(key) = self.recovery.as_ref()?.holder(&request.pid) {
            let socket = self.hub.get(key).filter(|socket| socket.namespace() == namespace)?;
            let (id, slot) = socket.handle;
            let conn = self.conns.get_mut(id)?;
            conn.undelivered |= conn.engine.outbox_bytes() > 0;
            let _ = conn.socket.supersede(slot);
            let alone = conn.socket.slots().next().is_none();
            let _ = self.process(id, now);
            if let Some(conn) = self.conns.get_mut(id).filter(|_| alone) {
                conn.engine.close(false, now);
                let _ = self.process(id, now);
            }
        }
        self.recovery.as_mut()?.release(namespace, request, now)
    }

    /// Gives a session to a socket that is not accepted yet: the socket has its id and its rooms from here on, and
    /// [`accept`](Self::accept) sends what was missed. If the client is lost before that, the session waits again.
    ///
    /// # Errors
    /// [`UsageError::Gone`] if the client has left meanwhile, is of another namespace, was accepted, or has a session already. The
    /// session is over then.
    pub fn resume(&mut self, key: SocketKey, session: Session) -> Result<(), UsageError> {
        let socket = self.hub.get(key).ok_or(UsageError::Gone)?;
        let recovery = self.recovery.as_mut().ok_or(UsageError::Gone)?;
        if socket.is_connected() || socket.namespace() != session.namespace || recovery.live.contains_key(key)
        {
            recovery.dropped.extend(session.kept);
            return Err(UsageError::Gone);
        }
        self.hub.adopt(key, session.id, &session.rooms);
        recovery.resume(key, session);
        Ok(())
    }

    /// Does [`release`](Self::release) and [`resume`](Self::resume), for a server that is alone. Says whether the socket has the
    /// session.
    pub fn recover(&mut self, key: SocketKey, request: &RecoveryRequest, now: Instant) -> bool {
        let Some(namespace) = self.hub.get(key).map(|socket| socket.namespace()) else { return false };
        self.release(namespace, request, now).is_some_and(|session| self.resume(key, session).is_ok())
    }

    /// Whether a socket has the session of an earlier one.
    #[must_use]
    pub fn is_recovered(&self, key: SocketKey) -> bool {
        let stream = self.recovery.as_ref().and_then(|recovery| recovery.live.get(key));
        stream.is_some_and(|stream| stream.recovered)
    }

    /// Keeps something with the session of a socket that was accepted, or resumed. Whatever was kept before is dropped, see
    /// [`take_dropped`](Self::take_dropped). Ignored without recovery, and for sockets that are gone.
    pub fn keep(&mut self, key: SocketKey, value: Kept) {
        let Some(recovery) = &mut self.recovery else { return };
        if let Some(stream) = recovery.live.get_mut(key) {
            recovery.dropped.extend(stream.kept.replace(value));
        }
    }

    /// What is kept with the session of a socket.
    #[must_use]
    pub fn kept(&self, key: SocketKey) -> Option<&Kept> {
        self.recovery.as_ref()?.live.get(key)?.kept.as_ref()
    }

    /// What was kept with sessions that are over: the owner drops it where it likes, for example outside of a lock.
    pub fn take_dropped(&mut self) -> Vec<Kept> {
        self.recovery.as_mut().map(|recovery| core::mem::take(&mut recovery.dropped)).unwrap_or_default()
    }
}
