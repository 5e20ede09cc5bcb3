//! `topic.creation.*` of source connectors (KIP-158): with which settings a topic comes into being that a source is the
//! first to use. Pure.
//!
//! Topics belong to groups. The first group of `topic.creation.groups` counts whose patterns describe a topic, else the
//! group `default`, which is always there.

use std::collections::BTreeMap;
use std::fmt;

use crate::api::Settings;
use crate::api::config_def::{
    ConfigDef, ConfigError, ConfigErrors, ConfigKey, ConfigType, Importance, TypedValue, Validator, Width,
};
use crate::stdx::java_regex::JavaRegex;

/// What all these settings begin with. One of them is enough for a connector to create its topics itself.
pub const PREFIX: &str = "topic.creation.";
/// The setting that lists the groups.
pub const GROUPS: &str = "topic.creation.groups";

/// The group of all topics that belong to no other.
const DEFAULT: &str = "default";

const INCLUDE: &str = "include";
const EXCLUDE: &str = "exclude";
const REPLICATION_FACTOR: &str = "replication.factor";
const PARTITIONS: &str = "partitions";

/// Leaves a number to the broker.
const OF_BROKER: &str = "-1";

/// The groups of a connector.
#[derive(Debug, Clone)]
pub struct TopicGroups {
    /// In the order of the list; the last one is `default`.
    groups: Vec<TopicGroup>,
}

/// How the topics of a group are created.
#[derive(Debug, Clone)]
pub struct TopicGroup {
    /// Its alias.
    pub name: String,
    /// How many partitions; `None` leaves it to the broker.
    pub partitions: Option<i32>,
    /// How many replicas of each; `None` leaves it to the broker.
    pub replication: Option<i16>,
    /// The settings of the topic.
    pub settings: BTreeMap<String, String>,
    include: Pattern,
    exclude: Pattern,
}

/// The patterns of a list as one.
#[derive(Debug, Clone)]
struct Pattern {
    text: String,
    regex: JavaRegex,
}

/// Whether a source connector with these settings creates its topics, where the worker lets it.
pub fn is_used(settings: &Settings) -> bool {
    settings.keys().any(|key| key.starts_with(PREFIX))
}

/// The settings of all groups of a connector.
pub fn define(settings: &Settings) -> ConfigDef {
    let def = ConfigDef::new().embed(&prefix_of(DEFAULT), DEFAULT, 0, &of_default());
    aliases(settings).iter().fold(def, |def, alias| {
        let group = format!("Topic Creation: {alias}");
        def.embed(&prefix_of(alias), &group, 0, &of_group(&group, settings))
    })
}

/// What a group may have besides the settings of its topics; `ALIAS` stands for its alias. For the reference pages.
pub fn reference() -> ConfigDef {
    let def = ConfigDef::new().embed(&prefix_of(DEFAULT), DEFAULT, 0, &of_default());
    let [include, exclude, replication, partitions] = keys("ALIAS");
    let of_others = ConfigDef::new().define_all([include, exclude, replication, partitions]);
    def.embed(&prefix_of("ALIAS"), "ALIAS", 0, &of_others)
}

/// What a person should hear about settings that mean less than it seems.
pub fn notes(settings: &Settings) -> Vec<String> {
    let mut notes = Vec::new();
    if listed(settings).iter().any(|alias| alias == DEFAULT) {
        notes.push(format!(
            "'{DEFAULT}' topic creation group always exists and does not need to be listed explicitly"
        ));
    }
    let groups: Vec<_> =
        aliases(settings).iter().map(String::as_str).chain([DEFAULT]).map(prefix_of).collect();
    let is_known = |key: &str| key == GROUPS || groups.iter().any(|group| key.starts_with(group.as_str()));
    let unknown: Vec<_> =
        settings.keys().filter(|key| key.starts_with(PREFIX) && !is_known(key)).map(String::as_str).collect();
    if !unknown.is_empty() {
        notes.push(format!("{} do nothing: {GROUPS} does not list their group", unknown.join(", ")));
    }
    notes
}

