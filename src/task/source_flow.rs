//! The records of a source task on their way: transformed, converted, sent, acknowledged.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use std::vec;

use super::chain::Chain;
use super::conversion::{Conversion, Converted};
use super::errors::{Errors, Subject, Tries};
use super::frame::Frame;
use super::spec::TaskSpec;
use super::stage::{Stage, StageFailure, Staged};
use super::submitted::{self, SourceOffset, Submitted};
use super::topic_creation::{Admission, TopicCreation};
use crate::api::connect_record::ConnectRecord;
use crate::api::error::{ConnectError, Result};
use crate::api::record::{RecordMetadata, SourceRecord};
use crate::api::source::SourceTask;
use crate::api::transform::Fate;
use crate::kafka::fault::{FaultKind, KafkaFault};
use crate::kafka::producer::{self, Delivery, Lane, Outgoing, SendError};
use crate::stdx::error_class::ErrorClass;

const TARGET: &str = "org.apache.kafka.connect.runtime.WorkerSourceTask";
/// The class that records are said to have failed in that Kafka refuses.
const SENDER: &str = TARGET;

const _: () =
    assert!(submitted::IN_FLIGHT_MAX <= producer::IN_FLIGHT_MAX, "a lane has a place for each record");

/// Whether a batch was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// All of it.
    All,
    /// The rest waits until records were acknowledged.
    Blocked,
    /// The rest waits for this moment: an operation failed and is tried again then.
    Retries(Instant),
}

/// Records between a task's `poll` and Kafka's acknowledgement.
pub(super) struct SourceFlow {
    name: String,
    lane: Lane,
    chain: Chain,
    conversion: Conversion,
    errors: Errors,
    submitted: Submitted,
    /// What is left of the latest batch.
    batch: vec::IntoIter<SourceRecord>,
    /// The record that found no room.
    held: Option<Ready>,
    /// The record that an operation failed on, which is tried again at this moment.
    failed: Option<(Underway, Instant)>,
    tries: Tries,
    /// Sent records by number as the task gave them, for a task that wants to see them again.
    kept: Option<HashMap<u64, SourceRecord>>,
    /// Records that were given up and hold back their partitions for good.
    lost: usize,
    /// Brokers do not let the producer in: nobody waits for what is on its way.
    is_denied: bool,
    topics: Topics,
    /// Sees that topics are there, where the connector says how they are created.
    creation: Option<TopicCreation>,
    /// Records that Kafka has, not counted yet.
    written: usize,
    /// What is different where records are sent in transactions.
    transactions: Option<InTransactions>,
}

/// What a flow keeps that sends in transactions.
struct InTransactions {
    /// Where the offsets go, which nothing else may be sent to.
    offsets_topic: Arc<str>,
    /// Records that the task is to see again once the transaction has come about.
    done: Vec<(SourceRecord, Option<RecordMetadata>)>,
    /// How many records Kafka has of it.
    written: usize,
}

/// A record on its way through transforms and converters.
struct Underway {
    record: SourceRecord,
    /// As the task gave it, where somebody wants to see it again and transforms may have changed it.
    original: Option<Box<SourceRecord>>,
    /// Transforms that it has got through.
    done: usize,
}

/// A record that transforms and converters are done with.
struct Ready {
    record: SourceRecord,
    /// As the task gave it, where somebody wants to see it again and transforms may have changed it.
    original: Option<Box<SourceRecord>>,
    /// What to send; nothing where a transform dropped the record or it was left out.
    converted: Option<Converted>,
}

impl Underway {
    fn into_ready(self, converted: Option<Converted>) -> Ready {
        let Underway { record, original, .. } = self;
        Ready { record, original, converted }
    }
}

impl Ready {
    /// The record as the task knows it.
    fn into_original(self) -> SourceRecord {
        self.original.map_or(self.record, |original| *original)
    }
}

/// The topics that records went to.
#[derive(Default)]
struct Topics {
    known: Vec<Arc<str>>,
    /// Topics whose first record, of the given number, is not acknowledged yet.
    unconfirmed: Vec<(u64, Arc<str>)>,
    confirmed: Vec<Arc<str>>,
}

