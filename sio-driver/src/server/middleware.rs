//! Middlewares: handlers that decide who is let in, and which events are handled.

use std::future::{Future, ready};
use std::sync::Arc;

use sio_proto::socket::ConnectError;

use crate::error::{Error, Rejection};
use crate::handlers::{Context, FromContext, Peer as _, finish, for_each_arity, start};
use crate::runtime::BoxFuture;
use crate::server::Socket;

/// An async function or closure that can be a middleware: parameters as for [`Handler`](crate::Handler), result `Result<(), E>`.
///
/// `E` is [`ConnectError`] for those of a namespace ([`Namespace::use_`](crate::Namespace::use_)), and [`Error`] for those of
/// events ([`Socket::use_`], [`Namespace::use_event`](crate::Namespace::use_event)).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a middleware",
    label = "not an async function of extractors that returns `Result<(), {E}>`"
)]
pub trait Middleware<M, E = ConnectError>: Send + Sync + 'static {
    /// Runs the middleware. Gives back the right to acknowledge the event, unless it took it.
    #[doc(hidden)]
    fn call(&self, context: Context) -> (BoxFuture<Result<(), E>>, Option<u64>);
}

/// What a middleware says no with.
#[doc(hidden)]
pub trait Veto: Sized + Send + 'static {
    /// The middleware itself failed, before `event` could be handled.
    fn failed(error: Error, socket: &Socket, event: Arc<str>) -> Self;
}

impl Veto for ConnectError {
    /// What a client is told: what it sent itself may be named, our own faults may not.
    fn failed(error: Error, socket: &Socket, event: Arc<str>) -> Self {
        let error = error.during(event);
        let _ = socket.report(&error, None);
        match error.downcast_ref() {
            Some(rejection @ Rejection::Auth(_)) => Self::new(rejection.to_string()),
            _ => Self::new("Internal server error"),
        }
    }
}

impl Veto for Error {
    /// It is reported as one that it gives.
    fn failed(error: Error, _: &Socket, _: Arc<str>) -> Self {
        error
    }
}

macro_rules! middlewares {
    ($($arg:ident),*) => {
        impl<F, Fut, E, $($arg,)*> Middleware<($($arg,)*), E> for F
        where
            E: Veto,
            F: Fn($($arg),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<(), E>> + Send + 'static,
            $($arg: FromContext + 'static,)*
        {
            #[allow(non_snake_case, unused_mut, unused_variables)]
            fn call(&self, mut context: Context) -> (BoxFuture<Result<(), E>>, Option<u64>) {
                let future = start(|| {
                    $(let $arg = $arg::from_context(&mut context)?;)*
                    Ok(self($($arg),*))
                });
                let ack = context.take_ack();
                let Context { socket, event, .. } = context;
                let future: BoxFuture<_> = match future {
                    Ok(future) => Box::pin(decide(future, socket, event)),
                    Err(error) => Box::pin(ready(Err(E::failed(error, &socket, event)))),
                };
                (future, ack)
            }
        }
    };
}

for_each_arity!(middlewares);

async fn decide<Fut, E: Veto>(future: Fut, socket: Socket, event: Arc<str>) -> Result<(), E>
where
    Fut: Future<Output = Result<(), E>>,
{
    finish(future).await.unwrap_or_else(|error| Err(E::failed(error, &socket, event)))
}

/// A middleware without its type.
pub(crate) struct ErasedMiddleware<E = ConnectError>(Arc<Call<E>>);

type Call<E> = dyn Fn(Context) -> (BoxFuture<Result<(), E>>, Option<u64>) + Send + Sync;

impl<E: 'static> ErasedMiddleware<E> {
    pub(crate) fn new<M>(middleware: impl Middleware<M, E>) -> Self {
        Self(Arc::new(move |context| middleware.call(context)))
    }

    pub(crate) fn call(&self, context: Context) -> (BoxFuture<Result<(), E>>, Option<u64>) {
        (self.0)(context)
    }
}

impl<E> Clone for ErasedMiddleware<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
