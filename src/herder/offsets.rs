//! Changes of stored offsets (KIP-875): when they may be made, and what the body of a request means.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::connector_entry::Waiter;
use super::fencing::Fencer;
use super::msg::{Answer, Effect, Effects, HerderError, OffsetsChange, OffsetsDraft, Request};
use super::operations::{CatchUp, OffsetsRequest, Operation};
use super::{Herder, class_of, not_found};
use crate::api::ids::{ConnectorName, TopicPartition};
use crate::api::offset::{OffsetMap, OffsetValue};
use crate::api::registry::ConnectorClass;
use crate::api::topic_name;
use crate::store::config_state::{ConnectorConfig, TargetState};

impl Herder {
    /// Changes offsets, if the connector is stopped, once nothing of it runs here; in a group after reading whether another
    /// worker has resumed it.
    pub(super) fn take_offsets_change(&mut self, request: OffsetsRequest, effects: &mut Effects) {
        let sync_timeout = self.membership.group().map(|group| group.settings.sync_timeout);
        match (self.membership.must_lead(), sync_timeout) {
            (Err(why), _) => effects.answer(request.reply, Err(why)),
            (Ok(()), None) => self.modify_offsets(request, effects),
            (Ok(()), Some(timeout)) => {
                let read_for = CatchUp::Offsets(Box::new(request));
                let operation = self.next_operation(Operation::CatchingUp(read_for));
                effects.push(Effect::CatchUp(operation, timeout));
            }
        }
    }

    /// The config topic was read to its end for a change of offsets, or could not be.
    pub(super) fn read_for_offsets(
        &mut self,
        request: OffsetsRequest,
        outcome: Result<(), String>,
        effects: &mut Effects,
    ) {
        match outcome {
            // What was read has begun a rebalance. At its end no task that was stopped goes on anywhere, and none commits.
            Ok(()) if !self.membership.is_settled() => {
                let OffsetsRequest { name, draft, reply } = request;
                let request = Request::ModifyOffsets(name, draft, reply);
                if let Some(request) = self.membership.hold(request, effects) {
                    self.serve(request, effects);
                }
            }
            Ok(()) => self.modify_offsets(request, effects),
            Err(why) => {
                let why = format!("Failed to perform synchronous read of the config topic: {why}");
                effects.answer(request.reply, Err(HerderError::Failed(why)));
            }
        }
    }

    fn modify_offsets(&mut self, request: OffsetsRequest, effects: &mut Effects) {
        let name = request.name.clone();
        if self.is_coming_to_a_stop(&name) {
            return self.wait(&name, Waiter::OffsetsChange(Box::new(request)));
        }
        let exactly_once = self.membership.group().is_some_and(|group| group.settings.exactly_once);
        match self.may_change_offsets(&name) {
            // A task that was abandoned may still write: it must not undo the change.
            Ok(ConnectorClass::Source(_)) if exactly_once => {
                self.fence(name, Fencer::Offsets(Box::new(request)), effects);
            }
            Ok(ConnectorClass::Source(_) | ConnectorClass::Sink(_)) => {
                self.make_offsets_change(request, effects)
            }
            Err(why) => effects.answer(request.reply, Err(why)),
        }
    }

    /// Changes offsets of a connector that has ended, and whose earlier tasks are shut out where that is needed.
    pub(super) fn make_offsets_change(&mut self, request: OffsetsRequest, effects: &mut Effects) {
        let OffsetsRequest { name, draft, reply } = request;
        match self.prepare_offsets_change(&name, draft) {
            Err(why) => effects.answer(reply, Err(why)),
            Ok((class, change)) => {
                let settings = self.configs.connector(&name).map(|config| config.settings.clone());
                let operation = self.next_operation(Operation::ModifyingOffsets(name.clone(), reply));
                let settings = settings.unwrap_or_default();
                effects.push(Effect::ModifyOffsets(operation, name, class, settings, change));
            }
        }
    }

    /// Whether a connector is stopped for clients, while something of it has yet to end here: its last commit would undo
    /// the change.
    fn is_coming_to_a_stop(&self, name: &ConnectorName) -> bool {
        let is_stopped = self.configs.connector(name).is_some_and(is_stopped);
        is_stopped && self.connectors.get(name).is_some_and(|entry| !entry.is_absent())
    }

