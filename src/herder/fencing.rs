//! Exactly-once sources (KIP-618): earlier tasks of a connector are shut out before later ones write, and a task asks
//! before it begins.
//!
//! ```text
//! task ──► its worker's herder ──► the leader ──► reads the config topic ──► shuts out as many tasks as the record counts
//!                                                                       ──► reads again ──► writes the record
//! ```
//! The record counts for how many tasks there may be producers; a commit of tasks that comes after it makes fencing due.
//! New tasks that come while a round is under way end it: it would be theirs to ask for another.

use super::Herder;
use super::connector_entry::TaskRun;
use super::membership::Membership;
use super::msg::{
    Answer, AskForFencing, Effect, Effects, FenceTasks, HerderError, OperationId, Proof, TaskQuestion,
};
use super::not_found;
use super::operations::{CatchUp, OffsetsRequest, Operation, Writing};
use super::session_key::RequestSignature;
use crate::api::ids::{ConnectorName, TaskId};
use crate::api::registry::ConnectorClass;
use crate::stdx::reply::Reply;
use crate::store::config_write::ConfigWrite;
use crate::task::StartStep;

const TARGET: &str = "org.apache.kafka.connect.runtime.distributed.DistributedHerder";
/// What a task is told that is not wanted any more: it ends, and nobody reads it.
const NOT_WANTED: &str = "The task is not wanted any more";
/// How many reads of the config topic to its end may fail before whoever waits is told, with `worker.sync.timeout.ms` each: a
/// broker that starts again costs no task. Apache's tell it at once. Less than the 90 s that another worker waits.
const FAILED_READS_MAX: u32 = 20;
const UNREAD: &str = "Failed to read to end of config topic before performing zombie fencing";

/// A round of fencing that is under way on the leader.
#[derive(Debug)]
pub(super) struct Fencing {
    /// What of it goes on outside.
    operation: OperationId,
    /// For how many tasks there may be producers afterwards.
    tasks: u32,
    /// Who waits for its end.
    fencers: Vec<Fencer>,
}

/// Who wants the earlier tasks of a connector shut out.
#[derive(Debug)]
pub(super) enum Fencer {
    /// A task, here or elsewhere, that waits for the answer.
    Task(Reply<Answer<()>>),
    /// A change of offsets, which goes on then.
    Offsets(Box<OffsetsRequest>),
}

/// What waits until the config topic is read to its end. All that comes while it is read waits for the next read together:
/// a worker may start a thousand tasks at once.
#[derive(Debug)]
pub(super) struct Unread {
    what: Awaiting,
    /// How many more reads may fail.
    left: u32,
}

#[derive(Debug)]
enum Awaiting {
    /// A round of fencing may have to begin.
    Fence(ConnectorName, Fencer),
    /// Earlier tasks were shut out, by the operation.
    Fenced(ConnectorName, OperationId),
    /// A task is about to begin.
    Confirm(TaskQuestion),
}

/// What has to be done before tasks of a connector may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// No tasks came since the last round.
    Nothing,
    /// There is nobody to shut out, or a new producer does it by itself: the record is written.
    Record,
    /// Producers of so many tasks are shut out, then the record is written.
    Fence(u32),
}

/// `pending`: tasks were committed since the record; `fenced`: what the record counts; `tasks`: how many there are now.
fn due(pending: bool, fenced: Option<u32>, tasks: u32) -> Due {
    match (pending, fenced) {
        (false, _) => Due::Nothing,
        (true, None) => Due::Record,
        // The same transactional id: the one fences the other.
        (true, Some(1)) if tasks == 1 => Due::Record,
        (true, Some(fenced)) => Due::Fence(fenced),
    }
}

impl Herder {
    /// A task that writes exactly once asks whether it may go on with its start. It waits for the end of a rebalance.
    pub(super) fn task_asks(&mut self, question: TaskQuestion) {
        if let Some(group) = self.membership.group() {
            group.asking.push_back(question);
        }
    }

