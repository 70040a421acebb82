use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{borrow::ToOwned, vec};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;

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

/// An acknowledgement with `count` attachments, each its number three times.
fn binary(text: &str, count: u8) -> Payload {
    Payload::new(Str::from(text.to_owned()), attachments(count), false).unwrap()
}

fn decode<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, String> {
    ack(text).deserialize().map_err(|error| error.to_string())
}

fn encode<A: Args + ?Sized>(args: &A) -> (String, Vec<Bytes>) {
    let (mut text, mut attachments) = (Vec::new(), Vec::new());
    encode_event("x", args, &mut text, &mut attachments).unwrap();
    (String::from_utf8(text).unwrap(), attachments)
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
    for text in ["", " ", "[", "[1", "[1,]", "[1 2]", "[1]]", "[1],", "[\"\u{1}\"]", "[\"\\x\"]", "[01]", "[nul]"] {
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
        (r#"[7]"#, "7", ""),
        (r#"[-1.5e3 ,2]"#, "-1.5e3", "2"),
        (r#"["a\"b",1]"#, "a\"b", "1"),
        (r#"["\\",1]"#, "\\", "1"),
        (r#"["\\\"" , 1]"#, "\\\"", "1"),
        (r#"["\u0061\ud83d\ude00"]"#, "a😀", ""),
        (r#"["a","b"],"#.trim_end_matches(','), "a", r#""b""#),
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
    for (text, args) in [("[]", ""), (" [ ] ", ""), ("[1,2]", "1,2"), (r#"["a"]"#, r#""a""#), ("[[]]", "[]")] {
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
    assert_eq!(event(r#"["x",[1,2],3]"#).deserialize(), Ok(Some((1, 2))), "an optional tuple is one argument");
    assert_eq!(event(r#"["x", "a" , null]"#).deserialize(), Ok(("a", None::<u8>)), "borrowed");
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
        binary("[1]", 1).deserialize::<(u8, Bytes)>().unwrap_err().to_string(),
        "argument 2: missing",
        "also with attachments"
    );
}

#[test]
fn wrong_arguments_are_named() {
    assert_eq!(decode::<u8>(r#"["a"]"#), Err("argument 1: invalid type: string \"a\", expected u8".into()));
    assert_eq!(decode::<(u8, u8)>("[1,-1]"), Err("argument 2: invalid value: integer `-1`, expected u8".into()));
    assert_eq!(decode::<(u8, u8)>("[256]"), Err("argument 1: invalid value: integer `256`, expected u8".into()));
    assert!(decode::<String>(r#"["\ud800"]"#).unwrap_err().starts_with("argument 1: "));
    let error = binary("[[],null]", 1).deserialize::<(IgnoredAny, Bytes)>().unwrap_err();
    assert_eq!(error.to_string(), "argument 2: invalid type: null, expected byte array");
}

#[test]
fn deep_nesting_is_refused() {
    #[derive(Deserialize, Debug)]
    #[serde(untagged)]
    enum Deep {
        List(#[expect(dead_code, reason = "only its depth matters")] Vec<Deep>),
    }
    #[derive(Deserialize, Debug)]
    struct List(#[expect(dead_code, reason = "only its depth matters")] Vec<List>);

    let nested = |depth| format!("[{}{}]", "[".repeat(depth), "]".repeat(depth));
    for count in [0, 1] {
        for depth in [128, 1000, 100_000] {
            let payload = binary(&nested(depth), count);
            for error in [
                payload.deserialize::<Value>().unwrap_err(),
                payload.deserialize::<List>().unwrap_err(),
                payload.deserialize::<(List,)>().unwrap_err(),
                payload.deserialize::<Deep>().unwrap_err(),
            ] {
                assert!(error.to_string().contains("recursion limit"), "{error}");
            }
        }
        binary(&nested(100), count).deserialize::<List>().unwrap();
        binary(&nested(100), count).deserialize::<(List,)>().unwrap();
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
fn bytes_are_found_wherever_they_are_asked_for() {
    let p = |n: u8| format!(r#"{{"_placeholder":true,"num":{n}}}"#);
    let b = |n: u8| Bytes::copy_from_slice(&[n; 3]);
    let text = format!(
        r#"[{{"id":1,"data":{},"list":[{},{}],"map":{{"a":{}}},"numbered":{{"7":{}}},"maybe":{},"pair":[{},1.5],"shapes":["Unit",{{"Newtype":{}}},{{"Tuple":[2,{}]}},{{"Struct":{{"data":{}}}}}],"more":{},"any":{},"tagged":{{"type":"A","data":{}}}}}]"#,
        p(0), p(1), p(2), p(3), p(4), p(5), p(6), p(7), p(8), p(9), p(10), p(11), p(12),
    );
    let value = Everything {
        id: 1,
        data: b(0),
        list: vec![b(1), b(2)],
        map: [("a".into(), b(3))].into(),
        numbered: [(7, b(4))].into(),
        maybe: Some(b(5)),
        pair: (b(6), 1.5),
        shapes: vec![
            Shape::Unit,
            Shape::Newtype(b(7)),
            Shape::Tuple(2, b(8)),
            Shape::Struct { data: b(9) },
        ],
        flat: Flat { more: b(10), any: Untagged::Data(b(11)), tagged: Tagged::A { data: Some(b(12)) } },
    };
    let payload = binary(&text, 13);
    assert_eq!(payload.deserialize().as_ref(), Ok(&value));
    assert_eq!(payload.deserialize::<(Everything,)>().unwrap().0, value);
    assert_eq!(Payload::from_args(&value).unwrap(), payload);
}

#[test]
fn bytes_at_the_top() {
    let payload = binary(r#"[{"_placeholder":true,"num":1},{"num":0,"_placeholder":true}]"#, 2);
    let (a, b) = (Bytes::from_static(&[1; 3]), Bytes::from_static(&[0; 3]));
    assert_eq!(payload.deserialize(), Ok((a.clone(), b)));
    assert_eq!(payload.deserialize(), Ok(a.clone()));
    assert_eq!(payload.deserialize(), Ok(Some(a.clone())));
    assert_eq!(payload.deserialize(), Ok(Untagged::Data(a)));
    assert_eq!(payload.deserialize(), Ok(&[1_u8; 3][..]), "borrowed");
    assert_eq!(payload.deserialize(), Ok(([1_u8; 3].as_slice(), None::<u8>.is_some().then_some(0_u8))).or(
        // The second argument is an object, which is no number.
        payload.deserialize::<(&[u8], IgnoredAny)>().map(|(bytes, _)| (bytes, None))
    ));
}

#[test]
fn hostile_placeholders_are_errors() {
    let cases = [
        (r#"{"_placeholder":true,"num":2}"#, "attachment 2 of 2 does not exist"),
        (r#"{"_placeholder":true,"num":18446744073709551615}"#, "attachment 18446744073709551615 of 2 does not exist"),
        (r#"{"_placeholder":true,"num":18446744073709551616}"#, "invalid type: floating point"),
        (r#"{"_placeholder":true,"num":-1}"#, "invalid value: integer `-1`, expected u64"),
        (r#"{"_placeholder":true,"num":0.5}"#, "invalid type: floating point `0.5`, expected u64"),
        (r#"{"_placeholder":true,"num":1.0}"#, "invalid type: floating point `1.0`, expected u64"),
        (r#"{"_placeholder":true,"num":1e0}"#, "invalid type: floating point `1.0`, expected u64"),
    ];
    let only_for_bytes = [
        (r#"{"_placeholder":true,"num":"0"}"#, "invalid type: string \"0\", expected u64"),
        (r#"{"_placeholder":false,"num":0}"#, "`_placeholder` is not true"),
        (r#"{"_placeholder":1,"num":0}"#, "invalid type: integer `1`, expected a boolean"),
        (r#"{"_placeholder":true}"#, "missing field `num`"),
        (r#"{"num":0}"#, "missing field `_placeholder`"),
        (r#"{}"#, "missing field `_placeholder`"),
        ("1", "invalid type: integer `1`, expected byte array"),
    ];
    let contains = |error: Result<(), DecodeError>, text: &str| {
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("argument 1: ") && error.contains(text), "{error} / {text}");
    };
    for (text, error) in cases.iter().chain(&only_for_bytes) {
        let payload = binary(&format!("[{text}]"), 2);
        contains(payload.deserialize::<Bytes>().map(drop), error);
        contains(payload.deserialize::<(Option<Bytes>,)>().map(drop), error);
        contains(binary(&format!("[[{text}]]"), 2).deserialize::<Vec<Bytes>>().map(drop), error);
    }
    for (text, error) in cases {
        contains(binary(&format!("[{text}]"), 2).deserialize::<properties::Dyn>().map(drop), error);
    }
    // Without attachments a placeholder is an object like others, and no bytes.
    let payload = ack(r#"[{"_placeholder":true,"num":0}]"#);
    contains(payload.deserialize::<Bytes>().map(drop), "invalid type: map");
    assert_eq!(payload.deserialize::<Value>(), Ok(json!({"_placeholder": true, "num": 0})));
}

#[test]
fn objects_that_are_no_placeholders_stay_what_they_are() {
    for text in [
        r#"{}"#,
        r#"{"a":1}"#,
        r#"{"_placeholder":false,"num":0}"#,
        r#"{"_placeholder":true}"#,
        r#"{"_placeholder":true,"num":"0"}"#,
        r#"{"_placeholder":true,"num":null}"#,
        r#"{"_placeholder":true,"num":0,"more":0}"#,
        r#"{"_placeholder":true,"x":0,"num":0}"#,
        r#"{"_placeholder":{"b":[1],"a":{"_placeholder":1}},"num":0}"#,
        r#"{"num":0,"_placeholder":true}"#,
        r#"{"a\nb":1,"c":2}"#,
    ] {
        let array = format!("[{text}]");
        assert_eq!(binary(&array, 1).deserialize::<Value>(), ack(&array).deserialize::<Value>(), "{text}");
        assert_eq!(
            binary(&array, 1).deserialize::<properties::Dyn>(),
            ack(&array).deserialize::<properties::Dyn>(),
            "order too: {text}"
        );
    }
    let text = "[ { \"_placeholder\" : true ,\n\"num\"\t: 0 } ]";
    assert_eq!(binary(text, 1).deserialize(), Ok(Untagged::Data(Bytes::from_static(&[0; 3]))), "white space");
}

#[test]
fn keys_that_were_looked_at_still_do_everything() {
    /// Asks for anything, gets a map, and asks its keys for `K`.
    #[derive(PartialEq, Debug)]
    struct Keys<K>(Vec<K>);

    impl<'de, K: Deserialize<'de>> Deserialize<'de> for Keys<K> {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Keyed<K>(core::marker::PhantomData<K>);
            impl<'de, K: Deserialize<'de>> Visitor<'de> for Keyed<K> {
                type Value = Keys<K>;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a map")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Keys<K>, A::Error> {
                    let mut keys = Vec::new();
                    while let Some((key, IgnoredAny)) = map.next_entry()? {
                        keys.push(key);
                    }
                    Ok(Keys(keys))
                }
            }
            deserializer.deserialize_any(Keyed(core::marker::PhantomData))
        }
    }

    #[derive(Deserialize, PartialEq, Debug)]
    #[serde(rename_all = "lowercase")]
    enum Letter {
        A,
        B,
    }
    #[derive(Deserialize, PartialEq, Debug)]
    struct Id(u16);

    fn same<K: for<'de> Deserialize<'de> + PartialEq + fmt::Debug>(keys: &str, expected: [K; 2]) {
        let array = format!("[{{{keys}}}]");
        assert_eq!(binary(&array, 1).deserialize(), ack(&array).deserialize::<Keys<K>>());
        assert_eq!(binary(&array, 1).deserialize(), Ok(Keys(expected.into())));
    }
    same(r#""a":0,"b":0"#, ["a".to_string(), "b".to_string()]);
    same(r#""a\n":0,"b\n":0"#, ["a\n".to_string(), "b\n".to_string()]);
    same(r#""1":0,"2":0"#, [1_u64, 2]);
    same(r#""-1":0,"2":0"#, [-1_i128, 2]);
    same(r#""1.5":0,"2":0"#, [1.5_f64, 2.0]);
    same(r#""true":0,"false":0"#, [true, false]);
    same(r#""x":0,"y":0"#, ['x', 'y']);
    same(r#""a":0,"b":0"#, [Letter::A, Letter::B]);
    same(r#""1":0,"2":0"#, [Some(Id(1)), Some(Id(2))]);
    same(r#""a":0,"b":0"#, [Bytes::from_static(b"a"), Bytes::from_static(b"b")]);
    assert!(binary(r#"[{"a":0}]"#, 1).deserialize::<Keys<u8>>().is_err());
    assert!(binary(r#"[{"1 2":0}]"#, 1).deserialize::<Keys<u8>>().is_err());
}

#[test]
fn json_that_is_read_as_bytes() {
    for count in [0, 1] {
        assert_eq!(binary(r#"["abc"]"#, count).deserialize(), Ok(Bytes::from_static(b"abc")));
        assert_eq!(binary(r#"["a\nc"]"#, count).deserialize(), Ok(Bytes::from_static(b"a\nc")));
        assert_eq!(binary("[[1,2]]", count).deserialize(), Ok(Bytes::from_static(&[1, 2])));
    }
}

#[test]
fn top_level_tuples_are_spread() {
    #[derive(Serialize)]
    struct Point(u8, u8);
    #[derive(Serialize)]
    struct Wrap<T>(T);
    #[derive(Serialize)]
    struct Nothing;
    #[derive(Serialize)]
    struct Object {
        a: u8,
    }
    #[derive(Serialize)]
    enum Choice {
        Unit,
        Newtype(u8),
        Tuple(u8, ()),
        Struct { a: u8 },
    }

    let text = |args: &dyn Fn() -> String| args();
    assert_eq!(text(&|| encode("a").0), r#"["x","a"]"#);
    assert_eq!(encode(&("a", 1)).0, r#"["x","a",1]"#);
    assert_eq!(encode(&()).0, r#"["x"]"#);
    assert_eq!(encode(&Nothing).0, r#"["x"]"#);
    assert_eq!(encode(&[1, 2]).0, r#"["x",1,2]"#);
    assert_eq!(encode(&vec![1, 2]).0, r#"["x",[1,2]]"#);
    assert_eq!(encode(&[1, 2][..]).0, r#"["x",[1,2]]"#);
    assert_eq!(encode(&(vec![1, 2],)).0, r#"["x",[1,2]]"#);
    assert_eq!(encode(&None::<u8>).0, r#"["x",null]"#);
    assert_eq!(encode(&Some((1, 2))).0, r#"["x",[1,2]]"#);
    assert_eq!(encode(&Point(1, 2)).0, r#"["x",1,2]"#);
    assert_eq!(encode(&Wrap((1, Wrap((2, 3))))).0, r#"["x",1,[2,3]]"#);
    assert_eq!(encode(&Wrap(())).0, r#"["x"]"#);
    assert_eq!(encode(&Object { a: 1 }).0, r#"["x",{"a":1}]"#);
    assert_eq!(encode(&(Object { a: 1 }, (), ((), Nothing))).0, r#"["x",{"a":1},null,[null,null]]"#);
    assert_eq!(encode(&Choice::Unit).0, r#"["x","Unit"]"#);
    assert_eq!(encode(&Choice::Newtype(1)).0, r#"["x",{"Newtype":1}]"#);
    assert_eq!(encode(&Choice::Tuple(1, ())).0, r#"["x",{"Tuple":[1,null]}]"#);
    assert_eq!(encode(&Choice::Struct { a: 1 }).0, r#"["x",{"Struct":{"a":1}}]"#);
    assert_eq!(encode(&format_args!("{}\"", 1)).0, r#"["x","1\""]"#);
    assert_eq!(encode(&json!({"a": [1, null, true]})).0, r#"["x",{"a":[1,null,true]}]"#);

    let mut out = b"2".to_vec();
    encode_event("a\"\n", &1, &mut out, &mut Vec::new()).unwrap();
    assert_eq!(out, br#"2["a\"\n",1]"#, "appended, and the name is escaped");
    let mut out = b"30".to_vec();
    encode_ack(&(), &mut out, &mut Vec::new()).unwrap();
    encode_ack(&(1, 2), &mut out, &mut Vec::new()).unwrap();
    assert_eq!(out, b"30[][1,2]");
}

#[test]
fn scalars_are_written_like_serde_json_does() {
    fn same<T: Serialize>(value: T) {
        assert_eq!(encode(&(&value,)).0, format!("[\"x\",{}]", serde_json::to_string(&value).unwrap()));
    }
    same((u8::MAX, i8::MIN, u64::MAX, i64::MIN, u128::MAX, i128::MIN, true, 'ü', '"'));
    same((f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f32::NAN, -0.0, 1.0, 0.1_f32, 1.5e300, 123_456.789));
    same((0..=255).map(|c: u8| char::from(c)).collect::<String>());
    let keys = (BTreeMap::from([(1, 2)]), BTreeMap::from([('"', 2)]), BTreeMap::from([(true, 0)]));
    same((keys, BTreeMap::from([("\n".to_string(), ())])));
    for value in [f64::MIN, f64::MAX, f64::MIN_POSITIVE, 5e-324, 1e16, 1e-5, 1e21, 0.3] {
        assert_eq!(Payload::from_args(&value).unwrap().deserialize(), Ok(value));
    }
}

#[test]
fn raw_json_stays_raw() {
    // What `serde_json::value::RawValue` looks like from outside.
    #[derive(Serialize)]
    #[serde(rename = "$serde_json::private::RawValue")]
    struct RawValue {
        #[serde(rename = "$serde_json::private::RawValue")]
        json: &'static str,
    }
    assert_eq!(encode(&RawValue { json: r#"{"a" :1}"# }).0, r#"["x",{"a" :1}]"#);
    assert_eq!(encode(&(1, vec![RawValue { json: "1.0" }])).0, r#"["x",1,[1.0]]"#);
}

#[test]
fn bytes_become_attachments() {
    let (a, b) = (Bytes::from_static(b"a"), Bytes::from_static(b"b"));
    let (text, attachments) = encode(&(&a, vec![Some(&b)]));
    assert_eq!(text, r#"["x",{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]]"#);
    assert_eq!(attachments, [a.clone(), b.clone()]);
    assert_eq!(encode(&a), (r#"["x",{"_placeholder":true,"num":0}]"#.into(), vec![a.clone()]));

    let (mut out, mut attachments) = (Vec::new(), vec![b.clone()]);
    encode_ack(&a, &mut out, &mut attachments).unwrap();
    assert_eq!(out, br#"[{"_placeholder":true,"num":0}]"#, "numbers begin anew");
    assert_eq!(attachments, [b, a]);
}

#[test]
fn payloads_are_passed_on() {
    let payload = binary(r#"[ {"_placeholder":true,"num":1}, 1.0 ]"#, 2);
    let (text, attachments) = encode(&payload);
    assert_eq!(text, r#"["x",{"_placeholder":true,"num":1}, 1.0]"#);
    assert_eq!(attachments[1].as_ptr(), payload.attachments().as_slice()[1].as_ptr(), "shared");
    assert_eq!(encode(&&payload), (text, attachments));
    assert_eq!(encode(&event(r#"["y",1,2]"#)).0, r#"["x",1,2]"#);
    assert_eq!(encode(&event(r#"["y"]"#)).0, r#"["x"]"#);
    assert_eq!(Payload::from_args(&ack("[ ]")).unwrap().text(), "[]");
    assert_eq!(Payload::from_event("y", &payload).unwrap().name().unwrap(), "y");
}

#[test]
fn failed_encoding_leaves_no_trace() {
    struct Fails;
    impl Serialize for Fails {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not today"))
        }
    }

    let (mut out, mut attachments) = (b"2".to_vec(), vec![Bytes::new()]);
    let args = (Bytes::from_static(b"a"), "a", [Fails]);
    let error = encode_event("x", &args, &mut out, &mut attachments).unwrap_err();
    assert_eq!(error.to_string(), "not today");
    assert_eq!((&*out, attachments.len()), (&b"2"[..], 1));

    let keys = BTreeMap::from([(vec![1], 1)]);
    let error = encode_ack(&keys, &mut out, &mut attachments).unwrap_err();
    assert_eq!(error.to_string(), "key must be a string");
    assert_eq!((&*out, attachments.len()), (&b"2"[..], 1));
}

#[test]
fn errors_are_errors() {
    fn check<E: core::error::Error + Clone + PartialEq + Send + Sync + 'static>() {}
    check::<PayloadError>();
    check::<DecodeError>();
    check::<EncodeError>();
}
