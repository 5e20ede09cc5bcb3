//! A worker's tasks without a worker: broker, offsets in memory, events, and waits with a bound.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use herdsman::api::Settings;
use herdsman::api::ids::{ConnectorName, Epoch, TaskId, TopicPartition};
use herdsman::api::offset::{OffsetMap, OffsetValue};
use herdsman::api::registry::ConnectorClass;
use herdsman::config::client::ClientSettings;
use herdsman::kafka::admin::GroupOffsets;
use herdsman::kafka::embedded::EmbeddedBroker;
use herdsman::stdx::reply::Reply;
use herdsman::stdx::time::{Clock, Deadline};
use herdsman::store::offset_record::{OffsetKey, decode_offset};
use herdsman::store::offset_store::{
    OffsetChange, OffsetStore, OffsetStoreError, OffsetsWritten, StoredOffset,
};
use herdsman::task::runner::TaskRunner;
use herdsman::task::{
    ConverterChoice, Converters, ErrorHandling, SinkTopics, TaskEvent, TaskEventKind, TaskHandle, TaskSpec,
    TaskWork, Tasks,
};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::plugins::{Keeper, Lines, Text};

/// How long a test waits for what should come.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// An interval that does not end within a test.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A state that a test can wait for.
pub(crate) struct Watched<T>(Mutex<T>, Condvar);

impl<T> Watched<T> {
    pub(crate) fn new(state: T) -> Self {
        Watched(Mutex::new(state), Condvar::new())
    }

    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.0.lock().unwrap());
        self.1.notify_all();
        result
    }

    /// Waits until `found` finds what it looks for; fails with the last state seen.
    pub(crate) fn wait<R>(&self, what: &str, mut found: impl FnMut(&T) -> Option<R>) -> R
    where
        T: std::fmt::Debug,
    {
        let deadline = Clock.deadline(SOON);
        let mut state = self.0.lock().unwrap();
        loop {
            if let Some(result) = found(&state) {
                return result;
            }
            let left = deadline.left(Clock.now().instant);
            assert!(!left.is_zero(), "waited in vain for {what}; last seen: {:?}", *state);
            state = self.1.wait_timeout(state, left).unwrap().0;
        }
    }
}

/// Waits until `found` gives something, looking every few milliseconds; fails with what was last seen.
pub(crate) fn wait_until<S: std::fmt::Debug>(what: &str, mut look: impl FnMut() -> (bool, S)) {
    let deadline = Clock.deadline(SOON);
    let (_never, tick) = crossbeam_channel::bounded::<()>(0);
    loop {
        let (found, seen) = look();
        if found {
            return;
        }
        assert!(!deadline.passed(Clock.now().instant), "waited in vain for {what}; last seen: {seen:?}");
        tick.recv_timeout(Duration::from_millis(5)).ok();
    }
}

/// A write, and the answer that waits for it.
type HeldWrite = (Vec<OffsetChange>, Reply<OffsetsWritten>);

/// Offsets in memory; a test can hold the answers back.
#[derive(Default)]
pub(crate) struct Offsets {
    stored: Mutex<HashMap<OffsetKey, Option<Bytes>>>,
    held: Mutex<Option<Vec<HeldWrite>>>,
}

impl Offsets {
    /// From now on writes wait for [`Offsets::release`].
    pub(crate) fn hold(&self) {
        *self.held.lock().unwrap() = Some(Vec::new());
    }

    pub(crate) fn held(&self) -> usize {
        self.held.lock().unwrap().as_ref().map_or(0, Vec::len)
    }

    /// Lets the writes that wait through.
    pub(crate) fn release(&self) {
        for (changes, done) in self.held.lock().unwrap().take().unwrap_or_default() {
            self.stored.lock().unwrap().extend(changes);
            done.send(Ok(()));
        }
    }

