//! The namespaces on one connection, on the server's side.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::control::{self, ConnectError};
use super::legacy;
use super::packet::{Packet, PacketError};
use super::parser::{Codec, Wire};
use super::payload::Payload;
use crate::engine::{CloseReason, Encoded, Message, Revision};
use crate::time::earliest;
use crate::{Instant, Pid, SocketId, Str, UsageError};

/// Settings of the Socket.IO layer of a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnConfig {
    /// On the server: how long a connection may stay without joining any namespace; then it is closed. Checked until the first
    /// one is joined. On the client: how long a namespace may take to answer before that is reported; a later answer still
    /// counts. Default: 45 s.
    pub connect_timeout: Duration,
    /// Most attachments of one packet; more close the connection. Default: 10, as in the reference.
    pub max_attachments: usize,
    /// Most bytes of one packet together with its attachments; more close the connection. Default: 10,000,000, which is ten
    /// attachments of the largest message; the reference has no such limit.
    pub max_packet_bytes: usize,
    /// Which form packets have. The other side must use the same. Default: the usual one.
    pub codec: Codec,
}

impl Default for ConnConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_millis(45_000),
            max_attachments: 10,
            max_packet_bytes: 10_000_000,
            codec: Codec::Json,
        }
    }
}

/// A namespace on one connection, from the CONNECT that asks for it to its end; on the client, from connection to connection.
/// Numbers are not used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(pub(super) u32);

impl Slot {
    /// The number: on a client, namespaces are numbered from 0 in the order in which they are made.
    #[must_use]
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// What happened on a connection.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum ConnEvent {
    /// The client asks to join a namespace. The answer is due by [`ServerConn::accept`] or [`ServerConn::refuse`]; until then
    /// the slot's other events are those of a client that did not wait for it.
    Connect {
        /// The ticket.
        slot: Slot,
        /// The namespace's name.
        namespace: Str,
        /// The client's `auth`: a JSON object.
        auth: Option<Str>,
    },
    /// The client emitted an event.
    Event {
        /// Where.
        slot: Slot,
        /// Name and arguments.
        payload: Payload,
        /// The id to acknowledge, if an acknowledgement is asked for.
        ack: Option<u64>,
    },
    /// What became of an acknowledgement that we asked for.
    Ack {
        /// Where.
        slot: Slot,
        /// The id of [`ServerConn::expect_ack`].
        id: u64,
        /// The answer.
        result: Result<Payload, AckError>,
    },
    /// The client is no longer in the namespace. The slot's last event, also for one that was never accepted.
    Disconnect {
        /// Where.
        slot: Slot,
        /// Why.
        reason: DisconnectReason,
    },
}

/// Why there is no answer to an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// The time is over.
    #[error("no acknowledgement in time")]
    Timeout,
    /// The peer has left, or the connection to it is lost; whether it saw the event is not known.
    #[error("disconnected before the acknowledgement")]
    Disconnected,
    /// The event was dropped before it was sent, to make room: see [`BufferOverflow`](super::BufferOverflow).
    #[error("dropped from the send buffer")]
    Dropped,
}

/// Why a client is no longer in a namespace, as its server or the client itself sees it. Shown as the reference spells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The connection ended; see [`CloseReason`].
    Connection(CloseReason),
    /// `client namespace disconnect`: the client left.
    ClientNamespaceDisconnect,
    /// `server namespace disconnect`: the server removed it.
    ServerNamespaceDisconnect,
    /// `server shutting down`.
    ServerShuttingDown,
    /// `io server disconnect`, on the client: the server sent it away. It does not come back by itself.
    IoServerDisconnect,
    /// `io client disconnect`, on the client: it left by its own wish. It does not come back by itself.
    IoClientDisconnect,
}

impl DisconnectReason {
    /// Whether a client that is gone for this reason can have its session recovered: its connection ended, and neither side meant
    /// that.
    #[must_use]
    pub const fn is_recoverable(self) -> bool {
        match self {
            Self::Connection(CloseReason::ParseError) => false,
            Self::Connection(_) | Self::ServerShuttingDown => true,
            _ => false,
        }
    }

