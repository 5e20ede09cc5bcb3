//! How a source task asks where it left off.

use std::sync::Arc;
use std::time::Duration;

use super::control::{Control, Ending};
use crate::api::error::{ConnectError, Result};
use crate::api::ids::ConnectorName;
use crate::api::offset::OffsetMap;
use crate::api::source::{SourceTaskContext, TransactionContext};
use crate::stdx::time::Clock;
use crate::store::offset_record::{OffsetKey, decode_offset};
use crate::store::offset_store::OffsetStore;

/// How long a task waits for a stored offset.
const READ: Duration = Duration::from_secs(30);

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
        let stored = self.store.read(std::slice::from_ref(&key), Clock.deadline(READ));
        match stored.map_err(|error| failed().caused_by(error))?.into_iter().next().flatten() {
            None => Ok(None),
            Some(bytes) => decode_offset(&bytes).map_err(|error| failed().caused_by(error)),
        }
    }
}
