//! Writes one value as JSON and its binary data as attachments.
//!
//! This is not `serde_json`'s serialiser because without `std` that one exists only as `to_vec`, which takes
//! no buffer, wraps nothing, and so can neither spare an allocation nor see binary data before it has become
//! numbers.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Display, Write};

use bytes::Bytes;
use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde_json::Number;

/// Why a value could not be encoded: what its `Serialize` or the encoder says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EncodeError {
    message: String,
}

impl EncodeError {
    pub(super) fn new(error: impl Display) -> Self {
        Self { message: error.to_string() }
    }
}

impl Error for EncodeError {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message)
    }
}

/// The serialiser of one value; one after the other can be used with the same output.
#[derive(Debug)]
pub(super) struct Json<'a> {
    pub(super) text: &'a mut String,
    pub(super) attachments: &'a mut Vec<Bytes>,
    /// How many attachments there were from the beginning; they do not count.
    pub(super) before: usize,
}

impl<'a> Json<'a> {
    #[inline]
    pub(super) fn raw(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Writes what is JSON by the way it is displayed.
    fn display(&mut self, value: impl Display) -> Result<(), EncodeError> {
        write!(self.text, "{value}").map_err(EncodeError::new)
    }

    #[inline]
    fn string(&mut self, text: &str) {
        self.text.push('"');
        escape(text, self.text);
        self.text.push('"');
    }

    fn string_of(&mut self, value: impl Display) -> fmt::Result {
        self.text.push('"');
        write!(Escaped(self.text), "{value}")?;
        self.text.push('"');
        Ok(())
    }

    /// Begins the object around the content of an enum.
    fn variant(&mut self, variant: &str) {
        self.raw("{");
        self.string(variant);
        self.raw(":");
    }

    #[inline]
    fn compound(&mut self, open: &str, close: &'static str) -> Compound<'_, 'a> {
        self.raw(open);
        Compound { json: self, comma: false, close }
    }
}

macro_rules! number {
    ($($method:ident($type:ty))*) => {$(
        #[inline]
        fn $method(self, value: $type) -> Result<(), EncodeError> {
            self.raw(itoa::Buffer::new().format(value));
            Ok(())
        }
    )*};
}

impl<'b, 'a> Serializer for &'b mut Json<'a> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Compound<'b, 'a>;
    type SerializeTuple = Compound<'b, 'a>;
    type SerializeTupleStruct = Compound<'b, 'a>;
    type SerializeTupleVariant = Compound<'b, 'a>;
    type SerializeMap = Compound<'b, 'a>;
    type SerializeStruct = Compound<'b, 'a>;
    type SerializeStructVariant = Compound<'b, 'a>;

    number! {
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
    }

    fn serialize_bool(self, value: bool) -> Result<(), EncodeError> {
        self.raw(if value { "true" } else { "false" });
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), EncodeError> {
        // The debug format, as it has exponents, and keeps `1.0` apart from `1` for those who care.
        if value.is_finite() { self.display(format_args!("{value:?}")) } else { self.serialize_unit() }
    }

    fn serialize_f64(self, value: f64) -> Result<(), EncodeError> {
        match Number::from_f64(value) {
            Some(number) => self.display(number),
            None => self.serialize_unit(),
        }
    }

