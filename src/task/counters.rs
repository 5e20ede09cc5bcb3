//! What a task counts of itself, readable by any thread without asking it.
//!
//! A task adds once a batch, never once a record, and with relaxed atomics only: it waits for nobody who reads. Numbers that
//! are read together may be of different moments.

mod board;
mod reading;
mod time;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

pub use crate::kafka::figures::{ClientCounts, ClientFigures};
pub use board::TaskBoard;
pub use reading::{SinkReading, SourceReading, TaskReading};

use super::{ErrorCounters, TaskEventKind};
use crate::stdx::sampled::{Sampled, Tally, Windows};
use crate::stdx::time::Clock;
use time::{State, TimeInStates};

/// What one instance of a task counts.
#[derive(Debug)]
pub struct TaskCounters {
    began: Instant,
    /// It has stopped as it was told: nobody is to see it any more.
    is_over: AtomicBool,
    time: TimeInStates,
    /// When records moved last, in milliseconds since it began.
    progress_ms: AtomicU64,
    batch_size: Sampled,
    commit_time: Sampled,
    /// 1 for each commit that succeeded, 0 for each that failed.
    commits: Sampled,
    work: Work,
    errors: Arc<ErrorCounters>,
    client: OnceLock<(String, Arc<ClientFigures>)>,
}

#[derive(Debug)]
enum Work {
    Source(Box<SourceWork>),
    Sink(Box<SinkWork>),
}

#[derive(Debug)]
struct SourceWork {
    polled: Tally,
    written: Tally,
    active: Tally,
    poll_time: Sampled,
    transaction_size: Sampled,
}

#[derive(Debug)]
struct SinkWork {
    read: Tally,
    sent: Tally,
    active: Tally,
    put_time: Sampled,
    partitions: AtomicU64,
    commit_number: AtomicU64,
    completed: Tally,
    skipped: Tally,
}

/// Whether a task reads into Kafka or writes from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Into Kafka.
    Source,
    /// From Kafka.
    Sink,
}

impl TaskCounters {
    pub(crate) fn new(windows: Windows, began: Instant, direction: Direction) -> Self {
        let sampled = || Sampled::new(windows, began);
        let tally = || Tally::new(windows, began);
        let work = match direction {
            Direction::Source => Work::Source(Box::new(SourceWork {
                polled: tally(),
                written: tally(),
                active: tally(),
                poll_time: sampled(),
                transaction_size: sampled(),
            })),
            Direction::Sink => Work::Sink(Box::new(SinkWork {
                read: tally(),
                sent: tally(),
                active: tally(),
                put_time: sampled(),
                partitions: AtomicU64::new(0),
                commit_number: AtomicU64::new(0),
                completed: tally(),
                skipped: tally(),
            })),
        };
        TaskCounters {
            began,
            is_over: AtomicBool::new(false),
            time: TimeInStates::default(),
            progress_ms: AtomicU64::new(0),
            batch_size: sampled(),
            commit_time: sampled(),
            commits: sampled(),
            work,
            errors: Arc::default(),
            client: OnceLock::new(),
        }
    }

    /// The task has its client, which goes by that id.
    pub(crate) fn client_made(&self, id: Option<&str>, figures: Arc<ClientFigures>) {
        // Without one, librdkafka has this.
        let id = id.unwrap_or("rdkafka").to_owned();
        // An instance of a task makes one client.
        drop(self.client.set((id, figures)));
    }

    /// Its producer or consumer: the client id, and what is told of it. Tasks may share one. Any thread.
    pub fn client(&self) -> Option<(&str, &Arc<ClientFigures>)> {
        self.client.get().map(|(id, figures)| (id.as_str(), figures))
    }

    /// What it counts of records that fail.
    pub(crate) fn errors(&self) -> &Arc<ErrorCounters> {
        &self.errors
    }

    /// Whether it reads into Kafka or writes from it.
    pub fn direction(&self) -> Direction {
        match self.work {
            Work::Source(_) => Direction::Source,
            Work::Sink(_) => Direction::Sink,
        }
    }

