//! `GET /health` of a worker in a group (KIP-1017): what it says while the group, the coordinator or the internal topics are
//! not as they should be.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{Answer, SOON, WorkerSetup, kafka, wait_for};

/// A broker of the test's own, which may be frozen and ended.
struct OwnKafka(TempDir);

impl OwnKafka {
    fn start(properties: &[&str]) -> Self {
        let own = OwnKafka(TempDir::new().unwrap());
        let more = properties.iter().flat_map(|property| ["--property", property]);
        own.script("start", more);
        own
    }

    fn script<'a>(&self, command: &str, more: impl Iterator<Item = &'a str>) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka");
        let status = Command::new(script).args([command, "--dir"]).arg(self.dir()).args(more).status();
        assert!(status.unwrap().success(), "scripts/kafka {command}");
    }

    fn dir(&self) -> std::path::PathBuf {
        self.0.path().join("kafka")
    }

    fn bootstrap(&self) -> String {
        std::fs::read_to_string(self.dir().join("bootstrap")).unwrap().trim().to_owned()
    }

    fn signal(&self, name: &str) {
        let pid = std::fs::read_to_string(self.dir().join("pid")).unwrap();
        assert!(Command::new("kill").args([&format!("-{name}"), pid.trim()]).status().unwrap().success());
    }
}

impl Drop for OwnKafka {
    fn drop(&mut self) {
        if Path::new(&self.dir().join("pid")).exists() {
            // One that is frozen does not end before it is let go.
            self.signal("CONT");
            self.script("kill", std::iter::empty());
        }
    }
}

fn stage_of(answer: &Answer) -> String {
    answer.json()["stage"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_worker_whose_coordinator_is_frozen_says_so_before_its_session_ends() {
    if kafka().is_none() {
        return;
    }
    let broker = OwnKafka::start(&[]);
    let worker = WorkerSetup::distributed("frozen").kafka(&broker.bootstrap()).start().healthy();
    broker.signal("STOP");
    let frozen = Instant::now();
    let answer = wait_for("an answer other than 200", SOON, || match worker.get("/health?verbose=true") {
        healthy @ Answer { status: 200, .. } => Err(healthy),
        other => Ok(other),
    });
    assert_eq!(answer.status, 500, "{answer:?}");
    // The interval of heartbeats and the 10 s of a health request, and a second for the machine.
    assert!(frozen.elapsed() < Duration::from_secs(14), "after {:?}", frozen.elapsed());
    assert!(stage_of(&answer).starts_with("waiting for the group coordinator: "), "{answer:?}");
    assert_eq!(worker.get("/connectors").json(), json!([]), "what needs no coordinator is answered");
    broker.signal("CONT");
    let back = Instant::now();
    wait_for("healthy again", SOON, || match worker.get("/health?timeout=1500") {
        Answer { status: 200, .. } => Ok(()),
        other => Err((other, worker.log())),
    });
    assert!(back.elapsed() < Duration::from_secs(10), "after {:?}", back.elapsed());
}

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
