//! An open session that polls.

use std::time::Duration;

use bytes::Bytes;
use sio_proto::engine::{Encoded, Message, PacketError, TransportError};
use sio_proto::socket::Encoder;

use super::Rig;

#[test]
fn b60_one_get_at_a_time() {
    let mut rig = Rig::polling();
    assert_eq!(rig.asked(), [""; 0]);
    rig.answer(1, "4a\u{1e}bAQI=\u{1e}6\u{1e}4b").unwrap();
    assert_eq!(rig.told(), ["a", "bin:\u{1}\u{2}", "b"]);
    assert_eq!(rig.asked(), ["get 2"]);
}

#[test]
fn b60_one_post_at_a_time() {
    let mut rig = Rig::polling();
    rig.send("a").unwrap();
    assert!(!rig.session.is_writable(), "one is before it");
    assert!(rig.session.wants_packet(), "and there is room beside it");
    rig.send("b").unwrap();
    assert_eq!(rig.asked(), ["post 2 4a\u{1e}4b"]);
    rig.send("c").unwrap();
    assert!(!rig.session.is_writable() && !rig.session.wants_packet());
    assert_eq!(rig.asked(), [""; 0]);
    rig.answer(2, "ok").unwrap();
    assert_eq!(rig.asked(), ["post 3 4c"]);
    rig.answer(3, "whatever").unwrap();
    assert!(rig.session.is_writable() && rig.session.wants_packet());
    assert_eq!(rig.told(), [""; 0]);
}

#[test]
fn b59_a_body_is_no_larger_than_the_server_takes() {
    let mut rig = Rig::polling();
    // 24 + 1 + 25 are 50, with the separator.
    rig.send(&"a".repeat(23)).unwrap();
    rig.send(&"b".repeat(24)).unwrap();
    rig.send("c").unwrap();
    assert!(!rig.session.wants_packet(), "that is enough");
    let first = format!("post 2 4{}\u{1e}4{}", "a".repeat(23), "b".repeat(24));
    assert_eq!(rig.asked(), [first]);
    rig.answer(2, "ok").unwrap();
    assert!(rig.session.wants_packet());
    assert_eq!(rig.asked(), ["post 3 4c"]);

    rig.answer(3, "ok").unwrap();
    rig.send(&"a".repeat(23)).unwrap();
    rig.send(&"b".repeat(25)).unwrap();
    assert_eq!(rig.asked(), [format!("post 4 4{}", "a".repeat(23))]);
    rig.answer(4, "ok").unwrap();
    assert_eq!(rig.asked(), [format!("post 5 4{}", "b".repeat(25))]);
}

#[test]
fn b59_binary_counts_as_base64() {
    let mut rig = Rig::polling();
    // 1 + 24 characters each, and a separator: 51.
    for _ in 0..2 {
        rig.session.send(Encoded::message(&Message::Binary(Bytes::from_static(&[0; 18])))).unwrap();
    }
    assert_eq!(rig.asked(), [format!("post 2 b{}", "A".repeat(24))]);
}

#[test]
fn b59_the_first_packet_is_sent_however_large() {
    let mut rig = Rig::polling();
    rig.send(&"x".repeat(100)).unwrap();
    rig.send("y").unwrap();
    assert_eq!(rig.asked(), [format!("post 2 4{}", "x".repeat(100))]);
    rig.answer(2, "ok").unwrap();
    assert_eq!(rig.asked(), ["post 3 4y"]);
}

#[test]
fn b59_attachments_that_do_not_fit_follow_one_by_one() {
    let mut rig = Rig::polling();
    let part = || Bytes::from_static(&[0; 18]);
    let packet = Encoder::new().event("/", None, "e", &(part(), part(), part())).unwrap();
    rig.send("first").unwrap();
    rig.session.send(packet).unwrap();
    rig.send("last").unwrap();
    let mut bodies = Vec::new();
    for channel in 2..20 {
        let asked = rig.asked();
        let Some(body) = asked.first() else { break };
        bodies.push(body.split_once(' ').unwrap().1.split_once(' ').unwrap().1.to_owned());
        rig.answer(channel, "ok").unwrap();
    }
    let binary = format!("b{}", "A".repeat(24));
    assert_eq!(bodies[0], "4first");
    assert!(bodies[1].starts_with("453-"), "{}", bodies[1]);
    let rest = [binary.clone(), binary.clone(), format!("{binary}\u{1e}4last")];
    assert_eq!(bodies[2..], rest);
    assert!(rig.session.is_writable() && rig.session.wants_packet(), "all is accounted for");
}

