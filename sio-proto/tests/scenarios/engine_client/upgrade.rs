//! From polling to WebSocket.

use sio_proto::engine::{PacketError, Transport, TransportError};

use super::{OPEN, Rig, io};

const PROBE_FAILED: &str = "not upgraded: unexpected packet on a probing transport";

/// Whatever went wrong, the session goes on with polling.
fn assert_polls(rig: &mut Rig, get: u64) {
    rig.send("on").unwrap();
    assert_eq!(rig.asked().last(), Some(&format!("post {} 4on", get + 1)));
    rig.answer(get + 1, "ok").unwrap();
    rig.answer(get, "4yes").unwrap();
    assert_eq!(rig.told(), ["yes"]);
    assert_eq!(rig.asked(), [format!("get {}", get + 2)]);
    assert_eq!(rig.session.transport(), Some(Transport::Polling));
    assert!(!rig.session.upgraded());
    rig.pass_ms(30_000);
    assert_eq!(rig.told(), [""; 0]);
    assert_eq!(rig.asked(), [""; 0], "it is not tried again");
}

#[test]
fn b61_b62_the_whole_way() {
    let mut rig = Rig::probing();
    rig.send("by post").unwrap();
    assert_eq!(rig.asked(), ["post 3 4by post"]);
    rig.say(1, "3probe").unwrap();
    rig.send("a").unwrap();
    assert!(!rig.session.wants_packet() && !rig.session.is_writable());
    assert_eq!(rig.asked(), [""; 0], "no new POST");
    rig.answer(2, "4last poll\u{1e}6").unwrap();
    assert_eq!(rig.asked(), [""; 0], "no new GET");
    assert_eq!(rig.frames(1), [""; 0], "the POST is awaited");
    assert_eq!(rig.session.transport(), Some(Transport::Polling));
    rig.answer(3, "ok").unwrap();
    assert_eq!(rig.told(), ["last poll", "upgraded"]);
    assert_eq!(rig.session.transport(), Some(Transport::WebSocket));
    assert!(rig.session.upgraded());
    rig.send("b").unwrap();
    assert_eq!(rig.frames(1), ["5", "4a", "4b"]);
    assert!(rig.session.wants_packet() && rig.session.is_writable());
    rig.say(1, "4c").unwrap();
    assert_eq!(rig.told(), ["c"]);
    assert_eq!(rig.asked(), [""; 0]);
    rig.pass_ms(40_000);
    assert_eq!(rig.told(), [""; 0], "the probe's time does not matter any more");
}

#[test]
fn the_get_is_awaited_too() {
    let mut rig = Rig::probing();
    assert!(rig.session.wants_packet() && rig.session.is_writable());
    rig.say(1, "3probe").unwrap();
    assert!(!rig.session.wants_packet() && !rig.session.is_writable());
    rig.send("a").unwrap();
    assert_eq!(rig.frames(1), [""; 0]);
    assert_eq!(rig.asked(), [""; 0], "no new POST either");
    rig.answer(2, "6").unwrap();
    assert_eq!(rig.told(), ["upgraded"]);
    assert_eq!(rig.frames(1), ["5", "4a"]);
}

#[test]
fn the_switch_is_told_before_a_pong_goes_out() {
    let mut rig = Rig::probing();
    rig.say(1, "3probe").unwrap();
    rig.send("a").unwrap();
    rig.answer(2, "2\u{1e}6").unwrap();
    assert_eq!(rig.frames(1), ["5", "3", "4a"], "B64: anything else first would be refused");
}

#[test]
fn without_a_poll_under_way_the_switch_comes_at_once() {
    let mut rig = Rig::probing();
    rig.pause(true);
    rig.answer(2, "4a").unwrap();
    assert_eq!(rig.asked(), [""; 0]);
    rig.say(1, "3probe").unwrap();
    assert_eq!(rig.told(), ["a", "upgraded"]);
    assert_eq!(rig.frames(1), ["5"]);
}

#[test]
fn polls_go_on_while_the_probe_is_under_way() {
    let mut rig = Rig::probing();
    rig.answer(2, "4a").unwrap();
    rig.send("x").unwrap();
    assert_eq!(rig.asked(), ["get 3", "post 4 4x"]);
    assert!(rig.session.is_open());
}

#[test]
fn no_upgrade_unless_both_sides_want_it() {
    for what in 0..3 {
        let mut rig = Rig::with(Transport::Polling, |config| match what {
            0 => config.upgrade = false,
            1 => config.transports = vec![Transport::Polling],
            _ => {}
        });
        rig.asked();
        let open = if what == 2 { OPEN.replace("websocket", "webtransport") } else { OPEN.into() };
        rig.answer(0, open).unwrap();
        assert_eq!(rig.asked(), ["get 1"], "{what}");
    }
}

