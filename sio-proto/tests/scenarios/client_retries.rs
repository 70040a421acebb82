//! At-least-once: one event in flight until it is acknowledged.

use std::time::Duration;

use sio_proto::UsageError;
use sio_proto::engine::Transport;
use sio_proto::socket::{ClientEmitError, Emit, Emitted, Slot, SocketConfig};

use crate::common::hand::{Hand, settings};
use crate::common::net::Net;

fn retries(retries: u32) -> SocketConfig {
    settings(|config| {
        config.retries = Some(retries);
        config.ack_timeout = Some(Duration::from_secs(1));
    })
}

fn joined(count: u32) -> (Hand, Slot) {
    let mut hand = Hand::new();
    let slot = hand.join(retries(count));
    (hand, slot)
}

/// The next connection, with `/` joined; what is sent then.
fn reconnect(hand: &mut Hand) -> Vec<String> {
    hand.wait_for_attempt();
    hand.open();
    assert_eq!(hand.frames(), ["40"]);
    hand.say(r#"40{"sid":"s2"}"#);
    let told = hand.told();
    assert!(told.ends_with(&["connect".into()]), "{told:?}");
    hand.frames()
}

#[test]
fn one_event_is_in_flight_and_the_others_wait_in_order() {
    let (mut hand, slot) = joined(3);
    assert_eq!(hand.emit(slot, "no id"), Err(UsageError::AckIdMissing.into()));
    assert_eq!(hand.ask(slot, "a", Some(0), None), Ok(Emitted::Queued));
    assert_eq!(hand.ask(slot, "b", Some(1), None), Ok(Emitted::Buffered));
    assert_eq!(hand.ask(slot, "c", Some(2), None), Ok(Emitted::Buffered));
    assert_eq!(hand.ask(slot, "c", Some(2), None), Err(UsageError::AckIdInUse.into()));
    assert_eq!(hand.frames(), [r#"420["a"]"#]);
    assert_eq!(hand.volatile(slot, "v"), Emitted::Queued, "it bypasses the queue");
    assert_eq!(hand.frames(), [r#"42["v"]"#]);
    hand.say("431[\"not yet sent\"]");
    assert_eq!((hand.told(), hand.frames()), (vec![], vec![]));
    hand.say("430[1]");
    assert_eq!(hand.told(), ["ack 0 [1]"]);
    assert_eq!(hand.frames(), [r#"421["b"]"#]);
    hand.say("431[]");
    hand.say("430[]");
    assert_eq!(hand.frames(), [r#"422["c"]"#]);
    hand.say("432[]");
    assert_eq!(hand.told(), ["ack 1 []", "ack 2 []"]);
    assert_eq!(hand.client.conn().buffered(slot), 0);
    hand.pass_ms(20_000);
    assert_eq!(hand.frames(), [""; 0]);
}

#[test]
fn an_event_is_given_up_after_all_its_tries() {
    let (mut hand, slot) = joined(2);
    hand.ask(slot, "a", Some(0), None).unwrap();
    hand.ask(slot, "b", Some(1), Some(5000)).unwrap();
    for _ in 0..3 {
        assert_eq!(hand.frames(), [r#"420["a"]"#]);
        hand.pass_ms(999);
        assert_eq!((hand.told(), hand.frames()), (vec![], vec![]));
        hand.pass_ms(1);
    }
    assert_eq!(hand.told(), ["ack 0 Timeout"]);
    assert_eq!(hand.frames(), [r#"421["b"]"#]);
    hand.say("430[\"late\"]");
    assert_eq!(hand.told(), [""; 0], "B121");
    hand.pass_ms(4999);
    assert_eq!(hand.frames(), [""; 0], "it has a time of its own");
    hand.pass_ms(1);
    assert_eq!(hand.frames(), [r#"421["b"]"#]);
    hand.say("431[\"late, but good\"]");
    assert_eq!(hand.told(), [r#"ack 1 ["late, but good"]"#]);
}

#[test]
fn a_late_acknowledgement_of_an_earlier_try_is_good() {
    let (mut hand, slot) = joined(2);
    hand.ask(slot, "a", Some(0), None).unwrap();
    hand.ask(slot, "b", Some(1), None).unwrap();
    hand.frames();
    hand.pass_ms(1000);
    // The second try waits for the socket when the first one is acknowledged: it need not be sent any more.
    hand.say("430[]");
    assert_eq!(hand.told(), ["ack 0 []"]);
    assert_eq!(hand.frames(), [r#"421["b"]"#]);
}

#[test]
fn without_a_timeout_there_is_one_all_the_same() {
    let mut hand = Hand::new();
    let slot = hand.join(settings(|config| config.retries = Some(1)));
    hand.ask(slot, "a", Some(0), None).unwrap();
    hand.frames();
    hand.pass_ms(9999);
    assert_eq!(hand.frames(), [""; 0]);
    hand.pass_ms(1);
    assert_eq!(hand.frames(), [r#"420["a"]"#], "the reference would wait for ever");
}

#[test]
fn a_timeout_of_zero_does_not_spin() {
    let mut hand = Hand::new();
    let slot = hand.join(settings(|config| {
        (config.retries, config.ack_timeout) = (Some(3), Some(Duration::ZERO));
    }));
    for id in 0..3 {
        hand.ask(slot, "a", Some(id), None).unwrap();
    }
    hand.pass_ms(100);
    assert_eq!(hand.told(), ["ack 0 Timeout", "ack 1 Timeout", "ack 2 Timeout"]);
}

#[test]
fn the_queue_survives_connections() {
    let (mut hand, slot) = joined(3);
    for (id, name) in ["a", "b"].into_iter().enumerate() {
        hand.ask(slot, name, Some(id as u64), None).unwrap();
    }
    hand.frames();
    hand.break_off();
    assert_eq!(hand.ask(slot, "c", Some(2), None), Ok(Emitted::Buffered));
    assert_eq!(hand.told(), ["disconnect: transport error", "closed: transport error"], "no ack has failed");
    hand.pass_ms(100);
    assert_eq!(reconnect(&mut hand), [r#"420["a"]"#], "again: whether it arrived is not known");
    hand.say("430[]");
    assert_eq!(hand.frames(), [r#"421["b"]"#]);
    hand.say("431[]");
    assert_eq!(hand.frames(), [r#"422["c"]"#]);
}

#[test]
fn a_lost_connection_counts_as_a_try_only_if_the_event_was_sent() {
    let (mut hand, slot) = joined(1);
    hand.ask(slot, "a", Some(0), None).unwrap();
    for _ in 0..5 {
        // No transport has taken it.
        hand.break_off();
        hand.told();
        hand.wait_for_attempt();
        hand.open();
        hand.frames();
        hand.say(r#"40{"sid":"s2"}"#);
        hand.told();
    }
    assert_eq!(hand.frames(), [r#"420["a"]"#]);
    hand.break_off();
    assert_eq!(hand.told(), ["disconnect: transport error", "closed: transport error"]);
    assert_eq!(reconnect(&mut hand), [r#"420["a"]"#]);
    hand.break_off();
    assert_eq!(hand.told(), ["ack 0 Disconnected", "disconnect: transport error", "closed: transport error"]);
    assert_eq!(reconnect(&mut hand), [""; 0], "two tries are over");
}

#[test]
fn the_deadline_of_a_try_ends_with_its_connection() {
    let (mut hand, slot) = joined(1);
    hand.ask(slot, "a", Some(0), None).unwrap();
    hand.frames();
    hand.break_off();
    hand.told();
    hand.wait_for_attempt();
    hand.dial();
    hand.pass_ms(15_000);
    assert_eq!(hand.told(), [""; 0], "time offline does not count");
}

#[test]
fn the_queue_is_bounded_and_refuses_whatever_the_policy() {
    let mut hand = Hand::new();
    let slot = hand.client.socket(
        "/",
        settings(|config| {
            (config.retries, config.max_send_buffer) = (Some(1), 400);
            config.send_buffer_overflow = sio_proto::socket::BufferOverflow::DropOldest;
        }),
    );
    let count = (0..).take_while(|id| hand.ask(slot, "event", Some(*id), None).is_ok()).count();
    assert!((2..20).contains(&count));
    let refused = hand.ask(slot, "event", Some(100), None);
    assert!(matches!(refused, Err(ClientEmitError::Full(_))));
    hand.connect(slot);
    hand.open();
    hand.say(r#"40{"sid":"s1"}"#);
    hand.say("430[]");
    assert_eq!(hand.ask(slot, "event", Some(0), None), Ok(Emitted::Buffered), "one is done");
}

#[test]
fn leaving_and_coming_back_goes_on_where_it_was() {
    let (mut hand, slot) = joined(2);
    let keep = hand.client.socket("/keep", SocketConfig::default());
    hand.connect(keep);
    hand.frames();
    hand.ask(slot, "a", Some(0), None).unwrap();
    hand.ask(slot, "b", Some(1), None).unwrap();
    assert_eq!(hand.frames(), [r#"420["a"]"#]);
    hand.disconnect(slot);
    assert_eq!(hand.told(), ["disconnect: io client disconnect"]);
    hand.connect(slot);
    assert_eq!(hand.frames(), ["41", "40"]);
    hand.say(r#"40{"sid":"s2"}"#);
    assert_eq!(hand.frames(), [r#"420["a"]"#]);
    hand.say("430[]");
    assert_eq!(hand.told(), ["ack 0 []", "connect"]);
    // The server sends it away: the same.
    hand.say("41");
    assert_eq!(hand.told(), ["disconnect: io server disconnect"]);
    hand.connect(slot);
    hand.say(r#"40{"sid":"s3"}"#);
    assert_eq!(hand.frames(), ["40", r#"421["b"]"#]);
}

#[test]
fn an_id_can_be_used_again_once_its_event_is_done() {
    let (mut hand, slot) = joined(0);
    let keep = hand.client.socket("/keep", SocketConfig::default());
    hand.connect(keep);
    hand.frames();
    hand.ask(slot, "a", Some(0), None).unwrap();
    // The socket is blocked: the try stays with us, and is over all the same.
    hand.disconnect(slot);
    assert_eq!(hand.told(), ["ack 0 Disconnected", "disconnect: io client disconnect"]);
    assert_eq!(hand.ask(slot, "again", Some(0), None), Ok(Emitted::Buffered));
    hand.break_off();
    hand.told();
    hand.connect(slot);
    hand.wait_for_attempt();
    hand.open();
    hand.say(r#"40{"sid":"s2"}"#);
    assert_eq!(hand.frames(), ["40", "40/keep,", r#"420["again"]"#]);
    hand.say("430[]");
    assert_eq!(hand.told(), ["ack 0 []", "reconnect 1", "connect"]);
}

#[test]
fn what_is_cleared_is_told() {
    let (mut hand, slot) = joined(3);
    for id in 0..3 {
        hand.ask(slot, "a", Some(id), None).unwrap();
    }
    hand.frames();
    hand.client.clear_send_buffer(slot, hand.now);
    assert_eq!(hand.told(), ["ack 0 Disconnected", "ack 1 Dropped", "ack 2 Dropped"]);
    hand.pass_ms(5000);
    hand.say("430[]");
    assert_eq!((hand.told(), hand.frames()), (vec![], vec![]));
    assert_eq!(hand.ask(slot, "b", Some(0), None), Ok(Emitted::Queued));
    assert_eq!(hand.frames(), [r#"420["b"]"#]);
}

#[test]
fn a_long_queue_costs_no_more_than_its_length() {
    const MANY: u64 = 60_000;
    for config in [retries(1), SocketConfig::default()] {
        let mut hand = Hand::new();
        let slot = hand.client.socket("/", config);
        let packet = hand.event(slot, Some(0), "x", &());
        for ack in 0..MANY {
            let emit = Emit {
                ack: Some(ack),
                timeout: Some(Duration::from_millis(ack % 7 + 60_000)),
                ..Emit::new(packet.clone())
            };
            hand.client.emit(slot, emit, hand.now).unwrap();
        }
        hand.connect(slot);
        for _ in 0..3 {
            hand.open();
            hand.break_off();
            hand.pass_ms(6000);
        }
        hand.pass_ms(60_000);
        hand.close();
        let acks = hand.told().iter().filter(|told| told.starts_with("ack ")).count();
        assert_eq!(acks as u64, MANY);
    }
}

#[test]
fn nothing_is_lost_when_acknowledgements_are() {
    for transports in [&[Transport::Polling][..], &[Transport::WebSocket]] {
        let mut net = Net::new(transports, false);
        let slot = net.join("/", retries(3));
        net.app.lose_acks = 3;
        for id in 0..10 {
            net.emit(slot, &format!("e{id}"), Some(id));
            net.pass_ms(7);
        }
        net.pass_ms(20_000);
        let heard: Vec<_> = net.take_heard().into_iter().filter(|text| text.starts_with("/ [")).collect();
        let mut once = heard.clone();
        once.dedup();
        let expected: Vec<_> = (0..10).map(|id| format!(r#"/ ["e{id}"]"#)).collect();
        assert_eq!(once, expected, "in order");
        assert_eq!(heard.len(), 13, "only those whose acknowledgement was lost came again");
        net.end();
    }
}
