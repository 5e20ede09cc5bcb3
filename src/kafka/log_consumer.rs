//! Reads internal topics: all their partitions from the beginning on, without a group.
//!
//! Each partition has a queue of its own inside of librdkafka, so that an error or an end says which partition it is
//! about; rdkafka does not tell that of a queue that partitions share.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::deliveries::Wake;
use super::fault::{FaultKind, KafkaFault};
use super::log_events::LogEvents;
use super::log_offsets::offset_of;
use super::log_records::{LogRecord, LogRecords};
use super::settings::client_config;
use crate::config::client::ClientSettings;
use crate::stdx::thread;

/// A batch ends when it has so many records, or so many bytes.
const BATCH_RECORDS_MAX: usize = 4096;
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// How long a broker may take to say who leads the partitions of a topic. After that librdkafka has asked by itself.
const ASKING: Duration = Duration::from_secs(1);

/// The consumer of internal topics. It belongs to one thread. Dropping it waits until librdkafka has closed it, which
/// needs no broker.
pub struct LogConsumer {
    // Before the client: each holds the client, too.
    partitions: Vec<PartitionLog>,
    client: Arc<BaseConsumer<LogEvents>>,
    main_is_ready: Arc<AtomicBool>,
    wake: Wake,
    /// The partition that is looked at next, so that a busy one holds no other back.
    next: usize,
}

/// A partition and its queue.
struct PartitionLog {
    topic: Arc<str>,
    partition: i32,
    is_ready: Arc<AtomicBool>,
    queue: PartitionQueue<LogEvents>,
}

/// A partition to read, and where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFrom {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset of the first record to read.
    pub offset: i64,
}

/// What a look at one partition gave, besides the records in the batch.
#[derive(Debug)]
pub struct PartitionRead {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// All records before this offset were given out, now or earlier; `None` where nothing new is known.
    pub position: Option<i64>,
    /// Whether all that has been fetched was given out.
    pub is_drained: bool,
    /// What librdkafka does not get over by itself.
    pub fault: Option<KafkaFault>,
}

/// What a look at the consumer gave.
#[derive(Debug)]
pub enum LogRead {
    /// News of one partition; its records are in the batch.
    Partition(PartitionRead),
    /// No broker can be reached at the moment; librdkafka goes on trying.
    ContactLost(KafkaFault),
}

impl LogConsumer {
    /// A consumer that reads nothing yet. `wake` is called on librdkafka's threads when there is something to read; it
    /// must not block. Does not wait for the broker.
    ///
    /// # Errors
    /// Settings that librdkafka refuses.
    pub fn new(settings: &ClientSettings, wake: Wake) -> Result<Self, KafkaFault> {
        let client = client_config(settings).create_with_context(LogEvents::default());
        let mut client: BaseConsumer<LogEvents> = client.map_err(|error| {
            KafkaFault::new("make the consumer of the internal topics", &error).of_worker()
        })?;
        let main_is_ready = Arc::new(AtomicBool::new(true));
        client.set_nonempty_callback(waking(&main_is_ready, &wake));
        let client = Arc::new(client);
        Ok(LogConsumer { partitions: Vec::new(), client, main_is_ready, wake, next: 0 })
    }

    /// Reads partitions from given offsets on, also those that it reads already. Does not wait for the broker.
    ///
    /// What is to be read together is best given together: a partition that comes later waits until the fetch under way
    /// is over, which takes `fetch.max.wait.ms` where there is nothing new.
    ///
    /// # Errors
    /// A topic name that librdkafka refuses.
    pub fn read_from(&mut self, offsets: &[ReadFrom]) -> Result<(), KafkaFault> {
        let what = |topic: &str| format!("read the topic '{topic}' from its beginning (Fetch)");
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for ReadFrom { topic, partition, offset } in offsets {
            self.stop_where(|other| other.partition == *partition && other.topic == *topic)?;
            // Before the assignment: then nothing that is fetched goes past this queue.
            let queue = self.client.split_partition_queue(topic, *partition);
            let mut queue = queue.ok_or_else(|| {
                KafkaFault::other(what(topic), FaultKind::InvalidTopic, "the name is not possible")
                    .of_worker()
            })?;
            // An error of an earlier assignment may be in it.
            while queue.poll(Duration::ZERO).is_some() {}
            let is_ready = Arc::new(AtomicBool::new(true));
            queue.set_nonempty_callback(waking(&is_ready, &self.wake));
            let (topic, partition) = (Arc::clone(topic), *partition);
            list.add_partition_offset(&topic, partition, Offset::Offset(*offset))
                .map_err(|error| KafkaFault::new(what(&topic), &error).of_worker())?;
            self.partitions.push(PartitionLog { topic, partition, is_ready, queue });
        }
        self.client
            .incremental_assign(&list)
            .map_err(|error| KafkaFault::new("read the internal topics (Fetch)", &error).of_worker())?;
        self.look_for_leaders(offsets);
        Ok(())
    }

