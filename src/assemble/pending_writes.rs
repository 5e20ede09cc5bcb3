//! Counts writes that are on their way, so that the end of the worker can wait for them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::stdx::time::{Clock, Deadline};

/// How many writes are on their way.
#[derive(Debug, Default)]
pub struct PendingWrites {
    count: Mutex<usize>,
    ended: Condvar,
}

/// A write on its way; it has ended when this is dropped.
#[derive(Debug)]
pub struct PendingWrite(Arc<PendingWrites>);

impl PendingWrites {
    /// A write begins.
    pub fn begin(this: &Arc<Self>) -> PendingWrite {
        *this.lock() += 1;
        PendingWrite(Arc::clone(this))
    }

    /// Waits until none is on its way, at most until the deadline. Says how many are left.
    pub fn wait(&self, clock: Clock, deadline: Deadline) -> usize {
        let mut count = self.lock();
        while *count > 0 {
            let left = deadline.left(clock.now().instant);
            if left.is_zero() {
                break;
            }
            count = self.ended.wait_timeout(count, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *count
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        // Nothing panics while the lock is held.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PendingWrite {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
        self.0.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_end_waits_for_the_last_write_and_not_for_ever() {
        let writes = Arc::new(PendingWrites::default());
        let first = PendingWrites::begin(&writes);
        assert_eq!(writes.wait(Clock, Clock.deadline(Duration::ZERO)), 1);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| writes.wait(Clock, Clock.deadline(Duration::from_secs(20))));
            drop(first);
            assert_eq!(waiting.join().unwrap(), 0);
        });
    }
}
