//! What is to come, in the order of time; equal times in the order they were planned.

use std::collections::BTreeMap;
use std::time::Duration;

/// Time is what has passed since the beginning of the simulation.
#[derive(Debug)]
pub(crate) struct Schedule<T> {
    now: Duration,
    planned: u64,
    coming: BTreeMap<(Duration, u64), T>,
}

impl<T> Schedule<T> {
    pub(crate) fn new() -> Self {
        Schedule { now: Duration::ZERO, planned: 0, coming: BTreeMap::new() }
    }

    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// Plans something for a time; one that has passed means at once.
    pub(crate) fn at(&mut self, at: Duration, what: T) {
        self.planned += 1;
        self.coming.insert((at.max(self.now), self.planned), what);
    }

    /// When the next comes; late after a jump of the clock.
    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.coming.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the next, and moves on to its time.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let ((at, _), what) = self.coming.pop_first()?;
        self.move_to(at);
        Some(what)
    }

    /// Moves on to a time without anything that happens. Time does not go back.
    pub(crate) fn move_to(&mut self, at: Duration) {
        self.now = self.now.max(at);
    }
}
