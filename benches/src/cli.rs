//! The command line of `load`.

use core::str::FromStr;
use core::time::Duration;

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;

use crate::child::{Conditions, Scheduler, ServeOptions};
use crate::client::Target;
use crate::peers::Peer;
use crate::run::{External, Options};
use crate::scenario::{ALL, Limits, Scenario};

/// What `load --help` says.
pub const HELP: &str = "\
load run [options]            load servers and compare their cost
  --peers a,b                 the servers to start: sio, socketioxide, floor (default: all that are built in)
  --url URL --pid N           load this running server too, or alone if --peers is not given
  --scenarios x,y             which loads, by name or by the name's start with * (default: all)
  --repeats N                 samples of each (default: 3)
  --seconds S                 how long a sample is measured (default: 3)
  --sessions N                how many sessions a sample of connect or upgrade may open (default: 10000)
  --unpinned                  do not keep servers on core 0 and the generator on core 1
  --scheduler worker|current  what of tokio runs the servers: its multi-threaded scheduler with one worker (the
                              default), or its single-threaded one
  --markdown                  print tables for a document
load serve PEER [options]     be a server
  --port N                    on 127.0.0.1 (default: any free one)
  --core N                    stay on this core
  --scheduler worker|current  as above
load list                     the names of the scenarios";

/// What was asked for.
#[derive(Clone, Debug)]
pub enum Command {
    /// To run loads.
    Run(Options),
    /// To serve.
    Serve(ServeOptions),
    /// To list the loads.
    List,
    /// To explain.
    Help,
}

impl Command {
    /// Reads the arguments of this process.
    ///
    /// # Errors
    /// If they make no sense.
    pub fn read() -> Result<Self> {
        let mut args = lexopt::Parser::from_env();
        match args.next()? {
            Some(Value(word)) if word == "run" => run(&mut args).map(Self::Run),
            Some(Value(word)) if word == "serve" => serve(&mut args).map(Self::Serve),
            Some(Value(word)) if word == "list" => Ok(Self::List),
            Some(Long("help") | Short('h')) => Ok(Self::Help),
            Some(other) => Err(other.unexpected().into()),
            None => bail!("say what to do:\n{HELP}"),
        }
    }
}

/// Reads the arguments after `serve`.
///
/// # Errors
/// If they make no sense.
pub fn serve(args: &mut lexopt::Parser) -> Result<ServeOptions> {
    let peer = Peer::named(&args.value().context("which server?")?.string()?)?;
    let mut options = ServeOptions { peer, conditions: Conditions::default(), port: 0, with_parent: false };
    while let Some(arg) = args.next()? {
        match arg {
            Long("port") => options.port = number(args)?,
            Long("core") => options.conditions.core = Some(number(args)?),
            Long("scheduler") => options.conditions.scheduler = Scheduler::named(&args.value()?.string()?)?,
            Long("with-parent") => options.with_parent = true,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn run(args: &mut lexopt::Parser) -> Result<Options> {
    let mut peers = None;
    let mut url = None;
    let mut pid = None;
    let mut options = Options {
        peers: Vec::new(),
        external: None,
        scenarios: ALL.to_vec(),
        repeats: 3,
        limits: Limits::default(),
        pinned: true,
        scheduler: Scheduler::default(),
        markdown: false,
    };
    while let Some(arg) = args.next()? {
        match arg {
            Long("peers") => {
                peers = Some(args.value()?.string()?.split(',').map(Peer::named).collect::<Result<_>>()?);
            }
            Long("url") => url = Some(Target::parse(&args.value()?.string()?)?),
            Long("pid") => pid = Some(number(args)?),
            Long("scenarios") => options.scenarios = scenarios(&args.value()?.string()?)?,
            Long("repeats") => options.repeats = number(args)?,
            Long("seconds") => {
                options.limits.measure =
                    Duration::try_from_secs_f64(number(args)?)?.min(Duration::from_secs(120));
            }
            Long("sessions") => options.limits.sessions = number(args)?,
            Long("unpinned") => options.pinned = false,
            Long("scheduler") => options.scheduler = Scheduler::named(&args.value()?.string()?)?,
            Long("markdown") => options.markdown = true,
            other => return Err(other.unexpected().into()),
        }
    }
    options.external = match (url, pid) {
        (Some(target), Some(pid)) => Some(External { target, pid }),
        (None, None) => None,
        _ => bail!("--url and --pid belong together"),
    };
    let built_in = || Peer::ALL.into_iter().filter(|peer| peer.is_built_in()).collect();
    options.peers = match peers {
        Some(peers) => peers,
        None if options.external.is_some() => Vec::new(),
        None => built_in(),
    };
    Ok(options)
}

fn scenarios(list: &str) -> Result<Vec<Scenario>> {
    let mut chosen = Vec::new();
    for name in list.split(',') {
        match name.strip_suffix('*') {
            Some(start) => chosen.extend(ALL.iter().filter(|scenario| scenario.name.starts_with(start))),
            None => chosen.push(Scenario::named(name)?),
        }
    }
    Ok(chosen)
}

fn number<T: FromStr>(args: &mut lexopt::Parser) -> Result<T>
where
    T::Err: Into<Box<dyn core::error::Error + Send + Sync>>,
{
    Ok(args.value()?.parse()?)
}
