//! What takes its time: the profile with short intervals.

use core::time::Duration;
use std::time::Instant;

use tungstenite::Message;

use crate::raw::{
    Case,
    peer::{Heard, Polling, Ws},
};

/// Answers pings for that long. Gives when the server ended the connection, if it did, and everything else that it said.
fn keep_alive(ws: &mut Ws, time: Duration) -> (Option<Duration>, Vec<String>) {
    let begun = Instant::now();
    let mut said = Vec::new();
    while let Some(rest) = time.checked_sub(begun.elapsed()).filter(|rest| !rest.is_zero()) {
        match ws.hear(rest) {
            Heard::Message(Message::Text(text)) if text == "2" => ws.send("3"),
            Heard::Message(message) => said.push(message.to_string()),
            Heard::Nothing => break,
            Heard::End(_) => return (Some(begun.elapsed()), said),
        }
    }
    (None, said)
}

/// B33.
pub(super) fn silence_is_a_ping_timeout(case: &Case) {
    let begun = Instant::now();
    let (mut ws, _) = Ws::joined(case.addr, "/");
    assert_eq!(ws.text(), "2", "the server pings");
    let pinged = begun.elapsed();
    assert!(pinged > Duration::from_millis(250) && pinged < Duration::from_millis(1500), "after {pinged:?}");
    ws.send("3");
    assert_eq!(ws.text(), "2", "and again");
    let asked = Instant::now();
    let _ = ws.end();
    let waited = asked.elapsed();
    assert!(waited > Duration::from_millis(150) && waited < Duration::from_millis(1500), "after {waited:?}");
}

/// B33: the ping lies in the queue, and nobody fetches it.
pub(super) fn a_polling_client_that_does_not_poll(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    assert_eq!(case.reason(&id), "ping timeout");
    session.assert_closed();
}

/// B100. Being refused by a namespace is not joining one.
pub(super) fn a_namespace_must_be_joined_in_time(case: &Case) {
    let (mut ws, _) = Ws::open(case.addr);
    ws.send("40/nope,");
    let (ended, said) = keep_alive(&mut ws, Duration::from_millis(1500));
    let ended = ended.expect("the server gives up");
    assert!(ended > Duration::from_millis(250), "after {ended:?}");
    assert_eq!(said, ["44/nope,{\"message\":\"Invalid namespace\"}"]);

    let session = Polling::open(case.addr);
    assert_eq!(session.next(), "2", "a heartbeat comes first");
    session.post_ok("3");
    session.assert_closed();
}

/// B100.
pub(super) fn after_joining_once_there_is_no_hurry(case: &Case) {
    let (mut ws, _) = Ws::joined(case.addr, "/");
    ws.send("41");
    let (ended, said) = keep_alive(&mut ws, Duration::from_millis(1200));
    assert_eq!(ended, None);
    assert_eq!(said, [""; 0]);
    let _ = ws.join("/");
    assert_eq!(ws.ask("sum", "1,2"), 3);
}

/// B68: only the probing WebSocket is closed.
pub(super) fn a_probe_must_finish_in_time(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    let begun = Instant::now();
    let mut ws = Ws::probe(case.addr, &session);
    ws.send("2probe");
    assert_eq!(ws.text(), "3probe");
    let answer_pings = |until: Duration| {
        while begun.elapsed() < until {
            let packet = session.next();
            if packet == "2" {
                session.post_ok("3");
            } else {
                assert_eq!(packet, "6", "a poll is freed while the client may want to pause it");
            }
        }
    };
    answer_pings(Duration::from_millis(700));
    assert!(matches!(ws.hear(Duration::from_millis(500)), Heard::End(_)), "the server gives up the probe");
    answer_pings(Duration::from_millis(1000));
    assert!(case.observed(&id).connected);
}

/// B39: in the reference this session can never time out any more; ours goes on with its heartbeats.
pub(super) fn a_ping_unanswered_across_an_upgrade(case: &Case) {
    let (session, id) = Polling::joined(case.addr, "/");
    assert_eq!(session.next(), "2");
    let mut ws = Ws::probe(case.addr, &session);
    ws.send("5");
    if case.safer {
        let _ = ws.end();
        assert_eq!(case.reason(&id), "ping timeout");
    } else {
        assert!(ws.is_silent(Duration::from_millis(1500)), "no ping ever");
        assert!(case.observed(&id).connected);
    }
}
