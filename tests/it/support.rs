//! What the tests of the real binary share: a worker in a folder of its own, requests to it, the real Kafka beside it, and
//! waits with a bound.

use std::fmt::Debug;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use serde_json::Value as Json;
use tempfile::TempDir;

/// How long a worker may take for what should be quick.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Waits until `probe` gives a value; tells what it last saw if that does not happen in time.
pub(crate) fn wait_for<T, S: Debug>(
    what: &str,
    patience: Duration,
    mut probe: impl FnMut() -> Result<T, S>,
) -> T {
    let start = Instant::now();
    loop {
        let last = match probe() {
            Ok(value) => return value,
            Err(last) => last,
        };
        assert!(start.elapsed() < patience, "not in {patience:?}: {what}; last seen: {last:?}");
        pause();
    }
}

/// Waits until `probe` gives `true`.
pub(crate) fn wait_until(what: &str, patience: Duration, mut probe: impl FnMut() -> bool) {
    wait_for(what, patience, || if probe() { Ok(()) } else { Err("not so") });
}

/// The pace of a wait for something that nobody announces.
pub(crate) fn pause() {
    pause_for(Duration::from_millis(10));
}

/// Lets time pass where the moment is what is tested.
pub(crate) fn pause_for(time: Duration) {
    let (_never, nothing) = crossbeam_channel::bounded::<()>(0);
    assert!(nothing.recv_timeout(time).is_err());
}

/// What is to be run.
pub(crate) struct WorkerSetup {
    folder: TempDir,
    settings: Vec<(String, String)>,
    connectors: Vec<PathBuf>,
    mode: &'static str,
    embedded: bool,
    environment: Vec<(String, String)>,
    has_stdin: bool,
}

impl WorkerSetup {
    /// A standalone worker with an embedded broker, string converters, and quick commits.
    pub(crate) fn new() -> Self {
        let converter = "org.apache.kafka.connect.storage.StringConverter";
        let defaults = [
            ("listeners", "http://127.0.0.1:0"),
            ("key.converter", converter),
            ("value.converter", converter),
            ("offset.storage.file.filename", "offsets"),
            ("offset.flush.interval.ms", "200"),
        ];
        let settings = defaults.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        WorkerSetup {
            folder: TempDir::new().unwrap(),
            settings,
            connectors: Vec::new(),
            mode: "standalone",
            embedded: true,
            environment: Vec::new(),
            has_stdin: false,
        }
    }

    /// A worker of a group in distributed mode, with an embedded broker: the topics are named after the group, and the work
    /// of a worker that leaves is placed anew at once.
    pub(crate) fn distributed(group: &str) -> Self {
        let mut setup = WorkerSetup { mode: "distributed", ..WorkerSetup::new() };
        setup.settings.retain(|(key, _)| key != "offset.storage.file.filename");
        for (topic, name) in [("config", "configs"), ("offset", "offsets"), ("status", "statuses")] {
            setup = setup
                .set(&format!("{topic}.storage.topic"), format!("{group}-{name}"))
                .set(&format!("{topic}.storage.replication.factor"), "1");
        }
        setup
            .set("group.id", group)
            .set("offset.storage.partitions", "3")
            .set("scheduled.rebalance.max.delay.ms", "0")
    }

    /// Lets the test write to its standard input: [`Worker::stdin`].
    pub(crate) fn with_stdin(mut self) -> Self {
        self.has_stdin = true;
        self
    }

