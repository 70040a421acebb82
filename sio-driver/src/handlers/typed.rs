//! Names of events: strings, or [`TypedEvent`]s, which also say what an event carries.

use std::borrow::Cow;
use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sio_proto::Str;

use super::handler::{answer_with, start};
use super::peer::report;
use super::{Context, Data, FromContext, Handler, IntoReply as _, Peer};
use crate::Socket;
use crate::error::Error;
use crate::runtime::BoxFuture;

/// An event whose name, arguments and acknowledgement are stated once, and checked by the compiler wherever it is emitted or handled.
/// Usually made by [`events!`](crate::events).
pub trait TypedEvent: Copy + Send + Sync + 'static {
    /// The name on the wire.
    const NAME: &'static str;
    /// The argument, or with a tuple the arguments in turn, as for [`Data`].
    type Data;
    /// What it is acknowledged with; a tuple is several values. [`NoAck`] if it is not acknowledged.
    type Ack;
}

/// The [`Ack`](TypedEvent::Ack) of an event that is not acknowledged. There is no value of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAck {}

/// Declares [`TypedEvent`]s. Each is a unit struct that stands where a name could.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use sio_driver::{ClientSocket, Error, Server, Socket, State, events};
///
/// #[derive(Debug, Serialize, Deserialize)]
/// pub struct Message { text: String }
///
/// events! {
///     /// Somebody says something; answered with the message's number.
///     pub Say = "say"(Message) -> u64;
///     /// Something was said.
///     pub Said = "said"(Message);
///     /// Several arguments, and none.
///     pub Move = "move"(f64, f64);
///     pub Leave = "leave"();
/// }
///
/// fn server(io: &Server) {
///     // Extractors first, then what the event carries.
///     io.of("/").on(Say, async |socket: Socket, message: Message| -> Result<u64, Error> {
///         socket.broadcast().emit(Said, &message)?;
///         Ok(1)
///     });
///     // That is `()` for an event that carries nothing.
///     io.of("/").on(Leave, async |socket: Socket, _: ()| socket.disconnect());
/// }
///
/// async fn client(client: &ClientSocket) -> Result<(), Error> {
///     client.on(Said, async |message: Message| println!("{}", message.text));
///     let number = client.emit_with_ack(Say, &Message { text: "hello".into() }).await?;
///     println!("message {number} was sent");
///     client.emit(Move, &(1.0, 2.5))?;
///     client.emit(Leave, &())?;
///     Ok(())
/// }
/// ```
///
/// What does not fit does not compile:
///
/// ```compile_fail
/// # use sio_driver::{Server, events};
/// events! { Count = "count"(u32); }
/// # fn server(io: &Server) {
/// io.emit(Count, "text").ok();
/// # }
/// ```
/// ```compile_fail
/// # use sio_driver::{Server, events};
/// events! { Count = "count"(u32); }
/// # fn server(io: &Server) {
/// io.of("/").on(Count, async |text: String| {});
/// # }
/// ```
/// ```compile_fail
/// # use sio_driver::{Server, events};
/// events! { Count = "count"(u32) -> u32; }
/// # fn server(io: &Server) {
/// io.of("/").on(Count, async |n: u32| "a number is expected");
/// # }
/// ```
#[macro_export]
macro_rules! events {
    (@data $data:ty) => { $data };
    (@data $($data:ty),*) => { ($($data,)*) };
    (@ack) => { $crate::NoAck };
    (@ack $ack:ty) => { $ack };
    ($($(#[$meta:meta])* $vis:vis $name:ident = $wire:literal ($($data:ty),* $(,)?) $(-> $ack:ty)?;)*) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            $vis struct $name;

            impl $crate::TypedEvent for $name {
                const NAME: &'static str = $wire;
                type Data = $crate::events!(@data $($data),*);
                type Ack = $crate::events!(@ack $($ack)?);
            }
        )*
    };
}

/// What can stand for an event: a string, or a [`TypedEvent`].
pub trait EventName {
    /// The name on the wire.
    #[doc(hidden)]
    fn as_name(&self) -> &str;
}

/// A name under which `A` can be emitted: a string, or a [`TypedEvent`] that carries an `A`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not carry `{A}`",
    label = "not what this event carries"
)]
pub trait Emits<A: ?Sized>: EventName {}

/// A name under which `A` can be emitted, to be acknowledged with `T`: a string, or a [`TypedEvent`] that says so.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not carry `{A}`, or is not acknowledged with `{T}`",
    label = "not what this event carries, or is acknowledged with"
)]
pub trait Asks<A: ?Sized, T>: Emits<A> {}

