//! The settings of a worker: from a properties file to one typed value, with everything that is wrong named at once.
//!
//! [`RawConfig`] is what was said, [`StandaloneConfig`] and [`DistributedConfig`] what it means. Nobody looks a key up in
//! a map afterwards, except for settings that belong to somebody else: those of clients and converters.

mod basic_auth;
pub mod distributed;
mod headers;
pub mod keys;
mod keys_clients;
mod keys_distributed;
mod listeners;
mod rest;
mod tls;
mod unknown;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use basic_auth::BasicAuth;
pub use distributed::{ConnectProtocol, DistributedConfig, ExactlyOnceSupport, InternalTopic};
pub use headers::{HeaderAction, HeaderRule};
pub use listeners::{AdminListeners, Listener, Scheme};
pub use rest::{Advertised, Cors, RestConfig, RestLimits};
pub use tls::{ClientAuth, ClientTls, ListenerTls};

use super::override_policy::OverridePolicy;
use super::properties::{self, PropertiesError};
use super::providers::{ConfigProviders, Environment, Missing, ProviderError, Resolved};
use crate::api::Settings;
use crate::api::config_def::{ConfigError, ConfigErrors, ParsedConfig, Password};
use crate::stdx::restart_policy::RestartPolicy;
use crate::stdx::sampled::Windows;
use keys::{Mode, Support};

/// Settings of a worker as they were written, references not resolved.
#[derive(Clone, Default)]
pub struct RawConfig {
    settings: Settings,
}

impl std::fmt::Debug for RawConfig {
    /// Names only: any value may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.settings.keys()).finish()
    }
}

impl RawConfig {
    /// Reads a worker properties file.
    ///
    /// # Errors
    /// The file cannot be read or breaks the syntax.
    pub fn load(path: &Path) -> Result<Self, PropertiesError> {
        properties::load(path).map(Self::new)
    }

    /// Takes settings from elsewhere: an embedding program, a test.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Sets one setting, over what the file says: `--set KEY=VALUE`.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.settings.insert(key.into(), value.into());
    }

    /// Sets one setting unless it is there.
    pub fn set_default(&mut self, key: &str, value: &str) {
        self.settings.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }
}

/// Why the settings of a worker cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WorkerConfigError {
    /// Settings are missing or wrong; all of them are named.
    #[error("{0}")]
    Invalid(ConfigErrors),
    /// A config provider failed.
    #[error("cannot resolve a config provider reference of the worker configuration")]
    Provider(#[source] ProviderError),
}

/// A converter class with the settings that stand below its key, prefix stripped.
#[derive(Clone, PartialEq, Eq)]
pub struct ConverterConfig {
    /// The class name or alias as written.
    pub class: String,
    /// Its own settings.
    pub settings: Settings,
}

impl std::fmt::Debug for ConverterConfig {
    /// Names of settings only: a value may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.class, self.settings.keys())
    }
}

/// What a worker needs to know in either mode.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Brokers to begin with, `host:port`.
    pub bootstrap_servers: Vec<String>,
    /// For keys, where a connector names none of its own.
    pub key_converter: ConverterConfig,
    /// For values, likewise.
    pub value_converter: ConverterConfig,
    /// For headers, likewise.
    pub header_converter: ConverterConfig,
    /// How long one request to stop tasks may take for all of them together.
    pub task_shutdown_graceful_timeout: Duration,
    /// From the end of one commit of offsets to the beginning of the next.
    pub offset_flush_interval: Duration,
    /// How long one commit of offsets may take.
    pub offset_flush_timeout: Duration,
    /// Folders that Apache would search for plug-ins; see [`jar_folders`].
    pub plugin_path: Vec<PathBuf>,
    /// Programs that connectors may run: paths, and folders with `/` at the end.
    pub exec_allowed: Vec<String>,
    /// Which client settings a connector may override.
    pub override_policy: OverridePolicy,
    /// Whether `topic.creation.*` of source connectors counts.
    pub topic_creation: bool,
    /// Whether the topics that a connector uses are recorded.
    pub topic_tracking: bool,
    /// Whether that record may be reset over REST.
    pub topic_tracking_reset: bool,
    /// How far back rates, averages and greatest values of metrics look.
    pub metric_windows: Windows,
    /// How often clients of tasks tell what they do; zero is never.
    pub client_figures_interval: Duration,
    /// Restarts of what has failed.
    pub auto_restart: RestartPolicy,
    /// The REST server.
    pub rest: RestConfig,
    /// For references in connector and task settings.
    pub providers: ConfigProviders,
    /// All settings as written, references resolved: what client settings are made from.
    pub originals: WorkerOriginals,
    /// What a person should know at start, one line each, to be logged as warnings once.
    pub notes: Vec<String>,
    /// `name = value` of every setting of this mode, sorted, secrets hidden.
    values: Vec<(String, String)>,
}

