//! `RecordIsTombstone`: records without a value, whatever schema they have.

use crate::api::Settings;
use crate::api::config_def::ConfigDef;
use crate::api::connect_record::{ConnectRecord, RecordPart};
use crate::api::error::Result;
use crate::api::registry::VERSION;
use crate::api::transform::{Predicate, PredicatePlugin};

/// The class.
pub(super) struct RecordIsTombstone;

impl PredicatePlugin for RecordIsTombstone {
    fn class(&self) -> &'static str {
        "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new()
    }

    fn predicate(&self, _settings: &Settings) -> Result<Box<dyn Predicate>> {
        Ok(Box::new(RecordIsTombstone))
    }
}

impl Predicate for RecordIsTombstone {
    fn test(&mut self, record: &ConnectRecord<'_>) -> Result<bool> {
        Ok(record.part(RecordPart::Value).value.is_null())
    }
}
