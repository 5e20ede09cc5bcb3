//! A topic as an observer sees it: all of its records from the beginning, read on whenever it is asked.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{Kafka, SOON, wait_for};

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taped {
    pub(super) key: String,
    /// `None` for a tombstone.
    pub(super) value: Option<String>,
}

/// The records of a topic, by partition in the order of their offsets.
pub(super) struct Tape {
    consumer: BaseConsumer,
    topic: String,
    partitions: i32,
    pub(super) records: Vec<Taped>,
}

impl Tape {
    /// Of a topic that is there.
    pub(super) fn of(kafka: &Kafka, topic: &str) -> Self {
        let consumer: BaseConsumer = kafka
            .client()
            .set("group.id", kafka.unique("tape"))
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .create()
            .unwrap();
        let partitions = wait_for(&format!("the topic {topic}"), SOON, || {
            let metadata = consumer.fetch_metadata(Some(topic), SOON).unwrap();
            match metadata.topics()[0].partitions().len() {
                0 => Err("it has no partition"),
                partitions => Ok(i32::try_from(partitions).unwrap()),
            }
        });
        let mut all = TopicPartitionList::new();
        for partition in 0..partitions {
            all.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&all).unwrap();
        Tape { consumer, topic: topic.to_owned(), partitions, records: Vec::new() }
    }

    /// Takes what has come since, for so long at most.
    pub(super) fn read_on(&mut self, patience: Duration) {
        if let Some(message) = self.consumer.poll(patience) {
            let message = message.unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let key = message.key().map(text).unwrap_or_default();
            self.records.push(Taped { key, value: message.payload().map(text) });
        }
    }

    /// Reads all that is there by now.
    pub(super) fn read_to_end(&mut self) -> &[Taped] {
        let end = |partition| self.consumer.fetch_watermarks(&self.topic, partition, SOON).unwrap().1;
        let ends: Vec<i64> = (0..self.partitions).map(end).collect();
        let start = Instant::now();
        while !self.is_past(&ends) {
            assert!(start.elapsed() < SOON, "{} is not read to {ends:?}", self.topic);
            self.read_on(Duration::from_millis(50));
        }
        &self.records
    }

    fn is_past(&self, ends: &[i64]) -> bool {
        let position = self.consumer.position().unwrap();
        (0..).zip(ends).all(|(partition, end)| {
            let position = position.find_partition(&self.topic, partition).map(|found| found.offset());
            *end == 0 || matches!(position, Some(Offset::Offset(at)) if at >= *end)
        })
    }
}
