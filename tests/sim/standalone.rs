//! One worker in standalone mode: what surrounds its herder, and what must hold after every turn and in the end.

mod checks;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use herdsman::api::Settings;
use herdsman::api::ids::{ConnectorName, Epoch, WorkerId};
use herdsman::api::source::AlterOffsets;
use herdsman::connector::{ConnectorEvent, ConnectorEventKind};
use herdsman::health::StartupPhase;
use herdsman::herder::msg::{
    CommandLineConnector, ConnectorOffsets, Effect, Effects, Exit, HerderError, HerderEvent, OperationId,
};
use herdsman::herder::view::ConnectorView;
use herdsman::herder::{Herder, HerderSettings, Random as SessionRandom};
use herdsman::stdx::time::{Clock, Now};
use herdsman::store::config_state::{ConfigState, TargetState};
use herdsman::store::config_write::ConfigWrite;
use herdsman::task::{TaskEvent, TaskEventKind};
use jiff::Timestamp;

use crate::clients::{self, Client};
use crate::fakes;
use crate::instances::{Call, Instances, Told, Who};
use crate::random::Random;
use crate::schedule::Schedule;
use crate::trace::{self, Trace};

/// More turns than that in one simulation: the herder runs in circles.
const TURNS_MAX: usize = 20_000;
const TASK_STOP: Duration = Duration::from_secs(5);

/// What comes to pass.
enum Coming {
    Event(HerderEvent),
    /// Something of the log of the configuration.
    Read(HerderEvent),
    /// A call of an instance ends.
    Ends(Who, Epoch, Ending),
    Validated(OperationId, Settings),
    OffsetsModified(OperationId, ConnectorName),
    /// A client asks something.
    Client,
    /// A connector wants other tasks, or an instance fails by itself.
    Trouble,
    /// The clock jumps.
    Jump,
}

/// A call that ends.
struct Ending {
    call: Call,
    /// The outside world as the call began.
    mood: u64,
}

/// The worker with all that surrounds it.
struct Sim<'a> {
    random: Random,
    trace: &'a Trace,
    schedule: Schedule<Coming>,
    start: Instant,
    herder: Herder,
    wakeup: Option<Instant>,
    turns: usize,
    instances: Instances,
    /// The outside world of each connector.
    moods: BTreeMap<ConnectorName, u64>,
    /// What was written and read, folded.
    configs: ConfigState,
    /// How much was written and not read, and when the last of it will be.
    unread: usize,
    log_end: Duration,
    views: BTreeMap<ConnectorName, Arc<ConnectorView>>,
    clients: Vec<Client>,
    /// Connectors whose offsets are being changed.
    changing: BTreeSet<ConnectorName>,
    stores: [bool; 2],
    phase: StartupPhase,
    exits: Vec<Exit>,
}

/// Lives through one seed.
pub(crate) fn run(seed: u64, trace: &Trace) {
    let mut sim = Sim::new(seed, trace);
    sim.plan();
    sim.run_dry();
    sim.check_quiet();
    sim.deliver(HerderEvent::Stop);
    sim.run_dry();
    sim.check_end();
}

impl<'a> Sim<'a> {
    fn new(seed: u64, trace: &'a Trace) -> Self {
        let mut random = Random::new(seed);
        let command_line = clients::NAMES.into_iter().map(ConnectorName::from).filter_map(|name| {
            random.percent(15).then(|| CommandLineConnector {
                file: format!("{name}.properties"),
                settings: clients::settings(&mut random, &name).into_iter().collect(),
                name,
                target: TargetState::Started,
            })
        });
        let command_line = command_line.collect();
        let settings = HerderSettings {
            worker: WorkerId::new("worker:8083"),
            registry: fakes::registry(),
            task_stop_timeout: TASK_STOP,
            group: None,
            random: SessionRandom(Arc::new(|_| Ok(()))),
        };
        Sim {
            random,
            trace,
            schedule: Schedule::new(),
            start: Clock.now().instant,
            herder: Herder::new(settings, command_line, Clock.now()),
            wakeup: None,
            turns: 0,
            instances: Instances::default(),
            moods: BTreeMap::new(),
            configs: ConfigState::default(),
            unread: 0,
            log_end: Duration::ZERO,
            views: BTreeMap::new(),
            clients: Vec::new(),
            changing: BTreeSet::new(),
            stores: [false, false],
            phase: StartupPhase::Starting,
            exits: Vec::new(),
        }
    }

