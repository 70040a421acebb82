//! Nodes of a cluster, without a network.

use std::time::Duration;

use sio_proto::cluster::{
    Answers, Body, Change, Config, Event, Flags, Liveness, Message, Missing, Node, NodeId, Rejected,
    RequestId, SocketInfo, Transmit,
};
use sio_proto::hub::Scope;
use sio_proto::socket::Payload;
use sio_proto::{Instant, Seed, Str};

const TIMEOUT: Duration = Duration::from_secs(5);

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1000)
}

fn node(seed: u8, liveness: Liveness) -> Node {
    let mut config = Config::default();
    config.liveness = liveness;
    Node::new("/".into(), config, Seed([seed; 32]))
}

/// Nodes that all hear each other, and answer with their number.
struct Cluster {
    nodes: Vec<Node>,
    frozen: Vec<usize>,
    /// Whether answers say from whom they are.
    anonymous: bool,
    /// What is not an answer by itself.
    seen: Vec<(usize, String)>,
    done: Vec<(RequestId, Answers, Missing)>,
}

impl Cluster {
    fn new(count: u8, liveness: Liveness) -> Self {
        let nodes: Vec<_> = (1..=count).map(|seed| node(seed, liveness)).collect();
        let mut cluster =
            Self { nodes, frozen: Vec::new(), anonymous: false, seen: Vec::new(), done: Vec::new() };
        cluster.nodes.iter_mut().for_each(|node| node.start(at(0)));
        cluster.run(at(0));
        cluster
    }

    fn heartbeats(count: u8) -> Self {
        Self::new(count, Liveness::heartbeats())
    }

    fn counted(count: u8) -> Self {
        Self::new(count, Liveness::Counted)
    }

    fn others(&self) -> usize {
        self.nodes.iter().filter(|node| !node.is_closed()).count() - 1
    }

