//! What actually runs of one connector here: its instance, its tasks, and who waits for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::msg::{Answer, Effect, Effects, Written};
use super::operations::OffsetsRequest;
use super::view::{ConnectorInfo, ConnectorStatus, RunState, Status};
use crate::api::Settings;
use crate::api::ids::{ConnectorName, Epoch, TaskId};
use crate::stdx::backoff::Backoff;
use crate::stdx::reply::Reply;
use crate::stdx::time::Deadline;
use crate::store::config_state::Revision;

/// The connector itself. Changed only in `reconcile` and by the events of its epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Instance {
    /// Nothing runs: not yet, or it is paused or stopped.
    Absent,
    /// `start` was called for this revision of its settings.
    Starting(Revision),
    /// It runs with this revision of its settings.
    Running(Revision),
    /// It failed with this revision of its settings, and stays so until those change or it is restarted. Its `stop`
    /// is still to be called: what it began may go on.
    Failed(Revision),
    /// This worker has no connector class of the name that this revision of its settings has: there is nothing to
    /// start or stop until those change.
    Classless(Revision),
    /// `stop` was called; waited for until the deadline.
    Stopping(Deadline),
}

/// A task. Changed only in `reconcile` and by the events of its epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TaskRun {
    /// Nothing runs.
    Absent,
    /// It was started with this revision of the task settings; `true` if it was last told to pause.
    Running(Revision, bool),
    /// It failed with this revision, and stays so until that changes or it is restarted.
    Failed(Revision),
    /// It was told to stop; waited for until the deadline.
    Stopping(Deadline),
}

/// A task of the connector, as it is here.
#[derive(Debug)]
pub(super) struct TaskEntry {
    pub(super) run: TaskRun,
    pub(super) epoch: Epoch,
    /// Known once it has come to run, or failed to.
    pub(super) status: Option<Status>,
    /// What of it was written last for the other workers of a group.
    pub(super) written: Option<Status>,
    /// It is to be ended and started again.
    pub(super) restart: bool,
}

impl TaskEntry {
    pub(super) fn new() -> Self {
        let (epoch, run) = (Epoch::default(), TaskRun::Absent);
        TaskEntry { run, epoch, status: None, written: None, restart: false }
    }

    /// Whether nothing of it runs here.
    fn is_absent(&self) -> bool {
        match self.run {
            TaskRun::Absent | TaskRun::Failed(_) => true,
            TaskRun::Running(..) | TaskRun::Stopping(_) => false,
        }
    }

    /// Whether it has come to run or failed to: nothing more will happen by itself.
    pub(super) fn is_settled(&self) -> bool {
        match self.run {
            TaskRun::Failed(_) => true,
            TaskRun::Running(..) => self.status.as_ref().is_some_and(|status| match status.state {
                RunState::Running | RunState::Paused | RunState::Failed => true,
                RunState::Unassigned | RunState::Stopped | RunState::Restarting => false,
            }),
            TaskRun::Absent | TaskRun::Stopping(_) => false,
        }
    }
}

/// How far the settings of the tasks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TaskConfigs {
    /// Nothing is due.
    Settled,
    /// The connector is to be asked.
    Due,
    /// What it said could not be written: it is to be asked again, but not before the deadline.
    DueAfter(Deadline),
    /// The connector was asked, and what it said is not written yet.
    Asked,
    /// The connector was asked, and meanwhile it became due again.
    AskedAndDue,
}

impl TaskConfigs {
    /// Whether the connector is to be asked now.
    pub(super) fn is_due(self, now: Instant) -> bool {
        match self {
            TaskConfigs::Due => true,
            TaskConfigs::DueAfter(deadline) => deadline.passed(now),
            TaskConfigs::Settled | TaskConfigs::Asked | TaskConfigs::AskedAndDue => false,
        }
    }
}

/// The pauses between tries to write the tasks of a connector, as Apache has them.
const TASK_CONFIGS_RETRY_FIRST: Duration = Duration::from_millis(250);
const TASK_CONFIGS_RETRY_LONGEST: Duration = Duration::from_secs(60);

