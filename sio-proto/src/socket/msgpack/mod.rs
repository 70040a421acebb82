//! [`Msgpack`]: the parser of npm `socket.io-msgpack-parser`.
//!
//! A packet is one binary message, a map: `type`, `nsp`, and `data` and `id` if it has them. Data becomes the JSON text and the
//! attachments of a [`Payload`](super::Payload), and is made of them.

mod date;
mod read;
#[cfg(test)]
mod tests;
mod write;

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;
use rmp::encode::{ByteBuf, write_map_len, write_str, write_uint};

use super::packet::{Packet, PacketError};
use super::parser::{Decode, Limits, Parser, ParserError};
use crate::Str;
use crate::engine::{Encoded, Message};
use read::Reader;

/// Packets as [MessagePack](https://msgpack.org), as npm `socket.io-msgpack-parser` has them: smaller than JSON where there are many
/// numbers, and one message where there is binary data.
///
/// Both sides must use it. What handlers get is what they get with JSON:
///
/// | MessagePack | as if it had been sent in JSON |
/// |---|---|
/// | integers | exact, from `i64::MIN` to `u64::MAX` |
/// | floats | the same number; NaN and the infinities are `null` |
/// | strings, arrays, maps, booleans, nil | the same; keys that are integers become strings, other keys are refused |
/// | binary data, and JavaScript's `ArrayBuffer` (extension 0) | attachments, as many as [`max_attachments`](super::ConnConfig::max_attachments) |
/// | JavaScript's `undefined` (extension 0) | left out of objects, elsewhere `null` |
/// | dates of JavaScript (extension 0), timestamps (extension -1) | strings such as `"2026-01-31T12:00:00.000Z"` |
/// | other extensions | refused |
///
/// What is sent are integers in their shortest form, other numbers as 64-bit floats, and binary data where the attachments belong.
/// The JavaScript side reads integers beyond 2^53 with the precision that its numbers have.
///
/// Clients of Socket.IO 2 with version 2 of that parser are understood as well: they send some packets as JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Msgpack;

impl Parser for Msgpack {
    fn encode(&self, packet: &Packet) -> Result<Encoded, ParserError> {
        let attachments = packet.attachments().map(|attachments| attachments.as_slice()).unwrap_or_default();
        let data = packet.data();
        let binary: usize = attachments.iter().map(|bytes| 5 + bytes.len()).sum();
        let room = 40 + packet.namespace().len() + data.map_or(0, str::len) + binary;
        let mut out = ByteBuf::with_capacity(room);
        // Keys without a value are left out: the reference refuses nil.
        let fields = 2 + u32::from(data.is_some()) + u32::from(packet.id().is_some());
        write_map_len(&mut out, fields).map_err(write::error)?;
        write_str(&mut out, "type").map_err(write::error)?;
        write_uint(&mut out, packet.kind().into()).map_err(write::error)?;
        if let Some(data) = data {
            write_str(&mut out, "data").map_err(write::error)?;
            write::json(data, attachments, &mut out)?;
        }
        if let Some(id) = packet.id() {
            write_str(&mut out, "id").map_err(write::error)?;
            write_uint(&mut out, id).map_err(write::error)?;
        }
        write_str(&mut out, "nsp").map_err(write::error)?;
        write::string(packet.namespace(), &mut out)?;
        Ok(Encoded::message(&Message::Binary(out.into_vec().into())))
    }

    fn decoder(&self, limits: Limits) -> Box<dyn Decode> {
        Box::new(MsgpackDecoder { limits })
    }
}

/// Nothing is kept from one message to the next.
#[derive(Debug)]
struct MsgpackDecoder {
    limits: Limits,
}

impl Decode for MsgpackDecoder {
    fn decode(&mut self, message: Message) -> Result<Option<Packet>, PacketError> {
        match message {
            Message::Binary(bytes) => decode(&bytes, self.limits).map(Some),
            Message::Text(text) => decode_text(&text, self.limits).map(Some),
        }
    }
}

fn refuse(what: &'static str) -> PacketError {
    PacketError::Parser(ParserError::new(what))
}

fn decode(message: &Bytes, limits: Limits) -> Result<Packet, PacketError> {
    let mut reader = Reader::new(message, limits);
    let (mut kind, mut namespace, mut id) = (None, None, None);
    let (mut data, mut attachments) = (Str::default(), Vec::new());
    for _ in 0..reader.map_len()? {
        match reader.str()? {
            "type" => kind = Some(reader.uint()?.ok_or_else(|| refuse("the type is no number"))?),
            "nsp" => namespace = Some(reader.shared_str()?),
            "id" => id = reader.id()?,
            "data" => {
                (data, attachments) = reader.json()?;
            }
            // `options` of the JavaScript client, and whatever may come.
            _ => reader.skip()?,
        }
    }
    reader.end()?;
    let kind = kind.ok_or_else(|| refuse("no type"))?;
    // 5 and 6 come from clients of Socket.IO 2.
    let kind = u8::try_from(kind).ok().filter(|kind| *kind <= 6).ok_or_else(|| refuse("unknown type"))?;
    if matches!(kind, 0 | 1 | 4) && !attachments.is_empty() {
        return Err(refuse("binary data where there can be none"));
    }
    // Where nothing can be, it does not matter which kind of nothing it is.
    let data = if matches!(kind, 0 | 1) && data == "null" { Str::default() } else { data };
    Packet::new(kind, namespace.ok_or_else(|| refuse("no namespace"))?, id, data, attachments)
}

/// CONNECT, DISCONNECT and ERROR of version 2 of the JavaScript parser.
fn decode_text(text: &Str, limits: Limits) -> Result<Packet, PacketError> {
    #[derive(serde::Deserialize)]
    struct Fields<'a> {
        r#type: u8,
        nsp: alloc::string::String,
        #[serde(borrow)]
        data: Option<&'a serde_json::value::RawValue>,
    }
    if text.len() > limits.max_packet_bytes {
        return Err(PacketError::TooLarge { limit: limits.max_packet_bytes });
    }
    match serde_json::from_str(text) {
        Ok(Fields { r#type: kind @ (0 | 1 | 4), nsp, data }) => {
            let data = data.map_or("", |data| data.get());
            Packet::new(kind, nsp.into(), None, Str::from(data), Vec::new())
        }
        _ => Err(refuse("a text message; does the other side use another parser?")),
    }
}
