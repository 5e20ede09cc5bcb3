//! Records through a worker: what holds them back, what must not lose them, and what makes a task fail.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value as Json;

use crate::support::{SOON, Worker, WorkerSetup, kafka, wait_for, wait_until};

/// How long nothing must arrive for a test to believe that nothing will.
const QUIET: Duration = Duration::from_millis(700);

const SOURCE: [(&str, &str); 3] =
    [("connector.class", "FileStreamSource"), ("file", "in.txt"), ("topic", "t")];
const SINK: [(&str, &str); 3] = [("connector.class", "FileStreamSink"), ("file", "out.txt"), ("topics", "t")];

/// A worker that carries the lines of `in.txt` to `out.txt`.
fn carrier() -> WorkerSetup {
    WorkerSetup::new().connector("source", &SOURCE).connector("sink", &SINK)
}

fn append(worker: &Worker, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(worker.folder().join("in.txt")).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn out(folder: &Path) -> String {
    fs::read_to_string(folder.join("out.txt")).unwrap_or_default()
}

#[track_caller]
fn arrives(worker: &Worker, text: &str) {
    wait_for("the output", SOON, || match out(worker.folder()) {
        out if out == text => Ok(()),
        other => Err(other),
    });
}

#[track_caller]
fn stays(worker: &Worker, text: &str) {
    std::thread::park_timeout(QUIET);
    assert_eq!(out(worker.folder()), text);
}

fn put(worker: &Worker, path: &str) {
    let answer = worker.send("PUT", path, None);
    assert!(matches!(answer.status, 202 | 204), "{path}: {answer:?}");
}

#[test]
fn nothing_passes_a_paused_connector() {
    let worker = carrier().file("in.txt", "one\n").start().healthy();
    arrives(&worker, "one\n");
    for connector in ["source", "sink"] {
        put(&worker, &format!("/connectors/{connector}/pause"));
        worker.connector_state(connector, "PAUSED");
        worker.task_state(connector, 0, "PAUSED");
        let before = out(worker.folder());
        append(&worker, &format!("while {connector} is paused\n"));
        stays(&worker, &before);
        put(&worker, &format!("/connectors/{connector}/resume"));
        worker.task_state(connector, 0, "RUNNING");
        arrives(&worker, &format!("{before}while {connector} is paused\n"));
    }
}

#[test]
fn a_stopped_connector_has_no_tasks_and_goes_on_where_it_was() {
    let Some(kafka) = kafka() else { return };
    let topic = kafka.topic("t", 1);
    let source = [("connector.class", "FileStreamSource"), ("file", "in.txt"), ("topic", &topic)];
    let group = kafka.unique("connect-sink");
    let sink = [
        ("connector.class", "FileStreamSink"),
        ("file", "out.txt"),
        ("topics", &topic),
        ("consumer.override.group.id", &group),
    ];
    let worker = WorkerSetup::new()
        .connector("source", &source)
        .connector("sink", &sink)
        .kafka(&kafka.bootstrap)
        .file("in.txt", "one\n")
        .start()
        .healthy();
    arrives(&worker, "one\n");
    for connector in ["source", "sink"] {
        put(&worker, &format!("/connectors/{connector}/stop"));
        worker.connector_state(connector, "STOPPED");
        wait_for("no tasks", SOON, || match worker.get(&format!("/connectors/{connector}/tasks")) {
            answer if answer.body == "[]" => Ok(()),
            answer => Err(answer),
        });
        let before = out(worker.folder());
        append(&worker, &format!("while {connector} is stopped\n"));
        stays(&worker, &before);
        put(&worker, &format!("/connectors/{connector}/resume"));
        worker.task_state(connector, 0, "RUNNING");
        arrives(&worker, &format!("{before}while {connector} is stopped\n"));
    }
}

#[test]
fn lines_of_any_alphabet_go_on_exactly_after_a_kill() {
    let Some(kafka) = kafka() else { return };
    let topic = kafka.topic("alphabets", 1);
    let source = [("connector.class", "FileStreamSource"), ("file", "in.txt"), ("topic", &topic)];
    let before = ["größer", "線を引く", "🐑🐕", "", "naïve\u{301}"];
    let after = ["後", "последняя"];
    let worker = WorkerSetup::new()
        .kafka(&kafka.bootstrap)
        .file("in.txt", before.join("\n") + "\n")
        .connector("source", &source)
        .start()
        .healthy();
    kafka.values_until(&topic, |values| values.len() >= before.len());
    let bytes = before.join("\n").len() + 1;
    wait_for("the offset of all lines", SOON, || {
        let answer = worker.get("/connectors/source/offsets");
        let position = answer.json().pointer("/offsets/0/offset/position").and_then(Json::as_u64);
        if position == Some(bytes as u64) { Ok(()) } else { Err(answer) }
    });
    let worker = worker.kill_and_restart().healthy();
    append(&worker, &(after.join("\n") + "\n"));
    let values = kafka.values_until(&topic, |values| values.last().is_some_and(|last| last == after[1]));
    assert_eq!(values, [before.as_slice(), after.as_slice()].concat());
}

#[test]
fn a_last_line_is_held_back_until_it_is_whole() {
    let worker = carrier().file("in.txt", "whole\nhal").start().healthy();
    arrives(&worker, "whole\n");
    stays(&worker, "whole\n");
    append(&worker, "f\n");
    arrives(&worker, "whole\nhalf\n");
}

#[test]
fn standard_input_goes_to_standard_output() {
    let connector = |class, topic| [("connector.class", class), (topic, "t")];
    let mut worker = WorkerSetup::new()
        .with_stdin()
        .connector("source", &connector("FileStreamSource", "topic"))
        .connector("sink", &connector("FileStreamSink", "topics"))
        .start()
        .healthy();
    let mut stdin = worker.stdin();
    stdin.write_all("hallo, größer\nthe last has no".as_bytes()).unwrap();
    let printed = |line: &str| worker.log().lines().any(|printed| printed == line);
    wait_until("the line on standard output", SOON, || printed("hallo, größer"));
    stdin.write_all(b" end").unwrap();
    drop(stdin);
    wait_until("what stood before the end", SOON, || printed("the last has no end"));
}

#[test]
fn a_file_may_come_late() {
    let worker = carrier().start().healthy();
    worker.task_state("source", 0, "RUNNING");
    append(&worker, "here it is\n");
    arrives(&worker, "here it is\n");
}

#[test]
fn a_value_that_cannot_be_converted_fails_the_task_with_a_reason() {
    let bytes = "org.apache.kafka.connect.converters.ByteArrayConverter";
    let worker = WorkerSetup::new()
        .file("in.txt", "text\n")
        .connector("source", &[SOURCE.as_slice(), &[("value.converter", bytes)]].concat())
        .start();
    let status = worker.task_state("source", 0, "FAILED");
    let trace = status["trace"].as_str().unwrap_or_default();
    for word in ["org.apache.kafka.connect.errors.", "DataException", "ByteArrayConverter"] {
        assert!(trace.contains(word), "no «{word}» in:\n{trace}");
    }
    assert!(
        worker.log().contains("Invalid schema type for ByteArrayConverter: STRING"),
        "the log says it, too"
    );
    worker.connector_state("source", "RUNNING");
}

#[test]
fn two_tasks_share_partitions_and_lose_nothing_in_a_restart() {
    let Some(kafka) = kafka() else { return };
    let topic = kafka.topic("shared", 4);
    let group = kafka.unique("connect-shared");
    let sink = [
        ("connector.class", "FileStreamSink"),
        ("file", "out.txt"),
        ("topics", &topic),
        ("tasks.max", "2"),
        ("consumer.override.group.id", &group),
        ("consumer.override.metadata.max.age.ms", "1000"),
    ];
    let worker = WorkerSetup::new().kafka(&kafka.bootstrap).connector("sink", &sink).start().healthy();
    for task in 0..2 {
        worker.task_state("sink", task, "RUNNING");
    }
    let logger = "/admin/loggers/org.apache.kafka.connect.runtime.WorkerSinkTask";
    let level = serde_json::json!({"level": "DEBUG"});
    assert_eq!(worker.send("PUT", logger, Some(&level)).status, 200);
    let produce = |numbers: std::ops::Range<usize>| {
        for partition in 0..4 {
            let values = numbers.clone().filter(|number| number % 4 == partition);
            kafka.produce_to(
                &topic,
                i32::try_from(partition).unwrap(),
                values.map(|n| format!("record {n}")),
            );
        }
    };
    produce(0..1000);
    let answer = worker.send("POST", "/connectors/sink/restart?includeTasks=true", None);
    assert_eq!(answer.status, 202, "{answer:?}");
    produce(1000..2000);
    wait_for("all records", SOON, || {
        let out = out(worker.folder());
        let out: BTreeSet<_> = out.lines().map(str::to_owned).collect();
        let missing: Vec<_> =
            (0..2000).map(|n| format!("record {n}")).filter(|record| !out.contains(record)).collect();
        if missing.is_empty() { Ok(()) } else { Err((missing.len(), missing.first().cloned())) }
    });
    for task in 0..2 {
        worker.task_state("sink", task, "RUNNING");
    }
    // One of them may have had all partitions when the records came: more come until both have had some.
    let mut next = 2000;
    wait_for("both tasks commit", SOON, || {
        produce(next..next + 4);
        next += 4;
        let log = worker.log();
        let commits =
            |task: &i32| log.contains(&format!("WorkerSinkTask{{id=sink-{task}}} Committing offsets "));
        let idle: Vec<_> = (0..2).filter(|task| !commits(task)).collect();
        if idle.is_empty() { Ok(()) } else { Err(format!("tasks without a commit: {idle:?}")) }
    });
}

#[test]
fn the_embedded_broker_outlives_a_reset_that_it_cannot_do() {
    let worker = carrier().file("in.txt", "one\n").start().healthy();
    assert_eq!(worker.send("PUT", "/connectors/sink/stop", None).status, 204);
    let answer = worker.send("DELETE", "/connectors/sink/offsets", None);
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(answer.body.contains("the embedded broker can forget no offsets"), "{answer:?}");
    assert_eq!(worker.get("/health").status, 200);
}
