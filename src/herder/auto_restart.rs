//! What has failed starts again by itself, where that is wanted: an addition of herdsman, off by default, after the model of
//! Strimzi's `autoRestart`.
//!
//! A connector and each of its tasks count for themselves. Before the restart after n others in a row there is a pause of
//! n² + n units, at most the longest one; who has run longer than the pause that would be next begins to count anew, and so
//! does who gets other settings. What is shown meanwhile is Apache's: FAILED, then RESTARTING.
//!
//! **In a group, each worker restarts what is assigned to it, and nothing else.** Only there is it known that an instance has
//! failed and has not been started again since, so nobody has to agree with anybody, and nothing is restarted twice. A restart
//! by the leader would have to go through the config topic, where a worker of Apache that shares the group would take it for a
//! request of a user, and where it could come after the assignment has changed. What is given to another worker begins anew
//! there, and is counted anew.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::connector_entry::{ConnectorEntry, Instance, TaskEntry, TaskRun};
use super::view::RunState;
use super::{Herder, class_of};
use crate::api::Settings;
use crate::api::ids::ConnectorName;
use crate::connector::validation::auto_restart::{BACKOFF, BACKOFF_MAX, ENABLE, RESTARTS_MAX};
use crate::stdx::restart_policy::RestartPolicy;
use crate::stdx::time::Deadline;
use crate::store::config_state::{Revision, TargetState};

const TARGET: &str = "org.apache.kafka.connect.runtime.Herder";

impl RestartPolicy {
    /// The same with what a connector says. What it says wrong, or by a reference, does not count.
    fn with(self, settings: &Settings) -> Self {
        let text = |key| settings.get(key).map(|text| text.trim());
        let millis = |key| text(key).and_then(|text| text.parse().ok()).map(Duration::from_millis);
        RestartPolicy {
            enabled: match text(ENABLE) {
                Some(text) if text.eq_ignore_ascii_case("true") => true,
                Some(text) if text.eq_ignore_ascii_case("false") => false,
                Some(_) | None => self.enabled,
            },
            restarts_max: match text(RESTARTS_MAX).and_then(|text| text.parse::<i32>().ok()) {
                Some(max) => u32::try_from(max).ok(),
                None => self.restarts_max,
            },
            unit: millis(BACKOFF).unwrap_or(self.unit),
            longest: millis(BACKOFF_MAX).unwrap_or(self.longest),
        }
    }
}

/// A connector, or one of its tasks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Restarted {
    /// The connector.
    pub connector: ConnectorName,
    /// The task; `None` for the connector itself.
    pub task: Option<u32>,
}

impl std::fmt::Display for Restarted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.task {
            None => write!(f, "connector {}", self.connector),
            Some(task) => write!(f, "task {}-{task}", self.connector),
        }
    }
}

/// How often what was restarted since the worker began.
pub type RestartTotals = BTreeMap<Restarted, u64>;

/// What the herder knows of failures.
#[derive(Debug, Default)]
pub(super) struct AutoRestart {
    policy: RestartPolicy,
    /// Of what has failed since it got its settings.
    attempts: BTreeMap<Restarted, Attempts>,
    totals: RestartTotals,
    /// Changes with the totals.
    version: u64,
}

/// The failures of one connector or task. Pure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attempts {
    /// Of the settings that it failed with.
    revision: Revision,
    /// In a row.
    restarts: u32,
    step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It was restarted, and has not come to run.
    Starting,
    Runs {
        since: Instant,
    },
    /// It has failed, and is restarted then; without a moment never.
    Failed {
        due: Option<Deadline>,
    },
}

/// How something does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Runs,
    Failed(Revision),
    /// It is on its way to one of these, or rests.
    Else,
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Nothing,
    /// It has failed just now, and is to be looked at again then.
    Wait(Deadline),
    Restart,
    /// It was restarted as often as it may be.
    GiveUp,
}

impl Attempts {
    fn new(revision: Revision) -> Self {
        Attempts { revision, restarts: 0, step: Step::Starting }
    }

    fn look(&mut self, now: Instant, condition: Condition, policy: &RestartPolicy) -> Verdict {
        match (condition, self.step) {
            (Condition::Runs, Step::Starting | Step::Failed { .. }) => {
                self.step = Step::Runs { since: now };
                Verdict::Nothing
            }
            (Condition::Runs, Step::Runs { .. }) | (Condition::Else, Step::Starting) => Verdict::Nothing,
            // Somebody else has it begin anew.
            (Condition::Else, Step::Failed { .. }) => {
                self.step = Step::Starting;
                Verdict::Nothing
            }
            (Condition::Else, Step::Runs { since }) => {
                self.ran(now, since, policy);
                Verdict::Nothing
            }
            (Condition::Failed(_), Step::Failed { due }) => {
                if due.is_some_and(|due| due.passed(now)) {
                    self.restart()
                } else {
                    Verdict::Nothing
                }
            }
            (Condition::Failed(_), Step::Runs { since }) => {
                self.ran(now, since, policy);
                self.fail(now, policy)
            }
            (Condition::Failed(_), Step::Starting) => self.fail(now, policy),
        }
    }

