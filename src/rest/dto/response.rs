//! Bodies of answers: the JSON shapes of Connect, made from what the worker knows.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Number, Value as Json, json};

use crate::api::Settings;
use crate::api::config_def::{ConfigKey, ConfigValue};
use crate::api::ids::{ConnectorName, TaskId, WorkerId};
use crate::api::offset::{OffsetMap, OffsetValue};
use crate::connector::validation::{ConfigInfo, ConfigInfos};
use crate::health::HealthState;
use crate::herder::msg::ConnectorOffsets;
use crate::herder::view::{ConnectorInfo, ConnectorKind, ConnectorStatus, Status};
use crate::logging::levels::LoggerState;

/// `GET /`.
#[derive(Debug, Serialize)]
pub(in crate::rest) struct ServerInfoBody<'a> {
    pub(in crate::rest) version: &'static str,
    pub(in crate::rest) commit: &'static str,
    /// `null` until a broker has answered.
    pub(in crate::rest) kafka_cluster_id: Option<&'a str>,
}

/// `GET /health`. Without what only `verbose=true` shows, and printed over several lines, it is what KIP-1017 prints.
#[derive(Debug, Serialize)]
pub(in crate::rest) struct HealthBody {
    status: &'static str,
    message: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(in crate::rest) details: Option<HealthDetails>,
}

/// What `GET /health?verbose=true` shows beyond KIP-1017.
#[derive(Debug, Serialize)]
pub(in crate::rest) struct HealthDetails {
    /// How far the worker has come.
    pub(in crate::rest) phase: &'static str,
    /// What it is doing; `null` if nothing is outstanding.
    pub(in crate::rest) stage: Option<String>,
    /// Since when, as an ISO instant.
    pub(in crate::rest) stage_started: Option<String>,
    /// The parts of the start that are over.
    pub(in crate::rest) startup: Vec<StartupStepBody>,
}

/// A part of the start, and how long it took.
#[derive(Debug, Serialize)]
pub(in crate::rest) struct StartupStepBody {
    pub(in crate::rest) stage: String,
    pub(in crate::rest) ms: u64,
}

impl HealthBody {
    /// Of a worker in that state.
    pub(in crate::rest) fn new(state: HealthState, details: Option<HealthDetails>) -> Self {
        HealthBody { status: state.status(), message: state.message(), details }
    }
}

/// A connector.
#[derive(Debug, Serialize)]
pub(in crate::rest) struct ConnectorInfoBody<'a> {
    name: &'a ConnectorName,
    config: &'a Settings,
    tasks: &'a [TaskId],
    #[serde(rename = "type")]
    kind: &'static str,
}

impl<'a> From<&'a ConnectorInfo> for ConnectorInfoBody<'a> {
    fn from(info: &'a ConnectorInfo) -> Self {
        let ConnectorInfo { name, config, tasks, kind } = info;
        ConnectorInfoBody { name, config, tasks, kind: kind_name(*kind) }
    }
}

/// The status of a connector with its tasks.
#[derive(Debug, Serialize)]
pub(in crate::rest) struct ConnectorStatusBody<'a> {
    name: &'a ConnectorName,
    connector: StateBody<'a>,
    tasks: Vec<TaskStatusBody<'a>>,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl<'a> From<&'a ConnectorStatus> for ConnectorStatusBody<'a> {
    fn from(status: &'a ConnectorStatus) -> Self {
        let ConnectorStatus { name, connector, tasks, kind } = status;
        let tasks = tasks.iter().map(|(index, status)| TaskStatusBody::new(*index, status)).collect();
        ConnectorStatusBody { name, connector: connector.into(), tasks, kind: kind_name(*kind) }
    }
}

/// The status of a task.
#[derive(Debug, Serialize)]
pub(in crate::rest) struct TaskStatusBody<'a> {
    id: u32,
    #[serde(flatten)]
    state: StateBody<'a>,
}

impl<'a> TaskStatusBody<'a> {
    /// Of the task with that number.
    pub(in crate::rest) fn new(id: u32, status: &'a Status) -> Self {
        TaskStatusBody { id, state: status.into() }
    }
}

#[derive(Debug, Serialize)]
struct StateBody<'a> {
    state: &'static str,
    worker_id: &'a WorkerId,
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'a str>,
}

impl<'a> From<&'a Status> for StateBody<'a> {
    fn from(status: &'a Status) -> Self {
        let Status { state, worker, trace, version } = status;
        let trace = trace.as_deref().filter(|trace| !trace.is_empty());
        StateBody { state: state.name(), worker_id: worker, version: version.as_deref(), trace }
    }
}

