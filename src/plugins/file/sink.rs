//! `FileStreamSink`: the value of each record becomes a line of a file.
//!
//! `put` hands everything to the system before it returns, whole lines in one call each, so lines of several tasks on
//! one file do not mix and the end of this process loses nothing. `flush`, before offsets are committed, waits for the
//! disk, so the end of the machine loses nothing either. Apache only hands over at `flush`.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;

use super::{FILE, file_key};
use crate::api::Settings;
use crate::api::config_def::ConfigDef;
use crate::api::connector::{Connector, ConnectorContext, ConnectorPlugin};
use crate::api::data::Value;
use crate::api::error::{ConnectError, ErrorKind, Result};
use crate::api::ids::TopicPartition;
use crate::api::record::SinkRecord;
use crate::api::registry::VERSION;
use crate::api::sink::{SinkOffsets, SinkPlugin, SinkTask, SinkTaskContext};
use crate::api::source::AlterOffsets;
use crate::api::text::java_text;

/// Lines are handed over when there are so many bytes of them, or at the end of a batch.
const WRITE_BYTES: usize = 1024 * 1024;

/// The connector class.
pub(super) struct FileStreamSink;

impl ConnectorPlugin for FileStreamSink {
    fn class(&self) -> &'static str {
        "org.apache.kafka.connect.file.FileStreamSinkConnector"
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn task_class(&self) -> &'static str {
        "org.apache.kafka.connect.file.FileStreamSinkTask"
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new().define(file_key("The file to append to. Without it, standard output is written to."))
    }

    fn connector(&self) -> Box<dyn Connector> {
        Box::<FileSinkConnector>::default()
    }
}

impl SinkPlugin for FileStreamSink {
    fn task(&self) -> Box<dyn SinkTask> {
        Box::<FileSinkTask>::default()
    }

    fn alter_offsets(&self, _: &Settings, _: &BTreeMap<TopicPartition, Option<i64>>) -> Result<AlterOffsets> {
        // The consumer group has all the offsets there are.
        Ok(AlterOffsets::Checked)
    }
}

fn file_of(settings: &Settings) -> Result<Option<String>> {
    Ok(FileStreamSink.config_def().parse(settings)?.text(FILE)?)
}

#[derive(Default)]
struct FileSinkConnector {
    settings: Settings,
}

impl Connector for FileSinkConnector {
    fn start(&mut self, _: Arc<dyn ConnectorContext>, settings: &Settings) -> Result<()> {
        let file = file_of(settings)?;
        log::info!(
            "Starting file sink connector writing to {}",
            file.as_deref().unwrap_or("standard output")
        );
        self.settings = settings.clone();
        Ok(())
    }

    fn task_configs(&mut self, tasks_max: u32) -> Result<Vec<Settings>> {
        Ok((0..tasks_max).map(|_| self.settings.clone()).collect())
    }

    fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct FileSinkTask {
    output: Option<Output>,
}

impl SinkTask for FileSinkTask {
    fn start(&mut self, _: Arc<dyn SinkTaskContext>, settings: &Settings) -> Result<()> {
        self.output = Some(Output::open(file_of(settings)?)?);
        Ok(())
    }

    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        self.output()?.put(records)
    }

    fn flush(&mut self, _: &SinkOffsets) -> Result<()> {
        self.output()?.flush()
    }

    fn stop(&mut self) -> Result<()> {
        self.output = None;
        Ok(())
    }
}

impl FileSinkTask {
    fn output(&mut self) -> Result<&mut Output> {
        self.output
            .as_mut()
            .ok_or_else(|| ConnectError::new(ErrorKind::IllegalArgument, "the task was not started"))
    }
}

struct Output {
    /// The file as it was given, for messages.
    name: String,
    target: Target,
    lines: Pending,
    /// Whether lines were handed to the system that the disk may not have.
    unsynced: bool,
}

enum Target {
    /// A file on disk.
    Regular(File),
    /// A pipe or device: nothing to wait for.
    Special(File),
    Stdout,
}

