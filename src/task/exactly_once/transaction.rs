//! How a transaction of a source task ends: its offsets go to their topic, all is acknowledged, and then it is committed;
//! or it is aborted, and its offsets are committed in the next one.
//!
//! ```text
//! Aborting ─► Tombstones ─► Offsets ─► Acknowledgements ─► Committing ─► done
//! ```
//! Each step is taken in a turn of the task. One that waits for the broker blocks for a moment only, so that a task that is to
//! end hears of it.

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::api::error::{ConnectError, Result};
use crate::api::ids::TaskId;
use crate::api::source::SourceTask;
use crate::kafka::fault::{FaultKind, KafkaFault};
use crate::kafka::producer::{Delivery, IN_FLIGHT_MAX, Lane, Outgoing, Producer, SendError};
use crate::kafka::transactions::TransactionFault;
use crate::stdx::mutex::lock;
use crate::stdx::reply::Reply;
use crate::store::offset_record::{OffsetKey, encode_offset};
use crate::store::offset_store::{OffsetChange, OffsetStore, OffsetsWritten};
use crate::task::frame::Frame;
use crate::task::runner::Waker;
use crate::task::source_commit::merge;
use crate::task::source_flow::{SourceFlow, is_producer_lost};
use crate::task::submitted::SourceOffset;

/// How long a call to librdkafka may block before the task looks whether it is to end.
const SLICE: Duration = Duration::from_secs(1);
/// The longest rest while something is waited for that wakes the task.
const REST: Duration = Duration::from_millis(100);

/// The transactions of one task.
pub(super) struct Transactions {
    task: TaskId,
    name: String,
    target: &'static str,
    producer: Arc<Producer>,
    /// For offsets.
    lane: Lane,
    /// The number of the next record with an offset, and the oldest one that may be on its way.
    next: u64,
    first: u64,
    on_their_way: u64,
    topic: Arc<str>,
    secondary: Option<Arc<dyn OffsetStore>>,
    waker: Waker,
    /// Offsets of records that were given up.
    aborted: Vec<SourceOffset>,
    step: Step,
}

/// How far the end of a transaction has come.
enum Step {
    /// None ends.
    Idle,
    Aborting,
    /// The secondary store forgets offsets before the primary does: else it would show what is gone.
    Tombstones {
        offsets: Vec<OffsetChange>,
        outcome: Outcome,
    },
    /// So many of the offsets were sent.
    Offsets {
        offsets: Vec<OffsetChange>,
        sent: usize,
    },
    Acknowledgements {
        offsets: Vec<OffsetChange>,
    },
    Committing {
        offsets: Vec<OffsetChange>,
    },
}

/// What came of a write to the secondary store.
type Outcome = Arc<Mutex<Option<OffsetsWritten>>>;

/// Whether the end of a transaction is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is.
    Done,
    /// There is more to do at once.
    Again,
    /// There is more to do when the task is woken, or then.
    At(Instant),
}

impl Transactions {
    pub(super) fn new(
        frame: &Frame,
        (producer, lane): (Arc<Producer>, Lane),
        topic: Arc<str>,
        secondary: Option<Arc<dyn OffsetStore>>,
    ) -> Self {
        Transactions {
            task: frame.id().clone(),
            name: frame.name.clone(),
            target: frame.target,
            producer,
            lane,
            next: 0,
            first: 0,
            on_their_way: 0,
            topic,
            secondary,
            waker: frame.waker.clone(),
            aborted: Vec::new(),
            step: Step::Idle,
        }
    }

    /// Whether the end of a transaction is under way.
    pub(super) fn is_ending(&self) -> bool {
        !matches!(self.step, Step::Idle)
    }

    /// Whether records are being given up: their failures are none of the task.
    pub(super) fn is_aborting(&self) -> bool {
        matches!(self.step, Step::Aborting)
    }

    /// Whether records were sent that are not committed.
    pub(super) fn is_open(&self) -> bool {
        self.producer.is_transaction_open()
    }

