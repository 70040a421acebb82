//! Opening a session, and requests that belong to none.

use serde_json::json;
use tungstenite::Error;

use super::{
    BAD_METHOD, BAD_REQUEST, BAD_VERSION, SESSION_UNKNOWN, TRANSPORT_UNKNOWN, expect_refusal, refused,
    upgrade_headers,
};
use crate::raw::{
    Case,
    http::{Http, fetch},
    peer::{HANDSHAKE, Polling, Ws, open_packet},
};

/// B12.
pub(super) fn the_open_packet_has_five_keys(case: &Case) {
    let response = fetch(case.addr, "GET", HANDSHAKE, "", b"");
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("text/plain; charset=UTF-8"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let polling = open_packet(response.text());
    let (_ws, websocket) = Ws::open(case.addr);
    for (open, upgrades) in [(&polling, json!(["websocket"])), (&websocket, json!([]))] {
        let sid = open["sid"].as_str().expect("a sid");
        assert_eq!(sid.len(), 20, "{sid}");
        assert!(
            sid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'),
            "{sid}"
        );
        let rest = json!({
            "sid": sid, "upgrades": upgrades, "pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 1_000_000,
        });
        assert_eq!(*open, rest);
    }
}

/// B14, code 0.
pub(super) fn transport_unknown(case: &Case) {
    for transport in
        ["", "&transport", "&transport=", "&transport=nope", "&transport=__proto__", "&transport=constructor"]
    {
        expect_refusal(case, "GET", &format!("EIO=4{transport}"), TRANSPORT_UNKNOWN);
    }
    for transport in ["hasOwnProperty", "toString", "webtransport", "Polling", "polling%00", "%"] {
        expect_refusal(case, "GET", &format!("EIO=4&transport={transport}"), TRANSPORT_UNKNOWN);
        expect_refusal(case, "POST", &format!("EIO=4&transport={transport}"), TRANSPORT_UNKNOWN);
    }
    let response = fetch(case.addr, "GET", "/socket.io/", "", b"");
    refused(&response, 0, "Transport unknown", "no query at all");
}

/// B28, code 1; the answer to a POST comes although its body is not wanted.
pub(super) fn session_unknown(case: &Case) {
    let long = "A".repeat(4000);
    for sid in ["nope", "__proto__", "constructor", "AAAAAAAAAAAAAAAAAAAA", "%00", "a/../b", &long] {
        let query = format!("EIO=4&transport=polling&sid={sid}");
        expect_refusal(case, "GET", &query, SESSION_UNKNOWN);
        let response = fetch(case.addr, "POST", &format!("/socket.io/?{query}"), "", b"40");
        refused(&response, 1, "Session ID unknown", sid);
    }
}

/// B14, code 2.
pub(super) fn handshake_by_another_method(case: &Case) {
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        expect_refusal(case, method, "EIO=4&transport=polling", BAD_METHOD);
    }
    assert_eq!(fetch(case.addr, "HEAD", HANDSHAKE, "", b"").status, 400);
    let response = fetch(case.addr, "POST", HANDSHAKE, "", b"40");
    refused(&response, 2, "Bad handshake method", "with a body");
}

/// B14, code 3.
pub(super) fn websocket_over_plain_http(case: &Case) {
    expect_refusal(case, "GET", "EIO=4&transport=websocket", BAD_REQUEST);
}

/// B15: a foreign origin is no reason to refuse for the reference, but for ours it is; characters that no header may hold are.
pub(super) fn origin(case: &Case) {
    for origin in
        ["http://foreign.example", "null", "", "tab\there", "http://b\u{fc}cher.example", "http://localhost"]
    {
        let response = fetch(case.addr, "GET", HANDSHAKE, &format!("Origin: {origin}\r\n"), b"");
        let is_foreign = !["", "http://localhost"].contains(&origin);
        assert_eq!(response.status, if case.safer && is_foreign { 403 } else { 200 }, "{origin:?}");
        let mut http = Http::connect(case.addr);
        let headers = format!("{}Origin: {origin}\r\n", upgrade_headers());
        http.request("GET", "/socket.io/?EIO=4&transport=websocket", &headers, b"");
        assert_eq!(http.response().status, if case.safer && is_foreign { 403 } else { 101 }, "{origin:?}");
        assert_eq!(response.header("access-control-allow-origin"), None, "no CORS headers unless asked for");
    }
    for byte in [0x00, 0x01, 0x0b, 0x7f] {
        let mut http = Http::connect(case.addr);
        let head = format!("GET {HANDSHAKE} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://a");
        http.send([head.as_bytes(), &[byte], b"\r\n\r\n"].concat());
        assert_eq!(http.response().status, 400, "{byte:#x}");
    }
}

