//! One conversation, and at each of its steps something goes wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use sio_proto::engine::Transport;
use sio_proto::socket::{Slot, SocketConfig};

use crate::common::hand::settings;
use crate::common::net::{Fault, Net};

const WAYS: [(&str, &[Transport], bool); 4] = [
    ("polling", &[Transport::Polling], false),
    ("websocket", &[Transport::WebSocket], false),
    ("upgrade", &[Transport::Polling, Transport::WebSocket], true),
    ("websocket first", &[Transport::WebSocket, Transport::Polling], true),
];

/// What a fault in the conversation must not change.
struct Story {
    net: Net,
    root: Slot,
    chat: Slot,
    /// Events that must arrive: those emitted while the client was offline, and those with `retries`.
    sure: Vec<String>,
    /// All events.
    all: Vec<String>,
    asked: u64,
}

impl Story {
    fn new(transports: &[Transport], upgrade: bool, fault: Option<(usize, Fault)>) -> Self {
        let mut net = Net::new(transports, upgrade);
        net.fault = fault;
        let root = net.join("/", SocketConfig::default());
        let chat = net.join("/chat", settings(|config| config.retries = Some(20)));
        Self { net, root, chat, sure: Vec::new(), all: Vec::new(), asked: 0 }
    }

    /// To `/`, at most once.
    fn emit(&mut self, ask: bool) {
        let name = format!("m{}", self.all.len());
        let text = format!(r#"/ ["{name}"]"#);
        // What was sent before the fault may be lost by it.
        let is_over = self.net.fault.is_none_or(|(step, _)| self.net.steps > step);
        if is_over && !self.net.client.conn().is_connected(self.root) {
            self.sure.push(text.clone());
        }
        self.all.push(text);
        let ack = ask.then(|| {
            self.asked += 1;
            self.asked
        });
        self.net.emit(self.root, &name, ack);
    }

    /// To `/chat`, at least once.
    fn insist(&mut self) {
        let name = format!("m{}", self.all.len());
        let text = format!(r#"/chat ["{name}"]"#);
        self.sure.push(text.clone());
        self.all.push(text);
        self.asked += 1;
        self.net.emit(self.chat, &name, Some(self.asked));
    }

    fn tell(&mut self) {
        // Both speak at once, while things open, flow and close.
        self.emit(false);
        self.insist();
        self.net.pass_ms(25);
        self.emit(true);
        self.insist();
        self.net.pass_ms(40);
        self.net.broadcast("/", "b1");
        self.net.ask("/chat", "q", 1);
        self.emit(false);
        self.net.pass_ms(200);
        self.net.pay();
        self.insist();
        self.emit(true);
        self.net.broadcast("/chat", "b2");
        self.net.pass_ms(300);
        self.emit(false);
        self.net.pass_ms(27_000);
        self.emit(true);
        self.net.pass_ms(100);
        // Long enough for whatever went wrong to be noticed and mended.
        self.net.pass(Duration::from_secs(400));
    }

    fn check(&mut self) {
        let net = &mut self.net;
        assert!(net.client.conn().is_connected(self.root) && net.client.conn().is_connected(self.chat));
        assert_eq!((net.sockets("/").len(), net.sockets("/chat").len()), (1, 1));
        let heard: Vec<_> = net.app.heard.iter().filter(|text| text.contains("[\"m")).cloned().collect();
        for text in &self.sure {
            assert!(heard.contains(text), "{text} is lost: {heard:?}");
        }
        for text in self.all.iter().filter(|text| text.starts_with("/ ")) {
            let sent = net.sent.matches(text.trim_start_matches("/ ")).count();
            assert_eq!(sent, 1, "{text} is handed to a transport once, whatever happens");
        }
        for name in ["/ ", "/chat "] {
            let mut of: Vec<_> = heard.iter().filter(|text| text.starts_with(name)).collect();
            if name == "/chat " {
                of.dedup();
            }
            let places: Vec<_> =
                of.iter().map(|text| self.all.iter().position(|all| all == *text).expect("known")).collect();
            assert!(places.is_sorted_by(|a, b| a < b), "out of order, or twice: {of:?}");
        }
        // Whoever waits is told once, and those of `retries` get an answer.
        let mut acks = BTreeMap::new();
        for told in net.told.iter().filter_map(|told| told.trim_start_matches("/chat ").strip_prefix("ack "))
        {
            let (id, result) = told.split_once(' ').expect("an id");
            assert!(acks.insert(id.parse::<u64>().unwrap(), result.to_owned()).is_none(), "told twice");
        }
        assert!(acks.keys().copied().eq(1..=self.asked), "{acks:?}");
        let chat = net.told.iter().filter(|told| told.starts_with("/chat ack "));
        assert!(chat.clone().all(|told| told.ends_with("[]")), "{:?}", chat.collect::<Vec<_>>());
    }

    /// A second fault may wait for the end.
    fn end(mut self) -> usize {
        self.net.end();
        assert!(self.net.client.conn().slots().all(|slot| self.net.client.conn().buffered(slot) == 0));
        let connects = |name: &str| {
            let of = |what: &str| {
                let start = format!("{name} {what}");
                self.net.app.heard.iter().filter(|text| text.starts_with(&start)).count()
            };
            (of("connect"), of("disconnect"))
        };
        for name in ["/", "/chat"] {
            let (joined, left) = connects(name);
            assert!(joined >= left && joined - left <= self.restarts(), "{name}: {:?}", self.net.app.heard);
        }
        self.net.steps
    }

    /// A server that dies does not tell its application.
    fn restarts(&self) -> usize {
        usize::from(matches!(self.net.fault, Some((_, Fault::Restart))))
    }
}

fn all_steps(fault: Fault) {
    for (name, transports, upgrade) in WAYS {
        let mut story = Story::new(transports, upgrade, None);
        story.tell();
        story.check();
        let open = story.net.steps;
        let steps = story.end();
        assert!(open > 15 && steps > open, "{name} has steps");
        // Those of the idle time are all alike.
        let early = open * 3 / 4;
        for step in (0..early).chain(open - 3..steps) {
            println!("{name}: {fault:?} at step {step} of {steps}");
            let mut story = Story::new(transports, upgrade, Some((step, fault)));
            story.tell();
            // What goes wrong during the last seconds is not mended before the end.
            if step < early {
                story.check();
            }
            story.end();
        }
    }
}

#[test]
fn what_travels_is_lost_with_its_connection() {
    all_steps(Fault::Lose);
}

#[test]
fn the_connection_breaks_behind_it() {
    all_steps(Fault::Cut);
}

#[test]
fn all_connections_break() {
    all_steps(Fault::CutAll);
}

#[test]
fn the_network_goes_silent() {
    all_steps(Fault::Silence);
}

#[test]
fn the_server_dies() {
    all_steps(Fault::Restart);
}

#[test]
fn a_proxy_answers() {
    all_steps(Fault::BadGateway);
}

#[test]
fn it_takes_minutes() {
    all_steps(Fault::Delay(Duration::from_secs(180)));
    all_steps(Fault::Delay(Duration::from_secs(12)));
}
