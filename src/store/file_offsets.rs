//! The offset store of standalone mode: everything in memory, and in one file in Apache's format.
//!
//! Reads come from memory. Writes go through a bounded queue to one thread, which takes all that wait, writes the file
//! once and answers them all. What can be read is what a restart would read: a write is visible once it is on disk.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::offset_record::OffsetKey;
use super::offset_store::{self, OffsetChange, OffsetStore, OffsetStoreError, OffsetsWritten, StoredOffset};
use super::offsets_file::{OffsetsFile, OffsetsFileError};
use crate::api::ids::ConnectorName;
use crate::stdx::error_class::ErrorClass;
use crate::stdx::reply::Reply;
use crate::stdx::thread::{self, JoinOnDrop};
use crate::stdx::time::Deadline;

/// The most writes that wait for the disk. A task has at most one, so this is far more than tasks.
const WAITING_MAX: usize = 1024;

/// Why the store did not start.
#[derive(Debug, thiserror::Error)]
pub enum FileOffsetStoreError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] OffsetsFileError),
    /// The system has no thread to give.
    #[error("cannot start the thread that writes offsets")]
    Thread(#[source] io::Error),
}

/// Keeps offsets in a file. Dropping it finishes the writes that wait.
#[derive(Debug)]
pub struct FileOffsetStore {
    writes: Sender<OffsetsWrite>, // dropped first: the writer sees the queue closed, finishes it and ends
    shared: Arc<Shared>,
    _writer: JoinOnDrop, // dropped last: waits for the writer
}

#[derive(Debug)]
struct OffsetsWrite {
    changes: Vec<OffsetChange>,
    done: Reply<OffsetsWritten>,
}

#[derive(Debug)]
struct Shared {
    /// The path, as messages name the store.
    name: Arc<str>,
    offsets: RwLock<Offsets>,
}

#[derive(Debug, Default)]
struct Offsets {
    by_key: BTreeMap<Bytes, Option<Bytes>>,
    /// The value of Java's null key. Nobody asks for it; it stays in the file.
    of_null: Option<Option<Bytes>>,
}

impl FileOffsetStore {
    /// Opens the file, or creates it with no offsets, reads it and starts the writer. Blocks for the disk.
    ///
    /// An empty file is one without offsets. A file cut short, of another format or in use by another worker is an
    /// error and stays as it is.
    pub fn open(path: &Path) -> Result<Self, FileOffsetStoreError> {
        let (file, entries) = OffsetsFile::open(path)?;
        let mut offsets = Offsets::default();
        for (key, value) in entries {
            match key {
                Some(key) => {
                    if let Err(error) = OffsetKey::from_stored(key.clone()).parse() {
                        log::warn!(
                            "{}: the key {} is kept, but belongs to no connector: {error}",
                            file.path().display(),
                            key.escape_ascii()
                        );
                    }
                    offsets.by_key.insert(key, value);
                }
                None => offsets.of_null = Some(value),
            }
        }
        log::info!("{} has offsets under {} keys", file.path().display(), offsets.by_key.len());
        let name = file.path().display().to_string().into();
        let shared = Arc::new(Shared { name, offsets: RwLock::new(offsets) });
        let (writes, queue) = bounded(WAITING_MAX);
        let writer = Writer { file, shared: Arc::clone(&shared), queue };
        let thread = thread::spawn("offsets-writer", thread::STACK_BYTES, move || writer.run())
            .map_err(FileOffsetStoreError::Thread)?;
        Ok(FileOffsetStore { writes, shared, _writer: thread })
    }
}

impl OffsetStore for FileOffsetStore {
    fn read(&self, keys: &[OffsetKey], _: Deadline) -> Result<Vec<Option<Bytes>>, OffsetStoreError> {
        let offsets = self.shared.read();
        Ok(keys.iter().map(|key| offsets.by_key.get(key.as_bytes()).cloned().flatten()).collect())
    }

    fn write(&self, changes: Vec<OffsetChange>, done: Reply<OffsetsWritten>) {
        match self.writes.try_send(OffsetsWrite { changes, done }) {
            Ok(()) => {}
            Err(TrySendError::Full(write)) => {
                write.done.send(Err(OffsetStoreError::Busy { store: Arc::clone(&self.shared.name) }));
            }
            Err(TrySendError::Disconnected(write)) => write.done.send(Err(OffsetStoreError::Closed)),
        }
    }

