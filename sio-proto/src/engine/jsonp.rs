//! Polling by JSONP (B57): answers are scripts, bodies of POSTs are forms.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::dialect::Dialect;
use super::response::Response;

/// The answer to a poll: `payload`, which is text, as a script if the client polls by JSONP.
pub(super) fn respond(payload: Vec<u8>, dialect: Dialect) -> Response {
    match dialect.jsonp {
        None => Response::payload(payload.into()),
        Some(callback) => Response::script(script(callback, &payload).into()),
    }
}

/// `___eio[j]("…");`
fn script(callback: u32, payload: &[u8]) -> String {
    let text = core::str::from_utf8(payload).unwrap_or_default();
    let text = serde_json::to_string(text).unwrap_or_default();
    // JSON allows these two inside of strings, and JavaScript did not always.
    let text = text.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    alloc::format!("___eio[{callback}]({text});")
}

/// The payload in a form: its field `d`. `None` if there is none, or more than one.
pub(super) fn payload(form: &[u8]) -> Option<Bytes> {
    let mut fields = form_urlencoded::parse(form).filter(|(name, _)| name == "d");
    match (fields.next(), fields.next()) {
        (Some((_, text)), None) => Some(unescape(text.as_bytes())),
        _ => None,
    }
}

/// Browsers change line feeds in forms, so the client writes `\n` for one, and `\\n` for a `\n` that is there.
fn unescape(text: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let (put, taken): (&[u8], _) = match rest {
            [b'\\', b'\\', b'n', ..] => (b"\\n", 3),
            [b'\\', b'n', ..] => (b"\n", 2),
            _ => (b"\\", 1),
        };
        out.extend_from_slice(put);
        rest = &rest[taken..];
    }
    out.extend_from_slice(rest);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the client does before it submits the form; the first step is its own, with a line feed as a mark.
    fn escape(text: &str) -> String {
        text.replace("\\n", "\\\n").replace('\n', "\\n")
    }

    fn form(text: &str) -> String {
        form_urlencoded::Serializer::new(String::new()).append_pair("d", text).finish()
    }

    proptest! {
        #[test]
        fn forms_round_trip(text in "([a-n\\\\é🎉 +&=%\u{1e}:]|\\\\n)*") {
            // A backslash before a true line feed is the one thing that the client's way does not keep; JSON has none.
            let posted = payload(form(&escape(&text)).as_bytes());
            prop_assert_eq!(posted.as_deref(), Some(text.as_bytes()));
        }

        #[test]
        fn any_body_is_a_payload_or_none(body in any::<Vec<u8>>()) {
            let _ = payload(&body);
        }
    }

    #[test]
    fn b57_line_feeds_are_escaped_twice() {
        let posted =
            |body: &str| payload(body.as_bytes()).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        // What engine.io-client 3.5 posts for `4` + a line feed + `x`, and for `4"\n"` with an escaped one.
        assert_eq!(posted("d=3%3A4%5Cnx").as_deref(), Some("3:4\nx"));
        assert_eq!(posted("d=5%3A4%22%5C%5Cn%22").as_deref(), Some("5:4\"\\n\""));
        assert_eq!(posted("d=a+b%2Bc").as_deref(), Some("a b+c"));
        assert_eq!(posted("x=1&d=").as_deref(), Some(""));
        for body in ["", "x=1", "d=1&d=2"] {
            assert_eq!(posted(body), None, "{body}");
        }
    }

    #[test]
    fn b57_the_script_is_safe_for_old_browsers() {
        assert_eq!(
            script(7, "4\u{2028}\u{2029}\"\\\n\u{1e}é".as_bytes()),
            "___eio[7](\"4\\u2028\\u2029\\\"\\\\\\n\\u001eé\");"
        );
    }
}
