//! `disconnect`, `connect` and `close` in every phase.

use sio_proto::UsageError;
use sio_proto::engine::{Transport, TransportError};
use sio_proto::socket::{Emitted, Slot, SocketConfig};

use crate::common::hand::{Hand, settings};
use crate::common::net::Net;

fn wanting() -> (Hand, Slot) {
    let mut hand = Hand::new();
    let slot = hand.client.socket("/", SocketConfig::default());
    hand.connect(slot);
    (hand, slot)
}

/// The WebSocket ends on both sides.
fn hang_up(hand: &mut Hand) {
    hand.fail(TransportError::Closed);
}

#[test]
fn b140_disconnect_cancels_an_attempt() {
    let (mut hand, slot) = wanting();
    hand.disconnect(slot);
    assert_eq!(hand.requests(), [], "it was not even asked for");
    hand.told();
    hand.assert_quiet();

    let (mut hand, slot) = wanting();
    let channel = hand.dial();
    hand.disconnect(slot);
    assert_eq!(hand.expect("abort"), channel);
    hand.told();
    hand.assert_quiet();
    hand.client.handle_open(channel, hand.now);
    hand.assert_quiet();
    // And once more.
    hand.connect(slot);
    hand.open();
    hand.say(r#"40{"sid":"s"}"#);
    assert_eq!(hand.told(), ["connect"]);
}

#[test]
fn b140_disconnect_stops_the_wait_for_the_next_attempt() {
    let (mut hand, slot) = Hand::joined();
    let other = hand.client.socket("/other", SocketConfig::default());
    hand.connect(other);
    hand.break_off();
    hand.told();
    hand.disconnect(slot);
    assert!(hand.client.poll_timeout().is_some(), "the other one wants to come back");
    hand.disconnect(other);
    assert_eq!(hand.told(), [""; 0]);
    hand.assert_quiet();
    hand.pass_ms(60_000);
    assert_eq!(hand.told(), [""; 0]);
}

#[test]
fn connect_during_the_wait_does_not_shorten_it() {
    let (mut hand, slot) = Hand::joined();
    hand.break_off();
    hand.told();
    let at = hand.client.poll_timeout();
    let other = hand.client.socket("/other", SocketConfig::default());
    [slot, other].into_iter().for_each(|slot| hand.connect(slot));
    assert_eq!((hand.requests(), hand.client.poll_timeout()), (vec![], at));
    hand.wait_for_attempt();
    hand.open();
    assert_eq!(hand.frames(), ["40", "40/other,"]);
}

#[test]
fn a_namespace_left_before_its_reply_tells_the_server_then() {
    let (mut hand, _) = Hand::joined();
    let slot = hand.client.socket("/other", SocketConfig::default());
    hand.connect(slot);
    assert_eq!(hand.frames(), ["40/other,"]);
    hand.disconnect(slot);
    assert_eq!((hand.frames(), hand.told()), (vec![], vec![]), "B103: it would end the connection");
    hand.say(r#"42/other,["x"]"#);
    hand.say(r#"40/other,{"sid":"s"}"#);
    assert_eq!((hand.frames(), hand.told()), (vec!["41/other,".into()], vec![]));
    // Refused, there is nothing to tell.
    hand.connect(slot);
    hand.frames();
    hand.disconnect(slot);
    hand.say("44/other,{}");
    assert_eq!((hand.frames(), hand.told()), (vec![], vec![]));
    // Wanted again before the reply, it is the same attempt.
    hand.connect(slot);
    hand.disconnect(slot);
    hand.connect(slot);
    assert_eq!(hand.frames(), ["40/other,"]);
    hand.say(r#"40/other,{"sid":"s"}"#);
    assert_eq!(hand.told(), ["/other connect"]);
}

#[test]
fn a_server_that_sends_away_who_is_leaving_has_answered() {
    let (mut hand, _) = Hand::joined();
    let slot = hand.client.socket("/other", SocketConfig::default());
    hand.connect(slot);
    hand.frames();
    hand.disconnect(slot);
    hand.say("41/other,");
    assert_eq!(hand.told(), [""; 0]);
    hand.connect(slot);
    assert_eq!(hand.frames(), ["40/other,"], "it is asked again");
}

#[test]
fn connect_while_the_last_packets_go_out_keeps_the_connection() {
    let (mut hand, slot) = Hand::joined();
    hand.disconnect(slot);
    hand.connect(slot);
    assert_eq!(hand.frames(), ["41", "40"]);
    hand.say(r#"40{"sid":"s2"}"#);
    assert_eq!(hand.told(), ["disconnect: io client disconnect", "connect"]);
    hand.pass_ms(10_000);
    assert!(hand.client.conn().is_connected(slot));
}

#[test]
fn connect_while_the_connection_closes_makes_another_one() {
    let mut hand = Hand::with(|engine, _| engine.transports = vec![Transport::Polling]);
    let slot = hand.client.socket("/", SocketConfig::default());
    hand.connect(slot);
    let get = hand.expect("get");
    hand.answer(get, 200, crate::common::hand::OPEN).unwrap();
    let get = hand.expect("get");
    let post = hand.expect("post 40");
    hand.answer(post, 200, "ok").unwrap();
    hand.answer(get, 200, r#"40{"sid":"s"}"#).unwrap();
    let get = hand.expect("get");
    hand.disconnect(slot);
    let post = hand.expect("post 41");
    hand.connect(slot);
    assert_eq!(hand.request(), None, "nothing new on a connection that closes");
    hand.emit(slot, "later").unwrap();
    hand.answer(post, 200, "ok").unwrap();
    let post = hand.expect("post 1");
    hand.answer(post, 200, "ok").unwrap();
    assert_eq!(hand.expect("abort"), get);
    assert_eq!(
        hand.told(),
        ["connect", "disconnect: io client disconnect", "closed: forced close"],
        "no error"
    );
    let get = hand.expect("get");
    hand.answer(get, 200, crate::common::hand::OPEN).unwrap();
    hand.expect("get");
    hand.expect("post 40");

    // The same while CONNECT has no answer yet.
    let (mut hand, slot) = wanting();
    let channel = hand.open();
    hand.frames();
    hand.disconnect(slot);
    hand.connect(slot);
    assert_eq!(hand.told(), [""; 0]);
    match &hand.frames()[..] {
        // It was still time to keep it.
        [] => {
            hand.say(r#"40{"sid":"s"}"#);
            assert_eq!(hand.told(), ["connect"]);
        }
        frames => {
            assert_eq!(frames, ["close"]);
            hand.client.handle_failure(channel, TransportError::Closed, hand.now);
            assert_eq!(hand.told(), ["closed: forced close"]);
            hand.open();
            assert_eq!(hand.frames(), ["40"]);
        }
    }
}

#[test]
fn close_is_final_in_every_phase() {
    type Phase = fn() -> (Hand, Slot);
    let phases: [(&str, Phase); 9] = [
        ("idle", || {
            let mut hand = Hand::new();
            let slot = hand.client.socket("/", SocketConfig::default());
            (hand, slot)
        }),
        ("wanted", wanting),
        ("dialling", || {
            let (mut hand, slot) = wanting();
            hand.dial();
            (hand, slot)
        }),
        ("handshake", || {
            let (mut hand, slot) = wanting();
            let channel = hand.dial();
            hand.client.handle_open(channel, hand.now);
            (hand, slot)
        }),
        ("asking", || {
            let mut hand = Hand::new();
            let ask = settings(|config| config.auth = sio_proto::socket::AuthSource::Ask);
            let slot = hand.client.socket("/", ask);
            hand.connect(slot);
            hand.open();
            (hand, slot)
        }),
        ("joining", || {
            let (mut hand, slot) = wanting();
            hand.open();
            hand.frames();
            (hand, slot)
        }),
        ("joined", || {
            let (mut hand, slot) = Hand::joined();
            hand.ask(slot, "sent", Some(100), Some(1_000_000)).unwrap();
            hand.frames();
            (hand, slot)
        }),
        ("waiting", || {
            let (mut hand, slot) = Hand::joined();
            hand.break_off();
            (hand, slot)
        }),
        ("closing", || {
            let (mut hand, slot) = Hand::joined();
            hand.disconnect(slot);
            (hand, slot)
        }),
    ];
    for (phase, begin) in phases {
        let (mut hand, slot) = begin();
        hand.ask(slot, "buffered", Some(7), Some(500_000)).unwrap();
        hand.close();
        hand.close();
        assert_eq!(hand.emit(slot, "x"), Err(UsageError::Gone.into()), "{phase}");
        assert_eq!(hand.client.connect(slot, hand.now), Err(UsageError::Gone));
        let new = hand.client.socket("/new", SocketConfig::default());
        assert_eq!(hand.client.connect(new, hand.now), Err(UsageError::Gone));
        assert!(hand.client.is_closed());
        let frames = hand.frames();
        if frames.last().is_some_and(|last| last == "close") {
            hang_up(&mut hand);
        }
        let told = hand.told();
        let acks = told.iter().filter(|told| told.starts_with("ack 7 ")).count();
        assert_eq!(acks, 1, "{phase}: {told:?}");
        hand.requests();
        hand.assert_quiet();
        assert_eq!(hand.client.conn().buffered(slot), 0, "{phase}");
        hand.pass_ms(2_000_000);
        hand.disconnect(slot);
        hand.client.clear_send_buffer(slot, hand.now);
        hand.client.set_reconnection(true);
        assert_eq!(hand.told(), [""; 0], "{phase}");
        hand.assert_quiet();
    }
}

#[test]
fn close_sends_what_waits_but_not_for_ever() {
    let (mut hand, slot) = Hand::joined();
    hand.emit(slot, "last words").unwrap();
    hand.close();
    assert_eq!(hand.frames(), [r#"42["last words"]"#, "41", "close"]);
    // The server does not close its end.
    hand.pass_ms(4999);
    assert!(!hand.client.is_quiet());
    hand.pass_ms(1);
    hand.expect("abort");
    assert_eq!(hand.told(), ["disconnect: io client disconnect", "closed: forced close"]);
    hand.assert_quiet();

    // The socket is blocked.
    let (mut hand, slot) = Hand::joined();
    hand.emit(slot, "last words").unwrap();
    hand.close();
    hand.pass_ms(4999);
    assert!(!hand.client.is_quiet());
    hand.pass_ms(1);
    hand.expect("abort");
    assert_eq!(hand.told(), ["disconnect: io client disconnect", "closed: forced close"]);
    hand.assert_quiet();
    assert_eq!(hand.client.conn().buffered(slot), 0, "nobody will ever send it");
}

#[test]
fn events_do_not_come_after_leaving() {
    let (mut hand, slot) = Hand::joined();
    let keep = hand.client.socket("/keep", SocketConfig::default());
    hand.connect(keep);
    hand.disconnect(slot);
    hand.frames();
    hand.say(r#"42["late"]"#);
    hand.say("430[]");
    assert_eq!(hand.told(), ["disconnect: io client disconnect"]);
}

#[test]
fn an_acknowledgement_is_good_for_its_connection_only() {
    let (mut hand, slot) = Hand::joined();
    hand.say(r#"425["q"]"#);
    hand.say(r#"426["q"]"#);
    assert_eq!(hand.told(), [r#"["q"]+5"#, r#"["q"]+6"#]);
    let packet = hand.encoder.ack("/", 5, "yes").unwrap();
    let ((_, first), (_, second)) = (hand.owed[0], hand.owed[1]);
    assert_eq!((first.id(), second.id()), (5, 6));
    assert_eq!(hand.client.ack(slot, first, packet.clone()), Ok(()));
    assert_eq!(hand.frames(), [r#"435["yes"]"#]);
    // One that no transport has taken is gone with the connection.
    assert_eq!(hand.client.ack(slot, second, packet.clone()), Ok(()));
    hand.break_off();
    assert_eq!(hand.client.ack(slot, second, packet.clone()), Err(UsageError::Gone.into()));
    hand.told();
    hand.wait_for_attempt();
    hand.open();
    hand.say(r#"40{"sid":"s2"}"#);
    assert_eq!(hand.client.ack(slot, second, packet.clone()), Err(UsageError::Gone.into()));
    assert_eq!(hand.frames(), ["40"]);
    // The same connection, but another stay in the namespace.
    let keep = hand.client.socket("/keep", SocketConfig::default());
    hand.connect(keep);
    hand.say(r#"427["q"]"#);
    hand.told();
    let (_, third) = hand.owed[2];
    hand.disconnect(slot);
    hand.connect(slot);
    hand.frames();
    hand.say(r#"40{"sid":"s3"}"#);
    assert_eq!(hand.client.ack(slot, third, packet), Err(UsageError::Gone.into()));
    assert_eq!(hand.frames(), [""; 0]);
}

#[test]
fn ids_can_be_used_again_after_leaving() {
    let (mut hand, slot) = Hand::joined();
    hand.ask(slot, "a", Some(0), None).unwrap();
    hand.disconnect(slot);
    assert_eq!(hand.told(), ["ack 0 Disconnected", "disconnect: io client disconnect"]);
    // The socket is blocked, and breaks.
    hand.break_off();
    assert_eq!(hand.told(), ["closed: transport error"]);
    hand.ask(slot, "b", Some(0), None).unwrap();
    hand.client.clear_send_buffer(slot, hand.now);
    assert_eq!(hand.told(), ["ack 0 Dropped"], "once");
}

#[test]
fn both_sides_end_quietly_whatever_the_transport() {
    use Transport::{Polling, WebSocket};
    for (transports, upgrade) in
        [(&[Polling][..], false), (&[WebSocket], false), (&[Polling, WebSocket], true)]
    {
        // After each number of steps.
        for ms in (0..150).step_by(5) {
            let mut net = Net::new(transports, upgrade);
            let slot = net.join("/", SocketConfig::default());
            net.join("/chat", SocketConfig::default());
            net.emit(slot, "a", Some(1));
            net.pass_ms(ms);
            if net.client.conn().is_connected(slot) {
                net.take_heard();
                assert_eq!(net.emit(slot, "last", None), Emitted::Queued);
                net.end();
                let heard = net.take_heard();
                assert!(heard.contains(&r#"/ ["last"]"#.into()), "{heard:?}");
                assert!(heard.contains(&"/ disconnect: client namespace disconnect".into()), "{heard:?}");
            } else {
                net.end();
            }
            let acks = net.told.iter().filter(|told| told.starts_with("ack 1 ")).count();
            assert_eq!(acks, 1, "{:?}", net.told);
        }
    }
}
