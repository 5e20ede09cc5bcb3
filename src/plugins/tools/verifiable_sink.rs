//! `VerifiableSink`: prints each record when it comes, and again when its partition is flushed.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::printed::{json_of, object, print};
use super::{ID, NAME, NumberedTasks, SEQNO, TOPIC, name_of, not_started};
use crate::api::Settings;
use crate::api::config_def::ConfigDef;
use crate::api::connector::{Connector, ConnectorPlugin};
use crate::api::error::{ConnectError, Result};
use crate::api::ids::TopicPartition;
use crate::api::record::SinkRecord;
use crate::api::registry::VERSION;
use crate::api::sink::{SinkOffsets, SinkPlugin, SinkTask, SinkTaskContext};
use crate::stdx::time::Clock;

/// From so many records on that are not flushed, offsets are to be committed soon.
const UNFLUSHED_SOME: usize = 10_000;
/// The most records that are kept to be printed again; more have to wait.
const UNFLUSHED_MAX: usize = 100_000;

/// The connector class.
pub(super) struct VerifiableSink;

impl ConnectorPlugin for VerifiableSink {
    fn class(&self) -> &'static str {
        "org.apache.kafka.connect.tools.VerifiableSinkConnector"
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn task_class(&self) -> &'static str {
        "org.apache.kafka.connect.tools.VerifiableSinkTask"
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new()
    }

    fn connector(&self) -> Box<dyn Connector> {
        Box::<NumberedTasks>::default()
    }
}

impl SinkPlugin for VerifiableSink {
    fn task(&self) -> Box<dyn SinkTask> {
        Box::<VerifiableSinkTask>::default()
    }
}

#[derive(Default)]
struct VerifiableSinkTask {
    printer: Option<Printer>,
    context: Option<Arc<dyn SinkTaskContext>>,
}

impl SinkTask for VerifiableSinkTask {
    fn start(&mut self, context: Arc<dyn SinkTaskContext>, settings: &Settings) -> Result<()> {
        self.context = Some(context);
        self.printer = Some(Printer::new(settings)?);
        Ok(())
    }

    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        let (Some(printer), Some(context)) = (&mut self.printer, &self.context) else {
            return Err(not_started());
        };
        let now_ms = Clock.now().wall.as_millisecond();
        let outcome = printer.put(records, now_ms, print);
        if printer.unflushed.len() >= UNFLUSHED_SOME {
            context.request_commit();
        }
        outcome
    }

    fn flush(&mut self, offsets: &SinkOffsets) -> Result<()> {
        let printer = self.printer.as_mut().ok_or_else(not_started)?;
        printer.flush(offsets, Clock.now().wall.as_millisecond(), print)
    }

    /// What was not flushed comes again, to whoever has the partition then.
    fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        if let Some(printer) = &mut self.printer {
            printer.forget(partitions);
        }
        Ok(())
    }
}

struct Printer {
    name: String,
    id: i32,
    /// The lines with the partitions that their records were read from.
    unflushed: Vec<(TopicPartition, Map<String, Json>)>,
}

impl Printer {
    fn new(settings: &Settings) -> Result<Self> {
        let settings = super::task_def(VerifiableSink.config_def()).parse(settings)?;
        Ok(Printer { name: name_of(&settings)?, id: settings.get(ID)?, unflushed: Vec::new() })
    }

    fn put(
        &mut self,
        records: &[SinkRecord],
        now_ms: i64,
        mut print: impl FnMut(&Map<String, Json>) -> Result<()>,
    ) -> Result<()> {
        if !self.unflushed.is_empty() && self.unflushed.len() + records.len() > UNFLUSHED_MAX {
            return Err(ConnectError::retriable(format!(
                "{} records wait for their offsets to be committed",
                self.unflushed.len()
            )));
        }
        for record in records {
            let line = object([
                ("task", json_of(&record.key.value)),
                (SEQNO, json_of(&record.value.value)),
                ("offset", record.offset.into()),
                ("time_ms", now_ms.into()),
                (NAME, self.name.as_str().into()),
                (TOPIC, record.topic.as_ref().into()),
                ("sinkTask", self.id.into()),
            ]);
            print(&line)?;
            let partition =
                TopicPartition { topic: Arc::clone(&record.original_topic), partition: record.partition };
            self.unflushed.push((partition, line));
        }
        Ok(())
    }

