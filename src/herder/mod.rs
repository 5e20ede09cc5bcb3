//! The herder: all decisions of the worker, made in one place, one event after another.
//!
//! Begin reading at [`Herder::tick`]. It takes an event, changes its state, and says in [`Effects`] what must happen
//! outside: no IO, no clock, no thread is touched here, so that a test can run many herders in one thread. What was
//! asked for comes back as another event.
//!
//! What is wanted is in `ConfigState`; what runs is in one `ConnectorEntry` for each connector; `reconcile` brings
//! the second to the first. Standalone mode is a membership of one: all that is configured runs here.

mod config_changes;
mod connector_entry;
mod events;
pub mod msg;
mod offsets;
mod operations;
mod reconcile;
mod requests;
pub mod session_key;
mod startup;
#[cfg(test)]
mod tests;
pub mod tick_thread;
pub mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use connector_entry::{ConnectorEntry, Instance, Waiter};
use msg::{Answer, Effect, Effects, Exit, HerderError, HerderEvent, OperationId, Request, Wakeup};
use operations::Operation;
use reconcile::Wanted;
use startup::Startup;
use view::{ConnectorInfo, ConnectorKind, ConnectorStatus, ConnectorView};

use crate::api::ids::{ConnectorName, Epoch, TaskId, WorkerId};
use crate::api::registry::{ConnectorClass, Registry};
use crate::health::{Stage, StartupPhase};
use crate::stdx::reply::Reply;
use crate::stdx::time::Deadline;
use crate::store::config_state::{ConfigState, TargetState};

/// What does not change while the worker runs.
#[derive(Debug, Clone)]
pub struct HerderSettings {
    /// This worker.
    pub worker: WorkerId,
    /// The plug-ins it has.
    pub registry: Arc<Registry>,
    /// `task.shutdown.graceful.timeout.ms`: how long a task may take to stop before it is abandoned.
    pub task_stop_timeout: Duration,
}

/// How far the worker has come, with what belongs to that.
#[derive(Debug)]
enum Phase {
    Starting(Startup),
    Ready,
    /// Connectors and tasks end; nothing starts any more.
    Stopping,
    /// All have ended or were abandoned, and the outside was told.
    Stopped,
}

/// The state of the worker. Owned by the tick thread.
#[derive(Debug)]
pub struct Herder {
    settings: HerderSettings,
    phase: Phase,
    configs: ConfigState,
    connectors: BTreeMap<ConnectorName, ConnectorEntry>,
    /// Connectors about which something changed in this turn.
    changed: BTreeSet<ConnectorName>,
    /// When to look at which connector again; may hold moments that no longer matter.
    deadlines: BTreeSet<(Deadline, ConnectorName)>,
    /// That of the instance that was started last, of whatever connector or task.
    last_epoch: Epoch,
    operations: BTreeMap<OperationId, Operation>,
    last_operation: OperationId,
    /// Health requests of a worker that is not ready.
    probes: Vec<Reply<Answer<()>>>,
}

impl Herder {
    /// A worker at its very beginning, with the connectors that its command line names.
    pub fn new(settings: HerderSettings, command_line: Vec<msg::CommandLineConnector>) -> Self {
        Herder {
            settings,
            phase: Phase::Starting(Startup::new(command_line)),
            configs: ConfigState::default(),
            connectors: BTreeMap::new(),
            changed: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            last_epoch: Epoch::default(),
            operations: BTreeMap::new(),
            last_operation: OperationId::default(),
            probes: Vec::new(),
        }
    }

    /// One turn. Everything that must happen outside is in `effects`, in order; the result says when the next turn is
    /// due even if nothing happens.
    pub fn tick(&mut self, now: Instant, event: HerderEvent, effects: &mut Effects) -> Wakeup {
        self.handle(now, event, effects);
        self.notice_deadlines(now);
        self.settle(now, effects);
        self.deadlines.first().map(|(deadline, _)| deadline.instant())
    }

    /// What the worker waits for; `None` if for nothing but the next request.
    pub fn stage(&self) -> Option<Stage> {
        match &self.phase {
            Phase::Starting(startup) => Some(startup.stage()),
            Phase::Ready => None,
            Phase::Stopping | Phase::Stopped => Some(Stage::ShuttingDown),
        }
    }

    fn handle(&mut self, now: Instant, event: HerderEvent, effects: &mut Effects) {
        match event {
            HerderEvent::Request(request) => self.take_request(request, effects),
            HerderEvent::KafkaReached => self.kafka_reached(effects),
            HerderEvent::OffsetsRead(result) => self.offsets_read(result, effects),
            HerderEvent::Validated(operation, outcome) => self.validated(operation, outcome, effects),
            HerderEvent::ConfigRead(records, offset) => self.config_read(&records, offset),
            HerderEvent::ConfigWritten(operation, outcome) => {
                self.config_written(now, operation, outcome, effects);
            }
            HerderEvent::Connector(event) => self.connector_event(now, event, effects),
            HerderEvent::Task(event) => self.task_event(event),
            HerderEvent::OffsetsModified(operation, outcome) => {
                self.offsets_modified(operation, outcome, effects)
            }
            HerderEvent::Stop => self.begin_stop(effects),
            HerderEvent::Wake => {}
        }
    }

    fn take_request(&mut self, request: Request, effects: &mut Effects) {
        match &mut self.phase {
            Phase::Starting(startup) => match startup.hold(request, effects) {
                Some(Request::Health(reply)) => {
                    self.probes.retain(Reply::is_wanted);
                    self.probes.push(reply);
                }
                Some(request) => self.serve(request, effects),
                None => {}
            },
            Phase::Ready => self.serve(request, effects),
            // Dropped: its reply says that the worker is shutting down.
            Phase::Stopping | Phase::Stopped => drop(request),
        }
    }

