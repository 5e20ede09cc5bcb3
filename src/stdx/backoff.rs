//! Exponential backoff with jitter. The source of randomness is an argument, so tests are exact.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// A number in `0.0..1.0` for [`Backoff::next_delay`]: different in every process and for every call.
pub fn jitter() -> f64 {
    // 32 bits, which are a whole number of f64.
    let random = u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or_default();
    f64::from(random) / (f64::from(u32::MAX) + 1.0)
}

/// Delays that double from `first` to `longest`, each shortened by up to a fifth so that many do not march in step.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Starts at `first` and never waits longer than `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Backoff { first, longest, failures: 0 }
    }

    /// The delay before the next try. `random` is in `0.0..1.0`.
    pub fn next_delay(&mut self, random: f64) -> Duration {
        let factor = 2_u32.saturating_pow(self.failures.min(30));
        self.failures = self.failures.saturating_add(1);
        let full = self.first.saturating_mul(factor).min(self.longest);
        full.mul_f64(1.0 - 0.2 * random.clamp(0.0, 1.0))
    }

    /// Forgets all failures: the next delay is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_differs_and_stays_below_one() {
        let numbers: Vec<f64> = (0..100).map(|_| jitter()).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        assert!(numbers.windows(2).any(|two| two[0] != two[1]));
    }

    #[test]
    fn doubles_up_to_the_longest_and_resets() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        let delays: Vec<_> = (0..4).map(|_| backoff.next_delay(0.0).as_millis()).collect();
        assert_eq!(delays, [100, 200, 350, 350]);
        backoff.reset();
        assert_eq!(backoff.next_delay(1.0), Duration::from_millis(80));
    }
}
