//! A worker of a group whose internal topics are long: starting until all of them was read.

use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseRecord, Producer as _};
use serde_json::json;

use crate::support::{Answer, Kafka, SOON, WorkerSetup, kafka, stage_of, wait_for};

/// As many offsets, each under a key of its own.
fn write_offsets(kafka: &Kafka, topic: &str, count: usize) {
    let producer = kafka.producer();
    for number in 0..count {
        let key = format!(r#"["connector-of-many",{{"filename":"/var/log/in-{number}.txt"}}]"#);
        let value = format!(r#"{{"position":{number}}}"#);
        wait_for("room in the queue", SOON, || {
            match producer.send(BaseRecord::to(topic).key(&key).payload(&value)) {
                Ok(()) => Ok(()),
                Err((error, _)) => {
                    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull));
                    Err(error)
                }
            }
        });
    }
    producer.flush(SOON).unwrap();
}

/// Gives how long the worker was starting.
fn starts_after_reading(count: usize) -> Option<Duration> {
    let kafka = kafka()?;
    let group = kafka.unique("long");
    let topic = format!("{group}-offsets");
    kafka.create_compacted(&topic, 3);
    write_offsets(&kafka, &topic, count);
    let began = Instant::now();
    let worker = WorkerSetup::distributed(&group).kafka(&kafka.bootstrap).start();
    let mut stages = Vec::new();
    wait_for("healthy", 4 * SOON, || match worker.get("/health?timeout=20&verbose=true") {
        Answer { status: 200, .. } => Ok(()),
        other => {
            let stage = stage_of(&other);
            // The start is over when the worker has its part; a leader then writes the key of its group.
            let is_starting = other.status == 503 || stage == "writing a new session key to the config topic";
            assert!(is_starting, "{other:?}");
            stages.push(stage);
            assert_eq!(worker.get("/connectors").json(), json!([]), "it answers at once");
            Err(other)
        }
    });
    let took = began.elapsed();
    let reading = format!("reading to the end of the topic '{topic}'");
    let is_told = stages.iter().any(|stage| stage.starts_with(&reading));
    assert!(is_told || count < 100_000, "no {reading} in {stages:?}");
    let log = worker.log();
    assert!(log.contains(&format!("3 partitions, {count} offsets")), "{log}");
    Some(took)
}

#[test]
fn many_offsets_are_read_before_the_worker_is_healthy() {
    starts_after_reading(20_000);
}

#[test]
#[ignore = "long: scripts/test --long"]
fn a_million_offsets_are_read_before_the_worker_is_healthy() {
    let count = 1_000_000;
    if let Some(took) = starts_after_reading(count) {
        eprintln!("{count} offsets: 200 after {} ms", took.as_millis());
    }
}
