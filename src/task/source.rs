//! A source task's life: start, poll, send, commit, stop.
//!
//! ```text
//! Unstarted ──► Running ──► Ending (waits for acknowledgements, then for the last commit) ──► Ended
//!     └────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! A failure ends the task in the same way as a stop: what was acknowledged is committed first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chain::Chain;
use super::control::Ending;
use super::conversion::Conversion;
use super::frame::{Frame, Gate, PauseChange};
use super::offsets::TaskOffsets;
use super::polls::Polls;
use super::runner::{Next, Turn};
use super::source_commit::OffsetCommits;
use super::source_flow::{Sent, SourceFlow, without_producer};
use super::{TaskEventKind, TaskSpec};
use crate::api::error::{ConnectError, Result};
use crate::api::source::{SourcePlugin, SourceTask};
use crate::kafka::producer::Producers;
use crate::stdx::log_context::LogContext;
use crate::store::offset_store::OffsetStore;

const TARGET: &str = "org.apache.kafka.connect.runtime.WorkerSourceTask";

/// The longest rest of a task whose records find no room: acknowledgements wake it before.
const BLOCKED: Duration = Duration::from_millis(100);

/// The turns of a source task.
pub(super) struct SourceTurns {
    frame: Frame,
    phase: Phase,
}

enum Phase {
    Unstarted(Box<Unstarted>),
    Running(Box<Running>),
    Ending(Box<Running>, LastSteps),
    Ended,
}

struct Unstarted {
    spec: TaskSpec,
    plugin: Arc<dyn SourcePlugin>,
    offsets: Arc<dyn OffsetStore>,
    producers: Arc<Producers>,
}

struct Running {
    task: Box<dyn SourceTask>,
    flow: SourceFlow,
    commits: OffsetCommits,
    stop_timeout: Duration,
    polls: Polls,
}

/// What is left to do for a task that ends.
struct LastSteps {
    failure: Option<ConnectError>,
    step: LastStep,
}

enum LastStep {
    /// Waits for the acknowledgements of what was sent, until the given moment.
    Acknowledgements(Instant),
    /// Waits for the last commit, which has a deadline of its own.
    Commit,
}

impl SourceTurns {
    pub(super) fn new(
        frame: Frame,
        spec: TaskSpec,
        plugin: Arc<dyn SourcePlugin>,
        offsets: Arc<dyn OffsetStore>,
        producers: Arc<Producers>,
    ) -> Self {
        let unstarted = Unstarted { spec, plugin, offsets, producers };
        SourceTurns { frame, phase: Phase::Unstarted(Box::new(unstarted)) }
    }

    fn begin(&mut self, unstarted: Box<Unstarted>, now: Instant) -> Next {
        match self.frame.gate() {
            Gate::Start => {}
            Gate::Wait => {
                self.phase = Phase::Unstarted(unstarted);
                return Next::WhenWoken;
            }
            Gate::End => return Next::Done,
        }
        let started = unstarted.start(&self.frame, now);
        self.frame.report_start(started.as_ref().map(|_| ()));
        let Ok(running) = started else { return Next::Done };
        self.phase = Phase::Running(Box::new(running));
        Next::Again
    }

    fn run(&mut self, mut running: Box<Running>, now: Instant) -> Next {
        match self.frame.control.ending() {
            Ending::None => {}
            Ending::Stop => return self.begin_end(running, None, now),
            Ending::Cancel => return self.finish(*running, None),
        }
        match running.turn(&mut self.frame, now) {
            Ok(next) => {
                self.phase = Phase::Running(running);
                next
            }
            Err(error) => {
                self.frame.log_failure(&error);
                self.begin_end(running, Some(error), now)
            }
        }
    }

    fn begin_end(&mut self, running: Box<Running>, failure: Option<ConnectError>, now: Instant) -> Next {
        let step = LastStep::Acknowledgements(now + running.stop_timeout);
        self.phase = Phase::Ending(running, LastSteps { failure, step });
        Next::Again
    }

    fn end(&mut self, mut running: Box<Running>, mut last: LastSteps, now: Instant) -> Next {
        if self.frame.control.ending() == Ending::Cancel {
            return self.finish(*running, last.failure);
        }
        let until = match last.step {
            LastStep::Acknowledgements(until) => match running.wait_for_acknowledgements(now, until) {
                Ok(true) => {
                    running.begin_last_commit(&self.frame, now);
                    last.step = LastStep::Commit;
                    now
                }
                Ok(false) => until,
                Err(error) => {
                    // The first failure is the one to show.
                    last.failure = last.failure.or(Some(error));
                    now
                }
            },
            LastStep::Commit => {
                running.commits.settle(now, running.task.as_mut());
                if !running.commits.is_writing() {
                    return self.finish(*running, last.failure);
                }
                running.commits.next_due()
            }
        };
        self.phase = Phase::Ending(running, last);
        if until <= now { Next::Again } else { Next::At(until) }
    }

    /// Stops the plug-in, lets go of everything, and tells the owner.
    fn finish(&mut self, mut running: Running, failure: Option<ConnectError>) -> Next {
        self.frame.note_stop(running.task.stop());
        drop(running);
        self.frame.report_end(failure.as_ref());
        Next::Done
    }
}