/// A task with its settings.
#[derive(Debug, Serialize)]
pub(in crate::rest) struct TaskBody<'a> {
    pub(in crate::rest) id: TaskId,
    pub(in crate::rest) config: &'a Settings,
}

/// What was done, in words.
#[derive(Debug, Serialize)]
pub(in crate::rest) struct Message {
    pub(in crate::rest) message: &'static str,
}

/// A plug-in of `GET /connector-plugins`.
#[derive(Debug, Serialize)]
pub(in crate::rest) struct PluginBody {
    pub(in crate::rest) class: &'static str,
    #[serde(rename = "type")]
    pub(in crate::rest) kind: &'static str,
    pub(in crate::rest) version: &'static str,
}

/// A logger.
#[derive(Debug, Serialize)]
pub(in crate::rest) struct LoggerBody {
    level: &'static str,
    last_modified: Option<i64>,
}

impl From<LoggerState> for LoggerBody {
    fn from(state: LoggerState) -> Self {
        LoggerBody {
            level: state.level.name(),
            last_modified: state.last_modified.map(Timestamp::as_millisecond),
        }
    }
}

/// A setting that a plug-in takes.
#[derive(Debug, Serialize)]
pub(in crate::rest) struct DefinitionBody<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    config_type: String,
    required: bool,
    default_value: Option<&'a str>,
    importance: String,
    documentation: &'a str,
    group: Option<&'a str>,
    order_in_group: i32,
    width: String,
    display_name: &'a str,
    dependents: &'a [String],
}

impl<'a> From<&'a ConfigKey> for DefinitionBody<'a> {
    fn from(key: &'a ConfigKey) -> Self {
        DefinitionBody {
            name: &key.name,
            config_type: key.config_type.to_string(),
            required: key.is_required(),
            default_value: key.default_text(),
            importance: key.importance.to_string(),
            documentation: &key.documentation,
            group: key.group.as_deref(),
            order_in_group: key.order_in_group,
            width: key.width.to_string(),
            display_name: &key.display_name,
            dependents: &key.dependents,
        }
    }
}

/// The outcome of a validation.
#[derive(Debug, Serialize)]
pub(in crate::rest) struct ConfigInfosBody<'a> {
    name: &'a str,
    error_count: usize,
    groups: &'a [String],
    configs: Vec<ConfigInfoBody<'a>>,
}

#[derive(Debug, Serialize)]
struct ConfigInfoBody<'a> {
    definition: Option<DefinitionBody<'a>>,
    value: ConfigValueBody<'a>,
}

#[derive(Debug, Serialize)]
struct ConfigValueBody<'a> {
    name: &'a str,
    value: Option<&'a str>,
    recommended_values: &'a [String],
    errors: &'a [String],
    visible: bool,
}

impl<'a> From<&'a ConfigInfos> for ConfigInfosBody<'a> {
    fn from(infos: &'a ConfigInfos) -> Self {
        let configs = infos.configs.iter().map(|ConfigInfo { definition, value }| ConfigInfoBody {
            definition: definition.as_ref().map(DefinitionBody::from),
            value: value.into(),
        });
        ConfigInfosBody {
            name: &infos.name,
            error_count: infos.error_count,
            groups: &infos.groups,
            configs: configs.collect(),
        }
    }
}

impl<'a> From<&'a ConfigValue> for ConfigValueBody<'a> {
    fn from(value: &'a ConfigValue) -> Self {
        let ConfigValue { name, value, recommended_values, errors, visible } = value;
        ConfigValueBody { name, value: value.as_deref(), recommended_values, errors, visible: *visible }
    }
}

/// The stored offsets of a connector.
pub(in crate::rest) fn offsets_json(offsets: &ConnectorOffsets) -> Json {
    let entries: Vec<Json> = match offsets {
        ConnectorOffsets::Source(entries) => entries
            .iter()
            .map(|(partition, offset)| {
                json!({ "partition": map_json(partition), "offset": offset.as_ref().map(map_json) })
            })
            .collect(),
        ConnectorOffsets::Sink(entries) => entries
            .iter()
            .map(|(partition, offset)| {
                json!({
                    "partition": { "kafka_topic": *partition.topic, "kafka_partition": partition.partition },
                    "offset": { "kafka_offset": offset },
                })
            })
            .collect(),
    };
    json!({ "offsets": entries })
}

