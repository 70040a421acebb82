//! A node whose peers say anything at any time, as it is read from a backend.
//!
//! After every step: deadlines move on, limits are kept, each request ends once and in time. In the end nothing is left.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::hash::Hasher as _;
use core::time::Duration;

use super::world::{Fnv, Op};
use crate::cluster::{
    Ask, Body, Broadcast, Change, Config, Event, Flags, Liveness, Message, Node, NodeId, RequestId,
    SocketInfo, Ticket, Transmit,
};
use crate::hub::Scope;
use crate::socket::Payload;
use crate::{Instant, Seed};

const NODES: usize = 4;
const REQUESTS: usize = 3;
const ANSWERS: usize = 8;

/// Runs the steps in `bytes`, four bytes each, twice; both runs must be the same.
pub fn cluster_ops(bytes: &[u8]) {
    // More than this finds nothing more, only later.
    let ops: Vec<Op> = bytes.chunks_exact(4).take(500).map(|op| [op[0], op[1], op[2], op[3]]).collect();
    assert_eq!(run(&ops), run(&ops), "the same seed and inputs, but another trace");
}

fn run(ops: &[Op]) -> u64 {
    let mut world = World::new(ops.first().is_some_and(|op| op[3] & 1 == 1));
    for op in ops {
        world.step(*op);
        world.check();
    }
    world.end()
}

struct World {
    now: Instant,
    node: Node,
    requests: Vec<RequestId>,
    /// Those that have not ended, and when they must.
    open: BTreeMap<RequestId, Instant>,
    tickets: Vec<Ticket>,
    /// What a node asks the adapter to count.
    counts: Vec<RequestId>,
    trace: Fnv,
}

fn payload(how: u8) -> Payload {
    Payload::from_event("e", &vec![how; usize::from(how)]).expect("numbers are JSON")
}

fn scope(how: u8) -> Scope {
    if how & 1 == 1 { Scope::all().to(format!("room {how}")) } else { Scope::all() }
}

impl World {
    fn new(counted: bool) -> Self {
        let config = Config {
            liveness: if counted { Liveness::Counted } else { Liveness::heartbeats() },
            max_nodes: NODES,
            max_requests: REQUESTS,
            max_answers: ANSWERS,
            max_answer_bytes: 2000,
            max_outbox: 2000,
            ..Config::default()
        };
        Self {
            now: Instant::ZERO,
            node: Node::new("/".into(), config, Seed([1; 32])),
            requests: Vec::new(),
            open: BTreeMap::new(),
            tickets: Vec::new(),
            counts: Vec::new(),
            trace: Fnv::new(),
        }
    }

    /// What is done, by whom, how, and with which request or for how long.
    fn step(&mut self, [what, who, how, more]: Op) {
        let now = self.now;
        match what % 32 {
            0 => self.node.start(now),
            1 => self.node.broadcast(payload(how), scope(more), flags(more)),
            2 => self.node.change(scope(how), Change::Leave(vec!["a".into()])),
            3 | 4 => {
                let until = Duration::from_millis(u64::from(more) * 50);
                // A node that has gone ends it at once, too.
                let request = match how % 4 {
                    0 => self.node.fetch_sockets(scope(who), until, now),
                    1 => self.node.server_side_emit_with_ack(payload(who), until, now),
                    single => {
                        let (payload, scope) = (payload(who), scope(more));
                        self.node.broadcast_with_ack(payload, scope, flags(more), single == 2, until, now)
                    }
                };
                self.open.insert(request.clone(), now + until);
                self.requests.push(request);
            }
            5 => {
                let request = self.request(more);
                self.node.cancel(&request);
                self.open.remove(&request);
            }
            6 | 7 => self.time(u64::from(how) * 50),
            8 | 9 => {
                if let Some(ticket) = self.tickets.pop() {
                    match how % 5 {
                        0 => self.node.answer_sockets(&ticket, vec![info(more)]),
                        1 => self.node.answer_count(&ticket, usize::from(more)),
                        2 => self.node.answer_ack(&ticket, payload(more)),
                        3 => self.node.answer(&ticket, payload(more)),
                        _ => self.node.decline(&ticket),
                    }
                }
            }
            10 | 11 => {
                let request = self.counts.pop().unwrap_or_else(|| self.request(more));
                let others = (how < 250).then_some(usize::from(how % 5));
                self.node.handle_count(&request, others, now);
            }
            12 => self.drain(),
            13 if how == 0 => self.node.close(),
            _ => self.hear(what, who, how, more),
        }
    }

