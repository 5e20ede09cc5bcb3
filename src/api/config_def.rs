//! The settings of a plug-in: what they are called, which values they take, and what they mean.
//!
//! A [`ConfigDef`] is written once and feeds everything that has to know about settings: typed parsing, the answer
//! of `PUT /connector-plugins/{plugin}/config/validate`, and the generated reference pages.
//!
//! ```
//! use herdsman::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance};
//! use herdsman::api::Settings;
//!
//! let def = ConfigDef::new()
//!     .define(ConfigKey::required("topic", ConfigType::String, Importance::High, "Where lines go."))
//!     .define(ConfigKey::new("batch.size", ConfigType::Int, Importance::Low, "Lines a poll.").default("2000").at_least(1));
//!
//! let config = Settings::from_iter([("topic".to_owned(), "lines".to_owned())]);
//! let parsed = def.parse(&config)?;
//! assert_eq!(parsed.get::<String>("topic")?, "lines");
//! assert_eq!(parsed.get::<i32>("batch.size")?, 2000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod parsed;
mod validator;
mod value;

use std::fmt;

use indexmap::IndexMap;

use super::Settings;
use super::error::ConnectError;

pub use parsed::{ConfigValue, FromConfig, ParsedConfig};
pub use validator::Validator;
pub use value::{Password, TypedValue};

/// The type of a setting; its `Display` is the name that the REST API gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConfigType {
    /// `true` or `false`, in any case.
    Boolean,
    /// Any text; blanks around it are dropped.
    String,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 16 bits.
    Short,
    /// A whole number of 64 bits.
    Long,
    /// A floating-point number of 64 bits.
    Double,
    /// Texts separated by commas; an empty text is an empty list.
    List,
    /// A Java class name or a plug-in alias. Whether it exists is for the plug-in registry to say.
    Class,
    /// A secret: shown as `[hidden]` wherever it is printed.
    Password,
}

impl fmt::Display for ConfigType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConfigType::Boolean => "BOOLEAN",
            ConfigType::String => "STRING",
            ConfigType::Int => "INT",
            ConfigType::Short => "SHORT",
            ConfigType::Long => "LONG",
            ConfigType::Double => "DOUBLE",
            ConfigType::List => "LIST",
            ConfigType::Class => "CLASS",
            ConfigType::Password => "PASSWORD",
        })
    }
}

/// How much a setting matters to a person who sets up a connector; what matters most comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Importance {
    /// Must be looked at.
    High,
    /// Worth a look.
    Medium,
    /// Can be left alone.
    Low,
}

impl fmt::Display for Importance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Importance::High => "HIGH",
            Importance::Medium => "MEDIUM",
            Importance::Low => "LOW",
        })
    }
}

/// The width of a setting's field in a user interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// Not said.
    None,
    /// A number or a word.
    Short,
    /// A name.
    Medium,
    /// A list or a class name.
    Long,
}

impl fmt::Display for Width {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Width::None => "NONE",
            Width::Short => "SHORT",
            Width::Medium => "MEDIUM",
            Width::Long => "LONG",
        })
    }
}

/// What happens when a setting is not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Default {
    /// It must be given.
    Required,
    /// It has no value (Java's null).
    Null,
    /// It has this value, written as in a properties file.
    Text(String),
}

/// One setting.
#[derive(Debug, Clone)]
pub struct ConfigKey {
    /// The name, as in a properties file.
    pub name: String,
    /// How its text is read.
    pub config_type: ConfigType,
    /// Its value when it is not given.
    pub default: Default,
    /// What its value must satisfy beyond its type.
    pub validator: Option<Validator>,
    /// How much it matters.
    pub importance: Importance,
    /// What it does, in words.
    pub documentation: String,
    /// The heading under which user interfaces show it.
    pub group: Option<String>,
    /// The position under that heading; -1 without one.
    pub order_in_group: i32,
    /// The width of its field.
    pub width: Width,
    /// What user interfaces call it.
    pub display_name: String,
    /// Settings whose meaning depends on this one.
    pub dependents: Vec<String>,
    /// Values to offer.
    pub recommended_values: Vec<String>,
    /// The name that the plug-in itself gave it, where it stands below a prefix: what a validator complains about.
    pub own_name: Option<String>,
}

