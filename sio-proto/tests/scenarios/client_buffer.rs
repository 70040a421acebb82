//! What a client emits while it is not connected, and acknowledgements.

use std::time::Duration;

use sio_proto::UsageError;
use sio_proto::socket::{BufferOverflow, ClientEmitError, Emit, Emitted, SocketConfig};

use crate::common::hand::{Hand, settings};

fn bounded(bytes: usize, overflow: BufferOverflow) -> SocketConfig {
    settings(|config| (config.max_send_buffer, config.send_buffer_overflow) = (bytes, overflow))
}

/// A client that is not connected.
fn offline(config: SocketConfig) -> (Hand, sio_proto::socket::Slot) {
    let mut hand = Hand::new();
    let slot = hand.client.socket("/", config);
    (hand, slot)
}

/// It connects; what it sends after CONNECT.
fn online(hand: &mut Hand, slot: sio_proto::socket::Slot) -> Vec<String> {
    hand.connect(slot);
    hand.open();
    assert_eq!(hand.frames(), ["40"]);
    hand.say(r#"40{"sid":"s1"}"#);
    hand.frames()
}

#[test]
fn what_is_emitted_offline_arrives_later_in_order() {
    let (mut hand, slot) = offline(SocketConfig::default());
    assert_eq!(hand.emit(slot, "a"), Ok(Emitted::Buffered));
    assert_eq!(hand.ask(slot, "b", Some(0), None), Ok(Emitted::Buffered));
    assert_eq!(hand.volatile(slot, "v"), Emitted::Dropped);
    assert!(hand.client.conn().buffered(slot) > 0);
    assert_eq!(online(&mut hand, slot), [r#"42["a"]"#, r#"420["b"]"#]);
    assert_eq!(hand.client.conn().buffered(slot), 0);
    hand.say("430[1]");
    hand.say("430[2]");
    hand.say("4377[2]");
    assert_eq!(hand.told(), ["ack 0 [1]", "connect"], "B119");
    assert_eq!(hand.emit(slot, "c"), Ok(Emitted::Queued));
    // What no transport has taken before the connection breaks is not lost.
    hand.break_off();
    assert_eq!(hand.told(), ["disconnect: transport error", "closed: transport error"]);
    assert_eq!(hand.emit(slot, "d"), Ok(Emitted::Buffered));
    hand.wait_for_attempt();
    hand.open();
    hand.say(r#"40{"sid":"s2"}"#);
    assert_eq!(hand.frames(), ["40", r#"42["c"]"#, r#"42["d"]"#]);
}

#[test]
fn the_buffer_is_bounded_and_refuses() {
    let (mut hand, slot) = offline(bounded(400, BufferOverflow::Refuse));
    let mut count = 0;
    let back = loop {
        match hand.emit(slot, "event") {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    assert!((2..20).contains(&count), "{count}");
    assert_eq!(back, ClientEmitError::Full(hand.event(slot, None, "event", &())));
    assert!(hand.client.conn().buffered(slot) <= 400 && !hand.client.conn().has_room(slot));
    assert_eq!(hand.ask(slot, "asks", Some(3), Some(10)).map_err(|_| ()), Err(()));
    hand.pass_ms(100);
    assert_eq!(hand.told(), [""; 0], "what was not accepted is not answered");
    assert_eq!(online(&mut hand, slot).len(), count);
    assert!(hand.client.conn().has_room(slot));
}

#[test]
fn the_oldest_make_room_if_that_is_the_policy() {
    let (mut hand, slot) = offline(bounded(400, BufferOverflow::DropOldest));
    for id in 0..20 {
        assert_eq!(hand.ask(slot, &format!("e{id}"), Some(id), None), Ok(Emitted::Buffered));
    }
    let told = hand.told();
    assert!(told.len() > 5 && told[0] == "ack 0 Dropped", "{told:?}");
    assert!(hand.client.conn().buffered(slot) <= 400);
    let sent = online(&mut hand, slot);
    assert_eq!(sent.len() + told.len(), 20);
    assert_eq!(sent.last().map(String::as_str), Some(r#"4219["e19"]"#));
    // An id that was dropped can be used again.
    assert_eq!(hand.ask(slot, "again", Some(0), None), Ok(Emitted::Queued));
}

#[test]
fn nobody_is_told_of_what_is_forgotten() {
    let (mut hand, slot) = offline(bounded(400, BufferOverflow::DropOldest));
    hand.ask(slot, "x", Some(100), None).unwrap();
    hand.client.forget_ack(slot, 100);
    for id in 0..20 {
        hand.ask(slot, "y", Some(id), None).unwrap();
    }
    assert_eq!(hand.told()[0], "ack 0 Dropped");
    hand.ask(slot, "x", Some(100), None).unwrap();
    hand.client.forget_ack(slot, 100);
    hand.client.clear_send_buffer(slot, hand.now);
    assert!(!hand.told().contains(&"ack 100 Dropped".into()));
}

#[test]
fn one_event_is_always_kept_unless_none_is_wanted() {
    for overflow in [BufferOverflow::Refuse, BufferOverflow::DropOldest] {
        let (mut hand, slot) = offline(bounded(1, overflow));
        assert_eq!(hand.emit(slot, "a"), Ok(Emitted::Buffered));
        let second = hand.emit(slot, "b");
        let expected = if overflow == BufferOverflow::Refuse {
            assert!(matches!(second, Err(ClientEmitError::Full(_))));
            r#"42["a"]"#
        } else {
            assert_eq!(second, Ok(Emitted::Buffered));
            r#"42["b"]"#
        };
        assert_eq!(online(&mut hand, slot), [expected]);
        let (mut hand, slot) = offline(bounded(0, overflow));
        assert!(matches!(hand.emit(slot, "a"), Err(ClientEmitError::Full(_))));
    }
}

#[test]
fn a_slow_connection_is_bounded_too() {
    let mut hand = Hand::with(|_, config| config.max_outbox = 300);
    let slot = hand.join(SocketConfig::default());
    let count = (0..).take_while(|_| hand.emit(slot, "event").is_ok()).count();
    assert!((1..20).contains(&count));
    assert!(!hand.client.conn().has_room(slot));
    assert_eq!(hand.frames().len(), count);
    assert!(hand.emit(slot, "event").is_ok());
    // Acknowledgements give way as well.
    hand.say(r#"427["q"]"#);
    hand.told();
    let (slot, ack) = hand.owed[0];
    while hand.emit(slot, "event").is_ok() {}
    let packet = hand.encoder.ack("/", 7, &()).unwrap();
    assert_eq!(hand.client.ack(slot, ack, packet.clone()), Err(ClientEmitError::Full(packet.clone())));
    hand.frames();
    assert_eq!(hand.client.ack(slot, ack, packet), Ok(()));
    assert_eq!(hand.frames(), ["437[]"]);
}

#[test]
fn volatile_events_go_out_at_once_or_not_at_all() {
    let (mut hand, slot) = Hand::joined();
    assert_eq!(hand.volatile(slot, "a"), Emitted::Queued);
    assert_eq!(hand.volatile(slot, "b"), Emitted::Dropped, "the transport is busy");
    assert_eq!(hand.frames(), [r#"42["a"]"#]);
    assert_eq!(hand.volatile(slot, "c"), Emitted::Queued);
    hand.frames();
    // One with an acknowledgement that is dropped leaves nothing behind.
    hand.break_off();
    hand.told();
    let packet = hand.event(slot, Some(4), "v", &());
    let emit =
        Emit { ack: Some(4), volatile: true, timeout: Some(Duration::from_secs(1)), ..Emit::new(packet) };
    assert_eq!(hand.client.emit(slot, emit, hand.now), Ok(Emitted::Dropped));
    assert_eq!(hand.ask(slot, "x", Some(4), None), Ok(Emitted::Buffered));
}

#[test]
fn acknowledgements_have_deadlines() {
    let mut hand = Hand::new();
    let slot = hand.join(settings(|config| config.ack_timeout = Some(Duration::from_secs(3))));
    hand.ask(slot, "a", Some(0), None).unwrap();
    hand.ask(slot, "b", Some(1), Some(1000)).unwrap();
    hand.ask(slot, "c", Some(2), Some(5000)).unwrap();
    assert_eq!(hand.ask(slot, "c", Some(2), None), Err(UsageError::AckIdInUse.into()));
    hand.frames();
    hand.pass_ms(999);
    assert_eq!(hand.told(), [""; 0]);
    hand.pass_ms(1);
    assert_eq!(hand.told(), ["ack 1 Timeout"]);
    hand.say("431[\"late\"]");
    assert_eq!(hand.told(), [""; 0], "B121");
    hand.say("432[]");
    hand.pass_ms(2000);
    assert_eq!(hand.told(), ["ack 2 []", "ack 0 Timeout"]);
    hand.ask(slot, "d", Some(3), None).unwrap();
    hand.client.forget_ack(slot, 3);
    hand.say("433[]");
    hand.pass_ms(5000);
    assert_eq!(hand.told(), [""; 0], "nobody waits for it");
}

#[test]
fn a_buffered_event_whose_time_is_over_is_not_sent() {
    let (mut hand, slot) = offline(SocketConfig::default());
    hand.ask(slot, "a", Some(0), Some(1000)).unwrap();
    hand.ask(slot, "b", Some(1), Some(9000)).unwrap();
    hand.ask(slot, "c", Some(2), None).unwrap();
    hand.ask(slot, "d", Some(3), Some(1000)).unwrap();
    hand.client.forget_ack(slot, 3);
    hand.pass_ms(1000);
    assert_eq!(hand.told(), ["ack 0 Timeout"]);
    assert_eq!(
        online(&mut hand, slot),
        [r#"421["b"]"#, r#"422["c"]"#, r#"423["d"]"#],
        "what was forgotten is sent all the same"
    );
    hand.pass_ms(8000);
    assert_eq!(hand.told(), ["ack 1 Timeout", "connect"], "the time began with the emit");
}

#[test]
fn an_event_whose_time_is_over_before_any_transport_took_it_is_not_sent_later() {
    let (mut hand, slot) = Hand::joined();
    hand.ask(slot, "a", Some(0), Some(1000)).unwrap();
    hand.ask(slot, "b", Some(1), None).unwrap();
    // The connection is blocked; then it breaks.
    hand.pass_ms(1000);
    assert_eq!(hand.told(), ["ack 0 Timeout"]);
    hand.break_off();
    hand.told();
    hand.wait_for_attempt();
    hand.open();
    hand.say(r#"40{"sid":"s2"}"#);
    assert_eq!(hand.frames(), ["40", r#"421["b"]"#]);
}

#[test]
fn acknowledgements_of_what_was_sent_fail_with_the_connection_and_others_survive() {
    let (mut hand, slot) = Hand::joined();
    hand.ask(slot, "sent", Some(0), None).unwrap();
    hand.frames();
    hand.ask(slot, "unsent", Some(1), None).unwrap();
    hand.break_off();
    hand.ask(slot, "offline", Some(2), None).unwrap();
    assert_eq!(hand.told(), ["ack 0 Disconnected", "disconnect: transport error", "closed: transport error"]);
    hand.wait_for_attempt();
    hand.open();
    hand.say("430[\"not yours\"]");
    hand.say(r#"40{"sid":"s2"}"#);
    hand.say("430[\"not yours\"]");
    assert_eq!(hand.frames(), ["40", r#"421["unsent"]"#, r#"422["offline"]"#]);
    hand.say("432[]");
    hand.say("431[]");
    assert_eq!(hand.told(), ["ack 2 []", "ack 1 []", "reconnect 1", "connect"]);
}
