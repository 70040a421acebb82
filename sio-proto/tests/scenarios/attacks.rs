//! What a peer could do to the server, or to itself. Each of these was a fault once.

use std::sync::Arc;

use crate::common::{MISMATCH, Rig, sid_of};
use bytes::Bytes;
use sio_proto::Instant;
use sio_proto::engine::{
    self, ChannelId, CloseReason, Encoded, Event as EngineEvent, Hangup, Message, ServerSession, Transmit,
    Transport,
};
use sio_proto::server::Ready;
use sio_proto::socket::ConnectError;

/// A buffer that tells whether somebody still holds a part of it.
struct Watched(Vec<u8>, #[allow(dead_code, reason = "is there to be dropped")] Arc<()>);

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn watched(content: impl Into<Vec<u8>>) -> (Bytes, impl Fn() -> bool) {
    let alive = Arc::new(());
    let bytes = Bytes::from_owner(Watched(content.into(), Arc::clone(&alive)));
    (bytes, move || Arc::strong_count(&alive) > 1)
}

#[test]
fn a_client_that_floods_a_namespace_which_then_refuses_it_is_read_again() {
    let mut rig = Rig::with(|_, config| config.max_inbox = 4);
    let ws = rig.websocket();
    rig.say(ws, "40").unwrap();
    let socket = rig.asked(ws.conn);
    for _ in 0..4 {
        rig.say(ws, r#"42["flood"]"#).unwrap();
    }
    assert!(!rig.server.wants_read(ws.conn));
    rig.ready();
    rig.server.refuse(socket, &ConnectError::new("no"), rig.now).unwrap();
    assert_eq!(rig.events(ws.conn), [], "what it sent is dropped");
    assert!(rig.server.wants_read(ws.conn), "else nobody ever notices that it is gone");
    assert!(rig.ready().contains(&Ready::Read(ws.conn)));
}

#[test]
fn nor_do_the_bytes_of_what_was_dropped_count_any_more() {
    let mut rig = Rig::with(|_, config| config.max_inbox_bytes = 100);
    let ws = rig.websocket();
    rig.say(ws, "40").unwrap();
    let socket = rig.asked(ws.conn);
    rig.say(ws, &format!("42[\"{}\"]", "flood".repeat(30))).unwrap();
    assert!(!rig.server.wants_read(ws.conn));
    rig.server.refuse(socket, &ConnectError::new("no"), rig.now).unwrap();
    assert!(rig.server.wants_read(ws.conn));
}

#[test]
fn half_a_packet_is_not_kept_when_the_connection_has_ended() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    rig.join(ws, "");
    rig.say(ws, r#"452-["a"]"#).unwrap();
    let (bytes, alive) = watched([0; 1000]);
    rig.server.handle_message(ws.channel, Message::Binary(bytes), rig.now).unwrap();
    rig.hang_up(ws.channel);
    assert!(!alive(), "B98: also while the last events wait for the application");
    assert_eq!(rig.server.len(), 1);
}

#[test]
fn after_a_violation_the_rest_of_the_body_counts_for_nothing() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let get = rig.get(peer).unwrap();
    assert_eq!(rig.post(peer, "4nonsense\u{1e}40"), "ok");
    assert_eq!(rig.told(peer.conn), [""; 0], "no socket on a connection that is being closed");
    assert_eq!(rig.answer(get), "1");
    assert_eq!(rig.told(peer.conn), ["closed: forced close, 0 undelivered"]);
    assert!(rig.server.is_empty());
}

#[test]
fn an_unknown_namespace_can_be_asked_for_twice_in_one_body_as_in_two() {
    for grouped in [true, false] {
        let mut rig = Rig::new();
        let peer = rig.poller();
        if grouped {
            rig.post(peer, "40/no,\u{1e}40/no,");
        } else {
            rig.post(peer, "40/no,");
            rig.post(peer, "40/no,");
        }
        let refusal = r#"44/no,{"message":"Invalid namespace"}"#;
        assert_eq!(rig.poll(peer), format!("{refusal}\u{1e}{refusal}"), "grouped: {grouped}");
    }
}

#[test]
fn replies_that_the_peer_provokes_and_does_not_read_are_bounded() {
    let mut rig = Rig::with(|engine, _| engine.max_outbox = 10_000);
    let peer = rig.poller();
    let socket = rig.join_by_post(peer);
    let body = ["40/nobody,"; 1000].join("\u{1e}");
    let mut most = 0;
    for _ in 0..100 {
        let Ok(channel) = rig.begin_post(peer) else { break };
        let _ = rig.server.handle_body(channel, body.clone().into(), rig.now);
        most = most.max(rig.server.outbox_bytes(socket));
    }
    assert!(most < 200_000, "{most} bytes wait for a client that does not read");
    assert_eq!(rig.told(peer.conn)[0], "disconnect: overflow");
}

#[test]
fn probes_without_end_are_not_answered_without_end() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let ws = rig.probe(peer).unwrap();
    rig.say(ws, "2probe").unwrap();
    for _ in 0..1000 {
        let _ = rig.say(ws, "2probe");
    }
    assert!(rig.frames(ws).len() < 3);
    assert!(rig.get(peer).is_ok(), "the session is not touched");
}

