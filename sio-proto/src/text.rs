//! [`Str`]: UTF-8 text that is cut and shared without copying.

use alloc::string::String;
use core::borrow::Borrow;
use core::fmt;
use core::ops::{Deref, RangeBounds};
use core::str::Utf8Error;

use bytes::Bytes;
use bytestring::ByteString;

/// Immutable UTF-8 text in a reference-counted buffer.
///
/// Cloning and slicing share the buffer. A packet that arrived as one WebSocket message is therefore cut into
/// namespace, event name and arguments without a copy.
///
/// ```
/// let packet = sio_proto::Str::from_static("2[\"hello\",1]");
/// assert_eq!(packet.slice(1..), "[\"hello\",1]");
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Str(ByteString);

impl Str {
    /// The empty text.
    #[must_use]
    pub const fn empty() -> Self {
        Self(ByteString::new())
    }

    /// Text that lives in the program itself; never allocates.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self(ByteString::from_static(text))
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A part of the text that shares its buffer.
    ///
    /// # Panics
    /// If the range is out of bounds or does not lie on character boundaries, as for `str`.
    #[must_use]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Self {
        let part = &self.as_str()[(range.start_bound().cloned(), range.end_bound().cloned())];
        Self(self.0.slice_ref(part))
    }

    /// `part`, which must be a part of this text, sharing its buffer.
    ///
    /// # Panics
    /// If `part` does not lie in this text's buffer.
    #[must_use]
    pub fn slice_ref(&self, part: &str) -> Self {
        Self(self.0.slice_ref(part))
    }

    /// The buffer.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0.into_bytes()
    }
}

impl Deref for Str {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Str {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Str {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Self(ByteString::from(text))
    }
}

impl TryFrom<Bytes> for Str {
    type Error = Utf8Error;

    fn try_from(bytes: Bytes) -> Result<Self, Utf8Error> {
        ByteString::try_from(bytes).map(Self)
    }
}

impl From<Str> for Bytes {
    fn from(text: Str) -> Self {
        text.into_bytes()
    }
}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}
