//! What is wrong with the settings of a connector: the answer of `PUT /connector-plugins/…/config/validate`, and what
//! has to be right before settings are stored.
//!
//! A validation runs the code of the connector's plug-in, so it belongs on a thread of a pool, never on the tick
//! thread. Order, counting and texts are those of Apache, because clients show and compare them.

mod alias_lists;
mod aliased;
pub mod auto_restart;
mod class_keys;
mod exactly_once;
mod framework;
mod framework_def;
mod overrides;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use super::plugin_version::{VersionError, VersionRange};
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigError, ConfigKey, ConfigValue, Password};
use crate::api::registry::{ConnectorClass, Registry};
use crate::config::override_policy::OverridePolicy;
use crate::config::providers::{ConfigProviders, ProviderError, Resolved};

/// Settings as a user sent them: a name can stand there with no value.
pub type Draft = IndexMap<String, Option<String>>;

pub use crate::config::client::ClientKind;

/// Says which settings for a client, prefix stripped, cannot be kept by the clients of this worker, and why.
pub type ClientCheck = Arc<dyn Fn(ClientKind, &Settings) -> Vec<ConfigError> + Send + Sync>;

/// The converter classes of the worker, for connectors that name none of their own.
#[derive(Debug, Clone)]
pub struct WorkerConverters {
    /// `key.converter`.
    pub key: String,
    /// `value.converter`.
    pub value: String,
    /// `header.converter`.
    pub header: String,
}

/// What a validation goes by beyond the settings themselves.
#[derive(Clone)]
pub struct ValidationContext {
    /// Resolves references in settings.
    pub providers: Arc<ConfigProviders>,
    /// Which client settings a connector may override.
    pub override_policy: OverridePolicy,
    /// Which client settings can be kept.
    pub client_check: ClientCheck,
    /// The converters of the worker.
    pub converters: WorkerConverters,
    /// `topic.creation.enable`: whether `topic.creation.*` of source connectors counts.
    pub topic_creation: bool,
    /// Whether source tasks of this worker write exactly once; `None` in standalone mode, where nobody asks.
    pub exactly_once: Option<bool>,
}

impl fmt::Debug for ValidationContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValidationContext")
            .field("override_policy", &self.override_policy)
            .field("converters", &self.converters)
            .finish_non_exhaustive()
    }
}

/// What a validation is doing, in words that fit after «The worker is currently …».
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValidationStep {
    /// No thread has begun yet.
    AwaitingThread,
    /// Config providers are asked.
    ResolvingReferences,
    /// The plug-in says what settings it takes.
    ReadingDefinition,
    /// The plug-in checks settings.
    RunningConnector,
    /// Overrides for a client are checked.
    CheckingOverrides(ClientKind),
    /// The settings of a converter (`key`, `value` or `header`) are checked.
    CheckingConverter(&'static str),
}

impl fmt::Display for ValidationStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValidationStep::AwaitingThread => {
                f.write_str("waiting for a new thread to become available for connector validation")
            }
            ValidationStep::ResolvingReferences => {
                f.write_str("resolving transformed configuration properties for the connector")
            }
            ValidationStep::ReadingDefinition => {
                f.write_str("retrieving the configuration definition from the connector")
            }
            ValidationStep::RunningConnector => {
                f.write_str("performing multi-property validation for the connector")
            }
            ValidationStep::CheckingOverrides(client) => {
                let client = client.override_prefix().split('.').next().unwrap_or_default();
                write!(f, "validating {client} config overrides for the connector")
            }
            ValidationStep::CheckingConverter(role) => {
                write!(f, "performing config validation for the connector's {role} converter")
            }
        }
    }
}

/// Settings that could not be validated at all.
#[derive(Debug, thiserror::Error)]
pub enum ValidationError {
    /// No class is named.
    #[error("Connector config {0} contains no connector type")]
    NoConnectorType(String),
    /// There is no such class here.
    #[error(
        "Failed to find any class that implements Connector and which name matches {class}, available connectors are: \
         {available}"
    )]
    UnknownClass {
        /// What was asked for.
        class: String,
        /// What there is.
        available: String,
    },
    /// A version is malformed.
    #[error(transparent)]
    Version(VersionError),
    /// A config provider failed.
    #[error("Could not resolve a config provider reference in the connector config: {0}")]
    Provider(ProviderError),
    /// The settings are wrong; one line for each message.
    #[error("{0}")]
    Invalid(String),
}

/// A setting, and what became of it.
#[derive(Debug, Clone)]
pub struct ConfigInfo {
    /// `None` for a setting that nothing defines.
    pub definition: Option<ConfigKey>,
    /// Its value, with what is wrong with it.
    pub value: ConfigValue,
}

/// The outcome of a validation.
#[derive(Debug, Clone)]
pub struct ConfigInfos {
    /// The class as the settings name it.
    pub name: String,
    /// How many things are wrong.
    pub error_count: usize,
    /// The headings of all settings.
    pub groups: Vec<String>,
    /// The settings.
    pub configs: Vec<ConfigInfo>,
}

