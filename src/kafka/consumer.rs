//! The consumer of one sink task.
//!
//! librdkafka tells of assignments and revocations by a callback in the middle of a poll. Here the callback only notes
//! them: the task carries them out itself after the poll, so that its life is one line of steps.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, Timestamp, TopicPartitionList};

use super::client_log;
use super::fault::KafkaFault;
use super::settings::client_config;
use crate::api::ids::TopicPartition;
use crate::api::record::TimestampType;
use crate::api::sink::SinkOffsets;
use crate::config::client::ClientSettings;

/// What the group decided about this member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    /// These partitions came.
    Assigned(Vec<TopicPartition>),
    /// These are to be given up; until then they are this member's.
    Revoked(Vec<TopicPartition>),
    /// These are another member's already.
    Lost(Vec<TopicPartition>),
}

/// A record as it came from Kafka: its bytes are ranges of the batch's buffer.
#[derive(Debug)]
struct Raw {
    topic: Arc<str>,
    partition: i32,
    offset: i64,
    timestamp: Option<(i64, TimestampType)>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Vec<(Arc<str>, Option<Range<usize>>)>,
}

/// A record from Kafka; its bytes are slices of one buffer for the whole batch.
#[derive(Debug, Clone)]
pub struct Consumed {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Milliseconds since 1970-01-01, and whose.
    pub timestamp: Option<(i64, TimestampType)>,
    /// The key.
    pub key: Option<Bytes>,
    /// The value.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Vec<(Arc<str>, Option<Bytes>)>,
}

/// What librdkafka tells in callbacks, kept until the task looks.
#[derive(Default)]
struct Noted {
    memberships: Mutex<VecDeque<Membership>>,
    commits: Mutex<Vec<KafkaResult<()>>>,
    /// The consumer ends: partitions are given up at once, since nobody looks any more.
    ending: AtomicBool,
}

impl ClientContext for Noted {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client_log::line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client_log::client_error(&error, reason);
    }
}

impl ConsumerContext for Noted {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        if self.ending.load(Ordering::Acquire) {
            if let Err(error) = consumer.unassign() {
                log::debug!("giving up partitions at the end: {error}");
            }
            return;
        }
        let partitions = partitions_of(list);
        let membership = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Membership::Assigned(partitions),
            _ if consumer.assignment_lost() => Membership::Lost(partitions),
            _ => Membership::Revoked(partitions),
        };
        self.memberships.lock().unwrap_or_else(PoisonError::into_inner).push_back(membership);
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner).push(result);
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let elements = list.elements();
    elements
        .iter()
        .map(|one| TopicPartition { topic: one.topic().into(), partition: one.partition() })
        .collect()
}

fn list_of<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}

fn list_with_offsets(offsets: &SinkOffsets, what: &'static str) -> Result<TopicPartitionList, KafkaFault> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(*offset))
            .map_err(|error| KafkaFault::new(what, &error))?;
    }
    Ok(list)
}

/// A consumer that belongs to one sink task. Dropping it leaves the group.
pub struct SinkConsumer {
    client: BaseConsumer<Noted>,
    buffer: BytesMut,
    raw: Vec<Raw>,
    /// The topics seen, so that records share their names.
    topics: Vec<Arc<str>>,
}

impl SinkConsumer {
    /// A consumer that has not subscribed yet.
    ///
    /// # Errors
    /// The settings are wrong, or the system has no threads to give.
    pub fn new(settings: &ClientSettings) -> Result<Self, KafkaFault> {
        let client = client_config(settings)
            .create_with_context(Noted::default())
            .map_err(|error| KafkaFault::new("make a consumer", &error))?;
        Ok(SinkConsumer { client, buffer: BytesMut::new(), raw: Vec::new(), topics: Vec::new() })
    }

    /// Joins the group for topics; one that begins with `^` is a pattern.
    ///
    /// # Errors
    /// A pattern is wrong.
    pub fn subscribe(&self, topics: &[String]) -> Result<(), KafkaFault> {
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        self.client.subscribe(&topics).map_err(|error| KafkaFault::new("subscribe to topics", &error))
    }

    /// The next records: waits up to `timeout` for the first, and takes what else is there, up to `records_max`.
    /// Returns at once when the membership changed.
    ///
    /// # Errors
    /// What librdkafka does not get over by itself.
    pub fn poll(&mut self, records_max: usize, timeout: Duration) -> Result<Vec<Consumed>, KafkaFault> {
        let mut wait = timeout;
        while self.raw.len() < records_max {
            let client = &self.client;
            match client.poll(wait) {
                None => break,
                Some(Ok(message)) => copy(&message, &mut self.buffer, &mut self.topics, &mut self.raw),
                Some(Err(error)) => {
                    let fault = KafkaFault::new("consume records", &error);
                    if fault.class() == super::fault::ErrorClass::Retriable {
                        client_log::client_error(&error, &fault.to_string());
                        break;
                    }
                    self.raw.clear();
                    self.buffer.clear();
                    return Err(fault);
                }
            }
            wait = Duration::ZERO;
        }
        let bytes = self.buffer.split().freeze();
        let slice = |range: Option<Range<usize>>| range.map(|range| bytes.slice(range));
        let records = self.raw.drain(..).map(|raw| Consumed {
            topic: raw.topic,
            partition: raw.partition,
            offset: raw.offset,
            timestamp: raw.timestamp,
            key: slice(raw.key),
            value: slice(raw.value),
            headers: raw.headers.into_iter().map(|(key, range)| (key, slice(range))).collect(),
        });
        Ok(records.collect())
    }

