//! A worker within a program that does more than this, a test for instance.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use super::WorkerBuilder;
use crate::api::Settings;
use crate::api::ids::ConnectorName;
use crate::api::registry::{ClassTaken, Plugin};
use crate::assemble::{self, Ended, Plan, PlannedMode, embedded};
use crate::config::providers::process_environment;
use crate::config::worker::{RawConfig, StandaloneConfig};
use crate::health::HealthState;
use crate::herder::msg::{CommandLineConnector, Exit};
use crate::logging::level::LogLevel;
use crate::logging::levels::Levels;
use crate::plugins;
use crate::rest::server::HttpServer;
use crate::stdx::time::Clock;
use crate::store::config_state::TargetState;

/// A worker that is about to start in this process; see [`WorkerBuilder::standalone`].
#[must_use = "nothing runs before it is started"]
pub struct Standalone {
    added: Vec<Plugin>,
    raw: RawConfig,
    connectors: Vec<CommandLineConnector>,
    embedded: bool,
}

impl std::fmt::Debug for Standalone {
    /// Names only: any value may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let connectors = self.connectors.iter().map(|connector| connector.name.as_str());
        f.debug_struct("Standalone")
            .field("added", &self.added)
            .field("settings", &self.raw)
            .field("connectors", &connectors.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Why a worker in this process did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Two plug-ins have one class name.
    #[error(transparent)]
    Plugin(#[from] ClassTaken),
    /// The settings of the worker are wrong, or REST cannot listen as they say.
    #[error("the settings of the worker cannot be used")]
    Settings(#[source] Box<dyn Error + Send + Sync>),
    /// The system gives no thread or socket, or the embedded broker does not start.
    #[error("the worker cannot start")]
    System(#[source] Box<dyn Error + Send + Sync>),
}

/// How a worker does: what `GET /health` says (KIP-1017).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// The start is complete, with all connectors and tasks of [`Standalone::connector`], and requests are served.
    Healthy,
    /// The start is not complete.
    Starting,
    /// The start was complete, and requests are not served in time.
    Unhealthy,
    /// The worker gave up, and why: such a connector could not be created, the offsets cannot be read, or no client of
    /// Kafka can be made of the settings.
    Ended(String),
}

impl Standalone {
    pub(super) fn new(added: Vec<Plugin>, settings: Settings) -> Self {
        let raw = RawConfig::new(settings);
        Standalone { added, raw, connectors: Vec::new(), embedded: false }
    }

    /// Starts a Kafka broker in this process and uses it, whatever `bootstrap.servers` says. It keeps a little in memory:
    /// to test, not to keep data in.
    pub fn embedded_kafka(mut self) -> Self {
        self.embedded = true;
        self
    }

    /// Creates a connector at the start, as the files of the command line do. `settings` need no `name`.
    pub fn connector(mut self, name: &str, mut settings: Settings) -> Self {
        settings.insert("name".to_owned(), name.to_owned());
        let target = TargetState::Started;
        let file = format!("{name} of this program");
        self.connectors.push(CommandLineConnector { file, name: ConnectorName::new(name), settings, target });
        self
    }

    /// Starts the worker. When this returns, its REST API listens: at `listeners`, or at a free port of the loopback
    /// address where the settings have none. The rest of the start goes on in the worker's threads; [`Worker::health`]
    /// tells when it is complete. No log is begun and no signal listened to: both are the program's own. `ExecSource`
    /// and `ExecSink` run nothing here, since a worker starts its own program for that.
    ///
    /// # Errors
    /// What hinders it; then nothing runs.
    pub fn start(self) -> Result<Worker, StartError> {
        let Standalone { added, mut raw, connectors, embedded } = self;
        let registry = plugins::registry().with(&added)?;
        raw.set_default("listeners", "http://127.0.0.1:0");
        let broker = match embedded {
            true => Some(embedded::start(&mut raw, &connectors).map_err(system)?),
            false => None,
        };
        let bootstrap = broker.as_ref().map(|broker| broker.bootstrap_servers().to_owned());
        let config = StandaloneConfig::from_raw(&raw, &process_environment()).map_err(settings)?;
        let rest = &config.worker.rest;
        let listeners =
            HttpServer::bind(&assemble::listeners::configs(rest), assemble::listeners::limits(rest))
                .map_err(settings)?;
        let url = assemble::listeners::local_url(listeners.addresses());
        let mode = PlannedMode::Standalone { config: Box::new(config), command_line: connectors };
        let levels = Arc::new(Levels::new(LogLevel::Info));
        let plan = Plan { mode, registry, listeners, levels, embedded: broker, notifier: None };
        let worker = assemble::Worker::start(plan).map_err(|error| match error {
            assemble::StartError::Config(why) => settings(why),
            assemble::StartError::Client(why) => settings(why),
            assemble::StartError::System(_) | assemble::StartError::Rest(_) => system(error),
        })?;
        Ok(Worker { worker: Some(worker), url, bootstrap })
    }
}

fn settings(why: impl Into<Box<dyn Error + Send + Sync>>) -> StartError {
    StartError::Settings(why.into())
}

fn system(why: impl Into<Box<dyn Error + Send + Sync>>) -> StartError {
    StartError::System(why.into())
}

/// A worker that runs in this process. Dropping it stops it, as [`Worker::stop`] does.
#[derive(Debug)]
pub struct Worker {
    /// Taken when it ends.
    worker: Option<assemble::Worker>,
    url: String,
    bootstrap: Option<String>,
}

impl Worker {
    /// Begins a worker: takes the plug-ins that it has beside the built-in ones.
    pub fn builder() -> WorkerBuilder {
        WorkerBuilder::default()
    }

    /// Its REST API, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of its embedded broker, if it has one.
    pub fn bootstrap_servers(&self) -> Option<&str> {
        self.bootstrap.as_deref()
    }

    /// How it does. Waits for that at most for so long: a worker that starts answers once its start is complete.
    pub fn health(&self, timeout: Duration) -> Health {
        let Some(worker) = &self.worker else { return Health::Ended("it was stopped".to_owned()) };
        let deadline = Clock.deadline(timeout);
        loop {
            // Looked at between short questions: a worker that gave up never answers.
            const LOOK: Duration = Duration::from_millis(100);
            let left = deadline.left(Clock.now().instant);
            let state = worker.health(left.min(LOOK));
            if let Some(why) = worker.ended().and_then(given_up) {
                return Health::Ended(why);
            }
            let passed = deadline.passed(Clock.now().instant);
            match state {
                HealthState::Healthy => return Health::Healthy,
                HealthState::Starting if passed => return Health::Starting,
                HealthState::Unhealthy if passed => return Health::Unhealthy,
                HealthState::Starting | HealthState::Unhealthy => {}
            }
        }
    }

    /// Ends it in order: REST takes no more requests, tasks commit what they can, connectors end. Takes at most
    /// `task.shutdown.graceful.timeout.ms` and ten seconds more; what has not ended then is abandoned.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.stop();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

/// Why a worker ended that nobody has stopped.
fn given_up(ended: Ended) -> Option<String> {
    match ended {
        Ended::Signal(_) | Ended::Herder(Exit::Stopped) => None,
        Ended::ClientRefused(why) => Some(why.to_string()),
        Ended::Herder(
            Exit::ConnectorFailed(why) | Exit::OffsetsUnreadable(why) | Exit::GroupRefused(why),
        ) => Some(why),
    }
}
