//! What the tests of the logs share: logs with sinks that note what they get, waits with a bound, and the real Kafka.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use herdsman::api::Settings;
use herdsman::config::client::internal_topics::internal_topic_clients;
use herdsman::kafka::embedded::EmbeddedBroker;
use herdsman::stdx::reply::reply;
use herdsman::stdx::time::Clock;
use herdsman::store::topic_log::{
    LogAnswer, LogEntry, LogHandle, LogRecords, LogSink, LogStage, LogTopic, TopicLogs, TopicRole, TopicSpec,
};

/// How long a test waits for what should come.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A state that a test can wait for.
pub(crate) struct Watched<T>(Mutex<T>, Condvar);

impl<T: Debug> Watched<T> {
    pub(crate) fn new(state: T) -> Self {
        Watched(Mutex::new(state), Condvar::new())
    }

    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.0.lock().unwrap());
        self.1.notify_all();
        result
    }

    /// Waits until `found` finds what it looks for; fails with the last state seen.
    #[track_caller]
    pub(crate) fn wait<R>(&self, what: &str, mut found: impl FnMut(&T) -> Option<R>) -> R {
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

/// Waits until `look` gives a value, looking every few milliseconds; fails with what was last seen.
#[track_caller]
pub(crate) fn wait_for<R, S: Debug>(what: &str, mut look: impl FnMut() -> Result<R, S>) -> R {
    let deadline = Clock.deadline(SOON);
    let (_never, tick) = crossbeam_channel::bounded::<()>(0);
    loop {
        let seen = match look() {
            Ok(result) => return result,
            Err(seen) => seen,
        };
        assert!(!deadline.passed(Clock.now().instant), "waited in vain for {what}; last seen: {seen:?}");
        tick.recv_timeout(Duration::from_millis(10)).ok();
    }
}

/// What a sink was told besides records.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    ReadToEnd,
    BeginsAnew(String),
    Unreadable(String),
    Readable,
}

/// A record as a test sees it.
pub(crate) type Seen = (String, Option<String>);

/// What the sinks and the listener to stages got.
#[derive(Debug, Default)]
pub(crate) struct Got {
    pub(crate) stages: Vec<LogStage>,
    /// By role: records since the topic began (anew), and what was told.
    pub(crate) records: BTreeMap<TopicRole, Vec<Seen>>,
    pub(crate) told: BTreeMap<TopicRole, Vec<Told>>,
}

impl Got {
    pub(crate) fn told(&self, role: TopicRole, told: &Told) -> bool {
        self.told.get(&role).is_some_and(|all| all.contains(told))
    }
}

struct Noting {
    role: TopicRole,
    got: Arc<Watched<Got>>,
}

impl Noting {
    fn tell(&self, told: Told) {
        self.got.change(|got| got.told.entry(self.role).or_default().push(told));
    }
}

impl LogSink for Noting {
    fn records(&mut self, records: &LogRecords) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.got.change(|got| {
            let all = got.records.entry(self.role).or_default();
            all.extend(records.iter().map(|it| (text(it.key.unwrap_or_default()), it.value.map(text))));
        });
    }

    fn read_to_end(&mut self) {
        self.tell(Told::ReadToEnd);
    }

    fn begins_anew(&mut self, why: &str) {
        self.got.change(|got| got.records.remove(&self.role));
        self.tell(Told::BeginsAnew(why.to_owned()));
    }

    fn unreadable(&mut self, why: &str) {
        self.tell(Told::Unreadable(why.to_owned()));
    }

    fn readable(&mut self) {
        self.tell(Told::Readable);
    }
}

/// Logs to be started.
pub(crate) struct Setup {
    worker: Settings,
    pub(crate) specs: BTreeMap<TopicRole, TopicSpec>,
    sinks: BTreeMap<TopicRole, Box<dyn LogSink>>,
    /// Whether a producer believes at once that a topic is not there. By itself it waits until it has known it for 30 s.
    believes_at_once: bool,
}

impl Setup {
    /// Three topics with names of their own, each of one replica; the config topic has one partition, the others two.
    pub(crate) fn new(bootstrap: &str) -> Self {
        let group = unique("group");
        let worker = [
            ("bootstrap.servers", bootstrap),
            ("group.id", &group),
            ("reconnect.backoff.ms", "50"),
            ("reconnect.backoff.max.ms", "200"),
        ];
        let worker = worker.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
        let spec = |role: TopicRole| TopicSpec {
            role,
            name: unique(role.word()).into(),
            partitions: Some(if role == TopicRole::Config { 1 } else { 2 }),
            replication: Some(1),
            settings: BTreeMap::new(),
        };
        let specs = TopicRole::ALL.map(|role| (role, spec(role))).into();
        Setup { worker, specs, sinks: BTreeMap::new(), believes_at_once: false }
    }

    /// On an embedded broker that has the topics.
    pub(crate) fn embedded(broker: &EmbeddedBroker) -> Self {
        // It answers a fetch that finds nothing no sooner, even if something comes meanwhile.
        let setup = Setup::new(broker.bootstrap_servers()).set("fetch.max.wait.ms", "10");
        for spec in setup.specs.values() {
            broker.create_topic(&spec.name, spec.partitions.unwrap()).unwrap();
        }
        setup
    }

    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        self.worker.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn change(mut self, role: TopicRole, change: impl FnOnce(&mut TopicSpec)) -> Self {
        change(self.specs.get_mut(&role).unwrap());
        self
    }

    /// With producers that believe at once that a topic is not there.
    pub(crate) fn believing_at_once(mut self) -> Self {
        self.believes_at_once = true;
        self
    }

