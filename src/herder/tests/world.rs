//! A herder and a fake outside on one thread: every call to a connector, a task or a validation ends at once and well,
//! unless the story has told it to hang or to fail. Time is what the story says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::api::Settings;
use crate::api::config_def::ConfigDef;
use crate::api::connector::{Connector, ConnectorPlugin};
use crate::api::ids::{ConnectorName, Epoch, TaskId, WorkerId};
use crate::api::registry::Registry;
use crate::api::source::{AlterOffsets, SourcePlugin, SourceTask};
use crate::connector::{ConnectorEvent, ConnectorEventKind};
use crate::health::StartupPhase;
use crate::herder::msg::{
    Answer, CommandLineConnector, Draft, Effect, Effects, Exit, HerderError, HerderEvent, OperationId,
    Request, StartTask, Wakeup, Written,
};
use crate::herder::view::{ConnectorInfo, Views};
use crate::herder::{Herder, HerderSettings, Random};
use crate::stdx::reply::{Pending, Reply, reply};
use crate::stdx::time::{Clock, Now};
use crate::store::config_state::TargetState;
use crate::store::config_write::ConfigWrite;
use crate::task::{TaskEvent, TaskEventKind};

/// How long a task may take to stop in these stories; a connector may take five seconds.
pub(super) const TASK_STOP: Duration = Duration::from_secs(3);

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Who is called: a connector or task by its printed name, one instance of it.
type Callee = (String, Epoch);

/// The herder and what surrounds it. Calls are named as in the log: `start c`, `tasks c`, `stop c-0`, `validate c`.
pub(super) struct World {
    herder: Herder,
    now: Instant,
    wakeup: Wakeup,
    views: Views,
    inbox: VecDeque<HerderEvent>,
    /// Calls that were asked for and have not ended, one after another for each callee.
    calls: BTreeMap<Callee, VecDeque<Call>>,
    hanging: BTreeSet<String>,
    failing: BTreeSet<String>,
    log: Vec<String>,
    /// What was written and is not read back yet, while the story holds it.
    held_log: Option<Vec<HerderEvent>>,
    pub(super) phase: StartupPhase,
    pub(super) exits: Vec<Exit>,
    /// The settings each instance of a connector was started with.
    made_from: BTreeMap<Callee, Settings>,
    /// What each started task was started with, the last start of each.
    pub(super) started: BTreeMap<String, StartTask>,
}

/// A call on its way, and what it leads to if nothing is told of it.
struct Call {
    name: String,
    good: HerderEvent,
    bad: HerderEvent,
}

impl World {
    /// A worker that has just begun.
    pub(super) fn starting(command_line: &[&str]) -> World {
        let command_line = command_line.iter().map(|name| {
            let settings = settings_of(name, &[]);
            let (file, target) = (format!("{name}.properties"), TargetState::Started);
            CommandLineConnector { file, name: (*name).into(), settings, target }
        });
        World::new(command_line.collect(), TASK_STOP)
    }

    pub(super) fn new(command_line: Vec<CommandLineConnector>, task_stop_timeout: Duration) -> World {
        let settings = HerderSettings {
            worker: WorkerId::new("worker:8083"),
            registry: registry(),
            task_stop_timeout,
            group: None,
            random: Random(Arc::new(|_| Ok(()))),
        };
        World {
            herder: Herder::new(settings, command_line, Clock.now()),
            now: Clock.now().instant,
            wakeup: None,
            views: Views::default(),
            inbox: VecDeque::new(),
            calls: BTreeMap::new(),
            hanging: BTreeSet::new(),
            failing: BTreeSet::new(),
            log: Vec::new(),
            held_log: None,
            phase: StartupPhase::Starting,
            exits: Vec::new(),
            made_from: BTreeMap::new(),
            started: BTreeMap::new(),
        }
    }

    /// A worker that is ready and has no connector.
    pub(super) fn ready() -> World {
        let mut world = World::starting(&[]);
        world.open_stores();
        world
    }

    /// A ready worker with a running connector of that name and so many tasks.
    pub(super) fn running(name: &str, tasks: u32) -> World {
        let mut world = World::ready();
        let put = world.put(name, &[("tasks.max", &tasks.to_string())]);
        assert!(matches!(put.poll(), Some(Ok(_))), "{name} does not start");
        world.log();
        world
    }

