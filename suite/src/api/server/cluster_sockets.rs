//! What is sent to clients of other servers, and what they answer.

use std::time::Duration;

use http::Request;
use sio_driver::cluster::Config;
use sio_driver::{AckError, RemoteSocket};

use crate::api::common::{Polling, Ws, builder};
use crate::api::server::cluster::{Cluster, cluster, cluster_with, counted};
use crate::api::server::http_admission::{POLLING, send};
use crate::api::{Case, list};
use crate::world::{Instant, settle, sleep, spawn};

pub(super) const CASES: &[Case] = list![
    what_must_not_be_packed_is_not_packed_elsewhere,
    the_acknowledgement_of_one_client,
    the_acknowledgement_of_a_client_of_this_server,
    a_client_that_does_not_answer,
    a_client_that_is_gone,
    a_client_whose_server_is_silent,
    a_typed_event_of_one_client,
];

const SECOND: Duration = Duration::from_secs(1);

async fn what_must_not_be_packed_is_not_packed_elsewhere() {
    let cluster = cluster::<2>().await;
    let [a, b] = &cluster.servers;
    let session = Polling::connect(b).await;
    settle().await;
    let packed = async || {
        settle().await;
        let request =
            Request::get(format!("{POLLING}&sid={}", session.sid)).header("accept-encoding", "gzip");
        !send(b, request).await.header("content-encoding").is_empty()
    };
    let large = "x".repeat(2000);
    a.emit("e", &large).unwrap();
    assert!(packed().await);
    a.compress(false).emit("e", &large).unwrap();
    assert!(!packed().await);
    a.compress(true).emit("e", &large).unwrap();
    assert!(packed().await);
    let asked = spawn(a.everyone().emit_with_ack::<(), _>("e", &large).send());
    assert!(packed().await);
    drop(asked);
    let asked = spawn(a.compress(false).emit_with_ack::<(), _>("e", &large).send());
    assert!(!packed().await);
    drop(asked);
}

impl<const N: usize> Cluster<N> {
    /// The client of server `of`, as server 0 sees it.
    async fn remote(&self, of: usize) -> RemoteSocket {
        let mut sockets = self.servers[0].to(format!("of {of}")).fetch_sockets().await.unwrap();
        assert_eq!(sockets.len(), 1);
        sockets.pop().unwrap()
    }
}

/// Answers the next event, which must be `["ask",1]`.
async fn answer(ws: &mut Ws, with: &str) {
    let packet = ws.recv().await;
    let id = packet.strip_prefix("42").and_then(|rest| rest.split('[').next()).unwrap().to_owned();
    assert_eq!(packet, format!(r#"42{id}["ask",1]"#));
    ws.send(format!("43{id}{with}")).await;
}

async fn the_acknowledgement_of_one_client() {
    for config in [Config::default(), counted()] {
        let mut cluster = cluster_with::<3>(config, |builder| builder).await;
        let remote = cluster.remote(2).await;
        // A server that has nothing to do with it delays nothing.
        cluster.nodes[1].freeze();
        let started = Instant::now();
        let asked = spawn(remote.emit_with_ack::<String, _>("ask", &1).send());
        answer(&mut cluster.clients[2], r#"["yes"]"#).await;
        assert_eq!(asked.await.expect("no panic"), Ok("yes".to_owned()));
        let asked = spawn(remote.emit_with_ack::<u8, _>("ask", &1).send());
        answer(&mut cluster.clients[2], r#"["yes"]"#).await;
        assert!(matches!(asked.await.expect("no panic"), Err(AckError::Data(_))));
        assert_eq!(started.elapsed(), Duration::ZERO);
        cluster.nodes[1].thaw();
        settle().await;
    }
}

async fn the_acknowledgement_of_a_client_of_this_server() {
    let mut cluster = cluster::<2>().await;
    let remote = cluster.remote(0).await;
    let sent = cluster.nodes[0].sent();
    let asked = spawn(remote.emit_with_ack::<u8, _>("ask", &1).send());
    answer(&mut cluster.clients[0], "[7]").await;
    assert_eq!(asked.await.expect("no panic"), Ok(7));
    assert_eq!(cluster.nodes[0].sent(), sent, "nobody else was asked");
    let silent = remote.emit_with_ack::<u8, _>("ask", &1).timeout(SECOND).await;
    assert_eq!(silent, Err(AckError::Timeout));
}

async fn a_client_that_does_not_answer() {
    for config in [Config::default(), counted()] {
        let cluster = cluster_with::<3>(config, |builder| builder).await;
        let remote = cluster.remote(2).await;
        for (asked, wait) in [
            (remote.emit_with_ack::<u8, _>("ask", &1), 5 * SECOND),
            (remote.emit_with_ack::<u8, _>("ask", &1).timeout(SECOND), SECOND),
        ] {
            let started = Instant::now();
            assert_eq!(asked.await, Err(AckError::Timeout));
            assert_eq!(started.elapsed(), wait);
        }
    }
}

async fn a_client_that_is_gone() {
    for config in [Config::default(), counted()] {
        let cluster = cluster_with::<3>(config, |builder| builder).await;
        let remote = cluster.remote(2).await;
        drop(cluster.clients);
        settle().await;
        let started = Instant::now();
        let asked = remote.emit_with_ack::<u8, _>("ask", &1).await;
        assert_eq!((asked, started.elapsed()), (Err(AckError::Disconnected), Duration::ZERO));
    }
    let io = builder().build();
    let ws = Ws::connect(&io).await;
    let remote = io.fetch_sockets().await.unwrap().pop().unwrap();
    drop(ws);
    settle().await;
    assert_eq!(remote.emit_with_ack::<u8, _>("ask", &1).await, Err(AckError::Disconnected));
}

async fn a_client_whose_server_is_silent() {
    let cluster = cluster::<2>().await;
    let remote = cluster.remote(1).await;
    cluster.nodes[1].freeze();
    let asked = remote.emit_with_ack::<u8, _>("ask", &1).timeout(SECOND).await;
    assert_eq!(asked, Err(AckError::ServerSilent));
    // Once it is known to be dead the client is too.
    cluster.nodes[1].cut();
    sleep(11 * SECOND).await;
    assert_eq!(remote.emit_with_ack::<u8, _>("ask", &1).await, Err(AckError::Disconnected));
}

sio_driver::events! {
    Ask = "ask"(u8) -> String;
}

async fn a_typed_event_of_one_client() {
    let mut cluster = cluster::<2>().await;
    let remote = cluster.remote(1).await;
    let asked = spawn(remote.emit_with_ack(Ask, &1).send());
    answer(&mut cluster.clients[1], r#"["typed"]"#).await;
    assert_eq!(asked.await.expect("no panic"), Ok("typed".to_owned()));
}
