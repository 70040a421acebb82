//! A client joins namespaces: handshake, `auth`, CONNECT and what may come instead of its answer.

use std::time::Duration;

use sio_proto::UsageError;
use sio_proto::client::PeerError;
use sio_proto::engine::{Transport, TransportError};
use sio_proto::socket::{AuthSource, ConnectionError, PacketError, SocketConfig};

use crate::common::hand::{Hand, OPEN, settings};
use crate::common::net::Net;

fn ask() -> SocketConfig {
    settings(|config| config.auth = AuthSource::Ask)
}

#[test]
fn a_namespace_is_joined_and_has_an_id_while_it_is() {
    let mut hand = Hand::new();
    let slot = hand.client.socket("/", SocketConfig::default());
    assert!(hand.client.is_quiet() && hand.client.is_idle(), "it does not connect by itself");
    assert_eq!(hand.requests(), []);
    hand.connect(slot);
    assert!(!hand.client.conn().is_connected(slot) && hand.client.conn().is_active(slot));
    hand.open();
    assert_eq!(hand.told(), [""; 0]);
    assert_eq!(hand.frames(), ["40"]);
    hand.say(r#"40{"sid":"s1"}"#);
    assert_eq!(hand.told(), ["connect"]);
    assert_eq!(hand.client.conn().id(slot).map(|id| id.as_str()), Some("s1"));
    assert_eq!(hand.client.transport(), Some(Transport::WebSocket));
    assert_eq!(hand.client.conn().last_error(slot), None);
    hand.break_off();
    assert_eq!(hand.client.conn().id(slot), None, "B147");
    assert_eq!(hand.told(), ["disconnect: transport error", "closed: transport error"]);
}

#[test]
fn several_namespaces_share_a_connection_and_a_failure_in_one_leaves_the_others() {
    let mut hand = Hand::new();
    let [root, chat, same, nope] =
        ["/", "/chat", "chat", "/nope"].map(|name| hand.client.socket(name, SocketConfig::default()));
    assert_eq!(chat, same, "B117");
    [root, chat, nope].into_iter().for_each(|slot| hand.connect(slot));
    hand.open();
    assert_eq!(hand.frames(), ["40", "40/chat,", "40/nope,"]);
    hand.say(r#"44/nope,{"message":"Invalid namespace"}"#);
    hand.say(r#"40/chat,{"sid":"b"}"#);
    hand.say(r#"40{"sid":"a"}"#);
    assert_eq!(hand.told(), ["/nope connect_error: refused: Invalid namespace", "/chat connect", "connect"]);
    assert!(!hand.client.conn().is_active(nope));
    // One that is made later uses the same connection.
    let late = hand.client.socket("/late", SocketConfig::default());
    hand.connect(late);
    assert_eq!((hand.frames(), hand.requests()), (vec!["40/late,".into()], vec![]));
    hand.say(r#"42/chat,["x"]"#);
    hand.say(r#"42/late,["early"]"#);
    hand.say(r#"42/unknown,["x"]"#);
    assert_eq!(hand.told(), [r#"/chat ["x"]"#]);
    hand.disconnect(chat);
    assert_eq!(hand.frames(), ["41/chat,"]);
    assert_eq!(hand.told(), ["/chat disconnect: io client disconnect"]);
    hand.say(r#"42["still here"]"#);
    assert_eq!(hand.told(), [r#"["still here"]"#]);
    // Twice is once.
    hand.connect(root);
    assert_eq!(hand.frames(), [""; 0], "B140");
}

#[test]
fn auth_is_a_value_or_asked_for_at_each_connection() {
    let mut hand = Hand::new();
    let value = AuthSource::Value(r#"{"token":1}"#.into());
    let fixed = hand.client.socket("/", settings(|config| config.auth = value));
    let asking = hand.client.socket("/ask", ask());
    [fixed, asking].into_iter().for_each(|slot| hand.connect(slot));
    assert_eq!(hand.told(), [""; 0], "not before there is a connection");
    hand.open();
    assert_eq!(hand.frames(), [r#"40{"token":1}"#]);
    assert_eq!(hand.told(), ["/ask auth?"]);
    hand.say(r#"40{"sid":"a"}"#);
    hand.pass_ms(10_000);
    assert!(hand.authenticate(Ok(Some(r#" {"user":"x"} "#))), "B144: it may take its time");
    assert_eq!(hand.frames(), [r#"40/ask,{"user":"x"}"#]);
    hand.say(r#"40/ask,{"sid":"b"}"#);
    assert_eq!(hand.told(), ["connect", "/ask connect"]);
    hand.break_off();
    hand.told();
    hand.wait_for_attempt();
    hand.open();
    assert_eq!(hand.frames(), [r#"40{"token":1}"#]);
    assert_eq!(hand.told(), ["/ask auth?", "reconnect 1"], "asked again");
    assert!(hand.authenticate(Ok(None)));
    assert_eq!(hand.frames(), ["40/ask,"]);
}

#[test]
fn late_answers_for_auth_are_void() {
    let mut hand = Hand::new();
    let slot = hand.client.socket("/", ask());
    hand.connect(slot);
    hand.open();
    assert_eq!(hand.told(), ["auth?"]);
    hand.break_off();
    hand.told();
    hand.wait_for_attempt();
    assert!(!hand.authenticate(Ok(None)), "that connection is gone");
    hand.open();
    assert_eq!(hand.told(), ["auth?", "reconnect 1"]);
    let (_, ticket) = hand.asked[0];
    assert!(hand.authenticate(Ok(None)));
    let twice = hand.client.authenticate(slot, ticket, Ok(None), hand.now);
    assert_eq!(twice, Err(UsageError::Gone), "one answer is enough");
    assert_eq!(hand.frames(), ["40"]);
    // Nor does it count after the namespace was left, or the question asked again.
    hand.disconnect(slot);
    hand.frames();
    let other = hand.client.socket("/other", ask());
    let keep = hand.client.socket("/keep", SocketConfig::default());
    [keep, other].into_iter().for_each(|slot| hand.connect(slot));
    hand.open();
    hand.told();
    hand.disconnect(other);
    hand.connect(other);
    assert!(hand.asked.len() == 1 && !hand.authenticate(Ok(None)));
    assert_eq!(hand.told(), ["/other auth?"]);
    assert!(hand.authenticate(Ok(None)));
    assert_eq!(hand.frames(), ["40/keep,", "40/other,"]);
}

#[test]
fn without_auth_there_is_no_connection() {
    let mut hand = Hand::new();
    let slot = hand.client.socket("/", ask());
    hand.connect(slot);
    let channel = hand.open();
    hand.told();
    assert!(hand.authenticate(Err("no token")));
    assert_eq!(hand.told()[0], "connect_error: auth: no token");
    assert!(!hand.client.conn().is_active(slot));
    assert_eq!(hand.frames(), ["close"], "B141: it was the only one");
    hand.client.handle_failure(channel, TransportError::Closed, hand.now);
    assert_eq!(hand.told(), ["closed: forced close"]);
    hand.assert_quiet();
    hand.connect(slot);
    hand.open();
    assert_eq!(hand.told(), ["auth?"], "asked to, it tries again");
}

#[test]
fn refusals_carry_message_and_data_and_are_final_until_connect() {
    for (packet, message, data) in [
        (r#"44{"message":"no","data":{"code":7}}"#, "no", Some(r#"{"code":7}"#)),
        (r#"44"no""#, "no", None),
        (r#"44{"message":1}"#, "refused without a reason", Some(r#"{"message":1}"#)),
        ("44", "refused without a reason", None),
    ] {
        let mut hand = Hand::new();
        let slot = hand.client.socket("/", SocketConfig::default());
        hand.connect(slot);
        hand.open();
        hand.frames();
        hand.say(packet);
        let Some(ConnectionError::Refused(error)) = hand.client.conn().last_error(slot).cloned() else {
            panic!("B137: {packet}")
        };
        assert_eq!(error.message(), message, "{packet}");
        assert_eq!(error.data_json(), data, "{packet}");
        assert_eq!(hand.told().len(), 1);
        assert!(!hand.client.conn().is_active(slot));
        hand.frames();
        hand.pass_ms(60_000);
        hand.told();
        hand.requests();
        hand.assert_quiet();
        hand.connect(slot);
        hand.open();
        assert_eq!(hand.frames(), ["40"]);
        hand.say(r#"40{"sid":"x"}"#);
        assert_eq!(hand.told(), ["connect"]);
    }
}

#[test]
fn b80_a_server_of_version_2_is_told_apart() {
    for reply in ["40", "40{}", r#"40{"sid":1}"#, "40[]"] {
        let mut hand = Hand::new();
        let slot = hand.client.socket("/", SocketConfig::default());
        hand.connect(slot);
        hand.open();
        hand.frames();
        let said = hand.try_say(reply);
        if said.is_ok() {
            assert_eq!(hand.client.conn().last_error(slot), Some(&ConnectionError::UnsupportedServer));
            assert_eq!(hand.frames(), ["close"]);
            assert!(!hand.client.conn().is_active(slot), "it would be the same again");
        } else {
            assert_eq!(reply, "40[]", "not a packet at all");
        }
    }
}

#[test]
fn b138_second_replies_and_early_disconnects_mean_little() {
    let (mut hand, slot) = Hand::joined();
    hand.say(r#"40{"sid":"s2"}"#);
    assert_eq!(hand.told(), [""; 0]);
    assert_eq!(hand.client.conn().id(slot).map(|id| id.as_str()), Some("s1"));
    hand.say("44{}");
    assert_eq!(hand.told(), [""; 0], "it is joined");

    let mut hand = Hand::new();
    let slot = hand.client.socket("/", SocketConfig::default());
    let other = hand.client.socket("/other", SocketConfig::default());
    [slot, other].into_iter().for_each(|slot| hand.connect(slot));
    hand.open();
    hand.say("41");
    assert_eq!(hand.told(), ["disconnect: io server disconnect"]);
    hand.say(r#"40{"sid":"s1"}"#);
    assert_eq!(hand.told(), [""; 0], "not wanted any more");
    hand.say("41/other,");
    hand.say("41/other,");
    assert_eq!(hand.told(), ["/other disconnect: io server disconnect"]);
}

#[test]
fn events_before_the_reply_are_kept_and_come_first() {
    let mut hand = Hand::new();
    let slot = hand.client.socket("/", SocketConfig::default());
    hand.connect(slot);
    hand.emit(slot, "first").unwrap();
    hand.emit(slot, "second").unwrap();
    hand.open();
    hand.say(r#"42["early",1]"#);
    hand.say(r#"425["early",2]"#);
    assert_eq!(hand.told(), [""; 0]);
    assert_eq!(hand.frames(), ["40"]);
    hand.say(r#"40{"sid":"s1"}"#);
    assert_eq!(hand.told(), [r#"["early",1]"#, r#"["early",2]+5"#, "connect"], "B129");
    // B142: what a connect listener emits comes after what waited.
    hand.emit(slot, "third").unwrap();
    assert_eq!(hand.frames(), [r#"42["first"]"#, r#"42["second"]"#, r#"42["third"]"#]);
    // Without a reply they are gone with their connection.
    hand.break_off();
    hand.told();
    hand.wait_for_attempt();
    hand.open();
    hand.say(r#"42["lost"]"#);
    hand.break_off();
    hand.told();
    hand.wait_for_attempt();
    hand.open();
    hand.say(r#"40{"sid":"s2"}"#);
    assert_eq!(hand.told(), ["reconnect 2", "connect"]);
}

/// The server still sends to the session that was left: it has not heard of it. That is not for the next one.
#[test]
fn events_before_the_reply_are_dropped_if_the_namespace_was_left_on_this_connection() {
    let (mut hand, slot) = Hand::joined();
    let other = hand.client.socket("/other", SocketConfig::default());
    hand.connect(other);
    hand.client.disconnect(slot, hand.now);
    hand.told();
    hand.say(r#"42["missed"]"#);
    hand.connect(slot);
    hand.say(r#"42["stale"]"#);
    hand.say(r#"425["stale"]"#);
    hand.say(r#"40{"sid":"s2"}"#);
    hand.say(r#"42["new"]"#);
    assert_eq!(hand.told(), ["connect", r#"["new"]"#]);
    // Nothing of that is left on another connection.
    hand.client.disconnect(slot, hand.now);
    hand.break_off();
    hand.told();
    hand.connect(slot);
    hand.wait_for_attempt();
    hand.open();
    hand.say(r#"42["early"]"#);
    hand.say(r#"40{"sid":"s3"}"#);
    let told = hand.told();
    assert!(told.contains(&r#"["early"]"#.to_owned()), "{told:?}");
}

/// Likewise if it was left before its reply came: nobody was ever told of that session.
#[test]
fn what_a_session_is_sent_that_was_left_before_its_reply_is_dropped() {
    let (mut hand, _) = Hand::joined();
    let other = hand.client.socket("/other", SocketConfig::default());
    hand.connect(other);
    hand.client.disconnect(other, hand.now);
    hand.say(r#"40/other,{"sid":"s2"}"#);
    hand.connect(other);
    hand.told();
    hand.say(r#"42/other,["stale"]"#);
    hand.say("41/other,");
    hand.say(r#"40/other,{"sid":"s3"}"#);
    hand.say(r#"42/other,["new"]"#);
    assert_eq!(hand.told(), ["/other connect", r#"/other ["new"]"#]);
}

/// The server sends a session away that has left already, and is back.
#[test]
fn a_disconnect_before_the_reply_is_ignored_if_the_namespace_was_left_on_this_connection() {
    let (mut hand, slot) = Hand::joined();
    let other = hand.client.socket("/other", SocketConfig::default());
    hand.connect(other);
    hand.client.disconnect(slot, hand.now);
    hand.connect(slot);
    hand.told();
    hand.say("41");
    hand.say(r#"40{"sid":"s2"}"#);
    assert_eq!(hand.told(), ["connect"]);
    // The next one is meant.
    hand.say("41");
    assert_eq!(hand.told(), ["disconnect: io server disconnect"]);
    // Left before the reply: the server must be told when that comes.
    hand.connect(slot);
    hand.say(r#"40{"sid":"s3"}"#);
    hand.client.disconnect(slot, hand.now);
    hand.connect(slot);
    hand.client.disconnect(slot, hand.now);
    hand.told();
    hand.frames();
    hand.say("41");
    assert_eq!(hand.frames(), [""; 0]);
    hand.say(r#"40{"sid":"s4"}"#);
    assert_eq!(hand.frames(), ["41"]);
}

#[test]
fn a_server_cannot_fill_memory_before_its_reply() {
    let mut hand = Hand::with(|_, config| config.socket.max_packet_bytes = 1000);
    let slot = hand.client.socket("/", SocketConfig::default());
    hand.connect(slot);
    hand.open();
    let errors = (0..100).filter_map(|_| hand.try_say(r#"42["early"]"#).err()).collect::<Vec<_>>();
    assert_eq!(errors, [PeerError::Packet(PacketError::TooLarge { limit: 1000 })]);
    assert_eq!(
        hand.told(),
        ["connect_error: packet with attachments exceeds 1000 bytes", "closed: parse error"],
        "it was not joined yet, and is tried again"
    );
    hand.requests();
    hand.wait_for_attempt();
}

#[test]
fn a_namespace_that_does_not_answer_is_reported_and_may_answer_late() {
    let mut hand = Hand::new();
    let slot = hand.client.socket("/", SocketConfig::default());
    hand.connect(slot);
    hand.open();
    hand.frames();
    hand.pass_ms(20_000);
    hand.say("2");
    assert_eq!(hand.frames(), ["3"]);
    hand.pass_ms(24_999);
    assert_eq!(hand.told(), [""; 0]);
    hand.pass_ms(1);
    assert_eq!(hand.told(), ["connect_error: no answer in time"], "once");
    hand.say("2");
    hand.pass_ms(40_000);
    assert_eq!(hand.told(), [""; 0]);
    assert_eq!(hand.client.conn().failures(slot), 1);
    hand.say(r#"40{"sid":"late"}"#);
    assert_eq!(hand.told(), ["connect"]);
}

#[test]
fn b143_opening_takes_at_most_the_timeout_and_a_late_open_is_ignored() {
    let mut hand = Hand::new();
    let slot = hand.client.socket("/", SocketConfig::default());
    hand.connect(slot);
    let channel = hand.dial();
    hand.pass_ms(19_999);
    assert_eq!(hand.told(), [""; 0]);
    hand.pass_ms(1);
    assert_eq!(hand.told(), ["connect_error: no answer in time"]);
    assert_eq!(hand.expect("abort"), channel);
    hand.client.handle_open(channel, hand.now);
    hand.say(OPEN);
    hand.say(r#"40{"sid":"late"}"#);
    assert_eq!((hand.told(), hand.requests()), (vec![], vec![]));
    // So is one that was open, but did not say anything.
    hand.wait_for_attempt();
    let channel = hand.dial();
    hand.client.handle_open(channel, hand.now);
    hand.pass_ms(20_000);
    assert_eq!(hand.told(), ["connect_error: no answer in time", "reconnect_error: no answer in time"]);
    assert_eq!(hand.expect("abort"), channel);

    let mut hand = Hand::with(|_, config| config.timeout = Some(Duration::ZERO));
    let slot = hand.client.socket("/", SocketConfig::default());
    hand.connect(slot);
    hand.pass_ms(1);
    assert_eq!(hand.told(), ["connect_error: no answer in time"], "0 is at once");

    let mut hand = Hand::with(|_, config| config.timeout = None);
    let slot = hand.client.socket("/", SocketConfig::default());
    hand.connect(slot);
    hand.dial();
    hand.pass_ms(3_600_000);
    assert_eq!((hand.told(), hand.client.poll_timeout()), (vec![], None), "without end");
}

#[test]
fn bad_servers_get_typed_errors_and_are_tried_again() {
    let polling = || {
        let mut hand = Hand::with(|engine, _| engine.transports = vec![Transport::Polling]);
        let slot = hand.client.socket("/", SocketConfig::default());
        hand.connect(slot);
        let get = hand.expect("get");
        (hand, slot, get)
    };
    for (status, body, expected) in [
        (500, "oops", "server answered with status 500"),
        (
            400,
            r#"{"code":5,"message":"Unsupported protocol version"}"#,
            "server answered with status 400: Unsupported protocol version",
        ),
        (302, "", "server redirects with status 302"),
        (200, "hello", "h"),
        (200, "", ""),
        (200, "0{}", "sid"),
        (200, "1", "server closed the transport"),
        (200, "40", ""),
    ] {
        let (mut hand, slot, get) = polling();
        let error = hand.answer(get, status, body).expect_err("it is wrong");
        let PeerError::Transport(error) = error else { panic!("{error:?}") };
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(hand.client.conn().last_error(slot), Some(&ConnectionError::Transport(error.clone())));
        assert_eq!(hand.told(), [format!("connect_error: {error}")], "B139");
        hand.wait_for_attempt();
        let get = hand.expect("get");
        hand.answer(get, status, body).unwrap_err();
        assert_eq!(hand.told(), [format!("connect_error: {error}"), format!("reconnect_error: {error}")]);
    }
    let (mut hand, _, get) = polling();
    hand.client.handle_failure(get, TransportError::Tls("bad certificate".into()), hand.now);
    assert_eq!(hand.told(), ["connect_error: TLS: bad certificate"]);
}

#[test]
fn garbage_ends_the_connection_and_the_client_comes_back() {
    for garbage in ["4", "4nonsense", "42{}", "47", "42[\"connect\"]", "4511-[]", "9"] {
        let (mut hand, slot) = Hand::joined();
        assert!(hand.try_say(garbage).is_err(), "{garbage} is no packet");
        assert_eq!(hand.told(), ["disconnect: parse error", "closed: parse error"], "{garbage}");
        assert_eq!(hand.request().map(|(request, _)| request), Some("abort".into()));
        // What came with it does not count any more.
        hand.say(r#"42["more"]"#);
        assert_eq!(hand.told(), [""; 0]);
        hand.wait_for_attempt();
        hand.open();
        assert_eq!(hand.frames(), ["40"]);
        hand.say(r#"40{"sid":"s2"}"#);
        assert!(hand.client.conn().is_connected(slot));
    }
}

#[test]
fn what_comes_after_garbage_in_one_answer_does_not_count() {
    let mut hand = Hand::with(|engine, _| engine.transports = vec![Transport::Polling]);
    let slot = hand.client.socket("/", SocketConfig::default());
    hand.connect(slot);
    let get = hand.expect("get");
    hand.answer(get, 200, OPEN).unwrap();
    let get = hand.expect("get");
    hand.expect("post 40");
    hand.answer(get, 200, "40{\"sid\":\"s\"}\u{1e}42[\"good\"]\u{1e}4bad\u{1e}42[\"late\"]\u{1e}4worse")
        .unwrap_err();
    assert_eq!(hand.told(), ["connect", r#"["good"]"#, "disconnect: parse error", "closed: parse error"]);
}

#[test]
fn both_sides_agree_whatever_the_transport() {
    use Transport::{Polling, WebSocket};
    for (transports, upgrade) in
        [(&[Polling][..], false), (&[WebSocket], false), (&[Polling, WebSocket], true)]
    {
        let mut net = Net::new(transports, upgrade);
        let value = AuthSource::Value(r#"{"token":"t"}"#.into());
        net.join("/", settings(|config| config.auth = value));
        net.auth = Some(r#"{"asked":true}"#.into());
        net.join("/chat", ask());
        net.join("/nope", SocketConfig::default());
        net.pass_ms(1000);
        assert_eq!(net.take_heard(), [r#"/ connect {"token":"t"}"#, r#"/chat connect {"asked":true}"#]);
        let mut told = net.take_told();
        told.sort();
        let mut expected = vec![
            "/chat auth?",
            "/chat connect",
            "/nope connect_error: refused: Invalid namespace",
            "connect",
        ];
        expected.extend(upgrade.then_some("upgraded"));
        assert_eq!(told, expected);
        let travels = if transports == [Polling] { Polling } else { WebSocket };
        assert_eq!(net.client.transport(), Some(travels));
        net.end();
    }
}
