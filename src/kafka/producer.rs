//! Producers: one for all source tasks with equal client settings.
//!
//! A producer has one thread that serves its delivery reports. Tasks send through a [`Lane`] of their own and read
//! from it what was acknowledged.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

pub use super::deliveries::Wake;
use super::deliveries::{Deliveries, LaneState, PLACES, Placed, Undelivered, to_opaque};
use super::fault::{FaultKind, KafkaFault};
use super::figures::ClientFigures;
use super::settings::client_config;
use super::transactions::{self, TransactionFault};
use crate::api::record::RecordMetadata;
use crate::config::client::ClientSettings;
use crate::stdx::thread::{self, JoinOnDrop};
use crate::stdx::time::Clock;

/// How long the poller waits for reports before it looks whether it should end.
const POLL: Duration = Duration::from_millis(100);

/// How long one of the questions that hurry the first record may take. librdkafka looks again by itself after as long.
const HURRY: Duration = Duration::from_millis(500);

/// The most records of one lane that can be in flight.
pub const IN_FLIGHT_MAX: usize = PLACES;

/// The producers of a worker, by their settings. Each lives while a lane uses it.
#[derive(Debug, Default)]
pub struct Producers(Mutex<HashMap<ClientSettings, Weak<Producer>>>);

impl Producers {
    /// No producer yet.
    pub fn new() -> Self {
        Producers::default()
    }

    /// The producer with these settings: that of other tasks, or a new one. Does not wait for the broker.
    pub fn get(&self, settings: &ClientSettings) -> Result<Arc<Producer>, KafkaFault> {
        let mut producers = self.lock();
        if let Some(producer) = producers.get(settings).and_then(Weak::upgrade)
            && producer.fatal().is_none()
            && producer.client.context().denials().denied().is_none()
        {
            return Ok(producer);
        }
        producers.retain(|_, producer| producer.strong_count() > 0);
        let producer = Arc::new(Producer::new(settings)?);
        producers.insert(settings.clone(), Arc::downgrade(&producer));
        Ok(producer)
    }

    /// Producers in use.
    pub fn len(&self) -> usize {
        self.lock().values().filter(|producer| producer.strong_count() > 0).count()
    }

    /// Whether no producer is in use.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientSettings, Weak<Producer>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A producer and the thread that serves its delivery reports. Dropping it gives up what is still in its queue.
pub struct Producer {
    stop: Arc<AtomicBool>,
    // Dropped before the client: they hold the client, too.
    poller: Option<JoinOnDrop>,
    hurry: OnceLock<Option<JoinOnDrop>>,
    is_idempotent: bool,
    /// Whether a transaction is open; `None` for a producer without any.
    transaction: Option<AtomicBool>,
    client: Arc<BaseProducer<Deliveries>>,
}

impl Producer {
    fn new(settings: &ClientSettings) -> Result<Self, KafkaFault> {
        let what = "make a producer";
        let client = client_config(settings).create_with_context(Deliveries::default());
        let client: BaseProducer<Deliveries> = client.map_err(|error| KafkaFault::new(what, &error))?;
        let client = Arc::new(client);
        let stop = Arc::new(AtomicBool::new(false));
        let poller = thread::spawn("kafka-producer-network-thread", thread::STACK_BYTES, {
            let (client, stop) = (Arc::clone(&client), Arc::clone(&stop));
            move || {
                while !stop.load(Ordering::Acquire) {
                    client.poll(POLL);
                    let context = client.context();
                    if context.denials().look(Clock.now().instant, || client.in_flight_count() > 0) {
                        context.wake_all();
                    }
                }
            }
        })
        .map_err(|error| KafkaFault::other(what, FaultKind::Other, error.to_string()))?;
        let transaction = settings.get("transactional.id").map(|_| AtomicBool::new(false));
        // One with transactions has its number before the first record.
        let is_idempotent = settings.get("enable.idempotence") == Some("true") && transaction.is_none();
        let (poller, hurry) = (Some(poller), OnceLock::new());
        Ok(Producer { stop, poller, hurry, is_idempotent, transaction, client })
    }

    /// A producer with a transactional id, which nobody shares. Does not wait for the broker.
    ///
    /// # Errors
    /// Settings that librdkafka refuses.
    pub fn transactional(settings: &ClientSettings) -> Result<Arc<Self>, KafkaFault> {
        Producer::new(settings).map(Arc::new)
    }

