//! Certificates that nobody else trusts.

use std::sync::Arc;

use futures_rustls::rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use serde::Serialize;

/// A private root.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The certificate, in PEM.
    pub cert: String,
    /// Its key, in PEM (PKCS 8).
    pub key: String,
}

/// TLS on the server's side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerTls {
    /// Who the server is.
    #[serde(flatten)]
    pub identity: Identity,
    /// If set, clients must have a certificate below this root, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_root: Option<String>,
}

impl Authority {
    /// A new root.
    ///
    /// # Panics
    /// If the certificate cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "a root for tests");
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a root certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// The root's certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A server of these host names and addresses.
    ///
    /// # Panics
    /// If the certificate cannot be made.
    #[must_use]
    pub fn server(&self, names: &[&str]) -> Identity {
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client.
    ///
    /// # Panics
    /// If the certificate cannot be made.
    #[must_use]
    pub fn client(&self, name: &str) -> Identity {
        self.issue(&[name], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, names: &[&str], usage: ExtendedKeyUsagePurpose) -> Identity {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("names for a certificate");
        params.extended_key_usages.push(usage);
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Identity { cert, key: key.serialize_pem() }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl ServerTls {
    /// What our server accepts connections with.
    ///
    /// # Panics
    /// If rustls does not take the certificates.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("protocol versions");
        let config = match &self.client_root {
            None => config.with_no_client_auth(),
            Some(root) => {
                let mut roots = RootCertStore::empty();
                roots.add(certificate(root)).expect("a root for clients");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                config.with_client_cert_verifier(verifier.expect("a verifier of clients"))
            }
        };
        let key = PrivateKeyDer::from_pem_slice(self.identity.key.as_bytes()).expect("a key in PEM");
        let config = config.with_single_cert(vec![certificate(&self.identity.cert)], key);
        Arc::new(config.expect("a certificate with its key"))
    }
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate in PEM")
}
