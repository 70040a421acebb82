//! [`Link`]: what an adapter holds.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use sio_proto::Str;
use sio_proto::cluster::{Message, NodeId, Rejected, RequestId, Stats, Transmit};

use super::Member;

/// One namespace of one server, as its adapter sees it. Cloning gives another handle.
#[derive(Clone)]
pub struct Link {
    member: Arc<Member>,
    namespace: Str,
    id: NodeId,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("namespace", &self.namespace).field("id", &self.id).finish()
    }
}

impl Link {
    pub(super) fn new(member: Arc<Member>) -> Self {
        let (namespace, id) = member.names();
        Self { member, namespace, id }
    }

    /// The namespace, with its slash.
    #[must_use]
    pub fn namespace(&self) -> &Str {
        &self.namespace
    }

    /// The id of this node: of this namespace of this server.
    #[must_use]
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// Says that messages of others arrive from here on. To be called again when they did not for a while, as after a lost connection.
    pub fn ready(&self) {
        self.member.act(sio_proto::cluster::Node::start);
    }

    /// The next thing to do, in order. `None` when the node has gone: the adapter is done. Only one task may wait for it.
    ///
    /// While nobody asks, messages wait, up to [`max_outbox`](sio_proto::cluster::Config::max_outbox) bytes; local clients do not
    /// wait for them.
    pub async fn next(&self) -> Option<Transmit> {
        poll_fn(|cx| self.member.poll_transmit(cx)).await
    }

    /// Gives a message that has come. It is dealt with before this returns. Messages of one sender must come in their order, and one
    /// after another. The node's own are ignored.
    ///
    /// The first steps of handlers, listeners and watchers run in this call. So an adapter must not call it from within the
    /// publishing of a message, on the same thread; and a handler must not block, or this server hears nothing of the others meanwhile.
    ///
    /// # Errors
    /// A message that was not taken. That is logged; there is nothing to be done about it.
    pub fn receive(&self, message: Message) -> Result<(), Rejected> {
        self.member.receive(message)
    }

    /// The answer to [`Transmit::Count`]: how many nodes there are besides this one; `None` if that cannot be found out.
    pub fn counted(&self, request: &RequestId, others: Option<usize>) {
        self.member.act(|node, now| node.handle_count(request, others, now));
    }

    /// Whether one of this server's clients is in this room, so that an adapter can tell that a message is for nobody before it reads it.
    #[must_use]
    pub fn is_occupied(&self, room: &str) -> bool {
        self.member.namespace().is_some_and(|namespace| namespace.is_occupied(room))
    }

    /// What was counted so far: messages that were refused, came late or were dropped.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.member.act(|node, _| node.stats())
    }
}
