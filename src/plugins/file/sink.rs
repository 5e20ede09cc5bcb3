//! `FileStreamSink`: each record becomes a line of a file.
//!
//! The lines of one `put` are written at once, to a file opened for appending, so tasks that share a file do not mix
//! their lines. What was put is with the system before its offsets are committed: the end of the process loses
//! nothing. The end of the machine may; Apache does not wait for the disk either.

use std::fs::{File, OpenOptions};
use std::io::{self, Stdout, Write};
use std::sync::Arc;

use super::{FILE, file_key};
use crate::api::Settings;
use crate::api::config_def::ConfigDef;
use crate::api::connector::{Connector, ConnectorContext, ConnectorPlugin};
use crate::api::data::Value;
use crate::api::error::{ConnectError, Result};
use crate::api::ids::TopicPartition;
use crate::api::record::SinkRecord;
use crate::api::sink::{SinkPlugin, SinkTask, SinkTaskContext};
use crate::api::source::AlterOffsets;
use crate::api::text::java_text;
use crate::plugins::settings;

/// The connector class.
pub(super) struct FileStreamSink;

impl ConnectorPlugin for FileStreamSink {
    fn class(&self) -> &'static str {
        "org.apache.kafka.connect.file.FileStreamSinkConnector"
    }

    fn task_class(&self) -> &'static str {
        "org.apache.kafka.connect.file.FileStreamSinkTask"
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new().define(file_key("The file to append to. Without it, lines go to standard output."))
    }

    fn connector(&self) -> Box<dyn Connector> {
        Box::new(SinkConnector { settings: Settings::new() })
    }
}

impl SinkPlugin for FileStreamSink {
    fn task(&self) -> Box<dyn SinkTask> {
        Box::new(FileStreamSinkTask { output: None, name: String::new(), lines: Vec::new() })
    }

    /// Nothing is kept but the group's offsets.
    fn alter_offsets(
        &self,
        _settings: &Settings,
        _changes: &std::collections::BTreeMap<TopicPartition, Option<i64>>,
    ) -> Result<AlterOffsets> {
        Ok(AlterOffsets::Checked)
    }
}

/// The connector: each task has all of its settings.
struct SinkConnector {
    settings: Settings,
}

impl Connector for SinkConnector {
    fn start(&mut self, _context: Arc<dyn ConnectorContext>, settings: &Settings) -> Result<()> {
        self.settings.clone_from(settings);
        Ok(())
    }

    fn task_configs(&mut self, tasks_max: u32) -> Result<Vec<Settings>> {
        Ok((0..tasks_max).map(|_| self.settings.clone()).collect())
    }

    fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

enum Output {
    File(File),
    Stdout(Stdout),
}

/// Writes lines.
struct FileStreamSinkTask {
    /// `None` before the start and after the end.
    output: Option<Output>,
    /// The output as messages name it.
    name: String,
    /// The lines of the present `put`; kept for its memory.
    lines: Vec<u8>,
}

impl SinkTask for FileStreamSinkTask {
    fn start(&mut self, _context: Arc<dyn SinkTaskContext>, settings: &Settings) -> Result<()> {
        let def = FileStreamSink.config_def();
        let file = settings::parse(&def, settings)?.text(FILE)?;
        self.output = Some(match file {
            None => {
                self.name = "standard output".to_owned();
                Output::Stdout(io::stdout())
            }
            Some(path) => {
                let opened = OpenOptions::new().create(true).append(true).open(&path);
                let file = opened.map_err(|why| {
                    ConnectError::connect(format!(
                        "Couldn't find or create file '{path}' for FileStreamSinkTask"
                    ))
                    .caused_by(why)
                })?;
                self.name = format!("file '{path}'");
                Output::File(file)
            }
        });
        Ok(())
    }

    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        self.lines.clear();
        for record in records {
            append_line(&mut self.lines, &record.value.value);
        }
        let written = match &mut self.output {
            Some(Output::File(file)) => file.write_all(&self.lines),
            Some(Output::Stdout(stdout)) => stdout.write_all(&self.lines).and_then(|()| stdout.flush()),
            None => return Err(ConnectError::connect("The task is not started")),
        };
        written.map_err(|why| {
            let count = records.len();
            ConnectError::connect(format!("Cannot write {count} lines to {}", self.name)).caused_by(why)
        })
    }

    fn stop(&mut self) -> Result<()> {
        self.output = None;
        Ok(())
    }
}

fn append_line(lines: &mut Vec<u8>, value: &Value) {
    if let Value::String(text) = value {
        lines.extend_from_slice(text.as_bytes());
    } else {
        // Writing into memory does not fail.
        drop(write!(lines, "{}", java_text(value)));
    }
    lines.push(b'\n');
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::api::data::SchemaAndValue;

    struct NoContext;

    impl SinkTaskContext for NoContext {
        fn seek(&self, _offsets: crate::api::sink::SinkOffsets) {}
        fn timeout(&self, _timeout: std::time::Duration) {}
        fn assignment(&self) -> Vec<TopicPartition> {
            Vec::new()
        }
        fn pause(&self, _partitions: &[TopicPartition]) {}
        fn resume(&self, _partitions: &[TopicPartition]) {}
        fn request_commit(&self) {}
    }

    fn record(value: Value) -> SinkRecord {
        SinkRecord {
            topic: "t".into(),
            partition: 0,
            offset: 0,
            key: SchemaAndValue::null(),
            value: SchemaAndValue { schema: None, value },
            timestamp: None,
            headers: Vec::new(),
            original_topic: "t".into(),
        }
    }

    fn started(file: &std::path::Path) -> Result<Box<dyn SinkTask>> {
        let mut task = FileStreamSink.task();
        let settings = Settings::from([(FILE.to_owned(), file.display().to_string())]);
        task.start(Arc::new(NoContext), &settings).map(|()| task)
    }

    #[test]
    fn values_become_lines_behind_what_is_there() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("out");
        std::fs::write(&file, "before\n").unwrap();
        let mut task = started(&file).unwrap();
        let list = Value::Array(vec![Value::Int32(1), Value::string("a")]);
        task.put(&[
            record(Value::string("é")),
            record(Value::Null),
            record(list),
            record(Value::Float64(1e7)),
        ])
        .unwrap();
        task.put(&[]).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "before\né\nnull\n[1, a]\n1.0E7\n");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let folder = TempDir::new().unwrap();
        let error = started(&folder.path().join("no/such/folder")).err().unwrap();
        assert!(error.message().starts_with("Couldn't find or create file '"), "{error}");
        assert!(error.trace().contains("No such file or directory"), "{}", error.trace());
    }
}
