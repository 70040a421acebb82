//! Broadcasts to a room.

use core::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use anyhow::{Context, Result};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::tally::{Plan, open_all};
use super::{Body, Pending, Tally, Wire};
use crate::client::{Target, WebSocket};
use crate::measure::Sample;

/// The broadcasts under way: for each, oldest first, how many deliveries are still to come.
#[derive(Debug)]
struct Room {
    wire: Wire,
    receivers: usize,
    window: usize,
    started: Cell<u64>,
    /// The broadcast that ends the load: whoever has got so many leaves.
    last: Cell<Option<u64>>,
    /// How many broadcasts have reached everybody.
    completed: Cell<u64>,
    missing: RefCell<VecDeque<usize>>,
    changed: Notify,
    tally: Rc<Tally>,
}

impl Room {
    fn new(receivers: usize, window: usize, tally: Rc<Tally>) -> Self {
        Self {
            wire: Wire::echo("cast", Body::Text(32)),
            receivers,
            window,
            started: Cell::new(0),
            last: Cell::new(None),
            completed: Cell::new(0),
            missing: RefCell::default(),
            changed: Notify::new(),
            tally,
        }
    }

    /// Counts the delivery of broadcast `index`.
    fn delivered(&self, index: u64) -> Result<()> {
        let mut missing = self.missing.borrow_mut();
        let place = index.checked_sub(self.completed.get()).and_then(|place| usize::try_from(place).ok());
        let left = place.and_then(|place| missing.get_mut(place)).context("a delivery that was not sent")?;
        *left = left.checked_sub(1).context("a delivery too many")?;
        while missing.front() == Some(&0) {
            missing.pop_front();
            self.completed.set(self.completed.get() + 1);
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Pushes as many broadcasts as may be under way, and one more at the end.
    fn refill(&self, socket: &mut WebSocket, sent: &mut Pending) {
        while self.last.get().is_none()
            && (self.tally.is_stopped() || self.missing.borrow().len() < self.window)
        {
            self.wire.push(socket, sent.start());
            self.started.set(self.started.get() + 1);
            self.missing.borrow_mut().push_back(self.receivers);
            if self.tally.is_stopped() {
                self.last.set(Some(self.started.get()));
            }
        }
    }
}

/// Everybody joins the room; one of them keeps `window` broadcasts to it under way.
pub(super) async fn cast(plan: Plan<'_>, receivers: usize, window: usize) -> Result<Sample> {
    let sockets = enter(&plan.server.target, receivers).await?;
    let tally = Rc::new(Tally::default());
    let room = Rc::new(Room::new(receivers, window, Rc::clone(&tally)));
    let mut tasks = JoinSet::new();
    for (i, socket) in sockets.into_iter().enumerate() {
        tasks.spawn_local(member(socket, Rc::clone(&room), i == 0));
    }
    plan.run(tally, tasks).await
}

async fn enter(target: &Target, receivers: usize) -> Result<Vec<WebSocket>> {
    open_all(receivers, || async {
        let mut socket = WebSocket::connect(target).await?;
        socket.join().await?;
        Ok(socket)
    })
    .await
}

/// Takes deliveries, each of which must come once, until all have come.
async fn member(mut socket: WebSocket, room: Rc<Room>, sends: bool) -> Result<()> {
    let mut sent = Pending::default();
    let mut expected = Pending::default();
    let mut received = 0;
    for _ in 0..=room.window {
        expected.start();
    }
    loop {
        if sends {
            room.refill(&mut socket, &mut sent);
        }
        if room.last.get() == Some(received) {
            return socket.close().await;
        }
        socket.flush().await?;
        tokio::select! {
            filled = socket.fill() => filled?,
            () = room.changed.notified(), if sends => {}
        }
        while let Some(frame) = socket.next_message()? {
            room.tally.count(expected.answer(&room.wire, frame.opcode, socket.payload(&frame))?);
            room.delivered(expected.answered())?;
            received += 1;
            expected.start();
        }
    }
}

/// `receivers` connections in a room and `count` broadcasts to it, one after the other.
///
/// # Errors
/// At the first wrong delivery.
pub async fn cast_some(target: &Target, receivers: usize, count: u64) -> Result<Members> {
    let mut members =
        Members { sockets: enter(target, receivers).await?, pending: Vec::new(), sent: Pending::default() };
    members.pending.resize_with(receivers, Pending::default);
    members.cast(count).await?;
    Ok(members)
}

/// A room whose members take one broadcast after the other.
#[derive(Debug)]
pub struct Members {
    sockets: Vec<WebSocket>,
    pending: Vec<Pending>,
    sent: Pending,
}

impl Members {
    /// Sends `count` broadcasts, each after the one before has reached everybody.
    ///
    /// # Errors
    /// At the first wrong delivery.
    pub async fn cast(&mut self, count: u64) -> Result<()> {
        let wire = Wire::echo("cast", Body::Text(32));
        for _ in 0..count {
            wire.push(&mut self.sockets[0], self.sent.start());
            self.sockets[0].flush().await?;
            for (socket, pending) in self.sockets.iter_mut().zip(&mut self.pending) {
                pending.start();
                while !pending.is_empty() {
                    match socket.next_message()? {
                        Some(frame) => {
                            pending.answer(&wire, frame.opcode, socket.payload(&frame))?;
                        }
                        None => socket.fill().await?,
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends all connections.
    ///
    /// # Errors
    /// If one does not end well.
    pub async fn disconnect(self) -> Result<()> {
        for socket in self.sockets {
            socket.disconnect().await?;
        }
        Ok(())
    }
}
