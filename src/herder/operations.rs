//! Operations that go on outside and come back as events: checks and writes of settings, changes of offsets.

use super::fencing::Unread;
use super::msg::{Answer, Draft, Effect, Effects, Exit, HerderError, OffsetsDraft, OperationId, Written};
use super::view::{ConnectorInfo, ConnectorStatus};
use super::{Herder, not_found};
use crate::api::Settings;
use crate::api::ids::{ConnectorName, Epoch};
use crate::api::source::AlterOffsets;
use crate::stdx::reply::Reply;
use crate::store::config_state::{Revision, TargetState};
use crate::store::config_write::ConfigWrite;

/// Who wants a connector written.
#[derive(Debug)]
pub(super) enum Asker {
    /// A file of the command line.
    CommandLine { file: String },
    /// `POST /connectors`: there must be none of that name.
    Create(Reply<Answer<ConnectorInfo>>),
    /// `PUT` of its settings.
    Put(Reply<Answer<(Written, ConnectorInfo)>>),
    /// `PATCH` of its settings, merged into those of `base`.
    Patch { changes: Draft, base: Revision, reply: Reply<Answer<(Written, ConnectorInfo)>> },
}

/// A connector's settings on their way to the config store.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) name: ConnectorName,
    pub(super) target: Option<TargetState>,
    pub(super) asker: Asker,
}

/// What goes on outside.
#[derive(Debug)]
pub(super) enum Operation {
    /// Settings are checked.
    Validating(Write),
    /// Settings are written; known from when they were read back is whether they made the connector.
    Writing(Write, Option<Written>),
    /// Changes of settings wait for the end of another write of them: what was checked would undo it.
    Patching { name: ConnectorName, changes: Draft, reply: Reply<Answer<(Written, ConnectorInfo)>> },
    /// What this instance of a connector said of its tasks is written.
    WritingTasks(ConnectorName, Epoch),
    /// A deletion or a stop is written.
    Ending(ConnectorName, Reply<Answer<()>>),
    /// A pause or resume is written.
    Targeting(Reply<Answer<()>>),
    /// Offsets are changed.
    ModifyingOffsets(ConnectorName, Reply<Answer<AlterOffsets>>),
    /// The config topic is read to its end, so that a change of offsets finds what others have written there.
    ReadingForOffsets(Box<OffsetsRequest>),
    /// The config topic is read to its end for an assignment.
    CatchingUp,
    /// The config topic is claimed by this leader.
    Claiming,
    /// A session key is written.
    PublishingKey,
    /// The config topic is read to its end for tasks that write exactly once.
    ReadingForTasks(Vec<Unread>),
    /// Earlier tasks of a connector are shut out.
    Fencing(ConnectorName),
    /// That they were shut out is written.
    WritingTaskCount(ConnectorName),
    /// A restart of parts of a connector is written; the answer tells which.
    Restarting(Box<ConnectorStatus>, Reply<Answer<ConnectorStatus>>),
}

/// A change of offsets that waits.
#[derive(Debug)]
pub(super) struct OffsetsRequest {
    pub(super) name: ConnectorName,
    pub(super) draft: OffsetsDraft,
    pub(super) reply: Reply<Answer<AlterOffsets>>,
}

impl Herder {
    /// Settings were checked: writes them, or says what is wrong.
    pub(super) fn validated(
        &mut self,
        operation: OperationId,
        outcome: Result<Settings, HerderError>,
        effects: &mut Effects,
    ) {
        let Some(Operation::Validating(write)) = self.operations.remove(&operation) else { return };
        let Write { name, target, asker } = write;
        let asker = match asker {
            Asker::Patch { changes, reply, .. } if self.is_being_written(&name) => {
                self.next_operation(Operation::Patching { name, changes, reply });
                return;
            }
            Asker::Patch { changes, base, reply } if !self.is_revision(&name, base) => {
                // Another write came between: what was checked would undo it.
                return self.patch(name, changes, reply, effects);
            }
            asker @ (Asker::CommandLine { .. } | Asker::Create(_) | Asker::Put(_) | Asker::Patch { .. }) => {
                asker
            }
        };
        let may_write = |settings| {
            self.membership.must_lead()?;
            self.check_name(&name, &asker).map(|()| settings)
        };
        match outcome.and_then(may_write) {
            Ok(settings) => {
                let write = ConfigWrite::Connector { name: name.clone(), settings, target };
                self.write_config(write, Operation::Writing(Write { name, target, asker }, None), effects);
            }
            Err(why) => refuse(asker, why, effects),
        }
    }

    fn is_revision(&self, name: &ConnectorName, revision: Revision) -> bool {
        self.configs.connector(name).is_some_and(|config| config.revision == revision)
    }

