//! Worlds of fixed seeds. The long run is `cargo run -p sio-sim -- --seeds 1..1000 --actions 5000`.

use std::time::Duration;

use sio_sim::{Climate, Report, Sabotage, Settings, run};

const ACTIONS: u64 = 400;

fn world(seed: u64, climate: Climate) -> Report {
    run(&Settings::new(seed, ACTIONS, climate)).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Worlds of a few seeds, and what they have done together.
fn worlds(seeds: std::ops::Range<u64>, climate: Climate) {
    let reports: Vec<Report> = seeds.map(|seed| world(seed, climate)).collect();
    let count = reports.len() as u64;
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    // Else nothing was tested.
    assert!(sum(|report| report.counts.sessions) > 10 * count);
    assert!(sum(|report| report.counts.ups) > 80 * count);
    assert!(sum(|report| report.counts.downs) > 80 * count);
    assert!(sum(|report| report.counts.acks) > 10 * count);
    assert!(sum(|report| report.counts.silences) > 5 * count);
    assert!(sum(|report| report.counts.full) > 0);
    if climate == Climate::Rough {
        assert!(sum(|report| report.counts.lost_sessions) > 3 * count);
        assert!(sum(|report| report.counts.recovered) > count);
        assert!(sum(|report| report.counts.caught_up) > count);
    }
    for report in reports {
        assert!(report.time > Duration::from_secs(60));
        assert!(report.busiest < 1_000, "a task runs without need: {report:?}");
    }
}

// In parts, which run side by side.

#[test]
fn calm_first() {
    worlds(0..12, Climate::Calm);
}

#[test]
fn calm_second() {
    worlds(12..24, Climate::Calm);
}

#[test]
fn rough_first() {
    worlds(0..12, Climate::Rough);
}

#[test]
fn rough_second() {
    worlds(12..24, Climate::Rough);
}

#[test]
fn rough_third() {
    worlds(24..36, Climate::Rough);
}

// ---- The seed decides everything ----------------------------------------------------------------------------------

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let traced = |seed| {
        let settings = Settings { record: true, ..Settings::new(seed, 120, Climate::Rough) };
        run(&settings).unwrap_or_else(|failure| panic!("{failure}"))
    };
    for seed in 1..5 {
        let (first, second) = (traced(seed), traced(seed));
        let differs = first.trace.iter().zip(&second.trace).position(|(first, second)| first != second);
        if let Some(at) = differs {
            let show = |trace: &[u8]| {
                String::from_utf8_lossy(&trace[at.saturating_sub(300)..trace.len().min(at + 50)]).into_owned()
            };
            panic!("seed {seed}, byte {at}:\n{}\n---\n{}", show(&first.trace), show(&second.trace));
        }
        assert!(first.trace.len() > 20_000, "{} bytes", first.trace.len());
        assert_eq!((first.trace.len(), &first), (second.trace.len(), &second));
        assert!(first != traced(seed + 100));
    }
}

// ---- The checks can fail ------------------------------------------------------------------------------------------

/// A network that does what none may is found out, with most seeds; a piece that is not a whole message only breaks the connection, which is
/// allowed. Gives what was reported.
fn found_out(sabotage: Sabotage) -> Vec<String> {
    let failures = (0..12).filter_map(|seed| {
        let settings = Settings { sabotage: Some(sabotage), ..Settings::new(seed, 200, Climate::Calm) };
        run(&settings).err()
    });
    failures.map(|failure| failure.to_string()).collect()
}

#[test]
fn a_duplicated_piece_is_seen() {
    let found = found_out(Sabotage::Duplicate(40));
    assert!(
        found.iter().any(|failure| failure.contains("twice") || failure.contains("is owed")),
        "{found:#?}"
    );
    assert!(found[0].contains("again: cargo run -p sio-sim -- --seeds "), "{found:#?}");
}

#[test]
fn a_dropped_piece_is_seen() {
    let found = found_out(Sabotage::Drop(40));
    assert!(
        found.iter().any(|failure| failure.contains("is missing") || failure.contains("is owed")),
        "{found:#?}"
    );
}
