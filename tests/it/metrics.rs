//! `GET /metrics` of the real binary: numbers move with what the worker does, and are there whatever its state.

use std::time::Duration;

use serde_json::json;

use crate::support::{Answer, Faults, SOON, Worker, WorkerSetup, try_send, wait_for, wait_until};

const SOURCE: [(&str, &str); 3] =
    [("connector.class", "FileStreamSource"), ("file", "in.txt"), ("topic", "t")];
const SINK: [(&str, &str); 3] = [("connector.class", "FileStreamSink"), ("file", "out.txt"), ("topics", "t")];

#[track_caller]
fn text(worker: &Worker) -> String {
    let answer = worker.get("/metrics");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.content_type.as_deref(), Some("text/plain; version=0.0.4; charset=utf-8"));
    answer.body
}

/// The value of a sample with all its labels; `None` if there is none.
fn value_in(text: &str, sample: &str) -> Option<f64> {
    let value = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    value.map(|value| value.parse().unwrap())
}

/// Waits until a sample has that value.
#[track_caller]
fn becomes(worker: &Worker, sample: &str, expected: f64) {
    wait_for(&format!("{sample} {expected}"), SOON, || {
        let text = text(worker);
        let family = sample.split('{').next().unwrap_or(sample);
        match value_in(&text, sample) {
            Some(value) if value == expected => Ok(()),
            _ => Err(text.lines().filter(|line| line.contains(family)).collect::<Vec<_>>().join("\n")),
        }
    });
}

#[track_caller]
fn value(worker: &Worker, sample: &str) -> f64 {
    let text = text(worker);
    value_in(&text, sample).unwrap_or_else(|| panic!("no {sample} in\n{text}"))
}

#[test]
fn records_are_counted_on_their_way_through_both_tasks() {
    let lines: String = (0..500).map(|line| format!("line {line}\n")).collect();
    let worker = WorkerSetup::new()
        .connector("source", &SOURCE)
        .connector("sink", &SINK)
        .file("in.txt", lines)
        .start()
        .healthy();
    let of =
        |name: &str, connector: &str| format!("kafka_connect_{name}{{connector=\"{connector}\",task=\"0\"}}");
    for name in ["source_task_source_record_poll_total", "source_task_source_record_write_total"] {
        becomes(&worker, &of(name, "source"), 500.0);
    }
    for name in ["sink_task_sink_record_read_total", "sink_task_sink_record_send_total"] {
        becomes(&worker, &of(name, "sink"), 500.0);
    }
    becomes(&worker, &of("source_task_source_record_active_count", "source"), 0.0);
    becomes(&worker, &of("sink_task_sink_record_active_count", "sink"), 0.0);
    becomes(&worker, &of("sink_task_partition_count", "sink"), 1.0);
    for connector in ["source", "sink"] {
        assert!(value(&worker, &of("connector_task_batch_size_max", connector)) >= 1.0);
        wait_until("a commit", SOON, || {
            let commits = of("connector_task_offset_commit_success_percentage", connector);
            value_in(&text(&worker), &commits) == Some(1.0)
        });
        assert!(value(&worker, &of("connector_task_offset_commit_max_time_ms", connector)) >= 0.0);
        assert!(value(&worker, &of("connector_task_running_ratio", connector)) > 0.0);
        assert_eq!(value(&worker, &of("connector_task_pause_ratio", connector)), 0.0);
    }
    assert!(value(&worker, &of("sink_task_put_batch_max_time_ms", "sink")) > 0.0);
    assert!(value(&worker, &of("sink_task_offset_commit_completion_total", "sink")) >= 1.0);
    assert!(value(&worker, &of("source_task_source_record_poll_rate", "source")) > 0.0);
    let samples = [
        ("kafka_connect_worker_connector_count", 2.0),
        ("kafka_connect_worker_task_count", 2.0),
        ("kafka_connect_worker_connector_startup_success_total", 2.0),
        ("kafka_connect_worker_task_startup_success_total", 2.0),
        ("kafka_connect_worker_task_startup_failure_total", 0.0),
        ("kafka_connect_worker_connector_running_task_count{connector=\"sink\"}", 1.0),
        ("kafka_connect_connector_status{connector=\"source\",status=\"running\"}", 1.0),
        ("herdsman_startup_phase{phase=\"ready\"}", 1.0),
        ("herdsman_inbox_events_max", 4096.0),
    ];
    for (sample, expected) in samples {
        assert_eq!(value(&worker, sample), expected, "{sample}");
    }
    assert!(value(&worker, "process_resident_memory_bytes") > 1e6);
    assert!(value(&worker, "herdsman_tick_turn_seconds_count") > 10.0);
    let confluent = worker.get("/metrics?names=confluent").body;
    let sample = "kafka_connect_sink_task_metrics_sink_record_read_total{connector=\"sink\",task=\"0\"}";
    assert_eq!(value_in(&confluent, sample), Some(500.0));
    let worker_count = "kafka_connect_connect_worker_metrics_task_count{connector=\"aggregate\"}";
    assert_eq!(value_in(&confluent, worker_count), Some(2.0));
}

