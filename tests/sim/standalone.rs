//! One worker in standalone mode: what surrounds its herder, and what must hold after every turn and in the end.

mod checks;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use herdsman::api::Settings;
use herdsman::api::ids::{ConnectorName, WorkerId};
use herdsman::api::source::AlterOffsets;
use herdsman::health::StartupPhase;
use herdsman::herder::msg::{
    CommandLineConnector, ConnectorOffsets, Effect, Effects, Exit, HerderError, HerderEvent, OperationId,
};
use herdsman::herder::view::ConnectorView;
use herdsman::herder::{Herder, HerderSettings, Random as SessionRandom};
use herdsman::stdx::time::{Clock, Now};
use herdsman::store::config_state::{ConfigState, TargetState};
use herdsman::store::config_write::ConfigWrite;
use jiff::Timestamp;

use crate::calls::{self, Ending, Moods, Taken};
use crate::clients::{self, Ask, Client};
use crate::fakes;
use crate::instances::Instances;
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
    Ends(Ending),
    Validated(OperationId, Settings),
    OffsetsModified(OperationId, ConnectorName),
    /// A client asks something.
    Client,
    /// A connector wants other tasks, or an instance fails by itself.
    Trouble,
    /// The clock jumps.
    Jump,
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
    moods: Moods,
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
            moods: Moods::default(),
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
            Coming::Ends(ending) => {
                let fails = ending.fails(&mut self.random);
                let told = self.instances.end(ending, fails);
                told.into_iter().for_each(|event| self.report(event));
            }
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
                let (request, client) = Ask::any(&mut self.random).put();
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

    /// The news of an instance; its last may come again.
    fn report(&mut self, event: HerderEvent) {
        if calls::is_last(&event) && self.random.percent(3) {
            let at = self.schedule.now() + self.random.up_to(Duration::from_secs(20));
            let again = calls::again(&event);
            again.into_iter().for_each(|again| self.schedule.at(at, Coming::Event(again)));
        }
        self.deliver(event);
    }

    /// Something happens to one of those that run.
    fn trouble(&mut self) {
        let event = self.instances.trouble(&mut self.random, &mut self.moods);
        let soon = self.schedule.now() + self.random.up_to(Duration::from_millis(100));
        event.into_iter().for_each(|event| self.schedule.at(soon, Coming::Event(event)));
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
            _ => self.instances.note(event),
        }
    }

    fn carry_out(&mut self, effect: Effect, echo: &mut VecDeque<HerderEvent>) {
        self.trace.add(self.schedule.now(), || format!("    {}", trace::effect(&effect)));
        if let Some(who) = calls::starts(&effect) {
            assert_ne!(self.phase, StartupPhase::Stopping, "{who} starts although the worker ends");
            assert!(!self.changing.contains(who.connector()), "{who} starts while its offsets change");
        }
        let effect = match self.instances.take(&self.configs, effect) {
            Taken::Call(who, epoch, call) => {
                let (now, takes) = (self.schedule.now(), self.random.delay());
                let (at, ending) = self.instances.begin(now, takes, (who, epoch, call), &self.moods);
                return self.schedule.at(at, Coming::Ends(ending));
            }
            Taken::Abandoned => return,
            Taken::Other(effect) => effect,
        };
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
            Effect::TellTopics(..) => {}
            Effect::StartConnector { .. }
            | Effect::MakeTaskConfigs(..)
            | Effect::StopConnector(..)
            | Effect::AbandonConnector(..)
            | Effect::StartTask(_)
            | Effect::PauseTask(..)
            | Effect::ResumeTask(..)
            | Effect::StopTask(..)
            | Effect::AbandonTask(..) => unreachable!("instances take these"),
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
