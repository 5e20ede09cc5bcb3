//! Builds the worker: its threads in order, and what they share. This is the place where all rooms meet.

mod checks;
pub mod cluster;
pub mod contact;
pub mod embedded;
mod fencing;
pub mod hands;
pub mod listeners;
mod offset_change;
pub mod offset_desk;
pub mod pending_writes;
mod standing_in_group;
pub mod topic_sinks;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use crate::api::config_def::{ConfigError, ConfigErrors};
use crate::api::ids::WorkerId;
use crate::api::registry::Registry;
use crate::config::client::translate;
use crate::config::worker::{
    ConverterConfig, DistributedConfig, ExactlyOnceSupport, StandaloneConfig, WorkerConfig,
};
use crate::connector::Connectors;
use crate::connector::validation::{ValidationContext, Validator, WorkerConverters};
use crate::health::{HealthState, SharedPhase, StageBoard};
use crate::herder::meter::HerderMeter;
use crate::herder::msg::{CommandLineConnector, Exit, HerderError, HerderEvent, Request};
use crate::herder::tick_thread::{INBOX_EVENTS_MAX, Shared, TickThread};
use crate::herder::view::Views;
use crate::herder::{Herder, HerderSettings, Random};
use crate::kafka::embedded::EmbeddedBroker;
use crate::kafka::fault::KafkaFault;
use crate::logging::levels::Levels;
use crate::metrics::{ConverterClasses, Metrics, MetricsParts};
use crate::rest::api::{Mode, RestApi, RestParts, WorkerFacts};
use crate::rest::forward::WorkerClient;
use crate::rest::server::{BoundServer, HttpServer};
use crate::stdx::pool::{Pool, PoolLimits};
use crate::stdx::reply::reply;
use crate::stdx::thread::{self, JoinOnDrop, PLUGIN_STACK_BYTES};
use crate::stdx::time::{Clock, Deadline};
use crate::store::file_offsets::FileOffsetStore;
use crate::store::offset_store::OffsetStore;
use crate::systemd::Notifier;
use crate::task::counters::TaskBoard;
use crate::task::plan::{OffsetStoreSlot, TaskPlanner};
use crate::task::runner::TaskRunner;
use crate::task::{TaskEvent, TaskEventKind, Tasks};

use cluster::ClusterHands;
use contact::{ClusterId, KafkaContact};
use hands::{Hands, TaskHands, Validate, tell};
use offset_desk::OffsetDesk;
use standing_in_group::StandingInGroup;

/// The most threads that run code of connectors outside of tasks: calls of connectors, checks, offset requests.
const JOB_THREADS_MAX: usize = 512;
/// The most threads that run steps of tasks.
const TASK_THREADS_MAX: usize = 4096;
/// How long a thread of the pool stays without a job.
const JOB_THREAD_REST: Duration = Duration::from_secs(5);
/// How long requests that are being answered may go on once the worker ends.
const REST_STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// How long threads that have nothing more to do may take to end.
const THREADS_TIMEOUT: Duration = Duration::from_millis(500);
/// What the end of the worker may take beyond what tasks and connectors may.
const STOP_MARGIN: Duration = Duration::from_secs(10);

/// Whether a worker shares its work, with what belongs to that.
#[derive(Debug)]
pub enum PlannedMode {
    /// It does not.
    Standalone {
        /// Its settings.
        config: Box<StandaloneConfig>,
        /// The connectors of its command line.
        command_line: Vec<CommandLineConnector>,
    },
    /// It is one of a group.
    Distributed(Box<DistributedConfig>),
}

/// What a worker is made of.
#[derive(Debug)]
pub struct Plan {
    /// The mode, with all settings.
    pub mode: PlannedMode,
    /// The plug-ins it has.
    pub registry: Registry,
    /// Its listeners, already bound.
    pub listeners: BoundServer,
    /// What it logs.
    pub levels: Arc<Levels>,
    /// The broker in this process, if there is one.
    pub embedded: Option<EmbeddedBroker>,
    /// Tells systemd, if this process is a service of its.
    pub notifier: Option<Notifier>,
}

/// A running worker. The order of its fields is the order in which they end.
pub struct Worker {
    http: Option<HttpServer>,
    contact: KafkaContact,
    opener: Option<JoinOnDrop>,
    tick: TickThread,
    group: Option<StandingInGroup>,
    runner: Arc<TaskRunner>,
    jobs: Pool,
    inbox: Sender<HerderEvent>,
    phase: Arc<SharedPhase>,
    exits: Receiver<Exit>,
    refusals: Receiver<KafkaFault>,
    stop_timeout: Duration,
    _offsets: OffsetStoreSlot,
    _embedded: Option<EmbeddedBroker>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("http", &self.http)
            .field("runner", &self.runner)
            .finish_non_exhaustive()
    }
}

