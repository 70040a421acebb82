//! Connection state recovery: the sessions of clients that are there or away, and the last events.
//!
//! ```text
//!            connection lost            client is back
//!   Live ───────────────────► Lost ─────────────────────► Session ──► Live, on another connection
//!     │                         │ time over
//!     └── left, sent away ──► gone ◄┘
//! ```

mod away;
mod config;
mod logs;
mod rooms;
mod session;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use slotmap::SecondaryMap;

use away::Away;
pub use config::ConnectionStateRecovery;
use logs::Logs;
pub use session::{Kept, RecoveryRequest, Session};
use session::{Laden, Lost, Stream, weight};

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
    logs: Logs,
    live: SecondaryMap<SocketKey, Stream>,
    /// Sockets that have a session back, but are not let in yet.
    pending: BTreeMap<NamespaceId, BTreeSet<SocketKey>>,
    pids: BTreeMap<Pid, Holder>,
    away: Away,
    /// Who carries events of an earlier connection, in the order in which these go for want of room.
    laden: BTreeSet<(Laden, Pid)>,
    /// What all sessions carry, in bytes.
    carried: usize,
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
            max_missed: config.max_missed_bytes.min(engine.max_outbox),
            logs: Logs::default(),
            live: SecondaryMap::new(),
            pending: BTreeMap::new(),
            pids: BTreeMap::new(),
            away: Away::default(),
            laden: BTreeSet::new(),
            carried: 0,
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
        self.logs.push(namespace, (offset, target, packet), now, &self.config);
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

    /// A socket has joined a room, or left one.
    pub(super) fn moved(&mut self, key: SocketKey, namespace: NamespaceId, room: &str, joined: bool) {
        if let (Some(stream), Some(log)) = (self.live.get_mut(key), self.logs.get(namespace)) {
            stream.changes.note(log, stream.since, room.into(), joined);
        }
    }

    /// What was sent to a socket before this time has arrived.
    pub(super) fn confirm(&mut self, key: SocketKey, at: Instant) {
        let Some(stream) = self.live.get_mut(key).filter(|stream| stream.welcomed.is_some_and(|of| of < at))
        else {
            return;
        };
        stream.takeovers = 0;
        if stream.laden.is_some() || stream.pruned {
            stream.pruned = false;
            stream.from_anchor = false;
            let pid = stream.pid;
            self.unload(pid);
        }
    }

    fn begin(&mut self, key: SocketKey, stream: Stream) {
        self.pids.insert(stream.pid, Holder::Live(key));
        self.live.insert(key, stream);
    }

    fn stream(&mut self, pid: Pid) -> Option<&mut Stream> {
        match self.pids.get_mut(&pid)? {
            Holder::Live(key) => self.live.get_mut(*key),
            Holder::Lost(lost) => Some(&mut lost.stream),
        }
    }

    /// Drops what a session carries.
    fn unload(&mut self, pid: Pid) {
        let Some(stream) = self.stream(pid) else { return };
        let carried = core::mem::take(&mut stream.carried);
        let laden = stream.laden.take();
        self.discount(pid, &carried, laden);
    }

    /// A session does not carry this any more, or is not one of ours any more.
    fn discount(&mut self, pid: Pid, carried: &[(Offset, Encoded)], laden: Option<Laden>) {
        self.carried -= weight(carried);
        if let Some(laden) = laden {
            self.laden.remove(&(laden, pid));
        }
    }

    /// Says whether so many bytes more may be carried; drops others for that.
    fn make_room(&mut self, bytes: usize) -> bool {
        while self.carried.saturating_add(bytes) > self.config.max_carried_bytes {
            let Some(&(_, pid)) = self.laden.first() else { return false };
            if let Some(stream) = self.stream(pid) {
                stream.pruned = true;
                stream.from_anchor = false;
            }
            self.unload(pid);
        }
        true
    }

    /// A socket does not wait to be let in any more.
    fn admit(&mut self, namespace: NamespaceId, key: SocketKey) {
        if let Some(keys) = self.pending.get_mut(&namespace) {
            keys.remove(&key);
            if keys.is_empty() {
                self.pending.remove(&namespace);
            }
        }
    }

    /// A socket is let in. Gives its secret, and what it has missed.
    pub(super) fn welcome(
        &mut self,
        key: SocketKey,
        (namespace, id, rooms): (NamespaceId, SocketId, &[Room]),
        random: &mut Random,
        now: Instant,
    ) -> (Pid, Vec<Encoded>) {
        if !self.live.contains_key(key) {
            self.begin(key, Stream::new(Pid::random(random), self.logs.end(namespace)));
        }
        self.admit(namespace, key);
        let log = self.logs.get(namespace);
        let Some(stream) = self.live.get_mut(key) else { return (Pid::random(random), Vec::new()) };
        let logged = log.map(|log| stream.changes.replay(log, stream.since, &id, rooms, usize::MAX).0);
        stream.welcomed = Some(now);
        let (mut last, mut packets) = (None, Vec::new());
        for (offset, packet) in stream.carried.iter().cloned().chain(logged.into_iter().flatten()) {
            last = Some((offset, now));
            packets.push(packet);
        }
        stream.last = last;
        let pid = stream.pid;
        if !stream.carried.is_empty() {
            let laden = (true, now);
            stream.laden = Some(laden);
            self.laden.insert((laden, pid));
        }
        (pid, packets)
    }

    /// A socket is gone; `recoverable`, unless it has left or was sent away. What was sent before `arrived` has arrived.
    pub(super) fn lose(
        &mut self,
        key: SocketKey,
        recoverable: bool,
        arrived: Option<Instant>,
        (namespace, id, rooms): (NamespaceId, SocketId, &[Room]),
        now: Instant,
    ) {
        let Some(mut stream) = self.live.remove(key) else { return };
        self.admit(namespace, key);
        let pid = stream.pid;
        if !recoverable || self.over || self.config.max_sessions == 0 {
            self.pids.remove(&pid);
            self.discount(pid, &stream.carried, stream.laden);
            self.dropped.extend(stream.kept);
            return;
        }
        while self.away.len() >= self.config.max_sessions {
            let Some((_, oldest)) = self.away.first() else { break };
            self.forget(oldest);
        }
        let until = now + self.config.max_disconnection_duration;
        if let Some(laden) = stream.laden.take() {
            self.laden.remove(&(laden, pid));
        }
        if !stream.carried.is_empty() {
            let laden = (false, until);
            stream.laden = Some(laden);
            self.laden.insert((laden, pid));
        }
        let end = self.logs.end(namespace);
        let lost = Lost { stream, id, namespace, rooms: rooms.to_vec(), end, arrived, until };
        self.away.insert(&lost);
        self.pids.insert(pid, Holder::Lost(Box::new(lost)));
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
                self.away.remove(&lost);
                self.discount(pid, &lost.stream.carried, lost.stream.laden);
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

    /// Whether a session may be taken from a socket that seems to be there. Counts it.
    fn takes_over(&mut self, key: SocketKey) -> bool {
        let Some(stream) = self.live.get_mut(key) else { return false };
        let may = stream.takeovers < self.config.max_takeovers;
        stream.takeovers += u32::from(may);
        may
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
        let log = self.logs.get(namespace).unwrap_or(&nothing);
        let in_time = lost.until > now;
        let missed = in_time.then(|| lost.missed(request.offset.as_ref(), log, self.max_missed)).flatten();
        let Lost { stream, id, rooms, .. } = lost;
        let Some(missed) = missed else {
            self.dropped.extend(stream.kept);
            return None;
        };
        let (takeovers, anchor) = (stream.takeovers, request.offset.clone());
        Some(Session { pid: stream.pid, id, namespace, rooms, anchor, missed, takeovers, kept: stream.kept })
    }

    /// A new socket has the session from here on.
    fn resume(&mut self, key: SocketKey, session: Session) -> Result<(), UsageError> {
        let Session { pid, namespace, anchor, missed, takeovers, kept, .. } = session;
        let bytes = weight(&missed);
        if !self.make_room(bytes) {
            self.dropped.extend(kept);
            return Err(UsageError::Gone);
        }
        self.carried += bytes;
        self.pending.entry(namespace).or_default().insert(key);
        let stream = Stream::new(pid, self.logs.end(namespace));
        // A string that is no offset says nothing: the client may show the same one after it has seen more (B131).
        let from_anchor = anchor.as_ref().is_none_or(|anchor| Offset::parse(anchor).is_some());
        let stream = Stream { anchor, from_anchor, carried: missed, takeovers, kept, ..stream };
        self.begin(key, Stream { recovered: true, ..stream });
        Ok(())
    }

    /// What is done to all sockets of a selection is done to those that are away, too: who is put out of a room meanwhile must not
    /// come back into it.
    pub(super) fn apply(&mut self, namespace: NamespaceId, scope: &Scope, op: &Op) {
        if matches!(op, Op::Broadcast(_)) || !self.awaits(namespace) {
            return;
        }
        for pid in self.away.selected(namespace, scope) {
            let Some(Holder::Lost(lost)) = self.pids.get_mut(&pid) else { continue };
            let log = self.logs.get(namespace);
            let mut note = |room: &Room, joined| {
                if let Some(log) = log {
                    lost.stream.changes.note(log, lost.stream.since, room.clone(), joined);
                }
            };
            match op {
                Op::Broadcast(_) => {}
                Op::Join(rooms) => {
                    for room in rooms {
                        if !lost.rooms.contains(room) {
                            lost.rooms.push(room.clone());
                            self.away.join(namespace, room, pid);
                            note(room, true);
                        }
                    }
                }
                Op::Leave(rooms) => {
                    for room in rooms {
                        if let Some(at) = lost.rooms.iter().position(|joined| joined == room) {
                            lost.rooms.remove(at);
                            self.away.leave(namespace, room, pid);
                            note(room, false);
                        }
                    }
                }
                Op::Disconnect { .. } => self.forget(pid),
            }
        }
    }

    /// The sockets of a namespace that have a session back, but are not let in yet.
    pub(super) fn pending(&self, namespace: NamespaceId) -> impl Iterator<Item = SocketKey> + '_ {
        self.pending.get(&namespace).into_iter().flatten().copied()
    }

    /// Whether somebody may come back to this namespace.
    pub(super) fn awaits(&self, namespace: NamespaceId) -> bool {
        self.away.awaits(namespace)
    }

    pub(super) fn remove_namespace(&mut self, namespace: NamespaceId) {
        self.logs.remove(namespace);
    }

    /// Forgets everything, for good.
    pub(super) fn close(&mut self) {
        self.over = true;
        while let Some((_, pid)) = self.away.first() {
            self.forget(pid);
        }
        self.logs = Logs::default();
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
        let mut next = self.logs.expire(self.age(), now);
        while let Some((until, pid)) = self.away.first() {
            if until > now {
                next = earliest(next, Some(until));
                break;
            }
            self.forget(pid);
        }
        self.sweep_at = next.map(|at| at.max(now + SWEEP));
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.sweep_at
    }

    pub(super) fn has_dropped(&self) -> bool {
        !self.dropped.is_empty()
    }

    pub(super) fn is_earlier(&self) -> bool {
        self.earlier || !self.dropped.is_empty()
    }

    pub(super) fn clear_earlier(&mut self) {
        self.earlier = false;
    }
}

