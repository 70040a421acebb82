//! Wire literals are those of npm socket.io-msgpack-parser 3.0.2, or follow the MessagePack specification.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::engine::Frame;
use crate::socket::Payload;
use crate::socket::payload::PayloadError;

const LIMITS: Limits = Limits { max_attachments: 10, max_packet_bytes: 10_000 };

/// Bytes from hexadecimal digits and, in quotes, ASCII text.
fn bytes(text: &str) -> Bytes {
    let mut out = Vec::new();
    for (at, part) in text.split('\'').enumerate() {
        match at % 2 {
            1 => out.extend_from_slice(part.as_bytes()),
            _ => {
                let digits: String = part.split_whitespace().collect();
                let pairs = digits.as_bytes().chunks(2);
                out.extend(
                    pairs.map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap()),
                );
            }
        }
    }
    out.into()
}

fn read(message: impl Into<Bytes>) -> Result<Packet, PacketError> {
    decode(&message.into(), LIMITS)
}

fn written(packet: &Packet) -> Bytes {
    let (Frame::Binary(bytes), None) = Msgpack.encode(packet).unwrap().into_parts() else {
        panic!("one message")
    };
    bytes
}

/// What `data` of an event is read as.
fn data(value: &str) -> Result<(String, Vec<Bytes>), PacketError> {
    let mut message = bytes("83 a4'type' 02 a3'nsp' a1'/' a4'data' 92 a1'x'").to_vec();
    message.extend_from_slice(&bytes(value));
    match read(message)? {
        Packet::Event { payload, .. } => {
            Ok((payload.args_text().into(), payload.attachments().as_slice().to_vec()))
        }
        other => panic!("{other:?}"),
    }
}

