//! The settings that every connector has, whatever its class. Groups, orders and texts are those that user
//! interfaces know from Apache.

use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance, TypedValue, Validator, Width};
use crate::api::registry::VERSION;
use crate::connector::TASKS_MAX;
use ConfigType::{Boolean, Class, Int, List, Long, Short, String};
use Importance::{High, Low, Medium};

/// The settings that the worker itself reads of a source connector.
pub(super) fn of_sources() -> ConfigDef {
    let exactly_once = "Exactly Once Support";
    common().define_all([
        ConfigKey::new(
            "topic.creation.groups",
            List,
            Low,
            "Groups of configurations for topics created by source connectors",
        )
        .default("")
        .validator(Validator::UniqueAliases)
        .shown("Topic Creation", 1, Width::Long, "Topic Creation Groups"),
        ConfigKey::new(
            "exactly.once.support",
            String,
            Medium,
            "Whether the connector must be able to deliver exactly once: 'required' \
             or 'requested'.",
        )
        .default("requested")
        .validator(any_case(&["requested", "required"]))
        .shown(exactly_once, 2, Width::Short, "Exactly once support"),
        ConfigKey::new(
            "transaction.boundary",
            String,
            Medium,
            "When a transaction of the source tasks ends: with each poll, after an \
             interval, or where the connector says.",
        )
        .default("poll")
        .validator(any_case(&["poll", "interval", "connector"]))
        .shown(exactly_once, 3, Width::Short, "Transaction Boundary"),
        ConfigKey::new(
            "transaction.boundary.interval.ms",
            Long,
            Low,
            "With the transaction boundary 'interval': milliseconds between commits. \
             The worker's interval for offset commits if not set.",
        )
        .validator(Validator::Nullable(Box::new(Validator::AtLeast(0))))
        .shown(exactly_once, 4, Width::Short, "Transaction boundary interval"),
        ConfigKey::new(
            "offsets.storage.topic",
            String,
            Low,
            "A topic of its own for the offsets of this connector; distributed \
             workers only.",
        )
        .validator(Validator::NonEmpty)
        .shown("offsets.topic", 1, Width::Long, "Offsets topic"),
    ])
}

/// The settings that the worker itself reads of a sink connector.
pub(super) fn of_sinks() -> ConfigDef {
    let errors = "Error Handling";
    common().define_all([
        ConfigKey::new("topics", List, High, "List of topics to consume, separated by commas")
            .default("")
            .shown("Common", 4, Width::Long, "Topics"),
        ConfigKey::new(
            "topics.regex",
            String,
            High,
            "Regular expression giving topics to consume; it has to match the whole \
             name. Only one of topics or topics.regex should be specified.",
        )
        .default("")
        .validator(Validator::Regex)
        .shown("Common", 4, Width::Long, "Topics regex"),
        ConfigKey::new(
            "errors.deadletterqueue.topic.name",
            String,
            Medium,
            "The topic for records that end in an error when they are converted, \
             transformed or put. Empty: none.",
        )
        .default("")
        .shown(errors, 6, Width::Medium, "Dead Letter Queue Topic Name"),
        ConfigKey::new(
            "errors.deadletterqueue.topic.replication.factor",
            Short,
            Medium,
            "Replication factor of the dead letter queue topic when it does not exist \
             yet.",
        )
        .default("3")
        .shown(errors, 7, Width::Medium, "Dead Letter Queue Topic Replication Factor"),
        ConfigKey::new(
            "errors.deadletterqueue.context.headers.enable",
            Boolean,
            Medium,
            "Whether headers that describe the error are added to records of the dead \
             letter queue.",
        )
        .default("false")
        .shown(errors, 8, Width::Medium, "Enable Error Context Headers"),
    ])
}

fn common() -> ConfigDef {
    ConfigDef::new().define_all(identity()).define_all(converters()).define_all(processing())
}

fn identity() -> [ConfigKey; 5] {
    [
        ConfigKey::required("name", String, High, "Globally unique name to use for this connector.")
            .validator(Validator::custom("1 to 2048 bytes without control characters", check_name))
            .shown("Common", 1, Width::Medium, "Connector name"),
        ConfigKey::required("connector.class", String, High, "Name or alias of the class of this connector.")
            .shown("Common", 2, Width::Long, "Connector class"),
        ConfigKey::new(
            "connector.plugin.version",
            String,
            Medium,
            "The version, or range of versions, of the connector class.",
        )
        .default(VERSION)
        .shown("Common", 3, Width::Medium, "Connector version"),
        ConfigKey::new("tasks.max", Int, High, "Maximum number of tasks to use for this connector.")
            .default("1")
            .validator(Validator::Between(1, i64::from(TASKS_MAX)))
            .shown("Common", 4, Width::Short, "Tasks max"),
        ConfigKey::new(
            "tasks.max.enforce",
            Boolean,
            Low,
            "Whether a connector that makes more tasks than tasks.max fails. \
             Deprecated.",
        )
        .default("true")
        .shown("Common", 5, Width::Short, "Enforce tasks max"),
    ]
}

