//! What goes out: requests, messages, events, deadlines.

use alloc::collections::VecDeque;

use bytes::Bytes;

use super::{ClientEvent, ClientRequest, ClientSession, Phase, Request, SOON};
use crate::engine::config::Transport;
use crate::engine::encoded::Encoded;
use crate::engine::event::{ChannelId, CloseReason, Transmit};
use crate::time::earliest;
use crate::{Instant, Str};

impl ClientSession {
    /// What to begin, or to drop, next.
    pub fn poll_request(&mut self) -> Option<ClientRequest> {
        if let Some(request) = self.requests.pop_front() {
            return Some(request);
        }
        if self.websocket.is_some() {
            return None;
        }
        let timeout = self.config.request_timeout;
        if self.wants_get() {
            let channel = self.channel();
            // It follows from something that was told a moment ago.
            self.get =
                Some(Request { channel, until: timeout.map(|timeout| self.clock + timeout.max(SOON)) });
            return Some(ClientRequest::Get { channel, query: self.query(Transport::Polling) });
        }
        let body = self.next_body()?;
        let channel = self.channel();
        self.post = Some(Request { channel, until: None });
        Some(ClientRequest::Post { channel, query: self.query(Transport::Polling), body })
    }

    /// B60: one GET at a time.
    fn wants_get(&self) -> bool {
        let wanted = match self.phase {
            Phase::Opening => true,
            Phase::Open => !self.is_switching(),
            Phase::Closing { .. } | Phase::Closed => false,
        };
        wanted && self.get.is_none() && !self.paused
    }

    /// B60: one POST at a time.
    fn next_body(&mut self) -> Option<Bytes> {
        if self.post.is_some() || self.is_switching() {
            return None;
        }
        match &mut self.phase {
            Phase::Open | Phase::Closing { .. } if !self.outbox.is_empty() => {
                let limit = self.open.as_ref().map_or(usize::MAX, |open| open.max_payload);
                let waiting = self.outbox.messages();
                let (body, taken) = self.outbox.drain_batch(limit);
                self.waiting -= taken;
                self.traffic.send(waiting - self.outbox.messages(), body.len());
                Some(body)
            }
            // The close packet comes alone: nothing before it can be lost to a server that acts on it first.
            Phase::Closing { said: said @ false, .. } => {
                *said = true;
                self.traffic.send(1, 1);
                Some(Bytes::from_static(b"1"))
            }
            _ => None,
        }
    }

    /// What to send next on a WebSocket that is open.
    pub fn poll_transmit(&mut self, channel: ChannelId) -> Option<Transmit> {
        let transmit = self.next_transmit(channel);
        if let Some(Transmit::Packet(packet)) = &transmit {
            self.traffic.send(packet.messages(), packet.len());
        }
        transmit
    }

    fn next_transmit(&mut self, channel: ChannelId) -> Option<Transmit> {
        let text = |text| Some(Transmit::Packet(Encoded::from_parts(Str::from_static(text), None)));
        if self.websocket != Some(channel) {
            return if self.ask_probe(channel) { text("2probe") } else { None };
        }
        if core::mem::take(&mut self.announce_switch) {
            return text("5");
        }
        if let Some(packet) = self.outbox.pop() {
            return Some(Transmit::Packet(packet));
        }
        if matches!(self.phase, Phase::Closing { .. }) {
            self.websocket = None;
            self.finish(CloseReason::ForcedClose, None);
            return Some(Transmit::Close);
        }
        None
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        let event = self.events.pop_front();
        // One answer can hold very many packets; an idle session should not keep the room for them.
        if self.events.is_empty() && self.events.capacity() > 16 {
            self.events = VecDeque::new();
        }
        event
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Opening => None,
            Phase::Open => Some(self.watch).filter(|_| !self.paused),
            Phase::Closing { until, .. } => Some(until),
            Phase::Closed => return None,
        };
        if self.paused {
            return phase;
        }
        let get = self.get.and_then(|get| get.until);
        let untimed = || self.config.request_timeout.map(|_| self.clock + SOON);
        let post = self.post.and_then(|post| post.until.or_else(untimed));
        let upgrade = self.upgrade.as_ref().map(|upgrade| upgrade.until);
        earliest(earliest(phase, upgrade), earliest(get, post))
    }
}