    /// What comes to pass whatever the herder does.
    fn plan(&mut self) {
        let kafka = self.random.delay();
        self.schedule.at(kafka, Coming::Event(HerderEvent::KafkaReached));
        let (read, result) = (self.random.delay(), self.random.percent(98));
        let result = if result { Ok(()) } else { Err("cut short".to_owned()) };
        self.schedule.at(read, Coming::Event(HerderEvent::OffsetsRead(result)));
        let length = Duration::from_secs(*self.random.pick(&[1, 10, 60]));
        for (count, coming) in [
            (10 + self.random.below(50), (|| Coming::Client) as fn() -> Coming),
            (self.random.below(12), || Coming::Trouble),
            (self.random.below(3), || Coming::Jump),
            (self.random.below(8) / 7, || Coming::Event(HerderEvent::Stop)),
        ] {
            for _ in 0..count {
                let at = self.random.up_to(length);
                self.schedule.at(at, coming());
            }
        }
    }

    /// Goes on until nothing more comes.
    fn run_dry(&mut self) {
        loop {
            let wakeup = self.wakeup.map(|at| at.saturating_duration_since(self.start));
            match (wakeup, self.schedule.next_at()) {
                (Some(wakeup), next) if next.is_none_or(|next| wakeup < next) => {
                    self.schedule.move_to(wakeup);
                    self.deliver(HerderEvent::Wake);
                }
                (_, Some(_)) => {
                    let coming = self.schedule.pop();
                    coming.into_iter().for_each(|coming| self.come(coming));
                }
                (_, None) => return,
            }
        }
    }

    fn come(&mut self, coming: Coming) {
        match coming {
            Coming::Event(event) => self.deliver(event),
            Coming::Read(event) => {
                self.unread -= 1;
                self.deliver(event);
            }
            Coming::Ends(who, epoch, ending) => self.end(who, epoch, ending),
            Coming::Validated(operation, settings) => {
                let result = match self.random.percent(92) {
                    true => Ok(settings),
                    false => Err(HerderError::BadRequest("invalid".to_owned())),
                };
                self.deliver(HerderEvent::Validated(operation, result));
            }
            Coming::OffsetsModified(operation, name) => {
                self.changing.remove(&name);
                let result = match self.random.percent(80) {
                    true => Ok(AlterOffsets::Checked),
                    false => Err(HerderError::Failed("cannot".to_owned())),
                };
                self.deliver(HerderEvent::OffsetsModified(operation, result));
            }
            Coming::Client => {
                let (request, client) = clients::any(&mut self.random);
                // Some do not stay for the answer.
                if self.random.percent(90) {
                    self.clients.push(client);
                }
                self.deliver(HerderEvent::Request(request));
            }
            Coming::Trouble => self.trouble(),
            Coming::Jump => {
                let by = self.random.up_to(Duration::from_secs(600));
                self.schedule.move_to(self.schedule.now() + by);
            }
        }
    }

    /// A call ends, and its instance tells.
    fn end(&mut self, who: Who, epoch: Epoch, Ending { call, mood }: Ending) {
        let fails = self.random.percent(match call {
            Call::Start => 8,
            Call::TaskConfigs => 5,
            Call::Stop => 2,
            Call::Pause | Call::Resume => 0,
        });
        match who {
            Who::Connector(name) => {
                let Some(instance) = self.instances.get(&Who::Connector(name.clone()), epoch) else { return };
                let trace = format!("{call:?} failed");
                let kind = match call {
                    // Its errors are logged and no more.
                    Call::Stop => ConnectorEventKind::Stopped,
                    _ if fails => ConnectorEventKind::Failed { trace },
                    Call::Start => ConnectorEventKind::Started,
                    Call::TaskConfigs => {
                        ConnectorEventKind::TaskConfigs(fakes::task_configs(&instance.settings, mood))
                    }
                    Call::Pause | Call::Resume => return,
                };
                self.report(ConnectorEvent { name, epoch, kind });
            }
            Who::Task(id) => {
                let Some(instance) = self.instances.get(&Who::Task(id.clone()), epoch) else { return };
                if instance.failed {
                    return;
                }
                let kind = match call {
                    _ if fails => TaskEventKind::Failed { trace: format!("{call:?} failed") },
                    Call::Start if instance.paused => TaskEventKind::Paused,
                    Call::Start => TaskEventKind::Started,
                    Call::Pause => TaskEventKind::Paused,
                    Call::Resume => TaskEventKind::Resumed,
                    Call::Stop => TaskEventKind::Stopped,
                    Call::TaskConfigs => return,
                };
                instance.failed = fails;
                self.report_task(TaskEvent { id, epoch, kind });
            }
        }
    }

