//! One topic: prepared, read to its end, followed. Told what happened, it says what is to be done; it owns no client.

use std::mem::discriminant;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::check::Obstacle;
use super::consumers::{Consumers, Reading};
use super::error::LogError;
use super::handle::Request;
use super::helper::{Ends, Helper, Job};
use super::progress::{Progress, Target, shrunk};
use super::waiter::Waiter;
use super::{LogSink, LogStage, LogTopic, TopicSpec};
use crate::kafka::fault::{FaultKind, KafkaFault};
use crate::kafka::log_consumer::{PartitionRead, ReadFrom};
use crate::kafka::log_records::LogRecords;
use crate::stdx::backoff::{Backoff, jitter};

/// From one failed attempt to the next.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LONGEST: Duration = Duration::from_secs(3);
/// How often a topic that is followed in silence is looked at: whether it is there, and is the one that was read.
const CHECK: Duration = Duration::from_secs(10);
/// The same of a topic of which somebody waits for more.
const CHECK_AWAITED: Duration = Duration::from_secs(3);
/// A partition of which there is more to read, and of which nothing came for so long, is not read any more.
const STUCK: Duration = Duration::from_secs(10);
/// How often the progress of reading is told.
const TELL: Duration = Duration::from_secs(1);
/// How often an obstacle is told again when only its words differ.
const TELL_AGAIN: Duration = Duration::from_secs(30);

/// A topic on the thread of the logs.
pub(super) struct Topic {
    pub(super) spec: TopicSpec,
    sink: Box<dyn LogSink>,
    helper: Helper,
    state: State,
    /// Which consumer has it.
    read_by: Reading,
    /// Whether the first attempt to prepare it is over.
    is_heard_of: bool,
    progress: Progress<Waiter>,
    /// Counts the times that it was read from the beginning, so that late answers about an earlier time are known.
    reading: u64,
    /// Whether it was read to its end at least once.
    was_read: bool,
    /// Who wrote before the topic was read for the first time.
    early: Vec<(Vec<Target>, Request)>,
    /// Who waits for the ends to be listed, and those for whom they are being listed.
    unlisted: Vec<Waiter>,
    listing: Option<Vec<Waiter>>,
    /// How far it was read when its ends were asked for last.
    read_before: Vec<(i32, i64)>,
    /// The ends that the reading from the beginning is to come to.
    ends: Vec<i64>,
    backoff: Backoff,
    /// When to try again what failed, or to check.
    due: Option<Instant>,
    told_progress: Option<Instant>,
    /// What is in the way at the moment, and when that was told.
    obstacle: Option<Obstacle>,
    told_obstacle: Option<Instant>,
    /// A broker refused to have it read. Who may not read may look up the ends all the same.
    is_refused: bool,
    /// There is more to read than the consumer gives.
    is_stuck: bool,
    /// Why it is not read any more.
    away: Option<Arc<str>>,
    stages: Vec<LogStage>,
}

/// What a call may use: the consumers that read this topic, and the time.
pub(super) struct Moment<'a> {
    pub(super) consumers: &'a mut Consumers,
    pub(super) now: Instant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// It is not known whether the topic is there and as it is to be.
    Preparing,
    /// It is, and the partitions begin at these offsets.
    Ready { beginnings: Vec<i64> },
    /// Read from the beginning.
    Reading,
    /// All that was there at first was read.
    Following,
}

impl Topic {
    pub(super) fn new(topic: LogTopic, helper: Helper) -> Self {
        Topic {
            spec: topic.spec,
            sink: topic.sink,
            helper,
            state: State::Preparing,
            read_by: Reading::FromBeginning,
            is_heard_of: false,
            progress: Progress::default(),
            reading: 0,
            was_read: false,
            early: Vec::new(),
            unlisted: Vec::new(),
            listing: None,
            read_before: Vec::new(),
            ends: Vec::new(),
            backoff: Backoff::new(RETRY_FIRST, RETRY_LONGEST),
            due: None,
            told_progress: None,
            obstacle: None,
            told_obstacle: None,
            is_refused: false,
            is_stuck: false,
            away: None,
            stages: Vec::new(),
        }
    }

    /// Begins.
    pub(super) fn start(&mut self, now: Instant) {
        self.stages.push(LogStage::Preparing { topic: Arc::clone(&self.spec.name) });
        self.prepare(now);
    }

    /// What it has come to do since the last call, in order.
    pub(super) fn take_stages(&mut self) -> impl Iterator<Item = LogStage> {
        std::mem::take(&mut self.stages).into_iter()
    }