    /// It does not run any more.
    fn ran(&mut self, now: Instant, since: Instant, policy: &RestartPolicy) {
        if now.saturating_duration_since(since) > policy.pause_after(self.restarts) {
            self.restarts = 0;
        }
        self.step = Step::Starting;
    }

    fn fail(&mut self, now: Instant, policy: &RestartPolicy) -> Verdict {
        if policy.restarts_max.is_some_and(|max| self.restarts >= max) {
            self.step = Step::Failed { due: None };
            return Verdict::GiveUp;
        }
        let due = Deadline::after(now, policy.pause_after(self.restarts));
        self.step = Step::Failed { due: Some(due) };
        if due.passed(now) { self.restart() } else { Verdict::Wait(due) }
    }

    fn restart(&mut self) -> Verdict {
        self.restarts = self.restarts.saturating_add(1);
        self.step = Step::Starting;
        Verdict::Restart
    }
}

impl AutoRestart {
    /// Whether what has failed of a connector with these settings is restarted.
    pub(super) fn is_enabled(&self, settings: &Settings) -> bool {
        self.policy.with(settings).enabled
    }

    /// What is to be done about something, which is kept in mind from its first failure on.
    fn look(
        &mut self,
        now: Instant,
        of: &Restarted,
        condition: Condition,
        policy: &RestartPolicy,
    ) -> Verdict {
        if let Condition::Failed(revision) = condition {
            let attempts = self.attempts.entry(of.clone()).or_insert_with(|| Attempts::new(revision));
            if attempts.revision != revision {
                *attempts = Attempts::new(revision);
            }
        }
        let Some(attempts) = self.attempts.get_mut(of) else { return Verdict::Nothing };
        let verdict = attempts.look(now, condition, policy);
        let restarts = attempts.restarts;
        match verdict {
            Verdict::Nothing => {}
            Verdict::Wait(due) => {
                let pause = due.left(now).as_millis();
                log::warn!(target: TARGET, "{of} has failed; it is restarted in {pause} ms, after {restarts} restarts in a row");
            }
            Verdict::Restart => {
                log::info!(target: TARGET, "Restarting {of}, which has failed: restart {restarts} in a row");
                *self.totals.entry(of.clone()).or_default() += 1;
                self.version += 1;
            }
            Verdict::GiveUp => log::error!(
                target: TARGET,
                "{of} has failed after {restarts} restarts in a row and is not restarted any more ({RESTARTS_MAX}); \
                 restart it over REST once it can run"
            ),
        }
        verdict
    }

    /// Forgets the failures of a connector and its tasks.
    fn forget(&mut self, name: &ConnectorName) {
        self.attempts.retain(|of, _| of.connector != *name);
    }

    /// Forgets that there was such a connector.
    fn forget_all(&mut self, name: &ConnectorName) {
        self.forget(name);
        let before = self.totals.len();
        self.totals.retain(|of, _| of.connector != *name);
        self.version += u64::from(self.totals.len() != before);
    }
}

impl Herder {
    /// The same with restarts of what has failed, where connectors do not say otherwise.
    #[must_use]
    pub fn restarting(mut self, policy: RestartPolicy) -> Self {
        self.auto_restart.policy = policy;
        self
    }

    /// How often what was restarted by itself, unless that is known to who asks: it gives the version that it saw last.
    pub(super) fn restart_totals(&self, seen: u64) -> Option<(u64, &RestartTotals)> {
        let AutoRestart { version, totals, .. } = &self.auto_restart;
        (*version != seen).then_some((*version, totals))
    }

