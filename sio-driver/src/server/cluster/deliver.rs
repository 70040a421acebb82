//! What other servers want of the clients of this one.

use std::sync::Arc;

use sio_proto::Str;
use sio_proto::cluster::{Event, Flags, SocketInfo, Ticket};
use sio_proto::hub::Scope;
use sio_proto::server::Op;

use super::{Member, server_side};
use crate::server::Namespace;
use crate::server::operator::Operator;

impl Namespace {
    pub(super) fn deliver(&self, member: &Arc<Member>, event: Event) {
        match event {
            Event::Broadcast { payload, scope, volatile, compress, ask } => {
                let Some(name) = payload.name_str() else {
                    return ask.map_or((), |(ticket, _)| nobody(member, &ticket));
                };
                let operator = Operator::local_of(self.clone(), scope, Flags { volatile, compress });
                let failed = match ask {
                    None => operator.emit(&name, &payload).err(),
                    Some((ticket, timeout)) => match operator.ask(&name, &payload, timeout) {
                        Ok(asked) => {
                            answer_each(member, ticket, asked);
                            None
                        }
                        Err(error) => {
                            nobody(member, &ticket);
                            Some(error)
                        }
                    },
                };
                if let Some(error) = failed {
                    tracing::warn!(namespace = %self.name(), event = &*name, %error, "event of another server");
                }
            }
            Event::Change { scope, change } => {
                Operator::local_of(self.clone(), scope, Flags::default()).apply(&Op::from(change));
            }
            Event::FetchSockets { ticket, scope } => {
                let sockets = self.infos(&scope);
                member.act(|node, _| node.answer_sockets(&ticket, sockets));
            }
            Event::ServerSideEmit { from, payload, ticket } => {
                server_side::handle(self, member, from, payload, ticket);
            }
            _ => {}
        }
    }

    /// The clients of this server that are meant, as others see them.
    pub(crate) fn infos(&self, scope: &Scope) -> Vec<SocketInfo> {
        let share = self.share();
        let info = |socket: &crate::Socket| SocketInfo {
            id: Str::from(socket.id().as_str()),
            rooms: socket.rooms(),
            handshake: super::remote::handshake(socket),
            data: share.as_ref().map_or(Str::from_static("{}"), |share| share.data_of(socket)),
        };
        self.select(scope).iter().map(info).collect()
    }
}

/// Says that no client was asked, so that the other server does not wait, nor takes this one for silent.
fn nobody(member: &Member, ticket: &Ticket) {
    member.act(|node, _| node.answer_count(ticket, 0));
}

/// Says how many clients were asked, and passes their answers on as they come.
fn answer_each(member: &Arc<Member>, ticket: Ticket, mut asked: crate::server::operator::Asked) {
    let count = asked.expected();
    member.act(|node, _| node.answer_count(&ticket, count));
    if count == 0 {
        return;
    }
    let answering = member.clone();
    member.host().spawn(Box::pin(async move {
        while let Some((_, answer)) = asked.next().await {
            // Who does not answer is known by the count.
            if let Ok(payload) = answer {
                answering.act(|node, _| node.answer_ack(&ticket, payload));
            }
        }
    }));
}
