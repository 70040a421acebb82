//! One connection of the composite server: its session, its namespaces, and what waits for the application.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::event::Event;
use crate::Instant;
use crate::engine::{ChannelId, CloseReason, ServerSession};
use crate::hub::SocketKey;
use crate::socket::{ServerConn, Slot};
use crate::time::earliest;

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) engine: ServerSession,
    pub(super) socket: ServerConn,
    pub(super) sockets: Vec<(Slot, SocketKey)>,
    pub(super) inbox: Inbox,
    /// When the timers bring this connection up.
    pub(super) armed: Option<Instant>,
    /// Channels that are open.
    pub(super) channels: usize,
    /// Whether somebody waits for room in the outbox.
    pub(super) wants_room: bool,
    /// WebSockets that are closed here, and until when the client may take to close them there; `None` when that is over.
    pub(super) lingering: Vec<(ChannelId, Option<Instant>)>,
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
            wants_room: false,
            lingering: Vec::new(),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let machines = earliest(self.engine.poll_timeout(), self.socket.poll_timeout());
        self.lingering.iter().fold(machines, |at, (_, until)| earliest(at, *until))
    }

    pub(super) fn key(&self, slot: Slot) -> Option<SocketKey> {
        self.sockets.iter().find(|(of, _)| *of == slot).map(|(_, key)| *key)
    }

    /// Gives memory back that joining a namespace took: from here on the connection may be idle for hours.
    pub(super) fn shrink(&mut self) {
        self.engine.shrink();
        self.socket.shrink();
        self.inbox.events.shrink_to(0);
        self.inbox.prompt.shrink_to(0);
    }

    pub(super) fn is_done(&self) -> bool {
        self.channels == 0 && self.engine.is_drained() && self.inbox.is_empty()
    }
}

/// Events that wait for the application, in order per socket.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// What a socket's handlers get one after another.
    events: VecDeque<Event>,
    bytes: usize,
    /// What does not wait for handlers: acknowledgements, and the upgrade.
    prompt: VecDeque<Event>,
    closed: Option<(CloseReason, usize)>,
    /// Whether the owner was told that there is something.
    pub(super) announced: bool,
    /// Whether reading has stopped.
    pub(super) full: bool,
}

impl Inbox {
    pub(super) fn push(&mut self, event: Event) {
        match event {
            Event::Ack { .. } | Event::Upgraded => self.prompt.push_back(event),
            Event::Closed { reason, undelivered } => self.closed = Some((reason, undelivered)),
            event => {
                self.bytes += weight(&event);
                self.events.push_back(event);
            }
        }
    }

    /// The first event whose socket is not busy.
    pub(super) fn pop(&mut self, busy: &[SocketKey]) -> Option<Event> {
        if let Some(event) = self.prompt.pop_front() {
            return Some(event);
        }
        let event = if busy.is_empty() {
            self.events.pop_front()
        } else {
            let free = |event: &Event| socket(event).is_none_or(|socket| !busy.contains(&socket));
            self.events.iter().position(free).and_then(|at| self.events.remove(at))
        };
        if let Some(event) = event {
            self.bytes -= weight(&event);
            if self.events.is_empty() && self.events.capacity() > 16 {
                self.events = VecDeque::new();
            }
            return Some(event);
        }
        if !self.events.is_empty() {
            return None;
        }
        let (reason, undelivered) = self.closed.take()?;
        Some(Event::Closed { reason, undelivered })
    }

    /// Drops what waits for a socket that is refused.
    pub(super) fn forget(&mut self, key: SocketKey) {
        self.events.retain(|event| socket(event) != Some(key));
        self.bytes = self.events.iter().map(weight).sum();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.prompt.is_empty() && self.closed.is_none()
    }

    pub(super) fn exceeds(&self, events: usize, bytes: usize) -> bool {
        // One event is let in also with limits of 0, or nothing would ever be read.
        self.events.len() >= events.max(1) || self.bytes >= bytes.max(1)
    }
}

fn socket(event: &Event) -> Option<SocketKey> {
    match event {
        Event::Connect { socket, .. } | Event::Event { socket, .. } | Event::Disconnect { socket, .. } => {
            Some(*socket)
        }
        _ => None,
    }
}

fn weight(event: &Event) -> usize {
    match event {
        Event::Event { payload, .. } => {
            payload.text().len()
                + payload.attachments().as_slice().iter().map(bytes::Bytes::len).sum::<usize>()
        }
        Event::Connect { auth, .. } => auth.as_ref().map_or(0, |auth| auth.len()),
        _ => 0,
    }
}
