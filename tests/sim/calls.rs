//! The calls of connectors and tasks: how they begin, what becomes of them, and what the herder is told.

use std::collections::BTreeMap;
use std::time::Duration;

use herdsman::api::ids::{ConnectorName, Epoch};
use herdsman::connector::{ConnectorEvent, ConnectorEventKind};
use herdsman::herder::msg::{Effect, HerderEvent};
use herdsman::store::config_state::{ConfigState, ConnectorConfig, TargetState};
use herdsman::task::{TaskEvent, TaskEventKind};

use crate::fakes;
use crate::instances::{Call, Instances, Told, Who};
use crate::random::Random;

/// A call that ends.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) who: Who,
    pub(crate) epoch: Epoch,
    call: Call,
    /// The outside world as the call began.
    mood: u64,
}

impl Ending {
    /// Whether the call goes wrong.
    pub(crate) fn fails(&self, random: &mut Random) -> bool {
        random.percent(match self.call {
            Call::Start => 8,
            Call::TaskConfigs => 5,
            Call::Stop => 2,
            Call::Pause | Call::Resume => 0,
        })
    }
}

/// The outside world of each connector: it decides which tasks the connector has.
#[derive(Debug, Default)]
pub(crate) struct Moods(BTreeMap<ConnectorName, u64>);

impl Moods {
    pub(crate) fn of(&self, name: &ConnectorName) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    fn change(&mut self, name: &ConnectorName) {
        *self.0.entry(name.clone()).or_default() += 1;
    }
}

/// What an effect is to an instance.
pub(crate) enum Taken {
    /// It is called.
    Call(Who, Epoch, Call),
    /// Nobody waits for it any more.
    Abandoned,
    /// Nothing: the effect is of another kind.
    Other(Effect),
}

/// The connector of which an effect starts something.
pub(crate) fn starts(effect: &Effect) -> Option<Who> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others start nothing")]
    match effect {
        Effect::StartConnector { name, .. } => Some(Who::Connector(name.clone())),
        Effect::StartTask(task) => Some(Who::Task(task.id.clone())),
        _ => None,
    }
}

impl Instances {
    /// Takes an effect that is about connectors or tasks; what starts does so as it is configured.
    pub(crate) fn take(&mut self, configs: &ConfigState, effect: Effect) -> Taken {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the others are not about instances")]
        match effect {
            Effect::StartConnector { name, epoch, settings, .. } => {
                let config = configured(configs, &name);
                assert_eq!(config.settings, settings, "{name} starts with settings that are not in force");
                assert_eq!(config.target, TargetState::Started, "{name} starts");
                let who = Who::Connector(name);
                self.start(&who, epoch, settings.clone(), settings, false);
                Taken::Call(who, epoch, Call::Start)
            }
            Effect::StartTask(task) => {
                let config = configured(configs, &task.id.connector);
                let of_task = config.tasks.get(task.id.index as usize);
                assert_eq!(of_task, Some(&task.settings), "{} starts with old settings", task.id);
                assert_eq!(config.settings, task.connector, "{} starts with an old connector", task.id);
                assert_eq!(
                    (config.tasks.len(), config.target == TargetState::Paused),
                    (task.tasks, task.paused)
                );
                assert_ne!(config.target, TargetState::Stopped, "{} starts", task.id);
                let who = Who::Task(task.id);
                self.start(&who, task.epoch, task.settings, task.connector, task.paused);
                Taken::Call(who, task.epoch, Call::Start)
            }
            Effect::MakeTaskConfigs(name, epoch) => {
                Taken::Call(Who::Connector(name), epoch, Call::TaskConfigs)
            }
            Effect::StopConnector(name, epoch) => Taken::Call(Who::Connector(name), epoch, Call::Stop),
            Effect::PauseTask(id, epoch) => Taken::Call(Who::Task(id), epoch, Call::Pause),
            Effect::ResumeTask(id, epoch) => Taken::Call(Who::Task(id), epoch, Call::Resume),
            Effect::StopTask(id, epoch) => Taken::Call(Who::Task(id), epoch, Call::Stop),
            Effect::AbandonConnector(name, epoch) => {
                self.abandon(&Who::Connector(name), epoch);
                Taken::Abandoned
            }
            Effect::AbandonTask(id, epoch) => {
                self.abandon(&Who::Task(id), epoch);
                Taken::Abandoned
            }
            other => Taken::Other(other),
        }
    }

    /// A call begins that takes so long, after those before it. Says when it ends.
    pub(crate) fn begin(
        &mut self,
        now: Duration,
        takes: Duration,
        (who, epoch, call): (Who, Epoch, Call),
        moods: &Moods,
    ) -> (Duration, Ending) {
        self.call(now, &who, epoch, call);
        let mood = moods.of(who.connector());
        let instance = self.get(&who, epoch).unwrap_or_else(|| panic!("{who} was called"));
        instance.busy_until = instance.busy_until.max(now) + takes;
        (instance.busy_until, Ending { who, epoch, call, mood })
    }

