//! Tasks whose clients the broker does not let in, beside those whose broker is merely away.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

use crate::own_kafka::OwnKafka;
use crate::support::{SOON, Worker, WorkerSetup, kafka, pause_for, wait_for};

/// Longer than a refusal needs to fail a task.
const LONGER: Duration = Duration::from_secs(4);

/// Settings of a client of the broker below a prefix, with this password and whatever is trusted.
fn login(prefix: &str, password: &str, authority: Option<&str>) -> Vec<(String, String)> {
    let login = format!(
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"alice\" password=\"{password}\";"
    );
    let settings = [
        ("security.protocol", Some("SASL_SSL")),
        ("sasl.mechanism", Some("SCRAM-SHA-512")),
        ("sasl.jaas.config", Some(login.as_str())),
        ("ssl.truststore.type", authority.map(|_| "PEM")),
        ("ssl.truststore.location", authority),
    ];
    let given = settings.into_iter().filter_map(|(name, value)| Some((name, value?)));
    given.map(|(name, value)| (format!("{prefix}{name}"), value.to_owned())).collect()
}

/// A worker with a source and a sink at the listener with a login; itself it needs none.
fn worker(broker: &OwnKafka, password: &str, authority: Option<&str>) -> Worker {
    let secure = broker.address("bootstrap-sasl-ssl");
    let connector = |kind: &str, settings: &[(&str, &str)]| {
        let prefix = format!("{kind}.override.");
        let mut all = login(&prefix, password, authority);
        all.push((format!("{prefix}bootstrap.servers"), secure.clone()));
        all.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        all
    };
    let source = connector(
        "producer",
        &[
            ("connector.class", "FileStreamSource"),
            ("file", "in.txt"),
            ("topic", "t"),
            ("errors.tolerance", "all"),
        ],
    );
    let sink =
        connector("consumer", &[("connector.class", "FileStreamSink"), ("file", "out.txt"), ("topics", "t")]);
    let mut setup = WorkerSetup::new().kafka(&broker.address("bootstrap")).file("in.txt", "one\n");
    for (name, settings) in [("source", source), ("sink", sink)] {
        let settings: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        setup = setup.connector(name, &settings);
    }
    setup.start().healthy()
}

#[test]
fn a_login_or_certificate_that_is_wrong_fails_the_tasks_and_says_what_to_change() {
    if kafka().is_none() {
        return;
    }
    let broker = OwnKafka::start(&["--sasl-ssl"]);
    let authority = broker.dir().join("tls/ca.pem");
    let authority = authority.to_str();
    for (password, authority, words) in [
        (
            "wrong-secret",
            authority,
            [
                "org.apache.kafka.common.errors.SaslAuthenticationException",
                "sasl.jaas.config under producer., consumer.",
            ],
        ),
        (
            "alice-secret",
            None,
            [
                "org.apache.kafka.common.errors.SslAuthenticationException",
                "trust store under producer., consumer.",
            ],
        ),
    ] {
        let worker = worker(&broker, password, authority);
        for connector in ["source", "sink"] {
            let status = worker.task_state(connector, 0, "FAILED");
            let trace = status["trace"].as_str().unwrap();
            for word in words {
                assert!(trace.contains(word), "{connector}: no «{word}» in:\n{trace}");
            }
            worker.connector_state(connector, "RUNNING");
        }
        assert_eq!(worker.get("/health").status, 200);
        assert!(!worker.log().contains(password), "the log has the password");
    }
}

#[test]
fn a_dead_letter_queue_that_cannot_be_looked_for_fails_the_task_and_says_what_to_change() {
    if kafka().is_none() {
        return;
    }
    let broker = OwnKafka::start(&["--sasl-ssl"]);
    let authority = broker.dir().join("tls/ca.pem");
    let prefix = "admin.override.";
    let mut sink = login(prefix, "wrong-secret", authority.to_str());
    sink.push((format!("{prefix}bootstrap.servers"), broker.address("bootstrap-sasl-ssl")));
    let own = [
        ("connector.class", "FileStreamSink"),
        ("file", "out.txt"),
        ("topics", "t"),
        ("errors.deadletterqueue.topic.name", "dead"),
    ];
    let sink = sink.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let sink: Vec<_> = sink.chain(own).collect();
    let worker = WorkerSetup::new().kafka(&broker.address("bootstrap")).connector("sink", &sink).start();
    let status = worker.task_state("sink", 0, "FAILED");
    let trace = status["trace"].as_str().unwrap();
    for words in [
        "Could not initialize dead letter queue with topic=dead",
        "org.apache.kafka.common.errors.SaslAuthenticationException",
    ] {
        assert!(trace.contains(words), "no «{words}» in:\n{trace}");
    }
    assert!(!worker.log().contains("wrong-secret"), "the log has the password");
}

#[test]
fn a_broker_that_is_away_fails_no_task() {
    if kafka().is_none() {
        return;
    }
    let broker = OwnKafka::start(&["--sasl-ssl"]);
    let authority = broker.dir().join("tls/ca.pem");
    let worker = worker(&broker, "alice-secret", authority.to_str());
    let out = worker.folder().join("out.txt");
    let arrives = |expected: &str| {
        wait_for("the output", SOON, || match std::fs::read_to_string(&out).unwrap_or_default() {
            text if text == expected => Ok(()),
            other => Err((other, worker.log())),
        });
    };
    arrives("one\n");
    broker.kill();
    let mut file = OpenOptions::new().append(true).open(worker.folder().join("in.txt")).unwrap();
    file.write_all(b"two\n").unwrap();
    pause_for(LONGER);
    for connector in ["source", "sink"] {
        worker.task_state(connector, 0, "RUNNING");
    }
    broker.restart();
    arrives("one\ntwo\n");
    for connector in ["source", "sink"] {
        worker.task_state(connector, 0, "RUNNING");
    }
}
