//! The text as a whole: of a worker that is made up, against what published dashboards ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use expect_test::{expect, expect_file};

use super::exposition::{Exposition, Labels};
use super::table::{self, Classes, ConnectorSubject, TaskCounts, TaskSubject};
use super::*;
use crate::api::Settings;
use crate::api::ids::TaskId;
use crate::health::{SharedPhase, Stage, StageBoard, StartupPhase};
use crate::herder::meter::GroupReading;
use crate::herder::view::{
    ConnectorInfo, ConnectorKind, ConnectorStatus, ConnectorView, RunState, Status, Views,
};
use crate::stdx::sampled::{Sample, Total};
use crate::stdx::time::Clock;
use crate::task::counters::{ClientFigures, Direction, SourceReading, TaskReading};
use crate::task::{ErrorCounts, TaskEventKind};

const HERE: &str = "w:8083";

/// A worker with what it shows and counts.
struct Fixture {
    metrics: Metrics,
    shared: Shared,
    _inbox: Receiver<HerderEvent>,
}

impl Fixture {
    fn new() -> Self {
        let shared = Shared {
            phase: Arc::new(SharedPhase::default()),
            stages: Arc::new(StageBoard::new(Clock.now())),
            views: Arc::new(Views::default()),
            meter: Arc::default(),
            tasks: Arc::default(),
        };
        let (sender, inbox) = bounded(7);
        let metrics = Metrics::new(MetricsParts {
            worker: WorkerId::new(HERE),
            client_id: "connect-w".to_owned(),
            started: Timestamp::UNIX_EPOCH,
            herder: shared.clone(),
            inbox: sender,
            registry: Arc::new(connect::plugins_of_a_worker()),
            converters: ConverterClasses {
                key: "JsonConverter".to_owned(),
                value: "org.apache.kafka.connect.json.JsonConverter".to_owned(),
                header: String::new(),
            },
        });
        Fixture { metrics, shared, _inbox: inbox }
    }

    /// Shows a connector, with the states of its tasks, and where each is.
    fn show(&self, name: &str, config: &[(&str, &str)], of: (RunState, &str), tasks: &[(RunState, &str)]) {
        let status = |(state, worker): (RunState, &str)| Status {
            state,
            worker: WorkerId::new(worker),
            trace: None,
            version: None,
        };
        let config: Settings =
            config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let id = |index| TaskId { connector: name.into(), index };
        let info = ConnectorInfo {
            name: name.into(),
            config,
            tasks: (0..).zip(tasks).map(|(index, _)| id(index)).collect(),
            kind: ConnectorKind::Unknown,
        };
        let shown = ConnectorStatus {
            name: name.into(),
            connector: status(of),
            tasks: (0..).zip(tasks).map(|(index, task)| (index, status(*task))).collect(),
            kind: ConnectorKind::Unknown,
        };
        let view = ConnectorView { info, status: Some(shown), topics: BTreeSet::new() };
        self.shared.views.publish(name.into(), Some(Arc::new(view)));
    }

    fn text(&self, names: Names) -> String {
        self.metrics.made(names, Clock.now())
    }

    /// The lines of some families, without what stands above them.
    fn lines(&self, names: Names, beginning: &str) -> String {
        let text = self.text(names);
        text.lines().filter(|line| line.starts_with(beginning)).map(|line| format!("{line}\n")).collect()
    }
}

fn sample(count: u64, sum: u64, max: u64) -> Sample {
    let some = (count > 0).then_some(max);
    Sample { count, sum, max: some, min: some, span: Duration::from_secs(40) }
}

