//! The group of workers: where this worker stands in it.

use super::{Attribute, Value, of};
use crate::herder::meter::GroupReading;
use crate::metrics::exposition::Kind::{Counter, Gauge};
use crate::metrics::names::Bean;

pub(in crate::metrics) const REBALANCE: &[Attribute<GroupReading>] = &[
    of(Bean::Rebalance, "leader-name", (Gauge, "text"), "The URL of the leader of the group.", |of| {
        Value::name(&of.leader_url)
    }),
    of(Bean::Rebalance, "connect-protocol", (Gauge, "text"), "The protocol that the group speaks.", |of| {
        Value::Text(of.protocol)
    }),
    of(Bean::Rebalance, "epoch", (Gauge, ""), "The generation that this worker is in.", |of| {
        Value::Number(f64::from(of.generation))
    }),
    of(
        Bean::Rebalance,
        "rebalancing",
        (Gauge, ""),
        "1 while this worker is on its way into a generation, else 0.",
        |of| Value::Number(f64::from(u8::from(of.is_rebalancing))),
    ),
    of(Bean::Rebalance, "completed-rebalances-total", (Counter, ""), "Rebalances that have ended.", |of| {
        Value::count(of.completed)
    }),
    of(Bean::Rebalance, "rebalance-avg-time-ms", (Gauge, "ms"), "How long they took on average.", |of| {
        Value::average_ms(&of.took)
    }),
    of(Bean::Rebalance, "rebalance-max-time-ms", (Gauge, "ms"), "How long the longest of them took.", |of| {
        Value::max_ms(&of.took)
    }),
    of(
        Bean::Rebalance,
        "time-since-last-rebalance-ms",
        (Gauge, "ms"),
        "Since the last rebalance ended; infinite before that and while one goes on.",
        |of| Value::Number(of.since_last.map_or(f64::INFINITY, |since| since.as_secs_f64() * 1000.0)),
    ),
];

pub(in crate::metrics) const COORDINATOR: &[Attribute<GroupReading>] = &[
    of(Bean::Coordinator, "assigned-connectors", (Gauge, ""), "Connectors given to this worker.", |of| {
        Value::count(of.connectors as u64)
    }),
    of(Bean::Coordinator, "assigned-tasks", (Gauge, ""), "Tasks given to this worker.", |of| {
        Value::count(of.tasks as u64)
    }),
    of(Bean::Coordinator, "join-total", (Counter, ""), "Generations that this worker joined.", |of| {
        Value::count(of.joins.all)
    }),
    of(Bean::Coordinator, "join-rate", (Gauge, "a second"), "Generations joined lately.", |of| {
        Value::Number(of.joins.lately.per_second())
    }),
    of(Bean::Coordinator, "sync-total", (Counter, ""), "Assignments that this worker got.", |of| {
        Value::count(of.syncs.all)
    }),
    of(Bean::Coordinator, "sync-rate", (Gauge, "a second"), "Assignments got lately.", |of| {
        Value::Number(of.syncs.lately.per_second())
    }),
    of(Bean::Coordinator, "heartbeat-total", (Counter, ""), "Heartbeats that were answered.", |of| {
        Value::count(of.heartbeats.all)
    }),
    of(Bean::Coordinator, "heartbeat-rate", (Gauge, "a second"), "Heartbeats answered lately.", |of| {
        Value::Number(of.heartbeats.lately.per_second())
    }),
    of(
        Bean::Coordinator,
        "last-heartbeat-seconds-ago",
        (Gauge, "s"),
        "Since the coordinator answered last; missing while it does not.",
        |of| Value::of(of.since_contact.map(|since| since.as_secs_f64())),
    ),
    of(
        Bean::Coordinator,
        "last-rebalance-seconds-ago",
        (Gauge, "s"),
        "Since the last rebalance ended; missing before that and while one goes on.",
        |of| Value::of(of.since_last.map(|since| since.as_secs_f64())),
    ),
];
