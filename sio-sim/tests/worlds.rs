//! A fixed set of seeds; `cargo run -p sio-sim -- --seeds 1..1000 --actions 5000` is the long run.

use sio_sim::{Climate, Report, Settings, run};

fn world(seed: u64, climate: Climate) -> Report {
    run(&Settings::new(seed, 300, climate)).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn one() {
    println!("{:?}", world(1, Climate::Calm).counts);
}
