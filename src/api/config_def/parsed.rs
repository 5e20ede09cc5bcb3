//! From texts to typed values: once for use ([`ParsedConfig`]), once for the REST API ([`ConfigValue`]).

use std::time::Duration;

use indexmap::IndexMap;

use super::super::Settings;

use super::{ConfigDef, ConfigError, ConfigErrors, ConfigKey, ConfigType, Default, Password, TypedValue};

/// What a setting would be, as `PUT /connector-plugins/{plugin}/config/validate` answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigValue {
    /// The setting.
    pub name: String,
    /// The value as text; none if it is not set or cannot be read. Secrets are `[hidden]`.
    pub value: Option<String>,
    /// Values to offer.
    pub recommended_values: Vec<String>,
    /// Whole messages, in the order in which they were found.
    pub errors: Vec<String>,
    /// Whether a user interface shows it.
    pub visible: bool,
}

/// Settings with their types. Every defined setting is in here, a missing one with its default.
#[derive(Debug, Clone)]
pub struct ParsedConfig {
    values: IndexMap<String, (ConfigType, Option<TypedValue>)>,
}

impl ParsedConfig {
    /// The value of `name` as the Rust type that the caller wants; `Option<T>` where the setting may have no value.
    ///
    /// # Errors
    /// The setting has no definition or another type, or has no value although `T` needs one, or does not fit into
    /// `T` (a negative [`Duration`]).
    pub fn get<T: FromConfig>(&self, name: &str) -> Result<T, ConfigError> {
        let Some((config_type, value)) = self.values.get(name) else {
            return Err(ConfigError::Undefined { key: name.to_owned() });
        };
        T::from_config(value.as_ref()).map_err(|refusal| match refusal {
            Refusal::Null => ConfigError::invalid(name, "null", "Value must be non-null"),
            Refusal::OutOfRange(value, message) => ConfigError::invalid(name, &value, message),
            Refusal::Type(wanted) => {
                ConfigError::WrongType { key: name.to_owned(), defined: config_type.to_string(), wanted }
            }
        })
    }

    /// A text; an empty one counts as not given.
    ///
    /// # Errors
    /// Those of [`ParsedConfig::get`].
    pub fn text(&self, name: &str) -> Result<Option<String>, ConfigError> {
        Ok(self.get::<Option<String>>(name)?.filter(|text| !text.is_empty()))
    }

    /// All settings in the order of their definition, with their values as text (secrets hidden).
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<String>)> {
        self.values
            .iter()
            .map(|(name, (_, value))| (name.as_str(), value.as_ref().map(TypedValue::to_string)))
    }

    /// Likewise, with values as Java logs them: `null` for none, lists in brackets.
    pub fn java_values(&self) -> impl Iterator<Item = (&str, String)> {
        self.values.iter().map(|(name, (_, value))| {
            (name.as_str(), value.as_ref().map_or_else(|| "null".to_owned(), java_text))
        })
    }
}

