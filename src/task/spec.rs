//! Everything a task is built from, parsed and checked by its owner.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::api::Settings;
use crate::api::converter::ConverterPlugin;
use crate::api::ids::TaskId;
use crate::api::sink::SinkPlugin;
use crate::api::source::SourcePlugin;
use crate::api::transform::{PredicatePlugin, TransformPlugin};
use crate::config::client::ClientSettings;
use crate::store::offset_store::OffsetStore;

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
    /// The settings of its producer or consumer. Source tasks with equal ones share a producer.
    pub client: ClientSettings,
    /// How often offsets are committed: `offset.flush.interval.ms`.
    pub offset_flush_interval: Duration,
    /// How long a commit may take: `offset.flush.timeout.ms`.
    pub offset_flush_timeout: Duration,
    /// How long a task that ends waits for Kafka in all: for acknowledgements, for its last commit, until it has left
    /// its group. Less than its owner waits for the task.
    pub stop_timeout: Duration,
    /// What becomes of a record that cannot be transformed, converted or sent: `errors.tolerance`.
    pub tolerance: Tolerance,
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
            TaskWork::Source { plugin, .. } => plugin.task_class(),
            TaskWork::Sink { plugin, .. } => plugin.task_class(),
        }
    }
}

impl fmt::Debug for TaskWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.task_class())
    }
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

/// What becomes of a record that cannot be transformed, converted or sent: `errors.tolerance`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerance {
    /// The task fails.
    None,
    /// The record is left out.
    All,
}
