//! `GET /health` and the deadlines of requests, over an inbox whose other end is held by the test: a tick thread that
//! does exactly what it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_channel::{Receiver, after, bounded, select};
use serde_json::{Value as Json, json};

use super::api::{ApiSettings, Mode, RestApi, RestParts, WorkerFacts};
use super::http::{Handler, HttpResponse};
use super::router::AdminMode;
use super::test_support::{get, header, request};
use crate::api::Settings;
use crate::api::ids::WorkerId;
use crate::api::registry::Registry;
use crate::config::override_policy::OverridePolicy;
use crate::connector::validation::{ValidationContext, Validator, WorkerConverters};
use crate::health::{SharedPhase, Stage, StageBoard, StartupPhase};
use crate::herder::msg::{Answer, HerderEvent, Request};
use crate::herder::tick_thread::Shared;
use crate::herder::view::{
    ConnectorInfo, ConnectorKind, ConnectorStatus, ConnectorView, RunState, Status, Views,
};
use crate::logging::level::LogLevel;
use crate::logging::levels::Levels;
use crate::metrics::{ConverterClasses, Metrics, MetricsParts};
use crate::stdx::pool::{Pool, PoolLimits};
use crate::stdx::reply::Reply;
use crate::stdx::thread::STACK_BYTES;
use crate::stdx::time::{Clock, Now};

const SOON: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(30);

/// The blocks of KIP-1017, as they stand there.
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

/// An API, and what a tick thread would hold.
struct Fixture {
    api: RestApi,
    herder: Shared,
    inbox: Receiver<HerderEvent>,
}

impl Fixture {
    fn new(request_timeout: Duration, health_timeout: Duration, inbox_events_max: usize) -> Self {
        let (sender, inbox) = bounded(inbox_events_max);
        let herder = Shared {
            phase: Arc::new(SharedPhase::default()),
            stages: Arc::new(StageBoard::new(Clock.now())),
            views: Arc::new(Views::default()),
            meter: Arc::default(),
            tasks: Arc::default(),
        };
        let metrics = Metrics::new(MetricsParts {
            worker: WorkerId::new("w:8083"),
            client_id: String::new(),
            started: Clock.now().wall,
            herder: herder.clone(),
            inbox: sender.clone(),
            registry: Arc::default(),
            converters: ConverterClasses::default(),
        });
        let class = || "org.apache.kafka.connect.json.JsonConverter".to_owned();
        let context = ValidationContext {
            providers: Arc::default(),
            override_policy: OverridePolicy::All,
            client_check: Arc::new(|_client, _overrides| Vec::new()),
            converters: WorkerConverters { key: class(), value: class(), header: class() },
            topic_creation: true,
            exactly_once: None,
        };
        let api = RestApi::new(RestParts {
            inbox: sender,
            metrics: Arc::new(metrics),
            herder: herder.clone(),
            validator: Arc::new(Validator::new(Arc::new(Registry::new()), context)),
            pool: Pool::new("plugin", PoolLimits { threads_max: 1, idle: SOON, stack_bytes: STACK_BYTES }),
            levels: Arc::new(Levels::new(LogLevel::Info)),
            worker: WorkerFacts {
                kafka_cluster_id: Arc::new(OnceLock::new()),
                advertised_url: "http://w:8083/".to_owned(),
            },
            settings: ApiSettings {
                mode: Mode::Standalone,
                request_timeout,
                health_timeout,
                admin: AdminMode::WithMain,
                topic_tracking: true,
                topic_tracking_reset: true,
                cors: None,
                response_headers: Vec::new(),
                basic_auth: None,
            },
        });
        Fixture { api, herder, inbox }
    }

    fn patient() -> Self {
        Fixture::new(SOON, SOON, 8)
    }

    fn hasty() -> Self {
        Fixture::new(SHORT, SHORT, 8)
    }

    fn in_phase(self, phase: StartupPhase) -> Self {
        self.herder.phase.store(phase);
        self
    }

