//! One connection of the composite server: its session, its namespaces, and what waits for the application.

use alloc::vec::Vec;

use super::event::Event;
use crate::Instant;
use crate::engine::{ChannelId, ServerSession};
use crate::hub::SocketKey;
use crate::inbox::Inbox;
use crate::socket::{ServerConn, Slot};
use crate::time::earliest;

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) engine: ServerSession,
    pub(super) socket: ServerConn,
    pub(super) sockets: Vec<(Slot, SocketKey)>,
    pub(super) inbox: Inbox<SocketKey, Event>,
    /// When the timers bring this connection up.
    pub(super) armed: Option<Instant>,
    /// Channels that are open.
    pub(super) channels: usize,
    /// Whether somebody waits for room in the outbox, and the least that is waited for.
    pub(super) wants_room: Option<usize>,
    /// How much has come of a packet that is not complete, and when the next part must be there.
    pub(super) partial: Option<(u32, Instant)>,
    /// What recovery knows of [`ServerSession::confirmed`].
    pub(super) confirmed: Option<Instant>,
    /// WebSockets that are closed here, and until when the client may take to close them there; `None` when that is over.
    pub(super) lingering: Vec<(ChannelId, Option<Instant>)>,
    /// Whether a WebSocket was about to take the session over when that was last looked at.
    pub(super) upgrading: bool,
}

impl Conn {
    pub(super) fn new(engine: ServerSession, socket: ServerConn) -> Self {
        Self {
            engine,
            socket,
            sockets: Vec::new(),
            inbox: Inbox::default(),
            armed: None,
            channels: 1,
            wants_room: None,
            partial: None,
            confirmed: None,
            lingering: Vec::new(),
            upgrading: false,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let machines = earliest(self.engine.poll_timeout(), self.socket.poll_timeout());
        let machines = earliest(machines, self.partial.map(|(_, until)| until));
        self.lingering.iter().fold(machines, |at, (_, until)| earliest(at, *until))
    }

    pub(super) fn key(&self, slot: Slot) -> Option<SocketKey> {
        self.sockets.iter().find(|(of, _)| *of == slot).map(|(_, key)| *key)
    }

    /// Gives memory back that joining a namespace took: from here on the connection may be idle for hours.
    pub(super) fn shrink(&mut self) {
        self.engine.shrink();
        self.socket.shrink();
        self.inbox.shrink();
    }

    pub(super) fn is_done(&self) -> bool {
        self.channels == 0 && self.engine.is_drained() && self.inbox.is_empty()
    }
}

impl Conn {
    /// Puts an event where it waits for its turn. Acknowledgements and the upgrade wait for nobody.
    pub(super) fn tell(&mut self, event: Event) {
        match event {
            Event::Connect { socket, .. }
            | Event::ConnectUnknown { socket, .. }
            | Event::Event { socket, .. }
            | Event::Disconnect { socket, .. } => self.inbox.push(socket, event),
            Event::Closed { .. } => self.inbox.push_last(event),
            Event::Ack { .. } | Event::Upgraded => self.inbox.push_prompt(event),
        }
    }
}
