//! The attributes of Apache's beans, each with how it is read here: what `GET /metrics` gives and what
//! `docs/reference/metrics.md` lists are both made of this.

mod group;
mod tasks;
mod worker;

use super::exposition::{Exposition, Kind, Labels};
use super::names::{self, Bean, Names};
use crate::stdx::sampled::Sample;

pub(super) use group::{COORDINATOR, REBALANCE};
pub(super) use tasks::{ClassAndVersion, Classes, PREDICATE, PluginSubject, TASK, TRANSFORM, TaskSubject};
pub(super) use worker::{CONNECTOR, ConnectorSubject, TaskCounts, WORKER, WORKER_CONNECTOR, WorkerSubject};

/// An attribute of what `S` is about.
pub(super) struct Attribute<S: ?Sized> {
    pub(super) bean: Bean,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// In which unit; empty for a plain number, `text` for a text.
    pub(super) unit: &'static str,
    pub(super) meaning: &'static str,
    pub(super) read: fn(&S) -> Value<'_>,
}

const fn of<S: ?Sized>(
    bean: Bean,
    name: &'static str,
    (kind, unit): (Kind, &'static str),
    meaning: &'static str,
    read: fn(&S) -> Value<'_>,
) -> Attribute<S> {
    Attribute { bean, name, kind, unit, meaning, read }
}

/// What an attribute is at the moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    /// Nothing is known.
    Unknown,
    Number(f64),
    Text(&'a str),
}

impl<'a> Value<'a> {
    /// A text that may not be known.
    fn text(text: Option<&'a str>) -> Self {
        text.map_or(Value::Unknown, Value::Text)
    }

    /// A name, which is not known while it is empty.
    fn name(name: &'a str) -> Self {
        Value::text(Some(name).filter(|name| !name.is_empty()))
    }

    /// A number that may not be known.
    fn of(number: Option<f64>) -> Self {
        number.map_or(Value::Unknown, Value::Number)
    }

    fn count(number: u64) -> Self {
        Value::Number(number as f64)
    }

    /// The average of microseconds, in milliseconds.
    fn average_ms(sample: &Sample) -> Self {
        Value::of(sample.average().map(|micros| micros / 1000.0))
    }

    /// The most of microseconds, in milliseconds.
    fn max_ms(sample: &Sample) -> Self {
        Value::of(sample.max.map(|micros| micros as f64 / 1000.0))
    }

    fn max(sample: &Sample) -> Self {
        sample.max.map_or(Value::Unknown, Value::count)
    }

    /// Of what is 1 or 0: how much of it is 1, and 0 without any, as in Apache.
    fn share(sample: &Sample) -> Self {
        Value::Number(sample.average().unwrap_or_default())
    }

    fn other_share(sample: &Sample) -> Self {
        Value::Number(sample.average().map_or(0.0, |share| 1.0 - share))
    }
}

/// A row of a table, for whoever lists them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) bean: Bean,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) unit: &'static str,
    pub(super) meaning: &'static str,
}

impl<S: ?Sized> Attribute<S> {
    fn row(&self) -> Row {
        let Attribute { bean, name, kind, unit, meaning, .. } = *self;
        Row { bean, name, kind, unit, meaning }
    }
}

/// All rows of all tables.
pub(super) fn rows() -> Vec<Row> {
    let worker = WORKER.iter().map(Attribute::row).chain(WORKER_CONNECTOR.iter().map(Attribute::row));
    let group = REBALANCE.iter().chain(COORDINATOR).map(Attribute::row);
    let connectors = CONNECTOR.iter().map(Attribute::row);
    let tasks = TASK.iter().map(Attribute::row);
    let plugins = TRANSFORM.iter().chain(PREDICATE).map(Attribute::row);
    worker.chain(group).chain(connectors).chain(tasks).chain(plugins).collect()
}

/// Adds what the attributes of a table are for each subject, whose labels say which it is.
pub(super) fn add<S>(out: &mut Exposition, names: Names, table: &[Attribute<S>], subjects: &[(Labels, S)]) {
    for attribute in table {
        let Attribute { bean, name, kind, meaning, .. } = *attribute;
        let mut family = None;
        let mut texts = None;
        for (labels, subject) in subjects {
            match (attribute.read)(subject) {
                Value::Unknown => {}
                Value::Number(number) => {
                    let family = family.get_or_insert_with(|| names::of_number(names, bean, name));
                    out.add(family, kind, meaning, labels, number);
                }
                Value::Text(text) => {
                    let (label, families) =
                        texts.get_or_insert_with(|| (label_of(name), names::of_text(names, bean, name)));
                    let labels = labels.clone().saying(label.clone(), text);
                    families.iter().for_each(|family| out.add(family, kind, meaning, &labels, 1.0));
                }
            }
        }
    }
}

/// The label that a text becomes.
fn label_of(attribute: &str) -> String {
    attribute.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_attribute_has_a_name_of_its_own() {
        for (_, names) in Names::ALL {
            let all: Vec<_> = rows().iter().map(|row| names::of_number(names, row.bean, row.name)).collect();
            let distinct: BTreeSet<_> = all.iter().collect();
            assert_eq!(all.len(), distinct.len(), "{names:?}");
        }
    }

    #[test]
    fn every_text_becomes_a_label_that_prometheus_takes() {
        for row in rows().iter().filter(|row| row.unit == "text") {
            let label = label_of(row.name);
            assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{label}");
        }
    }
}
