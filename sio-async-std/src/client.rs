//! The client on async-std.

use std::ops::Deref;

use sio_driver::{ClientBuilder, ConnectionError};

use crate::AsyncStd;

/// A Socket.IO client on async-std. Cloning gives another handle; everything that is not about async-std is in [`sio_driver::Client`], to
/// which this derefs, and in [`ClientSocket`](sio_driver::ClientSocket), to which that does.
#[derive(Clone, Debug)]
pub struct Client(sio_driver::Client);

impl Client {
    /// Connects to a server, with the reference's settings: see [`ClientBuilder::new`] for the URL.
    ///
    /// # Errors
    /// The first failure. For a client that goes on trying, take [`builder`](Self::builder) and [`build`](ClientBuilder::build).
    pub async fn connect(url: impl Into<String>) -> Result<Self, ConnectionError> {
        Self::builder(url).connect().await
    }

    /// Settings of a client, with the reference's defaults.
    #[must_use]
    pub fn builder(url: impl Into<String>) -> ClientBuilder<Self> {
        ClientBuilder::new(AsyncStd::default(), url)
    }
}

impl Deref for Client {
    type Target = sio_driver::Client;

    fn deref(&self) -> &sio_driver::Client {
        &self.0
    }
}

impl From<sio_driver::Client> for Client {
    fn from(client: sio_driver::Client) -> Self {
        Self(client)
    }
}