#[test]
fn b54_what_the_server_sends_is_not_bound_by_what_it_takes() {
    let mut rig = Rig::polling();
    rig.answer(1, format!("4{}", "x".repeat(1000))).unwrap();
    assert_eq!(rig.told().len(), 1);
}

#[test]
fn an_answer_over_the_limit_ends_the_session() {
    let mut rig = Rig::polling_with(|config| config.max_message_size = 200);
    rig.answer(1, format!("4{}", "x".repeat(199))).unwrap();
    assert_eq!((rig.told().len(), rig.asked().len()), (1, 1));
    let error = TransportError::TooLarge { limit: 200 };
    assert_eq!(rig.answer(2, format!("4{}", "x".repeat(200))), Err(error));
    assert_eq!(rig.told(), ["transport error (message exceeds 200 bytes), 0 undelivered"]);
    rig.assert_over();
}

#[test]
fn too_many_packets_in_one_answer_end_the_session() {
    const LIMIT: usize = 1 << 19;
    let mut rig = Rig::polling();
    rig.answer(1, "6\u{1e}".repeat(LIMIT - 1) + "4x").unwrap();
    assert_eq!((rig.told(), rig.asked()), (vec!["x".into()], vec!["get 2".into()]));
    let error = TransportError::TooManyPackets { limit: LIMIT };
    assert_eq!(rig.answer(2, "6\u{1e}".repeat(LIMIT) + "4x"), Err(error));
}

#[test]
fn b7_packets_before_a_bad_one_count() {
    let mut rig = Rig::polling();
    let error = TransportError::Packet(PacketError::UnknownType('9'));
    assert_eq!(rig.answer(1, "4a\u{1e}9\u{1e}4b"), Err(error));
    assert_eq!(rig.told(), ["a", "parse error (packet type '9' is unknown), 0 undelivered"]);
    assert_eq!(rig.asked(), [""; 0], "no poll any more");
    rig.assert_over();
}

#[test]
fn b6_an_empty_answer_is_a_parse_error() {
    let mut rig = Rig::polling();
    assert_eq!(rig.answer(1, ""), Err(TransportError::Packet(PacketError::Empty)));
    assert_eq!(rig.told(), ["parse error (packet is empty), 0 undelivered"]);
}

#[test]
fn b11_packets_after_a_close_do_not_count() {
    let mut rig = Rig::polling();
    rig.send("a").unwrap();
    rig.asked();
    rig.send("b").unwrap();
    rig.answer(1, "4a\u{1e}1\u{1e}4b\u{1e}9").unwrap();
    assert_eq!(rig.told(), ["a", "transport close (server closed the transport), 1 undelivered"]);
    assert_eq!(rig.asked(), ["abort 2"], "the POST that is under way");
    rig.assert_over();
}

