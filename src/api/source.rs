//! Source tasks: they read from a system and give records to the worker.
//!
//! 1. A plug-in makes a [`SourceTask`]; `start` is called once with the settings of the task. A task that is paused from the
//!    beginning is made and started when it is resumed.
//! 2. `poll` is called again and again: when all records of the poll before were handed to the producer, which takes as many
//!    as fit into its queue; never while the connector is paused.
//! 3. `commit_record` follows for each record once Kafka has it, in the order of the acknowledgements, where
//!    [`SourceTask::wants_commit_record`] says so; for a record that a transform dropped, or that `errors.tolerance` left out,
//!    in any case. `commit` follows after offsets were stored, every `offset.flush.interval.ms` (60 s by default), also when
//!    there was nothing new to store, and once at the end. Both may come at any time between polls, also while paused.
//! 4. `stop` is the last call, also after a failure, and after a `start` that failed. The instance is dropped after it.
//!
//! All calls for one task come one after another; a stop waits for the poll that is under way. Between calls a task has no
//! thread: a task that waits returns [`PollOutcome::Idle`] and costs nothing meanwhile. The next poll comes
//!
//! | after | when |
//! |---|---|
//! | records | at once, when they were handed over |
//! | `Records` without any | after 5 ms |
//! | `Idle(rest)` | after `rest`: nothing brings it forward, so a second is long |
//! | a retriable error | after 10 ms, 20 ms and so on up to 1 s, for ever; the error is logged each time |
//!
//! | What | makes the worker |
//! |---|---|
//! | an error of `start` | show the task as FAILED; `stop` follows |
//! | any other error of `poll` | wait for the acknowledgements of what was sent, store the offsets of what was acknowledged, call `commit` and `stop`, and show the task as FAILED. What was polled and not handed over is polled again by the next instance |
//! | a panic anywhere | show the task as FAILED at once: no `stop`, and offsets since the last commit are not stored |
//! | an error of `commit_record`, `commit` or `stop` | log it |
//!
//! # Offsets
//! A record says by its `source_partition` what part of the source it is from, and by its `source_offset` where to go on
//! *after* it. The worker stores, for each partition, the offset of the last record up to which all were acknowledged, so it
//! never stores one of a record that Kafka may not have. A task that starts reads them by [`SourceTaskContext::offset`] and
//! goes on from there. After a crash that is behind what was sent: records come twice, and none is lost. Exactly-once
//! sources (`exactly.once.source.support`) store offsets with the records in one transaction: `commit_record` and `commit`
//! follow when it has come about, and a failure gives the open transaction up.
//!
//! Partition and offset are stored as JSON: fractions must be finite, and a whole number comes back as
//! [`super::offset::OffsetValue::Long`].

use std::sync::Arc;
use std::time::Duration;

use super::Settings;
use super::connector::ConnectorPlugin;
use super::error::Result;
use super::offset::OffsetMap;
use super::record::{RecordMetadata, SourceRecord};

/// What a poll gave.
#[derive(Debug)]
pub enum PollOutcome {
    /// Records, in order. May be empty.
    Records(Vec<SourceRecord>),
    /// Nothing now; poll again after the given time.
    Idle(Duration),
}

/// What a source task can ask the worker for.
pub trait SourceTaskContext: Send + Sync {
    /// The stored offset of a source partition, `None` if there is none. To be called in any call of the task, or on a
    /// thread of its own. Waits for the offset store, for as long as the task is to run. An error that is passed on fails the
    /// task, which is right: to begin anew would repeat or lose records.
    fn offset(&self, partition: &OffsetMap) -> Result<Option<OffsetMap>>;

    /// Where the task says where its transactions end. `None` unless the worker writes exactly once and the connector has
    /// `transaction.boundary=connector`.
    fn transactions(&self) -> Option<Arc<dyn TransactionContext>> {
        None
    }
}

/// How a task says where its transactions end (KIP-618). Records are named by their places in the batch, from 0, that the
/// poll under way is going to return. What is asked for outside of a poll is about the batch of the next one.
///
/// Records of a transaction that is aborted are never seen by who reads committed records only; their offsets are stored
/// all the same. To ask for both a commit and an abort at one place fails the task.
pub trait TransactionContext: Send + Sync {
    /// Commits when the whole batch was sent.
    fn commit(&self);

    /// Commits when the record at this place was sent.
    fn commit_after(&self, record: usize);

    /// Aborts when the whole batch was sent.
    fn abort(&self);

    /// Aborts when the record at this place was sent.
    fn abort_after(&self, record: usize);
}

/// Reads records from a system.
pub trait SourceTask: Send {
    /// Begins with the settings that the connector made for this task. May block as `poll` may. An error of any kind makes
    /// the task FAILED.
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, settings: &Settings) -> Result<()>;

    /// The next records. May block for a while; a stop waits for it up to `task.shutdown.graceful.timeout.ms`.
    /// A retriable error: polled again after a pause. Any other makes the task FAILED.
    fn poll(&mut self) -> Result<PollOutcome>;

    /// Kafka has the record, or it was dropped (`metadata` is `None`). An error is logged.
    fn commit_record(&mut self, record: &SourceRecord, metadata: Option<RecordMetadata>) -> Result<()> {
        let _ = (record, metadata);
        Ok(())
    }

    /// Whether `commit_record` does anything. Where it does not, the worker need not keep records until they are
    /// acknowledged. Asked right after `start`: what it says then holds for the life of the instance.
    fn wants_commit_record(&self) -> bool {
        false
    }

    /// Offsets were stored. An error is logged.
    fn commit(&mut self) -> Result<()> {
        Ok(())
    }

    /// Ends the work. An error is logged.
    fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The offsets of a connector that a user wants to change: partition, and offset or `None` for a reset.
pub type OffsetChanges = [(OffsetMap, Option<OffsetMap>)];

/// Who keeps the offsets of a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlterOffsets {
    /// The connector checked the change: the worker's stored offsets are all there is.
    Checked,
    /// The connector said nothing: it may keep offsets elsewhere, too.
    Unchecked,
}

/// Whether a source connector can do something (KIP-618).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It can.
    Supported,
    /// It cannot.
    Unsupported,
}

/// A source connector class.
pub trait SourcePlugin: ConnectorPlugin {
    /// A new task, not started. Called on the thread of the task, each time that it starts; must not block or fail: that is
    /// for [`SourceTask::start`].
    fn task(&self) -> Box<dyn SourceTask>;

    /// Whether its tasks deliver exactly once with these settings, where the worker does: every record must have an offset
    /// from which the task can go on. `None` says nothing about it.
    fn exactly_once_support(&self, settings: &Settings) -> Result<Option<Support>> {
        let _ = settings;
        Ok(None)
    }

    /// Whether its tasks say where transactions end, see [`TransactionContext`].
    fn can_define_transaction_boundaries(&self, settings: &Settings) -> Result<Support> {
        let _ = settings;
        Ok(Support::Unsupported)
    }

    /// Checks a change of the stored offsets before it is made (KIP-875). `settings` are the connector's.
    fn alter_offsets(&self, settings: &Settings, changes: &OffsetChanges) -> Result<AlterOffsets> {
        let _ = (settings, changes);
        Ok(AlterOffsets::Unchecked)
    }
}
