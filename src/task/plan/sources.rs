//! Plans of source tasks: where their offsets are kept, and whether they write in transactions. Also what else is done in
//! the name of such tasks: shutting them out, and changing their offsets.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{TaskPlanner, refused};
use crate::api::Settings;
use crate::api::error::{ConnectError, Result};
use crate::api::ids::{ConnectorName, TaskId};
use crate::api::source::SourcePlugin;
use crate::config::client::{ClientLayers, ClientSettings};
use crate::config::topic_creation::TopicGroups;
use crate::kafka::new_topics::{KafkaTopics, Topics};
use crate::kafka::transactional_log::TransactionalLogProducer;
use crate::kafka::transactions;
use crate::stdx::reply::{Reply, reply};
use crate::stdx::time::{Clock, Deadline};
use crate::store::connector_offsets::{OwnOffsetStores, TwoOffsetStores};
use crate::store::offset_store::{OffsetChange, OffsetStore, OffsetsWritten};
use crate::store::topic_log::TopicSpec;
use crate::task::TopicCreationSpec;
use crate::task::spec::{Boundary, StartGuard, TaskWork, TransactionSpec};

/// What a worker in a group knows of its source tasks.
pub struct GroupPlans {
    /// `group.id`: what transactional ids begin with.
    pub group: String,
    /// The worker's topic for offsets; those of connectors are made like it.
    pub offsets: TopicSpec,
    /// `exactly.once.source.support=enabled`.
    pub exactly_once: bool,
    /// Who is asked before a task begins that writes exactly once.
    pub guard: Arc<dyn StartGuard>,
    /// The topics of connectors that are read.
    pub own: OwnOffsetStores,
}

impl GroupPlans {
    /// What producers of a task are known by at the brokers.
    fn transactional_id(&self, connector: &ConnectorName, task: u32) -> String {
        format!("{}-{connector}-{task}", self.group)
    }
}

/// Where the offsets of a source connector are kept.
pub struct SourceOffsets {
    /// Shows them; writes them, but for tasks that do it in transactions.
    pub store: Arc<dyn OffsetStore>,
    /// The topic, in a group.
    topic: Option<Arc<str>>,
    /// The worker's store, where the topic is the connector's own.
    secondary: Option<Arc<dyn OffsetStore>>,
}

impl TaskPlanner {
    /// What a source task does, and the settings of its producer.
    pub(super) fn source(
        &self,
        id: &TaskId,
        plugin: &Arc<dyn SourcePlugin>,
        connector: &Settings,
    ) -> Result<(TaskWork, ClientSettings)> {
        let layers = self.layers(connector);
        let SourceOffsets { store: offsets, topic, secondary } = self.offsets(&id.connector, &layers)?;
        let plugin = Arc::clone(plugin);
        let (Some(group), Some(offsets_topic)) =
            (self.group.as_ref().filter(|group| group.exactly_once), topic)
        else {
            return Ok((TaskWork::Source { plugin, offsets }, layers.source_producer().map_err(refused)?));
        };
        let client = layers.transactional_producer(
            &format!("connector-producer-{}-{}", id.connector, id.index),
            &group.transactional_id(&id.connector, id.index),
        );
        let boundary = self.boundary(connector)?;
        let guard = Arc::clone(&group.guard);
        let transactions = TransactionSpec { boundary, offsets_topic, secondary, guard };
        Ok((TaskWork::ExactlyOnceSource { plugin, offsets, transactions }, client.map_err(refused)?))
    }

    /// How a source task creates topics; not at all where the worker or its connector says nothing of it.
    pub(super) fn topic_creation(
        &self,
        id: &TaskId,
        connector: &Settings,
    ) -> Result<Option<TopicCreationSpec>> {
        if !self.config.topic_creation {
            return Ok(None);
        }
        let Some(groups) = TopicGroups::parse(connector).map_err(refused)? else { return Ok(None) };
        let client_id = format!("connector-adminclient-{}-{}", id.connector, id.index);
        let client = self.layers(connector).connector_admin(&client_id).map_err(refused)?;
        let topics = move || Ok(Box::new(KafkaTopics::new(&client)?) as Box<dyn Topics>);
        Ok(Some(TopicCreationSpec { groups: Arc::new(groups), topics: Arc::new(topics) }))
    }

    /// Where the offsets of a source connector are kept. References in its settings are resolved.
    ///
    /// # Errors
    /// Client settings that cannot be kept, or a store that is not open.
    pub fn source_offsets(&self, name: &ConnectorName, connector: &Settings) -> Result<SourceOffsets> {
        self.offsets(name, &self.layers(connector))
    }

