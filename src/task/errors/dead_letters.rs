//! Records on their way to the dead letter queue, and how far offsets may be committed meanwhile.
//!
//! All under one lock, which nobody holds while waiting: the task and threads of its plug-in send, whoever looks takes up
//! what Kafka has acknowledged. The number of records that are not acknowledged is bounded, and so are their bytes, by the
//! producer's `buffer.memory`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use super::super::conversion::RawHeaders;
use super::super::error_counters::ErrorCounters;
use super::super::frame::Frame;
use crate::api::error::ConnectError;
use crate::api::ids::TopicPartition;
use crate::api::sink::SinkOffsets;
use crate::kafka::fault::KafkaFault;
use crate::kafka::producer::{Delivery, IN_FLIGHT_MAX, Lane, Outgoing, Producer, SendError};
use crate::stdx::error_class::ErrorClass;
use crate::stdx::time::{Clock, Deadline};

const TARGET: &str = "org.apache.kafka.connect.runtime.errors.DeadLetterQueueReporter";

/// The most records that are on their way; who has more waits.
const UNACKNOWLEDGED_MAX: usize = 1000;
/// The longest time between two looks of who waits: a bell that rings for another one is not heard.
const LOOK: Duration = Duration::from_millis(100);

/// A record for the dead letter queue.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) key: Option<bytes::Bytes>,
    pub(super) value: Option<bytes::Bytes>,
    pub(super) headers: RawHeaders,
    pub(super) timestamp: Option<i64>,
    /// Where it was read from: offsets behind it wait for it.
    pub(super) from: (TopicPartition, i64),
}

/// The dead letter queue of one task.
pub(super) struct DeadLetters {
    topic: Arc<str>,
    counters: Arc<ErrorCounters>,
    state: Mutex<State>,
    /// Rings when something was acknowledged that somebody waits for.
    bell: Receiver<()>,
}

struct State {
    lane: Lane,
    next: u64,
    /// What was sent and is not acknowledged, by number; without a place once its partition has gone.
    sent: BTreeMap<u64, Option<(TopicPartition, i64)>>,
    /// What found no room in the producer: at most what one look of the task gave.
    unsent: VecDeque<Letter>,
    refused: Vec<Refused>,
}

/// A record that the dead letter queue does not take: the task fails.
struct Refused {
    number: Option<u64>,
    from: Option<(TopicPartition, i64)>,
    fault: KafkaFault,
}

impl DeadLetters {
    pub(super) fn new(topic: Arc<str>, producer: &Arc<Producer>, frame: &Frame) -> Result<Self, KafkaFault> {
        let (ring, bell) = bounded(1);
        let waker = frame.waker.clone();
        let wake = move || {
            // One that rings already is enough.
            ring.try_send(()).ok();
            waker.wake();
        };
        let lane = producer.lane(Arc::new(wake), false)?;
        let state =
            State { lane, next: 0, sent: BTreeMap::new(), unsent: VecDeque::new(), refused: Vec::new() };
        let counters = Arc::clone(frame.counters.errors());
        Ok(DeadLetters { topic, counters, state: Mutex::new(state), bell })
    }

    /// Sends a record now or, where the producer has no room, with a later look. Never blocks: to be called while there is
    /// room ([`DeadLetters::has_room`]).
    pub(super) fn send(&self, letter: Letter) {
        self.counters.count_dead_letter();
        let mut state = self.lock();
        state.unsent.push_back(letter);
        state.look(self);
    }

    /// Sends a record; waits for room until `gives_up`. Its number, with which it can be waited for.
    ///
    /// # Errors
    /// The queue refuses records, or there was no room.
    pub(super) fn send_when_room(
        &self,
        letter: Letter,
        gives_up: impl Fn() -> bool,
    ) -> Result<u64, ConnectError> {
        self.counters.count_dead_letter();
        let mut waiting = Some(letter);
        loop {
            let sent = self.look_until(Clock.deadline(LOOK), |state| {
                if let Some(refused) = state.refused.first() {
                    return Some(Err(self.refusal(&refused.fault)));
                }
                let letter = if state.has_room() { waiting.take()? } else { return None };
                let number = state.next;
                waiting = state.send(self, letter);
                if waiting.is_some() {
                    return None;
                }
                let refused = state.refused.first().map(|refused| self.refusal(&refused.fault));
                Some(refused.map_or(Ok(number), Err))
            });
            match sent {
                Some(sent) => return sent,
                None if gives_up() => {
                    return Err(ConnectError::retriable(format!(
                        "The task is stopping, and the dead letter queue '{}' has no room: Kafka has not acknowledged \
                         what it has",
                        self.topic
                    )));
                }
                None => {}
            }
        }
    }

    /// Whether another record has room. If not, the task is woken when much of what is on its way is acknowledged.
    pub(super) fn has_room(&self) -> bool {
        let mut state = self.lock();
        state.look(self);
        if state.has_room() {
            return true;
        }
        state.lane.wake_after((state.sent.len() as u64 / 4).max(1));
        state.look(self);
        state.has_room()
    }

    /// Takes up what was acknowledged, and sees that the task is woken when the rest is.
    ///
    /// # Errors
    /// The queue refused a record.
    pub(super) fn check(&self) -> Result<(), ConnectError> {
        let mut state = self.lock();
        state.look(self);
        if !state.sent.is_empty() {
            state.lane.wake_after(state.sent.len() as u64);
            state.look(self);
        }
        state.refused.first().map_or(Ok(()), |refused| Err(self.refusal(&refused.fault)))
    }

