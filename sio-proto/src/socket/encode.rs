//! Packets on their way out, encoded once.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write as _;

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

/// Encodes packets, in a buffer that it keeps from one to the next. One allocation per packet is left: the packet itself.
#[derive(Debug, Default)]
pub struct Encoder {
    scratch: String,
    attachments: Vec<Bytes>,
    codec: Codec,
}

/// The scratch buffer is given back to the allocator above this size.
const KEEP: usize = 64 << 10;

impl Encoder {
    /// An encoder with no buffer yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { scratch: String::new(), attachments: Vec::new(), codec: Codec::Json }
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
        let data = self.start('2', namespace, id);
        payload::encode_event(name, args, &mut self.scratch, &mut self.attachments)?;
        self.finish(data, namespace, id)
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
        let data = self.start('2', namespace, None);
        payload::encode_event(name, args, &mut self.scratch, &mut self.attachments)?;
        // The end of the array; there is a name before it, so a comma is right.
        self.scratch.pop();
        let _ = write!(self.scratch, ",\"{offset}\"]");
        self.finish(data, namespace, None)
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
        let data = self.start('3', namespace, Some(id));
        payload::encode_ack(args, &mut self.scratch, &mut self.attachments)?;
        self.finish(data, namespace, Some(id))
    }

    /// Writes what comes before the data. Says where that begins.
    fn start(&mut self, kind: char, namespace: &str, id: Option<u64>) -> usize {
        self.attachments.clear();
        let text = &mut self.scratch;
        text.clear();
        text.push('4');
        text.push(kind);
        if namespace != "/" {
            text.push_str(namespace);
            text.push(',');
        }
        if let Some(id) = id {
            text.push_str(itoa::Buffer::new().format(id));
        }
        text.len()
    }

    fn finish(&mut self, data: usize, namespace: &str, id: Option<u64>) -> Result<Encoded, EncodeError> {
        if let Codec::Custom(parser) = &self.codec {
            let parser = parser.clone();
            return self.finish_custom(&*parser, data, namespace, id);
        }
        let (text, attachments) = match self.attachments.len() {
            0 => (Str::from(self.scratch.as_str()), None),
            count => {
                // Types 5 and 6 are 2 and 3 with attachments, of which nobody knew before the data was written.
                let (kind, rest) = (if self.is_event() { '5' } else { '6' }, &self.scratch[2..]);
                // To the byte, or there would be one allocation more.
                let more = count.ilog10() as usize + 2;
                let mut text = String::with_capacity(self.scratch.len() + more);
                let _ = write!(text, "4{kind}{count}-{rest}");
                (text.into(), Some(Arc::from(core::mem::take(&mut self.attachments))))
            }
        };
        if self.scratch.capacity() > KEEP {
            self.scratch = String::new();
        }
        Ok(Encoded::from_parts(text, attachments))
    }

    fn is_event(&self) -> bool {
        self.scratch[1..].starts_with('2')
    }

    fn finish_custom(
        &mut self,
        parser: &dyn Parser,
        data: usize,
        namespace: &str,
        id: Option<u64>,
    ) -> Result<Encoded, EncodeError> {
        let is_event = self.is_event();
        let attachments = core::mem::take(&mut self.attachments).into();
        let payload = Payload::new(Str::from(&self.scratch[data..]), attachments, is_event);
        let payload = payload.map_err(ParserError::new)?;
        let namespace = Str::from(namespace);
        let packet = match id {
            Some(id) if !is_event => Packet::Ack { namespace, id, payload },
            id => Packet::Event { namespace, id, payload },
        };
        Ok(parser.encode(&packet)?)
    }
}
