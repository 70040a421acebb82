//! Functions of the application that requests pass.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, Response};
use sio_proto::SidPrefix;
use sio_proto::engine::{BadRequest, Refusal};

use super::{Patience, RequestHead};
use crate::error::Error;
use crate::handlers::{catch, finish};
use crate::runtime::BoxFuture;
use crate::server::Body;

/// Any error.
type BoxError = Box<dyn StdError + Send + Sync>;

type Decide<E, T = ()> = Box<dyn Fn(Arc<RequestHead>) -> BoxFuture<Result<T, E>> + Send + Sync>;
type Amend = Box<dyn Fn(&mut HeaderMap, &RequestHead) + Send + Sync>;
type Tell = Box<dyn Fn(&RefusedRequest<'_>) + Send + Sync>;

#[derive(Default)]
pub(crate) struct Hooks {
    pub(super) request: Vec<Decide<Response<Body>>>,
    pub(super) allow: Option<Decide<String>>,
    pub(super) generate_id: Option<Decide<BoxError, String>>,
    pub(super) initial_headers: Vec<Amend>,
    pub(super) headers: Vec<Amend>,
    pub(super) connection_error: Vec<Tell>,
}

/// How a hook turned a request away.
pub(crate) enum Turned {
    /// With an answer of its own.
    Answered(Box<Response<Body>>),
    Refused(Refusal),
}

impl Hooks {
    /// Shows a request to those who see all of them.
    pub(crate) async fn pass(
        &self,
        request: &Arc<RequestHead>,
        patience: &mut Patience<'_>,
    ) -> Result<(), Turned> {
        for hook in &self.request {
            match run(hook, request, patience).await {
                Some(Ok(())) => {}
                Some(Err(answer)) => return Err(Turned::Answered(Box::new(answer))),
                None => return Err(Turned::Refused(Refusal::BadRequest(BadRequest::MiddlewareFailure))),
            }
        }
        Ok(())
    }

    /// Whether the client may open a session.
    pub(crate) async fn allow(
        &self,
        request: &Arc<RequestHead>,
        patience: &mut Patience<'_>,
    ) -> Result<(), Refusal> {
        let Some(hook) = &self.allow else { return Ok(()) };
        // What fails does not let anybody in.
        run(hook, request, patience).await.unwrap_or_else(|| Err(String::new())).map_err(Refusal::Forbidden)
    }

    /// How the id of a new session begins.
    pub(crate) async fn sid_prefix(
        &self,
        request: &Arc<RequestHead>,
        patience: &mut Patience<'_>,
    ) -> Result<SidPrefix, Refusal> {
        let Some(hook) = &self.generate_id else { return Ok(SidPrefix::default()) };
        let generated = match run(hook, request, patience).await {
            Some(generated) => generated.and_then(|text| Ok(text.parse()?)),
            None => Err("it panicked, or took too long".into()),
        };
        generated.map_err(|error| {
            // Not for the client to read.
            tracing::error!(%error, "generate_id failed");
            Refusal::BadRequest(BadRequest::IdGeneration)
        })
    }
}

/// `None` if the hook panics or takes too long: a fault of the application's that is not the client's to read.
async fn run<E, T>(
    hook: &Decide<E, T>,
    request: &Arc<RequestHead>,
    patience: &mut Patience<'_>,
) -> Option<Result<T, E>> {
    let result = match catch(|| hook(request.clone())) {
        Ok(future) => {
            patience.within(finish(future)).await.unwrap_or_else(|| Err(Error::new("it took too long")))
        }
        Err(error) => Err(error),
    };
    result.inspect_err(|error| tracing::error!(%error, "a hook for requests failed")).ok()
}

/// A request that was refused: what [`on_connection_error`](crate::ServerBuilder::on_connection_error) is told.
#[non_exhaustive]
pub struct RefusedRequest<'a> {
    /// The request.
    pub request: &'a RequestHead,
    pub(super) refusal: &'a Refusal,
    pub(super) after_handshake: bool,
}

impl RefusedRequest<'_> {
    /// The code in the answer, or what would be there if it were not [too late](Self::after_handshake): 0 to 5, as the protocol has them. `None` for what has no code there: a request out of turn, a body that is
    /// too large or too slow, a method that sessions do not have, a server that is closing or full.
    #[must_use]
    pub fn code(&self) -> Option<u8> {
        self.refusal.code()
    }

    /// What the client is told.
    #[must_use]
    pub fn message(&self) -> String {
        self.refusal.to_string()
    }

    /// Whether it is a WebSocket whose handshake had been answered with 101 when it was refused: the client sees it open and close at
    /// once. So it is if meanwhile the session has ended (code 1) or the server has begun to close, and if the session has another
    /// WebSocket already (no code); the session goes on then.
    #[must_use]
    pub fn after_handshake(&self) -> bool {
        self.after_handshake
    }

    /// What exactly is wrong, where the code does not tell: `INVALID_ORIGIN`, `TRANSPORT_MISMATCH`, `TRANSPORT_HANDSHAKE_ERROR`,
    /// `PROTOCOL_MISMATCH`, `MIDDLEWARE_FAILURE`.
    #[must_use]
    pub fn context(&self) -> Option<&'static str> {
        self.refusal.context()
    }
}

impl fmt::Debug for RefusedRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusedRequest")
            .field("refusal", self.refusal)
            .field("after_handshake", &self.after_handshake)
            .finish_non_exhaustive()
    }
}
