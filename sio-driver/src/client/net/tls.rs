//! TLS, which is rustls.

mod insecure;

use std::fmt;
use std::sync::Arc;

use futures_rustls::TlsConnector;
use futures_rustls::pki_types::pem::PemObject as _;
use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use futures_rustls::rustls::crypto::CryptoProvider;
use futures_rustls::rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

use self::insecure::TrustAll;
use super::error::{NetError, describe};
use super::stream::BoxStream;
use crate::io::Io;

/// How the client speaks TLS: whom it trusts, and who it says it is.
///
/// ```
/// use sio_driver::Tls;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let certificate = rcgen::generate_simple_self_signed(["sio.test".to_owned()])?.cert.pem();
/// # let authority = certificate.as_bytes();
/// // Only servers whose certificate our own authority has issued.
/// let tls = Tls::new().without_default_roots().root_certificates_pem(authority)?;
/// # Ok(())
/// # }
/// ```
///
/// A server is trusted if its certificate leads to one of the roots, has not expired, and is for the host of the URL. The default roots
/// are Mozilla's (feature `webpki-roots`, on by default) or else, without that feature, the platform's (feature `native-roots`).
/// There is no look at revocation lists.
///
/// The cryptography is that of the provider which the application has installed for its process (`CryptoProvider::install_default` of
/// rustls), or else `aws-lc-rs` or `ring`, whose features are named after them; `ring` is on by default.
#[derive(Clone)]
pub struct Tls {
    /// Used as it is, instead of all other settings but the name.
    config: Option<Arc<ClientConfig>>,
    default_roots: bool,
    #[cfg(feature = "native-roots")]
    platform_roots: bool,
    roots: Vec<CertificateDer<'static>>,
    identity: Option<(Vec<CertificateDer<'static>>, Arc<PrivateKeyDer<'static>>)>,
    accept_invalid: bool,
    server_name: Option<String>,
}

/// Why TLS cannot be set up so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// Not PEM, or nothing in it of what is needed. A private key must not be encrypted.
    #[error("no usable PEM: {0}")]
    Pem(String),
    /// A certificate that is none, or that does not fit its key.
    #[error("bad certificate: {0}")]
    Certificate(String),
    /// No server could be trusted: a build without default roots, and none were given.
    #[error("there are no root certificates: enable `webpki-roots` or `native-roots`, or give some")]
    NoRoots,
    /// The platform's roots cannot be read.
    #[error("the platform's root certificates cannot be read: {0}")]
    Platform(String),
    /// A build without `ring` and `aws-lc-rs`, and no provider is installed for the process.
    #[error("there is no cryptography: enable `ring` or `aws-lc-rs`, or install a provider")]
    NoProvider,
    /// What the provider offers does not do for TLS 1.2 or 1.3.
    #[error("the cryptography does not do: {0}")]
    Provider(String),
    /// Neither a host's name nor an address.
    #[error("`{0}` is not a server's name")]
    ServerName(String),
}

impl Default for Tls {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing of the key.
        f.debug_struct("Tls")
            .field("config", &self.config.is_some())
            .field("default_roots", &self.default_roots)
            .field("roots", &self.roots.len())
            .field("identity", &self.identity.is_some())
            .field("accept_invalid", &self.accept_invalid)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// The default roots are trusted, and the client shows no certificate.
    #[must_use]
    pub fn new() -> Self {
        Self {
            config: None,
            default_roots: true,
            #[cfg(feature = "native-roots")]
            platform_roots: false,
            roots: Vec::new(),
            identity: None,
            accept_invalid: false,
            server_name: None,
        }
    }

    /// Exactly what a configuration of rustls says, except that the protocol is always `http/1.1` (ALPN). Of the settings here only
    /// [`server_name`](Self::server_name) has a meaning then.
    #[must_use]
    pub fn from_config(config: Arc<ClientConfig>) -> Self {
        Self { config: Some(config), ..Self::new() }
    }

    /// Only roots given here are trusted.
    #[must_use]
    pub fn without_default_roots(mut self) -> Self {
        self.default_roots = false;
        self
    }

    /// The platform's roots are trusted too. They are read when the client is built.
    #[cfg(feature = "native-roots")]
    #[must_use]
    pub fn platform_roots(mut self) -> Self {
        self.platform_roots = true;
        self
    }

    /// More certificates to trust, PEM, any number of them (Node's `ca`; but there they replace the default roots, for which see
    /// [`without_default_roots`](Self::without_default_roots)).
    ///
    /// # Errors
    /// If there is no certificate in `pem`, or one that cannot be read.
    pub fn root_certificates_pem(mut self, pem: &[u8]) -> Result<Self, TlsError> {
        let certificates = certificates(pem)?;
        let mut store = RootCertStore::empty();
        for certificate in &certificates {
            store.add(certificate.clone()).map_err(|error| TlsError::Certificate(error.to_string()))?;
        }
        self.roots.extend(certificates);
        Ok(self)
    }

