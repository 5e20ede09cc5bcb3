//! Exactly-once sources (KIP-618) on a real Kafka: whatever is killed, a reader of committed records sees every record once.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::support::{Kafka, SOON, Worker, WorkerSetup, kafka, wait_for, wait_until};

/// How long it may take until records flow again after something was killed.
pub(crate) const RECOVERED: Duration = Duration::from_secs(120);

/// A Kafka of the test's own, which it may kill.
pub(crate) struct OwnKafka {
    pub(crate) kafka: Kafka,
    _folder: TempDir,
}

impl OwnKafka {
    pub(crate) fn start(properties: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let dir = folder.path().join("kafka");
        let more: Vec<&str> = properties.iter().flat_map(|property| ["--property", *property]).collect();
        assert!(script(&["start", "--dir", dir.to_str().unwrap()], &more));
        let bootstrap = fs::read_to_string(dir.join("bootstrap")).unwrap().trim().to_owned();
        OwnKafka { kafka: Kafka { bootstrap, dir }, _folder: folder }
    }

    fn kill(&self) {
        assert!(script(&["kill", "--dir", self.kafka.dir.to_str().unwrap()], &[]));
    }

    /// Starts it again, on the same ports with the same data. A busy machine may need more than one attempt.
    pub(crate) fn restart(&self) {
        let restarts = (0..3).any(|_| script(&["restart", "--dir", self.kafka.dir.to_str().unwrap()], &[]));
        assert!(restarts, "the broker does not start again");
    }

    /// Changes a setting; it counts after a restart.
    pub(crate) fn set(&self, from: &str, to: &str) {
        let file: PathBuf = self.kafka.dir.join("server.properties");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&file, text.replace(from, to)).unwrap();
    }
}

