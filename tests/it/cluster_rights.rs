//! A worker of a group whose user lacks rights on the internal topics: what `GET /health` and the log say to change.

use std::time::{Duration, Instant};

use crate::own_kafka::OwnKafka;
use crate::support::{Answer, SOON, Worker, WorkerSetup, kafka, stage_of, wait_for};

/// A broker at which nobody but the super user may do anything that is not allowed by a rule. Who comes without a login is
/// the super user.
pub(crate) fn strict_broker() -> OwnKafka {
    OwnKafka::start(&[
        "--sasl-ssl",
        "--property",
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "--property",
        "super.users=User:ANONYMOUS",
    ])
}

/// Adds or removes rules for the user alice.
pub(crate) fn rules(broker: &OwnKafka, what: &str, who: &str, on: &[&str]) {
    let mut arguments = vec![what, who, "User:alice"];
    arguments.extend(on);
    if what == "--remove" {
        arguments.push("--force");
    }
    broker.tool("org.apache.kafka.tools.AclCommand", &arguments);
}

fn alice(broker: &OwnKafka, group: &str) -> WorkerSetup {
    let authority = broker.dir().join("tls/ca.pem");
    let login = "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"alice\" \
                 password=\"alice-secret\";";
    WorkerSetup::distributed(group)
        .kafka(&broker.address("bootstrap-sasl-ssl"))
        .set("security.protocol", "SASL_SSL")
        .set("sasl.mechanism", "SCRAM-SHA-512")
        .set("sasl.jaas.config", login)
        .set("ssl.truststore.type", "PEM")
        .set("ssl.truststore.location", authority.to_str().unwrap())
}

/// Waits until health and log have all these words; gives the stage.
fn told(worker: &Worker, status: u16, words: &[&str]) -> String {
    wait_for(&format!("{words:?}"), SOON, || {
        let answer = worker.get("/health?timeout=300&verbose=true");
        let (stage, log) = (stage_of(&answer), worker.log());
        let are_in = |text: &str| words.iter().all(|word| text.contains(word));
        if answer.status == status && are_in(&stage) && log.lines().any(are_in) {
            Ok(stage)
        } else {
            Err((answer, log))
        }
    })
}

fn healthy(worker: &Worker) {
    wait_for("healthy", SOON, || match worker.get("/health?timeout=1000&verbose=true") {
        Answer { status: 200, .. } => Ok(()),
        other => Err((other, worker.log())),
    });
}

#[test]
fn a_right_that_is_missing_is_named_and_used_once_it_is_given() {
    if kafka().is_none() {
        return;
    }
    let broker = strict_broker();
    let topics = ["--topic", "strict", "--resource-pattern-type", "prefixed"];
    let worker = alice(&broker, "strict").start();
    let stage = told(&worker, 503, &["strict-", "Allow the worker's principal", "CREATE"]);
    eprintln!("without any right: {stage}");
    assert_eq!(worker.get("/connectors").status, 200);

    // It may see that they are not there, and not create them.
    rules(&broker, "--add", "--allow-principal", &[&["--operation", "Describe"], &topics[..]].concat());
    let stage = told(&worker, 503, &["strict-", "is not there", "not allowed to create it", "compact"]);
    eprintln!("without the right to create: {stage}");

    rules(&broker, "--add", "--allow-principal", &["--operation", "All", "--group", "strict"]);
    rules(&broker, "--add", "--allow-principal", &[&["--operation", "All"], &topics[..]].concat());
    healthy(&worker);

    // A right that is taken away later makes it unhealthy for as long as that is so.
    let read = ["--operation", "Read", "--topic", "strict-configs"];
    rules(&broker, "--add", "--deny-principal", &read);
    let denied = Instant::now();
    let words = ["strict-configs", "(Fetch)", "Allow the worker's principal"];
    let stage = told(&worker, 500, &words);
    let took = denied.elapsed();
    eprintln!("without the right to read: 500 after {} ms: {stage}", took.as_millis());
    assert!(took < Duration::from_secs(13), "{took:?}");
    let still = worker.get("/health?timeout=5000");
    assert_eq!(still.status, 500, "what may be looked up may not be read: {still:?}");
    rules(&broker, "--remove", "--deny-principal", &read);
    let given = Instant::now();
    healthy(&worker);
    let took = given.elapsed();
    eprintln!("with the right to read: 200 after {} ms", took.as_millis());
    // It is tried every 3 s.
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert!(!worker.log().contains("alice-secret"), "the log has the password");
}
