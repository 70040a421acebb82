//! Engine.IO 3, which clients of Socket.IO 2 speak: packets and polling payloads.
//!
//! Its packets differ from those of revision 4 in binary messages only: they have a type as well, as a byte in bytes and as a
//! digit in base64. Its payloads say how long each packet is, in one of two forms:
//!
//! | Form | A packet | Counts |
//! |---|---|---|
//! | text | `<length>:<packet>`, binary as `b4` and base64 | UTF-16 code units, as JavaScript does (B72) |
//! | binary | `0` or `1` for text or bytes, the digits of the length, `0xff`, the packet | bytes (B73) |

mod binary;
mod text;

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::{BufMut, Bytes};

pub use binary::{DecodeBinary, decode_binary};
pub use text::{Decode, decode};

use super::base64;
use super::encoded::{Encoded, Frame};
use super::packet::{Message, Packet, PacketError};
use super::payload::apart;
use crate::Str;

/// The type of the only packets that are binary.
const MESSAGE: u8 = 4;

/// Most digits of a length that are read.
const MAX_DIGITS: usize = 10;

/// Decodes one packet from a text frame, or from one slot of a payload.
///
/// # Errors
/// [`PacketError`] tells what is wrong.
pub fn decode_text(text: Str) -> Result<Packet, PacketError> {
    let Some(rest) = text.strip_prefix('b') else { return Packet::decode(text) };
    match rest.as_bytes().first() {
        None => Err(PacketError::Empty),
        Some(b'4') => {
            let bytes = base64::decode(&rest.as_bytes()[1..]).ok_or(PacketError::InvalidBase64)?;
            Ok(Packet::Message(Message::Binary(bytes)))
        }
        Some(_) => Err(PacketError::UnknownType(rest.chars().next().unwrap_or_default())),
    }
}

/// Decodes one packet from a binary frame, or from one binary slot of a payload (B74).
///
/// # Errors
/// [`PacketError`] tells what is wrong: only messages are binary.
pub fn decode_bytes(bytes: &Bytes) -> Result<Packet, PacketError> {
    match bytes.first() {
        None => Err(PacketError::Empty),
        Some(&MESSAGE) => Ok(Packet::Message(Message::Binary(bytes.slice(1..)))),
        Some(&kind) => Err(PacketError::UnknownType(char::from(kind))),
    }
}

/// Like [`decode`], for packets that may be kept.
pub(super) fn decode_apart(body: Str) -> impl Iterator<Item = Result<Packet, PacketError>> {
    let half = body.len() / 2;
    decode(body).map(move |packet| packet.map(|packet| apart(packet, half)))
}

/// Like [`decode_binary`], for packets that may be kept.
pub(super) fn decode_binary_apart(body: Bytes) -> impl Iterator<Item = Result<Packet, PacketError>> {
    let half = body.len() / 2;
    decode_binary(body).map(move |packet| {
        packet.map(|packet| match packet {
            Packet::Message(Message::Binary(bytes)) if bytes.len() < half => {
                Packet::Message(Message::Binary(Bytes::copy_from_slice(&bytes)))
            }
            packet => apart(packet, half),
        })
    })
}

/// Cuts a payload of either form behind its first `packets` packets, at least one. What is cut off is a copy. One that is broken there is
/// not cut.
pub(super) fn cut_at(payload: Bytes, binary: bool, packets: usize) -> (Bytes, Option<Bytes>) {
    let packets = packets.max(1);
    let end = if binary { binary::end_of(&payload, packets) } else { text::end_of(&payload, packets) };
    match end {
        Some(end) if end < payload.len() => {
            (Bytes::copy_from_slice(&payload[..end]), Some(payload.slice(end..)))
        }
        _ => (payload, None),
    }
}

/// Number of UTF-16 code units.
fn utf16_len(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(char::len_utf16).sum() }
}

/// Writes packets into one payload.
#[derive(Debug)]
pub struct Encoder {
    out: Vec<u8>,
    binary: bool,
}

