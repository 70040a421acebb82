//! A session over HTTP.

use core::time::Duration;
use std::thread;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::json;

use super::{SHORT, expect_close_packet};
use crate::raw::{
    Case,
    http::Http,
    peer::{Polling, SEPARATOR},
};

/// B49, B55, B9.
pub(super) fn polling_answers(case: &Case) {
    let session = Polling::open(case.addr);
    let response = session.post("40");
    assert_eq!((response.status, response.text()), (200, "ok"));
    assert_eq!(response.header("content-type"), Some("text/html"));
    assert_eq!(response.header("content-length"), Some("2"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let response = session.get();
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("text/plain; charset=UTF-8"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert!(response.text().starts_with("40{\"sid\":\""), "{response:?}");
}

/// B42.
pub(super) fn a_second_get_while_one_waits(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    let mut first = session.park();
    let second = session.get();
    assert_eq!((second.status, second.text()), (400, ""), "{second:?}");
    let first = first.response();
    assert_eq!((first.status, first.text()), (200, "1"), "{first:?}");
    assert_eq!(case.reason(&id), "transport error");
    session.assert_closed();
}

/// B43.
pub(super) fn a_second_post_while_one_runs(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    let mut first = Http::connect(case.addr);
    first.send(format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n42[", session.target()));
    thread::sleep(SHORT);
    let second = session.post("42[\"x\"]");
    assert_eq!((second.status, second.text()), (400, ""), "{second:?}");
    assert_eq!(case.reason(&id), "transport error");
    session.assert_closed();
    assert_eq!(case.observed(&id).any, [""; 0]);
}

/// B44; the session is not harmed.
pub(super) fn methods_that_sessions_do_not_have(case: &Case) {
    let (session, _) = Polling::joined(case.addr, "/");
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"] {
        let response = session.fetch(method, "", b"");
        assert_eq!((response.status, response.text()), (500, ""), "{method}");
    }
    assert_eq!(session.ask("sum", "1,2"), 3);
}

/// B45, CVE-2026-59725: refused, and the exchange ends although the body never comes.
pub(super) fn binary_body(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    let mut http = Http::connect(case.addr);
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 100\r\n\r\n",
        session.target()
    );
    http.send(head);
    let response = http.response();
    assert_eq!((response.status, response.text()), (400, ""), "{response:?}");
    assert_eq!(case.reason(&id), "transport error");
    session.assert_closed();
}

/// B46: refused, and the session stays. Ours goes by the declared length; the reference counts what comes.
pub(super) fn oversize_body_declared(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    let mut http = Http::connect(case.addr);
    http.request("POST", &session.target(), "", &vec![b'a'; 1_000_001]);
    assert_eq!(http.response().status, 413);
    let declared: &[&str] = if case.safer { &["1000001", "99999999999"] } else { &[] };
    for length in declared {
        let mut http = Http::connect(case.addr);
        http.send(format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n",
            session.target()
        ));
        assert_eq!(http.response().status, 413, "{length}");
        let _ = http.end();
    }
    assert_eq!(session.ask("sum", "1,2"), 3);
    assert!(case.observed(&id).connected);
}

/// B46: refused when the bytes pass the limit; the session stays.
pub(super) fn oversize_body_streamed(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    let mut http = Http::connect(case.addr);
    http.send(format!("POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", session.target()));
    let chunk = [b"8000\r\n", "a".repeat(0x8000).as_bytes(), b"\r\n"].concat();
    for _ in 0..31 {
        http.send(&chunk);
    }
    assert_eq!(http.response().status, 413);
    drop(http);
    assert_eq!(session.ask("sum", "1,2"), 3);
    assert!(case.observed(&id).connected);
}

pub(super) fn a_body_as_large_as_allowed(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    let (head, tail) = ("42[\"large\",\"", "\"]");
    let body = format!("{head}{}{tail}", "a".repeat(1_000_000 - head.len() - tail.len()));
    session.post_ok(&body);
    assert_eq!(session.ask("sum", "1,2"), 3);
    assert_eq!(case.observed(&id).any, ["large", "sum"]);
}

/// B47.
pub(super) fn a_body_in_chunks(case: &Case) {
    let (session, _) = Polling::joined(case.addr, "/");
    let mut http = Http::connect(case.addr);
    http.send(format!("POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", session.target()));
    for part in ["42[\"ec", "ho\",\"\u{e9}", "\"]"] {
        http.send(format!("{:x}\r\n{part}\r\n", part.len()));
        thread::sleep(Duration::from_millis(20));
    }
    http.send("0\r\n\r\n");
    let response = http.response();
    assert_eq!((response.status, response.text()), (200, "ok"));
    assert_eq!(session.next(), "42[\"echo\",\"\u{e9}\"]");
}

/// B48.
pub(super) fn an_empty_body(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    let response = session.fetch("POST", "Content-Length: 0\r\n", b"");
    assert_eq!((response.status, response.text()), (200, "ok"));
    assert_eq!(case.reason(&id), "parse error");
    session.assert_closed();
}

/// B48, B6: taken with `ok`, then the session ends.
pub(super) fn bodies_that_are_no_payload(case: &Case) {
    for (body, reason) in [
        ("9", "parse error"),
        ("abc", "parse error"),
        ("{}", "parse error"),
        ("\u{1e}", "parse error"),
        ("3\u{1e}", "parse error"),
        ("\u{e9}", "parse error"),
        // The packet is one of Engine.IO's, its message none of Socket.IO's.
        ("4", "forced close"),
        ("4hello", "forced close"),
        ("42[\"unfinished", "forced close"),
    ] {
        let (session, id) = Polling::joined(case.addr, "/");
        session.post_ok(body);
        if reason == "forced close" {
            // B51: the close packet waits for the next GET.
            expect_close_packet(&session);
        }
        assert_eq!(case.reason(&id), reason, "{body:?}");
        session.assert_closed();
    }
}

/// B7.
pub(super) fn packets_before_a_bad_one_count(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    session.post_ok("42[\"first\"]\u{1e}42[\"second\"]\u{1e}9\u{1e}42[\"third\"]");
    assert_eq!(case.reason(&id), "parse error");
    let any = case.observed(&id).any;
    assert!(!any.contains(&"third".to_owned()), "{any:?}");
    // The reference dispatches an event on a later tick, when this session has ended already: its listeners are skipped.
    assert!(any.is_empty() || any == ["first", "second"], "{any:?}");
}

/// B11.
pub(super) fn packets_after_a_close_do_not(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    session.post_ok("1\u{1e}42[\"late\"]");
    assert_eq!(case.reason(&id), "transport close");
    assert_eq!(case.observed(&id).any, [""; 0]);
    session.assert_closed();
}

/// B50.
pub(super) fn a_close_packet_frees_the_poll(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    let mut parked = session.park();
    session.post_ok("1");
    assert_eq!(parked.response().text(), "6");
    assert_eq!(case.reason(&id), "transport close");
    session.assert_closed();
}

/// B53.
pub(super) fn an_aborted_get(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    drop(session.park());
    assert_eq!(case.reason(&id), "transport error");
    session.assert_closed();
}

/// B53.
pub(super) fn an_aborted_post(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    let mut http = Http::connect(case.addr);
    http.send(format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n42[", session.target()));
    thread::sleep(SHORT);
    drop(http);
    assert_eq!(case.reason(&id), "transport error");
    session.assert_closed();
}

/// B51.
pub(super) fn the_server_closes_while_no_get_waits(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    session.post_ok("42[\"bye-all\"]");
    assert_eq!(case.reason(&id), "server namespace disconnect");
    assert_eq!(session.next(), "41");
    expect_close_packet(&session);
    session.assert_closed();
}

/// B51, B109.
pub(super) fn the_server_closes_while_a_get_waits(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    let mut parked = session.park();
    session.post_ok("42[\"bye-all\"]");
    let first = parked.response();
    if first.text() == "41" {
        expect_close_packet(&session);
    } else {
        assert_eq!(first.text(), "41\u{1e}1");
    }
    assert_eq!(case.reason(&id), "server namespace disconnect");
    session.assert_closed();
}

/// B3, B5.
pub(super) fn binary_over_polling(case: &Case) {
    let (session, _) = Polling::joined(case.addr, "/");
    let bytes: Vec<u8> = (0..=255).collect();
    let all = BASE64.encode(bytes);
    session.post_ok(&format!(
        "452-[\"echo\",{{\"_placeholder\":true,\"num\":0}},{{\"_placeholder\":true,\"num\":1}}]{SEPARATOR}b{all}{SEPARATOR}b"
    ));
    let header = session.next();
    let echoed: serde_json::Value =
        serde_json::from_str(header.strip_prefix("452-").expect(&header)).expect("JSON");
    assert_eq!(
        echoed,
        json!(["echo", { "_placeholder": true, "num": 0 }, { "_placeholder": true, "num": 1 }])
    );
    assert_eq!(session.next(), format!("b{all}"));
    assert_eq!(session.next(), "b");
}

/// B9.
pub(super) fn unicode_over_polling(case: &Case) {
    let (session, _) = Polling::joined(case.addr, "/");
    let packet = "42[\"echo\",\"\u{e9}\u{4e2d}\u{1f389}\"]";
    session.post_ok(packet);
    let response = session.get();
    assert_eq!(response.text(), packet);
    assert_eq!(
        response.header("content-length").map_or(packet.len(), |it| it.parse().unwrap_or(0)),
        packet.len()
    );
}