fn map_json(map: &OffsetMap) -> Json {
    let entries = map.iter().map(|(name, value)| {
        let value = match value {
            OffsetValue::Null => Json::Null,
            OffsetValue::Boolean(value) => Json::Bool(*value),
            OffsetValue::Long(value) => Json::from(*value),
            // What JSON has no number for is shown as Java's Jackson shows it, as a text.
            OffsetValue::Double(value) => {
                Number::from_f64(*value).map_or_else(|| Json::from(value.to_string()), Json::Number)
            }
            OffsetValue::String(value) => Json::from(&**value),
        };
        (name.to_owned(), value)
    });
    Json::Object(entries.collect::<Map<_, _>>())
}

fn kind_name(kind: ConnectorKind) -> &'static str {
    match kind {
        ConnectorKind::Source => "source",
        ConnectorKind::Sink => "sink",
        ConnectorKind::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::api::config_def::{ConfigType, Importance};
    use crate::api::ids::TopicPartition;
    use crate::herder::view::RunState;

    fn text(body: &impl Serialize) -> String {
        serde_json::to_string(body).unwrap()
    }

    fn status(state: RunState, trace: Option<&str>, version: Option<&'static str>) -> Status {
        Status {
            state,
            worker: WorkerId::new("h:1"),
            trace: trace.map(Into::into),
            version: version.map(Into::into),
        }
    }

    #[test]
    fn a_connector() {
        let info = ConnectorInfo {
            name: "é".into(),
            config: Settings::from([("b".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())]),
            tasks: vec![TaskId { connector: "é".into(), index: 0 }],
            kind: ConnectorKind::Source,
        };
        let expected =
            r#"{"name":"é","config":{"b":"1","a":"2"},"tasks":[{"connector":"é","task":0}],"type":"source"}"#;
        assert_eq!(text(&ConnectorInfoBody::from(&info)), expected);
    }

    #[test]
    fn a_status_has_a_trace_only_if_there_is_one() {
        let body = ConnectorStatus {
            name: "c".into(),
            connector: status(RunState::Unassigned, Some(""), None),
            tasks: BTreeMap::from([(3, status(RunState::Failed, Some("why\n"), Some("4.3.1")))]),
            kind: ConnectorKind::Unknown,
        };
        let expected = r#"{"name":"c","connector":{"state":"UNASSIGNED","worker_id":"h:1","version":null},"tasks":[{"id":3,"state":"FAILED","worker_id":"h:1","version":"4.3.1","trace":"why\n"}],"type":"unknown"}"#;
        assert_eq!(text(&ConnectorStatusBody::from(&body)), expected);
    }

    #[test]
    fn offsets_of_both_kinds() {
        let partition = TopicPartition { topic: "t".into(), partition: 2 };
        let sink = ConnectorOffsets::Sink(BTreeMap::from([(partition, 5)]));
        let expected = r#"{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":2},"offset":{"kafka_offset":5}}]}"#;
        assert_eq!(offsets_json(&sink).to_string(), expected);
        let mut offset = OffsetMap::of("position", 3);
        offset.insert("done", true);
        offset.insert("rate", 0.5);
        offset.insert("none", OffsetValue::Null);
        let entries =
            vec![(OffsetMap::of("filename", "f"), Some(offset)), (OffsetMap::of("filename", "g"), None)];
        let expected = r#"{"offsets":[{"partition":{"filename":"f"},"offset":{"position":3,"done":true,"rate":0.5,"none":null}},{"partition":{"filename":"g"},"offset":null}]}"#;
        assert_eq!(offsets_json(&ConnectorOffsets::Source(entries)).to_string(), expected);
    }

    #[test]
    fn a_definition() {
        let key = ConfigKey::new("p", ConfigType::Password, Importance::Low, "Doc.").default("secret");
        let expected = r#"{"name":"p","type":"PASSWORD","required":false,"default_value":"[hidden]","importance":"LOW","documentation":"Doc.","group":null,"order_in_group":-1,"width":"NONE","display_name":"p","dependents":[]}"#;
        assert_eq!(text(&DefinitionBody::from(&key)), expected);
    }

    #[test]
    fn a_logger_says_when_it_changed_in_milliseconds() {
        let state =
            |last_modified| LoggerState { level: crate::logging::level::LogLevel::Info, last_modified };
        assert_eq!(text(&LoggerBody::from(state(None))), r#"{"level":"INFO","last_modified":null}"#);
        let changed = Timestamp::from_millisecond(1_795_377_827_046).unwrap();
        let expected = r#"{"level":"INFO","last_modified":1795377827046}"#;
        assert_eq!(text(&LoggerBody::from(state(Some(changed)))), expected);
    }
}
