//! Sink tasks: they take records from Kafka and write them to a system.
//!
//! 1. A plug-in makes a [`SinkTask`]; `start` is called once with the settings of the task, before it joins its consumer
//!    group, `connect-NAME`. A task that is paused from the beginning is made and started when it is resumed.
//! 2. `open` for partitions that were assigned, in addition to those that it has.
//! 3. `put` for their records, and with none: soon after each rebalance, and otherwise when nothing came until the next commit
//!    is due or the time of [`SinkTaskContext::timeout`] has passed. So a task that has something to do by the clock does it
//!    in `put`. It comes while paused, too, without new records.
//! 4. `pre_commit` before offsets are committed: every `offset.flush.interval.ms` (60 s by default), soon after
//!    [`SinkTaskContext::request_commit`], at a pause, and for partitions that are about to be taken away. Its default calls
//!    `flush`.
//! 5. `close` for partitions that were taken away. Those that the group gives to another task come as `pre_commit`, `close`, a
//!    commit that is waited for; those that were lost to it already (the task was silent for too long) as `close` alone.
//!    All partitions are closed so at the end of the task.
//! 6. `stop` is the last call, also after a failure, and after a `start` that failed. The instance is dropped after it.
//!
//! All calls for one task come one after another; a stop and a rebalance wait for the call that is under way. A call that
//! takes longer than `max.poll.interval.ms` (5 min) costs the task its partitions.
//!
//! | What | makes the worker |
//! |---|---|
//! | an error of `start` | show the task as FAILED; `stop` follows |
//! | a retriable error of `put` | pause all partitions and put the *same* batch again: after [`SinkTaskContext::timeout`] if it was asked for in this call, otherwise when the next commit is due; for ever. Commits and rebalances go on meanwhile |
//! | any other error of `put`, an error of `open` or `close` | call `pre_commit` and `close` for all partitions, commit what was put before, call `stop`, and show the task as FAILED |
//! | an error of `pre_commit` or `flush` | log it and read again from the last committed offsets; for partitions that are taken away, commit nothing |
//! | a panic anywhere | show the task as FAILED at once: no `close`, no `stop`, no commit |
//! | an error of `stop` | log it |
//!
//! # Offsets
//! The offset of a partition is that of the *next* record to read. `pre_commit` is told how far `put` has come (for a
//! partition of which nothing was put yet: what is committed) and answers how far things are safe: not further, which is
//! ignored with a warning; as far as it likes behind; and nothing at all for partitions that are to stay as they are. What lies
//! behind a committed offset is never put again, so it has to survive the end of the process and of the machine by then. What
//! does not comes again, after a crash, a rebalance or a failed `pre_commit`: a record may be put more than once, also
//! within the life of an instance.

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

/// What a sink task can ask the worker for. Requests take effect after the call that made them, before the next `put`; they
/// may come from threads of the task's own, too.
pub trait SinkTaskContext: Send + Sync {
    /// Reads on from the given offsets, forward or back. They count as committed then. Partitions that the task does not
    /// have are left out.
    fn seek(&self, offsets: SinkOffsets);

    /// The longest wait before the next `put`, once. Never longer than until the next commit.
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
    /// Begins with the settings that the connector made for this task. An error of any kind makes the task FAILED.
    fn start(&mut self, context: Arc<dyn SinkTaskContext>, settings: &Settings) -> Result<()>;

    /// Partitions that were assigned in addition. Records of them come after this call, not before.
    fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let _ = partitions;
        Ok(())
    }

    /// Takes records: those of a partition in the order of their offsets, as they are behind converters and transforms.
    /// Those need not be all: offsets have gaps. A retriable error: the same batch comes again later, whole. Any other makes
    /// the task FAILED; a single record that cannot be written may go to [`SinkTaskContext::errant_record_reporter`] instead.
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

    /// Partitions that were taken away: nothing of them is to be written any more, since another task may have them.
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
    /// A new task, not started. Called on the thread of the task, each time that it starts; must not block or fail: that is
    /// for [`SinkTask::start`].
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
