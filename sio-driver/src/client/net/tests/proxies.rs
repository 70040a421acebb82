use super::super::proxy::{Proxy, ProxyError};
use super::*;

const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

/// A client whose proxy is `proxy`.
fn client_of(target: &str, scheme: &str, proxy: &Server) -> HttpClient<TestRuntime> {
    let mut settings = settings(target);
    settings.proxy = Some(Proxy::parse(&format!("{scheme}{}", proxy.authority())).unwrap());
    HttpClient::new(connector(settings))
}

/// Carries bytes to and fro, until both sides have ended.
async fn carry(mut client: impl AsyncRead + AsyncWrite + Unpin, target: &Server) {
    let mut onward = TcpStream::connect(("127.0.0.1", target.port)).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut client, &mut onward).await;
}

#[tokio::test]
async fn through_a_tunnel() {
    let (proxy, server) = (Server::new().await, Server::new().await);
    let client = client_of(&format!("http://{}", server.authority()), "http://", &proxy);
    let ((), head) = within(async {
        tokio::join!(
            async {
                let serve = async {
                    let mut peer = server.accept().await;
                    for _ in 0..2 {
                        let head = peer.head().await;
                        assert!(head.starts_with("GET /x HTTP/1.1\r\n"), "{head}");
                        assert_eq!(header(&head, "proxy-authorization"), None);
                        peer.answer("y").await;
                    }
                };
                let ask = async {
                    assert_eq!(get(&client, "/x").await.unwrap().body, "y");
                    assert_eq!(get(&client, "/x").await.unwrap().body, "y");
                };
                tokio::join!(serve, ask);
                drop(client);
            },
            async {
                let mut peer = proxy.accept().await;
                let head = peer.head().await;
                peer.send(ESTABLISHED).await;
                carry(peer.0, &server).await;
                head
            }
        )
    })
    .await;
    let target = server.authority();
    assert_eq!(head, format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n"));
}

#[tokio::test]
async fn with_a_password() {
    let (proxy, server) = (Server::new().await, Server::new().await);
    let client = client_of(&format!("http://{}", server.authority()), "http://us%65r:p%40ss@", &proxy);
    let (answer, ()) = both(get(&client, "/"), async {
        let mut peer = proxy.accept().await;
        let head = peer.head().await;
        // user:p@ss
        assert_eq!(header(&head, "proxy-authorization"), Some("Basic dXNlcjpwQHNz"));
        peer.send(ESTABLISHED).await;
        let head = peer.head().await;
        assert_eq!(header(&head, "proxy-authorization"), None, "not for the server");
        peer.answer("x").await;
    })
    .await;
    assert_eq!(answer.unwrap().body, "x");
}

/// The proxy resolves names, and addresses of IPv6 have their brackets there.
#[tokio::test]
async fn names_are_left_to_the_proxy() {
    for (url, target) in [("http://name.invalid", "name.invalid:80"), ("ws://[::1]:3000/x", "[::1]:3000")] {
        let proxy = Server::new().await;
        let client = client_of(url, "", &proxy);
        let (answer, ()) = both(get(&client, "/"), async {
            let mut peer = proxy.accept().await;
            assert!(peer.head().await.starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")));
            peer.send(ESTABLISHED).await;
            peer.head().await;
            peer.answer("x").await;
        })
        .await;
        assert_eq!(answer.unwrap().body, "x");
    }
}

/// What comes of what the proxy says, after which it hangs up.
async fn failure(says: &str) -> ProxyError {
    let proxy = Server::new().await;
    let client = client_of("http://target.test", "http://", &proxy);
    let (result, ()) = both(get(&client, "/"), async {
        let mut peer = proxy.accept().await;
        peer.head().await;
        // The client may have gone before all is sent.
        let _ = peer.0.write_all(says.as_bytes()).await;
    })
    .await;
    let Err(NetError::Proxy(error)) = result else { panic!("{says}: {result:?}") };
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("proxy {} does not connect to target.test:80: ", proxy.authority())),
        "{text}"
    );
    error
}

#[tokio::test]
async fn refused() {
    for status in [407, 403, 502, 302] {
        let error = failure(&format!("HTTP/1.1 {status} No\r\ncontent-length: 1000\r\n\r\n<html>")).await;
        assert!(matches!(error, ProxyError::Refused { status: is, .. } if is == status), "{error}");
        assert_eq!(error.to_string().contains("wants a user name"), status == 407);
    }
}