impl Encoder {
    /// Writes a payload of the text form, which has room for `capacity` bytes.
    #[must_use]
    pub fn text(capacity: usize) -> Self {
        Self { out: Vec::with_capacity(capacity), binary: false }
    }

    /// Writes a payload of the binary form, which has room for `capacity` bytes.
    #[must_use]
    pub fn binary(capacity: usize) -> Self {
        Self { out: Vec::with_capacity(capacity), binary: true }
    }

    /// Appends a packet.
    pub fn push(&mut self, packet: &Packet) {
        if let Packet::Message(Message::Binary(bytes)) = packet {
            return self.push_binary(bytes);
        }
        let mut text = Vec::new();
        packet.encode(&mut text);
        self.push_text(core::str::from_utf8(&text).unwrap_or_default());
    }

    /// Appends a text packet that is encoded already.
    pub fn push_text(&mut self, packet: &str) {
        if self.binary {
            self.push_header(0, packet.len());
        } else {
            self.out.extend_from_slice(format!("{}:", utf16_len(packet)).as_bytes());
        }
        self.out.extend_from_slice(packet.as_bytes());
    }

    /// Appends a binary message.
    pub fn push_binary(&mut self, bytes: &[u8]) {
        if self.binary {
            self.push_header(1, 1 + bytes.len());
            self.out.push(MESSAGE);
            self.out.extend_from_slice(bytes);
        } else {
            let len = 2 + base64::encoded_len(bytes.len());
            self.out.extend_from_slice(format!("{len}:b4").as_bytes());
            base64::encode(bytes, &mut self.out);
        }
    }

    fn push_header(&mut self, kind: u8, len: usize) {
        self.out.push(kind);
        self.out.extend(format!("{len}").bytes().map(|digit| digit - b'0'));
        self.out.push(0xff);
    }