    /// Whether all that was there at first was read.
    pub(super) fn is_following(&self) -> bool {
        self.state == State::Following
    }

    fn is_read(&self) -> bool {
        matches!(self.state, State::Reading | State::Following)
    }

    /// What is in the way of answers, if anything.
    pub(super) fn obstacle(&self) -> Option<Arc<str>> {
        self.obstacle.as_ref().map(|obstacle| obstacle.to_string().into())
    }

    fn prepare(&mut self, now: Instant) {
        // Only a topic that was never read is created: of one that was deleted, somebody may mean to restore it.
        if !self.helper.take(Job::Prepare { create: !self.was_read }) {
            self.due = now.checked_add(RETRY_LONGEST);
        }
    }

    /// The topic is ready, and its partitions begin at these offsets; or something is in the way.
    pub(super) fn prepared(&mut self, result: Result<Vec<i64>, Obstacle>, now: Instant) {
        self.is_heard_of = true;
        match result {
            Ok(beginnings) => self.state = State::Ready { beginnings },
            Err(obstacle) => self.wait(obstacle, now),
        }
    }

    /// Whether it is known whether the topic is there and as it is to be.
    pub(super) fn is_heard_of(&self) -> bool {
        self.is_heard_of
    }

    /// Where to read it from, if it is ready and not read yet.
    pub(super) fn beginnings(&self) -> Vec<ReadFrom> {
        let State::Ready { beginnings } = &self.state else { return Vec::new() };
        let topic = || Arc::clone(&self.spec.name);
        let read_from =
            |(partition, offset): (i32, &i64)| ReadFrom { topic: topic(), partition, offset: *offset };
        (0..).zip(beginnings).map(read_from).collect()
    }

    /// It is read from its beginning now, or cannot be.
    pub(super) fn begun(&mut self, result: Result<(), KafkaFault>, now: Instant) {
        let State::Ready { beginnings } = &mut self.state else { return };
        let beginnings = std::mem::take(beginnings);
        if let Err(fault) = result {
            self.state = State::Preparing;
            return self.wait(Obstacle::Kafka(fault.to_string()), now);
        }
        if self.reading > 0 {
            let why = self.away.take().unwrap_or_else(|| "it was away, and is there again".into());
            log::warn!("the topic '{}' is read again from its beginning: {why}", self.spec.name);
            self.sink.begins_anew(&why);
        }
        self.reading += 1;
        self.state = State::Reading;
        self.read_by = Reading::FromBeginning;
        self.is_refused = false;
        self.is_stuck = false;
        self.due = None;
        self.told_progress = None;
        self.restart(&beginnings);
        for (targets, request) in std::mem::take(&mut self.early) {
            self.progress.wait(targets, Waiter::Writer(request));
        }
        self.unlisted.push(Waiter::Beginning);
    }

