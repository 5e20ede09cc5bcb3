//! `SchemaSource`: structs with a field of each simple type, if wanted of two versions of their schema in turn.

use std::sync::Arc;

use super::pace::{Pace, REST};
use super::printed::{object, print};
use super::{ID, NumberedTasks, SEQNO, THROUGHPUT, TOPIC, next_seqno, not_started};
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance};
use crate::api::connector::{Connector, ConnectorPlugin};
use crate::api::data::{Fields, Schema, SchemaAndValue, SchemaKind, SchemaRef, Struct, Value};
use crate::api::error::{ConnectError, Result};
use crate::api::offset::OffsetMap;
use crate::api::record::SourceRecord;
use crate::api::registry::VERSION;
use crate::api::source::{PollOutcome, SourcePlugin, SourceTask, SourceTaskContext};
use crate::stdx::time::Clock;

const NUM_MESSAGES: &str = "num.messages";
const MULTIPLE_SCHEMA: &str = "multiple.schema";
const PARTITION_COUNT: &str = "partition.count";

/// The connector class.
pub(super) struct SchemaSource;

impl ConnectorPlugin for SchemaSource {
    fn class(&self) -> &'static str {
        "org.apache.kafka.connect.tools.SchemaSourceConnector"
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn task_class(&self) -> &'static str {
        "org.apache.kafka.connect.tools.SchemaSourceTask"
    }

    fn config_def(&self) -> ConfigDef {
        let key = |name, config_type, doc| ConfigKey::new(name, config_type, Importance::Medium, doc);
        ConfigDef::new()
            .define(super::topic_key())
            .define(super::throughput_key())
            .define(key(
                NUM_MESSAGES,
                ConfigType::Long,
                "How many records each task gives; no limit without it.",
            ))
            .define(
                key(MULTIPLE_SCHEMA, ConfigType::Boolean, "Two versions of the schema in turn.")
                    .default("false"),
            )
            .define(
                key(PARTITION_COUNT, ConfigType::Int, "The field 'partitioning' counts up to this.")
                    .default("1")
                    .at_least(1),
            )
    }

    fn connector(&self) -> Box<dyn Connector> {
        Box::<NumberedTasks>::default()
    }
}

impl SourcePlugin for SchemaSource {
    fn task(&self) -> Box<dyn SourceTask> {
        Box::<SchemaSourceTask>::default()
    }
}

#[derive(Default)]
struct SchemaSourceTask {
    generator: Option<Generator>,
}

impl SourceTask for SchemaSourceTask {
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, settings: &Settings) -> Result<()> {
        self.generator = Some(Generator::new(&*context, settings)?);
        Ok(())
    }

    fn poll(&mut self) -> Result<PollOutcome> {
        let generator = self.generator.as_mut().ok_or_else(not_started)?;
        if generator.left == Some(0) {
            return Ok(PollOutcome::Idle(REST));
        }
        match generator.pace.next(Clock.now().instant) {
            Err(wait) => Ok(PollOutcome::Idle(wait)),
            Ok(()) => {
                print(&object([("task", generator.id.into()), (SEQNO, generator.seqno.into())]))?;
                Ok(PollOutcome::Records(vec![generator.next()?]))
            }
        }
    }
}

struct Generator {
    id: i32,
    topic: Arc<str>,
    partition: Arc<OffsetMap>,
    seqno: i64,
    /// How many records are still to come; `None` has no end.
    left: Option<i64>,
    count: u64,
    partition_count: i32,
    pace: Pace,
    key_schema: SchemaRef,
    /// The schemas in turn.
    schemas: Vec<SchemaRef>,
}

impl Generator {
    fn new(context: &dyn SourceTaskContext, settings: &Settings) -> Result<Self> {
        let settings = super::task_def(SchemaSource.config_def()).parse(settings)?;
        let id: i32 = settings.get(ID)?;
        let partition = OffsetMap::of(ID, i64::from(id));
        let versions = if settings.get(MULTIPLE_SCHEMA)? { 1..=2 } else { 1..=1 };
        Ok(Generator {
            id,
            topic: settings.get::<String>(TOPIC)?.into(),
            seqno: next_seqno(context, &partition)?,
            partition: Arc::new(partition),
            left: settings.get::<Option<i64>>(NUM_MESSAGES)?.map(|count| count.max(0)),
            count: 0,
            partition_count: settings.get(PARTITION_COUNT)?,
            pace: Pace::new(settings.get(THROUGHPUT)?),
            key_schema: Arc::new(Schema::new(SchemaKind::String)),
            schemas: versions.map(|version| Arc::new(schema(version))).collect(),
        })
    }

