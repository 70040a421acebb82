//! What a process costs, as Linux counts it.

use core::time::Duration;
use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

/// What a process has used up to a moment.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Time that its threads ran.
    pub cpu: Duration,
    /// How many threads it has.
    pub threads: usize,
    /// When this was read.
    pub at: Instant,
}

impl Usage {
    /// Reads what `pid` has used. The kernel updates a running thread's time at its next tick only, so this lags
    /// by some milliseconds: measure seconds.
    ///
    /// # Errors
    /// If there is no such process, or the kernel keeps no schedstat.
    pub fn of(pid: u32) -> Result<Self> {
        let at = Instant::now();
        let mut nanoseconds = 0;
        let mut threads = 0;
        for task in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("no process {pid}"))? {
            // A thread may end between the listing and the reading.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let run = text.split_whitespace().next().context("an empty schedstat")?;
            nanoseconds += run.parse::<u64>().context("schedstat is no number")?;
            threads += 1;
        }
        Ok(Self { cpu: Duration::from_nanos(nanoseconds), threads, at })
    }
}

/// The resident memory of `pid` in KiB.
///
/// # Errors
/// If there is no such process.
pub fn resident_kib(pid: u32) -> Result<u64> {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("no process {pid}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// Keeps this thread, and those that it will start, on one core. Returns whether that was possible.
pub fn pin(core: usize) -> bool {
    let mut set = CpuSet::new();
    if core >= CpuSet::MAX_CPU {
        return false;
    }
    set.set(core);
    sched_setaffinity(None, &set).is_ok()
}

/// Allows this process as many open files as the system grants it, and says how many that are.
#[must_use]
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() { raised } else { limit };
    limit.current.unwrap_or(u64::MAX)
}

/// One measurement of one peer in one scenario.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// How many messages were handled.
    pub messages: u64,
    /// How many replies came in another order than the requests.
    pub reordered: u64,
    /// The server's CPU time.
    pub cpu: Duration,
    /// How long it took.
    pub wall: Duration,
    /// The generator's CPU time.
    pub generator: Duration,
    /// How many threads the server had.
    pub threads: usize,
    /// Resident memory per connection in KiB, where that was measured.
    pub memory: Option<f64>,
}

impl Sample {
    /// Microseconds of the server's CPU per message.
    #[must_use]
    pub fn micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.messages as f64
    }

    /// The share of its core that the server used.
    #[must_use]
    pub fn server_share(&self) -> f64 {
        self.cpu.as_secs_f64() / self.wall.as_secs_f64()
    }

    /// The share of its core that the generator used.
    #[must_use]
    pub fn generator_share(&self) -> f64 {
        self.generator.as_secs_f64() / self.wall.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_threads_and_memory() {
        let usage = Usage::of(std::process::id()).expect("procfs");
        assert!(usage.threads >= 1);
        assert!(resident_kib(std::process::id()).expect("procfs") > 100);
    }
}
