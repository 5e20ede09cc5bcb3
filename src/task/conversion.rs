//! Records to bytes and back, by the converters of a task.

use std::sync::Arc;

use bytes::Bytes;

use super::spec::{ConverterChoice, Converters};
use super::stage::{Stage, StageFailure, Staged};
use crate::api::converter::{Converter, ConverterRole, HeaderConverter};
use crate::api::data::SchemaAndValue;
use crate::api::error::{ConnectError, Result};
use crate::api::record::{Header, SinkRecord, SourceRecord};
use crate::kafka::consumed::Consumed;

/// The converters of a running task.
pub(super) struct Conversion {
    key: Box<dyn Converter>,
    value: Box<dyn Converter>,
    header: Box<dyn HeaderConverter>,
    /// Their classes: key, value, header.
    classes: [&'static str; 3],
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
            classes: [key, value, header].map(|choice| choice.plugin.class()),
        })
    }

    /// The bytes of a record: headers, then key, then value.
    pub(super) fn bytes_of(&mut self, record: &SourceRecord) -> Staged<Converted> {
        self.bytes_of_parts(&record.topic, (&record.key, &record.value), &record.headers)
    }

    /// The bytes of a record that a sink task has built itself, in the same order.
    pub(super) fn bytes_of_sink_record(&mut self, record: &SinkRecord) -> Staged<Converted> {
        self.bytes_of_parts(&record.topic, (&record.key, &record.value), &record.headers)
    }

    fn bytes_of_parts(
        &mut self,
        topic: &str,
        (key, value): (&SchemaAndValue, &SchemaAndValue),
        headers: &[Header],
    ) -> Staged<Converted> {
        let [of_key, of_value, of_header] = self.classes;
        let mut raw = RawHeaders::new();
        for header in headers {
            let value = &header.value;
            let bytes = self.header.from_connect(topic, &header.key, value.schema.as_ref(), &value.value);
            raw.push((Arc::clone(&header.key), bytes.map_err(failed(Stage::HeaderConverter, of_header))?));
        }
        let key = self.key.from_connect(topic, key.schema.as_ref(), &key.value);
        let key = key.map_err(failed(Stage::KeyConverter, of_key))?;
        let value = self.value.from_connect(topic, value.schema.as_ref(), &value.value);
        let value = value.map_err(failed(Stage::ValueConverter, of_value))?;
        Ok(Converted { key, value, headers: raw })
    }

    /// The record of bytes: key, then value, then headers.
    pub(super) fn record_of(&mut self, consumed: &Consumed) -> Staged<SinkRecord> {
        let [of_key, of_value, of_header] = self.classes;
        let topic = &consumed.topic;
        let key = self.key.to_connect(topic, consumed.key.as_ref());
        let key = key.map_err(failed(Stage::KeyConverter, of_key))?;
        let value = self.value.to_connect(topic, consumed.value.as_ref());
        let value = value.map_err(failed(Stage::ValueConverter, of_value))?;
        let mut headers = Vec::with_capacity(consumed.headers.len());
        for (name, bytes) in &consumed.headers {
            let value = self.header.to_connect(topic, name, bytes.as_ref());
            let value = value.map_err(failed(Stage::HeaderConverter, of_header))?;
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

fn failed(stage: Stage, class: &'static str) -> impl FnOnce(ConnectError) -> StageFailure {
    move |error| StageFailure { stage, class, error }
}
