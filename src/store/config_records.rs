//! The records of the config topic: typed values, and the bytes that Apache's workers write and read.
//!
//! Pure. What the records mean together is in `config_state`.

use std::borrow::Cow;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::config_state::{RestartScope, TargetState};
use super::record_json::{self, ObjectWriter};
use super::session_key::SessionKey;
use crate::api::Settings;
use crate::api::ids::{ConnectorName, TaskId};
use crate::stdx::java_base64;

/// Settings as a record holds them: a setting can stand there with no value. A connector for the JVM may tell that from
/// a setting that is not there, so what is passed on keeps it.
pub type StoredSettings = IndexMap<String, Option<String>>;

/// Settings for a record, of settings that all have a value.
pub fn stored(settings: Settings) -> StoredSettings {
    settings.into_iter().map(|(key, value)| (key, Some(value))).collect()
}

/// One record of the config topic.
#[derive(Debug, Clone, PartialEq)]
pub enum ConfigRecord {
    /// The settings of a connector: `connector-NAME`.
    Connector {
        /// Its name.
        name: ConnectorName,
        /// All its settings, references to config providers unresolved.
        settings: StoredSettings,
    },
    /// A connector was deleted: the tombstone of `connector-NAME`.
    Removed(ConnectorName),
    /// What a user wants of a connector: `target-state-NAME`.
    Target {
        /// Its name.
        name: ConnectorName,
        /// The target state; `None` is the tombstone.
        state: Option<TargetState>,
    },
    /// The settings of a task, in force with the next [`ConfigRecord::Commit`]: `task-NAME-INDEX`.
    Task {
        /// The task.
        id: TaskId,
        /// Its settings, references unresolved.
        settings: StoredSettings,
    },
    /// The tasks of a connector that were written before are in force: `commit-NAME`.
    Commit {
        /// Its name.
        name: ConnectorName,
        /// How many tasks it has.
        tasks: u32,
    },
    /// For how many tasks producers of earlier ones were fenced out: `tasks-fencing-NAME`.
    TaskCount {
        /// The connector.
        name: ConnectorName,
        /// So many tasks may have producers.
        count: u32,
    },
    /// The key for requests between workers: `session-key`.
    SessionKey(SessionKey),
    /// Parts of a connector are to be started again, wherever they run: `restart-connector-NAME`.
    Restart {
        /// Its name.
        name: ConnectorName,
        /// Which parts.
        scope: RestartScope,
    },
    /// The level of loggers of all workers: `logger-cluster-NAMESPACE`.
    LoggerLevel {
        /// The logger with all below it.
        namespace: String,
        /// The level in the words of Log4j; whoever applies it checks it.
        level: String,
    },
}

