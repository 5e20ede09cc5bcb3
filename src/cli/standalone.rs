//! `herdsman standalone`: reads what it is told, starts a worker, and waits for its end.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};

use super::{Exit, Failure, Outcome, StandaloneArgs};
use crate::api::ids::ConnectorName;
use crate::assemble::{self, Ended, Plan, StartError, Worker};
use crate::config::connector_file::{ConnectorFile, InitialState};
use crate::config::providers::process_environment;
use crate::config::worker::{RawConfig, StandaloneConfig, jar_folders};
use crate::herder::msg::{self, CommandLineConnector};
use crate::kafka::embedded::EmbeddedBroker;
use crate::logging::Logger;
use crate::logging::level::LogLevel;
use crate::logging::levels::Levels;
use crate::plugins;
use crate::rest::server::{BoundServer, HttpServer};
use crate::signals::SignalListener;
use crate::stdx::time::Clock;
use crate::store::config_state::TargetState;

const LOGGER: &str = "org.apache.kafka.connect.cli.ConnectStandalone";

pub(super) fn run(args: &StandaloneArgs) -> Outcome {
    let start = Clock.now().instant;
    if let Some(file) = &args.url_file {
        // Of an earlier worker: who waits for ours must not find it. What hinders this hinders the writing, too.
        drop(std::fs::remove_file(file));
    }
    let levels = Arc::new(Levels::new(LogLevel::Info));
    // Fails only where an embedding program has a logger of its own; then that one is used.
    drop(Logger::new(Arc::clone(&levels), std::io::stdout()).install());
    log::info!(target: LOGGER, "Kafka Connect worker initializing ...");
    let (signals, received) = SignalListener::start()
        .context("cannot listen for signals")
        .map_err(|error| Failure::new(Exit::Broken, error))?;
    let mut raw = RawConfig::load(&args.worker).map_err(|error| Failure::new(Exit::BadConfig, error))?;
    for (key, value) in &args.settings {
        raw.set(key, value);
    }
    let embedded = embedded_broker(args, &mut raw)?;
    let config = StandaloneConfig::from_raw(&raw, &process_environment())
        .with_context(|| wrong_settings(args))
        .map_err(|error| Failure::new(Exit::BadConfig, error))?;
    say_what_is_set(&config);
    let command_line = args.connectors.iter().map(|file| connector(file)).collect::<Result<Vec<_>, _>>()?;
    create_embedded_topics(embedded.as_ref(), &command_line)?;
    let listeners = bind(&config)?;
    let url = assemble::listeners::local_url(listeners.addresses());
    let worker = Worker::start(Plan {
        config,
        command_line,
        registry: plugins::registry(),
        listeners,
        levels,
        embedded,
    })
    .map_err(|error| match error {
        StartError::Config(why) => {
            Failure::new(Exit::BadConfig, anyhow::Error::from(why).context(wrong_settings(args)))
        }
        StartError::Rest(_) | StartError::System(_) => {
            Failure::new(Exit::Broken, anyhow::Error::from(error).context("cannot start the worker"))
        }
    })?;
    if let Some(file) = &args.url_file {
        write_url(file, &url)?;
    }
    let took = Clock.now().instant.saturating_duration_since(start);
    log::info!(target: LOGGER, "Kafka Connect worker initialization took {}ms", took.as_millis());
    let ended = worker.wait(&received);
    log::info!(target: "org.apache.kafka.connect.runtime.Connect", "Kafka Connect stopping");
    worker.stop();
    log::info!(target: "org.apache.kafka.connect.runtime.Connect", "Kafka Connect stopped");
    drop(signals);
    outcome(ended)
}

fn wrong_settings(args: &StandaloneArgs) -> String {
    format!("the worker settings in {} are wrong", args.worker.display())
}

fn outcome(ended: Ended) -> Outcome {
    match ended {
        Ended::Signal(number) => Ok(Exit::Signal(number)),
        Ended::ClientRefused(why) => {
            Err(Failure::new(Exit::BadConfig, anyhow!("Failed to start Connect: {why}")))
        }
        Ended::Herder(msg::Exit::Stopped) => Ok(Exit::Done),
        Ended::Herder(msg::Exit::ConnectorFailed(why)) => {
            let error = anyhow!("Stopping after connector error: {why}");
            Err(Failure::new(Exit::StartFailed, error))
        }
        Ended::Herder(msg::Exit::OffsetsUnreadable(why)) => {
            Err(Failure::new(Exit::StartFailed, anyhow!("Failed to start Connect: {why}")))
        }
    }
}

fn embedded_broker(args: &StandaloneArgs, raw: &mut RawConfig) -> Result<Option<EmbeddedBroker>, Failure> {
    if !args.embedded_kafka {
        return Ok(None);
    }
    let broker = EmbeddedBroker::start()
        .context("cannot start the embedded Kafka broker")
        .map_err(|error| Failure::new(Exit::Broken, error))?;
    let address = broker.bootstrap_servers().to_owned();
    log::info!(target: LOGGER, "embedded Kafka broker at {address} (to try things and to test, not to keep data in)");
    raw.set("bootstrap.servers", address);
    // It keeps a member that left its group until the member's session ends: a sink that starts again waits for that.
    raw.set_default("consumer.session.timeout.ms", "6000");
    Ok(Some(broker))
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

/// The settings as Apache logs them, and what a person should know about them.
fn say_what_is_set(config: &StandaloneConfig) {
    log::info!(target: "org.apache.kafka.connect.runtime.standalone.StandaloneConfig", "{config}");
    for note in &config.worker.notes {
        log::warn!(target: LOGGER, "{note}");
    }
    let folders = jar_folders(&config.worker.plugin_path);
    if !folders.is_empty() {
        let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        log::warn!(
            target: LOGGER,
            "plugin.path holds plug-ins for the JVM, which this worker does not load: {}. GET /connector-plugins lists \
             what it has.",
            folders.join(", ")
        );
    }
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

fn bind(config: &StandaloneConfig) -> Result<BoundServer, Failure> {
    let listeners = assemble::listeners::configs(&config.worker.rest);
    HttpServer::bind(&listeners, assemble::listeners::limits(&config.worker.rest))
        .context("Unable to initialize REST server")
        .map_err(|error| Failure::new(Exit::BadConfig, error))
}

/// Writes the URL whole or not at all: beside, then renamed.
fn write_url(file: &Path, url: &str) -> Result<(), Failure> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut beside = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(beside, "{url}")?;
        beside.persist(file).map_err(|error| error.error)?;
        Ok(())
    };
    write()
        .with_context(|| format!("cannot write the URL to {}", file.display()))
        .map_err(|error| Failure::new(Exit::BadConfig, error))
}
