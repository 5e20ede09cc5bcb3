//! The settings of a worker in distributed mode: its group, its internal topics, its talk with other workers.

use std::fmt;
use std::time::Duration;

use super::keys::Mode;
use super::{RawConfig, WorkerConfig, WorkerConfigError, invalid};
use crate::api::Settings;
use crate::api::config_def::{ConfigError, ConfigErrors, ParsedConfig};
use crate::api::ids::WorkerId;
use crate::config::providers::Environment;
use crate::stdx::java_mac::MacAlgorithm;

/// What a distributed worker needs to know.
#[derive(Debug, Clone)]
pub struct DistributedConfig {
    /// What both modes share.
    pub worker: WorkerConfig,
    /// `group.id`: the group of workers.
    pub group_id: String,
    /// `client.id`, if there is one.
    pub client_id: Option<String>,
    /// How the group is kept together.
    pub group: GroupConfig,
    /// The connection of the group.
    pub connection: ConnectionConfig,
    /// The topic of connector and task configurations.
    pub config_topic: InternalTopic,
    /// The topic of source offsets.
    pub offset_topic: InternalTopic,
    /// The topic of states.
    pub status_topic: InternalTopic,
    /// Whether sources write in transactions.
    pub exactly_once: ExactlyOnceSupport,
    /// How requests between workers are signed.
    pub inter_worker: InterWorkerKeys,
}

/// `connect.protocol`: what a worker is ready to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectProtocol {
    /// All work stops for every rebalance.
    Eager,
    /// Only what moves is stopped (KIP-415); or eager, while a member knows nothing else.
    Compatible,
    /// The same with signed requests between workers (KIP-507); or compatible, or eager, while a member knows nothing
    /// else.
    Sessioned,
}

/// How the group is kept together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// After how long without a heartbeat a worker is taken for dead.
    pub session_timeout: Duration,
    /// From one heartbeat to the next; lower than the session timeout.
    pub heartbeat_interval: Duration,
    /// How long a worker has to join after a rebalance began.
    pub rebalance_timeout: Duration,
    /// How long one try to read the config topic to its end may take.
    pub sync_timeout: Duration,
    /// How long a worker stays away after such a try, where the protocol is eager.
    pub unsync_backoff: Duration,
    /// What is offered.
    pub protocol: ConnectProtocol,
    /// How long the work of a worker that left is kept for its return; zero turns that off.
    pub scheduled_rebalance_max_delay: Duration,
}

/// How the connection of the group is made and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionConfig {
    /// How long an answer may take.
    pub request_timeout: Duration,
    /// The first pause before a request is sent again.
    pub retry_backoff: Duration,
    /// The longest such pause.
    pub retry_backoff_max: Duration,
    /// The first pause before a broker is connected to again.
    pub reconnect_backoff: Duration,
    /// The longest such pause.
    pub reconnect_backoff_max: Duration,
    /// How long connecting may take at first.
    pub setup_timeout: Duration,
    /// How long connecting may take after repeated failures.
    pub setup_timeout_max: Duration,
    /// After how long an idle connection is closed; `None` for never.
    pub max_idle: Option<Duration>,
    /// How often the state of the cluster is asked for without a reason.
    pub metadata_max_age: Duration,
    /// After how long without an answer of any known broker `bootstrap.servers` are asked again; `None` for never.
    pub rebootstrap_after: Option<Duration>,
    /// The send buffer of sockets in bytes; `None` is the system's default.
    pub send_buffer: Option<usize>,
    /// The receive buffer of sockets in bytes; `None` is the system's default.
    pub receive_buffer: Option<usize>,
}

/// One of the three topics that a group keeps its state in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InternalTopic {
    /// Its name.
    pub name: String,
    /// How many partitions it is created with; `None` is the broker's default.
    pub partitions: Option<i32>,
    /// How many replicas it is created with; `None` is the broker's default.
    pub replicas: Option<i16>,
    /// Further settings that it is created with, beside `cleanup.policy=compact`.
    pub settings: Settings,
}

/// Whether source connectors write records and offsets in transactions (KIP-618).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExactlyOnceSupport {
    /// No.
    Disabled,
    /// No, but the leader already writes the config topic in transactions.
    Preparing,
    /// Yes; internal topics are read without what was not committed.
    Enabled,
}

impl ExactlyOnceSupport {
    /// Whether the leader writes the config topic in transactions.
    pub fn leader_uses_transactions(self) -> bool {
        match self {
            ExactlyOnceSupport::Disabled => false,
            ExactlyOnceSupport::Preparing | ExactlyOnceSupport::Enabled => true,
        }
    }
}

/// How requests between workers are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterWorkerKeys {
    /// What new keys are for.
    pub key_algorithm: MacAlgorithm,
    /// How long they are, in bytes.
    pub key_bytes: usize,
    /// How long a key is used; zero is until the leader changes.
    pub ttl: Duration,
    /// How requests are signed.
    pub signature: MacAlgorithm,
    /// Which signatures are accepted; holds `signature`.
    pub verification: Vec<MacAlgorithm>,
}

