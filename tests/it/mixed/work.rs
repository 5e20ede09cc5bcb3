//! Work that goes on through every disturbance of a cluster, and what must be true of it whenever the cluster is at rest:
//! a file that grows all the time, its source, a sink that copies it into another file, and a sink of several tasks.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde_json::json;
use tempfile::TempDir;

use super::cluster::{Cluster, REST, Request};
use super::shape::{Config, Offset, Shape, Target, expect_status};
use super::tape::Tape;
use crate::support::{wait_for, wait_until};

/// The pace of the lines.
const PACE: Duration = Duration::from_millis(20);
/// A source of either kind looks for new lines at least once within so many: a second.
const ONE_LOOK: usize = 80;
/// The tasks of the sink of several.
const TASKS: usize = 3;
/// A consumer that was killed keeps its partitions for so long, not for Kafka's 45 s.
const SINK_SESSION: (&str, &str) = ("consumer.override.session.timeout.ms", "6000");

/// The work, and the line of thought that checks it.
pub(super) struct Work {
    folder: TempDir,
    lines: Tape,
    offsets: Tape,
    /// How often each line was seen in the topic, as far as it was read.
    seen: HashMap<String, usize>,
    counted: usize,
    copy: PathBuf,
    source: String,
    several: String,
    wanted: Vec<(String, Shape)>,
    written: Arc<AtomicUsize>,
    stop: Option<Sender<()>>,
    writer: Option<JoinHandle<()>>,
    began: Instant,
}

impl Work {
    /// Creates the connectors, through one member, and waits until they work.
    pub(super) fn begin(cluster: &mut Cluster<'_>) -> Self {
        let kafka = cluster.kafka;
        let folder = TempDir::new().unwrap();
        let topic = kafka.topic("lines", 1);
        let spread = kafka.topic("spread", 4);
        let [input, copy] = ["in.txt", "out.txt"].map(|name| folder.path().join(name));
        fs::write(&input, "").unwrap();
        let name = |what: &str| format!("{}-{what}", cluster.group);
        let (source, copier, several) = (name("source"), name("copier"), name("several"));
        let (source_of, copy_to) = (input.display().to_string(), copy.display().to_string());
        let verifiable = "org.apache.kafka.connect.tools.VerifiableSinkConnector";
        let wanted = [
            connector(&source, "FileStreamSource", 1, &[("topic", &topic), ("file", &source_of)]),
            connector(&copier, "FileStreamSink", 1, &[("topics", &topic), ("file", &copy_to), SINK_SESSION]),
            connector(&several, verifiable, TASKS, &[("topics", &spread), SINK_SESSION]),
        ];
        for (name, shape) in &wanted {
            let body = Some(json!({"name": name, "config": shape.config}));
            let create = Request { method: "POST", path: "/connectors".to_owned(), body };
            expect_status(&cluster.ask(0, &create), 201, &create);
        }
        let written = Arc::new(AtomicUsize::new(0));
        let (stop, stopped) = bounded(0);
        let writer = {
            let written = Arc::clone(&written);
            std::thread::spawn(move || write_lines(&input, &stopped, &written))
        };
        cluster.watch(format!("/connectors/{source}/offsets"));
        Work {
            folder,
            lines: Tape::of(kafka, &topic),
            offsets: Tape::of(kafka, &format!("{}-offsets", cluster.group)),
            seen: HashMap::new(),
            counted: 0,
            copy,
            source,
            several,
            wanted: wanted.into(),
            written,
            stop: Some(stop),
            writer: Some(writer),
            began: Instant::now(),
        }
    }

    /// A folder for files of the test.
    pub(super) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Waits until the cluster is at rest and all of the work is done as it should be.
    pub(super) fn check(&mut self, cluster: &mut Cluster<'_>) {
        cluster.settled();
        for (name, shape) in &self.wanted {
            cluster.agreed(name, &[Some(shape.clone())]);
        }
        let group = format!("connect-{}", self.several);
        wait_for(&format!("{TASKS} consumers in {group}"), REST, || match cluster.described(&group) {
            Some(group) if group.state == "Stable" && group.members == TASKS => Ok(()),
            other => Err(other),
        });
        self.every_line_came_and_only_one_task_reads_them();
        self.the_copy_is_complete();
        self.offsets_go_forward();
        cluster.honest();
    }