/// Why a worker ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// A signal of this number.
    Signal(u8),
    /// The herder wants it.
    Herder(Exit),
    /// librdkafka cannot make the worker's own client of its settings.
    ClientRefused(KafkaFault),
}

/// A worker could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting of the worker cannot be kept.
    #[error("{0}")]
    Config(ConfigErrors),
    /// A client of Kafka cannot be made of the settings of the worker.
    #[error(transparent)]
    Client(#[from] KafkaFault),
    /// The system gives no thread or socket.
    #[error("the system gives no thread or socket: check the limits of this user")]
    System(#[from] io::Error),
    /// The REST API cannot be served.
    #[error("Unable to initialize REST server")]
    Rest(#[source] crate::rest::server::ServerError),
}

/// What most parts share, while they are built.
struct Parts {
    config: Arc<WorkerConfig>,
    registry: Arc<Registry>,
    validator: Arc<Validator>,
    planner: Arc<TaskPlanner>,
    offsets: OffsetStoreSlot,
    jobs: Pool,
    inbox: Sender<HerderEvent>,
    shared: Shared,
    cluster: ClusterId,
    /// Whether source tasks write exactly once.
    exactly_once: bool,
}

impl Worker {
    /// Starts all threads: REST first, which answers from here on; everything else follows by itself.
    ///
    /// # Errors
    /// A setting that cannot be kept, or a system that gives no threads.
    pub fn start(plan: Plan) -> Result<Self, StartError> {
        let Plan { mode, registry, listeners, levels, embedded, notifier } = plan;
        let (worker, offset_file, command_line, cluster) = match mode {
            PlannedMode::Standalone { config, command_line } => {
                (config.worker, Some(config.offset_file), command_line, None)
            }
            PlannedMode::Distributed(config) => (config.worker.clone(), None, Vec::new(), Some(config)),
        };
        let kafka = checks::check(&worker, &registry).map_err(StartError::Config)?;
        let (inbox, events) = bounded(INBOX_EVENTS_MAX);
        let parts = Parts::new(worker, registry, inbox.clone(), cluster.as_deref());
        let (url, worker_id) = listeners::advertised(&parts.config.rest, listeners.addresses());
        let client = cluster.is_some().then(|| listeners::worker_client(&parts.config.rest));
        let metrics = parts.metrics(&worker_id, cluster.as_deref());
        let api = parts.rest_api(url.clone(), (Arc::clone(&levels), metrics), client.clone())?;
        let http = listeners.serve(Arc::new(api)).map_err(StartError::Rest)?;
        let settings = HerderSettings {
            worker: worker_id.clone(),
            registry: Arc::clone(&parts.registry),
            task_stop_timeout: parts.config.task_shutdown_graceful_timeout,
            group: cluster.as_deref().map(|config| standing_in_group::settings(config, url)),
            random: Random(Arc::new(fill_with_random)),
        };
        let runner = Arc::new(TaskRunner::new(TASK_THREADS_MAX)?);
        let group = match cluster.as_deref().zip(client) {
            Some((config, client)) => {
                Some(StandingInGroup::start(config, &worker_id, &kafka, &parts, (client, levels))?)
            }
            None => None,
        };
        let hands = parts.hands(&runner, group.as_ref().map(StandingInGroup::hands), notifier);
        let herder = Herder::new(settings, command_line, Clock.now());
        let herder = herder.restarting(parts.config.auto_restart);
        let (tick, exits) = TickThread::start(herder, events, hands, parts.shared.clone())?;
        let opener = offset_file
            .map(|file| open_offsets(file, Arc::clone(&parts.offsets), inbox.clone()))
            .transpose()?;
        let (refused, refusals) = bounded(1);
        let contact = KafkaContact::start(kafka, parts.cluster, inbox.clone(), refused)?;
        Ok(Worker {
            http: Some(http),
            contact,
            opener,
            tick,
            group,
            runner,
            jobs: parts.jobs,
            inbox,
            phase: parts.shared.phase,
            exits,
            refusals,
            stop_timeout: parts.config.task_shutdown_graceful_timeout + STOP_MARGIN,
            _offsets: parts.offsets,
            _embedded: embedded,
        })
    }

    /// Waits until a signal comes or the herder wants the worker to end.
    pub fn wait(&self, signals: &Receiver<u8>) -> Ended {
        let mut refusals = Some(&self.refusals);
        loop {
            let never = crossbeam_channel::never();
            select! {
                recv(signals) -> signal => return Ended::Signal(signal.unwrap_or_default()),
                recv(self.exits) -> exit => return Ended::Herder(exit.unwrap_or(Exit::Stopped)),
                recv(refusals.unwrap_or(&never)) -> refusal => match refusal {
                    Ok(fault) => return Ended::ClientRefused(fault),
                    // Kafka has answered: nothing more comes from there.
                    Err(_) => refusals = None,
                },
            }
        }
    }

    /// Why it ends, if that is so by now: what [`Worker::wait`] would give.
    pub fn ended(&self) -> Option<Ended> {
        let exit = self.exits.try_recv().ok().map(Ended::Herder);
        exit.or_else(|| self.refusals.try_recv().ok().map(Ended::ClientRefused))
    }

    /// How it does, asked of the herder as `GET /health` does. Waits for so long at most.
    pub fn health(&self, timeout: Duration) -> HealthState {
        let deadline = Clock.deadline(timeout);
        let (reply, pending) = reply();
        let asked = self.inbox.send_timeout(HerderEvent::Request(Request::Health(reply)), timeout).is_ok();
        let answer = asked.then(|| pending.wait(deadline.left(Clock.now().instant)));
        HealthState::of(self.phase.load(), matches!(answer, Some(Ok(Ok(())))))
    }

    /// Ends the worker in order: REST takes no more requests, connectors and tasks end within their deadlines, then
    /// all threads. What hangs is abandoned: the process is about to end.
    pub fn stop(mut self) {
        let deadline = Clock.deadline(self.stop_timeout);
        // Held requests are answered by this, so that the server need not wait for them.
        let told = self.inbox.send_timeout(HerderEvent::Stop, deadline.left(Clock.now().instant));
        if let Some(http) = self.http.take() {
            let left = http.stop(Clock.deadline(REST_STOP_TIMEOUT));
            log::debug!("REST stopped: {left:?}");
        }
        let stopped = told.is_ok() && self.wait_for_stopped(deadline);
        drop(self.contact);
        drop(self.opener);
        if stopped {
            drop(self.tick);
        } else {
            log::error!("the worker did not stop in time and ends all the same");
            std::mem::forget(self.tick);
        }
        let busy = self.jobs.close(Clock, Clock.deadline(THREADS_TIMEOUT));
        if busy > 0 {
            log::warn!("{busy} threads with code of connectors did not end and are abandoned");
        }
        if let Some(group) = self.group {
            group.stop(deadline);
        }
        drop(self.runner);
    }

    fn wait_for_stopped(&self, deadline: Deadline) -> bool {
        loop {
            match self.exits.recv_timeout(deadline.left(Clock.now().instant)) {
                Ok(Exit::Stopped) => return true,
                // Why it ended was told already.
                Ok(Exit::ConnectorFailed(_) | Exit::OffsetsUnreadable(_) | Exit::GroupRefused(_)) => {}
                Err(_) => return false,
            }
        }
    }
}

impl Parts {
    fn new(
        config: WorkerConfig,
        registry: Registry,
        inbox: Sender<HerderEvent>,
        group: Option<&DistributedConfig>,
    ) -> Self {
        let (config, registry) = (Arc::new(config), Arc::new(registry));
        let offsets = OffsetStoreSlot::default();
        let mut planner = TaskPlanner::new(Arc::clone(&config), Arc::clone(&registry), Arc::clone(&offsets));
        if let Some(group) = group {
            planner = planner.in_group(standing_in_group::plans(group, inbox.clone()));
        }
        let context = validation_context(&config, group);
        let validator = Arc::new(Validator::new(Arc::clone(&registry), context));
        let limits = PoolLimits {
            threads_max: JOB_THREADS_MAX,
            idle: JOB_THREAD_REST,
            stack_bytes: PLUGIN_STACK_BYTES,
        };
        let windows = config.metric_windows;
        let shared = Shared {
            phase: Arc::new(SharedPhase::default()),
            stages: Arc::new(StageBoard::new(Clock.now())),
            views: Arc::new(Views::default()),
            meter: Arc::new(HerderMeter::new(windows, Clock.now().instant)),
            tasks: Arc::new(TaskBoard::new(windows)),
        };
        let jobs = Pool::new("connector", limits);
        let planner = Arc::new(planner);
        Parts {
            config,
            registry,
            validator,
            planner,
            offsets,
            jobs,
            inbox,
            shared,
            cluster: ClusterId::default(),
            exactly_once: group.is_some_and(|group| group.exactly_once == ExactlyOnceSupport::Enabled),
        }
    }

    fn metrics(&self, worker: &WorkerId, group: Option<&DistributedConfig>) -> Metrics {
        let class = |converter: &ConverterConfig| converter.class.clone();
        Metrics::new(MetricsParts {
            worker: worker.clone(),
            client_id: group.map(|group| group.member_client_id(worker)).unwrap_or_default(),
            started: Clock.now().wall,
            herder: self.shared.clone(),
            inbox: self.inbox.clone(),
            registry: Arc::clone(&self.registry),
            converters: ConverterClasses {
                key: class(&self.config.key_converter),
                value: class(&self.config.value_converter),
                header: class(&self.config.header_converter),
            },
        })
    }

    fn rest_api(
        &self,
        advertised_url: String,
        (levels, metrics): (Arc<Levels>, Metrics),
        client: Option<WorkerClient>,
    ) -> Result<RestApi, StartError> {
        let mode = client.map_or(Mode::Standalone, Mode::Distributed);
        Ok(RestApi::new(RestParts {
            inbox: self.inbox.clone(),
            herder: self.shared.clone(),
            validator: Arc::clone(&self.validator),
            pool: self.jobs.clone(),
            levels,
            metrics: Arc::new(metrics),
            worker: WorkerFacts { kafka_cluster_id: Arc::clone(&self.cluster), advertised_url },
            settings: listeners::api_settings(&self.config, mode).map_err(|why| {
                let key = "access.control.allow.origin";
                let origin = self.config.originals.0.get(key).map_or("", String::as_str);
                StartError::Config(ConfigError::invalid(key, origin, why.to_string()).into())
            })?,
        }))
    }

    fn hands(
        &self,
        runner: &Arc<TaskRunner>,
        cluster: Option<ClusterHands>,
        notifier: Option<Notifier>,
    ) -> Hands {
        let inbox = self.inbox.clone();
        let connector_events = Arc::new(move |event| tell(&inbox, HerderEvent::Connector(event)));
        let inbox = self.inbox.clone();
        let tracks_topics = self.config.topic_tracking;
        let task_events = Arc::new(move |event: TaskEvent| {
            if tracks_topics || !matches!(event.kind, TaskEventKind::Topic(_)) {
                tell(&inbox, HerderEvent::Task(event));
            }
        });
        let validator = Arc::clone(&self.validator);
        let validate: Validate = Arc::new(move |draft| {
            validator.check(&draft).map_err(|why| HerderError::BadRequest(why.to_string()))
        });
        let providers = Arc::new(self.config.providers.clone());
        let offsets = OffsetDesk::new(Arc::clone(&self.planner));
        let tasks = Tasks::new(Arc::clone(runner), task_events).exactly_once(self.exactly_once);
        let tasks = tasks.counted_on(Arc::clone(&self.shared.tasks));
        Hands {
            inbox: self.inbox.clone(),
            jobs: self.jobs.clone(),
            validate,
            connectors: Connectors::new(self.jobs.clone(), providers, connector_events),
            tasks: TaskHands::new(tasks, Arc::clone(&self.planner)),
            offsets: Arc::new(offsets),
            cluster,
            notifier,
        }
    }
}

/// What the keys between workers are made of.
fn fill_with_random(bytes: &mut [u8]) -> Result<(), String> {
    openssl::rand::rand_bytes(bytes).map_err(|why| format!("the system has no random numbers: {why}"))
}

fn validation_context(config: &Arc<WorkerConfig>, group: Option<&DistributedConfig>) -> ValidationContext {
    let providers = Arc::new(config.providers.clone());
    ValidationContext {
        providers,
        override_policy: config.override_policy,
        client_check: Arc::new(|kind, settings| match translate(kind, settings) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.0,
        }),
        converters: WorkerConverters {
            key: config.key_converter.class.clone(),
            value: config.value_converter.class.clone(),
            header: config.header_converter.class.clone(),
        },
        topic_creation: config.topic_creation,
        exactly_once: group.map(|group| group.exactly_once == ExactlyOnceSupport::Enabled),
    }
}

/// Opens the offset store on a thread of its own, since files may be slow; the herder hears of it.
fn open_offsets(file: PathBuf, slot: OffsetStoreSlot, inbox: Sender<HerderEvent>) -> io::Result<JoinOnDrop> {
    thread::spawn("offsets-opener", thread::STACK_BYTES, move || {
        let target = "org.apache.kafka.connect.storage.FileOffsetBackingStore";
        log::info!(target: target, "Starting FileOffsetBackingStore with file {}", file.display());
        let opened = FileOffsetStore::open(&file).map(|store| {
            let store: Arc<dyn OffsetStore> = Arc::new(store);
            drop(slot.set(store));
        });
        let result = opened.map_err(|why| format!("{:#}", anyhow::Error::from(why)));
        tell(&inbox, HerderEvent::OffsetsRead(result));
    })
}