impl DistributedConfig {
    /// Parses, defaults and checks everything once. `env` is the environment that `EnvVarConfigProvider` may see and
    /// in which Java's options are looked for.
    ///
    /// # Errors
    /// All that is wrong, or the failure of a config provider.
    pub fn from_raw(raw: &RawConfig, env: &Environment) -> Result<Self, WorkerConfigError> {
        let (mut worker, parsed) = WorkerConfig::from_raw(raw, env, Mode::Distributed)?;
        let errors = together(&parsed).map_err(invalid)?;
        if !errors.is_empty() {
            return Err(WorkerConfigError::Invalid(ConfigErrors(errors)));
        }
        let mut notes = Vec::new();
        let mut topic = |prefix| internal_topic(prefix, &parsed, &worker.originals.0, &mut notes);
        let config_topic = topic("config.storage.").map_err(invalid)?;
        let offset_topic = topic("offset.storage.").map_err(invalid)?;
        let status_topic = topic("status.storage.").map_err(invalid)?;
        notes.extend(shared_topics(&config_topic, &offset_topic, &status_topic));
        worker.notes.extend(notes);
        let typed = |worker| -> Result<Self, ConfigError> {
            Ok(Self {
                worker,
                group_id: parsed.get("group.id")?,
                client_id: Some(parsed.get::<String>("client.id")?).filter(|id| !id.is_empty()),
                group: group(&parsed)?,
                connection: connection(&parsed)?,
                config_topic,
                offset_topic,
                status_topic,
                exactly_once: exactly_once(&parsed)?,
                inter_worker: inter_worker(&parsed)?,
            })
        };
        typed(worker).map_err(invalid)
    }

    /// The client id of the member of the group.
    pub fn member_client_id(&self, worker: &WorkerId) -> String {
        self.client_id.clone().unwrap_or_else(|| format!("connect-{worker}"))
    }

    /// What client ids of clients for the internal topics begin with.
    pub fn client_id_base(&self) -> String {
        match &self.client_id {
            Some(client_id) => format!("{}-{client_id}-", self.group_id),
            None => format!("{}-", self.group_id),
        }
    }
}

impl fmt::Display for DistributedConfig {
    /// All settings as Java logs them at start: sorted, secrets hidden.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DistributedConfig values:")?;
        self.worker.values.iter().try_for_each(|(name, value)| write!(f, "\n\t{name} = {value}"))
    }
}

/// What is wrong with settings that are right each by itself.
fn together(parsed: &ParsedConfig) -> Result<Vec<ConfigError>, ConfigError> {
    let mut errors = Vec::new();
    let heartbeat = parsed.get::<i32>("heartbeat.interval.ms")?;
    let session = parsed.get::<i32>("session.timeout.ms")?;
    if heartbeat >= session {
        let message = format!("Heartbeat must be set lower than the session timeout, which is {session}");
        errors.push(ConfigError::invalid("heartbeat.interval.ms", &heartbeat.to_string(), message));
    }
    let signature = parsed.get::<String>("inter.worker.signature.algorithm")?;
    if !parsed.get::<Vec<String>>("inter.worker.verification.algorithms")?.contains(&signature) {
        let message = "Signature algorithm must be present in inter.worker.verification.algorithms list";
        errors.push(ConfigError::invalid("inter.worker.signature.algorithm", &signature, message));
    }
    if let Some(bits) =
        parsed.get::<Option<i32>>("inter.worker.key.size")?.filter(|bits| *bits < KEY_BITS_MIN)
    {
        let algorithm = parsed.get::<String>("inter.worker.key.generation.algorithm")?;
        let message = format!(
            "Unable to create key generator with algorithm {algorithm} and key size {bits}: Key length must be at \
             least {KEY_BITS_MIN} bits"
        );
        errors.push(ConfigError::message("inter.worker.key.size", message));
    }
    Ok(errors)
}

/// Java makes no shorter keys.
const KEY_BITS_MIN: i32 = 40;

fn group(parsed: &ParsedConfig) -> Result<GroupConfig, ConfigError> {
    let protocol = parsed.get::<String>("connect.protocol")?.to_ascii_lowercase();
    Ok(GroupConfig {
        session_timeout: parsed.get("session.timeout.ms")?,
        heartbeat_interval: parsed.get("heartbeat.interval.ms")?,
        rebalance_timeout: parsed.get("rebalance.timeout.ms")?,
        sync_timeout: parsed.get("worker.sync.timeout.ms")?,
        unsync_backoff: parsed.get("worker.unsync.backoff.ms")?,
        protocol: match protocol.as_str() {
            "eager" => ConnectProtocol::Eager,
            "compatible" => ConnectProtocol::Compatible,
            // The table of settings permits no fourth.
            _ => ConnectProtocol::Sessioned,
        },
        scheduled_rebalance_max_delay: parsed.get("scheduled.rebalance.max.delay.ms")?,
    })
}

