//! Socket.IO packets in their text form, and what a packet means once its attachments are there.
//!
//! ```text
//! <type>[<attachments>-][<namespace>,][<ack id>][<JSON>]
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::parser::ParserError;
use super::payload::{Attachments, Payload, PayloadError};
use crate::Str;
use crate::engine::Message;

/// A Socket.IO packet, complete with its attachments.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Packet {
    /// `0`: the client asks to join a namespace, or the server confirms it.
    Connect {
        /// The namespace.
        namespace: Str,
        /// A JSON object: the client's `auth`, or the server's `sid`.
        data: Option<Str>,
    },
    /// `1`: one side leaves the namespace.
    Disconnect {
        /// The namespace.
        namespace: Str,
    },
    /// `2` or `5`: an event.
    Event {
        /// The namespace.
        namespace: Str,
        /// The id of the acknowledgement that is asked for.
        id: Option<u64>,
        /// Name and arguments.
        payload: Payload,
    },
    /// `3` or `6`: an acknowledgement.
    Ack {
        /// The namespace.
        namespace: Str,
        /// The id that the event came with.
        id: u64,
        /// Arguments.
        payload: Payload,
    },
    /// `4`: the server refuses to let the client join.
    ConnectError {
        /// The namespace.
        namespace: Str,
        /// A JSON string or object that says why.
        data: Option<Str>,
    },
}

/// A message that is not a Socket.IO packet, or not at this place.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// An empty message (B97).
    #[error("packet is empty")]
    Empty,
    /// The first character is not one of `0` to `6`.
    #[error("packet type {0:?} is unknown")]
    UnknownType(char),
    /// The number of attachments is missing or is not a plain number from 1.
    #[error("number of attachments is malformed")]
    AttachmentCount,
    /// More attachments are announced than are allowed.
    #[error("{count} attachments, at most {limit} are allowed")]
    TooManyAttachments {
        /// How many are announced.
        count: u64,
        /// How many are allowed.
        limit: usize,
    },
    /// The packet and its attachments are larger than is allowed.
    #[error("packet with attachments exceeds {limit} bytes")]
    TooLarge {
        /// How many bytes are allowed.
        limit: usize,
    },
    /// The name of the namespace does not begin with a slash.
    #[error("namespace without a slash")]
    Namespace,
    /// The id of an acknowledgement is missing or too large.
    #[error("acknowledgement id is missing or out of range")]
    AckId,
    /// The JSON part is missing, or there is one where none may be.
    #[error("packet of type {0} with a wrong payload")]
    Payload(u8),
    /// The JSON part is not what an event or acknowledgement carries.
    #[error(transparent)]
    InvalidPayload(#[from] PayloadError),
    /// The event's name is reserved: `connect`, `disconnect` and so on (B86).
    #[error("event name is reserved")]
    ReservedName,
    /// Text arrived while attachments were awaited.
    #[error("text where an attachment was expected")]
    ExpectedAttachment,
    /// A binary message arrived that no packet announced.
    #[error("binary message that no packet announced")]
    UnexpectedBinary,
    /// What the [`Parser`](super::Parser) says.
    #[error("not a packet of this parser: {0}")]
    Parser(ParserError),
}

impl Packet {
    /// A packet of the kind with this number, see [`kind`](Self::kind), with all the checks of the usual form: for a
    /// [`Parser`](super::Parser). `data` is JSON in which `{"_placeholder":true,"num":0}` stands for the first attachment; none is empty.
    /// 5 and 6 are 2 and 3.
    ///
    /// # Errors
    /// The parts do not make a packet.
    pub fn new(
        kind: u8,
        namespace: Str,
        id: Option<u64>,
        data: Str,
        attachments: Vec<Bytes>,
    ) -> Result<Self, PacketError> {
        if kind > 6 {
            return Err(PacketError::UnknownType(char::from_digit(u32::from(kind), 36).unwrap_or('?')));
        }
        if !namespace.starts_with('/') {
            return Err(PacketError::Namespace);
        }
        if id.is_some_and(|id| id > MAX_SAFE_INTEGER) {
            return Err(PacketError::AckId);
        }
        Header { kind, attachments: 0, namespace, id, data }.finish(attachments.into())
    }