    /// Only this topic.
    pub(crate) fn only(mut self, role: TopicRole) -> Self {
        self.specs.retain(|other, _| *other == role);
        self
    }

    /// Another sink than one that notes.
    pub(crate) fn sink(mut self, role: TopicRole, sink: Box<dyn LogSink>) -> Self {
        self.sinks.insert(role, sink);
        self
    }

    pub(crate) fn name(&self, role: TopicRole) -> Arc<str> {
        Arc::clone(&self.specs[&role].name)
    }

    /// Starts logs as these are; may be called again for another worker of the same group.
    pub(crate) fn start(&mut self) -> Logs {
        let mut clients = internal_topic_clients(&self.worker).unwrap();
        if self.believes_at_once {
            let name = "topic.metadata.propagation.max.ms";
            clients.producer = clients.producer.with(name, "0");
            clients.status_producer = clients.status_producer.with(name, "0");
        }
        let got = Arc::new(Watched::new(Got::default()));
        let topics = self.specs.values().map(|spec| {
            let noting = || Box::new(Noting { role: spec.role, got: Arc::clone(&got) }) as Box<dyn LogSink>;
            let sink = self.sinks.remove(&spec.role).unwrap_or_else(noting);
            LogTopic { spec: spec.clone(), sink }
        });
        let on_stage = {
            let got = Arc::clone(&got);
            Box::new(move |stage| got.change(|got| got.stages.push(stage)))
        };
        let (logs, handle) = TopicLogs::start(&clients, topics.collect(), on_stage).unwrap();
        Logs { handle, got, logs }
    }
}

/// Running logs.
pub(crate) struct Logs {
    pub(crate) handle: LogHandle,
    pub(crate) got: Arc<Watched<Got>>,
    #[expect(dead_code, reason = "runs until it is dropped")]
    logs: TopicLogs,
}

pub(crate) fn entry(key: &str, value: Option<&str>) -> LogEntry {
    (Bytes::copy_from_slice(key.as_bytes()), value.map(|value| Bytes::copy_from_slice(value.as_bytes())))
}

pub(crate) fn seen(key: &str, value: Option<&str>) -> Seen {
    (key.to_owned(), value.map(str::to_owned))
}

impl Logs {
    /// Waits until all topics are followed.
    #[track_caller]
    pub(crate) fn following(self) -> Self {
        self.stage("all topics are followed", |stage| *stage == LogStage::Following);
        self
    }

    /// Waits until a stage was told that is as wanted, and gives it.
    #[track_caller]
    pub(crate) fn stage(&self, what: &str, mut wanted: impl FnMut(&LogStage) -> bool) -> LogStage {
        self.got.wait(what, |got| got.stages.iter().find(|stage| wanted(stage)).cloned())
    }

    #[track_caller]
    pub(crate) fn append(&self, role: TopicRole, entries: Vec<LogEntry>) -> LogAnswer {
        self.append_within(role, entries, SOON)
    }

    #[track_caller]
    pub(crate) fn append_within(
        &self,
        role: TopicRole,
        entries: Vec<LogEntry>,
        patience: Duration,
    ) -> LogAnswer {
        let (done, pending) = reply();
        self.handle.append(role, entries, Clock.deadline(patience), done);
        pending.wait(patience + SOON).unwrap()
    }

    #[track_caller]
    pub(crate) fn read_to_end(&self, role: TopicRole) -> LogAnswer {
        self.read_to_end_within(role, SOON)
    }

    #[track_caller]
    pub(crate) fn read_to_end_within(&self, role: TopicRole, patience: Duration) -> LogAnswer {
        let (done, pending) = reply();
        self.handle.read_to_end(role, Clock.deadline(patience), done);
        pending.wait(patience + SOON).unwrap()
    }

    /// Claims write privileges for the config topic.
    #[track_caller]
    pub(crate) fn claim(&self) -> LogAnswer {
        let (done, pending) = reply();
        self.handle.claim(Clock.deadline(SOON), done);
        pending.wait(SOON + SOON).unwrap()
    }

    #[track_caller]
    pub(crate) fn append_as_leader(&self, entries: Vec<LogEntry>) -> LogAnswer {
        let (done, pending) = reply();
        self.handle.append_as_leader(entries, Clock.deadline(SOON), done);
        pending.wait(SOON + SOON).unwrap()
    }

    /// The records of a topic that its sink got so far.
    pub(crate) fn records(&self, role: TopicRole) -> Vec<Seen> {
        self.got.change(|got| got.records.get(&role).cloned().unwrap_or_default())
    }
}

/// A name that no other test and no other run of this one uses.
pub(crate) fn unique(name: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = Clock.now().wall.as_nanosecond();
    format!("{name}-{}-{now}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The folder and the address of the real Kafka that the tests were given; `None` when they are to do without it.
pub(crate) fn kafka() -> Option<(PathBuf, String)> {
    let named = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    if named("HERDSMAN_WITHOUT_KAFKA").is_some_and(|value| value == "1") {
        eprintln!("left out: it needs a real Kafka, and HERDSMAN_WITHOUT_KAFKA=1 is set");
        return None;
    }
    match (named("HERDSMAN_TEST_KAFKA"), named("HERDSMAN_TEST_KAFKA_DIR")) {
        (Some(bootstrap), Some(dir)) => Some((dir.into(), bootstrap)),
        _ => panic!(
            "no Kafka: set HERDSMAN_TEST_KAFKA and HERDSMAN_TEST_KAFKA_DIR, or HERDSMAN_WITHOUT_KAFKA=1"
        ),
    }
}
