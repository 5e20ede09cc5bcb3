//! Connectors that block or fail in a callback named by their settings. Only in builds for tests (feature `faults`).
//!
//! | setting | meaning |
//! |---|---|
//! | `block.in` | callbacks that block, separated by commas |
//! | `release.file` | they go on once this file exists; without it after [`BLOCKED_MAX`] |
//! | `fail.in` | callbacks that fail |
//! | `fail.times` | how often each of them fails, restarts included; always without it |
//! | `fail.retriable` | whether the errors are retriable |
//! | `topic`, `records` | how many records each task of the source gives to the topic before it idles; 0 |
//! | `file` | where the sink appends each value as a line; without it values are dropped |
//! | `report` | values that contain this text are reported by the sink, not written |
//!
//! The callbacks are named as in [`Point`].

mod connector;
mod tasks;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};

use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance};
use crate::api::error::{ConnectError, Result};
use crate::api::registry::Registry;
use crate::stdx::time::Clock;

/// The longest that a callback blocks.
pub const BLOCKED_MAX: Duration = Duration::from_secs(600);
/// How often a blocked callback looks for the file.
const LOOK: Duration = Duration::from_millis(10);

const NAME: &str = "name";
const BLOCK_IN: &str = "block.in";
const RELEASE_FILE: &str = "release.file";
const FAIL_IN: &str = "fail.in";
const FAIL_TIMES: &str = "fail.times";
const FAIL_RETRIABLE: &str = "fail.retriable";
const TOPIC: &str = "topic";
const RECORDS: &str = "records";
const FILE: &str = "file";
const REPORT: &str = "report";

/// Adds both connectors.
pub fn register(registry: &mut Registry) {
    registry.add_source(connector::BlockingSource::default());
    registry.add_sink(connector::BlockingSink::default());
}

/// A callback that can block or fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// `validate` of the plug-in.
    Validate,
    /// `alter_offsets` of the plug-in.
    AlterOffsets,
    /// `start` of the connector.
    Start,
    /// `task_configs` of the connector.
    TaskConfigs,
    /// `stop` of the connector.
    Stop,
    /// `start` of a task.
    TaskStart,
    /// `poll` of a source task.
    Poll,
    /// `commit_record` of a source task.
    CommitRecord,
    /// `commit` of a source task.
    Commit,
    /// `open` of a sink task.
    Open,
    /// `put` of a sink task.
    Put,
    /// `flush` of a sink task.
    Flush,
    /// `pre_commit` of a sink task, before it flushes.
    PreCommit,
    /// `close` of a sink task.
    Close,
    /// `stop` of a task.
    TaskStop,
}

impl Point {
    /// The name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Point::Validate => "validate",
            Point::AlterOffsets => "alter_offsets",
            Point::Start => "start",
            Point::TaskConfigs => "task_configs",
            Point::Stop => "stop",
            Point::TaskStart => "task_start",
            Point::Poll => "poll",
            Point::CommitRecord => "commit_record",
            Point::Commit => "commit",
            Point::Open => "open",
            Point::Put => "put",
            Point::Flush => "flush",
            Point::PreCommit => "pre_commit",
            Point::Close => "close",
            Point::TaskStop => "task_stop",
        }
    }
}

fn config_def() -> ConfigDef {
    let key = |name, config_type, doc| ConfigKey::new(name, config_type, Importance::Low, doc);
    ConfigDef::new()
        .define(key(NAME, ConfigType::String, "The name of the connector."))
        .define(key(BLOCK_IN, ConfigType::List, "Callbacks that block.").default(""))
        .define(key(RELEASE_FILE, ConfigType::String, "Blocked callbacks go on once this file exists."))
        .define(key(FAIL_IN, ConfigType::List, "Callbacks that fail.").default(""))
        .define(key(FAIL_TIMES, ConfigType::Int, "How often each fails; always without it."))
        .define(key(FAIL_RETRIABLE, ConfigType::Boolean, "Whether errors are retriable.").default("false"))
        .define(key(TOPIC, ConfigType::String, "Where the source writes to.").default("faults"))
        .define(key(RECORDS, ConfigType::Long, "How many records each task gives.").default("0"))
        .define(key(FILE, ConfigType::String, "Where the sink appends values, one a line."))
        .define(key(REPORT, ConfigType::String, "Values with this text are reported by the sink."))
}