fn converters() -> impl Iterator<Item = ConfigKey> {
    let kinds = [("key", "Key"), ("value", "Value"), ("header", "Header")];
    (6..).step_by(2).zip(kinds).flat_map(|(order, (kind, shown))| {
        let doc = format!(
            "The class that converts {kind}s between Kafka and Connect; the worker's \
             if not set."
        );
        let name = format!("{kind}.converter");
        let class = ConfigKey::new(&name, Class, Low, &doc);
        let doc = format!("The version, or range of versions, of the {kind} converter class.");
        let version = ConfigKey::new(&format!("{name}.plugin.version"), String, Low, &doc);
        [
            class.shown("Common", order, Width::Short, &format!("{shown} converter class")),
            version.shown("Common", order + 1, Width::Short, &format!("{shown} converter version")),
        ]
    })
}

fn processing() -> [ConfigKey; 8] {
    let errors = "Error Handling";
    let aliases = |name: &str, doc: &str, group: &str, order| {
        let key = ConfigKey::new(name, List, Low, doc).default("").validator(Validator::UniqueAliases);
        key.shown(group, order, Width::Long, group)
    };
    [
        aliases("transforms", "Aliases for the transformations to be applied to records.", "Transforms", 12),
        aliases("predicates", "Aliases for the predicates used by transformations.", "Predicates", 13),
        ConfigKey::new(
            "config.action.reload",
            String,
            Low,
            "What to do when a value from a config provider expires: 'none' or \
             'restart' the connector.",
        )
        .default("restart")
        .one_of(&["none", "restart"])
        .shown("Common", 14, Width::Medium, "Reload Action"),
        ConfigKey::new(
            "errors.retry.timeout",
            Long,
            Medium,
            "For how many milliseconds a failed operation is retried: 0 not at all, \
             -1 for ever.",
        )
        .default("0")
        .shown(errors, 1, Width::Medium, "Retry Timeout for Errors"),
        ConfigKey::new("errors.retry.delay.max.ms", Long, Medium, "The most milliseconds between two tries.")
            .default("60000")
            .shown(errors, 2, Width::Medium, "Maximum Delay Between Retries for Errors"),
        ConfigKey::new(
            "errors.tolerance",
            String,
            Medium,
            "What an error does to the task: 'none' fails it, 'all' skips the record.",
        )
        .default("none")
        .one_of(&["none", "all"])
        .shown(errors, 3, Width::Short, "Error Tolerance"),
        ConfigKey::new(
            "errors.log.enable",
            Boolean,
            Medium,
            "Whether each failure is logged, tolerated or not.",
        )
        .default("false")
        .shown(errors, 4, Width::Short, "Log Errors"),
        ConfigKey::new(
            "errors.log.include.messages",
            Boolean,
            Medium,
            "Whether the log says which record failed: topic, partition, offset and \
             timestamp for a sink, the whole record for a source.",
        )
        .default("false")
        .shown(errors, 5, Width::Short, "Log Error Details"),
    ]
}

fn any_case(choices: &[&str]) -> Validator {
    Validator::OneOfIgnoringCase(choices.iter().map(|&choice| choice.to_owned()).collect())
}

/// The longest name of a connector: percent-encoded it still finds room in the first line of a request.
const NAME_BYTES_MAX: usize = 2048;

fn check_name(value: Option<&TypedValue>) -> Result<(), std::string::String> {
    let Some(name) = value.and_then(TypedValue::as_text) else { return Ok(()) };
    if name.is_empty() {
        return Err("String may not be empty".to_owned());
    }
    if matches!(name, "." | "..") {
        return Err("String may not be . or ..: no URL can name it, and it could not be deleted".to_owned());
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(format!("String may not be longer than {NAME_BYTES_MAX} bytes: it is a part of URLs"));
    }
    let controls = name.chars().filter(|c| c.is_control()).map(|c| u32::from(c).to_string());
    let controls: Vec<_> = controls.collect();
    if controls.is_empty() {
        return Ok(());
    }
    Err(format!(
        "String may not contain control sequences but had the following ASCII \
         chars: {}",
        controls.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Settings;

    #[test]
    fn the_number_of_tasks_has_a_bound() {
        for def in [of_sources(), of_sinks()] {
            for (tasks, errors) in [("1", 0), ("10000", 0), ("10001", 1), ("0", 1)] {
                let settings = Settings::from([("tasks.max".to_owned(), tasks.to_owned())]);
                let values = def.validate(&settings);
                let value = values.iter().find(|value| value.name == "tasks.max").unwrap();
                assert_eq!(value.errors.len(), errors, "{tasks}: {:?}", value.errors);
            }
        }
    }
}