fn connection(parsed: &ParsedConfig) -> Result<ConnectionConfig, ConfigError> {
    let rebootstrap = parsed.get::<String>("metadata.recovery.strategy")?.eq_ignore_ascii_case("rebootstrap");
    let rebootstrap_after = parsed.get("metadata.recovery.rebootstrap.trigger.ms")?;
    let idle_ms = parsed.get::<i64>("connections.max.idle.ms")?;
    let buffer = |name| Ok(usize::try_from(parsed.get::<i32>(name)?).ok());
    Ok(ConnectionConfig {
        request_timeout: parsed.get("request.timeout.ms")?,
        retry_backoff: parsed.get("retry.backoff.ms")?,
        retry_backoff_max: parsed.get("retry.backoff.max.ms")?,
        reconnect_backoff: parsed.get("reconnect.backoff.ms")?,
        reconnect_backoff_max: parsed.get("reconnect.backoff.max.ms")?,
        setup_timeout: parsed.get("socket.connection.setup.timeout.ms")?,
        setup_timeout_max: parsed.get("socket.connection.setup.timeout.max.ms")?,
        max_idle: u64::try_from(idle_ms).ok().map(Duration::from_millis),
        metadata_max_age: parsed.get("metadata.max.age.ms")?,
        rebootstrap_after: Some(rebootstrap_after).filter(|_| rebootstrap),
        send_buffer: buffer("send.buffer.bytes")?,
        receive_buffer: buffer("receive.buffer.bytes")?,
    })
}

/// Reads the settings below a prefix, and notes those that do nothing.
fn internal_topic(
    prefix: &str,
    parsed: &ParsedConfig,
    originals: &Settings,
    notes: &mut Vec<String>,
) -> Result<InternalTopic, ConfigError> {
    let key = |name: &str| format!("{prefix}{name}");
    let is_config = prefix == "config.storage.";
    let mut settings = Settings::new();
    for (name, value) in
        originals.iter().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?, value)))
    {
        match name {
            "topic" | "replication.factor" => {}
            "partitions" if is_config => {
                notes.push(format!(
                    "{prefix}{name} is ignored: the config topic has one partition. Remove it."
                ));
            }
            "partitions" => {}
            "cleanup.policy" => {
                notes.push(format!(
                    "{prefix}{name} is ignored: internal topics are always compacted. Remove it."
                ));
            }
            "file.filename" if prefix == "offset.storage." => {
                notes.push(format!("{prefix}{name} is ignored: it is for standalone mode. Remove it."));
            }
            _ => drop(settings.insert(name.to_owned(), value.clone())),
        }
    }
    // -1 is the only negative number that the table of settings permits.
    let partitions = if is_config { 1 } else { parsed.get(&key("partitions"))? };
    Ok(InternalTopic {
        name: parsed.get(&key("topic"))?,
        partitions: Some(partitions).filter(|count| *count > 0),
        replicas: Some(parsed.get(&key("replication.factor"))?).filter(|count| *count > 0),
        settings,
    })
}

/// Apache takes one name for several topics, so this is no error; but they have different needs.
fn shared_topics(config: &InternalTopic, offset: &InternalTopic, status: &InternalTopic) -> Option<String> {
    let shared = config.name == offset.name || config.name == status.name || offset.name == status.name;
    shared.then(|| {
        "config.storage.topic, offset.storage.topic and status.storage.topic should name three topics: what is \
         stored in one of them is no use to the others, which tell that they do not understand it."
            .to_owned()
    })
}

fn exactly_once(parsed: &ParsedConfig) -> Result<ExactlyOnceSupport, ConfigError> {
    let support = parsed.get::<String>("exactly.once.source.support")?.to_ascii_lowercase();
    Ok(match support.as_str() {
        "enabled" => ExactlyOnceSupport::Enabled,
        "preparing" => ExactlyOnceSupport::Preparing,
        // The table of settings permits no fourth.
        _ => ExactlyOnceSupport::Disabled,
    })
}

fn inter_worker(parsed: &ParsedConfig) -> Result<InterWorkerKeys, ConfigError> {
    let algorithm = |key: &str, name: &str| {
        MacAlgorithm::from_name(name)
            .ok_or_else(|| ConfigError::invalid(key, name, "the algorithm is not known"))
    };
    let one = |key: &str| algorithm(key, &parsed.get::<String>(key)?);
    let key_algorithm = one("inter.worker.key.generation.algorithm")?;
    let bits = parsed.get::<Option<usize>>("inter.worker.key.size")?;
    let verification = "inter.worker.verification.algorithms";
    let names = parsed.get::<Vec<String>>(verification)?;
    Ok(InterWorkerKeys {
        key_algorithm,
        key_bytes: bits.unwrap_or(key_algorithm.key_bits() as usize).div_ceil(8),
        ttl: parsed.get("inter.worker.key.ttl.ms")?,
        signature: one("inter.worker.signature.algorithm")?,
        verification: names.iter().map(|name| algorithm(verification, name)).collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests;
