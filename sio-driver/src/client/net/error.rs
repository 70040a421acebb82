//! What can go wrong on the network.

use std::error::Error as StdError;
use std::fmt::Write as _;

use thiserror::Error;

use super::http::Answer;
use super::proxy::ProxyError;

/// Why there is no connection or no answer. The texts say with whom.
#[derive(Clone, Debug, Error)]
pub(crate) enum NetError {
    #[error("{0}")]
    Io(String),
    #[error("{0}")]
    Tls(String),
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// An answer's body has more bytes than we take.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge { limit: usize },
    /// The request for a WebSocket got an ordinary answer.
    #[error("status {} instead of a WebSocket", .0.status)]
    NoWebSocket(Box<Answer>),
}

impl NetError {
    /// What happened to whom, with all causes; TLS's own errors are found wherever they are.
    pub(crate) fn new(peer: &str, doing: &str, error: &(dyn StdError + 'static)) -> Self {
        let (text, is_tls) = describe(error);
        let text =
            if doing.is_empty() { format!("{peer}: {text}") } else { format!("{peer}: {doing}: {text}") };
        if is_tls { Self::Tls(text) } else { Self::Io(text) }
    }
}

/// An error and its causes, each said once, and whether TLS is to blame.
pub(crate) fn describe(error: &(dyn StdError + 'static)) -> (String, bool) {
    let mut text = error.to_string();
    let mut is_tls = is_of_tls(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some errors say what their cause says.
        if !text.contains(&more) {
            let _ = write!(text, ": {more}");
        }
        is_tls |= is_of_tls(error);
        cause = error.source();
    }
    (text, is_tls)
}

#[cfg(feature = "tls")]
fn is_of_tls(error: &(dyn StdError + 'static)) -> bool {
    // The error inside an io::Error is not its source.
    let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    inside.is_some_and(|inside| inside.is::<futures_rustls::rustls::Error>())
        || error.is::<futures_rustls::rustls::Error>()
}

#[cfg(not(feature = "tls"))]
fn is_of_tls(_: &(dyn StdError + 'static)) -> bool {
    false
}
