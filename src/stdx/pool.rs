//! A pool whose threads come with need and go with rest: a job has a thread while it runs, an idle worker has none.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::thread;
use super::time::{Clock, Deadline};

type Job = Box<dyn FnOnce() + Send>;

/// How a pool is cut.
#[derive(Debug, Clone, Copy)]
pub struct PoolLimits {
    /// The most threads at one time; a job beyond that is refused.
    pub threads_max: usize,
    /// How long a thread without a job stays.
    pub idle: Duration,
    /// Stack of each thread.
    pub stack_bytes: usize,
}

/// The pool took no job: all its threads are busy, it is closed, or the system has no thread to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no thread is free for another job")]
pub struct Refused;

/// A handle to the pool; clones share it.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    name: &'static str,
    limits: PoolLimits,
    state: Mutex<State>,
    job_or_close: Condvar,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    waiting: usize,
    threads: usize,
    closed: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("waiting", &self.waiting).field("threads", &self.threads).finish()
    }
}

impl Pool {
    /// An empty pool; `name` names its threads.
    pub fn new(name: &'static str, limits: PoolLimits) -> Self {
        Pool(Arc::new(Shared {
            name,
            limits,
            state: Mutex::default(),
            job_or_close: Condvar::new(),
            ended: Condvar::new(),
        }))
    }

    /// Runs the job at once on a thread of the pool. Never blocks, never queues behind a running job.
    ///
    /// A panic of the job is caught and logged; the thread goes on.
    pub fn execute(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Refused> {
        let mut state = self.0.lock();
        if state.closed {
            return Err(Refused);
        }
        if state.waiting > state.jobs.len() {
            state.jobs.push_back(Box::new(job));
            self.0.job_or_close.notify_one();
            return Ok(());
        }
        if state.threads == self.0.limits.threads_max {
            return Err(Refused);
        }
        state.jobs.push_back(Box::new(job));
        state.threads += 1;
        let shared = Arc::clone(&self.0);
        match thread::spawn(self.0.name, self.0.limits.stack_bytes, move || shared.run()) {
            Ok(thread) => {
                thread.abandon();
                Ok(())
            }
            Err(error) => {
                log::error!("cannot start a thread for the {} pool: {error}", self.0.name);
                state.threads -= 1;
                drop(state.jobs.pop_back());
                Err(Refused)
            }
        }
    }

    /// Threads alive now, busy or resting.
    pub fn threads(&self) -> usize {
        self.0.lock().threads
    }

    /// Takes no more jobs and waits until all threads have ended, at most until `deadline`.
    /// Returns how many are still busy: they are abandoned.
    pub fn close(&self, clock: Clock, deadline: Deadline) -> usize {
        let mut state = self.0.lock();
        state.closed = true;
        self.0.job_or_close.notify_all();
        while state.threads > 0 {
            let left = deadline.left(clock.now().instant);
            if left.is_zero() {
                break;
            }
            state = self.0.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.threads
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held: jobs run outside of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        while let Some(job) = self.next_job() {
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                log::error!("a job of the {} pool panicked", self.name);
            }
        }
        self.lock().threads -= 1;
        self.ended.notify_all();
    }

    fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state.waiting += 1;
            let (guard, wait) = self
                .job_or_close
                .wait_timeout(state, self.limits.idle)
                .unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.waiting -= 1;
            if wait.timed_out() && state.jobs.is_empty() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn pool(threads_max: usize) -> Pool {
        Pool::new("test", PoolLimits { threads_max, idle: SOON, stack_bytes: thread::STACK_BYTES })
    }

    #[test]
    fn a_rested_thread_takes_the_next_job() {
        let pool = pool(4);
        for _ in 0..20 {
            let (done, waits) = bounded(0);
            pool.execute(move || done.send(()).unwrap()).unwrap();
            waits.recv_timeout(SOON).unwrap();
            // The thread rests once it waits again; bounded by the lock handing over.
            while pool.0.lock().waiting == 0 {
                std::thread::yield_now();
            }
        }
        assert_eq!(pool.threads(), 1);
    }

    #[test]
    fn a_job_beyond_the_bound_is_refused_and_a_busy_thread_is_counted_at_close() {
        let pool = pool(1);
        let (go, gate) = bounded::<()>(0);
        pool.execute(move || assert!(gate.recv().is_err())).unwrap();
        assert_eq!(pool.execute(|| ()), Err(Refused));
        assert_eq!(pool.close(Clock, Clock.deadline(Duration::from_millis(1))), 1);
        drop(go);
        assert_eq!(pool.close(Clock, Clock.deadline(SOON)), 0);
    }

    #[test]
    fn a_panic_ends_the_job_not_the_pool() {
        let pool = pool(1);
        pool.execute(|| panic!("of the test")).unwrap();
        let (done, waits) = bounded(0);
        while pool.0.lock().waiting == 0 {
            std::thread::yield_now();
        }
        pool.execute(move || done.send(()).unwrap()).unwrap();
        waits.recv_timeout(SOON).unwrap();
    }
}
