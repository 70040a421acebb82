//! From Rust values to arguments.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Display;

use bytes::Bytes;
use serde::ser::{Serialize, SerializeTuple, SerializeTupleStruct, Serializer};

use super::Payload;
use super::json::{Compound, EncodeError, Json};

/// What can be sent as the arguments of an event or an acknowledgement: whatever implements `Serialize`, by
/// the rules of the [module](super), and a [`Payload`], whose arguments and attachments are passed on as they
/// are.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as the arguments of an event",
    note = "arguments are anything that implements `serde::Serialize`, or a `Payload` by itself"
)]
pub trait Args {
    /// Writes the arguments.
    ///
    /// # Errors
    ///
    /// If a value refuses to be serialised, or is no JSON, like a map with keys that are not strings.
    fn write(&self, writer: &mut ArgsWriter<'_>) -> Result<(), EncodeError>;
}

impl<T: Serialize + ?Sized> Args for T {
    #[inline]
    fn write(&self, writer: &mut ArgsWriter<'_>) -> Result<(), EncodeError> {
        self.serialize(Spread(writer))
    }
}

// `Payload` is deliberately not `Serialize`: serde's data model has no way to hand over attachments without a
// copy, and inside of another value its arguments would be no arguments.
impl Args for Payload {
    fn write(&self, writer: &mut ArgsWriter<'_>) -> Result<(), EncodeError> {
        let args = self.args_text();
        if !args.is_empty() {
            writer.separate();
            writer.json.raw(args);
        }
        // All arguments come from this payload, so the numbers in its placeholders stay right.
        writer.json.attachments.extend_from_slice(self.attachments.as_slice());
        Ok(())
    }
}

impl Args for &Payload {
    fn write(&self, writer: &mut ArgsWriter<'_>) -> Result<(), EncodeError> {
        (*self).write(writer)
    }
}

/// Appends the payload of an event, `["name",…]`, to `out`, and the binary data in `args` to `attachments`.
///
/// Placeholders are numbered from 0, whatever was in `attachments` before.
///
/// # Errors
///
/// If a value refuses to be serialised, or is no JSON, like a map with keys that are not strings. `out` and
/// `attachments` are then as they were.
pub fn encode_event<A: Args + ?Sized>(
    name: &str,
    args: &A,
    out: &mut String,
    attachments: &mut Vec<Bytes>,
) -> Result<(), EncodeError> {
    encode(Some(name), args, out, attachments)
}

/// Appends the payload of an acknowledgement, `[…]`, to `out`; otherwise like [`encode_event`].
///
/// # Errors
///
/// As for [`encode_event`].
pub fn encode_ack<A: Args + ?Sized>(
    args: &A,
    out: &mut String,
    attachments: &mut Vec<Bytes>,
) -> Result<(), EncodeError> {
    encode(None, args, out, attachments)
}

fn encode<A: Args + ?Sized>(
    name: Option<&str>,
    args: &A,
    out: &mut String,
    attachments: &mut Vec<Bytes>,
) -> Result<(), EncodeError> {
    let before = (out.len(), attachments.len());
    out.push('[');
    let mut writer = ArgsWriter { json: Json { text: out, attachments, before: before.1 }, comma: false };
    let result = match name {
        Some(name) => Spread(&mut writer).serialize_str(name).and_then(|()| args.write(&mut writer)),
        None => args.write(&mut writer),
    };
    if result.is_ok() {
        out.push(']');
    } else {
        out.truncate(before.0);
        attachments.truncate(before.1);
    }
    result
}

/// Where [`Args`] are written to.
#[derive(Debug)]
pub struct ArgsWriter<'a> {
    json: Json<'a>,
    /// Whether the next item needs a comma before it.
    comma: bool,
}

impl<'a> ArgsWriter<'a> {
    #[inline]
    fn separate(&mut self) {
        if self.comma {
            self.json.raw(",");
        }
        self.comma = true;
    }

    /// The serialiser for one more item.
    #[inline]
    fn item(&mut self) -> &mut Json<'a> {
        self.separate();
        &mut self.json
    }
}

/// The serialiser of all arguments: a tuple adds its elements to the list, other values add themselves.
struct Spread<'b, 'a>(&'b mut ArgsWriter<'a>);

macro_rules! one_item {
    ($($method:ident($($arg:ident: $type:ty),*) -> $ok:ty;)*) => {$(
        #[inline]
        fn $method(self, $($arg: $type),*) -> Result<$ok, EncodeError> {
            self.0.item().$method($($arg),*)
        }
    )*};
}

impl<'b, 'a> Serializer for Spread<'b, 'a> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Compound<'b, 'a>;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Compound<'b, 'a>;
    type SerializeMap = Compound<'b, 'a>;
    type SerializeStruct = Compound<'b, 'a>;
    type SerializeStructVariant = Compound<'b, 'a>;

    one_item! {
        serialize_bool(v: bool) -> ();
        serialize_i8(v: i8) -> ();
        serialize_i16(v: i16) -> ();
        serialize_i32(v: i32) -> ();
        serialize_i64(v: i64) -> ();
        serialize_i128(v: i128) -> ();
        serialize_u8(v: u8) -> ();
        serialize_u16(v: u16) -> ();
        serialize_u32(v: u32) -> ();
        serialize_u64(v: u64) -> ();
        serialize_u128(v: u128) -> ();
        serialize_f32(v: f32) -> ();
        serialize_f64(v: f64) -> ();
        serialize_char(v: char) -> ();
        serialize_str(v: &str) -> ();
        serialize_bytes(v: &[u8]) -> ();
        serialize_none() -> ();
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str) -> ();
        serialize_seq(len: Option<usize>) -> Compound<'b, 'a>;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> Compound<'b, 'a>;
        serialize_map(len: Option<usize>) -> Compound<'b, 'a>;
        serialize_struct(name: &'static str, len: usize) -> Compound<'b, 'a>;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> Compound<'b, 'a>;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        self.0.item().serialize_some(value)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), EncodeError> {
        Ok(())
    }

    /// A newtype is what it wraps, also if that is a tuple.
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.0.item().serialize_newtype_variant(name, index, variant, value)
    }

    fn serialize_tuple(self, _len: usize) -> Result<Self, EncodeError> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<Self, EncodeError> {
        Ok(self)
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        self.0.item().collect_str(value)
    }
}

impl SerializeTuple for Spread<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        value.serialize(self.0.item())
    }

    fn end(self) -> Result<(), EncodeError> {
        Ok(())
    }
}

impl SerializeTupleStruct for Spread<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        value.serialize(self.0.item())
    }

    fn end(self) -> Result<(), EncodeError> {
        Ok(())
    }
}