    fn get(&self, target: &str) -> HttpResponse {
        self.api.handle(get(target))
    }

    /// The health request that the tick thread gets next.
    fn probe(&self) -> Reply<Answer<()>> {
        match self.inbox.recv_timeout(SOON) {
            Ok(HerderEvent::Request(Request::Health(reply))) => reply,
            other => panic!("no health request, but {other:?}"),
        }
    }
}

fn body(response: &HttpResponse) -> &str {
    std::str::from_utf8(&response.body).unwrap()
}

fn json_of(response: &HttpResponse) -> Json {
    serde_json::from_slice(&response.body).unwrap()
}

#[test]
fn the_three_answers_are_those_of_the_specification_byte_for_byte() {
    let kip = include_str!("../../tests/conformance/kip-1017.txt");
    for block in [HEALTHY, STARTING, UNHEALTHY] {
        assert!(kip.contains(&format!("```\n{block}\n```")), "not in the specification: {block}");
    }
    let table = [
        (StartupPhase::Starting, 503, STARTING),
        (StartupPhase::Ready, 500, UNHEALTHY),
        (StartupPhase::Stopping, 500, UNHEALTHY),
    ];
    for (phase, status, expected) in table {
        let response = Fixture::hasty().in_phase(phase).get("/health");
        assert_eq!((response.status, body(&response)), (status, expected), "{phase:?}");
        assert_eq!(header(&response, "Content-Type"), Some("application/json"));
    }
    let fixture = Fixture::patient().in_phase(StartupPhase::Ready);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| fixture.get("/health"));
        fixture.probe().send(Ok(()));
        let response = waiting.join().unwrap();
        assert_eq!((response.status, body(&response)), (200, HEALTHY));
    });
}

#[test]
fn a_probe_held_through_the_start_is_answered_when_it_is_complete() {
    let fixture = Fixture::patient();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| fixture.get("/health"));
        let reply = fixture.probe();
        fixture.herder.phase.store(StartupPhase::Ready);
        reply.send(Ok(()));
        assert_eq!(waiting.join().unwrap().status, 200);
    });
}

#[test]
fn the_end_of_the_worker_is_unhealthy_at_once() {
    let fixture = Fixture::patient().in_phase(StartupPhase::Stopping);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| fixture.get("/health"));
        drop(fixture.probe());
        let response = waiting.join().unwrap();
        assert_eq!((response.status, body(&response)), (500, UNHEALTHY));
    });
}

#[test]
fn a_tick_thread_that_is_gone_is_unhealthy_at_once() {
    let Fixture { api, herder, inbox } = Fixture::patient().in_phase(StartupPhase::Ready);
    drop(inbox);
    assert_eq!(api.handle(get("/health")).status, 500);
    let response = api.handle(get("/connectors/c"));
    assert_eq!(
        (response.status, json_of(&response)["message"].as_str()),
        (500, Some("Worker is shutting down"))
    );
    drop(herder);
}

#[test]
fn a_worker_recovers_once_its_tick_thread_goes_on() {
    let fixture = Fixture::new(SOON, SHORT, 8).in_phase(StartupPhase::Ready);
    assert_eq!(fixture.get("/health").status, 500);
    assert_eq!(fixture.get("/health").status, 500);
    assert_eq!(fixture.inbox.len(), 1, "both probes ask once");
    fixture.probe().send(Ok(()));
    // The old answer is not for a new probe, so this one is held again.
    assert_eq!(fixture.get("/health").status, 500);
    std::thread::scope(|scope| {
        let probe = fixture.probe();
        let waiting = scope.spawn(|| fixture.get("/health"));
        probe.send(Ok(()));
        // It joined before the answer, or asks anew.
        while !waiting.is_finished() {
            if let Ok(HerderEvent::Request(Request::Health(reply))) = fixture.inbox.try_recv() {
                reply.send(Ok(()));
            }
            std::thread::yield_now();
        }
    });
}

