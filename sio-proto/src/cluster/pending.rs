//! A request that waits for answers.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::peers::Peers;
use super::{Answers, Body, Config, Missing, NodeId, Rejected, SocketInfo};
use crate::Instant;
use crate::socket::Payload;

/// What came so far.
#[derive(Debug)]
pub(super) enum Collected {
    Sockets(Vec<SocketInfo>),
    Acks { acks: Vec<Payload>, clients: BTreeMap<Option<NodeId>, Clients>, single: bool },
    Values { values: Vec<Payload>, unanswered: usize },
}

/// Clients of one node, or of all nodes that do not say who they are.
#[derive(Debug, Default)]
pub(super) struct Clients {
    asked: usize,
    answered: usize,
}

/// Who must still answer. For a broadcast: say how many clients it has.
#[derive(Debug)]
enum Waiting {
    /// Not known yet: they are being counted. What is sent then.
    Count(Body),
    Nodes(BTreeSet<NodeId>),
    /// So many.
    Number(usize),
}

#[derive(Debug)]
pub(super) struct Pending {
    waiting: Waiting,
    answered: BTreeSet<NodeId>,
    collected: Collected,
    count: usize,
    /// Clients that others say they have asked. Apart from `count`: each of them may also answer.
    asked: usize,
    bytes: usize,
    deadline: Instant,
    /// When it ends if those do not answer that did not answer before either.
    grace: Option<Instant>,
}

impl Pending {
    pub(super) fn counting(body: Body, collected: Collected, deadline: Instant) -> Self {
        Self::new(Waiting::Count(body), collected, deadline)
    }

    pub(super) fn of_nodes(nodes: BTreeSet<NodeId>, collected: Collected, deadline: Instant) -> Self {
        Self::new(Waiting::Nodes(nodes), collected, deadline)
    }

    fn new(waiting: Waiting, collected: Collected, deadline: Instant) -> Self {
        let answered = BTreeSet::new();
        Self { waiting, answered, collected, count: 0, asked: 0, bytes: 0, deadline, grace: None }
    }

    /// There are so many others. Gives what is to be sent.
    pub(super) fn counted(&mut self, others: usize) -> Option<Body> {
        if !matches!(self.waiting, Waiting::Count(_)) {
            return None;
        }
        match core::mem::replace(&mut self.waiting, Waiting::Number(others)) {
            Waiting::Count(body) => Some(body),
            _ => None,
        }
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.is_complete() || self.poll_timeout() <= now
    }

    pub(super) fn is_complete(&self) -> bool {
        if let Collected::Acks { acks, single: true, .. } = &self.collected {
            if !acks.is_empty() {
                return true;
            }
        }
        let nobody = match &self.waiting {
            Waiting::Count(_) => false,
            Waiting::Nodes(nodes) => nodes.is_empty(),
            Waiting::Number(number) => *number == 0,
        };
        nobody && self.unanswered() == 0
    }

    /// Clients that have the event and have not answered.
    fn unanswered(&self) -> usize {
        match &self.collected {
            Collected::Acks { clients, .. } => {
                let left = clients.values().map(|of| of.asked.saturating_sub(of.answered));
                left.fold(0, usize::saturating_add)
            }
            _ => 0,
        }
    }

    /// Whether silence means that something is wrong with a node. A server without a handler is silent too.
    pub(super) fn must_be_answered(&self) -> bool {
        !matches!(self.collected, Collected::Values { .. })
    }

    /// When it is over, or may be.
    pub(super) fn poll_timeout(&self) -> Instant {
        self.grace.map_or(self.deadline, |grace| grace.min(self.deadline))
    }

    /// Looks whether only those are awaited that were silent before: `silent` of them, where ids are not known.
    pub(super) fn reconsider(&mut self, peers: &Peers, silent: usize, config: &Config, now: Instant) {
        let hopeless = match &self.waiting {
            Waiting::Count(_) => false,
            Waiting::Nodes(nodes) => nodes.iter().all(|node| peers.is_silent(node)),
            Waiting::Number(number) => *number <= silent,
        };
        if hopeless && self.unanswered() == 0 {
            self.grace = self.grace.or(Some(now + config.grace));
        } else {
            self.grace = None;
        }
    }

    /// A node is gone: nothing more comes from it.
    pub(super) fn lose(&mut self, node: &NodeId) {
        if let Waiting::Nodes(nodes) = &mut self.waiting {
            nodes.remove(node);
        }
        if let Collected::Acks { clients, .. } = &mut self.collected {
            if let Some(of) = clients.get_mut(&Some(node.clone())) {
                of.asked = of.answered;
            }
        }
    }