    /// The stored `position` of a file of the connector `lines`.
    pub(crate) fn position(&self, file: &str) -> Option<i64> {
        let key = OffsetKey::new(&"lines".into(), &OffsetMap::of("filename", file));
        let stored = self.stored.lock().unwrap().get(&key).cloned().flatten()?;
        let offset = decode_offset(&stored).unwrap()?;
        let position = offset.get("position")?;
        let OffsetValue::Long(position) = position else { panic!("{position:?}") };
        Some(*position)
    }
}

impl OffsetStore for Offsets {
    fn read(&self, keys: &[OffsetKey], _: Deadline) -> Result<Vec<Option<Bytes>>, OffsetStoreError> {
        let stored = self.stored.lock().unwrap();
        Ok(keys.iter().map(|key| stored.get(key).cloned().flatten()).collect())
    }

    fn write(&self, changes: Vec<OffsetChange>, done: Reply<OffsetsWritten>) {
        if let Some(held) = &mut *self.held.lock().unwrap() {
            held.push((changes, done));
            return;
        }
        self.stored.lock().unwrap().extend(changes);
        done.send(Ok(()));
    }

    fn offsets_of(&self, _: &ConnectorName, _: Deadline) -> Result<Vec<StoredOffset>, OffsetStoreError> {
        unreachable!("tasks do not list offsets")
    }
}

/// The `count`th instance of a task.
pub(crate) fn epoch(count: u32) -> Epoch {
    (0..count).fold(Epoch::default(), |epoch, _| epoch.next())
}

