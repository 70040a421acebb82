//! Nodes of a cluster over a network that delays, reorders, repeats and drops, and nodes that die and come back under their ids.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use sio_proto::cluster::{
    Answers, Body, Config, Event, Flags, Message, Missing, Node, NodeId, RequestId, SocketInfo, Transmit,
};
use sio_proto::hub::Scope;
use sio_proto::socket::Payload;
use sio_proto::{Instant, Seed};

const NODES: usize = 3;

/// What becomes of a message.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives { after: u64 },
    Twice { after: u64, again: u64 },
    Lost,
}

#[derive(Clone, Debug)]
enum Step {
    /// A node asks the others: of which kind, and for how many milliseconds.
    Ask(usize, u8, u64),
    Wait(u64),
    /// Without a word.
    Die(usize),
    /// In a new life, under the same id; if it is alive it dies before.
    Restart(usize),
    Close(usize),
    /// What it says and hears is lost, or no longer.
    Cut(usize, bool),
}

struct Asked {
    by: usize,
    until: Instant,
}

struct World {
    now: Instant,
    /// `None`: dead.
    nodes: Vec<Option<Node>>,
    cut: [bool; NODES],
    network: BTreeMap<(Instant, usize), (usize, Message)>,
    sent: usize,
    fates: Vec<Fate>,
    open: BTreeMap<RequestId, Asked>,
    done: Vec<(RequestId, Answers, Missing)>,
}

