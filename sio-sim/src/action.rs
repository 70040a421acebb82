//! What can be done to a world, chosen by the seed.

use std::collections::BTreeSet;
use std::time::Duration;

use sio_driver::{AckError, ClientSocket, EmitError, Operator, Runtime as _, Socket};

use crate::model::{Seat, Session};
use crate::net::{Harm, Weather};
use crate::runner::Climate;
use crate::world::{NAMESPACES, Player, ROOMS, World, answer, blob, text};

/// How many clients there are at most at a time.
const PLAYERS: usize = 5;
/// A timer may be so late.
const LATE: Duration = Duration::from_millis(10);

/// Who is meant by a broadcast.
#[derive(Debug)]
struct Selection {
    namespace: usize,
    to: Vec<&'static str>,
    except: Vec<&'static str>,
    /// The session on whose behalf it is made, which does not get it.
    sender: Option<String>,
}

impl World {
    /// Does one thing, and lets some time pass.
    pub async fn step(&mut self) {
        if self.players.is_empty() {
            self.add_player();
        }
        match self.random.between(0..=99) {
            0..=3 => self.come_or_go(),
            4..=23 => self.emit_up(),
            24..=31 => self.ask(),
            32..=36 => self.change_room(),
            37..=38 => self.emit_volatile(),
            39..=58 => self.emit_down(),
            59..=65 => self.quiz(),
            66..=75 => self.broadcast(),
            76..=78 => self.broadcast_with_ack(),
            79..=81 => self.move_many(),
            82..=85 => self.leave_or_return(),
            86..=87 => self.send_away(),
            88..=89 => self.wait_for_room(),
            90 => self.emit_wait_down(),
            91 => self.clear(),
            _ => self.do_harm(),
        }
        let time = match self.random.between(0..=99) {
            0..=49 => 0,
            50..=84 => self.random.between(1..=5_000),
            85..=96 => self.random.between(1..=800_000),
            _ => self.random.between(1..=40_000_000),
        };
        // Also without waiting: the others have their turn.
        self.sim.sleep(Duration::from_micros(time + 1)).await;
    }

    // ---- Choices ------------------------------------------------------------------------------------------------

    fn seat(&mut self) -> (usize, usize, Seat) {
        let (player, namespace) =
            (self.random.index(self.players.len()), self.random.index(NAMESPACES.len()));
        (player, namespace, (self.players[player].number, namespace))
    }

    fn session(&mut self) -> Option<(String, Socket)> {
        let shared = self.shared.clone();
        let sockets = shared.sockets();
        let at = (!sockets.is_empty()).then(|| self.random.index(sockets.len()))?;
        let (sid, socket) = sockets.iter().nth(at).expect("an index of it");
        Some((sid.clone(), socket.clone()))
    }

    /// Most handlers do not wait.
    fn pause(&mut self) -> u64 {
        if self.random.percent(3) { self.random.between(1..=4_000) } else { 0 }
    }

    /// Most events are small.
    fn size(&mut self) -> usize {
        let most = match self.random.between(0..=19) {
            0 => 30_000,
            1..=3 => 4_000,
            _ => 60,
        };
        usize::try_from(self.random.between(0..=most)).expect("small")
    }

    /// Most bursts are short.
    fn count(&mut self) -> u64 {
        let most = if self.random.percent(5) { 60 } else { 4 };
        self.random.between(1..=most)
    }

    // ---- Clients ------------------------------------------------------------------------------------------------

    fn come_or_go(&mut self) {
        if self.players.len() < PLAYERS && self.random.percent(65) {
            return self.add_player();
        }
        let at = self.random.index(self.players.len());
        let player = self.players.remove(at);
        let number = player.number;
        if self.may_be_dropped(number) && self.random.percent(50) {
            self.note(format!("client {number} is dropped"));
            return;
        }
        self.note(format!("client {number} closes"));
        self.shared.wait_for((number, 0), "its end", async move { player.client.close().await });
    }

    fn emit_up(&mut self) {
        let (player, namespace, seat) = self.seat();
        let socket = self.players[player].sockets[namespace].clone();
        let count = self.count();
        self.note(format!("{seat:?} emits {count}"));
        for _ in 0..count {
            let (pause, size) = (self.pause(), self.size());
            let number = self.shared.model().number(seat);
            let during = self.shared.model().of_client(seat, session_of(&socket));
            let emitted = if self.random.percent(25) {
                socket.emit("up-binary", &(number, pause, blob(number, size)))
            } else {
                socket.emit("up", &(number, pause, text(number, size)))
            };
            self.emitted_up(seat, during, size, emitted);
        }
    }

