//! A real Kafka for tests: topics, foreign writers, and one that a test may kill.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::task::{Context, Poll, Waker};

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use tempfile::TempDir;

use crate::support::{SOON, unique, wait_for};

/// A broker, and an admin client for it.
pub(crate) struct Kafka {
    pub(crate) bootstrap: String,
    pub(crate) dir: PathBuf,
    admin: AdminClient<DefaultClientContext>,
}

/// The real Kafka that the tests were given; `None` when they are to do without it.
pub(crate) fn kafka() -> Option<Kafka> {
    crate::support::kafka().map(|(dir, bootstrap)| Kafka::at(dir, bootstrap))
}

impl Kafka {
    fn at(dir: PathBuf, bootstrap: String) -> Self {
        let admin = ClientConfig::new().set("bootstrap.servers", &bootstrap).create().unwrap();
        Kafka { bootstrap, dir, admin }
    }

    fn ask<T>(&self, what: &str, question: impl Future<Output = T>) -> T {
        let mut question = pin!(question);
        let mut context = Context::from_waker(Waker::noop());
        wait_for(what, || match question.as_mut().poll(&mut context) {
            Poll::Ready(answer) => Ok(answer),
            Poll::Pending => Err("it is pending"),
        })
    }

    pub(crate) fn create(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (name, value) in settings {
            new = new.set(name, value);
        }
        // A topic that is being deleted is in the way for a moment.
        wait_for("the creation of a topic", || {
            let created = self.ask("an answer", self.admin.create_topics([&new], &AdminOptions::new()));
            created.unwrap().remove(0)
        });
    }

    pub(crate) fn delete(&self, topic: &str) {
        let deleted = self.ask("a deletion", self.admin.delete_topics(&[topic], &AdminOptions::new()));
        deleted.unwrap().remove(0).unwrap();
    }

    pub(crate) fn set(&self, topic: &str, name: &str, value: &str) {
        let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(name, value);
        let changed = self.ask("a change", self.admin.alter_configs([&change], &AdminOptions::new()));
        changed.unwrap().remove(0).unwrap();
    }

    pub(crate) fn setting(&self, topic: &str, name: &str) -> Option<String> {
        let specifier = ResourceSpecifier::Topic(topic);
        let found = self.ask("settings", self.admin.describe_configs([&specifier], &AdminOptions::new()));
        found.unwrap().remove(0).unwrap().get(name).and_then(|entry| entry.value.clone())
    }

    pub(crate) fn partitions(&self, topic: &str) -> usize {
        let metadata = self.admin.inner().fetch_metadata(Some(topic), SOON).unwrap();
        metadata.topics()[0].partitions().len()
    }

    /// Whether there is such a topic; to ask makes none.
    pub(crate) fn has(&self, topic: &str) -> bool {
        let metadata = self.admin.inner().fetch_metadata(None, SOON).unwrap();
        metadata.topics().iter().any(|it| it.name() == topic)
    }

    pub(crate) fn add_partitions(&self, topic: &str, count: usize) {
        let new = NewPartitions::new(topic, count);
        let added = self.ask("partitions", self.admin.create_partitions([&new], &AdminOptions::new()));
        added.unwrap().remove(0).unwrap();
    }

    /// Deletes the records of a partition before an offset.
    pub(crate) fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before)).unwrap();
        self.ask("records deleted", self.admin.delete_records(&list, &AdminOptions::new())).unwrap();
    }

    /// A producer of somebody else.
    pub(crate) fn producer(&self) -> BaseProducer {
        self.client().create().unwrap()
    }

    /// A producer of somebody else with a transaction under way.
    pub(crate) fn transaction(&self) -> BaseProducer {
        let producer: BaseProducer =
            self.client().set("transactional.id", unique("foreign")).create().unwrap();
        producer.init_transactions(SOON).unwrap();
        producer.begin_transaction().unwrap();
        producer
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("linger.ms", "0");
        config
    }
}

/// Writes records; returns once all are acknowledged.
pub(crate) fn send(producer: &BaseProducer, topic: &str, records: &[(&str, Option<&str>)]) {
    for (key, value) in records {
        let mut record = BaseRecord::<str, str>::to(topic).key(*key);
        record.payload = *value;
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(SOON).unwrap();
}

/// A Kafka of the test's own, which it may kill.
pub(crate) struct OwnKafka {
    pub(crate) kafka: Kafka,
    _folder: TempDir,
}

/// `scripts/kafka COMMAND --dir DIR`.
fn script(command: &str, dir: &Path) {
    let output = Command::new("scripts/kafka").args([command, "--dir"]).arg(dir).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

impl OwnKafka {
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let dir = folder.path().join("kafka");
        script("start", &dir);
        let bootstrap = std::fs::read_to_string(dir.join("bootstrap")).unwrap().trim().to_owned();
        OwnKafka { kafka: Kafka::at(dir, bootstrap), _folder: folder }
    }

    pub(crate) fn kill(&self) {
        script("kill", &self.kafka.dir);
    }

    pub(crate) fn restart(&self) {
        script("restart", &self.kafka.dir);
    }
}

impl Drop for OwnKafka {
    fn drop(&mut self) {
        script("kill", &self.kafka.dir);
    }
}
