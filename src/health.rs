//! What the worker says of its own health (KIP-1017): the phase of its start, what it is doing, and the one function
//! that makes a health state of them.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::stdx::time::Now;

/// How far the worker has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum StartupPhase {
    /// Not all that belongs to the start has been done.
    Starting = 0,
    /// The start is complete.
    Ready = 1,
    /// The worker is ending.
    Stopping = 2,
}

impl StartupPhase {
    /// The word for it in `GET /health?verbose=true`.
    pub fn name(self) -> &'static str {
        match self {
            StartupPhase::Starting => "starting",
            StartupPhase::Ready => "ready",
            StartupPhase::Stopping => "stopping",
        }
    }
}

/// The phase as all threads see it. Only the tick thread stores it.
#[derive(Debug, Default)]
pub struct SharedPhase(AtomicU8);

impl SharedPhase {
    /// The present phase. Any thread; never blocks.
    pub fn load(&self) -> StartupPhase {
        match self.0.load(Ordering::Acquire) {
            0 => StartupPhase::Starting,
            1 => StartupPhase::Ready,
            _ => StartupPhase::Stopping,
        }
    }

    /// Moves on to a phase. Tick thread only.
    pub(crate) fn store(&self, phase: StartupPhase) {
        self.0.store(phase as u8, Ordering::Release);
    }
}

/// What the worker is doing or waiting for, in words that fit after «The worker is currently …».
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// The tick thread does not run yet.
    AwaitingStartup,
    /// No broker has answered yet.
    ContactingKafka,
    /// The offsets file is created, read and parsed.
    ReadingOffsets,
    /// Connectors of the command line are created, and their tasks started; how many are left, and one of them.
    StartingConnectors {
        /// How many have not come to run.
        left: usize,
        /// One of them.
        example: String,
    },
    /// The internal topics of a group are created, checked or read; which of them, and what is in the way.
    PreparingInternalTopics(String),
    /// The worker waits for its group to divide the work.
    JoiningGroup,
    /// What was taken from this worker ends, before it joins its group again.
    StoppingForRebalance,
    /// What is configured is read as far as the leader has read it.
    ReadingConfigTopic,
    /// The config topic could not be read, and is tried again after a pause.
    BackingOff,
    /// The config topic cannot be read; why.
    ConfigTopicUnreadable(String),
    /// The coordinator of the group does not answer; why.
    AwaitingCoordinator(String),
    /// This worker leads, and makes the config topic its own to write.
    ClaimingConfigTopic,
    /// This worker leads, and publishes a key for requests between workers.
    WritingSessionKey,
    /// The tick thread handles one event.
    Handling(&'static str),
    /// Tasks and connectors end.
    ShuttingDown,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stage::AwaitingStartup => f.write_str("awaiting startup"),
            Stage::ContactingKafka => f.write_str("trying to reach the Kafka cluster"),
            Stage::ReadingOffsets => f.write_str("reading the offsets file"),
            Stage::StartingConnectors { left: 1, example } => write!(f, "starting connector {example}"),
            Stage::StartingConnectors { left, example } => {
                write!(f, "starting {left} connectors, {example} among them")
            }
            Stage::PreparingInternalTopics(what) => f.write_str(what),
            Stage::JoiningGroup => f.write_str("ensuring membership in the cluster"),
            Stage::StoppingForRebalance => {
                f.write_str("stopping connectors and tasks that are another worker's now")
            }
            Stage::ReadingConfigTopic => f.write_str("reading to the end of the config topic"),
            Stage::BackingOff => {
                f.write_str("sleeping for a backoff duration, since the config topic could not be read")
            }
            Stage::ConfigTopicUnreadable(why) => write!(f, "unable to read the config topic: {why}"),
            Stage::AwaitingCoordinator(why) => write!(f, "waiting for the group coordinator: {why}"),
            Stage::ClaimingConfigTopic => f.write_str("reclaiming write privileges for the config topic"),
            Stage::WritingSessionKey => f.write_str("writing a new session key to the config topic"),
            Stage::Handling(event) => write!(f, "handling {event}"),
            Stage::ShuttingDown => f.write_str("shutting down"),
        }
    }
}

impl Stage {
    /// Whether `self` is the same step of the work as `other`, however far it has come.
    fn continues(&self, other: &Stage) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// A stage and when it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageSince {
    /// What is being done.
    pub stage: Stage,
    /// Since when.
    pub since: Timestamp,
}

/// A part of the start that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartupStep {
    /// What was done.
    pub stage: Stage,
    /// How long it took.
    pub took: Duration,
}

/// A turn of the tick thread takes microseconds; one that lasts this long is worth telling.
const LONG_TURN: Duration = Duration::from_millis(100);

/// Where the tick thread notes what it does, readable without it.
#[derive(Debug)]
pub struct StageBoard(Mutex<Board>);

#[derive(Debug)]
struct Board {
    /// What the worker as a whole waits for; `None` once nothing is outstanding.
    waiting: Option<(Stage, Now)>,
    /// What the tick thread does in this turn.
    turn: Option<(Stage, Now)>,
    startup: Vec<StartupStep>,
    /// The start is over: nothing was outstanding once.
    started: bool,
}

impl StageBoard {
    /// A board of a worker whose tick thread does not run yet.
    pub fn new(now: Now) -> Self {
        let waiting = Some((Stage::AwaitingStartup, now));
        StageBoard(Mutex::new(Board { waiting, turn: None, startup: Vec::new(), started: false }))
    }

