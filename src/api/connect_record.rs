//! A record of either direction, as transforms and predicates see it.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use super::data::{Schema, SchemaAndValue, SchemaRef};
use super::offset::{OffsetMap, OffsetValue};
use super::record::{Header, SinkRecord, SourceRecord, TimestampType};
use super::text::{float64_text, java_text};

/// A record between a connector and Kafka. `Display` prints it as Java does, for messages.
///
/// Its offset, and where a sink record was read from, stay as they are: the worker keeps count by them.
#[derive(Debug)]
pub enum ConnectRecord<'a> {
    /// On its way to Kafka.
    Source(&'a mut SourceRecord),
    /// On its way from Kafka.
    Sink(&'a mut SinkRecord),
}

/// The two halves of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordPart {
    /// The key.
    Key,
    /// The value.
    Value,
}

impl ConnectRecord<'_> {
    /// The topic.
    pub fn topic(&self) -> &Arc<str> {
        match self {
            ConnectRecord::Source(record) => &record.topic,
            ConnectRecord::Sink(record) => &record.topic,
        }
    }

    /// Sends it to another topic.
    pub fn set_topic(&mut self, topic: Arc<str>) {
        match self {
            ConnectRecord::Source(record) => record.topic = topic,
            ConnectRecord::Sink(record) => record.topic = topic,
        }
    }

    /// The partition; `None` where the producer will choose it.
    pub fn partition(&self) -> Option<i32> {
        match self {
            ConnectRecord::Source(record) => record.partition,
            ConnectRecord::Sink(record) => Some(record.partition),
        }
    }

    /// The key or the value.
    pub fn part(&self, part: RecordPart) -> &SchemaAndValue {
        match (self, part) {
            (ConnectRecord::Source(record), RecordPart::Key) => &record.key,
            (ConnectRecord::Source(record), RecordPart::Value) => &record.value,
            (ConnectRecord::Sink(record), RecordPart::Key) => &record.key,
            (ConnectRecord::Sink(record), RecordPart::Value) => &record.value,
        }
    }

    /// The key or the value, to be changed.
    pub fn part_mut(&mut self, part: RecordPart) -> &mut SchemaAndValue {
        match (self, part) {
            (ConnectRecord::Source(record), RecordPart::Key) => &mut record.key,
            (ConnectRecord::Source(record), RecordPart::Value) => &mut record.value,
            (ConnectRecord::Sink(record), RecordPart::Key) => &mut record.key,
            (ConnectRecord::Sink(record), RecordPart::Value) => &mut record.value,
        }
    }

    /// Milliseconds since 1970-01-01, if it has a time.
    pub fn timestamp(&self) -> Option<i64> {
        match self {
            ConnectRecord::Source(record) => record.timestamp,
            ConnectRecord::Sink(record) => record.timestamp.map(|(millis, _)| millis),
        }
    }

    /// The headers, in order.
    pub fn headers(&self) -> &[Header] {
        match self {
            ConnectRecord::Source(record) => &record.headers,
            ConnectRecord::Sink(record) => &record.headers,
        }
    }

    /// The headers, to be changed.
    pub fn headers_mut(&mut self) -> &mut Vec<Header> {
        match self {
            ConnectRecord::Source(record) => &mut record.headers,
            ConnectRecord::Sink(record) => &mut record.headers,
        }
    }
}

impl Display for ConnectRecord<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            ConnectRecord::Source(record) => {
                f.write_str("SourceRecord{sourcePartition=")?;
                write_offset(f, Some(&record.source_partition))?;
                f.write_str(", sourceOffset=")?;
                write_offset(f, record.source_offset.as_ref())?;
            }
            ConnectRecord::Sink(record) => {
                let kind = match record.timestamp {
                    Some((_, TimestampType::CreateTime)) => "CreateTime",
                    Some((_, TimestampType::LogAppendTime)) => "LogAppendTime",
                    None => "NoTimestampType",
                };
                write!(f, "SinkRecord{{kafkaOffset={}, timestampType={kind}", record.offset)?;
                write!(f, ", originalTopic={}", record.original_topic)?;
                write!(f, ", originalKafkaPartition={}", record.partition)?;
                write!(f, ", originalKafkaOffset={}", record.offset)?;
            }
        }
        let (key, value) = (self.part(RecordPart::Key), self.part(RecordPart::Value));
        write!(f, "}} ConnectRecord{{topic='{}', kafkaPartition=", self.topic())?;
        write_or_null(f, self.partition())?;
        write!(f, ", key={}, keySchema=", java_text(&key.value))?;
        write_schema(f, key.schema.as_ref())?;
        write!(f, ", value={}, valueSchema=", java_text(&value.value))?;
        write_schema(f, value.schema.as_ref())?;
        f.write_str(", timestamp=")?;
        write_or_null(f, self.timestamp())?;
        f.write_str(", headers=ConnectHeaders(headers=")?;
        write_headers(f, self.headers())?;
        f.write_str(")}")
    }
}

fn write_headers(f: &mut Formatter<'_>, headers: &[Header]) -> fmt::Result {
    if headers.is_empty() {
        return Ok(());
    }
    f.write_str("[")?;
    for (index, Header { key, value }) in headers.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        write!(f, "{comma}ConnectHeader(key={key}, value={}, schema=", java_text(&value.value))?;
        write_schema(f, value.schema.as_ref())?;
        f.write_str(")")?;
    }
    f.write_str("]")
}

fn write_or_null(f: &mut Formatter<'_>, number: Option<impl Display>) -> fmt::Result {
    match number {
        Some(number) => write!(f, "{number}"),
        None => f.write_str("null"),
    }
}

fn write_schema(f: &mut Formatter<'_>, schema: Option<&SchemaRef>) -> fmt::Result {
    match schema {
        Some(schema) => write!(f, "{}", schema_text(schema)),
        None => f.write_str("null"),
    }
}

/// A schema as Java prints it: `Schema{INT32}`, `Schema{com.acme.Order:STRUCT}`.
pub fn schema_text(schema: &Schema) -> String {
    match &schema.name {
        Some(name) => format!("Schema{{{name}:{}}}", schema.kind.name()),
        None => format!("Schema{{{}}}", schema.kind.name()),
    }
}

fn write_offset(f: &mut Formatter<'_>, map: Option<&OffsetMap>) -> fmt::Result {
    let Some(map) = map else { return f.write_str("null") };
    f.write_str("{")?;
    for (index, (name, value)) in map.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        write!(f, "{comma}{name}=")?;
        match value {
            OffsetValue::Null => f.write_str("null")?,
            OffsetValue::Boolean(value) => write!(f, "{value}")?,
            OffsetValue::Long(value) => write!(f, "{value}")?,
            OffsetValue::Double(value) => write!(f, "{}", float64_text(*value))?,
            OffsetValue::String(value) => f.write_str(value)?,
        }
    }
    f.write_str("}")
}