    pub(super) fn open_stores(&mut self) {
        self.event(HerderEvent::KafkaReached);
        self.event(HerderEvent::OffsetsRead(Ok(())));
    }

    /// Calls of that name do not end until they are let go.
    pub(super) fn hang(&mut self, call: &str) {
        self.hanging.insert(call.to_owned());
    }

    /// Calls of that name end badly.
    pub(super) fn fail(&mut self, call: &str) {
        self.failing.insert(call.to_owned());
    }

    /// Calls of that name end well again; those that hang end now.
    pub(super) fn let_go(&mut self, call: &str) {
        self.hanging.remove(call);
        self.failing.remove(call);
        self.run();
    }

    /// Time passes; the herder is woken as it asked for.
    pub(super) fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(at) = self.wakeup.filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.event(HerderEvent::Wake);
        }
        self.now = end;
    }

    pub(super) fn event(&mut self, event: HerderEvent) {
        self.inbox.push_back(event);
        self.run();
    }

    pub(super) fn ask<T>(&mut self, request: impl FnOnce(Reply<Answer<T>>) -> Request) -> Pending<Answer<T>> {
        let (reply, pending) = reply();
        self.event(HerderEvent::Request(request(reply)));
        pending
    }

    pub(super) fn health(&mut self) -> Pending<Answer<()>> {
        self.ask(Request::Health)
    }

    pub(super) fn create(
        &mut self,
        name: &str,
        target: Option<TargetState>,
    ) -> Pending<Answer<ConnectorInfo>> {
        let draft = draft_of(name, &[]);
        self.ask(|reply| Request::Create { name: name.into(), draft, target, reply })
    }

    pub(super) fn put(
        &mut self,
        name: &str,
        settings: &[(&str, &str)],
    ) -> Pending<Answer<(Written, ConnectorInfo)>> {
        let draft = draft_of(name, settings);
        self.ask(|reply| Request::Put { name: name.into(), draft, reply })
    }

    pub(super) fn target(&mut self, name: &str, state: TargetState) -> Pending<Answer<()>> {
        self.ask(|reply| Request::SetTarget(name.into(), state, reply))
    }

    pub(super) fn stop(&mut self, name: &str) -> Pending<Answer<()>> {
        self.ask(|reply| Request::Stop(name.into(), reply))
    }

    pub(super) fn delete(&mut self, name: &str) -> Pending<Answer<()>> {
        self.ask(|reply| Request::Delete(name.into(), reply))
    }

    pub(super) fn restart(&mut self, name: &str) -> Pending<Answer<()>> {
        self.ask(|reply| Request::Restart(name.into(), reply))
    }

    pub(super) fn restart_task(&mut self, name: &str, index: u32) -> Pending<Answer<()>> {
        let id = TaskId { connector: name.into(), index };
        self.ask(|reply| Request::RestartTask(id, reply))
    }

    /// A connector says from now on that it has so many tasks.
    pub(super) fn set_tasks(&mut self, name: &str, tasks: u32) {
        let key = (name.to_owned(), self.last_epoch(name));
        self.made_from.entry(key).and_modify(|settings| {
            settings.insert("tasks.max".to_owned(), tasks.to_string());
        });
    }

    /// The oldest instance of a callee that still has something to do gets it done, also what hangs.
    pub(super) fn end_oldest(&mut self, callee: &str) {
        let busy = |((name, _), calls): &(&Callee, &mut VecDeque<Call>)| name == callee && !calls.is_empty();
        let (_, calls) = self.calls.iter_mut().find(busy).expect("somebody hangs");
        self.inbox.extend(calls.drain(..).map(|call| call.good));
        self.run();
    }

    /// What is written is not read back until the log is released.
    pub(super) fn hold_log(&mut self) {
        self.held_log = Some(Vec::new());
    }

    /// All that is held is read back, but whoever wrote it is told that it failed.
    pub(super) fn release_log_too_late(&mut self, why: &HerderError) {
        let held = self.held_log.take().into_iter().flatten();
        let too_late = held.map(|mut event| {
            if let HerderEvent::ConfigWritten(_, outcome) = &mut event {
                *outcome = Err(why.clone());
            }
            event
        });
        self.inbox.extend(too_late);
        self.run();
    }

    pub(super) fn release_log(&mut self) {
        self.inbox.extend(self.held_log.take().into_iter().flatten());
        self.run();
    }

    /// How many the herder keeps that wait for a connector.
    pub(super) fn waiting(&self, name: &str) -> usize {
        self.herder.connectors[name].waiters.len()
    }

    /// How many changes wait to be written.
    pub(super) fn unwritten(&self) -> usize {
        self.herder.writes.len()
    }

    /// The running or last started instance of a connector reports something of itself.
    pub(super) fn connector_reports(&mut self, name: &str, kind: ConnectorEventKind) {
        let epoch = self.last_epoch(name);
        self.event(HerderEvent::Connector(ConnectorEvent { name: name.into(), epoch, kind }));
    }

    /// The last started instance of a task reports something of itself.
    pub(super) fn task_reports(&mut self, name: &str, index: u32, kind: TaskEventKind) {
        let id = TaskId { connector: name.into(), index };
        let epoch = self.last_epoch(&id.to_string());
        self.event(HerderEvent::Task(TaskEvent { id, epoch, kind }));
    }

    /// What was called since the last look, in order.
    pub(super) fn log(&mut self) -> String {
        std::mem::take(&mut self.log).join(", ")
    }

    /// What is published of a connector: its state and those of its tasks, e.g. `RUNNING 0:FAILED`.
    pub(super) fn status(&self, name: &str) -> String {
        let Some(view) = self.views.get(name) else { return "gone".to_owned() };
        let Some(status) = &view.status else { return "unknown".to_owned() };
        let word = |state: &dyn std::fmt::Debug| format!("{state:?}").to_uppercase();
        let tasks = status.tasks.iter().map(|(index, task)| format!(" {index}:{}", word(&task.state)));
        std::iter::once(word(&status.connector.state)).chain(tasks).collect()
    }

    /// How many tasks are published as configured.
    pub(super) fn tasks(&self, name: &str) -> usize {
        self.views.get(name).map_or(0, |view| view.info.tasks.len())
    }

    /// The topics published of a connector.
    pub(super) fn topics(&self, name: &str) -> Vec<String> {
        let view = self.views.get(name);
        view.iter().flat_map(|view| &view.topics).map(|topic| topic.to_string()).collect()
    }

    pub(super) fn herder(&self) -> &Herder {
        &self.herder
    }

    /// What the herder says it waits for.
    pub(super) fn stage(&self) -> String {
        self.herder.stage().map_or_else(|| "nothing".to_owned(), |stage| stage.to_string())
    }

    fn last_epoch(&self, callee: &str) -> Epoch {
        let epochs = self.calls.keys().filter(|(name, _)| name == callee).map(|(_, epoch)| *epoch);
        epochs.max().unwrap_or_else(|| panic!("{callee} was never started"))
    }

    /// Turns of the herder and calls of the outside, until nothing is left to do but what hangs.
    fn run(&mut self) {
        loop {
            while let Some(event) = self.inbox.pop_front() {
                self.turn(event);
            }
            let hanging = &self.hanging;
            let free =
                |calls: &&mut VecDeque<Call>| calls.front().is_some_and(|call| !hanging.contains(&call.name));
            let Some(call) = self.calls.values_mut().find(free).and_then(VecDeque::pop_front) else { return };
            let fails = self.failing.contains(&call.name);
            self.inbox.push_back(if fails { call.bad } else { call.good });
        }
    }

    fn turn(&mut self, event: HerderEvent) {
        let mut effects = Effects::default();
        self.wakeup =
            self.herder.tick(Now { instant: self.now, wall: Timestamp::UNIX_EPOCH }, event, &mut effects);
        let mut echo = VecDeque::new();
        for effect in effects.drain() {
            self.carry_out(effect, &mut echo);
        }
        effects.give_answers();
        while let Some(event) = echo.pop_back() {
            self.inbox.push_front(event);
        }
    }

    fn carry_out(&mut self, effect: Effect, echo: &mut VecDeque<HerderEvent>) {
        match effect {
            Effect::Phase(phase) => self.phase = phase,
            Effect::Exit(exit) => self.exits.push(exit),
            Effect::Publish(name, view) => self.views.publish(name, view),
            Effect::WriteConfig(write, operation) => {
                let name = written(&write);
                self.note(&name);
                let events = if self.failing.contains(&name) {
                    let why = HerderError::Failed(write.failure().to_owned());
                    operation
                        .map(|operation| HerderEvent::ConfigWritten(operation, Err(why)))
                        .into_iter()
                        .collect()
                } else {
                    HerderEvent::of_write_in_memory(&write, operation)
                };
                match &mut self.held_log {
                    Some(held) => held.extend(events),
                    None => echo.extend(events),
                }
            }
            Effect::Validate(operation, draft) => {
                let settings: Settings =
                    draft.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
                let name = settings.get("name").cloned().unwrap_or_default();
                let bad = HerderError::BadRequest(format!("{name} is invalid"));
                let bad = HerderEvent::Validated(operation, Err(bad));
                let good = HerderEvent::Validated(operation, Ok(settings));
                self.note(&format!("validate {name}"));
                self.call(format!("validate {name}"), format!("{operation:?}"), Epoch::default(), good, bad);
            }
            Effect::ModifyOffsets(operation, name, ..) => self.call_for_offsets(operation, &name),
            Effect::ReadOffsets(_, _, _, reply) => drop(reply),
            Effect::StartConnector { name, epoch, settings, .. } => {
                self.call_connector("start", &name, epoch, ConnectorEventKind::Started);
                self.made_from.insert((name.to_string(), epoch), settings);
            }
            Effect::MakeTaskConfigs(name, epoch) => {
                let made = task_configs(&self.made_from[&(name.to_string(), epoch)]);
                self.call_connector("tasks", &name, epoch, ConnectorEventKind::TaskConfigs(made));
            }
            Effect::StopConnector(name, epoch) => {
                self.call_connector("stop", &name, epoch, ConnectorEventKind::Stopped);
            }
            Effect::AbandonConnector(name, _) => self.note(&format!("abandon {name}")),
            Effect::StartTask(task) => {
                let kind = if task.paused { TaskEventKind::Paused } else { TaskEventKind::Started };
                self.started.insert(task.id.to_string(), (*task).clone());
                self.call_task("start", &task.id, task.epoch, kind);
            }
            Effect::PauseTask(id, epoch) => self.call_task("pause", &id, epoch, TaskEventKind::Paused),
            Effect::ResumeTask(id, epoch) => self.call_task("resume", &id, epoch, TaskEventKind::Resumed),
            Effect::StopTask(id, epoch) => self.call_task("stop", &id, epoch, TaskEventKind::Stopped),
            Effect::AbandonTask(id, _) => self.note(&format!("abandon {id}")),
            Effect::TellTopics(id, _) => self.note(&format!("topics {id}")),
            Effect::Member(_)
            | Effect::CatchUp(..)
            | Effect::WriteStatus(_)
            | Effect::WriteStatusRecords(_)
            | Effect::SubmitTasks(_)
            | Effect::ClaimConfigTopic(_)
            | Effect::FenceTasks(_)
            | Effect::AskForFencing(_)
            | Effect::SetLevel(..) => panic!("a worker that is alone wants nothing of a group"),
        }
    }

    fn call_connector(&mut self, what: &str, name: &ConnectorName, epoch: Epoch, good: ConnectorEventKind) {
        let event = |kind| HerderEvent::Connector(ConnectorEvent { name: name.clone(), epoch, kind });
        let trace = format!("cannot {what} {name}\nbecause");
        let bad = event(ConnectorEventKind::Failed { trace });
        self.note(&format!("{what} {name}"));
        self.call(format!("{what} {name}"), name.to_string(), epoch, event(good), bad);
    }

    fn call_for_offsets(&mut self, operation: OperationId, name: &ConnectorName) {
        let good = HerderEvent::OffsetsModified(operation, Ok(AlterOffsets::Checked));
        let bad = HerderEvent::OffsetsModified(operation, Err(HerderError::Failed("cannot".to_owned())));
        self.note(&format!("offsets {name}"));
        self.call(format!("offsets {name}"), format!("{operation:?}"), Epoch::default(), good, bad);
    }

    fn call_task(&mut self, what: &str, id: &TaskId, epoch: Epoch, good: TaskEventKind) {
        let event = |kind| HerderEvent::Task(TaskEvent { id: id.clone(), epoch, kind });
        let bad = event(TaskEventKind::Failed { trace: format!("cannot {what} {id}") });
        self.note(&format!("{what} {id}"));
        self.call(format!("{what} {id}"), id.to_string(), epoch, event(good), bad);
    }

    fn call(&mut self, name: String, callee: String, epoch: Epoch, good: HerderEvent, bad: HerderEvent) {
        let calls = self.calls.entry((callee, epoch)).or_default();
        calls.push_back(Call { name, good, bad });
    }

    fn note(&mut self, what: &str) {
        self.log.push(what.to_owned());
    }
}

