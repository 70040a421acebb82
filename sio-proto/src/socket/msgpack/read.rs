//! MessagePack as JSON and attachments.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use rmp::Marker;
use rmp::decode::{
    self, read_array_len, read_bin_len, read_ext_meta, read_f32, read_f64, read_int, read_map_len,
    read_marker, read_str_len,
};

use super::date::date;
use super::refuse;
use crate::Str;
use crate::socket::packet::PacketError;
use crate::socket::parser::Limits;
use crate::socket::payload::escape;

/// Containers in containers: what `serde_json` allows.
const DEPTH: usize = 127;

/// Reads one message. Lengths are never trusted: nothing is allocated for what is not there.
pub(super) struct Reader<'a> {
    message: &'a Bytes,
    rest: decode::Bytes<'a>,
    limits: Limits,
    /// JSON.
    text: String,
    attachments: Vec<Bytes>,
    /// Bytes of attachments.
    attached: usize,
}

/// Whether a value is one that JSON leaves out of objects.
#[derive(PartialEq)]
enum Found {
    Value,
    Undefined,
}

fn cut<E>(_: E) -> PacketError {
    refuse("the message ends too soon, or has another value than expected")
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a Bytes, limits: Limits) -> Self {
        let rest = decode::Bytes::new(message);
        Self { message, rest, limits, text: String::new(), attachments: Vec::new(), attached: 0 }
    }

    pub(super) fn map_len(&mut self) -> Result<u32, PacketError> {
        read_map_len(&mut self.rest).map_err(cut)
    }

    pub(super) fn str(&mut self) -> Result<&'a str, PacketError> {
        let len = read_str_len(&mut self.rest).map_err(cut)?;
        let (start, end) = self.take(len)?;
        core::str::from_utf8(&self.message[start..end]).map_err(|_| refuse("a string is not UTF-8"))
    }

    /// A string that shares the message's memory.
    pub(super) fn shared_str(&mut self) -> Result<Str, PacketError> {
        let text = self.str()?;
        if text == "/" {
            return Ok(Str::from_static("/"));
        }
        Str::try_from(self.message.slice_ref(text.as_bytes())).map_err(cut)
    }

    /// A number from 0; `None` if it is `undefined` or nil.
    pub(super) fn uint(&mut self) -> Result<Option<u64>, PacketError> {
        match self.peek()? {
            Marker::Null | Marker::FixExt1 => self.skip().map(|()| None),
            _ => read_int(&mut self.rest).map(Some).map_err(|_| refuse("not a number from 0")),
        }
    }

    pub(super) fn id(&mut self) -> Result<Option<u64>, PacketError> {
        self.uint().map_err(|_| PacketError::AckId)
    }

    /// A value, as JSON with placeholders for its attachments. `undefined` is empty.
    pub(super) fn json(&mut self) -> Result<(Str, Vec<Bytes>), PacketError> {
        self.clear();
        if self.value(0)? == Found::Undefined {
            self.clear();
        }
        Ok((Str::from(core::mem::take(&mut self.text)), core::mem::take(&mut self.attachments)))
    }

    /// Reads over a value.
    pub(super) fn skip(&mut self) -> Result<(), PacketError> {
        self.value(0)?;
        self.clear();
        Ok(())
    }

    pub(super) fn end(&self) -> Result<(), PacketError> {
        if self.rest.remaining_slice().is_empty() {
            Ok(())
        } else {
            Err(refuse("something follows the packet"))
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.attachments.clear();
        self.attached = 0;
    }

    fn peek(&self) -> Result<Marker, PacketError> {
        read_marker(&mut { self.rest }).map_err(cut)
    }

    /// Takes bytes; gives where they are in the message.
    fn take(&mut self, len: u32) -> Result<(usize, usize), PacketError> {
        let rest = self.rest.remaining_slice();
        let len = usize::try_from(len).ok().filter(|len| *len <= rest.len()).ok_or_else(|| cut(()))?;
        let start = self.message.len() - rest.len();
        self.rest = decode::Bytes::new(&rest[len..]);
        Ok((start, start + len))
    }

    fn put(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn display(&mut self, value: impl fmt::Display) {
        let _ = fmt::Write::write_fmt(&mut self.text, format_args!("{value}"));
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        escape(text, &mut self.text);
        self.text.push('"');
    }

    fn value(&mut self, depth: usize) -> Result<Found, PacketError> {
        let marker = self.peek()?;
        let found = match marker {
            Marker::Null | Marker::True | Marker::False => {
                read_marker(&mut self.rest).map_err(cut)?;
                self.put(match marker {
                    Marker::True => "true",
                    Marker::False => "false",
                    _ => "null",
                });
                Found::Value
            }
            Marker::U64 => {
                let value: u64 = read_int(&mut self.rest).map_err(cut)?;
                self.display(serde_json::Number::from(value));
                Found::Value
            }
            Marker::FixPos(_)
            | Marker::FixNeg(_)
            | Marker::U8
            | Marker::U16
            | Marker::U32
            | Marker::I8
            | Marker::I16
            | Marker::I32
            | Marker::I64 => {
                let value: i64 = read_int(&mut self.rest).map_err(cut)?;
                self.display(serde_json::Number::from(value));
                Found::Value
            }
            Marker::F32 => {
                let value = read_f32(&mut self.rest).map_err(cut)?;
                self.float(value.into())
            }
            Marker::F64 => {
                let value = read_f64(&mut self.rest).map_err(cut)?;
                self.float(value)
            }
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
                let text = self.str()?;
                self.string(text);
                Found::Value
            }
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
                let len = read_bin_len(&mut self.rest).map_err(cut)?;
                self.attachment(len)?
            }
            Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => self.array(depth)?,
            Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => self.map(depth)?,
            Marker::Reserved => return Err(refuse("a byte that MessagePack does not use")),
            _ => self.extension(marker)?,
        };
        if self.text.len().saturating_add(self.attached) > self.limits.max_packet_bytes {
            return Err(PacketError::TooLarge { limit: self.limits.max_packet_bytes });
        }
        Ok(found)
    }

    fn float(&mut self, value: f64) -> Found {
        match serde_json::Number::from_f64(value) {
            Some(number) => self.display(number),
            None => self.put("null"),
        }
        Found::Value
    }

    fn array(&mut self, depth: usize) -> Result<Found, PacketError> {
        let len = read_array_len(&mut self.rest).map_err(cut)?;
        let depth = deeper(depth)?;
        self.put("[");
        for at in 0..len {
            if at > 0 {
                self.put(",");
            }
            self.value(depth)?;
        }
        self.put("]");
        Ok(Found::Value)
    }

    fn map(&mut self, depth: usize) -> Result<Found, PacketError> {
        let len = read_map_len(&mut self.rest).map_err(cut)?;
        let depth = deeper(depth)?;
        self.put("{");
        let open = self.text.len();
        for _ in 0..len {
            let before = self.text.len();
            if before > open {
                self.put(",");
            }
            self.key()?;
            self.put(":");
            if self.value(depth)? == Found::Undefined {
                self.text.truncate(before);
            }
        }
        self.put("}");
        Ok(Found::Value)
    }

    fn key(&mut self) -> Result<(), PacketError> {
        match self.peek()? {
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
                let key = self.str()?;
                self.string(key);
            }
            Marker::U64 => {
                let key: u64 = read_int(&mut self.rest).map_err(cut)?;
                self.display(format_args!("\"{key}\""));
            }
            _ => {
                let key: i64 =
                    read_int(&mut self.rest).map_err(|_| refuse("a key is neither text nor integer"))?;
                self.display(format_args!("\"{key}\""));
            }
        }
        Ok(())
    }

    fn attachment(&mut self, len: u32) -> Result<Found, PacketError> {
        let (start, end) = self.take(len)?;
        let (number, limit) = (self.attachments.len(), self.limits.max_attachments);
        if number >= limit {
            return Err(PacketError::TooManyAttachments { count: number as u64 + 1, limit });
        }
        self.attached += end - start;
        self.attachments.push(self.message.slice(start..end));
        self.display(format_args!("{{\"_placeholder\":true,\"num\":{number}}}"));
        Ok(Found::Value)
    }

    fn extension(&mut self, marker: Marker) -> Result<Found, PacketError> {
        let meta = read_ext_meta(&mut self.rest).map_err(cut)?;
        match (meta.typeid, meta.size, marker) {
            (0, 1, Marker::FixExt1) => {
                self.take(1)?;
                self.put("null");
                Ok(Found::Undefined)
            }
            (0, 8, Marker::FixExt8) => {
                let milliseconds = i64::from_be_bytes(self.array_of()?);
                Ok(self.date(Some(milliseconds)))
            }
            (0, ..) => self.attachment(meta.size),
            (-1, 4, _) => {
                let seconds = u32::from_be_bytes(self.array_of()?);
                Ok(self.date(Some(i64::from(seconds) * 1000)))
            }
            (-1, 8, _) => {
                let both = u64::from_be_bytes(self.array_of()?);
                // 30 bits of nanoseconds, 34 of seconds.
                let seconds = i64::try_from(both & ((1 << 34) - 1)).unwrap_or_default();
                Ok(self.timestamp(seconds, both >> 34))
            }
            (-1, 12, _) => {
                let nanoseconds = u32::from_be_bytes(self.array_of()?);
                let seconds = i64::from_be_bytes(self.array_of()?);
                Ok(self.timestamp(seconds, nanoseconds.into()))
            }
            _ => Err(refuse("an extension that JSON has nothing for")),
        }
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], PacketError> {
        let bytes = *self.rest.remaining_slice().first_chunk().ok_or_else(|| cut(()))?;
        self.rest = decode::Bytes::new(&self.rest.remaining_slice()[N..]);
        Ok(bytes)
    }

    fn timestamp(&mut self, seconds: i64, nanoseconds: u64) -> Found {
        let part = i64::try_from(nanoseconds / 1_000_000).unwrap_or_default();
        self.date(seconds.checked_mul(1000).and_then(|milliseconds| milliseconds.checked_add(part)))
    }

    fn date(&mut self, milliseconds: Option<i64>) -> Found {
        match milliseconds.and_then(date) {
            Some(date) => self.display(format_args!("\"{date}\"")),
            None => self.put("null"),
        }
        Found::Value
    }
}

fn deeper(depth: usize) -> Result<usize, PacketError> {
    if depth < DEPTH { Ok(depth + 1) } else { Err(refuse("nested too deeply")) }
}
