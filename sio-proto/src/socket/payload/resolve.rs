//! Puts attachments in the place of their placeholders while `serde_json` deserialises.
//!
//! [`Resolve`] goes around a deserialiser and everything that comes out of it, so that it is still around
//! when a type somewhere inside asks for bytes. It adds no recursion of its own: each container is still
//! entered through `serde_json`, whose depth limit therefore holds.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

use bytes::Bytes;
use serde::de::value::{CowStrDeserializer, MapAccessDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

/// What placeholders refer to.
#[derive(Clone, Copy)]
pub(super) struct Binary<'de> {
    /// The text that is being read, or more of it.
    pub(super) text: &'de str,
    pub(super) attachments: &'de [Bytes],
}

impl<'de> Binary<'de> {
    fn attachment<E: Error>(&self, num: u64) -> Result<&'de Bytes, E> {
        usize::try_from(num).ok().and_then(|num| self.attachments.get(num)).ok_or_else(|| {
            E::custom(format_args!("attachment {num} of {} does not exist", self.attachments.len()))
        })
    }

    /// Whether the object that begins with `key` is a placeholder and nothing else.
    ///
    /// `serde_json` cannot look ahead, and to buffer an object until it turns out to be an ordinary one would
    /// change what its reader sees. But a key without escapes is borrowed from the text, which can be asked.
    fn is_placeholder(&self, key: &'de str) -> bool {
        const NUMBER: [char; 15] =
            ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '-', '+', '.', 'e', 'E'];

        let offset = key.as_ptr().addr().checked_sub(self.text.as_ptr().addr());
        let Some(text) = offset.and_then(|offset| self.text.get(offset..)) else { return false };
        let number = ["_placeholder\"", ":", "true", ",", "\"num\"", ":"]
            .iter()
            .try_fold(text, |text, token| text.strip_prefix(token).map(str::trim_start));
        // The text is known to be JSON, so there is a number, and in one piece.
        number.is_some_and(|text| text.trim_start_matches(NUMBER).trim_start().starts_with('}'))
    }
}

/// A placeholder where bytes are expected. `u64` refuses fractions and signs.
#[derive(serde::Deserialize)]
struct Placeholder {
    #[serde(rename = "_placeholder")]
    flag: bool,
    num: u64,
}

/// Something of serde's (a deserialiser, a seed, an access) with attachments in reach.
pub(super) struct Resolve<'de, X> {
    pub(super) inner: X,
    pub(super) binary: Binary<'de>,
}

impl<'de, X> Resolve<'de, X> {
    #[inline]
    const fn visit<V>(&self, visitor: V, want: Want) -> Visit<'de, V> {
        Visit { visitor, binary: self.binary, want }
    }
}

/// Values in which there can be no attachment need no wrapping.
macro_rules! forward_scalars {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(visitor)
        }
    )*};
}

