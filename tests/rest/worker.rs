//! A worker without Kafka: the real API, herder and tick thread. Connectors and tasks only say that they run.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock, RwLock, RwLockWriteGuard};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Sender, bounded};
use herdsman::api::Settings;
use herdsman::api::config_def::{ConfigDef, ConfigKey, ConfigType, ConfigValue, Importance};
use herdsman::api::connector::{Connector, ConnectorPlugin};
use herdsman::api::converter::{Converter, ConverterPlugin, ConverterRole, ConverterRoles, HeaderConverter};
use herdsman::api::error::ConnectError;
use herdsman::api::ids::{ConnectorName, Epoch, TaskId, WorkerId};
use herdsman::api::offset::OffsetMap;
use herdsman::api::registry::{ConnectorClass, Registry, VERSION};
use herdsman::api::sink::{SinkPlugin, SinkTask};
use herdsman::api::source::{AlterOffsets, SourcePlugin, SourceTask};
use herdsman::config::override_policy::OverridePolicy;
use herdsman::config::providers::ConfigProviders;
use herdsman::connector::validation::{ValidationContext, Validator, WorkerConverters};
use herdsman::connector::{ConnectorEvent, ConnectorEventKind};
use herdsman::health::{SharedPhase, StageBoard};
use herdsman::herder::msg::{ConnectorOffsets, Effect, HerderError, HerderEvent, OffsetsChange};
use herdsman::herder::tick_thread::{INBOX_EVENTS_MAX, Outside, Shared, TickThread};
use herdsman::herder::view::Views;
use herdsman::herder::{Herder, HerderSettings, Random};
use herdsman::logging::level::LogLevel;
use herdsman::logging::levels::Levels;
use herdsman::metrics::{ConverterClasses, Metrics, MetricsParts};
use herdsman::rest::api::{ApiSettings, Mode, RestApi, RestParts, WorkerFacts};
use herdsman::rest::http::{Handler, HttpRequest, HttpResponse, ListenerLabel, Method, Origin};
use herdsman::rest::router::AdminMode;
use herdsman::stdx::pool::{Pool, PoolLimits};
use herdsman::stdx::thread::PLUGIN_STACK_BYTES;
use herdsman::stdx::time::Clock;
use herdsman::task::{TaskEvent, TaskEventKind};

/// A source whose validation stays where it is while a test holds it.
pub(crate) const BLOCKING_SOURCE: &str = "test.BlockingSourceConnector";

static VALIDATIONS: RwLock<()> = RwLock::new(());

/// Holds validations of the blocking source until it is dropped.
pub(crate) fn hold_validations() -> RwLockWriteGuard<'static, ()> {
    VALIDATIONS.write().unwrap()
}

/// What tests wait for at most.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A worker that runs. Dropping it ends its thread.
pub(crate) struct Worker {
    pub(crate) api: RestApi,
    pub(crate) inbox: Sender<HerderEvent>,
    _tick: TickThread,
}

impl Worker {
    /// One whose start is complete once `begin` was called.
    pub(crate) fn new(change: impl FnOnce(&mut ApiSettings)) -> Self {
        let (inbox, events) = bounded(INBOX_EVENTS_MAX);
        let registry = Arc::new(registry());
        let validator = validator(&registry);
        let shared = shared();
        let settings = HerderSettings {
            worker: WorkerId::new("127.0.0.1:8083"),
            registry,
            task_stop_timeout: Duration::from_secs(5),
            group: None,
            random: Random(Arc::new(|_| Ok(()))),
        };
        let outside = MadeUp { validator: Arc::clone(&validator), offsets: BTreeMap::new() };
        let herder = Herder::new(settings, Vec::new(), Clock.now());
        let (tick, _exits) = TickThread::start(herder, events, outside, shared.clone()).unwrap();
        let mut settings = api_settings();
        change(&mut settings);
        let url = "http://127.0.0.1:8083/";
        let api = RestApi::new(rest_parts(inbox.clone(), shared, validator, url, settings));
        Worker { api, inbox, _tick: tick }
    }

    /// One that is ready.
    pub(crate) fn ready() -> Self {
        let worker = Worker::new(|_settings| ());
        worker.begin();
        worker
    }