/// B13, code 5.
pub(super) fn protocol_version(case: &Case) {
    for eio in ["", "EIO=", "EIO=3", "EIO=5", "EIO=44", "EIO=4.0", "EIO=04", "EIO=four", "eio=4", "EIO=-4"] {
        expect_refusal(case, "GET", &format!("transport=polling&{eio}"), BAD_VERSION);
    }
}

/// B17: transport, then session or method, then revision.
pub(super) fn order_of_checks(case: &Case) {
    expect_refusal(case, "GET", "transport=nope&sid=nope", TRANSPORT_UNKNOWN);
    expect_refusal(case, "POST", "transport=nope", TRANSPORT_UNKNOWN);
    expect_refusal(case, "GET", "EIO=3&transport=polling&sid=nope", SESSION_UNKNOWN);
    expect_refusal(case, "PUT", "EIO=4&transport=polling&sid=nope", SESSION_UNKNOWN);
    expect_refusal(case, "GET", "EIO=4&transport=websocket&sid=nope", SESSION_UNKNOWN);
    expect_refusal(case, "POST", "EIO=3&transport=polling", BAD_METHOD);
    expect_refusal(case, "POST", "EIO=4&transport=websocket", BAD_METHOD);
    expect_refusal(case, "GET", "EIO=3&transport=websocket", BAD_REQUEST);
}

/// B27, PROTOCOL_MISMATCH; the session is not harmed.
pub(super) fn requests_of_another_revision(case: &Case) {
    let (session, _) = Polling::joined(case.addr, "/");
    for eio in ["EIO=3", "EIO=5", "x=y"] {
        let target = session.target().replace("EIO=4", eio);
        for method in ["GET", "POST"] {
            let response = fetch(case.addr, method, &target, "", b"");
            refused(&response, 3, "Bad request", eio);
        }
    }
    assert_eq!(session.ask("sum", "1,2"), 3);
}

/// B27, TRANSPORT_MISMATCH; the session is not harmed.
pub(super) fn requests_over_the_wrong_transport(case: &Case) {
    let (mut ws, open) = Ws::open(case.addr);
    let _ = ws.join("/");
    let sid = open["sid"].as_str().expect("a sid");
    expect_refusal(case, "GET", &format!("EIO=4&transport=polling&sid={sid}"), BAD_REQUEST);
    let response = fetch(case.addr, "POST", &format!("{HANDSHAKE}&sid={sid}"), "", b"1");
    refused(&response, 3, "Bad request", "POST");
    assert_eq!(ws.ask("sum", "1,2"), 3);

    let (session, _) = Polling::joined(case.addr, "/");
    let response = fetch(case.addr, "GET", &session.target().replace("polling", "websocket"), "", b"");
    refused(&response, 3, "Bad request", "websocket by plain HTTP");
    assert_eq!(session.ask("sum", "1,2"), 3);
}