#[test]
fn a_small_event_in_a_large_body_does_not_keep_the_body() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    rig.join_by_post(peer);
    let (body, alive) = watched(format!("42[\"tiny\"]{}", "\u{1e}6".repeat(100_000)));
    assert_eq!(rig.post(peer, body), "ok");
    assert!(!alive(), "or a full inbox would hold a hundred bodies of the largest size");
    assert_eq!(rig.told(peer.conn), [r#"["tiny"]"#]);
}

#[test]
fn a_namespace_does_not_keep_the_packet_that_asked_for_it() {
    let mut rig = Rig::new();
    rig.server.of("/chat");
    let ws = rig.websocket();
    let (packet, alive) = watched(format!("40/chat,{{\"a\":\"{}\"}}", "x".repeat(50_000)));
    rig.server.handle_message(ws.channel, Message::Text(packet.try_into().unwrap()), rig.now).unwrap();
    rig.asked(ws.conn);
    assert!(!alive(), "the auth object would stay for as long as the connection");
}

/// Somebody who answers pings could keep ten megabytes for as long as it likes.
#[test]
fn attachments_that_do_not_come_are_not_awaited_for_ever() {
    let mut rig = Rig::with(|_, config| config.max_inbox = 1);
    let ws = rig.websocket();
    rig.join(ws, "");
    let attachment = |rig: &mut Rig| {
        rig.server.handle_message(ws.channel, Message::Binary(Bytes::from_static(&[1])), rig.now).unwrap();
    };
    let pass = |rig: &mut Rig, seconds: u64| {
        for _ in 0..seconds {
            rig.pass_ms(1000);
            if rig.frames(ws).contains(&"2".to_owned()) {
                rig.say(ws, "3").unwrap();
            }
        }
    };
    const EVENT: &str = r#"453-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}]"#;
    // Each has its time, and a packet that is complete has no more to fear.
    for _ in 0..2 {
        rig.say(ws, EVENT).unwrap();
        for _ in 0..3 {
            pass(&mut rig, 59);
            attachment(&mut rig);
        }
        // The next one is not read while nobody takes this one away.
        rig.say(ws, "451-[\"b\",{\"_placeholder\":true,\"num\":0}]").unwrap();
        pass(&mut rig, 200);
        assert_eq!(rig.told(ws.conn).len(), 1);
        attachment(&mut rig);
        assert_eq!(rig.told(ws.conn).len(), 1);
        pass(&mut rig, 100);
    }
    rig.say(ws, EVENT).unwrap();
    attachment(&mut rig);
    pass(&mut rig, 59);
    assert_eq!(rig.told(ws.conn), [""; 0]);
    pass(&mut rig, 1);
    assert_eq!(rig.told(ws.conn)[0], "disconnect: forced close");
}

#[test]
fn an_id_of_a_million_digits_is_not_an_id() {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    rig.join(ws, "");
    assert!(rig.say(ws, &format!("42{}[\"a\"]", "0".repeat(1_000_000))).is_err());
    assert_eq!(rig.told(ws.conn), ["disconnect: forced close"]);
}

// ---- The session -------------------------------------------------------------------------------------------------

const GET: ChannelId = ChannelId(1);
const WS: ChannelId = ChannelId(2);
const POST: ChannelId = ChannelId(3);

fn polling() -> ServerSession {
    let mut rig = Rig::new();
    let sid = rig.poller().sid;
    let config = Arc::new(engine::Config::default());
    let mut session = ServerSession::new(config, sid, Transport::Polling, GET, Instant::ZERO);
    let Some(Transmit::Respond(response)) = session.poll_transmit(GET) else { panic!("an open packet") };
    assert_eq!(sid_of(std::str::from_utf8(&response.body).unwrap()), sid);
    session
}

fn message(text: &str) -> Encoded {
    Encoded::message(&Message::Text(text.into()))
}

fn say(session: &mut ServerSession, text: &str) {
    session.handle_message(WS, Message::Text(text.into()), Instant::ZERO).unwrap();
}

#[test]
fn a_poll_that_dies_while_it_is_freed_for_the_upgrade_takes_no_packet_along() {
    for probe in [&["2probe"][..], &["5"], &["2probe", "5"]] {
        let mut session = polling();
        session.handle_poll(GET, Instant::ZERO).unwrap();
        session.handle_upgrade(WS, Instant::ZERO).unwrap();
        session.send(message("precious")).unwrap();
        probe.iter().for_each(|packet| say(&mut session, packet));
        session.handle_hangup(GET, Hangup::Failed);
        if session.is_open() && probe.last() != Some(&"5") {
            say(&mut session, "5");
        }
        let mut sent = 0;
        while let Some(transmit) = session.poll_transmit(WS) {
            sent += usize::from(transmit == Transmit::Packet(message("precious")));
        }
        let undelivered = std::iter::from_fn(|| session.poll_event()).find_map(|event| match event {
            EngineEvent::Closed { undelivered, .. } => Some(undelivered),
            _ => None,
        });
        assert_eq!(sent + undelivered.unwrap_or(0), 1, "sent, or told to be lost: {probe:?}");
    }
}

#[test]
fn what_is_discarded_at_close_counts_as_undelivered() {
    for parked in [true, false] {
        let mut session = polling();
        if parked {
            session.handle_poll(GET, Instant::ZERO).unwrap();
        }
        session.send(message("a")).unwrap();
        session.send(message("b")).unwrap();
        session.close(true, Instant::ZERO);
        assert_eq!(session.poll_transmit(GET).is_some(), parked);
        session.handle_timeout(Instant::ZERO + std::time::Duration::from_secs(60));
        let closed = EngineEvent::Closed { reason: CloseReason::ForcedClose, undelivered: 2 };
        assert_eq!(session.poll_event(), Some(closed));
    }
}

#[test]
fn nothing_counts_after_the_close_packet_nor_after_our_own_close() {
    let mut session = polling();
    session.handle_post(POST, None).unwrap();
    let (answer, fault) = session.handle_body(POST, "4a\u{1e}1\u{1e}4b\u{1e}2".into(), Instant::ZERO);
    assert!(answer.is_ok() && fault.is_ok());
    let closed = EngineEvent::Closed { reason: CloseReason::TransportClose, undelivered: 0 };
    let events: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
    assert_eq!(events, [EngineEvent::Message(Message::Text("a".into())), closed]);

    let mut session = polling();
    session.handle_poll(GET, Instant::ZERO).unwrap();
    session.handle_post(POST, None).unwrap();
    session.close(false, Instant::ZERO);
    let _ = session.handle_body(POST, "4a".into(), Instant::ZERO);
    assert_eq!(session.poll_event(), None);
}

#[test]
fn a_post_that_the_upgrade_has_overtaken_may_end_as_it_likes() {
    let mut session = polling();
    session.handle_post(POST, None).unwrap();
    session.handle_upgrade(WS, Instant::ZERO).unwrap();
    say(&mut session, "5");
    session.handle_hangup(POST, Hangup::Failed);
    assert!(session.is_open(), "the old transport does not matter any more");

    let mut session = polling();
    session.handle_post(POST, None).unwrap();
    session.handle_upgrade(WS, Instant::ZERO).unwrap();
    say(&mut session, "5");
    assert_eq!(session.handle_body(POST, "4late".into(), Instant::ZERO), (Err(MISMATCH), Ok(())));
    assert!(session.is_open());
}

#[test]
fn small_packets_cost_more_than_their_content() {
    let mut session = polling();
    let mut waiting = 0usize;
    while session.send(message("")).is_ok() {
        waiting += 1;
        assert!(waiting * size_of::<Encoded>() <= 16 << 20, "{waiting} packets wait");
    }
}

#[test]
fn a_closed_upgrade_attempt_leaves_nothing_behind() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let ws = rig.probe(peer).unwrap();
    let post = rig.begin_post(peer).unwrap();
    let get = rig.get(peer).unwrap();
    assert_eq!(rig.get(peer), Err(engine::Refusal::OutOfTurn), "ends the session");
    assert_eq!(rig.answer(get), "1");
    assert_eq!(rig.frames(ws), ["close"]);
    assert_eq!(rig.told(peer.conn), ["closed: transport error, 0 undelivered"]);
    assert_eq!(rig.server.len(), 1, "two channels are still open");
    rig.hang_up(ws.channel);
    rig.hang_up(post);
    assert!(rig.server.is_empty());
    rig.hang_up(get);
    rig.hang_up(ws.channel);
    assert!(rig.server.poll_timeout().is_none());
    let _ = rig.server.handle_body(post, Bytes::new(), rig.now);
    assert_eq!(rig.events(peer.conn), []);
}
