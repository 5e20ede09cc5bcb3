//! What is configured: the fold of all config records, in the order they were written.
//!
//! Pure. Standalone mode folds what it wrote itself; distributed mode what it reads from the config topic, where the
//! tasks of a connector come one by one and count together with the commit that follows them. A compacted topic may have
//! lost tasks before a commit, or the settings of a connector before its tasks: such tasks never count.
//!
//! A leader may end between tasks and their commit. What was in force stays so for whoever has read it, but compaction may
//! take it away: then who comes later finds the connector inconsistent. So tasks that were written over are to be written
//! again, even if they are the same.

use std::collections::BTreeMap;

use super::config_records::{ConfigRecord, StoredSettings};
use super::session_key::SessionKey;
use crate::api::Settings;
use crate::api::ids::{ConfigOffset, ConnectorName, TaskId};

/// What a user wants of a connector, apart from its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetState {
    /// Runs.
    Started,
    /// Keeps its tasks, which do nothing.
    Paused,
    /// Has no tasks (KIP-875).
    Stopped,
}

impl TargetState {
    /// The word that stands for it in `initial_state` (KIP-980), in any case.
    pub fn from_initial(word: &str) -> Option<Self> {
        let states = [
            ("RUNNING", TargetState::Started),
            ("PAUSED", TargetState::Paused),
            ("STOPPED", TargetState::Stopped),
        ];
        states.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, state)| state)
    }

    /// The word that stands for it in the config topic.
    pub(super) fn name(self) -> &'static str {
        match self {
            TargetState::Started => "STARTED",
            TargetState::Paused => "PAUSED",
            TargetState::Stopped => "STOPPED",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let states = [TargetState::Started, TargetState::Paused, TargetState::Stopped];
        states.into_iter().find(|state| state.name() == name)
    }
}

/// Which parts of a connector a restart is about (KIP-745).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartScope {
    /// Only what has failed.
    pub only_failed: bool,
    /// The tasks, too.
    pub include_tasks: bool,
}

/// Counts changes: a later one is greater. Tells a running instance from what is wanted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Revision(u64);

/// What is configured for one connector.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectorConfig {
    /// The settings as the user wrote them. One that was stored without a value is left out: nothing that runs here
    /// tells the two apart.
    pub settings: Settings,
    /// Changes with every write of the settings.
    pub revision: Revision,
    /// What the user wants of it.
    pub target: TargetState,
    /// The settings of its tasks; none while it is inconsistent.
    pub tasks: Vec<Settings>,
    /// Changes with every write of task settings.
    pub tasks_revision: Revision,
    /// The connector settings that the tasks were made from, Apache's applied config; empty before there were any.
    pub tasks_made_from: Settings,
    /// Tasks were committed of which some are missing. Nothing runs until new ones are written.
    pub inconsistent: bool,
    /// Some of the tasks were written over, and no commit has followed: who reads the topic from its beginning may not find
    /// what is in force here.
    pub overwritten: bool,
}

impl ConnectorConfig {
    /// Whether tasks that the connector would have now are others than those in force, or were made from other settings
    /// of the connector, or those in force are not what the topic has: then they are to be written.
    pub fn tasks_differ(&self, tasks: &[Settings]) -> bool {
        self.inconsistent || self.overwritten || self.tasks != tasks || self.tasks_made_from != self.settings
    }
}

/// What is known of the name of a connector besides what is configured. It may come before that and outlives it.
#[derive(Debug, Clone, PartialEq, Default)]
struct NameRecords {
    /// What a user wants of a connector that is not configured.
    target: Option<TargetState>,
    /// Whether it was inconsistent when it was deleted; until tasks are committed again, it is.
    inconsistent: bool,
    /// The tasks that were read since the last commit; `None` until the first task of a connector.
    deferred: Option<BTreeMap<u32, Settings>>,
    /// Counts the commits that brought tasks.
    generation: Option<u32>,
    fenced_tasks: Option<u32>,
    pending_fencing: bool,
}

