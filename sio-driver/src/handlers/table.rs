//! Tables of handlers: which to call for an event.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rustc_hash::FxHashMap;
use sio_proto::socket::{Args, Payload};

use super::peer::Unsent;
use super::{Context, Erased, EventHandler, EventName, Handler, Listener, Peer, What, acknowledge, catch};
use crate::error::{EmitError, Error};
use crate::runtime::BoxFuture;

/// What to call when an event comes, or a handler fails.
pub(crate) struct Table<S> {
    /// Peers only look up in it, so they cannot make names collide.
    events: FxHashMap<Arc<str>, Vec<Entry<S>>>,
    any: Vec<Listener<S>>,
    error: Vec<Arc<ErrorHandler<S>>>,
    error_ack: Option<Arc<ErrorAck<S>>>,
}

type ErrorHandler<S> = dyn Fn(&S, &Error) + Send + Sync;
/// Sends the acknowledgement of an event whose handler failed.
type ErrorAck<S> = dyn Fn(&S, u64, &Error) -> Result<(), EmitError> + Send + Sync;

/// The handlers that were added for one event.
pub(crate) struct Entry<S> {
    handler: Erased<S>,
    /// For a handler that is called once: whether it was. All copies of the table share it.
    used: Option<Arc<AtomicBool>>,
}

impl<S: Peer> Table<S> {
    pub(crate) fn on<E: EventName, M>(&mut self, event: E, handler: impl EventHandler<E, M, S>) {
        self.add(event, Entry { handler: Erased::of_event(handler), used: None });
    }

    pub(crate) fn once<E: EventName, M>(&mut self, event: E, handler: impl EventHandler<E, M, S>) {
        self.add(event, Entry { handler: Erased::of_event(handler), used: Some(Arc::default()) });
    }

    fn add(&mut self, event: impl EventName, entry: Entry<S>) {
        self.events.entry(event.as_name().into()).or_default().push(entry);
    }

    /// Gives what was removed, to be dropped without a lock: what handlers captured may use the socket.
    #[must_use]
    pub(crate) fn off(&mut self, event: &str) -> Option<Vec<Entry<S>>> {
        self.events.remove(event)
    }

    pub(crate) fn on_any<M>(&mut self, handler: impl Handler<M, S>) {
        self.any.push(Listener::new(handler));
    }

    pub(crate) fn on_error(&mut self, handler: impl Fn(&S, &Error) + Send + Sync + 'static) {
        self.error.push(Arc::new(handler));
    }

    /// Sets what the peer is answered when the handler of its event fails.
    pub(crate) fn ack_errors<A: Args>(&mut self, answer: impl Fn(&Error) -> A + Send + Sync + 'static) {
        self.error_ack = Some(Arc::new(move |socket, id, error| acknowledge(socket, id, &answer(error))));
    }

    /// Removes the handlers for every event.
    #[must_use]
    pub(crate) fn off_any(&mut self) -> Vec<Listener<S>> {
        std::mem::take(&mut self.any)
    }

    /// Whether there is any handler for this event.
    pub(crate) fn handles(&self, event: &str) -> bool {
        !self.any.is_empty() || self.events.contains_key(event)
    }

    /// Logs that a handler failed, tells the error handlers, and the peer if that is set and it waits under `ack`. Gives `ack` back
    /// if it was not used.
    ///
    /// # Errors
    /// What the peer is to be told, if there was no room for it.
    pub(crate) fn report(&self, socket: &S, error: &Error, ack: Option<u64>) -> Result<Option<u64>, Unsent> {
        let (id, namespace) = (socket.log_id(), socket.namespace_name());
        let event = error.event();
        if error.is_panic() {
            tracing::error!(socket = %id, %namespace, event, %error, "handler failed");
        } else {
            tracing::warn!(socket = %id, %namespace, event, %error, "handler failed");
        }
        for handler in &self.error {
            if let Err(error) = catch(|| handler(socket, error)) {
                tracing::error!(socket = %id, %namespace, %error, "in on_error");
            }
        }
        let (Some(answer), Some(ack)) = (&self.error_ack, ack) else { return Ok(ack) };
        match catch(|| answer(socket, ack, error)) {
            Ok(Ok(()) | Err(EmitError::Disconnected)) => {}
            Ok(Err(EmitError::Full(packet))) => return Err(Unsent { id: ack, packet }),
            Ok(Err(error)) => tracing::error!(socket = %id, %namespace, %error, "in ack_errors"),
            Err(error) => tracing::error!(socket = %id, %namespace, %error, "in ack_errors"),
        }
        Ok(None)
    }

