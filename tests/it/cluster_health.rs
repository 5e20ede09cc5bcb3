//! `GET /health` of a worker in a group (KIP-1017): what it says while the group, the coordinator or the internal topics are
//! not as they should be.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Answer, Faults, SOON, Worker, WorkerSetup, kafka, stage_of, wait_for};

#[test]
fn a_broker_that_is_not_there_keeps_the_worker_starting() {
    let worker = WorkerSetup::distributed("absent").kafka("127.0.0.1:1").start();
    for path in ["/", "/connectors"] {
        assert_eq!(worker.get(path).status, 200, "{path}");
    }
    let answer = worker.get("/health?timeout=1000&verbose=true");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json()["phase"], "starting");
}

#[test]
fn topics_that_cannot_be_made_or_used_are_named_with_what_to_change() {
    let Some(kafka) = kafka() else { return };
    let group = kafka.unique("toofew");
    let worker = WorkerSetup::distributed(&group)
        .kafka(&kafka.bootstrap)
        .set("offset.storage.replication.factor", "3")
        .start();
    wait_for("the stage that names the setting", SOON, || {
        let answer = worker.get("/health?timeout=200&verbose=true");
        let stage = stage_of(&answer);
        let named = stage.contains(&format!("{group}-offsets"))
            && stage.contains("offset.storage.replication.factor");
        if answer.status == 503 && named { Ok(()) } else { Err(answer) }
    });

    let group = kafka.unique("policy");
    let wrong = kafka.topic("not-compacted", 1);
    let worker =
        WorkerSetup::distributed(&group).kafka(&kafka.bootstrap).set("config.storage.topic", &wrong).start();
    wait_for("the stage that names the policy", SOON, || {
        let answer = worker.get("/health?timeout=200&verbose=true");
        let stage = stage_of(&answer);
        let named = stage.contains(&wrong) && stage.contains("cleanup.policy") && stage.contains("compact");
        if answer.status == 503 && named { Ok(()) } else { Err(answer) }
    });
}

#[test]
fn a_group_that_another_member_holds_up_is_starting_and_later_unhealthy() {
    let Some(kafka) = kafka() else { return };
    let group = kafka.unique("heldup");
    let member = || WorkerSetup::distributed(&group).kafka(&kafka.bootstrap);
    let first = member().start().healthy();
    let second = member().start().healthy();
    // A member that is frozen neither joins nor leaves: the group waits for it until its session ends.
    second.signal("STOP");
    let third = member().start();
    let answer = third.get("/health?timeout=1000&verbose=true");
    assert_eq!(answer.status, 503, "{answer:?}");
    wait_for("the first waits for the group", SOON, || {
        let answer = first.get("/health?timeout=500&verbose=true");
        if answer.status == 500 { Ok(()) } else { Err(answer) }
    });
    drop(second);
    let (first, third) = (first.healthy(), third.healthy());
    assert_eq!((first.get("/health").status, third.get("/health").status), (200, 200));
}

/// Waits for a 500 with this stage. The probe waits no longer than it must, so that this is soon.
fn unhealthy(worker: &Worker, stage: &str) -> Answer {
    wait_for(stage, SOON, || {
        let answer = worker.get("/health?timeout=500&verbose=true");
        if answer.status == 500 && stage_of(&answer).starts_with(stage) {
            Ok(answer)
        } else {
            Err((answer, worker.log()))
        }
    })
}

/// Waits for a 200; tells how long it took.
fn healthy_again(worker: &Worker) -> Duration {
    let began = Instant::now();
    wait_for("healthy again", SOON, || match worker.get("/health?timeout=1000&verbose=true") {
        Answer { status: 200, .. } => Ok(()),
        other => Err((other, worker.log())),
    });
    began.elapsed()
}

