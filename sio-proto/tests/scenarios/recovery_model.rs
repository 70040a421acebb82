//! Connection state recovery against a model: whoever is recovered has heard every event that was meant for it, once and in order;
//! whatever the order of things, and however little is kept.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use sio_proto::hub::SocketKey;
use sio_proto::server::{ConnectionStateRecovery, Op};

use crate::common::{Ws, scope};
use crate::recovery::{Memory, World};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// To everyone, to a room, to all but a room, to one.
    Emit(u8, u8),
    /// A client reads what there is, and answers pings.
    Hear(u8),
    /// Its connection breaks; what it has not read it never will.
    Lose(u8),
    /// It comes back, perhaps before its connection is known to be broken.
    Back(u8),
    Pass(u8),
    /// Somebody is put into a room, or out of one; also while it is away.
    Move(u8, u8, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<u8>(), any::<u8>()).prop_map(|(how, who)| Step::Emit(how, who)),
        4 => any::<u8>().prop_map(Step::Hear),
        2 => any::<u8>().prop_map(Step::Lose),
        3 => any::<u8>().prop_map(Step::Back),
        2 => any::<u8>().prop_map(Step::Pass),
        3 => (any::<u8>(), any::<u8>(), any::<bool>()).prop_map(|(who, room, joins)| Step::Move(who, room, joins)),
    ]
}

struct Client {
    ws: Ws,
    socket: SocketKey,
    memory: Memory,
    rooms: BTreeSet<&'static str>,
    /// What it should have heard since its session began.
    meant: Vec<String>,
    heard: Vec<String>,
}

impl Client {
    fn new(world: &mut World, room: &'static str) -> Self {
        let mut memory = Memory::default();
        let (ws, socket, _) = world.connect(&mut memory, "40");
        world.rig.server.join(socket, room);
        Self { ws, socket, memory, rooms: BTreeSet::from([room]), meant: Vec::new(), heard: Vec::new() }
    }

    fn hear(&mut self, world: &mut World) {
        for text in world.hear(self.ws, &mut self.memory) {
            match text.as_str() {
                "2" => drop(world.rig.say(self.ws, "3")),
                "41" | "close" | "abort" => {}
                _ => self.heard.push(text),
            }
        }
    }

    fn back(&mut self, world: &mut World, room: &'static str) -> bool {
        let (ws, socket, mut heard) = world.back(&mut self.memory);
        // Whatever is still on its way to the old connection is lost.
        let old = std::mem::replace(&mut self.ws, ws);
        drop(world.rig.frames(old));
        world.rig.events(old.conn);
        self.socket = socket;
        let recovered = heard.pop().expect("a reply") == "recovered";
        if recovered {
            self.heard.append(&mut heard);
            assert_eq!(self.heard, self.meant);
        } else {
            assert_eq!(heard, [""; 0]);
            world.rig.server.join(socket, room);
            self.rooms = BTreeSet::from([room]);
            (self.meant, self.heard) = Default::default();
        }
        recovered
    }
}

const ROOMS: [&str; 3] = ["a", "b", "a"];

/// Gives how many were recovered, and how many began anew.
fn play(steps: &[Step], recovery: ConnectionStateRecovery) -> (usize, usize) {
    let mut world = World::with(recovery);
    let mut clients: Vec<Client> = ROOMS.iter().map(|room| Client::new(&mut world, room)).collect();
    let (mut recovered, mut anew) = (0, 0);
    for (number, step) in steps.iter().enumerate() {
        let name = format!("e{number}");
        match *step {
            Step::Emit(how, who) => {
                let who = usize::from(who) % clients.len();
                let rooms: Vec<_> = clients.iter().map(|client| client.rooms.clone()).collect();
                let meant = |index: usize| match how % 4 {
                    0 => true,
                    1 => rooms[index].contains("a"),
                    2 => !rooms[index].contains("a"),
                    _ => index == who,
                };
                match how % 4 {
                    0 => world.all(&name),
                    1 => world.to(&scope(&["a"], &[]), &name),
                    2 => world.to(&scope(&[], &["a"]), &name),
                    _ => {
                        let id = clients[who].memory.sid.clone();
                        world.to(&scope(&[&id], &[]), &name);
                    }
                }
                for (index, client) in clients.iter_mut().enumerate() {
                    client.meant.extend(meant(index).then(|| name.clone()));
                }
            }
            Step::Hear(who) => {
                let who = usize::from(who) % clients.len();
                clients[who].hear(&mut world);
            }
            Step::Lose(who) => {
                let who = usize::from(who) % clients.len();
                let ws = clients[who].ws;
                world.lose(ws);
                world.rig.events(ws.conn);
            }
            Step::Back(who) => {
                let who = usize::from(who) % clients.len();
                if clients[who].back(&mut world, ROOMS[who]) {
                    recovered += 1;
                } else {
                    anew += 1;
                }
            }
            Step::Move(who, room, joins) => {
                let client = &mut clients[usize::from(who) % ROOMS.len()];
                let room = ROOMS[usize::from(room) % ROOMS.len()];
                let (list, id) = (vec![room.into()], client.memory.sid.clone());
                let op = if joins { Op::Join(list) } else { Op::Leave(list) };
                world.apply(&scope(&[&id], &[]), &op);
                if joins {
                    client.rooms.insert(room);
                } else {
                    client.rooms.remove(room);
                }
            }
            Step::Pass(time) => {
                // Pings of those who read.
                for _ in 0..time % 16 {
                    world.rig.pass(Duration::from_secs(5));
                }
                for client in &mut clients {
                    world.rig.events(client.ws.conn);
                }
            }
        }
    }
    (recovered, anew)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn who_is_recovered_has_missed_nothing(
        steps in prop::collection::vec(step(), 0..80),
        max_events in prop_oneof![Just(10_000_usize), 0_usize..6],
        max_sessions in prop_oneof![Just(1000_usize), 0_usize..3],
        max_bytes in prop_oneof![Just([1 << 20; 3]), prop::array::uniform3(0_usize..3000)],
    ) {
        let [total, missed, carried] = max_bytes;
        let recovery = ConnectionStateRecovery::new().max_events(max_events).max_sessions(max_sessions);
        play(&steps, recovery.max_total_bytes(total).max_missed_bytes(missed).max_carried_bytes(carried));
    }

    /// With room enough and within the time, everybody is recovered.
    #[test]
    fn everybody_in_time_is_recovered(steps in prop::collection::vec(step(), 0..80)) {
        let steps: Vec<Step> = steps.into_iter().filter(|step| !matches!(step, Step::Pass(_))).collect();
        let (_, anew) = play(&steps, ConnectionStateRecovery::new());
        prop_assert_eq!(anew, 0);
    }
}
