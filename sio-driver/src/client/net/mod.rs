//! The network of the client: from a URL to a stream, an answer to a request, or a WebSocket. No rule of the protocols is here.
//!
//! Nothing here knows a runtime but through [`Runtime`](crate::Runtime), spawns a task or sets a timer: whoever awaits a future does
//! all its work, and dropping it ends what it began.

pub(crate) mod connection;
pub(crate) mod cookies;
pub(crate) mod dial;
pub(crate) mod error;
pub(crate) mod http;
pub(crate) mod proxy;
pub(crate) mod stream;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
pub(crate) mod tls;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod url;
pub(crate) mod websocket;

#[cfg(test)]
mod tests;
