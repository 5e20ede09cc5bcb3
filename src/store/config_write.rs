//! What the herder wants written to the config store, and the records that it is made of. Pure.

use super::config_records::{ConfigRecord, StoredSettings, stored};
use super::config_state::{RestartScope, TargetState};
use super::session_key::SessionKey;
use crate::api::Settings;
use crate::api::ids::{ConnectorName, TaskId};

/// One change of what is configured, to be written as a whole.
#[derive(Debug, Clone, PartialEq)]
pub enum ConfigWrite {
    /// A connector is created or its settings are replaced.
    Connector {
        /// Its name.
        name: ConnectorName,
        /// All its settings, as the user wrote them: references to config providers unresolved.
        settings: Settings,
        /// The initial state (KIP-980); `None` keeps what was, or starts.
        target: Option<TargetState>,
    },
    /// A connector is deleted. The records of its tasks stay.
    Removed(ConnectorName),
    /// The connector's tasks, all at once.
    Tasks {
        /// Its name.
        name: ConnectorName,
        /// The settings of each task.
        tasks: Vec<StoredSettings>,
    },
    /// A connector has no tasks from now on, and then is stopped.
    Stopped(ConnectorName),
    /// What a user wants of a connector.
    Target {
        /// Its name.
        name: ConnectorName,
        /// The new target state.
        state: TargetState,
    },
    /// The key for requests between workers.
    SessionKey(SessionKey),
    /// For how many tasks earlier producers were fenced out.
    TaskCount {
        /// The connector.
        name: ConnectorName,
        /// So many tasks may have producers.
        count: u32,
    },
    /// Parts of a connector are to be started again, wherever they run.
    Restart {
        /// Its name.
        name: ConnectorName,
        /// Which parts.
        scope: RestartScope,
    },
    /// The level of loggers of all workers.
    LoggerLevel {
        /// The logger with all below it.
        namespace: String,
        /// The level.
        level: String,
    },
}

impl ConfigWrite {
    /// The records to write. Those of one group are sent together; a group is sent once all of the one before it were
    /// acknowledged, and not at all if one was not.
    pub fn records(&self) -> Vec<Vec<ConfigRecord>> {
        match self.clone() {
            ConfigWrite::Connector { name, settings, target } => {
                // First the state: the connector must not start before it is known that it shall not.
                let target =
                    target.map(|state| ConfigRecord::Target { name: name.clone(), state: Some(state) });
                let connector = ConfigRecord::Connector { name, settings: stored(settings) };
                vec![target.into_iter().chain([connector]).collect()]
            }
            ConfigWrite::Removed(name) => {
                vec![vec![ConfigRecord::Removed(name.clone()), ConfigRecord::Target { name, state: None }]]
            }
            ConfigWrite::Tasks { name, tasks } => tasks_then_commit(name, tasks),
            ConfigWrite::Stopped(name) => {
                let stopped = ConfigRecord::Target { name: name.clone(), state: Some(TargetState::Stopped) };
                let mut groups = tasks_then_commit(name, Vec::new());
                groups.push(vec![stopped]);
                groups
            }
            ConfigWrite::Target { name, state } => {
                vec![vec![ConfigRecord::Target { name, state: Some(state) }]]
            }
            ConfigWrite::SessionKey(key) => vec![vec![ConfigRecord::SessionKey(key)]],
            ConfigWrite::TaskCount { name, count } => vec![vec![ConfigRecord::TaskCount { name, count }]],
            ConfigWrite::Restart { name, scope } => vec![vec![ConfigRecord::Restart { name, scope }]],
            ConfigWrite::LoggerLevel { namespace, level } => {
                vec![vec![ConfigRecord::LoggerLevel { namespace, level }]]
            }
        }
    }

    /// Whether only the leader may write it.
    pub fn is_leaders(&self) -> bool {
        match self {
            ConfigWrite::Target { .. } | ConfigWrite::LoggerLevel { .. } => false,
            ConfigWrite::Connector { .. }
            | ConfigWrite::Removed(_)
            | ConfigWrite::Tasks { .. }
            | ConfigWrite::Stopped(_)
            | ConfigWrite::SessionKey(_)
            | ConfigWrite::TaskCount { .. }
            | ConfigWrite::Restart { .. } => true,
        }
    }

    /// What a client is told when it could not be written.
    pub fn failure(&self) -> &'static str {
        match self {
            ConfigWrite::Connector { .. } => "Error writing connector configuration to Kafka",
            ConfigWrite::Removed(_) => "Error removing connector configuration from Kafka",
            ConfigWrite::Tasks { .. } => "Error writing task configurations to Kafka",
            ConfigWrite::Stopped(_) | ConfigWrite::Target { .. } => "Error writing target state to Kafka",
            ConfigWrite::SessionKey(_) => "Error writing session key to Kafka",
            ConfigWrite::TaskCount { .. } => "Error writing task count record to Kafka",
            ConfigWrite::Restart { .. } => "Error writing restart request to Kafka",
            ConfigWrite::LoggerLevel { .. } => "Error writing logger level to Kafka",
        }
    }
}

/// A worker that ends between the two groups leaves the tasks in force that were.
fn tasks_then_commit(name: ConnectorName, tasks: Vec<StoredSettings>) -> Vec<Vec<ConfigRecord>> {
    let task = |(index, settings)| {
        let id = TaskId { connector: name.clone(), index };
        ConfigRecord::Task { id, settings }
    };
    let tasks: Vec<_> = (0..).zip(tasks).map(task).collect();
    let count = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
    let commit = vec![ConfigRecord::Commit { name, tasks: count }];
    [tasks, commit].into_iter().filter(|group| !group.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records of a write as `key value`, groups divided by `;`.
    fn written(write: ConfigWrite) -> String {
        let record = |record: &ConfigRecord| {
            let value = record.value().map_or("-".to_owned(), |value| String::from_utf8(value).unwrap());
            format!("{} {value}", record.key())
        };
        let group = |group: &Vec<ConfigRecord>| group.iter().map(record).collect::<Vec<_>>().join(", ");
        write.records().iter().map(group).collect::<Vec<_>>().join("; ")
    }

    fn settings(n: &str) -> Settings {
        Settings::from([("n".to_owned(), n.to_owned())])
    }

    #[test]
    fn records_come_in_the_order_and_the_groups_of_apache() {
        let name = ConnectorName::from("c");
        let connector =
            |target| ConfigWrite::Connector { name: name.clone(), settings: settings("1"), target };
        let tasks = |tasks: &[&str]| ConfigWrite::Tasks {
            name: name.clone(),
            tasks: tasks.iter().map(|n| stored(settings(n))).collect(),
        };
        for (write, expected) in [
            (connector(None), r#"connector-c {"properties":{"n":"1"}}"#),
            (
                connector(Some(TargetState::Stopped)),
                r#"target-state-c {"state":"PAUSED","state.v2":"STOPPED"}, connector-c {"properties":{"n":"1"}}"#,
            ),
            (ConfigWrite::Removed(name.clone()), "connector-c -, target-state-c -"),
            (
                tasks(&["1", "2"]),
                r#"task-c-0 {"properties":{"n":"1"}}, task-c-1 {"properties":{"n":"2"}}; commit-c {"tasks":2}"#,
            ),
            (tasks(&[]), r#"commit-c {"tasks":0}"#),
            (
                ConfigWrite::Stopped(name.clone()),
                r#"commit-c {"tasks":0}; target-state-c {"state":"PAUSED","state.v2":"STOPPED"}"#,
            ),
        ] {
            assert_eq!(written(write), expected);
        }
    }
}