/// Why a record is passed over. Whoever reads the log tells it, and goes on.
#[derive(Debug, thiserror::Error)]
pub enum ConfigRecordError {
    /// The value is no JSON. As with Apache, such a record does not count as read: see
    /// [`ConfigRecordError::moves_offset`].
    #[error("its value is no JSON")]
    NoJson(#[source] serde_json::Error),
    /// It has no key.
    #[error("it has no key")]
    NoKey,
    /// The key is none that workers write.
    #[error("its key {0} is not known")]
    UnknownKey(String),
    /// The value is of another form than the key asks for. It is not told, for it may hold secrets.
    #[error("under the key {key}: {what}")]
    Malformed {
        /// The key.
        key: String,
        /// What is wrong.
        what: &'static str,
    },
}

impl ConfigRecordError {
    /// Whether the config offset goes past such a record. Workers compare their offsets, so all must count alike: a
    /// record whose value is no JSON was never read, any other was.
    pub fn moves_offset(&self) -> bool {
        match self {
            ConfigRecordError::NoJson(_) => false,
            ConfigRecordError::NoKey
            | ConfigRecordError::UnknownKey(_)
            | ConfigRecordError::Malformed { .. } => true,
        }
    }
}

const TARGET_STATE: &str = "target-state-";
const CONNECTOR: &str = "connector-";
const TASK: &str = "task-";
const COMMIT: &str = "commit-";
const RESTART: &str = "restart-connector-";
const TASKS_FENCING: &str = "tasks-fencing-";
const SESSION_KEY: &str = "session-key";
const LOGGER: &str = "logger-cluster-";

/// A record whose key is known, or what is wrong with its value. `None` for what says nothing.
type Read = Result<Option<ConfigRecord>, &'static str>;

impl ConfigRecord {
    /// Reads a record. `None` for one that means nothing and is not wrong either.
    ///
    /// # Errors
    /// It is none that workers write; among these are the ones that Apache's worker would end at.
    pub fn decode(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Option<Self>, ConfigRecordError> {
        let value = record_json::parse(value).map_err(ConfigRecordError::NoJson)?;
        let key = String::from_utf8_lossy(key.ok_or(ConfigRecordError::NoKey)?);
        let connector =
            |prefix: &str| key.strip_prefix(prefix).filter(|name| !name.is_empty()).map(ConnectorName::from);
        let read = if let Some(name) = connector(TARGET_STATE) {
            read_target(name, value)
        } else if let Some(name) = connector(CONNECTOR) {
            read_connector(name, value)
        } else if let Some(id) = key.strip_prefix(TASK).and_then(task_id) {
            read_task(id, value)
        } else if let Some(name) = connector(COMMIT) {
            read_count(value, "tasks").map(|tasks| Some(ConfigRecord::Commit { name, tasks }))
        } else if let Some(name) = connector(RESTART) {
            read_restart(name, value)
        } else if let Some(name) = connector(TASKS_FENCING) {
            read_count(value, "task-count").map(|count| Some(ConfigRecord::TaskCount { name, count }))
        } else if key == SESSION_KEY {
            read_session_key(value)
        } else if let Some(namespace) = key.strip_prefix(LOGGER).filter(|namespace| !namespace.is_empty()) {
            read_logger_level(namespace, value)
        } else {
            return Err(ConfigRecordError::UnknownKey(key.into_owned()));
        };
        read.map_err(|what| ConfigRecordError::Malformed { key: key.into_owned(), what })
    }

    /// The key to write.
    pub fn key(&self) -> Cow<'static, str> {
        match self {
            ConfigRecord::Connector { name, .. } | ConfigRecord::Removed(name) => {
                format!("{CONNECTOR}{name}").into()
            }
            ConfigRecord::Target { name, .. } => format!("{TARGET_STATE}{name}").into(),
            ConfigRecord::Task { id, .. } => format!("{TASK}{id}").into(),
            ConfigRecord::Commit { name, .. } => format!("{COMMIT}{name}").into(),
            ConfigRecord::TaskCount { name, .. } => format!("{TASKS_FENCING}{name}").into(),
            ConfigRecord::SessionKey(_) => SESSION_KEY.into(),
            ConfigRecord::Restart { name, .. } => format!("{RESTART}{name}").into(),
            ConfigRecord::LoggerLevel { namespace, .. } => format!("{LOGGER}{namespace}").into(),
        }
    }

