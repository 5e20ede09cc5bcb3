//! Sink tasks: they take records from Kafka and write them to a system.
//!
//! 1. `start` is called once with the settings of the task.
//! 2. `open` for partitions that were assigned, `put` for their records (also with none), `pre_commit` before offsets
//!    are committed, `close` for partitions that were taken away.
//! 3. `stop` is the last call, also after a failure.
//!
//! All calls for one task come one after another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Settings;
use super::connector::ConnectorPlugin;
use super::errant::ErrantRecordReporter;
use super::error::Result;
use super::ids::TopicPartition;
use super::record::SinkRecord;
use super::source::AlterOffsets;

/// Offsets by partition: each is that of the next record to read.
pub type SinkOffsets = BTreeMap<TopicPartition, i64>;

/// What a sink task can ask the worker for. Requests take effect after the call that made them.
pub trait SinkTaskContext: Send + Sync {
    /// Reads again from the given offsets.
    fn seek(&self, offsets: SinkOffsets);

    /// The longest wait before the next `put`, once.
    fn timeout(&self, timeout: Duration);

    /// The partitions assigned now.
    fn assignment(&self) -> Vec<TopicPartition>;

    /// Gives no records of these partitions until they are resumed.
    fn pause(&self, partitions: &[TopicPartition]);

    /// Gives their records again.
    fn resume(&self, partitions: &[TopicPartition]);

    /// Asks for a commit of offsets soon.
    fn request_commit(&self);

    /// Takes single records that cannot be written, so that the task need not fail for them. `None` where the settings of
    /// the connector have no place for them: then such a record is an error of `put`.
    fn errant_record_reporter(&self) -> Option<Arc<dyn ErrantRecordReporter>> {
        None
    }
}

/// Writes records to a system.
pub trait SinkTask: Send {
    /// Begins with the settings that the connector made for this task. An error makes the task FAILED.
    fn start(&mut self, context: Arc<dyn SinkTaskContext>, settings: &Settings) -> Result<()>;

    /// Partitions that were assigned in addition.
    fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let _ = partitions;
        Ok(())
    }

    /// Takes records. A retriable error: the same batch comes again later. Any other makes the task FAILED; a single record
    /// that cannot be written may go to [`SinkTaskContext::errant_record_reporter`] instead.
    fn put(&mut self, records: &[SinkRecord]) -> Result<()>;

    /// Makes everything durable that was put. Called by the default of `pre_commit`.
    fn flush(&mut self, offsets: &SinkOffsets) -> Result<()> {
        let _ = offsets;
        Ok(())
    }

    /// The offsets that may be committed, at most `offsets`. An error rewinds to the last committed offsets.
    fn pre_commit(&mut self, offsets: &SinkOffsets) -> Result<SinkOffsets> {
        self.flush(offsets)?;
        Ok(offsets.clone())
    }

    /// Partitions that were taken away.
    fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let _ = partitions;
        Ok(())
    }

    /// Ends the work. An error is logged.
    fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A sink connector class.
pub trait SinkPlugin: ConnectorPlugin {
    /// A new task, not started.
    fn task(&self) -> Box<dyn SinkTask>;

    /// Checks a change of the consumer group's offsets before it is made (KIP-875); `None` resets a partition.
    fn alter_offsets(
        &self,
        settings: &Settings,
        changes: &BTreeMap<TopicPartition, Option<i64>>,
    ) -> Result<AlterOffsets> {
        let _ = (settings, changes);
        Ok(AlterOffsets::Unchecked)
    }
}
