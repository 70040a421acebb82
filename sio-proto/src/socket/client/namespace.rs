//! One namespace of a client, from connection to connection.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::time::Duration;

use super::buffer::{Buffer, Retries, Waiting};
use super::config::{AuthSource, BufferOverflow, SocketConfig};
use super::event::{AckId, ClientConnEvent, ClientEmitError, ConnectionError, Emit, Emitted, Ticket};
use super::out::{Kind, Outbox};
use super::recovery::Recovery;
use crate::engine::Encoded;
use crate::socket::conn::{AckError, DisconnectReason, Slot};
use crate::socket::control::{self, ConnectError};
use crate::socket::payload::Payload;
use crate::time::earliest;
use crate::{Instant, Str, UsageError};

/// The shortest time that a try takes.
const SOON: Duration = Duration::from_millis(1);

/// ```text
///              connection          auth is there        CONNECT reply
///   Waiting ──────────────► Asking ─────────────► Joining ─────────────► Joined
///      ▲  ▲                   │                     │                      │
///      │  └───── connection lost ◄──────────────────┴──────────────────────┤
///   connect()                                                              │
///   Inactive ◄──── refused, disconnected by either side ◄──────────────────┘
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Does not want to be connected.
    Inactive,
    /// Wants to, and there is no connection.
    Waiting,
    /// The application is asked for `auth`.
    Asking(Ticket),
    /// CONNECT is sent; until when the answer may take before it is reported.
    Joining { until: Option<Instant> },
    /// Connected.
    Joined,
    /// As `Inactive`, but CONNECT is sent: its answer must come before the server can be told.
    Leaving,
}

#[derive(Debug)]
pub(super) struct Namespace {
    pub(super) slot: Slot,
    pub(super) name: Str,
    pub(super) config: SocketConfig,
    pub(super) state: State,
    pub(super) id: Option<Str>,
    pub(super) recovered: bool,
    /// Why it is not connected, and how often it could not be.
    pub(super) last_error: Option<ConnectionError>,
    pub(super) failures: u64,
    /// Counts how often it was left.
    pub(super) epoch: u32,
    recovery: Recovery,
    /// Events that came before the CONNECT reply, as they do in a recovered session (B129).
    early: VecDeque<(Payload, Option<u64>)>,
    early_bytes: usize,
    /// It was joined on this connection, and left by us: until the server answers the next CONNECT, it may not know that yet, and what it
    /// sends is for the session that is over.
    pub(super) left: bool,
    buffer: Buffer,
    retries: Retries,
    /// By id, with the deadline.
    acks: BTreeMap<u64, Option<Instant>>,
    /// Not later than the first deadline in `acks`.
    next_ack: Option<Instant>,
}

/// What all namespaces of a connection share, lent to one of them.
pub(super) struct Shared<'a> {
    pub(super) out: &'a mut Outbox,
    pub(super) events: &'a mut VecDeque<ClientConnEvent>,
}

impl Namespace {
    pub(super) fn new(slot: Slot, name: Str, config: SocketConfig) -> Self {
        Self {
            slot,
            name,
            config,
            state: State::Inactive,
            id: None,
            recovered: false,
            last_error: None,
            failures: 0,
            epoch: 0,
            recovery: Recovery::default(),
            early: VecDeque::new(),
            early_bytes: 0,
            left: false,
            buffer: Buffer::default(),
            retries: Retries::default(),
            acks: BTreeMap::new(),
            next_ack: None,
        }
    }

    pub(super) fn is_active(&self) -> bool {
        !matches!(self.state, State::Inactive | State::Leaving)
    }

    /// Bytes of events that wait for a connection or for their turn.
    /// Whether an event of this length would be taken.
    pub(super) fn has_room_for(&self, len: usize, out: &Outbox, max_outbox: usize) -> bool {
        let limit = self.config.max_send_buffer;
        if self.config.retries.is_some() {
            self.retries.has_room(len, limit)
        } else if self.state == State::Joined {
            out.has_room(len, max_outbox)
        } else {
            self.config.send_buffer_overflow != BufferOverflow::Refuse || self.buffer.has_room(len, limit)
        }
    }

