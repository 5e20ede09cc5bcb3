//! Tasks: what they count, what they are made of.

use super::worker::state_word;
use super::{Attribute, Value, of};
use crate::herder::view::RunState;
use crate::metrics::exposition::Kind::{Counter, Gauge};
use crate::metrics::names::Bean;
use crate::task::ErrorCounts;
use crate::task::counters::{SinkReading, SourceReading, TaskReading};

/// A task on this worker.
pub(in crate::metrics) struct TaskSubject {
    /// `None` until it has one.
    pub(in crate::metrics) state: Option<RunState>,
    /// What it has counted; `None` where it could not even begin.
    pub(in crate::metrics) reading: Option<TaskReading>,
    /// What it is made of.
    pub(in crate::metrics) classes: Classes,
}

/// The classes of a task and of its converters.
#[derive(Debug, Clone, Default)]
pub(in crate::metrics) struct Classes {
    /// As it is written, where it is not known here.
    pub(in crate::metrics) connector: String,
    pub(in crate::metrics) kind: Option<&'static str>,
    pub(in crate::metrics) task: Option<&'static str>,
    /// Of connector and task.
    pub(in crate::metrics) version: Option<&'static str>,
    pub(in crate::metrics) key_converter: Option<ClassAndVersion>,
    pub(in crate::metrics) value_converter: Option<ClassAndVersion>,
    pub(in crate::metrics) header_converter: Option<ClassAndVersion>,
}

/// A class that is known here, and its version.
pub(in crate::metrics) type ClassAndVersion = (&'static str, &'static str);

type Read = fn(&TaskSubject) -> Value<'_>;

const fn text(name: &'static str, meaning: &'static str, read: Read) -> Attribute<TaskSubject> {
    of(Bean::Task, name, (Gauge, "text"), meaning, read)
}

