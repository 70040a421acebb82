//! What waits to be sent in one session, bounded in bytes.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use super::dialect::{Dialect, Revision};
use super::encoded::Encoded;
use super::payload::Encoder;
use super::response::Response;
use super::{eio3, jsonp};
use crate::Str;

/// Control packets go first and are not counted: a ping never waits behind data, nor fails for want of room.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    control: VecDeque<Str>,
    packets: VecDeque<Encoded>,
    bytes: usize,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.control.is_empty() && self.packets.is_empty()
    }

    /// Bytes of packets that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Packets that wait.
    pub(super) fn packets(&self) -> usize {
        self.packets.len()
    }

    /// How many Engine.IO packets wait, with attachments and those of the protocol's own.
    pub(super) fn messages(&self) -> usize {
        self.control.len() + self.packets.iter().map(Encoded::messages).sum::<usize>()
    }

    /// Whether any control packet waits.
    pub(super) fn has_control(&self) -> bool {
        !self.control.is_empty()
    }

    pub(super) fn push_control(&mut self, packet: Str) {
        self.control.push_back(packet);
    }

    /// Adds a pong, unless one waits already: one answers any number of pings, so that a client cannot fill the memory with
    /// pongs that it does not read.
    pub(super) fn push_pong(&mut self) {
        if self.control.back().is_none_or(|last| *last != "3") {
            self.push_control(Str::from_static("3"));
        }
    }

    /// Whether a packet of this length fits.
    pub(super) fn has_room(&self, len: usize, limit: usize) -> bool {
        let entries = self.packets.len().saturating_mul(size_of::<Encoded>());
        self.packets.is_empty() || self.bytes.saturating_add(entries).saturating_add(len) <= limit
    }

    /// Gives the packet back if it does not fit. One packet always fits, however large. Many small ones take more room than
    /// their content, so that counts too.
    pub(super) fn push(&mut self, packet: Encoded, limit: usize) -> Result<(), Encoded> {
        if !self.has_room(packet.len(), limit) {
            return Err(packet);
        }
        self.bytes += packet.len();
        self.packets.push_back(packet);
        Ok(())
    }

    /// The next WebSocket message or group of messages.
    pub(super) fn pop(&mut self) -> Option<Encoded> {
        if let Some(control) = self.control.pop_front() {
            if self.control.is_empty() {
                // Control packets are rare, and most connections are idle.
                self.control = VecDeque::new();
            }
            return Some(Encoded::from_parts(control, None));
        }
        let packet = self.packets.pop_front()?;
        self.bytes -= packet.len();
        self.shrink();
        Some(packet)
    }

    /// The next WebSocket message, for a client that does not know groups of them in the usual form.
    pub(super) fn pop_in(&mut self, dialect: Dialect) -> Option<Encoded> {
        let mut packet = self.pop()?;
        if dialect.base64 {
            // One by one: in a group only the first can be text.
            let (first, rest) = packet.split(0);
            if let Some(rest) = rest {
                self.bytes += rest.len();
                self.packets.push_front(rest);
            }
            packet = first;
        }
        Some(dialect.frames(packet))
    }

    /// A burst leaves a large buffer behind; an idle connection should not keep it.
    fn shrink(&mut self) {
        if self.packets.is_empty() && self.packets.capacity() > 64 {
            self.packets = VecDeque::new();
        }
    }

    /// The body of one POST: what waits first, as long as it fits `limit` (B59). The first packet is always in it, however
    /// large; if it has attachments that do not fit, they follow in the next body. Also gives the bytes that it took from the
    /// packets, as [`Encoded::payload_len`] counts them.
    pub(super) fn drain_batch(&mut self, limit: usize) -> (Bytes, usize) {
        // Each packet is counted with a separator, and the last one has none.
        let mut room = limit.saturating_add(1);
        let mut taken = 0;
        let mut payload = Encoder::new(Vec::new());
        let mut any = !self.control.is_empty();
        for packet in self.control.drain(..) {
            room = room.saturating_sub(1 + packet.len());
            payload.push_text(&packet);
        }
        while let Some(packet) = self.packets.pop_front() {
            if any && packet.payload_len() > room {
                self.packets.push_front(packet);
                break;
            }
            self.bytes -= packet.len();
            let (packet, rest) = packet.split(room);
            room = room.saturating_sub(packet.payload_len());
            taken += packet.payload_len();
            packet.write_payload(&mut payload);
            any = true;
            if let Some(rest) = rest {
                self.bytes += rest.len();
                self.packets.push_front(rest);
                break;
            }
        }
        self.shrink();
        (payload.finish().into(), taken)
    }

    /// Everything that waits as the answer to one poll (B58), followed by `last`.
    pub(super) fn drain_payload(&mut self, last: Option<&str>, dialect: Dialect) -> Response {
        let control: usize = self.control.iter().map(|packet| packet.len() + 1).sum();
        let packets: usize = self.packets.iter().map(Encoded::payload_len).sum();
        let capacity = control + packets + last.map_or(0, str::len);
        if dialect.revision == Revision::V3 {
            return self.drain_eio3(last, dialect, capacity);
        }
        let compress = self.may_compress();
        let mut payload = Encoder::new(Vec::with_capacity(capacity));
        for packet in self.control.drain(..) {
            payload.push_text(&packet);
        }
        for packet in self.packets.drain(..) {
            packet.write_payload(&mut payload);
        }
        if let Some(last) = last {
            payload.push_text(last);
        }
        self.clear();
        Response { compress, ..jsonp::respond(payload.finish(), dialect) }
    }

    /// One packet that must not be compressed is enough: the answer is compressed as a whole or not.
    fn may_compress(&self) -> bool {
        self.packets.iter().all(Encoded::may_compress)
    }

    fn drain_eio3(&mut self, last: Option<&str>, dialect: Dialect, capacity: usize) -> Response {
        // B73: the binary form only if it is needed, as the reference does.
        let binary = !dialect.base64 && self.packets.iter().any(Encoded::has_binary);
        let compress = self.may_compress();
        let mut payload =
            if binary { eio3::Encoder::binary(capacity) } else { eio3::Encoder::text(capacity) };
        self.control.iter().for_each(|packet| payload.push_text(packet));
        self.packets.iter().for_each(|packet| packet.write_eio3(&mut payload));
        last.into_iter().for_each(|packet| payload.push_text(packet));
        self.clear();
        let payload = payload.finish();
        let response =
            if binary { Response::binary_payload(payload.into()) } else { jsonp::respond(payload, dialect) };
        Response { compress, ..response }
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::sync::Arc;

    use super::*;

    fn body((body, taken): (Bytes, usize)) -> (String, usize) {
        (String::from_utf8(body.to_vec()).unwrap(), taken)
    }

    fn group(text: &'static str, attachments: &[&'static [u8]]) -> Encoded {
        let attachments: Arc<[Bytes]> = attachments.iter().map(|bytes| Bytes::from_static(bytes)).collect();
        Encoded::from_parts(Str::from_static(text), Some(attachments))
    }

    #[test]
    fn b59_control_packets_count_in_a_batch() {
        for (limit, first) in [(7, "3\u{1e}4aaaa"), (6, "3"), (0, "3")] {
            let mut outbox = Outbox::default();
            outbox.push_control("3".into());
            outbox.push(Encoded::from_parts("4aaaa".into(), None), usize::MAX).unwrap();
            let taken = if first.len() > 1 { 6 } else { 0 };
            assert_eq!(body(outbox.drain_batch(limit)), (first.into(), taken), "{limit}");
            assert_eq!(outbox.bytes(), if taken == 0 { 5 } else { 0 });
        }
    }

    #[test]
    fn b59_a_group_is_cut_only_if_it_does_not_fit() {
        // 3 + 1 + 5 + 1 + 5 bytes.
        for (limit, first, rest) in [
            (15, "452\u{1e}bAQI=\u{1e}bAwQ=", ""),
            (14, "452\u{1e}bAQI=", "bAwQ="),
            (9, "452\u{1e}bAQI=", "bAwQ="),
            (8, "452", "bAQI=\u{1e}bAwQ="),
            (0, "452", "bAQI=\u{1e}bAwQ="),
        ] {
            let mut outbox = Outbox::default();
            outbox.push(group("452", &[&[1, 2], &[3, 4]]), usize::MAX).unwrap();
            assert_eq!(body(outbox.drain_batch(limit)), (first.into(), first.len() + 1), "{limit}");
            assert_eq!(outbox.packets(), usize::from(!rest.is_empty()));
            assert_eq!(outbox.bytes(), rest.split_terminator('\u{1e}').count() * 2);
            if !rest.is_empty() {
                assert_eq!(body(outbox.drain_batch(100)), (rest.into(), rest.len() + 1), "{limit}");
            }
            assert_eq!(outbox.bytes(), 0);
        }
    }
}