/// How often a callback of a connector has failed. Kept by the plug-in, so that it outlives a failed task.
type Failures = Arc<Mutex<HashMap<(String, Point), u32>>>;

/// What is to happen in the callbacks of one connector.
#[derive(Debug)]
struct Faults {
    connector: String,
    block_in: Vec<String>,
    release_file: Option<PathBuf>,
    fail_in: Vec<String>,
    fail_times: Option<u32>,
    retriable: bool,
    failures: Failures,
}

impl Faults {
    fn new(settings: &Settings, failures: &Failures) -> Result<Self> {
        let settings = config_def().parse(settings)?;
        Ok(Faults {
            connector: settings.text(NAME)?.unwrap_or_default(),
            block_in: settings.get(BLOCK_IN)?,
            release_file: settings.text(RELEASE_FILE)?.map(PathBuf::from),
            fail_in: settings.get(FAIL_IN)?,
            fail_times: settings.get::<Option<i32>>(FAIL_TIMES)?.and_then(|times| u32::try_from(times).ok()),
            retriable: settings.get(FAIL_RETRIABLE)?,
            failures: Arc::clone(failures),
        })
    }

    /// To be called at the beginning of the callback: blocks, then fails, as the settings say.
    fn at(&self, point: Point) -> Result<()> {
        let names = |list: &[String]| list.iter().any(|name| name == point.name());
        if names(&self.block_in) {
            self.block(point);
        }
        if names(&self.fail_in) && self.has_failures_left(point) {
            let message = format!("fails on purpose in {}", point.name());
            return Err(if self.retriable {
                ConnectError::retriable(message)
            } else {
                ConnectError::connect(message)
            });
        }
        Ok(())
    }

    fn block(&self, point: Point) {
        log::info!("connector {} blocks in {}", self.connector, point.name());
        let deadline = Clock.deadline(BLOCKED_MAX);
        let (_never, nothing) = bounded::<()>(0);
        while !self.release_file.as_deref().is_some_and(std::path::Path::exists) {
            let left = deadline.left(Clock.now().instant);
            if left.is_zero() {
                log::error!("connector {} was not released in {}", self.connector, point.name());
                return;
            }
            // Nobody sends: a wait with an end.
            if nothing.recv_timeout(LOOK.min(left)) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    fn has_failures_left(&self, point: Point) -> bool {
        let Some(times) = self.fail_times else { return true };
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = failures.entry((self.connector.clone(), point)).or_default();
        let left = *failed < times;
        *failed += u32::from(left);
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stdx::thread;

    fn faults(pairs: &[(&str, &str)], failures: &Failures) -> Faults {
        let settings = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Faults::new(&settings, failures).unwrap()
    }

    #[test]
    fn a_callback_fails_as_often_as_told_also_after_a_restart() {
        let failures = Failures::default();
        let settings = [("name", "c"), (FAIL_IN, "poll,start"), (FAIL_TIMES, "2"), (FAIL_RETRIABLE, "true")];
        let outcomes: Vec<_> = (0..3)
            .map(|_| faults(&settings, &failures).at(Point::Poll).map_err(|e| e.is_retriable()))
            .collect();
        assert_eq!(outcomes.iter().map(|o| o.is_err()).collect::<Vec<_>>(), [true, true, false]);
        assert!(outcomes[0].as_ref().is_err_and(|retriable| *retriable));
        assert!(faults(&settings, &failures).at(Point::Start).is_err(), "each callback counts for itself");
        assert!(faults(&settings, &failures).at(Point::Put).is_ok());
    }

    #[test]
    fn a_callback_blocks_until_the_file_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("go");
        let faults =
            faults(&[(BLOCK_IN, "put"), (RELEASE_FILE, file.to_str().unwrap())], &Failures::default());
        let (done, waits) = bounded(1);
        let _blocked = thread::spawn("blocked", thread::STACK_BYTES, move || {
            faults.at(Point::Put).unwrap();
            done.send(()).unwrap();
        })
        .unwrap();
        assert!(waits.recv_timeout(LOOK * 5).is_err());
        std::fs::write(&file, "").unwrap();
        waits.recv_timeout(Duration::from_secs(10)).unwrap();
    }
}
