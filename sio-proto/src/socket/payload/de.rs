//! From arguments to Rust values.

use alloc::format;
use alloc::string::{String, ToString};
use core::cell::Cell;
use core::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Error;

use super::Payload;
use super::resolve::{Binary, Resolve};

/// Why arguments could not be read as the type asked for. Arguments are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There are fewer arguments than the type needs.
    #[error("argument {argument}: missing")]
    Missing {
        /// Which argument.
        argument: usize,
    },
    /// The argument is not what the type expects.
    #[error("argument {argument}: {message}")]
    Invalid {
        /// Which argument.
        argument: usize,
        /// What serde says about it.
        message: String,
    },
}

pub(super) fn deserialize<'de, T: Deserialize<'de>>(payload: &'de Payload) -> Result<T, DecodeError> {
    let binary = (!payload.attachments.is_empty())
        .then(|| Binary { text: &payload.text, attachments: payload.attachments.as_slice() });
    let progress = Cell::new(Progress { argument: 1, missing: false });
    T::deserialize(Arguments { payload, binary, progress: &progress }).map_err(|error| {
        let Progress { argument, missing } = progress.get();
        if missing { DecodeError::Missing { argument } } else { DecodeError::invalid(argument, &error) }
    })
}

impl DecodeError {
    fn invalid(argument: usize, error: &Error) -> Self {
        let mut message = error.to_string();
        // Where we stand in the text depends on how the arguments are being read, and would only mislead.
        let position = format!(" at line {} column {}", error.line(), error.column());
        if message.ends_with(&position) {
            message.truncate(message.len() - position.len());
        }
        Self::Invalid { argument, message }
    }
}

/// Which argument is being read: errors come out of serde without that.
#[derive(Clone, Copy)]
struct Progress {
    argument: usize,
    missing: bool,
}

/// The arguments as a whole. What the type asks this for decides between all arguments and the first.
struct Arguments<'a, 'de> {
    payload: &'de Payload,
    /// Set if there are attachments. Without, values come straight from `serde_json`.
    binary: Option<Binary<'de>>,
    progress: &'a Cell<Progress>,
}

impl<'de> Arguments<'_, 'de> {
    /// The text that begins with the first argument; notes when there is none.
    ///
    /// A deserialiser for it stops after that argument and does not mind that a comma and others follow.
    #[inline]
    fn first(&self) -> Option<&'de str> {
        let text = self.payload.args_text();
        self.progress.set(Progress { argument: 1, missing: text.is_empty() });
        (!text.is_empty()).then_some(text)
    }
}

/// Methods of `Deserializer` that pass on to the first argument.
macro_rules! first_argument {
    ($($method:ident($($arg:ident: $type:ty),*))*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, Error> {
            let Some(text) = self.first() else { return Missing.$method($($arg,)* visitor) };
            let mut json = serde_json::Deserializer::from_str(text);
            match self.binary {
                None => json.$method($($arg,)* visitor),
                Some(binary) => Resolve { inner: &mut json, binary }.$method($($arg,)* visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Arguments<'_, 'de> {
    type Error = Error;

    first_argument! {
        deserialize_any() deserialize_bool()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64()
        deserialize_char() deserialize_str() deserialize_string() deserialize_bytes() deserialize_byte_buf()
        deserialize_option() deserialize_seq() deserialize_map() deserialize_identifier()
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        let mut json = serde_json::Deserializer::from_str(&self.payload.text);
        json.deserialize_seq(Spread { arguments: self, len, visitor })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    /// A newtype is what it wraps, also if that is a tuple.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

/// Walks the JSON array and presents its arguments to the visitor of a tuple.
struct Spread<'a, 'de, V> {
    arguments: Arguments<'a, 'de>,
    len: usize,
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Spread<'_, 'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<V::Value, A::Error> {
        let Arguments { payload, binary, progress } = self.arguments;
        if payload.name_end != 0 {
            items.next_element::<IgnoredAny>()?;
        }
        let value =
            self.visitor.visit_seq(Tuple { items: &mut items, binary, progress, taken: 0, len: self.len })?;
        while let Some(IgnoredAny) = items.next_element()? {}
        Ok(value)
    }
}

/// The arguments for a tuple of `len` elements: neither more nor, as missing ones are made up, fewer.
struct Tuple<'a, 'de, A> {
    items: &'a mut A,
    binary: Option<Binary<'de>>,
    progress: &'a Cell<Progress>,
    taken: usize,
    len: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Tuple<'_, 'de, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        if self.taken == self.len {
            return Ok(None);
        }
        self.taken += 1;
        self.progress.set(Progress { argument: self.taken, missing: false });
        // The seed is lent, to have it back if there is no such item.
        let mut seed = Some(seed);
        let found = match self.binary {
            None => self.items.next_element_seed(Lend(&mut seed))?,
            Some(binary) => self.items.next_element_seed(Resolve { inner: Lend(&mut seed), binary })?,
        };
        match seed {
            None => Ok(found),
            Some(seed) => {
                self.progress.set(Progress { argument: self.taken, missing: true });
                seed.deserialize(Missing).map(Some).map_err(A::Error::custom)
            }
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.len - self.taken)
    }
}

struct Lend<'a, S>(&'a mut Option<S>);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Lend<'_, S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let seed = self.0.take().ok_or_else(|| D::Error::custom("an argument was read twice"))?;
        seed.deserialize(deserializer)
    }
}

/// An argument that is not there.
struct Missing;

impl<'de> Deserializer<'de> for Missing {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom("missing"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_none()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        seq tuple tuple_struct map struct enum identifier
    }
}