#[test]
fn a_caller_may_want_to_wait_less_but_not_more() {
    let fixture = Fixture::new(SOON, SHORT, 8);
    assert_eq!(fixture.get("/health?timeout=1").status, 503);
    let deadline = Clock.deadline(SOON);
    assert_eq!(fixture.get("/health?timeout=3600000").status, 503);
    assert!(!deadline.passed(Clock.now().instant), "waited longer than the worker lets anybody");
    let fixture = Fixture::patient();
    assert_eq!(fixture.get("/health?timeout=20").status, 503);
    let response = fixture.get("/health?timeout=soon");
    assert_eq!(response.status, 400);
    assert!(body(&response).contains("'soon'"), "{}", body(&response));
}

#[test]
fn verbose_adds_what_the_worker_does() {
    let fixture = Fixture::hasty();
    let start = Clock.now();
    let after = |milliseconds| {
        let step = Duration::from_millis(milliseconds);
        Now { instant: start.instant + step, wall: "2026-11-22T20:06:37.103Z".parse().unwrap() }
    };
    let stages = &fixture.herder.stages;
    stages.wait_for(Some(Stage::ReadingOffsets), after(5));
    stages.wait_for(Some(Stage::StartingConnectors { left: 1, example: "c".to_owned() }), after(12));
    let response = fixture.get("/health?verbose=true");
    assert_eq!(response.status, 503);
    assert!(body(&response).starts_with(STARTING.trim_end_matches("\n}")), "{}", body(&response));
    let shown = json_of(&response);
    let keys: Vec<&String> = shown.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["status", "message", "phase", "stage", "stage_started", "startup"]);
    assert_eq!(shown["phase"], "starting");
    assert_eq!(shown["stage"], "starting connector c");
    assert_eq!(shown["stage_started"], "2026-11-22T20:06:37.103Z");
    assert_eq!(shown["startup"][1], json!({ "stage": "reading the offsets file", "ms": 7 }));
    stages.wait_for(None, after(20));
    let shown = json_of(&fixture.in_phase(StartupPhase::Ready).get("/health?verbose=true"));
    assert_eq!((&shown["phase"], &shown["stage"]), (&json!("ready"), &Json::Null));
    assert_eq!(shown["startup"][2], json!({ "stage": "starting connector c", "ms": 8 }));
}

