//! Socket.IO packets: what is let in, and what it becomes.

use bytes::Bytes;
use sio_proto::engine::Message;
use sio_proto::server::PeerError;
use sio_proto::socket::{Decoder, Packet, PacketError, PeerError as SocketError};

use crate::common::{Rig, Ws};

fn decode(text: &str) -> Result<Option<Packet>, PacketError> {
    Decoder::new(10, 1_000_000).decode(Message::Text(text.into()))
}

fn packet(text: &str) -> Packet {
    decode(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .unwrap_or_else(|| panic!("{text}: more to come"))
}

/// The event of a packet: namespace, ack id, content.
fn event(text: &str) -> (String, Option<u64>, String) {
    match packet(text) {
        Packet::Event { namespace, id, payload } => (namespace.as_str().into(), id, payload.text().into()),
        other => panic!("{other:?}"),
    }
}

fn joined() -> (Rig, Ws) {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    rig.join(ws, "");
    (rig, ws)
}

#[test]
fn b81_the_parts_of_a_packet() {
    assert_eq!(event(r#"2["a"]"#), ("/".into(), None, r#"["a"]"#.into()));
    assert_eq!(event(r#"212["a"]"#), ("/".into(), Some(12), r#"["a"]"#.into()));
    assert_eq!(event(r#"2/admin,12["a"]"#), ("/admin".into(), Some(12), r#"["a"]"#.into()));
    assert_eq!(event(r#"2/,["a"]"#), ("/".into(), None, r#"["a"]"#.into()));
}

#[test]
fn b82_the_comma_after_a_namespace_may_be_missing_at_the_end() {
    for text in ["0/admin", "0/admin,"] {
        assert_eq!(packet(text), Packet::Connect { namespace: "/admin".into(), data: None });
    }
    for text in ["1/admin", "1/admin,"] {
        assert_eq!(packet(text), Packet::Disconnect { namespace: "/admin".into() });
    }
    // What looks like an event is all namespace.
    assert_eq!(decode(r#"2/a["x"]"#), Err(PacketError::Payload(2)));
    // Query and namespace are one in revision 4 (B77); names are any Unicode (B111).
    assert_eq!(packet("0/?a=b,"), Packet::Connect { namespace: "/?a=b".into(), data: None });
    assert_eq!(packet("0/ü💥,{}"), Packet::Connect { namespace: "/ü💥".into(), data: Some("{}".into()) });
}

#[test]
fn b83_each_type_has_its_payload() {
    for good in [
        "0",
        "0{}",
        r#"0{"token":"123"}"#,
        "1",
        r#"2["a"]"#,
        "2[1]",
        "2[-1.5e3]",
        "31[]",
        r#"4"no""#,
        "4{}",
        "4",
    ] {
        assert!(decode(good).is_ok(), "{good}");
    }
    for bad in [
        "0[]",
        "0\"a\"",
        "0null",
        "0{",
        "1{}",
        "1[]",
        "2{}",
        "2\"a\"",
        "2[]",
        "2[{}]",
        "2[null]",
        "2[[]]",
        "2[true]",
        "2[\"a\"",
        "2[\"a\"]x",
        "3[]",
        "31{}",
        "4[]",
        "",
        "7",
        "x",
        "é",
        " 2[\"a\"]",
        "2 [\"a\"",
    ] {
        assert!(decode(bad).is_err(), "{bad}");
    }
}

#[test]
fn b84_an_event_without_payload_is_an_error() {
    // The reference lets `42` and `431` in, without arguments.
    assert_eq!(decode("2"), Err(PacketError::Payload(2)));
    assert_eq!(decode("31"), Err(PacketError::Payload(3)));
}

#[test]
fn b85_error_is_a_name_like_any_other() {
    let (mut rig, ws) = joined();
    rig.say(ws, r#"42["error"]"#).unwrap();
    assert_eq!(rig.told(ws.conn), [r#"["error"]"#]);
}

#[test]
fn b86_reserved_names_are_errors() {
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        assert_eq!(decode(&format!("2[\"{name}\"]")), Err(PacketError::ReservedName));
    }
    assert_eq!(decode(r#"2["\u0063onnect"]"#), Err(PacketError::ReservedName), "escapes do not help");
    let binary = Decoder::new(10, 100).decode(Message::Text(r#"51-["connect"]"#.into()));
    assert_eq!(binary, Ok(None));
}

#[test]
fn b87_numbers_are_plain_digits() {
    for bad in ["50x1-", "51.0-", "51e0-", "5 1-", "5-", "5", "51", "5+1-", "599999999999999999999-"] {
        assert_eq!(decode(&format!("{bad}[\"a\"]")), Err(PacketError::AttachmentCount), "{bad}");
    }
    assert_eq!(event(r#"29007199254740991["a"]"#).1, Some(9_007_199_254_740_991));
    assert_eq!(decode(r#"29007199254740992["a"]"#), Err(PacketError::AckId), "2^53");
    assert_eq!(decode(r#"299999999999999999999["a"]"#), Err(PacketError::AckId));
    assert!(decode(r#"2 1["a"]"#).is_err());
    assert!(decode(r#"2-1["a"]"#).is_err());
}

#[test]
fn b88_attachments_follow_directly_and_in_order() {
    let (mut rig, ws) = joined();
    let header = r#"452-["a",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#;
    rig.say(ws, header).unwrap();
    rig.say_binary(ws, b"zero").unwrap();
    assert_eq!(rig.told(ws.conn), [""; 0], "not complete");
    rig.say(ws, "bb25l").unwrap();
    let event = &rig.events(ws.conn)[0];
    let sio_proto::server::Event::Event { payload, .. } = event else { panic!("{event:?}") };
    let arguments: (Bytes, Bytes) = payload.deserialize().unwrap();
    assert_eq!(arguments, (Bytes::from("one"), Bytes::from("zero")), "B4: base64 counts as binary");

    rig.say(ws, header).unwrap();
    let fault = rig.say(ws, r#"42["between"]"#);
    let expected = PeerError::Socket(SocketError::Packet(PacketError::ExpectedAttachment));
    assert_eq!(fault, Err(expected));
    assert_eq!(rig.told(ws.conn), ["disconnect: forced close"]);
}

#[test]
fn b88_heartbeats_between_attachments_do_not_matter() {
    let (mut rig, ws) = joined();
    rig.say(ws, r#"451-["a",{"_placeholder":true,"num":0}]"#).unwrap();
    rig.say(ws, "3").unwrap();
    rig.say_binary(ws, b"x").unwrap();
    assert_eq!(rig.told(ws.conn).len(), 1);
}

#[test]
fn b88_binary_without_a_header_is_an_error() {
    let (mut rig, ws) = joined();
    let expected = PeerError::Socket(SocketError::Packet(PacketError::UnexpectedBinary));
    assert_eq!(rig.say_binary(ws, b"x"), Err(expected));
    assert_eq!(rig.told(ws.conn), ["disconnect: forced close"]);
}

#[test]
fn b90_placeholders_must_be_whole_numbers_in_range() {
    let bytes = |num: &str, count: usize| {
        let mut decoder = Decoder::new(10, 1000);
        let header = format!(r#"5{count}-["a",{{"_placeholder":true,"num":{num}}}]"#);
        assert_eq!(decoder.decode(Message::Text(header.as_str().into())), Ok(None));
        let packets = (0..count).map(|at| decoder.decode(Message::Binary(vec![at as u8].into())));
        match packets.last() {
            Some(Ok(Some(Packet::Event { payload, .. }))) => Ok(payload.deserialize::<Bytes>().unwrap()),
            Some(Err(error)) => Err(error),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(bytes("0", 1).unwrap(), [0][..]);
    assert_eq!(bytes("1", 3).unwrap(), [1][..], "unused ones are fine");
    // CVE-2022-2421: type and range.
    for bad in ["1", "-1", "0.5", "\"0\"", "null", "[0]", "1e0", "18446744073709551616", "\"__proto__\""] {
        assert!(bytes(bad, 1).is_err(), "{bad}");
    }
}

#[test]
fn b92_the_number_of_attachments_is_bounded() {
    let mut decoder = Decoder::new(2, 1000);
    assert_eq!(decoder.decode(Message::Text(r#"52-["a"]"#.into())), Ok(None));
    let too_many = PacketError::TooManyAttachments { count: 3, limit: 2 };
    assert_eq!(Decoder::new(2, 1000).decode(Message::Text(r#"53-["a"]"#.into())), Err(too_many));
    // CVE-2026-69185: a count of zero collected for ever.
    assert_eq!(decode(r#"50-["a"]"#), Err(PacketError::AttachmentCount));
    assert_eq!(decode(r#"500-["a"]"#), Err(PacketError::AttachmentCount));
    // CVE-2026-33151.
    let (mut rig, ws) = joined();
    assert!(rig.say(ws, r#"4511-["a"]"#).is_err());
    assert_eq!(rig.told(ws.conn), ["disconnect: forced close"]);
}

#[test]
fn the_bytes_of_a_packet_with_its_attachments_are_bounded() {
    let mut decoder = Decoder::new(10, 30);
    decoder.decode(Message::Text(r#"53-["a"]"#.into())).unwrap();
    decoder.decode(Message::Binary(vec![0; 11].into())).unwrap();
    let too_large = PacketError::TooLarge { limit: 30 };
    assert_eq!(decoder.decode(Message::Binary(vec![0; 12].into())), Err(too_large));
    assert_eq!(
        decoder.decode(Message::Text(r#"2["a"]"#.into())).map(|p| p.is_some()),
        Ok(true),
        "empty again"
    );
}

#[test]
fn b95_keys_of_prototypes_are_keys() {
    let (mut rig, ws) = joined();
    let text = r#"["__proto__",{"__proto__":{"a":1},"hasOwnProperty":1,"constructor":2}]"#;
    rig.say(ws, &format!("42{text}")).unwrap();
    assert_eq!(rig.told(ws.conn), [text]);
}

#[test]
fn b96_zero_is_an_acknowledgement_id() {
    assert_eq!(event(r#"20["a"]"#).1, Some(0));
    assert_eq!(event(r#"2["a"]"#).1, None);
    let (mut rig, ws) = joined();
    rig.say(ws, r#"420["a"]"#).unwrap();
    assert_eq!(rig.told(ws.conn), [r#"["a"]+0"#]);
    assert_eq!(
        rig.encoder.ack("/", 0, &1).unwrap().frames().next(),
        Some(sio_proto::engine::Frame::Text("430[1]".into()))
    );
}

#[test]
fn b97_an_empty_message_closes() {
    let (mut rig, ws) = joined();
    assert_eq!(rig.say(ws, "4"), Err(PeerError::Socket(SocketError::Packet(PacketError::Empty))));
    assert_eq!(rig.told(ws.conn), ["disconnect: forced close"]);
    assert_eq!(rig.frames(ws), ["close"]);
}

#[test]
fn b98_a_half_received_packet_ends_with_the_connection() {
    let (mut rig, ws) = joined();
    rig.say(ws, r#"451-["a",{"_placeholder":true,"num":0}]"#).unwrap();
    rig.hang_up(ws.channel);
    rig.say_binary(ws, b"x").unwrap();
    assert_eq!(rig.told(ws.conn), ["disconnect: transport close", "closed: transport close, 0 undelivered"]);
    assert!(rig.server.is_empty());
}

#[test]
fn b105_what_is_not_a_packet_closes_the_connection() {
    for bad in ["4nonsense", "42{}", "4552-[", "49"] {
        let (mut rig, ws) = joined();
        assert!(rig.say(ws, bad).is_err(), "{bad}");
        assert_eq!(rig.told(ws.conn), ["disconnect: forced close"], "{bad}");
        assert_eq!(rig.frames(ws), ["close"], "{bad}");
        assert_eq!(rig.told(ws.conn), ["closed: forced close, 0 undelivered"], "{bad}");
    }
    // CVE-2023-32695: the type of the name is checked.
    assert!(decode(r#"2[{"toString":"foo"}]"#).is_err());
    // B6: unknown to Engine.IO already.
    let (mut rig, ws) = joined();
    assert!(rig.say(ws, "9").is_err());
    assert_eq!(rig.told(ws.conn), ["disconnect: parse error", "closed: parse error, 0 undelivered"]);
}
