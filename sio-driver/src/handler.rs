//! Handlers: async functions whose parameters say what they need.

use std::future::{Future, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt as _;
use sio_proto::socket::{ConnectError, DisconnectReason, Payload};

use crate::error::{Error, Rejection};
use crate::extract::FromContext;
use crate::namespace::report;
use crate::reply::IntoReply;
use crate::runtime::BoxFuture;
use crate::socket::Socket;

/// What a handler was called for; extractors take their parts from it.
#[derive(Debug)]
pub struct Context {
    pub(crate) socket: Socket,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    Connect,
    Event { payload: Payload, ack: Option<u64> },
    Disconnect(DisconnectReason),
}

impl Context {
    /// The client.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Takes the right to acknowledge out of the context.
    pub(crate) fn take_ack(&mut self) -> Option<u64> {
        match &mut self.what {
            What::Event { ack, .. } => ack.take(),
            _ => None,
        }
    }
}

/// An async function or closure that can be a handler: up to eight parameters that are extractors
/// ([`FromContext`]), in any order, and a result that is [`IntoReply`].
///
/// A closure may not borrow what it captured in its future: clone into it, `move |m: Data<M>| { let db = db.clone(); async
/// move { … } }`, or use [`State`](crate::State).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "not an async function whose parameters are extractors and whose result is a reply",
    note = "parameters: `Socket`, `Data<T>`, `Payload`, `Ack`, `Auth<T>`, `State<T>`, `Event`, `DisconnectReason`",
    note = "result: `()`, a value such as a `String`, a number or `Data(value)`, or `Result<_, Error>` of these",
    note = "the future must be `Send`, and must not borrow what the closure captured"
)]
pub trait Handler<M>: Send + Sync + 'static {
    /// Runs the handler. Gives back the right to acknowledge, if it was not used.
    #[doc(hidden)]
    fn call(&self, context: Context) -> BoxFuture<Option<u64>>;
}

/// An async function or closure that can be a middleware: parameters as for [`Handler`], result `Result<(), ConnectError>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a middleware",
    label = "not an async function of extractors that returns `Result<(), ConnectError>`"
)]
pub trait Middleware<M>: Send + Sync + 'static {
    /// Runs the middleware.
    #[doc(hidden)]
    fn call(&self, context: Context) -> BoxFuture<Result<(), ConnectError>>;
}

macro_rules! functions {
    ($($arg:ident),*) => {
        impl<F, Fut, Out, $($arg,)*> Handler<(Out, $($arg,)*)> for F
        where
            F: Fn($($arg),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Out> + Send + 'static,
            Out: IntoReply + 'static,
            $($arg: FromContext + 'static,)*
        {
            #[allow(non_snake_case, unused_mut)]
            fn call(&self, mut context: Context) -> BoxFuture<Option<u64>> {
                let future = start(|| {
                    $(let $arg = $arg::from_context(&mut context)?;)*
                    Ok(self($($arg),*))
                });
                let ack = context.take_ack();
                let socket = context.socket;
                match future {
                    Ok(future) => Box::pin(answer(future, socket, ack)),
                    Err(error) => {
                        report(&socket, &error);
                        Box::pin(ready(ack))
                    }
                }
            }
        }

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

functions!();
functions!(A1);
functions!(A1, A2);
functions!(A1, A2, A3);
functions!(A1, A2, A3, A4);
functions!(A1, A2, A3, A4, A5);
functions!(A1, A2, A3, A4, A5, A6);
functions!(A1, A2, A3, A4, A5, A6, A7);
functions!(A1, A2, A3, A4, A5, A6, A7, A8);

/// Runs users' code. A panic in it is the error of that code alone: the connection has other things to do.
pub(crate) fn catch<T>(run: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|cause| Error::panicked(&*cause))
}

fn start<Fut>(call: impl FnOnce() -> Result<Fut, Rejection>) -> Result<Fut, Error> {
    catch(call).and_then(|future| Ok(future?))
}

async fn finish<Fut: Future>(future: Fut) -> Result<Fut::Output, Error> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|cause| Error::panicked(&*cause))
}

/// Makes a handler's result the acknowledgement. Gives `ack` back if it was not used.
async fn answer<Fut>(future: Fut, socket: Socket, ack: Option<u64>) -> Option<u64>
where
    Fut: Future,
    Fut::Output: IntoReply,
{
    let result = finish(future).await;
    let replied =
        result.and_then(|value| catch(|| value.into_reply(&socket, ack)).and_then(|replied| replied));
    replied.unwrap_or_else(|error| {
        report(&socket, &error);
        ack
    })
}

async fn decide<Fut>(future: Fut, socket: Socket) -> Result<(), ConnectError>
where
    Fut: Future<Output = Result<(), ConnectError>>,
{
    finish(future).await.unwrap_or_else(|error| Err(refusal(&socket, &error)))
}

/// What a client is told when a middleware could not decide: what it sent itself may be named, our own faults may not.
fn refusal(socket: &Socket, error: &Error) -> ConnectError {
    report(socket, error);
    match error.downcast_ref() {
        Some(rejection @ Rejection::Auth(_)) => ConnectError::new(rejection.to_string()),
        _ => ConnectError::new("Internal server error"),
    }
}

/// A handler without its type.
#[derive(Clone)]
pub(crate) struct Erased(Arc<dyn Fn(Context) -> BoxFuture<Option<u64>> + Send + Sync>);

impl Erased {
    pub(crate) fn new<M>(handler: impl Handler<M>) -> Self {
        Self(Arc::new(move |context| handler.call(context)))
    }

    pub(crate) fn call(&self, context: Context) -> BoxFuture<Option<u64>> {
        (self.0)(context)
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
