//! What the worker asks of Kafka besides records: the cluster's id, and the offsets of the groups of sinks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::bounded;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, DefaultConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::client_log;
use super::fault::{FaultKind, KafkaFault};
use super::settings::client_config;
use crate::api::ids::TopicPartition;
use crate::config::client::ClientSettings;
use crate::stdx::thread;
use crate::stdx::time::{Clock, Deadline};

/// How the ids of librdkafka's mock clusters begin, of which the embedded broker is one.
const MOCK_CLUSTER: &str = "mockCluster";

/// Whether a cluster is librdkafka's mock cluster, by its id. librdkafka ends the process when it asks its own mock
/// cluster for what that does not know: to create, describe or delete things.
pub fn is_embedded(cluster_id: &str) -> bool {
    cluster_id.starts_with(MOCK_CLUSTER)
}

/// Asks brokers for the id of their cluster. Blocks until one answers, at most until the deadline.
///
/// # Errors
/// No answer in time, or settings that librdkafka refuses.
pub fn cluster_id(settings: &ClientSettings, deadline: Deadline) -> Result<String, KafkaFault> {
    let what = "reach the Kafka cluster";
    let client: BaseConsumer<Refusal> = client_config(settings)
        .create_with_context(Refusal::default())
        .map_err(|error| KafkaFault::new(what, &error))?;
    let left = deadline.left(Clock.now().instant);
    client.client().fetch_cluster_id(left).ok_or_else(|| {
        let servers = settings.get("bootstrap.servers").unwrap_or("localhost:9092");
        // The errors have waited in the client's queue all the while, between lines of its log: a poll without time
        // would end at the first of those.
        while client.poll(Duration::from_millis(20)).is_some() {}
        match client.context().take() {
            Some((kind, why)) => KafkaFault::other(what, kind, format!("no answer from {servers}: {why}")),
            None => KafkaFault::other(what, FaultKind::Unreachable, format!("no answer from {servers}")),
        }
    })
}

/// Remembers why librdkafka was not let in, which [`rdkafka::client::Client::fetch_cluster_id`] does not tell.
#[derive(Debug, Default)]
struct Refusal(Mutex<Option<(FaultKind, String)>>);