impl ConfigKey {
    /// A setting that may be left out and then has no value, unless [`ConfigKey::default`] gives it one.
    #[must_use]
    pub fn new(name: &str, config_type: ConfigType, importance: Importance, documentation: &str) -> Self {
        Self {
            name: name.to_owned(),
            config_type,
            default: Default::Null,
            validator: None,
            importance,
            documentation: documentation.to_owned(),
            group: None,
            order_in_group: -1,
            width: Width::None,
            display_name: name.to_owned(),
            dependents: Vec::new(),
            recommended_values: Vec::new(),
            own_name: None,
        }
    }

    /// A setting that must be given.
    #[must_use]
    pub fn required(
        name: &str,
        config_type: ConfigType,
        importance: Importance,
        documentation: &str,
    ) -> Self {
        Self { default: Default::Required, ..Self::new(name, config_type, importance, documentation) }
    }

    /// The value when it is not given, written as in a properties file.
    #[must_use]
    pub fn default(mut self, text: &str) -> Self {
        self.default = Default::Text(text.to_owned());
        self
    }

    /// Like [`ConfigKey::default`], where the default itself may be missing.
    #[must_use]
    pub fn default_or_null(mut self, text: Option<&str>) -> Self {
        self.default = text.map_or(Default::Null, |text| Default::Text(text.to_owned()));
        self
    }

    /// What the value must satisfy.
    #[must_use]
    pub fn validator(mut self, validator: Validator) -> Self {
        self.validator = Some(validator);
        self
    }

    /// A number that must not be below `min`.
    #[must_use]
    pub fn at_least(self, min: i64) -> Self {
        self.validator(Validator::AtLeast(min))
    }

    /// A text that must be one of `choices`, written exactly so.
    #[must_use]
    pub fn one_of(self, choices: &[&str]) -> Self {
        self.validator(Validator::OneOf(choices.iter().map(|&choice| choice.to_owned()).collect()))
    }

    /// Where user interfaces show it: heading, position, width and the name shown.
    #[must_use]
    pub fn shown(mut self, group: &str, order_in_group: i32, width: Width, display_name: &str) -> Self {
        self.group = Some(group.to_owned());
        self.order_in_group = order_in_group;
        self.width = width;
        self.display_name = display_name.to_owned();
        self
    }

    /// Values to offer.
    #[must_use]
    pub fn recommended(mut self, values: Vec<String>) -> Self {
        self.recommended_values = values;
        self
    }

    /// Settings whose meaning depends on this one.
    #[must_use]
    pub fn dependents(mut self, names: &[&str]) -> Self {
        self.dependents = names.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// Whether it must be given: the REST API's `required`.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.default == Default::Required
    }

    /// The default as the REST API shows it; a secret one is hidden.
    #[must_use]
    pub fn default_text(&self) -> Option<&str> {
        match &self.default {
            Default::Required | Default::Null => None,
            Default::Text(_) if self.config_type == ConfigType::Password => Some(Password::HIDDEN),
            Default::Text(text) => Some(text),
        }
    }
}

/// All settings of one plug-in, in the order in which they were defined.
#[derive(Debug, Clone, std::default::Default)]
pub struct ConfigDef {
    keys: IndexMap<String, ConfigKey>,
}

impl ConfigDef {
    /// No settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a setting; one of the same name is replaced where it stands.
    #[must_use]
    pub fn define(mut self, key: ConfigKey) -> Self {
        self.keys.insert(key.name.clone(), key);
        self
    }

    /// Adds all settings of `keys`, as [`ConfigDef::define`] does.
    #[must_use]
    pub fn define_all(self, keys: impl IntoIterator<Item = ConfigKey>) -> Self {
        keys.into_iter().fold(self, Self::define)
    }

