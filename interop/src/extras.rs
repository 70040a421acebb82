//! More of the application of [`app`](crate::app): what the API offers beyond the everyday. `js/reference-extras.js` is the same one,
//! written with the official server: keep them alike.
//!
//! | Namespace | Event | Arguments | Answer, and what else happens |
//! |---|---|---|---|
//! | `/extras` | `move` | two numbers | their sum; the event `moved` with `{x, y}` to all others |
//! | | `count` | none | how often this client has asked, kept in the data of its socket |
//! | | `count-of` | socket id | how often that client has asked |
//! | | `forbidden` | any | `{error: "not allowed"}`, by a middleware of events; no handler runs |
//! | | `forbid` | event | `"forbidden"`; from now on a middleware of this client refuses that event: `{error: "not allowed here"}` |
//! | | `fails` | none | `{error: "fails on purpose"}` |
//! | | `traffic` | none | `{incoming, outgoing}`: the names of the events of this client so far, but for `forbidden` |
//! | | `greet` | event | `"greeted"`; that event to this client, then the event `all-` and that event to everyone |
//! | | `join`, `leave` | rooms | the client's rooms but its own, sorted |
//! | | `to` | rooms, except, value | `"sent"`; the event `said` to the rooms, but for others, and the sender |
//! | | `gather`, `scatter` | room, rooms | `"done"`; puts all of the first room into others; takes them out of others |
//! | | `dismiss` | room, close | `"done"`; sends all of the room away, with `close` their connections too |
//! | | `kick` | socket id, words | `"done"`; sends that client away, with words for the server's own handlers |
//! | | `kicked` | socket id | the words, or null |
//! | | `protocol` | none | the revision of Engine.IO |
//! | | `volatile` | room, n | n; before it the volatile events `tick` 0, 1, … to the room |
//! | | `flood` | n, size | n; before it n events `tick`: number, a string of `size` |
//! | | `survey` | room, ms | asks `question` of the room: `{answers (sorted), silent}` |
//! | | `room-log` | room | what the server was told of the room: `create`, `join ID`, `leave ID`, `delete` |
//! | `/in-turn` | `meet` | n | ends when n such events of the client are handled at the same time, or after 300 ms: whether they were |
//! | `/at-once` | `meet` | n | the same; but there up to three are handled at the same time |

use core::{pin::pin, time::Duration};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::{Either, select};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sio_driver::{Data, Error, Event, Namespace, Server, Socket, SocketData, events};
use tokio::sync::watch;

use crate::adapter::Adapter;

events! {
    /// Somebody moves; answered with the sum.
    Move = "move"(f64, f64) -> f64;
    /// Somebody has moved.
    Moved = "moved"(Position);
}

#[derive(Serialize, Deserialize)]
struct Position {
    x: f64,
    y: f64,
}

/// What is kept with each socket.
#[derive(Clone, Default)]
struct Kept {
    count: u32,
    incoming: Vec<String>,
    outgoing: Vec<String>,
}

/// What the server was told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Lists>>);

#[derive(Default)]
struct Lists {
    rooms: HashMap<String, Vec<String>>,
    kicked: HashMap<String, String>,
}

impl Told {
    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self, room: &str, what: String) {
        self.lock().rooms.entry(room.to_owned()).or_default().push(what);
    }
}

/// Adds it to a server.
pub(crate) fn extras(io: &Server) {
    let told = Told::default();
    let extras = io.of("/extras");
    extras
        .use_(async |socket: Socket| {
            socket.set_data(Kept::default());
            Ok(())
        })
        .use_event(async |event: Event| -> Result<(), Error> {
            if &*event == "forbidden" { Err(Error::new("not allowed")) } else { Ok(()) }
        })
        .ack_errors(|error| json!({ "error": error.to_string() }))
        .on_any(async |socket: Socket, event: Event| {
            socket.update_data(|kept: &mut Kept| kept.incoming.push(event.to_string()));
        })
        .on_any_outgoing(|socket, payload| {
            let event = payload.name_str().unwrap_or_default().to_string();
            socket.update_data(|kept: &mut Kept| kept.outgoing.push(event));
        });
    typed_and_data(&extras);
    failures_and_traffic(&extras);
    rooms(&extras);
    watch_rooms(&extras, &told);
    leaving(&extras, &told);
    volume(&extras);
    meetings(&io.of("/in-turn"));
    meetings(io.of("/at-once").concurrent(3));
}

// --- Events and data -------------------------------------------------------------------------------------------------

fn find(namespace: &Namespace, id: &str) -> Option<Socket> {
    namespace.sockets().into_iter().find(|socket| socket.id().as_str() == id)
}

fn typed_and_data(extras: &Namespace) {
    extras
        .on(Move, async |socket: Socket, (x, y): (f64, f64)| -> Result<f64, Error> {
            socket.broadcast().emit(Moved, &Position { x, y })?;
            Ok(x + y)
        })
        .on("count", async |socket: Socket| {
            socket.update_data(|kept: &mut Kept| {
                kept.count += 1;
                kept.count
            })
        })
        .on("count-of", async |socket: Socket, Data(id): Data<String>| {
            let other = find(socket.namespace(), &id);
            other.and_then(|other| other.data::<Kept>()).map(|kept| kept.count)
        })
        .on("protocol", async |socket: Socket| socket.protocol());
}

