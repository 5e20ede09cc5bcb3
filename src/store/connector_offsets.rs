//! The offset stores of connectors that have a topic of their own for their offsets (`offsets.storage.topic`), beside that
//! of the worker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;

use super::offset_record::OffsetKey;
use super::offset_store::{OffsetChange, OffsetStore, OffsetStoreError, OffsetsWritten, StoredOffset};
use super::topic_log::{LogStage, LogTopic, LogsNotStarted, TopicLogs, TopicSpec};
use super::topic_offsets::{Offsets, TopicOffsetStore};
use crate::api::ids::ConnectorName;
use crate::config::client::internal_topics::InternalTopicClients;
use crate::stdx::reply::Reply;
use crate::stdx::thread;
use crate::stdx::time::Deadline;

/// The topics of connectors that are read at the moment, each once for all that need it. A topic is followed as long as
/// somebody has its store.
#[derive(Debug, Default)]
pub struct OwnOffsetStores(Mutex<Stores>);

/// By topic and clients.
type Stores = HashMap<(Arc<str>, InternalTopicClients), Weak<OwnOffsetStore>>;

/// The store over a topic of a connector, with the threads that follow it.
#[derive(Debug)]
struct OwnOffsetStore {
    store: TopicOffsetStore,
    logs: Option<TopicLogs>,
}

impl Drop for OwnOffsetStore {
    /// Closing takes a moment, and whoever drops the store last may be a thread of the topic itself.
    fn drop(&mut self) {
        let logs = self.logs.take();
        // Without a thread it is closed here.
        if let Ok(closing) = thread::spawn("offset-topic-close", thread::STACK_BYTES, move || drop(logs)) {
            closing.abandon();
        }
    }
}

impl OwnOffsetStores {
    /// The store over a topic, which is created or checked like the worker's. Does not wait for the broker: reads do.
    ///
    /// # Errors
    /// Client settings that librdkafka refuses, or no threads.
    pub fn get(
        &self,
        spec: TopicSpec,
        clients: InternalTopicClients,
    ) -> Result<Arc<dyn OffsetStore>, LogsNotStarted> {
        let key = (Arc::clone(&spec.name), clients);
        let mut stores = self.lock();
        if let Some(store) = stores.get(&key).and_then(Weak::upgrade) {
            return Ok(store);
        }
        stores.retain(|_, store| store.strong_count() > 0);
        let store = Arc::new(OwnOffsetStore::start(spec, &key.1)?);
        stores.insert(key, Arc::downgrade(&store));
        Ok(store)
    }

    fn lock(&self) -> MutexGuard<'_, Stores> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OwnOffsetStore {
    fn start(spec: TopicSpec, clients: &InternalTopicClients) -> Result<Self, LogsNotStarted> {
        let (offsets, name) = (Offsets::new(), Arc::clone(&spec.name));
        let topic = LogTopic { spec, sink: offsets.sink() };
        // What is in the way is logged, and told to who waits for an answer.
        let on_stage = Box::new(|stage: LogStage| log::debug!("{stage}"));
        let (logs, log) = TopicLogs::start(clients, vec![topic], on_stage)?;
        Ok(OwnOffsetStore { store: TopicOffsetStore::new(log, name, offsets), logs: Some(logs) })
    }
}

impl OffsetStore for OwnOffsetStore {
    fn read(&self, keys: &[OffsetKey], deadline: Deadline) -> Result<Vec<Option<Bytes>>, OffsetStoreError> {
        self.store.read(keys, deadline)
    }

    fn write(&self, changes: Vec<OffsetChange>, done: Reply<OffsetsWritten>) {
        self.store.write(changes, done);
    }

    fn offsets_of(
        &self,
        connector: &ConnectorName,
        deadline: Deadline,
    ) -> Result<Vec<StoredOffset>, OffsetStoreError> {
        self.store.offsets_of(connector, deadline)
    }
}

