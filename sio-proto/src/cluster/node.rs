//! [`Node`]: one namespace of one server among the others.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use super::peers::Peers;
use super::pending::{Collected, Pending};
use super::{
    Ask, Body, Broadcast, Change, Config, Event, Flags, Liveness, Message, NodeId, Rejected, RequestId,
    SocketInfo, Stats, Ticket, Transmit,
};
use crate::hub::Scope;
use crate::id::Random;
use crate::socket::Payload;
use crate::time::earliest;
use crate::{Instant, Seed, Str};

/// The shortest time between heartbeats: with less the clock would not go on.
const SHORTEST: Duration = Duration::from_millis(1);

/// One namespace of one server among the others.
///
/// After any number of calls, drain [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event), and look at
/// [`poll_timeout`](Self::poll_timeout), whose answer every call may change.
#[derive(Debug)]
pub struct Node {
    id: NodeId,
    namespace: Str,
    config: Config,
    random: Random,
    peers: Peers,
    /// How many did not answer the last request that they must answer, where ids are not known.
    silent: usize,
    pending: BTreeMap<RequestId, Pending>,
    /// When each of them is looked at, if nothing comes for it.
    deadlines: BTreeSet<(Instant, RequestId)>,
    transmits: VecDeque<Transmit>,
    outbox: usize,
    events: VecDeque<Event>,
    heartbeat: Option<Instant>,
    closed: bool,
    stats: Stats,
}

impl Node {
    /// A node that nobody has heard of yet. `namespace` has its slash.
    #[must_use]
    pub fn new(namespace: Str, config: Config, seed: Seed) -> Self {
        let mut random = Random::new(seed);
        Self {
            id: NodeId::new(format!("{:016x}", random.number())),
            namespace,
            config,
            random,
            peers: Peers::default(),
            silent: 0,
            pending: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            transmits: VecDeque::new(),
            outbox: 0,
            events: VecDeque::new(),
            heartbeat: None,
            closed: false,
            stats: Stats::default(),
        }
    }

    /// The node's own id.
    #[must_use]
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &Str {
        &self.namespace
    }

