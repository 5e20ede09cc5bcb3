//! `GET /health` in every state that standalone mode has (KIP-1017), and the probe on the command line.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::relay::Relay;
use crate::support::{Answer, Faults, SOON, Worker, WorkerSetup, try_send, wait_for, wait_until};

const HEALTHY: &str = r#"{
  "status": "healthy",
  "message": "Worker has completed startup and is ready to handle requests"
}"#;
const STARTING: &str = r#"{
  "status": "starting",
  "message": "Worker is still starting up"
}"#;
const UNHEALTHY: &str = r#"{
  "status": "unhealthy",
  "message": "Worker was unable to handle this request and may be unable to handle other requests"
}"#;

#[track_caller]
fn assert_answer(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.status, answer.body.as_str()), (status, body));
    assert_eq!(answer.content_type.as_deref(), Some("application/json"));
}

#[test]
fn a_worker_that_has_started_is_healthy() {
    let worker = WorkerSetup::new().start().healthy();
    assert_answer(&worker.get("/health"), 200, HEALTHY);
    assert_answer(&worker.get("/health/"), 200, HEALTHY);
    assert!(worker.folder().join("offsets").exists(), "the offsets file belongs to the start");
}

#[test]
fn a_connector_whose_start_blocks_keeps_the_worker_starting_until_it_is_let_go() {
    let worker = WorkerSetup::new()
        .connector(
            "stuck",
            &[
                ("connector.class", "herdsman.test.BlockingSourceConnector"),
                ("block.in", "start"),
                ("release.file", "go"),
                ("topic", "t"),
            ],
        )
        .connector("fine", &[("connector.class", "FileStreamSource"), ("file", "in.txt"), ("topic", "t")])
        .file("in.txt", "a\n")
        .start();
    worker.task_state("fine", 0, "RUNNING");
    let begin = Instant::now();
    let answer = worker.get("/health?timeout=700");
    assert!(begin.elapsed() >= Duration::from_millis(700), "it waits as long as it is told");
    assert_answer(&answer, 503, STARTING);
    let verbose = worker.get("/health?timeout=100&verbose=true").json();
    assert_eq!(verbose["phase"], "starting");
    assert_eq!(verbose["stage"], "starting connector stuck");
    assert!(verbose["stage_started"].is_string(), "{verbose}");
    fs::write(worker.folder().join("go"), "").unwrap();
    let worker = worker.healthy();
    let verbose = worker.get("/health?verbose=true").json();
    assert_eq!((verbose["status"].as_str(), verbose["phase"].as_str()), (Some("healthy"), Some("ready")));
    let stages: Vec<_> =
        verbose["startup"].as_array().unwrap().iter().map(|step| step["stage"].clone()).collect();
    assert!(stages.contains(&"starting connector stuck".into()), "{stages:?}");
}

#[test]
fn a_broker_that_is_absent_for_a_while_is_waited_for() {
    let port = free_port();
    let worker = WorkerSetup::new()
        .kafka(&format!("127.0.0.1:{port}"))
        .connector("c", &[("connector.class", "FileStreamSource"), ("file", "in.txt"), ("topic", "t")])
        .start();
    assert_answer(&worker.get("/health?timeout=300"), 503, STARTING);
    assert_eq!(worker.get("/").status, 200);
    assert_eq!(worker.get("/connectors").body, "[]");
    let verbose = worker.get("/health?timeout=100&verbose=true").json();
    assert_eq!(verbose["stage"], "trying to reach the Kafka cluster");
    // A broker for a worker with the same address: that of another worker's embedded one cannot be chosen, so a relay
    // takes the place of the network.
    let other = WorkerSetup::new().start().healthy();
    Relay::on(port).pass_on_to(&embedded_address(&other));
    let worker = worker.healthy();
    worker.task_state("c", 0, "RUNNING");
}

#[test]
fn a_held_tick_thread_is_unhealthy_and_recovers() {
    let (faults, setup) = Faults::of(WorkerSetup::new());
    let worker = setup.start().healthy();
    faults.hold("tick");
    assert_answer(&worker.get("/health?timeout=300"), 500, UNHEALTHY);
    let verbose = worker.get("/health?timeout=300&verbose=true").json();
    assert_eq!(verbose["status"], "unhealthy");
    assert!(verbose["stage"].as_str().unwrap_or_default().starts_with("handling "), "{verbose}");
    faults.let_go("tick");
    assert_answer(&worker.get("/health"), 200, HEALTHY);
}

