//! The life of a source task whose records and offsets are written in transactions (KIP-618).
//!
//! ```text
//! Waiting ─► Fencing ─► Claiming ─► Confirming ─► Running ─► Ending ─► Ended
//! ```
//! Before it begins, tasks of earlier sets are shut out, then earlier instances of itself: by its transactional id. Only
//! then is it looked whether it is still to run, and its offsets are read. A failure gives the open transaction up; a
//! stop commits it.

mod boundary;
mod claim;
mod transaction;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::chain::Chain;
use super::control::Ending;
use super::conversion::Conversion;
use super::frame::{Frame, Gate, PauseChange};
use super::offsets::TaskOffsets;
use super::polls::Polls;
use super::runner::{Next, Turn};
use super::source_flow::{Sent, SourceFlow, without_producer};
use super::{StartStep, TaskEventKind, TaskSpec, TransactionSpec};
use crate::api::error::{ConnectError, Result};
use crate::api::source::{SourcePlugin, SourceTask};
use crate::kafka::producer::Producer;
use crate::stdx::log_context::LogContext;
use crate::stdx::time::Clock;
use crate::store::offset_store::OffsetStore;
use boundary::{Boundaries, Part, Then};
use claim::{Claim, Claimed};
use transaction::{Progress, Transactions, explained};

/// What the end of a task needs beyond its last commit: a call that blocks a little longer, the end of an open transaction,
/// and that of the producer.
const CLOSING: Duration = Duration::from_secs(2);
/// The longest rest of a task whose records find no room: acknowledgements wake it before.
const BLOCKED: Duration = Duration::from_millis(100);

/// The turns of an exactly-once source task.
pub(super) struct ExactlyOnceTurns {
    frame: Frame,
    phase: Phase,
}

enum Phase {
    Waiting(Box<Unstarted>),
    Fencing(Box<Unstarted>, Answer),
    Claiming(Box<Unstarted>, Claim),
    Confirming(Box<Unstarted>, Arc<Producer>, Answer),
    Running(Box<Running>),
    Ending(Box<Running>, LastSteps),
    Ended,
}

/// What is known of the answer to a question.
type Answer = Arc<Mutex<Option<std::result::Result<(), String>>>>;

struct Unstarted {
    spec: TaskSpec,
    plugin: Arc<dyn SourcePlugin>,
    offsets: Arc<dyn OffsetStore>,
    transactions: TransactionSpec,
}

struct Running {
    task: Box<dyn SourceTask>,
    flow: SourceFlow,
    transactions: Transactions,
    boundaries: Boundaries,
    /// What is left of the latest batch, and what follows the part that is being sent.
    parts: VecDeque<Part>,
    then: Option<Then>,
    polls: Polls,
    stop_timeout: Duration,
    /// It is to pause once its transaction has ended.
    pauses: bool,
    /// When the end of a transaction began that is under way.
    commit_began: Option<Instant>,
}

/// What is left to do for a task that ends.
struct LastSteps {
    failure: Option<ConnectError>,
    /// The last commit has begun.
    commits: bool,
    until: Instant,
}

impl ExactlyOnceTurns {
    pub(super) fn new(
        frame: Frame,
        spec: TaskSpec,
        (plugin, offsets, transactions): (Arc<dyn SourcePlugin>, Arc<dyn OffsetStore>, TransactionSpec),
    ) -> Self {
        let unstarted = Unstarted { spec, plugin, offsets, transactions };
        ExactlyOnceTurns { frame, phase: Phase::Waiting(Box::new(unstarted)) }
    }

    fn wait(&mut self, unstarted: Box<Unstarted>) -> Next {
        match self.frame.gate() {
            Gate::Start => {}
            Gate::Wait => {
                self.phase = Phase::Waiting(unstarted);
                return Next::WhenWoken;
            }
            Gate::End => return Next::Done,
        }
        let answer = self.ask(&unstarted, StartStep::Fence);
        self.phase = Phase::Fencing(unstarted, answer);
        Next::WhenWoken
    }

