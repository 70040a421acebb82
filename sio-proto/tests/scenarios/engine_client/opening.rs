//! Until the handshake is there.

use sio_proto::engine::{
    Answer, ChannelId, ClientEvent, ClientRequest, CloseReason, HandshakeError, PacketError, Transport,
    TransportError,
};

use super::{OPEN, OPEN_STAY, Rig, io};

fn query(request: Option<ClientRequest>) -> String {
    match request {
        Some(
            ClientRequest::Get { query, .. }
            | ClientRequest::Post { query, .. }
            | ClientRequest::WebSocket { query, .. },
        ) => query,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_request_says_revision_transport_and_session() {
    let mut rig = Rig::with(Transport::Polling, |config| config.query = "user=1".into());
    assert_eq!(query(rig.session.poll_request()), "EIO=4&transport=polling&user=1");
    rig.answer(0, OPEN.replace("abc", "a b")).unwrap();
    assert_eq!(query(rig.session.poll_request()), "EIO=4&transport=websocket&sid=a%20b&user=1");
    assert_eq!(query(rig.session.poll_request()), "EIO=4&transport=polling&sid=a%20b&user=1");
    rig.send("x").unwrap();
    assert_eq!(query(rig.session.poll_request()), "EIO=4&transport=polling&sid=a%20b&user=1");
}

#[test]
fn polls_are_stamped_and_websockets_are_not() {
    let mut rig = Rig::with(Transport::Polling, |config| config.timestamp_requests = None);
    let first = query(rig.session.poll_request());
    assert_eq!(first.find("&t=").map(|at| first.len() - at), Some(3 + 8), "{first}");
    rig.answer(0, OPEN).unwrap();
    assert_eq!(query(rig.session.poll_request()), "EIO=4&transport=websocket&sid=abc");
    assert_ne!(
        query(rig.session.poll_request()).split_once("&t=").unwrap().1,
        first.split_once("&t=").unwrap().1
    );
}

#[test]
fn b12_the_handshake_is_told() {
    let mut rig = Rig::new(Transport::Polling);
    assert_eq!(rig.session.max_payload(), None);
    assert_eq!(rig.session.transport(), None);
    assert!(!rig.session.is_open() && !rig.session.is_closed());
    assert!(!rig.session.wants_packet() && !rig.session.is_writable());
    assert!(rig.send("early").is_err());
    assert_eq!(rig.asked(), ["get 0"]);
    assert_eq!(rig.session.poll_timeout(), None, "the layer above bounds the attempt");
    rig.answer(0, OPEN).unwrap();
    let Some(ClientEvent::Open(open)) = rig.session.poll_event() else { panic!("open") };
    assert_eq!((open.sid.as_str(), &open.upgrades[..]), ("abc", &[Transport::WebSocket][..]));
    assert_eq!(rig.session.max_payload(), Some(50));
    assert_eq!(rig.session.transport(), Some(Transport::Polling));
    assert!(rig.session.is_open() && rig.session.wants_packet() && rig.session.is_writable());
}

#[test]
fn b25_messages_may_follow_the_handshake_at_once() {
    let mut rig = Rig::new(Transport::Polling);
    rig.asked();
    rig.answer(0, format!("{OPEN_STAY}\u{1e}4hello\u{1e}bAQ==")).unwrap();
    assert_eq!(rig.told(), ["open", "hello", "bin:\u{1}"]);
}

#[test]
fn a_websocket_opens_by_its_first_message() {
    let mut rig = Rig::new(Transport::WebSocket);
    assert_eq!(rig.asked(), ["ws 0"]);
    rig.open(0);
    assert_eq!(rig.told(), [""; 0]);
    assert_eq!(rig.frames(0), [""; 0]);
    rig.say(0, OPEN).unwrap();
    assert_eq!(rig.told(), ["open"]);
    assert_eq!(rig.asked(), [""; 0], "no poll, and no upgrade");
    assert_eq!(rig.session.transport(), Some(Transport::WebSocket));
    assert!(!rig.session.upgraded());
}

#[test]
fn a_second_handshake_is_ignored() {
    let mut rig = Rig::polling();
    rig.answer(1, OPEN.replace("abc", "other")).unwrap();
    assert_eq!(rig.told(), [""; 0]);
    assert_eq!(query(rig.session.poll_request()), "EIO=4&transport=polling&sid=abc");
}

/// An answer to the first GET that opens nothing.
fn refused(status: u16, body: &str) -> (CloseReason, TransportError) {
    let mut rig = Rig::new(Transport::Polling);
    rig.asked();
    let result = rig.status(0, status, body.to_owned());
    let Some(ClientEvent::Closed { reason, error, undelivered: 0 }) = rig.session.poll_event() else {
        panic!("the end")
    };
    assert_eq!(rig.asked(), [""; 0]);
    rig.assert_over();
    let error = error.expect("an error");
    assert_eq!(result, Err(error.clone()));
    (reason, error)
}

#[test]
fn b60_a_refusal_is_told_with_the_servers_words() {
    let status = |status, code, message: Option<&str>| {
        let message = message.map(String::from);
        (CloseReason::TransportError, TransportError::Status { status, code, message })
    };
    let unknown = r#"{"code":0,"message":"Transport unknown"}"#;
    assert_eq!(refused(400, unknown), status(400, Some(0), Some("Transport unknown")));
    assert_eq!(refused(403, r#"{"code":4}"#), status(403, Some(4), None));
    for body in ["", "<html>", "[1]", r#"{"code":300}"#, r#"{"code":"x"}"#, "\u{0}"] {
        assert_eq!(refused(502, body), status(502, None, None), "{body}");
    }
    let long = format!(r#"{{"code":1,"message":"{}"}}"#, "x".repeat(4096));
    assert_eq!(refused(400, &long), status(400, None, None), "bounded");
    assert_eq!(refused(204, OPEN), status(204, None, None), "only 200 counts");
    assert_eq!(status(400, None, Some("why")).1.to_string(), "server answered with status 400: why");
}

#[test]
fn a_redirect_is_told_and_not_followed() {
    let mut rig = Rig::new(Transport::Polling);
    rig.asked();
    let location = Some("https://elsewhere/".to_owned());
    let answer = Answer { status: 301, location: location.clone(), body: "".into() };
    let error = TransportError::Redirect { status: 301, location };
    assert_eq!(rig.session.handle_answer(ChannelId(0), answer, rig.now), Err(error));
    let told = ["transport error (server redirects with status 301: https://elsewhere/), 0 undelivered"];
    assert_eq!(rig.told(), told);
}

#[test]
fn what_is_not_a_handshake_ends_the_attempt() {
    use TransportError::{Handshake, Packet};
    let parse = |error| (CloseReason::ParseError, error);
    assert_eq!(refused(200, ""), parse(Packet(PacketError::Empty)));
    assert_eq!(refused(200, "<html>"), parse(Packet(PacketError::UnknownType('<'))));
    for first in ["4hello", "2", "3", "6", "5", "bAQ=="] {
        let body = format!("{first}\u{1e}{OPEN}");
        assert_eq!(refused(200, &body), parse(Handshake(HandshakeError::Missing)), "{first}");
    }
    assert_eq!(refused(200, "0"), parse(Handshake(HandshakeError::NotAnObject)));
    let error = HandshakeError::Field { name: "sid" };
    assert_eq!(refused(200, &OPEN.replace("sid", "id")), parse(Handshake(error)));
    let close = (CloseReason::TransportClose, TransportError::Closed);
    assert_eq!(refused(200, "1"), close);
}

#[test]
fn what_is_not_text_ends_the_attempt() {
    let mut rig = Rig::new(Transport::Polling);
    rig.asked();
    assert_eq!(rig.answer(0, &b"0\xff"[..]), Err(TransportError::NotUtf8));
    assert_eq!(rig.told(), ["parse error (answer is not UTF-8), 0 undelivered"]);

    let mut rig = Rig::new(Transport::WebSocket);
    rig.asked();
    let missing = TransportError::Handshake(HandshakeError::Missing);
    assert_eq!(rig.say_binary(0, b"0{}"), Err(missing));
    assert_eq!(rig.asked(), ["abort 0"]);
    rig.told();
    rig.assert_over();
}

#[test]
fn a_connection_that_fails_ends_the_attempt() {
    for (error, reason) in [
        (io(), "transport error (reset)"),
        (TransportError::Tls("bad".into()), "transport error (TLS: bad)"),
        (TransportError::Proxy("no".into()), "transport error (proxy: no)"),
        (TransportError::Closed, "transport close (server closed the transport)"),
    ] {
        for first in [Transport::Polling, Transport::WebSocket] {
            let mut rig = Rig::new(first);
            rig.asked();
            rig.fail(0, error.clone());
            assert_eq!(rig.told(), [format!("{reason}, 0 undelivered")]);
            assert_eq!(rig.asked(), [""; 0], "there is nothing left to drop");
            rig.assert_over();
        }
    }
}

#[test]
fn all_transports_are_tried_if_that_is_asked_for() {
    let mut rig = Rig::with(Transport::WebSocket, |config| config.try_all_transports = true);
    assert_eq!(rig.asked(), ["ws 0"]);
    rig.fail(0, io());
    assert_eq!(rig.asked(), ["get 1"]);
    rig.answer(1, OPEN_STAY).unwrap();
    assert_eq!(rig.told(), ["open"]);
    rig.fail(0, io());
    assert!(rig.session.is_open(), "it is forgotten");

    let mut rig = Rig::with(Transport::Polling, |config| config.try_all_transports = true);
    assert_eq!(rig.asked(), ["get 0"]);
    rig.status(0, 400, "").unwrap_err();
    assert_eq!(rig.asked(), ["ws 1"]);
    rig.open(1);
    rig.say(1, "4no handshake").unwrap_err();
    assert_eq!(rig.told(), ["parse error (the first packet is not a handshake), 0 undelivered"]);
    assert_eq!(rig.asked(), ["abort 1"]);
    rig.assert_over();
}

#[test]
fn a_websocket_that_misbehaves_is_dropped_before_the_next_transport_is_tried() {
    let mut rig = Rig::with(Transport::WebSocket, |config| config.try_all_transports = true);
    assert_eq!(rig.asked(), ["ws 0"]);
    rig.say(0, "9").unwrap_err();
    assert_eq!(rig.asked(), ["abort 0", "get 1"]);
}

#[test]
fn an_open_session_does_not_try_another_transport() {
    for first in [Transport::Polling, Transport::WebSocket] {
        let mut rig = Rig::with(first, |config| config.try_all_transports = true);
        rig.asked();
        if first == Transport::Polling {
            rig.answer(0, OPEN_STAY).unwrap();
            rig.asked();
            rig.fail(1, io());
        } else {
            rig.say(0, OPEN_STAY).unwrap();
            rig.fail(0, io());
        }
        assert_eq!(rig.told(), ["open", "transport error (reset), 0 undelivered"]);
        assert_eq!(rig.asked(), [""; 0]);
        rig.assert_over();
    }
}

#[test]
fn a_handshake_may_take_too_long() {
    let mut rig = Rig::with(Transport::Polling, |config| {
        config.request_timeout = Some(core::time::Duration::from_secs(3));
        config.try_all_transports = true;
    });
    rig.asked();
    rig.pass_ms(2_999);
    assert_eq!(rig.asked(), [""; 0]);
    rig.pass_ms(1);
    assert_eq!(rig.asked(), ["abort 0", "ws 1"]);
    rig.pass_ms(100_000);
    assert!(!rig.session.is_closed(), "the layer above bounds a WebSocket's opening");
}

#[test]
fn b143_a_close_while_opening_ends_the_attempt() {
    for first in [Transport::Polling, Transport::WebSocket] {
        let mut rig = Rig::new(first);
        rig.asked();
        rig.close();
        assert_eq!(rig.asked(), ["abort 0"]);
        assert_eq!(rig.told(), ["forced close, 0 undelivered"]);
        rig.assert_over();
    }
}

#[test]
fn what_was_not_begun_is_not_dropped() {
    let mut rig = Rig::new(Transport::WebSocket);
    rig.close();
    assert_eq!(rig.asked(), [""; 0]);
}
