//! Who is alive.

use sio_proto::engine::{self, CloseReason};
use sio_proto::server::{Event, PeerError};

use crate::common::Rig;

/// Interval 25 s, time-out 20 s: the defaults.
const INTERVAL: u64 = 25_000;
const TIMEOUT: u64 = 20_000;

#[test]
fn b33_the_server_pings_after_the_interval_and_waits_for_the_pong() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    rig.join(ws, "");
    rig.pass_ms(INTERVAL - 1);
    assert_eq!(rig.frames(ws), [""; 0]);
    rig.pass_ms(1);
    assert_eq!(rig.frames(ws), ["2"]);
    rig.pass_ms(TIMEOUT - 1);
    rig.say(ws, "3").unwrap();
    rig.pass_ms(INTERVAL - 1);
    assert_eq!(rig.frames(ws), [""; 0], "the pong rearms the interval");
    rig.pass_ms(1);
    assert_eq!(rig.frames(ws), ["2"]);
    rig.pass_ms(TIMEOUT);
    assert_eq!(rig.told(ws.conn), ["disconnect: ping timeout", "closed: ping timeout, 0 undelivered"]);
    assert_eq!(rig.frames(ws), ["close"]);
}

#[test]
fn b33_a_poller_gets_its_ping_with_the_next_poll_and_may_vanish() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    rig.join_by_post(peer);
    rig.pass_ms(INTERVAL);
    assert_eq!(rig.poll(peer), "2");
    assert_eq!(rig.post(peer, "3"), "ok");
    rig.pass_ms(INTERVAL + TIMEOUT);
    assert_eq!(rig.told(peer.conn)[0], "disconnect: ping timeout");
    rig.events(peer.conn);
    assert!(rig.server.is_empty(), "no channel is open");
    assert_eq!(rig.server.poll_timeout(), None);
}

#[test]
fn b34_other_traffic_renews_the_wait_once_per_ping() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    rig.join(ws, "");
    rig.pass_ms(INTERVAL + TIMEOUT - 1);
    rig.say(ws, r#"42["a long upload"]"#).unwrap();
    rig.pass_ms(TIMEOUT - 1);
    assert_eq!(rig.told(ws.conn), [r#"["a long upload"]"#]);
    rig.say(ws, r#"42["another"]"#).unwrap();
    rig.pass_ms(1);
    assert_eq!(rig.told(ws.conn).last().unwrap(), "closed: ping timeout, 0 undelivered");
}

#[test]
fn b35_a_ping_from_the_client_is_an_error() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    assert_eq!(rig.say(ws, "2"), Err(PeerError::Engine(engine::PeerError::HeartbeatDirection)));
    assert_eq!(rig.told(ws.conn), ["closed: transport error, 0 undelivered"]);
}

#[test]
fn b36_a_pong_that_nobody_asked_for_rearms_the_timer() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    rig.join(ws, "");
    rig.pass_ms(INTERVAL - 1);
    rig.say(ws, "3").unwrap();
    rig.pass_ms(INTERVAL - 1);
    assert_eq!(rig.frames(ws), [""; 0]);
    rig.pass_ms(1);
    assert_eq!(rig.frames(ws), ["2"]);
}

#[test]
fn b39_a_session_that_upgrades_while_a_ping_is_unanswered_still_times_out() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    rig.join_by_post(peer);
    rig.pass_ms(INTERVAL);
    let ws = rig.upgrade(peer);
    assert_eq!(rig.frames(ws), ["2"], "the ping moves too");
    rig.pass_ms(TIMEOUT);
    assert_eq!(rig.told(ws.conn).last().unwrap(), "closed: ping timeout, 0 undelivered");
}

#[test]
fn b39_the_heartbeat_goes_on_after_an_upgrade() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    rig.join_by_post(peer);
    let ws = rig.upgrade(peer);
    for _ in 0..3 {
        rig.pass_ms(INTERVAL);
        assert_eq!(rig.frames(ws), ["2"]);
        rig.say(ws, "3").unwrap();
    }
    rig.pass_ms(INTERVAL + TIMEOUT);
    let closed = Event::Closed { reason: CloseReason::PingTimeout, undelivered: 0 };
    assert_eq!(rig.events(ws.conn).last(), Some(&closed));
}

#[test]
fn a_client_that_we_do_not_read_from_is_not_timed_out() {
    let mut rig = Rig::with(|_, config| config.max_inbox = 1);
    let ws = rig.websocket();
    rig.join(ws, "");
    rig.say(ws, r#"42["work"]"#).unwrap();
    assert!(!rig.server.wants_read(ws.conn));
    rig.pass_ms(10 * (INTERVAL + TIMEOUT));
    assert_eq!(rig.frames(ws), ["2"], "one ping, and its answer may lie unread");
    assert_eq!(rig.told(ws.conn), [r#"["work"]"#]);
    rig.pass_ms(TIMEOUT);
    assert_eq!(
        rig.told(ws.conn).last().unwrap(),
        "closed: ping timeout, 0 undelivered",
        "now it is read from"
    );
}