impl Server {
    /// Takes the session that a client wants back: from those whose clients are away, or from a connection that still seems to live.
    /// That happens often, because a broken connection is noticed late; the client knows better, and nobody else knows the `pid`.
    /// The old socket then ends with the reason `transport close`.
    ///
    /// `None` if this server has no such session, if it was taken over too often
    /// ([`max_takeovers`](ConnectionStateRecovery::max_takeovers)), or if the client may have lost events that are not there any more. In
    /// the last case the session is over.
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
            if !self.recovery.as_mut()?.takes_over(key) {
                return None;
            }
            let conn = self.conns.get_mut(id)?;
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
    /// [`UsageError::Gone`] if the client has left meanwhile, is of another namespace, was accepted, or has a session already; or if
    /// there is no room for what it has missed ([`max_carried_bytes`](ConnectionStateRecovery::max_carried_bytes)). The session is over then.
    pub fn resume(&mut self, key: SocketKey, session: Session) -> Result<(), UsageError> {
        let recovery = self.recovery.as_mut().ok_or(UsageError::Gone)?;
        let Some(socket) = self.hub.get(key) else {
            recovery.dropped.extend(session.kept);
            return Err(UsageError::Gone);
        };
        if socket.is_connected() || socket.namespace() != session.namespace || recovery.live.contains_key(key)
        {
            recovery.dropped.extend(session.kept);
            return Err(UsageError::Gone);
        }
        let (id, rooms) = (session.id, session.rooms.clone());
        recovery.resume(key, session)?;
        self.hub.adopt(key, id, &rooms);
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
