//! Bodies of the fuzz targets, which the tests run as well. Not part of the API.
//!
//! Each takes any bytes and panics if a promise of the crate does not hold.

mod client;
mod cluster;
mod world;

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use serde::de::{Deserialize, IgnoredAny};
use serde_json::Value;

pub use client::client_ops;
pub use cluster::cluster_ops;
pub use world::{Op, server_ops};

use crate::Str;
use crate::engine::{Encoded, Frame, Message, Packet, eio3, payload};
use crate::socket::payload::encode_event;
use crate::socket::{self, Decoder, Payload};

fn text(bytes: &[u8]) -> Option<&str> {
    core::str::from_utf8(bytes).ok()
}

/// An Engine.IO packet: what decodes is the same after a round trip.
pub fn engine_packet(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let Ok(packet) = Packet::decode(text.into()) else { return };
    assert_eq!(Packet::decode(encoded(&packet)), Ok(packet));
}

fn encoded(packet: &Packet) -> Str {
    let mut out = Vec::new();
    packet.encode(&mut out);
    Str::try_from(Bytes::from(out)).expect("packets are text")
}

/// A polling payload: it ends, it ends with the first error, and what decodes is the same after a round trip.
pub fn polling_payload(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let found: Vec<_> = payload::decode(text.into()).collect();
    assert!(found.iter().rev().skip(1).all(Result::is_ok), "something after an error");
    let packets: Vec<Packet> = found.into_iter().filter_map(Result::ok).collect();
    if packets.is_empty() {
        return;
    }
    let mut encoder = payload::Encoder::new(Vec::new());
    packets.iter().for_each(|packet| encoder.push(packet));
    let again = Str::try_from(Bytes::from(encoder.finish())).expect("payloads are text");
    // A separator inside of a packet cannot be: it would have ended it.
    assert_eq!(payload::decode(again).collect::<Result<Vec<_>, _>>(), Ok(packets));
}

/// Polling payloads of revision 3: the first byte is the form, `t` for text, else binary. As for [`polling_payload`].
pub fn eio3_payload(bytes: &[u8]) {
    let Some((form, body)) = bytes.split_first() else { return };
    let decode = |body: Bytes| -> Vec<_> {
        match (form, Str::try_from(body.clone())) {
            (b't', Ok(text)) => eio3::decode(text).collect(),
            (b't', Err(_)) => Vec::new(),
            _ => eio3::decode_binary(body).collect(),
        }
    };
    let found = decode(Bytes::copy_from_slice(body));
    assert!(found.iter().rev().skip(1).all(Result::is_ok), "something after an error");
    let packets: Vec<Packet> = found.into_iter().filter_map(Result::ok).collect();
    let size: usize = packets.iter().map(size).sum();
    assert!(size <= body.len(), "more comes out than went in");
    if packets.is_empty() {
        return;
    }
    for mut encoder in [eio3::Encoder::text(0), eio3::Encoder::binary(0)] {
        packets.iter().for_each(|packet| encoder.push(packet));
        let again = Bytes::from(encoder.finish());
        let again: Result<Vec<_>, _> = match Str::try_from(again.clone()) {
            // No text begins with 0 or 1 as a byte.
            Ok(text) if text.as_bytes()[0] > 1 => eio3::decode(text).collect(),
            _ => eio3::decode_binary(again).collect(),
        };
        assert_eq!(again.as_ref(), Ok(&packets));
    }
}

fn size(packet: &Packet) -> usize {
    match packet {
        Packet::Open(text) | Packet::Ping(text) | Packet::Pong(text) => text.len(),
        Packet::Message(message) => message.len(),
        _ => 0,
    }
}

/// A sequence of Socket.IO messages, separated by 0x1e; those that begin with 0x00 are binary.
pub fn socket_packet(bytes: &[u8]) {
    const ATTACHMENTS: usize = 3;
    const BYTES: usize = 1000;
    let mut decoder = Decoder::new(ATTACHMENTS, BYTES);
    let mut held = 0;
    for part in bytes.split(|byte| *byte == payload::SEPARATOR) {
        let (message, len) = match part {
            [0, binary @ ..] => (Message::Binary(Bytes::copy_from_slice(binary)), binary.len()),
            _ => match text(part) {
                Some(text) => (Message::Text(text.into()), text.len()),
                None => continue,
            },
        };
        match decoder.decode(message) {
            Err(_) => held = 0,
            Ok(None) => {
                held += len;
                assert!(held <= BYTES, "more is kept than is allowed");
            }
            Ok(Some(packet)) => {
                held = 0;
                check_packet(packet, ATTACHMENTS);
            }
        }
    }
}