/// A connector's own store, which decides, and the worker's, which has what was there before the connector had its own,
/// and what it would go on from without.
pub struct TwoOffsetStores {
    primary: Arc<dyn OffsetStore>,
    secondary: Arc<dyn OffsetStore>,
}

impl TwoOffsetStores {
    /// Both.
    pub fn new(primary: Arc<dyn OffsetStore>, secondary: Arc<dyn OffsetStore>) -> Self {
        TwoOffsetStores { primary, secondary }
    }
}

impl OffsetStore for TwoOffsetStores {
    fn read(&self, keys: &[OffsetKey], deadline: Deadline) -> Result<Vec<Option<Bytes>>, OffsetStoreError> {
        let primary = self.primary.read(keys, deadline)?;
        let secondary = self.secondary.read(keys, deadline)?;
        Ok(primary.into_iter().zip(secondary).map(|(first, second)| first.or(second)).collect())
    }

    /// Offsets that are forgotten are forgotten in the secondary store first: else it would show what is gone. All others
    /// are copied there once they are in the primary one; that this fails is logged only.
    fn write(&self, changes: Vec<OffsetChange>, done: Reply<OffsetsWritten>) {
        let (gone, others): (Vec<_>, Vec<_>) =
            changes.iter().cloned().partition(|(_, offset)| offset.is_none());
        let (primary, secondary) = (Arc::clone(&self.primary), Arc::clone(&self.secondary));
        let write = move || {
            let copy = move |outcome: OffsetsWritten| {
                if outcome.is_ok() && !others.is_empty() {
                    secondary.write(others, Reply::calling(tell_failure));
                }
                done.send(outcome);
            };
            primary.write(changes, Reply::calling(copy));
        };
        if gone.is_empty() {
            return write();
        }
        let write = move |outcome: OffsetsWritten| match outcome {
            Ok(()) => write(),
            // What is to be written is dropped, and with it the reply.
            Err(why) => log::warn!("offsets were not forgotten by the secondary store, so not at all: {why}"),
        };
        self.secondary.write(gone, Reply::calling(write));
    }

    fn offsets_of(
        &self,
        connector: &ConnectorName,
        deadline: Deadline,
    ) -> Result<Vec<StoredOffset>, OffsetStoreError> {
        let mut stored = self.primary.offsets_of(connector, deadline)?;
        for other in self.secondary.offsets_of(connector, deadline)? {
            if !stored.iter().any(|known| known.partition == other.partition) {
                stored.push(other);
            }
        }
        Ok(stored)
    }
}