impl Drop for OwnKafka {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs `scripts/kafka`; tells what it says if that fails.
fn script(command: &[&str], more: &[&str]) -> bool {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka");
    let output = Command::new(script).args(command).args(more).output().unwrap();
    if !output.status.success() {
        eprintln!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

/// A worker of a group that writes exactly once.
pub(crate) fn member(kafka: &Kafka, group: &str) -> WorkerSetup {
    WorkerSetup::distributed(group)
        .kafka(&kafka.bootstrap)
        .set("exactly.once.source.support", "enabled")
        .set("session.timeout.ms", "2000")
        .set("heartbeat.interval.ms", "500")
}

/// What lets brokers bury members soon, and lets a transaction of a dead producer end soon.
pub(crate) const QUICK: [&str; 2] =
    ["group.min.session.timeout.ms=1000", "group.initial.rebalance.delay.ms=0"];

pub(crate) fn create(worker: &Worker, name: &str, config: &Json) {
    let created = worker.send("POST", "/connectors", Some(&json!({"name": name, "config": config})));
    assert_eq!(created.status, 201, "{created:?}");
}

/// Reads what is committed of a topic of one partition, one value after the other.
pub(crate) struct CommittedReader(BaseConsumer);

impl CommittedReader {
    pub(crate) fn new(kafka: &Kafka, topic: &str) -> Self {
        CommittedReader::with(kafka, topic, "read_committed")
    }

    fn with(kafka: &Kafka, topic: &str, isolation: &str) -> Self {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &kafka.bootstrap)
            .set("group.id", kafka.unique("committed"))
            .set("isolation.level", isolation)
            .set("enable.auto.commit", "false")
            .set("reconnect.backoff.max.ms", "500")
            .create()
            .unwrap();
        // A member of a group could lose its place, which it commits nowhere, and begin anew.
        let mut only = TopicPartitionList::new();
        only.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
        consumer.assign(&only).unwrap();
        CommittedReader(consumer)
    }

    /// The next value, if one comes soon.
    fn next(&self) -> Option<String> {
        let message = self.0.poll(Duration::from_millis(100))?.ok()?;
        Some(String::from_utf8(message.payload().unwrap_or_default().to_vec()).unwrap())
    }
}

/// Lines with numbers, appended to the file that a source reads, and compared with what a reader sees.
struct Story {
    input: fs::File,
    written: u64,
    reader: CommittedReader,
    seen: u64,
    restarts: u32,
}

impl Story {
    fn append(&mut self, count: u64) {
        let mut text = String::new();
        for number in self.written..self.written + count {
            text.push_str(&format!("line {number}\n"));
        }
        self.input.write_all(text.as_bytes()).unwrap();
        self.written += count;
    }

    /// Reads on until so many lines were seen: each is the one after the last.
    fn see(&mut self, count: u64, worker: &Worker) {
        let start = Instant::now();
        while self.seen < count {
            match self.reader.next() {
                Some(line) => {
                    assert_eq!(line, format!("line {}", self.seen), "lost or repeated\n{}", worker.log());
                    self.seen += 1;
                }
                None if start.elapsed() > RECOVERED => {
                    let status = worker.get("/connectors/lines/status");
                    panic!(
                        "{} of {count} lines after {RECOVERED:?}; {status:?}\n{}",
                        self.seen,
                        worker.log()
                    );
                }
                None => self.restart_what_failed(worker),
            }
        }
    }

    /// A task whose transaction was lost with the broker fails, as in Apache; somebody restarts it.
    fn restart_what_failed(&mut self, worker: &Worker) {
        let status = worker.get("/connectors/lines/status");
        if status.json().pointer("/tasks/0/state") == Some(&json!("FAILED")) {
            self.restarts += 1;
            worker.send("POST", "/connectors/lines/restart?includeTasks=true&onlyFailed=true", None);
        }
    }
}

/// A sequence that looks random and is the same each time.
fn scattered(round: u64, below: u64) -> u64 {
    let mixed = (round + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 33) % below
}

#[test]
fn every_line_is_seen_once_whatever_is_killed() {
    rounds_of_killing(5);
}

#[test]
#[ignore = "long: scripts/test --long"]
fn every_line_is_seen_once_in_many_rounds_of_killing() {
    rounds_of_killing(50);
}

/// In each round, worker or broker or both are killed in the middle of the load.
fn rounds_of_killing(rounds: u64) {
    const LINES: u64 = 5_000;
    if kafka().is_none() {
        return;
    }
    let own = OwnKafka::start(&QUICK);
    let topic = own.kafka.topic("lines", 1);
    let setup = member(&own.kafka, "exactly").file("in.txt", "");
    let input = fs::OpenOptions::new().append(true).open(setup.folder().join("in.txt")).unwrap();
    let mut worker = setup.start().healthy();
    let config = json!({
        "connector.class": "FileStreamSource", "file": "in.txt", "topic": topic, "batch.size": "50",
        "exactly.once.support": "required",
    });
    create(&worker, "lines", &config);
    let reader = CommittedReader::new(&own.kafka, &topic);
    let mut story = Story { input, written: 0, reader, seen: 0, restarts: 0 };
    let began = Instant::now();
    for round in 0..rounds {
        eprintln!("round {round}: {} lines seen after {:?}", story.seen, began.elapsed());
        story.append(LINES);
        // Somewhere in the middle of the load.
        let until = story.seen + 1 + scattered(round, LINES / 2);
        story.see(until.min(story.written), &worker);
        match round % 5 {
            0 | 2 => worker = worker.kill_and_restart(),
            1 | 3 => {
                own.kill();
                own.restart();
            }
            _ => {
                own.kill();
                worker = worker.kill_and_restart();
                own.restart();
            }
        }
    }
    story.append(1);
    story.see(story.written, &worker);
    worker.task_state("lines", 0, "RUNNING");
    let (lines, restarts, took) = (story.seen, story.restarts, began.elapsed());
    let left_open = worker.log().matches("Kafka had left").count();
    eprintln!(
        "{rounds} rounds: {lines} lines seen once each in {took:?}; {restarts} failed tasks were restarted; Kafka left a \
         transaction open {left_open} times"
    );
}

/// The lines of a file from one number to another.
pub(crate) fn append(file: &Path, from: u64, to: u64) {
    let mut input = fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    let text: String = (from..to).map(|number| format!("line {number}\n")).collect();
    input.write_all(text.as_bytes()).unwrap();
}

/// The reader sees the lines from one number to another next, and each once.
pub(crate) fn sees(reader: &CommittedReader, from: u64, to: u64) {
    for number in from..to {
        let line = wait_for(&format!("line {number}"), RECOVERED, || reader.next().ok_or("nothing"));
        assert_eq!(line, format!("line {number}"));
    }
}

pub(crate) fn source(file: &Path, topic: &str, more: &[(&str, &str)]) -> Json {
    let mut config = json!({"connector.class": "FileStreamSource", "file": file, "topic": topic});
    for (key, value) in more {
        config[*key] = json!(value);
    }
    config
}

#[test]
fn a_task_that_was_taken_for_dead_cannot_write_beside_the_one_in_its_place() {
    let Some(_) = kafka() else { return };
    let own = OwnKafka::start(&QUICK);
    let (kafka, folder) = (&own.kafka, TempDir::new().unwrap());
    let (topic, file) = (kafka.topic("lines", 1), folder.path().join("in.txt"));
    append(&file, 0, 1000);
    let workers: Vec<Worker> = (0..2).map(|_| member(kafka, "zombies").start().healthy()).collect();
    create(&workers[0], "lines", &source(&file, &topic, &[("exactly.once.support", "required")]));
    let reader = CommittedReader::new(kafka, &topic);
    sees(&reader, 0, 1000);
    let status = workers[0].task_state("lines", 0, "RUNNING");
    let runs = |worker: &&Worker| worker.url().ends_with(status["worker_id"].as_str().unwrap());
    let zombie = workers.iter().position(|worker| runs(&worker)).unwrap();
    let other = &workers[1 - zombie];
    workers[zombie].signal("STOP");
    append(&file, 1000, 2000);
    sees(&reader, 1000, 2000);
    assert_ne!(other.task_state("lines", 0, "RUNNING")["worker_id"], status["worker_id"]);
    // It reads the same lines once more, as far as it knows, and has a transaction to write them in.
    workers[zombie].signal("CONT");
    append(&file, 2000, 3000);
    sees(&reader, 2000, 3000);
    wait_for("the zombie is a member again", RECOVERED, || {
        match workers[zombie].get("/health?timeout=500") {
            healthy if healthy.status == 200 => Ok(()),
            other => Err((other, workers[zombie].log())),
        }
    });
    append(&file, 3000, 4000);
    sees(&reader, 3000, 4000);
    assert_eq!(reader.next(), None);
}

#[test]
fn a_transaction_that_nobody_ends_does_not_hold_up_a_start() {
    let Some(kafka) = kafka() else { return };
    let (group, topic, folder) = (kafka.unique("eo-open"), kafka.topic("lines", 1), TempDir::new().unwrap());
    let (file, offsets) = (folder.path().join("in.txt"), format!("{group}-offsets"));
    append(&file, 0, 10);
    kafka.create_compacted(&offsets, 3);
    // As of a task whose worker was killed. Kafka ends it after a minute.
    let killed: BaseProducer = kafka.client().set("transactional.id", &group).create().unwrap();
    killed.init_transactions(SOON).unwrap();
    killed.begin_transaction().unwrap();
    killed.send(BaseRecord::to(&offsets).key("[\"other\",{}]").payload("{}")).unwrap();
    killed.flush(SOON).unwrap();
    let worker = member(&kafka, &group).set("session.timeout.ms", "10000").start().healthy();
    create(&worker, "lines", &source(&file, &topic, &[]));
    // A task waits for its end: its own offsets might be in there.
    killed.abort_transaction(SOON).unwrap();
    sees(&CommittedReader::new(&kafka, &topic), 0, 10);
}

#[test]
fn the_tasks_of_a_follower_begin_once_the_leader_has_shut_earlier_ones_out() {
    let Some(kafka) = kafka() else { return };
    let (group, topic) = (kafka.unique("eo-group"), kafka.topic("counted", 1));
    let setup = |_| member(&kafka, &group).set("session.timeout.ms", "10000").start().healthy();
    let workers: Vec<Worker> = (0..2).map(setup).collect();
    let config = |tasks: &str| {
        json!({
            "connector.class": "org.apache.kafka.connect.tools.VerifiableSourceConnector", "topic": topic,
            "throughput": "20", "tasks.max": tasks,
        })
    };
    create(&workers[0], "counted", &config("4"));
    let all_run = |tasks: usize| {
        wait_for(&format!("{tasks} tasks"), RECOVERED, || {
            let status = workers[1].get("/connectors/counted/status").json();
            let found = status["tasks"].as_array().cloned().unwrap_or_default();
            let run = found.iter().filter(|task| task["state"] == "RUNNING").count();
            if (found.len(), run) == (tasks, tasks) { Ok(()) } else { Err((status, workers[0].log())) }
        });
    };
    all_run(4);
    for tasks in ["2", "3"] {
        let put = workers[1].send("PUT", "/connectors/counted/config", Some(&config(tasks)));
        assert_eq!(put.status, 200, "{put:?}");
        all_run(tasks.parse().unwrap());
    }
    let logs = workers.iter().map(Worker::log).collect::<String>();
    assert!(logs.contains("zombie fencing for connector counted: 4 tasks before"), "{logs}");
    // Unsigned: nobody may shut tasks out from outside.
    let unsigned = workers[0].send("PUT", "/connectors/counted/fence", None);
    assert_eq!(unsigned.status, 400, "{unsigned:?}");
}

#[test]
fn a_transaction_ends_with_its_interval_or_a_pause() {
    let Some(kafka) = kafka() else { return };
    let (topic, folder) = (kafka.topic("lines", 1), TempDir::new().unwrap());
    let file = folder.path().join("in.txt");
    append(&file, 0, 10);
    let worker =
        member(&kafka, &kafka.unique("eo-interval")).set("session.timeout.ms", "10000").start().healthy();
    let hour = [("transaction.boundary", "interval"), ("transaction.boundary.interval.ms", "3600000")];
    let hour = [&hour[..], &[("producer.override.transaction.timeout.ms", "900000")]].concat();
    create(&worker, "lines", &source(&file, &topic, &hour));
    let early = CommittedReader::with(&kafka, &topic, "read_uncommitted");
    sees(&early, 0, 10);
    let reader = CommittedReader::new(&kafka, &topic);
    assert_eq!(reader.next(), None, "the transaction is open");
    assert_eq!(worker.get("/connectors/lines/offsets").json(), json!({"offsets": []}));
    assert_eq!(worker.send("PUT", "/connectors/lines/pause", None).status, 202);
    worker.task_state("lines", 0, "PAUSED");
    sees(&reader, 0, 10);
    let offsets = worker.get("/connectors/lines/offsets").json();
    assert_eq!(offsets.pointer("/offsets/0/offset/position"), Some(&json!(70)), "{offsets}");
    append(&file, 10, 20);
    assert_eq!(worker.send("PUT", "/connectors/lines/resume", None).status, 202);
    sees(&early, 10, 20);
    let short = [("transaction.boundary", "interval"), ("transaction.boundary.interval.ms", "200")];
    let put = worker.send("PUT", "/connectors/lines/config", Some(&source(&file, &topic, &short)));
    assert_eq!(put.status, 200, "{put:?}");
    sees(&reader, 10, 20);
    append(&file, 20, 30);
    sees(&reader, 20, 30);
}

#[test]
fn a_connector_keeps_its_offsets_in_a_topic_of_its_own() {
    let Some(kafka) = kafka() else { return };
    for support in ["enabled", "disabled"] {
        let (topic, folder) = (kafka.topic("lines", 1), TempDir::new().unwrap());
        let (file, own) = (folder.path().join("in.txt"), kafka.unique("own-offsets"));
        append(&file, 0, 10);
        let group = kafka.unique("eo-own");
        let worker = member(&kafka, &group)
            .set("session.timeout.ms", "10000")
            .set("exactly.once.source.support", support)
            .start()
            .healthy();
        create(&worker, "lines", &source(&file, &topic, &[("offsets.storage.topic", &own)]));
        let reader = CommittedReader::new(&kafka, &topic);
        sees(&reader, 0, 10);
        let position = |expected: Json| {
            wait_for(&format!("the offset {expected}, {support}"), SOON, || {
                let offsets = worker.get("/connectors/lines/offsets").json();
                let found = offsets.pointer("/offsets/0/offset/position").cloned().unwrap_or_default();
                if found == expected { Ok(()) } else { Err((offsets, worker.log())) }
            });
        };
        position(json!(70));
        let stored = "{\"position\":70}".to_owned();
        for offsets in [&own, &format!("{group}-offsets")] {
            kafka.values_until(offsets, |values| values.contains(&stored));
        }
        assert_eq!(worker.send("PUT", "/connectors/lines/stop", None).status, 204);
        worker.connector_state("lines", "STOPPED");
        let change = json!({"offsets": [{"partition": {"filename": file}, "offset": {"position": 35}}]});
        wait_until("all has ended, and the offset is changed", SOON, || {
            let altered = worker.send("PATCH", "/connectors/lines/offsets", Some(&change));
            assert!([200, 400].contains(&altered.status), "{altered:?}");
            altered.status == 200
        });
        position(json!(35));
        assert_eq!(worker.send("PUT", "/connectors/lines/resume", None).status, 202);
        sees(&reader, 5, 10);
        assert_eq!(worker.send("PUT", "/connectors/lines/stop", None).status, 204);
        wait_until("all has ended", SOON, || {
            let reset = worker.send("DELETE", "/connectors/lines/offsets", None);
            assert!([200, 400].contains(&reset.status), "{reset:?}");
            reset.status == 200
        });
        position(Json::Null);
        assert_eq!(worker.send("PUT", "/connectors/lines/resume", None).status, 202);
        sees(&reader, 0, 10);
    }
}

#[test]
fn what_a_source_cannot_do_is_refused() {
    let Some(kafka) = kafka() else { return };
    let worker = |support| {
        member(&kafka, &kafka.unique("eo-refused"))
            .set("exactly.once.source.support", support)
            .set("session.timeout.ms", "10000")
            .start()
            .healthy()
    };
    let required = json!({
        "connector.class": "FileStreamSource", "file": "in.txt", "topic": "t", "exactly.once.support": "required",
    });
    let refused = worker("preparing").send("PUT", "/connectors/lines/config", Some(&required));
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(
        refused.body.contains("This worker does not have exactly-once source support enabled."),
        "{refused:?}"
    );
    let worker = worker("enabled");
    for (settings, why) in [
        (json!({"file": null}), "does not support exactly-once semantics with the provided configuration"),
        (
            json!({"transaction.boundary": "connector"}),
            "does not support connector-defined transaction boundaries",
        ),
    ] {
        let mut config = required.clone();
        for (key, value) in settings.as_object().unwrap() {
            if value.is_null() {
                config.as_object_mut().unwrap().remove(key);
            } else {
                config[key] = value.clone();
            }
        }
        let refused = worker.send("PUT", "/connectors/lines/config", Some(&config));
        assert_eq!(refused.status, 400, "{refused:?}");
        assert!(refused.body.contains(why), "{refused:?}");
    }
    // A topic cannot hold both records and the offsets that stand for them.
    let own = kafka.topic("both", 1);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("in.txt");
    append(&file, 0, 1);
    let altered = script(
        &["tool", "kafka.admin.ConfigCommand"],
        &[
            "--bootstrap-server",
            &kafka.bootstrap,
            "--alter",
            "--entity-type",
            "topics",
            "--entity-name",
            &own,
            "--add-config",
            "cleanup.policy=compact",
        ],
    );
    assert!(altered);
    create(&worker, "lines", &source(&file, &own, &[("offsets.storage.topic", &own)]));
    let failed = worker.task_state("lines", 0, "FAILED");
    assert!(
        failed["trace"].as_str().unwrap().contains("may not produce to their own offsets topics"),
        "{failed}"
    );
}
