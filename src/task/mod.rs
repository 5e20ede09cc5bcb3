//! Tasks: the ways of records. A source task polls, transforms, converts and sends; a sink task
//! consumes, converts, transforms and puts.
//!
//! Begin reading at [`Tasks::start`]. A task is a state machine that the [`runner`] gives turns to; its owner steers
//! it by a [`TaskHandle`] that never blocks, and learns what became of it by [`TaskEvent`]s. A task knows nothing of
//! who owns it.

mod chain;
mod control;
mod conversion;
pub mod counters;
mod error_counters;
mod errors;
mod exactly_once;
mod frame;
mod offsets;
pub mod plan;
mod planned;
mod polls;
pub mod runner;
mod sink;
mod sink_commit;
mod sink_context;
mod sink_group;
mod sink_intake;
mod source;
mod source_commit;
mod source_flow;
mod spec;
mod stage;
pub mod submitted;
mod topic_creation;

use std::fmt;
use std::sync::Arc;

pub use control::TaskHandle;
pub use error_counters::{ErrorCounters, ErrorCounts};
pub use errors::RetryPolicy;
pub use spec::{
    Boundary, ConverterChoice, Converters, DeadLetterSpec, ErrorHandling, ErrorLog, MayGoOn, PredicateChoice,
    SinkTopics, StartGuard, StartStep, TaskSpec, TaskWork, Tolerance, TransactionSpec, TransformChoice,
};
pub use topic_creation::TopicCreationSpec;

use crate::api::error::Result;
use crate::api::ids::{Epoch, TaskId};
use crate::api::registry::ConnectorClass;
use crate::kafka::producer::Producers;
use control::Control;
use counters::{Direction, TaskBoard};
use frame::{Frame, Kind};
use planned::PlannedTurns;
use runner::TaskRunner;

/// Something that happened to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEvent {
    /// The task.
    pub id: TaskId,
    /// The instance of the task that it happened to. A task that was given up may still be running plug-in code: what
    /// an older instance says is not to be believed.
    pub epoch: Epoch,
    /// What happened.
    pub kind: TaskEventKind,
}

/// What can happen to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskEventKind {
    /// It has started and is running.
    Started,
    /// It is paused. Also the first event of a task whose target state is PAUSED: it starts when it is resumed.
    Paused,
    /// It runs again.
    Resumed,
    /// It failed and has let go of everything; no event follows.
    Failed {
        /// Why, in the form that `GET …/status` shows.
        trace: String,
    },
    /// It has stopped as it was told and has let go of everything; no event follows.
    Stopped,
    /// It uses a topic for the first time.
    Topic(Arc<str>),
}

/// Where events go. Called on task threads; must not block for long.
pub type TaskEvents = Arc<dyn Fn(TaskEvent) + Send + Sync>;

/// Starts tasks, and holds what they share.
pub struct Tasks {
    runner: Arc<TaskRunner>,
    producers: Arc<Producers>,
    events: TaskEvents,
    exactly_once: bool,
    board: Arc<TaskBoard>,
}

impl Tasks {
    /// Tasks that run on `runner` and tell `events`.
    pub fn new(runner: Arc<TaskRunner>, events: TaskEvents) -> Self {
        let producers = Arc::new(Producers::new());
        Tasks { runner, producers, events, exactly_once: false, board: Arc::default() }
    }

    /// Whether source tasks are to be called exactly-once ones in the log. What they are is in their plans.
    #[must_use]
    pub fn exactly_once(self, exactly_once: bool) -> Self {
        Tasks { exactly_once, ..self }
    }

    /// Where what tasks count can be seen.
    #[must_use]
    pub fn counted_on(self, board: Arc<TaskBoard>) -> Self {
        Tasks { board, ..self }
    }

    /// Starts a task, which its owner `restarts` by itself when it fails, or not. Never blocks: `plan` is called, and the
    /// task's plug-ins are made and started, on a thread of the runner; events tell what came of it. Dropping the handle
    /// does not stop the task.
    pub fn start(
        &self,
        id: TaskId,
        epoch: Epoch,
        class: &ConnectorClass,
        paused: bool,
        restarts: bool,
        plan: impl FnOnce() -> Result<TaskSpec> + Send + 'static,
    ) -> TaskHandle {
        let control = Arc::new(Control::new(paused, restarts));
        let (kind, direction) = match class {
            ConnectorClass::Source(_) if self.exactly_once => (Kind::ExactlyOnceSource, Direction::Source),
            ConnectorClass::Source(_) => (Kind::Source, Direction::Source),
            ConnectorClass::Sink(_) => (Kind::Sink, Direction::Sink),
        };
        let counters = self.board.begin(&id, direction);
        let errors = Arc::clone(counters.errors());
        let waker = self.runner.spawn(|waker| {
            let about = (id.clone(), epoch);
            let told = (Arc::clone(&self.events), counters);
            let frame = Frame::new(kind, about, Arc::clone(&control), waker, told);
            Box::new(PlannedTurns::new(frame, Box::new(plan), Arc::clone(&self.producers)))
        });
        TaskHandle::new(id, (control, errors), waker)
    }

    /// What runs the tasks.
    pub fn runner(&self) -> &TaskRunner {
        &self.runner
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks")
            .field("tasks", &self.runner.tasks())
            .field("producers", &self.producers)
            .finish()
    }
}
