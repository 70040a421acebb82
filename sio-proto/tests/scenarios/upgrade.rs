//! From polling to WebSocket. B62 and B69 are the client's.

use sio_proto::engine::{Hangup, PeerError as EngineError, Refusal, Transport};
use sio_proto::server::{Event, PeerError, Ready};

use crate::common::{MISMATCH, Rig};

#[test]
fn b61_a_probe_is_answered_and_frees_the_poll() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let get = rig.get(peer).unwrap();
    let ws = rig.probe(peer).unwrap();
    rig.say(ws, "2probe").unwrap();
    assert_eq!(rig.frames(ws), ["3probe"]);
    assert_eq!(rig.answer(get), "6");
    // A poll that is opened all the same is freed after 100 ms (B66).
    rig.pass_ms(1_000);
    let get = rig.get(peer).unwrap();
    rig.pass_ms(99);
    assert_eq!(rig.response(get), None);
    rig.pass_ms(1);
    assert_eq!(rig.answer(get), "6");
}

#[test]
fn b63_what_waits_moves_to_the_websocket_in_order() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let socket = rig.join_by_post(peer);
    rig.emit(socket, "a").unwrap();
    let ws = rig.probe(peer).unwrap();
    rig.say(ws, "2probe").unwrap();
    let binary = rig.event("b", &bytes::Bytes::from_static(b"raw"));
    rig.server.emit(socket, binary, false).unwrap();
    assert_eq!(rig.frames(ws), ["3probe"], "not before the switch");
    rig.say(ws, "5").unwrap();
    rig.emit(socket, "c").unwrap();
    assert_eq!(rig.events(peer.conn), [Event::Upgraded]);
    assert_eq!(rig.server.transport(peer.conn), Some(Transport::WebSocket));
    let expected = [r#"42["a"]"#, r#"451-["b",{"_placeholder":true,"num":0}]"#, "bin:raw", r#"42["c"]"#];
    assert_eq!(rig.frames(ws), expected, "B71: binary stays binary");
    assert_eq!(rig.get(peer), Err(MISMATCH), "B27");
    assert_eq!(rig.begin_post(peer), Err(MISMATCH), "B27");
}

#[test]
fn b66_what_waits_when_a_poll_is_freed_is_announced_to_the_next_one() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let socket = rig.join_by_post(peer);
    let get = rig.get(peer).unwrap();
    rig.emit(socket, "a").unwrap();
    let ws = rig.probe(peer).unwrap();
    rig.say(ws, "2probe").unwrap();
    assert_eq!(rig.answer(get), "6");
    rig.ready();
    let get = rig.get(peer).unwrap();
    assert_eq!(rig.ready(), [Ready::Transmit(get)]);
    assert_eq!(rig.answer(get), r#"42["a"]"#);
}

#[test]
fn b64_the_switch_is_accepted_without_a_probe() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let get = rig.get(peer).unwrap();
    let ws = rig.probe(peer).unwrap();
    rig.say(ws, "5").unwrap();
    assert_eq!(rig.answer(get), "6");
    assert_eq!(rig.events(peer.conn), [Event::Upgraded]);
}

#[test]
fn b64_anything_else_closes_the_probing_websocket_only() {
    for bad in ["40", "2", "2prob", "3probe", "", "1", "5x"] {
        let mut rig = Rig::new();
        let peer = rig.poller();
        let ws = rig.probe(peer).unwrap();
        assert_eq!(rig.say(ws, bad), Err(PeerError::Engine(EngineError::UnexpectedProbe)), "{bad:?}");
        assert_eq!(rig.frames(ws), ["close"]);
        rig.say(ws, "2probe").unwrap();
        rig.say(ws, "5").unwrap();
        assert_eq!(rig.frames(ws), [""; 0], "it is done with");
        assert_eq!(rig.post(peer, "40"), "ok", "the session stays on polling");
        assert_eq!(rig.told(peer.conn), ["connect"]);
        rig.hang_up(ws.channel);
        assert!(rig.probe(peer).is_ok(), "another attempt is welcome");
    }
}

#[test]
fn b64_binary_on_a_probing_websocket_is_not_a_probe() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let ws = rig.probe(peer).unwrap();
    assert!(rig.say_binary(ws, b"2probe").is_err());
    assert_eq!(rig.frames(ws), ["close"]);
}

#[test]
fn b65_a_second_websocket_is_refused_and_the_first_is_not_touched() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let ws = rig.probe(peer).unwrap();
    assert_eq!(rig.probe(peer).unwrap_err(), Refusal::OutOfTurn);
    rig.say(ws, "2probe").unwrap();
    assert_eq!(rig.probe(peer).unwrap_err(), Refusal::OutOfTurn);
    rig.say(ws, "5").unwrap();
    assert_eq!(rig.frames(ws), ["3probe"]);
    assert_eq!(rig.probe(peer).unwrap_err(), Refusal::OutOfTurn, "it has one");
    assert_eq!(rig.told(peer.conn), ["upgraded"]);
    rig.join(ws, "");
}

#[test]
fn b66_polls_during_the_switch_lose_nothing() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let socket = rig.join_by_post(peer);
    let ws = rig.probe(peer).unwrap();
    rig.say(ws, "2probe").unwrap();
    let mut got = Vec::new();
    for round in 0..5 {
        let get = rig.get(peer).unwrap();
        rig.pass_ms(50 * round);
        rig.emit(socket, &format!("{round}")).unwrap();
        got.push(rig.answer(get));
    }
    rig.emit(socket, "5").unwrap();
    rig.say(ws, "5").unwrap();
    got.extend(rig.frames(ws));
    got.retain(|packet| packet != "6" && packet != "3probe");
    let expected: Vec<String> = (0..6).map(|round| format!("42[\"{round}\"]")).collect();
    assert_eq!(got.join("\u{1e}").split('\u{1e}').collect::<Vec<_>>(), expected);
}