    /// The others that were heard of; with [`Liveness::Counted`] some of them may be gone.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.peers.ids()
    }

    /// How many requests wait for answers.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.pending.len()
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Messages of others come from here on: says so to them, with heartbeats. Call it again when the connection to them was lost and is
    /// there again.
    pub fn start(&mut self, now: Instant) {
        if let Liveness::Heartbeats { interval, .. } = self.config.liveness {
            if !self.closed {
                self.send(None, Body::Hello);
                self.heartbeat = Some(now + interval.max(SHORTEST));
            }
        }
    }

    /// Goes. Requests end with what has come. Later commands do nothing.
    pub fn close(&mut self) {
        if self.closed {
            return;
        }
        if let Liveness::Heartbeats { .. } = self.config.liveness {
            self.send(None, Body::Bye);
        }
        self.closed = true;
        self.heartbeat = None;
        self.deadlines.clear();
        for (request, pending) in mem::take(&mut self.pending) {
            self.finish(request, pending);
        }
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Sends an event to the clients of all other nodes that are meant.
    pub fn broadcast(&mut self, payload: Payload, scope: Scope, flags: Flags) {
        let Flags { volatile, compress } = flags;
        self.send(None, Body::Broadcast(Broadcast { payload, scope, volatile, compress, ask: None }));
    }

    /// Does something to the clients of all other nodes that are meant.
    pub fn change(&mut self, scope: Scope, change: Change) {
        self.send(None, Body::Change { scope, change });
    }

    /// Sends an event to all other servers.
    pub fn server_side_emit(&mut self, payload: Payload) {
        self.send(None, Body::ServerSideEmit { payload, request: None });
    }

    /// Asks for the clients of all other nodes that are meant.
    pub fn fetch_sockets(&mut self, scope: Scope, timeout: Duration, now: Instant) -> RequestId {
        let request = self.next_request();
        let body = Body::FetchSockets { request: request.clone(), scope };
        self.request(request.clone(), body, Collected::Sockets(Vec::new()), now + timeout, now);
        request
    }

    /// As [`broadcast`](Self::broadcast), and collects the acknowledgements. `single`: the first is all that is awaited.
    pub fn broadcast_with_ack(
        &mut self,
        payload: Payload,
        scope: Scope,
        flags: Flags,
        single: bool,
        timeout: Duration,
        now: Instant,
    ) -> RequestId {
        let request = self.next_request();
        let ask = Some(Ask { request: request.clone(), timeout, single });
        let Flags { volatile, compress } = flags;
        let body = Body::Broadcast(Broadcast { payload, scope, volatile, compress, ask });
        let collected = Collected::Acks { acks: Vec::new(), clients: BTreeMap::new(), single };
        self.request(request.clone(), body, collected, now + timeout, now);
        request
    }

    /// Sends an event to all other servers, and collects their answers.
    pub fn server_side_emit_with_ack(
        &mut self,
        payload: Payload,
        timeout: Duration,
        now: Instant,
    ) -> RequestId {
        let request = self.next_request();
        let body = Body::ServerSideEmit { payload, request: Some(request.clone()) };
        self.request(
            request.clone(),
            body,
            Collected::Values { values: Vec::new(), unanswered: 0 },
            now + timeout,
            now,
        );
        request
    }

    /// Forgets a request. What comes for it is late.
    pub fn cancel(&mut self, request: &RequestId) {
        self.take_request(request);
    }

    /// Answers [`Event::FetchSockets`].
    pub fn answer_sockets(&mut self, ticket: &Ticket, sockets: Vec<SocketInfo>) {
        self.send(ticket.to.clone(), Body::Sockets { request: ticket.request.clone(), sockets });
    }

    /// Says how many clients an [`Event::Broadcast`] reached that asks for acknowledgements.
    pub fn answer_count(&mut self, ticket: &Ticket, count: usize) {
        self.send(ticket.to.clone(), Body::ClientCount { request: ticket.request.clone(), count });
    }

    /// Passes the acknowledgement of a client on.
    pub fn answer_ack(&mut self, ticket: &Ticket, payload: Payload) {
        self.send(ticket.to.clone(), Body::ClientAck { request: ticket.request.clone(), payload });
    }

    /// Answers [`Event::ServerSideEmit`].
    pub fn answer(&mut self, ticket: &Ticket, payload: Payload) {
        self.send(ticket.to.clone(), Body::Answer { request: ticket.request.clone(), payload });
    }

    /// Says that there will be no answer to an [`Event::ServerSideEmit`], so that nobody waits for it.
    pub fn decline(&mut self, ticket: &Ticket) {
        self.send(ticket.to.clone(), Body::NoAnswer { request: ticket.request.clone() });
    }

    /// A message has come. The node's own are ignored, so an adapter need not know them.
    ///
    /// # Errors
    /// [`Rejected`] is for the log, and was counted; nothing has changed but that its sender was heard of.
    pub fn handle_message(&mut self, message: Message, now: Instant) -> Result<(), Rejected> {
        // There may be many requests: only that is looked at for which something came.
        let request = match &message.body {
            Body::Sockets { request, .. }
            | Body::ClientCount { request, .. }
            | Body::ClientAck { request, .. }
            | Body::Answer { request, .. }
            | Body::NoAnswer { request } => Some(request.clone()),
            _ => None,
        };
        let gone = message.body == Body::Bye;
        let result = self.take(message, now);
        if result.is_err() {
            self.stats.rejected += 1;
        }
        match request {
            Some(request) => self.settle(Vec::from([request]), now),
            None if gone => self.settle_all(now),
            None => {}
        }
        result
    }

    /// How many nodes there are besides this one, as [`Transmit::Count`] asks. `None` if that cannot be found out: the request is sent,
    /// and waits for those that were heard of. No more than [`Config::max_nodes`] are waited for.
    pub fn handle_count(&mut self, request: &RequestId, others: Option<usize>, now: Instant) {
        let known = self.peers.ids().count();
        // Whoever does not answer is listed one by one.
        let most = self.config.max_nodes;
        let Some(pending) = self.pending.get_mut(request) else { return };
        if let Some(body) = pending.counted(others.unwrap_or_else(|| known.max(1)).min(most)) {
            if others != Some(0) {
                self.send(None, body);
            }
        }
        self.settle(Vec::from([request.clone()]), now);
    }

    /// Tells the time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Liveness::Heartbeats { interval, timeout } = self.config.liveness {
            if self.heartbeat.is_some_and(|at| at <= now) {
                self.heartbeat = Some(now + interval.max(SHORTEST));
                self.send(None, Body::Heartbeat);
            }
            if !self.closed {
                let gone = self.peers.expire(timeout.max(SHORTEST), now);
                gone.iter().for_each(|gone| self.lose(gone));
                if !gone.is_empty() {
                    self.settle_all(now);
                }
            }
        }
        let due = self.deadlines.iter().take_while(|(at, _)| *at <= now);
        let due = due.map(|(_, request)| request.clone()).collect();
        self.settle(due, now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.closed {
            return None;
        }
        let expiry = match self.config.liveness {
            Liveness::Heartbeats { timeout, .. } => self.peers.next_expiry(timeout.max(SHORTEST)),
            Liveness::Counted => None,
        };
        let requests = self.deadlines.first().map(|(at, _)| *at);
        earliest(earliest(self.heartbeat, expiry), requests)
    }

    /// The next thing for the adapter to do.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = self.transmits.pop_front()?;
        self.outbox -= match &transmit {
            Transmit::Send { message, .. } => message.body.size(),
            Transmit::Count(_) => Body::Heartbeat.size(),
        };
        Some(transmit)
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has something.
    #[must_use]
    pub fn has_transmits(&self) -> bool {
        !self.transmits.is_empty()
    }

    /// The next thing that others want, or that has become of a request.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn next_request(&mut self) -> RequestId {
        RequestId::new(format!("{:016x}", self.random.number()))
    }

    fn send(&mut self, to: Option<NodeId>, body: Body) {
        let size = body.size();
        if self.closed {
            return;
        }
        // The last word must fit: it is small.
        if self.outbox.saturating_add(size) > self.config.max_outbox && body != Body::Bye {
            self.stats.dropped += 1;
            return;
        }
        self.outbox += size;
        let message = Message { from: Some(self.id.clone()), namespace: self.namespace.clone(), body };
        self.transmits.push_back(Transmit::Send { to, message });
    }

    fn request(&mut self, id: RequestId, body: Body, collected: Collected, deadline: Instant, now: Instant) {
        let full = self.closed
            || self.pending.len() >= self.config.max_requests
            || self.outbox >= self.config.max_outbox;
        let counted = self.config.liveness == Liveness::Counted;
        if full {
            let others: BTreeSet<NodeId> = self.peers.ids().cloned().collect();
            // Broadcasts and events of servers are sent all the same; nobody waits for the answers.
            if !matches!(body, Body::FetchSockets { .. }) {
                self.send(None, body);
            }
            self.finish(id, Pending::of_nodes(others, collected, deadline));
        } else if counted {
            self.outbox += Body::Heartbeat.size();
            self.transmits.push_back(Transmit::Count(id.clone()));
            self.wait(id, Pending::counting(body, collected, deadline), now);
        } else {
            let others: BTreeSet<NodeId> = self.peers.ids().cloned().collect();
            // Also if nobody was heard of: somebody may just have come.
            self.send(None, body);
            self.wait(id, Pending::of_nodes(others, collected, deadline), now);
        }
    }

    /// A request waits from now on.
    fn wait(&mut self, id: RequestId, pending: Pending, now: Instant) {
        self.deadlines.insert((pending.poll_timeout(), id.clone()));
        self.pending.insert(id.clone(), pending);
        self.settle(Vec::from([id]), now);
    }

    /// A request does not wait any more.
    fn take_request(&mut self, id: &RequestId) -> Option<Pending> {
        let pending = self.pending.remove(id)?;
        self.deadlines.remove(&(pending.poll_timeout(), id.clone()));
        Some(pending)
    }

    fn take(&mut self, message: Message, now: Instant) -> Result<(), Rejected> {
        let Message { from, namespace, body } = message;
        if self.closed || from.as_ref() == Some(&self.id) {
            return Ok(());
        }
        if namespace != self.namespace {
            return Err(Rejected::Namespace);
        }
        let emitter = NodeId::emitter();
        if let Some(from) = from.as_ref().filter(|from| **from != emitter && body != Body::Bye) {
            let evict = self.config.liveness == Liveness::Counted;
            self.peers.see(from, self.config.max_nodes, evict, now)?;
        }
        let ticket = |request| Ticket { to: from.clone(), request };
        match body {
            Body::Hello => self.send(None, Body::Heartbeat),
            Body::Heartbeat => {}
            Body::Bye => {
                let from = from.ok_or(Rejected::Anonymous)?;
                if self.peers.remove(&from) {
                    self.lose(&from);
                }
            }
            Body::Broadcast(Broadcast { payload, scope, volatile, compress, ask }) => {
                let ask = ask.map(|ask| (ticket(ask.request), ask.timeout));
                self.events.push_back(Event::Broadcast { payload, scope, volatile, compress, ask });
            }
            Body::Change { scope, change } => self.events.push_back(Event::Change { scope, change }),
            Body::FetchSockets { request, scope } => {
                self.events.push_back(Event::FetchSockets { ticket: ticket(request), scope });
            }
            Body::ServerSideEmit { payload, request } => {
                let ticket = request.map(ticket);
                self.events.push_back(Event::ServerSideEmit { from, payload, ticket });
            }
            Body::Sockets { ref request, .. }
            | Body::ClientCount { ref request, .. }
            | Body::ClientAck { ref request, .. }
            | Body::Answer { ref request, .. }
            | Body::NoAnswer { ref request } => match self.pending.get_mut(request) {
                Some(pending) => pending.answer(from, body, &self.config)?,
                None => self.stats.late += 1,
            },
        }
        Ok(())
    }

    fn lose(&mut self, node: &NodeId) {
        self.pending.values_mut().for_each(|pending| pending.lose(node));
    }

    fn settle_all(&mut self, now: Instant) {
        self.settle(self.pending.keys().cloned().collect(), now);
    }

    /// Looks at requests, and ends those that are over. If one tells that others wait in vain, at all of them.
    fn settle(&mut self, requests: Vec<RequestId>, now: Instant) {
        let mut news = false;
        for request in requests {
            let Some(pending) = self.pending.get_mut(&request) else { continue };
            let before = pending.poll_timeout();
            pending.reconsider(&self.peers, self.silent, &self.config, now);
            let over = pending.is_over(now);
            let at = pending.poll_timeout();
            if at != before {
                self.deadlines.remove(&(before, request.clone()));
                self.deadlines.insert((at, request.clone()));
            }
            if !over {
                continue;
            }
            let Some(pending) = self.take_request(&request) else { continue };
            if pending.must_be_answered() {
                let missing = pending.missing(&self.peers);
                // Once the only acknowledgement is there the others are not awaited: that is not their silence.
                if missing.count == 0 || !pending.is_complete() {
                    missing.nodes.iter().for_each(|node| news |= self.peers.set_silent(node));
                    news |= missing.count > self.silent;
                    self.silent = missing.count;
                }
            }
            self.finish(request, pending);
        }
        if news {
            self.settle_all(now);
        }
    }

    fn finish(&mut self, request: RequestId, pending: Pending) {
        let missing = pending.missing(&self.peers);
        let answers = pending.into_answers();
        self.events.push_back(Event::Done { request, answers, missing });
    }
}
