//! Runs worlds from the command line: many, or one that failed again.

use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::time::Instant;

use sio_sim::{Climate, Settings, run};

const USAGE: &str = "sio-sim [--seeds N | --seeds N..M] [--actions N] [--climate calm|rough] [--keep-going] [--trace FILE]

Runs a world for each seed, in both climates unless one is named. Ends with the first failure, or with --keep-going after all.
--trace writes everything that a failed world has sent to a file.";

struct Options {
    seeds: RangeInclusive<u64>,
    actions: u64,
    climates: Vec<Climate>,
    keep_going: bool,
    trace: Option<String>,
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options {
        seeds: 1..=100,
        actions: 3000,
        climates: vec![Climate::Calm, Climate::Rough],
        keep_going: false,
        trace: None,
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seeds" => {
                let seeds = words.next()?;
                let (first, last) = seeds.split_once("..").unwrap_or((&seeds, &seeds));
                options.seeds = first.parse().ok()?..=last.trim_start_matches('=').parse().ok()?;
            }
            "--actions" => options.actions = words.next()?.parse().ok()?,
            "--climate" => {
                let name = words.next()?;
                options.climates.retain(|climate| climate.name() == name);
            }
            "--trace" => options.trace = Some(words.next()?),
            "--keep-going" => options.keep_going = true,
            _ => return None,
        }
    }
    (!options.climates.is_empty()).then_some(options)
}

fn main() -> ExitCode {
    let Some(options) = parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let mut failures = 0;
    for seed in options.seeds {
        for climate in &options.climates {
            let begun = Instant::now();
            let settings = Settings {
                record: options.trace.is_some(),
                ..Settings::new(seed, options.actions, *climate)
            };
            match run(&settings) {
                Ok(report) => println!(
                    "seed {seed} {}: {:.1?} for {:.0?} with {} polls, {} at once, {:?}",
                    climate.name(),
                    begun.elapsed(),
                    report.time,
                    report.polls,
                    report.busiest,
                    report.counts
                ),
                Err(failure) => {
                    eprintln!("{failure}");
                    if let Some(file) = &options.trace
                        && let Err(error) = std::fs::write(file, &failure.trace)
                    {
                        eprintln!("{file}: {error}");
                    }
                    failures += 1;
                    if !options.keep_going {
                        return ExitCode::FAILURE;
                    }
                }
            }
        }
    }
    if failures > 0 {
        eprintln!("{failures} failures");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
