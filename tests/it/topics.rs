//! Topics that sources create, and topics that a pattern of a sink follows, on a real Kafka.

use std::fs;

use serde_json::json;

use crate::support::{Kafka, SOON, Worker, WorkerSetup, kafka, wait_for};

const WIDE: [(&str, &str); 7] = [
    ("connector.class", "FileStreamSource"),
    ("file", "in.txt"),
    ("topic.creation.default.replication.factor", "1"),
    ("topic.creation.default.partitions", "-1"),
    ("topic.creation.groups", "small, wide"),
    ("topic.creation.wide.include", "never,wide-.*"),
    ("topic.creation.wide.partitions", "3"),
];
const COMPACT: (&str, &str) = ("topic.creation.wide.cleanup.policy", "compact");

/// A worker whose source gives one line to the topic.
fn source(kafka: &Kafka, topic: &str, more: &[(&str, &str)]) -> WorkerSetup {
    let settings = [&WIDE[..], &[("topic", topic)], more].concat();
    WorkerSetup::new().kafka(&kafka.bootstrap).file("in.txt", "one\n").connector("source", &settings)
}

fn arrived(kafka: &Kafka, topic: &str) {
    assert_eq!(kafka.values_until(topic, |values| !values.is_empty()), ["one"]);
}

#[test]
fn a_topic_comes_into_being_as_its_group_says() {
    let Some(kafka) = kafka() else { return };
    let topic = kafka.unique("wide");
    // Its records have keys, which a compacted topic wants.
    let keyed = [COMPACT, ("connector.class", "VerifiableSource"), ("throughput", "20")];
    let worker = source(&kafka, &topic, &keyed).start().healthy();
    kafka.values_until(&topic, |values| values.len() > 3);
    assert_eq!(kafka.shape(&topic), [1, 1, 1]);
    assert_eq!(kafka.setting(&topic, "cleanup.policy").as_deref(), Some("compact"));
    let log = worker.log();
    for line in [
        format!(
            "The task will send records to topic '{topic}' for the first time. Checking whether topic exists"
        ),
        format!("Creating topic '{topic}'"),
        format!(
            "Created topic '(name={topic}, numPartitions=3, replicationFactor=1, replicasAssignments=null, "
        ),
    ] {
        assert_eq!(log.matches(&line).count(), 1, "{line}");
    }
    // What has become of the topic since does not matter to a task that starts again.
    let worker = worker.kill_and_restart().healthy();
    let is_there = format!("Topic '{topic}' already exists.");
    wait_for("the topic to be found", SOON, || match worker.log() {
        log if log.contains(&is_there) => Ok(()),
        log => Err(log),
    });
    assert_eq!(worker.log().matches("Creating topic").count(), 1);
}

#[test]
fn a_worker_or_a_connector_that_does_not_want_it_leaves_topics_to_the_broker() {
    let Some(kafka) = kafka() else { return };
    let topic = kafka.unique("wide");
    let _worker = source(&kafka, &topic, &[COMPACT]).set("topic.creation.enable", "false").start();
    arrived(&kafka, &topic);
    assert_eq!(kafka.shape(&topic), [1]);
    assert_eq!(kafka.setting(&topic, "cleanup.policy").as_deref(), Some("delete"));
}

#[test]
fn a_topic_that_the_broker_does_not_want_fails_the_task_with_words() {
    let Some(kafka) = kafka() else { return };
    for (more, words) in [
        (("topic.creation.wide.replication.factor", "3"), "replicationFactor=3"),
        (("topic.creation.wide.cleanup.policy", "neat"), "cleanup.policy=neat"),
        (("topic.creation.wide.no.such.setting", "1"), "no.such.setting=1"),
    ] {
        let topic = kafka.unique("wide");
        let worker = source(&kafka, &topic, &[more]).start();
        let trace = worker.task_state("source", 0, "FAILED")["trace"].as_str().unwrap().to_owned();
        for word in ["Unable to create topic(s)", words, "Change topic.creation.wide.*"] {
            assert!(trace.contains(word), "no «{word}» in:\n{trace}");
        }
        assert_eq!(kafka.shape(&topic), [0; 0], "nothing was sent");
    }
}

#[test]
fn what_is_wrong_with_groups_is_told_when_a_connector_is_created() {
    let worker = WorkerSetup::new().start().healthy();
    let config = |more: serde_json::Value| {
        let mut config =
            json!({"name": "c", "connector.class": "FileStreamSource", "file": "in.txt", "topic": "t"});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    };
    let validate = "/connector-plugins/FileStreamSource/config/validate";
    let fine = config(json!({"topic.creation.default.replication.factor": "1",
        "topic.creation.default.partitions": "1", "topic.creation.groups": "g", "topic.creation.g.include": "a"}));
    let answer = worker.send("PUT", validate, Some(&fine)).json();
    assert_eq!(answer["error_count"], 0, "{answer}");
    let bad = config(json!({"topic.creation.default.partitions": "0", "topic.creation.groups": "g",
        "topic.creation.g.include": "("}));
    let answer = worker.send("POST", "/connectors", Some(&json!({"name": "c", "config": bad})));
    assert_eq!(answer.status, 400);
    for words in [
        "contains the following 3 error(s)",
        "Missing required configuration \"topic.creation.default.replication.factor\" which has no default value.",
        "Invalid value 0 for configuration partitions: Number of partitions must be positive",
        "Invalid value [(] for configuration include: Syntax error in regular expression",
    ] {
        assert!(
            answer.json()["message"].as_str().unwrap().contains(words),
            "no «{words}» in {}",
            answer.body
        );
    }
}

fn out(worker: &Worker) -> Vec<String> {
    let text = fs::read_to_string(worker.folder().join("out.txt")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_pattern_follows_topics_that_come_and_go() {
    let Some(kafka) = kafka() else { return };
    let first = kafka.topic("followed", 1);
    let stem = first.clone();
    let pattern = format!("{stem}(?!-not).*");
    let group = kafka.unique("connect-followed");
    let sink = [
        ("connector.class", "FileStreamSink"),
        ("file", "out.txt"),
        ("topics.regex", pattern.as_str()),
        ("consumer.override.group.id", &group),
        ("consumer.override.metadata.max.age.ms", "500"),
    ];
    let worker = WorkerSetup::new().kafka(&kafka.bootstrap).connector("sink", &sink).start().healthy();
    kafka.produce(&first, ["first"]);
    let arrives = |lines: &[&str]| {
        wait_for("the lines", SOON, || match out(&worker) {
            found if found == lines => Ok(()),
            other => Err((other, worker.log())),
        });
    };
    arrives(&["first"]);
    let late = format!("{stem}-late");
    for name in [format!("{stem}-not"), late.clone()] {
        kafka.create_compacted(&name, 1);
        let producer = kafka.producer();
        let record = rdkafka::producer::BaseRecord::to(&name).key("k").payload("late");
        producer.send(record).unwrap();
        rdkafka::producer::Producer::flush(&producer, SOON).unwrap();
    }
    arrives(&["first", "late"]);
    kafka.delete(&first);
    let subscribed = format!("Subscribing to the topics that match topics.regex: {late} (");
    wait_for("a subscription without the deleted topic", SOON, || match worker.log() {
        log if log.contains(&subscribed) => Ok(()),
        log => Err(log),
    });
    worker.task_state("sink", 0, "RUNNING");
    assert_eq!(kafka.shape(&first), [0; 0], "it did not come back");
}
