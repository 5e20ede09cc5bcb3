//! The herder: all decisions of the worker, made in one place, one event after another.
//!
//! Begin reading at [`Herder::tick`]. It takes an event, changes its state, and says in [`Effects`] what must happen
//! outside: no IO, no clock, no thread is touched here, so that a test can run many herders in one thread. What was
//! asked for comes back as another event.
//!
//! What is wanted is in `ConfigState`; what runs is in one `ConnectorEntry` for each connector; `reconcile` brings
//! the second to the first. Standalone mode is a membership of one: all that is configured runs here.

pub mod auto_restart;
mod cluster_requests;
mod config_changes;
mod connector_entry;
mod events;
mod fencing;
mod fencing_msg;
mod leading;
mod lost_connectors;
mod membership;
pub mod meter;
pub mod msg;
mod offsets;
mod operations;
mod rebalance;
mod reconcile;
mod requests;
pub mod session_key;
mod startup;
mod statuses;
#[cfg(test)]
mod tests;
pub mod tick_thread;
pub mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use auto_restart::AutoRestart;
use connector_entry::{ConnectorEntry, Instance, Waiter};
use membership::{Group, Membership};
pub use membership::{GroupSettings, Holdings};
use msg::{Answer, Effect, Effects, Exit, HerderError, HerderEvent, OperationId, Request, Wakeup};
use operations::Operation;
use reconcile::Wanted;
use startup::Startup;
use view::{ConnectorInfo, ConnectorKind, ConnectorView};

use crate::api::ids::{ConnectorName, Epoch, Generation, TaskId, WorkerId};
use crate::api::registry::{ConnectorClass, Registry};
use crate::health::{Stage, StartupPhase};
use crate::stdx::reply::Reply;
use crate::stdx::time::{Deadline, Now};
use crate::store::config_state::{ConfigState, TargetState};
use crate::store::config_write::ConfigWrite;

/// What does not change while the worker runs.
#[derive(Debug, Clone)]
pub struct HerderSettings {
    /// This worker.
    pub worker: WorkerId,
    /// The plug-ins it has.
    pub registry: Arc<Registry>,
    /// `task.shutdown.graceful.timeout.ms`: how long a task may take to stop before it is abandoned.
    pub task_stop_timeout: Duration,
    /// The group that the worker belongs to, in distributed mode.
    pub group: Option<GroupSettings>,
    /// Where session keys come from.
    pub random: Random,
}

/// Fills bytes with what nobody can guess; a test has one that is the same each time.
#[derive(Clone)]
pub struct Random(pub Arc<FillWithRandom>);

/// Fills bytes, or says why it cannot.
pub type FillWithRandom = dyn Fn(&mut [u8]) -> Result<(), String> + Send + Sync;

impl Random {
    fn bytes(&self, count: usize) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; count];
        (self.0)(&mut bytes)?;
        Ok(bytes)
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random")
    }
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
    membership: Membership,
    connectors: BTreeMap<ConnectorName, ConnectorEntry>,
    /// Connectors about which something changed in this turn.
    changed: BTreeSet<ConnectorName>,
    /// When to look at which connector again; may hold moments that no longer matter.
    deadlines: BTreeSet<(Deadline, ConnectorName)>,
    /// That of the instance that was started last, of whatever connector or task.
    last_epoch: Epoch,
    operations: BTreeMap<OperationId, Operation>,
    last_operation: OperationId,
    /// The write of the config store that is on its way.
    writing: Option<OperationId>,
    /// Those that come after it, all of them wanted.
    writes: VecDeque<(OperationId, ConfigWrite)>,
    /// Health requests that cannot be answered yet.
    probes: Vec<Reply<Answer<()>>>,
    /// What has failed and is to start again by itself.
    auto_restart: AutoRestart,
}

impl Herder {
    /// A worker at its very beginning, with the connectors that its command line names.
    pub fn new(settings: HerderSettings, command_line: Vec<msg::CommandLineConnector>, now: Now) -> Self {
        let membership = match settings.group.clone() {
            None => Membership::Alone,
            Some(group) => Membership::Group(Box::new(Group::new(group, now.instant))),
        };
        Herder {
            settings,
            membership,
            phase: Phase::Starting(Startup::new(command_line)),
            configs: ConfigState::default(),
            connectors: BTreeMap::new(),
            changed: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            last_epoch: Epoch::default(),
            operations: BTreeMap::new(),
            last_operation: OperationId::default(),
            writing: None,
            writes: VecDeque::new(),
            probes: Vec::new(),
            auto_restart: AutoRestart::default(),
        }
    }

    /// One turn. Everything that must happen outside is in `effects`, in order; the result says when the next turn is
    /// due even if nothing happens.
    pub fn tick(&mut self, now: Now, event: HerderEvent, effects: &mut Effects) -> Wakeup {
        self.handle(now, event, effects);
        self.notice_deadlines(now.instant);
        self.settle(now, effects);
        let own = self.deadlines.first().map(|(deadline, _)| deadline.instant());
        let group = match &self.membership {
            Membership::Group(group) if self.may_run() => group.next_deadline(now),
            Membership::Alone | Membership::Group(_) => None,
        };
        own.into_iter().chain(group).min()
    }

