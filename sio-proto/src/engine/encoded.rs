//! [`Encoded`]: messages that are encoded once, however many connections they go to.

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::{BufMut, Bytes};

use super::base64;
use super::packet::Message;
use super::payload::Encoder;
use crate::Str;

/// One or more messages that belong together, in the form in which they go out.
///
/// A Socket.IO packet is a text message followed by its attachments. They are sent next to each other or not at all.
/// Cloning shares all content: a broadcast encodes once, and each recipient costs a reference count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Encoded {
    first: First,
    attachments: Option<Arc<[Bytes]>>,
}

/// The first message. Whether the packet may be compressed is here, where it takes no room.
#[derive(Clone, PartialEq, Eq, Debug)]
enum First {
    Text(Str),
    Binary(Bytes),
    PlainText(Str),
    PlainBinary(Bytes),
}

impl First {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) | Self::PlainText(text) => text.as_bytes(),
            Self::Binary(bytes) | Self::PlainBinary(bytes) => bytes,
        }
    }

    fn is_binary(&self) -> bool {
        matches!(self, Self::Binary(_) | Self::PlainBinary(_))
    }

    fn len(&self) -> usize {
        self.as_bytes().len()
    }

    fn compress(self, compress: bool) -> Self {
        match (self, compress) {
            (Self::Text(text) | Self::PlainText(text), true) => Self::Text(text),
            (Self::Text(text) | Self::PlainText(text), false) => Self::PlainText(text),
            (Self::Binary(bytes) | Self::PlainBinary(bytes), true) => Self::Binary(bytes),
            (Self::Binary(bytes) | Self::PlainBinary(bytes), false) => Self::PlainBinary(bytes),
        }
    }

    fn into_frame(self) -> Frame {
        match self {
            Self::Text(text) | Self::PlainText(text) => Frame::Text(text),
            Self::Binary(bytes) | Self::PlainBinary(bytes) => Frame::Binary(bytes),
        }
    }
}

impl From<Frame> for First {
    fn from(frame: Frame) -> Self {
        match frame {
            Frame::Text(text) => Self::Text(text),
            Frame::Binary(bytes) => Self::Binary(bytes),
        }
    }
}

/// What one WebSocket message carries.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Frame {
    /// The content of a text message: an Engine.IO packet with its type digit.
    Text(Str),
    /// The content of a binary message: no type digit, "message" is implied.
    Binary(Bytes),
}

impl Frame {
    /// Number of bytes of content.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether there is no content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Encoded {
    /// A message.
    #[must_use]
    pub fn message(message: &Message) -> Self {
        let first = match message {
            Message::Text(text) => {
                let mut packet = Vec::with_capacity(1 + text.len());
                packet.put_u8(b'4');
                packet.put_slice(text.as_bytes());
                First::Text(Str::try_from(Bytes::from(packet)).unwrap_or_default())
            }
            Message::Binary(bytes) => First::Binary(bytes.clone()),
        };
        Self { first, attachments: None }
    }

    /// A message, and binary messages that follow it at once.
    #[must_use]
    pub fn with_attachments(message: &Message, attachments: Vec<Bytes>) -> Self {
        let attachments = (!attachments.is_empty()).then(|| attachments.into());
        Self { attachments, ..Self::message(message) }
    }

    /// Says whether an answer to a poll in which this packet is may be compressed. Default: yes. WebSocket messages are never compressed.
    #[must_use]
    pub fn compress(self, compress: bool) -> Self {
        Self { first: self.first.compress(compress), ..self }
    }

    /// Whether an answer to a poll in which this packet is may be compressed.
    #[must_use]
    pub const fn may_compress(&self) -> bool {
        matches!(self.first, First::Text(_) | First::Binary(_))
    }

    /// How many messages it is.
    pub(crate) fn messages(&self) -> usize {
        1 + self.attachments.as_ref().map_or(0, |attachments| attachments.len())
    }

    /// A text packet that has its type digit already, and the binary messages that follow it.
    pub(crate) fn from_parts(text: Str, attachments: Option<Arc<[Bytes]>>) -> Self {
        Self { first: First::Text(text), attachments }
    }

    /// The content of WebSocket messages.
    pub(super) fn from_frames(first: Frame, attachments: Option<Arc<[Bytes]>>) -> Self {
        Self { first: first.into(), attachments }
    }

    /// Whether any of its messages is binary.
    pub(super) fn has_binary(&self) -> bool {
        self.first.is_binary() || self.attachments.is_some()
    }

