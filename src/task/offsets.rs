//! How a source task asks where it left off.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::control::{Control, Ending};
use crate::api::error::{ConnectError, Result};
use crate::api::ids::ConnectorName;
use crate::api::offset::OffsetMap;
use crate::api::source::{SourceTaskContext, TransactionContext};
use crate::stdx::error_class::ErrorClass;
use crate::stdx::time::Clock;
use crate::store::offset_record::{OffsetKey, decode_offset};
use crate::store::offset_store::{OffsetStore, OffsetStoreError};

/// How long a task waits for a stored offset before it looks whether it is to end. If not, it waits on, as in Apache: in the
/// topic there may be a transaction of somebody else that Kafka ends in its own time, and a broker that is away comes back.
const LOOK: Duration = Duration::from_secs(30);

/// The stored offsets of a task's connector.
pub(super) struct TaskOffsets {
    pub(super) connector: ConnectorName,
    pub(super) store: Arc<dyn OffsetStore>,
    pub(super) control: Arc<Control>,
    /// Where the task says where transactions end, if it may.
    pub(super) transactions: Option<Arc<dyn TransactionContext>>,
}

impl SourceTaskContext for TaskOffsets {
    fn transactions(&self) -> Option<Arc<dyn TransactionContext>> {
        self.transactions.clone()
    }

    fn offset(&self, partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        if self.control.ending() == Ending::Cancel {
            return Err(ConnectError::connect(
                "The offset reader is closed: the task took longer than task.shutdown.graceful.timeout.ms to stop",
            ));
        }
        let key = OffsetKey::new(&self.connector, partition);
        let failed =
            || ConnectError::connect(format!("Failed to read the offset of source partition {key:?}"));
        let stored = read(&*self.store, &key, &self.control, LOOK);
        match stored.map_err(|error| failed().caused_by(error))? {
            None => Ok(None),
            Some(bytes) => decode_offset(&bytes).map_err(|error| failed().caused_by(error)),
        }
    }
}

/// Reads until the store answers, or the task is to end.
fn read(
    store: &dyn OffsetStore,
    key: &OffsetKey,
    control: &Control,
    look: Duration,
) -> std::result::Result<Option<Bytes>, OffsetStoreError> {
    loop {
        let deadline = Clock.deadline(look);
        let error = match store.read(std::slice::from_ref(key), deadline) {
            Ok(stored) => return Ok(stored.into_iter().next().flatten()),
            Err(error) => error,
        };
        // Else it would be asked again at once.
        let is_late = deadline.passed(Clock.now().instant);
        if !is_late || error.class() != ErrorClass::Retriable || control.ending() != Ending::None {
            return Err(error);
        }
        log::warn!("the offset of source partition {key:?} is waited for: {}", with_causes(&error));
    }
}

/// An error with its causes on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::stdx::reply::Reply;
    use crate::stdx::time::Deadline;
    use crate::store::offset_store::{OffsetChange, OffsetsWritten, StoredOffset};

    /// A store that is late so many times.
    struct Late {
        times: u32,
        asked: AtomicU32,
        class: ErrorClass,
    }

    impl OffsetStore for Late {
        fn read(
            &self,
            keys: &[OffsetKey],
            deadline: Deadline,
        ) -> std::result::Result<Vec<Option<Bytes>>, OffsetStoreError> {
            if self.asked.fetch_add(1, Ordering::AcqRel) >= self.times {
                return Ok(keys.iter().map(|_| Some(Bytes::from("{}"))).collect());
            }
            while !deadline.passed(Clock.now().instant) {
                std::thread::yield_now();
            }
            let cause = Arc::new(std::io::Error::other("a transaction is open"));
            Err(OffsetStoreError::Read { store: "offsets".into(), class: self.class, cause })
        }

        fn write(&self, _: Vec<OffsetChange>, done: Reply<OffsetsWritten>) {
            drop(done);
        }

        fn offsets_of(
            &self,
            _: &ConnectorName,
            _: Deadline,
        ) -> std::result::Result<Vec<StoredOffset>, OffsetStoreError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn a_task_waits_for_its_offset_as_long_as_it_is_to_run() {
        let key = OffsetKey::new(&"c".into(), &OffsetMap::of("p", 1));
        for (class, ends, times, expected, asked) in [
            (ErrorClass::Retriable, false, 3, true, 4),
            (ErrorClass::Retriable, true, 3, false, 1),
            (ErrorClass::Fatal, false, 3, false, 1),
        ] {
            let store = Late { times, asked: AtomicU32::new(0), class };
            let control = Control::new(false, false);
            if ends {
                control.end(Ending::Stop);
            }
            let stored = read(&store, &key, &control, Duration::from_millis(1));
            assert_eq!((stored.is_ok(), store.asked.load(Ordering::Acquire)), (expected, asked), "{class:?}");
            if let Err(error) = stored {
                assert_eq!(with_causes(&error), "cannot read the offsets in offsets: a transaction is open");
            }
        }
    }
}
