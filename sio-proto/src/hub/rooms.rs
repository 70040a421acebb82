//! The tables behind rooms, and the selection of sockets from them.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use slotmap::{SlotMap, new_key_type};

use super::changes::{RoomChange, RoomEvent};
use crate::{SocketId, Str};

/// The name of a room.
pub type Room = Str;

new_key_type! {
    /// A socket in a [`Hub`]: one client in one namespace. Not used again after the socket is gone.
    pub struct SocketKey;
    struct RoomKey;
}

/// A namespace in a [`Hub`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NamespaceId(u64);

impl NamespaceId {
    /// Where sockets are whose namespace does not exist yet. It has no name, and nobody in it is ever connected.
    pub(crate) const NOWHERE: Self = Self(u64::MAX);

    /// How many namespaces were added before this one. Numbers are not used twice.
    #[must_use]
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Which sockets of a namespace are meant.
///
/// No rooms mean every socket; with rooms, those that are in at least one of them, each once (B122). `except` takes
/// sockets out again and wins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scope {
    /// `None` is everyone. A list without entries is everyone too (B123).
    pub rooms: Vec<Room>,
    /// Sockets in any of these rooms are left out.
    pub except: Vec<Room>,
}

impl Scope {
    /// Every socket of the namespace.
    #[must_use]
    pub const fn all() -> Self {
        Self { rooms: Vec::new(), except: Vec::new() }
    }

    /// Adds a room.
    #[must_use]
    pub fn to(mut self, room: impl Into<Room>) -> Self {
        self.rooms.push(room.into());
        self
    }

    /// Leaves the sockets in a room out.
    #[must_use]
    pub fn except(mut self, room: impl Into<Room>) -> Self {
        self.except.push(room.into());
        self
    }

    /// Whether a socket that is in these rooms is meant.
    #[must_use]
    pub fn means(&self, rooms: &[Room]) -> bool {
        self.means_by(|room| rooms.contains(room))
    }

    /// Whether a socket is meant that is in the rooms which `is_in` says.
    #[must_use]
    pub fn means_by(&self, is_in: impl Fn(&Room) -> bool) -> bool {
        let any = |of: &[Room]| of.iter().any(&is_in);
        (self.rooms.is_empty() || any(&self.rooms)) && !any(&self.except)
    }
}

/// A socket's entry in the hub, with the owner's handle `H` for it.
#[derive(Debug)]
pub struct HubSocket<H> {
    /// The owner's handle.
    pub handle: H,
    id: SocketId,
    namespace: NamespaceId,
    connected: bool,
    rooms: Vec<RoomKey>,
    /// The selection that last looked at this socket, so that each selects it once.
    mark: u64,
}

impl<H> HubSocket<H> {
    /// The public id.
    #[must_use]
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> NamespaceId {
        self.namespace
    }

    /// Whether broadcasts reach it: not before it was let in (B107).
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected
    }
}

#[derive(Debug, Default)]
struct Namespace {
    name: Str,
    /// The connected sockets.
    sockets: BTreeSet<SocketKey>,
    /// How many sockets there are, with those that are not connected yet.
    present: usize,
    rooms: BTreeMap<Room, RoomKey>,
    /// Whether changes of rooms are kept for the owner.
    watched: bool,
}

#[derive(Debug)]
struct Members {
    name: Room,
    sockets: BTreeSet<SocketKey>,
}

/// Sockets and rooms of all namespaces of one server, or of one shard of it.
///
/// A room exists while someone is in it. Each connected socket is in a room named by its id. `H` is whatever the owner needs to reach
/// a socket; selections give it directly, without a look-up per recipient. The order of a selection depends on the order of
/// joins only, never on hashes.
#[derive(Debug)]
pub struct Hub<H> {
    namespaces: BTreeMap<NamespaceId, Namespace>,
    /// How many were added.
    added: u64,
    /// The name of namespaces that are not there.
    nameless: Str,
    names: BTreeMap<Str, NamespaceId>,
    sockets: SlotMap<SocketKey, HubSocket<H>>,
    rooms: SlotMap<RoomKey, Members>,
    /// What happened to rooms of watched namespaces since the owner last asked.
    changes: Vec<RoomChange>,
    mark: u64,
}