    fn flush(
        &mut self,
        offsets: &SinkOffsets,
        now_ms: i64,
        mut print: impl FnMut(&Map<String, Json>) -> Result<()>,
    ) -> Result<()> {
        for (_, mut line) in self.unflushed.extract_if(.., |(partition, _)| offsets.contains_key(partition)) {
            line.insert("time_ms".to_owned(), now_ms.into());
            line.insert("flushed".to_owned(), true.into());
            print(&line)?;
        }
        Ok(())
    }

    fn forget(&mut self, partitions: &[TopicPartition]) {
        self.unflushed.retain(|(partition, _)| !partitions.contains(partition));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;
    use crate::api::data::{SchemaAndValue, Value};

    fn record(seqno: i64) -> SinkRecord {
        SinkRecord {
            topic: "t".into(),
            partition: 0,
            offset: 100 + seqno,
            key: SchemaAndValue { schema: None, value: Value::Int32(3) },
            value: SchemaAndValue { schema: None, value: Value::Int64(seqno) },
            timestamp: None,
            headers: vec![],
            original_topic: "t".into(),
            raw: None,
        }
    }

    fn partition(partition: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition }
    }

    fn all() -> SinkOffsets {
        (0..3).map(|number| (partition(number), 200)).collect()
    }

    #[test]
    fn records_are_printed_when_they_come_and_once_more_when_flushed() {
        let mut printer = Printer::new(&settings(&[("name", "v"), ("id", "1")])).unwrap();
        let mut lines = Vec::new();
        let mut print = |line: &Map<String, Json>| {
            lines.push(serde_json::to_string(line).unwrap());
            Ok(())
        };
        printer.put(&[record(7)], 1000, &mut print).unwrap();
        printer.flush(&all(), 2000, &mut print).unwrap();
        printer.flush(&all(), 3000, &mut print).unwrap();
        assert_eq!(
            lines,
            [
                r#"{"task":3,"seqno":7,"offset":107,"time_ms":1000,"name":"v","topic":"t","sinkTask":1}"#,
                r#"{"task":3,"seqno":7,"offset":107,"time_ms":2000,"name":"v","topic":"t","sinkTask":1,"flushed":true}"#,
            ]
        );
    }

    #[test]
    fn only_what_is_committed_counts_as_flushed() {
        let mut printer = Printer::new(&settings(&[("id", "0")])).unwrap();
        let read_from =
            |number| SinkRecord { partition: number, topic: "renamed".into(), ..record(number.into()) };
        printer.put(&[read_from(0), read_from(1), read_from(2)], 0, |_| Ok(())).unwrap();
        let flushed = |printer: &mut Printer, offsets: &SinkOffsets| {
            let mut numbers = Vec::new();
            let note = |line: &Map<String, Json>| {
                numbers.push(line[SEQNO].as_i64().unwrap());
                Ok(())
            };
            printer.flush(offsets, 0, note).unwrap();
            numbers
        };
        assert_eq!(flushed(&mut printer, &[(partition(1), 102)].into()), [1]);
        printer.forget(&[partition(2)]);
        assert_eq!(flushed(&mut printer, &all()), [0]);
    }

    #[test]
    fn what_waits_for_a_flush_is_bounded() {
        let mut printer = Printer::new(&settings(&[("id", "0")])).unwrap();
        let batch = vec![record(0); UNFLUSHED_MAX / 2];
        for _ in 0..2 {
            printer.put(&batch, 0, |_| Ok(())).unwrap();
        }
        assert!(printer.put(&batch, 0, |_| Ok(())).unwrap_err().is_retriable());
        printer.flush(&all(), 0, |_| Ok(())).unwrap();
        printer.put(&batch, 0, |_| Ok(())).unwrap();
    }
}
