//! Records that fail on their way, seen from outside: status, log and dead letter queue.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};

use crate::support::{Kafka, SOON, Worker, WorkerSetup, kafka, pause_for, wait_for, wait_until};

/// How long a worker may take that was killed several times.
const RECOVERED: Duration = Duration::from_secs(120);
const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

/// The records of the story below, by number: each fifth is no JSON, no object, or reported by the task; the others are
/// written.
fn value(number: usize) -> String {
    match number % 5 {
        0 => format!("no JSON {number}"),
        1 => format!("\"no object {number}\""),
        2 => format!(r#"{{"a":"errant {number}"}}"#),
        _ => format!(r#"{{"a":"good {number}"}}"#),
    }
}

/// The stage in which a record fails.
fn stage(value: &str) -> &'static str {
    match value {
        value if value.starts_with("no JSON") => "VALUE_CONVERTER",
        value if value.starts_with('"') => "TRANSFORMATION",
        _ => "TASK_PUT",
    }
}

/// A sink that writes the member `a` of JSON objects to `out.txt` and has a dead letter queue.
fn sink(kafka: &Kafka, topic: &str, queue: &str, settings: &[(&str, &str)]) -> WorkerSetup {
    let group = kafka.unique("connect-failing");
    let own = [
        ("connector.class", "herdsman.test.BlockingSinkConnector"),
        ("file", "out.txt"),
        ("report", "errant"),
        ("topics", topic),
        ("value.converter", JSON),
        ("value.converter.schemas.enable", "false"),
        ("transforms", "a"),
        ("transforms.a.type", "org.apache.kafka.connect.transforms.ExtractField$Value"),
        ("transforms.a.field", "a"),
        ("errors.deadletterqueue.topic.name", queue),
        ("consumer.override.group.id", &group),
        // A static member takes its place again at once after a kill.
        ("consumer.override.group.instance.id", "the-only-one"),
        ("consumer.override.session.timeout.ms", "6000"),
    ];
    let setup = WorkerSetup::new().kafka(&kafka.bootstrap).set("offset.flush.interval.ms", "50");
    setup.connector("sink", &[&own, settings].concat())
}

/// A record of the dead letter queue: its value, and the stage and the offset that its headers tell.
type Dead = (String, String, i64);

/// Reads the dead letter queue until it has so many different values.
fn dead(kafka: &Kafka, queue: &str, values: usize) -> BTreeSet<Dead> {
    let consumer: BaseConsumer = kafka
        .client()
        .set("group.id", kafka.unique("dead"))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(queue), SOON).unwrap();
    assert_eq!(metadata.topics()[0].partitions().len(), 1);
    consumer.subscribe(&[queue]).unwrap();
    let mut found = BTreeSet::new();
    wait_for("the dead letter queue", RECOVERED, || {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            let told = |name: &str| {
                let name = format!("__connect.errors.{name}");
                let headers = message.headers().unwrap();
                let header = headers.iter().find(|header| header.key == name);
                String::from_utf8(header.unwrap().value.unwrap().to_vec()).unwrap()
            };
            let value = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
            found.insert((value, told("stage"), told("offset").parse().unwrap()));
        }
        let seen: BTreeSet<_> = found.iter().map(|(value, _, _)| value).collect();
        if seen.len() >= values { Ok(()) } else { Err(seen.len()) }
    });
    found
}

