//! Workers of a group: on the embedded broker and on a real Kafka. Beside Apache's workers they are in `mixed`.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::support::{Answer, Kafka, Worker, WorkerSetup, kafka, try_send, wait_for, wait_until};

/// How long a group may take to come to rest: a broker keeps a member that was killed for its session.
const SETTLED: Duration = Duration::from_secs(60);

fn ask(url: &str, method: &str, path: &str, body: Option<&Json>) -> Answer {
    try_send(url, method, path, body).unwrap_or_else(|error| panic!("{method} {path} got no answer: {error}"))
}

fn create(url: &str, name: &str, config: &Json) {
    let body = json!({"name": name, "config": config});
    let created = ask(url, "POST", "/connectors", Some(&body));
    assert_eq!(created.status, 201, "{created:?}");
}

/// Waits until the connector and so many tasks run, as this worker sees it; gives the workers that run them.
fn running(url: &str, name: &str, tasks: usize) -> BTreeSet<String> {
    wait_for(&format!("{name} with {tasks} tasks"), SETTLED, || {
        let answer = ask(url, "GET", &format!("/connectors/{name}/status"), None);
        let status = answer.json();
        let parts: Vec<Json> = std::iter::once(status["connector"].clone())
            .chain(status["tasks"].as_array().cloned().unwrap_or_default())
            .collect();
        let all_run = parts.iter().all(|part| part["state"] == "RUNNING");
        if parts.len() == tasks + 1 && all_run {
            let worker = |part: &Json| part["worker_id"].as_str().unwrap_or_default().to_owned();
            Ok(parts.iter().map(worker).collect())
        } else {
            Err(answer)
        }
    })
}

fn idle_sink(topic: &str, tasks: u32) -> Json {
    json!({
        "connector.class": "org.apache.kafka.connect.tools.VerifiableSinkConnector",
        "topics": topic,
        "tasks.max": tasks.to_string(),
    })
}

/// A worker of a group on a real Kafka.
fn member(kafka: &Kafka, group: &str) -> WorkerSetup {
    WorkerSetup::distributed(group).kafka(&kafka.bootstrap)
}

#[test]
fn a_group_needs_no_broker_but_the_embedded_one() {
    let first = WorkerSetup::distributed("embedded").start().healthy();
    let bootstrap = fs::read_to_string(first.folder().join("bootstrap")).unwrap();
    create(first.url(), "a", &idle_sink("t", 1));
    running(first.url(), "a", 1);
    let second = WorkerSetup::distributed("embedded").kafka(bootstrap.trim()).start();
    wait_until("the connector is known to the second worker", SETTLED, || {
        second.get("/connectors").json() == json!(["a"])
    });
}

#[test]
fn what_one_worker_is_asked_another_does() {
    let Some(kafka) = kafka() else { return };
    let group = kafka.unique("forwarding");
    let topic = kafka.topic("lines", 1);
    let workers: Vec<Worker> = (0..2).map(|_| member(&kafka, &group).start().healthy()).collect();
    let folder = TempDir::new().unwrap();
    let [input, output] = ["in.txt", "out.txt"].map(|name| folder.path().join(name));
    fs::write(&input, "one\ntwo\n").unwrap();
    // One of the two leads, so one of the requests is forwarded, whichever it is.
    let source = json!({"connector.class": "FileStreamSource", "file": input, "topic": topic});
    create(workers[0].url(), "source", &source);
    create(
        workers[1].url(),
        "sink",
        &json!({"connector.class": "FileStreamSink", "file": output, "topics": topic}),
    );
    wait_until("the lines pass", SETTLED, || {
        fs::read_to_string(&output).is_ok_and(|text| text == "one\ntwo\n")
    });
    for worker in &workers {
        running(worker.url(), "source", 1);
        wait_for("the offsets", SETTLED, || {
            let answer = worker.get("/connectors/source/offsets");
            let position = answer.json().pointer("/offsets/0/offset/position").cloned();
            if position == Some(json!(8)) { Ok(()) } else { Err(answer) }
        });
    }
    for (worker, path, method, status) in [
        (0, "/connectors/sink/restart", "POST", 204),
        (1, "/connectors/sink/restart", "POST", 204),
        (0, "/connectors/sink/tasks/0/restart", "POST", 204),
        (1, "/connectors/sink/tasks/0/restart", "POST", 204),
        (1, "/connectors/source/pause", "PUT", 202),
        (0, "/connectors/source/stop", "PUT", 204),
        (1, "/connectors/sink/stop", "PUT", 204),
    ] {
        let answer = workers[worker].send(method, path, None);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
    }
    for worker in &workers {
        worker.connector_state("source", "STOPPED");
    }
    for (worker, position) in [(0, 4), (1, 0)] {
        let change =
            json!({"offsets": [{"partition": {"filename": input}, "offset": {"position": position}}]});
        let altered = workers[worker].send("PATCH", "/connectors/source/offsets", Some(&change));
        assert_eq!(altered.status, 200, "{altered:?}");
    }
    for (worker, name) in [(0, "source"), (1, "sink")] {
        let deleted = workers[worker].send("DELETE", &format!("/connectors/{name}"), None);
        assert_eq!(deleted.status, 204, "{deleted:?}");
    }
    for worker in &workers {
        wait_until("nothing is configured", SETTLED, || worker.get("/connectors").json() == json!([]));
    }
}

#[test]
fn work_moves_to_who_is_there_and_comes_back_after_a_restart() {
    let Some(kafka) = kafka() else { return };
    let group = kafka.unique("moving");
    let topic = kafka.topic("moved", 4);
    let first = member(&kafka, &group).start().healthy();
    create(first.url(), "sink", &idle_sink(&topic, 4));
    assert_eq!(running(first.url(), "sink", 4).len(), 1);
    let second = member(&kafka, &group).start().healthy();
    wait_until("both have work", SETTLED, || running(first.url(), "sink", 4).len() == 2);
    drop(second);
    wait_until("the first has all of it", SETTLED, || running(first.url(), "sink", 4).len() == 1);
    let first = first.kill_and_restart().healthy();
    let is_back = || running(first.url(), "sink", 4).len() == 1;
    wait_until("what is configured outlives the worker", SETTLED, is_back);
    assert_eq!(first.get("/connectors/sink/config").json()["topics"], json!(topic));
}