    /// Has librdkafka ask who leads the partitions. By itself it looks for topics that are new to it once a second.
    fn look_for_leaders(&self, offsets: &[ReadFrom]) {
        let topics: BTreeSet<_> = offsets.iter().map(|from| Arc::clone(&from.topic)).collect();
        let client = Arc::clone(&self.client);
        let asking = thread::spawn("kafka-leaders", thread::STACK_BYTES, move || {
            for topic in topics {
                if client.fetch_metadata(Some(&topic), ASKING).is_err() {
                    return;
                }
            }
        });
        match asking {
            Ok(asking) => asking.abandon(),
            Err(why) => log::debug!("leaders are looked for later: {why}"),
        }
    }

    /// Reads a topic no longer.
    ///
    /// # Errors
    /// librdkafka does not do it.
    pub fn stop_reading(&mut self, topic: &str) -> Result<(), KafkaFault> {
        self.stop_where(|other| &*other.topic == topic)
    }

    fn stop_where(&mut self, is_over: impl Fn(&PartitionLog) -> bool) -> Result<(), KafkaFault> {
        let mut list = TopicPartitionList::new();
        for over in self.partitions.extract_if(.., |log| is_over(log)) {
            list.add_partition(&over.topic, over.partition);
        }
        if list.count() == 0 {
            return Ok(());
        }
        self.client
            .incremental_unassign(&list)
            .map_err(|error| KafkaFault::new("stop reading internal topics", &error).of_worker())
    }

    /// Takes what is there of one partition and puts its records into the batch, which is emptied before. `None` when
    /// nothing is there; whoever waits is woken then. Never waits.
    pub fn read(&mut self, batch: &mut LogRecords) -> Option<LogRead> {
        if self.main_is_ready.swap(false, Ordering::AcqRel)
            && let Some(read) = self.read_main()
        {
            self.main_is_ready.store(true, Ordering::Release);
            return Some(read);
        }
        let count = self.partitions.len();
        let ready = (0..count)
            .map(|step| (self.next + step) % count)
            .find(|index| self.partitions[*index].is_ready.swap(false, Ordering::AcqRel))?;
        self.next = ready + 1;
        Some(LogRead::Partition(self.read_partition(ready, batch)))
    }

    /// Serves the queue that belongs to no partition: lines of the log, and errors of the client as a whole.
    fn read_main(&self) -> Option<LogRead> {
        loop {
            let callbacks = self.client.context().callbacks();
            match self.client.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    let (topic, partition) = (message.topic().into(), message.partition());
                    let fault = KafkaFault::bug(
                        format!("read the topic '{topic}' partition {partition}"),
                        format!("record {} came past the queue of its partition", message.offset()),
                    );
                    let (position, is_drained, fault) = (None, false, Some(fault));
                    return Some(LogRead::Partition(PartitionRead {
                        topic,
                        partition,
                        position,
                        is_drained,
                        fault,
                    }));
                }
                Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) => {
                    let (kind, why) =
                        self.client.context().take_error().unwrap_or_else(|| {
                            (FaultKind::Unreachable, "no broker can be reached".to_owned())
                        });
                    let what = "read the internal topics (Fetch)";
                    return Some(LogRead::ContactLost(KafkaFault::other(what, kind, why).of_worker()));
                }
                // The callback has logged it, and librdkafka gets over it.
                Some(Err(_)) => {}
                // A poll also ends so after a line of the log.
                None if self.client.context().callbacks() != callbacks => {}
                None => return None,
            }
        }
    }

    fn read_partition(&self, index: usize, batch: &mut LogRecords) -> PartitionRead {
        let log = &self.partitions[index];
        batch.begin(log.partition);
        let (topic, partition) = (Arc::clone(&log.topic), log.partition);
        let mut read = PartitionRead { topic, partition, position: None, is_drained: false, fault: None };
        loop {
            if batch.len() >= BATCH_RECORDS_MAX || batch.bytes() >= BATCH_BYTES_MAX {
                log.is_ready.store(true, Ordering::Release);
                return read;
            }
            match log.queue.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    let timestamp = message.timestamp().to_millis().unwrap_or(-1);
                    let (key, value, offset) = (message.key(), message.payload(), message.offset());
                    batch.push(LogRecord { key, value, offset, timestamp });
                    read.position = Some(offset + 1);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    read.position = self.client.context().take_end().or(read.position);
                }
                Some(Err(error)) => {
                    log.is_ready.store(true, Ordering::Release);
                    read.fault = Some(self.partition_fault(log, &error));
                    return read;
                }
                None => {
                    read.is_drained = true;
                    return read;
                }
            }
        }
    }

    fn partition_fault(&self, log: &PartitionLog, error: &KafkaError) -> KafkaFault {
        let what = format!("read the topic '{}' partition {} (Fetch)", log.topic, log.partition);
        let fault = KafkaFault::new(what.clone(), error).of_worker();
        match self.client.context().take_error() {
            Some((_, reason)) => KafkaFault::other(what, fault.kind(), reason).of_worker(),
            None => fault,
        }
    }

    /// How far a partition was given out; `None` when nothing was. It knows of markers of transactions, which are no
    /// records. Asks librdkafka, not the broker.
    ///
    /// # Errors
    /// librdkafka does not tell.
    pub fn position(&self, topic: &str, partition: i32) -> Result<Option<i64>, KafkaFault> {
        let what = || format!("ask how far the topic '{topic}' was read");
        let list = self.client.position().map_err(|error| KafkaFault::new(what(), &error).of_worker())?;
        Ok(list.find_partition(topic, partition).and_then(|found| offset_of(&found)))
    }
}