    /// The payload.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// The WebSocket messages of a packet, for clients of this revision. Unlike those of revision 4 they are made anew for each
/// client: there are few of them, and the others shall not pay.
pub(super) fn frames(packet: Encoded) -> Encoded {
    let typed = |bytes: &Bytes| {
        let mut frame = Vec::with_capacity(1 + bytes.len());
        frame.put_u8(MESSAGE);
        frame.put_slice(bytes);
        Bytes::from(frame)
    };
    let (first, attachments) = packet.into_parts();
    let first = match first {
        Frame::Text(text) => Frame::Text(text),
        Frame::Binary(bytes) => Frame::Binary(typed(&bytes)),
    };
    let attachments = attachments.map(|list| list.iter().map(typed).collect::<Arc<[Bytes]>>());
    Encoded::from_frames(first, attachments)
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use proptest::prelude::*;

    use super::*;

    fn packet() -> impl Strategy<Value = Packet> {
        let text = || any::<String>().prop_map(Str::from);
        prop_oneof![
            text().prop_map(Packet::Open),
            Just(Packet::Close),
            text().prop_map(Packet::Ping),
            text().prop_map(Packet::Pong),
            text().prop_map(|text| Packet::Message(Message::Text(text))),
            any::<Vec<u8>>().prop_map(|bytes| Packet::Message(Message::Binary(bytes.into()))),
            Just(Packet::Upgrade),
            Just(Packet::Noop),
        ]
    }

    fn encode(mut encoder: Encoder, packets: &[Packet]) -> Bytes {
        packets.iter().for_each(|packet| encoder.push(packet));
        encoder.finish().into()
    }

    proptest! {
        /// Whatever is cut off, and whether or not it is a payload.
        #[test]
        fn parts_are_the_whole(packets in prop::collection::vec(packet(), 1..8), at in 1usize..4, junk: Vec<u8>) {
            for binary in [false, true] {
                let encoder = if binary { Encoder::binary(0) } else { Encoder::text(0) };
                let mut rest = Some(encode(encoder, &packets));
                let mut parts = Vec::new();
                while let Some(body) = rest {
                    let (part, more) = cut_at(body, binary, at);
                    let decoded: Vec<_> = if binary {
                        decode_binary(part).map(Result::unwrap).collect()
                    } else {
                        decode(Str::try_from(part).unwrap()).map(Result::unwrap).collect()
                    };
                    prop_assert!(decoded.len() <= at);
                    parts.extend(decoded);
                    rest = more;
                }
                prop_assert_eq!(&parts, &packets);
                let (part, more) = cut_at(junk.clone().into(), binary, at);
                let whole = [&part[..], more.as_deref().unwrap_or_default()].concat();
                prop_assert_eq!(&whole, &junk);
            }
        }

        #[test]
        fn both_forms_round_trip(packets in prop::collection::vec(packet(), 1..8)) {
            let text = Str::try_from(encode(Encoder::text(0), &packets)).unwrap();
            prop_assert_eq!(decode(text).collect::<Result<Vec<_>, _>>(), Ok(packets.clone()));
            let binary = encode(Encoder::binary(0), &packets);
            prop_assert_eq!(decode_binary(binary).collect::<Result<Vec<_>, _>>(), Ok(packets));
        }

        #[test]
        fn a_cut_payload_is_an_error_or_fewer_packets(
            packets in prop::collection::vec(packet(), 1..4),
            at in any::<prop::sample::Index>(),
        ) {
            let binary = encode(Encoder::binary(0), &packets);
            let cut = binary.slice(..at.index(binary.len()));
            let found: Vec<_> = decode_binary(cut).collect();
            let good = found.iter().take_while(|packet| packet.is_ok()).count();
            prop_assert!(good < packets.len() && found.len() <= good + 1);
            prop_assert!(found.iter().take(good).zip(&packets).all(|(found, sent)| found.as_ref() == Ok(sent)));
        }

        #[test]
        fn any_body_is_packets_and_then_at_most_one_error(
            bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1), 0..10u8, Just(255), b'0'..b':', any::<u8>()], 0..40),
            text in "([0-4]{0,3}:?[0-6b]?(é|🎉|a|[0-9])*)*",
        ) {
            let bytes: Vec<_> = decode_binary(bytes.into()).collect();
            let text: Vec<_> = decode(text.into()).collect();
            for found in [bytes, text] {
                prop_assert!(found.iter().rev().skip(1).all(Result::is_ok));
            }
        }

        #[test]
        fn lengths_are_those_of_javascript(text in any::<String>()) {
            prop_assert_eq!(utf16_len(&text), text.encode_utf16().count());
        }
    }

    #[test]
    fn b74_binary_packets_have_a_type() {
        let message = |bytes: &'static [u8]| Ok(Packet::Message(Message::Binary(Bytes::from_static(bytes))));
        assert_eq!(decode_bytes(&Bytes::from_static(&[4, 1, 2])), message(&[1, 2]));
        assert_eq!(decode_bytes(&Bytes::from_static(&[4])), message(&[]));
        assert_eq!(decode_bytes(&Bytes::new()), Err(PacketError::Empty));
        assert_eq!(decode_bytes(&Bytes::from_static(&[2])), Err(PacketError::UnknownType('\u{2}')));
        assert_eq!(decode_bytes(&Bytes::from_static(b"4")), Err(PacketError::UnknownType('4')));
        assert_eq!(decode_text("b4AQI=".into()), message(&[1, 2]));
        assert_eq!(decode_text("b4".into()), message(&[]));
        assert_eq!(decode_text("b".into()), Err(PacketError::Empty));
        assert_eq!(decode_text("bAQI=".into()), Err(PacketError::UnknownType('A')));
        assert_eq!(decode_text("b2AQI=".into()), Err(PacketError::UnknownType('2')));
        assert_eq!(decode_text("b4!".into()), Err(PacketError::InvalidBase64));
        assert_eq!(decode_text("2probe".into()), Ok(Packet::Ping("probe".into())));
    }
}
