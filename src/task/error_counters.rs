//! What a task counts of records that failed.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jiff::Timestamp;

/// Counts since the task was started, in the sense of Connect's `task-error-metrics`. The task and threads of its plug-in
/// write; anybody reads, without a lock.
#[derive(Debug, Default)]
pub struct ErrorCounters {
    record_failures: AtomicU64,
    record_errors: AtomicU64,
    records_skipped: AtomicU64,
    retries: AtomicU64,
    errors_logged: AtomicU64,
    dead_letter_requests: AtomicU64,
    dead_letter_failures: AtomicU64,
    last_error: AtomicI64,
}

/// The counts at one moment. Each is right for itself; together they may be of slightly different moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ErrorCounts {
    /// `total-record-failures`: attempts that failed, those that were tried again included.
    pub record_failures: u64,
    /// `total-record-errors`: operations that failed for good.
    pub record_errors: u64,
    /// `total-records-skipped`: records that were left out.
    pub records_skipped: u64,
    /// `total-retries`: attempts that followed a failed one.
    pub retries: u64,
    /// `total-errors-logged`: failures that were logged because of `errors.log.enable`.
    pub errors_logged: u64,
    /// `deadletterqueue-produce-requests`: records that were to go to the dead letter queue.
    pub dead_letter_requests: u64,
    /// `deadletterqueue-produce-failures`: those of them that Kafka refused.
    pub dead_letter_failures: u64,
    /// `last-error-timestamp`: milliseconds since 1970-01-01; 0 if nothing has failed.
    pub last_error: i64,
}

impl ErrorCounters {
    /// What was counted so far.
    pub fn counts(&self) -> ErrorCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ErrorCounts {
            record_failures: read(&self.record_failures),
            record_errors: read(&self.record_errors),
            records_skipped: read(&self.records_skipped),
            retries: read(&self.retries),
            errors_logged: read(&self.errors_logged),
            dead_letter_requests: read(&self.dead_letter_requests),
            dead_letter_failures: read(&self.dead_letter_failures),
            last_error: self.last_error.load(Ordering::Relaxed),
        }
    }

    /// An attempt failed.
    pub(super) fn count_failure(&self) {
        count(&self.record_failures);
    }

    /// An operation failed for good.
    pub(super) fn count_error(&self) {
        count(&self.record_errors);
    }

    /// A record was left out.
    pub(super) fn count_skipped(&self) {
        count(&self.records_skipped);
    }

    /// An operation is tried again.
    pub(super) fn count_retry(&self) {
        count(&self.retries);
    }

    /// A failure was logged.
    pub(super) fn count_logged(&self) {
        count(&self.errors_logged);
    }

    /// A record is to go to the dead letter queue.
    pub(super) fn count_dead_letter(&self) {
        count(&self.dead_letter_requests);
    }

    /// Kafka refused a record for the dead letter queue.
    pub(super) fn count_refused_dead_letter(&self) {
        count(&self.dead_letter_failures);
    }

    /// Something failed for good at this moment.
    pub(super) fn note_time(&self, now: Timestamp) {
        self.last_error.store(now.as_millisecond(), Ordering::Relaxed);
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
