//! Decides what systemd is told, and when. Pure.

use std::time::{Duration, Instant};

use crate::health::{Stage, StartupPhase};

/// The status changes with every step of the work; systemd is told no more often than this.
const STATUS_REST: Duration = Duration::from_millis(250);
/// After what was not taken.
const RETRY: Duration = Duration::from_millis(100);
/// systemd takes no message of more than 4096 bytes.
const STATUS_CHARS_MAX: usize = 800;

/// What was told so far.
#[derive(Debug)]
pub(super) struct Report {
    watchdog: Option<Watchdog>,
    is_ready: bool,
    is_stopping: bool,
    /// The status that was told last.
    status: Option<(StartupPhase, Option<Stage>)>,
    /// Not before this is another one told.
    status_rests: Option<Instant>,
    /// Not before this is told again what was not taken.
    retry: Option<Instant>,
}

#[derive(Debug)]
struct Watchdog {
    period: Duration,
    /// When the next sign of life is due; at once before the first.
    due: Option<Instant>,
}

impl Report {
    /// Nothing was told yet. systemd takes a worker for stuck that gave no sign of life for as long as `timeout`.
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Report {
            watchdog: timeout.map(|timeout| Watchdog { period: timeout / 2, due: None }),
            is_ready: false,
            is_stopping: false,
            status: None,
            status_rests: None,
            retry: None,
        }
    }

    /// The tick thread has turned. `send` gets what is to be told, if anything, and returns whether it was taken. Returns
    /// when there will be something to tell even if nothing changes.
    pub(super) fn turn(
        &mut self,
        now: Instant,
        phase: StartupPhase,
        stage: Option<&Stage>,
        send: impl FnOnce(&str) -> bool,
    ) -> Option<Instant> {
        if self.retry.is_none_or(|retry| retry <= now) {
            let message = self.message(now, phase, stage);
            let is_taken = message.is_empty() || send(&message);
            self.retry = (!is_taken).then(|| now + RETRY);
            if is_taken {
                self.told(now, phase, stage);
            }
        }
        if self.retry.is_some() {
            return self.retry;
        }
        let status = self.status_rests.filter(|_| self.has_news(phase, stage));
        self.watchdog.as_ref().and_then(|watchdog| watchdog.due).into_iter().chain(status).min()
    }

    fn message(&self, now: Instant, phase: StartupPhase, stage: Option<&Stage>) -> String {
        let mut lines = Vec::new();
        if self.becomes_ready(phase) {
            lines.push("READY=1".to_owned());
        }
        if self.begins_to_stop(phase) {
            lines.push("STOPPING=1".to_owned());
        }
        if self.status_is_due(now, phase, stage) {
            lines.push(format!("STATUS={}", words(phase, stage)));
        }
        if self.watchdog.as_ref().is_some_and(|watchdog| watchdog.is_due(now)) {
            lines.push("WATCHDOG=1".to_owned());
        }
        lines.join("\n")
    }

    fn told(&mut self, now: Instant, phase: StartupPhase, stage: Option<&Stage>) {
        if self.status_is_due(now, phase, stage) {
            self.status = Some((phase, stage.cloned()));
            self.status_rests = Some(now + STATUS_REST);
        }
        self.is_ready |= phase == StartupPhase::Ready;
        self.is_stopping |= phase == StartupPhase::Stopping;
        if let Some(watchdog) = self.watchdog.as_mut().filter(|watchdog| watchdog.is_due(now)) {
            watchdog.due = Some(now + watchdog.period);
        }
    }

    fn becomes_ready(&self, phase: StartupPhase) -> bool {
        phase == StartupPhase::Ready && !self.is_ready
    }

    fn begins_to_stop(&self, phase: StartupPhase) -> bool {
        phase == StartupPhase::Stopping && !self.is_stopping
    }

    fn status_is_due(&self, now: Instant, phase: StartupPhase, stage: Option<&Stage>) -> bool {
        let is_turning_point = self.becomes_ready(phase) || self.begins_to_stop(phase);
        let rests = !is_turning_point && self.status_rests.is_some_and(|until| now < until);
        !rests && self.has_news(phase, stage)
    }

    fn has_news(&self, phase: StartupPhase, stage: Option<&Stage>) -> bool {
        self.status.as_ref().is_none_or(|(told, of)| *told != phase || of.as_ref() != stage)
    }
}

impl Watchdog {
    fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| due <= now)
    }
}

