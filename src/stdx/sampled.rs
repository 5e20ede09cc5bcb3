//! Numbers over the latest stretch of time, as Kafka's metrics have them: rate, average, greatest and least of what was
//! added in a few windows.
//!
//! One thread at a time adds, any thread reads, and nobody waits for anybody: a reader may miss what is being added.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The most windows that are kept: `metrics.num.samples` has no bound of its own.
pub const WINDOWS_MAX: usize = 100;

/// How far back is looked: `metrics.num.samples` windows of `metrics.sample.window.ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// How long each is; at least a millisecond.
    pub length: Duration,
    /// How many there are; at least one, and [`WINDOWS_MAX`] at most.
    pub count: usize,
}

impl Default for Windows {
    /// Kafka's defaults.
    fn default() -> Self {
        Windows { length: Duration::from_secs(30), count: 2 }
    }
}

/// What was added in the latest windows.
#[derive(Debug)]
pub struct Sampled {
    began: Instant,
    length_ms: u64,
    /// One more than are read: the next window does not take the place of one that is.
    slots: Box<[Slot]>,
}

/// One window.
#[derive(Debug)]
struct Slot {
    /// Its number from 1; 0 is none.
    window: AtomicU64,
    count: AtomicU64,
    sum: AtomicU64,
    max: AtomicU64,
    min: AtomicU64,
}

/// What the latest windows have come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// How many values were added.
    pub count: u64,
    /// All of them together.
    pub sum: u64,
    /// The greatest; `None` without any.
    pub max: Option<u64>,
    /// The least; `None` without any.
    pub min: Option<u64>,
    /// The time that they are from.
    pub span: Duration,
}

impl Sample {
    /// The average; `None` without any value.
    pub fn average(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// The sum a second.
    pub fn per_second(&self) -> f64 {
        self.sum as f64 / self.span.as_secs_f64()
    }
}

/// A number, and what it was lately.
#[derive(Debug)]
pub struct Tally {
    all: AtomicU64,
    lately: Sampled,
}

/// What a [`Tally`] has come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Total {
    /// Since it began.
    pub all: u64,
    /// What was added lately.
    pub lately: Sample,
}

impl Tally {
    /// Nothing yet; windows are counted from `began`.
    pub fn new(windows: Windows, began: Instant) -> Self {
        Tally { all: AtomicU64::new(0), lately: Sampled::new(windows, began) }
    }

    /// Adds to the number, and to what was added lately. One thread at a time.
    pub fn add(&self, now: Instant, number: u64) {
        self.all.fetch_add(number, Ordering::Relaxed);
        self.lately.add(now, number);
    }

    /// Sets the number; what is looked at lately is the number itself. One thread at a time.
    pub fn set(&self, now: Instant, number: u64) {
        self.all.store(number, Ordering::Relaxed);
        self.lately.add(now, number);
    }

    /// The number alone.
    pub fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }

    /// The number, and what was added in the latest windows, that of `now` among them.
    pub fn read(&self, now: Instant) -> Total {
        Total { all: self.all(), lately: self.lately.read(now) }
    }
}

impl Sampled {
    /// Nothing yet; windows are counted from `began`.
    pub fn new(windows: Windows, began: Instant) -> Self {
        let slot = |_| Slot {
            window: AtomicU64::new(0),
            count: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
            min: AtomicU64::new(u64::MAX),
        };
        let length_ms = u64::try_from(windows.length.as_millis()).unwrap_or(u64::MAX).max(1);
        let count = windows.count.clamp(1, WINDOWS_MAX);
        Sampled { began, length_ms, slots: (0..=count).map(slot).collect() }
    }

    /// Adds a value. One thread at a time.
    pub fn add(&self, now: Instant, value: u64) {
        let (window, _) = self.window(now);
        let slot = self.slot(window);
        if slot.window.load(Ordering::Relaxed) != window {
            slot.window.store(0, Ordering::Release);
            slot.count.store(0, Ordering::Relaxed);
            slot.sum.store(0, Ordering::Relaxed);
            slot.max.store(0, Ordering::Relaxed);
            slot.min.store(u64::MAX, Ordering::Relaxed);
            slot.window.store(window, Ordering::Release);
        }
        slot.count.fetch_add(1, Ordering::Relaxed);
        slot.sum.fetch_add(value, Ordering::Relaxed);
        slot.max.fetch_max(value, Ordering::Relaxed);
        slot.min.fetch_min(value, Ordering::Relaxed);
    }

