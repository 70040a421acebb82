//! Servers, a proxy and certificates for the cases.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use futures_rustls::rustls::ServerConfig;
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use futures_util::future::select;
use futures_util::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use sio_driver::{Io, Runtime};

use crate::Adapter;

pub(crate) fn spawn<A: Adapter>(task: impl Future<Output = ()> + Send + 'static) {
    A::Runtime::default().spawn(task);
}

/// Serves on a port of its own, and gives the URL.
pub(crate) async fn serve<A: Adapter>(io: &A::Server) -> String {
    let (listener, address) = A::bind("127.0.0.1:0").await.expect("a port");
    let serving = A::serve(io.clone(), listener);
    spawn::<A>(async move { serving.await.expect("it accepts connections") });
    format!("http://{address}")
}

/// A private root, in PEM, and a server's configuration with a certificate below it.
pub(crate) fn certificates(names: &[&str]) -> (String, Arc<ServerConfig>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let root = params.self_signed(&key).expect("a root").pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let certificate = CertificateParams::new(names).expect("names").signed_by(&key, &issuer);
    let chain = vec![certificate.expect("a certificate").der().clone()];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key);
    (root, Arc::new(config.expect("a configuration")))
}

/// A proxy: its URL, and how many tunnels it has dug.
pub(crate) async fn proxy<A: Adapter>() -> (String, Arc<AtomicUsize>) {
    let (listener, address) = A::bind("127.0.0.1:0").await.expect("a port");
    let tunnels = Arc::new(AtomicUsize::new(0));
    let count = tunnels.clone();
    spawn::<A>(async move {
        let runtime = A::Runtime::default();
        while let Ok((stream, _)) = runtime.accept(&listener).await {
            let count = count.clone();
            runtime.spawn(async move {
                let mut near = Io(stream);
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    near.read_exact(&mut byte).await.expect("a request");
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).expect("a request");
                let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
                let (host, port) = target.and_then(|target| target.rsplit_once(':')).expect("CONNECT");
                let runtime = A::Runtime::default();
                let far = Io(runtime.connect(host, port.parse().expect("a port")).await.expect("the server"));
                near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("an answer");
                count.fetch_add(1, SeqCst);
                let ((near_read, mut near_write), (far_read, mut far_write)) = (near.split(), far.split());
                let (up, down) = (copy(near_read, &mut far_write), copy(far_read, &mut near_write));
                select(std::pin::pin!(up), std::pin::pin!(down)).await;
            });
        }
    });
    (format!("http://{address}"), tunnels)
}
