//! The states of connectors and tasks in a group: what happens here is written to the status topic, and what is shown is
//! what was read back from there, whoever wrote it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Herder;
use super::connector_entry::{ConnectorEntry, TaskEntry};
use super::membership::Membership;
use super::msg::{Effect, Effects};
use super::view::{ConnectorStatus, RunState, Status};
use crate::api::ids::{ConnectorName, Generation, TaskId};
use crate::stdx::time::Now;
use crate::store::status_records::{StatusOf, StatusRecord, StoredStatus, TopicUse};
use crate::store::status_table::{StatusWrite, WriteMode};

impl Herder {
    /// Records of the status topic were read.
    pub(super) fn statuses_read(&mut self, records: Vec<StatusRecord>, effects: &mut Effects) {
        for record in records {
            if self.denies_ours(&record)
                && let StatusRecord::Status(of, _) = &record
            {
                self.forget_written(of);
            }
            if let StatusRecord::Status(StatusOf::Connector(name), None) = &record {
                self.forget_written_tasks(name);
            }
            if let StatusRecord::Topic { connector, topic, used: None } = &record {
                self.topic_forgotten(connector, topic, effects);
            }
            let Some(group) = self.membership.group() else { return };
            let name = match &record {
                StatusRecord::Status(StatusOf::Connector(name), _) => name,
                StatusRecord::Status(StatusOf::Task(id), _) => &id.connector,
                StatusRecord::Topic { connector, .. } => connector,
            };
            self.changed.insert(name.clone());
            group.statuses.read(record);
        }
    }

    /// Writes what has changed of a connector and its tasks here.
    pub(super) fn write_statuses(&mut self, name: &ConnectorName, effects: &mut Effects) {
        let Some(group) = self.membership.group() else { return };
        let Some(entry) = self.connectors.get_mut(name) else { return };
        let generation = group.place().map(|place| place.generation).or(group.last_completed);
        let generation = generation.unwrap_or(Generation::new(0));
        let of_connector = StatusOf::Connector(name.clone());
        let unwritten = entry.take_unwritten().map(|status| (of_connector, status));
        let tasks = entry.tasks.iter_mut().filter_map(|(index, task)| {
            let of = StatusOf::Task(TaskId { connector: name.clone(), index: *index });
            Some((of, task.take_unwritten()?))
        });
        let unwritten: Vec<_> = unwritten.into_iter().chain(tasks).collect();
        for (of, status) in unwritten {
            let mode = write_mode(status.state);
            let stored = StoredStatus {
                state: status.state,
                trace: status.trace,
                worker: status.worker,
                generation,
                version: status.version,
            };
            if let Some(write) = group.statuses.write(of, stored, mode) {
                effects.push(Effect::WriteStatus(write));
            }
        }
    }

    /// A status could not be written for the moment. If it does not count any more as it was, what is true now is written.
    pub(super) fn status_unwritten(&mut self, write: StatusWrite, effects: &mut Effects) {
        let Some(group) = self.membership.group() else { return };
        if group.statuses.may_repeat(&write) {
            return effects.push(Effect::WriteStatus(write));
        }
        self.forget_written(write.of());
    }

    /// Whether a record says that something does not run which runs here: another worker has lost it and is late to tell,
    /// or a leader took it for gone. Or it is what this worker itself told in an earlier generation, perhaps before it was
    /// started again, and that came late.
    fn denies_ours(&self, record: &StatusRecord) -> bool {
        let StatusRecord::Status(of, status) = record else { return false };
        let denies = |status: &StoredStatus| {
            if status.worker == self.settings.worker {
                Some(status.generation) < self.generation()
            } else {
                status.state == RunState::Unassigned
            }
        };
        let is_ours = match of {
            StatusOf::Connector(name) => self.membership.share_of(name).has_instance(),
            StatusOf::Task(id) => self.membership.share_of(&id.connector).has_task(id.index),
        };
        is_ours && status.as_ref().is_none_or(denies)
    }

    /// An assignment is in force: what others have said meanwhile of what runs here does not count.
    pub(super) fn renew_statuses(&mut self) {
        let Membership::Group(group) = &self.membership else { return };
        let others = |status: Option<&StoredStatus>| {
            status.is_some_and(|status| status.worker != self.settings.worker)
        };
        let connectors = group.running.connectors.iter();
        let connectors = connectors.filter(|name| others(group.statuses.connector(name)));
        let tasks = group.running.tasks.iter().filter(|id| others(group.statuses.task(id)));
        let connectors = connectors.cloned().map(StatusOf::Connector);
        let all: Vec<_> = connectors.chain(tasks.cloned().map(StatusOf::Task)).collect();
        all.iter().for_each(|of| self.forget_written(of));
    }

    /// A deletion of a connector came late: what is known of the tasks of the one that there is now went with it.
    fn forget_written_tasks(&mut self, name: &ConnectorName) {
        let share = self.membership.share_of(name);
        let tasks = self.connectors.get(name).into_iter().flat_map(|entry| entry.tasks.keys().copied());
        let ours: Vec<_> = tasks.filter(|index| share.has_task(*index)).collect();
        for index in ours {
            self.forget_written(&StatusOf::Task(TaskId { connector: name.clone(), index }));
        }
    }

