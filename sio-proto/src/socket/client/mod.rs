//! The namespaces of a client, from connection to connection.

mod buffer;
mod config;
mod event;
mod namespace;
mod out;
mod recovery;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

pub use config::{AuthSource, BufferOverflow, SocketConfig};
pub use event::{AckId, ClientConnEvent, ClientEmitError, ConnectionError, Emit, Emitted, Ticket};
use namespace::{Namespace, Shared, State};
use out::{Kind, Outbox};

use super::conn::{ConnConfig, DisconnectReason, Slot};
use super::control;
use super::packet::{Packet, PacketError};
use super::parser::Wire;
use crate::engine::{CloseReason, Encoded, Message, TransportError};
use crate::time::earliest;
use crate::{Instant, Str, UsageError};

/// The Socket.IO side of a client: its namespaces, what they send and buffer, and which acknowledgements they are owed. It lives as
/// long as the client, over any number of connections.
///
/// - *Inputs*: [`handle_open`](Self::handle_open), [`handle_message`](Self::handle_message), [`handle_failure`](Self::handle_failure),
///   [`handle_close`](Self::handle_close), [`handle_timeout`](Self::handle_timeout).
/// - *Commands*: [`socket`](Self::socket), [`connect`](Self::connect), [`authenticate`](Self::authenticate), [`emit`](Self::emit),
///   [`ack`](Self::ack), [`disconnect`](Self::disconnect).
/// - *Outputs*: [`poll_message`](Self::poll_message), [`poll_event`](Self::poll_event), [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct ClientConn {
    config: ConnConfig,
    max_outbox: usize,
    wire: Wire,
    namespaces: Vec<Namespace>,
    out: Outbox,
    events: VecDeque<ClientConnEvent>,
    open: bool,
    next_ticket: u32,
}

impl ClientConn {
    /// A client without namespaces. `max_outbox`: most bytes of events that may wait to be sent while connected.
    #[must_use]
    pub fn new(config: ConnConfig, max_outbox: usize) -> Self {
        Self {
            max_outbox,
            wire: Wire::new(&config),
            namespaces: Vec::new(),
            out: Outbox::new(config.codec.clone()),
            config,
            events: VecDeque::new(),
            open: false,
            next_ticket: 0,
        }
    }

    // ---- Commands -----------------------------------------------------------------------------------------------

    /// The namespace of this name, made with these settings if there is none; `chat` is `/chat`. It does not connect by itself.
    pub fn socket(&mut self, name: &str, config: SocketConfig) -> Slot {
        let bare = name.strip_prefix('/').unwrap_or(name);
        if let Some(namespace) = self.namespaces.iter().find(|namespace| namespace.name[1..] == *bare) {
            return namespace.slot;
        }
        let slot = Slot(u32::try_from(self.namespaces.len()).unwrap_or(u32::MAX));
        let mut full = alloc::string::String::from("/");
        full.push_str(bare);
        self.namespaces.push(Namespace::new(slot, full.into(), config));
        slot
    }

    /// Joins the namespace, now or as soon as there is a connection. Does nothing if it is joined or about to be.
    pub fn connect(&mut self, slot: Slot, now: Instant) {
        let open = self.open;
        let until = now + self.config.connect_timeout;
        let Some(namespace) = self.find(slot) else { return };
        match namespace.state {
            State::Inactive => {
                namespace.state = State::Waiting;
                if open {
                    self.begin(slot, now);
                }
            }
            // The server has been asked already; twice would be two sockets (B104).
            State::Leaving if !open => namespace.state = State::Waiting,
            State::Leaving => namespace.state = State::Joining { until: Some(until) },
            _ => {}
        }
    }

