//! The laws for the namespaces on one connection.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;
use sio_proto::engine::{CloseReason, Message};
use sio_proto::socket::{AckError, ConnConfig, ConnEvent, ConnectError, DisconnectReason, ServerConn, Slot};
use sio_proto::{Instant, SocketId};

use crate::common::show;
use crate::harness::{Machine, obey, story};

#[derive(Clone, Debug)]
enum Op {
    Say(String),
    SayBinary(Vec<u8>),
    Accept(usize),
    Refuse(usize),
    Ask { which: usize, id: u64, within: Option<u64> },
    Forget { which: usize, id: u64 },
    Disconnect(usize),
    Close,
}

fn text() -> impl Strategy<Value = String> {
    let usual = [
        "0",
        "0/a,",
        "0/b,{}",
        "1",
        "1/a,",
        "2[\"x\"]",
        "2/a,[\"x\",1]",
        "21[\"x\"]",
        "30[]",
        "31[1]",
        "3/a,0[]",
        "3/a,1[]",
        "51-[\"x\",{\"_placeholder\":true,\"num\":0}]",
        "62-0[]",
        "51-[\"x\"]",
    ]
    .map(String::from);
    let packet = "[0-6](1?-)?(/[ab],)?[0-9]{0,2}(\\[(\"x\"|1|\\{\\})?\\])?";
    prop_oneof![12 => prop::sample::select(usual.to_vec()), 1 => packet, 1 => any::<String>()]
}

fn op() -> impl Strategy<Value = Op> {
    let which = || 0..4usize;
    prop_oneof![
        12 => text().prop_map(Op::Say),
        2 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Op::SayBinary),
        4 => which().prop_map(Op::Accept),
        1 => which().prop_map(Op::Refuse),
        4 => (which(), 0..4u64, prop::option::of(0..5_000u64)).prop_map(|(which, id, within)| Op::Ask { which, id, within }),
        1 => (which(), 0..4u64).prop_map(|(which, id)| Op::Forget { which, id }),
        1 => which().prop_map(Op::Disconnect),
        1 => prop::bool::weighted(0.1).prop_map(|close| if close { Op::Close } else { Op::Accept(0) }),
    ]
}

#[derive(Default)]
struct Known {
    accepted: bool,
    acks: BTreeSet<u64>,
}

struct World {
    conn: ServerConn,
    slots: BTreeMap<Slot, Known>,
    next_id: u8,
    closed: bool,
}

impl World {
    fn slot(&self, which: usize) -> Option<Slot> {
        self.slots.keys().nth(which % self.slots.len().max(1)).copied()
    }

    fn close(&mut self) {
        self.conn.close(DisconnectReason::Connection(CloseReason::ForcedClose));
        self.closed = true;
    }

    fn handle(&mut self, message: Message) {
        if self.conn.handle_message(message).is_err() {
            assert!(!self.closed, "5: a fault after the end");
            self.close();
        }
    }
}

impl Machine for World {
    type Op = Op;

    fn new() -> Self {
        let mut config = ConnConfig::default();
        (config.max_attachments, config.max_packet_bytes) = (2, 100);
        Self {
            conn: ServerConn::new(&config, Instant::ZERO),
            slots: BTreeMap::new(),
            next_id: 0,
            closed: false,
        }
    }

    fn apply(&mut self, op: &Op, now: Instant) {
        match op {
            Op::Say(text) => self.handle(Message::Text(text.as_str().into())),
            Op::SayBinary(bytes) => self.handle(Message::Binary(Bytes::copy_from_slice(bytes))),
            Op::Accept(which) => {
                let Some(slot) = self.slot(*which) else { return };
                self.next_id = self.next_id.wrapping_add(1);
                let id: SocketId = format!("AAECAwQFBgcICQoLD{:03}", self.next_id).parse().unwrap();
                let known = self.slots.get_mut(&slot).unwrap();
                assert_eq!(self.conn.accept(slot, &id).is_ok(), !known.accepted);
                known.accepted = true;
            }
            Op::Refuse(which) => {
                let Some(slot) = self.slot(*which) else { return };
                let accepted = self.slots[&slot].accepted;
                assert_eq!(self.conn.refuse(slot, &ConnectError::new("no")).is_ok(), !accepted);
                if !accepted {
                    assert!(self.slots.remove(&slot).unwrap().acks.is_empty());
                }
            }
            Op::Ask { which, id, within } => {
                let Some(slot) = self.slot(*which).filter(|slot| self.slots[slot].accepted) else { return };
                let deadline = within.map(|ms| now + std::time::Duration::from_millis(ms));
                let free = self.slots.get_mut(&slot).unwrap().acks.insert(*id);
                assert_eq!(self.conn.expect_ack(slot, *id, deadline).is_ok(), free);
            }
            Op::Forget { which, id } => {
                let Some(slot) = self.slot(*which) else { return };
                self.conn.forget_ack(slot, *id);
                self.slots.get_mut(&slot).unwrap().acks.remove(id);
            }
            Op::Disconnect(which) => {
                let Some(slot) = self.slot(*which) else { return };
                assert!(self.conn.disconnect(slot).is_ok());
            }
            Op::Close => self.close(),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.conn.handle_timeout(now).is_err() {
            self.close();
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.conn.poll_timeout()
    }

    fn drain(&mut self) -> Vec<String> {
        let mut trace = Vec::new();
        while let Some(event) = self.conn.poll_event() {
            match &event {
                ConnEvent::Connect { slot, .. } => {
                    assert!(self.slots.insert(*slot, Known::default()).is_none(), "a slot is used twice");
                }
                ConnEvent::Event { slot, .. } => assert!(self.slots.contains_key(slot)),
                ConnEvent::Ack { slot, id, result } => {
                    assert!(
                        self.slots.get_mut(slot).unwrap().acks.remove(id),
                        "an answer that nobody waits for"
                    );
                    assert!(!self.closed || *result == Err(AckError::Disconnected));
                }
                ConnEvent::Disconnect { slot, .. } => {
                    let known = self.slots.remove(slot).expect("5: it was gone already");
                    assert!(known.acks.is_empty(), "a question without an answer");
                }
                other => panic!("{other:?}"),
            }
            trace.push(format!("{event:?}"));
        }
        assert_eq!(self.conn.slots().collect::<BTreeSet<_>>(), self.slots.keys().copied().collect());
        while let Some(packet) = self.conn.poll_message() {
            assert!(!self.closed, "5: output after the end");
            trace.extend(packet.frames().map(|frame| show(&frame)));
        }
        trace
    }

    fn is_over(&self) -> bool {
        self.closed && self.slots.is_empty()
    }

    fn end(&mut self, _now: Instant) {
        self.close();
    }
}

proptest! {
    #[test]
    fn a_connection_obeys(story in story(op())) {
        obey::<World>(&story);
    }
}