    /// The news of a connector; the last of an instance may come again.
    fn report(&mut self, event: ConnectorEvent) {
        let last = matches!(event.kind, ConnectorEventKind::Failed { .. } | ConnectorEventKind::Stopped);
        if last && self.random.percent(3) {
            let again = self.schedule.now() + self.random.up_to(Duration::from_secs(20));
            self.schedule.at(again, Coming::Event(HerderEvent::Connector(event.clone())));
        }
        self.deliver(HerderEvent::Connector(event));
    }

    fn report_task(&mut self, event: TaskEvent) {
        let last = matches!(event.kind, TaskEventKind::Failed { .. } | TaskEventKind::Stopped);
        if last && self.random.percent(3) {
            let again = self.schedule.now() + self.random.up_to(Duration::from_secs(20));
            self.schedule.at(again, Coming::Event(HerderEvent::Task(event.clone())));
        }
        self.deliver(HerderEvent::Task(event));
    }

    /// Something happens to one of those that run.
    fn trouble(&mut self) {
        let live: Vec<_> = self.instances.all_live().map(|(who, epoch)| (who.clone(), epoch)).collect();
        if live.is_empty() {
            return;
        }
        let (who, epoch) = self.random.pick(&live).clone();
        let soon = self.schedule.now() + self.random.up_to(Duration::from_millis(100));
        let fails = self.random.percent(40);
        match who {
            Who::Connector(name) => {
                let kind = if fails {
                    ConnectorEventKind::Failed { trace: "lost its source".to_owned() }
                } else {
                    *self.moods.entry(name.clone()).or_default() += 1;
                    ConnectorEventKind::ReconfigurationRequested
                };
                self.schedule
                    .at(soon, Coming::Event(HerderEvent::Connector(ConnectorEvent { name, epoch, kind })));
            }
            Who::Task(id) => {
                let who = Who::Task(id.clone());
                let Some(instance) = self.instances.get(&who, epoch).filter(|task| !task.failed) else {
                    return;
                };
                instance.failed = fails;
                let kind = if fails {
                    TaskEventKind::Failed { trace: "bad record".to_owned() }
                } else {
                    TaskEventKind::Topic("t".into())
                };
                self.schedule.at(soon, Coming::Event(HerderEvent::Task(TaskEvent { id, epoch, kind })));
            }
        }
    }