    /// Answers [`ClientConnEvent::Authenticate`] with a JSON object, or with nothing.
    ///
    /// # Errors
    /// [`UsageError::Gone`] if the question is void: the connection was lost, or the namespace left.
    pub fn authenticate(
        &mut self,
        slot: Slot,
        ticket: Ticket,
        auth: Result<Option<Str>, Str>,
        now: Instant,
    ) -> Result<(), UsageError> {
        let until = now + self.config.connect_timeout;
        let (namespace, mut shared) = self.lend(slot)?;
        if namespace.state != State::Asking(ticket) {
            return Err(UsageError::Gone);
        }
        match auth {
            Ok(auth) => namespace.join(auth.as_deref(), until, shared.out),
            Err(reason) => {
                namespace.deactivate();
                namespace.fail(ConnectionError::Auth(reason), &mut shared);
            }
        }
        Ok(())
    }

    /// Sends an event: now, or once the namespace is joined. `writable`: whether a packet sent now goes out at once, for volatile
    /// events (B126).
    ///
    /// # Errors
    /// [`ClientEmitError`] says why it is neither sent nor kept; nothing has changed then.
    pub fn emit(
        &mut self,
        slot: Slot,
        emit: Emit,
        writable: bool,
        now: Instant,
    ) -> Result<Emitted, ClientEmitError> {
        let max_outbox = self.max_outbox;
        let (namespace, mut shared) = self.lend(slot)?;
        namespace.emit(emit, writable, max_outbox, now, &mut shared)
    }

    /// Acknowledges an event. Nothing is sent if the connection on which it came is over, or the namespace was left since: the id
    /// would mean something else.
    ///
    /// # Errors
    /// [`ClientEmitError::Full`] gives the packet back, [`UsageError::Gone`] if there is nobody to acknowledge to.
    pub fn ack(&mut self, slot: Slot, ack: AckId, packet: Encoded) -> Result<(), ClientEmitError> {
        let max_outbox = self.max_outbox;
        let (namespace, shared) = self.lend(slot)?;
        if ack.epoch != namespace.epoch || namespace.state != State::Joined {
            return Err(UsageError::Gone.into());
        }
        if !shared.out.has_room(&packet, max_outbox) {
            return Err(ClientEmitError::Full(packet));
        }
        shared.out.push(slot, packet, Kind::Own);
        Ok(())
    }

    /// Nobody waits for this answer any more; a late one is ignored.
    pub fn forget_ack(&mut self, slot: Slot, id: u64) {
        if let Some(namespace) = self.find(slot) {
            namespace.forget_ack(id);
        }
    }

    /// Drops the events that wait to be sent, and tells those who wait for their acknowledgements.
    pub fn clear_send_buffer(&mut self, slot: Slot) {
        if let Ok((namespace, mut shared)) = self.lend(slot) {
            namespace.clear(&mut shared);
        }
    }

    /// Leaves the namespace for good (B141), after what was emitted before. Events emitted from now on wait for [`connect`](Self::connect).
    pub fn disconnect(&mut self, slot: Slot) {
        let Ok((namespace, mut shared)) = self.lend(slot) else { return };
        if !namespace.is_active() {
            return;
        }
        let state = namespace.state;
        namespace.deactivate();
        match state {
            State::Joined => {
                namespace.left = true;
                shared.out.forget_acks(slot);
                shared.out.push_own(slot, control::disconnect(shared.out.codec(), &namespace.name));
                namespace.tell_disconnect(DisconnectReason::IoClientDisconnect, &mut shared);
                namespace.handle_loss(VecDeque::new(), &mut shared);
            }
            State::Joining { .. } => namespace.state = State::Leaving,
            _ => {}
        }
    }

    // ---- Inputs -------------------------------------------------------------------------------------------------

    /// There is a connection: active namespaces join.
    pub fn handle_open(&mut self, now: Instant) {
        self.open = true;
        self.wire.reset();
        for slot in self.slots().collect::<Vec<_>>() {
            if let Some(namespace) = self.find(slot) {
                namespace.left = false;
            }
            self.begin(slot, now);
        }
    }