    /// Hears the tasks that asked, unless the group is in the middle of a rebalance. Says whether there were any.
    pub(super) fn hear_tasks(&mut self, effects: &mut Effects) -> bool {
        if !self.membership.is_settled() {
            return false;
        }
        let Some(group) = self.membership.group() else { return false };
        let asking = std::mem::take(&mut group.asking);
        let any = !asking.is_empty();
        for question in asking {
            if !self.is_wanted(&question) {
                effects.answer(question.reply, Err(HerderError::Failed(NOT_WANTED.to_owned())));
                continue;
            }
            match question.step {
                StartStep::Fence => self.fence_for_task(question, effects),
                // Whatever was configured before its producer was made is to be read before it may begin.
                StartStep::Confirm => self.read_first(Awaiting::Confirm(question), effects),
            }
        }
        any
    }

    /// Whether the task that asks is the one that is to run.
    fn is_wanted(&self, question: &TaskQuestion) -> bool {
        let entry = self.connectors.get(&question.id.connector);
        let task = entry.and_then(|entry| entry.tasks.get(&question.id.index));
        task.is_some_and(|task| task.epoch == question.epoch && matches!(task.run, TaskRun::Running(..)))
    }

    fn fence_for_task(&mut self, question: TaskQuestion, effects: &mut Effects) {
        let TaskQuestion { id: TaskId { connector: name, .. }, reply, .. } = question;
        if self.membership.must_lead().is_ok() {
            return self.fence(name, Fencer::Task(reply), effects);
        }
        let Some(group) = self.membership.group() else { return };
        let Some(leader_url) = group.leader_url() else {
            let why = group.not_leading();
            return effects.answer(reply, Err(why));
        };
        let signature = if group.signs() { group.keys.sign(b"") } else { None };
        let proof = Proof {
            signature: signature.as_ref().map(RequestSignature::signature_header),
            algorithm: signature.map(|signature| signature.algorithm_header().to_owned()),
            body: bytes::Bytes::new(),
        };
        effects.push(Effect::AskForFencing(Box::new(AskForFencing { name, leader_url, proof, reply })));
    }

    /// Has something wait until the config topic is read to its end, from now on.
    fn read_first(&mut self, what: Awaiting, effects: &mut Effects) {
        if let Some(group) = self.membership.group() {
            group.unread.push(Unread { what, left: FAILED_READS_MAX });
            self.begin_reading(effects);
        }
    }

    fn begin_reading(&mut self, effects: &mut Effects) {
        let Some(group) = self.membership.group() else { return };
        if group.reads_for_tasks || group.unread.is_empty() {
            return;
        }
        group.reads_for_tasks = true;
        let (unread, timeout) = (std::mem::take(&mut group.unread), group.settings.sync_timeout);
        let operation = self.next_operation(Operation::CatchingUp(CatchUp::Tasks(unread)));
        effects.push(Effect::CatchUp(operation, timeout));
    }

    /// The config topic was read to its end for all these, or could not be.
    pub(super) fn read_for_tasks(
        &mut self,
        unread: Vec<Unread>,
        outcome: &Result<(), String>,
        effects: &mut Effects,
    ) {
        let Some(group) = self.membership.group() else { return };
        group.reads_for_tasks = false;
        let (waits, over): (Vec<_>, Vec<_>) = match outcome {
            Ok(()) => (Vec::new(), unread),
            Err(_) => unread.into_iter().partition(|unread| unread.left > 0),
        };
        if let (Err(why), false) = (outcome, waits.is_empty()) {
            log::warn!(target: TARGET, "Tasks wait until the config topic is read to its end: {why}");
        }
        group.unread.extend(waits.into_iter().map(|Unread { what, left }| Unread { what, left: left - 1 }));
        for Unread { what, .. } in over {
            match what {
                Awaiting::Fence(name, fencer) => self.read_for_fencing(name, fencer, outcome, effects),
                Awaiting::Fenced(name, operation) => {
                    self.read_after_fencing(operation, &name, outcome, effects);
                }
                Awaiting::Confirm(question) => self.read_for_task(question, outcome, effects),
            }
        }
        self.begin_reading(effects);
    }

