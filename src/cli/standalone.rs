//! `herdsman standalone`: a worker that keeps its offsets in a file and shares its work with nobody.

use std::collections::BTreeSet;
use std::path::Path;

use super::running::{Beginning, say_what_is_set, wrong_settings};
use super::{Exit, Failure, Outcome, StandaloneArgs};
use crate::api::ids::ConnectorName;
use crate::assemble::PlannedMode;
use crate::config::connector_file::{ConnectorFile, InitialState};
use crate::config::providers::process_environment;
use crate::config::worker::StandaloneConfig;
use crate::herder::msg::CommandLineConnector;
use crate::kafka::embedded::EmbeddedBroker;
use crate::store::config_state::TargetState;

const LOGGER: &str = "org.apache.kafka.connect.cli.ConnectStandalone";
const CONFIG: &str = "org.apache.kafka.connect.runtime.standalone.StandaloneConfig";

pub(super) fn run(args: &StandaloneArgs) -> Outcome {
    let beginning = Beginning::new(LOGGER, &args.worker)?;
    let config = StandaloneConfig::from_raw(&beginning.raw, &process_environment())
        .map_err(|error| wrong_settings(&args.worker, error))?;
    say_what_is_set(CONFIG, &config, &config.worker, LOGGER);
    let command_line = args.connectors.iter().map(|file| connector(file)).collect::<Result<Vec<_>, _>>()?;
    create_embedded_topics(beginning.embedded.as_ref(), &command_line)?;
    beginning.run(PlannedMode::Standalone { config: Box::new(config), command_line }, &args.worker)
}

/// The embedded broker makes topics by itself, with four partitions. Those of the command line get one, so that lines
/// keep their order.
fn create_embedded_topics(
    broker: Option<&EmbeddedBroker>,
    command_line: &[CommandLineConnector],
) -> Result<(), Failure> {
    let Some(broker) = broker else { return Ok(()) };
    let mut created = BTreeSet::new();
    for connector in command_line {
        let lists = ["topic", "topics"].into_iter().filter_map(|key| connector.settings.get(key));
        let names = lists.flat_map(|list| list.split(',')).map(str::trim).filter(|name| !name.is_empty());
        for name in names.filter(|name| !name.contains("${")) {
            if created.insert(name) {
                broker.create_topic(name, 1).map_err(|error| Failure::new(Exit::Broken, error))?;
            }
        }
    }
    Ok(())
}

fn connector(file: &Path) -> Result<CommandLineConnector, Failure> {
    let read = ConnectorFile::load(file).map_err(|error| Failure::new(Exit::StartFailed, error))?;
    let target = match read.initial_state {
        InitialState::Running => TargetState::Started,
        InitialState::Paused => TargetState::Paused,
        InitialState::Stopped => TargetState::Stopped,
    };
    let (name, settings) = (ConnectorName::new(read.name), read.config);
    Ok(CommandLineConnector { file: file.display().to_string(), name, settings, target })
}
