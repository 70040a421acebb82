use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::{format, vec};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;

mod binary;
mod encode;
mod properties;

fn attachments(count: u8) -> Attachments {
    (0..count).map(|i| Bytes::copy_from_slice(&[i; 3])).collect::<Vec<_>>().into()
}

fn event(text: &str) -> Payload {
    Payload::new(Str::from(text.to_owned()), Attachments::default(), true).unwrap()
}

fn ack(text: &str) -> Payload {
    Payload::new(Str::from(text.to_owned()), Attachments::default(), false).unwrap()
}

/// An acknowledgement with `count` attachments, each its number three times. Its placeholders are not checked, so that it is
/// seen what deserialising makes of bad ones.
fn with_binary(text: &str, count: u8) -> Payload {
    Payload { text: Str::from(text.to_owned()), attachments: attachments(count), name_end: 0 }
}

fn decode<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, String> {
    ack(text).deserialize().map_err(|error| error.to_string())
}

fn encode<A: Args + ?Sized>(args: &A) -> (String, Vec<Bytes>) {
    let (mut text, mut attachments) = (String::new(), Vec::new());
    encode_event("x", args, &mut text, &mut attachments).unwrap();
    (text, attachments)
}

fn refused(text: &str, named: bool) -> PayloadError {
    Payload::new(Str::from(text.to_owned()), Attachments::default(), named).unwrap_err()
}

#[test]
fn empty_attachments_are_no_attachments() {
    assert_eq!(Attachments::from(Vec::new()), Attachments::default());
    assert!(Attachments::from(Vec::new()).is_empty());
    assert_eq!(Attachments::default().as_slice(), &[] as &[Bytes]);
    assert_eq!((attachments(2).len(), attachments(2).is_empty()), (2, false));
    assert_eq!(attachments(2).as_slice()[1], [1; 3][..]);
}

#[test]
fn what_is_not_a_payload_is_refused() {
    for text in
        ["", " ", "[", "[1", "[1,]", "[1 2]", "[1]]", "[1],", "[\"\u{1}\"]", "[\"\\x\"]", "[01]", "[nul]"]
    {
        assert!(matches!(refused(text, false), PayloadError::Json(_)), "{text}");
    }
    assert_eq!(refused("[1,]", false).to_string(), "not JSON: trailing comma at line 1 column 4");
    for text in ["{}", "1", "\"a\"", "null", "{\"a\":[1]}"] {
        assert_eq!(refused(text, false), PayloadError::NotAnArray, "{text}");
    }
    for text in ["[]", " [ ] "] {
        assert_eq!(refused(text, true), PayloadError::NoName, "{text}");
    }
    for text in ["[null]", "[[\"a\"]]", "[{}]", "[true]", "[\"\\ud800\"]"] {
        assert_eq!(refused(text, true), PayloadError::Name, "{text}");
    }
}

