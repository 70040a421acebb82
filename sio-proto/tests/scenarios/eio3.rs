//! Clients of Socket.IO 2, and JSONP. The same is tested with the real client by `interop/js/test/v2_*.test.js`.

use std::sync::Arc;

use bytes::Bytes;
use sio_proto::Instant;
use sio_proto::engine::{
    BadRequest, ChannelId, CloseReason, Config, Dialect, Encoded, Event as EngineEvent, Head, Message,
    PacketError, PeerError, Refusal, Request, Response, Revision, ServerSession, Transmit, Transport,
};
use sio_proto::hub::Scope;
use sio_proto::server::{self, Admission, Event};
use sio_proto::socket::ConnectError;

use crate::common::{Poller, Rig, Ws, show, sid_of};

const MISMATCH: Refusal = Refusal::BadRequest(BadRequest::ProtocolMismatch);

fn v3() -> Dialect {
    let mut dialect = Dialect::default();
    dialect.revision = Revision::V3;
    dialect
}

fn base64(mut dialect: Dialect) -> Dialect {
    dialect.base64 = true;
    dialect
}

fn jsonp(mut dialect: Dialect, callback: u32) -> Dialect {
    dialect.jsonp = Some(callback);
    base64(dialect)
}

fn rig() -> Rig {
    Rig::with(|engine, _| (engine.allow_eio3, engine.jsonp) = (true, true))
}

/// A WebSocket whose handshake is taken.
fn websocket(rig: &mut Rig, dialect: Dialect) -> Ws {
    let channel = rig.server.open_websocket_in(dialect, None, rig.now).unwrap();
    let ws = Ws { channel, conn: rig.server.conn_of(channel).unwrap() };
    assert!(rig.frames(ws)[0].starts_with("0{"));
    ws
}

/// A WebSocket in `/`.
fn joined(rig: &mut Rig, dialect: Dialect) -> Ws {
    let ws = websocket(rig, dialect);
    if dialect.revision == Revision::V4 {
        rig.say(ws, "40").unwrap();
    }
    let socket = rig.asked(ws.conn);
    rig.server.accept(socket, rig.now).unwrap();
    assert!(rig.frames(ws)[0].starts_with("40"));
    ws
}

fn get(rig: &mut Rig, peer: Poller, dialect: Dialect) -> Response {
    match rig.server.handle_request_in(dialect, Request::Poll(peer.sid), None, rig.now) {
        Ok(Admission::Poll(channel)) => rig.response(channel).expect("an answer"),
        other => panic!("{other:?}"),
    }
}

fn text(response: &Response) -> &str {
    std::str::from_utf8(&response.body).unwrap()
}

fn content_type(response: &Response) -> &str {
    response.headers.iter().find(|(name, _)| *name == "content-type").map_or("", |(_, value)| value)
}

/// A polling client in `/`.
fn poller(rig: &mut Rig, dialect: Dialect) -> Poller {
    let handshake = rig.server.handle_request_in(dialect, Request::Handshake, None, rig.now);
    let Ok(Admission::Poll(channel)) = handshake else { panic!("{handshake:?}") };
    let conn = rig.server.conn_of(channel).unwrap();
    let response = rig.response(channel).unwrap();
    let open = &text(&response).replace("\\\"", "\"");
    let peer = Poller { sid: sid_of(&open[open.find("0{").unwrap()..]), conn };
    if dialect.revision == Revision::V4 {
        let body = if dialect.jsonp.is_some() { "d=40" } else { "40" };
        post(rig, peer, dialect, None, body).unwrap();
    }
    let socket = rig.asked(conn);
    rig.server.accept(socket, rig.now).unwrap();
    get(rig, peer, dialect);
    peer
}

