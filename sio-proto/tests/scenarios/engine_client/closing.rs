//! A close that lets what waits go out first.

use super::{OPEN, Rig, io};

const CLOSED: &str = "forced close, 0 undelivered";

#[test]
fn b50_polling_ends_by_a_post() {
    let mut rig = Rig::polling();
    rig.close();
    assert!(!rig.session.is_open() && !rig.session.is_closed());
    assert!(rig.send("late").is_err());
    assert!(!rig.session.wants_packet() && !rig.session.is_writable());
    assert_eq!(rig.asked(), ["post 2 1"]);
    assert_eq!(rig.told(), [""; 0], "its answer is awaited");
    rig.answer(1, "6").unwrap();
    assert_eq!(rig.asked(), [""; 0], "no more polls");
    rig.answer(2, "ok").unwrap();
    assert_eq!(rig.told(), [CLOSED]);
    assert_eq!(rig.asked(), [""; 0]);
    rig.assert_over();
}

#[test]
fn what_waits_goes_first_and_the_close_packet_alone() {
    let mut rig = Rig::polling();
    rig.send("a").unwrap();
    assert_eq!(rig.asked(), ["post 2 4a"]);
    rig.send(&"b".repeat(40)).unwrap();
    rig.send(&"c".repeat(40)).unwrap();
    rig.close();
    rig.close();
    assert_eq!(rig.asked(), [""; 0]);
    rig.answer(2, "ok").unwrap();
    assert_eq!(rig.asked(), [format!("post 3 4{}", "b".repeat(40))]);
    rig.answer(3, "ok").unwrap();
    assert_eq!(rig.asked(), [format!("post 4 4{}", "c".repeat(40))]);
    rig.answer(4, "ok").unwrap();
    assert_eq!(rig.asked(), ["post 5 1"]);
    rig.answer(5, "ok").unwrap();
    assert_eq!(rig.told(), [CLOSED]);
    assert_eq!(rig.asked(), ["abort 1"], "the poll");
    rig.assert_over();
}

#[test]
fn a_websocket_is_closed_after_what_waits() {
    let mut rig = Rig::websocket();
    rig.send("a").unwrap();
    rig.close();
    assert_eq!(rig.told(), [""; 0]);
    rig.say(0, "2").unwrap();
    assert_eq!(rig.frames(0), ["3", "4a", "close"]);
    assert_eq!(rig.told(), [CLOSED]);
    assert_eq!(rig.asked(), [""; 0], "it is closed, not dropped");
    rig.assert_over();
}

#[test]
fn what_arrives_meanwhile_is_ignored() {
    let mut rig = Rig::websocket();
    rig.send("a").unwrap();
    rig.close();
    rig.say(0, "4late").unwrap();
    assert_eq!(rig.told(), [""; 0]);
    let mut rig = Rig::polling();
    rig.close();
    assert_eq!(rig.asked(), ["post 2 1"]);
    rig.answer(1, "4late\u{1e}1\u{1e}9").unwrap();
    assert_eq!(rig.told(), [""; 0]);
    rig.answer(2, "ok").unwrap();
    assert_eq!(rig.told(), [CLOSED]);
}

#[test]
fn a_poll_that_fails_meanwhile_does_not_matter() {
    let mut rig = Rig::polling();
    rig.send("a").unwrap();
    rig.close();
    assert_eq!(rig.asked(), ["post 2 4a"]);
    rig.fail(1, io());
    rig.answer(2, "ok").unwrap();
    assert_eq!(rig.asked(), ["post 3 1"]);
    rig.answer(3, "ok").unwrap();
    assert_eq!(rig.told(), [CLOSED]);
    let mut rig = Rig::polling();
    rig.close();
    rig.asked();
    rig.status(1, 400, "").unwrap();
    assert_eq!(rig.told(), [""; 0]);
}

#[test]
fn a_post_that_fails_meanwhile_is_the_end() {
    let mut rig = Rig::polling();
    rig.send("a").unwrap();
    rig.close();
    rig.asked();
    rig.fail(2, io());
    assert_eq!(rig.told(), ["forced close (reset), 0 undelivered"]);
    assert_eq!(rig.asked(), ["abort 1"]);
    rig.assert_over();

    let mut rig = Rig::polling();
    rig.close();
    assert_eq!(rig.asked(), ["post 2 1"]);
    rig.status(2, 400, "").unwrap_err();
    assert_eq!(rig.told(), ["forced close (server answered with status 400), 0 undelivered"]);
    rig.asked();
    rig.assert_over();
}

