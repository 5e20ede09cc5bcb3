//! Operations that go on outside and come back as events, and what each says of itself: checks and writes of settings,
//! changes of offsets.

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

impl Asker {
    /// Whether anybody still waits for the answer.
    pub(super) fn is_wanted(&self) -> bool {
        match self {
            Asker::CommandLine { .. } => true,
            Asker::Create(reply) => reply.is_wanted(),
            Asker::Put(reply) | Asker::Patch { reply, .. } => reply.is_wanted(),
        }
    }
}

/// A connector's settings on their way to the config store.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) name: ConnectorName,
    pub(super) target: Option<TargetState>,
    pub(super) asker: Asker,
}

/// What goes on outside. Each kind has an event of its own that ends it.
#[derive(Debug)]
pub(super) enum Operation {
    /// Settings are checked.
    Validating(Write),
    /// Changes of settings wait for the end of another write of them: what was checked would undo it.
    Patching { name: ConnectorName, changes: Draft, reply: Reply<Answer<(Written, ConnectorInfo)>> },
    /// A change of what is configured is written.
    Writing(Writing),
    /// The config topic is read to its end.
    CatchingUp(CatchUp),
    /// Offsets are changed.
    ModifyingOffsets(ConnectorName, Reply<Answer<AlterOffsets>>),
    /// The config topic is claimed by this leader.
    Claiming,
    /// Earlier tasks of a connector are shut out.
    Fencing(ConnectorName),
}

/// A change of what is configured, on its way to the config store.
#[derive(Debug)]
pub(super) enum Writing {
    /// Settings; known from when they were read back is whether they made the connector.
    Settings(Write, Option<Written>),
    /// What this instance of a connector said of its tasks.
    Tasks(ConnectorName, Epoch),
    /// A deletion or a stop.
    End(ConnectorName, Reply<Answer<()>>),
    /// That a connector is paused or runs, tasks that another worker hands in, a level of the log: who asks is told that
    /// it is written.
    Other(Reply<Answer<()>>),
    /// A session key.
    SessionKey,
    /// That earlier tasks of a connector were shut out.
    TaskCount(ConnectorName),
    /// A restart of parts of a connector; the answer tells which.
    Restart(Box<ConnectorStatus>, Reply<Answer<ConnectorStatus>>),
}

/// What of a connector is being written, as far as others have to mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Settings,
    /// What an instance of it here said of its tasks.
    Tasks,
    /// That it ends.
    End,
}

/// What the config topic is read to its end for.
#[derive(Debug)]
pub(super) enum CatchUp {
    /// An assignment.
    Assignment,
    /// A change of offsets, which must find what others have written there.
    Offsets(Box<OffsetsRequest>),
    /// Tasks that write exactly once.
    Tasks(Vec<Unread>),
}

impl Writing {
    fn part(&self) -> Option<(&ConnectorName, Part)> {
        match self {
            Writing::Settings(write, _) => Some((&write.name, Part::Settings)),
            Writing::Tasks(name, _) => Some((name, Part::Tasks)),
            Writing::End(name, _) => Some((name, Part::End)),
            Writing::Other(_) | Writing::SessionKey | Writing::TaskCount(_) | Writing::Restart(..) => None,
        }
    }

    /// The settings of a connector were read: if they may be these, what they did is to be noted here.
    pub(super) fn awaits_settings_of(&mut self, connector: &ConnectorName) -> Option<&mut Option<Written>> {
        let Writing::Settings(write, written @ None) = self else { return None };
        (write.name == *connector).then_some(written)
    }
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
            Asker::Patch { changes, reply, .. } if self.is_writing(Part::Settings, &name) => {
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
            self.membership.must_not_follow()?;
            self.check_name(&name, &asker).map(|()| settings)
        };
        match outcome.and_then(may_write) {
            Ok(settings) => {
                let write = ConfigWrite::Connector { name: name.clone(), settings, target };
                self.write_config(write, Writing::Settings(Write { name, target, asker }, None), effects);
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
            Asker::CommandLine { .. } | Asker::Create(_)
                if exists || self.is_writing(Part::Settings, name) =>
            {
                conflict("already exists")
            }
            Asker::Create(_) | Asker::Put(_) if !exists && self.is_on_command_line(name) => {
                conflict("is about to be created from the command line; try again")
            }
            Asker::CommandLine { .. } | Asker::Create(_) | Asker::Put(_) | Asker::Patch { .. } => Ok(()),
        }
    }

    /// Whether this part of a connector is being written, or waits for that.
    pub(super) fn is_writing(&self, part: Part, name: &ConnectorName) -> bool {
        let is_it = |operation: &Operation| matches!(operation, Operation::Writing(writing) if writing.part() == Some((name, part)));
        self.operations.values().any(is_it)
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
        let writing = Writing::End(name.clone(), reply);
        self.write_config(ConfigWrite::Removed(name), writing, effects);
    }

    /// Writes that a connector has no tasks, and then that it is stopped.
    pub(super) fn stop(&mut self, name: ConnectorName, reply: Reply<Answer<()>>, effects: &mut Effects) {
        if !self.configs.contains(&name) {
            return effects.answer(reply, Err(unknown(&name)));
        }
        if let Err(why) = self.membership.must_lead() {
            return effects.answer(reply, Err(why));
        }
        let writing = Writing::End(name.clone(), reply);
        self.write_config(ConfigWrite::Stopped(name), writing, effects);
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
        self.write_config(ConfigWrite::Target { name, state }, Writing::Other(reply), effects);
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