#[tokio::test]
async fn broken() {
    let headers = format!("HTTP/1.1 200 OK\r\n{}", "x: y\r\n".repeat(20_000));
    for says in [
        "",
        "HTTP/1.1 200",
        "SSH-2.0-OpenSSH_9.9\r\n",
        &headers,
        &format!("{ESTABLISHED}220 mail.test ESMTP"),
    ] {
        let error = failure(says).await;
        assert!(matches!(error, ProxyError::Failed { .. }), "{says:.40}: {error}");
    }
}

#[tokio::test]
async fn not_there() {
    let proxy = Server::new().await;
    let client = client_of("http://target.test", "http://", &proxy);
    let authority = proxy.authority();
    drop(proxy);
    let result = within(get(&client, "/")).await;
    let Err(NetError::Proxy(error @ ProxyError::Unreachable { .. })) = result else { panic!("{result:?}") };
    assert!(error.to_string().starts_with(&format!("proxy {authority}: cannot connect: ")), "{error}");
}

#[tokio::test]
async fn dropped_while_the_proxy_thinks() {
    let proxy = Server::new().await;
    let client = client_of("http://target.test", "http://", &proxy);
    let peer = within(async {
        let mut request = Box::pin(get(&client, "/"));
        tokio::select! {
            _ = &mut request => panic!("there was no answer"),
            peer = async {
                let mut peer = proxy.accept().await;
                peer.head().await;
                peer
            } => peer,
        }
    })
    .await;
    within(peer.gone()).await;
}

#[cfg(feature = "ring")]
mod over_tls {
    use super::super::tls::Authority;
    use super::*;

    #[tokio::test]
    async fn to_the_server_and_to_the_proxy() {
        for (scheme, proxy_scheme) in [("https", "http"), ("http", "https"), ("https", "https")] {
            let authority = Authority::new();
            let (proxy, server) = (Server::new().await, Server::new().await);
            let mut settings = settings(&format!("{scheme}://{}", server.authority()));
            // The name that was given is the server's, not the proxy's.
            settings.tls = Some(authority.tls().server_name("server.test"));
            settings.proxy = Some(Proxy::parse(&format!("{proxy_scheme}://{}", proxy.authority())).unwrap());
            let client = HttpClient::new(connector(settings));
            let (to_server, to_proxy) =
                (authority.acceptor("server.test", false), authority.acceptor("127.0.0.1", false));
            let tunnel = async {
                let peer = proxy.accept().await;
                if proxy_scheme == "https" {
                    let mut peer = Peer(to_proxy.accept(peer.0).await.unwrap());
                    peer.head().await;
                    peer.send(ESTABLISHED).await;
                    carry(peer.0, &server).await;
                } else {
                    let mut peer = peer;
                    peer.head().await;
                    peer.send(ESTABLISHED).await;
                    carry(peer.0, &server).await;
                }
            };
            let serve = async {
                let peer = server.accept().await;
                if scheme == "https" {
                    let mut peer = Peer(to_server.accept(peer.0).await.unwrap());
                    peer.head().await;
                    peer.answer("secret").await;
                } else {
                    let mut peer = peer;
                    peer.head().await;
                    peer.answer("secret").await;
                }
            };
            let ask = async {
                let answer = get(&client, "/").await;
                drop(client);
                answer
            };
            let (answer, ((), ())) = both(ask, async { tokio::join!(tunnel, serve) }).await;
            assert_eq!(answer.unwrap().body, "secret", "{scheme} through {proxy_scheme}");
        }
    }

    #[tokio::test]
    async fn a_proxy_that_is_not_trusted() {
        let proxy = Server::new().await;
        let client = client_of("http://target.test", "https://", &proxy);
        let acceptor = Authority::new().acceptor("127.0.0.1", false);
        let (result, _) =
            both(get(&client, "/"), async { acceptor.accept(proxy.accept().await.0).await.map(drop) }).await;
        let Err(NetError::Proxy(error @ ProxyError::Unreachable { .. })) = result else {
            panic!("{result:?}")
        };
        assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    }
}

#[cfg(not(feature = "tls"))]
#[test]
fn tls_is_not_there() {
    for (target, proxy) in [("https://localhost", None), ("http://localhost", Some("https://proxy"))] {
        let mut settings = settings(target);
        settings.proxy = proxy.map(|url| Proxy::parse(url).unwrap());
        let Err(NetError::Tls(text)) = Connector::new(TestRuntime, settings) else { panic!() };
        assert!(text.contains("enable the feature `tls`"), "{text}");
    }
}
