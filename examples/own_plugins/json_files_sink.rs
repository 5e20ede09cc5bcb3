//! A sink connector: appends each record as a line of JSON to a file for its topic and partition.
//!
//! The file itself tells how far it goes: its last whole line holds the offset of its record. When the task is given a
//! partition, it reads on from there, whatever the consumer group has stored, so that a line is never lost and never there
//! twice, also after the process or the machine was killed. (A topic that was deleted and made anew begins at offset 0
//! again: move its files away then.)

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use herdsman::api::Settings;
use herdsman::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance, Validator};
use herdsman::api::connector::{Connector, ConnectorContext, ConnectorPlugin};
use herdsman::api::data::Value;
use herdsman::api::error::{ConnectError, Result};
use herdsman::api::ids::TopicPartition;
use herdsman::api::record::SinkRecord;
use herdsman::api::sink::{SinkOffsets, SinkPlugin, SinkTask, SinkTaskContext};
use herdsman::api::text::java_text;
use serde_json::{Value as Json, json};

const FOLDER: &str = "folder";
/// How soon a batch that could not be written is to come again.
const RETRY: Duration = Duration::from_secs(1);

/// The class, by which settings name the connector: `connector.class=JsonFilesSink`.
pub(crate) struct JsonFilesSink;

impl ConnectorPlugin for JsonFilesSink {
    fn class(&self) -> &'static str {
        "com.example.JsonFilesSinkConnector"
    }

    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    fn task_class(&self) -> &'static str {
        "com.example.JsonFilesSinkTask"
    }

    fn config_def(&self) -> ConfigDef {
        let doc = "The folder that the files are in, one for each topic and partition.";
        let folder = ConfigKey::required(FOLDER, ConfigType::String, Importance::High, doc);
        ConfigDef::new().define(folder.validator(Validator::NonEmpty))
    }

    fn connector(&self) -> Box<dyn Connector> {
        Box::<JsonFilesConnector>::default()
    }
}

impl SinkPlugin for JsonFilesSink {
    fn task(&self) -> Box<dyn SinkTask> {
        Box::<JsonFilesTask>::default()
    }
}

/// All tasks are alike: the consumer group shares the partitions out among them.
#[derive(Default)]
struct JsonFilesConnector {
    settings: Settings,
}

impl Connector for JsonFilesConnector {
    fn start(&mut self, _: Arc<dyn ConnectorContext>, settings: &Settings) -> Result<()> {
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
struct JsonFilesTask {
    /// `None` before the start and after the stop.
    started: Option<(Arc<dyn SinkTaskContext>, PathBuf)>,
    files: BTreeMap<TopicPartition, Output>,
}

impl SinkTask for JsonFilesTask {
    fn start(&mut self, context: Arc<dyn SinkTaskContext>, settings: &Settings) -> Result<()> {
        let folder = JsonFilesSink.config_def().parse(settings)?.get::<String>(FOLDER)?;
        self.started = Some((context, folder.into()));
        Ok(())
    }

    fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let (context, folder) = self.started.as_ref().ok_or_else(not_started)?;
        let mut positions = SinkOffsets::new();
        for partition in partitions {
            let output = Output::open(&folder.join(format!("{partition}.jsonl")))?;
            if output.next > 0 {
                positions.insert(partition.clone(), output.next);
            }
            self.files.insert(partition.clone(), output);
        }
        // Takes effect after this call, and before the first record is put.
        context.seek(positions);
        Ok(())
    }

    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        for record in records {
            // Where it was read from: transforms may have changed its topic since.
            let topic = Arc::clone(&record.original_topic);
            let partition = TopicPartition { topic, partition: record.partition };
            self.files.get_mut(&partition).ok_or_else(not_started)?.add(record);
        }
        let (context, _) = self.started.as_ref().ok_or_else(not_started)?;
        // Otherwise the worker puts a refused batch again when the next commit is due, which may be a minute.
        self.files.values_mut().try_for_each(Output::write).inspect_err(|_| context.timeout(RETRY))
    }

    /// Before offsets are committed, what stands for them has to be on the disk.
    fn flush(&mut self, _: &SinkOffsets) -> Result<()> {
        self.files.values_mut().try_for_each(Output::sync)
    }

    fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        for partition in partitions {
            self.files.remove(partition);
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        *self = JsonFilesTask::default();
        Ok(())
    }
}

fn not_started() -> ConnectError {
    ConnectError::connect("the task is not started, or does not have the partition")
}

