//! Whether topics are there, and their creation, for tasks.

use std::fmt;

use super::admin::is_embedded;
use super::fault::KafkaFault;
use super::log_offsets::LogOffsets;
use super::topic_admin::{Creation, TopicAdmin, TopicToCreate};
use crate::config::client::ClientSettings;
use crate::stdx::time::Deadline;

/// Knows which topics there are, and creates others. Belongs to one thread; all calls block, at most until their deadline.
pub trait Topics {
    /// Whether there is such a topic. Does not make the broker create it.
    ///
    /// # Errors
    /// No answer in time, or no authority.
    fn exists(&mut self, topic: &str, deadline: Deadline) -> Result<bool, KafkaFault>;

    /// Creates a topic unless it is there.
    ///
    /// # Errors
    /// No answer in time, or a broker that cannot do it at the moment.
    fn create(&mut self, topic: &TopicToCreate<'_>, deadline: Deadline) -> Result<Creation, KafkaFault>;
}

/// Makes the [`Topics`] of a thread. Called on that thread; does not wait for the broker.
pub type MakeTopics = dyn Fn() -> Result<Box<dyn Topics>, KafkaFault> + Send + Sync;

/// The topics of a cluster.
///
/// Two clients: one that creates topics would have the broker create those that it merely looks up.
pub struct KafkaTopics {
    settings: ClientSettings,
    lookup: LogOffsets,
    /// Made when it is needed: most topics are there.
    admin: Option<TopicAdmin>,
}

impl KafkaTopics {
    /// With the settings of an admin client. Does not wait for the broker.
    ///
    /// # Errors
    /// Settings that librdkafka refuses.
    pub fn new(settings: &ClientSettings) -> Result<Self, KafkaFault> {
        let lookup = LogOffsets::new(settings)?;
        Ok(KafkaTopics { settings: settings.clone(), lookup, admin: None })
    }
}

impl Topics for KafkaTopics {
    fn exists(&mut self, topic: &str, deadline: Deadline) -> Result<bool, KafkaFault> {
        let cluster = self.lookup.cluster_id(deadline)?;
        if is_embedded(&cluster) {
            log::info!("the embedded broker creates the topic '{topic}' by itself, in its own way");
            return Ok(true);
        }
        Ok(self.lookup.partitions(topic, deadline).map_err(KafkaFault::about_topic)?.is_some())
    }

    fn create(&mut self, topic: &TopicToCreate<'_>, deadline: Deadline) -> Result<Creation, KafkaFault> {
        let admin = match &self.admin {
            Some(admin) => admin,
            None => self.admin.insert(TopicAdmin::new(&self.settings)?),
        };
        Ok(match admin.create(topic, deadline).map_err(KafkaFault::about_topic)? {
            Creation::NotAllowed(fault) => Creation::NotAllowed(fault.about_topic()),
            Creation::TooFewBrokers(fault) => Creation::TooFewBrokers(fault.about_topic()),
            Creation::Refused(fault) => Creation::Refused(fault.about_topic()),
            done @ (Creation::Created | Creation::Exists) => done,
        })
    }
}

impl fmt::Debug for KafkaTopics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KafkaTopics")
    }
}
