//! `FileStreamSource`: each line of a file becomes a record.
//!
//! It follows Apache's connector, and does what its users expect where that one goes wrong:
//! - Positions count bytes. Apache counts characters and resumes in the wrong place behind non-ASCII text.
//! - A file that was truncated below the position is read again from its beginning, and so is a file that took the
//!   name of the one being read (log rotation), once the old one is read to its end. Apache waits for ever.
//! - A line that nothing can complete any more (end of standard input, truncation, rotation) is given as it is.
//! - A pipe or standard input cannot be read again: their offsets hold no position.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::input::{Got, Input, REPLACED_GRACE};
use super::lines::{Line, Lines};
use super::{FILE, file_key};
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance, Validator};
use crate::api::connector::{Connector, ConnectorContext, ConnectorPlugin};
use crate::api::data::{Schema, SchemaAndValue, SchemaKind, SchemaRef, Value};
use crate::api::error::{ConnectError, ErrorKind, Result};
use crate::api::offset::{OffsetMap, OffsetValue};
use crate::api::record::SourceRecord;
use crate::api::registry::VERSION;
use crate::api::source::{
    AlterOffsets, OffsetChanges, PollOutcome, SourcePlugin, SourceTask, SourceTaskContext, Support,
};
use crate::stdx::backoff::Backoff;
use crate::stdx::time::Clock;

const TOPIC: &str = "topic";
const BATCH_SIZE: &str = "batch.size";
const FILENAME: &str = "filename";
const POSITION: &str = "position";

/// The longest line. Far beyond what a broker takes by default (1 MiB); a file without line ends stops here and not
/// when memory is full.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A poll ends behind the line with which it reaches this, however large `batch.size` is.
const POLL_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How many records a batch has room for before it grows.
const BATCH_ROOM_MAX: usize = 4096;
/// Waits between polls that find nothing.
const IDLE_FIRST: Duration = Duration::from_millis(10);
const IDLE_LONGEST: Duration = Duration::from_secs(1);

/// The connector class.
pub(super) struct FileStreamSource;

impl ConnectorPlugin for FileStreamSource {
    fn class(&self) -> &'static str {
        "org.apache.kafka.connect.file.FileStreamSourceConnector"
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn task_class(&self) -> &'static str {
        "org.apache.kafka.connect.file.FileStreamSourceTask"
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new()
            .define(file_key("The file to read. Without it, standard input is read."))
            .define(
                ConfigKey::required(
                    TOPIC,
                    ConfigType::String,
                    Importance::High,
                    "The topic to write lines to.",
                )
                .validator(Validator::TopicName),
            )
            .define(
                ConfigKey::new(
                    BATCH_SIZE,
                    ConfigType::Int,
                    Importance::Low,
                    "The most lines read at a time.",
                )
                .default("2000")
                .at_least(1),
            )
    }

    fn connector(&self) -> Box<dyn Connector> {
        Box::<FileSourceConnector>::default()
    }
}

impl SourcePlugin for FileStreamSource {
    fn task(&self) -> Box<dyn SourceTask> {
        Box::<FileSourceTask>::default()
    }

    /// A file can be read again from any position; standard input cannot.
    fn exactly_once_support(&self, settings: &Settings) -> Result<Option<Support>> {
        let file = self.config_def().parse(settings)?.text(FILE)?;
        Ok(Some(if file.is_some() { Support::Supported } else { Support::Unsupported }))
    }

    fn alter_offsets(&self, settings: &Settings, changes: &OffsetChanges) -> Result<AlterOffsets> {
        if self.config_def().parse(settings)?.text(FILE)?.is_none() {
            return Err(ConnectError::connect(
                "Offsets cannot be modified if the 'file' configuration is unspecified. This is because stdin is used \
                 for input and offsets are not tracked.",
            ));
        }
        for (partition, offset) in changes {
            // A reset is allowed for anything: it is how stored nonsense is removed.
            if let Some(offset) = offset {
                check_offset(partition, offset).map_err(ConnectError::connect)?;
            }
        }
        Ok(AlterOffsets::Checked)
    }
}