    /// The task tells its owner what happened to it.
    pub(crate) fn reported(&self, kind: &TaskEventKind) {
        let state = match kind {
            TaskEventKind::Started | TaskEventKind::Resumed => State::Running,
            TaskEventKind::Paused => State::Paused,
            TaskEventKind::Failed { .. } => State::Other,
            TaskEventKind::Stopped => {
                self.is_over.store(true, Ordering::Release);
                State::Other
            }
            TaskEventKind::Topic(_) => return,
        };
        self.time.enter(state, self.millis(Clock.now().instant));
    }

    /// A poll gave records; how many, and how long it took.
    pub(crate) fn polled(&self, now: Instant, records: usize, took: Duration) {
        let Work::Source(work) = &self.work else { return };
        self.batch_size.add(now, records as u64);
        work.polled.add(now, records as u64);
        work.poll_time.add_time(now, took);
        if records > 0 {
            self.progressed(now);
        }
    }

    /// Kafka has so many records more.
    pub(crate) fn written(&self, now: Instant, records: usize) {
        let Work::Source(work) = &self.work else { return };
        if records > 0 {
            work.written.add(now, records as u64);
            self.progressed(now);
        }
    }

    /// So many records are on their way.
    pub(crate) fn active(&self, now: Instant, records: usize) {
        let active = match &self.work {
            Work::Source(work) => &work.active,
            Work::Sink(work) => &work.active,
        };
        active.set(now, records as u64);
    }

    /// A transaction of so many records was committed.
    pub(crate) fn transaction(&self, now: Instant, records: usize) {
        let Work::Source(work) = &self.work else { return };
        work.transaction_size.add(now, records as u64);
    }

    /// So many records were consumed.
    pub(crate) fn read_records(&self, now: Instant, records: usize) {
        let Work::Sink(work) = &self.work else { return };
        if records == 0 {
            return;
        }
        work.read.add(now, records as u64);
        work.active.set(now, work.active.all() + records as u64);
        self.progressed(now);
    }

    /// So many records were offered to the task.
    pub(crate) fn offered(&self, now: Instant, records: usize) {
        self.batch_size.add(now, records as u64);
    }

    /// So many records were put; how long that took.
    pub(crate) fn put(&self, now: Instant, records: usize, took: Duration) {
        let Work::Sink(work) = &self.work else { return };
        work.sent.add(now, records as u64);
        work.put_time.add_time(now, took);
        if records > 0 {
            self.progressed(now);
        }
    }

    /// The task has so many partitions.
    pub(crate) fn partitions(&self, partitions: usize) {
        let Work::Sink(work) = &self.work else { return };
        work.partitions.store(partitions as u64, Ordering::Relaxed);
    }

    /// A commit ended, after so long.
    pub(crate) fn committed(&self, now: Instant, succeeded: bool, took: Duration) {
        self.commits.add(now, u64::from(succeeded));
        if !succeeded {
            return;
        }
        self.commit_time.add_time(now, took);
        if let Work::Sink(work) = &self.work {
            work.completed.add(now, 1);
        }
    }

    /// A commit of a sink begins, with this number.
    pub(crate) fn commit_begun(&self, number: u64) {
        let Work::Sink(work) = &self.work else { return };
        work.commit_number.store(number, Ordering::Relaxed);
    }

    /// The result of a commit came when nobody waited for it any more.
    pub(crate) fn commit_skipped(&self, now: Instant) {
        let Work::Sink(work) = &self.work else { return };
        work.skipped.add(now, 1);
    }

    /// All of it. Any thread.
    pub fn read(&self, now: Instant) -> TaskReading {
        let (source, sink) = match &self.work {
            Work::Source(work) => (Some(work.read(now)), None),
            Work::Sink(work) => (None, Some(work.read(now))),
        };
        let (running_ratio, pause_ratio) = self.time.shares(self.millis(now));
        TaskReading {
            running_ratio,
            pause_ratio,
            batch_size: self.batch_size.read(now),
            commit_time: self.commit_time.read(now),
            commits: self.commits.read(now),
            source,
            sink,
            errors: self.errors.counts(),
        }
    }

