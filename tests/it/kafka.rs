//! Against a real Kafka: the ways to be let in, and a broker that goes away for a while.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{Kafka, SOON, WorkerSetup, kafka, wait_for, wait_until};

/// A worker whose clients, its own and those of its connectors, have these settings. It is to carry lines from `in.txt`
/// to `out.txt` through a new topic.
fn carrier(kafka: &Kafka, bootstrap: &str, security: &[(&str, &str)]) -> WorkerSetup {
    let topic = kafka.topic("carried", 1);
    let mut setup = WorkerSetup::new().kafka(bootstrap);
    for (key, value) in security {
        for prefix in ["", "producer.", "consumer.", "admin."] {
            setup = setup.set(&format!("{prefix}{key}"), *value);
        }
    }
    let group = kafka.unique("connect-carrier");
    setup
        .file("in.txt", "one\ntwo\n")
        .connector(
            "source",
            &[("connector.class", "FileStreamSource"), ("file", "in.txt"), ("topic", &topic)],
        )
        .connector(
            "sink",
            &[
                ("connector.class", "FileStreamSink"),
                ("file", "out.txt"),
                ("topics", &topic),
                ("consumer.override.group.id", &group),
            ],
        )
}

fn address(kafka: &Kafka, listener: &str) -> String {
    fs::read_to_string(kafka.dir.join(listener)).unwrap().trim().to_owned()
}

fn out(folder: &Path) -> String {
    fs::read_to_string(folder.join("out.txt")).unwrap_or_default()
}

#[track_caller]
fn carries(setup: WorkerSetup) {
    let worker = setup.start().healthy();
    wait_for("the lines in the output", SOON, || match out(worker.folder()) {
        text if text == "one\ntwo\n" => Ok(()),
        other => Err((other, worker.log())),
    });
}

fn login(module: &str, password: &str) -> String {
    format!("org.apache.kafka.common.security.{module} required username=\"alice\" password=\"{password}\";")
}

#[test]
fn a_password_lets_in_over_tls() {
    let Some(kafka) = kafka() else { return };
    let (bootstrap, authority) = (address(&kafka, "bootstrap-sasl-ssl"), kafka.dir.join("tls/ca.pem"));
    for (mechanism, module) in [
        ("SCRAM-SHA-512", "scram.ScramLoginModule"),
        ("SCRAM-SHA-256", "scram.ScramLoginModule"),
        ("PLAIN", "plain.PlainLoginModule"),
    ] {
        let security = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", mechanism),
            ("sasl.jaas.config", &login(module, "alice-secret")),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", authority.to_str().unwrap()),
        ];
        carries(carrier(&kafka, &bootstrap, &security));
    }
}

#[test]
fn a_wrong_password_is_told_and_waited_out() {
    let Some(kafka) = kafka() else { return };
    let authority = kafka.dir.join("tls/ca.pem");
    let security = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.jaas.config", &login("scram.ScramLoginModule", "wr0ng-secret")),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", authority.to_str().unwrap()),
    ];
    let worker = carrier(&kafka, &address(&kafka, "bootstrap-sasl-ssl"), &security).start();
    wait_for("a word about authentication", SOON, || {
        let log = worker.log();
        // The settings are listed in the log as well; they have the word, too.
        let told = log.lines().any(|line| {
            (line.contains(" WARN ") || line.contains(" ERROR "))
                && line.to_lowercase().contains("authentication")
        });
        if told { Ok(()) } else { Err(log) }
    });
    let health = worker.get("/health?timeout=300");
    assert_eq!((health.status, health.json()["status"].as_str()), (503, Some("starting")));
    assert_eq!(worker.get("/connectors").status, 200);
    assert!(!worker.log().contains("wr0ng-secret"), "the log has the password");
}

#[test]
fn a_client_certificate_lets_in() {
    let Some(kafka) = kafka() else { return };
    let (authority, store) = (kafka.dir.join("tls/ca.pem"), kafka.dir.join("tls/client-keystore.pem"));
    let security = [
        ("security.protocol", "SSL"),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", authority.to_str().unwrap()),
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.location", store.to_str().unwrap()),
    ];
    carries(carrier(&kafka, &address(&kafka, "bootstrap-ssl"), &security));
}

/// `scripts/kafka COMMAND --dir DIR`.
fn script(command: &str, dir: &Path) {
    let mut script = Command::new("scripts/kafka");
    let output = script.args([command, "--dir"]).arg(dir).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A Kafka of the test's own, which it may kill.
struct OwnKafka {
    kafka: Kafka,
    _folder: TempDir,
}

impl OwnKafka {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let dir = folder.path().join("kafka");
        script("start", &dir);
        let bootstrap = fs::read_to_string(dir.join("bootstrap")).unwrap().trim().to_owned();
        OwnKafka { kafka: Kafka { bootstrap, dir }, _folder: folder }
    }
}

impl Drop for OwnKafka {
    fn drop(&mut self) {
        script("kill", &self.kafka.dir);
    }
}

#[test]
fn a_broker_that_dies_and_comes_back_costs_nothing() {
    if kafka().is_none() {
        return;
    }
    let own = OwnKafka::start();
    let kafka = &own.kafka;
    let (lines, records) = (kafka.topic("lines", 1), kafka.topic("records", 1));
    let setup = WorkerSetup::new()
        .kafka(&kafka.bootstrap)
        .file("in.txt", "")
        .connector(
            "source",
            &[("connector.class", "FileStreamSource"), ("file", "in.txt"), ("topic", &lines)],
        )
        .connector(
            "sink",
            &[("connector.class", "FileStreamSink"), ("file", "out.txt"), ("topics", &records)],
        );
    let mut input = fs::OpenOptions::new().append(true).open(setup.folder().join("in.txt")).unwrap();
    let worker = setup.start().healthy();
    let mut written = 0;
    let mut write = |count: usize| {
        for _ in 0..count {
            writeln!(input, "line {written}").unwrap();
            written += 1;
        }
        written
    };

    write(5000);
    kafka.produce(&records, (0..5000).map(|number| format!("record {number}")));
    wait_until("both ways are under way", SOON, || {
        out(worker.folder()).lines().count() > 0 && fs::read(worker.folder().join("offsets")).is_ok()
    });
    script("kill", &kafka.dir);
    // Lines go on while there is no broker; ten seconds are more than the clients' usual patience with a connection.
    for _ in 0..100 {
        write(50);
        std::thread::park_timeout(Duration::from_millis(100));
    }
    script("restart", &kafka.dir);
    let written = write(100);
    kafka.produce(&records, (5000..6000).map(|number| format!("record {number}")));

    let last = format!("line {}", written - 1);
    let arrived = kafka.values_until(&lines, |values| values.last() == Some(&last));
    let missing: Vec<_> =
        (0..written).map(|number| format!("line {number}")).filter(|line| !arrived.contains(line)).collect();
    assert_eq!(missing, Vec::<String>::new(), "lines missing from the topic");
    wait_for("all records in the output", Duration::from_secs(90), || {
        let out = out(worker.folder());
        let out: std::collections::BTreeSet<_> = out.lines().collect();
        let missing: Vec<_> = (0..6000)
            .map(|number| format!("record {number}"))
            .filter(|record| !out.contains(record.as_str()))
            .collect();
        if missing.is_empty() { Ok(()) } else { Err((missing.len(), missing.first().cloned(), worker.log())) }
    });
    for connector in ["source", "sink"] {
        worker.task_state(connector, 0, "RUNNING");
    }
    assert_eq!(worker.get("/health").status, 200);
}