macro_rules! forward_containers {
    ($($method:ident($($arg:ident: $type:ty),*))*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            let visitor = self.visit(visitor, Want::Container);
            self.inner.$method($($arg,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Resolve<'de, D> {
    type Error = D::Error;

    forward_scalars! {
        deserialize_bool
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_string
        deserialize_unit deserialize_identifier deserialize_ignored_any
    }

    forward_containers! {
        deserialize_option() deserialize_seq() deserialize_map()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.visit(visitor, Want::Anything);
        self.inner.deserialize_any(visitor)
    }

    // `deserialize_any`, as `serde_json` would refuse an object where bytes are asked for.
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.visit(visitor, Want::Bytes);
        self.inner.deserialize_any(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.visit(visitor, Want::ByteBuf);
        self.inner.deserialize_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// What a visitor's type has asked for.
#[derive(Clone, Copy)]
enum Want {
    Anything,
    Bytes,
    ByteBuf,
    Container,
}

struct Visit<'de, V> {
    visitor: V,
    binary: Binary<'de>,
    want: Want,
}

impl<'de, V: Visitor<'de>> Visit<'de, V> {
    fn bytes<E: Error>(self, num: u64) -> Result<V::Value, E> {
        let bytes: &'de [u8] = self.binary.attachment(num)?;
        match self.want {
            Want::ByteBuf => self.visitor.visit_byte_buf(bytes.into()),
            _ => self.visitor.visit_borrowed_bytes(bytes),
        }
    }

    #[inline]
    const fn wants_bytes(&self) -> bool {
        matches!(self.want, Want::Bytes | Want::ByteBuf)
    }
}

macro_rules! visit_scalars {
    ($($method:ident($type:ty))*) => {$(
        #[inline]
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.visitor.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Visit<'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    visit_scalars! {
        visit_bool(bool) visit_i64(i64) visit_i128(i128) visit_u64(u64) visit_u128(u128) visit_f64(f64)
        visit_string(String)
    }

    // `serde_json` gives strings to those who ask for bytes, and so do we.
    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        if self.wants_bytes() {
            self.visitor.visit_bytes(value.as_bytes())
        } else {
            self.visitor.visit_str(value)
        }
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<V::Value, E> {
        if self.wants_bytes() {
            self.visitor.visit_borrowed_bytes(value.as_bytes())
        } else {
            self.visitor.visit_borrowed_str(value)
        }
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Resolve { inner, binary: self.binary })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Resolve { inner, binary: self.binary })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(Resolve { inner, binary: self.binary })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(Resolve { inner, binary: self.binary })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<V::Value, A::Error> {
        let inner = match self.want {
            Want::Container => Replay { first: None, map },
            Want::Bytes | Want::ByteBuf => {
                let placeholder = Placeholder::deserialize(MapAccessDeserializer::new(map))?;
                if !placeholder.flag {
                    return Err(A::Error::custom("`_placeholder` is not true"));
                }
                return self.bytes(placeholder.num);
            }
            Want::Anything => {
                let first = map.next_key_seed(KeySeed)?;
                if matches!(first, Some(Cow::Borrowed(key)) if self.binary.is_placeholder(key)) {
                    map.next_value::<IgnoredAny>()?;
                    map.next_key::<IgnoredAny>()?;
                    let num = map.next_value()?;
                    return self.bytes(num);
                }
                Replay { first, map }
            }
        };
        self.visitor.visit_map(Resolve { inner, binary: self.binary })
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Resolve<'de, S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Resolve { inner, binary: self.binary })
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Resolve<'de, A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, inner: S) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_element_seed(Resolve { inner, binary: self.binary })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Resolve<'de, A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_key_seed(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, inner: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(Resolve { inner, binary: self.binary })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Resolve<'de, A> {
    type Error = A::Error;
    type Variant = Resolve<'de, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, inner) = self.inner.variant_seed(seed)?;
        Ok((value, Resolve { inner, binary: self.binary }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Resolve<'de, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, inner: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(Resolve { inner, binary: self.binary })
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let visitor = self.visit(visitor, Want::Container);
        self.inner.tuple_variant(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.visit(visitor, Want::Container);
        self.inner.struct_variant(fields, visitor)
    }
}

/// A map, the first key of which may have been taken out and is given once more.
struct Replay<'de, A> {
    first: Option<Cow<'de, str>>,
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Replay<'de, A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        match self.first.take() {
            None => self.map.next_key_seed(seed),
            Some(key) => seed.deserialize(Key(key)).map(Some).map_err(A::Error::custom),
        }
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// Takes an object's key, borrowed if it has no escapes.
struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.into()))
    }
}

/// An object's key. As in `serde_json` it is a number or a Boolean for those who insist.
struct Key<'de>(Cow<'de, str>);

macro_rules! parse_key {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, serde_json::Error> {
            // Numbers are not written with escapes, so an owned key is none.
            let Cow::Borrowed(key) = self.0 else { return self.deserialize_any(visitor) };
            let mut json = serde_json::Deserializer::from_str(key);
            let value = json.$method(visitor)?;
            json.end().map(|()| value)
        }
    )*};
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = serde_json::Error;

    parse_key! {
        deserialize_bool
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, serde_json::Error> {
        match self.0 {
            Cow::Borrowed(key) => visitor.visit_borrowed_str(key),
            Cow::Owned(key) => visitor.visit_string(key),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, serde_json::Error> {
        match self.0 {
            Cow::Borrowed(key) => visitor.visit_borrowed_bytes(key.as_bytes()),
            Cow::Owned(key) => visitor.visit_byte_buf(key.into()),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, serde_json::Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, serde_json::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, serde_json::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, serde_json::Error> {
        visitor.visit_enum(CowStrDeserializer::new(self.0))
    }

    forward_to_deserialize_any! {
        char str string unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