    /// The value to write; `None` is a tombstone.
    pub fn value(&self) -> Option<Vec<u8>> {
        let object = match self {
            ConfigRecord::Connector { settings, .. } | ConfigRecord::Task { settings, .. } => {
                let properties = settings.iter().fold(ObjectWriter::new(), |object, (key, value)| {
                    object.text_or_null(key, value.as_deref())
                });
                ObjectWriter::new().object("properties", properties)
            }
            ConfigRecord::Removed(_) | ConfigRecord::Target { state: None, .. } => return None,
            ConfigRecord::Target { state: Some(state), .. } => {
                // For workers from before STOPPED came (KIP-875), which read the first member only.
                let old = match state {
                    TargetState::Started => TargetState::Started,
                    TargetState::Paused | TargetState::Stopped => TargetState::Paused,
                };
                ObjectWriter::new().text("state", old.name()).text("state.v2", state.name())
            }
            ConfigRecord::Commit { tasks, .. } => ObjectWriter::new().number("tasks", *tasks),
            ConfigRecord::TaskCount { count, .. } => ObjectWriter::new().number("task-count", *count),
            ConfigRecord::SessionKey(key) => ObjectWriter::new()
                .text("key", &java_base64::encode(key.expose()))
                .text("algorithm", key.algorithm())
                .number("creation-timestamp", key.created_ms()),
            ConfigRecord::Restart { scope, .. } => ObjectWriter::new()
                .boolean("include-tasks", scope.include_tasks)
                .boolean("only-failed", scope.only_failed),
            ConfigRecord::LoggerLevel { level, .. } => ObjectWriter::new().text("level", level),
        };
        Some(object.finish())
    }
}

/// `NAME-INDEX`: the name itself may have hyphens.
pub(super) fn task_id(text: &str) -> Option<TaskId> {
    let (connector, index) = text.rsplit_once('-').filter(|(connector, _)| !connector.is_empty())?;
    let index: i32 = index.parse().ok()?;
    Some(TaskId { connector: connector.into(), index: u32::try_from(index).ok()? })
}

fn read_target(name: ConnectorName, value: Option<Json>) -> Read {
    let Some(value) = value else { return Ok(Some(ConfigRecord::Target { name, state: None })) };
    let members = record_json::object(Some(value))?;
    // Workers from before STOPPED came write the second only.
    let word = ["state.v2", "state"].into_iter().find_map(|member| members.get(member)?.as_str());
    let state = TargetState::from_name(word.ok_or("it has no state")?).ok_or("its state is not known")?;
    Ok(Some(ConfigRecord::Target { name, state: Some(state) }))
}

fn read_connector(name: ConnectorName, value: Option<Json>) -> Read {
    let Some(value) = value else { return Ok(Some(ConfigRecord::Removed(name))) };
    let settings = read_settings(record_json::object(Some(value))?)?;
    Ok(Some(ConfigRecord::Connector { name, settings }))
}

fn read_task(id: TaskId, value: Option<Json>) -> Read {
    Ok(Some(ConfigRecord::Task { id, settings: read_settings(record_json::object(value)?)? }))
}

fn read_settings(mut members: Map<String, Json>) -> Result<StoredSettings, &'static str> {
    let Some(Json::Object(properties)) = members.remove("properties") else {
        return Err("its properties are no object");
    };
    let setting = |(key, value)| match value {
        Json::String(text) => Ok((key, Some(text))),
        Json::Null => Ok((key, None)),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
            Err("one of its properties is neither a text nor null")
        }
    };
    properties.into_iter().map(setting).collect()
}

fn read_count(value: Option<Json>, member: &str) -> Result<u32, &'static str> {
    let members = record_json::object(value)?;
    let count = members.get(member).and_then(Json::as_i64).and_then(|count| i32::try_from(count).ok());
    count.and_then(|count| u32::try_from(count).ok()).ok_or("it has no number of tasks")
}

fn read_restart(name: ConnectorName, value: Option<Json>) -> Read {
    // That no restart is wanted is nothing new.
    let Some(value) = value else { return Ok(None) };
    let members = record_json::object(Some(value))?;
    let flag = |member: &str| members.get(member).and_then(Json::as_bool).unwrap_or(false);
    let scope = RestartScope { only_failed: flag("only-failed"), include_tasks: flag("include-tasks") };
    Ok(Some(ConfigRecord::Restart { name, scope }))
}

fn read_session_key(value: Option<Json>) -> Read {
    let members = record_json::object(value)?;
    let text = |member: &str| members.get(member).and_then(Json::as_str);
    let bytes = java_base64::decode(text("key").ok_or("it has no key")?.as_bytes());
    let bytes = bytes.ok().filter(|bytes| !bytes.is_empty()).ok_or("its key is no base64")?;
    let algorithm = text("algorithm").ok_or("it has no algorithm")?;
    let created = members.get("creation-timestamp").and_then(Json::as_i64);
    let created_ms = created.ok_or("it has no creation timestamp")?;
    Ok(Some(ConfigRecord::SessionKey(SessionKey::new(bytes, algorithm, created_ms))))
}

fn read_logger_level(namespace: &str, value: Option<Json>) -> Read {
    let members = record_json::object(value)?;
    let level = members.get("level").and_then(Json::as_str).ok_or("it has no level")?;
    Ok(Some(ConfigRecord::LoggerLevel { namespace: namespace.to_owned(), level: level.to_owned() }))
}

#[cfg(test)]
pub(super) mod tests;
