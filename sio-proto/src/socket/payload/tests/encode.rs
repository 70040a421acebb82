//! What is written.

use super::*;

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

    assert_eq!(encode("a").0, r#"["x","a"]"#);
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

    let mut out = String::from("2");
    encode_event("a\"\n", &1, &mut out, &mut Vec::new()).unwrap();
    assert_eq!(out, r#"2["a\"\n",1]"#, "appended, and the name is escaped");
    let mut out = String::from("30");
    encode_ack(&(), &mut out, &mut Vec::new()).unwrap();
    encode_ack(&(1, 2), &mut out, &mut Vec::new()).unwrap();
    assert_eq!(out, "30[][1,2]");
}

#[test]
fn scalars_are_written_like_serde_json_does() {
    fn same<T: Serialize>(value: T) {
        assert_eq!(encode(&(&value,)).0, format!("[\"x\",{}]", serde_json::to_string(&value).unwrap()));
    }
    same((u8::MAX, i8::MIN, u64::MAX, i64::MIN, u128::MAX, i128::MIN, true, 'ü', '"'));
    same((f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f32::NAN, -0.0, 1.0, 0.1_f32, 123_456.789));
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

    let (mut out, mut attachments) = (String::new(), vec![b.clone()]);
    encode_ack(&a, &mut out, &mut attachments).unwrap();
    assert_eq!(out, r#"[{"_placeholder":true,"num":0}]"#, "numbers begin anew");
    assert_eq!(attachments, [b, a]);
}

#[test]
fn payloads_are_passed_on() {
    let payload = with_binary(r#"[ {"_placeholder":true,"num":1}, 1.0 ]"#, 2);
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

    let (mut out, mut attachments) = (String::from("2"), vec![Bytes::new()]);
    let args = (Bytes::from_static(b"a"), "a", [Fails]);
    let error = encode_event("x", &args, &mut out, &mut attachments).unwrap_err();
    assert_eq!(error.to_string(), "not today");
    assert_eq!((&*out, attachments.len()), ("2", 1));

    let keys = BTreeMap::from([(vec![1], 1)]);
    let error = encode_ack(&keys, &mut out, &mut attachments).unwrap_err();
    assert_eq!(error.to_string(), "key must be a string");
    assert_eq!((&*out, attachments.len()), ("2", 1));
}

/// Every byte that needs an escape, at every place of texts that are looked at byte by byte, by words and by blocks.
#[test]
fn escapes_are_found_wherever_they_are() {
    let needs_none =
        ['x', '\u{7f}', '\u{80}', 'é', '\u{a0}', '\u{2028}', '\u{10ffff}', ' ', '!', '#', '[', ']'];
    for len in 0..80 {
        let plain: String = needs_none.iter().copied().cycle().take(len).collect();
        assert_eq!(encode(plain.as_str()).0, format!(r#"["x","{plain}"]"#));
    }
    for byte in (0..0x20).chain(*b"\"\\\x7f") {
        for before in 0..70 {
            for after in [0, 1, 7, 8, 40] {
                let text = "x".repeat(before) + &char::from(byte).to_string() + &"é".repeat(after);
                let expected = serde_json::to_string(&("x", &text)).unwrap();
                assert_eq!(encode(text.as_str()).0, expected, "{byte} after {before}");
            }
        }
    }
}