    /// Ends the writing of lines, checks all once more, and tells what was shown.
    pub(super) fn end(mut self, cluster: &mut Cluster<'_>, what: &str) {
        self.check(cluster);
        let (probes, healthy) = cluster.honest();
        eprintln!(
            "{what}: {} lines, {} commits, {healthy} of {probes} probes healthy, in {} s",
            self.written.load(Ordering::SeqCst),
            self.offsets.records.len(),
            self.began.elapsed().as_secs()
        );
    }

    /// All lines that were written by now come, and those of the last second come once: a second task that reads the same
    /// file would say them again.
    fn every_line_came_and_only_one_task_reads_them(&mut self) {
        let calm = self.written.load(Ordering::SeqCst);
        let enough = calm + 2 * ONE_LOOK;
        let start = Instant::now();
        while self.seen.len() < enough {
            assert!(
                start.elapsed() < REST,
                "line {} did not come; {} others did",
                self.missing(enough),
                self.seen.len()
            );
            self.read_lines(Duration::from_millis(50));
        }
        assert_eq!(
            self.missing(calm),
            calm,
            "a line is missing that was written before the last {} s",
            ONE_LOOK / 50
        );
        for line in calm + 1..calm + ONE_LOOK {
            let line = line_text(line);
            assert_eq!(
                self.seen.get(&line),
                Some(&1),
                "{line:?} came otherwise than once while nothing was disturbed"
            );
        }
    }

    fn read_lines(&mut self, patience: Duration) {
        self.lines.read_on(patience);
        for record in &self.lines.records[self.counted..] {
            *self.seen.entry(record.value.clone().unwrap()).or_default() += 1;
        }
        self.counted = self.lines.records.len();
    }

    /// The first line below `end` that did not come; `end` if all came.
    fn missing(&self, end: usize) -> usize {
        (0..end).find(|line| !self.seen.contains_key(&line_text(*line))).unwrap_or(end)
    }

    fn the_copy_is_complete(&self) {
        let end = self.written.load(Ordering::SeqCst);
        wait_until(&format!("the first {end} lines are in the copy"), REST, || {
            let copy = fs::read_to_string(&self.copy).unwrap_or_default();
            let lines: std::collections::HashSet<_> = copy.lines().collect();
            (0..end).all(|line| lines.contains(line_text(line).as_str()))
        });
    }

    /// What was committed is never taken back.
    fn offsets_go_forward(&mut self) {
        let key = format!("[\"{}\",", self.source);
        let records = self.offsets.read_to_end().iter().filter(|record| record.key.starts_with(&key));
        let mut last = 0;
        for record in records {
            let value: serde_json::Value = serde_json::from_str(record.value.as_deref().unwrap()).unwrap();
            let position = value["position"].as_u64().unwrap();
            assert!(position >= last, "the offset goes back from {last} to {position}");
            last = position;
        }
        assert!(last > 0, "nothing was committed");
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.stop = None;
        drop(self.writer.take().map(JoinHandle::join));
    }
}

/// A connector that is to run all the time.
fn connector(name: &str, class: &str, tasks: usize, settings: &[(&str, &str)]) -> (String, Shape) {
    let tasks_max = tasks.to_string();
    let all = [("name", name), ("connector.class", class), ("tasks.max", &tasks_max)];
    let all = all.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let shape =
        Shape { config: all.collect::<Config>(), target: Target::Running, tasks, offset: Offset::Moving };
    (name.to_owned(), shape)
}

fn line_text(line: usize) -> String {
    format!("line {line}")
}

fn write_lines(file: &PathBuf, stopped: &Receiver<()>, written: &AtomicUsize) {
    let mut file = fs::OpenOptions::new().append(true).open(file).unwrap();
    for line in 0.. {
        file.write_all(format!("{}\n", line_text(line)).as_bytes()).unwrap();
        written.store(line + 1, Ordering::SeqCst);
        if stopped.recv_timeout(PACE) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}
