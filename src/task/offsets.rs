//! Where source tasks keep how far they have read, as tasks see it.

use std::sync::Arc;
use std::time::Duration;

use super::control::{Control, Ending};
use super::submitted::SourceOffset;
use crate::api::error::{ConnectError, Result};
use crate::api::ids::ConnectorName;
use crate::api::offset::OffsetMap;
use crate::api::source::SourceTaskContext;
use crate::stdx::reply::Reply;
use crate::stdx::time::Clock;
use crate::store::offset_record::{OffsetKey, decode_offset, encode_offset};
use crate::store::offset_store as store;

/// Called once when a write has ended, on any thread.
pub type Stored = Box<dyn FnOnce(Result<()>) + Send>;

/// Keeps source offsets. Shared by all tasks.
pub trait OffsetStore: Send + Sync {
    /// The stored offset of a source partition. May wait for the store, within its own deadline.
    fn get(&self, connector: &ConnectorName, partition: &OffsetMap) -> Result<Option<OffsetMap>>;

    /// Begins to store offsets, all or none, after those of earlier calls. Does not wait; `stored` is called when
    /// they are safe, or with the reason why not.
    fn set(&self, connector: &ConnectorName, offsets: Vec<SourceOffset>, stored: Stored);
}

/// The worker's offset store as tasks see it.
pub struct KeptOffsets {
    store: Arc<dyn store::OffsetStore>,
    timeout: Duration,
}

impl KeptOffsets {
    /// Reads of the store may take `timeout`.
    pub fn new(store: Arc<dyn store::OffsetStore>, timeout: Duration) -> Self {
        KeptOffsets { store, timeout }
    }
}

impl OffsetStore for KeptOffsets {
    fn get(&self, connector: &ConnectorName, partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        let failed =
            || ConnectError::connect(format!("Failed to read the stored offset of connector {connector}"));
        let key = OffsetKey::new(connector, partition);
        let stored = self.store.read(&[key], Clock.deadline(self.timeout));
        let stored = stored.map_err(|why| failed().caused_by(why))?.into_iter().next().flatten();
        stored.map_or(Ok(None), |bytes| decode_offset(&bytes).map_err(|why| failed().caused_by(why)))
    }

    fn set(&self, connector: &ConnectorName, offsets: Vec<SourceOffset>, stored: Stored) {
        let changes = offsets.iter().map(|(partition, offset)| {
            (OffsetKey::new(connector, partition), offset.as_ref().map(encode_offset))
        });
        let done = Reply::calling(move |written: store::OffsetsWritten| {
            stored(written.map_err(|why| ConnectError::connect("Failed to store offsets").caused_by(why)));
        });
        self.store.write(changes.collect(), done);
    }
}

/// What a source task asks the store through.
pub(super) struct TaskOffsets {
    pub(super) connector: ConnectorName,
    pub(super) store: Arc<dyn OffsetStore>,
    pub(super) control: Arc<Control>,
}

impl SourceTaskContext for TaskOffsets {
    fn offset(&self, partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        if self.control.ending() == Ending::Cancel {
            return Err(ConnectError::connect(
                "The offset reader is closed: the task took longer than task.shutdown.graceful.timeout.ms to stop",
            ));
        }
        self.store.get(&self.connector, partition)
    }
}
