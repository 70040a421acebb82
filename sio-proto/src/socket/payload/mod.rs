//! The data of an event or an acknowledgement, kept as it is on the wire until somebody asks for a type.
//!
//! A [`Payload`] is what a packet carried: one JSON array and the binary attachments that it refers to. It is
//! checked once when it arrives and never taken apart before [`Payload::deserialize`], which runs serde on
//! the handler's own types. In the other direction [`encode_event`] and [`encode_ack`] write such an array
//! from anything that is [`Args`].
//!
//! # Arguments
//!
//! An event has any number of arguments, a Rust value is one. At the top, and only there, **tuples and arrays
//! stand for several arguments** and `()` for none; everything else, `Vec` included, is one argument:
//!
//! | Rust                 | on the wire    |
//! |----------------------|----------------|
//! | `"a"`                | `["name","a"]` |
//! | `("a", 1)`           | `["name","a",1]` |
//! | `()`                 | `["name"]` |
//! | `vec![1, 2]`         | `["name",[1,2]]` |
//! | `(vec![1, 2],)`      | `["name",[1,2]]` |
//! | `None::<u8>`         | `["name",null]` |
//!
//! # Binary data
//!
//! Types that serde knows as bytes (`bytes::Bytes`, `serde_bytes::ByteBuf`; not `Vec<u8>`, which serde knows
//! as a list of numbers) travel as attachments, at any depth.

mod check;
mod de;
mod json;
mod resolve;
mod ser;
#[cfg(test)]
mod tests;

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use serde::Deserializer as _;
use serde::de::{Deserialize, IgnoredAny, SeqAccess, Visitor};

pub use self::de::DecodeError;
pub use self::json::EncodeError;
#[cfg(feature = "msgpack")]
pub(in crate::socket) use self::json::escape;
pub use self::ser::{Args, ArgsWriter, encode_ack, encode_event};
use crate::Str;

/// The binary attachments of a packet, in the order in which they were sent.
///
/// Cloning shares them. No attachments, the usual case, take no allocation.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Attachments(Option<Arc<[Bytes]>>);

impl Attachments {
    /// The attachments; the placeholder with `num` 0 refers to the first.
    #[must_use]
    pub fn as_slice(&self) -> &[Bytes] {
        self.0.as_deref().unwrap_or_default()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl From<Vec<Bytes>> for Attachments {
    fn from(attachments: Vec<Bytes>) -> Self {
        Self(if attachments.is_empty() { None } else { Some(attachments.into()) })
    }
}

/// Why a text is not the payload of an event or an acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The text is not JSON; this is what the JSON parser says.
    #[error("not JSON: {0}")]
    Json(String),
    /// The text is JSON but not an array.
    #[error("not a JSON array")]
    NotAnArray,
    /// An event without items, so without a name.
    #[error("the event has no name")]
    NoName,
    /// The first item of an event is not a number and not a string, or a string that is not Unicode.
    #[error("the event name is neither a string nor a number")]
    Name,
    /// A placeholder has no number, or that of no attachment.
    #[error("a placeholder refers to no attachment")]
    Placeholder,
}

/// The data of an event or an acknowledgement: a checked JSON array and its attachments.
///
/// Cloning is cheap. See the [module documentation](self) for what counts as an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    text: Str,
    attachments: Attachments,
    /// Where the token of the event name ends in `text`; 0 (which is before the bracket) if it has no name.
    name_end: usize,
}

impl Payload {
    /// Checks `text`, which is everything after the header of a packet: the array `["name",…]` of an event
    /// (`named`) or the array of an acknowledgement.
    ///
    /// A name can be a number, as in the JavaScript implementation; it is then known by the number's text.
    /// Whether a name is reserved is not looked at. With attachments, every placeholder must refer to one of them, and there
    /// may be no more placeholders than attachments.
    ///
    /// # Errors
    ///
    /// If the text is not a JSON array, or is `named` and does not begin with a name, or a placeholder refers to nothing, or
    /// there are too many of them.
    pub fn new(text: Str, attachments: Attachments, named: bool) -> Result<Self, PayloadError> {
        check_array(&text)?;
        let name_end = if named { find_name_end(&text)? } else { 0 };
        if !attachments.is_empty() && check::placeholders(&text, attachments.len()).is_err() {
            return Err(PayloadError::Placeholder);
        }
        Ok(Self { text, attachments, name_end })
    }

    /// Encodes an acknowledgement: arguments without a name.
    ///
    /// # Errors
    ///
    /// If a value refuses to be serialised, or is no JSON, like a map with keys that are not strings.
    pub fn from_args<A: Args + ?Sized>(args: &A) -> Result<Self, EncodeError> {
        let (mut text, mut attachments) = (String::new(), Vec::new());
        encode_ack(args, &mut text, &mut attachments)?;
        Self::from_encoded(text, attachments, false)
    }

    /// Encodes an event.
    ///
    /// # Errors
    ///
    /// As for [`Payload::from_args`].
    pub fn from_event<A: Args + ?Sized>(name: &str, args: &A) -> Result<Self, EncodeError> {
        let (mut text, mut attachments) = (String::new(), Vec::new());
        encode_event(name, args, &mut text, &mut attachments)?;
        Self::from_encoded(text, attachments, true)
    }

    fn from_encoded(text: String, attachments: Vec<Bytes>, named: bool) -> Result<Self, EncodeError> {
        // Our own encoder wrote this text, so the check passes; it is here because nothing unchecked ought
        // to get into a `Payload`, and this is not the hot path.
        Self::new(Str::from(text), attachments.into(), named).map_err(EncodeError::new)
    }