    /// Kafka answers and the offsets are read.
    pub(crate) fn begin(&self) {
        self.inbox.send(HerderEvent::KafkaReached).unwrap();
        self.inbox.send(HerderEvent::OffsetsRead(Ok(()))).unwrap();
    }

    /// Asks a main listener.
    pub(crate) fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> HttpResponse {
        self.ask_on(ListenerLabel::Main, method, target, headers, body)
    }

    /// Asks a listener.
    pub(crate) fn ask_on(
        &self,
        listener: ListenerLabel,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> HttpResponse {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.api.handle(HttpRequest {
            method: Method::of(method),
            target: target.to_owned(),
            headers: headers.iter().map(own).collect(),
            body: Bytes::copy_from_slice(body),
            origin: Arc::new(Origin { peer: ([127, 0, 0, 1], 1).into(), listener, tls: None }),
        })
    }

    /// Asks with a JSON body and gives status and JSON of the answer, `null` for none.
    pub(crate) fn json(
        &self,
        method: &str,
        target: &str,
        body: &serde_json::Value,
    ) -> (u16, serde_json::Value) {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let answer = self.ask(method, target, &[("Content-Type", "application/json")], &body);
        let json = match answer.body.is_empty() {
            true => serde_json::Value::Null,
            false => serde_json::from_slice(&answer.body).unwrap(),
        };
        (answer.status, json)
    }

    /// The status of a connector once it has so many tasks: they come to be after the answer to who created it.
    pub(crate) fn status_with_tasks(&self, name: &str, tasks: usize) -> serde_json::Value {
        let deadline = Clock.deadline(SOON);
        loop {
            let target = format!("/connectors/{name}/status");
            let (_, status) = self.json("GET", &target, &serde_json::Value::Null);
            if status["tasks"].as_array().is_some_and(|shown| shown.len() == tasks) {
                return status;
            }
            assert!(!deadline.passed(Clock.now().instant), "not {tasks} tasks: {status}");
            std::thread::yield_now();
        }
    }
}

/// The parts of an API before a herder that is somebody else's.
pub(crate) fn parts_before(inbox: Sender<HerderEvent>, url: &str, settings: ApiSettings) -> RestParts {
    rest_parts(inbox, shared(), validator(&Arc::new(registry())), url, settings)
}

fn rest_parts(
    inbox: Sender<HerderEvent>,
    herder: Shared,
    validator: Arc<Validator>,
    url: &str,
    settings: ApiSettings,
) -> RestParts {
    let limits = PoolLimits { threads_max: 4, idle: SOON, stack_bytes: PLUGIN_STACK_BYTES };
    let metrics = Metrics::new(MetricsParts {
        worker: WorkerId::new("127.0.0.1:8083"),
        client_id: String::new(),
        started: Clock.now().wall,
        herder: herder.clone(),
        inbox: inbox.clone(),
        registry: Arc::new(registry()),
        converters: ConverterClasses::default(),
    });
    RestParts {
        inbox,
        herder,
        validator,
        metrics: Arc::new(metrics),
        pool: Pool::new("plugin", limits),
        levels: Arc::new(Levels::new(LogLevel::Info)),
        worker: WorkerFacts { kafka_cluster_id: Arc::new(OnceLock::new()), advertised_url: url.to_owned() },
        settings,
    }
}

/// How an API behaves unless a test wants it otherwise.
pub(crate) fn api_settings() -> ApiSettings {
    ApiSettings {
        mode: Mode::Standalone,
        request_timeout: SOON,
        health_timeout: SOON,
        admin: AdminMode::WithMain,
        topic_tracking: true,
        topic_tracking_reset: true,
        cors: None,
        response_headers: Vec::new(),
        basic_auth: None,
    }
}

fn shared() -> Shared {
    Shared {
        phase: Arc::new(SharedPhase::default()),
        stages: Arc::new(StageBoard::new(Clock.now())),
        views: Arc::new(Views::default()),
        meter: Arc::default(),
        tasks: Arc::default(),
    }
}

fn validator(registry: &Arc<Registry>) -> Arc<Validator> {
    Arc::new(Validator::new(Arc::clone(registry), validation_context()))
}

fn registry() -> Registry {
    let mut registry = Registry::new();
    herdsman::plugins::file::register(&mut registry);
    herdsman::plugins::transforms::register(&mut registry);
    registry.add_sink(NamedSink);
    registry.add_source(BlockingSource);
    for class in [
        "org.apache.kafka.connect.converters.BooleanConverter",
        "org.apache.kafka.connect.converters.ByteArrayConverter",
        "org.apache.kafka.connect.converters.DoubleConverter",
        "org.apache.kafka.connect.converters.FloatConverter",
        "org.apache.kafka.connect.converters.IntegerConverter",
        "org.apache.kafka.connect.converters.LongConverter",
        "org.apache.kafka.connect.converters.ShortConverter",
        "org.apache.kafka.connect.json.JsonConverter",
        "org.apache.kafka.connect.storage.StringConverter",
    ] {
        registry.add_converter(NamedConverter(class, ConverterRoles::All));
    }
    let simple = "org.apache.kafka.connect.storage.SimpleHeaderConverter";
    registry.add_converter(NamedConverter(simple, ConverterRoles::HeaderOnly));
    registry
}

/// A sink class of which only the name and one setting matter here.
struct NamedSink;

impl ConnectorPlugin for NamedSink {
    fn class(&self) -> &'static str {
        "org.apache.kafka.connect.file.FileStreamSinkConnector"
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn task_class(&self) -> &'static str {
        "org.apache.kafka.connect.file.FileStreamSinkTask"
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new().define(ConfigKey::new(
            "file",
            ConfigType::String,
            Importance::High,
            "Where to write.",
        ))
    }

