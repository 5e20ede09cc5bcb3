//! Records between lines and Connect: keys, values and headers are JSON, with their schema beside them or without.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::message::{WireHeader, WireRecord, offset_map};
use crate::api::Settings;
use crate::api::converter::Converter;
use crate::api::data::SchemaAndValue;
use crate::api::error::Result;
use crate::api::offset::OffsetMap;
use crate::api::record::{Header, SinkRecord, SourceRecord, TimestampType};
use crate::plugins::converters;

/// A record of a source, and the number under which the program knows it.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) id: Option<u64>,
    pub(super) record: SourceRecord,
}

/// Makes records of what a source says. Belongs to the thread that reads.
pub(super) struct FromProgram {
    bare: Box<dyn Converter>,
    typed: Box<dyn Converter>,
    /// Where records go that name no topic.
    topic: Option<Arc<str>>,
    /// The latest topic and source partition: the next record most likely has the same.
    latest_topic: Option<Arc<str>>,
    latest_partition: Option<(String, Arc<OffsetMap>)>,
}

impl FromProgram {
    pub(super) fn new(topic: Option<String>) -> Result<Self> {
        Ok(FromProgram {
            bare: json(false)?,
            typed: json(true)?,
            topic: topic.map(Into::into),
            latest_topic: None,
            latest_partition: None,
        })
    }

    /// The record. `block` is what it was read from: texts stay slices of it.
    pub(super) fn record(
        &mut self,
        block: &Bytes,
        wire: WireRecord<'_>,
    ) -> std::result::Result<Given, String> {
        let topic = self.topic(wire.topic.as_deref())?;
        let source_partition = self.source_partition(wire.source_partition)?;
        let source_offset =
            wire.source_offset.map(|raw| offset_map("source_offset", raw.get())).transpose()?;
        let key = self.data(block, &topic, "key", wire.key, wire.key_with_schema)?;
        let value = self.data(block, &topic, "value", wire.value, wire.value_with_schema)?;
        let headers = wire.headers.into_iter().map(|header| self.header(block, &topic, header));
        let headers = headers.collect::<std::result::Result<_, _>>()?;
        let (partition, timestamp) = (wire.partition, wire.timestamp);
        let record = SourceRecord {
            source_partition,
            source_offset,
            topic,
            partition,
            key,
            value,
            timestamp,
            headers,
        };
        Ok(Given { id: wire.id, record })
    }

    fn topic(&mut self, said: Option<&str>) -> std::result::Result<Arc<str>, String> {
        let Some(said) = said else {
            return self.topic.clone().ok_or_else(|| {
                "the record names no topic: name one, or set the connector's `topic`".to_owned()
            });
        };
        match &self.latest_topic {
            Some(latest) if **latest == *said => Ok(Arc::clone(latest)),
            Some(_) | None => Ok(Arc::clone(self.latest_topic.insert(said.into()))),
        }
    }

    fn source_partition(&mut self, said: Option<&RawValue>) -> std::result::Result<Arc<OffsetMap>, String> {
        let text = said.map_or("{}", RawValue::get);
        match &self.latest_partition {
            Some((latest, partition)) if latest == text => Ok(Arc::clone(partition)),
            Some(_) | None => {
                let partition = Arc::new(offset_map("source_partition", text)?);
                self.latest_partition = Some((text.to_owned(), Arc::clone(&partition)));
                Ok(partition)
            }
        }
    }

    fn header(
        &mut self,
        block: &Bytes,
        topic: &str,
        header: WireHeader<'_>,
    ) -> std::result::Result<Header, String> {
        let value =
            self.data(block, topic, "the value of a header", header.value, header.value_with_schema)?;
        Ok(Header { key: header.key.as_ref().into(), value })
    }

    fn data(
        &mut self,
        block: &Bytes,
        topic: &str,
        what: &str,
        bare: Option<&RawValue>,
        typed: Option<&RawValue>,
    ) -> std::result::Result<SchemaAndValue, String> {
        let (converter, raw) = match (bare, typed) {
            (None, None) => return Ok(SchemaAndValue::null()),
            (Some(raw), None) => (&mut self.bare, raw),
            (None, Some(raw)) => (&mut self.typed, raw),
            (Some(_), Some(_)) => return Err(format!("{what} is given twice: with and without a schema")),
        };
        let bytes = block.slice_ref(raw.get().as_bytes());
        converter.to_connect(topic, Some(&bytes)).map_err(|error| {
            let cause =
                std::error::Error::source(&error).map(|cause| format!(" {cause}")).unwrap_or_default();
            format!("{what} cannot be read: {error}{cause}")
        })
    }
}

