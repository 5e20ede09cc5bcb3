//! A batch of records of one partition of an internal topic. All its bytes lie in one buffer, which the next batch uses
//! again: no record costs an allocation.

use std::fmt;
use std::ops::Range;

/// A record of an internal topic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LogRecord<'a> {
    /// The key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is null, which makes the record a tombstone.
    pub value: Option<&'a [u8]>,
    /// The offset within the partition.
    pub offset: i64,
    /// Milliseconds since 1970-01-01; -1 where there is none.
    pub timestamp: i64,
}

impl fmt::Debug for LogRecord<'_> {
    /// Without the value: it may hold the password of a connector.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogRecord")
            .field("key", &self.key.map(|key| key.escape_ascii().to_string()))
            .field("value_bytes", &self.value.map(<[u8]>::len))
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

/// Consecutive records of one partition, in the order of their offsets.
#[derive(Default)]
pub struct LogRecords {
    partition: i32,
    bytes: Vec<u8>,
    records: Vec<Placed>,
}

/// A record whose bytes lie in the buffer: key first, value after it.
struct Placed {
    start: usize,
    key_bytes: Option<usize>,
    value_bytes: Option<usize>,
    offset: i64,
    timestamp: i64,
}

impl LogRecords {
    /// No records yet, of a partition.
    pub fn of(partition: i32) -> Self {
        LogRecords { partition, ..LogRecords::default() }
    }

    /// Forgets all records, keeps their room, and goes on with a partition.
    pub fn begin(&mut self, partition: i32) {
        self.partition = partition;
        self.bytes.clear();
        self.records.clear();
    }

    /// Copies a record into the batch.
    pub fn push(&mut self, record: LogRecord<'_>) {
        let LogRecord { key, value, offset, timestamp } = record;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key.unwrap_or_default());
        self.bytes.extend_from_slice(value.unwrap_or_default());
        let (key_bytes, value_bytes) = (key.map(<[u8]>::len), value.map(<[u8]>::len));
        self.records.push(Placed { start, key_bytes, value_bytes, offset, timestamp });
    }

    /// The partition that all records are of.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many bytes their keys and values have.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The records in order.
    pub fn iter(&self) -> impl Iterator<Item = LogRecord<'_>> {
        self.records.iter().map(|placed| {
            let value_start = placed.start + placed.key_bytes.unwrap_or(0);
            let slice = |range: Range<usize>| &self.bytes[range];
            LogRecord {
                key: placed.key_bytes.map(|len| slice(placed.start..placed.start + len)),
                value: placed.value_bytes.map(|len| slice(value_start..value_start + len)),
                offset: placed.offset,
                timestamp: placed.timestamp,
            }
        })
    }
}

impl fmt::Debug for LogRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogRecords")
            .field("partition", &self.partition)
            .field("records", &self.records.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_out_as_they_went_in_and_room_is_used_again() {
        let record = |key, value, offset| LogRecord { key, value, offset, timestamp: offset * 10 };
        let first = [
            record(Some(&b"key"[..]), Some(&b"value"[..]), 1),
            record(None, Some(b""), 2),
            record(Some(b""), None, 5),
        ];
        let mut batch = LogRecords::of(3);
        first.iter().for_each(|record| batch.push(*record));
        assert_eq!(batch.iter().collect::<Vec<_>>(), first);
        assert_eq!((batch.partition(), batch.len(), batch.bytes()), (3, 3, 8));
        batch.begin(4);
        assert!(batch.is_empty());
        let second = record(Some(b"k"), Some(b"secret"), 6);
        batch.push(second);
        assert_eq!(batch.iter().collect::<Vec<_>>(), [second]);
        assert_eq!(batch.partition(), 4);
        let shown = format!("{batch:?} {second:?}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}
