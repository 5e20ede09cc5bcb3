//! What a class says about itself and its settings.

use std::time::Duration;

use super::instance::within;
use super::report::{Notes, Rule};
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigType, Default};
use crate::api::registry::UNDEFINED_VERSION;

const NAMED: Rule = Rule {
    name: "a class has a full name and a version",
    expected: "a class name with a package, as com.example.Name, without blanks, and a version of its own: users ask for both",
    docs: "herdsman::api::connector::ConnectorPlugin::class and version",
};
const DOCUMENTED: Rule = Rule {
    name: "every setting is documented",
    expected: "a text that says what the setting does: REST, user interfaces and reference pages show it",
    docs: "herdsman::api::config_def::ConfigKey",
};
const SECRETS: Rule = Rule {
    name: "secrets are passwords",
    expected: "the type Password for a setting that is called password or secret, so that nobody prints it",
    docs: "herdsman::api::config_def::ConfigType::Password",
};
const OPTIONAL: Rule = Rule {
    name: "what is not required can be left out",
    expected: "a default that satisfies its own type and validator, or a validator that is Nullable",
    docs: "herdsman::api::config_def::Default",
};
const STEADY: Rule = Rule {
    name: "the settings are always the same",
    expected: "the same settings each time: they are asked for again and again, and shown to users",
    docs: "herdsman::api::connector::ConnectorPlugin::config_def",
};
const GIVEN: Rule = Rule {
    name: "the settings of the check are valid",
    expected: "settings that work: those that the check was given do not satisfy the definition of the class",
    docs: "herdsman::contract",
};

/// A setting that nobody defines; a class has to leave it alone.
pub(super) const UNKNOWN: &str = "herdsman.contract.unknown";

/// Settings of pairs.
pub(super) fn of(pairs: &[(&str, &str)]) -> Settings {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The names of a class and of what it makes, its version, and its settings, asked for twice.
pub(super) type About = (Vec<&'static str>, &'static str, ConfigDef, ConfigDef);

/// Checks what a class says of itself, and that the settings of the author satisfy its definition, which is given.
pub(super) fn check(
    notes: &mut Notes,
    limit: Duration,
    about: impl FnOnce() -> About + Send + 'static,
    settings: &Settings,
) -> Option<ConfigDef> {
    let about = within(limit, about);
    let (classes, version, def, again) = notes.returned("asked for names, version and settings", about)?;
    for class in classes {
        check_names(notes, class, version);
    }
    check_def(notes, &def, &again, settings);
    Some(def)
}

fn check_names(notes: &mut Notes, class: &str, version: &str) {
    let is_full = class.contains('.') && !class.contains(char::is_whitespace) && !class.ends_with('.');
    let has_version = !version.trim().is_empty() && version != UNDEFINED_VERSION;
    notes.expect(is_full && has_version, &NAMED, "asked for class and version", || {
        format!("class «{class}», version «{version}»")
    });
}

fn check_def(notes: &mut Notes, def: &ConfigDef, again: &ConfigDef, settings: &Settings) {
    let did = "read the definition of the settings";
    for key in def.keys() {
        let name = &key.name;
        notes.expect(!key.documentation.trim().is_empty(), &DOCUMENTED, did, || {
            format!("no documentation of {name}")
        });
        let is_secret = ["password", "secret"].iter().any(|word| name.to_lowercase().contains(word));
        notes.expect(!is_secret || key.config_type == ConfigType::Password, &SECRETS, did, || {
            format!("{name} has the type {}", key.config_type)
        });
    }
    notes.expect(format!("{def:?}") == format!("{again:?}"), &STEADY, "asked twice for the settings", || {
        "two definitions that differ".to_owned()
    });
    for value in def.validate(&Settings::new()) {
        let is_required = def.key(&value.name).is_some_and(|key| key.default == Default::Required);
        notes.expect(
            is_required || value.errors.is_empty(),
            &OPTIONAL,
            "validated no settings at all",
            || value.errors.join("; "),
        );
    }
    if let Err(errors) = def.parse(settings) {
        notes.broken(&GIVEN, "parsed the settings that were given", errors.to_string());
    }
}

/// Settings that lack something or hold something that cannot be read, with what is wrong with them.
pub(super) fn spoilt(def: &ConfigDef, settings: &Settings) -> Vec<(String, Settings)> {
    let mut spoilt = Vec::new();
    for key in def.keys() {
        if key.default == Default::Required {
            let mut without = settings.clone();
            without.shift_remove(&key.name);
            spoilt.push((format!("without {}", key.name), without));
        }
        let is_typed = match key.config_type {
            ConfigType::Boolean
            | ConfigType::Int
            | ConfigType::Short
            | ConfigType::Long
            | ConfigType::Double => true,
            ConfigType::String | ConfigType::List | ConfigType::Class | ConfigType::Password => false,
        };
        if is_typed {
            let mut wrong = settings.clone();
            wrong.insert(key.name.clone(), "no number".to_owned());
            spoilt.push((format!("with {}=no number", key.name), wrong));
        }
    }
    spoilt
}