    /// Takes the transactional id for itself: what an earlier producer with it has begun is aborted, and what that one
    /// writes from now on is refused. Blocks at most so long; `false`: call again.
    ///
    /// # Errors
    /// It cannot be had.
    pub fn init_transactions(&self, patience: Duration) -> Result<bool, TransactionFault> {
        let what = "take its transactional id for itself (InitProducerId)";
        self.resumable(what, self.client.init_transactions(patience))
    }

    /// Whether a record was sent since the last transaction ended.
    pub fn is_transaction_open(&self) -> bool {
        self.transaction.as_ref().is_some_and(|open| open.load(Ordering::Acquire))
    }

    /// Ends the open transaction: all its records are valid, if this is `true`. Every record must have been acknowledged.
    /// Blocks at most so long; `false`: call again, and nothing else before.
    ///
    /// # Errors
    /// The transaction did not come about, or it is not known whether it did.
    pub fn commit_transaction(&self, patience: Duration) -> Result<bool, TransactionFault> {
        // The last report may still be in the hands of the poller. The call below would take up the poller's work then, and
        // wait for one more.
        if self.client.flush(Duration::ZERO).is_err() {
            return Ok(false);
        }
        let result = self.client.commit_transaction(patience);
        self.ended(self.resumable("commit a transaction (EndTxn)", result))
    }

    /// Gives the records of the open transaction up; those that are on their way are reported as failed before this
    /// returns. Blocks at most so long; `false`: call again, and nothing else before.
    ///
    /// # Errors
    /// The broker ends the transaction later.
    pub fn abort_transaction(&self, patience: Duration) -> Result<bool, TransactionFault> {
        let result = self.client.abort_transaction(patience);
        self.ended(self.resumable("abort a transaction (EndTxn)", result))
    }

    /// Why the latest attempt to reach a broker failed, if it did not let the producer in.
    pub fn denial(&self) -> Option<KafkaFault> {
        let suspected = self.client.context().denials().suspected();
        suspected.map(|(kind, reason)| KafkaFault::other("log in to a broker", kind, reason))
    }

    /// Opens a transaction, unless one is open or the producer has none.
    fn open_transaction(&self) -> Result<(), KafkaFault> {
        let Some(open) = self.transaction.as_ref().filter(|open| !open.load(Ordering::Acquire)) else {
            return Ok(());
        };
        let begun = self.client.begin_transaction();
        begun.map_err(|error| self.transaction_fault("begin a transaction", &error).into_fault())?;
        open.store(true, Ordering::Release);
        Ok(())
    }

    fn ended(&self, outcome: Result<bool, TransactionFault>) -> Result<bool, TransactionFault> {
        if let (Some(open), Ok(true)) = (&self.transaction, &outcome) {
            open.store(false, Ordering::Release);
        }
        outcome
    }

    fn resumable(
        &self,
        what: &'static str,
        result: Result<(), KafkaError>,
    ) -> Result<bool, TransactionFault> {
        match result {
            Ok(()) => Ok(true),
            Err(KafkaError::Transaction(cause)) if cause.is_retriable() => Ok(false),
            Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)) => Ok(false),
            Err(error) => Err(self.transaction_fault(what, &error)),
        }
    }

    fn transaction_fault(&self, what: &'static str, error: &KafkaError) -> TransactionFault {
        transactions::fault(&self.client, what, error)
    }

    /// What librdkafka tells of it, if it was asked to.
    pub fn figures(&self) -> Arc<ClientFigures> {
        Arc::clone(&self.client.context().figures)
    }

    /// Opens a lane for a task. `wake` is called on the poller thread when what [`Lane::wake_after`] asked for has
    /// come. `with_metadata`: the task wants to know where each record went.
    pub fn lane(self: &Arc<Self>, wake: Wake, with_metadata: bool) -> Result<Lane, KafkaFault> {
        let state = Arc::new(LaneState::new(wake, with_metadata));
        let id = self.client.context().open(Arc::clone(&state)).ok_or_else(|| {
            KafkaFault::other("share a producer", FaultKind::Other, "65,536 tasks use it already")
        })?;
        Ok(Lane {
            producer: Arc::clone(self),
            state,
            id,
            seen: Vec::new(),
            seen_delivered: 0,
            fresh: Vec::new(),
            notes: HashMap::new(),
        })
    }

    /// Sees that the first record, which is for this topic, need not wait.
    ///
    /// An idempotent producer needs a number from a broker. librdkafka asks for it when metadata have come, which is
    /// when it leaves the connection of the start and has no other yet; then it looks every half second. The second
    /// of two more questions for metadata is answered on a connection that stays.
    fn hurry(&self, topic: &str) {
        self.hurry.get_or_init(|| {
            let (client, stop, topic) = (Arc::clone(&self.client), Arc::clone(&self.stop), topic.to_owned());
            let ask = move || {
                let mut answers = 0;
                // A question on the connection that is left may fail at once.
                for _question in 0..4 {
                    if answers == 2 || stop.load(Ordering::Acquire) {
                        return;
                    }
                    answers += u32::from(client.client().fetch_metadata(Some(&topic), HURRY).is_ok());
                }
            };
            // Without a thread the record comes a little later.
            self.is_idempotent
                .then(|| thread::spawn("kafka-producer-hurry", thread::STACK_BYTES, ask).ok())
                .flatten()
        });
    }

    /// Why the producer cannot be used any more, if so.
    fn fatal(&self) -> Option<String> {
        self.client.client().fatal_error().map(|(_, reason)| reason)
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        drop(self.poller.take());
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("in_flight", &self.client.in_flight_count()).finish()
    }
}

