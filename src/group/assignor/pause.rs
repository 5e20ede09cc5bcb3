//! How long to pause before work is revoked for balance, when the round before did so too.

use std::time::Duration;

const FACTOR: f64 = 40.0;

/// 40 ms, then each time 40 times as long, up to `longest`. `successive` counts from 1.
///
/// The numbers are those of Java's workers, down to their rounding: a pause that reaches `longest` may come out one
/// millisecond shorter.
pub(super) fn before_revoking(successive: u32, longest: Duration) -> Duration {
    if longest <= Duration::from_millis(1) {
        return longest;
    }
    let longest_ms = longest.as_secs_f64() * 1000.0;
    let exponent = f64::from(successive).min(longest_ms.ln() / FACTOR.ln());
    // The cast cuts off the fraction; it cannot overflow, as the power is about `longest_ms` at most.
    Duration::from_millis(FACTOR.powf(exponent) as u64).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_those_of_java() {
        for (longest, pauses) in [
            (0, [0, 0, 0, 0, 0]),
            (1, [1, 1, 1, 1, 1]),
            (40, [40, 40, 40, 40, 40]),
            (1_000, [40, 999, 999, 999, 999]),
            (10_000, [40, 1_600, 10_000, 10_000, 10_000]),
            (60_000, [40, 1_600, 60_000, 60_000, 60_000]),
            (300_000, [40, 1_600, 64_000, 300_000, 300_000]),
            (600_000, [40, 1_600, 64_000, 599_999, 599_999]),
            (3_600_000, [40, 1_600, 64_000, 2_560_000, 3_599_999]),
        ] {
            let pause = |count| before_revoking(count, Duration::from_millis(longest)).as_millis();
            assert_eq!([1, 2, 3, 4, 5].map(pause), pauses, "{longest}");
        }
        assert_eq!(before_revoking(u32::MAX, Duration::from_secs(60)), Duration::from_secs(60));
    }
}
