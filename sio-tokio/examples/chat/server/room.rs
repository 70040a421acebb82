//! Who is where, and what was said: plain data, which knows nothing of Socket.IO.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::sio::SocketId;

const MAX_NAME: usize = 24; // characters
const MAX_ROOM: usize = 32;
const HISTORY: usize = 50; // messages per room
/// So many rooms keep their history when nobody is in them.
const IDLE_ROOMS: usize = 100;

/// Who somebody is, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seat {
    pub(crate) name: String,
    pub(crate) room: String,
}

impl Seat {
    /// The seat as we use it, or what is wrong with it.
    pub(crate) fn checked(self) -> Result<Self, &'static str> {
        let fits = |text: &str, max| !text.is_empty() && text.chars().count() <= max;
        let seat = Self { name: self.name.trim().to_owned(), room: self.room.trim().to_owned() };
        if !fits(&seat.name, MAX_NAME) {
            return Err("a name has 1 to 24 characters");
        }
        if !fits(&seat.room, MAX_ROOM) {
            return Err("a room has 1 to 32 characters");
        }
        Ok(seat)
    }

    /// The Socket.IO room. Each socket is also in one named like its id: the prefix keeps others out of that.
    pub(crate) fn channel(&self) -> String {
        format!("chat:{}", self.room)
    }
}

/// Says which message it is, and when it came.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Receipt {
    /// Unique, and growing, also over a restart of the server.
    id: u64,
    /// In milliseconds since 1970.
    at: u64,
}

/// Something that somebody said, as everybody sees it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Post<T> {
    #[serde(flatten)]
    pub(crate) receipt: Receipt,
    pub(crate) author: String,
    #[serde(flatten)]
    pub(crate) content: T,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Text {
    pub(crate) text: String,
}

/// All rooms.
#[derive(Debug, Default)]
pub(crate) struct Chat {
    seats: HashMap<SocketId, Seat>,
    history: HashMap<String, VecDeque<Post<Text>>>,
    last_id: u64,
}

impl Chat {
    pub(crate) fn seat(&self, id: SocketId) -> Option<&Seat> {
        self.seats.get(&id)
    }

    /// Returns the former seat.
    pub(crate) fn sit(&mut self, id: SocketId, seat: Seat) -> Option<Seat> {
        self.seats.insert(id, seat)
    }

    /// Returns the former seat.
    pub(crate) fn stand_up(&mut self, id: SocketId) -> Option<Seat> {
        self.seats.remove(&id)
    }

    /// The names of those in a room, sorted.
    pub(crate) fn members(&self, room: &str) -> Vec<String> {
        let mut names: Vec<_> =
            self.seats.values().filter(|seat| seat.room == room).map(|seat| seat.name.clone()).collect();
        names.sort();
        names
    }

    /// The last messages of a room, oldest first.
    pub(crate) fn history(&self, room: &str) -> Vec<Post<Text>> {
        self.history.get(room).into_iter().flatten().cloned().collect()
    }

    pub(crate) fn remember(&mut self, room: &str, post: Post<Text>) {
        if !self.history.contains_key(room) && self.history.len() >= IDLE_ROOMS {
            let occupied: HashSet<_> = self.seats.values().map(|seat| &seat.room).collect();
            self.history.retain(|room, _| occupied.contains(room));
        }
        let posts = self.history.entry(room.to_owned()).or_default();
        if posts.len() == HISTORY {
            posts.pop_front();
        }
        posts.push_back(post);
    }

    pub(crate) fn receipt(&mut self) -> Receipt {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        self.last_id = at.max(self.last_id + 1);
        Receipt { id: self.last_id, at }
    }
}