fn check_offset(partition: &OffsetMap, offset: &OffsetMap) -> std::result::Result<(), &'static str> {
    match offset.get(POSITION) {
        None => return Err("Offset objects should either be null or contain the key 'position'"),
        Some(OffsetValue::Long(position)) if *position < 0 => {
            return Err("The value for the 'position' key in the offset should be a non-negative value");
        }
        Some(OffsetValue::Long(_)) => {}
        Some(
            OffsetValue::Null | OffsetValue::Boolean(_) | OffsetValue::Double(_) | OffsetValue::String(_),
        ) => {
            return Err("The value for the 'position' key in the offset is expected to be a Long value");
        }
    }
    match partition.get(FILENAME) {
        None => Err("Partition objects should contain the key 'filename'"),
        Some(_) => Ok(()),
    }
}

#[derive(Default)]
struct FileSourceConnector {
    settings: Settings,
}

impl Connector for FileSourceConnector {
    fn start(&mut self, _: Arc<dyn ConnectorContext>, settings: &Settings) -> Result<()> {
        let file = FileStreamSource.config_def().parse(settings)?.text(FILE)?;
        log::info!(
            "Starting file source connector reading from {}",
            file.as_deref().unwrap_or("standard input")
        );
        self.settings = settings.clone();
        Ok(())
    }

    fn task_configs(&mut self, _: u32) -> Result<Vec<Settings>> {
        // One file is read by one task.
        Ok(vec![self.settings.clone()])
    }

    fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct FileSourceTask {
    reader: Option<Reader>,
}

impl SourceTask for FileSourceTask {
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, settings: &Settings) -> Result<()> {
        self.reader = Some(Reader::new(&*context, settings)?);
        Ok(())
    }

    fn poll(&mut self) -> Result<PollOutcome> {
        match &mut self.reader {
            Some(reader) => reader.poll(),
            None => Err(ConnectError::new(ErrorKind::IllegalArgument, "poll was called before start")),
        }
    }

    fn stop(&mut self) -> Result<()> {
        self.reader = None;
        Ok(())
    }
}

/// A started task.
struct Reader {
    clock: Clock,
    /// The file as it was given, for messages.
    name: String,
    place: Place,
    /// Whether the input can be read again from a position.
    has_positions: bool,
    topic: Arc<str>,
    batch_size: usize,
    schema: SchemaRef,
    partition: Arc<OffsetMap>,
    /// Where the next line begins.
    position: u64,
    lines: Lines,
    idle: Backoff,
    replaced_grace: Duration,
}

enum Place {
    /// A file that is not there yet.
    Missing {
        path: PathBuf,
        warned: bool,
    },
    Open(Input),
    /// Standard input was read to its end.
    Ended,
}

impl Reader {
    fn new(context: &dyn SourceTaskContext, settings: &Settings) -> Result<Self> {
        let settings = FileStreamSource.config_def().parse(settings)?;
        let file: Option<String> = settings.get(FILE)?;
        let partition = OffsetMap::of(FILENAME, file.as_deref());
        let topic: String = settings.get(TOPIC)?;
        let file = file.filter(|file| !file.is_empty());
        let name = file.clone().unwrap_or_else(|| "standard input".to_owned());
        let (place, position) = match file {
            Some(file) => {
                (Place::Missing { path: file.into(), warned: false }, stored_position(context, &partition)?)
            }
            None => {
                let stdin = Input::stdin()
                    .map_err(|error| ConnectError::connect("cannot read standard input").caused_by(error))?;
                (Place::Open(stdin), 0)
            }
        };
        Ok(Reader {
            clock: Clock,
            name,
            place,
            has_positions: false,
            topic: topic.into(),
            batch_size: settings.get(BATCH_SIZE)?,
            schema: Arc::new(Schema::new(SchemaKind::String)),
            partition: Arc::new(partition),
            position,
            lines: Lines::default(),
            idle: Backoff::new(IDLE_FIRST, IDLE_LONGEST),
            replaced_grace: REPLACED_GRACE,
        })
    }

    fn poll(&mut self) -> Result<PollOutcome> {
        let mut batch =
            Batch { records: Vec::new(), bytes: 0, timestamp: self.clock.now().wall.as_millisecond() };
        loop {
            while batch.records.len() < self.batch_size && batch.bytes < POLL_BYTES_MAX {
                let Some(line) = self.lines.next_line() else { break };
                self.position += line.bytes;
                self.add(&mut batch, line);
            }
            let full = batch.records.len() >= self.batch_size || batch.bytes >= POLL_BYTES_MAX;
            if full || !self.read_on(&mut batch)? {
                break;
            }
        }
        if batch.records.is_empty() {
            return Ok(PollOutcome::Idle(self.idle.next_delay(0.0)));
        }
        self.idle.reset();
        Ok(PollOutcome::Records(batch.records))
    }

