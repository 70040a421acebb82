//! GET and POST.

use sio_proto::engine::{Hangup, Refusal, Request};
use sio_proto::server::{Admission, PeerError};

use crate::common::Rig;

#[test]
fn b10_open_upgrade_and_noop_from_the_client_are_ignored() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    rig.join(ws, "");
    for packet in ["0", "0{}", "5", "6"] {
        rig.say(ws, packet).unwrap();
    }
    rig.say(ws, r#"42["still here"]"#).unwrap();
    assert_eq!(rig.told(ws.conn), [r#"["still here"]"#]);
}

#[test]
fn b10_a_close_packet_on_a_websocket_closes() {
    // The reference ignores it, and such a session ends by ping timeout only.
    let mut rig = Rig::new();
    let ws = rig.websocket();
    rig.say(ws, "1").unwrap();
    assert_eq!(rig.told(ws.conn), ["closed: transport close, 0 undelivered"]);
    assert_eq!(rig.frames(ws), ["close"]);
}

#[test]
fn b11_packets_after_a_close_packet_are_not_delivered() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    rig.join_by_post(peer);
    assert_eq!(rig.post(peer, "42[\"before\"]\u{1e}1\u{1e}42[\"after\"]"), "ok");
    assert_eq!(
        rig.told(peer.conn),
        [r#"["before"]"#, "disconnect: transport close", "closed: transport close, 0 undelivered"]
    );
}

#[test]
fn b42_a_second_get_ends_the_session() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let first = rig.get(peer).unwrap();
    assert_eq!(rig.get(peer), Err(Refusal::OutOfTurn));
    assert_eq!(rig.answer(first), "1");
    assert_eq!(rig.told(peer.conn), ["closed: transport error, 0 undelivered"]);
    assert!(rig.server.is_empty());
}

#[test]
fn b43_a_second_post_ends_the_session() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let first = rig.begin_post(peer).unwrap();
    assert_eq!(rig.begin_post(peer), Err(Refusal::OutOfTurn));
    assert_eq!(rig.told(peer.conn), ["closed: transport error, 0 undelivered"]);
    let (late, fault) = rig.server.handle_body(first, "40".into(), rig.now);
    assert_eq!((late, fault), (Err(Refusal::SessionUnknown), Ok(())), "its body is nobody's any more");
    assert!(rig.server.is_empty());
}

#[test]
fn b45_a_binary_post_ends_the_session() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let refused =
        rig.server.handle_request(Request::Post(peer.sid), Some("application/octet-stream"), rig.now);
    assert_eq!(refused, Err(Refusal::OutOfTurn));
    assert!(Refusal::OutOfTurn.response(&Default::default(), &Default::default()).close, "CVE-2026-59725");
    assert_eq!(rig.told(peer.conn), ["closed: transport error, 0 undelivered"]);
}

#[test]
fn b46_a_body_over_the_limit_leaves_the_session_alone() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let post = rig.begin_post(peer).unwrap();
    let refusal = rig.server.handle_oversize(post, rig.now);
    assert_eq!(refusal, Refusal::TooLarge { limit: 1_000_000 });
    let response = refusal.response(&Default::default(), &Default::default());
    assert_eq!((response.status, response.close), (413, true));
    assert_eq!(rig.post(peer, "40"), "ok", "the next one is welcome");
    assert_eq!(rig.told(peer.conn), ["connect"]);
}

#[test]
fn b48_an_undecodable_body_is_taken_and_then_the_session_ends() {
    for body in [&b""[..], b"nonsense", b"4a\x1e", b"\xff", b"b!"] {
        let mut rig = Rig::new();
        let peer = rig.poller();
        let post = rig.begin_post(peer).unwrap();
        let (response, fault) = rig.server.handle_body(post, body.into(), rig.now);
        assert_eq!(response.unwrap().body, "ok");
        assert!(matches!(fault, Err(PeerError::Engine(_))), "{body:?}");
        assert_eq!(rig.told(peer.conn).last().unwrap(), "closed: parse error, 0 undelivered", "{body:?}");
        assert_eq!(rig.get(peer), Err(Refusal::SessionUnknown));
    }
}

#[test]
fn b49_a_post_is_answered_with_ok_in_html() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let post = rig.begin_post(peer).unwrap();
    let response = rig.server.handle_body(post, "6".into(), rig.now).0.unwrap();
    assert_eq!((response.status, &response.body[..], response.close), (200, &b"ok"[..], false));
    assert!(response.headers.contains(&("content-type", "text/html".into())));
}

