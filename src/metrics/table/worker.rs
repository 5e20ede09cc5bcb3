//! The worker, its connectors, and how many of their tasks are in which state.

use super::{Attribute, Value, of};
use crate::herder::meter::StartsReading;
use crate::herder::view::RunState;
use crate::metrics::exposition::Kind::{self, Counter, Gauge};
use crate::metrics::names::Bean;

/// A worker.
pub(in crate::metrics) struct WorkerSubject {
    pub(in crate::metrics) connectors: usize,
    pub(in crate::metrics) tasks: usize,
    pub(in crate::metrics) connector_starts: StartsReading,
    pub(in crate::metrics) task_starts: StartsReading,
}

const fn worker(
    name: &'static str,
    kind: Kind,
    meaning: &'static str,
    read: fn(&WorkerSubject) -> Value<'_>,
) -> Attribute<WorkerSubject> {
    of(Bean::Worker, name, (kind, ""), meaning, read)
}

pub(in crate::metrics) const WORKER: &[Attribute<WorkerSubject>] = &[
    worker("connector-count", Gauge, "Connectors on this worker.", |of| Value::count(of.connectors as u64)),
    worker("task-count", Gauge, "Tasks on this worker.", |of| Value::count(of.tasks as u64)),
    worker("connector-startup-attempts-total", Counter, "Starts of connectors.", |of| {
        Value::count(of.connector_starts.attempts)
    }),
    worker("connector-startup-success-total", Counter, "Starts of connectors that succeeded.", |of| {
        Value::count(of.connector_starts.succeeded)
    }),
    worker("connector-startup-failure-total", Counter, "Starts of connectors that failed.", |of| {
        Value::count(of.connector_starts.failed)
    }),
    worker(
        "connector-startup-success-percentage",
        Gauge,
        "The share of the latest starts of connectors that succeeded, 0 to 1.",
        |of| Value::share(&of.connector_starts.lately),
    ),
    worker(
        "connector-startup-failure-percentage",
        Gauge,
        "The share of the latest starts of connectors that failed, 0 to 1.",
        |of| Value::other_share(&of.connector_starts.lately),
    ),
    worker("task-startup-attempts-total", Counter, "Starts of tasks.", |of| {
        Value::count(of.task_starts.attempts)
    }),
    worker("task-startup-success-total", Counter, "Starts of tasks that succeeded.", |of| {
        Value::count(of.task_starts.succeeded)
    }),
    worker("task-startup-failure-total", Counter, "Starts of tasks that failed.", |of| {
        Value::count(of.task_starts.failed)
    }),
    worker(
        "task-startup-success-percentage",
        Gauge,
        "The share of the latest starts of tasks that succeeded, 0 to 1.",
        |of| Value::share(&of.task_starts.lately),
    ),
    worker(
        "task-startup-failure-percentage",
        Gauge,
        "The share of the latest starts of tasks that failed, 0 to 1.",
        |of| Value::other_share(&of.task_starts.lately),
    ),
];

/// How many tasks of a connector on this worker are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::metrics) struct TaskCounts {
    running: u64,
    paused: u64,
    failed: u64,
    unassigned: u64,
    restarting: u64,
}

impl TaskCounts {
    pub(in crate::metrics) fn count(&mut self, state: RunState) {
        match state {
            RunState::Running => self.running += 1,
            RunState::Paused => self.paused += 1,
            RunState::Failed => self.failed += 1,
            RunState::Restarting => self.restarting += 1,
            RunState::Unassigned | RunState::Stopped => self.unassigned += 1,
        }
    }

    pub(in crate::metrics) fn total(&self) -> u64 {
        let TaskCounts { running, paused, failed, unassigned, restarting } = *self;
        running + paused + failed + unassigned + restarting
    }
}

const fn tasks_of(
    name: &'static str,
    meaning: &'static str,
    read: fn(&TaskCounts) -> Value<'_>,
) -> Attribute<TaskCounts> {
    of(Bean::WorkerConnector, name, (Gauge, ""), meaning, read)
}

pub(in crate::metrics) const WORKER_CONNECTOR: &[Attribute<TaskCounts>] = &[
    tasks_of("connector-total-task-count", "Tasks of the connector on this worker.", |of| {
        Value::count(of.total())
    }),
    tasks_of("connector-running-task-count", "Tasks of the connector here that run.", |of| {
        Value::count(of.running)
    }),
    tasks_of("connector-paused-task-count", "Tasks of the connector here that are paused.", |of| {
        Value::count(of.paused)
    }),
    tasks_of("connector-failed-task-count", "Tasks of the connector here that have failed.", |of| {
        Value::count(of.failed)
    }),
    tasks_of(
        "connector-unassigned-task-count",
        "Tasks of the connector here that are about to start, or have ended.",
        |of| Value::count(of.unassigned),
    ),
    tasks_of("connector-restarting-task-count", "Tasks of the connector here that are restarted.", |of| {
        Value::count(of.restarting)
    }),
    tasks_of(
        "connector-destroyed-task-count",
        "Always 0: a task that is taken away has no state here.",
        |_| Value::Number(0.0),
    ),
];

/// A connector.
pub(in crate::metrics) struct ConnectorSubject {
    pub(in crate::metrics) class: String,
    pub(in crate::metrics) kind: Option<&'static str>,
    pub(in crate::metrics) version: Option<&'static str>,
    pub(in crate::metrics) state: RunState,
}

const fn connector(
    name: &'static str,
    meaning: &'static str,
    read: fn(&ConnectorSubject) -> Value<'_>,
) -> Attribute<ConnectorSubject> {
    of(Bean::Connector, name, (Gauge, "text"), meaning, read)
}

pub(in crate::metrics) const CONNECTOR: &[Attribute<ConnectorSubject>] = &[
    connector(
        "status",
        "The state of a connector: running, paused, stopped, failed, restarting or unassigned.",
        |of| Value::Text(state_word(of.state)),
    ),
    connector("connector-class", "The class of a connector.", |of| Value::Text(&of.class)),
    connector("connector-type", "Whether a connector is a source or a sink.", |of| Value::text(of.kind)),
    connector("connector-version", "The version of the class of a connector.", |of| Value::text(of.version)),
];

/// The word that stands for a state in metrics.
pub(super) fn state_word(state: RunState) -> &'static str {
    match state {
        RunState::Unassigned => "unassigned",
        RunState::Running => "running",
        RunState::Paused => "paused",
        RunState::Stopped => "stopped",
        RunState::Failed => "failed",
        RunState::Restarting => "restarting",
    }
}