    /// What the group decided and was not looked at yet.
    pub fn next_membership(&self) -> Option<Membership> {
        self.client.context().memberships.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// The results of asynchronous commits that ended since the last call, in order.
    pub fn take_commit_results(&self) -> Vec<Result<(), KafkaFault>> {
        let commits = std::mem::take(
            &mut *self.client.context().commits.lock().unwrap_or_else(PoisonError::into_inner),
        );
        commits
            .into_iter()
            .map(|result| result.map_err(|error| KafkaFault::new("commit offsets", &error)))
            .collect()
    }

    /// Takes partitions over.
    ///
    /// # Errors
    /// As librdkafka says.
    pub fn take_over(&self, partitions: &[TopicPartition]) -> Result<(), KafkaFault> {
        let list = list_of(partitions);
        match self.client.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.client.incremental_assign(&list),
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.client.assign(&list),
        }
        .map_err(|error| KafkaFault::new("take over partitions", &error))
    }

    /// Gives partitions up.
    ///
    /// # Errors
    /// As librdkafka says.
    pub fn give_up(&self, partitions: &[TopicPartition]) -> Result<(), KafkaFault> {
        match self.client.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.client.incremental_unassign(&list_of(partitions)),
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.client.unassign(),
        }
        .map_err(|error| KafkaFault::new("give up partitions", &error))
    }

    /// Begins to commit offsets; the result comes by [`SinkConsumer::take_commit_results`].
    ///
    /// # Errors
    /// The commit could not begin.
    pub fn commit_async(&self, offsets: &SinkOffsets) -> Result<(), KafkaFault> {
        self.commit(offsets, CommitMode::Async)
    }

    /// Commits offsets and waits for it.
    ///
    /// # Errors
    /// They are not committed.
    pub fn commit_sync(&self, offsets: &SinkOffsets) -> Result<(), KafkaFault> {
        self.commit(offsets, CommitMode::Sync)
    }

    fn commit(&self, offsets: &SinkOffsets, mode: CommitMode) -> Result<(), KafkaFault> {
        let list = list_with_offsets(offsets, "commit offsets")?;
        self.client.commit(&list, mode).map_err(|error| KafkaFault::new("commit offsets", &error))
    }

    /// Reads on from other offsets.
    ///
    /// # Errors
    /// As librdkafka says.
    pub fn seek(&self, offsets: &SinkOffsets, timeout: Duration) -> Result<(), KafkaFault> {
        for (partition, offset) in offsets {
            self.client
                .seek(&partition.topic, partition.partition, Offset::Offset(*offset), timeout)
                .map_err(|error| KafkaFault::new("read from another offset", &error))?;
        }
        Ok(())
    }

    /// Takes no records of these partitions until they are resumed.
    ///
    /// # Errors
    /// As librdkafka says.
    pub fn pause<'a>(
        &self,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> Result<(), KafkaFault> {
        self.client.pause(&list_of(partitions)).map_err(|error| KafkaFault::new("pause partitions", &error))
    }

    /// Takes records of these partitions again.
    ///
    /// # Errors
    /// As librdkafka says.
    pub fn resume<'a>(
        &self,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> Result<(), KafkaFault> {
        self.client.resume(&list_of(partitions)).map_err(|error| KafkaFault::new("resume partitions", &error))
    }
}

impl Drop for SinkConsumer {
    fn drop(&mut self) {
        self.client.context().ending.store(true, Ordering::Release);
        if let Err(error) = self.client.unassign() {
            log::debug!("giving up partitions at the end: {error}");
        }
    }
}

impl fmt::Debug for SinkConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkConsumer").field("topics", &self.topics).finish_non_exhaustive()
    }
}

/// Copies a message into the batch: its bytes once, into the buffer that all records of the batch share.
fn copy(
    message: &BorrowedMessage<'_>,
    buffer: &mut BytesMut,
    topics: &mut Vec<Arc<str>>,
    raw: &mut Vec<Raw>,
) {
    let mut keep = |bytes: Option<&[u8]>| {
        bytes.map(|bytes| {
            let start = buffer.len();
            buffer.extend_from_slice(bytes);
            start..buffer.len()
        })
    };
    let (key, value) = (keep(message.key()), keep(message.payload()));
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key.into(), keep(header.value))).collect()
    });
    let timestamp = match message.timestamp() {
        Timestamp::NotAvailable => None,
        Timestamp::CreateTime(time) => Some((time, TimestampType::CreateTime)),
        Timestamp::LogAppendTime(time) => Some((time, TimestampType::LogAppendTime)),
    };
    let topic = shared_name(message.topic(), topics);
    let (partition, offset) = (message.partition(), message.offset());
    raw.push(Raw { topic, partition, offset, timestamp, key, value, headers });
}

fn shared_name(name: &str, topics: &mut Vec<Arc<str>>) -> Arc<str> {
    match topics.iter().find(|topic| &***topic == name) {
        Some(topic) => Arc::clone(topic),
        None => {
            let topic: Arc<str> = name.into();
            topics.push(Arc::clone(&topic));
            topic
        }
    }
}
