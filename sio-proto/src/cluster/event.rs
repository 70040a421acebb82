//! What a [`Node`](super::Node) tells and asks its owner.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Change, Message, NodeId, RequestId, SocketInfo};
use crate::hub::Scope;
use crate::socket::Payload;

/// Something for the adapter to do.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
// Nearly all are the large one.
#[allow(clippy::large_enum_variant)]
pub enum Transmit {
    /// Send a message, after all those that were given before.
    Send {
        /// To this node only, if the dialect can; else, and if `None`, to all. Nodes leave alone what is not for them.
        to: Option<NodeId>,
        /// The message.
        message: Message,
    },
    /// Find out how many nodes there are, and say so by [`handle_count`](super::Node::handle_count). The request is sent after that.
    Count(RequestId),
}

/// The right to answer a request of another node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ticket {
    pub(super) to: Option<NodeId>,
    pub(super) request: RequestId,
}

/// What other nodes want, and what became of requests to them.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Send an event to the clients of this node that are meant.
    Broadcast {
        /// Name and arguments.
        payload: Payload,
        /// Which clients.
        scope: Scope,
        /// Only those to whom it can go out at once.
        volatile: bool,
        /// The sender's wish about compression, if it has one.
        compress: Option<bool>,
        /// If acknowledgements are wanted, within this time:
        /// [`answer_count`](super::Node::answer_count) first, then [`answer_ack`](super::Node::answer_ack) for each.
        ask: Option<(Ticket, Duration)>,
    },
    /// Do this to the clients of this node that are meant.
    Change {
        /// Which clients.
        scope: Scope,
        /// What.
        change: Change,
    },
    /// [`answer_sockets`](super::Node::answer_sockets) with the clients of this node that are meant.
    FetchSockets {
        /// For the answer.
        ticket: Ticket,
        /// Which clients.
        scope: Scope,
    },
    /// Another server has something to say to this one.
    ServerSideEmit {
        /// Who.
        from: Option<NodeId>,
        /// Name and arguments.
        payload: Payload,
        /// For [`answer`](super::Node::answer) or [`decline`](super::Node::decline), if an answer is wanted.
        ticket: Option<Ticket>,
    },
    /// A request is over: all have answered, or its time is up. Comes once for each request that was not cancelled.
    Done {
        /// Which one.
        request: RequestId,
        /// What came.
        answers: Answers,
        /// Who did not answer.
        missing: Missing,
    },
}

/// Answers of other nodes; those of this one are its owner's.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Answers {
    /// To [`fetch_sockets`](super::Node::fetch_sockets).
    Sockets(Vec<SocketInfo>),
    /// To [`broadcast_with_ack`](super::Node::broadcast_with_ack).
    Acks {
        /// What clients answered.
        acks: Vec<Payload>,
        /// How many more clients had the event, and have not answered.
        unanswered: usize,
    },
    /// To [`server_side_emit_with_ack`](super::Node::server_side_emit_with_ack).
    Values {
        /// What servers answered.
        values: Vec<Payload>,
        /// How many servers said that they have no answer.
        unanswered: usize,
    },
}

/// Nodes that have not answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Missing {
    /// How many there are.
    pub count: usize,
    /// Their ids, if they are known.
    pub nodes: Vec<NodeId>,
}

/// A message that was not taken. The node goes on as if it had not come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// It is for another namespace.
    #[error("message for another namespace")]
    Namespace,
    /// More nodes than [`max_nodes`](super::Config::max_nodes).
    #[error("too many nodes")]
    TooManyNodes,
    /// The answer does not suit the request.
    #[error("an answer of another kind than the request")]
    Kind,
    /// The node has answered already.
    #[error("answered twice")]
    Twice,
    /// The dialect must say from whom an answer or a sign of life comes, and this one does not.
    #[error("from nobody")]
    Anonymous,
    /// More answers than [`max_answers`](super::Config::max_answers) or [`max_answer_bytes`](super::Config::max_answer_bytes).
    #[error("too many answers")]
    TooManyAnswers,
}

/// What a node has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Messages that were [`Rejected`].
    pub rejected: u64,
    /// Answers to requests that were over.
    pub late: u64,
    /// Messages that were dropped because [`max_outbox`](super::Config::max_outbox) was reached.
    pub dropped: u64,
}