fn counted(of: &TaskSubject, read: fn(&TaskReading) -> Value<'static>) -> Value<'_> {
    of.reading.as_ref().map_or(Value::Unknown, read)
}

fn source(of: &TaskSubject, read: fn(&SourceReading) -> Value<'static>) -> Value<'_> {
    of.reading.as_ref().and_then(|reading| reading.source.as_ref()).map_or(Value::Unknown, read)
}

fn sink(of: &TaskSubject, read: fn(&SinkReading) -> Value<'static>) -> Value<'_> {
    of.reading.as_ref().and_then(|reading| reading.sink.as_ref()).map_or(Value::Unknown, read)
}

fn errors(of: &TaskSubject, read: fn(&ErrorCounts) -> Value<'static>) -> Value<'_> {
    of.reading.as_ref().map_or(Value::Unknown, |reading| read(&reading.errors))
}

fn class_of(plugin: Option<ClassAndVersion>) -> Value<'static> {
    Value::text(plugin.map(|(class, _)| class))
}

fn version_of(plugin: Option<ClassAndVersion>) -> Value<'static> {
    Value::text(plugin.map(|(_, version)| version))
}

pub(in crate::metrics) const TASK: &[Attribute<TaskSubject>] = &[
    text("status", "The state of a task: running, paused, failed, restarting or unassigned.", |of| {
        Value::text(of.state.map(state_word))
    }),
    text("connector-class", "The class of its connector.", |of| Value::name(&of.classes.connector)),
    text("connector-type", "Whether it is a source or a sink.", |of| Value::text(of.classes.kind)),
    text("connector-version", "The version of the class of its connector.", |of| {
        Value::text(of.classes.version)
    }),
    text("task-class", "Its class.", |of| Value::text(of.classes.task)),
    text("task-version", "The version of its class.", |of| Value::text(of.classes.version)),
    text("key-converter-class", "The class of its converter for keys.", |of| {
        class_of(of.classes.key_converter)
    }),
    text("key-converter-version", "The version of that class.", |of| version_of(of.classes.key_converter)),
    text("value-converter-class", "The class of its converter for values.", |of| {
        class_of(of.classes.value_converter)
    }),
    text("value-converter-version", "The version of that class.", |of| {
        version_of(of.classes.value_converter)
    }),
    text("header-converter-class", "The class of its converter for headers.", |of| {
        class_of(of.classes.header_converter)
    }),
    text("header-converter-version", "The version of that class.", |of| {
        version_of(of.classes.header_converter)
    }),
    of(
        Bean::Task,
        "running-ratio",
        (Gauge, ""),
        "The share of its time that it was running, 0 to 1.",
        |of| counted(of, |it| Value::Number(it.running_ratio)),
    ),
    of(Bean::Task, "pause-ratio", (Gauge, ""), "The share of its time that it was paused, 0 to 1.", |of| {
        counted(of, |it| Value::Number(it.pause_ratio))
    }),
    of(
        Bean::Task,
        "batch-size-avg",
        (Gauge, "records"),
        "The average size of the latest batches that were polled or offered to the task.",
        |of| counted(of, |it| Value::of(it.batch_size.average())),
    ),
    of(Bean::Task, "batch-size-max", (Gauge, "records"), "The largest of them.", |of| {
        counted(of, |it| Value::max(&it.batch_size))
    }),
    of(
        Bean::Task,
        "offset-commit-avg-time-ms",
        (Gauge, "ms"),
        "How long the latest commits took on average that succeeded.",
        |of| counted(of, |it| Value::average_ms(&it.commit_time)),
    ),
    of(Bean::Task, "offset-commit-max-time-ms", (Gauge, "ms"), "How long the longest of them took.", |of| {
        counted(of, |it| Value::max_ms(&it.commit_time))
    }),
    of(
        Bean::Task,
        "offset-commit-success-percentage",
        (Gauge, ""),
        "The share of the latest commits that succeeded, 0 to 1.",
        |of| counted(of, |it| Value::share(&it.commits)),
    ),
    of(
        Bean::Task,
        "offset-commit-failure-percentage",
        (Gauge, ""),
        "The share of the latest commits that failed, 0 to 1.",
        |of| counted(of, |it| Value::other_share(&it.commits)),
    ),
    of(
        Bean::SourceTask,
        "source-record-poll-total",
        (Counter, "records"),
        "Records that were polled.",
        |of| source(of, |it| Value::count(it.polled.all)),
    ),
    of(
        Bean::SourceTask,
        "source-record-poll-rate",
        (Gauge, "records a second"),
        "Records polled lately.",
        |of| source(of, |it| Value::Number(it.polled.lately.per_second())),
    ),
    of(
        Bean::SourceTask,
        "source-record-write-total",
        (Counter, "records"),
        "Records that Kafka has acknowledged.",
        |of| source(of, |it| Value::count(it.written.all)),
    ),
    of(
        Bean::SourceTask,
        "source-record-write-rate",
        (Gauge, "records a second"),
        "Records acknowledged lately.",
        |of| source(of, |it| Value::Number(it.written.lately.per_second())),
    ),
    of(
        Bean::SourceTask,
        "poll-batch-avg-time-ms",
        (Gauge, "ms"),
        "How long the latest polls took on average that gave records.",
        |of| source(of, |it| Value::average_ms(&it.poll_time)),
    ),
    of(
        Bean::SourceTask,
        "poll-batch-max-time-ms",
        (Gauge, "ms"),
        "How long the longest of them took.",
        |of| source(of, |it| Value::max_ms(&it.poll_time)),
    ),
    of(
        Bean::SourceTask,
        "source-record-active-count",
        (Gauge, "records"),
        "Records that were polled and are not finished.",
        |of| source(of, |it| Value::count(it.active.all)),
    ),
    of(
        Bean::SourceTask,
        "source-record-active-count-avg",
        (Gauge, "records"),
        "How many that were lately on average.",
        |of| source(of, |it| Value::of(it.active.lately.average())),
    ),
    of(
        Bean::SourceTask,
        "source-record-active-count-max",
        (Gauge, "records"),
        "How many that were lately at most.",
        |of| source(of, |it| Value::max(&it.active.lately)),
    ),
    of(
        Bean::SourceTask,
        "transaction-size-avg",
        (Gauge, "records"),
        "The average size of the latest transactions; exactly-once sources only.",
        |of| source(of, |it| Value::of(it.transaction_size.average())),
    ),
    of(Bean::SourceTask, "transaction-size-min", (Gauge, "records"), "The smallest of them.", |of| {
        source(of, |it| it.transaction_size.min.map_or(Value::Unknown, Value::count))
    }),
    of(Bean::SourceTask, "transaction-size-max", (Gauge, "records"), "The largest of them.", |of| {
        source(of, |it| Value::max(&it.transaction_size))
    }),
    of(Bean::SinkTask, "sink-record-read-total", (Counter, "records"), "Records that were consumed.", |of| {
        sink(of, |it| Value::count(it.read.all))
    }),
    of(
        Bean::SinkTask,
        "sink-record-read-rate",
        (Gauge, "records a second"),
        "Records consumed lately.",
        |of| sink(of, |it| Value::Number(it.read.lately.per_second())),
    ),
    of(
        Bean::SinkTask,
        "sink-record-send-total",
        (Counter, "records"),
        "Records that the task has taken.",
        |of| sink(of, |it| Value::count(it.sent.all)),
    ),
    of(Bean::SinkTask, "sink-record-send-rate", (Gauge, "records a second"), "Records taken lately.", |of| {
        sink(of, |it| Value::Number(it.sent.lately.per_second()))
    }),
    of(
        Bean::SinkTask,
        "sink-record-active-count",
        (Gauge, "records"),
        "Records that were consumed and are not committed.",
        |of| sink(of, |it| Value::count(it.active.all)),
    ),
    of(
        Bean::SinkTask,
        "sink-record-active-count-avg",
        (Gauge, "records"),
        "How many that were lately on average.",
        |of| sink(of, |it| Value::of(it.active.lately.average())),
    ),
    of(
        Bean::SinkTask,
        "sink-record-active-count-max",
        (Gauge, "records"),
        "How many that were lately at most.",
        |of| sink(of, |it| Value::max(&it.active.lately)),
    ),
    of(Bean::SinkTask, "partition-count", (Gauge, ""), "Partitions that the task has.", |of| {
        sink(of, |it| Value::count(it.partitions))
    }),
    of(Bean::SinkTask, "offset-commit-seq-no", (Gauge, ""), "The number of the latest commit.", |of| {
        sink(of, |it| Value::count(it.commit_number))
    }),
    of(
        Bean::SinkTask,
        "offset-commit-completion-total",
        (Counter, ""),
        "Commits that succeeded, those with nothing to do among them.",
        |of| sink(of, |it| Value::count(it.completed.all)),
    ),
    of(
        Bean::SinkTask,
        "offset-commit-completion-rate",
        (Gauge, "a second"),
        "Commits that succeeded lately.",
        |of| sink(of, |it| Value::Number(it.completed.lately.per_second())),
    ),
    of(
        Bean::SinkTask,
        "offset-commit-skip-total",
        (Counter, ""),
        "Commits whose result came too late to count.",
        |of| sink(of, |it| Value::count(it.skipped.all)),
    ),
    of(Bean::SinkTask, "offset-commit-skip-rate", (Gauge, "a second"), "Such commits of late.", |of| {
        sink(of, |it| Value::Number(it.skipped.lately.per_second()))
    }),
    of(
        Bean::SinkTask,
        "put-batch-avg-time-ms",
        (Gauge, "ms"),
        "How long the task took for the latest batches on average.",
        |of| sink(of, |it| Value::average_ms(&it.put_time)),
    ),
    of(
        Bean::SinkTask,
        "put-batch-max-time-ms",
        (Gauge, "ms"),
        "How long it took for the slowest of them.",
        |of| sink(of, |it| Value::max_ms(&it.put_time)),
    ),
    of(
        Bean::TaskError,
        "total-record-failures",
        (Counter, ""),
        "Tries to process a record that failed.",
        |of| errors(of, |it| Value::count(it.record_failures)),
    ),
    of(
        Bean::TaskError,
        "total-record-errors",
        (Counter, "records"),
        "Records that could not be processed in the end.",
        |of| errors(of, |it| Value::count(it.record_errors)),
    ),
    of(
        Bean::TaskError,
        "total-records-skipped",
        (Counter, "records"),
        "Records that were left out because of an error.",
        |of| errors(of, |it| Value::count(it.records_skipped)),
    ),
    of(Bean::TaskError, "total-retries", (Counter, ""), "Tries that were repeated.", |of| {
        errors(of, |it| Value::count(it.retries))
    }),
    of(Bean::TaskError, "total-errors-logged", (Counter, ""), "Errors that were logged.", |of| {
        errors(of, |it| Value::count(it.errors_logged))
    }),
    of(
        Bean::TaskError,
        "deadletterqueue-produce-requests",
        (Counter, "records"),
        "Records for the dead letter queue.",
        |of| errors(of, |it| Value::count(it.dead_letter_requests)),
    ),
    of(
        Bean::TaskError,
        "deadletterqueue-produce-failures",
        (Counter, "records"),
        "Records that the dead letter queue did not get.",
        |of| errors(of, |it| Value::count(it.dead_letter_failures)),
    ),
    of(
        Bean::TaskError,
        "last-error-timestamp",
        (Gauge, "ms"),
        "When the latest error was, since 1970; 0 is never.",
        |of| errors(of, |it| Value::Number(it.last_error as f64)),
    ),
];

/// A transform or predicate of a task.
#[derive(Clone)]
pub(in crate::metrics) struct PluginSubject(pub(in crate::metrics) ClassAndVersion);

const fn plugin(
    bean: Bean,
    name: &'static str,
    meaning: &'static str,
    read: fn(&PluginSubject) -> Value<'_>,
) -> Attribute<PluginSubject> {
    of(bean, name, (Gauge, "text"), meaning, read)
}

pub(in crate::metrics) const TRANSFORM: &[Attribute<PluginSubject>] = &[
    plugin(Bean::Transform, "transform-class", "The class of a transform of a task.", |of| {
        Value::Text(of.0.0)
    }),
    plugin(Bean::Transform, "transform-version", "The version of that class.", |of| Value::Text(of.0.1)),
];

pub(in crate::metrics) const PREDICATE: &[Attribute<PluginSubject>] = &[
    plugin(Bean::Predicate, "predicate-class", "The class of a predicate of a task.", |of| {
        Value::Text(of.0.0)
    }),
    plugin(Bean::Predicate, "predicate-version", "The version of that class.", |of| Value::Text(of.0.1)),
];