fn post(
    rig: &mut Rig,
    peer: Poller,
    dialect: Dialect,
    content_type: Option<&str>,
    body: impl Into<Bytes>,
) -> Result<(), server::PeerError> {
    let admission = rig.server.handle_request_in(dialect, Request::Post(peer.sid), content_type, rig.now);
    let Ok(Admission::Post(channel)) = admission else { panic!("{admission:?}") };
    let (answer, fault) = rig.server.handle_body(channel, body.into(), rig.now);
    assert_eq!(answer.unwrap().body, "ok");
    fault
}

// ---- Requests -------------------------------------------------------------------------------------------------------

#[test]
fn b13_only_if_asked_for() {
    let parse = |config: &Config, query: &str| {
        Request::parse_in(config, &Head { method: "GET", query, ..Head::default() })
    };
    let mut config = Config::default();
    for query in ["EIO=3&transport=polling", "transport=polling"] {
        assert_eq!(parse(&config, query), Err(Refusal::UnsupportedProtocolVersion));
    }
    config.allow_eio3 = true;
    for query in ["EIO=3&transport=polling", "transport=polling"] {
        assert_eq!(parse(&config, query), Ok((Request::Handshake, v3())));
    }
    assert_eq!(parse(&config, "EIO=5&transport=polling"), Err(Refusal::UnsupportedProtocolVersion));
    assert_eq!(parse(&config, "EIO=4&transport=polling&j=1"), Ok((Request::Handshake, Dialect::default())));
    config.jsonp = true;
    let scripts = jsonp(Dialect::default(), 1);
    assert_eq!(parse(&config, "EIO=4&transport=polling&j=1"), Ok((Request::Handshake, scripts)));
}

#[test]
fn an_owner_that_does_not_ask_for_the_dialect_serves_the_usual_one_only() {
    let mut config = Config::default();
    (config.allow_eio3, config.jsonp) = (true, true);
    let sid = "AAECAwQFBgcICQoLDA0O";
    let parse = |query: &str| Request::parse(&config, &Head { method: "GET", query, ..Head::default() });
    for query in ["EIO=3&transport=polling", "EIO=4&transport=polling&j=0"] {
        assert_eq!(parse(query), Err(Refusal::UnsupportedProtocolVersion), "{query}");
        let misdirected = Request::Misdirected(sid.parse().unwrap(), MISMATCH);
        assert_eq!(parse(&format!("{query}&sid={sid}")), Ok(misdirected), "{query}");
    }
    assert_eq!(parse("EIO=4&transport=polling"), Ok(Request::Handshake));
}

#[test]
fn b27_a_session_keeps_its_revision() {
    let mut rig = rig();
    let (old, new) = (poller(&mut rig, v3()), poller(&mut rig, Dialect::default()));
    for (peer, dialect) in [(old, Dialect::default()), (new, v3())] {
        for request in [Request::Poll(peer.sid), Request::Post(peer.sid), Request::WebSocket(Some(peer.sid))]
        {
            assert_eq!(rig.server.handle_request_in(dialect, request, None, rig.now), Err(MISMATCH));
        }
        assert_eq!(rig.server.open_websocket_in(dialect, Some(peer.sid), rig.now), Err(MISMATCH));
        assert_eq!(rig.told(peer.conn), [""; 0], "no harm is done");
    }
    post(&mut rig, old, v3(), None, "1:2").unwrap();
    assert_eq!(text(&get(&mut rig, old, v3())), "1:3");
}

// ---- Namespaces -----------------------------------------------------------------------------------------------------

#[test]
fn b75_b76_the_root_is_joined_without_asking_and_told_no_id() {
    let mut rig = rig();
    rig.server.of("/chat");
    let ws = websocket(&mut rig, v3());
    let [Event::Connect { socket, auth: None, .. }] = rig.events(ws.conn)[..] else { panic!("a connect") };
    rig.server.accept(socket, rig.now).unwrap();
    assert_eq!(rig.frames(ws), ["40"]);
    rig.say(ws, "40/chat").unwrap();
    let chat = rig.asked(ws.conn);
    rig.server.accept(chat, rig.now).unwrap();
    assert_eq!(rig.frames(ws), ["40/chat,"]);
    rig.say(ws, "42/chat,1[\"x\"]").unwrap();
    assert_eq!(rig.told(ws.conn), ["[\"x\"]+1"]);
    rig.say(ws, "41/chat,").unwrap();
    assert_eq!(rig.told(ws.conn), ["disconnect: client namespace disconnect"]);
}

