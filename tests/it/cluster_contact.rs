//! `GET /health` of a worker whose coordinator goes away and comes back: how soon it says so.

use std::time::{Duration, Instant};

use crate::own_kafka::OwnKafka;
use crate::support::{Answer, SOON, Worker, WorkerSetup, kafka, stage_of, wait_for};

/// From the loss of contact to the 500: `heartbeat.interval.ms`, and the time that a health request is held.
const NOTICED_MAX: Duration = Duration::from_secs(3 + 10);
/// From contact to the 200.
const BACK_MAX: Duration = Duration::from_secs(2);

fn member(name: &str, bootstrap: &str) -> Worker {
    WorkerSetup::distributed(name).kafka(bootstrap).start().healthy()
}

/// Asks again and again, as a probe does that has nothing else to do, until the answer is not 200.
fn is_noticed(worker: &Worker, how: &str, lost: Instant) {
    let answer = wait_for("an answer other than 200", SOON, || match worker.get("/health?verbose=true") {
        healthy @ Answer { status: 200, .. } => Err(healthy),
        other => Ok(other),
    });
    let took = lost.elapsed();
    eprintln!("{how}: 500 after {} ms", took.as_millis());
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(took < NOTICED_MAX, "{how}: noticed after {took:?}");
    let stage = stage_of(&answer);
    let begins = |words| stage.starts_with(words);
    assert!(
        begins("waiting for the group coordinator: ") || begins("unable to read the config topic: "),
        "{answer:?}"
    );
    let begin = Instant::now();
    assert_eq!(worker.get("/connectors").status, 200, "what needs no coordinator is answered");
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
}

fn is_back(worker: &Worker, how: &str, back: Instant) {
    wait_for("healthy again", SOON, || match worker.get("/health?timeout=1000") {
        Answer { status: 200, .. } => Ok(()),
        other => Err((other, worker.log())),
    });
    let took = back.elapsed();
    eprintln!("{how}: 200 after {} ms", took.as_millis());
    assert!(took < BACK_MAX, "{how}: back after {took:?}");
}

#[test]
fn a_coordinator_that_is_frozen_is_noticed_and_met_again() {
    if kafka().is_none() {
        return;
    }
    let broker = OwnKafka::start(&[]);
    let worker = member("frozen", &broker.address("bootstrap"));
    broker.signal("STOP");
    is_noticed(&worker, "frozen", Instant::now());
    broker.signal("CONT");
    is_back(&worker, "frozen", Instant::now());
}

#[test]
fn a_network_that_loses_all_packets_is_noticed_and_gone_on_with() {
    if kafka().is_none() {
        return;
    }
    let (_broker, network, address) = OwnKafka::behind_a_relay();
    let worker = member("cut-off", &address);
    network.shut();
    is_noticed(&worker, "cut off", Instant::now());
    network.open();
    is_back(&worker, "cut off", Instant::now());
}

#[test]
fn a_short_loss_of_packets_is_survived_in_the_group() {
    if kafka().is_none() {
        return;
    }
    let (_broker, network, address) = OwnKafka::behind_a_relay();
    let worker = member("short-cut", &address);
    let joins = || worker.log().matches("Joined generation").count();
    let before = joins();
    network.shut();
    let lost = Instant::now();
    wait_for("the loss of contact", SOON, || match worker.get("/health?timeout=1500&verbose=true") {
        answer @ Answer { status: 500, .. } => Ok(answer),
        other => Err(other),
    });
    eprintln!("short cut: 500 after {} ms for a probe that waits 1500 ms", lost.elapsed().as_millis());
    network.open();
    is_back(&worker, "short cut", Instant::now());
    assert_eq!(joins(), before, "its session has not ended: it is in the same generation");
}

#[test]
fn a_coordinator_that_is_replaced_is_noticed_and_found() {
    if kafka().is_none() {
        return;
    }
    let broker = OwnKafka::start(&[]);
    let worker = member("replaced", &broker.address("bootstrap"));
    broker.kill();
    is_noticed(&worker, "replaced", Instant::now());
    broker.restart();
    is_back(&worker, "replaced", Instant::now());
}
