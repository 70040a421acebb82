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
        self.inbox.shrink();
    }

    pub(super) fn is_done(&self) -> bool {
        self.channels == 0 && self.engine.is_drained() && self.inbox.is_empty()
    }
}

/// Events that wait for the application, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// What a socket's handlers get one after another, for each socket apart: one POST can leave a hundred thousand events for a
    /// socket that is busy, and nobody must look through them again and again.
    queues: Vec<Queue>,
    /// How many events came.
    count: u64,
    bytes: usize,
    /// What does not wait for handlers: acknowledgements, and the upgrade.
    prompt: VecDeque<Event>,
    closed: Option<(CloseReason, usize)>,
    /// Whether the owner was told that there is something.
    pub(super) announced: bool,
    /// Whether reading has stopped.
    pub(super) full: bool,
}

/// What waits for one socket; or nothing, while the room for it is kept.
#[derive(Debug)]
struct Queue {
    socket: SocketKey,
    /// With their places in the order of all.
    events: VecDeque<(u64, Event)>,
}

impl Inbox {
    pub(super) fn push(&mut self, event: Event) {
        match event {
            Event::Connect { socket, .. }
            | Event::Event { socket, .. }
            | Event::Disconnect { socket, .. } => {
                self.bytes += weight(&event);
                self.count += 1;
                let place = (self.count, event);
                let at = self.queues.iter().position(|queue| queue.socket == socket);
                match at.or_else(|| self.queues.iter().position(|queue| queue.events.is_empty())) {
                    Some(at) => {
                        self.queues[at].socket = socket;
                        self.queues[at].events.push_back(place);
                    }
                    None => {
                        self.queues.reserve_exact(1);
                        self.queues.push(Queue { socket, events: VecDeque::from([place]) });
                    }
                }
            }
            Event::Closed { reason, undelivered } => self.closed = Some((reason, undelivered)),
            Event::Ack { .. } | Event::Upgraded => self.prompt.push_back(event),
        }
    }

    /// The first event whose socket is not busy.
    pub(super) fn pop(&mut self, busy: &[SocketKey]) -> Option<Event> {
        if let Some(event) = self.prompt.pop_front() {
            return Some(event);
        }
        let free = self.queues.iter_mut().filter(|queue| !busy.contains(&queue.socket));
        let first = free.min_by_key(|queue| queue.events.front().map_or(u64::MAX, |(place, _)| *place));
        let popped = first.and_then(|queue| {
            let (_, event) = queue.events.pop_front()?;
            Some((event, queue.events.is_empty().then_some(queue.socket)))
        });
        if let Some((event, emptied)) = popped {
            self.bytes -= weight(&event);
            // Room for a few is kept, so that single events need none.
            if emptied.is_some() && (self.queues.len() > 1 || self.queues[0].events.capacity() > 16) {
                self.queues.retain(|queue| Some(queue.socket) != emptied);
            }
            return Some(event);
        }
        if self.waiting() > 0 {
            return None;
        }
        let (reason, undelivered) = self.closed.take()?;
        Some(Event::Closed { reason, undelivered })
    }

    /// Drops what waits for a socket that is refused.
    pub(super) fn forget(&mut self, key: SocketKey) {
        if let Some(at) = self.queues.iter().position(|queue| queue.socket == key) {
            let dropped = self.queues.swap_remove(at).events;
            self.bytes -= dropped.iter().map(|(_, event)| weight(event)).sum::<usize>();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting() == 0 && self.prompt.is_empty() && self.closed.is_none()
    }

    fn waiting(&self) -> usize {
        self.queues.iter().map(|queue| queue.events.len()).sum()
    }

    fn shrink(&mut self) {
        self.queues.retain(|queue| !queue.events.is_empty());
        self.queues.shrink_to(0);
        self.queues.iter_mut().for_each(|queue| queue.events.shrink_to(0));
        self.prompt.shrink_to(0);
    }

    pub(super) fn exceeds(&self, events: usize, bytes: usize) -> bool {
        // One event is let in also with limits of 0, or nothing would ever be read.
        self.waiting() >= events.max(1) || self.bytes >= bytes.max(1)
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