/// Tasks on an embedded broker.
pub(crate) struct Rig {
    pub(crate) tasks: Tasks,
    pub(crate) events: Arc<Watched<Vec<TaskEvent>>>,
    pub(crate) offsets: Arc<Offsets>,
    pub(crate) broker: Arc<EmbeddedBroker>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let events = Arc::new(Watched::new(Vec::new()));
        let sink = Arc::clone(&events);
        let runner = TaskRunner::new(2000).unwrap();
        let tasks =
            Tasks::new(Arc::new(runner), Arc::new(move |event| sink.change(|events| events.push(event))));
        Rig { tasks, events, offsets: Arc::default(), broker: Arc::new(EmbeddedBroker::start().unwrap()) }
    }

    /// Starts the given instance of a task.
    pub(crate) fn start(&self, instance: u32, spec: TaskSpec) -> TaskHandle {
        self.start_in(instance, spec, false)
    }

    /// Starts an instance of a task that is paused.
    pub(crate) fn start_paused(&self, instance: u32, spec: TaskSpec) -> TaskHandle {
        self.start_in(instance, spec, true)
    }

    fn start_in(&self, instance: u32, spec: TaskSpec, paused: bool) -> TaskHandle {
        let class = match &spec.work {
            TaskWork::Source { plugin, .. } | TaskWork::ExactlyOnceSource { plugin, .. } => {
                ConnectorClass::Source(Arc::clone(plugin))
            }
            TaskWork::Sink { plugin, .. } => ConnectorClass::Sink(Arc::clone(plugin)),
        };
        self.tasks.start(spec.id.clone(), epoch(instance), &class, paused, false, || Ok(spec))
    }

    pub(crate) fn producer_settings(&self) -> ClientSettings {
        [
            ("bootstrap.servers", self.broker.bootstrap_servers()),
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("message.timeout.ms", "0"),
            ("linger.ms", "5"),
            ("reconnect.backoff.max.ms", "200"),
        ]
        .into_iter()
        .collect()
    }

    /// A source task over lines, under the name `lines-0`, reading the file `name`.
    pub(crate) fn lines(&self, lines: &Lines) -> TaskSpec {
        let text = ConverterChoice { plugin: Arc::new(Text), settings: Settings::new() };
        TaskSpec {
            id: TaskId { connector: "lines".into(), index: 0 },
            work: TaskWork::Source {
                plugin: Arc::new(lines.clone()),
                offsets: Arc::clone(&self.offsets) as Arc<dyn OffsetStore>,
            },
            settings: Settings::from([("file".to_owned(), "f".to_owned())]),
            converters: Converters { key: text.clone(), value: text.clone(), header: text },
            transforms: Vec::new(),
            topic_creation: None,
            client: self.producer_settings(),
            offset_flush_interval: Duration::from_millis(50),
            offset_flush_timeout: Duration::from_secs(10),
            stop_timeout: Duration::from_secs(10),
            errors: ErrorHandling::default(),
            records_max: 500,
        }
    }

    pub(crate) fn consumer_settings(&self) -> ClientSettings {
        [
            ("bootstrap.servers", self.broker.bootstrap_servers()),
            ("group.id", "connect-keeper"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "earliest"),
            // The embedded broker waits a second less than this for members that may rejoin.
            ("session.timeout.ms", "3000"),
            ("heartbeat.interval.ms", "300"),
            ("reconnect.backoff.max.ms", "200"),
        ]
        .into_iter()
        .collect()
    }

    /// A task of the sink connector `keeper` that consumes the topic `t`.
    pub(crate) fn keeper(&self, keeper: &Keeper, index: u32) -> TaskSpec {
        TaskSpec {
            id: TaskId { connector: "keeper".into(), index },
            work: TaskWork::Sink {
                plugin: Arc::new(keeper.clone()),
                topics: SinkTopics::Named(vec!["t".to_owned()]),
            },
            client: self.consumer_settings(),
            ..self.lines(&Lines::default())
        }
    }

    /// Produces values into a partition and waits until they are there.
    pub(crate) fn produce(&self, topic: &str, partition: i32, values: &[String]) {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", self.broker.bootstrap_servers()).create().unwrap();
        for value in values {
            producer.send(BaseRecord::<(), _>::to(topic).partition(partition).payload(value)).unwrap();
        }
        producer.flush(SOON).unwrap();
    }

    /// What the group of `keeper` has committed for a partition of `t`.
    pub(crate) fn committed(&self, partition: i32) -> Option<i64> {
        let group = GroupOffsets::new(self.consumer_settings());
        let committed = group.committed(Clock.deadline(SOON)).unwrap();
        committed.get(&TopicPartition { topic: "t".into(), partition }).copied()
    }

    /// Waits for an event of the given kind in the given start of a task.
    pub(crate) fn wait_for(&self, instance: u32, kind: &TaskEventKind) {
        self.events.wait(&format!("{kind:?} of instance {instance}"), |events| {
            events.iter().any(|event| event.epoch == epoch(instance) && event.kind == *kind).then_some(())
        });
    }

    /// Waits until a task failed, and returns its trace.
    pub(crate) fn wait_for_failure(&self, instance: u32) -> String {
        self.events.wait("a failed task", |events| {
            events.iter().filter(|event| event.epoch == epoch(instance)).find_map(|event| {
                let TaskEventKind::Failed { trace } = &event.kind else { return None };
                Some(trace.clone())
            })
        })
    }

    /// The kinds of events so far, in order.
    pub(crate) fn kinds(&self) -> Vec<TaskEventKind> {
        self.events.change(|events| events.iter().map(|event| event.kind.clone()).collect())
    }

    /// How many records a partition has.
    pub(crate) fn count(&self, topic: &str, partition: i32) -> i64 {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", self.broker.bootstrap_servers()).create().unwrap();
        let (first, end) = consumer.fetch_watermarks(topic, partition, SOON).unwrap();
        end - first
    }

    /// Reads a partition from its start until it has `count` values.
    pub(crate) fn consume(&self, topic: &str, partition: i32, count: usize) -> Vec<String> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.broker.bootstrap_servers())
            .set("group.id", "a test that only reads")
            .create()
            .unwrap();
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        consumer.assign(&assignment).unwrap();
        let deadline = Clock.deadline(SOON);
        let mut values: Vec<String> = Vec::new();
        while values.len() < count {
            let seen = values.len();
            assert!(
                !deadline.passed(Clock.now().instant),
                "{seen} of {count} records, last {:?}",
                values.last()
            );
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                let message = message.unwrap();
                values.push(String::from_utf8(message.payload().unwrap_or_default().to_vec()).unwrap());
            }
        }
        values
    }
}
