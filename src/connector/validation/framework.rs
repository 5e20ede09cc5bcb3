//! The settings that the worker itself reads of a connector, with what depends on this worker and on the settings
//! given: converters to choose from, and the keys of transforms and predicates.

use super::{
    Outcome, Validator, alias_lists, aliased, auto_restart, class_keys, exactly_once, framework_def,
};
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigValue};
use crate::api::registry::{ConnectorClass, VERSION};
use crate::api::topic_name;
use crate::config::topic_creation;
use crate::stdx::java_regex::JavaRegex;

/// What every connector of that kind takes.
pub(super) fn base_def(class: &ConnectorClass) -> ConfigDef {
    match class {
        ConnectorClass::Source(_) => framework_def::of_sources(),
        ConnectorClass::Sink(_) => framework_def::of_sinks(),
    }
}

/// Checks them, and adds them to the outcome.
pub(super) fn check(
    validator: &Validator,
    class: &ConnectorClass,
    settings: &Settings,
    outcome: &mut Outcome,
) {
    let def = enriched(validator, class, settings);
    let mut values = def.validate(settings);
    for value in &mut values {
        class_keys::check_class(validator.registry(), settings, value);
    }
    aliased::check(&validator.registry, settings, &mut values);
    match class {
        ConnectorClass::Sink(_) => check_topics(settings, &mut values),
        ConnectorClass::Source(plugin) => match validator.context.exactly_once {
            Some(enabled) => exactly_once::check(&**plugin, enabled, settings, &mut values),
            None => exactly_once::note_standalone(settings),
        },
    }
    outcome.add(&def, values);
    if let ConnectorClass::Source(_) = class
        && validator.context.topic_creation
        && topic_creation::is_used(settings)
    {
        check_topic_creation(settings, outcome);
    }
}

/// Adds what is wrong with the groups of topics. Apache shows none of their settings, and finds that out when the connector
/// starts.
fn check_topic_creation(settings: &Settings, outcome: &mut Outcome) {
    if let Some(message) = alias_lists::excess(settings, topic_creation::GROUPS) {
        return outcome.complain(topic_creation::GROUPS, [message]);
    }
    let def = topic_creation::define(settings);
    let values: Vec<_> =
        def.validate(settings).into_iter().filter(|value| !value.errors.is_empty()).collect();
    let wrong = def.keys().filter(|key| values.iter().any(|value| value.name == key.name));
    outcome.add(&ConfigDef::new().define_all(wrong.cloned()), values);
}

fn enriched(validator: &Validator, class: &ConnectorClass, settings: &Settings) -> ConfigDef {
    let converters = &validator.context.converters;
    let data: Vec<String> =
        validator.registry.data_converters().map(|plugin| plugin.class().to_owned()).collect();
    let all: Vec<String> = validator.registry.converters().map(|plugin| plugin.class().to_owned()).collect();
    let defaults = [
        ("key.converter", &converters.key, &data),
        ("value.converter", &converters.value, &data),
        ("header.converter", &converters.header, &all),
    ];
    let def = base_def(class);
    let keys = def.keys().cloned().map(|key| {
        if let Some((_, class, offered)) = defaults.iter().find(|(name, _, _)| *name == key.name) {
            let class = validator.registry.converter(class).map_or(class.as_str(), |plugin| plugin.class());
            return key.default(class).recommended((*offered).clone());
        }
        if let Some(of) = key.name.strip_suffix(".plugin.version") {
            let here = version_of(validator, class, of, settings);
            return key.default(here).recommended(vec![here.to_owned()]);
        }
        key
    });
    let def = aliased::define(&validator.registry, settings, ConfigDef::new().define_all(keys));
    if auto_restart::are_set(settings) { def.define_all(auto_restart::keys()) } else { def }
}

/// The version of the connector, or of the converter that it, or else the worker, names.
fn version_of(validator: &Validator, class: &ConnectorClass, of: &str, settings: &Settings) -> &'static str {
    let converters = &validator.context.converters;
    let of_worker = match of {
        "key.converter" => &converters.key,
        "value.converter" => &converters.value,
        "header.converter" => &converters.header,
        _ => return class.plugin().version(),
    };
    let converter = validator.registry.converter(settings.get(of).unwrap_or(of_worker));
    converter.map_or(VERSION, |plugin| plugin.version())
}

fn check_topics(settings: &Settings, values: &mut [ConfigValue]) {
    let is_set = |key: &str| settings.get(key).is_some_and(|value| !value.trim().is_empty());
    let message = match (is_set("topics"), is_set("topics.regex")) {
        (true, true) => {
            "topics and topics.regex are mutually exclusive options, but both are set.".to_owned()
        }
        (false, false) => "Must configure one of topics or topics.regex".to_owned(),
        (true, false) | (false, true) => {
            check_topic_names(settings, values);
            return check_dead_letter_queue(settings, values);
        }
    };
    complain(values, "topics", &message);
    complain(values, "topics.regex", &message);
}

/// A consumer waits for ever for a topic that cannot be.
fn check_topic_names(settings: &Settings, values: &mut [ConfigValue]) {
    let topics = settings.get("topics").map_or("", String::as_str).split(',').map(str::trim);
    for why in topics.filter(|name| !name.is_empty()).filter_map(|name| topic_name::check(name).err()) {
        complain(values, "topics", &why);
    }
}

/// A dead letter queue must not be read by the connector that fills it.
fn check_dead_letter_queue(settings: &Settings, values: &mut [ConfigValue]) {
    let text = |key: &str| settings.get(key).map_or("", |value| value.trim());
    let queue = text("errors.deadletterqueue.topic.name");
    if queue.is_empty() {
        return;
    }
    if let Err(why) = topic_name::check(queue) {
        complain(values, "errors.deadletterqueue.topic.name", &why);
    }
    let topics: Vec<&str> = text("topics").split(',').map(str::trim).collect();
    if topics.contains(&queue) {
        let message = format!(
            "The DLQ topic '{queue}' may not be included in the list of topics ('topics=[{}]') consumed by the connector",
            topics.join(", ")
        );
        complain(values, "topics", &message);
    }
    let pattern = text("topics.regex");
    let whole = JavaRegex::new(pattern);
    if !pattern.is_empty() && whole.is_ok_and(|whole| whole.matches(queue).unwrap_or_default()) {
        let message = format!(
            "The DLQ topic '{queue}' may not be matched by the regex for the topics ('topics.regex={pattern}') \
             consumed by the connector"
        );
        complain(values, "topics.regex", &message);
    }
}

pub(super) fn complain(values: &mut [ConfigValue], key: &str, message: &str) {
    if let Some(value) = values.iter_mut().find(|value| value.name == key) {
        value.errors.push(message.to_owned());
    }
}