impl fmt::Debug for LogConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogConsumer").field("partitions", &self.partitions.len()).finish_non_exhaustive()
    }
}

/// Marks a queue as ready, and wakes. librdkafka calls it with a lock held.
fn waking(is_ready: &Arc<AtomicBool>, wake: &Wake) -> impl Fn() + Send + Sync + 'static {
    let (is_ready, wake) = (Arc::clone(is_ready), Arc::clone(wake));
    move || {
        is_ready.store(true, Ordering::Release);
        wake();
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

    use super::*;
    use crate::config::client::internal_topics::{internal_topic_clients, reading};
    use crate::kafka::embedded::EmbeddedBroker;
    use crate::stdx::time::Clock;

    const SOON: Duration = Duration::from_secs(30);

    /// A consumer of a topic with three records in its one partition, from an offset on.
    fn read_from(broker: &EmbeddedBroker, offset: i64) -> (LogConsumer, crossbeam_channel::Receiver<()>) {
        let topic: Arc<str> = "t".into();
        broker.create_topic(&topic, 1).unwrap();
        let mut config = ClientConfig::new();
        let producer: BaseProducer =
            config.set("bootstrap.servers", broker.bootstrap_servers()).create().unwrap();
        for value in ["a", "b", "c"] {
            producer.send(BaseRecord::to(&topic).key("k").payload(value)).unwrap();
        }
        producer.flush(SOON).unwrap();
        let worker = [("bootstrap.servers", broker.bootstrap_servers()), ("group.id", "g")];
        let worker = worker.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
        let settings = reading(&internal_topic_clients(&worker).unwrap().consumer);
        let (waker, woken) = crossbeam_channel::bounded(1);
        let wake: Wake = Arc::new(move || {
            waker.try_send(()).ok();
        });
        let mut consumer = LogConsumer::new(&settings, wake).unwrap();
        consumer.read_from(&[ReadFrom { topic, partition: 0, offset }]).unwrap();
        (consumer, woken)
    }

    /// Reads until there is a word about the partition that is wanted; gives it, and the values that came.
    fn read_until(
        (mut consumer, woken): (LogConsumer, crossbeam_channel::Receiver<()>),
        wanted: impl Fn(&PartitionRead) -> bool,
    ) -> (PartitionRead, Vec<String>) {
        let deadline = Clock.deadline(SOON);
        let (mut batch, mut values) = (LogRecords::default(), Vec::new());
        loop {
            match consumer.read(&mut batch) {
                Some(LogRead::Partition(read)) => {
                    let of_value = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
                    values.extend(batch.iter().filter_map(|record| record.value.map(of_value)));
                    if wanted(&read) {
                        return (read, values);
                    }
                }
                Some(LogRead::ContactLost(fault)) => panic!("{fault}"),
                None => woken.recv_deadline(deadline.instant()).unwrap(),
            }
        }
    }

    #[test]
    fn records_come_with_the_position_after_them() {
        let broker = EmbeddedBroker::start().unwrap();
        let (read, values) = read_until(read_from(&broker, 1), |read| read.position == Some(3));
        assert_eq!((&*read.topic, read.partition, values), ("t", 0, vec!["b".to_owned(), "c".to_owned()]));
    }

    #[test]
    fn an_end_without_records_has_its_position() {
        let broker = EmbeddedBroker::start().unwrap();
        let (read, values) = read_until(read_from(&broker, 3), |read| read.position.is_some());
        assert_eq!((read.position, values), (Some(3), Vec::new()));
    }

    #[test]
    fn an_offset_that_is_not_there_is_told_with_topic_and_partition() {
        let broker = EmbeddedBroker::start().unwrap();
        let (read, _) = read_until(read_from(&broker, 100), |read| read.fault.is_some());
        let fault = read.fault.unwrap();
        assert_eq!(fault.kind(), FaultKind::NoOffset);
        assert!(fault.to_string().contains("the topic 't' partition 0 (Fetch)"), "{fault}");
    }
}