    /// A message arrived.
    ///
    /// # Errors
    /// It is not a Socket.IO packet, or breaks a limit: the connection must be closed.
    pub fn handle_message(&mut self, message: Message, now: Instant) -> Result<(), PacketError> {
        let Some(packet) = self.wire.decode(message)? else { return Ok(()) };
        // Packets for namespaces that we do not know are nobody's.
        let Some(slot) = self.slot_of(packet.namespace()) else { return Ok(()) };
        let limit = self.config.max_packet_bytes;
        let Ok((namespace, mut shared)) = self.lend(slot) else { return Ok(()) };
        match packet {
            Packet::Connect { data, .. } => namespace.handle_connect(data.as_deref(), now, &mut shared),
            Packet::ConnectError { data, .. } => namespace.handle_connect_error(data.as_deref(), &mut shared),
            Packet::Event { id, payload, .. } => {
                if namespace.handle_event(payload, id, now, &mut shared) > limit {
                    return Err(PacketError::TooLarge { limit });
                }
            }
            Packet::Ack { id, payload, .. } => namespace.handle_ack(id, payload, now, &mut shared),
            Packet::Disconnect { .. } => match namespace.state {
                // It sent the session away that has left; the answer to CONNECT is still to come.
                State::Joining { .. } | State::Leaving if namespace.left => {}
                State::Joining { .. } | State::Joined => {
                    namespace.deactivate();
                    let unsent = shared.out.take(slot);
                    namespace.tell_disconnect(DisconnectReason::IoServerDisconnect, &mut shared);
                    namespace.handle_loss(unsent, &mut shared);
                }
                State::Leaving => namespace.state = State::Inactive,
                _ => {}
            },
        }
        Ok(())
    }

    /// An attempt to get a connection has failed; who waits for one is told (B139).
    pub fn handle_failure(&mut self, error: &ConnectionError) {
        for slot in self.slots().collect::<Vec<_>>() {
            let Ok((namespace, mut shared)) = self.lend(slot) else { continue };
            if namespace.is_active() {
                namespace.fail(error.clone(), &mut shared);
            }
        }
    }

    /// The connection is about to be closed, because no namespace is active: nothing more can be sent on it. One that is to be joined
    /// now waits for the next connection.
    pub fn handle_closing(&mut self) {
        self.open = false;
    }

    /// The connection is over. Active namespaces wait for the next one.
    pub fn handle_close(&mut self, reason: CloseReason, error: Option<&ConnectionError>) {
        self.open = false;
        self.wire.reset();
        for slot in self.slots().collect::<Vec<_>>() {
            let Ok((namespace, mut shared)) = self.lend(slot) else { continue };
            let unsent = shared.out.take(slot);
            match namespace.state {
                State::Joined => {
                    namespace.state = State::Waiting;
                    namespace.tell_disconnect(DisconnectReason::Connection(reason), &mut shared);
                }
                State::Asking(_) | State::Joining { .. } => {
                    namespace.state = State::Waiting;
                    let closed = || ConnectionError::Transport(TransportError::Closed);
                    namespace.fail(error.cloned().unwrap_or_else(closed), &mut shared);
                }
                State::Leaving => namespace.state = State::Inactive,
                State::Inactive | State::Waiting => {}
            }
            namespace.handle_loss(unsent, &mut shared);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        for slot in self.slots().collect::<Vec<_>>() {
            if let Ok((namespace, mut shared)) = self.lend(slot) {
                namespace.handle_timeout(now, &mut shared);
            }
        }
    }

    // ---- Outputs ------------------------------------------------------------------------------------------------

    /// The next packet, for a transport that takes it now: what is not asked for can still go over the next connection.
    pub fn poll_message(&mut self) -> Option<Encoded> {
        if self.open { self.out.pop() } else { None }
    }

    /// Whether there are packets to send.
    #[must_use]
    pub fn has_messages(&self) -> bool {
        self.open && !self.out.is_empty()
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<ClientConnEvent> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.namespaces.iter().fold(None, |at, namespace| earliest(at, namespace.deadline()))
    }

    // ---- What there is ------------------------------------------------------------------------------------------

    /// All namespaces.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..u32::try_from(self.namespaces.len()).unwrap_or(u32::MAX)).map(Slot)
    }