    /// Whether it is read from its beginning, or is about to be.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self.state, State::Ready { .. } | State::Reading)
    }

    /// Where to follow it from, if that is to be handed over.
    pub(super) fn news_from(&self) -> Vec<ReadFrom> {
        let is_due = self.state == State::Following && self.read_by != Reading::News;
        if is_due { self.positions() } else { Vec::new() }
    }

    /// Where to read on with a new consumer in place of this one.
    pub(super) fn read_on_from(&self, which: Reading) -> Vec<ReadFrom> {
        if self.is_read() && self.read_by == which { self.positions() } else { Vec::new() }
    }

    fn positions(&self) -> Vec<ReadFrom> {
        let topic = || Arc::clone(&self.spec.name);
        let read_from = |(partition, offset)| ReadFrom { topic: topic(), partition, offset };
        self.progress.offsets().map(read_from).collect()
    }

    /// Whether its consumer, which is this one, does not get further. Told once.
    pub(super) fn take_stuck(&mut self, which: Reading) -> bool {
        self.read_by == which && std::mem::take(&mut self.is_stuck)
    }

    /// It is followed by the consumer for news now, or cannot be.
    pub(super) fn handed_over(&mut self, result: &Result<(), KafkaFault>, at: &mut Moment<'_>) {
        if self.state != State::Following || self.read_by == Reading::News {
            return;
        }
        self.read_by = Reading::News;
        if let Err(fault) = result {
            self.leave(&fault.to_string(), false, at);
        }
    }

    /// Tries again later, and tells why.
    fn wait(&mut self, obstacle: Obstacle, now: Instant) {
        let next = now.checked_add(self.backoff.next_delay(jitter()));
        // Not later than it was due anyway: there may be no end of bad news.
        self.due = self.due.into_iter().chain(next).min();
        self.tell(obstacle, now);
    }

    fn tell(&mut self, obstacle: Obstacle, now: Instant) {
        if self.is_news(&obstacle, now) {
            let why = obstacle.to_string();
            log::warn!("the topic '{}' cannot be used at the moment: {why}", self.spec.name);
            self.sink.unreadable(&why);
            if self.state != State::Following {
                let topic = Arc::clone(&self.spec.name);
                self.stages.push(LogStage::Waiting { topic, obstacle: obstacle.clone() });
            }
            self.told_obstacle = Some(now);
        }
        self.obstacle = Some(obstacle);
    }

    /// Whether an obstacle is of another kind than the one that was told, or was told long ago in other words. The words
    /// of librdkafka differ from one attempt to the next.
    fn is_news(&self, obstacle: &Obstacle, now: Instant) -> bool {
        let Some(known) = &self.obstacle else { return true };
        let told_just_now =
            self.told_obstacle.is_some_and(|told| now.saturating_duration_since(told) < TELL_AGAIN);
        discriminant(known) != discriminant(obstacle) || (known != obstacle && !told_just_now)
    }

    fn can_be_read(&mut self) {
        self.backoff.reset();
        if self.obstacle.take().is_some() {
            log::info!("the topic '{}' can be used again", self.spec.name);
            self.sink.readable();
        }
    }

    /// Forgets how far the topic was read. Who waits for its end waits on; a write may be gone.
    fn restart(&mut self, beginnings: &[i64]) {
        let waiting = self.listing.take().into_iter().flatten().chain(self.progress.restart(beginnings));
        for waiter in waiting.collect::<Vec<_>>() {
            match waiter {
                Waiter::Beginning | Waiter::Check => {}
                Waiter::Reader(request) => self.unlisted.push(Waiter::Reader(request)),
                Waiter::Writer(request) => self.refuse(request),
            }
        }
        self.unlisted.retain(|waiter| !matches!(waiter, Waiter::Beginning | Waiter::Check));
    }

    /// What was written may be gone with the topic that it was written to.
    fn refuse(&self, request: Request) {
        let why = self.away.clone().unwrap_or_else(|| "it is read again from its beginning".into());
        request.done.send(Err(LogError::BeganAnew { topic: Arc::clone(&self.spec.name), why }));
    }

    /// The topic is not there any more, or is another one than was read. It is looked at anew, at once where `is_there`,
    /// and then read from its beginning.
    fn leave(&mut self, why: &str, is_there: bool, at: &mut Moment<'_>) {
        if let Err(fault) = at.consumers.stop_reading(self.read_by, &self.spec.name) {
            log::warn!("{fault}");
        }
        self.state = State::Preparing;
        self.due = None;
        self.away = Some(why.into());
        self.restart(&[]);
        if is_there {
            self.prepare(at.now);
        } else {
            self.wait(Obstacle::Kafka(why.to_owned()), at.now);
        }
    }

    fn partitions(&self) -> i32 {
        i32::try_from(self.progress.partitions()).unwrap_or(i32::MAX)
    }

    /// No broker can be reached, or this topic cannot be read for a reason that may pass.
    pub(super) fn contact_lost(&mut self, fault: &KafkaFault, now: Instant) {
        if fault.kind() == FaultKind::Passing {
            // A broker answered: it is about to be as it was.
            self.backoff.reset();
        }
        let obstacle = Obstacle::Kafka(fault.to_string());
        match self.state {
            // The helper is at it already, or will be.
            State::Preparing | State::Ready { .. } => self.tell(obstacle, now),
            State::Reading | State::Following => self.wait(obstacle, now),
        }
    }

    /// News of a partition, with the records that came.
    pub(super) fn read(&mut self, read: PartitionRead, records: &LogRecords, at: &mut Moment<'_>) {
        let PartitionRead { partition, position, is_drained, fault, .. } = read;
        if !records.is_empty() {
            self.sink.records(records);
        }
        if let Some(position) = position {
            self.progress.advance(partition, position);
        }
        if is_drained && self.progress.is_begun(partition) && self.progress.is_awaited(partition) {
            // Markers of transactions are no records; only librdkafka knows that it has passed one.
            match at.consumers.position(self.read_by, &self.spec.name, partition) {
                Ok(position) => self.progress.advance(partition, position.unwrap_or_default()),
                Err(fault) => log::warn!("{fault}"),
            }
        }
        if let Some(fault) = fault {
            self.is_refused |= fault.kind() == FaultKind::TopicAuthorization;
            self.failed(&fault, at);
        } else if position.is_some() && std::mem::take(&mut self.is_refused) {
            self.can_be_read();
        }
        self.answer_reached(at.now);
        self.tell_progress(at.now);
    }

    fn failed(&mut self, fault: &KafkaFault, at: &mut Moment<'_>) {
        match fault.kind() {
            FaultKind::NoOffset | FaultKind::Bug => self.leave(&fault.to_string(), true, at),
            FaultKind::UnknownTopic | FaultKind::UnknownPartition => {
                self.leave(&fault.to_string(), false, at);
            }
            FaultKind::RecordTooLarge
            | FaultKind::TopicAuthorization
            | FaultKind::GroupAuthorization
            | FaultKind::ClusterAuthorization
            | FaultKind::Authentication
            | FaultKind::Tls
            | FaultKind::InvalidTopic
            | FaultKind::InvalidRecord
            | FaultKind::ProducerLost
            | FaultKind::GroupProtocol
            | FaultKind::SessionTimeout
            | FaultKind::GroupMovedOn
            | FaultKind::GroupNotEmpty
            | FaultKind::UnknownGroup
            | FaultKind::Config
            | FaultKind::Unreachable
            | FaultKind::Passing
            | FaultKind::Other => self.contact_lost(fault, at.now),
        }
    }

    /// Goes on where it is: librdkafka tells once only that it is refused, and that it has come to the end of what it began
    /// to read.
    fn read_anew(&mut self, at: &mut Moment<'_>) {
        if let Err(fault) = at.consumers.read_from(self.read_by, &self.positions()) {
            log::warn!("{fault}");
        }
        self.due = at.now.checked_add(self.backoff.next_delay(jitter()));
    }

    fn answer_reached(&mut self, now: Instant) {
        for waiter in self.progress.take_reached() {
            match waiter {
                Waiter::Beginning => {
                    self.state = State::Following;
                    self.was_read = true;
                    self.due = now.checked_add(CHECK);
                    let (name, end) = (&self.spec.name, self.ends.iter().sum::<i64>());
                    log::info!(
                        "read the topic '{name}' to its end: {} partitions, {end} offsets",
                        self.ends.len()
                    );
                    self.sink.read_to_end();
                }
                Waiter::Check => {}
                Waiter::Reader(request) | Waiter::Writer(request) => request.done.send(Ok(())),
            }
        }
    }

    fn tell_progress(&mut self, now: Instant) {
        let told_just_now = self.told_progress.is_some_and(|told| now.saturating_duration_since(told) < TELL);
        if self.state != State::Reading || self.ends.is_empty() || told_just_now {
            return;
        }
        self.told_progress = Some(now);
        let (position, end) = (self.progress.read_of(&self.ends), self.ends.iter().sum());
        self.stages.push(LogStage::Reading { topic: Arc::clone(&self.spec.name), position, end });
    }

    /// Somebody wants to know when the end was read.
    pub(super) fn read_to_end(&mut self, request: Request) {
        self.unlisted.push(Waiter::Reader(request));
    }

    /// Somebody wrote, and wants to know when it was read.
    pub(super) fn read_back(&mut self, targets: Vec<Target>, request: Request, at: &mut Moment<'_>) {
        match (&self.state, self.reading) {
            (State::Preparing | State::Ready { .. }, 0) => return self.early.push((targets, request)),
            (State::Preparing | State::Ready { .. }, _) => return self.refuse(request),
            (State::Reading | State::Following, _) => {}
        }
        let partitions = targets.iter().map(|(partition, _)| partition + 1).max().unwrap_or(0);
        if let Err(fault) = self.read_new_partitions(partitions, at) {
            log::warn!("{fault}");
        }
        self.progress.wait(targets, Waiter::Writer(request));
        self.answer_reached(at.now);
    }

    /// Reads the partitions, too, that the topic got after it was counted.
    fn read_new_partitions(&mut self, partitions: i32, at: &mut Moment<'_>) -> Result<(), KafkaFault> {
        let known = self.partitions();
        if partitions <= known {
            return Ok(());
        }
        log::info!("the topic '{}' has {partitions} partitions now", self.spec.name);
        let topic = || Arc::clone(&self.spec.name);
        let new = (known..partitions).map(|partition| ReadFrom { topic: topic(), partition, offset: 0 });
        at.consumers.read_from(self.read_by, &new.collect::<Vec<_>>())?;
        self.progress.grow(usize::try_from(partitions).unwrap_or_default());
        Ok(())
    }

    /// Has the ends listed if anybody waits for them.
    pub(super) fn list_ends(&mut self) {
        if !self.is_read() || self.listing.is_some() || self.unlisted.is_empty() {
            return;
        }
        // After a failure: when it is due again.
        if self.obstacle.is_some() && self.due.is_some() {
            return;
        }
        let (partitions, reading) = (self.partitions(), self.reading);
        let readable = self.unlisted.iter().any(|waiter| match waiter {
            Waiter::Beginning => true,
            // Whether the consumer gets further matters where somebody waits for that.
            Waiter::Check => self.progress.is_awaited_at_all(),
            Waiter::Reader(_) | Waiter::Writer(_) => false,
        });
        if self.helper.take(Job::ListEnds { partitions, reading, readable }) {
            self.listing = Some(std::mem::take(&mut self.unlisted));
            self.read_before = self.progress.offsets().collect();
        }
    }

    /// The ends, or why they could not be listed.
    pub(super) fn listed(&mut self, reading: u64, ends: Result<Ends, KafkaFault>, at: &mut Moment<'_>) {
        if reading != self.reading || !self.is_read() {
            return;
        }
        let waiting = self.listing.take().unwrap_or_default();
        let ends = match ends {
            Ok(ends) => ends,
            Err(fault) => {
                self.unlisted.extend(waiting);
                return self.failed(&fault, at);
            }
        };
        if self.is_refused {
            self.read_anew(at);
        } else {
            self.can_be_read();
        }
        if let Some(found) = shrunk(&self.read_before, &ends.all) {
            self.unlisted.extend(waiting);
            return self.leave(&found.to_string(), true, at);
        }
        let Ends { all, readable } = ends;
        if let Some(readable) = &readable
            && let Some(behind) = self.progress.stuck(readable, at.now, STUCK)
        {
            log::warn!("the topic '{}' is read by a new consumer: {behind}", self.spec.name);
            self.is_stuck = true;
        }
        for waiter in waiting {
            let ends = match (&waiter, &readable) {
                (Waiter::Check, _) => continue,
                // What is in open transactions is waited for by those who ask for it.
                (Waiter::Beginning, Some(readable)) => readable,
                (Waiter::Beginning | Waiter::Reader(_) | Waiter::Writer(_), _) => &all,
            };
            if let Waiter::Beginning = waiter {
                self.ends.clone_from(ends);
            }
            self.progress.wait((0..).zip(ends.iter().copied()), waiter);
        }
        self.tell_progress(at.now);
        self.answer_reached(at.now);
        if !self.is_refused {
            let check = if self.progress.is_awaited_at_all() { CHECK_AWAITED } else { CHECK };
            self.due = at.now.checked_add(check);
        }
    }

    /// A broker says that the topic is not there: looks whether that is so at once. One that is known to be away is looked
    /// for anyway.
    pub(super) fn look(&mut self, now: Instant) {
        if self.is_read() {
            self.due = Some(now);
        }
    }

    /// Does what is due.
    pub(super) fn timers(&mut self, now: Instant) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        self.due = None;
        match self.state {
            State::Preparing => self.prepare(now),
            State::Ready { .. } => {}
            State::Reading | State::Following => {
                if self.unlisted.is_empty() && self.listing.is_none() {
                    self.unlisted.push(Waiter::Check);
                }
            }
        }
    }

    /// Answers those whose time is up.
    pub(super) fn expire(&mut self, now: Instant) {
        let is_late = |waiter: &Waiter| waiter.request().is_some_and(|request| request.deadline.passed(now));
        let behind: Option<Arc<str>> = self.progress.behind(is_late).map(|behind| behind.to_string().into());
        let mut late = self.progress.take_if(is_late);
        for waiting in [Some(&mut self.unlisted), self.listing.as_mut()].into_iter().flatten() {
            late.extend(waiting.extract_if(.., |waiter| is_late(waiter)));
        }
        let early = self.early.extract_if(.., |(_, request)| request.deadline.passed(now));
        late.extend(early.map(|(_, request)| Waiter::Writer(request)));
        for waiter in late {
            let (what, may_be_written, request) = match waiter {
                Waiter::Beginning | Waiter::Check => continue,
                Waiter::Reader(request) => ("read to its end", false, request),
                Waiter::Writer(request) => ("read back after a write", true, request),
            };
            let (topic, why) = (Arc::clone(&self.spec.name), self.obstacle().or_else(|| behind.clone()));
            request.done.send(Err(LogError::TimedOut { topic, what, may_be_written, why }));
        }
    }

    /// When something is due, or somebody's time is up.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        let waiting = self.progress.waiting().chain(&self.unlisted).chain(self.listing.iter().flatten());
        let requests =
            waiting.filter_map(Waiter::request).chain(self.early.iter().map(|(_, request)| request));
        requests.map(|request| request.deadline.instant()).chain(self.due).min()
    }
}
