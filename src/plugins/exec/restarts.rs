//! When a program that ended is started again. Pure.

use std::time::Duration;

use crate::stdx::backoff::Backoff;

/// Counts how often in a row a program ended.
#[derive(Debug)]
pub(super) struct Restarts {
    max: usize,
    longest: Duration,
    backoff: Backoff,
    in_a_row: usize,
}

impl Restarts {
    pub(super) fn new(max: usize, first: Duration, longest: Duration) -> Self {
        Restarts { max, longest, backoff: Backoff::new(first, longest), in_a_row: 0 }
    }

    /// The wait before the next start of a program that `ran` for some time; `None`: it ended too often.
    pub(super) fn next(&mut self, ran: Duration, random: f64) -> Option<Duration> {
        if ran > self.longest {
            self.in_a_row = 0;
            self.backoff.reset();
        }
        if self.in_a_row >= self.max {
            return None;
        }
        self.in_a_row += 1;
        Some(self.backoff.next_delay(random))
    }

    /// Starts in a row so far, and how many there may be.
    pub(super) fn count(&self) -> (usize, usize) {
        (self.in_a_row, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_until_it_is_given_up_and_a_long_run_is_forgiven() {
        let second = Duration::from_secs(1);
        let mut restarts = Restarts::new(3, second, second * 3);
        let next = |restarts: &mut Restarts, ran| restarts.next(ran, 0.0);
        assert_eq!(next(&mut restarts, second), Some(second));
        assert_eq!(next(&mut restarts, second), Some(second * 2));
        assert_eq!(next(&mut restarts, second), Some(second * 3));
        assert_eq!(restarts.count(), (3, 3));
        assert_eq!(next(&mut restarts, second), None);
        assert_eq!(next(&mut restarts, second * 4), Some(second));
        assert_eq!(Restarts::new(0, second, second).next(second, 0.0), None);
    }
}
