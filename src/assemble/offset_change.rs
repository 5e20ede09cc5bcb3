//! A change of offsets runs code of a connector, which may hang: how long it is waited for, and what it may still do
//! once nobody waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};

use crate::api::ids::ConnectorName;
use crate::herder::msg::{Answer, HerderError};
use crate::stdx::panics;
use crate::stdx::pool::Pool;
use crate::stdx::time::{Clock, Deadline};

/// How far a change has come. It goes forward only, and no further once it was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// References are resolved, stored offsets are read.
    Preparing,
    /// The connector is asked whether it agrees.
    Asking,
    /// The offsets are written: this cannot be taken back.
    Writing,
    /// Nobody waits any more: nothing may be written.
    GivenUp,
}

impl Step {
    const ALL: [Step; 4] = [Step::Preparing, Step::Asking, Step::Writing, Step::GivenUp];

    fn of(number: u8) -> Step {
        Step::ALL.into_iter().find(|step| *step as u8 == number).unwrap_or(Step::GivenUp)
    }
}

/// The progress of one change, shared by who makes it and who waits for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<AtomicU8>);

impl Progress {
    /// Goes on to a step, unless the change was given up.
    ///
    /// # Errors
    /// It was; the text reaches nobody.
    pub(super) fn enter(&self, step: Step) -> Answer<()> {
        match Step::of(self.0.fetch_max(step as u8, Ordering::AcqRel)) {
            Step::GivenUp => Err(HerderError::Failed("The change was given up".to_owned())),
            Step::Preparing | Step::Asking | Step::Writing => Ok(()),
        }
    }

    /// Gives the change up, unless it is being written. Returns how far it had come.
    fn give_up(&self) -> Step {
        let give_up = |step| (Step::of(step) < Step::Writing).then_some(Step::GivenUp as u8);
        let before = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, give_up);
        Step::of(before.unwrap_or_else(|writing| writing))
    }
}

/// How long a change is waited for, less than the 90 s that its client waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Until it is written.
    pub(super) agree: Duration,
    /// For the writing itself.
    pub(super) write: Duration,
}

impl Patience {
    /// That of a worker.
    pub(super) const WORKER: Patience =
        Patience { agree: Duration::from_secs(60), write: Duration::from_secs(20) };
}

/// Makes a change on another thread of the pool, and waits for it with patience. `change` must enter [`Step::Writing`]
/// before it writes anything.
///
/// # Errors
/// What `change` says; else, in Connect's words, that it took too long.
pub(super) fn make<T: Send + 'static>(
    jobs: &Pool,
    (kind, name): (&str, &ConnectorName),
    patience: Patience,
    change: impl FnOnce(&Progress, Deadline) -> Answer<T> + Send + 'static,
) -> Answer<T> {
    let progress = Progress::default();
    let deadline = Clock.deadline(patience.agree);
    let (done, outcome) = bounded(1);
    let of_job = progress.clone();
    let job = move || {
        // Closed: nobody waits any more.
        drop(done.send(panics::caught(|| change(&of_job, deadline))));
    };
    jobs.execute(job).map_err(|_refused| no_thread("the change of offsets"))?;
    let mut received = outcome.recv_timeout(deadline.left(Clock.now().instant));
    let mut step = Step::Preparing;
    if matches!(received, Err(RecvTimeoutError::Timeout)) {
        step = progress.give_up();
        if step == Step::Writing {
            received = outcome.recv_timeout(patience.write);
        }
    }
    match received {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => Err(HerderError::Failed(format!(
            "Failed to modify offsets for connector {name}: its code panicked: {panic}"
        ))),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(too_long(kind, name, step)),
    }
}

fn too_long(kind: &str, name: &ConnectorName, step: Step) -> HerderError {
    HerderError::Failed(match step {
        Step::Asking => {
            format!("Timed out while calling the 'alterOffsets' method for {kind} connector {name}")
        }
        Step::Preparing | Step::Writing | Step::GivenUp => {
            format!("Timed out while attempting to modify offsets for {kind} connector {name}")
        }
    })
}

/// The system or the pool has no thread for a job.
pub(super) fn no_thread(what: &str) -> HerderError {
    HerderError::Failed(format!("No thread is free for {what}: too many connectors hang. Try again later"))
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::Receiver;

    use super::*;
    use crate::stdx::pool::PoolLimits;
    use crate::stdx::thread::STACK_BYTES;

    const SOON: Duration = Duration::from_secs(10);
    const SHORT: Duration = Duration::from_millis(20);
    const IMPATIENT: Patience = Patience { agree: SHORT, write: SHORT };

    fn pool() -> Pool {
        Pool::new("test", PoolLimits { threads_max: 2, idle: SOON, stack_bytes: STACK_BYTES })
    }

    fn failure(answer: Answer<u8>) -> String {
        let Err(HerderError::Failed(why)) = answer else { panic!("{answer:?}") };
        why
    }

    /// A change that enters a step and hangs there until the gate opens; then it tries to write, and tells.
    fn hangs_in(step: Step, patience: Patience) -> (String, impl Fn() -> Answer<()>) {
        let (go, gate) = bounded::<()>(0);
        let (tells, told): (_, Receiver<Answer<()>>) = bounded(1);
        let why = failure(make(&pool(), ("sink", &"c".into()), patience, move |progress, _| {
            progress.enter(step)?;
            assert!(gate.recv().is_err());
            let may_write = progress.enter(Step::Writing);
            tells.send(may_write.clone()).unwrap();
            may_write.map(|()| 1)
        }));
        drop(go);
        (why, move || told.recv_timeout(SOON).unwrap())
    }

    #[test]
    fn a_change_that_is_made_in_time_is_answered() {
        let change = |progress: &Progress, _| progress.enter(Step::Writing).map(|()| 7);
        assert_eq!(make(&pool(), ("sink", &"c".into()), Patience::WORKER, change), Ok(7));
    }

    #[test]
    fn a_connector_that_hangs_is_given_up_and_writes_nothing_later() {
        let (why, late) = hangs_in(Step::Asking, IMPATIENT);
        assert_eq!(why, "Timed out while calling the 'alterOffsets' method for sink connector c");
        assert!(late().is_err());
        let (why, late) = hangs_in(Step::Preparing, IMPATIENT);
        assert_eq!(why, "Timed out while attempting to modify offsets for sink connector c");
        assert!(late().is_err());
    }

    #[test]
    fn a_change_that_is_being_written_has_time_for_that_and_no_more() {
        let (why, late) = hangs_in(Step::Writing, IMPATIENT);
        assert_eq!(why, "Timed out while attempting to modify offsets for sink connector c");
        assert!(late().is_ok(), "what was begun may end");
        let slow_write = |progress: &Progress, deadline: Deadline| {
            progress.enter(Step::Writing)?;
            while !deadline.passed(Clock.now().instant) {
                std::thread::yield_now();
            }
            Ok(1)
        };
        let patience = Patience { agree: SHORT, write: SOON };
        assert_eq!(make(&pool(), ("sink", &"c".into()), patience, slow_write), Ok(1));
    }

    #[test]
    fn a_panic_is_told() {
        let why =
            failure(make(&pool(), ("sink", &"c".into()), Patience::WORKER, |_, _| panic!("of the test")));
        assert_eq!(why, "Failed to modify offsets for connector c: its code panicked: of the test");
    }
}