#[test]
fn the_timeout_is_that_of_the_worker_unless_a_caller_wants_less() {
    let (faults, setup) = Faults::of(WorkerSetup::new());
    let worker = setup.set("rest.health.timeout.ms", "600").start().healthy();
    faults.hold("tick");
    for (query, least, most) in [("", 600, 3000), ("?timeout=60000", 600, 3000), ("?timeout=100", 100, 590)] {
        let begin = Instant::now();
        assert_eq!(worker.get(&format!("/health{query}")).status, 500);
        let took = begin.elapsed().as_millis();
        assert!((least..most).contains(&took), "{query}: {took} ms");
    }
    faults.let_go("tick");
    assert_eq!(worker.get("/health?timeout=x").status, 400);
    assert_eq!(worker.get("/health?timeout=-1").status, 400);
}

#[test]
fn held_requests_cost_nobody_else_a_worker() {
    let (faults, setup) = Faults::of(WorkerSetup::new());
    let worker = setup
        .connector("c", &[("connector.class", "FileStreamSource"), ("file", "in.txt"), ("topic", "t")])
        .start()
        .healthy();
    faults.hold("tick");
    let url = worker.url().to_owned();
    let waiting: Vec<_> = (0..128)
        .map(|number| {
            let url = url.clone();
            std::thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn(move || {
                    if number % 2 == 0 {
                        try_send(&url, "GET", "/health", None).unwrap().status
                    } else {
                        let config = serde_json::json!({"connector.class": "FileStreamSource", "topic": "t"});
                        let body = serde_json::json!({"name": format!("held-{number}"), "config": config});
                        try_send(&url, "POST", "/connectors", Some(&body)).unwrap().status
                    }
                })
                .unwrap()
        })
        .collect();
    // All have arrived once nothing but the answers is outstanding: the access log has no line for them, so the
    // sockets are counted.
    wait_until("128 requests are held", SOON, || established(&url) >= 128);
    for path in ["/", "/connectors", "/connectors/c/status"] {
        // A busy machine may slow one of them down; one that waits for a held worker is slow every time.
        let times: Vec<Duration> = (0..5).map(|_| time_of(worker.url(), path)).collect();
        assert!(times.iter().min() < Some(&Duration::from_millis(100)), "{path} took {times:?}");
    }
    faults.let_go("tick");
    let mut statuses: Vec<u16> = waiting.into_iter().map(|thread| thread.join().unwrap()).collect();
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[63], statuses[64], statuses[127]), (200, 200, 201, 201));
}

#[test]
fn the_probe_on_the_command_line_tells_by_its_exit_code() {
    let (faults, setup) = Faults::of(WorkerSetup::new());
    let worker = setup.start().healthy();
    let healthy = probe(worker.url(), "5");
    assert_eq!((healthy.status.code(), text(&healthy.stdout)), (Some(0), format!("{HEALTHY}\n")));
    faults.hold("tick");
    let unhealthy = probe(worker.url(), "1");
    assert_eq!((unhealthy.status.code(), text(&unhealthy.stdout)), (Some(1), format!("{UNHEALTHY}\n")));
    faults.let_go("tick");
    let starting = WorkerSetup::new().kafka(&format!("127.0.0.1:{}", free_port())).start();
    assert_eq!(probe(starting.url(), "1").status.code(), Some(2));
    let nobody = probe(&format!("http://127.0.0.1:{}", free_port()), "1");
    assert_eq!(nobody.status.code(), Some(3));
    assert!(text(&nobody.stderr).contains("no answer from"), "{nobody:?}");
}

/// How long a request over a connection of its own takes.
fn time_of(url: &str, path: &str) -> Duration {
    let begin = Instant::now();
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    begin.elapsed()
}

fn probe(url: &str, seconds: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_herdsman"))
        .args(["health", "--url", url, "--timeout", seconds])
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Connections of clients to a server on loopback.
fn established(url: &str) -> usize {
    let port: u16 = url.rsplit(':').next().unwrap().parse().unwrap();
    let of_server = format!("0100007F:{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    table
        .lines()
        .filter(|line| line.split_whitespace().nth(1) == Some(&of_server) && line.contains(" 01 "))
        .count()
}

/// The address of a worker's embedded broker, from its log.
fn embedded_address(worker: &Worker) -> String {
    wait_for("the address of the embedded broker", SOON, || {
        let log = worker.log();
        let address = log.lines().find_map(|line| line.split("embedded Kafka broker at ").nth(1));
        address.map(|rest| rest.split_whitespace().next().unwrap().to_owned()).ok_or(log)
    })
}
