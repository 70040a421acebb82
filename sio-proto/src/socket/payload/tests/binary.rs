//! Attachments in the place of placeholders.

use super::properties::Dyn;
use super::*;

#[test]
fn bytes_are_found_wherever_they_are_asked_for() {
    let p = |n: u8| format!(r#"{{"_placeholder":true,"num":{n}}}"#);
    let b = |n: u8| Bytes::copy_from_slice(&[n; 3]);
    let text = format!(
        r#"[{{"id":1,"data":{},"list":[{},{}],"map":{{"a":{}}},"numbered":{{"7":{}}},"maybe":{},"pair":[{},1.5],"shapes":["Unit",{{"Newtype":{}}},{{"Tuple":[2,{}]}},{{"Struct":{{"data":{}}}}}],"more":{},"any":{},"tagged":{{"type":"A","data":{}}}}}]"#,
        p(0),
        p(1),
        p(2),
        p(3),
        p(4),
        p(5),
        p(6),
        p(7),
        p(8),
        p(9),
        p(10),
        p(11),
        p(12),
    );
    let value = Everything {
        id: 1,
        data: b(0),
        list: vec![b(1), b(2)],
        map: [("a".into(), b(3))].into(),
        numbered: [(7, b(4))].into(),
        maybe: Some(b(5)),
        pair: (b(6), 1.5),
        shapes: vec![Shape::Unit, Shape::Newtype(b(7)), Shape::Tuple(2, b(8)), Shape::Struct { data: b(9) }],
        flat: Flat { more: b(10), any: Untagged::Data(b(11)), tagged: Tagged::A { data: Some(b(12)) } },
    };
    let payload = with_binary(&text, 13);
    assert_eq!(payload.deserialize().as_ref(), Ok(&value));
    assert_eq!(payload.deserialize::<(Everything,)>().unwrap().0, value);
    assert_eq!(Payload::from_args(&value).unwrap(), payload);
}

#[test]
fn bytes_at_the_top() {
    let payload = with_binary(r#"[{"_placeholder":true,"num":1},{"num":0,"_placeholder":true}]"#, 2);
    let (a, b) = (Bytes::from_static(&[1; 3]), Bytes::from_static(&[0; 3]));
    assert_eq!(payload.deserialize(), Ok((a.clone(), b)));
    assert_eq!(payload.deserialize(), Ok(a.clone()));
    assert_eq!(payload.deserialize(), Ok(Some(a.clone())));
    assert_eq!(payload.deserialize(), Ok(Untagged::Data(a)));
    assert_eq!(payload.deserialize(), Ok(&[1_u8; 3][..]), "borrowed");
}

#[test]
fn hostile_placeholders_are_errors() {
    let cases = [
        (r#"{"_placeholder":true,"num":2}"#, "attachment 2 of 2 does not exist"),
        (
            r#"{"_placeholder":true,"num":18446744073709551615}"#,
            "attachment 18446744073709551615 of 2 does not exist",
        ),
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
        ("{}", "missing field `_placeholder`"),
        ("1", "invalid type: integer `1`, expected byte array"),
    ];
    let contains = |error: Result<(), DecodeError>, text: &str| {
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("argument 1: ") && error.contains(text), "{error} / {text}");
    };
    for (text, error) in cases.iter().chain(&only_for_bytes) {
        let payload = with_binary(&format!("[{text}]"), 2);
        contains(payload.deserialize::<Bytes>().map(drop), error);
        contains(payload.deserialize::<(Option<Bytes>,)>().map(drop), error);
        contains(with_binary(&format!("[[{text}]]"), 2).deserialize::<Vec<Bytes>>().map(drop), error);
    }
    for (text, error) in cases {
        contains(with_binary(&format!("[{text}]"), 2).deserialize::<Dyn>().map(drop), error);
    }
    // Without attachments a placeholder is an object like others, and no bytes.
    let payload = ack(r#"[{"_placeholder":true,"num":0}]"#);
    contains(payload.deserialize::<Bytes>().map(drop), "invalid type: map");
    assert_eq!(payload.deserialize::<Value>(), Ok(json!({"_placeholder": true, "num": 0})));
}

#[test]
fn objects_that_are_no_placeholders_stay_what_they_are() {
    for text in [
        "{}",
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
        assert_eq!(
            with_binary(&array, 1).deserialize::<Value>(),
            ack(&array).deserialize::<Value>(),
            "{text}"
        );
        assert_eq!(
            with_binary(&array, 1).deserialize::<Dyn>(),
            ack(&array).deserialize::<Dyn>(),
            "order too: {text}"
        );
    }
    let text = "[ { \"_placeholder\" : true ,\n\"num\"\t: 0 } ]";
    assert_eq!(
        with_binary(text, 1).deserialize(),
        Ok(Untagged::Data(Bytes::from_static(&[0; 3]))),
        "white space"
    );
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
        assert_eq!(with_binary(&array, 1).deserialize(), ack(&array).deserialize::<Keys<K>>());
        assert_eq!(with_binary(&array, 1).deserialize(), Ok(Keys(expected.into())));
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
    assert!(with_binary(r#"[{"a":0}]"#, 1).deserialize::<Keys<u8>>().is_err());
    assert!(with_binary(r#"[{"1 2":0}]"#, 1).deserialize::<Keys<u8>>().is_err());
}

#[test]
fn json_that_is_read_as_bytes() {
    /// Wants bytes and really nothing else.
    #[derive(PartialEq, Debug)]
    struct Strict(Vec<u8>);

    impl<'de> Deserialize<'de> for Strict {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct OnlyBytes;
            impl Visitor<'_> for OnlyBytes {
                type Value = Strict;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("bytes")
                }
                fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Strict, E> {
                    Ok(Strict(bytes.into()))
                }
            }
            deserializer.deserialize_bytes(OnlyBytes)
        }
    }

    for count in [0, 1] {
        assert_eq!(with_binary(r#"["abc"]"#, count).deserialize(), Ok(Bytes::from_static(b"abc")));
        assert_eq!(with_binary(r#"["a\nc"]"#, count).deserialize(), Ok(Bytes::from_static(b"a\nc")));
        assert_eq!(with_binary(r#"["abc"]"#, count).deserialize(), Ok(Strict(b"abc".into())));
        assert_eq!(with_binary(r#"["a\nc"]"#, count).deserialize(), Ok(Strict(b"a\nc".into())));
        assert_eq!(with_binary("[[1,2]]", count).deserialize(), Ok(Bytes::from_static(&[1, 2])));
    }
}