    /// The first offset of each partition that may not be committed past.
    pub(super) fn holds(&self) -> SinkOffsets {
        let mut state = self.lock();
        state.look(self);
        let State { sent, unsent, refused, .. } = &*state;
        let places = sent.values().flatten();
        let places = places.chain(unsent.iter().map(|letter| &letter.from));
        let places = places.chain(refused.iter().filter_map(|refused| refused.from.as_ref()));
        let mut holds = SinkOffsets::new();
        for (partition, offset) in places {
            holds
                .entry(partition.clone())
                .and_modify(|first| *first = (*first).min(*offset))
                .or_insert(*offset);
        }
        holds
    }

    /// Waits until nothing of these partitions is on its way, at most until the deadline.
    pub(super) fn settle(&self, partitions: &[TopicPartition], deadline: Deadline) -> bool {
        let is_of = |from: &(TopicPartition, i64)| partitions.contains(&from.0);
        let settled = self.look_until(deadline, |state| {
            let waits = state.sent.values().flatten().any(is_of)
                || state.unsent.iter().any(|letter| is_of(&letter.from));
            (!waits).then_some(())
        });
        settled.is_some()
    }

    /// Partitions that went, or are read again: their offsets wait for nothing any more.
    pub(super) fn forget(&self, partitions: &[TopicPartition]) {
        let mut state = self.lock();
        let State { sent, refused, .. } = &mut *state;
        for from in sent.values_mut().chain(refused.iter_mut().map(|refused| &mut refused.from)) {
            from.take_if(|(partition, _)| partitions.contains(partition));
        }
    }

    /// Waits until the record of this number is acknowledged, at most until the deadline; whether it is.
    ///
    /// # Errors
    /// The queue refused it.
    pub(super) fn wait_for(&self, number: u64, deadline: Deadline) -> Result<bool, ConnectError> {
        let outcome = self.look_until(deadline, |state| {
            if let Some(refused) = state.refused.iter().find(|refused| refused.number == Some(number)) {
                return Some(Err(self.refusal(&refused.fault)));
            }
            (!state.sent.contains_key(&number)).then_some(Ok(true))
        });
        outcome.unwrap_or(Ok(false))
    }

    /// Looks until `found` finds something, at most until the deadline.
    fn look_until<T>(&self, deadline: Deadline, mut found: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        loop {
            {
                let mut state = self.lock();
                state.look(self);
                if let Some(found) = found(&mut state) {
                    return Some(found);
                }
                state.lane.wake_after(1);
                // What came in between does not wake.
                state.look(self);
                if let Some(found) = found(&mut state) {
                    return Some(found);
                }
            }
            let left = deadline.left(Clock.now().instant);
            if left.is_zero() {
                return None;
            }
            // Rung or not: the next look tells.
            self.bell.recv_timeout(LOOK.min(left)).ok();
        }
    }

    fn refusal(&self, fault: &KafkaFault) -> ConnectError {
        ConnectError::connect(format!(
            "The dead letter queue '{}' does not take a record. Offsets from that record on are not committed",
            self.topic
        ))
        .caused_by(fault.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self) -> bool {
        let oldest = self.sent.keys().next().copied().unwrap_or(self.next);
        self.unsent.is_empty()
            && self.sent.len() < UNACKNOWLEDGED_MAX
            && self.next - oldest < IN_FLIGHT_MAX as u64
    }

    /// Takes up what was acknowledged or refused, and sends what waits for the producer.
    fn look(&mut self, queue: &DeadLetters) {
        self.drain(queue);
        while let Some(letter) = self.unsent.pop_front() {
            if let Some(letter) = self.send(queue, letter) {
                self.unsent.push_front(letter);
                return;
            }
        }
    }

    fn drain(&mut self, queue: &DeadLetters) {
        let Some(oldest) = self.sent.keys().next().copied() else { return };
        let State { lane, sent, refused, next, .. } = self;
        lane.drain(oldest, *next, |number, delivery| {
            let from = sent.remove(&number).flatten();
            if let Delivery::Failed { fault, .. } = delivery {
                refused.push(queue.refuse(Some(number), from, fault));
            }
        });
    }

    /// Sends a record; gives it back where the producer has no room.
    fn send(&mut self, queue: &DeadLetters, letter: Letter) -> Option<Letter> {
        let outgoing = Outgoing {
            topic: &queue.topic,
            partition: None,
            key: letter.key.as_deref(),
            value: letter.value.as_deref(),
            timestamp: letter.timestamp.filter(|timestamp| *timestamp >= 0),
            headers: &letter.headers,
        };
        match self.lane.send(self.next, &outgoing) {
            Ok(()) => {
                self.sent.insert(self.next, Some(letter.from));
                self.next += 1;
                None
            }
            Err(SendError::Full) => Some(letter),
            Err(SendError::Failed(fault)) if fault.class() == ErrorClass::Retriable => Some(letter),
            Err(SendError::Failed(fault)) => {
                self.refused.push(queue.refuse(None, Some(letter.from), fault));
                None
            }
        }
    }
}

impl DeadLetters {
    /// Notes that Kafka does not take a record.
    fn refuse(&self, number: Option<u64>, from: Option<(TopicPartition, i64)>, fault: KafkaFault) -> Refused {
        self.counters.count_refused_dead_letter();
        log::error!(target: TARGET, "Could not produce message to dead letter queue. topic={}\n{fault}", self.topic);
        Refused { number, from, fault }
    }
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters").field("topic", &self.topic).finish_non_exhaustive()
    }
}