/// §1.2: a refused WebSocket handshake is answered with 400 and the message, and the connection ends.
pub(super) fn refused_websocket_handshakes(case: &Case) {
    for (query, message) in [
        ("EIO=4&transport=websocket&sid=nope", "Session ID unknown"),
        ("EIO=4&transport=nope", "Transport unknown"),
        ("EIO=4&transport=polling", "Bad request"),
        ("EIO=3&transport=websocket", "Unsupported protocol version"),
        ("transport=websocket", "Unsupported protocol version"),
    ] {
        if !case.safer && !["Session ID unknown", "Transport unknown"].contains(&message) {
            // The reference looks at these after it has sent its 101, and then writes "HTTP/1.1 400" behind that.
            continue;
        }
        let mut http = Http::connect(case.addr);
        http.request("GET", &format!("/socket.io/?{query}"), upgrade_headers(), b"");
        let response = http.response();
        assert_eq!((response.status, response.text()), (400, message), "{query}");
        assert_eq!(response.header("content-type"), Some("text/html"), "{query}");
        assert!(response.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close")), "{query}");
        let _ = http.end();
    }
    // A handshake that is none: not HTTP's business to hang on it.
    for headers in [
        "Connection: Upgrade\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n",
    ] {
        let mut http = Http::connect(case.addr);
        http.request("GET", "/socket.io/?EIO=4&transport=websocket", headers, b"");
        let response = http.response();
        assert!((400..500).contains(&response.status), "{headers}: {response:?}");
        let _ = http.end();
    }
    let probe = Ws::dial(case.addr, "/socket.io/?EIO=4&transport=websocket&sid=nope");
    assert!(matches!(probe, Err(Error::Http(_))));
}

/// A key that occurs twice is no transport of that name for the reference; ours takes the last. Neither may break.
pub(super) fn repeated_query_keys(case: &Case) {
    for query in [
        "EIO=4&transport=polling&transport=polling",
        "EIO=4&EIO=4&transport=polling",
        "EIO=4&transport=polling&sid=a&sid=b",
    ] {
        let response = fetch(case.addr, "GET", &format!("/socket.io/?{query}"), "", b"");
        assert!([200, 400].contains(&response.status), "{query}: {response:?}");
    }
}

/// B16.
pub(super) fn options_without_cors(case: &Case) {
    let response = fetch(case.addr, "OPTIONS", HANDSHAKE, "", b"");
    refused(&response, 2, "Bad handshake method", "OPTIONS");
}

/// B16.
pub(super) fn preflight(case: &Case) {
    let headers = "Origin: http://friend.example\r\nAccess-Control-Request-Method: POST\r\n\
                   Access-Control-Request-Headers: x-tenant\r\n";
    let response = fetch(case.addr, "OPTIONS", HANDSHAKE, headers, b"");
    assert_eq!(response.status, 204, "{response:?}");
    assert_eq!(response.header("access-control-allow-origin"), Some("http://friend.example"));
    assert_eq!(response.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(response.header("access-control-allow-headers"), Some("x-tenant"));
    let methods = response.header("access-control-allow-methods").unwrap_or_default();
    assert!(methods.contains("GET") && methods.contains("POST"), "{methods}");
}

/// A fixed origin is stated on every answer, refusals included; the origin that asks is not compared.
pub(super) fn cross_origin_headers(case: &Case) {
    let friend = "Origin: http://friend.example\r\n";
    for (headers, query, status) in [
        (friend, "EIO=4&transport=polling", 200),
        (friend, "EIO=4&transport=nope", 400),
        (friend, "EIO=4&transport=polling&sid=nope", 400),
    ] {
        let response = fetch(case.addr, "GET", &format!("/socket.io/?{query}"), headers, b"");
        assert_eq!(response.status, status);
        let allowed = response.header("access-control-allow-origin");
        assert_eq!(allowed, Some("http://friend.example"), "{query}: {response:?}");
    }
    let stranger = fetch(case.addr, "GET", HANDSHAKE, "Origin: http://stranger.example\r\n", b"");
    let status = if case.safer { 403 } else { 200 };
    assert_eq!(stranger.status, status, "B15: for the reference, it is the browser that refuses");
    assert_ne!(stranger.header("access-control-allow-origin"), Some("http://stranger.example"));
    assert_ne!(stranger.header("access-control-allow-origin"), Some("*"));
}

pub(super) fn a_foreign_path(case: &Case) {
    for path in ["/", "/elsewhere/?EIO=4&transport=polling", "/socketXio/?EIO=4&transport=polling"] {
        assert_eq!(fetch(case.addr, "GET", path, "", b"").status, 404, "{path}");
    }
}

/// Bytes that are not HTTP end their own connection, with a status of the 400s if there is an answer at all.
pub(super) fn not_http(case: &Case) {
    let huge_header = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(1 << 20));
    let negative = format!("POST {HANDSHAKE} HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n");
    let both = format!("POST {HANDSHAKE} HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n0123456789");
    let inputs: [&[u8]; 7] = [
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /socket.io/\x00 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        huge_header.as_bytes(),
        negative.as_bytes(),
        both.as_bytes(),
    ];
    for input in inputs {
        let mut http = Http::connect(case.addr);
        http.send(input);
        let what = String::from_utf8_lossy(&input[..input.len().min(60)]).into_owned();
        if let Ok(response) = http.try_response(false) {
            assert!((400..500).contains(&response.status), "{what}: {response:?}");
        }
        let _ = http.end();
    }
}

/// A peer that goes away in the middle of a request.
pub(super) fn half_requests(case: &Case) {
    for request in
        ["G", "GET /socket.io/?EIO=4", "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n"]
    {
        let mut http = Http::connect(case.addr);
        http.send(request);
        drop(http);
    }
    let (session, _) = Polling::joined(case.addr, "/");
    assert_eq!(session.ask("sum", "1,2"), 3);
}
