//! Changes of what is configured: written, read back and in force then, or not written.

use std::time::Instant;

use super::Herder;
use super::connector_entry::{TaskConfigs, Waiter};
use super::msg::{Answer, Effect, Effects, HerderError, OperationId, Written};
use super::operations::{Asker, Operation, TasksWrite, Write, refuse};
use crate::api::Settings;
use crate::api::ids::{ConfigOffset, ConnectorName};
use crate::stdx::time::Deadline;
use crate::store::config_records::{ConfigRecord, stored};
use crate::store::config_state::ConfigChange;
use crate::store::config_write::ConfigWrite;

impl Herder {
    /// Has a change written for an operation.
    pub(super) fn write_config(&mut self, write: ConfigWrite, operation: Operation, effects: &mut Effects) {
        let operation = self.next_operation(operation);
        effects.push(Effect::WriteConfig(write, Some(operation)));
    }

    /// Has the tasks of a connector written that it said it has.
    pub(super) fn write_tasks(&mut self, name: &ConnectorName, tasks: Vec<Settings>, effects: &mut Effects) {
        let Some(entry) = self.connectors.get(name) else { return };
        let before = self.configs.connector(name).map(|config| config.tasks_revision);
        let operation = TasksWrite { name: name.clone(), epoch: entry.epoch, before };
        let write = ConfigWrite::Tasks { name: name.clone(), tasks: tasks.into_iter().map(stored).collect() };
        self.write_config(write, Operation::WritingTasks(operation), effects);
    }

    /// Records were read: they are in force from here on.
    pub(super) fn config_read(&mut self, records: &[ConfigRecord], offset: ConfigOffset) {
        for record in records {
            if let ConfigRecord::Connector { name, .. } = record {
                self.note_written(name);
            }
            match self.configs.apply(record) {
                ConfigChange::ConnectorUpdated(name) | ConfigChange::TargetChanged(name) => {
                    self.changed.insert(name);
                }
                ConfigChange::ConnectorRemoved(name) => {
                    if let Some(connector) = self.connectors.get_mut(&name) {
                        // A new connector of its name has not used them.
                        connector.topics.clear();
                    }
                    self.changed.insert(name);
                }
                ConfigChange::TasksUpdated { name, .. } => {
                    if let Some(connector) = self.connectors.get_mut(&name) {
                        connector.task_configs_done();
                    }
                    self.changed.insert(name);
                }
                // Only a group of workers has the first three.
                ConfigChange::SessionKey
                | ConfigChange::Restart(..)
                | ConfigChange::LoggerLevel { .. }
                | ConfigChange::Nothing => {}
            }
        }
        self.configs.read_to(offset);
    }

    /// Settings are about to be in force: the first write of them that still waits is theirs, and learns what it did.
    fn note_written(&mut self, connector: &ConnectorName) {
        let exists = self.configs.contains(connector);
        let waiting = self.operations.values_mut().find_map(|operation| match operation {
            Operation::Writing(Write { name, .. }, written @ None) if name == connector => Some(written),
            Operation::Writing(..)
            | Operation::Validating(_)
            | Operation::WritingTasks(_)
            | Operation::Ending(..)
            | Operation::Targeting(_)
            | Operation::ModifyingOffsets(..) => None,
        });
        if let Some(written) = waiting {
            *written = Some(if exists { Written::Updated } else { Written::Created });
        }
    }

    /// A write has ended.
    pub(super) fn config_written(
        &mut self,
        now: Instant,
        operation: OperationId,
        outcome: Answer<()>,
        effects: &mut Effects,
    ) {
        match (self.operations.remove(&operation), outcome) {
            (Some(Operation::Writing(write, written)), Ok(())) => {
                let waiter = match write.asker {
                    Asker::CommandLine { file } => Waiter::CommandLine { file },
                    Asker::Create(reply) => Waiter::Created(reply),
                    Asker::Put(reply) | Asker::Patch { reply, .. } => {
                        Waiter::Put(written.unwrap_or(Written::Updated), reply)
                    }
                };
                self.wait(&write.name, waiter);
            }
            (Some(Operation::Writing(write, _)), Err(why)) => refuse(write.asker, why, effects),
            (Some(Operation::WritingTasks(write)), Err(why)) => {
                self.tasks_not_written(now, &write, &why, effects);
            }
            (Some(Operation::Ending(name, reply)), Ok(())) => self.wait(&name, Waiter::Stopped(reply)),
            (Some(Operation::Ending(_, reply) | Operation::Targeting(reply)), outcome) => {
                effects.answer(reply, outcome);
            }
            // Tasks are done when they were read back.
            (Some(Operation::WritingTasks(_)), Ok(())) => {}
            (Some(Operation::Validating(_) | Operation::ModifyingOffsets(..)) | None, _) => {}
        }
    }

    /// The tasks that a connector has could not be written: it is asked again after a while. Who waits for them is told
    /// now.
    fn tasks_not_written(&mut self, now: Instant, write: &TasksWrite, why: &HerderError, effects: &mut Effects) {
        let TasksWrite { name, epoch, before } = write;
        let revision = self.configs.connector(name).map(|config| config.tasks_revision);
        let Some(entry) = self.connectors.get_mut(name) else { return };
        // Tasks were written since, perhaps these after all; or another instance is asked.
        if revision != *before || entry.epoch != *epoch || !entry.is_asked() {
            return;
        }
        log::warn!("cannot write the tasks of connector {name} and will try again: {why}");
        let delay = entry.task_configs_backoff.next_delay(0.0);
        entry.task_configs = TaskConfigs::DueAfter(Deadline::after(now, delay));
        let waiters = std::mem::take(&mut entry.waiters);
        let (waiting, others): (Vec<_>, Vec<_>) = waiters.into_iter().partition(Waiter::is_for_tasks);
        entry.waiters = others;
        for waiter in waiting {
            self.answer(name, waiter, Err(why.clone()), effects);
        }
        self.changed.insert(name.clone());
    }
}
