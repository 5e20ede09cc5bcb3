//! What a sink task does about records that fail, whether an operation of the worker failed or the task reports them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::super::control::{Control, Ending};
use super::super::conversion::Conversion;
use super::super::frame::Frame;
use super::super::spec::{DeadLetterSpec, ErrorHandling};
use super::super::stage::{Stage, StageFailure};
use super::dead_letters::{DeadLetters, Letter};
use super::{Errors, Place, Subject, Tries, headers, intolerable};
use crate::api::errant::{ErrantRecordReporter, Report};
use crate::api::error::{ConnectError, Result};
use crate::api::ids::{TaskId, TopicPartition};
use crate::api::record::{RawRecord, SinkRecord};
use crate::api::sink::SinkOffsets;
use crate::kafka::consumed::Consumed;
use crate::kafka::fault::KafkaFault;
use crate::kafka::producer::Producer;
use crate::stdx::time::{Clock, Deadline};

/// The class that reported records are said to have failed in.
const SINK_TASK: &str = "org.apache.kafka.connect.sink.SinkTask";

/// What one sink task does about records that fail. Shared with its plug-in, which may report from any thread.
#[derive(Debug)]
pub(in crate::task) struct SinkErrors {
    errors: Errors,
    queue: Option<Queue>,
    control: Arc<Control>,
    /// What was reported and is not tolerated: the task fails, whatever its plug-in makes of that.
    intolerable: Mutex<Option<ConnectError>>,
}

/// The dead letter queue, and what records for it are made with.
pub(in crate::task) struct Queue {
    letters: Arc<DeadLetters>,
    with_context: bool,
    /// Makes bytes of records that tasks have built themselves.
    conversion: Mutex<Conversion>,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.letters.fmt(f)
    }
}

impl Queue {
    /// # Errors
    /// The producer cannot be used.
    pub(in crate::task) fn new(
        spec: &DeadLetterSpec,
        producer: &Arc<Producer>,
        conversion: Conversion,
        frame: &Frame,
    ) -> Result<Self> {
        let letters = DeadLetters::new(Arc::clone(&spec.topic), producer, frame);
        let letters = Arc::new(letters.map_err(without_producer)?);
        let conversion = Mutex::new(conversion);
        Ok(Queue { letters, with_context: spec.with_context, conversion })
    }

    fn letter(&self, raw: RawRecord, task: &TaskId, place: &Place<'_>, failure: &StageFailure) -> Letter {
        let RawRecord { key, value, mut headers, timestamp } = raw;
        if self.with_context {
            headers.extend(headers::of(task, place, failure));
        }
        let partition = TopicPartition { topic: place.topic.into(), partition: place.partition };
        Letter { key, value, headers, timestamp, from: (partition, place.offset) }
    }

    /// The record as it was in Kafka, or as it would be.
    fn raw(&self, record: &SinkRecord) -> Result<RawRecord> {
        if let Some(raw) = &record.raw {
            return Ok(RawRecord::clone(raw));
        }
        // Nothing panics while the lock is held but a converter, which is then no worse than before.
        let mut conversion = self.conversion.lock().unwrap_or_else(PoisonError::into_inner);
        let converted = conversion.bytes_of_sink_record(record).map_err(|failure| {
            ConnectError::connect("Cannot make bytes of a record for the dead letter queue")
                .caused_by(failure.error)
        })?;
        let timestamp = record.timestamp.map(|(millis, _)| millis);
        Ok(RawRecord { key: converted.key, value: converted.value, headers: converted.headers, timestamp })
    }
}

impl SinkErrors {
    pub(in crate::task) fn new(frame: &Frame, handling: &ErrorHandling, queue: Option<Queue>) -> Self {
        SinkErrors {
            errors: Errors::new(frame.id().clone(), handling.clone(), Arc::clone(frame.counters.errors())),
            queue,
            control: Arc::clone(&frame.control),
            intolerable: Mutex::default(),
        }
    }

    /// Whether the task may report records.
    pub(in crate::task) fn takes_reports(&self) -> bool {
        self.errors.logs() || self.queue.is_some()
    }

    /// Whether records are to be kept as they are in Kafka while the task has them.
    pub(in crate::task) fn wants_raw_records(&self) -> bool {
        self.queue.is_some()
    }

