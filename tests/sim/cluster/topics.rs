//! Internal topics: logs of records with keys. Each worker reads them at its own pace; compaction takes out what was
//! overwritten.

use std::collections::BTreeSet;

/// A record of a topic.
pub(super) trait Keyed: Clone {
    /// What it overwrites.
    fn key(&self) -> String;
    /// Whether it only takes something out.
    fn is_tombstone(&self) -> bool;
}

/// All records there ever were, and which of them are still to be read.
#[derive(Debug)]
pub(super) struct Topic<T> {
    records: Vec<T>,
    compacted: Vec<bool>,
}

impl<T: Keyed> Topic<T> {
    pub(super) fn new() -> Self {
        Topic { records: Vec::new(), compacted: Vec::new() }
    }

    /// Where the next record comes.
    pub(super) fn end(&self) -> usize {
        self.records.len()
    }

    /// All records from there on, also those that were taken out since.
    pub(super) fn history(&self, from: usize) -> &[T] {
        &self.records[from.min(self.records.len())..]
    }

    pub(super) fn append(&mut self, records: impl IntoIterator<Item = T>) {
        self.records.extend(records);
        self.compacted.resize(self.records.len(), false);
    }

    /// Reads so many records at most; says with them how far that goes: past the last of them.
    pub(super) fn read(&self, from: usize, most: usize) -> (Vec<T>, usize) {
        let left = (from..self.records.len()).filter(|offset| !self.compacted[*offset]).take(most);
        let left: Vec<_> = left.collect();
        let to = left.last().map_or(from, |last| last + 1);
        (left.into_iter().map(|offset| self.records[offset].clone()).collect(), to)
    }

    /// Takes out what was overwritten before `dirty`, and tombstones that all have read: those before `old`. The last
    /// record stays in any case.
    pub(super) fn compact(&mut self, dirty: usize, old: usize) {
        let dirty = dirty.min(self.records.len().saturating_sub(1));
        let mut later = BTreeSet::new();
        for offset in (0..dirty).rev() {
            let record = &self.records[offset];
            if !later.insert(record.key()) || (record.is_tombstone() && offset < old) {
                self.compacted[offset] = true;
            }
        }
    }
}

impl Keyed for herdsman::store::config_records::ConfigRecord {
    fn key(&self) -> String {
        self.key().into_owned()
    }

    fn is_tombstone(&self) -> bool {
        self.value().is_none()
    }
}

impl Keyed for herdsman::store::status_records::StatusRecord {
    fn key(&self) -> String {
        self.key()
    }

    fn is_tombstone(&self) -> bool {
        self.value().is_none()
    }
}

/// How far a worker has read a topic.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) position: usize,
    /// It is about to read on.
    pub(super) is_due: bool,
}
