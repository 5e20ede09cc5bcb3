//! What connectors and tasks report, and who gets an answer because of it.

use std::sync::Arc;
use std::time::Instant;

use super::connector_entry::{ConnectorEntry, Instance, TaskConfigs, TaskRun, Waiter};
use super::membership::Share;
use super::msg::{Effect, Effects, Exit, HerderError, STALE_CONFIGURATION};
use super::operations::Part;
use super::view::{RunState, Status};
use super::{Herder, class_of, is_settled, not_found};
use crate::api::Settings;
use crate::api::ids::ConnectorName;
use crate::connector::{ConnectorEvent, ConnectorEventKind};
use crate::stdx::time::{Deadline, Now};
use crate::store::config_state::{ConnectorConfig, TargetState};
use crate::task::{TaskEvent, TaskEventKind};

impl Herder {
    /// A connector did something. What an earlier instance says is not believed.
    pub(super) fn connector_event(&mut self, now: Now, event: ConnectorEvent, effects: &mut Effects) {
        let ConnectorEvent { name, epoch, kind } = event;
        let Some(entry) = self.connectors.get_mut(&name).filter(|entry| entry.epoch == epoch) else { return };
        let class = class_of(&self.settings.registry, &entry.settings);
        let version = class.map(|class| class.plugin().version().into());
        let status = |state, trace: Option<String>| Status {
            state,
            worker: self.settings.worker.clone(),
            trace: trace.map(Into::into),
            version: version.clone(),
        };
        match (kind, &entry.instance) {
            (ConnectorEventKind::Started, Instance::Starting(revision)) => {
                entry.instance = Instance::Running(*revision);
                entry.status = Some(status(RunState::Running, None));
            }
            (
                ConnectorEventKind::Failed { trace },
                Instance::Starting(revision) | Instance::Running(revision),
            ) => {
                entry.instance = Instance::Failed(*revision);
                entry.status = Some(status(RunState::Failed, Some(trace)));
                entry.task_configs = TaskConfigs::Settled;
            }
            (ConnectorEventKind::TaskConfigs(tasks), Instance::Running(_)) if entry.is_asked() => {
                self.task_configs_made(now, &name, tasks, effects);
            }
            (ConnectorEventKind::ReconfigurationRequested, Instance::Running(_)) => {
                entry.ask_for_tasks();
            }
            (ConnectorEventKind::Stopped, Instance::Stopping(_)) => entry.instance = Instance::Absent,
            // Late news: the instance has gone on since.
            (
                ConnectorEventKind::Started
                | ConnectorEventKind::Failed { .. }
                | ConnectorEventKind::TaskConfigs(_)
                | ConnectorEventKind::ReconfigurationRequested
                | ConnectorEventKind::Stopped,
                _,
            ) => return,
        }
        self.changed.insert(name);
    }

    /// The connector said what its tasks are: writes them if that is new.
    fn task_configs_made(
        &mut self,
        now: Now,
        name: &ConnectorName,
        tasks: Vec<Settings>,
        effects: &mut Effects,
    ) {
        // What an earlier instance said may be about to come into force.
        let (is_ending, is_overtaken) =
            (self.is_writing(Part::End, name), self.is_writing(Part::Tasks, name));
        let changed = self.configs.connector(name).is_some_and(|config| {
            config.target == TargetState::Started && (is_overtaken || config.tasks_differ(&tasks))
        });
        let Some(entry) = self.connectors.get_mut(name) else { return };
        entry.handed_in = None;
        if changed && is_ending {
            // They would come after the stop, and it would have tasks although it is stopped. If that fails, they are wanted.
            entry.ask_for_tasks_later(now.instant);
        } else if changed {
            entry.handed_in = Some(tasks.clone());
            self.write_tasks(now, name, tasks, effects);
        } else {
            entry.task_configs_done();
        }
    }

    /// A task did something. What an earlier instance says is not believed.
    pub(super) fn task_event(&mut self, now: Now, event: TaskEvent, effects: &mut Effects) {
        let TaskEvent { id, epoch, kind } = event;
        let Some(entry) = self.connectors.get_mut(&id.connector) else { return };
        let Some(task) = entry.tasks.get_mut(&id.index).filter(|task| task.epoch == epoch) else { return };
        let class = class_of(&self.settings.registry, &entry.settings);
        let version = class.map(|class| class.plugin().version().into());
        let status = |state, trace: Option<String>| Status {
            state,
            worker: self.settings.worker.clone(),
            trace: trace.map(Into::into),
            version: version.clone(),
        };
        match (kind, &task.run) {
            (TaskEventKind::Topic(topic), _) => {
                if !entry.topics.insert(Arc::clone(&topic)) {
                    return;
                }
                self.topic_used(now, &id, &topic, effects);
            }
            (TaskEventKind::Started | TaskEventKind::Resumed, TaskRun::Running(..)) => {
                task.status = Some(status(RunState::Running, None));
            }
            (TaskEventKind::Paused, TaskRun::Running(..)) => {
                task.status = Some(status(RunState::Paused, None));
            }
            (TaskEventKind::Failed { trace }, TaskRun::Running(revision, _)) => {
                task.run = TaskRun::Failed(*revision);
                task.status = Some(status(RunState::Failed, Some(trace)));
            }
            // A task that fails while it stops has ended, too.
            (TaskEventKind::Stopped | TaskEventKind::Failed { .. }, TaskRun::Stopping(_)) => {
                task.run = TaskRun::Absent;
                if !task.restart {
                    task.status = Some(status(RunState::Unassigned, None));
                }
            }
            // Late news: the task has gone on since.
            (
                TaskEventKind::Started
                | TaskEventKind::Resumed
                | TaskEventKind::Paused
                | TaskEventKind::Failed { .. }
                | TaskEventKind::Stopped,
                _,
            ) => return,
        }
        self.changed.insert(id.connector);
    }

