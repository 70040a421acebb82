//! A server and its clients, with handlers that tell the model what they see.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sio_driver::{
    Auth, Client, ClientBuilder, ClientSocket, Data, DisconnectReason, EmitError, Overflow, Runtime as _,
    Server, ServerBuilder, Socket, SocketBuilder, Transport, serve,
};

use crate::model::{Model, Seat};
use crate::net::Weather;
use crate::random::Random;
use crate::runner::{Climate, Settings};
use crate::runtime::Sim;

pub(crate) const NAMESPACES: [&str; 2] = ["/", "/chat"];
pub(crate) const ROOMS: [&str; 4] = ["a", "b", "c", "d"];
/// What may wait for a client, and what a client may keep, in bytes.
pub(crate) const MAX_OUTBOX: usize = 60_000;
pub(crate) const MAX_SEND_BUFFER: usize = 60_000;
/// What may lie between, in each direction: links, batches that are being written, requests, and what waits for handlers.
const ON_THE_WAY: usize = 1_200_000;
/// A client has at most so many connections: a poll, a POST, a WebSocket and a new one of each, while old ones are closed.
const LINKS: usize = 60;

/// What handlers and scenario share.
pub(crate) struct Shared {
    pub(crate) sim: Sim,
    model: Mutex<Model>,
    /// The server's handles for the sessions that have not ended.
    sockets: Mutex<BTreeMap<String, Socket>>,
}

impl Shared {
    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn sockets(&self) -> MutexGuard<'_, BTreeMap<String, Socket>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A task for something that must come to an end.
    pub(crate) fn wait_for(
        self: &Arc<Self>,
        seat: Seat,
        what: impl fmt::Display,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        let wait = self.model().waits(seat, what);
        let shared = self.clone();
        self.sim.spawn_named("wait", async move {
            future.await;
            shared.model().waited(wait);
        });
    }
}

/// What a client is in the world.
pub(crate) struct Player {
    pub(crate) number: u64,
    /// For each namespace; the first keeps the client itself.
    pub(crate) sockets: Vec<ClientSocket>,
    pub(crate) client: Client,
    pub(crate) next_volatile: u64,
}

/// Who connects: the client's `auth`.
#[derive(Serialize, Deserialize)]
struct Who {
    client: u64,
}

/// The bytes that go with an event, so that each differs from the next.
pub(crate) fn blob(number: u64, length: usize) -> Bytes {
    (0..length as u64).map(|at| u8::try_from((at + number) % 251).expect("less than 251")).collect()
}

/// The same as text.
pub(crate) fn text(number: u64, length: usize) -> String {
    (0..length as u64)
        .map(|at| char::from(b'a' + u8::try_from((at + number) % 26).expect("less than 26")))
        .collect()
}

/// What is answered to a question.
pub(crate) fn answer(number: u64) -> u64 {
    number * 3 + 1
}

