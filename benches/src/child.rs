//! Servers as child processes of the program that loads them.

use core::net::{Ipv4Addr, SocketAddr};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::client::Target;
use crate::measure::{pin, raise_open_files};
use crate::peers::Peer;
use crate::scenario::Server;

/// What a server says once it listens, followed by its address.
const READY: &str = "ready ";

/// Which of tokio's schedulers the server runs on; both with one thread for the tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheduler {
    /// The multi-threaded one with one worker: what `#[tokio::main]` gives, per core.
    #[default]
    Worker,
    /// The single-threaded one. It runs tasks in the order of their wake-ups, which batches better: a writer that
    /// was woken first finds more to write.
    Current,
}

impl Scheduler {
    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Current => "current",
        }
    }

    /// The scheduler of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn named(name: &str) -> Result<Self> {
        let found = [Self::Worker, Self::Current].into_iter().find(|scheduler| scheduler.name() == name);
        found.with_context(|| format!("no scheduler {name:?}; there are: worker, current"))
    }

    fn runtime(self) -> std::io::Result<Runtime> {
        match self {
            Self::Worker => Builder::new_multi_thread().worker_threads(1).enable_all().build(),
            Self::Current => Builder::new_current_thread().enable_all().build(),
        }
    }
}

/// How a server is started, whichever it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions {
    /// The core to stay on.
    pub core: Option<usize>,
    /// What schedules its tasks.
    pub scheduler: Scheduler,
}

/// How to serve.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// Which server.
    pub peer: Peer,
    /// On what.
    pub conditions: Conditions,
    /// The port on 127.0.0.1; zero for any.
    pub port: u16,
    /// Whether to end when the parent process ends.
    pub with_parent: bool,
}

/// Serves for ever, on this thread.
///
/// # Errors
/// If the port is taken, or the server fails.
pub fn serve(options: ServeOptions) -> Result<()> {
    if options.with_parent {
        set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    if let Some(core) = options.conditions.core {
        ensure!(pin(core), "cannot stay on core {core}");
    }
    let _ = raise_open_files();
    // All of it is a task, so that accepting takes place on the worker too.
    let served = options.conditions.scheduler.runtime()?.block_on(async {
        tokio::spawn(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
            println!("{READY}{}", listener.local_addr()?);
            options.peer.serve(listener).await
        })
        .await
    });
    served.context("the server has panicked")?
}

/// A running child; killed when this is dropped.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    server: Server,
}

impl ServerProcess {
    /// Starts this same program with `serve`.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start(peer: Peer, conditions: Conditions) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", peer.name(), "--with-parent", "--scheduler", conditions.scheduler.name()]);
        if let Some(core) = conditions.core {
            command.args(["--core", &core.to_string()]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (stdin, stdout) = pipes.context("a child without pipes")?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let addr: Option<SocketAddr> = line.trim().strip_prefix(READY).and_then(|addr| addr.parse().ok());
        let Some(addr) = addr else {
            // It has said why on standard error.
            child.kill().ok();
            child.wait()?;
            anyhow::bail!("{} did not come up", peer.name());
        };
        let server = Server { target: Target::new(addr)?, pid: child.id(), bare: peer.is_bare() };
        Ok(Self { child, stdin, stdout, server })
    }

    /// What to load.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// Sends a line and reads the answer, from a server that listens to its standard input.
    ///
    /// # Errors
    /// If the child has ended.
    pub fn ask(&mut self, question: &str) -> Result<String> {
        writeln!(self.stdin, "{question}")?;
        let mut line = String::new();
        ensure!(self.stdout.read_line(&mut line)? > 0, "the server has ended");
        Ok(line)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
