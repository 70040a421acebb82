//! Looks for placeholders that refer to no attachment (B90), and for more of them than there are attachments, before anybody uses or
//! forwards the payload: encoders number each occurrence, and what stands for the same bytes very often would be very large when it is
//! sent on.

use alloc::borrow::Cow;
use alloc::string::String;
use core::cell::Cell;
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Checks that every object with `"_placeholder": true` has the number of one of `count` attachments, and that there are no more of
/// them than that.
pub(super) fn placeholders(text: &str, count: usize) -> Result<(), serde_json::Error> {
    let left = Cell::new(count);
    Check { count, left: &left }.deserialize(&mut serde_json::Deserializer::from_str(text)).map(|_| ())
}

/// Walks through any JSON value.
#[derive(Clone, Copy)]
struct Check<'a> {
    count: usize,
    /// How many more there may be.
    left: &'a Cell<usize>,
}

/// What a value is, as far as a placeholder's fields are concerned.
enum Seen {
    True,
    Number(u64),
    Other,
}

impl<'de> DeserializeSeed<'de> for Check<'_> {
    type Value = Seen;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Seen, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check<'_> {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Seen, E> {
        Ok(if value { Seen::True } else { Seen::Other })
    }

    fn visit_u64<E>(self, value: u64) -> Result<Seen, E> {
        Ok(Seen::Number(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_unit<E>(self) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Seen, A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(Seen::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Seen, A::Error> {
        // As in JavaScript, the last of several equal keys counts.
        let (mut placeholder, mut number) = (false, None);
        while let Some(key) = map.next_key_seed(Key)? {
            let value = map.next_value_seed(self)?;
            match &*key {
                "_placeholder" => placeholder = matches!(value, Seen::True),
                "num" => number = if let Seen::Number(number) = value { Some(number) } else { None },
                _ => {}
            }
        }
        if placeholder {
            if number.is_none_or(|number| number >= self.count as u64) {
                return Err(A::Error::custom("placeholder without an attachment"));
            }
            let left = self.left.get().checked_sub(1);
            self.left.set(left.ok_or_else(|| A::Error::custom("more placeholders than attachments"))?);
        }
        Ok(Seen::Other)
    }
}

/// An object's key, borrowed unless it is written with escapes.
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
mod tests {
    use super::*;

    #[test]
    fn placeholders_must_refer_to_an_attachment() {
        for good in [
            r#"["e"]"#,
            r#"[{"_placeholder":true,"num":0},{"num":1,"_placeholder":true}]"#,
            r#"["e",{"a":[{"_placeholder":true,"num":1,"x":null}]}]"#,
            r#"["e",{"_placeholder":false,"num":7},{"num":"x"},{"_placeholder":1}]"#,
            r#"["e",{"num":9,"num":1,"_placeholder":true}]"#,
        ] {
            assert!(placeholders(good, 2).is_ok(), "{good}");
        }
        for bad in ["2", "-1", "0.5", "1e9", "\"0\"", "null", "true", "[]", "{}"] {
            let text = alloc::format!(r#"["e",{{"deep":[{{"_placeholder":true,"num":{bad}}}]}}]"#);
            assert!(placeholders(&text, 2).is_err(), "{bad}");
        }
        assert!(placeholders(r#"["e",{"_placeholder":true}]"#, 2).is_err());
        let twice = r#"["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#;
        assert!(placeholders(twice, 2).is_ok(), "odd, but no more than if each were named once");
        assert!(placeholders(twice, 1).is_err());
        assert!(placeholders(r#"["e",{"_place\u0068older":true}]"#, 2).is_err(), "written with escapes");
    }
}