    /// Adds the settings of another plug-in below `prefix`, shown under `group` from position `order` on: by their
    /// positions, those that must be given first, then by importance and name.
    #[must_use]
    pub fn embed(self, prefix: &str, group: &str, order: i32, inner: &ConfigDef) -> Self {
        let mut keys: Vec<&ConfigKey> = inner.keys().collect();
        keys.sort_by_key(|key| (key.order_in_group, !key.is_required(), key.importance, &key.name));
        self.define_all((order..).zip(keys).map(|(order, key)| ConfigKey {
            name: format!("{prefix}{}", key.name),
            own_name: Some(key.own_name.as_ref().unwrap_or(&key.name).clone()),
            group: Some(match key.group.as_deref() {
                None | Some("") => group.to_owned(),
                Some(inner) => format!("{group}: {inner}"),
            }),
            order_in_group: order,
            dependents: key.dependents.iter().map(|name| format!("{prefix}{name}")).collect(),
            ..key.clone()
        }))
    }

    /// The settings in their order.
    pub fn keys(&self) -> impl Iterator<Item = &ConfigKey> {
        self.keys.values()
    }

    /// One setting by name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&ConfigKey> {
        self.keys.get(name)
    }

    /// The headings in the order of their first use.
    #[must_use]
    pub fn groups(&self) -> Vec<&str> {
        let mut groups = Vec::new();
        for group in self.keys().filter_map(|key| key.group.as_deref()) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }

    /// Reads every defined setting from `config`; settings without a definition are left alone.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first.
    pub fn parse(&self, config: &Settings) -> Result<ParsedConfig, ConfigErrors> {
        parsed::parse(self, config)
    }

    /// What each defined setting would be, with the messages about it: the REST API's validation.
    #[must_use]
    pub fn validate(&self, config: &Settings) -> Vec<ConfigValue> {
        parsed::validate(self, config)
    }
}

/// What is wrong with one setting. The texts are those of Apache Kafka, because clients compare them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It must be given and is not.
    #[error("Missing required configuration \"{key}\" which has no default value.")]
    Missing {
        /// The setting.
        key: String,
    },
    /// Its value cannot be used.
    #[error("Invalid value {value} for configuration {key}: {message}")]
    Invalid {
        /// The setting.
        key: String,
        /// The value as written, `[hidden]` for a secret, `null` if there is none.
        value: String,
        /// What is wrong with it.
        message: String,
    },
    /// Something about it together with other settings.
    #[error("{message}")]
    Message {
        /// The setting to which the message is attached.
        key: String,
        /// The whole message.
        message: String,
    },
    /// Plug-in code asked for a setting that its definition does not have.
    #[error("Unknown configuration '{key}'")]
    Undefined {
        /// The name asked for.
        key: String,
    },
    /// Plug-in code asked for a setting with another type than its definition gives.
    #[error("configuration {key} is of type {defined} and cannot be read as {wanted}")]
    WrongType {
        /// The setting.
        key: String,
        /// Its type.
        defined: String,
        /// The Rust type asked for.
        wanted: &'static str,
    },
}

impl ConfigError {
    /// The setting that the message is about.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            ConfigError::Missing { key }
            | ConfigError::Invalid { key, .. }
            | ConfigError::Message { key, .. }
            | ConfigError::Undefined { key }
            | ConfigError::WrongType { key, .. } => key,
        }
    }

    pub(crate) fn invalid(key: &str, value: &str, message: impl Into<String>) -> Self {
        Self::Invalid { key: key.to_owned(), value: value.to_owned(), message: message.into() }
    }

    pub(crate) fn message(key: &str, message: impl Into<String>) -> Self {
        Self::Message { key: key.to_owned(), message: message.into() }
    }
}

/// Everything that is wrong with a configuration: at least one error, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// An error of the kind `Config`, so that plug-ins can say `?`.
impl From<ConfigErrors> for ConnectError {
    fn from(errors: ConfigErrors) -> Self {
        ConnectError::config(errors.to_string())
    }
}

/// An error of the kind `Config`, so that plug-ins can say `?`.
impl From<ConfigError> for ConnectError {
    fn from(error: ConfigError) -> Self {
        ConnectError::config(error.to_string())
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

#[cfg(test)]
mod tests;