    /// The folder in which it runs: relative file names start here.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into its folder.
    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.folder.path().join(name), content).unwrap();
        self
    }

    /// Sets a setting of the worker.
    pub(crate) fn set(mut self, key: &str, value: impl Into<String>) -> Self {
        self.settings.retain(|(other, _)| other != key);
        self.settings.push((key.to_owned(), value.into()));
        self
    }

    /// Uses a broker outside.
    pub(crate) fn kafka(mut self, bootstrap: &str) -> Self {
        self.embedded = false;
        self.set("bootstrap.servers", bootstrap)
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Names a connector on the command line.
    pub(crate) fn connector(mut self, name: &str, settings: &[(&str, &str)]) -> Self {
        let mut text = format!("name={name}\n");
        for (key, value) in settings {
            text.push_str(&format!("{key}={value}\n"));
        }
        let file = format!("{name}.properties");
        self.connectors.push(file.clone().into());
        self.file(&file, text)
    }

    /// Names a file on the command line, whether or not it is there.
    pub(crate) fn connector_file(mut self, file: &str) -> Self {
        self.connectors.push(file.into());
        self
    }

    /// Starts it; does not wait for anything.
    pub(crate) fn spawn(self) -> Worker {
        let text: String = self.settings.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        fs::write(self.folder.path().join("worker.properties"), text).unwrap();
        let child = self.command().spawn().unwrap();
        Worker { setup: self, child, url: String::new() }
    }

    /// Starts it, and waits until its REST API listens.
    pub(crate) fn start(self) -> Worker {
        let mut worker = self.spawn();
        worker.wait_for_url();
        worker
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_herdsman"));
        command.arg(self.mode).current_dir(self.folder.path());
        if self.embedded {
            command.arg("--embedded-kafka");
            if self.mode == "distributed" {
                command.args(["--bootstrap-file", "bootstrap"]);
            }
        }
        command.args(["--url-file", "url"]).arg("worker.properties").args(&self.connectors);
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let stdin = if self.has_stdin { Stdio::piped() } else { Stdio::null() };
        command.stdin(stdin).stdout(log.try_clone().unwrap()).stderr(log);
        for name in ["HERDSMAN_FAULT_DIR", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(k, v)| (k, v)));
        command
    }
}

/// Faults of a build for tests, put into a folder that the worker looks at.
pub(crate) struct Faults(PathBuf);

impl Faults {
    /// Those of a worker that is to be started.
    pub(crate) fn of(setup: WorkerSetup) -> (Self, WorkerSetup) {
        let folder = setup.folder().join("faults");
        fs::create_dir(&folder).unwrap();
        let setup = setup.env("HERDSMAN_FAULT_DIR", folder.to_str().unwrap());
        (Faults(folder), setup)
    }

    /// Who comes to this point stays there.
    pub(crate) fn hold(&self, point: &str) {
        fs::write(self.0.join(format!("hold-{point}")), "").unwrap();
    }

    /// Who is held there goes on.
    pub(crate) fn let_go(&self, point: &str) {
        fs::remove_file(self.0.join(format!("hold-{point}"))).unwrap();
    }
}

/// A running worker; killed when dropped.
pub(crate) struct Worker {
    setup: WorkerSetup,
    child: Child,
    url: String,
}

impl Worker {
    /// Waits until its REST API listens.
    pub(crate) fn wait_for_url(&mut self) {
        let file = self.setup.folder.path().join("url");
        self.url = wait_for("the URL file", SOON, || match fs::read_to_string(&file) {
            Ok(url) => Ok(url.trim().to_owned()),
            Err(error) => match self.child.try_wait().unwrap() {
                Some(status) => panic!("the worker ended with {status}:\n{}", self.log()),
                None => Err(error),
            },
        });
    }

    /// Waits until it is healthy.
    pub(crate) fn healthy(self) -> Self {
        wait_for("healthy", SOON, || match self.get("/health?timeout=1000") {
            Answer { status: 200, .. } => Ok(()),
            other => Err((other, self.log())),
        });
        self
    }

    /// Its REST API.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Its standard input; dropping it ends that.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// The folder in which it runs.
    pub(crate) fn folder(&self) -> &Path {
        self.setup.folder.path()
    }

