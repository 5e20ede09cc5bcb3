//! The records of the status topic: typed values, and the bytes that Apache's workers write and read.
//!
//! Pure. What was read back of them is in `status_table`.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::config_records::task_id;
use super::record_json::{self, ObjectWriter};
use crate::api::ids::{ConnectorName, Generation, TaskId, WorkerId};

/// The state of a connector or task, in Connect's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Not running anywhere.
    Unassigned,
    /// At work.
    Running,
    /// Told to pause.
    Paused,
    /// Told to stop; connectors only.
    Stopped,
    /// Ended by an error.
    Failed,
    /// About to be started again.
    Restarting,
}

impl RunState {
    /// The word that stands for it in the status topic and in answers over REST.
    pub fn name(self) -> &'static str {
        match self {
            RunState::Unassigned => "UNASSIGNED",
            RunState::Running => "RUNNING",
            RunState::Paused => "PAUSED",
            RunState::Stopped => "STOPPED",
            RunState::Failed => "FAILED",
            RunState::Restarting => "RESTARTING",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let states = [
            RunState::Unassigned,
            RunState::Running,
            RunState::Paused,
            RunState::Stopped,
            RunState::Failed,
            RunState::Restarting,
        ];
        states.into_iter().find(|state| state.name() == name)
    }
}

/// Whose status it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatusOf {
    /// A connector's.
    Connector(ConnectorName),
    /// A task's.
    Task(TaskId),
}

/// The status of a connector or task as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredStatus {
    /// Its state.
    pub state: RunState,
    /// Why it failed.
    pub trace: Option<Arc<str>>,
    /// The worker that wrote it.
    pub worker: WorkerId,
    /// The generation of the group in which that worker wrote it.
    pub generation: Generation,
    /// The version of the plug-in; workers before 4.1 do not tell it.
    pub version: Option<Arc<str>>,
}

/// When a connector was first seen to use a topic (KIP-558).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicUse {
    /// The task that used it.
    pub task: u32,
    /// In milliseconds since 1970.
    pub discovered_ms: i64,
}

/// One record of the status topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusRecord {
    /// A status: `status-connector-NAME` or `status-task-NAME-INDEX`. Apache calls a missing one `DESTROYED`; it is a
    /// tombstone.
    Status(StatusOf, Option<StoredStatus>),
    /// A connector uses a topic, or it is forgotten that it does: `status-topic-TOPIC:connector-NAME`.
    Topic {
        /// The connector.
        connector: ConnectorName,
        /// The topic.
        topic: Arc<str>,
        /// Since when; `None` is the tombstone.
        used: Option<TopicUse>,
    },
}

