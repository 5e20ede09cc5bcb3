//! Compares what is wanted of a connector with what runs, and says what to do next. One step at a time: each effect
//! ends in an event, after which this runs again.

use std::time::{Duration, Instant};

use super::connector_entry::{ConnectorEntry, Instance, TaskConfigs, TaskEntry, TaskRun};
use super::membership::Share;
use super::msg::{Effect, Effects, StartTask};
use super::view::{RunState, Status};
use crate::api::ids::{ConnectorName, Epoch, TaskId, WorkerId};
use crate::api::registry::ConnectorClass;
use crate::stdx::time::Deadline;
use crate::store::config_state::{ConnectorConfig, TargetState};

/// How long a connector may take to stop before it is abandoned; fixed, as in Apache.
pub(super) const CONNECTOR_STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Why nothing of a connector can start. Settings are validated before they are stored, so this takes settings that
/// another worker has validated.
const NO_CLASS: &str =
    "This worker has no connector class of the configured name; see GET /connector-plugins";

/// What is wanted of one connector, and what is needed to bring it about.
pub(super) struct Wanted<'a> {
    pub(super) name: &'a ConnectorName,
    /// `None` once it was deleted.
    pub(super) config: Option<&'a ConnectorConfig>,
    pub(super) class: Option<&'a ConnectorClass>,
    /// What of it is this worker's to run.
    pub(super) share: Share,
    /// Whether anything may run: not while the worker ends.
    pub(super) may_run: bool,
    /// Whether what has failed is restarted by itself.
    pub(super) restarts: bool,
    pub(super) worker: &'a WorkerId,
    pub(super) task_stop_timeout: Duration,
    pub(super) now: Instant,
}

impl<'a> Wanted<'a> {
    /// What is configured, unless nothing may run.
    fn runnable(&self) -> Option<&'a ConnectorConfig> {
        self.config.filter(|_| self.may_run)
    }

    pub(super) fn status(&self, state: RunState, trace: Option<&str>) -> Status {
        let version = self.class.map(|class| class.plugin().version().into());
        Status { state, worker: self.worker.clone(), trace: trace.map(Into::into), version }
    }

    /// What an instance came to does not speak for the one that follows it.
    fn outdate(&self, status: &mut Option<Status>) {
        if let Some(status) = status
            && status.state != RunState::Restarting
        {
            *status = self.status(RunState::Unassigned, None);
        }
    }
}

impl ConnectorEntry {
    /// Does what can be done now. Returns when it wants to be called again at the latest.
    ///
    /// `last_epoch` counts for all connectors and tasks together: what is deleted and made anew must not begin with
    /// an epoch that an abandoned instance of its name still speaks for.
    pub(super) fn reconcile(
        &mut self,
        wanted: &Wanted<'_>,
        last_epoch: &mut Epoch,
        effects: &mut Effects,
    ) -> Option<Deadline> {
        if let Some(config) = wanted.config {
            self.settings.clone_from(&config.settings);
        }
        self.reconcile_instance(wanted, last_epoch, effects);
        self.reconcile_tasks(wanted, last_epoch, effects);
        self.next_deadline()
    }

    fn reconcile_instance(&mut self, wanted: &Wanted<'_>, last_epoch: &mut Epoch, effects: &mut Effects) {
        let started = wanted
            .runnable()
            .filter(|config| config.target == TargetState::Started && wanted.share.has_instance());
        match self.instance {
            Instance::Starting(revision) | Instance::Running(revision) | Instance::Failed(revision) => {
                let keep = started.is_some_and(|config| config.revision == revision) && !self.restart;
                if !keep {
                    effects.push(Effect::StopConnector(wanted.name.clone(), self.epoch));
                    self.instance = Instance::Stopping(Deadline::after(wanted.now, CONNECTOR_STOP_TIMEOUT));
                } else if self.task_configs.is_due(wanted.now) && self.instance == Instance::Running(revision)
                {
                    effects.push(Effect::MakeTaskConfigs(wanted.name.clone(), self.epoch));
                    self.task_configs = TaskConfigs::Asked;
                }
                return;
            }
            Instance::Stopping(deadline) if !deadline.passed(wanted.now) => return,
            Instance::Stopping(_) => {
                log::error!(
                    "Connector '{}' failed to properly shut down, has become unresponsive, and is abandoned: \
                     its thread stays until its stop method returns",
                    wanted.name
                );
                effects.push(Effect::AbandonConnector(wanted.name.clone(), self.epoch));
                self.instance = Instance::Absent;
            }
            Instance::Classless(revision) => {
                let retry = started.is_none_or(|config| config.revision != revision) || self.restart;
                if !retry {
                    return;
                }
                self.instance = Instance::Absent;
            }
            Instance::Absent => {}
        }
        match started {
            Some(config) if !self.offsets_change => {
                self.epoch = take_epoch(last_epoch);
                self.start_instance(wanted, config, effects);
            }
            Some(_) => {}
            None => self.rest_instance(wanted),
        }
    }