    /// Answers those who waited for what the connector has now come to.
    pub(super) fn answer_waiters(&mut self, name: &ConnectorName, effects: &mut Effects) {
        let waits = |entry: &&mut ConnectorEntry| !entry.waiters.is_empty();
        let Some(entry) = self.connectors.get_mut(name).filter(waits) else { return };
        let waiters = std::mem::take(&mut entry.waiters);
        let share = self.membership.share_of(name);
        for waiter in waiters {
            let Some(entry) = self.connectors.get(name) else { return };
            let config = self.configs.connector(name);
            match verdict(&waiter, name, config, entry, &share) {
                Some(result) => self.answer(name, waiter, result, effects),
                None => {
                    if let Some(entry) = self.connectors.get_mut(name) {
                        entry.waiters.push(waiter);
                    }
                }
            }
        }
    }

    pub(super) fn answer(
        &mut self,
        name: &ConnectorName,
        waiter: Waiter,
        result: Result<(), HerderError>,
        effects: &mut Effects,
    ) {
        let info = || self.info(name).ok_or_else(|| not_found(name));
        match (waiter, result) {
            (Waiter::CommandLine { file }, Ok(())) => {
                self.command_line_connector_started(name.as_str(), &file)
            }
            (Waiter::CommandLine { file }, Err(why)) => {
                effects.push(Effect::Exit(Exit::ConnectorFailed(format!("{file}: {why}"))));
            }
            (Waiter::Created(reply), result) => effects.answer(reply, result.and_then(|()| info())),
            (Waiter::Put(written, reply), result) => {
                effects.answer(reply, result.and_then(|()| Ok((written, info()?))));
            }
            (Waiter::PartsRestarted(status, reply), result) => {
                effects.answer(reply, result.map(|()| *status));
            }
            (Waiter::Restarted(reply) | Waiter::TaskRestarted(_, reply) | Waiter::Stopped(reply), result) => {
                effects.answer(reply, result)
            }
            // Whether it may be made is looked at anew: meanwhile it may have been resumed, or deleted.
            (Waiter::OffsetsChange(request), _) => self.take_offsets_change(*request, effects),
        }
    }
}

impl ConnectorEntry {
    /// Whether the connector was asked for its tasks: what it says unasked was meant for an earlier question.
    pub(super) fn is_asked(&self) -> bool {
        match self.task_configs {
            TaskConfigs::Asked | TaskConfigs::AskedAndDue => true,
            TaskConfigs::Settled | TaskConfigs::Due | TaskConfigs::DueAfter(_) => false,
        }
    }

    /// The connector is to be asked for its tasks, once more if it is being asked.
    pub(super) fn ask_for_tasks(&mut self) {
        self.task_configs = match self.task_configs {
            TaskConfigs::Settled | TaskConfigs::Due => TaskConfigs::Due,
            TaskConfigs::DueAfter(deadline) => TaskConfigs::DueAfter(deadline),
            TaskConfigs::Asked | TaskConfigs::AskedAndDue => TaskConfigs::AskedAndDue,
        };
    }

    /// What is configured may be other than what a running connector has said of its tasks: it is asked again after a pause.
    /// If what it said was read, but whoever writes it has yet to say so, `is_being_written`, then it is asked after that.
    pub(super) fn question_tasks(&mut self, now: Instant, is_being_written: bool) {
        if !matches!(self.instance, Instance::Running(_)) {
            return;
        }
        match self.task_configs {
            TaskConfigs::Settled => self.ask_for_tasks_later(now),
            TaskConfigs::Asked if is_being_written => self.task_configs = TaskConfigs::AskedAndDue,
            // What it will say is compared with what is in force then.
            TaskConfigs::Asked | TaskConfigs::AskedAndDue => {}
            TaskConfigs::Due | TaskConfigs::DueAfter(_) => {}
        }
    }

    /// What the connector said of its tasks could not be written: it is asked again after a pause.
    pub(super) fn ask_for_tasks_later(&mut self, now: Instant) {
        let pause = self.task_configs_backoff.next_delay(0.0);
        self.task_configs = TaskConfigs::DueAfter(Deadline::after(now, pause));
    }