    /// Restarts what of a connector has failed and is due. Who waits for the connector has been told before.
    pub(super) fn restart_failed(&mut self, now: Instant, name: &ConnectorName) {
        let Some(config) = self.configs.connector(name) else { return self.auto_restart.forget_all(name) };
        let policy = self.auto_restart.policy.with(&config.settings);
        // Without its class there is nothing to start.
        let can_run = self.may_run() && class_of(&self.settings.registry, &config.settings).is_some();
        let Some(entry) = self.connectors.get_mut(name) else { return };
        if !policy.enabled || !can_run || config.target != TargetState::Started {
            return self.auto_restart.forget(name);
        }
        let share = self.membership.share_of(name);
        let tasks = entry.tasks.iter().filter(|(index, _)| share.has_task(**index));
        let tasks = tasks.map(|(index, task)| (Some(*index), task.condition()));
        let instance = share.has_instance().then(|| (None, entry.condition()));
        let parts: Vec<_> = instance.into_iter().chain(tasks).collect();
        for (task, condition) in parts {
            let of = Restarted { connector: name.clone(), task };
            match self.auto_restart.look(now, &of, condition, &policy) {
                Verdict::Nothing | Verdict::GiveUp => {}
                Verdict::Wait(due) => {
                    self.deadlines.insert((due, name.clone()));
                }
                Verdict::Restart => {
                    match task {
                        None => entry.restart_instance(),
                        Some(index) => entry.restart_task(index),
                    }
                    self.changed.insert(name.clone());
                }
            }
        }
    }
}

impl ConnectorEntry {
    fn condition(&self) -> Condition {
        match self.instance {
            Instance::Running(_) => Condition::Runs,
            Instance::Failed(revision) if !self.restart => Condition::Failed(revision),
            Instance::Failed(_)
            | Instance::Absent
            | Instance::Starting(_)
            | Instance::Classless(_)
            | Instance::Stopping(_) => Condition::Else,
        }
    }
}