    /// The name of a namespace, with its slash.
    #[must_use]
    pub fn name(&self, slot: Slot) -> Option<&Str> {
        self.get(slot).map(|namespace| &namespace.name)
    }

    /// The id that the server gave, while connected (B147).
    #[must_use]
    pub fn id(&self, slot: Slot) -> Option<&Str> {
        self.get(slot).and_then(|namespace| namespace.id.as_ref())
    }

    /// Whether the namespace is joined.
    #[must_use]
    pub fn is_connected(&self, slot: Slot) -> bool {
        self.get(slot).is_some_and(|namespace| namespace.state == State::Joined)
    }

    /// Whether the namespace is joined, or will be as soon as can be.
    #[must_use]
    pub fn is_active(&self, slot: Slot) -> bool {
        self.get(slot).is_some_and(Namespace::is_active)
    }

    /// Whether any namespace is active: without one, no connection is needed.
    #[must_use]
    pub fn any_active(&self) -> bool {
        self.namespaces.iter().any(Namespace::is_active)
    }

    /// Whether the last CONNECT continued the session before it.
    #[must_use]
    pub fn recovered(&self, slot: Slot) -> bool {
        self.get(slot).is_some_and(|namespace| namespace.recovered)
    }

    /// Why the namespace is not joined, as far as something happened; `None` while it is.
    #[must_use]
    pub fn last_error(&self, slot: Slot) -> Option<&ConnectionError> {
        self.get(slot).and_then(|namespace| namespace.last_error.as_ref())
    }

    /// How often the namespace could not be joined.
    #[must_use]
    pub fn failures(&self, slot: Slot) -> u64 {
        self.get(slot).map_or(0, |namespace| namespace.failures)
    }

    /// Bytes of events that wait to be sent.
    #[must_use]
    pub fn buffered(&self, slot: Slot) -> usize {
        self.get(slot).map_or(0, Namespace::buffered) + self.out.bytes()
    }

    /// Whether at most half of what may wait does.
    #[must_use]
    pub fn has_room(&self, slot: Slot) -> bool {
        self.get(slot).is_none_or(|namespace| {
            namespace.buffered() <= namespace.config.max_send_buffer / 2
                && self.out.bytes() <= self.max_outbox / 2
        })
    }

    /// Whether events of this namespace are sent one at a time, until they are acknowledged.
    #[must_use]
    pub fn has_retries(&self, slot: Slot) -> bool {
        self.get(slot).is_some_and(|namespace| namespace.config.retries.is_some())
    }

    fn begin(&mut self, slot: Slot, now: Instant) {
        let until = now + self.config.connect_timeout;
        let ticket = Ticket(self.next_ticket);
        let Ok((namespace, shared)) = self.lend(slot) else { return };
        if namespace.state != State::Waiting {
            return;
        }
        match namespace.fixed_auth() {
            Some(auth) => namespace.join(auth.as_deref(), until, shared.out),
            None => {
                namespace.state = State::Asking(ticket);
                shared.events.push_back(ClientConnEvent::Authenticate { slot, ticket });
                self.next_ticket = self.next_ticket.wrapping_add(1);
            }
        }
    }

    fn slot_of(&self, name: &Str) -> Option<Slot> {
        self.namespaces.iter().find(|namespace| namespace.name == *name).map(|namespace| namespace.slot)
    }

    fn get(&self, slot: Slot) -> Option<&Namespace> {
        self.namespaces.get(usize::try_from(slot.0).ok()?)
    }

    fn find(&mut self, slot: Slot) -> Option<&mut Namespace> {
        self.namespaces.get_mut(usize::try_from(slot.0).ok()?)
    }

    /// A namespace, and what it shares with the others.
    fn lend(&mut self, slot: Slot) -> Result<(&mut Namespace, Shared<'_>), UsageError> {
        let at = usize::try_from(slot.0).map_err(|_| UsageError::UnknownNamespace)?;
        let namespace = self.namespaces.get_mut(at).ok_or(UsageError::UnknownNamespace)?;
        let shared = Shared { out: &mut self.out, events: &mut self.events };
        Ok((namespace, shared))
    }
}