#[test]
fn states_are_those_of_the_moment() {
    let worker = WorkerSetup::new().connector("c", &SOURCE).file("in.txt", "a\n").start().healthy();
    let status = |status: &str| {
        format!("kafka_connect_connector_task_status{{connector=\"c\",task=\"0\",status=\"{status}\"}}")
    };
    becomes(&worker, &status("running"), 1.0);
    assert_eq!(worker.send("PUT", "/connectors/c/pause", None).status, 202);
    becomes(&worker, &status("paused"), 1.0);
    becomes(&worker, "kafka_connect_worker_connector_paused_task_count{connector=\"c\"}", 1.0);
    becomes(&worker, "kafka_connect_connector_status{connector=\"c\",status=\"paused\"}", 1.0);
    assert_eq!(value_in(&text(&worker), &status("running")), None);
    wait_until("it has paused for a while", SOON, || {
        let ratio = "kafka_connect_connector_task_pause_ratio{connector=\"c\",task=\"0\"}";
        value_in(&text(&worker), ratio).is_some_and(|ratio| ratio > 0.0)
    });
    assert_eq!(worker.send("DELETE", "/connectors/c", None).status, 204);
    wait_for("nothing is left of it", SOON, || {
        let text = text(&worker);
        let left: Vec<_> = text.lines().filter(|line| line.contains("connector=\"c\"")).collect();
        if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
    });
    becomes(&worker, "kafka_connect_worker_task_count", 0.0);
}

#[test]
fn what_has_failed_is_there() {
    let worker = WorkerSetup::new().start().healthy();
    let create = |name: &str, config: serde_json::Value| {
        worker.send("POST", "/connectors", Some(&json!({ "name": name, "config": config })))
    };
    let mock = json!({ "connector.class": "MockSource", "mock_mode": "task-failure", "delay_ms": "0" });
    assert_eq!(create("task \"1\"", mock).status, 201);
    becomes(
        &worker,
        "kafka_connect_connector_task_status{connector=\"task \\\"1\\\"\",task=\"0\",status=\"failed\"}",
        1.0,
    );
    becomes(&worker, "kafka_connect_worker_connector_failed_task_count{connector=\"task \\\"1\\\"\"}", 1.0);
    let stuck = json!({ "connector.class": "herdsman.test.BlockingSourceConnector", "fail.in": "start" });
    assert_eq!(create("start", stuck).status, 500);
    becomes(&worker, "kafka_connect_connector_status{connector=\"start\",status=\"failed\"}", 1.0);
    becomes(&worker, "kafka_connect_worker_connector_startup_failure_total", 1.0);
    becomes(&worker, "kafka_connect_worker_connector_startup_success_total", 1.0);
}

#[test]
fn a_stuck_tick_thread_is_seen_and_holds_up_nothing() {
    let (faults, setup) = Faults::of(WorkerSetup::new().connector("c", &SOURCE).file("in.txt", "a\n"));
    let worker = setup.start().healthy();
    becomes(&worker, "kafka_connect_worker_task_count", 1.0);
    faults.hold("tick");
    assert_eq!(worker.get("/health?timeout=100").status, 500);
    wait_until("the turn grows old", SOON, || value(&worker, "herdsman_tick_current_turn_seconds") > 0.2);
    assert_eq!(value(&worker, "kafka_connect_worker_task_count"), 1.0);
    assert_eq!(value(&worker, "herdsman_health_probes_total{code=\"500\"}"), 1.0);
    assert!(value(&worker, "herdsman_stage_seconds{stage=\"handling_an_event\"}") > 0.1);
    faults.let_go("tick");
    becomes(&worker, "herdsman_tick_current_turn_seconds", 0.0);
}

#[test]
fn they_are_there_before_kafka_has_answered() {
    let worker = WorkerSetup::new().kafka("127.0.0.1:1").start();
    assert_eq!(value(&worker, "herdsman_startup_phase{phase=\"starting\"}"), 1.0);
    wait_until("it waits for Kafka", SOON, || {
        value_in(&text(&worker), "herdsman_stage_seconds{stage=\"contacting_kafka\"}").is_some()
    });
}

#[test]
fn admin_listeners_have_them_to_themselves() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let admin = format!("http://127.0.0.1:{port}");
    let worker = WorkerSetup::new().set("admin.listeners", &admin).start().healthy();
    assert_eq!(worker.get("/metrics").status, 404);
    let answer = try_send(&admin, "GET", "/metrics", None).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains("herdsman_startup_phase"));
}

