//! Settings that name a class, and the settings of the converters so named.

use super::{Outcome, ValidationStep, below, no_such_version};
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigError, ConfigKey, ConfigValue};
use crate::api::converter::{ConverterRole, ConverterRoles};
use crate::api::registry::Registry;
use crate::connector::plugin_version::VersionRange;

/// The keys of converters in the order in which they are listed.
const CONVERTERS: [(&str, ConverterRole); 3] =
    [("header", ConverterRole::Header), ("key", ConverterRole::Key), ("value", ConverterRole::Value)];

/// Checks a setting that names a class or its version: the class must be there, and be of the right kind. A class
/// that is there is shown by its full name.
pub(super) fn check_class(registry: &Registry, settings: &Settings, value: &mut ConfigValue) {
    let Some(text) = value.value.clone() else { return };
    let name = value.name.clone();
    let refuse = |value: &mut ConfigValue, message: String| {
        value.value = None;
        value.errors.push(ConfigError::invalid(&name, &text, message).to_string());
    };
    for (kind, role) in CONVERTERS {
        let key = format!("{kind}.converter");
        if name == key {
            match registry.converter(&text) {
                None => refuse(value, format!("Class {text} could not be found.")),
                Some(plugin) if role == ConverterRole::Header || plugin.roles() == ConverterRoles::All => {
                    value.value = Some(plugin.class().to_owned());
                }
                Some(_) => refuse(value, format!("Class {text} does not implement the Converter interface")),
            }
        } else if name.strip_suffix(".plugin.version") == Some(key.as_str()) {
            check_version(registry, settings, &key, value);
        }
    }
}

fn check_version(registry: &Registry, settings: &Settings, converter: &str, value: &mut ConfigValue) {
    let Some(wanted) = settings.get(&value.name) else { return };
    let class = settings.get(converter).and_then(|class| registry.converter(class));
    match (VersionRange::parse(wanted), class) {
        (Err(error), _) => value.errors.push(error.to_string()),
        (Ok(range), Some(plugin)) if !range.contains(plugin.version()) => {
            value.errors.push(no_such_version(plugin.class(), plugin.version(), &range));
        }
        (Ok(_), _) => {}
    }
}

/// Checks the settings of the converters that the connector names itself.
pub(super) fn check_converters(
    registry: &Registry,
    settings: &Settings,
    notice: &dyn Fn(ValidationStep),
    outcome: &mut Outcome,
) {
    for (kind, _) in CONVERTERS {
        let key = format!("{kind}.converter");
        let Some(plugin) = settings.get(&key).and_then(|class| registry.converter(class)) else { continue };
        notice(ValidationStep::CheckingConverter(kind));
        let prefix = format!("{key}.");
        let def = plugin.config_def();
        let mut own = below(settings, &prefix);
        own.insert("converter.type".to_owned(), kind.to_owned());
        let mut values = def.validate(&own);
        for value in &mut values {
            value.name.insert_str(0, &prefix);
        }
        let keys = def.keys().map(|key| ConfigKey { name: format!("{prefix}{}", key.name), ..key.clone() });
        outcome.add_counting_keys(&ConfigDef::new().define_all(keys), values);
    }
}