impl TopicGroups {
    /// Reads the groups of a connector; `None` for one that has no such setting.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn parse(settings: &Settings) -> Result<Option<Self>, ConfigErrors> {
        if !is_used(settings) {
            return Ok(None);
        }
        let parsed = define(settings).parse(settings)?;
        let group = |alias: &str| -> Result<TopicGroup, ConfigErrors> {
            let key = |name: &str| format!("{}{name}", prefix_of(alias));
            let patterns = |name| match alias {
                // Whatever is said about it, it takes all that no other group has.
                DEFAULT => Ok(if name == INCLUDE { vec![".*".to_owned()] } else { Vec::new() }),
                _ => parsed.get::<Vec<String>>(&key(name)),
            };
            let partitions: i32 = parsed.get(&key(PARTITIONS))?;
            let replication: i16 = parsed.get(&key(REPLICATION_FACTOR))?;
            Ok(TopicGroup {
                name: alias.to_owned(),
                partitions: (partitions > 0).then_some(partitions),
                replication: (replication > 0).then_some(replication),
                settings: of_topics(settings, alias),
                include: Pattern::of(&patterns(INCLUDE)?, &key(INCLUDE))?,
                exclude: Pattern::of(&patterns(EXCLUDE)?, &key(EXCLUDE))?,
            })
        };
        let aliases = aliases(settings);
        let groups = aliases.iter().map(String::as_str).chain([DEFAULT]).map(group);
        Ok(Some(TopicGroups { groups: groups.collect::<Result<_, _>>()? }))
    }

    /// The group that a topic belongs to.
    ///
    /// # Errors
    /// A pattern took too many steps.
    pub fn group_of(&self, topic: &str) -> Result<&TopicGroup, String> {
        for group in &self.groups {
            if group.matches(topic)? {
                return Ok(group);
            }
        }
        Err(format!("the topic '{topic}' belongs to no group"))
    }
}

impl TopicGroup {
    /// Exclusion goes before inclusion. Patterns describe whole names.
    fn matches(&self, topic: &str) -> Result<bool, String> {
        Ok(!self.exclude.regex.matches(topic)? && self.include.regex.matches(topic)?)
    }

    /// A topic of the group as Apache's admin client prints it.
    pub fn new_topic(&self, topic: &str) -> String {
        let number = |number: Option<String>| number.unwrap_or_else(|| "default".to_owned());
        format!(
            "(name={topic}, numPartitions={}, replicationFactor={}, replicasAssignments=null, configs={})",
            number(self.partitions.map(|count| count.to_string())),
            number(self.replication.map(|count| count.to_string())),
            java_map(&self.settings)
        )
    }
}

impl fmt::Display for TopicGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "TopicCreationGroup{{name='{}', inclusionPattern={}, exclusionPattern={}, numPartitions={}, \
             replicationFactor={}, otherConfigs={}}}",
            self.name,
            self.include.text,
            self.exclude.text,
            self.partitions.unwrap_or(-1),
            self.replication.unwrap_or(-1),
            java_map(&self.settings)
        )
    }
}

impl Pattern {
    /// Alternatives of one pattern, as Apache has it: a flag in the first counts for the others, too.
    fn of(list: &[String], key: &str) -> Result<Self, ConfigErrors> {
        let text = list.join("|");
        match JavaRegex::new(&text) {
            Ok(regex) => Ok(Pattern { text, regex }),
            Err(why) => Err(ConfigError::invalid(key, &text, syntax_error(&why)).into()),
        }
    }
}

fn prefix_of(alias: &str) -> String {
    format!("{PREFIX}{alias}.")
}

/// The list as it is written.
fn listed(settings: &Settings) -> Vec<String> {
    match TypedValue::parse(ConfigType::List, settings.get(GROUPS).map_or("", String::as_str)) {
        Ok(TypedValue::List(aliases)) => aliases,
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// The groups beside `default`, each once.
fn aliases(settings: &Settings) -> Vec<String> {
    let mut aliases = Vec::new();
    for alias in listed(settings) {
        if alias != DEFAULT && !aliases.contains(&alias) {
            aliases.push(alias);
        }
    }
    aliases
}

/// What a group says about its topics beyond their number of partitions and replicas.
fn of_topics(settings: &Settings, alias: &str) -> BTreeMap<String, String> {
    let prefix = prefix_of(alias);
    let own = settings.iter().filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?, value)));
    own.filter(|(name, _)| ![INCLUDE, EXCLUDE, REPLICATION_FACTOR, PARTITIONS].contains(name))
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
}