    /// The process.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    /// Sends a request.
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&Json>) -> Answer {
        try_send(&self.url, method, path, body).unwrap_or_else(|error| {
            panic!("{method} {path} got no answer: {error}\n{}", self.log());
        })
    }

    /// Asks.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None)
    }

    /// Waits until a task of a connector has a state; gives its status.
    pub(crate) fn task_state(&self, connector: &str, task: usize, state: &str) -> Json {
        self.status_at(connector, &format!("/tasks/{task}"), state)
    }

    /// Waits until a connector has a state; gives its status.
    pub(crate) fn connector_state(&self, connector: &str, state: &str) -> Json {
        self.status_at(connector, "/connector", state)
    }

    fn status_at(&self, connector: &str, pointer: &str, state: &str) -> Json {
        wait_for(&format!("{connector}{pointer} {state}"), SOON, || {
            let answer = self.get(&format!("/connectors/{connector}/status"));
            let status = answer.json().pointer(pointer).cloned().unwrap_or_default();
            if status["state"] == state { Ok(status) } else { Err((answer, self.log())) }
        })
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Waits for its end.
    pub(crate) fn wait_end(&mut self) -> ExitStatus {
        wait_for("the end of the worker", SOON, || match self.child.try_wait().unwrap() {
            Some(status) => Ok(status),
            None => Err("it runs"),
        })
    }

    /// Kills it as a power failure would, and starts it again in the same folder.
    pub(crate) fn kill_and_restart(mut self) -> Worker {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.restart()
    }

    /// Starts it again after it has ended.
    pub(crate) fn restart(mut self) -> Worker {
        drop(fs::remove_file(self.folder().join("url")));
        self.child = self.setup.command().spawn().unwrap();
        self.wait_for_url();
        self
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            let mut log = String::new();
            if let Ok(mut file) = fs::File::open(self.setup.folder.path().join("log")) {
                drop(file.read_to_string(&mut log));
            }
            eprintln!("--- log of the worker ---\n{log}");
        }
    }
}

/// An answer of the REST API.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) location: Option<String>,
    pub(crate) content_type: Option<String>,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// What a verbose health answer says the worker waits for.
pub(crate) fn stage_of(health: &Answer) -> String {
    health.json()["stage"].as_str().unwrap_or_default().to_owned()
}

/// Sends a request to any URL.
pub(crate) fn try_send(
    base: &str,
    method: &str,
    path: &str,
    body: Option<&Json>,
) -> Result<Answer, ureq::Error> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(100)))
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .build()
        .into();
    let request = ureq::http::Request::builder().method(method).uri(format!("{base}{path}"));
    let request = match body {
        Some(body) => request.header("Content-Type", "application/json").body(body.to_string()),
        None => request.body(String::new()),
    };
    let mut response = agent.run(request?)?;
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (location, content_type) = (header("Location"), header("Content-Type"));
    let status = response.status().as_u16();
    Ok(Answer { status, body: response.body_mut().read_to_string()?, location, content_type })
}

/// A real Apache Kafka.
pub(crate) struct Kafka {
    /// Host and port of its plain listener.
    pub(crate) bootstrap: String,
    /// The folder that `scripts/kafka start` made.
    pub(crate) dir: PathBuf,
}

/// The real Kafka that the tests were given; `None` when they are to do without it.
pub(crate) fn kafka() -> Option<Kafka> {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if named("HERDSMAN_WITHOUT_KAFKA").is_some_and(|value| value == "1") {
        eprintln!("left out: it needs a real Kafka, and HERDSMAN_WITHOUT_KAFKA=1 is set");
        return None;
    }
    match (named("HERDSMAN_TEST_KAFKA"), named("HERDSMAN_TEST_KAFKA_DIR")) {
        (Some(bootstrap), Some(dir)) => {
            Some(Kafka { bootstrap: bootstrap.into_string().unwrap(), dir: dir.into() })
        }
        _ => panic!(
            "no Kafka: set HERDSMAN_TEST_KAFKA and HERDSMAN_TEST_KAFKA_DIR, or HERDSMAN_WITHOUT_KAFKA=1"
        ),
    }
}

impl Kafka {
    /// A name that no other test and no other run of this one uses.
    pub(crate) fn unique(&self, name: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        format!("{name}-{}-{}", std::process::id(), now.as_nanos())
    }

    /// Creates a topic; its name begins with `name`.
    pub(crate) fn topic(&self, name: &str, partitions: i32) -> String {
        let name = self.unique(name);
        self.create(NewTopic::new(&name, partitions, TopicReplication::Fixed(1)));
        name
    }

    /// Creates a compacted topic of that very name.
    pub(crate) fn create_compacted(&self, name: &str, partitions: i32) {
        let new = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        self.create(new.set("cleanup.policy", "compact"));
    }

