//! Time as a value. The herder, timers and backoffs take a [`Now`]; only threads that wait hold a [`Clock`].

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// One moment on both clocks: `instant` to measure with, `wall` to show to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic: never goes back.
    pub instant: Instant,
    /// Wall time, UTC; may jump.
    pub wall: Timestamp,
}

/// Reads the time. A type of its own so that what may read it is visible in a signature.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// The present moment.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clocks")]
    pub fn now(self) -> Now {
        Now { instant: Instant::now(), wall: Timestamp::now() }
    }

    /// The deadline that lies `timeout` ahead.
    pub fn deadline(self, timeout: Duration) -> Deadline {
        Deadline::after(self.now().instant, timeout)
    }
}

/// The moment until which something may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// `timeout` after `start`; a timeout too long for the clock counts as a hundred years.
    pub fn after(start: Instant, timeout: Duration) -> Self {
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        Deadline(start.checked_add(timeout).unwrap_or_else(|| start + CENTURY))
    }

    /// The moment itself.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// What is left at `now`; zero once it has passed.
    pub fn left(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }

    /// Whether it has passed at `now`.
    pub fn passed(self, now: Instant) -> bool {
        self.0 <= now
    }
}
