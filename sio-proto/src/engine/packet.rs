//! Engine.IO 4 packets: one digit for the type, then the data.

use bytes::{BufMut, Bytes};

use super::base64;
use crate::Str;

/// What the two applications say to each other: the content of a `message` packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Text.
    Text(Str),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// Number of bytes of content.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether there is no content. Both an empty text and an empty binary message are legal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An Engine.IO packet.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Packet {
    /// `0`: the server's handshake, as JSON.
    Open(Str),
    /// `1`: the session ends.
    Close,
    /// `2`: heartbeat, or the probe of an upgrade (`2probe`).
    Ping(Str),
    /// `3`: the answer to a ping, with the same content for a probe.
    Pong(Str),
    /// `4`: a message.
    Message(Message),
    /// `5`: the client has switched to the transport that carries this packet.
    Upgrade,
    /// `6`: nothing; frees a parked poll.
    Noop,
}

/// Text that is not an Engine.IO packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// There is not even a type.
    #[error("packet is empty")]
    Empty,
    /// The first character is not one of `0` to `6`, nor the `b` of base64.
    #[error("packet type {0:?} is unknown")]
    UnknownType(char),
    /// A `b` packet whose rest is not base64.
    #[error("binary packet is not valid base64")]
    InvalidBase64,
    /// In a payload of revision 3: a length is malformed, or there is less than it says.
    #[error("length of a packet is malformed")]
    Length,
    /// In a binary payload of revision 3: a text packet that is not UTF-8.
    #[error("text packet is not UTF-8")]
    NotUtf8,
}

impl Packet {
    /// Decodes one packet from a text frame, or from one slot of a polling payload.
    ///
    /// Text that starts with `b` is binary in base64; the reference accepts that in WebSocket text frames too.
    ///
    /// ```
    /// use sio_proto::engine::{Message, Packet};
    ///
    /// let packet = Packet::decode("4hello".into()).unwrap();
    /// assert_eq!(packet, Packet::Message(Message::Text("hello".into())));
    /// ```
    ///
    /// # Errors
    /// [`PacketError`] tells what is wrong.
    pub fn decode(text: Str) -> Result<Self, PacketError> {
        let Some(&kind) = text.as_bytes().first() else { return Err(PacketError::Empty) };
        Ok(match kind {
            b'0' => Self::Open(text.slice(1..)),
            b'1' => Self::Close,
            b'2' => Self::Ping(text.slice(1..)),
            b'3' => Self::Pong(text.slice(1..)),
            b'4' => Self::Message(Message::Text(text.slice(1..))),
            b'5' => Self::Upgrade,
            b'6' => Self::Noop,
            b'b' => {
                let bytes = base64::decode(&text.as_bytes()[1..]).ok_or(PacketError::InvalidBase64)?;
                Self::Message(Message::Binary(bytes))
            }
            _ => return Err(PacketError::UnknownType(text.chars().next().unwrap_or_default())),
        })
    }

    /// Writes the packet's text form: that of a text frame, with binary messages as base64.
    pub fn encode(&self, out: &mut impl BufMut) {
        match self {
            Self::Open(data) => put(out, b'0', data),
            Self::Close => out.put_u8(b'1'),
            Self::Ping(data) => put(out, b'2', data),
            Self::Pong(data) => put(out, b'3', data),
            Self::Message(Message::Text(text)) => put(out, b'4', text),
            Self::Message(Message::Binary(bytes)) => {
                out.put_u8(b'b');
                base64::encode(bytes, out);
            }
            Self::Upgrade => out.put_u8(b'5'),
            Self::Noop => out.put_u8(b'6'),
        }
    }
}

fn put(out: &mut impl BufMut, kind: u8, data: &str) {
    out.put_u8(kind);
    out.put_slice(data.as_bytes());
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn packet() -> impl Strategy<Value = Packet> {
        let text = || any::<alloc::string::String>().prop_map(Str::from);
        prop_oneof![
            text().prop_map(Packet::Open),
            Just(Packet::Close),
            text().prop_map(Packet::Ping),
            text().prop_map(Packet::Pong),
            text().prop_map(|t| Packet::Message(Message::Text(t))),
            any::<Vec<u8>>().prop_map(|b| Packet::Message(Message::Binary(b.into()))),
            Just(Packet::Upgrade),
            Just(Packet::Noop),
        ]
    }

    proptest! {
        #[test]
        fn round_trip(packet in packet()) {
            let mut out = Vec::new();
            packet.encode(&mut out);
            prop_assert_eq!(Packet::decode(Str::try_from(Bytes::from(out)).unwrap()).unwrap(), packet);
        }

        #[test]
        fn any_text_is_a_packet_or_an_error(text in any::<alloc::string::String>()) {
            let _ = Packet::decode(text.into());
        }
    }

    #[test]
    fn what_is_not_a_packet_says_why() {
        assert_eq!(Packet::decode(Str::empty()), Err(PacketError::Empty));
        assert_eq!(Packet::decode("7".into()), Err(PacketError::UnknownType('7')));
        assert_eq!(Packet::decode("é".into()), Err(PacketError::UnknownType('é')));
        assert_eq!(Packet::decode("b!".into()), Err(PacketError::InvalidBase64));
        // B5: both empty forms are legal.
        assert_eq!(Packet::decode("4".into()), Ok(Packet::Message(Message::Text(Str::empty()))));
        assert_eq!(Packet::decode("b".into()), Ok(Packet::Message(Message::Binary(Bytes::new()))));
    }
}