fn of_default() -> ConfigDef {
    let [include, exclude, replication, partitions] = keys(DEFAULT);
    ConfigDef::new().define_all([
        ConfigKey { validator: None, ..include.default(".*") },
        ConfigKey { validator: None, ..exclude },
        required(replication),
        required(partitions),
    ])
}

/// Of a group that has what the default group has, where it says nothing itself.
fn of_group(group: &str, settings: &Settings) -> ConfigDef {
    let [include, exclude, replication, partitions] = keys(group);
    let of_default = |name: &str| {
        let written = settings.get(&format!("{}{name}", prefix_of(DEFAULT))).map(|text| text.trim());
        // What is wrong there is told about the default group.
        let is_right = |text: &&str| text.parse().is_ok_and(|number: i32| number > 0 || number == -1);
        written.filter(is_right).unwrap_or(OF_BROKER).to_owned()
    };
    ConfigDef::new().define_all([
        include,
        exclude,
        replication.default(&of_default(REPLICATION_FACTOR)),
        partitions.default(&of_default(PARTITIONS)),
    ])
}

fn required(key: ConfigKey) -> ConfigKey {
    ConfigKey { default: crate::api::config_def::Default::Required, ..key }
}

fn keys(group: &str) -> [ConfigKey; 4] {
    let key = |name, kind, doc, order, shown: &str| {
        ConfigKey::new(name, kind, Importance::Low, doc).shown(
            group,
            order,
            Width::Long,
            &format!("{shown} {group}"),
        )
    };
    let patterns = Validator::custom("Java regular expressions", check_patterns);
    [
        key(
            INCLUDE,
            ConfigType::List,
            "Regular expressions: topics whose whole name one of them describes are created with the settings of this \
             group.",
            1,
            "Inclusion Topic Pattern for",
        )
        .default("")
        .validator(patterns.clone()),
        key(
            EXCLUDE,
            ConfigType::List,
            "Regular expressions for topics that are not of this group. They go before `include`.",
            2,
            "Exclusion Topic Pattern for",
        )
        .default("")
        .validator(patterns),
        key(
            REPLICATION_FACTOR,
            ConfigType::Short,
            "The replication factor of new topics; -1 leaves it to the broker. Required for the default group, whose \
             value the others have where they have none.",
            3,
            "Replication Factor for Topics in",
        )
        .validator(count(
            "Replication factor must be positive and not larger than the number of brokers in the Kafka cluster, or -1 \
             to use the broker's default",
        )),
        key(
            PARTITIONS,
            ConfigType::Int,
            "The number of partitions of new topics; -1 leaves it to the broker. Required for the default group, whose \
             value the others have where they have none.",
            4,
            "Partition Count for Topics in",
        )
        .validator(count("Number of partitions must be positive, or -1 to use the broker's default")),
    ]
}

fn count(message: &'static str) -> Validator {
    Validator::custom("-1, or at least 1", move |value| match value.and_then(TypedValue::as_integer) {
        Some(number) if number < 1 && number != -1 => Err(message.to_owned()),
        // One that is no number at all was told already.
        Some(_) | None => Ok(()),
    })
}

fn check_patterns(value: Option<&TypedValue>) -> Result<(), String> {
    let Some(TypedValue::List(patterns)) = value else { return Ok(()) };
    patterns.iter().try_for_each(|pattern| match JavaRegex::new(pattern) {
        Ok(_) => Ok(()),
        Err(why) => Err(syntax_error(&why)),
    })
}

fn syntax_error(why: &str) -> String {
    format!("Syntax error in regular expression: {why}")
}

/// A map as Java prints it.
fn java_map(map: &BTreeMap<String, String>) -> String {
    let entries = map.iter().map(|(key, value)| format!("{key}={value}"));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests;