    fn ask(&self, unstarted: &Unstarted, step: StartStep) -> Answer {
        let answer = Answer::default();
        let (of_guard, waker) = (Arc::clone(&answer), self.frame.waker.clone());
        let may_go_on = Box::new(move |outcome| {
            *of_guard.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
            waker.wake();
        });
        unstarted.transactions.guard.ask(self.frame.id(), self.frame.epoch(), step, may_go_on);
        answer
    }

    /// Whether the task is to end before it has begun; then its owner was told.
    fn ends_early(&self) -> bool {
        let ends = self.frame.control.ending() != Ending::None;
        if ends {
            self.frame.report(TaskEventKind::Stopped);
        }
        ends
    }

    fn fail_early(&self, error: &ConnectError) -> Next {
        self.frame.report_start(Err(error));
        Next::Done
    }

    fn fenced(&mut self, unstarted: Box<Unstarted>, answer: Answer) -> Next {
        match taken(&answer) {
            None => {
                self.phase = Phase::Fencing(unstarted, answer);
                Next::WhenWoken
            }
            Some(Err(why)) => {
                self.fail_early(&ConnectError::connect("Failed to perform zombie fencing").caused_by(why))
            }
            Some(Ok(())) => match Producer::transactional(&unstarted.spec.client) {
                Ok(producer) => {
                    let topic = Arc::clone(&unstarted.transactions.offsets_topic);
                    let task = (&*self.frame.name, self.frame.target);
                    let claim = Claim::new((producer, &unstarted.spec.client), topic, task);
                    self.phase = Phase::Claiming(unstarted, claim);
                    Next::Again
                }
                Err(fault) => self.fail_early(&without_producer(fault)),
            },
        }
    }

    fn claim(&mut self, unstarted: Box<Unstarted>, mut claim: Claim, now: Instant) -> Next {
        let next = match claim.go_on((&self.frame.name, self.frame.target), now) {
            Ok(Claimed::Done(producer)) => {
                let answer = self.ask(&unstarted, StartStep::Confirm);
                self.phase = Phase::Confirming(unstarted, producer, answer);
                return Next::WhenWoken;
            }
            Ok(Claimed::Again) => Next::Again,
            Ok(Claimed::At(at)) => Next::At(at),
            Err(fault) => return self.fail_early(&without_producer(fault)),
        };
        self.phase = Phase::Claiming(unstarted, claim);
        next
    }

    fn confirmed(
        &mut self,
        unstarted: Box<Unstarted>,
        producer: Arc<Producer>,
        answer: Answer,
        now: Instant,
    ) -> Next {
        match taken(&answer) {
            None => {
                self.phase = Phase::Confirming(unstarted, producer, answer);
                return Next::WhenWoken;
            }
            Some(Err(why)) => {
                let id = self.frame.id();
                let error = ConnectError::connect(format!("Cannot start source task {id}: {why}"));
                return self.fail_early(&error);
            }
            Some(Ok(())) => {}
        }
        let started = unstarted.start(&self.frame, producer, now);
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
        let until = now + running.stop_timeout.saturating_sub(CLOSING).max(CLOSING / 2);
        self.phase = Phase::Ending(running, LastSteps { failure, commits: false, until });
        Next::Again
    }

    fn end(&mut self, mut running: Box<Running>, mut last: LastSteps, now: Instant) -> Next {
        let is_over = last.failure.is_some() || now >= last.until;
        if is_over || self.frame.control.ending() == Ending::Cancel {
            return self.finish(*running, last.failure);
        }
        let next = match running.end(&mut last.commits, &self.frame, now) {
            Ok(None) => return self.finish(*running, None),
            Ok(Some(next)) => next,
            Err(error) => {
                self.frame.log_failure(&error);
                last.failure = Some(error);
                Next::Again
            }
        };
        let until = last.until;
        self.phase = Phase::Ending(running, last);
        match next {
            Next::At(at) => Next::At(at.min(until)),
            Next::WhenWoken => Next::At(until),
            Next::Again | Next::Done => Next::Again,
        }
    }

    /// Stops the plug-in, lets go of everything, and tells the owner.
    fn finish(&mut self, mut running: Running, failure: Option<ConnectError>) -> Next {
        self.frame.note_stop(running.task.stop());
        if self.frame.control.ending() != Ending::Cancel {
            running.transactions.give_up();
        }
        drop(running);
        self.frame.report_end(failure.as_ref());
        Next::Done
    }
}

