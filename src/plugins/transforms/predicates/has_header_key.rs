//! `HasHeaderKey`: records with a header of a given name.

use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance, Validator};
use crate::api::connect_record::ConnectRecord;
use crate::api::error::Result;
use crate::api::registry::VERSION;
use crate::api::transform::{Predicate, PredicatePlugin};

/// The class.
pub(super) struct HasHeaderKey;

const NAME: &str = "name";

impl PredicatePlugin for HasHeaderKey {
    fn class(&self) -> &'static str {
        "org.apache.kafka.connect.transforms.predicates.HasHeaderKey"
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn config_def(&self) -> ConfigDef {
        let doc = "The name of the header; case matters.";
        let name = ConfigKey::required(NAME, ConfigType::String, Importance::Medium, doc);
        ConfigDef::new().define(name.validator(Validator::NonEmpty))
    }

    fn predicate(&self, settings: &Settings) -> Result<Box<dyn Predicate>> {
        Ok(Box::new(Instance { name: self.config_def().parse(settings)?.get(NAME)? }))
    }
}

struct Instance {
    name: String,
}

impl Predicate for Instance {
    fn test(&mut self, record: &ConnectRecord<'_>) -> Result<bool> {
        Ok(record.headers().iter().any(|header| *header.key == *self.name))
    }
}