/// Why a record is passed over. Whoever reads the log tells it, and goes on.
#[derive(Debug, thiserror::Error)]
pub enum StatusRecordError {
    /// The value is no JSON.
    #[error("its value is no JSON")]
    NoJson(#[source] serde_json::Error),
    /// It has no key.
    #[error("it has no key")]
    NoKey,
    /// The key is none that workers write.
    #[error("its key {0} is not known")]
    UnknownKey(String),
    /// The value is of another form than the key asks for.
    #[error("under the key {key}: {what}")]
    Malformed {
        /// The key.
        key: String,
        /// What is wrong.
        what: &'static str,
    },
}

const CONNECTOR: &str = "status-connector-";
const TASK: &str = "status-task-";
const TOPIC: &str = "status-topic-";
const OF_CONNECTOR: &str = ":connector-";

impl StatusRecord {
    /// Reads a record.
    ///
    /// # Errors
    /// It is none that workers write.
    pub fn decode(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Self, StatusRecordError> {
        let key = String::from_utf8_lossy(key.ok_or(StatusRecordError::NoKey)?).into_owned();
        let name = key.strip_prefix(CONNECTOR).filter(|name| !name.is_empty());
        let of = name.map(|name| StatusOf::Connector(name.into()));
        let of = of.or_else(|| key.strip_prefix(TASK).and_then(task_id).map(StatusOf::Task));
        let wrong = |what| StatusRecordError::Malformed { key: key.clone(), what };
        // Unlike in the config topic, only a record without any value is a tombstone.
        let members = value.map(|value| {
            let json = record_json::parse(Some(value)).map_err(StatusRecordError::NoJson)?;
            record_json::object(json).map_err(wrong)
        });
        let members = members.transpose();
        if let Some(of) = of {
            let status = members?.map(|members| read_status(&members)).transpose().map_err(wrong)?;
            Ok(StatusRecord::Status(of, status))
        } else if let Some((topic, connector)) = key.strip_prefix(TOPIC).and_then(topic_and_connector) {
            let used = members?.map(|members| read_topic(&members)).transpose().map_err(wrong)?;
            Ok(StatusRecord::Topic { connector: connector.into(), topic: topic.into(), used })
        } else {
            Err(StatusRecordError::UnknownKey(key))
        }
    }

    /// The key to write.
    pub fn key(&self) -> String {
        match self {
            StatusRecord::Status(StatusOf::Connector(name), _) => format!("{CONNECTOR}{name}"),
            StatusRecord::Status(StatusOf::Task(id), _) => format!("{TASK}{id}"),
            StatusRecord::Topic { connector, topic, .. } => {
                format!("{TOPIC}{topic}{OF_CONNECTOR}{connector}")
            }
        }
    }

    /// The value to write; `None` is a tombstone.
    pub fn value(&self) -> Option<Vec<u8>> {
        let object = match self {
            StatusRecord::Status(_, status) => {
                let StoredStatus { state, trace, worker, generation, version } = status.as_ref()?;
                ObjectWriter::new()
                    .text("state", state.name())
                    .text_or_null("trace", trace.as_deref())
                    .text("worker_id", worker.as_str())
                    .number("generation", generation.number())
                    .text_or_null("version", version.as_deref())
            }
            StatusRecord::Topic { connector, topic, used } => {
                let TopicUse { task, discovered_ms } = (*used)?;
                let topic = ObjectWriter::new()
                    .text("name", topic)
                    .text("connector", connector.as_str())
                    .number("task", task)
                    .number("discoverTimestamp", discovered_ms);
                ObjectWriter::new().object("topic", topic)
            }
        };
        Some(object.finish())
    }
}

/// `TOPIC:connector-NAME`. Topics have no colon, connectors may.
fn topic_and_connector(text: &str) -> Option<(&str, &str)> {
    let (topic, _) = text.split_once(':')?;
    let connector = text.strip_prefix(topic)?.strip_prefix(OF_CONNECTOR)?;
    (!topic.is_empty() && !connector.is_empty()).then_some((topic, connector))
}

fn read_status(members: &Map<String, Json>) -> Result<StoredStatus, &'static str> {
    let text = |member: &str| match members.get(member) {
        Some(Json::String(text)) => Ok(Some(Arc::from(text.as_str()))),
        Some(Json::Null) | None => Ok(None),
        Some(Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_)) => {
            Err("its trace, worker or version is no text")
        }
    };
    let state = members.get("state").and_then(Json::as_str).and_then(RunState::from_name);
    let generation = members.get("generation").and_then(Json::as_i64);
    let generation = generation.and_then(|generation| i32::try_from(generation).ok());
    Ok(StoredStatus {
        state: state.ok_or("its state is not known")?,
        trace: text("trace")?,
        // All workers tell it. Apache's takes a status without it, too.
        worker: WorkerId::new(text("worker_id")?.unwrap_or_default()),
        generation: Generation::new(generation.ok_or("it has no generation")?),
        version: text("version")?,
    })
}

