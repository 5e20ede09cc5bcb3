//! A sink task's life: join the group, consume, convert, transform, put, commit, leave.
//!
//! ```text
//! Unstarted ──► Running ──► Ended
//! ```
//! It never waits for records: librdkafka wakes it when there are some. What the group decides is carried out between
//! fills of the batch, see [`super::sink_group`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chain::Chain;
use super::control::Ending;
use super::conversion::Conversion;
use super::counters::TaskCounters;
use super::errors::sink::{Queue, SinkErrors, without_producer};
use super::frame::{Frame, Gate, PauseChange};
use super::runner::{Next, Turn};
use super::sink_commit::SinkCommits;
use super::sink_context::SinkContext;
use super::sink_intake::{Batch, Intake};
use super::spec::{DeadLetterSpec, SinkTopics};
use super::{TaskEventKind, TaskSpec};
use crate::api::error::{ConnectError, ErrorKind, Result};
use crate::api::ids::TopicPartition;
use crate::api::sink::{SinkPlugin, SinkTask, SinkTaskContext};
use crate::kafka::consumer::{Filled, SinkConsumer, Subscription};
use crate::kafka::dead_letter_topic;
use crate::kafka::fault::KafkaFault;
use crate::kafka::producer::Producers;
use crate::stdx::error_class::ErrorClass;
use crate::stdx::log_context::LogContext;
use crate::stdx::time::Clock;

pub(super) const TARGET: &str = "org.apache.kafka.connect.runtime.WorkerSinkTask";

/// How long a task that holds no partitions waits until it has left its group. Nobody waits for such a member, and a
/// broker whose group is gathering answers nothing until all have come.
const LEAVE_WITHOUT_PARTITIONS: Duration = Duration::from_millis(500);
/// The longest rest: the consumer has to be asked more often than `max.poll.interval.ms`.
const REST: Duration = Duration::from_secs(10);
/// How long one look for the topic of the dead letter queue may block, and the pause until the next: a task that is to end
/// looks in between.
const LOOK_FOR_TOPIC: Duration = Duration::from_secs(2);

/// The turns of a sink task.
pub(super) struct SinkTurns {
    frame: Frame,
    phase: Phase,
}

enum Phase {
    Unstarted(Box<Unstarted>),
    Running(Box<Running>),
    Ended,
}

struct Unstarted {
    spec: TaskSpec,
    plugin: Arc<dyn SinkPlugin>,
    topics: SinkTopics,
    producers: Arc<Producers>,
    /// The dead letter queue is there, or there is to be none.
    has_queue: bool,
}

pub(super) struct Running {
    pub(super) task: Box<dyn SinkTask>,
    pub(super) consumer: SinkConsumer,
    pub(super) context: Arc<SinkContext>,
    pub(super) commits: SinkCommits,
    pub(super) counters: Arc<TaskCounters>,
    pub(super) assigned: Vec<TopicPartition>,
    pub(super) batch: Batch,
    /// The batch was refused for now; it comes again at this moment, and no other before.
    pub(super) redeliver_at: Option<Instant>,
    /// Why a batch was refused last, until one is taken.
    refusal: Option<String>,
    /// All partitions rest: a batch was refused, or a record has to wait.
    pub(super) held_back: bool,
    pub(super) intake: Intake,
    pub(super) errors: Arc<SinkErrors>,
    pub(super) flush_timeout: Duration,
    stop_timeout: Duration,
    records_max: usize,
    /// When the task gets an empty batch if nothing came until then.
    put_at: Instant,
    commit_asked: bool,
    topics: Vec<Arc<str>>,
}

impl SinkTurns {
    pub(super) fn new(
        frame: Frame,
        spec: TaskSpec,
        (plugin, topics): (Arc<dyn SinkPlugin>, SinkTopics),
        producers: Arc<Producers>,
    ) -> Self {
        let has_queue = spec.errors.dead_letters.is_none();
        let unstarted = Unstarted { spec, plugin, topics, producers, has_queue };
        SinkTurns { frame, phase: Phase::Unstarted(Box::new(unstarted)) }
    }

    fn begin(&mut self, mut unstarted: Box<Unstarted>, now: Instant) -> Next {
        match self.frame.gate() {
            Gate::Start => {}
            Gate::Wait => {
                self.phase = Phase::Unstarted(unstarted);
                return Next::WhenWoken;
            }
            Gate::End => return Next::Done,
        }
        match unstarted.look_for_queue(&self.frame) {
            Ok(true) => {}
            Ok(false) => {
                self.phase = Phase::Unstarted(unstarted);
                return Next::At(Clock.deadline(LOOK_FOR_TOPIC).instant());
            }
            Err(error) => {
                self.frame.report_start(Err(&error));
                return Next::Done;
            }
        }
        let started = unstarted.start(&self.frame, now);
        self.frame.report_start(started.as_ref().map(|_| ()));
        let Ok(running) = started else { return Next::Done };
        log::info!(target: TARGET, "{} Executing sink task", self.frame.name);
        self.phase = Phase::Running(Box::new(running));
        Next::Again
    }