    /// What the connector said of its tasks is in force, or need not be.
    pub(super) fn task_configs_done(&mut self) {
        self.task_configs = match self.task_configs {
            TaskConfigs::Asked | TaskConfigs::Settled => TaskConfigs::Settled,
            TaskConfigs::Due | TaskConfigs::AskedAndDue => TaskConfigs::Due,
            TaskConfigs::DueAfter(deadline) => TaskConfigs::DueAfter(deadline),
        };
        self.task_configs_backoff.reset();
    }
}

/// What a waiter is told, `None` if it has to wait on. Comes after `reconcile`, so whatever still runs is wanted so.
fn verdict(
    waiter: &Waiter,
    name: &ConnectorName,
    config: Option<&ConnectorConfig>,
    entry: &ConnectorEntry,
    share: &Share,
) -> Option<Result<(), HerderError>> {
    if let Waiter::Stopped(_) | Waiter::OffsetsChange(_) = waiter {
        // A later request may have it run again before all of it has ended: that moment would never be seen.
        let overtaken = config.is_some_and(|config| config.target != TargetState::Stopped);
        return (overtaken || entry.is_absent()).then_some(Ok(()));
    }
    let Some(config) = config else {
        return Some(match waiter {
            // A client deleted it: it is not waited for any more, and no reason to end the worker.
            Waiter::CommandLine { .. } => Ok(()),
            Waiter::Created(_)
            | Waiter::Put(..)
            | Waiter::Restarted(_)
            | Waiter::PartsRestarted(..)
            | Waiter::TaskRestarted(..)
            | Waiter::Stopped(_)
            | Waiter::OffsetsChange(_) => Err(not_found(name)),
        });
    };
    if let Waiter::TaskRestarted(index, _) = waiter
        && *index as usize >= config.tasks.len()
    {
        return Some(Err(HerderError::NotFound(format!("Task {name}-{index} not found"))));
    }
    if is_taken_away(waiter, share) {
        return Some(Err(HerderError::Rebalancing(STALE_CONFIGURATION.to_owned())));
    }
    if let Waiter::TaskRestarted(index, _) = waiter {
        return task_restarted(name, *index, config, entry);
    }
    if !is_settled(entry, config.target) {
        return None;
    }
    if let Waiter::PartsRestarted(..) = waiter {
        let settled =
            entry.task_configs == TaskConfigs::Settled && entry.tasks.values().all(|task| task.is_settled());
        return (settled || config.target == TargetState::Stopped).then_some(Ok(()));
    }
    if let Instance::Failed(_) | Instance::Classless(_) = entry.instance {
        return Some(Err(HerderError::Failed(start_failure(name, entry))));
    }
    if entry.task_configs != TaskConfigs::Settled {
        return None;
    }
    let tasks_started = match waiter {
        Waiter::CommandLine { .. } => {
            entry.tasks.len() == config.tasks.len() && entry.tasks.values().all(|task| task.is_settled())
        }
        Waiter::Created(_)
        | Waiter::Put(..)
        | Waiter::Restarted(_)
        | Waiter::PartsRestarted(..)
        | Waiter::TaskRestarted(..)
        | Waiter::Stopped(_)
        | Waiter::OffsetsChange(_) => true,
    };
    tasks_started.then_some(Ok(()))
}

/// What who has a task restarted is told, once it is known.
fn task_restarted(
    name: &ConnectorName,
    index: u32,
    config: &ConnectorConfig,
    entry: &ConnectorEntry,
) -> Option<Result<(), HerderError>> {
    match entry.tasks.get(&index)?.run {
        TaskRun::Running(..) => Some(Ok(())),
        TaskRun::Failed(_) => Some(Err(HerderError::Failed(format!("Failed to start task: {name}-{index}")))),
        TaskRun::Absent if entry.awaits_other_tasks(config) => Some(Err(HerderError::Failed(format!(
            "Task {name}-{index} was stopped, and is not started: the connector has another class now and has not said \
             yet what its tasks are"
        )))),
        TaskRun::Stopping(_) | TaskRun::Absent => None,
    }
}

/// Whether somebody waits for the start of what is another worker's now. Only a restart is waited for in a group.
fn is_taken_away(waiter: &Waiter, share: &Share) -> bool {
    match waiter {
        Waiter::Restarted(_) => !share.has_instance(),
        Waiter::TaskRestarted(index, _) => !share.has_task(*index),
        Waiter::CommandLine { .. }
        | Waiter::Created(_)
        | Waiter::Put(..)
        | Waiter::PartsRestarted(..)
        | Waiter::Stopped(_)
        | Waiter::OffsetsChange(_) => false,
    }
}

fn start_failure(name: &ConnectorName, entry: &ConnectorEntry) -> String {
    let trace = entry.status.as_ref().and_then(|status| status.trace.as_deref()).unwrap_or_default();
    let why = trace.lines().next().unwrap_or_default();
    format!("Failed to start connector: {name}: {why}")
}
