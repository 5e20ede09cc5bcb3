//! The internal topics of distributed mode as logs: created, checked, read to their ends, followed, and written.
//!
//! One thread, `internal-topics`, owns the consumer and the producers of all of them, and hands what it reads to the
//! sink of each topic. It waits for nothing but events: a thread for each topic puts the questions to the broker that
//! take their time, and another one has the transactions of the leader. Nothing here ends because Kafka is not ready; what is
//! in the way is told (`LogStage::Waiting`) and tried again.
//!
//! Whoever writes or asks holds a [`LogHandle`]. A write is answered when Kafka has it *and* the sink has it.

mod appends;
mod check;
mod consumers;
mod error;
mod follow;
mod gate;
mod handle;
mod helper;
mod leader;
mod progress;
mod run;
mod waiter;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::Arc;

use crossbeam_channel::{Sender, bounded};

pub use check::{Missing, Obstacle, TopicRole};
pub use error::{LogAnswer, LogError};
pub use handle::{LogEntry, LogHandle};

use crate::config::client::internal_topics::InternalTopicClients;
use crate::kafka::fault::KafkaFault;
pub use crate::kafka::log_records::{LogRecord, LogRecords};
use crate::stdx::thread::{self, JoinOnDrop};

/// An internal topic as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Which it is.
    pub role: TopicRole,
    /// Its name.
    pub name: Arc<str>,
    /// How many partitions it gets when it is created; `None` is the broker's default. The config topic always gets one.
    pub partitions: Option<i32>,
    /// How many replicas each gets; `None` is the broker's default.
    pub replication: Option<i16>,
    /// Its other settings; `cleanup.policy` is always `compact`.
    pub settings: BTreeMap<String, String>,
}

/// An internal topic, and where its records go.
pub struct LogTopic {
    /// What it is like.
    pub spec: TopicSpec,
    /// Gets its records.
    pub sink: Box<dyn LogSink>,
}

impl fmt::Debug for LogTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogTopic").field(&self.spec).finish()
    }
}

/// Gets what one topic holds. Called on the thread of the logs, which serves all topics: it must be quick, and may
/// block on nothing but a bounded queue whose reader never waits for the logs.
///
/// The calls: `records` as often as it takes, `read_to_end` once, then `records` as they come. Should the topic turn out
/// to be another one than was read, `begins_anew`, and the same from the start.
pub trait LogSink: Send {
    /// Records of one partition, after those that were given before. The order between partitions means nothing.
    fn records(&mut self, records: &LogRecords);

    /// All that was in the topic when the reading began was given.
    fn read_to_end(&mut self);

    /// What was read is not what is there: the topic was deleted and made anew, or lost its end. All of it follows from
    /// the beginning, then [`LogSink::read_to_end`]; until then the old is the best that is known.
    fn begins_anew(&mut self, why: &str);

    /// The topic cannot be read for the time being: there may be more in it than was given. Told again when the reason
    /// changes.
    fn unreadable(&mut self, why: &str);

    /// It can be read again.
    fn readable(&mut self);
}

/// What the thread of the logs is doing; told when it changes, on that thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogStage {
    /// A topic is created, or looked at if it is there.
    Preparing {
        /// The topic.
        topic: Arc<str>,
    },
    /// Something is in the way of a topic. It is tried again until it is not.
    Waiting {
        /// The topic.
        topic: Arc<str>,
        /// What it is, with what to change.
        obstacle: Obstacle,
    },
    /// A topic is read to its end.
    Reading {
        /// The topic.
        topic: Arc<str>,
        /// How far, in offsets of all partitions together.
        position: i64,
        /// Where the end was when the reading began.
        end: i64,
    },
    /// All topics were read to their ends, and are followed.
    Following,
}

impl fmt::Display for LogStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogStage::Preparing { topic } => write!(f, "creating or checking the topic '{topic}'"),
            LogStage::Waiting { topic, obstacle } => write!(f, "waiting for the topic '{topic}': {obstacle}"),
            LogStage::Reading { topic, position, end } => {
                write!(f, "reading to the end of the topic '{topic}' ({position} of {end})")
            }
            LogStage::Following => f.write_str("following the internal topics"),
        }
    }
}

/// Called with each stage.
pub type OnStage = Box<dyn FnMut(LogStage) + Send>;

/// Why the logs did not start.
#[derive(Debug, thiserror::Error)]
pub enum LogsNotStarted {
    /// librdkafka refuses the settings of a client.
    #[error(transparent)]
    Client(#[from] KafkaFault),
    /// The system has no thread to give.
    #[error("cannot start a thread for the internal topics")]
    Thread(#[source] io::Error),
}

/// The running logs. Dropping them ends the threads; what waits for an answer then is told that the logs are closed.
#[derive(Debug)]
pub struct TopicLogs {
    _stop: Sender<Infallible>, // dropped first: the thread sees the channel closed, and ends
    _leader: Option<leader::Leader>,
    _thread: JoinOnDrop, // dropped last: waits for the thread
}

impl TopicLogs {
    /// Starts the threads. Does not wait for the broker: stages and sinks tell how it goes.
    ///
    /// # Errors
    /// Client settings that librdkafka refuses, or no threads.
    pub fn start(
        clients: &InternalTopicClients,
        topics: Vec<LogTopic>,
        on_stage: OnStage,
    ) -> Result<(TopicLogs, LogHandle), LogsNotStarted> {
        let names: Vec<_> =
            topics.iter().map(|topic| (topic.spec.role, Arc::clone(&topic.spec.name))).collect();
        let (handle, commands) = handle::new(names);
        let leader = match &clients.leader_producer {
            Some(settings) => Some(leader::Leader::start(settings.clone(), handle.clone())?),
            None => None,
        };
        let handle = handle.with_leader(leader.as_ref());
        let (stop, stopped) = bounded(0);
        let logs = run::Logs::new(clients, topics, on_stage, (handle.clone(), commands))?;
        let thread = thread::spawn("internal-topics", thread::STACK_BYTES, move || logs.run(&stopped))
            .map_err(LogsNotStarted::Thread)?;
        Ok((TopicLogs { _stop: stop, _leader: leader, _thread: thread }, handle))
    }
}
