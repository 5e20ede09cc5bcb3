//! Changes of what is configured: written, read back and in force then, or not written.

use std::collections::VecDeque;
use std::time::Instant;

use super::Herder;
use super::connector_entry::Waiter;
use super::msg::{Answer, Effect, Effects, HerderError, OperationId, Written};
use super::operations::{Asker, Operation, Part, Write, Writing, refuse};
use crate::api::Settings;
use crate::api::ids::{ConfigOffset, ConnectorName, Epoch};
use crate::stdx::time::Now;
use crate::store::config_records::{ConfigRecord, stored};
use crate::store::config_state::ConfigChange;
use crate::store::config_write::ConfigWrite;

impl Herder {
    /// Has a change written for an operation, after those before it. Some are written in several steps, and two of them
    /// at a time would mix: a connector would be stopped, and have the tasks that were on their way.
    ///
    /// What waits here is wanted: there are never more than clients that wait, and for each connector one set of tasks and
    /// one count of them, and a session key.
    pub(super) fn write_config(
        &mut self,
        write: ConfigWrite,
        writing: Writing,
        effects: &mut Effects,
    ) -> OperationId {
        self.drop_unwanted_writes(effects);
        let operation = self.next_operation(Operation::Writing(writing));
        self.writes.push_back((operation, write));
        self.write_next(effects);
        operation
    }

    /// A client may have left while its change waited, and a connector may have been started anew: a topic that cannot be
    /// written for long would collect them.
    fn drop_unwanted_writes(&mut self, effects: &mut Effects) {
        let is_wanted = |operation: &OperationId| {
            let Some(Operation::Writing(writing)) = self.operations.get(operation) else { return false };
            self.is_write_wanted(*operation, writing)
        };
        let waiting = self.writes.iter().map(|(operation, _)| *operation);
        let unwanted: Vec<_> = waiting.filter(|operation| !is_wanted(operation)).collect();
        self.writes.retain(|(operation, _)| !unwanted.contains(operation));
        for operation in unwanted {
            if let Some(Operation::Writing(Writing::Settings(write, _))) = self.operations.remove(&operation)
            {
                self.go_on_with_patches(&write.name, effects);
            }
        }
    }

    fn is_write_wanted(&self, operation: OperationId, writing: &Writing) -> bool {
        match writing {
            Writing::Settings(write, _) => write.asker.is_wanted(),
            Writing::Tasks(name, epoch) => {
                let entry = self.connectors.get(name);
                entry.is_some_and(|entry| entry.epoch == *epoch && entry.is_asked())
            }
            Writing::End(_, reply) | Writing::Other(reply) => reply.is_wanted(),
            Writing::SessionKey => true,
            Writing::TaskCount(name) => self.is_under_way(name, operation),
            Writing::Restart(_, reply) => reply.is_wanted(),
        }
    }

    /// Goes on with what waits to be written and is still wanted.
    pub(super) fn go_on_writing(&mut self, effects: &mut Effects) {
        if self.writing.is_none() && !self.writes.is_empty() {
            self.drop_unwanted_writes(effects);
            self.write_next(effects);
        }
    }

    /// Has the next change written, if none is on its way. What only the leader may write waits for the end of a rebalance,
    /// at which another worker may lead.
    fn write_next(&mut self, effects: &mut Effects) {
        if self.writing.is_some() {
            return;
        }
        let leads = self.membership.must_lead().is_ok() && self.membership.is_settled();
        let next = self.writes.iter().position(|(_, write)| leads || !write.is_leaders());
        if let Some((operation, write)) = next.and_then(|next| self.writes.remove(next)) {
            self.writing = Some(operation);
            effects.push(Effect::WriteConfig(write, Some(operation)));
        }
    }

    /// Another worker leads or has led: what waits here to be written by the leader is not written. It was checked against
    /// what this one knew, and others may have changed that since.
    pub(super) fn hand_over_writes(&mut self, now: Now, why: &HerderError, effects: &mut Effects) {
        let waiting = std::mem::take(&mut self.writes).into_iter();
        let (leaders, ours): (VecDeque<_>, _) = waiting.partition(|(_, write)| write.is_leaders());
        self.writes = ours;
        for (operation, _) in leaders {
            self.write_ended(now, operation, Err(why.clone()), effects);
        }
    }