    fn request(&self, of: u8) -> RequestId {
        let at = self.requests.len().checked_sub(usize::from(of % 5) + 1);
        at.map_or_else(|| RequestId::new("unknown"), |at| self.requests[at].clone())
    }

    fn hear(&mut self, what: u8, who: u8, how: u8, more: u8) {
        let (request, payload) = (self.request(more), payload(how));
        let body = match what % 18 {
            0 => Body::Hello,
            1 => Body::Heartbeat,
            2 => Body::Bye,
            3 | 4 => Body::Broadcast(Broadcast {
                payload,
                scope: scope(more),
                volatile: how & 1 == 1,
                compress: (how & 2 == 2).then_some(how & 4 == 4),
                ask: (more & 1 == 1).then(|| Ask {
                    request,
                    timeout: Duration::from_millis(more.into()),
                    single: how & 8 == 8,
                }),
            }),
            5 => Body::Change { scope: scope(more), change: Change::Disconnect { close: how & 1 == 1 } },
            6 => Body::Change { scope: scope(more), change: Change::Join(vec!["a".into(); how.into()]) },
            7 | 8 => Body::FetchSockets { request, scope: scope(how) },
            9 => Body::ServerSideEmit { payload, request: (more & 1 == 1).then_some(request) },
            10 | 11 => Body::Sockets { request, sockets: vec![info(more); usize::from(how % 12)] },
            12 => Body::ClientCount { request, count: if how == 255 { usize::MAX } else { how.into() } },
            13 | 14 => Body::ClientAck { request, payload },
            15 => Body::NoAnswer { request },
            _ => Body::Answer { request, payload },
        };
        let from = match who % 9 {
            0 => None,
            1 => Some(NodeId::emitter()),
            2 => Some(self.node.id().clone()),
            other => Some(NodeId::new(format!("node {other}"))),
        };
        let namespace = if who == 255 { "/other" } else { "/" }.into();
        let rejected = self.node.stats().rejected;
        let result = self.node.handle_message(Message { from, namespace, body }, self.now);
        assert_eq!(self.node.stats().rejected - rejected, u64::from(result.is_err()), "refusals are counted");
    }

    fn time(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(next) = self.node.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.node.handle_timeout(self.now);
            self.drain();
            self.check();
            assert!(self.node.poll_timeout().is_none_or(|next| next > self.now), "time does not go on");
        }
        self.now = end;
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.node.poll_transmit() {
            self.trace.note(&transmit);
            match transmit {
                Transmit::Send { message, .. } => assert_eq!(message.from.as_ref(), Some(self.node.id())),
                Transmit::Count(request) => self.counts.push(request),
            }
        }
    }

    fn check(&mut self) {
        while let Some(event) = self.node.poll_event() {
            self.trace.note(&event);
            match event {
                Event::Done { request, missing, .. } => {
                    let until = self.open.remove(&request).expect("a request ends once");
                    assert!(self.now <= until, "a request ends in time");
                    assert!(
                        missing.nodes.len() <= missing.count.max(NODES),
                        "more are missing than there are"
                    );
                }
                Event::FetchSockets { ticket, .. }
                | Event::ServerSideEmit { ticket: Some(ticket), .. }
                | Event::Broadcast { ask: Some((ticket, _)), .. } => self.tickets.push(ticket),
                _ => {}
            }
        }
        assert!(self.node.nodes().count() <= NODES, "more nodes than are allowed");
        assert!(self.node.requests() <= REQUESTS, "more requests than are allowed");
        assert_eq!(self.node.requests(), self.open.len(), "what is kept is what is awaited");
        if self.node.is_closed() {
            assert_eq!((self.node.poll_timeout(), self.node.requests()), (None, 0), "it has gone");
        }
    }

    fn end(mut self) -> u64 {
        self.check();
        // The longest that a request may take, and more.
        self.time(60_000);
        self.check();
        assert!(self.open.is_empty(), "a request has not ended");
        self.drain();
        self.node.close();
        self.drain();
        self.check();
        assert!(!self.node.has_transmits());
        self.trace.finish()
    }
}

const fn flags(how: u8) -> Flags {
    Flags { volatile: how & 1 == 1, compress: if how & 2 == 2 { Some(false) } else { None } }
}

fn info(how: u8) -> SocketInfo {
    SocketInfo {
        id: format!("{how:020}").into(),
        rooms: vec!["a".into(); usize::from(how % 3)],
        ..SocketInfo::default()
    }
}