    fn serialize_char(self, value: char) -> Result<(), EncodeError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), EncodeError> {
        self.string(value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), EncodeError> {
        let num = self.attachments.len() - self.before;
        self.attachments.push(Bytes::copy_from_slice(value));
        self.display(format_args!("{{\"_placeholder\":true,\"num\":{num}}}"))
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        self.raw("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), EncodeError> {
        self.serialize_str(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.variant(variant);
        value.serialize(&mut *self)?;
        self.raw("}");
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, _len: Option<usize>) -> Result<Compound<'b, 'a>, EncodeError> {
        Ok(self.compound("[", "]"))
    }

    #[inline]
    fn serialize_tuple(self, _len: usize) -> Result<Compound<'b, 'a>, EncodeError> {
        Ok(self.compound("[", "]"))
    }

    #[inline]
    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _len: usize,
    ) -> Result<Compound<'b, 'a>, EncodeError> {
        Ok(self.compound("[", "]"))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Compound<'b, 'a>, EncodeError> {
        self.variant(variant);
        Ok(self.compound("[", "]}"))
    }

    #[inline]
    fn serialize_map(self, _len: Option<usize>) -> Result<Compound<'b, 'a>, EncodeError> {
        Ok(self.compound("{", "}"))
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, _len: usize) -> Result<Compound<'b, 'a>, EncodeError> {
        Ok(if Compound::RAW.contains(&name) { self.compound("", "") } else { self.compound("{", "}") })
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Compound<'b, 'a>, EncodeError> {
        self.variant(variant);
        Ok(self.compound("{", "}}"))
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        self.string_of(value).map_err(EncodeError::new)
    }
}

/// An array or object that is being written.
pub(super) struct Compound<'b, 'a> {
    json: &'b mut Json<'a>,
    comma: bool,
    close: &'static str,
}

impl Compound<'_, '_> {
    /// The "structs" with one field of text that is JSON already. They are how `serde_json` hands its
    /// `RawValue`, and its `Number` of arbitrary precision, to its own serialiser. Their `close` is empty.
    const RAW: [&'static str; 2] = ["$serde_json::private::RawValue", "$serde_json::private::Number"];

    #[inline]
    fn separate(&mut self) {
        if self.comma {
            self.json.raw(",");
        }
        self.comma = true;
    }

    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.separate();
        value.serialize(&mut *self.json)
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), EncodeError> {
        if self.close.is_empty() {
            return self.json.display(Plain(value));
        }
        self.separate();
        self.json.string(key);
        self.json.raw(":");
        value.serialize(&mut *self.json)
    }
}

macro_rules! compound {
    ($($trait:ident: $method:ident($($key:ident: $type:ty)?) by $by:ident;)*) => {$(
        impl $trait for Compound<'_, '_> {
            type Ok = ();
            type Error = EncodeError;

            #[inline]
            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($key: $type,)?
                value: &T,
            ) -> Result<(), EncodeError> {
                self.$by($($key,)? value)
            }

            #[inline]
            fn end(self) -> Result<(), EncodeError> {
                self.json.raw(self.close);
                Ok(())
            }
        }
    )*};
}

compound! {
    SerializeSeq: serialize_element() by element;
    SerializeTuple: serialize_element() by element;
    SerializeTupleStruct: serialize_field() by element;
    SerializeTupleVariant: serialize_field() by element;
    SerializeStruct: serialize_field(key: &'static str) by field;
    SerializeStructVariant: serialize_field(key: &'static str) by field;
}

impl SerializeMap for Compound<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.separate();
        self.json.string_of(Plain(key)).map_err(|_| EncodeError::new("key must be a string"))
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.json.raw(":");
        value.serialize(&mut *self.json)
    }

    #[inline]
    fn end(self) -> Result<(), EncodeError> {
        self.json.raw(self.close);
        Ok(())
    }
}

/// Displays a string, number or name of a variant as it is, and fails for everything else: serde has a
/// serialiser in `fmt::Formatter` that draws the line just where JSON has it for keys.
struct Plain<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> Display for Plain<'_, T> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.serialize(f)
    }
}

/// Takes text to inside of a JSON string.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(text, self.0);
        Ok(())
    }
}

pub(in crate::socket) fn escape(text: &str, out: &mut String) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];

    let mut rest = text;
    loop {
        let (clean, dirty) = rest.split_at(clean_len(rest.as_bytes()));
        out.push_str(clean);
        let Some(&byte) = dirty.as_bytes().first() else { return };
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            _ => {
                out.push_str("\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
        rest = &dirty[1..];
    }
}

/// How many bytes from the start need no escape.
#[inline]
fn clean_len(bytes: &[u8]) -> usize {
    const BLOCK: usize = 32;
    const WORD: usize = 8;
    let dirty = |&byte: &u8| byte < 0x20 || byte == b'"' || byte == b'\\';

    // Long texts: what looks at a whole block without a branch, the compiler makes vector instructions of.
    let blocks = bytes.chunks_exact(BLOCK);
    let mut clean =
        BLOCK * blocks.take_while(|block| !block.iter().fold(false, |any, b| any | dirty(b))).count();
    while let Some(word) = bytes[clean..].first_chunk::<WORD>() {
        let found = dirty_bytes(u64::from_le_bytes(*word));
        if found != 0 {
            return clean + found.trailing_zeros() as usize / WORD;
        }
        clean += WORD;
    }
    let rest = &bytes[clean..];
    clean + rest.iter().position(dirty).unwrap_or(rest.len())
}

/// The lowest bit that is set is in the first byte that needs an escape; those above it say nothing. None is set if no byte needs one.
#[inline]
const fn dirty_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = ONES << 7;
    /// A byte is less than `n` if subtracting that borrows, and its own highest bit is not set.
    const fn less(word: u64, n: u64) -> u64 {
        word.wrapping_sub(ONES * n) & !word
    }
    let quote = less(word ^ (ONES * b'"' as u64), 1);
    let backslash = less(word ^ (ONES * b'\\' as u64), 1);
    (less(word, 0x20) | quote | backslash) & HIGHEST
}
