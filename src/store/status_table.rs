//! What is known of all connectors and tasks of the group: the fold of what was read back of the status topic, and when
//! a worker may write into it.
//!
//! Pure. A write shows in here only when it is read back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config_state::ConfigState;
use super::status_records::{RunState, StatusOf, StatusRecord, StoredStatus, TopicUse};
use crate::api::ids::{ConnectorName, Generation, TaskId};

/// How much a write yields to what others have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// Not at all: what a worker begins, and what a user asked for.
    Plain,
    /// To what another worker wrote in a later generation: that something ended or failed.
    Safe,
}

/// A status on its way to the topic.
#[derive(Debug, Clone)]
pub struct StatusWrite {
    of: StatusOf,
    status: StoredStatus,
    mode: WriteMode,
    entry: Serial,
    write: Serial,
}

impl StatusWrite {
    /// Whose status it is.
    pub fn of(&self) -> &StatusOf {
        &self.of
    }

    /// The record to write.
    pub fn record(&self) -> StatusRecord {
        StatusRecord::Status(self.of.clone(), Some(self.status.clone()))
    }
}

/// Counts entries and writes of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Serial(u64);

/// What is known of one connector or task.
#[derive(Debug, Clone)]
struct Entry {
    /// `None` until the first status is read back.
    status: Option<StoredStatus>,
    /// Tells it from the entry that comes after its deletion.
    serial: Serial,
    /// The last write to it.
    last_write: Serial,
}

/// The statuses and the used topics that were read back.
#[derive(Debug, Clone, Default)]
pub struct StatusTable {
    entries: BTreeMap<StatusOf, Entry>,
    topics: BTreeMap<ConnectorName, BTreeMap<Arc<str>, TopicUse>>,
    /// That of the last status that this worker wrote.
    generation: Option<Generation>,
    last: Serial,
}

impl StatusTable {
    /// Takes in what was read back.
    pub fn read(&mut self, record: StatusRecord) {
        match record {
            StatusRecord::Status(of, Some(status)) => {
                let entry = self.entry(&of);
                if !is_stale(&of, &status, entry.status.as_ref()) {
                    entry.status = Some(status);
                }
            }
            StatusRecord::Status(of, None) => {
                self.entries.remove(&of);
                // The tasks of a deleted connector go with it.
                if let StatusOf::Connector(name) = of {
                    self.entries.retain(|of, _| !matches!(of, StatusOf::Task(id) if id.connector == name));
                }
            }
            StatusRecord::Topic { connector, topic, used: Some(used) } => {
                self.topics.entry(connector).or_default().insert(topic, used);
            }
            StatusRecord::Topic { connector, topic, used: None } => {
                if let Some(topics) = self.topics.get_mut(&connector) {
                    topics.remove(&topic);
                }
            }
        }
    }

    /// The status of a connector, if one was read.
    pub fn connector(&self, name: &ConnectorName) -> Option<&StoredStatus> {
        self.entries.get(&StatusOf::Connector(name.clone()))?.status.as_ref()
    }

    /// The status of a task, if one was read.
    pub fn task(&self, id: &TaskId) -> Option<&StoredStatus> {
        self.entries.get(&StatusOf::Task(id.clone()))?.status.as_ref()
    }

    /// The statuses of the tasks of a connector, by number.
    pub fn tasks(&self, name: &ConnectorName) -> impl Iterator<Item = (u32, &StoredStatus)> {
        let task = |index| StatusOf::Task(TaskId { connector: name.clone(), index });
        self.entries.range(task(0)..=task(u32::MAX)).filter_map(|(of, entry)| match of {
            StatusOf::Task(id) => Some((id.index, entry.status.as_ref()?)),
            StatusOf::Connector(_) => None,
        })
    }

    /// The topics that a connector was seen to use, ordered.
    pub fn topics(&self, name: &ConnectorName) -> impl Iterator<Item = (&Arc<str>, TopicUse)> {
        self.topics.get(name).into_iter().flatten().map(|(topic, used)| (topic, *used))
    }

    /// What to write so that a status of this worker is known to all; `None` if it must not be written.
    pub fn write(&mut self, of: StatusOf, status: StoredStatus, mode: WriteMode) -> Option<StatusWrite> {
        self.generation = Some(status.generation);
        let write = self.next();
        let entry = self.entry(&of);
        if mode == WriteMode::Safe && !yields_to_none(&status, entry.status.as_ref()) {
            return None;
        }
        entry.last_write = write;
        let entry = entry.serial;
        Some(StatusWrite { of, status, mode, entry, write })
    }

    /// Whether a write that failed for the moment may be sent once more. Not if the connector or task was deleted since, if
    /// this worker is in another generation or has written something newer, or, for a safe one, if others have. (Apache's
    /// worker sends a plain one again behind a newer one, which then does not count.)
    pub fn may_repeat(&self, write: &StatusWrite) -> bool {
        let Some(entry) = self.entries.get(&write.of).filter(|entry| entry.serial == write.entry) else {
            return false;
        };
        let is_newest = self.generation == Some(write.status.generation) && entry.last_write == write.write;
        is_newest && (write.mode == WriteMode::Plain || yields_to_none(&write.status, entry.status.as_ref()))
    }

