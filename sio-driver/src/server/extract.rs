//! Extractors of a server's handlers only.

use serde::de::DeserializeOwned;

use crate::error::Rejection;
use crate::handlers::{Context, FromContext};
use crate::server::{Namespace, Server, Socket};

impl FromContext for Socket {
    fn from_context(context: &mut Context) -> Result<Self, Rejection> {
        Ok(context.socket.clone())
    }
}

impl FromContext for Namespace {
    fn from_context(context: &mut Context) -> Result<Self, Rejection> {
        Ok(context.socket.namespace().clone())
    }
}

impl FromContext for Server {
    fn from_context(context: &mut Context) -> Result<Self, Rejection> {
        Ok(Self::from_shared(context.socket.0.server.clone()))
    }
}

/// The `auth` that the client sent with its wish to connect, as `T`. A client that sent none has an empty object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth<T>(pub T);

impl<T: DeserializeOwned> FromContext for Auth<T> {
    fn from_context(context: &mut Context) -> Result<Self, Rejection> {
        context.socket.auth().map(Self).map_err(|error| Rejection::Auth(error.to_string()))
    }
}
