//! What the application wants.

use super::{Client, Phase};
use crate::engine::{Encoded, Transport};
use crate::socket::{AckId, ClientConnEvent, ClientEmitError, Emit, Emitted, Slot, SocketConfig, Ticket};
use crate::{Instant, Str, UsageError};

impl Client {
    /// The namespace of this name, made with these settings if there is none; `chat` is `/chat`. It does not connect by itself.
    pub fn socket(&mut self, name: &str, config: SocketConfig) -> Slot {
        self.conn.socket(name, config)
    }

    /// Joins a namespace, which makes the client connect if it is not. Does nothing if it is joined, or will be.
    ///
    /// # Errors
    /// [`UsageError::Gone`] after [`close`](Self::close).
    pub fn connect(&mut self, slot: Slot, now: Instant) -> Result<(), UsageError> {
        if self.closed {
            return Err(UsageError::Gone);
        }
        self.conn.connect(slot, now);
        if self.phase == Phase::Idle && self.conn.is_active(slot) {
            self.open(now);
        }
        let _ = self.process(now);
        Ok(())
    }

    /// Answers [`Authenticate`](crate::socket::ClientConnEvent::Authenticate): with a JSON object, with nothing, or with why there is no
    /// answer.
    ///
    /// # Errors
    /// [`UsageError::Gone`] if the question is void.
    pub fn authenticate(
        &mut self,
        slot: Slot,
        ticket: Ticket,
        auth: Result<Option<Str>, Str>,
        now: Instant,
    ) -> Result<(), UsageError> {
        let result = self.conn.authenticate(slot, ticket, auth, now);
        let _ = self.process(now);
        result
    }

    /// Sends an event, now or as soon as can be.
    ///
    /// # Errors
    /// [`ClientEmitError`] says why it is neither sent nor kept; nothing has changed then.
    pub fn emit(&mut self, slot: Slot, emit: Emit, now: Instant) -> Result<Emitted, ClientEmitError> {
        if self.closed {
            return Err(UsageError::Gone.into());
        }
        if let Some(limit) = self.max_payload {
            let polling = self.transport() == Some(Transport::Polling);
            let size = if polling { emit.packet.largest_in_payload() } else { emit.packet.largest_frame() };
            if size > limit {
                return Err(ClientEmitError::TooLarge { size, limit });
            }
        }
        // B40: a connection that is overdue takes nothing, even if nobody has told us the time.
        if self.session.as_mut().is_some_and(|session| session.is_open() && !session.check_alive(now)) {
            let _ = self.process(now);
        }
        let writable = self.session.as_ref().is_some_and(|session| session.is_writable());
        let emitted = self.conn.emit(slot, emit, writable, now);
        let _ = self.process(now);
        emitted
    }

    /// Acknowledges an event.
    ///
    /// # Errors
    /// [`ClientEmitError::Full`] gives the packet back; [`UsageError::Gone`] if the connection on which the event came is over, and nothing is
    /// sent.
    pub fn ack(&mut self, slot: Slot, ack: AckId, packet: Encoded) -> Result<(), ClientEmitError> {
        self.conn.ack(slot, ack, packet)
    }

    /// Nobody waits for this answer any more; a late one is ignored.
    pub fn forget_ack(&mut self, slot: Slot, id: u64) {
        self.conn.forget_ack(slot, id);
    }

    /// Drops the events that wait for a connection or for their turn, and tells those who wait for their acknowledgements.
    pub fn clear_send_buffer(&mut self, slot: Slot, now: Instant) {
        self.conn.clear_send_buffer(slot);
        let _ = self.process(now);
    }

    /// Leaves a namespace for good, after what was emitted before. The connection ends with the last one (B141).
    pub fn disconnect(&mut self, slot: Slot, now: Instant) {
        self.conn.disconnect(slot);
        let _ = self.process(now);
    }

    /// Leaves all namespaces, sends what waits, and closes the connection. Final: nothing can be emitted any more.
    pub fn close(&mut self, now: Instant) {
        self.closed = true;
        for slot in self.conn.slots() {
            self.conn.disconnect(slot);
            self.conn.clear_send_buffer(slot);
        }
        let _ = self.process(now);
    }

    /// Switches reconnection on or off. Off stops a wait for the next attempt.
    pub fn set_reconnection(&mut self, reconnection: bool) {
        self.config.reconnection = reconnection;
        if let (false, Phase::Waiting { .. }) = (reconnection, self.phase) {
            self.phase = Phase::Idle;
        }
    }

    /// Keeps an event that came out of [`poll_event`](Self::poll_event) until somebody asks for it by
    /// [`poll_aside`](Self::poll_aside). It counts as one that waits for the application, so that a program that is slow to ask slows the
    /// server down. But of a namespace where nobody has asked yet, only the last `max_unheard` are kept, of `max_unheard_bytes` at most: a
    /// program that never looks is neither stopped nor filled.
    pub fn put_aside(&mut self, event: ClientConnEvent, now: Instant) {
        self.aside.push(event, self.config.max_unheard, self.config.max_unheard_bytes);
        self.pace(now);
    }

    /// Somebody will ask for the events of a namespace that are put aside: from here on all of them are kept. So says the first
    /// [`poll_aside`](Self::poll_aside), too.
    pub fn listen(&mut self, slot: Slot, now: Instant) {
        self.aside.listen(slot);
        self.pace(now);
    }

    /// The oldest event of a namespace that was put aside.
    pub fn poll_aside(&mut self, slot: Slot, now: Instant) -> Option<ClientConnEvent> {
        let event = self.aside.pop(slot);
        self.pace(now);
        event
    }
}
