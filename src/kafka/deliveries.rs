//! How delivery reports find their way from a producer's poller thread to the task that sent the record.
//!
//! Each task has a lane. A report is one atomic bit in it: the poller flips the bit of the record's place, the task
//! compares with what it saw last. No lock, no allocation and no message per record. Only what is rare goes through
//! a lock: failures, and the metadata for tasks that asked to see each record.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, ProducerContext};

use super::client_log;
use super::denials::{Denials, denial};
use super::figures::ClientFigures;
use crate::stdx::mutex::lock;
use crate::stdx::time::Clock;

/// Places of a lane: how many of a task's records can be in flight. A report carries the place, not the number.
pub(super) const PLACES: usize = 1 << PLACE_BITS;
const PLACE_BITS: u32 = 16;
const WORDS: usize = PLACES / 64;
/// Nobody waits for deliveries.
const NEVER: u64 = u64::MAX;

/// Wakes the task that owns a lane. Called on the poller thread; must not block.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Where Kafka put a record, with the place of the record in its lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    pub(super) place: usize,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// A record that was not delivered.
#[derive(Debug)]
pub(super) struct Undelivered {
    pub(super) place: usize,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) error: KafkaError,
}

/// What the poller writes and the task reads.
pub(super) struct LaneState {
    /// A bit for each place, flipped by each report for it. Only the poller writes. Made when first needed.
    flipped: OnceLock<Box<[AtomicU64]>>,
    delivered: AtomicU64,
    sent: AtomicU64,
    /// The count of deliveries at which the task wants to be woken.
    wake_at: AtomicU64,
    wake: Wake,
    /// Filled only where the task asked for metadata.
    placed: Option<Mutex<Vec<Placed>>>,
    undelivered: Mutex<Vec<Undelivered>>,
}

impl LaneState {
    pub(super) fn new(wake: Wake, with_metadata: bool) -> Self {
        LaneState {
            flipped: OnceLock::new(),
            delivered: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            wake_at: AtomicU64::new(NEVER),
            wake,
            placed: with_metadata.then(Mutex::default),
            undelivered: Mutex::default(),
        }
    }

    /// The bits of the places; word `n` holds places `64n` and up.
    pub(super) fn flipped(&self) -> &[AtomicU64] {
        self.flipped.get_or_init(|| (0..WORDS).map(|_| AtomicU64::new(0)).collect())
    }

    /// Reports so far.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::SeqCst)
    }

    /// Records sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Counts a record that is about to be sent, or one that was not after all.
    pub(super) fn count_sent(&self, sent: u64) {
        self.sent.store(sent, Ordering::Relaxed);
    }

    /// Wakes the task once there are so many reports. The caller looks at the bits after this call, before it rests.
    pub(super) fn wake_at(&self, delivered: u64) {
        self.wake_at.store(delivered, Ordering::SeqCst);
    }

    pub(super) fn take_placed(&self) -> Vec<Placed> {
        self.placed.as_ref().map(|placed| std::mem::take(&mut *lock(placed))).unwrap_or_default()
    }

    pub(super) fn take_undelivered(&self) -> Vec<Undelivered> {
        std::mem::take(&mut *lock(&self.undelivered))
    }

    /// One report. Called by one thread at a time: the poller, or who drops the producer after the poller has ended.
    fn report(&self, place: usize, result: &DeliveryResult<'_>) {
        match result {
            Ok(message) => {
                if let Some(placed) = &self.placed {
                    let (partition, offset) = (message.partition(), message.offset());
                    lock(placed).push(Placed { place, partition, offset });
                }
            }
            Err((error, message)) => {
                let (topic, partition) = (message.topic().to_owned(), message.partition());
                lock(&self.undelivered).push(Undelivered { place, topic, partition, error: error.clone() });
            }
        }
        if let Some(word) = self.flipped().get(place / 64) {
            // No read-modify-write: nobody else writes.
            let bits = word.load(Ordering::Relaxed) ^ (1 << (place % 64));
            word.store(bits, Ordering::Release);
        }
        let delivered = self.delivered.fetch_add(1, Ordering::SeqCst) + 1;
        let wake_at = self.wake_at.load(Ordering::SeqCst);
        if delivered >= wake_at
            && self.wake_at.compare_exchange(wake_at, NEVER, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        {
            (self.wake)();
        }
    }
}

/// The lanes of a producer, and what librdkafka calls.
#[derive(Default)]
pub(super) struct Deliveries {
    lanes: Mutex<Lanes>,
    /// Changes whenever a lane comes or goes; unique among all producers of the process.
    edition: AtomicU64,
    denials: Denials,
    /// What librdkafka tells of the producer.
    pub(super) figures: Arc<ClientFigures>,
}