    /// Has a status written again, if there is something to say.
    fn forget_written(&mut self, of: &StatusOf) {
        let (name, index) = match of {
            StatusOf::Connector(name) => (name, None),
            StatusOf::Task(id) => (&id.connector, Some(id.index)),
        };
        let Some(entry) = self.connectors.get_mut(name) else { return };
        let (status, written) = match index {
            None => (&entry.status, &mut entry.written),
            Some(index) => match entry.tasks.get_mut(&index) {
                Some(task) => (&task.status, &mut task.written),
                None => return,
            },
        };
        if status.as_ref().is_some_and(|status| status.state != RunState::Unassigned) {
            *written = None;
            self.changed.insert(name.clone());
        }
    }

    /// A task was seen to use a topic for the first time (KIP-558).
    pub(super) fn topic_used(&mut self, now: Now, task: &TaskId, topic: &Arc<str>, effects: &mut Effects) {
        let Some(group) = self.membership.group() else { return };
        if group.statuses.topics(&task.connector).any(|(known, _)| known == topic) {
            return;
        }
        let used = TopicUse { task: task.index, discovered_ms: now.wall.as_millisecond() };
        let record = StatusRecord::Topic {
            connector: task.connector.clone(),
            topic: Arc::clone(topic),
            used: Some(used),
        };
        effects.push(Effect::WriteStatusRecords(vec![record]));
    }

    /// Somebody had it forgotten that a connector uses a topic. Tasks that still do tell it anew.
    fn topic_forgotten(&mut self, name: &ConnectorName, topic: &Arc<str>, effects: &mut Effects) {
        let Some(entry) = self.connectors.get_mut(name) else { return };
        if entry.topics.remove(topic) {
            entry.ask_for_topics(name, effects);
        }
    }

    /// Has it forgotten, here and by all workers, which topics a connector used until now; tasks tell anew what they use.
    pub(super) fn reset_topics(&mut self, name: &ConnectorName, effects: &mut Effects) {
        self.forget_topics(name, effects);
        if let Some(entry) = self.connectors.get(name) {
            entry.ask_for_topics(name, effects);
        }
    }

    /// Has it forgotten, here and by all workers, which topics a connector used.
    pub(super) fn forget_topics(&mut self, name: &ConnectorName, effects: &mut Effects) {
        if let Some(entry) = self.connectors.get_mut(name) {
            entry.topics.clear();
            self.changed.insert(name.clone());
        }
        if let Some(group) = self.membership.group() {
            let tombstones = group.statuses.forget_topics(name);
            if !tombstones.is_empty() {
                effects.push(Effect::WriteStatusRecords(tombstones));
            }
        }
    }

    /// Has it forgotten which topics a deleted connector used. Of all workers the one that ran it tells the others, as in
    /// Apache: whoever leads next does so only where that one has died.
    pub(super) fn forget_topics_here(&mut self, name: &ConnectorName, effects: &mut Effects) {
        match &self.membership {
            Membership::Group(group) if !group.running.connectors.contains(name) => {}
            Membership::Alone | Membership::Group(_) => self.forget_topics(name, effects),
        }
    }

    /// The topics that a connector used.
    pub(super) fn topics_of(&self, name: &ConnectorName) -> BTreeSet<Arc<str>> {
        match &self.membership {
            Membership::Alone => {
                self.connectors.get(name).map(|entry| entry.topics.clone()).unwrap_or_default()
            }
            Membership::Group(group) => {
                group.statuses.topics(name).map(|(topic, _)| Arc::clone(topic)).collect()
            }
        }
    }

    /// How a connector and its tasks do; `None` until that is known.
    pub(super) fn status(&self, name: &ConnectorName) -> Option<ConnectorStatus> {
        let kind = self.info(name)?.kind;
        let (connector, tasks) = match &self.membership {
            Membership::Alone => {
                let entry = self.connectors.get(name)?;
                let tasks = entry.tasks.iter();
                let tasks = tasks.filter_map(|(index, task)| Some((*index, task.status.clone()?))).collect();
                (entry.status.clone()?, tasks)
            }
            Membership::Group(group) => {
                let tasks = group.statuses.tasks(name).map(|(index, stored)| (index, shown(stored)));
                (shown(group.statuses.connector(name)?), tasks.collect())
            }
        };
        Some(ConnectorStatus { name: name.clone(), connector, tasks, kind })
    }
}

/// That something ended or failed yields to what another worker has written of it since.
fn write_mode(state: RunState) -> WriteMode {
    match state {
        RunState::Unassigned | RunState::Failed => WriteMode::Safe,
        RunState::Running | RunState::Paused | RunState::Stopped | RunState::Restarting => WriteMode::Plain,
    }
}

fn shown(stored: &StoredStatus) -> Status {
    Status {
        state: stored.state,
        worker: stored.worker.clone(),
        trace: stored.trace.clone(),
        version: stored.version.clone(),
    }
}

impl ConnectorEntry {
    /// The status of the connector itself, if it was not written as it is now.
    fn take_unwritten(&mut self) -> Option<Status> {
        unwritten(&self.status, &mut self.written)
    }
}

impl TaskEntry {
    /// Its status, if it was not written as it is now.
    fn take_unwritten(&mut self) -> Option<Status> {
        unwritten(&self.status, &mut self.written)
    }
}

fn unwritten(status: &Option<Status>, written: &mut Option<Status>) -> Option<Status> {
    if status == written {
        return None;
    }
    written.clone_from(status);
    status.clone()
}
