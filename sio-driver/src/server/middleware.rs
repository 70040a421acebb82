//! Middlewares: handlers that decide who is let in.

use std::future::{Future, ready};
use std::sync::Arc;

use sio_proto::socket::ConnectError;

use crate::error::{Error, Rejection};
use crate::handlers::{Context, FromContext, Peer as _, finish, for_each_arity, start};
use crate::runtime::BoxFuture;
use crate::server::Socket;

/// An async function or closure that can be a middleware: parameters as for [`Handler`](crate::Handler), result `Result<(), ConnectError>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a middleware",
    label = "not an async function of extractors that returns `Result<(), ConnectError>`"
)]
pub trait Middleware<M>: Send + Sync + 'static {
    /// Runs the middleware.
    #[doc(hidden)]
    fn call(&self, context: Context) -> BoxFuture<Result<(), ConnectError>>;
}

macro_rules! middlewares {
    ($($arg:ident),*) => {
        impl<F, Fut, $($arg,)*> Middleware<($($arg,)*)> for F
        where
            F: Fn($($arg),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<(), ConnectError>> + Send + 'static,
            $($arg: FromContext + 'static,)*
        {
            #[allow(non_snake_case, unused_mut, unused_variables)]
            fn call(&self, mut context: Context) -> BoxFuture<Result<(), ConnectError>> {
                let future = start(|| {
                    $(let $arg = $arg::from_context(&mut context)?;)*
                    Ok(self($($arg),*))
                });
                let socket = context.socket;
                match future {
                    Ok(future) => Box::pin(decide(future, socket)),
                    Err(error) => Box::pin(ready(Err(refusal(&socket, &error)))),
                }
            }
        }
    };
}

for_each_arity!(middlewares);

async fn decide<Fut>(future: Fut, socket: Socket) -> Result<(), ConnectError>
where
    Fut: Future<Output = Result<(), ConnectError>>,
{
    finish(future).await.unwrap_or_else(|error| Err(refusal(&socket, &error)))
}

/// What a client is told when a middleware could not decide: what it sent itself may be named, our own faults may not.
fn refusal(socket: &Socket, error: &Error) -> ConnectError {
    socket.report(error);
    match error.downcast_ref() {
        Some(rejection @ Rejection::Auth(_)) => ConnectError::new(rejection.to_string()),
        _ => ConnectError::new("Internal server error"),
    }
}

/// A middleware without its type.
#[derive(Clone)]
pub(crate) struct ErasedMiddleware(Arc<dyn Fn(Context) -> BoxFuture<Result<(), ConnectError>> + Send + Sync>);

impl ErasedMiddleware {
    pub(crate) fn new<M>(middleware: impl Middleware<M>) -> Self {
        Self(Arc::new(move |context| middleware.call(context)))
    }

    pub(crate) fn call(&self, context: Context) -> BoxFuture<Result<(), ConnectError>> {
        (self.0)(context)
    }
}
