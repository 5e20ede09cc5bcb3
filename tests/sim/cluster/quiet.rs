//! What must hold in the end: nothing goes wrong any more, all workers are there, and after a while all is well and stays
//! so.

use std::collections::BTreeMap;
use std::time::Duration;

use herdsman::api::ids::{ConnectorName, TaskId, WorkerId};
use herdsman::health::StartupPhase;
use herdsman::herder::view::{ConnectorView, RunState};
use herdsman::store::config_state::{ConnectorConfig, TargetState};

use super::coordinator::Phase;
use super::network::Life;
use super::{Cluster, Coming, News};
use crate::clients::Ask;
use crate::fakes;
use crate::instances::{Instance, Told, Who};

/// How long it takes at most until all is well.
const LIMIT: Duration = Duration::from_secs(600);
const STEP: Duration = Duration::from_secs(2);
/// How much of that time is worth to be read of.
const NOTED: Duration = Duration::from_secs(100);
/// How long it is watched whether all stays well.
const WATCH: Duration = Duration::from_secs(8);

/// What is not well.
type Verdict = Result<(), String>;

macro_rules! must {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}

impl Cluster<'_> {
    /// From now on nothing goes wrong.
    pub(super) fn calm_down(&mut self) {
        self.note(|| "all is calm".to_owned());
        self.is_calm = true;
        let now = self.schedule.now();
        self.notes_until = now + NOTED;
        self.brokers.down_until = self.brokers.down_until.min(now);
        for worker in 0..self.places.len() {
            let place = &mut self.places[worker];
            (place.cut_until, place.stalled_until) = (now, now);
            self.schedule.at(now, Coming::Begins(worker));
        }
        for life in self.lives() {
            self.reach_at(Duration::ZERO, life, News::Resumed);
            self.reach_at(Duration::ZERO, life, News::Released);
            // Whose reading stalled does not wait for the end of that.
            self.reach_at(Duration::ZERO, life, News::ReadsConfig);
            self.reach_at(Duration::ZERO, life, News::ReadsStatuses);
        }
    }

    /// Waits until all is well, and whether it stays so.
    pub(super) fn come_to_rest(&mut self) {
        let limit = self.schedule.now() + LIMIT;
        // Something may still be on its way from before.
        self.run_until(self.schedule.now() + STEP);
        while let Err(why) = self.verdict() {
            assert!(self.schedule.now() < limit, "after {} s: {why}", LIMIT.as_secs());
            self.run_until(self.schedule.now() + STEP);
        }
        self.note(|| "all is well".to_owned());
        self.is_well = true;
        for life in self.lives() {
            for ask in [Ask::Health, Ask::Delete("nobody".into()), Ask::Info("nobody".into())] {
                self.ask(life, ask);
            }
        }
        self.run_until(self.schedule.now() + WATCH);
        if self.verdict().is_err() {
            // Perhaps a new session key is on its way to all at this very moment.
            self.run_until(self.schedule.now() + STEP);
        }
        if let Err(why) = self.verdict() {
            panic!("it was well, but not for long: {why}");
        }
    }

    fn verdict(&self) -> Verdict {
        let waiting: Vec<_> =
            self.waiting.iter().map(|waiting| format!("{} at {}", waiting.client.text, waiting.at)).collect();
        must!(waiting.is_empty(), "they are not answered: {waiting:?}");
        let lives = self.lives();
        must!(lives.len() == self.places.len(), "{} workers are there", lives.len());
        must!(self.brokers.group.phase == Phase::Stable, "the group is {:?}", self.brokers.group.phase);
        let members: Vec<_> = self.brokers.group.members().collect();
        let are_all_in = lives.iter().all(|life| members.iter().any(|member| life.is(member)));
        must!(are_all_in && members.len() == lives.len(), "the group has the members {members:?}");
        let round = self.brokers.group.round().ok_or("there is no generation")?;
        must!(round.is_good(), "the leader is behind");
        let waits = round.given.values().any(|given| !given.delay.is_zero());
        must!(!waits, "something waits for its worker to come back");
        lives.iter().try_for_each(|life| self.verdict_of_worker(*life))?;
        self.configured.names().try_for_each(|name| self.verdict_of_connector(name))
    }

    fn verdict_of_worker(&self, life: Life) -> Verdict {
        let process = self.places[life.worker].process.as_ref().ok_or("it is not there")?;
        must!(process.phase == StartupPhase::Ready, "{life} is {:?}", process.phase);
        let stage = process.herder.stage();
        must!(stage.is_none(), "{life} is {stage:?}");
        must!(process.took == self.brokers.group.serial(), "{life} is in an old generation");
        must!(process.inbox.is_empty() && process.writing.is_none(), "{life} has something to do");
        let read = (process.config.position, process.status.position);
        must!(read == (self.config.end(), self.statuses.end()), "{life} has read to {read:?}");
        for (who, _) in process.instances.all_live() {
            must!(self.configured.contains(who.connector()), "{life} runs {who}, which is not configured");
            let live = process.instances.live(who);
            let rests = live.is_some_and(|(_, it)| !it.is_stopping() && it.told != Told::Nothing);
            must!(rests, "{who} starts or stops on {life}");
        }
        let shown: Vec<_> = process.views.keys().collect();
        let configured: Vec<_> = self.configured.names().collect();
        must!(shown == configured, "{life} shows {shown:?} of {configured:?}");
        for (name, view) in &process.views {
            let Some(config) = self.configured.connector(name) else { continue };
            must!(view.info.config == config.settings, "{life} shows other settings of {name}");
            let known = process.configs.connector(name);
            let alike = known.is_some_and(|known| {
                let none = known.tasks.is_empty() && self.may_be_hidden(name, config);
                // What tasks were made from may have been compacted away for who came late.
                known.target == config.target && (known.tasks == config.tasks || none)
            });
            must!(alike, "{life} has read {name} as {known:?} instead of {config:?}");
            let tasks = known.map_or(0, |known| known.tasks.len());
            must!(view.info.tasks.len() == tasks, "{life} shows other tasks of {name}");
        }
        Ok(())
    }

    /// Whether compaction may keep the tasks of a connector from who comes late, as it does from Apache's workers: they were
    /// written over, or its settings were written since they were committed, and it does not run, so that nobody says again
    /// what they are.
    fn may_be_hidden(&self, name: &ConnectorName, config: &ConnectorConfig) -> bool {
        let live = self.live(&Who::Connector(name.clone()));
        let runs = live.is_ok_and(|live| live.is_some_and(|(_, instance)| instance.told == Told::Runs));
        !runs && (config.overwritten || config.tasks_made_from != config.settings)
    }

    /// Where something lives, and how.
    fn live(&self, who: &Who) -> Result<Option<(Life, &Instance)>, String> {
        let mut all = Vec::new();
        for life in self.lives() {
            let process = self.places[life.worker].process.as_ref().ok_or("it is not there")?;
            all.extend(process.instances.live(who).map(|(_, instance)| (life, instance)));
        }
        must!(all.len() <= 1, "{who} runs {} times", all.len());
        Ok(all.pop())
    }

    /// The worker that holds something.
    fn holder(&self, who: &Who) -> Result<Life, String> {
        let holds = |life: &Life| {
            let process = self.places[life.worker].process.as_ref();
            let holdings = process.and_then(|process| process.herder.holdings());
            holdings.is_some_and(|holdings| match who {
                Who::Connector(name) => holdings.connectors.contains(name),
                Who::Task(id) => holdings.tasks.contains(id),
            })
        };
        let all: Vec<_> = self.lives().into_iter().filter(holds).collect();
        must!(all.len() == 1, "{who} is held by {} workers", all.len());
        Ok(all[0])
    }

    /// What is configured of a connector runs once, with the latest settings, and is shown so by all.
    fn verdict_of_connector(&self, name: &ConnectorName) -> Verdict {
        let config = self.configured.connector(name).ok_or("it is not configured")?;
        let who = Who::Connector(name.clone());
        let holder = self.holder(&who)?;
        let live = self.live(&who)?;
        let state = match config.target {
            TargetState::Paused => RunState::Paused,
            TargetState::Stopped => RunState::Stopped,
            TargetState::Started if config.settings["connector.class"] != fakes::CLASS => RunState::Failed,
            TargetState::Started => {
                let (life, live) = live.ok_or_else(|| format!("{name} does not run"))?;
                must!(life == holder, "{name} runs on {life} instead of {holder}");
                must!(live.settings == config.settings, "{name} runs with old settings");
                if live.told == Told::Runs {
                    let wanted = fakes::task_configs(&config.settings, self.moods.of(name));
                    must!(config.tasks == wanted, "{name} has other tasks than it wants");
                    must!(config.tasks_made_from == config.settings, "the tasks of {name} are old");
                    RunState::Running
                } else {
                    RunState::Failed
                }
            }
        };
        must!(live.is_some() || config.target != TargetState::Started || state == RunState::Failed, "{name}");
        must!(live.is_none() || config.target == TargetState::Started, "{name} runs");
        must!(config.target != TargetState::Stopped || config.tasks.is_empty(), "{name} has tasks");
        let mut tasks = BTreeMap::new();
        let shown = if self.may_be_hidden(name, config) { &[][..] } else { &config.tasks };
        for (index, settings) in (0..).zip(shown) {
            let who = Who::Task(TaskId { connector: name.clone(), index });
            let holder = self.holder(&who)?;
            let process = self.places[holder.worker].process.as_ref().ok_or("it is not there")?;
            let live = self.live(&who)?;
            let state = match live {
                Some((life, live)) => {
                    must!(life == holder, "{who} runs on {life} instead of {holder}");
                    must!(live.settings == *settings, "{who} runs with old settings");
                    let is_paused = config.target == TargetState::Paused;
                    must!(live.paused == is_paused, "{who} is paused: {}", live.paused);
                    if is_paused { RunState::Paused } else { RunState::Running }
                }
                // Tasks of a class that nobody has: whether they fail or wait for others is of no account.
                None if config.settings["connector.class"] != fakes::CLASS => continue,
                None => {
                    let failed = process.instances.last(&who).is_some_and(|last| last.told == Told::Failed);
                    must!(failed, "{who} does not run");
                    RunState::Failed
                }
            };
            tasks.insert(index, (state, holder));
        }
        for life in self.lives() {
            let process = self.places[life.worker].process.as_ref().ok_or("it is not there")?;
            let view = process.views.get(name).ok_or("it is not shown")?;
            self.verdict_of_view(life, view, (state, holder), &tasks)?;
        }
        Ok(())
    }

    fn verdict_of_view(
        &self,
        life: Life,
        view: &ConnectorView,
        (state, holder): (RunState, Life),
        tasks: &BTreeMap<u32, (RunState, Life)>,
    ) -> Verdict {
        let name = &view.info.name;
        let status = view.status.as_ref().ok_or_else(|| format!("{life} shows no status of {name}"))?;
        let worker = |life: Life| WorkerId::new(format!("w{}:8083", life.worker));
        let shown = (status.connector.state, &status.connector.worker);
        must!(shown == (state, &worker(holder)), "{life} shows {name} as {shown:?}: {state:?} on {holder}");
        for (index, (state, holder)) in tasks {
            let shown = status.tasks.get(index).map(|task| (task.state, task.worker.clone()));
            must!(
                shown == Some((*state, worker(*holder))),
                "{life} shows {name}-{index} as {shown:?}: {state:?} on {holder}"
            );
        }
        Ok(())
    }
}
