//! What handlers look like, for the server and the client alike: nothing in here knows on which side an event came.
//!
//! `S` is whose handlers they are, a [`Peer`]: [`Socket`](crate::Socket) for those of a server.

/// Calls a macro with the names of no parameter, one, and so on up to eight.
macro_rules! for_each_arity {
    ($each:ident) => {
        $each!();
        $each!(A1);
        $each!(A1, A2);
        $each!(A1, A2, A3);
        $each!(A1, A2, A3, A4);
        $each!(A1, A2, A3, A4, A5);
        $each!(A1, A2, A3, A4, A5, A6);
        $each!(A1, A2, A3, A4, A5, A6, A7);
        $each!(A1, A2, A3, A4, A5, A6, A7, A8);
    };
}
pub(crate) use for_each_arity;

mod context;
mod extract;
mod handler;
mod lanes;
mod peer;
mod reply;
mod table;
#[cfg(test)]
mod tests;
mod typed;

pub use context::Context;
pub(crate) use context::What;
pub(crate) use extract::acknowledge;
pub use extract::{Ack, Data, Event, FromContext, State};
pub use handler::Handler;
pub(crate) use handler::{Erased, Listener, catch, destroy, finish, start};
pub(crate) use lanes::{Job, Lanes};
pub use peer::Peer;
pub(crate) use peer::{Side, States, Unsent, report};
pub use reply::IntoReply;
pub(crate) use table::{Live, Table, find};
pub use typed::{Asks, Emits, EventHandler, EventName, NoAck, TypedEvent};
