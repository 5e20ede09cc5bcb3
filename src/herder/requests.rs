//! The requests of clients, each with the checks that come before it is carried out.

use super::connector_entry::{ConnectorEntry, Instance, TaskRun, Waiter};
use super::msg::{Answer, ConnectorOffsets, Draft, Effect, Effects, HerderError, Request, Written};
use super::operations::{Asker, Operation, Write};
use super::view::{ConnectorInfo, ConnectorStatus, RunState};
use super::{Herder, class_of, not_found};
use crate::api::ids::{ConnectorName, TaskId};
use crate::stdx::reply::Reply;
use crate::store::config_state::{RestartScope, TargetState};

impl Request {
    /// Whether anybody still waits for the answer.
    pub(super) fn is_wanted(&self) -> bool {
        match self {
            Request::Health(reply)
            | Request::Delete(_, reply)
            | Request::SetTarget(_, _, reply)
            | Request::Stop(_, reply)
            | Request::Restart(_, reply)
            | Request::RestartTask(_, reply)
            | Request::ResetTopics(_, reply)
            | Request::SubmitTasks { reply, .. }
            | Request::Fence { reply, .. }
            | Request::SetClusterLevel { reply, .. } => reply.is_wanted(),
            Request::Create { reply, .. } | Request::Info(_, reply) => reply.is_wanted(),
            Request::Put { reply, .. } | Request::Patch { reply, .. } => reply.is_wanted(),
            Request::Tasks(_, reply) => reply.is_wanted(),
            Request::RestartParts(_, _, reply) => reply.is_wanted(),
            Request::Offsets(_, reply) => reply.is_wanted(),
            Request::ModifyOffsets(_, _, reply) => reply.is_wanted(),
        }
    }

    /// Answers with an error.
    pub(super) fn refuse(self, why: HerderError, effects: &mut Effects) {
        match self {
            Request::Health(reply)
            | Request::Delete(_, reply)
            | Request::SetTarget(_, _, reply)
            | Request::Stop(_, reply)
            | Request::Restart(_, reply)
            | Request::RestartTask(_, reply)
            | Request::ResetTopics(_, reply)
            | Request::SubmitTasks { reply, .. }
            | Request::Fence { reply, .. }
            | Request::SetClusterLevel { reply, .. } => effects.answer(reply, Err(why)),
            Request::Create { reply, .. } | Request::Info(_, reply) => effects.answer(reply, Err(why)),
            Request::Put { reply, .. } | Request::Patch { reply, .. } => effects.answer(reply, Err(why)),
            Request::Tasks(_, reply) => effects.answer(reply, Err(why)),
            Request::RestartParts(_, _, reply) => effects.answer(reply, Err(why)),
            Request::Offsets(_, reply) => effects.answer(reply, Err(why)),
            Request::ModifyOffsets(_, _, reply) => effects.answer(reply, Err(why)),
        }
    }
}

impl Herder {
    /// Carries out a request of a worker whose stores are there.
    pub(super) fn serve(&mut self, request: Request, effects: &mut Effects) {
        match request {
            Request::Health(reply) => effects.answer(reply, Ok(())),
            Request::Create { name, draft, target, reply } => {
                self.write(Write { name, target, asker: Asker::Create(reply) }, draft, effects);
            }
            Request::Put { name, draft, reply } => {
                self.write(Write { name, target: None, asker: Asker::Put(reply) }, draft, effects);
            }
            Request::Patch { name, changes, reply } => self.patch(name, changes, reply, effects),
            Request::Delete(name, reply) => self.delete(name, reply, effects),
            Request::Info(name, reply) => {
                effects.answer(reply, self.info(&name).ok_or_else(|| not_found(&name)))
            }
            Request::Tasks(name, reply) => {
                let tasks = self.configs.connector(&name).map(|config| config.tasks.clone());
                effects.answer(reply, tasks.ok_or_else(|| not_found(&name)));
            }
            Request::SetTarget(name, state, reply) => self.set_target(name, state, reply, effects),
            Request::Stop(name, reply) => self.stop(name, reply, effects),
            Request::Restart(name, reply) => self.restart(&name, reply, effects),
            Request::RestartParts(name, scope, reply) => {
                // Answered once it has been done: who asks for the status next sees what came of it.
                match self.restart_parts(&name, scope) {
                    Ok(status) => self.wait(&name, Waiter::PartsRestarted(Box::new(status), reply)),
                    Err(why) => effects.answer(reply, Err(why)),
                }
            }
            Request::RestartTask(id, reply) => self.restart_task(&id, reply, effects),
            Request::ResetTopics(name, reply) => {
                if let Some(entry) = self.connectors.get_mut(&name) {
                    entry.topics.clear();
                    self.changed.insert(name);
                }
                effects.answer(reply, Ok(()));
            }
            Request::Offsets(name, reply) => self.show_offsets(name, reply, effects),
            Request::ModifyOffsets(name, draft, reply) => self.modify_offsets(name, draft, reply, effects),
            Request::SubmitTasks { reply, .. } => {
                effects.answer(reply, Err(only_distributed("externally setting task configurations")));
            }
            Request::Fence { reply, .. } => {
                effects.answer(reply, Err(only_distributed("exactly-once source connectors")));
            }
            Request::SetClusterLevel { reply, .. } => {
                effects.answer(reply, Err(only_distributed("log levels of a cluster")));
            }
        }
    }

