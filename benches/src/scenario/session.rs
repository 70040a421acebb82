//! What sessions cost to open, to close, and to keep.

use core::cell::Cell;
use core::time::Duration;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::tally::{Meter, Plan, open_all};
use super::{Tally, Verdict};
use crate::client::{Polling, Target, WebSocket};
use crate::measure::{Sample, resident_kib};

/// How a session comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Over WebSocket from the start.
    Direct,
    /// Polling first, then upgraded.
    Upgraded,
}

/// Opens and closes sessions, `workers` at a time.
pub(super) async fn lives(plan: Plan<'_>, life: Life, workers: usize) -> Result<Sample> {
    let tally = Rc::new(Tally::default());
    let left = Rc::new(Cell::new(plan.limits.sessions));
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    let before = Meter::start(plan.server, &tally)?;
    for _ in 0..workers {
        let (tally, left, target) = (Rc::clone(&tally), Rc::clone(&left), plan.server.target.clone());
        tasks.spawn_local(async move {
            while !tally.is_stopped() && left.get() > 0 {
                left.set(left.get() - 1);
                timeout(Duration::from_secs(10), live(&target, life)).await.context("a session hangs")??;
                tally.count(Verdict::InOrder);
            }
            Ok(())
        });
    }
    let stop = async {
        sleep(plan.limits.measure).await;
        tally.stop();
        core::future::pending::<()>().await;
    };
    let ended = async {
        while let Some(ended) = tasks.join_next().await {
            ended.context("a task died")??;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        () = stop => {}
        ended = ended => ended?,
    }
    // What the server does after its last answer belongs to the sessions too.
    sleep(Duration::from_millis(50)).await;
    before.stop(&tally)
}

async fn live(target: &Target, life: Life) -> Result<()> {
    let socket = match life {
        Life::Direct => WebSocket::connect(target).await?,
        Life::Upgraded => {
            let mut socket = Polling::open(target).await?.upgrade().await?;
            socket.connect_namespace().await?;
            socket
        }
    };
    socket.disconnect().await
}

/// Opens sessions that then do nothing, and weighs them.
pub(super) async fn idle(plan: Plan<'_>, connections: usize) -> Result<Sample> {
    let open = || WebSocket::connect(&plan.server.target);
    // What the server allocates once is no part of a connection's price.
    for socket in open_all(20, open).await? {
        socket.disconnect().await?;
    }
    sleep(Duration::from_millis(300)).await;
    let tally = Tally::default();
    let before = resident_kib(plan.server.pid)?;
    let meter = Meter::start(plan.server, &tally)?;
    let sockets = open_all(connections, open).await?;
    for _ in &sockets {
        tally.count(Verdict::InOrder);
    }
    sleep(Duration::from_millis(100)).await;
    let mut sample = meter.stop(&tally)?;
    sleep(plan.limits.measure).await;
    let after = resident_kib(plan.server.pid)?;
    ensure!(after > before, "no memory was used: was the server in use before?");
    sample.memory = Some((after - before) as f64 / connections as f64);
    for socket in sockets {
        socket.close().await?;
    }
    Ok(sample)
}