    /// One answer of a node, of which it gives one only.
    fn check_off(&mut self, from: Option<&NodeId>) -> Result<(), Rejected> {
        match (&mut self.waiting, from) {
            (Waiting::Count(_), _) => Err(Rejected::Kind),
            (Waiting::Nodes(_), None) => Err(Rejected::Anonymous),
            (_, Some(from)) if self.answered.contains(from) => Err(Rejected::Twice),
            (Waiting::Nodes(nodes), Some(from)) => {
                nodes.remove(from);
                self.answered.insert(from.clone());
                Ok(())
            }
            (Waiting::Number(number), from) => {
                *number = number.saturating_sub(1);
                self.answered.extend(from.cloned());
                Ok(())
            }
        }
    }

    fn admit(&mut self, count: usize, bytes: usize, config: &Config) -> Result<(), Rejected> {
        let count = self.count.saturating_add(count);
        let bytes = self.bytes.saturating_add(bytes);
        if count > config.max_answers || bytes > config.max_answer_bytes {
            return Err(Rejected::TooManyAnswers);
        }
        (self.count, self.bytes) = (count, bytes);
        Ok(())
    }

    pub(super) fn answer(
        &mut self,
        from: Option<NodeId>,
        body: Body,
        config: &Config,
    ) -> Result<(), Rejected> {
        let size = body.size();
        match (body, &self.collected) {
            (Body::Sockets { sockets: more, .. }, Collected::Sockets(_)) => {
                // Whoever answers too much has answered.
                self.check_off(from.as_ref())?;
                self.admit(more.len(), size, config)?;
                if let Collected::Sockets(sockets) = &mut self.collected {
                    sockets.extend(more);
                }
            }
            (Body::Answer { payload, .. }, Collected::Values { .. }) => {
                self.check_off(from.as_ref())?;
                self.admit(1, size, config)?;
                if let Collected::Values { values, .. } = &mut self.collected {
                    values.push(payload);
                }
            }
            (Body::NoAnswer { .. }, Collected::Values { .. }) => {
                self.check_off(from.as_ref())?;
                self.admit(1, size, config)?;
                if let Collected::Values { unanswered, .. } = &mut self.collected {
                    *unanswered += 1;
                }
            }
            (Body::ClientCount { count, .. }, Collected::Acks { .. }) => {
                self.check_off(from.as_ref())?;
                // The application is given an entry for each that does not answer.
                let asked = self.asked.saturating_add(count);
                if asked > config.max_answers {
                    return Err(Rejected::TooManyAnswers);
                }
                self.asked = asked;
                if let Collected::Acks { clients, .. } = &mut self.collected {
                    let of = clients.entry(from).or_default();
                    of.asked = of.asked.saturating_add(count);
                }
            }
            (Body::ClientAck { payload, .. }, Collected::Acks { .. }) => {
                if from.is_none() && matches!(self.waiting, Waiting::Nodes(_)) {
                    return Err(Rejected::Anonymous);
                }
                self.admit(1, size, config)?;
                if let Collected::Acks { acks, clients, .. } = &mut self.collected {
                    // It may come before the count.
                    clients.entry(from).or_default().answered += 1;
                    acks.push(payload);
                }
            }
            _ => return Err(Rejected::Kind),
        }
        Ok(())
    }

    pub(super) fn missing(&self, peers: &Peers) -> Missing {
        match &self.waiting {
            Waiting::Nodes(nodes) => Missing { count: nodes.len(), nodes: nodes.iter().cloned().collect() },
            Waiting::Number(count) => {
                let nodes: Vec<NodeId> =
                    peers.ids().filter(|id| !self.answered.contains(id)).cloned().collect();
                // Others may be among them that are gone.
                let certain = nodes.len() == *count;
                Missing { count: *count, nodes: if certain { nodes } else { Vec::new() } }
            }
            Waiting::Count(_) => {
                let nodes: Vec<NodeId> = peers.ids().cloned().collect();
                Missing { count: nodes.len().max(1), nodes }
            }
        }
    }

    pub(super) fn into_answers(self) -> Answers {
        let unanswered = self.unanswered();
        match self.collected {
            Collected::Sockets(sockets) => Answers::Sockets(sockets),
            Collected::Acks { acks, .. } => Answers::Acks { acks, unanswered },
            Collected::Values { values, unanswered } => Answers::Values { values, unanswered },
        }
    }
}
