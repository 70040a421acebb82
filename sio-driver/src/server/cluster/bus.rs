//! [`Bus`]: the servers of one process.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use futures_util::future::{Either, select};
use sio_proto::Str;
use sio_proto::cluster::{Config, Message, NodeId, Transmit};

use super::{Adapter, Link};
use crate::runtime::BoxFuture;
use crate::wakers::enlist;

/// Joins servers of one process to a cluster: for tests, and for programs that serve one application on several servers.
///
/// ```
/// # use sio_driver::{Runtime, Server, ServerBuilder};
/// use sio_driver::cluster::Bus;
///
/// # fn servers(runtime: impl Runtime) {
/// let bus = Bus::new();
/// let a: Server = ServerBuilder::new(runtime.clone()).adapter(bus.node()).build();
/// let b: Server = ServerBuilder::new(runtime).adapter(bus.node()).build();
/// # }
/// ```
///
/// Tests can [freeze](BusNode::freeze) a server, and [cut it off](BusNode::cut).
#[derive(Clone)]
pub struct Bus {
    mailboxes: Arc<Mutex<Vec<Arc<Mailbox>>>>,
    config: Config,
}

/// One server's place on a [`Bus`]. Cloning gives another handle to the same place.
#[derive(Clone)]
pub struct BusNode {
    bus: Bus,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    frozen: AtomicBool,
    cut: AtomicBool,
    mailboxes: Mutex<Vec<Arc<Mailbox>>>,
    sent: AtomicU64,
}

/// What waits for one namespace of one server.
struct Mailbox {
    namespace: Str,
    id: NodeId,
    node: Arc<State>,
    state: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Message>,
    wakers: Vec<Waker>,
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").finish_non_exhaustive()
    }
}

impl fmt::Debug for BusNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusNode").field("frozen", &self.state.frozen).field("cut", &self.state.cut).finish()
    }
}

impl Default for Bus {
    fn default() -> Self {
        Self::new()
    }
}

impl Bus {
    /// A bus without servers.
    #[must_use]
    pub fn new() -> Self {
        Self::with_config(Config::default())
    }

    /// A bus whose servers have these limits and times; also for tests of [`Counted`](sio_proto::cluster::Liveness::Counted) clusters.
    #[must_use]
    pub fn with_config(config: Config) -> Self {
        Self { mailboxes: Arc::default(), config }
    }

    /// A place for one more server.
    #[must_use]
    pub fn node(&self) -> BusNode {
        BusNode { bus: self.clone(), state: Arc::default() }
    }

    fn mailboxes(&self) -> Vec<Arc<Mailbox>> {
        self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn post(&self, from: &State, to: Option<&NodeId>, message: &Message) {
        from.sent.fetch_add(1, Ordering::Relaxed);
        if from.cut.load(Ordering::Acquire) {
            return;
        }
        for mailbox in self.mailboxes() {
            let meant = mailbox.namespace == message.namespace
                && to.is_none_or(|to| *to == mailbox.id)
                && message.from.as_ref() != Some(&mailbox.id);
            if meant && !mailbox.node.cut.load(Ordering::Acquire) {
                mailbox.push(message.clone());
            }
        }
    }
}

impl BusNode {
    /// Stops the server's part in the cluster, as if its process were stopped: what others send waits, and what it sends waits.
    pub fn freeze(&self) {
        self.state.frozen.store(true, Ordering::Release);
    }

    /// Lets it go on, with all that waits.
    pub fn thaw(&self) {
        self.state.frozen.store(false, Ordering::Release);
        self.state.wake();
    }

    /// Cuts the server off, as if its process were killed: nothing comes or goes, and what waits is lost.
    pub fn cut(&self) {
        self.state.cut.store(true, Ordering::Release);
        for mailbox in self.state.mailboxes.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            mailbox.state.lock().unwrap_or_else(PoisonError::into_inner).messages.clear();
        }
    }

    /// Connects it again.
    pub fn join_again(&self) {
        self.state.cut.store(false, Ordering::Release);
    }

    /// How many messages it has sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::Relaxed)
    }
}

impl State {
    fn wake(&self) {
        let mailboxes = self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        mailboxes.iter().for_each(|mailbox| mailbox.wake());
    }
}

impl Mailbox {
    fn push(&self, message: Message) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).messages.push_back(message);
        self.wake();
    }

    fn wake(&self) {
        let wakers = std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).wakers);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The next message, once the node is not frozen.
    async fn next(&self) -> Message {
        poll_fn(|cx| {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.node.frozen.load(Ordering::Acquire)
                && let Some(message) = state.messages.pop_front()
            {
                return Poll::Ready(message);
            }
            enlist(&mut state.wakers, cx.waker());
            Poll::Pending
        })
        .await
    }

    /// Waits while the node is frozen.
    async fn thawed(&self) {
        poll_fn(|cx| {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.node.frozen.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            enlist(&mut state.wakers, cx.waker());
            Poll::Pending
        })
        .await;
    }
}

impl Adapter for BusNode {
    fn config(&self) -> Config {
        self.bus.config.clone()
    }

    fn join(&self, link: Link) -> BoxFuture<()> {
        let (bus, node) = (self.bus.clone(), self.state.clone());
        let mailbox = Arc::new(Mailbox {
            namespace: link.namespace().clone(),
            id: link.id().clone(),
            node: node.clone(),
            state: Mutex::default(),
        });
        for list in [&bus.mailboxes, &node.mailboxes] {
            list.lock().unwrap_or_else(PoisonError::into_inner).push(mailbox.clone());
        }
        link.ready();
        Box::pin(async move {
            let leave = Leave(&bus, &mailbox);
            loop {
                mailbox.thawed().await;
                match select(pin!(link.next()), pin!(mailbox.next())).await {
                    Either::Left((Some(transmit), _)) => {
                        // It may have been frozen while nothing was to be sent.
                        mailbox.thawed().await;
                        match transmit {
                            Transmit::Send { to, message } => bus.post(&node, to.as_ref(), &message),
                            Transmit::Count(request) => {
                                let there = |other: &Arc<Mailbox>| {
                                    other.namespace == mailbox.namespace
                                        && other.id != mailbox.id
                                        && !other.node.cut.load(Ordering::Acquire)
                                };
                                let others = bus.mailboxes().iter().filter(|other| there(other)).count();
                                link.counted(&request, Some(others));
                            }
                            _ => {}
                        }
                    }
                    Either::Left((None, _)) => break,
                    Either::Right((message, _)) => drop(link.receive(message)),
                }
            }
            drop(leave);
        })
    }
}

struct Leave<'a>(&'a Bus, &'a Arc<Mailbox>);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let Self(bus, mailbox) = *self;
        for list in [&bus.mailboxes, &mailbox.node.mailboxes] {
            list.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| !Arc::ptr_eq(other, mailbox));
        }
    }
}
