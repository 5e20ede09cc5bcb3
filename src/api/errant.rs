//! Records that a sink task could not write and does not want to fail for (KIP-610).
//!
//! ```
//! use std::sync::Arc;
//!
//! use herdsman::api::errant::ErrantRecordReporter;
//! use herdsman::api::error::{ConnectError, Result};
//! use herdsman::api::record::SinkRecord;
//!
//! fn put(reporter: Option<&Arc<dyn ErrantRecordReporter>>, records: &[SinkRecord]) -> Result<()> {
//!     for record in records {
//!         if let Err(error) = write(record) {
//!             match reporter {
//!                 // The worker keeps the record where the user wants it, and `put` goes on with the next one.
//!                 Some(reporter) => drop(reporter.report(record, error)?),
//!                 None => return Err(error),
//!             }
//!         }
//!     }
//!     Ok(())
//! }
//! # fn write(_: &SinkRecord) -> Result<()> { Err(ConnectError::data("no such column")) }
//! # put(None, &[]).unwrap();
//! ```

use std::time::Duration;

use super::error::{ConnectError, Result};
use super::record::SinkRecord;

/// Takes single records that a sink task could not write, each with the reason. A task asks its context for it in `start`:
/// there is one where the connector has `errors.log.enable=true` or a dead letter queue.
///
/// The worker logs the failure, and sends the record to the dead letter queue, as the settings say. It commits no offset
/// past a record whose report Kafka has not acknowledged, so the task need not wait for that. A batch that `put` refuses
/// with a retriable error comes again as a whole: what was reported of it is reported twice.
pub trait ErrantRecordReporter: Send + Sync {
    /// Reports a record. To be called in `put`, or later, until `close` for its partition; on any thread. What goes to the
    /// dead letter queue is the record as it was in Kafka, whatever transforms made of it: give the record, or a clone of
    /// it. One that the task built itself, without [`SinkRecord::raw`], is made bytes of by the converters.
    ///
    /// Blocks while the dead letter queue has no room, that is while Kafka has not acknowledged some thousand of its
    /// records: it holds the task back, as slow writing does.
    ///
    /// - `Ok`: the failure is tolerated. Go on with the next record.
    /// - `Err` of kind `Retriable`: the task is being stopped while there is no room. Return it from `put`: the batch
    ///   counts as not written.
    /// - any other `Err`: the failure is not tolerated, or the dead letter queue does not take the record. Return it from
    ///   `put`; the task fails in any case.
    fn report(&self, record: &SinkRecord, error: ConnectError) -> Result<Box<dyn Report>>;
}

/// A reported record on its way. Dropping it changes nothing.
pub trait Report: Send + Sync {
    /// Waits at most so long, not at all with [`Duration::ZERO`], on any thread.
    ///
    /// - `Ok(true)`: the report is where the user wants it: in Kafka, or in the log where there is no dead letter queue.
    /// - `Ok(false)`: it is on its way. Ask again, or leave it to the worker.
    /// - `Err`: the dead letter queue does not take it. The task fails.
    fn wait(&self, timeout: Duration) -> Result<bool>;
}
