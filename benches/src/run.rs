//! A whole run: every scenario, every repeat, peer by peer.

use core::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::child::{Conditions, Scheduler, ServerProcess};
use crate::client::Target;
use crate::measure::{Sample, pin, raise_open_files};
use crate::peers::Peer;
use crate::report::{Report, Row};
use crate::scenario::{Limits, Scenario, Server};

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The servers to start.
    pub peers: Vec<Peer>,
    /// A server that runs already.
    pub external: Option<External>,
    /// The loads.
    pub scenarios: Vec<Scenario>,
    /// How many samples of each.
    pub repeats: usize,
    /// How long each takes.
    pub limits: Limits,
    /// Whether servers and generator each stay on a core of their own.
    pub pinned: bool,
    /// What schedules the servers' tasks.
    pub scheduler: Scheduler,
    /// Whether to print tables for a document.
    pub markdown: bool,
}

/// A server of any make that runs already.
#[derive(Clone, Debug)]
pub struct External {
    /// Where it listens.
    pub target: Target,
    /// Its process.
    pub pid: u32,
}

/// A server that takes part in the run.
struct Entrant {
    name: String,
    peer: Option<Peer>,
    server: Server,
    /// Keeps the child alive.
    _process: Option<ServerProcess>,
}

/// The core of the servers, and that of the generator.
const SERVER_CORE: usize = 0;
const GENERATOR_CORE: usize = 1;

/// Runs, and prints a table after each scenario and one of them all at the end. Returns whether all went well.
///
/// # Errors
/// If a server does not come up. Failed samples are reported, and do not end the run.
pub fn run(options: &Options) -> Result<bool> {
    let pinned = options.pinned && pin(GENERATOR_CORE);
    if options.pinned && !pinned {
        eprintln!("warning: there is no second core; servers and generator are not pinned");
    }
    let files = raise_open_files();
    if files < 6000 {
        eprintln!("warning: {files} open files allowed: the scenarios with 5,000 connections will fail");
    }
    let conditions = Conditions { core: pinned.then_some(SERVER_CORE), scheduler: options.scheduler };
    let mut entrants = Vec::new();
    for &peer in &options.peers {
        let process = ServerProcess::start(peer, conditions)?;
        let server = process.server().clone();
        entrants.push(Entrant {
            name: peer.name().to_owned(),
            peer: Some(peer),
            server,
            _process: Some(process),
        });
    }
    if let Some(External { target, pid }) = &options.external {
        let server = Server { target: target.clone(), pid: *pid, bare: false };
        entrants.push(Entrant { name: "external".to_owned(), peer: None, server, _process: None });
    }
    ensure!(!entrants.is_empty(), "nothing to load: name --peers, or --url and --pid");

    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut report = Report::new(options.markdown);
    for &scenario in &options.scenarios {
        let mut rows: Vec<Row> = Vec::new();
        for entrant in entrants.iter().filter(|entrant| !entrant.server.bare || scenario.suits_bare()) {
            let strict = entrant.peer.is_some_and(Peer::keeps_order);
            rows.push(Row { peer: entrant.name.clone(), strict, samples: Vec::new() });
        }
        for _ in 0..options.repeats {
            for row in &mut rows {
                let entrant =
                    entrants.iter().find(|entrant| entrant.name == row.peer).context("no such peer")?;
                let sample =
                    LocalSet::new().block_on(&runtime, one(entrant, scenario, options.limits, conditions));
                row.samples.push(sample.inspect_err(|error| eprintln!("{}: {error:#}", row.peer)).ok());
            }
        }
        report.add(scenario, rows);
    }
    report.finish();
    Ok(report.is_clean())
}

/// One sample, and a pause in which the server forgets its connections.
async fn one(
    entrant: &Entrant,
    scenario: Scenario,
    limits: Limits,
    conditions: Conditions,
) -> Result<Sample> {
    let sample = match entrant.peer.filter(|_| scenario.needs_fresh_server()) {
        Some(peer) => {
            let fresh = ServerProcess::start(peer, conditions)?;
            scenario.sample(fresh.server(), limits).await
        }
        None => scenario.sample(&entrant.server, limits).await,
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    sample
}