    /// What a new leader deletes: the statuses of tasks that there are no longer, and of connectors that there are no
    /// longer, those after those of their tasks; and the topics that such connectors used.
    pub fn leftovers(&self, configs: &ConfigState) -> Vec<StatusRecord> {
        let tasks = |name: &ConnectorName| configs.connector(name).map_or(0, |config| config.tasks.len());
        let known = self.entries.iter().filter(|(_, entry)| entry.status.is_some()).map(|(of, _)| of);
        let is_gone = |of: &&StatusOf| match of {
            StatusOf::Connector(name) => !configs.contains(name),
            StatusOf::Task(id) => id.index as usize >= tasks(&id.connector),
        };
        let mut gone: Vec<&StatusOf> = known.filter(is_gone).collect();
        gone.sort_by_key(|of| matches!(of, StatusOf::Connector(_)));
        let statuses = gone.into_iter().map(|of| StatusRecord::Status(of.clone(), None));
        let gone = self.topics.keys().filter(|name| !configs.contains(name));
        statuses.chain(gone.flat_map(|name| self.forget_topics(name))).collect()
    }

    /// The tombstones that have it forgotten which topics a connector used.
    pub fn forget_topics(&self, name: &ConnectorName) -> Vec<StatusRecord> {
        let tombstone = |topic: &Arc<str>| StatusRecord::Topic {
            connector: name.clone(),
            topic: topic.clone(),
            used: None,
        };
        self.topics(name).map(|(topic, _)| tombstone(topic)).collect()
    }

    fn entry(&mut self, of: &StatusOf) -> &mut Entry {
        let serial = self.next();
        let new = || Entry { status: None, serial, last_write: Serial::default() };
        self.entries.entry(of.clone()).or_insert_with(new)
    }

    fn next(&mut self) -> Serial {
        self.last.0 += 1;
        self.last
    }
}

/// Whether a status that was read says what was true before what is known: a worker that lost a task may be slower to
/// tell than the one that got it.
fn is_stale(of: &StatusOf, read: &StoredStatus, known: Option<&StoredStatus>) -> bool {
    matches!(of, StatusOf::Task(_))
        && read.state == RunState::Unassigned
        && known.is_some_and(|known| known.state == RunState::Running && known.generation >= read.generation)
}

/// Whether nobody else has written anything newer than what this worker is about to write.
fn yields_to_none(mine: &StoredStatus, known: Option<&StoredStatus>) -> bool {
    known.is_none_or(|known| known.worker == mine.worker || known.generation <= mine.generation)
}

#[cfg(test)]
mod tests {
    use super::super::config_records::{ConfigRecord, StoredSettings};
    use super::*;
    use crate::api::ids::WorkerId;

    fn status(state: RunState, worker: &str, generation: i32) -> StoredStatus {
        StoredStatus {
            state,
            trace: None,
            worker: WorkerId::new(worker),
            generation: Generation::new(generation),
            version: None,
        }
    }

    fn id(index: u32) -> TaskId {
        TaskId { connector: "c".into(), index }
    }

    fn task(index: u32) -> StatusOf {
        StatusOf::Task(id(index))
    }

    fn table(known: Option<StoredStatus>) -> StatusTable {
        let mut table = StatusTable::default();
        if let Some(known) = known {
            table.read(StatusRecord::Status(task(0), Some(known)));
        }
        table
    }

    #[test]
    fn an_unassigned_task_of_the_past_is_not_believed() {
        use RunState::{Failed, Running, Unassigned};
        for (known, read, believed) in [
            (None, (Unassigned, 1), true),
            (Some((Running, 4)), (Unassigned, 3), false),
            (Some((Running, 4)), (Unassigned, 4), false),
            (Some((Running, 4)), (Unassigned, 5), true),
            (Some((Failed, 4)), (Unassigned, 3), true),
            (Some((Running, 4)), (Failed, 3), true),
        ] {
            let mut table = table(known.map(|(state, generation)| status(state, "a", generation)));
            let read = status(read.0, "b", read.1);
            table.read(StatusRecord::Status(task(0), Some(read.clone())));
            assert_eq!(table.task(&id(0)) == Some(&read), believed, "{known:?} {read:?}");
        }
        let mut table = StatusTable::default();
        let connector = StatusOf::Connector("c".into());
        for state in [Running, Unassigned] {
            table.read(StatusRecord::Status(connector.clone(), Some(status(state, "a", 4))));
        }
        assert_eq!(table.connector(&"c".into()).unwrap().state, Unassigned, "the rule is for tasks");
    }

