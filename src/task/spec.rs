//! Everything a task is built from, parsed and checked by its owner.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::errors::RetryPolicy;
use crate::api::Settings;
use crate::api::converter::ConverterPlugin;
use crate::api::ids::{Epoch, TaskId};
use crate::api::sink::SinkPlugin;
use crate::api::source::SourcePlugin;
use crate::api::transform::{PredicatePlugin, TransformPlugin};
use crate::config::client::ClientSettings;
use crate::store::offset_store::OffsetStore;
use crate::task::topic_creation::TopicCreationSpec;

/// What to build a task from.
#[derive(Debug, Clone)]
pub struct TaskSpec {
    /// The task.
    pub id: TaskId,
    /// What it does.
    pub work: TaskWork,
    /// The settings that its connector made for it.
    pub settings: Settings,
    /// How its records become bytes and back.
    pub converters: Converters,
    /// What changes its records, in this order.
    pub transforms: Vec<TransformChoice>,
    /// How the topics of a source are created that are not there; the broker does it without.
    pub topic_creation: Option<TopicCreationSpec>,
    /// The settings of its producer or consumer. Source tasks with equal ones share a producer.
    pub client: ClientSettings,
    /// How often offsets are committed: `offset.flush.interval.ms`.
    pub offset_flush_interval: Duration,
    /// How long a commit may take: `offset.flush.timeout.ms`.
    pub offset_flush_timeout: Duration,
    /// How long a task that ends waits for Kafka in all: for acknowledgements, for its last commit, until it has left
    /// its group. Less than its owner waits for the task.
    pub stop_timeout: Duration,
    /// What becomes of a record that cannot be transformed, converted, sent or put: `errors.*`.
    pub errors: ErrorHandling,
    /// The most records in one batch for a sink: `max.poll.records`.
    pub records_max: usize,
}

/// What a task does.
#[derive(Clone)]
pub enum TaskWork {
    /// Reads from a system into Kafka.
    Source {
        /// Makes the task.
        plugin: Arc<dyn SourcePlugin>,
        /// Keeps how far it has read.
        offsets: Arc<dyn OffsetStore>,
    },
    /// The same, with records and offsets in transactions (KIP-618).
    ExactlyOnceSource {
        /// Makes the task.
        plugin: Arc<dyn SourcePlugin>,
        /// Shows how far it has read; it is written in the transactions.
        offsets: Arc<dyn OffsetStore>,
        /// What it needs for that.
        transactions: TransactionSpec,
    },
    /// Writes from Kafka to a system.
    Sink {
        /// Makes the task.
        plugin: Arc<dyn SinkPlugin>,
        /// What it consumes.
        topics: SinkTopics,
    },
}

impl TaskWork {
    /// The class that users know it by.
    pub fn task_class(&self) -> &'static str {
        match self {
            TaskWork::Source { plugin, .. } | TaskWork::ExactlyOnceSource { plugin, .. } => {
                plugin.task_class()
            }
            TaskWork::Sink { plugin, .. } => plugin.task_class(),
        }
    }
}

impl fmt::Debug for TaskWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.task_class())
    }
}

/// What a source task needs to write in transactions. Its producer is its own: the client settings of the task have a
/// transactional id.
#[derive(Clone)]
pub struct TransactionSpec {
    /// Where transactions end.
    pub boundary: Boundary,
    /// The topic that its offsets are written to.
    pub offsets_topic: Arc<str>,
    /// Offsets go there, too, once they are committed, where `offsets_topic` is not the worker's.
    pub secondary: Option<Arc<dyn OffsetStore>>,
    /// Who is asked before the task begins.
    pub guard: Arc<dyn StartGuard>,
}

/// Where transactions end: `transaction.boundary`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// After each batch.
    Poll,
    /// After a batch, when so much time has passed.
    Interval(Duration),
    /// Where the task says.
    Connector,
}

