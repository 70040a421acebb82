//! Packets on their way out, encoded once.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use bytes::Bytes;

use super::packet::{Packet, is_reserved};
use super::parser::{Codec, Parser, ParserError};
use super::payload::{self, Args, Payload};
use crate::Str;
use crate::engine::Encoded;
use crate::hub::Offset;

/// Data that cannot be sent.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The event's name is one that only the library may emit.
    #[error("event name {0:?} is reserved")]
    ReservedName(String),
    /// The data's own `Serialize` failed, or a map has keys that JSON does not have.
    #[error(transparent)]
    Data(#[from] payload::EncodeError),
    /// The [`Parser`] cannot write it.
    #[error(transparent)]
    Parser(#[from] ParserError),
}

/// Encodes packets, in a buffer that it keeps from one to the next.
///
/// The JSON is written first, behind a gap for the header, because the header needs the number of attachments. One
/// allocation per packet is left: the packet itself.
#[derive(Debug, Default)]
pub struct Encoder {
    scratch: Vec<u8>,
    attachments: Vec<Bytes>,
    codec: Codec,
}

/// The scratch buffer is given back to the allocator above this size.
const KEEP: usize = 64 << 10;

impl Encoder {
    /// An encoder with no buffer yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { scratch: Vec::new(), attachments: Vec::new(), codec: Codec::Json }
    }

    /// Says which form packets have from now on; the usual one until then.
    pub fn set_codec(&mut self, codec: &Codec) {
        self.codec.clone_from(codec);
    }

    /// An event. A tuple is several arguments, `()` is none, anything else is one.
    ///
    /// # Errors
    /// [`EncodeError`]
    pub fn event<A: Args + ?Sized>(
        &mut self,
        namespace: &str,
        id: Option<u64>,
        name: &str,
        args: &A,
    ) -> Result<Encoded, EncodeError> {
        if is_reserved(name) {
            return Err(EncodeError::ReservedName(name.into()));
        }
        let gap = self.start(namespace);
        payload::encode_event(name, args, &mut self.scratch, &mut self.attachments)?;
        self.finish(gap, b'2', namespace, id)
    }

    /// An event that can be recovered: as [`event`](Self::event), with the offset as a last argument more.
    ///
    /// # Errors
    /// [`EncodeError`]
    pub fn event_at<A: Args + ?Sized>(
        &mut self,
        namespace: &str,
        offset: Offset,
        name: &str,
        args: &A,
    ) -> Result<Encoded, EncodeError> {
        if is_reserved(name) {
            return Err(EncodeError::ReservedName(name.into()));
        }
        let gap = self.start(namespace);
        payload::encode_event(name, args, &mut self.scratch, &mut self.attachments)?;
        // The end of the array; there is a name before it, so a comma is right.
        self.scratch.pop();
        let mut text = Prefix::default();
        let _ = write!(text, ",\"{offset}\"]");
        self.scratch.extend_from_slice(text.as_bytes());
        self.finish(gap, b'2', namespace, None)
    }

    /// An acknowledgement; arguments as for [`event`](Self::event).
    ///
    /// # Errors
    /// [`EncodeError`]
    pub fn ack<A: Args + ?Sized>(
        &mut self,
        namespace: &str,
        id: u64,
        args: &A,
    ) -> Result<Encoded, EncodeError> {
        let gap = self.start(namespace);
        payload::encode_ack(args, &mut self.scratch, &mut self.attachments)?;
        self.finish(gap, b'3', namespace, Some(id))
    }

    fn start(&mut self, namespace: &str) -> usize {
        self.scratch.clear();
        self.attachments.clear();
        let gap = Prefix::MAX + namespace.len();
        self.scratch.resize(gap, 0);
        gap
    }

    fn finish(
        &mut self,
        gap: usize,
        kind: u8,
        namespace: &str,
        id: Option<u64>,
    ) -> Result<Encoded, EncodeError> {
        if let Codec::Custom(parser) = &self.codec {
            let parser = parser.clone();
            return self.finish_custom(&*parser, gap, kind, namespace, id);
        }
        let mut prefix = Prefix::default();
        let count = self.attachments.len();
        prefix.put(b'4');
        if count > 0 {
            // Types 5 and 6 are 2 and 3 with attachments.
            prefix.put(kind + 3);
            let _ = write!(prefix, "{count}-");
        } else {
            prefix.put(kind);
        }
        let mut start = gap;
        if let Some(id) = id {
            let mut digits = Prefix::default();
            let _ = write!(digits, "{id}");
            start = put_before(&mut self.scratch, start, digits.as_bytes());
        }
        if namespace != "/" {
            start = put_before(&mut self.scratch, start, b",");
            start = put_before(&mut self.scratch, start, namespace.as_bytes());
        }
        start = put_before(&mut self.scratch, start, prefix.as_bytes());
        let text = Bytes::copy_from_slice(&self.scratch[start..]);
        let attachments = (count > 0).then(|| Arc::from(core::mem::take(&mut self.attachments)));
        if self.scratch.capacity() > KEEP {
            self.scratch = Vec::new();
        }
        // All parts are UTF-8: the prefix is ASCII, the namespace is `str`, and serde_json writes UTF-8.
        Ok(Encoded::from_parts(Str::try_from(text).unwrap_or_default(), attachments))
    }

    fn finish_custom(
        &mut self,
        parser: &dyn Parser,
        gap: usize,
        kind: u8,
        namespace: &str,
        id: Option<u64>,
    ) -> Result<Encoded, EncodeError> {
        let text = Str::try_from(Bytes::copy_from_slice(&self.scratch[gap..])).unwrap_or_default();
        let attachments = core::mem::take(&mut self.attachments).into();
        let payload = Payload::new(text, attachments, kind == b'2').map_err(ParserError::new)?;
        let namespace = Str::from(namespace);
        let packet = match id {
            Some(id) if kind == b'3' => Packet::Ack { namespace, id, payload },
            id => Packet::Event { namespace, id, payload },
        };
        Ok(parser.encode(&packet)?)
    }
}

fn put_before(buffer: &mut [u8], end: usize, part: &[u8]) -> usize {
    let start = end - part.len();
    buffer[start..end].copy_from_slice(part);
    start
}

/// A few ASCII characters on the stack.
#[derive(Default)]
struct Prefix {
    bytes: [u8; 24],
    len: usize,
}

impl Prefix {
    /// Room for type digits, attachment count, comma and id together.
    const MAX: usize = 2 + 21 + 1 + 20;

    fn put(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Write for Prefix {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
