//! The offset store of distributed mode: the offset topic, and all it holds in memory.
//!
//! What can be read is what was read back from the topic, where other workers write, too. So every read first waits for
//! the end of the topic, and a write is answered when it has come back.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use bytes::Bytes;

use super::offset_record::OffsetKey;
use super::offset_store::{
    OffsetChange, OffsetStore, OffsetStoreError, OffsetsWritten, StoredOffset, stored_offset,
};
use super::offset_table::OffsetTable;
use super::topic_log::{LogAnswer, LogError, LogHandle, LogRecords, LogSink, TopicRole};
use crate::api::ids::ConnectorName;
use crate::stdx::reply::{Reply, reply};
use crate::stdx::time::{Clock, Deadline};

/// Offsets never expire: who wrote them waits as long as it wants to.
const NEVER: Duration = Duration::MAX;

/// Keeps offsets in a topic. Shared by all threads.
#[derive(Debug)]
pub struct TopicOffsetStore {
    log: LogHandle,
    topic: Arc<str>,
    offsets: Arc<Offsets>,
}

/// What the offset topic holds. Made before the logs, which fill it.
#[derive(Debug, Default)]
pub struct Offsets(RwLock<OffsetTable>);

impl Offsets {
    /// None yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What fills it with the records of the offset topic.
    pub fn sink(self: &Arc<Self>) -> Box<dyn LogSink> {
        Box::new(OffsetSink(Arc::clone(self)))
    }

    /// How many offsets there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read(&self) -> RwLockReadGuard<'_, OffsetTable> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, OffsetTable> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stores records as they come. A lookup waits for a batch at most.
struct OffsetSink(Arc<Offsets>);

impl LogSink for OffsetSink {
    fn records(&mut self, records: &LogRecords) {
        let mut table = self.0.write();
        for record in records.iter() {
            // Nobody asks for the null key.
            if let Some(key) = record.key {
                table.set(key, record.value);
            }
        }
    }

    fn read_to_end(&mut self) {}

    fn begins_anew(&mut self, _: &str) {
        // Who asks meanwhile waits for the end, so nobody sees the table half full.
        *self.0.write() = OffsetTable::default();
    }

    fn unreadable(&mut self, _: &str) {}

    fn readable(&mut self) {}
}

impl TopicOffsetStore {
    /// The store over the offset topic of these logs, whose records go to `offsets`.
    pub fn new(log: LogHandle, topic: Arc<str>, offsets: Arc<Offsets>) -> Self {
        TopicOffsetStore { log, topic, offsets }
    }

    /// Waits until the table has all that is in the topic now.
    fn read_to_end(&self, deadline: Deadline) -> Result<(), OffsetStoreError> {
        let (done, pending) = reply();
        self.log.read_to_end(TopicRole::Offset, deadline, done);
        let timed_out = || OffsetStoreError::TimedOut { store: Arc::clone(&self.topic) };
        let answer = pending.wait(deadline.left(Clock.now().instant)).map_err(|_| timed_out())?;
        answer.map_err(|error| self.read_error(error))
    }

    fn read_error(&self, error: LogError) -> OffsetStoreError {
        let store = Arc::clone(&self.topic);
        match error {
            LogError::TimedOut { why: None, .. } => OffsetStoreError::TimedOut { store },
            LogError::Closed => OffsetStoreError::Closed,
            error @ (LogError::Busy { .. }
            | LogError::TimedOut { .. }
            | LogError::Refused(_)
            | LogError::BeganAnew { .. }
            | LogError::Fenced(_)
            | LogError::NotClaimed
            | LogError::NoTopic(_)) => {
                OffsetStoreError::Read { store, class: error.class(), cause: Arc::new(error) }
            }
        }
    }
}

impl OffsetStore for TopicOffsetStore {
    fn read(&self, keys: &[OffsetKey], deadline: Deadline) -> Result<Vec<Option<Bytes>>, OffsetStoreError> {
        self.read_to_end(deadline)?;
        let table = self.offsets.read();
        Ok(keys.iter().map(|key| table.get(key.as_bytes())).collect())
    }

    fn write(&self, changes: Vec<OffsetChange>, done: Reply<OffsetsWritten>) {
        let entries = changes.into_iter().map(|(key, value)| (key.into_bytes(), value)).collect();
        let store = Arc::clone(&self.topic);
        let answer = move |answer: LogAnswer| done.send(answer.map_err(|error| write_error(store, error)));
        self.log.append(TopicRole::Offset, entries, Clock.deadline(NEVER), Reply::calling(answer));
    }

    fn offsets_of(
        &self,
        connector: &ConnectorName,
        deadline: Deadline,
    ) -> Result<Vec<StoredOffset>, OffsetStoreError> {
        self.read_to_end(deadline)?;
        let mut stored = self.offsets.read().of_connector(&OffsetKey::prefix_of(connector));
        stored.sort();
        let stored = stored.into_iter();
        Ok(stored.filter_map(|(key, offset)| stored_offset(OffsetKey::from_stored(key), &offset)).collect())
    }
}

fn write_error(store: Arc<str>, error: LogError) -> OffsetStoreError {
    match error {
        LogError::Busy { .. } => OffsetStoreError::Busy { store },
        LogError::Closed => OffsetStoreError::Closed,
        error @ (LogError::TimedOut { .. }
        | LogError::Refused(_)
        | LogError::BeganAnew { .. }
        | LogError::Fenced(_)
        | LogError::NotClaimed
        | LogError::NoTopic(_)) => {
            OffsetStoreError::Write { store, class: error.class(), cause: Arc::new(error) }
        }
    }
}