    fn run(&mut self, mut running: Box<Running>, now: Instant) -> Next {
        if self.frame.control.ending() != Ending::None {
            return self.end(*running, None, now);
        }
        match running.turn(&mut self.frame, now) {
            Ok(next) => {
                self.phase = Phase::Running(running);
                next
            }
            Err(error) => {
                self.frame.log_failure(&error);
                self.end(*running, Some(error), now)
            }
        }
    }

    /// Commits what was put, stops the plug-in, leaves the group, and tells the owner.
    fn end(&mut self, mut running: Running, failure: Option<ConnectError>, now: Instant) -> Next {
        let name = &self.frame.name;
        let mut failure = failure;
        let stop_timeout = if running.assigned.is_empty() {
            running.stop_timeout.min(LEAVE_WITHOUT_PARTITIONS)
        } else {
            running.stop_timeout
        };
        let deadline = Clock.deadline(stop_timeout);
        if self.frame.control.ending() != Ending::Cancel
            && let Err(error) = running.close_all(name, deadline, now)
        {
            log::error!(target: TARGET, "{name} Failed to close partitions\n{}", error.trace().trim_end());
            failure = failure.or(Some(error));
        }
        self.frame.note_stop(running.task.stop());
        let Running { task, consumer, .. } = running;
        drop(task);
        if !consumer.close(deadline) {
            log::warn!(target: TARGET, "{name} The broker has not answered yet; the consumer leaves its group later");
        }
        self.frame.report_end(failure.as_ref());
        Next::Done
    }
}

impl Turn for SinkTurns {
    fn turn(&mut self, now: Instant) -> Next {
        let _context = LogContext::enter(&self.frame.context);
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Unstarted(unstarted) => self.begin(unstarted, now),
            Phase::Running(running) => self.run(running, now),
            Phase::Ended => Next::Done,
        }
    }

    fn panicked(&mut self, message: &str) {
        let _context = LogContext::enter(&self.frame.context);
        self.frame.report_panic(message);
    }
}

impl Unstarted {
    /// Looks for the topic of the dead letter queue, and makes it. `false`: Kafka does not answer; look again.
    fn look_for_queue(&mut self, frame: &Frame) -> Result<bool> {
        if let (false, Some(queue)) = (self.has_queue, &self.spec.errors.dead_letters) {
            let DeadLetterSpec { topic, replication, admin, .. } = queue;
            let deadline = Clock.deadline(LOOK_FOR_TOPIC);
            match dead_letter_topic::ensure(admin, topic, *replication, deadline) {
                Ok(()) => self.has_queue = true,
                Err(fault) if fault.class() == ErrorClass::Retriable => log::warn!(
                    target: TARGET,
                    "{} Could not look for the dead letter queue with topic={topic} yet: {fault}",
                    frame.name,
                ),
                Err(fault) => {
                    return Err(ConnectError::connect(format!(
                        "Could not initialize dead letter queue with topic={topic}. Create the topic, or let the \
                         connector create it: errors.deadletterqueue.topic.replication.factor must not be above the \
                         number of brokers, and its admin client (admin., admin.override.) needs CREATE"
                    ))
                    .caused_by(fault));
                }
            }
        }
        Ok(self.has_queue)
    }