#[test]
fn name_and_arguments_are_found_in_the_text() {
    let cases = [
        (r#"["a"]"#, "a", ""),
        (r#"["a",1,{"b":2}]"#, "a", r#"1,{"b":2}"#),
        (r#"["",","]"#, "", r#"",""#),
        (" [\t\"a\" ,\n1 , [ ] ]\r", "a", "1 , [ ]"),
        (r#"["a]","]"]"#, "a]", r#""]""#),
        (r#"["ü€😀",1]"#, "ü€😀", "1"),
        ("[7]", "7", ""),
        ("[-1.5e3 ,2]", "-1.5e3", "2"),
        (r#"["a\"b",1]"#, "a\"b", "1"),
        (r#"["\\",1]"#, "\\", "1"),
        (r#"["\\\"" , 1]"#, "\\\"", "1"),
        (r#"["\u0061\ud83d\ude00"]"#, "a😀", ""),
    ];
    for (text, name, args) in cases {
        let payload = event(text);
        assert_eq!(payload.name().unwrap(), name, "{text}");
        assert_eq!(&*payload.name_str().unwrap(), name, "{text}");
        assert_eq!(payload.args_text(), args, "{text}");
        assert_eq!(payload.is_empty(), args.is_empty(), "{text}");
        assert_eq!(payload.text(), text);
        assert_eq!(matches!(payload.name(), Some(Cow::Owned(_))), text.contains('\\'), "{text}");
    }
    let payload = event(r#"["name",1]"#);
    assert_eq!(payload.name_str().unwrap().as_ptr(), payload.text()[2..].as_ptr(), "shared");
}

#[test]
fn acks_have_no_name() {
    for (text, args) in [("[]", ""), (" [ ] ", ""), ("[1,2]", "1,2"), (r#"["a"]"#, r#""a""#), ("[[]]", "[]")]
    {
        assert_eq!(ack(text).args_text(), args);
        assert_eq!((ack(text).name(), ack(text).name_str()), (None, None));
    }
    assert_eq!(decode::<(u8, u8)>("[1,2]"), Ok((1, 2)));
    assert_eq!(decode::<u8>("[1,2]"), Ok(1));
}

#[test]
fn tuples_take_all_arguments_and_others_the_first() {
    #[derive(Deserialize, PartialEq, Debug)]
    struct Point(u8, u8);
    #[derive(Deserialize, PartialEq, Debug)]
    struct Wrap<T>(T);
    #[derive(Deserialize, PartialEq, Debug)]
    struct Nothing;

    let payload = event(r#"["x",1,2,[3,4]]"#);
    assert_eq!(payload.deserialize(), Ok((1, 2, vec![3, 4])));
    assert_eq!(payload.deserialize(), Ok((1, 2)), "further ones are ignored");
    assert_eq!(payload.deserialize(), Ok([1, 2]));
    assert_eq!(payload.deserialize(), Ok(Point(1, 2)));
    assert_eq!(payload.deserialize(), Ok(Wrap((1, 2, (3, 4)))), "inside, a tuple is a list");
    assert_eq!(payload.deserialize(), Ok(Wrap(1)));
    assert_eq!(payload.deserialize(), Ok(1));
    assert_eq!(payload.deserialize(), Ok((1,)));
    assert_eq!(payload.deserialize(), Ok(Some(1)));
    assert_eq!(payload.deserialize::<Value>(), Ok(json!(1)));
    assert_eq!(payload.deserialize::<()>(), Ok(()));
    assert_eq!(payload.deserialize(), Ok(Nothing));
    assert_eq!(payload.deserialize::<IgnoredAny>(), Ok(IgnoredAny));
    assert_eq!(event(r#"["x",[1,2],3]"#).deserialize(), Ok(vec![1, 2]));
    assert_eq!(
        event(r#"["x",[1,2],3]"#).deserialize(),
        Ok(Some((1, 2))),
        "an optional tuple is one argument"
    );
    assert_eq!(event(r#"["x", "a" , null]"#).deserialize(), Ok(("a", None::<u8>)), "borrowed");
}

#[test]
fn a_tuple_ends_where_it_said() {
    /// Asks for two elements, and takes all it can get.
    #[derive(PartialEq, Debug)]
    struct Greedy(Vec<Option<u8>>);

    impl<'de> Deserialize<'de> for Greedy {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct All;
            impl<'de> Visitor<'de> for All {
                type Value = Greedy;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("numbers")
                }
                fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Greedy, A::Error> {
                    let mut all = Vec::new();
                    while let Some(item) = seq.next_element()? {
                        all.push(item);
                        assert!(all.len() + seq.size_hint().unwrap() == 2);
                    }
                    Ok(Greedy(all))
                }
            }
            deserializer.deserialize_tuple(2, All)
        }
    }

    assert_eq!(ack("[1,2,3]").deserialize(), Ok(Greedy(vec![Some(1), Some(2)])));
    assert_eq!(ack("[1]").deserialize(), Ok(Greedy(vec![Some(1), None])));
}

#[test]
fn missing_arguments() {
    #[derive(Deserialize, PartialEq, Debug)]
    struct Wrap<T>(T);

    for payload in [event(r#"["x"]"#), ack("[]")] {
        assert_eq!(payload.deserialize::<()>(), Ok(()));
        assert_eq!(payload.deserialize::<Option<u8>>(), Ok(None));
        assert_eq!(payload.deserialize::<Wrap<Option<u8>>>(), Ok(Wrap(None)));
        assert_eq!(payload.deserialize::<(Option<u8>, (), Option<u8>)>(), Ok((None, (), None)));
        assert_eq!(payload.deserialize::<u8>(), Err(DecodeError::Missing { argument: 1 }));
        assert_eq!(payload.deserialize::<Vec<u8>>(), Err(DecodeError::Missing { argument: 1 }));
        assert_eq!(payload.deserialize::<(u8,)>(), Err(DecodeError::Missing { argument: 1 }));
        assert_eq!(payload.deserialize::<Value>(), Err(DecodeError::Missing { argument: 1 }));
    }
    let payload = event(r#"["x",1]"#);
    assert_eq!(payload.deserialize(), Ok((1, None::<u8>)));
    assert_eq!(payload.deserialize(), Ok((1, Wrap(None::<u8>))));
    assert_eq!(payload.deserialize::<(u8, u8)>(), Err(DecodeError::Missing { argument: 2 }));
    assert_eq!(payload.deserialize::<(u8, Option<u8>, [u8; 1])>(), Err(DecodeError::Missing { argument: 3 }));
    assert_eq!(
        with_binary("[1]", 1).deserialize::<(u8, Bytes)>().unwrap_err().to_string(),
        "argument 2: missing",
        "also with attachments"
    );
}

#[test]
fn wrong_arguments_are_named() {
    assert_eq!(decode::<u8>(r#"["a"]"#), Err("argument 1: invalid type: string \"a\", expected u8".into()));
    assert_eq!(
        decode::<(u8, u8)>("[1,-1]"),
        Err("argument 2: invalid value: integer `-1`, expected u8".into())
    );
    assert_eq!(
        decode::<(u8, u8)>("[256]"),
        Err("argument 1: invalid value: integer `256`, expected u8".into())
    );
    assert!(decode::<String>(r#"["\ud800"]"#).unwrap_err().starts_with("argument 1: "));
    let error = with_binary("[[],null]", 1).deserialize::<(IgnoredAny, Bytes)>().unwrap_err();
    assert_eq!(error.to_string(), "argument 2: invalid type: null, expected byte array");
}

#[test]
fn deep_nesting_is_refused() {
    #[derive(Deserialize, Debug)]
    #[serde(untagged)]
    enum Deep {
        List(#[expect(dead_code, reason = "only its depth matters")] Vec<Self>),
    }
    #[derive(Deserialize, Debug)]
    struct List(#[expect(dead_code, reason = "only its depth matters")] Vec<Self>);

    let nested = |depth| format!("[{}{}]", "[".repeat(depth), "]".repeat(depth));
    for count in [0, 1] {
        for depth in [128, 1000, 100_000] {
            let payload = with_binary(&nested(depth), count);
            for error in [
                payload.deserialize::<Value>().unwrap_err(),
                payload.deserialize::<List>().unwrap_err(),
                payload.deserialize::<(List,)>().unwrap_err(),
                payload.deserialize::<Deep>().unwrap_err(),
            ] {
                assert!(error.to_string().contains("recursion limit"), "{error}");
            }
        }
        with_binary(&nested(100), count).deserialize::<List>().unwrap();
        with_binary(&nested(100), count).deserialize::<(List,)>().unwrap();
    }
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
enum Shape {
    Unit,
    Newtype(Bytes),
    Tuple(u8, Bytes),
    Struct { data: Bytes },
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct Everything {
    id: u32,
    data: Bytes,
    list: Vec<Bytes>,
    map: BTreeMap<String, Bytes>,
    numbered: BTreeMap<u8, Bytes>,
    maybe: Option<Bytes>,
    pair: (Bytes, f64),
    shapes: Vec<Shape>,
    #[serde(flatten)]
    flat: Flat,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct Flat {
    more: Bytes,
    any: Untagged,
    tagged: Tagged,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[serde(untagged)]
enum Untagged {
    Number(u32),
    Data(Bytes),
    Map(BTreeMap<String, Bytes>),
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[serde(tag = "type")]
enum Tagged {
    A { data: Option<Bytes> },
}

#[test]
fn errors_are_errors() {
    fn check<E: core::error::Error + Clone + PartialEq + Send + Sync + 'static>() {}
    check::<PayloadError>();
    check::<DecodeError>();
    check::<EncodeError>();
}
