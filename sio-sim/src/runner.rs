//! Runs worlds.

use std::fmt;
use std::time::Duration;

use crate::model::Counts;
use crate::net::{Sabotage, Weather};
use crate::random::Random;
use crate::runtime::Sim;
use crate::world::World;
use sio_driver::Runtime as _;

/// More virtual time than any run takes.
const LIMIT: Duration = Duration::from_secs(30 * 24 * 3600);

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Climate {
    /// It delays, splits and coalesces, but no connection is ever lost: everything must arrive.
    Calm,
    /// It also stalls, falls silent, resets and refuses.
    Rough,
}

impl Climate {
    pub(crate) fn weather(self, random: &mut Random) -> Weather {
        let rough = self == Self::Rough;
        let base = *random.pick(&[1, 100, 1_000, 20_000, 150_000]);
        let capacity = *random.pick(&[500, 4_000, 16_384, 65_536]);
        let faults = |random: &mut Random, most| {
            if rough && random.percent(30) { random.between(0..=most) } else { 0 }
        };
        Weather {
            latency: base..=base * 3,
            jitter: *random.pick(&[0, 10, 1_000, 100_000]),
            chop: *random.pick(&[0, 5, 20, 50]),
            capacity: capacity..=capacity * 4,
            refuse: faults(random, 30),
            ignore: faults(random, 15),
            accept_errors: if random.percent(20) {
                random.between(0..=if rough { 20 } else { 0 })
            } else {
                0
            },
        }
    }

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Rough => "rough",
        }
    }
}

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Decides everything.
    pub seed: u64,
    /// How many things are done.
    pub actions: u64,
    /// What the network does.
    pub climate: Climate,
    /// Whether the server recovers sessions that were lost.
    pub recovery: bool,
    /// Whether everything that is written is kept, for [`Report::trace`].
    pub record: bool,
    /// What the network does that none may, from half of the actions on. For tests of the checks.
    pub sabotage: Option<Sabotage>,
}

impl Settings {
    /// A run of this seed. Every other one has recovery.
    #[must_use]
    pub fn new(seed: u64, actions: u64, climate: Climate) -> Self {
        Self { seed, actions, climate, recovery: seed % 2 == 1, record: false, sabotage: None }
    }
}

/// What a run has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What the model has counted.
    pub counts: Counts,
    /// How much virtual time has passed.
    pub time: Duration,
    /// How often tasks were polled.
    pub polls: u64,
    /// How often at most without time moving on: a task that runs without need shows here.
    pub busiest: u64,
    /// Everything that was written to connections, if it was to be recorded.
    pub trace: Vec<u8>,
}

/// What was wrong in a run, and how to see it again.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What was wrong.
    pub what: String,
    /// The last things that were done.
    pub log: Vec<String>,
    /// Everything that was written to connections, if it was to be recorded.
    pub trace: Vec<u8>,
    settings: Settings,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { seed, actions, climate, .. } = &self.settings;
        for line in &self.log {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "seed {seed}: {}", self.what)?;
        write!(
            f,
            "again: cargo run -p sio-sim -- --seeds {seed} --actions {actions} --climate {}",
            climate.name()
        )
    }
}

/// Makes a world, does so many things in it, lets it settle, and closes it.
///
/// # Errors
/// The first thing that is not as it must be.
pub fn run(settings: &Settings) -> Result<Report, Failure> {
    let sim = Sim::new(settings.seed);
    if settings.record {
        sim.record();
    }
    if settings.seed % 4 == 3 {
        sim.poll_for_nothing(5);
    }
    let mut world = World::new(&sim, settings);
    let run = sim.run(LIMIT, async {
        for action in 0..settings.actions {
            if action == settings.actions / 2
                && let Some(sabotage) = settings.sabotage
            {
                sim.sabotage(sabotage);
            }
            world.step().await;
            world.check()?;
        }
        world.settle().await?;
        world.finish().await
    });
    let result = run.map_err(|stuck| stuck.to_string()).and_then(|result| result);
    let report = result.map(|()| Report {
        counts: world.shared.model().counts,
        time: sim.now() - sio_driver::Instant::ZERO,
        polls: sim.polls(),
        busiest: sim.busiest(),
        trace: sim.trace(),
    });
    let report = report.map_err(|what| Failure {
        what,
        log: world.log().to_vec(),
        trace: sim.trace(),
        settings: settings.clone(),
    });
    drop(world);
    // After a failure there may be tasks that hold the runtime, which holds them.
    sim.abandon();
    report
}
