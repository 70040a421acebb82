//! The client.

#[allow(dead_code, reason = "the client comes next")]
pub(crate) mod net;

#[cfg(feature = "tls")]
pub use net::tls::{Tls, TlsError};
pub use net::url::UrlError;
