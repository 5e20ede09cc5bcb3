//! Topics of a source task that come into being with the settings of its connector (KIP-158): before the first record
//! goes to one, it is looked whether it is there, and it is created if not.
//!
//! Brokers are asked once for each topic, on a thread that lives while there are new ones: the task goes on with what else
//! it has to do, and a record for a topic that is known costs a comparison.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError, bounded};

use super::frame::Frame;
use crate::api::error::{ConnectError, Result};
use crate::config::topic_creation::{TopicGroup, TopicGroups};
use crate::kafka::fault::{FaultKind, KafkaFault};
use crate::kafka::new_topics::{MakeTopics, Topics};
use crate::kafka::producer::Wake;
use crate::kafka::topic_admin::{Creation, TopicToCreate};
use crate::stdx::error_class::ErrorClass;
use crate::stdx::log_context::LogContext;
use crate::stdx::thread;
use crate::stdx::time::Clock;

const TARGET: &str = "org.apache.kafka.connect.runtime.AbstractWorkerSourceTask";
const ADMIN_TARGET: &str = "org.apache.kafka.connect.util.TopicAdmin";

/// How long brokers may take to say whether a topic is there, or to create it, until they are asked anew.
const ATTEMPT: Duration = Duration::from_secs(10);
/// How long the thread that asks them waits for the next topic before it ends, and its connections with it.
const REST: Duration = Duration::from_secs(5);

/// What a source task needs to create topics.
#[derive(Clone)]
pub struct TopicCreationSpec {
    /// How topics are created.
    pub groups: Arc<TopicGroups>,
    /// Makes what asks the brokers.
    pub topics: Arc<MakeTopics>,
}

impl fmt::Debug for TopicCreationSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.groups.fmt(f)
    }
}

/// The topics of one task.
pub(super) struct TopicCreation {
    spec: TopicCreationSpec,
    /// The log context of the task.
    context: Arc<str>,
    thread_name: String,
    wake: Wake,
    /// The topic that was asked for last: most records go where the one before went.
    latest: Option<Arc<str>>,
    known: HashSet<Arc<str>>,
    asking: Option<Asking>,
}

/// The thread that asks, while it lives.
struct Asking {
    questions: Sender<Arc<str>>,
    answers: Receiver<Answer>,
    /// The topic whose answer is due.
    topic: Option<Arc<str>>,
}

/// What became of a topic: it is there, or it is to be asked again, or the task fails.
type Answer = std::result::Result<(), Obstacle>;

enum Obstacle {
    Passing(KafkaFault),
    Lasting(ConnectError),
}

/// Whether a record may be sent now.
#[derive(Debug)]
pub(super) enum Admission {
    /// Its topic is there.
    Granted,
    /// Not yet. The task is woken when it may try again.
    Pending,
    /// Not yet: brokers could not tell, and are asked anew with the next try.
    Failed(KafkaFault),
}

impl TopicCreation {
    pub(super) fn new(spec: TopicCreationSpec, frame: &Frame) -> Self {
        TopicCreation {
            spec,
            context: Arc::clone(&frame.context),
            thread_name: format!("topic-creation-{}", frame.id()),
            wake: frame.wake(),
            latest: None,
            known: HashSet::new(),
            asking: None,
        }
    }

    /// Whether a record may go to the topic now. Never blocks.
    ///
    /// # Errors
    /// The topic is not there and cannot be created.
    pub(super) fn admit(&mut self, topic: &Arc<str>) -> Result<Admission> {
        if self.latest.as_ref().is_some_and(|latest| Arc::ptr_eq(latest, topic)) {
            return Ok(Admission::Granted);
        }
        if !self.known.contains(topic) {
            match self.ask(topic)? {
                Admission::Granted => drop(self.known.insert(Arc::clone(topic))),
                wait @ (Admission::Pending | Admission::Failed(_)) => return Ok(wait),
            }
        }
        self.latest = Some(Arc::clone(topic));
        Ok(Admission::Granted)
    }

    fn ask(&mut self, topic: &Arc<str>) -> Result<Admission> {
        let asking = match &mut self.asking {
            Some(asking) => asking,
            None => {
                self.asking.insert(Asking::start(&self.spec, &self.context, &self.thread_name, &self.wake)?)
            }
        };
        if asking.topic.is_none() {
            match asking.questions.try_send(Arc::clone(topic)) {
                Ok(()) => asking.topic = Some(Arc::clone(topic)),
                // It went to rest: the next try finds another.
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.asking = None,
            }
            return Ok(Admission::Pending);
        }
        let answer = match asking.answers.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return Ok(Admission::Pending),
            Err(TryRecvError::Disconnected) => {
                self.asking = None;
                return Ok(Admission::Pending);
            }
        };
        let asked = asking.topic.take();
        match answer {
            Ok(()) if asked.as_ref() == Some(topic) => Ok(Admission::Granted),
            // About a record that was given up since.
            Ok(()) => Ok(Admission::Pending),
            Err(Obstacle::Passing(fault)) => Ok(Admission::Failed(fault)),
            Err(Obstacle::Lasting(error)) => Err(error),
        }
    }
}