/// The settings of the worker as written, references resolved. It does not print values: any may be a secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct WorkerOriginals(pub Settings);

impl std::fmt::Debug for WorkerOriginals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What a standalone worker needs to know.
#[derive(Debug, Clone)]
pub struct StandaloneConfig {
    /// What both modes share.
    pub worker: WorkerConfig,
    /// The file that holds the offsets of source connectors.
    pub offset_file: PathBuf,
}

impl StandaloneConfig {
    /// Parses, defaults and checks everything once. `env` is the environment that `EnvVarConfigProvider` may see and
    /// in which Java's options are looked for.
    ///
    /// # Errors
    /// All that is wrong, or the failure of a config provider.
    pub fn from_raw(raw: &RawConfig, env: &Environment) -> Result<Self, WorkerConfigError> {
        let (worker, parsed) = WorkerConfig::from_raw(raw, env, Mode::Standalone)?;
        let offset_file = parsed.get::<String>("offset.storage.file.filename").map_err(invalid)?.into();
        Ok(Self { worker, offset_file })
    }
}

impl std::fmt::Display for StandaloneConfig {
    /// All settings as Java logs them at start: sorted, secrets hidden.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StandaloneConfig values:")?;
        self.worker.values.iter().try_for_each(|(name, value)| write!(f, "\n\t{name} = {value}"))
    }
}

fn invalid(error: ConfigError) -> WorkerConfigError {
    WorkerConfigError::Invalid(error.into())
}

impl WorkerConfig {
    fn from_raw(
        raw: &RawConfig,
        env: &Environment,
        mode: Mode,
    ) -> Result<(Self, ParsedConfig), WorkerConfigError> {
        let providers =
            ConfigProviders::from_worker(&raw.settings, env).map_err(WorkerConfigError::Invalid)?;
        let resolved = providers.resolve_worker(&raw.settings).map_err(WorkerConfigError::Provider)?;
        let worker = Self::from_resolved(&resolved, providers, env, mode);
        worker.map_err(|error| tell_missing(error, &resolved))
    }

    fn from_resolved(
        resolved: &Resolved,
        providers: ConfigProviders,
        env: &Environment,
        mode: Mode,
    ) -> Result<(Self, ParsedConfig), WorkerConfigError> {
        let Resolved { settings, missing, .. } = resolved;
        let mut errors = Vec::new();
        let parsed = keys::config_def(mode).parse(settings);
        let rest = RestConfig::from_settings(settings, env, &mut errors);
        let policy =
            settings.get("connector.client.config.override.policy").map_or("All", |text| text.trim());
        let policy = OverridePolicy::parse(policy);
        errors.extend(policy.as_ref().err().cloned());
        let (parsed, rest, override_policy) = match (parsed, rest, policy) {
            (Ok(parsed), Some(rest), Ok(policy)) if errors.is_empty() => (parsed, rest, policy),
            (parsed, _, _) => {
                let mut all = parsed.err().map_or_else(Vec::new, |errors| errors.0);
                all.extend(errors.into_iter().filter(|error| !all.contains(error)).collect::<Vec<_>>());
                drop_echoes(&mut all);
                return Err(WorkerConfigError::Invalid(ConfigErrors(all)));
            }
        };
        let typed = |parsed: &ParsedConfig| -> Result<Self, ConfigError> {
            Ok(Self {
                bootstrap_servers: parsed.get("bootstrap.servers")?,
                key_converter: converter("key.converter", parsed, settings)?,
                value_converter: converter("value.converter", parsed, settings)?,
                header_converter: converter("header.converter", parsed, settings)?,
                task_shutdown_graceful_timeout: parsed.get("task.shutdown.graceful.timeout.ms")?,
                offset_flush_interval: parsed.get("offset.flush.interval.ms")?,
                offset_flush_timeout: parsed.get("offset.flush.timeout.ms")?,
                plugin_path: plugin_path(parsed)?,
                exec_allowed: parsed.get("exec.allowed")?,
                override_policy,
                topic_creation: parsed.get("topic.creation.enable")?,
                topic_tracking: parsed.get("topic.tracking.enable")?,
                topic_tracking_reset: parsed.get("topic.tracking.allow.reset")?,
                metric_windows: metric_windows(parsed)?,
                client_figures_interval: parsed.get("metrics.clients.interval.ms")?,
                auto_restart: auto_restart(parsed)?,
                rest: rest.clone(),
                providers: providers.clone(),
                originals: WorkerOriginals(settings.clone()),
                notes: notes(settings, missing, mode),
                values: printed(parsed),
            })
        };
        let worker = typed(&parsed).map_err(invalid)?;
        Ok((worker, parsed))
    }
}

