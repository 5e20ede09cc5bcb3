//! The config and status topics against what Apache's stores made of the same records.
//!
//! `internal-topics.json` holds logs, and for each of them what Apache's store said and came to: for every record of a
//! config log whether its worker would have ended, the config offset after it, and the events; for every log the final
//! state. `HERDSMAN_INTERNAL_TOPICS` names another such file.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use herdsman::api::Settings;
use herdsman::api::ids::{ConnectorName, TaskId};
use herdsman::store::config_records::ConfigRecord;
use herdsman::store::config_state::{ConfigChange, ConfigState};
use herdsman::store::status_records::{StatusRecord, StoredStatus};
use herdsman::store::status_table::StatusTable;
use serde_json::{Map, Value as Json, json};

fn file() -> Json {
    let path = std::env::var_os("HERDSMAN_INTERNAL_TOPICS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/internal-topics.json"),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// The records of a log: key and value.
fn records(log: &Json) -> impl Iterator<Item = (Option<&[u8]>, Option<&[u8]>)> {
    log["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| (record[0].as_str().map(str::as_bytes), record[1].as_str().map(str::as_bytes)))
}

#[test]
fn the_config_topic_comes_to_what_it_comes_to_in_apache() {
    for log in file()["config"].as_array().unwrap() {
        let mut state = ConfigState::default();
        let mut offset = -1;
        let read = log["read"].as_array().unwrap();
        for (position, ((key, value), read)) in (0..).zip(records(log).zip(read)) {
            let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            let what = format!("{:?} {:?} in {}", text(key), text(value), log["records"]);
            let mut events = Vec::new();
            let record = ConfigRecord::decode(key, value);
            if record.as_ref().map_or_else(|error| error.moves_offset(), |_| true) {
                offset = position + 1;
            }
            match &record {
                Ok(Some(record)) => events.extend(event(&state.apply(record), record)),
                Ok(None) => {}
                Err(error) => assert!(!error.to_string().is_empty()),
            }
            let ends = read[0].as_bool().unwrap();
            assert!(!ends || record.is_err(), "Apache's worker ends at {what}");
            assert_eq!(read[1].as_i64(), Some(offset), "offset after {what}");
            assert_eq!(read.as_array().unwrap()[2..], events, "events of {what}");
        }
        for (name, expected) in log["state"].as_object().unwrap() {
            let shown = connector(&state, &name.as_str().into());
            assert_eq!(shown, without_nulls(expected), "{name} after {}", log["records"]);
        }
        let names: Vec<_> = state.names().filter(|name| log["state"].get(name.as_str()).is_none()).collect();
        assert!(names.is_empty(), "{names:?}");
    }
}

/// An event as Apache's store gives it.
fn event(change: &ConfigChange, record: &ConfigRecord) -> Option<Json> {
    Some(match change {
        // Apache's listener is not told when tasks are read.
        ConfigChange::Nothing | ConfigChange::TasksOverwritten(_) => return None,
        ConfigChange::ConnectorUpdated(name) => json!(["onConnectorConfigUpdate", name]),
        ConfigChange::ConnectorRemoved(name) => json!(["onConnectorConfigRemove", name]),
        ConfigChange::TargetChanged(name) => json!(["onConnectorTargetStateChange", name]),
        ConfigChange::TasksUpdated { name, tasks } => {
            let id = |index: &u32| TaskId { connector: name.clone(), index: *index }.to_string();
            json!(["onTaskConfigUpdate", tasks.iter().map(id).collect::<Vec<_>>()])
        }
        ConfigChange::Restart(name, scope) => {
            json!(["onRestartRequest", name, scope.only_failed, scope.include_tasks])
        }
        ConfigChange::LoggerLevel { namespace, level } => json!(["onLoggingLevelUpdate", namespace, level]),
        ConfigChange::SessionKey => {
            let value: Json = serde_json::from_slice(&record.value().unwrap()).unwrap();
            json!(["onSessionKeyUpdate", value["key"], value["algorithm"], value["creation-timestamp"]])
        }
    })
}

fn connector(state: &ConfigState, name: &ConnectorName) -> Json {
    let mut shown = Map::new();
    if let Some(config) = state.connector(name) {
        let target = format!("{:?}", config.target).to_uppercase();
        shown.insert("config".to_owned(), json!(config.settings));
        shown.insert("target".to_owned(), json!(target));
        shown.insert("tasks".to_owned(), json!(config.tasks));
        shown.insert("inconsistent".to_owned(), json!(config.inconsistent));
        if config.tasks_made_from != Settings::new() {
            shown.insert("applied".to_owned(), json!(config.tasks_made_from));
        }
    }
    shown.extend(state.fenced_tasks(name).map(|count| ("fenced_tasks".to_owned(), json!(count))));
    shown.extend(state.task_config_generation(name).map(|count| ("generation".to_owned(), json!(count))));
    shown.insert("pending_fencing".to_owned(), json!(state.is_pending_fencing(name)));
    Json::Object(shown)
}

/// Settings without a value are left out here, and so is an empty applied config.
fn without_nulls(json: &Json) -> Json {
    match json {
        Json::Object(members) => {
            let kept = members.iter().filter(|(_, value)| !value.is_null());
            let mut kept: Map<_, _> = kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect();
            if kept.get("applied") == Some(&json!({})) {
                kept.remove("applied");
            }
            Json::Object(kept)
        }
        Json::Array(items) => items.iter().map(without_nulls).collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => json.clone(),
    }
}

#[test]
fn the_status_topic_comes_to_what_it_comes_to_in_apache() {
    for log in file()["status"].as_array().unwrap() {
        let mut table = StatusTable::default();
        for (key, value) in records(log) {
            if let Ok(record) = StatusRecord::decode(key, value) {
                table.read(record);
            }
        }
        for name in ["a", "a-b", "b", "b-1"] {
            let expected =
                log["state"].get(name).cloned().unwrap_or_else(|| json!({"tasks": {}, "topics": {}}));
            assert_eq!(statuses(&table, &name.into()), expected, "{name} after {}", log["records"]);
        }
    }
}

fn statuses(table: &StatusTable, name: &ConnectorName) -> Json {
    let status = |status: &StoredStatus| {
        let StoredStatus { state, trace, worker, generation, version } = status;
        let worker = Some(worker.as_str()).filter(|worker| !worker.is_empty());
        json!({"state": state.name(), "trace": trace.as_deref(), "worker": worker, "generation": generation.number(),
            "version": version.as_deref()})
    };
    let tasks: Map<_, _> = table.tasks(name).map(|(index, task)| (index.to_string(), status(task))).collect();
    let topic = |(topic, used): (&std::sync::Arc<str>, herdsman::store::status_records::TopicUse)| {
        (topic.to_string(), json!({"task": used.task, "discovered": used.discovered_ms}))
    };
    let topics: Map<_, _> = table.topics(name).map(topic).collect();
    let mut shown = json!({"tasks": tasks, "topics": topics});
    if let Some(connector) = table.connector(name) {
        shown["connector"] = status(connector);
    }
    shown
}
