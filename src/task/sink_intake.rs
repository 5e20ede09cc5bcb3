//! The way of a consumed record into the batch of a sink task: converters, then transforms.
//!
//! An operation that is to be tried again later does not hold up a thread: the record stays where it is, those behind it
//! wait, and what is in the batch already can be put. The same where a record that failed finds no room in the dead letter
//! queue.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chain::Chain;
use super::conversion::Conversion;
use super::errors::Tries;
use super::errors::sink::SinkErrors;
use super::stage::Staged;
use crate::api::connect_record::ConnectRecord;
use crate::api::error::Result;
use crate::api::ids::TopicPartition;
use crate::api::record::SinkRecord;
use crate::api::transform::Fate;
use crate::kafka::consumed::Consumed;
use crate::kafka::consumer::SinkConsumer;

/// The longest rest while the dead letter queue has no room: it wakes the task before.
const ROOM: Duration = Duration::from_millis(100);
/// How long records wait until the consumer takes no more of them.
const LONG: Duration = Duration::from_secs(1);

/// Records between the consumer and the batch.
pub(super) struct Intake {
    conversion: Conversion,
    chain: Chain,
    errors: Arc<SinkErrors>,
    tries: Tries,
    /// The record that an operation is to be tried again on.
    held: Option<Held>,
    /// Those behind it.
    backlog: VecDeque<Consumed>,
    waits: Option<Waits>,
}

/// A record on its way, and the number of transforms that it has got through; without converters it is none yet.
struct Held {
    consumed: Consumed,
    record: Option<SinkRecord>,
    done: usize,
}

#[derive(Debug, Clone, Copy)]
struct Waits {
    since: Instant,
    /// `None`: for room in the dead letter queue.
    until: Option<Instant>,
}

/// Records for the task, and how far they go.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) records: Vec<SinkRecord>,
    /// Also for records that were left out.
    pub(super) ends: Vec<End>,
}

/// How far a batch goes in a partition.
pub(super) struct End {
    pub(super) partition: TopicPartition,
    pub(super) first: i64,
    pub(super) next: i64,
}

impl Intake {
    pub(super) fn new(chain: Chain, conversion: Conversion, errors: Arc<SinkErrors>) -> Self {
        Intake {
            conversion,
            chain,
            errors,
            tries: Tries::default(),
            held: None,
            backlog: VecDeque::new(),
            waits: None,
        }
    }

    /// Whether records wait.
    pub(super) fn is_waiting(&self) -> bool {
        self.waits.is_some()
    }

    /// When to go on, if records wait.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.waits.map(|waits| waits.until.unwrap_or(now + ROOM))
    }

    /// Whether records have waited so long that it is better to take no more of them.
    pub(super) fn waits_long(&self, now: Instant) -> bool {
        self.waits.is_some_and(|waits| now.saturating_duration_since(waits.since) >= LONG)
    }

    /// Takes records into the batch: those that wait, else those that the consumer has. Stops at one that has to wait.
    ///
    /// # Errors
    /// A record failed that may not be left out.
    pub(super) fn take(
        &mut self,
        consumer: &mut SinkConsumer,
        batch: &mut Batch,
        now: Instant,
    ) -> Result<()> {
        let has_waited = self.waits.is_some();
        if let Some(waits) = self.waits {
            let goes_on = waits.until.map_or_else(|| self.errors.has_room(), |until| now >= until);
            if !goes_on {
                return Ok(());
            }
        }
        let held = self.held.take();
        let backlog = std::mem::take(&mut self.backlog);
        let mut waiting = held.into_iter().chain(backlog.into_iter().map(Held::new));
        while let Some(record) = waiting.next() {
            if !self.pass(record, batch, now)? {
                self.backlog.extend(waiting.map(|held| held.consumed));
                return Ok(());
            }
        }
        self.waits = None;
        if has_waited {
            // What came meanwhile is the next batch.
            return Ok(());
        }
        let mut fresh = consumer.take_batch();
        while let Some(consumed) = fresh.next() {
            if !self.pass(Held::new(consumed), batch, now)? {
                self.backlog.extend(fresh);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes a record into the batch, or leaves it out. `false`: those behind it wait, and it may, too.
    fn pass(&mut self, mut held: Held, batch: &mut Batch, now: Instant) -> Result<bool> {
        let failure = match self.attempt(&mut held) {
            Ok(fate) => {
                self.tries.end();
                batch.extend_to(&held.consumed);
                batch.records.extend(held.record.filter(|_| fate == Fate::Kept));
                return Ok(true);
            }
            Err(failure) => failure,
        };
        if let Some(until) = self.errors.tries_again(&mut self.tries, &failure, held.done) {
            self.wait(now, Some(until));
            self.held = Some(held);
            return Ok(false);
        }
        self.tries.end();
        self.errors.leave_out(failure, &held.consumed)?;
        batch.extend_to(&held.consumed);
        let has_room = self.errors.has_room();
        if !has_room {
            self.wait(now, None);
        }
        Ok(has_room)
    }

    fn attempt(&mut self, held: &mut Held) -> Staged<Fate> {
        let record = match &mut held.record {
            Some(record) => record,
            none => {
                let mut record = self.conversion.record_of(&held.consumed)?;
                if self.errors.wants_raw_records() {
                    record.raw = Some(Arc::new(held.consumed.raw()));
                }
                none.insert(record)
            }
        };
        self.chain.apply(&mut ConnectRecord::Sink(record), &mut held.done)
    }

    fn wait(&mut self, now: Instant, until: Option<Instant>) {
        let since = self.waits.map_or(now, |waits| waits.since);
        self.waits = Some(Waits { since, until });
    }

    /// Forgets the records of some partitions.
    pub(super) fn forget(&mut self, partitions: &[TopicPartition]) {
        let is_gone = |consumed: &Consumed| {
            partitions.iter().any(|gone| gone.partition == consumed.partition && gone.topic == consumed.topic)
        };
        self.backlog.retain(|consumed| !is_gone(consumed));
        if self.held.take_if(|held| is_gone(&held.consumed)).is_some() {
            self.tries.end();
            // Those behind it need not wait.
            self.waits = self.waits.map(|waits| Waits { until: Some(waits.since), ..waits });
        }
    }
}

impl Held {
    fn new(consumed: Consumed) -> Self {
        Held { consumed, record: None, done: 0 }
    }
}

impl Batch {
    /// Counts a record, whether it is put or left out.
    fn extend_to(&mut self, consumed: &Consumed) {
        let (topic, number, next) = (&consumed.topic, consumed.partition, consumed.offset + 1);
        // Records of a partition come in runs: look at the latest first.
        let known = self.ends.iter_mut().rev().find(|end| {
            end.partition.partition == number
                && (Arc::ptr_eq(&end.partition.topic, topic) || end.partition.topic == *topic)
        });
        match known {
            Some(end) => end.next = next,
            None => {
                let partition = TopicPartition { topic: Arc::clone(topic), partition: number };
                self.ends.push(End { partition, first: consumed.offset, next });
            }
        }
    }

    /// Forgets the records of some partitions. Returns whether any are left.
    pub(super) fn forget(&mut self, partitions: &[TopicPartition]) -> bool {
        self.records.retain(|record| {
            !partitions
                .iter()
                .any(|gone| gone.partition == record.partition && gone.topic == record.original_topic)
        });
        self.ends.retain(|end| !partitions.contains(&end.partition));
        !self.records.is_empty()
    }
}