impl Output {
    fn open(file: Option<String>) -> Result<Self> {
        let (name, target) = match file {
            None => ("standard output".to_owned(), Target::Stdout),
            Some(name) => {
                let target = open(&name).map_err(|error| {
                    ConnectError::connect(format!(
                        "Couldn't find or create file '{name}' for FileStreamSinkTask"
                    ))
                    .caused_by(error)
                })?;
                (name, target)
            }
        };
        Ok(Output { name, target, lines: Pending::default(), unsynced: false })
    }

    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        for record in records {
            self.lines.add(&record.value.value);
            if self.lines.0.len() >= WRITE_BYTES {
                self.hand_over()?;
            }
        }
        self.hand_over()
    }

    fn hand_over(&mut self) -> Result<()> {
        if self.lines.0.is_empty() {
            return Ok(());
        }
        self.unsynced = true;
        let written = match &mut self.target {
            Target::Regular(file) | Target::Special(file) => self.lines.write_to(file),
            Target::Stdout => {
                let mut stdout = io::stdout().lock();
                self.lines.write_to(&mut stdout).and_then(|()| stdout.flush())
            }
        };
        written.map_err(|error| failed(&self.name, error))
    }

    fn flush(&mut self) -> Result<()> {
        self.hand_over()?;
        if let (Target::Regular(file), true) = (&self.target, self.unsynced) {
            file.sync_data().map_err(|error| failed(&self.name, error))?;
        }
        self.unsynced = false;
        Ok(())
    }
}

fn open(name: &str) -> io::Result<Target> {
    let file = OpenOptions::new().append(true).create(true).open(name)?;
    let regular = file.metadata()?.is_file();
    Ok(if regular { Target::Regular(file) } else { Target::Special(file) })
}

fn failed(name: &str, error: io::Error) -> ConnectError {
    let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::WouldBlock];
    if full.contains(&error.kind()) {
        ConnectError::retriable(format!("No room to write to {name}: it is tried again")).caused_by(error)
    } else {
        ConnectError::connect(format!("Cannot write to {name}")).caused_by(error)
    }
}

/// Lines that are not handed over.
#[derive(Debug, Default)]
struct Pending(Vec<u8>);