    #[test]
    fn a_safe_write_yields_to_what_another_wrote_later() {
        for (known, written) in
            [(None, true), (Some(("me", 9)), true), (Some(("you", 5)), true), (Some(("you", 6)), false)]
        {
            let known = known.map(|(worker, generation)| status(RunState::Running, worker, generation));
            let mine = status(RunState::Failed, "me", 5);
            let mut table = table(known.clone());
            let write = table.write(task(0), mine.clone(), WriteMode::Safe);
            assert_eq!(write.is_some(), written, "{known:?}");
            let plain = table.write(task(0), mine, WriteMode::Plain);
            assert!(plain.is_some(), "{known:?}");
            assert_eq!(table.task(&id(0)), known.as_ref(), "it shows when it is read back");
        }
    }

    #[test]
    fn a_write_is_not_repeated_once_something_came_between() {
        let mine = |generation| status(RunState::Failed, "me", generation);
        type Between = fn(&mut StatusTable);
        let theirs: Between = |table| {
            table.read(StatusRecord::Status(task(0), Some(status(RunState::Running, "you", 6))));
        };
        let mine_again: Between = |table| {
            let again = status(RunState::Running, "me", 5);
            assert!(table.write(task(0), again, WriteMode::Plain).is_some());
        };
        let deleted: Between = |table| table.read(StatusRecord::Status(task(0), None));
        let deleted_and_made_anew: Between = |table| {
            table.read(StatusRecord::Status(task(0), None));
            table.read(StatusRecord::Status(task(0), Some(status(RunState::Running, "me", 5))));
        };
        let next_generation: Between = |table| {
            let other = status(RunState::Running, "me", 6);
            assert!(table.write(task(1), other, WriteMode::Plain).is_some());
        };
        let nothing: Between = |_| {};
        for (what, between, safe, plain) in [
            ("nothing", nothing, true, true),
            ("another worker's", theirs, false, true),
            ("a later one of mine", mine_again, false, false),
            ("a deletion", deleted, false, false),
            ("a deletion and a new one", deleted_and_made_anew, false, false),
            ("a generation", next_generation, false, false),
        ] {
            for (mode, expected) in [(WriteMode::Safe, safe), (WriteMode::Plain, plain)] {
                let mut table = table(Some(status(RunState::Running, "me", 5)));
                let write = table.write(task(0), mine(5), mode).unwrap();
                between(&mut table);
                assert_eq!(table.may_repeat(&write), expected, "{what} between, {mode:?}");
            }
        }
    }

    #[test]
    fn a_leader_deletes_what_is_left_of_tasks_and_connectors() {
        let mut configs = ConfigState::default();
        let c = || ConnectorName::from("c");
        for record in [
            ConfigRecord::Connector { name: c(), settings: StoredSettings::new() },
            ConfigRecord::Task { id: id(0), settings: StoredSettings::new() },
            ConfigRecord::Commit { name: c(), tasks: 1 },
        ] {
            configs.apply(&record);
        }
        let mut table = StatusTable::default();
        let gone = TaskId { connector: "a".into(), index: 7 };
        for of in [
            StatusOf::Connector("a".into()),
            StatusOf::Task(gone.clone()),
            StatusOf::Connector(c()),
            task(0),
            task(1),
        ] {
            table.read(StatusRecord::Status(of, Some(status(RunState::Running, "me", 1))));
        }
        let topic =
            |name: &str, used| StatusRecord::Topic { connector: name.into(), topic: "t".into(), used };
        for name in ["a", "c"] {
            table.read(topic(name, Some(TopicUse { task: 0, discovered_ms: 5 })));
        }
        let tasks: Vec<_> = table.tasks(&c()).map(|(index, _)| index).collect();
        assert_eq!(tasks, [0, 1]);
        let leftovers = table.leftovers(&configs);
        let expected = [StatusOf::Task(gone), task(1), StatusOf::Connector("a".into())];
        let mut expected = expected.map(|of| StatusRecord::Status(of, None)).to_vec();
        expected.push(topic("a", None));
        assert_eq!(leftovers, expected);
        leftovers.into_iter().for_each(|record| table.read(record));
        assert_eq!(table.leftovers(&configs), []);
    }

    #[test]
    fn topics_are_known_until_they_are_forgotten() {
        let mut table = StatusTable::default();
        let used = TopicUse { task: 2, discovered_ms: 5 };
        for (connector, topic) in [("c", "u"), ("c", "t"), ("d", "t"), ("c", "t")] {
            let used = Some(used);
            table.read(StatusRecord::Topic { connector: connector.into(), topic: topic.into(), used });
        }
        let topics = |table: &StatusTable, name: &str| {
            table.topics(&name.into()).map(|(topic, _)| topic.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(topics(&table, "c"), ["t", "u"]);
        table.forget_topics(&"c".into()).into_iter().for_each(|record| table.read(record));
        assert_eq!((topics(&table, "c").len(), topics(&table, "d")), (0, vec!["t".to_owned()]));
    }
}
