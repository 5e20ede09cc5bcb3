//! Where the offsets of source connectors are kept. Standalone mode has a file, distributed mode a topic; tasks, the
//! herder and REST know only this trait.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;

use super::offset_record::{OffsetKey, decode_offset};
use crate::api::ids::ConnectorName;
use crate::api::offset::OffsetMap;
use crate::stdx::error_class::ErrorClass;
use crate::stdx::reply::{Reply, Unanswered};
use crate::stdx::time::Deadline;

/// A key and what to store under it; `None` is a tombstone: there is no offset any more.
pub type OffsetChange = (OffsetKey, Option<Bytes>);

/// The answer to a write.
pub type OffsetsWritten = Result<(), OffsetStoreError>;

/// Keeps offsets by key. Shared by all threads.
pub trait OffsetStore: Send + Sync {
    /// The stored offset of each key, in the order of the keys; `None` where there is none. Blocks at most until the
    /// deadline.
    fn read(&self, keys: &[OffsetKey], deadline: Deadline) -> Result<Vec<Option<Bytes>>, OffsetStoreError>;

    /// Stores offsets and answers once they survive the end of this process. Never blocks.
    ///
    /// Writes take effect in the order of the calls, in a file each as a whole. After an error nothing of the write is
    /// visible in a file, while a topic may have some or all of it; whoever wrote may write the same or newer offsets
    /// again.
    fn write(&self, changes: Vec<OffsetChange>, done: Reply<OffsetsWritten>);

    /// All offsets of a connector, ordered by key. Blocks at most until the deadline.
    fn offsets_of(
        &self,
        connector: &ConnectorName,
        deadline: Deadline,
    ) -> Result<Vec<StoredOffset>, OffsetStoreError>;
}

/// A stored offset with what it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredOffset {
    /// The key as it is stored: a tombstone must go under the very same bytes.
    pub key: OffsetKey,
    /// The source partition.
    pub partition: OffsetMap,
    /// The offset.
    pub offset: OffsetMap,
}

/// Why offsets were not read or written. Cheap to clone: one failure may answer many writes.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OffsetStoreError {
    /// As many writes wait as the store takes.
    #[error("too many writes wait for the offsets in {store}: try again later")]
    Busy {
        /// The file or topic.
        store: Arc<str>,
    },
    /// The deadline passed.
    #[error("the offsets in {store} could not be read in time: try again later")]
    TimedOut {
        /// The file or topic.
        store: Arc<str>,
    },
    /// What is stored could not be looked at.
    #[error("cannot read the offsets in {store}")]
    Read {
        /// The file or topic.
        store: Arc<str>,
        /// Whether the same may succeed later.
        class: ErrorClass,
        /// Why.
        #[source]
        cause: Arc<dyn Error + Send + Sync>,
    },
    /// The write failed; what was stored before is intact.
    #[error("cannot write offsets to {store}")]
    Write {
        /// The file or topic.
        store: Arc<str>,
        /// Whether the same write may succeed later.
        class: ErrorClass,
        /// Why.
        #[source]
        cause: Arc<dyn Error + Send + Sync>,
    },
    /// The store no longer runs.
    #[error("the offset store is closed: the worker stops, or its writer failed")]
    Closed,
}

impl OffsetStoreError {
    /// What the caller can do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            OffsetStoreError::Busy { .. } | OffsetStoreError::TimedOut { .. } => ErrorClass::Retriable,
            OffsetStoreError::Read { class, .. } | OffsetStoreError::Write { class, .. } => *class,
            OffsetStoreError::Closed => ErrorClass::Fatal,
        }
    }
}

impl Unanswered for OffsetsWritten {
    fn unanswered() -> Self {
        Err(OffsetStoreError::Closed)
    }
}

/// The offsets of a connector among all that are stored. What cannot be understood is left out with a warning.
pub(super) fn offsets_of<'a>(
    connector: &ConnectorName,
    stored: impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)>,
) -> Vec<StoredOffset> {
    let prefix = OffsetKey::prefix_of(connector);
    stored
        .filter(|(key, _)| key.starts_with(&prefix))
        .filter_map(|(key, offset)| stored_offset(OffsetKey::from_stored(key.clone()), offset.as_ref()?))
        .collect()
}

pub(super) fn stored_offset(key: OffsetKey, offset: &Bytes) -> Option<StoredOffset> {
    let parsed = key.parse().and_then(|parts| Ok((parts, decode_offset(offset)?)));
    match parsed {
        Ok((Some((_, partition)), Some(offset))) => Some(StoredOffset { key, partition, offset }),
        Ok((None, _) | (_, None)) => None,
        Err(error) => {
            log::warn!("the offset stored under {key:?} is left out: {error}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offsets_of_a_connector_are_found_and_nothing_else() {
        let stored: Vec<_> = [
            (r#"["a",{"p":1}]"#, Some(r#"{"n":1}"#)),
            (r#"["a",{"p":2}]"#, None),
            (r#"["a",{"p":3}]"#, Some("null")),
            (r#"["a",{"p":4}]"#, Some("broken")),
            (r#"["a",null]"#, Some(r#"{"n":5}"#)),
            (r#"["a",{"p":[]}]"#, Some(r#"{"n":6}"#)),
            (r#"["ab",{"p":7}]"#, Some(r#"{"n":7}"#)),
            ("foreign", Some("x")),
        ]
        .map(|(key, value)| (Bytes::from(key), value.map(Bytes::from)))
        .into();
        let found = offsets_of(&"a".into(), stored.iter().map(|(key, value)| (key, value)));
        let [only] = &found[..] else { panic!("{found:?}") };
        assert_eq!(only.key.as_bytes(), &stored[0].0);
        assert_eq!(only.partition, OffsetMap::of("p", 1));
        assert_eq!(only.offset, OffsetMap::of("n", 1));
    }
}