    fn start_instance(&mut self, wanted: &Wanted<'_>, config: &ConnectorConfig, effects: &mut Effects) {
        self.restart = false;
        // One that was paused or stopped is shown so until it runs.
        let rests = |status: &Status| matches!(status.state, RunState::Paused | RunState::Stopped);
        if !self.status.as_ref().is_some_and(rests) {
            wanted.outdate(&mut self.status);
        }
        let Some(class) = wanted.class else {
            self.status = Some(wanted.status(RunState::Failed, Some(NO_CLASS)));
            self.instance = Instance::Classless(config.revision);
            self.task_configs = TaskConfigs::Settled;
            return;
        };
        effects.push(Effect::StartConnector {
            name: wanted.name.clone(),
            epoch: self.epoch,
            class: class.clone(),
            settings: config.settings.clone(),
        });
        self.instance = Instance::Starting(config.revision);
        self.task_configs = TaskConfigs::Due;
        self.handed_in = None;
    }

    /// Nothing of the connector itself is to run: its status tells why.
    fn rest_instance(&mut self, wanted: &Wanted<'_>) {
        self.restart = false;
        self.task_configs = TaskConfigs::Settled;
        if !wanted.share.has_instance() && self.status.is_none() {
            // It is another worker's to tell.
            return;
        }
        let state = match wanted.runnable().map(|config| config.target) {
            Some(TargetState::Paused) if wanted.share.has_instance() => RunState::Paused,
            Some(TargetState::Stopped) if wanted.share.has_instance() => RunState::Stopped,
            Some(TargetState::Started | TargetState::Paused | TargetState::Stopped) | None => {
                RunState::Unassigned
            }
        };
        self.status = Some(wanted.status(state, None));
    }

    fn reconcile_tasks(&mut self, wanted: &Wanted<'_>, last_epoch: &mut Epoch, effects: &mut Effects) {
        let config = wanted.runnable().filter(|config| config.target != TargetState::Stopped);
        for (index, task) in &mut self.tasks {
            let id = TaskId { connector: wanted.name.clone(), index: *index };
            let is_ours = |config: &&ConnectorConfig| {
                (*index as usize) < config.tasks.len() && wanted.share.has_task(*index)
            };
            let config = config.filter(is_ours);
            task.reconcile(id, config, wanted, effects);
        }
        let Some(config) = config else {
            self.tasks.retain(|_, task| matches!(task.run, TaskRun::Running(..) | TaskRun::Stopping(_)));
            return;
        };
        let one_is_stopping = self.tasks.values().any(|task| matches!(task.run, TaskRun::Stopping(_)));
        if one_is_stopping || self.offsets_change {
            return;
        }
        self.tasks.retain(|index, _| (*index as usize) < config.tasks.len());
        if self.awaits_other_tasks(config) {
            return;
        }
        self.start_tasks(wanted, config, last_epoch, effects);
    }

    /// Whether the settings of the tasks are those of another class than the connector has now: nothing can be made
    /// of them. It is about to say what its tasks are, unless it has failed.
    pub(super) fn awaits_other_tasks(&self, config: &ConnectorConfig) -> bool {
        const CLASS: &str = "connector.class";
        let is_about_to_say = match self.instance {
            Instance::Absent | Instance::Starting(_) | Instance::Running(_) | Instance::Stopping(_) => true,
            Instance::Failed(_) | Instance::Classless(_) => false,
        };
        is_about_to_say && config.tasks_made_from.get(CLASS) != config.settings.get(CLASS)
    }

