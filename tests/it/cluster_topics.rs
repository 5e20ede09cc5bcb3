//! Topics of connectors in a group: created by exactly-once sources, and known by all workers (KIP-558).

use std::fs::OpenOptions;
use std::io::Write as _;

use serde_json::{Value as Json, json};

use crate::exactly_once::create;
use crate::support::{Kafka, SOON, Worker, WorkerSetup, kafka, wait_for};

fn source(worker: &Worker, topic: &str) -> Json {
    let file = worker.folder().join("in.txt");
    json!({"connector.class": "FileStreamSource", "file": file, "topic": topic, "tasks.max": "1"})
}

fn append(worker: &Worker, line: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(worker.folder().join("in.txt")).unwrap();
    file.write_all(line.as_bytes()).unwrap();
}

#[test]
fn an_exactly_once_source_creates_its_topic() {
    let Some(kafka) = kafka() else { return };
    let (group, topic) = (kafka.unique("creating"), kafka.unique("created"));
    let setup = WorkerSetup::distributed(&group).kafka(&kafka.bootstrap);
    let worker = setup.set("exactly.once.source.support", "enabled").start().healthy();
    append(&worker, "one\n");
    let mut config = source(&worker, &topic);
    for (key, value) in [
        ("default.replication.factor", "1"),
        ("default.partitions", "2"),
        ("default.retention.ms", "86400000"),
    ] {
        config[format!("topic.creation.{key}")] = value.into();
    }
    create(&worker, "source", &config);
    assert_eq!(kafka.values_until(&topic, |values| !values.is_empty()), ["one"]);
    assert_eq!(kafka.shape(&topic), [1, 1]);
    assert_eq!(kafka.setting(&topic, "retention.ms").as_deref(), Some("86400000"));
}

/// Waits until a worker knows these topics of the connector.
fn knows(worker: &Worker, topics: &[&str]) {
    let expected = json!({"source": {"topics": topics}});
    wait_for("the topics of the connector", SOON, || match worker.get("/connectors/source/topics").json() {
        found if found == expected => Ok(()),
        other => Err((other, worker.log())),
    });
}

fn records(kafka: &Kafka, group: &str, count: usize) -> Vec<String> {
    let about_topics = |values: &[String]| values.iter().filter(|value| value.contains("\"topic\":")).count();
    let values = kafka.values_until(&format!("{group}-statuses"), |values| about_topics(values) >= count);
    values.into_iter().filter(|value| value.contains("\"topic\":")).collect()
}

#[test]
fn topics_are_known_by_all_workers_until_they_are_reset_and_again_when_they_are_used() {
    let Some(kafka) = kafka() else { return };
    let (group, topic) = (kafka.unique("tracking"), kafka.topic("tracked", 1));
    let start = |group: &str| WorkerSetup::distributed(group).kafka(&kafka.bootstrap).start().healthy();
    let (first, second) = (start(&group), start(&group));
    append(&first, "one\n");
    create(&first, "source", &source(&first, &topic));
    knows(&first, &[&topic]);
    knows(&second, &[&topic]);
    let record: Json = serde_json::from_str(&records(&kafka, &group, 1)[0]).unwrap();
    assert_eq!(
        (&record["topic"]["name"], &record["topic"]["connector"], &record["topic"]["task"]),
        (&json!(topic), &json!("source"), &json!(0))
    );
    assert!(
        record["topic"]["discoverTimestamp"].as_i64().is_some_and(|ms| ms > 1_600_000_000_000),
        "{record}"
    );
    // Whoever is asked: all forget.
    assert_eq!(second.send("PUT", "/connectors/source/topics/reset", None).status, 202);
    knows(&first, &[]);
    knows(&second, &[]);
    append(&first, "two\n");
    knows(&second, &[&topic]);
    knows(&first, &[&topic]);
}

#[test]
fn a_worker_that_does_not_track_topics_writes_nothing_of_them() {
    let Some(kafka) = kafka() else { return };
    let (group, topic) = (kafka.unique("untracked"), kafka.topic("untracked", 1));
    let setup = WorkerSetup::distributed(&group).kafka(&kafka.bootstrap);
    let worker = setup.set("topic.tracking.enable", "false").start().healthy();
    append(&worker, "one\n");
    create(&worker, "source", &source(&worker, &topic));
    kafka.values_until(&topic, |values| values.len() == 1);
    // What is written after it: the status topic is written in order.
    assert_eq!(worker.send("PUT", "/connectors/source/pause", None).status, 202);
    let is_paused = |value: &String| value.contains("PAUSED") && value.contains("worker_id");
    let values = kafka.values_until(&format!("{group}-statuses"), |values| values.iter().any(is_paused));
    assert!(!values.iter().any(|value| value.contains("\"topic\":")), "{values:?}");
    assert_eq!(worker.get("/connectors/source/topics").status, 403);
}
