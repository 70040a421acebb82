//! Round trips of random values, and random input.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::*;

/// A value of any shape, with objects as lists, so that order and repeated keys count.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Dyn {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Data(Bytes),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Serialize for Dyn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Bool(v) => serializer.serialize_bool(*v),
            Self::Int(v) => serializer.serialize_i64(*v),
            Self::Float(v) => serializer.serialize_f64(*v),
            Self::Text(v) => serializer.serialize_str(v),
            Self::Data(v) => serializer.serialize_bytes(v),
            Self::List(v) => serializer.collect_seq(v),
            Self::Object(v) => {
                let mut map = serializer.serialize_map(None)?;
                v.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Dyn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Dyn;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_unit<E: Error>(self) -> Result<Dyn, E> {
                Ok(Dyn::Null)
            }
            fn visit_bool<E: Error>(self, v: bool) -> Result<Dyn, E> {
                Ok(Dyn::Bool(v))
            }
            fn visit_i64<E: Error>(self, v: i64) -> Result<Dyn, E> {
                Ok(Dyn::Int(v))
            }
            fn visit_u64<E: Error>(self, v: u64) -> Result<Dyn, E> {
                i64::try_from(v).map(Dyn::Int).map_err(E::custom)
            }
            fn visit_f64<E: Error>(self, v: f64) -> Result<Dyn, E> {
                Ok(Dyn::Float(v))
            }
            fn visit_str<E: Error>(self, v: &str) -> Result<Dyn, E> {
                Ok(Dyn::Text(v.into()))
            }
            fn visit_bytes<E: Error>(self, v: &[u8]) -> Result<Dyn, E> {
                Ok(Dyn::Data(Bytes::copy_from_slice(v)))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Dyn, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = seq.next_element()? {
                    list.push(item);
                }
                Ok(Dyn::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Dyn, A::Error> {
                let mut object = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    object.push(entry);
                }
                Ok(Dyn::Object(object))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![Just("_placeholder".into()), Just("num".into()), "[a-c\"\n]{0,2}", any::<String>()]
}

fn data() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..8).prop_map(Bytes::from)
}

fn value() -> impl Strategy<Value = Dyn> {
    let leaf = prop_oneof![
        Just(Dyn::Null),
        any::<bool>().prop_map(Dyn::Bool),
        Just(Dyn::Bool(true)),
        any::<i64>().prop_map(Dyn::Int),
        any::<i32>().prop_map(|v| Dyn::Float(f64::from(v) / 8.0)),
        any::<String>().prop_map(Dyn::Text),
        data().prop_map(Dyn::Data),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Dyn::List),
            vec((key(), inner.clone()), 0..5).prop_map(Dyn::Object),
            // Close to a placeholder.
            vec(inner, 1..3).prop_map(|values| {
                let keys = ["_placeholder", "num", "more"].map(String::from);
                Dyn::Object(keys.into_iter().zip([Dyn::Bool(true)].into_iter().chain(values)).collect())
            }),
        ]
    })
    .prop_map(unambiguous)
}

/// User data in the very form of a placeholder cannot be told from one (B91); makes it something else.
fn unambiguous(value: Dyn) -> Dyn {
    match value {
        Dyn::List(list) => Dyn::List(list.into_iter().map(unambiguous).collect()),
        Dyn::Object(mut object) => {
            let keys = ["_placeholder", "num"];
            if object.len() == 2 && object.iter().zip(keys).all(|((key, _), reserved)| key == reserved) {
                if let Dyn::Int(_) | Dyn::Float(_) = object[1].1 {
                    object[1].1 = Dyn::Null;
                }
            }
            Dyn::Object(object.into_iter().map(|(key, value)| (key, unambiguous(value))).collect())
        }
        other => other,
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Unit),
        data().prop_map(Shape::Newtype),
        (any::<u8>(), data()).prop_map(|(n, data)| Shape::Tuple(n, data)),
        data().prop_map(|data| Shape::Struct { data }),
    ]
}

prop_compose! {
    fn flat()(more in data(), any in prop_oneof![
        any::<u32>().prop_map(Untagged::Number),
        data().prop_map(Untagged::Data),
        btree_map(any::<String>(), data(), 0..3).prop_map(Untagged::Map),
    ], data in option::of(data())) -> Flat {
        Flat { more, any, tagged: Tagged::A { data } }
    }
}

prop_compose! {
    fn everything()(
        id: u32,
        data in data(),
        list in vec(data(), 0..3),
        map in btree_map(any::<String>(), data(), 0..3),
        numbered in btree_map(any::<u8>(), data(), 0..3),
        maybe in option::of(data()),
        pair in (data(), (-1000..1000).prop_map(f64::from)),
        shapes in vec(shape(), 0..3),
        flat in flat(),
    ) -> Everything {
        Everything { id, data, list, map, numbered, maybe, pair, shapes, flat }
    }
}

