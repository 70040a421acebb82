//! An open session on a WebSocket.

use bytes::Bytes;
use sio_proto::engine::{CloseReason, Encoded, Message, PacketError, TransportError};
use sio_proto::socket::Encoder;

use super::{Rig, io};

#[test]
fn b4_messages_go_both_ways() {
    let mut rig = Rig::websocket();
    rig.say(0, "4hello").unwrap();
    rig.say_binary(0, b"raw").unwrap();
    rig.say(0, "bAQI=").unwrap();
    rig.say(0, "4").unwrap();
    assert_eq!(rig.told(), ["hello", "bin:raw", "bin:\u{1}\u{2}", ""]);
    assert!(rig.session.wants_packet() && rig.session.is_writable());
    rig.send("a").unwrap();
    assert!(!rig.session.wants_packet() && !rig.session.is_writable(), "one waits");
    rig.session.send(Encoded::message(&Message::Binary(Bytes::from_static(b"b")))).unwrap();
    assert_eq!(rig.frames(0), ["4a", "bin:b"]);
    assert!(rig.session.wants_packet());
    assert_eq!(rig.asked(), [""; 0], "nothing is polled or posted");
}

#[test]
fn b10_a_close_packet_and_other_nonsense_is_ignored() {
    let mut rig = Rig::websocket();
    for packet in ["1", "0", "0{}", "3", "3probe", "5", "6"] {
        rig.say(0, packet).unwrap();
    }
    assert_eq!((rig.told(), rig.frames(0)), (vec![], vec![]));
    assert!(rig.session.is_open());
}

#[test]
fn b6_what_is_not_a_packet_ends_the_session() {
    for (text, error) in
        [("", PacketError::Empty), ("9", PacketError::UnknownType('9')), ("b!", PacketError::InvalidBase64)]
    {
        let mut rig = Rig::websocket();
        assert_eq!(rig.say(0, text), Err(error.clone().into()));
        assert_eq!(rig.told(), [format!("parse error ({error}), 0 undelivered")]);
        assert_eq!(rig.asked(), ["abort 0"]);
        rig.assert_over();
    }
}

#[test]
fn b22_a_message_over_the_limit_ends_the_session() {
    let mut rig = Rig::websocket_with(|config| config.max_message_size = 100);
    rig.say(0, &"4".repeat(100)).unwrap();
    rig.told();
    assert_eq!(rig.say(0, &"4".repeat(101)), Err(TransportError::TooLarge { limit: 100 }));
    assert_eq!(rig.told(), ["transport error (message exceeds 100 bytes), 0 undelivered"]);
    assert_eq!(rig.asked(), ["abort 0"]);
    let mut rig = Rig::websocket_with(|config| config.max_message_size = 100);
    assert!(rig.say_binary(0, &[0; 101]).is_err());
}

#[test]
fn the_end_of_the_websocket_is_the_end() {
    for (error, reason) in [
        (TransportError::Closed, "transport close (server closed the transport)"),
        (io(), "transport error (reset)"),
    ] {
        let mut rig = Rig::websocket();
        rig.send("a").unwrap();
        rig.send("b").unwrap();
        rig.fail(0, error);
        assert_eq!(rig.told(), [format!("{reason}, 2 undelivered")]);
        assert_eq!(rig.asked(), [""; 0], "it is gone already");
        rig.assert_over();
    }
}

#[test]
fn the_layers_above_may_end_it_at_once() {
    let mut rig = Rig::websocket();
    rig.send("a").unwrap();
    rig.session.abort(CloseReason::ParseError, Some(TransportError::NotUtf8));
    assert_eq!(rig.told(), ["parse error (answer is not UTF-8), 1 undelivered"]);
    assert_eq!(rig.asked(), ["abort 0"]);
    rig.assert_over();

    let mut rig = Rig::probing();
    rig.send("a").unwrap();
    rig.asked();
    rig.session.abort(CloseReason::Overflow, None);
    assert_eq!(rig.told(), ["overflow, 0 undelivered"]);
    let mut asked = rig.asked();
    asked.sort();
    assert_eq!(asked, ["abort 1", "abort 2", "abort 3"]);
    rig.assert_over();
}

#[test]
fn b8_base64_can_be_had_on_a_websocket_too() {
    let mut rig = Rig::websocket_with(|config| config.force_base64 = true);
    let part = Bytes::from_static(&[1, 2]);
    let packet = Encoder::new().event("/", None, "e", &(part.clone(), part.clone())).unwrap();
    rig.session.send(packet).unwrap();
    rig.session.send(Encoded::message(&Message::Binary(part))).unwrap();
    rig.send("a").unwrap();
    let frames = rig.frames(0);
    assert!(frames[0].starts_with("452-"), "{frames:?}");
    assert_eq!(frames[1..], ["bAQI=", "bAQI=", "bAQI=", "4a"]);
}