impl ConfigInfos {
    /// Everything that is wrong, as `POST` and `PUT` say it; `None` if nothing is.
    pub fn complaint(&self) -> Option<String> {
        if self.error_count == 0 {
            return None;
        }
        let mut text = format!(
            "Connector configuration is invalid and contains the following {} error(s):",
            self.error_count
        );
        for error in self.configs.iter().flat_map(|info| &info.value.errors) {
            text.push('\n');
            text.push_str(error);
        }
        text.push_str(
            "\nYou can also find the above list of errors at the endpoint \
             `/connector-plugins/{connectorType}/config/validate`",
        );
        Some(text)
    }
}

/// Checks settings of connectors. Shared by all threads.
#[derive(Debug)]
pub struct Validator {
    registry: Arc<Registry>,
    context: ValidationContext,
}

impl Validator {
    /// Of a worker with these plug-ins.
    pub fn new(registry: Arc<Registry>, context: ValidationContext) -> Self {
        Validator { registry, context }
    }

    /// The plug-ins of the worker.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Checks settings and gives them back for storing: references unresolved. The error is a client's mistake.
    pub fn check(&self, draft: &Draft) -> Result<Settings, ValidationError> {
        match self.validate(draft, &|_step| ())?.complaint() {
            Some(complaint) => Err(ValidationError::Invalid(complaint)),
            None => Ok(given(draft)),
        }
    }

    /// Checks settings; what is wrong with single ones is in the result. `notice` is told each step before it begins.
    pub fn validate(
        &self,
        draft: &Draft,
        notice: &dyn Fn(ValidationStep),
    ) -> Result<ConfigInfos, ValidationError> {
        notice(ValidationStep::ResolvingReferences);
        let written = given(draft);
        let resolved = self.context.providers.resolve_all(&written).map_err(ValidationError::Provider)?;
        alias_lists::check_given(&written, &resolved.settings)?;
        match self.validate_resolved(draft, &resolved.settings, notice) {
            Ok(infos) => Ok(as_written(infos, &written, &resolved)),
            Err(error) => Err(match (resolved.veil(), resolved.missing_in("connector.class")) {
                (None, None) => error,
                (veil, missing) => {
                    let text = veil.map_or_else(|| error.to_string(), |veil| veil.hide(&error.to_string()));
                    let missing = missing.map_or_else(String::new, |missing| format!(" {missing}"));
                    ValidationError::Invalid(text + &missing)
                }
            }),
        }
    }

    fn validate_resolved(
        &self,
        draft: &Draft,
        settings: &Settings,
        notice: &dyn Fn(ValidationStep),
    ) -> Result<ConfigInfos, ValidationError> {
        let name = settings
            .get("connector.class")
            .ok_or_else(|| ValidationError::NoConnectorType(java_map(draft)))?;
        let class = self.registry.connector(name).ok_or_else(|| self.unknown_class(name))?;
        let mut outcome = Outcome::default();
        let wanted = settings.get("connector.plugin.version").map_or("", String::as_str);
        let version = VersionRange::parse(wanted).map_err(ValidationError::Version)?;
        framework::check(self, class, settings, &mut outcome);
        let here = class.plugin().version();
        if version.contains(here) {
            notice(ValidationStep::ReadingDefinition);
            let def = class.plugin().config_def();
            notice(ValidationStep::RunningConnector);
            let mut values = def.validate(settings);
            class.plugin().validate(settings, &mut values);
            outcome.add(&def, values);
            outcome.count_messages();
            overrides::check(&self.context, class, settings, notice, &mut outcome);
            class_keys::check_converters(&self.registry, settings, notice, &mut outcome);
        } else {
            let text = no_such_version(class.plugin().class(), here, &version);
            // Apache finds it twice.
            outcome.complain("connector.plugin.version", [text.clone(), text]);
            outcome.count_messages();
        }
        for (key, _) in draft.iter().filter(|(_, value)| value.is_none()) {
            outcome.complain(key, ["Null value can not be supplied as the configuration value.".to_owned()]);
            outcome.error_count += 1;
        }
        Ok(outcome.into_infos(name.clone()))
    }

    /// Class, version and settings of a plug-in as `GET /connector-plugins/P/config` lists them; `None` if there is no
    /// such plug-in.
    pub fn plugin_def(&self, plugin: &str) -> Option<(&'static str, &'static str, ConfigDef)> {
        if let Some(class) = self.registry.connector(plugin) {
            let own = class.plugin().config_def();
            let framework = framework::base_def(class);
            let others = framework.keys().filter(|key| own.key(&key.name).is_none()).cloned();
            let def = own.clone().define_all(others);
            return Some((class.plugin().class(), class.plugin().version(), def));
        }
        let registry = &self.registry;
        let converter = registry.converter(plugin).map(|it| (it.class(), it.version(), it.config_def()));
        let transform = || registry.transform(plugin).map(|it| (it.class(), it.version(), it.config_def()));
        let predicate = || registry.predicate(plugin).map(|it| (it.class(), it.version(), it.config_def()));
        converter.or_else(transform).or_else(predicate)
    }

