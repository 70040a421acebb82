//! Runs a client's handlers: those of one namespace one after another, in order.

use std::sync::{Arc, Weak};
use std::task::{Context as TaskContext, Waker};

use sio_proto::Str;
use sio_proto::client::Event;
use sio_proto::socket::{AckError, AckId, ClientConnEvent, ConnectionError, DisconnectReason, Payload, Slot};

use crate::client::core::{Core, Life, State};
use crate::client::hooks::Hook;
use crate::client::socket::{ClientSocket, SocketInner};
use crate::handlers::{Context, Job, Lanes, What, find};
use crate::runtime::BoxFuture;

/// What the pump does with events.
pub(crate) struct Dispatcher {
    core: Arc<Core>,
    life: Weak<Life>,
    lanes: Lanes<Work>,
    /// Questions for `auth` that are being answered, one of each namespace: an older one is void.
    asking: Vec<(Slot, BoxFuture<()>)>,
}

/// Handlers to run, for the events of a namespace or of the client as a whole.
struct Work {
    key: Option<Slot>,
    sockets: Vec<ClientSocket>,
    what: Happening,
}

enum Happening {
    Event { payload: Payload, ack: Option<AckId> },
    Connect { id: Str, recovered: bool },
    ConnectError(ConnectionError),
    Disconnect(DisconnectReason),
    ReconnectAttempt(u32),
    Reconnect(u32),
    ReconnectError(ConnectionError),
    ReconnectFailed,
    Upgrade,
}

/// Where an event goes.
enum Route {
    Run(Work),
    Ask(Slot, BoxFuture<()>),
    /// An event was given up for whose acknowledgement nobody waits.
    GivenUp(Arc<SocketInner>, AckError),
    /// Of interest to the log alone.
    Note(Event),
    /// Done with.
    Done,
}

impl Dispatcher {
    pub(crate) fn new(core: Arc<Core>, life: Weak<Life>) -> Self {
        Self { core, life, lanes: Lanes::new(), asking: Vec::new() }
    }

    /// Whether nothing runs, and nothing waits to be run.
    pub(crate) fn is_idle(&self, state: &State) -> bool {
        self.lanes.is_empty() && !state.machine.has_events()
    }

    /// Whether an event waits that could be handled now.
    pub(crate) fn has_news(&self, state: &State) -> bool {
        let busy: Vec<_> = self.lanes.busy().collect();
        state.machine.has_events_besides(&busy)
    }

    pub(crate) fn poll(&mut self, cx: &mut TaskContext<'_>) {
        let Self { core, life, lanes, asking } = self;
        let _ = lanes.poll(cx, |lanes, cx| {
            let busy: Vec<Option<Slot>> = lanes.busy().collect();
            loop {
                let now = core.clock.now();
                let mut wakers = Vec::new();
                // Before the lock, and given up after it: the last handle takes the lock when it is dropped.
                let alive = life.upgrade();
                let mut state = core.state();
                let event = state.machine.poll_event(&busy, now)?;
                let route = route(&mut state, alive.as_ref(), event, &mut wakers, now);
                drop(state);
                wakers.into_iter().for_each(Waker::wake);
                // Without the lock: a subscriber of the log is code of the user, and may use the client.
                route.log();
                match route {
                    Route::Run(work) => return Some(work),
                    Route::Ask(slot, mut question) => {
                        asking.retain(|(asked, _)| *asked != slot);
                        if question.as_mut().poll(cx).is_pending() {
                            asking.push((slot, question));
                        }
                    }
                    _ => {}
                }
            }
        });
        self.asking.retain_mut(|(_, question)| question.as_mut().poll(cx).is_pending());
    }
}