    fn begin_stop(&mut self, effects: &mut Effects) {
        if !self.may_run() {
            return;
        }
        self.phase = Phase::Stopping;
        effects.push(Effect::Phase(StartupPhase::Stopping));
        self.operations.clear();
        self.probes.clear();
        for entry in self.connectors.values_mut() {
            entry.waiters.clear();
        }
        self.changed.extend(self.connectors.keys().cloned());
    }

    fn notice_deadlines(&mut self, now: Instant) {
        while let Some((deadline, _)) = self.deadlines.first()
            && deadline.passed(now)
        {
            self.changed.extend(self.deadlines.pop_first().map(|(_, name)| name));
        }
    }

    /// Follows up on everything that changed, until nothing more can be done in this turn.
    fn settle(&mut self, now: Instant, effects: &mut Effects) {
        while let Some(name) = self.changed.pop_first() {
            self.reconcile(now, &name, effects);
            self.answer_waiters(&name, effects);
            self.publish(&name, effects);
            self.forget_if_gone(&name);
        }
        self.go_on_with_start(effects);
        if matches!(self.phase, Phase::Stopping) && self.connectors.values().all(ConnectorEntry::is_absent) {
            self.phase = Phase::Stopped;
            effects.push(Effect::Exit(Exit::Stopped));
        }
    }

    /// Whether anything may run at all.
    fn may_run(&self) -> bool {
        match self.phase {
            Phase::Starting(_) | Phase::Ready => true,
            Phase::Stopping | Phase::Stopped => false,
        }
    }

    fn reconcile(&mut self, now: Instant, name: &ConnectorName, effects: &mut Effects) {
        let may_run = self.may_run();
        let config = self.configs.connector(name);
        let entry = match self.connectors.get_mut(name) {
            Some(entry) => entry,
            None if config.is_some() => {
                self.connectors.entry(name.clone()).or_insert_with(ConnectorEntry::new)
            }
            None => return,
        };
        let settings = config.map_or(&entry.settings, |config| &config.settings);
        let class = class_of(&self.settings.registry, settings).cloned();
        let wanted = Wanted {
            name,
            config,
            class: class.as_ref(),
            may_run,
            worker: &self.settings.worker,
            task_stop_timeout: self.settings.task_stop_timeout,
            now,
        };
        if let Some(deadline) = entry.reconcile(&wanted, &mut self.last_epoch, effects) {
            self.deadlines.insert((deadline, name.clone()));
        }
    }

    fn publish(&self, name: &ConnectorName, effects: &mut Effects) {
        effects.push(Effect::Publish(name.clone(), self.view(name).map(Arc::new)));
    }

    fn forget_if_gone(&mut self, name: &ConnectorName) {
        let gone = |entry: &ConnectorEntry| entry.is_absent() && !entry.offsets_change;
        if !self.configs.contains(name) && self.connectors.get(name).is_some_and(gone) {
            self.connectors.remove(name);
        }
    }

    fn view(&self, name: &ConnectorName) -> Option<ConnectorView> {
        let info = self.info(name)?;
        let entry = self.connectors.get(name);
        let topics = entry.map(|entry| entry.topics.clone()).unwrap_or_default();
        Some(ConnectorView { status: self.status(name), info, topics })
    }

    fn info(&self, name: &ConnectorName) -> Option<ConnectorInfo> {
        let config = self.configs.connector(name)?;
        let tasks = (0..).zip(&config.tasks).map(|(index, _)| TaskId { connector: name.clone(), index });
        let kind =
            class_of(&self.settings.registry, &config.settings).map_or(ConnectorKind::Unknown, kind_of);
        Some(ConnectorInfo {
            name: name.clone(),
            config: config.settings.clone(),
            tasks: tasks.collect(),
            kind,
        })
    }

    fn status(&self, name: &ConnectorName) -> Option<ConnectorStatus> {
        let kind = self.info(name)?.kind;
        let entry = self.connectors.get(name)?;
        let connector = entry.status.clone()?;
        let tasks = entry.tasks.iter();
        let tasks = tasks.filter_map(|(index, task)| Some((*index, task.status.clone()?))).collect();
        Some(ConnectorStatus { name: name.clone(), connector, tasks, kind })
    }

    fn next_operation(&mut self, operation: Operation) -> OperationId {
        self.last_operation.0 += 1;
        self.operations.insert(self.last_operation, operation);
        self.last_operation
    }

    fn wait(&mut self, name: &ConnectorName, waiter: Waiter) {
        let entry = self.connectors.entry(name.clone()).or_insert_with(ConnectorEntry::new);
        entry.waiters.retain(Waiter::is_wanted);
        entry.waiters.push(waiter);
        self.changed.insert(name.clone());
    }
}

fn class_of<'a>(registry: &'a Registry, settings: &crate::api::Settings) -> Option<&'a ConnectorClass> {
    registry.connector(settings.get("connector.class")?)
}

fn kind_of(class: &ConnectorClass) -> ConnectorKind {
    match class {
        ConnectorClass::Source(_) => ConnectorKind::Source,
        ConnectorClass::Sink(_) => ConnectorKind::Sink,
    }
}

/// Whether the connector itself has come to rest: runs, failed, or is not to run.
fn is_settled(entry: &ConnectorEntry, target: TargetState) -> bool {
    match entry.instance {
        Instance::Running(_) | Instance::Failed(_) | Instance::Classless(_) => true,
        Instance::Absent => target != TargetState::Started,
        Instance::Starting(_) | Instance::Stopping(_) => false,
    }
}

fn not_found(name: &ConnectorName) -> HerderError {
    HerderError::NotFound(format!("Connector {name} not found"))
}