#[test]
fn a_worker_in_a_group_tells_of_it() {
    let worker = WorkerSetup::distributed("metrics").start().healthy();
    let config = json!({ "connector.class": "FileStreamSource", "file": "in.txt", "topic": "t" });
    assert_eq!(worker.send("PUT", "/connectors/c/config", Some(&config)).status, 201);
    worker.task_state("c", 0, "RUNNING");
    becomes(&worker, "kafka_connect_worker_rebalance_rebalancing", 0.0);
    let all = text(&worker);
    let one =
        |beginning: &str| all.lines().find(|line| line.starts_with(beginning)).unwrap_or_default().to_owned();
    assert!(one("kafka_connect_coordinator_assigned_tasks{clientid=\"").ends_with(" 1"), "{all}");
    assert!(one("kafka_connect_coordinator_assigned_connectors{").ends_with(" 1"), "{all}");
    assert!(one("kafka_connect_worker_rebalance_leader_name{leader_name=\"http").ends_with(" 1"), "{all}");
    assert_eq!(
        one("kafka_connect_worker_rebalance_connect_protocol"),
        "kafka_connect_worker_rebalance_connect_protocol{connect_protocol=\"SESSIONED\"} 1"
    );
    assert!(value(&worker, "kafka_connect_worker_rebalance_completed_rebalances_total") >= 1.0);
    assert!(value(&worker, "kafka_connect_worker_rebalance_epoch") >= 1.0);
    assert!(value(&worker, "kafka_connect_worker_rebalance_time_since_last_rebalance_ms") >= 0.0);
}

#[test]
fn what_fails_starts_again_by_itself() {
    let worker = WorkerSetup::new().set("auto.restart.backoff.ms", "20").start().healthy();
    let config = json!({
        "connector.class": "herdsman.test.BlockingSourceConnector",
        "fail.in": "task_start",
        "fail.times": "3",
        "auto.restart.enable": "true",
    });
    let created = worker.send("PUT", "/connectors/c/config", Some(&config));
    assert_eq!(created.status, 201, "{created:?}");
    becomes(&worker, "herdsman_auto_restarts_total{connector=\"c\",task=\"0\"}", 3.0);
    worker.task_state("c", 0, "RUNNING");
    let log = worker.log();
    let ends =
        "WorkerSourceTask{id=c-0} Task threw an uncaught and unrecoverable exception. Task is being killed\n";
    for line in [ends, "Restarting task c-0, which has failed: restart 1 in a row", "restart 3 in a row"] {
        assert!(log.contains(line), "{line}\n{log}");
    }
    assert!(!log.contains("manually restarted"), "{log}");
    let alone = json!({ "connector.class": "herdsman.test.BlockingSourceConnector", "fail.in": "poll" });
    assert_eq!(worker.send("PUT", "/connectors/e/config", Some(&alone)).status, 201);
    worker.task_state("e", 0, "FAILED");
    let log = worker.log();
    assert!(log.contains("{id=e-0} Task threw an uncaught and unrecoverable exception. Task is being killed and will not recover until manually restarted\n"), "{log}");
    let wrong = json!({ "connector.class": "MockSource", "auto.restart.max.restarts": "-2" });
    let refused = worker.send("PUT", "/connectors/d/config", Some(&wrong));
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.body.contains("auto.restart.max.restarts"), "{refused:?}");
}

#[test]
fn what_fails_too_often_stays_failed() {
    let worker = WorkerSetup::new()
        .set("auto.restart.enable", "true")
        .set("auto.restart.max.restarts", "2")
        .set("auto.restart.backoff.ms", "1")
        .start()
        .healthy();
    let config =
        json!({ "connector.class": "herdsman.test.BlockingSourceConnector", "fail.in": "task_start" });
    assert_eq!(worker.send("PUT", "/connectors/c/config", Some(&config)).status, 201);
    wait_until("it is given up", SOON, || worker.log().contains("is not restarted any more"));
    worker.task_state("c", 0, "FAILED");
    becomes(&worker, "herdsman_auto_restarts_total{connector=\"c\",task=\"0\"}", 2.0);
    let Answer { body, .. } = worker.get("/connector-plugins/MockSource/config");
    assert!(!body.contains("auto.restart"), "Apache has no such settings: {body}");
    std::thread::park_timeout(Duration::from_millis(300));
    assert_eq!(value(&worker, "herdsman_auto_restarts_total{connector=\"c\",task=\"0\"}"), 2.0);
}

#[test]
fn clients_tell_what_they_do_where_that_is_wanted() {
    let worker = WorkerSetup::new()
        .set("metrics.clients.interval.ms", "100")
        .connector("source", &SOURCE)
        .connector("sink", &SINK)
        .file("in.txt", "a\nb\nc\n")
        .start()
        .healthy();
    let consumed =
        "kafka_consumer_fetch_manager_records_consumed_total{clientid=\"connector-consumer-sink-0\"}";
    becomes(&worker, consumed, 3.0);
    wait_until("the producer tells", SOON, || {
        let text = text(&worker);
        let sent = text.lines().find(|line| line.starts_with("kafka_producer_record_send_total{"));
        sent.is_some_and(|line| line.ends_with(" 3"))
    });
    let text = text(&worker);
    let connections = text.lines().filter(|line| line.starts_with("kafka_producer_connection_count{"));
    assert_eq!(connections.count(), 1, "tasks share a producer\n{text}");
}