    /// For how long no records have moved. Any thread.
    pub fn idle(&self, now: Instant) -> Duration {
        Duration::from_millis(self.millis(now).saturating_sub(self.progress_ms.load(Ordering::Relaxed)))
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    fn progressed(&self, now: Instant) {
        self.progress_ms.store(self.millis(now), Ordering::Relaxed);
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }
}

impl SourceWork {
    fn read(&self, now: Instant) -> SourceReading {
        SourceReading {
            polled: self.polled.read(now),
            written: self.written.read(now),
            active: self.active.read(now),
            poll_time: self.poll_time.read(now),
            transaction_size: self.transaction_size.read(now),
        }
    }
}

impl SinkWork {
    fn read(&self, now: Instant) -> SinkReading {
        SinkReading {
            read: self.read.read(now),
            sent: self.sent.read(now),
            active: self.active.read(now),
            put_time: self.put_time.read(now),
            partitions: self.partitions.load(Ordering::Relaxed),
            commit_number: self.commit_number.load(Ordering::Relaxed),
            completed: self.completed.read(now),
            skipped: self.skipped.read(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> (TaskCounters, Instant) {
        let began = Clock.now().instant;
        (TaskCounters::new(Windows::default(), began, Direction::Source), began)
    }

    #[test]
    fn a_source_counts_what_it_polls_and_what_kafka_has() {
        let (counters, began) = source();
        let at = |seconds| began + Duration::from_secs(seconds);
        counters.polled(at(1), 100, Duration::from_millis(4));
        counters.polled(at(2), 50, Duration::from_millis(2));
        counters.active(at(2), 150);
        counters.written(at(3), 120);
        counters.written(at(9), 0);
        counters.active(at(3), 30);
        counters.committed(at(4), true, Duration::from_millis(7));
        counters.committed(at(5), false, Duration::from_millis(5000));
        counters.read_records(at(9), 1);
        let reading = counters.read(at(10));
        let source = reading.source.unwrap();
        assert_eq!((source.polled.all, source.written.all, source.active.all), (150, 120, 30));
        assert_eq!((reading.batch_size.average(), reading.batch_size.max), (Some(75.0), Some(100)));
        assert_eq!((source.poll_time.average(), source.poll_time.max), (Some(3000.0), Some(4000)));
        assert_eq!((source.active.lately.average(), source.active.lately.max), (Some(90.0), Some(150)));
        assert_eq!((reading.commits.average(), reading.commit_time.max), (Some(0.5), Some(7000)));
        assert_eq!(counters.idle(at(10)), Duration::from_secs(7), "nothing moved after the acknowledgement");
        assert!(reading.sink.is_none());
    }

    #[test]
    fn a_sink_counts_what_it_consumes_puts_and_commits() {
        let began = Clock.now().instant;
        let counters = TaskCounters::new(Windows::default(), began, Direction::Sink);
        counters.partitions(3);
        counters.read_records(began, 10);
        counters.read_records(began, 5);
        counters.offered(began, 15);
        counters.put(began, 15, Duration::from_micros(1500));
        counters.offered(began, 0);
        counters.put(began, 0, Duration::ZERO);
        counters.commit_begun(4);
        counters.committed(began, true, Duration::from_millis(2));
        counters.commit_skipped(began);
        counters.active(began, 2);
        counters.polled(began, 99, Duration::ZERO);
        let reading = counters.read(began);
        let sink = reading.sink.unwrap();
        assert_eq!((sink.read.all, sink.sent.all, sink.active.all, sink.partitions), (15, 15, 2, 3));
        assert_eq!((sink.commit_number, sink.completed.all, sink.skipped.all), (4, 1, 1));
        assert_eq!((sink.active.lately.max, sink.put_time.max), (Some(15), Some(1500)));
        assert_eq!(reading.batch_size.average(), Some(7.5), "empty batches count");
    }

    #[test]
    fn errors_are_read_where_they_are_counted() {
        let (counters, began) = source();
        counters.errors().count_failure();
        assert_eq!(counters.read(began).errors.record_failures, 1);
    }
}