    /// The WebSocket messages, in order.
    pub fn frames(&self) -> impl Iterator<Item = Frame> + '_ {
        let rest = self.attachments.iter().flat_map(|list| list.iter());
        core::iter::once(self.first.clone().into_frame()).chain(rest.cloned().map(Frame::Binary))
    }

    /// The first WebSocket message, and the attachments that follow it.
    #[must_use]
    pub fn into_parts(self) -> (Frame, Option<Arc<[Bytes]>>) {
        (self.first.into_frame(), self.attachments)
    }

    /// Bytes of content; what the limit of a connection's outbox counts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.first.len() + self.attachments.iter().flat_map(|list| list.iter()).map(Bytes::len).sum::<usize>()
    }

    /// Whether there is no content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the largest WebSocket message.
    pub(crate) fn largest_frame(&self) -> usize {
        let rest = self.attachments.iter().flat_map(|list| list.iter()).map(Bytes::len);
        rest.fold(self.first.len(), usize::max)
    }

    /// Bytes of the largest message in a polling payload.
    pub(crate) fn largest_in_payload(&self) -> usize {
        let rest = self.attachments.iter().flat_map(|list| list.iter()).map(binary_payload_len);
        rest.fold(self.first_payload_len(), usize::max).saturating_sub(1)
    }

    /// Bytes that the packet takes in a polling payload, with one separator for each message.
    pub(super) fn payload_len(&self) -> usize {
        let attachments = self.attachments.iter().flat_map(|list| list.iter());
        self.first_payload_len() + attachments.map(binary_payload_len).sum::<usize>()
    }

    fn first_payload_len(&self) -> usize {
        match &self.first {
            First::Text(text) | First::PlainText(text) => 1 + text.len(),
            First::Binary(bytes) | First::PlainBinary(bytes) => binary_payload_len(bytes),
        }
    }

    /// Cuts the group where it exceeds `room` bytes of payload, but not before its second message.
    pub(super) fn split(self, room: usize) -> (Self, Option<Self>) {
        let Some(list) = &self.attachments else { return (self, None) };
        let mut end = self.first_payload_len();
        let cut = list.iter().position(|bytes| {
            end += binary_payload_len(bytes);
            end > room
        });
        let Some(cut) = cut else { return (self, None) };
        let group = |list: &[Bytes]| (!list.is_empty()).then(|| Arc::from(list));
        let compress = self.may_compress();
        let rest = Self { first: First::Binary(list[cut].clone()), attachments: group(&list[cut + 1..]) }
            .compress(compress);
        let attachments = group(&list[..cut]);
        (Self { first: self.first, attachments }, Some(rest))
    }

    /// Its messages one by one, with binary ones as base64 in text.
    pub(super) fn into_base64(self) -> impl Iterator<Item = Self> {
        let Self { first, attachments } = self;
        let len = attachments.as_ref().map_or(0, |list| list.len());
        let rest = (0..len).filter_map(move |index| attachments.as_ref()?.get(index).cloned());
        core::iter::once(first.into_frame()).chain(rest.map(Frame::Binary)).map(|frame| {
            let text = match frame {
                Frame::Text(text) => text,
                Frame::Binary(bytes) => {
                    let mut text = Vec::with_capacity(1 + base64::encoded_len(bytes.len()));
                    text.put_u8(b'b');
                    base64::encode(&bytes, &mut text);
                    Str::try_from(Bytes::from(text)).unwrap_or_default()
                }
            };
            Self::from_parts(text, None)
        })
    }

    /// Appends its messages to a payload of revision 3.
    pub(super) fn write_eio3(&self, out: &mut super::eio3::Encoder) {
        match &self.first {
            First::Text(text) | First::PlainText(text) => out.push_text(text),
            First::Binary(bytes) | First::PlainBinary(bytes) => out.push_binary(bytes),
        }
        self.attachments.iter().flat_map(|list| list.iter()).for_each(|bytes| out.push_binary(bytes));
    }

    pub(super) fn write_payload(&self, out: &mut Encoder<Vec<u8>>) {
        match &self.first {
            First::Text(text) | First::PlainText(text) => out.push_text(text),
            First::Binary(bytes) | First::PlainBinary(bytes) => out.push_binary(bytes),
        }
        for bytes in self.attachments.iter().flat_map(|list| list.iter()) {
            out.push_binary(bytes);
        }
    }
}

fn binary_payload_len(bytes: &Bytes) -> usize {
    2 + base64::encoded_len(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_it_may_be_compressed_takes_no_room() {
        assert_eq!(size_of::<Encoded>(), size_of::<(Frame, Option<Arc<[Bytes]>>)>());
    }

    #[test]
    fn it_may_be_compressed_until_it_is_said_that_it_may_not() {
        for message in [Message::Text("a".into()), Message::Binary(Bytes::from_static(b"a"))] {
            let packet = Encoded::with_attachments(&message, alloc::vec![Bytes::from_static(b"b")]);
            assert!(packet.may_compress());
            let plain = packet.clone().compress(false);
            assert!(!plain.may_compress() && plain.frames().eq(packet.frames()));
            assert_eq!((plain.len(), plain.payload_len()), (packet.len(), packet.payload_len()));
            let (first, rest) = plain.clone().split(0);
            assert!(!first.may_compress() && rest.is_some_and(|rest| !rest.may_compress()));
            assert_eq!(plain.compress(true), packet);
        }
    }
}