    /// Whether the offsets of a connector may be changed, and its class.
    fn may_change_offsets(&self, name: &ConnectorName) -> Answer<ConnectorClass> {
        let config = self.configs.connector(name).ok_or_else(|| not_found(name))?;
        if !is_stopped(config) {
            return Err(HerderError::BadRequest(format!(
                "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for \
                 the specified connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
            )));
        }
        class_of(&self.settings.registry, &config.settings).cloned().ok_or_else(|| {
            HerderError::Failed(format!(
                "Failed to modify offsets for connector {name}: its class is not known here"
            ))
        })
    }

    fn prepare_offsets_change(
        &mut self,
        name: &ConnectorName,
        draft: OffsetsDraft,
    ) -> Answer<(ConnectorClass, OffsetsChange)> {
        let class = self.may_change_offsets(name)?;
        let change = match (draft, &class) {
            (OffsetsDraft::Reset, _) => OffsetsChange::Reset,
            (OffsetsDraft::Alter(entries), ConnectorClass::Source(_)) => source_change(&entries)?,
            (OffsetsDraft::Alter(entries), ConnectorClass::Sink(_)) => sink_change(&entries)?,
        };
        let entry = self.connectors.get_mut(name).ok_or_else(|| not_found(name))?;
        if entry.offsets_change {
            let why =
                format!("The offsets of connector {name} are being changed by another request; try again");
            return Err(HerderError::Conflict(why));
        }
        entry.offsets_change = true;
        Ok((class, change))
    }
}

/// Whether the offsets of a connector may be changed, as far as what is configured goes.
fn is_stopped(config: &ConnectorConfig) -> bool {
    config.target == TargetState::Stopped && config.tasks.is_empty()
}

fn bad(message: impl Into<String>) -> HerderError {
    HerderError::BadRequest(message.into())
}

fn source_change(entries: &[(Json, Json)]) -> Answer<OffsetsChange> {
    let mut changes: Vec<(OffsetMap, Option<OffsetMap>)> = Vec::new();
    for (partition, offset) in entries {
        let partition = offset_map(partition)?
            .ok_or_else(|| bad("The partition for a source connector offset cannot be null or missing"))?;
        let offset = offset_map(offset)?;
        match changes.iter_mut().find(|(earlier, _)| *earlier == partition) {
            Some(earlier) => earlier.1 = offset,
            None => changes.push((partition, offset)),
        }
    }
    Ok(OffsetsChange::Source(changes))
}

/// A partition or offset of a source from JSON; `None` for null.
fn offset_map(json: &Json) -> Answer<Option<OffsetMap>> {
    let object = match json {
        Json::Null => return Ok(None),
        Json::Object(object) => object,
        Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
            return Err(bad("Partitions and offsets need to be JSON objects"));
        }
    };
    let mut map = OffsetMap::new();
    for (name, value) in object {
        let value = match value {
            Json::Null => OffsetValue::Null,
            Json::Bool(value) => OffsetValue::Boolean(*value),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(value), _) => OffsetValue::Long(value),
                (None, Some(value)) => OffsetValue::Double(value),
                (None, None) => return Err(bad(format!("The number in field {name} is out of range"))),
            },
            Json::String(value) => OffsetValue::from(value.as_str()),
            Json::Array(_) => return Err(not_primitive(name, "ARRAY")),
            Json::Object(_) => return Err(not_primitive(name, "MAP")),
        };
        map.insert(name.clone(), value);
    }
    Ok(Some(map))
}

fn not_primitive(field: &str, kind: &str) -> HerderError {
    bad(format!("Offsets may only contain primitive types as values, but field {field} contains {kind}"))
}

fn sink_change(entries: &[(Json, Json)]) -> Answer<OffsetsChange> {
    let mut changes = BTreeMap::new();
    for (partition, offset) in entries {
        changes.insert(sink_partition(partition)?, sink_offset(offset)?);
    }
    Ok(OffsetsChange::Sink(changes))
}

