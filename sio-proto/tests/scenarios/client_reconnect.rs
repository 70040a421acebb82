//! What makes a client come back, how soon, and what does not.

use std::time::Duration;

use sio_proto::client::Event;
use sio_proto::engine::{CloseReason, Transport, TransportError};
use sio_proto::socket::{ConnectionError, Emitted, SocketConfig};

use crate::common::hand::{Hand, broken};

/// A client that wants to join `/`.
fn active(hand: &mut Hand) -> sio_proto::socket::Slot {
    let slot = hand.client.socket("/", SocketConfig::default());
    hand.connect(slot);
    slot
}

#[test]
fn waits_grow_up_to_the_longest() {
    let mut seen = [(u128::MAX, 0); 5];
    let mut hand = Hand::new();
    let slot = active(&mut hand);
    for _ in 0..40 {
        hand.open();
        hand.say(r#"40{"sid":"s"}"#);
        assert!(hand.client.conn().is_connected(slot));
        hand.break_off();
        hand.told();
        for seen in &mut seen {
            let wait = hand.wait_for_attempt().as_millis();
            *seen = (seen.0.min(wait), seen.1.max(wait));
            hand.dial();
            hand.break_off();
            hand.told();
        }
        hand.wait_for_attempt();
    }
    for (seen, range) in
        seen.iter().zip([(500, 1500), (1000, 3000), (2000, 5000), (4000, 5000), (5000, 5000)])
    {
        assert!(range.0 <= seen.0 && seen.1 <= range.1, "{seen:?} in {range:?}");
    }
}

#[test]
fn a_server_that_accepts_and_drops_is_not_hammered() {
    let mut hand = Hand::with(|_, config| config.reconnection_attempts = Some(4));
    active(&mut hand);
    let mut waits = Vec::new();
    for _ in 0..4 {
        hand.open();
        assert_eq!(hand.frames(), ["40"]);
        hand.break_off();
        let told = hand.told();
        assert!(told.contains(&"connect_error: broken".into()), "{told:?}");
        waits.push(hand.wait_for_attempt());
    }
    assert!(waits[3] >= Duration::from_secs(4), "not B136: {waits:?}");
    assert!(waits[0] < waits[2] && waits[1] < waits[3], "{waits:?}");
    hand.open();
    hand.break_off();
    assert_eq!(
        hand.told(),
        ["reconnect 4", "connect_error: broken", "closed: transport error", "reconnect_failed"]
    );
    hand.assert_quiet();
    // Somebody asks for it: all begins anew.
    let slot = active(&mut hand);
    hand.dial();
    hand.break_off();
    assert_eq!(hand.told(), ["connect_error: broken"]);
    assert!(hand.wait_for_attempt() <= Duration::from_millis(1500));
    hand.open();
    hand.say(r#"40{"sid":"s"}"#);
    assert!(hand.client.conn().is_connected(slot));
}

#[test]
fn attempts_are_counted_until_a_namespace_is_joined() {
    let mut hand = Hand::with(|_, config| config.reconnection_attempts = Some(2));
    active(&mut hand);
    hand.dial();
    for _ in 0..5 {
        hand.break_off();
        hand.told();
        hand.wait_for();
        assert_eq!(hand.told(), ["attempt 1"]);
        hand.dial();
        hand.break_off();
        hand.told();
        hand.wait_for();
        assert_eq!(hand.told(), ["attempt 2"]);
        hand.open();
        hand.frames();
        hand.say(r#"40{"sid":"s"}"#);
        assert_eq!(hand.told(), ["reconnect 2", "connect"]);
    }
    hand.break_off();
    hand.told();
    hand.wait_for_attempt();
    // This is the first attempt; the second one is the last.
    hand.dial();
    hand.break_off();
    hand.told();
    hand.wait_for_attempt();
    hand.dial();
    hand.break_off();
    assert_eq!(hand.told(), ["connect_error: broken", "reconnect_error: broken", "reconnect_failed"]);
    hand.assert_quiet();
}

#[test]
fn without_attempts_or_reconnection_it_gives_up_at_once() {
    let mut hand = Hand::with(|_, config| config.reconnection_attempts = Some(0));
    active(&mut hand);
    hand.dial();
    hand.break_off();
    assert_eq!(hand.told(), ["connect_error: broken", "reconnect_failed"]);
    hand.assert_quiet();

    let mut hand = Hand::with(|_, config| config.reconnection = false);
    let slot = active(&mut hand);
    hand.dial();
    hand.break_off();
    assert_eq!(hand.told(), ["connect_error: broken"]);
    hand.assert_quiet();
    assert!(hand.client.conn().is_active(slot));
    hand.connect(slot);
    hand.open();
    hand.say(r#"40{"sid":"s"}"#);
    hand.break_off();
    assert_eq!(hand.told(), ["connect", "disconnect: transport error", "closed: transport error"]);
    hand.assert_quiet();
}

#[test]
fn a_running_wait_can_be_stopped() {
    let (mut hand, slot) = Hand::joined();
    hand.break_off();
    hand.told();
    assert!(hand.client.poll_timeout().is_some());
    hand.client.set_reconnection(false);
    hand.assert_quiet();
    hand.client.set_reconnection(true);
    hand.connect(slot);
    hand.dial();
}

#[test]
fn every_reason_of_the_connection_brings_it_back() {
    type End = fn(&mut Hand);
    let ends: [(End, &str); 5] = [
        (|hand| hand.fail(TransportError::Closed), "transport close"),
        (|hand| hand.fail(broken()), "transport error"),
        (|hand| hand.pass_ms(45_000), "ping timeout"),
        (|hand| drop(hand.try_say("4nonsense")), "parse error"),
        (|hand| drop(hand.try_say("x")), "parse error"),
    ];
    for (end, reason) in ends {
        let (mut hand, slot) = Hand::joined();
        hand.ask(slot, "q", Some(0), None).unwrap();
        hand.frames();
        end(&mut hand);
        let told = hand.told();
        let expected =
            ["ack 0 Disconnected".into(), format!("disconnect: {reason}"), format!("closed: {reason}")];
        assert_eq!(told, expected);
        assert!(!hand.client.conn().is_connected(slot) && hand.client.conn().is_active(slot));
        assert!(hand.wait_for_attempt() <= Duration::from_millis(1500));
        hand.requests();
    }
}

#[test]
fn neither_side_s_disconnect_does() {
    let (mut hand, slot) = Hand::joined();
    hand.say("41");
    assert_eq!(hand.told(), ["disconnect: io server disconnect"]);
    assert!(!hand.client.conn().is_active(slot));
    assert_eq!(hand.frames(), ["close"], "it was the last one");
    hand.fail(TransportError::Closed);
    assert_eq!(hand.told(), ["closed: forced close"]);
    hand.assert_quiet();

    let (mut hand, slot) = Hand::joined();
    hand.emit(slot, "bye").unwrap();
    hand.disconnect(slot);
    assert_eq!(hand.told(), ["disconnect: io client disconnect"]);
    assert_eq!(hand.frames(), [r#"42["bye"]"#, "41", "close"], "B141");
    hand.fail(TransportError::Closed);
    hand.told();
    hand.assert_quiet();
    assert_eq!(hand.emit(slot, "later"), Ok(Emitted::Buffered));
    hand.connect(slot);
    hand.open();
    hand.say(r#"40{"sid":"s2"}"#);
    assert_eq!(hand.frames(), ["40", r#"42["later"]"#]);
}

#[test]
fn b40_timers_may_be_late() {
    let (mut hand, slot) = Hand::joined();
    // The machine was asleep: nobody has called handle_timeout.
    hand.now += Duration::from_secs(3600);
    assert_eq!(hand.emit(slot, "a"), Ok(Emitted::Buffered));
    assert_eq!(hand.told(), ["disconnect: ping timeout", "closed: ping timeout"]);
    assert_eq!(hand.frames(), [""; 0]);
    hand.wait_for_attempt();
    hand.requests();
}

#[test]
fn b40_nor_does_what_waits_go_out_on_a_connection_that_is_overdue() {
    let (mut hand, slot) = Hand::joined();
    hand.emit(slot, "a").unwrap();
    hand.now += Duration::from_secs(3600);
    assert_eq!(hand.frames(), [""; 0]);
    assert_eq!(hand.told(), ["disconnect: ping timeout", "closed: ping timeout"]);
    let abort = hand.requests();
    assert_eq!(abort.len(), 1);
    hand.wait_for_attempt();
    hand.open();
    hand.say(r#"40{"sid":"s2"}"#);
    assert_eq!(hand.frames(), ["40", r#"42["a"]"#]);

    let mut hand = Hand::with(|engine, _| engine.transports = vec![Transport::Polling]);
    let slot = active(&mut hand);
    let get = hand.expect("get");
    hand.answer(get, 200, crate::common::hand::OPEN).unwrap();
    let get = hand.expect("get");
    let post = hand.expect("post 40");
    hand.answer(post, 200, "ok").unwrap();
    hand.answer(get, 200, r#"40{"sid":"s"}"#).unwrap();
    hand.expect("get");
    hand.emit(slot, "a").unwrap();
    hand.now += Duration::from_secs(3600);
    hand.expect("abort");
    assert_eq!(hand.request(), None);
    assert_eq!(hand.told(), ["connect", "disconnect: ping timeout", "closed: ping timeout"]);
}

#[test]
fn pings_keep_it_alive() {
    let (mut hand, _) = Hand::joined();
    for _ in 0..10 {
        hand.pass_ms(44_000);
        hand.say("2");
        assert_eq!(hand.frames(), ["3"]);
    }
    hand.pass_ms(44_999);
    assert_eq!(hand.told(), [""; 0]);
    hand.pass_ms(1);
    assert_eq!(hand.told(), ["disconnect: ping timeout", "closed: ping timeout"]);
}

#[test]
fn what_the_close_event_says_is_typed() {
    let (mut hand, _) = Hand::joined();
    hand.try_say("4nonsense").unwrap_err();
    let last = hand.events().pop();
    let Some(Event::Close { reason, error: Some(ConnectionError::Packet(_)), .. }) = last else {
        panic!("{last:?}")
    };
    assert_eq!(reason, CloseReason::ParseError);
}

#[test]
fn too_large_events_are_refused_before_they_end_the_connection() {
    let (mut hand, slot) = Hand::joined();
    let packet = hand.event(slot, None, "e", &"x".repeat(1_000_000));
    let emit = sio_proto::socket::Emit::new(packet);
    let refused = hand.client.emit(slot, emit.clone(), hand.now);
    let Err(sio_proto::socket::ClientEmitError::TooLarge { size, limit: 1_000_000 }) = refused else {
        panic!("{refused:?}")
    };
    assert!(size > 1_000_000);
    hand.break_off();
    assert!(hand.client.emit(slot, emit, hand.now).is_err(), "it is known from the last time");
    let packet = hand.event(slot, None, "e", &(bytes::Bytes::from(vec![0; 999_000]), 1));
    assert_eq!(hand.client.emit(slot, sio_proto::socket::Emit::new(packet), hand.now), Ok(Emitted::Buffered));
}

#[test]
fn remembered_upgrades_start_with_a_websocket() {
    for remember in [true, false] {
        let mut hand = Hand::with(|engine, config| {
            engine.transports = vec![Transport::Polling, Transport::WebSocket];
            config.remember_upgrade = remember;
        });
        active(&mut hand);
        let get = hand.expect("get");
        let open = crate::common::hand::OPEN.replace("[]", r#"["websocket"]"#);
        hand.answer(get, 200, &open).unwrap();
        let channel = hand.dial();
        let get = hand.expect("get");
        hand.client.handle_open(channel, hand.now);
        assert_eq!(hand.frames(), ["2probe"]);
        hand.say("3probe");
        assert_eq!(hand.requests(), [], "it is about to move");
        hand.answer(get, 200, "6").unwrap();
        assert_eq!(hand.told(), ["upgraded"]);
        assert_eq!(hand.frames(), ["5", "40"]);
        hand.break_off();
        hand.told();
        hand.wait_for_attempt();
        let expected = if remember { "websocket" } else { "get" };
        let channel = hand.expect(expected);
        // It does not work any more: back to the first transport.
        hand.client.handle_failure(channel, broken(), hand.now);
        hand.told();
        hand.wait_for_attempt();
        hand.expect("get");
    }
}

#[test]
fn waits_of_zero_do_not_spin() {
    let mut hand = Hand::with(|_, config| {
        config.backoff.delay = Duration::ZERO;
        config.timeout = Some(Duration::ZERO);
    });
    active(&mut hand);
    hand.pass_ms(20);
    let attempts = hand.told().iter().filter(|told| told.starts_with("attempt")).count();
    assert!((5..=20).contains(&attempts), "{attempts}");
}
