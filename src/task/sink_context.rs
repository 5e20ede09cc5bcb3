//! What a sink task asks for during its calls, kept until the call has ended.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::errors::sink::SinkErrors;
use super::runner::Waker;
use crate::api::errant::ErrantRecordReporter;
use crate::api::ids::TopicPartition;
use crate::api::sink::{SinkOffsets, SinkTaskContext};

/// The requests of one sink task.
#[derive(Debug)]
pub(super) struct SinkContext {
    requests: Mutex<Requests>,
    /// A request may come from a thread of the plug-in, while the task rests.
    waker: Waker,
    reporter: Option<Arc<SinkErrors>>,
}

#[derive(Debug, Default)]
struct Requests {
    assignment: Vec<TopicPartition>,
    /// What the task wants paused.
    paused: BTreeSet<TopicPartition>,
    pauses: Vec<TopicPartition>,
    resumes: Vec<TopicPartition>,
    seeks: SinkOffsets,
    timeout: Option<Duration>,
    commit: bool,
}

/// What was asked since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) seeks: SinkOffsets,
    pub(super) pauses: Vec<TopicPartition>,
    pub(super) resumes: Vec<TopicPartition>,
}

impl SinkContext {
    pub(super) fn new(waker: Waker, reporter: Option<Arc<SinkErrors>>) -> Self {
        SinkContext { requests: Mutex::default(), waker, reporter }
    }

    pub(super) fn set_assignment(&self, assignment: &[TopicPartition]) {
        let mut requests = self.lock();
        requests.assignment = assignment.to_vec();
        let Requests { paused, seeks, assignment, .. } = &mut *requests;
        paused.retain(|partition| assignment.contains(partition));
        seeks.retain(|partition, _| assignment.contains(partition));
    }

    /// What the task wants paused.
    pub(super) fn paused(&self) -> BTreeSet<TopicPartition> {
        self.lock().paused.clone()
    }

    pub(super) fn take_asked(&self) -> Asked {
        let mut requests = self.lock();
        Asked {
            seeks: std::mem::take(&mut requests.seeks),
            pauses: std::mem::take(&mut requests.pauses),
            resumes: std::mem::take(&mut requests.resumes),
        }
    }

    /// Where the task wants to read these partitions from, if it said so since the last look.
    pub(super) fn take_seeks(&self, partitions: &[TopicPartition]) -> SinkOffsets {
        let mut requests = self.lock();
        let taken = partitions.iter().filter_map(|partition| requests.seeks.remove_entry(partition));
        taken.collect()
    }

    pub(super) fn take_timeout(&self) -> Option<Duration> {
        self.lock().timeout.take()
    }

    pub(super) fn take_commit(&self) -> bool {
        std::mem::take(&mut self.lock().commit)
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request and sees that the task looks at it.
    fn ask(&self, ask: impl FnOnce(&mut Requests)) {
        ask(&mut self.lock());
        self.waker.wake();
    }
}

impl SinkTaskContext for SinkContext {
    fn seek(&self, offsets: SinkOffsets) {
        self.ask(|requests| requests.seeks.extend(offsets));
    }

    fn timeout(&self, timeout: Duration) {
        self.ask(|requests| requests.timeout = Some(timeout));
    }

    fn assignment(&self) -> Vec<TopicPartition> {
        self.lock().assignment.clone()
    }

    fn pause(&self, partitions: &[TopicPartition]) {
        self.ask(|requests| {
            requests.paused.extend(partitions.iter().cloned());
            requests.pauses.extend_from_slice(partitions);
            requests.resumes.retain(|partition| !partitions.contains(partition));
        });
    }

    fn resume(&self, partitions: &[TopicPartition]) {
        self.ask(|requests| {
            requests.paused.retain(|partition| !partitions.contains(partition));
            requests.resumes.extend_from_slice(partitions);
            requests.pauses.retain(|partition| !partitions.contains(partition));
        });
    }

    fn request_commit(&self) {
        self.ask(|requests| requests.commit = true);
    }

    fn errant_record_reporter(&self) -> Option<Arc<dyn ErrantRecordReporter>> {
        let reporter = self.reporter.as_ref()?;
        Some(Arc::clone(reporter) as Arc<dyn ErrantRecordReporter>)
    }
}
