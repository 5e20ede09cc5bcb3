//! What a sink task asked for during its calls; taken up between them.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::api::ids::TopicPartition;
use crate::api::sink::{SinkOffsets, SinkTaskContext};

/// Partitions of a task.
pub(super) type Assignment = BTreeSet<TopicPartition>;

/// Requests of the task that wait, and what it may know.
#[derive(Debug, Default)]
pub(super) struct SinkRequests(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    seeks: SinkOffsets,
    timeout: Option<Duration>,
    commit: bool,
    assigned: Assignment,
    paused: Assignment,
    paused_changed: bool,
}

impl SinkRequests {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take_seeks(&self) -> SinkOffsets {
        std::mem::take(&mut self.lock().seeks)
    }

    pub(super) fn take_timeout(&self) -> Option<Duration> {
        self.lock().timeout.take()
    }

    pub(super) fn take_commit(&self) -> bool {
        std::mem::take(&mut self.lock().commit)
    }

    /// The partitions that the task itself paused, if that changed since the last look.
    pub(super) fn take_paused(&self) -> Option<Assignment> {
        let mut state = self.lock();
        std::mem::take(&mut state.paused_changed).then(|| state.paused.clone())
    }

    /// The partitions that the task itself paused.
    pub(super) fn paused(&self) -> Assignment {
        self.lock().paused.clone()
    }

    pub(super) fn assigned(&self) -> Assignment {
        self.lock().assigned.clone()
    }

    pub(super) fn add(&self, partitions: &[TopicPartition]) {
        self.lock().assigned.extend(partitions.iter().cloned());
    }

    pub(super) fn remove(&self, partitions: &Assignment) {
        let mut state = self.lock();
        state.assigned.retain(|partition| !partitions.contains(partition));
        state.paused.retain(|partition| !partitions.contains(partition));
        state.seeks.retain(|partition, _| !partitions.contains(partition));
    }
}

impl SinkTaskContext for SinkRequests {
    fn seek(&self, offsets: SinkOffsets) {
        self.lock().seeks.extend(offsets);
    }

    fn timeout(&self, timeout: Duration) {
        self.lock().timeout = Some(timeout);
    }

    fn assignment(&self) -> Vec<TopicPartition> {
        self.lock().assigned.iter().cloned().collect()
    }

    fn pause(&self, partitions: &[TopicPartition]) {
        let mut state = self.lock();
        state.paused.extend(partitions.iter().cloned());
        state.paused_changed = true;
    }

    fn resume(&self, partitions: &[TopicPartition]) {
        let mut state = self.lock();
        state.paused.retain(|partition| !partitions.contains(partition));
        state.paused_changed = true;
    }

    fn request_commit(&self) {
        self.lock().commit = true;
    }
}