    /// The reference's name for the reason.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connection(reason) => reason.as_str(),
            Self::ClientNamespaceDisconnect => "client namespace disconnect",
            Self::ServerNamespaceDisconnect => "server namespace disconnect",
            Self::ServerShuttingDown => "server shutting down",
            Self::IoServerDisconnect => "io server disconnect",
            Self::IoClientDisconnect => "io client disconnect",
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The client broke the protocol: the whole connection must be closed (B102, B105).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// What came is not a packet.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// A packet for a namespace that the client has not joined.
    #[error("packet for namespace {0:?}, which is not joined")]
    NotConnected(Str),
    /// A CONNECT for a namespace that is joined, or being joined (B104).
    #[error("second connect to namespace {0:?}")]
    AlreadyConnected(Str),
    /// A packet that only servers send.
    #[error("connect error from a client")]
    UnexpectedConnectError,
    /// No namespace was joined in time (B100).
    #[error("no namespace joined in time")]
    ConnectTimeout,
}

/// The Socket.IO side of one connection: who is where, and which acknowledgements are owed.
///
/// Inputs are [`handle_message`](Self::handle_message) and [`handle_timeout`](Self::handle_timeout). After an error the caller
/// closes the connection and calls [`close`](Self::close). Packets to send come out of [`poll_message`](Self::poll_message),
/// events out of [`poll_event`](Self::poll_event); inputs and commands may change both, and
/// [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct ServerConn {
    revision: Revision,
    wire: Wire,
    joined: Vec<Joined>,
    /// Namespaces that the client was sent away from: what it sent before it knew is not its fault.
    left: Vec<Str>,
    next_slot: u32,
    /// When the client must have joined a namespace.
    connect_by: Option<Instant>,
    out: VecDeque<Encoded>,
    events: VecDeque<ConnEvent>,
    /// Nothing counts any more.
    closed: bool,
}

#[derive(Debug)]
struct Joined {
    slot: Slot,
    namespace: Str,
    accepted: bool,
    /// By id, with the deadline.
    acks: BTreeMap<u64, Option<Instant>>,
    /// Not later than the first deadline in `acks`.
    next_ack: Option<Instant>,
}

impl ServerConn {
    /// A connection on which no namespace is joined.
    #[must_use]
    pub fn new(config: &ConnConfig, now: Instant) -> Self {
        Self {
            revision: Revision::V4,
            wire: Wire::new(config),
            joined: Vec::new(),
            left: Vec::new(),
            next_slot: 0,
            connect_by: Some(now + config.connect_timeout),
            out: VecDeque::new(),
            events: VecDeque::new(),
            closed: false,
        }
    }

    /// A connection of a client of this revision. Clients of Socket.IO 2, which speak revision 3, do not ask for the namespace `/`:
    /// the connection asks for them (B75).
    #[must_use]
    pub fn with_revision(config: &ConnConfig, revision: Revision, now: Instant) -> Self {
        let mut conn = Self { revision, ..Self::new(config, now) };
        if revision == Revision::V3 {
            conn.join("/".into(), None);
        }
        conn
    }

    /// A message arrived. Ignored after [`close`](Self::close).
    ///
    /// # Errors
    /// The client broke the protocol: the connection must be closed.
    pub fn handle_message(&mut self, message: Message) -> Result<(), PeerError> {
        if self.closed {
            return Ok(());
        }
        match self.wire.decode(message)? {
            None => Ok(()),
            Some(Packet::Connect { namespace, data }) => match self.revision {
                Revision::V4 => self.handle_connect(namespace, data),
                Revision::V3 => {
                    // B77, B79: what there is instead of `auth`.
                    let (name, auth) = legacy::split(&namespace);
                    self.handle_connect(name, auth)
                }
            },
            Some(Packet::Disconnect { namespace }) => {
                if let Some(at) = self.expect(&namespace)? {
                    self.remove(at, DisconnectReason::ClientNamespaceDisconnect);
                }
                Ok(())
            }
            Some(Packet::Event { namespace, id, payload }) => {
                if let Some(at) = self.expect(&namespace)? {
                    let slot = self.joined[at].slot;
                    self.events.push_back(ConnEvent::Event { slot, payload, ack: id });
                }
                Ok(())
            }
            Some(Packet::Ack { namespace, id, payload }) => {
                if let Some(at) = self.expect(&namespace)? {
                    let joined = &mut self.joined[at];
                    // B119: ids that nobody waits for are ignored.
                    if joined.acks.remove(&id).is_some() {
                        let slot = joined.slot;
                        self.events.push_back(ConnEvent::Ack { slot, id, result: Ok(payload) });
                    }
                }
                Ok(())
            }
            Some(Packet::ConnectError { .. }) => Err(PeerError::UnexpectedConnectError),
        }
    }

