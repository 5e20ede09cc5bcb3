//! When and how the offsets of a source task are stored: every `offset.flush.interval.ms` and once at its end,
//! without holding up its records.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::control::{Control, Ending};
use super::counters::TaskCounters;
use super::runner::Waker;
use super::submitted::{SourceOffset, Submitted};
use crate::api::error::ConnectError;
use crate::api::ids::TaskId;
use crate::api::source::SourceTask;
use crate::stdx::log_context::LogContext;
use crate::stdx::mutex::lock;
use crate::stdx::reply::Reply;
use crate::store::offset_record::{OffsetKey, encode_offset};
use crate::store::offset_store::{OffsetStore, OffsetsWritten};

const TARGET: &str = "org.apache.kafka.connect.runtime.WorkerSourceTask";

/// The commits of one source task.
pub(super) struct OffsetCommits {
    task: TaskId,
    name: String,
    context: Arc<str>,
    store: Arc<dyn OffsetStore>,
    control: Arc<Control>,
    counters: Arc<TaskCounters>,
    waker: Waker,
    interval: Duration,
    timeout: Duration,
    due: Instant,
    /// Offsets that are to be stored: new ones, and those of a write that failed.
    unstored: Vec<SourceOffset>,
    writing: Option<Writing>,
    attempt: u64,
    outcome: Arc<Mutex<Option<(u64, OffsetsWritten)>>>,
}

struct Writing {
    attempt: u64,
    offsets: Vec<SourceOffset>,
    began: Instant,
    deadline: Instant,
}

impl OffsetCommits {
    pub(super) fn new(
        frame: &super::frame::Frame,
        spec: &super::TaskSpec,
        store: Arc<dyn OffsetStore>,
        now: Instant,
    ) -> Self {
        OffsetCommits {
            task: frame.id().clone(),
            name: frame.name.clone(),
            context: format!("[{}|task-{}|offsets] ", frame.id().connector, frame.id().index).into(),
            store,
            control: Arc::clone(&frame.control),
            counters: Arc::clone(&frame.counters),
            waker: frame.waker.clone(),
            interval: spec.offset_flush_interval,
            timeout: spec.offset_flush_timeout,
            due: now + spec.offset_flush_interval,
            unstored: Vec::new(),
            writing: None,
            attempt: 0,
            outcome: Arc::default(),
        }
    }

    /// When [`OffsetCommits::tick`] has something to do next, if nothing wakes the task before.
    pub(super) fn next_due(&self) -> Instant {
        self.writing.as_ref().map_or(self.due, |writing| writing.deadline)
    }

    /// Whether the next [`OffsetCommits::tick`] begins a commit: acknowledgements are to be looked at before.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.writing.is_none() && now >= self.due
    }

    /// Ends a write that is over, and begins one if it is time.
    pub(super) fn tick(&mut self, now: Instant, submitted: &mut Submitted, task: &mut dyn SourceTask) {
        self.settle(now, task);
        if self.is_due(now) {
            self.begin(now, submitted, task);
        }
    }

    /// Begins the last commit, whatever the time.
    pub(super) fn begin_last(&mut self, now: Instant, submitted: &mut Submitted, task: &mut dyn SourceTask) {
        self.settle(now, task);
        if let Some(writing) = self.writing.take() {
            // Written once more together with what is newer: the store keeps the order of writes.
            self.take_back(writing);
        }
        self.begin(now, submitted, task);
    }

    /// Whether a write is under way.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Looks whether the write that is under way has ended or has taken too long.
    pub(super) fn settle(&mut self, now: Instant, task: &mut dyn SourceTask) {
        let Some(writing) = &self.writing else { return };
        let outcome = lock(&self.outcome).take_if(|(attempt, _)| *attempt == writing.attempt);
        let late = now >= writing.deadline;
        if outcome.is_none() && !late {
            return;
        }
        let _context = LogContext::enter(&self.context);
        let Some(writing) = self.writing.take() else { return };
        self.due = now + self.interval;
        let succeeded = matches!(outcome, Some((_, Ok(()))));
        self.counters.committed(now, succeeded, now.saturating_duration_since(writing.began));
        match outcome {
            Some((_, Ok(()))) => self.tell_task(task),
            Some((_, Err(error))) => {
                log::error!(
                    target: TARGET,
                    "{} Failed to commit offsets; will try again on next flush interval\n{}",
                    self.name,
                    ConnectError::connect("Failed to flush offsets").caused_by(error).trace().trim_end(),
                );
                self.take_back(writing);
            }
            None => {
                log::error!(
                    target: TARGET,
                    "{} Timed out waiting to flush offsets to storage; will try again on next flush interval with \
                     latest offsets",
                    self.name,
                );
                self.take_back(writing);
            }
        }
    }

    fn begin(&mut self, now: Instant, submitted: &mut Submitted, task: &mut dyn SourceTask) {
        let _context = LogContext::enter(&self.context);
        let (offsets, records) = submitted.take_committable();
        merge(&mut self.unstored, offsets);
        self.due = now + self.interval;
        if self.unstored.is_empty() {
            log::debug!(target: TARGET, "{} Either no records were produced by the task since the last offset commit, \
                or every record has been filtered out by a transformation or dropped due to transformation or \
                conversion errors.", self.name);
            self.counters.committed(now, true, Duration::ZERO);
            self.tell_task(task);
            return;
        }
        if self.control.ending() == Ending::Cancel {
            return;
        }
        log::info!(target: TARGET, "{} Committing offsets for {records} acknowledged messages", self.name);
        self.attempt += 1;
        let attempt = self.attempt;
        let offsets = std::mem::take(&mut self.unstored);
        let encoded = offsets.iter().map(|(partition, offset)| {
            (OffsetKey::new(&self.task.connector, partition), offset.as_ref().map(encode_offset))
        });
        let encoded = encoded.collect();
        self.writing = Some(Writing { attempt, offsets, began: now, deadline: now + self.timeout });
        let (outcome, waker) = (Arc::clone(&self.outcome), self.waker.clone());
        let done = Reply::calling(move |result| {
            *lock(&outcome) = Some((attempt, result));
            waker.wake();
        });
        self.store.write(encoded, done);
        // A store in memory has stored by now.
        self.settle(now, task);
    }

    fn tell_task(&self, task: &mut dyn SourceTask) {
        if let Err(error) = task.commit() {
            log::error!(target: TARGET, "{} Exception thrown while calling task.commit()\n{}", self.name, error.trace().trim_end());
        }
    }

    /// Keeps the offsets of a failed write under what has become newer since.
    fn take_back(&mut self, writing: Writing) {
        let newer = std::mem::replace(&mut self.unstored, writing.offsets);
        merge(&mut self.unstored, newer);
    }
}

/// Puts newer offsets over older ones of the same partitions.
pub(super) fn merge(offsets: &mut Vec<SourceOffset>, newer: Vec<SourceOffset>) {
    if offsets.is_empty() {
        *offsets = newer;
        return;
    }
    for (partition, offset) in newer {
        match offsets.iter_mut().find(|(other, _)| Arc::ptr_eq(other, &partition) || *other == partition) {
            Some(place) => place.1 = offset,
            None => offsets.push((partition, offset)),
        }
    }
}