fn source_task() -> TaskSubject {
    let total = |all| Total { all, lately: sample(4, 400, 150) };
    let reading = TaskReading {
        running_ratio: 0.75,
        pause_ratio: 0.25,
        batch_size: sample(4, 400, 150),
        commit_time: sample(2, 3000, 2500),
        commits: sample(4, 3, 1),
        source: Some(SourceReading {
            polled: total(1000),
            written: total(900),
            active: total(100),
            poll_time: sample(4, 1000, 700),
            transaction_size: sample(0, 0, 0),
        }),
        sink: None,
        errors: ErrorCounts { records_skipped: 3, last_error: 1_700_000_000_123, ..ErrorCounts::default() },
    };
    let classes = Classes { connector: "x.Y".to_owned(), version: Some("1"), ..Classes::default() };
    TaskSubject { state: Some(RunState::Running), reading: Some(reading), classes }
}

#[test]
fn a_task_as_prometheus_reads_it() {
    let labels = Labels::none().with("connector", "orders \"eu\"").with("task", "0");
    let mut out = Exposition::default();
    table::add(&mut out, Names::Strimzi, table::TASK, &[(labels, source_task())]);
    expect_file!["tests/task.txt"].assert_eq(&out.into_text());
}

#[test]
fn confluents_names_have_their_own_labels() {
    let mut out = Exposition::default();
    let labels = Labels::none().with("connector", "a");
    let connector = ConnectorSubject {
        class: "x.Y".to_owned(),
        kind: Some("sink"),
        version: Some("1"),
        state: RunState::Failed,
    };
    table::add(&mut out, Names::Confluent, table::CONNECTOR, &[(labels.clone(), connector)]);
    let mut counts = TaskCounts::default();
    [RunState::Running, RunState::Failed, RunState::Failed].into_iter().for_each(|state| counts.count(state));
    table::add(&mut out, Names::Confluent, table::WORKER_CONNECTOR, &[(labels, counts)]);
    expect![[r##"
        # HELP kafka_connect_connector_metrics The state of a connector: running, paused, stopped, failed, restarting or unassigned.
        # TYPE kafka_connect_connector_metrics gauge
        kafka_connect_connector_metrics{connector="a",status="failed"} 1
        kafka_connect_connector_metrics{connector="a",connector_class="x.Y"} 1
        kafka_connect_connector_metrics{connector="a",connector_type="sink"} 1
        kafka_connect_connector_metrics{connector="a",connector_version="1"} 1
        # HELP kafka_connect_connector_metrics_status_info The state of a connector: running, paused, stopped, failed, restarting or unassigned.
        # TYPE kafka_connect_connector_metrics_status_info gauge
        kafka_connect_connector_metrics_status_info{connector="a",status="failed"} 1
        # HELP kafka_connect_connector_metrics_connector_class_info The class of a connector.
        # TYPE kafka_connect_connector_metrics_connector_class_info gauge
        kafka_connect_connector_metrics_connector_class_info{connector="a",connector_class="x.Y"} 1
        # HELP kafka_connect_connector_metrics_connector_type_info Whether a connector is a source or a sink.
        # TYPE kafka_connect_connector_metrics_connector_type_info gauge
        kafka_connect_connector_metrics_connector_type_info{connector="a",connector_type="sink"} 1
        # HELP kafka_connect_connector_metrics_connector_version_info The version of the class of a connector.
        # TYPE kafka_connect_connector_metrics_connector_version_info gauge
        kafka_connect_connector_metrics_connector_version_info{connector="a",connector_version="1"} 1
        # HELP kafka_connect_connect_worker_metrics_connector_total_task_count Tasks of the connector on this worker.
        # TYPE kafka_connect_connect_worker_metrics_connector_total_task_count gauge
        kafka_connect_connect_worker_metrics_connector_total_task_count{connector="a"} 3
        # HELP kafka_connect_connect_worker_metrics_connector_running_task_count Tasks of the connector here that run.
        # TYPE kafka_connect_connect_worker_metrics_connector_running_task_count gauge
        kafka_connect_connect_worker_metrics_connector_running_task_count{connector="a"} 1
        # HELP kafka_connect_connect_worker_metrics_connector_paused_task_count Tasks of the connector here that are paused.
        # TYPE kafka_connect_connect_worker_metrics_connector_paused_task_count gauge
        kafka_connect_connect_worker_metrics_connector_paused_task_count{connector="a"} 0
        # HELP kafka_connect_connect_worker_metrics_connector_failed_task_count Tasks of the connector here that have failed.
        # TYPE kafka_connect_connect_worker_metrics_connector_failed_task_count gauge
        kafka_connect_connect_worker_metrics_connector_failed_task_count{connector="a"} 2
        # HELP kafka_connect_connect_worker_metrics_connector_unassigned_task_count Tasks of the connector here that are about to start, or have ended.
        # TYPE kafka_connect_connect_worker_metrics_connector_unassigned_task_count gauge
        kafka_connect_connect_worker_metrics_connector_unassigned_task_count{connector="a"} 0
        # HELP kafka_connect_connect_worker_metrics_connector_restarting_task_count Tasks of the connector here that are restarted.
        # TYPE kafka_connect_connect_worker_metrics_connector_restarting_task_count gauge
        kafka_connect_connect_worker_metrics_connector_restarting_task_count{connector="a"} 0
        # HELP kafka_connect_connect_worker_metrics_connector_destroyed_task_count Always 0: a task that is taken away has no state here.
        # TYPE kafka_connect_connect_worker_metrics_connector_destroyed_task_count gauge
        kafka_connect_connect_worker_metrics_connector_destroyed_task_count{connector="a"} 0
    "##]].assert_eq(&out.into_text());
}

#[test]
fn what_runs_elsewhere_is_not_shown_and_what_failed_here_is() {
    use RunState::{Failed, Paused, Running, Unassigned};
    let fixture = Fixture::new();
    let source = [("connector.class", "FileStreamSource"), ("password", "hunter2")];
    fixture.show("a", &source, (Running, HERE), &[(Running, HERE), (Failed, HERE), (Running, "v:1")]);
    fixture.show("b", &[("connector.class", "gone.Class")], (Failed, HERE), &[]);
    fixture.show("c", &source, (Running, "v:1"), &[(Paused, HERE), (Unassigned, HERE)]);
    fixture.show("d", &source, (Running, "v:1"), &[(Failed, "v:1")]);
    let id = |connector: &str, index| TaskId { connector: connector.into(), index };
    for id in [id("a", 0), id("c", 0)] {
        fixture.shared.tasks.begin(&id, Direction::Source).reported(&TaskEventKind::Started);
    }
    let mut seen = fixture.lines(Names::Strimzi, "kafka_connect_connector_status");
    seen += &fixture.lines(Names::Strimzi, "kafka_connect_connector_task_status");
    seen += &fixture.lines(Names::Strimzi, "kafka_connect_worker_connector_count");
    seen += &fixture.lines(Names::Strimzi, "kafka_connect_worker_task_count");
    seen += &fixture.lines(Names::Strimzi, "kafka_connect_worker_connector_failed_task_count");
    seen += &fixture.lines(Names::Strimzi, "kafka_connect_connector_connector_class");
    seen += &fixture.lines(Names::Strimzi, "kafka_connect_source_task_source_record_poll_total");
    expect![[r#"
        kafka_connect_connector_status{connector="a",status="running"} 1
        kafka_connect_connector_status{connector="b",status="failed"} 1
        kafka_connect_connector_task_status{connector="a",task="0",status="running"} 1
        kafka_connect_connector_task_status{connector="a",task="1",status="failed"} 1
        kafka_connect_connector_task_status{connector="c",task="0",status="paused"} 1
        kafka_connect_worker_connector_count 2
        kafka_connect_worker_task_count 3
        kafka_connect_worker_connector_failed_task_count{connector="a"} 1
        kafka_connect_worker_connector_failed_task_count{connector="b"} 0
        kafka_connect_worker_connector_failed_task_count{connector="c"} 0
        kafka_connect_connector_connector_class{connector="a",connector_class="org.apache.kafka.connect.file.FileStreamSourceConnector"} 1
        kafka_connect_connector_connector_class{connector="b",connector_class="gone.Class"} 1
        kafka_connect_source_task_source_record_poll_total{connector="a",task="0"} 0
        kafka_connect_source_task_source_record_poll_total{connector="c",task="0"} 0
    "#]].assert_eq(&seen);
    assert!(!fixture.text(Names::Strimzi).contains("hunter2"), "settings are not shown");
}

#[test]
fn a_task_is_told_what_it_is_made_of() {
    let fixture = Fixture::new();
    let config = [
        ("connector.class", "FileStreamSink"),
        ("value.converter", "StringConverter"),
        ("transforms", "first, unknown ,second"),
        ("transforms.first.type", "InsertField$Value"),
        ("transforms.second.type", "org.apache.kafka.connect.transforms.Filter"),
        ("transforms.unknown.type", "no.such.Class"),
        ("predicates", "p"),
        ("predicates.p.type", "TopicNameMatches"),
    ];
    fixture.show("a", &config, (RunState::Running, HERE), &[(RunState::Running, HERE)]);
    let mut seen = fixture.lines(Names::Strimzi, "kafka_connect_connector_task_");
    seen += &fixture.lines(Names::Strimzi, "kafka_connect_connector_transform_");
    seen += &fixture.lines(Names::Strimzi, "kafka_connect_connector_predicate_");
    expect![[r#"
        kafka_connect_connector_task_status{connector="a",task="0",status="running"} 1
        kafka_connect_connector_task_connector_class{connector="a",task="0",connector_class="org.apache.kafka.connect.file.FileStreamSinkConnector"} 1
        kafka_connect_connector_task_connector_type{connector="a",task="0",connector_type="sink"} 1
        kafka_connect_connector_task_connector_version{connector="a",task="0",connector_version="4.3.1"} 1
        kafka_connect_connector_task_task_class{connector="a",task="0",task_class="org.apache.kafka.connect.file.FileStreamSinkTask"} 1
        kafka_connect_connector_task_task_version{connector="a",task="0",task_version="4.3.1"} 1
        kafka_connect_connector_task_key_converter_class{connector="a",task="0",key_converter_class="org.apache.kafka.connect.json.JsonConverter"} 1
        kafka_connect_connector_task_key_converter_version{connector="a",task="0",key_converter_version="4.3.1"} 1
        kafka_connect_connector_task_value_converter_class{connector="a",task="0",value_converter_class="org.apache.kafka.connect.storage.StringConverter"} 1
        kafka_connect_connector_task_value_converter_version{connector="a",task="0",value_converter_version="4.3.1"} 1
        kafka_connect_connector_transform_transform_class{connector="a",task="0",transform="second",transform_class="org.apache.kafka.connect.transforms.Filter"} 1
        kafka_connect_connector_transform_transform_version{connector="a",task="0",transform="second",transform_version="4.3.1"} 1
        kafka_connect_connector_predicate_predicate_class{connector="a",task="0",predicate="p",predicate_class="org.apache.kafka.connect.transforms.predicates.TopicNameMatches"} 1
        kafka_connect_connector_predicate_predicate_version{connector="a",task="0",predicate="p",predicate_version="4.3.1"} 1
    "#]].assert_eq(&seen);
}

#[test]
fn the_start_and_the_tick_thread_are_told_while_it_is_stuck() {
    let fixture = Fixture::new();
    let stages = &fixture.shared.stages;
    let start = Clock.now();
    let after = |seconds| Now {
        instant: start.instant + Duration::from_secs(seconds),
        wall: start.wall + Duration::from_secs(seconds),
    };
    stages.wait_for(Some(Stage::ReadingOffsets), start);
    stages.wait_for(Some(Stage::ContactingKafka), after(2));
    stages.wait_for(Some(Stage::ReadingOffsets), after(3));
    stages.wait_for(None, after(7));
    fixture.shared.phase.store(StartupPhase::Ready);
    stages.begin_turn("an event", after(10));
    for state in [HealthState::Starting, HealthState::Healthy, HealthState::Healthy] {
        fixture.metrics.health_answered(state);
    }
    let text = fixture.metrics.made(Names::Strimzi, after(15));
    let ours = text.lines().filter(|line| {
        let named = |words: &[&str]| words.iter().any(|word| line.starts_with(&format!("herdsman_{word}")));
        named(&["startup_phase", "stage", "startup_stage", "tick_current", "inbox", "health"])
            && !line.contains("awaiting_startup")
    });
    expect![[r#"
        herdsman_startup_phase{phase="starting"} 0
        herdsman_startup_phase{phase="ready"} 1
        herdsman_startup_phase{phase="stopping"} 0
        herdsman_stage_seconds{stage="handling_an_event"} 5
        herdsman_startup_stage_seconds{stage="contacting_kafka"} 1
        herdsman_startup_stage_seconds{stage="reading_offsets"} 6
        herdsman_tick_current_turn_seconds 5
        herdsman_inbox_events 0
        herdsman_inbox_events_max 7
        herdsman_health_probes_total{code="200"} 2
        herdsman_health_probes_total{code="500"} 0
        herdsman_health_probes_total{code="503"} 1
    "#]]
    .assert_eq(&ours.map(|line| format!("{line}\n")).collect::<String>());
}

#[test]
fn who_asks_at_the_same_time_gets_the_same_text() {
    let fixture = Fixture::new();
    let now = Clock.now();
    let later = Now { instant: now.instant + FRESH, ..now };
    let first = fixture.metrics.text(Names::Strimzi, now);
    fixture.metrics.health_answered(HealthState::Healthy);
    assert_eq!(fixture.metrics.text(Names::Strimzi, now), first);
    assert_ne!(fixture.metrics.text(Names::Confluent, now), first);
    assert_ne!(fixture.metrics.text(Names::Strimzi, later), first);
}

/// What the dashboard of Strimzi for Kafka Connect asks for, and its alerts:
/// <https://github.com/strimzi/strimzi-kafka-operator/blob/main/examples/metrics/grafana-dashboards/strimzi-kafka-connect.json>,
/// <https://github.com/strimzi/strimzi-kafka-operator/blob/main/packaging/examples/metrics/prometheus-install/prometheus-rules/prometheus-kafka-connect-rules.yaml>.
const STRIMZI: &[&str] = &[
    "kafka_connect_connector_connector_class",
    "kafka_connect_connector_connector_type",
    "kafka_connect_connector_connector_version",
    "kafka_connect_connector_status",
    "kafka_connect_connector_task_status",
    "kafka_connect_coordinator_assigned_connectors",
    "kafka_connect_coordinator_assigned_tasks",
    "kafka_connect_task_error_total_record_failures",
    "kafka_connect_worker_connector_count",
    "kafka_connect_worker_connector_destroyed_task_count",
    "kafka_connect_worker_connector_failed_task_count",
    "kafka_connect_worker_connector_paused_task_count",
    "kafka_connect_worker_connector_running_task_count",
    "kafka_connect_worker_connector_unassigned_task_count",
    "kafka_connect_worker_rebalance_rebalancing",
    "kafka_connect_worker_task_count",
    "kafka_consumer_connection_count",
    "kafka_consumer_incoming_byte_total",
    "kafka_producer_connection_count",
    "kafka_producer_outgoing_byte_total",
];

/// What Confluent's dashboard asks for:
/// <https://github.com/confluentinc/jmx-monitoring-stacks/blob/main/jmxexporter-prometheus-grafana/assets/grafana/provisioning/dashboards-old-exporter/kafka-connect-cluster.json>;
/// and Strimzi's for its own reporter:
/// <https://github.com/strimzi/strimzi-kafka-operator/blob/main/examples/metrics/strimzi-metrics-reporter/grafana-dashboards/strimzi-kafka-connect.json>.
const CONFLUENT: &[&str] = &[
    "kafka_connect_app",
    "kafka_connect_app_info",
    "kafka_connect_connect_coordinator_metrics_assigned_connectors",
    "kafka_connect_connect_coordinator_metrics_assigned_tasks",
    "kafka_connect_connect_worker_metrics_connector_count",
    "kafka_connect_connect_worker_metrics_connector_destroyed_task_count",
    "kafka_connect_connect_worker_metrics_connector_failed_task_count",
    "kafka_connect_connect_worker_metrics_connector_paused_task_count",
    "kafka_connect_connect_worker_metrics_connector_running_task_count",
    "kafka_connect_connect_worker_metrics_connector_startup_failure_total",
    "kafka_connect_connect_worker_metrics_connector_startup_success_total",
    "kafka_connect_connect_worker_metrics_connector_total_task_count",
    "kafka_connect_connect_worker_metrics_connector_unassigned_task_count",
    "kafka_connect_connect_worker_metrics_task_count",
    "kafka_connect_connect_worker_metrics_task_startup_failure_total",
    "kafka_connect_connect_worker_metrics_task_startup_success_total",
    "kafka_connect_connect_worker_rebalance_metrics_completed_rebalances_total",
    "kafka_connect_connect_worker_rebalance_metrics_rebalance_avg_time_ms",
    "kafka_connect_connect_worker_rebalance_metrics_rebalancing",
    "kafka_connect_connect_worker_rebalance_metrics_time_since_last_rebalance_ms",
    "kafka_connect_connector_metrics",
    "kafka_connect_connector_metrics_connector_class_info",
    "kafka_connect_connector_metrics_connector_type_info",
    "kafka_connect_connector_metrics_connector_version_info",
    "kafka_connect_connector_metrics_status_info",
    "kafka_connect_connector_task_metrics_batch_size_avg",
    "kafka_connect_connector_task_metrics_batch_size_max",
    "kafka_connect_connector_task_metrics_offset_commit_avg_time_ms",
    "kafka_connect_connector_task_metrics_offset_commit_success_percentage",
    "kafka_connect_connector_task_metrics_pause_ratio",
    "kafka_connect_connector_task_metrics_running_ratio",
    "kafka_connect_connector_task_metrics_status_info",
    "kafka_connect_sink_task_metrics_offset_commit_completion_rate",
    "kafka_connect_sink_task_metrics_offset_commit_skip_rate",
    "kafka_connect_sink_task_metrics_partition_count",
    "kafka_connect_sink_task_metrics_put_batch_avg_time_ms",
    "kafka_connect_sink_task_metrics_put_batch_max_time_ms",
    "kafka_connect_sink_task_metrics_sink_record_active_count_avg",
    "kafka_connect_sink_task_metrics_sink_record_active_count_max",
    "kafka_connect_sink_task_metrics_sink_record_read_rate",
    "kafka_connect_sink_task_metrics_sink_record_send_rate",
    "kafka_connect_source_task_metrics_poll_batch_avg_time_ms",
    "kafka_connect_source_task_metrics_poll_batch_max_time_ms",
    "kafka_connect_source_task_metrics_source_record_active_count_avg",
    "kafka_connect_source_task_metrics_source_record_active_count_max",
    "kafka_connect_source_task_metrics_source_record_poll_rate",
    "kafka_connect_source_task_metrics_source_record_write_rate",
    "kafka_connect_task_error_metrics_deadletterqueue_produce_failures",
    "kafka_connect_task_error_metrics_deadletterqueue_produce_requests",
    "kafka_connect_task_error_metrics_total_errors_logged",
    "kafka_connect_task_error_metrics_total_record_errors",
    "kafka_connect_task_error_metrics_total_record_failures",
    "kafka_connect_task_error_metrics_total_records_skipped",
    "kafka_connect_task_error_metrics_total_retries",
    "kafka_consumer_consumer_metrics_connection_count",
    "kafka_producer_producer_metrics_connection_count",
    "process_cpu_seconds_total",
];

/// What librdkafka tells of a client.
fn told() -> Arc<ClientFigures> {
    let figures = ClientFigures::default();
    let numbers = ["tx", "tx_bytes", "rx", "rx_bytes", "txmsgs", "txmsg_bytes", "rxmsgs", "rxmsg_bytes"];
    let numbers: String = numbers.iter().map(|name| format!("\"{name}\":7,")).collect();
    figures.take(format!("{{{numbers}\"brokers\":{{\"b:1/1\":{{\"state\":\"UP\"}}}}}}").as_bytes());
    Arc::new(figures)
}

/// A worker with a source and a sink that have moved records, in a group.
fn busy(names: Names) -> Exposition {
    let fixture = Fixture::new();
    for (name, class, direction) in
        [("in", "FileStreamSource", Direction::Source), ("out", "FileStreamSink", Direction::Sink)]
    {
        let config = [("connector.class", class)];
        fixture.show(name, &config, (RunState::Running, HERE), &[(RunState::Running, HERE)]);
        let id = TaskId { connector: name.into(), index: 0 };
        let counters = fixture.shared.tasks.begin(&id, direction);
        let now = Clock.now().instant;
        counters.reported(&TaskEventKind::Started);
        counters.client_made(Some(name), told());
        counters.polled(now, 3, Duration::from_millis(1));
        counters.read_records(now, 3);
        counters.offered(now, 3);
        counters.put(now, 3, Duration::from_millis(1));
        counters.active(now, 1);
        counters.committed(now, true, Duration::from_millis(1));
    }
    let group = GroupReading {
        is_rebalancing: false,
        generation: 3,
        leader_url: "http://w:8083/".to_owned(),
        protocol: "SESSIONED",
        connectors: 2,
        tasks: 2,
        completed: 1,
        took: sample(1, 1000, 1000),
        since_last: Some(Duration::from_secs(1)),
        since_contact: Some(Duration::from_secs(1)),
        joins: Total { all: 1, lately: sample(1, 1, 1) },
        syncs: Total { all: 1, lately: sample(1, 1, 1) },
        heartbeats: Total { all: 1, lately: sample(4, 4, 1) },
    };
    let mut out = Exposition::default();
    connect::add(&mut out, &fixture.metrics.parts, names, Clock.now());
    clients::add(&mut out, &fixture.metrics.parts, names);
    table::add(&mut out, names, table::REBALANCE, &[(Labels::none(), group.clone())]);
    table::add(&mut out, names, table::COORDINATOR, &[(Labels::none(), group)]);
    own::add(&mut out, &fixture.metrics, Clock.now());
    process::add(&mut out);
    out
}

#[test]
fn published_dashboards_find_what_they_ask_for() {
    for (names, wanted) in [(Names::Strimzi, STRIMZI), (Names::Confluent, CONFLUENT)] {
        let text = busy(names).into_text();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let there: BTreeSet<&str> = samples.filter_map(|line| line.split(['{', ' ']).next()).collect();
        let missing: Vec<_> = wanted.iter().filter(|name| !there.contains(*name)).collect();
        assert!(missing.is_empty(), "{names:?}: {missing:?}");
    }
}

#[test]
fn every_name_has_one_type_and_every_sample_one_line() {
    for (_, names) in Names::ALL {
        let text = busy(names).into_text();
        let mut seen = BTreeMap::new();
        for line in text.lines() {
            // Of a sample its name and labels, of a type its name.
            let what = line.rsplit_once(' ').map_or(line, |(what, _)| what);
            if !line.starts_with("# HELP") {
                *seen.entry(what.to_owned()).or_insert(0) += 1;
            }
        }
        let twice: Vec<_> = seen.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "{names:?}: {twice:?}");
    }
}
