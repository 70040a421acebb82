//! How long to wait before the next attempt.

use core::time::Duration;

use crate::id::Random;

/// Settings of the wait between attempts: twice as long each time, give or take some at random, so that the clients of a server that
/// fails do not all come back at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackoffConfig {
    /// Before the first attempt. Default: 1 s.
    pub delay: Duration,
    /// At most. Default: 5 s.
    pub delay_max: Duration,
    /// Which part of the wait is added or taken away at most, from 0 to 1. Default: 0.5.
    pub randomization_factor: f64,
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(1_000),
            delay_max: Duration::from_millis(5_000),
            randomization_factor: 0.5,
        }
    }
}

/// The attempts since a namespace was last joined.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// How many attempts there were.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Counts an attempt, and says how long to wait before it.
    pub(super) fn next(&mut self, config: &BackoffConfig, random: &mut Random) -> Duration {
        let exponent = self.attempts;
        self.attempts = self.attempts.saturating_add(1);
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let (delay, max) = (micros(config.delay), micros(config.delay_max));
        // Beyond 64 doublings any wait is longer than the longest.
        let delay = 1u64.checked_shl(exponent).map_or(u64::MAX, |factor| delay.saturating_mul(factor));
        let factor =
            if config.randomization_factor > 0.0 { config.randomization_factor.min(1.0) } else { 0.0 };
        // A number from 0 up to, but not including, 2.
        let twice = (random.number() >> 11) as f64 / (1u64 << 52) as f64;
        let scale = 1.0 + (twice - 1.0) * factor;
        // A conversion to an integer saturates.
        let delay = ((delay.min(max.saturating_mul(4)) as f64) * scale) as u64;
        Duration::from_micros(delay.min(max))
    }

    /// A namespace was joined: the server is well.
    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    #[test]
    fn waits_are_those_of_the_reference() {
        let mut random = Random::new(Seed([3; 32]));
        let config = BackoffConfig::default();
        let mut seen = [(u128::MAX, 0); 5];
        for _ in 0..2000 {
            let mut backoff = Backoff::default();
            for seen in &mut seen {
                let millis = backoff.next(&config, &mut random).as_millis();
                *seen = (seen.0.min(millis), seen.1.max(millis));
            }
        }
        // §2.2 measured 551-1499, 1101-2999, 2201-5000, 4401-5000, 5000; the whole range is a little wider.
        let range = [(500, 1500), (1000, 3000), (2000, 5000), (4000, 5000), (5000, 5000)];
        for (seen, range) in seen.iter().zip(range) {
            assert!(seen.0 >= range.0 && seen.1 <= range.1, "{seen:?} in {range:?}");
            assert!(seen.0 <= range.0 + 100 && seen.1 + 100 >= range.1, "{seen:?} fills {range:?}");
        }
    }

    #[test]
    fn nothing_overflows() {
        let mut random = Random::new(Seed([3; 32]));
        let mut backoff = Backoff { attempts: 1014 };
        for _ in 0..10 {
            assert_eq!(backoff.next(&BackoffConfig::default(), &mut random), Duration::from_secs(5));
        }
        let odd =
            BackoffConfig { delay: Duration::MAX, delay_max: Duration::MAX, randomization_factor: f64::NAN };
        assert!(backoff.next(&odd, &mut random) > Duration::from_secs(1 << 40));
        let none =
            BackoffConfig { delay: Duration::ZERO, delay_max: Duration::ZERO, randomization_factor: 9.0 };
        assert_eq!(backoff.next(&none, &mut random), Duration::ZERO);
        let mut backoff = Backoff { attempts: u32::MAX };
        backoff.next(&BackoffConfig::default(), &mut random);
        backoff.reset();
        assert_eq!(backoff.attempts(), 0);
    }
}
