//! Source tasks: they read from a system and give records to the worker.
//!
//! 1. `start` is called once with the settings of the task.
//! 2. `poll` is called again and again; never while the connector is paused.
//! 3. `commit_record` follows for each record once Kafka has it (or it was dropped), in the order of the
//!    acknowledgements; `commit` after offsets were stored.
//! 4. `stop` is the last call, also after a failure.
//!
//! All calls for one task come one after another. Between them a task has no thread: a task that waits returns
//! [`PollOutcome::Idle`] and costs nothing meanwhile.

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
    /// The stored offset of a source partition, `None` if there is none. May wait for the offset store.
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
    /// Begins with the settings that the connector made for this task. An error makes the task FAILED.
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, settings: &Settings) -> Result<()>;

    /// The next records. May block for a while; a stop waits for it up to `task.shutdown.graceful.timeout.ms`.
    /// A retriable error: polled again at once. Any other makes the task FAILED.
    fn poll(&mut self) -> Result<PollOutcome>;

    /// Kafka has the record, or it was dropped (`metadata` is `None`). An error is logged.
    fn commit_record(&mut self, record: &SourceRecord, metadata: Option<RecordMetadata>) -> Result<()> {
        let _ = (record, metadata);
        Ok(())
    }

    /// Whether `commit_record` does anything. Where it does not, the worker need not keep records until they are
    /// acknowledged.
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
    /// A new task, not started.
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
