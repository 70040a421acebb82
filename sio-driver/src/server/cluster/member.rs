//! A namespace's place in the cluster: the machine behind a lock, and who waits for it.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use sio_proto::cluster::{
    Answers, Config, Event, Message, Missing, Node, NodeId, Rejected, RequestId, Transmit,
};
use sio_proto::{Instant, Seed, Str};

use super::{Adapter, Link};
use crate::server::host::Host;
use crate::server::namespace::{Namespace, WeakNamespace};

/// A namespace's place in the cluster.
pub(crate) struct Member {
    state: Mutex<State>,
    /// Held while a message is dealt with: one after another.
    receiving: Mutex<()>,
    host: Arc<dyn Host>,
    namespace: OnceLock<WeakNamespace>,
    /// Handlers of other servers' events that have not ended.
    pub(super) running: AtomicUsize,
}

struct State {
    node: Node,
    requests: HashMap<RequestId, Wait>,
    adapter: Option<Waker>,
    timer: Option<Waker>,
    /// When the timer task wakes by itself.
    set_for: Option<Instant>,
}

enum Wait {
    Open(Option<Waker>),
    Done(Answers, Missing),
}

impl Member {
    pub(crate) fn new(name: Str, config: Config, seed: Seed, host: Arc<dyn Host>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                node: Node::new(name, config, seed),
                requests: HashMap::new(),
                adapter: None,
                timer: None,
                set_for: None,
            }),
            receiving: Mutex::default(),
            host,
            namespace: OnceLock::new(),
            running: AtomicUsize::new(0),
        })
    }

    /// Begins, once the namespace is there.
    pub(crate) fn start(self: &Arc<Self>, namespace: &Namespace, adapter: &dyn Adapter) {
        if self.namespace.set(namespace.downgrade()).is_err() {
            return;
        }
        self.host.spawn(adapter.join(Link::new(self.clone())));
        let (member, mut timer) = (Arc::downgrade(self), self.host.timer());
        self.host.spawn(Box::pin(poll_fn(move |cx| {
            loop {
                let Some(next) = Self::handle_timeout(&member, cx.waker()) else { return Poll::Ready(()) };
                let Some(next) = next else { return Poll::Pending };
                timer.reset(next);
                if timer.poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        })));
    }

    /// Goes. Nothing more is sent or taken.
    pub(crate) fn close(&self) {
        self.act(|node, _| node.close());
    }

    pub(super) fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }

    pub(super) fn namespace(&self) -> Option<Namespace> {
        self.namespace.get()?.upgrade()
    }

    pub(super) fn names(&self) -> (Str, NodeId) {
        self.act(|node, _| (node.namespace().clone(), node.id().clone()))
    }

    /// Does something with the machine, and wakes whom that concerns.
    pub(crate) fn act<R>(&self, act: impl FnOnce(&mut Node, Instant) -> R) -> R {
        self.with(|state, now| act(&mut state.node, now)).0
    }

    fn with<R>(&self, act: impl FnOnce(&mut State, Instant) -> R) -> (R, Vec<Event>) {
        let now = self.host.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut state, now);
        let (mut events, mut wakers) = (Vec::new(), Vec::new());
        while let Some(event) = state.node.poll_event() {
            match event {
                Event::Done { request, answers, missing } => {
                    if let Some(wait) = state.requests.get_mut(&request)
                        && let Wait::Open(waker) = mem::replace(wait, Wait::Done(answers, missing))
                    {
                        wakers.extend(waker);
                    }
                }
                event => events.push(event),
            }
        }
        if state.node.has_transmits() || state.node.is_closed() {
            wakers.extend(state.adapter.take());
        }
        let next = state.node.poll_timeout();
        if state.node.is_closed() || next.is_some_and(|next| state.set_for.is_none_or(|at| next < at)) {
            wakers.extend(state.timer.take());
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        (result, events)
    }

    /// `None` when there is nothing more to wait for.
    fn handle_timeout(member: &Weak<Self>, waker: &Waker) -> Option<Option<Instant>> {
        let member = member.upgrade()?;
        let (next, _) = member.with(|state, now| {
            state.node.handle_timeout(now);
            state.set_for = state.node.poll_timeout();
            (!state.node.is_closed()).then_some(state.set_for)
        });
        let mut state = member.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.timer = Some(waker.clone());
        // Something may have changed in between.
        let earlier = state.node.poll_timeout() != state.set_for || state.node.is_closed();
        drop(state);
        if earlier {
            waker.wake_by_ref();
        }
        next
    }

    pub(super) fn poll_transmit(&self, cx: &Context<'_>) -> Poll<Option<Transmit>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.node.poll_transmit() {
            Some(transmit) => Poll::Ready(Some(transmit)),
            None if state.node.is_closed() => Poll::Ready(None),
            None => {
                state.adapter = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    pub(super) fn receive(self: &Arc<Self>, message: Message) -> Result<(), Rejected> {
        let _turn = self.receiving.lock().unwrap_or_else(PoisonError::into_inner);
        let (result, events) = self.with(|state, now| state.node.handle_message(message, now));
        if let Err(error) = &result {
            tracing::debug!(%error, "message of another server");
        }
        if let Some(namespace) = self.namespace().filter(|_| !events.is_empty()) {
            events.into_iter().for_each(|event| namespace.deliver(self, event));
        }
        result
    }

    /// Asks the other nodes. The request is sent now.
    pub(crate) fn request(self: &Arc<Self>, ask: impl FnOnce(&mut Node, Instant) -> RequestId) -> Requested {
        let (request, _) = self.with(|state, now| {
            let request = ask(&mut state.node, now);
            state.requests.insert(request.clone(), Wait::Open(None));
            request
        });
        Requested { member: self.clone(), request }
    }

    /// One more handler runs, if that is allowed; until what it gives is dropped.
    pub(super) fn run_one(self: &Arc<Self>) -> Option<Running> {
        /// Handlers that may run at the same time: what others ask for must not fill the memory.
        const MOST: usize = 10_000;
        let running = Running(self.clone());
        (self.running.fetch_add(1, Ordering::Relaxed) < MOST).then_some(running)
    }
}

pub(super) struct Running(Arc<Member>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = state.timer.take() {
            waker.wake();
        }
    }
}

/// The answers to a request, when they are there or its time is up.
pub(crate) struct Requested {
    member: Arc<Member>,
    request: RequestId,
}

impl Future for Requested {
    type Output = (Answers, Missing);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.member.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.requests.get_mut(&self.request) {
            Some(Wait::Open(waker)) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            // It is not polled again.
            None => Poll::Pending,
            Some(Wait::Done(..)) => match state.requests.remove(&self.request) {
                Some(Wait::Done(answers, missing)) => Poll::Ready((answers, missing)),
                _ => Poll::Pending,
            },
        }
    }
}

impl Drop for Requested {
    fn drop(&mut self) {
        self.member.with(|state, _| {
            state.requests.remove(&self.request);
            state.node.cancel(&self.request);
        });
    }
}