#[test]
fn b69_a_websocket_that_cannot_be_opened_changes_nothing() {
    let mut rig = Rig::with(Transport::Polling, |_| {});
    rig.asked();
    rig.answer(0, OPEN).unwrap();
    rig.asked();
    rig.fail(1, TransportError::Status { status: 400, code: None, message: None });
    assert_eq!(rig.told(), ["open", "not upgraded: server answered with status 400"]);
    assert_polls(&mut rig, 2);
}

#[test]
fn b69_any_other_answer_drops_the_probe() {
    for answer in ["3", "3prob", "3probe ", "4a", "1", "2probe", "6", "5", "", "9"] {
        let mut rig = Rig::probing();
        assert_eq!(rig.say(1, answer), Err(TransportError::UnexpectedProbe), "{answer}");
        assert_eq!(rig.told(), [PROBE_FAILED]);
        assert_eq!(rig.asked(), ["abort 1"]);
        rig.say(1, "3probe").unwrap();
        assert_polls(&mut rig, 2);
    }
    let mut rig = Rig::probing();
    assert_eq!(rig.say_binary(1, b"3probe"), Err(TransportError::UnexpectedProbe));
    assert_eq!(rig.asked(), ["abort 1"]);
}

#[test]
fn b69_an_answer_before_the_question_drops_the_probe() {
    for open in [false, true] {
        let mut rig = Rig::new(Transport::Polling);
        rig.asked();
        rig.answer(0, OPEN).unwrap();
        rig.asked();
        if open {
            rig.open(1);
        }
        assert_eq!(rig.say(1, "3probe"), Err(TransportError::UnexpectedProbe));
        assert_eq!(rig.frames(1), [""; 0]);
        assert_eq!(rig.told(), ["open", PROBE_FAILED]);
    }
}

#[test]
fn b69_a_probe_that_breaks_changes_nothing() {
    for error in [io(), TransportError::Closed] {
        for switching in [false, true] {
            let mut rig = Rig::probing();
            if switching {
                rig.say(1, "3probe").unwrap();
                rig.send("kept").unwrap();
            }
            rig.fail(1, error.clone());
            assert_eq!(rig.told(), [format!("not upgraded: {error}")]);
            if switching {
                assert_eq!(rig.asked(), ["post 3 4kept"], "posts go on, and nothing is dropped");
            } else {
                assert_polls(&mut rig, 2);
            }
        }
    }
}

#[test]
fn a_message_over_the_limit_drops_the_probe() {
    let mut rig = Rig::probing_with(|config| config.max_message_size = 150);
    assert_eq!(rig.say(1, &"3".repeat(151)), Err(TransportError::TooLarge { limit: 150 }));
    assert_eq!(rig.told(), ["not upgraded: message exceeds 150 bytes"]);
    assert_polls(&mut rig, 2);
}

#[test]
fn b68_a_probe_may_take_too_long() {
    // Until it is open.
    let mut rig = Rig::new(Transport::Polling);
    rig.asked();
    rig.answer(0, OPEN).unwrap();
    rig.asked();
    rig.pass_ms(9_999);
    assert_eq!(rig.told(), ["open"]);
    rig.pass_ms(1);
    assert_eq!(rig.told(), ["not upgraded: probe timed out"]);
    assert_eq!(rig.asked(), ["abort 1"]);
    rig.open(1);
    assert_eq!(rig.frames(1), [""; 0]);
    assert_polls(&mut rig, 2);

    // And from then on, once.
    for switching in [false, true] {
        let mut rig = Rig::probing();
        rig.pass_ms(5_000);
        rig.open(1);
        assert_eq!(rig.frames(1), [""; 0]);
        if switching {
            rig.say(1, "3probe").unwrap();
            rig.send("kept").unwrap();
        }
        rig.pass_ms(4_999);
        assert_eq!(rig.told(), [""; 0]);
        rig.pass_ms(1);
        assert_eq!(rig.told(), ["not upgraded: probe timed out"]);
        let expected = if switching { vec!["abort 1", "post 3 4kept"] } else { vec!["abort 1"] };
        assert_eq!(rig.asked(), expected);
    }
}

#[test]
fn the_time_to_open_and_the_time_to_switch_are_two() {
    let mut rig = Rig::new(Transport::Polling);
    rig.asked();
    rig.answer(0, OPEN).unwrap();
    rig.asked();
    rig.pass_ms(9_999);
    rig.open(1);
    rig.pass_ms(9_999);
    assert_eq!(rig.told(), ["open"]);
    rig.pass_ms(1);
    assert_eq!(rig.told(), ["not upgraded: probe timed out"]);
}

#[test]
fn a_probe_of_a_paused_session_waits() {
    let mut rig = Rig::probing();
    rig.pause(true);
    rig.pass_ms(100_000);
    rig.pause(false);
    rig.pass_ms(9_999);
    assert_eq!(rig.told(), [""; 0]);
    rig.pass_ms(1);
    assert_eq!(rig.told(), ["not upgraded: probe timed out"]);
}

