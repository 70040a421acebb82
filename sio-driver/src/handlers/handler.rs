//! Handlers: async functions whose parameters say what they need.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt as _;

use super::peer::{Unsent, report};
use super::{Context, EventHandler, FromContext, IntoReply, Peer};
use crate::Socket;
use crate::error::{Error, Rejection};
use crate::runtime::BoxFuture;

/// An async function or closure that can be a handler: up to eight parameters that are extractors
/// ([`FromContext`]), in any order, and a result that is [`IntoReply`].
///
/// `S` is whose events it is for: the [`Socket`] of a server, unless said otherwise.
///
/// A closure may not borrow what it captured in its future: clone into it, `move |m: Data<M>| { let db = db.clone(); async
/// move { … } }`, or use [`State`](crate::State).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler for events of `{S}`",
    label = "not an async function whose parameters are extractors and whose result is a reply",
    note = "parameters: `Data<T>`, `Payload`, `Ack`, `State<T>`, `Event`, `DisconnectReason`",
    note = "and in handlers of a server only: `Socket`, `SocketData<T>`, `Auth<T>`, `Namespace`, `Server`",
    note = "and in handlers of a client only: `ClientSocket`, `ConnectionError`, `Attempt`",
    note = "result: `()`, a value such as a `String`, a number or `Data(value)`, or `Result<_, Error>` of these",
    note = "the future must be `Send`, and must not borrow what the closure captured"
)]
pub trait Handler<M, S = Socket>: Send + Sync + 'static {
    /// Runs the handler. Gives back the right to acknowledge, if it was not used.
    #[doc(hidden)]
    fn call(&self, context: Context<S>) -> BoxFuture<Option<u64>>;

    /// Runs it as one of those that see every event: neither what it returns nor its failure is the acknowledgement. Gives back the right
    /// to acknowledge, unless it asked for it.
    #[doc(hidden)]
    fn listen(&self, context: Context<S>) -> (BoxFuture<Option<u64>>, Option<u64>);
}

macro_rules! handlers {
    ($($arg:ident),*) => {
        impl<F, Fut, Out, S, $($arg,)*> Handler<(Out, $($arg,)*), S> for F
        where
            S: Peer,
            F: Fn($($arg),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Out> + Send + 'static,
            Out: IntoReply + 'static,
            $($arg: FromContext<S> + 'static,)*
        {
            #[allow(non_snake_case, unused_mut)]
            fn call(&self, mut context: Context<S>) -> BoxFuture<Option<u64>> {
                let future = start(|| {
                    $(let $arg = $arg::from_context(&mut context)?;)*
                    Ok(self($($arg),*))
                });
                let ack = context.take_ack();
                let Context { socket, event, .. } = context;
                match future {
                    Ok(future) => Box::pin(answer_with(future, socket, event, ack, Out::into_reply)),
                    Err(error) => Box::pin(async move { report(&socket, error.during(event), ack).await }),
                }
            }

            #[allow(non_snake_case, unused_mut)]
            fn listen(&self, mut context: Context<S>) -> (BoxFuture<Option<u64>>, Option<u64>) {
                let future = start(|| {
                    $(let $arg = $arg::from_context(&mut context)?;)*
                    Ok(self($($arg),*))
                });
                let left = context.take_ack();
                let Context { socket, event, .. } = context;
                let future: BoxFuture<_> = match future {
                    Ok(future) => Box::pin(answer_with(future, socket, event, None, Out::into_reply)),
                    Err(error) => Box::pin(async move { report(&socket, error.during(event), None).await }),
                };
                (future, left)
            }
        }
    };
}

for_each_arity!(handlers);

/// Runs users' code. A panic in it is the error of that code alone: the connection has other things to do.
pub(crate) fn catch<T>(run: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|cause| Error::panicked(&*cause))
}

/// Drops a value of users, likewise.
pub(crate) fn destroy<T>(value: T) {
    if let Err(error) = catch(|| drop(value)) {
        tracing::error!(%error, "a destructor failed");
    }
}

pub(crate) fn start<Fut>(call: impl FnOnce() -> Result<Fut, Rejection>) -> Result<Fut, Error> {
    catch(call).and_then(|future| Ok(future?))
}

pub(crate) async fn finish<Fut: Future>(future: Fut) -> Result<Fut::Output, Error> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|cause| Error::panicked(&*cause))
}

type Reply<T, S> = fn(T, &S, Option<u64>) -> Result<Option<u64>, Error>;

/// Makes a handler's result the acknowledgement, by `reply`. Gives `ack` back if it was not used.
pub(super) async fn answer_with<S: Peer, Fut: Future>(
    future: Fut,
    socket: S,
    event: Arc<str>,
    ack: Option<u64>,
    reply: Reply<Fut::Output, S>,
) -> Option<u64> {
    let result = finish(future).await;
    let replied = result.and_then(|value| catch(|| reply(value, &socket, ack)).and_then(|replied| replied));
    match replied.map_err(Error::downcast::<Unsent>) {
        Ok(ack) => ack,
        Err(Ok(unsent)) => {
            unsent.send(&socket).await;
            None
        }
        Err(Err(error)) => report(&socket, error.during(event), ack).await,
    }
}

/// A handler without its type.
pub(crate) struct Erased<S>(Arc<dyn Fn(Context<S>) -> BoxFuture<Option<u64>> + Send + Sync>);

impl<S: 'static> Erased<S> {
    pub(crate) fn new<M>(handler: impl Handler<M, S>) -> Self {
        Self(Arc::new(move |context| handler.call(context)))
    }

    pub(crate) fn of_event<E, M>(handler: impl EventHandler<E, M, S>) -> Self {
        Self(Arc::new(move |context| handler.call(context)))
    }

    pub(crate) fn call(&self, context: Context<S>) -> BoxFuture<Option<u64>> {
        (self.0)(context)
    }
}

/// A handler for all events, without its type.
pub(crate) struct Listener<S>(Arc<Listen<S>>);

type Listen<S> = dyn Fn(Context<S>) -> (BoxFuture<Option<u64>>, Option<u64>) + Send + Sync;

impl<S: 'static> Listener<S> {
    pub(crate) fn new<M>(handler: impl Handler<M, S>) -> Self {
        Self(Arc::new(move |context| handler.listen(context)))
    }

    pub(crate) fn call(&self, context: Context<S>) -> (BoxFuture<Option<u64>>, Option<u64>) {
        (self.0)(context)
    }
}

impl<S> Clone for Listener<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> Clone for Erased<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