    /// Makes a topic with one partition, which only this broker has.
    pub(crate) fn create_on(&self, broker: i32, name: &str, cleanup: &str) {
        let replicas = [broker];
        let of_partition = [&replicas[..]];
        let new = NewTopic::new(name, 1, TopicReplication::Variable(&of_partition));
        self.create(new.set("cleanup.policy", cleanup));
    }

    fn create(&self, new: NewTopic<'_>) {
        // A topic that is being deleted is in the way for a moment.
        wait_for("the creation of a topic", SOON, || {
            self.ask(|admin, options| admin.create_topics([&new], options)).remove(0)
        });
    }

    /// Deletes a topic.
    pub(crate) fn delete(&self, topic: &str) {
        self.ask(|admin, options| admin.delete_topics(&[topic], options)).remove(0).unwrap();
    }

    /// Gives a topic these settings, and takes all others away.
    pub(crate) fn set(&self, topic: &str, settings: &[(&str, &str)]) {
        let change = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let change = settings.iter().fold(change, |change, (name, value)| change.set(name, value));
        self.ask(|admin, options| admin.alter_configs([&change], options)).remove(0).unwrap();
    }

    /// How many partitions a topic has, and how many replicas each; none for one that is not there.
    pub(crate) fn shape(&self, topic: &str) -> Vec<usize> {
        // A consumer that looks a topic up has the broker create none.
        let consumer: BaseConsumer = self.client().create().unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), SOON).unwrap();
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        partitions.map(|partition| partition.replicas().len()).collect()
    }

    /// A setting of a topic.
    pub(crate) fn setting(&self, topic: &str, name: &str) -> Option<String> {
        let of_topic = ResourceSpecifier::Topic(topic);
        let described = self.ask(|admin, options| admin.describe_configs([&of_topic], options)).remove(0);
        described.unwrap().get(name).and_then(|entry| entry.value.clone())
    }

    fn ask<T, F: Future<Output = KafkaResult<T>>>(
        &self,
        question: impl FnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> F,
    ) -> T {
        let admin = self.client().create().unwrap();
        let mut question = pin!(question(&admin, &AdminOptions::new()));
        let mut context = Context::from_waker(Waker::noop());
        wait_for("an answer of the broker", SOON, || match question.as_mut().poll(&mut context) {
            Poll::Ready(answer) => Ok(answer.unwrap()),
            Poll::Pending => Err("it is pending"),
        })
    }

    /// Produces records without keys; returns once all are acknowledged.
    pub(crate) fn produce<V: AsRef<str>>(&self, topic: &str, values: impl IntoIterator<Item = V>) {
        let producer = self.producer();
        for value in values {
            producer.send(BaseRecord::<(), str>::to(topic).payload(value.as_ref())).unwrap();
        }
        producer.flush(SOON).unwrap();
    }

    /// Produces records to one partition; returns once all are acknowledged.
    pub(crate) fn produce_to(&self, topic: &str, partition: i32, values: impl IntoIterator<Item = String>) {
        let producer = self.producer();
        for value in values {
            producer.send(BaseRecord::<(), str>::to(topic).partition(partition).payload(&value)).unwrap();
        }
        producer.flush(SOON).unwrap();
    }

    /// A producer whose records go to a partition as they come.
    pub(crate) fn producer(&self) -> ThreadedProducer<DefaultProducerContext> {
        self.client().set("linger.ms", "0").create().unwrap()
    }

    /// Reads the values of a topic from its beginning until `enough`.
    pub(crate) fn values_until(&self, topic: &str, mut enough: impl FnMut(&[String]) -> bool) -> Vec<String> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", self.unique("test"))
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        consumer.subscribe(&[topic]).unwrap();
        let mut values = Vec::new();
        let start = Instant::now();
        while !enough(&values) {
            assert!(start.elapsed() < SOON, "{topic} has {}; the last: {:?}", values.len(), values.last());
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                values.push(String::from_utf8(message.payload().unwrap_or_default().to_vec()).unwrap());
            }
        }
        values
    }

    /// Settings of a client of it.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }
}
