//! How an owner steers a task: a few flags and a wake, so that steering never blocks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use super::error_counters::ErrorCounters;
use super::runner::Waker;
use crate::api::ids::TaskId;

/// Ends a task by its owner, gently or not. Later ones count more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// Goes on.
    None,
    /// Commits what it can and stops.
    Stop,
    /// Nobody waits for it any more: no commit, no offsets, no events that count.
    Cancel,
}

/// What the owner wants of a task.
#[derive(Debug)]
pub(super) struct Control {
    paused: AtomicU8,
    ending: AtomicU8,
    topics: AtomicBool,
    /// It starts the task again by itself when that fails.
    pub(super) restarts: bool,
}

impl Control {
    pub(super) fn new(paused: bool, restarts: bool) -> Self {
        let topics = AtomicBool::new(false);
        Control { paused: AtomicU8::new(u8::from(paused)), ending: AtomicU8::new(0), topics, restarts }
    }

    /// Whether the task is to tell the topics that it uses from now on anew; once for each time it was asked.
    pub(super) fn takes_topics_anew(&self) -> bool {
        self.topics.load(Ordering::Relaxed) && self.topics.swap(false, Ordering::AcqRel)
    }

    pub(super) fn wants_pause(&self) -> bool {
        self.paused.load(Ordering::Acquire) != 0
    }

    pub(super) fn ending(&self) -> Ending {
        match self.ending.load(Ordering::Acquire) {
            0 => Ending::None,
            1 => Ending::Stop,
            _ => Ending::Cancel,
        }
    }

    pub(super) fn end(&self, ending: Ending) {
        self.ending.fetch_max(ending as u8, Ordering::AcqRel);
    }
}

/// Steers a running task. No call blocks; what came of it is told by events.
#[derive(Clone)]
pub struct TaskHandle {
    id: TaskId,
    control: Arc<Control>,
    errors: Arc<ErrorCounters>,
    waker: Waker,
}

impl TaskHandle {
    pub(super) fn new(
        id: TaskId,
        (control, errors): (Arc<Control>, Arc<ErrorCounters>),
        waker: Waker,
    ) -> Self {
        TaskHandle { id, control, errors, waker }
    }

    /// The task.
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// Whether the task has ended and let go of everything: nothing can be asked of it any more.
    pub fn is_over(&self) -> bool {
        self.waker.is_over()
    }

    /// What the task counts of records that fail. It may be kept longer than the task.
    pub fn error_counters(&self) -> &Arc<ErrorCounters> {
        &self.errors
    }

    /// Asks for the state PAUSED. A poll or put that runs is not interrupted.
    pub fn pause(&self) {
        self.control.paused.store(1, Ordering::Release);
        self.waker.wake();
    }

    /// Asks for the state RUNNING.
    pub fn resume(&self) {
        self.control.paused.store(0, Ordering::Release);
        self.waker.wake();
    }

    /// Asks the task to tell of each topic again that it uses from now on.
    pub fn tell_topics(&self) {
        self.control.topics.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Asks the task to commit what it can and to stop.
    pub fn stop(&self) {
        self.control.end(Ending::Stop);
        self.waker.wake();
    }

    /// Gives the task up after it did not stop in time: it commits nothing any more and ends when its plug-in lets
    /// it. Its events are to be refused by their epoch.
    pub fn cancel(&self) {
        self.control.end(Ending::Cancel);
        self.waker.wake();
    }
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle").field("id", &self.id).field("control", &self.control).finish()
    }
}
