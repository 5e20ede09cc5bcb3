//! `TopicNameMatches`: records whose topic a regular expression describes.

use std::sync::Arc;

use super::super::java_pattern;
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance};
use crate::api::connect_record::ConnectRecord;
use crate::api::error::{ConnectError, Result};
use crate::api::registry::VERSION;
use crate::api::transform::{Predicate, PredicatePlugin};
use crate::stdx::java_regex::JavaRegex;

/// The class.
pub(super) struct TopicNameMatches;

const PATTERN: &str = "pattern";

impl PredicatePlugin for TopicNameMatches {
    fn class(&self) -> &'static str {
        "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn config_def(&self) -> ConfigDef {
        let doc = "The regular expression, as Java has them. It has to match the whole name of the topic.";
        let pattern = ConfigKey::required(PATTERN, ConfigType::String, Importance::Medium, doc);
        ConfigDef::new().define(pattern.validator(java_pattern::validator()))
    }

    fn predicate(&self, settings: &Settings) -> Result<Box<dyn Predicate>> {
        let pattern: String = self.config_def().parse(settings)?.get(PATTERN)?;
        Ok(Box::new(Instance { regex: java_pattern::regex(PATTERN, &pattern)?, last: None }))
    }
}

struct Instance {
    regex: JavaRegex,
    /// The topic that was seen last, and whether it matches.
    last: Option<(Arc<str>, bool)>,
}

impl Predicate for Instance {
    fn test(&mut self, record: &ConnectRecord<'_>) -> Result<bool> {
        let topic = record.topic();
        if let Some((known, matches)) = &self.last
            && (Arc::ptr_eq(known, topic) || known == topic)
        {
            return Ok(*matches);
        }
        let failed =
            |why| ConnectError::data(format!("The pattern cannot be matched with topic {topic}: {why}"));
        let matches = self.regex.matches(topic).map_err(failed)?;
        self.last = Some((Arc::clone(topic), matches));
        Ok(matches)
    }
}