fn check_packet(packet: socket::Packet, most: usize) {
    let (kind, namespace, id, payload) = match &packet {
        socket::Packet::Event { namespace, id, payload } => (2, namespace, *id, payload),
        socket::Packet::Ack { namespace, id, payload } => (3, namespace, Some(*id), payload),
        _ => return,
    };
    assert!(namespace.starts_with('/'), "{namespace}");
    assert!(payload.attachments().len() <= most);
    assert_eq!(payload.name().is_some(), kind == 2);
    assert!(payload.name().is_none_or(|name| !socket::is_reserved(&name)));
    // Written again in its canonical form it is the same packet.
    let count = payload.attachments().len();
    let mut again = String::new();
    again.push_str(&alloc::format!("{}", if count == 0 { kind } else { kind + 3 }));
    if count > 0 {
        again.push_str(&alloc::format!("{count}-"));
    }
    again.push_str(namespace);
    again.push(',');
    if let Some(id) = id {
        again.push_str(&alloc::format!("{id}"));
    }
    again.push_str(payload.text());
    let mut decoder = Decoder::new(most, usize::MAX);
    let mut result = decoder.decode(Message::Text(again.into()));
    for bytes in payload.attachments().as_slice() {
        assert_eq!(result, Ok(None));
        result = decoder.decode(Message::Binary(bytes.clone()));
    }
    assert_eq!(result, Ok(Some(packet)));
}

/// A message of the MessagePack parser: it keeps the limits, and what decodes is the same after a round trip.
#[cfg(feature = "msgpack")]
pub fn msgpack_packet(bytes: &[u8]) {
    use socket::Parser;

    const ATTACHMENTS: usize = 3;
    const BYTES: usize = 1000;
    let decode = |message, max_attachments, max_packet_bytes| {
        let limits = socket::Limits { max_attachments, max_packet_bytes };
        socket::Msgpack.decoder(limits).decode(message)
    };
    let again = |packet: &socket::Packet| {
        let frame = socket::Msgpack.encode(packet).expect("what was read can be written").into_parts().0;
        let Frame::Binary(bytes) = frame else { panic!("text") };
        decode(Message::Binary(bytes), usize::MAX, usize::MAX).map(|packet| packet.expect("one message"))
    };
    let Ok(Some(packet)) = decode(Message::Binary(Bytes::copy_from_slice(bytes)), ATTACHMENTS, BYTES) else {
        return;
    };
    let attachments = packet.attachments().map(|attachments| attachments.as_slice()).unwrap_or_default();
    assert!(attachments.len() <= ATTACHMENTS);
    let size: usize = packet.data().map_or(0, str::len) + attachments.iter().map(Bytes::len).sum::<usize>();
    assert!(size <= BYTES, "more is given than is allowed");
    check_packet(packet.clone(), ATTACHMENTS);
    // Objects that look like placeholders beside an attachment become that attachment, and stay it.
    let second = again(&packet).expect("what was written can be read");
    assert!(second == packet || !attachments.is_empty(), "{packet:?} {second:?}");
    assert_eq!(again(&second).as_ref(), Ok(&second));
}

/// The content of an event, read as several types. The first byte says how many attachments there are.
pub fn payload_data(bytes: &[u8]) {
    let Some((count, rest)) = bytes.split_first() else { return };
    let Some(text) = text(rest) else { return };
    let attachments: Vec<Bytes> = (0..count % 4).map(|at| Bytes::from(alloc::vec![at; at.into()])).collect();
    let Ok(payload) = Payload::new(text.into(), attachments.into(), true) else { return };
    let name = payload.name().expect("an event has a name").into_owned();
    assert_eq!(payload.name_str().as_deref(), Some(&*name));

    fn reads<'de, T: Deserialize<'de>>(payload: &'de Payload) -> bool {
        payload.deserialize::<T>().is_ok()
    }
    reads::<IgnoredAny>(&payload);
    reads::<(u64, String)>(&payload);
    reads::<(Option<Bytes>, Option<Bytes>)>(&payload);
    reads::<Vec<Bytes>>(&payload);
    reads::<alloc::collections::BTreeMap<String, Bytes>>(&payload);
    reads::<(f64, &str, [i8; 2])>(&payload);
    reads::<Tagged>(&payload);
    reads::<Untagged>(&payload);

    // What is read as plain data and can be written comes back as it was.
    let plain = payload.attachments().is_empty() && !socket::is_reserved(&name);
    let Ok(values) = payload.deserialize::<(Value,)>() else { return };
    if plain && is_exact(&values.0) {
        let (mut text, mut attachments) = (String::new(), Vec::new());
        encode_event(&name, &values, &mut text, &mut attachments).expect("plain data can be written");
        let again = Payload::new(text.into(), attachments.into(), true).expect("an event");
        assert_eq!(again.deserialize::<(Value,)>(), Ok(values));
    }
}

/// Whether there are no fractions: `serde_json` reads long ones with an error in the last bit.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => !number.is_f64(),
        Value::Array(values) => values.iter().all(is_exact),
        Value::Object(values) => values.values().all(is_exact),
        _ => true,
    }
}

#[derive(serde::Deserialize)]
#[allow(dead_code, reason = "is there to be read")]
enum Tagged {
    Unit,
    Bytes(Bytes),
    Many { first: Option<Bytes>, second: Vec<u16> },
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
#[allow(dead_code, reason = "is there to be read")]
enum Untagged {
    Number(i32),
    Text(String),
    Nested(Vec<Self>),
    Object { a: alloc::boxed::Box<Self> },
}

/// The text frames of a packet.
fn texts(packet: &Encoded) -> impl Iterator<Item = Str> + '_ {
    packet.frames().filter_map(|frame| match frame {
        Frame::Text(text) => Some(text),
        Frame::Binary(_) => None,
    })
}
