//! Settings of Kafka clients: from the names and values of Java's clients to those of librdkafka.
//!
//! Settings come in layers, a later one over an earlier one: what the framework needs, what the worker says below
//! `producer.`, `consumer.` or `admin.`, what the connector says below `producer.override.` and so on. Only admin clients
//! also see the other settings of the worker; producers and consumers do not inherit even `security.protocol` (this
//! surprises people, but a file that works with Apache must mean the same here). The clients behind the internal topics
//! of distributed mode are the worker's own (`client::internal_topics`). The result is translated once, by the
//! table in `client::table`. One that cannot be kept is an error that names it; it is never dropped in silence.

mod exactly_once;
pub mod internal_topics;
mod security;
pub mod table;
mod translate;

use std::collections::BTreeMap;
use std::fmt;

use crate::api::Settings;
use crate::api::config_def::{ConfigError, ConfigErrors};
use crate::config::override_policy::OverridePolicy;

/// A Kafka client that settings are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// Sends the records of sources.
    Producer,
    /// Reads the records of sinks.
    Consumer,
    /// The worker's own: asks for the cluster, creates topics.
    Admin,
}

impl ClientKind {
    /// What the settings of the worker for this client begin with.
    pub fn worker_prefix(self) -> &'static str {
        match self {
            ClientKind::Producer => "producer.",
            ClientKind::Consumer => "consumer.",
            ClientKind::Admin => "admin.",
        }
    }

    /// What the settings of a connector for this client begin with.
    pub fn override_prefix(self) -> &'static str {
        match self {
            ClientKind::Producer => "producer.override.",
            ClientKind::Consumer => "consumer.override.",
            ClientKind::Admin => "admin.override.",
        }
    }
}

/// librdkafka's settings by name. Clients with equal ones can be shared.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct ClientSettings(BTreeMap<String, String>);

