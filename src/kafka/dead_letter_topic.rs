//! The topic of a dead letter queue: looked for, and made where it is missing.

use std::collections::BTreeMap;

use super::fault::KafkaFault;
use super::new_topics::{KafkaTopics, Topics as _};
use super::topic_admin::{Creation, TopicToCreate};
use crate::config::client::ClientSettings;
use crate::stdx::time::Deadline;

/// As Apache's line begins whoever logs it.
const TARGET: &str = "org.apache.kafka.connect.runtime.errors.DeadLetterQueueReporter";

/// Makes the topic, with one partition, unless it is there. The embedded broker makes its topics by itself. Blocks, at most
/// until the deadline.
///
/// # Errors
/// No answer in time, or the topic is missing and cannot be made.
pub fn ensure(
    settings: &ClientSettings,
    topic: &str,
    replication: i16,
    deadline: Deadline,
) -> Result<(), KafkaFault> {
    let mut topics = KafkaTopics::new(settings)?;
    if topics.exists(topic, deadline)? {
        return Ok(());
    }
    log::error!(target: TARGET, "Topic {topic} doesn't exist. Will attempt to create topic.");
    let settings_of_topic = BTreeMap::new();
    let wanted = TopicToCreate {
        name: topic,
        partitions: Some(1),
        replication: Some(replication).filter(|replication| *replication >= 0),
        settings: &settings_of_topic,
    };
    match topics.create(&wanted, deadline)? {
        Creation::Created | Creation::Exists => Ok(()),
        Creation::NotAllowed(fault) | Creation::TooFewBrokers(fault) | Creation::Refused(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kafka::embedded::EmbeddedBroker;
    use crate::stdx::error_class::ErrorClass;
    use crate::stdx::time::Clock;

    #[test]
    fn the_embedded_broker_is_asked_for_nothing_that_it_cannot_do() {
        let broker = EmbeddedBroker::start().unwrap();
        broker.create_topic("known", 1).unwrap();
        let settings: ClientSettings =
            [("bootstrap.servers", broker.bootstrap_servers())].into_iter().collect();
        let deadline = || Clock.deadline(Duration::from_secs(30));
        for topic in ["known", "unknown"] {
            ensure(&settings, topic, 1, deadline()).unwrap();
        }
        broker.go_down().unwrap();
        let fault = ensure(&settings, "known", 1, Clock.deadline(Duration::from_millis(200))).unwrap_err();
        assert_eq!(fault.class(), ErrorClass::Retriable, "{fault}");
    }
}
