//! The network: one host with ports, and connections to them that can be harmed.

mod link;
mod stream;
mod trace;

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sio_driver::{Instant, Runtime as _};

use crate::executor::Event;
use crate::random::Random;
use crate::runtime::Sim;
pub(crate) use link::Link;
use link::{Parcel, Side};
pub use stream::SimStream;

/// How long a system tries to get bytes to a peer that does not answer, before it gives the connection up.
const GIVE_UP: Duration = Duration::from_secs(15 * 60);

/// How connections behave.
#[derive(Debug, Clone)]
pub struct Weather {
    /// How long bytes travel, in microseconds; for each connection a number of this range.
    pub latency: RangeInclusive<u64>,
    /// By how much longer, at most, single pieces take, in microseconds. They never overtake each other.
    pub jitter: u64,
    /// How many of a hundred writes and reads move only a part of what they could.
    pub chop: u64,
    /// How many bytes a connection holds in each direction; more must wait until the peer reads.
    pub capacity: RangeInclusive<u64>,
    /// How many of a hundred attempts to connect are refused.
    pub refuse: u64,
    /// How many of a hundred attempts to connect are never answered.
    pub ignore: u64,
    /// How many of a hundred times `accept` fails for want of resources, or because that one connection is gone.
    pub accept_errors: u64,
}

impl Default for Weather {
    /// Without faults: everything arrives after a millisecond, as it was written.
    fn default() -> Self {
        Self {
            latency: 1_000..=1_000,
            jitter: 0,
            chop: 0,
            capacity: 65_536..=65_536,
            refuse: 0,
            ignore: 0,
            accept_errors: 0,
        }
    }
}

/// What can happen to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Both ends get an error at once. What was on its way is lost.
    Reset,
    /// From now on nothing arrives in one direction or in both, and nobody is told: a half-open connection. An end that writes to it gets
    /// an error after 15 minutes.
    Silence,
    /// In one direction nothing arrives for this time.
    Stall(Duration),
}

/// What no network may do, once: the checks must see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// A piece of more than so many bytes arrives twice.
    Duplicate(usize),
    /// A piece of more than so many bytes does not arrive, but what comes after it does.
    Drop(usize),
    /// A reader is not woken when a piece of more than so many bytes has arrived.
    ForgetWake(usize),
}

impl Sabotage {
    /// Whether this is the piece.
    fn is_due(self, length: usize) -> bool {
        match self {
            Self::Duplicate(above) | Self::Drop(above) | Self::ForgetWake(above) => length > above,
        }
    }
}

pub(crate) struct Net(Mutex<State>);

pub(crate) struct State {
    pub(crate) random: Random,
    pub(crate) weather: Weather,
    pub(crate) links: BTreeMap<u64, Link>,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) trace: Option<Vec<u8>>,
    listeners: BTreeMap<u16, Listening>,
    dials: BTreeMap<u64, Dial>,
    next_id: u64,
    happenings: BTreeMap<u64, Happening>,
}

#[derive(Default)]
struct Listening {
    queue: VecDeque<SimStream>,
    waker: Option<Waker>,
}

struct Dial {
    port: u16,
    refused: bool,
    result: Option<io::Result<SimStream>>,
    waker: Option<Waker>,
}

/// What happens at a time.
#[derive(Clone, Copy)]
enum Happening {
    /// The first parcel of a connection arrives at this side.
    Arrival(u64, Side),
    /// This side has waited long enough for its bytes to arrive.
    GiveUp(u64, Side),
    /// An attempt to connect is answered.
    Answer(u64),
}

impl State {
    pub(crate) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn plan(&mut self, sim: &Sim, at: Instant, happening: Happening) {
        let id = self.id();
        self.happenings.insert(id, happening);
        sim.executor().at(at, Event::Net(id));
    }

