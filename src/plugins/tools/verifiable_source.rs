//! `VerifiableSource`: counts up at a given rate, and prints each number when it is read and when Kafka has it.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::pace::Pace;
use super::printed::{object, print};
use super::{ID, NAME, NumberedTasks, SEQNO, THROUGHPUT, TOPIC, name_of, next_seqno, not_started};
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance};
use crate::api::connector::{Connector, ConnectorPlugin};
use crate::api::data::{Fields, Schema, SchemaAndValue, SchemaKind, SchemaRef, Struct, Value};
use crate::api::error::{ConnectError, Result};
use crate::api::offset::{OffsetMap, OffsetValue};
use crate::api::record::{RecordMetadata, SourceRecord};
use crate::api::registry::VERSION;
use crate::api::source::{PollOutcome, SourcePlugin, SourceTask, SourceTaskContext};
use crate::stdx::time::Clock;

const COMPLETE_RECORD_DATA: &str = "complete.record.data";

/// The connector class.
pub(super) struct VerifiableSource;

impl ConnectorPlugin for VerifiableSource {
    fn class(&self) -> &'static str {
        "org.apache.kafka.connect.tools.VerifiableSourceConnector"
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn task_class(&self) -> &'static str {
        "org.apache.kafka.connect.tools.VerifiableSourceTask"
    }

    fn config_def(&self) -> ConfigDef {
        let complete = "Whether a value is a struct of all that is printed, instead of the number alone.";
        ConfigDef::new().define(super::topic_key()).define(super::throughput_key()).define(
            ConfigKey::new(COMPLETE_RECORD_DATA, ConfigType::Boolean, Importance::Low, complete)
                .default("false"),
        )
    }

    fn connector(&self) -> Box<dyn Connector> {
        Box::<NumberedTasks>::default()
    }
}

impl SourcePlugin for VerifiableSource {
    fn task(&self) -> Box<dyn SourceTask> {
        Box::<VerifiableSourceTask>::default()
    }
}

#[derive(Default)]
struct VerifiableSourceTask {
    counter: Option<Counter>,
}

impl SourceTask for VerifiableSourceTask {
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, settings: &Settings) -> Result<()> {
        self.counter = Some(Counter::new(&*context, settings)?);
        Ok(())
    }

    fn poll(&mut self) -> Result<PollOutcome> {
        let counter = self.counter.as_mut().ok_or_else(not_started)?;
        let now = Clock.now();
        match counter.pace.next(now.instant) {
            Err(wait) => Ok(PollOutcome::Idle(wait)),
            Ok(()) => {
                let (record, line) = counter.next(now.wall.as_millisecond())?;
                print(&line)?;
                Ok(PollOutcome::Records(vec![record]))
            }
        }
    }

    fn commit_record(&mut self, record: &SourceRecord, _: Option<RecordMetadata>) -> Result<()> {
        let counter = self.counter.as_ref().ok_or_else(not_started)?;
        print(&counter.committed(record, Clock.now().wall.as_millisecond()))
    }

    fn wants_commit_record(&self) -> bool {
        true
    }

    fn stop(&mut self) -> Result<()> {
        self.counter = None;
        Ok(())
    }
}

struct Counter {
    name: String,
    id: i32,
    topic: Arc<str>,
    partition: Arc<OffsetMap>,
    seqno: i64,
    pace: Pace,
    key_schema: SchemaRef,
    value_schema: SchemaRef,
}

impl Counter {
    fn new(context: &dyn SourceTaskContext, settings: &Settings) -> Result<Self> {
        let settings = super::task_def(VerifiableSource.config_def()).parse(settings)?;
        let id: i32 = settings.get(ID)?;
        let partition = OffsetMap::of(ID, i64::from(id));
        let complete: bool = settings.get(COMPLETE_RECORD_DATA)?;
        Ok(Counter {
            name: name_of(&settings)?,
            id,
            topic: settings.get::<String>(TOPIC)?.into(),
            seqno: next_seqno(context, &partition)?,
            partition: Arc::new(partition),
            pace: Pace::new(settings.get(THROUGHPUT)?),
            key_schema: Arc::new(Schema::new(SchemaKind::Int32)),
            value_schema: Arc::new(if complete { complete_schema() } else { Schema::new(SchemaKind::Int64) }),
        })
    }

    /// The next record and the line about it.
    fn next(&mut self, now_ms: i64) -> Result<(SourceRecord, Map<String, Json>)> {
        let seqno = self.seqno;
        self.seqno += 1;
        let key = SchemaAndValue::with_schema(Arc::clone(&self.key_schema), Value::Int32(self.id));
        let value = SchemaAndValue::with_schema(Arc::clone(&self.value_schema), self.value(seqno, now_ms)?);
        let (partition, offset) = (Arc::clone(&self.partition), OffsetMap::of(SEQNO, seqno));
        let record =
            SourceRecord { key, ..SourceRecord::new(partition, offset, Arc::clone(&self.topic), value) };
        Ok((record, object(self.members(seqno.into(), now_ms))))
    }