impl<H> Default for Hub<H> {
    fn default() -> Self {
        Self {
            namespaces: BTreeMap::from([(NamespaceId::NOWHERE, Namespace::default())]),
            added: 0,
            nameless: Str::empty(),
            names: BTreeMap::new(),
            sockets: SlotMap::with_key(),
            rooms: SlotMap::with_key(),
            changes: Vec::new(),
            mark: 0,
        }
    }
}

impl<H> Hub<H> {
    /// A hub without namespaces.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The namespace of this name, made if there is none. `chat` and `/chat` are the same (B117), and so are the empty name
    /// and `/`.
    pub fn add_namespace(&mut self, name: &str) -> NamespaceId {
        let name = normalize(name);
        if let Some(id) = self.names.get(&name) {
            return *id;
        }
        let id = NamespaceId(self.added);
        self.added += 1;
        self.names.insert(name.clone(), id);
        self.namespaces.insert(id, Namespace { name, ..Namespace::default() });
        id
    }

    /// Removes a namespace in which no socket is, not even one that is not connected yet. Says whether it did. The name may be added
    /// again, as another namespace.
    pub fn remove_namespace(&mut self, namespace: NamespaceId) -> bool {
        if namespace == NamespaceId::NOWHERE || self.is_occupied(namespace) {
            return false;
        }
        let Some(removed) = self.namespaces.remove(&namespace) else { return false };
        self.names.remove(&removed.name);
        true
    }

    /// Whether a socket is in a namespace, be it connected or not.
    #[must_use]
    pub fn is_occupied(&self, namespace: NamespaceId) -> bool {
        self.namespaces.get(&namespace).is_some_and(|namespace| namespace.present > 0)
    }

    /// Whether there is such a namespace.
    #[must_use]
    pub fn contains(&self, namespace: NamespaceId) -> bool {
        self.namespaces.contains_key(&namespace)
    }