    /// Has the tasks of a connector written that it said it has: by the leader, if that is another worker.
    pub(super) fn write_tasks(
        &mut self,
        now: Now,
        name: &ConnectorName,
        tasks: Vec<Settings>,
        effects: &mut Effects,
    ) {
        if self.membership.must_lead().is_err() {
            return self.submit_tasks(now, name, &tasks, effects);
        }
        let Some(entry) = self.connectors.get(name) else { return };
        let writing = Writing::Tasks(name.clone(), entry.epoch);
        let write = ConfigWrite::Tasks { name: name.clone(), tasks: tasks.into_iter().map(stored).collect() };
        self.write_config(write, writing, effects);
    }

    /// Records were read: they are in force from here on.
    pub(super) fn config_read(
        &mut self,
        now: Now,
        records: &[ConfigRecord],
        offset: ConfigOffset,
        effects: &mut Effects,
    ) {
        for record in records {
            if let ConfigRecord::Connector { name, .. } = record {
                self.note_written(name);
            }
            let known = matches!(record, ConfigRecord::Connector { name, .. } if self.configs.contains(name));
            let change = self.configs.apply(record);
            self.config_changed(now, change, known, effects);
        }
        self.configs.read_to(offset);
    }

    /// Follows up on a record that was read. `known`: it changes a connector that there was.
    fn config_changed(&mut self, now: Now, change: ConfigChange, known: bool, effects: &mut Effects) {
        match change {
            ConfigChange::ConnectorUpdated(name) => {
                self.changed.insert(name);
                if !known {
                    self.rejoin_for_config();
                }
            }
            ConfigChange::TasksUpdated { name, .. } => {
                self.fencing_overtaken(&name, effects);
                self.question_committed_tasks(now, &name);
                if self.configs.connector(&name).is_some_and(|config| config.inconsistent)
                    && let Some(entry) = self.connectors.get_mut(&name)
                {
                    // Nobody else would have them written anew.
                    entry.ask_for_tasks();
                }
                self.changed.insert(name);
                self.rejoin_for_config();
            }
            ConfigChange::TasksOverwritten(name) => {
                self.question_overwritten_tasks(now.instant, &name);
                self.changed.insert(name);
            }
            ConfigChange::TargetChanged(name) => {
                self.changed.insert(name);
            }
            ConfigChange::ConnectorRemoved(name) => {
                // A new connector of its name has not used them.
                self.forget_topics_here(&name, effects);
                self.changed.insert(name);
                self.rejoin_for_config();
            }
            ConfigChange::SessionKey => self.key_read(),
            ConfigChange::Restart(name, scope) => self.restart_read(&name, scope),
            ConfigChange::LoggerLevel { namespace, level } => {
                if self.follows_config() {
                    effects.push(Effect::SetLevel(namespace, level));
                }
            }
            ConfigChange::Nothing => {}
        }
    }

    /// Tasks were committed. If they are not what the connector here has had written, they may be those of a former owner,
    /// whose request came late; or a stop took them away, and the leader died before it wrote that the connector is stopped.
    /// The connector is asked again, after a pause in which the rest of a stop comes.
    fn question_committed_tasks(&mut self, now: Now, name: &ConnectorName) {
        let is_being_written = self.is_writing(Part::Tasks, name);
        let Some(entry) = self.connectors.get_mut(name) else { return };
        let in_force = self.configs.connector(name).map(|config| &config.tasks);
        match &entry.handed_in {
            None => entry.question_tasks(now.instant, is_being_written),
            Some(tasks) if Some(tasks) == in_force => entry.handed_in = None,
            // Its own are yet to be read: they take the place of these.
            Some(_) => {}
        }
    }

    /// A task was read that takes the place of one in force. Perhaps no commit follows: the connector is asked again after a
    /// pause in which it would, unless the task is its own.
    fn question_overwritten_tasks(&mut self, now: Instant, name: &ConnectorName) {
        let is_overwritten = self.configs.connector(name).is_some_and(|config| config.overwritten);
        if let Some(entry) = self.connectors.get_mut(name)
            && is_overwritten
            && entry.handed_in.is_none()
        {
            entry.question_tasks(now, false);
        }
    }

