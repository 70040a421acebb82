//! The laws for the composite client: among servers that say anything, and with ours across a network that fails.

use std::time::Duration;

use proptest::prelude::*;
use sio_proto::engine::Transport;
use sio_proto::fuzzing;
use sio_proto::socket::{Slot, SocketConfig};

use crate::common::hand::{Hand, settings};
use crate::common::net::{Fault, Net};

/// Three namespaces want to connect, by WebSocket or by polling; then a handshake, and two of them are let in.
fn beginning(how: u8) -> Vec<fuzzing::Op> {
    let answer = if how % 4 == 1 || how % 4 == 2 { 6 } else { 0 };
    vec![
        [15, 0, 0, how],
        [15, 1, 0, 0],
        [15, 2, 0, 0],
        [4, 0, 0, 0],
        [answer, 0, 0, 0],
        [26, 0, 0, 0],
        [21, 1, 1, 0],
        [21, 2, 1, 0],
        [31, 0, 0, 0],
        [answer, 0, 3, 0],
        [answer, 0, 5, 0],
        [answer, 0, 7, 0],
        [26, 0, 0, 0],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_client_obeys(how: u8, ops in prop::collection::vec(any::<fuzzing::Op>(), 0..150)) {
        fuzzing::client_ops(&ops.concat());
        // Most of what can go wrong needs a connection.
        fuzzing::client_ops(&[&beginning(how)[..], &ops].concat().concat());
    }

    #[test]
    fn no_text_does_harm(texts in prop::collection::vec(any::<String>(), 0..8), prefix in "4?[0-6]?(/[a-z]*,)?") {
        let (mut hand, _) = Hand::joined();
        for text in texts {
            let _ = hand.try_say(&format!("{prefix}{text}"));
            hand.frames();
        }
        hand.told();
        hand.close();
        hand.frames();
        hand.pass_ms(20_000);
        hand.requests();
        hand.told();
        prop_assert!(hand.client.is_quiet() && hand.client.poll_timeout().is_none());
    }
}

/// What happens while a client and a server talk.
#[derive(Clone, Copy, Debug)]
enum Act {
    Emit(u8),
    Insist,
    Ask,
    Broadcast,
    Pay,
    Leave(u8),
    Join(u8),
    Fault(u8, Fault),
    Refuse(u8),
    LoseAcks(u8),
    Hold(bool),
    Kick,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Lose),
        Just(Fault::Cut),
        Just(Fault::CutAll),
        Just(Fault::Silence),
        Just(Fault::Restart),
        Just(Fault::BadGateway),
        (1..200_000u64).prop_map(|ms| Fault::Delay(Duration::from_millis(ms))),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => any::<u8>().prop_map(Act::Emit),
        6 => Just(Act::Insist),
        2 => Just(Act::Ask),
        2 => Just(Act::Broadcast),
        2 => Just(Act::Pay),
        1 => any::<u8>().prop_map(Act::Leave),
        2 => any::<u8>().prop_map(Act::Join),
        4 => (0..12u8, fault()).prop_map(|(after, fault)| Act::Fault(after, fault)),
        1 => (0..4u8).prop_map(Act::Refuse),
        1 => (0..4u8).prop_map(Act::LoseAcks),
        1 => any::<bool>().prop_map(Act::Hold),
        1 => Just(Act::Kick),
    ]
}

struct Talk {
    net: Net,
    slots: [Slot; 2],
    names: [Vec<String>; 2],
    asked: u64,
}

impl Talk {
    fn new(way: u8) -> Self {
        let transports: &[Transport] = match way % 3 {
            0 => &[Transport::Polling],
            1 => &[Transport::WebSocket],
            _ => &[Transport::Polling, Transport::WebSocket],
        };
        let mut net = Net::new(transports, true);
        net.latency = Duration::from_millis(u64::from(way % 16));
        let root = net.join("/", SocketConfig::default());
        let chat = net.join("/chat", settings(|config| config.retries = Some(1000)));
        Self { net, slots: [root, chat], names: [Vec::new(), Vec::new()], asked: 0 }
    }

