//! `herdsman standalone`: a worker that keeps its offsets in a file and shares its work with nobody.

use std::path::Path;

use super::running::{Beginning, say_what_is_set, wrong_settings};
use super::{Exit, Failure, Outcome, StandaloneArgs};
use crate::api::ids::ConnectorName;
use crate::api::registry::Plugin;
use crate::assemble::{PlannedMode, embedded};
use crate::config::connector_file::{ConnectorFile, InitialState};
use crate::config::providers::process_environment;
use crate::config::worker::StandaloneConfig;
use crate::herder::msg::CommandLineConnector;
use crate::store::config_state::TargetState;

const LOGGER: &str = "org.apache.kafka.connect.cli.ConnectStandalone";
const CONFIG: &str = "org.apache.kafka.connect.runtime.standalone.StandaloneConfig";

pub(super) fn run(args: &StandaloneArgs, added: &[Plugin]) -> Outcome {
    let beginning = Beginning::new(LOGGER, &args.worker)?;
    let config = StandaloneConfig::from_raw(&beginning.raw, &process_environment())
        .map_err(|error| wrong_settings(&args.worker, error))?;
    say_what_is_set(CONFIG, &config, &config.worker, LOGGER);
    let command_line = args.connectors.iter().map(|file| connector(file)).collect::<Result<Vec<_>, _>>()?;
    if let Some(broker) = &beginning.embedded {
        embedded::create_topics(broker, &command_line).map_err(|error| Failure::new(Exit::Broken, error))?;
    }
    let mode = PlannedMode::Standalone { config: Box::new(config), command_line };
    beginning.run(mode, &args.worker, added)
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