fn event(text: &str, attachments: &[&'static [u8]]) -> Packet {
    let attachments: Vec<_> = attachments.iter().map(|bytes| Bytes::from_static(bytes)).collect();
    Packet::new(2, "/".into(), None, text.into(), attachments).unwrap()
}

#[test]
fn packets_are_those_of_the_reference() {
    let packet = |kind, namespace: &str, id, data: &str| {
        Packet::new(kind, namespace.into(), id, data.into(), Vec::new()).unwrap()
    };
    let (client, server) = (true, false);
    for (from, wire, meant) in [
        (client, "82 a4'type' 00 a3'nsp' a1'/'", packet(0, "/", None, "")),
        (client, "83 a4'type' 00 a4'data' d40000 a3'nsp' a5'/chat'", packet(0, "/chat", None, "")),
        (
            client,
            "83 a4'type' 00 a4'data' 81 a5'token' a1't' a3'nsp' a1'/'",
            packet(0, "/", None, r#"{"token":"t"}"#),
        ),
        (
            client,
            "83 a4'type' 00 a4'data' 82 a3'pid' a1'p' a6'offset' a1'o' a3'nsp' a1'/'",
            packet(0, "/", None, r#"{"pid":"p","offset":"o"}"#),
        ),
        (
            server,
            "83 a4'type' 00 a4'data' 82 a3'sid' a1's' a3'pid' d40000 a3'nsp' a1'/'",
            packet(0, "/", None, r#"{"sid":"s"}"#),
        ),
        (
            server,
            "84 a4'type' 02 a4'data' 92 a5'askme' 05 a2'id' 00 a3'nsp' a1'/'",
            packet(2, "/", Some(0), r#"["askme",5]"#),
        ),
        (
            client,
            "85 a4'type' 02 a4'data' 92 a1'x' 81 a1'a' 01 a7'options' 81 a8'compress' c3 a2'id' 00 a3'nsp' a1'/'",
            packet(2, "/", Some(0), r#"["x",{"a":1}]"#),
        ),
        (client, "82 a4'type' 01 a3'nsp' a1'/'", packet(1, "/", None, "")),
        (
            server,
            "83 a4'type' 04 a4'data' 81 a7'message' a2'no' a3'nsp' a1'/'",
            packet(4, "/", None, r#"{"message":"no"}"#),
        ),
    ] {
        assert_eq!(read(bytes(wire)), Ok(meant.clone()), "{from} {wire}");
        assert_eq!(read(written(&meant)), Ok(meant), "{wire}");
    }
    let attachments = vec![Bytes::from_static(&[7])];
    let data = r#"["ok",{"_placeholder":true,"num":0}]"#;
    let ack = Packet::new(3, "/".into(), Some(0), data.into(), attachments).unwrap();
    assert_eq!(read(bytes("84 a2'id' 00 a4'type' 03 a4'data' 92 a2'ok' c4 01 07 a3'nsp' a1'/'")), Ok(ack));
}

#[test]
fn what_is_sent_has_only_the_keys_that_it_needs() {
    let ok =
        |kind, id, data: &str| written(&Packet::new(kind, "/".into(), id, data.into(), Vec::new()).unwrap());
    assert_eq!(ok(0, None, ""), bytes("82 a4'type' 00 a3'nsp' a1'/'"));
    assert_eq!(ok(1, None, ""), bytes("82 a4'type' 01 a3'nsp' a1'/'"));
    assert_eq!(
        ok(0, None, r#"{"sid":"s"}"#),
        bytes("83 a4'type' 00 a4'data' 81 a3'sid' a1's' a3'nsp' a1'/'")
    );
    assert_eq!(
        ok(2, Some(300), r#"["x",null]"#),
        bytes("84 a4'type' 02 a4'data' 92 a1'x' c0 a2'id' cd012c a3'nsp' a1'/'")
    );
    assert_eq!(ok(3, Some(0), "[]"), bytes("84 a4'type' 03 a4'data' 90 a2'id' 00 a3'nsp' a1'/'"));
}

#[test]
fn values_of_every_kind_are_read() {
    for (wire, text) in [
        ("c0", "null"),
        ("c2", "false"),
        ("c3", "true"),
        ("7f", "127"),
        ("e0", "-32"),
        ("cc ff", "255"),
        ("cd ffff", "65535"),
        ("ce ffffffff", "4294967295"),
        ("cf ffffffffffffffff", "18446744073709551615"),
        ("d0 80", "-128"),
        ("d1 8000", "-32768"),
        ("d2 80000000", "-2147483648"),
        ("d3 8000000000000000", "-9223372036854775808"),
        ("ca 3fc00000", "1.5"),
        ("cb 3fb999999999999a", "0.1"),
        ("cb 7ff8000000000000", "null"),
        ("cb fff0000000000000", "null"),
        ("a0", r#""""#),
        ("d9 02 'hi'", r#""hi""#),
        ("da 0002 c3a9", "\"é\""),
        ("db 00000003 220a00", r#""\"\n\u0000""#),
        ("dc 0002 01 02", "[1,2]"),
        ("dd 00000001 90", "[[]]"),
        ("de 0001 a1'a' 80", r#"{"a":{}}"#),
        ("df 00000001 07 c0", r#"{"7":null}"#),
        ("82 cf ffffffffffffffff 01 ff 02", r#"{"18446744073709551615":1,"-1":2}"#),
        // JavaScript's own.
        ("d4 00 00", "null"),
        ("93 d4 00 00 01 d4 00 00", "[null,1,null]"),
        ("83 a1'a' d4 00 00 a1'b' 01 a1'c' d4 00 00", r#"{"b":1}"#),
        ("81 a1'a' d4 00 00", "{}"),
        ("d7 00 0000019b75e11d2e", r#""2025-12-31T19:27:25.998Z""#),
        ("d7 00 ffffffffffffffff", r#""1969-12-31T23:59:59.999Z""#),
        ("d7 00 7fffffffffffffff", "null"),
        // The specification's timestamps.
        ("d6 ff 00000001", r#""1970-01-01T00:00:01.000Z""#),
        ("d7 ff 77359400 00000001", r#""1970-01-01T00:00:01.500Z""#),
        ("c7 0c ff 1dcd6500 ffffffffffffffff", r#""1969-12-31T23:59:59.500Z""#),
        ("c7 0c ff 00000000 7fffffffffffffff", "null"),
    ] {
        assert_eq!(data(wire), Ok((text.into(), Vec::new())), "{wire}");
    }
}

#[test]
fn binary_data_is_attached() {
    let placeholder = r#"{"_placeholder":true,"num":0}"#;
    for (wire, binary) in [
        ("c4 02 0102", &[1, 2][..]),
        ("c5 0001 01", &[1]),
        ("c6 00000000", &[]),
        ("c7 01 00 05", &[5]),
        ("c7 08 00 0102030405060708", &[1, 2, 3, 4, 5, 6, 7, 8]),
        ("c8 0001 00 05", &[5]),
        ("c9 00000001 00 05", &[5]),
        ("d5 00 0102", &[1, 2]),
        ("d8 00 000102030405060708090a0b0c0d0e0f", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
    ] {
        assert_eq!(data(wire), Ok((placeholder.into(), vec![Bytes::copy_from_slice(binary)])), "{wire}");
    }
    let deep = r#"{"a":[{"_placeholder":true,"num":0}],"b":{"_placeholder":true,"num":1}}"#;
    let (text, attachments) = data("82 a1'a' 91 c4 01 01 a1'b' c4 01 02").unwrap();
    assert_eq!((&*text, attachments.len()), (deep, 2));
    // An object that only looks like a placeholder is data, and stays so.
    let alike = event(r#"["x",{"_placeholder":true,"num":0}]"#, &[]);
    assert_eq!(read(written(&alike)), Ok(alike));
    // It cannot make more of the attachments that come with it: each is there once.
    let twice = r#"["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#;
    let attachment = vec![Bytes::from_static(b"ab")];
    assert!(Packet::new(2, "/".into(), None, twice.into(), attachment).is_err());
}

#[test]
fn values_of_every_kind_are_written() {
    for (text, wire) in [
        ("0", "00"),
        ("128", "cc 80"),
        ("256", "cd 0100"),
        ("65536", "ce 00010000"),
        ("4294967296", "cf 0000000100000000"),
        ("18446744073709551615", "cf ffffffffffffffff"),
        ("-1", "ff"),
        ("-33", "d0 df"),
        ("-129", "d1 ff7f"),
        ("-32769", "d2 ffff7fff"),
        ("-2147483649", "d3 ffffffff7fffffff"),
        ("0.1", "cb 3fb999999999999a"),
        ("1e300", "cb 7e37e43c8800759c"),
        // A float that a quick parser would miss by its last bit.
        ("7.038531e-26", "cb 3ab5c87fb0000000"),
        (r#""\u00e9\ud83d\ude00""#, "a6 c3a9f09f9880"),
        (r#"{"\n":[]}"#, "81 a1 0a 90"),
        ("[1, [true ,false],null]", "93 01 92 c3 c2 c0"),
    ] {
        let mut out = ByteBuf::new();
        write::json(text, &[], &mut out).unwrap();
        assert_eq!(out.as_slice(), bytes(wire), "{text}");
    }
    for len in [15, 16, 65_535, 65_536] {
        let list: Vec<u8> = vec![1; len];
        let map: serde_json::Map<String, Value> = (0..len).map(|at| (format!("{at}"), json!(1))).collect();
        for (value, small, large) in [(json!([list]), 0x90, 0xdc), (json!([map]), 0x80, 0xde)] {
            let mut out = ByteBuf::new();
            write::json(&serde_json::to_string(&value).unwrap(), &[], &mut out).unwrap();
            let [0x91, header @ ..] = out.as_slice() else { panic!() };
            match len {
                15 => assert_eq!(header[0], small | 15),
                16 => assert_eq!(header[..3], [large, 0, 16]),
                65_535 => assert_eq!(header[..3], [large, 255, 255]),
                _ => assert_eq!(header[..5], [large + 1, 0, 1, 0, 0]),
            }
        }
    }
}

#[test]
fn a_number_under_arbitrary_precision_is_a_number() {
    for (text, wire) in [("12", "0c"), ("-1", "ff"), ("1.5", "cb 3ff8000000000000")] {
        // As `serde_json` gives it then.
        let json = format!(r#"{{"$serde_json::private::Number":"{text}"}}"#);
        assert_eq!(write::under_arbitrary_precision(&json), bytes(wire));
        // Without it, an object of this kind is one.
        let packet = event(&format!(r#"["x",{json}]"#), &[]);
        assert_eq!(read(written(&packet)), Ok(packet));
    }
}

#[test]
fn hostile_messages_are_errors() {
    for wire in [
        "",
        "c0",
        "90",
        "80",
        "81 a4'type' 02",
        "82 a4'type' 07 a3'nsp' a1'/'",
        "82 a4'type' ff a3'nsp' a1'/'",
        "82 a4'type' c0 a3'nsp' a1'/'",
        "82 a4'type' a1'0' a3'nsp' a1'/'",
        "82 a4'type' 00 a3'nsp' 01",
        "82 a4'type' 00 a3'nsp' a4'chat'",
        "82 a4'type' 00 a3'nsp' a2 2fff",
        "82 a4'type' 00 a3'nsp' a1'/' 00",
        "83 a4'type' 00 a3'nsp' a1'/' a4'data' 90",
        "83 a4'type' 01 a3'nsp' a1'/' a4'data' 80",
        "83 a4'type' 00 a3'nsp' a1'/' a4'data' 81 a1'x' c4 01 01",
        "82 a4'type' 02 a3'nsp' a1'/'",
        "83 a4'type' 02 a3'nsp' a1'/' a4'data' 80",
        "83 a4'type' 02 a3'nsp' a1'/' a4'data' 90",
        "83 a4'type' 02 a3'nsp' a1'/' a4'data' 91 c3",
        "83 a4'type' 02 a3'nsp' a1'/' a4'data' 91 aa'disconnect'",
        "84 a4'type' 02 a3'nsp' a1'/' a4'data' 91 a1'x' a2'id' ff",
        "84 a4'type' 02 a3'nsp' a1'/' a4'data' 91 a1'x' a2'id' a1'0'",
        "84 a4'type' 02 a3'nsp' a1'/' a4'data' 91 a1'x' a2'id' cf ffffffffffffffff",
        "83 a4'type' 03 a3'nsp' a1'/' a4'data' 90",
        "8f",
        "df ffffffff",
    ] {
        assert!(read(bytes(wire)).is_err(), "{wire}");
    }
    for wire in [
        "dd ffffffff",
        "df ffffffff",
        "dc ffff 01",
        "db ffffffff 'x'",
        "c6 ffffffff 00",
        "c9 ffffffff 00 00",
        "c1",
        "81 c0 01",
        "81 c4 01 01 01",
        "81 cb 0000000000000000 01",
        "a2 c328",
        "d4 05 00",
        "c7 03 01 000000",
        "d4 ff 00",
        "d7 00 00",
    ] {
        assert!(data(wire).is_err(), "{wire}");
    }
    let nothing = PacketError::InvalidPayload(PayloadError::NoName);
    assert_eq!(read(bytes("83 a4'type' 02 a3'nsp' a1'/' a4'data' 90")), Err(nothing));
}

#[test]
fn a_cut_message_is_an_error() {
    let text = r#"["x",{"_placeholder":true,"num":0},[1,-300,1.5],{"k":"é"}]"#;
    let whole =
        written(&Packet::new(2, "/chat".into(), Some(7), text.into(), vec!["binary".into()]).unwrap());
    for end in 0..whole.len() {
        assert!(read(whole.slice(..end)).is_err(), "{end}");
    }
}

#[test]
fn limits_are_kept() {
    let deep = |levels: usize| "91".repeat(levels) + "01";
    // One array more is around the arguments.
    assert!(data(&deep(126)).is_ok());
    assert!(data(&deep(127)).is_err() && data(&deep(5000)).is_err());
    let maps = |levels: usize| "81 a1'a'".repeat(levels) + "01";
    assert!(data(&maps(126)).is_ok() && data(&maps(127)).is_err());

    let many = |count: usize| format!("9{count:x}") + &"c4 00".repeat(count);
    assert!(data(&many(10)).is_ok());
    assert_eq!(data(&many(11)), Err(PacketError::TooManyAttachments { count: 11, limit: 10 }));

    // What counts is what it becomes: a control character takes six bytes of JSON.
    let string = |len: usize| format!("da {len:04x}") + &"01".repeat(len);
    assert!(data(&string(1600)).is_ok());
    assert_eq!(data(&string(1700)), Err(PacketError::TooLarge { limit: 10_000 }));
    let binary = |len: usize| format!("c5 {len:04x}") + &"01".repeat(len);
    assert!(data(&binary(9_900)).is_ok());
    assert_eq!(data(&binary(10_000)), Err(PacketError::TooLarge { limit: 10_000 }));
    assert!(
        decode_text(&format!(r#"{{"type":0,"nsp":"/","x":"{}"}}"#, "y".repeat(10_000)).into(), LIMITS)
            .is_err()
    );
}

#[test]
fn the_last_of_equal_keys_counts() {
    let wire = "85 a4'type' 02 a3'nsp' a1'/' a4'data' 92 a1'x' c4 01 01 a4'data' 91 a1'y' a4'type' 02";
    assert_eq!(read(bytes(wire)), Ok(event(r#"["y"]"#, &[])));
}

#[test]
fn text_is_understood_only_from_version_2_of_the_parser() {
    let text = |text: &str| Msgpack.decoder(LIMITS).decode(Message::Text(text.into()));
    let connect = |namespace: &str| Ok(Some(Packet::Connect { namespace: namespace.into(), data: None }));
    assert_eq!(text(r#"{"type":0,"nsp":"/chat?a=1"}"#), connect("/chat?a=1"));
    assert_eq!(text(r#"{"type":1,"nsp":"/"}"#), Ok(Some(Packet::Disconnect { namespace: "/".into() })));
    for other in
        ["", "40", "0{}", r#"2["x"]"#, r#"{"type":2,"nsp":"/","data":["x"]}"#, "{", "null", r#"{"type":0}"#]
    {
        assert!(text(other).is_err(), "{other}");
    }
    let binary_event = bytes("83 a4'type' 05 a3'nsp' a1'/' a4'data' 92 a1'x' c4 01 01");
    let placeholder = r#"["x",{"_placeholder":true,"num":0}]"#;
    assert_eq!(read(binary_event), Ok(event(placeholder, &[&[1]])));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
            prop::collection::btree_map(".*", inner, 0..20)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn packets_come_back_as_they_were(
        values in prop::collection::vec(any_json(), 0..5),
        binary in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5),
        id in prop::option::of(0..1_u64 << 53),
        namespace in "/[a-zé]{0,40}",
        kind in 2..4_u8,
    ) {
        let mut data: Vec<Value> = if kind == 2 { vec![json!("event")] } else { Vec::new() };
        data.extend(values);
        data.extend((0..binary.len()).map(|num| json!([{ "_placeholder": true, "num": num }])));
        let text = serde_json::to_string(&data).unwrap();
        let binary: Vec<Bytes> = binary.into_iter().map(Bytes::from).collect();
        let id = if kind == 3 { id.or(Some(0)) } else { id };
        let packet = Packet::new(kind, namespace.into(), id, text.into(), binary).unwrap();
        let limits = Limits { max_packet_bytes: usize::MAX, ..LIMITS };
        prop_assert_eq!(decode(&written(&packet), limits), Ok(packet));
    }

    #[test]
    fn any_bytes_are_a_packet_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(bytes);
    }

    #[test]
    fn any_value_is_data_or_an_error(value in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut message = bytes("84 a4'type' 03 a2'id' 00 a3'nsp' a1'/' a4'data' 91").to_vec();
        message.extend(value);
        if let Ok(packet) = read(message) {
            prop_assert_eq!(packet.kind(), 3);
        }
    }
}

#[test]
fn arguments_of_our_own_types_pass_through() {
    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    struct All {
        big: u64,
        small: i64,
        float: f64,
        text: String,
        binary: Bytes,
        none: Option<u8>,
    }
    let all = All {
        big: u64::MAX,
        small: i64::MIN,
        float: 7.038531e-26,
        text: "\u{0}é😀\u{2028}".into(),
        binary: Bytes::from_static(b"\x00\xff"),
        none: None,
    };
    let payload = Payload::from_event("all", &(&all,)).unwrap();
    let packet = Packet::Event { namespace: "/".into(), id: None, payload };
    let Ok(Packet::Event { payload, .. }) = read(written(&packet)) else { panic!() };
    assert_eq!(payload.deserialize::<(All,)>().unwrap().0, all);
}
