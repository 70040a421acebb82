//! Bytes in the JSON of commands and answers.
//!
//! In a command `{"$bytes": [length, seed]}` stands for bytes that both sides can make ([`pattern`]). In an answer bytes
//! are `{"$digest": [length, hash]}` ([`digest`]).

use core::fmt;

use bytes::Bytes;
use serde::{
    Deserialize, Serialize, Serializer,
    de::{Deserializer, Error, MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap, SerializeSeq, SerializeTuple},
};
use serde_json::{Map, Value, json};

/// The bytes of `{"$bytes": [length, seed]}`.
#[must_use]
pub fn pattern(length: usize, seed: u8) -> Bytes {
    (0..length)
        .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed.wrapping_mul(7)).wrapping_add((i >> 8) as u8))
        .collect()
}

/// How bytes are told in an answer: their length, and FNV-1a with 32 bits.
#[must_use]
pub fn digest(bytes: &[u8]) -> Value {
    let hash =
        bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    json!({ "$digest": [bytes.len(), hash] })
}

/// The arguments of an event, from a command.
pub(super) struct Revived<'a>(pub(super) &'a [Value]);

impl Serialize for Revived<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for value in self.0 {
            tuple.serialize_element(&Revive(value))?;
        }
        tuple.end()
    }
}

struct Revive<'a>(&'a Value);

impl Serialize for Revive<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => {
                if let Some(bytes) = map.get("$bytes").and_then(Value::as_array) {
                    let number = |at: usize| bytes.get(at).and_then(Value::as_u64).unwrap_or_default();
                    return serializer.serialize_bytes(&pattern(number(0) as usize, number(1) as u8));
                }
                let mut object = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map {
                    object.serialize_entry(key, &Revive(value))?;
                }
                object.end()
            }
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Revive(item))?;
                }
                list.end()
            }
            other => other.serialize(serializer),
        }
    }
}

/// Any value, with digests in the place of bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Described(pub Value);

impl<'de> Deserialize<'de> for Described {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Describe).map(Self)
    }
}

struct Describe;

impl<'de> Visitor<'de> for Describe {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(digest(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Described(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, Described(value))) = entries.next_entry()? {
            map.insert(key, value);
        }
        Ok(map.into())
    }
}

/// All arguments, at most four, without trailing nulls.
#[derive(Debug, Deserialize)]
#[serde(from = "Four")]
pub(super) struct All(pub(super) Vec<Value>);

type Four = (Option<Described>, Option<Described>, Option<Described>, Option<Described>);

impl From<Four> for All {
    fn from((a, b, c, d): Four) -> Self {
        let mut list: Vec<Value> =
            [a, b, c, d].map(|value| value.map_or(Value::Null, |Described(value)| value)).into();
        while list.last().is_some_and(Value::is_null) {
            list.pop();
        }
        Self(list)
    }
}