    /// Settings are about to be in force: the first write of them that still waits is theirs, and learns what it did.
    fn note_written(&mut self, connector: &ConnectorName) {
        let exists = self.configs.contains(connector);
        let waiting = self.operations.values_mut().find_map(|operation| {
            let Operation::Writing(writing) = operation else { return None };
            writing.awaits_settings_of(connector)
        });
        if let Some(written) = waiting {
            *written = Some(if exists { Written::Updated } else { Written::Created });
        }
    }

    /// A write has ended.
    pub(super) fn config_written(
        &mut self,
        now: Now,
        operation: OperationId,
        outcome: Answer<()>,
        effects: &mut Effects,
    ) {
        if self.writing.take_if(|writing| *writing == operation).is_some() {
            self.go_on_writing(effects);
        }
        self.write_ended(now, operation, outcome, effects);
    }

    fn write_ended(&mut self, now: Now, operation: OperationId, outcome: Answer<()>, effects: &mut Effects) {
        let Some(Operation::Writing(writing)) = self.operations.remove(&operation) else { return };
        match (writing, outcome) {
            (Writing::Settings(write, written), outcome) => {
                self.settings_written(write, written, outcome, effects);
            }
            (Writing::Tasks(name, epoch), outcome) => {
                self.tasks_written(now.instant, &name, epoch, outcome, effects);
            }
            (Writing::End(name, reply), Ok(())) => {
                self.answer_written(&name, Waiter::Stopped(reply), effects);
            }
            (Writing::End(_, reply) | Writing::Other(reply), outcome) => effects.answer(reply, outcome),
            (Writing::SessionKey, outcome) => self.key_published(now, outcome),
            (Writing::TaskCount(name), outcome) => {
                self.task_count_written(operation, &name, &outcome, effects);
            }
            (Writing::Restart(answer, reply), outcome) => {
                effects.answer(reply, outcome.map(|()| *answer));
            }
        }
    }

    fn settings_written(
        &mut self,
        write: Write,
        written: Option<Written>,
        outcome: Answer<()>,
        effects: &mut Effects,
    ) {
        let Write { name, asker, .. } = write;
        match outcome {
            Ok(()) => {
                let waiter = match asker {
                    Asker::CommandLine { file } => Waiter::CommandLine { file },
                    Asker::Create(reply) => Waiter::Created(reply),
                    Asker::Put(reply) | Asker::Patch { reply, .. } => {
                        Waiter::Put(written.unwrap_or(Written::Updated), reply)
                    }
                };
                self.answer_written(&name, waiter, effects);
            }
            Err(why) => refuse(asker, why, effects),
        }
        self.go_on_with_patches(&name, effects);
    }

    /// Settings are not being written any more: those who wanted to change them may.
    fn go_on_with_patches(&mut self, name: &ConnectorName, effects: &mut Effects) {
        let waits = |it: &Operation| matches!(it, Operation::Patching { name: of, .. } if of == name);
        let patches = self.operations.iter().filter(|(_, operation)| waits(operation)).map(|(id, _)| *id);
        for patch in patches.collect::<Vec<_>>() {
            if let Some(Operation::Patching { name, changes, reply }) = self.operations.remove(&patch) {
                self.patch(name, changes, reply, effects);
            }
        }
    }

    /// What an instance of a connector said of its tasks was written. If that failed, it is asked again after a while,
    /// and who waits for the tasks is told now.
    pub(super) fn tasks_written(
        &mut self,
        now: Instant,
        name: &ConnectorName,
        epoch: Epoch,
        outcome: Answer<()>,
        effects: &mut Effects,
    ) {
        let Some(entry) = self.connectors.get_mut(name) else { return };
        // Another instance is asked, or none.
        if entry.epoch != epoch || !entry.is_asked() {
            return;
        }
        self.changed.insert(name.clone());
        let Err(why) = outcome else {
            entry.task_configs_done();
            // Others may have begun to write since.
            return self.question_overwritten_tasks(now, name);
        };
        entry.handed_in = None;
        log::warn!("cannot write the tasks of connector {name} and will try again: {why}");
        entry.ask_for_tasks_later(now);
        let waiters = std::mem::take(&mut entry.waiters);
        let (waiting, others): (Vec<_>, Vec<_>) = waiters.into_iter().partition(Waiter::is_for_tasks);
        entry.waiters = others;
        for waiter in waiting {
            self.answer(name, waiter, Err(why.clone()), effects);
        }
    }
}
