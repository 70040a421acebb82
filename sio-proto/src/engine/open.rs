//! The handshake: what the `0` packet says.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use serde_json::{Map, Value};

use super::config::Transport;
use crate::Str;

/// Longest handshake that is read, in bytes; usual ones have a hundred.
const MAX_LEN: usize = 64 << 10;

/// Longest session id that is accepted, in bytes: it becomes a part of every URL.
const MAX_SID: usize = 512;

/// Longest interval or timeout that is accepted, in milliseconds: 24 days. More does not fit the timers of JavaScript.
const MAX_MILLIS: u64 = 1 << 31;

/// What a server says when it opens a session.
#[derive(Clone, PartialEq, Eq)]
pub struct Open {
    /// The session's id: a secret between the two.
    pub sid: Str,
    /// Transports that the session may move to. Names that this library does not know are left out.
    pub upgrades: Vec<Transport>,
    /// From the end of one heartbeat to the next ping.
    pub ping_interval: Duration,
    /// How long the answer to a ping may take.
    pub ping_timeout: Duration,
    /// Largest message or POST body that the server takes, in bytes; `usize::MAX` if it does not say.
    pub max_payload: usize,
}

/// Why a handshake cannot be understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The first packet is another one.
    #[error("the first packet is not a handshake")]
    Missing,
    /// It is longer than any handshake should be.
    #[error("handshake is longer than {MAX_LEN} bytes")]
    TooLong,
    /// It is not a JSON object.
    #[error("handshake is not a JSON object")]
    NotAnObject,
    /// A field is missing, has the wrong type, or a value out of bounds.
    #[error("{name:?} of the handshake is missing or not valid")]
    Field {
        /// The field's name.
        name: &'static str,
    },
}

impl Open {
    /// Reads the content of a `0` packet.
    ///
    /// # Errors
    /// [`HandshakeError`] tells what is wrong. Fields that are not known are ignored.
    pub fn parse(json: &str) -> Result<Self, HandshakeError> {
        if json.len() > MAX_LEN {
            return Err(HandshakeError::TooLong);
        }
        let fields: Map<String, Value> =
            serde_json::from_str(json).map_err(|_| HandshakeError::NotAnObject)?;
        let sid = fields.get("sid").and_then(Value::as_str).filter(|sid| (1..=MAX_SID).contains(&sid.len()));
        Ok(Self {
            sid: sid.ok_or(HandshakeError::Field { name: "sid" })?.into(),
            upgrades: upgrades(&fields).ok_or(HandshakeError::Field { name: "upgrades" })?,
            ping_interval: millis(&fields, "pingInterval")?,
            ping_timeout: millis(&fields, "pingTimeout")?,
            max_payload: max_payload(&fields).ok_or(HandshakeError::Field { name: "maxPayload" })?,
        })
    }

    /// The whole `0` packet. B12: exactly these five keys.
    pub(super) fn packet(&self) -> Str {
        let upgrades: Vec<_> = self.upgrades.iter().map(|transport| transport.name()).collect();
        Str::from(format!(
            r#"0{{"sid":{},"upgrades":{},"pingInterval":{},"pingTimeout":{},"maxPayload":{}}}"#,
            Value::from(self.sid.as_str()),
            Value::from(upgrades),
            self.ping_interval.as_millis(),
            self.ping_timeout.as_millis(),
            self.max_payload,
        ))
    }
}

impl fmt::Debug for Open {
    /// Shows the first four characters of the id only, as [`Sid`](crate::Sid) does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sid: String = self.sid.chars().take(4).chain(['…']).collect();
        f.debug_struct("Open")
            .field("sid", &sid)
            .field("upgrades", &self.upgrades)
            .field("ping_interval", &self.ping_interval)
            .field("ping_timeout", &self.ping_timeout)
            .field("max_payload", &self.max_payload)
            .finish()
    }
}

fn upgrades(fields: &Map<String, Value>) -> Option<Vec<Transport>> {
    let mut known = Vec::new();
    for name in fields.get("upgrades")?.as_array()? {
        match Transport::from_name(name.as_str()?) {
            Some(transport) if !known.contains(&transport) => known.push(transport),
            _ => {}
        }
    }
    Some(known)
}