    /// The number of its kind: 0 CONNECT, 1 DISCONNECT, 2 an event, 3 an acknowledgement, 4 CONNECT_ERROR.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Connect { .. } => 0,
            Self::Disconnect { .. } => 1,
            Self::Event { .. } => 2,
            Self::Ack { .. } => 3,
            Self::ConnectError { .. } => 4,
        }
    }

    /// The namespace.
    #[must_use]
    pub const fn namespace(&self) -> &Str {
        match self {
            Self::Connect { namespace, .. }
            | Self::Disconnect { namespace }
            | Self::Event { namespace, .. }
            | Self::Ack { namespace, .. }
            | Self::ConnectError { namespace, .. } => namespace,
        }
    }

    /// The id of the acknowledgement that is asked for or given.
    #[must_use]
    pub const fn id(&self) -> Option<u64> {
        match self {
            Self::Event { id, .. } => *id,
            Self::Ack { id, .. } => Some(*id),
            _ => None,
        }
    }

    /// The data as JSON, with placeholders for the attachments.
    #[must_use]
    pub fn data(&self) -> Option<&str> {
        match self {
            Self::Connect { data, .. } | Self::ConnectError { data, .. } => data.as_deref(),
            Self::Event { payload, .. } | Self::Ack { payload, .. } => Some(payload.text()),
            Self::Disconnect { .. } => None,
        }
    }

    /// The attachments, of a packet that can have some.
    #[must_use]
    pub const fn attachments(&self) -> Option<&Attachments> {
        match self {
            Self::Event { payload, .. } | Self::Ack { payload, .. } => Some(payload.attachments()),
            _ => None,
        }
    }
}

/// Names that only the library may emit (B86).
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Whether an event may not have this name.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Largest id that JavaScript counts exactly.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// The text part of a packet, cut up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) kind: u8,
    /// 0 for the types without attachments.
    pub(super) attachments: u64,
    pub(super) namespace: Str,
    pub(super) id: Option<u64>,
    pub(super) data: Str,
}

impl Header {
    pub(super) fn parse(text: &Str) -> Result<Self, PacketError> {
        let bytes = text.as_bytes();
        let kind = match bytes.first() {
            None => return Err(PacketError::Empty),
            Some(kind @ b'0'..=b'6') => kind - b'0',
            Some(_) => return Err(PacketError::UnknownType(text.chars().next().unwrap_or_default())),
        };
        let mut at = 1;
        let mut attachments = 0;
        if kind >= 5 {
            // B87: digits only, and at least one attachment.
            let (count, end) = digits(bytes, at).ok_or(PacketError::AttachmentCount)?;
            if count == 0 || bytes.get(end) != Some(&b'-') {
                return Err(PacketError::AttachmentCount);
            }
            attachments = count;
            at = end + 1;
        }
        let mut namespace = const { Str::from_static("/") };
        if bytes.get(at) == Some(&b'/') {
            // B82: the comma may be missing at the end of the packet.
            let end = memchr::memchr(b',', &bytes[at..]).map_or(bytes.len(), |comma| at + comma);
            if end != at + 1 {
                namespace = text.slice(at..end);
            }
            at = (end + 1).min(bytes.len());
        }
        let mut id = None;
        if bytes.get(at).is_some_and(u8::is_ascii_digit) {
            let (number, end) =
                digits(bytes, at).filter(|(id, _)| *id <= MAX_SAFE_INTEGER).ok_or(PacketError::AckId)?;
            id = Some(number);
            at = end;
        }
        Ok(Self { kind, attachments, namespace, id, data: text.slice(at..) })
    }