#[test]
fn b50_a_close_packet_frees_the_poll_with_a_noop() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let get = rig.get(peer).unwrap();
    assert_eq!(rig.post(peer, "1"), "ok");
    assert_eq!(rig.answer(get), "6");
    assert_eq!(rig.told(peer.conn), ["closed: transport close, 0 undelivered"]);
    assert!(rig.server.is_empty());
}

#[test]
fn b51_a_close_waits_for_the_poll_that_takes_the_last_packets() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let socket = rig.join_by_post(peer);
    rig.emit(socket, "last").unwrap();
    rig.server.disconnect(socket, true, rig.now).unwrap();
    assert_eq!(rig.told(peer.conn), ["disconnect: server namespace disconnect"]);
    rig.pass_ms(29_999);
    assert_eq!(rig.poll(peer), "42[\"last\"]\u{1e}41");
    assert_eq!(rig.poll(peer), "1", "alone: clients act on it before they look at what came with it");
    assert_eq!(rig.told(peer.conn), ["closed: forced close, 0 undelivered"]);
    assert!(rig.server.is_empty());
}

#[test]
fn b51_a_parked_poll_is_answered_at_once() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let socket = rig.join_by_post(peer);
    let get = rig.get(peer).unwrap();
    rig.server.disconnect(socket, true, rig.now).unwrap();
    assert_eq!(rig.answer(get), "41");
    assert_eq!(rig.poll(peer), "1");
}

#[test]
fn b51_nobody_polls_and_the_session_ends_all_the_same() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let socket = rig.join_by_post(peer);
    rig.emit(socket, "lost").unwrap();
    rig.server.disconnect(socket, true, rig.now).unwrap();
    rig.pass_ms(30_000);
    assert_eq!(
        rig.told(peer.conn),
        ["disconnect: server namespace disconnect", "closed: forced close, 2 undelivered"]
    );
    assert!(rig.server.is_empty());
}

#[test]
fn b53_an_aborted_poll_or_post_closes_the_session() {
    for post in [false, true] {
        let mut rig = Rig::new();
        let peer = rig.poller();
        let channel = if post { rig.begin_post(peer) } else { rig.get(peer) }.unwrap();
        rig.server.handle_hangup(channel, Hangup::Failed, rig.now);
        assert_eq!(rig.told(peer.conn), ["closed: transport error, 0 undelivered"]);
        assert!(rig.server.is_empty());
    }
}

#[test]
fn b54_answers_to_polls_are_not_limited_by_max_payload() {
    let mut rig = Rig::with(|engine, _| engine.max_http_buffer_size = 10);
    let peer = rig.poller();
    let socket = rig.join_by_post(peer);
    for _ in 0..10 {
        rig.emit(socket, "longer than ten bytes").unwrap();
    }
    assert_eq!(rig.poll(peer).split('\u{1e}').count(), 10);
}

#[test]
fn b55_an_answer_to_a_poll_is_not_stored() {
    let mut rig = Rig::new();
    let Ok(Admission::Poll(get)) = rig.server.handle_request(Request::Handshake, None, rig.now) else {
        panic!("refused")
    };
    let response = rig.response(get).unwrap();
    assert_eq!(
        response.headers,
        [("content-type", "text/plain; charset=UTF-8".into()), ("cache-control", "no-store".into())]
    );
}

#[test]
fn b58_a_poll_takes_all_that_waits_or_waits_itself() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let socket = rig.join_by_post(peer);
    rig.emit(socket, "a").unwrap();
    let binary = rig.event("b", &(bytes::Bytes::from_static(&[1, 2]), 'c'));
    rig.server.emit(socket, binary, false).unwrap();
    let expected = "42[\"a\"]\u{1e}451-[\"b\",{\"_placeholder\":true,\"num\":0},\"c\"]\u{1e}bAQI=";
    assert_eq!(rig.poll(peer), expected, "B3, B89: attachments follow their packet");
    let get = rig.get(peer).unwrap();
    assert_eq!(rig.response(get), None);
    rig.ready();
    rig.emit(socket, "d").unwrap();
    assert_eq!(rig.ready(), [sio_proto::server::Ready::Transmit(get)]);
    assert_eq!(rig.answer(get), r#"42["d"]"#);
}