impl Turn for ExactlyOnceTurns {
    fn turn(&mut self, now: Instant) -> Next {
        let _context = LogContext::enter(&self.frame.context);
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Waiting(unstarted) => self.wait(unstarted),
            Phase::Fencing(..) | Phase::Claiming(..) | Phase::Confirming(..) if self.ends_early() => {
                Next::Done
            }
            Phase::Fencing(unstarted, answer) => self.fenced(unstarted, answer),
            Phase::Claiming(unstarted, claim) => self.claim(unstarted, claim, now),
            Phase::Confirming(unstarted, producer, answer) => {
                self.confirmed(unstarted, producer, answer, now)
            }
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
    fn start(self: Box<Self>, frame: &Frame, producer: Arc<Producer>, now: Instant) -> Result<Running> {
        let Unstarted { spec, plugin, offsets, transactions } = *self;
        let TransactionSpec { boundary, offsets_topic, secondary, guard: _ } = transactions;
        let ways = (Chain::new(&spec.transforms)?, Conversion::new(&spec.converters)?);
        let boundaries = Boundaries::new(boundary, now);
        frame.counters.client_made(spec.client.get("client.id"), producer.figures());
        let mut task = plugin.task();
        let keeps_records = task.wants_commit_record();
        let lane = |with_metadata| producer.lane(frame.wake(), with_metadata).map_err(without_producer);
        let (records, own) = (lane(keeps_records)?, lane(false)?);
        let context = Arc::new(TaskOffsets {
            connector: spec.id.connector.clone(),
            store: offsets,
            control: Arc::clone(&frame.control),
            transactions: boundaries.context(),
        });
        if let Err(error) = task.start(context, &spec.settings) {
            frame.note_stop(task.stop());
            return Err(error);
        }
        log::info!(target: frame.target, "{} Source task finished initialization and start", frame.name);
        let flow = SourceFlow::new(frame, &spec, records, ways, keeps_records);
        Ok(Running {
            task,
            flow: flow.in_transactions(Arc::clone(&offsets_topic)),
            transactions: Transactions::new(frame, (producer, own), offsets_topic, secondary),
            boundaries,
            parts: VecDeque::new(),
            then: None,
            polls: Polls::new(),
            stop_timeout: spec.stop_timeout,
            pauses: false,
            commit_began: None,
        })
    }
}

impl Running {
    fn turn(&mut self, frame: &mut Frame, now: Instant) -> Result<Next> {
        if frame.control.takes_topics_anew() {
            self.flow.forget_topics();
        }
        if let Some(next) = self.go_on_with_transaction(frame, now)? {
            return Ok(next);
        }
        self.acknowledge(frame, now)?;
        match frame.look_at_pause() {
            PauseChange::None => {}
            PauseChange::Pauses => {
                self.pauses = true;
                self.begin_last_commit();
                return Ok(Next::Again);
            }
            PauseChange::StaysPaused => {
                if std::mem::take(&mut self.pauses) {
                    frame.report(TaskEventKind::Paused);
                }
                return Ok(Next::WhenWoken);
            }
            PauseChange::Resumes => {
                self.pauses = false;
                frame.report(TaskEventKind::Resumed);
            }
        }
        self.go_on_with_batch(frame, now)
    }

    /// Goes on with the end of a transaction, if one ends; nothing is sent meanwhile.
    fn go_on_with_transaction(&mut self, frame: &Frame, now: Instant) -> Result<Option<Next>> {
        if !self.transactions.is_ending() {
            return Ok(None);
        }
        if !self.transactions.is_aborting() {
            self.acknowledge(frame, now)?;
        }
        let began = *self.commit_began.get_or_insert(now);
        let progress = self.transactions.go_on(&mut self.flow, self.task.as_mut(), now);
        self.count_commit(frame, began, &progress);
        let progress = progress?;
        self.tell(frame, now);
        Ok(match progress {
            Progress::Done => None,
            Progress::Again => Some(Next::Again),
            Progress::At(at) => Some(Next::At(at)),
        })
    }