    fn unknown_class(&self, class: &str) -> ValidationError {
        let available: Vec<&str> = self.registry.connectors().map(|class| class.plugin().class()).collect();
        ValidationError::UnknownClass { class: class.to_owned(), available: available.join(", ") }
    }
}

/// The text for a plug-in that has another version than is wanted.
pub fn no_such_version(class: &str, here: &str, wanted: &VersionRange) -> String {
    format!("Plugin {class} not found that matches the version range {wanted}, available versions: [{here}]")
}

/// Definitions and values on their way to a result.
#[derive(Debug, Default)]
struct Outcome {
    error_count: usize,
    groups: IndexSet<String>,
    keys: IndexMap<String, ConfigKey>,
    values: IndexMap<String, ConfigValue>,
}

impl Outcome {
    /// Takes in definitions with their values; those of the same name are replaced where they stand.
    fn add(&mut self, def: &ConfigDef, values: Vec<ConfigValue>) {
        self.groups.extend(def.groups().into_iter().map(str::to_owned));
        self.keys.extend(def.keys().map(|key| (key.name.clone(), key.clone())));
        self.values.extend(values.into_iter().map(|value| (value.name.clone(), value)));
    }

    /// Adds messages about a setting, whether or not it is defined.
    fn complain(&mut self, key: &str, messages: impl IntoIterator<Item = String>) {
        let value = self.values.entry(key.to_owned()).or_insert_with(|| undefined(key, None));
        value.errors.extend(messages);
    }

    /// Counts every message so far.
    fn count_messages(&mut self) {
        self.error_count = self.values.values().map(|value| value.errors.len()).sum();
    }

    /// Takes in values that count once each if anything is wrong with them.
    fn add_counting_keys(&mut self, def: &ConfigDef, values: Vec<ConfigValue>) {
        self.error_count += values.iter().filter(|value| !value.errors.is_empty()).count();
        self.add(def, values);
    }

    fn into_infos(mut self, name: String) -> ConfigInfos {
        let mut configs = Vec::with_capacity(self.values.len());
        let (known, unknown): (Vec<_>, Vec<_>) =
            self.values.into_iter().partition(|(name, _)| self.keys.contains_key(name));
        configs.extend(unknown.into_iter().map(|(_, value)| ConfigInfo { definition: None, value }));
        let known = known.into_iter().map(|(name, value)| {
            let definition = self.keys.swap_remove(&name);
            ConfigInfo { definition, value }
        });
        configs.extend(known);
        let groups = self.groups.into_iter().collect();
        ConfigInfos { name, error_count: self.error_count, groups, configs }
    }
}

/// What is shown of a validation: settings as they were written, and messages without what config providers gave, which
/// may be secrets. What is wrong may come of a reference that could not be replaced, so that is told with it.
fn as_written(mut infos: ConfigInfos, written: &Settings, resolved: &Resolved) -> ConfigInfos {
    let veil = resolved.veil();
    if let Some(class) = written.get("connector.class") {
        infos.name.clone_from(class);
    }
    for value in infos.configs.iter_mut().map(|info| &mut info.value) {
        if let (Some(text), Some(shown)) = (written.get(&value.name), &mut value.value)
            && resolved.settings.get(&value.name) != Some(text)
            && shown != Password::HIDDEN
        {
            shown.clone_from(text);
        }
        if let Some(veil) = &veil {
            value.errors.iter_mut().for_each(|error| *error = veil.hide(error));
        }
        if let (Some(error), Some(missing)) = (value.errors.first_mut(), resolved.missing_in(&value.name)) {
            *error = format!("{error} {missing}");
        }
    }
    infos
}

/// A value that nothing defines.
fn undefined(name: &str, value: Option<&str>) -> ConfigValue {
    ConfigValue {
        name: name.to_owned(),
        value: value.map(str::to_owned),
        recommended_values: Vec::new(),
        errors: Vec::new(),
        visible: true,
    }
}

/// The settings that have a value.
fn given(draft: &Draft) -> Settings {
    draft.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect()
}

/// The settings below a prefix, without it.
fn below(settings: &Settings, prefix: &str) -> Settings {
    let below = settings.iter().filter_map(|(key, value)| Some((key.strip_prefix(prefix)?, value)));
    below.map(|(key, value)| (key.to_owned(), value.clone())).collect()
}

/// A map as Java prints it.
fn java_map(draft: &Draft) -> String {
    let entries = draft.iter().map(|(key, value)| format!("{key}={}", value.as_deref().unwrap_or("null")));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
}

/// Whether a sink has a dead letter queue.
fn has_dead_letter_queue(class: &ConnectorClass, settings: &Settings) -> bool {
    let topic = settings.get("errors.deadletterqueue.topic.name");
    matches!(class, ConnectorClass::Sink(_)) && topic.is_some_and(|topic| !topic.trim().is_empty())
}