    /// The config topic was read to its end for a task that is about to begin, or could not be.
    fn read_for_task(&mut self, question: TaskQuestion, outcome: &Result<(), String>, effects: &mut Effects) {
        let answer = match outcome {
            _ if !self.is_wanted(&question) => Err(HerderError::Failed(NOT_WANTED.to_owned())),
            Ok(()) => Ok(()),
            Err(why) => {
                Err(HerderError::Failed(format!("the config topic cannot be read to its end: {why}")))
            }
        };
        effects.answer(question.reply, answer);
    }

    /// Another worker wants the earlier tasks of a connector shut out.
    pub(super) fn fence_asked(
        &mut self,
        name: ConnectorName,
        proof: &Proof,
        reply: Reply<Answer<()>>,
        effects: &mut Effects,
    ) {
        match self.check_proof(proof).and_then(|()| self.membership.must_lead()) {
            Ok(()) => self.fence(name, Fencer::Task(reply), effects),
            Err(why) => effects.answer(reply, Err(why)),
        }
    }

    /// Has the earlier tasks of a connector shut out, by this leader: first what is configured is read.
    pub(super) fn fence(&mut self, name: ConnectorName, fencer: Fencer, effects: &mut Effects) {
        self.read_first(Awaiting::Fence(name, fencer), effects);
    }

    /// The config topic was read to its end for a round of fencing, or could not be.
    fn read_for_fencing(
        &mut self,
        name: ConnectorName,
        fencer: Fencer,
        outcome: &Result<(), String>,
        effects: &mut Effects,
    ) {
        let read = outcome.as_ref().map_err(|why| HerderError::Failed(format!("{UNREAD}: {why}")));
        let tasks = match read.and_then(|()| self.tasks_of_source(&name)) {
            Ok(tasks) => tasks,
            Err(why) => return self.fenced(&name, fencer, Err(why), effects),
        };
        let (pending, before) = (self.configs.is_pending_fencing(&name), self.configs.fenced_tasks(&name));
        let settings = self.configs.connector(&name).map(|config| config.settings.clone());
        if let Some(under_way) = self.membership.group().and_then(|group| group.fencings.get_mut(&name)) {
            return under_way.fencers.push(fencer);
        }
        let operation = match due(pending, before, tasks) {
            Due::Nothing => return self.fenced(&name, fencer, Ok(()), effects),
            Due::Record => self.write_task_count(name.clone(), tasks, effects),
            Due::Fence(count) => {
                log::info!(
                    target: TARGET,
                    "Performing a round of zombie fencing for connector {name}: {count} tasks before, {tasks} now"
                );
                let operation = self.next_operation(Operation::Fencing(name.clone()));
                let settings = settings.unwrap_or_default();
                let fence = FenceTasks { operation, name: name.clone(), settings, tasks: count };
                effects.push(Effect::FenceTasks(Box::new(fence)));
                operation
            }
        };
        if let Some(group) = self.membership.group() {
            group.fencings.insert(name, Fencing { operation, tasks, fencers: vec![fencer] });
        }
    }

    /// How many tasks a connector has, which must not be a sink. One whose class is not known here is taken at the word of
    /// who asks.
    fn tasks_of_source(&self, name: &ConnectorName) -> Answer<u32> {
        let config = self.configs.connector(name).ok_or_else(|| not_found(name))?;
        match super::class_of(&self.settings.registry, &config.settings) {
            Some(ConnectorClass::Sink(_)) => {
                Err(HerderError::Failed(format!("Connector {name} is not a source connector")))
            }
            Some(ConnectorClass::Source(_)) | None => {
                Ok(u32::try_from(config.tasks.len()).unwrap_or(u32::MAX))
            }
        }
    }

    fn write_task_count(&mut self, name: ConnectorName, count: u32, effects: &mut Effects) -> OperationId {
        let write = ConfigWrite::TaskCount { name: name.clone(), count };
        self.write_config(write, Writing::TaskCount(name), effects)
    }