#[test]
fn a_worker_that_has_not_read_as_far_as_its_assignment_is_unhealthy_until_it_has() {
    let Some(kafka) = kafka() else { return };
    let group = kafka.unique("behind");
    let member =
        || WorkerSetup::distributed(&group).kafka(&kafka.bootstrap).set("heartbeat.interval.ms", "500");
    let leader = member().start().healthy();
    let (faults, setup) = Faults::of(member());
    let follower = setup.start().healthy();
    faults.hold("internal-topics");
    let sink = json!({"connector.class": "MockSink", "topics": "t"});
    let created = leader.send("POST", "/connectors?wait=10000", Some(&json!({"name": "c", "config": sink})));
    assert_eq!(created.status, 201, "{created:?}");
    unhealthy(&follower, "reading to the end of the config topic");
    assert_eq!(follower.get("/connectors").json(), json!([]), "it does not know yet");
    assert!(healthy_again(&leader) < Duration::from_secs(2), "the other one has read");
    faults.let_go("internal-topics");
    let took = healthy_again(&follower);
    eprintln!("behind: 200 after {} ms", took.as_millis());
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(follower.get("/connectors").json(), json!(["c"]));
}

#[test]
fn a_config_topic_that_was_deleted_makes_the_worker_unhealthy_until_it_is_there() {
    let Some(kafka) = kafka() else { return };
    let group = kafka.unique("deleted");
    let topic = format!("{group}-configs");
    let worker = WorkerSetup::distributed(&group).kafka(&kafka.bootstrap).start().healthy();
    kafka.delete(&topic);
    let deleted = Instant::now();
    let answer = unhealthy(&worker, "unable to read the config topic: ");
    let took = deleted.elapsed();
    eprintln!("deleted: 500 after {} ms", took.as_millis());
    assert!(took < Duration::from_secs(13), "{took:?}");
    assert!(stage_of(&answer).contains(&topic), "{answer:?}");
    let restored = Instant::now();
    kafka.create_compacted(&topic, 1);
    healthy_again(&worker);
    let took = restored.elapsed();
    eprintln!("restored: 200 after {} ms", took.as_millis());
    // It is looked for every 3 s.
    assert!(took < Duration::from_secs(6), "{took:?}");
}

#[test]
fn a_leader_that_cannot_write_a_session_key_is_unhealthy_until_it_can() {
    let Some(kafka) = kafka() else { return };
    let group = kafka.unique("keyless");
    let topic = format!("{group}-configs");
    let worker = WorkerSetup::distributed(&group)
        .kafka(&kafka.bootstrap)
        .set("inter.worker.key.ttl.ms", "3000")
        .start()
        .healthy();
    // No record is as short as that.
    let compact = ("cleanup.policy", "compact");
    kafka.set(&topic, &[compact, ("max.message.bytes", "10")]);
    unhealthy(&worker, "writing a new session key to the config topic");
    kafka.set(&topic, &[compact]);
    let took = healthy_again(&worker);
    eprintln!("keyless: 200 after {} ms", took.as_millis());
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_tick_thread_that_is_held_in_a_group_is_unhealthy_and_keeps_its_place() {
    let Some(kafka) = kafka() else { return };
    let group = kafka.unique("held");
    let (faults, setup) = Faults::of(WorkerSetup::distributed(&group).kafka(&kafka.bootstrap));
    let worker = setup.start().healthy();
    faults.hold("tick");
    let began = Instant::now();
    let answer = worker.get("/health?verbose=true");
    eprintln!("held: 500 after {} ms", began.elapsed().as_millis());
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(stage_of(&answer).starts_with("handling "), "{answer:?}");
    assert!(began.elapsed() < Duration::from_millis(10_500), "{:?}", began.elapsed());
    faults.let_go("tick");
    let took = healthy_again(&worker);
    assert!(took < Duration::from_secs(2), "{took:?}");
    let log = worker.log();
    assert_eq!(log.matches("Joined generation").count(), 1, "heartbeats went on: {log}");
}