/// A record as it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition; `None` leaves it to the producer.
    pub partition: Option<i32>,
    /// The key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is null.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since 1970-01-01; `None` leaves it to the producer.
    pub timestamp: Option<i64>,
    /// The headers, in order.
    pub headers: &'a [(std::sync::Arc<str>, Option<bytes::Bytes>)],
}

/// A record was not taken.
#[derive(Debug)]
pub enum SendError {
    /// The queue of the producer is full: try again when some records were delivered.
    Full,
    /// It cannot be sent.
    Failed(KafkaFault),
}

/// What became of a record.
#[derive(Debug)]
pub enum Delivery {
    /// Kafka has it. The metadata is there if the lane was opened for it.
    Acknowledged(Option<RecordMetadata>),
    /// It was given up.
    Failed {
        /// The topic it was for.
        topic: String,
        /// Why.
        fault: KafkaFault,
    },
}

/// A task's way into a producer. Records have numbers, given by the task in the order it sends them.
///
/// At most [`IN_FLIGHT_MAX`] consecutive numbers may be in flight.
#[derive(Debug)]
pub struct Lane {
    producer: Arc<Producer>,
    state: Arc<LaneState>,
    id: u16,
    /// The bits as they were at the last look.
    seen: Vec<u64>,
    seen_delivered: u64,
    /// Words with news; empty between calls.
    fresh: Vec<(u64, u64)>,
    /// What is known of places beyond that they were reported. A note may come before its bit is seen.
    notes: HashMap<usize, Delivery>,
}

impl fmt::Debug for LaneState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneState").field("sent", &self.sent()).field("delivered", &self.delivered()).finish()
    }
}

