//! A node of a cluster, among others that say whatever they like.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use sio_proto::cluster::{
    Ask, Body, Broadcast, Change, Config, Event, Flags, Liveness, Message, Node, NodeId, RequestId,
    SocketInfo, Ticket, Transmit,
};
use sio_proto::hub::Scope;
use sio_proto::socket::Payload;
use sio_proto::{Instant, Seed};

use crate::harness::{Machine, obey, story};

#[derive(Clone, Debug)]
enum Op {
    Start,
    Broadcast,
    Fetch(u64),
    Acks(u64, bool),
    ServerSide(u64),
    Cancel(usize),
    /// What the owner answers to the last request of another node.
    Answer,
    Count(usize, Option<usize>),
    /// Another node, or nobody, says something, perhaps about one of our requests.
    Said(Option<u8>, u8, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let time = || prop_oneof![Just(0), 0..10_000u64];
    prop_oneof![
        1 => Just(Op::Start),
        1 => Just(Op::Broadcast),
        2 => time().prop_map(Op::Fetch),
        2 => (time(), any::<bool>()).prop_map(|(time, single)| Op::Acks(time, single)),
        1 => time().prop_map(Op::ServerSide),
        1 => (0..4usize).prop_map(Op::Cancel),
        2 => Just(Op::Answer),
        3 => (0..4usize, prop::option::of(0..4usize)).prop_map(|(of, others)| Op::Count(of, others)),
        9 => (prop::option::weighted(0.8, 0..4u8), 0..12u8, 0..4usize)
            .prop_map(|(from, what, of)| Op::Said(from, what, of)),
    ]
}

struct Nodes<const COUNTED: bool> {
    node: Node,
    requests: Vec<RequestId>,
    /// Requests that have not ended, and when they must.
    open: BTreeSet<RequestId>,
    asked: Vec<Ticket>,
}

impl<const COUNTED: bool> Nodes<COUNTED> {
    fn request(&self, of: usize) -> RequestId {
        let at = self.requests.len().checked_sub(of + 1);
        at.map_or_else(|| RequestId::new("unknown"), |at| self.requests[at].clone())
    }

    fn asked(&mut self, request: RequestId) {
        self.open.insert(request.clone());
        self.requests.push(request);
    }

    fn say(&mut self, from: Option<u8>, what: u8, of: usize, now: Instant) {
        let request = self.request(of);
        let payload = Payload::from_event("e", &1).unwrap();
        let ask = Some(Ask { request: request.clone(), timeout: Duration::from_secs(1), single: false });
        let body = match what {
            0 => Body::Hello,
            1 => Body::Heartbeat,
            2 => Body::Bye,
            3 => Body::Broadcast(Broadcast {
                payload,
                scope: Scope::all(),
                volatile: false,
                compress: None,
                ask,
            }),
            4 => Body::Change { scope: Scope::all(), change: Change::Disconnect { close: true } },
            5 => Body::FetchSockets { request, scope: Scope::all() },
            6 => Body::ServerSideEmit { payload, request: Some(request) },
            7 => Body::Sockets { request, sockets: vec![SocketInfo::default(); of] },
            8 => Body::ClientCount { request, count: if of == 3 { usize::MAX } else { of } },
            9 => Body::ClientAck { request, payload },
            10 => Body::Answer { request, payload },
            _ => Body::NoAnswer { request },
        };
        let from = from.map(|from| NodeId::new(format!("node {from}")));
        let _ = self.node.handle_message(Message { from, namespace: "/".into(), body }, now);
    }
}

impl<const COUNTED: bool> Machine for Nodes<COUNTED> {
    type Op = Op;

    fn new() -> Self {
        let mut config = Config::default();
        config.max_nodes = 3;
        config.max_requests = 3;
        config.max_outbox = 2000;
        if COUNTED {
            config.liveness = Liveness::Counted;
        }
        let node = Node::new("/".into(), config, Seed([1; 32]));
        Self { node, requests: Vec::new(), open: BTreeSet::new(), asked: Vec::new() }
    }

    fn apply(&mut self, op: &Op, now: Instant) {
        let event = || Payload::from_event("e", &()).unwrap();
        let millis = Duration::from_millis;
        let over = self.node.is_closed();
        match *op {
            Op::Start => self.node.start(now),
            Op::Broadcast => self.node.broadcast(event(), Scope::all(), Flags::default()),
            // Who asks a node that has gone is told at once.
            Op::Fetch(_) | Op::Acks(..) | Op::ServerSide(_) if over => {}
            Op::Fetch(time) => {
                let request = self.node.fetch_sockets(Scope::all(), millis(time), now);
                self.asked(request);
            }
            Op::Acks(time, single) => {
                let request = self.node.broadcast_with_ack(
                    event(),
                    Scope::all(),
                    Flags::default(),
                    single,
                    millis(time),
                    now,
                );
                self.asked(request);
            }
            Op::ServerSide(time) => {
                let request = self.node.server_side_emit_with_ack(event(), millis(time), now);
                self.asked(request);
            }
            Op::Cancel(of) => {
                let request = self.request(of);
                self.node.cancel(&request);
                self.open.remove(&request);
            }
            Op::Answer => {
                if let Some(ticket) = self.asked.pop() {
                    self.node.answer_count(&ticket, 2);
                    self.node.answer_sockets(&ticket, vec![SocketInfo::default()]);
                    self.node.decline(&ticket);
                }
            }
            Op::Count(of, others) => self.node.handle_count(&self.request(of), others, now),
            Op::Said(from, what, of) => self.say(from, what, of, now),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.node.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.node.poll_timeout()
    }

    fn drain(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        while let Some(transmit) = self.node.poll_transmit() {
            if let Transmit::Send { message, .. } = &transmit {
                assert_eq!(message.from.as_ref(), Some(self.node.id()));
            }
            out.push(format!("{transmit:?}"));
        }
        while let Some(event) = self.node.poll_event() {
            match &event {
                Event::Done { request, .. } => {
                    assert!(self.open.remove(request), "a request ends once, and not after it was cancelled");
                }
                Event::FetchSockets { ticket, .. } => self.asked.push(ticket.clone()),
                _ => {}
            }
            out.push(format!("{event:?}"));
        }
        assert!(self.node.nodes().count() <= 3, "4: no more nodes than are allowed");
        assert!(
            self.node.poll_timeout().is_some() || self.open.is_empty(),
            "a request waits, and nothing will end it"
        );
        out
    }

    fn is_over(&self) -> bool {
        self.node.is_closed() && self.open.is_empty()
    }

    fn end(&mut self, _: Instant) {
        self.node.close();
    }
}

proptest! {
    #[test]
    fn with_heartbeats(story in story(op())) {
        obey::<Nodes<false>>(&story);
    }

    #[test]
    fn counted(story in story(op())) {
        obey::<Nodes<true>>(&story);
    }
}

proptest! {
    #[test]
    fn peers_that_say_anything(ops in prop::collection::vec(any::<[u8; 4]>(), 0..200)) {
        sio_proto::fuzzing::cluster_ops(&ops.concat());
    }
}