impl Refusal {
    fn take(&self) -> Option<(FaultKind, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Refusal {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        // The caller hears of it as an error, and says it on its own level.
        client_log::line(RDKafkaLogLevel::Debug, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        // That all brokers are down comes after the reason for it.
        if code != RDKafkaErrorCode::AllBrokersDown {
            let told = (FaultKind::of(code), reason.to_owned());
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(told);
        }
    }
}

impl ConsumerContext for Refusal {}

/// The committed offsets of one consumer group. All calls block, at most until their deadline.
pub struct GroupOffsets {
    settings: ClientSettings,
    group: String,
}

impl GroupOffsets {
    /// Those of the group that consumers with these settings join.
    pub fn new(settings: ClientSettings) -> Self {
        let group = settings.get("group.id").unwrap_or_default().to_owned();
        GroupOffsets { settings, group }
    }

    /// All offsets of the group, by partition.
    ///
    /// # Errors
    /// No answer in time, or no authority.
    pub fn committed(&self, deadline: Deadline) -> Result<BTreeMap<TopicPartition, i64>, KafkaFault> {
        let what = "read the committed offsets";
        let fault = |error: &_| KafkaFault::new(what, error);
        let consumer = self.consumer(what)?;
        let left = || deadline.left(Clock.now().instant);
        let metadata = consumer.fetch_metadata(None, left()).map_err(|error| fault(&error))?;
        let mut list = TopicPartitionList::new();
        for topic in metadata.topics() {
            for partition in topic.partitions() {
                list.add_partition(topic.name(), partition.id());
            }
        }
        let committed = consumer.committed_offsets(list, left()).map_err(|error| fault(&error))?;
        let elements = committed.elements();
        let known = elements.iter().filter_map(|one| match one.offset() {
            Offset::Offset(offset) => {
                Some((TopicPartition { topic: one.topic().into(), partition: one.partition() }, offset))
            }
            Offset::Beginning | Offset::End | Offset::Stored | Offset::Invalid | Offset::OffsetTail(_) => {
                None
            }
        });
        Ok(known.collect())
    }

    /// Sets the offsets of partitions; `None` forgets that of a partition. The group must have no members.
    ///
    /// # Errors
    /// No answer in time, no authority, or members that still run.
    pub fn alter(
        &self,
        changes: &BTreeMap<TopicPartition, Option<i64>>,
        deadline: Deadline,
    ) -> Result<(), KafkaFault> {
        let what = "alter the committed offsets";
        if changes.values().any(Option::is_none) {
            // A group forgets single offsets only as a whole: what stays is written again.
            let mut kept = self.committed(deadline)?;
            for (partition, offset) in changes {
                match offset {
                    Some(offset) => kept.insert(partition.clone(), *offset),
                    None => kept.remove(partition),
                };
            }
            self.delete(deadline)?;
            let written =
                self.commit(kept.iter().map(|(partition, offset)| (partition, *offset)), what, deadline);
            return written.map_err(|fault| {
                let lost = kept.iter().map(|(partition, offset)| format!("{partition} to {offset}"));
                let lost = lost.collect::<Vec<_>>().join(", ");
                let why = format!("the group was deleted before; alter these offsets again: {lost}");
                let kind = fault.kind();
                fault.because(kind, &why)
            });
        }
        let offsets = changes.iter().filter_map(|(partition, offset)| Some((partition, (*offset)?)));
        self.commit(offsets, what, deadline)
    }

    fn commit<'a>(
        &self,
        offsets: impl Iterator<Item = (&'a TopicPartition, i64)>,
        what: &'static str,
        deadline: Deadline,
    ) -> Result<(), KafkaFault> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(offset))
                .map_err(|error| KafkaFault::new(what, &error))?;
        }
        if list.count() == 0 {
            return Ok(());
        }
        let consumer = self.consumer(what)?;
        consumer.assign(&list).map_err(|error| KafkaFault::new(what, &error))?;
        // librdkafka's commit knows no deadline: while no coordinator answers it goes on for minutes. Closing the consumer
        // takes its time then, too.
        let (ended, outcome) = bounded(1);
        let committing = thread::spawn("kafka-commit", thread::STACK_BYTES, move || {
            // Closed: nobody waits any more.
            drop(ended.send(consumer.commit(&list, CommitMode::Sync)));
        });
        let committing =
            committing.map_err(|error| KafkaFault::other(what, FaultKind::Other, error.to_string()))?;
        committing.abandon();
        let result = outcome.recv_timeout(deadline.left(Clock.now().instant)).map_err(|_| {
            let detail = "no answer in time; the offsets may be altered all the same";
            KafkaFault::other(what, FaultKind::Unreachable, detail)
        })?;
        result.map_err(|error| KafkaFault::new(what, &error))
    }

    /// Forgets all offsets of the group, by deleting it. A group that is not there has none.
    ///
    /// # Errors
    /// No answer in time, no authority, or members that still run.
    pub fn delete(&self, deadline: Deadline) -> Result<(), KafkaFault> {
        let what = "delete the consumer group";
        let cluster = cluster_id(&self.admin_settings(), deadline)?;
        if is_embedded(&cluster) {
            let detail = "the embedded broker cannot delete groups; give the connector another name instead";
            return Err(KafkaFault::other(what, FaultKind::Other, detail));
        }
        let admin: AdminClient<DefaultClientContext> =
            client_config(&self.admin_settings()).create().map_err(|error| KafkaFault::new(what, &error))?;
        let left = deadline.left(Clock.now().instant);
        let options = AdminOptions::new().request_timeout(Some(left)).operation_timeout(Some(left));
        let deleted = super::block_on::block_on(admin.delete_groups(&[&self.group], &options), deadline)
            .ok_or_else(|| KafkaFault::other(what, FaultKind::Unreachable, "no answer in time"))?
            .map_err(|error| KafkaFault::new(what, &error))?;
        let failed = deleted.into_iter().find_map(Result::err).map(|(_, code)| code);
        match failed {
            None | Some(RDKafkaErrorCode::GroupIdNotFound) => Ok(()),
            Some(code) => Err(KafkaFault::of_code(what, code)),
        }
    }

    /// An admin client takes no settings of consumers.
    fn admin_settings(&self) -> ClientSettings {
        const PREFIXES: [&str; 5] = ["bootstrap.", "security.", "sasl.", "ssl.", "client."];
        self.settings
            .iter()
            .filter(|(name, _)| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
            .collect()
    }

    fn consumer(&self, what: &'static str) -> Result<BaseConsumer<DefaultConsumerContext>, KafkaFault> {
        client_config(&self.settings).create().map_err(|error| KafkaFault::new(what, &error))
    }
}

impl fmt::Debug for GroupOffsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupOffsets").field("group", &self.group).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::embedded::EmbeddedBroker;

    const SOON: Duration = Duration::from_secs(30);

    #[test]
    fn offsets_are_altered_by_the_deadline_or_that_is_told() {
        let broker = EmbeddedBroker::start().unwrap();
        broker.create_topic("t", 1).unwrap();
        let settings = [("bootstrap.servers", broker.bootstrap_servers()), ("group.id", "g")];
        let group = GroupOffsets::new(settings.into_iter().collect());
        let partition = TopicPartition { topic: "t".into(), partition: 0 };
        let change = |offset| BTreeMap::from([(partition.clone(), Some(offset))]);
        group.alter(&change(7), Clock.deadline(SOON)).unwrap();
        let committed = || group.committed(Clock.deadline(SOON)).unwrap();
        assert_eq!(committed(), BTreeMap::from([(partition.clone(), 7)]));
        broker.set_round_trip_time(2 * SOON).unwrap();
        let late = Clock.deadline(SOON / 2);
        let fault = group.alter(&change(8), Clock.deadline(Duration::from_millis(300))).unwrap_err();
        assert!(!late.passed(Clock.now().instant), "it waited for the broker");
        assert_eq!(fault.kind(), FaultKind::Unreachable);
        assert!(fault.to_string().contains("no answer in time"), "{fault}");
        broker.set_round_trip_time(Duration::ZERO).unwrap();
    }
}
