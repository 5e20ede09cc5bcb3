//! Tasks over shell scripts, and what is left of their processes.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use herdsman::api::Settings;
use herdsman::api::data::{SchemaAndValue, Value};
use herdsman::api::error::{ConnectError, Result};
use herdsman::api::ids::TopicPartition;
use herdsman::api::offset::OffsetMap;
use herdsman::api::record::{RecordMetadata, SinkRecord, SourceRecord};
use herdsman::api::sink::{SinkOffsets, SinkPlugin, SinkTask, SinkTaskContext};
use herdsman::api::source::{PollOutcome, SourcePlugin, SourceTask, SourceTaskContext};
use herdsman::plugins::exec::{ExecSink, ExecSource, Programs};
use herdsman::stdx::time::Clock;
use tempfile::TempDir;

/// How long a test waits for what should come.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Waits until `look` finds something, looking every few milliseconds.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Clock.deadline(SOON);
    let (_never, tick) = crossbeam_channel::bounded::<()>(0);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(!deadline.passed(Clock.now().instant), "waited in vain for {what}");
        tick.recv_timeout(Duration::from_millis(5)).ok();
    }
}

/// Settings that make everything quick, and those of a test on top.
fn settings(folder: &Path, command: &str, more: &[(&str, &str)]) -> Settings {
    let folder = folder.to_str().unwrap();
    let quick = [
        ("name", "n"),
        ("command", command),
        ("directory", folder),
        ("topic", "t"),
        ("restart.backoff.ms", "1"),
        ("restart.backoff.max.ms", "60000"),
        ("start.timeout.ms", "20000"),
    ];
    quick.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn programs() -> Programs {
    Programs::new(vec!["/".to_owned()], PathBuf::from(env!("CARGO_BIN_EXE_herdsman")))
}

/// A folder with a shell script in it, which can use `say` and `hear`.
pub(crate) fn script(body: &str) -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("program");
    let text = format!(
        "#!/bin/sh\necho $$ >>pids\nsay() {{ echo \"$1\" >&\"$HERDSMAN_WRITE_FD\"; }}\n\
         hear() {{ read -r heard <&\"$HERDSMAN_READ_FD\"; }}\n{body}\n"
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

/// What a script has written into a file, once it ends with a line end.
pub(crate) fn written(folder: &Path, file: &str) -> String {
    wait_for(file, || fs::read_to_string(folder.join(file)).ok().filter(|text| text.ends_with('\n')))
}

/// Fails if any process of a script, or one that it named in `pids`, is still there, be it as a zombie.
#[track_caller]
pub(crate) fn nobody_is_left(folder: &Path) {
    for pid in fs::read_to_string(folder.join("pids")).unwrap_or_default().lines() {
        wait_for(&format!("the end of process {pid}"), || {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
            // What init has taken over is init's to wait for.
            let is_inits = parent.is_some_and(|parent| parent.trim() != std::process::id().to_string())
                && status.contains("State:\tZ");
            (status.is_empty() || is_inits).then_some(())
        });
    }
}

/// Stored offsets in the hands of a test.
#[derive(Default)]
pub(crate) struct Stored(pub(crate) Vec<(OffsetMap, OffsetMap)>);

impl SourceTaskContext for Stored {
    fn offset(&self, partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        Ok(self.0.iter().find(|(of, _)| of == partition).map(|(_, offset)| offset.clone()))
    }
}

/// A source task.
pub(crate) struct Source {
    pub(crate) task: Box<dyn SourceTask>,
}

impl Source {
    /// A started task.
    pub(crate) fn start(folder: &Path, command: &str, more: &[(&str, &str)], stored: Stored) -> Result<Self> {
        let mut task = ExecSource::new(programs()).task();
        task.start(Arc::new(stored), &settings(folder, command, more))?;
        Ok(Source { task })
    }

    /// Polls until there are so many records, or an error.
    pub(crate) fn records(&mut self, count: usize) -> Result<Vec<SourceRecord>> {
        let mut records = Vec::new();
        let mut failed = None;
        wait_for(&format!("{count} records"), || {
            match self.task.poll() {
                Ok(PollOutcome::Records(more)) => records.extend(more),
                Ok(PollOutcome::Idle(_)) => {}
                Err(error) => failed = Some(error),
            }
            (records.len() >= count || failed.is_some()).then_some(())
        });
        failed.map_or(Ok(records), Err)
    }

    /// Polls until there is an error.
    pub(crate) fn failure(&mut self) -> ConnectError {
        match self.records(usize::MAX) {
            Ok(records) => panic!("no failure, but {} records", records.len()),
            Err(error) => error,
        }
    }

    pub(crate) fn acknowledge(&mut self, record: &SourceRecord) {
        self.task.commit_record(record, Some(RecordMetadata { partition: 0, offset: 0 })).unwrap();
    }
}

/// The text of a record.
pub(crate) fn text(record: &SourceRecord) -> &str {
    let Value::String(text) = &record.value.value else { panic!("{record:?}") };
    text
}

/// What a sink task asked for.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) seeks: Mutex<Vec<SinkOffsets>>,
    pub(crate) assignment: Mutex<Vec<TopicPartition>>,
}

impl SinkTaskContext for Asked {
    fn seek(&self, offsets: SinkOffsets) {
        self.seeks.lock().unwrap().push(offsets);
    }

    fn timeout(&self, _: Duration) {}

    fn assignment(&self) -> Vec<TopicPartition> {
        self.assignment.lock().unwrap().clone()
    }

    fn pause(&self, _: &[TopicPartition]) {}

    fn resume(&self, _: &[TopicPartition]) {}

    fn request_commit(&self) {}
}

/// A sink task that is given the records of one partition, as a worker would.
pub(crate) struct Sink {
    pub(crate) task: Box<dyn SinkTask>,
    pub(crate) asked: Arc<Asked>,
    next: HashMap<i32, i64>,
}

pub(crate) fn partition(number: i32) -> TopicPartition {
    TopicPartition { topic: "t".into(), partition: number }
}

impl Sink {
    /// A started task that has the partitions 0 and 1 of `t`.
    pub(crate) fn start(folder: &Path, command: &str, more: &[(&str, &str)]) -> Result<Self> {
        let asked = Arc::<Asked>::default();
        let mut task = ExecSink::new(programs()).task();
        task.start(Arc::clone(&asked) as Arc<dyn SinkTaskContext>, &settings(folder, command, more))?;
        let partitions = [partition(0), partition(1)];
        *asked.assignment.lock().unwrap() = partitions.to_vec();
        task.open(&partitions)?;
        Ok(Sink { task, asked, next: HashMap::new() })
    }

    /// The next records of a partition.
    pub(crate) fn batch(&mut self, of: i32, count: i64) -> Vec<SinkRecord> {
        let next = self.next.entry(of).or_default();
        let first = std::mem::replace(next, *next + count);
        (first..first + count)
            .map(|offset| SinkRecord {
                topic: "t".into(),
                partition: of,
                offset,
                key: SchemaAndValue::null(),
                value: SchemaAndValue { schema: None, value: Value::string(format!("{of}-{offset}")) },
                timestamp: None,
                headers: Vec::new(),
                original_topic: "t".into(),
                raw: None,
            })
            .collect()
    }

    pub(crate) fn put(&mut self, of: i32, count: i64) -> Result<()> {
        let batch = self.batch(of, count);
        self.task.put(&batch)
    }

    /// The next batch starts here: the worker has carried out a seek.
    pub(crate) fn go_to(&mut self, of: i32, offset: i64) {
        self.next.insert(of, offset);
    }

    /// How far partition 0 may be committed.
    pub(crate) fn committed(&mut self) -> i64 {
        let put = self.next.iter().map(|(of, next)| (partition(*of), *next)).collect();
        self.task.pre_commit(&put).unwrap()[&partition(0)]
    }

    /// Puts nothing again and again until that fails.
    pub(crate) fn failure(&mut self) -> ConnectError {
        wait_for("a failure", || self.task.put(&[]).err())
    }
}
