//! TLS, with a root that nobody else trusts.

use crate::lab::{Authority, Lab, Options, ServerTls, Side};
use sio_driver::{ConnectionError, Tls, TransportError};

use super::common::{Way, ask, cut, shared, within};

const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

async fn server(side: Side, root: &Authority, names: &[&str], client_root: Option<String>) -> Lab {
    let tls = ServerTls { identity: root.server(names), client_root };
    Lab::start(side, Options { tls: Some(tls), ..Options::default() }).await
}

fn trusting(root: &Authority) -> Tls {
    Tls::new().without_default_roots().root_certificates_pem(root.pem().as_bytes()).expect("a root")
}

pub(crate) async fn trusts_a_private_root(side: Side, way: Way) {
    let root = Authority::new();
    let lab = server(side, &root, &NAMES, None).await;
    let client = way.connect(way.builder(lab.url()).tls(trusting(&root))).await;
    assert_eq!(ask::<i64>(&client, "sum", &(20, 22)).await, 42);
    cut(&lab).await;
    // Over a new connection: an event waits for it.
    super::common::until("the cut", || !client.is_connected()).await;
    assert_eq!(ask::<i64>(&client, "sum", &(20, 22)).await, 42);
    client.close().await;
    let url = lab.url().replace("https", "wss");
    way.connect(way.builder(url).tls(trusting(&root))).await.close().await;
}

fn is_tls(error: Option<ConnectionError>) {
    assert!(matches!(error, Some(ConnectionError::Transport(TransportError::Tls(_)))), "{error:?}");
}

pub(crate) async fn distrusts_others(side: Side, way: Way) {
    let (root, other) = (Authority::new(), Authority::new());
    let lab = server(side, &root, &NAMES, None).await;
    is_tls(within("connect", way.builder(lab.url()).connect()).await.err());
    is_tls(within("connect", way.builder(lab.url()).tls(trusting(&other)).connect()).await.err());
    let lenient = Tls::new().danger_accept_invalid_certificates();
    way.connect(way.builder(lab.url()).tls(lenient)).await.close().await;
    // The right root, for another host.
    let elsewhere = server(side, &root, &["example.org"], None).await;
    is_tls(within("connect", way.builder(elsewhere.url()).tls(trusting(&root)).connect()).await.err());
}

pub(crate) async fn shows_a_certificate(side: Side, way: Way) {
    let (root, clients) = (Authority::new(), Authority::new());
    let lab = server(side, &root, &NAMES, Some(clients.pem().to_owned())).await;
    // With TLS 1.3 the client learns of this after its handshake, from whatever it does next.
    let refused = within("connect", way.builder(lab.url()).tls(trusting(&root)).connect()).await.err();
    assert!(matches!(refused, Some(ConnectionError::Transport(_))), "{refused:?}");
    let identity = clients.client("somebody");
    let tls = trusting(&root).client_certificate_pem(identity.cert.as_bytes(), identity.key.as_bytes());
    let client = way.connect(way.builder(lab.url()).tls(tls.expect("an identity"))).await;
    assert_eq!(ask::<i64>(&client, "sum", &(20, 22)).await, 42);
    client.close().await;
}

pub(crate) async fn does_not_mix_schemes(side: Side, way: Way) {
    let root = Authority::new();
    let lab = server(side, &root, &NAMES, None).await;
    let plain = within("connect", way.builder(lab.url().replace("https", "http")).connect()).await.err();
    assert!(matches!(plain, Some(ConnectionError::Transport(_))), "{plain:?}");
    let url = shared(side).await.url().replace("http", "https");
    is_tls(within("connect", way.builder(url).tls(trusting(&root)).connect()).await.err());
}