    /// See [`Errors::tries_again`].
    pub(in crate::task) fn tries_again(
        &self,
        tries: &mut Tries,
        failure: &StageFailure,
        place: usize,
    ) -> Option<Instant> {
        self.errors.tries_again(tries, failure, place)
    }

    /// Reports a consumed record that a transform or converter failed on for good.
    ///
    /// # Errors
    /// It may not be left out: the task fails.
    pub(in crate::task) fn leave_out(&self, failure: StageFailure, consumed: &Consumed) -> Result<()> {
        let Consumed { topic, partition, offset, timestamp, .. } = consumed;
        let place = Place { topic, partition: *partition, offset: *offset, timestamp: *timestamp };
        let subject = Subject::Consumed(place);
        self.errors.note_operation(&failure, &subject);
        if let Some(queue) = &self.queue {
            queue.letters.send(queue.letter(consumed.raw(), self.errors.task(), &place, &failure));
        }
        self.errors.leave_out(failure, &subject)
    }

    /// Whether another record that fails has room. If not, the task is woken when there is.
    pub(in crate::task) fn has_room(&self) -> bool {
        self.queue.as_ref().is_none_or(|queue| queue.letters.has_room())
    }

    /// Looks whether the task has to fail: for a report that is not tolerated, or for a dead letter queue that does not take
    /// a record.
    pub(in crate::task) fn check(&self) -> Result<()> {
        if let Some(error) = self.lock_intolerable().take() {
            return Err(error);
        }
        self.queue.as_ref().map_or(Ok(()), |queue| queue.letters.check())
    }

    /// The first offset of each partition that may not be committed past: Kafka does not have that record in the dead letter
    /// queue yet.
    pub(in crate::task) fn holds(&self) -> SinkOffsets {
        self.queue.as_ref().map_or_else(SinkOffsets::new, |queue| queue.letters.holds())
    }

    /// Waits until the dead letter queue has what failed of these partitions, at most until the deadline.
    pub(in crate::task) fn settle(&self, partitions: &[TopicPartition], deadline: Deadline) -> bool {
        self.queue.as_ref().is_none_or(|queue| queue.letters.settle(partitions, deadline))
    }

    /// Partitions went, or are read again.
    pub(in crate::task) fn forget(&self, partitions: &[TopicPartition]) {
        if let Some(queue) = &self.queue {
            queue.letters.forget(partitions);
        }
    }

    fn lock_intolerable(&self) -> MutexGuard<'_, Option<ConnectError>> {
        // Nothing panics while the lock is held.
        self.intolerable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ErrantRecordReporter for SinkErrors {
    fn report(&self, record: &SinkRecord, error: ConnectError) -> Result<Box<dyn Report>> {
        let failure = StageFailure { stage: Stage::TaskPut, class: SINK_TASK, error };
        let SinkRecord { original_topic, partition, offset, timestamp, .. } = record;
        let place =
            Place { topic: original_topic, partition: *partition, offset: *offset, timestamp: *timestamp };
        let subject = Subject::Consumed(place);
        self.errors.note(&failure, &subject);
        let mut on_its_way = OnItsWay(None);
        if let Some(queue) = &self.queue {
            let letter = queue.letter(queue.raw(record)?, self.errors.task(), &place, &failure);
            let number = queue.letters.send_when_room(letter, || self.control.ending() != Ending::None)?;
            on_its_way = OnItsWay(Some((Arc::clone(&queue.letters), number)));
        }
        if self.errors.tolerates() {
            return Ok(Box::new(on_its_way));
        }
        self.errors.counters().count_error();
        let cause = failure.error.trace();
        let error = intolerable(failure, &subject);
        let kept = ConnectError::connect(error.message()).caused_by(cause.trim_end());
        self.lock_intolerable().get_or_insert(kept);
        Err(error)
    }
}

/// A report, and the number of its record in the dead letter queue if it has one.
struct OnItsWay(Option<(Arc<DeadLetters>, u64)>);

impl Report for OnItsWay {
    fn wait(&self, timeout: Duration) -> Result<bool> {
        let Some((letters, number)) = &self.0 else { return Ok(true) };
        letters.wait_for(*number, Clock.deadline(timeout))
    }
}

/// The error of a task whose dead letter queue has no producer.
pub(in crate::task) fn without_producer(fault: KafkaFault) -> ConnectError {
    ConnectError::connect("Failed to create the producer of the dead letter queue").caused_by(fault)
}