impl Turn for SourceTurns {
    fn turn(&mut self, now: Instant) -> Next {
        let _context = LogContext::enter(&self.frame.context);
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Unstarted(unstarted) => self.begin(unstarted, now),
            Phase::Running(running) => self.run(running, now),
            Phase::Ending(running, last) => self.end(running, last, now),
            Phase::Ended => Next::Done,
        }
    }

    fn panicked(&mut self, message: &str) {
        let _context = LogContext::enter(&self.frame.context);
        self.frame.report_panic(message);
    }
}

impl Unstarted {
    fn start(self: Box<Self>, frame: &Frame, now: Instant) -> Result<Running> {
        let Unstarted { spec, plugin, offsets, producers } = *self;
        let conversion = Conversion::new(&spec.converters)?;
        let ways = (Chain::new(&spec.transforms)?, conversion);
        let producer = producers.get(&spec.client).map_err(without_producer)?;
        frame.counters.client_made(spec.client.get("client.id"), producer.figures());
        let mut task = plugin.task();
        let context = Arc::new(TaskOffsets {
            connector: spec.id.connector.clone(),
            store: Arc::clone(&offsets),
            control: Arc::clone(&frame.control),
            transactions: None,
        });
        let started = task
            .start(context, &spec.settings)
            .and_then(|()| producer.lane(frame.wake(), task.wants_commit_record()).map_err(without_producer));
        let lane = match started {
            Ok(lane) => lane,
            Err(error) => {
                frame.note_stop(task.stop());
                return Err(error);
            }
        };
        log::info!(target: TARGET, "{} Source task finished initialization and start", frame.name);
        Ok(Running {
            flow: SourceFlow::new(frame, &spec, lane, ways, task.wants_commit_record()),
            task,
            commits: OffsetCommits::new(frame, &spec, offsets, now),
            stop_timeout: spec.stop_timeout,
            polls: Polls::new(),
        })
    }
}

impl Running {
    fn turn(&mut self, frame: &mut Frame, now: Instant) -> Result<Next> {
        if frame.control.takes_topics_anew() {
            self.flow.forget_topics();
        }
        self.flow.acknowledge(self.task.as_mut())?;
        self.tell(frame, now);
        self.commits.tick(now, self.flow.submitted(), self.task.as_mut());
        match frame.look_at_pause() {
            PauseChange::None => {}
            PauseChange::Pauses => {
                frame.report(TaskEventKind::Paused);
                return Ok(Next::At(self.commits.next_due()));
            }
            PauseChange::StaysPaused => return Ok(Next::At(self.commits.next_due())),
            PauseChange::Resumes => frame.report(TaskEventKind::Resumed),
        }
        if self.flow.has_backlog() {
            return self.send(now);
        }
        if let Some(poll_at) = self.polls.not_before(now) {
            return Ok(Next::At(poll_at.min(self.commits.next_due())));
        }
        match self.polls.poll(self.task.as_mut(), frame)? {
            Some(batch) => {
                self.flow.take_batch(batch);
                frame.counters.active(now, self.flow.active());
                self.send(now)
            }
            None => Ok(Next::Again),
        }
    }

    fn send(&mut self, now: Instant) -> Result<Next> {
        match self.flow.send(self.task.as_mut(), now)? {
            Sent::All => Ok(Next::Again),
            Sent::Retries(until) => Ok(Next::At(until.min(self.commits.next_due()))),
            Sent::Blocked => {
                // Woken when a good part has room again: not for each record.
                let part = self.flow.outstanding() / 4;
                let rests = self.flow.wake_after(part, self.task.as_mut())?;
                Ok(if rests { Next::At((now + BLOCKED).min(self.commits.next_due())) } else { Next::Again })
            }
        }
    }

    /// Tells what the latest acknowledgements have come to.
    fn tell(&mut self, frame: &Frame, now: Instant) {
        for topic in self.flow.take_topics() {
            frame.report(TaskEventKind::Topic(topic));
        }
        frame.counters.written(now, self.flow.take_written());
        frame.counters.active(now, self.flow.active());
    }

    /// Whether the wait for acknowledgements is over: there are none to wait for, or its time is.
    fn wait_for_acknowledgements(&mut self, now: Instant, until: Instant) -> Result<bool> {
        loop {
            self.flow.acknowledge(self.task.as_mut())?;
            let outstanding = self.flow.outstanding();
            if outstanding == 0 || now >= until {
                return Ok(true);
            }
            if self.flow.wake_after(outstanding, self.task.as_mut())? {
                return Ok(false);
            }
        }
    }

    fn begin_last_commit(&mut self, frame: &Frame, now: Instant) {
        self.tell(frame, now);
        let outstanding = self.flow.outstanding();
        if outstanding > 0 {
            log::error!(
                target: TARGET,
                "{} Timed out waiting for {outstanding} records that Kafka has not acknowledged; they will be read \
                 and sent again when the task starts",
                frame.name,
            );
        }
        self.commits.begin_last(now, self.flow.submitted(), self.task.as_mut());
    }
}