    fn handle_connect(&mut self, namespace: Str, auth: Option<Str>) -> Result<(), PeerError> {
        if self.joined.iter().any(|joined| joined.namespace == namespace) {
            return Err(PeerError::AlreadyConnected(namespace));
        }
        self.left.retain(|left| *left != namespace);
        // The name outlives the packet and must not keep it.
        let namespace = if namespace == "/" { namespace } else { Str::from(namespace.as_str()) };
        self.join(namespace, auth);
        Ok(())
    }

    fn join(&mut self, namespace: Str, auth: Option<Str>) {
        let slot = Slot(self.next_slot);
        self.next_slot = self.next_slot.wrapping_add(1);
        // Nearly all connections have one namespace.
        self.joined.reserve_exact(1);
        self.joined.push(Joined {
            slot,
            namespace: namespace.clone(),
            accepted: false,
            acks: BTreeMap::new(),
            next_ack: None,
        });
        self.events.push_back(ConnEvent::Connect { slot, namespace, auth });
    }

    /// Where the client is in this namespace; `None` if it was sent away and may not know yet.
    fn expect(&self, namespace: &Str) -> Result<Option<usize>, PeerError> {
        match self.joined.iter().position(|joined| joined.namespace == *namespace) {
            Some(at) => Ok(Some(at)),
            None if self.left.contains(namespace) => Ok(None),
            None => Err(PeerError::NotConnected(namespace.clone())),
        }
    }