    /// Removes the handlers for an event that were called once already.
    fn forget_used(&mut self, event: &str) -> Vec<Entry<S>> {
        let Some(entries) = self.events.get_mut(event) else { return Vec::new() };
        let used = entries.extract_if(.., |entry| entry.is_used()).collect();
        if entries.is_empty() {
            self.events.remove(event);
        }
        used
    }
}

impl<S> Default for Table<S> {
    fn default() -> Self {
        Self { events: FxHashMap::default(), any: Vec::new(), error: Vec::new(), error_ack: None }
    }
}

impl<S> Clone for Table<S> {
    fn clone(&self) -> Self {
        Self {
            events: self.events.clone(),
            any: self.any.clone(),
            error: self.error.clone(),
            error_ack: self.error_ack.clone(),
        }
    }
}

impl<S> Clone for Entry<S> {
    fn clone(&self) -> Self {
        Self { handler: self.handler.clone(), used: self.used.clone() }
    }
}

impl<S> Entry<S> {
    fn is_used(&self) -> bool {
        self.used.as_ref().is_some_and(|used| used.load(Ordering::Acquire))
    }

    /// The handler, unless it is to be called once and was.
    fn claim(&self) -> Option<Erased<S>> {
        let used = self.used.as_ref().is_some_and(|used| used.swap(true, Ordering::AcqRel));
        (!used).then(|| self.handler.clone())
    }
}

/// A table that is changed while others look things up in it; they keep the one they have got.
#[derive(Default)]
pub(crate) struct Live<T>(RwLock<Arc<T>>);

impl<T> Live<T> {
    pub(crate) fn new(table: T) -> Self {
        Self(RwLock::new(Arc::new(table)))
    }
}

impl<T: Clone> Live<T> {
    pub(crate) fn get(&self) -> Arc<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut table))
    }
}

/// The handlers that were found for an event.
pub(crate) enum Found<S> {
    /// The usual case, which needs no chain around it.
    One {
        handler: Erased<S>,
        event: Arc<str>,
    },
    Several {
        any: Vec<Listener<S>>,
        named: Vec<Erased<S>>,
    },
}

/// Looks an event's handlers up, in a table that several sockets share and in this one's own, which alone may have handlers that
/// are called once. Such a handler is gone when it is found, so what is found must be run.
pub(crate) fn find<S: Peer>(
    event: &str,
    shared: Option<&Table<S>>,
    own: Option<&Live<Table<S>>>,
) -> Option<Found<S>> {
    let table = own.map(Live::get);
    let tables = [shared, table.as_deref()];
    let entries = tables.map(|table| table.and_then(|table| table.events.get_key_value(event)));
    let named = entries.map(|entry| entry.map_or(&[][..], |(_, entries)| entries));
    let any = tables.map(|table| table.map_or(&[][..], |table| table.any.as_slice()));
    let found = match (any, named) {
        ([[], []], [[], []]) => return None,
        ([[], []], [[one], []] | [[], [one]]) => one.claim().map(|handler| {
            // The table's own, which costs no allocation.
            let event =
                entries.into_iter().flatten().next().map_or_else(|| event.into(), |(name, _)| name.clone());
            Found::One { handler, event }
        }),
        _ => {
            let named = named.into_iter().flatten().filter_map(Entry::claim).collect();
            Some(Found::Several { any: any.concat(), named })
        }
    };
    let used = named.into_iter().flatten().any(Entry::is_used);
    drop(table);
    if let Some(own) = own
        && used
    {
        // What is removed is dropped without the lock.
        let _used = own.change(|table| table.forget_used(event));
    }
    found
}

impl<S: Peer> Found<S> {
    /// Runs them one after another: first those for any event, then the event's own, of which the first value is the answer, unless
    /// one before took the right to give it.
    pub(crate) fn run(self, socket: S, payload: Payload, ack: Option<u64>) -> BoxFuture<Option<u64>> {
        match self {
            Self::One { handler, event } => {
                handler.call(Context { socket, what: What::Event { payload, ack }, event })
            }
            Self::Several { any, named } => Box::pin(async move {
                let event: Arc<str> = payload.name().unwrap_or_default().into();
                let context = |ack| {
                    let what = What::Event { payload: payload.clone(), ack };
                    Context { socket: socket.clone(), what, event: event.clone() }
                };
                let mut ack = ack;
                for handler in any {
                    let (listening, left) = handler.call(context(ack));
                    ack = left;
                    listening.await;
                }
                for handler in named {
                    ack = handler.call(context(ack)).await;
                }
                ack
            }),
        }
    }
}
