//! Questions about topics: where they end, how many partitions they have.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use super::fault::{FaultKind, KafkaFault};
use super::log_events::LogEvents;
use super::settings::client_config;
use crate::config::client::ClientSettings;
use crate::stdx::time::{Clock, Deadline};

/// Asks where topics end, and what the cluster is like. Cheap to clone; any thread; all calls block, at most until their
/// deadline.
///
/// It has connections of its own: on that of a consumer, a question would wait until the fetch under way is over.
#[derive(Clone)]
pub struct LogOffsets(Arc<BaseConsumer<LogEvents>>);

impl LogOffsets {
    /// The settings are those of a consumer without a group. Does not wait for the broker.
    ///
    /// # Errors
    /// Settings that librdkafka refuses.
    pub fn new(settings: &ClientSettings) -> Result<Self, KafkaFault> {
        let client = client_config(settings).create_with_context(LogEvents::default());
        let client = client.map(|client| LogOffsets(Arc::new(client)));
        client.map_err(|error| KafkaFault::new("make a client that looks topics up", &error).of_worker())
    }

    /// The offset after the last record of each partition of a topic, in their order; with the isolation level of the
    /// settings, so that an open transaction counts where that is `read_uncommitted`.
    ///
    /// # Errors
    /// No answer in time, an answer that lacks a partition, a topic that is not there, or no authority.
    pub fn ends(&self, topic: &str, partitions: i32, deadline: Deadline) -> Result<Vec<i64>, KafkaFault> {
        self.list(topic, partitions, Offset::End, deadline)
    }

    /// The offset of the first record that each partition of a topic has kept, in their order.
    ///
    /// # Errors
    /// As for [`LogOffsets::ends`].
    pub fn beginnings(
        &self,
        topic: &str,
        partitions: i32,
        deadline: Deadline,
    ) -> Result<Vec<i64>, KafkaFault> {
        self.list(topic, partitions, Offset::Beginning, deadline)
    }

    fn list(
        &self,
        topic: &str,
        partitions: i32,
        which: Offset,
        deadline: Deadline,
    ) -> Result<Vec<i64>, KafkaFault> {
        let what = || format!("list the offsets of the topic '{topic}' (ListOffsets)");
        let fault = |error: &_| KafkaFault::new(what(), error).of_worker();
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            // The protocol has -1 for the latest offset and -2 for the earliest where a time could stand.
            list.add_partition_offset(topic, partition, which).map_err(|error| fault(&error))?;
        }
        self.serve();
        let listed = self.0.offsets_for_times(list, deadline.left(Clock.now().instant));
        let listed = listed.map_err(|error| self.with_reason(fault(&error)))?;
        if let Some(error) = listed.elements().iter().find_map(|element| element.error().err()) {
            return Err(fault(&error));
        }
        let found = |partition| listed.find_partition(topic, partition).and_then(|found| offset_of(&found));
        let offsets = (0..partitions).map(found).collect::<Option<Vec<_>>>();
        if let Some(offsets) = offsets {
            return Ok(offsets);
        }
        // A partition without an answer has no leader, or is no more.
        let no_answer = |kind, why| KafkaFault::other(what(), kind, why).of_worker();
        Err(match self.partitions(topic, deadline) {
            Ok(None) => no_answer(FaultKind::UnknownTopic, "there is no such topic"),
            Ok(Some(count)) if count < partitions => {
                no_answer(FaultKind::UnknownPartition, "the topic has fewer partitions now")
            }
            Ok(Some(_)) | Err(_) => {
                no_answer(FaultKind::Unreachable, "no broker has answered for all partitions")
            }
        })
    }

    /// How many partitions a topic has; `None` when there is no such topic. Does not make the broker create it.
    ///
    /// # Errors
    /// No answer in time, or no authority.
    pub fn partitions(&self, topic: &str, deadline: Deadline) -> Result<Option<i32>, KafkaFault> {
        let what = || format!("look the topic '{topic}' up (Metadata)");
        self.serve();
        let metadata = self.0.fetch_metadata(Some(topic), deadline.left(Clock.now().instant));
        let metadata =
            metadata.map_err(|error| self.with_reason(KafkaFault::new(what(), &error).of_worker()))?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Ok(None);
        };
        match found.error().map(RDKafkaErrorCode::from) {
            None => Ok(i32::try_from(found.partitions().len()).ok().filter(|count| *count > 0)),
            Some(code) if FaultKind::of(code) == FaultKind::UnknownTopic => Ok(None),
            Some(code) => Err(KafkaFault::of_code(what(), code).of_worker()),
        }
    }

    /// How many brokers the cluster has.
    ///
    /// # Errors
    /// No answer in time.
    pub fn brokers(&self, deadline: Deadline) -> Result<usize, KafkaFault> {
        let what = "look the brokers up (Metadata)";
        self.serve();
        let metadata = self.0.fetch_metadata(None, deadline.left(Clock.now().instant));
        let metadata =
            metadata.map_err(|error| self.with_reason(KafkaFault::new(what, &error).of_worker()))?;
        Ok(metadata.brokers().len())
    }

    /// The id of the cluster.
    ///
    /// # Errors
    /// No answer in time.
    pub fn cluster_id(&self, deadline: Deadline) -> Result<String, KafkaFault> {
        let what = "reach the Kafka cluster (Metadata)";
        self.serve();
        self.0.client().fetch_cluster_id(deadline.left(Clock.now().instant)).ok_or_else(|| {
            let fault = KafkaFault::other(what, FaultKind::Unreachable, "no broker has answered in time");
            self.with_reason(fault.of_worker())
        })
    }

    /// The fault with the reason that librdkafka gave, where the fault itself only tells that no answer came.
    fn with_reason(&self, fault: KafkaFault) -> KafkaFault {
        self.serve();
        match (fault.kind(), self.0.context().take_error()) {
            (FaultKind::Unreachable, Some((kind, reason))) => fault.because(kind, &reason),
            (_, _) => fault,
        }
    }

    /// Takes what has gathered in the queue of the client: lines of the log, and errors.
    fn serve(&self) {
        loop {
            let callbacks = self.0.context().callbacks();
            // A poll also ends with nothing after a line of the log.
            if self.0.poll(Duration::ZERO).is_none() && self.0.context().callbacks() == callbacks {
                return;
            }
        }
    }
}

impl fmt::Debug for LogOffsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogOffsets")
    }
}

/// The offset of a partition, if it has one.
pub(super) fn offset_of(element: &TopicPartitionListElem<'_>) -> Option<i64> {
    match element.offset() {
        Offset::Offset(offset) => Some(offset),
        Offset::Beginning | Offset::End | Offset::Stored | Offset::Invalid | Offset::OffsetTail(_) => None,
    }
}