#[test]
fn b67_a_close_before_the_probe_closes_the_probing_websocket() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let socket = rig.join_by_post(peer);
    let ws = rig.probe(peer).unwrap();
    rig.server.disconnect(socket, true, rig.now).unwrap();
    assert_eq!(rig.frames(ws), ["close"]);
    rig.say(ws, "5").unwrap();
    assert_eq!(rig.server.transport(peer.conn), Some(Transport::Polling), "too late to switch");
    assert_eq!(rig.probe(peer).unwrap_err(), Refusal::SessionUnknown, "and to try again");
    assert_eq!(rig.poll(peer), "41");
    assert_eq!(rig.poll(peer), "1");
    rig.events(peer.conn);
    rig.hang_up(ws.channel);
    assert!(rig.server.is_empty());
}

/// A client does not poll any more once its probe is answered: what waits can only go over the WebSocket.
#[test]
fn b67_a_close_between_the_probe_and_the_switch_waits_for_the_switch() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let socket = rig.join_by_post(peer);
    let ws = rig.probe(peer).unwrap();
    rig.say(ws, "2probe").unwrap();
    rig.server.disconnect(socket, true, rig.now).unwrap();
    assert_eq!(rig.frames(ws), ["3probe"]);
    rig.say(ws, "5").unwrap();
    assert_eq!(rig.frames(ws), ["41", "close"]);
    rig.events(peer.conn);
    rig.hang_up(ws.channel);
    assert!(rig.server.is_empty());
}

#[test]
fn b67_a_client_that_goes_on_polling_after_its_probe_hears_of_a_close_too() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let socket = rig.join_by_post(peer);
    let ws = rig.probe(peer).unwrap();
    rig.say(ws, "2probe").unwrap();
    rig.server.disconnect(socket, true, rig.now).unwrap();
    assert_eq!(rig.poll(peer), "41");
    assert_eq!(rig.poll(peer), "1");
    assert_eq!(rig.frames(ws), ["3probe", "close"]);
    rig.events(peer.conn);
    rig.hang_up(ws.channel);
    assert!(rig.server.is_empty());
}

#[test]
fn b68_an_upgrade_that_takes_too_long_is_given_up() {
    for probed in [false, true] {
        let mut rig = Rig::new();
        let peer = rig.poller();
        let ws = rig.probe(peer).unwrap();
        if probed {
            rig.pass_ms(5_000);
            rig.say(ws, "2probe").unwrap();
            rig.frames(ws);
            rig.pass_ms(4_999);
        } else {
            rig.pass_ms(9_999);
        }
        assert_eq!(rig.frames(ws), [""; 0]);
        rig.pass_ms(1);
        assert_eq!(rig.frames(ws), ["close"]);
        assert_eq!(rig.post(peer, "40"), "ok", "the session goes on");
        let get = rig.get(peer).unwrap();
        rig.pass_ms(1_000);
        assert_eq!(rig.response(get), None, "and polls are not freed any more");
    }
}

#[test]
fn a_probing_websocket_that_dies_leaves_the_session_alone() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    for how in [Hangup::Closed, Hangup::Failed] {
        let ws = rig.probe(peer).unwrap();
        rig.say(ws, "2probe").unwrap();
        rig.server.handle_hangup(ws.channel, how, rig.now);
        assert_eq!(rig.frames(ws), [""; 0]);
    }
    let get = rig.get(peer).unwrap();
    rig.pass_ms(1_000);
    assert_eq!(rig.response(get), None);
    assert!(rig.probe(peer).is_ok());
}

#[test]
fn a_parked_poll_that_dies_after_the_switch_does_not_matter() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let get = rig.get(peer).unwrap();
    let ws = rig.probe(peer).unwrap();
    rig.say(ws, "5").unwrap();
    rig.server.handle_hangup(get, Hangup::Failed, rig.now);
    assert_eq!(rig.told(peer.conn), ["upgraded"]);
    rig.join(ws, "");
}

#[test]
fn a_websocket_that_is_closed_here_must_be_closed_there_in_time() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    rig.say(ws, "1").unwrap();
    assert_eq!(rig.frames(ws), ["close"]);
    rig.events(ws.conn);
    rig.say(ws, "40").unwrap();
    rig.pass_ms(4_999);
    assert_eq!(rig.frames(ws), [""; 0]);
    rig.pass_ms(1);
    assert_eq!(rig.frames(ws), ["abort"]);
    assert!(rig.server.is_empty());
    assert_eq!(rig.server.poll_timeout(), None);
}

#[test]
fn a_websocket_whose_peer_breaks_its_rules_is_closed() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    rig.server.handle_fault(ws.channel, rig.now);
    assert_eq!(rig.frames(ws), ["close"]);
    assert_eq!(rig.told(ws.conn), ["closed: transport error, 0 undelivered"], "B22");
    rig.hang_up(ws.channel);
    assert!(rig.server.is_empty());

    let peer = rig.poller();
    let ws = rig.probe(peer).unwrap();
    rig.server.handle_fault(ws.channel, rig.now);
    assert_eq!(rig.frames(ws), ["close"]);
    assert!(rig.get(peer).is_ok(), "a probing one takes nobody along");
}
