use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CertifiedKey, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair,
};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tungstenite::Message;

use super::super::tls::{Tls, TlsError};
use super::super::websocket::connect_websocket;
use super::*;
use crate::io::Io;

/// A root of its own, as companies have.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        // Each has another name.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> CertifiedKey<KeyPair> {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let signing_key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&signing_key, &self.0).unwrap();
        CertifiedKey { cert, signing_key }
    }

    /// A server with a certificate for `name`, which may ask for one of this authority's too.
    pub(super) fn acceptor(&self, name: &str, asks: bool) -> TlsAcceptor {
        let CertifiedKey { cert, signing_key } = self.issue(name, ExtendedKeyUsagePurpose::ServerAuth);
        let key = signing_key.serialize_der().try_into().unwrap();
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if asks {
            let roots = Arc::new(self.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(vec![cert.der().clone()], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    /// Settings of a client that trusts this authority alone.
    pub(super) fn tls(&self) -> Tls {
        Tls::new().without_default_roots().root_certificates_pem(self.pem().as_bytes()).unwrap()
    }
}

fn secure_settings(server: &Server, tls: Tls) -> Settings {
    let mut settings = settings(&format!("https://{}", server.authority()));
    settings.tls = Some(tls);
    settings
}

/// One request; how it ended for the client, and how the handshake did for the server.
async fn exchange(
    acceptor: TlsAcceptor,
    tls: Tls,
) -> (Result<Answer, NetError>, io::Result<Option<Vec<u8>>>) {
    let server = Server::new().await;
    let client = HttpClient::new(connector(secure_settings(&server, tls)));
    both(get(&client, "/"), async {
        let stream: TlsStream<TcpStream> = acceptor.accept(server.accept().await.0).await?;
        let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        let mut peer = Peer(stream);
        peer.head().await;
        peer.answer("secret").await;
        Ok(protocol)
    })
    .await
}

/// What the client says of a server that it does not trust.
async fn distrust(acceptor: TlsAcceptor, tls: Tls) -> String {
    match exchange(acceptor, tls).await {
        (Err(NetError::Tls(text)), _) => {
            assert!(text.starts_with("127.0.0.1:"), "{text}");
            text
        }
        (result, _) => panic!("{result:?}"),
    }
}

#[tokio::test]
async fn a_root_of_ones_own() {
    let authority = Authority::new();
    let (answer, protocol) = exchange(authority.acceptor("127.0.0.1", false), authority.tls()).await;
    assert_eq!(answer.unwrap().body, "secret");
    assert_eq!(protocol.unwrap().as_deref(), Some(&b"http/1.1"[..]));
    // Beside the default ones too.
    let tls = Tls::new().root_certificates_pem(authority.pem().as_bytes()).unwrap();
    let (answer, _) = exchange(authority.acceptor("127.0.0.1", false), tls).await;
    assert_eq!(answer.unwrap().body, "secret");
}

#[tokio::test]
async fn a_certificate_of_nobody() {
    let authority = Authority::new();
    for tls in [Authority::new().tls(), Tls::new()] {
        let text = distrust(authority.acceptor("127.0.0.1", false), tls).await;
        assert!(text.contains("UnknownIssuer"), "{text}");
    }
    let mallory = Authority::new().acceptor("127.0.0.1", false);
    let (answer, _) = exchange(mallory, Tls::new().danger_accept_invalid_certificates()).await;
    assert_eq!(answer.unwrap().body, "secret");
}

#[tokio::test]
async fn a_certificate_of_somebody_else() {
    let authority = Authority::new();
    let text = distrust(authority.acceptor("other.test", false), authority.tls()).await;
    assert!(text.contains("not valid for name"), "{text}");

    let (answer, _) =
        exchange(authority.acceptor("other.test", false), authority.tls().server_name("other.test")).await;
    assert_eq!(answer.unwrap().body, "secret");
    let text =
        distrust(authority.acceptor("127.0.0.1", false), authority.tls().server_name("other.test")).await;
    assert!(text.contains("not valid for name"), "{text}");
}

#[tokio::test]
async fn who_the_client_is() {
    let authority = Authority::new();
    let text = distrust(authority.acceptor("127.0.0.1", true), authority.tls()).await;
    assert!(text.contains("CertificateRequired"), "{text}");

    let pem = |of: &Authority| {
        let CertifiedKey { cert, signing_key } = of.issue("me", ExtendedKeyUsagePurpose::ClientAuth);
        (cert.pem(), signing_key.serialize_pem())
    };
    let (chain, key) = pem(&authority);
    let tls = authority.tls().client_certificate_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    let (answer, _) = exchange(authority.acceptor("127.0.0.1", true), tls).await;
    assert_eq!(answer.unwrap().body, "secret");

    let (chain, other_key) = pem(&Authority::new());
    let tls = authority.tls().client_certificate_pem(chain.as_bytes(), other_key.as_bytes()).unwrap();
    distrust(authority.acceptor("127.0.0.1", true), tls).await;

    let tls = authority.tls().client_certificate_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    assert!(matches!(tls.build(), Err(TlsError::Certificate(_))), "the key of another certificate");
}

#[tokio::test]
async fn a_configuration_of_ones_own() {
    let authority = Authority::new();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    // We could not speak it.
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (answer, protocol) =
        exchange(authority.acceptor("127.0.0.1", false), Tls::from_config(Arc::new(config))).await;
    assert_eq!(answer.unwrap().body, "secret");
    assert_eq!(protocol.unwrap().as_deref(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn not_tls() {
    for answer in ["", "HTTP/1.1 400 Bad Request\r\n\r\nplain HTTP request was sent to HTTPS port"] {
        let server = Server::new().await;
        let client = HttpClient::new(connector(secure_settings(&server, Tls::new())));
        let (result, ()) = both(get(&client, "/"), async {
            let mut peer = server.accept().await;
            peer.send(answer).await;
        })
        .await;
        let Err(NetError::Tls(text)) = result else { panic!("{result:?}") };
        assert!(text.starts_with(&format!("{}: TLS handshake: ", server.authority())), "{text}");
    }
}

#[tokio::test]
async fn large_messages_and_many_requests() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("127.0.0.1", false);
    let server = Server::new().await;
    let mut settings = secure_settings(&server, authority.tls());
    settings.cookies = true;
    let connector = connector(settings);
    let client = HttpClient::new(connector.clone());
    let large = "x".repeat(300_000);
    both(
        async {
            assert_eq!(get(&client, "/").await.unwrap().body, large);
            let body = bytes::Bytes::from(large.clone());
            client.request(Method::POST, "/", HeaderMap::new(), body).await.unwrap();
            let (mut websocket, _) = connect_websocket(&connector, "/", None).await.unwrap();
            websocket.send(Message::text(large.as_str())).await.unwrap();
            assert_eq!(websocket.next().await.unwrap().unwrap(), Message::text(large.as_str()));
        },
        async {
            let mut peer = Peer(acceptor.accept(server.accept().await.0).await.unwrap());
            peer.head().await;
            peer.send("HTTP/1.1 200 OK\r\nset-cookie: a=1; Secure\r\ncontent-length: 300000\r\n\r\n").await;
            peer.send(&large).await;
            let head = peer.head().await;
            assert_eq!(header(&head, "cookie"), Some("a=1"));
            assert_eq!(peer.read(300_000).await, large);
            peer.answer("").await;
            let stream = acceptor.accept(server.accept().await.0).await.unwrap();
            let mut websocket = async_tungstenite::accept_async(Io(TokioIo::new(stream))).await.unwrap();
            let message = websocket.next().await.unwrap().unwrap();
            websocket.send(message).await.unwrap();
        },
    )
    .await;
}

#[test]
fn settings_that_do_not_do() {
    let no_pem = |result: Result<Tls, TlsError>| matches!(result, Err(TlsError::Pem(_)));
    let authority = Authority::new();
    let key = KeyPair::generate().unwrap().serialize_pem();
    assert!(no_pem(Tls::new().root_certificates_pem(b"")));
    assert!(no_pem(Tls::new().root_certificates_pem(b"not PEM")));
    assert!(no_pem(Tls::new().root_certificates_pem(key.as_bytes())));
    let truncated = authority.pem();
    assert!(no_pem(Tls::new().root_certificates_pem(&truncated.as_bytes()[..200])));
    let not_a_certificate = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let result = Tls::new().root_certificates_pem(not_a_certificate);
    assert!(matches!(result, Err(TlsError::Certificate(_))), "{result:?}");

    assert!(no_pem(Tls::new().client_certificate_pem(b"", key.as_bytes())));
    assert!(no_pem(Tls::new().client_certificate_pem(authority.pem().as_bytes(), b"")));
    assert!(no_pem(
        Tls::new().client_certificate_pem(authority.pem().as_bytes(), authority.pem().as_bytes())
    ));

    let nobody = Tls::new().without_default_roots();
    assert_eq!(nobody.build().err(), Some(TlsError::NoRoots));
    assert_eq!(nobody.clone().danger_accept_invalid_certificates().build().err(), None);
    assert_eq!(Tls::new().server_name("a b").build().err(), Some(TlsError::ServerName("a b".to_owned())));
    // They are looked at when the client is built, not when it connects.
    let mut settings = settings("https://localhost");
    settings.tls = Some(nobody);
    assert!(matches!(Connector::new(TestRuntime, settings), Err(NetError::Tls(_))));
    let mut settings = super::settings("http://localhost");
    settings.tls = Some(Tls::new().without_default_roots());
    assert!(Connector::new(TestRuntime, settings).is_ok(), "nobody asks for TLS");
}

#[cfg(feature = "native-roots")]
#[test]
fn roots_of_the_platform() {
    match Tls::new().without_default_roots().platform_roots().build() {
        Ok(_) | Err(TlsError::Platform(_)) => {}
        Err(error) => panic!("{error}"),
    }
}
