//! What both kinds write into the internal topics for the same requests, record by record.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};

use super::cluster::Cluster;
use super::cluster::Kind::{self, Java, Ours};
use super::cluster::Request;
use super::operations::{LIFE, Operation, Subject};
use super::tape::{Tape, Taped};
use crate::support::{Kafka, kafka};

/// All that was written under a key, in order.
type Story = BTreeMap<String, Vec<Json>>;

/// The state of what does not run at the moment.
const NOT_NOW: &str = "UNASSIGNED or RESTARTING";

/// What stands in the internal topics in the end.
#[derive(Debug, Default)]
struct Dump {
    /// In the order of the topic.
    configs: Vec<(String, Json)>,
    offsets: Story,
    statuses: Story,
}

#[test]
fn the_same_requests_leave_the_same_records() {
    let Some(kafka) = kafka() else { return };
    let topic = kafka.topic("subjects", 1);
    let folder = tempfile::TempDir::new().unwrap();
    let [java, ours] = [Java, Ours].map(|kind| written_by(kind, &kafka, &topic, folder.path()));
    assert_eq!(lines(&java.configs), lines(&ours.configs), "the config topic: Apache's, and ours");
    for (what, java, ours) in
        [("offset", java.offsets, ours.offsets), ("status", java.statuses, ours.statuses)]
    {
        assert_eq!(
            java.keys().collect::<Vec<_>>(),
            ours.keys().collect::<Vec<_>>(),
            "the {what} topic: keys"
        );
        for (key, values) in java {
            assert_eq!(values, ours[&key], "the {what} topic, {key}: Apache's, and ours");
        }
    }
}

/// One worker of that kind is asked for everything; gives what it wrote.
fn written_by(kind: Kind, kafka: &Kafka, topic: &str, folder: &Path) -> Dump {
    let mut cluster = Cluster::new(kafka, "topics", &[]);
    cluster.start_all(&[kind]);
    let folder = folder.join(format!("{kind:?}"));
    fs::create_dir(&folder).unwrap();
    let mut subject = Subject::new(&cluster, "subject", topic, &folder);
    for operation in LIFE {
        subject.undergo(&cluster, 0, operation);
    }
    let mut kept = Subject::new(&cluster, "kept", topic, &folder);
    for operation in [Operation::Create, Operation::Stop, Operation::ResetOffsets] {
        kept.undergo(&cluster, 0, operation);
    }
    let level = Request {
        method: "PUT",
        path: "/admin/loggers/org.apache.kafka?scope=cluster".to_owned(),
        body: Some(json!({"level": "WARN"})),
    };
    assert_eq!(cluster.ask(0, &level).status, 204);
    let id = cluster.members[0].worker_id().to_owned();
    cluster.stop(0);
    let read = |name: &str| Tape::of(kafka, &format!("{}-{name}", cluster.group)).read_to_end().to_vec();
    let plain = |record: Taped| {
        let plain = |text: &str| {
            let text = text.replace(&cluster.group, "GROUP").replace(&id, "WORKER");
            text.replace(&folder.display().to_string(), "FOLDER").replace(topic, "TOPIC")
        };
        let value = record.value.map_or(Json::Null, |value| serde_json::from_str(&plain(&value)).unwrap());
        (plain(&record.key), normal(value))
    };
    let story = |records: Vec<Taped>| {
        let mut story = Story::new();
        for (key, value) in records.into_iter().map(plain) {
            let values = story.entry(key).or_default();
            // How often the same is said again depends on time, and how often a task is started anew in rebalances.
            if values.last() != Some(&value) {
                values.push(value);
            }
            // What is to pause while it starts anew may do so before it runs.
            if let [.., before, between, last] = &values[..]
                && [before, between, last].map(|value| value["state"].as_str())
                    == [Some(NOT_NOW), Some("RUNNING"), Some("PAUSED")]
            {
                values.remove(values.len() - 2);
            }
            if let [.., a, b, c, d] = &values[..]
                && (a, b) == (c, d)
            {
                values.truncate(values.len() - 2);
            }
        }
        story
    };
    Dump {
        configs: read("configs").into_iter().map(plain).collect(),
        offsets: story(read("offsets")),
        statuses: story(read("statuses")),
    }
}

/// A value without what is of its time and place. What does not run at the moment is `UNASSIGNED` or `RESTARTING`, as
/// `docs/guide/differences.md` says, with the version of an instance that is about to go or not.
fn normal(mut value: Json) -> Json {
    let Some(fields) = value.as_object_mut() else { return value };
    if matches!(fields.get("state").and_then(Json::as_str), Some("UNASSIGNED" | "RESTARTING")) {
        fields.insert("state".to_owned(), json!(NOT_NOW));
        fields.insert("version".to_owned(), Json::Null);
    }
    for (name, field) in fields.iter_mut() {
        match name.as_str() {
            "key" | "creation-timestamp" | "generation" => *field = Json::Null,
            "topic" => field["discoverTimestamp"] = Json::Null,
            _ => {}
        }
    }
    value
}

fn lines(records: &[(String, Json)]) -> String {
    records.iter().map(|(key, value)| format!("{key} {}\n", sorted(value))).collect()
}

/// JSON with its fields in the order of their names: maps are compared, not texts.
fn sorted(value: &Json) -> Json {
    match value {
        Json::Object(fields) => {
            let fields: BTreeMap<_, _> =
                fields.iter().map(|(name, field)| (name.clone(), sorted(field))).collect();
            fields.into_iter().collect()
        }
        Json::Array(items) => items.iter().map(sorted).collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => value.clone(),
    }
}
