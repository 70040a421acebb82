//! How one client wants to be spoken to.

use alloc::vec::Vec;

use bytes::Bytes;

use super::config::Config;
use super::encoded::{Encoded, Frame};
use super::{base64, eio3};
use crate::Str;

/// The revision of Engine.IO that a client speaks: the `EIO` of its query.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
#[non_exhaustive]
pub enum Revision {
    /// 3: clients of Socket.IO 2. See [`Config::allow_eio3`].
    V3,
    /// 4: clients since Socket.IO 3.
    #[default]
    V4,
}

/// How one client wants to be spoken to. The default is what nearly all clients want: revision 4, bytes as bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Dialect {
    /// The revision.
    pub revision: Revision,
    /// Whether the client's transport takes text only, so that binary messages go to it as base64 (`b64=1`, B8).
    pub base64: bool,
    /// The number of the function that answers to polls call, for a client that polls by JSONP (`j=0`, B57). See
    /// [`Config::jsonp`].
    pub jsonp: Option<u32>,
}

impl Dialect {
    /// Reads a query string; `None` if the client speaks a revision that is not served.
    pub(super) fn parse(config: &Config, query: &str) -> Option<Self> {
        let (mut eio, mut base64, mut jsonp) = (None, false, None);
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "EIO" => eio = Some(value),
                "b64" => base64 = !value.is_empty(),
                "j" if config.jsonp => jsonp = Some(callback(value)),
                _ => {}
            }
        }
        // B13: clients of the time before revisions were told say nothing.
        let revision = match eio {
            Some("4") => Revision::V4,
            Some("3") | None if config.allow_eio3 => Revision::V3,
            _ => return None,
        };
        // A script holds no bytes.
        Some(Self { revision, base64: base64 || jsonp.is_some(), jsonp })
    }

    /// The WebSocket messages of a packet; a single one, if the client wants base64.
    pub(super) fn frames(self, packet: Encoded) -> Encoded {
        match (self.revision, self.base64) {
            (Revision::V4, false) => packet,
            (Revision::V3, false) => eio3::frames(packet),
            (_, true) => match packet.into_parts().0 {
                Frame::Binary(bytes) => {
                    let mut text = Vec::with_capacity(2 + base64::encoded_len(bytes.len()));
                    text.extend_from_slice(if self.revision == Revision::V3 { b"b4" } else { b"b" });
                    base64::encode(&bytes, &mut text);
                    Encoded::from_parts(Str::try_from(Bytes::from(text)).unwrap_or_default(), None)
                }
                Frame::Text(text) => Encoded::from_parts(text, None),
            },
        }
    }
}

/// Nothing but digits: the number becomes a part of a script.
fn callback(value: &str) -> u32 {
    let digits = value.bytes().filter(u8::is_ascii_digit).take(9);
    digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(allow_eio3: bool, jsonp: bool) -> Config {
        Config { allow_eio3, jsonp, ..Config::default() }
    }

    #[test]
    fn b13_revision_3_is_served_if_it_is_allowed() {
        let revision = |allow, query: &str| Dialect::parse(&config(allow, false), query).map(|d| d.revision);
        for allow in [false, true] {
            assert_eq!(revision(allow, "transport=polling&EIO=4"), Some(Revision::V4));
            for query in ["EIO=5", "EIO=", "EIO=33", "EIO=4&EIO=x", "EIO=%33"] {
                assert_eq!(revision(allow, query), None, "{query}");
            }
            for query in ["", "transport=polling", "EIO=3", "EIO=4&EIO=3"] {
                assert_eq!(revision(allow, query), allow.then_some(Revision::V3), "{query}");
            }
        }
    }

    #[test]
    fn b57_the_callback_is_a_number() {
        let dialect = |jsonp, query: &str| Dialect::parse(&config(true, jsonp), query).unwrap();
        for (query, number) in [("j=0", 0), ("j=12", 12), ("j=0a7);alert(1", 71), ("j=", 0), ("j", 0)] {
            assert_eq!(dialect(false, query).jsonp, None, "not asked for, so it is somebody else's field");
            assert_eq!(
                (dialect(true, query).jsonp, dialect(true, query).base64),
                (Some(number), true),
                "{query}"
            );
        }
        assert_eq!(dialect(true, "j=99999999999").jsonp, Some(999_999_999));
        assert!(
            dialect(true, "b64=1").base64 && dialect(true, "b64=0").base64 && !dialect(true, "b64=").base64
        );
    }
}
