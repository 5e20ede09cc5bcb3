//! The attributes of Kafka's clients that librdkafka can tell: of the producers and consumers of tasks, where
//! `metrics.clients.interval.ms` has them told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::MetricsParts;
use super::exposition::Kind::{Counter, Gauge};
use super::exposition::{Exposition, Kind, Labels};
use super::names::{self, Names};
use crate::task::counters::{ClientCounts, Direction};

/// An attribute of a kind of client.
#[derive(Clone, Copy)]
pub(super) struct ClientAttribute {
    pub(super) direction: Direction,
    /// The `type` of its bean in Apache.
    pub(super) type_name: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) unit: &'static str,
    pub(super) meaning: &'static str,
    read: fn(&ClientCounts) -> u64,
}

const fn producer(
    name: &'static str,
    (kind, unit): (Kind, &'static str),
    meaning: &'static str,
    read: fn(&ClientCounts) -> u64,
) -> ClientAttribute {
    let (direction, type_name) = (Direction::Source, "producer-metrics");
    ClientAttribute { direction, type_name, name, kind, unit, meaning, read }
}

const fn consumer(
    type_name: &'static str,
    name: &'static str,
    (kind, unit): (Kind, &'static str),
    meaning: &'static str,
    read: fn(&ClientCounts) -> u64,
) -> ClientAttribute {
    ClientAttribute { direction: Direction::Sink, type_name, name, kind, unit, meaning, read }
}

const CONSUMER: &str = "consumer-metrics";
const FETCH: &str = "consumer-fetch-manager-metrics";

pub(super) const ALL: &[ClientAttribute] = &[
    producer("connection-count", (Gauge, ""), "Connections to brokers that are up.", |of| of.connections),
    producer("request-total", (Counter, ""), "Requests that were sent.", |of| of.requests),
    producer("response-total", (Counter, ""), "Responses that came.", |of| of.responses),
    producer("outgoing-byte-total", (Counter, "bytes"), "Bytes that were sent.", |of| of.bytes_out),
    producer("incoming-byte-total", (Counter, "bytes"), "Bytes that came.", |of| of.bytes_in),
    producer("record-send-total", (Counter, "records"), "Records that were sent.", |of| of.records),
    consumer(CONSUMER, "connection-count", (Gauge, ""), "Connections to brokers that are up.", |of| {
        of.connections
    }),
    consumer(CONSUMER, "request-total", (Counter, ""), "Requests that were sent.", |of| of.requests),
    consumer(CONSUMER, "response-total", (Counter, ""), "Responses that came.", |of| of.responses),
    consumer(CONSUMER, "outgoing-byte-total", (Counter, "bytes"), "Bytes that were sent.", |of| of.bytes_out),
    consumer(CONSUMER, "incoming-byte-total", (Counter, "bytes"), "Bytes that came.", |of| of.bytes_in),
    consumer(FETCH, "records-consumed-total", (Counter, "records"), "Records that were consumed.", |of| {
        of.records
    }),
    consumer(FETCH, "bytes-consumed-total", (Counter, "bytes"), "Their bytes.", |of| of.record_bytes),
];

impl ClientAttribute {
    pub(super) fn family(&self, names: Names) -> String {
        let ClientAttribute { direction, type_name, name, .. } = self;
        let family = match names {
            Names::Strimzi => format!("kafka_{}_{name}", type_name.trim_end_matches("-metrics")),
            Names::Confluent => format!("kafka_{}_{type_name}_{name}", client_type(*direction)),
        };
        family.replace('-', "_")
    }
}

fn client_type(direction: Direction) -> &'static str {
    match direction {
        Direction::Source => "producer",
        Direction::Sink => "consumer",
    }
}

/// Adds them. Clients of one id count together.
pub(super) fn add(out: &mut Exposition, parts: &MetricsParts, names: Names) {
    let mut seen = BTreeSet::new();
    let mut clients: [BTreeMap<String, ClientCounts>; 2] = Default::default();
    for (_, task) in parts.herder.tasks.all() {
        let Some((id, figures)) = task.client() else { continue };
        let place = Arc::as_ptr(figures);
        // Tasks share producers.
        if let Some(counts) = figures.counts().filter(|_| seen.insert(place)) {
            *clients[task.direction() as usize].entry(id.to_owned()).or_default() += counts;
        }
    }
    for attribute in ALL {
        let family = attribute.family(names);
        for (id, counts) in &clients[attribute.direction as usize] {
            let labels = match names {
                Names::Strimzi => Labels::none(),
                Names::Confluent => Labels::none().with("client_type", client_type(attribute.direction)),
            };
            let labels = labels.with(names::client_label(names), id.as_str());
            let value = (attribute.read)(counts) as f64;
            out.add(&family, attribute.kind, attribute.meaning, &labels, value);
        }
    }
}
