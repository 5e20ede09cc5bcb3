//! The thread of the logs: takes what comes, hands it to the topic it is about, and waits for more.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded, select};

use super::appends::{Acknowledged, Appends};
use super::check::TopicRole;
use super::consumers::{Consumers, Reading};
use super::follow::{Moment, Topic};
use super::handle::{Command, LogHandle};
use super::helper::{Helper, JobDone, JobsDone, Questions, jobs_done};
use super::{LogStage, LogTopic, LogsNotStarted, OnStage};
use crate::config::client::internal_topics::InternalTopicClients;
use crate::kafka::log_consumer::LogRead;
use crate::kafka::log_offsets::LogOffsets;
use crate::kafka::log_producer::LogProducer;
use crate::kafka::log_records::LogRecords;
use crate::kafka::producer::Wake;
use crate::stdx::time::Clock;

/// The thread looks around at least so often, so that a wake-up that was lost by a bug costs no more than that.
const REST: Duration = Duration::from_secs(1);
/// How many batches it hands on before it looks at what else came.
const BATCHES_MAX: usize = 8;

/// What the thread owns.
pub(super) struct Logs {
    topics: Vec<Topic>,
    /// Those that read uncommitted, and those that read committed, if any topic needs it.
    consumers: Vec<Consumers>,
    /// For records that never expire; and for those that do, if there is a status topic.
    writers: Vec<Appends>,
    commands: Receiver<Command>,
    jobs_done: Receiver<(usize, JobDone)>,
    /// So that no channel closes before the thread is told to stop.
    _senders: (LogHandle, JobsDone),
    woken: Receiver<()>,
    on_stage: OnStage,
    stage: Option<LogStage>,
    batch: LogRecords,
}

/// Which consumer reads a topic: the status topic is read whether committed or not.
fn consumer_of(role: TopicRole, consumers: usize) -> usize {
    match role {
        TopicRole::Config | TopicRole::Offset => consumers - 1,
        TopicRole::Status => 0,
    }
}

fn writer_of(role: TopicRole) -> usize {
    match role {
        TopicRole::Config | TopicRole::Offset => 0,
        TopicRole::Status => 1,
    }
}

impl Logs {
    pub(super) fn new(
        clients: &InternalTopicClients,
        topics: Vec<LogTopic>,
        on_stage: OnStage,
        (handle, commands): (LogHandle, Receiver<Command>),
    ) -> Result<Self, LogsNotStarted> {
        let (waker, woken) = bounded(1);
        // Full: the thread has not looked yet at what woke it before.
        let wake: Wake = Arc::new(move || {
            waker.try_send(()).ok();
        });
        let settings = std::iter::once(&clients.consumer).chain(&clients.committed_consumer);
        let consumers = settings.map(|settings| Consumers::new(settings.clone(), Arc::clone(&wake)));
        let mut consumers: Vec<_> = consumers.collect();
        for topic in &topics {
            let index = consumer_of(topic.spec.role, consumers.len());
            consumers[index].begin()?;
        }
        let writer = |settings| LogProducer::new(settings, Arc::clone(&wake)).map(Appends::new);
        let mut writers = vec![writer(&clients.producer)?];
        if topics.iter().any(|topic| topic.spec.role == TopicRole::Status) {
            writers.push(writer(&clients.status_producer)?);
        }
        let offsets = LogOffsets::new(&clients.offsets)?;
        let (done, jobs_done) = jobs_done(topics.len());
        let topics = topics.into_iter().enumerate().map(|(index, topic)| {
            let (spec, admin) = (topic.spec.clone(), clients.admin.clone());
            let committed = clients.committed_ends(spec.role == TopicRole::Status);
            let questions = Questions { spec, admin, offsets: offsets.clone(), committed };
            Ok(Topic::new(topic, Helper::start(questions, index, done.clone())?))
        });
        let topics = topics.collect::<Result<Vec<_>, LogsNotStarted>>()?;
        Ok(Logs {
            topics,
            consumers,
            writers,
            commands,
            jobs_done,
            _senders: (handle, done),
            woken,
            on_stage,
            stage: None,
            batch: LogRecords::default(),
        })
    }