/// A handler for events of the name `E`: for a string any [`Handler`]; for a [`TypedEvent`] an async function of up to seven extractors and
/// then what the event carries, which returns what it is acknowledged with, or a `Result<_, Error>` of it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler for the event `{E}` of `{S}`",
    label = "not an async function of the right parameters and result",
    note = "for an event named by a string: parameters that are extractors: `Data<T>`, `Payload`, `Ack`, `State<T>`, `Event`",
    note = "in handlers of a server also `Socket`, `SocketData<T>`, `Auth<T>`, `Namespace`, `Server`; of a client also `ClientSocket`",
    note = "for a typed event: extractors, and then, as the last parameter and without `Data`, what the event carries; `_: ()` if that is nothing",
    note = "result: `()`, a value such as a `String`, a number or `Data(value)`, or `Result<_, Error>` of these; for a typed event what it is acknowledged with",
    note = "the future must be `Send`, and must not borrow what the closure captured"
)]
pub trait EventHandler<E, M, S = Socket>: Send + Sync + 'static {
    /// Runs the handler. Gives back the right to acknowledge, if it was not used.
    #[doc(hidden)]
    fn call(&self, context: Context<S>) -> BoxFuture<Option<u64>>;
}

macro_rules! strings {
    ($($type:ty),*) => {
        $(
            impl EventName for $type {
                fn as_name(&self) -> &str {
                    self
                }
            }

            impl<A: ?Sized> Emits<A> for $type {}

            impl<A: ?Sized, T> Asks<A, T> for $type {}

            impl<F: Handler<M, S>, M, S> EventHandler<$type, M, S> for F {
                fn call(&self, context: Context<S>) -> BoxFuture<Option<u64>> {
                    Handler::call(self, context)
                }
            }
        )*
    };
}

strings!(&str, &&str, String, &String, Str, &Str, Cow<'_, str>);

impl<E: TypedEvent> EventName for E {
    fn as_name(&self) -> &str {
        E::NAME
    }
}

impl<E: TypedEvent> Emits<E::Data> for E {}

impl<E: TypedEvent> Asks<E::Data, E::Ack> for E {}

/// Marks the handlers of typed events, by their extractors.
#[derive(Debug)]
pub struct Typed<A>(A);

/// The result of a handler of a typed event that is acknowledged with `T`.
#[diagnostic::on_unimplemented(message = "the event is not acknowledged with `{Self}`, but with `{T}`")]
pub trait TypedReply<T> {
    /// As [`IntoReply`](super::IntoReply).
    #[doc(hidden)]
    fn into_reply<S: Peer>(self, socket: &S, ack: Option<u64>) -> Result<Option<u64>, Error>;
}

impl<T: Serialize> TypedReply<T> for T {
    fn into_reply<S: Peer>(self, socket: &S, ack: Option<u64>) -> Result<Option<u64>, Error> {
        Data(self).into_reply(socket, ack)
    }
}

impl<T: Serialize> TypedReply<T> for Result<T, Error> {
    fn into_reply<S: Peer>(self, socket: &S, ack: Option<u64>) -> Result<Option<u64>, Error> {
        Data(self?).into_reply(socket, ack)
    }
}

impl TypedReply<NoAck> for () {
    fn into_reply<S: Peer>(self, _: &S, ack: Option<u64>) -> Result<Option<u64>, Error> {
        Ok(ack)
    }
}

impl TypedReply<NoAck> for Result<(), Error> {
    fn into_reply<S: Peer>(self, _: &S, ack: Option<u64>) -> Result<Option<u64>, Error> {
        self.map(|()| ack)
    }
}

macro_rules! typed_handlers {
    () => { typed_handlers!(@impl); };
    // Extractors and the data are eight at most.
    ($a:ident, $b:ident, $c:ident, $d:ident, $e:ident, $f:ident, $g:ident, $h:ident) => {};
    ($($arg:ident),*) => { typed_handlers!(@impl $($arg),*); };
    (@impl $($arg:ident),*) => {
        impl<F, Fut, E, S, $($arg,)*> EventHandler<E, Typed<($($arg,)*)>, S> for F
        where
            E: TypedEvent,
            E::Data: DeserializeOwned,
            S: Peer,
            F: Fn($($arg,)* E::Data) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: TypedReply<E::Ack>,
            $($arg: FromContext<S> + 'static,)*
        {
            #[allow(non_snake_case)]
            fn call(&self, mut context: Context<S>) -> BoxFuture<Option<u64>> {
                let future = start(|| {
                    $(let $arg = $arg::from_context(&mut context)?;)*
                    let Data(data) = Data::<E::Data>::from_context(&mut context)?;
                    Ok(self($($arg,)* data))
                });
                let ack = context.take_ack();
                let Context { socket, event, .. } = context;
                match future {
                    Ok(future) => {
                        let reply = |value: Fut::Output, socket: &S, ack| value.into_reply(socket, ack);
                        Box::pin(answer_with(future, socket, event, ack, reply))
                    }
                    Err(error) => Box::pin(async move { report(&socket, error.during(event), ack).await }),
                }
            }
        }
    };
}

for_each_arity!(typed_handlers);
