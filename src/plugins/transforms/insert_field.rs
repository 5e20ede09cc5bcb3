//! `InsertField`: fields that tell where a record is from, or hold a fixed text.

use std::sync::Arc;

use bytestring::ByteString;
use smallvec::SmallVec;

use super::class::{PartTransform, REPLACE_NULL, TransformClass, for_both_parts, replace_null_key};
use super::plans::Plans;
use super::shape;
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance, ParsedConfig};
use crate::api::connect_record::{ConnectRecord, RecordPart};
use crate::api::data::{Fields, Logical, Schema, SchemaKind, SchemaRef, Value};
use crate::api::error::{ConnectError, Result};

pub(super) const CLASSES: [TransformClass; 2] = for_both_parts::<InsertField>(
    [
        "org.apache.kafka.connect.transforms.InsertField$Key",
        "org.apache.kafka.connect.transforms.InsertField$Value",
    ],
    settings,
);

const PURPOSE: &str = "field insertion";
const STATIC_VALUE: &str = "static.value";

/// What a field can tell, in the order in which the fields are added.
const SOURCES: [(&str, Source, &str); 5] = [
    ("topic.field", Source::Topic, "the topic"),
    ("partition.field", Source::Partition, "the partition"),
    ("offset.field", Source::Offset, "the offset; in sinks only"),
    ("timestamp.field", Source::Timestamp, "the timestamp of the record"),
    ("static.field", Source::Static, "the text of static.value"),
];

fn settings() -> ConfigDef {
    let keys = SOURCES.iter().map(|(name, _, what)| {
        let doc =
            format!("The field for {what}. A ! at its end makes it required, a ? optional, as without.");
        ConfigKey::new(name, ConfigType::String, Importance::Medium, &doc)
    });
    let text =
        ConfigKey::new(STATIC_VALUE, ConfigType::String, Importance::Medium, "The text for static.field.");
    ConfigDef::new().define_all(keys).define(text).define(replace_null_key())
}

/// What a field tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Static,
}

struct Insertion {
    source: Source,
    name: ByteString,
    schema: SchemaRef,
}

impl Insertion {
    /// What the setting `key` asks for, if it is set.
    fn of(parsed: &ParsedConfig, key: &str, source: Source) -> Result<Option<Self>> {
        let Some(text) = parsed.get::<Option<String>>(key)? else { return Ok(None) };
        let (name, optional) = match (text.strip_suffix('?'), text.strip_suffix('!')) {
            (Some(name), _) => (name, true),
            (None, Some(name)) => (name, false),
            (None, None) => (text.as_str(), true),
        };
        let schema = match source {
            Source::Topic | Source::Static => Schema::new(SchemaKind::String),
            Source::Partition => Schema::new(SchemaKind::Int32),
            Source::Offset => Schema::new(SchemaKind::Int64),
            Source::Timestamp => Logical::Timestamp.schema(),
        };
        let schema = if optional { schema.optional() } else { schema };
        Ok(Some(Insertion { source, name: name.into(), schema: Arc::new(schema) }))
    }
}

struct InsertField {
    insertions: Vec<Insertion>,
    static_value: Value,
    replaces_null: bool,
    /// The topic that was seen last, as a value.
    topic: Option<(Arc<str>, ByteString)>,
    plans: Plans<SchemaRef>,
}

impl PartTransform for InsertField {
    fn new(config: &Settings) -> Result<Self> {
        let parsed = settings().parse(config)?;
        let mut insertions = Vec::new();
        for (key, source, _) in SOURCES {
            insertions.extend(Insertion::of(&parsed, key, source)?);
        }
        if insertions.is_empty() {
            return Err(ConnectError::config("No field insertion configured"));
        }
        let text: Option<String> = parsed.get(STATIC_VALUE)?;
        let fixed = insertions.iter().find(|insertion| insertion.source == Source::Static);
        if let (None, Some(Insertion { name, .. })) = (&text, fixed) {
            return Err(ConnectError::config(format!(
                "Invalid value null for configuration {STATIC_VALUE}: No value specified for static field: {name}"
            )));
        }
        Ok(InsertField {
            insertions,
            static_value: text.map_or(Value::Null, Value::string),
            replaces_null: parsed.get(REPLACE_NULL)?,
            topic: None,
            plans: Plans::new(),
        })
    }

