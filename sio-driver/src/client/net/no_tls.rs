//! In place of TLS, in a build without it.

use super::stream::BoxStream;

/// There is none.
pub(crate) enum TlsLayer {}

#[expect(clippy::unused_async, reason = "as its counterpart")]
impl TlsLayer {
    pub(crate) async fn connect(&self, _: BoxStream, _: &str) -> Result<BoxStream, String> {
        match *self {}
    }

    pub(crate) async fn connect_to_proxy(&self, _: BoxStream, _: &str) -> Result<BoxStream, String> {
        match *self {}
    }
}
