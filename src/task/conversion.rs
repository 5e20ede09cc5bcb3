//! Records to bytes and back, by the converters of a task.

use std::sync::Arc;

use bytes::Bytes;

use super::spec::{ConverterChoice, Converters};
use crate::api::converter::{Converter, ConverterRole, HeaderConverter};
use crate::api::error::{ConnectError, Result};
use crate::api::record::{Header, SinkRecord, SourceRecord};
use crate::kafka::consumed::Consumed;

/// The converters of a running task.
pub(super) struct Conversion {
    key: Box<dyn Converter>,
    value: Box<dyn Converter>,
    header: Box<dyn HeaderConverter>,
}

/// Headers as Kafka keeps them.
pub(super) type RawHeaders = Vec<(Arc<str>, Option<Bytes>)>;

/// A record that was converted and waits to be sent.
#[derive(Debug)]
pub(super) struct Converted {
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    pub(super) headers: RawHeaders,
}

impl Conversion {
    /// Makes the converters. An error makes the task fail before it starts.
    pub(super) fn new(converters: &Converters) -> Result<Self> {
        let Converters { key, value, header } = converters;
        Ok(Conversion {
            key: key.plugin.converter(&key.settings, ConverterRole::Key)?,
            value: value.plugin.converter(&value.settings, ConverterRole::Value)?,
            header: header_converter(header)?,
        })
    }

    /// The bytes of a record: headers, then key, then value.
    pub(super) fn bytes_of(&mut self, record: &SourceRecord) -> Result<Converted> {
        let topic = &*record.topic;
        let mut headers = RawHeaders::new();
        for header in &record.headers {
            let value = &header.value;
            let bytes = self.header.from_connect(topic, &header.key, value.schema.as_ref(), &value.value)?;
            headers.push((Arc::clone(&header.key), bytes));
        }
        let key = self.key.from_connect(topic, record.key.schema.as_ref(), &record.key.value)?;
        let value = self.value.from_connect(topic, record.value.schema.as_ref(), &record.value.value)?;
        Ok(Converted { key, value, headers })
    }

    /// The record of bytes: key, then value, then headers.
    pub(super) fn record_of(&mut self, consumed: &Consumed) -> Result<SinkRecord> {
        let topic = &consumed.topic;
        let key = self.key.to_connect(topic, consumed.key.as_ref())?;
        let value = self.value.to_connect(topic, consumed.value.as_ref())?;
        let mut headers = Vec::with_capacity(consumed.headers.len());
        for (name, bytes) in &consumed.headers {
            let value = self.header.to_connect(topic, name, bytes.as_ref())?;
            headers.push(Header { key: Arc::clone(name), value });
        }
        Ok(SinkRecord {
            topic: Arc::clone(topic),
            partition: consumed.partition,
            offset: consumed.offset,
            key,
            value,
            timestamp: consumed.timestamp,
            headers,
            original_topic: Arc::clone(topic),
            raw: None,
        })
    }
}

fn header_converter(choice: &ConverterChoice) -> Result<Box<dyn HeaderConverter>> {
    choice.plugin.header_converter(&choice.settings)?.ok_or_else(|| {
        let class = choice.plugin.class();
        ConnectError::config(format!("Class {class} does not implement the HeaderConverter interface"))
    })
}

/// The error of a task that met a record it cannot convert and may not leave out.
pub(super) fn not_tolerated(error: ConnectError) -> ConnectError {
    ConnectError::connect("Tolerance exceeded in error handler").caused_by(error)
}
