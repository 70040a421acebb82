//! Client and server with a network between them that works, or does not for a while.

use std::time::Duration;

use sio_proto::client::BackoffConfig;
use sio_proto::engine::Transport;
use sio_proto::socket::{Emitted, SocketConfig};

use crate::common::hand::settings;
use crate::common::net::{Fault, Net};

const WAYS: [(&[Transport], bool); 3] = [
    (&[Transport::Polling], false),
    (&[Transport::WebSocket], false),
    (&[Transport::Polling, Transport::WebSocket], true),
];

#[test]
fn what_is_emitted_while_a_server_restarts_arrives_once_in_order() {
    for (transports, upgrade) in WAYS {
        let mut net = Net::new(transports, upgrade);
        let slot = net.join("/", SocketConfig::default());
        net.pass_ms(1000);
        net.take_heard();
        let mut expected = Vec::new();
        for round in 0..5 {
            net.restart();
            // The client sees it a moment later.
            net.pass_ms(10);
            for number in 0..10 {
                let name = format!("r{round}e{number}");
                assert_eq!(net.emit(slot, &name, None), Emitted::Buffered);
                expected.push(format!(r#"/ ["{name}"]"#));
            }
            net.pass(Duration::from_secs(10));
            assert!(net.client.conn().is_connected(slot));
        }
        let heard: Vec<_> = net.take_heard().into_iter().filter(|text| text.contains('[')).collect();
        assert_eq!(heard, expected);
        net.end();
    }
}

#[test]
fn a_silent_server_is_noticed_and_another_connection_made() {
    for (transports, upgrade) in WAYS {
        let mut net = Net::new(transports, upgrade);
        let slot = net.join("/", SocketConfig::default());
        net.pass_ms(1000);
        net.take_told();
        net.silence();
        net.pass(Duration::from_secs(45));
        let told = net.take_told();
        assert_eq!(told[..2], ["disconnect: ping timeout", "closed: ping timeout"], "{transports:?}");
        net.pass(Duration::from_secs(10));
        assert!(net.client.conn().is_connected(slot));
        net.pass(Duration::from_secs(600));
        assert_eq!(net.sockets("/").len(), 1, "the server has forgotten the old one");
        net.end();
    }
}

#[test]
fn an_idle_connection_lives() {
    for (transports, upgrade) in WAYS {
        let mut net = Net::new(transports, upgrade);
        net.join("/", SocketConfig::default());
        net.pass(Duration::from_secs(86_400));
        let mut told = net.take_told();
        told.retain(|told| told != "upgraded");
        assert_eq!(told, ["connect"]);
        net.end();
    }
}

#[test]
fn a_server_that_is_away_is_tried_until_it_is_back() {
    for (transports, upgrade) in WAYS {
        let mut net = Net::with(
            |engine, config| {
                (engine.transports, engine.upgrade) = (transports.to_vec(), upgrade);
                config.backoff = BackoffConfig { randomization_factor: 0.0, ..BackoffConfig::default() };
            },
            |_, _| {},
        );
        net.refuse_dials = 6;
        let slot = net.join("/", SocketConfig::default());
        net.emit(slot, "hello", None);
        // 1 + 2 + 4 + 5 + 5 + 5
        net.pass_ms(21_900);
        assert_eq!(net.refuse_dials, 0);
        assert!(!net.client.conn().is_connected(slot));
        net.pass_ms(1000);
        assert!(net.client.conn().is_connected(slot));
        let told = net.take_told();
        let attempts = told.iter().filter(|told| told.starts_with("attempt ")).count();
        let errors = told.iter().filter(|told| told.starts_with("connect_error: ")).count();
        assert_eq!((attempts, errors), (6, 6), "{told:?}");
        assert!(net.take_heard().contains(&r#"/ ["hello"]"#.into()));
        net.end();
    }
}

#[test]
fn try_all_transports_falls_back_while_opening() {
    let mut net = Net::with(
        |engine, _| {
            engine.transports = vec![Transport::WebSocket, Transport::Polling];
            engine.try_all_transports = true;
        },
        |_, _| {},
    );
    net.refuse_dials = 1;
    let slot = net.join("/", SocketConfig::default());
    net.pass_ms(200);
    assert!(net.client.conn().is_connected(slot));
    assert_eq!(net.requests[..2], ["websocket", "get"]);
    net.end();
}

#[test]
fn a_failed_upgrade_leaves_polling_as_it_is() {
    // Each of the steps that the WebSocket takes.
    let mut failed = 0;
    for step in 0..30 {
        let mut net = Net::new(&[Transport::Polling, Transport::WebSocket], true);
        net.fault = Some((step, Fault::Lose));
        let slot = net.join("/", SocketConfig::default());
        net.emit(slot, "a", None);
        net.pass_ms(30_000);
        assert!(net.client.conn().is_connected(slot), "{step}");
        let told = net.take_told();
        if told.iter().any(|told| told.starts_with("upgrade failed")) {
            failed += 1;
            assert_eq!(net.client.transport(), Some(Transport::Polling));
            assert_eq!(told.len(), 2, "{told:?}");
            net.take_heard();
            net.emit(slot, "b", None);
            net.broadcast("/", "c");
            net.pass_ms(1000);
            assert_eq!(net.take_heard(), [r#"/ ["b"]"#]);
            assert_eq!(net.take_told(), [r#"["c"]"#]);
        }
        net.end();
    }
    assert!(failed >= 3, "{failed}");
}

#[test]
fn posts_respect_what_the_server_takes() {
    let mut net = Net::with(
        |engine, _| engine.transports = vec![Transport::Polling],
        |engine, _| engine.max_http_buffer_size = 1000,
    );
    let slot = net.join("/", SocketConfig::default());
    let mut expected = Vec::new();
    for number in 0..200 {
        let name = format!("event{number}");
        net.emit(slot, &name, None);
        expected.push(format!(r#"/ ["{name}"]"#));
    }
    net.pass_ms(5000);
    let mut heard = net.take_heard();
    heard.retain(|heard| heard.contains('['));
    assert_eq!(heard, expected, "B59");
    let posts: Vec<usize> =
        net.requests.iter().filter_map(|request| request.strip_prefix("post ")?.parse().ok()).collect();
    assert!(posts.iter().all(|len| *len <= 1000) && posts.len() < 10, "{posts:?}");
    net.end();
}

#[test]
fn questions_both_ways() {
    for (transports, upgrade) in WAYS {
        let mut net = Net::new(transports, upgrade);
        let slot = net.join("/chat", SocketConfig::default());
        net.pass_ms(1000);
        net.take_told();
        net.take_heard();
        net.emit(slot, "mine", Some(9));
        net.ask("/chat", "yours", 4);
        net.pass_ms(100);
        net.pay();
        net.pass_ms(100);
        let mut told = net.take_told();
        told.sort();
        assert_eq!(told, [r#"/chat ["yours"]+4"#, "/chat ack 9 []"]);
        assert_eq!(net.take_heard(), [r#"/chat ["mine"]"#, r#"/chat ack 4 ["paid"]"#]);
        net.end();
    }
}

#[test]
fn who_is_refused_does_not_come_back_and_the_others_stay() {
    for (transports, upgrade) in WAYS {
        let mut net = Net::new(transports, upgrade);
        net.app.refuse.insert("/chat".into());
        let root = net.join("/", SocketConfig::default());
        let chat = net.join("/chat", SocketConfig::default());
        net.pass_ms(60_000);
        assert!(net.client.conn().is_connected(root) && !net.client.conn().is_active(chat));
        net.app.refuse.clear();
        net.client.connect(chat, net.now).unwrap();
        net.pass_ms(1000);
        assert!(net.client.conn().is_connected(chat), "refused, then accepted");
        net.end();
    }
}

#[test]
fn the_server_says_goodbye() {
    for (transports, upgrade) in WAYS {
        for whole in [true, false] {
            let mut net = Net::new(transports, upgrade);
            let slot = net.join("/", SocketConfig::default());
            net.pass_ms(1000);
            net.take_told();
            let socket = net.sockets("/")[0];
            net.server.disconnect(socket, whole, net.now).unwrap();
            net.pass_ms(60_000);
            let told = net.take_told();
            assert_eq!(told[0], "disconnect: io server disconnect");
            assert!(told.len() == 2 && told[1].starts_with("closed: "), "{told:?}");
            assert!(net.client.is_quiet() && !net.client.conn().is_active(slot));
            net.end();

            // Or it ends as a whole: the client tries to come back.
            let mut net = Net::new(transports, upgrade);
            let slot = net.join("/", SocketConfig::default());
            net.pass_ms(1000);
            net.take_told();
            net.server.close(net.now);
            net.pass_ms(400);
            assert_eq!(net.take_told(), ["disconnect: transport close", "closed: transport close"]);
            net.pass_ms(10_000);
            let told = net.take_told();
            assert!(told.iter().any(|told| told.starts_with("connect_error: server answered")), "{told:?}");
            assert!(net.client.conn().is_active(slot));
            net.end();
        }
    }
}

#[test]
fn fifty_forced_disconnects_with_retries_lose_nothing() {
    for (transports, upgrade) in WAYS {
        let mut net = Net::new(transports, upgrade);
        let slot = net.join("/", settings(|config| config.retries = Some(1000)));
        let mut id = 0;
        for _ in 0..50 {
            for _ in 0..20 {
                net.emit(slot, &format!("e{id}"), Some(id));
                id += 1;
            }
            net.pass_ms(3000);
            net.cut_all();
        }
        net.pass(Duration::from_secs(60));
        let heard: Vec<_> = net.take_heard().into_iter().filter(|text| text.contains('[')).collect();
        let mut once = heard.clone();
        once.dedup();
        let expected: Vec<_> = (0..id).map(|id| format!(r#"/ ["e{id}"]"#)).collect();
        assert_eq!(once, expected);
        assert!(heard.len() <= expected.len() + 51, "one was in flight at each");
        let acks = net.told.iter().filter(|told| told.starts_with("ack ")).count();
        assert_eq!(acks as u64, id);
        net.end();
    }
}
