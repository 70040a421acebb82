//! Events that wait for the application, in the order in which they came.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// What an event takes of an inbox's room, in bytes.
pub(crate) trait Weigh {
    fn weight(&self) -> usize;
}

/// Events of one connection, each of which is for one socket; `K` tells sockets apart.
#[derive(Debug)]
pub(crate) struct Inbox<K, E> {
    /// What a socket's handlers get one after another, for each socket apart: one POST can leave a hundred thousand events for a
    /// socket that is busy, and nobody must look through them again and again.
    queues: Vec<Queue<K, E>>,
    /// How many events came.
    count: u64,
    bytes: usize,
    /// What does not wait for handlers.
    prompt: VecDeque<E>,
    /// Comes after all others.
    last: Option<E>,
    /// Whether the owner was told that there is something.
    pub(crate) announced: bool,
    /// Whether reading has stopped.
    pub(crate) full: bool,
}

/// What waits for one socket; or nothing, while the room for it is kept.
#[derive(Debug)]
struct Queue<K, E> {
    socket: K,
    /// With their places in the order of all.
    events: VecDeque<(u64, E)>,
}

impl<K, E> Default for Inbox<K, E> {
    fn default() -> Self {
        Self {
            queues: Vec::new(),
            count: 0,
            bytes: 0,
            prompt: VecDeque::new(),
            last: None,
            announced: false,
            full: false,
        }
    }
}

impl<K: Copy + Eq, E: Weigh> Inbox<K, E> {
    /// An event that waits until its socket is not busy.
    pub(crate) fn push(&mut self, socket: K, event: E) {
        self.bytes += event.weight();
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

    /// An event that waits for nobody.
    pub(crate) fn push_prompt(&mut self, event: E) {
        self.prompt.push_back(event);
    }

    /// The event after which there is none.
    pub(crate) fn push_last(&mut self, event: E) {
        self.last = Some(event);
    }

    /// The first event whose socket is not busy.
    pub(crate) fn pop(&mut self, busy: &[K]) -> Option<E> {
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
            self.bytes -= event.weight();
            // Room for a few is kept, so that single events need none.
            if emptied.is_some() && (self.queues.len() > 1 || self.queues[0].events.capacity() > 16) {
                self.queues.retain(|queue| Some(queue.socket) != emptied);
            }
            return Some(event);
        }
        if self.waiting() > 0 {
            return None;
        }
        self.last.take()
    }

    /// Whether [`pop`](Self::pop) would give an event.
    pub(crate) fn has_besides(&self, busy: &[K]) -> bool {
        let waits = |queue: &Queue<K, E>| !queue.events.is_empty() && !busy.contains(&queue.socket);
        !self.prompt.is_empty()
            || self.queues.iter().any(waits)
            || (self.last.is_some() && self.waiting() == 0)
    }

    /// Drops what waits for a socket.
    pub(crate) fn forget(&mut self, socket: K) {
        if let Some(at) = self.queues.iter().position(|queue| queue.socket == socket) {
            let dropped = self.queues.swap_remove(at).events;
            self.bytes -= dropped.iter().map(|(_, event)| event.weight()).sum::<usize>();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting() == 0 && self.prompt.is_empty() && self.last.is_none()
    }

    /// How many events wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        self.queues.iter().map(|queue| queue.events.len()).sum()
    }

    /// Gives memory back that only bursts need.
    pub(crate) fn shrink(&mut self) {
        self.queues.retain(|queue| !queue.events.is_empty());
        self.queues.shrink_to(0);
        self.queues.iter_mut().for_each(|queue| queue.events.shrink_to(0));
        self.prompt.shrink_to(0);
    }

    /// Bytes of the events that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn exceeds(&self, events: usize, bytes: usize) -> bool {
        // One event is let in also with limits of 0, or nothing would ever be read.
        self.waiting() >= events.max(1) || self.bytes >= bytes.max(1)
    }
}