/// The settings of a connector of the fake source, with others on top.
pub(super) fn settings_of(name: &str, more: &[(&str, &str)]) -> Settings {
    let first = [("name", name), ("connector.class", CLASS), ("topic", "t")];
    let all = first.iter().chain(more);
    all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn draft_of(name: &str, more: &[(&str, &str)]) -> Draft {
    settings_of(name, more).into_iter().map(|(key, value)| (key, Some(value))).collect()
}

/// As many tasks as `tasks.max` says, each with the topic.
fn task_configs(settings: &Settings) -> Vec<Settings> {
    let count = settings.get("tasks.max").map_or(1, |text| text.parse().unwrap());
    let task = |index: u32| {
        Settings::from([("topic".to_owned(), settings["topic"].clone()), ("n".to_owned(), index.to_string())])
    };
    (0..count).map(task).collect()
}

/// A write as the log shows it.
fn written(write: &ConfigWrite) -> String {
    match write {
        ConfigWrite::Connector { name, .. } => format!("write {name}"),
        ConfigWrite::Removed(name) => format!("remove {name}"),
        ConfigWrite::Tasks { name, tasks } => format!("write {} tasks of {name}", tasks.len()),
        ConfigWrite::Stopped(name) => format!("write 0 tasks of {name}, write {name} Stopped"),
        ConfigWrite::Target { name, state } => format!("write {name} {state:?}"),
        ConfigWrite::SessionKey(_)
        | ConfigWrite::TaskCount { .. }
        | ConfigWrite::Restart { .. }
        | ConfigWrite::LoggerLevel { .. } => panic!("nobody writes {write:?} alone"),
    }
}

/// Fails the test unless the answer is there and good.
pub(super) fn good<T: std::fmt::Debug>(pending: &Pending<Answer<T>>) -> T {
    match pending.poll() {
        Some(Ok(answer)) => answer,
        other => panic!("instead of a good answer: {other:?}"),
    }
}

/// Fails the test unless the answer is there and bad.
pub(super) fn bad<T: std::fmt::Debug>(pending: &Pending<Answer<T>>) -> HerderError {
    match pending.poll() {
        Some(Err(why)) => why,
        other => panic!("instead of an error: {other:?}"),
    }
}

/// Fails the test if there is an answer.
pub(super) fn none<T: std::fmt::Debug>(pending: &Pending<Answer<T>>) {
    if let Some(answer) = pending.poll() {
        panic!("answered too early: {answer:?}");
    }
}

/// The class of the connectors in these stories.
pub(super) const CLASS: &str = "fake.FakeSourceConnector";

/// What is registered: the fake source.
pub(super) fn registry() -> Arc<Registry> {
    let mut registry = Registry::new();
    registry.add_source(FakeSource);
    Arc::new(registry)
}

pub(super) struct FakeSource;

impl ConnectorPlugin for FakeSource {
    fn class(&self) -> &'static str {
        CLASS
    }

    fn task_class(&self) -> &'static str {
        "fake.FakeSourceTask"
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::default()
    }

    fn connector(&self) -> Box<dyn Connector> {
        unreachable!("the fake outside runs nothing")
    }
}

impl SourcePlugin for FakeSource {
    fn task(&self) -> Box<dyn SourceTask> {
        unreachable!("the fake outside runs nothing")
    }
}