#[derive(Default)]
struct Lanes {
    by_id: HashMap<u16, Lane>,
    latest: u16,
}

struct Lane {
    state: Arc<LaneState>,
    closed: bool,
}

static EDITIONS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// The lane that this thread reported to last, and the edition of the lanes it is from.
    static LATEST: RefCell<Option<(u64, u16, Arc<LaneState>)>> = const { RefCell::new(None) };
}

impl Deliveries {
    /// Opens a lane. `None` when there are as many as an opaque can tell apart.
    pub(super) fn open(&self, state: Arc<LaneState>) -> Option<u16> {
        let mut lanes = lock(&self.lanes);
        // A closed lane stays while reports for it are on their way: its id must not mean another task.
        lanes.by_id.retain(|_, lane| !lane.closed || lane.state.delivered() < lane.state.sent());
        let start = lanes.latest.wrapping_add(1);
        let id =
            (0..=u16::MAX).map(|step| start.wrapping_add(step)).find(|id| !lanes.by_id.contains_key(id))?;
        lanes.latest = id;
        lanes.by_id.insert(id, Lane { state, closed: false });
        self.edition.store(EDITIONS.fetch_add(1, Ordering::Relaxed), Ordering::SeqCst);
        Some(id)
    }

    /// Closes a lane; reports that are still to come find nobody.
    pub(super) fn close(&self, id: u16) {
        if let Some(lane) = lock(&self.lanes).by_id.get_mut(&id) {
            lane.closed = true;
        }
    }

    /// Whether brokers let the client in.
    pub(super) fn denials(&self) -> &Denials {
        &self.denials
    }

    /// Wakes all tasks that have a lane.
    pub(super) fn wake_all(&self) {
        let lanes = lock(&self.lanes);
        let wakes: Vec<Wake> = lanes.by_id.values().map(|lane| Arc::clone(&lane.state.wake)).collect();
        drop(lanes);
        wakes.iter().for_each(|wake| wake());
    }

    fn report(&self, id: u16, place: usize, result: &DeliveryResult<'_>) {
        if result.is_ok() {
            self.denials.delivered();
        }
        LATEST.with_borrow_mut(|latest| {
            let edition = self.edition.load(Ordering::SeqCst);
            if latest.as_ref().is_none_or(|(of, lane, _)| (*of, *lane) != (edition, id)) {
                let found = lock(&self.lanes).by_id.get(&id).map(|lane| Arc::clone(&lane.state));
                *latest = found.map(|state| (edition, id, state));
            }
            if let Some((_, _, state)) = latest {
                state.report(place, result);
            }
        });
    }
}

impl ClientContext for Deliveries {
    fn stats_raw(&self, statistics: &[u8]) {
        self.figures.take(statistics);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client_log::line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client_log::client_error(&error, reason);
        if let Some(kind) = denial(&error, reason) {
            self.denials.note(kind, reason, Clock.now().instant);
        }
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        let (lane, place) = from_opaque(opaque);
        self.report(lane, place, result);
    }
}

/// A lane and a place in it as one number, which fits 32 bits.
pub(super) fn to_opaque(lane: u16, place: usize) -> usize {
    usize::from(lane) << PLACE_BITS | place
}

fn from_opaque(opaque: usize) -> (u16, usize) {
    let lane = u16::try_from(opaque >> PLACE_BITS & usize::from(u16::MAX)).unwrap_or_default();
    (lane, opaque & (PLACES - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opaque_names_lane_and_place() {
        for (lane, place) in [(0, 0), (1, 2), (u16::MAX, PLACES - 1)] {
            let opaque = to_opaque(lane, place);
            assert_eq!(from_opaque(opaque), (lane, place));
            assert!(u32::try_from(opaque).is_ok());
        }
    }

    #[test]
    fn the_id_of_a_closed_lane_is_free_once_its_reports_came() {
        let deliveries = Deliveries::default();
        let state = || Arc::new(LaneState::new(Arc::new(|| ()), false));
        let busy = state();
        busy.count_sent(1);
        let first = deliveries.open(Arc::clone(&busy)).unwrap();
        deliveries.close(first);
        deliveries.open(state()).unwrap();
        assert_eq!(lock(&deliveries.lanes).by_id.len(), 2);
        busy.count_sent(0);
        deliveries.open(state()).unwrap();
        assert_eq!(lock(&deliveries.lanes).by_id.len(), 2);
    }
}
