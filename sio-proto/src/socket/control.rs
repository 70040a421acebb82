//! The packets that the library sends by itself, and why a namespace refuses a client.
//!
//! Each is `None` only if a [`Parser`](super::Parser) will not write it.

use alloc::format;
use alloc::string::String;
use core::fmt;

use serde::Serialize;

use super::packet::Packet;
use super::parser::Codec;
use crate::engine::Encoded;
use crate::{Pid, SocketId, Str};

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
pub(super) fn connect(codec: &Codec, namespace: &Str, id: &SocketId, pid: Option<&Pid>) -> Option<Encoded> {
    match pid {
        None => control(codec, 0, namespace, format_args!(r#"{{"sid":"{id}"}}"#)),
        Some(pid) => {
            control(codec, 0, namespace, format_args!(r#"{{"sid":"{id}","pid":"{}"}}"#, pid.as_str()))
        }
    }
}

/// `40/nsp,`: clients of Socket.IO 2 make the id themselves (B76).
pub(super) fn connect_without_id(codec: &Codec, namespace: &Str) -> Option<Encoded> {
    control(codec, 0, namespace, format_args!(""))
}

/// `44/nsp,"…"`: what clients of Socket.IO 2 expect, the data if there is some, else the message (B78).
pub(super) fn plain_connect_error(codec: &Codec, namespace: &Str, error: &ConnectError) -> Option<Encoded> {
    match &error.data {
        Some(data) => control(codec, 4, namespace, format_args!("{data}")),
        None => {
            let message = serde_json::to_string(&error.message).unwrap_or_default();
            control(codec, 4, namespace, format_args!("{message}"))
        }
    }
}

/// `40/nsp,{…}`: a client's wish to join.
pub(super) fn join(codec: &Codec, namespace: &Str, auth: &str) -> Option<Encoded> {
    control(codec, 0, namespace, format_args!("{auth}"))
}

/// `41/nsp,`
pub(super) fn disconnect(codec: &Codec, namespace: &Str) -> Option<Encoded> {
    control(codec, 1, namespace, format_args!(""))
}

/// `44/nsp,{"message":"…","data":…}`
pub(super) fn connect_error(codec: &Codec, namespace: &Str, error: &ConnectError) -> Option<Encoded> {
    let message = serde_json::to_string(&error.message).unwrap_or_default();
    match &error.data {
        Some(data) => control(codec, 4, namespace, format_args!(r#"{{"message":{message},"data":{data}}}"#)),
        None => control(codec, 4, namespace, format_args!(r#"{{"message":{message}}}"#)),
    }
}

fn control(codec: &Codec, kind: u8, namespace: &Str, data: fmt::Arguments<'_>) -> Option<Encoded> {
    let parser = match codec {
        Codec::Custom(parser) => parser,
        Codec::Json => {
            let text = match &**namespace {
                "/" => format!("4{kind}{data}"),
                namespace => format!("4{kind}{namespace},{data}"),
            };
            return Some(Encoded::from_parts(text.into(), None));
        }
    };
    let data = Some(format!("{data}")).filter(|data| !data.is_empty()).map(Str::from);
    let namespace = namespace.clone();
    let packet = match kind {
        0 => Packet::Connect { namespace, data },
        1 => Packet::Disconnect { namespace },
        _ => Packet::ConnectError { namespace, data },
    };
    parser.encode(&packet).ok()
}
