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

/// How much longer than to its deadline a read waits for the answer that says what was in the way.
const ANSWER: Duration = Duration::from_millis(500);

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
        Box::new(OffsetSink { offsets: Arc::clone(self), anew: None })
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
struct OffsetSink {
    offsets: Arc<Offsets>,
    /// What the topic holds that took the place of the one that was read; it counts once it is complete.
    anew: Option<OffsetTable>,
}

impl LogSink for OffsetSink {
    fn records(&mut self, records: &LogRecords) {
        match &mut self.anew {
            Some(table) => store(table, records),
            None => store(&mut self.offsets.write(), records),
        }
    }

    fn read_to_end(&mut self) {
        if let Some(table) = self.anew.take() {
            *self.offsets.write() = table;
        }
    }

    fn begins_anew(&mut self, _: &str) {
        self.anew = Some(OffsetTable::default());
    }

    fn unreadable(&mut self, _: &str) {}

    fn readable(&mut self) {}
}

fn store(table: &mut OffsetTable, records: &LogRecords) {
    for record in records.iter() {
        // Nobody asks for the null key.
        if let Some(key) = record.key {
            table.set(key, record.value);
        }
    }
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
        let patience = deadline.left(Clock.now().instant).saturating_add(ANSWER);
        let answer = pending.wait(patience).map_err(|_| timed_out())?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::topic_log::LogRecord;

    fn records(of: &[(Option<&str>, Option<&str>)]) -> LogRecords {
        let mut records = LogRecords::of(0);
        for (key, value) in of {
            let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
            records.push(LogRecord { key, value, offset: 0, timestamp: -1 });
        }
        records
    }

    #[test]
    fn a_topic_that_begins_anew_counts_once_it_is_read() {
        let offsets = Offsets::new();
        let mut sink = offsets.sink();
        let get = |key: &str| offsets.read().get(key.as_bytes());
        sink.records(&records(&[(Some("old"), Some("1")), (Some("both"), Some("1")), (None, Some("x"))]));
        sink.read_to_end();
        assert_eq!((get("old"), get("both"), offsets.len()), (Some("1".into()), Some("1".into()), 2));
        sink.begins_anew("another topic");
        sink.records(&records(&[(Some("both"), Some("2"))]));
        assert_eq!((get("old"), get("both")), (Some("1".into()), Some("1".into())));
        sink.read_to_end();
        assert_eq!((get("old"), get("both")), (None, Some("2".into())));
        sink.records(&records(&[(Some("both"), None)]));
        assert!(offsets.is_empty());
    }
}
