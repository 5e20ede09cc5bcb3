//! Records on their way between a connector and Kafka.

use std::sync::Arc;

use bytes::Bytes;

use super::data::SchemaAndValue;
use super::offset::OffsetMap;

/// A header of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// The name; may stand more than once.
    pub key: Arc<str>,
    /// The value.
    pub value: SchemaAndValue,
}

/// A record that a source task read.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceRecord {
    /// Which part of the source it is from. Shared by the records of that part.
    pub source_partition: Arc<OffsetMap>,
    /// Where the source goes on after this record; `None` stores that there is no offset.
    pub source_offset: Option<OffsetMap>,
    /// The topic it goes to.
    pub topic: Arc<str>,
    /// The partition it goes to; `None` leaves it to the producer.
    pub partition: Option<i32>,
    /// The key.
    pub key: SchemaAndValue,
    /// The value.
    pub value: SchemaAndValue,
    /// Milliseconds since 1970-01-01; `None` leaves it to the producer.
    pub timestamp: Option<i64>,
    /// The headers, in order.
    pub headers: Vec<Header>,
}

impl SourceRecord {
    /// A record with a value and nothing else: the producer chooses partition and time.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use herdsman::api::data::{SchemaAndValue, Value};
    /// use herdsman::api::offset::OffsetMap;
    /// use herdsman::api::record::SourceRecord;
    ///
    /// let file = Arc::new(OffsetMap::of("file", "orders.txt"));
    /// let value = SchemaAndValue::schemaless(Value::string("first line"));
    /// let record = SourceRecord::new(file, OffsetMap::of("line", 1), "orders", value);
    /// let with_key = SourceRecord { key: SchemaAndValue::schemaless(Value::Int32(7)), ..record };
    /// ```
    pub fn new(
        source_partition: Arc<OffsetMap>,
        source_offset: OffsetMap,
        topic: impl Into<Arc<str>>,
        value: SchemaAndValue,
    ) -> Self {
        SourceRecord {
            source_partition,
            source_offset: Some(source_offset),
            topic: topic.into(),
            partition: None,
            key: SchemaAndValue::null(),
            value,
            timestamp: None,
            headers: Vec::new(),
        }
    }
}

/// Where Kafka put a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordMetadata {
    /// The partition.
    pub partition: i32,
    /// The offset in the partition; negative when the broker was not asked for it.
    pub offset: i64,
}

/// Whose time a record carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's.
    LogAppendTime,
}

/// A record that was read from Kafka for a sink task.
#[derive(Debug, Clone, PartialEq)]
pub struct SinkRecord {
    /// The topic; transforms may change it.
    pub topic: Arc<str>,
    /// The partition it was read from.
    pub partition: i32,
    /// Its offset in that partition.
    pub offset: i64,
    /// The key.
    pub key: SchemaAndValue,
    /// The value.
    pub value: SchemaAndValue,
    /// Milliseconds since 1970-01-01, and whose they are.
    pub timestamp: Option<(i64, TimestampType)>,
    /// The headers, in order.
    pub headers: Vec<Header>,
    /// The topic it was read from, whatever transforms did since.
    pub original_topic: Arc<str>,
    /// The record as it is in Kafka, for a dead letter queue; only where the connector has one.
    pub raw: Option<Arc<RawRecord>>,
}

/// A record as Kafka has it. Cheap to clone: bytes are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRecord {
    /// The key; `None` is null.
    pub key: Option<Bytes>,
    /// The value; `None` is null.
    pub value: Option<Bytes>,
    /// Names and values of the headers, in order.
    pub headers: Vec<(Arc<str>, Option<Bytes>)>,
    /// Milliseconds since 1970-01-01, if it has a time.
    pub timestamp: Option<i64>,
}