    fn emitted_up(&self, seat: Seat, during: Option<String>, size: usize, emitted: Result<(), EmitError>) {
        let mut model = self.shared.model();
        match emitted {
            Ok(()) => model.accepted(seat, during, size),
            Err(EmitError::Full(_)) => model.counts.full += 1,
            Err(error) => model.fail(format!("{seat:?} cannot emit: {error}")),
        }
    }

    fn ask(&mut self) {
        let (player, namespace, seat) = self.seat();
        let socket = self.players[player].sockets[namespace].clone();
        let pause = self.pause();
        let number = self.shared.model().number(seat);
        let timeout = self.random.percent(70).then(|| Duration::from_millis(self.random.between(1..=20_000)));
        self.note(format!("{seat:?} asks {number}, {timeout:?}"));
        let during = self.shared.model().of_client(seat, session_of(&socket));
        let question = socket.emit_with_ack::<u64, _>("ask", &(number, pause));
        let mut question = match timeout {
            Some(timeout) => question.timeout(timeout).send(),
            None => question.send(),
        };
        if let Some(Err(AckError::Emit(error))) = futures_util::FutureExt::now_or_never(&mut question) {
            return self.emitted_up(seat, during, 0, Err(error));
        }
        self.emitted_up(seat, during.clone(), 10, Ok(()));
        let (shared, begun, recovery) = (self.shared.clone(), self.sim.now(), self.settings.recovery);
        self.shared.wait_for(seat, format!("the answer to {number}"), async move {
            let result = question.await;
            let took = shared.sim.now() - begun;
            let mut model = shared.model();
            match result {
                Ok(value) if value == answer(number) => model.counts.acks += 1,
                Err(AckError::Timeout)
                    if timeout.is_some_and(|timeout| took >= timeout && took <= timeout + LATE) =>
                {
                    model.gave_up(seat, number);
                    model.counts.silences += 1;
                }
                Err(AckError::Disconnected | AckError::Dropped)
                    if during.is_none()
                        || recovery
                        || model.cleared.contains(&seat)
                        || session_of(&socket) != during =>
                {
                    // Not sent any more, if it was not.
                    model.gave_up(seat, number);
                    model.counts.silences += 1;
                }
                result => model.fail(format!(
                    "{seat:?} asked {number}, and after {took:?} of {timeout:?} got {result:?}"
                )),
            }
        });
    }

    fn change_room(&mut self) {
        if self.random.percent(50) {
            let Some((sid, socket)) = self.session() else { return };
            let (room, join) = (*self.random.pick(&ROOMS), self.random.percent(60));
            let mut model = self.shared.model();
            // It may be about to leave: then nothing of this counts.
            let Some(session) = model.sessions.get_mut(&sid).filter(|_| socket.is_connected()) else {
                return;
            };
            if join {
                socket.join(room);
                session.rooms.insert(room.into());
            } else {
                socket.leave(room);
                session.rooms.remove(room);
            }
            return;
        }
        let (player, namespace, seat) = self.seat();
        let socket = self.players[player].sockets[namespace].clone();
        let (room, join) = (*self.random.pick(&ROOMS), self.random.percent(60));
        let number = self.shared.model().number(seat);
        let during = self.shared.model().of_client(seat, session_of(&socket));
        let emitted = socket.emit("room", &(number, room, join));
        self.emitted_up(seat, during, 20, emitted);
    }

    fn emit_volatile(&mut self) {
        let (player, namespace, seat) = self.seat();
        let Player { sockets, next_volatile, .. } = &mut self.players[player];
        *next_volatile += 1;
        if let Err(error) = sockets[namespace].volatile().emit("volatile", next_volatile) {
            self.shared.model().fail(format!("{seat:?} cannot emit: {error}"));
        }
    }

    fn leave_or_return(&mut self) {
        let (player, namespace, seat) = self.seat();
        let socket = self.players[player].sockets[namespace].clone();
        if !socket.is_active() {
            self.note(format!("{seat:?} comes back"));
            socket.connect();
        } else if self.random.percent(40) {
            self.note(format!("{seat:?} leaves"));
            socket.disconnect();
        }
    }