    fn apply(&mut self, record: &mut ConnectRecord<'_>, part: RecordPart) -> Result<()> {
        let data = record.part(part);
        if data.value.is_null() {
            return Ok(());
        }
        match &data.schema {
            None => self.insert_into_map(record, part),
            Some(_) => self.insert_into_struct(record, part),
        }
    }
}

impl InsertField {
    fn insert_into_map(&mut self, record: &mut ConnectRecord<'_>, part: RecordPart) -> Result<()> {
        shape::map(&record.part(part).value, PURPOSE)?;
        let values = self.values(record, false)?;
        let map = shape::map_mut(&mut record.part_mut(part).value, PURPOSE)?;
        for (insertion, value) in self.insertions.iter().zip(values).filter(|(_, value)| !value.is_null()) {
            map.insert(Value::String(insertion.name.clone()), value);
        }
        Ok(())
    }

    fn insert_into_struct(&mut self, record: &mut ConnectRecord<'_>, part: RecordPart) -> Result<()> {
        let schema = shape::fields(&record.part(part).value, PURPOSE)?.schema();
        let InsertField { insertions, plans, .. } = self;
        let target = Arc::clone(plans.of(schema, |schema| extended(schema, insertions))?);
        let inserted = self.values(record, true)?;
        let data = record.part_mut(part);
        let mut values = shape::take_values(data, PURPOSE, self.replaces_null)?;
        values.extend(inserted);
        shape::put_struct(data, target, values)
    }

    /// What the fields are to hold, in their order.
    fn values(&mut self, record: &ConnectRecord<'_>, has_schema: bool) -> Result<SmallVec<[Value; 5]>> {
        let InsertField { insertions, topic, static_value, .. } = self;
        let value = |insertion: &Insertion| {
            Ok(match insertion.source {
                Source::Topic => Value::String(text_of(record.topic(), topic)),
                Source::Partition => record.partition().map_or(Value::Null, Value::Int32),
                Source::Offset => Value::Int64(offset(record)?),
                Source::Timestamp if has_schema => record.timestamp().map_or(Value::Null, Value::Instant),
                Source::Timestamp => record.timestamp().map_or(Value::Null, Value::Int64),
                Source::Static => static_value.clone(),
            })
        };
        insertions.iter().map(value).collect()
    }
}

fn offset(record: &ConnectRecord<'_>) -> Result<i64> {
    match record {
        ConnectRecord::Sink(record) => Ok(record.offset),
        ConnectRecord::Source(_) => Err(ConnectError::data(format!(
            "Only SinkRecord supported for [{PURPOSE}], found: org.apache.kafka.connect.source.SourceRecord"
        ))),
    }
}

/// The topic as text that records share; `last` is the one before.
fn text_of(topic: &Arc<str>, last: &mut Option<(Arc<str>, ByteString)>) -> ByteString {
    if let Some((known, text)) = last
        && (Arc::ptr_eq(known, topic) || known == topic)
    {
        return text.clone();
    }
    let text = ByteString::from(&**topic);
    *last = Some((Arc::clone(topic), text.clone()));
    text
}

/// The schema with the new fields behind its own.
fn extended(schema: &SchemaRef, insertions: &[Insertion]) -> Result<SchemaRef> {
    let mut fields = Fields::default();
    for (name, field) in shape::fields_of(schema)?.iter() {
        shape::add_field(&mut fields, Arc::clone(name), Arc::clone(field))?;
    }
    for Insertion { name, schema, .. } in insertions {
        shape::add_field(&mut fields, &**name, Arc::clone(schema))?;
    }
    Ok(Arc::new(shape::rebuilt(schema, fields)))
}
