//! How many allocations a server makes for a message.
//!
//! The server is a child process with a counting allocator; the load comes from the parent, so what the
//! client allocates does not count. The parent asks for the counters through the child's standard input.

use core::fmt;
use std::rc::Rc;

use anyhow::{Context, Result};
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::child::{Conditions, ServerProcess};
use crate::client::WebSocket;
use crate::peers::Peer;
use crate::report::Table;
use crate::scenario::{Body, Tally, Wire, cast_some, echo_one};

/// What the allocator was asked for up to a moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// New blocks.
    pub allocations: u64,
    /// Blocks made larger or smaller.
    pub reallocations: u64,
    /// Bytes of new blocks.
    pub bytes: u64,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.allocations, self.reallocations, self.bytes)
    }
}

impl Count {
    fn parse(line: &str) -> Option<Self> {
        let mut numbers = line.split_whitespace().map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Self { allocations: next()?, reallocations: next()?, bytes: next()? })
    }

    /// What each of `count` messages took, of what was taken between `before` and this.
    fn each(self, before: Self, count: u64) -> Cost {
        let each = |now: u64, before: u64| (now as f64 - before as f64) / count as f64;
        Cost {
            allocations: each(self.allocations, before.allocations),
            reallocations: each(self.reallocations, before.reallocations),
            bytes: each(self.bytes, before.bytes),
        }
    }
}

/// What one message takes.
#[derive(Clone, Copy, Debug)]
struct Cost {
    allocations: f64,
    reallocations: f64,
    bytes: f64,
}

impl Cost {
    fn map(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            allocations: f(self.allocations, other.allocations),
            reallocations: f(self.reallocations, other.reallocations),
            bytes: f(self.bytes, other.bytes),
        }
    }
}

/// Messages before the count begins, and messages counted.
const WARM_UP: u64 = 2_000;
const COUNTED: u64 = 20_000;

/// How many broadcasts are counted, and to how many receivers: the difference of the two is what a receiver takes.
const CASTS: u64 = 500;
const RECEIVERS: [usize; 2] = [100, 200];

/// Counts, and prints a table.
///
/// # Errors
/// If a server does not come up or answers wrongly.
pub fn run(peers: &[Peer], conditions: Conditions, markdown: bool) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut table = Table::new(&["allocations per", "peer", "allocations", "reallocations", "bytes"]);
    for &peer in peers {
        let lines =
            LocalSet::new().block_on(&runtime, count(peer, conditions)).with_context(|| peer.name())?;
        for (what, cost) in lines {
            let cells = [cost.allocations, cost.reallocations, cost.bytes].map(|value| format!("{value:.2}"));
            table.row([what.to_owned(), peer.name().to_owned()].into_iter().chain(cells).collect());
        }
    }
    println!("{}", table.print(markdown));
    Ok(())
}

async fn count(peer: Peer, conditions: Conditions) -> Result<Vec<(&'static str, Cost)>> {
    let mut server = ServerProcess::start(peer, conditions)?;
    let mut lines = Vec::new();
    let loads = [
        ("text echo, typed handler", Wire::echo("echo", Body::Text(32)), 8),
        ("text echo, typed handler, one in flight", Wire::echo("echo", Body::Text(32)), 1),
        ("text echo, raw handler", Wire::echo("echo-raw", Body::Text(32)), 8),
        ("text echo, JSON tree", Wire::echo("echo-value", Body::Text(32)), 8),
        ("1 KiB object echo, raw handler", Wire::echo("echo-raw", Body::Object), 8),
        ("ack", Wire::ack("ack", Body::Text(32)), 8),
        ("1 KiB binary echo", Wire::echo("bin", Body::Binary(1024)), 8),
    ];
    for (what, wire, window) in loads {
        let wire = if peer.is_bare() { wire.bare() } else { wire };
        lines.push((what, exchange(&mut server, &wire, window).await?));
    }
    let few = broadcast(&mut server, RECEIVERS[0]).await?;
    let many = broadcast(&mut server, RECEIVERS[1]).await?;
    let difference = (RECEIVERS[1] - RECEIVERS[0]) as f64;
    lines.push(("broadcast recipient", many.map(few, |many, few| (many - few) / difference)));
    Ok(lines)
}

/// Sends requests over one connection and counts what each took.
async fn exchange(server: &mut ServerProcess, wire: &Wire, window: usize) -> Result<Cost> {
    let mut socket = WebSocket::connect(&server.server().target).await?;
    messages(&mut socket, wire, window, WARM_UP).await?;
    let before = ask(server)?;
    messages(&mut socket, wire, window, COUNTED).await?;
    let cost = ask(server)?.each(before, COUNTED);
    socket.disconnect().await?;
    Ok(cost)
}

/// Sends exactly `count` requests.
async fn messages(socket: &mut WebSocket, wire: &Wire, window: usize, count: u64) -> Result<()> {
    let tally = Rc::new(Tally::until(count));
    echo_one(socket, wire, &tally, window).await
}

/// Sends broadcasts to a room of `receivers` and counts what each broadcast took.
async fn broadcast(server: &mut ServerProcess, receivers: usize) -> Result<Cost> {
    let mut members = cast_some(&server.server().target, receivers, CASTS).await?;
    let before = ask(server)?;
    members.cast(CASTS).await?;
    let cost = ask(server)?.each(before, CASTS);
    members.disconnect().await?;
    Ok(cost)
}

fn ask(server: &mut ServerProcess) -> Result<Count> {
    let line = server.ask("count")?;
    Count::parse(&line).with_context(|| format!("{line:?} are no counters"))
}
