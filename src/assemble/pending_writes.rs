//! Counts writes that are on their way, for what comes after them: the end of the worker, and its joining the group.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::stdx::time::{Clock, Deadline};

/// How many writes are on their way.
#[derive(Debug, Default)]
pub struct PendingWrites {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    count: usize,
    next: Option<Next>,
}

/// What is to be done after the last of them. Must not block.
type Next = Box<dyn FnOnce() + Send>;

/// A write on its way; it has ended when this is dropped.
#[derive(Debug)]
pub struct PendingWrite(Arc<PendingWrites>);

impl PendingWrites {
    /// A write begins.
    pub fn begin(this: &Arc<Self>) -> PendingWrite {
        this.lock().count += 1;
        PendingWrite(Arc::clone(this))
    }

    /// Does something once none is on its way: now, or on the thread that ends the last one. It takes the place of what was
    /// to be done before.
    pub fn then(&self, next: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        if state.count > 0 {
            state.next = Some(Box::new(next));
            return;
        }
        drop(state);
        next();
    }

    /// What was to be done afterwards is not to be done any more.
    pub fn then_nothing(&self) {
        self.lock().next = None;
    }

    /// Waits until none is on its way, at most until the deadline. Says how many are left.
    pub fn wait(&self, clock: Clock, deadline: Deadline) -> usize {
        let mut state = self.lock();
        while state.count > 0 {
            let left = deadline.left(clock.now().instant);
            if left.is_zero() {
                break;
            }
            state = self.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.count
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PendingWrite {
    fn drop(&mut self) {
        let next = {
            let mut state = self.0.lock();
            state.count -= 1;
            if state.count == 0 { state.next.take() } else { None }
        };
        self.0.ended.notify_all();
        if let Some(next) = next {
            next();
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("count", &self.count).finish_non_exhaustive()
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

    #[test]
    fn what_comes_next_comes_after_the_last_write() {
        let (told, done) = crossbeam_channel::bounded(4);
        let say = |word: &'static str| {
            let told = told.clone();
            move || told.send(word).unwrap()
        };
        let writes = Arc::new(PendingWrites::default());
        writes.then(say("at once"));
        assert_eq!(done.try_recv(), Ok("at once"));
        let [first, second] = [PendingWrites::begin(&writes), PendingWrites::begin(&writes)];
        writes.then(say("overtaken"));
        writes.then(say("after both"));
        drop(second);
        assert!(done.try_recv().is_err(), "one is on its way");
        drop(first);
        assert_eq!((done.try_recv(), done.is_empty()), (Ok("after both"), true));
        let third = PendingWrites::begin(&writes);
        writes.then(say("never"));
        writes.then_nothing();
        drop(third);
        assert!(done.is_empty());
    }
}
