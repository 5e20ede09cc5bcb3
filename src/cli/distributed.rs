//! `herdsman distributed`: a worker of a group, whose configurations, offsets and states are in topics.

use super::running::{Beginning, say_what_is_set, write_whole, wrong_settings};
use super::{DistributedArgs, Exit, Failure, Outcome};
use crate::api::registry::Plugin;
use crate::assemble::PlannedMode;
use crate::config::providers::process_environment;
use crate::config::worker::DistributedConfig;
use crate::kafka::embedded::EmbeddedBroker;

const LOGGER: &str = "org.apache.kafka.connect.cli.ConnectDistributed";
const CONFIG: &str = "org.apache.kafka.connect.runtime.distributed.DistributedConfig";

pub(super) fn run(args: &DistributedArgs, added: &[Plugin]) -> Outcome {
    let beginning = Beginning::new(LOGGER, &args.worker)?;
    let config = DistributedConfig::from_raw(&beginning.raw, &process_environment())
        .map_err(|error| wrong_settings(&args.worker, error))?;
    say_what_is_set(CONFIG, &config, &config.worker, LOGGER);
    if let Some(broker) = &beginning.embedded {
        create_internal_topics(broker, &config)?;
        if let Some(file) = &args.bootstrap_file {
            write_whole(file, broker.bootstrap_servers())?;
        }
    }
    beginning.run(PlannedMode::Distributed(Box::new(config)), &args.worker, added)
}

/// The embedded broker takes no requests to create topics, and makes those that are missing with partitions of its own
/// number.
fn create_internal_topics(broker: &EmbeddedBroker, config: &DistributedConfig) -> Result<(), Failure> {
    for topic in [&config.config_topic, &config.offset_topic, &config.status_topic] {
        let partitions = topic.partitions.unwrap_or(1);
        broker.create_topic(&topic.name, partitions).map_err(|error| Failure::new(Exit::Broken, error))?;
    }
    Ok(())
}
