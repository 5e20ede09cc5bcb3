//! A batch of records as they came from Kafka. Their bytes are copied once, into one buffer for the whole batch.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rdkafka::Timestamp;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

use crate::api::record::{RawRecord, TimestampType};

/// A batch ends when its bytes pass this bound, however few its records are.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Names of topics and headers that are remembered, so that records share them.
const NAMES_MAX: usize = 256;

/// A record from Kafka; its bytes are slices of the batch's buffer.
#[derive(Debug, Clone)]
pub struct Consumed {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Milliseconds since 1970-01-01, and whose they are.
    pub timestamp: Option<(i64, TimestampType)>,
    /// The key; `None` is null.
    pub key: Option<Bytes>,
    /// The value; `None` is null.
    pub value: Option<Bytes>,
    /// The headers, in order.
    pub headers: Vec<(Arc<str>, Option<Bytes>)>,
}

impl Consumed {
    /// The record as it is in Kafka.
    pub fn raw(&self) -> RawRecord {
        RawRecord {
            key: self.key.clone(),
            value: self.value.clone(),
            headers: self.headers.clone(),
            timestamp: self.timestamp.map(|(millis, _)| millis),
        }
    }
}

/// Where the bytes of a record lie.
struct Raw {
    topic: Arc<str>,
    partition: i32,
    offset: i64,
    timestamp: Option<(i64, TimestampType)>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Vec<(Arc<str>, Option<Range<usize>>)>,
}

/// Collects a batch.
#[derive(Default)]
pub(super) struct BatchBuilder {
    buffer: BytesMut,
    records: Vec<Raw>,
    /// Topics and header names that came before; the latest used first is not needed: they are few.
    names: Vec<Arc<str>>,
}

impl BatchBuilder {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn is_full(&self, records_max: usize) -> bool {
        self.records.len() >= records_max || self.buffer.len() >= BATCH_BYTES_MAX
    }

    /// Copies a message into the batch.
    pub(super) fn push(&mut self, message: &BorrowedMessage<'_>) {
        let key = message.key().map(|bytes| self.copy(bytes));
        let value = message.payload().map(|bytes| self.copy(bytes));
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            headers
                .iter()
                .map(|header| (self.name(header.key), header.value.map(|bytes| self.copy(bytes))))
                .collect()
        });
        let timestamp = match message.timestamp() {
            Timestamp::NotAvailable => None,
            Timestamp::CreateTime(time) => Some((time, TimestampType::CreateTime)),
            Timestamp::LogAppendTime(time) => Some((time, TimestampType::LogAppendTime)),
        };
        let topic = message.topic();
        let topic = match self.records.last() {
            Some(last) if &*last.topic == topic => Arc::clone(&last.topic),
            Some(_) | None => self.name(topic),
        };
        let (partition, offset) = (message.partition(), message.offset());
        self.records.push(Raw { topic, partition, offset, timestamp, key, value, headers });
    }

    /// Forgets the records of partitions that are another member's now.
    pub(super) fn forget(&mut self, gone: impl Fn(&str, i32) -> bool) {
        self.records.retain(|record| !gone(&record.topic, record.partition));
    }

    /// The batch; the builder is empty after.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Consumed> + '_ {
        let bytes = self.buffer.split().freeze();
        self.records.drain(..).map(move |raw| {
            let slice = |range: Option<Range<usize>>| range.map(|range| bytes.slice(range));
            Consumed {
                topic: raw.topic,
                partition: raw.partition,
                offset: raw.offset,
                timestamp: raw.timestamp,
                key: slice(raw.key),
                value: slice(raw.value),
                headers: raw.headers.into_iter().map(|(name, range)| (name, slice(range))).collect(),
            }
        })
    }

    fn copy(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        start..self.buffer.len()
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.iter().find(|known| &***known == name) {
            return Arc::clone(known);
        }
        let fresh: Arc<str> = name.into();
        if self.names.len() < NAMES_MAX {
            self.names.push(Arc::clone(&fresh));
        }
        fresh
    }
}
