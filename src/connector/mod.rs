//! The life of connectors: each has its calls made one after another, on threads of a pool, never on the tick thread.
//!
//! The herder says what is to happen; what happened comes back as a [`ConnectorEvent`].

mod life;
pub mod plugin_version;
mod strand;
pub mod validation;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::Settings;
use crate::api::error::ConnectError;
use crate::api::ids::{ConnectorName, Epoch};
use crate::api::registry::ConnectorClass;
use crate::config::providers::ConfigProviders;
use crate::stdx::pool::Pool;

use life::Life;
use strand::Strand;

/// The most tasks of a connector. Connectors make a configuration for each at once, and a number without a bound would end the
/// worker, and in a group one after another.
const TASKS_MAX: u32 = 10_000;

/// What a connector reports to its owner.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectorEvent {
    /// Which connector.
    pub name: ConnectorName,
    /// Which instance of it.
    pub epoch: Epoch,
    /// What happened.
    pub kind: ConnectorEventKind,
}

/// What happened to a connector.
#[derive(Debug, Clone, PartialEq)]
pub enum ConnectorEventKind {
    /// It runs.
    Started,
    /// It could not start, could not say its tasks, or reported an error of its own.
    Failed {
        /// Why, for people.
        trace: String,
    },
    /// The settings of its tasks, complete: `task.class` added, references to config providers put back.
    TaskConfigs(Vec<Settings>),
    /// It wants to be asked for its tasks again.
    ReconfigurationRequested,
    /// It ended.
    Stopped,
}

/// Where connectors report to. Called on their threads; may block for as long as the owner's inbox is full.
pub type ConnectorEvents = Arc<dyn Fn(ConnectorEvent) + Send + Sync>;

/// The connectors that run here. Owned by the tick thread; no call blocks.
pub struct Connectors {
    pool: Pool,
    providers: Arc<ConfigProviders>,
    events: ConnectorEvents,
    running: BTreeMap<ConnectorName, (Epoch, Strand<Life>)>,
    abandoned: usize,
}

impl Connectors {
    /// None yet. `pool` runs the code of connectors.
    pub fn new(pool: Pool, providers: Arc<ConfigProviders>, events: ConnectorEvents) -> Self {
        Connectors { pool, providers, events, running: BTreeMap::new(), abandoned: 0 }
    }

    /// Starts an instance; ends in `Started` or `Failed`. An earlier one must have ended or been abandoned.
    ///
    /// A call for which no thread is free is not made. Here and below, what that means is returned and not reported:
    /// a report waits for room in the inbox, which only the calling thread can make.
    #[must_use]
    pub fn start(
        &mut self,
        name: ConnectorName,
        epoch: Epoch,
        class: ConnectorClass,
        settings: Settings,
    ) -> Option<ConnectorEvent> {
        let events = Arc::clone(&self.events);
        let life = Life::new(name.clone(), epoch, class, settings, Arc::clone(&self.providers), events);
        let strand = Strand::new(self.pool.clone(), life);
        let started = strand.run(Life::start);
        self.running.insert(name.clone(), (epoch, strand));
        started.err().map(|_| no_thread(&name, epoch))
    }

    /// Asks an instance for its tasks; ends in `TaskConfigs` or `Failed`.
    #[must_use]
    pub fn make_task_configs(&self, name: &ConnectorName, epoch: Epoch) -> Option<ConnectorEvent> {
        let asked = self.strand(name, epoch)?.run(Life::make_task_configs);
        asked.err().map(|_| no_thread(name, epoch))
    }

    /// Ends an instance; ends in `Stopped`, after all calls that were asked for before. Without a thread for it, it
    /// counts as stopped, and its `stop` is not called.
    #[must_use]
    pub fn stop(&mut self, name: &ConnectorName, epoch: Epoch) -> Option<ConnectorEvent> {
        let stopping = self.strand(name, epoch)?.run(Life::stop);
        self.running.remove(name);
        let kind = ConnectorEventKind::Stopped;
        stopping.err().map(|_| ConnectorEvent { name: name.clone(), epoch, kind })
    }

    /// Notes that nobody waits for the end of an instance any more; its thread stays until its code returns.
    pub fn abandon(&mut self, name: &ConnectorName) {
        self.running.remove(name);
        self.abandoned += 1;
        log::warn!("{} connectors were abandoned since the start of the worker", self.abandoned);
    }

    fn strand(&self, name: &ConnectorName, epoch: Epoch) -> Option<&Strand<Life>> {
        self.running.get(name).filter(|(running, _)| *running == epoch).map(|(_, strand)| strand)
    }
}

/// The news of a connector that no thread was free for.
fn no_thread(name: &ConnectorName, epoch: Epoch) -> ConnectorEvent {
    let error = ConnectError::connect(
        "No thread is free to run the connector: too many connectors hang, or the system has none",
    );
    log::error!("Connector {name} failed: {error}");
    let kind = ConnectorEventKind::Failed { trace: error.trace() };
    ConnectorEvent { name: name.clone(), epoch, kind }
}

impl std::fmt::Debug for Connectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connectors").field("running", &self.running.keys()).finish()
    }
}