impl SourceFlow {
    pub(super) fn new(
        frame: &Frame,
        spec: &TaskSpec,
        lane: Lane,
        (chain, conversion): (Chain, Conversion),
        keeps_records: bool,
    ) -> Self {
        let errors = Errors::new(spec.id.clone(), spec.errors.clone(), Arc::clone(frame.counters.errors()));
        // A record that Kafka refuses is to be shown, too.
        let keeps_records = keeps_records || errors.shows_records();
        SourceFlow {
            name: frame.name.clone(),
            lane,
            chain,
            conversion,
            errors,
            submitted: Submitted::new(),
            batch: Vec::new().into_iter(),
            held: None,
            failed: None,
            tries: Tries::default(),
            kept: keeps_records.then(HashMap::new),
            lost: 0,
            is_denied: false,
            topics: Topics::default(),
            creation: spec.topic_creation.clone().map(|creation| TopicCreation::new(creation, frame)),
            written: 0,
            transactions: None,
        }
    }

    /// The same flow where records are sent in transactions, with their offsets to this topic.
    pub(super) fn in_transactions(self, offsets_topic: Arc<str>) -> Self {
        SourceFlow {
            transactions: Some(InTransactions { offsets_topic, done: Vec::new(), written: 0 }),
            ..self
        }
    }

    /// The transaction has come about: the task sees its records again, and the next one begins with none.
    pub(super) fn committed(&mut self, task: &mut dyn SourceTask) {
        let done = self.transactions.as_mut().map(|transactions| std::mem::take(&mut transactions.done));
        for (record, metadata) in done.into_iter().flatten() {
            tell_task(&self.name, task, &record, metadata);
        }
        drop(self.submitted.take_committable());
    }

    /// The transaction was aborted: what was on its way is gone. Gives the offsets of all its records.
    pub(super) fn aborted(&mut self) -> Vec<SourceOffset> {
        let offsets = self.submitted.latest_offsets();
        let (base, end) = (self.submitted.base(), self.submitted.next_number());
        let (submitted, topics, kept) = (&mut self.submitted, &mut self.topics, &mut self.kept);
        let done = &mut self.transactions;
        self.lane.drain(base, end, |number, delivery| {
            submitted.acknowledge(number);
            let record = kept.as_mut().and_then(|kept| kept.remove(&number));
            match delivery {
                Delivery::Acknowledged(metadata) => {
                    topics.confirm(number);
                    if let (Some(record), Some(transactions)) = (record, done.as_mut()) {
                        transactions.done.push((record, metadata));
                    }
                }
                Delivery::Failed { .. } => topics.forget(number),
            }
        });
        drop(self.submitted.take_committable());
        self.take_transaction_size();
        offsets
    }

    /// How many records Kafka has of the transaction that ends.
    pub(super) fn take_transaction_size(&mut self) -> usize {
        self.transactions.as_mut().map_or(0, |transactions| std::mem::take(&mut transactions.written))
    }

    /// How many records Kafka has that were not counted before.
    pub(super) fn take_written(&mut self) -> usize {
        std::mem::take(&mut self.written)
    }

    /// Records that were polled and are not finished.
    pub(super) fn active(&self) -> usize {
        let waiting = usize::from(self.held.is_some()) + usize::from(self.failed.is_some());
        self.outstanding() + self.batch.as_slice().len() + waiting
    }

    /// Records in flight, for the commit of their offsets.
    pub(super) fn submitted(&mut self) -> &mut Submitted {
        &mut self.submitted
    }

    /// Records whose fate is open.
    pub(super) fn outstanding(&self) -> usize {
        if self.is_denied { 0 } else { self.submitted.unacknowledged() - self.lost }
    }

    /// Whether a part of the latest batch waits to be sent.
    pub(super) fn has_backlog(&self) -> bool {
        self.held.is_some() || self.failed.is_some() || !self.batch.as_slice().is_empty()
    }

    /// Takes the next batch. The one before must be sent.
    pub(super) fn take_batch(&mut self, batch: Vec<SourceRecord>) {
        debug_assert!(!self.has_backlog(), "a batch is sent before the next one is polled");
        self.batch = batch.into_iter();
    }