    fn start(self: Box<Self>, frame: &Frame, now: Instant) -> Result<Running> {
        let Unstarted { spec, plugin, topics, producers, .. } = *self;
        let conversion = Conversion::new(&spec.converters)?;
        let chain = Chain::new(&spec.transforms)?;
        let queue = spec.errors.dead_letters.as_ref().map(|queue| {
            let producer = producers.get(&queue.producer).map_err(without_producer)?;
            Queue::new(queue, &producer, Conversion::new(&spec.converters)?, frame)
        });
        let errors = Arc::new(SinkErrors::new(frame, &spec.errors, queue.transpose()?));
        let mut consumer = SinkConsumer::new(&spec.client, frame.wake()).map_err(|fault| {
            ConnectError::connect("Failed to create the consumer of the task").caused_by(fault)
        })?;
        frame.counters.client_made(spec.client.get("client.id"), consumer.figures());
        let reporter = errors.takes_reports().then(|| Arc::clone(&errors));
        let context = Arc::new(SinkContext::new(frame.waker.clone(), reporter));
        let mut task = plugin.task();
        let started = task
            .start(Arc::clone(&context) as Arc<dyn SinkTaskContext>, &spec.settings)
            .and_then(|()| consumer.subscribe(subscription(&topics), now).map_err(in_consumer));
        if let Err(error) = started {
            frame.note_stop(task.stop());
            return Err(error);
        }
        log::info!(target: TARGET, "{} Sink task finished initialization and start", frame.name);
        Ok(Running {
            task,
            consumer,
            context,
            commits: SinkCommits::new(spec.offset_flush_interval, now),
            counters: Arc::clone(&frame.counters),
            assigned: Vec::new(),
            batch: Batch::default(),
            redeliver_at: None,
            refusal: None,
            held_back: false,
            intake: Intake::new(chain, conversion, Arc::clone(&errors)),
            errors,
            flush_timeout: spec.offset_flush_timeout,
            stop_timeout: spec.stop_timeout,
            records_max: spec.records_max.max(1),
            put_at: now + spec.offset_flush_interval,
            commit_asked: false,
            topics: Vec::new(),
        })
    }
}

impl Running {
    fn turn(&mut self, frame: &mut Frame, now: Instant) -> Result<Next> {
        if frame.control.takes_topics_anew() {
            self.topics.clear();
        }
        self.errors.check()?;
        self.look_at_commits(&frame.name, now);
        self.consumer.follow_topics(now).map_err(in_consumer)?;
        self.commit_asked |= self.context.take_commit();
        if !self.commits.is_committing() && (self.commit_asked || now >= self.commits.next()) {
            self.commit_asked = false;
            self.commit_async(&frame.name, now)?;
        }
        self.carry_out_requests(frame)?;
        self.look_at_pause(frame)?;
        // A consumer must be asked, also where it shall give nothing: see REST.
        let one_more = if self.held_back { self.consumer.filled() + 1 } else { 0 };
        match self.consumer.fill(self.records_max.max(one_more)).map_err(in_consumer)? {
            Filled::Membership => {
                self.look_at_group(&frame.name, frame.is_paused(), now)?;
                // As after every rebalance in Apache, the task hears from us soon.
                self.put_at = now;
                Ok(Next::Again)
            }
            Filled::Full | Filled::Drained => self.deliver(frame, now),
        }
    }

    /// Gives the task its records: those that were refused, else new ones, else none if it is time.
    fn deliver(&mut self, frame: &Frame, now: Instant) -> Result<Next> {
        let has_records = self.intake.is_waiting() || self.consumer.filled() > 0;
        if self.redeliver_at.is_none() && has_records {
            self.convert(frame, now)?;
        }
        let has_news = self.redeliver_at.is_none() && !self.batch.ends.is_empty();
        let due = self.redeliver_at.unwrap_or(self.put_at);
        let puts = has_news || now >= due;
        if puts {
            self.put(frame, now)?;
        }
        self.hold_back(self.redeliver_at.is_some() || self.intake.waits_long(now), frame.is_paused())?;
        if puts {
            return Ok(Next::Again);
        }
        let due = self.intake.due(now).map_or(due, |goes_on| goes_on.min(due));
        Ok(Next::At(self.next_turn(due, now)))
    }

    /// Lets all partitions rest, or takes their records again, unless the connector is `paused`.
    fn hold_back(&mut self, holds: bool, paused: bool) -> Result<()> {
        match (std::mem::replace(&mut self.held_back, holds), holds) {
            (false, true) => self.pause_all(),
            (true, false) if !paused => self.resume_all(),
            (true, _) | (false, false) => Ok(()),
        }
    }

    fn next_turn(&self, due: Instant, now: Instant) -> Instant {
        let due = due.min(self.next_commit_turn()).min(now + REST);
        self.consumer.follows_topics_at().map_or(due, |follows| follows.min(due))
    }

    /// When a commit begins, or the one under way has taken too long.
    fn next_commit_turn(&self) -> Instant {
        self.commits.times_out_at(self.flush_timeout).unwrap_or_else(|| self.commits.next())
    }