    fn offsets_of(
        &self,
        connector: &ConnectorName,
        _: Deadline,
    ) -> Result<Vec<StoredOffset>, OffsetStoreError> {
        Ok(offset_store::offsets_of(connector, self.shared.read().by_key.iter()))
    }
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, Offsets> {
        // The lock is held for reading while the disk is busy: only the writer changes offsets, so nobody waits.
        self.offsets.read().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Writer {
    file: OffsetsFile,
    shared: Arc<Shared>,
    queue: Receiver<OffsetsWrite>,
}

impl Writer {
    fn run(mut self) {
        while self.turn() {}
    }

    /// Waits for a write, takes all that came meanwhile and answers them. False once nobody can write any more.
    fn turn(&mut self) -> bool {
        let Ok(first) = self.queue.recv() else { return false };
        let mut changes = BTreeMap::new();
        let mut waiting = Vec::new();
        for write in std::iter::once(first).chain(self.queue.try_iter().take(WAITING_MAX)) {
            changes.extend(write.changes.into_iter().map(|(key, value)| (key.into_bytes(), value)));
            waiting.push(write.done);
        }
        let written = self.write(changes);
        if let Err(error) = &written {
            log::error!("{} writes of offsets failed: {}", waiting.len(), chain(error));
        }
        for done in waiting {
            done.send(written.clone());
        }
        true
    }

    fn write(&mut self, changes: BTreeMap<Bytes, Option<Bytes>>) -> OffsetsWritten {
        let replaced = {
            let offsets = self.shared.read();
            let mut merged: BTreeMap<Option<&[u8]>, Option<&[u8]>> = BTreeMap::new();
            merged.extend(offsets.of_null.iter().map(|value| (None, value.as_deref())));
            let by_key = offsets.by_key.iter().chain(&changes);
            merged.extend(by_key.map(|(key, value)| (Some(&**key), value.as_deref())));
            self.file.replace(merged.into_iter())
        };
        replaced.map_err(|error| OffsetStoreError::Write {
            store: Arc::clone(&self.shared.name),
            // A full disk or a folder taken away: a person can help, and the offsets are still in memory.
            class: ErrorClass::Retriable,
            cause: Arc::new(error),
        })?;
        self.shared.offsets.write().unwrap_or_else(PoisonError::into_inner).by_key.extend(changes);
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Only a panic leaves writes behind. A queue keeps them as long as it has senders: here they get their answer.
        self.queue.try_iter().for_each(drop);
    }
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;
    use crate::api::offset::OffsetMap;
    use crate::stdx::reply::{Pending, reply};
    use crate::stdx::time::Clock;
    use crate::store::java_map;
    use crate::store::offset_record::encode_offset;

    const SOON: Duration = Duration::from_secs(10);

    fn folder() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("connect.offsets");
        (folder, path)
    }

    fn key(partition: i64) -> OffsetKey {
        OffsetKey::new(&"lines".into(), &OffsetMap::of("p", partition))
    }

    fn change(partition: i64, position: i64) -> OffsetChange {
        (key(partition), Some(encode_offset(&OffsetMap::of("n", position))))
    }

    fn write(store: &FileOffsetStore, changes: Vec<OffsetChange>) -> Pending<OffsetsWritten> {
        let (done, pending) = reply();
        store.write(changes, done);
        pending
    }

    fn stored(store: &FileOffsetStore) -> Vec<(OffsetMap, OffsetMap)> {
        let found = store.offsets_of(&"lines".into(), Clock.deadline(SOON)).unwrap();
        found.into_iter().map(|stored| (stored.partition, stored.offset)).collect()
    }

    fn of(partition: i64, position: i64) -> (OffsetMap, OffsetMap) {
        (OffsetMap::of("p", partition), OffsetMap::of("n", position))
    }

    #[test]
    fn what_was_answered_is_there_after_a_restart_and_tombstones_stay_in_the_file() {
        let (_folder, path) = folder();
        let store = FileOffsetStore::open(&path).unwrap();
        write(&store, vec![change(1, 10), change(2, 20)]).wait(SOON).unwrap().unwrap();
        write(&store, vec![change(1, 11), (key(2), None)]).wait(SOON).unwrap().unwrap();
        drop(store);
        let store = FileOffsetStore::open(&path).unwrap();
        assert_eq!(stored(&store), [of(1, 11)]);
        let read = store.read(&[key(2), key(1), key(3)], Clock.deadline(SOON)).unwrap();
        assert_eq!(read, [None, Some(Bytes::from(r#"{"n":11}"#)), None]);
        assert_eq!(java_map::read(&std::fs::read(&path).unwrap()).unwrap().len(), 2);
    }

    #[test]
    fn the_file_of_apache_is_kept_whole() {
        let (_folder, path) = folder();
        let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/connect-offsets-tombstones.bin");
        std::fs::copy(sample, &path).unwrap();
        let store = FileOffsetStore::open(&path).unwrap();
        write(&store, vec![change(1, 10)]).wait(SOON).unwrap().unwrap();
        drop(store);
        let read = |path: &Path| -> BTreeMap<_, _> {
            java_map::read(&std::fs::read(path).unwrap()).unwrap().into_iter().collect()
        };
        let mut expected = read(Path::new(sample));
        let (key, value) = change(1, 10);
        expected.insert(Some(key.into_bytes()), value);
        assert_eq!(read(&path), expected);
    }

    #[test]
    fn foreign_keys_and_the_null_key_stay_in_the_file() {
        let (_folder, path) = folder();
        let bytes = |text: &'static str| Some(Bytes::from(text));
        let foreign: [java_map::Entry; 2] = [(None, bytes("x")), (bytes("not json"), bytes("y"))];
        let mut content = Vec::new();
        java_map::write(&mut content, foreign.iter().map(|(k, v)| (k.as_deref(), v.as_deref()))).unwrap();
        std::fs::write(&path, content).unwrap();
        let store = FileOffsetStore::open(&path).unwrap();
        write(&store, vec![change(1, 10)]).wait(SOON).unwrap().unwrap();
        drop(store);
        let kept = java_map::read(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(kept.len(), 3);
        assert!(foreign.iter().all(|entry| kept.contains(entry)), "{kept:?}");
    }

    #[test]
    fn writes_that_wait_together_are_one_write_and_the_last_value_wins() {
        let (_folder, path) = folder();
        let (file, _) = OffsetsFile::open(&path).unwrap();
        let shared = Arc::new(Shared { name: "test".into(), offsets: RwLock::default() });
        let (writes, queue) = bounded(8);
        let mut writer = Writer { file, shared: Arc::clone(&shared), queue };
        let pending: Vec<_> = (0..5)
            .map(|position| {
                let (done, pending) = reply();
                writes.send(OffsetsWrite { changes: vec![change(1, position)], done }).unwrap();
                pending
            })
            .collect();
        assert!(writer.turn());
        for pending in pending {
            pending.wait(Duration::ZERO).unwrap().unwrap();
        }
        assert_eq!(shared.read().by_key.get(key(1).as_bytes()), Some(&change(1, 4).1));
        drop(writes);
        assert!(!writer.turn());
    }

    #[test]
    fn a_failed_write_is_told_and_changes_nothing_and_the_next_one_works() {
        let (folder, path) = folder();
        let store = FileOffsetStore::open(&path).unwrap();
        write(&store, vec![change(1, 10)]).wait(SOON).unwrap().unwrap();
        let away = folder.path().join("away");
        std::fs::rename(&path, &away).unwrap();
        std::fs::create_dir(&path).unwrap();
        let error = write(&store, vec![change(1, 11)]).wait(SOON).unwrap().unwrap_err();
        assert_eq!(error.class(), ErrorClass::Retriable);
        assert!(error.to_string().contains("connect.offsets"), "{error}");
        assert_eq!(stored(&store), [of(1, 10)]);
        std::fs::remove_dir(&path).unwrap();
        std::fs::rename(&away, &path).unwrap();
        write(&store, vec![change(1, 12)]).wait(SOON).unwrap().unwrap();
        drop(store);
        assert_eq!(stored(&FileOffsetStore::open(&path).unwrap()), [of(1, 12)]);
    }

    #[test]
    fn a_full_queue_is_an_error_that_can_be_tried_again_and_dropping_finishes_the_rest() {
        let (_folder, path) = folder();
        let (file, _) = OffsetsFile::open(&path).unwrap();
        let shared = Arc::new(Shared { name: "test".into(), offsets: RwLock::default() });
        let (writes, queue) = bounded(1);
        let gate = thread::spawn("gate", thread::STACK_BYTES, || ()).unwrap();
        let store = FileOffsetStore { writes, shared: Arc::clone(&shared), _writer: gate };
        let first = write(&store, vec![change(1, 1)]);
        let refused = write(&store, vec![change(1, 2)]).wait(Duration::ZERO).unwrap().unwrap_err();
        assert_eq!(refused.class(), ErrorClass::Retriable);
        drop(store);
        Writer { file, shared, queue }.run();
        first.wait(Duration::ZERO).unwrap().unwrap();
    }

    #[test]
    fn a_writer_that_is_gone_answers_all_the_same() {
        let (_folder, path) = folder();
        let (file, _) = OffsetsFile::open(&path).unwrap();
        let shared = Arc::new(Shared { name: "test".into(), offsets: RwLock::default() });
        let (writes, queue) = bounded(8);
        let gate = thread::spawn("gate", thread::STACK_BYTES, || ()).unwrap();
        let store = FileOffsetStore { writes, shared: Arc::clone(&shared), _writer: gate };
        let waiting = write(&store, vec![change(1, 1)]);
        drop(Writer { file, shared, queue });
        assert_eq!(waiting.wait(SOON).unwrap().unwrap_err().class(), ErrorClass::Fatal);
        let late = write(&store, vec![change(1, 2)]).wait(SOON).unwrap().unwrap_err();
        assert_eq!(late.class(), ErrorClass::Fatal);
    }

    #[test]
    fn writers_on_many_threads_end_with_their_own_last_value() {
        let (_folder, path) = folder();
        let store = FileOffsetStore::open(&path).unwrap();
        std::thread::scope(|scope| {
            for partition in 0..4 {
                let store = &store;
                scope.spawn(move || {
                    for position in 0..50 {
                        let pending = write(store, vec![change(partition, position)]);
                        if position % 10 == 9 {
                            pending.wait(SOON).unwrap().unwrap();
                        }
                    }
                });
            }
        });
        drop(store);
        let store = FileOffsetStore::open(&path).unwrap();
        assert_eq!(stored(&store), (0..4).map(|partition| of(partition, 49)).collect::<Vec<_>>());
    }
}