    fn value(&self, seqno: i64, now_ms: i64) -> Result<Value> {
        let Some(mut all) = Struct::new(Arc::clone(&self.value_schema)) else {
            return Ok(Value::Int64(seqno));
        };
        let known = all.set(NAME, Value::string(self.name.as_str()))
            && all.set("task", Value::Int32(self.id))
            && all.set(TOPIC, Value::string(&*self.topic))
            && all.set("time_ms", Value::Int64(now_ms))
            && all.set(SEQNO, Value::Int64(seqno));
        if known { Ok(Value::Struct(Box::new(all))) } else { Err(ConnectError::data("a field is missing")) }
    }

    fn committed(&self, record: &SourceRecord, now_ms: i64) -> Map<String, Json> {
        let seqno = match record.source_offset.as_ref().and_then(|offset| offset.get(SEQNO)) {
            Some(OffsetValue::Long(seqno)) => (*seqno).into(),
            Some(
                OffsetValue::Null | OffsetValue::Boolean(_) | OffsetValue::Double(_) | OffsetValue::String(_),
            )
            | None => Json::Null,
        };
        let mut line = object([("committed", true.into())]);
        line.extend(object(self.members(seqno, now_ms)));
        line
    }

    fn members(&self, seqno: Json, now_ms: i64) -> [(&'static str, Json); 5] {
        [
            ("task", self.id.into()),
            (SEQNO, seqno),
            ("time_ms", now_ms.into()),
            (NAME, self.name.as_str().into()),
            (TOPIC, self.topic.as_ref().into()),
        ]
    }
}

fn complete_schema() -> Schema {
    let mut fields = Fields::default();
    for (name, kind) in [
        (NAME, SchemaKind::String),
        ("task", SchemaKind::Int32),
        (TOPIC, SchemaKind::String),
        ("time_ms", SchemaKind::Int64),
        (SEQNO, SchemaKind::Int64),
    ] {
        fields.add(name, Arc::new(Schema::new(kind)));
    }
    Schema::new(SchemaKind::Struct(fields))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Stored, settings};
    use super::*;

    fn counter(stored: Option<i64>, complete: &str) -> Counter {
        let settings =
            settings(&[("name", "v"), ("topic", "t"), ("id", "3"), (COMPLETE_RECORD_DATA, complete)]);
        Counter::new(&Stored(stored), &settings).unwrap()
    }

    #[test]
    fn numbers_go_on_behind_the_stored_one_and_are_printed_as_by_apache() {
        let mut counter = counter(Some(41), "false");
        let (record, line) = counter.next(1000).unwrap();
        assert_eq!((&record.key.value, &record.value.value), (&Value::Int32(3), &Value::Int64(42)));
        assert_eq!(*record.source_partition, OffsetMap::of("id", 3));
        assert_eq!(record.source_offset, Some(OffsetMap::of("seqno", 42)));
        let text = |line: &Map<String, Json>| serde_json::to_string(line).unwrap();
        assert_eq!(text(&line), r#"{"task":3,"seqno":42,"time_ms":1000,"name":"v","topic":"t"}"#);
        assert_eq!(
            text(&counter.committed(&record, 2000)),
            r#"{"committed":true,"task":3,"seqno":42,"time_ms":2000,"name":"v","topic":"t"}"#
        );
        assert_eq!(counter.next(1000).unwrap().0.value.value, Value::Int64(43));
    }

    #[test]
    fn complete_records_hold_all_that_is_printed() {
        let (record, _) = counter(None, "true").next(1000).unwrap();
        let Value::Struct(all) = &record.value.value else { panic!("{record:?}") };
        assert_eq!(Some(all.schema()), record.value.schema.as_ref());
        let fields: Vec<_> = all.iter().map(|(name, _, value)| (&**name, value.clone())).collect();
        assert_eq!(
            fields,
            [
                ("name", Value::string("v")),
                ("task", Value::Int32(3)),
                ("topic", Value::string("t")),
                ("time_ms", Value::Int64(1000)),
                ("seqno", Value::Int64(0)),
            ]
        );
    }

    #[test]
    fn a_task_waits_for_its_pace() {
        let mut task = VerifiableSource.task();
        let settings = settings(&[("name", "v"), ("topic", "t"), ("id", "0"), ("throughput", "1")]);
        assert!(task.poll().is_err());
        task.start(Arc::new(Stored(None)), &settings).unwrap();
        assert!(matches!(task.poll().unwrap(), PollOutcome::Records(records) if records.len() == 1));
        assert!(matches!(task.poll().unwrap(), PollOutcome::Idle(wait) if !wait.is_zero()));
        task.stop().unwrap();
    }
}