/// A server and several clients on a [`Sim`], and the model beside them.
pub struct World {
    pub(crate) sim: Sim,
    pub(crate) settings: Settings,
    pub(crate) random: Random,
    pub(crate) shared: Arc<Shared>,
    /// Until the end, when the last handle must go.
    server: Option<Server>,
    pub(crate) players: Vec<Player>,
    pub(crate) next_player: u64,
    pub(crate) broken_until: sio_driver::Instant,
    log: Vec<String>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl World {
    /// A server without clients. Its tasks run when the `Sim` does.
    #[must_use]
    pub fn new(sim: &Sim, settings: &Settings) -> Self {
        let mut random = Random::new(settings.seed ^ 0x5105_5105);
        let shared =
            Arc::new(Shared { sim: sim.clone(), model: Mutex::default(), sockets: Mutex::default() });
        let shards = usize::try_from(random.between(1..=3)).expect("small");
        let overflow = if random.percent(50) { Overflow::Skip } else { Overflow::Disconnect };
        let server: Server = ServerBuilder::new(sim.clone())
            .seed(random.seed())
            .shards(shards)
            .max_outbox(MAX_OUTBOX)
            .overflow(overflow)
            .ping_interval(Duration::from_secs(random.between(2..=25)))
            .max_inbox(16)
            .build();
        for (index, name) in NAMESPACES.into_iter().enumerate() {
            handle(&server, &shared, index, name);
        }
        let listener = sim.listen(80);
        let serving = serve(sim.clone(), listener, server.clone());
        let failed = shared.clone();
        sim.spawn_named("listener", async move {
            if let Err(error) = serving.await {
                failed.model().fail(format!("the server does not accept any more: {error}"));
            }
        });
        sim.weather(settings.climate.weather(&mut random));
        Self {
            sim: sim.clone(),
            settings: settings.clone(),
            random,
            shared,
            server: Some(server),
            players: Vec::new(),
            next_player: 0,
            broken_until: sio_driver::Instant::ZERO,
            log: Vec::new(),
        }
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().expect("it is there until the end")
    }

    pub(crate) fn note(&mut self, what: impl fmt::Display) {
        if self.log.len() >= 60 {
            self.log.drain(..30);
        }
        self.log.push(format!("{:?} {what}", self.sim.now()));
    }

    /// The last things that were done.
    #[must_use]
    pub fn log(&self) -> &[String] {
        &self.log
    }

    /// A client more, with settings of its own.
    pub(crate) fn add_player(&mut self) {
        let number = self.next_player;
        self.next_player += 1;
        let random = &mut self.random;
        let mut builder = ClientBuilder::<Client>::new(self.sim.clone(), "http://server")
            .seed(random.seed())
            .reconnection_delay(Duration::from_millis(random.between(10..=2_000)))
            .timeout(Duration::from_secs(random.between(5..=20)))
            .max_outbox(MAX_OUTBOX)
            .max_send_buffer(MAX_SEND_BUFFER)
            .max_inbox(16);
        let mode = random.between(0..=4);
        builder = match mode {
            0 => builder.transports([Transport::Polling]),
            1 => builder.transports([Transport::WebSocket]),
            2 => builder.transports([Transport::WebSocket, Transport::Polling]).try_all_transports(true),
            3 => builder.remember_upgrade(true),
            _ => builder,
        };
        let seat = |namespace| (number, namespace);
        let settings = PlayerSettings { shared: &self.shared, seat: seat(0) };
        let client = settings.client(builder).build().expect("the settings are right");
        let chat = PlayerSettings { shared: &self.shared, seat: seat(1) };
        let chat =
            client.socket_with(NAMESPACES[1], |socket| chat.socket(socket)).expect("the settings are right");
        let sockets = vec![client.as_socket().clone(), chat];
        self.note(format!("client {number} begins, mode {mode}"));
        self.players.push(Player { number, sockets, client, next_volatile: 0 });
    }

    /// Whether nobody else holds a handle of this client: who waits for an answer does, and the client with it lives on.
    pub(crate) fn may_be_dropped(&self, number: u64) -> bool {
        self.shared.model().pending.values().all(|(seat, _)| seat.0 != number)
    }

    // ---- Checks -------------------------------------------------------------------------------------------------

    /// What must be true at any time.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        if let Some(violation) = &self.shared.model().violation {
            return Err(violation.clone());
        }
        self.check_rooms()?;
        self.check_memory()
    }

    fn check_rooms(&self) -> Result<(), String> {
        let model = self.shared.model();
        let sockets = self.shared.sockets();
        for (index, name) in NAMESPACES.into_iter().enumerate() {
            let namespace = self.server().of(name);
            let mut there: Vec<String> =
                namespace.sockets().iter().map(|socket| socket.id().as_str().to_owned()).collect();
            there.sort();
            let alive =
                model.alive(index).filter(|(sid, _)| sockets.get(*sid).is_some_and(Socket::is_connected));
            let expected: Vec<String> = alive.map(|(sid, _)| sid.clone()).collect();
            if there != expected || namespace.len() != expected.len() {
                return Err(format!("in {name} are {there:?}, and should be {expected:?}"));
            }
        }
        for (sid, socket) in sockets.iter().filter(|(_, socket)| socket.is_connected()) {
            let mut rooms: Vec<String> = socket.rooms().iter().map(|room| room.to_string()).collect();
            rooms.sort();
            let expected =
                model.sessions.get(sid).map(|session| session.rooms.iter().cloned().collect::<Vec<_>>());
            if Some(&rooms) != expected.as_ref() {
                return Err(format!("{sid} is in {rooms:?}, and should be in {expected:?}"));
            }
        }
        Ok(())
    }

    fn check_memory(&self) -> Result<(), String> {
        let model = self.shared.model();
        for player in &self.players {
            for namespace in 0..NAMESPACES.len() {
                let waiting = model.unseen_bytes((player.number, namespace));
                if waiting > MAX_OUTBOX + MAX_SEND_BUFFER + ON_THE_WAY {
                    return Err(format!("{waiting} bytes of client {} wait", player.number));
                }
            }
        }
        for (sid, _) in (0..NAMESPACES.len()).flat_map(|namespace| model.alive(namespace)) {
            let waiting = model.owed_bytes(sid);
            if waiting > MAX_OUTBOX + ON_THE_WAY {
                return Err(format!("{waiting} bytes wait for {sid}"));
            }
        }
        // Half-open connections stay for minutes, each client makes new ones meanwhile.
        let (links, tasks, waits) = (self.sim.links(), self.sim.tasks().len(), model.pending.len());
        let most_links = LINKS * (self.players.len() + 8);
        if links > most_links {
            return Err(format!("{links} connections"));
        }
        let most_tasks =
            3 * links + 2 * self.players.len() + 2 * waits + 4 * self.server().connections() + 60;
        if tasks > most_tasks {
            return Err(format!("{tasks} tasks for {links} connections: {:?}", self.sim.tasks()));
        }
        Ok(())
    }

    /// What is missing although nothing is in the way any more.
    fn missing(&self) -> Option<String> {
        let model = self.shared.model();
        let seats =
            self.players.iter().flat_map(|player| player.sockets.iter().map(move |socket| (player, socket)));
        for (player, socket) in seats {
            let namespace =
                NAMESPACES.iter().position(|name| *name == &**socket.namespace()).expect("one of them");
            let seat = (player.number, namespace);
            if socket.is_active() && !socket.is_connected() {
                return Some(format!("{seat:?} is not connected"));
            }
            let Some(id) = socket.id() else { continue };
            if let Some(missing) = model.missing(seat, &id) {
                return Some(missing);
            }
        }
        None
    }

    /// Lets the network work again, and waits until all has arrived that must.
    ///
    /// # Errors
    /// What is still missing after an hour, or whatever [`check`](Self::check) finds.
    pub async fn settle(&mut self) -> Result<(), String> {
        self.note("settles");
        self.sim.weather(Weather::default());
        let mut missing = None;
        for _ in 0..3600 {
            self.sim.sleep(Duration::from_secs(1)).await;
            self.check()?;
            missing = self.missing();
            if missing.is_none() {
                // What comes now comes twice.
                self.sim.sleep(Duration::from_secs(60)).await;
                return self.check();
            }
        }
        Err(format!("after an hour of good weather: {}", missing.unwrap_or_default()))
    }

    /// Closes everything, in an order that the seed decides, and checks that nothing is left.
    ///
    /// # Errors
    /// What is left or was lost.
    pub async fn finish(&mut self) -> Result<(), String> {
        let server_first = self.random.percent(50);
        self.note(if server_first {
            "closes the server, then clients"
        } else {
            "closes clients, then the server"
        });
        if server_first {
            self.close_server().await?;
            self.close_players().await?;
        } else {
            self.close_players().await?;
            self.close_server().await?;
        }
        self.check()?;
        let connections = self.server().connections();
        if connections != 0 {
            return Err(format!("{connections} connections are left"));
        }
        self.server = None;
        // Reset connections and their tasks are gone soon; half-open ones when the system has given them up.
        for _ in 0..1200 {
            if self.sim.tasks().is_empty() && self.sim.links() == 0 {
                break;
            }
            self.sim.sleep(Duration::from_secs(1)).await;
        }
        let tasks = self.sim.tasks();
        if !tasks.is_empty() {
            return Err(format!("tasks are left: {tasks:?}"));
        }
        let (links, bytes) = (self.sim.links(), self.sim.live_bytes());
        if (links, bytes) != (0, 0) {
            return Err(format!("{links} connections and {bytes} bytes are left"));
        }
        let mut model = self.shared.model();
        if let Some(violation) = &model.violation {
            return Err(violation.clone());
        }
        if let Some((seat, what)) = model.pending.values().next() {
            return Err(format!("{seat:?} waits for {what} for ever"));
        }
        if let Some((sid, _)) = model.sessions.iter().find(|(_, session)| session.ended.is_none()) {
            return Err(format!("{sid} has never left"));
        }
        if !self.shared.sockets().is_empty() {
            return Err("handles are left".into());
        }
        model.count_losses();
        Ok(())
    }

    async fn close_server(&mut self) -> Result<(), String> {
        let server = self.server().clone();
        let calm = self.settings.climate == Climate::Calm;
        let alive: Vec<String> = {
            let model = self.shared.model();
            (0..NAMESPACES.len()).flat_map(|at| model.alive(at).map(|(sid, _)| sid.clone())).collect()
        };
        within(&self.sim, Duration::from_secs(120), server.close())
            .await
            .ok_or("the server does not close")?;
        self.sim.sleep(Duration::from_secs(5)).await;
        if calm {
            let model = self.shared.model();
            if let Some(missing) = alive.iter().find_map(|sid| Some((sid, model.first_owed(sid)?))) {
                return Err(format!("the server has closed before this was delivered: {missing:?}"));
            }
        }
        Ok(())
    }

    async fn close_players(&mut self) -> Result<(), String> {
        for player in std::mem::take(&mut self.players) {
            if self.may_be_dropped(player.number) && self.random.percent(50) {
                continue;
            }
            let closed = within(&self.sim, Duration::from_secs(120), player.client.close()).await;
            closed.ok_or_else(|| format!("client {} does not close", player.number))?;
        }
        Ok(())
    }
}

