//! Payloads of the text form: `<length>:<packet>`, with lengths in UTF-16 code units.

use super::{MAX_DIGITS, decode_text};
use crate::Str;
use crate::engine::packet::{Packet, PacketError};

/// Decodes a payload of the text form packet by packet.
///
/// Yields the packets up to the first bad one, then that error, then nothing. An empty body is an error; `0:` is no packet.
#[must_use]
pub fn decode(body: Str) -> Decode {
    Decode { rest: Some(body) }
}

/// Iterator over the packets of a payload; see [`decode`].
#[derive(Debug, Clone)]
pub struct Decode {
    rest: Option<Str>,
}

impl Iterator for Decode {
    type Item = Result<Packet, PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(body) = self.rest.take() {
            let packet = match cut(&body) {
                Err(error) => return Some(Err(error)),
                Ok((start, end)) => {
                    self.rest = (end < body.len()).then(|| body.slice(end..));
                    body.slice(start..end)
                }
            };
            // What a server says that has nothing to say.
            if packet.is_empty() {
                continue;
            }
            let packet = decode_text(packet);
            if packet.is_err() {
                self.rest = None;
            }
            return Some(packet);
        }
        None
    }
}

/// Where the first packet is.
fn cut(body: &str) -> Result<(usize, usize), PacketError> {
    if body.is_empty() {
        return Err(PacketError::Empty);
    }
    let digits = body.bytes().take(MAX_DIGITS).take_while(u8::is_ascii_digit).count();
    if body.as_bytes().get(digits) != Some(&b':') {
        return Err(PacketError::Length);
    }
    let units: usize = body[..digits].parse().map_err(|_| PacketError::Length)?;
    let start = digits + 1;
    let len = prefix(&body[start..], units).ok_or(PacketError::Length)?;
    Ok((start, start + len))
}

/// How many bytes of `text` are so many UTF-16 code units. `None` if there are not so many, or if the last one is half of a
/// character: JavaScript would cut it there, but no client does.
fn prefix(text: &str, units: usize) -> Option<usize> {
    // No text has more units than bytes, so that a length that is much too large costs nothing.
    if text.as_bytes().get(..units)?.is_ascii() {
        return Some(units);
    }
    let mut left = units;
    for (at, char) in text.char_indices() {
        if left == 0 {
            return Some(at);
        }
        left = left.checked_sub(char.len_utf16())?;
    }
    (left == 0).then_some(text.len())
}

/// Where the first `packets` packets end. `None` if they are broken.
pub(super) fn end_of(body: &[u8], packets: usize) -> Option<usize> {
    let mut at = 0;
    for _ in 0..packets {
        let digits = body[at..].iter().take(MAX_DIGITS).take_while(|byte| byte.is_ascii_digit()).count();
        let length = core::str::from_utf8(&body[at..at + digits]).ok()?;
        let mut units: usize = length.parse().ok()?;
        at += digits;
        if body.get(at) != Some(&b':') {
            return None;
        }
        at += 1;
        // The first byte of a character says how many bytes and units it has. It is decoded properly later.
        while units > 0 {
            let (bytes, more) = match body.get(at)? {
                ..0xc0 => (1, 1),
                ..0xe0 => (2, 1),
                ..0xf0 => (3, 1),
                _ => (4, 2),
            };
            at += bytes;
            units = units.checked_sub(more)?;
        }
        if at >= body.len() {
            return (at == body.len()).then_some(at);
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::engine::Message;

    fn all(text: &'static str) -> Vec<Result<Packet, PacketError>> {
        decode(text.into()).collect()
    }

    fn message(text: &'static str) -> Result<Packet, PacketError> {
        Ok(Packet::Message(Message::Text(text.into())))
    }

    #[test]
    fn b72_lengths_are_in_utf16_units() {
        // What `encodePayload` of engine.io-parser 2.2 gives.
        assert_eq!(all("3:4é中1:23:4🎉"), [message("é中"), Ok(Packet::Ping(Str::empty())), message("🎉")]);
        let binary = Ok(Packet::Message(Message::Binary(bytes::Bytes::from_static(&[1, 2]))));
        assert_eq!(all("6:b4AQI=2:4:"), [binary, message(":")]);
        assert_eq!(all("0:"), []);
        assert_eq!(all("0:0:1:4"), [message("")]);
    }

    #[test]
    fn hostile_lengths_are_errors() {
        for body in [
            "x",
            ":",
            "2",
            "2:",
            "2:4",
            "-1:4",
            "+1:4",
            " 1:4",
            "1e0:4",
            "0x1:4",
            "1 :4",
            "\u{661}:4",
            "9999999999:4",
            "18446744073709551616:4",
            "00000000001:4",
            "2:4🎉", // half of a character
            "2:4\u{10ffff}",
        ] {
            assert_eq!(all(body), [Err(PacketError::Length)], "{body}");
        }
        assert_eq!(all(""), [Err(PacketError::Empty)]);
        assert_eq!(all("1:4x"), [message(""), Err(PacketError::Length)], "what came before counts");
        assert_eq!(all("1:91:4"), [Err(PacketError::UnknownType('9'))], "what comes after does not");
    }
}