    fn run(&mut self, now: Instant) {
        loop {
            let mut quiet = true;
            for at in 0..self.nodes.len() {
                if self.frozen.contains(&at) {
                    continue;
                }
                while let Some(transmit) = self.nodes[at].poll_transmit() {
                    quiet = false;
                    match transmit {
                        Transmit::Count(request) => {
                            let others = self.others();
                            self.nodes[at].handle_count(&request, Some(others), now);
                        }
                        Transmit::Send { to, mut message } => {
                            let is_answer = matches!(
                                message.body,
                                Body::Sockets { .. }
                                    | Body::ClientAck { .. }
                                    | Body::ClientCount { .. }
                                    | Body::Answer { .. }
                            );
                            if self.anonymous && is_answer {
                                message.from = None;
                            }
                            for (other, node) in self.nodes.iter_mut().enumerate() {
                                let meant = to.as_ref().is_none_or(|to| to == node.id());
                                if meant && !self.frozen.contains(&other) {
                                    node.handle_message(message.clone(), now).unwrap();
                                }
                            }
                        }
                        other => panic!("{other:?}"),
                    }
                }
                while let Some(event) = self.nodes[at].poll_event() {
                    quiet = false;
                    self.event(at, event);
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn event(&mut self, at: usize, event: Event) {
        let node = &mut self.nodes[at];
        match event {
            Event::FetchSockets { ticket, .. } => node.answer_sockets(&ticket, vec![socket(at)]),
            Event::Broadcast { ask: Some((ticket, _)), .. } => {
                node.answer_count(&ticket, 1);
                node.answer_ack(&ticket, Payload::from_args(&at).unwrap());
            }
            Event::ServerSideEmit { ticket: Some(ticket), .. } => {
                node.answer(&ticket, Payload::from_args(&at).unwrap());
            }
            Event::Done { request, answers, missing } => self.done.push((request, answers, missing)),
            other => self.seen.push((at, format!("{other:?}"))),
        }
    }

    fn time(&mut self, now: Instant) {
        for at in 0..self.nodes.len() {
            if !self.frozen.contains(&at) {
                self.nodes[at].handle_timeout(now);
            }
        }
        self.run(now);
    }

    /// What became of the only request: whose answers there are, and how many are missing.
    fn fetched(&mut self) -> (Vec<Str>, Missing) {
        let (_, answers, missing) = self.done.pop().expect("a request is done");
        assert!(self.done.is_empty());
        let Answers::Sockets(sockets) = answers else { panic!("{answers:?}") };
        (sockets.into_iter().map(|socket| socket.id).collect(), missing)
    }

    fn id(&self, at: usize) -> NodeId {
        self.nodes[at].id().clone()
    }
}

fn say(from: &'static str, body: Body) -> Message {
    Message { from: Some(NodeId::new(from)), namespace: "/".into(), body }
}

fn socket(at: usize) -> SocketInfo {
    SocketInfo { id: format!("socket of {at}").into(), ..SocketInfo::default() }
}

#[test]
fn all_answer() {
    for mut cluster in [Cluster::heartbeats(3), Cluster::counted(3)] {
        cluster.nodes[0].fetch_sockets(Scope::all(), TIMEOUT, at(1));
        cluster.run(at(1));
        assert_eq!(cluster.fetched(), (vec!["socket of 1".into(), "socket of 2".into()], Missing::default()));
    }
}

#[test]
fn alone() {
    for mut cluster in [Cluster::heartbeats(1), Cluster::counted(1)] {
        cluster.nodes[0].fetch_sockets(Scope::all(), TIMEOUT, at(1));
        cluster.run(at(1));
        assert_eq!(cluster.fetched(), (vec![], Missing::default()));
    }
}

#[test]
fn a_frozen_node_is_missing_and_delays_one_request_only() {
    for (mut cluster, anonymous) in
        [(Cluster::heartbeats(3), false), (Cluster::counted(3), false), (Cluster::counted(3), true)]
    {
        cluster.anonymous = anonymous;
        cluster.frozen.push(2);
        cluster.nodes[0].fetch_sockets(Scope::all(), TIMEOUT, at(1));
        cluster.run(at(1));
        cluster.time(at(4900));
        assert!(cluster.done.is_empty());
        cluster.time(at(5001));
        let (got, missing) = cluster.fetched();
        assert_eq!((got, missing.count), (vec!["socket of 1".into()], 1));

        cluster.nodes[0].fetch_sockets(Scope::all(), TIMEOUT, at(6000));
        cluster.run(at(6000));
        cluster.time(at(6499));
        assert!(cluster.done.is_empty(), "it has a while");
        cluster.time(at(6500));
        assert_eq!(cluster.fetched().1.count, 1);

        // Once it is back it is waited for.
        cluster.frozen.clear();
        cluster.nodes[0].fetch_sockets(Scope::all(), TIMEOUT, at(7000));
        cluster.run(at(7000));
        assert_eq!(cluster.fetched().1.count, 0);
    }
}

/// What one request finds out helps those that wait for the same node, though nothing comes for them.
#[test]
fn a_frozen_node_delays_all_that_wait_for_it_as_long_as_the_first() {
    for mut cluster in [Cluster::heartbeats(3), Cluster::counted(3)] {
        cluster.frozen.push(2);
        for asked in [1, 3000] {
            cluster.nodes[0].fetch_sockets(Scope::all(), TIMEOUT, at(asked));
            cluster.run(at(asked));
        }
        cluster.time(at(5001));
        assert_eq!(cluster.fetched().1.count, 1);
        cluster.time(at(5500));
        assert!(cluster.done.is_empty(), "it has a while");
        cluster.time(at(5501));
        assert_eq!(cluster.fetched().1.count, 1);
        assert_eq!(cluster.nodes[0].requests(), 0);
    }
}

#[test]
fn who_is_missing_is_named() {
    let mut cluster = Cluster::heartbeats(3);
    cluster.frozen.push(2);
    cluster.nodes[0].fetch_sockets(Scope::all(), TIMEOUT, at(1));
    cluster.run(at(1));
    cluster.time(at(5001));
    assert_eq!(cluster.fetched().1.nodes, [cluster.id(2)]);
}

#[test]
fn a_node_that_goes_ends_what_waits_for_it() {
    let mut cluster = Cluster::heartbeats(3);
    cluster.frozen.push(2);
    cluster.nodes[0].fetch_sockets(Scope::all(), TIMEOUT, at(1));
    cluster.run(at(1));
    assert!(cluster.done.is_empty());
    cluster.nodes[2].close();
    cluster.frozen.clear();
    cluster.run(at(2));
    assert_eq!(cluster.fetched(), (vec!["socket of 1".into()], Missing::default()));
    assert_eq!(cluster.nodes[0].nodes().count(), 1);
}

#[test]
fn a_dead_node_is_forgotten_after_ten_seconds() {
    let mut cluster = Cluster::heartbeats(3);
    cluster.frozen.push(2);
    for seconds in [5, 9] {
        cluster.time(at(seconds * 1000));
        assert_eq!(cluster.nodes[0].nodes().count(), 2);
    }
    cluster.nodes[0].fetch_sockets(Scope::all(), TIMEOUT, at(9000));
    cluster.run(at(9000));
    assert!(cluster.done.is_empty());
    cluster.time(at(10_000));
    assert_eq!(cluster.fetched(), (vec!["socket of 1".into()], Missing::default()));
    assert_eq!(cluster.nodes[0].nodes().count(), 1);
}

#[test]
fn acknowledgements_of_clients() {
    for (mut cluster, anonymous) in
        [(Cluster::heartbeats(3), false), (Cluster::counted(3), false), (Cluster::counted(3), true)]
    {
        cluster.anonymous = anonymous;
        let payload = Payload::from_event("e", &()).unwrap();
        cluster.nodes[0].broadcast_with_ack(payload, Scope::all(), Flags::default(), false, TIMEOUT, at(1));
        cluster.run(at(1));
        let (_, answers, missing) = cluster.done.pop().unwrap();
        let Answers::Acks { acks, unanswered } = answers else { panic!("{answers:?}") };
        assert_eq!((acks.len(), unanswered, missing.count), (2, 0, 0));
    }
}

/// The first acknowledgement ends the request; those that were not heard of by then are not frozen.
#[test]
fn one_acknowledgement_is_nobodys_silence() {
    for liveness in [Liveness::heartbeats(), Liveness::Counted] {
        let mut asking = node(1, liveness);
        let say =
            |from: &'static str, body| Message { from: Some(NodeId::new(from)), namespace: "/".into(), body };
        for from in ["a", "b"] {
            asking.handle_message(say(from, Body::Hello), at(0)).unwrap();
        }
        let payload = Payload::from_event("e", &()).unwrap();
        let flags = Flags::default();
        let request = asking.broadcast_with_ack(payload.clone(), Scope::all(), flags, true, TIMEOUT, at(0));
        asking.handle_count(&request, Some(2), at(0));
        asking
            .handle_message(say("a", Body::ClientAck { request: request.clone(), payload }), at(0))
            .unwrap();
        let Some(Event::Done { answers: Answers::Acks { acks, .. }, .. }) = asking.poll_event() else {
            panic!("one is enough")
        };
        assert_eq!(acks.len(), 1);
        let request = asking.fetch_sockets(Scope::all(), TIMEOUT, at(0));
        asking.handle_count(&request, Some(2), at(0));
        asking.handle_message(say("a", Body::Sockets { request, sockets: vec![] }), at(0)).unwrap();
        asking.handle_timeout(at(4999));
        assert_eq!(asking.poll_event(), None, "b has all the time there is");
        asking.handle_timeout(at(5000));
        assert!(matches!(asking.poll_event(), Some(Event::Done { missing, .. }) if missing.count == 1));
    }
}

#[test]
fn an_acknowledgement_may_come_before_the_count() {
    let mut node = node(1, Liveness::Counted);
    let payload = Payload::from_event("e", &()).unwrap();
    let request = node.broadcast_with_ack(payload, Scope::all(), Flags::default(), false, TIMEOUT, at(0));
    node.handle_count(&request, Some(1), at(0));
    let answer = |body| Message { from: None, namespace: "/".into(), body };
    let ack = Payload::from_args(&1).unwrap();
    node.handle_message(answer(Body::ClientAck { request: request.clone(), payload: ack.clone() }), at(0))
        .unwrap();
    assert_eq!(node.poll_event(), None);
    node.handle_message(answer(Body::ClientCount { request: request.clone(), count: 2 }), at(0)).unwrap();
    assert_eq!(node.poll_event(), None, "one more is awaited");
    node.handle_timeout(at(5000));
    let answers = Answers::Acks { acks: vec![ack.clone()], unanswered: 1 };
    assert_eq!(
        node.poll_event(),
        Some(Event::Done { request: request.clone(), answers, missing: Missing::default() })
    );
    node.handle_message(answer(Body::ClientAck { request, payload: ack }), at(5001)).unwrap();
    assert_eq!((node.poll_event(), node.stats().late), (None, 1));
}

#[test]
fn clients_of_a_node_that_dies_are_not_waited_for() {
    let (mut asking, other) = (node(1, Liveness::heartbeats()), NodeId::new("other"));
    let say = |body| Message { from: Some(other.clone()), namespace: "/".into(), body };
    asking.handle_message(say(Body::Hello), at(0)).unwrap();
    let payload = Payload::from_event("e", &()).unwrap();
    let request = asking.broadcast_with_ack(payload, Scope::all(), Flags::default(), false, TIMEOUT, at(0));
    asking.handle_message(say(Body::ClientCount { request, count: 3 }), at(0)).unwrap();
    assert_eq!(asking.poll_event(), None);
    asking.handle_message(say(Body::Bye), at(1)).unwrap();
    assert!(matches!(asking.poll_event(), Some(Event::Done { .. })));
}

#[test]
fn servers_answer_each_other() {
    let mut cluster = Cluster::heartbeats(3);
    let payload = Payload::from_event("how many", &()).unwrap();
    cluster.nodes[1].server_side_emit_with_ack(payload, TIMEOUT, at(0));
    cluster.run(at(0));
    let (_, answers, missing) = cluster.done.pop().unwrap();
    let Answers::Values { values, unanswered: 0 } = answers else { panic!("{answers:?}") };
    let mut values: Vec<u8> = values.iter().map(|value| value.deserialize().unwrap()).collect();
    values.sort_unstable();
    assert_eq!((values, missing.count), (vec![0, 2], 0));
}

#[test]
fn nobody_waits_for_a_server_that_declines() {
    for liveness in [Liveness::heartbeats(), Liveness::Counted] {
        let (mut asking, mut other) = (node(1, liveness), node(2, liveness));
        asking.handle_message(say("third", Body::Heartbeat), at(0)).unwrap();
        let from = Some(other.id().clone());
        asking.handle_message(Message { from, ..say("", Body::Heartbeat) }, at(0)).unwrap();
        let payload = Payload::from_event("e", &()).unwrap();
        let request = asking.server_side_emit_with_ack(payload.clone(), TIMEOUT, at(0));
        asking.handle_count(&request, Some(2), at(0));
        while let Some(transmit) = asking.poll_transmit() {
            if let Transmit::Send { message, .. } = transmit {
                other.handle_message(message, at(0)).unwrap();
            }
        }
        let Some(Event::ServerSideEmit { ticket: Some(ticket), .. }) = other.poll_event() else { panic!() };
        other.decline(&ticket);
        let Some(Transmit::Send { to, message }) = other.poll_transmit() else { panic!() };
        assert_eq!(to.as_ref(), Some(asking.id()));
        asking.handle_message(message.clone(), at(1)).unwrap();
        assert_eq!(asking.handle_message(message, at(1)), Err(Rejected::Twice));
        assert_eq!(asking.poll_event(), None, "the third is awaited");
        asking.handle_message(say("third", Body::Answer { request, payload }), at(1)).unwrap();
        let Some(Event::Done { answers: Answers::Values { values, unanswered }, missing, .. }) =
            asking.poll_event()
        else {
            panic!("all have said something")
        };
        assert_eq!((values.len(), unanswered, missing.count), (1, 1, 0));
        assert_eq!(asking.poll_timeout().is_some(), liveness != Liveness::Counted, "nothing is left");
    }
}

#[test]
fn a_server_without_a_handler_is_not_called_silent() {
    let (mut asking, other) = (node(1, Liveness::heartbeats()), NodeId::new("other"));
    let say = |body| Message { from: Some(other.clone()), namespace: "/".into(), body };
    asking.handle_message(say(Body::Hello), at(0)).unwrap();
    let payload = Payload::from_event("e", &()).unwrap();
    asking.server_side_emit_with_ack(payload, Duration::from_secs(1), at(0));
    asking.handle_timeout(at(1000));
    assert!(matches!(asking.poll_event(), Some(Event::Done { .. })));
    asking.fetch_sockets(Scope::all(), TIMEOUT, at(1000));
    asking.handle_timeout(at(3000));
    assert_eq!(asking.poll_event(), None, "it is waited for, not for a moment only");
}

#[test]
fn own_and_foreign_messages() {
    let mut cluster = Cluster::heartbeats(2);
    let (a, b) = (cluster.id(0), cluster.id(1));
    let change = || Body::Change { scope: Scope::all(), change: Change::Join(vec!["a".into()]) };
    let node = &mut cluster.nodes[0];
    let own = Message { from: Some(a), namespace: "/".into(), body: change() };
    assert_eq!(node.handle_message(own, at(1)), Ok(()));
    assert_eq!(node.poll_event(), None);
    let foreign = Message { from: Some(b), namespace: "/other".into(), body: change() };
    assert_eq!(node.handle_message(foreign, at(1)), Err(Rejected::Namespace));
    let emitter = Message { from: Some(NodeId::emitter()), namespace: "/".into(), body: change() };
    node.handle_message(emitter, at(1)).unwrap();
    assert!(matches!(node.poll_event(), Some(Event::Change { .. })));
    assert_eq!((node.nodes().count(), node.stats().rejected), (1, 1), "an emitter is no node");
}

#[test]
fn odd_answers() {
    let (mut asking, other) = (node(1, Liveness::heartbeats()), NodeId::new("other"));
    let say = |body| Message { from: Some(other.clone()), namespace: "/".into(), body };
    asking.handle_message(say(Body::Hello), at(0)).unwrap();
    asking.handle_message(Message { from: Some(NodeId::new("third")), ..say(Body::Hello) }, at(0)).unwrap();
    let request = asking.fetch_sockets(Scope::all(), TIMEOUT, at(0));
    let kind = say(Body::ClientCount { request: request.clone(), count: 1 });
    assert_eq!(asking.handle_message(kind, at(0)), Err(Rejected::Kind));
    let answer = say(Body::Sockets { request, sockets: vec![socket(1)] });
    assert_eq!(
        asking.handle_message(Message { from: None, ..answer.clone() }, at(0)),
        Err(Rejected::Anonymous)
    );
    assert_eq!(asking.handle_message(answer.clone(), at(0)), Ok(()));
    assert_eq!(asking.handle_message(answer, at(0)), Err(Rejected::Twice));
}

#[test]
fn limits() {
    let mut config = Config::default();
    (config.max_nodes, config.max_requests, config.max_answers, config.max_outbox) = (1, 1, 1, 1000);
    let mut node = Node::new("/".into(), config, Seed([1; 32]));
    let say =
        |from: &'static str, body| Message { from: Some(NodeId::new(from)), namespace: "/".into(), body };
    node.handle_message(say("a", Body::Heartbeat), at(0)).unwrap();
    assert_eq!(node.handle_message(say("b", Body::Heartbeat), at(0)), Err(Rejected::TooManyNodes));
    let first = node.fetch_sockets(Scope::all(), TIMEOUT, at(0));
    assert_eq!(node.poll_event(), None);
    let second = node.fetch_sockets(Scope::all(), TIMEOUT, at(0));
    let Some(Event::Done { request, missing, .. }) = node.poll_event() else { panic!("one at a time") };
    assert_eq!((request, missing.count), (second, 1));
    let many = Body::Sockets { request: first, sockets: vec![socket(1), socket(2)] };
    assert_eq!(node.handle_message(say("a", many), at(0)), Err(Rejected::TooManyAnswers));
    assert!(matches!(node.poll_event(), Some(Event::Done { .. })), "it has answered");
    for _ in 0..100 {
        node.broadcast(Payload::from_event("e", &()).unwrap(), Scope::all(), Flags::default());
    }
    let sent = std::iter::from_fn(|| node.poll_transmit()).count() as u64;
    assert!(sent < 20 && node.stats().dropped >= 80, "{sent}, {:?}", node.stats());
}

#[test]
fn a_silent_node_that_is_heard_of_has_all_its_time_again() {
    let mut asking = node(1, Liveness::heartbeats());
    asking.handle_message(say("a", Body::Hello), at(0)).unwrap();
    asking.fetch_sockets(Scope::all(), Duration::from_secs(1), at(0));
    asking.handle_timeout(at(1000));
    assert!(matches!(asking.poll_event(), Some(Event::Done { missing, .. }) if missing.count == 1));
    // It would have half a second.
    asking.fetch_sockets(Scope::all(), TIMEOUT, at(1000));
    asking.handle_message(say("a", Body::Heartbeat), at(1200)).unwrap();
    asking.handle_timeout(at(1500));
    assert_eq!(asking.poll_event(), None, "this request waits for it");
    asking.fetch_sockets(Scope::all(), TIMEOUT, at(1500));
    asking.handle_timeout(at(5999));
    assert_eq!(asking.poll_event(), None, "and so does the next");
    asking.handle_timeout(at(6000));
    assert!(matches!(asking.poll_event(), Some(Event::Done { .. })));
    assert_eq!(asking.requests(), 1);
}

#[test]
fn what_is_special_about_a_broadcast_arrives() {
    for flags in [
        Flags::default(),
        Flags { volatile: true, compress: None },
        Flags { volatile: false, compress: Some(false) },
        Flags { volatile: true, compress: Some(true) },
    ] {
        let (mut sender, mut other) = (node(1, Liveness::heartbeats()), node(2, Liveness::heartbeats()));
        let payload = Payload::from_event("e", &()).unwrap();
        sender.broadcast(payload.clone(), Scope::all(), flags);
        sender.broadcast_with_ack(payload, Scope::all(), flags, false, TIMEOUT, at(0));
        while let Some(Transmit::Send { message, .. }) = sender.poll_transmit() {
            other.handle_message(message, at(0)).unwrap();
        }
        for asks in [false, true] {
            let Some(Event::Broadcast { volatile, compress, ask, .. }) = other.poll_event() else { panic!() };
            assert_eq!((Flags { volatile, compress }, ask.is_some()), (flags, asks));
        }
    }
}

#[test]
fn counts_of_others_have_limits() {
    let mut config = Config::default();
    config.liveness = Liveness::Counted;
    (config.max_nodes, config.max_answers) = (4, 10);
    let mut node = Node::new("/".into(), config, Seed([1; 32]));
    let event = Payload::from_args("tell").unwrap();
    let request = node.broadcast_with_ack(event, Scope::all(), Flags::default(), false, TIMEOUT, at(0));
    node.handle_count(&request, Some(usize::MAX), at(0));
    let mut count = |from, count| {
        node.handle_message(say(from, Body::ClientCount { request: request.clone(), count }), at(0))
    };
    assert_eq!(count("b", usize::MAX), Err(Rejected::TooManyAnswers));
    assert_eq!(count("c", 8), Ok(()));
    assert_eq!(count("d", 3), Err(Rejected::TooManyAnswers), "more than is left");
    node.handle_timeout(at(5000));
    let Some(Event::Done { answers: Answers::Acks { acks, unanswered }, missing, .. }) = node.poll_event()
    else {
        panic!("the request is done");
    };
    assert_eq!((acks.len(), unanswered, missing.count), (0, 8, 1));
}