/// How far the start of a task that writes exactly once has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartStep {
    /// It has no producer yet: tasks of earlier sets are to be shut out.
    Fence,
    /// It has its producer: whether it is still one of those that are to run.
    Confirm,
}

/// Gets the answer of a [`StartGuard`]: the task may go on, or why not. Called once, on any thread; does not block.
pub type MayGoOn = Box<dyn FnOnce(std::result::Result<(), String>) + Send>;

/// Who knows whether a task that writes exactly once may begin.
pub trait StartGuard: Send + Sync {
    /// Asks for one instance of a task. Does not wait for the answer.
    fn ask(&self, id: &TaskId, epoch: Epoch, step: StartStep, may_go_on: MayGoOn);
}

/// What a sink consumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkTopics {
    /// `topics`: by name.
    Named(Vec<String>),
    /// `topics.regex`: whose whole name matches.
    Matching(String),
}

/// How the records of a task become bytes and back.
#[derive(Debug, Clone)]
pub struct Converters {
    /// For keys.
    pub key: ConverterChoice,
    /// For values.
    pub value: ConverterChoice,
    /// For headers.
    pub header: ConverterChoice,
}

/// A converter class and its settings, prefix stripped.
#[derive(Clone)]
pub struct ConverterChoice {
    /// Makes the converter.
    pub plugin: Arc<dyn ConverterPlugin>,
    /// What it is made with.
    pub settings: Settings,
}

impl fmt::Debug for ConverterChoice {
    /// Without the settings: they may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.plugin.class())
    }
}

/// A transform of a chain with its settings, prefix stripped.
#[derive(Clone)]
pub struct TransformChoice {
    /// Makes the transform.
    pub plugin: Arc<dyn TransformPlugin>,
    /// What it is made with.
    pub settings: Settings,
    /// For which records it is used; for all without.
    pub condition: Option<PredicateChoice>,
}

/// A predicate with its settings, prefix stripped.
#[derive(Clone)]
pub struct PredicateChoice {
    /// Makes the predicate.
    pub plugin: Arc<dyn PredicatePlugin>,
    /// What it is made with.
    pub settings: Settings,
    /// Whether it chooses the records for which it does not hold.
    pub negate: bool,
}

impl fmt::Debug for TransformChoice {
    /// Without the settings: they may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TransformChoice").field(&self.plugin.class()).field(&self.condition).finish()
    }
}

impl fmt::Debug for PredicateChoice {
    /// Without the settings: they may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PredicateChoice").field(&self.plugin.class()).field(&self.negate).finish()
    }
}

/// What becomes of a record that fails: the settings `errors.*` of a connector. By default the task fails at once.
#[derive(Debug, Clone, Default)]
pub struct ErrorHandling {
    /// How long it is tried again: `errors.retry.*`.
    pub retry: RetryPolicy,
    /// Whether it may be left out.
    pub tolerance: Tolerance,
    /// What is logged of it.
    pub log: ErrorLog,
    /// Where a sink puts it: `errors.deadletterqueue.*`.
    pub dead_letters: Option<DeadLetterSpec>,
}

/// Whether a record that failed may be left out: `errors.tolerance`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tolerance {
    /// The task fails.
    #[default]
    None,
    /// The record is left out.
    All,
}

/// What is logged of a record that failed: `errors.log.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ErrorLog {
    /// Nothing.
    #[default]
    Off,
    /// Where it failed, and why.
    Errors,
    /// Also which record it was: where a sink read it, all of it for a source.
    WithRecords,
}

/// The dead letter queue of a sink connector.
#[derive(Debug, Clone)]
pub struct DeadLetterSpec {
    /// The topic. It is made, with one partition, if it is not there.
    pub topic: Arc<str>,
    /// How many replicas it is made with; -1 leaves it to the broker.
    pub replication: i16,
    /// Whether headers tell of the failure.
    pub with_context: bool,
    /// The settings of the producer. Tasks with equal ones share it.
    pub producer: ClientSettings,
    /// The settings of the client that makes the topic.
    pub admin: ClientSettings,
}