    /// Waits until there is room, on either side.
    fn wait_for_room(&mut self) {
        if self.random.percent(50) {
            let (player, namespace, seat) = self.seat();
            let socket = self.players[player].sockets[namespace].clone();
            // A client that does not try to connect waits until it does.
            if socket.is_active() {
                self.shared.wait_for(seat, "room", async move { socket.ready().await });
            }
        } else if let Some((sid, socket)) = self.session() {
            let seat = self.shared.model().sessions[&sid].seat;
            self.shared.wait_for(seat, "room", async move { socket.ready().await });
        }
    }

    // ---- The server ---------------------------------------------------------------------------------------------

    fn emit_down(&mut self) {
        let Some((sid, socket)) = self.session() else { return };
        let count = self.count();
        self.note(format!("the server emits {count} to {sid}"));
        for _ in 0..count {
            let (pause, size) = (self.pause(), self.size());
            let message = self.shared.model().message();
            let emitted = if self.random.percent(25) {
                socket.emit("down-binary", &(message, pause, blob(message, size)))
            } else {
                socket.emit("down", &(message, pause, text(message, size)))
            };
            self.emitted_down(&sid, &socket, (message, size, true), emitted);
        }
    }

    /// Waits for room. It is owed from the moment on at which there is some.
    fn emit_wait_down(&mut self) {
        let Some((sid, socket)) = self.session() else { return };
        let size = self.size();
        let message = self.shared.model().message();
        let (shared, seat) = (self.shared.clone(), self.shared.model().sessions[&sid].seat);
        self.note(format!("the server emits {message} to {sid} when there is room"));
        self.shared.wait_for(seat, "room for an event", async move {
            let emitted = socket.emit_wait("down", &(message, 0, text(message, size))).await;
            let mut model = shared.model();
            match emitted {
                Ok(()) => model.owe(&sid, message, size, false, true),
                Err(EmitError::Disconnected) if !socket.is_connected() => {}
                Err(error) => model.fail(format!("cannot emit to {sid}: {error}")),
            }
        });
    }

    /// A client drops what waits to be sent.
    fn clear(&mut self) {
        let (player, namespace, seat) = self.seat();
        if self.random.percent(20) {
            self.note(format!("{seat:?} drops what waits"));
            self.players[player].sockets[namespace].clear_send_buffer();
            self.shared.model().clear(seat);
        }
    }

    fn emitted_down(
        &self,
        sid: &str,
        socket: &Socket,
        (message, size, kept): (u64, usize, bool),
        emitted: Result<(), EmitError>,
    ) {
        let mut model = self.shared.model();
        match emitted {
            Ok(()) => model.owe(sid, message, size, false, kept),
            Err(EmitError::Full(_)) => model.counts.full += 1,
            Err(EmitError::Disconnected) if !socket.is_connected() => {}
            Err(error) => model.fail(format!("cannot emit to {sid}: {error}")),
        }
    }

    fn quiz(&mut self) {
        let Some((sid, socket)) = self.session() else { return };
        let pause = self.pause();
        let message = self.shared.model().message();
        let timeout = self.random.percent(70).then(|| Duration::from_millis(self.random.between(1..=20_000)));
        self.note(format!("the server asks {sid} {message}, {timeout:?}"));
        let question = socket.emit_with_ack::<u64, _>("quiz", &(message, pause));
        let mut question = match timeout {
            Some(timeout) => question.timeout(timeout).send(),
            None => question.send(),
        };
        if let Some(Err(AckError::Emit(error))) = futures_util::FutureExt::now_or_never(&mut question) {
            return self.emitted_down(&sid, &socket, (message, 0, false), Err(error));
        }
        self.emitted_down(&sid, &socket, (message, 10, false), Ok(()));
        let (shared, begun) = (self.shared.clone(), self.sim.now());
        let seat = self.shared.model().sessions[&sid].seat;
        self.shared.wait_for(seat, format!("the answer to {message}"), async move {
            let result = question.await;
            let took = shared.sim.now() - begun;
            let mut model = shared.model();
            match result {
                Ok(value) if value == answer(message) => model.counts.acks += 1,
                Err(AckError::Timeout)
                    if timeout.is_some_and(|timeout| took >= timeout && took <= timeout + LATE) =>
                {
                    model.counts.silences += 1;
                }
                Err(AckError::Disconnected) if !socket.is_connected() => model.counts.silences += 1,
                result => model.fail(format!(
                    "the server asked {message}, and after {took:?} of {timeout:?} got {result:?}"
                )),
            }
        });
    }