    /// Sends something from a side to the other.
    fn send(&mut self, sim: &Sim, id: u64, from: Side, parcel: Parcel) {
        let jitter = self.weather.jitter;
        let late = Duration::from_micros(self.random.between(0..=jitter));
        let Some(link) = self.links.get_mut(&id) else { return };
        let latency = link.latency;
        let silent = link.is_silent();
        let pipe = link.pipe_mut(from);
        let (length, dead) = (parcel.len(), pipe.dead);
        // Bytes that arrive are not confirmed either if the other direction is dead.
        let gives_up = silent && length > 0 && !std::mem::replace(&mut pipe.giving_up, true);
        if dead {
            pipe.swallowed += length;
        }
        if gives_up {
            self.plan(sim, sim.now() + GIVE_UP, Happening::GiveUp(id, from));
        }
        if dead {
            return;
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        let pipe = link.pipe_mut(from);
        let at = (sim.now() + latency + late).max(pipe.last);
        pipe.last = at;
        pipe.in_flight += parcel.len();
        pipe.flight.push_back(parcel);
        self.plan(sim, at, Happening::Arrival(id, from.other()));
    }

    fn arrive(&mut self, sim: &Sim, id: u64, at: Side) {
        let now = sim.now();
        let Some(link) = self.links.get_mut(&id) else { return };
        let open = link.open[at as usize];
        let pipe = link.pipe_mut(at.other());
        if pipe.stalled_until > now {
            let later = pipe.stalled_until;
            return self.plan(sim, later, Happening::Arrival(id, at));
        }
        let Some(parcel) = pipe.flight.pop_front() else { return };
        let length = parcel.len();
        pipe.in_flight -= length;
        if pipe.dead {
            pipe.swallowed += length;
            return;
        }
        let sabotage = self.sabotage.take_if(|sabotage| sabotage.is_due(length));
        match parcel {
            // Nobody is there to read it, which the other side is told.
            Parcel::Data(_) if !open => self.send(sim, id, at, Parcel::Reset),
            Parcel::Data(data) => {
                match sabotage {
                    Some(Sabotage::Drop(_)) => {}
                    Some(Sabotage::Duplicate(_)) => {
                        pipe.arrived.extend(&data);
                        pipe.arrived.extend(&data);
                    }
                    _ => pipe.arrived.extend(&data),
                }
                let waker = pipe.reader.take();
                if !matches!(sabotage, Some(Sabotage::ForgetWake(_))) {
                    waker.into_iter().for_each(Waker::wake);
                }
            }
            Parcel::End => {
                pipe.ended = true;
                pipe.reader.take().into_iter().for_each(Waker::wake);
            }
            Parcel::Reset => {
                link.fail(at);
            }
        }
    }

    /// Does this harm to a connection.
    fn harm(&mut self, sim: &Sim, id: u64, harm: Harm) {
        let side = if self.random.percent(50) { Side::Client } else { Side::Server };
        let both = self.random.percent(50);
        let Some(link) = self.links.get_mut(&id) else { return };
        match harm {
            Harm::Reset => {
                link.fail(Side::Client);
                link.fail(Side::Server);
            }
            Harm::Silence => {
                link.pipe_mut(side).dead = true;
                link.pipe_mut(side.other()).dead |= both;
                // What is on its way is not confirmed, and a reader that has no room cannot say that it has some.
                let gives_up = [side, side.other()].map(|side| {
                    let pipe = link.pipe_mut(side);
                    pipe.live_bytes() > 0 && !std::mem::replace(&mut pipe.giving_up, true)
                });
                for (side, _) in
                    [side, side.other()].into_iter().zip(gives_up).filter(|(_, gives_up)| *gives_up)
                {
                    self.plan(sim, sim.now() + GIVE_UP, Happening::GiveUp(id, side));
                }
            }
            Harm::Stall(time) => {
                let pipe = link.pipe_mut(side);
                pipe.stalled_until = pipe.stalled_until.max(sim.now() + time);
            }
        }
    }
}

impl Net {
    pub(crate) fn new(random: Random) -> Self {
        Self(Mutex::new(State {
            random,
            weather: Weather::default(),
            links: BTreeMap::new(),
            sabotage: None,
            trace: None,
            listeners: BTreeMap::new(),
            dials: BTreeMap::new(),
            next_id: 0,
            happenings: BTreeMap::new(),
        }))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time of an event has come.
    pub(crate) fn happen(&self, sim: &Sim, event: u64) {
        let mut state = self.lock();
        let Some(happening) = state.happenings.remove(&event) else { return };
        match happening {
            Happening::Arrival(id, side) => state.arrive(sim, id, side),
            Happening::GiveUp(id, side) => {
                if let Some(link) = state.links.get_mut(&id) {
                    link.fail(side);
                }
            }
            Happening::Answer(id) => {
                drop(state);
                self.answer(sim, id);
            }
        }
    }

    pub(crate) fn break_one(&self, sim: &Sim, harm: Harm) -> bool {
        let mut state = self.lock();
        if state.links.is_empty() {
            return false;
        }
        let at = state.links.len();
        let at = state.random.index(at);
        let id = *state.links.keys().nth(at).expect("an index of it");
        state.harm(sim, id, harm);
        true
    }

    pub(crate) fn break_all(&self, sim: &Sim, harm: Harm) {
        let mut state = self.lock();
        let ids: Vec<u64> = state.links.keys().copied().collect();
        for id in ids {
            state.harm(sim, id, harm);
        }
    }

    // ---- Connecting ---------------------------------------------------------------------------------------------

    pub(crate) fn listen(&self, sim: &Sim, port: u16) -> SimListener {
        let old = self.lock().listeners.insert(port, Listening::default());
        assert!(old.is_none(), "somebody listens at port {port}");
        SimListener { sim: sim.clone(), port }
    }

    pub(crate) fn dial(
        &self,
        sim: &Sim,
        port: u16,
    ) -> impl Future<Output = io::Result<SimStream>> + Send + use<> {
        let sim = sim.clone();
        async move {
            let dialling = {
                let mut state = sim.net().lock();
                let id = state.id();
                let Weather { latency, refuse, ignore, .. } = state.weather.clone();
                let round_trip = Duration::from_micros(state.random.between(latency) * 2);
                let refused = state.random.percent(refuse);
                state.dials.insert(id, Dial { port, refused, result: None, waker: None });
                if !state.random.percent(ignore) {
                    state.plan(&sim, sim.now() + round_trip, Happening::Answer(id));
                }
                Dialling { sim: sim.clone(), id }
            };
            poll_fn(|cx| dialling.poll(cx)).await
        }
    }

    fn answer(&self, sim: &Sim, id: u64) {
        let mut state = self.lock();
        let Some(&Dial { port, refused, .. }) = state.dials.get(&id) else { return };
        let result = if refused || !state.listeners.contains_key(&port) {
            Err(io::ErrorKind::ConnectionRefused.into())
        } else {
            let Weather { latency, capacity, .. } = state.weather.clone();
            let latency = Duration::from_micros(state.random.between(latency));
            let capacity = usize::try_from(state.random.between(capacity)).unwrap_or(usize::MAX);
            let link = state.id();
            state.links.insert(link, Link::new(latency, capacity));
            let [client, server] = [Side::Client, Side::Server].map(|side| SimStream::new(sim, link, side));
            let listening = state.listeners.get_mut(&port).expect("it was there");
            listening.queue.push_back(server);
            listening.waker.take().into_iter().for_each(Waker::wake);
            Ok(client)
        };
        let dial = state.dials.get_mut(&id).expect("it was there");
        dial.result = Some(result);
        dial.waker.take().into_iter().for_each(Waker::wake);
    }
}

/// An attempt to connect; dropped, it is given up.
struct Dialling {
    sim: Sim,
    id: u64,
}

impl Dialling {
    fn poll(&self, cx: &Context<'_>) -> Poll<io::Result<SimStream>> {
        let mut state = self.sim.net().lock();
        let dial = state.dials.get_mut(&self.id).expect("it is there until this is dropped");
        match dial.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                dial.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        // Without the lock, which the stream takes when it is dropped.
        let _dial = self.sim.net().lock().dials.remove(&self.id);
    }
}

/// A port at which somebody listens, until it is dropped. Then those who wait there are turned away.
#[derive(Debug)]
pub struct SimListener {
    sim: Sim,
    port: u16,
}

impl SimListener {
    pub(crate) fn poll_accept(&self, cx: &Context<'_>) -> Poll<io::Result<(SimStream, SocketAddr)>> {
        let mut state = self.sim.net().lock();
        let chance = state.weather.accept_errors;
        let listening = state.listeners.get_mut(&self.port).expect("it is there until this is dropped");
        let Some(stream) = listening.queue.pop_front() else {
            listening.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        if state.random.percent(chance) {
            if state.random.percent(50) {
                // That one is gone. It is dropped without the lock.
                drop(state);
                drop(stream);
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            state.listeners.get_mut(&self.port).expect("as above").queue.push_front(stream);
            return Poll::Ready(Err(io::Error::other("too many open files")));
        }
        Poll::Ready(Ok((stream, SocketAddr::from(([127, 0, 0, 1], 1)))))
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let _listening = self.sim.net().lock().listeners.remove(&self.port);
    }
}
