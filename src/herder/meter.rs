//! What the tick thread counts of itself and of what it decided, readable by any thread without asking it: also while it is
//! stuck. Only the tick thread adds.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Herder;
use super::auto_restart::RestartTotals;
use super::membership::{Contact, Membership, Standing};
use super::msg::{Effect, HerderEvent};
use crate::api::ids::{ConnectorName, Epoch, TaskId};
use crate::connector::{ConnectorEvent, ConnectorEventKind};
use crate::group::events::GroupEvent;
use crate::group::protocol::ProtocolVersion;
use crate::stdx::sampled::{Sample, Sampled, Tally, Total, Windows};
use crate::stdx::time::Clock;
use crate::task::{TaskEvent, TaskEventKind};

/// The upper bounds of the buckets of turn times, in microseconds. Beyond the last is one more.
pub const TURN_BUCKETS_US: [u64; 10] =
    [10, 50, 100, 500, 1_000, 5_000, 50_000, 500_000, 5_000_000, 30_000_000];

/// What is counted.
#[derive(Debug)]
pub struct HerderMeter {
    windows: Windows,
    began: Instant,
    turns: [AtomicU64; TURN_BUCKETS_US.len() + 1],
    turns_us: AtomicU64,
    longest_us: AtomicU64,
    connectors: Starts,
    tasks: Starts,
    group: Mutex<Option<Rounds>>,
    restarts: Mutex<Arc<RestartTotals>>,
}

/// How starts ended.
#[derive(Debug)]
struct Starts {
    attempts: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
    abandoned: AtomicU64,
    /// 1 for each that succeeded, 0 for each that failed.
    lately: Sampled,
}

/// How starts ended, at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StartsReading {
    /// How often it was tried.
    pub attempts: u64,
    /// How often that succeeded.
    pub succeeded: u64,
    /// How often that failed.
    pub failed: u64,
    /// How many did not end in time and were given up.
    pub abandoned: u64,
    /// 1 for each that succeeded lately, 0 for each that failed.
    pub lately: Sample,
}

/// How long turns took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnsReading {
    /// How many turns took no longer than each of [`TURN_BUCKETS_US`], and how many longer.
    pub buckets: [u64; TURN_BUCKETS_US.len() + 1],
    /// All turns together.
    pub sum: Duration,
    /// The longest.
    pub max: Duration,
}

/// The rounds of the group that this worker was in.
#[derive(Debug)]
struct Rounds {
    standing: Glance,
    /// When the present rebalance began, or the last one ended.
    since: Instant,
    completed: u64,
    took: Sampled,
    joins: Tally,
    syncs: Tally,
    answers: Tally,
}

/// Where this worker stands in its group.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Glance {
    is_rebalancing: bool,
    generation: i32,
    leader_url: String,
    protocol: ProtocolVersion,
    connectors: usize,
    tasks: usize,
    contact: Option<Instant>,
}

/// Where this worker stands in its group, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupReading {
    /// Whether the work is being divided anew.
    pub is_rebalancing: bool,
    /// The generation; -1 before the first.
    pub generation: i32,
    /// Where the leader is reached; empty while that is not known.
    pub leader_url: String,
    /// `EAGER`, `COMPATIBLE` or `SESSIONED`.
    pub protocol: &'static str,
    /// Connectors that the leader gave this worker.
    pub connectors: usize,
    /// Tasks that it gave it.
    pub tasks: usize,
    /// How many rebalances have ended.
    pub completed: u64,
    /// Microseconds that they took.
    pub took: Sample,
    /// Since the last one ended; `None` before the first.
    pub since_last: Option<Duration>,
    /// Since the coordinator answered last; `None` while there is no contact.
    pub since_contact: Option<Duration>,
    /// Joins.
    pub joins: Total,
    /// Assignments.
    pub syncs: Total,
    /// Heartbeats that were answered.
    pub heartbeats: Total,
}

impl HerderMeter {
    /// Nothing yet.
    pub fn new(windows: Windows, began: Instant) -> Self {
        HerderMeter {
            windows,
            began,
            turns: std::array::from_fn(|_| AtomicU64::new(0)),
            turns_us: AtomicU64::new(0),
            longest_us: AtomicU64::new(0),
            connectors: Starts::new(windows, began),
            tasks: Starts::new(windows, began),
            group: Mutex::new(None),
            restarts: Mutex::default(),
        }
    }

