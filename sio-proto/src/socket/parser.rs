//! How packets become messages and messages packets: [`Parser`], for other forms than the usual one.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt::{self, Debug, Display};

use super::conn::ConnConfig;
use super::packet::{Decoder, Packet, PacketError};
use crate::engine::{Encoded, Message};

/// The form in which Socket.IO packets travel, in place of the usual text with attachments. Both sides must use the same; the
/// first packet of a client that does not is an error, and its connection is closed.
///
/// What arrives becomes a [`Packet`] whose data is JSON text with attachments, however it was sent; so handlers and their types are
/// the same with every parser. [`Packet::new`] makes one, and checks all that is checked of usual packets.
///
/// Both methods are called while other connections wait for them: they must not block, and not use the server or client that
/// they belong to. A panic in them ends the task of a connection.
///
/// ```
/// use sio_proto::Str;
/// use sio_proto::engine::{Encoded, Message};
/// use sio_proto::socket::{Decode, Limits, Packet, PacketError, Parser, ParserError, Payload};
///
/// /// Packets as lines of text: type, namespace, id and JSON, with a bar between them. It cannot carry binary data.
/// #[derive(Debug)]
/// struct Bars;
///
/// impl Parser for Bars {
///     fn encode(&self, packet: &Packet) -> Result<Encoded, ParserError> {
///         if packet.attachments().is_some_and(|attachments| !attachments.is_empty()) {
///             return Err(ParserError::new("no binary data"));
///         }
///         let id = packet.id().map(|id| id.to_string()).unwrap_or_default();
///         let data = packet.data().unwrap_or_default();
///         let text = format!("{}|{}|{id}|{data}", packet.kind(), packet.namespace());
///         Ok(Encoded::message(&Message::Text(text.into())))
///     }
///
///     fn decoder(&self, _: Limits) -> Box<dyn Decode> {
///         Box::new(Self)
///     }
/// }
///
/// impl Decode for Bars {
///     fn decode(&mut self, message: Message) -> Result<Option<Packet>, PacketError> {
///         let wrong = |what| PacketError::Parser(ParserError::new(what));
///         let Message::Text(text) = message else { return Err(wrong("a binary message")) };
///         let mut parts = text.splitn(4, '|');
///         let mut part = || parts.next().ok_or_else(|| wrong("too few bars"));
///         let (kind, namespace, id, data) = (part()?, part()?, part()?, part()?);
///         let kind = kind.parse().map_err(|_| wrong("the type is no number"))?;
///         let id = if id.is_empty() { None } else { Some(id.parse().map_err(|_| PacketError::AckId)?) };
///         Packet::new(kind, namespace.into(), id, Str::from(data), Vec::new()).map(Some)
///     }
/// }
///
/// let packet = Packet::Event { namespace: "/chat".into(), id: Some(7), payload: Payload::from_event("add", &(1, 2))? };
/// let encoded = Bars.encode(&packet)?;
/// assert_eq!(encoded.frames().next(), Encoded::message(&Message::Text(r#"2|/chat|7|["add",1,2]"#.into())).frames().next());
/// let decoded = Bars.decode(Message::Text(r#"2|/chat|7|["add",1,2]"#.into()))?;
/// assert_eq!(decoded, Some(packet));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub trait Parser: Debug + Send + Sync {
    /// Turns a packet into one or more messages: see [`Encoded::message`] and [`Encoded::with_attachments`].
    ///
    /// # Errors
    /// The packet is one that this parser cannot write. Who emits such an event is told; a packet that the library itself sends,
    /// such as CONNECT, is left out, and the other side runs into its timeout.
    fn encode(&self, packet: &Packet) -> Result<Encoded, ParserError>;

    /// What reads the messages of one connection, within these limits.
    fn decoder(&self, limits: Limits) -> Box<dyn Decode>;
}

/// Reads the messages of one connection.
pub trait Decode: Debug + Send + Sync {
    /// Takes a message; gives a packet if it completes one.
    ///
    /// # Errors
    /// The message is not a packet, or breaks a limit: the connection is closed.
    fn decode(&mut self, message: Message) -> Result<Option<Packet>, PacketError>;

    /// Drops a packet of which only some messages have come: the connection is over. Needs no code if each packet is one message.
    fn reset(&mut self) {}
}

/// What one packet may be like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Most attachments.
    pub max_attachments: usize,
    /// Most bytes of packet and attachments together.
    pub max_packet_bytes: usize,
}

/// What a [`Parser`] has to say of a packet or message that it cannot handle.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ParserError {
    message: String,
}

impl ParserError {
    /// An error with this message.
    #[must_use]
    pub fn new(message: impl Display) -> Self {
        Self { message: message.to_string() }
    }
}

/// Which form packets have: the usual one, or that of a [`Parser`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Codec {
    /// Text with attachments, which every client and server knows.
    #[default]
    Json,
    /// Another one.
    Custom(Arc<dyn Parser>),
}

impl Codec {
    /// That of a parser.
    #[must_use]
    pub fn custom(parser: impl Parser + 'static) -> Self {
        Self::Custom(Arc::new(parser))
    }
}

/// One connection's packets.
pub(super) enum Wire {
    Json(Decoder),
    /// Boxed, so that the usual form takes no more room for it.
    Custom(Box<(Codec, Box<dyn Decode>)>),
}

impl Wire {
    pub(super) fn new(config: &ConnConfig) -> Self {
        let ConnConfig { max_attachments, max_packet_bytes, .. } = *config;
        match &config.codec {
            Codec::Json => Self::Json(Decoder::new(max_attachments, max_packet_bytes)),
            Codec::Custom(parser) => {
                let decoder = parser.decoder(Limits { max_attachments, max_packet_bytes });
                Self::Custom(Box::new((config.codec.clone(), decoder)))
            }
        }
    }

    pub(super) fn codec(&self) -> &Codec {
        match self {
            Self::Json(_) => &Codec::Json,
            Self::Custom(custom) => &custom.0,
        }
    }

    #[inline]
    pub(super) fn decode(&mut self, message: Message) -> Result<Option<Packet>, PacketError> {
        match self {
            Self::Json(decoder) => decoder.decode(message),
            Self::Custom(custom) => custom.1.decode(message),
        }
    }

    pub(super) fn reset(&mut self) {
        match self {
            Self::Json(decoder) => decoder.reset(),
            Self::Custom(custom) => custom.1.reset(),
        }
    }
}

impl Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(decoder) => decoder.fmt(f),
            Self::Custom(custom) => custom.1.fmt(f),
        }
    }
}