    fn emit(&mut self, at: usize, ask: bool) {
        let name = format!("e{}", self.names[at].len());
        let ack = ask.then(|| {
            self.asked += 1;
            self.asked
        });
        self.net.emit(self.slots[at], &name, ack);
        self.names[at].push(name);
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Emit(how) => self.emit(0, how & 1 == 1),
            Act::Insist => self.emit(1, true),
            Act::Ask => {
                self.asked += 1;
                self.net.ask("/chat", "q", self.asked);
                self.asked -= 1;
            }
            Act::Broadcast => self.net.broadcast("/", "b"),
            Act::Pay => self.net.pay(),
            Act::Leave(at) => self.net.client.disconnect(self.slots[usize::from(at % 2)], self.net.now),
            Act::Join(at) => {
                self.net.client.connect(self.slots[usize::from(at % 2)], self.net.now).expect("not closed");
            }
            Act::Fault(after, fault) => self.net.fault = Some((self.net.steps + usize::from(after), fault)),
            Act::Refuse(count) => self.net.refuse_dials = count.into(),
            Act::LoseAcks(count) => self.net.app.lose_acks = count.into(),
            Act::Hold(hold) => {
                self.net.app.hold = hold;
                self.net.accept();
            }
            Act::Kick => {
                for socket in self.net.sockets("/") {
                    let _ = self.net.server.disconnect(socket, false, self.net.now);
                }
            }
        }
    }

    /// All is well again: whatever must arrive does.
    fn settle(&mut self) {
        self.net.app.hold = false;
        self.net.app.lose_acks = 0;
        self.net.refuse_dials = 0;
        self.net.fault = None;
        for _ in 0..3 {
            self.net.accept();
            self.net.pass(Duration::from_secs(300));
            for slot in self.slots {
                self.net.client.connect(slot, self.net.now).expect("not closed");
            }
        }
        // Each try can take ten seconds, and each event one.
        self.net.pass(Duration::from_secs(10 * self.asked));
        assert!(self.slots.iter().all(|slot| self.net.client.conn().is_connected(*slot)));
    }

    fn check(&self) {
        let heard = |name: &str| -> Vec<&str> {
            let of = self.net.app.heard.iter().filter_map(|text| text.strip_prefix(name));
            of.filter_map(|text| text.strip_prefix(" [\"")?.strip_suffix("\"]")).collect()
        };
        let places = |at: usize, heard: Vec<&str>| -> Vec<usize> {
            let place = |name: &&str| self.names[at].iter().position(|all| all == name);
            heard.iter().map(|name| place(name).expect("known")).collect()
        };
        let root = places(0, heard("/"));
        assert!(root.is_sorted_by(|a, b| a < b), "twice, or out of order: {root:?}");
        let mut chat = places(1, heard("/chat"));
        chat.dedup();
        assert!(chat.iter().copied().eq(0..self.names[1].len()), "lost, or out of order: {chat:?}");
        let acks = self.net.told.iter().filter(|told| told.contains("ack ") && !told.contains('"'));
        assert_eq!(acks.count() as u64, self.asked, "each question is answered once: {:?}", self.net.told);
    }
}

fn talk(way: u8, acts: &[(Act, u64)]) -> (Vec<String>, Vec<String>) {
    let mut talk = Talk::new(way);
    for (act, wait) in acts {
        talk.act(*act);
        talk.net.pass_ms(*wait);
    }
    talk.settle();
    talk.net.end();
    talk.check();
    (talk.net.told, talk.net.app.heard)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn client_and_server_talk_across_a_network_that_fails(
        way: u8,
        acts in prop::collection::vec((act(), prop_oneof![3 => 0..50u64, 2 => 50..5000u64, 1 => 5000..60_000u64]), 0..40),
    ) {
        prop_assert_eq!(talk(way, &acts), talk(way, &acts), "7: the same inputs, but other outputs");
    }

    #[test]
    fn the_grouping_of_packets_makes_no_difference(
        events in prop::collection::vec(0..5u8, 1..20), ends in any::<[bool; 20]>(),
    ) {
        let packets: Vec<_> = events.iter().map(|event| match event {
            0 => "42[\"a\"]".to_owned(),
            1 => "42/chat,[\"b\"]".into(),
            2 => "421[\"c\"]".into(),
            3 => "451-[\"d\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQI=".into(),
            _ => "2".into(),
        }).collect();
        let outcome = |bodies: &[String]| {
            let mut hand = Hand::with(|engine, _| engine.transports = vec![Transport::Polling]);
            for name in ["/", "/chat"] {
                let slot = hand.client.socket(name, SocketConfig::default());
                hand.connect(slot);
            }
            let get = hand.expect("get");
            hand.answer(get, 200, crate::common::hand::OPEN).unwrap();
            let get = hand.expect("get");
            hand.answer(get, 200, "40{\"sid\":\"a\"}\u{1e}40/chat,{\"sid\":\"b\"}").unwrap();
            for body in bodies {
                let get = hand.expect("get");
                hand.answer(get, 200, body).unwrap();
            }
            hand.told()
        };
        let (mut grouped, mut body) = (Vec::new(), Vec::new());
        for (packet, end) in packets.iter().zip(ends) {
            body.push(packet.as_str());
            if end {
                grouped.push(std::mem::take(&mut body).join("\u{1e}"));
            }
        }
        grouped.extend((!body.is_empty()).then(|| body.join("\u{1e}")));
        prop_assert_eq!(outcome(&packets), outcome(&grouped));
    }
}