    /// Topics whose first record Kafka has by now; each is told once.
    pub(super) fn take_topics(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.topics.confirmed)
    }

    /// Tells topics again when they are used again.
    pub(super) fn forget_topics(&mut self) {
        self.topics = Topics::default();
    }

    /// Asks for a wake when `records` of those in flight have their answer. `false`: some have it already.
    pub(super) fn wake_after(&mut self, records: usize, task: &mut dyn SourceTask) -> Result<bool> {
        self.lane.wake_after(records.max(1) as u64);
        let before = self.outstanding();
        self.acknowledge(task)?;
        Ok(self.outstanding() == before)
    }

    /// Sends what is left of the batch, as far as there is room and nothing has to be tried again later.
    pub(super) fn send(&mut self, task: &mut dyn SourceTask, now: Instant) -> Result<Sent> {
        loop {
            let ready = match (self.held.take(), self.failed.take()) {
                (Some(held), _) => held,
                (None, Some((underway, until))) if now < until => {
                    self.failed = Some((underway, until));
                    return Ok(Sent::Retries(until));
                }
                (None, failed) => {
                    let underway = failed.map(|(underway, _)| underway);
                    let Some(underway) = underway.or_else(|| self.next_of_batch()) else {
                        return Ok(Sent::All);
                    };
                    let Some(ready) = self.prepare(underway)? else { continue };
                    ready
                }
            };
            if let Some(blocked) = self.send_one(ready, task)? {
                self.held = Some(blocked);
                return Ok(Sent::Blocked);
            }
        }
    }

    fn next_of_batch(&mut self) -> Option<Underway> {
        let record = self.batch.next()?;
        let keeps = !self.chain.is_empty() && self.kept.is_some();
        Some(Underway { original: keeps.then(|| Box::new(record.clone())), record, done: 0 })
    }

    /// Takes a record through transforms and converters. One that fails is kept to be tried again (`None`), or left out: then it
    /// is ready and nothing is sent.
    fn prepare(&mut self, mut underway: Underway) -> Result<Option<Ready>> {
        let failure = match self.attempt(&mut underway) {
            Ok(converted) => {
                self.tries.end();
                if converted.is_some() {
                    self.check_topic(&underway.record)?;
                }
                return Ok(Some(underway.into_ready(converted)));
            }
            Err(failure) => failure,
        };
        if let Some(until) = self.errors.tries_again(&mut self.tries, &failure, underway.done) {
            self.failed = Some((underway, until));
            return Ok(None);
        }
        self.tries.end();
        let subject = Subject::Source(underway.original.as_deref().unwrap_or(&underway.record));
        self.errors.note_operation(&failure, &subject);
        self.errors.leave_out(failure, &subject)?;
        Ok(Some(underway.into_ready(None)))
    }

    /// The bytes of a record after its transforms; `None` where one of them drops it.
    fn attempt(&mut self, underway: &mut Underway) -> Staged<Option<Converted>> {
        let Underway { record, done, .. } = underway;
        match self.chain.apply(&mut ConnectRecord::Source(record), done)? {
            Fate::Dropped => Ok(None),
            Fate::Kept => {
                if let Some(timestamp) = record.timestamp.filter(|timestamp| *timestamp < -1) {
                    let error = ConnectError::data(format!("Invalid record timestamp {timestamp}"));
                    return Err(StageFailure { stage: Stage::KafkaProduce, class: SENDER, error });
                }
                self.conversion.bytes_of(record).map(Some)
            }
        }
    }

    /// Offsets that a task wrote itself would undo those that stand for its records.
    fn check_topic(&self, record: &SourceRecord) -> Result<()> {
        match &self.transactions {
            Some(transactions) if transactions.offsets_topic == record.topic => Err(ConnectError::connect(
                "Source tasks may not produce to their own offsets topics when exactly-once support is enabled",
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Sends a record, or gives it back when there is no room.
    fn send_one(&mut self, ready: Ready, task: &mut dyn SourceTask) -> Result<Option<Ready>> {
        if !self.submitted.has_room() {
            return Ok(Some(ready));
        }
        let number = self.submitted.next_number();
        let Ready { record, converted: Some(converted), .. } = &ready else {
            self.pass_over(ready, task);
            return Ok(None);
        };
        if let Some(creation) = &mut self.creation {
            match creation.admit(&record.topic)? {
                Admission::Granted => {}
                Admission::Pending => return Ok(Some(ready)),
                Admission::Failed(fault) => {
                    self.note_retry(record, &fault);
                    return Ok(Some(ready));
                }
            }
        }
        let outgoing = Outgoing {
            topic: &record.topic,
            partition: record.partition,
            key: converted.key.as_deref(),
            value: converted.value.as_deref(),
            timestamp: record.timestamp.filter(|timestamp| *timestamp >= 0),
            headers: &converted.headers,
        };
        match self.lane.send(number, &outgoing) {
            Ok(()) => {
                self.topics.note(number, &record.topic);
                self.submit(number, ready);
                Ok(None)
            }
            Err(SendError::Full) => Ok(Some(ready)),
            Err(SendError::Failed(fault)) if fault.class() == ErrorClass::Retriable => {
                self.note_retry(record, &fault);
                Ok(Some(ready))
            }
            Err(SendError::Failed(fault)) => {
                log::error!(target: TARGET, "{} failed to send record to {}: {fault}", self.name, record.topic);
                if !self.may_lose(&fault) {
                    return Err(unsendable(fault));
                }
                let known = ready.original.as_deref().unwrap_or(&ready.record);
                note_refused(&self.errors, fault, Subject::Source(known));
                self.pass_over(ready, task);
                Ok(None)
            }
        }
    }

    fn note_retry(&self, record: &SourceRecord, fault: &KafkaFault) {
        log::warn!(
            target: TARGET,
            "{} Failed to send record to topic '{}' and partition '{}'. Backing off before retrying: {fault}",
            self.name,
            record.topic,
            record.partition.map_or_else(|| "null".to_owned(), |partition| partition.to_string()),
        );
    }

    /// Counts a record that was sent under a number.
    fn submit(&mut self, number: u64, ready: Ready) {
        let mut record = ready.into_original();
        let offset = match &self.kept {
            None => record.source_offset.take(),
            Some(_) => record.source_offset.clone(),
        };
        self.submitted.submit(&record.source_partition, offset);
        if let Some(kept) = &mut self.kept {
            kept.insert(number, record);
        }
    }

    /// Counts a record that was dropped or left out as delivered: the source has not to read it again.
    fn pass_over(&mut self, ready: Ready, task: &mut dyn SourceTask) {
        let record = ready.into_original();
        let number = self.submitted.submit(&record.source_partition, record.source_offset.clone());
        self.submitted.acknowledge(number);
        self.dropped(task, &record);
    }

    /// Whether a record that Kafka refuses may be left out. A transaction has all that was sent in it, or nothing; a producer
    /// that is lost takes no other record either.
    fn may_lose(&self, fault: &KafkaFault) -> bool {
        self.errors.tolerates() && fault.kind() != FaultKind::ProducerLost && self.transactions.is_none()
    }

    /// Notes what was acknowledged. Fails when a record was given up that may not be left out.
    pub(super) fn acknowledge(&mut self, task: &mut dyn SourceTask) -> Result<()> {
        let end = self.submitted.next_number();
        let base = self.submitted.base();
        let (mut given_up, mut written) = (Vec::new(), 0);
        let (submitted, topics, kept) = (&mut self.submitted, &mut self.topics, &mut self.kept);
        let (name, done) = (&self.name, &mut self.transactions);
        self.lane.drain(base, end, |number, delivery| match delivery {
            Delivery::Acknowledged(metadata) => {
                written += 1;
                submitted.acknowledge(number);
                topics.confirm(number);
                let record = kept.as_mut().and_then(|kept| kept.remove(&number));
                match (record, &mut *done) {
                    (Some(record), Some(transactions)) => transactions.done.push((record, metadata)),
                    (Some(record), None) => tell_task(name, task, &record, metadata),
                    (None, _) => {}
                }
            }
            Delivery::Failed { topic, fault } => given_up.push((number, topic, fault)),
        });
        self.written += written;
        if let Some(transactions) = &mut self.transactions {
            transactions.written += written;
        }
        let mut failure = None;
        for (number, topic, fault) in given_up {
            self.topics.forget(number);
            // All records of a transaction fail together: one line tells of it.
            if failure.is_none() || self.transactions.is_none() {
                log::error!(target: TARGET, "{} failed to send record to {topic}: {fault}", self.name);
            }
            if self.may_lose(&fault) {
                self.submitted.acknowledge(number);
                let record = self.kept.as_mut().and_then(|kept| kept.remove(&number));
                let subject = record.as_ref().map_or(Subject::Unknown, Subject::Source);
                note_refused(&self.errors, fault, subject);
                if let Some(record) = record {
                    tell_task(&self.name, task, &record, None);
                }
            } else {
                self.lost += 1;
                failure = failure.or(Some(unsendable(fault)));
            }
        }
        if failure.is_none()
            && self.outstanding() > 0
            && let Some(fault) = self.lane.denied()
        {
            log::error!(target: TARGET, "{} failed to send records: {fault}", self.name);
            self.is_denied = true;
            failure = Some(unsendable(fault));
        }
        failure.map_or(Ok(()), Err)
    }

    /// A record was left out: the task sees it again now, or with the others of the transaction.
    fn dropped(&mut self, task: &mut dyn SourceTask, record: &SourceRecord) {
        match (&mut self.transactions, &self.kept) {
            (Some(transactions), Some(_)) => transactions.done.push((record.clone(), None)),
            (Some(_), None) => {}
            (None, _) => tell_task(&self.name, task, record, None),
        }
    }
}

impl Topics {
    /// A record of this number goes to the topic.
    fn note(&mut self, number: u64, topic: &Arc<str>) {
        let known = |known: &Arc<str>| Arc::ptr_eq(known, topic) || **known == **topic;
        if self.known.last().is_some_and(known) || self.known.iter().any(known) {
            return;
        }
        self.known.push(Arc::clone(topic));
        self.unconfirmed.push((number, Arc::clone(topic)));
    }

    fn confirm(&mut self, number: u64) {
        if let Some(index) = self.unconfirmed.iter().position(|(first, _)| *first == number) {
            let (_, topic) = self.unconfirmed.swap_remove(index);
            self.confirmed.push(topic);
        }
    }

    /// The record of this number was given up: the next one to its topic is the first.
    fn forget(&mut self, number: u64) {
        if let Some(index) = self.unconfirmed.iter().position(|(first, _)| *first == number) {
            let (_, topic) = self.unconfirmed.swap_remove(index);
            self.known.retain(|known| *known != topic);
        }
    }
}

/// The error of a task without a producer to send by.
pub(super) fn without_producer(fault: KafkaFault) -> ConnectError {
    ConnectError::connect("Failed to create the producer of the task").caused_by(fault)
}

/// Whether an error of this flow came of a producer that cannot be used any more.
pub(super) fn is_producer_lost(error: &ConnectError) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<KafkaFault>());
    cause.is_some_and(|fault| fault.kind() == FaultKind::ProducerLost)
}

/// Counts and logs that Kafka refused a record that is left out.
fn note_refused(errors: &Errors, fault: KafkaFault, subject: Subject<'_>) {
    let error = ConnectError::connect("Kafka does not take the record").caused_by(fault);
    errors.note(&StageFailure { stage: Stage::KafkaProduce, class: SENDER, error }, &subject);
}

/// The error of a task whose record Kafka does not take.
fn unsendable(fault: KafkaFault) -> ConnectError {
    ConnectError::connect("Unrecoverable exception from producer send callback").caused_by(fault)
}

fn tell_task(name: &str, task: &mut dyn SourceTask, record: &SourceRecord, metadata: Option<RecordMetadata>) {
    if let Err(error) = task.commit_record(record, metadata) {
        log::error!(
            target: TARGET,
            "{name} Exception thrown while calling task.commitRecord()\n{}",
            error.trace().trim_end(),
        );
    }
}
