//! A source connector: every line of every file in a folder becomes a record. Files may grow, and new ones may come.
//!
//! A file is a source partition, and the offset is the position behind the line, in bytes. So a task that starts again goes
//! on behind the last line whose record Kafka has. Files are shared out among the tasks by their names.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use herdsman::api::Settings;
use herdsman::api::config_def::{ConfigDef, ConfigKey, ConfigType, ConfigValue, Importance, Validator};
use herdsman::api::connector::{Connector, ConnectorContext, ConnectorPlugin};
use herdsman::api::data::{Schema, SchemaAndValue, SchemaKind, SchemaRef, Value};
use herdsman::api::error::{ConnectError, Result};
use herdsman::api::offset::{OffsetMap, OffsetValue};
use herdsman::api::record::SourceRecord;
use herdsman::api::source::{PollOutcome, SourcePlugin, SourceTask, SourceTaskContext};

const FOLDER: &str = "folder";
const TOPIC: &str = "topic";
/// What the connector tells its tasks beside its own settings.
const TASK: &str = "task.number";
const TASKS: &str = "task.count";
/// The names in source partitions and source offsets.
const FILE: &str = "file";
const POSITION: &str = "position";

/// The most that is read of one file in one poll.
const READ_BYTES_MAX: u64 = 256 * 1024;
/// How long a task rests that has found nothing new.
const REST: Duration = Duration::from_millis(200);

/// The class, by which settings name the connector: `connector.class=FolderSource`.
pub(crate) struct FolderSource;

impl ConnectorPlugin for FolderSource {
    fn class(&self) -> &'static str {
        "com.example.FolderSourceConnector"
    }

    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    fn task_class(&self) -> &'static str {
        "com.example.FolderSourceTask"
    }

    fn config_def(&self) -> ConfigDef {
        let key = |name, doc| ConfigKey::required(name, ConfigType::String, Importance::High, doc);
        ConfigDef::new()
            .define(key(FOLDER, "The folder whose files are read."))
            .define(key(TOPIC, "The topic to write lines to.").validator(Validator::TopicName))
    }

    /// What [`ConfigDef`] cannot say: the folder has to be there.
    fn validate(&self, _: &Settings, values: &mut [ConfigValue]) {
        for value in values.iter_mut().filter(|value| value.name == FOLDER) {
            if value.value.as_ref().is_some_and(|folder| !Path::new(folder).is_dir()) {
                value.errors.push(format!("{FOLDER} names no folder"));
            }
        }
    }

    fn connector(&self) -> Box<dyn Connector> {
        Box::<FolderConnector>::default()
    }
}

impl SourcePlugin for FolderSource {
    fn task(&self) -> Box<dyn SourceTask> {
        Box::<FolderTask>::default()
    }
}

/// Tells each task its number, and how many there are.
#[derive(Default)]
struct FolderConnector {
    settings: Settings,
}

impl Connector for FolderConnector {
    fn start(&mut self, _: Arc<dyn ConnectorContext>, settings: &Settings) -> Result<()> {
        self.settings = settings.clone();
        Ok(())
    }

    fn task_configs(&mut self, tasks_max: u32) -> Result<Vec<Settings>> {
        let numbered = |task: u32| {
            let mut settings = self.settings.clone();
            settings.insert(TASK.to_owned(), task.to_string());
            settings.insert(TASKS.to_owned(), tasks_max.to_string());
            settings
        };
        Ok((0..tasks_max).map(numbered).collect())
    }

    fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A task; `None` before its start and after its stop.
#[derive(Default)]
struct FolderTask(Option<Reader>);

struct Reader {
    context: Arc<dyn SourceTaskContext>,
    folder: PathBuf,
    topic: Arc<str>,
    task: usize,
    tasks: usize,
    schema: SchemaRef,
    /// The files that were seen, by name.
    files: BTreeMap<String, Progress>,
}

/// How far a file was read.
struct Progress {
    /// Shared by all records of the file.
    partition: Arc<OffsetMap>,
    position: u64,
}

impl SourceTask for FolderTask {
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, settings: &Settings) -> Result<()> {
        let number = |name| ConfigKey::required(name, ConfigType::Int, Importance::Low, "Of the connector.");
        let def =
            FolderSource.config_def().define(number(TASK).at_least(0)).define(number(TASKS).at_least(1));
        let settings = def.parse(settings)?;
        self.0 = Some(Reader {
            context,
            folder: settings.get::<String>(FOLDER)?.into(),
            topic: settings.get::<String>(TOPIC)?.into(),
            task: settings.get(TASK)?,
            tasks: settings.get(TASKS)?,
            schema: Arc::new(Schema::new(SchemaKind::String)),
            files: BTreeMap::new(),
        });
        Ok(())
    }

    fn poll(&mut self) -> Result<PollOutcome> {
        let reader = self.0.as_mut().ok_or_else(|| ConnectError::connect("the task is not started"))?;
        let records = reader.new_lines()?;
        // A task that says that it is idle has no thread meanwhile.
        Ok(if records.is_empty() { PollOutcome::Idle(REST) } else { PollOutcome::Records(records) })
    }

    fn stop(&mut self) -> Result<()> {
        self.0 = None;
        Ok(())
    }
}

impl Reader {
    fn new_lines(&mut self) -> Result<Vec<SourceRecord>> {
        self.look_for_files()?;
        let mut records = Vec::new();
        for (name, progress) in &mut self.files {
            let path = self.folder.join(name);
            // The system's errors may go away by themselves: the worker polls again, with growing pauses.
            let failed =
                |error| ConnectError::retriable(format!("Cannot read {}", path.display())).caused_by(error);
            let block = read_from(&path, progress.position).map_err(failed)?;
            // What stands behind the last line end is not a whole line yet.
            for line in block.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
                progress.position += line.len() as u64;
                let text = String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']).to_owned();
                let offset = OffsetMap::of(POSITION, i64::try_from(progress.position).unwrap_or(i64::MAX));
                let value = SchemaAndValue::with_schema(Arc::clone(&self.schema), Value::string(text));
                let partition = Arc::clone(&progress.partition);
                records.push(SourceRecord::new(partition, offset, Arc::clone(&self.topic), value));
            }
        }
        Ok(records)
    }

    /// Takes note of files that are new, and of where an earlier run of the task was in them.
    fn look_for_files(&mut self) -> Result<()> {
        let failed = |error: io::Error| {
            ConnectError::retriable(format!("Cannot list {}", self.folder.display())).caused_by(error)
        };
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_file = entry.file_type().map_err(failed)?.is_file();
            if !is_file || self.files.contains_key(&name) || share_of(&name, self.tasks) != self.task {
                continue;
            }
            let partition = OffsetMap::of(FILE, name.as_str());
            let position = match self.context.offset(&partition)?.as_ref().and_then(|it| it.get(POSITION)) {
                Some(OffsetValue::Long(position)) => u64::try_from(*position).unwrap_or(0),
                Some(other) => {
                    return Err(ConnectError::connect(format!(
                        "The stored position in {name} is {other:?}, which is no number: reset the offsets"
                    )));
                }
                None => 0,
            };
            self.files.insert(name, Progress { partition: Arc::new(partition), position });
        }
        Ok(())
    }
}

/// Which task reads a file: always the same, as long as there are as many tasks.
fn share_of(name: &str, tasks: usize) -> usize {
    name.bytes().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % tasks
}

fn read_from(path: &Path, position: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(position))?;
    let mut block = Vec::new();
    file.take(READ_BYTES_MAX).read_to_end(&mut block)?;
    Ok(block)
}
