//! The embedded broker: librdkafka's mock cluster, to try things and to test with.
//!
//! It lives in this process and keeps about 5 MB or 100,000 records of a partition in memory. It answers no
//! CreateTopics: a topic comes into being when it is first used, with [`PARTITIONS`], or by
//! [`EmbeddedBroker::create_topic`]. A group's first rebalance takes 3 s; every later one a second less than the
//! `session.timeout.ms` of its members, unless all of them rejoin before. Not a place to keep data in.

use std::fmt;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer, ProducerContext};
use rdkafka::types::RDKafkaApiKey;

use super::client_log;
use super::fault::KafkaFault;

/// How many partitions a topic has that was not created on purpose.
pub const PARTITIONS: i32 = 4;

/// The highest versions of requests that the mock cluster can read. It says that it has higher ones, which none of
/// librdkafka's own clients uses.
const READABLE: &[(RDKafkaApiKey, i16)] =
    &[(RDKafkaApiKey::JoinGroup, 5), (RDKafkaApiKey::SyncGroup, 3), (RDKafkaApiKey::LeaveGroup, 2)];

/// A broker inside of this process, on a free port of the loopback address. Dropping it ends it.
pub struct EmbeddedBroker {
    // librdkafka's mock cluster can belong to a client; unlike a cluster of its own, that can cross threads.
    owner: BaseProducer<Owner>,
    bootstrap_servers: String,
}

struct Owner;

impl ClientContext for Owner {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client_log::line(level, facility, message);
    }
}

impl ProducerContext for Owner {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

impl EmbeddedBroker {
    /// Starts it; it listens when this returns.
    pub fn start() -> Result<Self, KafkaFault> {
        let mut config = ClientConfig::new();
        config.set("test.mock.num.brokers", "1").set_log_level(RDKafkaLogLevel::Error);
        let what = "start the embedded broker";
        let owner: BaseProducer<Owner> =
            config.create_with_context(Owner).map_err(|error| KafkaFault::new(what, &error))?;
        let bootstrap_servers = owner
            .client()
            .mock_cluster()
            .map(|cluster| cluster.bootstrap_servers())
            .ok_or_else(|| KafkaFault::bug(what, "librdkafka made no mock cluster"))?;
        let broker = EmbeddedBroker { owner, bootstrap_servers };
        broker.with(what, |cluster| {
            READABLE.iter().try_for_each(|(api, max)| cluster.apiversion(*api, Some(0), Some(*max)))
        })?;
        Ok(broker)
    }

    /// Its address, for `bootstrap.servers`.
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// Creates a topic. Fails if it exists with another number of partitions.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), KafkaFault> {
        self.with("create a topic of the embedded broker", |cluster| {
            cluster.create_topic(topic, partitions, 1)
        })
    }

    /// Closes all connections and takes no new ones.
    pub fn go_down(&self) -> Result<(), KafkaFault> {
        self.with("take the embedded broker down", |cluster| cluster.broker_down(-1))
    }

    /// Takes connections again.
    pub fn come_up(&self) -> Result<(), KafkaFault> {
        self.with("bring the embedded broker up", |cluster| cluster.broker_up(-1))
    }

    /// Delays every answer.
    pub fn set_round_trip_time(&self, delay: Duration) -> Result<(), KafkaFault> {
        self.with("slow the embedded broker", |cluster| cluster.broker_round_trip_time(-1, delay))
    }

    /// The mock cluster itself, for faults that have no method here.
    pub fn cluster(&self) -> Option<MockCluster<'_, impl ClientContext>> {
        self.owner.client().mock_cluster()
    }

    fn with<F>(&self, what: &'static str, operation: F) -> Result<(), KafkaFault>
    where
        F: FnOnce(&MockCluster<'_, Owner>) -> rdkafka::error::KafkaResult<()>,
    {
        let cluster = self.owner.client().mock_cluster();
        let cluster = cluster.ok_or_else(|| KafkaFault::bug(what, "there is no mock cluster"))?;
        operation(&cluster).map_err(|error| KafkaFault::new(what, &error))
    }
}

impl fmt::Debug for EmbeddedBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedBroker").field("bootstrap_servers", &self.bootstrap_servers).finish()
    }
}
