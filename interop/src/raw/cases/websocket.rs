//! A session over WebSocket.

use tungstenite::Message;

use super::{SHORT, bad_frames, upgrade_headers};
use crate::raw::{
    Case,
    http::Http,
    peer::{Polling, Ws, WsEnd, frame},
};

/// B6.
pub(super) fn websocket_packets_of_unknown_type(case: &Case) {
    for text in ["9", "7", "x", "", "{\"a\":1}", "\u{1e}", "\u{1f389}"] {
        let (mut ws, id) = Ws::joined(case.addr, "/");
        ws.send(text);
        let _ = ws.end();
        assert_eq!(case.reason(&id), "parse error", "{text:?}");
    }
}

/// B10.
pub(super) fn websocket_packets_that_are_ignored(case: &Case) {
    let (mut ws, id) = Ws::joined(case.addr, "/");
    for text in ["0", "0{}", "5", "6", "6x"] {
        ws.send(text);
    }
    assert_eq!(ws.ask("sum", "1,2"), 3);
    assert!(case.observed(&id).connected);
}

/// B10: the reference ignores the packet; ours ends the session, as over polling.
pub(super) fn a_close_packet_over_websocket(case: &Case) {
    let (mut ws, id) = Ws::joined(case.addr, "/");
    ws.send("1");
    if case.safer {
        let _ = ws.end();
        assert_eq!(case.reason(&id), "transport close");
    } else {
        assert_eq!(ws.ask("sum", "1,2"), 3);
    }
}

/// B35.
pub(super) fn a_ping_from_the_client(case: &Case) {
    let (mut ws, id) = Ws::joined(case.addr, "/");
    ws.send("2");
    let _ = ws.end();
    assert_eq!(case.reason(&id), "transport error");

    let (session, id) = Polling::joined(case.addr, "/");
    session.post_ok("2");
    assert_eq!(case.reason(&id), "transport error");
    session.assert_closed();
}

/// B36.
pub(super) fn a_pong_nobody_asked_for(case: &Case) {
    let (mut ws, _) = Ws::joined(case.addr, "/");
    for _ in 0..100 {
        ws.send("3");
    }
    ws.send("3probe");
    assert_eq!(ws.ask("sum", "1,2"), 3);
}

/// B22.
pub(super) fn an_oversize_websocket_message(case: &Case) {
    let (mut ws, id) = Ws::joined(case.addr, "/");
    ws.send(&format!("42[\"large\",\"{}\"]", "a".repeat(1_000_000)));
    assert_eq!(ws.end(), WsEnd::Code(1009));
    assert_eq!(case.reason(&id), "transport error");

    // The limit holds for a message in fragments, and for what a frame only announces.
    let (mut ws, id) = Ws::joined(case.addr, "/");
    ws.send_raw(&[0x81, 0xff, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    assert!(matches!(ws.end(), WsEnd::Code(1009) | WsEnd::Dropped));
    assert_eq!(case.reason(&id), "transport error");

    let (mut ws, id) = Ws::joined(case.addr, "/");
    let part = vec![b'a'; 60_000];
    ws.send_raw(&frame(0x01, b"42[\"large\",\""));
    for _ in 0..17 {
        ws.send_raw(&frame(0x00, &part));
    }
    assert!(matches!(ws.end(), WsEnd::Code(1009) | WsEnd::Dropped));
    assert_eq!(case.reason(&id), "transport error");
    assert_eq!(case.observed(&id).any, [""; 0]);
}

/// CVE-2022-21676: a broken frame ends its own connection.
pub(super) fn broken_websocket_frames(case: &Case) {
    for (what, bytes, code) in bad_frames() {
        let (mut ws, id) = Ws::joined(case.addr, "/");
        ws.send_raw(&bytes);
        let end = ws.end();
        let as_reference = end == WsEnd::Code(code);
        assert!(as_reference || (case.safer && end == WsEnd::Dropped), "{what}: {end:?} instead of {code}");
        assert_eq!(case.reason(&id), "transport error", "{what}");
    }
}

/// B24, CVE-2022-21676, CVE-2022-41940: the frame comes before the server has answered the handshake.
pub(super) fn bad_frames_together_with_the_handshake(case: &Case) {
    for (what, bytes, _) in bad_frames() {
        let mut http = Http::connect(case.addr);
        let target = "/socket.io/?EIO=4&transport=websocket";
        let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", upgrade_headers());
        http.send([head.as_bytes(), &bytes].concat());
        if let Ok(response) = http.try_response(false) {
            assert!([101, 400].contains(&response.status), "{what}: {response:?}");
        }
        let _ = http.end();
    }
    // A good frame that comes as early does no harm. (The reference loses it.)
    let mut http = Http::connect(case.addr);
    let head =
        format!("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n{}\r\n", upgrade_headers());
    http.send([head.as_bytes(), &frame(0x81, b"40")].concat());
    assert_eq!(http.response().status, 101);
    while !http.is_silent(SHORT) {}
    let (_stream, received) = http.into_parts();
    let received = String::from_utf8_lossy(&received).into_owned();
    assert!(received.contains("0{\"sid\":"), "{received}");
}

/// A message in fragments with a ping in between.
pub(super) fn fragments_and_control_frames(case: &Case) {
    let (mut ws, _) = Ws::joined(case.addr, "/");
    ws.send_raw(&frame(0x01, b"42[\"ec"));
    ws.send_raw(&frame(0x89, b"are you there"));
    ws.send_raw(&frame(0x00, b""));
    ws.send_raw(&frame(0x00, b"ho\",\"\xc3"));
    ws.send_raw(&frame(0x80, b"\xa9\"]"));
    assert_eq!(ws.message(), Message::Pong(b"are you there".to_vec().into()));
    assert_eq!(ws.text(), "42[\"echo\",\"\u{e9}\"]");
}

/// B4.
pub(super) fn base64_text_over_websocket(case: &Case) {
    let (mut ws, _) = Ws::joined(case.addr, "/");
    ws.send("451-[\"echo\",{\"_placeholder\":true,\"num\":0}]");
    ws.send("bAQID");
    assert_eq!(ws.text(), "451-[\"echo\",{\"_placeholder\":true,\"num\":0}]");
    assert_eq!(ws.binary(), [1, 2, 3]);
}

pub(super) fn websockets_that_close_or_drop(case: &Case) {
    for code in [1000, 1001, 4000] {
        let (mut ws, id) = Ws::joined(case.addr, "/");
        ws.close(code);
        let _ = ws.end();
        drop(ws);
        assert_eq!(case.reason(&id), "transport close", "{code}");
    }
    let (ws, id) = Ws::joined(case.addr, "/");
    ws.abandon();
    assert_eq!(case.reason(&id), "transport close", "no closing handshake");

    // In the middle of a frame, and of a packet with attachments.
    let (mut ws, id) = Ws::joined(case.addr, "/");
    ws.send("452-[\"echo\",{\"_placeholder\":true,\"num\":0}]");
    ws.send_binary(b"first");
    ws.send_raw(&[0x82, 0xff, 0, 0]);
    ws.abandon();
    assert_eq!(case.reason(&id), "transport close", "half a frame");
    assert_eq!(case.observed(&id).any, [""; 0]);
}
