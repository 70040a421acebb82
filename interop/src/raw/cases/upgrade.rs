//! From polling to WebSocket.

use core::time::Duration;
use std::thread;

use tungstenite::Error;

use super::{SHORT, refused};
use crate::raw::{
    Case,
    peer::{Polling, Ws},
};

/// B61, B63, B27.
pub(super) fn an_upgrade(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    let mut parked = session.park();
    let mut ws = Ws::probe(case.addr, &session);
    ws.send("2probe");
    assert_eq!(ws.text(), "3probe");
    assert_eq!(parked.response().text(), "6");
    ws.send("5");
    assert_eq!(ws.ask("sum", "1,2"), 3);
    refused(&session.get(), 3, "Bad request", "GET after the upgrade");
    refused(&session.post("42[\"x\"]"), 3, "Bad request", "POST after the upgrade");
    assert_eq!(ws.ask("sum", "2,2"), 4);
    assert!(case.observed(&id).connected);
}

/// B64.
pub(super) fn an_upgrade_without_a_probe(case: &Case) {
    let (session, _) = Polling::joined(case.addr, "/");
    let mut ws = Ws::probe(case.addr, &session);
    ws.send("5");
    assert_eq!(ws.ask("sum", "1,2"), 3);
}

/// B64: only the WebSocket is closed.
pub(super) fn a_probe_that_begins_wrongly(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    for first in ["42[\"smuggled\"]", "2", "2probes", "3probe", "6", "0", "x", ""] {
        let mut ws = Ws::probe(case.addr, &session);
        ws.send(first);
        let _ = ws.end();
    }
    let mut ws = Ws::probe(case.addr, &session);
    ws.send_binary(b"2probe");
    let _ = ws.end();
    assert_eq!(session.ask("sum", "1,2"), 3);
    let observed = case.observed(&id);
    assert_eq!((observed.connected, observed.any), (true, vec!["sum".to_owned()]));
    let mut ws = Ws::probe(case.addr, &session);
    ws.send("2probe");
    assert_eq!(ws.text(), "3probe");
    ws.send("5");
    assert_eq!(ws.ask("sum", "2,2"), 4);
}

/// B65.
pub(super) fn a_second_websocket_for_a_session(case: &Case) {
    let refused =
        |session: &Polling| match Ws::dial(case.addr, &session.target().replace("polling", "websocket")) {
            Ok(mut ws) => {
                let _ = ws.end();
            }
            Err(Error::Http(response)) => assert_eq!(response.status().as_u16(), 400),
            Err(error) => assert!(matches!(error, Error::Io(_) | Error::Protocol(_)), "{error}"),
        };
    let (session, _) = Polling::joined(case.addr, "/");
    let mut ws = Ws::probe(case.addr, &session);
    ws.send("2probe");
    assert_eq!(ws.text(), "3probe");
    refused(&session);
    ws.send("5");
    assert_eq!(ws.ask("sum", "1,2"), 3);
    refused(&session);
    assert_eq!(ws.ask("sum", "2,2"), 4);
}

/// B69.
pub(super) fn a_probe_that_is_dropped(case: &Case) {
    let (session, _) = Polling::joined(case.addr, "/");
    for probed in [false, true] {
        let mut ws = Ws::probe(case.addr, &session);
        if probed {
            ws.send("2probe");
            assert_eq!(ws.text(), "3probe");
        }
        ws.abandon();
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(session.ask("sum", "1,2"), 3);
}

/// B67.
pub(super) fn a_session_that_ends_during_a_probe(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    let mut ws = Ws::probe(case.addr, &session);
    ws.send("2probe");
    assert_eq!(ws.text(), "3probe");
    session.post_ok("1");
    let _ = ws.end();
    assert_eq!(case.reason(&id), "transport close");
    session.assert_closed();
}

/// B63, B66.
pub(super) fn what_was_queued_follows_the_upgrade(case: &Case) {
    let (session, _) = Polling::joined(case.addr, "/");
    let mut ws = Ws::probe(case.addr, &session);
    ws.send("2probe");
    assert_eq!(ws.text(), "3probe");
    session.post_ok(
        "42[\"echo\",1]\u{1e}451-[\"echo\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQID\u{1e}42[\"echo\",3]",
    );
    thread::sleep(SHORT);
    ws.send("5");
    assert_eq!(ws.text(), "42[\"echo\",1]");
    assert_eq!(ws.text(), "451-[\"echo\",{\"_placeholder\":true,\"num\":0}]");
    assert_eq!(ws.binary(), [1, 2, 3]);
    assert_eq!(ws.text(), "42[\"echo\",3]");
}