    /// What the worker waits for; `None` if for nothing but the next request.
    pub fn stage(&self) -> Option<Stage> {
        match &self.phase {
            Phase::Starting(startup) => match &self.membership {
                Membership::Alone => Some(startup.stage()),
                Membership::Group(group) => group.stage().or(Some(Stage::AwaitingStartup)),
            },
            Phase::Ready => match &self.membership {
                Membership::Alone => None,
                Membership::Group(group) => group.stage(),
            },
            Phase::Stopping | Phase::Stopped => Some(Stage::ShuttingDown),
        }
    }

    /// What the leader of the group gave this worker, as it says when it joins the next time; `None` if it is alone.
    pub fn holdings(&self) -> Option<&Holdings> {
        match &self.membership {
            Membership::Alone => None,
            Membership::Group(group) => Some(&group.held),
        }
    }

    /// The last generation whose part of the work this worker has taken; `None` if it never did, or is alone.
    pub fn generation(&self) -> Option<Generation> {
        match &self.membership {
            Membership::Alone => None,
            Membership::Group(group) => group.last_completed,
        }
    }

    fn handle(&mut self, now: Now, event: HerderEvent, effects: &mut Effects) {
        match event {
            HerderEvent::Request(request) => self.take_request(request, effects),
            HerderEvent::KafkaReached => self.kafka_reached(),
            HerderEvent::OffsetsRead(result) => self.offsets_read(result, effects),
            HerderEvent::Validated(operation, outcome) => self.validated(operation, outcome, effects),
            HerderEvent::ConfigRead(records, offset) => self.config_read(now, &records, offset, effects),
            HerderEvent::ConfigWritten(operation, outcome) => {
                self.config_written(now, operation, outcome, effects);
            }
            HerderEvent::Connector(event) => self.connector_event(now, event, effects),
            HerderEvent::Task(event) => self.task_event(now, event, effects),
            HerderEvent::Topics(event) => self.topics_event(event),
            HerderEvent::StatusRead(records) => self.statuses_read(records, effects),
            HerderEvent::StatusUnwritten(write) => self.status_unwritten(write, effects),
            HerderEvent::Group(event) => self.group_event(now, event, effects),
            HerderEvent::CaughtUp(operation, outcome) => self.caught_up(now, operation, outcome, effects),
            HerderEvent::Claimed(operation, outcome) => self.claimed(now, operation, outcome),
            HerderEvent::ClaimLost => self.claim_lost(),
            HerderEvent::OffsetsModified(operation, outcome) => {
                self.offsets_modified(operation, outcome, effects)
            }
            HerderEvent::TaskAsks(question) => self.task_asks(question),
            HerderEvent::TasksFenced(operation, outcome) => self.tasks_fenced(operation, outcome, effects),
            HerderEvent::Stop => self.begin_stop(effects),
            HerderEvent::Wake => {}
        }
    }

    fn take_request(&mut self, request: Request, effects: &mut Effects) {
        let request = match &mut self.phase {
            Phase::Starting(startup) => startup.hold(request, effects),
            Phase::Ready => Some(request),
            // Dropped: its reply says that the worker is shutting down.
            Phase::Stopping | Phase::Stopped => None,
        };
        if let Some(request) = request.and_then(|request| self.membership.hold(request, effects)) {
            self.serve(request, effects);
        }
    }

    fn begin_stop(&mut self, effects: &mut Effects) {
        if !self.may_run() {
            return;
        }
        self.phase = Phase::Stopping;
        effects.push(Effect::Phase(StartupPhase::Stopping));
        self.operations.clear();
        self.writes.clear();
        self.probes.clear();
        if let Some(group) = self.membership.group() {
            group.waiting.clear();
            group.asking.clear();
            group.fencings.clear();
            group.unread.clear();
        }
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
    fn settle(&mut self, now: Now, effects: &mut Effects) {
        loop {
            while let Some(name) = self.changed.pop_first() {
                // A task that has ended is told of before it is forgotten.
                self.write_statuses(&name, effects);
                self.reconcile(now.instant, &name, effects);
                self.answer_waiters(&name, effects);
                self.write_statuses(&name, effects);
                self.publish(&name, effects);
                self.forget_if_gone(&name);
                self.restart_failed(now.instant, &name);
            }
            if !self.go_on_with_group(now, effects)
                && !self.serve_waiting(effects)
                && !self.hear_tasks(effects)
            {
                break;
            }
        }
        self.fulfil_duties(now, effects);
        self.go_on_with_start(effects);
        self.answer_probes(now, effects);
        if matches!(self.phase, Phase::Stopping) && self.connectors.values().all(ConnectorEntry::is_absent) {
            self.phase = Phase::Stopped;
            effects.push(Effect::Exit(Exit::Stopped));
        }
    }

    /// Answers health requests, if everything else would be served.
    fn answer_probes(&mut self, now: Now, effects: &mut Effects) {
        if self.probes.is_empty() || !matches!(self.phase, Phase::Ready) {
            return;
        }
        let serves = match &mut self.membership {
            Membership::Alone => true,
            Membership::Group(group) => {
                group.look_for_contact(now, effects);
                group.serves(now)
            }
        };
        if serves {
            for probe in self.probes.drain(..) {
                effects.answer(probe, Ok(()));
            }
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
            share: self.membership.share_of(name),
            may_run,
            restarts: self.auto_restart.is_enabled(settings),
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
        Some(ConnectorView { status: self.status(name), info, topics: self.topics_of(name) })
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
