//! JSON and attachments as MessagePack.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

use bytes::Bytes;
use rmp::Marker;
use rmp::encode::{
    ByteBuf, write_array_len, write_bin, write_bool, write_f64, write_map_len, write_nil, write_sint,
    write_str, write_uint,
};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::socket::parser::ParserError;

/// What `serde_json` calls the only field of a number if its feature `arbitrary_precision` is on, which any crate of the program
/// can do.
const NUMBER: &str = "$serde_json::private::Number";

/// Whether numbers are maps with that field.
fn numbers_are_maps() -> bool {
    struct Probe;

    impl<'de> Visitor<'de> for Probe {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number")
        }

        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }
    }

    serde_json::Deserializer::from_str("0").deserialize_any(Probe).is_err()
}

pub(super) fn error(error: impl fmt::Debug) -> ParserError {
    ParserError::new(format_args!("{error:?}"))
}

/// Writes a string, which is not longer than can be.
pub(super) fn string(text: &str, out: &mut ByteBuf) -> Result<(), ParserError> {
    fits(text.len())?;
    write_str(out, text).map_err(error)
}

/// Writes the value that a JSON text stands for, with the attachments in their places.
pub(super) fn json(text: &str, attachments: &[Bytes], out: &mut ByteBuf) -> Result<(), ParserError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let write = Write { out, attachments, numbers_are_maps: numbers_are_maps() };
    write.deserialize(&mut json).and_then(|_| json.end()).map_err(ParserError::new)
}

/// Lengths are 32-bit numbers.
fn fits(len: usize) -> Result<u32, ParserError> {
    u32::try_from(len).map_err(|_| ParserError::new("too large for MessagePack"))
}

/// Writes one JSON value.
struct Write<'a> {
    out: &'a mut ByteBuf,
    attachments: &'a [Bytes],
    numbers_are_maps: bool,
}

/// What a value is, as far as the fields of a placeholder, or of a number, are concerned.
enum Seen {
    True,
    Number(u64),
    Other,
}

impl Write<'_> {
    fn again(&mut self) -> Write<'_> {
        let Self { attachments, numbers_are_maps, .. } = *self;
        Write { out: self.out, attachments, numbers_are_maps }
    }

    /// Puts the header of a container in the place of the byte at `start`. It is written last because JSON does not say how many
    /// items follow.
    fn header<E: Error, F: fmt::Debug>(
        &mut self,
        start: usize,
        len: usize,
        write: impl Fn(&mut ByteBuf, u32) -> Result<Marker, F>,
    ) -> Result<(), E> {
        let len = fits(len).map_err(E::custom)?;
        let end = self.out.as_slice().len();
        write(self.out, len).map_err(|cause| E::custom(error(cause)))?;
        let bytes = self.out.as_mut_vec();
        let mut header = [0; 5];
        let size = bytes.len() - end;
        header[..size].copy_from_slice(&bytes[end..]);
        bytes.truncate(end);
        match size {
            // Up to 15 items, which is nearly always so, nothing need be moved.
            1 => bytes[start] = header[0],
            _ => drop(bytes.splice(start..=start, header.into_iter().take(size))),
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Write<'_> {
    type Value = Seen;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Seen, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Write<'_> {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Seen, E> {
        write_nil(self.out).map_err(E::custom)?;
        Ok(Seen::Other)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Seen, E> {
        write_bool(self.out, value).map_err(E::custom)?;
        Ok(if value { Seen::True } else { Seen::Other })
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Seen, E> {
        write_uint(self.out, value).map_err(|cause| E::custom(error(cause)))?;
        Ok(Seen::Number(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Seen, E> {
        write_sint(self.out, value).map_err(|cause| E::custom(error(cause)))?;
        Ok(Seen::Other)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Seen, E> {
        write_f64(self.out, value).map_err(|cause| E::custom(error(cause)))?;
        Ok(Seen::Other)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Seen, E> {
        string(value, self.out).map_err(E::custom)?;
        Ok(Seen::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Seen, A::Error> {
        let start = self.out.as_slice().len();
        self.out.as_mut_vec().push(0);
        let mut len = 0;
        while items.next_element_seed(self.again())?.is_some() {
            len += 1;
        }
        self.header(start, len, write_array_len)?;
        Ok(Seen::Other)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Seen, A::Error> {
        let start = self.out.as_slice().len();
        self.out.as_mut_vec().push(0);
        let mut len = 0;
        // As in JavaScript, the last of several equal keys counts.
        let (mut placeholder, mut number) = (false, None);
        while let Some(key) = map.next_key_seed(Key)? {
            if self.numbers_are_maps && key == NUMBER {
                let digits: Cow<'de, str> = map.next_value_seed(Key)?;
                self.out.as_mut_vec().truncate(start);
                return visit_number(self, &digits);
            }
            string(&key, self.out).map_err(A::Error::custom)?;
            let value = map.next_value_seed(self.again())?;
            match &*key {
                "_placeholder" => placeholder = matches!(value, Seen::True),
                "num" => number = if let Seen::Number(number) = value { Some(number) } else { None },
                _ => {}
            }
            len += 1;
        }
        let number = number.filter(|_| placeholder).and_then(|number| usize::try_from(number).ok());
        if let Some(bytes) = number.and_then(|number| self.attachments.get(number)) {
            self.out.as_mut_vec().truncate(start);
            fits(bytes.len()).map_err(A::Error::custom)?;
            write_bin(self.out, bytes).map_err(|cause| A::Error::custom(error(cause)))?;
            return Ok(Seen::Other);
        }
        self.header(start, len, write_map_len)?;
        Ok(Seen::Other)
    }
}

fn visit_number<E: Error>(write: Write<'_>, digits: &str) -> Result<Seen, E> {
    if let Ok(value) = digits.parse() {
        return write.visit_u64(value);
    }
    match digits.parse() {
        Ok(value) => write.visit_i64(value),
        Err(_) => write.visit_f64(digits.parse().map_err(|_| E::custom("not a number"))?),
    }
}

/// A string, borrowed unless it is written with escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(String::from(key)))
    }
}

#[cfg(test)]
pub(super) fn under_arbitrary_precision(text: &str) -> alloc::vec::Vec<u8> {
    let mut out = ByteBuf::new();
    let write = Write { out: &mut out, attachments: &[], numbers_are_maps: true };
    write.deserialize(&mut serde_json::Deserializer::from_str(text)).map(drop).expect("a number");
    out.into_vec()
}