/// One line: the phase, and what the worker is doing or waiting for.
fn words(phase: StartupPhase, stage: Option<&Stage>) -> String {
    let text = match stage {
        Some(stage) => format!("{}: {stage}", phase.name()),
        None => phase.name().to_owned(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(STATUS_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stdx::time::Clock;

    use StartupPhase::{Ready, Starting, Stopping};

    /// A report, and what it told.
    struct World {
        report: Report,
        now: Instant,
        takes: bool,
    }

    impl World {
        fn new(timeout: Option<u64>) -> Self {
            let report = Report::new(timeout.map(Duration::from_millis));
            World { report, now: Clock.now().instant, takes: true }
        }

        /// What is told by a turn so many milliseconds later, and in how many there is to be another.
        fn turn(&mut self, later: u64, phase: StartupPhase, stage: Option<&Stage>) -> (String, Option<u128>) {
            self.now += Duration::from_millis(later);
            let mut told = String::new();
            let next = self.report.turn(self.now, phase, stage, |message| {
                told = message.replace('\n', ", ");
                self.takes
            });
            (told, next.map(|next| (next - self.now).as_millis()))
        }
    }

    #[track_caller]
    fn tells(told: (String, Option<u128>), words: &str, next: Option<u128>) {
        assert_eq!(told, (words.to_owned(), next));
    }

    #[test]
    fn each_turn_of_its_life_is_told_once() {
        let mut world = World::new(None);
        tells(
            world.turn(0, Starting, Some(&Stage::ContactingKafka)),
            "STATUS=starting: trying to reach the Kafka cluster",
            None,
        );
        tells(world.turn(5000, Starting, Some(&Stage::ContactingKafka)), "", None);
        tells(world.turn(1, Ready, None), "READY=1, STATUS=ready", None);
        tells(world.turn(5000, Ready, None), "", None);
        let lost = Stage::AwaitingCoordinator("gone".to_owned());
        tells(
            world.turn(0, Ready, Some(&lost)),
            "STATUS=ready: waiting for the group coordinator: gone",
            None,
        );
        let end = Some(&Stage::ShuttingDown);
        tells(world.turn(1, Stopping, end), "STOPPING=1, STATUS=stopping: shutting down", None);
        tells(world.turn(1, Stopping, end), "", None);
    }

    #[test]
    fn a_sign_of_life_comes_twice_in_the_time_that_systemd_waits() {
        let mut world = World::new(Some(3000));
        tells(world.turn(0, Ready, None), "READY=1, STATUS=ready, WATCHDOG=1", Some(1500));
        tells(world.turn(1499, Ready, None), "", Some(1));
        tells(world.turn(1, Ready, None), "WATCHDOG=1", Some(1500));
        // A turn that took long is followed by one at once.
        tells(world.turn(4000, Ready, None), "WATCHDOG=1", Some(1500));
        tells(world.turn(0, Stopping, None), "STOPPING=1, STATUS=stopping", Some(1500));
        tells(world.turn(1500, Stopping, None), "WATCHDOG=1", Some(1500));
    }

    #[test]
    fn a_status_that_changes_quickly_is_told_now_and_then_and_the_last_one_surely() {
        let mut world = World::new(None);
        let reading = |count: u64| Stage::PreparingInternalTopics(format!("reading\n{count}"));
        tells(world.turn(0, Starting, Some(&reading(0))), "STATUS=starting: reading 0", None);
        for count in 1..250 {
            let next = Some(u128::from(250 - count));
            tells(world.turn(1, Starting, Some(&reading(count))), "", next);
        }
        tells(world.turn(1, Starting, Some(&reading(249))), "STATUS=starting: reading 249", None);
        let (told, _) = world.turn(1000, Starting, Some(&Stage::PreparingInternalTopics("é".repeat(5000))));
        assert_eq!(told.chars().count(), "STATUS=".len() + STATUS_CHARS_MAX);
    }

    #[test]
    fn what_is_not_taken_is_told_again_with_what_came_meanwhile() {
        let mut world = World::new(Some(1000));
        world.takes = false;
        tells(
            world.turn(0, Starting, Some(&Stage::JoiningGroup)),
            "STATUS=starting: ensuring membership in the cluster, WATCHDOG=1",
            Some(100),
        );
        tells(world.turn(40, Ready, None), "", Some(60));
        tells(world.turn(60, Ready, None), "READY=1, STATUS=ready, WATCHDOG=1", Some(100));
        world.takes = true;
        tells(world.turn(100, Ready, None), "READY=1, STATUS=ready, WATCHDOG=1", Some(500));
    }
}