    /// Begins to commit what was sent, with its offsets.
    pub(super) fn begin_commit(&mut self, flow: &mut SourceFlow, task: &mut dyn SourceTask) {
        let mut offsets = std::mem::take(&mut self.aborted);
        merge(&mut offsets, flow.submitted().latest_offsets());
        if offsets.is_empty() && !self.is_open() {
            // Nothing was sent: no transaction for that, but the task hears of it.
            flow.committed(task);
            self.tell_task(task);
            return;
        }
        log::debug!(target: self.target, "{} Committing offsets", self.name);
        let encoded = offsets.iter().map(|(partition, offset)| {
            (OffsetKey::new(&self.task.connector, partition), offset.as_ref().map(encode_offset))
        });
        let offsets: Vec<_> = encoded.collect();
        let gone: Vec<_> = offsets.iter().filter(|(_, offset)| offset.is_none()).cloned().collect();
        self.step = match &self.secondary {
            Some(secondary) if !gone.is_empty() => {
                let outcome = Outcome::default();
                let (of_write, waker) = (Arc::clone(&outcome), self.waker.clone());
                let done = Reply::calling(move |result| {
                    *lock(&of_write) = Some(result);
                    waker.wake();
                });
                secondary.write(gone, done);
                Step::Tombstones { offsets, outcome }
            }
            Some(_) | None => Step::Offsets { offsets, sent: 0 },
        };
    }

    /// Begins to abort what was sent; its offsets are committed after that.
    pub(super) fn begin_abort(&mut self, flow: &mut SourceFlow, task: &mut dyn SourceTask) {
        if self.is_open() {
            log::info!(target: self.target, "{} Aborting transaction as requested by connector", self.name);
            self.step = Step::Aborting;
            return;
        }
        log::warn!(
            target: self.target,
            "{} Ignoring request by task to abort transaction as the current transaction is empty",
            self.name
        );
        self.begin_commit(flow, task);
    }

    /// Goes on with the end of a transaction.
    ///
    /// # Errors
    /// It cannot end well: the task fails.
    pub(super) fn go_on(
        &mut self,
        flow: &mut SourceFlow,
        task: &mut dyn SourceTask,
        now: Instant,
    ) -> Result<Progress> {
        match std::mem::replace(&mut self.step, Step::Idle) {
            Step::Idle => return Ok(Progress::Done),
            Step::Aborting => {
                let done = self.producer.abort_transaction(SLICE).map_err(|fault| self.failed(fault))?;
                if !done {
                    self.step = Step::Aborting;
                    return Ok(Progress::Again);
                }
                self.drain()?;
                let offsets = flow.aborted();
                merge(&mut self.aborted, offsets);
                self.begin_commit(flow, task);
                if !self.is_ending() {
                    return Ok(Progress::Done);
                }
            }
            Step::Tombstones { offsets, outcome } => {
                let written = lock(&outcome).take();
                match written {
                    None => {
                        self.step = Step::Tombstones { offsets, outcome };
                        return Ok(Progress::At(now + REST));
                    }
                    Some(Ok(())) => self.step = Step::Offsets { offsets, sent: 0 },
                    Some(Err(why)) => return Err(self.not_flushed().caused_by(why)),
                }
            }
            Step::Offsets { offsets, sent } => return self.send_offsets(offsets, sent, now),
            Step::Acknowledgements { offsets } => return self.await_all(flow, task, offsets, now),
            Step::Committing { offsets } => {
                let done = self.producer.commit_transaction(SLICE).map_err(|fault| self.failed(fault))?;
                if !done {
                    self.step = Step::Committing { offsets };
                    return Ok(Progress::Again);
                }
                flow.committed(task);
                self.tell_task(task);
                self.copy_to_secondary(offsets);
                return Ok(Progress::Done);
            }
        }
        Ok(Progress::Again)
    }

    fn send_offsets(
        &mut self,
        offsets: Vec<OffsetChange>,
        mut sent: usize,
        now: Instant,
    ) -> Result<Progress> {
        self.drain()?;
        while let Some((key, value)) = offsets.get(sent) {
            if self.next - self.first >= IN_FLIGHT_MAX as u64 {
                self.step = Step::Offsets { offsets, sent };
                return Ok(Progress::At(now + REST));
            }
            let outgoing = Outgoing {
                topic: &self.topic,
                partition: None,
                key: Some(key.as_bytes()),
                value: value.as_deref(),
                timestamp: None,
                headers: &[],
            };
            match self.lane.send(self.next, &outgoing) {
                Ok(()) => {
                    self.next += 1;
                    self.on_their_way += 1;
                    sent += 1;
                }
                Err(SendError::Full) => {
                    self.step = Step::Offsets { offsets, sent };
                    return Ok(Progress::At(now + REST));
                }
                Err(SendError::Failed(fault)) => return Err(self.unsendable(fault)),
            }
        }
        self.step = Step::Acknowledgements { offsets };
        Ok(Progress::Again)
    }