    fn go_on_with_batch(&mut self, frame: &Frame, now: Instant) -> Result<Next> {
        if self.flow.has_backlog() {
            let sent =
                self.flow.send(self.task.as_mut(), now).map_err(|error| explained(frame.id(), error))?;
            if let Sent::Retries(until) = sent {
                return Ok(Next::At(until));
            }
            if sent == Sent::Blocked {
                // Woken when a good part has room again: not for each record.
                let part = self.flow.outstanding() / 4;
                let rests = self.flow.wake_after(part, self.task.as_mut());
                let rests = rests.map_err(|error| explained(frame.id(), error))?;
                return Ok(if rests { Next::At(now + BLOCKED) } else { Next::Again });
            }
        }
        match self.then.take() {
            Some(Then::Commit) => self.transactions.begin_commit(&mut self.flow, self.task.as_mut()),
            Some(Then::Abort) => self.transactions.begin_abort(&mut self.flow, self.task.as_mut()),
            Some(Then::GoOn) | None => return self.next_part(frame, now),
        }
        Ok(Next::Again)
    }

    fn next_part(&mut self, frame: &Frame, now: Instant) -> Result<Next> {
        if let Some(Part { records, then }) = self.parts.pop_front() {
            self.flow.take_batch(records);
            self.then = Some(then);
            return Ok(Next::Again);
        }
        if self.boundaries.is_due(now) {
            self.transactions.begin_commit(&mut self.flow, self.task.as_mut());
            return Ok(Next::Again);
        }
        if let Some(poll_at) = self.polls.not_before(now) {
            let due = self.boundaries.due().filter(|_| self.transactions.is_open());
            return Ok(Next::At(due.map_or(poll_at, |due| due.min(poll_at))));
        }
        let batch = self.polls.poll(self.task.as_mut(), frame)?;
        self.parts = self.boundaries.divide(batch.unwrap_or_default())?;
        Ok(Next::Again)
    }

    /// Takes a step of a task that is to stop. `None`: there is nothing more to do.
    fn end(&mut self, commits: &mut bool, frame: &Frame, now: Instant) -> Result<Option<Next>> {
        if let Some(next) = self.go_on_with_transaction(frame, now)? {
            return Ok(Some(next));
        }
        if std::mem::replace(commits, true) {
            return Ok(None);
        }
        self.acknowledge(frame, now)?;
        self.begin_last_commit();
        Ok(Some(Next::Again))
    }

    /// Commits what was sent, where the end of the task is the end of a transaction.
    fn begin_last_commit(&mut self) {
        let is_whole = !self.flow.has_backlog() && self.parts.is_empty();
        if self.boundaries.commits_at_end(is_whole) {
            self.transactions.begin_commit(&mut self.flow, self.task.as_mut());
        }
    }

    fn acknowledge(&mut self, frame: &Frame, now: Instant) -> Result<()> {
        self.flow.acknowledge(self.task.as_mut()).map_err(|error| explained(frame.id(), error))?;
        self.tell(frame, now);
        Ok(())
    }

    /// Tells what the latest acknowledgements have come to.
    fn tell(&mut self, frame: &Frame, now: Instant) {
        for topic in self.flow.take_topics() {
            frame.report(TaskEventKind::Topic(topic));
        }
        frame.counters.written(now, self.flow.take_written());
        let parts: usize = self.parts.iter().map(|part| part.records.len()).sum();
        frame.counters.active(now, self.flow.active() + parts);
    }

    /// Counts the end of a transaction, once it is over.
    fn count_commit(&mut self, frame: &Frame, began: Instant, progress: &Result<Progress>) {
        let succeeded = match progress {
            Ok(Progress::Done) => true,
            Ok(Progress::Again | Progress::At(_)) => return,
            Err(_) => false,
        };
        self.commit_began = None;
        // The call that ends a transaction waits for the broker.
        let now = Clock.now().instant;
        frame.counters.committed(now, succeeded, now.saturating_duration_since(began));
        match self.flow.take_transaction_size() {
            0 => {}
            _ if !succeeded => {}
            size => frame.counters.transaction(now, size),
        }
    }
}

fn taken(answer: &Answer) -> Option<std::result::Result<(), String>> {
    answer.lock().unwrap_or_else(PoisonError::into_inner).take()
}