    /// A call ends, and its instance tells.
    pub(crate) fn end(&mut self, ending: Ending, fails: bool) -> Option<HerderEvent> {
        let Ending { who, epoch, call, mood } = ending;
        let instance = self.get(&who, epoch)?;
        let trace = format!("{call:?} failed");
        match who {
            Who::Connector(name) => {
                let kind = match call {
                    // Its errors are logged and no more.
                    Call::Stop => ConnectorEventKind::Stopped,
                    _ if fails => ConnectorEventKind::Failed { trace },
                    Call::Start => ConnectorEventKind::Started,
                    Call::TaskConfigs => {
                        ConnectorEventKind::TaskConfigs(fakes::task_configs(&instance.settings, mood))
                    }
                    Call::Pause | Call::Resume => return None,
                };
                Some(HerderEvent::Connector(ConnectorEvent { name, epoch, kind }))
            }
            Who::Task(_) if instance.failed => None,
            Who::Task(id) => {
                let kind = match call {
                    _ if fails => TaskEventKind::Failed { trace },
                    Call::Start if instance.paused => TaskEventKind::Paused,
                    Call::Start => TaskEventKind::Started,
                    Call::Pause => TaskEventKind::Paused,
                    Call::Resume => TaskEventKind::Resumed,
                    Call::Stop => TaskEventKind::Stopped,
                    Call::TaskConfigs => return None,
                };
                instance.failed = fails;
                Some(HerderEvent::Task(TaskEvent { id, epoch, kind }))
            }
        }
    }

    /// Something happens to one of those that run: it fails, or a connector wants other tasks.
    pub(crate) fn trouble(&mut self, random: &mut Random, moods: &mut Moods) -> Option<HerderEvent> {
        let live: Vec<_> = self.all_live().map(|(who, epoch)| (who.clone(), epoch)).collect();
        if live.is_empty() {
            return None;
        }
        let (who, epoch) = random.pick(&live).clone();
        let fails = random.percent(40);
        match who {
            Who::Connector(name) => {
                let kind = if fails {
                    ConnectorEventKind::Failed { trace: "lost its source".to_owned() }
                } else {
                    moods.change(&name);
                    ConnectorEventKind::ReconfigurationRequested
                };
                Some(HerderEvent::Connector(ConnectorEvent { name, epoch, kind }))
            }
            Who::Task(id) => {
                let instance = self.get(&Who::Task(id.clone()), epoch).filter(|instance| !instance.failed)?;
                instance.failed = fails;
                let kind = if fails {
                    TaskEventKind::Failed { trace: "bad record".to_owned() }
                } else {
                    TaskEventKind::Topic("t".into())
                };
                Some(HerderEvent::Task(TaskEvent { id, epoch, kind }))
            }
        }
    }

    /// What the herder knows from now on.
    pub(crate) fn note(&mut self, event: &HerderEvent) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the others are not about instances")]
        let (who, epoch, told) = match event {
            HerderEvent::Connector(ConnectorEvent { name, epoch, kind }) => {
                let told = match kind {
                    ConnectorEventKind::Started => Told::Runs,
                    ConnectorEventKind::Failed { .. } => Told::Failed,
                    ConnectorEventKind::Stopped => Told::Ended,
                    ConnectorEventKind::TaskConfigs(_) | ConnectorEventKind::ReconfigurationRequested => {
                        return;
                    }
                };
                (Who::Connector(name.clone()), *epoch, told)
            }
            HerderEvent::Task(TaskEvent { id, epoch, kind }) => {
                let told = match kind {
                    TaskEventKind::Started | TaskEventKind::Paused | TaskEventKind::Resumed => Told::Runs,
                    TaskEventKind::Failed { .. } => Told::Failed,
                    TaskEventKind::Stopped => Told::Ended,
                    TaskEventKind::Topic(_) => return,
                };
                (Who::Task(id.clone()), *epoch, told)
            }
            _ => return,
        };
        if let Some(instance) = self.get(&who, epoch)
            && instance.told != Told::Ended
            && !(instance.told == Told::Failed && told == Told::Runs)
        {
            instance.told = told;
        }
    }
}

/// Whether an instance has nothing more to tell after this.
pub(crate) fn is_last(event: &HerderEvent) -> bool {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are not about instances")]
    match event {
        HerderEvent::Connector(event) => {
            matches!(event.kind, ConnectorEventKind::Failed { .. } | ConnectorEventKind::Stopped)
        }
        HerderEvent::Task(event) => {
            matches!(event.kind, TaskEventKind::Failed { .. } | TaskEventKind::Stopped)
        }
        _ => false,
    }
}

/// The same news of an instance once more.
pub(crate) fn again(event: &HerderEvent) -> Option<HerderEvent> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are not about instances")]
    match event {
        HerderEvent::Connector(event) => Some(HerderEvent::Connector(event.clone())),
        HerderEvent::Task(event) => Some(HerderEvent::Task(event.clone())),
        _ => None,
    }
}

/// The configuration of a connector of which something starts.
fn configured<'a>(configs: &'a ConfigState, name: &ConnectorName) -> &'a ConnectorConfig {
    configs.connector(name).unwrap_or_else(|| panic!("{name} starts and is not configured"))
}