    fn select(&mut self) -> Selection {
        let namespace = self.random.index(NAMESPACES.len());
        let random = &mut self.random;
        let mut rooms = |chance| ROOMS.into_iter().filter(|_| random.percent(chance)).collect::<Vec<_>>();
        let (to, except) = (rooms(30), rooms(10));
        let sender = if self.random.percent(30) { self.session() } else { None };
        let sender = sender.filter(|(sid, socket)| {
            socket.is_connected() && self.shared.model().sessions[sid].seat.1 == namespace
        });
        Selection { namespace, to, except, sender: sender.map(|(sid, _)| sid) }
    }

    fn operator(&self, selection: &Selection) -> Operator {
        let all = match &selection.sender {
            Some(sid) => self.shared.sockets()[sid].broadcast(),
            None => self.server().of(NAMESPACES[selection.namespace]).everyone(),
        };
        let meant = selection.to.iter().fold(all, |operator, room| operator.to(*room));
        selection.except.iter().fold(meant, |operator, room| operator.except(*room))
    }

    /// Who is meant, as the model has it: those who are connected, and those who may be on their way back to their session.
    fn meant(&self, selection: &Selection) -> (Vec<String>, Vec<String>) {
        let (model, sockets) = (self.shared.model(), self.shared.sockets());
        let in_one = |rooms: &BTreeSet<String>, of: &[&str]| of.iter().any(|room| rooms.contains(*room));
        let is_there = |sid: &String, session: &Session| {
            session.ended.is_none() && sockets.get(sid).is_some_and(Socket::is_connected)
        };
        let (mut there, mut away) = (Vec::new(), Vec::new());
        for (sid, session) in &model.sessions {
            let meant = session.seat.1 == selection.namespace
                && (selection.to.is_empty() || in_one(&session.rooms, &selection.to))
                && !in_one(&session.rooms, &selection.except)
                && selection.sender.as_ref() != Some(sid);
            if meant && is_there(sid, session) {
                there.push(sid.clone());
            } else if meant && self.settings.recovery && model.may_come_back(sid) {
                away.push(sid.clone());
            }
        }
        (there, away)
    }

    fn broadcast(&mut self) {
        let selection = self.select();
        let (meant, away) = self.meant(&selection);
        let volatile = self.random.percent(15);
        let (pause, size) = (self.pause(), self.size());
        let message = self.shared.model().message();
        self.note(format!("broadcast {message} of {size}, volatile: {volatile}, {selection:?}"));
        let mut operator = self.operator(&selection);
        if volatile {
            operator = operator.volatile();
        }
        // Told before: those whose outbox is full may be disconnected by it.
        let delivery = if self.random.percent(25) {
            operator.emit("down-binary", &(message, pause, blob(message, size)))
        } else {
            operator.emit("down", &(message, pause, text(message, size)))
        };
        let delivery = delivery.expect("it can be encoded");
        let mut model = self.shared.model();
        let counted = delivery.sockets + delivery.skipped;
        if !(meant.len()..=meant.len() + away.len()).contains(&counted) {
            let meant = meant.len();
            model.fail(format!("broadcast {message} was for {meant}, and went to {delivery:?}"));
        }
        for sid in meant.into_iter().chain(away) {
            model.owe(&sid, message, size, volatile || delivery.skipped > 0, !volatile);
        }
    }