/// What a record changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigChange {
    /// Nothing that anybody has to act on.
    Nothing,
    /// A connector is there, or has other settings.
    ConnectorUpdated(ConnectorName),
    /// A connector is not there any more, if it ever was.
    ConnectorRemoved(ConnectorName),
    /// A commit was read.
    TasksUpdated {
        /// The connector.
        name: ConnectorName,
        /// The tasks that were written anew.
        tasks: Vec<u32>,
    },
    /// The first of the tasks in force was written over: those will do only until the commit that should follow.
    TasksOverwritten(ConnectorName),
    /// A user wants something else of a connector.
    TargetChanged(ConnectorName),
    /// There is a new session key.
    SessionKey,
    /// Parts of a connector are to be started again.
    Restart(ConnectorName, RestartScope),
    /// Loggers get another level.
    LoggerLevel {
        /// The logger with all below it.
        namespace: String,
        /// The level.
        level: String,
    },
}

/// All that is configured.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConfigState {
    offset: ConfigOffset,
    session_key: Option<SessionKey>,
    connectors: BTreeMap<ConnectorName, ConnectorConfig>,
    names: BTreeMap<ConnectorName, NameRecords>,
    last: Revision,
}

impl ConfigState {
    /// Takes one record in.
    pub fn apply(&mut self, record: &ConfigRecord) -> ConfigChange {
        self.last.0 += 1;
        match record {
            ConfigRecord::Connector { name, settings } => self.connector_read(name, settings),
            ConfigRecord::Removed(name) => self.connector_removed(name),
            ConfigRecord::Target { name, state } => self.target_read(name, *state),
            ConfigRecord::Task { id, settings } => self.task_read(id, settings),
            ConfigRecord::Commit { name, tasks } => self.tasks_committed(name, *tasks),
            ConfigRecord::TaskCount { name, count } => {
                let records = self.of_name(name);
                records.fenced_tasks = Some(*count);
                records.pending_fencing = false;
                ConfigChange::Nothing
            }
            ConfigRecord::SessionKey(key) => {
                self.session_key = Some(key.clone());
                ConfigChange::SessionKey
            }
            ConfigRecord::Restart { name, scope } => ConfigChange::Restart(name.clone(), *scope),
            ConfigRecord::LoggerLevel { namespace, level } => {
                ConfigChange::LoggerLevel { namespace: namespace.clone(), level: level.clone() }
            }
        }
    }

    /// The config topic was read up to here.
    pub fn read_to(&mut self, offset: ConfigOffset) {
        self.offset = offset;
    }

    /// How far the config topic was read. In standalone mode there is none.
    pub fn offset(&self) -> ConfigOffset {
        self.offset
    }

    /// The key for requests between workers, once there is one.
    pub fn session_key(&self) -> Option<&SessionKey> {
        self.session_key.as_ref()
    }

    /// What is configured for a connector; `None` if there is none of that name.
    pub fn connector(&self, name: &ConnectorName) -> Option<&ConnectorConfig> {
        self.connectors.get(name)
    }

    /// Whether a connector of that name is configured.
    pub fn contains(&self, name: &ConnectorName) -> bool {
        self.connectors.contains_key(name)
    }

    /// The names of all connectors, ordered.
    pub fn names(&self) -> impl Iterator<Item = &ConnectorName> {
        self.connectors.keys()
    }

    /// Which of the consecutive sets of tasks of a connector is in force; `None` before the first. A task of an earlier
    /// one must not begin to write with exactly-once.
    pub fn task_config_generation(&self, name: &ConnectorName) -> Option<u32> {
        self.names.get(name)?.generation
    }

    /// For how many tasks of a connector earlier producers were fenced out last; `None` if never. It outlives the
    /// connector, whose producers may, too.
    pub fn fenced_tasks(&self, name: &ConnectorName) -> Option<u32> {
        self.names.get(name)?.fenced_tasks
    }

    /// Whether tasks were committed since: they must not begin to write with exactly-once before the earlier ones are
    /// fenced out.
    pub fn is_pending_fencing(&self, name: &ConnectorName) -> bool {
        self.names.get(name).is_some_and(|records| records.pending_fencing)
    }

