//! Questions about one topic that wait for the broker, on a thread of their own, so that neither the thread of the logs
//! nor another topic waits for them.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, after, bounded};

use super::LogsNotStarted;
use super::TopicSpec;
use super::check::{Missing, Obstacle, TopicRole, partitions_obstacle, policy_obstacle};
use crate::config::client::ClientSettings;
use crate::kafka::admin::is_embedded;
use crate::kafka::fault::{FaultKind, KafkaFault};
use crate::kafka::log_offsets::LogOffsets;
use crate::kafka::topic_admin::{Creation, TopicAdmin, TopicToCreate};
use crate::stdx::thread::{self, JoinOnDrop};
use crate::stdx::time::{Clock, Deadline};

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(15);
/// How long a created topic may take until a broker tells about its partitions, and how often it is asked.
const VISIBLE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long a broker may take to learn of a topic that another one knows.
const KNOWN: Duration = Duration::from_secs(2);
/// One job of each kind waits at most.
const JOBS_MAX: usize = 2;

/// What a helper is to do. It does one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) enum Job {
    /// Create the topic if it is missing and `create` says so, check it, and find where its partitions begin.
    Prepare { create: bool },
    /// Ask where its partitions end, and, if that is wanted, how far they can be read: to where open transactions begin.
    /// `reading` comes back with the answer.
    ListEnds { partitions: i32, reading: u64, readable: bool },
}

/// Where the partitions of a topic end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ends {
    /// After all records, those of open transactions included.
    pub(super) all: Vec<i64>,
    /// As far as they can be read now, if that was wanted.
    pub(super) readable: Option<Vec<i64>>,
}

/// What came of a job.
#[derive(Debug)]
pub(super) enum JobDone {
    /// The topic is as it is to be, and its partitions begin at these offsets; or something is in the way.
    Prepared(Result<Vec<i64>, Obstacle>),
    /// The ends.
    Listed { reading: u64, ends: Result<Ends, KafkaFault> },
}

/// The helper of one topic. Dropping it does not wait for a job that is under way: it ends by its own bound.
#[derive(Debug)]
pub(super) struct Helper {
    jobs: Sender<Job>,
    thread: Option<JoinOnDrop>,
}

/// Where what came of a job goes, with the number of the topic. A helper has at most one of each kind under way, so
/// there is always room.
pub(super) type JobsDone = Sender<(usize, JobDone)>;

/// The channel for the results of so many helpers.
pub(super) fn jobs_done(topics: usize) -> (JobsDone, Receiver<(usize, JobDone)>) {
    bounded(topics.max(1) * (JOBS_MAX + 1))
}

/// What became of the wish to have the topic created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// There was none.
    None,
    /// It was created just now.
    Granted,
    /// It was there.
    Needless,
    /// This worker may not; it may be there.
    Refused,
}

impl Wish {
    /// Why the topic is missing, if it is.
    fn missing(self) -> Missing {
        match self {
            Wish::None => Missing::Deleted,
            Wish::Granted | Wish::Needless => Missing::NotYet,
            Wish::Refused => Missing::NotAllowed,
        }
    }
}

/// What a helper works with.
pub(super) struct Questions {
    pub(super) spec: TopicSpec,
    pub(super) admin: ClientSettings,
    /// Must read uncommitted: ends count open transactions.
    pub(super) offsets: LogOffsets,
    /// The settings of a client that asks where open transactions begin, if the topic is read as far as it is committed.
    pub(super) committed: Option<ClientSettings>,
}