    /// The packet, once its attachments are there.
    pub(super) fn finish(self, attachments: Attachments) -> Result<Packet, PacketError> {
        let Self { kind, namespace, id, data, .. } = self;
        let missing = || PacketError::Payload(kind);
        match kind {
            0 => match data.as_bytes().first() {
                None => Ok(Packet::Connect { namespace, data: None }),
                Some(b'{') => Ok(Packet::Connect { namespace, data: Some(checked(data, kind)?) }),
                Some(_) => Err(missing()),
            },
            1 if data.is_empty() => Ok(Packet::Disconnect { namespace }),
            2 | 5 if !data.is_empty() => {
                let payload = Payload::new(data, attachments, true)?;
                if payload.has_reserved_name() {
                    return Err(PacketError::ReservedName);
                }
                Ok(Packet::Event { namespace, id, payload })
            }
            3 | 6 if !data.is_empty() => {
                let id = id.ok_or(PacketError::AckId)?;
                Ok(Packet::Ack { namespace, id, payload: Payload::new(data, attachments, false)? })
            }
            4 => match data.as_bytes().first() {
                None => Ok(Packet::ConnectError { namespace, data: None }),
                Some(b'{' | b'"') => Ok(Packet::ConnectError { namespace, data: Some(checked(data, kind)?) }),
                Some(_) => Err(missing()),
            },
            _ => Err(missing()),
        }
    }
}

fn checked(data: Str, kind: u8) -> Result<Str, PacketError> {
    match serde_json::from_str::<serde::de::IgnoredAny>(&data) {
        Ok(_) => Ok(data),
        Err(_) => Err(PacketError::Payload(kind)),
    }
}

/// A run of digits from `at`, and where it ends. `None` if there is none, or if it is longer than a `u64` or too large for it.
fn digits(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let run = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit());
    let (mut number, mut end) = (0u64, at);
    for digit in run {
        number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        end += 1;
        if end - at > 20 {
            return None;
        }
    }
    (end > at).then_some((number, end))
}

/// Decodes messages into packets: a text message, and the attachments that follow it.
///
/// Bounded in the number of attachments and in bytes; a broken packet is an error, after which the decoder is empty again.
#[derive(Debug)]
pub struct Decoder {
    max_attachments: usize,
    max_bytes: usize,
    partial: Option<Box<Partial>>,
}

#[derive(Debug)]
struct Partial {
    header: Header,
    attachments: Vec<Bytes>,
    bytes: usize,
}

impl Decoder {
    /// A decoder that allows this many attachments, and this many bytes of packet and attachments together.
    #[must_use]
    pub fn new(max_attachments: usize, max_bytes: usize) -> Self {
        Self { max_attachments, max_bytes, partial: None }
    }

    /// Takes a message; gives a packet if it completes one.
    ///
    /// # Errors
    /// The message is not a packet, or not at this place, or breaks a limit.
    pub fn decode(&mut self, message: Message) -> Result<Option<Packet>, PacketError> {
        match (message, self.partial.take()) {
            (Message::Text(_), Some(_)) => Err(PacketError::ExpectedAttachment),
            (Message::Binary(_), None) => Err(PacketError::UnexpectedBinary),
            (Message::Text(text), None) => {
                let header = Header::parse(&text)?;
                if header.attachments == 0 {
                    return header.finish(Attachments::default()).map(Some);
                }
                let limit = self.max_attachments;
                if header.attachments > limit as u64 {
                    return Err(PacketError::TooManyAttachments { count: header.attachments, limit });
                }
                let bytes = self.within(text.len())?;
                let attachments = Vec::new();
                self.partial = Some(Box::new(Partial { header, attachments, bytes }));
                Ok(None)
            }
            (Message::Binary(binary), Some(mut partial)) => {
                partial.bytes = self.within(partial.bytes + binary.len())?;
                partial.attachments.push(binary);
                if (partial.attachments.len() as u64) < partial.header.attachments {
                    self.partial = Some(partial);
                    return Ok(None);
                }
                let Partial { header, attachments, .. } = *partial;
                header.finish(attachments.into()).map(Some)
            }
        }
    }

    /// Drops a half-received packet (B98).
    pub fn reset(&mut self) {
        self.partial = None;
    }

    fn within(&self, bytes: usize) -> Result<usize, PacketError> {
        if bytes > self.max_bytes { Err(PacketError::TooLarge { limit: self.max_bytes }) } else { Ok(bytes) }
    }
}