#[test]
fn names_beyond_ascii_are_what_they_are() {
    let mut rig = rig();
    rig.server.of("/größe-中");
    let ws = joined(&mut rig, v3());
    rig.say(ws, "40/größe-中?a=1,").unwrap();
    assert_eq!(rig.told(ws.conn), [r#"connect {"a":"1"}"#]);
}

#[test]
fn b75_a_second_root_closes_the_connection() {
    let mut rig = rig();
    let ws = joined(&mut rig, v3());
    assert!(rig.say(ws, "40").is_err());
}

#[test]
fn b77_b78_the_query_is_the_auth_and_refusals_are_plain() {
    let mut rig = rig();
    rig.server.of("/chat");
    let ws = joined(&mut rig, v3());
    for (error, frame) in [
        (ConnectError::new("no \"entry\""), "44/chat,\"no \\\"entry\\\"\""),
        (ConnectError::new("no").data(&[1, 2]), "44/chat,[1,2]"),
    ] {
        rig.say(ws, "40/chat?token=a%20b&x=1,").unwrap();
        let [Event::Connect { socket, auth: Some(auth), .. }] = &rig.events(ws.conn)[..] else { panic!() };
        assert_eq!(*auth, r#"{"token":"a b","x":"1"}"#);
        rig.server.refuse(*socket, &error, rig.now).unwrap();
        assert_eq!(rig.frames(ws), [frame]);
    }
    rig.say(ws, "40/nope?x=1,").unwrap();
    assert_eq!(rig.frames(ws), ["44/nope,\"Invalid namespace\""]);
    rig.say(ws, "40/chat,").unwrap();
    assert_eq!(rig.told(ws.conn), ["connect"]);
}

#[test]
fn b77_in_revision_4_the_query_is_a_part_of_the_name() {
    let mut rig = rig();
    let ws = rig.websocket();
    rig.say(ws, "40/?a=b,").unwrap();
    assert_eq!(rig.frames(ws), [r#"44/?a=b,{"message":"Invalid namespace"}"#]);
}

// ---- Heartbeat ------------------------------------------------------------------------------------------------------

#[test]
fn b37_the_client_pings() {
    let mut rig = rig();
    let ws = joined(&mut rig, v3());
    for _ in 0..5 {
        rig.pass_ms(44_000);
        rig.say(ws, "42[\"other packets do not count\"]").unwrap();
        rig.say(ws, "2").unwrap();
        assert_eq!(rig.frames(ws), ["3"], "and nothing else: the server does not ping");
    }
    rig.pass_ms(44_999);
    rig.events(ws.conn);
    rig.pass_ms(1);
    assert_eq!(rig.told(ws.conn), ["disconnect: ping timeout", "closed: ping timeout, 0 undelivered"]);
}

#[test]
fn b37_also_after_an_upgrade() {
    let mut rig = rig();
    let peer = poller(&mut rig, v3());
    let channel = rig.server.open_websocket_in(v3(), Some(peer.sid), rig.now).unwrap();
    let ws = Ws { channel, conn: peer.conn };
    rig.say(ws, "2probe").unwrap();
    assert_eq!(rig.frames(ws), ["3probe"]);
    rig.say(ws, "5").unwrap();
    rig.say(ws, "2").unwrap();
    assert_eq!(rig.frames(ws), ["3"]);
    rig.events(ws.conn);
    rig.pass_ms(45_000);
    assert_eq!(rig.told(ws.conn), ["disconnect: ping timeout", "closed: ping timeout, 0 undelivered"]);
}

#[test]
fn b35_a_pong_is_an_error() {
    let mut rig = rig();
    let ws = joined(&mut rig, v3());
    assert_eq!(rig.say(ws, "3"), Err(PeerError::HeartbeatDirection.into()));
    assert_eq!(rig.told(ws.conn), ["disconnect: transport error", "closed: transport error, 0 undelivered"]);
}

#[test]
fn a_client_cannot_fill_the_memory_with_pongs() {
    let mut rig = rig();
    let ws = joined(&mut rig, v3());
    (0..10_000).for_each(|_| rig.say(ws, "2").unwrap());
    assert_eq!(rig.frames(ws), ["3"]);
}

// ---- Bytes ----------------------------------------------------------------------------------------------------------

#[test]
fn one_broadcast_in_all_dialects() {
    let mut rig = rig();
    let dialects = [Dialect::default(), base64(Dialect::default()), v3(), base64(v3())];
    let sockets = dialects.map(|dialect| joined(&mut rig, dialect));
    let dialects = [Dialect::default(), v3(), base64(v3()), jsonp(v3(), 7), jsonp(Dialect::default(), 7)];
    let pollers = dialects.map(|dialect| (poller(&mut rig, dialect), dialect));
    let blobs = [Bytes::from_static(&[1, 2]), Bytes::from_static(b"xyz")];
    let (root, packet) = (rig.root(), rig.event("é🎉", &blobs));
    let op = server::Op::Broadcast(server::Broadcast { packet, volatile: false, ack: None, offset: None });
    assert_eq!(rig.server.apply(root, &Scope::all(), &op, rig.now).sockets, 9);
    let frames = sockets.map(|ws| rig.frames(ws));
    let header = frames[0][0].clone();
    assert!(header.starts_with("452-[\"é🎉\",{"), "{header}");
    for (got, rest) in frames.iter().zip([
        ["bin:\u{1}\u{2}", "bin:xyz"],
        ["bAQI=", "beHl6"],
        ["bin:\u{4}\u{1}\u{2}", "bin:\u{4}xyz"],
        ["b4AQI=", "b4eHl6"],
    ]) {
        assert_eq!(got[..], [&*header, rest[0], rest[1]]);
    }

    let responses = pollers.map(|(peer, dialect)| get(&mut rig, peer, dialect));
    let plain = "text/plain; charset=UTF-8";
    let script = "text/javascript; charset=UTF-8";
    let units = header.encode_utf16().count();
    let v4_text = format!("{header}\u{1e}bAQI=\u{1e}beHl6");
    let v3_text = format!("{units}:{header}6:b4AQI=6:b4eHl6");
    let call = |text: &str| format!("___eio[7]({});", serde_json::to_string(text).unwrap());
    assert_eq!((content_type(&responses[0]), text(&responses[0])), (plain, &*v4_text));
    assert_eq!((content_type(&responses[2]), text(&responses[2])), (plain, &*v3_text));
    assert_eq!((content_type(&responses[3]), text(&responses[3])), (script, &*call(&v3_text)));
    assert_eq!((content_type(&responses[4]), text(&responses[4])), (script, &*call(&v4_text)));
    assert_eq!(content_type(&responses[1]), "application/octet-stream");
    let digits: Vec<u8> = header.len().to_string().bytes().map(|digit| digit - b'0').collect();
    let binary = [&[0][..], &digits, &[255], header.as_bytes(), &[1, 3, 255, 4, 1, 2, 1, 4, 255, 4], b"xyz"];
    assert_eq!(responses[1].body, binary.concat());
}

#[test]
fn b73_a_body_of_bytes() {
    let mut rig = rig();
    let peer = poller(&mut rig, v3());
    let octets = Some("application/octet-stream");
    let header = r#"451-7["x",{"_placeholder":true,"num":0},"0123"]"#;
    assert_eq!(header.len(), 47);
    let mut body = vec![0, 4, 7, 255];
    body.extend(header.bytes());
    body.extend([1, 3, 255, 4, 1, 2]);
    post(&mut rig, peer, v3(), octets, body).unwrap();
    assert_eq!(rig.told(peer.conn), [r#"["x",{"_placeholder":true,"num":0},"0123"]+7 b"\x01\x02""#]);
    // The next one is text again.
    post(&mut rig, peer, v3(), Some("text/plain"), "7:42[\"y\"]").unwrap();
    assert_eq!(rig.told(peer.conn), ["[\"y\"]"]);
    let fault = post(&mut rig, peer, v3(), octets, "7:42[\"y\"]");
    assert_eq!(fault, Err(server::PeerError::Engine(PacketError::Length.into())));
    assert_eq!(rig.told(peer.conn), ["disconnect: parse error", "closed: parse error, 0 undelivered"]);
}

#[test]
fn b74_a_binary_frame_has_a_type() {
    let mut rig = rig();
    let ws = joined(&mut rig, v3());
    rig.say(ws, r#"451-["x",{"_placeholder":true,"num":0}]"#).unwrap();
    rig.say_binary(ws, &[4, 1, 2]).unwrap();
    rig.say(ws, r#"451-["x",{"_placeholder":true,"num":0}]"#).unwrap();
    rig.say(ws, "b4AQI=").unwrap();
    let event = r#"["x",{"_placeholder":true,"num":0}] b"\x01\x02""#;
    assert_eq!(rig.told(ws.conn), [event, event]);
    assert!(rig.say_binary(ws, &[]).is_err());
    assert_eq!(rig.told(ws.conn), ["disconnect: parse error", "closed: parse error, 0 undelivered"]);
}

#[test]
fn b8_the_websocket_says_anew_whether_it_takes_bytes() {
    let mut rig = rig();
    let peer = poller(&mut rig, base64(v3()));
    let channel = rig.server.open_websocket_in(v3(), Some(peer.sid), rig.now).unwrap();
    let ws = Ws { channel, conn: peer.conn };
    rig.say(ws, "5").unwrap();
    let (root, packet) = (rig.root(), rig.event("x", &Bytes::from_static(b"y")));
    let op = server::Op::Broadcast(server::Broadcast { packet, volatile: false, ack: None, offset: None });
    rig.server.apply(root, &Scope::all(), &op, rig.now);
    assert_eq!(rig.frames(ws)[1], "bin:\u{4}y");
}

fn session(dialect: Dialect, transport: Transport) -> ServerSession {
    let (sid, config) = ("AAECAwQFBgcICQoLDA0O".parse().unwrap(), Arc::new(Config::default()));
    let mut session =
        ServerSession::with_dialect(config, sid, transport, dialect, ChannelId(1), Instant::ZERO);
    assert!(session.poll_transmit(ChannelId(1)).is_some());
    session
}

#[test]
fn a_packet_that_goes_out_frame_by_frame_counts_as_one() {
    for taken in 0..=3 {
        let mut session = session(base64(v3()), Transport::WebSocket);
        let blobs: Bytes = Bytes::from_static(b"y");
        let packet =
            sio_proto::socket::Encoder::new().event("/", None, "x", &[blobs.clone(), blobs]).unwrap();
        session.send(packet).unwrap();
        for _ in 0..taken {
            let Some(Transmit::Packet(packet)) = session.poll_transmit(ChannelId(1)) else {
                panic!("a frame")
            };
            assert_eq!(packet.frames().count(), 1);
        }
        session.abort(CloseReason::TransportError);
        let undelivered = usize::from(taken < 3);
        assert_eq!(
            session.poll_event(),
            Some(EngineEvent::Closed { reason: CloseReason::TransportError, undelivered })
        );
    }
}

#[test]
fn a_small_part_of_a_body_does_not_keep_the_rest() {
    let mut session = session(v3(), Transport::Polling);
    session.handle_post(ChannelId(2), Some("application/octet-stream")).unwrap();
    let body =
        [&[0, 1, 0, 0, 1, 255, b'4'][..], &[b'x'; 1000], &[1, 2, 255, 4, 7, 0, 2, 255], b"4y"].concat();
    session.handle_body(ChannelId(2), body.into(), Instant::ZERO).1.unwrap();
    let messages: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
    let [EngineEvent::Message(Message::Text(large)), small @ ..] = &messages[..] else {
        panic!("{messages:?}")
    };
    assert_eq!((large.len(), small.len()), (1000, 2));
    let start = large.as_ptr() as usize;
    for message in small {
        let at = match message {
            EngineEvent::Message(Message::Text(text)) => text.as_ptr(),
            EngineEvent::Message(Message::Binary(bytes)) => bytes.as_ptr(),
            other => panic!("{other:?}"),
        } as usize;
        assert!(!(start..start + 1020).contains(&at), "{message:?} is a part of the body");
    }
}

#[test]
fn b45_a_body_of_bytes_still_ends_a_session_of_revision_4() {
    let mut session = session(Dialect::default(), Transport::Polling);
    assert_eq!(session.handle_post(ChannelId(2), Some("application/octet-stream")), Err(Refusal::OutOfTurn));
    assert!(session.is_closed());
}

// ---- Ends, upgrades, JSONP ------------------------------------------------------------------------------------------

#[test]
fn polls_are_freed_in_the_sessions_form() {
    for (dialect, noop, close) in [
        (v3(), "1:6", "1:1"),
        (jsonp(v3(), 3), "___eio[3](\"1:6\");", "___eio[3](\"1:1\");"),
        (jsonp(Dialect::default(), 3), "___eio[3](\"6\");", "___eio[3](\"1\");"),
    ] {
        let mut rig = rig();
        let peer = poller(&mut rig, dialect);
        let park = |rig: &mut Rig| {
            let request = rig.server.handle_request_in(dialect, Request::Poll(peer.sid), None, rig.now);
            let Ok(Admission::Poll(channel)) = request else { panic!("{request:?}") };
            channel
        };
        let parked = park(&mut rig);
        let mut over = dialect;
        (over.jsonp, over.base64) = (None, false);
        let channel = rig.server.open_websocket_in(over, Some(peer.sid), rig.now).unwrap();
        rig.say(Ws { channel, conn: peer.conn }, "2probe").unwrap();
        assert_eq!(text(&rig.response(parked).unwrap()), noop);
        rig.hang_up(channel);
        let parked = park(&mut rig);
        rig.server.close(rig.now);
        assert_eq!(text(&rig.response(parked).unwrap()), close);
    }
}

#[test]
fn b57_bodies_of_forms() {
    for (dialect, body, event) in [
        (jsonp(v3(), 0), "d=7%3A42%5B%22y%22%5D", "[\"y\"]"),
        (jsonp(Dialect::default(), 0), "x=1&d=42%5B%22a%5C%5Cnb+c%22%5D", "[\"a\\nb c\"]"),
    ] {
        let mut rig = rig();
        let peer = poller(&mut rig, dialect);
        post(&mut rig, peer, dialect, Some("application/x-www-form-urlencoded"), body).unwrap();
        assert_eq!(rig.told(peer.conn), [event]);
        assert!(post(&mut rig, peer, dialect, None, "e=1").is_err());
        assert_eq!(rig.told(peer.conn), ["disconnect: parse error", "closed: parse error, 0 undelivered"]);
    }
}

#[test]
fn messages_of_engine_io_alone() {
    let mut session = session(v3(), Transport::WebSocket);
    session.send(Encoded::message(&Message::Binary(Bytes::from_static(b"y")))).unwrap();
    let Some(Transmit::Packet(packet)) = session.poll_transmit(ChannelId(1)) else { panic!("a frame") };
    assert_eq!(packet.frames().map(|frame| show(&frame)).collect::<Vec<_>>(), ["bin:\u{4}y"]);
}