/// The result of a future, if it comes in time.
pub(crate) async fn within<T>(sim: &Sim, time: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut late = pin!(sim.sleep(time));
    poll_fn(|cx| {
        if let Poll::Ready(result) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(result));
        }
        late.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// The server's handlers of a namespace.
fn handle(server: &Server, shared: &Arc<Shared>, index: usize, name: &str) {
    let sid = |socket: &Socket| socket.id().as_str().to_owned();
    let namespace = server.of(name);
    let see = {
        let shared = shared.clone();
        move |socket: &Socket, number: u64, whole: bool, pause: u64| {
            shared.model().server_saw(&sid(socket), number);
            if !whole {
                shared.model().fail(format!("event {number} of {} has changed on its way", sid(socket)));
            }
            let sim = shared.sim.clone();
            async move {
                if pause > 0 {
                    sim.sleep(Duration::from_millis(pause)).await;
                }
            }
        }
    };
    let (connect, leave, volatile, room, errors) =
        (shared.clone(), shared.clone(), shared.clone(), shared.clone(), shared.clone());
    let (up, up_binary, ask, see_room) = (see.clone(), see.clone(), see.clone(), see);
    namespace
        .on_connect(move |socket: Socket, Auth(who): Auth<Who>| {
            let id = sid(&socket);
            connect.model().joined(&id, (who.client, index));
            match socket.emit("hello", &id) {
                Ok(()) => {}
                // The other namespace has filled the connection. A client that does not know its session is of no use here.
                Err(EmitError::Full(_)) => {
                    connect.model().counts.full += 1;
                    socket.disconnect();
                }
                Err(error) => connect.model().fail(format!("no greeting for {id}: {error}")),
            }
            connect.sockets().insert(id, socket);
            async {}
        })
        .on("up", move |socket: Socket, Data((number, pause, data)): Data<(u64, u64, String)>| {
            up(&socket, number, data == text(number, data.len()), pause)
        })
        .on("up-binary", move |socket: Socket, Data((number, pause, data)): Data<(u64, u64, Bytes)>| {
            up_binary(&socket, number, data == blob(number, data.len()), pause)
        })
        .on("ask", move |socket: Socket, Data((number, pause)): Data<(u64, u64)>| {
            let seen = ask(&socket, number, true, pause);
            async move {
                seen.await;
                answer(number)
            }
        })
        .on("volatile", move |socket: Socket, Data(number): Data<u64>| {
            volatile.model().server_saw_volatile(&sid(&socket), number);
            async {}
        })
        .on("room", move |socket: Socket, Data((number, name, join)): Data<(u64, String, bool)>| {
            let seen = see_room(&socket, number, true, 0);
            let mut model = room.model();
            if let Some(session) = model.sessions.get_mut(&sid(&socket)) {
                if join {
                    socket.join(&name);
                    session.rooms.insert(name);
                } else {
                    socket.leave(&name);
                    session.rooms.remove(&name);
                }
            }
            seen
        })
        .on_disconnect(move |socket: Socket, reason: DisconnectReason| {
            leave.model().left(&sid(&socket), reason);
            leave.sockets().remove(&sid(&socket));
            async {}
        })
        .on_error(move |socket, error| {
            let who = sid(socket);
            let mut model = errors.model();
            match error.downcast_ref() {
                Some(EmitError::Full(_)) => model.unanswered_by_server(&who),
                _ => model.fail(format!("a handler of {who}: {error}")),
            }
        });
}

/// What the clients' handlers need.
struct PlayerSettings<'a> {
    shared: &'a Arc<Shared>,
    seat: Seat,
}