    /// How long turns took. Any thread.
    pub fn turns(&self) -> TurnsReading {
        TurnsReading {
            buckets: std::array::from_fn(|bucket| self.turns[bucket].load(Ordering::Relaxed)),
            sum: Duration::from_micros(self.turns_us.load(Ordering::Relaxed)),
            max: Duration::from_micros(self.longest_us.load(Ordering::Relaxed)),
        }
    }

    /// How starts of connectors ended. Any thread.
    pub fn connectors(&self, now: Instant) -> StartsReading {
        self.connectors.read(now)
    }

    /// How starts of tasks ended. Any thread.
    pub fn tasks(&self, now: Instant) -> StartsReading {
        self.tasks.read(now)
    }

    /// Where this worker stands in its group; `None` if it is alone. Any thread.
    pub fn group(&self, now: Instant) -> Option<GroupReading> {
        self.rounds().as_ref().map(|rounds| rounds.read(now))
    }

    /// How often what was restarted by itself. Any thread.
    pub fn restarts(&self) -> Arc<RestartTotals> {
        Arc::clone(&self.restarts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn turned(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = TURN_BUCKETS_US.partition_point(|bound| *bound < took);
        self.turns[bucket].fetch_add(1, Ordering::Relaxed);
        self.turns_us.fetch_add(took, Ordering::Relaxed);
        self.longest_us.fetch_max(took, Ordering::Relaxed);
    }

    fn rounds(&self) -> MutexGuard<'_, Option<Rounds>> {
        // Nothing panics while the lock is held, and nobody waits.
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for HerderMeter {
    fn default() -> Self {
        HerderMeter::new(Windows::default(), Clock.now().instant)
    }
}

impl Starts {
    fn new(windows: Windows, began: Instant) -> Self {
        let zero = || AtomicU64::new(0);
        Starts {
            attempts: zero(),
            succeeded: zero(),
            failed: zero(),
            abandoned: zero(),
            lately: Sampled::new(windows, began),
        }
    }

    fn ended(&self, now: Instant, succeeded: bool) {
        let count = if succeeded { &self.succeeded } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
        self.lately.add(now, u64::from(succeeded));
    }

    fn read(&self, now: Instant) -> StartsReading {
        StartsReading {
            attempts: self.attempts.load(Ordering::Relaxed),
            succeeded: self.succeeded.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            abandoned: self.abandoned.load(Ordering::Relaxed),
            lately: self.lately.read(now),
        }
    }
}

/// What the tick thread keeps to tell the meter. Owned by it.
#[derive(Debug)]
pub(super) struct Metering {
    meter: Arc<HerderMeter>,
    /// Instances whose starts have not ended.
    connectors: BTreeSet<(ConnectorName, Epoch)>,
    tasks: BTreeSet<(TaskId, Epoch)>,
    /// Of the restarts that the meter has.
    restarts: u64,
}

impl Metering {
    pub(super) fn new(meter: Arc<HerderMeter>) -> Self {
        Metering { meter, connectors: BTreeSet::new(), tasks: BTreeSet::new(), restarts: 0 }
    }

    /// An event comes.
    #[expect(clippy::wildcard_enum_match_arm, reason = "few of them are counted")]
    pub(super) fn event(&mut self, now: Instant, event: &HerderEvent) {
        match event {
            HerderEvent::Connector(ConnectorEvent { name, epoch, kind }) => {
                let succeeded = match kind {
                    ConnectorEventKind::Started => Some(true),
                    ConnectorEventKind::Failed { .. } => Some(false),
                    ConnectorEventKind::Stopped => None,
                    ConnectorEventKind::TaskConfigs(_) | ConnectorEventKind::ReconfigurationRequested => {
                        return;
                    }
                };
                if self.connectors.remove(&(name.clone(), *epoch))
                    && let Some(succeeded) = succeeded
                {
                    self.meter.connectors.ended(now, succeeded);
                }
            }
            HerderEvent::Task(TaskEvent { id, epoch, kind }) => {
                let succeeded = match kind {
                    TaskEventKind::Started | TaskEventKind::Paused | TaskEventKind::Resumed => Some(true),
                    TaskEventKind::Failed { .. } => Some(false),
                    TaskEventKind::Stopped => None,
                    TaskEventKind::Topic(_) => return,
                };
                if self.tasks.remove(&(id.clone(), *epoch))
                    && let Some(succeeded) = succeeded
                {
                    self.meter.tasks.ended(now, succeeded);
                }
            }
            HerderEvent::Group(event) => self.group_event(now, event),
            _ => {}
        }
    }

    fn group_event(&self, now: Instant, event: &GroupEvent) {
        let mut rounds = self.meter.rounds();
        let Some(rounds) = rounds.as_mut() else { return };
        match event {
            GroupEvent::Joined { .. } => rounds.joins.add(now, 1),
            GroupEvent::Assigned { .. } => rounds.syncs.add(now, 1),
            GroupEvent::Contact { .. } => rounds.answers.add(now, 1),
            GroupEvent::RejoinNeeded(_)
            | GroupEvent::ContactLost { .. }
            | GroupEvent::CoordinatorUnreachable { .. }
            | GroupEvent::PollTimeout
            | GroupEvent::Left
            | GroupEvent::Fatal(_) => {}
        }
    }

    /// An effect is carried out.
    #[expect(clippy::wildcard_enum_match_arm, reason = "few of them are counted")]
    pub(super) fn effect(&mut self, effect: &Effect) {
        let one = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed);
        match effect {
            Effect::StartConnector { name, epoch, .. } => {
                one(&self.meter.connectors.attempts);
                self.connectors.insert((name.clone(), *epoch));
            }
            Effect::StartTask(task) => {
                one(&self.meter.tasks.attempts);
                self.tasks.insert((task.id.clone(), task.epoch));
            }
            Effect::AbandonConnector(name, epoch) => {
                one(&self.meter.connectors.abandoned);
                self.connectors.remove(&(name.clone(), *epoch));
            }
            Effect::AbandonTask(id, epoch) => {
                one(&self.meter.tasks.abandoned);
                self.tasks.remove(&(id.clone(), *epoch));
            }
            _ => {}
        }
    }

    /// A turn is over that took so long.
    pub(super) fn turned(&mut self, now: Instant, took: Duration, herder: &Herder) {
        self.meter.turned(took);
        if let Some((version, totals)) = herder.restart_totals(self.restarts) {
            self.restarts = version;
            let totals = Arc::new(totals.clone());
            *self.meter.restarts.lock().unwrap_or_else(PoisonError::into_inner) = totals;
        }
        let Some(glance) = herder.glance() else { return };
        let meter = &self.meter;
        let mut rounds = meter.rounds();
        let rounds = rounds.get_or_insert_with(|| Rounds::new(meter, now, glance.clone()));
        rounds.look(now, glance);
    }
}

impl Rounds {
    fn new(meter: &HerderMeter, now: Instant, standing: Glance) -> Self {
        let tally = || Tally::new(meter.windows, meter.began);
        Rounds {
            standing,
            since: now,
            completed: 0,
            took: Sampled::new(meter.windows, meter.began),
            joins: tally(),
            syncs: tally(),
            answers: tally(),
        }
    }

    fn look(&mut self, now: Instant, standing: Glance) {
        match (self.standing.is_rebalancing, standing.is_rebalancing) {
            (false, true) => self.since = now,
            (true, false) => {
                let took = now.saturating_duration_since(self.since);
                self.took.add_time(now, took);
                self.completed += 1;
                self.since = now;
            }
            (true, true) | (false, false) => {}
        }
        self.standing = standing;
    }

    fn read(&self, now: Instant) -> GroupReading {
        let Glance { is_rebalancing, generation, leader_url, protocol, connectors, tasks, contact } =
            &self.standing;
        let ended = (self.completed > 0).then(|| now.saturating_duration_since(self.since));
        let (joins, syncs, answers) = (self.joins.read(now), self.syncs.read(now), self.answers.read(now));
        // Every answer is told before what it leads to: what led to a generation or an assignment was no heartbeat.
        let others = |of: fn(&Total) -> u64| of(&answers).saturating_sub(of(&joins) + of(&syncs));
        let (all, lately) = (others(|total| total.all), others(|total| total.lately.sum));
        let lately = Sample { count: lately, sum: lately, ..answers.lately };
        GroupReading {
            is_rebalancing: *is_rebalancing,
            generation: *generation,
            leader_url: leader_url.clone(),
            protocol: match protocol {
                ProtocolVersion::Eager => "EAGER",
                ProtocolVersion::Compatible => "COMPATIBLE",
                ProtocolVersion::Sessioned => "SESSIONED",
            },
            connectors: *connectors,
            tasks: *tasks,
            completed: self.completed,
            took: self.took.read(now),
            since_last: ended.filter(|_| !is_rebalancing),
            since_contact: contact.map(|at| now.saturating_duration_since(at)),
            joins,
            syncs,
            heartbeats: Total { all, lately },
        }
    }
}

impl Herder {
    /// Where this worker stands in its group; `None` if it is alone.
    fn glance(&self) -> Option<Glance> {
        let Membership::Group(group) = &self.membership else { return None };
        let is_rebalancing = match &group.standing {
            Standing::Outside | Standing::Stable(_) => false,
            Standing::Clearing
            | Standing::Joining
            | Standing::Syncing(_)
            | Standing::Resolving(..)
            | Standing::Away(_)
            | Standing::Returning(_) => true,
        };
        Some(Glance {
            is_rebalancing,
            generation: group.last_completed.map_or(-1, |generation| generation.number()),
            leader_url: group.place().map(|place| place.leader_url.clone()).unwrap_or_default(),
            protocol: group.version,
            connectors: group.held.connectors.len(),
            tasks: group.held.tasks.len(),
            contact: match &group.contact {
                Contact::At { instant, .. } => Some(*instant),
                Contact::Lost { .. } => None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn standing(is_rebalancing: bool, generation: i32) -> Glance {
        Glance {
            is_rebalancing,
            generation,
            leader_url: "http://w:8083/".to_owned(),
            protocol: ProtocolVersion::Sessioned,
            connectors: 1,
            tasks: 2,
            contact: None,
        }
    }

    #[test]
    fn turns_go_into_buckets_by_their_time() {
        let meter = HerderMeter::default();
        for took in
            [Duration::ZERO, Duration::from_micros(10), Duration::from_micros(11), millis(5), millis(60_000)]
        {
            meter.turned(took);
        }
        let turns = meter.turns();
        assert_eq!(turns.buckets, [2, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
        assert_eq!((turns.max, turns.sum), (millis(60_000), millis(60_005) + Duration::from_micros(21)));
    }

    #[test]
    fn a_rebalance_is_from_its_beginning_until_the_worker_is_stable() {
        let meter = HerderMeter::default();
        let began = meter.began;
        let mut rounds = Rounds::new(&meter, began, standing(false, -1));
        assert_eq!(rounds.read(began).since_last, None);
        rounds.look(began + millis(100), standing(true, -1));
        rounds.look(began + millis(200), standing(true, 1));
        assert!(rounds.read(began + millis(300)).is_rebalancing);
        rounds.look(began + millis(400), standing(false, 1));
        let reading = rounds.read(began + millis(1400));
        assert_eq!((reading.completed, reading.generation, reading.protocol), (1, 1, "SESSIONED"));
        assert_eq!((reading.took.max, reading.since_last), (Some(300_000), Some(millis(1000))));
    }

    #[test]
    fn answers_that_led_to_a_generation_are_no_heartbeats() {
        let meter = HerderMeter::default();
        let now = meter.began;
        let rounds = Rounds::new(&meter, now, standing(false, 1));
        (0..5).for_each(|_| rounds.answers.add(now, 1));
        rounds.joins.add(now, 1);
        rounds.syncs.add(now, 1);
        let GroupReading { joins, syncs, heartbeats, .. } = rounds.read(now);
        assert_eq!((joins.all, syncs.all, heartbeats.all, heartbeats.lately.per_second()), (1, 1, 3, 0.1));
    }
}