    fn add(&self, batch: &mut Batch, line: Line) {
        if batch.records.is_empty() {
            batch.records.reserve(self.batch_size.min(BATCH_ROOM_MAX));
        }
        let position = self.has_positions.then(|| i64::try_from(self.position).unwrap_or(i64::MAX));
        batch.bytes += line.bytes;
        batch.records.push(SourceRecord {
            source_partition: Arc::clone(&self.partition),
            source_offset: Some(OffsetMap::of(POSITION, position)),
            topic: Arc::clone(&self.topic),
            partition: None,
            key: SchemaAndValue::null(),
            value: SchemaAndValue { schema: Some(Arc::clone(&self.schema)), value: Value::String(line.text) },
            timestamp: Some(batch.timestamp),
            headers: Vec::new(),
        });
    }

    /// Reads the next block. False: there is nothing more for this poll.
    fn read_on(&mut self, batch: &mut Batch) -> Result<bool> {
        let input = match &mut self.place {
            Place::Open(input) => input,
            Place::Missing { .. } => return self.try_open(),
            Place::Ended => return Ok(false),
        };
        let now = self.clock.now().instant;
        let got = match self.lines.fill(|buffer| input.read(buffer, now)) {
            Ok(got) => got,
            Err(error) => return Err(self.failed("Cannot read").caused_by(error)),
        };
        match got {
            Got::Bytes if self.lines.begun_bytes() > LINE_BYTES_MAX => Err(self.failed(&format!(
                "A line at byte {} is longer than {LINE_BYTES_MAX} bytes, the most this connector takes, in",
                self.position
            ))),
            Got::Bytes => Ok(true),
            Got::Nothing => Ok(false),
            Got::Truncated => {
                log::warn!(
                    "{} is shorter than what was read of it ({} bytes): it is read again from its beginning",
                    self.name,
                    self.position
                );
                self.give_begun(batch);
                Ok(true)
            }
            Got::Replaced => {
                log::info!("another file has the name {}: it is read from its beginning", self.name);
                self.give_begun(batch);
                self.place = Place::Missing { path: self.name.as_str().into(), warned: false };
                Ok(false)
            }
            Got::End => {
                self.give_begun(batch);
                self.place = Place::Ended;
                Ok(false)
            }
        }
    }

    /// Goes to the beginning. A line that was begun there before is given: nothing can complete it any more.
    fn give_begun(&mut self, batch: &mut Batch) {
        self.position = 0;
        let bytes = self.lines.begun_bytes() as u64;
        if let Some(text) = self.lines.take_begun() {
            self.add(batch, Line { text, bytes });
        }
    }

    fn try_open(&mut self) -> Result<bool> {
        let Place::Missing { path, warned } = &mut self.place else { return Ok(false) };
        let path = path.clone();
        match Input::open(&path, self.position, self.replaced_grace) {
            Ok(Some(input)) => {
                log::debug!("Opened {} for reading", path.display());
                self.has_positions = input.has_positions();
                self.place = Place::Open(input);
                Ok(true)
            }
            Ok(None) => {
                if !std::mem::replace(warned, true) {
                    log::warn!(
                        "Couldn't find file {} for FileStreamSourceTask, sleeping to wait for it to be created",
                        path.display()
                    );
                }
                Ok(false)
            }
            Err(error) => Err(self.failed("Cannot open").caused_by(error)),
        }
    }

    fn failed(&self, what: &str) -> ConnectError {
        ConnectError::connect(format!("{what} {}", self.name))
    }
}

struct Batch {
    records: Vec<SourceRecord>,
    bytes: u64,
    timestamp: i64,
}

fn stored_position(context: &dyn SourceTaskContext, partition: &OffsetMap) -> Result<u64> {
    match context.offset(partition)?.as_ref().and_then(|offset| offset.get(POSITION)) {
        None | Some(OffsetValue::Null) => Ok(0),
        Some(OffsetValue::Long(position)) => Ok(u64::try_from(*position).unwrap_or(0)),
        Some(OffsetValue::Boolean(_) | OffsetValue::Double(_) | OffsetValue::String(_)) => {
            Err(ConnectError::connect("Offset position is the incorrect type"))
        }
    }
}

#[cfg(test)]
mod tests;
