//! What the worker asks of Kafka besides records: the cluster's id, and the offsets of the groups of sinks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::bounded;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, DefaultConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::broker_socket::ConnectionSettings;
use super::client_log;
use super::fault::{FaultKind, KafkaFault};
use super::offset_deletion::{self, OffsetDeletion};
use super::settings::client_config;
use crate::api::ids::TopicPartition;
use crate::config::broker::Broker;
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
        let offsets = changes.iter().filter_map(|(partition, offset)| Some((partition, (*offset)?)));
        self.commit(offsets, "alter the committed offsets", deadline).map_err(|fault| {
            if fault.kind() != FaultKind::GroupMovedOn || !self.is_on_embedded(deadline).unwrap_or_default() {
                return fault;
            }
            let why = "once a group had members, the embedded broker takes offsets from members only; give the connector \
                       another name instead";
            fault.because(FaultKind::Other, why)
        })?;
        let forgotten = changes.iter().filter(|(_, offset)| offset.is_none());
        self.forget(forgotten.map(|(partition, _)| partition.clone()).collect(), deadline)
    }

    /// Forgets the offsets of these partitions, and no others.
    fn forget(&self, partitions: Vec<TopicPartition>, deadline: Deadline) -> Result<(), KafkaFault> {
        if partitions.is_empty() {
            return Ok(());
        }
        let what = offset_deletion::WHAT;
        self.refuse_embedded(what, deadline)?;
        let client_id = self.settings.get("client.id").unwrap_or("herdsman");
        let settings = Arc::new(ConnectionSettings::from_client(client_id, &self.settings)?);
        let metadata = self.consumer(what)?.fetch_metadata(None, deadline.left(Clock.now().instant));
        let metadata = metadata.map_err(|error| KafkaFault::new(what, &error))?;
        let brokers = metadata.brokers().iter();
        let brokers = brokers.filter_map(|at| Some(Broker::new(at.host(), u16::try_from(at.port()).ok()?)));
        let deletion =
            OffsetDeletion { settings, brokers: brokers.collect(), group: self.group.clone(), partitions };
        deletion.carry_out(deadline)
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
        let committed =
            by_deadline("kafka-commit", what, deadline, move || consumer.commit(&list, CommitMode::Sync))?;
        committed.map_err(|error| KafkaFault::new(what, &error))
    }

    /// Forgets all offsets of the group, by deleting it. A group that is not there has none.
    ///
    /// # Errors
    /// No answer in time, no authority, or members that still run.
    pub fn delete(&self, deadline: Deadline) -> Result<(), KafkaFault> {
        let what = "delete the consumer group";
        self.refuse_embedded(what, deadline)?;
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

    /// Fails where the embedded broker would be asked for what it cannot do.
    fn refuse_embedded(&self, what: &'static str, deadline: Deadline) -> Result<(), KafkaFault> {
        if !self.is_on_embedded(deadline)? {
            return Ok(());
        }
        let detail = "the embedded broker can forget no offsets (it knows neither DeleteGroups nor OffsetDelete); give the \
                      connector another name instead";
        Err(KafkaFault::other(what, FaultKind::Other, detail))
    }

    fn is_on_embedded(&self, deadline: Deadline) -> Result<bool, KafkaFault> {
        Ok(is_embedded(&cluster_id(&self.admin_settings(), deadline)?))
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

/// Does something on a thread of its own, which is left alone if it takes longer than the deadline.
fn by_deadline<T: Send + 'static>(
    name: &str,
    what: &'static str,
    deadline: Deadline,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<T, KafkaFault> {
    let (ended, outcome) = bounded(1);
    // Closed: nobody waits any more.
    let body = move || drop(ended.send(body()));
    let thread = thread::spawn(name, thread::STACK_BYTES, body)
        .map_err(|error| KafkaFault::other(what, FaultKind::Other, error.to_string()))?;
    thread.abandon();
    outcome.recv_timeout(deadline.left(Clock.now().instant)).map_err(|_| {
        let detail = "no answer in time; the offsets may be altered all the same";
        KafkaFault::other(what, FaultKind::Unreachable, detail)
    })
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

    #[test]
    fn the_embedded_broker_forgets_no_offsets_and_that_is_told() {
        let broker = EmbeddedBroker::start().unwrap();
        broker.create_topic("t", 1).unwrap();
        let settings = [("bootstrap.servers", broker.bootstrap_servers()), ("group.id", "g")];
        let group = GroupOffsets::new(settings.into_iter().collect());
        let partition = TopicPartition { topic: "t".into(), partition: 0 };
        let single = group.alter(&BTreeMap::from([(partition, None)]), Clock.deadline(SOON));
        for fault in [single.unwrap_err(), group.delete(Clock.deadline(SOON)).unwrap_err()] {
            assert!(fault.to_string().contains("the embedded broker can forget no offsets"), "{fault}");
        }
    }
}