impl Pending {
    fn add(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.0.extend_from_slice(text.as_bytes()),
            Value::Bytes(bytes) => self.0.extend_from_slice(bytes),
            Value::Null
            | Value::Boolean(_)
            | Value::Int8(_)
            | Value::Int16(_)
            | Value::Int32(_)
            | Value::Int64(_)
            | Value::Float32(_)
            | Value::Float64(_)
            | Value::Decimal(_)
            | Value::Instant(_)
            | Value::Array(_)
            | Value::Map(_)
            | Value::Struct(_) => {
                if write!(self.0, "{}", java_text(value)).is_err() {
                    unreachable!("a vector that grows takes any text");
                }
            }
        }
        self.0.push(b'\n');
    }

    /// Hands everything over, in one call where the system takes all of it.
    ///
    /// After an error the records come again, so only the rest of a line that was begun stays: the file has no half
    /// lines once there is room, and maybe some lines twice.
    fn write_to(&mut self, out: &mut impl Write) -> io::Result<()> {
        let mut written = 0;
        let outcome = loop {
            let rest = self.0.get(written..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            match out.write(rest) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        let line_begun =
            written.checked_sub(1).and_then(|last| self.0.get(last)).is_some_and(|&byte| byte != b'\n');
        self.0.drain(..written);
        if outcome.is_ok() {
            self.0.clear();
        } else if line_begun {
            let end = memchr::memchr(b'\n', &self.0).map_or(self.0.len(), |end| end + 1);
            self.0.truncate(end);
        } else {
            self.0.clear();
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bytes::Bytes;

    use super::*;
    use crate::api::data::SchemaAndValue;

    struct Nobody;

    impl SinkTaskContext for Nobody {
        fn seek(&self, _: SinkOffsets) {}
        fn timeout(&self, _: std::time::Duration) {}
        fn assignment(&self) -> Vec<TopicPartition> {
            vec![]
        }
        fn pause(&self, _: &[TopicPartition]) {}
        fn resume(&self, _: &[TopicPartition]) {}
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
            headers: vec![],
            original_topic: "t".into(),
            raw: None,
        }
    }

    fn task(file: &str) -> Result<Box<dyn SinkTask>> {
        let mut task = FileStreamSink.task();
        task.start(Arc::new(Nobody), &Settings::from_iter([("file".to_owned(), file.to_owned())]))?;
        Ok(task)
    }

    #[test]
    fn a_line_is_the_text_of_a_value_behind_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.txt");
        fs::write(&path, "old\n").unwrap();
        let mut task = task(path.to_str().unwrap()).unwrap();
        let values =
            [Value::string("ä"), Value::Bytes(Bytes::from_static(b"\xFF")), Value::Null, Value::Float64(1.5)];
        task.put(&values.map(record)).unwrap();
        // Also without a flush: the end of the process must lose nothing that was put.
        assert_eq!(fs::read(&path).unwrap(), b"old\n\xC3\xA4\n\xFF\nnull\n1.5\n");
        task.flush(&SinkOffsets::new()).unwrap();
        task.stop().unwrap();
    }

    #[test]
    fn lines_of_several_tasks_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.txt");
        std::thread::scope(|scope| {
            for letter in ["a", "b", "c"] {
                let mut task = task(path.to_str().unwrap()).unwrap();
                scope.spawn(move || {
                    let batch = vec![record(Value::string(letter.repeat(1000))); 50];
                    for _ in 0..20 {
                        task.put(&batch).unwrap();
                    }
                });
            }
        });
        let content = fs::read_to_string(&path).unwrap();
        assert_eq!(content.lines().count(), 3000);
        assert!(content.lines().all(|line| ["a", "b", "c"].iter().any(|letter| line == letter.repeat(1000))));
    }

    #[test]
    fn a_large_batch_is_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.txt");
        let batch = vec![record(Value::string("x".repeat(WRITE_BYTES / 3))); 7];
        task(path.to_str().unwrap()).unwrap().put(&batch).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 7 * (WRITE_BYTES as u64 / 3 + 1));
    }

    #[test]
    fn a_full_disk_is_tried_again_and_a_missing_folder_is_not() {
        let mut task_on_full_disk = task("/dev/full").unwrap();
        let error = task_on_full_disk.put(&[record(Value::Null)]).unwrap_err();
        assert!(error.is_retriable() && error.message().contains("/dev/full"), "{error}");

        let error = task("/nowhere/out.txt").err().unwrap();
        assert_eq!(error.message(), "Couldn't find or create file '/nowhere/out.txt' for FileStreamSinkTask");
        assert!(!error.is_retriable());
    }

    /// Takes so many bytes, then fails until it gets more room.
    struct Disk {
        content: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= count;
            self.content.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn wherever_a_disk_gets_full_there_are_only_whole_lines_in_the_end() {
        for room in 0..=9 {
            let mut disk = Disk { content: vec![], room };
            let mut lines = Pending::default();
            let add = |lines: &mut Pending| ["one", "two"].map(|text| lines.add(&Value::string(text)));
            add(&mut lines);
            if lines.write_to(&mut disk).is_err() {
                disk.room = usize::MAX;
                add(&mut lines);
                lines.write_to(&mut disk).unwrap();
            }
            let content = String::from_utf8(disk.content).unwrap();
            assert!(content.lines().all(|line| line == "one" || line == "two"), "{room}: {content:?}");
            assert!(content.ends_with("one\ntwo\n"), "{room}: {content:?}");
        }
    }

    #[test]
    fn every_task_gets_the_settings_of_the_connector() {
        let mut connector = FileSinkConnector { settings: Settings::from_iter([("a".into(), "b".into())]) };
        let tasks = connector.task_configs(3).unwrap();
        assert_eq!(tasks, [&connector.settings; 3].map(Clone::clone));
    }
}
