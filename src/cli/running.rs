//! What both modes do around a worker: the log, the signals, the listeners, the embedded broker, and the end.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow};
use crossbeam_channel::Receiver;

use super::{Exit, Failure, Outcome, WorkerArgs};
use crate::api::registry::Plugin;
use crate::assemble::{self, Ended, Plan, PlannedMode, StartError, Worker, embedded};
use crate::config::worker::{RawConfig, WorkerConfig, jar_folders};
use crate::herder::msg;
use crate::kafka::embedded::EmbeddedBroker;
use crate::logging::Logger;
use crate::logging::level::LogLevel;
use crate::logging::levels::Levels;
use crate::plugins;
use crate::rest::server::{BoundServer, HttpServer};
use crate::signals::SignalListener;
use crate::stdx::time::Clock;
use crate::systemd::Notifier;

/// What is there before the settings are understood.
pub(super) struct Beginning {
    /// Where lines of the mode are logged.
    pub(super) logger: &'static str,
    pub(super) raw: RawConfig,
    pub(super) embedded: Option<EmbeddedBroker>,
    levels: Arc<Levels>,
    signals: SignalListener,
    received: Receiver<u8>,
    start: Instant,
}

impl Beginning {
    /// Starts the log and listens for signals, reads the settings, and starts the embedded broker if it is asked for.
    pub(super) fn new(logger: &'static str, args: &WorkerArgs) -> Result<Self, Failure> {
        let start = Clock.now().instant;
        if let Some(file) = &args.url_file {
            // Of an earlier worker: who waits for ours must not find it. What hinders this hinders the writing, too.
            drop(std::fs::remove_file(file));
        }
        let levels = Arc::new(Levels::new(LogLevel::Info));
        // Fails only where an embedding program has a logger of its own; then that one is used.
        drop(Logger::new(Arc::clone(&levels), std::io::stdout()).install());
        log::info!(target: logger, "Kafka Connect worker initializing ...");
        let (signals, received) = SignalListener::start()
            .context("cannot listen for signals")
            .map_err(|error| Failure::new(Exit::Broken, error))?;
        let mut raw = RawConfig::load(&args.worker).map_err(|error| Failure::new(Exit::BadConfig, error))?;
        for (key, value) in &args.settings {
            raw.set(key, value);
        }
        let embedded = if args.embedded_kafka { Some(embedded_broker(logger, &mut raw)?) } else { None };
        Ok(Beginning { logger, raw, embedded, levels, signals, received, start })
    }

    /// Runs the worker until its end, with plug-ins beside the built-in ones.
    pub(super) fn run(self, mode: PlannedMode, args: &WorkerArgs, added: &[Plugin]) -> Outcome {
        let Beginning { logger, embedded, levels, signals, received, start, .. } = self;
        let config = match &mode {
            PlannedMode::Standalone { config, .. } => &config.worker,
            PlannedMode::Distributed(config) => &config.worker,
        };
        let listeners = bind(config)?;
        let programs = plugins::exec::Programs::of_this_process(config.exec_allowed.clone())
            .of_worker_with(config.task_shutdown_graceful_timeout);
        let url = assemble::listeners::local_url(listeners.addresses());
        let notifier = Notifier::from_environment(|name| std::env::var_os(name), std::process::id());
        let registry = plugins::registry_running(&programs)
            .with(added)
            .map_err(|taken| Failure::new(Exit::BadConfig, taken))?;
        let plan = Plan { mode, registry, listeners, levels, embedded, notifier };
        let worker = Worker::start(plan).map_err(|error| match error {
            StartError::Config(why) => wrong_settings(args, why),
            StartError::Client(why) => wrong_settings(args, why),
            StartError::Rest(_) | StartError::System(_) => {
                Failure::new(Exit::Broken, anyhow::Error::from(error).context("cannot start the worker"))
            }
        })?;
        if let Some(file) = &args.url_file {
            write_whole(file, &url)?;
        }
        let took = Clock.now().instant.saturating_duration_since(start);
        log::info!(target: logger, "Kafka Connect worker initialization took {}ms", took.as_millis());
        let ended = worker.wait(&received);
        log::info!(target: "org.apache.kafka.connect.runtime.Connect", "Kafka Connect stopping");
        worker.stop();
        log::info!(target: "org.apache.kafka.connect.runtime.Connect", "Kafka Connect stopped");
        drop(signals);
        outcome(ended)
    }
}

/// The settings of the worker cannot be used; why.
pub(super) fn wrong_settings(args: &WorkerArgs, why: impl Into<anyhow::Error>) -> Failure {
    let what = format!("the worker settings in {} are wrong", args.worker.display());
    Failure::new(Exit::BadConfig, why.into().context(what))
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
        Ended::Herder(msg::Exit::GroupRefused(why)) => {
            Err(Failure::new(Exit::Broken, anyhow!("Cannot be a member of the group: {why}")))
        }
    }
}

fn embedded_broker(logger: &str, raw: &mut RawConfig) -> Result<EmbeddedBroker, Failure> {
    let broker = embedded::start(raw, &[])
        .context("cannot start the embedded Kafka broker")
        .map_err(|error| Failure::new(Exit::Broken, error))?;
    let address = broker.bootstrap_servers();
    log::info!(target: logger, "embedded Kafka broker at {address} (to try things and to test, not to keep data in)");
    Ok(broker)
}

/// The settings as Apache logs them, and what a person should know about them.
pub(super) fn say_what_is_set(
    class: &str,
    printed: &dyn std::fmt::Display,
    config: &WorkerConfig,
    logger: &str,
) {
    log::info!(target: class, "{printed}");
    for note in &config.notes {
        log::warn!(target: logger, "{note}");
    }
    let folders = jar_folders(&config.plugin_path);
    if !folders.is_empty() {
        let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        log::warn!(
            target: logger,
            "plugin.path holds plug-ins for the JVM, which this worker does not load: {}. GET /connector-plugins lists \
             what it has.",
            folders.join(", ")
        );
    }
}

fn bind(config: &WorkerConfig) -> Result<BoundServer, Failure> {
    let listeners = assemble::listeners::configs(&config.rest);
    HttpServer::bind(&listeners, assemble::listeners::limits(&config.rest))
        .context("Unable to initialize REST server")
        .map_err(|error| Failure::new(Exit::BadConfig, error))
}

/// Writes a line to a file, whole or not at all: beside, then renamed.
pub(super) fn write_whole(file: &Path, line: &str) -> Result<(), Failure> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut beside = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(beside, "{line}")?;
        beside.persist(file).map_err(|error| error.error)?;
        Ok(())
    };
    write()
        .with_context(|| format!("cannot write {line} to {}", file.display()))
        .map_err(|error| Failure::new(Exit::BadConfig, error))
}
