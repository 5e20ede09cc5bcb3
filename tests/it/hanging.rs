//! Connectors that hang in their own code, in a group: the worker stays healthy, and what is said of the connector tells.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::support::{Answer, SOON, Worker, WorkerSetup, kafka, wait_for, wait_until};

/// `rest.request.timeout.ms`.
const REQUEST: Duration = Duration::from_millis(2000);

/// A worker alone in its group, which gives up connectors and tasks that do not end within a second.
fn worker() -> Option<Worker> {
    let kafka = kafka()?;
    let setup = WorkerSetup::distributed(&kafka.unique("hanging"))
        .kafka(&kafka.bootstrap)
        .set("task.shutdown.graceful.timeout.ms", "1000")
        .set("rest.request.timeout.ms", REQUEST.as_millis().to_string());
    Some(setup.start().healthy())
}

fn hanging_in(point: &str, worker: &Worker) -> Json {
    json!({
        "connector.class": "herdsman.test.BlockingSourceConnector",
        "block.in": point,
        "release.file": worker.folder().join("go"),
        "topic": "t",
    })
}

fn create(worker: &Worker, config: &Json) -> Answer {
    worker.send("POST", "/connectors", Some(&json!({"name": "c", "config": config})))
}

fn let_go(worker: &Worker) {
    std::fs::write(worker.folder().join("go"), "").unwrap();
}

/// A probe that has three seconds for it is answered: nothing of the worker hangs. Before it joins again a worker waits for
/// tasks that end, a second at most here.
#[track_caller]
fn is_healthy(worker: &Worker) {
    let answer = worker.get("/health?timeout=3000&verbose=true");
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Other connectors can be made, run, and be deleted.
fn serves_others(worker: &Worker) {
    let sink = json!({"connector.class": "MockSink", "topics": "t"});
    let put = worker.send("PUT", "/connectors/other/config", Some(&sink));
    assert_eq!(put.status, 201, "{put:?}");
    worker.connector_state("other", "RUNNING");
    is_healthy(worker);
    assert_eq!(worker.send("DELETE", "/connectors/other", None).status, 204);
    wait_until("it is gone", SOON, || worker.get("/connectors/other").status == 404);
    is_healthy(worker);
}

#[test]
fn a_connector_that_hangs_in_start() {
    let Some(worker) = worker() else { return };
    assert_eq!(create(&worker, &hanging_in("start", &worker)).status, 201);
    wait_until("it hangs", SOON, || worker.log().contains("connector c blocks in start"));
    is_healthy(&worker);
    let status = worker.get("/connectors/c/status");
    assert_ne!(status.json()["connector"]["state"], "RUNNING", "{status:?}");
    serves_others(&worker);
    let_go(&worker);
    worker.task_state("c", 0, "RUNNING");
    is_healthy(&worker);
}

#[test]
fn a_connector_that_hangs_while_it_says_what_its_tasks_are() {
    let Some(worker) = worker() else { return };
    assert_eq!(create(&worker, &hanging_in("task_configs", &worker)).status, 201);
    wait_until("it hangs", SOON, || worker.log().contains("connector c blocks in task_configs"));
    is_healthy(&worker);
    let status = worker.connector_state("c", "RUNNING");
    assert_eq!(worker.get("/connectors/c/status").json()["tasks"], json!([]), "{status}");
    serves_others(&worker);
    let_go(&worker);
    worker.task_state("c", 0, "RUNNING");
    is_healthy(&worker);
}

#[test]
fn a_connector_that_hangs_in_validation_keeps_its_own_request_only() {
    let Some(worker) = worker() else { return };
    let config = hanging_in("validate", &worker);
    std::thread::scope(|scope| {
        let created = scope.spawn(|| create(&worker, &config));
        wait_until("it hangs", SOON, || worker.log().contains("blocks in validate"));
        is_healthy(&worker);
        serves_others(&worker);
        let created = created.join().unwrap();
        assert_eq!(created.status, 500, "{created:?}");
        let message = created.json()["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.starts_with("Request timed out"), "{message}");
    });
    is_healthy(&worker);
    assert_eq!(worker.get("/connectors").json(), json!([]));
    // Apache, too, goes on with what it began.
    let_go(&worker);
    worker.task_state("c", 0, "RUNNING");
}

#[test]
fn a_connector_that_hangs_in_stop_is_given_up() {
    let Some(worker) = worker() else { return };
    assert_eq!(create(&worker, &hanging_in("stop", &worker)).status, 201);
    worker.task_state("c", 0, "RUNNING");
    let stopped = worker.send("PUT", "/connectors/c/stop", None);
    assert_eq!(stopped.status, 204, "{stopped:?}");
    wait_until("it hangs", SOON, || worker.log().contains("connector c blocks in stop"));
    is_healthy(&worker);
    serves_others(&worker);
    wait_until("the log tells that it was given up", SOON, || worker.log().contains("abandoned"));
    worker.connector_state("c", "STOPPED");
    assert_eq!(worker.send("DELETE", "/connectors/c", None).status, 204);
    wait_for("it is gone", SOON, || match worker.get("/connectors/c") {
        Answer { status: 404, .. } => Ok(()),
        other => Err(other),
    });
    is_healthy(&worker);
}

#[test]
fn a_task_that_hangs_where_it_stops_holds_up_no_probe() {
    let Some(worker) = worker() else { return };
    assert_eq!(create(&worker, &hanging_in("task_stop", &worker)).status, 201);
    worker.task_state("c", 0, "RUNNING");
    assert_eq!(worker.send("DELETE", "/connectors/c", None).status, 204);
    wait_until("it hangs", SOON, || worker.log().contains("connector c blocks in task_stop"));
    is_healthy(&worker);
    serves_others(&worker);
}
