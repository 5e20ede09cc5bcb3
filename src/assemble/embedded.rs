//! The embedded broker as a worker's own: how the worker finds it, and the topics of connectors that are there from the
//! start.

use std::collections::BTreeSet;

use crate::config::worker::RawConfig;
use crate::herder::msg::CommandLineConnector;
use crate::kafka::embedded::EmbeddedBroker;
use crate::kafka::fault::KafkaFault;

/// Starts it, and points the worker's settings at it.
///
/// # Errors
/// It does not start.
pub fn start(raw: &mut RawConfig, connectors: &[CommandLineConnector]) -> Result<EmbeddedBroker, KafkaFault> {
    let broker = EmbeddedBroker::start()?;
    raw.set("bootstrap.servers", broker.bootstrap_servers());
    // It keeps a member that left its group until the member's session ends: a sink that starts again waits for that.
    raw.set_default("consumer.session.timeout.ms", "6000");
    create_topics(&broker, connectors)?;
    Ok(broker)
}

/// The embedded broker makes topics by itself, with four partitions. Those of connectors that are there from the start
/// get one, so that lines keep their order.
///
/// # Errors
/// A topic is there already, in another form.
pub fn create_topics(broker: &EmbeddedBroker, connectors: &[CommandLineConnector]) -> Result<(), KafkaFault> {
    let mut created = BTreeSet::new();
    for connector in connectors {
        let lists = ["topic", "topics"].into_iter().filter_map(|key| connector.settings.get(key));
        let names = lists.flat_map(|list| list.split(',')).map(str::trim).filter(|name| !name.is_empty());
        for name in names.filter(|name| !name.contains("${")) {
            if created.insert(name) {
                broker.create_topic(name, 1)?;
            }
        }
    }
    Ok(())
}
