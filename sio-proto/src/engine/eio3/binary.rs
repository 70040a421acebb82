//! Payloads of the binary form: `0` or `1`, the digits of the length, `0xff`, the packet.

use bytes::Bytes;

use super::{MAX_DIGITS, decode_bytes, decode_text};
use crate::Str;
use crate::engine::packet::{Packet, PacketError};

/// Decodes a payload of the binary form packet by packet.
///
/// Yields the packets up to the first bad one, then that error, then nothing. An empty body is an error.
#[must_use]
pub fn decode_binary(body: Bytes) -> DecodeBinary {
    DecodeBinary { rest: Some(body) }
}

/// Iterator over the packets of a payload; see [`decode_binary`].
#[derive(Debug, Clone)]
pub struct DecodeBinary {
    rest: Option<Bytes>,
}

impl Iterator for DecodeBinary {
    type Item = Result<Packet, PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        let body = self.rest.take()?;
        Some(cut(&body).and_then(|(is_text, start, end)| {
            let content = body.slice(start..end);
            let packet = if is_text {
                decode_text(Str::try_from(content).map_err(|_| PacketError::NotUtf8)?)?
            } else {
                decode_bytes(&content)?
            };
            self.rest = (end < body.len()).then(|| body.slice(end..));
            Ok(packet)
        }))
    }
}

/// Whether the first packet is text, and where it is.
fn cut(body: &[u8]) -> Result<(bool, usize, usize), PacketError> {
    let is_text = match body.first() {
        None => return Err(PacketError::Empty),
        Some(kind @ (0 | 1)) => *kind == 0,
        Some(_) => return Err(PacketError::Length),
    };
    let (mut len, mut at) = (0u64, 1);
    loop {
        match body.get(at) {
            Some(digit @ 0..=9) if at <= MAX_DIGITS => len = len * 10 + u64::from(*digit),
            Some(0xff) if at > 1 => break,
            _ => return Err(PacketError::Length),
        }
        at += 1;
    }
    let start = at + 1;
    let end = usize::try_from(len).ok().and_then(|len| start.checked_add(len));
    let end = end.filter(|end| *end <= body.len()).ok_or(PacketError::Length)?;
    Ok((is_text, start, end))
}

/// Where the first `packets` packets end. `None` if they are broken.
pub(super) fn end_of(body: &[u8], packets: usize) -> Option<usize> {
    let mut at = 0;
    for _ in 0..packets {
        if at == body.len() {
            break;
        }
        let (_, _, end) = cut(&body[at..]).ok()?;
        at += end;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::engine::Message;

    fn all(bytes: &[u8]) -> Vec<Result<Packet, PacketError>> {
        decode_binary(Bytes::copy_from_slice(bytes)).collect()
    }

    #[test]
    fn b73_text_and_bytes_side_by_side() {
        // What `encodePayloadAsBinary` of engine.io-parser 2.2 gives.
        let body =
            [&[0, 6, 255][..], "4é中".as_bytes(), &[1, 3, 255, 4, 1, 255], &[0, 1, 255, b'2']].concat();
        let text = Packet::Message(Message::Text("é中".into()));
        let binary = Packet::Message(Message::Binary(Bytes::from_static(&[1, 255])));
        assert_eq!(all(&body), [Ok(text), Ok(binary), Ok(Packet::Ping(Str::empty()))]);
        let by_units = [&[0, 2, 255][..], "4é".as_bytes()].concat();
        assert_eq!(all(&by_units), [Err(PacketError::NotUtf8)], "the length is in bytes");
        let long = [&[1, 1, 2, 255, 4][..], &[7; 11]].concat();
        assert_eq!(all(&long), [Ok(Packet::Message(Message::Binary(Bytes::from_static(&[7; 11]))))]);
    }

    #[test]
    fn hostile_headers_are_errors() {
        for body in [
            &[2, 1, 255, b'2'][..],                           // neither text nor bytes
            &[0],                                             // no length
            &[0, 255, b'2'],                                  // no digit
            &[0, 1],                                          // no end of the length
            &[0, 1, 254, b'2'],                               // a wrong end
            &[0, 10, 255, b'2'],                              // not a digit
            &[0, b'1', 255, b'2'],                            // a digit of the other form
            &[0, 2, 255, b'2'],                               // longer than the body
            &[0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 255, b'2'],    // much longer
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 255, b'2'], // more digits than are read
        ] {
            assert_eq!(all(body), [Err(PacketError::Length)], "{body:?}");
        }
        assert_eq!(all(&[]), [Err(PacketError::Empty)]);
        assert_eq!(all(&[0, 0, 255]), [Err(PacketError::Empty)]);
        assert_eq!(all(&[1, 0, 255]), [Err(PacketError::Empty)]);
        assert_eq!(all(&[0, 2, 255, b'4', 0xc3]), [Err(PacketError::NotUtf8)]);
        assert_eq!(all(&[1, 1, 255, 2]), [Err(PacketError::UnknownType('\u{2}'))]);
    }
}