    fn broadcast_with_ack(&mut self) {
        let selection = self.select();
        let (meant, away) = self.meant(&selection);
        let message = self.shared.model().message();
        self.note(format!("broadcast with ack {message}, {selection:?}"));
        let timeout = Duration::from_millis(self.random.between(1..=10_000));
        let question =
            self.operator(&selection).emit_with_ack::<u64, _>("quiz", &(message, 0)).timeout(timeout);
        let mut question = question.into_future();
        // The first poll sends it.
        let now = futures_util::FutureExt::now_or_never(&mut question);
        let mut model = self.shared.model();
        for sid in meant.iter().chain(&away) {
            // An outbox that is full skips it, or ends the session.
            model.owe(sid, message, 10, true, false);
        }
        let meant: BTreeSet<String> =
            meant.iter().chain(&away).map(|sid| model.sessions[sid].id.clone()).collect();
        drop(model);
        let shared = self.shared.clone();
        let begun = self.sim.now();
        self.shared.wait_for((u64::MAX, selection.namespace), "answers", async move {
            let answers = match now {
                Some(answers) => answers,
                None => question.await,
            };
            let answers = answers.expect("it can be encoded");
            let took = shared.sim.now() - begun;
            let mut model = shared.model();
            if took > timeout + LATE {
                model.fail(format!("answers to {message} came after {took:?} instead of {timeout:?}"));
            }
            let from: BTreeSet<String> =
                answers.iter().filter_map(|one| Some(one.socket?.as_str().to_owned())).collect();
            if from.len() != answers.len() || !from.is_subset(&meant) {
                model.fail(format!("answers to {message} come from {from:?}, asked were {meant:?}"));
            }
            for one in answers {
                match one.result {
                    Ok(value) if value == answer(message) => model.counts.acks += 1,
                    Err(AckError::Timeout | AckError::Disconnected) => model.counts.silences += 1,
                    result => model.fail(format!("{:?} answered {message} with {result:?}", one.socket)),
                }
            }
        });
    }

    fn move_many(&mut self) {
        let selection = self.select();
        let (meant, away) = self.meant(&selection);
        let (room, join) = (*self.random.pick(&ROOMS), self.random.percent(50));
        let operator = self.operator(&selection);
        if join {
            operator.sockets_join(room);
        } else {
            operator.sockets_leave(room);
        }
        let mut model = self.shared.model();
        for sid in meant.into_iter().chain(away) {
            let rooms = &mut model.sessions.get_mut(&sid).expect("it is alive").rooms;
            if join {
                rooms.insert(room.to_owned());
            } else {
                rooms.remove(room);
            }
        }
    }

    fn send_away(&mut self) {
        let Some((sid, socket)) = self.session() else { return };
        let close = self.random.percent(40);
        self.note(format!("the server sends {sid} away, close: {close}"));
        if socket.is_connected() {
            let (mut model, sockets) = (self.shared.model(), self.shared.sockets());
            // With the connection all of its sockets are sent away, whose handlers may only know later.
            let with = |other: &Socket| {
                close && other.is_connected() && std::ptr::eq(other.handshake(), socket.handshake())
            };
            for (sid, _) in sockets.iter().filter(|(_, other)| **other == socket || with(other)) {
                if let Some(session) = model.sessions.get_mut(sid) {
                    session.sent_away = true;
                }
            }
        }
        if close {
            socket.disconnect_connection();
        } else {
            socket.disconnect();
        }
    }

    // ---- The network --------------------------------------------------------------------------------------------

    fn do_harm(&mut self) {
        if self.settings.climate == Climate::Calm {
            if self.random.percent(20) {
                let weather = Climate::Calm.weather(&mut self.random);
                self.sim.weather(weather);
            }
            return;
        }
        if self.broken_until != sio_driver::Instant::ZERO && self.broken_until <= self.sim.now() {
            self.broken_until = sio_driver::Instant::ZERO;
            let weather = Climate::Rough.weather(&mut self.random);
            self.sim.weather(weather);
        }
        let harm = match self.random.between(0..=9) {
            0..=2 => Harm::Reset,
            3..=4 => Harm::Silence,
            _ => Harm::Stall(Duration::from_millis(self.random.between(1..=60_000))),
        };
        match self.random.between(0..=19) {
            0 => {
                self.note(format!("all connections: {harm:?}"));
                self.sim.break_links(harm);
            }
            1 => {
                self.note("no connection can be made for a while");
                let refuse = self.random.between(0..=100);
                self.broken_until = self.sim.now() + Duration::from_millis(self.random.between(1..=30_000));
                self.sim.weather(Weather { refuse, ignore: 100 - refuse, ..Weather::default() });
            }
            2 => {
                let weather = Climate::Rough.weather(&mut self.random);
                self.note(format!("{weather:?}"));
                self.sim.weather(weather);
            }
            3..=12 => {
                self.note(format!("one connection: {harm:?}"));
                self.sim.break_link(harm);
            }
            _ => {}
        }
    }
}

/// The session that a client is in, if it is in one.
fn session_of(socket: &ClientSocket) -> Option<String> {
    socket.id().map(|id| id.to_string())
}