fn node(at: usize) -> Node {
    Node::new("/".into(), Config::default(), Seed([at as u8 + 1; 32]))
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl World {
    fn new(fates: Vec<Fate>) -> Self {
        let nodes = (0..NODES).map(|_| None).collect();
        let mut world = Self {
            now: Instant::ZERO,
            nodes,
            cut: [false; NODES],
            network: BTreeMap::new(),
            sent: 0,
            fates,
            open: BTreeMap::new(),
            done: Vec::new(),
        };
        (0..NODES).for_each(|at| world.restart(at));
        world
    }

    fn restart(&mut self, at: usize) {
        self.die(at);
        let mut node = node(at);
        node.start(self.now);
        self.nodes[at] = Some(node);
        self.drain();
    }

    fn die(&mut self, at: usize) {
        self.nodes[at] = None;
        self.open.retain(|_, asked| asked.by != at);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Ask(by, kind, timeout) => drop(self.ask(by, kind, timeout)),
            Step::Wait(time) => self.run(time),
            Step::Die(at) => self.die(at),
            Step::Restart(at) => self.restart(at),
            Step::Close(at) => {
                if let Some(node) = &mut self.nodes[at] {
                    node.close();
                    self.drain();
                    self.die(at);
                }
            }
            Step::Cut(at, cut) => self.cut[at] = cut,
        }
    }

    fn ask(&mut self, by: usize, kind: u8, timeout: u64) -> Option<RequestId> {
        let (now, payload) = (self.now, Payload::from_event("e", &()).unwrap());
        let (scope, time) = (Scope::all(), millis(timeout));
        let node = self.nodes[by].as_mut()?;
        let request = match kind {
            0 => node.fetch_sockets(scope, time, now),
            1 => node.server_side_emit_with_ack(payload, time, now),
            _ => node.broadcast_with_ack(payload, scope, Flags::default(), kind == 2, time, now),
        };
        self.open.insert(request.clone(), Asked { by, until: now + time });
        self.drain();
        Some(request)
    }

    fn drain(&mut self) {
        for at in 0..NODES {
            let Some(node) = &mut self.nodes[at] else { continue };
            while let Some(event) = node.poll_event() {
                let answer = Payload::from_args(&at).unwrap();
                match event {
                    Event::FetchSockets { ticket, .. } => {
                        let info = SocketInfo { id: format!("of {at}").into(), ..SocketInfo::default() };
                        node.answer_sockets(&ticket, vec![info]);
                    }
                    Event::ServerSideEmit { ticket: Some(ticket), .. } if at == 1 => node.decline(&ticket),
                    Event::ServerSideEmit { ticket: Some(ticket), .. } => node.answer(&ticket, answer),
                    Event::Broadcast { ask: Some((ticket, _)), .. } => {
                        node.answer_count(&ticket, 2);
                        node.answer_ack(&ticket, answer);
                    }
                    Event::Done { request, answers, missing } => {
                        let asked = self.open.remove(&request).expect("a request ends once");
                        assert!(asked.by == at && self.now <= asked.until, "a request ends in time");
                        match &answers {
                            Answers::Sockets(sockets) => {
                                let whose: BTreeSet<_> = sockets.iter().map(|socket| &socket.id).collect();
                                assert_eq!(whose.len(), sockets.len(), "a node answers once");
                            }
                            Answers::Values { values, unanswered } => {
                                assert!(values.len() + unanswered < NODES, "a node answers once");
                            }
                            _ => {}
                        }
                        assert!(missing.count < NODES);
                        self.done.push((request, answers, missing));
                    }
                    _ => {}
                }
            }
            while let Some(transmit) = node.poll_transmit() {
                let Transmit::Send { to, message } = transmit else { panic!("{transmit:?}") };
                for other in (0..NODES).filter(|other| *other != at) {
                    if to.as_ref().is_none_or(|to| to.as_str() == id(other).as_str()) && !self.cut[at] {
                        let fate = self.fates.pop().unwrap_or(Fate::Arrives { after: 1 });
                        let times = match fate {
                            Fate::Lost => vec![],
                            Fate::Arrives { after } => vec![after],
                            Fate::Twice { after, again } => vec![after, again],
                        };
                        for after in times {
                            self.sent += 1;
                            self.network
                                .insert((self.now + millis(after), self.sent), (other, message.clone()));
                        }
                    }
                }
            }
            assert_eq!(
                node.requests(),
                self.open.values().filter(|asked| asked.by == at).count(),
                "what is kept is what is awaited"
            );
        }
    }

    fn run(&mut self, time: u64) {
        let end = self.now + millis(time);
        loop {
            self.drain();
            let arrives = self.network.keys().next().map(|(at, _)| *at);
            let due = self.nodes.iter().flatten().filter_map(Node::poll_timeout).min();
            let Some(next) = arrives.into_iter().chain(due).min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if arrives.is_some_and(|at| at <= self.now) {
                let (_, (to, message)) = self.network.pop_first().unwrap();
                if let Some(node) = self.nodes[to].as_mut().filter(|_| !self.cut[to]) {
                    let _ = node.handle_message(message, self.now);
                }
            } else {
                self.nodes.iter_mut().flatten().for_each(|node| node.handle_timeout(self.now));
            }
        }
        self.now = end;
    }

    /// All are well again: nothing is left of what was, and all answer.
    fn end(&mut self) {
        self.fates.clear();
        self.cut = [false; NODES];
        for at in 0..NODES {
            if self.nodes[at].is_none() {
                self.restart(at);
            }
        }
        self.run(60_000);
        assert!(self.open.is_empty(), "a request has not ended");
        self.done.clear();
        for (at, node) in self.nodes.iter().flatten().enumerate() {
            assert_eq!(node.requests(), 0);
            assert_eq!(node.nodes().count(), NODES - 1, "{at} does not know all");
        }
        self.ask(0, 0, 1000);
        self.run(10);
        let (_, answers, missing) = self.done.pop().expect("nobody is waited for");
        let Answers::Sockets(sockets) = answers else { panic!("{answers:?}") };
        assert_eq!((sockets.len(), missing), (NODES - 1, Missing::default()));
        assert_eq!(self.nodes[0].as_ref().unwrap().requests(), 0);
    }
}

fn id(at: usize) -> NodeId {
    node(at).id().clone()
}

fn fate() -> impl Strategy<Value = Fate> {
    let after = || prop_oneof![3 => 0..5u64, 1 => 0..12_000u64];
    prop_oneof![
        5 => after().prop_map(|after| Fate::Arrives { after }),
        2 => (after(), after()).prop_map(|(after, again)| Fate::Twice { after, again }),
        1 => Just(Fate::Lost),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..NODES, 0..4u8, prop_oneof![0..20u64, 0..15_000u64])
            .prop_map(|(by, kind, time)| Step::Ask(by, kind, time)),
        6 => prop_oneof![0..10u64, 0..8000u64].prop_map(Step::Wait),
        1 => (0..NODES).prop_map(Step::Die),
        1 => (0..NODES).prop_map(Step::Restart),
        1 => (0..NODES).prop_map(Step::Close),
        2 => (0..NODES, any::<bool>()).prop_map(|(at, cut)| Step::Cut(at, cut)),
    ]
}