    /// The event name; `None` for an acknowledgement. Borrowed unless the name is written with JSON escapes.
    #[must_use]
    pub fn name(&self) -> Option<Cow<'_, str>> {
        self.name_token().map(|token| unquote(token).unwrap_or(Cow::Borrowed(token)))
    }

    /// Whether the name is one that only the library may emit.
    pub(in crate::socket) fn has_reserved_name(&self) -> bool {
        // Nearly all names are told apart by their first letter, or by a backslash, with which any letter can begin.
        let first = self.name_token().and_then(|token| token.as_bytes().get(1));
        matches!(first, Some(b'c' | b'd' | b'n' | b'r' | b'\\'))
            && self.name().is_some_and(|name| super::packet::is_reserved(&name))
    }

    /// Like [`Payload::name`], as a string that shares the payload's memory unless the name has JSON escapes.
    #[must_use]
    pub fn name_str(&self) -> Option<Str> {
        Some(match self.name()? {
            Cow::Owned(name) => Str::from(name),
            Cow::Borrowed(name) => self.text.slice_ref(name),
        })
    }

    /// The whole array as it was sent, with the event name.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The arguments as they were sent: without the event name and the array's brackets, for example
    /// `{"a":1},2`.
    #[must_use]
    pub fn args_text(&self) -> &str {
        // Outside of strings JSON has no white space but its own four characters, so this takes no others.
        let start = if self.name_end == 0 { '[' } else { ',' };
        let args = self.text[self.name_end..].trim_ascii();
        let args = args.strip_suffix(']').unwrap_or(args);
        args.strip_prefix(start).unwrap_or(args).trim_ascii()
    }

    /// Bytes of text and attachments together.
    #[must_use]
    pub fn size(&self) -> usize {
        self.text.len() + self.attachments.as_slice().iter().map(Bytes::len).sum::<usize>()
    }

    /// The attachments that came with the packet.
    #[must_use]
    pub const fn attachments(&self) -> &Attachments {
        &self.attachments
    }

    /// The last argument, if it is a string without escapes.
    pub(in crate::socket) fn last_plain_str(&self) -> Option<&str> {
        let items = self.text.strip_suffix("\"]")?;
        let start = items.rfind('"')? + 1;
        let last = &items[start..];
        // A quote after a comma opens a string, unless both stand in a longer one; then the text before has an odd number of quotes,
        // one of which is escaped, and the quote that was found is not preceded by a bare comma.
        let opens = items[..start - 1].ends_with(',') && start > self.name_end;
        (opens && !last.contains('\\')).then_some(last)
    }

    /// Whether there are no arguments.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.args_text().is_empty()
    }

    /// Reads the arguments.
    ///
    /// Tuples and arrays take the arguments in turn, other types the first; further arguments are ignored. In
    /// place of a missing argument, `Option` gets `None` and `()` is content. Attachments are found wherever
    /// `T` asks for bytes, and handed out as bytes to types that take anything (untagged enums, flattened
    /// structs); note that `serde_json::Value` refuses bytes.
    ///
    /// ```
    /// use sio_proto::socket::Payload;
    ///
    /// let payload = Payload::from_event("join", &("lobby", 3))?;
    /// assert_eq!(payload.text(), r#"["join","lobby",3]"#);
    /// let (room, seat): (&str, u8) = payload.deserialize()?;
    /// assert_eq!((room, seat), ("lobby", 3));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If an argument is missing or not what `T` expects, or refers to an attachment that does not exist.
    pub fn deserialize<'de, T: Deserialize<'de>>(&'de self) -> Result<T, DecodeError> {
        de::deserialize(self)
    }

    /// The text of the name, with quotes if it is a string.
    fn name_token(&self) -> Option<&str> {
        let token = self.text[..self.name_end].trim_ascii_start();
        token.strip_prefix('[').map(str::trim_ascii_start)
    }
}

/// Checks that `text` is one JSON array.
///
/// The outer array is walked here rather than by `IgnoredAny`, which takes note of each array that it is in:
/// that way only nested containers inside of arguments allocate.
fn check_array(text: &str) -> Result<(), PayloadError> {
    struct Items;

    impl<'de> Visitor<'de> for Items {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
            while let Some(IgnoredAny) = items.next_element()? {}
            Ok(())
        }
    }

    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_seq(Items).and_then(|()| json.end()).map_err(|error| {
        if error.is_data() { PayloadError::NotAnArray } else { PayloadError::Json(error.to_string()) }
    })
}

/// Finds the end of the first item of the JSON array `text`, and checks that it is a name.
fn find_name_end(text: &str) -> Result<usize, PayloadError> {
    let item = text.trim_ascii_start().strip_prefix('[').map(str::trim_ascii_start).unwrap_or_default();
    let start = text.len() - item.len();
    let len = match item.as_bytes() {
        [b'"', rest @ ..] => {
            let mut escaped = false;
            let end = rest.iter().position(|&byte| {
                let end = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                end
            });
            end.ok_or(PayloadError::Name)? + 2
        }
        [b'-' | b'0'..=b'9', ..] => item.find([',', ']', ' ', '\t', '\n', '\r']).ok_or(PayloadError::Name)?,
        [b']', ..] => return Err(PayloadError::NoName),
        _ => return Err(PayloadError::Name),
    };
    // The first pass did not decode escapes, and half a surrogate pair is no name.
    unquote(&item[..len]).ok_or(PayloadError::Name)?;
    Ok(start + len)
}

/// The name that a JSON token, string or number, stands for.
fn unquote(token: &str) -> Option<Cow<'_, str>> {
    let Some(inner) = token.strip_prefix('"') else { return Some(Cow::Borrowed(token)) };
    let inner = inner.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(token).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}
