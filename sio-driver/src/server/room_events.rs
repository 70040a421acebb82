//! What happens to rooms, told to who asks: the changes of all shards in one order, and never under a lock.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use sio_proto::SocketId;
use sio_proto::hub::{Room, RoomChange, RoomEvent};
use sio_proto::server::Kept;

use crate::handlers::{catch, destroy};
use crate::server::Namespace;
use crate::server::host::Host;
use crate::server::shard::ConnState;

/// How much more than there was to tell is told in one go: what others do meanwhile.
const MORE: usize = 1024;

type Listener = Arc<dyn Fn(&Room, RoomEvent) + Send + Sync>;

/// The rooms of one namespace in all shards, if anybody asks.
pub(crate) struct RoomEvents {
    merged: Mutex<Merged>,
    host: Option<Arc<dyn Host>>,
}

#[derive(Default)]
struct Merged {
    /// Those who ask. Each event goes to those who asked before it.
    listeners: Arc<Vec<Listener>>,
    /// In how many shards a room is.
    shards: BTreeMap<Room, usize>,
    pending: VecDeque<(Room, RoomEvent, Arc<Vec<Listener>>)>,
    /// Whether somebody is telling: one at a time, so that the order is kept.
    telling: bool,
}

impl RoomEvents {
    /// `host`: where those are told whom nobody else has the time to tell.
    pub(super) fn new(host: Option<Arc<dyn Host>>) -> Self {
        Self { merged: Mutex::default(), host }
    }

    fn lock(&self) -> MutexGuard<'_, Merged> {
        self.merged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a change to those to be told. The shard where it happened is locked, so that its changes stay in order.
    pub(super) fn push(&self, change: RoomChange) {
        let RoomChange { room, event, .. } = change;
        let mut merged = self.lock();
        let told = match event {
            RoomEvent::Create => {
                let shards = merged.shards.entry(room.clone()).or_default();
                *shards += 1;
                *shards == 1
            }
            RoomEvent::Delete => match merged.shards.get_mut(&room) {
                Some(shards) if *shards > 1 => {
                    *shards -= 1;
                    false
                }
                _ => merged.shards.remove(&room).is_some(),
            },
            RoomEvent::Join(_) | RoomEvent::Leave(_) => true,
        };
        if told {
            let listeners = merged.listeners.clone();
            merged.pending.push_back((room, event, listeners));
        }
    }

    /// Tells what is to be told, unless somebody does it already: another thread, or the one whose function has changed rooms.
    fn tell(self: &Arc<Self>) {
        if mem::replace(&mut self.lock().telling, true) {
            return;
        }
        let mut telling = Telling { rooms: self.clone(), done: false };
        while !telling.go_on() {
            let Some(host) = &self.host else { continue };
            return host.spawn(Box::pin(poll_fn(move |cx| {
                if telling.go_on() {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })));
        }
    }
}

/// The right to tell, until everything is told.
struct Telling {
    rooms: Arc<RoomEvents>,
    done: bool,
}

impl Drop for Telling {
    fn drop(&mut self) {
        // With its runtime. Whoever comes next goes on.
        if !self.done {
            self.rooms.lock().telling = false;
        }
    }
}

impl Telling {
    /// Tells what there is, and some of what comes meanwhile. Says whether that is all; then it may not tell any more.
    fn go_on(&mut self) -> bool {
        let mut merged = self.rooms.lock();
        let mut left = merged.pending.len() + MORE;
        loop {
            if merged.pending.is_empty() {
                merged.telling = false;
                self.done = true;
                return true;
            }
            if left == 0 {
                return false;
            }
            let mut batch = mem::take(&mut merged.pending);
            if batch.len() > left {
                merged.pending = batch.split_off(left);
            }
            left -= batch.len();
            drop(merged);
            for (room, event, listeners) in batch {
                for listener in listeners.iter() {
                    if let Err(error) = catch(|| listener(&room, event)) {
                        tracing::error!(%error, "a function for rooms failed");
                    }
                }
            }
            merged = self.rooms.lock();
        }
    }
}

/// What a lock has left for the time when nothing is locked, as it runs code of users. Dropping it does that; so it is declared before
/// the lock.
#[derive(Default)]
pub(super) struct Aside {
    /// What sessions kept that are over.
    pub(super) dropped: Vec<Kept>,
    /// Connections that are over, with what hooks attached to their requests.
    pub(super) conns: Vec<ConnState>,
    /// Where there is something to tell.
    pub(super) rooms: Vec<Arc<RoomEvents>>,
}

impl Drop for Aside {
    fn drop(&mut self) {
        for kept in self.dropped.drain(..) {
            destroy(kept);
        }
        for conn in self.conns.drain(..) {
            destroy(conn);
        }
        self.rooms.drain(..).for_each(|rooms| rooms.tell());
    }
}

impl Namespace {
    /// Has a function told of everything that happens to rooms from now on. Gives the rooms that are there now.
    pub(crate) fn watch_rooms(
        &self,
        listener: impl Fn(&Room, RoomEvent) + Send + Sync + 'static,
    ) -> Vec<Room> {
        // All at once, in order: what happens before counts as there, what happens after is told.
        let (mut aside, mut all) = (Aside::default(), Vec::new());
        self.shards(|shard| all.push(shard.lock()));
        all.iter_mut().for_each(|locked| locked.set_aside(&mut aside));
        let events = self.room_events();
        let mut merged = events.lock();
        if merged.listeners.is_empty() {
            for locked in &mut all {
                if locked.machine.watch_rooms(self.id()) {
                    locked.rooms.insert(self.id(), events.clone());
                }
                for (room, _) in locked.machine.hub().all_rooms(self.id()) {
                    *merged.shards.entry(room.clone()).or_default() += 1;
                }
            }
        }
        Arc::make_mut(&mut merged.listeners).push(Arc::new(listener));
        let rooms = merged.shards.keys().cloned().collect();
        drop(merged);
        rooms
    }