fn read_topic(members: &Map<String, Json>) -> Result<TopicUse, &'static str> {
    let topic = members.get("topic").and_then(Json::as_object).ok_or("it has no topic")?;
    let task = topic.get("task").and_then(Json::as_i64).and_then(|task| u32::try_from(task).ok());
    let discovered = topic.get("discoverTimestamp").and_then(Json::as_i64);
    Ok(TopicUse {
        task: task.ok_or("it has no task")?,
        discovered_ms: discovered.ok_or("it has no discovery timestamp")?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::config_records::tests::any_name;
    use super::*;

    fn text(record: &StatusRecord) -> String {
        let value = record.value().map_or("-".to_owned(), |value| String::from_utf8(value).unwrap());
        format!("{} {value}", record.key())
    }

    /// Reads `key value`; the value `-` is a tombstone.
    fn read(record: &str) -> Result<StatusRecord, StatusRecordError> {
        let (key, value) = record.split_once(' ').unwrap();
        StatusRecord::decode(Some(key.as_bytes()), (value != "-").then_some(value.as_bytes()))
    }

    fn status(state: RunState, trace: Option<&str>, version: Option<&str>) -> StoredStatus {
        StoredStatus {
            state,
            trace: trace.map(Into::into),
            worker: WorkerId::new("10.0.0.1:8083"),
            generation: Generation::new(4),
            version: version.map(Into::into),
        }
    }

    fn task(connector: &str, index: u32) -> StatusOf {
        StatusOf::Task(TaskId { connector: connector.into(), index })
    }

    #[test]
    fn records_are_those_of_apache() {
        let connector = StatusOf::Connector("src".into());
        let running = status(RunState::Running, None, Some("4.1.0"));
        let failed = status(RunState::Failed, Some("why\n\tat X"), None);
        let topic =
            |used| StatusRecord::Topic { connector: "a:connector-b".into(), topic: "orders".into(), used };
        let used = TopicUse { task: 0, discovered_ms: 1_700_000_000_000 };
        for (record, expected) in [
            (
                StatusRecord::Status(connector.clone(), Some(running)),
                r#"status-connector-src {"state":"RUNNING","trace":null,"worker_id":"10.0.0.1:8083","generation":4,"version":"4.1.0"}"#,
            ),
            (StatusRecord::Status(connector, None), "status-connector-src -"),
            (
                StatusRecord::Status(task("a-b-1", 12), Some(failed)),
                r#"status-task-a-b-1-12 {"state":"FAILED","trace":"why\n\tat X","worker_id":"10.0.0.1:8083","generation":4,"version":null}"#,
            ),
            (StatusRecord::Status(task("src", 0), None), "status-task-src-0 -"),
            (
                topic(Some(used)),
                r#"status-topic-orders:connector-a:connector-b {"topic":{"name":"orders","connector":"a:connector-b","task":0,"discoverTimestamp":1700000000000}}"#,
            ),
            (topic(None), "status-topic-orders:connector-a:connector-b -"),
        ] {
            assert_eq!(text(&record), expected);
            assert_eq!(read(expected).unwrap(), record, "{expected}");
        }
    }

    #[test]
    fn four_fields_are_enough() {
        for value in [
            r#"{"state":"UNASSIGNED","trace":null,"worker_id":"10.0.0.1:8083","generation":4}"#,
            r#"{"generation":4,"more":{},"worker_id":"10.0.0.1:8083","state":"UNASSIGNED"}"#,
        ] {
            let expected = StatusRecord::Status(task("c", 0), Some(status(RunState::Unassigned, None, None)));
            assert_eq!(read(&format!("status-task-c-0 {value}")).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (record, expected) in [
            ("status-connector-c x", "its value is no JSON"),
            ("status-x {}", "its key status-x is not known"),
            ("status-connector- {}", "its key status-connector- is not known"),
            ("status-task-c {}", "its key status-task-c is not known"),
            ("status-task-c-x {}", "its key status-task-c-x is not known"),
            ("status-topic-t {}", "its key status-topic-t is not known"),
            ("status-topic-t:c {}", "its key status-topic-t:c is not known"),
            ("status-topic-:connector-c {}", "its key status-topic-:connector-c is not known"),
            ("status-topic-t:connector- {}", "its key status-topic-t:connector- is not known"),
            ("status-connector-c null", "under the key status-connector-c: it has no value"),
            ("status-connector-c 7", "under the key status-connector-c: its value is no object"),
            ("status-connector-c {}", "under the key status-connector-c: its state is not known"),
            (
                r#"status-connector-c {"state":"DESTROYED","generation":1}"#,
                "under the key status-connector-c: its state is not known",
            ),
            (
                r#"status-connector-c {"state":"RUNNING","generation":"1"}"#,
                "under the key status-connector-c: it has no generation",
            ),
            (
                r#"status-connector-c {"state":"RUNNING","generation":1,"trace":1}"#,
                "under the key status-connector-c: its trace, worker or version is no text",
            ),
            ("status-topic-t:connector-c {}", "under the key status-topic-t:connector-c: it has no topic"),
            (
                r#"status-topic-t:connector-c {"topic":{"task":-1}}"#,
                "under the key status-topic-t:connector-c: it has no task",
            ),
        ] {
            assert_eq!(read(record).unwrap_err().to_string(), expected, "{record}");
        }
        let no_key = StatusRecord::decode(None, Some(b"{}")).unwrap_err();
        assert_eq!(no_key.to_string(), "it has no key");
    }

    fn any_status() -> impl Strategy<Value = StoredStatus> {
        let states = vec![RunState::Unassigned, RunState::Running, RunState::Failed, RunState::Restarting];
        let text = || any::<Option<String>>().prop_map(|text| text.map(Arc::<str>::from));
        (prop::sample::select(states), text(), any::<String>(), any::<i32>(), text()).prop_map(
            |(state, trace, worker, generation, version)| StoredStatus {
                state,
                trace,
                worker: WorkerId::new(worker),
                generation: Generation::new(generation),
                version,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            (name, index, topic) in (any_name(), 0..=i32::MAX.unsigned_abs(), "[a-zA-Z0-9._-]{1,9}"),
            status in prop::option::of(any_status()),
            (used, discovered_ms) in any::<(bool, i64)>(),
        ) {
            let used = used.then_some(TopicUse { task: index, discovered_ms });
            for record in [
                StatusRecord::Status(StatusOf::Connector(name.clone()), status.clone()),
                StatusRecord::Status(StatusOf::Task(TaskId { connector: name.clone(), index }), status.clone()),
                StatusRecord::Topic { connector: name.clone(), topic: topic.as_str().into(), used },
            ] {
                let (key, value) = (record.key(), record.value());
                prop_assert_eq!(StatusRecord::decode(Some(key.as_bytes()), value.as_deref()).unwrap(), record);
            }
        }

        #[test]
        fn no_bytes_panic(
            prefix in prop::sample::select(&["", CONNECTOR, TASK, TOPIC]),
            key in "\\PC{0,4}[:-]?(connector-)?\\PC{0,3}",
            value in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "\\{(\"(state|generation|trace|topic)\":(\\{\"task\":1\\}|[0-9e.-]{1,9}|\"[A-Z]{0,9}\"|null),?){0,3}\\}"
                    .prop_map(String::into_bytes),
            ],
        ) {
            let key = format!("{prefix}{key}");
            let _any_outcome = StatusRecord::decode(Some(key.as_bytes()), Some(&value));
        }
    }
}