    fn put(&mut self, frame: &Frame, now: Instant) -> Result<()> {
        let records = self.batch.records.len();
        frame.counters.offered(now, records);
        let began = Clock.now().instant;
        let result = self.task.put(&self.batch.records).and_then(|()| self.errors.check());
        // The longest wait for the next put: until the next commit, or as the task asked, once.
        let until_commit = self.next_commit_turn().saturating_duration_since(now);
        let wait = self.context.take_timeout().map_or(until_commit, |timeout| timeout.min(until_commit));
        self.put_at = now + wait;
        match result {
            Ok(()) => {
                let ended = Clock.now().instant;
                frame.counters.put(ended, records, ended.saturating_duration_since(began));
                for end in self.batch.ends.drain(..) {
                    self.commits.put(&end.partition, end.next);
                }
                self.batch.records.clear();
                self.redeliver_at = None;
                self.refusal = None;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Retriable => {
                let trace = error.trace();
                // A task that waits for something may be asked many times a second.
                let is_known = self.refusal.as_ref() == Some(&trace);
                let level = if is_known { log::Level::Debug } else { log::Level::Error };
                log::log!(target: TARGET, level, "{} RetriableException from SinkTask:\n{}", frame.name, trace.trim_end());
                self.refusal = Some(trace);
                self.redeliver_at = Some(self.put_at);
                Ok(())
            }
            Err(error) => {
                let message = "Exiting WorkerSinkTask due to unrecoverable exception.";
                Err(ConnectError::connect(message).caused_by(error))
            }
        }
    }

    /// Makes the next batch of what waits, or of what the consumer has.
    fn convert(&mut self, frame: &Frame, now: Instant) -> Result<()> {
        let Running { consumer, intake, batch, topics, commits, .. } = self;
        let filled = consumer.filled();
        intake.take(consumer, batch, now)?;
        frame.counters.read_records(now, filled - consumer.filled());
        for end in &batch.ends {
            note_topic(topics, &end.partition.topic, frame);
            commits.began(&end.partition, end.first);
        }
        Ok(())
    }

    /// Does what the task asked for in its last calls.
    pub(super) fn carry_out_requests(&mut self, frame: &Frame) -> Result<()> {
        let asked = self.context.take_asked();
        if !asked.seeks.is_empty() {
            self.rewind(&frame.name, asked.seeks)?;
        }
        let assigned = |partition: &TopicPartition| self.assigned.contains(partition);
        let pauses: Vec<_> = asked.pauses.into_iter().filter(assigned).collect();
        let resumes: Vec<_> = asked.resumes.into_iter().filter(assigned).collect();
        if !pauses.is_empty() {
            self.consumer.pause(&pauses).map_err(in_consumer)?;
        }
        // All stay paused while the connector is, or while a batch was refused.
        if !resumes.is_empty() && !frame.is_paused() && !self.held_back {
            self.consumer.resume(&resumes).map_err(in_consumer)?;
        }
        Ok(())
    }

    fn look_at_pause(&mut self, frame: &mut Frame) -> Result<()> {
        match frame.look_at_pause() {
            PauseChange::None | PauseChange::StaysPaused => {}
            PauseChange::Pauses => {
                self.pause_all()?;
                self.commit_asked = true;
                frame.report(TaskEventKind::Paused);
            }
            PauseChange::Resumes => {
                if !self.held_back {
                    self.resume_all()?;
                }
                frame.report(TaskEventKind::Resumed);
            }
        }
        Ok(())
    }

    fn pause_all(&self) -> Result<()> {
        if self.assigned.is_empty() {
            return Ok(());
        }
        self.consumer.pause(&self.assigned).map_err(in_consumer)
    }

    /// Takes records again of all partitions that the task itself does not want paused.
    pub(super) fn resume_all(&self) -> Result<()> {
        let paused = self.context.paused();
        let resumed: Vec<_> =
            self.assigned.iter().filter(|partition| !paused.contains(partition)).cloned().collect();
        if resumed.is_empty() {
            return Ok(());
        }
        self.consumer.resume(&resumed).map_err(in_consumer)
    }
}

fn note_topic(topics: &mut Vec<Arc<str>>, topic: &Arc<str>, frame: &Frame) {
    let known = |known: &Arc<str>| Arc::ptr_eq(known, topic) || **known == **topic;
    if topics.last().is_some_and(known) || topics.iter().any(known) {
        return;
    }
    topics.push(Arc::clone(topic));
    frame.report(TaskEventKind::Topic(Arc::clone(topic)));
}

fn subscription(topics: &SinkTopics) -> Subscription<'_> {
    match topics {
        SinkTopics::Named(topics) => Subscription::Names(topics),
        SinkTopics::Matching(pattern) => Subscription::Pattern(pattern),
    }
}

/// The error of a task whose consumer fails in a way that does not go away.
pub(super) fn in_consumer(fault: KafkaFault) -> ConnectError {
    ConnectError::connect("Unrecoverable exception from the consumer of the task").caused_by(fault)
}
