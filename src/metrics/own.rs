//! What herdsman has beside Apache's attributes: how its tick thread does, how its start went, how old the last progress of
//! each task is.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::exposition::{Exposition, Kind, Labels};
use super::{COMMIT, Metrics, probe_place};
use crate::health::{HealthState, Stage, StartupPhase};
use crate::herder::meter::TURN_BUCKETS_US;
use crate::stdx::time::Now;

/// A family of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    pub(super) unit: &'static str,
    pub(super) meaning: &'static str,
}

const fn own(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    unit: &'static str,
    meaning: &'static str,
) -> Own {
    Own { name, kind, labels, unit, meaning }
}

const BUILD: Own =
    own("herdsman_build_info", Kind::Gauge, &["version", "commit"], "", "1; the labels say what was built.");
const PHASE: Own = own(
    "herdsman_startup_phase",
    Kind::Gauge,
    &["phase"],
    "",
    "1 for the phase that the worker is in, 0 for the others: starting, ready, stopping.",
);
const STAGE: Own = own(
    "herdsman_stage_seconds",
    Kind::Gauge,
    &["stage"],
    "s",
    "For how long the worker has been doing or waiting for that; missing while nothing is outstanding.",
);
const STARTUP: Own = own(
    "herdsman_startup_stage_seconds",
    Kind::Gauge,
    &["stage"],
    "s",
    "How long the stages of the start took that are over.",
);
const TURNS: Own = own(
    "herdsman_tick_turn_seconds",
    Kind::Histogram,
    &["le"],
    "s",
    "How long the turns of the tick thread took, which makes all decisions.",
);
const LONGEST: Own =
    own("herdsman_tick_turn_max_seconds", Kind::Gauge, &[], "s", "How long the longest of them took.");
const TURN: Own = own(
    "herdsman_tick_current_turn_seconds",
    Kind::Gauge,
    &[],
    "s",
    "For how long the present turn has lasted; 0 between turns. It grows while the tick thread is stuck.",
);
const INBOX: Own =
    own("herdsman_inbox_events", Kind::Gauge, &[], "", "Events that wait for the tick thread.");
const CAPACITY: Own = own(
    "herdsman_inbox_events_max",
    Kind::Gauge,
    &[],
    "",
    "How many can wait for it before senders wait, too.",
);
const PROBES: Own = own(
    "herdsman_health_probes_total",
    Kind::Counter,
    &["code"],
    "",
    "Answers of GET /health by their status.",
);
const CONNECTORS_ABANDONED: Own = own(
    "herdsman_connectors_abandoned_total",
    Kind::Counter,
    &[],
    "",
    "Connectors that did not stop in time; their threads stay until their code returns.",
);
const TASKS_ABANDONED: Own = own(
    "herdsman_tasks_abandoned_total",
    Kind::Counter,
    &[],
    "",
    "Tasks that did not stop in time; their threads stay until their code returns.",
);
const PROGRESS: Own = own(
    "herdsman_task_last_progress_seconds",
    Kind::Gauge,
    &["connector", "task"],
    "s",
    "For how long no records have moved: polled, acknowledged, consumed or put.",
);

const RESTARTS: Own = own(
    "herdsman_auto_restarts_total",
    Kind::Counter,
    &["connector", "task"],
    "",
    "Restarts of what had failed, by auto.restart.enable; without the label task, of the connector itself.",
);

/// All of them, in their order.
pub(super) const ALL: &[Own] = &[
    BUILD,
    PHASE,
    STAGE,
    STARTUP,
    TURNS,
    LONGEST,
    TURN,
    INBOX,
    CAPACITY,
    PROBES,
    CONNECTORS_ABANDONED,
    TASKS_ABANDONED,
    PROGRESS,
    RESTARTS,
];

impl Own {
    fn add(self, out: &mut Exposition, labels: &Labels, value: f64) {
        out.add(self.name, self.kind, self.meaning, labels, value);
    }
}