/// The same handlers for the builder of a client and for that of a namespace, which are two types.
macro_rules! handlers {
    ($settings:expr, $builder:expr) => {{
        let seat = $settings.seat;
        let see = {
            let shared = $settings.shared.clone();
            move |message: u64, whole: bool, pause: u64| {
                shared.model().client_saw(seat, message);
                if !whole {
                    shared.model().fail(format!("event {message} has changed on its way to {seat:?}"));
                }
                let sim = shared.sim.clone();
                async move {
                    if pause > 0 {
                        sim.sleep(Duration::from_millis(pause)).await;
                    }
                }
            }
        };
        let (hello, leave, errors) =
            ($settings.shared.clone(), $settings.shared.clone(), $settings.shared.clone());
        let (down, down_binary, quiz) = (see.clone(), see.clone(), see);
        $builder
            .auth(&Who { client: seat.0 })
            .on("hello", move |Data(sid): Data<String>| {
                hello.model().greeted(seat, &sid);
                async {}
            })
            .on("down", move |Data((message, pause, data)): Data<(u64, u64, String)>| {
                down(message, data == text(message, data.len()), pause)
            })
            .on("down-binary", move |Data((message, pause, data)): Data<(u64, u64, Bytes)>| {
                down_binary(message, data == blob(message, data.len()), pause)
            })
            .on("quiz", move |Data((message, pause)): Data<(u64, u64)>| {
                let seen = quiz(message, true, pause);
                async move {
                    seen.await;
                    answer(message)
                }
            })
            .on_disconnect(move |reason: DisconnectReason| {
                if reason == DisconnectReason::IoServerDisconnect {
                    leave.model().sent_away(seat);
                }
                async {}
            })
            .on_error(move |_: &ClientSocket, error: &sio_driver::Error| {
                let mut model = errors.model();
                match error.downcast_ref() {
                    Some(EmitError::Full(_)) => model.unanswered(seat),
                    _ => model.fail(format!("a handler of {seat:?}: {error}")),
                }
            })
    }};
}

impl PlayerSettings<'_> {
    fn client(&self, builder: ClientBuilder<Client>) -> ClientBuilder<Client> {
        handlers!(self, builder)
    }

    fn socket(&self, builder: SocketBuilder) -> SocketBuilder {
        handlers!(self, builder)
    }
}