#[test]
fn b60_an_error_status_ends_the_session() {
    let mut rig = Rig::polling();
    rig.send("a").unwrap();
    assert_eq!(rig.asked(), ["post 2 4a"]);
    rig.status(2, 413, "").unwrap_err();
    assert_eq!(rig.told(), ["transport error (server answered with status 413), 0 undelivered"]);
    assert_eq!(rig.asked(), ["abort 1"]);
    rig.assert_over();

    let mut rig = Rig::polling();
    rig.send("a").unwrap();
    rig.asked();
    rig.status(1, 400, r#"{"code":1,"message":"Session ID unknown"}"#).unwrap_err();
    let told = ["transport error (server answered with status 400: Session ID unknown), 0 undelivered"];
    assert_eq!(rig.told(), told);
    assert_eq!(rig.asked(), ["abort 2"]);
}

#[test]
fn a_request_that_breaks_ends_the_session() {
    for channel in [1, 2] {
        let mut rig = Rig::polling();
        rig.send("a").unwrap();
        rig.asked();
        rig.send("b").unwrap();
        rig.send("c").unwrap();
        rig.fail(channel, super::io());
        assert_eq!(rig.told(), ["transport error (reset), 2 undelivered"]);
        assert_eq!(rig.asked(), [format!("abort {}", 3 - channel)]);
        rig.assert_over();
    }
}

#[test]
fn packets_that_make_no_sense_are_ignored() {
    let mut rig = Rig::polling();
    rig.answer(1, "3\u{1e}3probe\u{1e}5\u{1e}6\u{1e}0\u{1e}0{}").unwrap();
    assert_eq!(rig.told(), [""; 0]);
    assert_eq!(rig.asked(), ["get 2"]);
}

#[test]
fn answers_to_nothing_are_ignored() {
    let mut rig = Rig::polling();
    rig.answer(0, "9").unwrap();
    rig.answer(7, "9").unwrap();
    rig.say(7, "9").unwrap();
    rig.say(1, "9").unwrap();
    rig.fail(7, super::io());
    rig.open(7);
    rig.open(1);
    assert_eq!(rig.frames(1), [""; 0]);
    assert_eq!((rig.told(), rig.asked()), (vec![], vec![]));
}

#[test]
fn requests_may_take_too_long() {
    let three = |config: &mut sio_proto::engine::ClientConfig| {
        config.request_timeout = Some(Duration::from_secs(3));
    };
    let mut rig = Rig::polling_with(three);
    rig.pass_ms(2_000);
    rig.answer(1, "6").unwrap();
    assert_eq!(rig.asked(), ["get 2"]);
    rig.pass_ms(2_999);
    assert_eq!(rig.told(), [""; 0]);
    rig.pass_ms(1);
    assert_eq!(rig.told(), ["transport error (request timed out), 0 undelivered"]);
    assert_eq!(rig.asked(), ["abort 2"]);
    rig.assert_over();

    // A POST's time counts from when the session could know it, also if nothing was heard for long.
    let mut rig = Rig::polling_with(three);
    rig.now += Duration::from_millis(2_500);
    rig.send("a").unwrap();
    assert_eq!(rig.asked(), ["post 2 4a"]);
    assert!(rig.session.poll_timeout() <= Some(rig.now), "the time is asked for");
    rig.pass_ms(0);
    rig.answer(1, "6").unwrap();
    assert_eq!(rig.asked(), ["get 3"]);
    rig.pass_ms(2_900);
    rig.answer(3, "6").unwrap();
    assert_eq!(rig.asked(), ["get 4"]);
    rig.pass_ms(99);
    assert_eq!(rig.told(), [""; 0]);
    rig.pass_ms(1);
    assert_eq!(rig.told(), ["transport error (request timed out), 0 undelivered"]);
    let mut asked = rig.asked();
    asked.sort();
    assert_eq!(asked, ["abort 2", "abort 4"]);
}

#[test]
fn a_request_timeout_of_zero_does_not_stop_time() {
    let mut rig = Rig::with(sio_proto::engine::Transport::Polling, |config| {
        config.request_timeout = Some(Duration::ZERO);
    });
    assert_eq!(rig.asked(), ["get 0"]);
    rig.pass_ms(0);
    assert_eq!(rig.told(), [""; 0]);
    rig.pass_ms(1);
    assert_eq!(rig.told(), ["transport error (request timed out), 0 undelivered"]);
}

#[test]
fn an_owner_that_does_not_read_is_not_polled_for() {
    let mut rig = Rig::polling_with(|config| config.request_timeout = Some(Duration::from_secs(3)));
    rig.pause(true);
    rig.pass_ms(100_000);
    assert_eq!(rig.told(), [""; 0], "nothing times out");
    assert!(rig.session.check_alive(rig.now));
    rig.answer(1, "4a").unwrap();
    assert_eq!(rig.told(), ["a"]);
    assert_eq!(rig.asked(), [""; 0], "no poll");
    rig.send("x").unwrap();
    assert_eq!(rig.asked(), ["post 2 4x"], "but what we send goes out");
    rig.pass_ms(100_000);
    rig.pause(false);
    assert_eq!(rig.asked(), ["get 3"]);
    rig.pass_ms(2_999);
    assert_eq!(rig.told(), [""; 0], "all waiting begins anew");
    rig.pass_ms(1);
    assert_eq!(rig.told(), ["transport error (request timed out), 0 undelivered"]);
}