    fn of_name(&mut self, name: &ConnectorName) -> &mut NameRecords {
        self.names.entry(name.clone()).or_default()
    }

    fn connector_read(&mut self, name: &ConnectorName, settings: &StoredSettings) -> ConfigChange {
        let (settings, revision) = (with_values(settings), self.last);
        match self.connectors.get_mut(name) {
            Some(config) => {
                config.settings = settings;
                config.revision = revision;
            }
            None => {
                let records = self.of_name(name);
                let config = ConnectorConfig {
                    settings,
                    revision,
                    target: records.target.take().unwrap_or(TargetState::Started),
                    tasks: Vec::new(),
                    tasks_revision: revision,
                    tasks_made_from: Settings::new(),
                    inconsistent: std::mem::take(&mut records.inconsistent),
                    overwritten: false,
                };
                self.connectors.insert(name.clone(), config);
            }
        }
        ConfigChange::ConnectorUpdated(name.clone())
    }

    /// Fencing and the count of commits stay: they are for producers, and a later connector of the name has the same.
    fn connector_removed(&mut self, name: &ConnectorName) -> ConfigChange {
        let config = self.connectors.remove(name);
        let records = self.of_name(name);
        records.deferred = None;
        if let Some(config) = config {
            // Until its own tombstone comes.
            records.target = Some(config.target);
            records.inconsistent = config.inconsistent;
        }
        ConfigChange::ConnectorRemoved(name.clone())
    }

    fn target_read(&mut self, name: &ConnectorName, state: Option<TargetState>) -> ConfigChange {
        let Some(config) = self.connectors.get_mut(name) else {
            self.of_name(name).target = state;
            return ConfigChange::Nothing;
        };
        let before = config.target;
        config.target = state.unwrap_or(TargetState::Started);
        // A tombstone goes with a deletion, which tells of itself.
        match state {
            Some(state) if state != before => ConfigChange::TargetChanged(name.clone()),
            Some(_) | None => ConfigChange::Nothing,
        }
    }

    fn task_read(&mut self, id: &TaskId, settings: &StoredSettings) -> ConfigChange {
        let deferred = self.of_name(&id.connector).deferred.get_or_insert_default();
        deferred.insert(id.index, with_values(settings));
        match self.connectors.get_mut(&id.connector) {
            Some(config) if (id.index as usize) < config.tasks.len() && !config.overwritten => {
                config.overwritten = true;
                ConfigChange::TasksOverwritten(id.connector.clone())
            }
            Some(_) | None => ConfigChange::Nothing,
        }
    }

    fn tasks_committed(&mut self, name: &ConnectorName, count: u32) -> ConfigChange {
        let records = self.names.entry(name.clone()).or_default();
        let Some(config) = self.connectors.get_mut(name) else {
            // Both the connector's settings and its deletion were compacted away.
            records.deferred = None;
            return ConfigChange::Nothing;
        };
        let had_tasks = records.deferred.is_some();
        let written = records.deferred.as_mut().map(std::mem::take).unwrap_or_default();
        let mut updated: Vec<u32> = written.keys().copied().collect();
        // Records of tasks beyond the count may be left from when there were more.
        let tasks: Vec<Settings> = (0..count).zip(written).map_while(in_its_place).collect();
        config.overwritten = false;
        config.inconsistent = u32::try_from(tasks.len()) != Ok(count);
        config.tasks_revision = self.last;
        if config.inconsistent {
            config.tasks.clear();
            updated.clear();
        } else {
            config.tasks = tasks;
            config.tasks_made_from.clone_from(&config.settings);
            if had_tasks {
                records.generation = Some(records.generation.map_or(0, |generation| generation + 1));
            }
        }
        records.pending_fencing = true;
        ConfigChange::TasksUpdated { name: name.clone(), tasks: updated }
    }
}

/// The settings of a task, unless one before it is missing.
fn in_its_place((expected, (index, settings)): (u32, (u32, Settings))) -> Option<Settings> {
    (index == expected).then_some(settings)
}

fn with_values(settings: &StoredSettings) -> Settings {
    settings.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect()
}

#[cfg(test)]
mod tests;
