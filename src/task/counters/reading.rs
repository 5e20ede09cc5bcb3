//! What is read of a task's counters: plain numbers of about one moment.

use crate::stdx::sampled::{Sample, Total};
use crate::task::ErrorCounts;

/// All that a task has counted, at one moment.
#[derive(Debug, Clone)]
pub struct TaskReading {
    /// The share of its time that it was running.
    pub running_ratio: f64,
    /// The share of its time that it was paused.
    pub pause_ratio: f64,
    /// The sizes of batches.
    pub batch_size: Sample,
    /// Microseconds that commits took which succeeded.
    pub commit_time: Sample,
    /// 1 for each commit that succeeded, 0 for each that failed.
    pub commits: Sample,
    /// Of a source.
    pub source: Option<SourceReading>,
    /// Of a sink.
    pub sink: Option<SinkReading>,
    /// What errors have come to.
    pub errors: ErrorCounts,
}

/// What a source task has counted.
#[derive(Debug, Clone)]
pub struct SourceReading {
    /// Records that it polled.
    pub polled: Total,
    /// Records that Kafka has acknowledged.
    pub written: Total,
    /// Microseconds of polls.
    pub poll_time: Sample,
    /// Records that were polled and are not finished.
    pub active: Total,
    /// Records in a transaction.
    pub transaction_size: Sample,
}

/// What a sink task has counted.
#[derive(Debug, Clone)]
pub struct SinkReading {
    /// Records that it consumed.
    pub read: Total,
    /// Records that were put.
    pub sent: Total,
    /// Microseconds of puts.
    pub put_time: Sample,
    /// Records that were consumed and are not committed.
    pub active: Total,
    /// Partitions that it has.
    pub partitions: u64,
    /// The number of its last commit.
    pub commit_number: u64,
    /// Commits that succeeded.
    pub completed: Total,
    /// Commits whose result came too late.
    pub skipped: Total,
}