    /// Time has passed: acknowledgements may be overdue.
    ///
    /// # Errors
    /// No namespace was joined in time: the connection must be closed.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), PeerError> {
        for joined in &mut self.joined {
            if joined.next_ack.is_none_or(|at| at > now) {
                continue;
            }
            let slot = joined.slot;
            let events = &mut self.events;
            joined.next_ack = None;
            let next = &mut joined.next_ack;
            joined.acks.retain(|&id, deadline| {
                let due = deadline.is_some_and(|at| at <= now);
                if due {
                    events.push_back(ConnEvent::Ack { slot, id, result: Err(AckError::Timeout) });
                } else {
                    *next = earliest(*next, *deadline);
                }
                !due
            });
        }
        if self.connect_by.is_some_and(|at| at <= now) {
            self.connect_by = None;
            return Err(PeerError::ConnectTimeout);
        }
        Ok(())
    }

    /// Lets the client in, under this public id.
    ///
    /// # Errors
    /// [`UsageError::Gone`] if the client has left meanwhile (B108), or was let in already.
    pub fn accept(&mut self, slot: Slot, id: &SocketId) -> Result<(), UsageError> {
        self.accept_session(slot, id, None, [])
    }

    /// Lets the client in, under this public id, and tells it the secret with which it can have its session recovered. What it
    /// has missed comes before the reply (B129).
    ///
    /// # Errors
    /// As for [`accept`](Self::accept).
    pub fn accept_session(
        &mut self,
        slot: Slot,
        id: &SocketId,
        pid: Option<&Pid>,
        missed: impl IntoIterator<Item = Encoded>,
    ) -> Result<(), UsageError> {
        let revision = self.revision;
        let joined = self.find(slot)?;
        if core::mem::replace(&mut joined.accepted, true) {
            return Err(UsageError::Gone);
        }
        let namespace = joined.namespace.clone();
        let reply = match revision {
            Revision::V3 => control::connect_without_id(self.wire.codec(), &namespace),
            Revision::V4 => control::connect(self.wire.codec(), &namespace, id, pid),
        };
        self.out.extend(missed);
        self.out.extend(reply);
        self.connect_by = None;
        Ok(())
    }

    /// Does not let the client in (B106). What it sent to the namespace meanwhile is dropped.
    ///
    /// # Errors
    /// [`UsageError::Gone`] if the client has left meanwhile, or was let in already.
    pub fn refuse(&mut self, slot: Slot, error: &ConnectError) -> Result<(), UsageError> {
        if self.find(slot)?.accepted {
            return Err(UsageError::Gone);
        }
        if let Some(at) = self.joined.iter().position(|joined| joined.slot == slot) {
            let joined = self.joined.swap_remove(at);
            let codec = self.wire.codec();
            self.out.extend(match self.revision {
                Revision::V3 => control::plain_connect_error(codec, &joined.namespace, error),
                Revision::V4 => control::connect_error(codec, &joined.namespace, error),
            });
            self.leave(joined.namespace);
        }
        Ok(())
    }

    /// Waits for the answer to an event with this id, which the caller sends. With a deadline, silence is reported then;
    /// without, at the end of the connection at the latest.
    ///
    /// # Errors
    /// [`UsageError::Gone`] if the client has left; [`UsageError::AckIdInUse`].
    pub fn expect_ack(&mut self, slot: Slot, id: u64, deadline: Option<Instant>) -> Result<(), UsageError> {
        let joined = self.find(slot)?;
        if joined.acks.contains_key(&id) {
            return Err(UsageError::AckIdInUse);
        }
        joined.acks.insert(id, deadline);
        joined.next_ack = earliest(joined.next_ack, deadline);
        Ok(())
    }

    /// Stops waiting for an answer; a late one is ignored (B121).
    pub fn forget_ack(&mut self, slot: Slot, id: u64) {
        if let Ok(joined) = self.find(slot) {
            joined.acks.remove(&id);
        }
    }

    /// Sends the client away from a namespace (B109). The connection stays.
    ///
    /// # Errors
    /// [`UsageError::Gone`] if the client has left already.
    pub fn disconnect(&mut self, slot: Slot) -> Result<(), UsageError> {
        self.end(slot, DisconnectReason::ServerNamespaceDisconnect)
    }

    /// The client is in the namespace by another connection. Should this one still live, its end is told, so that it does not
    /// fight for the session.
    ///
    /// # Errors
    /// [`UsageError::Gone`] if the client has left already.
    pub fn supersede(&mut self, slot: Slot) -> Result<(), UsageError> {
        self.end(slot, DisconnectReason::Connection(CloseReason::TransportClose))
    }

    fn end(&mut self, slot: Slot, reason: DisconnectReason) -> Result<(), UsageError> {
        let at = self.joined.iter().position(|joined| joined.slot == slot).ok_or(UsageError::Gone)?;
        let namespace = self.joined[at].namespace.clone();
        self.out.extend(control::disconnect(self.wire.codec(), &namespace));
        self.remove(at, reason);
        self.leave(namespace);
        Ok(())
    }

    /// The connection is over: all namespaces are left, in the order in which they were joined.
    pub fn close(&mut self, reason: DisconnectReason) {
        self.joined.sort_by_key(|joined| core::cmp::Reverse(joined.slot));
        while let Some(last) = self.joined.len().checked_sub(1) {
            self.remove(last, reason);
        }
        self.connect_by = None;
        self.left = Vec::new();
        self.closed = true;
        self.out.clear();
        self.wire.reset();
    }

    /// The next packet to send.
    pub fn poll_message(&mut self) -> Option<Encoded> {
        self.out.pop_front()
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<ConnEvent> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.joined.iter().fold(self.connect_by, |at, joined| earliest(at, joined.next_ack))
    }

    /// Gives memory back that only bursts need.
    pub(crate) fn shrink(&mut self) {
        self.out.shrink_to(0);
        self.events.shrink_to(0);
    }

    /// The slots of all namespaces that are joined or being joined.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.joined.iter().map(|joined| joined.slot)
    }

    fn find(&mut self, slot: Slot) -> Result<&mut Joined, UsageError> {
        self.joined.iter_mut().find(|joined| joined.slot == slot).ok_or(UsageError::Gone)
    }

    fn leave(&mut self, namespace: Str) {
        // One per namespace that let the client in or refused it; names of refused unknown ones are the client's choice.
        const MOST: usize = 64;
        const LONGEST: usize = 1 << 10;
        if namespace.len() > LONGEST {
            return;
        }
        if self.left.len() == MOST {
            self.left.remove(0);
        }
        self.left.push(namespace);
    }

    fn remove(&mut self, at: usize, reason: DisconnectReason) {
        let Joined { slot, acks, .. } = self.joined.swap_remove(at);
        for id in acks.into_keys() {
            self.events.push_back(ConnEvent::Ack { slot, id, result: Err(AckError::Disconnected) });
        }
        self.events.push_back(ConnEvent::Disconnect { slot, reason });
    }
}