impl Helper {
    pub(super) fn start(questions: Questions, topic: usize, done: JobsDone) -> Result<Self, LogsNotStarted> {
        let (jobs, queue) = bounded(JOBS_MAX);
        let name = format!("{}-topic-admin", questions.spec.role.word());
        let thread = thread::spawn(name, thread::STACK_BYTES, move || {
            for job in queue {
                // Outlives the answer: it takes a moment to close.
                let mut admin = None;
                let result = match job {
                    Job::Prepare { create } => JobDone::Prepared(questions.prepare(create, &mut admin)),
                    Job::ListEnds { partitions, reading, readable } => {
                        JobDone::Listed { reading, ends: questions.ends(partitions, readable) }
                    }
                };
                if done.send((topic, result)).is_err() {
                    return;
                }
            }
        });
        Ok(Helper { jobs, thread: Some(thread.map_err(LogsNotStarted::Thread)?) })
    }

    /// Takes a job; false if there is no room, which means that one of its kind is under way.
    pub(super) fn take(&self, job: Job) -> bool {
        match self.jobs.try_send(job) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.abandon();
        }
    }
}

impl Questions {
    fn prepare(&self, create: bool, admin: &mut Option<TopicAdmin>) -> Result<Vec<i64>, Obstacle> {
        let deadline = Clock.deadline(ATTEMPT);
        let cluster = self.offsets.cluster_id(deadline).map_err(|fault| self.kafka(&fault))?;
        if is_embedded(&cluster) {
            // It can neither create nor describe. A lookup that creates would give the config topic too many partitions.
            return self.beginnings(Clock.deadline(Duration::ZERO), deadline, Missing::Embedded);
        }
        let fresh = TopicAdmin::new(&self.admin).map_err(|fault| self.kafka(&fault))?;
        let admin = admin.insert(fresh);
        let wish = if create { self.create(admin, deadline)? } else { Wish::None };
        let beginnings = self.beginnings(Clock.deadline(VISIBLE), deadline, wish.missing())?;
        if wish != Wish::Granted {
            let ask = || admin.topic_setting(&self.spec.name, "cleanup.policy", deadline);
            let policy = until_told(Clock.deadline(KNOWN), ask);
            match policy.map_err(|fault| self.kafka_without(&fault, wish.missing()))? {
                Some(policy) => {
                    let obstacle = policy_obstacle(self.spec.role, &self.spec.name, &policy);
                    obstacle.map_or(Ok(()), Err)?;
                }
                None => log::warn!(
                    "the settings of the topic '{}' may not be described, so its cleanup.policy is not checked: it \
                     must be compact",
                    self.spec.name
                ),
            }
        }
        Ok(beginnings)
    }

    fn ends(&self, partitions: i32, readable: bool) -> Result<Ends, KafkaFault> {
        let (name, deadline) = (&self.spec.name, Clock.deadline(ATTEMPT));
        // First: a transaction that ends meanwhile must not put this end behind the other.
        let committed = self.committed.as_ref().filter(|_| readable);
        let committed = committed.map(|settings| LogOffsets::new(settings)?.ends(name, partitions, deadline));
        let committed = committed.transpose()?;
        let all = self.offsets.ends(name, partitions, deadline)?;
        Ok(Ends { readable: readable.then(|| committed.unwrap_or_else(|| all.clone())), all })
    }

    /// Creates the topic, unless it is there already.
    fn create(&self, admin: &TopicAdmin, deadline: Deadline) -> Result<Wish, Obstacle> {
        let TopicSpec { role, name, partitions, replication, settings } = &self.spec;
        let mut settings = settings.clone();
        settings.insert("cleanup.policy".to_owned(), "compact".to_owned());
        let partitions = if *role == TopicRole::Config { Some(1) } else { *partitions };
        let topic = TopicToCreate { name, partitions, replication: *replication, settings: &settings };
        match admin.create(&topic, deadline).map_err(|fault| self.kafka(&fault))? {
            Creation::Created => {
                log::info!("created the topic '{name}' ({}topic)", role.prefix());
                Ok(Wish::Granted)
            }
            Creation::Exists => Ok(Wish::Needless),
            Creation::NotAllowed(fault) => {
                log::info!("{fault}; the topic is taken to be there");
                Ok(Wish::Refused)
            }
            Creation::TooFewBrokers(_) => {
                let brokers = self.offsets.brokers(deadline).ok();
                Err(Obstacle::TooFewBrokers {
                    topic: Arc::clone(name),
                    role: *role,
                    replicas: *replication,
                    brokers,
                })
            }
            Creation::Refused(fault) => Err(Obstacle::Refused { role: *role, why: fault.to_string() }),
        }
    }