fn failures_and_traffic(extras: &Namespace) {
    extras
        .on("forbid", async |socket: Socket, Data(forbidden): Data<String>| {
            socket.use_(move |event: Event| {
                let refused = *event == *forbidden;
                async move { if refused { Err(Error::new("not allowed here")) } else { Ok(()) } }
            });
            "forbidden"
        })
        .on("fails", async |_: Socket| -> Result<(), Error> { Err(Error::new("fails on purpose")) })
        .on("traffic", async |SocketData(kept): SocketData<Kept>| {
            json!({ "incoming": kept.incoming, "outgoing": kept.outgoing })
        })
        .on("greet", async |socket: Socket, Data(event): Data<String>| -> Result<&'static str, Error> {
            socket.emit(&event, &())?;
            socket.namespace().emit(format!("all-{event}"), &())?;
            Ok("greeted")
        });
}

// --- Rooms -----------------------------------------------------------------------------------------------------------

fn rooms_of(socket: &Socket) -> Vec<String> {
    let mut rooms: Vec<_> = socket.rooms().iter().map(ToString::to_string).collect();
    rooms.retain(|room| room != socket.id().as_str());
    rooms.sort();
    rooms
}

fn rooms(extras: &Namespace) {
    extras
        .on("join", async |socket: Socket, Data(rooms): Data<Vec<String>>| {
            socket.join(rooms);
            rooms_of(&socket)
        })
        .on("leave", async |socket: Socket, Data(rooms): Data<Vec<String>>| {
            socket.leave(rooms);
            rooms_of(&socket)
        })
        .on(
            "to",
            async |socket: Socket,
                   Data((rooms, except, value)): Data<(Vec<String>, Vec<String>, Value)>|
                   -> Result<&'static str, Error> {
                socket.to(rooms).except(except).emit("said", &value)?;
                Ok("sent")
            },
        )
        .on("gather", async |socket: Socket, Data((room, rooms)): Data<(String, Vec<String>)>| {
            socket.namespace().in_(room).sockets_join(rooms);
            "done"
        })
        .on("scatter", async |socket: Socket, Data((room, rooms)): Data<(String, Vec<String>)>| {
            socket.namespace().in_(room).sockets_leave(rooms);
            "done"
        })
        .on(
            "survey",
            async |socket: Socket, Data((room, ms)): Data<(String, u64)>| -> Result<Value, Error> {
                let asked = socket.namespace().to(room).timeout(Duration::from_millis(ms));
                let responses = asked.emit_with_ack::<String, _>("question", &()).await?;
                let silent = responses.iter().filter(|response| response.result.is_err()).count();
                let answers = responses.into_iter().filter_map(|response| response.result.ok());
                let mut answers: Vec<_> = answers.collect();
                answers.sort();
                Ok(json!({ "answers": answers, "silent": silent }))
            },
        );
}

fn watch_rooms(extras: &Namespace, told: &Told) {
    let [create, join, leave, delete, read] = [(); 5].map(|()| told.clone());
    extras
        .on_create_room(move |room| create.room(room, "create".to_owned()))
        .on_join_room(move |room, id| join.room(room, format!("join {id}")))
        .on_leave_room(move |room, id| leave.room(room, format!("leave {id}")))
        .on_delete_room(move |room| delete.room(room, "delete".to_owned()))
        .on("room-log", move |Data(room): Data<String>| {
            let log = read.lock().rooms.get(&room).cloned().unwrap_or_default();
            async move { log }
        });
}

// --- Leaving ---------------------------------------------------------------------------------------------------------

fn leaving(extras: &Namespace, told: &Told) {
    let (write, read) = (told.clone(), told.clone());
    extras
        .on("dismiss", async |socket: Socket, Data((room, close)): Data<(String, bool)>| {
            socket.namespace().in_(room).disconnect_sockets(close);
            "done"
        })
        .on("kick", async |socket: Socket, Data((id, words)): Data<(String, String)>| {
            if let Some(other) = find(socket.namespace(), &id) {
                other.disconnect_with(words);
            }
            "done"
        })
        .on_disconnect(move |socket: Socket| {
            if let Some(words) = socket.disconnect_description() {
                write.lock().kicked.insert(socket.id().to_string(), words.to_owned());
            }
            async {}
        })
        .on("kicked", move |Data(id): Data<String>| {
            let words = read.lock().kicked.get(&id).cloned();
            async move { words }
        });
}

// --- Volume ----------------------------------------------------------------------------------------------------------

fn volume(extras: &Namespace) {
    extras
        .on(
            "volatile",
            async |socket: Socket, Data((room, count)): Data<(String, u32)>| -> Result<u32, Error> {
                for number in 0..count {
                    socket.namespace().to(&room).volatile().emit("tick", &number)?;
                }
                Ok(count)
            },
        )
        .on("flood", async |socket: Socket, Data((count, size)): Data<(u32, usize)>| -> Result<u32, Error> {
            let text = "x".repeat(size);
            for number in 0..count {
                socket.emit_wait("tick", &(number, &text)).await?;
            }
            Ok(count)
        });
}

// --- At the same time ------------------------------------------------------------------------------------------------

fn meetings(namespace: &Namespace) {
    namespace.on_connect(async |socket: Socket| socket.set_data(watch::Sender::new(0usize))).on(
        "meet",
        async |SocketData(here): SocketData<watch::Sender<usize>>, Data(count): Data<usize>| {
            here.send_modify(|here| *here += 1);
            let mut others = here.subscribe();
            let met = pin!(others.wait_for(|here| *here >= count));
            let late = pin!(Adapter::here().sleep(Duration::from_millis(300)));
            let met = matches!(select(met, late).await, Either::Left(_));
            // Those who have met stay: the others look later.
            if !met {
                here.send_modify(|here| *here -= 1);
            }
            met
        },
    );
}