    /// The earlier tasks of a connector were shut out, or could not be: if nothing was configured meanwhile, the record
    /// is written.
    pub(super) fn tasks_fenced(
        &mut self,
        operation: OperationId,
        outcome: Result<(), String>,
        effects: &mut Effects,
    ) {
        let Some(Operation::Fencing(name)) = self.operations.remove(&operation) else { return };
        if !self.is_under_way(&name, operation) {
            return;
        }
        if let Err(why) = outcome {
            let why =
                HerderError::Failed(format!("Failed to complete zombie fencing for connector {name}: {why}"));
            return self.fencing_ends(&name, &Err(why), effects);
        }
        self.read_first(Awaiting::Fenced(name, operation), effects);
    }

    /// The config topic was read to its end after earlier tasks were shut out. New tasks would have ended the round.
    fn read_after_fencing(
        &mut self,
        operation: OperationId,
        name: &ConnectorName,
        outcome: &Result<(), String>,
        effects: &mut Effects,
    ) {
        if !self.is_under_way(name, operation) {
            return;
        }
        if let Err(why) = outcome {
            let why = HerderError::Failed(format!("{UNREAD}: {why}"));
            return self.fencing_ends(name, &Err(why), effects);
        }
        let tasks = self.membership.group().and_then(|group| Some(group.fencings.get(name)?.tasks));
        let operation = self.write_task_count(name.clone(), tasks.unwrap_or_default(), effects);
        if let Some(fencing) = self.membership.group().and_then(|group| group.fencings.get_mut(name)) {
            fencing.operation = operation;
        }
    }

    /// The record was written, or could not be.
    pub(super) fn task_count_written(
        &mut self,
        operation: OperationId,
        name: &ConnectorName,
        outcome: &Answer<()>,
        effects: &mut Effects,
    ) {
        if self.is_under_way(name, operation) {
            self.fencing_ends(name, outcome, effects);
        }
    }

    /// New tasks of a connector were read: a round that is under way was not meant for them.
    pub(super) fn fencing_overtaken(&mut self, name: &ConnectorName, effects: &mut Effects) {
        let why = format!(
            "Failed to complete zombie fencing for connector {name}: a new set of task configs was generated meanwhile"
        );
        self.fencing_ends(name, &Err(HerderError::Conflict(why)), effects);
    }

    /// Whether a round of fencing has not ended, and the operation is the last step of it so far.
    pub(super) fn is_under_way(&self, name: &ConnectorName, operation: OperationId) -> bool {
        let Membership::Group(group) = &self.membership else { return false };
        group.fencings.get(name).is_some_and(|fencing| fencing.operation == operation)
    }

    fn fencing_ends(&mut self, name: &ConnectorName, outcome: &Answer<()>, effects: &mut Effects) {
        let fencing = self.membership.group().and_then(|group| group.fencings.remove(name));
        for fencer in fencing.into_iter().flat_map(|fencing| fencing.fencers) {
            self.fenced(name, fencer, outcome.clone(), effects);
        }
    }

    fn fenced(&mut self, name: &ConnectorName, fencer: Fencer, outcome: Answer<()>, effects: &mut Effects) {
        if let Err(why) = &outcome {
            log::warn!(target: TARGET, "Zombie fencing for connector {name} failed: {why}");
        }
        match (fencer, outcome) {
            (Fencer::Task(reply), outcome) => effects.answer(reply, outcome),
            (Fencer::Offsets(request), Ok(())) => self.make_offsets_change(*request, effects),
            (Fencer::Offsets(request), Err(why)) => effects.answer(request.reply, Err(why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fencing_is_due_when_tasks_came_that_others_may_write_beside() {
        for (pending, fenced, tasks, expected) in [
            (false, None, 1, Due::Nothing),
            (false, Some(3), 3, Due::Nothing),
            (true, None, 3, Due::Record),
            (true, Some(1), 1, Due::Record),
            (true, Some(1), 2, Due::Fence(1)),
            (true, Some(2), 1, Due::Fence(2)),
            (true, Some(3), 0, Due::Fence(3)),
            (true, Some(0), 2, Due::Fence(0)),
        ] {
            assert_eq!(due(pending, fenced, tasks), expected, "{pending} {fenced:?} {tasks}");
        }
    }
}
