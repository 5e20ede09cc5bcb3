//! Every instance of a connector or task that the herder ever started, what became of it, and what the herder knows of
//! that. Each effect is checked against it.

use std::collections::BTreeMap;
use std::time::Duration;

use herdsman::api::Settings;
use herdsman::api::ids::{ConnectorName, Epoch, TaskId};

/// How long a connector may take to stop.
const CONNECTOR_STOP: Duration = Duration::from_secs(5);

/// Who can be started.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Connector(ConnectorName),
    Task(TaskId),
}

impl Who {
    /// The connector it is or belongs to.
    pub(crate) fn connector(&self) -> &ConnectorName {
        match self {
            Who::Connector(name) | Who::Task(TaskId { connector: name, .. }) => name,
        }
    }
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Who::Connector(name) => write!(f, "{name}"),
            Who::Task(id) => write!(f, "{id}"),
        }
    }
}

/// What an instance was called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Start,
    TaskConfigs,
    Pause,
    Resume,
    Stop,
}

/// What the herder has been told of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Nothing,
    Runs,
    Failed,
    Ended,
}

/// One instance.
#[derive(Debug)]
pub(crate) struct Instance {
    /// The settings it was started with: its own, or those of the task.
    pub(crate) settings: Settings,
    /// The settings of its connector.
    pub(crate) connector: Settings,
    /// Its calls come one after another: the last ends then.
    pub(crate) busy_until: Duration,
    pub(crate) told: Told,
    /// A task that failed has ended, whether the herder knows it yet or not.
    pub(crate) failed: bool,
    pub(crate) paused: bool,
    /// Since when it is to stop.
    stopping: Option<Duration>,
    abandoned: bool,
}

impl Instance {
    /// Whether it was told to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// Whether the herder has to count with it.
    pub(crate) fn is_live(&self, who: &Who) -> bool {
        let ended = match who {
            Who::Connector(_) => self.told == Told::Ended,
            Who::Task(_) => matches!(self.told, Told::Ended | Told::Failed),
        };
        !ended && !self.abandoned
    }
}

/// All instances there ever were.
#[derive(Debug, Default)]
pub(crate) struct Instances(BTreeMap<(Who, Epoch), Instance>);

impl Instances {
    /// Checks and notes that an instance starts.
    pub(crate) fn start(
        &mut self,
        who: &Who,
        epoch: Epoch,
        settings: Settings,
        connector: Settings,
        paused: bool,
    ) {
        assert!(self.live(who).is_none(), "{who} starts while an instance of it runs");
        let instance = Instance {
            settings,
            connector,
            busy_until: Duration::ZERO,
            told: Told::Nothing,
            failed: false,
            paused,
            stopping: None,
            abandoned: false,
        };
        let earlier = self.0.insert((who.clone(), epoch), instance);
        assert!(earlier.is_none(), "{who} starts with an epoch that it had before");
    }

    /// Checks and notes that an instance is called.
    pub(crate) fn call(&mut self, now: Duration, who: &Who, epoch: Epoch, call: Call) {
        let instance = self.known(who, epoch, call);
        assert_eq!(instance.stopping, None, "{call:?} of {who} after it was told to stop");
        match call {
            Call::Start => {}
            Call::TaskConfigs => assert_eq!(instance.told, Told::Runs, "{who} is asked for its tasks"),
            Call::Pause => instance.paused = true,
            Call::Resume => instance.paused = false,
            Call::Stop => instance.stopping = Some(now),
        }
    }

    /// Checks and notes that nobody waits for an instance any more.
    pub(crate) fn abandon(&mut self, who: &Who, epoch: Epoch) {
        let instance = self.known(who, epoch, Call::Stop);
        assert!(instance.stopping.is_some(), "{who} is abandoned without having been told to stop");
        instance.abandoned = true;
    }

    fn known(&mut self, who: &Who, epoch: Epoch, call: Call) -> &mut Instance {
        let instance = self.get(who, epoch);
        let instance = instance.unwrap_or_else(|| panic!("{call:?} of an instance of {who} that never was"));
        assert!(instance.is_live(who), "{call:?} of an instance of {who} that has ended or was abandoned");
        instance
    }

    pub(crate) fn get(&mut self, who: &Who, epoch: Epoch) -> Option<&mut Instance> {
        self.0.get_mut(&(who.clone(), epoch))
    }

    /// The instance that the herder has to count with.
    pub(crate) fn live(&self, who: &Who) -> Option<(Epoch, &Instance)> {
        let of = self.of(who).filter(|(_, instance)| instance.is_live(who));
        let all: Vec<_> = of.collect();
        assert!(all.len() <= 1, "{who} runs {} times", all.len());
        all.into_iter().next()
    }

    /// The instance that was started last.
    pub(crate) fn last(&self, who: &Who) -> Option<&Instance> {
        self.of(who).last().map(|(_, instance)| instance)
    }

    fn of(&self, who: &Who) -> impl Iterator<Item = (Epoch, &Instance)> {
        let all = self.0.range((who.clone(), Epoch::default())..);
        let of = all.take_while(move |((other, _), _)| other == who);
        of.map(|((_, epoch), instance)| (*epoch, instance))
    }

    /// All that the herder has to count with.
    pub(crate) fn all_live(&self) -> impl Iterator<Item = (&Who, Epoch)> {
        let live = self.0.iter().filter(|((who, _), instance)| instance.is_live(who));
        live.map(|((who, epoch), _)| (who, *epoch))
    }

    /// Checks that nobody is waited for longer than its time to stop.
    pub(crate) fn check_deadlines(&self, now: Duration, task_stop: Duration) {
        for ((who, _), instance) in self.0.iter().filter(|((who, _), instance)| instance.is_live(who)) {
            let limit = match who {
                Who::Connector(_) => CONNECTOR_STOP,
                Who::Task(_) => task_stop,
            };
            let late = instance.stopping.is_some_and(|since| now >= since + limit);
            assert!(!late, "{who} should have been abandoned");
        }
    }

    /// All of one connector and its tasks that the herder has to count with.
    pub(crate) fn live_of(&self, name: &ConnectorName) -> impl Iterator<Item = &Who> {
        self.all_live().map(|(who, _)| who).filter(move |who| who.connector() == name)
    }
}
