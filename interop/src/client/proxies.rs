//! Through a proxy, which can also cut and hold.

use core::time::Duration;

use crate::{
    lab::{Authority, Lab, Options, ServerTls, Side},
    proxy::{self, Proxy},
};
use sio_driver::{ConnectionError, Tls, TransportError};

use super::common::{Watch, Way, ask, cut_off, is_lost, lab, shared, within};

fn is_proxy(error: Option<ConnectionError>) {
    assert!(matches!(error, Some(ConnectionError::Transport(TransportError::Proxy(_)))), "{error:?}");
}

pub(crate) async fn go_through(side: Side, way: Way) {
    let lab = shared(side).await;
    let proxy = Proxy::start().await;
    let client = way.connect(way.builder(lab.url()).proxy(proxy.url())).await;
    assert_eq!(ask::<i64>(&client, "sum", &(20, 22)).await, 42);
    let asked = proxy.asked();
    assert!(!asked.tunnels.is_empty() && asked.others.is_empty(), "{asked:?}");
    assert!(asked.tunnels.iter().all(|target| *target == format!("127.0.0.1:{}", lab.port())));
    client.close().await;
    // Nobody there.
    let url = proxy.url();
    drop(proxy);
    is_proxy(within("connect", way.builder(lab.url()).proxy(url).connect()).await.err());
}

pub(crate) async fn authorise(side: Side, way: Way) {
    let lab = shared(side).await;
    let auth = Some(("user", "p:w ä"));
    let proxy = Proxy::with(proxy::Options { auth, ..proxy::Options::default() }).await;
    for url in [proxy.url(), proxy.url_as("user", "no")] {
        // One attempt: another could begin before the client is dropped over the first.
        let builder = way.builder(lab.url()).proxy(url).reconnection(false);
        is_proxy(within("connect", builder.connect()).await.err());
    }
    assert_eq!(proxy.asked().unauthorised, 2);
    assert_eq!(proxy.asked().tunnels, [""; 0]);
    let url = proxy.url_as("user", "p%3Aw%20%C3%A4");
    let client = way.connect(way.builder(lab.url()).proxy(url)).await;
    assert_eq!(ask::<i64>(&client, "sum", &(20, 22)).await, 42);
    client.close().await;
}

pub(crate) async fn are_cut(side: Side, way: Way) {
    let lab = lab(side).await;
    let proxy = Proxy::start().await;
    let (builder, mut watch) = Watch::new(way.builder(lab.url()).proxy(proxy.url()));
    let client = way.connect(builder).await;
    watch.connected().await;
    for _ in 0..3 {
        way.settled(&client).await;
        let reason = cut_off(&proxy, &mut watch).await;
        assert!(is_lost(&reason), "{reason}");
        watch.connected().await;
    }
    // The proxy stays, the server goes away: the proxy says so.
    lab.kill().await;
    is_proxy(Some(watch.attempt_failed().await));
    lab.start_again().await;
    watch.connected().await;
    assert_eq!(ask::<i64>(&client, "sum", &(20, 22)).await, 42);
    client.close().await;
}

/// A network that says nothing: the client finds out by itself.
pub(crate) async fn stand_still(side: Side, way: Way) {
    let (ping_interval, ping_timeout) = (Duration::from_millis(300), Duration::from_millis(900));
    let lab = Lab::start(side, Options { ping_interval, ping_timeout, ..Options::default() }).await;
    let proxy = Proxy::start().await;
    let builder = way.builder(lab.url()).proxy(proxy.url()).timeout(Duration::from_millis(1200));
    let (builder, mut watch) = Watch::new(builder);
    let client = way.connect(builder).await;
    watch.connected().await;
    proxy.hold(true);
    assert_eq!(watch.disconnected().await, "ping timeout");
    let failed = watch.attempt_failed().await;
    // The proxy does not hold its own answer back, so it is the server that is waited for.
    assert_eq!(failed, ConnectionError::Timeout);
    proxy.hold(false);
    watch.connected().await;
    assert_eq!(ask::<i64>(&client, "sum", &(20, 22)).await, 42);
    client.close().await;
}

/// TLS to the proxy, and inside of that to the server.
pub(crate) async fn speak_tls(side: Side, way: Way) {
    let root = Authority::new();
    let tls = ServerTls { identity: root.server(&["localhost", "127.0.0.1"]), client_root: None };
    let proxy = Proxy::with(proxy::Options { tls: Some(tls.clone()), ..proxy::Options::default() }).await;
    let lab = Lab::start(side, Options { tls: Some(tls), ..Options::default() }).await;
    let trusting = Tls::new().root_certificates_pem(root.pem().as_bytes()).expect("a root");
    let client = way.connect(way.builder(lab.url()).tls(trusting).proxy(proxy.url())).await;
    assert_eq!(ask::<i64>(&client, "sum", &(20, 22)).await, 42);
    assert!(!proxy.asked().tunnels.is_empty());
    client.close().await;
}