/// Why a value cannot be read as the type that was asked for.
pub enum Refusal {
    /// There is no value.
    Null,
    /// The value, and what is wrong with it.
    OutOfRange(String, &'static str),
    /// The Rust type that was asked for.
    Type(&'static str),
}

/// A Rust type that a setting can be read as.
pub trait FromConfig: Sized {
    /// Converts a value; `None` is a setting without one.
    ///
    /// # Errors
    /// Why it cannot be converted; [`ParsedConfig::get`] makes the message.
    fn from_config(value: Option<&TypedValue>) -> Result<Self, Refusal>;
}

impl<T: FromConfig> FromConfig for Option<T> {
    fn from_config(value: Option<&TypedValue>) -> Result<Self, Refusal> {
        value.map(|value| T::from_config(Some(value))).transpose()
    }
}

macro_rules! from_config {
    ($($target:ty: $($variant:ident)|+;)+) => {$(
        impl FromConfig for $target {
            fn from_config(value: Option<&TypedValue>) -> Result<Self, Refusal> {
                match value {
                    None => Err(Refusal::Null),
                    $(Some(TypedValue::$variant(value)) => Ok(value.clone()),)+
                    Some(_) => Err(Refusal::Type(stringify!($target))),
                }
            }
        }
    )+};
}

from_config! {
    bool: Boolean;
    String: String | Class;
    i16: Short;
    i32: Int;
    i64: Long;
    f64: Double;
    Vec<String>: List;
    Password: Password;
}

/// An `INT` or `LONG` of milliseconds.
impl FromConfig for Duration {
    fn from_config(value: Option<&TypedValue>) -> Result<Self, Refusal> {
        let value = value.ok_or(Refusal::Null)?;
        let milliseconds = value.as_integer().ok_or(Refusal::Type("Duration"))?;
        let milliseconds = u64::try_from(milliseconds)
            .map_err(|_| Refusal::OutOfRange(value.to_string(), "Value must be at least 0"))?;
        Ok(Duration::from_millis(milliseconds))
    }
}

/// An `INT` that counts something or gives a size in bytes.
impl FromConfig for usize {
    fn from_config(value: Option<&TypedValue>) -> Result<Self, Refusal> {
        let value = value.ok_or(Refusal::Null)?;
        let count = value.as_integer().ok_or(Refusal::Type("usize"))?;
        usize::try_from(count).map_err(|_| Refusal::OutOfRange(value.to_string(), "Value must be at least 0"))
    }
}

pub(super) fn parse(def: &ConfigDef, config: &Settings) -> Result<ParsedConfig, ConfigErrors> {
    let mut errors = Vec::new();
    let values = def
        .keys()
        .map(|key| {
            let (value, found) = evaluate(key, config.get(&key.name).map(String::as_str));
            errors.extend(found);
            (key.name.clone(), (key.config_type, value))
        })
        .collect();
    if errors.is_empty() { Ok(ParsedConfig { values }) } else { Err(ConfigErrors(errors)) }
}

pub(super) fn validate(def: &ConfigDef, config: &Settings) -> Vec<ConfigValue> {
    def.keys()
        .map(|key| {
            let (value, errors) = evaluate(key, config.get(&key.name).map(String::as_str));
            ConfigValue {
                name: key.name.clone(),
                value: value.as_ref().map(TypedValue::to_string),
                recommended_values: key.recommended_values.clone(),
                errors: errors.iter().map(ConfigError::to_string).collect(),
                visible: true,
            }
        })
        .collect()
}

/// The value of one setting and what is wrong with it. A value that cannot be read counts as none for the
/// validator, which may then complain, too: this is how Apache counts two errors for `tasks.max=zero`.
fn evaluate(key: &ConfigKey, text: Option<&str>) -> (Option<TypedValue>, Vec<ConfigError>) {
    let mut errors = Vec::new();
    let text = text.or(match &key.default {
        Default::Required => {
            errors.extend(text.is_none().then(|| ConfigError::Missing { key: key.name.clone() }));
            None
        }
        Default::Null => None,
        Default::Text(default) => Some(default),
    });
    let shown = |text: &str| match key.config_type {
        ConfigType::Password => Password::HIDDEN.to_owned(),
        ConfigType::Boolean
        | ConfigType::String
        | ConfigType::Int
        | ConfigType::Short
        | ConfigType::Long
        | ConfigType::Double
        | ConfigType::List
        | ConfigType::Class => text.to_owned(),
    };
    let value = text.and_then(|text| match TypedValue::parse(key.config_type, text) {
        Ok(value) => Some(value),
        Err(message) => {
            errors.push(ConfigError::invalid(&key.name, &shown(text), message));
            None
        }
    });
    if let Some(validator) = &key.validator {
        let shown = value.as_ref().map_or_else(|| "null".to_owned(), java_text);
        let name = key.own_name.as_ref().unwrap_or(&key.name);
        errors.extend(validator.complaint(name, value.as_ref(), &shown));
    }
    (value, errors)
}

/// A value as Java prints it inside a message: lists in brackets.
fn java_text(value: &TypedValue) -> String {
    match value {
        TypedValue::List(items) => format!("[{}]", items.join(", ")),
        TypedValue::Boolean(_)
        | TypedValue::String(_)
        | TypedValue::Int(_)
        | TypedValue::Short(_)
        | TypedValue::Long(_)
        | TypedValue::Double(_)
        | TypedValue::Class(_)
        | TypedValue::Password(_) => value.to_string(),
    }
}
