//! When an operation on a record is tried again: `errors.retry.timeout` and `errors.retry.delay.max.ms`. Pure.

use std::time::{Duration, Instant};

use super::super::stage::Stage;

/// The delay before the first retry; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(300);
/// The shortest delay, whatever was configured: a task must not spin.
const SHORTEST: Duration = Duration::from_millis(1);

/// How long, and at most how seldom, an operation is tried again that failed with a retriable error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// For how long after it failed first; `None` is for ever.
    pub timeout: Option<Duration>,
    /// Delays that would be longer are random ones below this.
    pub delay_max: Duration,
}

impl Default for RetryPolicy {
    /// No retries, as without settings.
    fn default() -> Self {
        RetryPolicy { timeout: Some(Duration::ZERO), delay_max: Duration::from_secs(60) }
    }
}

impl RetryPolicy {
    /// When to try again what failed first at `since` and was tried again so often; `None`: not any more. `random` is in
    /// `0.0..1.0`.
    fn next(&self, since: Instant, retries: u32, now: Instant, random: f64) -> Option<Instant> {
        let left = match self.timeout {
            None => Duration::MAX,
            Some(timeout) => timeout.saturating_sub(now.saturating_duration_since(since)),
        };
        if left.is_zero() {
            return None;
        }
        let doubled = FIRST.saturating_mul(2_u32.saturating_pow(retries.min(31)));
        let delay = if doubled > self.delay_max {
            self.delay_max.mul_f64(random.clamp(0.0, 1.0)).max(SHORTEST)
        } else {
            doubled
        };
        now.checked_add(delay.min(left))
    }
}

/// An operation: where on its way a record is, and in which transform of the chain.
pub(in crate::task) type Operation = (Stage, usize);

/// The tries of one operation on one record.
#[derive(Debug, Default)]
pub(in crate::task) struct Tries(Option<Tried>);

#[derive(Debug)]
struct Tried {
    operation: Operation,
    since: Instant,
    retries: u32,
}

impl Tries {
    /// An operation failed with a retriable error. When to try it again; `None`: not any more.
    pub(super) fn failed(
        &mut self,
        policy: RetryPolicy,
        operation: Operation,
        now: Instant,
        random: f64,
    ) -> Option<Instant> {
        let same = self.0.take().filter(|tried| tried.operation == operation);
        let mut tried = same.unwrap_or(Tried { operation, since: now, retries: 0 });
        let again = policy.next(tried.since, tried.retries, now, random)?;
        tried.retries += 1;
        self.0 = Some(tried);
        Some(again)
    }

    /// The record got through, or was given up.
    pub(in crate::task) fn end(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stdx::time::Clock;

    const A_TRANSFORM: Operation = (Stage::Transformation, 0);

    fn policy(timeout: Option<u64>, delay_max: u64) -> RetryPolicy {
        RetryPolicy {
            timeout: timeout.map(Duration::from_millis),
            delay_max: Duration::from_millis(delay_max),
        }
    }

    /// The delays of an operation that fails at once each time, until it is given up, or ten of them.
    fn delays(policy: RetryPolicy, random: f64) -> Vec<u128> {
        let (mut tries, mut now) = (Tries::default(), Clock.now().instant);
        let mut next = || {
            let again = tries.failed(policy, A_TRANSFORM, now, random)?;
            Some((again - std::mem::replace(&mut now, again)).as_millis())
        };
        std::iter::from_fn(&mut next).take(10).collect()
    }

    #[test]
    fn delays_double_up_to_the_longest_and_end_with_the_timeout() {
        let table: [(&str, RetryPolicy, f64, &[u128]); 8] = [
            ("none unless asked for", RetryPolicy::default(), 0.5, &[]),
            ("doubled", policy(Some(3000), 60_000), 0.5, &[300, 600, 1200, 900]),
            ("one last try at the very end", policy(Some(100), 60_000), 0.5, &[100]),
            ("exactly at the end", policy(Some(900), 60_000), 0.5, &[300, 600]),
            ("random below the longest", policy(Some(2000), 1000), 0.5, &[300, 600, 500, 500, 100]),
            ("as random says", policy(Some(1200), 600), 0.25, &[300, 600, 150, 150]),
            ("no delay does not spin", policy(Some(3), 0), 0.0, &[1, 1, 1]),
            (
                "for ever",
                policy(None, 10_000),
                0.9,
                &[300, 600, 1200, 2400, 4800, 9600, 9000, 9000, 9000, 9000],
            ),
        ];
        for (what, policy, random, expected) in table {
            assert_eq!(delays(policy, random), expected, "{what}");
        }
    }

    #[test]
    fn a_retry_for_ever_never_overflows() {
        let (policy, now) = (policy(None, u64::MAX), Clock.now().instant);
        for retries in [0, 30, 31, 32, 1000, u32::MAX] {
            assert!(policy.next(now, retries, now, 1.0).is_some(), "{retries}");
        }
    }

    #[test]
    fn each_operation_has_a_time_of_its_own() {
        let (mut tries, start) = (Tries::default(), Clock.now().instant);
        let policy = policy(Some(500), 60_000);
        let after = |millis| start + Duration::from_millis(millis);
        assert_eq!(tries.failed(policy, A_TRANSFORM, start, 0.0), Some(after(300)));
        let next_transform = (Stage::Transformation, 1);
        assert_eq!(tries.failed(policy, next_transform, after(400), 0.0), Some(after(700)));
        tries.end();
        assert_eq!(tries.failed(policy, next_transform, after(5000), 0.0), Some(after(5300)));
    }
}