fn tell_failure(outcome: OffsetsWritten) {
    if let Err(why) = outcome {
        log::warn!("Failed to write offsets to secondary backing store: {why}");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::api::offset::OffsetMap;
    use crate::stdx::reply::reply;
    use crate::stdx::time::Clock;
    use crate::store::offset_store::stored_offset;

    /// A store in memory that tells what is written to it, in order, and may fail.
    struct Fake {
        name: &'static str,
        log: Arc<Mutex<Vec<String>>>,
        fails: bool,
        stored: Mutex<Vec<(OffsetKey, Bytes)>>,
    }

    impl Fake {
        fn new(name: &'static str, log: &Arc<Mutex<Vec<String>>>, fails: bool) -> Arc<Self> {
            Arc::new(Fake { name, log: Arc::clone(log), fails, stored: Mutex::default() })
        }
    }

    impl OffsetStore for Fake {
        fn read(&self, keys: &[OffsetKey], _: Deadline) -> Result<Vec<Option<Bytes>>, OffsetStoreError> {
            let stored = self.stored.lock().unwrap();
            let find = |key: &OffsetKey| {
                let found = stored.iter().find(|(other, _)| other.as_bytes() == key.as_bytes());
                found.map(|(_, offset)| offset.clone())
            };
            Ok(keys.iter().map(find).collect())
        }

        fn write(&self, changes: Vec<OffsetChange>, done: Reply<OffsetsWritten>) {
            let shown = changes.iter().map(|(_, offset)| match offset {
                Some(offset) => String::from_utf8_lossy(offset).into_owned(),
                None => "-".to_owned(),
            });
            let line = format!("{} {}", self.name, shown.collect::<Vec<_>>().join(" "));
            self.log.lock().unwrap().push(line);
            if self.fails {
                return drop(done);
            }
            let mut stored = self.stored.lock().unwrap();
            for (key, offset) in changes {
                stored.retain(|(other, _)| other.as_bytes() != key.as_bytes());
                stored.extend(offset.map(|offset| (key, offset)));
            }
            drop(stored);
            done.send(Ok(()));
        }

        fn offsets_of(&self, _: &ConnectorName, _: Deadline) -> Result<Vec<StoredOffset>, OffsetStoreError> {
            let stored = self.stored.lock().unwrap();
            Ok(stored.iter().filter_map(|(key, offset)| stored_offset(key.clone(), offset)).collect())
        }
    }

    fn change(partition: i64, offset: Option<&'static str>) -> OffsetChange {
        (OffsetKey::new(&"c".into(), &OffsetMap::of("p", partition)), offset.map(Bytes::from))
    }

    /// What a write leads to, in order, and whether it is answered well.
    fn written(primary_fails: bool, secondary_fails: bool, changes: Vec<OffsetChange>) -> (String, bool) {
        let log = Arc::default();
        let (primary, secondary) =
            (Fake::new("primary", &log, primary_fails), Fake::new("secondary", &log, secondary_fails));
        let (done, pending) = reply();
        TwoOffsetStores::new(primary, secondary).write(changes, done);
        let outcome = pending.wait(Duration::ZERO).unwrap();
        let log = log.lock().unwrap().join(", ");
        (log, outcome.is_ok())
    }

    #[test]
    fn the_primary_store_decides_and_what_is_forgotten_is_forgotten_by_both() {
        let (one, two, gone) = (|| change(1, Some("1")), || change(2, Some("2")), || change(3, None));
        for (primary_fails, secondary_fails, changes, expected, good) in [
            (false, false, vec![one(), two()], "primary 1 2, secondary 1 2", true),
            (false, true, vec![one()], "primary 1, secondary 1", true),
            (true, false, vec![one()], "primary 1", false),
            (false, false, vec![one(), gone()], "secondary -, primary 1 -, secondary 1", true),
            (false, false, vec![gone()], "secondary -, primary -", true),
            (false, true, vec![one(), gone()], "secondary -", false),
        ] {
            let (log, is_good) = written(primary_fails, secondary_fails, changes);
            assert_eq!((log.as_str(), is_good), (expected, good));
        }
    }

    #[test]
    fn both_are_read_and_the_primary_goes_before() {
        let log = Arc::default();
        let (primary, secondary) = (Fake::new("primary", &log, false), Fake::new("secondary", &log, false));
        let offset = |text: &'static str| Some(text);
        primary.write(vec![change(1, offset(r#"{"n":10}"#))], reply().0);
        secondary.write(vec![change(1, offset(r#"{"n":1}"#)), change(2, offset(r#"{"n":2}"#))], reply().0);
        let both = TwoOffsetStores::new(primary, secondary);
        let now = Clock.deadline(Duration::ZERO);
        let keys: Vec<_> = [1, 2, 3].map(|partition| change(partition, None).0).into();
        let read = both.read(&keys, now).unwrap();
        assert_eq!(read, [Some(Bytes::from(r#"{"n":10}"#)), Some(Bytes::from(r#"{"n":2}"#)), None]);
        let shown: Vec<_> =
            both.offsets_of(&"c".into(), now).unwrap().into_iter().map(|stored| stored.offset).collect();
        assert_eq!(shown, [OffsetMap::of("n", 10), OffsetMap::of("n", 2)]);
    }
}