    /// Runs until `stopped` is closed. What waits for an answer then is answered by being dropped.
    pub(super) fn run(mut self, stopped: &Receiver<Infallible>) {
        let now = Clock.now().instant;
        self.topics.iter_mut().for_each(|topic| topic.start(now));
        let mut rest = Duration::ZERO;
        loop {
            select! {
                recv(stopped) -> _ => break,
                recv(self.commands) -> command => if let Ok(command) = command { self.command(command) },
                recv(self.jobs_done) -> done => if let Ok((topic, done)) = done { self.job_done(topic, done) },
                recv(self.woken) -> _ => {}
                default(rest) => {}
            }
            #[cfg(feature = "faults")]
            crate::faults::hold_while_told("internal-topics");
            rest = self.turn();
        }
        // A queue keeps what is in it as long as it has senders: here it gets its answer.
        self.commands.try_iter().for_each(drop);
    }

    /// Does all that is to be done now; says how long there is nothing more, unless something comes.
    fn turn(&mut self) -> Duration {
        while let Ok(command) = self.commands.try_recv() {
            self.command(command);
        }
        while let Ok((topic, done)) = self.jobs_done.try_recv() {
            self.job_done(topic, done);
        }
        for writer in 0..self.writers.len() {
            let acknowledged = self.writers[writer].turn();
            self.wait_for(acknowledged);
            for topic in self.writers[writer].take_missed() {
                self.look(topic);
            }
        }
        let has_more = self.read();
        self.hand_over();
        self.replace_stuck();
        let now = Clock.now().instant;
        self.timers(now);
        let mut acknowledged = Vec::new();
        for writer in &mut self.writers {
            acknowledged.extend(writer.rest());
        }
        let has_more = has_more || !acknowledged.is_empty();
        self.wait_for(acknowledged);
        self.tell_stages();
        if has_more { Duration::ZERO } else { self.rest(now) }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Append { topic, entries, request } => {
                if let Some(found) = self.topics.get(topic) {
                    let name = Arc::clone(&found.spec.name);
                    self.writers[writer_of(found.spec.role)].push(topic, name, entries, request);
                }
            }
            Command::ReadBack { topic, targets, request } => {
                self.wait_for(vec![Acknowledged { topic, targets, request }]);
            }
            Command::Look { topic } => self.look(topic),
            Command::ReadToEnd { topic, request } => {
                if let Some(topic) = self.topics.get_mut(topic) {
                    topic.read_to_end(request);
                }
            }
        }
    }

    /// A write did not find a topic: whoever asks for the health of the worker is to know soon.
    fn look(&mut self, topic: usize) {
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.look(Clock.now().instant);
        }
    }

    fn wait_for(&mut self, acknowledged: Vec<Acknowledged>) {
        for Acknowledged { topic, targets, request } in acknowledged {
            if let Some((topic, mut at)) = self.at(topic) {
                topic.read_back(targets, request, &mut at);
            }
        }
    }

    fn job_done(&mut self, topic: usize, done: JobDone) {
        let Some((topic, mut at)) = self.at(topic) else { return };
        match done {
            JobDone::Prepared(result) => topic.prepared(result, at.now),
            JobDone::Listed { reading, ends } => topic.listed(reading, ends, &mut at),
        }
        self.begin_reading();
    }

    /// Reads the topics that are ready, all in one go: one that comes a moment later waits until a fetch is over.
    fn begin_reading(&mut self) {
        if !self.topics.iter().all(Topic::is_heard_of) {
            return;
        }
        let (now, count) = (Clock.now().instant, self.consumers.len());
        for (index, consumers) in self.consumers.iter_mut().enumerate() {
            let of_these = |topic: &&mut Topic| consumer_of(topic.spec.role, count) == index;
            let mut topics: Vec<_> = self.topics.iter_mut().filter(of_these).collect();
            let beginnings: Vec<_> = topics.iter().flat_map(|topic| topic.beginnings()).collect();
            if !beginnings.is_empty() {
                let result = consumers.read_from(Reading::FromBeginning, &beginnings);
                topics.iter_mut().for_each(|topic| topic.begun(result.clone(), now));
            }
        }
    }

    /// Once no topic is read from its beginning any more, they are followed by the consumer for news.
    fn hand_over(&mut self) {
        let (now, count) = (Clock.now().instant, self.consumers.len());
        for (index, consumers) in self.consumers.iter_mut().enumerate() {
            let of_these = |topic: &&mut Topic| consumer_of(topic.spec.role, count) == index;
            let mut topics: Vec<_> = self.topics.iter_mut().filter(of_these).collect();
            if !consumers.is_reading() || topics.iter().any(|topic| topic.is_reading()) {
                continue;
            }
            let offsets: Vec<_> = topics.iter().flat_map(|topic| topic.news_from()).collect();
            if !offsets.is_empty() {
                let result = consumers.read_from(Reading::News, &offsets);
                for topic in &mut topics {
                    topic.handed_over(&result, &mut Moment { consumers, now });
                }
                consumers.end(Reading::FromBeginning);
            }
        }
    }

    /// A consumer that does not get further is replaced by a new one, for all topics that it has: librdkafka may lose a
    /// partition where a broker ends without notice and comes back.
    fn replace_stuck(&mut self) {
        let count = self.consumers.len();
        for (index, consumers) in self.consumers.iter_mut().enumerate() {
            let of_these = |topic: &&mut Topic| consumer_of(topic.spec.role, count) == index;
            let mut topics: Vec<_> = self.topics.iter_mut().filter(of_these).collect();
            for which in [Reading::FromBeginning, Reading::News] {
                let mut is_stuck = false;
                for topic in &mut topics {
                    is_stuck |= topic.take_stuck(which);
                }
                if !is_stuck {
                    continue;
                }
                consumers.end(which);
                let offsets: Vec<_> = topics.iter().flat_map(|topic| topic.read_on_from(which)).collect();
                if let Err(fault) = consumers.read_from(which, &offsets) {
                    // It is found to be stuck again.
                    log::warn!("{fault}");
                }
            }
        }
    }

    /// A topic, with what its calls may use.
    fn at(&mut self, topic: usize) -> Option<(&mut Topic, Moment<'_>)> {
        let topic = self.topics.get_mut(topic)?;
        let consumers = consumer_of(topic.spec.role, self.consumers.len());
        let consumers = self.consumers.get_mut(consumers)?;
        Some((topic, Moment { consumers, now: Clock.now().instant }))
    }

    /// Hands on what came. True if there may be more.
    fn read(&mut self) -> bool {
        let mut has_more = false;
        for consumer in 0..self.consumers.len() {
            let mut batches = 0;
            while let Some(read) = self.consumers[consumer].read(&mut self.batch) {
                self.hand_on(consumer, read);
                batches += 1;
                if batches == BATCHES_MAX {
                    has_more = true;
                    break;
                }
            }
        }
        has_more
    }

    fn hand_on(&mut self, consumer: usize, read: LogRead) {
        let consumers = self.consumers.len();
        let now = Clock.now().instant;
        match read {
            LogRead::Partition(read) => {
                let topic = self.topics.iter_mut().find(|topic| topic.spec.name == read.topic);
                let Some(topic) = topic else { return };
                let consumers = &mut self.consumers[consumer];
                topic.read(read, &self.batch, &mut Moment { consumers, now });
            }
            LogRead::ContactLost(fault) => {
                let of_consumer = |topic: &&mut Topic| consumer_of(topic.spec.role, consumers) == consumer;
                self.topics.iter_mut().filter(of_consumer).for_each(|topic| topic.contact_lost(&fault, now));
            }
        }
    }

    fn timers(&mut self, now: Instant) {
        for topic in &mut self.topics {
            if topic.next_timer().is_some_and(|timer| timer <= now) {
                topic.timers(now);
                topic.expire(now);
            }
            topic.list_ends();
        }
        let topics = &self.topics;
        for writer in &mut self.writers {
            if writer.next_deadline().is_some_and(|deadline| deadline <= now) {
                writer.expire(now, |topic| topics.get(topic).and_then(Topic::obstacle));
            }
        }
    }

    fn rest(&self, now: Instant) -> Duration {
        let timers = self.topics.iter().filter_map(Topic::next_timer);
        let deadlines = self.writers.iter().filter_map(Appends::next_deadline);
        let next = timers.chain(deadlines).min();
        next.map_or(REST, |next| next.saturating_duration_since(now).min(REST))
    }

    fn tell_stages(&mut self) {
        let mut stages: Vec<_> = self.topics.iter_mut().flat_map(Topic::take_stages).collect();
        if self.topics.iter().all(Topic::is_following) {
            stages.push(LogStage::Following);
        }
        for stage in stages {
            if self.stage.as_ref() != Some(&stage) {
                (self.on_stage)(stage.clone());
                self.stage = Some(stage);
            }
        }
    }
}