/// Text that is JSON more often than not.
fn jsonish() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        prop::sample::select(
            &["[", "]", "{", "}", ",", ":", "\"", "\\", " ", "\n", "null", "true", "\"a\""][..]
        )
        .prop_map(String::from),
        prop::sample::select(
            &[
                "{\"_placeholder\":true,\"num\":0}",
                "{\"_placeholder\":true,\"num\":",
                "{\"num\":9,\"_placeholder\":true}",
                "\"_placeholder\"",
                "\"\\ud800\"",
                "1e999",
                "-0.5",
            ][..]
        )
        .prop_map(String::from),
        any::<i64>().prop_map(|n| alloc::format!("{n}")),
        any::<String>(),
    ];
    prop_oneof![
        any::<String>(),
        vec(token.clone(), 0..12).prop_map(|tokens| tokens.concat()),
        vec(token, 0..5).prop_map(|tokens| alloc::format!("[\"x\",{}]", tokens.join(","))),
        // Well-formed JSON, broken in one place.
        (value(), any::<prop::sample::Index>(), any::<char>()).prop_map(|(value, at, with)| {
            let text =
                Payload::from_event("x", &(value,)).map_or_else(|_| "[]".into(), |p| p.text().to_owned());
            let mut chars: Vec<char> = text.chars().collect();
            let at = at.index(chars.len());
            chars[at] = with;
            chars.into_iter().collect()
        }),
    ]
}

proptest! {
    #[test]
    fn dynamic_values_survive(name: String, a in value(), b in value()) {
        // Beside binary data, what looks like a placeholder is refused: it would close the receiver's connection (B91).
        let payload = Payload::from_event(&name, &(&a, &b));
        prop_assume!(payload.is_ok());
        let payload = payload.unwrap();
        prop_assert_eq!(payload.name().unwrap(), &*name);
        prop_assert_eq!(payload.name_str().unwrap(), &*name);
        prop_assert_eq!(payload.deserialize::<(Dyn, Dyn)>().unwrap(), (a.clone(), b));
        prop_assert_eq!(payload.deserialize::<Dyn>().unwrap(), a);
        prop_assert_eq!(&Payload::from_event(&name, &payload).unwrap(), &payload);
    }

    #[test]
    fn typed_values_survive(value in everything()) {
        let payload = Payload::from_args(&value).unwrap();
        prop_assert_eq!(payload.deserialize::<Everything>().unwrap(), value.clone());
        prop_assert_eq!(payload.deserialize::<(Everything, Option<u8>)>().unwrap(), (value, None));
    }

    #[test]
    fn text_is_what_serde_json_writes(
        text: String,
        long in "[ -~]{0,200}",
        map in btree_map(any::<String>(), any::<i16>(), 0..4),
    ) {
        let value = (text, long, map);
        let expected = serde_json::to_string(&value).unwrap();
        let payload = Payload::from_args(&value).unwrap();
        prop_assert_eq!(payload.text(), expected);
    }

    #[test]
    fn floats_survive(value in proptest::num::f64::NORMAL, single in proptest::num::f32::NORMAL) {
        let payload = Payload::from_args(&(value, single)).unwrap();
        // Read by the standard library: `serde_json` is off by one bit now and then.
        let (a, b) = payload.args_text().split_once(',').unwrap();
        prop_assert_eq!((a.parse(), b.parse()), (Ok(value), Ok(single)));
        prop_assert!(payload.deserialize::<(f64, f32)>().is_ok());
    }

    #[test]
    fn no_input_panics(text in jsonish(), named: bool, count in 0..3_u8) {
        let valid = serde_json::from_str::<Vec<IgnoredAny>>(&text).is_ok();
        let payload = Payload::new(Str::from(text), attachments(count), named);
        prop_assert!(valid || payload.is_err());
        prop_assert!(!valid || named || count > 0 || payload.is_ok());
        if let Ok(payload) = payload {
            prop_assert_eq!(payload.name().is_some(), named);
            let (shared, borrowed) = (payload.name_str(), payload.name());
            prop_assert_eq!(shared.as_deref(), borrowed.as_deref());
            let rest = alloc::format!("[{}]", payload.args_text());
            prop_assert!(serde_json::from_str::<Vec<IgnoredAny>>(&rest).is_ok(), "{}", rest);
            let _ = payload.deserialize::<Dyn>();
            let _ = payload.deserialize::<(Dyn, Dyn)>();
            let _ = payload.deserialize::<(Bytes, Option<Bytes>, String)>();
            let _ = payload.deserialize::<Vec<Bytes>>();
            let _ = payload.deserialize::<Everything>();
            let _ = payload.deserialize::<Untagged>();
            let _ = payload.deserialize::<BTreeMap<String, Option<Untagged>>>();
            let _ = payload.deserialize::<f32>();
        }
    }
}
