//! Writes to internal topics: in order, acknowledged by all replicas in sync.

use std::collections::VecDeque;
use std::fmt;

use super::deliveries::Wake;
use super::fault::KafkaFault;
use super::producer::{Delivery, IN_FLIGHT_MAX, Lane, Outgoing, Producers, SendError};
use crate::api::record::RecordMetadata;
use crate::config::client::ClientSettings;

/// A producer of internal topics, which belongs to one thread. Dropping it gives up what is still in its queue.
pub struct LogProducer {
    lane: Lane,
    /// Of the numbers from `base` on, which were acknowledged or given up.
    ended: VecDeque<bool>,
    /// The oldest number in flight.
    base: u64,
}

/// What became of a record: where it is, or why it was given up.
pub type Written = Result<RecordMetadata, KafkaFault>;

impl LogProducer {
    /// A producer, and the thread that serves its reports. `wake` is called on that thread when there are reports
    /// after [`LogProducer::rest`]; it must not block. Does not wait for the broker.
    ///
    /// # Errors
    /// Settings that librdkafka refuses, or no thread.
    pub fn new(settings: &ClientSettings, wake: Wake) -> Result<Self, KafkaFault> {
        let producer = Producers::new().get(settings).map_err(KafkaFault::of_worker)?;
        let lane = producer.lane(wake, true).map_err(KafkaFault::of_worker)?;
        Ok(LogProducer { lane, ended: VecDeque::new(), base: 0 })
    }

    /// Sends a record after all that were sent before, and gives the number that its report will have; numbers go up by
    /// one. Never blocks; copies key and value.
    ///
    /// # Errors
    /// A full queue, or a record that cannot be sent.
    pub fn send(&mut self, topic: &str, key: &[u8], value: Option<&[u8]>) -> Result<u64, SendError> {
        if self.ended.len() >= IN_FLIGHT_MAX {
            return Err(SendError::Full);
        }
        let number = self.base + self.ended.len() as u64;
        let record =
            Outgoing { topic, partition: None, key: Some(key), value, timestamp: None, headers: &[] };
        self.lane.send(number, &record).map_err(|error| match error {
            SendError::Full => SendError::Full,
            SendError::Failed(fault) => SendError::Failed(fault.of_worker()),
        })?;
        self.ended.push_back(false);
        Ok(number)
    }

    /// Calls `on` with each record that was acknowledged or given up since the last call, about in their order.
    pub fn drain(&mut self, mut on: impl FnMut(u64, Written)) {
        let LogProducer { lane, ended, base } = self;
        lane.drain(*base, *base + ended.len() as u64, |number, delivery| {
            let place = usize::try_from(number - *base).ok().and_then(|index| ended.get_mut(index));
            if let Some(place) = place {
                *place = true;
            }
            let written = match delivery {
                Delivery::Acknowledged(Some(metadata)) => Ok(metadata),
                Delivery::Acknowledged(None) => {
                    let what = "learn where a record was written (Produce)";
                    Err(KafkaFault::bug(what, "librdkafka reported no offset"))
                }
                Delivery::Failed { fault, .. } => Err(fault.of_worker()),
            };
            on(number, written);
        });
        while self.ended.front() == Some(&true) {
            self.ended.pop_front();
            self.base += 1;
        }
    }

    /// How many records are in flight.
    pub fn in_flight(&self) -> usize {
        self.ended.iter().filter(|ended| !**ended).count()
    }

    /// Wakes when the next report comes. Drain once more after this call before resting: what came in between does not
    /// wake again.
    pub fn rest(&mut self) {
        if !self.ended.is_empty() {
            self.lane.wake_after(1);
        }
    }
}

impl fmt::Debug for LogProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogProducer").field("in_flight", &self.in_flight()).finish_non_exhaustive()
    }
}