/// The file of a partition.
struct Output {
    path: PathBuf,
    file: File,
    /// How many bytes of it are whole lines.
    bytes: u64,
    /// The offset behind that of the last line that was added.
    next: i64,
    /// Lines that are not written, and the offset behind the last that is.
    pending: Vec<u8>,
    written: i64,
    is_synced: bool,
}

impl Output {
    fn open(path: &Path) -> Result<Self> {
        let open = || {
            let mut file =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
            let (line, bytes) = last_line(&mut file)?;
            // The rest of a line that a killed process had begun.
            file.set_len(bytes)?;
            file.seek(SeekFrom::Start(bytes))?;
            io::Result::Ok((file, line, bytes))
        };
        let failed =
            |error| ConnectError::connect(format!("Cannot open {}", path.display())).caused_by(error);
        let (file, line, bytes) = open().map_err(failed)?;
        let next = match line {
            Some(line) => {
                offset_of(&line).ok_or_else(|| {
                    ConnectError::connect(format!(
                        "The last line of {} has no offset: move it away",
                        path.display()
                    ))
                })? + 1
            }
            None => 0,
        };
        let path = path.to_owned();
        Ok(Output { path, file, bytes, next, pending: Vec::new(), written: next, is_synced: true })
    }

    fn add(&mut self, record: &SinkRecord) {
        // The worker may give a record again that is here already, after an error for instance.
        if record.offset < self.next {
            return;
        }
        self.next = record.offset + 1;
        let (key, value) = (json_of(&record.key.value), json_of(&record.value.value));
        let line = json!({"topic": &*record.topic, "offset": record.offset, "key": key, "value": value});
        self.pending.extend_from_slice(line.to_string().as_bytes());
        self.pending.push(b'\n');
    }

    fn write(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        if let Err(error) = self.file.write_all(&pending) {
            // The worker puts the whole batch again, so that nothing of it may stay: neither here nor in the file.
            self.next = self.written;
            let restored =
                self.file.set_len(self.bytes).and_then(|()| self.file.seek(SeekFrom::Start(self.bytes)));
            let what = format!("Cannot write to {}", self.path.display());
            return Err(match restored {
                Ok(_) => ConnectError::retriable(what).caused_by(error),
                Err(_) => ConnectError::connect(what).caused_by(error),
            });
        }
        self.bytes += pending.len() as u64;
        self.written = self.next;
        self.is_synced &= pending.is_empty();
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        if !self.is_synced {
            let failed = |error| {
                ConnectError::connect(format!("Cannot sync {}", self.path.display())).caused_by(error)
            };
            self.file.sync_data().map_err(failed)?;
            self.is_synced = true;
        }
        Ok(())
    }
}

/// The last whole line, and how many bytes there are up to its end.
fn last_line(file: &mut File) -> io::Result<(Option<Vec<u8>>, u64)> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut window = 64 * 1024;
    loop {
        let begin = length.saturating_sub(window);
        file.seek(SeekFrom::Start(begin))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        let end = tail.iter().rposition(|byte| *byte == b'\n');
        let before = tail.get(..end.unwrap_or(0)).unwrap_or_default();
        let line_begin = before.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
        match (end, line_begin) {
            (Some(end), Some(at)) => {
                return Ok((tail.get(at..end).map(<[u8]>::to_vec), begin + end as u64 + 1));
            }
            (Some(end), None) if begin == 0 => return Ok((Some(before.to_vec()), end as u64 + 1)),
            (None, _) if begin == 0 => return Ok((None, 0)),
            (_, _) => window *= 2,
        }
    }
}

fn offset_of(line: &[u8]) -> Option<i64> {
    serde_json::from_slice::<Json>(line).ok()?.get("offset")?.as_i64()
}

/// A value as plain JSON; what JSON has no form for is text, as Java would print it.
fn json_of(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => json!(value),
        Value::Int8(value) => json!(value),
        Value::Int16(value) => json!(value),
        Value::Int32(value) => json!(value),
        Value::Int64(value) | Value::Instant(value) => json!(value),
        Value::Float32(value) => json!(value),
        Value::Float64(value) => json!(value),
        Value::String(text) => json!(&**text),
        Value::Bytes(_) | Value::Decimal(_) => json!(java_text(value).to_string()),
        Value::Array(values) => values.iter().map(json_of).collect(),
        Value::Map(entries) => {
            entries.iter().map(|(key, value)| (java_text(key).to_string(), json_of(value))).collect()
        }
        Value::Struct(fields) => {
            fields.iter().map(|(name, _, value)| (name.to_string(), json_of(value))).collect()
        }
    }
}