/// Adds them.
pub(super) fn add(out: &mut Exposition, metrics: &Metrics, now: Now) {
    let parts = &metrics.parts;
    let none = Labels::none();
    let build = none.clone().with("version", env!("CARGO_PKG_VERSION")).with("commit", COMMIT);
    BUILD.add(out, &build, 1.0);
    start(out, metrics, now);
    turns(out, metrics);
    TURN.add(out, &none, parts.herder.stages.turn_age(now).as_secs_f64());
    INBOX.add(out, &none, parts.inbox.len() as f64);
    if let Some(capacity) = parts.inbox.capacity() {
        CAPACITY.add(out, &none, capacity as f64);
    }
    let probes =
        [("200", HealthState::Healthy), ("500", HealthState::Unhealthy), ("503", HealthState::Starting)];
    for (code, state) in probes {
        let answers = metrics.probes[probe_place(state)].load(Ordering::Relaxed);
        PROBES.add(out, &none.clone().with("code", code), answers as f64);
    }
    let meter = &parts.herder.meter;
    CONNECTORS_ABANDONED.add(out, &none, meter.connectors(now.instant).abandoned as f64);
    TASKS_ABANDONED.add(out, &none, meter.tasks(now.instant).abandoned as f64);
    for (id, counters) in parts.herder.tasks.all() {
        let labels = none.clone().with("connector", id.connector.as_str()).with("task", id.index.to_string());
        PROGRESS.add(out, &labels, counters.idle(now.instant).as_secs_f64());
    }
    for (of, restarts) in meter.restarts().iter() {
        let labels = none.clone().with("connector", of.connector.as_str());
        let labels = match of.task {
            None => labels,
            Some(task) => labels.with("task", task.to_string()),
        };
        RESTARTS.add(out, &labels, *restarts as f64);
    }
}

fn start(out: &mut Exposition, metrics: &Metrics, now: Now) {
    let herder = &metrics.parts.herder;
    let present = herder.phase.load();
    for phase in [StartupPhase::Starting, StartupPhase::Ready, StartupPhase::Stopping] {
        let labels = Labels::none().with("phase", phase.name());
        PHASE.add(out, &labels, f64::from(u8::from(phase == present)));
    }
    if let Some(current) = herder.stages.current(now) {
        let since = now.wall.duration_since(current.since).as_secs_f64();
        STAGE.add(out, &Labels::none().with("stage", stage_word(&current.stage)), since.max(0.0));
    }
    // A stage that came more than once counts with all its times.
    let mut stages: BTreeMap<&str, f64> = BTreeMap::new();
    for step in herder.stages.startup() {
        *stages.entry(stage_word(&step.stage)).or_default() += step.took.as_secs_f64();
    }
    for (stage, seconds) in stages {
        STARTUP.add(out, &Labels::none().with("stage", stage), seconds);
    }
}

fn turns(out: &mut Exposition, metrics: &Metrics) {
    let turns = metrics.parts.herder.meter.turns();
    let mut part = |ending: &str, labels: &Labels, value: f64| {
        out.add_part(TURNS.name, ending, TURNS.kind, TURNS.meaning, labels, value);
    };
    let mut below = 0;
    let bounds = TURN_BUCKETS_US.iter().map(|micros| (*micros as f64 / 1e6).to_string());
    for (turns, bound) in turns.buckets.iter().zip(bounds.chain(std::iter::once("+Inf".to_owned()))) {
        below += turns;
        part("_bucket", &Labels::none().with("le", bound), below as f64);
    }
    part("_sum", &Labels::none(), turns.sum.as_secs_f64());
    part("_count", &Labels::none(), below as f64);
    LONGEST.add(out, &Labels::none(), turns.max.as_secs_f64());
}

/// All stages; what differs from one moment to the next is `…`.
pub(super) fn stages() -> [Stage; 15] {
    let some = || "…".to_owned();
    [
        Stage::AwaitingStartup,
        Stage::ContactingKafka,
        Stage::ReadingOffsets,
        Stage::StartingConnectors { left: 1, example: some() },
        Stage::PreparingInternalTopics("waiting for the topic '…': …".to_owned()),
        Stage::JoiningGroup,
        Stage::StoppingForRebalance,
        Stage::ReadingConfigTopic,
        Stage::BackingOff,
        Stage::ConfigTopicUnreadable(some()),
        Stage::AwaitingCoordinator(some()),
        Stage::ClaimingConfigTopic,
        Stage::WritingSessionKey,
        Stage::Handling("…"),
        Stage::ShuttingDown,
    ]
}

/// The word for a stage, without what it is about. A new one belongs to [`stages`], too.
pub(super) fn stage_word(stage: &Stage) -> &'static str {
    match stage {
        Stage::AwaitingStartup => "awaiting_startup",
        Stage::ContactingKafka => "contacting_kafka",
        Stage::ReadingOffsets => "reading_offsets",
        Stage::StartingConnectors { .. } => "starting_connectors",
        Stage::PreparingInternalTopics(_) => "preparing_internal_topics",
        Stage::JoiningGroup => "joining_group",
        Stage::StoppingForRebalance => "stopping_for_rebalance",
        Stage::ReadingConfigTopic => "reading_config_topic",
        Stage::BackingOff => "backing_off",
        Stage::ConfigTopicUnreadable(_) => "config_topic_unreadable",
        Stage::AwaitingCoordinator(_) => "awaiting_coordinator",
        Stage::ClaimingConfigTopic => "claiming_config_topic",
        Stage::WritingSessionKey => "writing_session_key",
        Stage::Handling(_) => "handling_an_event",
        Stage::ShuttingDown => "shutting_down",
    }
}