    fn write(&mut self, write: Write, draft: Draft, effects: &mut Effects) {
        let operation = self.next_operation(Operation::Validating(write));
        effects.push(Effect::Validate(operation, draft));
    }

    /// Merges changes into the settings that are there, and has the result checked.
    pub(super) fn patch(
        &mut self,
        name: ConnectorName,
        changes: Draft,
        reply: Reply<Answer<(Written, ConnectorInfo)>>,
        effects: &mut Effects,
    ) {
        let Some(config) = self.configs.connector(&name) else {
            return effects.answer(reply, Err(not_found(&name)));
        };
        let mut draft: Draft = config.settings.iter().map(|(k, v)| (k.clone(), Some(v.clone()))).collect();
        for (key, value) in &changes {
            match value {
                Some(value) => draft.insert(key.clone(), Some(value.clone())),
                None => draft.shift_remove(key),
            };
        }
        let asker = Asker::Patch { changes, base: config.revision, reply };
        self.write(Write { name, target: None, asker }, draft, effects);
    }

    fn restart(&mut self, name: &ConnectorName, reply: Reply<Answer<()>>, effects: &mut Effects) {
        if !self.configs.contains(name) {
            return effects.answer(reply, Err(restart_unknown(name)));
        }
        if let Some(entry) = self.connectors.get_mut(name) {
            entry.restart_instance();
        }
        self.wait(name, Waiter::Restarted(reply));
    }

    fn restart_parts(&mut self, name: &ConnectorName, scope: RestartScope) -> Answer<ConnectorStatus> {
        if !self.configs.contains(name) {
            return Err(restart_unknown(name));
        }
        let no_status = || HerderError::NotFound(format!("Status for connector {name} not found"));
        let before = self.status(name).ok_or_else(no_status)?;
        let covers = |state: RunState| !scope.only_failed || state == RunState::Failed;
        let Some(entry) = self.connectors.get_mut(name) else { return Err(no_status()) };
        if covers(before.connector.state) {
            entry.restart_instance();
        }
        let tasks = before.tasks.iter().filter(|(_, status)| scope.include_tasks && covers(status.state));
        for (index, _) in tasks {
            entry.restart_task(*index);
        }
        self.changed.insert(name.clone());
        // The answer names all that the restart covers, also what is stopped and stays so.
        let mut answer = before;
        if covers(answer.connector.state) {
            answer.connector.state = RunState::Restarting;
        }
        for status in answer.tasks.values_mut().filter(|status| scope.include_tasks && covers(status.state)) {
            status.state = RunState::Restarting;
        }
        Ok(answer)
    }

    fn restart_task(&mut self, id: &TaskId, reply: Reply<Answer<()>>, effects: &mut Effects) {
        let Some(config) = self.configs.connector(&id.connector) else {
            return effects.answer(reply, Err(restart_unknown(&id.connector)));
        };
        if id.index as usize >= config.tasks.len() {
            let why = format!("Task {id} not found");
            return effects.answer(reply, Err(HerderError::NotFound(why)));
        }
        if let Some(entry) = self.connectors.get_mut(&id.connector) {
            entry.restart_task(id.index);
        }
        self.wait(&id.connector, Waiter::TaskRestarted(id.index, reply));
    }

    fn show_offsets(
        &mut self,
        name: ConnectorName,
        reply: Reply<Answer<ConnectorOffsets>>,
        effects: &mut Effects,
    ) {
        let Some(config) = self.configs.connector(&name) else {
            return effects.answer(reply, Err(not_found(&name)));
        };
        match class_of(&self.settings.registry, &config.settings) {
            Some(class) => {
                effects.push(Effect::ReadOffsets(name, class.clone(), config.settings.clone(), reply));
            }
            None => {
                let why =
                    format!("Failed to retrieve offsets for connector {name}: its class is not known here");
                effects.answer(reply, Err(HerderError::Failed(why)));
            }
        }
    }
}

impl ConnectorEntry {
    /// Has the connector ended and started again, unless it is at rest.
    fn restart_instance(&mut self) {
        if self.instance == Instance::Absent {
            return;
        }
        self.restart = true;
        if let Some(status) = &mut self.status {
            status.state = RunState::Restarting;
            status.trace = None;
        }
    }

    /// Has a task ended and started again, unless it is not there.
    fn restart_task(&mut self, index: u32) {
        let Some(task) = self.tasks.get_mut(&index) else { return };
        if task.run == TaskRun::Absent {
            return;
        }
        task.restart = true;
        if let Some(status) = &mut task.status {
            status.state = RunState::Restarting;
            status.trace = None;
        }
    }
}

/// The words that restarts have for a connector that is not there.
fn restart_unknown(name: &ConnectorName) -> HerderError {
    HerderError::NotFound(format!("Unknown connector: {name}"))
}

/// What a worker says that is alone.
fn only_distributed(what: &str) -> HerderError {
    HerderError::Failed(format!("Kafka Connect in standalone mode does not support {what}."))
}

/// Whether a connector may have its offsets changed: it is stopped, and nothing of it runs.
pub(super) fn is_stopped(target: TargetState, tasks: usize, entry: Option<&ConnectorEntry>) -> bool {
    target == TargetState::Stopped && tasks == 0 && entry.is_none_or(ConnectorEntry::is_absent)
}