    /// Adds a function that is told when somebody joins a room that was empty: the `create-room` of JavaScript's adapter. Likewise
    /// [`on_join_room`](Self::on_join_room), [`on_leave_room`](Self::on_leave_room) and [`on_delete_room`](Self::on_delete_room).
    ///
    /// They are told of the rooms of this server, in the order in which things happened, also of the rooms that are named by the ids of
    /// clients: joined on connect, left when the client is gone. That includes rooms that a middleware has a client join, before the
    /// client is connected. Rooms from before the first of these functions was added are known, but not told of; and a child of a
    /// [`ParentNamespace`](crate::ParentNamespace) has functions of its own, see [`Server::on_new_namespace`](crate::Server::on_new_namespace).
    ///
    /// They should be quick: they run where the change was made, such as in [`Socket::join`](crate::Socket::join), before it returns,
    /// unless another thread is telling right now, or a task, which then goes on with it. So do not hold a lock while you change rooms that a
    /// function takes, too. They may change rooms themselves. A panic of theirs is logged.
    ///
    /// ```
    /// # use sio_driver::Server;
    /// # fn setup(io: Server) {
    /// io.of("/")
    ///     .on_create_room(|room| println!("{room} was created"))
    ///     .on_join_room(|room, id| println!("{id} is in {room}"));
    /// # }
    /// ```
    pub fn on_create_room(&self, listener: impl Fn(&Room) + Send + Sync + 'static) -> &Self {
        self.watch_rooms(move |room, event| {
            if event == RoomEvent::Create {
                listener(room);
            }
        });
        self
    }

    /// Adds a function that is told when a client has joined a room: the `join-room` of JavaScript's adapter. See
    /// [`on_create_room`](Self::on_create_room).
    pub fn on_join_room(&self, listener: impl Fn(&Room, SocketId) + Send + Sync + 'static) -> &Self {
        self.watch_rooms(move |room, event| {
            if let RoomEvent::Join(id) = event {
                listener(room, id);
            }
        });
        self
    }

    /// Adds a function that is told when a client has left a room, be it only because it is gone: the `leave-room` of JavaScript's
    /// adapter. See [`on_create_room`](Self::on_create_room).
    pub fn on_leave_room(&self, listener: impl Fn(&Room, SocketId) + Send + Sync + 'static) -> &Self {
        self.watch_rooms(move |room, event| {
            if let RoomEvent::Leave(id) = event {
                listener(room, id);
            }
        });
        self
    }

    /// Adds a function that is told when the last client has left a room: the `delete-room` of JavaScript's adapter. See
    /// [`on_create_room`](Self::on_create_room).
    pub fn on_delete_room(&self, listener: impl Fn(&Room) + Send + Sync + 'static) -> &Self {
        self.watch_rooms(move |room, event| {
            if event == RoomEvent::Delete {
                listener(room);
            }
        });
        self
    }
}
