//! A session that is continued on another connection: pid and offset.

use sio_proto::socket::{AuthSource, Slot, SocketConfig};

use crate::common::hand::{Hand, settings};

/// `/` is joined, and the server offers recovery.
fn joined(config: SocketConfig) -> (Hand, Slot) {
    let mut hand = Hand::new();
    let slot = hand.client.socket("/", config);
    hand.connect(slot);
    hand.open();
    hand.frames();
    hand.say(r#"40{"sid":"s1","pid":"p1"}"#);
    assert_eq!(hand.told(), ["connect"]);
    (hand, slot)
}

/// The connection breaks, and there is another one: the CONNECT that is sent.
fn connect_again(hand: &mut Hand) -> String {
    hand.break_off();
    hand.told();
    hand.wait_for_attempt();
    hand.open();
    hand.told();
    let frames = hand.frames();
    frames[0].clone()
}

#[test]
fn missed_events_come_before_the_reply_and_the_socket_stays_the_same() {
    let (mut hand, slot) = joined(SocketConfig::default());
    hand.say(r#"42["news",1,"QMvIfzn"]"#);
    hand.told();
    assert!(!hand.client.conn().recovered(slot));
    assert_eq!(connect_again(&mut hand), r#"40{"pid":"p1","offset":"QMvIfzn"}"#);
    hand.say(r#"42["missed",2,"QMvIfzo"]"#);
    hand.say(r#"40{"sid":"s1","pid":"p1"}"#);
    assert_eq!(hand.told(), [r#"["missed",2,"QMvIfzo"]"#, "connect recovered"]);
    assert!(hand.client.conn().recovered(slot));
    assert_eq!(connect_again(&mut hand), r#"40{"pid":"p1","offset":"QMvIfzo"}"#);
    // Missed events that came before a reply that did not come are missed still.
    hand.say(r#"42["missed",3,"QMvIfzp"]"#);
    assert_eq!(connect_again(&mut hand), r#"40{"pid":"p1","offset":"QMvIfzo"}"#);
    hand.say(r#"42["missed",3,"QMvIfzp"]"#);
    hand.say(r#"40{"sid":"s9","pid":"p9"}"#);
    assert_eq!(hand.told(), [r#"["missed",3,"QMvIfzp"]"#, "connect"], "B133: not recovered");
    assert!(!hand.client.conn().recovered(slot));
}

#[test]
fn without_an_offset_there_is_the_pid() {
    let (mut hand, _) = joined(SocketConfig::default());
    hand.say(r#"42["no string",1]"#);
    hand.say(r#"427["with ack","QMvIfzn"]"#);
    assert_eq!(connect_again(&mut hand), r#"40{"pid":"p1"}"#, "B130");
}

#[test]
fn b131_strings_of_volatile_events_are_no_offsets() {
    let (mut hand, _) = joined(SocketConfig::default());
    for event in [
        r#"42["news","QMvIfzn"]"#,
        r#"42["volatile","hello"]"#,
        r#"42["volatile","Running"]"#,
        r#"42["volatile",""]"#,
        r#"42["volatile","1795000000000-0"]"#,
        r#"42["QMvIfzo"]"#,
        r#"42["volatile",["QMvIfzo"]]"#,
        r#"42["volatile",{"a":"QMvIfzo"}]"#,
    ] {
        hand.say(event);
    }
    assert_eq!(connect_again(&mut hand), r#"40{"pid":"p1","offset":"QMvIfzn"}"#);
}

#[test]
fn binary_events_have_offsets_too() {
    let (mut hand, _) = joined(SocketConfig::default());
    let channel = sio_proto::engine::ChannelId(1 << 32);
    hand.say(r#"451-["news",{"_placeholder":true,"num":0},"QMvIfzn"]"#);
    let binary = sio_proto::engine::Message::Binary(bytes::Bytes::from_static(b"x"));
    hand.client.handle_message(channel, binary, hand.now).unwrap();
    assert_eq!(hand.told().len(), 1);
    assert_eq!(connect_again(&mut hand), r#"40{"pid":"p1","offset":"QMvIfzn"}"#, "B130");
}

#[test]
fn the_application_s_own_keys_win() {
    for (auth, expected) in [
        (r#"{"token":1}"#, r#"40{"pid":"p1","offset":"QMvIfzn","token":1}"#),
        (r#"{"pid":"mine"}"#, r#"40{"offset":"QMvIfzn","pid":"mine"}"#),
        (r#"{ "offset" : null, "p\u0069d": 1 }"#, r#"40{"offset" : null, "p\u0069d": 1}"#),
        (r#"{}"#, r#"40{"pid":"p1","offset":"QMvIfzn"}"#),
        (r#"{"a":{"pid":1}}"#, r#"40{"pid":"p1","offset":"QMvIfzn","a":{"pid":1}}"#),
    ] {
        let (mut hand, _) = joined(settings(|config| config.auth = AuthSource::Value(auth.into())));
        hand.say(r#"42["news","QMvIfzn"]"#);
        assert_eq!(connect_again(&mut hand), expected);
    }
}

#[test]
fn odd_ids_are_escaped() {
    let mut hand = Hand::new();
    let slot = hand.client.socket("/", SocketConfig::default());
    hand.connect(slot);
    hand.open();
    hand.frames();
    hand.say(r#"40{"sid":"s","pid":"a\"b\\c\n"}"#);
    assert_eq!(connect_again(&mut hand), r#"40{"pid":"a\"b\\c\n"}"#);
}

#[test]
fn who_leaves_begins_anew() {
    for server in [true, false] {
        let (mut hand, slot) = joined(SocketConfig::default());
        let keep = hand.client.socket("/keep", SocketConfig::default());
        hand.connect(keep);
        hand.say(r#"42["news","QMvIfzn"]"#);
        if server {
            hand.say("41");
        } else {
            hand.disconnect(slot);
        }
        hand.frames();
        hand.connect(slot);
        assert_eq!(hand.frames(), ["40"]);
        // The old id does not come back by chance.
        hand.say(r#"40{"sid":"s2","pid":"p1"}"#);
        assert!(!hand.client.conn().recovered(slot));
    }
}
