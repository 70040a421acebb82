//! An application that is slower than its server.

use sio_proto::client::Event;
use sio_proto::engine::Transport;
use sio_proto::socket::{ClientConnEvent, Slot, SocketConfig};

use crate::common::hand::{Hand, OPEN, brief};

fn bounded(events: usize, bytes: usize) -> (Hand, Slot) {
    let mut hand = Hand::with(|_, config| {
        (config.max_inbox, config.max_inbox_bytes) = (events, bytes);
        (config.max_unheard, config.max_unheard_bytes) = (3, bytes);
    });
    let slot = hand.join(SocketConfig::default());
    (hand, slot)
}

#[test]
fn nothing_more_is_read_when_too_much_waits() {
    let (mut hand, _) = bounded(3, 1000);
    for _ in 0..3 {
        assert!(hand.client.wants_read());
        hand.say(r#"42["e"]"#);
    }
    assert!(!hand.client.wants_read());
    hand.pass_ms(3_600_000);
    assert!(hand.client.transport().is_some(), "who does not listen hears no pings");
    hand.client.poll_event(&[], hand.now);
    assert!(hand.client.wants_read());
    hand.pass_ms(44_999);
    assert!(hand.client.transport().is_some(), "the watch begins anew");
    hand.pass_ms(1);
    assert!(hand.client.transport().is_none());

    let (mut hand, _) = bounded(1000, 100);
    let large = format!(r#"42["{}"]"#, "x".repeat(1000));
    hand.say(&large);
    assert!(!hand.client.wants_read(), "one is let in");
    assert_eq!(hand.told().len(), 1);
    assert!(hand.client.wants_read());
}

#[test]
fn polls_stop_when_too_much_waits() {
    let mut hand = Hand::with(|engine, config| {
        engine.transports = vec![Transport::Polling];
        config.max_inbox = 1;
    });
    let slot = hand.client.socket("/", SocketConfig::default());
    hand.connect(slot);
    let get = hand.expect("get");
    hand.answer(get, 200, OPEN).unwrap();
    let get = hand.expect("get");
    let post = hand.expect("post 40");
    hand.answer(post, 200, "ok").unwrap();
    hand.answer(get, 200, r#"40{"sid":"s"}"#).unwrap();
    assert_eq!(hand.request(), None, "the news of the connection waits");
    assert_eq!(hand.told(), ["connect"]);
    hand.expect("get");
}

#[test]
fn a_new_connection_is_paused_too_but_not_its_handshake() {
    let (mut hand, slot) = bounded(3, 1000);
    for _ in 0..3 {
        hand.say(r#"42["e"]"#);
    }
    hand.break_off();
    hand.wait_for();
    assert!(hand.client.wants_read(), "for the handshake");
    hand.open();
    assert!(!hand.client.wants_read());
    assert_eq!(hand.frames(), ["40"]);
    hand.pass_ms(40_000);
    hand.pass_ms(10_000);
    assert!(hand.client.transport().is_some(), "it is not heard, so it is not overdue");
    assert!(hand.told().len() > 3);
    assert!(hand.client.wants_read());
    hand.say(r#"40{"sid":"s2"}"#);
    assert!(hand.client.conn().is_connected(slot));
}

/// Takes the events that wait and puts those of namespaces aside.
fn put_aside(hand: &mut Hand) -> usize {
    let events = hand.events();
    let count = events.len();
    for event in events {
        if let Event::Socket(event @ ClientConnEvent::Event { .. }) = event {
            hand.client.put_aside(event, hand.now);
        }
    }
    count
}

fn heard(hand: &mut Hand, slot: Slot) -> Vec<String> {
    let events: Vec<_> = std::iter::from_fn(|| hand.client.poll_aside(slot, hand.now)).collect();
    events.into_iter().map(|event| brief(&Event::Socket(event), &hand.client)).collect()
}

#[test]
fn events_put_aside_count_and_of_those_that_nobody_wants_the_last_are_kept() {
    let (mut hand, slot) = bounded(5, 10_000);
    let chat = hand.client.socket("/chat", SocketConfig::default());
    for number in 0..10 {
        hand.say(&format!("42[\"e\",{number}]"));
        assert_eq!(put_aside(&mut hand), 1);
    }
    assert_eq!(hand.client.missed(), 7);
    assert!(hand.client.wants_read());
    assert_eq!(heard(&mut hand, slot), [r#"["e",7]"#, r#"["e",8]"#, r#"["e",9]"#]);
    // From here on somebody asks, and nothing is dropped: reading stops instead.
    for number in 0..5 {
        assert!(hand.client.wants_read());
        hand.say(&format!("42[\"e\",{number}]"));
        put_aside(&mut hand);
    }
    assert!(!hand.client.wants_read());
    hand.pass_ms(100_000);
    assert!(hand.client.transport().is_some());
    assert_eq!(heard(&mut hand, chat), [""; 0]);
    assert!(!hand.client.wants_read());
    assert_eq!(heard(&mut hand, slot).len(), 5);
    assert!(hand.client.wants_read());
    assert_eq!(hand.client.missed(), 7);
}

#[test]
fn one_handler_at_a_time() {
    let (mut hand, slot) = Hand::joined();
    let chat = hand.client.socket("/chat", SocketConfig::default());
    hand.connect(chat);
    hand.frames();
    hand.say(r#"40/chat,{"sid":"c"}"#);
    hand.told();
    hand.ask(slot, "q", Some(1), None).unwrap();
    for text in [r#"42["a"]"#, r#"42/chat,["b"]"#, r#"42["c"]"#, "431[]"] {
        hand.say(text);
    }
    let next = |hand: &mut Hand, busy: &[Option<Slot>]| {
        hand.client.poll_event(busy, hand.now).map(|event| brief(&event, &hand.client))
    };
    assert_eq!(next(&mut hand, &[Some(slot), Some(chat), None]).as_deref(), Some("ack 1 []"));
    assert_eq!(next(&mut hand, &[Some(slot), Some(chat)]), None);
    assert_eq!(next(&mut hand, &[Some(slot)]).as_deref(), Some(r#"/chat ["b"]"#));
    assert_eq!(next(&mut hand, &[]).as_deref(), Some(r#"["a"]"#));
    assert_eq!(next(&mut hand, &[Some(chat)]).as_deref(), Some(r#"["c"]"#));
    assert!(!hand.client.has_events());
    hand.break_off();
    assert_eq!(next(&mut hand, &[None, Some(slot), Some(chat)]), None);
    assert_eq!(next(&mut hand, &[Some(slot), Some(chat)]).as_deref(), Some("closed: transport error"));
}

#[test]
fn memory_stays_bounded_while_nobody_looks() {
    let (mut hand, _) = bounded(3, 1000);
    for _ in 0..200 {
        if hand.client.wants_read() && hand.client.transport().is_some() {
            let _ = hand.try_say(r#"42["e"]"#);
        }
        hand.pass_ms(1000);
    }
    assert!(hand.told().len() < 20);
}