    /// Counts and checks the partitions, and finds where they begin. Waits until `visible` for the topic to be there.
    fn beginnings(
        &self,
        visible: Deadline,
        deadline: Deadline,
        missing: Missing,
    ) -> Result<Vec<i64>, Obstacle> {
        let name = &self.spec.name;
        loop {
            let obstacle = match self.offsets.partitions(name, deadline) {
                Ok(None) => self.missing(missing),
                Ok(Some(found)) => {
                    let obstacle = partitions_obstacle(self.spec.role, name, found);
                    obstacle.map_or(Ok(()), Err)?;
                    match self.offsets.beginnings(name, found, deadline) {
                        Ok(beginnings) => return Ok(beginnings),
                        Err(fault) => self.kafka(&fault),
                    }
                }
                Err(fault) => self.kafka(&fault),
            };
            if visible.passed(Clock.now().instant) {
                return Err(obstacle);
            }
            after(LOOK_AGAIN).recv().ok();
        }
    }

    fn missing(&self, reason: Missing) -> Obstacle {
        Obstacle::Missing { topic: Arc::clone(&self.spec.name), role: self.spec.role, reason }
    }

    fn kafka(&self, fault: &KafkaFault) -> Obstacle {
        self.kafka_without(fault, Missing::Deleted)
    }

    /// What is in the way; of a topic that is not there, for that reason.
    fn kafka_without(&self, fault: &KafkaFault, missing: Missing) -> Obstacle {
        match fault.kind() {
            FaultKind::UnknownTopic => self.missing(missing),
            FaultKind::RecordTooLarge
            | FaultKind::TopicAuthorization
            | FaultKind::GroupAuthorization
            | FaultKind::ClusterAuthorization
            | FaultKind::Authentication
            | FaultKind::Tls
            | FaultKind::UnknownPartition
            | FaultKind::InvalidTopic
            | FaultKind::InvalidRecord
            | FaultKind::ProducerLost
            | FaultKind::GroupProtocol
            | FaultKind::SessionTimeout
            | FaultKind::GroupMovedOn
            | FaultKind::GroupNotEmpty
            | FaultKind::UnknownGroup
            | FaultKind::NoOffset
            | FaultKind::Config
            | FaultKind::Unreachable
            | FaultKind::Passing
            | FaultKind::Other
            | FaultKind::Bug => Obstacle::Kafka(fault.to_string()),
        }
    }
}

/// Asks again until there is an answer, or it is too late for one.
fn until_told<T, E>(until: Deadline, mut ask: impl FnMut() -> Result<Option<T>, E>) -> Result<Option<T>, E> {
    loop {
        let told = ask()?;
        if told.is_some() || until.passed(Clock.now().instant) {
            return Ok(told);
        }
        after(LOOK_AGAIN).recv().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_does_not_know_a_topic_yet_is_asked_again() {
        let ask = |within: Duration, answers: &[Result<Option<u8>, &'static str>]| {
            let mut answers = answers.iter().cloned();
            let told = until_told(Clock.deadline(within), || answers.next().expect("it asks on"));
            (told, answers.len())
        };
        let (long, short) = (Duration::from_secs(60), Duration::ZERO);
        assert_eq!(ask(long, &[Ok(None), Ok(None), Ok(Some(1)), Ok(Some(2))]), (Ok(Some(1)), 1));
        assert_eq!(ask(long, &[Ok(None), Err("away"), Ok(Some(2))]), (Err("away"), 1));
        assert_eq!(ask(short, &[Ok(None), Ok(Some(1))]), (Ok(None), 1), "it may not look");
    }
}