/// Who waits for the connector, and for what.
#[derive(Debug)]
pub(super) enum Waiter {
    /// The command line created it.
    CommandLine { file: String },
    /// A request created it.
    Created(Reply<Answer<ConnectorInfo>>),
    /// A request wrote its settings.
    Put(Written, Reply<Answer<(Written, ConnectorInfo)>>),
    /// A request restarted the connector.
    Restarted(Reply<Answer<()>>),
    /// A request restarted parts of it, and is answered with the status that tells which.
    PartsRestarted(Box<ConnectorStatus>, Reply<Answer<ConnectorStatus>>),
    /// A request restarted a task.
    TaskRestarted(u32, Reply<Answer<()>>),
    /// A request stopped or deleted it.
    Stopped(Reply<Answer<()>>),
    /// A request changes its offsets, which is for the time when nothing of it runs.
    OffsetsChange(Box<OffsetsRequest>),
}

impl Waiter {
    /// Whether it waits until the tasks of the connector are written.
    pub(super) fn is_for_tasks(&self) -> bool {
        match self {
            Waiter::CommandLine { .. }
            | Waiter::Created(_)
            | Waiter::Put(..)
            | Waiter::Restarted(_)
            | Waiter::PartsRestarted(..) => true,
            Waiter::TaskRestarted(..) | Waiter::Stopped(_) | Waiter::OffsetsChange(_) => false,
        }
    }

    /// Whether anybody still waits.
    pub(super) fn is_wanted(&self) -> bool {
        match self {
            Waiter::CommandLine { .. } => true,
            Waiter::Created(reply) => reply.is_wanted(),
            Waiter::Put(_, reply) => reply.is_wanted(),
            Waiter::PartsRestarted(_, reply) => reply.is_wanted(),
            Waiter::OffsetsChange(request) => request.reply.is_wanted(),
            Waiter::Restarted(reply) | Waiter::TaskRestarted(_, reply) | Waiter::Stopped(reply) => {
                reply.is_wanted()
            }
        }
    }
}

/// One connector, as it is here.
#[derive(Debug)]
pub(super) struct ConnectorEntry {
    pub(super) instance: Instance,
    pub(super) epoch: Epoch,
    /// Known once it has come to run, or failed to.
    pub(super) status: Option<Status>,
    /// What of it was written last for the other workers of a group.
    pub(super) written: Option<Status>,
    /// It is to be ended and started again.
    pub(super) restart: bool,
    pub(super) task_configs: TaskConfigs,
    pub(super) task_configs_backoff: Backoff,
    /// The tasks of this instance that are being written or were, until they are read.
    pub(super) handed_in: Option<Vec<Settings>>,
    pub(super) tasks: BTreeMap<u32, TaskEntry>,
    pub(super) topics: BTreeSet<Arc<str>>,
    pub(super) waiters: Vec<Waiter>,
    /// Its offsets are being changed: nothing of it may start.
    pub(super) offsets_change: bool,
    /// The settings it was last known to have; outlive its deletion while it ends.
    pub(super) settings: Settings,
}

impl ConnectorEntry {
    pub(super) fn new() -> Self {
        ConnectorEntry {
            instance: Instance::Absent,
            epoch: Epoch::default(),
            status: None,
            written: None,
            restart: false,
            task_configs: TaskConfigs::Settled,
            task_configs_backoff: Backoff::new(TASK_CONFIGS_RETRY_FIRST, TASK_CONFIGS_RETRY_LONGEST),
            handed_in: None,
            tasks: BTreeMap::new(),
            topics: BTreeSet::new(),
            waiters: Vec::new(),
            offsets_change: false,
            settings: Settings::new(),
        }
    }

    /// Has its tasks tell anew which topics they use.
    pub(super) fn ask_for_topics(&self, name: &ConnectorName, effects: &mut Effects) {
        for (index, task) in &self.tasks {
            if let TaskRun::Running(..) = task.run {
                let id = TaskId { connector: name.clone(), index: *index };
                effects.push(Effect::TellTopics(id, task.epoch));
            }
        }
    }

    /// Whether nothing of it runs here.
    pub(super) fn is_absent(&self) -> bool {
        self.instance_is_absent() && self.no_task_runs()
    }

    /// Whether the connector itself does not run here.
    pub(super) fn instance_is_absent(&self) -> bool {
        match self.instance {
            Instance::Absent | Instance::Classless(_) => true,
            Instance::Starting(_) | Instance::Running(_) | Instance::Failed(_) | Instance::Stopping(_) => {
                false
            }
        }
    }

    /// Whether a task of it does not run here.
    pub(super) fn task_is_absent(&self, index: u32) -> bool {
        self.tasks.get(&index).is_none_or(TaskEntry::is_absent)
    }

    /// Whether no task of it runs here.
    pub(super) fn no_task_runs(&self) -> bool {
        self.tasks.values().all(TaskEntry::is_absent)
    }
}