/// Writes records as a sink is told them. Belongs to the task.
pub(super) struct ToProgram {
    converter: Box<dyn Converter>,
    schemas: bool,
}

impl ToProgram {
    /// `schemas`: whether keys, values and headers have their schema beside them.
    pub(super) fn new(schemas: bool) -> Result<Self> {
        Ok(ToProgram { converter: json(schemas)?, schemas })
    }

    /// Appends the line of a record. On an error `line` is as it was.
    pub(super) fn line(&mut self, line: &mut Vec<u8>, id: u64, record: &SinkRecord) -> Result<()> {
        let before = line.len();
        let written = self.write(line, id, record);
        if written.is_err() {
            line.truncate(before);
        }
        written
    }

    fn write(&mut self, line: &mut Vec<u8>, id: u64, record: &SinkRecord) -> Result<()> {
        let SinkRecord { topic, partition, offset, key, value, timestamp, headers, .. } = record;
        line.extend_from_slice(format!("{{\"record\":{{\"id\":{id},\"topic\":").as_bytes());
        text(line, topic);
        line.extend_from_slice(format!(",\"partition\":{partition},\"offset\":{offset}").as_bytes());
        if let Some((milliseconds, whose)) = timestamp {
            let whose = match whose {
                TimestampType::CreateTime => "CreateTime",
                TimestampType::LogAppendTime => "LogAppendTime",
            };
            let member = format!(",\"timestamp\":{milliseconds},\"timestamp_type\":\"{whose}\"");
            line.extend_from_slice(member.as_bytes());
        }
        self.member(line, topic, "key", key)?;
        self.member(line, topic, "value", value)?;
        if !headers.is_empty() {
            line.extend_from_slice(b",\"headers\":[");
            for (index, header) in headers.iter().enumerate() {
                line.extend_from_slice(if index == 0 { b"{\"key\":" } else { b",{\"key\":" });
                text(line, &header.key);
                self.member(line, topic, "value", &header.value)?;
                line.push(b'}');
            }
            line.push(b']');
        }
        line.extend_from_slice(b"}}\n");
        Ok(())
    }

    fn member(&mut self, line: &mut Vec<u8>, topic: &str, name: &str, data: &SchemaAndValue) -> Result<()> {
        let json = self.converter.from_connect(topic, data.schema.as_ref(), &data.value)?;
        let name = if self.schemas { format!(",\"{name}_with_schema\":") } else { format!(",\"{name}\":") };
        line.extend_from_slice(name.as_bytes());
        line.extend_from_slice(json.as_deref().unwrap_or(b"null"));
        Ok(())
    }
}

/// Appends a text as JSON.
fn text(line: &mut Vec<u8>, text: &str) {
    // Writing to a vector does not fail, and a text can always be written.
    let written = serde_json::to_writer(&mut *line, text);
    debug_assert!(written.is_ok(), "a text is JSON");
}