impl Lane {
    /// Sends a record under a number, in a transaction where the producer has those. Never blocks; copies key, value and
    /// headers.
    pub fn send(&mut self, number: u64, record: &Outgoing<'_>) -> Result<(), SendError> {
        let mut outgoing = BaseRecord::with_opaque_to(record.topic, to_opaque(self.id, place_of(number)));
        outgoing.partition = record.partition;
        outgoing.key = record.key;
        outgoing.payload = record.value;
        outgoing.timestamp = record.timestamp;
        outgoing.headers = (!record.headers.is_empty()).then(|| owned_headers(record.headers));
        self.producer.open_transaction().map_err(SendError::Failed)?;
        self.state.count_sent(self.state.sent() + 1);
        let Err((error, _)) = self.producer.client.send(outgoing) else {
            self.producer.hurry(record.topic);
            return Ok(());
        };
        self.state.count_sent(self.state.sent() - 1);
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) {
            return Err(SendError::Full);
        }
        Err(SendError::Failed(self.fault(record.topic, record.partition, &error)))
    }

    /// Calls `on` for each record that was delivered or given up since the last call, about in the order of numbers.
    /// `base` is the oldest number in flight, `end` the one after the youngest.
    pub fn drain(&mut self, base: u64, end: u64, mut on: impl FnMut(u64, Delivery)) {
        if self.state.delivered() == self.seen_delivered {
            return;
        }
        self.collect_fresh(base, end);
        // After the bits: whatever a bit speaks of is there by now.
        for Placed { place, partition, offset } in self.state.take_placed() {
            let metadata = RecordMetadata { partition, offset };
            self.notes.insert(place, Delivery::Acknowledged(Some(metadata)));
        }
        for Undelivered { place, topic, partition, error } in self.state.take_undelivered() {
            let fault = self.fault(&topic, Some(partition), &error);
            self.notes.insert(place, Delivery::Failed { topic, fault });
        }
        for (start, mut bits) in self.fresh.drain(..) {
            self.seen_delivered += u64::from(bits.count_ones());
            while bits != 0 {
                let number = start + u64::from(bits.trailing_zeros());
                bits &= bits - 1;
                // A word can hold the first and, one round later, the last places of those in flight.
                let number = if number < base { number + PLACES as u64 } else { number };
                let note = if self.notes.is_empty() { None } else { self.notes.remove(&place_of(number)) };
                on(number, note.unwrap_or(Delivery::Acknowledged(None)));
            }
        }
    }

    /// Fills `fresh` with the words whose bits differ from what was seen: the number of the first bit, and the bits.
    fn collect_fresh(&mut self, base: u64, end: u64) {
        let flipped = self.state.flipped();
        self.seen.resize(flipped.len(), 0);
        let start = base - base % 64;
        let words = (end - start).div_ceil(64).min(flipped.len() as u64);
        for number in (start..).step_by(64).take(usize::try_from(words).unwrap_or(flipped.len())) {
            let word = place_of(number) / 64;
            let now = flipped[word].load(Ordering::Acquire);
            let bits = now ^ std::mem::replace(&mut self.seen[word], now);
            if bits != 0 {
                self.fresh.push((number, bits));
            }
        }
    }

    /// Why records that are on their way will not get through, if brokers do not let the producer in. The task is woken
    /// when that comes about.
    pub fn denied(&self) -> Option<KafkaFault> {
        let denied = self.producer.client.context().denials().denied();
        denied.map(|(kind, reason)| KafkaFault::other("log in to a broker", kind, reason))
    }

    /// Wakes the task once `count` more records were delivered or given up than [`Lane::drain`] has told of.
    /// Drain once more after this call before resting: what came in between does not wake again.
    pub fn wake_after(&self, count: u64) {
        self.state.wake_at(self.seen_delivered + count);
    }

    /// Turns a failure of a record into one that says what to do.
    fn fault(&self, topic: &str, partition: Option<i32>, error: &KafkaError) -> KafkaFault {
        let what = match partition.filter(|partition| *partition >= 0) {
            Some(partition) => format!("send a record to topic '{topic}' partition {partition}"),
            None => format!("send a record to topic '{topic}'"),
        };
        match self.producer.fatal() {
            Some(reason) => KafkaFault::other(what, FaultKind::ProducerLost, reason),
            None => KafkaFault::new(what, error),
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.producer.client.context().close(self.id);
    }
}

/// The place in a lane of a number.
fn place_of(number: u64) -> usize {
    usize::try_from(number % PLACES as u64).unwrap_or_default()
}

fn owned_headers(headers: &[(Arc<str>, Option<bytes::Bytes>)]) -> OwnedHeaders {
    let with_room = OwnedHeaders::new_with_capacity(headers.len());
    headers.iter().fold(with_room, |owned, (key, value)| {
        owned.insert(rdkafka::message::Header { key, value: value.as_deref() })
    })
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;
    use crate::kafka::embedded::EmbeddedBroker;
    use crate::stdx::time::Clock;

    const SOON: Duration = Duration::from_secs(30);

    /// How long it takes from nothing until a record is acknowledged.
    fn first_record(settings: &ClientSettings) -> Duration {
        let start = Clock.now().instant;
        let (delivered, wait) = bounded(1);
        let producer = Producers::new().get(settings).unwrap();
        let wake: Wake = Arc::new(move || {
            delivered.try_send(()).ok();
        });
        let mut lane = producer.lane(wake, false).unwrap();
        lane.wake_after(1);
        let record = Outgoing {
            topic: "t",
            partition: None,
            key: None,
            value: Some(b"first"),
            timestamp: None,
            headers: &[],
        };
        lane.send(0, &record).unwrap();
        wait.recv_timeout(SOON).unwrap();
        Clock.now().instant - start
    }

    #[test]
    fn the_first_record_does_not_wait_for_librdkafka_to_look_again() {
        let broker = EmbeddedBroker::start().unwrap();
        broker.create_topic("t", 1).unwrap();
        // As on a network. Without any delay it is a matter of luck.
        broker.set_round_trip_time(Duration::from_millis(2)).unwrap();
        let settings: ClientSettings =
            [("bootstrap.servers", broker.bootstrap_servers()), ("enable.idempotence", "true")]
                .into_iter()
                .collect();
        let fastest = (0..5).map(|_| first_record(&settings)).min().unwrap();
        assert!(fastest < Duration::from_millis(400), "{fastest:?}");
    }
}
