//! A bound on how many requests of one kind may wait, kept where they are made: whoever gets in has a place in every
//! queue behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Lets in so many at a time.
#[derive(Debug)]
pub(super) struct Gate {
    max: usize,
    inside: Arc<AtomicUsize>,
}

/// A place inside, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit(Arc<AtomicUsize>);

impl Gate {
    /// One that lets `max` in.
    pub(super) fn new(max: usize) -> Self {
        Gate { max, inside: Arc::default() }
    }

    /// How many it lets in.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// A place inside, if one is free. Never blocks.
    pub(super) fn enter(&self) -> Option<Permit> {
        let entered = self.inside.fetch_update(Ordering::AcqRel, Ordering::Acquire, |inside| {
            (inside < self.max).then_some(inside + 1)
        });
        entered.ok().map(|_| Permit(Arc::clone(&self.inside)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_makes_room() {
        let gate = Gate::new(2);
        let first = gate.enter().unwrap();
        let _second = gate.enter().unwrap();
        assert!(gate.enter().is_none());
        drop(first);
        assert!(gate.enter().is_some());
    }
}
