//! A leader that writes the config topic in transactions: what `GET /health` says while it cannot, and what becomes of one
//! whose place another has taken.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer as _};
use serde_json::json;

use crate::exactly_once::{OwnKafka, QUICK, create, member};
use crate::support::{Answer, Kafka, SOON, Worker, kafka, wait_for, wait_until};

/// How long a group may take to come to rest.
const SETTLED: Duration = Duration::from_secs(60);

fn sink(topic: &str) -> serde_json::Value {
    json!({"connector.class": "org.apache.kafka.connect.tools.VerifiableSinkConnector", "topics": topic})
}

fn health(worker: &Worker) -> Answer {
    worker.get("/health?timeout=500&verbose=true")
}

/// Takes the place of the leader of a group at the brokers.
fn take_the_place_of_the_leader(kafka: &Kafka, group: &str) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &kafka.bootstrap)
        .set("transactional.id", format!("connect-cluster-{group}"))
        .create()
        .unwrap();
    producer.init_transactions(SOON).unwrap();
}

#[test]
fn a_leader_without_its_producer_is_unhealthy_until_it_has_it() {
    if kafka().is_none() {
        return;
    }
    // One broker cannot keep three copies of the state of transactions, so it coordinates none.
    let factor = |count: u32| format!("transaction.state.log.replication.factor={count}");
    let own = OwnKafka::start(&[QUICK[0], QUICK[1], &factor(3)]);
    let worker = member(&own.kafka, "claims").start();
    let answer = wait_for("a leader that cannot claim", SETTLED, || {
        let answer = health(&worker);
        let stage = answer.json()["stage"].as_str().unwrap_or_default().to_owned();
        if stage == "reclaiming write privileges for the config topic" { Ok(answer) } else { Err(answer) }
    });
    assert_eq!(answer.status, 500, "{answer:?}");
    assert_eq!(worker.get("/connectors").json(), json!([]), "what needs no leader is answered");
    own.set(&factor(3), &factor(1));
    own.restart();
    wait_for("healthy", Duration::from_secs(120), || match health(&worker) {
        Answer { status: 200, .. } => Ok(()),
        other => Err((other, worker.log())),
    });
    create(&worker, "sink", &sink("t"));
}

#[test]
fn a_leader_whose_place_was_taken_says_so_and_claims_it_again_while_it_leads() {
    let Some(kafka) = kafka() else { return };
    let group = kafka.unique("fenced");
    let worker = member(&kafka, &group).set("session.timeout.ms", "10000").start().healthy();
    create(&worker, "first", &sink("t"));
    // Nothing more is written then, in whose middle the place might be taken.
    worker.task_state("first", 0, "RUNNING");
    take_the_place_of_the_leader(&kafka, &group);
    let body = json!({"name": "second", "config": sink("t")});
    let refused = worker.send("POST", "/connectors", Some(&body));
    assert_eq!(refused.status, 500, "{refused:?}");
    let message = refused.json()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.starts_with("Failed to write to config topic"), "{message}");
    assert!(message.ends_with("The request can be repeated."), "{message}");
    wait_for("the place is its own again", SETTLED, || match worker.get("/health?timeout=1000") {
        Answer { status: 200, .. } => Ok(()),
        other => Err((other, worker.log())),
    });
    let repeated = worker.send("POST", "/connectors", Some(&body));
    assert_eq!(repeated.status, 201, "{repeated:?}");
    assert_eq!(worker.get("/connectors").json(), json!(["first", "second"]));
}

#[test]
fn a_leader_that_was_taken_for_dead_steps_back() {
    if kafka().is_none() {
        return;
    }
    let own = OwnKafka::start(&QUICK);
    let leader = member(&own.kafka, "steps").start().healthy();
    let other = member(&own.kafka, "steps").start().healthy();
    create(&leader, "first", &sink("t"));
    leader.signal("STOP");
    // Asked before, it would send the request on to the one that is frozen.
    wait_until("the other one leads", SETTLED, || other.log().contains("has claimed write privileges"));
    create(&other, "second", &sink("t"));
    leader.signal("CONT");
    // Whatever it was about to write is refused; what it is asked for from now on goes to the other one.
    wait_for("it is a member again", SETTLED, || match leader.get("/health?timeout=1000") {
        Answer { status: 200, .. } => Ok(()),
        answer => Err((answer, leader.log())),
    });
    wait_for("a request to it is done by the other one", SETTLED, || {
        let body = json!({"name": "third", "config": sink("t")});
        match leader.send("POST", "/connectors", Some(&body)) {
            Answer { status: 201 | 409, .. } => Ok(()),
            answer => Err((answer, leader.log())),
        }
    });
    for worker in [&leader, &other] {
        wait_until("both know all of them", SETTLED, || {
            worker.get("/connectors").json() == json!(["first", "second", "third"])
        });
    }
}
