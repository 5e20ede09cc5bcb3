//! What a task does about a record that an operation failed on: tries it again, leaves it out, or fails.
//!
//! | stage | tried again | left out under `errors.tolerance=all` | reported |
//! |---|---|---|---|
//! | transform, converter | retriable errors, for `errors.retry.timeout` | any error | yes |
//! | `KAFKA_PRODUCE` | by the producer, for ever | what Kafka refuses; never in transactions | where it is tolerated |
//! | `TASK_PUT` | by the task itself | what the task reports | yes |
//!
//! To report is to log (`errors.log.enable`) and, for sinks, to send to the dead letter queue ([`sink`]). It happens before
//! it is decided whether the failure is tolerated.

mod dead_letters;
mod headers;
mod retry;
pub(super) mod sink;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

pub use retry::RetryPolicy;
pub(super) use retry::Tries;

use super::error_counters::ErrorCounters;
use super::spec::{ErrorHandling, ErrorLog, Tolerance};
use super::stage::StageFailure;
use crate::api::connect_record::ConnectRecord;
use crate::api::error::{ConnectError, Result};
use crate::api::ids::TaskId;
use crate::api::record::{SourceRecord, TimestampType};
use crate::stdx::backoff::jitter;
use crate::stdx::time::Clock;

/// The logger that people know from Apache.
const LOG_REPORTER: &str = "org.apache.kafka.connect.runtime.errors.LogReporter";

/// What one task does about records that fail. The methods may be called on any thread.
#[derive(Debug)]
pub(super) struct Errors {
    task: TaskId,
    handling: ErrorHandling,
    counters: Arc<ErrorCounters>,
}

/// The record that a failure is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    /// One that a source task gave, as it gave it.
    Source(&'a SourceRecord),
    /// One that was read from Kafka.
    Consumed(Place<'a>),
    /// One that nobody kept.
    Unknown,
}

/// Where a record was read from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp: Option<(i64, TimestampType)>,
}

impl Errors {
    pub(super) fn new(task: TaskId, handling: ErrorHandling, counters: Arc<ErrorCounters>) -> Self {
        Errors { task, handling, counters }
    }

    pub(super) fn task(&self) -> &TaskId {
        &self.task
    }

    pub(super) fn counters(&self) -> &Arc<ErrorCounters> {
        &self.counters
    }

    pub(super) fn tolerates(&self) -> bool {
        self.handling.tolerance == Tolerance::All
    }

    /// Whether failures are logged although they are tolerated.
    pub(super) fn logs(&self) -> bool {
        self.handling.log != ErrorLog::Off
    }

    /// Whether a source record must be at hand, as its task gave it, when it fails.
    pub(super) fn shows_records(&self) -> bool {
        self.handling.log == ErrorLog::WithRecords
    }

    /// When an operation that failed is to be tried again; `None`: it has failed for good. `place` tells apart
    /// operations of one stage.
    pub(super) fn tries_again(
        &self,
        tries: &mut Tries,
        failure: &StageFailure,
        place: usize,
    ) -> Option<Instant> {
        if !failure.error.is_retriable() {
            return None;
        }
        self.counters.count_failure();
        let operation = (failure.stage, place);
        let again = tries.failed(self.handling.retry, operation, Clock.now().instant, jitter())?;
        self.counters.count_retry();
        log::debug!(
            target: LOG_REPORTER,
            "Task {} tries stage '{}' with class '{}' again: {}",
            self.task,
            failure.stage,
            failure.class,
            failure.error,
        );
        Some(again)
    }

    /// An operation of the worker's own failed for good: counts it, and logs it where that was asked for.
    pub(super) fn note_operation(&self, failure: &StageFailure, subject: &Subject<'_>) {
        self.note(failure, subject);
        self.counters.count_error();
    }

    /// Something outside of the worker failed for good: as [`Errors::note_operation`], but it is an error only where it is
    /// not tolerated, as Apache counts.
    pub(super) fn note(&self, failure: &StageFailure, subject: &Subject<'_>) {
        self.counters.count_failure();
        self.counters.note_time(Clock.now().wall);
        let level = if self.logs() { log::Level::Error } else { log::Level::Debug };
        log::log!(
            target: LOG_REPORTER,
            level,
            "{}\n{}",
            self.line(failure, subject),
            failure.error.trace().trim_end(),
        );
        if self.logs() {
            self.counters.count_logged();
        }
    }

    /// Counts an operation that failed as left out, if it may be.
    ///
    /// # Errors
    /// It may not: the task fails.
    pub(super) fn leave_out(&self, failure: StageFailure, subject: &Subject<'_>) -> Result<()> {
        if !self.tolerates() {
            return Err(intolerable(failure, subject));
        }
        self.counters.count_skipped();
        Ok(())
    }

    /// What the log says of a failure, in Apache's words.
    fn line(&self, failure: &StageFailure, subject: &Subject<'_>) -> String {
        let StageFailure { stage, class, .. } = failure;
        let task = &self.task;
        let what =
            format!("Error encountered in task {task}. Executing stage '{stage}' with class '{class}'");
        match subject {
            Subject::Source(record) if self.shows_records() => {
                let mut record = (*record).clone();
                format!("{what}, where source record is = {}.", ConnectRecord::Source(&mut record))
            }
            Subject::Consumed(place) if self.shows_records() => {
                format!("{what}, where consumed record is {place}.")
            }
            Subject::Source(_) | Subject::Consumed(_) | Subject::Unknown => format!("{what}."),
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { topic, partition, offset, timestamp } = self;
        write!(f, "{{topic='{topic}', partition={partition}, offset={offset}")?;
        if let Some((millis, kind)) = timestamp {
            let kind = match kind {
                TimestampType::CreateTime => "CreateTime",
                TimestampType::LogAppendTime => "LogAppendTime",
            };
            write!(f, ", timestamp={millis}, timestampType={kind}")?;
        }
        f.write_str("}")
    }
}

/// The error of a task that may not leave a record out: it names the step and the place, and says what can be done.
pub(super) fn intolerable(failure: StageFailure, subject: &Subject<'_>) -> ConnectError {
    let StageFailure { stage, class, error } = failure;
    let (record, keep) = match subject {
        Subject::Source(record) => (format!("a record for topic '{}'", record.topic), ""),
        Subject::Consumed(Place { topic, partition, offset, .. }) => (
            format!("the record of topic '{topic}', partition {partition}, offset {offset}"),
            "; errors.deadletterqueue.topic.name keeps them",
        ),
        Subject::Unknown => ("a record".to_owned(), ""),
    };
    ConnectError::connect(format!(
        "Tolerance exceeded in error handler: stage {stage} with class {class} failed for {record}. Set \
         errors.tolerance=all to leave such records out{keep}"
    ))
    .caused_by(error)
}

#[cfg(test)]
mod tests;
