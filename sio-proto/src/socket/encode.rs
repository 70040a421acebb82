//! Packets on their way out, encoded once.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use bytes::Bytes;
use serde::Serialize;

use super::packet::is_reserved;
use super::payload::{self, Args};
use crate::engine::Encoded;
use crate::hub::Offset;
use crate::{Pid, SocketId, Str};

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
}

/// Encodes packets, in a buffer that it keeps from one to the next.
///
/// The JSON is written first, behind a gap for the header, because the header needs the number of attachments. One
/// allocation per packet is left: the packet itself.
#[derive(Debug, Default)]
pub struct Encoder {
    scratch: Vec<u8>,
    attachments: Vec<Bytes>,
}

/// The scratch buffer is given back to the allocator above this size.
const KEEP: usize = 64 << 10;

impl Encoder {
    /// An encoder with no buffer yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { scratch: Vec::new(), attachments: Vec::new() }
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
        Ok(self.finish(gap, b'2', namespace, id))
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
        Ok(self.finish(gap, b'2', namespace, None))
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
        Ok(self.finish(gap, b'3', namespace, Some(id)))
    }

    fn start(&mut self, namespace: &str) -> usize {
        self.scratch.clear();
        self.attachments.clear();
        let gap = Prefix::MAX + namespace.len();
        self.scratch.resize(gap, 0);
        gap
    }

    fn finish(&mut self, gap: usize, kind: u8, namespace: &str, id: Option<u64>) -> Encoded {
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
        Encoded::from_parts(Str::try_from(text).unwrap_or_default(), attachments)
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

/// Why a namespace refuses a client: what `connect_error` shows there.
#[derive(Clone, PartialEq, Debug)]
pub struct ConnectError {
    message: String,
    /// JSON.
    data: Option<String>,
}

impl ConnectError {
    /// A refusal with a message.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), data: None }
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Adds data for the client's `err.data`. Data that cannot be serialised is left out.
    #[must_use]
    pub fn data<T: Serialize + ?Sized>(mut self, data: &T) -> Self {
        self.data = serde_json::to_string(data).ok();
        self
    }
}

impl ConnectError {
    /// What a server's CONNECT_ERROR says: an object with a message, or a string from older servers. Without either (B137), or
    /// with a message that is not text, there is a message of our own.
    pub(super) fn from_wire(data: Option<&str>) -> Self {
        #[derive(serde::Deserialize)]
        struct Refusal<'a> {
            message: String,
            #[serde(borrow)]
            data: Option<&'a serde_json::value::RawValue>,
        }
        let text = data.unwrap_or_default();
        if let Ok(Refusal { message, data }) = serde_json::from_str(text) {
            return Self { message, data: data.map(|data| data.get().into()) };
        }
        let message = serde_json::from_str(text).unwrap_or_else(|_| String::from("refused without a reason"));
        Self { message, data: data.filter(|text| text.starts_with('{')).map(String::from) }
    }

    /// The data, as JSON.
    #[must_use]
    pub fn data_json(&self) -> Option<&str> {
        self.data.as_deref()
    }

    /// The data as `T`; `None` if there is none, or it does not parse.
    #[must_use]
    pub fn parse_data<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(self.data.as_deref()?).ok()
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for ConnectError {}

/// `40/nsp,{"sid":"…"}`, with the session's id if it can be recovered (B118).
pub(super) fn connect(namespace: &str, id: &SocketId, pid: Option<&Pid>) -> Encoded {
    match pid {
        None => control('0', namespace, format_args!(r#"{{"sid":"{id}"}}"#)),
        Some(pid) => control('0', namespace, format_args!(r#"{{"sid":"{id}","pid":"{}"}}"#, pid.as_str())),
    }
}

/// `40/nsp,`: clients of Socket.IO 2 make the id themselves (B76).
pub(super) fn connect_without_id(namespace: &str) -> Encoded {
    control('0', namespace, format_args!(""))
}

/// `44/nsp,"…"`: what clients of Socket.IO 2 expect, the data if there is some, else the message (B78).
pub(super) fn plain_connect_error(namespace: &str, error: &ConnectError) -> Encoded {
    match &error.data {
        Some(data) => control('4', namespace, format_args!("{data}")),
        None => {
            let message = serde_json::to_string(&error.message).unwrap_or_default();
            control('4', namespace, format_args!("{message}"))
        }
    }
}

/// `40/nsp,{…}`: a client's wish to join.
pub(super) fn join(namespace: &str, auth: &str) -> Encoded {
    control('0', namespace, format_args!("{auth}"))
}

/// `41/nsp,`
pub(super) fn disconnect(namespace: &str) -> Encoded {
    control('1', namespace, format_args!(""))
}

/// `44/nsp,{"message":"…","data":…}`
pub(super) fn connect_error(namespace: &str, error: &ConnectError) -> Encoded {
    let message = serde_json::to_string(&error.message).unwrap_or_default();
    match &error.data {
        Some(data) => control('4', namespace, format_args!(r#"{{"message":{message},"data":{data}}}"#)),
        None => control('4', namespace, format_args!(r#"{{"message":{message}}}"#)),
    }
}

fn control(kind: char, namespace: &str, data: fmt::Arguments<'_>) -> Encoded {
    let text = match namespace {
        "/" => format!("4{kind}{data}"),
        namespace => format!("4{kind}{namespace},{data}"),
    };
    Encoded::from_parts(text.into(), None)
}