fn millis(fields: &Map<String, Value>, name: &'static str) -> Result<Duration, HandshakeError> {
    let millis = fields.get(name).and_then(Value::as_u64).filter(|millis| (1..=MAX_MILLIS).contains(millis));
    millis.map(Duration::from_millis).ok_or(HandshakeError::Field { name })
}

/// Old servers do not say it, and 0 means the same to the reference.
fn max_payload(fields: &Map<String, Value>) -> Option<usize> {
    match fields.get("maxPayload") {
        None => Some(usize::MAX),
        Some(value) => match value.as_u64()? {
            0 => Some(usize::MAX),
            bytes => Some(usize::try_from(bytes).unwrap_or(usize::MAX)),
        },
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    const USUAL: &str = r#"{"sid":"a/b","upgrades":["webtransport","websocket","websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

    #[test]
    fn b12_a_handshake_is_read_and_written() {
        let open = Open::parse(USUAL).unwrap();
        assert_eq!(open.sid, "a/b");
        assert_eq!(open.upgrades, [Transport::WebSocket], "unknown names and repetitions are left out");
        assert_eq!((open.ping_interval.as_secs(), open.ping_timeout.as_secs()), (25, 20));
        assert_eq!(open.max_payload, 1_000_000);
        assert_eq!(Open::parse(&open.packet()[1..]), Ok(open.clone()));
        let odd = Open { sid: "\"\\\n\u{1e}é".into(), upgrades: vec![], ..open };
        assert_eq!(Open::parse(&odd.packet()[1..]), Ok(odd));
    }

    #[test]
    fn old_servers_do_not_say_how_much_they_take() {
        for text in ["", r#","maxPayload":0"#, r#","maxPayload":18446744073709551615"#] {
            let json = USUAL.replace(r#","maxPayload":1000000"#, text);
            assert_eq!(Open::parse(&json).unwrap().max_payload, usize::MAX, "{json}");
        }
    }

    #[test]
    fn each_field_is_checked_and_named() {
        let long = alloc::format!("\"{}\"", "x".repeat(MAX_SID + 1));
        for (name, usual, bad) in [
            ("sid", r#""a/b""#, &["1", "null", r#""""#, &long][..]),
            (
                "upgrades",
                r#"["webtransport","websocket","websocket"]"#,
                &["1", "null", r#""websocket""#, "[1]", "{}"],
            ),
            ("pingInterval", "25000", &["0", "-1", "1.5", r#""1""#, "null", "2147483649", "1e99"]),
            ("pingTimeout", "20000", &["0", "-1", "1.5", r#""1""#, "null", "2147483649"]),
            ("maxPayload", "1000000", &["-1", "1.5", r#""1""#, "null", "[]"]),
        ] {
            let field = alloc::format!("\"{name}\":{usual}");
            assert!(USUAL.contains(&field), "{field}");
            for bad in bad {
                let json = USUAL.replace(&field, &alloc::format!("\"{name}\":{bad}"));
                assert_eq!(Open::parse(&json), Err(HandshakeError::Field { name }), "{json}");
            }
            if name != "maxPayload" {
                let json = USUAL.replace(&field, "\"x\":1");
                assert_eq!(Open::parse(&json), Err(HandshakeError::Field { name }), "{json}");
            }
        }
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        for json in ["", "[]", "null", "{", "\"x\"", "{}x"] {
            assert_eq!(Open::parse(json), Err(HandshakeError::NotAnObject), "{json}");
        }
        let deep = "[".repeat(10_000);
        assert_eq!(Open::parse(&deep), Err(HandshakeError::NotAnObject));
        assert_eq!(Open::parse(&" ".repeat(MAX_LEN + 1)), Err(HandshakeError::TooLong));
    }

    #[test]
    fn the_id_is_not_shown() {
        let mut open = Open::parse(USUAL).unwrap();
        open.sid = "secretsecret".into();
        assert!(!alloc::format!("{open:?}").contains("secrets"));
    }
}