impl Asking {
    fn start(spec: &TopicCreationSpec, context: &Arc<str>, thread_name: &str, wake: &Wake) -> Result<Self> {
        let (questions, asked) = bounded::<Arc<str>>(1);
        let (answer, answers) = bounded(1);
        let (spec, context, wake) = (spec.clone(), Arc::clone(context), Arc::clone(wake));
        let asker = thread::spawn(thread_name, thread::STACK_BYTES, move || {
            let _context = LogContext::enter(&context);
            // Outlives the answer: it takes a moment to close.
            let mut topics = None;
            loop {
                match asked.recv_timeout(REST) {
                    Ok(topic) => {
                        if answer.send(see_to(&spec, &mut topics, &topic)).is_err() {
                            return;
                        }
                        wake();
                    }
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        let asker = asker.map_err(|why| {
            ConnectError::connect("The system gives no thread to create topics on").caused_by(why)
        })?;
        // It ends by its own bound once the task has gone.
        asker.abandon();
        Ok(Asking { questions, answers, topic: None })
    }
}

/// Sees that a topic is there.
fn see_to(spec: &TopicCreationSpec, made: &mut Option<Box<dyn Topics>>, topic: &str) -> Answer {
    log::info!(
        target: TARGET,
        "The task will send records to topic '{topic}' for the first time. Checking whether topic exists"
    );
    let deadline = Clock.deadline(ATTEMPT);
    let topics = match made {
        Some(topics) => topics,
        None => made.insert((spec.topics)().map_err(|fault| {
            let error = ConnectError::connect("Failed to create the admin client of the task");
            Obstacle::Lasting(error.caused_by(fault))
        })?),
    };
    if topics.exists(topic, deadline).map_err(|fault| undescribed(topic, fault))? {
        log::info!(target: TARGET, "Topic '{topic}' already exists.");
        return Ok(());
    }
    log::info!(target: TARGET, "Creating topic '{topic}'");
    let group = spec.groups.group_of(topic).map_err(|why| {
        let error = ConnectError::connect(format!("Cannot find the topic creation group of topic '{topic}'"));
        Obstacle::Lasting(error.caused_by(why))
    })?;
    log::debug!(target: TARGET, "Topic '{topic}' matched topic creation group: {group}");
    create(topics.as_mut(), topic, group)
}

fn create(topics: &mut dyn Topics, topic: &str, group: &TopicGroup) -> Answer {
    let new = TopicToCreate {
        name: topic,
        partitions: group.partitions,
        replication: group.replication,
        settings: &group.settings,
    };
    let shown = group.new_topic(topic);
    let refused = |fault: KafkaFault| {
        let prefix = format!("topic.creation.{}", group.name);
        Obstacle::Lasting(
            ConnectError::connect(format!(
                "Unable to create topic(s) '{topic}': the broker does not want {shown}. Change {prefix}.* of the \
                 connector, or create the topic, and restart the task"
            ))
            .caused_by(fault),
        )
    };
    match topics.create(&new, Clock.deadline(ATTEMPT)) {
        Ok(Creation::Created) => {
            log::info!(target: TARGET, "Created topic '{shown}' using creation group {group}");
            Ok(())
        }
        Ok(Creation::Exists) => {
            log::info!(target: TARGET, "Found existing topic '{shown}'");
            Ok(())
        }
        Ok(Creation::NotAllowed(fault)) => {
            log::debug!(
                target: ADMIN_TARGET,
                "Not authorized to create topic(s) '{topic}'. Falling back to assume topic(s) exist or will be \
                 auto-created by the broker."
            );
            log::warn!(target: TARGET, "Request to create new topic '{topic}' failed");
            let error = ConnectError::connect(format!(
                "Task failed to create new topic {shown}. Ensure that the task is authorized to create topics or that \
                 the topic exists and restart the task"
            ));
            Err(Obstacle::Lasting(error.caused_by(fault)))
        }
        Ok(Creation::TooFewBrokers(fault) | Creation::Refused(fault)) => Err(refused(fault)),
        Err(fault) if fault.class() == ErrorClass::Retriable => Err(Obstacle::Passing(fault)),
        Err(fault) => Err(Obstacle::Lasting(
            ConnectError::connect(format!("Error while attempting to create/find topic(s) '{topic}'"))
                .caused_by(fault),
        )),
    }
}

/// What follows when brokers do not say whether a topic is there.
fn undescribed(topic: &str, fault: KafkaFault) -> Obstacle {
    let is_unauthorized =
        matches!(fault.kind(), FaultKind::TopicAuthorization | FaultKind::ClusterAuthorization);
    let message = match fault.class() {
        ErrorClass::Retriable => return Obstacle::Passing(fault),
        ErrorClass::Fatal | ErrorClass::Bug if is_unauthorized => {
            format!("Not authorized to describe topic(s) '{topic}'")
        }
        ErrorClass::Fatal | ErrorClass::Bug => {
            format!("Error while attempting to describe topics '{topic}'")
        }
    };
    Obstacle::Lasting(ConnectError::connect(message).caused_by(fault))
}