    /// Adds a time, in microseconds. One thread at a time.
    pub fn add_time(&self, now: Instant, took: Duration) {
        self.add(now, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// What was added in the latest windows, that of `now` among them.
    pub fn read(&self, now: Instant) -> Sample {
        let (window, into_ms) = self.window(now);
        let whole = self.slots.len() as u64 - 2;
        let span =
            Duration::from_millis((whole.saturating_mul(self.length_ms)).saturating_add(into_ms).max(1));
        let mut sample = Sample { count: 0, sum: 0, max: None, min: None, span };
        for slot in &self.slots {
            let of = slot.window.load(Ordering::Acquire);
            let count = slot.count.load(Ordering::Relaxed);
            if of == 0 || of > window || window - of > whole || count == 0 {
                continue;
            }
            sample.count += count;
            sample.sum = sample.sum.saturating_add(slot.sum.load(Ordering::Relaxed));
            let (max, min) = (slot.max.load(Ordering::Relaxed), slot.min.load(Ordering::Relaxed));
            sample.max = Some(sample.max.map_or(max, |other| other.max(max)));
            sample.min = Some(sample.min.map_or(min, |other| other.min(min)));
        }
        sample
    }

    /// The number of the window that `now` is in, from 1, and how many milliseconds of it have passed.
    fn window(&self, now: Instant) -> (u64, u64) {
        let since = now.saturating_duration_since(self.began).as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX - 1);
        (since / self.length_ms + 1, since % self.length_ms)
    }

    fn slot(&self, window: u64) -> &Slot {
        let place = window % self.slots.len() as u64;
        // Less than their number, which is a usize.
        &self.slots[usize::try_from(place).unwrap_or_default()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stdx::time::Clock;

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn two_windows_are_looked_at() {
        let began = Clock.now().instant;
        let sampled = Sampled::new(Windows::default(), began);
        let none = sampled.read(began);
        assert_eq!((none.count, none.average(), none.max, none.min), (0, None, None, None));
        sampled.add(began + secs(1.0), 10);
        sampled.add(began + secs(29.0), 30);
        sampled.add(began + secs(31.0), 20);
        let both = sampled.read(began + secs(40.0));
        assert_eq!((both.count, both.sum, both.max, both.min), (3, 60, Some(30), Some(10)));
        assert_eq!((both.average(), both.span), (Some(20.0), secs(40.0)));
        assert_eq!(both.per_second(), 1.5);
        let second = sampled.read(began + secs(60.0));
        assert_eq!((second.count, second.max, second.span), (1, Some(20), secs(30.0)));
        assert_eq!(sampled.read(began + secs(90.0)).count, 0);
    }

    #[test]
    fn a_rate_is_over_one_window_at_least() {
        let began = Clock.now().instant;
        let sampled = Sampled::new(Windows::default(), began);
        sampled.add(began, 300);
        assert_eq!(sampled.read(began).per_second(), 10.0, "as Kafka has it: not 300 in no time");
    }

    #[test]
    fn odd_settings_are_kept_within_bounds() {
        let began = Clock.now().instant;
        for windows in [
            Windows { length: Duration::ZERO, count: 0 },
            Windows { length: Duration::MAX, count: usize::MAX },
        ] {
            let sampled = Sampled::new(windows, began);
            sampled.add(began, 7);
            let sample = sampled.read(began);
            assert_eq!((sample.count, sample.sum), (1, 7), "{windows:?}");
            assert!(sample.per_second().is_finite(), "{windows:?}");
            assert!(sampled.slots.len() <= WINDOWS_MAX + 1);
        }
    }

    #[test]
    fn a_slot_is_cleared_when_its_turn_comes_again() {
        let began = Clock.now().instant;
        let sampled = Sampled::new(Windows { length: secs(1.0), count: 2 }, began);
        for second in 0..100_u32 {
            sampled.add(began + secs(f64::from(second)), u64::from(second));
            let seen = sampled.read(began + secs(f64::from(second)));
            let count = u64::from(second > 0) + 1;
            assert_eq!((seen.count, seen.max), (count, Some(u64::from(second))), "{second}");
        }
    }
}
