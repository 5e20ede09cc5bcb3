//! Calls on one object, one after another, on threads of a pool: the object has a thread only while it is called.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::stdx::pool::{Pool, Refused};

type Call<T> = Box<dyn FnOnce(&mut T) + Send>;

/// An object and the calls that wait for it. How many can wait, its owner bounds: the herder never has more than a
/// handful outstanding for one connector.
#[derive(Debug)]
pub(super) struct Strand<T> {
    pool: Pool,
    shared: Arc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    calls: VecDeque<Call<T>>,
    /// Taken out while it is called.
    idle: Option<T>,
}

impl<T> std::fmt::Debug for State<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("waiting", &self.calls.len())
            .field("idle", &self.idle.is_some())
            .finish()
    }
}

impl<T: Send + 'static> Strand<T> {
    pub(super) fn new(pool: Pool, object: T) -> Self {
        let state = State { calls: VecDeque::new(), idle: Some(object) };
        Strand { pool, shared: Arc::new(Shared { state: Mutex::new(state) }) }
    }

    /// Calls the object after all earlier calls. Never blocks. If there is no thread for it, the call is not made.
    pub(super) fn run(&self, call: impl FnOnce(&mut T) + Send + 'static) -> Result<(), Refused> {
        let mut state = self.shared.lock();
        state.calls.push_back(Box::new(call));
        let Some(object) = state.idle.take() else { return Ok(()) };
        // The object waits in a slot that both this thread and the job can reach, since a refused job is dropped.
        let slot = Arc::new(Mutex::new(Some(object)));
        drop(state);
        let (shared, of_job) = (Arc::clone(&self.shared), Arc::clone(&slot));
        let started = self.pool.execute(move || {
            let object = of_job.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(object) = object {
                shared.run_calls(object);
            }
        });
        if started.is_err() {
            let mut state = self.shared.lock();
            state.calls.clear();
            state.idle = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        started
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run_calls(&self, mut object: T) {
        loop {
            let call = {
                let mut state = self.lock();
                match state.calls.pop_front() {
                    Some(call) => call,
                    None => {
                        state.idle = Some(object);
                        return;
                    }
                }
            };
            call(&mut object);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossbeam_channel::bounded;

    use super::*;
    use crate::stdx::pool::PoolLimits;
    use crate::stdx::thread::STACK_BYTES;

    fn pool(threads_max: usize) -> Pool {
        let idle = Duration::from_secs(10);
        Pool::new("test", PoolLimits { threads_max, idle, stack_bytes: STACK_BYTES })
    }

    #[test]
    fn calls_come_in_order_also_when_the_first_blocks() {
        let strand = Strand::new(pool(2), Vec::new());
        let (go, gate) = bounded::<()>(0);
        let (done, seen) = bounded(1);
        let first = move |list: &mut Vec<u8>| {
            assert!(gate.recv().is_err());
            list.push(0)
        };
        strand.run(first).unwrap();
        strand.run(|list| list.push(1)).unwrap();
        strand.run(move |list| done.send(list.clone()).unwrap()).unwrap();
        drop(go);
        assert_eq!(seen.recv_timeout(Duration::from_secs(10)).unwrap(), [0, 1]);
    }

    #[test]
    fn without_a_thread_the_call_is_not_made_and_later_ones_are() {
        let strand = Strand::new(pool(1), 0_u8);
        let (go, gate) = bounded::<()>(0);
        strand.pool.execute(move || assert!(gate.recv().is_err())).unwrap();
        assert_eq!(strand.run(|_| unreachable!("there is no thread")), Err(Refused));
        drop(go);
        let (done, seen) = bounded(1);
        let started = |done: &crossbeam_channel::Sender<u8>| {
            let done = done.clone();
            strand.run(move |object| done.send(*object).unwrap())
        };
        // The thread rests once it waits again; until then it is busy.
        while started(&done).is_err() {
            std::thread::yield_now();
        }
        assert_eq!(seen.recv_timeout(Duration::from_secs(10)).unwrap(), 0);
    }
}