fn out(folder: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(folder.join("out.txt")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn kills_lose_nothing_of_what_fails_and_nothing_of_what_does_not() {
    let Some(kafka) = kafka() else { return };
    let (topic, queue) = (kafka.topic("input", 1), kafka.unique("dead"));
    let settings = [
        ("errors.tolerance", "all"),
        ("errors.log.enable", "true"),
        ("errors.log.include.messages", "true"),
        ("errors.deadletterqueue.topic.replication.factor", "1"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
    ];
    let mut worker = sink(&kafka, &topic, &queue, &settings).start().healthy();
    let count = 2500;
    for round in 0..5 {
        let numbers = round * count / 5..(round + 1) * count / 5;
        kafka.produce(&topic, numbers.map(value));
        wait_for("some of it in the output", RECOVERED, || {
            let arrived = out(worker.folder()).len();
            if arrived > round * count / 5 * 2 / 5 { Ok(()) } else { Err((arrived, worker.log())) }
        });
        pause_for(Duration::from_millis(7 * round as u64));
        worker = worker.kill_and_restart();
    }
    let worker: Worker = worker.healthy();
    let good: BTreeSet<String> =
        (0..count).filter(|number| number % 5 > 2).map(|number| format!("good {number}")).collect();
    wait_for("all good records", RECOVERED, || {
        let missing: Vec<_> = good.difference(&out(worker.folder())).cloned().collect();
        if missing.is_empty() { Ok(()) } else { Err((missing.len(), missing.into_iter().next())) }
    });
    assert_eq!(out(worker.folder()), good, "nothing else is written");
    let expected: BTreeSet<Dead> = (0..count)
        .filter(|number| number % 5 < 3)
        .map(|number| (value(number), stage(&value(number)).to_owned(), i64::try_from(number).unwrap()))
        .collect();
    assert_eq!(dead(&kafka, &queue, expected.len()), expected);
    worker.task_state("sink", 0, "RUNNING");
    let log = worker.log();
    for words in [
        format!("Topic {queue} doesn't exist. Will attempt to create topic."),
        format!(
            "Error encountered in task sink-0. Executing stage 'VALUE_CONVERTER' with class '{JSON}', where consumed \
             record is {{topic='{topic}', partition=0, offset=0, timestamp="
        ),
        "Executing stage 'TASK_PUT' with class 'org.apache.kafka.connect.sink.SinkTask'".to_owned(),
    ] {
        assert!(log.contains(&words), "no «{words}»");
    }
}

#[test]
fn a_queue_that_cannot_be_made_fails_the_task_with_advice() {
    let Some(kafka) = kafka() else { return };
    let (topic, queue) = (kafka.topic("input", 1), kafka.unique("dead"));
    let worker = sink(&kafka, &topic, &queue, &[]).start();
    let status = worker.task_state("sink", 0, "FAILED");
    let trace = status["trace"].as_str().unwrap_or_default();
    for words in [
        format!("Could not initialize dead letter queue with topic={queue}"),
        "errors.deadletterqueue.topic.replication.factor must not be above the number of brokers".to_owned(),
    ] {
        assert!(trace.contains(&words), "no «{words}» in:\n{trace}");
    }
}

#[test]
fn what_a_source_leaves_out_is_logged_as_was_asked_for() {
    let cast = "org.apache.kafka.connect.transforms.Cast$Value";
    let source = [
        ("connector.class", "FileStreamSource"),
        ("file", "in.txt"),
        ("topic", "t"),
        ("transforms", "number"),
        ("transforms.number.type", cast),
        ("transforms.number.spec", "int8"),
        ("errors.tolerance", "all"),
    ];
    let sink = [("connector.class", "FileStreamSink"), ("file", "out.txt"), ("topics", "t")];
    let line =
        format!("Error encountered in task source-0. Executing stage 'TRANSFORMATION' with class '{cast}'");
    for (logs, messages) in [("false", "true"), ("true", "false"), ("true", "true")] {
        let asked = [("errors.log.enable", logs), ("errors.log.include.messages", messages)];
        let settings = [source.as_slice(), &asked].concat();
        let worker = WorkerSetup::new()
            .file("in.txt", "1\nnumberless\n2\n")
            .connector("source", &settings)
            .connector("sink", &sink)
            .start()
            .healthy();
        wait_until("the numbers", SOON, || {
            fs::read_to_string(worker.folder().join("out.txt")).unwrap_or_default() == "1\n2\n"
        });
        let log = worker.log();
        if logs == "false" {
            assert!(!log.contains("Error encountered"), "{log}");
        } else if messages == "true" {
            let shown =
                format!("{line}, where source record is = SourceRecord{{sourcePartition={{filename=in.txt}}");
            assert!(log.contains(&shown), "{log}");
            assert!(log.contains("value=numberless"), "{log}");
        } else {
            assert!(log.contains(&format!("{line}.\n")), "{log}");
            assert!(!log.contains("value=numberless"), "{log}");
        }
    }
}

#[test]
fn a_sink_that_waits_tells_why_once() {
    let sink = [
        ("connector.class", "herdsman.test.BlockingSinkConnector"),
        ("file", "out.txt"),
        ("topics", "t"),
        ("fail.in", "put"),
        ("fail.times", "20"),
        ("fail.retriable", "true"),
    ];
    let worker = WorkerSetup::new()
        .set("offset.flush.interval.ms", "20")
        .file("in.txt", "a\n")
        .connector("source", &[("connector.class", "FileStreamSource"), ("file", "in.txt"), ("topic", "t")])
        .connector("sink", &sink)
        .start()
        .healthy();
    wait_until("the record is put", SOON, || out(worker.folder()).contains("a"));
    let log = worker.log();
    assert_eq!(log.matches("RetriableException from SinkTask").count(), 1, "{log}");
}

/// A disk that is full under the offsets file: the worker goes on, and says what is wrong with which file.
#[test]
fn offsets_that_cannot_be_written_are_told_counted_and_written_later() {
    let source = [("connector.class", "FileStreamSource"), ("file", "in.txt"), ("topic", "t")];
    let setup = WorkerSetup::new()
        .set("offset.flush.interval.ms", "50")
        .file("in.txt", "one\n")
        .connector("lines", &source);
    let worker = setup.start().healthy();
    let position =
        || worker.get("/connectors/lines/offsets").json()["offsets"][0]["offset"]["position"].as_i64();
    wait_until("the first commit", SOON, || position() == Some(4));
    // Nothing can take the place of a folder that is not empty.
    let (offsets, away) = (worker.folder().join("offsets"), worker.folder().join("away"));
    fs::rename(&offsets, &away).unwrap();
    fs::create_dir(&offsets).unwrap();
    fs::write(offsets.join("in the way"), "").unwrap();
    fs::write(worker.folder().join("in.txt"), "one\ntwo\n").unwrap();
    let told = format!("cannot replace the offsets file {}", offsets.canonicalize().unwrap().display());
    let share =
        "kafka_connect_connector_task_offset_commit_failure_percentage{connector=\"lines\",task=\"0\"} ";
    wait_until("a line of the log, and a metric", SOON, || {
        let metrics = worker.get("/metrics").body;
        let failed = metrics.lines().find_map(|line| line.strip_prefix(share)?.parse().ok());
        worker.log().lines().any(|line| line.contains("ERROR") && line.contains(&told))
            && failed.is_some_and(|share: f64| share > 0.0)
    });
    assert_eq!(worker.get("/health").status, 200, "it serves requests");
    fs::remove_dir_all(&offsets).unwrap();
    fs::rename(&away, &offsets).unwrap();
    wait_until("the commit of what waited", SOON, || position() == Some(8));
}
