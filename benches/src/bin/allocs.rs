//! `allocs`: counts the allocations that a server makes for a message.

use std::alloc::System;
use std::io::BufRead as _;

use anyhow::{Result, bail};
use benches::allocations::{self, Count};
use benches::child::{Conditions, Scheduler};
use benches::peers::Peer;
use benches::{child, cli};
use lexopt::prelude::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const HELP: &str = "\
allocs [options]              count the allocations of servers
  --peers a,b                 which: sio, socketioxide, floor (default: all that are built in)
  --scheduler worker|current  what of tokio runs the servers (default: worker)
  --markdown                  print a table for a document";

fn main() -> Result<()> {
    let mut args = lexopt::Parser::from_env();
    let mut peers: Vec<Peer> = Peer::ALL.into_iter().filter(|peer| peer.is_built_in()).collect();
    let mut conditions = Conditions::default();
    let mut markdown = false;
    while let Some(arg) = args.next()? {
        match arg {
            Value(word) if word == "serve" => {
                let options = cli::serve(&mut args)?;
                std::thread::spawn(answer);
                return child::serve(options);
            }
            Long("peers") => {
                peers = args.value()?.string()?.split(',').map(Peer::named).collect::<Result<_>>()?;
            }
            Long("scheduler") => conditions.scheduler = Scheduler::named(&args.value()?.string()?)?,
            Long("markdown") => markdown = true,
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(());
            }
            other => bail!(other.unexpected()),
        }
    }
    allocations::run(&peers, conditions, markdown)
}

/// Answers each line on the standard input with the counters.
fn answer() {
    let mut line = String::new();
    let mut input = std::io::stdin().lock();
    while input.read_line(&mut line).is_ok_and(|length| length > 0) {
        let stats = INSTRUMENTED_SYSTEM.stats();
        let count = Count {
            allocations: stats.allocations as u64,
            reallocations: stats.reallocations as u64,
            bytes: stats.bytes_allocated as u64,
        };
        println!("{count}");
        line.clear();
    }
}