#[test]
fn many_probes_and_requests_that_wait_hold_up_nobody() {
    let fixture = Fixture::new(SOON, SOON, 1024).in_phase(StartupPhase::Ready);
    let create = || {
        let json = &[("Content-Type", "application/json")];
        fixture.api.handle(request("POST", "/connectors", json, r#"{"name":"c","config":{}}"#))
    };
    std::thread::scope(|scope| {
        let probes: Vec<_> = (0..64).map(|_| scope.spawn(|| fixture.get("/health"))).collect();
        let writes: Vec<_> = (0..64).map(|_| scope.spawn(create)).collect();
        let deadline = Clock.deadline(SOON);
        while fixture.inbox.len() < 65 {
            assert!(!deadline.passed(Clock.now().instant), "the inbox holds {}", fixture.inbox.len());
            select! { recv(after(Duration::from_millis(1))) -> _ => {} }
        }
        let before = Clock.now().instant;
        for target in
            ["/", "/connectors", "/connectors?expand=status", "/connector-plugins", "/admin/loggers"]
        {
            assert_eq!(fixture.get(target).status, 200, "{target}");
        }
        assert_eq!(fixture.get("/connectors/c/status").status, 404);
        let took = Clock.now().instant - before;
        assert!(took < Duration::from_millis(500), "{took:?}");
        assert_eq!(fixture.inbox.len(), 65, "one event for all probes, one for each write");
        // A probe whose thread the system runs only now comes after the answer, and asks anew.
        while probes.iter().any(|probe| !probe.is_finished()) {
            assert!(!deadline.passed(Clock.now().instant), "probes without an answer");
            if let Ok(HerderEvent::Request(Request::Health(reply))) =
                fixture.inbox.recv_timeout(Duration::from_millis(1))
            {
                reply.send(Ok(()));
            }
        }
        assert!(probes.into_iter().all(|probe| probe.join().unwrap().status == 200));
        assert!(writes.into_iter().all(|write| write.join().unwrap().status == 500));
    });
}

#[test]
fn a_request_that_is_not_served_in_time_says_what_the_worker_does() {
    let fixture = Fixture::hasty();
    let since = Now { wall: "2026-11-22T20:06:37Z".parse().unwrap(), ..Clock.now() };
    fixture.herder.stages.wait_for(Some(Stage::ContactingKafka), since);
    let response = fixture.get("/connectors/c");
    let expected = "Request timed out. The worker is currently trying to reach the Kafka cluster, which began at \
                    2026-11-22T20:06:37Z.";
    assert_eq!((response.status, json_of(&response)["message"].as_str()), (500, Some(expected)));
    fixture.herder.stages.wait_for(None, since);
    let response = fixture.get("/connectors/c/config");
    assert_eq!(json_of(&response)["message"], "Request timed out");
}

#[test]
fn a_connector_whose_status_is_not_known_is_left_out_where_the_status_is_wanted() {
    let fixture = Fixture::patient();
    let info = |name: &str| ConnectorInfo {
        name: name.into(),
        config: Settings::new(),
        tasks: Vec::new(),
        kind: ConnectorKind::Unknown,
    };
    let status =
        Status { state: RunState::Stopped, worker: WorkerId::new("w:1"), trace: None, version: None };
    let status = |name: &str| ConnectorStatus {
        name: name.into(),
        connector: status.clone(),
        tasks: BTreeMap::new(),
        kind: ConnectorKind::Unknown,
    };
    for (name, status) in [("new", None), ("old", Some(status("old")))] {
        let view = ConnectorView { info: info(name), status, topics: BTreeSet::new() };
        fixture.herder.views.publish(name.into(), Some(Arc::new(view)));
    }
    let keys = |target: &str| {
        let shown = json_of(&fixture.get(target));
        shown
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, parts)| (name.clone(), parts.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(json_of(&fixture.get("/connectors")), json!(["new", "old"]));
    assert_eq!(keys("/connectors?expand=info").len(), 2);
    assert_eq!(keys("/connectors?expand=").len(), 2);
    let shown = keys("/connectors?expand=status&expand=info");
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].1["status"]["connector"]["state"], "STOPPED");
    assert_eq!(shown[0].1["info"]["type"], "unknown");
    assert_eq!(fixture.get("/connectors/new/status").status, 404);
    assert_eq!(fixture.get("/connectors/old/status").status, 200);
}

#[test]
fn a_full_inbox_is_a_503_that_says_so() {
    let fixture = Fixture::new(SHORT, SHORT, 1);
    assert_eq!(fixture.get("/connectors/c").status, 500);
    let response = fixture.get("/connectors/c");
    assert_eq!(response.status, 503);
    assert!(body(&response).contains("too many requests waiting"), "{}", body(&response));
    assert_eq!(fixture.get("/health").status, 503);
    assert_eq!(fixture.get("/connectors").status, 200);
}

#[test]
fn the_commit_is_that_of_the_clone() {
    let git = |arguments: &[&str]| {
        let root = env!("CARGO_MANIFEST_DIR");
        let output = std::process::Command::new("git").args(arguments).current_dir(root).output().ok()?;
        let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
        Some(text.trim().to_owned())
    };
    let is_clone = git(&["rev-parse", "--show-prefix"]).is_some_and(|prefix| prefix.is_empty());
    let told = json_of(&Fixture::patient().get("/"))["commit"].as_str().unwrap().to_owned();
    if is_clone {
        let commit = git(&["rev-parse", "HEAD"]).unwrap();
        let expected = std::env::var("HERDSMAN_COMMIT").unwrap_or_else(|_| commit[..16].to_owned());
        assert_eq!(told, expected);
    }
    assert!(!told.is_empty());
}