    /// Waits for the acknowledgements of records and offsets: librdkafka would wait for them in the commit, in its own
    /// way.
    fn await_all(
        &mut self,
        flow: &mut SourceFlow,
        task: &mut dyn SourceTask,
        offsets: Vec<OffsetChange>,
        now: Instant,
    ) -> Result<Progress> {
        self.drain()?;
        let (records, own) = (flow.outstanding(), self.on_their_way);
        if records == 0 && own == 0 {
            self.step = Step::Committing { offsets };
            return Ok(Progress::Again);
        }
        self.step = Step::Acknowledgements { offsets };
        let before = self.on_their_way;
        if own > 0 {
            self.lane.wake_after(own);
            self.drain()?;
        }
        let rests =
            records == 0 || flow.wake_after(records, task).map_err(|error| explained(&self.task, error))?;
        let rests = rests && self.on_their_way == before;
        Ok(if rests { Progress::At(now + REST) } else { Progress::Again })
    }

    /// Counts the offsets that were acknowledged.
    fn drain(&mut self) -> Result<()> {
        let mut ended = 0;
        let mut failure = None;
        self.lane.drain(self.first, self.next, |_, delivery| {
            ended += 1;
            match delivery {
                Delivery::Acknowledged(_) => {}
                Delivery::Failed { fault, .. } => failure = Some(fault),
            }
        });
        self.on_their_way -= ended;
        if self.on_their_way == 0 {
            self.first = self.next;
        }
        match failure {
            Some(fault) => Err(self.unsendable(fault)),
            None => Ok(()),
        }
    }

    /// Offsets that are committed go to the worker's own topic, too, which does not decide.
    fn copy_to_secondary(&self, offsets: Vec<OffsetChange>) {
        let Some(secondary) = &self.secondary else { return };
        let offsets: Vec<_> = offsets.into_iter().filter(|(_, offset)| offset.is_some()).collect();
        if offsets.is_empty() {
            return;
        }
        let (name, target) = (self.name.clone(), self.target);
        secondary.write(
            offsets,
            Reply::calling(move |outcome: OffsetsWritten| {
                if let Err(why) = outcome {
                    log::warn!(target: target, "{name} Failed to write offsets to secondary backing store: {why}");
                }
            }),
        );
    }

    fn tell_task(&self, task: &mut dyn SourceTask) {
        if let Err(error) = task.commit() {
            log::error!(
                target: self.target,
                "{} Exception thrown while calling task.commit()\n{}",
                self.name,
                error.trace().trim_end()
            );
        }
    }

    /// Gives up what was sent, so that nobody who reads has to wait until the transaction expires. Not after a failure of
    /// the producer itself, where this does nothing.
    pub(super) fn give_up(&self) {
        if self.is_open()
            && let Err(why) = self.producer.abort_transaction(SLICE)
        {
            log::debug!(target: self.target, "{} The open transaction ends by its own: {why}", self.name);
        }
    }

    fn failed(&self, fault: TransactionFault) -> ConnectError {
        match fault {
            TransactionFault::Fenced(fault) => expired(&self.task, fault),
            TransactionFault::Failed(fault) => self.not_flushed().caused_by(fault),
        }
    }

    fn not_flushed(&self) -> ConnectError {
        ConnectError::connect(format!("Failed to flush offsets and/or records for task {}", self.task))
    }

    fn unsendable(&self, fault: KafkaFault) -> ConnectError {
        if fault.kind() == FaultKind::ProducerLost {
            return expired(&self.task, fault);
        }
        self.failed(TransactionFault::Failed(fault))
    }
}

/// A failure of a record, or what it really is: that of the whole transaction.
pub(super) fn explained(task: &TaskId, error: ConnectError) -> ConnectError {
    if is_producer_lost(&error) { expired(task, error) } else { error }
}

/// Why a task fails whose producer was fenced: another one has its place, or its transaction took too long.
fn expired(task: &TaskId, cause: impl Into<Box<dyn Error + Send + Sync>>) -> ConnectError {
    ConnectError::connect(format!(
        "The task {task} was unable to finish writing records to Kafka before its producer transaction expired. Either a later \
         instance of the task has taken its place, or the transaction took too long: raise the throughput of the \
         connector's producer (producer.override.*), raise producer.override.transaction.timeout.ms, lower \
         transaction.boundary.interval.ms, or set transaction.boundary=poll"
    ))
    .caused_by(cause)
}