/// Says with what is wrong with a setting which of its references could not be replaced.
fn tell_missing(error: WorkerConfigError, resolved: &Resolved) -> WorkerConfigError {
    let WorkerConfigError::Invalid(ConfigErrors(errors)) = error else { return error };
    let told = errors.into_iter().map(|error| match resolved.missing_in(error.key()) {
        Some(missing) => ConfigError::message(error.key(), format!("{error} {missing}")),
        None => error,
    });
    WorkerConfigError::Invalid(ConfigErrors(told.collect()))
}

/// A text that is no number leaves its setting without a value, which its bounds are against, too: that second message
/// about one mistake helps nobody.
fn drop_echoes(errors: &mut Vec<ConfigError>) {
    let all = errors.clone();
    errors.retain(|error| match error {
        ConfigError::Invalid { key, value, .. } if value == "null" => {
            !all.iter().any(|other| other != error && other.key() == key)
        }
        ConfigError::Invalid { .. }
        | ConfigError::Missing { .. }
        | ConfigError::Message { .. }
        | ConfigError::Undefined { .. }
        | ConfigError::WrongType { .. } => true,
    });
}

fn converter(key: &str, parsed: &ParsedConfig, settings: &Settings) -> Result<ConverterConfig, ConfigError> {
    let prefix = format!("{key}.");
    let below = settings.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(&prefix)?;
        (name != "plugin.version").then(|| (name.to_owned(), value.clone()))
    });
    Ok(ConverterConfig { class: parsed.get(key)?, settings: below.collect() })
}

fn auto_restart(parsed: &ParsedConfig) -> Result<RestartPolicy, ConfigError> {
    Ok(RestartPolicy {
        enabled: parsed.get("auto.restart.enable")?,
        restarts_max: u32::try_from(parsed.get::<i32>("auto.restart.max.restarts")?).ok(),
        unit: parsed.get("auto.restart.backoff.ms")?,
        longest: parsed.get("auto.restart.backoff.max.ms")?,
    })
}

fn metric_windows(parsed: &ParsedConfig) -> Result<Windows, ConfigError> {
    Ok(Windows { length: parsed.get("metrics.sample.window.ms")?, count: parsed.get("metrics.num.samples")? })
}

fn plugin_path(parsed: &ParsedConfig) -> Result<Vec<PathBuf>, ConfigError> {
    let entries = parsed.get::<Option<Vec<String>>>("plugin.path")?.unwrap_or_default();
    Ok(entries.into_iter().filter(|entry| !entry.is_empty()).map(PathBuf::from).collect())
}

/// Every setting as Java prints it: `null` for none, lists in brackets, secrets hidden.
fn printed(parsed: &ParsedConfig) -> Vec<(String, String)> {
    let mut values: Vec<_> = parsed
        .java_values()
        .map(|(name, value)| {
            let value =
                if keys::is_secret(name) && value != "null" { Password::HIDDEN.to_owned() } else { value };
            (name.to_owned(), value)
        })
        .collect();
    values.sort();
    values
}

/// What a person should know at start about settings that do nothing, or not what they seem to.
fn notes(settings: &Settings, missing: &[Missing], mode: Mode) -> Vec<String> {
    let missing = missing.iter().filter(|missing| missing.has_provider);
    let mut notes: Vec<_> =
        missing.map(|missing| format!("In the setting {}, {missing}", missing.setting)).collect();
    let internal = ["internal.key.converter", "internal.value.converter"];
    let removed: Vec<&str> = settings
        .keys()
        .map(String::as_str)
        .filter(|key| internal.iter().any(|prefix| key.starts_with(prefix)))
        .collect();
    if !removed.is_empty() {
        notes.push(format!(
            "The settings {} are ignored: internal data is always JSON without schemas. Remove them.",
            removed.join(", ")
        ));
    }
    for entry in keys::all().iter().filter(|entry| entry.modes.include(mode)) {
        if let Support::Recognised(instead) = entry.support
            && settings.get(&entry.key.name).is_some_and(|value| {
                !value.trim().is_empty() && Some(value.trim()) != entry.key.default_text()
            })
        {
            notes.push(format!("{} has no effect here: {instead}", entry.key.name));
        }
    }
    if let Some(warning) = unknown::warning(settings) {
        notes.push(warning);
    }
    notes
}

/// The folders of `plugin.path` that hold `.jar` files, directly or one level below. Looks at the disk; called once
/// at start for the warning that plug-ins for the JVM are not loaded. What cannot be read is passed over.
#[must_use]
pub fn jar_folders(plugin_path: &[PathBuf]) -> Vec<PathBuf> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let is_jar = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "jar");
    let holds_jars = |folder: &PathBuf| {
        let inside = entries(folder);
        is_jar(folder)
            || inside.iter().any(is_jar)
            || inside.iter().any(|below| entries(below).iter().any(is_jar))
    };
    plugin_path.iter().filter(|folder| holds_jars(folder)).cloned().collect()
}

#[cfg(test)]
mod tests;