    fn connector(&self) -> Box<dyn Connector> {
        unreachable!("connectors are made up here")
    }
}

impl SinkPlugin for NamedSink {
    fn task(&self) -> Box<dyn SinkTask> {
        unreachable!("tasks are made up here")
    }
}

/// The source whose validation can be held.
struct BlockingSource;

impl ConnectorPlugin for BlockingSource {
    fn class(&self) -> &'static str {
        BLOCKING_SOURCE
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn task_class(&self) -> &'static str {
        "test.BlockingSourceTask"
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new()
    }

    fn validate(&self, _settings: &Settings, _values: &mut [ConfigValue]) {
        drop(VALIDATIONS.read());
    }

    fn connector(&self) -> Box<dyn Connector> {
        unreachable!("connectors are made up here")
    }
}

impl SourcePlugin for BlockingSource {
    fn task(&self) -> Box<dyn SourceTask> {
        unreachable!("tasks are made up here")
    }
}

/// A converter class of which only the name and one setting matter here.
struct NamedConverter(&'static str, ConverterRoles);

impl ConverterPlugin for NamedConverter {
    fn class(&self) -> &'static str {
        self.0
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn config_def(&self) -> ConfigDef {
        let doc = "Whether schemas are written.";
        ConfigDef::new().define(
            ConfigKey::new("schemas.enable", ConfigType::Boolean, Importance::High, doc).default("true"),
        )
    }

    fn converter(&self, _: &Settings, _: ConverterRole) -> Result<Box<dyn Converter>, ConnectError> {
        Err(ConnectError::connect("not used here"))
    }

    fn header_converter(&self, _: &Settings) -> Result<Option<Box<dyn HeaderConverter>>, ConnectError> {
        Ok(None)
    }

    fn roles(&self) -> ConverterRoles {
        self.1
    }
}

fn validation_context() -> ValidationContext {
    ValidationContext {
        providers: Arc::new(ConfigProviders::default()),
        override_policy: OverridePolicy::All,
        client_check: Arc::new(|_client, _overrides| Vec::new()),
        converters: WorkerConverters {
            key: "org.apache.kafka.connect.json.JsonConverter".to_owned(),
            value: "JsonConverter".to_owned(),
            header: "SimpleHeaderConverter".to_owned(),
        },
        topic_creation: true,
        exactly_once: None,
    }
}

type SourceOffsets = Vec<(OffsetMap, Option<OffsetMap>)>;

/// Carries out effects by saying that they succeeded. Validation and checks of offsets are real.
struct MadeUp {
    validator: Arc<Validator>,
    offsets: BTreeMap<ConnectorName, SourceOffsets>,
}

impl Outside for MadeUp {
    fn carry_out(&mut self, effect: Effect, echo: &mut VecDeque<HerderEvent>) {
        let connector = |name, epoch, kind| HerderEvent::Connector(ConnectorEvent { name, epoch, kind });
        let task = |id: TaskId, epoch: Epoch, kind| HerderEvent::Task(TaskEvent { id, epoch, kind });
        match effect {
            Effect::Validate(operation, draft) => {
                let outcome = self.validator.check(&draft);
                let outcome = outcome.map_err(|error| HerderError::BadRequest(error.to_string()));
                echo.push_back(HerderEvent::Validated(operation, outcome));
            }
            Effect::WriteConfig(write, operation) => {
                echo.extend(HerderEvent::of_write_in_memory(&write, operation));
            }
            Effect::StartConnector { name, epoch, class, mut settings } => {
                settings.insert("task.class".to_owned(), class.plugin().task_class().to_owned());
                echo.push_back(connector(name.clone(), epoch, ConnectorEventKind::Started));
                echo.push_back(connector(name, epoch, ConnectorEventKind::TaskConfigs(vec![settings])));
            }
            Effect::MakeTaskConfigs(..) => {}
            Effect::StopConnector(name, epoch) => {
                echo.push_back(connector(name, epoch, ConnectorEventKind::Stopped));
            }
            Effect::StartTask(start) => {
                let kind = if start.paused { TaskEventKind::Paused } else { TaskEventKind::Started };
                echo.push_back(task(start.id.clone(), start.epoch, kind));
                if let (ConnectorClass::Source(_), Some(topic)) = (&start.class, start.settings.get("topic"))
                {
                    let topic = topic.as_str().into();
                    echo.push_back(task(start.id.clone(), start.epoch, TaskEventKind::Topic(topic)));
                    let file = start.settings.get("file").map_or("", String::as_str);
                    let read = (OffsetMap::of("filename", file), Some(OffsetMap::of("position", 40)));
                    self.offsets.entry(start.id.connector).or_insert_with(|| vec![read]);
                }
            }
            Effect::PauseTask(id, epoch) => echo.push_back(task(id, epoch, TaskEventKind::Paused)),
            Effect::ResumeTask(id, epoch) => echo.push_back(task(id, epoch, TaskEventKind::Resumed)),
            Effect::StopTask(id, epoch) => echo.push_back(task(id, epoch, TaskEventKind::Stopped)),
            Effect::ReadOffsets(name, _class, _settings, reply) => {
                let offsets = self.offsets.get(&name).cloned().unwrap_or_default();
                reply.send(Ok(ConnectorOffsets::Source(offsets)));
            }
            Effect::ModifyOffsets(operation, name, class, settings, change) => {
                let outcome = self.modify(name, &class, &settings, change);
                echo.push_back(HerderEvent::OffsetsModified(operation, outcome));
            }
            Effect::Phase(_)
            | Effect::Publish(..)
            | Effect::AbandonConnector(..)
            | Effect::AbandonTask(..)
            | Effect::TellTopics(..)
            | Effect::Member(_)
            | Effect::CatchUp(..)
            | Effect::WriteStatus(_)
            | Effect::WriteStatusRecords(_)
            | Effect::SubmitTasks(_)
            | Effect::ClaimConfigTopic(_)
            | Effect::FenceTasks(_)
            | Effect::AskForFencing(_)
            | Effect::SetLevel(..)
            | Effect::Exit(_) => {}
        }
    }
}

impl MadeUp {
    fn modify(
        &mut self,
        name: ConnectorName,
        class: &ConnectorClass,
        settings: &Settings,
        change: OffsetsChange,
    ) -> Result<AlterOffsets, HerderError> {
        let stored = self.offsets.entry(name).or_default();
        let changes = match change {
            OffsetsChange::Source(changes) => changes,
            OffsetsChange::Reset => stored.iter().map(|(partition, _)| (partition.clone(), None)).collect(),
            OffsetsChange::Sink(_) => return Err(HerderError::Failed("no sink has offsets here".to_owned())),
        };
        let altered = match class {
            ConnectorClass::Source(plugin) => plugin.alter_offsets(settings, &changes),
            ConnectorClass::Sink(_) => Ok(AlterOffsets::Unchecked),
        };
        let altered = altered.map_err(|error| HerderError::BadRequest(error.message().to_owned()))?;
        for (partition, offset) in changes {
            stored.retain(|(other, _)| *other != partition);
            stored.extend(offset.map(|offset| (partition, Some(offset))));
        }
        Ok(altered)
    }
}