#[test]
fn a_websocket_that_ends_meanwhile_is_the_end() {
    let mut rig = Rig::websocket();
    rig.send("a").unwrap();
    rig.close();
    rig.fail(0, io());
    assert_eq!(rig.told(), ["forced close (reset), 1 undelivered"]);
    rig.assert_over();
    let mut rig = Rig::websocket();
    rig.send("a").unwrap();
    rig.close();
    rig.say(0, "9").unwrap_err();
    assert_eq!(rig.told(), ["forced close (packet type '9' is unknown), 1 undelivered"]);
    assert_eq!(rig.asked(), ["abort 0"]);
    rig.assert_over();
}

#[test]
fn a_close_takes_no_longer_than_it_may() {
    for paused in [false, true] {
        let mut rig = Rig::polling();
        rig.pause(paused);
        rig.send("a").unwrap();
        rig.asked();
        rig.send("b").unwrap();
        rig.close();
        rig.pass_ms(4_999);
        assert_eq!(rig.told(), [""; 0]);
        rig.pass_ms(1);
        assert_eq!(rig.told(), ["forced close, 1 undelivered"]);
        assert_eq!(rig.asked(), ["abort 1", "abort 2"]);
        rig.assert_over();

        let mut rig = Rig::websocket();
        rig.pause(paused);
        rig.send("a").unwrap();
        rig.close();
        rig.pass_ms(5_000);
        assert_eq!(rig.told(), ["forced close, 1 undelivered"]);
        assert_eq!(rig.asked(), ["abort 0"]);
        rig.assert_over();
    }
}

#[test]
fn the_answer_to_the_close_packet_is_not_awaited_for_ever() {
    let mut rig = Rig::polling();
    rig.close();
    assert_eq!(rig.asked(), ["post 2 1"]);
    rig.pass_ms(5_000);
    assert_eq!(rig.told(), [CLOSED]);
    assert_eq!(rig.asked(), ["abort 1", "abort 2"]);
}

#[test]
fn a_closing_session_does_not_watch_the_server() {
    let mut rig = Rig::polling_with(|config| config.close_timeout = core::time::Duration::from_secs(100));
    rig.close();
    rig.asked();
    rig.pass_ms(99_999);
    assert!(rig.session.check_alive(rig.now));
    assert_eq!(rig.told(), [""; 0]);
    rig.pass_ms(1);
    assert_eq!(rig.told(), [CLOSED]);
}

#[test]
fn b67_a_close_drops_the_probe_and_ends_by_polling() {
    for step in 0..4 {
        let mut rig = Rig::new(sio_proto::engine::Transport::Polling);
        rig.asked();
        rig.answer(0, OPEN).unwrap();
        rig.told();
        assert_eq!(rig.asked(), ["ws 1", "get 2"]);
        if step > 0 {
            rig.open(1);
        }
        if step > 1 {
            assert_eq!(rig.frames(1), ["2probe"]);
        }
        if step > 2 {
            rig.say(1, "3probe").unwrap();
        }
        rig.send("a").unwrap();
        rig.close();
        assert_eq!(rig.asked(), ["abort 1", "post 3 4a"], "{step}");
        assert_eq!(rig.frames(1), [""; 0]);
        rig.say(1, "3probe").unwrap();
        rig.answer(2, "6").unwrap();
        rig.answer(3, "ok").unwrap();
        assert_eq!(rig.asked(), ["post 4 1"]);
        rig.answer(4, "ok").unwrap();
        assert_eq!(rig.told(), [CLOSED]);
        rig.assert_over();
    }
}

#[test]
fn a_probe_that_was_not_begun_is_not_dropped() {
    let mut rig = Rig::new(sio_proto::engine::Transport::Polling);
    rig.asked();
    rig.answer(0, OPEN).unwrap();
    rig.close();
    assert_eq!(rig.asked(), ["post 2 1"]);
}

#[test]
fn a_close_right_after_the_switch_tells_the_switch_first() {
    let mut rig = Rig::probing();
    rig.say(1, "3probe").unwrap();
    rig.send("a").unwrap();
    rig.answer(2, "6").unwrap();
    rig.close();
    assert_eq!(rig.frames(1), ["5", "4a", "close"]);
    assert_eq!(rig.told(), ["upgraded", CLOSED]);
    rig.assert_over();
}