impl ClientSettings {
    /// The value of a setting.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The same settings with one more, or one changed.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Names and values, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for ClientSettings {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(settings: I) -> Self {
        ClientSettings(settings.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for ClientSettings {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The settings of the worker and of one connector, references resolved, from which its clients' are made.
#[derive(Clone, Copy)]
pub struct ClientLayers<'a> {
    /// All settings of the worker.
    pub worker: &'a Settings,
    /// All settings of the connector.
    pub connector: &'a Settings,
    /// What the connector may override.
    pub policy: OverridePolicy,
}

impl fmt::Debug for ClientLayers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientLayers").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl ClientLayers<'_> {
    /// The settings of the producer of a source task. The client id is not that of a task, unless it was set: tasks
    /// with equal settings share a producer.
    ///
    /// # Errors
    /// All settings that cannot be kept, or that may not be overridden.
    pub fn source_producer(&self) -> Result<ClientSettings, ConfigErrors> {
        self.producer("connector-producer")
    }

    /// The settings of the producer of a dead letter queue: those of sources, and their sharing, under another client id.
    ///
    /// # Errors
    /// All settings that cannot be kept, or that may not be overridden.
    pub fn dead_letter_producer(&self) -> Result<ClientSettings, ConfigErrors> {
        self.producer("connector-dlq-producer")
    }

    fn producer(&self, client_id: &str) -> Result<ClientSettings, ConfigErrors> {
        let framework = [
            ("client.id", client_id),
            ("acks", "all"),
            // Never expire: an outage of any length must not lose a record.
            ("delivery.timeout.ms", "2147483647"),
            // Java's defaults, where librdkafka has others.
            ("linger.ms", "5"),
            ("buffer.memory", "33554432"),
            ("max.request.size", "1048576"),
        ];
        // Java's choice of a partition by the key, so that old and new records of a key stay together.
        let fixed = [("partitioner", "murmur2_random")].into_iter().collect();
        translate::translate(ClientKind::Producer, &self.layered(ClientKind::Producer, &framework)?, fixed)
    }

    /// The settings of the consumer of a sink task.
    ///
    /// # Errors
    /// All settings that cannot be kept, or that may not be overridden.
    pub fn sink_consumer(&self, connector: &str, task: u32) -> Result<ClientSettings, ConfigErrors> {
        let client_id = format!("connector-consumer-{connector}-{task}");
        let group = format!("connect-{connector}");
        let subscribes_by_pattern =
            self.connector.get("topics.regex").is_some_and(|text| !text.trim().is_empty());
        let framework = [
            ("client.id", client_id.as_str()),
            ("group.id", &group),
            ("auto.offset.reset", "earliest"),
            // Java's defaults, where librdkafka has others.
            ("isolation.level", "read_uncommitted"),
            // A topic that was deleted must not come back because its reader has not noticed yet.
            ("allow.auto.create.topics", if subscribes_by_pattern { "false" } else { "true" }),
        ];
        let java = self.layered(ClientKind::Consumer, &framework)?;
        let mut fixed: ClientSettings = [
            // The worker commits what tasks have flushed, and nothing else.
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            // What is fetched ahead of the task, for all its partitions.
            ("queued.max.messages.kbytes", "16384"),
            // How soon to look again whether there is room for more. The default of a second would leave a fast task
            // without records most of the time.
            ("fetch.queue.backoff.ms", "5"),
        ]
        .into_iter()
        .collect();
        let excludes =
            java.get("exclude.internal.topics").is_none_or(|it| !it.value.eq_ignore_ascii_case("false"));
        if subscribes_by_pattern && excludes {
            fixed.set("topic.blacklist", INTERNAL_TOPICS);
        }
        translate::translate(ClientKind::Consumer, &java, fixed)
    }

    /// The settings of the admin client of a connector: it creates topics and dead letter queues.
    ///
    /// # Errors
    /// All settings that cannot be kept, or that may not be overridden.
    pub fn connector_admin(&self, client_id: &str) -> Result<ClientSettings, ConfigErrors> {
        let of_clients = [ClientKind::Producer, ClientKind::Consumer, ClientKind::Admin];
        let is_shared = |key: &str| !of_clients.iter().any(|kind| key.starts_with(kind.worker_prefix()));
        let shared = self.worker.iter().filter(|(key, _)| is_shared(key));
        let framework: Vec<(&str, &str)> = [("client.id", client_id)]
            .into_iter()
            .chain(shared.map(|(key, value)| (key.as_str(), value.as_str())))
            .collect();
        let java = self.layered(ClientKind::Admin, &framework)?;
        translate::translate(ClientKind::Admin, &java, ClientSettings::default())
    }

    /// The most records in one batch for a sink task: the consumer setting `max.poll.records`.
    ///
    /// # Errors
    /// It is no number of records, or may not be overridden.
    pub fn max_poll_records(&self) -> Result<usize, ConfigErrors> {
        let java = self.layered(ClientKind::Consumer, &[])?;
        let Some(written) = java.get("max.poll.records") else { return Ok(500) };
        match written.value.parse() {
            Ok(0) | Err(_) => {
                let message = "Value must be at least 1";
                Err(ConfigErrors(vec![ConfigError::invalid(&written.key, &written.value, message)]))
            }
            Ok(count) => Ok(count),
        }
    }

    /// Java's settings of a client: of the framework, of the worker, of the connector, the later ones going before.
    fn layered(&self, kind: ClientKind, framework: &[(&str, &str)]) -> Result<Layers, ConfigErrors> {
        let violations = self.policy.violations(self.connector, kind.override_prefix());
        if !violations.is_empty() {
            return Err(ConfigErrors(violations));
        }
        let mut layers = Layers::new();
        add(&mut layers, framework.iter().copied(), "", true);
        let servers = self.worker.get("bootstrap.servers").map_or(BOOTSTRAP_SERVERS, String::as_str);
        add(&mut layers, [("bootstrap.servers", servers)], "", true);
        add_below(&mut layers, self.worker, kind.worker_prefix());
        add_below(&mut layers, self.connector, kind.override_prefix());
        Ok(layers)
    }
}

/// What a subscription by pattern passes over, unless `exclude.internal.topics=false`: the topics that a Kafka broker
/// itself calls internal.
const INTERNAL_TOPICS: &str = "^__consumer_offsets$,^__transaction_state$,^__share_group_state$";

/// Where to begin if the worker says nothing: its own default.
const BOOTSTRAP_SERVERS: &str = "localhost:9092";

/// The settings of the worker's own clients: all that it has for clients, without a prefix.
///
/// # Errors
/// All settings that cannot be kept.
pub fn worker_client(worker: &Settings) -> Result<ClientSettings, ConfigErrors> {
    let mut layers = Layers::new();
    add(&mut layers, [("bootstrap.servers", BOOTSTRAP_SERVERS)], "", true);
    add(&mut layers, worker, "", true);
    translate::translate(ClientKind::Admin, &layers, ClientSettings::default())
}

/// Java's settings of one client in librdkafka's words, without what the framework adds: for validation. Errors are
/// about the names as given. A name that Java's clients do not know either is passed over with a warning, as they do.
///
/// # Errors
/// All settings that cannot be kept, each with what to do.
pub fn translate(kind: ClientKind, java: &Settings) -> Result<ClientSettings, ConfigErrors> {
    let mut layers = Layers::new();
    add(&mut layers, java, "", false);
    translate::translate(kind, &layers, ClientSettings::default())
}

/// One setting in Java's name.
struct Written {
    /// The key under which it stands in the worker file or the connector.
    key: String,
    /// Its value without blanks around it.
    value: String,
    /// Whether nothing is said if no client knows it: it may belong to somebody else.
    shared: bool,
}

/// Settings in Java's names after all layers.
type Layers = BTreeMap<String, Written>;

fn add_below(layers: &mut Layers, settings: &Settings, prefix: &str) {
    let below = settings.iter().filter_map(|(key, value)| Some((key.strip_prefix(prefix)?, value)));
    // A connector's prefix inside a worker file is no layer.
    let below = below.filter(|(name, _)| !name.starts_with("override."));
    add(layers, below, prefix, false);
}

fn add<K: AsRef<str>, V: AsRef<str>>(
    layers: &mut Layers,
    settings: impl IntoIterator<Item = (K, V)>,
    prefix: &str,
    shared: bool,
) {
    for (name, value) in settings {
        let name = name.as_ref();
        let value = value.as_ref().trim().to_owned();
        layers.insert(name.to_owned(), Written { key: format!("{prefix}{name}"), value, shared });
    }
}

#[cfg(test)]
mod tests;