    /// Whether who asks may write a connector of that name.
    fn check_name(&self, name: &ConnectorName, asker: &Asker) -> Answer<()> {
        let conflict = |why: &str| Err(HerderError::Conflict(format!("Connector {name} {why}")));
        let exists = self.configs.contains(name);
        match asker {
            Asker::CommandLine { .. } | Asker::Create(_) if exists || self.is_being_written(name) => {
                conflict("already exists")
            }
            Asker::Create(_) | Asker::Put(_) if !exists && self.is_on_command_line(name) => {
                conflict("is about to be created from the command line; try again")
            }
            Asker::CommandLine { .. } | Asker::Create(_) | Asker::Put(_) | Asker::Patch { .. } => Ok(()),
        }
    }

    fn is_being_written(&self, name: &ConnectorName) -> bool {
        self.operations.values().any(|operation| match operation {
            Operation::Writing(write, _) => write.name == *name,
            Operation::Validating(_)
            | Operation::Patching { .. }
            | Operation::WritingTasks(..)
            | Operation::Ending(..)
            | Operation::Targeting(_)
            | Operation::ModifyingOffsets(..)
            | Operation::ReadingForOffsets(_)
            | Operation::CatchingUp
            | Operation::Claiming
            | Operation::PublishingKey
            | Operation::ReadingForTasks(_)
            | Operation::Fencing(_)
            | Operation::WritingTaskCount(_)
            | Operation::Restarting(..) => false,
        })
    }

    /// Whether a deletion or a stop of a connector is being written.
    pub(super) fn is_ending(&self, name: &ConnectorName) -> bool {
        let of = |operation: &Operation| matches!(operation, Operation::Ending(ending, _) if ending == name);
        self.operations.values().any(of)
    }

    /// Whether what an instance of a connector said of its tasks is being written.
    pub(super) fn is_writing_tasks(&self, name: &ConnectorName) -> bool {
        let of = |operation: &Operation| matches!(operation, Operation::WritingTasks(of, _) if of == name);
        self.operations.values().any(of)
    }

    /// A change of offsets is done: the connector may run again.
    pub(super) fn offsets_modified(
        &mut self,
        operation: OperationId,
        outcome: Result<AlterOffsets, HerderError>,
        effects: &mut Effects,
    ) {
        let Some(Operation::ModifyingOffsets(name, reply)) = self.operations.remove(&operation) else {
            return;
        };
        effects.answer(reply, outcome);
        if let Some(entry) = self.connectors.get_mut(&name) {
            entry.offsets_change = false;
        }
        self.changed.insert(name);
    }

    /// Writes a deletion.
    pub(super) fn delete(&mut self, name: ConnectorName, reply: Reply<Answer<()>>, effects: &mut Effects) {
        if let Err(why) = self.membership.must_lead() {
            return effects.answer(reply, Err(why));
        }
        if !self.configs.contains(&name) {
            return effects.answer(reply, Err(not_found(&name)));
        }
        let operation = Operation::Ending(name.clone(), reply);
        self.write_config(ConfigWrite::Removed(name), operation, effects);
    }

    /// Writes that a connector has no tasks, and then that it is stopped.
    pub(super) fn stop(&mut self, name: ConnectorName, reply: Reply<Answer<()>>, effects: &mut Effects) {
        if !self.configs.contains(&name) {
            return effects.answer(reply, Err(unknown(&name)));
        }
        if let Err(why) = self.membership.must_lead() {
            return effects.answer(reply, Err(why));
        }
        let operation = Operation::Ending(name.clone(), reply);
        self.write_config(ConfigWrite::Stopped(name), operation, effects);
    }

    /// Writes that a connector is paused or runs.
    pub(super) fn set_target(
        &mut self,
        name: ConnectorName,
        state: TargetState,
        reply: Reply<Answer<()>>,
        effects: &mut Effects,
    ) {
        if !self.configs.contains(&name) {
            return effects.answer(reply, Err(unknown(&name)));
        }
        self.write_config(ConfigWrite::Target { name, state }, Operation::Targeting(reply), effects);
    }
}

/// The words that pause, resume and stop have for a connector that is not there.
fn unknown(name: &ConnectorName) -> HerderError {
    HerderError::NotFound(format!("Unknown connector {name}"))
}

pub(super) fn refuse(asker: Asker, why: HerderError, effects: &mut Effects) {
    match asker {
        Asker::CommandLine { file } => {
            effects.push(Effect::Exit(Exit::ConnectorFailed(format!("{file}: {why}"))));
        }
        Asker::Create(reply) => effects.answer(reply, Err(why)),
        Asker::Put(reply) | Asker::Patch { reply, .. } => effects.answer(reply, Err(why)),
    }
}
