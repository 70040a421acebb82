//! Requests and replies: echoes and acknowledgements over WebSocket, echoes over polling.

use std::rc::Rc;

use anyhow::Result;
use tokio::task::JoinSet;

use super::tally::{Plan, open_all};
use super::{Body, Pending, Tally, Verdict, Wire};
use crate::client::{Opcode, Polling, SEPARATOR, WebSocket};
use crate::measure::Sample;

/// Keeps `window` requests under way on each of `connections`.
pub(super) async fn echo(plan: Plan<'_>, wire: Wire, connections: usize, window: usize) -> Result<Sample> {
    let sockets = open_all(connections, || WebSocket::connect(&plan.server.target)).await?;
    let wire = Rc::new(wire);
    let tally = Rc::new(Tally::default());
    let mut tasks = JoinSet::new();
    for mut socket in sockets {
        let (wire, tally) = (Rc::clone(&wire), Rc::clone(&tally));
        tasks.spawn_local(async move {
            echo_one(&mut socket, &wire, &tally, window).await?;
            socket.close().await
        });
    }
    plan.run(tally, tasks).await
}

/// Keeps `window` requests under way on one connection, until the tally allows no more and all are answered.
///
/// # Errors
/// At the first wrong reply.
pub async fn echo_one(socket: &mut WebSocket, wire: &Wire, tally: &Tally, window: usize) -> Result<()> {
    let mut pending = Pending::default();
    for _ in 0..window {
        if tally.may_send() {
            wire.push(socket, pending.start());
        }
    }
    while !pending.is_empty() {
        socket.flush().await?;
        socket.fill().await?;
        while let Some(frame) = socket.next_message()? {
            let verdict = pending.answer(wire, frame.opcode, socket.payload(&frame))?;
            tally.count(verdict);
            if verdict != Verdict::Partial && tally.may_send() {
                wire.push(socket, pending.start());
            }
        }
    }
    Ok(())
}

/// Echoes over polling: each session posts `window` events in one body and polls until all are back.
pub(super) async fn polling(plan: Plan<'_>, connections: usize, window: usize) -> Result<Sample> {
    let sessions = open_all(connections, || Polling::connect(&plan.server.target)).await?;
    let wire = Rc::new(Wire::echo("echo", Body::Text(32)));
    let tally = Rc::new(Tally::default());
    let mut tasks = JoinSet::new();
    for session in sessions {
        tasks.spawn_local(poll_one(session, Rc::clone(&wire), Rc::clone(&tally), window));
    }
    plan.run(tally, tasks).await
}

async fn poll_one(mut session: Polling, wire: Rc<Wire>, tally: Rc<Tally>, window: usize) -> Result<()> {
    let mut pending = Pending::default();
    while !tally.is_stopped() {
        session.poll().await?;
        let body: Vec<String> = (0..window).map(|_| wire.text(pending.start())).collect();
        session.send(&body.join(SEPARATOR)).await?;
        loop {
            for packet in session.polled().await? {
                tally.count(pending.answer(&wire, Opcode::Text, packet.as_bytes())?);
            }
            if pending.is_empty() {
                break;
            }
            session.poll().await?;
        }
    }
    session.close().await
}
