//! Settings of Kafka clients: from the names and values of Java's clients to those of librdkafka.
//!
//! Settings come in layers (framework, worker, connector), all in Java's names; the result is translated once, by the
//! table in `client::table`. One that cannot be kept is an error that names it; it is never dropped in silence.

mod security;
pub mod table;

use std::collections::BTreeMap;
use std::fmt;

use crate::api::Settings;
use crate::api::config_def::{ConfigError, ConfigErrors};
use crate::config::override_policy::OverridePolicy;
use table::Meaning;

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

    /// The same settings with one more, unless it is there.
    #[must_use]
    fn or(mut self, name: &str, value: &str) -> Self {
        self.0.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        self
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
    /// All settings that cannot be kept.
    pub fn source_producer(&self) -> Result<ClientSettings, ConfigErrors> {
        let framework = [
            ("client.id", "connector-producer"),
            ("delivery.timeout.ms", "2147483647"),
            ("linger.ms", "5"),
            ("buffer.memory", "33554432"),
        ];
        let java = self.layered(ClientKind::Producer, &framework)?;
        let settings = translate(ClientKind::Producer, &java)?;
        // Order and at-least-once by default. Who lowers either by hand does so for himself.
        let acks_all = settings.get("acks").is_none_or(|acks| ["all", "-1"].contains(&acks));
        let in_flight = settings.get("max.in.flight.requests.per.connection");
        let few = in_flight.is_none_or(|count| count.parse::<u32>().is_ok_and(|count| count <= 5));
        let settings = settings
            .or("acks", "all")
            .or("enable.idempotence", if acks_all && few { "true" } else { "false" })
            // Java's choice of a partition by the key, so that old and new records of a key stay together.
            .or("partitioner", "murmur2_random");
        match settings.get("enable.idempotence") {
            Some("true") => Ok(settings),
            Some(_) | None => Ok(settings.or("max.in.flight.requests.per.connection", "1")),
        }
    }

    /// The settings of the consumer of a sink task.
    ///
    /// # Errors
    /// All settings that cannot be kept.
    pub fn sink_consumer(&self, connector: &str, task: u32) -> Result<ClientSettings, ConfigErrors> {
        let client_id = format!("connector-consumer-{connector}-{task}");
        let group = format!("connect-{connector}");
        let framework =
            [("client.id", client_id.as_str()), ("group.id", &group), ("auto.offset.reset", "earliest")];
        let java = self.layered(ClientKind::Consumer, &framework)?;
        let settings = translate(ClientKind::Consumer, &java)?;
        Ok(settings
            .with("enable.auto.commit", "false")
            .with("enable.auto.offset.store", "false")
            // Java's defaults, where librdkafka has others.
            .or("isolation.level", "read_uncommitted")
            .or("partition.assignment.strategy", "range")
            .or("allow.auto.create.topics", "true")
            // What is fetched ahead of the task, for all its partitions.
            .or("queued.max.messages.kbytes", "16384"))
    }

    /// The most records in one batch for a sink task: the consumer setting `max.poll.records`.
    ///
    /// # Errors
    /// It is no number of records, or may not be overridden.
    pub fn max_poll_records(&self) -> Result<usize, ConfigErrors> {
        let java = self.layered(ClientKind::Consumer, &[])?;
        let Some(text) = java.get("max.poll.records") else { return Ok(500) };
        match text.trim().parse() {
            Ok(0) | Err(_) => {
                let message = "Value must be at least 1";
                Err(ConfigErrors(vec![ConfigError::invalid("consumer.max.poll.records", text, message)]))
            }
            Ok(count) => Ok(count),
        }
    }

    /// Java's settings of a client: of the framework, of the worker, of the connector, the later ones going before.
    fn layered(&self, kind: ClientKind, framework: &[(&str, &str)]) -> Result<Settings, ConfigErrors> {
        let violations = self.policy.violations(self.connector, kind.override_prefix());
        if !violations.is_empty() {
            return Err(ConfigErrors(violations));
        }
        let mut java: Settings =
            framework.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        if let Some(servers) = self.worker.get("bootstrap.servers") {
            java.insert("bootstrap.servers".to_owned(), servers.clone());
        }
        java.extend(below(self.worker, kind.worker_prefix()));
        java.extend(below(self.connector, kind.override_prefix()));
        Ok(java)
    }
}

/// The settings of the worker's own clients: all that it has for clients, without a prefix.
///
/// # Errors
/// All settings that cannot be kept.
pub fn worker_client(worker: &Settings) -> Result<ClientSettings, ConfigErrors> {
    let known = worker.iter().filter(|(key, _)| table::row(key).is_some());
    let java = known.map(|(key, value)| (key.clone(), value.clone())).collect();
    translate(ClientKind::Admin, &java)
}

fn below<'a>(settings: &'a Settings, prefix: &'a str) -> impl Iterator<Item = (String, String)> + 'a {
    settings.iter().filter_map(move |(key, value)| {
        let name = key.strip_prefix(prefix)?;
        (!name.starts_with("override.")).then(|| (name.to_owned(), value.clone()))
    })
}

/// Java's settings in librdkafka's words. A name that Java's clients do not know either is passed over with a warning,
/// as they do.
///
/// # Errors
/// All settings that cannot be kept, each with what to do.
pub fn translate(kind: ClientKind, java: &Settings) -> Result<ClientSettings, ConfigErrors> {
    let mut settings = ClientSettings::default();
    let mut errors = Vec::new();
    for (name, value) in java {
        let value = value.trim();
        let Some(row) = table::row(name) else {
            log::warn!("the client setting {name} is not known and has no effect");
            continue;
        };
        if !row.clients.include(kind) {
            continue;
        }
        match row.meaning {
            Meaning::Same(theirs) => settings = settings.with(theirs, value),
            Meaning::Converted(convert) => match convert(value) {
                Ok(pairs) => {
                    for (theirs, value) in pairs {
                        settings = settings.with(theirs, value);
                    }
                }
                Err(message) => errors.push(ConfigError::invalid(name, value, &message)),
            },
            Meaning::Together | Meaning::NotNeeded(_) => {}
            Meaning::Refused(default, remedy) => {
                if value != default && !value.is_empty() {
                    let message = format!("this worker's clients cannot keep it: {remedy}");
                    errors.push(ConfigError::invalid(name, value, &message));
                }
            }
        }
    }
    match security::translate(java) {
        Ok(pairs) => settings.0.extend(pairs),
        Err(more) => errors.extend(more),
    }
    if errors.is_empty() { Ok(settings) } else { Err(ConfigErrors(errors)) }
}