proptest! {
    #[test]
    fn requests_end_whatever_the_network_does(
        fates in prop::collection::vec(fate(), 0..200),
        steps in prop::collection::vec(step(), 0..30),
    ) {
        let mut world = World::new(fates);
        steps.iter().for_each(|step| world.step(step));
        world.end();
    }
}

/// All know each other, and the network is quick from here on, but for those messages of which a fate is said.
fn world() -> World {
    let mut world = World::new(vec![]);
    world.run(100);
    world
}

fn late(world: &World, at: usize) -> u64 {
    world.nodes[at].as_ref().unwrap().stats().late
}

#[test]
fn answers_that_come_after_the_time_are_counted_and_dropped() {
    let mut world = world();
    // Taken from the end: two questions, then two answers.
    world.fates = [2000, 1, 1, 1].map(|after| Fate::Arrives { after }).to_vec();
    world.ask(0, 0, 1000);
    world.run(1000);
    let (_, answers, missing) = world.done.pop().expect("its time is up");
    assert!(matches!(answers, Answers::Sockets(sockets) if sockets.len() == 1));
    assert_eq!((missing.count, late(&world, 0)), (1, 0));
    world.run(2000);
    assert_eq!((world.done.len(), late(&world, 0)), (0, 1));
    world.end();
}

#[test]
fn an_answer_that_comes_twice_counts_once() {
    let mut world = world();
    // Taken from the end: two questions, then two answers.
    let (soon, twice) = (Fate::Arrives { after: 1 }, Fate::Twice { after: 1, again: 2 });
    world.fates = vec![Fate::Arrives { after: 50 }, twice, soon, soon];
    world.ask(0, 0, 1000);
    world.run(20);
    assert!(world.done.is_empty(), "the other is awaited");
    world.run(100);
    assert_eq!(world.done.len(), 1);
    assert_eq!(world.nodes[0].as_ref().unwrap().stats().rejected, 1);
    world.end();
}

#[test]
fn heartbeats_that_come_twice_are_one() {
    let mut world = world();
    world.fates = vec![Fate::Twice { after: 1, again: 4000 }; 6];
    world.run(20_000);
    for node in world.nodes.iter().flatten() {
        assert_eq!((node.nodes().count(), node.stats().rejected), (2, 0));
    }
    // A late one does not make the dead live for ever.
    world.fates = vec![Fate::Twice { after: 1, again: 4000 }; 6];
    world.run(5_000);
    world.die(2);
    world.run(15_000);
    assert_eq!(world.nodes[0].as_ref().unwrap().nodes().count(), 1);
    world.end();
}

#[test]
fn a_node_that_dies_while_it_is_asked_is_not_waited_for_until_the_end() {
    let mut world = world();
    world.cut[2] = true;
    world.ask(0, 0, 60_000);
    world.run(5_000);
    assert!(world.done.is_empty());
    world.die(2);
    world.run(7_000);
    let (_, answers, missing) = world.done.pop().expect("it is gone after ten seconds");
    assert!(matches!(answers, Answers::Sockets(sockets) if sockets.len() == 1));
    assert_eq!(missing, Missing::default());
    world.end();
}

#[test]
fn a_node_in_a_new_life_knows_nothing_of_what_it_was_asked() {
    let mut world = world();
    world.cut[2] = true;
    world.ask(0, 0, 3000);
    world.run(10);
    world.cut[2] = false;
    world.restart(2);
    world.run(10);
    assert_eq!(world.nodes[0].as_ref().unwrap().nodes().count(), 2, "under one id it is one");
    assert!(world.done.is_empty());
    world.run(3000);
    assert_eq!(world.done.pop().expect("the time is up").2.nodes, [id(2)]);
    // And the request of its first life is not one of the second.
    world.ask(2, 0, 1000);
    world.restart(2);
    world.run(2000);
    assert_eq!((world.done.len(), late(&world, 2)), (0, 2));
    world.end();
}

/// What belongs to no request is not kept.
#[test]
fn answers_to_nobody() {
    let mut world = world();
    let request = RequestId::new("unknown");
    let message = Message { from: Some(id(1)), namespace: "/".into(), body: Body::NoAnswer { request } };
    world.nodes[0].as_mut().unwrap().handle_message(message, world.now).unwrap();
    assert_eq!(late(&world, 0), 1);
    world.end();
}
