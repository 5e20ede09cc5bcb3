//! So many records a second, counted from the first: who fell behind catches up.

use std::time::{Duration, Instant};

/// How long nothing is due where nothing ever will be.
pub(super) const REST: Duration = Duration::from_secs(1);

/// Says when the next record is due.
#[derive(Debug)]
pub(super) struct Pace {
    /// Records a second: negative has no limit, zero lets nothing through.
    throughput: i64,
    start: Option<Instant>,
    sent: u64,
}

impl Pace {
    pub(super) fn new(throughput: i64) -> Self {
        Pace { throughput, start: None, sent: 0 }
    }

    /// Counts a record that goes out now; or how long to wait before asking again.
    pub(super) fn next(&mut self, now: Instant) -> Result<(), Duration> {
        let start = *self.start.get_or_insert(now);
        if self.throughput == 0 {
            return Err(REST);
        }
        if self.throughput > 0 {
            let nanos = u128::from(self.sent) * 1_000_000_000 / u128::from(self.throughput.unsigned_abs());
            let due = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            let early = due.saturating_sub(now.saturating_duration_since(start));
            if !early.is_zero() {
                return Err(early);
            }
        }
        self.sent += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stdx::time::Clock;

    #[test]
    fn records_are_due_evenly_and_a_late_one_catches_up() {
        let start = Clock.now().instant;
        let at = |millis| start + Duration::from_millis(millis);
        let mut pace = Pace::new(100);
        assert_eq!(pace.next(at(0)), Ok(()));
        assert_eq!(pace.next(at(0)), Err(Duration::from_millis(10)));
        assert_eq!(pace.next(at(9)), Err(Duration::from_millis(1)));
        assert_eq!([pace.next(at(20)), pace.next(at(20))], [Ok(()), Ok(())]);
        assert_eq!(pace.next(at(20)), Err(Duration::from_millis(10)));
    }

    #[test]
    fn no_limit_and_nothing_at_all() {
        let now = Clock.now().instant;
        let mut unlimited = Pace::new(-1);
        assert!((0..1000).all(|_| unlimited.next(now).is_ok()));
        assert_eq!(Pace::new(0).next(now), Err(REST));
    }
}
