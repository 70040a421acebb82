//! Where a client's `auth` comes from.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt as _;
use serde::Serialize;
use sio_proto::Str;
use sio_proto::socket::AuthSource;

use crate::error::Error;
use crate::runtime::BoxFuture;

/// What a client shows when it joins a namespace.
#[derive(Clone, Default)]
pub(crate) enum Auth {
    #[default]
    None,
    Value(Result<Str, String>),
    Ask(Arc<Ask>),
}

type Ask = dyn Fn() -> BoxFuture<Result<Str, String>> + Send + Sync;

impl fmt::Debug for Auth {
    /// Without the value, which is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Value(_) => "Value",
            Self::Ask(_) => "Ask",
        })
    }
}

impl Auth {
    pub(crate) fn value(value: &(impl Serialize + ?Sized)) -> Self {
        Self::Value(object(value))
    }

    pub(crate) fn ask<F, Fut, T>(ask: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, Error>> + Send + 'static,
        T: Serialize,
    {
        Self::Ask(Arc::new(move || {
            let answer = ask();
            Box::pin(async move {
                let value = answer.await.map_err(|error| error.to_string())?;
                object(&value)
            })
        }))
    }

    pub(crate) fn source(&self) -> Result<AuthSource, String> {
        Ok(match self {
            Self::None => AuthSource::None,
            Self::Value(value) => AuthSource::Value(value.clone()?),
            Self::Ask(_) => AuthSource::Ask,
        })
    }

    /// Asks. A panic is an answer too.
    pub(crate) fn answer(&self) -> BoxFuture<Result<Option<Str>, Str>> {
        let Self::Ask(ask) = self else { return Box::pin(async { Ok(None) }) };
        let ask = ask.clone();
        Box::pin(async move {
            let answer = std::panic::AssertUnwindSafe(async move { ask().await });
            match answer.catch_unwind().await {
                Ok(answer) => answer.map(Some).map_err(Str::from),
                Err(_) => Err(Str::from_static("the function that gives it panicked")),
            }
        })
    }
}

/// A value as the JSON object that it must be.
fn object(value: &(impl Serialize + ?Sized)) -> Result<Str, String> {
    let text = serde_json::to_string(value).map_err(|error| error.to_string())?;
    match text.as_bytes().first() {
        Some(b'{') => Ok(text.into()),
        // What it is, but not what it says: it may be a secret.
        first => Err(format!(
            "must be an object, not {}",
            match first {
                Some(b'"') => "a string",
                Some(b'[') => "a list",
                Some(b't' | b'f') => "a boolean",
                Some(b'n') => "nothing",
                _ => "a number",
            }
        )),
    }
}