#[test]
fn if_polling_fails_during_the_switch_that_is_the_end() {
    for body in ["", "9"] {
        let mut rig = Rig::probing();
        rig.say(1, "3probe").unwrap();
        rig.send("lost").unwrap();
        rig.answer(2, body).unwrap_err();
        assert_eq!(rig.told().len(), 1);
        assert_eq!(rig.asked(), ["abort 1"]);
        assert_eq!(rig.frames(1), [""; 0]);
        rig.assert_over();
    }
    let mut rig = Rig::probing();
    rig.say(1, "3probe").unwrap();
    rig.send("lost").unwrap();
    rig.fail(2, io());
    assert_eq!(rig.told(), ["transport error (reset), 1 undelivered"]);
    assert_eq!(rig.asked(), ["abort 1"]);
    rig.assert_over();
}

#[test]
fn a_close_packet_in_the_last_poll_ends_the_session() {
    let mut rig = Rig::probing();
    rig.say(1, "3probe").unwrap();
    rig.answer(2, "1").unwrap();
    assert_eq!(rig.told(), ["transport close (server closed the transport), 0 undelivered"]);
    assert_eq!(rig.asked(), ["abort 1"]);
    assert_eq!(rig.frames(1), [""; 0]);
    rig.assert_over();
}

#[test]
fn b66_early_messages_come_after_those_of_the_last_poll() {
    let mut rig = Rig::probing();
    rig.say(1, "3probe").unwrap();
    rig.say(1, "4c").unwrap();
    rig.say_binary(1, b"d").unwrap();
    rig.say(1, "6").unwrap();
    rig.say(1, "2").unwrap();
    assert_eq!(rig.told(), [""; 0]);
    rig.answer(2, "4a\u{1e}4b").unwrap();
    assert_eq!(rig.told(), ["a", "b", "upgraded", "c", "bin:d"]);
}

#[test]
fn early_messages_are_bounded() {
    let mut rig = Rig::probing_with(|config| config.max_message_size = 1000);
    rig.say(1, "3probe").unwrap();
    let error = (0..100).find_map(|_| rig.say(1, "4x").err());
    assert_eq!(error, Some(TransportError::TooLarge { limit: 1000 }));
    assert_eq!(rig.told(), ["transport error (message exceeds 1000 bytes), 0 undelivered"]);
    let mut asked = rig.asked();
    asked.sort();
    assert_eq!(asked, ["abort 1", "abort 2"]);
    rig.assert_over();

    let mut rig = Rig::probing_with(|config| config.max_message_size = 120);
    rig.say(1, "3probe").unwrap();
    rig.say(1, &"4".repeat(120)).unwrap();
    rig.answer(2, "6").unwrap();
    assert_eq!(rig.told().len(), 2, "one always fits");
}

#[test]
fn a_server_that_has_switched_already_cannot_go_back() {
    for how in 0..3 {
        let mut rig = Rig::probing();
        rig.say(1, "3probe").unwrap();
        rig.say(1, "4early").unwrap();
        let (reason, dropped) = match how {
            0 => {
                rig.fail(1, io());
                ("transport error (reset)", vec!["abort 2"])
            }
            1 => {
                assert_eq!(rig.say(1, "9"), Err(PacketError::UnknownType('9').into()));
                ("parse error (packet type '9' is unknown)", vec!["abort 1", "abort 2"])
            }
            _ => {
                rig.pass_ms(10_000);
                ("transport error (probe timed out)", vec!["abort 1", "abort 2"])
            }
        };
        assert_eq!(rig.told(), [format!("{reason}, 0 undelivered")]);
        let mut asked = rig.asked();
        asked.sort();
        assert_eq!(asked, dropped);
        rig.assert_over();
    }
}

#[test]
fn a_bad_packet_during_the_switch_drops_the_probe() {
    let mut rig = Rig::probing();
    rig.say(1, "3probe").unwrap();
    assert_eq!(rig.say(1, "9"), Err(PacketError::UnknownType('9').into()));
    assert_eq!(rig.told(), ["not upgraded: packet type '9' is unknown"]);
    assert_polls(&mut rig, 2);
}

#[test]
fn a_probe_is_a_sign_of_life() {
    let mut rig = Rig::new(Transport::Polling);
    rig.asked();
    rig.answer(0, OPEN).unwrap();
    rig.asked();
    rig.pass_ms(5_000);
    rig.open(1);
    rig.frames(1);
    rig.say(1, "3probe").unwrap();
    rig.pass_ms(44_999);
    assert_eq!(rig.told(), ["open", "not upgraded: probe timed out"]);
    rig.pass_ms(1);
    assert_eq!(rig.told(), ["ping timeout, 0 undelivered"]);
}