    pub(super) fn buffered(&self) -> usize {
        self.buffer.bytes() + self.retries.bytes()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Joining { until } => earliest(until, self.next_ack),
            _ => self.next_ack,
        }
    }

    // ---- Joining ------------------------------------------------------------------------------------------------

    /// Sends CONNECT, with what recovers the last session. The application's own keys win.
    pub(super) fn join(&mut self, auth: Option<&str>, until: Instant, out: &mut Outbox) {
        let auth = auth.map_or("", str::trim);
        let own = auth.strip_prefix('{').and_then(|auth| auth.strip_suffix('}')).map_or("", str::trim);
        let mut data = String::new();
        if let Some(pid) = self.recovery.pid() {
            let mut add = |key: &str, value: &str| {
                if !has_key(auth, key) {
                    let value = serde_json::to_string(value).unwrap_or_default();
                    let comma = if data.is_empty() { "" } else { "," };
                    let _ = write!(data, "{comma}\"{key}\":{value}");
                }
            };
            add("pid", pid);
            if let Some(offset) = self.recovery.offset() {
                add("offset", offset);
            }
        }
        if !own.is_empty() {
            data.push_str(if data.is_empty() { "" } else { "," });
            data.push_str(own);
        }
        if !data.is_empty() || !auth.is_empty() {
            data.insert(0, '{');
            data.push('}');
        }
        self.state = State::Joining { until: Some(until) };
        out.push_own(self.slot, control::join(out.codec(), &self.name, &data));
    }

    pub(super) fn handle_connect(&mut self, data: Option<&str>, now: Instant, shared: &mut Shared<'_>) {
        #[derive(serde::Deserialize)]
        struct Reply {
            sid: String,
            pid: Option<String>,
        }
        if self.state == State::Leaving {
            self.state = State::Inactive;
            // As if it had been joined: until the server hears of it, what it sends is for the session that is left.
            self.left = true;
            let packet = control::disconnect(shared.out.codec(), &self.name);
            return shared.out.push_own(self.slot, packet);
        }
        // B138: another reply, or one that was not asked for, means nothing.
        if !matches!(self.state, State::Joining { .. }) {
            return;
        }
        let Ok(Reply { sid, pid }) = serde_json::from_str(data.unwrap_or_default()) else {
            self.deactivate();
            return self.fail(ConnectionError::UnsupportedServer, shared);
        };
        self.recovered = self.recovery.connected(pid.map(Str::from));
        self.left = false;
        self.state = State::Joined;
        self.last_error = None;
        let id = Str::from(sid);
        self.id = Some(id.clone());
        // §2.3: what came early, then what waited to be sent, then the news.
        self.early_bytes = 0;
        for (payload, ack) in core::mem::take(&mut self.early) {
            self.deliver(payload, ack, now, shared);
        }
        while let Some(Waiting { packet, ack }) = self.buffer.pop() {
            shared.out.push(self.slot, packet, Kind::Event(ack));
        }
        self.drive(now, shared.out);
        shared.events.push_back(ClientConnEvent::Connect { slot: self.slot, id, recovered: self.recovered });
    }

    pub(super) fn handle_connect_error(&mut self, data: Option<&str>, shared: &mut Shared<'_>) {
        match self.state {
            State::Joining { .. } => {
                self.deactivate();
                self.fail(ConnectionError::Refused(ConnectError::from_wire(data)), shared);
            }
            State::Leaving => self.state = State::Inactive,
            _ => {}
        }
    }

    pub(super) fn fail(&mut self, error: ConnectionError, shared: &mut Shared<'_>) {
        self.last_error = Some(error.clone());
        self.failures += 1;
        shared.events.push_back(ClientConnEvent::ConnectError { slot: self.slot, error });
    }

    /// Leaves for good: only `connect` brings it back.
    pub(super) fn deactivate(&mut self) {
        self.state = State::Inactive;
        self.id = None;
        self.recovery.forget();
        self.early = VecDeque::new();
        self.early_bytes = 0;
    }

    // ---- Events -------------------------------------------------------------------------------------------------

    /// Gives how many bytes wait for the CONNECT reply.
    pub(super) fn handle_event(
        &mut self,
        payload: Payload,
        ack: Option<u64>,
        now: Instant,
        shared: &mut Shared<'_>,
    ) -> usize {
        match self.state {
            State::Joined => self.deliver(payload, ack, now, shared),
            State::Joining { .. } if !self.left => {
                self.early_bytes += payload.size() + size_of::<(Payload, Option<u64>)>();
                self.early.push_back((payload, ack));
            }
            _ => {}
        }
        self.early_bytes
    }

    fn deliver(&mut self, payload: Payload, ack: Option<u64>, now: Instant, shared: &mut Shared<'_>) {
        if ack.is_none() {
            self.recovery.note(&payload, now);
        }
        let ack = ack.map(|id| AckId { id, epoch: self.epoch });
        shared.events.push_back(ClientConnEvent::Event { slot: self.slot, payload, ack });
    }

    pub(super) fn emit(
        &mut self,
        emit: Emit,
        writable: bool,
        max_outbox: usize,
        now: Instant,
        shared: &mut Shared<'_>,
    ) -> Result<Emitted, ClientEmitError> {
        let Emit { packet, ack, timeout, volatile } = emit;
        if ack.is_some_and(|ack| self.awaits(ack)) {
            return Err(UsageError::AckIdInUse.into());
        }
        let joined = self.state == State::Joined;
        if volatile && !(joined && writable && shared.out.is_empty()) {
            return Ok(Emitted::Dropped);
        }
        let limit = self.config.max_send_buffer;
        if self.config.retries.is_some() && !volatile {
            let Some(ack) = ack else { return Err(UsageError::AckIdMissing.into()) };
            if !self.retries.has_room(packet.len(), limit) {
                return Err(ClientEmitError::Full(packet));
            }
            let timeout = self.config.time_for_ack(timeout).unwrap_or_default();
            self.retries.push(packet, ack, timeout);
            if joined {
                self.drive(now, shared.out);
            }
            return Ok(if self.retries.in_flight() == Some(ack) {
                Emitted::Queued
            } else {
                Emitted::Buffered
            });
        }
        let emitted = if joined {
            if !shared.out.has_room(packet.len(), max_outbox) {
                return Err(ClientEmitError::Full(packet));
            }
            shared.out.push(self.slot, packet, Kind::Event(ack));
            Emitted::Queued
        } else {
            let Some(dropped) = self.buffer.make_room(&packet, limit, self.config.send_buffer_overflow)
            else {
                return Err(ClientEmitError::Full(packet));
            };
            for id in dropped {
                // Unless it is forgotten.
                if self.stop_awaiting(id) {
                    self.answer(id, Err(AckError::Dropped), shared);
                }
            }
            self.buffer.push(Waiting { packet, ack });
            Emitted::Buffered
        };
        if let Some(id) = ack {
            self.expect(id, self.config.time_for_ack(timeout).map(|timeout| now + timeout));
        }
        Ok(emitted)
    }

    /// Drops what waits to be sent.
    pub(super) fn clear(&mut self, shared: &mut Shared<'_>) {
        let in_flight = self.retries.in_flight();
        let (waiting, queued): (Vec<u64>, Vec<u64>) =
            (self.buffer.acks().collect(), self.retries.acks().collect());
        self.buffer.clear();
        self.retries.clear();
        for id in waiting {
            // Unless it is forgotten.
            if self.stop_awaiting(id) {
                self.answer(id, Err(AckError::Dropped), shared);
            }
        }
        for id in queued {
            self.stop_awaiting(id);
            let error = if in_flight == Some(id) { AckError::Disconnected } else { AckError::Dropped };
            self.answer(id, Err(error), shared);
        }
    }

    /// Sends the first event of the queue, unless it is on its way.
    fn drive(&mut self, now: Instant, out: &mut Outbox) {
        if let Some(next) = self.retries.start() {
            out.push(self.slot, next.packet, Kind::Retry(next.ack));
            // One of none would be over before the answer could come, and all tries at once.
            self.expect(next.ack, Some(now + next.timeout.max(SOON)));
        }
    }

    // ---- Acknowledgements ---------------------------------------------------------------------------------------

    fn awaits(&self, id: u64) -> bool {
        self.acks.contains_key(&id) || self.retries.holds(id)
    }

    fn expect(&mut self, id: u64, deadline: Option<Instant>) {
        self.acks.insert(id, deadline);
        self.next_ack = earliest(self.next_ack, deadline);
    }

    fn stop_awaiting(&mut self, id: u64) -> bool {
        let awaited = self.acks.remove(&id).is_some();
        if self.acks.is_empty() {
            self.next_ack = None;
        }
        awaited
    }

    fn answer(&self, id: u64, result: Result<Payload, AckError>, shared: &mut Shared<'_>) {
        shared.events.push_back(ClientConnEvent::Ack { slot: self.slot, id, result });
    }

    pub(super) fn handle_ack(&mut self, id: u64, payload: Payload, now: Instant, shared: &mut Shared<'_>) {
        if self.state != State::Joined {
            return;
        }
        let awaited = self.stop_awaiting(id);
        if self.retries.succeed(id) {
            shared.out.remove(self.slot, &BTreeSet::from([id]));
            self.answer(id, Ok(payload), shared);
            self.drive(now, shared.out);
        } else if awaited {
            self.answer(id, Ok(payload), shared);
        }
    }

    /// Nobody waits for the answer any more. The event is sent nevertheless.
    pub(super) fn forget_ack(&mut self, id: u64) {
        if !self.retries.holds(id) {
            self.stop_awaiting(id);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, shared: &mut Shared<'_>) {
        if let State::Joining { until: Some(until) } = self.state {
            if until <= now {
                self.state = State::Joining { until: None };
                self.fail(ConnectionError::Timeout, shared);
            }
        }
        if self.next_ack.is_none_or(|at| at > now) {
            return;
        }
        let mut due = BTreeSet::new();
        let mut next = None;
        self.acks.retain(|&id, deadline| {
            let overdue = deadline.is_some_and(|at| at <= now);
            if overdue {
                due.insert(id);
            } else {
                next = earliest(next, *deadline);
            }
            !overdue
        });
        self.next_ack = next;
        // Nobody waits for them: they need not be sent any more.
        self.buffer.remove(&due);
        shared.out.remove(self.slot, &due);
        for id in due {
            if self.retries.in_flight() == Some(id) {
                self.retry(AckError::Timeout, now, shared);
            } else {
                self.answer(id, Err(AckError::Timeout), shared);
            }
        }
    }

    /// The try on its way has failed: the event is given up, or sent again as soon as can be.
    fn retry(&mut self, error: AckError, now: Instant, shared: &mut Shared<'_>) {
        if let Some(given_up) = self.retries.fail(self.config.retries.unwrap_or_default()) {
            self.answer(given_up, Err(error), shared);
        }
        if self.state == State::Joined {
            self.drive(now, shared.out);
        }
    }

    // ---- The end of a connection --------------------------------------------------------------------------------

    /// The connection is lost, or the namespace was left. What was not sent yet waits for the next time; what was sent is not
    /// acknowledged any more.
    pub(super) fn handle_loss(&mut self, unsent: VecDeque<(Encoded, Kind)>, shared: &mut Shared<'_>) {
        self.epoch = self.epoch.wrapping_add(1);
        // Another connection begins anew; what the server thinks that we have missed it sends again.
        self.early = VecDeque::new();
        self.early_bytes = 0;
        for (packet, kind) in unsent.into_iter().rev() {
            match kind {
                Kind::Event(ack) => self.buffer.push_front(Waiting { packet, ack }),
                Kind::Retry(ack) => {
                    self.acks.remove(&ack);
                    self.retries.take_back(ack);
                }
                Kind::Own => {}
            }
        }
        if let Some(id) = self.retries.in_flight() {
            self.acks.remove(&id);
            self.retry(AckError::Disconnected, Instant::ZERO, shared);
        }
        let kept: BTreeSet<u64> = self.buffer.acks().collect();
        let lost: Vec<u64> = self.acks.keys().copied().filter(|id| !kept.contains(id)).collect();
        for id in lost {
            self.acks.remove(&id);
            self.answer(id, Err(AckError::Disconnected), shared);
        }
        self.next_ack = self.acks.values().copied().fold(None, earliest);
    }

    /// Tells that the namespace was left, if it was joined.
    pub(super) fn tell_disconnect(&mut self, reason: DisconnectReason, shared: &mut Shared<'_>) {
        self.id = None;
        self.last_error = Some(ConnectionError::Disconnected(reason));
        shared.events.push_back(ClientConnEvent::Disconnect { slot: self.slot, reason });
    }

    pub(super) fn fixed_auth(&self) -> Option<Option<Str>> {
        match &self.config.auth {
            AuthSource::None => Some(None),
            AuthSource::Value(auth) => Some(Some(auth.clone())),
            AuthSource::Ask => None,
        }
    }
}

/// Whether a JSON object has this key.
fn has_key(object: &str, key: &str) -> bool {
    let keys: Result<BTreeMap<String, serde::de::IgnoredAny>, _> = serde_json::from_str(object);
    keys.is_ok_and(|keys| keys.contains_key(key))
}
