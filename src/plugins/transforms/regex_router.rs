//! `RegexRouter`: another topic for records whose topic a regular expression describes.

use std::sync::Arc;

use super::class::TransformClass;
use super::java_pattern;
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance};
use crate::api::connect_record::ConnectRecord;
use crate::api::error::{ConnectError, Result};
use crate::api::transform::{Fate, Transform};
use crate::stdx::java_regex::{JavaRegex, Replacement};

pub(super) const CLASS: TransformClass = TransformClass {
    name: "org.apache.kafka.connect.transforms.RegexRouter",
    settings,
    create: |settings| Ok(Box::new(RegexRouter::new(settings)?)),
};

const REGEX: &str = "regex";
const REPLACEMENT: &str = "replacement";

fn settings() -> ConfigDef {
    let regex = ConfigKey::required(
        REGEX,
        ConfigType::String,
        Importance::High,
        "The regular expression, as Java has them. It has to match the whole name of the topic.",
    );
    ConfigDef::new().define(regex.validator(java_pattern::validator())).define(ConfigKey::required(
        REPLACEMENT,
        ConfigType::String,
        Importance::High,
        "What the topic becomes; $1 and ${name} stand for what groups matched, \\ makes the next character literal.",
    ))
}

struct RegexRouter {
    regex: JavaRegex,
    replacement: Replacement,
    /// The topic that was seen last, and where its records go: a task has few topics.
    last: Option<(Arc<str>, Arc<str>)>,
}

impl RegexRouter {
    fn new(config: &Settings) -> Result<Self> {
        let parsed = settings().parse(config)?;
        let regex = java_pattern::regex(REGEX, &parsed.get::<String>(REGEX)?)?;
        let text: String = parsed.get(REPLACEMENT)?;
        let replacement = Replacement::new(&text, &regex).map_err(|why| {
            ConnectError::config(format!("Invalid value {text} for configuration {REPLACEMENT}: {why}"))
        })?;
        Ok(RegexRouter { regex, replacement, last: None })
    }

    fn route(&self, topic: &Arc<str>) -> Result<Arc<str>> {
        let failed =
            |why| ConnectError::data(format!("The regex cannot be matched with topic {topic}: {why}"));
        if !self.regex.matches(topic).map_err(failed)? {
            return Ok(Arc::clone(topic));
        }
        Ok(self.regex.replace_first(topic, &self.replacement).map_err(failed)?.into())
    }
}

impl Transform for RegexRouter {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Fate> {
        let topic = record.topic();
        let known = self.last.as_ref().filter(|(from, _)| Arc::ptr_eq(from, topic) || from == topic);
        let to = match known {
            Some((_, to)) => Arc::clone(to),
            None => {
                let to = self.route(topic)?;
                self.last = Some((Arc::clone(topic), Arc::clone(&to)));
                to
            }
        };
        record.set_topic(to);
        Ok(Fate::Kept)
    }
}