    /// What the client shows if it is asked who it is: its certificate, followed by those that lead to the root, and its key (Node's
    /// `cert` and `key`). An `https` proxy may ask too.
    ///
    /// # Errors
    /// If one of them is not there or cannot be read. That they fit together is found out when the client is built.
    pub fn client_certificate_pem(mut self, chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Pem(error.to_string()))?;
        self.identity = Some((chain, Arc::new(key)));
        Ok(self)
    }

    /// Takes any certificate: expired, of another host, of nobody's (Node's `rejectUnauthorized: false`). Whoever sits on the way can
    /// then read and change everything. For tests.
    #[must_use]
    pub fn danger_accept_invalid_certificates(mut self) -> Self {
        self.accept_invalid = true;
        self
    }

    /// The name that the server's certificate must have, and that it is told (SNI), instead of the host of the URL. It does not concern
    /// a proxy.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    pub(crate) fn build(&self) -> Result<TlsLayer, TlsError> {
        let mut config = match &self.config {
            Some(config) => ClientConfig::clone(config),
            None => self.config()?,
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let server_name = self.server_name.as_deref().map(parse_name).transpose()?;
        Ok(TlsLayer { connector: TlsConnector::from(Arc::new(config)), server_name })
    }

    fn config(&self) -> Result<ClientConfig, TlsError> {
        let provider = provider().ok_or(TlsError::NoProvider)?;
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Provider(error.to_string()))?;
        let builder = if self.accept_invalid {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(TrustAll(provider)))
        } else {
            builder.with_root_certificates(self.root_store()?)
        };
        match &self.identity {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|error| TlsError::Certificate(error.to_string())),
            None => Ok(builder.with_no_client_auth()),
        }
    }

    fn root_store(&self) -> Result<RootCertStore, TlsError> {
        let mut store = RootCertStore::empty();
        #[cfg(feature = "webpki-roots")]
        if self.default_roots {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        #[cfg(feature = "native-roots")]
        if self.platform_roots || (self.default_roots && cfg!(not(feature = "webpki-roots"))) {
            let found = rustls_native_certs::load_native_certs();
            // Some cannot be read on most machines, which is no harm.
            let (added, _) = store.add_parsable_certificates(found.certs);
            if added == 0 {
                let reason =
                    found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
                return Err(TlsError::Platform(reason));
            }
        }
        // They were read before, so all of them can be.
        store.add_parsable_certificates(self.roots.iter().cloned());
        if store.is_empty() {
            return Err(TlsError::NoRoots);
        }
        Ok(store)
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError::Pem("there is no certificate".to_owned())),
        Ok(found) => Ok(found),
        Err(error) => Err(TlsError::Pem(error.to_string())),
    }
}

fn provider() -> Option<Arc<CryptoProvider>> {
    if let Some(provider) = CryptoProvider::get_default() {
        return Some(provider.clone());
    }
    #[cfg(feature = "aws-lc-rs")]
    return Some(Arc::new(futures_rustls::rustls::crypto::aws_lc_rs::default_provider()));
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    return Some(Arc::new(futures_rustls::rustls::crypto::ring::default_provider()));
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    None
}

fn parse_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))
}

impl From<TlsError> for NetError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error.to_string())
    }
}

/// What makes a stream a TLS stream.
pub(crate) struct TlsLayer {
    connector: TlsConnector,
    server_name: Option<ServerName<'static>>,
}

impl TlsLayer {
    /// TLS with the server on `host`. The error says what is wrong.
    pub(crate) async fn connect(&self, stream: BoxStream, host: &str) -> Result<BoxStream, String> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => parse_name(host).map_err(|error| error.to_string())?,
        };
        self.handshake(stream, name).await
    }

    /// TLS with a proxy, which has its own name.
    pub(crate) async fn connect_to_proxy(&self, stream: BoxStream, host: &str) -> Result<BoxStream, String> {
        let name = parse_name(host).map_err(|error| error.to_string())?;
        self.handshake(stream, name).await
    }

    async fn handshake(&self, stream: BoxStream, name: ServerName<'static>) -> Result<BoxStream, String> {
        match self.connector.connect(name, Io(stream)).await {
            Ok(stream) => Ok(Box::new(Io(stream))),
            Err(error) => Err(format!("TLS handshake: {}", describe(&error).0)),
        }
    }
}