    fn next(&mut self) -> Result<SourceRecord> {
        let turn = usize::try_from(self.count % self.schemas.len().max(1) as u64).unwrap_or(0);
        let value = self.schemas.get(turn).and_then(|schema| Some((schema.clone(), self.value(schema)?)));
        let (schema, value) = value.ok_or_else(|| ConnectError::data("a field is missing"))?;
        let value = SchemaAndValue::with_schema(schema, value);
        let (partition, offset) = (Arc::clone(&self.partition), OffsetMap::of(SEQNO, self.seqno));
        let record = SourceRecord {
            partition: Some(self.id),
            key: SchemaAndValue::with_schema(Arc::clone(&self.key_schema), Value::string("key")),
            ..SourceRecord::new(partition, offset, Arc::clone(&self.topic), value)
        };
        self.seqno += 1;
        self.count += 1;
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(record)
    }

    fn value(&self, schema: &SchemaRef) -> Option<Value> {
        let mut value = Struct::new(Arc::clone(schema))?;
        let partitioning = i32::try_from(self.seqno % i64::from(self.partition_count)).ok()?;
        let known = value.set("boolean", Value::Boolean(true))
            && value.set("int", Value::Int32(12))
            && value.set("long", Value::Int64(12))
            && value.set("float", Value::Float32(12.2))
            && value.set("double", Value::Float64(12.2))
            && value.set("partitioning", Value::Int32(partitioning))
            && value.set(ID, Value::Int32(self.id))
            && value.set(SEQNO, Value::Int64(self.seqno));
        // Only the second version has this one.
        value.set("string", Value::string("def"));
        known.then(|| Value::Struct(Box::new(value)))
    }
}

fn schema(version: i32) -> Schema {
    let mut fields = Fields::default();
    let mut add = |name, schema| fields.add(name, Arc::new(schema));
    add("boolean", Schema::new(SchemaKind::Boolean));
    add("int", Schema::new(SchemaKind::Int32));
    add("long", Schema::new(SchemaKind::Int64));
    add("float", Schema::new(SchemaKind::Float32));
    add("double", Schema::new(SchemaKind::Float64));
    add("partitioning", Schema::new(SchemaKind::Int32));
    if version > 1 {
        add("string", Schema { default: Some(Value::string("abc")), ..Schema::new(SchemaKind::String) });
    }
    add(ID, Schema::new(SchemaKind::Int32));
    add(SEQNO, Schema::new(SchemaKind::Int64));
    Schema::new(SchemaKind::Struct(fields)).named("record").version(version)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Stored, settings};
    use super::*;

    #[test]
    fn schemas_come_in_turn_until_the_last_message() {
        let mut task = SchemaSource.task();
        let settings = settings(&[
            (TOPIC, "t"),
            (ID, "1"),
            (NUM_MESSAGES, "3"),
            (MULTIPLE_SCHEMA, "true"),
            (PARTITION_COUNT, "2"),
        ]);
        task.start(Arc::new(Stored(Some(9))), &settings).unwrap();
        let mut seen = Vec::new();
        while let PollOutcome::Records(records) = task.poll().unwrap() {
            for record in records {
                let Value::Struct(value) = &record.value.value else { panic!("{record:?}") };
                let version = record.value.schema.as_ref().unwrap().version.unwrap();
                assert_eq!((record.partition, &record.key.value), (Some(1), &Value::string("key")));
                let field = |name| value.get(name).cloned().unwrap_or_default();
                seen.push((version, field("seqno"), field("partitioning"), field("string")));
            }
        }
        let row = |version, seqno, partitioning, text| {
            (version, Value::Int64(seqno), Value::Int32(partitioning), text)
        };
        assert_eq!(
            seen,
            [row(1, 10, 0, Value::Null), row(2, 11, 1, Value::string("def")), row(1, 12, 0, Value::Null),]
        );
    }
    #[test]
    fn fields_stand_in_the_order_of_apache() {
        let mut expected = vec!["boolean", "int", "long", "float", "double", "partitioning", "id", "seqno"];
        for version in [1, 2] {
            let SchemaKind::Struct(fields) = schema(version).kind else { panic!("no struct") };
            assert_eq!(fields.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), expected, "{version}");
            expected.insert(6, "string");
        }
    }
}