fn sink_partition(json: &Json) -> Answer<TopicPartition> {
    if json.is_null() {
        return Err(bad("The partition for a sink connector offset cannot be null or missing"));
    }
    let (Some(topic), Some(partition)) = (json.get("kafka_topic"), json.get("kafka_partition")) else {
        return Err(bad(
            "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'",
        ));
    };
    let topic =
        topic.as_str().ok_or_else(|| bad("Kafka topic names must be valid strings and may not be null"))?;
    // The name goes to librdkafka as it is, which ends the process for one that is too long.
    topic_name::check(topic).map_err(bad)?;
    if partition.is_null() {
        return Err(bad("Kafka partitions must be valid numbers and may not be null"));
    }
    let text = plain_text(partition);
    let partition = text.parse().map_err(|_| {
        bad(format!(
            "Failed to parse the following Kafka partition value in the provided offsets: '{text}'. Partition values \
             for sink connectors need to be integers."
        ))
    })?;
    if partition < 0 {
        return Err(bad(format!(
            "The Kafka partition {partition} is negative: partitions are counted from 0"
        )));
    }
    Ok(TopicPartition { topic: topic.into(), partition })
}

fn sink_offset(json: &Json) -> Answer<Option<i64>> {
    if json.is_null() {
        return Ok(None);
    }
    let Some(offset) = json.get("kafka_offset") else {
        return Err(bad(
            "The offset for a sink connector should either be null or contain the key 'kafka_offset'",
        ));
    };
    let text = plain_text(offset);
    text.parse().map(Some).map_err(|_| {
        bad(format!(
            "Failed to parse the following Kafka offset value in the provided offsets: '{text}'. Offset values for \
             sink connectors need to be integers."
        ))
    })
}

/// The text of a JSON scalar, a string without its quotes: numbers are taken in either form.
fn plain_text(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sink_change_takes_numbers_in_either_form_and_the_last_of_equal_partitions() {
        let entries = [
            (json!({"kafka_topic": "t", "kafka_partition": 0}), json!({"kafka_offset": 5})),
            (json!({"kafka_topic": "t", "kafka_partition": "1"}), json!({"kafka_offset": "7"})),
            (json!({"kafka_topic": "t", "kafka_partition": "0"}), Json::Null),
        ];
        let at = |partition| TopicPartition { topic: "t".into(), partition };
        let expected = BTreeMap::from([(at(0), None), (at(1), Some(7))]);
        assert_eq!(sink_change(&entries).unwrap(), OffsetsChange::Sink(expected));
    }

    #[test]
    fn what_is_wrong_with_a_sink_change_is_said() {
        let good = json!({"kafka_topic": "t", "kafka_partition": 0});
        let table = [
            (Json::Null, Json::Null, "The partition for a sink connector offset cannot be null or missing"),
            (
                json!({"kafka_topic": "t"}),
                Json::Null,
                "must contain the keys 'kafka_topic' and 'kafka_partition'",
            ),
            (
                json!({"kafka_topic": null, "kafka_partition": 0}),
                Json::Null,
                "topic names must be valid strings",
            ),
            (
                json!({"kafka_topic": "t".repeat(70_000), "kafka_partition": 0}),
                Json::Null,
                "is no name of a topic",
            ),
            (json!({"kafka_topic": "a\0b", "kafka_partition": 0}), Json::Null, "is no name of a topic"),
            (json!({"kafka_topic": "", "kafka_partition": 0}), Json::Null, "is no name of a topic"),
            (
                json!({"kafka_topic": "t", "kafka_partition": -1}),
                Json::Null,
                "The Kafka partition -1 is negative",
            ),
            (
                json!({"kafka_topic": "t", "kafka_partition": null}),
                Json::Null,
                "partitions must be valid numbers",
            ),
            (
                json!({"kafka_topic": "t", "kafka_partition": "x"}),
                Json::Null,
                "provided offsets: 'x'. Partition",
            ),
            (good.clone(), json!({"offset": 1}), "should either be null or contain the key 'kafka_offset'"),
            (good.clone(), json!({"kafka_offset": 1.5}), "provided offsets: '1.5'. Offset values"),
            (good, json!({"kafka_offset": null}), "provided offsets: 'null'. Offset values"),
        ];
        for (partition, offset, expected) in table {
            let Err(HerderError::BadRequest(message)) = sink_change(&[(partition, offset)]) else {
                panic!("no error, expected: {expected}");
            };
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_source_change_holds_simple_values_only() {
        let change = source_change(&[(json!({"filename": "f"}), json!({"position": 3}))]).unwrap();
        let expected = vec![(OffsetMap::of("filename", "f"), Some(OffsetMap::of("position", 3)))];
        assert_eq!(change, OffsetsChange::Source(expected));
        let error = source_change(&[(json!({"filename": "f"}), json!({"position": []}))]).unwrap_err();
        assert!(error.to_string().contains("field position contains ARRAY"), "{error}");
    }
}
