//! Many peers at once, most of them broken.

use core::time::Duration;
use std::time::Instant;

use super::bad_frames;
use crate::raw::{
    Case,
    http::Http,
    peer::{HANDSHAKE, Polling, Ws},
};

/// Good peers are served while bad ones come and go.
pub(super) fn a_crowd_of_broken_peers(case: &Case) {
    let (mut good, id) = Ws::joined(case.addr, "/");
    let (polling, _) = Polling::joined(case.addr, "/");
    for round in 0..10 {
        let bad: Vec<_> = ["9", "42{", "42/nope,[\"x\"]", "451-[\"x\"]", "4", "2"]
            .iter()
            .map(|packet| {
                let (mut ws, _) = Ws::joined(case.addr, "/");
                ws.send(packet);
                ws
            })
            .collect();
        for (_, bytes, _) in bad_frames() {
            let (mut ws, _) = Ws::open(case.addr);
            ws.send_raw(&bytes);
        }
        let broken = Polling::open(case.addr);
        broken.post_ok("42[");
        let mut http = Http::connect(case.addr);
        http.send("GARBAGE\r\n\r\n");
        assert_eq!(good.ask("sum", &format!("{round},1")), round + 1);
        assert_eq!(polling.ask("sum", &format!("{round},2")), round + 2);
        drop(bad);
    }
    assert!(case.observed(&id).connected);
}

/// Connections that never finish a request do not keep others from being served.
pub(super) fn connections_that_say_nothing(case: &Case) {
    let mut idle: Vec<_> = (0..60).map(|_| Http::connect(case.addr)).collect();
    for (i, http) in idle.iter_mut().enumerate() {
        match i % 4 {
            0 => {}
            1 => http.send("GET /socket.io/?EIO=4&trans"),
            2 => http.send(format!("GET {HANDSHAKE} HTTP/1.1\r\nHost: x\r\n")),
            _ => {
                http.send(format!("POST {HANDSHAKE} HTTP/1.1\r\nContent-Length: 1000\r\nHost: x\r\n\r\nabc"));
            }
        }
    }
    let begun = Instant::now();
    let (mut ws, _) = Ws::joined(case.addr, "/");
    let (session, _) = Polling::joined(case.addr, "/");
    for i in 0..20 {
        assert_eq!(ws.ask("sum", &format!("{i},0")), i);
        assert_eq!(session.ask("sum", &format!("{i},0")), i);
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "served in {:?}", begun.elapsed());
    drop(idle);
}