    /// The namespace of exactly this name, as it stands on the wire.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<NamespaceId> {
        self.names.get(name).copied()
    }

    /// The name of a namespace; empty if it was removed.
    #[must_use]
    pub fn name(&self, namespace: NamespaceId) -> &Str {
        self.namespaces.get(&namespace).map_or(&self.nameless, |namespace| &namespace.name)
    }

    /// From now on [`take_changes`](Self::take_changes) gives what happens to rooms of this namespace. Default: nobody asks, and
    /// nothing is done for it. Says whether there is such a namespace.
    pub fn watch(&mut self, namespace: NamespaceId) -> bool {
        self.namespaces.get_mut(&namespace).map(|namespace| namespace.watched = true).is_some()
    }

    /// Whether [`take_changes`](Self::take_changes) would give something.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// What happened to rooms of namespaces that are [watched](Self::watch), in order. It is kept until it is taken.
    pub fn take_changes(&mut self) -> Vec<RoomChange> {
        core::mem::take(&mut self.changes)
    }

    /// Adds a socket that is not connected yet. In a namespace that was removed it can do nothing.
    pub fn insert(&mut self, namespace: NamespaceId, id: SocketId, handle: H) -> SocketKey {
        let socket = HubSocket { handle, id, namespace, connected: false, rooms: Vec::new(), mark: 0 };
        let key = self.sockets.insert(socket);
        if let Some(namespace) = self.namespaces.get_mut(&namespace) {
            namespace.present += 1;
        }
        key
    }

    /// Moves a socket that is not connected yet to another namespace, with its rooms. Says whether it did.
    pub fn assign(&mut self, key: SocketKey, namespace: NamespaceId) -> bool {
        let Some(socket) = self.sockets.get(key).filter(|socket| !socket.connected) else { return false };
        let old = socket.namespace;
        if !self.namespaces.contains_key(&namespace) {
            return false;
        }
        let rooms: Vec<Room> = self.rooms(key).cloned().collect();
        for room in &rooms {
            self.leave(key, room);
        }
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.namespace = namespace;
        }
        if let Some(old) = self.namespaces.get_mut(&old) {
            old.present -= 1;
        }
        if let Some(new) = self.namespaces.get_mut(&namespace) {
            new.present += 1;
        }
        for room in &rooms {
            self.join(key, room);
        }
        true
    }

    /// Gives a socket that is not connected yet the id and the rooms of one that is gone. Those it has joined meanwhile it keeps.
    pub fn adopt(&mut self, key: SocketKey, id: SocketId, rooms: &[Room]) {
        let Some(socket) = self.sockets.get_mut(key).filter(|socket| !socket.connected) else { return };
        socket.id = id;
        self.join_own(key);
        for room in rooms {
            self.join(key, room);
        }
    }

    /// From now on broadcasts reach the socket, and it is in the room of its id.
    pub fn connect(&mut self, key: SocketKey) {
        if let Some(socket) = self.sockets.get_mut(key) {
            if let Some(namespace) = self.namespaces.get_mut(&socket.namespace) {
                socket.connected = true;
                namespace.sockets.insert(key);
            }
        }
        self.join_own(key);
    }

    /// Puts a socket into the room of its id. It is the first of its rooms.
    fn join_own(&mut self, key: SocketKey) {
        let Some(id) = self.sockets.get(key).map(|socket| socket.id) else { return };
        if self.join(key, id.as_str()) {
            if let Some(socket) = self.sockets.get_mut(key) {
                socket.rooms.rotate_right(1);
            }
        }
    }

    /// Takes a socket out of all rooms and forgets it. Gives the rooms it was in.
    pub fn remove(&mut self, key: SocketKey) -> Option<(HubSocket<H>, Vec<Room>)> {
        let mut socket = self.sockets.remove(key)?;
        let rooms = core::mem::take(&mut socket.rooms);
        let names =
            rooms.iter().filter_map(|room| self.rooms.get(*room)).map(|room| room.name.clone()).collect();
        for room in rooms {
            self.leave_room((socket.namespace, socket.id), room, key);
        }
        if let Some(namespace) = self.namespaces.get_mut(&socket.namespace) {
            namespace.sockets.remove(&key);
            namespace.present -= 1;
        }
        Some((socket, names))
    }

    /// The socket's entry.
    #[must_use]
    pub fn get(&self, key: SocketKey) -> Option<&HubSocket<H>> {
        self.sockets.get(key)
    }

    /// Puts a socket into a room. Says whether that changed anything.
    pub fn join(&mut self, key: SocketKey, room: &str) -> bool {
        let Some(socket) = self.sockets.get_mut(key) else { return false };
        let Some(namespace) = self.namespaces.get_mut(&socket.namespace) else { return false };
        let (id, of, watched) = (socket.id, socket.namespace, namespace.watched);
        let changes = &mut self.changes;
        let mut tell = |room: &Room, event| {
            if watched {
                changes.push(RoomChange { namespace: of, room: room.clone(), event });
            }
        };
        let room = match namespace.rooms.get(room) {
            Some(room) => *room,
            None => {
                let name = Room::from(room);
                tell(&name, RoomEvent::Create);
                let key = self.rooms.insert(Members { name: name.clone(), sockets: BTreeSet::new() });
                namespace.rooms.insert(name, key);
                key
            }
        };
        let members = &mut self.rooms[room];
        let joined = members.sockets.insert(key);
        if joined {
            socket.rooms.push(room);
            tell(&members.name, RoomEvent::Join(id));
        }
        joined
    }

    /// Takes a socket out of a room. Says whether it was there (B116).
    pub fn leave(&mut self, key: SocketKey, room: &str) -> bool {
        let Some(socket) = self.sockets.get_mut(key) else { return false };
        let (namespace, id) = (socket.namespace, socket.id);
        let known = self.namespaces.get(&namespace).and_then(|namespace| namespace.rooms.get(room));
        let Some(&room) = known else { return false };
        let Some(at) = socket.rooms.iter().position(|joined| *joined == room) else { return false };
        socket.rooms.remove(at);
        self.leave_room((namespace, id), room, key);
        true
    }

    fn leave_room(&mut self, (of, id): (NamespaceId, SocketId), room: RoomKey, key: SocketKey) {
        let (Some(members), Some(namespace)) = (self.rooms.get_mut(room), self.namespaces.get_mut(&of))
        else {
            return;
        };
        members.sockets.remove(&key);
        if namespace.watched {
            let (room, event) = (members.name.clone(), RoomEvent::Leave(id));
            self.changes.push(RoomChange { namespace: of, room, event });
        }
        if members.sockets.is_empty() {
            namespace.rooms.remove(&members.name);
            let gone = self.rooms.remove(room).filter(|_| namespace.watched);
            self.changes.extend(gone.map(|gone| {
                let (room, event) = (gone.name, RoomEvent::Delete);
                RoomChange { namespace: of, room, event }
            }));
        }
    }

    /// The rooms that a socket is in, in the order in which it joined them; the room of its id is the first.
    pub fn rooms(&self, key: SocketKey) -> impl Iterator<Item = &Room> + '_ {
        let rooms = self.sockets.get(key).map_or(&[][..], |socket| &socket.rooms);
        rooms.iter().filter_map(|room| self.rooms.get(*room)).map(|room| &room.name)
    }

    /// The rooms of a namespace in which somebody is, by name.
    pub fn all_rooms(&self, namespace: NamespaceId) -> impl Iterator<Item = (&Room, usize)> + '_ {
        let rooms = self.namespaces.get(&namespace).into_iter().flat_map(|namespace| &namespace.rooms);
        rooms.map(|(name, key)| (name, self.rooms.get(*key).map_or(0, |room| room.sockets.len())))
    }

    /// Whether somebody is in a room of a namespace.
    #[must_use]
    pub fn has_room(&self, namespace: NamespaceId, room: &str) -> bool {
        self.namespaces.get(&namespace).is_some_and(|namespace| namespace.rooms.contains_key(room))
    }

    /// How many sockets are connected to a namespace.
    #[must_use]
    pub fn len(&self, namespace: NamespaceId) -> usize {
        self.namespaces.get(&namespace).map_or(0, |namespace| namespace.sockets.len())
    }

    /// Calls `each` with every connected socket that is meant, once.
    pub fn select(&mut self, namespace: NamespaceId, scope: &Scope, mut each: impl FnMut(SocketKey, &H)) {
        // Each of the two passes has a mark of its own: "left out" and "seen".
        self.mark += 2;
        let (left_out, seen) = (self.mark, self.mark + 1);
        let Some(namespace) = self.namespaces.get(&namespace) else { return };
        let members = |room: &Room| {
            let room = namespace.rooms.get(room).and_then(|room| self.rooms.get(*room));
            room.into_iter().flat_map(|room| &room.sockets)
        };
        for key in scope.except.iter().flat_map(members) {
            if let Some(socket) = self.sockets.get_mut(*key) {
                socket.mark = left_out;
            }
        }
        let mut visit = |key: SocketKey| {
            if let Some(socket) = self.sockets.get_mut(key) {
                if socket.mark < left_out && socket.connected {
                    socket.mark = seen;
                    each(key, &socket.handle);
                }
            }
        };
        if scope.rooms.is_empty() {
            namespace.sockets.iter().copied().for_each(&mut visit);
        } else {
            scope.rooms.iter().flat_map(members).copied().for_each(&mut visit);
        }
    }

    /// The selected sockets, when they are needed as a list.
    pub fn selected(&mut self, namespace: NamespaceId, scope: &Scope) -> Vec<SocketKey> {
        let mut keys = Vec::new();
        self.select(namespace, scope, |key, _| keys.push(key));
        keys
    }
}

fn normalize(name: &str) -> Str {
    if name.starts_with('/') {
        return name.into();
    }
    let mut slashed = String::with_capacity(name.len() + 1);
    slashed.push('/');
    slashed.push_str(name);
    slashed.into()
}
