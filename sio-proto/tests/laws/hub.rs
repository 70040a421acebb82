//! The hub against a model: rooms are sets of sockets by name.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sio_proto::SocketId;
use sio_proto::hub::{Hub, NamespaceId, RoomChange, RoomEvent, Scope, SocketKey};

use crate::common::scope;

#[derive(Clone, Debug)]
enum Op {
    Insert { namespace: usize },
    Connect(usize),
    Remove(usize),
    Join(usize, &'static str),
    Leave(usize, &'static str),
    Select { namespace: usize, to: Vec<&'static str>, except: Vec<&'static str> },
}

const ROOMS: [&str; 4] = ["", "a", "b", "room with spaces"];

fn op() -> impl Strategy<Value = Op> {
    let room = || prop::sample::select(&ROOMS[..]);
    let rooms = || prop::collection::vec(room(), 0..4);
    let socket = || 0..12usize;
    prop_oneof![
        3 => (0..2usize).prop_map(|namespace| Op::Insert { namespace }),
        3 => socket().prop_map(Op::Connect),
        1 => socket().prop_map(Op::Remove),
        6 => (socket(), room()).prop_map(|(socket, room)| Op::Join(socket, room)),
        2 => (socket(), room()).prop_map(|(socket, room)| Op::Leave(socket, room)),
        4 => (0..2usize, rooms(), rooms()).prop_map(|(namespace, to, except)| Op::Select { namespace, to, except }),
    ]
}

/// One namespace of the model.
#[derive(Default)]
struct Model {
    rooms: BTreeMap<String, BTreeSet<SocketId>>,
    connected: BTreeSet<SocketId>,
}

impl Model {
    fn leave(&mut self, socket: SocketId, room: &str) -> bool {
        let Some(members) = self.rooms.get_mut(room) else { return false };
        let was_there = members.remove(&socket);
        if members.is_empty() {
            self.rooms.remove(room);
        }
        was_there
    }

    fn select(&self, scope: &Scope) -> BTreeSet<SocketId> {
        let members = |room: &sio_proto::Str| self.rooms.get(room.as_str()).into_iter().flatten().copied();
        let mut selected: BTreeSet<_> = match &scope.rooms[..] {
            [] => self.connected.clone(),
            rooms => rooms.iter().flat_map(members).filter(|id| self.connected.contains(id)).collect(),
        };
        for left_out in scope.except.iter().flat_map(members) {
            selected.remove(&left_out);
        }
        selected
    }
}

/// The rooms as one knows them who was told of every change.
fn replay(told: &mut BTreeMap<String, BTreeSet<SocketId>>, change: RoomChange) {
    let members = told.get_mut(change.room.as_str());
    match (change.event, members) {
        (RoomEvent::Create, None) => assert!(told.insert(change.room.to_string(), BTreeSet::new()).is_none()),
        (RoomEvent::Join(id), Some(members)) => assert!(members.insert(id)),
        (RoomEvent::Leave(id), Some(members)) => assert!(members.remove(&id)),
        (RoomEvent::Delete, Some(members)) => {
            assert!(members.is_empty());
            told.remove(change.room.as_str());
        }
        (event, members) => panic!("{event:?} of {:?}, in which {members:?} are", change.room),
    }
}

fn run(ops: &[Op]) {
    let mut hub = Hub::new();
    let namespaces: [NamespaceId; 2] = [hub.add_namespace("/"), hub.add_namespace("chat")];
    // The other one is not watched.
    assert!(hub.watch(namespaces[1]));
    let mut told = BTreeMap::new();
    let mut models = [Model::default(), Model::default()];
    // Gone sockets stay in the list: their keys must do nothing.
    let mut sockets: Vec<(SocketKey, SocketId, usize, bool)> = Vec::new();
    for op in ops {
        let socket = |at: &usize| sockets.get(at % sockets.len().max(1)).copied();
        match op {
            Op::Insert { namespace } => {
                let id: SocketId = format!("AAECAwQFBgcICQoL{:04}", sockets.len()).parse().unwrap();
                let key = hub.insert(namespaces[*namespace], id, sockets.len());
                sockets.push((key, id, *namespace, true));
            }
            Op::Connect(at) => {
                let Some((key, id, namespace, there)) = socket(at) else { continue };
                hub.connect(key);
                if there {
                    models[namespace].connected.insert(id);
                    models[namespace].rooms.entry(id.to_string()).or_default().insert(id);
                    assert_eq!(
                        hub.rooms(key).next().unwrap().as_str(),
                        id.as_str(),
                        "its own room is the first"
                    );
                }
            }
            Op::Remove(at) => {
                let Some((key, id, namespace, there)) = socket(at) else { continue };
                let removed = hub.remove(key);
                assert_eq!(removed.is_some(), there);
                let model = &mut models[namespace];
                let names: Vec<String> = model.rooms.keys().cloned().collect();
                let left: BTreeSet<String> = names.into_iter().filter(|room| model.leave(id, room)).collect();
                model.connected.remove(&id);
                let told = removed.map(|(_, rooms)| rooms).unwrap_or_default();
                assert_eq!(told.iter().map(|room| room.to_string()).collect::<BTreeSet<_>>(), left);
                let at = at % sockets.len();
                sockets[at].3 = false;
            }
            Op::Join(at, room) => {
                let Some((key, id, namespace, there)) = socket(at) else { continue };
                let expected = there && models[namespace].rooms.entry((*room).into()).or_default().insert(id);
                assert_eq!(hub.join(key, room), expected);
            }
            Op::Leave(at, room) => {
                let Some((key, id, namespace, _)) = socket(at) else { continue };
                assert_eq!(hub.leave(key, room), models[namespace].leave(id, room), "B116");
            }
            Op::Select { namespace, to, except } => {
                let scope = scope(to, except);
                let mut ids = Vec::new();
                hub.select(namespaces[*namespace], &scope, |key, handle| {
                    assert_eq!(sockets[*handle].0, key);
                    ids.push(sockets[*handle].1);
                });
                let once: BTreeSet<_> = ids.iter().copied().collect();
                assert_eq!(once.len(), ids.len(), "B122: each once");
                assert_eq!(once, models[*namespace].select(&scope), "{scope:?}");
            }
        }
        for change in hub.take_changes() {
            assert_eq!(change.namespace, namespaces[1]);
            replay(&mut told, change);
        }
        assert!(!hub.has_changes());
        assert!(told.values().all(|members| !members.is_empty()), "a room exists while somebody is in it");
        assert_eq!(told, models[1].rooms);
        for (namespace, model) in namespaces.iter().zip(&models) {
            let rooms: Vec<_> =
                hub.all_rooms(*namespace).map(|(name, members)| (name.as_str(), members)).collect();
            let expected: Vec<_> = model.rooms.iter().map(|(name, ids)| (name.as_str(), ids.len())).collect();
            assert_eq!(rooms, expected, "rooms are freed when they are empty");
            assert_eq!(hub.len(*namespace), model.connected.len());
        }
    }
}

proptest! {
    #[test]
    fn the_hub_agrees_with_the_model(ops in prop::collection::vec(op(), 0..120)) {
        run(&ops);
    }
}
