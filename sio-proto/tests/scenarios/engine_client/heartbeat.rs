//! Signs of life.

use sio_proto::engine::Transport;

use super::{OPEN, OPEN_STAY, Rig};

const TIMEOUT: &str = "ping timeout, 0 undelivered";

#[test]
fn b38_a_ping_is_answered_without_its_content_and_before_data() {
    let mut rig = Rig::websocket();
    rig.send("a").unwrap();
    rig.say(0, "2").unwrap();
    assert_eq!(rig.frames(0), ["3", "4a"]);
    rig.say(0, "2probe").unwrap();
    assert_eq!(rig.frames(0), ["3"]);

    let mut rig = Rig::polling();
    rig.send("a").unwrap();
    rig.answer(1, "2hello\u{1e}4b").unwrap();
    assert_eq!(rig.asked(), ["get 2", "post 3 3\u{1e}4a"]);
    assert_eq!(rig.told(), ["b"]);
}

#[test]
fn pings_that_wait_for_an_answer_get_one() {
    let mut rig = Rig::websocket();
    for _ in 0..1000 {
        rig.say(0, "2").unwrap();
    }
    assert_eq!(rig.frames(0), ["3"], "a server cannot fill the outbox");
    rig.say(0, "2").unwrap();
    assert_eq!(rig.frames(0), ["3"]);
}

#[test]
fn a_pong_is_no_undelivered_packet() {
    let mut rig = Rig::websocket();
    rig.say(0, "2").unwrap();
    rig.fail(0, super::io());
    assert_eq!(rig.told(), ["transport error (reset), 0 undelivered"]);
}

#[test]
fn b33_a_silent_server_is_given_up_after_interval_and_timeout() {
    let mut rig = Rig::websocket();
    rig.pass_ms(44_999);
    assert_eq!(rig.told(), [""; 0]);
    assert!(rig.session.is_open());
    rig.send("a").unwrap();
    rig.pass_ms(1);
    assert_eq!(rig.told(), ["ping timeout, 1 undelivered"]);
    assert_eq!(rig.asked(), ["abort 0"]);
    rig.assert_over();

    let mut rig = Rig::polling();
    rig.pass_ms(45_000);
    assert_eq!(rig.told(), [TIMEOUT]);
    assert_eq!(rig.asked(), ["abort 1"]);
    rig.assert_over();
}

#[test]
fn any_packet_is_a_sign_of_life() {
    for packet in ["2", "3", "4x", "6", "5", "0{}", "1"] {
        let mut rig = Rig::websocket();
        rig.pass_ms(44_999);
        rig.say(0, packet).unwrap();
        rig.told();
        rig.pass_ms(44_999);
        assert_eq!(rig.told(), [""; 0], "{packet}");
        rig.pass_ms(1);
        assert_eq!(rig.told(), [TIMEOUT], "{packet}");
    }
    let mut rig = Rig::websocket();
    rig.pass_ms(44_999);
    rig.say_binary(0, b"").unwrap();
    rig.pass_ms(44_999);
    assert_eq!(rig.told(), ["bin:"]);
}

#[test]
fn the_answer_to_a_post_is_none() {
    let mut rig = Rig::polling();
    rig.pass_ms(44_999);
    rig.send("x").unwrap();
    rig.asked();
    rig.answer(2, "ok").unwrap();
    rig.pass_ms(1);
    assert_eq!(rig.told(), [TIMEOUT]);
}

#[test]
fn the_handshake_begins_the_watch() {
    let mut rig = Rig::new(Transport::WebSocket);
    rig.asked();
    rig.pass_ms(100_000);
    rig.open(0);
    rig.pass_ms(100_000);
    rig.say(0, OPEN_STAY).unwrap();
    rig.pass_ms(44_999);
    assert_eq!(rig.told(), ["open"]);
    rig.pass_ms(1);
    assert_eq!(rig.told(), [TIMEOUT]);
}

#[test]
fn b40_the_clock_is_compared_before_sending() {
    let mut rig = Rig::websocket();
    rig.now += core::time::Duration::from_millis(44_999);
    assert!(rig.session.check_alive(rig.now));
    assert_eq!(rig.told(), [""; 0]);
    // The timer did not fire in time.
    rig.now += core::time::Duration::from_millis(1);
    assert!(!rig.session.check_alive(rig.now));
    assert_eq!(rig.told(), [TIMEOUT]);
    assert_eq!(rig.asked(), ["abort 0"]);
    rig.assert_over();
}

#[test]
fn a_paused_session_does_not_expire_and_starts_anew() {
    let mut rig = Rig::websocket();
    rig.pause(true);
    assert_eq!(rig.session.poll_timeout(), None);
    rig.pass_ms(100_000);
    rig.session.handle_timeout(rig.now);
    assert!(rig.session.check_alive(rig.now));
    rig.pause(false);
    rig.pause(false);
    rig.pass_ms(44_999);
    assert_eq!(rig.told(), [""; 0]);
    rig.pass_ms(1);
    assert_eq!(rig.told(), [TIMEOUT]);
}

#[test]
fn to_say_that_it_reads_renews_nothing() {
    let mut rig = Rig::websocket();
    rig.pass_ms(44_999);
    rig.pause(false);
    rig.pass_ms(1);
    assert_eq!(rig.told(), [TIMEOUT]);
}

#[test]
fn a_paused_session_may_open() {
    let mut rig = Rig::new(Transport::WebSocket);
    rig.asked();
    rig.pause(true);
    rig.say(0, OPEN).unwrap();
    rig.pass_ms(100_000);
    assert_eq!(rig.told(), ["open"]);
    rig.pause(false);
    rig.pass_ms(45_000);
    assert_eq!(rig.told(), [TIMEOUT]);
}
