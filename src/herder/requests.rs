//! The requests of clients, each with the checks that come before it is carried out.

use super::connector_entry::{ConnectorEntry, Instance, TaskRun, Waiter};
use super::membership::Membership;
use super::msg::{Answer, ConnectorOffsets, Draft, Effect, Effects, HerderError, Request, Written};
use super::operations::{Asker, OffsetsRequest, Operation, Write};
use super::view::{ConnectorInfo, ConnectorStatus, RunState, Status};
use super::{Herder, class_of, not_found};
use crate::api::ids::{ConnectorName, TaskId};
use crate::stdx::reply::Reply;
use crate::store::config_state::RestartScope;

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
            Request::Health(reply) => {
                self.probes.retain(Reply::is_wanted);
                self.probes.push(reply);
            }
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
            Request::RestartParts(name, scope, reply) => self.restart_parts(name, scope, reply, effects),
            Request::RestartTask(id, reply) => self.restart_task(&id, reply, effects),
            Request::ResetTopics(name, reply) => {
                self.reset_topics(&name, effects);
                effects.answer(reply, Ok(()));
            }
            Request::Offsets(name, reply) => self.show_offsets(name, reply, effects),
            Request::ModifyOffsets(name, draft, reply) => {
                self.take_offsets_change(OffsetsRequest { name, draft, reply }, effects)
            }
            Request::SubmitTasks { name, tasks, proof, reply } => match self.membership {
                Membership::Alone => {
                    effects.answer(reply, Err(only_distributed("externally setting task configurations")));
                }
                Membership::Group(_) => self.tasks_submitted(name, tasks, &proof, reply, effects),
            },
            Request::Fence { name, proof, reply } => match self.membership {
                Membership::Alone => {
                    effects.answer(reply, Err(only_distributed("exactly-once source connectors")));
                }
                Membership::Group(_) => self.fence_asked(name, &proof, reply, effects),
            },
            Request::SetClusterLevel { namespace, level, reply } => match self.membership {
                Membership::Alone => {
                    effects.answer(reply, Err(only_distributed("log levels of a cluster")));
                }
                Membership::Group(_) => self.set_cluster_level(namespace, level, reply, effects),
            },
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
        if let Err(why) = self.membership.must_lead() {
            return effects.answer(reply, Err(why));
        }
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
        if let Err(why) = self.must_own_connector(name) {
            return effects.answer(reply, Err(why));
        }
        if let Some(entry) = self.connectors.get_mut(name) {
            entry.restart_instance();
        }
        self.wait(name, Waiter::Restarted(reply));
    }

    fn restart_parts(
        &mut self,
        name: ConnectorName,
        scope: RestartScope,
        reply: Reply<Answer<ConnectorStatus>>,
        effects: &mut Effects,
    ) {
        if let Membership::Group(_) = self.membership {
            return self.restart_parts_of_group(name, scope, reply, effects);
        }
        match self.restart_answer(&name, scope) {
            // Answered once it has been done: who asks for the status next sees what came of it.
            Ok(answer) => {
                self.restart_read(&name, scope);
                self.wait(&name, Waiter::PartsRestarted(Box::new(answer), reply));
            }
            Err(why) => effects.answer(reply, Err(why)),
        }
    }

    /// The status of a connector with all that a restart covers restarting, also what is stopped and stays so.
    pub(super) fn restart_answer(
        &self,
        name: &ConnectorName,
        scope: RestartScope,
    ) -> Answer<ConnectorStatus> {
        if !self.configs.contains(name) {
            return Err(restart_unknown(name));
        }
        let no_status = || HerderError::NotFound(format!("Status for connector {name} not found"));
        let mut answer = self.status(name).ok_or_else(no_status)?;
        let covers = |state: RunState| !scope.only_failed || state == RunState::Failed;
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
        if let Err(why) = self.must_own_task(id) {
            return effects.answer(reply, Err(why));
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
    pub(super) fn restart_instance(&mut self) {
        if self.instance == Instance::Absent {
            return;
        }
        self.restart = true;
        self.status.iter_mut().for_each(show_restarting);
    }

    /// Has a task ended and started again, unless it is not there.
    pub(super) fn restart_task(&mut self, index: u32) {
        let Some(task) = self.tasks.get_mut(&index) else { return };
        if task.run == TaskRun::Absent {
            return;
        }
        task.restart = true;
        task.status.iter_mut().for_each(show_restarting);
    }
}

/// As in Apache, what is restarted has no version: there is no instance of it for the moment.
fn show_restarting(status: &mut Status) {
    status.state = RunState::Restarting;
    status.trace = None;
    status.version = None;
}

/// The words that restarts have for a connector that is not there.
fn restart_unknown(name: &ConnectorName) -> HerderError {
    HerderError::NotFound(format!("Unknown connector: {name}"))
}

/// What a worker says that is alone.
fn only_distributed(what: &str) -> HerderError {
    HerderError::Failed(format!("Kafka Connect in standalone mode does not support {what}."))
}
