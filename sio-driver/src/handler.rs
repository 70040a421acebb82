//! Handlers: async functions whose parameters say what they need.

use std::future::Future;
use std::sync::Arc;

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
                $(
                    let $arg = match $arg::from_context(&mut context) {
                        Ok(value) => value,
                        Err(rejection) => return rejected(context, rejection),
                    };
                )*
                let ack = context.take_ack();
                let socket = context.socket;
                let future = self($($arg),*);
                Box::pin(async move {
                    match future.await.into_reply(&socket, ack) {
                        Ok(unused) => unused,
                        Err(error) => {
                            report(&socket, &error);
                            ack
                        }
                    }
                })
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
                $(
                    let $arg = match $arg::from_context(&mut context) {
                        Ok(value) => value,
                        Err(rejection) => {
                            let refusal = ConnectError::new(rejection.to_string());
                            return Box::pin(std::future::ready(Err(refusal)));
                        }
                    };
                )*
                Box::pin(self($($arg),*))
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

fn rejected(mut context: Context, rejection: Rejection) -> BoxFuture<Option<u64>> {
    let ack = context.take_ack();
    report(&context.socket, &Error::from(rejection));
    Box::pin(std::future::ready(ack))
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