impl TaskEntry {
    fn condition(&self) -> Condition {
        let runs = self.status.as_ref().is_some_and(|status| status.state == RunState::Running);
        match self.run {
            TaskRun::Running(..) if runs => Condition::Runs,
            TaskRun::Failed(revision) if !self.restart => Condition::Failed(revision),
            TaskRun::Failed(_) | TaskRun::Absent | TaskRun::Running(..) | TaskRun::Stopping(_) => {
                Condition::Else
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stdx::time::Clock;

    const MINUTE: Duration = Duration::from_secs(60);

    fn on() -> RestartPolicy {
        RestartPolicy { enabled: true, ..RestartPolicy::default() }
    }

    fn failed() -> Condition {
        Condition::Failed(Revision::default())
    }

    #[test]
    fn a_connector_says_it_on_top_of_the_worker() {
        let settings = |pairs: &[(&str, &str)]| -> Settings {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let with = |pairs: &[(&str, &str)]| on().with(&settings(pairs));
        assert_eq!(with(&[]), on());
        assert!(!with(&[(ENABLE, " False ")]).enabled);
        assert!(RestartPolicy::default().with(&settings(&[(ENABLE, "true")])).enabled);
        assert_eq!(with(&[(RESTARTS_MAX, "7")]).restarts_max, Some(7));
        let seven = RestartPolicy { restarts_max: Some(7), ..on() };
        assert_eq!(seven.with(&settings(&[(RESTARTS_MAX, "-1")])).restarts_max, None);
        let quick = with(&[(BACKOFF, "10"), (BACKOFF_MAX, "50")]);
        assert_eq!(
            (quick.pause_after(1), quick.pause_after(9)),
            (Duration::from_millis(20), Duration::from_millis(50))
        );
        assert_eq!(with(&[(ENABLE, "${env:X}"), (RESTARTS_MAX, "many"), (BACKOFF, "-1")]), on());
    }

    /// What each minute brings: `f` it has failed, `r` it runs, `_` neither; shown is what is done about it.
    fn story(policy: &RestartPolicy, minutes: &str) -> String {
        let mut now = Clock.now().instant;
        let mut attempts = Attempts::new(Revision::default());
        let verdicts = minutes.chars().map(|minute| {
            let condition = match minute {
                'f' => failed(),
                'r' => Condition::Runs,
                _ => Condition::Else,
            };
            let verdict = attempts.look(now, condition, policy);
            now += MINUTE;
            match verdict {
                Verdict::Nothing => '.',
                Verdict::Wait(_) => 'w',
                Verdict::Restart => 'R',
                Verdict::GiveUp => 'x',
            }
        });
        verdicts.collect()
    }

    #[test]
    fn restarts_follow_the_schedule() {
        let twice = RestartPolicy { restarts_max: Some(2), ..on() };
        let once = RestartPolicy { restarts_max: Some(1), ..on() };
        let table = [
            // At once, then after 2 minutes, then after 6.
            (on(), "ffffffffffff", "Rw.Rw.....Rw"),
            // Two minutes of running are not longer than the pause that would be next, three are.
            (on(), "frrf", "R..w"),
            (on(), "frrrf", "R...R"),
            (twice, "ffffffffff", "Rw.Rx....."),
            // A user had it restarted: it counts on, until it has run long enough.
            (once, "fffrf", "Rx..x"),
            (once, "fffrrrf", "Rx....R"),
            (RestartPolicy { restarts_max: Some(0), ..on() }, "ffrrrf", "x....x"),
            // It was away: what it is back for is no reason to be restarted at once.
            (on(), "ff______fff", "Rw......w.R"),
            (on(), "frr___f", "R.....w"),
        ];
        for (policy, minutes, done) in table {
            assert_eq!(story(&policy, minutes), done, "{minutes} {policy:?}");
        }
    }

    #[test]
    fn other_settings_begin_anew() {
        let now = Clock.now().instant;
        let policy = RestartPolicy { restarts_max: Some(1), ..on() };
        let mut restarts = AutoRestart::default();
        let of = Restarted { connector: "a".into(), task: Some(0) };
        let mut state = crate::store::config_state::ConfigState::default();
        let mut revision = || {
            let settings = crate::store::config_records::stored(Settings::new());
            let record = crate::store::config_records::ConfigRecord::Connector { name: "a".into(), settings };
            state.apply(&record);
            state.connector(&"a".into()).unwrap().revision
        };
        let (first, second) = (revision(), revision());
        let mut look = |revision| restarts.look(now, &of, Condition::Failed(revision), &policy);
        assert_eq!(
            [look(first), look(first), look(first)],
            [Verdict::Restart, Verdict::GiveUp, Verdict::Nothing]
        );
        assert_eq!(look(second), Verdict::Restart);
        assert_eq!(restarts.totals.get(&of), Some(&2));
        restarts.forget_all(&"b".into());
        assert_eq!((restarts.totals.len(), restarts.version), (1, 2));
        restarts.forget_all(&"a".into());
        assert_eq!((restarts.totals.len(), restarts.attempts.len(), restarts.version), (0, 0, 3));
    }

    proptest! {
        /// Whatever happens and however often it is looked: never sooner than due, never more often than allowed.
        #[test]
        fn never_too_soon_and_never_too_often(
            max in prop::option::of(0_u32..5),
            unit in 1_u64..1000,
            longest in 1_u64..20_000,
            steps in prop::collection::vec((0_u64..3000, 0_u8..4), 1..200),
        ) {
            let policy = RestartPolicy {
                enabled: true,
                restarts_max: max,
                unit: Duration::from_millis(unit),
                longest: Duration::from_millis(longest),
            };
            let mut now = Clock.now().instant;
            let mut attempts = Attempts::new(Revision::default());
            let (mut in_a_row, mut failed_at, mut runs_since) = (0, None, None);
            for (pause, what) in steps {
                now += Duration::from_millis(pause);
                let condition = match what {
                    0 => Condition::Runs,
                    1 => Condition::Else,
                    _ => failed(),
                };
                match condition {
                    Condition::Runs => {
                        failed_at = None;
                        runs_since.get_or_insert(now);
                    }
                    Condition::Failed(_) => {
                        let ran = runs_since.take().map(|since: Instant| now - since);
                        if ran.is_some_and(|ran| ran > policy.pause_after(in_a_row)) {
                            in_a_row = 0;
                        }
                        failed_at.get_or_insert(now);
                    }
                    Condition::Else => {
                        let ran = runs_since.take().map(|since: Instant| now - since);
                        if ran.is_some_and(|ran| ran > policy.pause_after(in_a_row)) {
                            in_a_row = 0;
                        }
                        failed_at = None;
                    }
                }
                if attempts.look(now, condition, &policy) == Verdict::Restart {
                    let waited = now - failed_at.take().expect("it has not failed");
                    prop_assert!(waited >= policy.pause_after(in_a_row), "{:?} after {}", waited, in_a_row);
                    in_a_row += 1;
                    prop_assert!(max.is_none_or(|max| in_a_row <= max), "{} in a row", in_a_row);
                }
            }
        }

        /// What fails again and again is restarted until it may not be any more.
        #[test]
        fn never_forgotten(max in 0_u32..6, unit in 1_u64..1000) {
            let unit = Duration::from_millis(unit);
            let policy = RestartPolicy { enabled: true, restarts_max: Some(max), unit, longest: Duration::from_secs(3600) };
            let mut now = Clock.now().instant;
            let mut attempts = Attempts::new(Revision::default());
            let mut restarts = 0;
            loop {
                match attempts.look(now, failed(), &policy) {
                    Verdict::Wait(due) => now = due.instant(),
                    Verdict::Restart => restarts += 1,
                    Verdict::GiveUp => break,
                    Verdict::Nothing => prop_assert!(false, "nobody looks again"),
                }
            }
            prop_assert_eq!(restarts, max);
        }
    }
}