    fn start_tasks(
        &mut self,
        wanted: &Wanted<'_>,
        config: &ConnectorConfig,
        last_epoch: &mut Epoch,
        effects: &mut Effects,
    ) {
        let paused = config.target == TargetState::Paused;
        let ours = (0..).zip(&config.tasks).filter(|(index, _)| wanted.share.has_task(*index));
        for (index, settings) in ours {
            let task = self.tasks.entry(index).or_insert_with(TaskEntry::new);
            if task.run != TaskRun::Absent {
                continue;
            }
            task.restart = false;
            let Some(class) = wanted.class else {
                task.status = Some(wanted.status(RunState::Failed, Some(NO_CLASS)));
                task.run = TaskRun::Failed(config.tasks_revision);
                continue;
            };
            wanted.outdate(&mut task.status);
            task.epoch = take_epoch(last_epoch);
            task.run = TaskRun::Running(config.tasks_revision, paused);
            effects.push(Effect::StartTask(Box::new(StartTask {
                id: TaskId { connector: wanted.name.clone(), index },
                epoch: task.epoch,
                class: class.clone(),
                settings: settings.clone(),
                connector: config.settings.clone(),
                tasks: config.tasks.len(),
                paused,
                restarts: wanted.restarts,
            })));
        }
    }

    fn next_deadline(&self) -> Option<Deadline> {
        let instance = match self.instance {
            Instance::Stopping(deadline) => Some(deadline),
            Instance::Absent
            | Instance::Starting(_)
            | Instance::Running(_)
            | Instance::Failed(_)
            | Instance::Classless(_) => None,
        };
        let tasks = self.tasks.values().filter_map(|task| match task.run {
            TaskRun::Stopping(deadline) => Some(deadline),
            TaskRun::Absent | TaskRun::Running(..) | TaskRun::Failed(_) => None,
        });
        let runs = matches!(self.instance, Instance::Running(_));
        let task_configs = match self.task_configs {
            // Nobody else is asked.
            TaskConfigs::DueAfter(deadline) => runs.then_some(deadline),
            TaskConfigs::Settled | TaskConfigs::Due | TaskConfigs::Asked | TaskConfigs::AskedAndDue => None,
        };
        tasks.chain(instance).chain(task_configs).min()
    }
}

impl TaskEntry {
    /// Ends, pauses or resumes a running task, and gives up one that does not end. `config` is `None` if the task is
    /// not to run.
    fn reconcile(
        &mut self,
        id: TaskId,
        config: Option<&ConnectorConfig>,
        wanted: &Wanted<'_>,
        effects: &mut Effects,
    ) {
        match self.run {
            TaskRun::Running(revision, paused) => {
                let keep = config.filter(|config| config.tasks_revision == revision && !self.restart);
                let pause = keep.map(|config| config.target == TargetState::Paused);
                match pause {
                    None => {
                        effects.push(Effect::StopTask(id, self.epoch));
                        self.run = TaskRun::Stopping(Deadline::after(wanted.now, wanted.task_stop_timeout));
                    }
                    Some(pause) if pause == paused => {}
                    Some(true) => {
                        effects.push(Effect::PauseTask(id, self.epoch));
                        self.run = TaskRun::Running(revision, true);
                    }
                    Some(false) => {
                        effects.push(Effect::ResumeTask(id, self.epoch));
                        self.run = TaskRun::Running(revision, false);
                    }
                }
            }
            TaskRun::Stopping(deadline) if deadline.passed(wanted.now) => {
                log::error!("Graceful stop of task {id} failed.");
                effects.push(Effect::AbandonTask(id, self.epoch));
                wanted.outdate(&mut self.status);
                self.run = TaskRun::Absent;
            }
            // One that was given away and comes back begins anew.
            TaskRun::Failed(revision) => {
                if config.is_none_or(|config| config.tasks_revision != revision) || self.restart {
                    self.run = TaskRun::Absent;
                }
            }
            TaskRun::Stopping(_) | TaskRun::Absent => {}
        }
    }
}

/// The epoch of an instance that is about to start.
fn take_epoch(last: &mut Epoch) -> Epoch {
    *last = last.next();
    *last
}