fn json(schemas: bool) -> Result<Box<dyn Converter>> {
    converters::json(&Settings::from_iter([("schemas.enable".to_owned(), schemas.to_string())]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::data::{Schema, SchemaKind, Value};
    use crate::plugins::exec::message::{self, Message};

    fn read(from: &mut FromProgram, line: &str) -> std::result::Result<Given, String> {
        let block = Bytes::copy_from_slice(line.as_bytes());
        let Message::Record(record) = message::read(&block)? else { panic!("{line}") };
        from.record(&block, *record)
    }

    #[test]
    fn a_record_is_read_with_all_it_has() {
        let mut from = FromProgram::new(Some("default".to_owned())).unwrap();
        let line = r#"{"record":{"id":3,"source_partition":{"f":"a"},"source_offset":{"n":1},"partition":2,"timestamp":5,
            "key":"k","value_with_schema":{"schema":{"type":"int32"},"payload":7},"headers":[{"key":"h","value":[1]}]}}"#;
        let Given { id, record } = read(&mut from, &line.replace('\n', "")).unwrap();
        assert_eq!(id, Some(3));
        assert_eq!(*record.source_partition, OffsetMap::of("f", "a"));
        assert_eq!(record.source_offset, Some(OffsetMap::of("n", 1)));
        assert_eq!((&*record.topic, record.partition, record.timestamp), ("default", Some(2), Some(5)));
        assert_eq!(record.key, SchemaAndValue { schema: None, value: Value::string("k") });
        assert_eq!(record.value.value, Value::Int32(7));
        assert_eq!(record.value.schema.as_ref().unwrap().kind, SchemaKind::Int32);
        assert_eq!(record.headers[0].value.value, Value::Array(vec![Value::Int64(1)]));

        let next =
            read(&mut from, r#"{"record":{"source_partition":{"f":"a"},"topic":"t"}}"#).unwrap().record;
        assert!(Arc::ptr_eq(&next.source_partition, &record.source_partition));
        assert_eq!((&*next.topic, next.source_offset, next.value), ("t", None, SchemaAndValue::null()));
    }

    #[test]
    fn what_is_wrong_with_a_record_is_said() {
        let mut from = FromProgram::new(None).unwrap();
        for (record, words) in [
            (r#"{"value":1}"#, "names no topic"),
            (r#"{"topic":"t","source_partition":1}"#, "source_partition is wrong"),
            (r#"{"topic":"t","value":1,"value_with_schema":{}}"#, "value is given twice"),
            (
                r#"{"topic":"t","key_with_schema":{"schema":{"type":"int7"},"payload":1}}"#,
                "key cannot be read",
            ),
            (
                r#"{"topic":"t","headers":[{"key":"h","value_with_schema":1}]}"#,
                "the value of a header cannot be read",
            ),
        ] {
            let error = read(&mut from, &format!("{{\"record\":{record}}}")).unwrap_err();
            assert!(error.contains(words), "{record}: {error}");
        }
    }

    fn sink_record(value: Value, key: &str) -> SinkRecord {
        SinkRecord {
            topic: "t".into(),
            partition: 1,
            offset: 9,
            key: SchemaAndValue { schema: None, value: Value::string(key) },
            value: SchemaAndValue { schema: None, value },
            timestamp: Some((5, TimestampType::LogAppendTime)),
            headers: vec![Header { key: "h\"".into(), value: SchemaAndValue::null() }],
            original_topic: "t".into(),
            raw: None,
        }
    }

    #[test]
    fn a_record_is_written_with_and_without_schemas() {
        let mut record = sink_record(Value::Int64(4), "k\n");
        let mut line = Vec::new();
        ToProgram::new(false).unwrap().line(&mut line, 1, &record).unwrap();
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "{\"record\":{\"id\":1,\"topic\":\"t\",\"partition\":1,\"offset\":9,\"timestamp\":5,\"timestamp_type\":\
             \"LogAppendTime\",\"key\":\"k\\n\",\"value\":4,\"headers\":[{\"key\":\"h\\\"\",\"value\":null}]}}\n"
        );
        record.value.schema = Some(Arc::new(Schema::new(SchemaKind::Int64)));
        (record.timestamp, record.headers) = (None, Vec::new());
        let mut line = Vec::new();
        ToProgram::new(true).unwrap().line(&mut line, 2, &record).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert!(
            line.contains(r#""value_with_schema":{"schema":{"type":"int64","optional":false},"payload":4}"#),
            "{line}"
        );
    }

    #[test]
    fn a_record_that_cannot_be_written_leaves_no_half_line() {
        let mut record = sink_record(Value::Int64(4), "k");
        record.value.schema = Some(Arc::new(Schema::new(SchemaKind::String)));
        let mut line = b"before\n".to_vec();
        ToProgram::new(false).unwrap().line(&mut line, 1, &record).unwrap_err();
        assert_eq!(line, b"before\n");
    }

    proptest! {
        #[test]
        fn any_text_is_one_line_and_comes_back(value in any::<String>(), key in any::<String>()) {
            let mut line = Vec::new();
            ToProgram::new(false).unwrap().line(&mut line, 1, &sink_record(Value::string(value.as_str()), &key)).unwrap();
            prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            let parsed: serde_json::Value = serde_json::from_slice(&line).unwrap();
            prop_assert_eq!(&parsed["record"]["value"], &serde_json::Value::from(value.as_str()));
            let said = serde_json::json!({"record": {"topic": "t", "value": value, "key": key}}).to_string();
            let given = read(&mut FromProgram::new(None).unwrap(), &said).unwrap();
            prop_assert_eq!(given.record.value.value, Value::string(value));
        }
    }
}