    fn offsets(&self, name: &ConnectorName, layers: &ClientLayers<'_>) -> Result<SourceOffsets> {
        let of_worker = self.offsets.get().cloned();
        let of_worker = of_worker.ok_or_else(|| ConnectError::connect("The offset store is not open"))?;
        let alone = |topic| SourceOffsets { store: Arc::clone(&of_worker), topic, secondary: None };
        let Some(group) = &self.group else { return Ok(alone(None)) };
        let own = layers.connector.get("offsets.storage.topic").map(|topic| topic.trim());
        let own = own.filter(|topic| !topic.is_empty());
        if own.is_none() && !group.exactly_once {
            return Ok(alone(None));
        }
        let topic: Arc<str> = own.map_or_else(|| Arc::clone(&group.offsets.name), Arc::from);
        if topic == group.offsets.name && layers.uses_brokers_of_worker().map_err(refused)? {
            return Ok(alone(Some(topic)));
        }
        let clients = layers.offset_clients(name.as_str(), group.exactly_once).map_err(refused)?;
        let spec = TopicSpec { name: Arc::clone(&topic), ..group.offsets.clone() };
        let primary = group.own.get(spec, clients).map_err(|why| {
            ConnectError::connect(format!(
                "Cannot use the topic '{topic}' for the offsets of connector {name}"
            ))
            .caused_by(why)
        })?;
        let store: Arc<dyn OffsetStore> = Arc::new(TwoOffsetStores::new(primary, Arc::clone(&of_worker)));
        Ok(SourceOffsets { store, topic: Some(topic), secondary: Some(of_worker) })
    }

    fn boundary(&self, connector: &Settings) -> Result<Boundary> {
        let text = |key: &str| connector.get(key).map_or("", |text| text.trim());
        match text("transaction.boundary").to_ascii_lowercase().as_str() {
            "interval" => {
                let key = "transaction.boundary.interval.ms";
                let interval = match text(key) {
                    "" => self.config.offset_flush_interval,
                    number => Duration::from_millis(number.parse().map_err(|_| {
                        ConnectError::config(format!(
                            "Invalid value {number} for configuration {key}: Not a number of type LONG"
                        ))
                    })?),
                };
                Ok(Boundary::Interval(interval))
            }
            "connector" => Ok(Boundary::Connector),
            // Validation permits no fourth.
            _ => Ok(Boundary::Poll),
        }
    }

    /// Shuts out the producers of so many tasks of a connector. Blocks, at most until the deadline. References in the
    /// settings of the connector are not resolved.
    ///
    /// # Errors
    /// Not all could be shut out.
    pub fn fence(
        &self,
        name: &ConnectorName,
        connector: &Settings,
        tasks: u32,
        deadline: Deadline,
    ) -> Result<()> {
        let group = self.group.as_ref().ok_or_else(|| ConnectError::connect("This worker is in no group"))?;
        let connector = self.resolve(connector)?;
        let client_id = format!("connector-worker-adminclient-{name}");
        let client = self.layers(&connector).connector_admin(&client_id).map_err(refused)?;
        let ids: Vec<_> = (0..tasks).map(|task| group.transactional_id(name, task)).collect();
        let own = connector.get("offsets.storage.topic").map(|topic| topic.trim());
        let offsets = own.filter(|topic| !topic.is_empty()).unwrap_or(&group.offsets.name);
        let fenced = transactions::fence(&client, &ids, offsets, deadline);
        fenced.map_err(|why| {
            ConnectError::connect(format!("Cannot shut out {tasks} tasks of connector {name}")).caused_by(why)
        })
    }

    /// Writes offsets of a source connector that has no tasks; in a transaction where its tasks do so. Blocks, at most
    /// until the deadline. References in its settings are resolved.
    ///
    /// # Errors
    /// They were not written, as far as is known.
    pub fn write_offsets(
        &self,
        name: &ConnectorName,
        connector: &Settings,
        changes: Vec<OffsetChange>,
        deadline: Deadline,
    ) -> Result<()> {
        let SourceOffsets { store, topic, secondary } = self.source_offsets(name, connector)?;
        let (Some(group), Some(topic)) = (self.group.as_ref().filter(|group| group.exactly_once), topic)
        else {
            return write_and_wait(&*store, changes, deadline);
        };
        let (gone, others): (Vec<_>, Vec<_>) =
            changes.iter().cloned().partition(|(_, offset)| offset.is_none());
        if let Some(secondary) = secondary.as_ref().filter(|_| !gone.is_empty()) {
            write_and_wait(&**secondary, gone, deadline)?;
        }
        let layers = self.layers(connector);
        let client_id = format!("connector-producer-{name}-0");
        let client = layers.transactional_producer(&client_id, &group.transactional_id(name, 0));
        let what = "write offsets in a transaction (InitProducerId)";
        let failed = || ConnectError::connect(format!("Cannot write offsets to the topic '{topic}'"));
        let producer = TransactionalLogProducer::claim(&client.map_err(refused)?, what, deadline);
        let producer = producer.map_err(|why| failed().caused_by(why))?;
        let records =
            changes.iter().map(|(key, offset)| (&key.as_bytes()[..], offset.as_ref().map(Bytes::as_ref)));
        producer.write(&topic, records, deadline).map_err(|why| failed().caused_by(why))?;
        if let Some(secondary) = secondary.filter(|_| !others.is_empty()) {
            secondary.write(
                others,
                Reply::calling(|outcome: OffsetsWritten| {
                    if let Err(why) = outcome {
                        log::warn!("Failed to write offsets to secondary backing store: {why}");
                    }
                }),
            );
        }
        Ok(())
    }
}

fn write_and_wait(store: &dyn OffsetStore, changes: Vec<OffsetChange>, deadline: Deadline) -> Result<()> {
    let (done, written) = reply();
    store.write(changes, done);
    let failed = || ConnectError::connect("Cannot write offsets");
    match written.wait(deadline.left(Clock.now().instant)) {
        Ok(outcome) => outcome.map_err(|why| failed().caused_by(why)),
        Err(_) => Err(failed().caused_by("no answer in time")),
    }
}
