//! Opening a session.

use std::time::Duration;

use sio_proto::engine::{Cookie, Refusal, Request, Transmit, Transport};
use sio_proto::server::Event;
use sio_proto::{Instant, Sid};

use crate::common::Rig;

#[test]
fn b12_the_open_packet_has_exactly_five_keys() {
    let mut rig = Rig::with(|engine, _| {
        engine.ping_interval = Duration::from_millis(300);
        engine.ping_timeout = Duration::from_millis(200);
        engine.max_http_buffer_size = 1234;
    });
    let expected = |sid: &str, upgrades: &str| {
        format!(
            r#"0{{"sid":"{sid}","upgrades":[{upgrades}],"pingInterval":300,"pingTimeout":200,"maxPayload":1234}}"#
        )
    };
    let get = rig.server.handle_request(Request::Handshake, None, Instant::ZERO).unwrap();
    let sio_proto::server::Admission::Poll(get) = get else { panic!("{get:?}") };
    let open = rig.answer(get);
    assert_eq!(open, expected(&open[9..29], r#""websocket""#));

    let channel = rig.server.open_websocket(None, rig.now).unwrap();
    let conn = rig.server.conn_of(channel).unwrap();
    let open = &rig.frames(crate::common::Ws { channel, conn })[0];
    assert_eq!(*open, expected(&open[9..29], ""), "nothing to upgrade to");
}

#[test]
fn b12_no_upgrade_is_offered_where_none_is_possible() {
    for change in
        [(|engine: &mut sio_proto::engine::Config| engine.allow_upgrades = false) as fn(&mut _), |engine| {
            engine.transports = vec![Transport::Polling];
        }]
    {
        let mut rig = Rig::with(|engine, _| change(engine));
        let peer = rig.poller();
        assert_eq!(rig.probe(peer).unwrap_err(), Refusal::SessionUnknown, "nor taken");
        let get = rig.server.handle_request(Request::Handshake, None, Instant::ZERO).unwrap();
        let sio_proto::server::Admission::Poll(get) = get else { panic!("{get:?}") };
        assert!(rig.answer(get).contains(r#""upgrades":[]"#));
    }
}

#[test]
fn b28_the_id_of_a_closed_session_is_unknown() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    rig.post(peer, "1");
    assert_eq!(rig.get(peer), Err(Refusal::SessionUnknown));
    assert_eq!(rig.begin_post(peer), Err(Refusal::SessionUnknown));
    assert_eq!(rig.probe(peer).unwrap_err(), Refusal::SessionUnknown);
    let stranger: Sid = "AAECAwQFBgcICQoLDA0O".parse().unwrap();
    assert_eq!(
        rig.server.handle_request(Request::WebSocket(Some(stranger)), None, rig.now),
        Err(Refusal::SessionUnknown)
    );
}

#[test]
fn b27_a_misdirected_request_is_refused_for_its_fault_if_the_session_exists() {
    let mut rig = Rig::new();
    let peer = rig.poller();
    let misdirected = |sid| Request::Misdirected(sid, Refusal::MethodNotAllowed);
    let refused = rig.server.handle_request(misdirected(peer.sid), None, rig.now);
    assert_eq!(refused, Err(Refusal::MethodNotAllowed), "B44");
    rig.post(peer, "1");
    let refused = rig.server.handle_request(misdirected(peer.sid), None, rig.now);
    assert_eq!(refused, Err(Refusal::SessionUnknown));
}

#[test]
fn b41_timers_start_with_the_session_and_not_with_the_request() {
    let mut rig = Rig::new();
    rig.server.handle_request(Request::WebSocket(None), None, rig.now).unwrap();
    assert!(rig.server.is_empty());
    assert_eq!(rig.server.poll_timeout(), None);
}

#[test]
fn session_ids_differ_from_each_other_and_from_socket_ids() {
    let mut rig = Rig::with(|_, config| config.shard = 5);
    let (a, b) = (rig.poller(), rig.poller());
    assert_ne!(a.sid, b.sid);
    assert_eq!((a.sid.shard(), b.sid.shard()), (5, 5));
    rig.post(a, "40");
    let [Event::Connect { id, .. }] = rig.events(a.conn)[..] else { panic!("a connect event") };
    assert_ne!(id.as_str(), a.sid.as_str(), "B118: the session id is a secret");
}

#[test]
fn a_chosen_beginning_is_that_of_the_next_session_only() {
    let mut rig = Rig::with(|_, config| config.shard = 5);
    rig.server.choose_sid("eu-1".parse().unwrap());
    let (a, b) = (rig.poller(), rig.poller());
    assert!(a.sid.as_str().starts_with("eu-1"));
    assert!(!b.sid.as_str().starts_with("eu-1"));
    assert_eq!((a.sid.shard(), b.sid.shard()), (5, 5));
}

#[test]
fn b18_ids_that_are_all_in_use_refuse_the_client() {
    let mut rig = Rig::new();
    let prefix = "0123456789abcdef".parse().unwrap();
    let opened = loop {
        rig.server.choose_sid(prefix);
        match rig.server.open_websocket(None, rig.now) {
            Ok(_) => {}
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(opened.context(), Some("ID_GENERATION_ERROR"));
    assert!((20_000..65_536).contains(&rig.server.len()), "{}", rig.server.len());
    assert!(rig.server.open_websocket(None, rig.now).is_ok(), "nobody else is disturbed");
}

#[test]
fn a_closing_server_lets_nobody_in_and_ends() {
    let mut rig = Rig::new();
    let (peer, ws) = (rig.poller(), rig.websocket());
    let get = rig.get(peer).unwrap();
    let socket = rig.join(ws, "");
    rig.emit(socket, "last").unwrap();
    rig.server.close(rig.now);
    assert_eq!(rig.server.handle_request(Request::Handshake, None, rig.now), Err(Refusal::Closing));
    assert_eq!(rig.server.open_websocket(None, rig.now), Err(Refusal::Closing));
    // B110: no DISCONNECT packets; what waits is sent first.
    assert_eq!(rig.answer(get), "1");
    assert_eq!(rig.frames(ws), [r#"42["last"]"#, "close"]);
    assert_eq!(
        rig.told(ws.conn),
        ["disconnect: server shutting down", "closed: forced close, 0 undelivered"]
    );
    assert_eq!(rig.told(peer.conn), ["closed: forced close, 0 undelivered"]);
    rig.hang_up(ws.channel);
    assert!(rig.server.is_empty());
    assert!(rig.server.is_quiet());
}

#[test]
fn b19_the_cookie_is_on_the_first_answer_to_a_poll_only() {
    let mut rig = Rig::with(|engine, _| engine.cookie = Some(Cookie::default()));
    let cookies = |rig: &mut Rig, channel| {
        let Some(Transmit::Respond(response)) = rig.server.poll_transmit(channel, rig.now) else {
            panic!("an answer")
        };
        let cookies = response.headers.into_iter().filter(|(name, _)| *name == "set-cookie");
        cookies.map(|(_, value)| value.into_owned()).collect::<Vec<_>>()
    };
    let get = rig.server.handle_request(Request::Handshake, None, Instant::ZERO).unwrap();
    let sio_proto::server::Admission::Poll(get) = get else { panic!("{get:?}") };
    let set = cookies(&mut rig, get);
    let [cookie] = &set[..] else { panic!("{set:?}") };
    let sid: Sid = cookie.strip_prefix("io=").unwrap()[..20].parse().unwrap();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    let post = rig.server.handle_request(Request::Post(sid), None, rig.now).unwrap();
    let sio_proto::server::Admission::Post(post) = post else { panic!("{post:?}") };
    let ok = rig.server.handle_body(post, "1".into(), rig.now).0.unwrap();
    assert!(ok.headers.iter().all(|(name, _)| *name != "set-cookie"));
}