    /// One turn, and those that follow from it at once.
    fn deliver(&mut self, event: HerderEvent) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.turns += 1;
            assert!(self.turns < TURNS_MAX, "the herder runs in circles");
            self.trace.add(self.schedule.now(), || format!("{event:?}"));
            self.note_event(&event);
            let mut effects = Effects::default();
            let now = self.start + self.schedule.now();
            let wall = Timestamp::UNIX_EPOCH + self.schedule.now();
            self.wakeup = self.herder.tick(Now { instant: now, wall }, event, &mut effects);
            assert!(self.wakeup.is_none_or(|at| at > now), "the herder wants to be woken in the past");
            self.check_no_early_answers();
            for effect in effects.drain() {
                self.carry_out(effect, &mut events);
            }
            effects.give_answers();
            self.take_answers();
            if events.is_empty() {
                self.instances.check_deadlines(self.schedule.now(), TASK_STOP);
                self.check_views();
            }
        }
    }

    /// What the herder knows from now on.
    fn note_event(&mut self, event: &HerderEvent) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the others tell nothing that is checked")]
        match event {
            HerderEvent::KafkaReached => self.stores[0] = true,
            HerderEvent::OffsetsRead(Ok(())) => self.stores[1] = true,
            HerderEvent::ConfigRead(records, _) => {
                for record in records {
                    self.configs.apply(record);
                }
            }
            HerderEvent::Connector(ConnectorEvent { name, epoch, kind }) => {
                let told = match kind {
                    ConnectorEventKind::Started => Told::Runs,
                    ConnectorEventKind::Failed { .. } => Told::Failed,
                    ConnectorEventKind::Stopped => Told::Ended,
                    ConnectorEventKind::TaskConfigs(_) | ConnectorEventKind::ReconfigurationRequested => {
                        return;
                    }
                };
                self.note_told(&Who::Connector(name.clone()), *epoch, told);
            }
            HerderEvent::Task(TaskEvent { id, epoch, kind }) => {
                let told = match kind {
                    TaskEventKind::Started | TaskEventKind::Paused | TaskEventKind::Resumed => Told::Runs,
                    TaskEventKind::Failed { .. } => Told::Failed,
                    TaskEventKind::Stopped => Told::Ended,
                    TaskEventKind::Topic(_) => return,
                };
                self.note_told(&Who::Task(id.clone()), *epoch, told);
            }
            _ => {}
        }
    }

    fn note_told(&mut self, who: &Who, epoch: Epoch, told: Told) {
        if let Some(instance) = self.instances.get(who, epoch)
            && instance.told != Told::Ended
            && !(instance.told == Told::Failed && told == Told::Runs)
        {
            instance.told = told;
        }
    }

    fn carry_out(&mut self, effect: Effect, echo: &mut VecDeque<HerderEvent>) {
        self.trace.add(self.schedule.now(), || format!("    {}", trace::effect(&effect)));
        match effect {
            Effect::Phase(phase) => self.phase = phase,
            Effect::Publish(name, view) => match view {
                Some(view) => drop(self.views.insert(name, view)),
                None => drop(self.views.remove(&name)),
            },
            Effect::Validate(operation, draft) => {
                let settings = draft.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
                let at = self.schedule.now() + self.random.delay();
                self.schedule.at(at, Coming::Validated(operation, settings));
            }
            Effect::WriteConfig(write, operation) => self.write(&write, operation, echo),
            Effect::StartConnector { name, epoch, settings, .. } => {
                let config = self.started(&name);
                assert_eq!(config.settings, settings, "{name} starts with settings that are not in force");
                assert_eq!(config.target, TargetState::Started, "{name} starts");
                let who = Who::Connector(name);
                self.instances.start(&who, epoch, settings.clone(), settings, false);
                self.call(who, epoch, Call::Start);
            }
            Effect::MakeTaskConfigs(name, epoch) => self.call(Who::Connector(name), epoch, Call::TaskConfigs),
            Effect::StopConnector(name, epoch) => self.call(Who::Connector(name), epoch, Call::Stop),
            Effect::AbandonConnector(name, epoch) => self.instances.abandon(&Who::Connector(name), epoch),
            Effect::StartTask(task) => {
                let config = self.started(&task.id.connector);
                let of_task = config.tasks.get(task.id.index as usize);
                assert_eq!(of_task, Some(&task.settings), "{} starts with old settings", task.id);
                assert_eq!(config.settings, task.connector, "{} starts with an old connector", task.id);
                assert_eq!(
                    (config.tasks.len(), config.target == TargetState::Paused),
                    (task.tasks, task.paused)
                );
                assert_ne!(config.target, TargetState::Stopped, "{} starts", task.id);
                let who = Who::Task(task.id);
                self.instances.start(&who, task.epoch, task.settings, task.connector, task.paused);
                self.call(who, task.epoch, Call::Start);
            }
            Effect::PauseTask(id, epoch) => self.call(Who::Task(id), epoch, Call::Pause),
            Effect::ResumeTask(id, epoch) => self.call(Who::Task(id), epoch, Call::Resume),
            Effect::StopTask(id, epoch) => self.call(Who::Task(id), epoch, Call::Stop),
            Effect::AbandonTask(id, epoch) => self.instances.abandon(&Who::Task(id), epoch),
            Effect::ReadOffsets(.., reply) => reply.send(Ok(ConnectorOffsets::Source(Vec::new()))),
            Effect::ModifyOffsets(operation, name, ..) => {
                assert_eq!(self.instances.live_of(&name).next(), None, "offsets of {name} change");
                assert!(self.changing.insert(name.clone()), "offsets of {name} change twice at a time");
                let at = self.schedule.now() + self.random.delay();
                self.schedule.at(at, Coming::OffsetsModified(operation, name));
            }
            Effect::Exit(exit) => self.exit(exit),
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

    /// A write comes to its end, after those before it: mostly at once, and mostly well.
    fn write(
        &mut self,
        write: &ConfigWrite,
        operation: Option<OperationId>,
        echo: &mut VecDeque<HerderEvent>,
    ) {
        let why = HerderError::Failed(write.failure().to_owned());
        let events = match operation.filter(|_| self.random.percent(2)) {
            Some(failed) => vec![HerderEvent::ConfigWritten(failed, Err(why))],
            None => HerderEvent::of_write_in_memory(write, operation),
        };
        let delay = if self.random.percent(80) { Duration::ZERO } else { self.random.delay() };
        if delay.is_zero() && self.unread == 0 {
            return echo.extend(events);
        }
        self.log_end = self.log_end.max(self.schedule.now() + delay);
        for event in events {
            self.unread += 1;
            self.schedule.at(self.log_end, Coming::Read(event));
        }
    }

    /// The configuration of a connector of which something starts.
    fn started(&self, name: &ConnectorName) -> herdsman::store::config_state::ConnectorConfig {
        assert_ne!(self.phase, StartupPhase::Stopping, "{name} starts although the worker ends");
        assert!(!self.changing.contains(name), "{name} starts while its offsets change");
        self.configs.connector(name).unwrap_or_else(|| panic!("{name} starts and is not configured")).clone()
    }

    fn call(&mut self, who: Who, epoch: Epoch, call: Call) {
        let (now, delay) = (self.schedule.now(), self.random.delay());
        self.instances.call(now, &who, epoch, call);
        let mood = self.mood(who.connector());
        if let Some(instance) = self.instances.get(&who, epoch) {
            instance.busy_until = instance.busy_until.max(now) + delay;
            self.schedule.at(instance.busy_until, Coming::Ends(who, epoch, Ending { call, mood }));
        }
    }

    fn mood(&self, name: &ConnectorName) -> u64 {
        self.moods.get(name).copied().unwrap_or_default()
    }

    fn exit(&mut self, exit: Exit) {
        match &exit {
            Exit::Stopped => {
                let live = self.instances.all_live().map(|(who, _)| who.to_string());
                assert_eq!(live.collect::<Vec<_>>(), [""; 0], "the worker ends while they run");
            }
            Exit::ConnectorFailed(_) | Exit::OffsetsUnreadable(_) | Exit::GroupRefused(_) => {
                let at = self.schedule.now() + self.random.delay();
                self.schedule.at(at, Coming::Event(HerderEvent::Stop));
            }
        }
        assert_ne!(self.exits.last(), Some(&Exit::Stopped), "the worker has ended");
        self.exits.push(exit);
    }

    /// Answers are given when what led to them has been carried out, not before.
    fn check_no_early_answers(&mut self) {
        self.clients.retain(|client| match client.poll() {
            None => true,
            Some(Err(HerderError::ShuttingDown)) => false,
            Some(answer) => panic!("{} has its answer before the effects: {answer:?}", client.text),
        });
    }

    fn take_answers(&mut self) {
        let clients = std::mem::take(&mut self.clients);
        for client in clients {
            match client.poll() {
                None => self.clients.push(client),
                Some(answer) => {
                    self.trace
                        .add(self.schedule.now(), || format!("    answer to {}: {answer:?}", client.text));
                    let served = !matches!(answer, Err(HerderError::ShuttingDown));
                    assert!(!served || self.stores == [true, true], "served without the stores");
                    if let Ok(given) = &answer {
                        self.check_answer(&client, given);
                    }
                }
            }
        }
    }
}