    /// What the worker is doing at `now`, as far as it is doing anything: the turn of the tick thread if it has lasted
    /// longer than a turn should, else what the worker as a whole waits for. Any thread.
    pub fn current(&self, now: Now) -> Option<StageSince> {
        let board = self.lock();
        let is_long = |since: &Now| now.instant.saturating_duration_since(since.instant) >= LONG_TURN;
        let turn = board.turn.as_ref().filter(|(_, since)| is_long(since));
        let (stage, since) = turn.or(board.waiting.as_ref())?;
        Some(StageSince { stage: stage.clone(), since: since.wall })
    }

    /// The parts of the start that are over, in order. Any thread.
    pub fn startup(&self) -> Vec<StartupStep> {
        self.lock().startup.clone()
    }

    /// What the worker waits for from now on. Tick thread only.
    pub(crate) fn wait_for(&self, stage: Option<Stage>, now: Now) {
        let mut board = self.lock();
        let continues = match (&board.waiting, &stage) {
            (Some((before, _)), Some(after)) => after.continues(before),
            (None, None) => return,
            (None, Some(_)) | (Some(_), None) => false,
        };
        let before = board.waiting.take();
        if continues {
            board.waiting = before.zip(stage).map(|((_, since), stage)| (stage, since));
            return;
        }
        if let Some((stage, since)) = before.filter(|_| !board.started) {
            let took = now.instant.saturating_duration_since(since.instant);
            board.startup.push(StartupStep { stage, took });
        }
        board.started |= stage.is_none();
        board.waiting = stage.map(|stage| (stage, now));
    }

    /// A turn of the tick thread begins. Tick thread only.
    pub(crate) fn begin_turn(&self, event: &'static str, now: Now) {
        self.lock().turn = Some((Stage::Handling(event), now));
    }

    /// How long the present turn of the tick thread has lasted at `now`; zero between turns. Any thread.
    pub fn turn_age(&self, now: Now) -> Duration {
        let turn = self.lock().turn.as_ref().map(|(_, since)| since.instant);
        turn.map_or(Duration::ZERO, |since| now.instant.saturating_duration_since(since))
    }

    /// The turn is over. Tick thread only.
    pub(crate) fn end_turn(&self) {
        self.lock().turn = None;
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer of `GET /health`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthState {
    /// The start is complete and requests are served.
    Healthy,
    /// The start is not complete.
    Starting,
    /// The start was complete, but this request was not served in time.
    Unhealthy,
}

impl HealthState {
    /// The state of a worker in `phase` whose tick thread did or did not answer in time.
    pub fn of(phase: StartupPhase, answered: bool) -> Self {
        match (answered, phase) {
            (true, StartupPhase::Ready) => HealthState::Healthy,
            (_, StartupPhase::Starting) => HealthState::Starting,
            (false, StartupPhase::Ready) | (_, StartupPhase::Stopping) => HealthState::Unhealthy,
        }
    }

    /// The `status` of the body, as KIP-1017 gives it.
    pub fn status(self) -> &'static str {
        match self {
            HealthState::Healthy => "healthy",
            HealthState::Starting => "starting",
            HealthState::Unhealthy => "unhealthy",
        }
    }

    /// The `message` of the body, as KIP-1017 gives it.
    pub fn message(self) -> &'static str {
        match self {
            HealthState::Healthy => "Worker has completed startup and is ready to handle requests",
            HealthState::Starting => "Worker is still starting up",
            HealthState::Unhealthy => {
                "Worker was unable to handle this request and may be unable to handle other requests"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stdx::time::Clock;

    #[test]
    fn the_state_follows_from_phase_and_answer() {
        use HealthState::{Healthy, Starting, Unhealthy};
        let table = [
            (StartupPhase::Starting, false, Starting),
            (StartupPhase::Starting, true, Starting),
            (StartupPhase::Ready, true, Healthy),
            (StartupPhase::Ready, false, Unhealthy),
            (StartupPhase::Stopping, true, Unhealthy),
            (StartupPhase::Stopping, false, Unhealthy),
        ];
        for (phase, answered, state) in table {
            assert_eq!(HealthState::of(phase, answered), state, "{phase:?}, answered: {answered}");
        }
    }

    #[test]
    fn the_phase_is_what_was_stored() {
        let phase = SharedPhase::default();
        for stored in [StartupPhase::Starting, StartupPhase::Ready, StartupPhase::Stopping] {
            phase.store(stored);
            assert_eq!(phase.load(), stored);
        }
    }

    #[test]
    fn progress_within_a_stage_keeps_its_beginning() {
        let start = Clock.now();
        let after = |seconds| {
            let step = Duration::from_secs(seconds);
            Now { instant: start.instant + step, wall: start.wall + step }
        };
        let starting = |left| Stage::StartingConnectors { left, example: "c".to_owned() };
        let board = StageBoard::new(start);
        board.wait_for(Some(starting(2)), after(1));
        board.wait_for(Some(starting(1)), after(2));
        let expected = StageSince { stage: starting(1), since: after(1).wall };
        assert_eq!(board.current(after(3)), Some(expected));
        board.wait_for(None, after(4));
        assert_eq!(board.current(after(4)), None);
        let steps: Vec<_> = board.startup().into_iter().map(|step| step.took.as_secs()).collect();
        assert_eq!(steps, [1, 3]);
    }

    #[test]
    fn a_turn_that_does_not_end_can_be_seen() {
        let now = Clock.now();
        let board = StageBoard::new(now);
        board.wait_for(None, now);
        board.begin_turn("a request", now);
        let later = Now { instant: now.instant + LONG_TURN, ..now };
        assert_eq!(board.current(now), None);
        let seen = board.current(later).map(|at| at.stage.to_string());
        assert_eq!(seen.as_deref(), Some("handling a request"));
        board.end_turn();
        assert_eq!(board.current(later), None);
    }
}