fn route(
    state: &mut State,
    life: Option<&Arc<Life>>,
    event: Event,
    wakers: &mut Vec<Waker>,
    now: sio_proto::Instant,
) -> Route {
    let slot = event.slot();
    let what = match event {
        Event::Socket(ClientConnEvent::Ack { slot, id, result }) => {
            if let Some(answer) = state.acks.remove(&(slot, id)) {
                wakers.extend(answer.answer(result));
            } else if let Err(error) = result {
                return Route::GivenUp(state.sockets[index(slot)].clone(), error);
            }
            return Route::Done;
        }
        Event::Socket(ClientConnEvent::Authenticate { slot, ticket }) => {
            let Some(socket) = handle(state, life, slot, None) else { return Route::Done };
            let auth = socket.inner.auth.get();
            // The question must not keep the client alive.
            let (life, inner) = (Arc::downgrade(&socket.life), socket.inner.clone());
            let question = Box::pin(async move {
                let auth = auth.answer().await;
                if let Some(life) = life.upgrade() {
                    ClientSocket { life, inner, answers: None }.authenticate(ticket, auth);
                }
            });
            return Route::Ask(slot, question);
        }
        Event::Socket(ClientConnEvent::Event { slot, payload, ack }) => {
            let socket = &state.sockets[index(slot)];
            if !socket.table.get().handles(&payload.name().unwrap_or_default()) {
                let event = ClientConnEvent::Event { slot, payload, ack };
                state.machine.put_aside(event, now);
                return Route::Done;
            }
            Happening::Event { payload, ack }
        }
        Event::Socket(ClientConnEvent::Connect { id, recovered, .. }) => Happening::Connect { id, recovered },
        Event::Socket(ClientConnEvent::ConnectError { error, .. }) => Happening::ConnectError(error),
        Event::Socket(ClientConnEvent::Disconnect { reason, .. }) => Happening::Disconnect(reason),
        Event::ReconnectAttempt(attempt) => Happening::ReconnectAttempt(attempt),
        Event::Reconnect(attempt) => Happening::Reconnect(attempt),
        Event::ReconnectError(error) => Happening::ReconnectError(error),
        Event::ReconnectFailed => Happening::ReconnectFailed,
        Event::Upgraded => Happening::Upgrade,
        other => return Route::Note(other),
    };
    let answers = if let Happening::Event { ack, .. } = &what { *ack } else { None };
    let sockets = match slot {
        Some(slot) => handle(state, life, slot, answers).into_iter().collect(),
        None => {
            let slots = state.machine.conn().slots();
            slots.filter_map(|slot| handle(state, life, slot, None)).collect()
        }
    };
    Route::Run(Work { key: slot, sockets, what })
}

impl Route {
    fn log(&self) {
        match self {
            Self::Run(Work { what: Happening::Upgrade, .. }) => tracing::debug!("upgraded to websocket"),
            Self::Run(Work { sockets, what, .. }) => {
                let Some(namespace) = sockets.first().map(|socket| &socket.inner.name) else { return };
                match what {
                    Happening::Connect { id, recovered } => {
                        tracing::debug!(%namespace, socket = %id, recovered, "connected");
                    }
                    Happening::ConnectError(error) => {
                        tracing::debug!(%namespace, %error, "could not connect");
                    }
                    Happening::Disconnect(reason) => tracing::debug!(%namespace, %reason, "disconnected"),
                    _ => {}
                }
            }
            Self::GivenUp(socket, error) => {
                tracing::warn!(namespace = %socket.name, %error, "an event was given up");
            }
            Self::Note(Event::UpgradeFailed(error)) => tracing::debug!(%error, "upgrade failed"),
            Self::Note(Event::Close { reason, error, undelivered }) => {
                tracing::debug!(%reason, ?error, undelivered, "connection closed");
            }
            Self::Ask(..) | Self::Note(_) | Self::Done => {}
        }
    }
}

/// A handle for a handler; none once the last one of the users' is gone.
fn handle(
    state: &State,
    life: Option<&Arc<Life>>,
    slot: Slot,
    answers: Option<AckId>,
) -> Option<ClientSocket> {
    let life = life?.clone();
    let inner = state.sockets.get(index(slot))?.clone();
    Some(ClientSocket { life, inner, answers })
}

/// Sockets are kept by slot.
pub(crate) fn index(slot: Slot) -> usize {
    slot.index()
}

impl Job for Work {
    type Key = Option<Slot>;

    fn key(&self) -> Option<Slot> {
        self.key
    }

    fn limit(&self) -> usize {
        1
    }

    fn is_alone(&self) -> bool {
        true
    }

    fn run(self) -> Option<BoxFuture<Option<u64>>> {
        let (hook, what) = match self.what {
            Happening::Event { payload, ack } => {
                let socket = self.sockets.into_iter().next()?;
                let found = find(&payload.name()?, None, Some(&socket.inner.table))?;
                return Some(found.run(socket, payload, ack.map(AckId::id)));
            }
            Happening::Connect { .. } => (Hook::Connect, What::Connect),
            Happening::ConnectError(error) => (Hook::ConnectError, What::ConnectError(error)),
            Happening::Disconnect(reason) => (Hook::Disconnect, What::Disconnect(reason)),
            Happening::ReconnectAttempt(attempt) => (Hook::ReconnectAttempt, What::Attempt(attempt)),
            Happening::Reconnect(attempt) => (Hook::Reconnect, What::Attempt(attempt)),
            Happening::ReconnectError(error) => (Hook::ReconnectError, What::ConnectError(error)),
            Happening::ReconnectFailed => (Hook::ReconnectFailed, What::ReconnectFailed),
            Happening::Upgrade => (Hook::Upgrade, What::Upgrade),
        };
        let handlers = |socket: ClientSocket| {
            let handlers = socket.inner.hooks.get().of(hook);
            handlers.into_iter().map(move |handler| (handler, socket.clone()))
        };
        let handlers: Vec<_> = self.sockets.into_iter().flat_map(handlers).collect();
        if handlers.is_empty() {
            return None;
        }
        Some(Box::pin(async move {
            for (handler, socket) in handlers {
                handler.call(Context { socket, what: what.clone(), event: hook.name().into() }).await;
            }
            None
        }))
    }
}
