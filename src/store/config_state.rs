//! What is configured: the fold of all config entries, in the order they were written.
//!
//! Pure. Standalone mode folds what it wrote itself; distributed mode what it reads from the config topic.

use std::collections::BTreeMap;

use crate::api::Settings;
use crate::api::ids::ConnectorName;

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
}

/// One change of what is configured.
#[derive(Debug, Clone, PartialEq)]
pub enum ConfigEntry {
    /// A connector was created or its settings replaced. `target` is set for a new one with an initial state.
    Connector {
        /// Its name.
        name: ConnectorName,
        /// All its settings, as the user wrote them: references to config providers unresolved.
        settings: Settings,
        /// The initial state (KIP-980); `None` keeps what was, or starts.
        target: Option<TargetState>,
    },
    /// A connector was deleted.
    Removed(ConnectorName),
    /// The connector's tasks, all at once.
    Tasks {
        /// Its name.
        name: ConnectorName,
        /// The settings of each task.
        tasks: Vec<Settings>,
    },
    /// What a user wants of a connector.
    Target {
        /// Its name.
        name: ConnectorName,
        /// The new target state.
        state: TargetState,
    },
}

impl ConfigEntry {
    /// The connector it is about.
    pub fn connector(&self) -> &ConnectorName {
        match self {
            ConfigEntry::Connector { name, .. }
            | ConfigEntry::Removed(name)
            | ConfigEntry::Tasks { name, .. }
            | ConfigEntry::Target { name, .. } => name,
        }
    }
}

/// Counts changes: a later one is greater. Tells a running instance from what is wanted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Revision(u64);

/// What is configured for one connector.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectorConfig {
    /// The settings as the user wrote them.
    pub settings: Settings,
    /// Changes with every write of the settings.
    pub revision: Revision,
    /// What the user wants of it.
    pub target: TargetState,
    /// The settings of its tasks.
    pub tasks: Vec<Settings>,
    /// Changes with every write of task settings.
    pub tasks_revision: Revision,
    /// The connector settings that the tasks were made from.
    pub tasks_made_from: Settings,
}

/// All that is configured.
#[derive(Debug, Clone, Default)]
pub struct ConfigState {
    connectors: BTreeMap<ConnectorName, ConnectorConfig>,
    last: Revision,
}

impl ConfigState {
    /// Takes one entry in. An entry about a connector that does not exist changes nothing.
    pub fn apply(&mut self, entry: &ConfigEntry) {
        self.last.0 += 1;
        let revision = self.last;
        match entry {
            ConfigEntry::Connector { name, settings, target } => match self.connectors.get_mut(name) {
                Some(config) => {
                    config.settings.clone_from(settings);
                    config.revision = revision;
                    config.target = target.unwrap_or(config.target);
                }
                None => {
                    let config = ConnectorConfig {
                        settings: settings.clone(),
                        revision,
                        target: target.unwrap_or(TargetState::Started),
                        tasks: Vec::new(),
                        tasks_revision: revision,
                        tasks_made_from: Settings::new(),
                    };
                    self.connectors.insert(name.clone(), config);
                }
            },
            ConfigEntry::Removed(name) => {
                self.connectors.remove(name);
            }
            ConfigEntry::Tasks { name, tasks } => {
                if let Some(config) = self.connectors.get_mut(name) {
                    config.tasks.clone_from(tasks);
                    config.tasks_revision = revision;
                    config.tasks_made_from.clone_from(&config.settings);
                }
            }
            ConfigEntry::Target { name, state } => {
                if let Some(config) = self.connectors.get_mut(name) {
                    config.target = *state;
                }
            }
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        Settings::from([("topic".to_owned(), text.to_owned())])
    }

    fn put(state: &mut ConfigState, text: &str) {
        state.apply(&ConfigEntry::Connector { name: "c".into(), settings: settings(text), target: None });
    }

    #[test]
    fn new_settings_keep_target_and_tasks() {
        let mut state = ConfigState::default();
        put(&mut state, "a");
        state.apply(&ConfigEntry::Tasks { name: "c".into(), tasks: vec![settings("a")] });
        state.apply(&ConfigEntry::Target { name: "c".into(), state: TargetState::Paused });
        let before = state.connector(&"c".into()).unwrap().clone();
        put(&mut state, "b");
        let after = state.connector(&"c".into()).unwrap();
        assert!(after.revision > before.revision);
        assert_eq!((after.target, &after.tasks), (TargetState::Paused, &before.tasks));
        assert_eq!(after.tasks_revision, before.tasks_revision);
        assert_eq!(after.tasks_made_from, settings("a"));
    }

    #[test]
    fn what_is_about_no_connector_changes_nothing() {
        let mut state = ConfigState::default();
        state.apply(&ConfigEntry::Target { name: "c".into(), state: TargetState::Stopped });
        state.apply(&ConfigEntry::Tasks { name: "c".into(), tasks: vec![] });
        assert_eq!(state.names().count(), 0);
        put(&mut state, "a");
        assert_eq!(state.connector(&"c".into()).unwrap().target, TargetState::Started);
        state.apply(&ConfigEntry::Removed("c".into()));
        assert!(!state.contains(&"c".into()));
    }
}
