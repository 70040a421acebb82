//! Polling payloads: packets joined by the record separator (0x1e).

use bytes::{BufMut, Bytes};

use super::packet::{Message, Packet, PacketError};
use crate::Str;

/// Stands between two packets of a payload; never at its end.
pub const SEPARATOR: u8 = 0x1e;

/// Decodes the body of a POST (or of the answer to a GET) packet by packet.
///
/// Yields the packets up to the first bad one, then that error, then nothing: what came before a bad packet counts (B7).
/// An empty body is one empty packet, hence an error.
#[must_use]
pub fn decode(body: Str) -> Decode {
    Decode { rest: Some(body) }
}

/// Like [`decode`], for packets that may be kept.
pub(super) fn decode_apart(body: Str) -> impl Iterator<Item = Result<Packet, PacketError>> {
    let half = body.len() / 2;
    decode(body).map(move |packet| packet.map(|packet| apart(packet, half)))
}

/// A packet that may be kept: what is a part of its body is copied if it is smaller than `half` of that, or it would keep the rest
/// for as long as it waits itself.
pub(super) fn apart(packet: Packet, half: usize) -> Packet {
    match packet {
        Packet::Message(Message::Text(text)) if text.len() < half => {
            Packet::Message(Message::Text(text.as_str().into()))
        }
        packet => packet,
    }
}

/// Cuts a payload behind its first `packets` packets, at least one; the rest, if there is any, comes without the separator between
/// them. What is cut off is a copy, so that it keeps nothing of the rest.
#[must_use]
pub fn cut(payload: Bytes, packets: usize) -> (Bytes, Option<Bytes>) {
    match memchr::memchr_iter(SEPARATOR, &payload).nth(packets.max(1) - 1) {
        Some(end) => (Bytes::copy_from_slice(&payload[..end]), Some(payload.slice(end + 1..))),
        None => (payload, None),
    }
}

/// Iterator over the packets of a payload; see [`decode`].
#[derive(Debug, Clone)]
pub struct Decode {
    rest: Option<Str>,
}

impl Iterator for Decode {
    type Item = Result<Packet, PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        let body = self.rest.take()?;
        let packet = match memchr::memchr(SEPARATOR, body.as_bytes()) {
            Some(end) => {
                self.rest = Some(body.slice(end + 1..));
                body.slice(..end)
            }
            None => body,
        };
        let packet = Packet::decode(packet);
        if packet.is_err() {
            self.rest = None;
        }
        Some(packet)
    }
}

/// Writes packets into one payload.
#[derive(Debug)]
pub struct Encoder<B> {
    out: B,
    any: bool,
}

impl<B: BufMut> Encoder<B> {
    /// An encoder that appends to `out`.
    pub fn new(out: B) -> Self {
        Self { out, any: false }
    }

    /// Appends a packet.
    pub fn push(&mut self, packet: &Packet) {
        packet.encode(self.next());
    }

    /// Appends a packet that is encoded already.
    pub fn push_text(&mut self, packet: &str) {
        self.next().put_slice(packet.as_bytes());
    }

    /// Appends a binary message.
    pub fn push_binary(&mut self, bytes: &Bytes) {
        let out = self.next();
        out.put_u8(b'b');
        super::base64::encode(bytes, out);
    }

    /// Gives the buffer back.
    pub fn finish(self) -> B {
        self.out
    }

    fn next(&mut self) -> &mut B {
        if self.any {
            self.out.put_u8(SEPARATOR);
        }
        self.any = true;
        &mut self.out
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn packets_before_a_bad_one_count_and_those_after_do_not() {
        let mut packets = decode("4a\u{1e}bAQI=\u{1e}9\u{1e}4b".into());
        assert_eq!(packets.next(), Some(Ok(Packet::Message(Message::Text("a".into())))));
        assert_eq!(packets.next(), Some(Ok(Packet::Message(Message::Binary(Bytes::from_static(&[1, 2]))))));
        assert_eq!(packets.next(), Some(Err(PacketError::UnknownType('9'))));
        assert_eq!(packets.next(), None);
        assert_eq!(decode(Str::empty()).collect::<Vec<_>>(), [Err(PacketError::Empty)]);
        assert_eq!(decode("4\u{1e}".into()).last(), Some(Err(PacketError::Empty)), "no separator at the end");
    }

    #[test]
    fn parts_hold_what_the_whole_holds() {
        for whole in ["", "4a", "4a\u{1e}", "\u{1e}4a", "4a\u{1e}4b\u{1e}4c", "4a\u{1e}9\u{1e}4b"] {
            let expected: Vec<_> = decode(whole.into()).collect();
            for packets in 0..5 {
                let (mut found, mut rest) = (Vec::new(), Some(Bytes::from(whole)));
                while let Some(payload) = rest.take() {
                    let (part, more) = cut(payload, packets);
                    found.extend(decode(Str::try_from(part).unwrap()));
                    rest = more.filter(|_| found.last().is_none_or(Result::is_ok));
                }
                assert_eq!(found, expected, "{whole:?} {packets}");
            }
        }
    }

    #[test]
    fn the_encoder_separates() {
        let mut encoder = Encoder::new(Vec::new());
        encoder.push(&Packet::Noop);
        encoder.push_text("4h\u{e9}");
        encoder.push_binary(&Bytes::from_static(&[1, 2]));
        assert_eq!(encoder.finish(), "6\u{1e}4h\u{e9}\u{1e}bAQI=".as_bytes());
    }

    #[test]
    fn long_binary_is_encoded_in_pieces_that_fit_together() {
        let bytes: Bytes = (0..5000u32).map(|i| i as u8).collect();
        let mut encoder = Encoder::new(Vec::new());
        encoder.push_binary(&bytes);
        let text = Str::try_from(Bytes::from(encoder.finish())).unwrap();
        assert_eq!(text.len(), 1 + super::super::base64::encoded_len(5000));
        assert_eq!(decode(text).next(), Some(Ok(Packet::Message(Message::Binary(bytes)))));
    }
}
